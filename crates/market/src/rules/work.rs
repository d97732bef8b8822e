//! What nodes and verifiers say about attempts. Only the newest attempt speaks, with its token.

use gristmill_protocol::api::{AttemptRef, AttemptState, EventBody, Stop};
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken, NodeId, ReceiptHash};
use gristmill_protocol::receipt::Receipt;
use gristmill_protocol::signing::CompactSignature;

use super::draft::Draft;
use super::lifecycle::{
    Ending, accept as count_result, assign, end_attempt, free, head, try_again,
};
use super::pursuit::{Occasion, pursue, reported, too_late_at};
use crate::attempt::{Acceptance, Attempt, Report};
use crate::command::{Speaker, Verdict};
use crate::escrow::Escrow;
use crate::job::{Job, State};
use crate::matching::choose_job;
use crate::node::{HOLDING_MAX, Mode};
use crate::rejection::Rejection;
use crate::reply::{Lease, Reply};

/// The fence.
fn heed<'d>(draft: &'d Draft<'_>, speaker: &Speaker) -> Result<(&'d Job, &'d Attempt), Rejection> {
    let Speaker { node, job: id, attempt, token } = *speaker;
    let job = draft.job(id)?;
    if attempt < job.newest {
        return Err(Rejection::StaleAttempt { attempt, newest: job.newest });
    }
    let unknown = Rejection::UnknownAttempt { job: id, attempt };
    let row = draft.find_attempt(id, attempt).filter(|_| attempt == job.newest).ok_or(unknown)?;
    if row.node != node || row.token != Some(token) {
        return Err(Rejection::WrongToken);
    }
    Ok((job, row))
}

/// A node says what it holds; it hears what to do besides, and what to stop.
pub(super) fn poll(
    draft: &mut Draft<'_>,
    id: NodeId,
    holding: &[AttemptRef],
    draining: bool,
    token: LeaseToken,
) -> Result<Reply, Rejection> {
    if holding.len() > 4 * HOLDING_MAX {
        return Err(Rejection::TooManyHeld { most: 4 * HOLDING_MAX });
    }
    let (now, policy) = (draft.now, draft.policy());
    let node = draft.node_mut(id)?;
    node.heard_at = node.heard_at.max(now);
    node.mode = if draining { Mode::Draining } else { Mode::Online };
    node.due_at = Some(node.heard_at.plus_millis(policy.offline_ms + 1));

    let node = draft.node(id)?;
    let in_time = draft.jobs().filter(|job| now < too_late_at(job, policy));
    if let Some(job) = choose_job(node, in_time, draft.moment()).map(|job| job.id) {
        assign(draft, job, id, token)?;
    }
    let unheard = |job: JobId, attempt: AttemptNumber| {
        !holding.iter().any(|held| (held.job_id, held.attempt) == (job, attempt))
    };
    let node = draft.node(id)?;
    let mine = node.holding.iter().filter(|(job, held)| unheard(**job, held.attempt));
    let assignments = mine
        .map(|(job, held)| Lease { job: *job, attempt: held.attempt, token: held.token })
        .collect();
    let stop = holding.iter().filter_map(|held| stop(draft, id, *held)).collect();
    Ok(Reply::Polled { assignments, stop })
}

/// Whether a node must stop what it holds, and why. A job that is not known here is the node's own affair: the chain
/// may know it.
fn stop(draft: &Draft<'_>, node: NodeId, held: AttemptRef) -> Option<Stop> {
    let AttemptRef { job_id, attempt } = held;
    let job = draft.find_job(job_id)?;
    let row = draft.find_attempt(job_id, attempt).filter(|row| row.node == node);
    let reason = match row {
        Some(row) => match row.state {
            AttemptState::Leased | AttemptState::Running | AttemptState::Reported => return None,
            AttemptState::Accepted if !job.state.name().is_end() => return None,
            AttemptState::Accepted => "the job is settled".to_owned(),
            AttemptState::Rejected
            | AttemptState::Expired
            | AttemptState::Released
            | AttemptState::Failed
            | AttemptState::Abandoned => {
                row.reason.clone().unwrap_or_else(|| row.state.as_str().to_owned())
            }
        },
        None => "another node has this attempt".to_owned(),
    };
    // A release is of use while the node holds the escrow, or is about to.
    let signed = row.is_some_and(|row| row.release.is_some());
    let ours = row.is_some_and(|row| row.token.is_some());
    let on_its_way = ours && attempt == job.newest && attempt > job.assignments;
    let holds = matches!(job.escrow, Escrow::Assigned { node: holder, attempt: on_chain, .. }
        if holder == node && on_chain == attempt);
    let release = !signed && ours && (holds || on_its_way) && !job.escrow.is_end();
    Some(Stop { job_id, attempt, reason, release })
}

/// The node puts its provider's bond at stake. Taken once: what follows from it may be on its way to the chain.
pub(super) fn accept(
    draft: &mut Draft<'_>,
    speaker: &Speaker,
    acceptance: Acceptance,
) -> Result<Reply, Rejection> {
    let Speaker { job: id, attempt, .. } = *speaker;
    let (job, row) = heed(draft, speaker)?;
    if row.acceptance.is_some() || !job.is_bonded() {
        return Ok(Reply::Unchanged);
    }
    if !matches!(job.state, State::Assigned { .. }) {
        return Err(Rejection::WrongState { state: job.state.name() });
    }
    let least = draft.now.unix_seconds() + u64::from(draft.policy().patience_seconds);
    let expires = acceptance.expires;
    if expires < least {
        return Err(Rejection::AcceptanceTooShort { expires, least });
    }
    draft.attempt_mut(id, attempt)?.acceptance = Some(acceptance);
    pursue(draft, id, Occasion::Change)?;
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}

/// With a bond, no work without the node's acceptance: it could not be paid for.
fn accepted(job: &Job, row: &Attempt) -> Result<(), Rejection> {
    let assigned = job.escrow.attempt() == Some(row.number);
    if job.is_bonded() && row.acceptance.is_none() && !assigned {
        return Err(Rejection::AcceptanceMissing);
    }
    Ok(())
}

pub(super) fn start(draft: &mut Draft<'_>, speaker: &Speaker) -> Result<Reply, Rejection> {
    let now = draft.now;
    let (job, row) = heed(draft, speaker)?;
    accepted(job, row)?;
    let refused = Rejection::WrongState { state: job.state.name() };
    match (&job.state, row.state) {
        (State::Assigned { .. } | State::CallingIn { .. }, AttemptState::Leased) => {}
        (State::Assigned { .. } | State::CallingIn { .. }, AttemptState::Running) => {
            return Ok(Reply::Unchanged);
        }
        _ => return Err(refused),
    }
    let row = draft.attempt_mut(speaker.job, speaker.attempt)?;
    row.state = AttemptState::Running;
    row.started_at = Some(now);
    draft.record(speaker.job, EventBody::Started { attempt: speaker.attempt })?;
    Ok(Reply::Job { state: draft.job(speaker.job)?.state.name() })
}

/// An attempt has ended. A node need not have said that it started: what counts is the result.
pub(super) fn report(
    draft: &mut Draft<'_>,
    speaker: &Speaker,
    receipt: Receipt,
    signature: CompactSignature,
    release: Option<CompactSignature>,
) -> Result<Reply, Rejection> {
    let Speaker { job: id, attempt, .. } = *speaker;
    let (job, row) = heed(draft, speaker)?;
    belongs(&receipt, speaker, job)?;
    let known = row.report.as_ref().is_some_and(|report| report.receipt == receipt);
    if known {
        // The answer to the first one was lost.
        return Ok(Reply::Unchanged);
    }
    let refused = Rejection::WrongState { state: job.state.name() };
    let success = receipt.outcome.is_success();
    if success {
        accepted(job, row)?;
    }
    let on_chain = match (&job.state, row.state) {
        (
            State::Assigned { .. } | State::CallingIn { .. },
            AttemptState::Leased | AttemptState::Running,
        ) => None,
        (State::Published { .. }, AttemptState::Reported) if row.report.is_none() && success => {
            Some(job.escrow)
        }
        _ => return Err(refused),
    };
    if let Some(Escrow::Published { receipt_hash, .. }) = on_chain
        && receipt.hash() != receipt_hash
    {
        return Err(Rejection::WrongReceipt("hash (another one is on chain)"));
    }
    let (started_at, outcome, output_cid) =
        (receipt.started_at_ms, receipt.outcome.clone(), receipt.output_cid.clone());
    let row = draft.attempt_mut(id, attempt)?;
    row.started_at = row.started_at.or(Some(started_at));
    row.report = Some(Report { receipt, signature });
    let node = row.node;
    let reason = outcome.to_string();
    draft.record(id, EventBody::Reported { attempt, outcome, output_cid })?;
    if !success {
        draft.attempt_mut(id, attempt)?.release = release;
        end_attempt(draft, id, attempt, Ending::Failed, vec![reason])?;
        try_again(draft, id, "the attempt failed")?;
        pursue(draft, id, Occasion::Change)?;
        return Ok(Reply::Job { state: draft.job(id)?.state.name() });
    }
    draft.attempt_mut(id, attempt)?.state = AttemptState::Reported;
    // The node's part is done: it may take the next job while this one is looked at.
    free(draft, id, attempt, node)?;
    if on_chain.is_none() {
        draft.job_mut(id)?.state = State::Verifying { attempt };
    }
    reported(draft, id, attempt)?;
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}

/// The caller has checked the signature; here it must be about this attempt.
fn belongs(receipt: &Receipt, speaker: &Speaker, job: &Job) -> Result<(), Rejection> {
    if receipt.job_id != speaker.job {
        return Err(Rejection::WrongReceipt("job_id"));
    }
    if receipt.attempt != speaker.attempt {
        return Err(Rejection::WrongReceipt("attempt"));
    }
    if receipt.node != speaker.node {
        return Err(Rejection::WrongReceipt("node"));
    }
    if receipt.spec_hash != job.terms.spec_hash {
        return Err(Rejection::WrongReceipt("spec_hash"));
    }
    Ok(())
}

/// The node gives the attempt back, or signs that it has stopped what it was told to stop.
pub(super) fn release(
    draft: &mut Draft<'_>,
    speaker: &Speaker,
    signature: CompactSignature,
    reason: &str,
) -> Result<Reply, Rejection> {
    let Speaker { job: id, attempt, node, .. } = *speaker;
    let (job, row) = heed(draft, speaker)?;
    if row.release.is_some() {
        return Ok(Reply::Unchanged);
    }
    let refused = Rejection::WrongState { state: job.state.name() };
    match (&job.state, row.state) {
        (
            State::Assigned { .. } | State::CallingIn { .. },
            AttemptState::Leased | AttemptState::Running,
        ) => {
            let drain = draft.find_node(node).is_some_and(|node| node.mode == Mode::Draining);
            draft.attempt_mut(id, attempt)?.release = Some(signature);
            end_attempt(draft, id, attempt, Ending::Released { drain }, vec![head(reason)])?;
            try_again(draft, id, "the node gave it back")?;
        }
        (
            State::Queued { .. } | State::Refunding { .. },
            AttemptState::Rejected
            | AttemptState::Expired
            | AttemptState::Released
            | AttemptState::Failed
            | AttemptState::Abandoned,
        ) => draft.attempt_mut(id, attempt)?.release = Some(signature),
        _ => return Err(refused),
    }
    pursue(draft, id, Occasion::Change)?;
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}

/// A verifier has looked at a result.
pub(super) fn verdict(
    draft: &mut Draft<'_>,
    id: JobId,
    attempt: AttemptNumber,
    receipt_hash: ReceiptHash,
    verdict: Verdict,
) -> Result<Reply, Rejection> {
    let job = draft.job(id)?;
    let refused = Rejection::WrongState { state: job.state.name() };
    let published = match job.state {
        State::Verifying { attempt: current } if current == attempt => false,
        State::Published { attempt: current } if current == attempt => true,
        State::Verifying { .. } | State::Published { .. } => {
            return Err(Rejection::StaleAttempt { attempt, newest: job.newest });
        }
        State::Funding
        | State::Queued { .. }
        | State::Assigned { .. }
        | State::CallingIn { .. }
        | State::Settling { .. }
        | State::Refunding { .. }
        | State::Settled { .. }
        | State::Refunded
        | State::Cancelled => return Err(refused),
    };
    let row =
        draft.find_attempt(id, attempt).ok_or(Rejection::UnknownAttempt { job: id, attempt })?;
    let judged = row.state == AttemptState::Reported
        && row.report.as_ref().is_some_and(|report| report.receipt.hash() == receipt_hash);
    if !judged {
        return Err(refused);
    }
    match verdict {
        Verdict::Accept => {
            count_result(draft, id, attempt)?;
            draft.job_mut(id)?.state = State::Settling { attempt };
        }
        Verdict::Reject { reasons } => {
            let reasons = reasons.iter().take(16).map(|reason| head(reason)).collect();
            end_attempt(draft, id, attempt, Ending::Rejected, reasons)?;
            if !published {
                try_again(draft, id, "the result was rejected")?;
            }
        }
    }
    pursue(draft, id, Occasion::Change)?;
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}
