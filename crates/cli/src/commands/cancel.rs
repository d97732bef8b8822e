//! `gristmill cancel`: stops jobs and takes their bounties back, through the scheduler or without it.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use gristmill_protocol::api::{EscrowState, JobState};
use gristmill_protocol::contracts::StoredJob;
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::money::{act, report};
use crate::app::App;
use crate::chain::ways_out::{Verb, WayOut, ways_out, where_the_money_is};
use crate::chain::{Chain, Mined};
use crate::failure::{Exit, Failure, Result};
use crate::job_ref::{JobRef, short};
use crate::quantity::{self, Seconds};

const POLL: Duration = Duration::from_millis(500);
/// How long a node's release may take to be in a block.
const TAKE_BACK_TIMEOUT: Duration = Duration::from_secs(120);

/// Jobs of one `cancelMany`: within the gas of a block, and the size of a transaction.
const BATCH_JOBS_MAX: usize = 100;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill cancel 0x2f8e1c3b5d\n  gristmill cancel 0x2f8e1c3b5d 0x77aa90c1e2           # several in one transaction\n  gristmill cancel $(gristmill jobs -q --state queued) --yes\n  gristmill cancel 0x2f8e1c3b5d --chain-only --yes    # the scheduler is gone\n\nThe scheduler is asked to stop the job; the node gives it back; then the wallet cancels it on chain and the bounty is back at once. With --chain-only nobody is asked: an open job is cancelled, and one whose node went silent is taken from it first, once its lease and the grace time are over. Of several jobs, those that cannot be cancelled are left out, each with its reason, and the others are cancelled."
)]
pub(crate) struct CancelArgs {
    /// The job ids, or their first digits
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<JobRef>,
    /// Do not talk to the scheduler
    #[arg(long)]
    chain_only: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// How long to wait until the nodes have given the jobs back
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    timeout: Seconds,
}

pub(crate) async fn run(app: &App, args: CancelArgs) -> Result<()> {
    let wallet = app.address().await?;
    let mut jobs = BTreeMap::new();
    for job in &args.jobs {
        let id = job.resolve(app).await?;
        let terms = app.terms(id).await?;
        if terms.submitter != wallet {
            return Err(Failure::new(
                Exit::Refused,
                format!("only the submitter {} can cancel this job", terms.submitter),
            )
            .job(id)
            .hint("choose its wallet with --keystore"));
        }
        jobs.insert(id, terms);
    }
    if jobs.len() > 1 {
        return cancel_many(app, jobs, &args).await;
    }
    for (id, terms) in jobs {
        cancel_one(app, id, &terms, &args).await?;
    }
    Ok(())
}

async fn cancel_one(app: &App, id: JobId, terms: &Terms, args: &CancelArgs) -> Result<()> {
    let chain = app.chain().await?;
    let slot = chain.slot(id).await?;
    cancellable(id, &slot)?;
    app.out.confirm(&format!("Stop job {} and take the bounty back?", short(id)), args.yes)?;
    let mined = if args.chain_only {
        let head = chain.head().await?;
        cancel_on_chain(app, chain, id, terms, head.due()).await?
    } else {
        ask_to_stop(app, id).await?;
        wait_until_free(app, chain, id, Duration::from_secs(args.timeout.0)).await?;
        vec![(Verb::Cancel, act(app, id, terms, Verb::Cancel).await?)]
    };
    let mined: Vec<_> = mined.into_iter().map(|(verb, mined)| (verb.as_str(), mined)).collect();
    report(app, id, terms, &mined).await
}

/// What was sent for several jobs, and what stands in the way of each that is left.
#[derive(Default)]
struct Tally {
    sent: Vec<(&'static str, Mined)>,
    failures: BTreeMap<JobId, Failure>,
}

impl Tally {
    /// Keeps what failed for the report, and says whether nothing did.
    fn passed<T>(&mut self, id: JobId, result: Result<T>) -> Option<T> {
        result.map_err(|failure| self.failures.insert(id, failure.job(id))).ok()
    }
}

async fn cancel_many(app: &App, jobs: BTreeMap<JobId, Terms>, args: &CancelArgs) -> Result<()> {
    let chain = app.chain().await?;
    app.out
        .confirm(&format!("Stop {} jobs and take their bounties back?", jobs.len()), args.yes)?;
    let mut tally = Tally::default();
    // All are asked before any is waited for, so that their nodes give them back side by side.
    if !args.chain_only {
        for id in jobs.keys() {
            let asked = ask_to_stop(app, *id).await;
            tally.passed(*id, asked);
        }
    }
    let now = chain.head().await?.due();
    let mut free = Vec::new();
    for (id, terms) in &jobs {
        if tally.failures.contains_key(id) {
            continue;
        }
        if args.chain_only {
            let taken = take_from_node(app, chain, *id, terms, now).await;
            let Some(taken) = tally.passed(*id, taken) else { continue };
            let is_over = taken.iter().any(|(verb, _)| *verb == Verb::Refund);
            tally.sent.extend(taken.into_iter().map(|(verb, mined)| (verb.as_str(), mined)));
            if is_over {
                continue;
            }
        } else {
            let timeout = Duration::from_secs(args.timeout.0);
            let freed = wait_until_free(app, chain, *id, timeout).await;
            if tally.passed(*id, freed).is_none() {
                continue;
            }
        }
        free.push((*id, terms));
    }
    for batch in free.chunks(BATCH_JOBS_MAX) {
        let what = format!("cancel {} jobs", batch.len());
        let terms = batch.iter().map(|(_, terms)| (*terms).into()).collect();
        let request = chain.market().cancelMany(terms).into_transaction_request();
        match chain.send(&app.out, app.signer().await?, &what, request).await {
            Ok(mined) => {
                tally.sent.push(("cancel_many", mined));
                for (id, why) in chain.skipped(mined.hash).await? {
                    tally.failures.insert(id, Failure::new(Exit::Refused, why).job(id));
                }
            }
            Err(failure) => {
                for (id, _) in batch {
                    let left = Failure::new(failure.exit, failure.message.clone()).job(*id);
                    tally.failures.insert(*id, left);
                }
            }
        }
    }
    report_many(app, chain, &jobs, tally).await
}

async fn report_many(
    app: &App,
    chain: &Chain,
    jobs: &BTreeMap<JobId, Terms>,
    tally: Tally,
) -> Result<()> {
    let Tally { sent, mut failures } = tally;
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for (id, terms) in jobs {
        let (state, _) = where_the_money_is(chain.slot(*id).await?.state);
        let error = failures.get(id).map(|failure| failure.message.clone());
        let why = error.clone().unwrap_or_default();
        rows.push(vec![short(*id), state.to_owned(), why]);
        values.push(json!({
            "job": id, "escrow": state, "bounty_wei": terms.bounty, "token": terms.token, "error": error,
        }));
    }
    if app.out.is_json() {
        let transactions: Vec<_> = sent
            .iter()
            .map(|(verb, mined)| json!({ "verb": verb, "hash": mined.hash, "block": mined.block, "gas_used": mined.gas_used }))
            .collect();
        app.out.value(&json!({ "jobs": values, "transactions": transactions }))?;
    } else {
        app.out.table(&["job", "escrow", "why not"], &[], &rows)?;
    }
    match failures.pop_first() {
        Some((_, failure)) => Err(failure),
        None => Ok(()),
    }
}

/// Only what is open, or not yet opened, can be cancelled; what is assigned must become open first.
fn cancellable(id: JobId, slot: &StoredJob) -> Result<()> {
    match slot.state {
        EscrowState::None | EscrowState::Open | EscrowState::Assigned => Ok(()),
        EscrowState::Held | EscrowState::Published | EscrowState::Disputed => Err(Failure::new(
            Exit::Refused,
            "the job has a result already and can no longer be cancelled",
        )
        .job(id)),
        EscrowState::Paid | EscrowState::Refunded | EscrowState::Cancelled => {
            let (state, money) = where_the_money_is(slot.state);
            Err(Failure::new(
                Exit::Refused,
                format!("the job has ended: it is {state}, the money is {money}"),
            )
            .job(id))
        }
    }
}

/// Takes the bounty of a job back that the scheduler has given up, unless somebody else was faster.
pub(crate) async fn take_back(app: &App, id: JobId, terms: &Terms) -> Result<()> {
    let chain = app.chain().await?;
    let freed = wait_until_free(app, chain, id, TAKE_BACK_TIMEOUT).await;
    let result = match freed {
        Ok(()) => act(app, id, terms, Verb::Cancel).await.map(drop),
        Err(failure) => Err(failure),
    };
    // After the deadline the scheduler sends the refund itself; then there is nothing left to do.
    let returned =
        matches!(chain.slot(id).await?.state, EscrowState::Refunded | EscrowState::Cancelled);
    if returned { Ok(()) } else { result }
}

async fn ask_to_stop(app: &App, id: JobId) -> Result<()> {
    match app.call(|client| client.cancel(id)).await {
        Ok(_) => Ok(()),
        // It never heard of the job, or has stopped it already: the chain decides.
        Err(failure)
            if matches!(failure.problem, Some(ErrorCode::NotFound | ErrorCode::Conflict)) =>
        {
            app.out.note(format!("scheduler: {}", failure.message));
            Ok(())
        }
        Err(failure) => {
            let hint =
                format!("without the scheduler: `gristmill cancel {} --chain-only`", short(id));
            Err(failure.job(id).hint(hint))
        }
    }
}

/// Waits until no node holds the job on chain.
async fn wait_until_free(app: &App, chain: &Chain, id: JobId, timeout: Duration) -> Result<()> {
    let give_up = Instant::now() + timeout;
    let mut said = false;
    loop {
        let slot = chain.slot(id).await?;
        cancellable(id, &slot)?;
        if slot.state != EscrowState::Assigned {
            return Ok(());
        }
        if !said {
            said = true;
            app.out.note(format!("waiting until node {} gives the job back …", slot.node));
        }
        if Instant::now() >= give_up {
            let state = app
                .call(|client| client.job(id))
                .await
                .map_or("unknown", |job| JobState::as_str(job.state));
            return Err(Failure::new(Exit::TimedOut, format!("the node has not given the job back yet (the scheduler says: {state})"))
                .job(id)
                .hint(format!("try `gristmill cancel {}` again later; after the deadline `gristmill refund` works in any case", short(id))));
        }
        tokio::select! {
            () = sleep(POLL) => {}
            _ = tokio::signal::ctrl_c() => {
                return Err(Failure::new(Exit::Detached, "no longer waiting; the job is being stopped, and the bounty is still locked")
                    .job(id)
                    .hint(format!("take the bounty back with `gristmill cancel {}`", short(id))));
            }
        }
    }
}

/// Takes the job from a node that is overdue, then cancels it; or says when that will be possible.
pub(crate) async fn cancel_on_chain(
    app: &App,
    chain: &Chain,
    id: JobId,
    terms: &Terms,
    now: u64,
) -> Result<Vec<(Verb, Mined)>> {
    let mut mined = take_from_node(app, chain, id, terms, now).await?;
    if !mined.iter().any(|(verb, _)| *verb == Verb::Refund) {
        mined.push((Verb::Cancel, act(app, id, terms, Verb::Cancel).await?));
    }
    Ok(mined)
}

/// Takes the job from the node that holds it, if one does and is overdue. After the deadline the bounty is returned at
/// once instead.
async fn take_from_node(
    app: &App,
    chain: &Chain,
    id: JobId,
    terms: &Terms,
    now: u64,
) -> Result<Vec<(Verb, Mined)>> {
    let slot = chain.slot(id).await?;
    cancellable(id, &slot)?;
    if slot.state != EscrowState::Assigned {
        return Ok(Vec::new());
    }
    let lease_end = chain.lease_end(terms).await?;
    let ways = ways_out(terms, &slot, lease_end, terms.submitter);
    let now_possible: Vec<&WayOut> = ways.iter().filter(|way| way.is_open(now)).collect();
    if now_possible.is_empty() {
        let soonest = ways.first().map_or(terms.deadline, |way| way.from);
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "node {} holds the job; it can be taken from it {}",
                slot.node,
                quantity::when(soonest, now)
            ),
        )
        .job(id)
        .hint(
            "run the same command again then; if the node delivers before, the job is paid instead",
        ));
    }
    let refund = now_possible.iter().any(|way| way.verb == Verb::Refund);
    let verb = if refund { Verb::Refund } else { Verb::Lapse };
    Ok(vec![(verb, act(app, id, terms, verb).await?)])
}
