//! `gristmill submit`: from a spec and a bounty to the job's end, so that no step can lose money or the job's id.
//!
//! The order matters: check everything, upload the inputs, upload the spec, compute the terms and the job id here,
//! write the record of the job, announce it, sign, write down the transaction's hash, and only then send it.

use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::SignerSync;
use clap::Args;
use gristmill_protocol::api::{Info, JobState, NodeState};
use gristmill_protocol::money::{Amount, NATIVE_DECIMALS};
use gristmill_protocol::order::{Funding, Order, OrderPath, OrderSignature};
use gristmill_protocol::spec::JobSpec;
use gristmill_protocol::terms::Terms;
use serde_json::json;

use super::spec_args::{Draft, SpecArgs};
use super::{cancel, outcome, result};
use crate::app::App;
use crate::chain::payment::Consent;
use crate::chain::{Chain, Cost, Mined, decimal, money};
use crate::failure::{Exit, Failure, Result};
use crate::follow::{Follow, Until, follow};
use crate::job_ref::short;
use crate::output::Tone;
use crate::quantity::{self, Seconds};
use crate::record::JobRecord;
use crate::transfer::Workbench;

/// Time to fetch inputs and to hand in the output, beside the run itself.
const ATTEMPT_SLACK_SECONDS: u32 = 600;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill submit job.json --bounty 1 --deadline 6h\n  gristmill submit --wasm digits.wasm --input digits=data/ --bounty 0.05 --yes -- --epochs 30\n  gristmill submit --image ghcr.io/me/train@sha256:… --gpus 1 --vram 24GiB --bounty 2 --deadline 1d --detach\n  gristmill submit job.json --bounty 1 --hold 1d --bond 0.5 --dispute-bond 0.1 --arbiter 0x…\n  gristmill submit job.json --bounty 1 --prepaid                # after `gristmill deposit 5`\n  gristmill submit job.json --bounty 1 --dry-run\n\nEvents go to stderr, the program's log to stdout; with --json only the outcome is on stdout. The exit code is the job's outcome: 0 settled, 1 refunded or cancelled. Where nobody can be paid, the bounty is taken back at once. Ctrl-C detaches: the job goes on."
)]
pub(crate) struct SubmitArgs {
    /// What the job pays, in coins (or tokens), fee included
    #[arg(long, value_name = "AMOUNT", help_heading = "Money and time")]
    bounty: String,
    /// The scheduler's share of it [default: what the scheduler asks for]
    #[arg(long, value_name = "AMOUNT", help_heading = "Money and time")]
    fee: Option<String>,
    /// Pay in this ERC-20 token instead of the coin
    #[arg(long, value_name = "ADDRESS", help_heading = "Money and time")]
    token: Option<Address>,
    /// Until when a result must be there; after it the bounty can be taken back
    #[arg(long, value_name = "DURATION", default_value = "24h", help_heading = "Money and time")]
    deadline: Seconds,
    /// How long the payment is held back after the result, so that it can be disputed
    #[arg(long, value_name = "DURATION", default_value = "0s", help_heading = "Money and time")]
    hold: Seconds,
    /// What each provider that takes the job puts at stake; half of it is yours if it falls silent [default: nothing]
    #[arg(long, value_name = "AMOUNT", help_heading = "Money and time")]
    bond: Option<String>,
    /// What a dispute costs whoever loses it [default: nothing]
    #[arg(long, value_name = "AMOUNT", help_heading = "Money and time")]
    dispute_bond: Option<String>,
    /// Who rules on a dispute; with a bond neither you nor the scheduler [default: whom the scheduler proposes]
    #[arg(long, value_name = "ADDRESS", help_heading = "Money and time")]
    arbiter: Option<Address>,
    /// Pay from what the wallet has in the market: sign an order for this one job, and send no transaction
    #[arg(long, help_heading = "Money and time")]
    prepaid: bool,
    /// Show spec, terms, job id and cost; send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before paying
    #[arg(long, short)]
    yes: bool,
    /// Print the job id once the bounty is locked, and do not wait for the result
    #[arg(long, short)]
    detach: bool,
    /// Do not print the program's log
    #[arg(long, conflicts_with = "detach")]
    no_logs: bool,
    /// Stop watching after this time, with exit code 10
    #[arg(long, value_name = "DURATION", conflicts_with = "detach")]
    timeout: Option<Seconds>,
    /// Download the verified result into this directory
    #[arg(long, short, value_name = "DIR", conflicts_with_all = ["detach", "dry_run", "json"])]
    output: Option<PathBuf>,
    // Last, so that its heading stands over its own options only.
    #[command(flatten)]
    spec: SpecArgs,
}

/// What is agreed with whom, before the clock of the deadline starts.
struct Plan {
    spec: JobSpec,
    info: Info,
    submitter: Address,
    token: Address,
    decimals: u32,
    bounty: Amount,
    fee: Amount,
    bond: Amount,
    dispute_bond: Amount,
    arbiter: Address,
    deadline_seconds: u64,
    hold_seconds: u32,
    salt: B256,
    consent: Consent,
    prepaid: bool,
}

pub(crate) async fn run(app: &App, args: SubmitArgs) -> Result<()> {
    if let Some(directory) = &args.output {
        result::ensure_free(directory)?;
    }
    let workbench = Workbench::new()?;
    let (dry_run, yes, detach) = (args.dry_run, args.yes, args.detach);
    let watch = Follow {
        logs: !args.no_logs,
        timeout: args.timeout.map(|timeout| Duration::from_secs(timeout.0)),
        after: 0,
        until: Until::Decided,
    };
    let output = args.output.clone();
    let (plan, uploads) = plan(app, &workbench, args).await?;
    let chain = app.chain().await?;

    // Everything that the contract would refuse is found before anything is sent anywhere.
    let terms = plan.terms(chain.head().await?.time)?;
    let cost = preflight(chain, &plan, &terms).await?;
    if dry_run {
        return show_plan(app, chain, &plan, &terms, cost.as_ref()).await;
    }
    summarize(app, chain, &plan, cost.as_ref());
    let verb = if plan.prepaid { "Order a job for" } else { "Lock" };
    app.out.confirm(&format!("{verb} {}?", plan.money(plan.bounty)), yes)?;

    app.session().await?;
    for (name, added) in &uploads {
        workbench.upload(app, added, name).await?;
    }
    let stored = app.call(|client| client.put_spec(&plan.spec)).await?;
    if stored.spec_hash != plan.spec.hash() {
        return Err(Failure::new(Exit::Refused, "the scheduler computes another hash of the spec")
            .hint("nothing was paid"));
    }
    // The uploads took their time; the deadline counts from here.
    let terms = plan.terms(chain.head().await?.time)?;
    let scheduler = app.settings.scheduler.value.clone();
    let record =
        JobRecord::new(chain.domain(), &scheduler, terms, plan.spec.clone(), quantity::now());
    let mined = if plan.prepaid {
        order(app, chain, record.clone()).await?;
        None
    } else {
        Some(pay(app, chain, &plan, record.clone()).await?)
    };

    let id = record.job;
    if detach {
        app.out.hint(format!("watch it with `gristmill follow {}`", short(id)));
        if app.out.is_json() {
            return app.out.value(&json!({
                "job": id, "bounty_wei": terms.bounty, "fee_wei": terms.fee, "deadline": terms.deadline, "open": mined,
            }));
        }
        return app.out.line(id);
    }
    let mut job = follow(app, id, watch).await?;
    if job.state == JobState::Refunding {
        // The scheduler waits for the deadline; the wallet need not.
        app.out.note("nobody will be paid; taking the bounty back …");
        cancel::take_back(app, id, &terms).await?;
        let rest = Follow { logs: false, after: job.version, until: Until::Ended, ..watch };
        job = follow(app, id, rest).await?;
    }
    outcome::report(app, &job, mined).await?;
    match output {
        Some(directory) => result::save(app, id, directory).await,
        None => {
            outcome::hint_at_result(app, &job);
            Ok(())
        }
    }
}

/// Reads the arguments, asks the scheduler for its conditions, and refuses one that works with another contract.
async fn plan(
    app: &App,
    workbench: &Workbench,
    args: SubmitArgs,
) -> Result<(Plan, Vec<(String, gristmill_protocol::content::Added)>)> {
    let Draft { spec, uploads } = args.spec.draft(workbench, app).await?;
    let chain = app.chain().await?;
    let token = args.token.unwrap_or_default();
    let decimals = chain.decimals(token).await?;
    let amount = |text: &str, flag: &str| {
        Amount::from_decimal(text, decimals)
            .map_err(|error| Failure::usage(format!("{flag}: {error}")))
    };
    let bounty = amount(&args.bounty, "--bounty")?;
    let info = app.call(|client| client.info()).await?;
    let ours = (chain.deployment().chain_id, chain.deployment().contract);
    if (info.chain_id, info.contract) != ours {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "the scheduler works with contract {} on chain {}, and the deployment file names {} on chain {}",
                info.contract, info.chain_id, ours.1, ours.0
            ),
        )
        .hint("nothing was paid; choose --scheduler and --deployment that belong together"));
    }
    let fee_least = bounty.basis_points(info.fee_bps);
    let fee = match &args.fee {
        Some(text) => amount(text, "--fee")?,
        None => fee_least,
    };
    if fee < fee_least {
        return Err(Failure::new(
            Exit::Refused,
            format!("this scheduler asks for a fee of at least {}", fee_least.to_decimal(decimals)),
        )
        .hint("leave --fee out, or choose another scheduler"));
    }
    let optional = |text: &Option<String>, flag: &str| {
        text.as_ref().map_or(Ok(Amount::ZERO), |text| amount(text, flag))
    };
    let bond = optional(&args.bond, "--bond")?;
    let dispute_bond = optional(&args.dispute_bond, "--dispute-bond")?;
    let arbiter = args.arbiter.unwrap_or(info.arbiter);
    let submitter = app.address().await?;
    if bond != Amount::ZERO || dispute_bond != Amount::ZERO {
        impartial(arbiter, submitter, info.scheduler)?;
    }
    let max_run = u64::from(spec.max_run_seconds);
    if args.deadline.0 <= max_run {
        return Err(Failure::usage(format!(
            "a deadline in {} leaves no time for a run of up to {}",
            quantity::seconds(args.deadline.0),
            quantity::seconds(max_run)
        ))
        .hint("raise --deadline, or lower --max-run"));
    }
    let hold_seconds =
        u32::try_from(args.hold.0).map_err(|_| Failure::usage("--hold is longer than 30 days"))?;
    let plan = Plan {
        spec,
        info,
        submitter,
        token,
        decimals,
        bounty,
        fee,
        bond,
        dispute_bond,
        arbiter,
        deadline_seconds: args.deadline.0,
        hold_seconds,
        salt: B256::from(rand::random::<[u8; 32]>()),
        consent: chain.consent(submitter, token, bounty).await?,
        prepaid: args.prepaid,
    };
    Ok((plan, uploads))
}

/// Where a bond is at stake, the contract wants an arbiter that is no party.
fn impartial(arbiter: Address, submitter: Address, scheduler: Address) -> Result<()> {
    let whose = match arbiter {
        _ if arbiter == submitter => "this wallet",
        _ if arbiter == scheduler => "the scheduler",
        _ => return Ok(()),
    };
    Err(Failure::usage(format!(
        "with a bond at stake somebody else must rule on disputes, and {arbiter} is {whose}"
    ))
    .hint("name an arbiter that you and providers trust with --arbiter; nothing was sent"))
}

impl Plan {
    /// The terms, with the deadline counted from `now` by the chain's clock.
    fn terms(&self, now: u64) -> Result<Terms> {
        let attempt_least = self.spec.max_run_seconds.saturating_add(ATTEMPT_SLACK_SECONDS);
        // A chain without traffic has an old newest block; the contract compares with the block that is to come.
        let now = now.max(quantity::now());
        let terms = Terms {
            submitter: self.submitter,
            scheduler: self.info.scheduler,
            arbiter: self.arbiter,
            token: self.token,
            bounty: self.bounty,
            fee: self.fee,
            bond: self.bond,
            dispute_bond: self.dispute_bond,
            deadline: now.saturating_add(self.deadline_seconds),
            lease_seconds: self.info.lease_seconds,
            grace_seconds: self.info.grace_seconds,
            // No attempt may be cut off while its program may still run.
            attempt_seconds: self
                .info
                .attempt_seconds
                .max(attempt_least)
                .max(self.info.lease_seconds),
            hold_seconds: self.hold_seconds,
            challenge_window: self.info.challenge_window,
            ruling_seconds: self.info.ruling_seconds,
            spec_hash: self.spec.hash(),
            salt: self.salt,
        };
        terms.validate(now).map_err(|error| {
            Failure::usage(format!("the contract would refuse these terms: {error}"))
        })?;
        Ok(terms)
    }

    fn money(&self, amount: Amount) -> String {
        money(amount, self.token, self.decimals, self.info.chain_id)
    }
}

fn open_request(chain: &Chain, terms: &Terms) -> TransactionRequest {
    let call = chain.market().open(terms.into());
    if terms.token.is_zero() { call.value(U256::from(terms.bounty.0)) } else { call }
        .into_transaction_request()
}

/// What opening will cost. For a token that is known only after the approval, which is a transaction itself.
async fn preflight(chain: &Chain, plan: &Plan, terms: &Terms) -> Result<Option<Cost>> {
    if plan.prepaid {
        let held = chain.held(plan.submitter, plan.token).await?;
        if held >= U256::from(plan.bounty.0) {
            return Ok(None);
        }
        let message = format!(
            "{} has {} in the market, and the bounty is {}",
            plan.submitter,
            decimal(held, plan.decimals),
            plan.money(plan.bounty)
        );
        return Err(Failure::new(Exit::Funds, message)
            .hint("nothing was sent; bring more with `gristmill deposit`"));
    }
    if plan.token.is_zero() {
        return Ok(Some(chain.cost(plan.submitter, &open_request(chain, terms)).await?));
    }
    chain.afford(plan.submitter, plan.token, plan.bounty).await?;
    Ok(None)
}

/// Locks the bounty. From the record on, every failure carries the job's id.
async fn pay(app: &App, chain: &Chain, plan: &Plan, mut record: JobRecord) -> Result<Mined> {
    let records = app.records();
    let (id, terms) = (record.job, record.terms);
    records.save(&record)?;
    let unpaid = |failure: Failure| {
        // Nothing was signed, so nobody can ever lock a bounty under this id.
        let _ = records.remove(id);
        Failure {
            hint: Some(failure.hint.clone().unwrap_or_else(|| "nothing was paid".to_owned())),
            ..failure
        }
    };
    let prepared = async {
        app.call(|client| client.create_job(&terms)).await?;
        let signer = app.signer().await?;
        let with_permit = |permit| {
            chain.market().openWithPermit((&terms).into(), permit).into_transaction_request()
        };
        let (price, plain) = ((plan.token, plan.bounty), open_request(chain, &terms));
        let request = chain.paying(&app.out, signer, price, plain, Some(&with_permit)).await?;
        let cost = chain.cost(plan.submitter, &request).await?;
        chain.sign(signer, request, &cost).await
    };
    let signed = prepared.await.map_err(unpaid)?;
    record.open_transaction = Some(signed.hash);
    records.save(&record).map_err(unpaid)?;
    app.out.note(format!("job {id}"));
    chain.broadcast(&app.out, "lock the bounty", &signed).await.map_err(|failure| {
        let hint = format!(
            "whether the bounty is locked is in doubt: look with `gristmill recover {}`, and do not submit again before",
            short(id)
        );
        if failure.exit == Exit::Unreachable { failure.job(id).hint(hint) } else { failure.job(id) }
    })
}

/// Hands the scheduler a signed order over this one job, with which it opens the job from the wallet's balance.
async fn order(app: &App, chain: &Chain, record: JobRecord) -> Result<()> {
    let records = app.records();
    let (id, terms) = (record.job, record.terms);
    // No later than the job itself makes sense.
    let order =
        Order { root: id.0, epoch: chain.epoch(terms.submitter).await?, expires: terms.deadline };
    let digest = chain.domain().order_digest(&order);
    let signature =
        app.signer().await?.sign_hash_sync(&digest).map_err(|error| {
            Failure::new(Exit::Wallet, format!("the wallet cannot sign: {error}"))
        })?;
    let path = OrderPath { position: 0, jobs: 1, siblings: Vec::new() };
    let signature = OrderSignature(signature.as_bytes().to_vec());
    let funding = Funding { order, signature, path };
    records.save(&record)?;
    app.out.note(format!("job {id}"));
    app.call(|client| client.create_prepaid_job(&terms, &funding)).await.map_err(|failure| {
        // Whoever has the order can open the job until it expires.
        let hint = format!(
            "whether the scheduler has the order is in doubt: `gristmill cancel {} --chain-only` makes sure that it is never used",
            short(id)
        );
        if failure.exit == Exit::Unreachable { return failure.job(id).hint(hint) }
        let _ = records.remove(id);
        failure.job(id)
    })?;
    Ok(())
}

/// Three digits say enough of a bound on a cost.
fn rounded_up(amount: Amount) -> Amount {
    let mut unit = 1;
    while amount.0 / unit >= 1000 {
        unit *= 10;
    }
    Amount(amount.0.div_ceil(unit).saturating_mul(unit))
}

fn summarize(app: &App, chain: &Chain, plan: &Plan, cost: Option<&Cost>) {
    let out = &app.out;
    let line = |name: &str, value: String| {
        out.note(format!("  {} {value}", out.paint_err(Tone::Quiet, format!("{name:<10}"))))
    };
    out.note(out.paint_err(
        Tone::Strong,
        format!("{} ({})", plan.spec.name, plan.spec.runtime.kind().as_str()),
    ));
    line(
        "bounty",
        format!("{}, {} of it for the scheduler", plan.money(plan.bounty), plan.money(plan.fee)),
    );
    match cost {
        Some(cost) => line(
            "gas",
            format!(
                "at most {}",
                money(
                    rounded_up(cost.gas_wei_max()),
                    Address::ZERO,
                    NATIVE_DECIMALS,
                    plan.info.chain_id
                )
            ),
        ),
        None if plan.prepaid => {
            line("gas", "none of yours: the scheduler opens the job by your order".to_owned())
        }
        None => line(
            "gas",
            match plan.consent {
                Consent::Given => "for one transaction".to_owned(),
                Consent::Permit => {
                    "for one transaction: the token takes a signed permit".to_owned()
                }
                Consent::Approval => {
                    "for two transactions: the token's approval, and the job".to_owned()
                }
            },
        ),
    }
    line(
        "deadline",
        format!(
            "in {}; then the bounty can be taken back by anyone, to you",
            quantity::seconds(plan.deadline_seconds)
        ),
    );
    if plan.hold_seconds > 0 {
        line(
            "hold",
            format!(
                "{} between the result and its payment",
                quantity::seconds(plan.hold_seconds.into())
            ),
        );
    }
    if plan.bond != Amount::ZERO {
        line(
            "bond",
            format!(
                "{} of each provider that takes the job; one that falls silent loses it, half of it to you",
                plan.money(plan.bond)
            ),
        );
    }
    if plan.dispute_bond != Amount::ZERO {
        line(
            "dispute",
            format!("costs {}, lost by whoever loses it", plan.money(plan.dispute_bond)),
        );
    }
    if plan.arbiter != plan.info.scheduler {
        line("arbiter", plan.arbiter.to_string());
    }
    line("contract", format!("{} on chain {}", chain.deployment().contract, plan.info.chain_id));
    line("scheduler", format!("{} at {}", plan.info.scheduler, app.settings.scheduler.value));
    line("wallet", plan.submitter.to_string());
}

async fn show_plan(
    app: &App,
    chain: &Chain,
    plan: &Plan,
    terms: &Terms,
    cost: Option<&Cost>,
) -> Result<()> {
    let id = terms.id(&chain.domain());
    // A scheduler that hides its nodes is no reason to fail here.
    let nodes = app.call(|client| client.nodes()).await.map(|page| page.items).unwrap_or_default();
    let idle = nodes.iter().filter(|node| node.state == NodeState::Idle).count();
    let online = nodes.iter().filter(|node| node.state != NodeState::Offline).count();
    if app.out.is_json() {
        return app.out.value(&json!({
            "dry_run": true,
            "job": id,
            "spec_hash": terms.spec_hash,
            "spec": plan.spec,
            "terms": terms,
            "bounty_wei": terms.bounty,
            "fee_wei": terms.fee,
            "gas_limit": cost.map(|cost| cost.gas_limit),
            "gas_wei_max": cost.map(Cost::gas_wei_max),
            "nodes_online": online,
            "nodes_idle": idle,
        }));
    }
    summarize(app, chain, plan, cost);
    let pretty =
        |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap_or_default();
    app.out.line(pretty(&json!({ "spec": plan.spec, "terms": terms })))?;
    app.out.pairs(&[
        ("spec hash", terms.spec_hash.to_string()),
        ("job id", format!("{id} (another salt is drawn for the real job)")),
        ("nodes", format!("{online} online, {idle} of them idle")),
    ])?;
    app.out.note("dry run: nothing was sent");
    Ok(())
}

#[cfg(test)]
mod tests {
    use gristmill_protocol::spec::Strategy;

    use super::*;
    use crate::test_data::a_spec;

    fn plan() -> Plan {
        Plan {
            spec: a_spec(),
            info: Info {
                version: "0.1.0".into(),
                chain_id: 4439,
                contract: Address::repeat_byte(3),
                scheduler: Address::repeat_byte(2),
                arbiter: Address::repeat_byte(4),
                fee_bps: 500,
                lease_seconds: 600,
                grace_seconds: 60,
                attempt_seconds: 900,
                challenge_window: 3600,
                ruling_seconds: 7200,
                silence_ms: 15_000,
                strategy: Strategy::BestFit,
                content_bytes_max: 1 << 30,
                payouts_stopped: None,
            },
            submitter: Address::repeat_byte(1),
            token: Address::ZERO,
            decimals: 18,
            bounty: Amount(100),
            fee: Amount(5),
            bond: Amount::ZERO,
            dispute_bond: Amount::ZERO,
            arbiter: Address::repeat_byte(4),
            deadline_seconds: 7200,
            hold_seconds: 0,
            salt: B256::repeat_byte(9),
            consent: Consent::Given,
            prepaid: false,
        }
    }

    #[test]
    fn the_deadline_counts_from_the_later_of_chain_and_clock() {
        let far = quantity::now() + 1_000_000;
        assert_eq!(plan().terms(far).unwrap().deadline, far + 7200);
        assert!(plan().terms(5).unwrap().deadline >= quantity::now() + 7190);
    }

    #[test]
    fn a_bound_is_rounded_up_to_three_digits() {
        for (exact, rounded) in [
            (0, 0),
            (7, 7),
            (999, 999),
            (1000, 1000),
            (1001, 1010),
            (16_486_787, 16_500_000),
            (9999, 10_000),
        ] {
            assert_eq!(rounded_up(Amount(exact)), Amount(rounded));
        }
        assert_eq!(rounded_up(Amount(u128::MAX)), Amount(u128::MAX), "nothing overflows");
    }

    #[test]
    fn an_attempt_may_always_run_as_long_as_the_spec_allows() {
        let mut plan = plan();
        assert_eq!(plan.terms(0).unwrap().attempt_seconds, 600 + ATTEMPT_SLACK_SECONDS);
        plan.spec.max_run_seconds = 10;
        assert_eq!(plan.terms(0).unwrap().attempt_seconds, 900);
    }

    #[test]
    fn with_a_bond_the_arbiter_is_no_party() {
        let [submitter, scheduler, other] = [1, 2, 3].map(Address::repeat_byte);
        assert!(impartial(other, submitter, scheduler).is_ok());
        for (party, name) in [(submitter, "this wallet"), (scheduler, "the scheduler")] {
            let failure = impartial(party, submitter, scheduler).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.ends_with(name), "{}", failure.message);
            assert!(failure.hint.unwrap().contains("--arbiter"));
        }
    }

    #[test]
    fn terms_that_the_contract_would_refuse_are_refused_here() {
        let changes: [fn(&mut Plan); 6] = [
            |plan| plan.fee = Amount(101),
            |plan| plan.bounty = Amount::ZERO,
            |plan| plan.info.grace_seconds = 5,
            |plan| plan.hold_seconds = 31 * 86_400,
            |plan| (plan.bond, plan.arbiter) = (Amount(1), plan.info.scheduler),
            |plan| (plan.dispute_bond, plan.arbiter) = (Amount(1), plan.submitter),
        ];
        for change in changes {
            let mut plan = plan();
            change(&mut plan);
            assert_eq!(plan.terms(0).unwrap_err().exit, Exit::Usage);
        }
    }
}
