//! The chain has the last word: what a final event does to the mirror of the escrow, and to the job.

use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptState, EventBody, IntentKind, Ruling};
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken, NodeId, ReceiptHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::time::Timestamp;

use super::admission::opened;
use super::draft::Draft;
use super::lifecycle::{
    Ending, abandon, accept, cancel_unopened, end_attempt, free, head, match_job, queue, refund,
    try_again,
};
use super::pursuit::{Occasion, plan_assignment, pursue, reported};
use crate::attempt::Attempt;
use crate::command::{ChainEvent, Fact, IntentRef};
use crate::escrow::Escrow;
use crate::job::{RefundReason, Setback, State};
use crate::rejection::Rejection;
use crate::reply::Reply;

/// The longest pause between two intents of which the first could not be mined.
const RETRY_SECONDS_MAX: u64 = 3600;

/// Applies an event, once.
pub(super) fn apply(
    draft: &mut Draft<'_>,
    event: ChainEvent,
    token: LeaseToken,
) -> Result<Reply, Rejection> {
    let ChainEvent { job: id, position, at_s, fact } = event;
    match draft.find_job(id) {
        Some(job) if position <= job.escrow_at => return Ok(Reply::Unchanged),
        Some(job) if !can_follow(&job.escrow, &fact) => {
            return Err(Rejection::ImpossibleOnChain { escrow: job.escrow.name() });
        }
        Some(_) => {}
        None if matches!(fact, Fact::Opened { .. }) => {}
        None => return Err(Rejection::UnknownJob(id)),
    }
    match fact {
        Fact::Opened { terms, spec } => opened(draft, id, terms, spec.as_ref())?,
        Fact::Cancelled { amount } => cancelled(draft, id, amount)?,
        Fact::Assigned { node, provider, attempt } => {
            assigned(draft, id, node, provider, attempt, at_s)?
        }
        Fact::CalledIn { attempt, lease_end_s } => called_in(draft, id, attempt, lease_end_s)?,
        Fact::Renewed { attempt, lease_end_s } => renewed(draft, id, attempt, lease_end_s, at_s)?,
        Fact::Released { attempt } => {
            reopened(draft, id, attempt, Ending::Released { drain: true })?
        }
        Fact::Lapsed { attempt } => reopened(draft, id, attempt, Ending::Expired)?,
        Fact::Settled { node, attempt, .. } => settled(draft, id, node, attempt, at_s)?,
        Fact::Published { node, attempt, receipt_hash } => {
            published(draft, id, node, attempt, receipt_hash, at_s)?
        }
        Fact::Forfeited { provider, to_submitter, to_pool } => {
            draft.record(id, EventBody::Forfeited { provider, to_submitter, to_pool })?;
        }
        Fact::Disputed { by, until_s } => disputed(draft, id, by, until_s)?,
        Fact::Ruled { ruling } => ruled(draft, id, ruling)?,
        Fact::Paid { provider, amount, fee } => paid(draft, id, provider, amount, fee)?,
        Fact::Refunded { amount } => {
            draft.job_mut(id)?.escrow = Escrow::Refunded;
            returned(draft, id, amount)?;
        }
    }
    draft.job_mut(id)?.escrow_at = position;
    pursue(draft, id, Occasion::Change)?;
    match_job(draft, id, token)?;
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}

/// Whether the contract can say this next. If not, it is not the contract that speaks, or an event was lost: then
/// nothing is believed, least of all about a job that has ended.
fn can_follow(escrow: &Escrow, fact: &Fact) -> bool {
    match *fact {
        Fact::Opened { .. } => *escrow == Escrow::None,
        Fact::Cancelled { .. } => matches!(escrow, Escrow::None | Escrow::Open),
        // A lease that has run out is ended by an event of its own.
        Fact::Assigned { .. } | Fact::Forfeited { .. } => *escrow == Escrow::Open,
        Fact::CalledIn { attempt, .. }
        | Fact::Renewed { attempt, .. }
        | Fact::Released { attempt }
        | Fact::Lapsed { attempt }
        | Fact::Published { attempt, .. } => is_assigned(escrow, attempt),
        Fact::Settled { attempt, .. } => {
            is_assigned(escrow, attempt)
                || matches!(escrow, Escrow::Published { attempt: published, .. } if *published == attempt)
        }
        Fact::Disputed { .. } => matches!(escrow, Escrow::Held { .. } | Escrow::Published { .. }),
        Fact::Ruled { .. } => matches!(escrow, Escrow::Disputed { .. }),
        Fact::Paid { .. } => matches!(
            escrow,
            Escrow::Held { .. } | Escrow::Published { .. } | Escrow::Disputed { .. }
        ),
        Fact::Refunded { .. } => {
            matches!(escrow, Escrow::Open | Escrow::Assigned { .. } | Escrow::Disputed { .. })
        }
    }
}

fn is_assigned(escrow: &Escrow, number: AttemptNumber) -> bool {
    matches!(escrow, Escrow::Assigned { attempt, .. } if *attempt == number)
}

/// The submitter withdrew the job on chain, or forbade it before it was opened.
fn cancelled(draft: &mut Draft<'_>, id: JobId, amount: Amount) -> Result<(), Rejection> {
    let job = draft.job_mut(id)?;
    let opened = job.escrow != Escrow::None;
    job.escrow = Escrow::Cancelled;
    match job.state {
        State::Cancelled => Ok(()),
        // Prepaid or not: nothing was paid, and nothing will be.
        State::Funding
        | State::Queued { .. }
        | State::Assigned { .. }
        | State::CallingIn { .. }
        | State::Verifying { .. }
        | State::Settling { .. }
            if !opened =>
        {
            let why = "the submitter forbade it on chain";
            abandon(draft, id, None, why)?;
            cancel_unopened(draft, id, why)
        }
        State::Funding
        | State::Queued { .. }
        | State::Assigned { .. }
        | State::CallingIn { .. }
        | State::Verifying { .. }
        | State::Published { .. }
        | State::Settling { .. }
        | State::Refunding { .. }
        | State::Settled { .. }
        | State::Refunded => returned(draft, id, amount),
    }
}

/// The bounty is back with the submitter.
fn returned(draft: &mut Draft<'_>, id: JobId, amount: Amount) -> Result<(), Rejection> {
    abandon(draft, id, None, "the bounty went back to the submitter")?;
    draft.job_mut(id)?.state = State::Refunded;
    draft.record(id, EventBody::Refunded { amount })
}

fn assigned(
    draft: &mut Draft<'_>,
    id: JobId,
    node: NodeId,
    provider: Address,
    attempt: AttemptNumber,
    at_s: u64,
) -> Result<(), Rejection> {
    let job = draft.job_mut(id)?;
    let lease_end_s = at_s.saturating_add(u64::from(job.terms.lease_seconds));
    job.escrow =
        Escrow::Assigned { node, attempt, renewed_at_s: at_s, lease_end_s, called_in: false };
    job.assignments = attempt;
    let promised = std::mem::replace(&mut job.newest, attempt);
    if draft.find_attempt(id, attempt).is_some_and(|row| row.node == node) {
        return Ok(());
    }
    // Not our assignment: a database was lost, or the scheduler's key is used elsewhere. The chain is right.
    if draft
        .find_attempt(id, promised)
        .is_some_and(|row| row.state.is_live() || row.state == AttemptState::Accepted)
    {
        let why = "the chain assigned another node";
        end_attempt(draft, id, promised, Ending::Abandoned, vec![why.into()])?;
        queue(draft, id, why)?;
    }
    let now = draft.now;
    let job = draft.job_mut(id)?;
    if !job.excluded.contains(&node) {
        job.excluded.push(node);
    }
    draft.insert_attempt(Attempt {
        job: id,
        number: attempt,
        node,
        provider,
        token: None,
        state: AttemptState::Abandoned,
        assigned_at: Timestamp::from_unix_seconds(at_s),
        started_at: None,
        ended_at: Some(now),
        report: None,
        acceptance: None,
        release: None,
        reason: Some("assigned on chain without this scheduler's database".into()),
    });
    Ok(())
}

fn called_in(
    draft: &mut Draft<'_>,
    id: JobId,
    number: AttemptNumber,
    end_s: u64,
) -> Result<(), Rejection> {
    let job = draft.job_mut(id)?;
    if let Escrow::Assigned { lease_end_s, called_in, .. } = &mut job.escrow {
        (*lease_end_s, *called_in) = (end_s, true);
    }
    if job.state == (State::Assigned { attempt: number }) {
        job.state = State::CallingIn { attempt: number };
        draft.record(id, EventBody::CalledIn { attempt: number })?;
    }
    Ok(())
}

/// A live node cannot be pushed out.
fn renewed(
    draft: &mut Draft<'_>,
    id: JobId,
    number: AttemptNumber,
    end_s: u64,
    at_s: u64,
) -> Result<(), Rejection> {
    let job = draft.job_mut(id)?;
    if let Escrow::Assigned { lease_end_s, renewed_at_s, called_in, .. } = &mut job.escrow {
        (*lease_end_s, *renewed_at_s, *called_in) = (end_s, at_s, false);
    }
    if job.state == (State::CallingIn { attempt: number }) {
        job.state = State::Assigned { attempt: number };
        draft.record(id, EventBody::Renewed { attempt: number })?;
    }
    Ok(())
}

/// Nobody holds the job on chain any more. Whoever was at work on it cannot be paid for this attempt.
fn reopened(
    draft: &mut Draft<'_>,
    id: JobId,
    number: AttemptNumber,
    ending: Ending,
) -> Result<(), Rejection> {
    let job = draft.job_mut(id)?;
    job.escrow = Escrow::Open;
    if job.state.attempt() != Some(number) {
        return Ok(());
    }
    let why = match ending {
        Ending::Released { .. } => "released on chain",
        Ending::Expired
        | Ending::Failed
        | Ending::Rejected
        | Ending::Overruled
        | Ending::Abandoned => "its lease lapsed on chain",
    };
    end_attempt(draft, id, number, ending, vec![why.into()])?;
    try_again(draft, id, why)
}

/// The result was accepted on chain, by this market or by another holder of the scheduler's key.
fn settled(
    draft: &mut Draft<'_>,
    id: JobId,
    node: NodeId,
    attempt: AttemptNumber,
    at_s: u64,
) -> Result<(), Rejection> {
    let job = draft.job_mut(id)?;
    let until_s = at_s.saturating_add(u64::from(job.terms.hold_seconds));
    let is_held = job.terms.hold_seconds > 0;
    job.escrow = Escrow::Held { node, attempt, until_s };
    if job.state != (State::Settling { attempt }) {
        abandon(draft, id, Some(attempt), "the chain settled another attempt")?;
        accept(draft, id, attempt)?;
        draft.job_mut(id)?.state = State::Settling { attempt };
    }
    if is_held {
        draft.record(id, EventBody::Held { until_ms: Timestamp::from_unix_seconds(until_s) })?;
    }
    Ok(())
}

/// The node put its result on chain itself. Whatever was thought of its attempt, it has delivered now.
fn published(
    draft: &mut Draft<'_>,
    id: JobId,
    node: NodeId,
    attempt: AttemptNumber,
    receipt_hash: ReceiptHash,
    at_s: u64,
) -> Result<(), Rejection> {
    let job = draft.job_mut(id)?;
    let until_s = at_s.saturating_add(u64::from(job.terms.challenge_window));
    job.escrow = Escrow::Published { node, attempt, receipt_hash, until_s };
    let settling = job.state == (State::Settling { attempt });
    draft.record(id, EventBody::Published { attempt, receipt_hash })?;
    if settling {
        return Ok(());
    }
    abandon(draft, id, Some(attempt), "another attempt was published on chain")?;
    let job = draft.job_mut(id)?;
    job.newest = attempt;
    job.state = State::Published { attempt };
    let Some(row) = draft.find_attempt(id, attempt) else { return Ok(()) };
    let holder = row.node;
    free(draft, id, attempt, holder)?;
    let row = draft.attempt_mut(id, attempt)?;
    if row.state == AttemptState::Rejected {
        // It was judged; the window goes by.
        return Ok(());
    }
    row.state = AttemptState::Reported;
    row.ended_at = None;
    row.reason = None;
    // A report of something else says nothing about this result.
    if row.report.as_ref().is_some_and(|report| report.receipt.hash() != receipt_hash) {
        row.report = None;
    }
    reported(draft, id, attempt)
}

/// A result is disputed: from now on the arbiter's word counts, or its silence.
fn disputed(draft: &mut Draft<'_>, id: JobId, by: Address, until_s: u64) -> Result<(), Rejection> {
    let job = draft.job_mut(id)?;
    let Some((node, attempt)) = job.escrow.node().zip(job.escrow.attempt()) else { return Ok(()) };
    job.escrow = Escrow::Disputed { node, attempt, by, until_s };
    draft.record(id, EventBody::Disputed { by, until_ms: Timestamp::from_unix_seconds(until_s) })
}

/// The arbiter's word. To pay changes nothing before the payment; otherwise the result is rejected, whatever was
/// thought of it here.
fn ruled(draft: &mut Draft<'_>, id: JobId, ruling: Ruling) -> Result<(), Rejection> {
    draft.record(id, EventBody::Ruled { ruling })?;
    let Some(attempt) = draft.job(id)?.escrow.attempt().filter(|_| ruling != Ruling::Pay) else {
        return Ok(());
    };
    if draft.find_attempt(id, attempt).is_some_and(|row| row.state != AttemptState::Rejected) {
        let reasons = vec!["the arbiter ruled against it".into()];
        end_attempt(draft, id, attempt, Ending::Overruled, reasons)?;
    }
    match ruling {
        Ruling::Pay => Ok(()),
        Ruling::Refund => refund(draft, id, RefundReason::Ruled),
        Ruling::Reopen => {
            draft.job_mut(id)?.escrow = Escrow::Open;
            try_again(draft, id, "the arbiter ruled that it is done again")
        }
    }
}

fn paid(
    draft: &mut Draft<'_>,
    id: JobId,
    provider: Address,
    amount: Amount,
    fee: Amount,
) -> Result<(), Rejection> {
    let job = draft.job_mut(id)?;
    let attempt = job.escrow.attempt().or(job.state.attempt()).unwrap_or(job.newest);
    job.escrow = Escrow::Paid;
    abandon(draft, id, Some(attempt), "the chain paid another attempt")?;
    accept(draft, id, attempt)?;
    draft.job_mut(id)?.state = State::Settled { attempt };
    draft.record(id, EventBody::Settled { provider, amount, fee })
}

/// A transaction can never be mined: it is planned again later, under a new subject, if it is still wanted then. An
/// assignment goes to another node instead.
pub(super) fn intent_failed(
    draft: &mut Draft<'_>,
    intent: &IntentRef,
    reason: &str,
) -> Result<Reply, Rejection> {
    let (id, now) = (intent.job, draft.now);
    let job = draft.job(id)?;
    match intent.kind {
        IntentKind::Open => return opening_failed(draft, id, reason),
        IntentKind::OpenAndAssign if is_current(draft, intent)? => {
            if job.escrow == Escrow::None {
                return opening_failed(draft, id, reason);
            }
            // Somebody else opened it: what is left to do is a plain assignment.
            let newest = job.newest;
            plan_assignment(draft, id, newest)?;
            return Ok(Reply::Job { state: draft.job(id)?.state.name() });
        }
        IntentKind::OpenAndAssign | IntentKind::Assign => {
            return assignment_failed(draft, intent, reason);
        }
        IntentKind::CallIn
        | IntentKind::Release
        | IntentKind::Lapse
        | IntentKind::Settle
        | IntentKind::Claim
        | IntentKind::Refund => {}
    }
    let (about, round) = intent.subject.rsplit_once('/').unwrap_or((&intent.subject, ""));
    let count = job.setback(intent.kind, about).map_or(0, |setback| setback.count);
    if round != count.to_string() {
        // An older one, of which we know already.
        return Ok(Reply::Unchanged);
    }
    let pause = u64::from(draft.policy().patience_seconds) << count.min(16);
    let setback = Setback {
        kind: intent.kind,
        about: about.to_owned(),
        count: count.saturating_add(1),
        retry_at: now.plus_seconds(pause.min(RETRY_SECONDS_MAX)),
    };
    let job = draft.job_mut(id)?;
    job.setbacks.retain(|setback| setback.kind != intent.kind);
    job.setbacks.push(setback);
    pursue(draft, id, Occasion::Change)?;
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}

/// Whether the intent is about the newest promise, and the job is about that, too.
fn is_current(draft: &Draft<'_>, intent: &IntentRef) -> Result<bool, Rejection> {
    let job = draft.job(intent.job)?;
    Ok(is_promised(draft, intent)? && job.state.attempt() == Some(job.newest))
}

/// Whether the intent is about the newest promise, which is not on chain.
fn is_promised(draft: &Draft<'_>, intent: &IntentRef) -> Result<bool, Rejection> {
    let job = draft.job(intent.job)?;
    let newest = job.newest;
    let row = draft.find_attempt(intent.job, newest);
    let named = row.is_some_and(|row| intent.subject.contains(&format!("/{newest}/{}/", row.node)));
    Ok(named && newest > job.assignments)
}

/// The order does not open the job: it is revoked or has expired, or the submitter's balance is too small. The node
/// that was promised it is not to blame. Should the job be opened after all, it goes on.
fn opening_failed(draft: &mut Draft<'_>, id: JobId, reason: &str) -> Result<Reply, Rejection> {
    let job = draft.job(id)?;
    if job.state.name().is_end() || !job.is_prepaid() {
        return Ok(Reply::Unchanged);
    }
    let why = format!("its order does not open it on chain: {}", head(reason));
    abandon(draft, id, None, &why)?;
    cancel_unopened(draft, id, why)?;
    let job = draft.job_mut(id)?;
    job.newest = job.assignments;
    pursue(draft, id, Occasion::Change)?;
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}

fn assignment_failed(
    draft: &mut Draft<'_>,
    intent: &IntentRef,
    reason: &str,
) -> Result<Reply, Rejection> {
    let id = intent.job;
    let job = draft.job(id)?;
    let promised = job.newest;
    if !is_promised(draft, intent)? {
        return Ok(Reply::Unchanged);
    }
    let row = draft.find_attempt(id, promised).map(|row| row.state);
    let waiting = matches!(job.state, State::Queued { .. });
    let at_work = job.state.attempt() == Some(promised);
    // Its number is free for the next one.
    draft.job_mut(id)?.newest = draft.job(id)?.assignments;
    if row.is_some_and(|state| state.is_live() || state == AttemptState::Accepted) {
        let why = format!("it could not be assigned on chain: {}", head(reason));
        end_attempt(draft, id, promised, Ending::Abandoned, vec![why])?;
    }
    if at_work {
        try_again(draft, id, "the assignment failed on chain")?;
    }
    if at_work || waiting || matches!(draft.job(id)?.state, State::Refunding { .. }) {
        pursue(draft, id, Occasion::Change)?;
    }
    if draft.job(id)?.is_assignable() {
        // Without a token nobody can get it here: its timer does that at once.
        let now = draft.now;
        draft.job_mut(id)?.due_at = Some(now);
    }
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}
