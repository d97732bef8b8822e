//! Everything that can happen to the market, as data. Time comes in beside a command; ids and randomness are in it.

use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptRef, IntentKind, Offer, Ruling};
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken, NodeId, ReceiptHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::Funding;
use gristmill_protocol::receipt::Receipt;
use gristmill_protocol::signing::CompactSignature;
use gristmill_protocol::terms::Terms;
use serde::{Deserialize, Serialize};

use crate::demand::KnownSpec;
use crate::effect::Intent;
use crate::escrow::ChainPosition;
use crate::node::Standing;

/// One thing that happened. The caller has checked every signature and who speaks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// `by` posts a job. `job` is the hash of `terms`; `spec` has been uploaded before. A job that the chain has shown
    /// without its spec is completed; a job that is known is left alone. `token` is for an assignment that may follow.
    /// With `funding`, an order that its submitter has signed, it waits for nothing but a node.
    CreateJob {
        job: JobId,
        by: Address,
        terms: Terms,
        spec: KnownSpec,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        funding: Option<Funding>,
        token: LeaseToken,
    },
    /// `by` wants its job back. Its wallet calls `cancel` or `refund` on chain; here the work stops.
    CancelJob { job: JobId, by: Address },
    /// A final event of the contract.
    Chain { event: ChainEvent, token: LeaseToken },
    /// An intent was mined and reverted, was skipped in a batch, or can never be mined. One that opens and assigns has
    /// not failed where it did open the job: the assignment is asked for again.
    IntentFailed { intent: IntentRef, reason: String },
    /// A node, enrolled by `provider`, makes or changes its offer.
    RegisterNode { node: NodeId, provider: Address, offer: Offer, standing: Standing },
    /// The chain says whether this scheduler may assign to the node.
    NodeStanding { node: NodeId, standing: Standing },
    /// A node says what it holds and asks for work.
    Poll { node: NodeId, holding: Vec<AttemptRef>, draining: bool, token: LeaseToken },
    /// The node takes a job with a bond.
    Accept { speaker: Speaker, expires: u64, signature: CompactSignature },
    /// The program is about to start.
    Start { speaker: Speaker },
    /// An attempt ended: with success if the receipt says so, else with `release` to free the job at once.
    Report {
        speaker: Speaker,
        receipt: Receipt,
        signature: CompactSignature,
        release: Option<CompactSignature>,
    },
    /// The node gives the attempt back, for a reason that is not the job's fault, or because it was told to stop.
    Release { speaker: Speaker, signature: CompactSignature, reason: String },
    /// The verifier has looked at a result.
    Verdict { job: JobId, attempt: AttemptNumber, receipt_hash: ReceiptHash, verdict: Verdict },
    /// The job's `due_at` has come.
    JobDue { job: JobId, token: LeaseToken },
    /// The node's `due_at` has come.
    NodeDue { node: NodeId },
}

/// Who speaks about an attempt. Only the holder of the newest one, with its token, is heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Speaker {
    pub node: NodeId,
    pub job: JobId,
    pub attempt: AttemptNumber,
    pub token: LeaseToken,
}

/// What a verifier says of a result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    Accept,
    Reject { reasons: Vec<String> },
}

/// A final event of the contract about one job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChainEvent {
    pub job: JobId,
    pub position: ChainPosition,
    /// The time of its block, in unix seconds.
    pub at_s: u64,
    pub fact: Fact,
}

/// What the contract says has happened. Events are final, in order, and may come twice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// `spec` where the store has it.
    Opened {
        terms: Terms,
        spec: Option<KnownSpec>,
    },
    Cancelled {
        amount: Amount,
    },
    Assigned {
        node: NodeId,
        provider: Address,
        attempt: AttemptNumber,
    },
    CalledIn {
        attempt: AttemptNumber,
        lease_end_s: u64,
    },
    Renewed {
        attempt: AttemptNumber,
        lease_end_s: u64,
    },
    Released {
        attempt: AttemptNumber,
    },
    Lapsed {
        attempt: AttemptNumber,
    },
    /// Follows a lapse, or a ruling to open the job again.
    Forfeited {
        provider: Address,
        to_submitter: Amount,
        to_pool: Amount,
    },
    Settled {
        node: NodeId,
        attempt: AttemptNumber,
        receipt_hash: ReceiptHash,
    },
    Published {
        node: NodeId,
        attempt: AttemptNumber,
        receipt_hash: ReceiptHash,
    },
    Disputed {
        by: Address,
        until_s: u64,
    },
    /// What a ruling to pay or to refund does comes as the next event.
    Ruled {
        ruling: Ruling,
    },
    Paid {
        provider: Address,
        amount: Amount,
        fee: Amount,
    },
    Refunded {
        amount: Amount,
    },
}

/// Names an intent that was planned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IntentRef {
    pub job: JobId,
    pub kind: IntentKind,
    pub subject: String,
}

impl Intent {
    #[must_use]
    pub fn reference(&self) -> IntentRef {
        IntentRef { job: self.job, kind: self.kind(), subject: self.subject() }
    }
}

impl Command {
    /// The job that the command is about, if it is about one.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::CreateJob { job, .. }
            | Self::CancelJob { job, .. }
            | Self::Verdict { job, .. }
            | Self::JobDue { job, .. } => Some(*job),
            Self::Chain { event, .. } => Some(event.job),
            Self::IntentFailed { intent, .. } => Some(intent.job),
            Self::Accept { speaker, .. }
            | Self::Start { speaker }
            | Self::Report { speaker, .. }
            | Self::Release { speaker, .. } => Some(speaker.job),
            Self::RegisterNode { .. }
            | Self::NodeStanding { .. }
            | Self::Poll { .. }
            | Self::NodeDue { .. } => None,
        }
    }
}
