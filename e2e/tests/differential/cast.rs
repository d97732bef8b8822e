//! Who takes part in a history, what they own at its beginning, and what they can sign.

use alloy::primitives::keccak256;
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use gristmill_protocol::Address;
use gristmill_protocol::B256;
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::order::Order;
use gristmill_protocol::signing::{CompactSignature, Domain, Message};
use gristmill_sim::model::{COIN, Contract, Keys};

/// What everybody who can pay has of the coin and of the first token.
pub(crate) const BIG_PURSE: u128 = 200_000;
/// What they have of the second token: less than what they will want to spend.
pub(crate) const SMALL_PURSE: u128 = 12_000;

pub(crate) struct Cast {
    pub(crate) domain: Domain,
    /// The coin, and two tokens.
    pub(crate) tokens: [Address; 3],
    pub(crate) submitters: Vec<Address>,
    pub(crate) schedulers: Vec<Address>,
    pub(crate) arbiters: Vec<Address>,
    pub(crate) providers: Vec<Address>,
    /// Two of each provider, one after the other.
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) stranger: Address,
    keys: Vec<PrivateKeySigner>,
}

impl Cast {
    pub(crate) fn new(domain: Domain, tokens: [Address; 3]) -> Self {
        let mut keys = Vec::new();
        let mut draw = |name: &str, count: usize| -> Vec<Address> {
            let keys_of = (0..count).map(|index| {
                let key = keccak256(format!("{name} {index}"));
                PrivateKeySigner::from_bytes(&key).expect("a hash is a key")
            });
            let drawn: Vec<PrivateKeySigner> = keys_of.collect();
            let addresses = drawn.iter().map(PrivateKeySigner::address).collect();
            keys.extend(drawn);
            addresses
        };
        Self {
            domain,
            tokens,
            submitters: draw("submitter", 2),
            schedulers: draw("scheduler", 2),
            arbiters: draw("arbiter", 2),
            providers: draw("provider", 3),
            nodes: draw("node", 6).into_iter().map(NodeId).collect(),
            stranger: draw("stranger", 1)[0],
            keys,
        }
    }

    /// Everybody who has an address, nodes too.
    pub(crate) fn everybody(&self) -> Vec<Address> {
        self.keys.iter().map(PrivateKeySigner::address).collect()
    }

    /// Those who have money.
    pub(crate) fn purses(&self) -> Vec<Address> {
        let groups = [&self.submitters, &self.schedulers, &self.arbiters, &self.providers];
        groups.into_iter().flatten().copied().chain([self.stranger]).collect()
    }

    pub(crate) fn purse(&self, token: Address) -> u128 {
        if token == self.tokens[2] { SMALL_PURSE } else { BIG_PURSE }
    }

    pub(crate) fn provider_of(&self, node: NodeId) -> Address {
        let index = self.nodes.iter().position(|known| *known == node);
        index.map_or(self.stranger, |index| self.providers[index / 2])
    }

    pub(crate) fn sign_digest(
        &self,
        signer: Address,
        digest: &B256,
    ) -> alloy::primitives::Signature {
        let key = self.keys.iter().find(|key| key.address() == signer);
        let key = key.expect("only members of the cast sign");
        key.sign_hash_sync(digest).expect("a key in memory signs")
    }

    pub(crate) fn sign(&self, signer: Address, message: &Message) -> CompactSignature {
        CompactSignature::new(&self.sign_digest(signer, &self.domain.digest(message)))
    }

    /// In the form of 65 bytes.
    pub(crate) fn sign_order(&self, signer: Address, order: &Order) -> Vec<u8> {
        self.sign_digest(signer, &self.domain.order_digest(order)).as_bytes().to_vec()
    }

    /// The model, before anything has happened.
    pub(crate) fn model(&self) -> Contract {
        let mut model = Contract::new(Keys::real(self.domain));
        for owner in self.purses() {
            for token in self.tokens {
                model.fund(owner, token, self.purse(token));
            }
        }
        // The tokens are contracts that take no coin.
        for token in &self.tokens[1..] {
            model.set_refusing(*token, COIN, true);
        }
        model
    }
}
