//! The program `gristmill-scheduler`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use gristmill_protocol::deployment::Deployment;
use gristmill_scheduler::config::{Config, DEFAULT_CONFIG};
use gristmill_scheduler::store::sqlite::SqliteStore;
use gristmill_scheduler::{drivers, openapi_json, run, telemetry};

#[path = "main/reconcile.rs"]
mod reconcile;

/// Assigns jobs to nodes, has results verified, and settles them on chain.
///
/// A scheduler can never take, redirect or freeze the money of a job: it gets its fee, and only when a result is paid.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  gristmill-scheduler config > scheduler.toml     write a configuration, then edit it
  gristmill-scheduler check                       is everything there: files, key, chain, contract?
  gristmill-scheduler                             run
  gristmill-scheduler --config /etc/gristmill/scheduler.toml run
  gristmill-scheduler reconcile                   do contract, events and database agree?

The password of the keystore is in the environment:
  GRISTMILL_SCHEDULER_KEYSTORE_PASSWORD=… gristmill-scheduler

Signs of life: /healthz (the process), /readyz (database and chain), /metrics (Prometheus)."
)]
struct Cli {
    /// The configuration file. Without one that exists, `run` and `check` say how to write it.
    #[arg(
        long,
        short,
        global = true,
        default_value = "scheduler.toml",
        env = "GRISTMILL_SCHEDULER_CONFIG"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Serve until SIGTERM or Ctrl-C (the default).
    Run,
    /// Print the configuration with every default, and what each setting is for.
    Config,
    /// Look at configuration, key, database, chain and contract, and change nothing.
    Check,
    /// Compare contract, events and database. A difference stops payouts until you have looked.
    ///
    /// Everything is compared as of the last block that the scheduler has read, whether it runs or not: each unfinished
    /// job, each payment, and what the contract holds against what it owes. While payouts are stopped the scheduler
    /// serves as ever, and signs nothing new. The exit code is 0 if all agree and payouts go on, 1 if not, and 3 if they
    /// could not be compared.
    #[command(after_help = "Examples:
  gristmill-scheduler reconcile
  gristmill-scheduler reconcile --json | jq .differences
  gristmill-scheduler reconcile --resume
  gristmill-scheduler reconcile --resume --force \"the database was restored from a backup, job 0x… is known\"")]
    Reconcile(reconcile::Options),
    /// Bring the database up to date and exit. `run` does so too.
    Migrate,
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
}

#[tokio::main]
async fn main() -> ExitCode {
    match perform(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            explain(&error);
            ExitCode::FAILURE
        }
    }
}

fn explain(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because {cause}");
    }
}

async fn perform(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command.unwrap_or(Verb::Run) {
        Verb::Run => {
            let config = read_config(&cli.config)?;
            telemetry::start_logging(&config.log).map_err(anyhow::Error::msg)?;
            run::run(config, stop_signal()?).await?;
        }
        Verb::Config => write_out(DEFAULT_CONFIG)?,
        Verb::Check => check(&read_config(&cli.config)?).await?,
        Verb::Reconcile(options) => {
            return Ok(reconcile::reconcile(&read_config(&cli.config)?, &options).await);
        }
        Verb::Migrate => {
            let config = read_config(&cli.config)?;
            run::create_data_dir(&config)?;
            let path = run::database_path(&config);
            let before = SqliteStore::migrated_to(&path)?;
            SqliteStore::open(&path)?;
            let after = SqliteStore::migrations_known();
            println!("{}: migration {after} (was {before})", path.display());
        }
        Verb::Openapi => write_out(&openapi_json())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A reader that has seen enough, such as `head`, is no failure.
fn write_out(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn read_config(path: &std::path::Path) -> anyhow::Result<Config> {
    Config::read(path).with_context(|| {
        format!(
            "no usable configuration; `gristmill-scheduler config > {}` writes one to start from",
            path.display()
        )
    })
}

/// Each line says what was looked at; the first problem ends it.
async fn check(config: &Config) -> anyhow::Result<()> {
    println!("configuration   ok");
    let deployment = Deployment::read(&config.chain.deployment)?;
    println!("deployment      chain {}, contract {}", deployment.chain_id, deployment.contract);
    let signer = run::open_keystore(config)?;
    println!("key             {}", signer.address());
    let (found, known) =
        (SqliteStore::migrated_to(&run::database_path(config))?, SqliteStore::migrations_known());
    anyhow::ensure!(
        found <= known,
        "the database has migration {found}; this program knows {known}: update it"
    );
    println!("database        migration {found} of {known}");
    drivers::check_chain(&config.chain.rpc_urls, &deployment, signer.address()).await?;
    println!("chain           ok");
    Ok(())
}

/// Ready when the process is asked to end.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            // Where Ctrl-C cannot be listened for, SIGTERM still works.
            Ok(()) = tokio::signal::ctrl_c() => {}
        }
    })
}
