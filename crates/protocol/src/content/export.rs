//! From blocks to files: whole or not at all, and nowhere but under the given path.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cid::Cid;

use super::block::BlockStore;
use super::walk::{Visitor, survey, walk};
use super::{ContentError, Limits, Result};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Files, not counting directories.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Writes the file or directory `root` to `destination`, which must not exist; the directory that it is in must.
///
/// Names and budgets are checked before anything is written. Content is written beside the destination, into
/// `.<name>.partial`, which nobody else can enter, and renamed when it is complete and verified; on failure it is removed.
/// So there are no links to follow, and what a crash left is removed by the next export to the same destination.
pub fn export(
    store: &dyn BlockStore,
    root: &Cid,
    destination: &Path,
    limits: &Limits,
) -> Result<Exported> {
    if fs::symlink_metadata(destination).is_ok() {
        return Err(ContentError::DestinationExists { path: destination.to_owned() });
    }
    let surveyed = survey(store, root, limits)?;
    let partial = Partial::create(destination)?;
    let content = partial.path.join("content");
    walk(store, root, limits, &mut Export { root: content.clone(), current: None })?;
    fs::rename(&content, destination).map_err(ContentError::io("write", destination))?;
    Ok(Exported { files: surveyed.files, bytes: surveyed.bytes })
}

/// The directory that holds content until it is complete.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn create(destination: &Path) -> Result<Self> {
        let name = destination.file_name().ok_or_else(|| ContentError::Io {
            doing: "write",
            path: destination.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "it does not end in a name"),
        })?;
        let mut partial_name = OsString::from(".");
        partial_name.push(name);
        partial_name.push(".partial");
        let path = destination.with_file_name(partial_name);
        remove(&path).map_err(ContentError::io("remove what an earlier export left in", &path))?;
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(ContentError::io("create the directory", &path))?;
        Ok(Self { path })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Best effort: whoever exports here next tries again, and reports what is wrong.
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

struct Export {
    root: PathBuf,
    current: Option<(File, PathBuf)>,
}

impl Export {
    /// Every name in the path was checked by the walk to be one plain name.
    fn location(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Visitor for Export {
    fn directory(&mut self, path: &str) -> Result<()> {
        let location = self.location(path);
        fs::create_dir(&location).map_err(ContentError::io("create the directory", &location))
    }

    fn file(&mut self, path: &str, _bytes: u64) -> Result<()> {
        let location = self.location(path);
        // `create_new` neither follows a link nor opens what exists, as on a file system that ignores case.
        let file = File::create_new(&location).map_err(ContentError::io("create", &location))?;
        self.current = Some((file, location));
        Ok(())
    }

    fn content(&mut self, part: &[u8]) -> Result<()> {
        match &mut self.current {
            Some((file, location)) => {
                file.write_all(part).map_err(ContentError::io("write", &*location))
            }
            None => unreachable!("the walk begins a file before its content"),
        }
    }

    fn file_end(&mut self) -> Result<()> {
        self.current = None;
        Ok(())
    }
}
