//! The ledger: what the contract's event log adds up to, for each unfinished job and for each token.
//!
//! A pure fold. Of a job of this scheduler it keeps the terms, so that every step and every payment can be compared with
//! what was due; of a stranger's job only what its money needs. What has ended is handed out and forgotten, so the ledger
//! is as large as what is under way, not as the past.

use std::collections::BTreeMap;
use std::fmt;

use alloy::primitives::U256;
use gristmill_protocol::Address;
use gristmill_protocol::api::{EscrowState, Ruling};
use gristmill_protocol::contracts::JobMarket::JobMarketEvents;
use gristmill_protocol::contracts::ruling;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::terms::Terms;

/// Unfinished jobs and tokens that are kept. Each costs whoever makes it a transaction.
pub(crate) const ENTRIES_MAX: usize = 1_000_000;

/// What events add up to.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    scheduler: Address,
    jobs: BTreeMap<JobId, Entry>,
    balances: BTreeMap<Address, Flow>,
    /// Jobs of this scheduler that ended, by how.
    pub(crate) paid: u64,
    pub(crate) refunded: u64,
}

/// What became of the balances in one token: what their owners were given, and what was taken from them.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    given: U256,
    taken: U256,
}

/// An unfinished job.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Of a job of this scheduler only.
    pub(crate) terms: Option<Box<Terms>>,
    token: Address,
    bounty: u128,
    bond: u128,
    dispute_bond: u128,
    pub(crate) pool: u128,
    /// How often it has been assigned.
    pub(crate) attempt: AttemptNumber,
    /// The newest attempt whose result the scheduler has accepted.
    pub(crate) settled: Option<AttemptNumber>,
    pub(crate) phase: Phase,
}

/// Where an unfinished job stands. Blocks stand for their times, which are asked for only where they are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    Open,
    Assigned {
        holder: Holder,
        block: u64,
        /// From the newest renewal or call-in; before the first it follows from the block.
        lease_end_s: Option<u64>,
        called_in: bool,
    },
    Held {
        holder: Holder,
        block: u64,
    },
    Published {
        holder: Holder,
        block: u64,
    },
    Disputed {
        holder: Holder,
        until_s: u64,
        by_scheduler: bool,
    },
}

/// Who has a job, or delivered it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Holder {
    pub(crate) node: NodeId,
    pub(crate) provider: Address,
}

/// What a step of the fold has to say.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// A job of this scheduler has ended.
    Ended(Box<Ended>),
    /// The contract cannot have said this now.
    Odd { job: JobId, what: String },
}

/// A job of this scheduler at its end.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) job: JobId,
    /// As it was right before.
    pub(crate) entry: Entry,
    pub(crate) end: End,
}

/// How a job ended, in the words of its last event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Paid { provider: Address, amount: Amount, fee: Amount },
    Refunded { amount: Amount },
    Cancelled { amount: Amount },
}

impl End {
    pub(crate) fn escrow(&self) -> EscrowState {
        match self {
            Self::Paid { .. } => EscrowState::Paid,
            Self::Refunded { .. } => EscrowState::Refunded,
            Self::Cancelled { .. } => EscrowState::Cancelled,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paid { provider, amount, fee } => {
                write!(formatter, "paid {amount} to {provider}, with a fee of {fee}")
            }
            Self::Refunded { amount } => write!(formatter, "refunded {amount}"),
            Self::Cancelled { amount } => write!(formatter, "cancelled, returning {amount}"),
        }
    }
}

impl Phase {
    pub(crate) fn escrow(&self) -> EscrowState {
        match self {
            Self::Open => EscrowState::Open,
            Self::Assigned { .. } => EscrowState::Assigned,
            Self::Held { .. } => EscrowState::Held,
            Self::Published { .. } => EscrowState::Published,
            Self::Disputed { .. } => EscrowState::Disputed,
        }
    }

    pub(crate) fn holder(&self) -> Option<Holder> {
        match *self {
            Self::Open => None,
            Self::Assigned { holder, .. }
            | Self::Held { holder, .. }
            | Self::Published { holder, .. }
            | Self::Disputed { holder, .. } => Some(holder),
        }
    }

    /// The block whose time says when the phase ends, where no event says it.
    pub(crate) fn timed_by(&self) -> Option<u64> {
        match *self {
            Self::Open | Self::Assigned { lease_end_s: Some(_), .. } | Self::Disputed { .. } => {
                None
            }
            Self::Assigned { block, lease_end_s: None, .. }
            | Self::Held { block, .. }
            | Self::Published { block, .. } => Some(block),
        }
    }
}

impl Entry {
    fn new(terms: Terms, is_ours: bool) -> Self {
        Self {
            token: terms.token,
            bounty: terms.bounty.0,
            bond: terms.bond.0,
            dispute_bond: terms.dispute_bond.0,
            pool: 0,
            attempt: AttemptNumber(0),
            settled: None,
            phase: Phase::Open,
            terms: is_ours.then(|| Box::new(terms)),
        }
    }

    /// What the contract holds for the job: the bounty, the pool, and the bonds that are locked now.
    fn locked(&self) -> U256 {
        U256::from(self.bounty)
            + U256::from(self.pool)
            + U256::from(self.locked_bond())
            + U256::from(self.locked_dispute_bond())
    }

    /// The provider's bond is locked as long as somebody has the job, or delivered it.
    fn locked_bond(&self) -> u128 {
        if self.phase.holder().is_some() { self.bond } else { 0 }
    }

    fn locked_dispute_bond(&self) -> u128 {
        if matches!(self.phase, Phase::Disputed { .. }) { self.dispute_bond } else { 0 }
    }

    /// Whether the attempt that has the job now, or delivered it, is this one.
    fn is_at(&self, attempt: u16) -> bool {
        self.attempt.0 == attempt
    }

    /// Whether the scheduler has accepted the result that is there now.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled == Some(self.attempt) && self.phase.holder().is_some()
    }

    /// What its provider is due, and what the scheduler is: who loses a dispute pays for it.
    fn due(&self, terms: &Terms) -> (U256, Amount) {
        let pay = terms.bounty.0.saturating_sub(terms.fee.0);
        let more = U256::from(self.pool) + U256::from(self.locked_dispute_bond());
        (U256::from(pay) + more, if self.is_settled() { terms.fee } else { Amount::ZERO })
    }

    /// What the submitter is due, where nobody is paid. A dispute bond of the scheduler is not its.
    fn due_back(&self) -> U256 {
        let disputed = match self.phase {
            Phase::Disputed { by_scheduler: false, .. } => self.dispute_bond,
            Phase::Disputed { by_scheduler: true, .. }
            | Phase::Open
            | Phase::Assigned { .. }
            | Phase::Held { .. }
            | Phase::Published { .. } => 0,
        };
        U256::from(self.bounty)
            + U256::from(self.pool)
            + U256::from(self.locked_bond())
            + U256::from(disputed)
    }
}

/// The contract holds no amount beyond 128 bits.
fn amount(value: U256) -> Amount {
    Amount(u128::try_from(value).unwrap_or(u128::MAX))
}

impl Ledger {
    pub(crate) fn new(scheduler: Address) -> Self {
        Self { scheduler, jobs: BTreeMap::new(), balances: BTreeMap::new(), paid: 0, refunded: 0 }
    }

    /// Unfinished jobs of this scheduler.
    pub(crate) fn ours(&self) -> impl Iterator<Item = (JobId, &Entry, &Terms)> {
        self.jobs
            .iter()
            .filter_map(|(id, entry)| entry.terms.as_deref().map(|terms| (*id, entry, terms)))
    }

    pub(crate) fn has(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// How many jobs and tokens it keeps.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len() + self.balances.len()
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.jobs.len()
    }

    /// What the contract owes in each token: bounties, pools and bonds of unfinished jobs, and all balances. Nothing where
    /// more was taken from the balances than was ever given, which the contract does not do.
    pub(crate) fn owed(&self) -> BTreeMap<Address, Option<U256>> {
        let mut owed: BTreeMap<Address, Option<U256>> = self
            .balances
            .iter()
            .map(|(token, flow)| (*token, flow.given.checked_sub(flow.taken)))
            .collect();
        for entry in self.jobs.values() {
            let sum = owed.entry(entry.token).or_insert(Some(U256::ZERO));
            *sum = sum.map(|sum| sum + entry.locked());
        }
        owed
    }

    /// The tokens of unfinished jobs of this scheduler.
    pub(crate) fn our_tokens(&self) -> std::collections::BTreeSet<Address> {
        self.ours().map(|(_, entry, _)| entry.token).collect()
    }

    /// Takes in an event of this block. Events come in order, each once.
    pub(crate) fn apply(&mut self, block: u64, event: &JobMarketEvents) -> Vec<Note> {
        use JobMarketEvents as E;
        match event {
            E::Opened(e) => self.open(JobId(e.jobId), Terms::from(&e.terms)),
            E::Assigned(e) => self.step(JobId(e.jobId), "assigned", |entry| {
                let follows = entry.phase == Phase::Open
                    && entry.attempt.next() == Some(AttemptNumber(e.attempt));
                let holder = Holder { node: NodeId(e.node), provider: e.provider };
                entry.attempt = AttemptNumber(e.attempt);
                entry.phase =
                    Phase::Assigned { holder, block, lease_end_s: None, called_in: false };
                follows
            }),
            E::CalledIn(e) => self.step(JobId(e.jobId), "called in", |entry| {
                entry.is_at(e.attempt) && move_lease(&mut entry.phase, e.leaseEnd.to(), true)
            }),
            E::Renewed(e) => self.step(JobId(e.jobId), "renewed", |entry| {
                entry.is_at(e.attempt) && move_lease(&mut entry.phase, e.leaseEnd.to(), false)
            }),
            E::Released(e) => {
                self.step(JobId(e.jobId), "released", |entry| reopen(entry, e.attempt))
            }
            E::Lapsed(e) => self.step(JobId(e.jobId), "lapsed", |entry| reopen(entry, e.attempt)),
            E::Settled(e) => self.step(JobId(e.jobId), "settled", |entry| {
                let holder = match entry.phase {
                    Phase::Assigned { holder, .. } | Phase::Published { holder, .. } => holder,
                    Phase::Open | Phase::Held { .. } | Phase::Disputed { .. } => return false,
                };
                entry.settled = Some(AttemptNumber(e.attempt));
                entry.phase = Phase::Held { holder, block };
                entry.is_at(e.attempt) && holder.node.0 == e.node
            }),
            E::Published(e) => self.step(JobId(e.jobId), "published", |entry| {
                let Phase::Assigned { holder, .. } = entry.phase else { return false };
                entry.phase = Phase::Published { holder, block };
                entry.is_at(e.attempt) && holder.node.0 == e.node
            }),
            // Right after a lapse, or a ruling to reopen.
            E::Forfeited(e) => self.step(JobId(e.jobId), "to lose a bond", |entry| {
                entry.pool = entry.pool.saturating_add(amount(e.toPool).0);
                let lost = e.toSubmitter.saturating_add(e.toPool);
                entry.phase == Phase::Open && lost == U256::from(entry.bond)
            }),
            E::Disputed(e) => self.step(JobId(e.jobId), "disputed", |entry| {
                let holder = match entry.phase {
                    Phase::Held { holder, .. } | Phase::Published { holder, .. } => holder,
                    Phase::Open | Phase::Assigned { .. } | Phase::Disputed { .. } => return false,
                };
                let by_scheduler =
                    entry.terms.as_ref().is_some_and(|terms| e.by != terms.submitter);
                let until_s = e.until.to();
                entry.phase = Phase::Disputed { holder, until_s, by_scheduler };
                true
            }),
            // What a ruling to pay or to refund leads to is in the event after it; after one to reopen the job is open.
            E::Ruled(e) => self.step(JobId(e.jobId), "ruled on", |entry| {
                let is_disputed = matches!(entry.phase, Phase::Disputed { .. });
                if ruling(e.ruling) == Some(Ruling::Reopen) {
                    entry.phase = Phase::Open;
                }
                is_disputed
            }),
            E::Paid(e) => {
                let end = End::Paid {
                    provider: e.provider,
                    amount: amount(e.amount),
                    fee: amount(e.fee),
                };
                self.end(JobId(e.jobId), end)
            }
            E::Refunded(e) => self.end(JobId(e.jobId), End::Refunded { amount: amount(e.amount) }),
            // Terms that were never opened can be forbidden: nothing moves.
            E::Cancelled(e) if e.amount.is_zero() && !self.has(JobId(e.jobId)) => Vec::new(),
            E::Cancelled(e) => {
                self.end(JobId(e.jobId), End::Cancelled { amount: amount(e.amount) })
            }
            E::Deposited(e) => self.flow(e.token, |flow| &mut flow.given, e.amount),
            E::Credited(e) => self.flow(e.token, |flow| &mut flow.given, e.amount),
            E::Debited(e) => self.flow(e.token, |flow| &mut flow.taken, e.amount),
            E::Withdrawn(e) => self.flow(e.token, |flow| &mut flow.taken, e.amount),
            E::Skipped(_)
            | E::EpochRaised(_)
            | E::Enrolled(_)
            | E::Revoked(_)
            | E::SchedulerApproved(_)
            | E::SchedulerDisapproved(_) => Vec::new(),
        }
    }

    fn open(&mut self, job: JobId, terms: Terms) -> Vec<Note> {
        let entry = Entry::new(terms, terms.scheduler == self.scheduler);
        match self.jobs.insert(job, entry) {
            None => Vec::new(),
            Some(_) => vec![Note::Odd { job, what: "it is opened a second time".into() }],
        }
    }

    /// A step that is not the last. `take` makes it, and says whether the contract could make it.
    fn step(&mut self, job: JobId, verb: &str, take: impl FnOnce(&mut Entry) -> bool) -> Vec<Note> {
        let Some(entry) = self.jobs.get_mut(&job) else {
            return vec![unknown(job, verb)];
        };
        let before = entry.phase;
        if take(entry) {
            return Vec::new();
        }
        let what = format!(
            "it is {verb}, though by the events before that it is {} in attempt {}",
            word(before.escrow()),
            entry.attempt
        );
        vec![Note::Odd { job, what }]
    }

    fn end(&mut self, job: JobId, end: End) -> Vec<Note> {
        let Some(entry) = self.jobs.remove(&job) else {
            return vec![unknown(job, word(end.escrow()))];
        };
        let mut notes = Vec::new();
        let could = match (&end, &entry.phase) {
            (
                End::Paid { .. },
                Phase::Held { .. } | Phase::Published { .. } | Phase::Disputed { .. },
            )
            | (
                End::Refunded { .. },
                Phase::Open | Phase::Assigned { .. } | Phase::Disputed { .. },
            )
            | (End::Cancelled { .. }, Phase::Open) => true,
            (End::Paid { .. }, Phase::Open | Phase::Assigned { .. })
            | (End::Refunded { .. }, Phase::Held { .. } | Phase::Published { .. })
            | (
                End::Cancelled { .. },
                Phase::Assigned { .. }
                | Phase::Held { .. }
                | Phase::Published { .. }
                | Phase::Disputed { .. },
            ) => false,
        };
        if !could {
            let what = format!(
                "it is {}, though by the events before that it is {}",
                word(end.escrow()),
                word(entry.phase.escrow())
            );
            notes.push(Note::Odd { job, what });
        }
        if entry.terms.is_none() {
            return notes;
        }
        match end {
            End::Paid { .. } => self.paid += 1,
            End::Refunded { .. } => self.refunded += 1,
            End::Cancelled { .. } => {}
        }
        notes.push(Note::Ended(Box::new(Ended { job, entry, end })));
        notes
    }

    fn flow(
        &mut self,
        token: Address,
        side: impl FnOnce(&mut Flow) -> &mut U256,
        amount: U256,
    ) -> Vec<Note> {
        let sum = side(self.balances.entry(token).or_default());
        *sum = sum.saturating_add(amount);
        Vec::new()
    }
}

impl Ended {
    /// What was due instead, if it was something else.
    pub(crate) fn not_due(&self) -> Option<String> {
        let terms = self.entry.terms.as_deref()?;
        let back = self.entry.due_back();
        let (is_due, due) = match self.end {
            End::Paid { provider, amount, fee } => {
                let holder = self.entry.phase.holder().map(|holder| holder.provider);
                let (pay, fee_due) = self.entry.due(terms);
                let due = format!(
                    "{pay} were due to {}, with a fee of {fee_due}",
                    holder.map_or("nobody".to_owned(), |provider| provider.to_string())
                );
                (holder == Some(provider) && U256::from(amount.0) == pay && fee == fee_due, due)
            }
            End::Refunded { amount } | End::Cancelled { amount } => {
                (U256::from(amount.0) == back, format!("{back} were due to the submitter"))
            }
        };
        (!is_due).then(|| format!("it was {}, but {due}", self.end))
    }
}

/// The state in one word of the API.
pub(crate) fn word(escrow: EscrowState) -> &'static str {
    match escrow {
        EscrowState::None => "not opened",
        EscrowState::Open => "open",
        EscrowState::Assigned => "assigned",
        EscrowState::Held => "held",
        EscrowState::Published => "published",
        EscrowState::Disputed => "disputed",
        EscrowState::Paid => "paid",
        EscrowState::Refunded => "refunded",
        EscrowState::Cancelled => "cancelled",
    }
}

fn unknown(job: JobId, verb: &str) -> Note {
    let what = format!("it is {verb}, though the log has not opened it, or has ended it before");
    Note::Odd { job, what }
}

fn move_lease(phase: &mut Phase, end_s: u64, is_called_in: bool) -> bool {
    match phase {
        Phase::Assigned { lease_end_s, called_in, .. } => {
            (*lease_end_s, *called_in) = (Some(end_s), is_called_in);
            true
        }
        Phase::Open | Phase::Held { .. } | Phase::Published { .. } | Phase::Disputed { .. } => {
            false
        }
    }
}

fn reopen(entry: &mut Entry, attempt: u16) -> bool {
    let follows = matches!(entry.phase, Phase::Assigned { .. }) && entry.is_at(attempt);
    entry.phase = Phase::Open;
    follows
}
