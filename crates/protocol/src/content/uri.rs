//! `ipfs://<cid>[/path]`: the address of content.

use std::fmt;
use std::str::FromStr;

use cid::Cid;
use serde::{Deserialize, Serialize};

use super::name::fault;
use super::{ContentError, Result, parse_cid};

const SCHEME: &str = "ipfs://";
const URI_BYTES_MAX: usize = 4096;
const SEGMENTS_MAX: usize = 64;

/// A root, and optionally a path below it. Displayed in one form only; in JSON it is that text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentUri {
    root: Cid,
    path: Vec<String>,
}

impl ContentUri {
    /// The address of `path` below `root`. The path is plain text: `data/a b.csv`; empty means the root itself.
    pub fn new(root: Cid, path: &str) -> Result<Self> {
        super::check_cid(&root)?;
        let path: Vec<String> =
            if path.is_empty() { Vec::new() } else { path.split('/').map(str::to_owned).collect() };
        Self::checked(root, path).map_err(|reason| ContentError::InvalidUri {
            text: format!("{SCHEME}{root}/…"),
            reason,
        })
    }

    /// The CID that comes first.
    #[must_use]
    pub fn root(&self) -> &Cid {
        &self.root
    }

    /// The names below the root, each a valid name of a file.
    #[must_use]
    pub fn path(&self) -> &[String] {
        &self.path
    }

    fn checked(root: Cid, path: Vec<String>) -> std::result::Result<Self, String> {
        if path.len() > SEGMENTS_MAX {
            return Err(format!("its path has more than {SEGMENTS_MAX} segments"));
        }
        match path.iter().find_map(|name| fault(name).map(|reason| (name, reason))) {
            Some((name, reason)) => {
                Err(format!("`{}` cannot be in its path: {reason}", name.escape_debug()))
            }
            None => Ok(Self { root, path }),
        }
    }
}

impl From<Cid> for ContentUri {
    fn from(root: Cid) -> Self {
        Self { root, path: Vec::new() }
    }
}

impl FromStr for ContentUri {
    type Err = ContentError;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |reason: String| ContentError::InvalidUri {
            text: text.chars().take(256).collect(),
            reason,
        };
        if text.len() > URI_BYTES_MAX {
            return Err(invalid(format!("it is longer than {URI_BYTES_MAX} bytes")));
        }
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| invalid("write it as ipfs://<cid> or ipfs://<cid>/<path>".to_owned()))?;
        let mut segments = rest.split('/');
        let root = parse_cid(segments.next().unwrap_or_default())?;
        let path = segments
            .map(|segment| decode_segment(segment).map_err(str::to_owned))
            .collect::<std::result::Result<_, _>>()
            .map_err(invalid)?;
        Self::checked(root, path).map_err(invalid)
    }
}

impl fmt::Display for ContentUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.root)?;
        for name in &self.path {
            f.write_str("/")?;
            for byte in name.bytes() {
                if is_plain(byte) {
                    write!(f, "{}", char::from(byte))?;
                } else {
                    write!(f, "%{byte:02X}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ContentUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for ContentUri {
    type Error = ContentError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ContentUri> for String {
    fn from(uri: ContentUri) -> Self {
        uri.to_string()
    }
}

/// What RFC 3986 calls unreserved: never escaped. Everything else always is.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn decode_segment(segment: &str) -> std::result::Result<String, &'static str> {
    let mut name = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next(), bytes.next()]
                    .map(|digit| digit.and_then(|d| char::from(d).to_digit(16)));
                let [Some(high), Some(low)] = digits else {
                    return Err("a `%` in its path must be followed by two hexadecimal digits");
                };
                name.push((high << 4 | low) as u8);
            }
            b'?' | b'#' => {
                return Err(
                    "it must have no query and no fragment; write `?` as %3F and `#` as %23",
                );
            }
            byte => name.push(byte),
        }
    }
    String::from_utf8(name).map_err(|_| "its path is not UTF-8")
}
