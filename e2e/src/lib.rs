//! A whole market on one machine: real binaries against a real chain and a real engine. The demo shows it to a person,
//! the end-to-end tests drive it.

pub mod chain;
pub mod cli;
pub mod demo;
pub mod engine;
pub mod guest;
pub mod keys;
pub mod market;
pub mod process;
pub mod stack;
pub mod systemd;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// The root of the repository that this program was built in.
#[must_use]
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies one folder below the root").to_owned()
}

/// Asks `probe` until it has an answer, at most for `limit`. `what` says what was waited for, if in vain.
///
/// # Errors
/// Where the time is over first.
pub async fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe().await {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Says that a test cannot run on this machine, and why; the run's last line counts it.
pub fn skip(test: &str, reason: &str) {
    use std::io::Write;
    eprintln!("skipped: {test}: {reason}");
    let Some(path) = std::env::var_os("GRISTMILL_SKIPS_FILE") else { return };
    if let Ok(mut file) = std::fs::File::options().append(true).open(path) {
        writeln!(file, "{test}: {reason}").ok();
    }
}

/// Whether a test that needs an engine can run here; says so where it cannot.
#[must_use]
pub fn engine_or_skip(test: &str) -> Option<()> {
    match engine::missing() {
        None => Some(()),
        Some(reason) => {
            skip(test, &reason);
            None
        }
    }
}
