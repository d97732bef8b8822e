//! The port to what a reconciliation reads, and to what it leaves behind: the stop of payouts, and why.

use std::fmt;

use gristmill_market::effect::Intent;
use gristmill_market::job::Job;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::time::Timestamp;
use serde::Serialize;

use super::{StoreError, Writes};

/// Differences that are kept of one stop. Many more say no more.
pub const DIFFERENCES_MAX: usize = 1000;

/// What does not agree with what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The event log contradicts itself: an event is missing, or was never the contract's.
    Events,
    /// The contract's own state is not what its events lead to.
    Contract,
    /// The database has another state than the events lead to.
    Database,
    /// The chain has a job for this scheduler, and the database does not.
    JobMissing,
    /// The database has a bounty locked of which the chain knows nothing.
    JobUnknown,
    /// A payment is missing, or is not the one that was due.
    Payment,
    /// A transaction counts as final, and what it should have done is not on chain.
    Intent,
    /// The contract holds less than it owes.
    Balance,
}

impl DifferenceKind {
    pub const ALL: &'static [Self] = &[
        Self::Events,
        Self::Contract,
        Self::Database,
        Self::JobMissing,
        Self::JobUnknown,
        Self::Payment,
        Self::Intent,
        Self::Balance,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Contract => "contract",
            Self::Database => "database",
            Self::JobMissing => "job_missing",
            Self::JobUnknown => "job_unknown",
            Self::Payment => "payment",
            Self::Intent => "intent",
            Self::Balance => "balance",
        }
    }
}

/// Something that contract, events and database do not agree on. The same at every look, as long as it stays the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Difference {
    pub kind: DifferenceKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    pub detail: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.job {
            Some(job) => write!(formatter, "job {job}: {}", self.detail),
            None => formatter.write_str(&self.detail),
        }
    }
}

/// Payouts are stopped until a person has looked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PayoutStop {
    pub since: Timestamp,
    /// The block at which contract, events and database differed.
    pub block: u64,
    pub reason: String,
}

/// A person lets payouts go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resumption {
    pub at: Timestamp,
    pub because: String,
    /// Although the differences are still there: they are accepted from now on.
    pub forced: bool,
}

/// Reads for a reconciliation.
pub trait ReconcileReads {
    /// Jobs whose mirror of the escrow is in this state, by ascending id, after `after`.
    fn jobs_in_escrow(
        &self,
        escrow: EscrowState,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<Job>, StoreError>;
    /// How many jobs these are.
    fn count_in_escrow(&self, escrow: EscrowState) -> Result<u64, StoreError>;
    /// Queued jobs whose spec is not known, by ascending id, after `after`.
    fn jobs_without_spec(&self, after: Option<JobId>, limit: usize)
    -> Result<Vec<Job>, StoreError>;
    /// What of a job counts as done: intents whose transactions are final and succeeded, in blocks up to `until`.
    fn final_intents(&self, job: JobId, until: u64) -> Result<Vec<Intent>, StoreError>;
    /// Why nothing is signed, if so.
    fn payout_stop(&self) -> Result<Option<PayoutStop>, StoreError>;
    /// What is known of why payouts are stopped, oldest first.
    fn differences(&self) -> Result<Vec<Difference>, StoreError>;
    /// Whether a person has accepted this difference by a forced resumption.
    fn is_accepted(&self, difference: &Difference) -> Result<bool, StoreError>;
}

/// Writes of a reconciliation.
pub trait ReconcileWrites {
    /// Stops payouts; where they are stopped already, that stop stays as it is.
    fn begin_stop(&mut self, stop: &PayoutStop) -> Result<(), StoreError>;
    /// Adds to why payouts are stopped; what is known already is left alone. They must be stopped.
    fn add_difference(&mut self, difference: &Difference, at: Timestamp) -> Result<(), StoreError>;
    /// Lets payouts go on; false where they were not stopped.
    fn end_stop(&mut self, resumption: &Resumption) -> Result<bool, StoreError>;
}

/// Stops payouts for what was found, but for what a person has accepted. Returns what is left.
pub fn stop_payouts(
    rows: &mut dyn Writes,
    found: &[Difference],
    block: u64,
    now: Timestamp,
) -> Result<Vec<Difference>, StoreError> {
    let mut left = Vec::new();
    for difference in found {
        if !rows.is_accepted(difference)? {
            left.push(difference.clone());
        }
    }
    let Some(first) = left.first() else { return Ok(left) };
    rows.begin_stop(&PayoutStop { since: now, block, reason: first.to_string() })?;
    let room = DIFFERENCES_MAX.saturating_sub(rows.differences()?.len());
    for difference in left.iter().take(room) {
        rows.add_difference(difference, now)?;
    }
    Ok(left)
}
