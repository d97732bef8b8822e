//! Rows in the words of the API.

use gristmill_market::attempt::Attempt;
use gristmill_market::job::{Job, State};
use gristmill_market::node::Node;
use gristmill_market::summary;
use gristmill_protocol::api::{AttemptRef, AttemptView, JobSummary, JobView, NodeView};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::spec::RuntimeKind;
use gristmill_protocol::time::Timestamp;

use super::problem::Refusal;
use crate::app::App;
use crate::logs::{LogId, Logs};
use crate::store::{self, Reads, StoreError};

/// A job with everything that belongs to it; a refusal where there is none.
pub(super) async fn job_view(app: &App, id: JobId) -> Result<JobView, Refusal> {
    let reader = app.clone();
    let view = store::read(&app.store, move |rows| {
        let Some(job) = rows.job(id)? else { return Ok(None) };
        Ok(Some(assemble(rows, &reader.logs, &job)?))
    });
    view.await?.ok_or_else(|| Refusal::not_found(format!("job {id}")))
}

fn assemble(rows: &dyn Reads, logs: &Logs, job: &Job) -> Result<JobView, StoreError> {
    let attempts = rows.attempts(job.id)?;
    let accepted = match job.state {
        State::Settling { attempt } | State::Settled { attempt } => Some(attempt),
        State::Funding
        | State::Queued { .. }
        | State::Assigned { .. }
        | State::CallingIn { .. }
        | State::Verifying { .. }
        | State::Published { .. }
        | State::Refunding { .. }
        | State::Refunded
        | State::Cancelled => None,
    };
    let result = attempts
        .iter()
        .find(|attempt| Some(attempt.number) == accepted)
        .and_then(|attempt| attempt.report.as_ref())
        .map(|report| report.receipt.clone());
    Ok(JobView {
        id: job.id,
        state: job.state.name(),
        summary: summary(job),
        escrow: job.escrow.name(),
        terms: job.terms,
        spec: rows.spec(job.terms.spec_hash)?,
        attempts: attempts.iter().map(|attempt| attempt_view(logs, attempt)).collect(),
        attempts_max: job.demand.as_ref().map_or(0, |demand| demand.attempts_max),
        created_at_ms: job.created_at,
        version: job.version,
        result,
        transactions: rows.transactions_of(job.id)?,
    })
}

fn attempt_view(logs: &Logs, attempt: &Attempt) -> AttemptView {
    let report = attempt.report.as_ref();
    // A log that cannot be looked at now is shown as empty; reading it says what is wrong.
    let log_bytes = logs.length(LogId::of(attempt)).unwrap_or(0);
    AttemptView {
        number: attempt.number,
        node: attempt.node,
        provider: attempt.provider,
        state: attempt.state,
        assigned_at_ms: attempt.assigned_at,
        started_at_ms: attempt.started_at,
        ended_at_ms: attempt.ended_at,
        receipt: report.map(|report| report.receipt.clone()),
        signature: report.map(|report| report.signature),
        reason: attempt.reason.clone(),
        log_bytes,
    }
}

pub(super) fn job_summary(job: &Job) -> JobSummary {
    let demand = job.demand.as_ref();
    JobSummary {
        id: job.id,
        name: demand.map(|demand| demand.name.clone()).unwrap_or_default(),
        state: job.state.name(),
        runtime: demand.map_or(RuntimeKind::Wasm, |demand| demand.runtime),
        submitter: job.terms.submitter,
        bounty: job.terms.bounty,
        fee: job.terms.fee,
        token: job.terms.token,
        deadline: job.terms.deadline,
        attempts: job.newest.0,
        created_at_ms: job.created_at,
        ended_at_ms: job.ended_at,
    }
}

/// A node as it stands at `now`.
pub(super) fn node_view(node: &Node, now: Timestamp) -> NodeView {
    let holding =
        node.holding.iter().map(|(job, held)| AttemptRef { job_id: *job, attempt: held.attempt });
    NodeView {
        id: node.id,
        provider: node.provider,
        state: node.state(),
        offer: node.offer.clone(),
        registered_at_ms: node.registered_at,
        last_heard_at_ms: node.heard_at,
        attempts_accepted: node.attempts_accepted,
        attempts_failed: node.attempts_failed,
        reputation_permille: node.reputation.permille(now),
        holding: holding.collect(),
    }
}
