//! The port to the chain's tables: intents and their transactions, what has been read of the chain, and who is enrolled.
//!
//! An intent is planned in the turn that decides on it. It gets a nonce when it is signed; a nonce that was taken is never
//! given up. Each signed version of a transaction is stored before it is sent, so whoever comes next can send it again.
//! A database belongs to one deployment, and a job id is bound to chain and contract: rows need no column for either.

use gristmill_market::effect::Intent;
use gristmill_market::escrow::ChainPosition;
use gristmill_protocol::api::{IntentState, TransactionView};
use gristmill_protocol::ids::{JobId, NodeId, TxHash};
use gristmill_protocol::time::Timestamp;
use gristmill_protocol::{Address, B256};

use super::StoreError;

/// Names the row of an intent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IntentId(pub u64);

/// Names the row of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TxId(pub u64);

/// An intent that waits for a nonce, or that failed and has not been reported yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntentRow {
    pub id: IntentId,
    pub intent: Intent,
    /// How often it could not be signed so far.
    pub tries: u32,
    /// Why it can never be mined.
    pub failure: Option<String>,
}

/// Where a transaction stands. `SENT` again after a reorganization, never unsigned again: its nonce is taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TxState {
    /// Stored, perhaps never sent.
    Signed,
    Sent,
    /// In a block that may yet be replaced.
    Mined,
    Final,
    /// Somebody else used the nonce, finally. Its intents are free for another one.
    Lost,
}

impl TxState {
    pub const ALL: &'static [Self] =
        &[Self::Signed, Self::Sent, Self::Mined, Self::Final, Self::Lost];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Sent => "sent",
            Self::Mined => "mined",
            Self::Final => "final",
            Self::Lost => "lost",
        }
    }

    /// The intent's state while this transaction carries it.
    pub(super) fn intent_state(self) -> IntentState {
        match self {
            Self::Signed => IntentState::Signed,
            Self::Sent => IntentState::Sent,
            Self::Mined => IntentState::Mined,
            Self::Final => IntentState::Final,
            Self::Lost => IntentState::Planned,
        }
    }
}

/// A block, by number and hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockRef {
    pub number: u64,
    pub hash: B256,
}

/// The block that holds a transaction, and how it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inclusion {
    pub block: BlockRef,
    /// Which of the broadcasts it was.
    pub hash: TxHash,
    pub gas_used: u64,
    pub success: bool,
}

/// A nonce that was taken, and what it was taken for: one intent, or several of a kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TxRow {
    pub id: TxId,
    pub nonce: u64,
    pub intents: Vec<IntentId>,
    pub state: TxState,
    pub gas_limit: u64,
    pub inclusion: Option<Inclusion>,
    /// Every signed version, oldest first; there is at least one.
    pub broadcasts: Vec<Broadcast>,
}

impl TxRow {
    /// The version that is sent now.
    #[must_use]
    pub fn newest(&self) -> &Broadcast {
        self.broadcasts.last().expect("a transaction is stored together with its first broadcast")
    }

    /// Whether `hash` is the version that only uses up the nonce.
    #[must_use]
    pub fn is_filler(&self, hash: &TxHash) -> bool {
        self.broadcasts.iter().any(|broadcast| broadcast.hash == *hash && broadcast.filler)
    }
}

/// One signed, priced version of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broadcast {
    pub hash: TxHash,
    /// The bytes of `eth_sendRawTransaction`.
    pub raw: Vec<u8>,
    pub max_fee_wei: u64,
    pub priority_fee_wei: u64,
    /// The newest block when it was signed.
    pub at_block: u64,
    /// A transfer of nothing to the signer itself, in place of an intent that became pointless.
    pub filler: bool,
}

/// A transaction to be stored, with its first broadcast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTx {
    pub signer: Address,
    pub nonce: u64,
    pub intents: Vec<IntentId>,
    pub gas_limit: u64,
    pub broadcast: Broadcast,
}

/// Names a replica of the scheduler, also after a restart: what it leased before is still its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicaId(pub [u8; 16]);

/// A replica wants to be the one that sends for a signer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignerClaim {
    pub signer: Address,
    pub replica: ReplicaId,
    /// Of the lease that this process holds so far.
    pub fence: Option<u64>,
    /// The least nonce that the chain accepts now; our own never falls behind it.
    pub chain_nonce: u64,
    pub now: Timestamp,
    pub until: Timestamp,
}

/// The right to send for a signer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignerLease {
    /// Grows with each change of holder and each restart: an older holder is not heard.
    pub fence: u64,
    pub next_nonce: u64,
}

/// What the contract says of a node, finally.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Enrollment {
    pub provider: Address,
    pub revoked: bool,
}

/// Reads of the chain's tables.
pub trait ChainReads {
    fn enrollment(&self, node: NodeId) -> Result<Option<Enrollment>, StoreError>;
    /// The nodes that a provider has enrolled and not revoked, by ascending id.
    fn nodes_of(&self, provider: Address, limit: usize) -> Result<Vec<NodeId>, StoreError>;
    /// Whether the provider lets this scheduler assign jobs in `token` to its nodes.
    fn is_approved(&self, provider: Address) -> Result<bool, StoreError>;
    /// What this scheduler sent, or wants to send, for a job; oldest first.
    fn transactions_of(&self, job: JobId) -> Result<Vec<TransactionView>, StoreError>;
    /// Intents without a nonce whose time has come, oldest first.
    fn planned_intents(&self, now: Timestamp, limit: usize) -> Result<Vec<IntentRow>, StoreError>;
    /// When the next intent without a nonce is to be tried, past or future.
    fn next_intent_at(&self) -> Result<Option<Timestamp>, StoreError>;
    fn intent(&self, id: IntentId) -> Result<Option<IntentRow>, StoreError>;
    /// Failed intents that the rules have not heard of, oldest first.
    fn unreported_intents(&self, limit: usize) -> Result<Vec<IntentRow>, StoreError>;
    /// Transactions of a signer that are not final or lost, by ascending nonce.
    fn open_txs(&self, signer: Address, limit: usize) -> Result<Vec<TxRow>, StoreError>;
    /// The last block whose events have all become commands.
    fn chain_cursor(&self) -> Result<Option<BlockRef>, StoreError>;
    /// The newest blocks that were seen, by ascending number.
    fn chain_window(&self) -> Result<Vec<BlockRef>, StoreError>;
}

/// Writes to the chain's tables.
pub trait ChainWrites {
    /// Plans an intent; one of the same kind and subject stays as it is.
    fn insert_intent(&mut self, intent: &Intent) -> Result<(), StoreError>;
    /// Tries an intent without a nonce again, not before `at`.
    fn postpone_intent(&mut self, id: IntentId, at: Timestamp) -> Result<(), StoreError>;
    /// Gives an intent up. Only the first reason is kept.
    fn fail_intent(&mut self, id: IntentId, reason: &str) -> Result<(), StoreError>;
    /// The rules have heard that the intent failed.
    fn report_intent(&mut self, id: IntentId) -> Result<(), StoreError>;
    /// Takes or renews a lease on a signer: `None` while another replica holds it.
    fn lease_signer(&mut self, claim: &SignerClaim) -> Result<Option<SignerLease>, StoreError>;
    /// Takes the next nonce, or nothing where the lease was lost.
    fn take_nonce(&mut self, signer: Address, fence: u64) -> Result<Option<u64>, StoreError>;
    /// Whether the lease with this fence is still the newest.
    fn holds_signer(&mut self, signer: Address, fence: u64) -> Result<bool, StoreError>;
    /// Stores a signed transaction, which from now on carries its intent.
    fn insert_tx(&mut self, tx: &NewTx) -> Result<TxId, StoreError>;
    /// Stores another version of a transaction.
    fn insert_broadcast(&mut self, tx: TxId, broadcast: &Broadcast) -> Result<(), StoreError>;
    /// It has been sent; only from `Signed`.
    fn mark_sent(&mut self, tx: TxId) -> Result<(), StoreError>;
    fn mark_mined(&mut self, tx: TxId, inclusion: &Inclusion) -> Result<(), StoreError>;
    /// It was mined in a block that is gone.
    fn unmark_mined(&mut self, tx: TxId) -> Result<(), StoreError>;
    fn mark_final(&mut self, tx: TxId) -> Result<(), StoreError>;
    /// Somebody else used the nonce: its intents wait for another one.
    fn mark_lost(&mut self, tx: TxId) -> Result<(), StoreError>;
    /// Forgets the blocks after `common` and turns what was mined in them back to sent; how many transactions that were.
    fn roll_back(&mut self, common: Option<u64>) -> Result<u64, StoreError>;
    /// Adds blocks to the window and forgets all but the newest `keep`.
    fn extend_window(&mut self, blocks: &[BlockRef], keep: usize) -> Result<(), StoreError>;
    /// Moves the cursor from `from` to `to`; false where somebody else has moved it.
    fn move_cursor(&mut self, from: Option<BlockRef>, to: BlockRef) -> Result<bool, StoreError>;
    /// A node belongs to its provider for good; nothing but a revocation ever changes that. It waits for no wallet any more:
    /// its consent is forgotten.
    fn put_enrollment(&mut self, node: NodeId, provider: Address) -> Result<(), StoreError>;
    fn revoke_enrollment(&mut self, node: NodeId) -> Result<(), StoreError>;
    /// What an event says of an approval; one that is older than what is known changes nothing.
    fn put_approval(
        &mut self,
        provider: Address,
        approved: bool,
        at: ChainPosition,
    ) -> Result<(), StoreError>;
}
