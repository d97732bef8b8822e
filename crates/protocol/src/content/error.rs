//! Why content was refused, in words that say what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use cid::Cid;

/// The budget that was exceeded. The number is what was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`bytes_max`](super::Limits::bytes_max).
    Bytes(u64),
    /// [`files_max`](super::Limits::files_max).
    Files(u64),
    /// [`depth_max`](super::Limits::depth_max).
    Depth(u32),
    /// [`block_bytes_max`](super::Limits::block_bytes_max).
    BlockBytes(u64),
    /// [`blocks_max`](super::Limits::blocks_max).
    Blocks(u64),
    /// Nodes between the first node of a file and its leaves.
    NodeDepth(u32),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(max) => write!(f, "more than {max} bytes"),
            Self::Files(max) => write!(f, "more than {max} files and directories"),
            Self::Depth(max) => write!(f, "directories nested more than {max} deep"),
            Self::BlockBytes(max) => write!(f, "a block of more than {max} bytes"),
            Self::Blocks(max) => write!(f, "more than {max} links to blocks"),
            Self::NodeDepth(max) => write!(f, "a file whose nodes are nested more than {max} deep"),
        }
    }
}

/// Why content could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The file system failed.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A stream, not a file, failed.
    #[error("cannot {doing}")]
    Stream {
        doing: &'static str,
        #[source]
        source: io::Error,
    },
    /// The block store failed.
    #[error("the block store cannot {doing} block {cid}")]
    Store {
        doing: StoreAction,
        cid: Cid,
        #[source]
        source: io::Error,
    },
    /// The block is not in the store. Fetch it and try again.
    #[error("block {cid} is not in the store")]
    MissingBlock { cid: Cid },
    /// The bytes do not hash to the CID: whoever sent them lied, or the disk did.
    #[error("the bytes given for block {cid} do not hash to it")]
    BlockMismatch { cid: Cid },
    /// A block came that nobody asked for.
    #[error("block {cid} is not part of what is being fetched")]
    UnwantedBlock { cid: Cid },
    /// The text is not a CID.
    #[error("`{text}` is not a CID: {reason}")]
    InvalidCid { text: String, reason: String },
    /// Only sha2-256, and identity for at most 64 bytes, can be verified.
    #[error(
        "{cid} is hashed with {hash}; only sha2-256 and identity of at most 64 bytes are accepted"
    )]
    UnsupportedHash { cid: Cid, hash: Box<str> },
    /// Only raw and dag-pb blocks hold files.
    #[error("{cid} holds {codec}; only raw and dag-pb blocks hold files")]
    UnsupportedCodec { cid: Cid, codec: Box<str> },
    /// The text is not an `ipfs://` address.
    #[error("`{text}` is not an ipfs:// address: {reason}")]
    InvalidUri { text: String, reason: String },
    /// A block claims to be a UnixFS node and is not.
    #[error("block {cid} is not a valid UnixFS node: {reason}")]
    InvalidNode { cid: Cid, reason: Box<str> },
    /// A link's name cannot be the name of a file.
    #[error("`{}` in `{directory}` cannot be the name of a file: {reason}", name.escape_debug())]
    InvalidName { directory: String, name: String, reason: &'static str },
    /// A directory holds the same name twice.
    #[error("`{path}` exists twice in its directory")]
    DuplicateName { path: String },
    /// A symbolic link, which could point anywhere.
    #[error("`{path}` is a symbolic link; replace it by the file that it points to")]
    Symlink { path: String },
    /// A device, a socket or a pipe.
    #[error("`{path}` is neither a file nor a directory; remove it")]
    SpecialFile { path: String },
    /// A budget was exceeded.
    #[error("refused: it holds {0}")]
    LimitExceeded(Limit),
    /// A node declares another size than its content has.
    #[error("block {cid} holds {actual} bytes of file where {declared} were declared")]
    SizeMismatch { cid: Cid, declared: u64, actual: u64 },
    /// A file changed while it was read.
    #[error("`{path}` changed while it was read; wait until its writer has ended")]
    Changed { path: String },
    /// No such path in the content.
    #[error("there is no `{path}` in {root}")]
    NotFound { root: Cid, path: Box<str> },
    /// A path goes on below a file, or a directory was given where a file is needed.
    #[error("`{path}` is not a {wanted}")]
    WrongKind { path: String, wanted: &'static str },
    /// Never overwritten: remove it first.
    #[error("`{}` exists already; remove it or choose another place", path.display())]
    DestinationExists { path: PathBuf },
    /// The stream is not CAR version 1.
    #[error("not a valid CAR: {reason}")]
    InvalidCar { reason: String },
    /// The stream ended in the middle of a block: the transfer was cut.
    #[error("the CAR is cut off after {blocks} blocks; fetch the rest")]
    TruncatedCar { blocks: u64 },
    /// The text is not a manifest in canonical form.
    #[error("not a valid manifest: {reason}")]
    InvalidManifest { reason: String },
}

/// What a block store was asked to do with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAction {
    Find,
    Read,
    Write,
}

impl fmt::Display for StoreAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Find => "find",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

// Results are moved through every call: an error as large as its CID and two words is large enough.
const _: () = assert!(size_of::<ContentError>() < 128);

impl ContentError {
    pub(super) fn io(
        doing: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(super) fn node(cid: &Cid, reason: impl Into<Box<str>>) -> Self {
        Self::InvalidNode { cid: *cid, reason: reason.into() }
    }
}
