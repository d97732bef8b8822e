//! What the tests of content share: data that any language can generate, and small stores.

mod fetching;
mod fixtures;
mod hostile;
mod round_trip;

use std::fs;
use std::path::Path;

use super::block::{self, DAG_PB};
use super::unixfs::{Encoded, Link};
use super::{
    BlockStore, Cid, ContentError, Limit, Limits, Manifest, MemoryStore, Sha256Digest, block_cid,
    export,
};

/// Bytes that a line of JavaScript generates as well:
/// `x = (Math.imul(x, 1664525) + 1013904223) >>> 0; b[i] = x >>> 24`, where `x` begins as the seed.
pub(super) fn grist(count: usize, seed: u32) -> Vec<u8> {
    let mut x = seed;
    std::iter::repeat_with(|| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        x.to_be_bytes()[0]
    })
    .take(count)
    .collect()
}

/// A file of a single block.
fn put_raw(store: &MemoryStore, bytes: &[u8]) -> Cid {
    let cid = block_cid(bytes);
    store.put(&cid, bytes).unwrap();
    cid
}

fn put_node(store: &MemoryStore, node: Encoded) -> Cid {
    store.put(&node.cid, &node.block).unwrap();
    node.cid
}

/// A dag-pb block with these bytes, whatever they are.
fn put_dag_pb(store: &MemoryStore, block: &[u8]) -> Cid {
    let cid = block::dag_pb_cid(Sha256Digest::of(block));
    assert_eq!(cid.codec(), DAG_PB);
    store.put(&cid, block).unwrap();
    cid
}

fn link(name: &str, cid: Cid) -> Link {
    Link { cid, name: name.to_owned(), dag_bytes: 0 }
}

/// Exports `root`, expects a refusal, and expects that nothing is left of it.
fn refused(store: &dyn BlockStore, root: &Cid, limits: &Limits) -> ContentError {
    let place = tempfile::tempdir().unwrap();
    let error = export(store, root, &place.path().join("out"), limits).unwrap_err();
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().collect();
    assert!(left.is_empty(), "a refused export left {left:?}");
    error
}

/// As [`refused`], and so early that it did not even find out that there is no place to write to.
fn refused_unwritten(store: &dyn BlockStore, root: &Cid, limits: &Limits) -> ContentError {
    let place = tempfile::tempdir().unwrap();
    export(store, root, &place.path().join("nowhere/out"), limits).unwrap_err()
}

fn assert_limit(error: ContentError, limit: Limit) {
    let ContentError::LimitExceeded(exceeded) = error else {
        panic!("expected {limit:?}, not {error:?}")
    };
    assert_eq!(exceeded, limit);
}

fn write_file(directory: &Path, path: &str, bytes: &[u8]) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The directory that the fixtures call `d`: nested, sorted by bytes, not only ASCII, with an empty directory.
fn write_fixture_directory(directory: &Path, deep_bytes: usize) {
    write_file(directory, "a.txt", &grist(10, 1));
    write_file(directory, "B.txt", &grist(20, 2));
    write_file(directory, "größe und ☃", &[]);
    write_file(directory, "sub/deep/x", &grist(deep_bytes, 4));
    write_file(directory, "sub.txt", &grist(5, 5));
    fs::create_dir(directory.join("empty")).unwrap();
}
