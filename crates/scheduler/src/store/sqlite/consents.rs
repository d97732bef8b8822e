//! Consents in SQLite.

use gristmill_protocol::Address;
use gristmill_protocol::api::WaitingNode;
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::time::Timestamp;

use super::SqliteRows;
use super::columns::{body, int, parse, time, uint};
use crate::store::StoreError;
use crate::store::consents::{ConsentReads, ConsentWrites, kept_until};

const TABLE: &str = "enroll_consents";

impl ConsentReads for SqliteRows<'_> {
    fn waiting_node(
        &self,
        node: NodeId,
        now: Timestamp,
    ) -> Result<Option<WaitingNode>, StoreError> {
        let sql = "SELECT body FROM enroll_consents WHERE node = ?1 AND kept_until > ?2";
        let body: Option<String> =
            self.one(sql, (node.0.as_slice(), time(now)), |row| row.get(0))?;
        body.map(|body| parse(TABLE, &body)).transpose()
    }

    fn waiting_nodes(
        &self,
        provider: Address,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<WaitingNode>, StoreError> {
        let sql = "SELECT body FROM enroll_consents WHERE provider = ?1 AND kept_until > ?2
            ORDER BY seen_at DESC, node LIMIT ?3";
        let params = (provider.as_slice(), time(now), int(limit as u64));
        let bodies: Vec<String> = self.all(sql, params, |row| row.get(0))?;
        bodies.iter().map(|body| parse(TABLE, body)).collect()
    }

    fn waiting_counts(
        &self,
        provider: Address,
        except: NodeId,
        now: Timestamp,
    ) -> Result<(usize, usize), StoreError> {
        let sql = "SELECT count(*) FILTER (WHERE provider = ?1), count(*) FROM enroll_consents
            WHERE node <> ?2 AND kept_until > ?3";
        let params = (provider.as_slice(), except.0.as_slice(), time(now));
        let counts = self.one(sql, params, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (of_provider, altogether): (i64, i64) = counts.unwrap_or_default();
        let count = |value| usize::try_from(uint(value)).unwrap_or(usize::MAX);
        Ok((count(of_provider), count(altogether)))
    }
}

impl ConsentWrites for SqliteRows<'_> {
    fn put_consent(&mut self, waiting: &WaitingNode) -> Result<(), StoreError> {
        self.change(
            "INSERT OR REPLACE INTO enroll_consents (node, provider, seen_at, kept_until, body)
                VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                waiting.node.0.as_slice(),
                waiting.provider.as_slice(),
                time(waiting.seen_at_ms),
                time(kept_until(waiting)),
                body(TABLE, waiting)?,
            ),
        )?;
        Ok(())
    }
}
