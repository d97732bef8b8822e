//! Which blocks are needed next, and taking them in: a download that was cut goes on where it stopped.

use std::collections::HashSet;
use std::io::Read;

use cid::Cid;

use super::block::{self, BlockStore, RAW};
use super::budget::Budget;
use super::directory::{Find, find};
use super::hamt::Route;
use super::unixfs::{self, Node};
use super::{CarReader, ContentError, ContentUri, Limit, Limits, Result, Sha256Digest};

/// How far ahead of the missing blocks a CAR may run before its blocks count as unwanted.
const CAR_WINDOW_BLOCKS: usize = 4096;

/// A fetch of one address into a store. It holds no connection: [`wanted`](Self::wanted) names blocks,
/// [`accept`](Self::accept) and [`accept_car`](Self::accept_car) take them, from any source and in any number of sittings.
#[derive(Debug)]
pub struct Fetch {
    uri: ContentUri,
    budget: Budget,
    /// Known to be needed, not yet looked for; the next one last.
    unseen: Vec<Want>,
    /// Looked for and missing, in the order of the DAG.
    missing: Vec<Want>,
    known: Known,
}

#[derive(Debug, Clone, Copy)]
struct Want {
    cid: Cid,
    goal: Goal,
}

#[derive(Debug, Clone, Copy)]
enum Goal {
    /// Everything below.
    All,
    /// Only what the path leads to: the segment to look for here, and where its hash belongs.
    Segment(usize, Route),
}

impl Fetch {
    /// Begins, or resumes: what the store holds already is never asked for.
    #[must_use]
    pub fn new(uri: &ContentUri, limits: Limits) -> Self {
        let mut fetch = Self {
            uri: uri.clone(),
            budget: Budget::new(&limits),
            unseen: Vec::new(),
            missing: Vec::new(),
            known: Known::default(),
        };
        fetch.unseen.push(Want { cid: *uri.root(), goal: fetch.goal_after(0) });
        fetch
    }

    /// The next blocks that the store lacks, at most `count_max`. None are left when the fetch is complete.
    pub fn wanted(&mut self, store: &dyn BlockStore, count_max: usize) -> Result<Vec<Cid>> {
        self.look(store, count_max)?;
        Ok(self.missing.iter().take(count_max).map(|want| want.cid).collect())
    }

    /// Bytes of all blocks of the content that are known to be in the store so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.budget.bytes
    }

    /// Takes a block that [`wanted`](Self::wanted) named: verifies it, keeps it, and learns from it what else is needed.
    pub fn accept(&mut self, store: &dyn BlockStore, cid: &Cid, bytes: &[u8]) -> Result<()> {
        let position = self.position(cid).ok_or(ContentError::UnwantedBlock { cid: *cid })?;
        self.take(store, position, bytes.to_vec())
    }

    /// Takes the blocks of a CAR as a gateway sends it, and returns how many were new. Blocks that are here already are
    /// skipped; blocks that are not part of the content are refused, so a gateway cannot fill the disk with others.
    ///
    /// A CAR that is cut off, or lacks blocks, leaves what it brought: ask [`wanted`](Self::wanted) for the rest.
    pub fn accept_car(&mut self, store: &dyn BlockStore, car: &mut dyn Read) -> Result<u64> {
        let mut reader = CarReader::new(car, &self.budget.limits)?;
        let mut accepted = 0;
        while let Some((cid, bytes)) = reader.next_block()? {
            if self.position(&cid).is_none() {
                self.look(store, CAR_WINDOW_BLOCKS)?;
            }
            if let Some(position) = self.position(&cid) {
                self.take(store, position, bytes)?;
                accepted += 1;
            } else if block::size(store, &cid)?.is_none() {
                return Err(ContentError::UnwantedBlock { cid });
            }
        }
        Ok(accepted)
    }

    fn position(&self, cid: &Cid) -> Option<usize> {
        self.missing.iter().position(|want| want.cid == *cid)
    }

    fn take(&mut self, store: &dyn BlockStore, position: usize, bytes: Vec<u8>) -> Result<()> {
        let want = self.missing[position];
        let mut budget = self.budget.clone();
        budget.check_block(bytes.len() as u64)?;
        block::verify(&want.cid, &bytes)?;
        budget.spend_bytes(bytes.len() as u64)?;
        block::put(store, &want.cid, &bytes)?;
        // Spent once the block is kept, so that a full disk can be cleared and the block sent again.
        self.budget = budget;
        self.missing.remove(position);
        self.follow(want, bytes)
    }

    /// Looks for blocks in the store until `count_max` are found to be missing.
    fn look(&mut self, store: &dyn BlockStore, count_max: usize) -> Result<()> {
        while self.missing.len() < count_max {
            let Some(want) = self.unseen.pop() else {
                return Ok(());
            };
            let Some(bytes) = block::size(store, &want.cid)? else {
                self.missing.push(want);
                continue;
            };
            if want.cid.codec() == RAW && matches!(want.goal, Goal::All) {
                self.budget.spend_bytes(bytes)?;
                continue;
            }
            match block::load(store, &want.cid) {
                Ok(block) => {
                    self.budget.spend_bytes(bytes)?;
                    self.follow(want, block)?;
                }
                // A node that the disk damaged is fetched again.
                Err(ContentError::BlockMismatch { .. }) => self.missing.push(want),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Adds what a block links to.
    fn follow(&mut self, want: Want, bytes: Vec<u8>) -> Result<()> {
        let node = unixfs::decode(&want.cid, bytes)?;
        match want.goal {
            Goal::All => {
                if let Node::File(file) = &node
                    && file.bytes > self.budget.limits.bytes_max
                {
                    return Err(ContentError::LimitExceeded(Limit::Bytes(
                        self.budget.limits.bytes_max,
                    )));
                }
                for cid in node.children().into_iter().rev() {
                    self.push(cid, Goal::All)?;
                }
                Ok(())
            }
            Goal::Segment(index, route) => match find(node, &self.uri.path()[index], route) {
                Find::Found(cid) => self.push(cid, self.goal_after(index + 1)),
                Find::Below(cid, route) => self.push(cid, Goal::Segment(index, route)),
                Find::DeadEnd(dead_end) => Err(dead_end.at(&self.uri, index)),
            },
        }
    }

    fn push(&mut self, cid: Cid, goal: Goal) -> Result<()> {
        self.budget.spend_blocks(1)?;
        if self.known.add(&cid) {
            self.unseen.push(Want { cid, goal });
        }
        Ok(())
    }

    /// What is wanted of the block that the first `index` segments of the path lead to.
    fn goal_after(&self, index: usize) -> Goal {
        match self.uri.path().get(index) {
            Some(name) => Goal::Segment(index, Route::of(name)),
            None => Goal::All,
        }
    }
}

/// The first blocks below `root` that the store lacks, at most `count_max`; none if the content is complete.
pub fn missing(
    store: &dyn BlockStore,
    root: &Cid,
    limits: &Limits,
    count_max: usize,
) -> Result<Vec<Cid>> {
    Fetch::new(&ContentUri::from(*root), *limits).wanted(store, count_max)
}

/// Calls `visit` with every block below `root`, verified, depth first as trustless gateways send them, each once.
/// Blocks that are part of their CID are left out.
pub fn blocks(
    store: &dyn BlockStore,
    root: &Cid,
    limits: &Limits,
    visit: &mut dyn FnMut(&Cid, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut budget = Budget::new(limits);
    let mut known = Known::default();
    let mut stack = vec![*root];
    while let Some(cid) = stack.pop() {
        if !known.add(&cid) {
            continue;
        }
        let bytes = block::load(store, &cid)?;
        budget.check_block(bytes.len() as u64)?;
        budget.spend_bytes(bytes.len() as u64)?;
        if block::inline_bytes(&cid).is_none() {
            visit(&cid, &bytes)?;
        }
        if cid.codec() != RAW {
            let children = unixfs::decode(&cid, bytes)?.children();
            budget.spend_blocks(children.len() as u64)?;
            stack.extend(children.into_iter().rev());
        }
    }
    Ok(())
}

/// Blocks met before. A block may be met as raw bytes and as a node, and is read differently then.
#[derive(Debug, Default)]
struct Known(HashSet<(u64, Sha256Digest)>);

impl Known {
    fn add(&mut self, cid: &Cid) -> bool {
        block::sha256_of_cid(cid).is_none_or(|digest| self.0.insert((cid.codec(), digest)))
    }
}
