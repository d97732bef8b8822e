//! Cheap stand-ins for hashes and signatures: a job's id is its salt, and a signature says who signed what. Nobody in
//! the seeded world breaks cryptography; forgers only use signatures of others, or of other messages.

use gristmill_protocol::Address;
use gristmill_protocol::ids::{AttemptNumber, JobId};
use gristmill_protocol::order::Order;
use gristmill_protocol::signing::{CompactSignature, Domain, Message};

use crate::model::Keys;

/// The contract's own address, which nobody can withdraw to.
pub const CONTRACT: Address = Address::repeat_byte(0xCC);

/// What the model of the contract takes for cryptography here.
#[must_use]
pub fn stand_ins() -> Keys {
    Keys {
        domain: Domain { chain_id: 1, contract: CONTRACT },
        job_id: |_, terms| JobId(terms.salt),
        signer: |_, message, signature| {
            let signer = Address::from_slice(&signature.0[1..21]);
            (sign(signer, message) == *signature).then_some(signer)
        },
        has_ordered: |_, owner, order, signature| sign_order(owner, order) == signature,
    }
}

/// What the key of `signer` makes of a message: equal only for the same key and the same message.
#[must_use]
pub fn sign(signer: Address, message: &Message) -> CompactSignature {
    let mut bytes = [0; 64];
    let mut put = |kind: u8, job: JobId, attempt: AttemptNumber, detail: &[u8]| {
        bytes[0] = kind;
        bytes[1..21].copy_from_slice(signer.as_slice());
        // Ids differ in their first eight bytes and in their last one.
        bytes[21..29].copy_from_slice(&job.0[..8]);
        bytes[29] = job.0[31];
        bytes[30..32].copy_from_slice(&attempt.0.to_be_bytes());
        let len = detail.len().min(32);
        bytes[32..32 + len].copy_from_slice(&detail[..len]);
    };
    match *message {
        Message::Result { job_id, attempt, receipt_hash, .. } => {
            put(1, job_id, attempt, receipt_hash.0.as_slice());
        }
        Message::Failure { job_id, attempt, receipt_hash, .. } => {
            put(2, job_id, attempt, receipt_hash.0.as_slice());
        }
        Message::Renew { job_id, attempt, issued_at } => {
            put(3, job_id, attempt, &issued_at.to_be_bytes());
        }
        Message::Release { job_id, attempt } => put(4, job_id, attempt, &[]),
        Message::Enroll { provider, expires, .. } => {
            let detail = [provider.as_slice(), &expires.to_be_bytes()].concat();
            put(5, JobId::default(), AttemptNumber(0), &detail);
        }
        Message::Accept { job_id, attempt, expires } => {
            put(6, job_id, attempt, &expires.to_be_bytes());
        }
    }
    CompactSignature(bytes)
}

/// A submitter's signature over an order.
#[must_use]
pub fn sign_order(owner: Address, order: &Order) -> Vec<u8> {
    let Order { root, epoch, expires } = order;
    let parts = [owner.as_slice(), root.as_slice(), &epoch.to_be_bytes(), &expires.to_be_bytes()];
    parts.concat()
}
