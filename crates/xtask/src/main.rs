//! The tool of this repository: checks of the source tree, generated files, every test suite, the local market, and the
//! deployment of the contract.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to a person")]

mod deploy;
mod faults;
mod gas;
mod generate;
mod suites;
mod tidy;
mod vectors;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Checks, generated files, test suites and the local market of this repository, and the deployment of the contract.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the source tree: forbidden imports, misplaced SQL, missing module docs, files too long to hold.
    Tidy,
    /// Write every generated file again.
    Generate {
        /// Write nothing; fail where a file is not up to date.
        #[arg(long)]
        check: bool,
    },
    /// Measure what a job costs on the chain, and end with one line of JSON.
    Gas,
    /// Run every test suite, and end with one line that counts them all.
    Test {
        /// Only these suites.
        #[arg(long, value_enum)]
        only: Vec<suites::Suite>,
    },
    /// Run one real job end to end on a market of its own, and stop it.
    Demo,
    /// Start a local market that stays.
    Up,
    /// Stop what `up` started.
    Down,
    /// Run a market for tests in other languages, until standard input ends.
    Stack(gristmill_e2e::stack::StackArgs),
    /// Put the contract on a chain, and write where it is.
    Deploy(Box<deploy::DeployArgs>),
    /// Build a deployed contract again, and compare it with the chain byte for byte.
    Verify(deploy::VerifyArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&root()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a backtrace, which would hide what a person has to do.
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(root: &Path) -> Result<()> {
    match Arguments::parse().command {
        Command::Tidy => tidy::run(root),
        Command::Generate { check } => generate::run(root, check),
        Command::Gas => gas::run(root),
        Command::Test { only } => suites::run(root, &only),
        Command::Demo => gristmill_e2e::demo::demo(root).await,
        Command::Up => gristmill_e2e::demo::up(root).await,
        Command::Down => gristmill_e2e::demo::down(root).await,
        Command::Stack(args) => gristmill_e2e::stack::stack(args).await,
        Command::Deploy(args) => deploy::run(root, *args).await,
        Command::Verify(args) => deploy::verify(root, args).await,
    }
}

/// The root of the repository that this program was built in.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the package lies two folders below the root").to_owned()
}
