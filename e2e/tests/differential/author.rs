//! Writes random histories. The author knows the model, so that most of what it has people do is nearly right: right but
//! for the caller, the second, the signature, or nothing at all.

use gristmill_protocol::api::{EscrowState, Ruling};
use gristmill_protocol::ids::{AttemptNumber, NodeId, ReceiptHash, SpecHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::{MultiProof, Order, OrderPath, OrderTree};
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::{Address, B256};
use gristmill_sim::model::{Assignment, COIN, Call, Contract, Opening, Settlement, Slot, no_order};
use gristmill_sim::random::Random;

use crate::cast::Cast;

const DAY: u64 = 86_400;
const BATCH_MAX: u64 = 4;

/// What somebody does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Calls the contract.
    Call { call: Call, value: u128 },
    /// Calls `openWithPermit` or `depositWithPermit` with a permit that the token does not take.
    CallWithBadPermit { call: Call },
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
    jobs: Vec<Terms>,
    orders: Vec<Signed>,
    signatures: Vec<CompactSignature>,
    salt: u64,
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
    };
    (0..steps).map(|_| author.step()).collect()
}

/// Does to the model what the step does to the world.
pub(crate) fn apply(
    model: &mut Contract,
    step: &Step,
) -> Result<Vec<gristmill_sim::model::Event>, gristmill_sim::model::Revert> {
    match &step.act {
        Act::Call { call, value } => model.execute(step.caller, call, *value, step.at),
        Act::CallWithBadPermit { call } => {
            // Without the permit it is the same as the verb that takes none.
            let call = match call {
                Call::OpenWithPermit { terms } => &Call::Open { terms: *terms },
                Call::DepositWithPermit { token, amount } => {
                    &Call::Deposit { token: *token, amount: *amount }
                }
                other => other,
            };
            model.execute(step.caller, call, 0, step.at)
        }
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

impl Author<'_> {
    fn step(&mut self) -> Step {
        self.now += match self.random.below(10) {
            0..3 => 0,
            3..8 => self.random.between(1, 20),
            _ => self.random.between(20, 300),
        };
        let (caller, act) = self.scene();
        let step = Step { at: self.now, caller, act };
        // What is refused changes nothing, for the author as for everybody.
        apply(&mut self.model, &step).ok();
        step
    }

    fn scene(&mut self) -> Scene {
        let scenes: [(u64, fn(&mut Self) -> Scene); 25] = [
            (7, Self::open),
            (9, Self::open_many),
            (3, Self::cancel),
            (2, Self::cancel_many),
            (1, Self::raise_epoch),
            (4, Self::refund),
            (8, Self::assign),
            (12, Self::assign_with_terms),
            (5, Self::assign_many),
            (6, Self::call_in),
            (5, Self::lapse),
            (8, Self::settle),
            (6, Self::settle_many),
            (7, Self::renew),
            (4, Self::release),
            (7, Self::publish),
            (6, Self::claim),
            (9, Self::dispute),
            (9, Self::rule),
            (8, Self::deposit),
            (3, Self::withdraw),
            (6, Self::enroll),
            (1, Self::revoke),
            (8, Self::approval),
            (7, Self::outside),
        ];
        let mut draw = self.random.below(scenes.iter().map(|(weight, _)| weight).sum());
        for (weight, scene) in scenes {
            if draw < weight {
                return scene(self);
            }
            draw -= weight;
        }
        self.deposit()
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

    /// One of the jobs in these states, if there is one; else any, or one that nobody has opened.
    fn job(&mut self, states: &[EscrowState]) -> (Terms, Slot) {
        let fitting: Vec<Terms> = if self.random.percent(6) {
            self.jobs.clone()
        } else {
            let fits = |terms: &&Terms| states.contains(&self.slot(terms).state);
            self.jobs.iter().filter(fits).copied().collect()
        };
        let terms = match fitting.len() {
            0 => self.terms(None),
            len => fitting[self.random.index(len)],
        };
        (terms, self.slot(&terms))
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
        let signature = match self.random.below(24) {
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

    /// Mostly a node that the scheduler may assign to.
    fn node_for(&mut self, scheduler: Address) -> NodeId {
        let fitting = |node: &&NodeId| {
            let known = self.model.enrolment(**node).filter(|known| !known.revoked);
            known.is_some_and(|known| self.model.is_approved(known.provider, scheduler))
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
        let bounty = u128::from(self.random.between(1, 3000));
        let fee = match self.random.below(10) {
            0..3 => 0,
            3 => bounty,
            _ => bounty / 10,
        };
        let bond = if self.random.percent(40) { 0 } else { self.random.between(1, 400) };
        let dispute_bond = if self.random.percent(30) { 0 } else { self.random.between(1, 200) };
        let grace = self.random.between(60, 90);
        let lease = grace * 4 + self.pick(&[0, 0, 7, 300]);
        let mut terms = Terms {
            submitter,
            scheduler: self.pick(&[0, 0, 1].map(|index| self.cast.schedulers[index])),
            arbiter: self.pick(&self.cast.arbiters),
            token,
            bounty: Amount(bounty),
            fee: Amount(fee),
            bond: Amount(bond.into()),
            dispute_bond: Amount(dispute_bond.into()),
            deadline: self.now + self.pick(&[300, 2000, 20_000, 200_000, 2_000_000]),
            lease_seconds: seconds(lease),
            grace_seconds: seconds(grace),
            attempt_seconds: seconds(lease + self.pick(&[0, 50, 1000, 100_000])),
            hold_seconds: self.pick(&[0, 0, 1, 100, 4000]),
            challenge_window: self.pick(&[3600, 3601, 5000]),
            ruling_seconds: self.pick(&[3600, 4000]),
            spec_hash: SpecHash(B256::repeat_byte(7)),
            salt: B256::from(alloy::primitives::U256::from(self.salt)),
        };
        if self.random.percent(15) {
            self.spoil(&mut terms);
        }
        self.jobs.push(terms);
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

    // Scenes: the submitter.

    fn open(&mut self) -> Scene {
        let terms = if self.random.percent(85) { self.terms(None) } else { self.job(&[]).0 };
        let caller = self.caller(terms.submitter);
        match self.random.below(10) {
            0..3 => self.plain(caller, Call::OpenWithPermit { terms }),
            3 => (caller, Act::CallWithBadPermit { call: Call::OpenWithPermit { terms } }),
            _ => {
                let value = self.value(terms.token, terms.bounty.0);
                (caller, Act::Call { call: Call::Open { terms }, value })
            }
        }
    }

    fn open_many(&mut self) -> Scene {
        let mut signed = match self.orders.len() {
            0 => self.sign_order(),
            len if self.random.percent(35) => self.orders[self.random.index(len)].clone(),
            _ => self.sign_order(),
        };
        let submitter = signed.terms[0].submitter;
        let caller = match self.random.below(8) {
            0..2 => submitter,
            2 => self.anybody(),
            _ => signed.terms[0].scheduler,
        };
        let jobs: Vec<_> = signed.terms.iter().map(|terms| terms.id(&self.cast.domain)).collect();
        let chosen: Vec<usize> = (0..jobs.len()).filter(|_| self.random.percent(70)).collect();
        let tree = OrderTree::new(&jobs);
        let paths: Vec<OrderPath> =
            chosen.iter().filter_map(|index| tree.as_ref()?.path(*index)).collect();
        let parts: Vec<_> = chosen.iter().map(|index| jobs[*index]).zip(&paths).collect();
        let mut proof = MultiProof::of(&parts).unwrap_or_default();
        let mut openings = Vec::new();
        for index in chosen {
            let terms = signed.terms[index];
            let node = self.random.percent(50).then(|| self.node_for(terms.scheduler));
            openings.push(Opening { terms, node });
        }
        match self.random.below(24) {
            0 => openings.reverse(),
            1 => proof.flags.iter_mut().for_each(|flag| *flag = !*flag),
            2 => openings.extend(openings.last().cloned()),
            3 => openings.push(Opening { terms: self.terms(None), node: None }),
            4 => signed.order.epoch += 1,
            5 => proof.proof.push(B256::ZERO),
            _ => {}
        }
        self.meet(signed.order.expires, 10);
        let value = if self.random.percent(15) { self.random.below(3000).into() } else { 0 };
        let Signed { order, signature, .. } = signed;
        let (order, proof) = if caller == submitter && self.random.percent(80) {
            (no_order(), MultiProof::default())
        } else {
            (order, proof)
        };
        (caller, Act::Call { call: Call::OpenMany { openings, order, signature, proof }, value })
    }

    fn sign_order(&mut self) -> Signed {
        let submitter = self.pick(&self.cast.submitters);
        let token = self.token();
        let known = |terms: &&Terms| (terms.submitter, terms.token) == (submitter, token);
        let mut terms: Vec<Terms> = self.jobs.iter().filter(known).copied().collect();
        while terms.len() > 1 || (!terms.is_empty() && self.random.percent(50)) {
            terms.swap_remove(self.random.index(terms.len()));
        }
        for _ in 0..self.random.between(1, BATCH_MAX) {
            terms.push(self.terms(Some((submitter, token))));
        }
        let jobs: Vec<_> = terms.iter().map(|terms| terms.id(&self.cast.domain)).collect();
        let root = OrderTree::new(&jobs).map_or(B256::ZERO, |tree| tree.root());
        let epoch = self.model.epoch(submitter);
        let expires = self.now + self.random.between(0, 20_000);
        let order = Order { root, epoch, expires };
        let signer = if self.random.percent(5) { self.anybody() } else { submitter };
        let mut signature = self.cast.sign_order(signer, &order);
        match self.random.below(12) {
            0..3 => signature = compact(&signature),
            3 => signature[64] -= 27,
            4 => signature.truncate(63),
            5 => signature[1] ^= 1,
            _ => {}
        }
        let signed = Signed { terms, order, signature };
        self.orders.push(signed.clone());
        signed
    }

    fn cancel(&mut self) -> Scene {
        let (terms, _) = self.job(&[EscrowState::Open, EscrowState::None]);
        let caller = self.caller(terms.submitter);
        self.plain(caller, Call::Cancel { terms })
    }

    fn cancel_many(&mut self) -> Scene {
        let terms: Vec<Terms> = (0..self.random.below(BATCH_MAX))
            .map(|_| self.job(&[EscrowState::Open, EscrowState::None]).0)
            .collect();
        let submitter = terms.first().map_or(self.cast.stranger, |terms| terms.submitter);
        let caller = self.caller(submitter);
        self.plain(caller, Call::CancelMany { terms })
    }

    fn raise_epoch(&mut self) -> Scene {
        let caller = self.pick(&self.cast.submitters);
        self.plain(caller, Call::RaiseEpoch)
    }

    fn refund(&mut self) -> Scene {
        let (terms, _) = self.job(&[EscrowState::Open, EscrowState::Assigned]);
        if terms.deadline < self.now + 30_000 {
            self.meet(terms.deadline, 60);
        }
        let caller = self.anybody();
        self.plain(caller, Call::Refund { terms })
    }

    // Scenes: the scheduler.

    fn assign(&mut self) -> Scene {
        let (terms, slot) = self.job(&[EscrowState::Open]);
        let node = self.node_for(terms.scheduler);
        let attempt = self.next_attempt(slot);
        let caller = self.caller(terms.scheduler);
        if terms.deadline < self.now + 3000 {
            self.meet(terms.deadline, 15);
        }
        let job = terms.id(&self.cast.domain);
        self.plain(caller, Call::Assign { job, node, attempt })
    }

    fn assignment(&mut self) -> Assignment {
        let late = self.random.percent(30);
        let state = if late { EscrowState::Assigned } else { EscrowState::Open };
        let (terms, slot) = self.job(&[state]);
        if slot.state == EscrowState::Assigned {
            self.meet(slot.lease_end(&terms), 80);
        }
        let node = self.node_for(terms.scheduler);
        let attempt = self.next_attempt(slot);
        let expires = match self.random.below(12) {
            0 => self.now - 1,
            1 => self.now,
            _ => self.now + self.random.below(600),
        };
        let message = Message::Accept {
            job_id: terms.id(&self.cast.domain),
            attempt: AttemptNumber(attempt),
            expires,
        };
        let acceptance = self.sign(node, message);
        Assignment { terms, node, attempt, expires, acceptance }
    }

    fn assign_with_terms(&mut self) -> Scene {
        let assignment = self.assignment();
        let caller = self.caller(assignment.terms.scheduler);
        self.plain(caller, Call::AssignWithTerms { assignment })
    }

    fn assign_many(&mut self) -> Scene {
        let assignments: Vec<Assignment> =
            (0..self.random.below(BATCH_MAX)).map(|_| self.assignment()).collect();
        let scheduler =
            assignments.first().map_or(self.cast.stranger, |first| first.terms.scheduler);
        let caller = self.caller(scheduler);
        self.plain(caller, Call::AssignMany { assignments })
    }

    fn call_in(&mut self) -> Scene {
        let (terms, slot) = self.job(&[EscrowState::Assigned]);
        if self.random.percent(50) {
            self.meet(slot.at + u64::from(terms.lease_seconds / 4), 90);
        } else {
            let end = slot.lease_end(&terms);
            self.meet(end.saturating_sub(terms.grace_seconds.into()), 40);
        }
        let caller = self.caller(terms.scheduler);
        self.plain(caller, Call::CallIn { terms })
    }

    fn lapse(&mut self) -> Scene {
        let (terms, slot) = self.job(&[EscrowState::Assigned]);
        let right = self.pick(&[terms.scheduler, terms.submitter]);
        let caller = self.caller(right);
        let patience = if caller == terms.submitter { terms.grace_seconds } else { 0 };
        self.meet(slot.lease_end(&terms) + u64::from(patience), 85);
        self.plain(caller, Call::Lapse { terms })
    }

    /// Mostly the node's signed result.
    fn result(&mut self, terms: &Terms, slot: Slot) -> (ReceiptHash, CompactSignature) {
        let receipt_hash = ReceiptHash(B256::repeat_byte(self.random.below(4) as u8));
        let (job_id, node) = (terms.id(&self.cast.domain), slot.node);
        let attempt = AttemptNumber(slot.attempt);
        let message = if self.random.percent(3) {
            Message::Failure { job_id, attempt, node, receipt_hash }
        } else {
            Message::Result { job_id, attempt, node, receipt_hash }
        };
        let signature = self.sign(node, message);
        (receipt_hash, signature)
    }

    fn settlement(&mut self) -> Settlement {
        let (terms, slot) = self.job(&[EscrowState::Assigned, EscrowState::Published]);
        let end = match slot.state {
            EscrowState::Published => slot.at + u64::from(terms.challenge_window),
            _ => terms.deadline,
        };
        if end < self.now + 3000 {
            self.meet(end, 20);
        }
        let (receipt_hash, signature) = self.result(&terms, slot);
        Settlement { terms, receipt_hash, signature }
    }

    fn settle(&mut self) -> Scene {
        let settlement = self.settlement();
        let caller = self.caller(settlement.terms.scheduler);
        self.plain(caller, Call::Settle { settlement })
    }

    fn settle_many(&mut self) -> Scene {
        let mut settlements: Vec<Settlement> =
            (0..self.random.below(BATCH_MAX)).map(|_| self.settlement()).collect();
        if self.random.percent(50) {
            settlements.sort_by_key(|item| {
                (item.terms.token, self.cast.provider_of(self.slot(&item.terms).node))
            });
        }
        let scheduler =
            settlements.first().map_or(self.cast.stranger, |first| first.terms.scheduler);
        let caller = self.caller(scheduler);
        self.plain(caller, Call::SettleMany { settlements })
    }

    // Scenes: the node and its provider.

    fn renew(&mut self) -> Scene {
        let (terms, slot) = self.job(&[EscrowState::Assigned]);
        self.meet(slot.lease_end(&terms), 15);
        let grace = u64::from(terms.grace_seconds);
        let issued_at = match self.random.below(8) {
            0 => self.now + 1,
            1 => self.now - grace,
            2 => self.now - grace - 1,
            3 => slot.at,
            _ => self.now - self.random.below(3),
        };
        let message = Message::Renew {
            job_id: terms.id(&self.cast.domain),
            attempt: AttemptNumber(slot.attempt),
            issued_at,
        };
        let signature = self.sign(slot.node, message);
        let caller = self.anybody();
        self.plain(caller, Call::Renew { terms, issued_at, signature })
    }

    fn release(&mut self) -> Scene {
        let (terms, slot) = self.job(&[EscrowState::Assigned]);
        self.meet(slot.lease_end(&terms), 20);
        let message = Message::Release {
            job_id: terms.id(&self.cast.domain),
            attempt: AttemptNumber(slot.attempt),
        };
        let signature = self.sign(slot.node, message);
        let provider = self.cast.provider_of(slot.node);
        let caller = if self.random.percent(50) { provider } else { self.anybody() };
        self.plain(caller, Call::Release { terms, signature })
    }

    fn publish(&mut self) -> Scene {
        let (terms, slot) = self.job(&[EscrowState::Assigned]);
        if terms.deadline < self.now + 3000 {
            self.meet(terms.deadline, 20);
        }
        let (receipt_hash, signature) = self.result(&terms, slot);
        let caller = self.anybody();
        self.plain(caller, Call::Publish { terms, receipt_hash, signature })
    }

    // Scenes: claims and disputes.

    fn claim(&mut self) -> Scene {
        let (terms, slot) =
            self.job(&[EscrowState::Held, EscrowState::Published, EscrowState::Disputed]);
        if let Some(end) = slot.window_end(&terms) {
            self.meet(end, 60);
        }
        let caller = self.anybody();
        self.plain(caller, Call::Claim { terms })
    }

    fn dispute(&mut self) -> Scene {
        let (terms, slot) = self.job(&[EscrowState::Held, EscrowState::Published]);
        if let Some(end) = slot.window_end(&terms) {
            self.meet(end, 10);
        }
        let right = self.pick(&[terms.submitter, terms.scheduler]);
        let caller = self.caller(right);
        let value = self.value(terms.token, terms.dispute_bond.0);
        (caller, Act::Call { call: Call::Dispute { terms }, value })
    }

    fn rule(&mut self) -> Scene {
        let (terms, slot) = self.job(&[EscrowState::Disputed]);
        let ruling = self.pick(&[Ruling::Pay, Ruling::Refund, Ruling::Reopen]);
        if let Some(end) = slot.window_end(&terms) {
            self.meet(end, 10);
        }
        if terms.deadline < self.now + 3000 {
            self.meet(terms.deadline, 20);
        }
        let caller = self.caller(terms.arbiter);
        self.plain(caller, Call::Rule { terms, ruling })
    }

    // Scenes: balances and nodes.

    fn deposit(&mut self) -> Scene {
        let caller = match self.random.below(10) {
            0..4 => self.pick(&self.cast.submitters),
            4..9 => self.pick(&self.cast.providers),
            _ => self.pick(&self.cast.purses()),
        };
        let token = self.token();
        let amount = u128::from(self.random.below(5000));
        match self.random.below(10) {
            0..3 => self.plain(caller, Call::DepositWithPermit { token, amount }),
            3 => {
                (caller, Act::CallWithBadPermit { call: Call::DepositWithPermit { token, amount } })
            }
            _ => {
                let value = self.value(token, amount);
                (caller, Act::Call { call: Call::Deposit { token, amount }, value })
            }
        }
    }

    fn withdraw(&mut self) -> Scene {
        let caller = self.pick(&self.cast.purses());
        let token = self.token();
        let held = self.model.balance(caller, token);
        let amount = match self.random.below(6) {
            0 => held + 1,
            1 => held,
            _ => u128::from(self.random.below(1000)).min(held),
        };
        let to = match self.random.below(12) {
            0 => Address::ZERO,
            1 => self.cast.domain.contract,
            // Takes no coin.
            2..4 => self.cast.tokens[1],
            4..6 => self.anybody(),
            _ => caller,
        };
        self.plain(caller, Call::Withdraw { token, to, amount })
    }

    fn enroll(&mut self) -> Scene {
        let fresh = |node: &&NodeId| self.model.enrolment(**node).is_none();
        let nodes: Vec<NodeId> = self.cast.nodes.iter().filter(fresh).copied().collect();
        let node = if nodes.is_empty() || self.random.percent(10) {
            self.pick(&self.cast.nodes)
        } else {
            self.pick(&nodes)
        };
        let right = self.cast.provider_of(node);
        let caller = self.caller(right);
        let expires = match self.random.below(10) {
            0 => self.now - 1,
            1 => self.now,
            _ => self.now + 100,
        };
        // To its provider; what somebody else does with it fails.
        let message = Message::Enroll { node, provider: right, expires };
        let signature = self.sign(node, message);
        self.plain(caller, Call::Enroll { node, expires, signature })
    }

    fn revoke(&mut self) -> Scene {
        let node = self.pick(&self.cast.nodes);
        let caller = self.caller(self.cast.provider_of(node));
        self.plain(caller, Call::Revoke { node })
    }

    fn approval(&mut self) -> Scene {
        let caller = self.pick(&self.cast.providers);
        let scheduler = self.pick(&self.cast.schedulers);
        if self.random.percent(8) {
            return self.plain(caller, Call::DisapproveScheduler { scheduler });
        }
        let token = self.token();
        // Often enough below what is locked already.
        let bond_limit = u128::from(self.pick(&[0_u64, 1, 300, 1000, 5000, 5000]));
        self.plain(caller, Call::ApproveScheduler { scheduler, token, bond_limit })
    }

    /// What happens outside of the contract.
    fn outside(&mut self) -> Scene {
        if self.random.percent(75) {
            let caller = self.pick(&self.cast.purses());
            let token = self.pick(&self.cast.tokens[1..]);
            let amount = u128::from(self.pick(&[0_u64, 100, 5000, 5000, 100_000]));
            return (caller, Act::Allow { token, amount });
        }
        // A submitter with code would be asked whether it has signed (EIP-1271), of which the model knows nothing.
        let cast = self.cast;
        let wallets = [cast.providers.as_slice(), &cast.schedulers, &cast.arbiters].concat();
        let caller = self.pick(&wallets);
        (caller, Act::RefuseCoin { refuses: self.random.percent(60) })
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
