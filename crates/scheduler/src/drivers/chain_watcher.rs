//! The chain watcher: final events of the contract become commands, each once, and a block that is replaced takes back
//! what was mined in it.
//!
//! Two positions are kept. The *window* holds the newest blocks, so that a parent that differs leads back to the block that
//! both histories share. The *cursor* is the last block whose events have all become commands: it moves only after they
//! have, and the rules skip an event that they have seen, so a crash in between repeats and loses nothing. Only blocks that
//! are final are asked for events, so there is never an event to take back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use alloy::rpc::types::Log;
use alloy::sol_types::SolEventInterface;
use gristmill_market::Command;
use gristmill_market::command::{ChainEvent, Fact};
use gristmill_market::demand::KnownSpec;
use gristmill_market::escrow::ChainPosition;
use gristmill_protocol::contracts::JobMarket::JobMarketEvents;
use gristmill_protocol::contracts::ruling;
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, ReceiptHash, SpecHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::{Address, B256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::chain_rpc::{CallError, ChainRpc, Head};
use crate::clock::Clock;
use crate::content_store::ContentStore;
use crate::store::chain::BlockRef;
use crate::store::{self, Store, StoreError};
use crate::turn::{Refused, Turns, new_lease_token};

/// Blocks that are kept to recognise a reorganization.
const WINDOW_BLOCKS: usize = 64;
/// Nodes of one provider that an approval is applied to.
const NODES_MAX: usize = 10_000;
/// After an error the next look comes later, up to this.
const RETRY_MS_MAX: u64 = 10_000;
/// A newest block that is older than this may mean that the endpoint has lost the others: the endpoints are compared.
const STALE_SECONDS: u64 = 15;
/// No chain's clock is further ahead of ours than this: the market's clock follows the chain's, and never goes back.
const AHEAD_SECONDS_MAX: u64 = 10 * 365 * 86_400;

/// Why a step of the watcher or the sender could not be finished. It is taken again.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the database cannot be read")]
    Store(#[from] StoreError),
    #[error("the database cannot be written: {0}")]
    Write(#[from] Refused),
    /// A block was replaced while it was read.
    #[error("the chain was reorganized while it was read")]
    Moved,
}

/// The newest block, and how often blocks have been replaced since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainNow {
    pub head: Head,
    pub reorgs: u64,
}

/// Follows one contract on one chain.
pub struct ChainWatcher {
    pub rpc: Arc<ChainRpc>,
    pub store: Arc<dyn Store>,
    pub turns: Turns,
    pub clock: Clock,
    pub deployment: Deployment,
    /// Jobs and approvals of other schedulers are none of our business.
    pub scheduler: Address,
    /// Where a spec is looked for that the database lacks. Without one, such jobs wait for their spec.
    pub content: Option<Arc<ContentStore>>,
    /// In how many blocks an event must be covered to count as final, its own included.
    pub finality_depth: u64,
    pub poll_interval_ms: u64,
    /// Blocks of one request for events.
    pub log_blocks_max: u64,
    /// Told of every successful look.
    pub health: Arc<crate::health::Health>,
    /// Told of every new block; nothing before the first.
    pub now: watch::Sender<Option<ChainNow>>,
}

/// Where an event stands, and when its block was made.
#[derive(Clone, Copy)]
struct At {
    position: ChainPosition,
    timestamp_s: u64,
}

/// What an event says of a node or an approval.
#[derive(Clone, Copy)]
enum Enrolling {
    Enrolled { node: NodeId, provider: Address },
    Revoked { node: NodeId },
    Approval { provider: Address, approved: bool, at: ChainPosition },
}

impl ChainWatcher {
    /// Watches until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut failures = 0u32;
        // Nobody sends before a block was seen, so on the wrong chain nothing is ever signed.
        let mut checked = false;
        while !stop.is_cancelled() {
            if !checked {
                match self.rpc.check(&self.deployment, self.scheduler).await {
                    Ok(()) => checked = true,
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the chain is not followed"
                        );
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = self.clock.sleep_ms(RETRY_MS_MAX / 2) => {}
                        }
                        continue;
                    }
                }
            }
            // A step can be cut off anywhere: what it had not done is done after the next start.
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.step() => outcome,
            };
            let wait_ms = match outcome {
                Ok(()) => {
                    failures = 0;
                    if let Some(now) = *self.now.borrow() {
                        self.health.chain_polled(now.head.block.number, self.clock.wall());
                    }
                    self.poll_interval_ms
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(
                        failures,
                        error = &error as &dyn std::error::Error,
                        "the chain could not be followed"
                    );
                    (self.poll_interval_ms << failures.min(8)).min(RETRY_MS_MAX)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep_ms(wait_ms) => {}
            }
        }
    }

    /// Looks once: at the newest block, and at the events that have become final with it.
    pub async fn step(&self) -> Result<(), ChainError> {
        let head = self.newest().await?;
        let wall_s = self.clock.wall().unix_seconds();
        if head.timestamp_s > wall_s.saturating_add(AHEAD_SECONDS_MAX) {
            return Err(CallError::Inconsistent("its newest block is from a far future").into());
        }
        if self.follow(head).await? {
            self.clock.see_block(head.timestamp_s);
        }
        self.read_events(head.block.number).await
    }

    /// The newest block of the endpoint that is asked, or of another one if that one has fallen behind.
    async fn newest(&self) -> Result<Head, ChainError> {
        let head = self.rpc.head().await?;
        let seen = self.now.borrow().map_or(0, |now| now.head.block.number);
        let is_stale =
            head.timestamp_s.saturating_add(STALE_SECONDS) < self.clock.wall().unix_seconds();
        let head = if head.block.number < seen || is_stale {
            self.rpc.prefer_furthest().await.unwrap_or(head)
        } else {
            head
        };
        let behind = seen.saturating_sub(head.block.number);
        metrics::gauge!("gristmill_chain_behind_blocks").set(behind as f64);
        metrics::gauge!("gristmill_chain_head_timestamp_seconds").set(head.timestamp_s as f64);
        Ok(head)
    }

    /// Brings the window up to `head`; false where that is older than everything in it.
    async fn follow(&self, head: Head) -> Result<bool, ChainError> {
        let window = store::read(&self.store, |rows| rows.chain_window()).await?;
        let known: HashMap<u64, B256> =
            window.iter().map(|block| (block.number, block.hash)).collect();
        if known.get(&head.block.number) == Some(&head.block.hash) {
            // Nothing new, or an endpoint that lags behind.
            if self.now.borrow().is_none() {
                self.publish(head, 0);
            }
            return Ok(true);
        }
        if let Some(oldest) = window.first()
            && head.block.number < oldest.number
        {
            // So far back nothing is replaced: the endpoint has stopped, or begins anew.
            tracing::warn!(
                number = head.block.number,
                oldest = oldest.number,
                "the RPC endpoint is far behind what it, or another one, has shown before"
            );
            return Ok(false);
        }
        let (fresh, common) = self.link(head, &window, &known).await?;
        let replaced = window.last().is_some_and(|last| last.number > common.number);
        self.turns
            .write("chain_window", move |rows| {
                if replaced {
                    rows.roll_back(Some(common.number))?;
                    // Its events were final and are not any more. The rules keep what they have seen, and the new ones
                    // are read; that they differ is for a person to judge.
                    let cursor = rows.chain_cursor()?;
                    if cursor.is_some_and(|cursor| cursor.number > common.number) {
                        rows.move_cursor(cursor, common)?;
                    }
                }
                rows.extend_window(&fresh, WINDOW_BLOCKS)
            })
            .await?;
        if replaced {
            let depth = window.last().map_or(0, |last| last.number - common.number);
            if depth < self.finality_depth {
                tracing::info!(depth, common = common.number, "the chain was reorganized");
            } else {
                tracing::error!(
                    depth,
                    common = common.number,
                    finality_depth = self.finality_depth,
                    "final blocks were replaced: raise `chain.finality_depth`, and compare jobs with the chain"
                );
                metrics::counter!("gristmill_chain_deep_reorgs_total").increment(1);
            }
            metrics::counter!("gristmill_chain_reorgs_total").increment(1);
        }
        self.publish(head, u64::from(replaced));
        Ok(true)
    }

    fn publish(&self, head: Head, reorgs: u64) {
        metrics::gauge!("gristmill_chain_head").set(head.block.number as f64);
        self.now.send_modify(|now| {
            let before = now.map_or(0, |now| now.reorgs);
            *now = Some(ChainNow { head, reorgs: before + reorgs });
        });
    }

    /// Walks from `head` back to a block of the window: the blocks that are new, oldest first, and the one below them. It
    /// gives up where the window begins, or after as many blocks as a window holds: then nothing older is known.
    async fn link(
        &self,
        head: Head,
        window: &[BlockRef],
        known: &HashMap<u64, B256>,
    ) -> Result<(Vec<BlockRef>, BlockRef), ChainError> {
        let oldest = window.first().map_or(u64::MAX, |block| block.number);
        let mut fresh = vec![head.block];
        let mut parent = head.parent;
        let mut number = head.block.number;
        loop {
            let below = BlockRef { number: number.saturating_sub(1), hash: parent };
            let met = known.get(&below.number) == Some(&below.hash);
            if number == 0 || met || below.number < oldest || fresh.len() == WINDOW_BLOCKS {
                fresh.reverse();
                return Ok((fresh, below));
            }
            let header = self.rpc.header_of(parent).await?.ok_or(ChainError::Moved)?;
            if header.block.number != below.number {
                let problem = "a block's parent does not have the number before it";
                return Err(CallError::Inconsistent(problem).into());
            }
            fresh.push(header.block);
            parent = header.parent;
            number = header.block.number;
        }
    }

    /// Turns the events of blocks that are final under `head` into commands.
    async fn read_events(&self, head: u64) -> Result<(), ChainError> {
        let Some(last_final) = head.saturating_add(1).checked_sub(self.finality_depth) else {
            return Ok(());
        };
        let mut span = self.log_blocks_max;
        loop {
            let cursor = self.cursor().await?;
            let from = cursor.map_or(self.deployment.block, |cursor| cursor.number + 1);
            if from > last_final {
                return Ok(());
            }
            let to = last_final.min(from.saturating_add(span - 1));
            let (block, logs) = match self.rpc.events(from, to).await {
                Err(error) if error.is_about_size() && to > from => {
                    tracing::debug!(from, to, %error, "asking for the events of fewer blocks");
                    span = (to - from).div_ceil(2);
                    continue;
                }
                // Events that are read while blocks are replaced could come from either history.
                answer => answer?.ok_or(ChainError::Moved)?,
            };
            self.apply(&logs).await?;
            let moved = self
                .turns
                .write("chain_cursor", move |rows| rows.move_cursor(cursor, block))
                .await?;
            if !moved {
                tracing::info!("another replica has moved the chain's cursor");
            }
            metrics::gauge!("gristmill_chain_cursor").set(to as f64);
        }
    }

    async fn block_at(&self, number: u64) -> Result<BlockRef, ChainError> {
        Ok(self.rpc.header_at(number).await?.ok_or(ChainError::Moved)?.block)
    }

    /// The stored cursor, where the chain still has its block.
    async fn cursor(&self) -> Result<Option<BlockRef>, ChainError> {
        let (cursor, window) =
            store::read(&self.store, |rows| Ok((rows.chain_cursor()?, rows.chain_window()?)))
                .await?;
        let Some(cursor) = cursor else { return Ok(None) };
        if window.contains(&cursor) {
            return Ok(Some(cursor));
        }
        let found = self.rpc.header_at(cursor.number).await?;
        match found {
            Some(found) if found.block == cursor => Ok(Some(cursor)),
            Some(found) => {
                tracing::error!(
                    number = cursor.number,
                    expected = %cursor.hash,
                    found = %found.block.hash,
                    "a final block was replaced while nobody watched: all events are read again"
                );
                metrics::counter!("gristmill_chain_deep_reorgs_total").increment(1);
                let start = self.block_at(self.deployment.block.saturating_sub(1)).await?;
                self.turns
                    .write("chain_cursor", move |rows| rows.move_cursor(Some(cursor), start))
                    .await?;
                Ok(Some(start))
            }
            None => {
                tracing::warn!(
                    number = cursor.number,
                    "the RPC endpoint does not have a block that was final: it lags behind, or serves another chain"
                );
                Err(ChainError::Moved)
            }
        }
    }

    /// Applies events, in order: who is enrolled, then what happened to jobs, then what nodes may do.
    async fn apply(&self, logs: &[Log]) -> Result<(), ChainError> {
        let mut timestamps = HashMap::new();
        let mut enrollings = Vec::new();
        let mut events = Vec::new();
        for log in logs {
            let event = match JobMarketEvents::decode_log(&log.inner) {
                Ok(event) => event.data,
                Err(error) => {
                    tracing::warn!(%error, "the contract has written an event that is not in its ABI");
                    continue;
                }
            };
            let at = self.position(log, &mut timestamps).await?;
            match self.read(event, at.position) {
                Meaning::Job(job, fact) => {
                    events.push(ChainEvent {
                        job,
                        position: at.position,
                        at_s: at.timestamp_s,
                        fact,
                    });
                }
                Meaning::Enrolling(enrolling) => enrollings.push(enrolling),
                Meaning::Nothing => {}
            }
        }
        let affected = self.enroll(enrollings).await?;
        self.submit(events).await?;
        self.restate(affected).await
    }

    async fn position(
        &self,
        log: &Log,
        timestamps: &mut HashMap<u64, u64>,
    ) -> Result<At, ChainError> {
        let (Some(block), Some(index)) = (log.block_number, log.log_index) else {
            return Err(CallError::Inconsistent("an event of a mined block has no position").into());
        };
        let timestamp_s = match (log.block_timestamp, timestamps.get(&block)) {
            (Some(timestamp_s), _) => timestamp_s,
            (None, Some(timestamp_s)) => *timestamp_s,
            (None, None) => self.rpc.header_at(block).await?.ok_or(ChainError::Moved)?.timestamp_s,
        };
        timestamps.insert(block, timestamp_s);
        let log_index = u32::try_from(index).unwrap_or(u32::MAX);
        Ok(At { position: ChainPosition { block, log_index }, timestamp_s })
    }

    /// What an event means to this scheduler.
    fn read(&self, event: JobMarketEvents, at: ChainPosition) -> Meaning {
        use JobMarketEvents as E;
        let ours = |scheduler: Address| scheduler == self.scheduler;
        match event {
            E::Opened(e) if ours(e.terms.scheduler) => Meaning::Job(
                JobId(e.jobId),
                Fact::Opened { terms: Terms::from(&e.terms), spec: None },
            ),
            E::Cancelled(e) => {
                Meaning::Job(JobId(e.jobId), Fact::Cancelled { amount: amount(e.amount) })
            }
            E::Assigned(e) => Meaning::Job(
                JobId(e.jobId),
                Fact::Assigned {
                    node: NodeId(e.node),
                    provider: e.provider,
                    attempt: AttemptNumber(e.attempt),
                },
            ),
            E::CalledIn(e) => Meaning::Job(
                JobId(e.jobId),
                Fact::CalledIn { attempt: AttemptNumber(e.attempt), lease_end_s: e.leaseEnd.to() },
            ),
            E::Renewed(e) => Meaning::Job(
                JobId(e.jobId),
                Fact::Renewed { attempt: AttemptNumber(e.attempt), lease_end_s: e.leaseEnd.to() },
            ),
            E::Released(e) => {
                Meaning::Job(JobId(e.jobId), Fact::Released { attempt: AttemptNumber(e.attempt) })
            }
            E::Lapsed(e) => {
                Meaning::Job(JobId(e.jobId), Fact::Lapsed { attempt: AttemptNumber(e.attempt) })
            }
            E::Settled(e) => Meaning::Job(
                JobId(e.jobId),
                Fact::Settled {
                    node: NodeId(e.node),
                    attempt: AttemptNumber(e.attempt),
                    receipt_hash: ReceiptHash(e.receiptHash),
                },
            ),
            E::Published(e) => Meaning::Job(
                JobId(e.jobId),
                Fact::Published {
                    node: NodeId(e.node),
                    attempt: AttemptNumber(e.attempt),
                    receipt_hash: ReceiptHash(e.receiptHash),
                },
            ),
            E::Paid(e) => Meaning::Job(
                JobId(e.jobId),
                Fact::Paid { provider: e.provider, amount: amount(e.amount), fee: amount(e.fee) },
            ),
            E::Refunded(e) => {
                Meaning::Job(JobId(e.jobId), Fact::Refunded { amount: amount(e.amount) })
            }
            E::Enrolled(e) => Meaning::Enrolling(Enrolling::Enrolled {
                node: NodeId(e.node),
                provider: e.provider,
            }),
            E::Revoked(e) => Meaning::Enrolling(Enrolling::Revoked { node: NodeId(e.node) }),
            E::SchedulerApproved(e) if ours(e.scheduler) => {
                Meaning::Enrolling(Enrolling::Approval { provider: e.provider, approved: true, at })
            }
            E::SchedulerDisapproved(e) if ours(e.scheduler) => {
                Meaning::Enrolling(Enrolling::Approval {
                    provider: e.provider,
                    approved: false,
                    at,
                })
            }
            E::Forfeited(e) => Meaning::Job(
                JobId(e.jobId),
                Fact::Forfeited {
                    provider: e.provider,
                    to_submitter: amount(e.toSubmitter),
                    to_pool: amount(e.toPool),
                },
            ),
            E::Disputed(e) => {
                Meaning::Job(JobId(e.jobId), Fact::Disputed { by: e.by, until_s: e.until.to() })
            }
            E::Ruled(e) => match ruling(e.ruling) {
                Some(ruling) => Meaning::Job(JobId(e.jobId), Fact::Ruled { ruling }),
                None => {
                    tracing::warn!(ruling = e.ruling, "an arbiter ruled as the ABI does not know");
                    Meaning::Nothing
                }
            },
            E::Opened(_)
            | E::SchedulerApproved(_)
            | E::SchedulerDisapproved(_)
            | E::Skipped(_)
            | E::Deposited(_)
            | E::Credited(_)
            | E::Debited(_)
            | E::Withdrawn(_)
            | E::EpochRaised(_) => Meaning::Nothing,
        }
    }

    /// Stores who is enrolled and approved; the nodes whose standing may have changed.
    async fn enroll(&self, enrollings: Vec<Enrolling>) -> Result<Vec<NodeId>, ChainError> {
        if enrollings.is_empty() {
            return Ok(Vec::new());
        }
        let affected = self
            .turns
            .write("chain_enrollments", move |rows| {
                let mut affected = Vec::new();
                for enrolling in &enrollings {
                    match *enrolling {
                        Enrolling::Enrolled { node, provider } => {
                            rows.put_enrollment(node, provider)?
                        }
                        Enrolling::Revoked { node } => {
                            rows.revoke_enrollment(node)?;
                            affected.push(node);
                        }
                        Enrolling::Approval { provider, approved, at } => {
                            rows.put_approval(provider, approved, at)?;
                            affected.extend(rows.nodes_of(provider, NODES_MAX)?);
                        }
                    }
                }
                affected.sort_unstable();
                affected.dedup();
                Ok(affected)
            })
            .await?;
        Ok(affected)
    }

    /// Submits what happened to our jobs.
    async fn submit(&self, mut events: Vec<ChainEvent>) -> Result<(), ChainError> {
        if events.is_empty() {
            return Ok(());
        }
        let asked: Vec<_> = events.iter().map(|event| (event.job, opened_spec(event))).collect();
        let answers = store::read(&self.store, move |rows| {
            let mut known = HashSet::new();
            let mut specs = HashMap::new();
            for (job, spec) in &asked {
                if !known.contains(job) && (spec.is_some() || rows.job(*job)?.is_some()) {
                    known.insert(*job);
                }
                if let Some(hash) = spec
                    && let Some(spec) = rows.spec(*hash)?
                {
                    specs.insert(*hash, KnownSpec { hash: *hash, spec });
                }
            }
            Ok((known, specs))
        })
        .await?;
        let (known, mut specs) = answers;
        self.find_specs(&events, &mut specs).await?;
        events.retain(|event| known.contains(&event.job));
        for event in &mut events {
            if let Fact::Opened { terms, spec } = &mut event.fact {
                *spec = specs.get(&terms.spec_hash).cloned();
            }
        }
        let described: Vec<_> = events.iter().map(|event| (event.job, event.position)).collect();
        let commands = events
            .into_iter()
            .map(|event| Command::Chain { event, token: new_lease_token() })
            .collect();
        let outcomes = self.turns.submit_all(commands).await;
        for ((job, position), outcome) in described.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => {}
                Err(refused @ (Refused::Unavailable | Refused::KeyReused)) => {
                    return Err(refused.into());
                }
                // An event that cannot be applied must not hold up all others for ever.
                Err(refused @ (Refused::Rejected(_) | Refused::Failed)) => {
                    tracing::warn!(%job, ?position, error = &refused as &dyn std::error::Error, "an event of the chain was not applied");
                    metrics::counter!("gristmill_chain_events_refused_total").increment(1);
                }
            }
        }
        Ok(())
    }

    /// After a loss of the database the specs of its jobs are in the content store still. They are found before the events
    /// are applied, so that every rule knows what the job is.
    async fn find_specs(
        &self,
        events: &[ChainEvent],
        specs: &mut HashMap<SpecHash, KnownSpec>,
    ) -> Result<(), ChainError> {
        let Some(content) = &self.content else { return Ok(()) };
        let lacking: HashSet<SpecHash> = events
            .iter()
            .filter_map(opened_spec)
            .filter(|hash| !specs.contains_key(hash))
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let content = Arc::clone(content);
        let looking = tokio::task::spawn_blocking(move || {
            lacking.into_iter().filter_map(|hash| content.find_spec(hash).ok().flatten()).collect()
        });
        let found: Vec<KnownSpec> =
            looking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        specs.extend(found.iter().map(|known| (known.hash, known.clone())));
        let (by, now) = (self.scheduler, self.clock.now());
        self.turns
            .write("found_specs", move |rows| {
                found.iter().try_for_each(|known| rows.put_spec(known, by, now))
            })
            .await?;
        Ok(())
    }

    /// Tells the rules what registered nodes may do now.
    async fn restate(&self, affected: Vec<NodeId>) -> Result<(), ChainError> {
        if affected.is_empty() {
            return Ok(());
        }
        let changed = store::read(&self.store, move |rows| {
            let mut changed = Vec::new();
            for id in &affected {
                let Some(node) = rows.node(*id)? else { continue };
                let standing = match store::standing(rows, *id)? {
                    Some((_, standing)) => standing,
                    None => continue,
                };
                if standing != node.standing {
                    changed.push(Command::NodeStanding { node: *id, standing });
                }
            }
            Ok(changed)
        })
        .await?;
        for outcome in self.turns.submit_all(changed).await {
            if let Err(refused @ Refused::Unavailable) = outcome {
                return Err(refused.into());
            }
        }
        Ok(())
    }
}

enum Meaning {
    Job(JobId, Fact),
    Enrolling(Enrolling),
    Nothing,
}

fn opened_spec(event: &ChainEvent) -> Option<SpecHash> {
    if let Fact::Opened { terms, .. } = &event.fact { Some(terms.spec_hash) } else { None }
}

/// The contract holds no amount beyond 128 bits.
fn amount(value: alloy::primitives::U256) -> Amount {
    Amount(u128::try_from(value).unwrap_or(u128::MAX))
}
