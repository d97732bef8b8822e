//! The port to the database: rows that turns load and save, and plain reads for the API.
//!
//! A database is either the memory of this process ([`memory`], for tests) or SQLite ([`sqlite`]); one conformance suite
//! runs on all. PostgreSQL fits the same port: its writers lock the rows that [`Writer::transact`] names, in one global
//! order, before anything is loaded. No time is read here, and nothing is drawn at random: both are arguments.

use gristmill_market::attempt::Attempt;
use gristmill_market::demand::KnownSpec;
use gristmill_market::effect::Verification;
use gristmill_market::job::Job;
use gristmill_market::node::{Node, Standing};
use gristmill_market::{Changes, Needs, Policy, Reply, World};
use gristmill_protocol::Address;
use gristmill_protocol::api::{JobEvent, JobState};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, SpecHash};
use gristmill_protocol::spec::JobSpec;
use gristmill_protocol::time::Timestamp;

pub mod chain;
pub mod consents;
pub mod jobs;
pub mod memory;
pub mod payments;
pub mod reconcile;
pub mod sqlite;
#[cfg(test)]
mod suite;

pub use chain::{ChainReads, ChainWrites, ReplicaId};
pub use consents::{ConsentReads, ConsentWrites};
pub use jobs::{JobPage, JobPlace, JobQuery, JobText};
pub use payments::PaymentReads;
pub use reconcile::{ReconcileReads, ReconcileWrites};

/// Why the database could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database file {path} cannot be opened")]
    Open {
        path: String,
        #[source]
        error: rusqlite::Error,
    },
    #[error("a row of {table} cannot be read: {problem}")]
    Corrupt { table: &'static str, problem: String },
    #[error(
        "the database was written by a newer version of this program: it has migration {found}, this knows {known}"
    )]
    TooNew { found: u32, known: u32 },
    #[error("the migration {number} that this database has is not the one that this program knows")]
    MigrationDiffers { number: u32 },
    #[error("two rows have the same key in {table}")]
    Duplicate { table: &'static str },
}

/// A database. Any thread may read; whoever writes needs a [`Writer`].
pub trait Store: Send + Sync + 'static {
    /// Lets `work` read what is committed. Short and synchronous: call it where blocking is allowed, or by [`read`].
    fn read_with(
        &self,
        work: &mut dyn FnMut(&dyn Reads) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// A connection that turns run on. SQLite has one writer; a second call would wait for the first.
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError>;
}

/// The writing end of a database, owned by the thread that runs turns.
pub trait Writer: Send {
    /// Runs `work` in one transaction: committed and durable when this returns `Ok`, without a trace otherwise.
    /// A store with several writers first locks the rows of `rows`; with one writer there is nothing to lock.
    fn transact(
        &mut self,
        rows: &Needs,
        work: &mut dyn FnMut(&mut dyn Writes) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
}

/// Reads what is committed, or, inside a transaction, what it has written so far.
pub trait Reads: ChainReads + ReconcileReads + ConsentReads + PaymentReads {
    fn job(&self, id: JobId) -> Result<Option<Job>, StoreError>;
    /// Oldest first.
    fn attempts(&self, job: JobId) -> Result<Vec<Attempt>, StoreError>;
    fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError>;
    /// By ascending id, after `after`.
    fn nodes(&self, after: Option<NodeId>, limit: usize) -> Result<Vec<Node>, StoreError>;
    /// Newest first.
    fn jobs(&self, query: &JobQuery) -> Result<JobPage, StoreError>;
    /// Events of a job with a version above `after`, in order.
    fn events(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<JobEvent>, StoreError>;
    fn spec(&self, hash: SpecHash) -> Result<Option<JobSpec>, StoreError>;
    /// What is due at `now`, longest overdue first.
    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError>;
    /// When something is due next, past or future.
    fn next_due_at(&self) -> Result<Option<Timestamp>, StoreError>;
    /// How many jobs are in each state, for the metrics. Only states that are not an end: those are few.
    fn unfinished_jobs(&self) -> Result<Vec<(JobState, u64)>, StoreError>;
    /// Whose session this is, if it is valid at `now`.
    fn session(&self, token: &TokenHash, now: Timestamp) -> Result<Option<Address>, StoreError>;
    fn stored_reply(&self, key: &IdempotencyKey) -> Result<Option<StoredReply>, StoreError>;
}

/// Writes in one transaction.
pub trait Writes: Reads + ChainWrites + ReconcileWrites + ConsentWrites {
    /// Loads the rows that `needs` names, windows included.
    fn load(&self, needs: &Needs, policy: &Policy) -> Result<World, StoreError>;
    /// Saves what commands have changed, with the intents and verifications that they planned.
    fn save(&mut self, changes: &Changes) -> Result<(), StoreError>;
    /// Heartbeats. A time that is older than what is known changes nothing; an unknown node is skipped.
    fn hear(&mut self, heard: &[(NodeId, Timestamp)]) -> Result<(), StoreError>;
    /// Stores a spec under its hash, which the caller has compared. One that is there already stays.
    fn put_spec(&mut self, spec: &KnownSpec, by: Address, now: Timestamp)
    -> Result<(), StoreError>;
    fn store_reply(&mut self, key: &IdempotencyKey, reply: &StoredReply) -> Result<(), StoreError>;
    /// Uses up a login nonce until `expires_at`; false where it is used already.
    fn use_nonce(&mut self, nonce: &str, expires_at: Timestamp) -> Result<bool, StoreError>;
    fn put_session(&mut self, token: &TokenHash, session: &Session) -> Result<(), StoreError>;
    fn revoke_session(&mut self, token: &TokenHash) -> Result<(), StoreError>;
    /// Forgets nonces, sessions, replies and consents that have expired, at most `limit` of each.
    fn purge(&mut self, now: Timestamp, limit: usize) -> Result<(), StoreError>;
    /// A value under `name`: the one that is stored, or else `fresh`, which is stored then.
    fn setting(&mut self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError>;
    /// Writes a sign of life: proof that the database can be written.
    fn mark_ready(&mut self, now: Timestamp) -> Result<(), StoreError>;
    /// Verifications that nobody works on, leased to `replica` until `now + lease_ms`.
    fn lease_verifications(
        &mut self,
        replica: ReplicaId,
        now: Timestamp,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<Verification>, StoreError>;
    /// Gives back what `replica` has leased. It has just started, so it works on none of it.
    fn free_verifications(&mut self, replica: ReplicaId) -> Result<(), StoreError>;
    /// Ends a verification: its verdict has been decided.
    fn close_verification(&mut self, verification: &Verification) -> Result<(), StoreError>;
}

/// A row whose `due_at` has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    Job(JobId),
    Node(NodeId),
}

/// sha-256 of a bearer token: whoever reads the database cannot sign in with what is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TokenHash(pub [u8; 32]);

/// Somebody who has signed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    pub address: Address,
    pub expires_at: Timestamp,
}

/// Names one mutating request of one account, so that it takes effect once however often it is sent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct IdempotencyKey {
    pub account: Address,
    pub key: String,
}

/// What a request under an idempotency key was answered with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredReply {
    /// sha-256 of the request: the same key with another request is refused.
    pub fingerprint: [u8; 32],
    pub reply: Reply,
    pub expires_at: Timestamp,
}

/// Reads on a thread where blocking is allowed.
///
/// # Panics
/// Where `work` panics.
pub async fn read<T, F>(store: &std::sync::Arc<dyn Store>, work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: Fn(&dyn Reads) -> Result<T, StoreError> + Send + 'static,
{
    let store = std::sync::Arc::clone(store);
    let reading = tokio::task::spawn_blocking(move || {
        let mut found = None;
        store.read_with(&mut |rows| {
            found = Some(work(rows)?);
            Ok(())
        })?;
        Ok(found.expect("read_with calls its argument when it returns Ok"))
    });
    match reading.await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The attempt that carries `number`, if any.
pub fn attempt(
    rows: &dyn Reads,
    job: JobId,
    number: AttemptNumber,
) -> Result<Option<Attempt>, StoreError> {
    Ok(rows.attempts(job)?.into_iter().find(|attempt| attempt.number == number))
}

/// Whose node it is, and whether this scheduler may assign it jobs; nothing where no wallet has enrolled it.
pub fn standing(rows: &dyn Reads, node: NodeId) -> Result<Option<(Address, Standing)>, StoreError> {
    let Some(enrollment) = rows.enrollment(node)? else { return Ok(None) };
    let standing = if enrollment.revoked {
        Standing::Revoked
    } else if rows.is_approved(enrollment.provider)? {
        Standing::Good
    } else {
        Standing::NotApproved
    };
    Ok(Some((enrollment.provider, standing)))
}
