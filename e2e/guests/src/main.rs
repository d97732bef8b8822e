//! A guest that behaves badly in every way that a node must withstand: see [`HELP`].
//!
//! One program for both runtimes, so that a test names the misbehaviour by the job's first argument. Each mode does
//! its worst for real; a cage that holds is seen from outside, by what the node reports.

mod attack;
mod output;
mod reach;

use std::process::ExitCode;

use output::{Lines, Outcome};

const HELP: &str = "\
Usage: hostile MODE

  fork                 starts copies of itself without end, each of which does the same
  memory               takes memory and writes to it without end
  disk                 writes to /output without end
  loop                 computes without end, and prints nothing
  flood                prints lines without end, as fast as it can
  ignore-term SECONDS  ignores SIGTERM, and ends by itself after that time

  socket               tries to reach the world; /output/socket.txt lists what it reached

  lines N              prints `line 1` to `line N`
  sleep SECONDS        prints a line each second
  exit CODE            ends with this exit code, 0 to 255
  touch                writes /output/hello.txt: `hello`
  read                 lists the files under /input: size and path

Exit codes: 0 did what it is for (socket: reached nothing); 1 could not, or reached something;
2 wrong arguments; 3 this runtime has no such thing to misuse; 4 refused, since this is not the cage.
";

/// Why a mode ended other than well.
#[derive(Debug)]
enum Failure {
    Usage(String),
    /// WASI preview 1 has neither processes nor sockets nor signals.
    #[cfg_attr(unix, expect(dead_code, reason = "only WASI lacks anything"))]
    Unsupported,
    NotCaged,
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no sockets to reach anything by"))]
    Reached,
    Io(std::io::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments, &mut Lines::stdout()) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let (message, code) = match failure {
                Failure::Usage(problem) => (format!("{problem}\n\n{HELP}"), 2),
                Failure::Unsupported => ("unsupported".to_owned(), 3),
                Failure::NotCaged => (
                    "refused: there is a shell here, so this is a real system and not the cage"
                        .to_owned(),
                    4,
                ),
                Failure::Reached => ("the cage has a hole".to_owned(), 1),
                Failure::Io(error) => (error.to_string(), 1),
            };
            eprintln!("hostile: {message}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &[&str], out: &mut Lines) -> Outcome<u8> {
    match arguments {
        ["fork"] => match attack::fork(out)? {},
        ["memory"] => match attack::memory(out)? {},
        ["disk"] => match attack::disk(out)? {},
        ["loop"] => match attack::spin()? {},
        ["flood"] => match attack::flood()? {},
        ["ignore-term", seconds] => {
            attack::ignore_term(number("SECONDS", seconds)?, out).map(|()| 0)
        }
        ["socket"] => reach::sockets(out).map(|()| 0),
        ["lines", count] => output::count_to(number("N", count)?, out).map(|()| 0),
        ["sleep", seconds] => output::sleep(number("SECONDS", seconds)?, out).map(|()| 0),
        ["exit", code] => number("CODE", code),
        ["touch"] => Ok(std::fs::write("/output/hello.txt", "hello").map(|()| 0)?),
        ["read"] => reach::inputs(out).map(|()| 0),
        ["--help"] => out.line(HELP.trim_end()).map(|()| 0),
        _ => Err(Failure::Usage(format!("no such mode: {arguments:?}"))),
    }
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Outcome<N> {
    text.parse().map_err(|_| {
        Failure::Usage(format!("{name} must be a whole number in range, not `{text}`"))
    })
}
