//! The two formats of IPFS files: dag-pb (links and data) and, in its data, UnixFS (what the node is).
//!
//! Both are Protocol Buffers with a handful of fields, written by hand: [`encode_file`], [`encode_directory`] and
//! [`encode_shard`] produce the one canonical form, [`decode`] reads any form and never allocates more than the block.

use cid::Cid;

use super::block::{RAW, dag_pb_cid};
use super::{ContentError, Result, Sha256Digest};

const TYPE_RAW: u64 = 0;
const TYPE_DIRECTORY: u64 = 1;
const TYPE_FILE: u64 = 2;
const TYPE_METADATA: u64 = 3;
const TYPE_SYMLINK: u64 = 4;
const TYPE_SHARD: u64 = 5;
/// The multihash code of murmur3-x64-64, the only hash that sharded directories use.
const MURMUR3: u64 = 0x22;
/// What Kubo and helia accept.
const FANOUT_MAX: u64 = 1024;
/// A name of 255 bytes behind the 3 digits of a slot.
const LINK_NAME_BYTES_MAX: usize = 258;
/// A varint and four bytes, with their tags.
const MODIFIED_BYTES_MAX: usize = 16;

/// A link of a directory or of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) cid: Cid,
    pub(super) name: String,
    /// Bytes of all blocks below the link, as the writer counted them. Informative: it is never trusted.
    pub(super) dag_bytes: u64,
}

/// A part of a file: a child node and how many bytes of file it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) cid: Cid,
    pub(super) bytes: u64,
    /// As in a [`Link`].
    pub(super) dag_bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileNode {
    /// Content before that of the parts; in practice either this or the parts are empty.
    pub(super) data: Vec<u8>,
    pub(super) parts: Vec<Part>,
    /// The sum of both.
    pub(super) bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShardNode {
    pub(super) fanout: u64,
    /// In ascending order of slot, each slot at most once.
    pub(super) slots: Vec<(u64, Slot)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Entry(Link),
    Shard(Cid),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(FileNode),
    Directory(Vec<Link>),
    Shard(ShardNode),
    Symlink,
}

impl Node {
    pub(super) fn links(&self) -> usize {
        match self {
            Self::File(file) => file.parts.len(),
            Self::Directory(links) => links.len(),
            Self::Shard(shard) => shard.slots.len(),
            Self::Symlink => 0,
        }
    }

    /// The CIDs of all children, in the order of the links.
    pub(super) fn children(&self) -> Vec<Cid> {
        match self {
            Self::File(file) => file.parts.iter().map(|part| part.cid).collect(),
            Self::Directory(links) => links.iter().map(|link| link.cid).collect(),
            Self::Shard(shard) => shard
                .slots
                .iter()
                .map(|(_, slot)| match slot {
                    Slot::Entry(link) => link.cid,
                    Slot::Shard(cid) => *cid,
                })
                .collect(),
            Self::Symlink => Vec::new(),
        }
    }
}

/// A node that was just encoded.
pub(super) struct Encoded {
    pub(super) cid: Cid,
    pub(super) block: Vec<u8>,
    /// Bytes of this block and all below it.
    pub(super) dag_bytes: u64,
}

/// Reads a verified block.
pub(super) fn decode(cid: &Cid, block: Vec<u8>) -> Result<Node> {
    if cid.codec() == RAW {
        let bytes = block.len() as u64;
        return Ok(Node::File(FileNode { data: block, parts: Vec::new(), bytes }));
    }
    let invalid = |reason: &str| ContentError::node(cid, reason);
    let (links, data) = decode_dag_pb(cid, &block)?;
    let unixfs = decode_unixfs(data.ok_or_else(|| invalid("it has no UnixFS data"))?)
        .ok_or_else(|| invalid("its UnixFS data is malformed"))?;
    let data = unixfs.data.unwrap_or_default();
    match unixfs.kind.ok_or_else(|| invalid("it has no type"))? {
        TYPE_RAW | TYPE_FILE => file_node(cid, links, unixfs).map(Node::File),
        TYPE_DIRECTORY if !data.is_empty() || !unixfs.block_sizes.is_empty() => {
            Err(invalid("a directory holds data"))
        }
        TYPE_DIRECTORY => Ok(Node::Directory(links)),
        TYPE_SHARD => shard_node(cid, links, &unixfs).map(Node::Shard),
        TYPE_SYMLINK => Ok(Node::Symlink),
        TYPE_METADATA => Err(invalid("UnixFS metadata nodes are not supported")),
        kind => Err(ContentError::node(cid, format!("UnixFS type {kind} is unknown"))),
    }
}

fn file_node(cid: &Cid, links: Vec<Link>, unixfs: UnixFs<'_>) -> Result<FileNode> {
    let data = unixfs.data.unwrap_or_default();
    if links.len() != unixfs.block_sizes.len() {
        return Err(ContentError::node(cid, "it declares a size for some parts only"));
    }
    let bytes = unixfs
        .block_sizes
        .iter()
        .try_fold(data.len() as u64, |sum, size| sum.checked_add(*size))
        .ok_or_else(|| ContentError::node(cid, "the sizes of its parts overflow"))?;
    if let Some(declared) = unixfs.file_size.filter(|declared| *declared != bytes) {
        return Err(ContentError::SizeMismatch { cid: *cid, declared, actual: bytes });
    }
    let parts = links
        .into_iter()
        .zip(unixfs.block_sizes)
        .map(|(link, bytes)| Part { cid: link.cid, bytes, dag_bytes: link.dag_bytes })
        .collect();
    Ok(FileNode { data: data.to_vec(), parts, bytes })
}

fn shard_node(cid: &Cid, links: Vec<Link>, unixfs: &UnixFs<'_>) -> Result<ShardNode> {
    let invalid = |reason: &str| ContentError::node(cid, reason);
    if unixfs.hash_type != Some(MURMUR3) {
        return Err(invalid("a sharded directory must be hashed with murmur3"));
    }
    let fanout = unixfs
        .fanout
        .filter(|fanout| fanout.is_power_of_two() && (8..=FANOUT_MAX).contains(fanout))
        .ok_or_else(|| {
            invalid("the fanout of a sharded directory must be a power of two from 8 to 1024")
        })?;
    if unixfs.data.unwrap_or_default().len() as u64 > fanout / 8 {
        return Err(invalid("the bits of a sharded directory are more than its fanout"));
    }
    let prefix = slot_digits(fanout);
    let mut slots = Vec::with_capacity(links.len());
    let mut next_free = 0;
    for link in links {
        let slot = link
            .name
            .get(..prefix)
            .filter(|digits| {
                digits.bytes().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit))
            })
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .filter(|slot| (next_free..fanout).contains(slot))
            .ok_or_else(|| {
                invalid("the slots of a sharded directory must be numbered and in order")
            })?;
        next_free = slot + 1;
        let name = link.name[prefix..].to_owned();
        slots.push((
            slot,
            if name.is_empty() {
                Slot::Shard(link.cid)
            } else {
                Slot::Entry(Link { name, ..link })
            },
        ));
    }
    Ok(ShardNode { fanout, slots })
}

/// Hexadecimal digits before the name in a link of a shard.
fn slot_digits(fanout: u64) -> usize {
    format!("{:X}", fanout - 1).len()
}

/// A node of a file that is in several parts.
pub(super) fn encode_file(parts: &[Part]) -> Encoded {
    let mut unixfs = Vec::new();
    write_number(&mut unixfs, 1, TYPE_FILE);
    write_number(&mut unixfs, 3, parts.iter().map(|part| part.bytes).sum());
    for part in parts {
        write_number(&mut unixfs, 4, part.bytes);
    }
    let links = parts.iter().map(|part| (&part.cid, "", part.dag_bytes));
    encode_dag_pb(links, &unixfs)
}

/// A directory in one block. The links must be in order of their names.
pub(super) fn encode_directory(links: &[Link]) -> Encoded {
    let mut unixfs = Vec::new();
    write_number(&mut unixfs, 1, TYPE_DIRECTORY);
    encode_dag_pb(links.iter().map(|link| (&link.cid, link.name.as_str(), link.dag_bytes)), &unixfs)
}

/// One shard of a directory. A link with an empty name is another shard.
pub(super) fn encode_shard(fanout: u64, slots: &[(u64, Link)]) -> Encoded {
    let digits = slot_digits(fanout);
    let mut bits = vec![0u8; usize::try_from(fanout / 8).expect("a fanout is at most 1024")];
    for (slot, _) in slots {
        let byte = bits.len() - 1 - usize::try_from(slot / 8).expect("a slot is below the fanout");
        bits[byte] |= 1 << (slot % 8);
    }
    let bits = &bits[bits.iter().take_while(|byte| **byte == 0).count()..];
    let mut unixfs = Vec::new();
    write_number(&mut unixfs, 1, TYPE_SHARD);
    write_bytes(&mut unixfs, 2, bits);
    write_number(&mut unixfs, 5, MURMUR3);
    write_number(&mut unixfs, 6, fanout);
    let names: Vec<String> =
        slots.iter().map(|(slot, link)| format!("{slot:0digits$X}{}", link.name)).collect();
    let links = slots
        .iter()
        .zip(&names)
        .map(|((_, link), name)| (&link.cid, name.as_str(), link.dag_bytes));
    encode_dag_pb(links, &unixfs)
}

fn encode_dag_pb<'a>(
    links: impl Iterator<Item = (&'a Cid, &'a str, u64)>,
    unixfs: &[u8],
) -> Encoded {
    let mut block = Vec::new();
    let mut below_bytes = 0u64;
    let mut encoded = Vec::new();
    for (cid, name, dag_bytes) in links {
        encoded.clear();
        write_bytes(&mut encoded, 1, &cid.to_bytes());
        write_bytes(&mut encoded, 2, name.as_bytes());
        write_number(&mut encoded, 3, dag_bytes);
        write_bytes(&mut block, 2, &encoded);
        below_bytes += dag_bytes;
    }
    // Links come before the data: the order of dag-pb, not of the field numbers.
    write_bytes(&mut block, 1, unixfs);
    let cid = dag_pb_cid(Sha256Digest::of(&block));
    let dag_bytes = below_bytes + block.len() as u64;
    Encoded { cid, block, dag_bytes }
}

fn write_number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    out.extend_from_slice(unsigned_varint::encode::u64(
        value,
        &mut unsigned_varint::encode::u64_buffer(),
    ));
}

fn write_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    out.extend_from_slice(unsigned_varint::encode::usize(
        bytes.len(),
        &mut unsigned_varint::encode::usize_buffer(),
    ));
    out.extend_from_slice(bytes);
}

/// A field of a Protocol Buffers message.
enum Field<'a> {
    Number(u64, u64),
    Bytes(u64, &'a [u8]),
}

/// Takes the next field off the message, or nothing if it is malformed.
fn next_field<'a>(message: &mut &'a [u8]) -> Option<Field<'a>> {
    let tag = next_varint(message)?;
    match tag & 7 {
        0 => Some(Field::Number(tag >> 3, next_varint(message)?)),
        2 => {
            let length = usize::try_from(next_varint(message)?).ok()?;
            let (bytes, rest) = message.split_at_checked(length)?;
            *message = rest;
            Some(Field::Bytes(tag >> 3, bytes))
        }
        _ => None,
    }
}

fn next_varint(message: &mut &[u8]) -> Option<u64> {
    let (value, rest) = unsigned_varint::decode::u64(message).ok()?;
    *message = rest;
    Some(value)
}

fn decode_dag_pb<'a>(cid: &Cid, mut block: &'a [u8]) -> Result<(Vec<Link>, Option<&'a [u8]>)> {
    let malformed = || ContentError::node(cid, "it is not dag-pb");
    let mut links = Vec::new();
    let mut data = None;
    while !block.is_empty() {
        match next_field(&mut block).ok_or_else(malformed)? {
            Field::Bytes(1, bytes) if data.is_none() => data = Some(bytes),
            Field::Bytes(2, bytes) => {
                links.push(
                    decode_link(bytes)
                        .ok_or_else(|| ContentError::node(cid, "one of its links is malformed"))?,
                );
            }
            Field::Bytes(..) | Field::Number(..) => return Err(malformed()),
        }
    }
    Ok((links, data))
}

fn decode_link(mut message: &[u8]) -> Option<Link> {
    let (mut cid, mut name, mut dag_bytes) = (None, None, None);
    while !message.is_empty() {
        match next_field(&mut message)? {
            Field::Bytes(1, bytes) => set(&mut cid, bytes)?,
            Field::Bytes(2, bytes) if bytes.len() <= LINK_NAME_BYTES_MAX => set(&mut name, bytes)?,
            Field::Number(3, value) => set(&mut dag_bytes, value)?,
            Field::Bytes(..) | Field::Number(..) => return None,
        }
    }
    let cid_bytes = cid?;
    let cid = Cid::try_from(cid_bytes).ok()?;
    // The parser ignores what follows a CID.
    (cid.encoded_len() == cid_bytes.len()).then_some(Link {
        cid,
        name: str::from_utf8(name.unwrap_or_default()).ok()?.to_owned(),
        dag_bytes: dag_bytes.unwrap_or_default(),
    })
}

#[derive(Default)]
struct UnixFs<'a> {
    kind: Option<u64>,
    data: Option<&'a [u8]>,
    file_size: Option<u64>,
    block_sizes: Vec<u64>,
    hash_type: Option<u64>,
    fanout: Option<u64>,
    /// Permissions are read and forgotten, as is the time of modification: they are not part of the content.
    mode: Option<u64>,
    modified: Option<&'a [u8]>,
}

/// Reads the fields that UnixFS 1.5 has, each once. Others are refused: a node that holds no part of a file must be small,
/// or hashing it would be work that no budget counts.
fn decode_unixfs(mut message: &[u8]) -> Option<UnixFs<'_>> {
    let mut unixfs = UnixFs::default();
    while !message.is_empty() {
        match next_field(&mut message)? {
            Field::Number(1, value) => set(&mut unixfs.kind, value)?,
            Field::Bytes(2, bytes) => set(&mut unixfs.data, bytes)?,
            Field::Number(3, value) => set(&mut unixfs.file_size, value)?,
            Field::Number(4, value) => unixfs.block_sizes.push(value),
            Field::Bytes(4, mut packed) => {
                while !packed.is_empty() {
                    unixfs.block_sizes.push(next_varint(&mut packed)?);
                }
            }
            Field::Number(5, value) => set(&mut unixfs.hash_type, value)?,
            Field::Number(6, value) => set(&mut unixfs.fanout, value)?,
            Field::Number(7, value) => set(&mut unixfs.mode, value)?,
            Field::Bytes(8, bytes) if bytes.len() <= MODIFIED_BYTES_MAX => {
                set(&mut unixfs.modified, bytes)?;
            }
            Field::Number(..) | Field::Bytes(..) => return None,
        }
    }
    Some(unixfs)
}

fn set<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}
