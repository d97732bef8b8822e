//! What a reconciliation reads and writes in memory.

use gristmill_market::effect::Intent;
use gristmill_market::job::{Job, State};
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::time::Timestamp;

use super::MemoryRows;
use crate::store::StoreError;
use crate::store::reconcile::{
    Difference, PayoutStop, ReconcileReads, ReconcileWrites, Resumption,
};

/// A stop, and how it ended.
#[derive(Clone)]
pub(super) struct StopEntry {
    stop: PayoutStop,
    differences: Vec<Difference>,
    resumption: Option<Resumption>,
}

impl MemoryRows {
    fn page(&self, after: Option<JobId>, limit: usize, wanted: impl Fn(&Job) -> bool) -> Vec<Job> {
        let follows = |job: &&Job| after.is_none_or(|after| job.id > after) && wanted(job);
        self.jobs.values().filter(follows).take(limit).cloned().collect()
    }

    fn open_stop(&self) -> Option<&StopEntry> {
        self.stops.last().filter(|entry| entry.resumption.is_none())
    }

    fn open_stop_mut(&mut self) -> Option<&mut StopEntry> {
        self.stops.last_mut().filter(|entry| entry.resumption.is_none())
    }
}

impl ReconcileReads for MemoryRows {
    fn jobs_in_escrow(
        &self,
        escrow: EscrowState,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        Ok(self.page(after, limit, |job| job.escrow.name() == escrow))
    }

    fn count_in_escrow(&self, escrow: EscrowState) -> Result<u64, StoreError> {
        Ok(self.jobs.values().filter(|job| job.escrow.name() == escrow).count() as u64)
    }

    fn jobs_without_spec(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError> {
        Ok(self.page(after, limit, |job| {
            job.demand.is_none() && matches!(job.state, State::Queued { .. })
        }))
    }

    fn final_intents(&self, job: JobId, until: u64) -> Result<Vec<Intent>, StoreError> {
        Ok(self.chain.final_intents(job, until))
    }

    fn payout_stop(&self) -> Result<Option<PayoutStop>, StoreError> {
        Ok(self.open_stop().map(|entry| entry.stop.clone()))
    }

    fn differences(&self) -> Result<Vec<Difference>, StoreError> {
        Ok(self.open_stop().map(|entry| entry.differences.clone()).unwrap_or_default())
    }

    fn is_accepted(&self, difference: &Difference) -> Result<bool, StoreError> {
        Ok(self.stops.iter().any(|entry| {
            entry.resumption.as_ref().is_some_and(|resumption| resumption.forced)
                && entry.differences.contains(difference)
        }))
    }
}

impl ReconcileWrites for MemoryRows {
    fn begin_stop(&mut self, stop: &PayoutStop) -> Result<(), StoreError> {
        if self.open_stop().is_none() {
            let entry = StopEntry { stop: stop.clone(), differences: Vec::new(), resumption: None };
            self.stops.push(entry);
        }
        Ok(())
    }

    fn add_difference(
        &mut self,
        difference: &Difference,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.open_stop_mut() else {
            let problem = "a difference belongs to a stop that is open".to_owned();
            return Err(StoreError::Corrupt { table: "differences", problem });
        };
        if !entry.differences.contains(difference) {
            entry.differences.push(difference.clone());
        }
        Ok(())
    }

    fn end_stop(&mut self, resumption: &Resumption) -> Result<bool, StoreError> {
        let Some(entry) = self.open_stop_mut() else { return Ok(false) };
        entry.resumption = Some(resumption.clone());
        Ok(true)
    }
}
