//! `gristmill jobs`, `job` and `explain`: what the scheduler says of jobs.

use alloy::primitives::Address;
use clap::Args;
use gristmill_protocol::api::{AttemptView, JobState, JobSummary, JobView};
use gristmill_protocol::client::JobFilter;
use gristmill_protocol::ids::NodeId;

use crate::app::App;
use crate::chain::{coin, money};
use crate::failure::Result;
use crate::job_ref::{JobRef, short};
use crate::output::{Output, Tone, plain};
use crate::quantity;

const JOBS_PER_PAGE: u32 = 100;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill jobs\n  gristmill jobs --state queued --state assigned\n  gristmill jobs --all --name digits\n  gristmill jobs --all --limit 500 --json\n  gristmill jobs -q                      # ids only\n\nWith --json each item is as the API gives it."
)]
pub(crate) struct JobsArgs {
    /// Only jobs in this state; give it several times for any of several
    #[arg(long, value_parser = parse_state)]
    state: Vec<JobState>,
    /// Only jobs whose name holds this, in capitals or not, or whose id begins with it
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Jobs of this submitter [default: the wallet's]
    #[arg(long, value_name = "ADDRESS")]
    submitter: Option<Address>,
    /// Jobs that a node of this provider had
    #[arg(long, value_name = "ADDRESS")]
    provider: Option<Address>,
    /// Jobs that this node had
    #[arg(long, value_name = "ADDRESS")]
    node: Option<Address>,
    /// Everybody's jobs
    #[arg(long, conflicts_with = "submitter")]
    all: bool,
    /// At most so many, newest first
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill job 0x2f8e1c3b5d\n  gristmill job 0x2f8e… --json | jq .state\n\nWith --json the job is as the API gives it."
)]
pub(crate) struct JobArgs {
    /// The job id, or its first digits
    job: JobRef,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  gristmill explain 0x2f8e1c3b5d")]
pub(crate) struct ExplainArgs {
    /// The job id, or its first digits
    job: JobRef,
}

fn parse_state(text: &str) -> std::result::Result<JobState, String> {
    JobState::ALL.iter().copied().find(|state| state.as_str() == text).ok_or_else(|| {
        let names: Vec<&str> = JobState::ALL.iter().map(|state| state.as_str()).collect();
        format!("the states are {}", names.join(", "))
    })
}

pub(crate) async fn list(app: &App, args: JobsArgs) -> Result<()> {
    let submitter = match args.submitter {
        None if args.all || args.provider.is_some() || args.node.is_some() => None,
        None => Some(app.address().await?),
        submitter => submitter,
    };
    let mut filter = JobFilter {
        submitter,
        provider: args.provider,
        node: args.node.map(NodeId),
        states: args.state,
        text: args.name,
        ..JobFilter::default()
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut jobs: Vec<JobSummary> = Vec::new();
    while jobs.len() < limit {
        filter.limit = Some(JOBS_PER_PAGE.min(args.limit));
        let page = app.call(|client| client.jobs(&filter)).await?;
        jobs.extend(page.items);
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    let cut = jobs.len() > limit || filter.cursor.is_some();
    jobs.truncate(limit);
    if app.out.is_json() {
        return app.out.value(&jobs);
    }
    if app.out.is_quiet() {
        return jobs.iter().try_for_each(|job| app.out.line(job.id));
    }
    if jobs.is_empty() {
        app.out.note("no jobs; submit one with `gristmill submit`, or see everybody's with --all");
        return Ok(());
    }
    let chain_id = app.call(|client| client.info()).await?.chain_id;
    let now = quantity::now();
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|job| {
            vec![
                short(job.id),
                plain(&job.name),
                paint_state(&app.out, job.state),
                job.runtime.as_str().to_owned(),
                bounty(job, chain_id),
                job.attempts.to_string(),
                quantity::relative(job.created_at_ms.unix_seconds(), now),
                quantity::relative(job.deadline, now),
            ]
        })
        .collect();
    app.out.table(
        &["job", "name", "state", "runtime", "bounty", "attempts", "created", "deadline"],
        &[4, 5],
        &rows,
    )?;
    if cut {
        app.out.hint("there are more: raise --limit");
    }
    Ok(())
}

fn bounty(job: &JobSummary, chain_id: u64) -> String {
    if job.token.is_zero() {
        format!(
            "{} {}",
            job.bounty.to_decimal(gristmill_protocol::money::NATIVE_DECIMALS),
            coin(chain_id)
        )
    } else {
        // Decimals of a token are known to the chain only; a list is no reason to ask it for each.
        format!("{} of a token", job.bounty)
    }
}

pub(crate) fn paint_state(out: &Output, state: JobState) -> String {
    let tone = match state {
        JobState::Settled => Tone::Good,
        JobState::Refunding | JobState::Refunded | JobState::Cancelled => Tone::Bad,
        JobState::Funding | JobState::Queued => Tone::Quiet,
        JobState::Assigned
        | JobState::CallingIn
        | JobState::Verifying
        | JobState::Published
        | JobState::Settling => Tone::Busy,
    };
    out.paint(tone, state.as_str())
}

pub(crate) async fn show(app: &App, args: JobArgs) -> Result<()> {
    let id = args.job.resolve(app).await?;
    let job = app.call(|client| client.job(id)).await?;
    if app.out.is_json() {
        return app.out.value(&job);
    }
    let chain_id = app.call(|client| client.info()).await?.chain_id;
    let out = &app.out;
    let now = quantity::now();
    let decimals = decimals_of(app, &job).await;
    let amount = |amount| money(amount, job.terms.token, decimals, chain_id);
    let mut rows = vec![
        ("job", out.paint(Tone::Strong, job.id)),
        ("state", format!("{}: {}", paint_state(out, job.state), plain(&job.summary))),
    ];
    if let Some(spec) = &job.spec {
        rows.push(("name", plain(&spec.name)));
        rows.push(("runtime", spec.runtime.kind().as_str().to_owned()));
    }
    rows.extend([
        ("bounty", format!("{} (fee {})", amount(job.terms.bounty), amount(job.terms.fee))),
        ("escrow", crate::chain::ways_out::where_the_money_is(job.escrow).1.to_owned()),
        ("submitter", job.terms.submitter.to_string()),
        ("created", quantity::when(job.created_at_ms.unix_seconds(), now)),
        ("deadline", quantity::when(job.terms.deadline, now)),
        ("attempts", format!("{} of at most {}", job.attempts.len(), job.attempts_max)),
    ]);
    if let Some(result) = &job.result {
        rows.push((
            "result",
            format!("{} ({})", plain(&result.output_cid), quantity::bytes(result.output_bytes)),
        ));
        rows.push(("receipt", result.hash().to_string()));
    }
    out.pairs(&rows)?;
    for attempt in &job.attempts {
        out.line("")?;
        show_attempt(out, attempt, now)?;
    }
    if !job.transactions.is_empty() {
        out.line("")?;
        let rows: Vec<Vec<String>> = job
            .transactions
            .iter()
            .map(|transaction| {
                vec![
                    transaction.kind.as_str().to_owned(),
                    format!("{:?}", transaction.state).to_lowercase(),
                    transaction.gas_used.map_or_else(|| "-".to_owned(), |gas| gas.to_string()),
                    transaction.hash.map_or_else(|| "-".to_owned(), |hash| hash.to_string()),
                ]
            })
            .collect();
        out.table(&["transaction", "state", "gas", "hash"], &[2], &rows)?;
    }
    if job.result.is_some() {
        out.hint(format!("get and verify the result with `gristmill result {} -o out`", short(id)));
    } else if job.state == JobState::Queued {
        out.hint(format!("why does it wait? `gristmill explain {}`", short(id)));
    }
    Ok(())
}

/// The chain knows a token's decimals; without one the amount is shown in its smallest unit.
async fn decimals_of(app: &App, job: &JobView) -> u32 {
    if job.terms.token.is_zero() {
        return gristmill_protocol::money::NATIVE_DECIMALS;
    }
    match app.chain().await {
        Ok(chain) => chain.decimals_or_none(job.terms.token).await,
        Err(_) => 0,
    }
}

fn show_attempt(out: &Output, attempt: &AttemptView, now: u64) -> Result<()> {
    let mut rows = vec![
        ("attempt", format!("{}: {}", attempt.number, attempt.state.as_str())),
        ("  node", format!("{} of {}", attempt.node, attempt.provider)),
        ("  assigned", quantity::when(attempt.assigned_at_ms.unix_seconds(), now)),
    ];
    if let (Some(started), Some(ended)) = (attempt.started_at_ms, attempt.ended_at_ms) {
        rows.push(("  ran", quantity::seconds(ended.millis_since(started) / 1000)));
    } else if let Some(started) = attempt.started_at_ms {
        rows.push(("  started", quantity::when(started.unix_seconds(), now)));
    }
    if let Some(receipt) = &attempt.receipt {
        rows.push(("  program", plain(&receipt.outcome.to_string())));
    }
    if let Some(reason) = &attempt.reason {
        rows.push(("  reason", plain(reason)));
    }
    rows.push(("  log", quantity::bytes(attempt.log_bytes)));
    out.pairs(&rows)
}

pub(crate) async fn explain(app: &App, args: ExplainArgs) -> Result<()> {
    let id = args.job.resolve(app).await?;
    let explanation = app.call(|client| client.explain(id)).await?;
    if app.out.is_json() {
        return app.out.value(&explanation);
    }
    app.out.line(plain(&explanation.summary))?;
    app.out.pairs(&[
        ("state", paint_state(&app.out, explanation.state)),
        ("nodes", format!("{} of {} match", explanation.nodes_matching, explanation.nodes_total)),
    ])?;
    if !explanation.removed.is_empty() {
        app.out.line("")?;
        let rows: Vec<Vec<String>> = explanation
            .removed
            .iter()
            .map(|removal| vec![plain(&removal.constraint), removal.nodes.to_string()])
            .collect();
        app.out.table(&["constraint", "nodes removed"], &[1], &rows)?;
    }
    if let Some(suggestion) = &explanation.suggestion {
        app.out.hint(plain(suggestion));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named_as_in_the_api() {
        assert_eq!(parse_state("calling_in"), Ok(JobState::CallingIn));
        let error = parse_state("done").unwrap_err();
        assert!(error.contains("queued") && error.contains("settled"), "{error}");
    }
}
