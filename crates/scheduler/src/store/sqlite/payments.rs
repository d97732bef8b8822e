//! What has happened over time, in SQLite. The terms of each query are those of an index of the same name.

use gristmill_protocol::Address;
use gristmill_protocol::api::{EventBody, JobEvent};
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::money::Amount;
use gristmill_protocol::time::Timestamp;

use super::SqliteRows;
use super::columns::{int, parse, time, timestamp, uint, word};
use crate::store::StoreError;
use crate::store::payments::{Beginning, Payment, PaymentReads, Unpaid};

/// Payments, from the index `events_settled` or `events_settled_by_provider`.
pub(super) const PAYMENTS: &str = "SELECT e.body, j.token, j.gpus,
        (SELECT a.node FROM attempts a WHERE a.job = e.job AND a.state = 'accepted')
    FROM events e JOIN jobs j ON j.id = e.job
    WHERE json_extract(e.body, '$.event') = 'settled' AND json_extract(e.body, '$.at_ms') >= ?1";
pub(super) const OF_PROVIDER: &str = " AND json_extract(e.body, '$.provider') = ?3";
pub(super) const NEWEST: &str =
    " ORDER BY json_extract(e.body, '$.at_ms') DESC, e.job DESC LIMIT ?2";
pub(super) const REFUNDS: &str = "SELECT json_extract(body, '$.at_ms') FROM events
    WHERE json_extract(body, '$.event') = 'refunded' AND json_extract(body, '$.at_ms') >= ?1
    ORDER BY json_extract(body, '$.at_ms') DESC LIMIT ?2";
pub(super) const BEGINNINGS: &str = "SELECT j.created_at,
        min(CASE json_extract(e.body, '$.event') WHEN 'funded' THEN json_extract(e.body, '$.at_ms') END),
        min(CASE json_extract(e.body, '$.event') WHEN 'started' THEN json_extract(e.body, '$.at_ms') END)
    FROM (SELECT id, created_at FROM jobs WHERE created_at >= ?1 ORDER BY created_at DESC, id DESC LIMIT ?2) j
    LEFT JOIN events e ON e.job = j.id
    GROUP BY j.id ORDER BY j.created_at DESC, j.id DESC";
/// From the jobs that wait for a payment, which are few, and not from all that the provider ever did.
pub(super) const UNPAID: &str = "SELECT j.token, j.pay
    FROM (SELECT id, token, pay FROM jobs WHERE state = 'settling' ORDER BY created_at DESC, id DESC LIMIT ?2) j
    CROSS JOIN attempts a ON a.job = j.id
    WHERE a.provider = ?1 AND a.state = 'accepted'";
pub(super) const FAILURES: &str = "SELECT count(*) FROM (SELECT 1 FROM attempts
    WHERE provider = ?1 AND state IN ('rejected', 'expired', 'failed') AND json_extract(body, '$.ended_at') >= ?2
    LIMIT ?3)";

/// A settled event, the job's token and GPUs, and the node whose attempt was accepted.
type PaymentRow = (String, [u8; 20], Option<u32>, Option<[u8; 20]>);

fn payment((body, token, gpus, node): PaymentRow) -> Result<Payment, StoreError> {
    let event: JobEvent = parse("events", &body)?;
    let EventBody::Settled { provider, amount, .. } = event.body else {
        let problem = "it is not the event that its index says".to_owned();
        return Err(StoreError::Corrupt { table: "events", problem });
    };
    Ok(Payment {
        job: event.job_id,
        at: event.at_ms,
        provider,
        token: token.into(),
        amount,
        node: node.map(|node| NodeId(node.into())),
        gpus,
    })
}

impl PaymentReads for SqliteRows<'_> {
    fn payments(
        &self,
        provider: Option<Address>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Payment>, StoreError> {
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let limit = int(limit as u64);
        let rows: Vec<PaymentRow> = match provider {
            None => self.all(&format!("{PAYMENTS}{NEWEST}"), (time(since), limit), read)?,
            Some(provider) => {
                let sql = format!("{PAYMENTS}{OF_PROVIDER}{NEWEST}");
                // As the event's JSON has it.
                self.all(&sql, (time(since), limit, word(&provider)), read)?
            }
        };
        rows.into_iter().map(payment).collect()
    }

    fn refunds(&self, since: Timestamp, limit: usize) -> Result<Vec<Timestamp>, StoreError> {
        self.all(REFUNDS, (time(since), int(limit as u64)), |row| Ok(timestamp(row.get(0)?)))
    }

    fn beginnings(&self, since: Timestamp, limit: usize) -> Result<Vec<Beginning>, StoreError> {
        self.all(BEGINNINGS, (time(since), int(limit as u64)), |row| {
            Ok(Beginning {
                created_at: timestamp(row.get(0)?),
                funded_at: row.get::<_, Option<i64>>(1)?.map(timestamp),
                started_at: row.get::<_, Option<i64>>(2)?.map(timestamp),
            })
        })
    }

    fn unpaid(&self, provider: Address, jobs_max: usize) -> Result<Vec<Unpaid>, StoreError> {
        let params = (provider.as_slice(), int(jobs_max as u64));
        let rows = self.all(UNPAID, params, |row| {
            Ok((Address::from(row.get::<_, [u8; 20]>(0)?), row.get::<_, String>(1)?))
        })?;
        let read = |(token, pay): (Address, String)| {
            let problem = |error: std::num::ParseIntError| StoreError::Corrupt {
                table: "jobs",
                problem: error.to_string(),
            };
            Ok(Unpaid { token, amount: Amount(pay.parse().map_err(problem)?) })
        };
        rows.into_iter().map(read).collect()
    }

    fn count_failures(
        &self,
        provider: Address,
        since: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let params = (provider.as_slice(), time(since), int(limit as u64));
        let count: Option<i64> = self.one(FAILURES, params, |row| row.get(0))?;
        Ok(usize::try_from(uint(count.unwrap_or(0))).unwrap_or(usize::MAX))
    }
}
