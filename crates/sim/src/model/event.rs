//! What the contract says: its events, and the errors with which it reverts.

use gristmill_protocol::api::{EscrowState, Ruling};
use gristmill_protocol::ids::{JobId, NodeId, ReceiptHash};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::{Address, B256};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Opened { job: JobId, terms: Terms },
    Cancelled { job: JobId, amount: u128 },
    Assigned { job: JobId, node: NodeId, provider: Address, attempt: u16 },
    CalledIn { job: JobId, attempt: u16, lease_end: u64 },
    Renewed { job: JobId, attempt: u16, lease_end: u64 },
    Released { job: JobId, attempt: u16 },
    Lapsed { job: JobId, attempt: u16 },
    Forfeited { job: JobId, provider: Address, to_submitter: u128, to_pool: u128 },
    Settled { job: JobId, node: NodeId, attempt: u16, receipt_hash: ReceiptHash },
    Published { job: JobId, node: NodeId, attempt: u16, receipt_hash: ReceiptHash },
    Disputed { job: JobId, by: Address, until: u64 },
    Ruled { job: JobId, ruling: Ruling },
    Paid { job: JobId, provider: Address, amount: u128, fee: u128 },
    Refunded { job: JobId, amount: u128 },
    Skipped { job: JobId, reason: Revert },
    Deposited { owner: Address, token: Address, amount: u128 },
    Credited { owner: Address, token: Address, amount: u128 },
    Debited { owner: Address, token: Address, amount: u128 },
    Withdrawn { owner: Address, token: Address, to: Address, amount: u128 },
    EpochRaised { owner: Address, epoch: u32 },
    Enrolled { node: NodeId, provider: Address },
    Revoked { node: NodeId, provider: Address },
    SchedulerApproved { provider: Address, scheduler: Address, token: Address, bond_limit: u128 },
    SchedulerDisapproved { provider: Address, scheduler: Address },
}

impl Event {
    /// The job that the event is about, if it is about one.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        match *self {
            Self::Opened { job, .. }
            | Self::Cancelled { job, .. }
            | Self::Assigned { job, .. }
            | Self::CalledIn { job, .. }
            | Self::Renewed { job, .. }
            | Self::Released { job, .. }
            | Self::Lapsed { job, .. }
            | Self::Forfeited { job, .. }
            | Self::Settled { job, .. }
            | Self::Published { job, .. }
            | Self::Disputed { job, .. }
            | Self::Ruled { job, .. }
            | Self::Paid { job, .. }
            | Self::Refunded { job, .. }
            | Self::Skipped { job, .. } => Some(job),
            Self::Deposited { .. }
            | Self::Credited { .. }
            | Self::Debited { .. }
            | Self::Withdrawn { .. }
            | Self::EpochRaised { .. }
            | Self::Enrolled { .. }
            | Self::Revoked { .. }
            | Self::SchedulerApproved { .. }
            | Self::SchedulerDisapproved { .. } => None,
        }
    }
}

/// The contract's custom errors, with their arguments; a sum that leaves 128 bits stops at their end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Revert {
    /// Value was sent to a verb that takes none: the contract reverts without a word.
    NotPayable,
    /// The caller does not have the value that it sends: no transaction at all.
    NotEnoughCoin,
    NotSubmitter {
        caller: Address,
        submitter: Address,
    },
    NotScheduler {
        caller: Address,
        scheduler: Address,
    },
    NotSchedulerOrSubmitter {
        caller: Address,
        scheduler: Address,
        submitter: Address,
    },
    NotDisputant {
        caller: Address,
    },
    NotArbiter {
        caller: Address,
        arbiter: Address,
    },
    NotProvider {
        caller: Address,
        provider: Address,
    },
    /// `recovered` is the zero address where the signature is nobody's.
    BadSignature {
        signer: Address,
        recovered: Address,
    },
    ZeroParty {
        scheduler: Address,
        arbiter: Address,
    },
    ZeroBounty,
    FeeAboveBounty {
        fee: u128,
        bounty: u128,
    },
    PartialArbiter {
        arbiter: Address,
    },
    TermOutOfRange {
        term: &'static str,
        value: u64,
        min: u64,
        max: u64,
    },
    WrongValue {
        sent: u128,
        required: u128,
    },
    TransferFromFailed {
        token: Address,
        from: Address,
        amount: u128,
    },
    InsufficientBalance {
        owner: Address,
        token: Address,
        available: u128,
        required: u128,
    },
    BondAboveLimit {
        provider: Address,
        scheduler: Address,
        used: u128,
        limit: u128,
    },
    InvalidRecipient {
        to: Address,
    },
    WithdrawFailed {
        token: Address,
        to: Address,
        amount: u128,
    },
    WrongState {
        job: JobId,
        state: EscrowState,
    },
    WrongAttempt {
        attempt: u16,
        expected: u32,
    },
    DeadlinePassed {
        deadline: u64,
    },
    DeadlineNotPassed {
        deadline: u64,
    },
    LeaseRunning {
        until: u64,
    },
    LeaseEnded {
        lease_end: u64,
    },
    WindowOpen {
        until: u64,
    },
    WindowClosed {
        until: u64,
    },
    AlreadyCalledIn {
        lease_end: u64,
    },
    CallInTooEarly {
        earliest: u64,
    },
    CallInWithoutEffect {
        lease_end: u64,
    },
    RenewalFromFuture {
        issued_at: u64,
        current: u64,
    },
    RenewalExpired {
        issued_at: u64,
        expiry: u64,
    },
    RenewalNotNewer {
        issued_at: u64,
        last: u64,
    },
    AcceptanceRequired {
        job: JobId,
    },
    AcceptanceExpired {
        expires: u64,
    },
    EmptyBatch,
    MixedBatch {
        index: usize,
    },
    OrderExpired {
        expires: u64,
    },
    OrderRevoked {
        epoch: u32,
        current: u32,
    },
    NotInOrder {
        root: B256,
    },
    BadOrderSignature {
        submitter: Address,
    },
    EnrollmentExpired {
        expires: u64,
    },
    AlreadyEnrolled {
        node: NodeId,
        provider: Address,
    },
    NotEnrolled {
        node: NodeId,
    },
    NodeRevoked {
        node: NodeId,
    },
    SchedulerNotApproved {
        provider: Address,
        scheduler: Address,
    },
}
