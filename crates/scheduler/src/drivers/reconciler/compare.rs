//! One job, as the events, the contract and the database have it, in a form in which they can be compared.

use std::fmt;

use gristmill_market::effect::IntentAction;
use gristmill_market::escrow::Escrow;
use gristmill_market::job::Job;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::contracts::StoredJob;
use gristmill_protocol::ids::{AttemptNumber, NodeId};
use gristmill_protocol::terms::Terms;

use super::ledger::{End, Ended, Entry, Phase, word};

/// Where an escrow stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot {
    state: EscrowState,
    node: Option<NodeId>,
    attempt: AttemptNumber,
    /// The end of the lease, hold or window; zero where nothing ends by itself.
    until_s: u64,
    called_in: bool,
    /// What the mirror of the database leaves out.
    unmirrored: Option<Unmirrored>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Unmirrored {
    settled: bool,
    /// Who disputes it: the scheduler, or else the submitter.
    by_scheduler: bool,
    pool: u128,
}

impl Slot {
    /// As the events have it; `timed_at_s` is the time of the block of [`Phase::timed_by`].
    pub(super) fn of_events(entry: &Entry, terms: &Terms, timed_at_s: u64) -> Self {
        let after = |seconds: u32| timed_at_s.saturating_add(seconds.into());
        let (until_s, called_in) = match entry.phase {
            Phase::Open => (0, false),
            Phase::Assigned { lease_end_s, called_in, .. } => {
                (lease_end_s.unwrap_or(after(terms.lease_seconds)), called_in)
            }
            Phase::Held { .. } => (after(terms.hold_seconds), false),
            Phase::Published { .. } => (after(terms.challenge_window), false),
            Phase::Disputed { until_s, .. } => (until_s, false),
        };
        let by_scheduler = matches!(entry.phase, Phase::Disputed { by_scheduler: true, .. });
        Self {
            state: entry.phase.escrow(),
            node: entry.phase.holder().map(|holder| holder.node),
            attempt: entry.attempt,
            until_s,
            called_in,
            unmirrored: Some(Unmirrored {
                settled: entry.is_settled(),
                by_scheduler,
                pool: entry.pool,
            }),
        }
    }

    /// As the contract has it.
    pub(super) fn of_contract(stored: &StoredJob, terms: &Terms) -> Self {
        let after = |seconds: u32| stored.at_s.saturating_add(seconds.into());
        let is_with_node = match stored.state {
            EscrowState::Assigned
            | EscrowState::Held
            | EscrowState::Published
            | EscrowState::Disputed => true,
            EscrowState::None
            | EscrowState::Open
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => false,
        };
        let until_s = match stored.state {
            EscrowState::Assigned => {
                let lease =
                    if stored.called_in { terms.grace_seconds } else { terms.lease_seconds };
                let attempt_end = stored.assigned_at_s.saturating_add(terms.attempt_seconds.into());
                after(lease).min(attempt_end)
            }
            EscrowState::Held => after(terms.hold_seconds),
            EscrowState::Published => after(terms.challenge_window),
            EscrowState::Disputed => after(terms.ruling_seconds),
            EscrowState::None
            | EscrowState::Open
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => 0,
        };
        Self {
            state: stored.state,
            node: is_with_node.then_some(stored.node),
            attempt: stored.attempt,
            until_s,
            called_in: stored.called_in,
            unmirrored: Some(Unmirrored {
                settled: stored.settled,
                by_scheduler: stored.disputed_by_scheduler,
                pool: stored.pool(terms).0,
            }),
        }
    }

    /// As the database has it.
    pub(super) fn of_database(job: &Job) -> Self {
        let (node, until_s, called_in) = match job.escrow {
            Escrow::Assigned { node, lease_end_s, called_in, .. } => {
                (Some(node), lease_end_s, called_in)
            }
            Escrow::Held { node, until_s, .. }
            | Escrow::Published { node, until_s, .. }
            | Escrow::Disputed { node, until_s, .. } => (Some(node), until_s, false),
            Escrow::None | Escrow::Open | Escrow::Paid | Escrow::Refunded | Escrow::Cancelled => {
                (None, 0, false)
            }
        };
        let attempt = job.escrow.attempt().unwrap_or(job.assignments);
        let state = job.escrow.name();
        Self { state, node, attempt, until_s, called_in, unmirrored: None }
    }

    /// Without what the database leaves out.
    pub(super) fn mirrored(self) -> Self {
        Self { unmirrored: None, ..self }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(word(self.state))?;
        if let Some(node) = self.node {
            write!(formatter, " (node {node})")?;
        }
        write!(formatter, " in attempt {}", self.attempt)?;
        if self.until_s > 0 {
            write!(formatter, " until {}", self.until_s)?;
        }
        if self.called_in {
            formatter.write_str(", called in")?;
        }
        if let Some(Unmirrored { settled, by_scheduler, pool }) = self.unmirrored {
            if settled {
                formatter.write_str(", settled")?;
            }
            if by_scheduler {
                formatter.write_str(", disputed by the scheduler")?;
            }
            if pool > 0 {
                write!(formatter, ", with a pool of {pool}")?;
            }
        }
        Ok(())
    }
}

/// Whether an intent whose transaction is final has left no trace in the events of an unfinished job.
pub(super) fn is_without_effect(action: &IntentAction, entry: &Entry) -> bool {
    match *action {
        // That there is an entry says that it was opened.
        IntentAction::Open | IntentAction::OpenAndAssign { .. } => false,
        IntentAction::Assign { attempt, .. } | IntentAction::CallIn { attempt, .. } => {
            entry.attempt < attempt
        }
        IntentAction::Release { attempt, .. } | IntentAction::Lapse { attempt } => {
            entry.attempt < attempt || (entry.attempt == attempt && entry.phase.holder().is_some())
        }
        IntentAction::Settle { attempt, .. } => {
            entry.settled.is_none_or(|settled| settled < attempt)
        }
        // These end a job.
        IntentAction::Claim { .. } | IntentAction::Refund => true,
    }
}

/// The same for a job that has ended.
pub(super) fn was_without_effect(action: &IntentAction, ended: &Ended) -> bool {
    match action {
        IntentAction::Claim { .. } => match ended.end {
            End::Paid { .. } => false,
            End::Refunded { .. } | End::Cancelled { .. } => true,
        },
        IntentAction::Refund => match ended.end {
            End::Refunded { .. } => false,
            End::Paid { .. } | End::Cancelled { .. } => true,
        },
        IntentAction::Open
        | IntentAction::OpenAndAssign { .. }
        | IntentAction::Assign { .. }
        | IntentAction::CallIn { .. }
        | IntentAction::Release { .. }
        | IntentAction::Lapse { .. }
        | IntentAction::Settle { .. } => is_without_effect(action, &ended.entry),
    }
}
