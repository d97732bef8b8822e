//! The log of a program on its way to the scheduler: a file with a limit that one end writes and the other reads.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Bytes that are handed on at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Written by the runtime, read by the uploader.
pub type SharedSpool = Arc<Spool>;

/// Appends never wait for the uploader, so a program is never held up by a slow scheduler; the limit bounds the disk.
pub struct Spool {
    file: Mutex<File>,
    reader: File,
    bytes_max: u64,
    progress: watch::Sender<Progress>,
}

/// How far a log has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes in the file.
    pub kept: u64,
    /// Bytes that the program wrote, whether kept or not.
    pub written: u64,
    /// Nothing more is to come.
    pub closed: bool,
}

impl Spool {
    /// Opens the file, and goes on at its end where it exists.
    pub fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = File::options().create(true).append(true).mode(0o600).open(path)?;
        let kept = file.metadata()?.len();
        let progress = Progress { kept, written: kept, closed: false };
        Ok(Self {
            file: Mutex::new(file),
            reader: File::open(path)?,
            bytes_max,
            progress: watch::Sender::new(progress),
        })
    }

    /// Keeps what fits. Returns whether all of it did: a program that writes more is to be stopped.
    pub fn append(&self, bytes: &[u8]) -> io::Result<bool> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Progress { kept, written, closed } = *self.progress.borrow();
        let room = usize::try_from(self.bytes_max.saturating_sub(kept)).unwrap_or(usize::MAX);
        let fitting = &bytes[..bytes.len().min(room)];
        file.write_all(fitting)?;
        self.progress.send_replace(Progress {
            kept: kept + fitting.len() as u64,
            written: written + bytes.len() as u64,
            closed,
        });
        Ok(fitting.len() == bytes.len())
    }

    /// Says that nothing more is to come.
    pub fn close(&self) {
        self.progress.send_modify(|progress| progress.closed = true);
    }

    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// What stands at `offset`, at most one chunk.
    pub fn read(&self, offset: u64) -> io::Result<Vec<u8>> {
        let left = self.progress().kept.saturating_sub(offset);
        let mut chunk = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES)];
        self.reader.read_exact_at(&mut chunk, offset)?;
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_what_fits_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir.path().join("log"), 10).unwrap();
        assert!(spool.append(b"12345678").unwrap());
        assert!(!spool.append(b"9abc").unwrap(), "the program has to be stopped");
        assert!(!spool.append(b"d").unwrap());
        assert_eq!(spool.read(0).unwrap(), b"123456789a");
        assert_eq!(spool.progress(), Progress { kept: 10, written: 13, closed: false });
        assert_eq!(std::fs::read(dir.path().join("log")).unwrap().len(), 10);
    }

    #[test]
    fn a_restart_goes_on_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        Spool::open(&path, 100).unwrap().append(b"before ").unwrap();
        let spool = Spool::open(&path, 100).unwrap();
        spool.append(b"after").unwrap();
        assert_eq!(spool.read(0).unwrap(), b"before after");
        assert_eq!(spool.read(7).unwrap(), b"after");
        assert_eq!(spool.read(12).unwrap(), b"");
        assert_eq!(spool.read(99).unwrap(), b"");
    }

    #[tokio::test]
    async fn a_reader_learns_of_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir.path().join("log"), 100).unwrap();
        let mut watch = spool.watch();
        spool.append(b"x").unwrap();
        spool.close();
        let end = *watch.wait_for(|progress| progress.closed).await.unwrap();
        assert_eq!(end.kept, 1);
    }
}
