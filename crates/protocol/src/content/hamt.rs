//! Sharded directories: a hash trie of directory nodes, for directories whose links do not fit one block of 256 KiB.

use cid::Cid;

use super::block::{self, BlockStore};
use super::budget::Budget;
use super::directory::{self, DeadEnd, Find};
use super::unixfs::{self, Encoded, Link, Node, ShardNode, Slot};
use super::{ContentError, Result};

/// The profile's fanout: one byte of the hash a level.
const FANOUT: u64 = 256;
const HASH_BITS: u32 = u64::BITS;

/// Where a name belongs at each level of the trie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    hash: u64,
    used_bits: u32,
}

impl Route {
    pub(super) fn of(name: &str) -> Self {
        Self { hash: murmur3_x64_64(name.as_bytes()), used_bits: 0 }
    }

    fn below(self, fanout: u64) -> Self {
        Self { used_bits: self.used_bits + fanout.ilog2(), ..self }
    }

    /// The slot at this level, or `None` when the hash is used up.
    fn slot(self, fanout: u64) -> Option<u64> {
        let bits = fanout.ilog2();
        let end = self.used_bits + bits;
        (end <= HASH_BITS).then(|| self.hash >> (HASH_BITS - end) & (fanout - 1))
    }
}

/// Looks for `name` in one shard.
pub(super) fn find(shard: ShardNode, name: &str, route: Route) -> Find {
    let wanted = route.slot(shard.fanout);
    match shard.slots.into_iter().find(|(slot, _)| Some(*slot) == wanted) {
        Some((_, Slot::Entry(link))) if link.name == name => Find::Found(link.cid),
        Some((_, Slot::Shard(cid))) => Find::Below(cid, route.below(shard.fanout)),
        Some((_, Slot::Entry(_))) | None => Find::DeadEnd(DeadEnd::Absent),
    }
}

/// A shard that is being read. All names below it have hashes that begin with the same bits.
struct Level {
    cid: Cid,
    fanout: u64,
    prefix: u64,
    prefix_bits: u32,
    slots: std::vec::IntoIter<(u64, Slot)>,
}

/// All entries below a shard, in order of their hashes. Each must be where its name's hash puts it, so that a path finds
/// exactly what a listing shows.
pub(super) fn entries(
    store: &dyn BlockStore,
    root: &Cid,
    shard: ShardNode,
    budget: &mut Budget,
) -> Result<Vec<Link>> {
    let open = |cid, shard: ShardNode, prefix, prefix_bits| Level {
        cid,
        fanout: shard.fanout,
        prefix,
        prefix_bits,
        slots: shard.slots.into_iter(),
    };
    let mut found = Vec::new();
    let mut levels = vec![open(*root, shard, 0, 0)];
    while let Some(level) = levels.last_mut() {
        let Some((slot, content)) = level.slots.next() else {
            levels.pop();
            continue;
        };
        let bits = level.prefix_bits + level.fanout.ilog2();
        if bits > HASH_BITS {
            return Err(ContentError::node(
                &level.cid,
                "its directory has more levels than a hash has bits",
            ));
        }
        let prefix = level.prefix << level.fanout.ilog2() | slot;
        match content {
            Slot::Entry(link) => {
                if murmur3_x64_64(link.name.as_bytes()) >> (HASH_BITS - bits) != prefix {
                    return Err(ContentError::node(
                        &level.cid,
                        "an entry is in a slot that is not its name's",
                    ));
                }
                budget.spend_files(1)?;
                found.push(link);
            }
            Slot::Shard(cid) => {
                let Node::Shard(shard) = directory::load(store, &cid, budget)? else {
                    return Err(ContentError::node(
                        &cid,
                        "a shard links to it as a shard, and it is none",
                    ));
                };
                levels.push(open(cid, shard, prefix, bits));
            }
        }
    }
    Ok(found)
}

/// Writes a sharded directory and returns its root.
pub(super) fn write(store: &dyn BlockStore, links: Vec<Link>) -> Result<Encoded> {
    let mut hashed: Vec<(Route, Link)> =
        links.into_iter().map(|link| (Route::of(&link.name), link)).collect();
    hashed.sort_by_key(|(route, _)| route.hash);
    write_level(store, hashed)
}

fn write_level(store: &dyn BlockStore, entries: Vec<(Route, Link)>) -> Result<Encoded> {
    let mut slots: Vec<(u64, Link)> = Vec::new();
    let mut entries = entries.into_iter().peekable();
    while let Some((route, link)) = entries.next() {
        let slot = route.slot(FANOUT).ok_or_else(|| ContentError::InvalidName {
            directory: String::new(),
            name: link.name.clone(),
            reason: "its hash is that of another name in the same directory",
        })?;
        let mut shared = Vec::new();
        while let Some((route, link)) = entries.next_if(|(next, _)| next.slot(FANOUT) == Some(slot))
        {
            shared.push((route.below(FANOUT), link));
        }
        let link = if shared.is_empty() {
            link
        } else {
            shared.insert(0, (route.below(FANOUT), link));
            let shard = write_level(store, shared)?;
            Link { cid: shard.cid, name: String::new(), dag_bytes: shard.dag_bytes }
        };
        slots.push((slot, link));
    }
    let encoded = unixfs::encode_shard(FANOUT, &slots);
    block::put(store, &encoded.cid, &encoded.block)?;
    Ok(encoded)
}

/// The first half of `MurmurHash3_x64_128` with seed 0, as IPFS uses it.
fn murmur3_x64_64(bytes: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let word =
        |bytes: &[u8]| bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    let (mut h1, mut h2) = (0u64, 0u64);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        h1 ^= mix1(word(&block[..8]));
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2(word(&block[8..]));
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let tail = blocks.remainder();
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= mix2(word(high));
    h1 ^= mix1(word(low));
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    let finish = |mut h: u64| {
        h = (h ^ h >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        h = (h ^ h >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^ h >> 33
    };
    finish(h1).wrapping_add(finish(h2))
}
