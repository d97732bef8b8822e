//! Lines on standard output, and the modes that only print.

use std::fmt::Display;
use std::io::{self, Stdout, Write};
use std::time::Duration;

use crate::Failure;

pub(crate) type Outcome<T> = Result<T, Failure>;

/// Standard output, one flushed line at a time: what is printed is seen although the program is killed.
pub(crate) struct Lines(Stdout);

impl Lines {
    pub(crate) fn stdout() -> Self {
        Self(io::stdout())
    }

    pub(crate) fn line(&mut self, line: impl Display) -> Outcome<()> {
        writeln!(self.0, "{line}")?;
        Ok(self.0.flush()?)
    }
}

/// `line 1` to `line N`, through a buffer: a million of them should not take a million writes.
pub(crate) fn count_to(count: u64, out: &mut Lines) -> Outcome<()> {
    let mut buffer = io::BufWriter::with_capacity(1 << 16, out.0.lock());
    for number in 1..=count {
        writeln!(buffer, "line {number}")?;
    }
    Ok(buffer.flush()?)
}

#[expect(clippy::disallowed_methods, reason = "to take time is what this mode is for")]
pub(crate) fn sleep(seconds: u32, out: &mut Lines) -> Outcome<()> {
    for second in 1..=seconds {
        std::thread::sleep(Duration::from_secs(1));
        out.line(format_args!("slept {second} of {seconds} s"))?;
    }
    Ok(())
}
