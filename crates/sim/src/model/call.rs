//! The verbs of the contract, as data.

use gristmill_protocol::Address;
use gristmill_protocol::B256;
use gristmill_protocol::api::Ruling;
use gristmill_protocol::ids::{JobId, NodeId, ReceiptHash};
use gristmill_protocol::order::{MultiProof, Order};
use gristmill_protocol::signing::CompactSignature;
use gristmill_protocol::terms::Terms;

/// A job to be opened from its submitter's balance, for `node` at once if there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opening {
    pub terms: Terms,
    pub node: Option<NodeId>,
}

/// An assignment that needs the job's terms. Acceptance and `expires` count where there is a bond.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    pub terms: Terms,
    pub node: NodeId,
    pub attempt: u16,
    pub expires: u64,
    pub acceptance: CompactSignature,
}

/// A result to be accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settlement {
    pub terms: Terms,
    pub receipt_hash: ReceiptHash,
    pub signature: CompactSignature,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    // Jobs: the submitter.
    Open {
        terms: Terms,
    },
    /// The permit is one that the token takes: it allows the bounty.
    OpenWithPermit {
        terms: Terms,
    },
    OpenMany {
        openings: Vec<Opening>,
        order: Order,
        signature: Vec<u8>,
        proof: MultiProof,
    },
    Cancel {
        terms: Terms,
    },
    CancelMany {
        terms: Vec<Terms>,
    },
    RaiseEpoch,
    Refund {
        terms: Terms,
    },
    // Jobs: the scheduler.
    Assign {
        job: JobId,
        node: NodeId,
        attempt: u16,
    },
    AssignWithTerms {
        assignment: Assignment,
    },
    AssignMany {
        assignments: Vec<Assignment>,
    },
    CallIn {
        terms: Terms,
    },
    Lapse {
        terms: Terms,
    },
    Settle {
        settlement: Settlement,
    },
    SettleMany {
        settlements: Vec<Settlement>,
    },
    // Jobs: the node and its provider.
    Renew {
        terms: Terms,
        issued_at: u64,
        signature: CompactSignature,
    },
    Release {
        terms: Terms,
        signature: CompactSignature,
    },
    Publish {
        terms: Terms,
        receipt_hash: ReceiptHash,
        signature: CompactSignature,
    },
    Claim {
        terms: Terms,
    },
    // Disputes.
    Dispute {
        terms: Terms,
    },
    Rule {
        terms: Terms,
        ruling: Ruling,
    },
    // Balances.
    Deposit {
        token: Address,
        amount: u128,
    },
    /// The permit is one that the token takes: it allows the amount.
    DepositWithPermit {
        token: Address,
        amount: u128,
    },
    Withdraw {
        token: Address,
        to: Address,
        amount: u128,
    },
    // Nodes.
    Enroll {
        node: NodeId,
        expires: u64,
        signature: CompactSignature,
    },
    Revoke {
        node: NodeId,
    },
    ApproveScheduler {
        scheduler: Address,
        token: Address,
        bond_limit: u128,
    },
    DisapproveScheduler {
        scheduler: Address,
    },
}

impl Call {
    /// Whether native coin may come with the call.
    #[must_use]
    pub fn is_payable(&self) -> bool {
        match self {
            Self::Open { .. }
            | Self::OpenMany { .. }
            | Self::Dispute { .. }
            | Self::Deposit { .. } => true,
            Self::OpenWithPermit { .. }
            | Self::Cancel { .. }
            | Self::CancelMany { .. }
            | Self::RaiseEpoch
            | Self::Refund { .. }
            | Self::Assign { .. }
            | Self::AssignWithTerms { .. }
            | Self::AssignMany { .. }
            | Self::CallIn { .. }
            | Self::Lapse { .. }
            | Self::Settle { .. }
            | Self::SettleMany { .. }
            | Self::Renew { .. }
            | Self::Release { .. }
            | Self::Publish { .. }
            | Self::Claim { .. }
            | Self::Rule { .. }
            | Self::DepositWithPermit { .. }
            | Self::Withdraw { .. }
            | Self::Enroll { .. }
            | Self::Revoke { .. }
            | Self::ApproveScheduler { .. }
            | Self::DisapproveScheduler { .. } => false,
        }
    }
}

/// An order and a proof that are not looked at, for a submitter that opens its own jobs.
#[must_use]
pub fn no_order() -> Order {
    Order { root: B256::ZERO, epoch: 0, expires: 0 }
}
