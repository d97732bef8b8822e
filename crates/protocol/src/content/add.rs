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

const UNIXFS_V1_2025: Profile =
    Profile { chunk_bytes: 1 << 20, links_max: 1024, directory_bytes_max: 256 << 10 };

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
    let file = Adder::new(store, UNIXFS_V1_2025, limits).file(reader, Source::Stream)?;
    Ok(Added {
        cid: file.root.cid,
        bytes: file.root.bytes,
        dag_bytes: file.root.dag_bytes,
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
    root: Part,
    /// Of the whole file, if a manifest is wanted.
    sha256: Option<Sha256Digest>,
}

impl<'a> Adder<'a> {
    fn new(store: &'a dyn BlockStore, profile: Profile, limits: &Limits) -> Self {
        let chunk = vec![0; profile.chunk_bytes];
        Self { store, profile, budget: Budget::new(limits), files: 0, manifest: None, chunk }
    }

    fn root(&mut self, location: &Path, wanted: Option<&'static str>) -> Result<Added> {
        self.budget.spend_files(1)?;
        let found = Found::at(location.to_owned(), "", String::new())?;
        if let (Some(wanted), Kind::File(_)) = (wanted, &found.kind) {
            return Err(ContentError::WrongKind { path: location.display().to_string(), wanted });
        }
        let link = self.found(found, 0)?;
        Ok(Added {
            cid: link.cid,
            bytes: self.budget.bytes,
            dag_bytes: link.dag_bytes,
            files: self.files,
        })
    }

    fn found(&mut self, found: Found, depth: usize) -> Result<Link> {
        let (cid, dag_bytes) = match &found.kind {
            Kind::Directory => self.directory(&found, depth)?,
            Kind::File(metadata) => {
                let mut reader = FoundFile::open(&found, metadata, &mut self.budget)?;
                let file =
                    self.file(&mut reader, Source::Disk).map_err(|error| at(error, &found))?;
                reader.finish()?;
                self.files += 1;
                if let (Some(manifest), Some(sha256)) = (&mut self.manifest, file.sha256) {
                    manifest.push(ManifestFile {
                        path: found.path.clone(),
                        size: file.root.bytes,
                        sha256,
                    });
                }
                (file.root.cid, file.root.dag_bytes)
            }
        };
        Ok(Link { cid, name: found.name, dag_bytes })
    }

    fn directory(&mut self, found: &Found, depth: usize) -> Result<(Cid, u64)> {
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
        Ok((encoded.cid, encoded.dag_bytes))
    }

    /// Cuts a file into chunks, and builds the balanced tree over them as they come. The bytes of a file on disk were
    /// spent when it was opened; a stream's are spent as they come.
    fn file(&mut self, reader: &mut dyn Read, source: Source) -> Result<AddedFile> {
        let mut tree =
            Tree { store: self.store, links_max: self.profile.links_max, levels: Vec::new() };
        let mut whole = self.manifest.is_some().then(Sha256::new);
        let mut bytes = 0;
        let mut ended = false;
        while !ended {
            let count = fill(reader, &mut self.chunk)?;
            if count == 0 && bytes > 0 {
                break;
            }
            ended = count < self.chunk.len();
            let chunk = &self.chunk[..count];
            self.budget.spend_blocks(1)?;
            if source == Source::Stream {
                self.budget.spend_bytes(count as u64)?;
            }
            let sha256 = match &mut whole {
                // The first chunk is the whole file so far: most files are hashed only once.
                Some(whole) if bytes == 0 => {
                    whole.update(chunk);
                    Sha256Digest(whole.clone().finalize().into())
                }
                Some(whole) => {
                    whole.update(chunk);
                    Sha256Digest::of(chunk)
                }
                None => Sha256Digest::of(chunk),
            };
            bytes += count as u64;
            let part = Part { cid: raw_cid(sha256), bytes: count as u64, dag_bytes: count as u64 };
            block::put(self.store, &part.cid, chunk)?;
            tree.push(0, part)?;
        }
        Ok(AddedFile {
            root: tree.finish()?,
            sha256: whole.map(|whole| Sha256Digest(whole.finalize().into())),
        })
    }
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Disk,
    Stream,
}

/// A stream that failed is a file that could not be read, once it is known which.
fn at(error: ContentError, found: &Found) -> ContentError {
    if let ContentError::Stream { doing, source } = error {
        ContentError::Io { doing, path: found.location.clone(), source }
    } else {
        error
    }
}

/// A balanced tree of file nodes that grows to the right: one open node a level.
struct Tree<'a> {
    store: &'a dyn BlockStore,
    links_max: usize,
    levels: Vec<Vec<Part>>,
}

impl Tree<'_> {
    fn push(&mut self, level: usize, part: Part) -> Result<()> {
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
        let part = Part {
            cid: node.cid,
            bytes: parts.iter().map(|part| part.bytes).sum(),
            dag_bytes: node.dag_bytes,
        };
        self.push(level + 1, part)
    }

    /// Closes every level up to the first that holds all of the file in one part.
    fn finish(mut self) -> Result<Part> {
        let mut level = 0;
        while level + 1 < self.levels.len() || self.levels[level].len() > 1 {
            self.close(level)?;
            level += 1;
        }
        Ok(self.levels[level].swap_remove(0))
    }
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
                return Err(ContentError::Stream { doing: "read", source });
            }
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::super::{Limit, MemoryStore, cat, list};
    use super::*;

    /// Trees of several levels, and shards, from little data.
    const SMALL: Profile = Profile { chunk_bytes: 100, links_max: 3, directory_bytes_max: 200 };

    fn grist(count: usize) -> Vec<u8> {
        super::super::tests::grist(count, count as u32)
    }

    /// CIDs from npm `ipfs-unixfs-importer` 17.1.1 with `fixedSize({ chunkSize: 100 })` and
    /// `balanced({ maxChildrenPerNode: 3 })`: around each number of bytes that begins another level.
    #[test]
    fn trees_of_several_levels_have_the_cids_of_other_tools() {
        let fixtures = [
            (99, "bafkreiajffagwq5vjzrhvggbzzmriu56nffrfso6og72qu35rnfz6kvn5m"),
            (100, "bafkreiblr7gbowyqwqfhlqnazkkbylgucewemoxona6cfjffwdzx6bejqe"),
            (101, "bafybeifoonwn5lnm5stvlvbfg5obad4zzecvm77wlsmy2lbwxvxo5elnfy"),
            (300, "bafybeiatmoo63wytnubjyhutjhk5gar5nhdgdaquxo33aeehyhticqezw4"),
            (301, "bafybeiaxthqideht6qs6bbywdfapd3al7k7juup7lbbr7e3mv5pj3hhx5e"),
            (900, "bafybeidvkgp34lkfc2drrrxxrbueejndnfkeumyiaxjk5x7u45xq6vmcru"),
            (901, "bafybeibl57ephwhzohe2l7nn5rqj3yll6ninvpy767pcncdz5qdrr6e6ie"),
            (2700, "bafybeifvoxiudmfocpkokqmo6kpwfo5qvyqfc2q5dvkzdb66d4e46o3i7a"),
            (2701, "bafybeiffessfy5gaiq5mg3c7q5ws6444wjkfs3vyrida7rdlbj5ophcn74"),
            (12_345, "bafybeig2jxqy4atzjuc42wyl4mtwgi6bnzxnsabejwwoir45xczv2adble"),
        ];
        let limits = Limits::default();
        for (bytes, cid) in fixtures {
            let store = MemoryStore::default();
            let content = grist(bytes);
            let file = Adder::new(&store, SMALL, &limits)
                .file(&mut content.as_slice(), Source::Stream)
                .unwrap();
            assert_eq!(file.root.cid.to_string(), cid, "{bytes} bytes");
            let mut read = Vec::new();
            cat(&store, &file.root.cid, &mut read, &limits).unwrap();
            assert!(read == content, "{bytes} bytes read back differ");
        }
    }

    #[test]
    fn a_manifest_and_the_blocks_come_from_one_reading() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("one"), grist(100)).unwrap();
        std::fs::write(place.path().join("many"), grist(1234)).unwrap();
        let store = MemoryStore::default();
        let limits = Limits::default();
        let mut adder = Adder::new(&store, SMALL, &limits);
        adder.manifest = Some(Vec::new());
        let root = adder.root(place.path(), None).unwrap().cid;
        let manifest = Manifest::sorted(adder.manifest.unwrap());
        assert_eq!(manifest, Manifest::of_dir(place.path(), &limits).unwrap());
        assert_eq!(manifest, Manifest::of_dag(&store, &root, &limits).unwrap());
    }

    #[test]
    fn a_small_directory_is_not_sharded_and_a_large_one_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        for count in [3usize, 4, 500] {
            let directory = place.path().join(count.to_string());
            std::fs::create_dir(&directory).unwrap();
            let mut expected: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
            for name in &expected {
                std::fs::write(directory.join(name), name).unwrap();
            }
            let store = MemoryStore::default();
            let root = Adder::new(&store, SMALL, &limits).root(&directory, None).unwrap().cid;
            let mut names: Vec<String> =
                list(&store, &root, &limits).unwrap().into_iter().map(|entry| entry.name).collect();
            let sharded = !names.is_sorted();
            assert_eq!(sharded, count == 500, "{count} entries in {names:?}");
            names.sort();
            expected.sort();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn a_stream_that_never_ends_is_cut_at_the_budget() {
        let store = MemoryStore::default();
        let limits = Limits { bytes_max: 1000, ..Limits::default() };
        let mut adder = Adder::new(&store, SMALL, &limits);
        match adder.file(&mut io::repeat(7), Source::Stream) {
            Err(ContentError::LimitExceeded(limit)) => assert_eq!(limit, Limit::Bytes(1000)),
            Ok(_) | Err(_) => panic!("an endless stream was added"),
        }
        assert!(store.len() <= 10 + 4, "{} blocks were kept", store.len());
    }
}
