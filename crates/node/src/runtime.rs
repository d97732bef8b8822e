//! What runs strangers' programs. Each runtime runs one task from its start to its end, or finds it again after the
//! agent was restarted; it never runs one attempt twice.

pub mod docker;
pub mod wasm;

use std::path::PathBuf;
use std::time::Duration;

use gristmill_protocol::api::AttemptRef;
use gristmill_protocol::receipt::{Limit, Outcome};
use gristmill_protocol::spec::JobSpec;
use gristmill_protocol::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::spool::Spool;
use crate::state_dir::usage;

/// How often a running program is compared with its limits.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Files and folders of an output; more cannot be packed.
pub const OUTPUT_ENTRIES_MAX: u64 = 100_000;

/// One program to be run.
#[derive(Clone, Debug)]
pub struct Task {
    pub held: AttemptRef,
    pub spec: JobSpec,
    pub input: PathBuf,
    pub output: PathBuf,
    /// Holds `input` and `output`, and is closed to everyone but the agent.
    pub work: PathBuf,
    pub output_bytes_max: u64,
    pub started_at_ms: Timestamp,
    pub resumed: Resumed,
    /// GPUs of this machine that the program gets, as the engine knows them.
    pub gpus: Vec<String>,
}

/// What an earlier run of the agent may have done with the task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resumed {
    /// Nothing: it is started now for the first time.
    No,
    /// The agent died around the moment of the start.
    MayHaveStarted,
    /// The program was running.
    WasRunning,
}

/// How a program ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    pub outcome: Outcome,
    pub fuel_used: Option<u64>,
}

/// Why there is no end to report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It was stopped because the agent wanted it.
    #[error("stopped")]
    Stopped,
    /// It ran when the agent died, and nothing is left of it. It must not run again under this attempt.
    #[error("the program is gone: {0}")]
    Lost(String),
    /// The job itself is to blame: its image does not exist, its module is none.
    #[error("{0}")]
    JobsFault(String),
    #[error("{0}")]
    Infrastructure(String),
}

impl Finished {
    /// A program that wrote more log than is kept broke its limit, even if it ended before it could be stopped.
    fn within_log_limit(self, spool: &Spool) -> Self {
        let progress = spool.progress();
        match self.outcome {
            Outcome::Exited { .. } if progress.written > progress.kept => {
                Self { outcome: Outcome::Limited { limit: Limit::Log }, ..self }
            }
            Outcome::Exited { .. }
            | Outcome::Limited { .. }
            | Outcome::NotStarted { .. }
            | Outcome::OutputRefused { .. } => self,
        }
    }
}

pub(crate) fn infrastructure(doing: &str, error: impl std::fmt::Display) -> RunError {
    RunError::Infrastructure(format!("cannot {doing}: {error}"))
}

/// Waits until the program has broken a limit that can only be watched from outside, or is to be stopped.
async fn watch_limits(
    task: &Task,
    stop: &CancellationToken,
    mut look: impl FnMut() -> Option<Limit>,
) -> Option<Limit> {
    let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let ran = Duration::from_millis(now_ms.saturating_sub(task.started_at_ms.0));
    let allowed = Duration::from_secs(task.spec.max_run_seconds.into());
    let end = tokio::time::Instant::now() + allowed.saturating_sub(ran);
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep_until(end) => return Some(Limit::RunTime),
            _ = ticks.tick() => {}
        }
        if let Some(limit) = look() {
            return Some(limit);
        }
        let output = task.output.clone();
        let used =
            tokio::task::spawn_blocking(move || usage(&output, OUTPUT_ENTRIES_MAX + 1)).await;
        if let Ok(Ok(used)) = used
            && (used.bytes > task.output_bytes_max || used.entries > OUTPUT_ENTRIES_MAX)
        {
            return Some(Limit::Disk);
        }
    }
}
