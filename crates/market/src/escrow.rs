//! The contract's slot of a job, as final events have shown it.

use gristmill_protocol::Address;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::ids::{AttemptNumber, NodeId, ReceiptHash};
use serde::{Deserialize, Serialize};

/// Where a log stands on chain. Events of a job are applied in this order, and each once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct ChainPosition {
    pub block: u64,
    pub log_index: u32,
}

/// Who holds the job on chain, and until when. Times are unix seconds of blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Escrow {
    /// The bounty is not locked.
    #[default]
    None,
    Open,
    Assigned {
        node: NodeId,
        attempt: AttemptNumber,
        /// The last renewal or assignment: a call-in is possible a quarter of a lease after it.
        renewed_at_s: u64,
        /// The last second of the lease.
        lease_end_s: u64,
        /// Called in, and not renewed since.
        called_in: bool,
    },
    /// Settled; paid by a claim after `until_s`.
    Held {
        node: NodeId,
        attempt: AttemptNumber,
        until_s: u64,
    },
    /// The node put its result on chain; settled by the scheduler until `until_s`, or claimed after it.
    Published {
        node: NodeId,
        attempt: AttemptNumber,
        receipt_hash: ReceiptHash,
        until_s: u64,
    },
    /// The arbiter may rule until `until_s`; after it a claim pays the provider.
    Disputed {
        node: NodeId,
        attempt: AttemptNumber,
        by: Address,
        until_s: u64,
    },
    Paid,
    Refunded,
    /// Withdrawn by the submitter, or forbidden before it was opened.
    Cancelled,
}

impl Escrow {
    /// The state in the words of the API.
    #[must_use]
    pub fn name(&self) -> EscrowState {
        match self {
            Self::None => EscrowState::None,
            Self::Open => EscrowState::Open,
            Self::Assigned { .. } => EscrowState::Assigned,
            Self::Held { .. } => EscrowState::Held,
            Self::Published { .. } => EscrowState::Published,
            Self::Disputed { .. } => EscrowState::Disputed,
            Self::Paid => EscrowState::Paid,
            Self::Refunded => EscrowState::Refunded,
            Self::Cancelled => EscrowState::Cancelled,
        }
    }

    /// The attempt that the contract knows to be at work, or to have delivered.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptNumber> {
        match *self {
            Self::Assigned { attempt, .. }
            | Self::Held { attempt, .. }
            | Self::Published { attempt, .. }
            | Self::Disputed { attempt, .. } => Some(attempt),
            Self::None | Self::Open | Self::Paid | Self::Refunded | Self::Cancelled => None,
        }
    }

    /// Who delivered, or is at work.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match *self {
            Self::Assigned { node, .. }
            | Self::Held { node, .. }
            | Self::Published { node, .. }
            | Self::Disputed { node, .. } => Some(node),
            Self::None | Self::Open | Self::Paid | Self::Refunded | Self::Cancelled => None,
        }
    }

    /// Whether nothing can happen on chain any more.
    #[must_use]
    pub fn is_end(&self) -> bool {
        match self {
            Self::Paid | Self::Refunded | Self::Cancelled => true,
            Self::None
            | Self::Open
            | Self::Assigned { .. }
            | Self::Held { .. }
            | Self::Published { .. }
            | Self::Disputed { .. } => false,
        }
    }
}
