//! The submitter's verbs: open, cancel, refund, and orders.

use gristmill_protocol::Address;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::{MultiProof, Order};
use gristmill_protocol::terms::Terms;

use super::{COIN, Event, Flaw, Opening, Revert, Slot, Turn};

const DAY: u64 = 86_400;
const HOUR: u64 = 3600;

/// Whether a job under these terms may be opened at the time `now`.
fn check_terms(terms: &Terms, now: u64) -> Result<(), Revert> {
    let Terms { scheduler, arbiter, .. } = *terms;
    if scheduler.is_zero() || arbiter.is_zero() {
        return Err(Revert::ZeroParty { scheduler, arbiter });
    }
    let (fee, bounty) = (terms.fee.0, terms.bounty.0);
    if bounty == 0 {
        return Err(Revert::ZeroBounty);
    }
    if fee > bounty {
        return Err(Revert::FeeAboveBounty { fee, bounty });
    }
    let at_stake = terms.bond != Amount::ZERO || terms.dispute_bond != Amount::ZERO;
    if at_stake && (arbiter == terms.submitter || arbiter == scheduler) {
        return Err(Revert::PartialArbiter { arbiter });
    }
    let (lease, grace) = (u64::from(terms.lease_seconds), u64::from(terms.grace_seconds));
    let windows = [
        ("deadline", terms.deadline, now, now + 365 * DAY),
        ("graceSeconds", grace, 60, 30 * DAY / 4),
        ("leaseSeconds", lease, grace * 4, 30 * DAY),
        ("attemptSeconds", terms.attempt_seconds.into(), lease, u32::MAX.into()),
        ("holdSeconds", terms.hold_seconds.into(), 0, 30 * DAY),
        ("challengeWindow", terms.challenge_window.into(), HOUR, 30 * DAY),
        ("rulingSeconds", terms.ruling_seconds.into(), HOUR, 30 * DAY),
    ];
    match windows.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value)) {
        Some((term, value, min, max)) => Err(Revert::TermOutOfRange { term, value, min, max }),
        None => Ok(()),
    }
}

impl Turn<'_> {
    /// The caller opens its own job; taking the bounty is left to the verb.
    pub(super) fn open_own(&mut self, terms: &Terms) -> Result<(), Revert> {
        let (caller, submitter) = (self.caller, terms.submitter);
        if caller != submitter {
            return Err(Revert::NotSubmitter { caller, submitter });
        }
        self.open_job(self.id(terms), terms, None, terms.bounty.0)
    }

    /// Opens a job for which `funds` are there. A node that cannot have it leaves it open.
    fn open_job(
        &mut self,
        job: JobId,
        terms: &Terms,
        node: Option<NodeId>,
        funds: u128,
    ) -> Result<(), Revert> {
        let slot = self.contract.slot(job);
        let again = self.contract.flaw == Some(Flaw::Reopens) && slot.state != EscrowState::Open;
        if slot.state != EscrowState::None && !again {
            return Err(Revert::WrongState { job, state: slot.state });
        }
        if funds < terms.bounty.0 {
            let (owner, token) = (terms.submitter, terms.token);
            let required = terms.bounty.0;
            return Err(Revert::InsufficientBalance { owner, token, available: funds, required });
        }
        check_terms(terms, self.now)?;
        let mut slot = Slot::default().opened(self.now, 0);
        self.contract.terms.insert(job, *terms);
        self.events.push(Event::Opened { job, terms: *terms });
        if let Some(node) = node.filter(|node| !node.0.is_zero()) {
            match self.check_first(job, terms, node) {
                Ok(provider) => {
                    slot = slot.assigned(node, 1, self.now);
                    self.events.push(Event::Assigned { job, node, provider, attempt: 1 });
                }
                Err(reason) => self.events.push(Event::Skipped { job, reason }),
            }
        }
        self.contract.jobs.insert(job, slot);
        Ok(())
    }

    /// Whether a job that is being opened may go to `node` at once.
    fn check_first(&self, job: JobId, terms: &Terms, node: NodeId) -> Result<Address, Revert> {
        let (caller, scheduler) = (self.caller, terms.scheduler);
        if caller != scheduler {
            return Err(Revert::NotScheduler { caller, scheduler });
        }
        if terms.bond != Amount::ZERO {
            return Err(Revert::AcceptanceRequired { job });
        }
        self.check_node(node)
    }

    pub(super) fn open_many(
        &mut self,
        openings: &[Opening],
        order: &Order,
        signature: &[u8],
        proof: &MultiProof,
    ) -> Result<(), Revert> {
        let first = openings.first().ok_or(Revert::EmptyBatch)?;
        let (submitter, token) = (first.terms.submitter, first.terms.token);
        let mixed = openings.iter().position(|opening| {
            (opening.terms.submitter, opening.terms.token) != (submitter, token)
        });
        if let Some(index) = mixed {
            return Err(Revert::MixedBatch { index });
        }
        let ids: Vec<JobId> = openings.iter().map(|opening| self.id(&opening.terms)).collect();
        if self.value != 0 {
            self.deposited(COIN, self.value);
        }
        if self.caller != submitter {
            self.check_order(submitter, order, signature)?;
            if !proof.proves(&ids, order.root) {
                return Err(Revert::NotInOrder { root: order.root });
            }
        }
        let held = self.contract.balance(submitter, token);
        let mut left = held;
        for (job, Opening { terms, node }) in ids.into_iter().zip(openings) {
            match self.open_job(job, terms, *node, left) {
                Ok(()) => left -= terms.bounty.0,
                Err(reason) => self.events.push(Event::Skipped { job, reason }),
            }
        }
        if left != held {
            if self.contract.flaw != Some(Flaw::OpensForFree) {
                self.contract.balances.insert((submitter, token), left);
            }
            self.events.push(Event::Debited { owner: submitter, token, amount: held - left });
        }
        Ok(())
    }

    fn check_order(
        &self,
        submitter: Address,
        order: &Order,
        signature: &[u8],
    ) -> Result<(), Revert> {
        if self.now > order.expires {
            return Err(Revert::OrderExpired { expires: order.expires });
        }
        let current = self.contract.epoch(submitter);
        if order.epoch != current && self.contract.flaw != Some(Flaw::HonoursRevoked) {
            return Err(Revert::OrderRevoked { epoch: order.epoch, current });
        }
        let keys = &self.contract.keys;
        if (keys.has_ordered)(&keys.domain, submitter, order, signature) {
            Ok(())
        } else {
            Err(Revert::BadOrderSignature { submitter })
        }
    }

    pub(super) fn raise_epoch(&mut self) {
        let owner = self.caller;
        let epoch = self.contract.epochs.entry(owner).or_default();
        *epoch += 1;
        let epoch = *epoch;
        self.events.push(Event::EpochRaised { owner, epoch });
    }

    pub(super) fn cancel(&mut self, terms: &Terms) -> Result<(), Revert> {
        let (job, slot) = self.load(terms);
        let (caller, submitter) = (self.caller, terms.submitter);
        if caller != submitter {
            return Err(Revert::NotSubmitter { caller, submitter });
        }
        let held = self.contract.flaw == Some(Flaw::CancelsAssigned)
            && slot.state == EscrowState::Assigned;
        let amount = match slot.state {
            EscrowState::None => 0,
            EscrowState::Open => terms.bounty.0 + slot.pool(terms),
            EscrowState::Assigned if held => terms.bounty.0 + slot.pool(terms),
            EscrowState::Assigned
            | EscrowState::Held
            | EscrowState::Published
            | EscrowState::Disputed
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => {
                return Err(Revert::WrongState { job, state: slot.state });
            }
        };
        if held {
            self.contract.enrolment(slot.node).iter().for_each(|node| {
                // The flaw takes the job, not the bond.
                self.unlock(node.provider, terms);
            });
        }
        self.contract.jobs.insert(job, slot.closed(EscrowState::Cancelled, self.now));
        self.events.push(Event::Cancelled { job, amount });
        self.pay(terms.token, submitter, amount);
        Ok(())
    }

    pub(super) fn refund(&mut self, terms: &Terms) -> Result<(), Revert> {
        let (job, slot) = self.load(terms);
        let bond = match slot.state {
            EscrowState::Open => 0,
            EscrowState::Assigned => terms.bond.0,
            EscrowState::None
            | EscrowState::Held
            | EscrowState::Published
            | EscrowState::Disputed
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => {
                return Err(Revert::WrongState { job, state: slot.state });
            }
        };
        if self.now <= terms.deadline && self.contract.flaw != Some(Flaw::RefundsEarly) {
            return Err(Revert::DeadlineNotPassed { deadline: terms.deadline });
        }
        self.give_back(job, terms, slot, bond);
        Ok(())
    }

    /// Ends a job without payment: bounty, pool and `bonds` go to the submitter.
    pub(super) fn give_back(&mut self, job: JobId, terms: &Terms, slot: Slot, bonds: u128) {
        let mut bonds = bonds;
        if terms.bond != Amount::ZERO && slot.state != EscrowState::Open {
            let provider = self.provider_of(slot);
            self.lose_bond(provider, terms);
            if self.contract.flaw == Some(Flaw::StrandsBond) {
                bonds -= terms.bond.0;
            }
            if self.contract.flaw == Some(Flaw::RefundsBondTwice) {
                self.credit(provider, terms.token, terms.bond.0);
            }
        }
        let amount = terms.bounty.0 + slot.pool(terms) + bonds;
        self.contract.jobs.insert(job, slot.closed(EscrowState::Refunded, self.now));
        self.events.push(Event::Refunded { job, amount });
        self.pay(terms.token, terms.submitter, amount);
    }
}
