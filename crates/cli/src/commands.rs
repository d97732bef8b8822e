//! The commands: what they are called, what they take, and which file does them.

use clap::{Parser, Subcommand};

use crate::app::App;
use crate::failure::{Exit, Result};
use crate::settings::GlobalArgs;

mod cancel;
mod dispute;
mod doctor;
mod jobs;
mod money;
mod node;
mod order;
mod outcome;
mod provider;
mod recover;
mod reference;
mod result;
mod spec_args;
mod submit;
mod upload;
mod wallet;
mod watch;

/// Run jobs on other people's GPUs, or be paid for yours. The bounty is locked in a contract and follows the result.
#[derive(Parser, Debug)]
#[command(
    name = "gristmill",
    version,
    after_help = after_help(),
    disable_help_subcommand = true,
    max_term_width = 100,
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make, import and look at wallets
    #[command(subcommand)]
    Wallet(wallet::WalletCommand),
    /// Send files or directories to the scheduler, and print their CIDs
    Upload(upload::UploadArgs),
    /// Submit a job: lock its bounty, watch it, and end as it ends
    Submit(Box<submit::SubmitArgs>),
    /// Watch a job until it ends, and end as it ends
    #[command(visible_alias = "wait")]
    Follow(watch::FollowArgs),
    /// List jobs
    Jobs(jobs::JobsArgs),
    /// Show one job: its state, attempts, money and transactions
    Job(jobs::JobArgs),
    /// Say why a job waits, and what would help
    Explain(jobs::ExplainArgs),
    /// Print the log of a job's program
    Logs(watch::LogsArgs),
    /// Print what happened to a job
    Events(watch::EventsArgs),
    /// Download a job's result and verify all of it
    Result(result::ResultArgs),
    /// Verify a downloaded result again, without any network
    Verify(result::VerifyArgs),
    /// Stop jobs and take their bounties back
    Cancel(cancel::CancelArgs),
    /// Return the bounty of a job without a result, after its deadline; anyone may
    Refund(money::RefundArgs),
    /// Pay a job whose hold, challenge window or ruling time is over; anyone may
    Claim(money::ClaimArgs),
    /// Contest a result before it is paid
    Dispute(dispute::DisputeArgs),
    /// List the disputes that wait for an arbiter, with only an RPC endpoint
    Disputes(dispute::DisputesArgs),
    /// Decide a dispute, as the arbiter of the job
    Rule(dispute::RuleArgs),
    /// Find and move all money of this wallet, with only an RPC endpoint
    Recover(recover::RecoverArgs),
    /// Put money into the market: a stake for bonds, or what prepaid orders are paid from
    Deposit(money::DepositArgs),
    /// Take what this wallet has in the market out of it
    Withdraw(money::WithdrawArgs),
    /// Look after the prepaid orders that this wallet has signed
    #[command(subcommand)]
    Order(order::OrderCommand),
    /// List the nodes that the scheduler knows
    Nodes(node::NodesArgs),
    /// Enroll, revoke and look at your own nodes
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Say which schedulers may give jobs to your nodes, and lock bonds
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    /// Check settings, chain, contract, scheduler, clock and wallet
    Doctor(doctor::DoctorArgs),
    /// End the session with the scheduler
    Logout(doctor::LogoutArgs),
    /// Write the reference of all commands as Markdown
    #[command(hide = true)]
    MarkdownHelp,
}

fn after_help() -> String {
    let mut text = String::from(
        "Examples:\n  \
         gristmill wallet new\n  \
         gristmill submit --wasm digits.wasm --input digits=data/ --bounty 0.05 --deadline 2h\n  \
         gristmill submit job.json --bounty 1 --deadline 6h --yes\n  \
         gristmill result 0x2f8e… -o out\n  \
         gristmill recover\n\n\
         Exit codes:\n",
    );
    for (code, meaning) in Exit::ALL {
        text.push_str(&format!("  {code:>3}  {meaning}\n"));
    }
    text.push_str(
        "\nConfig file (~/.config/gristmill/config.toml), each line optional:\n  \
         scheduler = \"https://scheduler.example\"\n  \
         rpc = \"https://rpc.example\"\n  \
         deployment = \"39.json\"      # relative to the config file\n  \
         keystore = \"wallet.json\"\n\n\
         The password of the wallet comes from GRISTMILL_KEYSTORE_PASSWORD or a prompt, never from an argument.\n\
         Wallets, sessions and records of jobs are in ~/.local/share/gristmill.",
    );
    text
}

/// Runs a command; an error carries its exit code.
pub(crate) async fn run(app: &App, command: Command) -> Result<()> {
    match command {
        Command::Wallet(command) => wallet::run(app, command).await,
        Command::Upload(args) => upload::run(app, args).await,
        Command::Submit(args) => submit::run(app, *args).await,
        Command::Follow(args) => watch::follow_job(app, args).await,
        Command::Jobs(args) => jobs::list(app, args).await,
        Command::Job(args) => jobs::show(app, args).await,
        Command::Explain(args) => jobs::explain(app, args).await,
        Command::Logs(args) => watch::logs(app, args).await,
        Command::Events(args) => watch::events(app, args).await,
        Command::Result(args) => result::run(app, args).await,
        Command::Verify(args) => result::verify(app, args).await,
        Command::Cancel(args) => cancel::run(app, args).await,
        Command::Refund(args) => money::refund(app, args).await,
        Command::Claim(args) => money::claim(app, args).await,
        Command::Dispute(args) => dispute::dispute(app, args).await,
        Command::Disputes(args) => dispute::list(app, args).await,
        Command::Rule(args) => dispute::rule(app, args).await,
        Command::Recover(args) => recover::run(app, args).await,
        Command::Deposit(args) => money::deposit(app, args).await,
        Command::Order(command) => order::run(app, command).await,
        Command::Withdraw(args) => money::withdraw(app, args).await,
        Command::Nodes(args) => node::list(app, args).await,
        Command::Node(command) => node::run(app, command).await,
        Command::Provider(command) => provider::run(app, command).await,
        Command::Doctor(args) => doctor::run(app, args).await,
        Command::Logout(args) => doctor::logout(app, args).await,
        Command::MarkdownHelp => reference::run(app),
    }
}
