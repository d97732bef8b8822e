//! The turn: load → decide → commit → publish.
//!
//! One thread owns the writing end of the store. It takes whatever has arrived while the last commit ran, with no timer,
//! so that an idle scheduler answers at once and a busy one commits in groups. Replies leave only after the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use gristmill_market::effect::Verification;
use gristmill_market::{Changes, Command, Needs, Policy, Rejection, Reply, decide, needs};
use gristmill_protocol::ids::{JobId, LeaseToken, NodeId};
use gristmill_protocol::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::store::{IdempotencyKey, StoreError, StoredReply, Writer, Writes};
use crate::wake::Wake;

/// Commands and writes of one turn.
pub const BATCH_MAX: usize = 256;
/// What may wait for a turn. More than this, and callers wait to be let in.
const QUEUE_MAX: usize = 4096;
/// Heartbeats are written at most this often, unless a turn is about to judge by them.
const HEARTBEAT_FLUSH_MS: u64 = 1000;
/// How long a reply under an idempotency key is remembered.
const REPLY_KEPT_SECONDS: u64 = 86_400;

/// Why a command or write had no effect.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The rules say no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The idempotency key belongs to another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// Deciding it panicked: a bug, of which it alone suffers.
    #[error("the scheduler failed on this command; nothing was changed")]
    Failed,
    /// The store cannot be written now, or the scheduler is stopping.
    #[error("the scheduler cannot write now; nothing was changed")]
    Unavailable,
}

/// The fence of the next lease: nobody can guess it.
pub fn new_lease_token() -> LeaseToken {
    LeaseToken(rand::random::<[u8; 32]>().into())
}

/// Names a mutating request: its key, and the sha-256 of what it asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idempotency {
    pub key: IdempotencyKey,
    pub fingerprint: [u8; 32],
}

/// The way into the turn. Clones share one queue.
#[derive(Clone)]
pub struct Turns {
    queue: mpsc::Sender<Item>,
    heard: Arc<Heard>,
}

/// The thread that runs turns; it ends when it is told to stop, after what is in the queue.
pub struct TurnThread {
    queue: mpsc::Sender<Item>,
    thread: JoinHandle<()>,
}

/// One entry of the queue.
enum Item {
    Decide {
        command: Box<Command>,
        idempotency: Option<Idempotency>,
        reply: oneshot::Sender<Result<Reply, Refused>>,
    },
    Write {
        name: &'static str,
        write: Box<dyn Write>,
    },
    Stop,
}

/// A write that is no decision: a session, a spec, a row of a driver. May run again when its turn is replayed.
trait Write: Send {
    fn run(&mut self, rows: &mut dyn Writes) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, refused: Option<Refused>);
}

struct WriteWith<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, Refused>>,
}

impl<T: Send, F: FnMut(&mut dyn Writes) -> Result<T, StoreError> + Send> Write for WriteWith<T, F> {
    fn run(&mut self, rows: &mut dyn Writes) -> Result<(), StoreError> {
        self.result = Some((self.work)(rows)?);
        Ok(())
    }

    fn answer(self: Box<Self>, refused: Option<Refused>) {
        let answer = match (refused, self.result) {
            (None, Some(result)) => Ok(result),
            (Some(refused), _) => Err(refused),
            (None, None) => Err(Refused::Failed),
        };
        // The caller may have gone; what it wrote stays.
        let _ = self.reply.send(answer);
    }
}

/// Heartbeats that are not written yet.
#[derive(Default)]
struct Heard(Mutex<BTreeMap<NodeId, Timestamp>>);

impl Turns {
    /// Starts the thread that runs turns.
    pub fn start(
        writer: Box<dyn Writer>,
        policy: Policy,
        clock: Clock,
        wake: Arc<Wake>,
    ) -> std::io::Result<(Self, TurnThread)> {
        let (queue, items) = mpsc::channel(QUEUE_MAX);
        let heard = Arc::new(Heard::default());
        let mut runner = Runner {
            writer,
            policy,
            clock,
            wake,
            heard: Arc::clone(&heard),
            flushed_at: Timestamp::default(),
        };
        let thread =
            std::thread::Builder::new().name("turn".into()).spawn(move || runner.run(items))?;
        Ok((Self { queue: queue.clone(), heard }, TurnThread { queue, thread }))
    }

    /// Decides one command; answered when it is durable.
    pub async fn submit(&self, command: Command) -> Result<Reply, Refused> {
        self.submit_once(command, None).await
    }

    /// Decides a command that takes effect once under its idempotency key.
    pub async fn submit_once(
        &self,
        command: Command,
        idempotency: Option<Idempotency>,
    ) -> Result<Reply, Refused> {
        let (reply, answer) = oneshot::channel();
        let item = Item::Decide { command: Box::new(command), idempotency, reply };
        self.queue.send(item).await.map_err(|_| Refused::Unavailable)?;
        answer.await.unwrap_or(Err(Refused::Unavailable))
    }

    /// Decides commands in order. They share a turn where there is room; each has its own answer.
    pub async fn submit_all(&self, commands: Vec<Command>) -> Vec<Result<Reply, Refused>> {
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            let (reply, answer) = oneshot::channel();
            // A closed queue drops the sender, and so answers below.
            let item = Item::Decide { command: Box::new(command), idempotency: None, reply };
            let _ = self.queue.send(item).await;
            answers.push(answer);
        }
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(answer.await.unwrap_or(Err(Refused::Unavailable)));
        }
        results
    }

    /// Runs `work` inside a turn's transaction; answered when it is durable. A turn that fails is replayed, so `work`
    /// may run again from the same rows. `name` is for logs and metrics.
    pub async fn write<T, F>(&self, name: &'static str, work: F) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: FnMut(&mut dyn Writes) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let write = Box::new(WriteWith { work, result: None, reply });
        self.queue.send(Item::Write { name, write }).await.map_err(|_| Refused::Unavailable)?;
        answer.await.unwrap_or(Err(Refused::Unavailable))
    }

    /// Notes that a node was heard. Written with a later turn, and always before one that judges by it.
    pub fn hear(&self, node: NodeId, now: Timestamp) {
        let mut heard = self.heard.lock();
        let last = heard.entry(node).or_default();
        *last = now.max(*last);
    }
}

impl TurnThread {
    /// Ends the thread after everything that is in the queue now. What comes later is refused as unavailable.
    pub async fn stop(self) {
        let _ = self.queue.send(Item::Stop).await;
        drop(self.queue);
        // A panic of the thread itself was logged by its hook; there is nothing left to save.
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}

impl Heard {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread owns.
struct Runner {
    writer: Box<dyn Writer>,
    policy: Policy,
    clock: Clock,
    wake: Arc<Wake>,
    heard: Arc<Heard>,
    flushed_at: Timestamp,
}

/// What a turn tells the rest of the process after its commit.
#[derive(Default)]
struct Publication {
    /// One for each item: what it decided, or nothing for a write.
    outcomes: Vec<Option<Result<Reply, Refused>>>,
    nodes: BTreeSet<NodeId>,
    jobs: BTreeSet<JobId>,
    intents: bool,
    verifications: bool,
    /// The earliest time at which something of it is due.
    due_at: Option<Timestamp>,
}

/// Why a turn left no trace.
enum Aborted {
    Store(StoreError),
    Panic,
}

impl Runner {
    fn run(&mut self, mut items: mpsc::Receiver<Item>) {
        while let Some(first) = items.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX {
                match items.try_recv() {
                    Ok(item) => batch.push(item),
                    Err(_) => break,
                }
            }
            if batch.iter().any(|item| matches!(item, Item::Stop)) {
                // Whoever was let in is served; the door is closed.
                items.close();
                batch.retain(|item| !matches!(item, Item::Stop));
            }
            if !batch.is_empty() {
                self.turn(batch);
            }
        }
        self.flush_last();
    }

    /// Runs one turn; where it fails, each of its items alone, so that only the one at fault suffers.
    fn turn(&mut self, mut batch: Vec<Item>) {
        let started = Instant::now();
        match self.attempt(&mut batch) {
            Ok(publication) => {
                metrics::histogram!("gristmill_turn_items").record(batch.len() as f64);
                metrics::histogram!("gristmill_turn_seconds")
                    .record(started.elapsed().as_secs_f64());
                self.publish(batch, publication);
            }
            Err(aborted) if batch.len() == 1 => {
                let item = batch.remove(0);
                metrics::counter!("gristmill_turns_aborted_total").increment(1);
                let refused = match aborted {
                    Aborted::Store(error) => {
                        tracing::error!(
                            item = item.name(),
                            error = &error as &dyn std::error::Error,
                            "a turn failed"
                        );
                        Refused::Unavailable
                    }
                    Aborted::Panic => {
                        tracing::error!(
                            item = item.name(),
                            "a turn panicked; nothing of it was kept"
                        );
                        Refused::Failed
                    }
                };
                item.refuse(refused);
            }
            Err(_) => {
                for item in batch {
                    self.turn(vec![item]);
                }
            }
        }
    }

    fn attempt(&mut self, batch: &mut [Item]) -> Result<Publication, Aborted> {
        let now = self.clock.now();
        let heard = self.heard_to_write(batch, now);
        let mut rows = Needs::default();
        for item in batch.iter() {
            if let Item::Decide { command, .. } = item {
                rows.merge(needs(command));
            }
        }
        let (writer, policy) = (&mut self.writer, &self.policy);
        let run = || {
            let mut publication = Publication::default();
            writer.transact(&rows, &mut |rows| {
                // A store that runs its transaction again starts from nothing.
                publication = Publication::default();
                rows.hear(&heard)?;
                for item in batch.iter_mut() {
                    let outcome = item.perform(rows, policy, now, &mut publication)?;
                    publication.outcomes.push(outcome);
                }
                Ok(())
            })?;
            Ok(publication)
        };
        let result = catch_unwind(AssertUnwindSafe(run));
        if !matches!(result, Ok(Ok(_))) {
            // They are written with the next turn.
            let mut unwritten = self.heard.lock();
            for (node, at) in heard {
                let last = unwritten.entry(node).or_default();
                *last = at.max(*last);
            }
        }
        match result {
            Ok(Ok(publication)) => Ok(publication),
            Ok(Err(error)) => Err(Aborted::Store(error)),
            Err(_) => Err(Aborted::Panic),
        }
    }

    /// The heartbeats that this turn writes: none, unless it judges by them or the last ones were written a while ago.
    fn heard_to_write(&mut self, batch: &[Item], now: Timestamp) -> Vec<(NodeId, Timestamp)> {
        let judges = batch.iter().any(|item| match item {
            Item::Decide { command, .. } => {
                matches!(**command, Command::JobDue { .. } | Command::NodeDue { .. })
            }
            Item::Write { .. } | Item::Stop => false,
        });
        if !judges && now.millis_since(self.flushed_at) < HEARTBEAT_FLUSH_MS {
            return Vec::new();
        }
        self.flushed_at = now;
        std::mem::take(&mut *self.heard.lock()).into_iter().collect()
    }

    fn flush_last(&mut self) {
        let heard: Vec<_> = std::mem::take(&mut *self.heard.lock()).into_iter().collect();
        if let Err(error) = self.writer.transact(&Needs::default(), &mut |rows| rows.hear(&heard)) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the last heartbeats were not written"
            );
        }
    }

    fn publish(&self, batch: Vec<Item>, publication: Publication) {
        for (item, outcome) in batch.into_iter().zip(publication.outcomes) {
            item.answer(outcome);
        }
        for node in publication.nodes {
            self.wake.node(node);
        }
        for job in publication.jobs {
            self.wake.job(job);
        }
        if publication.intents {
            self.wake.chain_sender.notify_one();
        }
        if publication.verifications {
            self.wake.verifier.notify_one();
        }
        if let Some(due_at) = publication.due_at {
            self.wake.timer.due(due_at);
        }
    }
}

impl Publication {
    fn add(&mut self, changes: &Changes) {
        self.nodes.extend(changes.wakes.iter().copied());
        self.jobs.extend(changes.jobs.iter().map(|job| job.id));
        self.jobs.extend(changes.events.iter().map(|event| event.job_id));
        self.intents |= !changes.intents.is_empty();
        self.verifications |= !changes.verifications.is_empty();
        let jobs = changes.jobs.iter().filter_map(|job| job.due_at);
        let nodes = changes.nodes.iter().filter_map(|node| node.due_at);
        self.due_at = self.due_at.into_iter().chain(jobs).chain(nodes).min();
    }
}

impl Item {
    fn name(&self) -> &'static str {
        match self {
            Self::Decide { command, .. } => command_name(command),
            Self::Write { name, .. } => name,
            Self::Stop => "stop",
        }
    }

    fn perform(
        &mut self,
        rows: &mut dyn Writes,
        policy: &Policy,
        now: Timestamp,
        publication: &mut Publication,
    ) -> Result<Option<Result<Reply, Refused>>, StoreError> {
        match self {
            Self::Decide { command, idempotency, .. } => {
                if let Some(Idempotency { key, fingerprint }) = idempotency
                    && let Some(stored) = rows.stored_reply(key)?
                    && stored.expires_at > now
                {
                    let same = stored.fingerprint == *fingerprint;
                    return Ok(Some(if same { Ok(stored.reply) } else { Err(Refused::KeyReused) }));
                }
                let outcome = decide_one(rows, Command::clone(command), policy, now, publication)?;
                if let (Some(Idempotency { key, fingerprint }), Ok(reply)) = (idempotency, &outcome)
                {
                    let expires_at = now.plus_seconds(REPLY_KEPT_SECONDS);
                    rows.store_reply(
                        key,
                        &StoredReply {
                            fingerprint: *fingerprint,
                            reply: reply.clone(),
                            expires_at,
                        },
                    )?;
                }
                Ok(Some(outcome.map_err(Refused::from)))
            }
            Self::Write { write, .. } => {
                write.run(rows)?;
                Ok(None)
            }
            Self::Stop => Ok(None),
        }
    }

    fn answer(self, outcome: Option<Result<Reply, Refused>>) {
        match self {
            Self::Decide { reply, .. } => {
                let _ = reply.send(outcome.unwrap_or(Err(Refused::Failed)));
            }
            Self::Write { write, .. } => write.answer(None),
            Self::Stop => {}
        }
    }

    fn refuse(self, refused: Refused) {
        match self {
            Self::Decide { reply, .. } => {
                let _ = reply.send(Err(refused));
            }
            Self::Write { write, .. } => write.answer(Some(refused)),
            Self::Stop => {}
        }
    }
}

/// Loads, decides and saves one command, inside the turn's transaction: so that each command sees what those before it
/// in the same turn have done, and a window never offers what is taken.
fn decide_one(
    rows: &mut dyn Writes,
    command: Command,
    policy: &Policy,
    now: Timestamp,
    publication: &mut Publication,
) -> Result<Result<Reply, Rejection>, StoreError> {
    let verified = if let Command::Verdict { job, attempt, receipt_hash, .. } = command {
        Some(Verification { job, attempt, receipt_hash })
    } else {
        None
    };
    let name = command_name(&command);
    let mut world = rows.load(&needs(&command), policy)?;
    let outcome = decide(&mut world, command, now);
    if outcome.is_ok() {
        let changes = world.take_changes();
        rows.save(&changes)?;
        publication.add(&changes);
    }
    if let Some(verification) = verified {
        // Accepted or too late: nobody waits for this verdict any more.
        rows.close_verification(&verification)?;
    }
    let result = if outcome.is_ok() { "applied" } else { "rejected" };
    metrics::counter!("gristmill_commands_total", "command" => name, "result" => result)
        .increment(1);
    Ok(outcome)
}

fn command_name(command: &Command) -> &'static str {
    match command {
        Command::CreateJob { .. } => "create_job",
        Command::CancelJob { .. } => "cancel_job",
        Command::Chain { .. } => "chain",
        Command::IntentFailed { .. } => "intent_failed",
        Command::RegisterNode { .. } => "register_node",
        Command::NodeStanding { .. } => "node_standing",
        Command::Poll { .. } => "poll",
        Command::Accept { .. } => "accept",
        Command::Start { .. } => "start",
        Command::Report { .. } => "report",
        Command::Release { .. } => "release",
        Command::Verdict { .. } => "verdict",
        Command::JobDue { .. } => "job_due",
        Command::NodeDue { .. } => "node_due",
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
