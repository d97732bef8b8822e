//! The chain's tables in memory.

use std::collections::{BTreeMap, HashMap};

use gristmill_market::effect::Intent;
use gristmill_market::escrow::ChainPosition;
use gristmill_protocol::Address;
use gristmill_protocol::B256;
use gristmill_protocol::api::{IntentKind, IntentState, TransactionView};
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::time::Timestamp;

use super::MemoryRows;
use crate::store::StoreError;
use crate::store::chain::{
    BlockRef, Broadcast, ChainReads, ChainWrites, Enrollment, Inclusion, IntentId, IntentRow,
    NewTx, ReplicaId, SignerClaim, SignerLease, TxId, TxRow, TxState,
};

/// All rows. Ids are positions, so they follow the order of insertion as they do in a database.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChainTables {
    intents: Vec<IntentEntry>,
    subjects: HashMap<(IntentKind, String), IntentId>,
    txs: Vec<(Address, TxRow)>,
    signers: BTreeMap<Address, Held>,
    cursor: Option<BlockRef>,
    window: BTreeMap<u64, B256>,
    nodes: BTreeMap<NodeId, Enrollment>,
    approvals: BTreeMap<Address, (bool, ChainPosition)>,
}

#[derive(Clone, Debug)]
struct Held {
    lease: SignerLease,
    replica: ReplicaId,
    until: Timestamp,
}

#[derive(Clone, Debug)]
struct IntentEntry {
    row: IntentRow,
    tx: Option<TxId>,
    try_at: Timestamp,
    reported: bool,
}

impl IntentEntry {
    fn is_planned(&self) -> bool {
        self.tx.is_none() && self.row.failure.is_none()
    }
}

fn index(id: u64) -> usize {
    usize::try_from(id).expect("an id is a position in a Vec")
}

impl ChainTables {
    fn tx(&self, id: TxId) -> &TxRow {
        &self.txs[index(id.0)].1
    }

    fn tx_mut(&mut self, id: TxId) -> &mut TxRow {
        &mut self.txs[index(id.0)].1
    }

    fn intent_mut(&mut self, id: IntentId) -> &mut IntentEntry {
        &mut self.intents[index(id.0)]
    }

    /// What of a job counts as done: see [`ReconcileReads`](crate::store::reconcile::ReconcileReads).
    pub(super) fn final_intents(&self, job: JobId, until: u64) -> Vec<Intent> {
        let is_done = |entry: &&IntentEntry| {
            let tx = entry.tx.map(|id| self.tx(id));
            let inclusion = tx.filter(|tx| tx.state == TxState::Final).and_then(|tx| tx.inclusion);
            entry.row.intent.job == job
                && entry.row.failure.is_none()
                && inclusion
                    .is_some_and(|inclusion| inclusion.success && inclusion.block.number <= until)
        };
        self.intents.iter().filter(is_done).map(|entry| entry.row.intent.clone()).collect()
    }

    fn turn_back(tx: &mut TxRow) {
        tx.state = TxState::Sent;
        tx.inclusion = None;
    }
}

impl ChainReads for MemoryRows {
    fn enrollment(&self, node: NodeId) -> Result<Option<Enrollment>, StoreError> {
        Ok(self.chain.nodes.get(&node).copied())
    }

    fn nodes_of(&self, provider: Address, limit: usize) -> Result<Vec<NodeId>, StoreError> {
        let nodes = self.chain.nodes.iter();
        let wanted =
            nodes.filter(|(_, enrollment)| enrollment.provider == provider && !enrollment.revoked);
        Ok(wanted.map(|(node, _)| *node).take(limit).collect())
    }

    fn is_approved(&self, provider: Address) -> Result<bool, StoreError> {
        Ok(self.chain.approvals.get(&provider).is_some_and(|(approved, _)| *approved))
    }

    fn transactions_of(&self, job: JobId) -> Result<Vec<TransactionView>, StoreError> {
        let intents = self.chain.intents.iter().filter(|entry| entry.row.intent.job == job);
        let view = |entry: &IntentEntry| {
            let tx = entry.tx.map(|id| self.chain.tx(id));
            TransactionView {
                kind: entry.row.intent.kind(),
                state: match tx {
                    _ if entry.row.failure.is_some() => IntentState::Blocked,
                    Some(tx) => tx.state.intent_state(),
                    None => IntentState::Planned,
                },
                hash: tx
                    .map(|tx| tx.inclusion.map_or(tx.newest().hash, |inclusion| inclusion.hash)),
                gas_used: tx.and_then(|tx| tx.inclusion).map(|inclusion| inclusion.gas_used),
            }
        };
        Ok(intents.map(view).collect())
    }

    fn planned_intents(&self, now: Timestamp, limit: usize) -> Result<Vec<IntentRow>, StoreError> {
        let ready =
            self.chain.intents.iter().filter(|entry| entry.is_planned() && entry.try_at <= now);
        Ok(ready.map(|entry| entry.row.clone()).take(limit).collect())
    }

    fn next_intent_at(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self
            .chain
            .intents
            .iter()
            .filter(|entry| entry.is_planned())
            .map(|entry| entry.try_at)
            .min())
    }

    fn intent(&self, id: IntentId) -> Result<Option<IntentRow>, StoreError> {
        Ok(self.chain.intents.get(index(id.0)).map(|entry| entry.row.clone()))
    }

    fn unreported_intents(&self, limit: usize) -> Result<Vec<IntentRow>, StoreError> {
        let failed = self
            .chain
            .intents
            .iter()
            .filter(|entry| entry.row.failure.is_some() && !entry.reported);
        Ok(failed.map(|entry| entry.row.clone()).take(limit).collect())
    }

    fn open_txs(&self, signer: Address, limit: usize) -> Result<Vec<TxRow>, StoreError> {
        let open =
            |tx: &TxRow| matches!(tx.state, TxState::Signed | TxState::Sent | TxState::Mined);
        let mut txs: Vec<TxRow> = self
            .chain
            .txs
            .iter()
            .filter(|(by, tx)| *by == signer && open(tx))
            .map(|(_, tx)| tx.clone())
            .collect();
        txs.sort_by_key(|tx| tx.nonce);
        txs.truncate(limit);
        Ok(txs)
    }

    fn chain_cursor(&self) -> Result<Option<BlockRef>, StoreError> {
        Ok(self.chain.cursor)
    }

    fn chain_window(&self) -> Result<Vec<BlockRef>, StoreError> {
        Ok(self
            .chain
            .window
            .iter()
            .map(|(number, hash)| BlockRef { number: *number, hash: *hash })
            .collect())
    }
}

impl ChainWrites for MemoryRows {
    fn insert_intent(&mut self, intent: &Intent) -> Result<(), StoreError> {
        let id = IntentId(self.chain.intents.len() as u64);
        let key = (intent.kind(), intent.subject());
        if self.chain.subjects.contains_key(&key) {
            return Ok(());
        }
        self.chain.subjects.insert(key, id);
        self.chain.intents.push(IntentEntry {
            row: IntentRow { id, intent: intent.clone(), tries: 0, failure: None },
            tx: None,
            try_at: Timestamp::default(),
            reported: false,
        });
        Ok(())
    }

    fn postpone_intent(&mut self, id: IntentId, at: Timestamp) -> Result<(), StoreError> {
        let entry = self.chain.intent_mut(id);
        if entry.tx.is_none() {
            entry.row.tries += 1;
            entry.try_at = at;
        }
        Ok(())
    }

    fn fail_intent(&mut self, id: IntentId, reason: &str) -> Result<(), StoreError> {
        self.chain.intent_mut(id).row.failure.get_or_insert_with(|| reason.to_owned());
        Ok(())
    }

    fn report_intent(&mut self, id: IntentId) -> Result<(), StoreError> {
        self.chain.intent_mut(id).reported = true;
        Ok(())
    }

    fn lease_signer(&mut self, claim: &SignerClaim) -> Result<Option<SignerLease>, StoreError> {
        let Some(held) = self.chain.signers.get_mut(&claim.signer) else {
            let lease = SignerLease { fence: 1, next_nonce: claim.chain_nonce };
            self.chain
                .signers
                .insert(claim.signer, Held { lease, replica: claim.replica, until: claim.until });
            return Ok(Some(lease));
        };
        if held.replica != claim.replica && held.until > claim.now {
            return Ok(None);
        }
        if held.replica != claim.replica || claim.fence != Some(held.lease.fence) {
            held.lease.fence += 1;
        }
        held.lease.next_nonce = held.lease.next_nonce.max(claim.chain_nonce);
        (held.replica, held.until) = (claim.replica, claim.until);
        Ok(Some(held.lease))
    }

    fn take_nonce(&mut self, signer: Address, fence: u64) -> Result<Option<u64>, StoreError> {
        let held = self.chain.signers.get_mut(&signer).filter(|held| held.lease.fence == fence);
        Ok(held.map(|held| {
            held.lease.next_nonce += 1;
            held.lease.next_nonce - 1
        }))
    }

    fn holds_signer(&mut self, signer: Address, fence: u64) -> Result<bool, StoreError> {
        Ok(self.chain.signers.get(&signer).is_some_and(|held| held.lease.fence == fence))
    }

    fn insert_tx(&mut self, tx: &NewTx) -> Result<TxId, StoreError> {
        if self
            .chain
            .txs
            .iter()
            .any(|(signer, other)| *signer == tx.signer && other.nonce == tx.nonce)
        {
            return Err(StoreError::Duplicate { table: "chain_txs" });
        }
        let id = TxId(self.chain.txs.len() as u64);
        let row = TxRow {
            id,
            nonce: tx.nonce,
            intents: tx.intents.clone(),
            state: TxState::Signed,
            gas_limit: tx.gas_limit,
            inclusion: None,
            broadcasts: Vec::new(),
        };
        self.chain.txs.push((tx.signer, row));
        self.insert_broadcast(id, &tx.broadcast)?;
        for intent in &tx.intents {
            self.chain.intent_mut(*intent).tx = Some(id);
        }
        Ok(id)
    }

    fn insert_broadcast(&mut self, tx: TxId, broadcast: &Broadcast) -> Result<(), StoreError> {
        let mut sent = self.chain.txs.iter().flat_map(|(_, tx)| &tx.broadcasts);
        if sent.any(|other| other.hash == broadcast.hash) {
            return Err(StoreError::Duplicate { table: "chain_broadcasts" });
        }
        self.chain.tx_mut(tx).broadcasts.push(broadcast.clone());
        Ok(())
    }

    fn mark_sent(&mut self, tx: TxId) -> Result<(), StoreError> {
        let tx = self.chain.tx_mut(tx);
        if tx.state == TxState::Signed {
            tx.state = TxState::Sent;
        }
        Ok(())
    }

    fn mark_mined(&mut self, tx: TxId, inclusion: &Inclusion) -> Result<(), StoreError> {
        let tx = self.chain.tx_mut(tx);
        if matches!(tx.state, TxState::Signed | TxState::Sent | TxState::Mined) {
            tx.state = TxState::Mined;
            tx.inclusion = Some(*inclusion);
        }
        Ok(())
    }

    fn unmark_mined(&mut self, tx: TxId) -> Result<(), StoreError> {
        let tx = self.chain.tx_mut(tx);
        if tx.state == TxState::Mined {
            ChainTables::turn_back(tx);
        }
        Ok(())
    }

    fn mark_final(&mut self, tx: TxId) -> Result<(), StoreError> {
        let tx = self.chain.tx_mut(tx);
        if tx.state == TxState::Mined {
            tx.state = TxState::Final;
        }
        Ok(())
    }

    fn mark_lost(&mut self, tx: TxId) -> Result<(), StoreError> {
        let row = self.chain.tx_mut(tx);
        if matches!(row.state, TxState::Signed | TxState::Sent) {
            row.state = TxState::Lost;
            for intent in row.intents.clone() {
                self.chain.intent_mut(intent).tx = None;
            }
        }
        Ok(())
    }

    fn roll_back(&mut self, common: Option<u64>) -> Result<u64, StoreError> {
        let is_gone = |number: u64| common.is_none_or(|common| number > common);
        self.chain.window.retain(|number, _| !is_gone(*number));
        let mut turned = 0;
        for (_, tx) in &mut self.chain.txs {
            let gone = tx.inclusion.is_some_and(|inclusion| is_gone(inclusion.block.number));
            if tx.state == TxState::Mined && gone {
                ChainTables::turn_back(tx);
                turned += 1;
            }
        }
        Ok(turned)
    }

    fn extend_window(&mut self, blocks: &[BlockRef], keep: usize) -> Result<(), StoreError> {
        self.chain.window.extend(blocks.iter().map(|block| (block.number, block.hash)));
        if let Some((newest, _)) = self.chain.window.last_key_value() {
            let oldest = newest.saturating_add(1).saturating_sub(keep as u64);
            self.chain.window = self.chain.window.split_off(&oldest);
        }
        Ok(())
    }

    fn move_cursor(&mut self, from: Option<BlockRef>, to: BlockRef) -> Result<bool, StoreError> {
        if self.chain.cursor != from {
            return Ok(false);
        }
        self.chain.cursor = Some(to);
        Ok(true)
    }

    fn put_enrollment(&mut self, node: NodeId, provider: Address) -> Result<(), StoreError> {
        self.consents.remove(&node);
        self.chain.nodes.entry(node).or_insert(Enrollment { provider, revoked: false });
        Ok(())
    }

    fn revoke_enrollment(&mut self, node: NodeId) -> Result<(), StoreError> {
        if let Some(enrollment) = self.chain.nodes.get_mut(&node) {
            enrollment.revoked = true;
        }
        Ok(())
    }

    fn put_approval(
        &mut self,
        provider: Address,
        approved: bool,
        at: ChainPosition,
    ) -> Result<(), StoreError> {
        let known = self.chain.approvals.entry(provider).or_insert((approved, at));
        if at > known.1 {
            *known = (approved, at);
        }
        Ok(())
    }
}
