//! The agent at work: polls the scheduler, pursues each attempt in a task of its own, and comes back after a crash.

mod attempt;
mod context;
mod log_upload;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use gristmill_protocol::api::{Assignment, AttemptRef, PollRequest, Stop};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agent::{Phase, Record, check};
use crate::chain::ChainError;
use crate::config::Config;
use crate::key::NodeKey;
use crate::session::Backoff;
use crate::systemd;
use attempt::Control;
use context::Context;

const POLL_WAIT_MS: u32 = 10_000;
/// Failures of this machine in a row after which it takes nothing new for a while.
const FAILURES_MAX: u32 = 2;
const REST_FIRST: Duration = Duration::from_secs(60);
const REST_MOST: Duration = Duration::from_secs(1800);

/// Runs until it is told to stop: the first SIGTERM or SIGINT lets what is under way end, the second gives it back.
pub async fn run(config: Config, key: NodeKey) -> Result<()> {
    let context = Arc::new(Context::open(&config, key)?);
    let _lock = context
        .state
        .lock()
        .context("lock the state folder")?
        .context("another agent uses this state folder; stop it first")?;
    let draining = CancellationToken::new();
    let cancelled = CancellationToken::new();
    let patience = Duration::from_secs(config.service.drain_seconds);
    tokio::spawn(listen_for_signals(draining.clone(), cancelled.clone(), patience)?);
    systemd::ready("waiting for the chain");

    tokio::select! {
        checked = wait_for_chain(&context) => checked?,
        () = draining.cancelled() => return Ok(()),
    }
    let mut agent = Agent {
        context,
        attempts: BTreeMap::new(),
        tasks: JoinSet::new(),
        over: HashSet::new(),
        cancelled,
    };
    // What is under way needs the chain and not the scheduler, which may be gone for good.
    agent.resume().await?;
    agent.work(&draining).await
}

/// The first signal drains; the second one, or the end of the patience with the job at hand, gives it back.
fn listen_for_signals(
    draining: CancellationToken,
    cancelled: CancellationToken,
    patience: Duration,
) -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!(
            patience_s = patience.as_secs(),
            "told to stop; what is under way may end meanwhile. Once more gives it back at once"
        );
        systemd::stopping();
        draining.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(patience) => {
                tracing::info!("it took too long; giving back what is under way");
            }
        }
        cancelled.cancel();
    })
}

/// Waits until the chain answers. A wrong one is no matter of waiting.
async fn wait_for_chain(context: &Context) -> Result<()> {
    let mut backoff = Backoff::default();
    loop {
        systemd::alive();
        match context.chain.check().await {
            Err(error @ ChainError::Unreachable(_)) => {
                tracing::warn!(%error, "waiting for the chain");
                backoff.pause().await;
            }
            checked => return Ok(checked?),
        }
    }
}

/// An attempt that is being pursued in a task of its own.
struct Pursued {
    control: watch::Sender<Control>,
    /// Whether a node that is told to stop has to wait for it. What is only left to be paid goes on at the next start.
    is_busy: Arc<AtomicBool>,
}

struct Agent {
    context: Arc<Context>,
    attempts: BTreeMap<AttemptRef, Pursued>,
    tasks: JoinSet<AttemptRef>,
    /// Attempts that are over, and must never be begun again.
    over: HashSet<AttemptRef>,
    cancelled: CancellationToken,
}

impl Agent {
    /// Goes on with what the journal remembers, and removes what nobody remembers.
    async fn resume(&mut self) -> Result<()> {
        let records = self.context.journal().records()?;
        let live: Vec<Record> = records
            .into_iter()
            .filter(|record| {
                let is_over = matches!(record.phase, Phase::Over { .. });
                if is_over {
                    self.over.insert(record.held());
                }
                !is_over
            })
            .collect();
        let held: HashSet<AttemptRef> = live.iter().map(Record::held).collect();
        self.context.remove_strays(&held).await;
        for record in live {
            tracing::info!(job = %record.assignment.job_id, phase = record.phase.as_str(), "going on after a restart");
            self.pursue(record, true);
        }
        Ok(())
    }

    async fn work(&mut self, draining: &CancellationToken) -> Result<()> {
        let mut backoff = Backoff::default();
        let mut rest = REST_FIRST;
        let mut resting_until = None;
        let mut is_offered = false;
        loop {
            systemd::alive();
            if draining.is_cancelled() && !self.is_busy() {
                return Ok(());
            }
            if self.context.health.failures() >= FAILURES_MAX && resting_until.is_none() {
                tracing::error!(
                    seconds = rest.as_secs(),
                    "two jobs in a row failed because of this machine; taking nothing new for a while. Run `gristmill-node doctor`"
                );
                resting_until = Some(tokio::time::Instant::now() + rest);
                rest = (rest * 2).min(REST_MOST);
            }
            if resting_until.is_some_and(|until| tokio::time::Instant::now() >= until) {
                resting_until = None;
                self.context.health.recovered();
            }
            let request = PollRequest {
                holding: self.attempts.keys().copied().collect(),
                wait_ms: if draining.is_cancelled() { 1000 } else { POLL_WAIT_MS },
                draining: draining.is_cancelled() || resting_until.is_some(),
            };
            let context = Arc::clone(&self.context);
            let ask = async move {
                if is_offered {
                    context.session.poll(&request).await.map(Some)
                } else {
                    context.offer().await.map(|()| None)
                }
            };
            tokio::select! {
                answer = ask => match answer {
                    Ok(reply) => {
                        if !is_offered {
                            let (node, scheduler) = (self.context.key.id(), self.context.session.client().base());
                            tracing::info!(%node, scheduler, "ready for work");
                            systemd::status("ready for work");
                        }
                        is_offered = true;
                        backoff = Backoff::default();
                        let Some(reply) = reply else { continue };
                        for assignment in reply.assignments {
                            self.take(assignment).await?;
                        }
                        for stop in reply.stop {
                            self.stop(stop);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the scheduler does not answer as it should; `gristmill-node doctor` may know why");
                        // A scheduler that lost its database does not know the node any more.
                        is_offered = is_offered && error.is_retryable();
                        tokio::select! {
                            () = backoff.pause() => {}
                            () = draining.cancelled(), if !draining.is_cancelled() => {}
                        }
                    }
                },
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                () = draining.cancelled(), if !draining.is_cancelled() => {}
                () = self.cancelled.cancelled(), if !self.all_cancelled() => {
                    for pursued in self.attempts.values() {
                        pursued.control.send_modify(|control| control.cancelled = true);
                    }
                }
            }
        }
    }

    fn is_busy(&self) -> bool {
        self.attempts.values().any(|pursued| pursued.is_busy.load(Ordering::Relaxed))
    }

    fn all_cancelled(&self) -> bool {
        self.attempts.values().all(|pursued| pursued.control.borrow().cancelled)
    }

    fn ended(&mut self, ended: Result<AttemptRef, tokio::task::JoinError>) {
        match ended {
            Ok(held) => {
                self.attempts.remove(&held);
                self.over.insert(held);
            }
            // The journal knows how far it was; a restart goes on from there.
            Err(error) => tracing::error!(%error, "the pursuit of an attempt failed"),
        }
    }

    async fn take(&mut self, assignment: Assignment) -> Result<()> {
        let held = AttemptRef { job_id: assignment.job_id, attempt: assignment.attempt };
        if self.attempts.contains_key(&held) {
            return Ok(());
        }
        let refusal = if self.over.contains(&held) {
            Some("this attempt is over on this node; it never runs twice".to_owned())
        } else {
            check(&self.context.rules, &assignment).err()
        };
        if let Some(reason) = refusal {
            tracing::warn!(job = %held.job_id, attempt = %held.attempt, reason, "refused an assignment");
            let given_back =
                self.context.session.release(&held, assignment.lease_token, &reason).await;
            if let Err(error) = given_back {
                tracing::warn!(%error, "the refusal did not reach the scheduler");
            }
            return Ok(());
        }
        tracing::info!(job = %held.job_id, attempt = %held.attempt, name = assignment.spec.name, "took a job");
        let record =
            Record { assignment, phase: Phase::Accepted, lease_end: None, acceptance: None };
        self.context.journal().save(&record)?;
        self.pursue(record, false);
        Ok(())
    }

    fn pursue(&mut self, record: Record, restarted: bool) {
        let held = record.held();
        let (control, receiver) = watch::channel(Control::default());
        let is_busy = Arc::new(AtomicBool::new(record.phase.is_busy()));
        self.attempts.insert(held, Pursued { control, is_busy: Arc::clone(&is_busy) });
        let context = Arc::clone(&self.context);
        self.tasks.spawn(async move {
            attempt::pursue(context, record, receiver, is_busy, restarted).await;
            held
        });
    }

    fn stop(&self, stop: Stop) {
        let held = AttemptRef { job_id: stop.job_id, attempt: stop.attempt };
        if let Some(pursued) = self.attempts.get(&held) {
            pursued.control.send_if_modified(|control| {
                let is_new = control.stop.as_ref() != Some(&stop);
                control.stop = Some(stop);
                is_new
            });
        }
    }
}
