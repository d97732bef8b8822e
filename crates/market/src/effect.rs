//! What is to be done outside of the rules: transactions, verifications, and waking those who wait.

use gristmill_protocol::api::IntentKind;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, ReceiptHash};
use gristmill_protocol::signing::CompactSignature;
use serde::{Deserialize, Serialize};

use crate::attempt::Acceptance;
use crate::escrow::Escrow;
use crate::job::{Job, State};

/// What must happen on chain. It becomes a row, `UNIQUE(chain, kind, subject)`, in the commit of the change that
/// planned it; planning it twice is a no-op.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Intent {
    pub job: JobId,
    pub action: IntentAction,
    /// How many such intents could not be mined before: an intent that replaces a blocked one is a new one.
    pub round: u16,
}

/// A call of the contract by the scheduler. The terms, which most calls carry, are in the job's row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum IntentAction {
    /// Opens a prepaid job by its order, for whoever is to get it.
    Open,
    /// Opens a prepaid job by its order, and assigns it in the same call. It has succeeded if the job is open.
    OpenAndAssign {
        attempt: AttemptNumber,
        node: NodeId,
    },
    /// Also ends an older lease that has run out. With the node's acceptance where the job has a bond.
    Assign {
        attempt: AttemptNumber,
        node: NodeId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acceptance: Option<Acceptance>,
    },
    /// Once per renewal, which is why the renewal is part of it.
    CallIn {
        attempt: AttemptNumber,
        renewed_at_s: u64,
    },
    Release {
        attempt: AttemptNumber,
        signature: CompactSignature,
    },
    Lapse {
        attempt: AttemptNumber,
    },
    Settle {
        attempt: AttemptNumber,
        receipt_hash: ReceiptHash,
        signature: CompactSignature,
    },
    Claim {
        attempt: AttemptNumber,
    },
    Refund,
}

impl Intent {
    #[must_use]
    pub fn kind(&self) -> IntentKind {
        match self.action {
            IntentAction::Open => IntentKind::Open,
            IntentAction::OpenAndAssign { .. } => IntentKind::OpenAndAssign,
            IntentAction::Assign { .. } => IntentKind::Assign,
            IntentAction::CallIn { .. } => IntentKind::CallIn,
            IntentAction::Release { .. } => IntentKind::Release,
            IntentAction::Lapse { .. } => IntentKind::Lapse,
            IntentAction::Settle { .. } => IntentKind::Settle,
            IntentAction::Claim { .. } => IntentKind::Claim,
            IntentAction::Refund => IntentKind::Refund,
        }
    }

    /// With the kind, what makes an intent unique.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{}/{}", self.about(), self.round)
    }

    /// The subject without the round: the same for an intent and the one that replaces it.
    #[must_use]
    pub fn about(&self) -> String {
        let job = self.job;
        match self.action {
            IntentAction::OpenAndAssign { attempt, node }
            | IntentAction::Assign { attempt, node, .. } => format!("{job}/{attempt}/{node}"),
            IntentAction::CallIn { attempt, renewed_at_s } => {
                format!("{job}/{attempt}/{renewed_at_s}")
            }
            IntentAction::Release { attempt, .. }
            | IntentAction::Lapse { attempt }
            | IntentAction::Settle { attempt, .. }
            | IntentAction::Claim { attempt } => format!("{job}/{attempt}"),
            IntentAction::Open | IntentAction::Refund => format!("{job}"),
        }
    }

    /// Whether the intent would still do what `job` wants: asked before it takes a nonce, because what is signed is sent. It
    /// errs on the side of yes; what is not possible any more the contract refuses.
    #[must_use]
    pub fn is_wanted(&self, job: &Job) -> bool {
        if job.escrow.is_end() {
            return false;
        }
        let holds = |wanted: AttemptNumber| matches!(job.escrow, Escrow::Assigned { attempt, .. } if attempt == wanted);
        match self.action {
            IntentAction::Open => {
                job.escrow == Escrow::None && !matches!(job.state, State::Cancelled)
            }
            // Not one that was given up, and not one that is on chain already.
            IntentAction::OpenAndAssign { attempt, .. } => {
                job.escrow == Escrow::None && job.state.attempt() == Some(attempt)
            }
            IntentAction::Assign { attempt, .. } => {
                attempt > job.assignments && job.state.attempt() == Some(attempt)
            }
            IntentAction::CallIn { attempt, renewed_at_s } => matches!(
                job.escrow,
                Escrow::Assigned { attempt: holder, renewed_at_s: newest, called_in: false, .. }
                    if holder == attempt && newest == renewed_at_s
            ),
            IntentAction::Release { attempt, .. } | IntentAction::Lapse { attempt } => {
                holds(attempt)
            }
            IntentAction::Settle { attempt, .. } => job.state == (State::Settling { attempt }),
            IntentAction::Claim { attempt } => {
                job.escrow.attempt() == Some(attempt) && !holds(attempt)
            }
            IntentAction::Refund => true,
        }
    }
}

/// A result to be fetched and checked. The outcome comes back as [`Command::Verdict`](crate::Command::Verdict).
/// A row of the outbox, unique by all three fields; asked for again while no verdict comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Verification {
    pub job: JobId,
    pub attempt: AttemptNumber,
    pub receipt_hash: ReceiptHash,
}
