//! One directory: what it holds, and where a path leads.

use std::collections::BTreeSet;

use cid::Cid;

use super::block::{self, BlockStore};
use super::budget::Budget;
use super::hamt::{self, Route};
use super::name::{check_name, join};
use super::unixfs::{self, Link, Node};
use super::{ContentError, ContentUri, Limits, Result};

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// A valid name of a file, distinct in its directory.
    pub name: String,
    /// The file or directory.
    pub cid: Cid,
    /// Bytes of all blocks below it, as its writer counted them: for display only.
    pub dag_bytes: u64,
}

/// The entries of a directory, sharded or not.
pub fn list(store: &dyn BlockStore, directory: &Cid, limits: &Limits) -> Result<Vec<DirEntry>> {
    let mut budget = Budget::new(limits);
    let node = load(store, directory, &mut budget)?;
    let links = links(store, directory, node, "", &mut budget)?.ok_or_else(|| {
        ContentError::WrongKind { path: directory.to_string(), wanted: "directory" }
    })?;
    let entry = |link: Link| DirEntry { name: link.name, cid: link.cid, dag_bytes: link.dag_bytes };
    Ok(links.into_iter().map(entry).collect())
}

/// The CID that an address means: its root, or what its path leads to.
///
/// [`ContentError::MissingBlock`] says which block has to be fetched before the path can be followed further.
pub fn resolve(store: &dyn BlockStore, uri: &ContentUri, limits: &Limits) -> Result<Cid> {
    let mut budget = Budget::new(limits);
    let mut cid = *uri.root();
    for (index, name) in uri.path().iter().enumerate() {
        let mut route = Route::of(name);
        cid = loop {
            match find(load(store, &cid, &mut budget)?, name, route) {
                Find::Found(found) => break found,
                Find::Below(shard, below) => (cid, route) = (shard, below),
                Find::DeadEnd(dead_end) => return Err(dead_end.at(uri, index)),
            }
        };
    }
    Ok(cid)
}

/// What one node says about the whereabouts of a name.
pub(super) enum Find {
    Found(Cid),
    /// In this shard of the same directory.
    Below(Cid, Route),
    DeadEnd(DeadEnd),
}

/// Why a path ends early.
#[derive(Debug, Clone, Copy)]
pub(super) enum DeadEnd {
    Absent,
    NotADirectory,
    Twice,
}

impl DeadEnd {
    /// The error for the segment `index` of the path of `uri`.
    pub(super) fn at(self, uri: &ContentUri, index: usize) -> ContentError {
        let path = |end: usize| uri.path()[..end].join("/");
        match self {
            Self::Absent => {
                ContentError::NotFound { root: *uri.root(), path: path(index + 1).into() }
            }
            Self::NotADirectory => ContentError::WrongKind {
                path: if index == 0 { uri.root().to_string() } else { path(index) },
                wanted: "directory",
            },
            Self::Twice => ContentError::DuplicateName { path: path(index + 1) },
        }
    }
}

pub(super) fn find(node: Node, name: &str, route: Route) -> Find {
    match node {
        Node::Directory(links) => {
            let mut matching = links.iter().filter(|link| link.name == name);
            match (matching.next(), matching.next()) {
                (Some(link), None) => Find::Found(link.cid),
                (Some(_), Some(_)) => Find::DeadEnd(DeadEnd::Twice),
                (None, _) => Find::DeadEnd(DeadEnd::Absent),
            }
        }
        Node::Shard(shard) => hamt::find(shard, name, route),
        Node::File(_) | Node::Symlink => Find::DeadEnd(DeadEnd::NotADirectory),
    }
}

/// A node from the store. All its links are spent at once: they bound the memory that it takes and the work below it.
pub(super) fn load(store: &dyn BlockStore, cid: &Cid, budget: &mut Budget) -> Result<Node> {
    let bytes = block::load(store, cid)?;
    budget.check_block(bytes.len() as u64)?;
    let node = unixfs::decode(cid, bytes)?;
    budget.spend_blocks(node.links() as u64)?;
    Ok(node)
}

/// The checked links of a directory, or `None` if the node is a file.
pub(super) fn links(
    store: &dyn BlockStore,
    cid: &Cid,
    node: Node,
    path: &str,
    budget: &mut Budget,
) -> Result<Option<Vec<Link>>> {
    let links = match node {
        Node::Directory(links) => {
            budget.spend_files(links.len() as u64)?;
            links
        }
        Node::Shard(shard) => hamt::entries(store, cid, shard, budget)?,
        Node::File(_) => return Ok(None),
        Node::Symlink => {
            return Err(ContentError::Symlink { path: path.to_owned() });
        }
    };
    let mut names = BTreeSet::new();
    for link in &links {
        check_name(path, &link.name)?;
        if !names.insert(link.name.as_str()) {
            return Err(ContentError::DuplicateName { path: join(path, &link.name) });
        }
    }
    Ok(Some(links))
}
