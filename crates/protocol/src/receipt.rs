//! The receipt: what a node says of an attempt that ended. Its hash is what the node signs, and what goes on chain.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::ids::{AttemptNumber, JobId, ManifestHash, NodeId, ReceiptHash, SpecHash};
use crate::time::Timestamp;

/// The only version of the format so far.
pub const RECEIPT_VERSION: u32 = 1;

/// A finished attempt, in the node's words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this format: 1.
    pub version: u32,
    pub job_id: JobId,
    pub attempt: AttemptNumber,
    pub node: NodeId,
    pub spec_hash: SpecHash,
    pub outcome: Outcome,
    /// The output directory as a UnixFS CID. A failed attempt has one too: what was written until then.
    pub output_cid: String,
    /// sha-256 of the canonical manifest of the output directory.
    pub manifest_hash: ManifestHash,
    pub output_bytes: u64,
    pub started_at_ms: Timestamp,
    pub finished_at_ms: Timestamp,
    /// Instructions that a wasm program used; absent for other runtimes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel_used: Option<u64>,
    /// Bytes of log that the program wrote, whether kept or not.
    pub log_bytes: u64,
}

/// How a program ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It ended by itself.
    Exited { exit_code: i32 },
    /// It was stopped by one of its limits.
    Limited { limit: Limit },
    /// It never started, for a reason that lies in the job: an input that cannot be had, an image that does not exist.
    NotStarted { reason: String },
    /// It ended, and left an output that cannot be taken: a link, a device, more files than allowed.
    OutputRefused { reason: String },
}

/// The limits that stop a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    RunTime,
    Memory,
    Disk,
    Processes,
    Log,
    Fuel,
}

impl Limit {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunTime => "run_time",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Processes => "processes",
            Self::Log => "log",
            Self::Fuel => "fuel",
        }
    }
}

impl Outcome {
    /// Only a program that ended by itself with exit code 0 is ever paid for.
    #[must_use]
    pub fn is_success(&self) -> bool {
        match self {
            Self::Exited { exit_code } => *exit_code == 0,
            Self::Limited { .. } | Self::NotStarted { .. } | Self::OutputRefused { .. } => false,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited { exit_code } => write!(f, "exited with code {exit_code}"),
            Self::Limited { limit } => {
                write!(f, "stopped by its {} limit", limit.as_str().replace('_', " "))
            }
            Self::NotStarted { reason } => write!(f, "never started: {reason}"),
            Self::OutputRefused { reason } => write!(f, "left an output that is refused: {reason}"),
        }
    }
}

impl Receipt {
    /// The one byte form of this receipt.
    #[must_use]
    pub fn canonical_json(&self) -> Vec<u8> {
        crate::canonical_json(self)
    }

    #[must_use]
    pub fn hash(&self) -> ReceiptHash {
        let digest: [u8; 32] = Sha256::digest(self.canonical_json()).into();
        ReceiptHash(digest.into())
    }
}
