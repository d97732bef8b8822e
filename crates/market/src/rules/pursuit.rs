//! What a job wants next, in each state: which transactions, which verification, and when to look again.
//!
//! Every command changes the state and then comes here. The answer depends on the row alone, so that it is the same
//! after a restart, and asking twice does no harm.

use gristmill_protocol::api::{AttemptState, EventBody};
use gristmill_protocol::ids::{AttemptNumber, JobId};
use gristmill_protocol::time::Timestamp;

use super::admission::latest_start_s;
use super::draft::Draft;
use super::lifecycle::{Ending, abandon, cancel_unopened, end_attempt, refund, try_again};
use crate::effect::{IntentAction, Verification};
use crate::escrow::Escrow;
use crate::job::{Job, RefundReason, State, Wait};
use crate::policy::Policy;
use crate::rejection::Rejection;

/// What brings us here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Something about the job has changed.
    Change,
    /// Its time has come, perhaps because nothing has changed: what was asked for once is asked for again.
    Due,
}

/// The first instant after a second on chain, allowing for the clock of blocks.
fn after_s(draft: &Draft<'_>, second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(
        second.saturating_add(1 + u64::from(draft.policy().chain_slack_seconds)),
    )
}

/// When everything that was mined until this second is known here.
fn known_after_s(draft: &Draft<'_>, second: u64) -> Timestamp {
    after_s(draft, second).plus_seconds(u64::from(draft.policy().finality_seconds))
}

/// The state changes that time alone brings.
pub(super) fn expire(draft: &mut Draft<'_>, id: JobId) -> Result<(), Rejection> {
    let now = draft.now;
    let job = draft.job(id)?;
    let late = job.is_past_deadline(now);
    match job.state.clone() {
        State::Funding if late => {
            cancel_unopened(draft, id, "the bounty was not locked by the deadline")
        }
        State::Assigned { .. } | State::CallingIn { .. } | State::Verifying { .. } if late => {
            abandon(draft, id, None, "the deadline has passed")?;
            refund(draft, id, RefundReason::TooLate)
        }
        State::Assigned { attempt }
            if accept_by(draft, id, attempt).is_some_and(|by| now >= by) =>
        {
            let why = "the node did not accept the bond in time";
            end_attempt(draft, id, attempt, Ending::Abandoned, vec![why.into()])?;
            try_again(draft, id, why)
        }
        State::Assigned { attempt } | State::CallingIn { attempt } => {
            expire_lease(draft, id, attempt)
        }
        State::Funding
        | State::Queued { .. }
        | State::Verifying { .. }
        | State::Published { .. }
        | State::Settling { .. }
        | State::Refunding { .. }
        | State::Settled { .. }
        | State::Refunded
        | State::Cancelled => Ok(()),
    }
}

/// The first instant at which it is too late for an attempt to begin.
pub(super) fn too_late_at(job: &Job, policy: &Policy) -> Timestamp {
    match &job.demand {
        Some(demand) => latest_start_s(&job.terms, demand, policy)
            .map_or(Timestamp::default(), |second| {
                Timestamp::from_unix_seconds(second.saturating_add(1))
            }),
        None => Timestamp::from_unix_seconds(job.terms.deadline.saturating_add(1)),
    }
}

/// Until when the promise of a job with a bond waits for the node's acceptance; `None` where it has it, or needs none.
fn accept_by(draft: &Draft<'_>, id: JobId, attempt: AttemptNumber) -> Option<Timestamp> {
    let (job, row) = draft.find_job(id).zip(draft.find_attempt(id, attempt))?;
    let waits = job.is_bonded() && row.acceptance.is_none() && attempt > job.assignments;
    let patience = u64::from(draft.policy().patience_seconds);
    waits.then(|| row.assigned_at.plus_seconds(patience))
}

/// A lease that has run out is over; a node that went silent is called in.
fn expire_lease(draft: &mut Draft<'_>, id: JobId, attempt: AttemptNumber) -> Result<(), Rejection> {
    let job = draft.job(id)?;
    let Escrow::Assigned { attempt: holder, lease_end_s, .. } = job.escrow else { return Ok(()) };
    if holder != attempt {
        return Ok(());
    }
    if draft.now >= known_after_s(draft, lease_end_s) {
        end_attempt(
            draft,
            id,
            attempt,
            Ending::Expired,
            vec!["its lease ended without a renewal".into()],
        )?;
        return try_again(draft, id, "the node went silent");
    }
    let may_call_in = call_in_at(draft, job).is_some_and(|at| at <= draft.now);
    let already = matches!(job.state, State::CallingIn { .. });
    if may_call_in && !already && !is_heard(draft, id, attempt) {
        draft.job_mut(id)?.state = State::CallingIn { attempt };
        draft.record(id, EventBody::CalledIn { attempt })?;
    }
    Ok(())
}

fn is_heard(draft: &Draft<'_>, id: JobId, attempt: AttemptNumber) -> bool {
    let node = draft.find_attempt(id, attempt).and_then(|attempt| draft.find_node(attempt.node));
    node.is_some_and(|node| node.is_heard(draft.now, draft.policy().silence_ms))
}

/// When the holder of the escrow can be called in: a quarter of a lease after its last renewal, once, and only if that
/// shortens the lease.
fn call_in_at(draft: &Draft<'_>, job: &Job) -> Option<Timestamp> {
    let Escrow::Assigned { renewed_at_s, lease_end_s, called_in: false, .. } = job.escrow else {
        return None;
    };
    let terms = &job.terms;
    let earliest = after_s(draft, renewed_at_s.saturating_add(u64::from(terms.lease_seconds) / 4));
    let now_s = draft.now.max(earliest).unix_seconds();
    let shortens = now_s.saturating_add(u64::from(terms.grace_seconds)) < lease_end_s;
    shortens.then_some(earliest)
}

/// Plans what a job wants now, and sets when to look again.
pub(super) fn pursue(
    draft: &mut Draft<'_>,
    id: JobId,
    occasion: Occasion,
) -> Result<(), Rejection> {
    let job = draft.job(id)?;
    if matches!(job.state, State::Queued { .. }) && draft.now >= too_late_at(job, draft.policy()) {
        refund(draft, id, RefundReason::TooLate)?;
    }
    let job = draft.job(id)?;
    if matches!(job.state, State::Queued { .. })
        && order_over(job).is_some_and(|over| draft.now >= over)
    {
        refund(draft, id, RefundReason::OrderExpired)?;
    }
    let job = draft.job(id)?;
    let deadline = job.terms.deadline;
    let due_at = match job.state.clone() {
        State::Funding => Some(Timestamp::from_unix_seconds(deadline.saturating_add(1))),
        State::Queued { .. } => Some(pursue_queued(draft, id, occasion)?),
        State::Assigned { attempt } => Some(pursue_assigned(draft, id, attempt, occasion)?),
        State::CallingIn { attempt } => Some(pursue_call_in(draft, id, attempt)?),
        State::Verifying { attempt } => Some(pursue_verdict(draft, id, attempt, occasion)?),
        State::Published { attempt } => Some(pursue_published(draft, id, attempt, occasion)?),
        State::Settling { attempt } => Some(pursue_payment(draft, id, attempt, occasion)?),
        State::Refunding { .. } => Some(pursue_refund(draft, id)?),
        State::Settled { .. } | State::Refunded | State::Cancelled => None,
    };
    let job = draft.job_mut(id)?;
    job.due_at = due_at.filter(|_| !job.state.name().is_end());
    Ok(())
}

/// The first instant at which the order of a job that is still to be opened is not valid any more.
fn order_over(job: &Job) -> Option<Timestamp> {
    let funding = job.funding.as_ref().filter(|_| job.is_prepaid())?;
    Some(Timestamp::from_unix_seconds(funding.order.expires.saturating_add(1)))
}

fn patience(draft: &Draft<'_>) -> Timestamp {
    draft.now.plus_seconds(u64::from(draft.policy().patience_seconds))
}

/// Plans an intent and says when to look whether it came to anything.
fn plan(draft: &mut Draft<'_>, id: JobId, action: IntentAction) -> Result<Timestamp, Rejection> {
    let retry_at = draft.plan(id, action)?;
    Ok(retry_at.unwrap_or_else(|| patience(draft)))
}

fn deadline_passed(draft: &Draft<'_>, id: JobId) -> Result<Timestamp, Rejection> {
    Ok(Timestamp::from_unix_seconds(draft.job(id)?.terms.deadline.saturating_add(1)))
}

/// Whether the escrow can go to another node.
enum Hold {
    /// Nobody holds it.
    Open,
    /// Its lease has run out: the next assignment, or a lapse, ends it.
    Ended { attempt: AttemptNumber },
    /// Somebody holds it; look again then.
    Held { attempt: AttemptNumber, lease_end_s: u64, look_at: Timestamp },
}

/// Does what can be done so that a node that lost the job gives up the escrow: its own signed release, or a call-in.
fn loosen(draft: &mut Draft<'_>, id: JobId) -> Result<Hold, Rejection> {
    let now = draft.now;
    let job = draft.job(id)?;
    let Escrow::Assigned { attempt, lease_end_s, renewed_at_s, .. } = job.escrow else {
        return Ok(Hold::Open);
    };
    let ended_at = known_after_s(draft, lease_end_s);
    if now >= ended_at {
        return Ok(Hold::Ended { attempt });
    }
    let call_in_at = call_in_at(draft, job);
    let release = draft.find_attempt(id, attempt).and_then(|attempt| attempt.release);
    let look_at = match (release, call_in_at) {
        (Some(signature), _) if now.unix_seconds() <= lease_end_s => {
            plan(draft, id, IntentAction::Release { attempt, signature })?
        }
        (_, Some(at)) if at <= now => {
            plan(draft, id, IntentAction::CallIn { attempt, renewed_at_s })?
        }
        (_, Some(at)) => at,
        (_, None) => ended_at,
    };
    Ok(Hold::Held { attempt, lease_end_s, look_at: look_at.min(ended_at) })
}

fn pursue_queued(
    draft: &mut Draft<'_>,
    id: JobId,
    occasion: Occasion,
) -> Result<Timestamp, Rejection> {
    let hold = loosen(draft, id)?;
    let job = draft.job(id)?;
    if accept_by(draft, id, job.newest).is_some() {
        // Nothing of it is on its way to the chain: its number is free.
        let job = draft.job_mut(id)?;
        job.newest = job.assignments;
    }
    let job = draft.job(id)?;
    let too_late = too_late_at(job, draft.policy());
    let too_late = order_over(job).map_or(too_late, |over| over.min(too_late));
    if job.demand.is_none() {
        draft.job_mut(id)?.state = State::Queued { wait: Wait::Spec };
        return Ok(too_late);
    }
    let (given_up, attempts_left) = (job.newest, job.has_attempts_left());
    let (wait, due_at) = if given_up > job.assignments {
        // Its assignment may be mined any moment; only then is the number of the next attempt known.
        (Wait::Assignment { attempt: given_up }, replan_assignment(draft, id, given_up, occasion)?)
    } else {
        match hold {
            // The chain has counted attempts that this database does not know.
            Hold::Open | Hold::Ended { .. } if !attempts_left => {
                refund(draft, id, RefundReason::AttemptsExhausted)?;
                return pursue_refund(draft, id);
            }
            Hold::Open | Hold::Ended { .. } => (Wait::Node, too_late),
            Hold::Held { attempt, lease_end_s, look_at } => {
                (Wait::OldLease { attempt, lease_end_s }, look_at)
            }
        }
    };
    draft.job_mut(id)?.state = State::Queued { wait };
    Ok(due_at.min(too_late))
}

/// Brings a promise to the chain. A prepaid job is opened by the way; with a bond, the job is opened first, and assigned
/// once the node has accepted.
pub(super) fn plan_assignment(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
) -> Result<Timestamp, Rejection> {
    let job = draft.job(id)?;
    let Some(row) = draft.find_attempt(id, attempt) else { return Ok(patience(draft)) };
    let (node, acceptance) = (row.node, row.acceptance);
    let action = match (job.is_prepaid(), job.is_bonded()) {
        (true, true) => IntentAction::Open,
        (true, false) => IntentAction::OpenAndAssign { attempt, node },
        (false, true) if acceptance.is_none() => return Ok(patience(draft)),
        (false, _) => IntentAction::Assign { attempt, node, acceptance },
    };
    plan(draft, id, action)
}

/// An assignment that was planned is planned again when nothing came of it for a while; one of a job with a bond as
/// soon as both the job is open and the node has accepted.
fn replan_assignment(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
    occasion: Occasion,
) -> Result<Timestamp, Rejection> {
    let look_at = match occasion {
        Occasion::Change if !draft.job(id)?.is_bonded() => patience(draft),
        Occasion::Change | Occasion::Due => plan_assignment(draft, id, attempt)?,
    };
    Ok(accept_by(draft, id, attempt).map_or(look_at, |by| by.min(look_at)))
}

fn pursue_assigned(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
    occasion: Occasion,
) -> Result<Timestamp, Rejection> {
    let deadline_passed = deadline_passed(draft, id)?;
    let job = draft.job(id)?;
    let due_at = match job.escrow {
        Escrow::Assigned { attempt: holder, lease_end_s, .. } if holder == attempt => {
            let lease_over = known_after_s(draft, lease_end_s);
            let silent_at = silent_at(draft, id, attempt);
            // A silent node is looked at when it can be called in, at once if it can be now.
            call_in_at(draft, job).map_or(lease_over, |at| at.max(silent_at).min(lease_over))
        }
        Escrow::None
        | Escrow::Open
        | Escrow::Assigned { .. }
        | Escrow::Held { .. }
        | Escrow::Published { .. }
        | Escrow::Disputed { .. }
        | Escrow::Paid
        | Escrow::Refunded
        | Escrow::Cancelled => replan_assignment(draft, id, attempt, occasion)?,
    };
    Ok(due_at.min(deadline_passed))
}

/// The first instant at which the node of the attempt counts as silent.
fn silent_at(draft: &Draft<'_>, id: JobId, attempt: AttemptNumber) -> Timestamp {
    let node = draft.find_attempt(id, attempt).and_then(|attempt| draft.find_node(attempt.node));
    node.map_or(draft.now, |node| node.heard_at.plus_millis(draft.policy().silence_ms + 1))
}

fn pursue_call_in(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
) -> Result<Timestamp, Rejection> {
    let deadline_passed = deadline_passed(draft, id)?;
    let job = draft.job(id)?;
    let due_at = match job.escrow {
        Escrow::Assigned { attempt: holder, lease_end_s, renewed_at_s, .. }
            if holder == attempt =>
        {
            let lease_over = known_after_s(draft, lease_end_s);
            match call_in_at(draft, job) {
                Some(at) if at <= draft.now => {
                    plan(draft, id, IntentAction::CallIn { attempt, renewed_at_s })?.min(lease_over)
                }
                Some(at) => at.min(lease_over),
                None => lease_over,
            }
        }
        Escrow::None
        | Escrow::Open
        | Escrow::Assigned { .. }
        | Escrow::Held { .. }
        | Escrow::Published { .. }
        | Escrow::Disputed { .. }
        | Escrow::Paid
        | Escrow::Refunded
        | Escrow::Cancelled => patience(draft),
    };
    Ok(due_at.min(deadline_passed))
}

/// Asks for a verification when the report is new, and again when no verdict came.
fn ask_for_verdict(draft: &mut Draft<'_>, id: JobId, attempt: AttemptNumber) -> bool {
    let Some(row) = draft.find_attempt(id, attempt) else { return false };
    let (AttemptState::Reported, Some(report)) = (row.state, &row.report) else { return false };
    let receipt_hash = report.receipt.hash();
    draft.verify(Verification { job: id, attempt, receipt_hash });
    true
}

fn pursue_verdict(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
    occasion: Occasion,
) -> Result<Timestamp, Rejection> {
    let deadline_passed = deadline_passed(draft, id)?;
    if occasion == Occasion::Due {
        ask_for_verdict(draft, id, attempt);
    }
    Ok(patience(draft).min(deadline_passed))
}

/// A report has come in: it is looked at now, and again if nobody answers.
pub(super) fn reported(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
) -> Result<(), Rejection> {
    ask_for_verdict(draft, id, attempt);
    pursue(draft, id, Occasion::Change)
}

fn pursue_published(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
    occasion: Occasion,
) -> Result<Timestamp, Rejection> {
    let (until_s, disputed) = match draft.job(id)?.escrow {
        Escrow::Published { until_s, .. } => (until_s, false),
        // An arbiter that stays silent rules to pay.
        Escrow::Disputed { until_s, .. } => (until_s, true),
        Escrow::None
        | Escrow::Open
        | Escrow::Assigned { .. }
        | Escrow::Held { .. }
        | Escrow::Paid
        | Escrow::Refunded
        | Escrow::Cancelled => return Ok(patience(draft)),
    };
    let window_over = after_s(draft, until_s);
    if draft.now >= window_over {
        return plan(draft, id, IntentAction::Claim { attempt });
    }
    if disputed {
        // Now it is the arbiter who judges.
        return Ok(window_over);
    }
    let asked = occasion == Occasion::Due && ask_for_verdict(draft, id, attempt);
    let open =
        draft.find_attempt(id, attempt).is_some_and(|row| row.state == AttemptState::Reported);
    Ok(if asked || open { patience(draft).min(window_over) } else { window_over })
}

fn pursue_payment(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
    occasion: Occasion,
) -> Result<Timestamp, Rejection> {
    let now = draft.now;
    let deadline_passed = deadline_passed(draft, id)?;
    match draft.job(id)?.escrow {
        Escrow::Held { until_s, .. } | Escrow::Disputed { until_s, .. } => {
            let hold_over = after_s(draft, until_s);
            if now >= hold_over {
                plan(draft, id, IntentAction::Claim { attempt })
            } else {
                Ok(hold_over)
            }
        }
        Escrow::Published { until_s, .. } => {
            let window_over = after_s(draft, until_s);
            if now >= window_over {
                return plan(draft, id, IntentAction::Claim { attempt });
            }
            Ok(settle(draft, id, attempt)?.min(window_over))
        }
        Escrow::Assigned { attempt: holder, .. } if holder == attempt && now < deadline_passed => {
            Ok(settle(draft, id, attempt)?.min(deadline_passed))
        }
        // Not assigned on chain yet: a node that works on a promise was faster than its assignment.
        Escrow::None | Escrow::Open | Escrow::Assigned { .. } if now < deadline_passed => {
            Ok(replan_assignment(draft, id, attempt, occasion)?.min(deadline_passed))
        }
        // Too late to settle. What was mined in time is not lost: then the refund fails.
        Escrow::None | Escrow::Open | Escrow::Assigned { .. } => {
            let settled_or_not = deadline_passed.plus_seconds(u64::from(
                draft.policy().finality_seconds + draft.policy().patience_seconds,
            ));
            if now >= settled_or_not && draft.job(id)?.escrow == Escrow::None {
                let why = "its order had not opened it by the deadline";
                abandon(draft, id, None, why)?;
                cancel_unopened(draft, id, why)?;
                Ok(settled_or_not)
            } else if now >= settled_or_not {
                plan(draft, id, IntentAction::Refund)
            } else {
                Ok(settled_or_not)
            }
        }
        Escrow::Paid | Escrow::Refunded | Escrow::Cancelled => Ok(patience(draft)),
    }
}

fn settle(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
) -> Result<Timestamp, Rejection> {
    let report = draft.find_attempt(id, attempt).and_then(|row| row.report.as_ref());
    let Some((receipt_hash, signature)) =
        report.map(|report| (report.receipt.hash(), report.signature))
    else {
        return Ok(patience(draft));
    };
    plan(draft, id, IntentAction::Settle { attempt, receipt_hash, signature })
}

fn pursue_refund(draft: &mut Draft<'_>, id: JobId) -> Result<Timestamp, Rejection> {
    if matches!(draft.job(id)?.escrow, Escrow::Disputed { .. }) {
        // Ruled: the refund is in the same transaction.
        return Ok(patience(draft));
    }
    let refundable_at = after_s(draft, draft.job(id)?.terms.deadline);
    if draft.now >= refundable_at {
        return plan(draft, id, IntentAction::Refund);
    }
    // Before that only the submitter can take the bounty back, once nobody holds the job.
    let look_at = match loosen(draft, id)? {
        Hold::Open => refundable_at,
        Hold::Ended { attempt } => plan(draft, id, IntentAction::Lapse { attempt })?,
        Hold::Held { look_at, .. } => look_at,
    };
    Ok(look_at.min(refundable_at))
}
