//! A job as the scheduler knows it: its terms, where it stands, and what the contract holds for it.

use gristmill_protocol::Address;
use gristmill_protocol::api::{IntentKind, JobState};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::Funding;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::demand::Demand;
use crate::escrow::{ChainPosition, Escrow};

/// Nodes that a job will not go to again; more would mean that it fits nobody.
pub const EXCLUDED_MAX: usize = 64;

/// The row of a job.
///
/// A store keeps these in columns of their own, for its indexes: `id` (primary key), `state.name()`, `due_at`
/// (index over rows where it is set), `terms.submitter`, `created_at`, `escrow.name()`, `queued_at` with
/// [`Job::is_assignable`] as computed at saving (the queue of waiting jobs), and `version`. The rest is a JSON body.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub terms: Terms,
    /// Absent while only the chain knows of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demand: Option<Demand>,
    /// The order that opens the job from its submitter's balance, once a node is promised to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding: Option<Funding>,
    pub state: State,
    pub escrow: Escrow,
    /// The last event of the chain that was applied.
    pub escrow_at: ChainPosition,
    /// How often the job has been assigned on chain, finally. The next attempt has the next number.
    pub assignments: AttemptNumber,
    /// The newest attempt, promised or assigned; 0 before the first. Only this one may speak.
    pub newest: AttemptNumber,
    /// Nodes that had this job and did not finish it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<NodeId>,
    /// Kinds of intents that could not be mined, at most one entry each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setbacks: Vec<Setback>,
    /// How many events the job's history has.
    pub version: u64,
    pub created_at: Timestamp,
    /// When the job began to wait for a node, the last time.
    pub queued_at: Timestamp,
    /// When to look again, whatever happens. Set in every state that is not an end.
    pub due_at: Option<Timestamp>,
    /// When it came to its end. Set in every state that is one: a late deposit takes a cancelled job back out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// An intent could not be mined: the one that replaces it has another round, and comes later each time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Setback {
    pub kind: IntentKind,
    /// The subject without its round.
    pub about: String,
    pub count: u16,
    pub retry_at: Timestamp,
}

/// Where a job stands. Data that only one state needs is in that state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The bounty is not locked yet.
    Funding,
    /// Waits for a node.
    Queued { wait: Wait },
    /// A node works on it.
    Assigned { attempt: AttemptNumber },
    /// Its node went silent and is being called in on chain.
    CallingIn { attempt: AttemptNumber },
    /// Its result is being checked.
    Verifying { attempt: AttemptNumber },
    /// The node put its result on chain itself.
    Published { attempt: AttemptNumber },
    /// The result is accepted and the payment on its way.
    Settling { attempt: AttemptNumber },
    /// The bounty is on its way back.
    Refunding { reason: RefundReason },
    /// Paid, finally.
    Settled { attempt: AttemptNumber },
    /// Refunded, finally.
    Refunded,
    /// Given up before the bounty was locked. Quiet: a late deposit is given back, unless it comes by the job's order.
    Cancelled,
}

/// Why a queued job has no node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "wait", rename_all = "snake_case")]
pub enum Wait {
    /// No node that is free now fits.
    Node,
    /// The chain knows the job, but nobody has uploaded its spec.
    Spec,
    /// The node that had it still holds the lease on chain, at the latest until then (unix seconds).
    OldLease { attempt: AttemptNumber, lease_end_s: u64 },
    /// An assignment that is given up already is still on its way to the chain.
    Assignment { attempt: AttemptNumber },
}

/// Why a job ends without a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum RefundReason {
    /// The submitter asked for it.
    Cancelled,
    /// The bounty was locked after the job had been given up.
    LateDeposit,
    /// What is left until the deadline is too short for a run.
    TooLate,
    /// As many attempts as the spec allows ended without a result.
    AttemptsExhausted,
    /// The fee is below what this scheduler asks for.
    FeeTooLow { least: Amount },
    /// The spec asks for what this version cannot do.
    NotSupported,
    /// A run would outlast the attempt that the terms allow.
    AttemptTooShort,
    /// The arbiter ruled for the submitter.
    Ruled,
    /// The order that was to pay for it has expired.
    OrderExpired,
}

impl State {
    /// The state in the words of the API.
    #[must_use]
    pub fn name(&self) -> JobState {
        match self {
            Self::Funding => JobState::Funding,
            Self::Queued { .. } => JobState::Queued,
            Self::Assigned { .. } => JobState::Assigned,
            Self::CallingIn { .. } => JobState::CallingIn,
            Self::Verifying { .. } => JobState::Verifying,
            Self::Published { .. } => JobState::Published,
            Self::Settling { .. } => JobState::Settling,
            Self::Refunding { .. } => JobState::Refunding,
            Self::Settled { .. } => JobState::Settled,
            Self::Refunded => JobState::Refunded,
            Self::Cancelled => JobState::Cancelled,
        }
    }

    /// The attempt that this state is about.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptNumber> {
        match *self {
            Self::Assigned { attempt }
            | Self::CallingIn { attempt }
            | Self::Verifying { attempt }
            | Self::Published { attempt }
            | Self::Settling { attempt }
            | Self::Settled { attempt } => Some(attempt),
            Self::Funding
            | Self::Queued { .. }
            | Self::Refunding { .. }
            | Self::Refunded
            | Self::Cancelled => None,
        }
    }
}

impl Job {
    /// What the provider gets: the bounty without the scheduler's fee.
    #[must_use]
    pub fn pay(&self) -> Amount {
        self.terms.pay()
    }

    #[must_use]
    pub fn submitter(&self) -> Address {
        self.terms.submitter
    }

    /// Whether the job waits for nothing but a node.
    #[must_use]
    pub fn is_assignable(&self) -> bool {
        matches!(self.state, State::Queued { wait: Wait::Node })
    }

    /// Whether a command about this job, as it is loaded, may assign it: then the store loads its window of nodes.
    #[must_use]
    pub fn wants_nodes(&self) -> bool {
        matches!(self.state, State::Funding | State::Queued { .. } | State::CallingIn { .. })
    }

    /// The setback of such an intent, if there was one.
    #[must_use]
    pub fn setback(&self, kind: IntentKind, about: &str) -> Option<&Setback> {
        self.setbacks.iter().find(|setback| setback.kind == kind && setback.about == about)
    }

    /// Whether the spec allows another attempt after the newest, and there may be a node that has not tried.
    #[must_use]
    pub fn has_attempts_left(&self) -> bool {
        let attempts_max = self.demand.as_ref().map_or(0, |demand| demand.attempts_max);
        self.newest.0 < attempts_max && self.excluded.len() < EXCLUDED_MAX
    }

    /// Whether an order is still to open it.
    #[must_use]
    pub fn is_prepaid(&self) -> bool {
        self.funding.is_some() && self.escrow == Escrow::None
    }

    /// Whether its provider puts a bond at stake: then it is assigned with the node's acceptance only.
    #[must_use]
    pub fn is_bonded(&self) -> bool {
        self.terms.bond > Amount::ZERO
    }

    /// Whether `now` is after the deadline. At the deadline itself everything is still possible.
    #[must_use]
    pub fn is_past_deadline(&self, now: Timestamp) -> bool {
        now.unix_seconds() > self.terms.deadline
    }
}

impl RefundReason {
    /// One sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Cancelled => "the submitter cancelled it".into(),
            Self::LateDeposit => "the bounty was locked after the job had been given up".into(),
            Self::TooLate => "what is left until the deadline is too short for a run".into(),
            Self::AttemptsExhausted => {
                "as many attempts as the spec allows ended without a result".into()
            }
            Self::FeeTooLow { least } => {
                format!("the fee is below {least}, the least that this scheduler asks for")
            }
            Self::NotSupported => "the spec asks for what this scheduler cannot do".into(),
            Self::AttemptTooShort => "a run would outlast the attempt that the terms allow".into(),
            Self::Ruled => "the arbiter ruled for the submitter".into(),
            Self::OrderExpired => "the order that was to pay for it has expired".into(),
        }
    }
}
