//! One attempt, from its assignment to its end. `agent::next` decides each step; here it is taken, after the journal
//! knows of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gristmill_protocol::api::{AttemptRef, EscrowState, ReportRequest, Stop};
use gristmill_protocol::client::ClientError;
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::Message;
use gristmill_protocol::spec::Runtime;
use gristmill_protocol::time::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::log_upload;
use crate::agent::{
    Acceptance, Activity, Ended, Phase, Record, Seen, SignedReceipt, Situation, Step, next,
};
use crate::content::{FetchError, collect};
use crate::runtime::{Finished, Resumed, RunError, Task};
use crate::spool::{SharedSpool, Spool};
use crate::state_dir::{WorkDir, usage};

/// How long the rest of a log may take before the result is reported without it.
const LOG_PATIENCE: Duration = Duration::from_secs(60);

/// What may be said to an attempt from outside.
#[derive(Clone, Default, Debug)]
pub(super) struct Control {
    pub(super) stop: Option<Stop>,
    pub(super) cancelled: bool,
}

/// What an activity has come to.
enum Happened {
    Prepared(Result<(), FetchError>),
    Started,
    Ended(Result<Finished, RunError>),
    Collected(Result<Box<SignedReceipt>, FetchError>),
    Answered(Result<(), ClientError>),
}

/// Pursues an attempt until nothing more can be done for it.
pub(super) async fn pursue(
    context: Arc<Context>,
    record: Record,
    control: watch::Receiver<Control>,
    is_busy: Arc<AtomicBool>,
    restarted: bool,
) {
    let (sender, receiver) = mpsc::channel(8);
    let held = record.held();
    let mut pursuit = Pursuit {
        work: context.state.work(&held),
        resumed: resumed(&record, restarted),
        context,
        record,
        held,
        seen: None,
        lease_deadline: None,
        activity: Activity::Idle,
        task: None,
        kill: CancellationToken::new(),
        log: None,
        is_busy,
        sender,
    };
    if let Err(error) = pursuit.run(control, receiver).await {
        // Only the disk can fail like this; what is under way is stopped by the drop of its task.
        tracing::error!(job = %held.job_id, %error, "the journal failed; the attempt is left as it is");
    }
}

fn resumed(record: &Record, restarted: bool) -> Resumed {
    match record.phase {
        Phase::Starting { .. } if restarted => Resumed::MayHaveStarted,
        Phase::Running { .. } if restarted => Resumed::WasRunning,
        Phase::Accepted
        | Phase::Preparing
        | Phase::Starting { .. }
        | Phase::Running { .. }
        | Phase::Collecting { .. }
        | Phase::Signed { .. }
        | Phase::Delivered { .. }
        | Phase::Releasing { .. }
        | Phase::Over { .. } => Resumed::No,
    }
}

struct Pursuit {
    context: Arc<Context>,
    record: Record,
    held: AttemptRef,
    work: WorkDir,
    resumed: Resumed,
    seen: Option<Seen>,
    /// When the lease ends by the machine's own clock.
    lease_deadline: Option<Instant>,
    activity: Activity,
    task: Option<JoinHandle<()>>,
    kill: CancellationToken,
    log: Option<Log>,
    is_busy: Arc<AtomicBool>,
    sender: mpsc::Sender<Happened>,
}

struct Log {
    spool: SharedSpool,
    upload: JoinHandle<()>,
}

impl Drop for Pursuit {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(log) = &self.log {
            log.upload.abort();
        }
    }
}

impl Pursuit {
    async fn run(
        &mut self,
        mut control: watch::Receiver<Control>,
        mut happened: mpsc::Receiver<Happened>,
    ) -> Result<(), crate::journal::JournalError> {
        let began = Instant::now();
        let mut looks =
            tokio::time::interval(Duration::from_millis(self.context.config.chain.poll_ms));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = {
                let control = control.borrow();
                let waited_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let situation = Situation {
                    seen: self.seen.as_ref(),
                    activity: self.activity,
                    stop: control.stop.as_ref(),
                    cancelled: control.cancelled,
                    waited_ms,
                    lease_ran_out: self
                        .lease_deadline
                        .is_some_and(|deadline| Instant::now() > deadline),
                };
                next(&self.context.rules, &self.record, &situation)
            };
            if self.take(step).await? {
                return Ok(());
            }
            tokio::select! {
                Some(event) = happened.recv() => self.handle(event).await?,
                _ = looks.tick() => self.look().await?,
                changed = control.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn save(&mut self, phase: Phase) -> Result<(), crate::journal::JournalError> {
        tracing::debug!(job = %self.held.job_id, phase = phase.as_str(), "next phase");
        self.is_busy.store(phase.is_busy(), Ordering::Relaxed);
        self.record.phase = phase;
        self.context.journal().save(&self.record)
    }

    async fn look(&mut self) -> Result<(), crate::journal::JournalError> {
        match self.context.chain.look(&self.record.assignment.terms).await {
            Ok(seen) => {
                let is_mine = seen.state == EscrowState::Assigned
                    && seen.node == self.context.rules.node
                    && seen.attempt == self.held.attempt.0;
                if is_mine {
                    let left = Duration::from_secs((seen.lease_end + 1).saturating_sub(seen.now));
                    self.lease_deadline = Some(Instant::now() + left);
                    if self.record.lease_end != Some(seen.lease_end) {
                        self.record.lease_end = Some(seen.lease_end);
                        self.context.journal().save(&self.record)?;
                    }
                } else {
                    self.lease_deadline = None;
                }
                self.seen = Some(seen);
            }
            Err(error) => tracing::warn!(%error, "cannot look at the chain"),
        }
        Ok(())
    }

    /// Takes a step. Returns whether it was the last.
    async fn take(&mut self, step: Step) -> Result<bool, crate::journal::JournalError> {
        match step {
            Step::Wait => {}
            Step::Prepare => {
                self.save(Phase::Preparing)?;
                self.prepare();
            }
            Step::Run => self.start()?,
            Step::Collect => self.collect(),
            Step::Report => self.report(),
            Step::Kill { reason } => self.stop_activity(&reason),
            Step::Accept { expires } => self.accept(expires).await?,
            Step::Renew => {
                let result =
                    self.context.chain.renew(&self.record.assignment.terms, &self.held).await;
                self.spoke("renewed the lease", result);
                self.look().await?;
            }
            Step::Publish => {
                if let Some(signed) = self.record.phase.signed().cloned() {
                    let terms = &self.record.assignment.terms;
                    let chain = &self.context.chain;
                    let result =
                        chain.publish(terms, signed.receipt.hash(), &signed.signature).await;
                    self.spoke(
                        "published the result, since the scheduler has not settled it",
                        result,
                    );
                    self.look().await?;
                }
            }
            Step::Claim => {
                let result = self.context.chain.claim(&self.record.assignment.terms).await;
                self.spoke("claimed the bounty", result);
                self.look().await?;
            }
            Step::Release { reason } => return self.release(reason).await,
            Step::End { how } => {
                self.end(how).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn accept(&mut self, expires: u64) -> Result<(), crate::journal::JournalError> {
        // On disk before it is signed: the answer may get lost, and the acceptance counts all the same.
        if self.record.acceptance.is_none() {
            self.keep_acceptance(Acceptance { expires, is_answered: false })?;
        }
        let lease_token = self.record.assignment.lease_token;
        match self.context.session.accept(&self.held, lease_token, expires).await {
            Ok(()) => {
                tracing::info!(job = %self.held.job_id, expires, "accepted the job with its bond");
            }
            Err(error) => {
                tracing::warn!(job = %self.held.job_id, %error, "the scheduler did not take the acceptance");
                if error.is_retryable() {
                    return Ok(());
                }
            }
        }
        self.keep_acceptance(Acceptance { expires, is_answered: true })
    }

    fn keep_acceptance(&mut self, given: Acceptance) -> Result<(), crate::journal::JournalError> {
        self.record.acceptance = Some(given);
        self.context.journal().save(&self.record)
    }

    fn spoke(
        &self,
        what: &str,
        result: Result<gristmill_protocol::ids::TxHash, crate::chain::ChainError>,
    ) {
        match result {
            Ok(hash) => tracing::info!(job = %self.held.job_id, %hash, "{what}"),
            Err(error) => tracing::warn!(job = %self.held.job_id, %error, "could not have {what}"),
        }
    }

    fn spawn(&mut self, activity: Activity, work: impl Future<Output = Happened> + Send + 'static) {
        let sender = self.sender.clone();
        self.activity = activity;
        self.task = Some(tokio::spawn(async move {
            let event = work.await;
            // Nobody listens where the pursuit has ended.
            sender.send(event).await.ok();
        }));
    }

    fn stop_activity(&mut self, reason: &str) {
        match self.activity {
            Activity::Idle => {}
            // The runtime ends the program, and says when it has.
            Activity::Running => {
                if !self.kill.is_cancelled() {
                    tracing::info!(job = %self.held.job_id, reason, "stopping the program");
                    self.kill.cancel();
                }
            }
            Activity::Preparing | Activity::Collecting | Activity::Reporting => {
                if let Some(task) = self.task.take() {
                    task.abort();
                }
                self.activity = Activity::Idle;
                // What waits for the next event must not wait for a look.
                self.kill.cancel();
            }
        }
    }

    // ---- activities ----

    fn prepare(&mut self) {
        let (context, spec, work) =
            (Arc::clone(&self.context), self.record.assignment.spec.clone(), self.work.clone());
        self.spawn(Activity::Preparing, async move {
            let prepare = async {
                work.create().map_err(|error| FetchError::local("make the job's folder", error))?;
                context
                    .fetcher
                    .fetch_inputs(&spec.inputs, &work.input(), spec.resources.disk_bytes)
                    .await?;
                match &spec.runtime {
                    Runtime::Wasm { module, .. } => {
                        context.fetcher.fetch_module(module, &work.module()).await
                    }
                    Runtime::Docker { image } => match &context.docker {
                        Some(docker) => docker.prepare(image).await.map_err(|error| match error {
                            RunError::JobsFault(reason) => FetchError::JobsFault(reason),
                            RunError::Stopped | RunError::Lost(_) | RunError::Infrastructure(_) => {
                                FetchError::Infrastructure(error.to_string())
                            }
                        }),
                        None => Err(FetchError::Infrastructure("this node has no engine".into())),
                    },
                }
            };
            Happened::Prepared(prepare.await)
        });
    }

    fn start(&mut self) -> Result<(), crate::journal::JournalError> {
        let (Phase::Starting { started_at_ms } | Phase::Running { started_at_ms }) =
            self.record.phase
        else {
            return Ok(());
        };
        let spool = match self.open_log(true) {
            Ok(spool) => spool,
            Err(error) => return self.failed(&format!("cannot write the log: {error}")),
        };
        let input_bytes = usage(&self.work.input(), u64::MAX).map_or(0, |used| used.bytes);
        let spec = self.record.assignment.spec.clone();
        let mut task = Task {
            held: self.held,
            input: self.work.input(),
            output: self.work.output(),
            work: self.work.root().to_owned(),
            output_bytes_max: spec.resources.disk_bytes.saturating_sub(input_bytes),
            started_at_ms,
            resumed: self.resumed,
            gpus: Vec::new(),
            spec,
        };
        self.resumed = Resumed::No;
        let (context, kill, sender) =
            (Arc::clone(&self.context), self.kill.clone(), self.sender.clone());
        self.spawn(Activity::Running, async move {
            let Some(gpus) = context.take_gpus(&task.spec.resources) else {
                return Happened::Ended(Err(RunError::Infrastructure(
                    "no fitting GPU is free".into(),
                )));
            };
            task.gpus = gpus.devices();
            let started = async move || {
                sender.send(Happened::Started).await.ok();
            };
            let ended = match (&task.spec.runtime, &context.docker) {
                (Runtime::Wasm { .. }, _) => context.wasm.run(&task, &spool, &kill, started).await,
                (Runtime::Docker { .. }, Some(docker)) => {
                    docker.run(&task, &spool, &kill, started).await
                }
                (Runtime::Docker { .. }, None) => {
                    Err(RunError::Infrastructure("this node has no engine".into()))
                }
            };
            spool.close();
            Happened::Ended(ended)
        });
        Ok(())
    }

    fn collect(&mut self) {
        let Phase::Collecting { started_at_ms, ended } = self.record.phase.clone() else { return };
        let (context, work, assignment) =
            (Arc::clone(&self.context), self.work.clone(), self.record.assignment.clone());
        self.spawn(Activity::Collecting, async move {
            let collected = tokio::task::spawn_blocking(move || {
                let bytes_max = assignment.spec.resources.disk_bytes;
                let (outcome, output) =
                    match collect(&work.output(), &work.blocks(), &work.car(), bytes_max) {
                        Ok(output) => (ended.outcome, output),
                        Err(FetchError::JobsFault(reason)) => {
                            // An output that cannot be taken is a failure of the job, and leaves nothing.
                            work.empty_output()
                                .map_err(|error| FetchError::local("empty the output", error))?;
                            let output =
                                collect(&work.output(), &work.blocks(), &work.car(), bytes_max)?;
                            let outcome = if ended.outcome.is_success() {
                                Outcome::OutputRefused { reason }
                            } else {
                                ended.outcome
                            };
                            (outcome, output)
                        }
                        Err(error) => return Err(error),
                    };
                let receipt = Receipt {
                    version: RECEIPT_VERSION,
                    job_id: assignment.job_id,
                    attempt: assignment.attempt,
                    node: context.key.id(),
                    spec_hash: assignment.terms.spec_hash,
                    outcome,
                    output_cid: output.cid,
                    manifest_hash: output.manifest_hash,
                    output_bytes: output.bytes,
                    started_at_ms,
                    finished_at_ms: ended.finished_at_ms,
                    fuel_used: ended.fuel_used,
                    log_bytes: ended.log_bytes,
                };
                let (job_id, attempt, node) = (receipt.job_id, receipt.attempt, receipt.node);
                let receipt_hash = receipt.hash();
                let message = if receipt.outcome.is_success() {
                    Message::Result { job_id, attempt, node, receipt_hash }
                } else {
                    Message::Failure { job_id, attempt, node, receipt_hash }
                };
                let signature = context.key.sign(&context.rules.domain, &message);
                Ok(Box::new(SignedReceipt { receipt, signature }))
            })
            .await;
            Happened::Collected(
                collected.unwrap_or_else(|error| Err(FetchError::local("hash the output", error))),
            )
        });
    }

    fn report(&mut self) {
        let Phase::Signed { signed } = self.record.phase.clone() else { return };
        // After a restart the rest of the log may still be here only.
        self.open_log(false).ok();
        let rest_of_log = self.log.take().map(|log| log.upload);
        let (context, held, car) = (Arc::clone(&self.context), self.held, self.work.car());
        let lease_token = self.record.assignment.lease_token;
        self.spawn(Activity::Reporting, async move {
            if let Some(upload) = rest_of_log {
                tokio::time::timeout(LOG_PATIENCE, upload).await.ok();
            }
            let is_success = signed.receipt.outcome.is_success();
            match context.session.put_content(&car).await {
                Ok(()) => {}
                Err(error) if is_success => return Happened::Answered(Err(error)),
                // A failure counts without its output too.
                Err(error) => tracing::warn!(%error, "the output of a failed job was not taken"),
            }
            let release = Message::Release { job_id: held.job_id, attempt: held.attempt };
            let body = ReportRequest {
                lease_token,
                receipt: signed.receipt.clone(),
                signature: signed.signature,
                release: (!is_success).then(|| context.key.sign(&context.rules.domain, &release)),
            };
            Happened::Answered(context.session.report(&held, &body).await)
        });
    }

    /// Opens the spool and starts its upload, unless both are there.
    fn open_log(&mut self, is_growing: bool) -> std::io::Result<SharedSpool> {
        if let Some(log) = &self.log {
            return Ok(Arc::clone(&log.spool));
        }
        let spool =
            Arc::new(Spool::open(&self.work.log(), self.context.rules.offer.log_bytes_max)?);
        if !is_growing {
            spool.close();
        }
        let (context, held, shared) = (Arc::clone(&self.context), self.held, Arc::clone(&spool));
        let upload = tokio::spawn(async move { log_upload::upload(&context, held, shared).await });
        self.log = Some(Log { spool: Arc::clone(&spool), upload });
        Ok(spool)
    }

    // ---- what came of it ----

    async fn handle(&mut self, event: Happened) -> Result<(), crate::journal::JournalError> {
        match event {
            Happened::Prepared(result) => {
                self.activity = Activity::Idle;
                match result {
                    Ok(()) => self.save(Phase::Starting { started_at_ms: now_ms() }),
                    Err(FetchError::JobsFault(reason)) => self.ended_without_start(reason),
                    Err(FetchError::Infrastructure(reason)) => self.failed(&reason),
                }
            }
            Happened::Started => {
                if let Phase::Starting { started_at_ms } = self.record.phase {
                    self.save(Phase::Running { started_at_ms })?;
                }
                let (context, held) = (Arc::clone(&self.context), self.held);
                let lease_token = self.record.assignment.lease_token;
                // The program does not wait for the scheduler to hear of it.
                tokio::spawn(async move {
                    if let Err(error) = context.session.start(&held, lease_token).await {
                        tracing::warn!(%error, "the scheduler does not take the start");
                    }
                });
                Ok(())
            }
            Happened::Ended(result) => {
                self.activity = Activity::Idle;
                match result {
                    Ok(finished) => self.program_ended(finished).await,
                    Err(RunError::Stopped) => Ok(()),
                    Err(RunError::Lost(reason)) => self.save(Phase::Releasing { reason }),
                    Err(RunError::JobsFault(reason)) => self.ended_without_start(reason),
                    Err(RunError::Infrastructure(reason)) => self.failed(&reason),
                }
            }
            Happened::Collected(result) => {
                self.activity = Activity::Idle;
                match result {
                    Ok(signed) => {
                        tracing::info!(job = %self.held.job_id, outcome = %signed.receipt.outcome, cid = signed.receipt.output_cid, "the result is signed");
                        self.save(Phase::Signed { signed })
                    }
                    Err(error) => self.failed(&error.to_string()),
                }
            }
            Happened::Answered(result) => {
                self.activity = Activity::Idle;
                let Phase::Signed { signed } = self.record.phase.clone() else { return Ok(()) };
                self.context.health.recovered();
                let answer = match result {
                    Ok(()) => "the scheduler has it".to_owned(),
                    Err(error) => {
                        tracing::warn!(job = %self.held.job_id, %error, "the scheduler does not take the result");
                        format!("the scheduler does not take it: {error}")
                    }
                };
                self.save(Phase::Delivered { signed, answer })
            }
        }
    }

    async fn program_ended(
        &mut self,
        finished: Finished,
    ) -> Result<(), crate::journal::JournalError> {
        let (Phase::Starting { started_at_ms } | Phase::Running { started_at_ms }) =
            self.record.phase
        else {
            return Ok(());
        };
        tracing::info!(job = %self.held.job_id, outcome = %finished.outcome, "the program ended");
        let log_bytes = self.log.as_ref().map_or(0, |log| log.spool.progress().written);
        let ended = Ended {
            outcome: finished.outcome,
            finished_at_ms: now_ms(),
            fuel_used: finished.fuel_used,
            log_bytes,
        };
        self.save(Phase::Collecting { started_at_ms, ended })?;
        self.remove_container().await;
        Ok(())
    }

    fn ended_without_start(&mut self, reason: String) -> Result<(), crate::journal::JournalError> {
        tracing::info!(job = %self.held.job_id, reason, "the job cannot be started");
        let reason = reason.chars().take(gristmill_protocol::api::REASON_CHARS_MAX).collect();
        let now = now_ms();
        let ended = Ended {
            outcome: Outcome::NotStarted { reason },
            finished_at_ms: now,
            fuel_used: None,
            log_bytes: 0,
        };
        self.save(Phase::Collecting { started_at_ms: now, ended })
    }

    /// The machine is to blame; another may do better.
    fn failed(&mut self, reason: &str) -> Result<(), crate::journal::JournalError> {
        tracing::error!(job = %self.held.job_id, reason, "the job failed because of this machine");
        self.context.health.failed();
        self.save(Phase::Releasing { reason: reason.to_owned() })
    }

    // ---- the end ----

    /// Gives the attempt back: through the scheduler, or on chain where that cannot be reached.
    async fn release(&mut self, reason: String) -> Result<bool, crate::journal::JournalError> {
        if !matches!(self.record.phase, Phase::Releasing { .. }) {
            self.save(Phase::Releasing { reason: reason.clone() })?;
        }
        let token = self.record.assignment.lease_token;
        match self.context.session.release(&self.held, token, &reason).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "the scheduler cannot be reached to give the job back");
                let terms = &self.record.assignment.terms;
                let is_mine = self.seen.as_ref().is_some_and(|seen| {
                    seen.state == EscrowState::Assigned
                        && seen.node == self.context.rules.node
                        && seen.attempt == self.held.attempt.0
                        && seen.now <= seen.lease_end
                });
                if !is_mine {
                    return Ok(false);
                }
                if let Err(error) = self.context.chain.release(terms, &self.held).await {
                    tracing::warn!(%error, "the job could not be given back on chain either; trying again");
                    return Ok(false);
                }
            }
            // It does not hold this attempt against the node any more.
            Err(error) => tracing::info!(%error, "the scheduler has given the job away already"),
        }
        self.end(format!("given back: {reason}")).await?;
        Ok(true)
    }

    async fn end(&mut self, how: String) -> Result<(), crate::journal::JournalError> {
        tracing::info!(job = %self.held.job_id, attempt = %self.held.attempt, how, "the attempt is over");
        self.save(Phase::Over { how })?;
        self.remove_container().await;
        let (context, work) = (Arc::clone(&self.context), self.work.clone());
        let cleaned = tokio::task::spawn_blocking(move || {
            work.remove()?;
            context.fetcher.trim_cache()
        });
        match cleaned.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the job's folder cannot be removed"),
            Err(error) => tracing::warn!(%error, "cleaning up failed"),
        }
        Ok(())
    }

    async fn remove_container(&self) {
        let is_docker = matches!(self.record.assignment.spec.runtime, Runtime::Docker { .. });
        if let (true, Some(docker)) = (is_docker, &self.context.docker)
            && let Err(error) = docker.remove(&self.held).await
        {
            tracing::warn!(%error, "the container cannot be removed; it is tried again at the next start");
        }
    }
}

fn now_ms() -> Timestamp {
    Timestamp(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}
