//! The contract as its specification says it: maps, and one function a verb. Obvious rather than cheap; what the real
//! contract does to any call in any state, this says beforehand, to the last unit of every account.
//!
//! It knows nothing of gas, of re-entering receivers and of EIP-1271. Amounts are those that exist: all that was ever
//! [`fund`](Contract::fund)ed fits into 128 bits.

mod balances;
mod call;
mod disputes;
mod event;
mod jobs;
mod nodes;
mod submitters;

use std::collections::{BTreeMap, BTreeSet};

use gristmill_protocol::Address;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::order::Order;
use gristmill_protocol::signing::{CompactSignature, Domain, Message};
use gristmill_protocol::terms::Terms;

pub use call::{Assignment, Call, Opening, Settlement, no_order};
pub use event::{Event, Revert};
pub use gristmill_protocol::api::Ruling;

/// The address of the native coin among tokens.
pub const COIN: Address = Address::ZERO;

/// What the contract stores of a job: what its view `job` returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    pub state: EscrowState,
    /// Who holds, or delivered, the job; zero where there is none.
    pub node: NodeId,
    /// Assigned: the last renewal, call-in or assignment. Otherwise when the state began.
    pub at: u64,
    /// When the node's attempt began; zero where there is none.
    pub assigned_at: u64,
    pub attempt: u16,
    /// How many bonds have gone into the job's pool, by half each.
    pub forfeits: u8,
    pub called_in: bool,
    pub settled: bool,
    pub disputed_by_scheduler: bool,
}

/// Whose node it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Enrolment {
    pub provider: Address,
    pub revoked: bool,
}

/// How much of a provider's balance a scheduler may lock, and has locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BondLimit {
    pub limit: u128,
    pub used: u128,
}

/// How job ids and signatures are made. The real ones, or cheap stand-ins where nobody tries to break them.
#[derive(Clone, Copy)]
pub struct Keys {
    pub domain: Domain,
    pub job_id: fn(&Domain, &Terms) -> JobId,
    /// Who signed the message.
    pub signer: fn(&Domain, &Message, &CompactSignature) -> Option<Address>,
    /// Whether the address has signed the order.
    pub has_ordered: fn(&Domain, Address, &Order, &[u8]) -> bool,
}

impl Keys {
    /// EIP-712 and secp256k1.
    #[must_use]
    pub fn real(domain: Domain) -> Self {
        Self {
            domain,
            job_id: |domain, terms| terms.id(domain),
            signer: |domain, message, signature| domain.signer(message, signature),
            has_ordered: |domain, owner, order, signature| {
                domain.has_ordered(owner, order, signature)
            },
        }
    }
}

/// A way in which the contract can be wrong, to see whether anybody notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// A job that was paid can be settled again, with money of others.
    PaysTwice,
    /// The provider of another node is paid.
    PaysAnother,
    /// A lease that runs can be ended by an assignment.
    PushesOut,
    /// A bond comes back at a release, but the provider's limit does not.
    KeepsLimit,
    /// A provider that released its job loses its bond.
    PunishesRelease,
    /// A forfeited bond is credited to the submitter, and put into the pool as a whole too.
    DoublesForfeit,
    /// A bond is not locked.
    ForgetsBond,
    /// The bond of a provider that never delivered stays in the contract at a refund.
    StrandsBond,
    /// The pool stays in the contract when the job is paid.
    StrandsPool,
    /// An order of an older epoch still opens.
    HonoursRevoked,
    /// A job that was opened and has ended can be opened again.
    Reopens,
    /// What an order opens is not taken from the submitter's balance.
    OpensForFree,
    /// An acceptance is not looked at.
    SkipsAcceptance,
    /// When the arbiter is silent, the dispute bond goes back to whoever disputed.
    ReturnsDisputeBond,
    /// After a ruling to refund, the provider keeps its bond and the submitter gets it.
    RefundsBondTwice,
    /// Anybody may rule.
    AnyoneRules,
    /// The fee is paid to the scheduler although it never settled.
    PaysUnearnedFee,
    /// A payment that is refused vanishes.
    LosesRefused,
    /// What was settled can be claimed before the hold is over.
    SkipsHold,
    /// Withdrawals do not lower the balance.
    WithdrawsTwice,
    /// The submitter can take back a job that a node holds.
    CancelsAssigned,
    /// A refund is possible before the deadline.
    RefundsEarly,
}

/// The contract, the tokens that it moves, and what everybody has of them.
#[derive(Clone)]
pub struct Contract {
    pub keys: Keys,
    pub flaw: Option<Flaw>,
    jobs: BTreeMap<JobId, Slot>,
    /// The terms of every job that was opened.
    terms: BTreeMap<JobId, Terms>,
    /// What each owner has inside of the contract, by token.
    balances: BTreeMap<(Address, Address), u128>,
    /// What each owner has outside of it.
    wallets: BTreeMap<(Address, Address), u128>,
    /// What the contract itself has of each token.
    holdings: BTreeMap<Address, u128>,
    /// What an owner lets the contract take of a token.
    allowances: BTreeMap<(Address, Address), u128>,
    /// Who cannot be paid in which token: payments to it fail.
    refusing: BTreeSet<(Address, Address)>,
    epochs: BTreeMap<Address, u32>,
    nodes: BTreeMap<NodeId, Enrolment>,
    approved: BTreeSet<(Address, Address)>,
    bond_limits: BTreeMap<(Address, Address, Address), BondLimit>,
}

/// What a call is about to do, while it may still revert.
struct Turn<'a> {
    contract: &'a mut Contract,
    caller: Address,
    value: u128,
    now: u64,
    events: Vec<Event>,
}

impl Contract {
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            flaw: None,
            jobs: BTreeMap::new(),
            terms: BTreeMap::new(),
            balances: BTreeMap::new(),
            wallets: BTreeMap::new(),
            holdings: BTreeMap::new(),
            allowances: BTreeMap::new(),
            refusing: BTreeSet::new(),
            epochs: BTreeMap::new(),
            nodes: BTreeMap::new(),
            approved: BTreeSet::new(),
            bond_limits: BTreeMap::new(),
        }
    }

    /// Does what `caller` asks in a block of the time `now` (unix seconds), or nothing. `value` is the native coin that
    /// is sent with the call.
    pub fn execute(
        &mut self,
        caller: Address,
        call: &Call,
        value: u128,
        now: u64,
    ) -> Result<Vec<Event>, Revert> {
        let (next, events) = self.after(caller, call, value, now)?;
        *self = next;
        Ok(events)
    }

    /// The same, leaving this contract as it is: the contract afterwards, and what it said.
    pub fn after(
        &self,
        caller: Address,
        call: &Call,
        value: u128,
        now: u64,
    ) -> Result<(Self, Vec<Event>), Revert> {
        if value > 0 && !call.is_payable() {
            return Err(Revert::NotPayable);
        }
        let mut next = self.clone();
        if value > 0 {
            next.move_in(caller, COIN, value).ok_or(Revert::NotEnoughCoin)?;
        }
        let mut turn = Turn { contract: &mut next, caller, value, now, events: Vec::new() };
        turn.run(call)?;
        let events = turn.events;
        Ok((next, events))
    }

    // Set-up: what happens in tokens and wallets, outside of the contract.

    /// Gives an owner something of a token.
    pub fn fund(&mut self, owner: Address, token: Address, amount: u128) {
        *self.wallets.entry((owner, token)).or_default() += amount;
    }

    /// ERC-20 `approve`: what the contract may take from then on.
    pub fn allow(&mut self, owner: Address, token: Address, amount: u128) {
        self.allowances.insert((owner, token), amount);
    }

    /// From now on payments of the token to this owner fail, or work again.
    pub fn set_refusing(&mut self, owner: Address, token: Address, refuses: bool) {
        if refuses {
            self.refusing.insert((owner, token));
        } else {
            self.refusing.remove(&(owner, token));
        }
    }

    // Views.

    #[must_use]
    pub fn slot(&self, job: JobId) -> Slot {
        self.jobs.get(&job).copied().unwrap_or_default()
    }

    /// All jobs that the contract has a word of.
    pub fn slots(&self) -> impl Iterator<Item = (JobId, Slot)> {
        self.jobs.iter().map(|(job, slot)| (*job, *slot))
    }

    /// The terms of a job that was opened.
    #[must_use]
    pub fn terms(&self, job: JobId) -> Option<&Terms> {
        self.terms.get(&job)
    }

    #[must_use]
    pub fn balance(&self, owner: Address, token: Address) -> u128 {
        self.balances.get(&(owner, token)).copied().unwrap_or(0)
    }

    /// All balances inside of the contract, by owner and token.
    pub fn balances(&self) -> impl Iterator<Item = (Address, Address, u128)> {
        self.balances.iter().map(|((owner, token), amount)| (*owner, *token, *amount))
    }

    /// What an owner has outside of the contract.
    #[must_use]
    pub fn wallet(&self, owner: Address, token: Address) -> u128 {
        self.wallets.get(&(owner, token)).copied().unwrap_or(0)
    }

    /// All that is outside of the contract, by owner and token.
    pub fn wallets(&self) -> impl Iterator<Item = (Address, Address, u128)> {
        self.wallets.iter().map(|((owner, token), amount)| (*owner, *token, *amount))
    }

    /// What an owner lets the contract take of a token.
    #[must_use]
    pub fn allowance(&self, owner: Address, token: Address) -> u128 {
        self.allowances.get(&(owner, token)).copied().unwrap_or(0)
    }

    /// What the contract itself has of the token.
    #[must_use]
    pub fn holding(&self, token: Address) -> u128 {
        self.holdings.get(&token).copied().unwrap_or(0)
    }

    #[must_use]
    pub fn epoch(&self, owner: Address) -> u32 {
        self.epochs.get(&owner).copied().unwrap_or(0)
    }

    #[must_use]
    pub fn enrolment(&self, node: NodeId) -> Option<Enrolment> {
        self.nodes.get(&node).copied()
    }

    #[must_use]
    pub fn is_approved(&self, provider: Address, scheduler: Address) -> bool {
        self.approved.contains(&(provider, scheduler))
    }

    #[must_use]
    pub fn bond_limit(&self, provider: Address, scheduler: Address, token: Address) -> BondLimit {
        self.bond_limits.get(&(provider, scheduler, token)).copied().unwrap_or_default()
    }

    /// All limits on bonds, by provider, scheduler and token.
    pub fn bond_limits(&self) -> impl Iterator<Item = ((Address, Address, Address), BondLimit)> {
        self.bond_limits.iter().map(|(key, limit)| (*key, *limit))
    }

    /// The last second of the lease of a job that is assigned; zero otherwise.
    #[must_use]
    pub fn lease_end(&self, job: JobId) -> u64 {
        let slot = self.slot(job);
        match self.terms.get(&job) {
            Some(terms) if slot.state == EscrowState::Assigned => slot.lease_end(terms),
            _ => 0,
        }
    }

    /// What is locked for the job: bounty, pool, bond and dispute bond.
    #[must_use]
    pub fn locked(&self, job: JobId) -> u128 {
        let Some(terms) = self.terms.get(&job) else { return 0 };
        let slot = self.slot(job);
        let bonds = match slot.state {
            EscrowState::Open => 0,
            EscrowState::Assigned | EscrowState::Held | EscrowState::Published => terms.bond.0,
            EscrowState::Disputed => terms.bond.0 + terms.dispute_bond.0,
            EscrowState::None
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => return 0,
        };
        terms.bounty.0 + slot.pool(terms) + bonds
    }
}

impl Slot {
    /// The last second of the lease of an assigned job.
    #[must_use]
    pub fn lease_end(&self, terms: &Terms) -> u64 {
        let part = if self.called_in { terms.grace_seconds } else { terms.lease_seconds };
        (self.at + u64::from(part)).min(self.assigned_at + u64::from(terms.attempt_seconds))
    }

    /// Until when a result can be disputed, or the arbiter can rule; `None` in other states.
    #[must_use]
    pub fn window_end(&self, terms: &Terms) -> Option<u64> {
        let window = match self.state {
            EscrowState::Held => terms.hold_seconds,
            EscrowState::Published => terms.challenge_window,
            EscrowState::Disputed => terms.ruling_seconds,
            EscrowState::None
            | EscrowState::Open
            | EscrowState::Assigned
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => return None,
        };
        Some(self.at + u64::from(window))
    }

    /// What of forfeited bonds waits for whoever completes the job.
    #[must_use]
    pub fn pool(&self, terms: &Terms) -> u128 {
        u128::from(self.forfeits) * (terms.bond.0 / 2)
    }

    /// The same attempt in another state.
    fn moved(self, state: EscrowState, at: u64) -> Self {
        Self { state, at, called_in: false, ..self }
    }

    /// Ended without payment, so without a node.
    fn closed(self, state: EscrowState, at: u64) -> Self {
        let Self { attempt, forfeits, .. } = self;
        Self { state, at, attempt, forfeits, ..Self::default() }
    }

    /// Nobody's job.
    fn opened(self, at: u64, forfeits: u8) -> Self {
        Self { forfeits, ..self.closed(EscrowState::Open, at) }
    }

    /// A new attempt.
    fn assigned(self, node: NodeId, attempt: u16, at: u64) -> Self {
        let Self { forfeits, .. } = self;
        Self {
            state: EscrowState::Assigned,
            node,
            at,
            assigned_at: at,
            attempt,
            forfeits,
            ..Self::default()
        }
    }
}
