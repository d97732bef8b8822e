//! Blocks: bytes named by their hash, and where they are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use cid::multibase::{self, Base};
use cid::{Cid, Version};
use multihash::Multihash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{ContentError, Limit, Limits, Result, StoreAction};

pub(super) const RAW: u64 = 0x55;
pub(super) const DAG_PB: u64 = 0x70;
const SHA2_256: u64 = 0x12;
const IDENTITY: u64 = 0x00;
/// An identity CID carries its block itself. [`Cid`] holds at most this much, which is twice what Kubo inlines.
const IDENTITY_BYTES_MAX: usize = 64;
/// The longest CID, an identity of 64 bytes, has 111 characters in base32.
const CID_CHARS_MAX: usize = 128;

/// Where blocks are kept. It neither verifies nor decides what to keep: [`load`] and [`put_verified`] do.
///
/// A store may key blocks by their hash alone, so that the CIDv0 and the CIDv1 of a block name one copy.
pub trait BlockStore: Send + Sync {
    /// The bytes of a block, or `None` if it is not here.
    fn get(&self, cid: &Cid) -> io::Result<Option<Vec<u8>>>;
    /// Keeps a block. Keeping it twice is the same as once.
    fn put(&self, cid: &Cid, bytes: &[u8]) -> io::Result<()>;
    /// The length of a block in bytes, or `None` if it is not here.
    fn size(&self, cid: &Cid) -> io::Result<Option<u64>>;
    /// Whether a block is here.
    fn has(&self, cid: &Cid) -> io::Result<bool> {
        Ok(self.size(cid)?.is_some())
    }
}

impl<S: BlockStore + ?Sized> BlockStore for &S {
    fn get(&self, cid: &Cid) -> io::Result<Option<Vec<u8>>> {
        (**self).get(cid)
    }
    fn put(&self, cid: &Cid, bytes: &[u8]) -> io::Result<()> {
        (**self).put(cid, bytes)
    }
    fn size(&self, cid: &Cid) -> io::Result<Option<u64>> {
        (**self).size(cid)
    }
}

impl<S: BlockStore + ?Sized> BlockStore for Arc<S> {
    fn get(&self, cid: &Cid) -> io::Result<Option<Vec<u8>>> {
        (**self).get(cid)
    }
    fn put(&self, cid: &Cid, bytes: &[u8]) -> io::Result<()> {
        (**self).put(cid, bytes)
    }
    fn size(&self, cid: &Cid) -> io::Result<Option<u64>> {
        (**self).size(cid)
    }
}

/// Blocks in memory, for tests and for content that is known to be small.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<Sha256Digest, Arc<[u8]>>>);

impl MemoryStore {
    /// How many blocks are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no block is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Forgets a block; whether it was here.
    pub fn remove(&self, cid: &Cid) -> io::Result<bool> {
        Ok(self.lock().remove(&storage_key(cid)?).is_some())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Sha256Digest, Arc<[u8]>>> {
        // Every change is one insert or one remove, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockStore for MemoryStore {
    fn get(&self, cid: &Cid) -> io::Result<Option<Vec<u8>>> {
        let block = self.lock().get(&storage_key(cid)?).cloned();
        Ok(block.map(|bytes| bytes.to_vec()))
    }
    fn put(&self, cid: &Cid, bytes: &[u8]) -> io::Result<()> {
        self.lock().insert(storage_key(cid)?, bytes.into());
        Ok(())
    }
    fn size(&self, cid: &Cid) -> io::Result<Option<u64>> {
        Ok(self.lock().get(&storage_key(cid)?).map(|bytes| bytes.len() as u64))
    }
}

/// The hash by which stores key a block: version and codec of a CID say how to read the bytes, not which they are.
pub(super) fn storage_key(cid: &Cid) -> io::Result<Sha256Digest> {
    sha256_of_cid(cid).ok_or_else(|| {
        io::Error::new(io::ErrorKind::Unsupported, format!("{cid} is not named by a sha2-256 hash"))
    })
}

pub(super) fn sha256_of_cid(cid: &Cid) -> Option<Sha256Digest> {
    (cid.hash().code() == SHA2_256)
        .then(|| cid.hash().digest().try_into().ok())
        .flatten()
        .map(Sha256Digest)
}

/// The bytes that an identity CID carries in itself.
pub(super) fn inline_bytes(cid: &Cid) -> Option<&[u8]> {
    (cid.hash().code() == IDENTITY).then(|| cid.hash().digest())
}

/// Refuses a CID whose hash cannot be verified here, or whose block cannot hold files.
pub fn check_cid(cid: &Cid) -> Result<()> {
    match (cid.hash().code(), usize::from(cid.hash().size())) {
        (SHA2_256, 32) | (IDENTITY, 0..=IDENTITY_BYTES_MAX) => {}
        (code, size) => {
            return Err(ContentError::UnsupportedHash {
                cid: *cid,
                hash: hash_name(code, size).into(),
            });
        }
    }
    match cid.codec() {
        RAW | DAG_PB => Ok(()),
        codec => Err(ContentError::UnsupportedCodec { cid: *cid, codec: codec_name(codec).into() }),
    }
}

fn hash_name(code: u64, size: usize) -> String {
    let name = match code {
        IDENTITY => return format!("an identity of {size} bytes"),
        SHA2_256 => return format!("a sha2-256 cut to {size} bytes"),
        0x11 => "sha1",
        0x13 => "sha2-512",
        0x14..=0x17 => "sha3",
        0x1b => "keccak-256",
        0x1e => "blake3",
        0xd5 => "md5",
        0xb220 => "blake2b-256",
        code => return format!("the unknown hash {code:#x}"),
    };
    name.to_owned()
}

fn codec_name(codec: u64) -> String {
    let name = match codec {
        0x51 => "cbor",
        0x71 => "dag-cbor",
        0x72 => "a libp2p key",
        0x0129 => "dag-json",
        0x0202 => "a CAR",
        codec => return format!("the unknown codec {codec:#x}"),
    };
    name.to_owned()
}

/// Compares the bytes of a block with its CID.
pub fn verify(cid: &Cid, bytes: &[u8]) -> Result<()> {
    check_cid(cid)?;
    let honest = match inline_bytes(cid) {
        Some(inline) => inline == bytes,
        None => sha256_of_cid(cid) == Some(Sha256Digest::of(bytes)),
    };
    if honest { Ok(()) } else { Err(ContentError::BlockMismatch { cid: *cid }) }
}

/// A block from the store, verified. An identity CID needs no store.
pub fn load(store: &dyn BlockStore, cid: &Cid) -> Result<Vec<u8>> {
    check_cid(cid)?;
    if let Some(inline) = inline_bytes(cid) {
        return Ok(inline.to_vec());
    }
    let bytes = store
        .get(cid)
        .map_err(|source| ContentError::Store { doing: StoreAction::Read, cid: *cid, source })?
        .ok_or(ContentError::MissingBlock { cid: *cid })?;
    verify(cid, &bytes)?;
    Ok(bytes)
}

/// Verifies a block that a stranger sent, and keeps it.
pub fn put_verified(
    store: &dyn BlockStore,
    cid: &Cid,
    bytes: &[u8],
    limits: &Limits,
) -> Result<()> {
    if bytes.len() as u64 > limits.block_bytes_max {
        return Err(ContentError::LimitExceeded(Limit::BlockBytes(limits.block_bytes_max)));
    }
    verify(cid, bytes)?;
    put(store, cid, bytes)
}

/// Keeps a block whose CID was just computed from its bytes.
pub(super) fn put(store: &dyn BlockStore, cid: &Cid, bytes: &[u8]) -> Result<()> {
    if inline_bytes(cid).is_some() {
        return Ok(());
    }
    store.put(cid, bytes).map_err(|source| ContentError::Store {
        doing: StoreAction::Write,
        cid: *cid,
        source,
    })
}

/// The length of a block, if it is here. An identity CID is everywhere.
pub(super) fn size(store: &dyn BlockStore, cid: &Cid) -> Result<Option<u64>> {
    check_cid(cid)?;
    if let Some(inline) = inline_bytes(cid) {
        return Ok(Some(inline.len() as u64));
    }
    store.size(cid).map_err(|source| ContentError::Store {
        doing: StoreAction::Find,
        cid: *cid,
        source,
    })
}

/// The CIDv1 of the raw block with this hash: how canonical JSON (a job spec, a manifest) is found in a content store.
#[must_use]
pub fn raw_cid(sha256: Sha256Digest) -> Cid {
    cid_v1(RAW, sha256)
}

pub(super) fn dag_pb_cid(sha256: Sha256Digest) -> Cid {
    cid_v1(DAG_PB, sha256)
}

fn cid_v1(codec: u64, sha256: Sha256Digest) -> Cid {
    Cid::new_v1(
        codec,
        Multihash::wrap(SHA2_256, &sha256.0).expect("32 bytes fit a multihash of 64"),
    )
}

/// The CIDv1 of these bytes as one raw block.
#[must_use]
pub fn block_cid(bytes: &[u8]) -> Cid {
    raw_cid(Sha256Digest::of(bytes))
}

/// Reads a CID strictly: nothing around it, nothing left over.
///
/// The hash is checked as in [`check_cid`], so what this returns can be fetched and verified.
pub fn parse_cid(text: &str) -> Result<Cid> {
    let invalid = |reason: &str| ContentError::InvalidCid {
        text: text.chars().take(CID_CHARS_MAX).collect(),
        reason: reason.to_owned(),
    };
    if text.is_empty() || text.len() > CID_CHARS_MAX {
        return Err(invalid("it must have 1 to 128 characters"));
    }
    let cid = Cid::from_str(text).map_err(|error| invalid(&error.to_string()))?;
    let decoded_bytes = match cid.version() {
        Version::V0 => Base::Base58Btc.decode(text).map(|bytes| bytes.len()),
        Version::V1 => multibase::decode(text).map(|(_, bytes)| bytes.len()),
    };
    // The parser ignores what follows the CID, and what stands before "/ipfs/".
    if decoded_bytes.ok() != Some(cid.encoded_len()) {
        return Err(invalid("something stands before or after it"));
    }
    check_cid(&cid)?;
    Ok(cid)
}

/// A sha-256 hash, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        lower
            .then(|| hex::decode(text).ok()?.try_into().ok().map(Self))
            .flatten()
            .ok_or("a sha-256 is written as 64 lower-case hexadecimal digits")
    }
}

impl TryFrom<String> for Sha256Digest {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Sha256Digest> for String {
    fn from(digest: Sha256Digest) -> Self {
        digest.to_string()
    }
}

/// The sha-256 of everything in `reader`, and how many bytes that was. At most `bytes_max` bytes are read.
pub fn sha256_of_reader(reader: &mut dyn Read, bytes_max: u64) -> Result<(Sha256Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0u64;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok((Sha256Digest(hasher.finalize().into()), bytes)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(ContentError::Stream { doing: "read the bytes to hash", source });
            }
        };
        bytes += count as u64;
        if bytes > bytes_max {
            return Err(ContentError::LimitExceeded(Limit::Bytes(bytes_max)));
        }
        hasher.update(&buffer[..count]);
    }
}
