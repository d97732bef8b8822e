//! Every movement of money in and out of the contract.

use gristmill_protocol::Address;

use super::{COIN, Contract, Event, Flaw, Revert, Turn};

impl Contract {
    /// From an owner's wallet to the contract; `None` where there is not enough.
    pub(super) fn move_in(&mut self, owner: Address, token: Address, amount: u128) -> Option<()> {
        let wallet = self.wallets.entry((owner, token)).or_default();
        *wallet = wallet.checked_sub(amount)?;
        *self.holdings.entry(token).or_default() += amount;
        Some(())
    }

    /// From the contract to a wallet; false where the receiver or the token refuses.
    fn move_out(&mut self, to: Address, token: Address, amount: u128) -> bool {
        if self.refusing.contains(&(to, token)) {
            return false;
        }
        let Some(left) = self.holding(token).checked_sub(amount) else { return false };
        self.holdings.insert(token, left);
        *self.wallets.entry((to, token)).or_default() += amount;
        true
    }
}

impl Turn<'_> {
    /// Takes from the caller what it has to bring. The coin is there already, with the call.
    pub(super) fn take(&mut self, token: Address, amount: u128) -> Result<(), Revert> {
        let required = if token == COIN { amount } else { 0 };
        if self.value != required {
            return Err(Revert::WrongValue { sent: self.value, required });
        }
        if token == COIN || amount == 0 {
            return Ok(());
        }
        let from = self.caller;
        let failed = Revert::TransferFromFailed { token, from, amount };
        let allowance = self.contract.allowances.entry((from, token)).or_default();
        let Some(left) = allowance.checked_sub(amount) else { return Err(failed) };
        *allowance = left;
        self.contract.move_in(from, token, amount).ok_or(failed)
    }

    /// A permit of the caller that the token takes. The native coin knows none.
    pub(super) fn permit(&mut self, token: Address, amount: u128) {
        if token != COIN {
            self.contract.allow(self.caller, token, amount);
        }
    }

    /// Pushes a payment; one that fails becomes the receiver's credit.
    pub(super) fn pay(&mut self, token: Address, to: Address, amount: u128) {
        if amount != 0 && !self.contract.move_out(to, token, amount) {
            if self.contract.flaw == Some(Flaw::LosesRefused) {
                return;
            }
            self.credit(to, token, amount);
        }
    }

    pub(super) fn credit(&mut self, owner: Address, token: Address, amount: u128) {
        *self.contract.balances.entry((owner, token)).or_default() += amount;
        self.events.push(Event::Credited { owner, token, amount });
    }

    /// Takes from a balance, without an event.
    pub(super) fn draw(
        &mut self,
        owner: Address,
        token: Address,
        amount: u128,
    ) -> Result<(), Revert> {
        let available = self.contract.balance(owner, token);
        let Some(left) = available.checked_sub(amount) else {
            return Err(Revert::InsufficientBalance { owner, token, available, required: amount });
        };
        self.contract.balances.insert((owner, token), left);
        Ok(())
    }

    pub(super) fn deposited(&mut self, token: Address, amount: u128) {
        let owner = self.caller;
        *self.contract.balances.entry((owner, token)).or_default() += amount;
        self.events.push(Event::Deposited { owner, token, amount });
    }

    pub(super) fn deposit(&mut self, token: Address, amount: u128) -> Result<(), Revert> {
        // What comes in counts at once, but only if it does come in.
        self.take(token, amount)?;
        self.deposited(token, amount);
        Ok(())
    }

    pub(super) fn withdraw(
        &mut self,
        token: Address,
        to: Address,
        amount: u128,
    ) -> Result<(), Revert> {
        if to.is_zero() || to == self.contract.keys.domain.contract {
            return Err(Revert::InvalidRecipient { to });
        }
        let owner = self.caller;
        self.draw(owner, token, amount)?;
        if self.contract.flaw == Some(Flaw::WithdrawsTwice) {
            *self.contract.balances.entry((owner, token)).or_default() += amount;
        }
        self.events.push(Event::Withdrawn { owner, token, to, amount });
        if self.contract.move_out(to, token, amount) {
            Ok(())
        } else {
            Err(Revert::WithdrawFailed { token, to, amount })
        }
    }
}
