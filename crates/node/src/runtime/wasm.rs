//! WASI modules, in a child process of the agent: a fault of the compiler, or a machine without memory, must not take
//! the agent with it.

pub mod worker;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use gristmill_protocol::receipt::{Limit, Outcome};
use gristmill_protocol::spec::Runtime;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Finished, Resumed, RunError, Task, infrastructure, watch_limits};
use crate::spool::SharedSpool;

/// The hidden command of the agent's own binary.
pub const WORKER_COMMAND: &str = "wasm-worker";
const SIGXFSZ: i32 = 25;

/// What the worker is told, on its stdin.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkerTask {
    pub module: PathBuf,
    pub name: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub input: PathBuf,
    pub output: PathBuf,
    pub memory_bytes: u64,
    pub output_bytes_max: u64,
    pub run_seconds: u32,
    pub fuel: Option<u64>,
    /// Seeds the program's random numbers, so that a job runs the same everywhere.
    pub seed: [u8; 32],
    /// The agent's process: a worker whose agent is gone ends.
    pub agent: u32,
    /// Where the worker writes how the program ended.
    pub report: PathBuf,
}

/// What the worker says when the program has ended.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkerReport {
    Ended {
        outcome: Outcome,
        fuel_used: u64,
    },
    /// The module cannot be run, and will not be anywhere.
    Invalid {
        reason: String,
    },
    /// The worker failed; the module may be fine.
    Failed {
        reason: String,
    },
}

/// Runs modules with a program that knows the worker's command.
#[derive(Clone, Debug)]
pub struct Wasm {
    program: PathBuf,
}

impl Wasm {
    /// `program` is the agent's own binary.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Runs a task to its end. A worker dies with its agent, so after a restart there is nothing to find.
    pub async fn run(
        &self,
        task: &Task,
        spool: &SharedSpool,
        stop: &CancellationToken,
        started: impl AsyncFnOnce(),
    ) -> Result<Finished, RunError> {
        match task.resumed {
            Resumed::No => {}
            Resumed::MayHaveStarted | Resumed::WasRunning => {
                return Err(RunError::Lost("the program ended when the node was restarted".into()));
            }
        }
        let Runtime::Wasm { fuel, .. } = &task.spec.runtime else {
            return Err(RunError::Infrastructure("this is no WASM job".into()));
        };
        let report = task.work.join("report.json");
        let told = WorkerTask {
            module: task.work.join("module.wasm"),
            name: "job".into(),
            arguments: task.spec.command.clone(),
            environment: task.spec.env.clone().into_iter().collect(),
            input: task.input.clone(),
            output: task.output.clone(),
            memory_bytes: task.spec.resources.memory_bytes,
            output_bytes_max: task.output_bytes_max,
            run_seconds: task.spec.max_run_seconds,
            fuel: *fuel,
            seed: task.held.job_id.0.0,
            agent: std::process::id(),
            report: report.clone(),
        };
        let mut child = self.start(&told).await?;
        let log_full = Arc::new(Notify::new());
        let pumps = [
            child
                .stdout
                .take()
                .map(|pipe| tokio::spawn(pump(pipe, Arc::clone(spool), Arc::clone(&log_full)))),
            child
                .stderr
                .take()
                .map(|pipe| tokio::spawn(pump(pipe, Arc::clone(spool), Arc::clone(&log_full)))),
        ];
        started().await;

        let broken = tokio::select! {
            ended = child.wait() => { ended.map_err(|error| infrastructure("wait for the program", error))?; None }
            () = log_full.notified() => Some(Some(Limit::Log)),
            limit = watch_limits(task, stop, || None) => Some(limit),
        };
        if broken.is_some() {
            child.kill().await.map_err(|error| infrastructure("kill the program", error))?;
        }
        let status =
            child.wait().await.map_err(|error| infrastructure("wait for the program", error))?;
        for pump in pumps.into_iter().flatten() {
            pump.await.map_err(|error| infrastructure("read the log", error))?;
        }
        match broken {
            Some(None) => Err(RunError::Stopped),
            Some(Some(limit)) => {
                Ok(Finished { outcome: Outcome::Limited { limit }, fuel_used: None })
            }
            None => Ok(read_report(&report, status)?.within_log_limit(spool)),
        }
    }

    async fn start(&self, told: &WorkerTask) -> Result<Child, RunError> {
        let mut child = Command::new(&self.program)
            .arg(WORKER_COMMAND)
            // Nothing of the agent's environment, its password above all, reaches the worker.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| infrastructure("start the worker", error))?;
        let json =
            serde_json::to_vec(told).map_err(|error| infrastructure("describe the task", error))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(&json)
                .await
                .map_err(|error| infrastructure("tell the worker its task", error))?;
        }
        Ok(child)
    }
}

fn read_report(path: &std::path::Path, status: ExitStatus) -> Result<Finished, RunError> {
    // The kernel ends a process that writes a file beyond its limit.
    if status.signal() == Some(SIGXFSZ) {
        return Ok(Finished { outcome: Outcome::Limited { limit: Limit::Disk }, fuel_used: None });
    }
    let json = std::fs::read(path).map_err(|_| {
        RunError::Infrastructure(format!("the worker ended with {status} and no report"))
    })?;
    match serde_json::from_slice(&json)
        .map_err(|error| infrastructure("read the worker's report", error))?
    {
        WorkerReport::Ended { outcome, fuel_used } => {
            Ok(Finished { outcome, fuel_used: Some(fuel_used) })
        }
        WorkerReport::Invalid { reason } => Err(RunError::JobsFault(reason)),
        WorkerReport::Failed { reason } => Err(RunError::Infrastructure(reason)),
    }
}

/// Moves what the program prints into the spool. Goes on reading after the limit, so that the program is never blocked
/// on a full pipe while it is being stopped.
async fn pump(mut pipe: impl AsyncRead + Unpin, spool: SharedSpool, full: Arc<Notify>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => match spool.append(&buffer[..length]) {
                Ok(true) => {}
                Ok(false) => full.notify_one(),
                Err(error) => {
                    tracing::error!(%error, "the log cannot be written");
                    full.notify_one();
                }
            },
        }
    }
}
