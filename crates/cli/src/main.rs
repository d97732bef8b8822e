//! The command `gristmill`: submit jobs, watch them, verify results, and move your own money without asking anyone.

use std::process::ExitCode;

use clap::Parser;

mod app;
mod chain;
mod commands;
mod failure;
mod follow;
mod job_ref;
mod output;
mod quantity;
mod record;
mod settings;
mod terminal;
#[cfg(test)]
mod test_data;
mod transfer;
mod wallet;

use commands::Cli;
use failure::{Exit, Failure};
use output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Output::new(cli.global.json, cli.global.quiet, cli.global.color);
    match run(cli, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.exit != Exit::ReaderGone {
                out.failure(&failure);
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn run(cli: Cli, out: Output) -> failure::Result<()> {
    let settings = settings::Settings::load(&cli.global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Local, format!("cannot start: {error}")))?;
    let app = app::App::new(settings, out);
    let result = runtime.block_on(commands::run(&app, cli.command));
    // A thread that still reads a file must not keep the program from ending.
    runtime.shutdown_background();
    result
}
