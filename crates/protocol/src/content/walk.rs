//! Reading: from a root to the files below it, verified, within budgets, in the order of the links.

use std::collections::BTreeSet;
use std::io::Write;

use cid::Cid;

use super::block::{self, BlockStore, RAW};
use super::budget::Budget;
use super::name::{check_name, join};
use super::unixfs::{self, FileNode, Link, Node};
use super::{ContentError, ContentUri, Limit, Limits, Result, hamt};

/// How deep the nodes of one file may be nested. 1024 links a node reach any size in 4; the trickle layout in about 10.
const FILE_NODE_DEPTH_MAX: u32 = 16;

/// Is told about everything below a root, in order. Paths are relative to the root, which is the empty path.
pub trait Visitor {
    /// A directory begins; its entries follow.
    fn directory(&mut self, path: &str) -> Result<()>;
    /// A file of this size begins; its content follows in parts of at most one block.
    fn file(&mut self, path: &str, bytes: u64) -> Result<()>;
    /// A part of the current file.
    fn content(&mut self, part: &[u8]) -> Result<()>;
    /// The current file is complete, and as long as it was declared.
    fn file_end(&mut self) -> Result<()>;
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    pub name: String,
    pub cid: Cid,
    /// Bytes of all blocks below it, as its writer counted them: for display only.
    pub dag_bytes: u64,
}

/// The CID that an address means: its root, or what its path leads to.
///
/// [`ContentError::MissingBlock`] says which block has to be fetched before the path can be followed further.
pub fn resolve(store: &dyn BlockStore, uri: &ContentUri, limits: &Limits) -> Result<Cid> {
    let mut budget = Budget::new(limits);
    let mut cid = *uri.root();
    for (index, name) in uri.path().iter().enumerate() {
        cid = child(store, &cid, name, &mut budget)?.map_err(|kind| kind.at(uri, index))?;
    }
    Ok(cid)
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
            Self::Absent => ContentError::NotFound {
                root: *uri.root(),
                path: path(index + 1),
            },
            Self::NotADirectory if index == 0 => ContentError::WrongKind {
                path: uri.root().to_string(),
                wanted: "directory",
            },
            Self::NotADirectory => ContentError::WrongKind {
                path: path(index),
                wanted: "directory",
            },
            Self::Twice => ContentError::DuplicateName {
                path: path(index + 1),
            },
        }
    }
}

fn child(
    store: &dyn BlockStore,
    directory: &Cid,
    name: &str,
    budget: &mut Budget,
) -> Result<std::result::Result<Cid, DeadEnd>> {
    let mut cid = *directory;
    let mut route = hamt::Path::of(name);
    loop {
        match find(load_node(store, &cid, budget)?, name, route) {
            Find::Found(found) => return Ok(Ok(found)),
            Find::Below(next, next_route) => (cid, route) = (next, next_route),
            Find::DeadEnd(dead_end) => return Ok(Err(dead_end)),
        }
    }
}

/// What one node says about the whereabouts of a name.
pub(super) enum Find {
    Found(Cid),
    Below(Cid, hamt::Path),
    DeadEnd(DeadEnd),
}

pub(super) fn find(node: Node, name: &str, route: hamt::Path) -> Find {
    match node {
        Node::Directory(links) => {
            let mut matching = links.iter().filter(|link| link.name == name);
            match (matching.next(), matching.next()) {
                (Some(link), None) => Find::Found(link.cid),
                (Some(_), Some(_)) => Find::DeadEnd(DeadEnd::Twice),
                (None, _) => Find::DeadEnd(DeadEnd::Absent),
            }
        }
        Node::Shard(shard) => match hamt::step(shard, name, route) {
            hamt::Step::Found(link) => Find::Found(link.cid),
            hamt::Step::Below(cid, route) => Find::Below(cid, route),
            hamt::Step::Absent => Find::DeadEnd(DeadEnd::Absent),
        },
        Node::File(_) | Node::Symlink => Find::DeadEnd(DeadEnd::NotADirectory),
    }
}

fn load_node(store: &dyn BlockStore, cid: &Cid, budget: &mut Budget) -> Result<Node> {
    budget.spend_blocks(1)?;
    let bytes = block::load(store, cid)?;
    budget.check_block(bytes.len() as u64)?;
    unixfs::decode(cid, bytes)
}

/// The entries of a directory, sharded or not.
pub fn list(store: &dyn BlockStore, directory: &Cid, limits: &Limits) -> Result<Vec<DirEntry>> {
    let mut budget = Budget::new(limits);
    let node = load_node(store, directory, &mut budget)?;
    let links = directory_links(store, directory, node, "", &mut budget)?.ok_or_else(|| {
        ContentError::WrongKind {
            path: directory.to_string(),
            wanted: "directory",
        }
    })?;
    Ok(links
        .into_iter()
        .map(
            |Link {
                 cid,
                 name,
                 dag_bytes,
             }| DirEntry {
                name,
                cid,
                dag_bytes,
            },
        )
        .collect())
}

/// The checked links of a directory, or `None` if the node is a file.
fn directory_links(
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
            return Err(ContentError::Symlink {
                path: path.to_owned(),
            });
        }
    };
    let mut names = BTreeSet::new();
    for link in &links {
        check_name(path, &link.name)?;
        if !names.insert(link.name.as_str()) {
            return Err(ContentError::DuplicateName {
                path: join(path, &link.name),
            });
        }
    }
    Ok(Some(links))
}

/// Tells `visitor` about everything below `root`. Memory stays flat: one block, and the links above it.
pub fn walk(
    store: &dyn BlockStore,
    root: &Cid,
    limits: &Limits,
    visitor: &mut dyn Visitor,
) -> Result<()> {
    Walk {
        store,
        budget: Budget::new(limits),
        visitor,
        contents: true,
    }
    .run(root)
}

/// What a walk will meet, by what the nodes declare: names are checked and budgets kept, and no content is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Survey {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

pub(super) fn survey(store: &dyn BlockStore, root: &Cid, limits: &Limits) -> Result<Survey> {
    struct Count(u64);
    impl Visitor for Count {
        fn directory(&mut self, _path: &str) -> Result<()> {
            Ok(())
        }
        fn file(&mut self, _path: &str, _bytes: u64) -> Result<()> {
            self.0 += 1;
            Ok(())
        }
        fn content(&mut self, _part: &[u8]) -> Result<()> {
            Ok(())
        }
        fn file_end(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    let mut walk = Walk {
        store,
        budget: Budget::new(limits),
        visitor: &mut count,
        contents: false,
    };
    walk.run(root)?;
    let bytes = walk.budget.bytes;
    Ok(Survey {
        bytes,
        files: count.0,
    })
}

/// Writes the content of one file to `writer` and returns its length.
pub fn cat(
    store: &dyn BlockStore,
    file: &Cid,
    writer: &mut dyn Write,
    limits: &Limits,
) -> Result<u64> {
    struct Cat<'a> {
        writer: &'a mut dyn Write,
        bytes: u64,
    }
    impl Visitor for Cat<'_> {
        fn directory(&mut self, _path: &str) -> Result<()> {
            Ok(())
        }
        fn file(&mut self, _path: &str, bytes: u64) -> Result<()> {
            self.bytes = bytes;
            Ok(())
        }
        fn content(&mut self, part: &[u8]) -> Result<()> {
            self.writer
                .write_all(part)
                .map_err(|source| ContentError::Stream {
                    doing: "write the content of a file",
                    source,
                })
        }
        fn file_end(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let mut cat = Cat { writer, bytes: 0 };
    let mut walk = Walk {
        store,
        budget: Budget::new(limits),
        visitor: &mut cat,
        contents: true,
    };
    match walk.load(file)? {
        Node::File(node) => walk.file("", node)?,
        Node::Directory(_) | Node::Shard(_) => {
            return Err(ContentError::WrongKind {
                path: file.to_string(),
                wanted: "file",
            });
        }
        Node::Symlink => {
            return Err(ContentError::Symlink {
                path: file.to_string(),
            });
        }
    }
    Ok(cat.bytes)
}

struct Walk<'a> {
    store: &'a dyn BlockStore,
    budget: Budget,
    visitor: &'a mut dyn Visitor,
    contents: bool,
}

/// A directory that is being walked.
struct Level {
    path: String,
    links: std::vec::IntoIter<Link>,
}

impl Walk<'_> {
    fn run(&mut self, root: &Cid) -> Result<()> {
        self.budget.spend_files(1)?;
        let mut levels: Vec<Level> = self.enter(root, String::new())?.into_iter().collect();
        while let Some(level) = levels.last_mut() {
            let Some(link) = level.links.next() else {
                levels.pop();
                continue;
            };
            let path = join(&level.path, &link.name);
            if let Some(below) = self.enter(&link.cid, path)? {
                levels.push(below);
                self.budget
                    .check_depth(u32::try_from(levels.len() - 1).unwrap_or(u32::MAX))?;
            }
        }
        Ok(())
    }

    /// Visits a file whole, or opens a directory.
    fn enter(&mut self, cid: &Cid, path: String) -> Result<Option<Level>> {
        if !self.contents && cid.codec() == RAW {
            let bytes =
                block::size(self.store, cid)?.ok_or(ContentError::MissingBlock { cid: *cid })?;
            self.budget.spend_bytes(bytes)?;
            self.visitor.file(&path, bytes)?;
            return Ok(None);
        }
        match self.load(cid)? {
            Node::File(file) => {
                self.file(&path, file)?;
                Ok(None)
            }
            node @ (Node::Directory(_) | Node::Shard(_) | Node::Symlink) => {
                let links = directory_links(self.store, cid, node, &path, &mut self.budget)?
                    .unwrap_or_default();
                self.visitor.directory(&path)?;
                Ok(Some(Level {
                    path,
                    links: links.into_iter(),
                }))
            }
        }
    }

    fn load(&mut self, cid: &Cid) -> Result<Node> {
        load_node(self.store, cid, &mut self.budget)
    }

    fn file(&mut self, path: &str, file: FileNode) -> Result<()> {
        self.budget.spend_bytes(file.bytes)?;
        self.visitor.file(path, file.bytes)?;
        if self.contents {
            self.parts(file)?;
            self.visitor.file_end()?;
        }
        Ok(())
    }

    /// The content of a file. Every node holds what it declares and every part what its parent declares, so the whole
    /// is as long as was declared before the first byte.
    fn parts(&mut self, file: FileNode) -> Result<()> {
        self.visitor.content(&file.data)?;
        let mut levels = vec![file.parts.into_iter()];
        while let Some(level) = levels.last_mut() {
            let Some(part) = level.next() else {
                levels.pop();
                continue;
            };
            let Node::File(file) = self.load(&part.cid)? else {
                return Err(ContentError::node(
                    &part.cid,
                    "a file links to it, and it is not part of a file",
                ));
            };
            if file.bytes != part.bytes {
                return Err(ContentError::SizeMismatch {
                    cid: part.cid,
                    declared: part.bytes,
                    actual: file.bytes,
                });
            }
            self.visitor.content(&file.data)?;
            if !file.parts.is_empty() {
                if levels.len() as u32 >= FILE_NODE_DEPTH_MAX {
                    return Err(ContentError::LimitExceeded(Limit::NodeDepth(
                        FILE_NODE_DEPTH_MAX,
                    )));
                }
                levels.push(file.parts.into_iter());
            }
        }
        Ok(())
    }
}
