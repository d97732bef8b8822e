//! Claims, disputes and rulings.

use gristmill_protocol::api::{EscrowState, Ruling};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;

use super::{Event, Flaw, Revert, Slot, Turn};

impl Turn<'_> {
    /// A job in a state with a window, and the window's last second.
    fn windowed(&self, terms: &Terms) -> Result<(JobId, Slot, u64), Revert> {
        let (job, slot) = self.load(terms);
        let until = slot.window_end(terms).ok_or(Revert::WrongState { job, state: slot.state })?;
        Ok((job, slot, until))
    }

    pub(super) fn claim(&mut self, terms: &Terms) -> Result<(), Revert> {
        let (job, slot, until) = self.windowed(terms)?;
        let early = self.contract.flaw == Some(Flaw::SkipsHold) && slot.state == EscrowState::Held;
        if self.now <= until && !early {
            return Err(Revert::WindowOpen { until });
        }
        let disputed = slot.state == EscrowState::Disputed;
        let mut dispute_bond = if disputed { terms.dispute_bond.0 } else { 0 };
        if self.contract.flaw == Some(Flaw::ReturnsDisputeBond) {
            self.pay(terms.token, self.disputant(terms, slot), dispute_bond);
            dispute_bond = 0;
        }
        let slot = slot.moved(EscrowState::Paid, self.now);
        self.contract.jobs.insert(job, slot);
        self.pay_out(job, terms, slot, dispute_bond);
        Ok(())
    }

    fn disputant(&self, terms: &Terms, slot: Slot) -> gristmill_protocol::Address {
        if slot.disputed_by_scheduler { terms.scheduler } else { terms.submitter }
    }

    pub(super) fn dispute(&mut self, terms: &Terms) -> Result<(), Revert> {
        let (job, slot) = self.load(terms);
        if !matches!(slot.state, EscrowState::Held | EscrowState::Published) {
            return Err(Revert::WrongState { job, state: slot.state });
        }
        let by = self.caller;
        let by_submitter = by == terms.submitter;
        let by_scheduler = by == terms.scheduler && slot.state == EscrowState::Published;
        if !by_submitter && !by_scheduler {
            return Err(Revert::NotDisputant { caller: by });
        }
        let (_, _, until) = self.windowed(terms)?;
        if self.now > until {
            return Err(Revert::WindowClosed { until });
        }
        let slot = slot.moved(EscrowState::Disputed, self.now);
        let slot = Slot { disputed_by_scheduler: !by_submitter, ..slot };
        self.contract.jobs.insert(job, slot);
        let until = self.now + u64::from(terms.ruling_seconds);
        self.events.push(Event::Disputed { job, by, until });
        self.take(terms.token, terms.dispute_bond.0)
    }

    pub(super) fn rule(&mut self, terms: &Terms, ruling: Ruling) -> Result<(), Revert> {
        let (caller, arbiter) = (self.caller, terms.arbiter);
        if caller != arbiter && self.contract.flaw != Some(Flaw::AnyoneRules) {
            return Err(Revert::NotArbiter { caller, arbiter });
        }
        let (job, slot, until) = self.windowed(terms)?;
        if slot.state != EscrowState::Disputed {
            return Err(Revert::WrongState { job, state: slot.state });
        }
        if self.now > until {
            return Err(Revert::WindowClosed { until });
        }
        if ruling == Ruling::Reopen && self.now > terms.deadline {
            return Err(Revert::DeadlinePassed { deadline: terms.deadline });
        }
        self.events.push(Event::Ruled { job, ruling });
        let (bond, dispute_bond) = (terms.bond.0, terms.dispute_bond.0);
        let disputant = self.disputant(terms, slot);
        match ruling {
            Ruling::Pay => {
                let slot = slot.moved(EscrowState::Paid, self.now);
                self.contract.jobs.insert(job, slot);
                self.pay_out(job, terms, slot, dispute_bond);
            }
            // One payment where both go to the submitter.
            Ruling::Refund if !slot.disputed_by_scheduler => {
                self.give_back(job, terms, slot, bond + dispute_bond);
            }
            Ruling::Refund => {
                self.give_back(job, terms, slot, bond);
                self.pay(terms.token, disputant, dispute_bond);
            }
            Ruling::Reopen => {
                let slot = self.forfeit(job, terms, slot);
                self.contract.jobs.insert(job, slot);
                self.pay(terms.token, disputant, dispute_bond);
            }
        }
        Ok(())
    }
}
