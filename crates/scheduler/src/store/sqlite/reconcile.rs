//! What a reconciliation reads and writes in SQLite.

use gristmill_market::effect::Intent;
use gristmill_market::job::Job;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::time::Timestamp;

use super::SqliteRows;
use super::columns::{int, parse, time, timestamp, uint, word};
use crate::store::StoreError;
use crate::store::reconcile::{
    Difference, DifferenceKind, PayoutStop, ReconcileReads, ReconcileWrites, Resumption,
};

/// Before the first id comes the empty one.
fn after_id(after: Option<JobId>) -> Vec<u8> {
    after.map(|id| id.0.to_vec()).unwrap_or_default()
}

fn job_of(difference: &Difference) -> Vec<u8> {
    after_id(difference.job)
}

impl ReconcileReads for SqliteRows<'_> {
    fn jobs_in_escrow(
        &self,
        escrow: EscrowState,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        self.jobs_from(
            "SELECT body FROM jobs WHERE escrow = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            (word(&escrow), after_id(after), int(limit as u64)),
        )
    }

    fn count_in_escrow(&self, escrow: EscrowState) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM jobs WHERE escrow = ?1";
        Ok(self.one(sql, [word(&escrow)], |row| row.get(0))?.map_or(0, uint))
    }

    fn jobs_without_spec(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        self.jobs_from(
            "SELECT body FROM jobs WHERE runtime IS NULL AND state = 'queued' AND id > ?1
             ORDER BY id LIMIT ?2",
            (after_id(after), int(limit as u64)),
        )
    }

    fn final_intents(&self, job: JobId, until: u64) -> Result<Vec<Intent>, StoreError> {
        let sql =
            "SELECT intents.body FROM chain_intents AS intents JOIN chain_txs AS txs ON txs.id = intents.tx
             WHERE intents.job = ?1 AND intents.failure IS NULL
                   AND txs.state = 'final' AND txs.success = 1 AND txs.mined_number <= ?2
             ORDER BY intents.id";
        let bodies: Vec<String> =
            self.all(sql, (job.0.as_slice(), int(until)), |row| row.get(0))?;
        bodies.iter().map(|body| parse("chain_intents", body)).collect()
    }

    fn payout_stop(&self) -> Result<Option<PayoutStop>, StoreError> {
        let sql = "SELECT stopped_at, block, reason FROM payout_stops WHERE resumed_at IS NULL";
        self.one(sql, [], |row| {
            Ok(PayoutStop {
                since: timestamp(row.get(0)?),
                block: uint(row.get(1)?),
                reason: row.get(2)?,
            })
        })
    }

    fn differences(&self) -> Result<Vec<Difference>, StoreError> {
        let sql = "SELECT kind, job, detail FROM differences
             WHERE stop = (SELECT id FROM payout_stops WHERE resumed_at IS NULL) ORDER BY id";
        let rows = self.all(sql, [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, String>(2)?))
        })?;
        let read = |(kind, job, detail): (String, Vec<u8>, String)| {
            let corrupt = |problem| StoreError::Corrupt { table: "differences", problem };
            let known = DifferenceKind::ALL.iter().find(|known| known.as_str() == kind);
            let kind = *known.ok_or_else(|| corrupt(format!("`{kind}` is not a kind")))?;
            let job = if job.is_empty() {
                None
            } else {
                let id: [u8; 32] = job
                    .try_into()
                    .map_err(|_| corrupt("the id of a job has 32 bytes".to_owned()))?;
                Some(JobId(id.into()))
            };
            Ok(Difference { kind, job, detail })
        };
        rows.into_iter().map(read).collect()
    }

    fn is_accepted(&self, difference: &Difference) -> Result<bool, StoreError> {
        let sql =
            "SELECT 1 FROM differences JOIN payout_stops ON payout_stops.id = differences.stop
             WHERE kind = ?1 AND job = ?2 AND detail = ?3 AND forced = 1";
        let params = (difference.kind.as_str(), job_of(difference), &difference.detail);
        Ok(self.one(sql, params, |_| Ok(()))?.is_some())
    }
}

impl ReconcileWrites for SqliteRows<'_> {
    fn begin_stop(&mut self, stop: &PayoutStop) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO payout_stops (stopped_at, block, reason) SELECT ?1, ?2, ?3
             WHERE NOT EXISTS (SELECT 1 FROM payout_stops WHERE resumed_at IS NULL)",
            (time(stop.since), int(stop.block), &stop.reason),
        )?;
        Ok(())
    }

    fn add_difference(&mut self, difference: &Difference, at: Timestamp) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO differences (stop, kind, job, detail, found_at)
             VALUES ((SELECT id FROM payout_stops WHERE resumed_at IS NULL), ?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
            (difference.kind.as_str(), job_of(difference), &difference.detail, time(at)),
        )?;
        Ok(())
    }

    fn end_stop(&mut self, resumption: &Resumption) -> Result<bool, StoreError> {
        let ended = self.change(
            "UPDATE payout_stops SET resumed_at = ?1, resumed_because = ?2, forced = ?3
             WHERE resumed_at IS NULL",
            (time(resumption.at), &resumption.because, resumption.forced),
        )?;
        Ok(ended > 0)
    }
}
