//! The chain sender: planned intents become transactions, each mined once.
//!
//! The order is what makes it safe. A nonce is taken, the transaction is signed and its bytes are stored in one commit, and
//! only then are they sent; so after a crash the same bytes are sent again, and an error while sending proves nothing. A
//! nonce that was taken is never given up: if its intent became pointless, a transfer of nothing uses it up. Only the lowest
//! nonce that is not mined is ever priced anew. The contract does the rest: it acts at most once for each job.

use std::collections::HashMap;
use std::sync::Arc;

use alloy::consensus::{SignableTransaction, TxEip1559};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Bytes, TxKind, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::signers::SignerSync;
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
    BlockRef, Broadcast, Inclusion, IntentId, IntentRow, NewTx, ReplicaId, SignerClaim, TxId,
    TxRow, TxState,
};
use crate::store::{self, Store};
use crate::turn::{Refused, Turns};
use crate::wake::Wake;

pub mod call;

use call::Refusal;

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
/// An intent that is refused for now is tried again after this, then after twice that, and so on up to the longest.
const BACKOFF_MS: u64 = 500;
const BACKOFF_MS_MAX: u64 = 30_000;
/// An intent that is refused for now this often is given up; the rules plan it again if they still want it.
const TRIES_MAX: u32 = 20;
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
    /// The block at which the alarm about the ceiling was raised last.
    alarmed_at: Option<u64>,
}

/// Something that a step found out about a transaction.
#[derive(Clone, Debug)]
enum Finding {
    Mined { tx: TxId, inclusion: Inclusion },
    Unmined { tx: TxId },
    Final { tx: TxId, intent: IntentId, failure: Option<String> },
    Lost { tx: TxId },
}

/// What is to be signed, under a nonce that is not known yet.
#[derive(Clone, Debug)]
struct Draft {
    to: Address,
    data: Bytes,
    gas_limit: u64,
    fees: Fees,
    at_block: u64,
    filler: bool,
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
            let again_at = match self.step().await {
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
        let Some(fence) = self.lease(mined_nonce).await? else { return Ok(false) };
        let mut open = self.open().await?;
        if self.follow(&open, mined_nonce, &now, fence).await? {
            open = self.open().await?;
        }
        self.report_failures().await?;
        if self.sign_planned(&open, &now, fence).await? {
            open = self.open().await?;
        }
        self.send_stored(&open, &now).await?;
        self.bump_lowest(&open, mined_nonce, &now, fence).await?;
        Ok(true)
    }

    /// Signs and stores what is planned, and sends nothing: a step that is cut off right before sending.
    pub async fn sign_only(&mut self) -> Result<bool, ChainError> {
        let Some(now) = *self.now.borrow_and_update() else { return Ok(false) };
        let mined_nonce = self.rpc.nonce(self.address()).await?;
        let Some(fence) = self.lease(mined_nonce).await? else { return Ok(false) };
        let open = self.open().await?;
        self.sign_planned(&open, &now, fence).await
    }

    async fn open(&self) -> Result<Vec<TxRow>, ChainError> {
        let signer = self.address();
        Ok(store::read(&self.store, move |rows| rows.open_txs(signer, OPEN_MAX)).await?)
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
        self.memory.fence = lease.map(|lease| lease.fence);
        Ok(self.memory.fence)
    }

    /// Looks for receipts: what is mined, what is final, and what can never be mined. Whether anything was found.
    async fn follow(
        &mut self,
        open: &[TxRow],
        mined_nonce: u64,
        now: &ChainNow,
        fence: u64,
    ) -> Result<bool, ChainError> {
        let used: Vec<TxRow> = open.iter().filter(|tx| tx.nonce < mined_nonce).cloned().collect();
        if used.is_empty() {
            return Ok(false);
        }
        let head = now.head.block.number;
        let final_nonce = match (head + 1).checked_sub(self.finality_depth) {
            Some(number) => self.rpc.nonce_by(self.address(), number).await?,
            None => 0,
        };
        let rpc = &self.rpc;
        let inclusions: Vec<(TxRow, Option<Inclusion>)> = futures_util::stream::iter(used)
            .map(|tx| async move {
                let inclusion = find_inclusion(rpc, &tx).await?;
                Ok::<_, CallError>((tx, inclusion))
            })
            .buffered(RECEIPTS_AT_ONCE)
            .try_collect()
            .await?;
        let mut findings = Vec::new();
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
            if inclusion.block.number + self.finality_depth <= head + 1 {
                let failure = self.failure(&tx, &inclusion).await?;
                findings.push(Finding::Final { tx: tx.id, intent: tx.intent, failure });
            }
        }
        if findings.is_empty() {
            return Ok(false);
        }
        for finding in &findings {
            if let Finding::Lost { tx } = finding {
                tracing::warn!(
                    tx = tx.0,
                    "somebody else uses the scheduler's key: a nonce is gone, and its intent takes another one"
                );
                metrics::counter!("gristmill_chain_nonces_lost_total").increment(1);
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
                        Finding::Final { tx, intent, failure } => {
                            rows.mark_final(*tx)?;
                            if let Some(reason) = failure {
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

    /// Why a transaction that is final did not do what its intent wants, if so.
    async fn failure(
        &self,
        tx: &TxRow,
        inclusion: &Inclusion,
    ) -> Result<Option<String>, ChainError> {
        if tx.is_filler(&inclusion.hash) {
            return Ok(Some(
                "it became pointless before it was mined, and its nonce was used up instead"
                    .to_owned(),
            ));
        }
        if inclusion.success {
            return Ok(None);
        }
        // The receipt does not say why. The block before it does, unless the reason came within the block itself.
        let before = inclusion.block.number.saturating_sub(1);
        let reason = match self.read_call(tx.intent).await? {
            Some((_, data)) => match self.rpc.simulate_at(self.address(), &data, before).await {
                Ok(Simulation::Reverts(revert)) => call::describe(&revert),
                Ok(Simulation::Succeeds { .. }) | Err(_) => {
                    "the contract does not say why".to_owned()
                }
            },
            None => "its job is not known any more".to_owned(),
        };
        tracing::error!(tx = %inclusion.hash, reason, "a transaction was mined and reverted");
        metrics::counter!("gristmill_chain_reverts_total").increment(1);
        Ok(Some(format!("the transaction {} was mined and reverted: {reason}", inclusion.hash)))
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

    /// Gives planned intents a nonce, signs and stores them. Whether there were any.
    async fn sign_planned(
        &self,
        open: &[TxRow],
        now: &ChainNow,
        fence: u64,
    ) -> Result<bool, ChainError> {
        let room = OPEN_MAX.saturating_sub(open.len());
        let at = self.clock.now();
        let planned = store::read(&self.store, move |rows| rows.planned_intents(at, room)).await?;
        if planned.is_empty() {
            return Ok(false);
        }
        let fees = self.offer(self.rpc.fees().await?, now);
        let mut signed_any = false;
        for row in planned {
            signed_any |= self.sign(row, fees, now, fence).await?;
        }
        Ok(signed_any)
    }

    async fn sign(
        &self,
        row: IntentRow,
        fees: Fees,
        now: &ChainNow,
        fence: u64,
    ) -> Result<bool, ChainError> {
        let Some((wanted, data)) = self.read_call(row.id).await? else {
            self.give_up(row.id, "its job is not known any more".to_owned()).await?;
            return Ok(false);
        };
        if !wanted {
            self.give_up(row.id, "it became pointless before it was signed".to_owned()).await?;
            return Ok(false);
        }
        let gas_limit = match self.rpc.simulate_pending(self.address(), &data).await? {
            Simulation::Succeeds { gas } => with_margin(gas),
            Simulation::Reverts(revert) => {
                match call::judge(row.intent.kind(), &revert, now.head.timestamp_s) {
                    Refusal::ForNow if row.tries < TRIES_MAX => {
                        let wait_ms = (BACKOFF_MS << row.tries.min(16)).min(BACKOFF_MS_MAX);
                        let at = self.clock.now().plus_millis(wait_ms);
                        tracing::debug!(
                            intent = row.id.0,
                            revert = call::describe(&revert),
                            wait_ms,
                            "refused for now"
                        );
                        self.turns
                            .write("chain_postpone", move |rows| rows.postpone_intent(row.id, at))
                            .await?;
                    }
                    Refusal::ForNow | Refusal::ForGood => {
                        self.give_up(
                            row.id,
                            format!("the contract refuses it: {}", call::describe(&revert)),
                        )
                        .await?;
                    }
                }
                return Ok(false);
            }
        };
        if gas_limit > GAS_MAX {
            self.give_up(
                row.id,
                format!("it needs {gas_limit} gas, and a transaction can carry {GAS_MAX}"),
            )
            .await?;
            return Ok(false);
        }
        let draft = Draft {
            to: self.contract,
            data: data.into(),
            gas_limit,
            fees,
            at_block: now.head.block.number,
            filler: false,
        };
        let (signer, chain_id) = (self.signer.clone(), self.chain_id);
        let stored = self
            .turns
            .write("chain_sign", move |rows| {
                // Under the lock on the signer's row: the nonce, the bytes and the intent are stored together or not at all.
                let Some(nonce) = rows.take_nonce(signer.address(), fence)? else {
                    return Ok(None);
                };
                let Some(broadcast) = sign(&draft, nonce, chain_id, &signer) else {
                    return Ok(None);
                };
                let tx = NewTx {
                    signer: signer.address(),
                    nonce,
                    intent: row.id,
                    gas_limit: draft.gas_limit,
                    broadcast,
                };
                rows.insert_tx(&tx).map(Some)
            })
            .await?;
        Ok(stored.is_some())
    }

    async fn give_up(&self, intent: IntentId, reason: String) -> Result<(), ChainError> {
        tracing::warn!(intent = intent.0, reason, "an intent is given up");
        metrics::counter!("gristmill_chain_intents_failed_total").increment(1);
        self.turns.write("chain_give_up", move |rows| rows.fail_intent(intent, &reason)).await?;
        // Reported in the next step, which a wake brings.
        self.wake.chain_sender.notify_one();
        Ok(())
    }

    /// Whether the rules still want an intent, and its calldata; nothing where its job is gone.
    async fn read_call(&self, intent: IntentId) -> Result<Option<(bool, Vec<u8>)>, ChainError> {
        let found = store::read(&self.store, move |rows| {
            let Some(row) = rows.intent(intent)? else { return Ok(None) };
            let Some(job) = rows.job(row.intent.job)? else { return Ok(None) };
            Ok(Some((job, row.intent)))
        })
        .await?;
        Ok(found
            .map(|(job, intent)| (intent.is_wanted(&job), call::calldata(&job, &intent.action))))
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
            self.send(&tx.newest().raw).await?;
            sent.push(tx.id);
        }
        if !sent.is_empty() {
            self.turns
                .write("chain_sent", move |rows| sent.iter().try_for_each(|tx| rows.mark_sent(*tx)))
                .await?;
        }
        self.memory.sent_at_reorgs = Some(now.reorgs);
        Ok(())
    }

    /// Sends bytes. That an endpoint refuses them changes nothing: they may be known, mined or replaced already.
    async fn send(&self, raw: &[u8]) -> Result<(), ChainError> {
        match self.rpc.send(raw).await {
            Ok(()) => Ok(()),
            Err(CallError::Refused(message)) => {
                if message.to_lowercase().contains("insufficient funds") {
                    tracing::error!(signer = %self.address(), "the scheduler's account cannot pay for gas: send it some coin");
                } else {
                    tracing::debug!(message, "a transaction was not taken");
                }
                Ok(())
            }
            Err(error @ (CallError::Unreachable(_) | CallError::Inconsistent(_))) => {
                Err(error.into())
            }
        }
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
            tx.nonce == mined_nonce && head >= tx.newest().at_block + BUMP_AFTER_BLOCKS
        }) else {
            return Ok(());
        };
        let newest = tx.newest();
        let wanted = self.rpc.fees().await?;
        let (Some(fees), false) = (
            raise(newest, wanted, self.fee_ceiling_wei),
            newest.max_fee_wei >= self.fee_ceiling_wei,
        ) else {
            self.alarm(newest.max_fee_wei, head);
            // It may have been dropped from the pool.
            return self.send(&newest.raw).await;
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
        let raw = self
            .turns
            .write("chain_bump", move |rows| {
                if !rows.holds_signer(signer.address(), fence)? {
                    return Ok(None);
                }
                let Some(broadcast) = sign(&draft, nonce, chain_id, &signer) else {
                    return Ok(None);
                };
                rows.insert_broadcast(id, &broadcast)?;
                Ok(Some(broadcast.raw))
            })
            .await?;
        match raw {
            Some(raw) => self.send(&raw).await,
            None => Ok(()),
        }
    }

    /// What the nonce of `tx` is to be used for now: its intent, or nothing if the contract would refuse that for good.
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
        let Some(row) = store::read(&self.store, {
            let intent = tx.intent;
            move |rows| rows.intent(intent)
        })
        .await?
        else {
            return Ok(Some(filler));
        };
        let Some((true, data)) = self.read_call(tx.intent).await? else { return Ok(Some(filler)) };
        let gas_limit = match self.rpc.simulate_latest(self.address(), &data).await? {
            Simulation::Succeeds { gas } => with_margin(gas).max(tx.gas_limit),
            Simulation::Reverts(revert) => {
                match call::judge(row.intent.kind(), &revert, now.head.timestamp_s) {
                    Refusal::ForGood => return Ok(Some(filler)),
                    // By the time it is mined it may succeed.
                    Refusal::ForNow => tx.gas_limit,
                }
            }
        };
        Ok(Some(Draft { data: data.into(), to: self.contract, gas_limit, filler: false, ..filler }))
    }

    /// What is offered, at most the ceiling.
    fn offer(&self, wanted: Fees, now: &ChainNow) -> Fees {
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

    /// Says that no more will be offered, once a block.
    fn alarm(&mut self, offered_wei: u64, head: u64) {
        if self.memory.alarmed_at == Some(head) {
            return;
        }
        self.memory.alarmed_at = Some(head);
        metrics::counter!("gristmill_chain_fee_ceiling_reached_total").increment(1);
        tracing::error!(
            offered_wei,
            ceiling_wei = self.fee_ceiling_wei,
            "a transaction is not mined at the highest fee that is allowed: raise `chain.fee_ceiling_gwei`, or wait for lower fees"
        );
    }
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

/// U2U charges a tenth of the gas that is not used, so limits are tight: an estimate and a twentieth, rounded up.
fn with_margin(gas: u64) -> u64 {
    gas.saturating_add(gas.div_ceil(20))
}

/// The fees of a new version: an eighth more than the last one, because pools refuse less, or what the chain asks for now
/// if that is more. Nothing where the ceiling leaves no room for an eighth.
fn raise(last: &Broadcast, wanted: Fees, ceiling_wei: u64) -> Option<Fees> {
    let eighth_more = |wei: u64| wei.saturating_add(wei.div_ceil(8));
    let least = eighth_more(last.max_fee_wei);
    if least > ceiling_wei {
        return None;
    }
    let max_wei = least.max(wanted.max_wei).min(ceiling_wei);
    let priority_wei = eighth_more(last.priority_fee_wei).max(wanted.priority_wei).min(max_wei);
    Some(Fees { max_wei, priority_wei })
}

/// Signs a draft. Nothing where the key fails, which a key in memory never does.
fn sign(draft: &Draft, nonce: u64, chain_id: u64, signer: &PrivateKeySigner) -> Option<Broadcast> {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: draft.gas_limit,
        max_fee_per_gas: draft.fees.max_wei.into(),
        max_priority_fee_per_gas: draft.fees.priority_wei.into(),
        to: TxKind::Call(draft.to),
        value: U256::ZERO,
        access_list: Default::default(),
        input: draft.data.clone(),
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).ok()?;
    let signed = tx.into_signed(signature);
    Some(Broadcast {
        hash: TxHash(*signed.hash()),
        raw: signed.encoded_2718(),
        max_fee_wei: draft.fees.max_wei,
        priority_fee_wei: draft.fees.priority_wei,
        at_block: draft.at_block,
        filler: draft.filler,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::consensus::TxEnvelope;
    use alloy::eips::eip2718::Decodable2718;

    fn broadcast(max_fee_wei: u64, priority_fee_wei: u64) -> Broadcast {
        Broadcast {
            hash: TxHash::default(),
            raw: Vec::new(),
            max_fee_wei,
            priority_fee_wei,
            at_block: 0,
            filler: false,
        }
    }

    #[test]
    fn a_limit_is_a_twentieth_above_the_estimate_rounded_up() {
        for (gas, limit) in [(0, 0), (1, 2), (20, 21), (21, 23), (100_000, 105_000)] {
            assert_eq!(with_margin(gas), limit);
        }
    }

    #[test]
    fn fees_rise_by_an_eighth_or_to_what_is_asked_and_never_above_the_ceiling() {
        let fees = |max_wei, priority_wei| Some(Fees { max_wei, priority_wei });
        let asked = Fees { max_wei: 5, priority_wei: 1 };
        assert_eq!(raise(&broadcast(800, 80), asked, 10_000), fees(900, 90));
        assert_eq!(
            raise(&broadcast(801, 81), asked, 10_000),
            fees(902, 92),
            "rounded up, or pools would refuse it"
        );
        let asked = Fees { max_wei: 5_000, priority_wei: 2_000 };
        assert_eq!(raise(&broadcast(800, 80), asked, 10_000), fees(5_000, 2_000));
        assert_eq!(raise(&broadcast(800, 80), asked, 1_000), fees(1_000, 1_000));
        assert_eq!(raise(&broadcast(800, 80), asked, 899), None);
        assert_eq!(raise(&broadcast(u64::MAX, 1), asked, u64::MAX), fees(u64::MAX, 2_000));
    }

    #[test]
    fn what_is_signed_is_what_was_drafted() {
        let signer = PrivateKeySigner::random();
        let draft = Draft {
            to: Address::repeat_byte(7),
            data: vec![1, 2, 3].into(),
            gas_limit: 60_000,
            fees: Fees { max_wei: 9, priority_wei: 2 },
            at_block: 5,
            filler: false,
        };
        let broadcast = sign(&draft, 42, 4439, &signer).unwrap();
        let tx = TxEnvelope::decode_2718(&mut broadcast.raw.as_slice()).unwrap();
        assert_eq!(tx.hash(), &broadcast.hash.0);
        let signed = tx.as_eip1559().unwrap();
        let signer_found =
            signed.signature().recover_address_from_prehash(&signed.signature_hash()).unwrap();
        assert_eq!(signer_found, signer.address());
        let tx = signed.tx();
        assert_eq!((tx.chain_id, tx.nonce, tx.gas_limit), (4439, 42, 60_000));
        assert_eq!((tx.max_fee_per_gas, tx.max_priority_fee_per_gas), (9, 2));
        assert_eq!(tx.input.as_ref(), [1, 2, 3]);
    }
}
