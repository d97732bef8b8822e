//! SQLite: one file, one writer, many readers. Durable when a transaction returns (WAL, `synchronous = FULL`).

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use gristmill_market::Needs;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use sha2::{Digest, Sha256};

use super::{Reads, Store, StoreError, Writer, Writes};

mod chain;
mod columns;
mod consents;
mod decisions;
mod jobs;
mod payments;
mod reads;
mod reconcile;
mod writes;

/// The schema, step by step. A step that has been released is never changed: a new one follows it.
const MIGRATIONS: &[(u32, &str)] = &[
    (1, include_str!("../../migrations/sqlite/0001_init.sql")),
    (2, include_str!("../../migrations/sqlite/0002_chain.sql")),
    (3, include_str!("../../migrations/sqlite/0003_reconcile.sql")),
    (4, include_str!("../../migrations/sqlite/0004_verification_holder.sql")),
    (5, include_str!("../../migrations/sqlite/0005_enroll_consents.sql")),
    (6, include_str!("../../migrations/sqlite/0006_payments_by_time.sql")),
    (7, include_str!("../../migrations/sqlite/0007_lists_of_jobs.sql")),
    (8, include_str!("../../migrations/sqlite/0008_reputation.sql")),
];

/// Readers at once; more wait.
const READERS_MAX: usize = 8;
/// Longer than any transaction of ours: only a stranger with the file open could make us wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS_MAX: usize = 256;

/// A database file.
pub struct SqliteStore {
    path: PathBuf,
    readers: Mutex<Readers>,
    returned: Condvar,
}

#[derive(Default)]
struct Readers {
    idle: Vec<Connection>,
    lent: usize,
}

/// The rows that one transaction, or one reader's snapshot, sees.
pub(crate) struct SqliteRows<'c> {
    pub(super) connection: &'c Connection,
}

struct SqliteWriter {
    connection: Connection,
}

impl SqliteStore {
    /// Opens the database, creating it or bringing its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = open_writer(path)?;
        migrate(&mut connection)?;
        Ok(Self { path: path.to_owned(), readers: Mutex::default(), returned: Condvar::new() })
    }

    /// The number of the newest migration in the database; 0 where it does not exist or is empty. Changes nothing.
    pub fn migrated_to(path: &Path) -> Result<u32, StoreError> {
        if !path.exists() {
            return Ok(0);
        }
        let connection = open_reader(path)?;
        newest_migration(&connection)
    }

    /// The number of the newest migration that this program knows.
    #[must_use]
    pub fn migrations_known() -> u32 {
        MIGRATIONS.last().map_or(0, |(number, _)| *number)
    }

    fn borrow_reader(&self) -> Result<Connection, StoreError> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = readers.idle.pop() {
                readers.lent += 1;
                return Ok(connection);
            }
            if readers.lent < READERS_MAX {
                let connection = open_reader(&self.path)?;
                readers.lent += 1;
                return Ok(connection);
            }
            readers = self.returned.wait(readers).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Gives a reader back however its use ended.
struct Lent<'s> {
    store: &'s SqliteStore,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut readers = self.store.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.lent -= 1;
        readers.idle.extend(self.connection.take());
        self.store.returned.notify_one();
    }
}

impl Store for SqliteStore {
    fn read_with(
        &self,
        work: &mut dyn FnMut(&dyn Reads) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let lent = Lent { store: self, connection: Some(self.borrow_reader()?) };
        let connection = lent.connection.as_ref().expect("taken on drop only");
        // One snapshot, so that what is read together fits together.
        let snapshot = connection.unchecked_transaction()?;
        work(&SqliteRows { connection: &snapshot })
    }

    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        Ok(Box::new(SqliteWriter { connection: open_writer(&self.path)? }))
    }
}

impl Writer for SqliteWriter {
    fn transact(
        &mut self,
        _rows: &Needs,
        work: &mut dyn FnMut(&mut dyn Writes) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // The lock of the one writer covers every row. Dropped without a commit, the transaction leaves no trace.
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&mut SqliteRows { connection: &transaction })?;
        transaction.commit()?;
        Ok(())
    }
}

fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(connection)
    };
    open().map_err(|error| StoreError::Open { path: path.display().to_string(), error })
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(connection)
    };
    open().map_err(|error| StoreError::Open { path: path.display().to_string(), error })
}

fn newest_migration(connection: &Connection) -> Result<u32, StoreError> {
    let exists: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations')",
        [],
        |row| row.get(0),
    )?;
    if !exists {
        return Ok(0);
    }
    Ok(connection
        .query_row("SELECT coalesce(max(number), 0) FROM migrations", [], |row| row.get(0))?)
}

/// Applies what is missing, each step in a transaction of its own, and refuses a database that has other steps.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, sha256 BLOB NOT NULL) STRICT",
    )?;
    let (found, known) = (newest_migration(connection)?, SqliteStore::migrations_known());
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (number, sql) in MIGRATIONS {
        let digest: [u8; 32] = Sha256::digest(sql).into();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let applied: Option<[u8; 32]> = transaction
            .query_row("SELECT sha256 FROM migrations WHERE number = ?1", [number], |row| {
                row.get(0)
            })
            .optional()?;
        match applied {
            Some(applied) if applied == digest => {}
            Some(_) => return Err(StoreError::MigrationDiffers { number: *number }),
            None => {
                transaction.execute_batch(sql)?;
                transaction.execute(
                    "INSERT INTO migrations (number, sha256) VALUES (?1, ?2)",
                    (number, &digest[..]),
                )?;
                transaction.commit()?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "sqlite/tests.rs"]
mod tests;
