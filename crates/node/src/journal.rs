//! The journal: what the node has taken on and how far it has come, on disk before each step.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gristmill_protocol::api::AttemptRef;
use rusqlite::{Connection, OptionalExtension, params};

use crate::agent::{Phase, Record};

/// How long an ended attempt is remembered past its deadline. The contract forgets none, but by then nobody may
/// assign the job any more, so its attempts cannot come back.
const REMEMBER_SECONDS: u64 = 30 * 86_400;
/// A command of the provider may read while the agent writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS attempts (
        job_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        deadline INTEGER NOT NULL,
        over INTEGER NOT NULL,
        -- Uploaded bytes of log. Beside the record, because it changes far more often.
        log_offset INTEGER NOT NULL DEFAULT 0,
        record TEXT NOT NULL,
        PRIMARY KEY (job_id, attempt)
    ) STRICT, WITHOUT ROWID;
";

/// One SQLite file. A call returns once its change is on disk.
pub struct Journal {
    connection: Connection,
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot open the journal {path}: {error}")]
    Open { path: PathBuf, error: rusqlite::Error },
    #[error("the journal failed: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error("the journal holds a record that this version cannot read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl Journal {
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        let connection =
            open().map_err(|error| JournalError::Open { path: path.to_owned(), error })?;
        Ok(Self { connection })
    }

    /// Writes a record over its older form.
    pub fn save(&self, record: &Record) -> Result<(), JournalError> {
        let over = matches!(record.phase, Phase::Over { .. });
        self.connection
            .prepare_cached(
                "INSERT INTO attempts (job_id, attempt, deadline, over, record) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (job_id, attempt) DO UPDATE SET over = ?4, record = ?5",
            )?
            .execute(params![
                record.assignment.job_id.to_string(),
                record.assignment.attempt.0,
                i64::try_from(record.assignment.terms.deadline).unwrap_or(i64::MAX),
                over,
                serde_json::to_string(record)?,
            ])?;
        Ok(())
    }

    pub fn save_log_offset(&self, held: &AttemptRef, offset: u64) -> Result<(), JournalError> {
        self.connection
            .prepare_cached(
                "UPDATE attempts SET log_offset = ?3 WHERE job_id = ?1 AND attempt = ?2",
            )?
            .execute(params![
                held.job_id.to_string(),
                held.attempt.0,
                i64::try_from(offset).unwrap_or(i64::MAX)
            ])?;
        Ok(())
    }

    /// Uploaded bytes of log.
    pub fn log_offset(&self, held: &AttemptRef) -> Result<u64, JournalError> {
        let offset: Option<i64> = self
            .connection
            .prepare_cached("SELECT log_offset FROM attempts WHERE job_id = ?1 AND attempt = ?2")?
            .query_row(params![held.job_id.to_string(), held.attempt.0], |row| row.get(0))
            .optional()?;
        Ok(offset.and_then(|offset| offset.try_into().ok()).unwrap_or(0))
    }

    /// Every attempt that the node remembers, those that are over included.
    pub fn records(&self) -> Result<Vec<Record>, JournalError> {
        let mut query = self
            .connection
            .prepare_cached("SELECT record FROM attempts ORDER BY deadline, job_id, attempt")?;
        let texts = query.query_map([], |row| row.get::<_, String>(0))?;
        texts.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
    }

    /// Forgets what ended long ago.
    pub fn prune(&self, unix_seconds: u64) -> Result<usize, JournalError> {
        let before =
            i64::try_from(unix_seconds.saturating_sub(REMEMBER_SECONDS)).unwrap_or(i64::MAX);
        Ok(self
            .connection
            .execute("DELETE FROM attempts WHERE over AND deadline < ?1", [before])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::samples::record;
    use gristmill_protocol::ids::AttemptNumber;

    #[test]
    fn what_was_saved_is_there_after_the_process_died() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.sqlite");
        let journal = Journal::open(&path).unwrap();
        let mut first = record(Phase::Accepted);
        journal.save(&first).unwrap();
        journal.save_log_offset(&first.held(), 77).unwrap();
        first.phase = Phase::Releasing { reason: "x".into() };
        journal.save(&first).unwrap();
        // Forgetting the connection without closing it is what a crash leaves: the file, its WAL, and no goodbye.
        std::mem::forget(journal);

        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.records().unwrap(), [first.clone()]);
        assert_eq!(
            journal.log_offset(&first.held()).unwrap(),
            77,
            "a new phase does not forget the log"
        );
        let other = AttemptRef { attempt: AttemptNumber(9), ..first.held() };
        assert_eq!(journal.log_offset(&other).unwrap(), 0);
    }

    #[test]
    fn only_what_is_over_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal.sqlite")).unwrap();
        let mut over = record(Phase::Over { how: "paid".into() });
        over.assignment.attempt = AttemptNumber(1);
        let live = record(Phase::Accepted);
        journal.save(&over).unwrap();
        journal.save(&live).unwrap();
        let deadline = live.assignment.terms.deadline;
        assert_eq!(journal.prune(deadline + REMEMBER_SECONDS).unwrap(), 0);
        assert_eq!(journal.prune(deadline + REMEMBER_SECONDS + 1).unwrap(), 1);
        assert_eq!(journal.records().unwrap(), [live]);
    }
}
