//! Writing in the profile `unixfs-v1-2025`: what Kubo 0.40, `ipfs-car` and Storacha write.

use std::io::{self, Read};
use std::path::Path;

use cid::Cid;
use sha2::{Digest, Sha256};

use super::block::{self, BlockStore, raw_cid};
use super::budget::Budget;
use super::scan::{self, Found, FoundFile, Kind};
use super::unixfs::{self, Link, Part};
use super::{ContentError, Limits, Manifest, ManifestFile, Result, Sha256Digest, hamt};

/// How files and directories become blocks. Only tests use another profile: their trees stay small.
#[derive(Debug, Clone, Copy)]
struct Profile {
    chunk_bytes: usize,
    links_max: usize,
    /// A directory whose one block would be larger is sharded.
    directory_bytes_max: usize,
}

const UNIXFS_V1_2025: Profile = Profile {
    chunk_bytes: 1 << 20,
    links_max: 1024,
    directory_bytes_max: 256 << 10,
};

/// What was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    pub cid: Cid,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of all blocks, counting one as often as it is linked: about the size of its CAR.
    pub dag_bytes: u64,
    /// Files, not counting directories.
    pub files: u64,
}

/// Adds everything in `reader` as one file. Memory holds one chunk of it.
pub fn add_file(store: &dyn BlockStore, reader: &mut dyn Read, limits: &Limits) -> Result<Added> {
    let mut adder = Adder::new(store, UNIXFS_V1_2025, limits);
    let file = adder.file(&mut Metered {
        reader,
        left_bytes: limits.bytes_max,
    })?;
    if file.bytes == limits.bytes_max && !is_at_end(reader)? {
        adder
            .budget
            .spend_bytes(limits.bytes_max.saturating_add(1))?;
    }
    Ok(Added {
        cid: file.link.cid,
        bytes: file.bytes,
        dag_bytes: file.link.dag_bytes,
        files: 1,
    })
}

/// Adds a directory with everything in it, sorted by name, without modes and times. Its writer must have ended.
pub fn add_dir(store: &dyn BlockStore, directory: &Path, limits: &Limits) -> Result<Added> {
    Adder::new(store, UNIXFS_V1_2025, limits).root(directory, Some("directory"))
}

/// Adds a directory and says what is in it. One pass: both describe the same bytes.
pub fn add_dir_with_manifest(
    store: &dyn BlockStore,
    directory: &Path,
    limits: &Limits,
) -> Result<(Added, Manifest)> {
    let mut adder = Adder::new(store, UNIXFS_V1_2025, limits);
    adder.manifest = Some(Vec::new());
    let added = adder.root(directory, Some("directory"))?;
    Ok((added, Manifest::sorted(adder.manifest.unwrap_or_default())))
}

/// Adds a file or a directory.
pub fn add_path(store: &dyn BlockStore, path: &Path, limits: &Limits) -> Result<Added> {
    Adder::new(store, UNIXFS_V1_2025, limits).root(path, None)
}

struct Adder<'a> {
    store: &'a dyn BlockStore,
    profile: Profile,
    budget: Budget,
    files: u64,
    manifest: Option<Vec<ManifestFile>>,
    chunk: Vec<u8>,
}

/// What a file became.
struct AddedFile {
    link: Link,
    bytes: u64,
    sha256: Option<Sha256Digest>,
}

impl<'a> Adder<'a> {
    fn new(store: &'a dyn BlockStore, profile: Profile, limits: &Limits) -> Self {
        let chunk = vec![0; profile.chunk_bytes];
        Self {
            store,
            profile,
            budget: Budget::new(limits),
            files: 0,
            manifest: None,
            chunk,
        }
    }

    fn root(&mut self, location: &Path, wanted: Option<&'static str>) -> Result<Added> {
        self.budget.spend_files(1)?;
        let found = Found::at(location.to_owned(), "", String::new())?;
        if let (Some(wanted), Kind::File(_)) = (wanted, &found.kind) {
            return Err(ContentError::WrongKind {
                path: location.display().to_string(),
                wanted,
            });
        }
        let link = self.found(found, 0)?;
        Ok(Added {
            cid: link.cid,
            bytes: self.budget.bytes,
            dag_bytes: link.dag_bytes,
            files: self.files,
        })
    }

    fn found(&mut self, found: Found, depth: u32) -> Result<Link> {
        let mut link = match &found.kind {
            Kind::Directory => self.directory(&found, depth)?,
            Kind::File(metadata) => {
                let mut reader = FoundFile::open(&found, metadata, &mut self.budget)?;
                let file = self.file(&mut reader).map_err(|error| at(error, &found))?;
                reader.finish()?;
                self.files += 1;
                if let (Some(manifest), Some(sha256)) = (&mut self.manifest, file.sha256) {
                    manifest.push(ManifestFile {
                        path: found.path.clone(),
                        size: file.bytes,
                        sha256,
                    });
                }
                file.link
            }
        };
        link.name = found.name;
        Ok(link)
    }

    fn directory(&mut self, found: &Found, depth: u32) -> Result<Link> {
        self.budget.check_depth(depth)?;
        let links = scan::entries(&found.location, &found.path, &mut self.budget)?
            .into_iter()
            .map(|entry| self.found(entry, depth + 1))
            .collect::<Result<Vec<_>>>()?;
        let mut encoded = unixfs::encode_directory(&links);
        if encoded.block.len() > self.profile.directory_bytes_max {
            encoded = hamt::write(self.store, links)?;
        } else {
            block::put(self.store, &encoded.cid, &encoded.block)?;
        }
        Ok(Link {
            cid: encoded.cid,
            name: String::new(),
            dag_bytes: encoded.dag_bytes,
        })
    }

    /// Cuts a file into chunks, and builds the balanced tree over them as they come.
    fn file(&mut self, reader: &mut dyn Read) -> Result<AddedFile> {
        let mut tree = Tree {
            store: self.store,
            links_max: self.profile.links_max,
            levels: Vec::new(),
        };
        let mut whole = Sha256::new();
        let mut bytes = 0u64;
        let mut single = None;
        loop {
            let count = fill(reader, &mut self.chunk)?;
            if count == 0 && single.is_some() {
                break;
            }
            let chunk = &self.chunk[..count];
            bytes += count as u64;
            // The first chunk's hash is that of the whole file so far, so most files are hashed once only.
            let first = single.is_none();
            if first || self.manifest.is_some() {
                whole.update(chunk);
            }
            let sha256 = if first {
                Sha256Digest(whole.clone().finalize().into())
            } else {
                Sha256Digest::of(chunk)
            };
            single.get_or_insert(sha256);
            let cid = raw_cid(sha256);
            block::put(self.store, &cid, chunk)?;
            self.budget.spend_blocks(1)?;
            tree.push(
                0,
                (
                    Part {
                        cid,
                        bytes: count as u64,
                    },
                    count as u64,
                ),
            )?;
            if count < self.chunk.len() {
                break;
            }
        }
        let (root, dag_bytes) = tree.finish()?;
        let sha256 = self
            .manifest
            .is_some()
            .then(|| Sha256Digest(whole.finalize().into()));
        Ok(AddedFile {
            link: Link {
                cid: root.cid,
                name: String::new(),
                dag_bytes,
            },
            bytes,
            sha256,
        })
    }
}

/// A stream that failed is a file that could not be read, once it is known which.
fn at(error: ContentError, found: &Found) -> ContentError {
    if let ContentError::Stream { doing, source } = error {
        ContentError::Io {
            doing,
            path: found.location.clone(),
            source,
        }
    } else {
        error
    }
}

/// A balanced tree of file nodes that grows to the right: one open node a level.
struct Tree<'a> {
    store: &'a dyn BlockStore,
    links_max: usize,
    levels: Vec<Vec<(Part, u64)>>,
}

impl Tree<'_> {
    fn push(&mut self, level: usize, part: (Part, u64)) -> Result<()> {
        if level == self.levels.len() {
            self.levels.push(Vec::new());
        }
        // Closed only when another part comes: a full node may be the root.
        if self.levels[level].len() == self.links_max {
            self.close(level)?;
        }
        self.levels[level].push(part);
        Ok(())
    }

    fn close(&mut self, level: usize) -> Result<()> {
        let parts = std::mem::take(&mut self.levels[level]);
        let node = unixfs::encode_file(&parts);
        block::put(self.store, &node.cid, &node.block)?;
        let bytes = parts.iter().map(|(part, _)| part.bytes).sum();
        self.push(
            level + 1,
            (
                Part {
                    cid: node.cid,
                    bytes,
                },
                node.dag_bytes,
            ),
        )
    }

    fn finish(mut self) -> Result<(Part, u64)> {
        let mut level = 0;
        loop {
            if level + 1 == self.levels.len() && self.levels[level].len() == 1 {
                return Ok(self.levels[level].swap_remove(0));
            }
            self.close(level)?;
            level += 1;
        }
    }
}

/// A reader that ends when the budget does, so that an endless stream is not added for ever.
struct Metered<'a> {
    reader: &'a mut dyn Read,
    left_bytes: u64,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let max = usize::try_from(self.left_bytes)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.reader.read(&mut buffer[..max])?;
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

fn is_at_end(reader: &mut dyn Read) -> Result<bool> {
    fill(reader, &mut [0]).map(|count| count == 0)
}

/// Reads until the buffer is full or the stream ends.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(ContentError::Stream {
                    doing: "read",
                    source,
                });
            }
        }
    }
    Ok(count)
}
