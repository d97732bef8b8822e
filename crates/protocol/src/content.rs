//! Content addressing: files and directories as IPFS blocks, read and written the way every IPFS tool does.
//!
//! Everything here is synchronous code over [`std::io::Read`], [`std::io::Write`] and a [`BlockStore`]; who fetches
//! blocks, and from where, is the caller's business. The rules that hold throughout:
//!
//! - **Verified block by block.** A block is used only after its bytes hashed to its CID. Data is never added again to
//!   check a CID: the same file has a different CID under every chunk size, so equality of CIDs proves nothing.
//! - **Written in one profile**, `unixfs-v1-2025`: CIDv1, raw leaves of 1 MiB, 1024 links a node, balanced, directories
//!   sharded beyond 256 KiB, no mode and no modification time. Any profile can be read.
//! - **Budgets come first.** [`Limits`] are compared with what a DAG declares before a byte of it is written, and what it
//!   really holds is compared with what it declared.
//! - **Names from a stranger are names**, never paths: empty, `.`, `..`, and anything with `/` or NUL is refused.
//!
//! # Writing
//!
//! ```
//! use gristmill_protocol::content::{self, Limits, MemoryStore};
//!
//! let store = MemoryStore::default();
//! let added = content::add_file(&store, &mut &b"flour"[..], &Limits::default())?;
//! assert_eq!(added.cid.to_string(), "bafkreihvl6l47ig5l4mmdlah2lbwdmmy6gp5quragl5k4bcrufia6hc7ka");
//! # Ok::<(), content::ContentError>(())
//! ```
//!
//! # Fetching
//!
//! [`Fetch`] says which blocks are needed next and takes them in, so a download that was cut goes on where it stopped:
//!
//! ```no_run
//! # use gristmill_protocol::content::{self, BlockStore, ContentUri, Fetch, Limits};
//! # fn from_a_gateway(_: &content::Cid) -> Vec<u8> { Vec::new() }
//! # fn fetch(store: &dyn BlockStore, uri: &ContentUri) -> Result<(), content::ContentError> {
//! let limits = Limits::default();
//! let mut fetch = Fetch::new(uri, limits);
//! loop {
//!     let wanted = fetch.wanted(store, 16)?;
//!     if wanted.is_empty() {
//!         break;
//!     }
//!     for cid in wanted {
//!         fetch.accept(store, &cid, &from_a_gateway(&cid))?;
//!     }
//! }
//! let root = content::resolve(store, uri, &limits)?;
//! content::export(store, &root, "input/dataset".as_ref(), &limits)?;
//! # Ok(())
//! # }
//! ```

mod add;
mod block;
mod budget;
mod car;
mod dir_store;
mod directory;
mod error;
mod export;
mod fetch;
mod hamt;
mod manifest;
mod name;
mod scan;
#[cfg(test)]
mod tests;
mod unixfs;
mod uri;
mod walk;

pub use add::{Added, add_dir, add_dir_with_manifest, add_file, add_path};
pub use block::{
    BlockStore, MemoryStore, Sha256Digest, block_cid, check_cid, load, parse_cid, put_verified,
    raw_cid, sha256_of_reader, verify,
};
pub use car::{CarReader, CarWriter, ImportedCar, WrittenCar, read_car, write_car};
pub use cid::Cid;
pub use dir_store::{DirStore, Durability};
pub use directory::{DirEntry, list, resolve};
pub use error::{ContentError, Limit, StoreAction};
pub use export::{Exported, export};
pub use fetch::{Fetch, blocks, missing};
pub use manifest::{Manifest, ManifestFile};
pub use uri::ContentUri;
pub use walk::{Visitor, cat, walk};

/// The largest block that is read or stored: what every IPFS implementation exchanges.
pub const BLOCK_BYTES_MAX: u64 = 2 << 20;

/// Result of everything in this module.
pub type Result<T> = std::result::Result<T, ContentError>;

/// What a stranger's content may cost, compared before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together. Where blocks are taken in without knowing their files (a CAR, a [`Fetch`]) it bounds
    /// the bytes of all blocks, which are about 0.01 % more.
    pub bytes_max: u64,
    /// Files and directories together.
    pub files_max: u64,
    /// Directories between the root and the deepest file.
    pub depth_max: u32,
    /// Bytes of one block.
    pub block_bytes_max: u64,
    /// Links between blocks, each as often as a walk meets it: a small DAG can link the same empty block a billion times.
    pub blocks_max: u64,
}

impl Default for Limits {
    /// 64 GiB in 100,000 files, at most 64 directories deep.
    fn default() -> Self {
        Self {
            bytes_max: 64 << 30,
            files_max: 100_000,
            depth_max: 64,
            block_bytes_max: BLOCK_BYTES_MAX,
            blocks_max: 1 << 20,
        }
    }
}
