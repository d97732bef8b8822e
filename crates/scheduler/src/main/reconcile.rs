//! The command `reconcile`: compares contract, events and database, and lets a person stop and resume payouts.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use gristmill_market::Needs;
use gristmill_protocol::deployment::Deployment;
use gristmill_scheduler::clock::Clock;
use gristmill_scheduler::config::Config;
use gristmill_scheduler::drivers::chain_rpc::ChainRpc;
use gristmill_scheduler::drivers::reconciler::rounds::confirmed;
use gristmill_scheduler::drivers::reconciler::{Reconciler, Report};
use gristmill_scheduler::run;
use gristmill_scheduler::store::reconcile::{Difference, PayoutStop, Resumption, stop_payouts};
use gristmill_scheduler::store::sqlite::SqliteStore;
use gristmill_scheduler::store::{self, Store, StoreError, Writes};
use serde::Serialize;

/// Contract, events and database differ, or payouts are stopped.
const DIFFERS: u8 = 1;
/// They could not be compared.
const NOT_COMPARED: u8 = 3;
/// Endpoints may lag behind each other: what differs is looked at again after this.
const CONFIRM: Duration = Duration::from_secs(1);
/// What is on record where a person gives no reason.
const NOTHING_DIFFERS: &str = "nothing differs any more";

#[derive(Args)]
pub(crate) struct Options {
    /// Print one JSON document instead of text.
    #[arg(long)]
    json: bool,
    /// Let payouts go on, if nothing differs any more.
    #[arg(long)]
    resume: bool,
    /// Resume although it differs, for a reason that is kept. Exactly the differences of now are accepted for good.
    #[arg(long, value_name = "REASON", requires = "resume")]
    force: Option<String>,
}

#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: Report,
    /// Of the differences, those that no person has accepted.
    outstanding: Vec<Difference>,
    payouts_stopped: Option<PayoutStop>,
    resumed: bool,
}

/// Compares, and says how it ended in the exit code: 0 all agree and payouts go on, 1 not so, 3 could not be compared.
pub(crate) async fn reconcile(config: &Config, options: &Options) -> ExitCode {
    let outcome = match compare(config, options).await {
        Ok(outcome) => outcome,
        Err(error) => {
            super::explain(&error);
            return ExitCode::from(NOT_COMPARED);
        }
    };
    let text = if options.json { json(&outcome) } else { describe(&outcome, options) };
    if let Err(error) = super::write_out(&text) {
        super::explain(&error);
        return ExitCode::from(NOT_COMPARED);
    }
    let all_is_well = outcome.outstanding.is_empty() && outcome.payouts_stopped.is_none();
    if all_is_well || outcome.resumed { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) }
}

async fn compare(config: &Config, options: &Options) -> anyhow::Result<Outcome> {
    let deployment = Deployment::read(&config.chain.deployment)?;
    let scheduler = run::open_keystore(config)?.address();
    let store = open_store(&run::database_path(config))?;
    let rpc = ChainRpc::new(&config.chain.rpc_urls, &deployment)?;
    rpc.check(&deployment, scheduler).await?;
    let reconciler = Reconciler {
        rpc: Arc::new(rpc),
        store: Arc::clone(&store),
        deployment,
        scheduler,
        log_blocks_max: config.chain.log_blocks_max,
        tokens: config.chain.tokens.clone(),
    };
    let (mut report, _) = reconciler.look(None).await?;
    if !report.differences.is_empty() {
        tokio::time::sleep(CONFIRM).await;
        let (second, _) = reconciler.look(None).await?;
        report = confirmed(&report, second);
    }
    let now = Clock::system().wall();
    let (found, block) = (report.differences.clone(), report.block);
    let outstanding =
        write(&*store, |rows| stop_payouts(rows, &found, block, now))?.unwrap_or_default();
    let may_resume = options.resume && (outstanding.is_empty() || options.force.is_some());
    let resumption = Resumption {
        at: now,
        because: options.force.clone().unwrap_or_else(|| NOTHING_DIFFERS.to_owned()),
        forced: !outstanding.is_empty(),
    };
    let resumed =
        may_resume && write(&*store, |rows| rows.end_stop(&resumption))?.unwrap_or_default();
    let payouts_stopped = store::read(&store, |rows| rows.payout_stop()).await?;
    Ok(Outcome { report, outstanding, payouts_stopped, resumed })
}

/// A database that is there and up to date: a comparison is no time to make one.
fn open_store(path: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let (found, known) = (SqliteStore::migrated_to(path)?, SqliteStore::migrations_known());
    ensure!(
        found == known,
        "the database {} has migration {found}, and this program knows {known}: run `gristmill-scheduler migrate`, then the scheduler",
        path.display()
    );
    Ok(Arc::new(SqliteStore::open(path).context("cannot open the database")?))
}

fn write<T>(
    store: &dyn Store,
    mut work: impl FnMut(&mut dyn Writes) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut result = None;
    store.writer()?.transact(&Needs::default(), &mut |rows| {
        result = Some(work(rows)?);
        Ok(())
    })?;
    Ok(result)
}

fn json(outcome: &Outcome) -> String {
    let text = serde_json::to_string_pretty(outcome);
    text.expect("a report is plain JSON") + "\n"
}

fn describe(outcome: &Outcome, options: &Options) -> String {
    let report = &outcome.report;
    let mut lines = vec![
        format!("as of block {}", report.block),
        format!("{:<44} {}", "unfinished jobs", report.jobs),
        format!("{:<44} {}", "jobs that have ended", report.ended),
        format!("{:<44} {}", "unfinished jobs of other schedulers", report.jobs_of_others),
        String::new(),
        format!("{:<44} {:>30} {:>30}", "TOKEN", "OWED", "HELD"),
    ];
    for line in &report.tokens {
        let token = if line.token.is_zero() {
            "native coin (wei)".to_owned()
        } else {
            line.token.to_string()
        };
        lines.push(format!("{token:<44} {:>30} {:>30}", line.owed, line.held));
    }
    lines.push(String::new());
    lines.extend(report.remarks.iter().map(|remark| format!("remark: {remark}")));
    for difference in &report.differences {
        let accepted =
            if outcome.outstanding.contains(difference) { "" } else { ", accepted by force" };
        lines.push(format!("difference ({}{accepted}): {difference}", difference.kind.as_str()));
    }
    if report.left_out > 0 {
        lines.push(format!("and {} more", report.left_out));
    }
    if report.differences.is_empty() {
        lines.push("contract, events and database agree".to_owned());
    }
    lines.push(match &outcome.payouts_stopped {
        _ if outcome.resumed => "payouts go on again".to_owned(),
        None => "payouts are not stopped".to_owned(),
        Some(stop) if outcome.outstanding.is_empty() => format!(
            "payouts are still stopped, since block {}, for: {}\nnothing differs any more: let them go on with `gristmill-scheduler reconcile --resume`",
            stop.block, stop.reason
        ),
        Some(stop) if options.resume => format!(
            "refused: payouts stay stopped, since block {}, because it still differs\nif you know why, `--resume --force \"the reason\"` accepts exactly these differences",
            stop.block
        ),
        Some(stop) => format!(
            "payouts are stopped since block {}: nothing is signed until you have found the cause and resumed",
            stop.block
        ),
    });
    lines.join("\n") + "\n"
}
