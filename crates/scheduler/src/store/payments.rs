//! The port to what has happened over time: payments, refunds, beginnings and failures, newest first and never more than
//! is asked for.

use gristmill_protocol::Address;
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::time::Timestamp;

use super::StoreError;

/// A provider was paid, finally.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payment {
    pub job: JobId,
    pub at: Timestamp,
    pub provider: Address,
    pub token: Address,
    /// Without the scheduler's fee.
    pub amount: Amount,
    /// Whose result it was; absent where the accepted attempt is not known here.
    pub node: Option<NodeId>,
    /// How many GPUs the job asked for; absent where its spec is not known.
    pub gpus: Option<u32>,
}

/// How a job began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beginning {
    pub created_at: Timestamp,
    /// When its bounty was locked, finally.
    pub funded_at: Option<Timestamp>,
    /// When a program of it started, the first time.
    pub started_at: Option<Timestamp>,
}

/// A result was accepted, and its provider is not paid yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unpaid {
    pub token: Address,
    /// The bounty without the fee.
    pub amount: Amount,
}

/// Reads of what has happened at or after a time.
pub trait PaymentReads {
    /// Payments to everybody, or to one provider.
    fn payments(
        &self,
        provider: Option<Address>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Payment>, StoreError>;
    /// When bounties went back to their submitters.
    fn refunds(&self, since: Timestamp, limit: usize) -> Result<Vec<Timestamp>, StoreError>;
    /// Jobs that were created.
    fn beginnings(&self, since: Timestamp, limit: usize) -> Result<Vec<Beginning>, StoreError>;
    /// What a provider waits for, in no particular order, looked for in the newest `jobs_max` jobs that wait for a payment.
    fn unpaid(&self, provider: Address, jobs_max: usize) -> Result<Vec<Unpaid>, StoreError>;
    /// How many attempts of a provider ended as rejected, expired or failed; counts no further than `limit`.
    fn count_failures(
        &self,
        provider: Address,
        since: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError>;
}
