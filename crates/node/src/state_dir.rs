//! Where the node keeps things. Everything it writes lies below one folder that only its own user can enter.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gristmill_protocol::api::AttemptRef;

/// The node's folder: `journal.sqlite`, `lock`, `cache/`, and `work/<job>-<attempt>/` for each attempt.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// Opens the folder, creating it where it does not exist.
    pub fn open(root: &Path) -> io::Result<Self> {
        private_dir(root)?;
        let root = root.canonicalize()?;
        for name in ["cache", "work"] {
            private_dir(&root.join(name))?;
        }
        Ok(Self { root })
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.sqlite")
    }

    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Held while the agent runs, so that no second one takes the same jobs.
    pub fn lock(&self) -> io::Result<Option<File>> {
        let file = File::create(self.root.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// The folder of an attempt, whether it exists or not.
    #[must_use]
    pub fn work(&self, held: &AttemptRef) -> WorkDir {
        let name = format!("{}-{}", hex::encode(held.job_id.0), held.attempt);
        WorkDir { root: self.root.join("work").join(name) }
    }

    /// Removes the folders of attempts that `keep` does not want, and returns how many there were.
    pub fn sweep_work(&self, keep: impl Fn(&Path) -> bool) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(self.root.join("work"))? {
            let path = entry?.path();
            if !keep(&path) {
                remove_tree(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// The folder of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkDir {
    root: PathBuf,
}

impl WorkDir {
    /// Makes an empty folder with an empty `output`, removing what an earlier start may have left.
    pub fn create(&self) -> io::Result<()> {
        remove_tree(&self.root)?;
        private_dir(&self.root)?;
        for (path, mode) in [(self.input(), 0o755), (self.output(), 0o777)] {
            fs::create_dir(&path)?;
            // The program runs as nobody; the folder around it is closed to everyone else.
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    /// Takes away what the program wrote.
    pub fn empty_output(&self) -> io::Result<()> {
        remove_tree(&self.output())?;
        fs::create_dir(self.output())
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn input(&self) -> PathBuf {
        self.root.join("input")
    }

    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.root.join("output")
    }

    /// The log as far as it is kept.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The WASM module.
    #[must_use]
    pub fn module(&self) -> PathBuf {
        self.root.join("module.wasm")
    }

    /// Blocks of the output.
    #[must_use]
    pub fn blocks(&self) -> PathBuf {
        self.root.join("blocks")
    }

    /// The output as it is uploaded.
    #[must_use]
    pub fn car(&self) -> PathBuf {
        self.root.join("output.car")
    }

    pub fn remove(&self) -> io::Result<()> {
        remove_tree(&self.root)
    }
}

/// Bytes on disk and number of entries below `path`, without following links. Stops counting at `entries_max`.
pub fn usage(path: &Path, entries_max: u64) -> io::Result<Usage> {
    use std::os::unix::fs::MetadataExt;
    let mut usage = Usage::default();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // The program removes what it wrote while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            usage.entries += 1;
            // A sparse file costs its length when it is hashed and sent, a tiny one the block that it occupies.
            usage.bytes += metadata.len().max(metadata.blocks() * 512);
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            if usage.entries >= entries_max {
                return Ok(usage);
            }
        }
    }
    Ok(usage)
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub entries: u64,
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill_protocol::ids::{AttemptNumber, JobId};

    #[test]
    fn folders_are_private_and_an_attempt_starts_empty() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(state.root()), 0o700);

        let work = state.work(&AttemptRef { job_id: JobId::default(), attempt: AttemptNumber(1) });
        work.create().unwrap();
        assert_eq!(mode(work.root()), 0o700);
        fs::write(work.output().join("old"), b"x").unwrap();
        work.create().unwrap();
        assert!(!work.output().join("old").exists(), "nothing of an earlier start is left");
        assert_eq!(state.sweep_work(|_| false).unwrap(), 1);
        assert!(!work.root().exists());
    }

    #[test]
    fn only_one_agent_holds_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let held = state.lock().unwrap();
        assert!(held.is_some());
        assert!(state.lock().unwrap().is_none());
        drop(held);
        assert!(state.lock().unwrap().is_some());
    }

    #[test]
    fn usage_counts_lengths_blocks_and_entries() {
        let dir = tempfile::tempdir().unwrap();
        let sparse = File::create(dir.path().join("sparse")).unwrap();
        sparse.set_len(1 << 20).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("sub/root")).unwrap();
        let all = usage(dir.path(), 100).unwrap();
        assert!(all.bytes >= 1 << 20 && all.bytes < 2 << 20, "{all:?}: links are not followed");
        assert_eq!(all.entries, 3);
        assert_eq!(usage(dir.path(), 1).unwrap().entries, 1, "counting is bounded");
    }
}
