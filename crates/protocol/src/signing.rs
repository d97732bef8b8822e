//! EIP-712: the domain, the job id, every message that a node signs, and the order that a submitter signs.
//!
//! Job ids use the domain of deployment, signatures the chain id at hand, so that no signature is valid after a fork
//! or on another chain. Signatures are compact (EIP-2098): `r`, then `s` with the parity in its highest bit.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::aliases::U40;
use alloy_primitives::{Address, B256, Signature};
use alloy_sol_types::{Eip712Domain, SolStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::ids::{AttemptNumber, JobId, NodeId, ParseIdError, ReceiptHash};
use crate::order::Order;
use crate::terms::Terms;

/// The structs as the contract hashes them. Their names and fields are part of the protocol.
mod sol {
    alloy_sol_types::sol! {
        struct Terms {
            address submitter;
            address scheduler;
            address arbiter;
            address token;
            uint128 bounty;
            uint128 fee;
            uint128 bond;
            uint128 disputeBond;
            uint40 deadline;
            uint32 leaseSeconds;
            uint32 graceSeconds;
            uint32 attemptSeconds;
            uint32 holdSeconds;
            uint32 challengeWindow;
            uint32 rulingSeconds;
            bytes32 specHash;
            bytes32 salt;
        }
        struct Result { bytes32 jobId; uint16 attempt; address node; bytes32 receiptHash; }
        struct Failure { bytes32 jobId; uint16 attempt; address node; bytes32 receiptHash; }
        struct Renew { bytes32 jobId; uint16 attempt; uint40 issuedAt; }
        struct Release { bytes32 jobId; uint16 attempt; }
        struct Enroll { address node; address provider; uint40 expires; }
        struct Accept { bytes32 jobId; uint16 attempt; uint40 expires; }
        struct Order { bytes32 root; uint32 epoch; uint40 expires; }
    }
}

/// The contract that a message is meant for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Domain {
    pub chain_id: u64,
    #[schema(value_type = String)]
    pub contract: Address,
}

impl Domain {
    /// As the contract has it: its name and version too.
    #[must_use]
    pub fn eip712(&self) -> Eip712Domain {
        Eip712Domain::new(
            Some("Gristmill".into()),
            Some("1".into()),
            Some(alloy_primitives::U256::from(self.chain_id)),
            Some(self.contract),
            None,
        )
    }

    pub(crate) fn job_id(&self, terms: &Terms) -> JobId {
        let terms = sol::Terms {
            submitter: terms.submitter,
            scheduler: terms.scheduler,
            arbiter: terms.arbiter,
            token: terms.token,
            bounty: terms.bounty.0,
            fee: terms.fee.0,
            bond: terms.bond.0,
            disputeBond: terms.dispute_bond.0,
            deadline: u40(terms.deadline),
            leaseSeconds: terms.lease_seconds,
            graceSeconds: terms.grace_seconds,
            attemptSeconds: terms.attempt_seconds,
            holdSeconds: terms.hold_seconds,
            challengeWindow: terms.challenge_window,
            rulingSeconds: terms.ruling_seconds,
            specHash: terms.spec_hash.0,
            salt: terms.salt,
        };
        JobId(terms.eip712_signing_hash(&self.eip712()))
    }

    /// What a node signs to say `message`.
    #[must_use]
    pub fn digest(&self, message: &Message) -> B256 {
        let domain = self.eip712();
        match *message {
            Message::Result { job_id, attempt, node, receipt_hash } => sol::Result {
                jobId: job_id.0,
                attempt: attempt.0,
                node: node.0,
                receiptHash: receipt_hash.0,
            }
            .eip712_signing_hash(&domain),
            Message::Failure { job_id, attempt, node, receipt_hash } => sol::Failure {
                jobId: job_id.0,
                attempt: attempt.0,
                node: node.0,
                receiptHash: receipt_hash.0,
            }
            .eip712_signing_hash(&domain),
            Message::Renew { job_id, attempt, issued_at } => {
                sol::Renew { jobId: job_id.0, attempt: attempt.0, issuedAt: u40(issued_at) }
                    .eip712_signing_hash(&domain)
            }
            Message::Release { job_id, attempt } => {
                sol::Release { jobId: job_id.0, attempt: attempt.0 }.eip712_signing_hash(&domain)
            }
            Message::Enroll { node, provider, expires } => {
                sol::Enroll { node: node.0, provider, expires: u40(expires) }
                    .eip712_signing_hash(&domain)
            }
            Message::Accept { job_id, attempt, expires } => {
                sol::Accept { jobId: job_id.0, attempt: attempt.0, expires: u40(expires) }
                    .eip712_signing_hash(&domain)
            }
        }
    }

    /// What a submitter signs, so that others may open the jobs of `order` from its balance.
    #[must_use]
    pub fn order_digest(&self, order: &Order) -> B256 {
        sol::Order { root: order.root, epoch: order.epoch, expires: u40(order.expires) }
            .eip712_signing_hash(&self.eip712())
    }

    /// Whether the key of `owner` signed `order`, in 65 bytes or the 64 of EIP-2098. What a wallet that is a contract
    /// has signed (EIP-1271) only the chain can say.
    #[must_use]
    pub fn has_ordered(&self, owner: Address, order: &Order, signature: &[u8]) -> bool {
        let signature = match <[u8; 64]>::try_from(signature) {
            Ok(compact) => Some(Signature::from_erc2098(&compact)),
            // The contract knows no other way to write the parity.
            Err(_) if matches!(signature.get(64), Some(27 | 28)) => {
                Signature::from_raw(signature).ok()
            }
            Err(_) => None,
        };
        let digest = self.order_digest(order);
        signature
            .and_then(|signature| signature.recover_address_from_prehash(&digest).ok())
            .is_some_and(|signer| signer == owner)
    }

    /// Whose signature `signature` of `message` is, or `None` where it is nobody's.
    #[must_use]
    pub fn signer(&self, message: &Message, signature: &CompactSignature) -> Option<Address> {
        signature.recover(&self.digest(message))
    }
}

/// Seconds as the contract's `uint40`. Larger values have no meaning on chain; they saturate, and `open` refuses them.
#[must_use]
pub fn u40(seconds: u64) -> U40 {
    U40::try_from(seconds).unwrap_or(U40::MAX)
}

/// Everything that a node signs. Distinct types, so that no signature is valid as another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Message {
    /// A receipt of success: the only message that the contract pays for.
    Result { job_id: JobId, attempt: AttemptNumber, node: NodeId, receipt_hash: ReceiptHash },
    /// A receipt of failure: evidence, never payable.
    Failure { job_id: JobId, attempt: AttemptNumber, node: NodeId, receipt_hash: ReceiptHash },
    /// The node is alive and goes on; `issued_at` in unix seconds of the chain.
    Renew { job_id: JobId, attempt: AttemptNumber, issued_at: u64 },
    /// The node gives the attempt back.
    Release { job_id: JobId, attempt: AttemptNumber },
    /// The node wants to belong to this provider; `expires` in unix seconds.
    Enroll { node: NodeId, provider: Address, expires: u64 },
    /// The node takes a job with a bond; valid until `expires`, in unix seconds.
    Accept { job_id: JobId, attempt: AttemptNumber, expires: u64 },
}

/// A secp256k1 signature in 64 bytes (EIP-2098).
#[derive(Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, pattern = "^0x[0-9a-f]{128}$")]
pub struct CompactSignature(pub [u8; 64]);

impl CompactSignature {
    #[must_use]
    pub fn new(signature: &Signature) -> Self {
        Self(signature.normalized_s().as_erc2098())
    }

    #[must_use]
    pub fn r(&self) -> B256 {
        B256::from_slice(&self.0[..32])
    }

    /// `s`, with the parity in the highest bit.
    #[must_use]
    pub fn vs(&self) -> B256 {
        B256::from_slice(&self.0[32..])
    }

    /// The address whose key signed `digest`, or `None` where no key did.
    #[must_use]
    pub fn recover(&self, digest: &B256) -> Option<Address> {
        Signature::from_erc2098(&self.0).recover_address_from_prehash(digest).ok()
    }
}

impl fmt::Display for CompactSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for CompactSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CompactSignature {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("0x")
            .and_then(|digits| hex::decode(digits).ok())
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| {
                ParseIdError::new(text, "a compact signature: 0x and 128 hexadecimal digits")
            })
    }
}

impl Serialize for CompactSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CompactSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_signed_in_the_forms_that_the_contract_takes() {
        // By the first of the well-known keys of "test … junk", with `cast wallet sign --no-hash`.
        const SIGNATURE: &str = "c5b1062ba0535200340e8bb7ed2fea996aeb0066912f28108f0c767dbdea6201\
            08c4544e8ba64b0f14e3379ceeea82edb09603604ce5ce466443f5b3722621d11b";
        let owner: Address = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse().unwrap();
        let domain = Domain { chain_id: 4439, contract: Address::repeat_byte(1) };
        let order = Order { root: B256::repeat_byte(2), epoch: 3, expires: 4 };
        let mut signature = hex::decode(SIGNATURE).unwrap();
        assert!(domain.has_ordered(owner, &order, &signature));
        // Its parity is even, so the compact form has the same s.
        assert!(domain.has_ordered(owner, &order, &signature[..64]));
        assert!(!domain.has_ordered(owner, &Order { epoch: 4, ..order }, &signature));
        assert!(!domain.has_ordered(Address::repeat_byte(9), &order, &signature));
        // What the contract does not take: other names of the parity, and other lengths.
        for parity in [0, 1, 28, 35] {
            signature[64] = parity;
            assert!(!domain.has_ordered(owner, &order, &signature), "{parity}");
        }
        signature[64] = 27;
        assert!(!domain.has_ordered(owner, &order, &signature[..63]));
        signature.push(0);
        assert!(!domain.has_ordered(owner, &order, &signature));
        assert!(!domain.has_ordered(owner, &order, &[]));
    }
}
