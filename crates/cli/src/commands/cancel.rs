//! `gristmill cancel`: stops a job and takes the bounty back, through the scheduler or without it.

use std::time::Duration;

use clap::Args;
use gristmill_protocol::api::{EscrowState, JobState};
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;
use tokio::time::{Instant, sleep};

use super::money::{act, report};
use crate::app::App;
use crate::chain::ways_out::{Verb, WayOut, ways_out};
use crate::chain::{Chain, Mined, Slot};
use crate::failure::{Exit, Failure, Result};
use crate::job_ref::{JobRef, short};
use crate::quantity::{self, Seconds};

const POLL: Duration = Duration::from_millis(500);
/// How long a node's release may take to be in a block.
const TAKE_BACK_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill cancel 0x2f8e1c3b5d\n  gristmill cancel 0x2f8e1c3b5d --chain-only --yes    # the scheduler is gone\n\nThe scheduler is asked to stop the job; the node gives it back; then the wallet cancels it on chain and the bounty is back at once. With --chain-only nobody is asked: an open job is cancelled, and one whose node went silent is taken from it first, once its lease and the grace time are over."
)]
pub(crate) struct CancelArgs {
    /// The job id, or its first digits
    job: JobRef,
    /// Do not talk to the scheduler
    #[arg(long)]
    chain_only: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// How long to wait until the node has given the job back
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    timeout: Seconds,
}

pub(crate) async fn run(app: &App, args: CancelArgs) -> Result<()> {
    let id = args.job.resolve(app).await?;
    let terms = app.terms(id).await?;
    let chain = app.chain().await?;
    if terms.submitter != app.address().await? {
        return Err(Failure::new(
            Exit::Refused,
            format!("only the submitter {} can cancel this job", terms.submitter),
        )
        .job(id)
        .hint("choose its wallet with --keystore"));
    }
    let slot = chain.slot(id).await?;
    cancellable(id, &slot)?;
    app.out.confirm(&format!("Stop job {} and take the bounty back?", short(id)), args.yes)?;
    let mined = if args.chain_only {
        let head = chain.head().await?;
        cancel_on_chain(app, chain, id, &terms, head.due()).await?
    } else {
        stop(app, chain, id, Duration::from_secs(args.timeout.0)).await?;
        vec![(Verb::Cancel, act(app, id, &terms, Verb::Cancel).await?)]
    };
    report(app, id, &terms, &mined).await
}

/// Only what is open, or not yet opened, can be cancelled; what is assigned must become open first.
fn cancellable(id: JobId, slot: &Slot) -> Result<()> {
    match slot.state {
        EscrowState::None | EscrowState::Open | EscrowState::Assigned => Ok(()),
        EscrowState::Held | EscrowState::Published | EscrowState::Disputed => Err(Failure::new(
            Exit::Refused,
            "the job has a result already and can no longer be cancelled",
        )
        .job(id)),
        EscrowState::Paid | EscrowState::Refunded | EscrowState::Cancelled => {
            let (state, money) = crate::chain::ways_out::where_the_money_is(slot.state);
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

/// Asks the scheduler to stop the job, and waits until the chain says that nobody holds it.
async fn stop(app: &App, chain: &Chain, id: JobId, timeout: Duration) -> Result<()> {
    match app.call(|client| client.cancel(id)).await {
        Ok(_) => {}
        // It never heard of the job, or has stopped it already: the chain decides.
        Err(failure)
            if matches!(failure.problem, Some(ErrorCode::NotFound | ErrorCode::Conflict)) =>
        {
            app.out.note(format!("scheduler: {}", failure.message));
        }
        Err(failure) => {
            let hint =
                format!("without the scheduler: `gristmill cancel {} --chain-only`", short(id));
            return Err(failure.job(id).hint(hint));
        }
    }
    wait_until_free(app, chain, id, timeout).await
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
    let slot = chain.slot(id).await?;
    cancellable(id, &slot)?;
    let mut mined = Vec::new();
    if slot.state == EscrowState::Assigned {
        let lease_end = chain.lease_end(terms).await?;
        let ways = ways_out(terms, &slot, lease_end, terms.submitter);
        let now_possible: Vec<&WayOut> = ways.iter().filter(|way| way.is_open(now)).collect();
        if let Some(refund) = now_possible.iter().find(|way| way.verb == Verb::Refund) {
            return Ok(vec![(refund.verb, act(app, id, terms, refund.verb).await?)]);
        }
        if now_possible.is_empty() {
            let soonest = ways.first().map_or(terms.deadline, |way| way.from);
            return Err(Failure::new(
                Exit::Refused,
                format!("node {} holds the job; it can be taken from it {}", slot.node, quantity::when(soonest, now)),
            )
            .job(id)
            .hint("run the same command again then; if the node delivers before, the job is paid instead"));
        }
        mined.push((Verb::Lapse, act(app, id, terms, Verb::Lapse).await?));
    }
    mined.push((Verb::Cancel, act(app, id, terms, Verb::Cancel).await?));
    Ok(mined)
}
