//! Reading everything below a root: verified, within budgets, in the order of the links.

use std::io::Write;

use cid::Cid;

use super::block::{self, BlockStore, RAW};
use super::budget::Budget;
use super::directory;
use super::name::join;
use super::unixfs::{FileNode, Link, Node};
use super::{ContentError, Limit, Limits, Result};

/// How deep the nodes of one file may be nested. 1024 links a node reach any size in 4; the trickle layout in about 10.
const FILE_NODE_DEPTH_MAX: usize = 16;

/// Is told about everything below a root, in order. Paths are relative to the root, which is the empty path.
pub trait Visitor {
    /// A directory begins; its entries follow.
    fn directory(&mut self, _path: &str) -> Result<()> {
        Ok(())
    }
    /// A file of this size begins; its content follows in parts of at most one block.
    fn file(&mut self, path: &str, bytes: u64) -> Result<()>;
    /// A part of the current file.
    fn content(&mut self, part: &[u8]) -> Result<()>;
    /// The current file is complete, and as long as it was declared.
    fn file_end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Tells `visitor` about everything below `root`. Memory stays flat: one block, and the links above it.
pub fn walk(
    store: &dyn BlockStore,
    root: &Cid,
    limits: &Limits,
    visitor: &mut dyn Visitor,
) -> Result<()> {
    let mut walk = Walk { store, budget: Budget::new(limits), visitor, contents: true };
    walk.run(root)
}

/// What a walk will meet, by what the nodes declare.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Visitor for Survey {
    fn file(&mut self, _path: &str, bytes: u64) -> Result<()> {
        self.bytes += bytes;
        self.files += 1;
        Ok(())
    }
    fn content(&mut self, _part: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Checks names and budgets of everything below `root`; no content is read.
pub(super) fn survey(store: &dyn BlockStore, root: &Cid, limits: &Limits) -> Result<Survey> {
    let mut survey = Survey::default();
    let mut walk =
        Walk { store, budget: Budget::new(limits), visitor: &mut survey, contents: false };
    walk.run(root)?;
    Ok(survey)
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
        fn file(&mut self, _path: &str, bytes: u64) -> Result<()> {
            self.bytes = bytes;
            Ok(())
        }
        fn content(&mut self, part: &[u8]) -> Result<()> {
            self.writer.write_all(part).map_err(|source| ContentError::Stream {
                doing: "write the content of a file",
                source,
            })
        }
    }
    let mut cat = Cat { writer, bytes: 0 };
    let mut walk = Walk { store, budget: Budget::new(limits), visitor: &mut cat, contents: true };
    match walk.load(file)? {
        Node::File(node) => walk.file("", node)?,
        Node::Directory(_) | Node::Shard(_) | Node::Symlink => {
            return Err(ContentError::WrongKind { path: file.to_string(), wanted: "file" });
        }
    }
    Ok(cat.bytes)
}

struct Walk<'a> {
    store: &'a dyn BlockStore,
    budget: Budget,
    visitor: &'a mut dyn Visitor,
    /// Whether content is read, or only what is declared about it.
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
        // A stack of its own, since the depth is a stranger's choice.
        let mut levels: Vec<Level> = self.enter(root, String::new(), 0)?.into_iter().collect();
        while let Some(level) = levels.last_mut() {
            let Some(link) = level.links.next() else {
                levels.pop();
                continue;
            };
            let path = join(&level.path, &link.name);
            let below = self.enter(&link.cid, path, levels.len())?;
            levels.extend(below);
        }
        Ok(())
    }

    /// Visits a file whole, or opens a directory.
    fn enter(&mut self, cid: &Cid, path: String, depth: usize) -> Result<Option<Level>> {
        if !self.contents && cid.codec() == RAW {
            let bytes =
                block::size(self.store, cid)?.ok_or(ContentError::MissingBlock { cid: *cid })?;
            self.budget.check_block(bytes)?;
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
                self.budget.check_depth(depth)?;
                let links = directory::links(self.store, cid, node, &path, &mut self.budget)?
                    .unwrap_or_default()
                    .into_iter();
                self.visitor.directory(&path)?;
                Ok(Some(Level { path, links }))
            }
        }
    }

    fn load(&mut self, cid: &Cid) -> Result<Node> {
        directory::load(self.store, cid, &mut self.budget)
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
                if levels.len() >= FILE_NODE_DEPTH_MAX {
                    return Err(ContentError::LimitExceeded(Limit::NodeDepth(
                        FILE_NODE_DEPTH_MAX as u32,
                    )));
                }
                levels.push(file.parts.into_iter());
            }
        }
        Ok(())
    }
}
