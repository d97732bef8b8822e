//! The log of one attempt: a file with a cap, written by the program's output and read by the uploader.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

/// How far a log has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extent {
    /// Bytes that are kept.
    pub kept_bytes: u64,
    /// Bytes that the program wrote.
    pub written_bytes: u64,
    /// Nothing more will come.
    pub closed: bool,
}

impl Extent {
    /// Whether the program wrote more than is kept.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.written_bytes > self.kept_bytes
    }
}

/// Appends never wait for the uploader, so a program is never held up by a slow scheduler; the cap bounds the disk.
pub struct Spool {
    file: Mutex<File>,
    bytes_max: u64,
    extent: watch::Sender<Extent>,
}

impl Spool {
    /// Opens the log of an attempt; what an earlier run of the agent kept is kept.
    pub fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let kept_bytes = file.metadata()?.len();
        let extent = Extent { kept_bytes, written_bytes: kept_bytes, closed: false };
        Ok(Self { file: Mutex::new(file), bytes_max, extent: watch::Sender::new(extent) })
    }

    /// Keeps `bytes`, as far as the cap allows.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let extent = *self.extent.borrow();
        let room = usize::try_from(self.bytes_max.saturating_sub(extent.kept_bytes)).unwrap_or(usize::MAX);
        let kept = &bytes[..bytes.len().min(room)];
        file.write_all(kept)?;
        self.extent.send_modify(|extent| {
            extent.kept_bytes += kept.len() as u64;
            extent.written_bytes += bytes.len() as u64;
        });
        Ok(())
    }

    /// Says that the program has ended and all its output is here.
    pub fn close(&self) {
        self.extent.send_modify(|extent| extent.closed = true);
    }

    #[must_use]
    pub fn extent(&self) -> Extent {
        *self.extent.borrow()
    }

    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Extent> {
        self.extent.subscribe()
    }

    /// At most `bytes_max` bytes from `offset` on, of what is kept.
    pub fn read(&self, offset: u64, bytes_max: usize) -> io::Result<Bytes> {
        let kept = self.extent().kept_bytes.saturating_sub(offset);
        let mut buffer = vec![0; usize::try_from(kept).unwrap_or(usize::MAX).min(bytes_max)];
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_up_to_the_cap_is_kept_and_all_of_it_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir.path().join("log"), 10).unwrap();
        let watch = spool.watch();
        spool.append(b"hello ").unwrap();
        assert!(!spool.extent().is_over());
        spool.append(b"world!").unwrap();
        assert_eq!(spool.extent(), Extent { kept_bytes: 10, written_bytes: 12, closed: false });
        assert!(spool.extent().is_over());
        assert_eq!(&spool.read(6, 100).unwrap()[..], b"worl");
        assert_eq!(&spool.read(0, 3).unwrap()[..], b"hel");
        assert!(spool.read(10, 3).unwrap().is_empty());
        assert!(spool.read(99, 3).unwrap().is_empty());
        spool.close();
        assert!(watch.borrow().closed);
        drop(spool);
        assert_eq!(Spool::open(&dir.path().join("log"), 10).unwrap().extent().kept_bytes, 10, "a restart keeps it");
    }
}
