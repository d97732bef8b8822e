//! The reconciler: contract, events and database must say the same of every job and of all money.
//!
//! It reads the contract's whole event log itself, up to the last block that the watcher has turned into commands, and
//! compares what it adds up to with the contract's own state at that block and with the database. A difference that a
//! second look confirms stops payouts until a person has looked: see [`crate::store::reconcile`].

use std::collections::{BTreeSet, HashMap, hash_map};
use std::sync::Arc;

use alloy::primitives::U256;
use alloy::rpc::types::Log;
use alloy::sol_types::SolEventInterface;
use futures_util::{StreamExt, TryStreamExt};
use gristmill_market::effect::Intent;
use gristmill_market::job::{Job, State};
use gristmill_protocol::Address;
use gristmill_protocol::api::{EscrowState, EventBody};
use gristmill_protocol::contracts::JobMarket::JobMarketEvents;
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;
use serde::{Serialize, Serializer};

use super::chain_rpc::{CallError, ChainRpc};
use crate::store::chain::BlockRef;
use crate::store::reconcile::{DIFFERENCES_MAX, Difference, DifferenceKind};
use crate::store::{self, Reads, Store, StoreError};
use crate::turn::Refused;

mod compare;
mod ledger;
pub mod rounds;

use compare::Slot;
use ledger::{ENTRIES_MAX, End, Ended, Entry, Ledger, Note, word};

/// Jobs that are read of the database at once.
const PAGE_JOBS: usize = 500;
/// Views of the contract that are asked for at once.
const VIEWS_AT_ONCE: usize = 8;
/// Tokens that nobody vouches for and whose balance is looked at all the same.
const STRANGE_TOKENS_MAX: usize = 64;

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the database cannot be read")]
    Store(#[from] StoreError),
    #[error("the database cannot be written: {0}")]
    Write(#[from] Refused),
    #[error("the database has read no block of the chain yet: run the scheduler first")]
    NothingRead,
    #[error(
        "the RPC endpoint has another block {number} than the database: it was reorganized, or serves another chain; try again"
    )]
    Moved { number: u64 },
    #[error("more than {ENTRIES_MAX} jobs and tokens are under way: that is more than is compared")]
    TooMany,
}

/// What a comparison came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The last block that the watcher had read: everything is compared as of then.
    pub block: u64,
    /// Unfinished jobs of this scheduler.
    pub jobs: u64,
    /// Jobs of this scheduler that were found to have ended in the part of the log that was read.
    pub ended: u64,
    /// Unfinished jobs of other schedulers on the same contract, of which only the money counts.
    pub jobs_of_others: u64,
    pub tokens: Vec<TokenLine>,
    /// What does not agree. Empty if all is well.
    pub differences: Vec<Difference>,
    /// How many more there were.
    pub left_out: u64,
    /// What is worth knowing and harms nobody.
    pub remarks: Vec<String>,
}

/// What the contract owes in one token, and what it has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TokenLine {
    /// Zero is the native coin.
    pub token: Address,
    #[serde(serialize_with = "decimal")]
    pub owed: U256,
    #[serde(serialize_with = "decimal")]
    pub held: U256,
}

fn decimal<S: Serializer>(amount: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

/// The log, folded up to a block.
pub struct Folded {
    at: BlockRef,
    ledger: Ledger,
}

/// Compares contract, events and database.
pub struct Reconciler {
    pub rpc: Arc<ChainRpc>,
    pub store: Arc<dyn Store>,
    pub deployment: Deployment,
    pub scheduler: Address,
    /// Blocks of one request for events.
    pub log_blocks_max: u64,
    /// Tokens that move only as asked. Of any other, a lack is reported and stops nothing: its own contract may lie.
    pub tokens: Vec<Address>,
}

/// What one look has found so far.
#[derive(Default)]
struct Findings {
    differences: Vec<Difference>,
    left_out: u64,
    remarks: Vec<String>,
    ended: u64,
}

impl Findings {
    fn add(&mut self, kind: DifferenceKind, job: Option<JobId>, detail: impl Into<String>) {
        let difference = Difference { kind, job, detail: detail.into() };
        if self.differences.contains(&difference) {
            return;
        }
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference);
        } else {
            self.left_out += 1;
        }
    }
}

/// An unfinished job of ours, and what the contract and the database say of it.
struct Trio {
    id: JobId,
    events: Slot,
    contract: Slot,
    mirror: Option<Job>,
}

impl Reconciler {
    /// Compares everything as of the block that the watcher has read last. `before` is a fold to go on from; without one
    /// the log is read from the contract's deployment on.
    pub async fn look(&self, before: Option<Folded>) -> Result<(Report, Folded), LookError> {
        let (cursor, paid, refunded) = store::read(&self.store, |rows| {
            let count = |escrow| rows.count_in_escrow(escrow);
            let (paid, refunded) = (count(EscrowState::Paid)?, count(EscrowState::Refunded)?);
            Ok((rows.chain_cursor()?, paid, refunded))
        })
        .await?;
        let cursor = cursor.ok_or(LookError::NothingRead)?;
        self.check_block(cursor).await?;
        let mut findings = Findings::default();
        let ledger = self.fold(before, cursor, &mut findings).await?;
        self.compare_jobs(&ledger, cursor.number, &mut findings).await?;
        self.find_unknown(&ledger, cursor.number, &mut findings).await?;
        for (escrow, stored, logged) in [
            (EscrowState::Paid, paid, ledger.paid),
            (EscrowState::Refunded, refunded, ledger.refunded),
        ] {
            if stored != logged {
                self.compare_ends(escrow, logged, cursor.number, &mut findings).await?;
            }
        }
        let tokens = self.compare_balances(&ledger, cursor.number, &mut findings).await?;
        // What was read while blocks are replaced could come from either history.
        self.check_block(cursor).await?;
        let jobs = ledger.ours().count() as u64;
        let report = Report {
            block: cursor.number,
            jobs,
            ended: findings.ended,
            jobs_of_others: ledger.unfinished() as u64 - jobs,
            tokens,
            differences: findings.differences,
            left_out: findings.left_out,
            remarks: findings.remarks,
        };
        Ok((report, Folded { at: cursor, ledger }))
    }

    async fn check_block(&self, block: BlockRef) -> Result<(), LookError> {
        match self.rpc.header_at(block.number).await? {
            Some(found) if found.block == block => Ok(()),
            Some(_) | None => Err(LookError::Moved { number: block.number }),
        }
    }

    /// Folds the log up to the cursor, and compares the jobs that end on the way.
    async fn fold(
        &self,
        before: Option<Folded>,
        cursor: BlockRef,
        findings: &mut Findings,
    ) -> Result<Ledger, LookError> {
        let (mut ledger, mut from) = match before {
            Some(Folded { at, ledger })
                if at.number <= cursor.number && self.check_block(at).await.is_ok() =>
            {
                (ledger, at.number + 1)
            }
            Some(_) | None => (Ledger::new(self.scheduler), self.deployment.block),
        };
        let mut span = self.log_blocks_max;
        while from <= cursor.number {
            let to = cursor.number.min(from.saturating_add(span - 1));
            let answer = match self.rpc.events(from, to).await {
                Err(error) if error.is_about_size() && to > from => {
                    span = (to - from).div_ceil(2);
                    continue;
                }
                answer => answer?,
            };
            // The last page belongs to the block of the cursor, and the cursor to the chain that is compared.
            let (block, logs) = answer.ok_or(LookError::Moved { number: to })?;
            if to == cursor.number && block != cursor {
                return Err(LookError::Moved { number: to });
            }
            let ended = take_in(&mut ledger, &logs, findings)?;
            self.compare_ended(ended, cursor.number, findings).await?;
            from = to + 1;
        }
        Ok(ledger)
    }

    /// Jobs that have ended: they were paid what was due, and the database knows it.
    async fn compare_ended(
        &self,
        ended: Vec<Ended>,
        until: u64,
        findings: &mut Findings,
    ) -> Result<(), LookError> {
        if ended.is_empty() {
            return Ok(());
        }
        findings.ended += ended.len() as u64;
        let ids: Vec<JobId> = ended.iter().map(|ended| ended.job).collect();
        let records = store::read(&self.store, move |rows| {
            ids.iter().map(|id| Record::read(rows, *id, until)).collect::<Result<Vec<_>, _>>()
        })
        .await?;
        for (ended, record) in ended.iter().zip(records) {
            let job = Some(ended.job);
            if let Some(what) = ended.not_due() {
                findings.add(DifferenceKind::Payment, job, what);
            }
            let Some(record) = record else {
                let what = format!("by the events it was {}; the database lacks it", ended.end);
                findings.add(DifferenceKind::JobMissing, job, what);
                continue;
            };
            if let Some(what) = record.contradicts(ended) {
                findings.add(
                    DifferenceKind::Payment,
                    job,
                    format!("by the events it was {}, and by the database {what}", ended.end),
                );
            }
            for intent in &record.done {
                if compare::was_without_effect(&intent.action, ended) {
                    findings.add(DifferenceKind::Intent, job, without_effect(intent));
                }
            }
        }
        Ok(())
    }

    /// Unfinished jobs: events, contract and database have them in the same state.
    async fn compare_jobs(
        &self,
        ledger: &Ledger,
        number: u64,
        findings: &mut Findings,
    ) -> Result<(), LookError> {
        let entries: Vec<(JobId, &Entry, &Terms)> = ledger.ours().collect();
        let mut times = HashMap::new();
        for page in entries.chunks(PAGE_JOBS) {
            for block in page.iter().filter_map(|(_, entry, _)| entry.phase.timed_by()) {
                if let hash_map::Entry::Vacant(unknown) = times.entry(block) {
                    let header = self.rpc.header_at(block).await?;
                    let header = header.ok_or(LookError::Moved { number: block })?;
                    unknown.insert(header.timestamp_s);
                }
            }
            let rpc = &self.rpc;
            let stored: Vec<_> =
                futures_util::stream::iter(page.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())
                    .map(|id| rpc.job_at(id, number))
                    .buffered(VIEWS_AT_ONCE)
                    .try_collect()
                    .await?;
            let ids: Vec<JobId> = page.iter().map(|(id, _, _)| *id).collect();
            let records: Vec<(Option<Job>, Vec<Intent>)> = store::read(&self.store, move |rows| {
                let read = |id: &JobId| Ok((rows.job(*id)?, rows.final_intents(*id, number)?));
                ids.iter().map(read).collect()
            })
            .await?;
            // Asked for last, so that no mirror that is right is ahead of it.
            let head = self.rpc.head().await?.block.number;
            for (((id, entry, terms), stored), (mirror, done)) in
                page.iter().zip(stored).zip(records)
            {
                let timed_at_s =
                    entry.phase.timed_by().and_then(|block| times.get(&block)).copied();
                let trio = Trio {
                    id: *id,
                    events: Slot::of_events(entry, terms, timed_at_s.unwrap_or(0)),
                    contract: Slot::of_contract(&stored, terms),
                    mirror,
                };
                compare_trio(&trio, number, head, findings);
                for intent in &done {
                    if compare::is_without_effect(&intent.action, entry) {
                        findings.add(DifferenceKind::Intent, Some(*id), without_effect(intent));
                    }
                }
            }
        }
        Ok(())
    }

    /// Bounties that the database has locked and the log does not.
    async fn find_unknown(
        &self,
        ledger: &Ledger,
        number: u64,
        findings: &mut Findings,
    ) -> Result<(), LookError> {
        for escrow in LOCKED {
            let mut after = None;
            loop {
                let page = self.page(escrow, after).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.id);
                for job in page {
                    // One that moved on since is compared the next time.
                    if job.escrow_at.block <= number && !ledger.has(job.id) {
                        let slot = Slot::of_database(&job);
                        let what = format!(
                            "the database has it {slot}, and by the events nothing is locked for it"
                        );
                        findings.add(DifferenceKind::JobUnknown, Some(job.id), what);
                    }
                }
            }
        }
        Ok(())
    }

    async fn page(&self, escrow: EscrowState, after: Option<JobId>) -> Result<Vec<Job>, LookError> {
        let page =
            store::read(&self.store, move |rows| rows.jobs_in_escrow(escrow, after, PAGE_JOBS));
        Ok(page.await?)
    }

    /// The database has another number of jobs that ended so than the log: finds out which are too many.
    async fn compare_ends(
        &self,
        escrow: EscrowState,
        logged: u64,
        number: u64,
        findings: &mut Findings,
    ) -> Result<(), LookError> {
        let mut ids = Vec::new();
        let mut after = None;
        loop {
            let page = self.page(escrow, after).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            ids.extend(page.iter().filter(|job| job.escrow_at.block <= number).map(|job| job.id));
        }
        if ids.len() as u64 == logged {
            return Ok(());
        }
        let (stored, before) = (ids.len(), findings.differences.len());
        let rpc = &self.rpc;
        let mut states = futures_util::stream::iter(ids)
            .map(|id| async move { Ok::<_, CallError>((id, rpc.job_at(id, number).await?.state)) })
            .buffered(VIEWS_AT_ONCE);
        while let Some((id, state)) = states.try_next().await? {
            if state != escrow {
                let what = format!(
                    "the database has it {}, and the contract {}",
                    word(escrow),
                    word(state)
                );
                findings.add(DifferenceKind::Payment, Some(id), what);
            }
        }
        if before == 0 && findings.differences.is_empty() {
            let what = format!(
                "the database has {stored} jobs that were {}, and the log {logged}",
                word(escrow)
            );
            findings.add(DifferenceKind::Payment, None, what);
        }
        Ok(())
    }

    /// The contract holds at least what it owes. More is a gift.
    async fn compare_balances(
        &self,
        ledger: &Ledger,
        number: u64,
        findings: &mut Findings,
    ) -> Result<Vec<TokenLine>, LookError> {
        let owed = ledger.owed();
        let mut tokens: BTreeSet<Address> = self.tokens.iter().copied().collect();
        tokens.insert(Address::ZERO);
        let vouched = tokens.clone();
        tokens.extend(
            ledger
                .our_tokens()
                .into_iter()
                .filter(|token| !vouched.contains(token))
                .take(STRANGE_TOKENS_MAX),
        );
        let mut lines = Vec::new();
        for token in tokens {
            let held = match self.rpc.held_at(token, number).await {
                Ok(held) => held,
                // A token that no longer answers is its own trouble; the native coin always does.
                Err(error) if !vouched.contains(&token) => {
                    let remark = format!("the token {token} does not tell its balance: {error}");
                    findings.remarks.push(remark);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let name =
                if token.is_zero() { "the native coin".into() } else { format!("token {token}") };
            let Some(owed) = owed.get(&token).copied().unwrap_or(Some(U256::ZERO)) else {
                let what = format!(
                    "by the events, more was taken from the balances in {name} than was ever given"
                );
                findings.add(DifferenceKind::Events, None, what);
                continue;
            };
            lines.push(TokenLine { token, owed, held });
            if held < owed {
                let lack = owed - held;
                if vouched.contains(&token) {
                    let what = format!("the contract lacks {lack} of {name}");
                    findings.add(DifferenceKind::Balance, None, what);
                } else {
                    findings.remarks.push(format!(
                        "the contract lacks {lack} of {name}, which is not in `chain.tokens`: it may be its own fault"
                    ));
                }
            } else if held > owed {
                let gift = held - owed;
                findings
                    .remarks
                    .push(format!("the contract holds {gift} of {name} that nobody owns"));
            }
        }
        Ok(lines)
    }
}

/// The states of the mirror in which the contract holds money for a job.
pub(super) const LOCKED: [EscrowState; 5] = [
    EscrowState::Open,
    EscrowState::Assigned,
    EscrowState::Held,
    EscrowState::Published,
    EscrowState::Disputed,
];

/// Takes events in; the jobs of ours that end with them.
fn take_in(
    ledger: &mut Ledger,
    logs: &[Log],
    findings: &mut Findings,
) -> Result<Vec<Ended>, LookError> {
    let mut ended = Vec::new();
    for log in logs {
        let block = log
            .block_number
            .ok_or(CallError::Inconsistent("an event of a mined block has no position"))?;
        let event = match JobMarketEvents::decode_log(&log.inner) {
            Ok(event) => event.data,
            Err(_) => {
                let what = format!("an event in block {block} is not in the contract's ABI");
                findings.add(DifferenceKind::Events, None, what);
                continue;
            }
        };
        for note in ledger.apply(block, &event) {
            match note {
                Note::Ended(end) => ended.push(*end),
                Note::Odd { job, what } => findings.add(DifferenceKind::Events, Some(job), what),
            }
        }
        if ledger.len() > ENTRIES_MAX {
            return Err(LookError::TooMany);
        }
    }
    Ok(ended)
}

fn compare_trio(trio: &Trio, number: u64, head: u64, findings: &mut Findings) {
    let (job, events) = (Some(trio.id), trio.events);
    if trio.contract != events {
        let what = format!("by the events it is {events}, and by the contract {}", trio.contract);
        findings.add(DifferenceKind::Contract, job, what);
    }
    let Some(mirror) = &trio.mirror else {
        let what = format!("by the events it is {events}; the database lacks it");
        findings.add(DifferenceKind::JobMissing, job, what);
        return;
    };
    // The watcher has gone on meanwhile. Nothing is ahead of the chain itself.
    if mirror.escrow_at.block > number && mirror.escrow_at.block <= head {
        return;
    }
    let slot = Slot::of_database(mirror);
    if slot != events.mirrored() {
        let what = format!("by the events it is {}, and by the database {slot}", events.mirrored());
        findings.add(DifferenceKind::Database, job, what);
    }
}

fn without_effect(intent: &Intent) -> String {
    format!(
        "`{}` counts as done ({}), and its effect is not on chain",
        intent.kind().as_str(),
        intent.subject()
    )
}

/// What the database has of a job that ended on chain.
struct Record {
    job: Job,
    /// The last entry of its history.
    last: Option<EventBody>,
    /// Whose node made the attempt that was paid.
    provider: Option<Address>,
    done: Vec<Intent>,
}

impl Record {
    fn read(rows: &dyn Reads, id: JobId, until: u64) -> Result<Option<Self>, StoreError> {
        let Some(job) = rows.job(id)? else { return Ok(None) };
        let last = rows.events(id, job.version.saturating_sub(1), 1)?.pop();
        let provider = match job.state {
            State::Settled { attempt } => {
                store::attempt(rows, id, attempt)?.map(|attempt| attempt.provider)
            }
            State::Funding
            | State::Queued { .. }
            | State::Assigned { .. }
            | State::CallingIn { .. }
            | State::Verifying { .. }
            | State::Published { .. }
            | State::Settling { .. }
            | State::Refunding { .. }
            | State::Refunded
            | State::Cancelled => None,
        };
        let done = rows.final_intents(id, until)?;
        Ok(Some(Self { job, last: last.map(|event| event.body), provider, done }))
    }

    /// What the database has instead of this end.
    fn contradicts(&self, ended: &Ended) -> Option<String> {
        if self.job.escrow.name() != ended.end.escrow() {
            return Some(Slot::of_database(&self.job).to_string());
        }
        match ended.end {
            End::Paid { provider, amount, fee } => {
                let recorded = EventBody::Settled { provider, amount, fee };
                if !matches!(self.job.state, State::Settled { .. }) {
                    Some(format!("{:?}", self.job.state))
                } else if self.provider.is_some_and(|known| known != provider) {
                    self.provider.map(|known| format!("its attempt is one of {known}"))
                } else if self.last.as_ref() != Some(&recorded) {
                    Some(format!("{:?}", self.last))
                } else {
                    None
                }
            }
            End::Refunded { amount } | End::Cancelled { amount } => {
                let recorded = EventBody::Refunded { amount };
                if self.job.state != State::Refunded {
                    Some(format!("{:?}", self.job.state))
                } else if self.last.as_ref() != Some(&recorded) {
                    Some(format!("{:?}", self.last))
                } else {
                    None
                }
            }
        }
    }
}
