//! How nodes would stand to a job, before anything is posted or paid.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ConstraintRemoval;
use crate::money::Amount;
use crate::spec::JobSpec;

/// A job that somebody thinks of posting.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    pub spec: JobSpec,
    /// Fee included.
    pub bounty: Amount,
    pub fee: Amount,
    /// Locked from the provider's stake while it holds the job.
    #[serde(default)]
    pub bond: Amount,
    /// The ERC-20 token; the zero address stands for the native coin.
    #[serde(default)]
    #[schema(value_type = String)]
    pub token: Address,
    /// Unix seconds.
    pub deadline: u64,
}

/// Who would take the job now, and why others would not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MatchPreview {
    pub nodes_total: u32,
    pub nodes_matching: u32,
    /// The answer in one sentence. Where the terms alone forbid the job, it says so, whatever nodes there are.
    pub summary: String,
    /// For each constraint, how many nodes it alone or with others removes, in the order in which they are tried.
    pub removed: Vec<ConstraintRemoval>,
    /// The smallest change that would match a node, where none matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    pub price_floors: PriceFloors,
}

/// What the nodes want that would take the job at some price: the least that it must pay the provider, its fee taken off.
/// All absent where there is no such node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PriceFloors {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Amount>,
}
