//! How a job ended: the last words of `submit` and `follow`, and their exit code.

use gristmill_protocol::api::{JobState, JobView};
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::money::Amount;
use gristmill_protocol::receipt::Receipt;
use gristmill_protocol::{Address, api::TransactionView};
use serde::Serialize;

use crate::app::App;
use crate::chain::{Mined, money};
use crate::failure::{Exit, Failure, Result};
use crate::job_ref::short;
use crate::output::{Tone, plain};
use crate::quantity;

/// The answer of `submit --json` and `follow --json`.
#[derive(Serialize)]
pub(crate) struct Outcome<'a> {
    job: gristmill_protocol::ids::JobId,
    state: JobState,
    summary: &'a str,
    attempts: usize,
    submitter: Address,
    token: Address,
    bounty_wei: Amount,
    fee_wei: Amount,
    /// What the provider was paid; absent where nobody was.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_paid_wei: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_cid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt_hash: Option<gristmill_protocol::ids::ReceiptHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a Receipt>,
    /// The transaction that locked the bounty, where this run sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Mined>,
    transactions: &'a [TransactionView],
}

impl<'a> Outcome<'a> {
    fn new(job: &'a JobView, open: Option<Mined>) -> Self {
        let settled = job.state == JobState::Settled;
        let result = job.result.as_ref();
        let attempt = result.and_then(|receipt| {
            job.attempts.iter().find(|attempt| attempt.number == receipt.attempt)
        });
        Self {
            job: job.id,
            state: job.state,
            summary: &job.summary,
            attempts: job.attempts.len(),
            submitter: job.terms.submitter,
            token: job.terms.token,
            bounty_wei: job.terms.bounty,
            fee_wei: job.terms.fee,
            provider_paid_wei: job.terms.bounty.checked_sub(job.terms.fee).filter(|_| settled),
            provider: attempt.map(|attempt| attempt.provider),
            node: attempt.map(|attempt| attempt.node),
            result_cid: result.map(|receipt| receipt.output_cid.as_str()),
            receipt_hash: result.map(Receipt::hash),
            receipt: result,
            open,
            transactions: &job.transactions,
        }
    }
}

/// Says how the job ended; an error where nobody was paid.
pub(crate) async fn report(app: &App, job: &JobView, open: Option<Mined>) -> Result<()> {
    let outcome = Outcome::new(job, open);
    if app.out.is_json() {
        app.out.value(&outcome)?;
    } else if job.state == JobState::Settled {
        say_settled(app, job, &outcome)?;
    }
    if job.state == JobState::Settled {
        return Ok(());
    }
    let why = job.attempts.iter().rev().find_map(|attempt| attempt.reason.as_deref());
    let why = why.map(|reason| format!(" The last attempt: {}", plain(reason))).unwrap_or_default();
    let summary = plain(job.summary.trim_end_matches('.'));
    Err(Failure::new(Exit::Unpaid, format!("the job is {}: {summary}.{why}", job.state.as_str()))
        .job(job.id)
        .hint(if job.state == JobState::Refunding {
            format!("take the bounty back now with `gristmill cancel {}`", short(job.id))
        } else {
            format!("see its attempts with `gristmill job {}`", short(job.id))
        }))
}

fn say_settled(app: &App, job: &JobView, outcome: &Outcome<'_>) -> Result<()> {
    let out = &app.out;
    // The log went to stdout as it came; what follows is for whoever watches.
    out.note(format!("{} job {}", out.paint_err(Tone::Good, "settled:"), job.id));
    if let (Some(node), Some(provider)) = (outcome.node, outcome.provider) {
        out.note(format!("  node     {node} of {provider}"));
    }
    if job.terms.token.is_zero() {
        let chain_id = app.deployment().map_or(0, |deployment| deployment.chain_id);
        let amount = |amount| {
            money(amount, job.terms.token, gristmill_protocol::money::NATIVE_DECIMALS, chain_id)
        };
        if let Some(paid) = outcome.provider_paid_wei {
            out.note(format!(
                "  paid     {} to the provider, {} to the scheduler",
                amount(paid),
                amount(job.terms.fee)
            ));
        }
    }
    if let Some(receipt) = &job.result {
        out.note(format!(
            "  result   {} ({})",
            plain(&receipt.output_cid),
            quantity::bytes(receipt.output_bytes)
        ));
        out.note(format!("  receipt  {}", receipt.hash()));
    }
    Ok(())
}

/// What to do with a settled job's result.
pub(crate) fn hint_at_result(app: &App, job: &JobView) {
    app.out.hint(format!(
        "get and verify the result with `gristmill result {} -o out`",
        short(job.id)
    ));
}
