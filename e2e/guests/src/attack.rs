//! The modes that take all they can get. None of them ends by itself, other than in a failure.

use std::convert::Infallible;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;

use crate::Failure;
use crate::output::{Lines, Outcome};

const MIB: usize = 1 << 20;
/// Progress of what grows is reported in steps of so many MiB.
const REPORT_EVERY: usize = 16;

/// The image and the module's file system hold no shell. Where there is one, somebody started this by mistake on a
/// system that may have no limits at all.
fn require_cage() -> Outcome<()> {
    if Path::new("/bin/sh").exists() { Err(Failure::NotCaged) } else { Ok(()) }
}

/// Starts copies that start copies, and goes on when that is refused.
#[cfg(unix)]
pub(crate) fn fork(out: &mut Lines) -> Outcome<Infallible> {
    use std::process::{Command, Stdio};

    require_cage()?;
    let program = std::env::current_exe()?;
    let mut children = Vec::new();
    let mut refused = false;
    loop {
        let child = Command::new(&program)
            .arg("fork")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            // Kept, not waited for: a dead child stays in the process table.
            Ok(child) => children.push(child),
            Err(error) if !refused => {
                refused = true;
                out.line(format_args!(
                    "refused after {} processes of this one: {error}",
                    children.len()
                ))?;
            }
            Err(_) => std::thread::yield_now(),
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn fork(_: &mut Lines) -> Outcome<Infallible> {
    Err(Failure::Unsupported)
}

pub(crate) fn memory(out: &mut Lines) -> Outcome<Infallible> {
    require_cage()?;
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        // Every byte is written, so that the system must give real memory and not a promise.
        held.push(black_box(vec![held.len() as u8 | 1; MIB]));
        if held.len().is_multiple_of(REPORT_EVERY) {
            out.line(format_args!("holds {} MiB", held.len()))?;
        }
    }
}

/// Fills one file, and when that is refused goes on with new files: quotas count both bytes and files.
pub(crate) fn disk(out: &mut Lines) -> Outcome<Infallible> {
    require_cage()?;
    let mut written = 0usize;
    let mut refused = false;
    let mut chunk = vec![0; MIB];
    let mut number = 0u64;
    loop {
        number += 1;
        let filled = (|| -> io::Result<Infallible> {
            let mut file = File::create(format!("/output/fill-{number}"))?;
            loop {
                // Nothing that a file system could leave out or store once.
                scramble(&mut chunk, written as u64);
                file.write_all(&chunk)?;
                written += 1;
                if written.is_multiple_of(REPORT_EVERY) {
                    let _ = out.line(format_args!("wrote {written} MiB"));
                }
            }
        })();
        let Err(error) = filled;
        if !refused {
            refused = true;
            out.line(format_args!("refused after {written} MiB: {error}"))?;
        }
    }
}

/// Xorshift: fast, and without a pattern.
fn scramble(chunk: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for word in chunk.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
}

pub(crate) fn spin() -> Outcome<Infallible> {
    let mut counter = 0u64;
    loop {
        counter = black_box(counter.wrapping_add(1));
    }
}

pub(crate) fn flood() -> Outcome<Infallible> {
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut number = 0u64;
    loop {
        number += 1;
        writeln!(
            out,
            "flood {number}: the quick brown fox jumps over the lazy dog and never comes to rest"
        )?;
    }
}

/// Stays although it was asked to go.
#[cfg(unix)]
pub(crate) fn ignore_term(seconds: u32, out: &mut Lines) -> Outcome<()> {
    const SIGTERM: i32 = 15;
    const SIG_IGN: usize = 1;
    #[expect(
        unsafe_code,
        reason = "the standard library, whose C library this is, has no call for it"
    )]
    unsafe extern "C" {
        fn signal(number: i32, handler: usize) -> usize;
    }
    #[expect(
        unsafe_code,
        reason = "SIG_IGN is a constant that `signal` takes in place of a function"
    )]
    unsafe {
        signal(SIGTERM, SIG_IGN);
    }
    out.line("ignores SIGTERM")?;
    crate::output::sleep(seconds, out)
}

#[cfg(not(unix))]
pub(crate) fn ignore_term(_: u32, _: &mut Lines) -> Outcome<()> {
    Err(Failure::Unsupported)
}
