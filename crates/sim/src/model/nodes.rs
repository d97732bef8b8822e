//! Whose node it is, which scheduler may give it jobs, and the bonds of its provider.

use gristmill_protocol::Address;
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;

use super::{Enrolment, Event, Flaw, Revert, Turn};

impl Turn<'_> {
    /// Whether `signer` has signed the message.
    pub(super) fn check_signature(
        &self,
        signer: NodeId,
        message: &Message,
        signature: &CompactSignature,
    ) -> Result<(), Revert> {
        let keys = &self.contract.keys;
        let recovered = (keys.signer)(&keys.domain, message, signature).unwrap_or_default();
        if recovered == signer.0 && !recovered.is_zero() {
            Ok(())
        } else {
            Err(Revert::BadSignature { signer: signer.0, recovered })
        }
    }

    pub(super) fn enroll(
        &mut self,
        node: NodeId,
        expires: u64,
        signature: &CompactSignature,
    ) -> Result<(), Revert> {
        if self.now > expires {
            return Err(Revert::EnrollmentExpired { expires });
        }
        if let Some(Enrolment { provider, .. }) = self.contract.enrolment(node) {
            return Err(Revert::AlreadyEnrolled { node, provider });
        }
        let provider = self.caller;
        self.check_signature(node, &Message::Enroll { node, provider, expires }, signature)?;
        self.contract.nodes.insert(node, Enrolment { provider, revoked: false });
        self.events.push(Event::Enrolled { node, provider });
        Ok(())
    }

    pub(super) fn revoke(&mut self, node: NodeId) -> Result<(), Revert> {
        let known = self.contract.enrolment(node);
        let provider = known.map_or(Address::ZERO, |known| known.provider);
        if self.caller != provider {
            return Err(Revert::NotProvider { caller: self.caller, provider });
        }
        if known.is_some_and(|known| known.revoked) {
            return Err(Revert::NodeRevoked { node });
        }
        self.contract.nodes.insert(node, Enrolment { provider, revoked: true });
        self.events.push(Event::Revoked { node, provider });
        Ok(())
    }

    pub(super) fn approve_scheduler(
        &mut self,
        scheduler: Address,
        token: Address,
        bond_limit: u128,
    ) {
        let provider = self.caller;
        self.contract.approved.insert((provider, scheduler));
        self.contract.bond_limits.entry((provider, scheduler, token)).or_default().limit =
            bond_limit;
        self.events.push(Event::SchedulerApproved { provider, scheduler, token, bond_limit });
    }

    pub(super) fn disapprove_scheduler(&mut self, scheduler: Address) {
        let provider = self.caller;
        self.contract.approved.remove(&(provider, scheduler));
        self.events.push(Event::SchedulerDisapproved { provider, scheduler });
    }

    /// The provider of a node that the caller may assign to.
    pub(super) fn check_node(&self, node: NodeId) -> Result<Address, Revert> {
        let Some(Enrolment { provider, revoked }) = self.contract.enrolment(node) else {
            return Err(Revert::NotEnrolled { node });
        };
        if revoked {
            return Err(Revert::NodeRevoked { node });
        }
        if !self.contract.is_approved(provider, self.caller) {
            return Err(Revert::SchedulerNotApproved { provider, scheduler: self.caller });
        }
        Ok(provider)
    }

    /// Locks the bond of a new assignment, within what the provider lets the caller lock.
    pub(super) fn lock(&mut self, provider: Address, terms: &Terms) -> Result<(), Revert> {
        let (token, bond, scheduler) = (terms.token, terms.bond.0, self.caller);
        if self.contract.flaw == Some(Flaw::ForgetsBond) {
            return Ok(());
        }
        let known = self.contract.bond_limit(provider, scheduler, token);
        let used = known.used.saturating_add(bond);
        if used > known.limit {
            return Err(Revert::BondAboveLimit { provider, scheduler, used, limit: known.limit });
        }
        self.draw(provider, token, bond)?;
        self.contract.bond_limits.entry((provider, scheduler, token)).or_default().used = used;
        self.events.push(Event::Debited { owner: provider, token, amount: bond });
        Ok(())
    }

    /// The bond is the provider's again.
    pub(super) fn unlock(&mut self, provider: Address, terms: &Terms) {
        let bond = terms.bond.0;
        if bond == 0 {
            return;
        }
        if self.contract.flaw != Some(Flaw::KeepsLimit) {
            let key = (provider, terms.scheduler, terms.token);
            let limit = self.contract.bond_limits.entry(key).or_default();
            limit.used = limit.used.saturating_sub(bond);
        }
        self.credit(provider, terms.token, bond);
    }

    /// The bond is lost, and with it as much of the limit.
    pub(super) fn lose_bond(&mut self, provider: Address, terms: &Terms) {
        let key = (provider, terms.scheduler, terms.token);
        let limit = self.contract.bond_limits.entry(key).or_default();
        limit.used = limit.used.saturating_sub(terms.bond.0);
        limit.limit = limit.limit.saturating_sub(terms.bond.0);
    }
}
