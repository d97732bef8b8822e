//! What the parties of the market say to each other: ids, money, time, the job spec, signed messages, content
//! addressing, HTTP bodies and error codes. Shared by every program; without features it does no I/O over a network.

#[cfg(feature = "client")]
pub mod address;
pub mod api;
#[cfg(feature = "client")]
pub mod client;
pub mod content;
#[cfg(feature = "chain")]
pub mod contracts;
pub mod deployment;
pub mod error;
pub mod ids;
pub mod login;
pub mod money;
pub mod order;
pub mod receipt;
pub mod signing;
pub mod spec;
pub mod terms;
pub mod time;

pub use alloy_primitives::{Address, B256};

/// The one byte form of a value: RFC 8785 (JSON Canonicalization Scheme).
///
/// # Panics
/// Never for the types of this crate: their maps have string keys and their numbers are integers.
#[must_use]
pub fn canonical_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("maps have string keys and numbers are integers")
}
