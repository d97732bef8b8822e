//! Identifiers: newtypes, so that a job id can never stand where a spec hash belongs.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

impl ParseIdError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        // A stranger's text may be long; the head is enough to recognise it.
        let text = text.chars().take(80).collect();
        Self { text, expected }
    }
}

macro_rules! bytes32_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema)]
        #[schema(value_type = String, pattern = "^0x[0-9a-f]{64}$", examples("0x2f8e1c3b5d7a9f0e1c3b5d7a9f0e2f8e1c3b5d7a9f0e1c3b5d7a9f0e2f8e1c3b"))]
        pub struct $name(pub B256);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let bytes = text
                    .strip_prefix("0x")
                    .and_then(|digits| hex::decode(digits).ok())
                    .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
                bytes
                    .map(|bytes| Self(B256::from(bytes)))
                    .ok_or_else(|| ParseIdError::new(text, $expected))
            }
        }
    };
}

bytes32_id!(
    /// The EIP-712 digest of a job's [`Terms`](crate::terms::Terms) in the domain of deployment.
    JobId,
    "a job id: 0x and 64 hexadecimal digits"
);
bytes32_id!(
    /// sha-256 of the canonical JSON of a [`JobSpec`](crate::spec::JobSpec).
    SpecHash,
    "a spec hash: 0x and 64 hexadecimal digits"
);
bytes32_id!(
    /// sha-256 of the canonical JSON of a [`Receipt`](crate::receipt::Receipt).
    ReceiptHash,
    "a receipt hash: 0x and 64 hexadecimal digits"
);
bytes32_id!(
    /// sha-256 of the canonical JSON of the manifest of an output directory.
    ManifestHash,
    "a manifest hash: 0x and 64 hexadecimal digits"
);
bytes32_id!(
    /// The fence of one lease: whoever holds an older one is not heard. Drawn at random by the scheduler.
    LeaseToken,
    "a lease token: 0x and 64 hexadecimal digits"
);
bytes32_id!(
    /// The hash of a transaction.
    TxHash,
    "a transaction hash: 0x and 64 hexadecimal digits"
);

/// A machine of a provider, identified by the address of its key.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema,
)]
#[schema(value_type = String, pattern = "^0x[0-9a-fA-F]{40}$")]
pub struct NodeId(pub Address);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| ParseIdError::new(text, "a node id: 0x and 40 hexadecimal digits"))
    }
}

/// One try of a job by one node, numbered from 1: the count of assignments on chain.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[schema(value_type = u16)]
pub struct AttemptNumber(pub u16);

impl AttemptNumber {
    /// The attempt that follows, or `None` where the contract's 16 bits end.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for AttemptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let text = format!("0x{}", "ab".repeat(32));
        let id: JobId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
    }

    #[test]
    fn what_is_no_id_is_refused_with_the_form_that_was_expected() {
        for text in ["", "0x", "ab", &"ab".repeat(32), &format!("0x{}", "ab".repeat(33))] {
            let error = text.parse::<JobId>().unwrap_err();
            assert!(error.to_string().contains("64 hexadecimal digits"), "{error}");
        }
        assert!("0x12".parse::<NodeId>().is_err());
    }
}
