//! One try of a job by one node.

use gristmill_protocol::Address;
use gristmill_protocol::api::AttemptState;
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken, NodeId};
use gristmill_protocol::receipt::Receipt;
use gristmill_protocol::signing::CompactSignature;
use gristmill_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The row of an attempt; its key is `(job, number)`.
///
/// A store keeps these in columns: `job`, `number` (primary key), `node` and `state` (index over live rows).
/// A promise that never reaches the chain leaves its number to the next one, which replaces the row: what belongs
/// to an attempt outside of it, such as its log, is kept under `(job, number, node)`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    pub job: JobId,
    /// The count of assignments on chain, this one included.
    pub number: AttemptNumber,
    pub node: NodeId,
    pub provider: Address,
    /// The fence. Absent where the assignment was not made by this market: then nobody can speak for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<LeaseToken>,
    pub state: AttemptState,
    pub assigned_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// The node's signed `Accept`: without it a job with a bond is not assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceptance: Option<Acceptance>,
    /// The node's signed `Release`: frees the escrow while the lease runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<CompactSignature>,
    /// Why it ended otherwise than by success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A node takes a job with a bond.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Acceptance {
    /// Until when it is valid, unix seconds.
    pub expires: u64,
    pub signature: CompactSignature,
}

/// A receipt and the node's signature over its hash, which the caller has checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    pub receipt: Receipt,
    pub signature: CompactSignature,
}
