//! The steps that several commands share: queue, assign, end an attempt, try again or give the bounty back.

use gristmill_protocol::api::{AttemptState, EventBody};
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken, NodeId};
use gristmill_protocol::time::Timestamp;

use super::draft::Draft;
use super::pursuit::{Occasion, plan_assignment, pursue, too_late_at};
use crate::attempt::Attempt;
use crate::escrow::Escrow;
use crate::job::{RefundReason, State, Wait};
use crate::matching::{self, Ask};
use crate::node::Node;
use crate::rejection::Rejection;
use crate::reputation::Deed;

/// Characters that are kept of a reason.
const REASON_CHARS_MAX: usize = gristmill_protocol::api::REASON_CHARS_MAX;
/// The longest rest of a node that fails again and again.
const REST_SECONDS_MAX: u64 = 3600;

/// The head of a stranger's text.
pub(super) fn head(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

/// The job waits for a node from now on.
pub(super) fn queue(
    draft: &mut Draft<'_>,
    id: JobId,
    reason: impl Into<String>,
) -> Result<(), Rejection> {
    let now = draft.now;
    let job = draft.job_mut(id)?;
    job.queued_at = now;
    job.state = State::Queued { wait: if job.demand.is_some() { Wait::Node } else { Wait::Spec } };
    draft.record(id, EventBody::Queued { reason: reason.into() })
}

/// The job has no bounty, and gets none here any more.
pub(super) fn cancel_unopened(
    draft: &mut Draft<'_>,
    id: JobId,
    reason: impl Into<String>,
) -> Result<(), Rejection> {
    draft.job_mut(id)?.state = State::Cancelled;
    draft.record(id, EventBody::Cancelled { reason: reason.into() })
}

/// The bounty goes back: by the submitter's own `cancel`, or by a refund after the deadline. Where there is none yet,
/// that is all.
pub(super) fn refund(
    draft: &mut Draft<'_>,
    id: JobId,
    reason: RefundReason,
) -> Result<(), Rejection> {
    if draft.job(id)?.escrow == Escrow::None {
        return cancel_unopened(draft, id, reason.sentence());
    }
    draft.job_mut(id)?.state = State::Refunding { reason };
    draft.record(id, EventBody::Refunding { reason: reason.sentence() })
}

/// After an attempt that ended without a result: the next one, if the spec allows it.
pub(super) fn try_again(draft: &mut Draft<'_>, id: JobId, why: &str) -> Result<(), Rejection> {
    if draft.job(id)?.has_attempts_left() {
        queue(draft, id, why)
    } else {
        refund(draft, id, RefundReason::AttemptsExhausted)
    }
}

/// Gives the job to the best of the loaded nodes, if it waits for nothing else and one fits. Where it is too late to begin,
/// the job's timer refunds it.
pub(super) fn match_job(
    draft: &mut Draft<'_>,
    id: JobId,
    token: LeaseToken,
) -> Result<(), Rejection> {
    let job = draft.job(id)?;
    let in_time = draft.now < too_late_at(job, draft.policy());
    let Some(ask) = Ask::of(job).filter(|_| job.is_assignable() && in_time) else {
        return Ok(());
    };
    let strategy = ask.demand.strategy.unwrap_or(draft.policy().strategy);
    match matching::choose_node(&ask, draft.nodes(), strategy, draft.moment()).map(|node| node.id) {
        Some(node) => assign(draft, id, node, token),
        None => Ok(()),
    }
}

/// The job is promised to `node`, and an assignment on chain planned. The caller has checked that it fits.
pub(super) fn assign(
    draft: &mut Draft<'_>,
    id: JobId,
    node: NodeId,
    token: LeaseToken,
) -> Result<(), Rejection> {
    let now = draft.now;
    let job = draft.job(id)?;
    let holder = draft.node(node)?;
    let unfit = Rejection::WrongState { state: job.state.name() };
    let Some(number) = job.assignments.next() else { return Err(unfit) };
    let Some(demand) = &job.demand else { return Err(unfit) };
    let Some(share) = matching::hold(demand, holder) else { return Err(unfit) };
    let (held, provider) = (share.held(demand, number, token), holder.provider);

    let job = draft.job_mut(id)?;
    job.newest = number;
    job.state = State::Assigned { attempt: number };
    draft.insert_attempt(Attempt {
        job: id,
        number,
        node,
        provider,
        token: Some(token),
        state: AttemptState::Leased,
        assigned_at: now,
        started_at: None,
        ended_at: None,
        report: None,
        acceptance: None,
        release: None,
        reason: None,
    });
    let holder = draft.node_mut(node)?;
    holder.holding.insert(id, held);
    holder.last_assigned_at = now;
    draft.wake(node);
    plan_assignment(draft, id, number)?;
    draft.record(id, EventBody::Assigned { attempt: number, node })?;
    pursue(draft, id, Occasion::Change)
}

/// How an attempt ends without being paid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The lease ended without a sign of life.
    Expired,
    /// The node gave it back; `drain` where it leaves in good order.
    Released { drain: bool },
    /// The program failed.
    Failed,
    /// The result was not what it should be.
    Rejected,
    /// The arbiter ruled against the result.
    Overruled,
    /// The market has no use for it any more; not the node's fault.
    Abandoned,
}

/// Ends an attempt: its node is free again, and does not get this job a second time.
pub(super) fn end_attempt(
    draft: &mut Draft<'_>,
    id: JobId,
    number: AttemptNumber,
    ending: Ending,
    reasons: Vec<String>,
) -> Result<(), Rejection> {
    let now = draft.now;
    let reason = head(&reasons.join("; "));
    let attempt = draft.attempt_mut(id, number)?;
    attempt.state = match ending {
        Ending::Expired => AttemptState::Expired,
        Ending::Released { .. } => AttemptState::Released,
        Ending::Failed => AttemptState::Failed,
        Ending::Rejected | Ending::Overruled => AttemptState::Rejected,
        Ending::Abandoned => AttemptState::Abandoned,
    };
    attempt.ended_at = Some(now);
    attempt.reason = Some(reason.clone());
    let node = attempt.node;

    let job = draft.job_mut(id)?;
    if !job.excluded.contains(&node) {
        job.excluded.push(node);
    }
    free(draft, id, number, node)?;
    count(draft, node, ending)?;
    let attempt = number;
    draft.record(
        id,
        match ending {
            Ending::Expired => EventBody::Expired { attempt },
            Ending::Released { .. } => EventBody::Released { attempt, reason },
            Ending::Failed => EventBody::Failed { attempt, reason },
            Ending::Rejected | Ending::Overruled => EventBody::Rejected { attempt, reasons },
            Ending::Abandoned => EventBody::Abandoned { attempt, reason },
        },
    )
}

/// What the attempt took up on its node is free again.
pub(super) fn free(
    draft: &mut Draft<'_>,
    id: JobId,
    number: AttemptNumber,
    node: NodeId,
) -> Result<(), Rejection> {
    let Some(row) = draft.find_node(node) else { return Ok(()) };
    if row.holding.get(&id).is_some_and(|held| held.attempt == number) {
        draft.node_mut(node)?.holding.remove(&id);
    }
    // Its poll may wait: it is told to stop, or gets what fits now.
    draft.wake(node);
    Ok(())
}

/// What an ending tells of the node, if anything.
fn deed(ending: Ending) -> Option<Deed> {
    match ending {
        Ending::Expired => Some(Deed::Silent),
        Ending::Released { drain: false } => Some(Deed::GivenBack),
        Ending::Rejected => Some(Deed::Rejected),
        Ending::Overruled => Some(Deed::Overruled),
        Ending::Released { drain: true } | Ending::Failed | Ending::Abandoned => None,
    }
}

/// The node's record, and its rest after failures that are its own.
fn count(draft: &mut Draft<'_>, node: NodeId, ending: Ending) -> Result<(), Rejection> {
    if draft.find_node(node).is_none() {
        return Ok(());
    }
    let (now, policy) = (draft.now, draft.policy());
    let node: &mut Node = draft.node_mut(node)?;
    if let Some(deed) = deed(ending) {
        node.reputation.note(deed, now);
    }
    match ending {
        Ending::Released { drain: true } | Ending::Abandoned => {}
        Ending::Failed | Ending::Rejected | Ending::Overruled => node.attempts_failed += 1,
        Ending::Expired | Ending::Released { drain: false } => {
            node.attempts_failed += 1;
            node.failures_in_a_row = node.failures_in_a_row.saturating_add(1);
            if let Some(doublings) = node.failures_in_a_row.checked_sub(policy.failures_max) {
                let rest = u64::from(policy.rest_seconds) << doublings.min(16);
                node.rest_until = now.plus_seconds(rest.min(REST_SECONDS_MAX));
            }
        }
    }
    Ok(())
}

/// Ends every attempt that could still have been paid, but for `paid`.
pub(super) fn abandon(
    draft: &mut Draft<'_>,
    id: JobId,
    paid: Option<AttemptNumber>,
    why: &str,
) -> Result<(), Rejection> {
    for number in draft.attempt_numbers(id) {
        let payable = draft.find_attempt(id, number).is_some_and(|attempt| {
            attempt.state.is_live() || attempt.state == AttemptState::Accepted
        });
        if payable && Some(number) != paid {
            end_attempt(draft, id, number, Ending::Abandoned, vec![why.to_owned()])?;
        }
    }
    Ok(())
}

/// The result counts: by a verdict, or because the chain has paid for it.
pub(super) fn accept(
    draft: &mut Draft<'_>,
    id: JobId,
    number: AttemptNumber,
) -> Result<(), Rejection> {
    let now = draft.now;
    let Some(row) = draft.find_attempt(id, number) else { return Ok(()) };
    if row.state == AttemptState::Accepted {
        return Ok(());
    }
    let row = draft.attempt_mut(id, number)?;
    row.state = AttemptState::Accepted;
    row.ended_at = Some(now);
    row.reason = None;
    let (node, report) = (row.node, row.report.as_ref().map(|report| report.receipt.hash()));
    if draft.find_node(node).is_some() {
        let node = draft.node_mut(node)?;
        node.attempts_accepted += 1;
        node.reputation.note(Deed::Accepted, now);
        node.failures_in_a_row = 0;
        node.rest_until = Timestamp::default();
    }
    free(draft, id, number, node)?;
    match report {
        Some(receipt_hash) => {
            draft.record(id, EventBody::Accepted { attempt: number, receipt_hash })
        }
        // Only the chain knows the result.
        None => Ok(()),
    }
}
