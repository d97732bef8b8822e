//! Bodies of the HTTP API `/v1`, shared by scheduler, node and command line. Times are milliseconds since the Unix
//! epoch, amounts decimal strings in the token's smallest unit.

use std::fmt;

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{AttemptNumber, JobId, LeaseToken, NodeId, ReceiptHash, SpecHash, TxHash};
use crate::money::Amount;
use crate::order::Funding;
use crate::receipt::{Outcome, Receipt};
use crate::signing::CompactSignature;
use crate::spec::{JobSpec, RuntimeKind, Strategy, parse_compute_capability};
use crate::terms::Terms;
use crate::time::Timestamp;

mod enrollment;
mod images;
mod market;
mod preview;
mod web;

pub use enrollment::{Consent, WAITING_PER_PROVIDER_MAX, WaitingNode};
pub use images::{IMAGE_PLATFORM, ResolvedImage};
pub use market::{
    MARKET_DAYS, MarketClass, MarketDay, MarketView, PROVIDER_DAYS_MAX, ProviderDay, ProviderView,
    TokenSum,
};
pub use preview::{MatchPreview, PreviewRequest, PriceFloors};
pub use web::{WebChain, WebCoin, WebConfig};

/// Longest time that a poll may wait for work.
pub const POLL_WAIT_MS_MAX: u32 = 60_000;
/// Bytes of one upload of log, and of a JSON body.
pub const LOG_CHUNK_BYTES_MAX: usize = 1 << 20;
/// Characters of a reason that a node gives.
pub const REASON_CHARS_MAX: usize = 500;

/// What this scheduler is, and what it asks of jobs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Info {
    pub version: String,
    pub chain_id: u64,
    #[schema(value_type = String)]
    pub contract: Address,
    /// Goes into the terms as `scheduler`.
    #[schema(value_type = String)]
    pub scheduler: Address,
    /// Suggested for the terms as `arbiter`.
    #[schema(value_type = String)]
    pub arbiter: Address,
    /// The least fee, in hundredths of a percent of the bounty.
    pub fee_bps: u16,
    /// Suggested for the terms.
    pub lease_seconds: u32,
    pub grace_seconds: u32,
    pub attempt_seconds: u32,
    pub challenge_window: u32,
    pub ruling_seconds: u32,
    /// A node that is not heard for this long is called in.
    pub silence_ms: u64,
    pub strategy: Strategy,
    /// Bytes of one upload of content.
    pub content_bytes_max: u64,
    /// Set while this scheduler signs nothing, because contract, events and its database differ. A person looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payouts_stopped: Option<PayoutsStopped>,
}

/// Why a scheduler neither assigns nor pays now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PayoutsStopped {
    pub since_ms: Timestamp,
    pub reason: String,
}

// ---- signing in ----

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Nonce {
    /// Goes into the Sign-In with Ethereum message (EIP-4361).
    pub nonce: String,
    pub expires_at_ms: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The EIP-4361 message, byte for byte as it was signed.
    pub message: String,
    /// The EIP-191 signature: 65 bytes, 0x and hexadecimal.
    pub signature: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Login {
    /// Goes into `Authorization: Bearer …`.
    pub token: String,
    #[schema(value_type = String)]
    pub address: Address,
    pub expires_at_ms: Timestamp,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("address", &self.address).finish_non_exhaustive()
    }
}

// ---- jobs ----

/// Where a job stands.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The bounty is not locked yet.
    Funding,
    /// Waits for a node.
    Queued,
    /// A node works on it.
    Assigned,
    /// Its node went silent and was called in on chain.
    CallingIn,
    /// A result is being checked.
    Verifying,
    /// The node put its result on chain itself.
    Published,
    /// Accepted; the payment is on its way.
    Settling,
    /// The bounty is on its way back.
    Refunding,
    /// Paid, finally.
    Settled,
    /// Refunded, finally.
    Refunded,
    /// Given up before the bounty was locked.
    Cancelled,
}

impl JobState {
    pub const ALL: &'static [Self] = &[
        Self::Funding,
        Self::Queued,
        Self::Assigned,
        Self::CallingIn,
        Self::Verifying,
        Self::Published,
        Self::Settling,
        Self::Refunding,
        Self::Settled,
        Self::Refunded,
        Self::Cancelled,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Funding => "funding",
            Self::Queued => "queued",
            Self::Assigned => "assigned",
            Self::CallingIn => "calling_in",
            Self::Verifying => "verifying",
            Self::Published => "published",
            Self::Settling => "settling",
            Self::Refunding => "refunding",
            Self::Settled => "settled",
            Self::Refunded => "refunded",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more is to come. (A cancelled job whose deposit lands late is refunded after all.)
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Settled | Self::Refunded | Self::Cancelled)
    }
}

/// Where one attempt stands.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    Leased,
    Running,
    Reported,
    Accepted,
    Rejected,
    Expired,
    Released,
    Failed,
    Abandoned,
}

impl AttemptState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Running => "running",
            Self::Reported => "reported",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Released => "released",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether the attempt's node still holds the job.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Leased | Self::Running | Self::Reported)
    }
}

/// The contract's state of a job, as the scheduler has seen it finally.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EscrowState {
    #[default]
    None,
    Open,
    Assigned,
    Held,
    Published,
    Disputed,
    Paid,
    Refunded,
    Cancelled,
}

/// How an arbiter ends a dispute.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// The provider is paid.
    Pay,
    /// The bounty goes back to the submitter.
    Refund,
    /// The job is open again, for another node.
    Reopen,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateJob {
    /// The spec that they name must have been uploaded before.
    pub terms: Terms,
    /// An order that pays for the job. Without one its submitter opens it on chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding: Option<Funding>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    pub id: JobId,
    pub state: JobState,
    /// One sentence for people: what is happening, or why nothing is.
    pub summary: String,
    pub escrow: EscrowState,
    pub terms: Terms,
    /// Absent while only the chain knows of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<JobSpec>,
    pub attempts: Vec<AttemptView>,
    pub attempts_max: u16,
    pub created_at_ms: Timestamp,
    pub version: u64,
    /// The accepted result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Receipt>,
    pub transactions: Vec<TransactionView>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    pub number: AttemptNumber,
    pub node: NodeId,
    #[schema(value_type = String)]
    pub provider: Address,
    pub state: AttemptState,
    pub assigned_at_ms: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The node's signature over the receipt: a `Result` where the outcome is success, a `Failure` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<CompactSignature>,
    /// Why it failed, was rejected or ended otherwise than by success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub log_bytes: u64,
}

/// A transaction that the scheduler sent for a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TransactionView {
    pub kind: IntentKind,
    pub state: IntentState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<TxHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gas_used: Option<u64>,
}

/// What the scheduler may have to do on chain.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum IntentKind {
    /// Opens a job from its submitter's balance, by an order.
    Open,
    /// The same, and assigns it at once.
    OpenAndAssign,
    Assign,
    CallIn,
    Release,
    Lapse,
    Settle,
    Claim,
    Refund,
}

impl IntentKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::OpenAndAssign => "open_and_assign",
            Self::Assign => "assign",
            Self::CallIn => "call_in",
            Self::Release => "release",
            Self::Lapse => "lapse",
            Self::Settle => "settle",
            Self::Claim => "claim",
            Self::Refund => "refund",
        }
    }
}

#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    Planned,
    Signed,
    Sent,
    Mined,
    Final,
    /// It was mined and reverted, or can never be: a person should look.
    Blocked,
}

/// One step in a job's history. Versions of a job have no gaps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobEvent {
    pub job_id: JobId,
    pub version: u64,
    pub at_ms: Timestamp,
    #[serde(flatten)]
    pub body: EventBody,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventBody {
    Created,
    /// The bounty is locked, finally.
    Funded,
    Queued {
        reason: String,
    },
    Assigned {
        attempt: AttemptNumber,
        node: NodeId,
    },
    Started {
        attempt: AttemptNumber,
    },
    CalledIn {
        attempt: AttemptNumber,
    },
    Renewed {
        attempt: AttemptNumber,
    },
    Reported {
        attempt: AttemptNumber,
        outcome: Outcome,
        output_cid: String,
    },
    Accepted {
        attempt: AttemptNumber,
        receipt_hash: ReceiptHash,
    },
    Rejected {
        attempt: AttemptNumber,
        reasons: Vec<String>,
    },
    Failed {
        attempt: AttemptNumber,
        reason: String,
    },
    Released {
        attempt: AttemptNumber,
        reason: String,
    },
    Expired {
        attempt: AttemptNumber,
    },
    Abandoned {
        attempt: AttemptNumber,
        reason: String,
    },
    Published {
        attempt: AttemptNumber,
        receipt_hash: ReceiptHash,
    },
    /// Settled on chain and held until then.
    Held {
        until_ms: Timestamp,
    },
    /// A provider that fell silent has lost its bond.
    Forfeited {
        #[schema(value_type = String)]
        provider: Address,
        /// What became the submitter's at once.
        to_submitter: Amount,
        /// What waits for whoever completes the job.
        to_pool: Amount,
    },
    /// The result is disputed on chain; the arbiter has until then.
    Disputed {
        #[schema(value_type = String)]
        by: Address,
        until_ms: Timestamp,
    },
    /// The arbiter has ruled.
    Ruled {
        ruling: Ruling,
    },
    Settled {
        #[schema(value_type = String)]
        provider: Address,
        amount: Amount,
        fee: Amount,
    },
    Refunding {
        reason: String,
    },
    Refunded {
        amount: Amount,
    },
    Cancelled {
        reason: String,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Goes into `cursor` for what follows; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A line of a list of jobs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobSummary {
    pub id: JobId,
    pub name: String,
    pub state: JobState,
    pub runtime: RuntimeKind,
    #[schema(value_type = String)]
    pub submitter: Address,
    pub bounty: Amount,
    /// The scheduler's share of the bounty.
    pub fee: Amount,
    #[schema(value_type = String)]
    pub token: Address,
    pub deadline: u64,
    pub attempts: u16,
    pub created_at_ms: Timestamp,
    /// When the job was settled, refunded or cancelled; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<Timestamp>,
}

/// Why a job waits, and what would help.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub job_id: JobId,
    pub state: JobState,
    /// The answer in one sentence.
    pub summary: String,
    pub nodes_total: u32,
    pub nodes_matching: u32,
    /// For each constraint, how many nodes it alone or with others removed, in the order in which they are tried.
    pub removed: Vec<ConstraintRemoval>,
    /// The smallest change that would match a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConstraintRemoval {
    /// A stable name, such as `memory` or `price`.
    pub constraint: String,
    pub nodes: u32,
}

// ---- nodes ----

/// A provider's ask: what the node has, what it takes for it, and its limits. All that it has is *reported*.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    pub runtimes: Vec<RuntimeKind>,
    pub cpu_millis: u32,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    #[serde(default)]
    pub gpus: Vec<Gpu>,
    /// The least that a job must pay the provider, its fee already taken off.
    pub price_floor: Amount,
    /// The token in which jobs must pay; the zero address for the native coin.
    #[schema(value_type = String)]
    pub token: Address,
    /// The longest run that the node accepts.
    pub max_run_seconds: u32,
    /// Bytes of log that the node keeps of one attempt.
    pub log_bytes_max: u64,
    /// The largest bond that the provider puts at stake for one job; 0 for none.
    #[serde(default)]
    pub bond_max: Amount,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    pub model: String,
    pub vram_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<String>,
}

impl Offer {
    /// Says what is wrong with an offer, if anything.
    pub fn validate(&self) -> Result<(), String> {
        let mut runtimes = self.runtimes.clone();
        runtimes.dedup();
        if runtimes.is_empty() || runtimes.len() != self.runtimes.len() {
            return Err("`runtimes` must name each runtime once, and at least one".into());
        }
        if self.cpu_millis == 0 || self.memory_bytes == 0 || self.disk_bytes == 0 {
            return Err("`cpu_millis`, `memory_bytes` and `disk_bytes` must be more than 0".into());
        }
        if self.gpus.len() > 16 {
            return Err("`gpus` has more than 16 entries".into());
        }
        for gpu in &self.gpus {
            if gpu.model.is_empty()
                || gpu.model.len() > 64
                || gpu.model.chars().any(char::is_control)
            {
                return Err("`gpus.model` must be 1 to 64 plain characters".into());
            }
            if gpu
                .compute_capability
                .as_deref()
                .is_some_and(|text| parse_compute_capability(text).is_none())
            {
                return Err("`gpus.compute_capability` must look like 8.6".into());
            }
        }
        if self.max_run_seconds == 0 {
            return Err("`max_run_seconds` must be more than 0".into());
        }
        Ok(())
    }
}

#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    Idle,
    Busy,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Not heard for a while.
    Offline,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    pub id: NodeId,
    #[schema(value_type = String)]
    pub provider: Address,
    pub state: NodeState,
    pub offer: Offer,
    pub registered_at_ms: Timestamp,
    pub last_heard_at_ms: Timestamp,
    pub attempts_accepted: u64,
    pub attempts_failed: u64,
    /// What its finished attempts say of it, fading with their age: 0 is the worst, 1000 the best, 500 a node without a
    /// past.
    pub reputation_permille: u16,
    /// What it holds now.
    pub holding: Vec<AttemptRef>,
}

#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
pub struct AttemptRef {
    pub job_id: JobId,
    pub attempt: AttemptNumber,
}

/// A node says that it is there, and asks for work. Waiting polls are answered as soon as there is some.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PollRequest {
    /// What the node holds. An assignment that is missing here is sent again.
    pub holding: Vec<AttemptRef>,
    /// How long the scheduler may wait for work, in milliseconds, at most 60,000.
    pub wait_ms: u32,
    /// Take nothing new.
    #[serde(default)]
    pub draining: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PollReply {
    pub assignments: Vec<Assignment>,
    /// What the node holds and must stop.
    pub stop: Vec<Stop>,
    /// Poll again within this time, or be called in.
    pub silence_ms: u64,
    pub now_ms: Timestamp,
}

/// Work for a node. It checks all of it against the chain before it spends anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Assignment {
    pub job_id: JobId,
    pub attempt: AttemptNumber,
    pub lease_token: LeaseToken,
    pub terms: Terms,
    pub spec: JobSpec,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Stop {
    pub job_id: JobId,
    pub attempt: AttemptNumber,
    pub reason: String,
    /// The scheduler asks for a signed `Release`, so that the job is free for another node.
    pub release: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    pub lease_token: LeaseToken,
}

/// The node takes a job with a bond. Without this it is not assigned on chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    pub lease_token: LeaseToken,
    /// Until when the acceptance is valid, unix seconds.
    pub expires: u64,
    /// Of `Accept`.
    pub signature: CompactSignature,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    pub lease_token: LeaseToken,
    pub receipt: Receipt,
    /// Of `Result` where the outcome is success, of `Failure` otherwise.
    pub signature: CompactSignature,
    /// Of `Release`, with a failure: frees the job at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<CompactSignature>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    pub lease_token: LeaseToken,
    /// Of `Release`.
    pub signature: CompactSignature,
    pub reason: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogAccepted {
    /// Where the next chunk starts.
    pub next_offset: u64,
}

// ---- specs and content ----

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SpecStored {
    pub spec_hash: SpecHash,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ContentStored {
    /// The roots that the CAR named, all of whose blocks are stored now.
    pub roots: Vec<String>,
    pub blocks: u64,
    pub bytes: u64,
}
