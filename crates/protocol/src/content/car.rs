//! CAR version 1: a stream of blocks behind a header that names the roots.

use std::io::{self, BufReader, Read, Write};

use cid::Cid;

use super::block::{self, BlockStore};
use super::budget::Budget;
use super::fetch::blocks;
use super::{ContentError, Limits, Result};

/// A header with 16 roots has 700 bytes.
const HEADER_BYTES_MAX: u64 = 4096;
const ROOTS_MAX: usize = 16;
/// The longest CID: two varints of one byte, a hash code of at most 9 bytes, a length and 64 bytes of identity.
const CID_BYTES_MAX: u64 = 96;
/// What stands before a CID in DAG-CBOR: tag 42.
const CBOR_TAG_CID: [u8; 2] = [0xd8, 0x2a];

/// Reads a CAR block by block. Nothing it returns has not hashed to its CID.
pub struct CarReader<R: Read> {
    reader: BufReader<R>,
    roots: Vec<Cid>,
    budget: Budget,
}

impl<R: Read> CarReader<R> {
    /// Reads the header.
    pub fn new(reader: R, limits: &Limits) -> Result<Self> {
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        let header = read_section(&mut reader, HEADER_BYTES_MAX, 0)?
            .ok_or_else(|| invalid("it is empty"))?;
        let roots = decode_header(&header)?;
        Ok(Self { reader, roots, budget: Budget::new(limits) })
    }

    /// What the CAR says it is about. Nothing says that the blocks below are complete.
    #[must_use]
    pub fn roots(&self) -> &[Cid] {
        &self.roots
    }

    /// The next block, verified; `None` at the end.
    pub fn next_block(&mut self) -> Result<Option<(Cid, Vec<u8>)>> {
        let section_bytes_max = self.budget.limits.block_bytes_max.saturating_add(CID_BYTES_MAX);
        let blocks = self.budget.blocks;
        let Some(mut section) = read_section(&mut self.reader, section_bytes_max, blocks)? else {
            return Ok(None);
        };
        let mut rest = section.as_slice();
        let cid = Cid::read_bytes(&mut rest)
            .map_err(|error| invalid(format!("a block has no CID: {error}")))?;
        let start = section.len() - rest.len();
        section.drain(..start);
        self.budget.check_block(section.len() as u64)?;
        self.budget.spend_blocks(1)?;
        self.budget.spend_bytes(section.len() as u64)?;
        block::verify(&cid, &section)?;
        Ok(Some((cid, section)))
    }
}

/// Writes a CAR block by block. The order, and whether the roots are complete, is the caller's business.
pub struct CarWriter<W: Write> {
    writer: W,
    written: WrittenCar,
}

/// How much a CAR holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WrittenCar {
    pub blocks: u64,
    /// The length of the CAR.
    pub bytes: u64,
}

impl<W: Write> CarWriter<W> {
    /// Writes the header. At most 16 roots.
    pub fn new(writer: W, roots: &[Cid]) -> Result<Self> {
        if roots.len() > ROOTS_MAX {
            return Err(invalid(format!("it has more than {ROOTS_MAX} roots")));
        }
        let mut car = Self { writer, written: WrittenCar::default() };
        car.section(&[&encode_header(roots)])?;
        Ok(car)
    }

    /// Appends a block, which must be verified already.
    pub fn write_block(&mut self, cid: &Cid, bytes: &[u8]) -> Result<()> {
        self.section(&[&cid.to_bytes(), bytes])?;
        self.written.blocks += 1;
        Ok(())
    }

    /// Flushes, and returns the writer.
    pub fn finish(mut self) -> Result<(W, WrittenCar)> {
        self.writer
            .flush()
            .map_err(|source| ContentError::Stream { doing: "write the CAR", source })?;
        Ok((self.writer, self.written))
    }

    fn section(&mut self, parts: &[&[u8]]) -> Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut buffer = unsigned_varint::encode::usize_buffer();
        let length = unsigned_varint::encode::usize(length, &mut buffer);
        for part in std::iter::once(&length).chain(parts) {
            self.writer
                .write_all(part)
                .map_err(|source| ContentError::Stream { doing: "write the CAR", source })?;
            self.written.bytes += part.len() as u64;
        }
        Ok(())
    }
}

/// Writes everything below `root` as trustless gateways do: depth first, each block once.
pub fn write_car<W: Write>(
    store: &dyn BlockStore,
    root: &Cid,
    writer: W,
    limits: &Limits,
) -> Result<WrittenCar> {
    let mut car = CarWriter::new(writer, &[*root])?;
    blocks(store, root, limits, &mut |cid, bytes| car.write_block(cid, bytes))?;
    Ok(car.finish()?.1)
}

/// What a CAR brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedCar {
    pub roots: Vec<Cid>,
    pub blocks: u64,
    /// Bytes of all blocks.
    pub bytes: u64,
}

/// Keeps every block of a CAR, in whatever order they come.
///
/// It brings what it brings: ask [`missing`](super::missing) whether a root is complete. From a gateway, where blocks
/// nobody asked for are an attack, use [`Fetch::accept_car`](super::Fetch::accept_car).
pub fn read_car(
    store: &dyn BlockStore,
    car: &mut dyn Read,
    limits: &Limits,
) -> Result<ImportedCar> {
    let mut reader = CarReader::new(car, limits)?;
    while let Some((cid, bytes)) = reader.next_block()? {
        block::put(store, &cid, &bytes)?;
    }
    Ok(ImportedCar {
        roots: reader.roots,
        blocks: reader.budget.blocks,
        bytes: reader.budget.bytes,
    })
}

fn invalid(reason: impl Into<String>) -> ContentError {
    ContentError::InvalidCar { reason: reason.into() }
}

fn unreadable(source: io::Error) -> ContentError {
    ContentError::Stream { doing: "read the CAR", source }
}

/// The next section, or `None` at the end of the stream. `blocks` came before it.
fn read_section(reader: &mut impl Read, bytes_max: u64, blocks: u64) -> Result<Option<Vec<u8>>> {
    let Some(length) = read_length(reader, blocks)? else {
        return Ok(None);
    };
    if length == 0 || length > bytes_max {
        return Err(invalid(format!(
            "section {blocks} has {length} bytes; 1 to {bytes_max} are allowed"
        )));
    }
    // It grows with what comes: a length is only a claim.
    let mut section = Vec::new();
    reader.take(length).read_to_end(&mut section).map_err(unreadable)?;
    if section.len() as u64 == length {
        Ok(Some(section))
    } else {
        Err(ContentError::TruncatedCar { blocks })
    }
}

fn read_length(reader: &mut impl Read, blocks: u64) -> Result<Option<u64>> {
    let mut buffer = unsigned_varint::encode::u64_buffer();
    for end in 0..buffer.len() {
        match reader.read_exact(&mut buffer[end..=end]) {
            Ok(()) => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(unreadable(error));
            }
            Err(_) if end == 0 => return Ok(None),
            Err(_) => return Err(ContentError::TruncatedCar { blocks }),
        }
        if unsigned_varint::decode::is_last(buffer[end]) {
            return unsigned_varint::decode::u64(&buffer[..=end])
                .map(|(length, _)| Some(length))
                .map_err(|error| invalid(format!("the length of section {blocks}: {error}")));
        }
    }
    Err(invalid(format!("the length of section {blocks} does not fit 64 bits")))
}

/// `{"roots": [CID], "version": 1}` in DAG-CBOR.
fn encode_header(roots: &[Cid]) -> Vec<u8> {
    let mut header = vec![0xa2];
    push_head(&mut header, 3, 5);
    header.extend_from_slice(b"roots");
    push_head(&mut header, 4, roots.len());
    for root in roots {
        let bytes = root.to_bytes();
        header.extend_from_slice(&CBOR_TAG_CID);
        push_head(&mut header, 2, bytes.len() + 1);
        header.push(0);
        header.extend_from_slice(&bytes);
    }
    push_head(&mut header, 3, 7);
    header.extend_from_slice(b"version");
    header.push(1);
    header
}

fn push_head(out: &mut Vec<u8>, major: u8, length: usize) {
    match u8::try_from(length).expect("nothing in a header is longer than 96") {
        short @ 0..=23 => out.push(major << 5 | short),
        long => out.extend_from_slice(&[major << 5 | 24, long]),
    }
}

fn decode_header(header: &[u8]) -> Result<Vec<Cid>> {
    let malformed = || invalid("its header is not {roots, version} in DAG-CBOR");
    let mut rest = header;
    let (mut roots, mut version) = (None, None);
    let keys = take_head(&mut rest, 5).ok_or_else(malformed)?;
    for _ in 0..keys {
        let key_bytes = take_head(&mut rest, 3).ok_or_else(malformed)?;
        match take_bytes(&mut rest, key_bytes).ok_or_else(malformed)? {
            b"version" if version.is_none() => {
                version = Some(take_head(&mut rest, 0).ok_or_else(malformed)?)
            }
            b"roots" if roots.is_none() => roots = Some(decode_roots(&mut rest)?),
            _ => return Err(malformed()),
        }
    }
    match version {
        Some(1) if rest.is_empty() => roots.ok_or_else(malformed),
        Some(1) | None => Err(malformed()),
        Some(version) => Err(invalid(format!("it is version {version}; export it as version 1"))),
    }
}

fn decode_roots(rest: &mut &[u8]) -> Result<Vec<Cid>> {
    let malformed = || invalid("its roots are not CIDs");
    let count = take_head(rest, 4).ok_or_else(malformed)?;
    if count > ROOTS_MAX {
        return Err(invalid(format!("it has more than {ROOTS_MAX} roots")));
    }
    (0..count)
        .map(|_| {
            take_bytes(rest, CBOR_TAG_CID.len()).filter(|tag| *tag == CBOR_TAG_CID)?;
            let length = take_head(rest, 2)?;
            let bytes = take_bytes(rest, length)?.strip_prefix(&[0])?;
            Cid::try_from(bytes).ok().filter(|cid| cid.encoded_len() == bytes.len())
        })
        .collect::<Option<_>>()
        .ok_or_else(malformed)
}

/// The length of a CBOR item of this major type.
fn take_head(rest: &mut &[u8], major: u8) -> Option<usize> {
    let (first, after) = rest.split_first()?;
    if first >> 5 != major {
        return None;
    }
    let (value, after) = match first & 31 {
        short @ 0..=23 => (usize::from(short), after),
        24 => {
            let (value, after) = after.split_first()?;
            (usize::from(*value), after)
        }
        25 => {
            let (value, after) = after.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*value)), after)
        }
        _ => return None,
    };
    *rest = after;
    Some(value)
}

fn take_bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}
