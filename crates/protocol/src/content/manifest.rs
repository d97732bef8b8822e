//! What is in an output directory, independent of how it was cut into blocks: what a receipt signs.

use std::path::{Path, PathBuf};

use cid::Cid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::block::{BlockStore, sha256_of_reader};
use super::budget::Budget;
use super::name::fault;
use super::scan::{self, Found, FoundFile, Kind};
use super::walk::{Visitor, walk};
use super::{ContentError, Limits, Result, Sha256Digest};
use crate::ids::ManifestHash;

/// One file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Relative to the directory, with `/` between names.
    pub path: String,
    /// Bytes.
    pub size: u64,
    pub sha256: Sha256Digest,
}

/// All files of a directory, sorted by the bytes of their paths. Empty directories are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    files: Vec<ManifestFile>,
}

impl Manifest {
    pub(super) fn sorted(mut files: Vec<ManifestFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }

    /// Reads the files below `directory`. Its writer must have ended.
    pub fn of_dir(directory: &Path, limits: &Limits) -> Result<Self> {
        let mut budget = Budget::new(limits);
        budget.spend_files(1)?;
        let mut files = Vec::new();
        let mut directories: Vec<(PathBuf, String, usize)> = Vec::new();
        match Found::at(directory.to_owned(), "", String::new())?.kind {
            Kind::Directory => directories.push((directory.to_owned(), String::new(), 0)),
            Kind::File(_) => {
                return Err(ContentError::WrongKind {
                    path: directory.display().to_string(),
                    wanted: "directory",
                });
            }
        }
        while let Some((location, path, depth)) = directories.pop() {
            budget.check_depth(depth)?;
            for found in scan::entries(&location, &path, &mut budget)? {
                match &found.kind {
                    Kind::Directory => directories.push((found.location, found.path, depth + 1)),
                    Kind::File(metadata) => {
                        let mut file = FoundFile::open(&found, metadata, &mut budget)?;
                        let (sha256, size) = sha256_of_reader(&mut file, metadata.len())?;
                        file.finish()?;
                        files.push(ManifestFile { path: found.path, size, sha256 });
                    }
                }
            }
        }
        Ok(Self::sorted(files))
    }

    /// Reads the blocks of the directory `root` and verifies each; no file is written.
    pub fn of_dag(store: &dyn BlockStore, root: &Cid, limits: &Limits) -> Result<Self> {
        let mut collect = Collect::default();
        walk(store, root, limits, &mut collect)?;
        match collect.files.first() {
            Some(file) if file.path.is_empty() => {
                Err(ContentError::WrongKind { path: root.to_string(), wanted: "directory" })
            }
            Some(_) | None => Ok(Self::sorted(collect.files)),
        }
    }

    /// Reads a manifest that a stranger sent: at most `files_max` files with valid, distinct, sorted paths.
    pub fn from_json(json: &[u8], limits: &Limits) -> Result<Self> {
        let invalid = |reason: String| ContentError::InvalidManifest { reason };
        let manifest: Self =
            serde_json::from_slice(json).map_err(|error| invalid(error.to_string()))?;
        let mut budget = Budget::new(limits);
        budget.spend_files(manifest.files.len() as u64)?;
        for file in &manifest.files {
            budget.spend_bytes(file.size)?;
            if let Some(reason) = file.path.split('/').find_map(fault) {
                return Err(invalid(format!("the path `{}`: {reason}", file.path.escape_debug())));
            }
        }
        if !manifest.files.is_sorted_by(|a, b| a.path < b.path) {
            return Err(invalid("its paths must be sorted and distinct".to_owned()));
        }
        Ok(manifest)
    }

    /// The files, sorted by path.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The one form that is hashed: RFC 8785.
    #[must_use]
    pub fn canonical_json(&self) -> Vec<u8> {
        crate::canonical_json(self)
    }

    /// sha-256 of the canonical JSON: what a receipt signs.
    #[must_use]
    pub fn hash(&self) -> ManifestHash {
        ManifestHash(Sha256Digest::of(&self.canonical_json()).0.into())
    }
}

#[derive(Default)]
struct Collect {
    files: Vec<ManifestFile>,
    hasher: Sha256,
}

impl Visitor for Collect {
    fn directory(&mut self, _path: &str) -> Result<()> {
        Ok(())
    }

    fn file(&mut self, path: &str, bytes: u64) -> Result<()> {
        // The hash is filled in at the end of the file.
        self.files.push(ManifestFile {
            path: path.to_owned(),
            size: bytes,
            sha256: Sha256Digest([0; 32]),
        });
        Ok(())
    }

    fn content(&mut self, part: &[u8]) -> Result<()> {
        self.hasher.update(part);
        Ok(())
    }

    fn file_end(&mut self) -> Result<()> {
        let sha256 = Sha256Digest(self.hasher.finalize_reset().into());
        if let Some(file) = self.files.last_mut() {
            file.sha256 = sha256;
        }
        Ok(())
    }
}
