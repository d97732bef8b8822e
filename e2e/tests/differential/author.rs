//! Writes random histories. The author knows the model, so that most of what it has people do is nearly right: right but
//! for the caller, the second, the signature, or nothing at all.

mod scenes;

use gristmill_protocol::api::EscrowState;
use gristmill_protocol::ids::{JobId, NodeId, SpecHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::Order;
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::{Address, B256};
use gristmill_sim::model::{COIN, Call, Contract, Event, Revert, Slot};
use gristmill_sim::random::Random;

use crate::cast::Cast;

const DAY: u64 = 86_400;
const BATCH_MAX: u64 = 4;
/// For so many steps, most are about nodes, approvals and balances, without which little succeeds.
const BEGINNING_STEPS: usize = 40;

/// What somebody does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Calls the contract.
    Call { call: Call, value: u128 },
    /// Calls a verb with a permit that the token does not take: the same as `plain`, the verb that takes none.
    CallWithBadPermit { call: Call, plain: Call },
    /// Allows the contract to take some of a token.
    Allow { token: Address, amount: u128 },
    /// Takes no coin any more, or takes it again.
    RefuseCoin { refuses: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The time of the block, unix seconds.
    pub(crate) at: u64,
    pub(crate) caller: Address,
    pub(crate) act: Act,
}

/// Who acts, and how.
type Scene = (Address, Act);
type Play<'a> = fn(&mut Author<'a>) -> Scene;

/// An order that was signed, to be used again.
#[derive(Clone)]
struct Signed {
    terms: Vec<Terms>,
    order: Order,
    signature: Vec<u8>,
}

pub(crate) struct Author<'a> {
    cast: &'a Cast,
    random: Random,
    model: Contract,
    now: u64,
    jobs: Vec<(JobId, Terms)>,
    orders: Vec<Signed>,
    signatures: Vec<CompactSignature>,
    salt: u64,
    past: Vec<Scene>,
}

/// Writes the history of a seed.
pub(crate) fn write(cast: &Cast, seed: u64, start: u64, steps: usize) -> Vec<Step> {
    let mut author = Author {
        cast,
        random: Random::new(seed),
        model: cast.model(),
        now: start,
        jobs: Vec::new(),
        orders: Vec::new(),
        signatures: Vec::new(),
        salt: 0,
        past: Vec::new(),
    };
    (0..steps).map(|_| author.step()).collect()
}

/// Does to the model what the step does to the world.
pub(crate) fn apply(model: &mut Contract, step: &Step) -> Result<Vec<Event>, Revert> {
    match &step.act {
        Act::Call { call, value } => model.execute(step.caller, call, *value, step.at),
        Act::CallWithBadPermit { plain, .. } => model.execute(step.caller, plain, 0, step.at),
        Act::Allow { token, amount } => {
            model.allow(step.caller, *token, *amount);
            Ok(Vec::new())
        }
        Act::RefuseCoin { refuses } => {
            model.set_refusing(step.caller, COIN, *refuses);
            Ok(Vec::new())
        }
    }
}

impl<'a> Author<'a> {
    fn step(&mut self) -> Step {
        self.now += match self.random.below(10) {
            0..3 => 0,
            3..9 => self.random.between(1, 20),
            _ => self.random.between(20, 300),
        };
        let (caller, act) = self.scene();
        let step = Step { at: self.now, caller, act };
        // What is refused changes nothing, for the author as for everybody.
        apply(&mut self.model, &step).ok();
        self.past.push((caller, step.act.clone()));
        step
    }

    fn scene(&mut self) -> Scene {
        if self.random.percent(3) && !self.past.is_empty() {
            return self.past[self.random.index(self.past.len())].clone();
        }
        // A call-in is over soon.
        if self.random.percent(25)
            && self.jobs.iter().any(|(job, _)| self.model.slot(*job).called_in)
        {
            let plays: [Play<'a>; 3] = [Self::call_in, Self::renew, Self::lapse];
            return self.pick(&plays)(self);
        }
        let beginning = self.past.len() < BEGINNING_STEPS && self.random.percent(80);
        let repertoire =
            if beginning { Self::BEGINNING.as_slice() } else { Self::REPERTOIRE.as_slice() };
        let sum = repertoire.iter().map(|(weight, _, _)| weight).sum();
        let mut draw = self.random.below(sum);
        let (_, mut states, mut scene) = repertoire[0];
        for (weight, needed, candidate) in repertoire {
            if draw < *weight {
                (states, scene) = (*needed, *candidate);
                break;
            }
            draw -= weight;
        }
        // Where there is no job for it, the scene is mostly one that brings a job nearer to it.
        while !states.is_empty() && !self.has_job(states) && self.random.percent(95) {
            (states, scene) = self.before(states);
        }
        scene(self)
    }

    fn has_job(&self, states: &[EscrowState]) -> bool {
        self.jobs.iter().any(|(job, terms)| {
            let slot = self.model.slot(*job);
            states.contains(&slot.state) && self.is_live(terms, slot)
        })
    }

    /// A scene that leads to the first of these states, and what it needs.
    fn before(&mut self, states: &[EscrowState]) -> (&'static [EscrowState], Play<'a>) {
        match states[0] {
            EscrowState::Disputed => (scenes::DISPUTABLE, Self::dispute),
            EscrowState::Held => {
                let plays: [Play<'a>; 2] = [Self::settle, Self::publish];
                (scenes::ASSIGNED, self.pick(&plays))
            }
            EscrowState::Assigned => {
                let plays: [Play<'a>; 3] =
                    [Self::assign_with_terms, Self::assign, Self::assign_many];
                (scenes::OPEN, self.pick(&plays))
            }
            EscrowState::None
            | EscrowState::Open
            | EscrowState::Published
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => {
                let plays: [Play<'a>; 2] = [Self::open, Self::open_many];
                (&[], self.pick(&plays))
            }
        }
    }

    // Chance.

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.index(from.len())]
    }

    fn token(&mut self) -> Address {
        self.pick(&self.cast.tokens)
    }

    fn anybody(&mut self) -> Address {
        self.pick(&self.cast.everybody())
    }

    /// Mostly who should do it.
    fn caller(&mut self, right: Address) -> Address {
        if self.random.percent(7) { self.anybody() } else { right }
    }

    /// One of the jobs in these states, mostly one whose time is not over; now and then any, or one that nobody has opened.
    fn job(&mut self, states: &[EscrowState]) -> (Terms, Slot) {
        let (any, live) = (self.random.percent(6), self.random.percent(90));
        let slots = self.jobs.iter().map(|(job, terms)| (*terms, self.model.slot(*job)));
        let fits = |(_, slot): &(Terms, Slot)| any || states.contains(&slot.state);
        let fitting: Vec<(Terms, Slot)> = slots.filter(fits).collect();
        let lives = |(terms, slot): &&(Terms, Slot)| live && self.is_live(terms, *slot);
        let living: Vec<(Terms, Slot)> = fitting.iter().filter(lives).copied().collect();
        let among = if living.is_empty() { fitting } else { living };
        match among.len() {
            0 => (self.terms(None), Slot::default()),
            len => among[self.random.index(len)],
        }
    }

    /// Whether there is still time to go on with the job.
    fn is_live(&self, terms: &Terms, slot: Slot) -> bool {
        let end = match slot.state {
            EscrowState::None | EscrowState::Open => terms.deadline,
            EscrowState::Assigned => slot.lease_end(terms).min(terms.deadline),
            EscrowState::Held
            | EscrowState::Published
            | EscrowState::Disputed
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => slot.window_end(terms).unwrap_or(u64::MAX),
        };
        self.now <= end
    }

    fn slot(&self, terms: &Terms) -> Slot {
        self.model.slot(terms.id(&self.cast.domain))
    }

    /// Often goes to where something ends: the second before, the last one that counts, or the one after it.
    fn meet(&mut self, end: u64, chance: u64) {
        if self.random.percent(chance) {
            let at = end + self.random.below(3);
            self.now = self.now.max(at.saturating_sub(1));
        }
    }

    fn value(&mut self, token: Address, amount: u128) -> u128 {
        let right = if token == COIN { amount } else { 0 };
        match self.random.below(40) {
            0 => right + 1,
            1 => right.saturating_sub(1),
            _ => right,
        }
    }

    /// A call that takes no coin, and sometimes gets some.
    fn plain(&mut self, caller: Address, call: Call) -> Scene {
        let value = u128::from(self.random.percent(1) && self.model.wallet(caller, COIN) > 0);
        (caller, Act::Call { call, value })
    }

    /// Mostly the node's signature.
    fn sign(&mut self, node: NodeId, message: Message) -> CompactSignature {
        let signature = match self.random.below(40) {
            0 => {
                let other = self.anybody();
                self.cast.sign(other, &message)
            }
            1 if !self.signatures.is_empty() => self.pick(&self.signatures.clone()),
            2 => CompactSignature(std::array::from_fn(|_| self.random.below(256) as u8)),
            _ if self.cast.nodes.contains(&node) => self.cast.sign(node.0, &message),
            _ => CompactSignature([0; 64]),
        };
        self.signatures.push(signature);
        signature
    }

    /// Mostly the next attempt.
    fn next_attempt(&mut self, slot: Slot) -> u16 {
        match self.random.below(24) {
            0 => slot.attempt,
            1 => slot.attempt + 2,
            _ => slot.attempt + 1,
        }
    }

    /// Mostly a node that may have the job.
    fn node_for(&mut self, terms: &Terms) -> NodeId {
        let Terms { scheduler, token, bond, .. } = *terms;
        let fitting = |node: &&NodeId| {
            let known = self.model.enrolment(**node).filter(|known| !known.revoked);
            known.is_some_and(|known| {
                let limit = self.model.bond_limit(known.provider, scheduler, token);
                self.model.is_approved(known.provider, scheduler)
                    && limit.used + bond.0 <= limit.limit
                    && bond.0 <= self.model.balance(known.provider, token)
            })
        };
        let nodes: Vec<NodeId> = self.cast.nodes.iter().filter(fitting).copied().collect();
        if nodes.is_empty() || self.random.percent(7) {
            self.pick(&self.cast.nodes)
        } else {
            self.pick(&nodes)
        }
    }

    // Terms.

    /// Terms of a new job, a fifth of them with a value at the edge of what is allowed, or beyond.
    fn terms(&mut self, of: Option<(Address, Address)>) -> Terms {
        let (submitter, token) =
            of.unwrap_or_else(|| (self.pick(&self.cast.submitters), self.token()));
        self.salt += 1;
        let bounty = u128::from(self.random.between(1, 2000));
        let fee = match self.random.below(10) {
            0..3 => 0,
            3 => bounty,
            _ => bounty / 10,
        };
        let bond = if self.random.percent(45) { 0 } else { self.random.between(1, 400) };
        let dispute_bond = if self.random.percent(30) { 0 } else { self.random.between(1, 200) };
        let grace = self.random.between(60, 90);
        let lease = grace * 4 + self.pick(&[0, 300, 5000, 50_000]);
        let mut terms = Terms {
            submitter,
            scheduler: self.cast.schedulers[usize::from(self.random.percent(20))],
            arbiter: self.pick(&self.cast.arbiters),
            token,
            bounty: Amount(bounty),
            fee: Amount(fee),
            bond: Amount(bond.into()),
            dispute_bond: Amount(dispute_bond.into()),
            deadline: self.now + self.pick(&[300, 3000, 30_000, 300_000, 3_000_000, 3_000_000]),
            lease_seconds: seconds(lease),
            grace_seconds: seconds(grace),
            attempt_seconds: seconds(lease + self.pick(&[0, 50, 1000, 100_000])),
            hold_seconds: self.pick(&[0, 0, 0, 100, 4000, 100_000]),
            challenge_window: self.pick(&[3600, 5000, 100_000]),
            ruling_seconds: self.pick(&[3600, 20_000]),
            spec_hash: SpecHash(B256::repeat_byte(7)),
            salt: B256::from(alloy::primitives::U256::from(self.salt)),
        };
        if self.random.percent(15) {
            self.spoil(&mut terms);
        }
        self.jobs.push((terms.id(&self.cast.domain), terms));
        terms
    }

    /// Puts one value to the edge, or beyond it.
    fn spoil(&mut self, terms: &mut Terms) {
        const MONTH: u64 = 30 * DAY;
        let (lease, grace) = (u64::from(terms.lease_seconds), u64::from(terms.grace_seconds));
        match self.random.below(12) {
            0 => terms.scheduler = Address::ZERO,
            1 => terms.arbiter = Address::ZERO,
            2 => terms.bounty = Amount(0),
            3 => terms.fee = Amount(terms.bounty.0 + 1),
            4 => terms.arbiter = self.pick(&[terms.submitter, terms.scheduler]),
            5 => {
                let year = self.now + 365 * DAY;
                terms.deadline = self.pick(&[self.now, self.now - 1, year, year + 1]);
            }
            6 => {
                let quarter = MONTH / 4;
                terms.grace_seconds = seconds(self.pick(&[59, 60, quarter, quarter + 1]));
                terms.lease_seconds = seconds(MONTH);
                terms.attempt_seconds = u32::MAX;
            }
            7 => {
                terms.lease_seconds = seconds(self.pick(&[grace * 4 - 1, MONTH, MONTH + 1]));
                terms.attempt_seconds = u32::MAX;
            }
            8 => terms.attempt_seconds = seconds(self.pick(&[lease - 1, lease])),
            9 => terms.hold_seconds = seconds(self.pick(&[MONTH, MONTH + 1])),
            10 => terms.challenge_window = seconds(self.pick(&[3599, MONTH, MONTH + 1])),
            _ => terms.ruling_seconds = seconds(self.pick(&[3599, MONTH, MONTH + 1])),
        }
    }
}

fn seconds(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The 64 bytes of EIP-2098 for the 65 of a signature.
fn compact(signature: &[u8]) -> Vec<u8> {
    let mut bytes = signature[..64].to_vec();
    bytes[32] |= (signature[64] - 27) << 7;
    bytes
}
