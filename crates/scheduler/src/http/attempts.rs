//! What a node says of its attempt. Receipts and signatures are checked here, so that the rules can trust them.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use gristmill_market::Command;
use gristmill_market::command::Speaker;
use gristmill_protocol::api::{
    AcceptRequest, REASON_CHARS_MAX, ReleaseRequest, ReportRequest, StartRequest,
};
use gristmill_protocol::content::parse_cid;
use gristmill_protocol::error::{ErrorCode, Problem};
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken, NodeId, SpecHash};
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::{CompactSignature, Domain, Message};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Account;
use super::body::JsonBody;
use super::idempotency::Once;
use super::problem::Refusal;
use crate::app::App;
use crate::store;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(accept))
        .routes(routes!(start))
        .routes(routes!(report))
        .routes(routes!(release))
}

fn speaker(account: Account, job: JobId, attempt: AttemptNumber, token: LeaseToken) -> Speaker {
    Speaker { node: NodeId(account.address), job, attempt, token }
}

/// The node takes a job with a bond: only then is it assigned on chain, and the bond locked.
#[utoipa::path(post, path = "/v1/jobs/{id}/attempts/{number}/accept", tag = "attempts", security(("token" = [])),
    params(("id" = JobId, Path), ("number" = AttemptNumber, Path), ("idempotency-key" = Option<String>, Header)),
    request_body = AcceptRequest, responses(
    (status = 204, description = "Noted."),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
async fn accept(
    State(app): State<App>,
    account: Account,
    once: Once,
    Path((id, number)): Path<(JobId, AttemptNumber)>,
    body: JsonBody<AcceptRequest>,
) -> Result<StatusCode, Refusal> {
    let AcceptRequest { lease_token, expires, signature } = body.value;
    let speaker = speaker(account, id, number, lease_token);
    let message = Message::Accept { job_id: id, attempt: number, expires };
    check_signature(&app.domain(), "Accept", &message, speaker.node, &signature)?;
    let command = Command::Accept { speaker, expires, signature };
    app.turns.submit_once(command, once.of(account, &body.bytes)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The program of an attempt is about to start.
#[utoipa::path(post, path = "/v1/jobs/{id}/attempts/{number}/start", tag = "attempts", security(("token" = [])),
    params(("id" = JobId, Path), ("number" = AttemptNumber, Path), ("idempotency-key" = Option<String>, Header)),
    request_body = StartRequest, responses(
    (status = 204, description = "Noted."),
    (status = 409, body = Problem, content_type = "application/problem+json"),
))]
async fn start(
    State(app): State<App>,
    account: Account,
    once: Once,
    Path((id, number)): Path<(JobId, AttemptNumber)>,
    body: JsonBody<StartRequest>,
) -> Result<StatusCode, Refusal> {
    let command = Command::Start { speaker: speaker(account, id, number, body.value.lease_token) };
    app.turns.submit_once(command, once.of(account, &body.bytes)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An attempt has ended: the receipt says how, and the node's signature that it says so.
#[utoipa::path(post, path = "/v1/jobs/{id}/attempts/{number}/report", tag = "attempts", security(("token" = [])),
    params(("id" = JobId, Path), ("number" = AttemptNumber, Path), ("idempotency-key" = Option<String>, Header)),
    request_body = ReportRequest, responses(
    (status = 204, description = "Noted. The output of a success must be stored here, and is checked next."),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
async fn report(
    State(app): State<App>,
    account: Account,
    once: Once,
    Path((id, number)): Path<(JobId, AttemptNumber)>,
    body: JsonBody<ReportRequest>,
) -> Result<StatusCode, Refusal> {
    let ReportRequest { lease_token, receipt, signature, release } = body.value;
    let job = store::read(&app.store, move |rows| rows.job(id)).await?;
    let job = job.ok_or_else(|| Refusal::not_found(format!("job {id}")))?;
    let speaker = speaker(account, id, number, lease_token);
    check_receipt(&receipt, &speaker, job.terms.spec_hash)?;
    check_report_signature(&app.domain(), &receipt, &signature)?;
    if let Some(release) = &release {
        check_release(&app.domain(), &speaker, release)?;
    }
    let command = Command::Report { speaker, receipt, signature, release };
    app.turns.submit_once(command, once.of(account, &body.bytes)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A node gives an attempt back, so that another node can have the job at once.
#[utoipa::path(post, path = "/v1/jobs/{id}/attempts/{number}/release", tag = "attempts", security(("token" = [])),
    params(("id" = JobId, Path), ("number" = AttemptNumber, Path), ("idempotency-key" = Option<String>, Header)),
    request_body = ReleaseRequest, responses(
    (status = 204, description = "Noted."),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
async fn release(
    State(app): State<App>,
    account: Account,
    once: Once,
    Path((id, number)): Path<(JobId, AttemptNumber)>,
    body: JsonBody<ReleaseRequest>,
) -> Result<StatusCode, Refusal> {
    let ReleaseRequest { lease_token, signature, reason } = body.value;
    check_reason(&reason)?;
    let speaker = speaker(account, id, number, lease_token);
    check_release(&app.domain(), &speaker, &signature)?;
    let command = Command::Release { speaker, signature, reason };
    app.turns.submit_once(command, once.of(account, &body.bytes)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.chars().count() <= REASON_CHARS_MAX {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::InvalidRequest,
        format!("a reason may have {REASON_CHARS_MAX} characters"),
    ))
}

/// Whether the receipt is about this attempt, by this node, of this spec.
fn check_receipt(receipt: &Receipt, speaker: &Speaker, spec_hash: SpecHash) -> Result<(), Refusal> {
    let invalid = |detail: String| Err(Refusal::new(ErrorCode::InvalidReceipt, detail));
    if receipt.version != RECEIPT_VERSION {
        return invalid(format!(
            "the receipt has version {}; this software knows {RECEIPT_VERSION}",
            receipt.version
        ));
    }
    for (field, same) in [
        ("job_id", receipt.job_id == speaker.job),
        ("attempt", receipt.attempt == speaker.attempt),
        ("node", receipt.node == speaker.node),
        ("spec_hash", receipt.spec_hash == spec_hash),
    ] {
        if !same {
            return invalid(format!("the receipt is of something else: its `{field}` differs"));
        }
    }
    if receipt.started_at_ms > receipt.finished_at_ms {
        return invalid("the receipt ends before it starts".into());
    }
    if let Err(error) = parse_cid(&receipt.output_cid) {
        return invalid(format!("the receipt's `output_cid` is not a CID: {error}"));
    }
    match &receipt.outcome {
        Outcome::NotStarted { reason } | Outcome::OutputRefused { reason } => check_reason(reason),
        Outcome::Exited { .. } | Outcome::Limited { .. } => Ok(()),
    }
}

/// Success and failure are signed as different messages, so that no receipt of failure can ever be paid.
fn check_report_signature(
    domain: &Domain,
    receipt: &Receipt,
    signature: &CompactSignature,
) -> Result<(), Refusal> {
    let (job_id, attempt, node, receipt_hash) =
        (receipt.job_id, receipt.attempt, receipt.node, receipt.hash());
    let (kind, message) = if receipt.outcome.is_success() {
        ("Result", Message::Result { job_id, attempt, node, receipt_hash })
    } else {
        ("Failure", Message::Failure { job_id, attempt, node, receipt_hash })
    };
    check_signature(domain, kind, &message, node, signature)
}

fn check_release(
    domain: &Domain,
    speaker: &Speaker,
    signature: &CompactSignature,
) -> Result<(), Refusal> {
    let message = Message::Release { job_id: speaker.job, attempt: speaker.attempt };
    check_signature(domain, "Release", &message, speaker.node, signature)
}

fn check_signature(
    domain: &Domain,
    kind: &str,
    message: &Message,
    node: NodeId,
    signature: &CompactSignature,
) -> Result<(), Refusal> {
    if domain.signer(message, signature) == Some(node.0) {
        return Ok(());
    }
    let detail = format!(
        "the signature of `{kind}` is not by the node {node}, for chain {} and contract {}",
        domain.chain_id, domain.contract
    );
    Err(Refusal::new(ErrorCode::InvalidReceipt, detail))
}
