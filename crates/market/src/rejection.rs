//! Why a command is refused. A refusal changes nothing.

use gristmill_protocol::Address;
use gristmill_protocol::api::{EscrowState, JobState};
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::SpecError;
use gristmill_protocol::terms::TermsError;
use gristmill_protocol::time::Timestamp;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    #[error("there is no job {0} here")]
    UnknownJob(JobId),
    #[error("there is no node {0} here: register it first")]
    UnknownNode(NodeId),
    #[error("the job {job} has no attempt {attempt}")]
    UnknownAttempt { job: JobId, attempt: AttemptNumber },
    #[error("the terms name the scheduler {named}; this is {ours}")]
    WrongScheduler { named: Address, ours: Address },
    #[error("only {submitter}, the submitter of the terms, may do this")]
    NotTheSubmitter { submitter: Address },
    #[error("the fee is {fee}; this scheduler asks for at least {least}")]
    FeeTooLow { fee: Amount, least: Amount },
    #[error("the contract would refuse these terms: {0}")]
    InvalidTerms(#[from] TermsError),
    #[error("the terms name another spec than the one that was found")]
    SpecMismatch,
    #[error("{0}")]
    NotSupported(#[from] SpecError),
    #[error(
        "a run of {run_seconds} s, with {margin_seconds} s to settle it, does not fit before the deadline: name a later one"
    )]
    TooLate { run_seconds: u32, margin_seconds: u32 },
    #[error(
        "a run may take {run_seconds} s, but attempt_seconds is {attempt_seconds}: raise it in the terms"
    )]
    AttemptTooShort { run_seconds: u32, attempt_seconds: u32 },
    #[error("the offer is not valid: {0}")]
    InvalidOffer(String),
    #[error("a poll may name at most {most} attempts")]
    TooManyHeld { most: usize },
    #[error("the attempt {attempt} of this job is over; the newest is {newest}")]
    StaleAttempt { attempt: AttemptNumber, newest: AttemptNumber },
    #[error("this is not the lease token of the attempt")]
    WrongToken,
    #[error("a job with a bond begins with the node's acceptance: send it first")]
    AcceptanceMissing,
    #[error("the acceptance is valid until {expires}; it must be valid until {least} at least")]
    AcceptanceTooShort { expires: u64, least: u64 },
    #[error("the job is not part of the order: its path does not lead to the order's root")]
    NotInOrder,
    #[error("the order has expired at {expires}: sign a new one")]
    OrderExpired { expires: u64 },
    #[error("the receipt does not belong to this attempt: its {0} differs")]
    WrongReceipt(&'static str),
    #[error("the job is {state}: this is not possible now", state = .state.as_str().replace('_', " "))]
    WrongState { state: JobState },
    #[error("the contract cannot say this of a job that is {} on chain: events are missing, or of another contract", format!("{escrow:?}").to_lowercase())]
    ImpossibleOnChain { escrow: EscrowState },
    #[error("nothing is due before {due_at:?}")]
    NotDue { due_at: Option<Timestamp> },
}

impl Rejection {
    /// The public code, from the one table of all.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownJob(_) | Self::UnknownAttempt { .. } => ErrorCode::NotFound,
            Self::UnknownNode(_) => ErrorCode::NodeNotEnrolled,
            Self::WrongScheduler { .. } => ErrorCode::WrongScheduler,
            Self::NotTheSubmitter { .. } => ErrorCode::Forbidden,
            Self::FeeTooLow { .. } => ErrorCode::FeeTooLow,
            Self::InvalidTerms(_)
            | Self::TooLate { .. }
            | Self::AttemptTooShort { .. }
            | Self::NotInOrder
            | Self::OrderExpired { .. } => ErrorCode::InvalidTerms,
            Self::SpecMismatch => ErrorCode::SpecHashMismatch,
            Self::NotSupported(_) => ErrorCode::NotSupported,
            Self::InvalidOffer(_) => ErrorCode::InvalidOffer,
            Self::TooManyHeld { .. } | Self::AcceptanceTooShort { .. } => ErrorCode::InvalidRequest,
            Self::StaleAttempt { .. } | Self::WrongToken => ErrorCode::StaleAttempt,
            Self::WrongReceipt(_) => ErrorCode::InvalidReceipt,
            Self::WrongState { .. }
            | Self::NotDue { .. }
            | Self::ImpossibleOnChain { .. }
            | Self::AcceptanceMissing => ErrorCode::Conflict,
        }
    }
}
