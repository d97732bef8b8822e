//! Sharded directories: a hash trie of directory nodes, for directories whose links do not fit one block of 256 KiB.

use super::block::{self, BlockStore};
use super::budget::Budget;
use super::unixfs::{self, Encoded, Link, Node, ShardNode, Slot};
use super::{ContentError, Limit, Result};

/// The profile's fanout: one byte of the hash a level.
const FANOUT: u64 = 256;
const HASH_BITS: u32 = u64::BITS;

/// Where a name belongs at each level of the trie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    hash: u64,
    used_bits: u32,
}

impl Path {
    pub(super) fn of(name: &str) -> Self {
        Self {
            hash: murmur3_x64_64(name.as_bytes()),
            used_bits: 0,
        }
    }

    fn below(self, fanout: u64) -> Self {
        Self {
            used_bits: self.used_bits + fanout.ilog2(),
            ..self
        }
    }

    /// The slot at this level, or `None` when the hash is used up.
    fn slot(self, fanout: u64) -> Option<u64> {
        let bits = fanout.ilog2();
        let end = self.used_bits + bits;
        (end <= HASH_BITS).then(|| self.hash >> (HASH_BITS - end) & (fanout - 1))
    }
}

/// Where to look next for a name.
pub(super) enum Step {
    Found(Link),
    Below(cid::Cid, Path),
    Absent,
}

/// Looks for `name` in one shard.
pub(super) fn step(shard: ShardNode, name: &str, path: Path) -> Step {
    let Some(wanted) = path.slot(shard.fanout) else {
        return Step::Absent;
    };
    for (slot, content) in shard.slots {
        if slot == wanted {
            return match content {
                Slot::Entry(link) if link.name == name => Step::Found(link),
                Slot::Entry(_) => Step::Absent,
                Slot::Shard(cid) => Step::Below(cid, path.below(shard.fanout)),
            };
        }
    }
    Step::Absent
}

/// All entries below a shard, in order of their hashes. Each must be where its name's hash puts it, so that a path finds
/// exactly what a listing shows, and no name occurs twice.
pub(super) fn entries(
    store: &dyn BlockStore,
    root: &cid::Cid,
    shard: ShardNode,
    budget: &mut Budget,
) -> Result<Vec<Link>> {
    let mut found = Vec::new();
    let mut levels = vec![Level::new(*root, shard, Vec::new(), budget)?];
    while let Some(level) = levels.last_mut() {
        let Some((slot, content)) = level.slots.next() else {
            levels.pop();
            continue;
        };
        let mut route = level.route.clone();
        route.push((level.fanout, slot));
        match content {
            Slot::Entry(link) => {
                if !belongs(&link.name, &route) {
                    return Err(ContentError::node(
                        &level.cid,
                        "an entry is in a slot that is not its name's",
                    ));
                }
                found.push(link);
            }
            Slot::Shard(cid) => {
                if route.iter().map(|(fanout, _)| fanout.ilog2()).sum::<u32>() >= HASH_BITS {
                    return Err(ContentError::LimitExceeded(Limit::NodeDepth(
                        HASH_BITS / level.fanout.ilog2(),
                    )));
                }
                budget.spend_blocks(1)?;
                let Node::Shard(shard) = unixfs::decode(&cid, block::load(store, &cid)?)? else {
                    return Err(ContentError::node(
                        &cid,
                        "a shard links to it as a shard, and it is none",
                    ));
                };
                levels.push(Level::new(cid, shard, route, budget)?);
            }
        }
    }
    Ok(found)
}

struct Level {
    cid: cid::Cid,
    fanout: u64,
    /// Fanout and slot of each level above.
    route: Vec<(u64, u64)>,
    slots: std::vec::IntoIter<(u64, Slot)>,
}

impl Level {
    fn new(
        cid: cid::Cid,
        shard: ShardNode,
        route: Vec<(u64, u64)>,
        budget: &mut Budget,
    ) -> Result<Self> {
        let entries = shard
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot, Slot::Entry(_)))
            .count();
        budget.spend_files(entries as u64)?;
        Ok(Self {
            cid,
            fanout: shard.fanout,
            route,
            slots: shard.slots.into_iter(),
        })
    }
}

fn belongs(name: &str, route: &[(u64, u64)]) -> bool {
    let mut path = Path::of(name);
    route.iter().all(|(fanout, slot)| {
        let here = path.slot(*fanout) == Some(*slot);
        path = path.below(*fanout);
        here
    })
}

/// Writes a sharded directory and returns its root.
pub(super) fn write(store: &dyn BlockStore, links: Vec<Link>) -> Result<Encoded> {
    let mut hashed: Vec<(Path, Link)> = links
        .into_iter()
        .map(|link| (Path::of(&link.name), link))
        .collect();
    hashed.sort_by_key(|(path, _)| path.hash);
    write_level(store, hashed)
}

fn write_level(store: &dyn BlockStore, entries: Vec<(Path, Link)>) -> Result<Encoded> {
    let mut slots: Vec<(u64, Link)> = Vec::new();
    let mut entries = entries.into_iter().peekable();
    while let Some((path, link)) = entries.next() {
        let slot = path.slot(FANOUT).ok_or_else(|| ContentError::InvalidName {
            directory: String::new(),
            name: link.name.clone(),
            reason: "its hash is that of another name in the same directory",
        })?;
        let mut shared = Vec::new();
        while let Some((path, link)) = entries.next_if(|(next, _)| next.slot(FANOUT) == Some(slot))
        {
            shared.push((path.below(FANOUT), link));
        }
        let link = if shared.is_empty() {
            link
        } else {
            shared.insert(0, (path.below(FANOUT), link));
            let shard = write_level(store, shared)?;
            Link {
                cid: shard.cid,
                name: String::new(),
                dag_bytes: shard.dag_bytes,
            }
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
    let word = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0u64, |word, byte| word << 8 | u64::from(*byte))
    };
    let (mut h1, mut h2) = (0u64, 0u64);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        h1 ^= mix1(word(&block[..8]));
        h1 = h1
            .rotate_left(27)
            .wrapping_add(h2)
            .wrapping_mul(5)
            .wrapping_add(0x52dc_e729);
        h2 ^= mix2(word(&block[8..]));
        h2 = h2
            .rotate_left(31)
            .wrapping_add(h1)
            .wrapping_mul(5)
            .wrapping_add(0x3849_5ab5);
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
