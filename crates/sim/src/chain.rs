//! A chain around the [`model`](crate::model) of the contract: accounts with nonces, a mempool that loses and
//! replaces, reorganisations, and finality. An auditor looks at every transaction.

use std::collections::BTreeMap;
use std::rc::Rc;

use gristmill_market::escrow::ChainPosition;
use gristmill_protocol::Address;

use crate::book::{Book, Seen};
use crate::model::{COIN, Call, Contract, Event, Revert};
use crate::random::Random;

/// Blocks that can be undone.
pub const FINALITY_BLOCKS: u64 = 3;

/// Old calls that are kept.
const PAST_MAX: usize = 64;

pub type TxId = u64;

#[derive(Clone, Debug)]
pub struct Transaction {
    pub id: TxId,
    pub from: Address,
    /// Of accounts whose order of transactions matters. One that was used already makes a transaction void.
    pub nonce: Option<u64>,
    pub call: Rc<Call>,
    pub value: u128,
}

/// What a call did.
pub type Outcome = Result<Vec<Event>, Revert>;

/// What became of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Waits, or was dropped: nobody can tell the difference.
    Unknown,
    Mined,
    Final(Rc<Outcome>),
}

/// A log, with its place.
#[derive(Clone, Debug)]
pub struct Logged {
    pub position: ChainPosition,
    pub at_s: u64,
    pub event: Event,
}

/// Everything that a block changes.
#[derive(Clone)]
pub struct State {
    pub contract: Contract,
    pub book: Book,
    nonces: BTreeMap<Address, u64>,
}

struct Block {
    number: u64,
    before: Rc<State>,
    transactions: Vec<(Transaction, Rc<Outcome>)>,
    logs: Vec<Logged>,
}

/// The newest state, and everything that led to it.
pub struct Chain {
    state: Rc<State>,
    /// The state after the last final block.
    settled: Rc<State>,
    pub final_logs: Vec<Logged>,
    blocks: Vec<Block>,
    mempool: Vec<Transaction>,
    fates: BTreeMap<TxId, Fate>,
    next_tx: TxId,
    head: u64,
    time_s: u64,
    pub reorgs: u64,
    pub dropped: u64,
    /// Calls that succeeded, with their callers: for replays.
    pub past: Vec<(Address, Rc<Call>)>,
    /// Transactions whose nonce another one has used.
    pub void: u64,
    pub calls: u64,
    pub reverted: u64,
}

impl Chain {
    #[must_use]
    pub fn new(contract: Contract, book: Book) -> Self {
        let state = Rc::new(State { contract, book, nonces: BTreeMap::new() });
        Self {
            settled: Rc::clone(&state),
            state,
            final_logs: Vec::new(),
            blocks: Vec::new(),
            mempool: Vec::new(),
            fates: BTreeMap::new(),
            next_tx: 1,
            head: 0,
            time_s: 0,
            reorgs: 0,
            dropped: 0,
            past: Vec::new(),
            void: 0,
            calls: 0,
            reverted: 0,
        }
    }

    #[must_use]
    pub fn contract(&self) -> &Contract {
        &self.state.contract
    }

    /// After the last final block.
    #[must_use]
    pub fn settled(&self) -> &State {
        &self.settled
    }

    /// Sends a call of an account that does not care about the order. Coin goes along where the verb takes some.
    pub fn send(&mut self, from: Address, call: Call) -> TxId {
        self.broadcast(from, None, Rc::new(call))
    }

    /// Sends a new version of a transaction, signed for a nonce.
    pub fn broadcast(&mut self, from: Address, nonce: Option<u64>, call: Rc<Call>) -> TxId {
        let id = self.next_tx;
        self.next_tx += 1;
        let value = value_of(&call);
        self.mempool.push(Transaction { id, from, nonce, call, value });
        id
    }

    /// Sends the same signed bytes once more.
    pub fn rebroadcast(&mut self, transaction: &Transaction) {
        let waits = self.mempool.iter().any(|waiting| waiting.id == transaction.id);
        if !waits && self.fate(transaction.id) == Fate::Unknown {
            self.mempool.push(transaction.clone());
        }
    }

    /// What has just been broadcast, to be kept for sending it again.
    #[must_use]
    pub fn newest_transaction(&self) -> Option<&Transaction> {
        self.mempool.last()
    }

    /// What was broadcast last never arrives: its sender crashed.
    pub fn lose_newest(&mut self) {
        self.mempool.pop();
    }

    #[must_use]
    pub fn fate(&self, id: TxId) -> Fate {
        self.fates.get(&id).cloned().unwrap_or(Fate::Unknown)
    }

    /// The next nonce of an account: in the newest block, and finally.
    #[must_use]
    pub fn nonce(&self, account: Address) -> u64 {
        self.state.nonces.get(&account).copied().unwrap_or(0)
    }

    #[must_use]
    pub fn settled_nonce(&self, account: Address) -> u64 {
        self.settled.nonces.get(&account).copied().unwrap_or(0)
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

    /// Mines a block. `lossy` drops and delays transactions.
    pub fn mine(&mut self, now_s: u64, random: &mut Random, lossy: bool) -> Result<(), String> {
        self.head += 1;
        self.time_s = now_s.max(self.time_s + 1);
        let mut block = Block {
            number: self.head,
            before: Rc::clone(&self.state),
            transactions: Vec::new(),
            logs: Vec::new(),
        };
        let mut waiting = Vec::new();
        for transaction in std::mem::take(&mut self.mempool) {
            if lossy && random.percent(8) {
                self.dropped += 1;
            } else if lossy && random.percent(20) {
                self.mempool.push(transaction);
            } else {
                waiting.push(transaction);
            }
        }
        // A transaction waits for those of its account with lower nonces, wherever they stand in the pool.
        loop {
            let (mut later, before) = (Vec::new(), block.transactions.len());
            for transaction in waiting {
                let next = self.nonce(transaction.from);
                match transaction.nonce {
                    Some(nonce) if nonce > next => later.push(transaction),
                    Some(nonce) if nonce < next => self.void += 1,
                    Some(_) | None => self.include(transaction, &mut block)?,
                }
            }
            waiting = later;
            if waiting.is_empty() || block.transactions.len() == before {
                break;
            }
        }
        self.mempool.extend(waiting);
        self.blocks.push(block);
        self.finalise();
        Ok(())
    }

    fn include(&mut self, transaction: Transaction, block: &mut Block) -> Result<(), String> {
        let Transaction { id, from, nonce, call, value } = &transaction;
        let state = Rc::make_mut(&mut self.state);
        if let Some(nonce) = nonce {
            state.nonces.insert(*from, nonce + 1);
        }
        self.calls += 1;
        let outcome = match state.contract.after(*from, call, *value, self.time_s) {
            Ok((after, events)) => {
                if self.past.len() < PAST_MAX && is_signed(call) {
                    self.past.push((*from, Rc::clone(call)));
                }
                let seen = Seen { caller: *from, call, events: &events, now: self.time_s };
                state.book.audit(&seen, &state.contract, &after)?;
                state.contract = after;
                for event in &events {
                    let log_index = u32::try_from(block.logs.len()).unwrap_or(u32::MAX);
                    let position = ChainPosition { block: self.head, log_index };
                    block.logs.push(Logged { position, at_s: self.time_s, event: event.clone() });
                }
                Ok(events)
            }
            Err(revert) => {
                self.reverted += 1;
                Err(revert)
            }
        };
        self.fates.insert(*id, Fate::Mined);
        block.transactions.push((transaction, Rc::new(outcome)));
        Ok(())
    }

    fn finalise(&mut self) {
        while self.blocks.first().is_some_and(|block| block.number + FINALITY_BLOCKS <= self.head) {
            let block = self.blocks.remove(0);
            for (transaction, outcome) in block.transactions {
                self.fates.insert(transaction.id, Fate::Final(outcome));
            }
            self.final_logs.extend(block.logs);
            let after = self.blocks.first().map_or(&self.state, |next| &next.before);
            self.settled = Rc::clone(after);
        }
    }

    /// Undoes the newest blocks; their transactions wait again, in another order, and some are gone.
    pub fn reorganise(&mut self, random: &mut Random) {
        let depth = random.between(1, FINALITY_BLOCKS - 1);
        for _ in 0..depth {
            let Some(block) = self.blocks.pop() else { break };
            self.state = block.before;
            for (transaction, _) in block.transactions {
                self.fates.remove(&transaction.id);
                if random.percent(10) {
                    self.dropped += 1;
                    continue;
                }
                let at = random.index(self.mempool.len() + 1);
                self.mempool.insert(at, transaction);
            }
        }
        self.reorgs += 1;
    }
}

/// Whether the call carries what a node has signed: anybody can send such a call again.
fn is_signed(call: &Call) -> bool {
    matches!(
        call,
        Call::Settle { .. }
            | Call::SettleMany { .. }
            | Call::Publish { .. }
            | Call::Renew { .. }
            | Call::Release { .. }
    )
}

/// The coin that a careful caller sends with a call.
fn value_of(call: &Call) -> u128 {
    let (token, amount) = if let Call::Open { terms } = call {
        (terms.token, terms.bounty.0)
    } else if let Call::Dispute { terms } = call {
        (terms.token, terms.dispute_bond.0)
    } else if let Call::Deposit { token, amount } = call {
        (*token, *amount)
    } else {
        return 0;
    };
    if token == COIN { amount } else { 0 }
}
