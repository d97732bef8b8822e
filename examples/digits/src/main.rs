//! The command `digits`: see [`digits::run`]. Exits 2 on wrong input and 1 when writing fails.

use std::io::{self, Write};
use std::process::ExitCode;

use digits::run::run;
use digits::settings::{HELP, Request, Settings};

fn main() -> ExitCode {
    let settings = match Settings::parse(std::env::args().skip(1)) {
        Ok(Request::Train(settings)) => settings,
        Ok(Request::Help) => {
            let written = io::stdout().write_all(HELP.as_bytes());
            return if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(error) => {
            eprintln!("digits: {error}\nTry `digits --help`.");
            return ExitCode::from(2);
        }
    };
    match run(&settings, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("digits: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
