//! Plain reads of what turns have written.

use gristmill_market::attempt::Attempt;
use gristmill_market::job::Job;
use gristmill_market::node::Node;
use gristmill_protocol::Address;
use gristmill_protocol::api::{JobEvent, JobState};
use gristmill_protocol::ids::{JobId, NodeId, SpecHash};
use gristmill_protocol::spec::JobSpec;
use gristmill_protocol::time::Timestamp;

use super::columns::{int, parse, time, timestamp};
use super::{SqliteRows, StoreError};
use crate::store::{Due, IdempotencyKey, JobPage, JobQuery, Reads, StoredReply, TokenHash};

impl SqliteRows<'_> {
    /// Nodes from a query for body and heartbeat; a heartbeat may be newer than the body.
    pub(super) fn nodes_from(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> Result<Vec<Node>, StoreError> {
        let rows = self.all(sql, params, |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        let read = |(body, heard_at): (String, Option<i64>)| {
            let mut node: Node = parse("nodes", &body)?;
            node.heard_at = node.heard_at.max(timestamp(heard_at.unwrap_or(0)));
            Ok(node)
        };
        rows.into_iter().map(read).collect()
    }

    pub(super) fn jobs_from(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> Result<Vec<Job>, StoreError> {
        let bodies: Vec<String> = self.all(sql, params, |row| row.get(0))?;
        bodies.iter().map(|body| parse("jobs", body)).collect()
    }
}

impl Reads for SqliteRows<'_> {
    fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let jobs = self.jobs_from("SELECT body FROM jobs WHERE id = ?1", [id.0.as_slice()])?;
        Ok(jobs.into_iter().next())
    }

    fn attempts(&self, job: JobId) -> Result<Vec<Attempt>, StoreError> {
        let sql = "SELECT body FROM attempts WHERE job = ?1 ORDER BY number";
        let bodies: Vec<String> = self.all(sql, [job.0.as_slice()], |row| row.get(0))?;
        bodies.iter().map(|body| parse("attempts", body)).collect()
    }

    fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        let sql = "SELECT n.body, h.heard_at FROM nodes n LEFT JOIN node_heard h ON h.node = n.id WHERE n.id = ?1";
        Ok(self.nodes_from(sql, [id.0.as_slice()])?.into_iter().next())
    }

    fn nodes(&self, after: Option<NodeId>, limit: usize) -> Result<Vec<Node>, StoreError> {
        // Before the first id comes the empty one.
        let after = after.map(|id| id.0.to_vec()).unwrap_or_default();
        let sql = "SELECT n.body, h.heard_at FROM nodes n LEFT JOIN node_heard h ON h.node = n.id
            WHERE n.id > ?1 ORDER BY n.id LIMIT ?2";
        self.nodes_from(sql, (after, int(limit as u64)))
    }

    fn jobs(&self, query: &JobQuery) -> Result<JobPage, StoreError> {
        self.list_jobs(query)
    }

    fn events(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<JobEvent>, StoreError> {
        let sql =
            "SELECT body FROM events WHERE job = ?1 AND version > ?2 ORDER BY version LIMIT ?3";
        let params = (job.0.as_slice(), int(after), int(limit as u64));
        let bodies: Vec<String> = self.all(sql, params, |row| row.get(0))?;
        bodies.iter().map(|body| parse("events", body)).collect()
    }

    fn spec(&self, hash: SpecHash) -> Result<Option<JobSpec>, StoreError> {
        let sql = "SELECT body FROM specs WHERE hash = ?1";
        let body: Option<String> = self.one(sql, [hash.0.as_slice()], |row| row.get(0))?;
        body.map(|body| parse("specs", &body)).transpose()
    }

    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let limit = int(limit as u64);
        let jobs = "SELECT due_at, id FROM jobs WHERE due_at IS NOT NULL AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2";
        let mut due: Vec<(i64, Due)> = self.all(jobs, (time(now), limit), |row| {
            Ok((row.get(0)?, Due::Job(JobId(row.get::<_, [u8; 32]>(1)?.into()))))
        })?;
        let nodes = "SELECT due_at, id FROM nodes WHERE due_at IS NOT NULL AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2";
        due.extend(self.all(nodes, (time(now), limit), |row| {
            Ok((row.get(0)?, Due::Node(NodeId(row.get::<_, [u8; 20]>(1)?.into()))))
        })?);
        due.sort_unstable();
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(due.into_iter().map(|(_, due)| due).collect())
    }

    fn next_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let jobs = "SELECT due_at FROM jobs WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
        let nodes = "SELECT due_at FROM nodes WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
        let job: Option<i64> = self.one(jobs, [], |row| row.get(0))?;
        let node: Option<i64> = self.one(nodes, [], |row| row.get(0))?;
        Ok(job.into_iter().chain(node).min().map(timestamp))
    }

    fn unfinished_jobs(&self) -> Result<Vec<(JobState, u64)>, StoreError> {
        let mut counts = Vec::new();
        for state in JobState::ALL.iter().filter(|state| !state.is_end()) {
            let sql = "SELECT count(*) FROM jobs WHERE state = ?1";
            let count: Option<i64> = self.one(sql, [state.as_str()], |row| row.get(0))?;
            counts.push((*state, super::columns::uint(count.unwrap_or(0))));
        }
        Ok(counts)
    }

    fn session(&self, token: &TokenHash, now: Timestamp) -> Result<Option<Address>, StoreError> {
        let sql = "SELECT address FROM sessions WHERE token_hash = ?1 AND expires_at > ?2";
        self.one(sql, (&token.0[..], time(now)), |row| {
            Ok(Address::from(row.get::<_, [u8; 20]>(0)?))
        })
    }

    fn stored_reply(&self, key: &IdempotencyKey) -> Result<Option<StoredReply>, StoreError> {
        let sql =
            "SELECT fingerprint, reply, expires_at FROM replies WHERE account = ?1 AND key = ?2";
        let found = self.one(sql, (key.account.as_slice(), &key.key), |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
        })?;
        let read = |(fingerprint, reply, expires_at): ([u8; 32], String, i64)| {
            Ok(StoredReply {
                fingerprint,
                reply: parse("replies", &reply)?,
                expires_at: timestamp(expires_at),
            })
        };
        found.map(read).transpose()
    }
}
