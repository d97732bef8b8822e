//! Blocks in a directory: one file a block, `ab/abcdef…`, named by the sha-256 of its content.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cid::Cid;

use super::block::{BlockStore, Sha256Digest, storage_key};

/// Where blocks are written before they are renamed into place.
const TEMPORARY: &str = "tmp";
/// A temporary file that is older belongs to a process that died.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a power cut may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A block that was put stays.
    Synced,
    /// Blocks of the last seconds may be lost or damaged. Right for what can be fetched again.
    Cached,
}

/// A store that several threads, and several processes on one machine, may use at once.
#[derive(Debug)]
pub struct DirStore {
    root: PathBuf,
    durability: Durability,
    next_temporary: AtomicU64,
}

impl DirStore {
    /// Opens the store in `root`, which is created if it does not exist.
    pub fn open(root: impl Into<PathBuf>, durability: Durability) -> io::Result<Self> {
        let root = root.into();
        let temporary = root.join(TEMPORARY);
        fs::create_dir_all(&temporary)?;
        for entry in fs::read_dir(&temporary)? {
            let entry = entry?;
            // Another process may be renaming it this moment: then it is gone, which is as good.
            let old = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > TEMPORARY_AGE_MAX));
            if old {
                remove_if_exists(&entry.path())?;
            }
        }
        Ok(Self { root, durability, next_temporary: AtomicU64::new(0) })
    }

    /// The directory of the store.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Forgets a block; whether it was here.
    pub fn remove(&self, cid: &Cid) -> io::Result<bool> {
        remove_if_exists(&self.path(&storage_key(cid)?))
    }

    /// Removes every block that `keep` does not want, and returns how many bytes that freed.
    ///
    /// `keep` sees only the hash: the store does not know how a block is read. Blocks written meanwhile may be removed too.
    pub fn sweep(&self, mut keep: impl FnMut(&Sha256Digest) -> bool) -> io::Result<u64> {
        let mut freed_bytes = 0;
        self.for_each(|digest, path, bytes| {
            if !keep(&digest) && remove_if_exists(path)? {
                freed_bytes += bytes;
            }
            Ok(())
        })?;
        Ok(freed_bytes)
    }

    /// Bytes of all blocks.
    pub fn bytes(&self) -> io::Result<u64> {
        let mut sum = 0;
        self.for_each(|_, _, bytes| {
            sum += bytes;
            Ok(())
        })?;
        Ok(sum)
    }

    fn for_each(
        &self,
        mut visit: impl FnMut(Sha256Digest, &Path, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        for shard in fs::read_dir(&self.root)? {
            let shard = shard?;
            if shard.file_name() == TEMPORARY || !shard.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(shard.path())? {
                let entry = entry?;
                let digest = entry.file_name().to_str().and_then(|name| name.parse().ok());
                if let (Some(digest), Ok(metadata)) = (digest, entry.metadata()) {
                    visit(digest, &entry.path(), metadata.len())?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, key: &Sha256Digest) -> PathBuf {
        let name = key.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// A new file that no other thread or process writes to.
    fn temporary(&self) -> io::Result<(File, PathBuf)> {
        loop {
            let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
            let mut name = OsString::from(std::process::id().to_string());
            name.push(format!("-{number}"));
            let path = self.root.join(TEMPORARY).join(name);
            match File::create_new(&path) {
                Ok(file) => return Ok((file, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&self, mut file: File, bytes: &[u8], temporary: &Path, path: &Path) -> io::Result<()> {
        file.write_all(bytes)?;
        if self.durability == Durability::Synced {
            file.sync_all()?;
        }
        drop(file);
        let directory = path.parent().expect("a block is in a directory of the store");
        match fs::create_dir(directory) {
            Ok(()) if self.durability == Durability::Synced => {
                File::open(&self.root)?.sync_all()?
            }
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        fs::rename(temporary, path)?;
        if self.durability == Durability::Synced {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

impl BlockStore for DirStore {
    fn get(&self, cid: &Cid) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(&storage_key(cid)?)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes even what is here already: so a block that the disk damaged is mended by fetching it again.
    fn put(&self, cid: &Cid, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(&storage_key(cid)?);
        let (file, temporary) = self.temporary()?;
        self.write(file, bytes, &temporary, &path).inspect_err(|_| {
            // The first error is the one to report; what stays is swept when the store is opened next.
            let _ = fs::remove_file(&temporary);
        })
    }

    fn size(&self, cid: &Cid) -> io::Result<Option<u64>> {
        match fs::metadata(self.path(&storage_key(cid)?)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn remove_if_exists(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
