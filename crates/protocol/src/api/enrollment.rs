//! A node that waits for a wallet: its signed consent, on the way to whoever is to enroll it.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Offer;
use crate::ids::NodeId;
use crate::signing::{CompactSignature, Domain, Message};
use crate::time::Timestamp;

/// Nodes that may wait for one provider at the same time.
pub const WAITING_PER_PROVIDER_MAX: usize = 20;

/// A node says that it wants to belong to a provider. Worth nothing without a transaction of the provider itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    pub node: NodeId,
    /// The wallet that is to be paid for the node's work.
    #[schema(value_type = String)]
    pub provider: Address,
    /// Until when the contract takes the signature, unix seconds.
    pub expires: u64,
    /// The node's, of `Enroll{node, provider, expires}`.
    pub signature: CompactSignature,
    /// What the node is going to offer.
    pub offer: Offer,
}

/// A consent that waits for its wallet. Compare the node with what the machine itself shows: anybody can make a node
/// that names a stranger's wallet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WaitingNode {
    pub node: NodeId,
    #[schema(value_type = String)]
    pub provider: Address,
    /// Until when the contract takes the signature, unix seconds.
    pub expires: u64,
    pub signature: CompactSignature,
    pub offer: Offer,
    /// When the scheduler got it.
    pub seen_at_ms: Timestamp,
}

impl WaitingNode {
    /// A consent that came at `seen_at_ms`.
    #[must_use]
    pub fn new(consent: Consent, seen_at_ms: Timestamp) -> Self {
        let Consent { node, provider, expires, signature, offer } = consent;
        Self { node, provider, expires, signature, offer, seen_at_ms }
    }
}

impl Consent {
    /// Whether the node's key has signed it, for this chain and contract.
    #[must_use]
    pub fn is_signed(&self, domain: &Domain) -> bool {
        let Self { node, provider, expires, .. } = *self;
        let message = Message::Enroll { node, provider, expires };
        domain.signer(&message, &self.signature) == Some(node.0)
    }
}
