//! The chain sender: planned intents become transactions, each mined once.
//!
//! The order is what makes it safe. A nonce is taken, the transaction is signed and its bytes are stored in one commit, and
//! only then are they sent; so after a crash the same bytes are sent again, and an error while sending proves nothing. A
//! nonce that was taken is never given up: if its intent became pointless, a transfer of nothing uses it up. Only the lowest
//! nonce that is not mined is ever priced anew. The contract does the rest: it acts at most once for each job.

use std::collections::HashMap;
use std::sync::Arc;

use alloy::primitives::{Bytes, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::signers::local::PrivateKeySigner;
use futures_util::{StreamExt, TryStreamExt};
use gristmill_market::Command;
use gristmill_protocol::Address;
use gristmill_protocol::ids::TxHash;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::chain_rpc::{CallError, ChainRpc, Fees, Simulation};
use super::chain_watcher::{ChainError, ChainNow};
use crate::clock::Clock;
use crate::store::chain::{
    BlockRef, Inclusion, IntentId, ReplicaId, SignerClaim, TxId, TxRow, TxState,
};
use crate::store::{self, Store};
use crate::turn::{Refused, Turns};
use crate::wake::Wake;

mod batch;
pub mod call;
mod draft;
mod sign;

use batch::Ready;
use call::Refusal;
use draft::{Draft, raise, sign, with_margin};

/// Nonces that are taken and not mined at the same time. Pools keep at least as many of one account.
const OPEN_MAX: usize = 16;
/// What a transaction may use on U2U, where a larger one is dropped from the pool.
const GAS_MAX: u64 = 9_980_000;
/// What a transfer of nothing uses.
const FILLER_GAS: u64 = 21_000;
/// Blocks after which a transaction that is still not mined is priced anew.
const BUMP_AFTER_BLOCKS: u64 = 2;
/// How long this replica alone may send, from its last look on.
const LEASE_MS: u64 = 30_000;
/// How long to wait when another replica sends, or when something failed.
const RETRY_MS: u64 = 2_000;
/// Receipts that are asked for at once.
const RECEIPTS_AT_ONCE: usize = 8;
/// Failed intents that are reported in one step.
const REPORTS_MAX: usize = 64;

/// Sends for one signer.
pub struct ChainSender {
    pub rpc: Arc<ChainRpc>,
    pub store: Arc<dyn Store>,
    pub turns: Turns,
    pub wake: Arc<Wake>,
    pub clock: Clock,
    pub signer: PrivateKeySigner,
    pub replica: ReplicaId,
    pub chain_id: u64,
    pub contract: Address,
    pub finality_depth: u64,
    /// The most that is offered for a unit of gas.
    pub fee_ceiling_wei: u64,
    pub now: watch::Receiver<Option<ChainNow>>,
    pub memory: Memory,
}

/// What one process remembers between steps. All of it can be lost.
#[derive(Debug, Default)]
pub struct Memory {
    fence: Option<u64>,
    /// How many reorganizations there had been when everything open was sent the last time; nothing after a start.
    sent_at_reorgs: Option<u64>,
    /// Transactions whose nonce is used up and that no receipt shows, and at which block that was seen first.
    missing: HashMap<TxId, u64>,
    /// The nonce that the next transaction takes, as far as this process alone takes any.
    next_nonce: Option<u64>,
    /// The newest block when everything open was sent the last time.
    sent_at_block: u64,
    /// The blocks at which the alarms about the ceiling and about gas money were raised last.
    ceiling_alarm_at: Option<u64>,
    money_alarm_at: Option<u64>,
}

/// Something that a step found out about a transaction.
#[derive(Clone, Debug)]
enum Finding {
    Mined { tx: TxId, inclusion: Inclusion },
    Unmined { tx: TxId },
    Final { tx: TxId, failures: Vec<(IntentId, String)> },
    Lost { tx: TxId },
}

impl ChainSender {
    fn address(&self) -> Address {
        self.signer.address()
    }

    /// Sends until it is told to stop. It looks when an intent was planned, when a block came, and when an intent is to be
    /// tried again; never otherwise.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let wake = Arc::clone(&self.wake);
            let planned = wake.chain_sender.notified();
            // A step can be cut off anywhere: what it had not done is done after the next start.
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.step() => outcome,
            };
            let again_at = match outcome {
                Ok(true) => match store::read(&self.store, |rows| rows.next_intent_at()).await {
                    // One that is due already waits for room, so for a block.
                    Ok(next) => next.filter(|next| *next > self.clock.now()),
                    Err(_) => Some(self.clock.now().plus_millis(RETRY_MS)),
                },
                Ok(false) => Some(self.clock.now().plus_millis(RETRY_MS)),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the chain sender will try again"
                    );
                    Some(self.clock.now().plus_millis(RETRY_MS))
                }
            };
            let again = async {
                match again_at {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = planned => {}
                changed = self.now.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = again => {}
            }
        }
    }

    /// Does what can be done now; false where another replica sends, or where no block has been seen yet.
    pub async fn step(&mut self) -> Result<bool, ChainError> {
        let Some(now) = *self.now.borrow_and_update() else { return Ok(false) };
        let mined_nonce = self.rpc.nonce(self.address()).await?;
        let final_nonce = self.final_nonce(&now).await?;
        let Some(fence) = self.lease(final_nonce).await? else { return Ok(false) };
        let mut open = self.open().await?;
        if self.follow(&open, mined_nonce, final_nonce, &now, fence).await? {
            open = self.open().await?;
        }
        self.report_failures().await?;
        let signed = self.sign_planned(&open, &now, fence).await;
        if !matches!(signed, Ok(false)) {
            open = self.open().await?;
        }
        // What is signed goes on, also where something new cannot be signed.
        self.send_stored(&open, &now).await?;
        self.bump_lowest(&open, mined_nonce, &now, fence).await?;
        signed.map(|_| true)
    }

    /// Signs and stores what is planned, and sends nothing: a step that is cut off right before sending.
    pub async fn sign_only(&mut self) -> Result<bool, ChainError> {
        let Some(now) = *self.now.borrow_and_update() else { return Ok(false) };
        let final_nonce = self.final_nonce(&now).await?;
        let Some(fence) = self.lease(final_nonce).await? else { return Ok(false) };
        let open = self.open().await?;
        self.sign_planned(&open, &now, fence).await
    }

    async fn open(&self) -> Result<Vec<TxRow>, ChainError> {
        let signer = self.address();
        Ok(store::read(&self.store, move |rows| rows.open_txs(signer, OPEN_MAX)).await?)
    }

    /// How many transactions of the signer are final. What somebody else did with the key counts only then: before that a
    /// reorganization could take it back, and leave a hole that nobody fills.
    async fn final_nonce(&self, now: &ChainNow) -> Result<u64, ChainError> {
        let head = now.head.block.number;
        match head.saturating_add(1).checked_sub(self.finality_depth) {
            Some(number) => Ok(self.rpc.nonce_by(self.address(), number).await?),
            None => Ok(0),
        }
    }

    async fn lease(&mut self, chain_nonce: u64) -> Result<Option<u64>, ChainError> {
        let now = self.clock.now();
        let claim = SignerClaim {
            signer: self.address(),
            replica: self.replica,
            fence: self.memory.fence,
            chain_nonce,
            now,
            until: now.plus_millis(LEASE_MS),
        };
        let lease = self.turns.write("chain_lease", move |rows| rows.lease_signer(&claim)).await?;
        let fence = lease.map(|lease| lease.fence);
        let next_nonce = lease.map(|lease| lease.next_nonce);
        if fence == self.memory.fence && next_nonce > self.memory.next_nonce {
            self.alarm_foreign(self.memory.next_nonce);
        }
        self.memory.fence = fence;
        self.memory.next_nonce = next_nonce;
        Ok(fence)
    }

    /// Looks for receipts: what is mined, what is final, and what can never be mined. Whether anything was found.
    async fn follow(
        &mut self,
        open: &[TxRow],
        mined_nonce: u64,
        final_nonce: u64,
        now: &ChainNow,
        fence: u64,
    ) -> Result<bool, ChainError> {
        let head = now.head.block.number;
        let (used, unused): (Vec<TxRow>, Vec<TxRow>) =
            open.iter().cloned().partition(|tx| tx.nonce < mined_nonce);
        let mut findings = Vec::new();
        for tx in &unused {
            // It was found in a block just when that block was replaced. An endpoint that lags behind has no such block.
            if let Some(inclusion) = tx.inclusion
                && let Some(found) = self.rpc.header_at(inclusion.block.number).await?
                && found.block != inclusion.block
            {
                findings.push(Finding::Unmined { tx: tx.id });
            }
        }
        let rpc = &self.rpc;
        let inclusions: Vec<(TxRow, Option<Inclusion>)> = futures_util::stream::iter(used)
            .map(|tx| async move {
                let inclusion = find_inclusion(rpc, &tx).await?;
                Ok::<_, CallError>((tx, inclusion))
            })
            .buffered(RECEIPTS_AT_ONCE)
            .try_collect()
            .await?;
        for (tx, inclusion) in inclusions {
            let Some(inclusion) = inclusion else {
                if tx.state == TxState::Mined {
                    findings.push(Finding::Unmined { tx: tx.id });
                } else if tx.nonce < final_nonce {
                    // Endpoints behind one address may lag behind each other: only what is missing at two blocks is lost.
                    let first = *self.memory.missing.entry(tx.id).or_insert(head);
                    if head > first {
                        findings.push(Finding::Lost { tx: tx.id });
                    }
                }
                continue;
            };
            self.memory.missing.remove(&tx.id);
            if tx.inclusion != Some(inclusion) {
                findings.push(Finding::Mined { tx: tx.id, inclusion });
            }
            let covered_to = inclusion.block.number.saturating_add(self.finality_depth);
            if covered_to <= head.saturating_add(1) && self.is_followed(inclusion.block).await? {
                let failures = self.failures(&tx, &inclusion).await?;
                findings.push(Finding::Final { tx: tx.id, failures });
            }
        }
        if findings.is_empty() {
            return Ok(false);
        }
        for finding in &findings {
            if let Finding::Lost { tx } = finding {
                let lost = open.iter().find(|row| row.id == *tx);
                self.alarm_foreign(lost.map(|tx| tx.nonce));
                self.memory.missing.remove(tx);
            }
        }
        let signer = self.address();
        self.turns
            .write("chain_findings", move |rows| {
                if !rows.holds_signer(signer, fence)? {
                    return Ok(());
                }
                for finding in &findings {
                    match finding {
                        Finding::Mined { tx, inclusion } => rows.mark_mined(*tx, inclusion)?,
                        Finding::Unmined { tx } => rows.unmark_mined(*tx)?,
                        Finding::Lost { tx } => rows.mark_lost(*tx)?,
                        Finding::Final { tx, failures } => {
                            rows.mark_final(*tx)?;
                            for (intent, reason) in failures {
                                rows.fail_intent(*intent, reason)?;
                            }
                        }
                    }
                }
                Ok(())
            })
            .await?;
        Ok(true)
    }

    /// Whether a block belongs to the history that the watcher follows, as far back as it remembers: an endpoint on another
    /// branch may have answered.
    async fn is_followed(&self, block: BlockRef) -> Result<bool, ChainError> {
        let window = store::read(&self.store, |rows| rows.chain_window()).await?;
        let known = window.iter().find(|known| known.number == block.number);
        Ok(known.is_none_or(|known| *known == block))
    }

    /// Which intents a transaction that is final has not done, and why.
    async fn failures(
        &self,
        tx: &TxRow,
        inclusion: &Inclusion,
    ) -> Result<Vec<(IntentId, String)>, ChainError> {
        let all = |reason: &str| {
            tx.intents.iter().map(|intent| (*intent, reason.to_owned())).collect::<Vec<_>>()
        };
        if tx.is_filler(&inclusion.hash) {
            return Ok(all(
                "it became pointless before it was mined, and its nonce was used up instead",
            ));
        }
        let calls = self.read_calls(&tx.intents).await?;
        if inclusion.success {
            if !batch::may_skip(&calls) {
                return Ok(Vec::new());
            }
            let receipt = self.rpc.receipt(inclusion.hash).await?;
            let receipt =
                receipt.ok_or(CallError::Inconsistent("a receipt that it had is gone"))?;
            let skipped = batch::skipped(&receipt, self.contract);
            let reason = |call: &Ready| {
                let reason = skipped.get(&call.job.id)?;
                Some((call.row.id, format!("the contract left it out: {reason}")))
            };
            return Ok(calls.iter().filter_map(reason).collect());
        }
        // The receipt does not say why. The block before it does, unless the reason came within the block itself.
        let before = inclusion.block.number.saturating_sub(1);
        let reason = match batch::calldata(&calls) {
            Some(data) => match self.rpc.simulate_at(self.address(), &data, before).await {
                Ok(Simulation::Reverts(revert)) => call::describe(&revert),
                Ok(Simulation::Succeeds { .. }) | Err(_) => {
                    "the contract does not say why".to_owned()
                }
            },
            None => "its job is not known any more".to_owned(),
        };
        tracing::error!(tx = %inclusion.hash, reason, "a transaction was mined and reverted");
        metrics::counter!("gristmill_chain_reverts_total").increment(1);
        Ok(all(&format!("the transaction {} was mined and reverted: {reason}", inclusion.hash)))
    }

    /// Tells the rules what can never be mined.
    async fn report_failures(&self) -> Result<(), ChainError> {
        let failed = store::read(&self.store, |rows| rows.unreported_intents(REPORTS_MAX)).await?;
        if failed.is_empty() {
            return Ok(());
        }
        let commands = failed
            .iter()
            .map(|row| Command::IntentFailed {
                intent: row.intent.reference(),
                reason: row.failure.clone().unwrap_or_default(),
            })
            .collect();
        let outcomes = self.turns.submit_all(commands).await;
        let mut heard = Vec::new();
        for (row, outcome) in failed.iter().zip(outcomes) {
            match outcome {
                // A refusal says that nobody waits for the intent any more.
                Ok(_) | Err(Refused::Rejected(_) | Refused::Failed | Refused::KeyReused) => {
                    heard.push(row.id)
                }
                Err(Refused::Unavailable) => {}
            }
        }
        self.turns
            .write("chain_reports", move |rows| {
                heard.iter().try_for_each(|id| rows.report_intent(*id))
            })
            .await?;
        Ok(())
    }

    async fn give_up(&self, intent: IntentId, reason: String) -> Result<(), ChainError> {
        tracing::warn!(intent = intent.0, reason, "an intent is given up");
        metrics::counter!("gristmill_chain_intents_failed_total").increment(1);
        self.turns.write("chain_give_up", move |rows| rows.fail_intent(intent, &reason)).await?;
        // Reported in the next step, which a wake brings.
        self.wake.chain_sender.notify_one();
        Ok(())
    }

    /// Intents with their jobs; those whose job is gone are left out.
    async fn read_calls(&self, intents: &[IntentId]) -> Result<Vec<Ready>, ChainError> {
        let intents = intents.to_vec();
        Ok(store::read(&self.store, move |rows| {
            let mut calls = Vec::new();
            for intent in &intents {
                let Some(row) = rows.intent(*intent)? else { continue };
                let Some(job) = rows.job(row.intent.job)? else { continue };
                calls.push(Ready { row, job, gas: 0 });
            }
            Ok(calls)
        })
        .await?)
    }

    /// Sends what was stored and perhaps never sent; after a start or a reorganization everything that is not mined.
    async fn send_stored(&mut self, open: &[TxRow], now: &ChainNow) -> Result<(), ChainError> {
        let everything = self.memory.sent_at_reorgs != Some(now.reorgs);
        let waiting: Vec<&TxRow> = open
            .iter()
            .filter(|tx| match tx.state {
                TxState::Signed => true,
                TxState::Sent => everything,
                TxState::Mined | TxState::Final | TxState::Lost => false,
            })
            .collect();
        let mut sent = Vec::new();
        for tx in waiting {
            self.taken(self.rpc.send(&tx.newest().raw).await, now)?;
            sent.push(tx.id);
        }
        if !sent.is_empty() {
            self.turns
                .write("chain_sent", move |rows| sent.iter().try_for_each(|tx| rows.mark_sent(*tx)))
                .await?;
        }
        if everything {
            self.memory.sent_at_block = now.head.block.number;
        }
        self.memory.sent_at_reorgs = Some(now.reorgs);
        Ok(())
    }

    /// What an endpoint says of bytes that were sent. That it refuses them changes nothing: they may be known, mined or
    /// replaced already.
    fn taken(&mut self, answer: Result<(), CallError>, now: &ChainNow) -> Result<(), ChainError> {
        match answer {
            Ok(()) => Ok(()),
            Err(CallError::Refused(message)) => {
                metrics::counter!("gristmill_chain_sends_refused_total").increment(1);
                if message.to_lowercase().contains("insufficient funds") {
                    self.alarm_money(now.head.block.number);
                } else {
                    tracing::debug!(message, "a transaction was not taken");
                }
                Ok(())
            }
            Err(
                error @ (CallError::Unreachable(_)
                | CallError::TooSlow(_)
                | CallError::TooLarge(_)
                | CallError::Inconsistent(_)),
            ) => Err(error.into()),
        }
    }

    /// Sends again what waits behind a transaction that is stuck: whatever made it stuck may have met all.
    async fn send_again(&mut self, open: &[TxRow], now: &ChainNow) -> Result<(), ChainError> {
        for tx in open.iter().filter(|tx| tx.inclusion.is_none()) {
            self.taken(self.rpc.send_everywhere(&tx.newest().raw).await, now)?;
        }
        metrics::counter!("gristmill_chain_resends_total").increment(1);
        Ok(())
    }

    /// Prices the lowest nonce that is not mined anew, where it has waited long enough.
    async fn bump_lowest(
        &mut self,
        open: &[TxRow],
        mined_nonce: u64,
        now: &ChainNow,
        fence: u64,
    ) -> Result<(), ChainError> {
        let head = now.head.block.number;
        let lowest = open.iter().find(|tx| matches!(tx.state, TxState::Signed | TxState::Sent));
        let Some(tx) = lowest.filter(|tx| {
            let sent_at = tx.newest().at_block.max(self.memory.sent_at_block);
            tx.nonce == mined_nonce && head >= sent_at.saturating_add(BUMP_AFTER_BLOCKS)
        }) else {
            return Ok(());
        };
        let newest = tx.newest();
        if self.balance().await? < most_wei(tx.gas_limit, newest.max_fee_wei) {
            // A higher fee would be even less affordable.
            self.alarm_money(head);
            return self.send_again(open, now).await;
        }
        let wanted = self.rpc.fees().await?;
        let (Some(fees), false) = (
            raise(newest, wanted, self.fee_ceiling_wei),
            newest.max_fee_wei >= self.fee_ceiling_wei,
        ) else {
            self.alarm_ceiling(newest.max_fee_wei, head);
            return self.send_again(open, now).await;
        };
        let draft = match self.redraft(tx, fees, now).await? {
            Some(draft) => draft,
            None => return Ok(()),
        };
        tracing::info!(
            nonce = tx.nonce,
            max_fee_wei = fees.max_wei,
            filler = draft.filler,
            "a transaction that is not mined is priced anew"
        );
        metrics::counter!("gristmill_chain_bumps_total").increment(1);
        let (signer, chain_id, nonce, id) = (self.signer.clone(), self.chain_id, tx.nonce, tx.id);
        self.turns
            .write("chain_bump", move |rows| {
                if rows.holds_signer(signer.address(), fence)?
                    && let Some(broadcast) = sign(&draft, nonce, chain_id, &signer)
                {
                    rows.insert_broadcast(id, &broadcast)?;
                }
                Ok(())
            })
            .await?;
        let open = self.open().await?;
        self.send_again(&open, now).await
    }

    /// What the nonce of `tx` is to be used for now: its intents, or nothing if the contract would refuse them for good.
    async fn redraft(
        &self,
        tx: &TxRow,
        fees: Fees,
        now: &ChainNow,
    ) -> Result<Option<Draft>, ChainError> {
        let filler = Draft {
            to: self.address(),
            data: Bytes::new(),
            gas_limit: FILLER_GAS,
            fees,
            at_block: now.head.block.number,
            filler: true,
        };
        if tx.newest().filler {
            return Ok(Some(filler));
        }
        let calls = self.read_calls(&tx.intents).await?;
        // As long as one of them is wanted all stay: the contract leaves out what has become pointless.
        let Some(first) = calls.iter().find(|call| call.row.intent.is_wanted(&call.job)) else {
            return Ok(Some(filler));
        };
        let kind = first.row.intent.kind();
        let Some(data) = batch::calldata(&calls) else { return Ok(None) };
        let gas_limit = match self.rpc.simulate_latest(self.address(), &data).await? {
            Simulation::Succeeds { gas } => with_margin(gas).max(tx.gas_limit),
            Simulation::Reverts(revert) => {
                match call::judge(kind, &revert, now.head.timestamp_s) {
                    Refusal::ForGood => return Ok(Some(filler)),
                    // By the time it is mined it may succeed.
                    Refusal::ForNow => tx.gas_limit,
                }
            }
        };
        Ok(Some(Draft { data: data.into(), to: self.contract, gas_limit, filler: false, ..filler }))
    }

    /// Says that no more will be offered, once a block.
    fn alarm_ceiling(&mut self, offered_wei: u64, head: u64) {
        if self.memory.ceiling_alarm_at.replace(head) == Some(head) {
            return;
        }
        metrics::counter!("gristmill_chain_fee_ceiling_reached_total").increment(1);
        tracing::error!(
            offered_wei,
            ceiling_wei = self.fee_ceiling_wei,
            "a transaction is not mined at the highest fee that is allowed: raise `chain.fee_ceiling_gwei`, or wait for lower fees"
        );
    }

    /// Says that gas cannot be paid, once a block.
    fn alarm_money(&mut self, head: u64) {
        if self.memory.money_alarm_at.replace(head) == Some(head) {
            return;
        }
        metrics::counter!("gristmill_chain_out_of_gas_money_total").increment(1);
        tracing::error!(signer = %self.address(), "the scheduler's account cannot pay for gas: send it some coin");
    }

    /// Says that a nonce was used that this scheduler did not use.
    fn alarm_foreign(&self, nonce: Option<u64>) {
        metrics::counter!("gristmill_chain_nonces_lost_total").increment(1);
        tracing::error!(
            signer = %self.address(),
            nonce,
            "somebody else uses the scheduler's key: find out who, and give each scheduler a key of its own"
        );
    }
}

/// The most that a transaction can cost.
fn most_wei(gas_limit: u64, max_fee_wei: u64) -> U256 {
    U256::from(gas_limit) * U256::from(max_fee_wei)
}

/// The block that holds one of the versions of a transaction.
async fn find_inclusion(rpc: &ChainRpc, tx: &TxRow) -> Result<Option<Inclusion>, CallError> {
    for broadcast in tx.broadcasts.iter().rev() {
        if let Some(receipt) = rpc.receipt(broadcast.hash).await?
            && let Some(inclusion) = inclusion(broadcast.hash, &receipt)
        {
            return Ok(Some(inclusion));
        }
    }
    Ok(None)
}

fn inclusion(hash: TxHash, receipt: &TransactionReceipt) -> Option<Inclusion> {
    let block = BlockRef { number: receipt.block_number?, hash: receipt.block_hash? };
    Some(Inclusion { block, hash, gas_used: receipt.gas_used, success: receipt.status() })
}
