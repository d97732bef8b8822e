//! What the market as a whole and one provider have done: sums of stored facts, and nothing where there is no fact.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::money::Amount;
use crate::time::Timestamp;

/// Days of a provider's history that may be asked for at once.
pub const PROVIDER_DAYS_MAX: u32 = 365;
/// Days that the view of the market covers.
pub const MARKET_DAYS: u32 = 30;

/// Supply, prices and volume. Sums of money are of jobs in the native coin alone: other tokens cannot be added to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarketView {
    /// When it was computed; at most once a minute.
    pub as_of_ms: Timestamp,
    /// More happened than was looked at: counts and medians are of the newest part.
    pub truncated: bool,
    /// Heard lately, and approved to work for this scheduler.
    pub nodes_online: u32,
    pub nodes_total: u32,
    pub gpus_online: u32,
    pub gpus_idle: u32,
    pub classes: Vec<MarketClass>,
    pub waiting_jobs: u64,
    pub running_jobs: u64,
    /// Oldest first, one for each of the last 30 days, today included.
    pub days: Vec<MarketDay>,
}

/// GPUs of one model and size, as their nodes report them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarketClass {
    /// `cpu` for nodes without a GPU.
    pub model: String,
    pub vram_bytes: u64,
    pub nodes_online: u32,
    pub gpus_online: u32,
    pub gpus_idle: u32,
    /// Among the nodes that are online and want the native coin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_floor_min: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_floor_median: Option<Amount>,
    /// What providers got for one job in the native coin, in these 30 days: jobs that asked for a GPU and ran on a node
    /// all of whose GPUs are of this class; for `cpu`, jobs that asked for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_median: Option<Amount>,
    /// Those jobs, and the ones like them that paid in another token.
    pub jobs_settled: u32,
}

/// One day, in UTC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MarketDay {
    /// Its beginning.
    pub day_ms: Timestamp,
    pub created: u32,
    pub settled: u32,
    pub refunded: u32,
    /// What providers got, in the native coin.
    pub paid: Amount,
    /// From the locked bounty to the first start of the program, of the jobs created on this day that have started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms_median: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms_p90: Option<u64>,
}

/// What a provider has earned through this scheduler, in the days that were asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProviderView {
    #[schema(value_type = String)]
    pub address: Address,
    /// Nodes that it has enrolled and not revoked, on chain.
    pub nodes: u32,
    pub jobs_settled: u32,
    /// Attempts of its nodes that failed, were rejected, or fell silent.
    pub jobs_failed: u32,
    /// More happened than was looked at: sums and counts are of the newest part.
    pub truncated: bool,
    /// By token.
    pub earned: Vec<TokenSum>,
    /// Oldest first, then by token; only days on which something was paid.
    pub days: Vec<ProviderDay>,
    /// Accepted, and not yet paid.
    pub waiting: Vec<TokenSum>,
}

/// Money of one token; the zero address is the native coin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenSum {
    #[schema(value_type = String)]
    pub token: Address,
    pub amount: Amount,
    pub jobs: u32,
}

/// What a provider earned in one token on one day, in UTC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProviderDay {
    /// Its beginning.
    pub day_ms: Timestamp,
    #[schema(value_type = String)]
    pub token: Address,
    pub amount: Amount,
    pub jobs: u32,
}
