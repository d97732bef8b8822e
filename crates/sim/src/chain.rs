//! A chain with a mempool, reorganisations and finality, around the [`contract`](crate::contract).

use std::collections::BTreeMap;

use gristmill_market::escrow::ChainPosition;
use gristmill_protocol::ids::JobId;

use crate::contract::{Call, Contract, Emitted};
use crate::random::Random;

/// Blocks that can be undone.
pub const FINALITY_BLOCKS: u64 = 3;

pub type TxId = u64;

#[derive(Clone, Debug)]
pub struct Transaction {
    pub id: TxId,
    pub call: Call,
}

/// What became of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Waits, or was dropped: nobody can tell the difference.
    Unknown,
    Mined,
    Final {
        reverted: bool,
    },
}

/// A log, with its place.
#[derive(Clone, Debug)]
pub struct Logged {
    pub position: ChainPosition,
    pub at_s: u64,
    pub job: JobId,
    pub emitted: Emitted,
}

struct Block {
    number: u64,
    before: Contract,
    transactions: Vec<Transaction>,
    reverted: Vec<bool>,
    logs: Vec<Logged>,
}

/// The newest state, and everything that led to it.
pub struct Chain {
    pub contract: Contract,
    /// The state after the last final block.
    pub settled: Contract,
    pub final_logs: Vec<Logged>,
    blocks: Vec<Block>,
    mempool: Vec<Transaction>,
    fates: BTreeMap<TxId, Fate>,
    next_tx: TxId,
    head: u64,
    time_s: u64,
    pub reorgs: u64,
    pub dropped: u64,
}

impl Chain {
    #[must_use]
    pub fn new(contract: Contract) -> Self {
        Self {
            settled: contract.clone(),
            contract,
            final_logs: Vec::new(),
            blocks: Vec::new(),
            mempool: Vec::new(),
            fates: BTreeMap::new(),
            next_tx: 1,
            head: 0,
            time_s: 0,
            reorgs: 0,
            dropped: 0,
        }
    }

    pub fn send(&mut self, call: Call) -> TxId {
        let id = self.next_tx;
        self.next_tx += 1;
        self.mempool.push(Transaction { id, call });
        id
    }

    #[must_use]
    pub fn fate(&self, id: TxId) -> Fate {
        self.fates.get(&id).copied().unwrap_or(Fate::Unknown)
    }

    /// Whether a block would change anything.
    #[must_use]
    pub fn is_restless(&self) -> bool {
        !self.mempool.is_empty() || self.blocks.iter().any(|block| !block.transactions.is_empty())
    }

    /// Logs of blocks that may still be undone.
    pub fn young_logs(&self) -> impl Iterator<Item = &Logged> {
        self.blocks.iter().flat_map(|block| &block.logs)
    }

    /// The newest block: the state before it, and its logs.
    #[must_use]
    pub fn newest(&self) -> Option<(&Contract, &[Logged])> {
        self.blocks.last().map(|block| (&block.before, block.logs.as_slice()))
    }

    /// Mines a block. `lossy` drops and delays transactions.
    pub fn mine(&mut self, now_s: u64, random: &mut Random, lossy: bool) {
        self.head += 1;
        self.time_s = now_s.max(self.time_s + 1);
        let mut block = Block {
            number: self.head,
            before: self.contract.clone(),
            transactions: Vec::new(),
            reverted: Vec::new(),
            logs: Vec::new(),
        };
        let mut left = Vec::new();
        for transaction in std::mem::take(&mut self.mempool) {
            if lossy && random.percent(8) {
                self.dropped += 1;
                continue;
            }
            if lossy && random.percent(20) {
                left.push(transaction);
                continue;
            }
            let outcome = self.contract.execute(&transaction.call, self.time_s);
            block.reverted.push(outcome.is_err());
            for emitted in outcome.unwrap_or_default() {
                let log_index = u32::try_from(block.logs.len()).unwrap_or(u32::MAX);
                let position = ChainPosition { block: self.head, log_index };
                block.logs.push(Logged {
                    position,
                    at_s: self.time_s,
                    job: transaction.call.job(),
                    emitted,
                });
            }
            self.fates.insert(transaction.id, Fate::Mined);
            block.transactions.push(transaction);
        }
        self.mempool = left;
        self.blocks.push(block);
        self.finalise();
    }

    fn finalise(&mut self) {
        while self.blocks.first().is_some_and(|block| block.number + FINALITY_BLOCKS <= self.head) {
            let block = self.blocks.remove(0);
            for (transaction, reverted) in block.transactions.iter().zip(block.reverted) {
                self.fates.insert(transaction.id, Fate::Final { reverted });
            }
            self.final_logs.extend(block.logs);
            let after = self.blocks.first().map_or(&self.contract, |next| &next.before);
            self.settled = after.clone();
        }
    }

    /// Undoes the newest blocks; their transactions wait again, in another order, and some are gone.
    pub fn reorganise(&mut self, random: &mut Random) {
        let depth = random.between(1, FINALITY_BLOCKS - 1);
        for _ in 0..depth {
            let Some(block) = self.blocks.pop() else { break };
            self.contract = block.before;
            for transaction in block.transactions {
                self.fates.remove(&transaction.id);
                let at = random.index(self.mempool.len() + 1);
                self.mempool.insert(at, transaction);
            }
        }
        self.reorgs += 1;
    }
}
