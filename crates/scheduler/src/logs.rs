//! Logs of attempts: append-only files, one an attempt. The length of the file is the offset that comes next, so a crash
//! loses nothing that was acknowledged and repeats nothing.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gristmill_market::attempt::Attempt;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};

/// Appends to different files seldom wait for each other.
const LOCKS: usize = 64;

/// Whose log it is. The node belongs to it: a promise that never reached the chain leaves its number to another node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LogId {
    pub job: JobId,
    pub attempt: AttemptNumber,
    pub node: NodeId,
}

impl LogId {
    #[must_use]
    pub fn of(attempt: &Attempt) -> Self {
        Self { job: attempt.job, attempt: attempt.number, node: attempt.node }
    }
}

/// Why a chunk of log was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log ends at byte {expected_offset}: send what comes after that first")]
    Gap { expected_offset: u64 },
    #[error("the log may have {limit_bytes} bytes, and has {bytes}")]
    Full { bytes: u64, limit_bytes: u64 },
    #[error("the log cannot be written")]
    Io(#[from] io::Error),
}

/// The folder of all logs. Everything here blocks.
pub struct Logs {
    folder: PathBuf,
    locks: [Mutex<()>; LOCKS],
}

impl Logs {
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), locks: std::array::from_fn(|_| Mutex::new(())) })
    }

    /// Appends what of `chunk`, which starts at `offset`, is not there yet. Returns where the next chunk starts; what is
    /// before that is on the disk.
    pub fn append(
        &self,
        id: LogId,
        offset: u64,
        chunk: &[u8],
        limit_bytes: u64,
    ) -> Result<u64, LogError> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let lock = &self.locks[(hasher.finish() % LOCKS as u64) as usize];
        let _one_at_a_time = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let length = self.length(id)?;
        if offset > length {
            return Err(LogError::Gap { expected_offset: length });
        }
        let known = usize::try_from(length - offset).unwrap_or(usize::MAX).min(chunk.len());
        let fresh = &chunk[known..];
        if fresh.is_empty() {
            return Ok(length);
        }
        if length + fresh.len() as u64 > limit_bytes {
            return Err(LogError::Full { bytes: length, limit_bytes });
        }
        let path = self.path(id);
        if length == 0
            && let Some(folder) = path.parent()
        {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        if let Err(error) = file.write_all(fresh).and_then(|()| file.sync_data()) {
            // A part may have arrived. Without it the next try starts where this one did.
            let _ = file.set_len(length);
            return Err(error.into());
        }
        Ok(length + fresh.len() as u64)
    }

    /// Bytes of a log; 0 where there is none.
    pub fn length(&self, id: LogId) -> io::Result<u64> {
        match std::fs::metadata(self.path(id)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Bytes from `offset` on, at most `bytes_max`; none at the end.
    pub fn read(&self, id: LogId, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut file = match File::open(self.path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(bytes_max as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn path(&self, id: LogId) -> PathBuf {
        let job = id.job.to_string();
        // Folders of 256 names at most at the first level, so that no folder grows with the market.
        self.folder.join(&job[2..4]).join(&job).join(format!("{}-{}.log", id.attempt, id.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(attempt: u16) -> LogId {
        LogId {
            job: JobId([7; 32].into()),
            attempt: AttemptNumber(attempt),
            node: NodeId([1; 20].into()),
        }
    }

    #[test]
    fn chunks_are_taken_once_in_order_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path()).unwrap();
        assert_eq!(logs.append(id(1), 0, b"one ", 100).unwrap(), 4);
        assert_eq!(logs.append(id(1), 0, b"one ", 100).unwrap(), 4, "a repeated chunk");
        assert_eq!(logs.append(id(1), 2, b"e two", 100).unwrap(), 7, "a chunk that overlaps");
        assert_eq!(logs.append(id(1), 0, b"on", 100).unwrap(), 7, "an old part");
        let gap = logs.append(id(1), 8, b"x", 100).unwrap_err();
        assert!(matches!(gap, LogError::Gap { expected_offset: 7 }), "{gap}");

        let again = Logs::open(folder.path()).unwrap();
        assert_eq!(again.append(id(1), 7, b"!", 100).unwrap(), 8);
        assert_eq!(again.read(id(1), 0, 100).unwrap(), b"one two!");
        assert_eq!(again.read(id(1), 4, 3).unwrap(), b"two");
        assert_eq!(again.read(id(1), 99, 3).unwrap(), b"");
        assert_eq!(again.length(id(2)).unwrap(), 0, "another attempt has a log of its own");
        assert_eq!(again.read(id(2), 0, 3).unwrap(), b"");
    }

    #[test]
    fn a_full_log_takes_nothing_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path()).unwrap();
        logs.append(id(1), 0, b"1234", 5).unwrap();
        let full = logs.append(id(1), 4, b"56", 5).unwrap_err();
        assert!(matches!(full, LogError::Full { bytes: 4, limit_bytes: 5 }), "{full}");
        assert_eq!(logs.append(id(1), 4, b"5", 5).unwrap(), 5);
        assert_eq!(logs.append(id(1), 0, b"12345", 5).unwrap(), 5, "what is there already is fine");
    }
}
