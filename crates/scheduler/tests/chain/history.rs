//! A busy history: what the parties do on chain by themselves, while the scheduler only reads.

use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::sol_types::{SolStruct, eip712_domain};
use gristmill_protocol::contracts::{IJobMarket, JobMarket};
use gristmill_protocol::ids::{AttemptNumber, JobId, ReceiptHash};
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;
use serde_json::json;

use super::anvil::Anvil;
use super::terms;

alloy::sol! {
    struct Accept { bytes32 jobId; uint16 attempt; uint40 expires; }
}

/// The parties act on chain themselves; the scheduler only reads.
pub(crate) struct Actors<'a> {
    pub(crate) anvil: &'a Anvil,
}

impl Actors<'_> {
    pub(crate) fn id(&self, terms: &Terms) -> JobId {
        terms.id(&self.anvil.deployment.domain())
    }

    fn signed(&self, message: &Message) -> IJobMarket::Signature {
        let digest = self.anvil.deployment.domain().digest(message);
        let signature = self.anvil.node.sign_hash_sync(&digest).unwrap();
        IJobMarket::Signature::from(&CompactSignature::new(&signature))
    }

    /// The job is opened and assigned to the node, as its first attempt.
    pub(crate) async fn assigned(&self, terms: &Terms) -> JobId {
        self.anvil.open(terms).await;
        self.assign(terms, 1).await
    }

    async fn assign(&self, terms: &Terms, attempt: u16) -> JobId {
        let id = self.id(terms);
        let call = JobMarket::assignCall { id: id.0, node_: self.anvil.node.address(), attempt };
        self.anvil.call(terms.scheduler, &call, 0).await;
        id
    }

    /// As [`Self::assigned`], with the node's acceptance of the bond.
    pub(crate) async fn assign_bonded(&self, terms: &Terms, attempt: u16) -> JobId {
        let (id, anvil) = (self.id(terms), self.anvil);
        let expires = U40::from(terms.deadline);
        let domain = eip712_domain! {
            name: "Gristmill",
            version: "1",
            chain_id: anvil.deployment.chain_id,
            verifying_contract: anvil.deployment.contract,
        };
        let digest = Accept { jobId: id.0, attempt, expires }.eip712_signing_hash(&domain);
        let signature = anvil.node.sign_hash_sync(&digest).unwrap();
        let assignment = IJobMarket::Assignment {
            terms: terms.into(),
            node: anvil.node.address(),
            attempt,
            expires,
            acceptance: IJobMarket::Signature::from(&CompactSignature::new(&signature)),
        };
        anvil.call(terms.scheduler, &JobMarket::assignWithTermsCall { assignment }, 0).await;
        id
    }

    fn result(&self, terms: &Terms, attempt: u16) -> (B256, IJobMarket::Signature) {
        let receipt_hash = ReceiptHash(keccak256(self.id(terms).0));
        let message = Message::Result {
            job_id: self.id(terms),
            attempt: AttemptNumber(attempt),
            node: self.anvil.node_id(),
            receipt_hash,
        };
        (receipt_hash.0, self.signed(&message))
    }

    pub(crate) async fn settle(&self, terms: &Terms, attempt: u16) {
        let (hash, signature) = self.result(terms, attempt);
        let call = JobMarket::settleCall { t: terms.into(), receiptHash: hash, signature };
        self.anvil.call(terms.scheduler, &call, 0).await;
    }

    pub(crate) async fn publish(&self, terms: &Terms, attempt: u16) {
        let (hash, signature) = self.result(terms, attempt);
        let call = JobMarket::publishCall { t: terms.into(), receiptHash: hash, signature };
        self.anvil.call(self.anvil.provider, &call, 0).await;
    }

    pub(crate) async fn advance(&self, seconds: u64) {
        self.anvil.ask("evm_increaseTime", json!([seconds])).await;
        self.anvil.mine(1).await;
    }
}

/// What a busy history left behind.
pub(crate) struct History {
    pub(crate) open: JobId,
    pub(crate) assigned: JobId,
    pub(crate) paid: JobId,
    /// Of the paid job and of all others that have not ended.
    pub(crate) terms: Terms,
}

/// Jobs of every fate that the database follows, and a stranger's.
pub(crate) async fn busy(anvil: &Anvil) -> History {
    let actors = Actors { anvil };
    let now_s = anvil.timestamp().await;
    let terms = |salt| terms(anvil, salt, now_s);
    let scheduler = anvil.scheduler.address();
    anvil.open(&terms(1)).await;
    actors.assigned(&terms(2)).await;
    actors.assigned(&terms(3)).await;
    actors.settle(&terms(3), 1).await;
    let held = Terms { hold_seconds: 7200, ..terms(4) };
    actors.assigned(&held).await;
    actors.settle(&held, 1).await;
    actors.assigned(&terms(5)).await;
    actors.publish(&terms(5), 1).await;
    anvil.open(&terms(6)).await;
    anvil.call(anvil.submitter, &JobMarket::cancelCall { t: (&terms(6)).into() }, 0).await;
    // Forbidden before it was opened.
    anvil.call(anvil.submitter, &JobMarket::cancelCall { t: (&terms(7)).into() }, 0).await;
    let released = actors.assigned(&terms(8)).await;
    let message = Message::Release { job_id: released, attempt: AttemptNumber(1) };
    let signature = actors.signed(&message);
    anvil.call(scheduler, &JobMarket::releaseCall { t: (&terms(8)).into(), signature }, 0).await;
    // Of another scheduler: one waits, one is withdrawn.
    let strange = |salt| Terms { scheduler: anvil.provider, ..terms(salt) };
    anvil.open(&strange(9)).await;
    anvil.open(&strange(10)).await;
    anvil.call(anvil.submitter, &JobMarket::cancelCall { t: (&strange(10)).into() }, 0).await;
    // Published and settled afterwards.
    actors.assigned(&terms(11)).await;
    actors.publish(&terms(11), 1).await;
    actors.settle(&terms(11), 1).await;
    let short = Terms { lease_seconds: 240, ..terms(12) };
    actors.assigned(&short).await;
    let late = Terms { deadline: now_s + 600, lease_seconds: 240, ..terms(13) };
    actors.assigned(&late).await;
    let called = terms(14);
    let called_id = actors.assigned(&called).await;
    let quiet = terms(15);
    actors.assigned(&quiet).await;
    let deposit = JobMarket::depositCall { token: Address::ZERO, amount: U256::from(5_000) };
    anvil.call(anvil.provider, &deposit, 5_000).await;
    let to = Address::repeat_byte(0x77);
    let withdrawal =
        JobMarket::withdrawCall { token: Address::ZERO, to, amount: U256::from(2_000) };
    anvil.call(anvil.provider, &withdrawal, 0).await;

    actors.advance(1000).await;
    // One lease lapses and is given out again in one step, one is refunded, one node answers its call-in and one does not.
    let assignment = IJobMarket::Assignment {
        terms: (&short).into(),
        node: anvil.node.address(),
        attempt: 2,
        expires: U40::ZERO,
        acceptance: IJobMarket::Signature::default(),
    };
    anvil.call(scheduler, &JobMarket::assignWithTermsCall { assignment }, 0).await;
    anvil.call(anvil.provider, &JobMarket::refundCall { t: (&late).into() }, 0).await;
    anvil.call(scheduler, &JobMarket::callInCall { t: (&quiet).into() }, 0).await;
    anvil.call(scheduler, &JobMarket::callInCall { t: (&called).into() }, 0).await;
    actors.advance(5).await;
    let issued_at = anvil.timestamp().await;
    let renewal = Message::Renew { job_id: called_id, attempt: AttemptNumber(1), issued_at };
    let signature = actors.signed(&renewal);
    let renew =
        JobMarket::renewCall { t: (&called).into(), issuedAt: U40::from(issued_at), signature };
    anvil.call(anvil.provider, &renew, 0).await;
    History {
        open: actors.id(&terms(1)),
        assigned: actors.id(&terms(2)),
        paid: actors.id(&terms(3)),
        terms: terms(1),
    }
}
