//! `gristmill recover`: all money of a wallet, found and moved with only an RPC endpoint.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::Address;
use clap::Args;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::contracts::StoredJob;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;
use serde::Serialize;
use serde_json::json;

use super::cancel::cancel_on_chain;
use super::money::{act, send_withdrawal};
use crate::app::App;
use crate::chain::ways_out::{Verb, WayOut, ways_out, where_the_money_is};
use crate::chain::{Chain, Head, Mined, decimal, money};
use crate::failure::Result;
use crate::job_ref::{JobRef, short};
use crate::quantity;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill recover                       # what is where, and what can be done when\n  gristmill recover --do                  # refund and claim all that is due\n  gristmill recover --do --cancel-open    # and cancel jobs that nobody works on\n  gristmill recover --do --withdraw       # and take stakes and deposits out of the market\n  gristmill recover --do 0x2f8e1c3b5d     # everything that gets this job's money moving\n  gristmill recover --json\n\nNeeds an RPC endpoint and the deployment file, and no scheduler. Jobs are found in the contract's events and in the records of this machine. Without --do nothing is sent and no password is needed."
)]
pub(crate) struct RecoverArgs {
    /// Only these jobs [default: all jobs of the wallet, as submitter and as provider]
    #[arg(value_name = "JOB")]
    jobs: Vec<JobRef>,
    /// Send the transactions that are possible now
    #[arg(long = "do")]
    act: bool,
    /// With --do: also cancel open jobs, and take jobs from nodes whose lease is long over
    #[arg(long, requires = "act")]
    cancel_open: bool,
    /// With --do: also take out what the wallet has in the market; without a stake its nodes get no jobs with a bond,
    /// and without a deposit its prepaid orders are not opened
    #[arg(long, requires = "act", conflicts_with = "jobs")]
    withdraw: bool,
    /// Another address than the wallet's; only to look
    #[arg(long, value_name = "ADDRESS", conflicts_with = "act")]
    address: Option<Address>,
    /// Also jobs that have ended
    #[arg(long)]
    all: bool,
}

/// One job with money in it, or with an end.
struct Found {
    id: JobId,
    terms: Terms,
    slot: StoredJob,
    ways: Vec<WayOut>,
    role: Role,
    name: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Submitter,
    Provider,
    Other,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Submitter => "submitter",
            Self::Provider => "provider",
            Self::Other => "other",
        }
    }
}

/// What was done for a job, or why it was not.
#[derive(Serialize)]
struct Done {
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    verb: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<Mined>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) async fn run(app: &App, args: RecoverArgs) -> Result<()> {
    let chain = app.chain().await?;
    let wallet = match args.address {
        Some(address) => address,
        None => app.address().await?,
    };
    let head = chain.head().await?;
    let mut jobs = find(app, chain, wallet, head.due(), &args).await?;
    let mut done = Vec::new();
    let mut first_failure = None;
    if args.act {
        for job in &jobs {
            // Naming a job is asking for its money; otherwise work in progress is left alone.
            let cancel = args.cancel_open || !args.jobs.is_empty();
            if let Err(failure) = act_on(app, chain, job, head.due(), cancel, &mut done).await {
                app.out.warn(format!("job {}: {}", short(job.id), failure.message));
                done.push(Done {
                    job: Some(job.id),
                    verb: "failed",
                    transaction: None,
                    error: Some(failure.message.clone()),
                });
                first_failure.get_or_insert(failure);
            }
        }
        jobs = find(app, chain, wallet, head.due(), &args).await?;
    }
    let mut tokens = chain.tokens_of(&app.out, wallet).await?;
    tokens.insert(Address::ZERO);
    let mut balances = Vec::new();
    for token in tokens {
        let held = chain.held(wallet, token).await?;
        if held.is_zero() {
            continue;
        }
        if args.withdraw {
            let mined = send_withdrawal(app, token, wallet, held).await;
            match mined {
                Ok(mined) => done.push(Done {
                    job: None,
                    verb: "withdraw",
                    transaction: Some(mined),
                    error: None,
                }),
                Err(failure) => {
                    app.out.warn(&failure.message);
                    done.push(Done {
                        job: None,
                        verb: "withdraw",
                        transaction: None,
                        error: Some(failure.message.clone()),
                    });
                    first_failure.get_or_insert(failure);
                }
            }
        }
        balances.push((token, chain.held(wallet, token).await?));
    }
    // An end is interesting where it was just reached.
    let touched: BTreeSet<JobId> = done.iter().filter_map(|done| done.job).collect();
    jobs.retain(|job| {
        args.all || !args.jobs.is_empty() || !job.ways.is_empty() || touched.contains(&job.id)
    });
    report(app, chain, wallet, head, &jobs, &balances, &done, &args).await?;
    first_failure.map_or(Ok(()), Err)
}

async fn find(
    app: &App,
    chain: &Chain,
    wallet: Address,
    now: u64,
    args: &RecoverArgs,
) -> Result<Vec<Found>> {
    let mut terms_of: BTreeMap<JobId, Terms> = BTreeMap::new();
    let mut names = BTreeMap::new();
    let records = app.records();
    if args.jobs.is_empty() {
        terms_of.extend(chain.jobs_of_submitter(&app.out, wallet).await?);
        terms_of.extend(chain.jobs_of_provider(&app.out, wallet).await?);
        for id in records.ids()? {
            match records.load(id) {
                Ok(Some(record))
                    if record.domain == chain.domain() && record.terms.submitter == wallet =>
                {
                    names.insert(id, record.spec.name);
                    terms_of.entry(id).or_insert(record.terms);
                }
                Ok(_) => {}
                Err(failure) => app.out.warn(failure.message),
            }
        }
    } else {
        for job in &args.jobs {
            let id = job.resolve(app).await?;
            terms_of.insert(id, app.terms(id).await?);
        }
    }
    let mut jobs = Vec::new();
    for (id, terms) in terms_of {
        let slot = chain.slot(id).await?;
        let lease_end = match slot.state {
            EscrowState::Assigned => chain.lease_end(&terms).await?,
            EscrowState::None
            | EscrowState::Open
            | EscrowState::Held
            | EscrowState::Published
            | EscrowState::Disputed
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => 0,
        };
        let role = match chain.node(slot.node.0).await? {
            _ if terms.submitter == wallet => Role::Submitter,
            Some((provider, _)) if provider == wallet => Role::Provider,
            Some(_) | None => Role::Other,
        };
        // A provider that lost the job has nothing to do with it any more.
        if role == Role::Other && args.jobs.is_empty() {
            continue;
        }
        let mut ways = ways_out(&terms, &slot, lease_end, wallet);
        ways.retain(|way| !way.is_over(now));
        if role == Role::Provider {
            ways.retain(|way| way.verb == Verb::Claim);
        }
        jobs.push(Found { id, terms, slot, ways, role, name: names.remove(&id) });
    }
    Ok(jobs)
}

async fn act_on(
    app: &App,
    chain: &Chain,
    job: &Found,
    now: u64,
    cancel: bool,
    done: &mut Vec<Done>,
) -> Result<()> {
    let due = |verb| job.ways.iter().any(|way| way.verb == verb && way.is_open(now));
    let mined = if due(Verb::Refund) {
        vec![(Verb::Refund, act(app, job.id, &job.terms, Verb::Refund).await?)]
    } else if due(Verb::Claim) {
        vec![(Verb::Claim, act(app, job.id, &job.terms, Verb::Claim).await?)]
    } else if cancel && (due(Verb::Cancel) || due(Verb::Lapse)) {
        cancel_on_chain(app, chain, job.id, &job.terms, now).await?
    } else {
        return Ok(());
    };
    done.extend(mined.into_iter().map(|(verb, mined)| Done {
        job: Some(job.id),
        verb: verb.as_str(),
        transaction: Some(mined),
        error: None,
    }));
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "one report of everything that was found and done")]
async fn report(
    app: &App,
    chain: &Chain,
    wallet: Address,
    head: Head,
    jobs: &[Found],
    balances: &[(Address, alloy::primitives::U256)],
    done: &[Done],
    args: &RecoverArgs,
) -> Result<()> {
    let now = head.due();
    if app.out.is_json() {
        let jobs: Vec<_> = jobs
            .iter()
            .map(|job| {
                let ways: Vec<_> = job
                    .ways
                    .iter()
                    .map(|way| json!({ "verb": way.verb, "from": way.from, "until": way.until, "possible": way.is_open(now) }))
                    .collect();
                json!({
                    "job": job.id, "name": job.name, "role": job.role, "escrow": where_the_money_is(job.slot.state).0,
                    "bounty_wei": job.terms.bounty, "token": job.terms.token, "deadline": job.terms.deadline,
                    "node": (!job.slot.node.0.is_zero()).then_some(job.slot.node), "attempt": job.slot.attempt,
                    "bond_wei": job.terms.bond, "pool_wei": job.slot.pool(&job.terms),
                    "dispute_bond_wei": job.terms.dispute_bond, "settled": job.slot.settled, "terms": job.terms, "ways_out": ways,
                })
            })
            .collect();
        let balances: Vec<_> = balances
            .iter()
            .map(|(token, held)| json!({ "token": token, "market_wei": held.to_string() }))
            .collect();
        return app.out.value(&json!({
            "wallet": wallet, "block": head.block, "time": head.time, "jobs": jobs, "balances": balances, "done": done,
        }));
    }
    if jobs.is_empty() && balances.is_empty() {
        app.out.note(format!("no money of {wallet} is in the contract; see ended jobs with --all"));
        return Ok(());
    }
    let mut rows = Vec::new();
    for job in jobs {
        let decimals = chain.decimals_or_none(job.terms.token).await;
        let (state, _) = where_the_money_is(job.slot.state);
        let ways: Vec<String> = job
            .ways
            .iter()
            .map(|way| {
                let when = match way.until {
                    Some(until) => format!("for {}", quantity::seconds(until.saturating_sub(now))),
                    None if way.is_open(now) => "now".to_owned(),
                    None => quantity::relative(way.from, now),
                };
                format!("{} {when}", way.verb.as_str())
            })
            .collect();
        let ways = if ways.is_empty() { "nothing".to_owned() } else { ways.join(", ") };
        rows.push(vec![
            short(job.id),
            job.role.as_str().to_owned(),
            state.to_owned(),
            money(job.terms.bounty, job.terms.token, decimals, chain.deployment().chain_id),
            ways,
        ]);
    }
    if !rows.is_empty() {
        app.out.table(&["job", "role", "escrow", "bounty", "can be done"], &[3], &rows)?;
    }
    for (token, held) in balances {
        let decimals = chain.decimals_or_none(*token).await;
        app.out.line(format!(
            "in the market: {} of {}",
            decimal(*held, decimals),
            if token.is_zero() { "the coin".to_owned() } else { token.to_string() }
        ))?;
    }
    let due = |way: &WayOut| way.verb != Verb::Dispute && way.is_open(now);
    if !args.act && jobs.iter().any(|job| job.ways.iter().any(due)) {
        app.out.hint("send what is possible now with `gristmill recover --do`; --cancel-open also stops jobs that nobody works on");
    }
    if !balances.is_empty() {
        app.out.hint("take it out of the market with `gristmill withdraw`, unless nodes need it as a stake or orders are paid from it");
    }
    let disputable = |job: &&Found| job.ways.iter().any(|way| way.verb == Verb::Dispute);
    if let Some(job) = jobs.iter().find(disputable) {
        app.out.hint(format!(
            "is the result of {} not what it should be? `gristmill dispute {}`",
            short(job.id),
            short(job.id)
        ));
    }
    if let Some(job) = jobs.iter().find(|job| job.slot.state == EscrowState::None) {
        app.out.hint(format!(
            "{} was never opened; `gristmill cancel {} --chain-only` makes sure that it never is",
            short(job.id),
            short(job.id)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::commands::Cli;

    #[test]
    fn looking_never_needs_a_password_and_never_acts_for_others() {
        assert!(Cli::try_parse_from(["gristmill", "recover", "--cancel-open"]).is_err());
        let other = "0x0000000000000000000000000000000000000001";
        assert!(Cli::try_parse_from(["gristmill", "recover", "--address", other, "--do"]).is_err());
        assert!(Cli::try_parse_from(["gristmill", "recover", "--address", other]).is_ok());
    }
}
