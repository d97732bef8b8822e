//! What the web asks the scheduler for before anything else, so that one build of it serves every deployment.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The scheduler, chain and contract that the web talks to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebConfig {
    pub scheduler_version: String,
    pub chain: WebChain,
    #[schema(value_type = String)]
    pub contract: Address,
    /// The block of the deployment: no event of the contract is older.
    pub from_block: u64,
    /// Endpoints that a browser may ask, the best first.
    pub rpc_urls: Vec<String>,
    /// Where people look at transactions and addresses, without a slash at its end.
    #[schema(required)]
    pub explorer_url: Option<String>,
    /// Whether this is a development stack, whose keys and money are worth nothing.
    pub development: bool,
}

/// A chain, as wallets describe one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebChain {
    pub id: u64,
    pub name: String,
    pub coin: WebCoin,
}

/// The native coin of a chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebCoin {
    pub symbol: String,
    pub decimals: u32,
}
