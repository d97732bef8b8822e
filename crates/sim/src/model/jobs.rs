//! The verbs of the scheduler, and of the node and its provider.

use gristmill_protocol::Address;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, ReceiptHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;

use super::{Assignment, Call, Event, Flaw, Revert, Settlement, Slot, Turn};

/// A node can be called in once this part of its lease has run.
const CALL_IN_LEASE_PART: u32 = 4;

/// What a batch of settlements owes, until the next item has another provider or token.
#[derive(Default)]
struct Due {
    token: Address,
    provider: Address,
    amount: u128,
    fees: u128,
}

impl Turn<'_> {
    pub(super) fn run(&mut self, call: &Call) -> Result<(), Revert> {
        match call {
            Call::Open { terms } => {
                self.open_own(terms)?;
                self.take(terms.token, terms.bounty.0)
            }
            Call::OpenWithPermit { terms } => {
                self.open_own(terms)?;
                self.permit(terms.token, terms.bounty.0);
                self.take(terms.token, terms.bounty.0)
            }
            Call::OpenMany { openings, order, signature, proof } => {
                self.open_many(openings, order, signature, proof)
            }
            Call::Cancel { terms } => self.cancel(terms),
            Call::CancelMany { terms } => {
                for terms in terms {
                    let job = self.id(terms);
                    if let Err(reason) = self.cancel(terms) {
                        self.events.push(Event::Skipped { job, reason });
                    }
                }
                Ok(())
            }
            Call::RaiseEpoch => {
                self.raise_epoch();
                Ok(())
            }
            Call::Refund { terms } => self.refund(terms),
            Call::Assign { job, node, attempt } => self.assign(*job, *node, *attempt),
            Call::AssignWithTerms { assignment } => self.assign_with_terms(assignment),
            Call::AssignMany { assignments } => {
                for assignment in assignments {
                    let job = self.id(&assignment.terms);
                    if let Err(reason) = self.assign_with_terms(assignment) {
                        self.events.push(Event::Skipped { job, reason });
                    }
                }
                Ok(())
            }
            Call::CallIn { terms } => self.call_in(terms),
            Call::Lapse { terms } => self.lapse(terms),
            Call::Settle { settlement } => {
                let (job, slot) = self.settle(settlement)?;
                if slot.state == EscrowState::Paid {
                    self.pay_out(job, &settlement.terms, slot, 0);
                }
                Ok(())
            }
            Call::SettleMany { settlements } => {
                self.settle_many(settlements);
                Ok(())
            }
            Call::Renew { terms, issued_at, signature } => self.renew(terms, *issued_at, signature),
            Call::Release { terms, signature } => self.release(terms, signature),
            Call::Publish { terms, receipt_hash, signature } => {
                self.publish(terms, *receipt_hash, signature)
            }
            Call::Claim { terms } => self.claim(terms),
            Call::Dispute { terms } => self.dispute(terms),
            Call::Rule { terms, ruling } => self.rule(terms, *ruling),
            Call::Deposit { token, amount } => self.deposit(*token, *amount),
            Call::DepositWithPermit { token, amount } => {
                self.permit(*token, *amount);
                self.deposit(*token, *amount)
            }
            Call::Withdraw { token, to, amount } => self.withdraw(*token, *to, *amount),
            Call::Enroll { node, expires, signature } => self.enroll(*node, *expires, signature),
            Call::Revoke { node } => self.revoke(*node),
            Call::ApproveScheduler { scheduler, token, bond_limit } => {
                self.approve_scheduler(*scheduler, *token, *bond_limit);
                Ok(())
            }
            Call::DisapproveScheduler { scheduler } => {
                self.disapprove_scheduler(*scheduler);
                Ok(())
            }
        }
    }

    pub(super) fn id(&self, terms: &Terms) -> JobId {
        (self.contract.keys.job_id)(&self.contract.keys.domain, terms)
    }

    pub(super) fn load(&self, terms: &Terms) -> (JobId, Slot) {
        let job = self.id(terms);
        (job, self.contract.slot(job))
    }

    pub(super) fn provider_of(&self, slot: Slot) -> Address {
        self.contract.enrolment(slot.node).map_or(Address::ZERO, |known| known.provider)
    }

    fn only_scheduler(&self, scheduler: Address) -> Result<(), Revert> {
        if self.caller == scheduler {
            Ok(())
        } else {
            Err(Revert::NotScheduler { caller: self.caller, scheduler })
        }
    }

    /// A job without a bond, which needs no terms.
    fn assign(&mut self, job: JobId, node: NodeId, attempt: u16) -> Result<(), Revert> {
        let slot = self.contract.slot(job);
        let terms = match self.contract.terms(job) {
            Some(terms) if slot.state == EscrowState::Open => *terms,
            _ => return Err(Revert::WrongState { job, state: slot.state }),
        };
        self.only_scheduler(terms.scheduler)?;
        if terms.bond != Amount::ZERO {
            return Err(Revert::AcceptanceRequired { job });
        }
        let provider = self.check_assignment(slot, terms.deadline, node, attempt)?;
        self.contract.jobs.insert(job, slot.assigned(node, attempt, self.now));
        self.events.push(Event::Assigned { job, node, provider, attempt });
        Ok(())
    }

    /// The provider of a node that may have the next attempt.
    fn check_assignment(
        &self,
        slot: Slot,
        deadline: u64,
        node: NodeId,
        attempt: u16,
    ) -> Result<Address, Revert> {
        if self.now > deadline {
            return Err(Revert::DeadlinePassed { deadline });
        }
        let expected = u32::from(slot.attempt) + 1;
        if u32::from(attempt) != expected {
            return Err(Revert::WrongAttempt { attempt, expected });
        }
        self.check_node(node)
    }

    fn assign_with_terms(&mut self, assignment: &Assignment) -> Result<(), Revert> {
        let Assignment { terms, node, attempt, expires, acceptance } = assignment;
        let (job, mut slot) = self.load(terms);
        self.only_scheduler(terms.scheduler)?;
        let held = slot.state == EscrowState::Assigned;
        if held {
            let until = slot.lease_end(terms);
            if self.now <= until && self.contract.flaw != Some(Flaw::PushesOut) {
                return Err(Revert::LeaseRunning { until });
            }
        } else if slot.state != EscrowState::Open {
            return Err(Revert::WrongState { job, state: slot.state });
        }
        let provider = self.check_assignment(slot, terms.deadline, *node, *attempt)?;
        if terms.bond != Amount::ZERO {
            if self.now > *expires {
                return Err(Revert::AcceptanceExpired { expires: *expires });
            }
            let message = Message::Accept {
                job_id: job,
                attempt: AttemptNumber(*attempt),
                expires: *expires,
            };
            if self.contract.flaw != Some(Flaw::SkipsAcceptance) {
                self.check_signature(*node, &message, acceptance)?;
            }
            self.lock(provider, terms)?;
        }
        if held {
            self.events.push(Event::Lapsed { job, attempt: slot.attempt });
            slot = self.forfeit(job, terms, slot);
        }
        self.contract.jobs.insert(job, slot.assigned(*node, *attempt, self.now));
        self.events.push(Event::Assigned { job, node: *node, provider, attempt: *attempt });
        Ok(())
    }

    fn call_in(&mut self, terms: &Terms) -> Result<(), Revert> {
        self.only_scheduler(terms.scheduler)?;
        let (job, slot) = self.assigned(terms)?;
        let lease_end = slot.lease_end(terms);
        if slot.called_in {
            return Err(Revert::AlreadyCalledIn { lease_end });
        }
        let earliest = slot.at + u64::from(terms.lease_seconds / CALL_IN_LEASE_PART);
        if self.now < earliest {
            return Err(Revert::CallInTooEarly { earliest });
        }
        if self.now + u64::from(terms.grace_seconds) >= lease_end {
            return Err(Revert::CallInWithoutEffect { lease_end });
        }
        let slot = Slot { at: self.now, called_in: true, ..slot };
        self.contract.jobs.insert(job, slot);
        let (attempt, lease_end) = (slot.attempt, slot.lease_end(terms));
        self.events.push(Event::CalledIn { job, attempt, lease_end });
        Ok(())
    }

    /// A job that somebody holds.
    fn assigned(&self, terms: &Terms) -> Result<(JobId, Slot), Revert> {
        let (job, slot) = self.load(terms);
        if slot.state == EscrowState::Assigned {
            Ok((job, slot))
        } else {
            Err(Revert::WrongState { job, state: slot.state })
        }
    }

    fn lapse(&mut self, terms: &Terms) -> Result<(), Revert> {
        let Terms { scheduler, submitter, .. } = *terms;
        let caller = self.caller;
        if caller != scheduler && caller != submitter {
            return Err(Revert::NotSchedulerOrSubmitter { caller, scheduler, submitter });
        }
        let (job, slot) = self.assigned(terms)?;
        let patience = if caller == scheduler { 0 } else { u64::from(terms.grace_seconds) };
        let until = slot.lease_end(terms) + patience;
        if self.now <= until {
            return Err(Revert::LeaseRunning { until });
        }
        self.events.push(Event::Lapsed { job, attempt: slot.attempt });
        let slot = self.forfeit(job, terms, slot);
        self.contract.jobs.insert(job, slot);
        Ok(())
    }

    /// Accepts a result: the job is held, or paid, and then paying is left to the verb.
    fn settle(&mut self, settlement: &Settlement) -> Result<(JobId, Slot), Revert> {
        let Settlement { terms, receipt_hash, signature } = settlement;
        let (job, slot) = self.load(terms);
        self.only_scheduler(terms.scheduler)?;
        match slot.state {
            EscrowState::Assigned => {
                if self.now > terms.deadline {
                    return Err(Revert::DeadlinePassed { deadline: terms.deadline });
                }
            }
            EscrowState::Published => {
                let until = slot.at + u64::from(terms.challenge_window);
                if self.now > until {
                    return Err(Revert::WindowClosed { until });
                }
            }
            EscrowState::Paid if self.contract.flaw == Some(Flaw::PaysTwice) => {}
            EscrowState::None
            | EscrowState::Open
            | EscrowState::Held
            | EscrowState::Disputed
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => {
                return Err(Revert::WrongState { job, state: slot.state });
            }
        }
        self.check_result(job, slot, *receipt_hash, signature)?;
        let state = if terms.hold_seconds == 0 { EscrowState::Paid } else { EscrowState::Held };
        let slot = Slot { settled: true, ..slot.moved(state, self.now) };
        self.contract.jobs.insert(job, slot);
        let Slot { node, attempt, .. } = slot;
        self.events.push(Event::Settled { job, node, attempt, receipt_hash: *receipt_hash });
        Ok((job, slot))
    }

    fn settle_many(&mut self, settlements: &[Settlement]) {
        let mut due = Due::default();
        for settlement in settlements {
            let terms = &settlement.terms;
            let (job, slot) = match self.settle(settlement) {
                Ok((job, slot)) if slot.state == EscrowState::Paid => (job, slot),
                Ok(_) => continue,
                Err(reason) => {
                    let job = self.id(terms);
                    self.events.push(Event::Skipped { job, reason });
                    continue;
                }
            };
            let (provider, amount) = self.earn(job, terms, slot, 0);
            if (provider, terms.token) != (due.provider, due.token) {
                self.pay(due.token, due.provider, due.amount);
                (due.provider, due.amount) = (provider, 0);
            }
            if terms.token != due.token {
                self.pay(due.token, self.caller, due.fees);
                (due.token, due.fees) = (terms.token, 0);
            }
            due.amount += amount;
            due.fees += terms.fee.0;
        }
        self.pay(due.token, due.provider, due.amount);
        self.pay(due.token, self.caller, due.fees);
    }

    fn check_result(
        &self,
        job_id: JobId,
        slot: Slot,
        receipt_hash: ReceiptHash,
        signature: &CompactSignature,
    ) -> Result<(), Revert> {
        let Slot { node, attempt, .. } = slot;
        let attempt = AttemptNumber(attempt);
        let message = Message::Result { job_id, attempt, node, receipt_hash };
        self.check_signature(node, &message, signature)
    }

    /// A job that somebody holds, under a lease that runs.
    fn leased(&self, terms: &Terms) -> Result<(JobId, Slot), Revert> {
        let (job, slot) = self.assigned(terms)?;
        let lease_end = slot.lease_end(terms);
        if self.now > lease_end { Err(Revert::LeaseEnded { lease_end }) } else { Ok((job, slot)) }
    }

    fn renew(
        &mut self,
        terms: &Terms,
        issued_at: u64,
        signature: &CompactSignature,
    ) -> Result<(), Revert> {
        let (job, slot) = self.leased(terms)?;
        if issued_at > self.now {
            return Err(Revert::RenewalFromFuture { issued_at, current: self.now });
        }
        let expiry = issued_at + u64::from(terms.grace_seconds);
        if self.now > expiry {
            return Err(Revert::RenewalExpired { issued_at, expiry });
        }
        if issued_at <= slot.at {
            return Err(Revert::RenewalNotNewer { issued_at, last: slot.at });
        }
        let message =
            Message::Renew { job_id: job, attempt: AttemptNumber(slot.attempt), issued_at };
        self.check_signature(slot.node, &message, signature)?;
        let slot = slot.moved(EscrowState::Assigned, issued_at);
        self.contract.jobs.insert(job, slot);
        let (attempt, lease_end) = (slot.attempt, slot.lease_end(terms));
        self.events.push(Event::Renewed { job, attempt, lease_end });
        Ok(())
    }

    fn release(&mut self, terms: &Terms, signature: &CompactSignature) -> Result<(), Revert> {
        let (job, slot) = self.leased(terms)?;
        let provider = self.provider_of(slot);
        if self.caller != provider {
            let message = Message::Release { job_id: job, attempt: AttemptNumber(slot.attempt) };
            self.check_signature(slot.node, &message, signature)?;
        }
        self.events.push(Event::Released { job, attempt: slot.attempt });
        if self.contract.flaw == Some(Flaw::PunishesRelease) {
            let slot = self.forfeit(job, terms, slot);
            self.contract.jobs.insert(job, slot);
            return Ok(());
        }
        self.contract.jobs.insert(job, slot.opened(self.now, slot.forfeits));
        self.unlock(provider, terms);
        Ok(())
    }

    fn publish(
        &mut self,
        terms: &Terms,
        receipt_hash: ReceiptHash,
        signature: &CompactSignature,
    ) -> Result<(), Revert> {
        let (job, slot) = self.assigned(terms)?;
        if self.now > terms.deadline {
            return Err(Revert::DeadlinePassed { deadline: terms.deadline });
        }
        self.check_result(job, slot, receipt_hash, signature)?;
        self.contract.jobs.insert(job, slot.moved(EscrowState::Published, self.now));
        let Slot { node, attempt, .. } = slot;
        self.events.push(Event::Published { job, node, attempt, receipt_hash });
        Ok(())
    }

    // Money.

    /// Opens the job again and takes the bond: half for the submitter, half for the pool while its counter counts.
    pub(super) fn forfeit(&mut self, job: JobId, terms: &Terms, slot: Slot) -> Slot {
        let (bond, mut forfeits) = (terms.bond.0, slot.forfeits);
        if bond != 0 {
            let provider = self.provider_of(slot);
            self.lose_bond(provider, terms);
            let mut to_pool = 0;
            if let Some(next) = forfeits.checked_add(1) {
                forfeits = next;
                to_pool = bond / 2;
            }
            let to_submitter = match self.contract.flaw {
                Some(Flaw::DoublesForfeit) => bond,
                _ => bond - to_pool,
            };
            self.events.push(Event::Forfeited { job, provider, to_submitter, to_pool });
            self.credit(terms.submitter, terms.token, to_submitter);
        }
        slot.opened(self.now, forfeits)
    }

    /// Ends a job with payment, and leaves the paying to the verb: who gets how much.
    fn earn(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        dispute_bond: u128,
    ) -> (Address, u128) {
        let mut provider = self.provider_of(slot);
        if self.contract.flaw == Some(Flaw::PaysAnother) {
            let mut others = self.contract.nodes.values().map(|known| known.provider);
            provider = others.find(|other| *other != provider).unwrap_or(provider);
        }
        let pool = match self.contract.flaw {
            Some(Flaw::StrandsPool) => 0,
            _ => slot.pool(terms),
        };
        let amount = terms.bounty.0 - terms.fee.0 + pool + dispute_bond;
        let fee = if slot.settled { terms.fee.0 } else { 0 };
        self.events.push(Event::Paid { job, provider, amount, fee });
        self.unlock(provider, terms);
        (provider, amount)
    }

    /// Without a settlement the scheduler has earned no fee.
    pub(super) fn pay_out(&mut self, job: JobId, terms: &Terms, slot: Slot, dispute_bond: u128) {
        let (provider, amount) = self.earn(job, terms, slot, dispute_bond);
        self.pay(terms.token, provider, amount);
        let earned = slot.settled || self.contract.flaw == Some(Flaw::PaysUnearnedFee);
        let to = if earned { terms.scheduler } else { terms.submitter };
        self.pay(terms.token, to, terms.fee.0);
    }
}
