//! The scenes of which histories are made: each has somebody do something nearly right.

use gristmill_protocol::api::{EscrowState, Ruling};
use gristmill_protocol::ids::{AttemptNumber, NodeId, ReceiptHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::{MultiProof, Order, OrderPath, OrderTree};
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::{Address, B256};
use gristmill_sim::model::{Assignment, COIN, Call, Opening, Settlement, Slot, no_order};

use super::{Act, Author, BATCH_MAX, Play, Scene, Signed, compact};

pub(super) const OPEN: &[EscrowState] = &[EscrowState::Open];
const UNHELD: &[EscrowState] = &[EscrowState::Open, EscrowState::None];
pub(super) const ASSIGNED: &[EscrowState] = &[EscrowState::Assigned];
pub(super) const DISPUTABLE: &[EscrowState] = &[EscrowState::Held, EscrowState::Published];
const DELIVERABLE: &[EscrowState] = &[EscrowState::Assigned, EscrowState::Published];
const DISPUTED: &[EscrowState] = &[EscrowState::Disputed];

/// How often, what a job has to be in for it to succeed, and the scene.
type Entry<'a> = (u64, &'static [EscrowState], Play<'a>);

impl<'a> Author<'a> {
    pub(super) const BEGINNING: [Entry<'a>; 4] = [
        (3, &[], Self::enroll),
        (4, &[], Self::approval),
        (4, &[], Self::deposit),
        (2, &[], Self::outside),
    ];

    pub(super) const REPERTOIRE: [Entry<'a>; 26] = [
        (10, &[], Self::open),
        (8, &[], Self::open_many),
        (2, OPEN, Self::cancel),
        (2, OPEN, Self::cancel_many),
        (1, &[], Self::raise_epoch),
        (3, OPEN, Self::refund),
        (14, OPEN, Self::assign),
        (18, OPEN, Self::assign_with_terms),
        (4, OPEN, Self::assign_many),
        (6, ASSIGNED, Self::call_in),
        (4, ASSIGNED, Self::lapse),
        (6, ASSIGNED, Self::settle),
        (8, ASSIGNED, Self::settle_many),
        (7, ASSIGNED, Self::renew),
        (4, ASSIGNED, Self::release),
        (8, ASSIGNED, Self::publish),
        (7, DISPUTABLE, Self::claim),
        (8, DISPUTABLE, Self::dispute),
        (10, DISPUTED, Self::rule),
        (4, DISPUTED, Self::claim),
        (6, &[], Self::deposit),
        (3, &[], Self::withdraw),
        (2, &[], Self::enroll),
        (1, &[], Self::revoke),
        (5, &[], Self::approval),
        (4, &[], Self::outside),
    ];

    // Scenes: the submitter.

    pub(super) fn open(&mut self) -> Scene {
        let terms = if self.random.percent(85) { self.terms(None) } else { self.job(&[]).0 };
        let caller = self.caller(terms.submitter);
        let allowed = terms.bounty.0 <= self.model.allowance(caller, terms.token);
        match self.random.below(10) {
            0..6 if terms.token != COIN && (!allowed || self.random.percent(20)) => {
                self.plain(caller, Call::OpenWithPermit { terms })
            }
            6 => {
                let (call, plain) = (Call::OpenWithPermit { terms }, Call::Open { terms });
                (caller, Act::CallWithBadPermit { call, plain })
            }
            _ => {
                let value = self.value(terms.token, terms.bounty.0);
                (caller, Act::Call { call: Call::Open { terms }, value })
            }
        }
    }

    pub(super) fn open_many(&mut self) -> Scene {
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
            let node = self.random.percent(50).then(|| self.node_for(&terms));
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
        self.meet(signed.order.expires, 4);
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
        let mut terms: Vec<Terms> =
            self.jobs.iter().map(|(_, terms)| terms).filter(known).copied().collect();
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

    pub(super) fn cancel(&mut self) -> Scene {
        let states = if self.random.percent(15) { ASSIGNED } else { UNHELD };
        let (terms, _) = self.job(states);
        let caller = self.caller(terms.submitter);
        self.plain(caller, Call::Cancel { terms })
    }

    pub(super) fn cancel_many(&mut self) -> Scene {
        let terms: Vec<Terms> =
            (0..self.random.below(BATCH_MAX)).map(|_| self.job(UNHELD).0).collect();
        let submitter = terms.first().map_or(self.cast.stranger, |terms| terms.submitter);
        let caller = self.caller(submitter);
        self.plain(caller, Call::CancelMany { terms })
    }

    pub(super) fn raise_epoch(&mut self) -> Scene {
        let caller = self.pick(&self.cast.submitters);
        self.plain(caller, Call::RaiseEpoch)
    }

    pub(super) fn refund(&mut self) -> Scene {
        let (terms, _) = self.job(&[EscrowState::Open, EscrowState::Assigned]);
        self.meet(terms.deadline, if terms.deadline < self.now + 3000 { 70 } else { 8 });
        let caller = self.anybody();
        self.plain(caller, Call::Refund { terms })
    }

    // Scenes: the scheduler.

    pub(super) fn assign(&mut self) -> Scene {
        let (mut terms, mut slot) = self.job(OPEN);
        if terms.bond != Amount::ZERO && self.random.percent(80) {
            (terms, slot) = self.job(OPEN);
        }
        let node = self.node_for(&terms);
        let attempt = self.next_attempt(slot);
        let caller = self.caller(terms.scheduler);
        if terms.deadline < self.now + 3000 {
            self.meet(terms.deadline, 15);
        }
        let job = terms.id(&self.cast.domain);
        self.plain(caller, Call::Assign { job, node, attempt })
    }

    fn assignment(&mut self) -> Assignment {
        let late = self.random.percent(20);
        let state = if late { EscrowState::Assigned } else { EscrowState::Open };
        let (terms, slot) = self.job(&[state]);
        if slot.state == EscrowState::Assigned {
            self.meet(slot.lease_end(&terms), 60);
        }
        let node = self.node_for(&terms);
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

    pub(super) fn assign_with_terms(&mut self) -> Scene {
        let assignment = self.assignment();
        let caller = self.caller(assignment.terms.scheduler);
        self.plain(caller, Call::AssignWithTerms { assignment })
    }

    pub(super) fn assign_many(&mut self) -> Scene {
        let assignments: Vec<Assignment> =
            (0..self.random.below(BATCH_MAX)).map(|_| self.assignment()).collect();
        let scheduler =
            assignments.first().map_or(self.cast.stranger, |first| first.terms.scheduler);
        let caller = self.caller(scheduler);
        self.plain(caller, Call::AssignMany { assignments })
    }

    /// A job that somebody holds, often one whose node was called in.
    fn held_job(&mut self) -> (Terms, Slot) {
        let slots = self.jobs.iter().map(|(job, terms)| (*terms, self.model.slot(*job)));
        let called_in: Vec<(Terms, Slot)> = slots.filter(|(_, slot)| slot.called_in).collect();
        if called_in.is_empty() || self.random.percent(60) {
            self.job(ASSIGNED)
        } else {
            self.pick(&called_in)
        }
    }

    pub(super) fn call_in(&mut self) -> Scene {
        let (terms, slot) = self.held_job();
        if self.random.percent(50) {
            self.meet(slot.at + u64::from(terms.lease_seconds / 4), 90);
        } else {
            let end = slot.lease_end(&terms);
            self.meet(end.saturating_sub(terms.grace_seconds.into()), 40);
        }
        let caller = self.caller(terms.scheduler);
        self.plain(caller, Call::CallIn { terms })
    }

    pub(super) fn lapse(&mut self) -> Scene {
        let (terms, slot) = self.held_job();
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

    fn settlement(&mut self, (terms, slot): (Terms, Slot)) -> Settlement {
        let (receipt_hash, signature) = self.result(&terms, slot);
        Settlement { terms, receipt_hash, signature }
    }

    pub(super) fn settle(&mut self) -> Scene {
        let (terms, slot) = self.job(DELIVERABLE);
        let end = slot.window_end(&terms).unwrap_or(terms.deadline);
        if end < self.now + 3000 {
            self.meet(end, 20);
        }
        let settlement = self.settlement((terms, slot));
        let caller = self.caller(terms.scheduler);
        self.plain(caller, Call::Settle { settlement })
    }

    /// Mostly jobs of one scheduler: what it owes for several of them is added up.
    pub(super) fn settle_many(&mut self) -> Scene {
        let (first, _) = self.job(DELIVERABLE);
        let mut settlements = Vec::new();
        for _ in 0..self.random.below(2 * BATCH_MAX) {
            let (terms, slot) = self.job(DELIVERABLE);
            if terms.scheduler == first.scheduler || self.random.percent(10) {
                settlements.push(self.settlement((terms, slot)));
            }
        }
        if self.random.percent(50) {
            settlements.sort_by_key(|item| {
                (item.terms.token, self.cast.provider_of(self.slot(&item.terms).node))
            });
        }
        let caller = self.caller(first.scheduler);
        self.plain(caller, Call::SettleMany { settlements })
    }

    // Scenes: the node and its provider.

    pub(super) fn renew(&mut self) -> Scene {
        let (terms, slot) = self.held_job();
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

    pub(super) fn release(&mut self) -> Scene {
        let (terms, slot) = self.job(ASSIGNED);
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

    pub(super) fn publish(&mut self) -> Scene {
        let (terms, slot) = self.job(ASSIGNED);
        if terms.deadline < self.now + 3000 {
            self.meet(terms.deadline, 20);
        }
        let (receipt_hash, signature) = self.result(&terms, slot);
        let caller = self.anybody();
        self.plain(caller, Call::Publish { terms, receipt_hash, signature })
    }

    // Scenes: claims and disputes.

    pub(super) fn claim(&mut self) -> Scene {
        let (terms, slot) =
            self.job(&[EscrowState::Held, EscrowState::Published, EscrowState::Disputed]);
        if let Some(end) = slot.window_end(&terms) {
            self.meet(end, 60);
        }
        let caller = self.anybody();
        self.plain(caller, Call::Claim { terms })
    }

    pub(super) fn dispute(&mut self) -> Scene {
        let (terms, slot) = self.job(DISPUTABLE);
        if let Some(end) = slot.window_end(&terms) {
            self.meet(end, 10);
        }
        let by_scheduler = slot.state == EscrowState::Published || self.random.percent(10);
        let right = self.pick(&[terms.submitter, terms.scheduler]);
        let caller = self.caller(if by_scheduler { right } else { terms.submitter });
        let value = self.value(terms.token, terms.dispute_bond.0);
        (caller, Act::Call { call: Call::Dispute { terms }, value })
    }

    pub(super) fn rule(&mut self) -> Scene {
        let (terms, slot) = self.job(DISPUTED);
        let ruling = self.pick(&[Ruling::Pay, Ruling::Refund, Ruling::Reopen]);
        if let Some(end) = slot.window_end(&terms) {
            self.meet(end, 10);
        }
        if terms.deadline < self.now + 3000 {
            self.meet(terms.deadline, 20);
        }
        let other = self.pick(&self.cast.arbiters);
        let right = if self.random.percent(15) { other } else { terms.arbiter };
        let caller = self.caller(right);
        self.plain(caller, Call::Rule { terms, ruling })
    }

    // Scenes: balances and nodes.

    pub(super) fn deposit(&mut self) -> Scene {
        // Mostly where it is needed: orders and bonds are taken from balances.
        let cast = self.cast;
        let owners = [cast.submitters.as_slice(), &cast.providers].concat();
        let pairs = owners.iter().flat_map(|owner| cast.tokens.map(|token| (*owner, token)));
        let poor = |pair: &(Address, Address)| self.model.balance(pair.0, pair.1) < 2000;
        let poor: Vec<(Address, Address)> = pairs.filter(poor).collect();
        let (caller, token) = if poor.is_empty() || self.random.percent(30) {
            (self.pick(&cast.purses()), self.token())
        } else {
            self.pick(&poor)
        };
        let amount = u128::from(self.random.below(8000)).min(self.model.wallet(caller, token) + 1);
        let allowed = token == COIN || amount <= self.model.allowance(caller, token);
        match self.random.below(20) {
            0..12 if !allowed => self.plain(caller, Call::DepositWithPermit { token, amount }),
            12..15 => self.plain(caller, Call::DepositWithPermit { token, amount }),
            15 => {
                let call = Call::DepositWithPermit { token, amount };
                (caller, Act::CallWithBadPermit { call, plain: Call::Deposit { token, amount } })
            }
            _ => {
                let value = self.value(token, amount);
                (caller, Act::Call { call: Call::Deposit { token, amount }, value })
            }
        }
    }

    pub(super) fn withdraw(&mut self) -> Scene {
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

    pub(super) fn enroll(&mut self) -> Scene {
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

    pub(super) fn revoke(&mut self) -> Scene {
        let node = self.pick(&self.cast.nodes);
        let caller = self.caller(self.cast.provider_of(node));
        self.plain(caller, Call::Revoke { node })
    }

    pub(super) fn approval(&mut self) -> Scene {
        let cast = self.cast;
        let caller = self.pick(&cast.providers);
        let scheduler = cast.schedulers[usize::from(self.random.percent(30))];
        if self.random.percent(6) {
            return self.plain(caller, Call::DisapproveScheduler { scheduler });
        }
        let missing = |token: &&Address| {
            let known = self.model.bond_limit(caller, scheduler, **token);
            known.limit < known.used + 400
        };
        let missing: Vec<Address> = cast.tokens.iter().filter(missing).copied().collect();
        let (token, limits) = if missing.is_empty() || self.random.percent(20) {
            // Often below what is locked already.
            (self.token(), [0_u64, 200, 1000, 5000])
        } else {
            (self.pick(&missing), [1000, 5000, 5000, 5000])
        };
        let bond_limit = u128::from(self.pick(&limits));
        self.plain(caller, Call::ApproveScheduler { scheduler, token, bond_limit })
    }

    /// What happens outside of the contract.
    pub(super) fn outside(&mut self) -> Scene {
        if self.random.percent(75) {
            let cast = self.cast;
            let payers = [cast.submitters.as_slice(), &cast.submitters, &cast.providers].concat();
            let caller = if self.random.percent(80) {
                self.pick(&payers)
            } else {
                self.pick(&cast.purses())
            };
            let token = self.pick(&cast.tokens[1..]);
            let amount = u128::from(self.pick(&[0_u64, 100, 5000, 100_000, 100_000]));
            return (caller, Act::Allow { token, amount });
        }
        // A submitter with code would be asked whether it has signed (EIP-1271), of which the model knows nothing.
        let cast = self.cast;
        let wallets = [cast.providers.as_slice(), &cast.schedulers, &cast.arbiters].concat();
        let caller = self.pick(&wallets);
        (caller, Act::RefuseCoin { refuses: self.random.percent(60) })
    }
}
