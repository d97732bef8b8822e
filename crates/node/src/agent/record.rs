//! What the node knows of one attempt: exactly what the journal keeps, so that a restart continues from it.

use gristmill_protocol::api::{Assignment, AttemptRef};
use gristmill_protocol::receipt::{Outcome, Receipt};
use gristmill_protocol::signing::CompactSignature;
use gristmill_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    pub assignment: Assignment,
    pub phase: Phase,
    /// When the lease ends by the chain's clock, in unix seconds, as it was last seen.
    #[serde(default)]
    pub lease_end: Option<u64>,
    /// The signature with which the bond of this attempt can be locked, once it was given.
    #[serde(default)]
    pub acceptance: Option<Acceptance>,
}

/// The node has signed that it takes a job with a bond. That cannot be taken back; it ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Acceptance {
    /// By the chain's clock, in unix seconds.
    pub expires: u64,
    /// The scheduler has answered. Until then it is sent again and again.
    pub is_answered: bool,
}

impl Record {
    #[must_use]
    pub fn held(&self) -> AttemptRef {
        AttemptRef { job_id: self.assignment.job_id, attempt: self.assignment.attempt }
    }
}

/// How far an attempt has come. Each is on disk before what it names is begun.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Taken on; the escrow has not been seen yet, and nothing has been spent.
    Accepted,
    /// Inputs and program are being fetched.
    Preparing,
    /// The program may have been started, or not.
    Starting {
        started_at_ms: Timestamp,
    },
    Running {
        started_at_ms: Timestamp,
    },
    /// The program ended; its output is being hashed.
    Collecting {
        started_at_ms: Timestamp,
        ended: Ended,
    },
    /// The receipt is signed, and on its way to the scheduler.
    Signed {
        signed: Box<SignedReceipt>,
    },
    /// The scheduler has answered for good; what follows happens on chain.
    Delivered {
        signed: Box<SignedReceipt>,
        answer: String,
    },
    /// The attempt is being given back.
    Releasing {
        reason: String,
    },
    /// Nothing more will be done. Kept, so that no attempt is ever run twice.
    Over {
        how: String,
    },
}

impl Phase {
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Collecting { .. } => "collecting",
            Self::Signed { .. } => "signed",
            Self::Delivered { .. } => "delivered",
            Self::Releasing { .. } => "releasing",
            Self::Over { .. } => "over",
        }
    }

    /// Whether something is left that only this machine can do now. A result that was delivered waits for its payment.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Accepted
            | Self::Preparing
            | Self::Starting { .. }
            | Self::Running { .. }
            | Self::Collecting { .. }
            | Self::Signed { .. }
            | Self::Releasing { .. } => true,
            Self::Delivered { .. } | Self::Over { .. } => false,
        }
    }

    /// The receipt, once there is one.
    #[must_use]
    pub fn signed(&self) -> Option<&SignedReceipt> {
        match self {
            Self::Signed { signed } | Self::Delivered { signed, .. } => Some(signed),
            Self::Accepted
            | Self::Preparing
            | Self::Starting { .. }
            | Self::Running { .. }
            | Self::Collecting { .. }
            | Self::Releasing { .. }
            | Self::Over { .. } => None,
        }
    }
}

/// How a program ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    pub outcome: Outcome,
    pub finished_at_ms: Timestamp,
    #[serde(default)]
    pub fuel_used: Option<u64>,
    /// Bytes of log that it wrote, whether kept or not.
    pub log_bytes: u64,
}

/// A receipt with the node's signature: of `Result` where it is a success, of `Failure` otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignedReceipt {
    pub receipt: Receipt,
    pub signature: CompactSignature,
}
