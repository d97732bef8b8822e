//! Reading directories of this machine: sorted, and nothing but files and directories.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::budget::Budget;
use super::name::{check_name, join};
use super::{ContentError, Result};

/// A file or directory that was found.
pub(super) struct Found {
    pub(super) name: String,
    /// Where it is on this machine.
    pub(super) location: PathBuf,
    /// Where it is in the content.
    pub(super) path: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    File(Metadata),
    Directory,
}

impl Found {
    /// What is at `location`, which is called `name` in the directory `directory` of the content.
    pub(super) fn at(location: PathBuf, directory: &str, name: String) -> Result<Self> {
        let path = join(directory, &name);
        let metadata =
            fs::symlink_metadata(&location).map_err(ContentError::io("read", &location))?;
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File(metadata)
        } else if metadata.is_symlink() {
            return Err(ContentError::Symlink { path: shown(&path, &location) });
        } else {
            return Err(ContentError::SpecialFile { path: shown(&path, &location) });
        };
        Ok(Self { name, location, path, kind })
    }
}

/// The root of the content has no path of its own.
fn shown(path: &str, location: &Path) -> String {
    if path.is_empty() { location.display().to_string() } else { path.to_owned() }
}

/// The entries of a directory in the order of their names' bytes, which is the order of links in its node.
pub(super) fn entries(location: &Path, path: &str, budget: &mut Budget) -> Result<Vec<Found>> {
    let unreadable = |source| ContentError::Io {
        doing: "read the directory",
        path: location.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(location).map_err(unreadable)? {
        budget.spend_files(1)?;
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().into_string().map_err(|name| ContentError::InvalidName {
            directory: path.to_owned(),
            name: name.to_string_lossy().into_owned(),
            reason: "it is not UTF-8",
        })?;
        check_name(path, &name)?;
        found.push(Found::at(entry.path(), path, name)?);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// A file that is read to the length that it had when it was found.
pub(super) struct FoundFile {
    file: File,
    path: String,
    left_bytes: u64,
}

impl FoundFile {
    pub(super) fn open(found: &Found, metadata: &Metadata, budget: &mut Budget) -> Result<Self> {
        budget.spend_bytes(metadata.len())?;
        let file =
            File::open(&found.location).map_err(ContentError::io("open", &found.location))?;
        let opened = file.metadata().map_err(ContentError::io("read", &found.location))?;
        // Between the look and the opening a writer could have put a symbolic link in its place.
        if !is_same_file(metadata, &opened) {
            return Err(ContentError::Changed { path: found.path.clone() });
        }
        Ok(Self { file, path: found.path.clone(), left_bytes: metadata.len() })
    }

    /// Fails if the file grew or shrank: what was announced must be what was read.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.left_bytes == 0 && matches!(self.file.read(&mut [0]), Ok(0)) {
            Ok(())
        } else {
            Err(ContentError::Changed { path: self.path })
        }
    }
}

impl Read for FoundFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let max = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..max])?;
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

#[cfg(unix)]
fn is_same_file(found: &Metadata, opened: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino()) == (opened.dev(), opened.ino())
}

#[cfg(not(unix))]
fn is_same_file(found: &Metadata, opened: &Metadata) -> bool {
    opened.is_file() && found.len() == opened.len()
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;

    fn look(location: &Path) -> (Found, Metadata) {
        let found = Found::at(location.to_owned(), "", "file".to_owned()).unwrap();
        let Kind::File(metadata) = &found.kind else { panic!("not a file") };
        let metadata = metadata.clone();
        (found, metadata)
    }

    #[test]
    fn a_link_put_in_the_place_of_a_file_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (location, secret) = (place.path().join("file"), place.path().join("secret"));
        fs::write(&location, b"public").unwrap();
        fs::write(&secret, b"secret").unwrap();
        let (found, metadata) = look(&location);
        fs::remove_file(&location).unwrap();
        std::os::unix::fs::symlink(&secret, &location).unwrap();
        let opened = FoundFile::open(&found, &metadata, &mut Budget::new(&Limits::default()));
        assert!(matches!(opened, Err(ContentError::Changed { .. })));
    }

    #[test]
    fn a_file_that_grows_or_shrinks_while_it_is_read_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let location = place.path().join("file");
        for (after, same) in [("12", false), ("123", true), ("1234", false)] {
            fs::write(&location, "abc").unwrap();
            let (found, metadata) = look(&location);
            let mut budget = Budget::new(&Limits::default());
            let mut file = FoundFile::open(&found, &metadata, &mut budget).unwrap();
            fs::write(&location, after).unwrap();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            assert!(content.len() <= 3, "more was read than was announced");
            assert_eq!(file.finish().is_ok(), same, "after writing `{after}`");
        }
    }
}
