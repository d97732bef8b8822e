//! The commands of `gristmill-node`: what a provider types.

#![expect(clippy::print_stdout, reason = "commands answer on stdout")]

mod doctor;
mod init;
mod join;
mod system_service;
mod ways_out;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use gristmill_protocol::Address;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::signing::Message;
use serde_json::json;

use crate::chain::Chain;
use crate::config::Config;
use crate::journal::Journal;
use crate::key::NodeKey;
use crate::runtime::wasm::worker;
use crate::state_dir::StateDir;
use join::Joined;

/// How long an enrolment message may be used.
const ENROLL_SECONDS: u64 = 3600;

/// Earn with this machine: take jobs from a scheduler, run them in a cage, and be paid by the contract.
///
/// The password of the node's key is read from GRISTMILL_NODE_KEYSTORE_PASSWORD, or else from the file beside the key that
/// `join` makes where nobody gives one.
#[derive(Parser)]
#[command(
    name = "gristmill-node",
    version,
    after_help = "Examples:
  gristmill-node join --scheduler https://scheduler.example.org --provider 0xYourWallet
Or step by step:
  gristmill-node init --scheduler https://scheduler.example.org --rpc https://rpc.example.org
  gristmill-node enroll-message --provider 0xYourWallet > enroll.json
  gristmill node enroll --message enroll.json --approve-scheduler 0xTheScheduler
  gristmill-node doctor
  gristmill-node run"
)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, global = true, default_value = "node.toml", env = "GRISTMILL_NODE_CONFIG")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Take jobs and run them until told to stop (the default). The first SIGTERM lets the job at hand end, the second
    /// gives it back.
    Run,
    /// Make the node's key and its configuration.
    Init(init::InitArgs),
    /// Everything from nothing to work, in one command: make what is missing, ask your wallet to enroll the node, and run.
    Join(join::JoinArgs),
    /// Run this node as a service of the system.
    #[command(subcommand)]
    Service(system_service::ServiceCommand),
    /// Print the node's signed wish to belong to a wallet, for `gristmill node enroll`.
    EnrollMessage {
        /// The wallet that is to be paid.
        #[arg(long)]
        provider: Address,
    },
    /// Check everything that a job needs, and say how to mend what is wrong.
    Doctor(doctor::DoctorArgs),
    /// List the attempts that the journal remembers.
    Attempts {
        #[arg(long)]
        json: bool,
    },
    /// Put a finished result on chain without the scheduler.
    Publish(JobArgs),
    /// Take the bounty of a published or held result after its window.
    Claim(JobArgs),
    /// Give a job back on chain without the scheduler.
    Release(JobArgs),
    #[command(name = "wasm-worker", hide = true)]
    WasmWorker,
}

#[derive(Args)]
struct JobArgs {
    job: JobId,
    #[arg(long)]
    json: bool,
}

/// Runs a command to its exit code.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let command = cli.command.unwrap_or(Command::Run);
    if let Command::WasmWorker = command {
        worker::main().context("run the worker")?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Run => {
                let (config, key) = open(&cli.config)?;
                crate::driver::run(config, key).await?;
            }
            Command::Init(args) => init::init(&cli.config, &args).await?,
            Command::Join(args) => match join::join(&cli.config, &args).await? {
                Joined::Enrolled(config, key) => crate::driver::run(*config, key).await?,
                Joined::Stopped => {}
            },
            Command::Service(command) => system_service::service(&command).await?,
            Command::EnrollMessage { provider } => enroll_message(&cli.config, provider).await?,
            Command::Doctor(args) => return doctor::doctor(&cli.config, &args).await,
            Command::Attempts { json } => attempts(&cli.config, json)?,
            Command::Publish(args) => ways_out::publish(&cli.config, args.job, args.json).await?,
            Command::Claim(args) => ways_out::claim(&cli.config, args.job, args.json).await?,
            Command::Release(args) => ways_out::release(&cli.config, args.job, args.json).await?,
            Command::WasmWorker => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn open(config: &Path) -> Result<(Config, NodeKey)> {
    let config = Config::read(config)?;
    let key = NodeKey::open(&config.key.keystore, &NodeKey::password(&config.key.keystore)?)?;
    Ok((config, key))
}

fn journal(config: &Config) -> Result<Journal> {
    let state = StateDir::open(&config.state_dir).context("open the state folder")?;
    Ok(Journal::open(&state.journal())?)
}

async fn enroll_message(config: &Path, provider: Address) -> Result<()> {
    let (config, key) = open(config)?;
    let chain = Chain::new(&config.chain.rpc_url, config.domain(), key.clone())?;
    chain.check().await?;
    let expires = chain.now().await?.saturating_add(ENROLL_SECONDS);
    let message = Message::Enroll { node: key.id(), provider, expires };
    let signature = key.sign(&config.domain(), &message);
    let answer =
        json!({"node": key.id(), "provider": provider, "expires": expires, "signature": signature});
    println!("{}", serde_json::to_string_pretty(&answer)?);
    Ok(())
}

fn attempts(config: &Path, as_json: bool) -> Result<()> {
    let config = Config::read(config)?;
    let records = journal(&config)?.records()?;
    if as_json {
        println!("{}", serde_json::to_string_pretty(&records)?);
        return Ok(());
    }
    if records.is_empty() {
        println!("This node has taken no job yet.");
    }
    for record in records {
        let held = record.held();
        let name = &record.assignment.spec.name;
        println!(
            "{}  attempt {}  {:<10}  {name}",
            held.job_id,
            held.attempt,
            record.phase.as_str()
        );
    }
    Ok(())
}
