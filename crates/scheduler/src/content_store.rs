//! The content that this scheduler keeps: a directory of blocks behind quotas.
//!
//! Everything here blocks on the disk; async callers go through `spawn_blocking`.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gristmill_market::demand::KnownSpec;
use gristmill_protocol::content::{
    self, BlockStore, Cid, ContentError, ContentUri, DirStore, Durability, Limits, Sha256Digest,
};
use gristmill_protocol::ids::SpecHash;
use gristmill_protocol::spec::JobSpec;
use serde::Deserialize;
use tokio::sync::Semaphore;

/// How much content may come in. All sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quotas {
    /// One upload.
    pub upload_bytes_max: u64,
    /// All blocks together.
    pub total_bytes_max: u64,
    /// What must stay free on the disk.
    pub free_bytes_min: u64,
    /// Files and directories of one upload.
    pub files_max: u64,
    /// Uploads at the same time.
    pub uploads_max: usize,
    /// Downloads at the same time.
    pub downloads_max: usize,
}

impl Quotas {
    /// What one upload, and one walk through the content of one root, may cost.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { bytes_max: self.upload_bytes_max, files_max: self.files_max, ..Limits::default() }
    }
}

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A root that nothing in the CAR, and nothing that is here, completes.
    #[error(
        "block {missing}, which is part of {root}, was not in the CAR; upload everything below each root"
    )]
    Incomplete { root: Cid, missing: Cid },
    #[error("the CAR names no root; write the CID of the content into its header")]
    NoRoot,
    /// The scheduler's disk or quota, not the sender's fault.
    #[error("the content store is full; try again later or use another store")]
    Full,
}

/// What an upload brought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    pub roots: Vec<Cid>,
    pub blocks: u64,
    pub bytes: u64,
}

/// How much of what a path leads to is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DagScope {
    /// Only the block at the end of the path.
    Block,
    /// A file with all its content, or a directory without the content of its entries.
    Entity,
    /// Everything below.
    All,
}

/// The blocks of this scheduler.
#[derive(Debug)]
pub struct ContentStore {
    blocks: DirStore,
    quotas: Quotas,
    /// Bytes of all blocks. Counted once at start and kept up to date by every block that comes in.
    stored_bytes: AtomicU64,
    /// Each upload and each download keeps a thread busy for as long as it takes; these say how many there may be.
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) downloads: Arc<Semaphore>,
}

impl ContentStore {
    /// Opens the store in `directory`, and counts what is in it.
    pub fn open(directory: &Path, quotas: Quotas) -> io::Result<Self> {
        let blocks = DirStore::open(directory, Durability::Synced)?;
        let stored_bytes = AtomicU64::new(blocks.bytes()?);
        let uploads = Arc::new(Semaphore::new(quotas.uploads_max));
        let downloads = Arc::new(Semaphore::new(quotas.downloads_max));
        Ok(Self { blocks, quotas, stored_bytes, uploads, downloads })
    }

    /// The quotas that it was opened with.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Bytes of all blocks.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes.load(Ordering::Relaxed)
    }

    /// Keeps every block of a CAR, each verified, and checks that all of each root is here.
    ///
    /// What came stays, whatever follows: so an upload that was cut goes on where it stopped, and blocks that two uploads
    /// share are never taken from under the other.
    pub fn import(&self, car: &mut dyn Read) -> Result<Stored, UploadError> {
        let limits = self.quotas.limits();
        let imported = content::read_car(self, car, &limits).map_err(full_or_other)?;
        if imported.roots.is_empty() {
            return Err(UploadError::NoRoot);
        }
        for root in &imported.roots {
            if let Some(missing) = content::missing(self, root, &limits, 1)?.first() {
                return Err(UploadError::Incomplete { root: *root, missing: *missing });
            }
        }
        Ok(Stored { roots: imported.roots, blocks: imported.blocks, bytes: imported.bytes })
    }

    /// The CID that an address leads to, and the blocks on the way there, in order.
    pub fn resolve(&self, uri: &ContentUri) -> content::Result<(Cid, Vec<Cid>)> {
        let trail = Trail::new(self);
        let cid = content::resolve(&trail, uri, &self.quotas.limits())?;
        Ok((cid, trail.into_cids()))
    }

    /// Says which block is missing, if one is, before anything of a CAR is sent.
    pub fn check_complete(&self, cid: &Cid, scope: DagScope) -> content::Result<()> {
        let missing = match scope {
            DagScope::Block => content::load(self, cid).map(|_| None)?,
            DagScope::Entity | DagScope::All => {
                if self.entity_blocks(cid, scope)?.is_some() {
                    None
                } else {
                    content::missing(self, cid, &self.quotas.limits(), 1)?.first().copied()
                }
            }
        };
        missing.map_or(Ok(()), |cid| Err(ContentError::MissingBlock { cid }))
    }

    /// Calls `visit` with each block that `scope` wants of `cid`, verified, depth first, each once.
    pub fn visit(
        &self,
        cid: &Cid,
        scope: DagScope,
        visit: &mut dyn FnMut(&Cid, &[u8]) -> content::Result<()>,
    ) -> content::Result<()> {
        let listed = match scope {
            DagScope::Block => Some(vec![*cid]),
            DagScope::Entity | DagScope::All => self.entity_blocks(cid, scope)?,
        };
        match listed {
            Some(cids) => cids.iter().try_for_each(|cid| visit(cid, &content::load(self, cid)?)),
            None => content::blocks(self, cid, &self.quotas.limits(), visit),
        }
    }

    /// The blocks of a directory itself, where the scope is an entity and the entity is a directory.
    fn entity_blocks(&self, cid: &Cid, scope: DagScope) -> content::Result<Option<Vec<Cid>>> {
        if scope != DagScope::Entity {
            return Ok(None);
        }
        let trail = Trail::new(self);
        match content::list(&trail, cid, &self.quotas.limits()) {
            Ok(_) => Ok(Some(trail.into_cids())),
            Err(ContentError::WrongKind { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps a job spec as what it is: the raw block whose CID has the spec's hash.
    pub fn keep_spec(&self, spec: &KnownSpec) -> io::Result<()> {
        let cid = spec_cid(spec.hash);
        if self.size(&cid)?.is_some() {
            return Ok(());
        }
        self.put(&cid, &spec.spec.canonical_json())
    }

    /// The job spec with this hash, where its block is here. A block that is no spec is nobody's job.
    pub fn find_spec(&self, hash: SpecHash) -> content::Result<Option<KnownSpec>> {
        match content::load(self, &spec_cid(hash)) {
            Ok(json) => Ok(read_spec(hash, &json)),
            Err(ContentError::MissingBlock { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes `bytes` from the quotas, or says that they are used up.
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let before = self.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
        let within = before.saturating_add(bytes) <= self.quotas.total_bytes_max
            && free_bytes(self.blocks.root())? >= self.quotas.free_bytes_min.saturating_add(bytes);
        if within {
            return Ok(());
        }
        self.stored_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Err(io::Error::new(io::ErrorKind::StorageFull, "the content store has reached its quota"))
    }
}

impl BlockStore for ContentStore {
    fn get(&self, cid: &Cid) -> io::Result<Option<Vec<u8>>> {
        self.blocks.get(cid)
    }

    fn put(&self, cid: &Cid, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len() as u64;
        if self.blocks.has(cid)? {
            // Written again: a block that the disk damaged is mended so.
            return self.blocks.put(cid, bytes);
        }
        // Two uploads that bring the same new block at the same moment count it twice, until the next start. The quota
        // errs on the side of the disk.
        self.reserve(count)?;
        self.blocks.put(cid, bytes).inspect_err(|_| {
            self.stored_bytes.fetch_sub(count, Ordering::Relaxed);
        })
    }

    fn size(&self, cid: &Cid) -> io::Result<Option<u64>> {
        self.blocks.size(cid)
    }
}

/// Where every content store has a job spec.
#[must_use]
pub fn spec_cid(hash: SpecHash) -> Cid {
    content::raw_cid(Sha256Digest(hash.0.0))
}

/// What these bytes say, if they are the canonical JSON of the spec with this hash.
#[must_use]
pub fn read_spec(hash: SpecHash, json: &[u8]) -> Option<KnownSpec> {
    let spec = JobSpec::from_json(json).ok()?;
    (spec.hash() == hash).then_some(KnownSpec { hash, spec })
}

fn free_bytes(directory: &Path) -> io::Result<u64> {
    let statistics = rustix::fs::statvfs(directory)?;
    Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
}

/// A full disk is the scheduler's trouble, whatever else went wrong is the content's.
fn full_or_other(error: ContentError) -> UploadError {
    if let ContentError::Store { source, .. } = &error
        && matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    {
        tracing::error!(%error, "the content store is full");
        return UploadError::Full;
    }
    UploadError::Content(error)
}

/// A store that remembers, in order, which blocks were read from it.
struct Trail<'a> {
    store: &'a ContentStore,
    cids: std::sync::Mutex<Vec<Cid>>,
}

impl<'a> Trail<'a> {
    fn new(store: &'a ContentStore) -> Self {
        Self { store, cids: std::sync::Mutex::default() }
    }

    fn into_cids(self) -> Vec<Cid> {
        self.cids.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl BlockStore for Trail<'_> {
    fn get(&self, cid: &Cid) -> io::Result<Option<Vec<u8>>> {
        self.cids.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(*cid);
        self.store.get(cid)
    }

    fn put(&self, cid: &Cid, bytes: &[u8]) -> io::Result<()> {
        self.store.put(cid, bytes)
    }

    fn size(&self, cid: &Cid) -> io::Result<Option<u64>> {
        self.store.size(cid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill_protocol::content::{MemoryStore, add_dir, add_file, write_car};

    fn quotas() -> Quotas {
        Quotas {
            upload_bytes_max: 8 << 20,
            total_bytes_max: 4 << 20,
            free_bytes_min: 0,
            files_max: 100,
            uploads_max: 1,
            downloads_max: 1,
        }
    }

    fn open(quotas: Quotas) -> (tempfile::TempDir, ContentStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = ContentStore::open(directory.path(), quotas).unwrap();
        (directory, store)
    }

    fn file(bytes: &[u8]) -> (MemoryStore, Cid) {
        let store = MemoryStore::default();
        let cid = add_file(&store, &mut &bytes[..], &Limits::default()).unwrap().cid;
        (store, cid)
    }

    fn car(store: &MemoryStore, cid: &Cid) -> Vec<u8> {
        let mut car = Vec::new();
        write_car(store, cid, &mut car, &Limits::default()).unwrap();
        car
    }

    #[test]
    fn an_upload_twice_is_counted_once() {
        let (blocks, cid) = file(&vec![7; 3 << 20]);
        let car = car(&blocks, &cid);
        let (directory, store) = open(quotas());
        let stored = store.import(&mut car.as_slice()).unwrap();
        assert_eq!(stored.roots, [cid]);
        let bytes = store.stored_bytes();
        assert!(bytes > 0);
        store.import(&mut car.as_slice()).unwrap();
        assert_eq!(store.stored_bytes(), bytes);
        assert_eq!(ContentStore::open(directory.path(), quotas()).unwrap().stored_bytes(), bytes);
    }

    #[test]
    fn a_root_that_is_not_complete_is_refused_and_can_be_completed() {
        let bytes: Vec<u8> = (0..3u32 << 20).map(|i| (i >> 14) as u8).collect();
        let (blocks, cid) = file(&bytes);
        let whole = car(&blocks, &cid);
        let (_directory, store) = open(quotas());
        // Cut between two blocks: a valid CAR that lacks the last leaf.
        let mut cut = Vec::new();
        let mut writer = content::CarWriter::new(&mut cut, &[cid]).unwrap();
        let mut left = 2;
        content::blocks(&blocks, &cid, &Limits::default(), &mut |cid, bytes| {
            if left > 0 {
                left -= 1;
                writer.write_block(cid, bytes)?;
            }
            Ok(())
        })
        .unwrap();
        let error = store.import(&mut cut.as_slice()).unwrap_err();
        assert!(matches!(error, UploadError::Incomplete { root, .. } if root == cid), "{error}");
        assert!(matches!(
            store.check_complete(&cid, DagScope::All),
            Err(ContentError::MissingBlock { .. })
        ));
        store.import(&mut whole.as_slice()).unwrap();
        store.check_complete(&cid, DagScope::All).unwrap();
    }

    #[test]
    fn a_spec_is_a_block_like_any_other_and_nothing_else_is_a_spec() {
        let (_directory, store) = open(quotas());
        let known = crate::samples::spec();
        assert_eq!(store.find_spec(known.hash).unwrap(), None);
        store.keep_spec(&known).unwrap();
        let bytes = store.stored_bytes();
        store.keep_spec(&known).unwrap();
        assert_eq!(store.stored_bytes(), bytes, "the same one twice takes no more room");
        assert_eq!(store.find_spec(known.hash).unwrap(), Some(known.clone()));
        // Anybody's tools find it by its CID.
        let cid = content::block_cid(&known.spec.canonical_json());
        assert_eq!(content::load(&store, &cid).unwrap(), known.spec.canonical_json());
        // The same spec, but not written as it is hashed; and something else altogether.
        let mut spaced = known.spec.canonical_json();
        spaced.push(b' ');
        for other in [spaced.as_slice(), b"flour"] {
            let hash = SpecHash(Sha256Digest::of(other).0.into());
            store.put(&content::block_cid(other), other).unwrap();
            assert_eq!(store.find_spec(hash).unwrap(), None);
        }
    }

    #[test]
    fn a_full_store_takes_nothing_more_and_keeps_what_it_has() {
        let (_directory, store) = open(quotas());
        let (blocks, small) = file(b"flour");
        store.import(&mut car(&blocks, &small).as_slice()).unwrap();
        let noise: Vec<u8> =
            (0..5u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (blocks, large) = file(&noise);
        let error = store.import(&mut car(&blocks, &large).as_slice()).unwrap_err();
        assert!(matches!(error, UploadError::Full), "{error}");
        assert!(store.stored_bytes() <= quotas().total_bytes_max);
        store.check_complete(&small, DagScope::All).unwrap();

        let (_directory, store) = open(Quotas { free_bytes_min: u64::MAX, ..quotas() });
        let (blocks, small) = file(b"flour");
        let error = store.import(&mut car(&blocks, &small).as_slice()).unwrap_err();
        assert!(matches!(error, UploadError::Full), "{error}");
        assert_eq!(store.stored_bytes(), 0);
    }

    #[test]
    fn a_scope_sends_the_path_and_no_more_than_was_asked_for() {
        let source = tempfile::tempdir().unwrap();
        std::fs::create_dir(source.path().join("data")).unwrap();
        std::fs::write(source.path().join("data/a.txt"), "a").unwrap();
        std::fs::write(source.path().join("b.txt"), "b").unwrap();
        let (_directory, store) = open(quotas());
        let root = add_dir(&store, source.path(), &Limits::default()).unwrap().cid;
        let blocks_of = |cid: &Cid, scope| {
            let mut count = 0;
            store
                .visit(cid, scope, &mut |_, _| {
                    count += 1;
                    Ok(())
                })
                .unwrap();
            count
        };
        assert_eq!(blocks_of(&root, DagScope::Block), 1);
        assert_eq!(blocks_of(&root, DagScope::Entity), 1);
        assert_eq!(blocks_of(&root, DagScope::All), 4);

        let (file, trail) = store.resolve(&ContentUri::new(root, "data/a.txt").unwrap()).unwrap();
        assert_eq!(content::load(&store, &file).unwrap(), b"a");
        assert_eq!(trail.len(), 2, "the root and the directory `data`");
        assert_eq!(blocks_of(&file, DagScope::Entity), 1);
        let error = store.resolve(&ContentUri::new(root, "data/none").unwrap()).unwrap_err();
        assert!(matches!(error, ContentError::NotFound { .. }), "{error}");
    }
}
