//! From planned intents to signed transactions: what is still wanted and possible, what goes together, and what it may cost.

use std::collections::VecDeque;

use alloy::primitives::U256;
use futures_util::{StreamExt, TryStreamExt};
use gristmill_market::job::Job;
use gristmill_protocol::api::EscrowState;

use super::batch::{self, Ready};
use super::call::{self, Refusal};
use super::draft::{Draft, sign, with_margin};
use super::{ChainSender, GAS_MAX, OPEN_MAX, most_wei};
use crate::drivers::chain_rpc::{Fees, Revert, Simulation};
use crate::drivers::chain_watcher::{ChainError, ChainNow};
use crate::store;
use crate::store::chain::{IntentId, IntentRow, NewTx, TxRow};

/// Planned intents of one look.
const PLANNED_MAX: usize = 512;
/// Intents that are tried at once, each with a call or two.
const SIMULATIONS_AT_ONCE: usize = 8;
/// An intent that is refused for now is tried again after this, then after twice that, and so on up to the longest.
const BACKOFF_MS: u64 = 500;
const BACKOFF_MS_MAX: u64 = 30_000;
/// An intent that is refused for now this often is given up; the rules plan it again if they still want it.
const TRIES_MAX: u32 = 20;
/// One that opens a job keeps a node waiting: half a minute is enough for a deposit that was sent before the order.
const OPEN_TRIES_MAX: u32 = 6;

impl ChainSender {
    /// Gives planned intents a nonce, signs and stores them, as long as the account can pay. Whether there were any.
    pub(super) async fn sign_planned(
        &mut self,
        open: &[TxRow],
        now: &ChainNow,
        fence: u64,
    ) -> Result<bool, ChainError> {
        let mut room = OPEN_MAX.saturating_sub(open.len());
        if room == 0 {
            return Ok(false);
        }
        let at = self.clock.now();
        let planned = store::read(&self.store, move |rows| {
            // While contract, events and database differ, nothing new is signed; what is signed goes its way.
            if rows.payout_stop()?.is_some() {
                return Ok(Vec::new());
            }
            rows.planned_intents(at, PLANNED_MAX)
        })
        .await?;
        if planned.is_empty() {
            return Ok(false);
        }
        let fees = self.offer(self.rpc.fees().await?, now);
        let mut purse = self.balance().await?;
        for tx in open.iter().filter(|tx| tx.inclusion.is_none()) {
            purse = purse.saturating_sub(most_wei(tx.gas_limit, tx.newest().max_fee_wei));
        }
        let mut signed_any = false;
        let mut groups =
            VecDeque::from(batch::group(self.ready(planned, room, now).await?, GAS_MAX));
        while let Some(group) = groups.pop_front().filter(|_| room > 0) {
            let Some((data, gas)) = self.price(&group).await? else {
                // Together they fail, though each of them would not: then one after another.
                groups.extend(group.into_iter().map(|item| vec![item]));
                continue;
            };
            let draft = Draft {
                to: self.contract,
                data: data.into(),
                gas_limit: with_margin(gas),
                fees,
                at_block: now.head.block.number,
                filler: false,
            };
            let intents = group.iter().map(|item| item.row.id).collect();
            if self.sign(intents, draft, &mut purse, fence).await? {
                metrics::histogram!("gristmill_chain_intents_per_transaction")
                    .record(u32::try_from(group.len()).unwrap_or(u32::MAX));
                signed_any = true;
                room -= 1;
            }
        }
        Ok(signed_any)
    }

    /// Calldata and gas of a group; nothing where it would fail as a whole.
    async fn price(&self, group: &[Ready]) -> Result<Option<(Vec<u8>, u64)>, ChainError> {
        let Some(data) = batch::calldata(group) else { return Ok(None) };
        if let [alone] = group {
            return Ok(Some((data, alone.gas)));
        }
        Ok(match self.rpc.simulate_pending(self.address(), &data).await? {
            Simulation::Succeeds { gas } => Some((data, gas)),
            Simulation::Reverts(revert) => {
                tracing::warn!(revert = call::describe(&revert), "a batch is taken apart");
                None
            }
        })
    }

    /// What the contract would accept now. The rest is postponed or given up.
    async fn ready(
        &mut self,
        planned: Vec<IntentRow>,
        room: usize,
        now: &ChainNow,
    ) -> Result<Vec<Ready>, ChainError> {
        let ids: Vec<IntentId> = planned.iter().map(|row| row.id).collect();
        let calls = self.read_calls(&ids).await?;
        for row in planned.iter().filter(|row| !calls.iter().any(|call| call.row.id == row.id)) {
            self.give_up(row.id, "its job is not known any more".to_owned()).await?;
        }
        let (wanted, pointless): (Vec<Ready>, Vec<Ready>) =
            calls.into_iter().partition(|call| call.row.intent.is_wanted(&call.job));
        for call in pointless {
            self.give_up(call.row.id, "it became pointless before it was signed".to_owned())
                .await?;
        }
        let this = &*self;
        let tried = futures_util::stream::iter(batch::within(wanted, room))
            .map(|call| async move {
                let answer = this.try_alone(&call, now).await?;
                Ok::<_, ChainError>((call, answer))
            })
            .buffered(SIMULATIONS_AT_ONCE)
            .try_collect::<Vec<(Ready, Option<Simulation>)>>()
            .await?;
        let mut ready = Vec::new();
        for (call, answer) in tried {
            match answer {
                None => {
                    let reason = "its order does not prove that the job is part of it";
                    self.give_up(call.row.id, reason.to_owned()).await?;
                }
                Some(Simulation::Succeeds { gas }) if with_margin(gas) > GAS_MAX => {
                    let reason =
                        format!("it needs {gas} gas, and a transaction can carry {GAS_MAX}");
                    self.give_up(call.row.id, reason).await?;
                }
                Some(Simulation::Succeeds { gas }) => ready.push(Ready { gas, ..call }),
                Some(Simulation::Reverts(revert)) => self.refused(&call.row, &revert, now).await?,
            }
        }
        Ok(ready)
    }

    /// What would happen to an intent alone, on top of what is waiting to be mined; nothing where there is no call for it.
    async fn try_alone(
        &self,
        call: &Ready,
        now: &ChainNow,
    ) -> Result<Option<Simulation>, ChainError> {
        let Some(data) = batch::calldata(std::slice::from_ref(call)) else { return Ok(None) };
        let answer = self.rpc.simulate_pending(self.address(), &data).await?;
        if let (Simulation::Succeeds { .. }, true) = (&answer, call.opens())
            && let Some(revert) = self.would_skip(&call.job, now.head.block.number).await?
        {
            return Ok(Some(Simulation::Reverts(revert)));
        }
        Ok(Some(answer))
    }

    /// Why an order would not open a job: the verb for many leaves it out without an error.
    async fn would_skip(&self, job: &Job, block: u64) -> Result<Option<Revert>, ChainError> {
        let stored = self.rpc.job_at(job.id, block).await?;
        if stored.state != EscrowState::None {
            return Ok(Some(call::already(job.id, stored.state)));
        }
        let (owner, token, required) = (job.terms.submitter, job.terms.token, job.terms.bounty);
        let available = self.rpc.balance_at(owner, token, block).await?;
        Ok((available < U256::from(required.0)).then(|| call::too_little(job, available)))
    }

    async fn refused(
        &self,
        row: &IntentRow,
        revert: &Revert,
        now: &ChainNow,
    ) -> Result<(), ChainError> {
        let why = call::describe(revert);
        let tries_max = if call::opens(row.intent.kind()) { OPEN_TRIES_MAX } else { TRIES_MAX };
        match call::judge(row.intent.kind(), revert, now.head.timestamp_s) {
            Refusal::ForNow if row.tries < tries_max => {
                let wait_ms = (BACKOFF_MS << row.tries.min(16)).min(BACKOFF_MS_MAX);
                let (id, at) = (row.id, self.clock.now().plus_millis(wait_ms));
                tracing::debug!(intent = id.0, revert = why, wait_ms, "refused for now");
                self.turns
                    .write("chain_postpone", move |rows| rows.postpone_intent(id, at))
                    .await?;
                Ok(())
            }
            Refusal::ForNow | Refusal::ForGood => {
                self.give_up(row.id, format!("the contract refuses it: {why}")).await
            }
        }
    }

    pub(super) async fn balance(&self) -> Result<U256, ChainError> {
        let balance = self.rpc.balance(self.address()).await?;
        metrics::gauge!("gristmill_chain_signer_balance_wei").set(f64::from(balance));
        Ok(balance)
    }

    /// Stores a signed transaction for the intents; false where there is no money for its gas, or no right to sign.
    async fn sign(
        &mut self,
        intents: Vec<IntentId>,
        draft: Draft,
        purse: &mut U256,
        fence: u64,
    ) -> Result<bool, ChainError> {
        let Some(left) = purse.checked_sub(most_wei(draft.gas_limit, draft.fees.max_wei)) else {
            // It stays planned, and takes a nonce when there is something to pay it with.
            self.alarm_money(draft.at_block);
            return Ok(false);
        };
        let (signer, chain_id) = (self.signer.clone(), self.chain_id);
        let stored = self
            .turns
            .write("chain_sign", move |rows| {
                if rows.payout_stop()?.is_some() {
                    return Ok(None);
                }
                // Under the lock on the signer's row: the nonce, the bytes and the intents are stored together or not at all.
                let Some(nonce) = rows.take_nonce(signer.address(), fence)? else {
                    return Ok(None);
                };
                let Some(broadcast) = sign(&draft, nonce, chain_id, &signer) else {
                    return Ok(None);
                };
                let tx = NewTx {
                    signer: signer.address(),
                    nonce,
                    intents: intents.clone(),
                    gas_limit: draft.gas_limit,
                    broadcast,
                };
                rows.insert_tx(&tx)?;
                Ok(Some(nonce))
            })
            .await?;
        let Some(nonce) = stored else { return Ok(false) };
        *purse = left;
        self.memory.next_nonce = Some(nonce.saturating_add(1));
        Ok(true)
    }

    /// What is offered, at most the ceiling.
    pub(super) fn offer(&self, wanted: Fees, now: &ChainNow) -> Fees {
        if wanted.max_wei > self.fee_ceiling_wei {
            tracing::warn!(
                wanted_wei = wanted.max_wei,
                ceiling_wei = self.fee_ceiling_wei,
                block = now.head.block.number,
                "the chain's fees are above the ceiling; the ceiling is offered"
            );
        }
        let max_wei = wanted.max_wei.min(self.fee_ceiling_wei);
        Fees { max_wei, priority_wei: wanted.priority_wei.min(max_wei) }
    }
}
