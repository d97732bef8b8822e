//! A node that lies is not paid, and an honest one finishes the job. The liar is driven by hand, over the same API.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use alloy::primitives::U256;
use alloy::signers::SignerSync;
use gristmill_e2e::chain::refusal;
use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::Lifetime;
use gristmill_e2e::wait_for;
use gristmill_protocol::api::{
    Assignment, AttemptRef, AttemptState, Gpu, JobState, JobView, Offer, PollRequest,
    ReleaseRequest, ReportRequest, StartRequest,
};
use gristmill_protocol::client::{Client, ClientError};
use gristmill_protocol::content::{self, Limits, MemoryStore};
use gristmill_protocol::contracts::JobMarket::JobMarketErrors;
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::{CompactSignature, Domain, Message};
use gristmill_protocol::spec::RuntimeKind;
use gristmill_protocol::time::Timestamp;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);

/// A node that says whatever a test wants.
struct Liar {
    client: Client,
    domain: Domain,
    party: Party,
}

/// An output that was really made, and what can be said of it.
struct Output {
    car: Vec<u8>,
    receipt: Receipt,
}

impl Liar {
    async fn enter(market: &Market) -> Self {
        // Enrolled as any node; its own program is not needed.
        let mut node = market
            .prepare_node(
                Party::NodeB,
                Party::ProviderB,
                &market.scheduler.url,
                &toml::Table::new(),
            )
            .await
            .unwrap();
        node.process.kill_hard().unwrap();
        let liar = Self {
            client: market.client().unwrap(),
            domain: market.chain.domain(),
            party: Party::NodeB,
        };
        let offer = Offer {
            runtimes: vec![RuntimeKind::Wasm],
            cpu_millis: 64_000,
            memory_bytes: 1 << 40,
            disk_bytes: 1 << 40,
            gpus: vec![Gpu {
                model: "H100".into(),
                vram_bytes: 80 << 30,
                compute_capability: None,
            }],
            price_floor: Amount::ZERO,
            token: gristmill_protocol::Address::ZERO,
            max_run_seconds: 3600,
            log_bytes_max: 1 << 20,
            bond_max: Amount::ZERO,
        };
        let registered = async || {
            liar.sign_in().await;
            liar.client.put_offer(liar.id(), &offer).await.ok()
        };
        wait_for("the liar to be registered", SOON, registered).await.unwrap();
        liar
    }

    fn id(&self) -> NodeId {
        NodeId(self.party.address())
    }

    async fn sign_in(&self) {
        let key = self.party.key();
        let now = jiff::Timestamp::now().to_string();
        let sign = |text: &str| {
            key.sign_message_sync(text.as_bytes()).map(|signature| signature.as_bytes())
        };
        self.client.sign_in(self.id().0, &now, sign).await.unwrap();
    }

    async fn work(&self) -> Assignment {
        let request = PollRequest { holding: Vec::new(), wait_ms: 1000, draining: false };
        let probe = async || self.client.poll(self.id(), &request).await.ok()?.assignments.pop();
        wait_for("work for the liar", SOON, probe).await.unwrap()
    }

    fn sign(&self, message: &Message) -> CompactSignature {
        CompactSignature::new(
            &self.party.key().sign_hash_sync(&self.domain.digest(message)).unwrap(),
        )
    }

    fn output(&self, assignment: &Assignment, files: &[(&str, &str)]) -> Output {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let store = MemoryStore::default();
        let limits = Limits::default();
        let (added, manifest) =
            content::add_dir_with_manifest(&store, folder.path(), &limits).unwrap();
        let mut car = Vec::new();
        content::write_car(&store, &added.cid, &mut car, &limits).unwrap();
        let receipt = Receipt {
            version: RECEIPT_VERSION,
            job_id: assignment.job_id,
            attempt: assignment.attempt,
            node: self.id(),
            spec_hash: assignment.terms.spec_hash,
            outcome: Outcome::Exited { exit_code: 0 },
            output_cid: added.cid.to_string(),
            manifest_hash: manifest.hash(),
            output_bytes: manifest.bytes(),
            started_at_ms: Timestamp(1_790_000_000_000),
            finished_at_ms: Timestamp(1_790_000_001_000),
            fuel_used: Some(1),
            log_bytes: 0,
        };
        Output { car, receipt }
    }

    async fn report(&self, assignment: &Assignment, receipt: &Receipt) -> Result<(), ClientError> {
        let message = Message::Result {
            job_id: receipt.job_id,
            attempt: receipt.attempt,
            node: receipt.node,
            receipt_hash: receipt.hash(),
        };
        let body = ReportRequest {
            lease_token: assignment.lease_token,
            receipt: receipt.clone(),
            signature: self.sign(&message),
            release: None,
        };
        self.client.report(assignment.job_id, assignment.attempt, &body).await
    }

    async fn start(&self, assignment: &Assignment) {
        let body = StartRequest { lease_token: assignment.lease_token };
        self.client.start(assignment.job_id, assignment.attempt, &body).await.unwrap();
    }
}

async fn market() -> (TempDir, Market) {
    let folder = tempfile::tempdir().unwrap();
    let market =
        Market::start(folder.path(), Settings::default(), false, Lifetime::Attached).await.unwrap();
    (folder, market)
}

async fn submit(market: &Market) -> JobId {
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let mut arguments = vec!["--wasm", &wasm, "--memory", "64MiB", "--disk", "64MiB"];
    arguments.extend(["--max-run", "1m", "--bounty", "0.05", "--deadline", "1h", "--", "touch"]);
    market.cli(Party::Submitter).unwrap().submit(&arguments).await.unwrap()
}

async fn rejected(market: &Market, id: JobId) -> JobView {
    let client = market.client().unwrap();
    let probe = async || {
        let job = client.job(id).await.ok()?;
        (job.attempts.first()?.state == AttemptState::Rejected).then_some(job)
    };
    wait_for("the result to be rejected", SOON, probe).await.unwrap()
}

/// The liar gives the job back, as an honest program would when its result was rejected; another node finishes it.
async fn finish(market: &Market, liar: &Liar, assignment: &Assignment) {
    let release = Message::Release { job_id: assignment.job_id, attempt: assignment.attempt };
    let body = ReleaseRequest {
        lease_token: assignment.lease_token,
        signature: liar.sign(&release),
        reason: "rejected".into(),
    };
    liar.client.release(assignment.job_id, assignment.attempt, &body).await.unwrap();
    let _honest = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let id = assignment.job_id;
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    assert_eq!(job.attempts.len(), 2);
    assert_eq!(job.result.as_ref().unwrap().node, NodeId(Party::NodeA.address()));
    let paid = (
        Party::ProviderA.address(),
        U256::from(job.terms.bounty.0 - job.terms.fee.0),
        U256::from(job.terms.fee.0),
    );
    assert_eq!(market.chain.payments_of(id).await.unwrap(), [paid]);
    assert_eq!(market.chain.balance(market.chain.deployment.contract).await.unwrap(), U256::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_rejected_and_another_node_finishes() {
    let (_folder, market) = market().await;
    let liar = Liar::enter(&market).await;
    let id = submit(&market).await;
    let unpaid = market.chain.balance(Party::ProviderB.address()).await.unwrap();
    let assignment = liar.work().await;
    liar.start(&assignment).await;
    let honest = liar.output(&assignment, &[("hello.txt", "hello")]);
    let flipped = liar.output(&assignment, &[("hello.txt", "hellp")]);
    liar.client.put_content(flipped.car).await.unwrap();
    // The manifest is of other bytes than those that were stored.
    let receipt = Receipt { output_cid: flipped.receipt.output_cid, ..honest.receipt };
    liar.report(&assignment, &receipt).await.unwrap();
    let job = rejected(&market, id).await;
    assert!(job.attempts[0].reason.as_deref().unwrap().contains("manifest"), "{job:?}");
    finish(&market, &liar, &assignment).await;
    let still = market.chain.balance(Party::ProviderB.address()).await.unwrap();
    assert_eq!(unpaid, still, "the liar was paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_with_a_missing_block_is_rejected() {
    let (_folder, market) = market().await;
    let liar = Liar::enter(&market).await;
    let id = submit(&market).await;
    let assignment = liar.work().await;
    liar.start(&assignment).await;
    let output = liar.output(&assignment, &[("a.txt", "one"), ("b.txt", "two")]);
    let mut lying = output.car.clone();
    let last = lying.len() - 1;
    lying[last] ^= 1;
    let refused = liar.client.put_content(lying).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::ContentInvalid), "a lying block was taken");
    // A CAR that leaves out a file is no upload, and without the upload the result counts for nothing.
    let cut = output.car[..output.car.len() - 3].to_vec();
    let refused = liar.client.put_content(cut).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::ContentInvalid));
    liar.report(&assignment, &output.receipt).await.unwrap();
    let job = rejected(&market, id).await;
    assert!(job.attempts[0].reason.as_deref().unwrap().contains("block"), "{job:?}");
    finish(&market, &liar, &assignment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_other_attempts_and_other_nodes_are_refused() {
    let (_folder, market) = market().await;
    let liar = Liar::enter(&market).await;
    submit(&market).await;
    let assignment = liar.work().await;
    liar.start(&assignment).await;
    let output = liar.output(&assignment, &[("hello.txt", "hello")]);
    liar.client.put_content(output.car).await.unwrap();
    let good = output.receipt;
    let stranger = NodeId(Party::Stranger.address());
    for (name, forged) in [
        ("another attempt", Receipt { attempt: AttemptNumber(7), ..good.clone() }),
        ("another node", Receipt { node: stranger, ..good.clone() }),
        ("another job", Receipt { job_id: JobId::default(), ..good.clone() }),
        ("another spec", Receipt { spec_hash: Default::default(), ..good.clone() }),
    ] {
        let refused = liar.report(&assignment, &forged).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::InvalidReceipt), "{name}: {refused}");
    }
    let mut stale = assignment.clone();
    stale.lease_token = Default::default();
    let refused = liar.report(&stale, &good).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::StaleAttempt), "{refused}");
    // None of this has harmed the attempt.
    let held = AttemptRef { job_id: assignment.job_id, attempt: assignment.attempt };
    let request = PollRequest { holding: vec![held], wait_ms: 0, draining: false };
    assert!(liar.client.poll(liar.id(), &request).await.unwrap().stop.is_empty());
    liar.report(&assignment, &good).await.unwrap();
    market.wait_for_state(assignment.job_id, &[JobState::Settled], SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_assigned_node_can_settle_or_publish() {
    let (_folder, mut market) = market().await;
    let liar = Liar::enter(&market).await;
    let id = submit(&market).await;
    let assignment = liar.work().await;
    let terms = &assignment.terms;
    let assigned = async || {
        let job = market.client().unwrap().job(id).await.ok()?;
        (job.escrow == gristmill_protocol::api::EscrowState::Assigned).then_some(())
    };
    wait_for("the assignment on chain", SOON, assigned).await.unwrap();
    let receipt = liar.output(&assignment, &[("hello.txt", "hello")]).receipt;
    let hash = receipt.hash();
    let signed_by = |party: Party, message: &Message| {
        let digest = market.chain.domain().digest(message);
        CompactSignature::new(&party.key().sign_hash_sync(&digest).unwrap())
    };
    let result = |node: NodeId| Message::Result {
        job_id: id,
        attempt: assignment.attempt,
        node,
        receipt_hash: hash,
    };
    let own = signed_by(Party::NodeB, &result(liar.id()));
    let failure = Message::Failure {
        job_id: id,
        attempt: assignment.attempt,
        node: liar.id(),
        receipt_hash: hash,
    };
    let other_attempt = Message::Result {
        job_id: id,
        attempt: AttemptNumber(2),
        node: liar.id(),
        receipt_hash: hash,
    };
    for (name, signature) in [
        ("a stranger's", signed_by(Party::Stranger, &result(NodeId(Party::Stranger.address())))),
        ("another node's", signed_by(Party::NodeA, &result(NodeId(Party::NodeA.address())))),
        ("the submitter's", signed_by(Party::Submitter, &result(liar.id()))),
        ("the provider's", signed_by(Party::ProviderB, &result(liar.id()))),
        ("a failure's", signed_by(Party::NodeB, &failure)),
        ("another attempt's", signed_by(Party::NodeB, &other_attempt)),
    ] {
        let settle = market.chain.contract(Party::Scheduler);
        let settle = settle.settle(terms.into(), hash.0, (&signature).into()).call().await;
        let reason = refusal(name, settle);
        assert!(matches!(reason, JobMarketErrors::BadSignature(_)), "{name}: {reason:?}");
        let publish = market.chain.contract(Party::Stranger);
        let publish = publish.publish(terms.into(), hash.0, (&signature).into()).call().await;
        let reason = refusal(name, publish);
        assert!(matches!(reason, JobMarketErrors::BadSignature(_)), "{name}: {reason:?}");
    }
    for party in [Party::Stranger, Party::Submitter, Party::ProviderB, Party::NodeB] {
        let settle = market.chain.contract(party);
        let settle = settle.settle(terms.into(), hash.0, (&own).into()).call().await;
        let reason = refusal(party.name(), settle);
        assert!(matches!(reason, JobMarketErrors::NotScheduler(_)), "{}: {reason:?}", party.name());
    }
    // The same calls with the right signature would go through.
    let right = market.chain.contract(Party::Scheduler);
    right.settle(terms.into(), hash.0, (&own).into()).call().await.unwrap();
    let right = market.chain.contract(Party::Stranger);
    right.publish(terms.into(), hash.0, (&own).into()).call().await.unwrap();
    // After the deadline the result is worth nothing, and the bounty goes home with everybody's help and nobody's leave.
    market.scheduler.process.kill_hard().unwrap();
    let now = market.chain.now().await.unwrap();
    market.chain.advance(terms.deadline + 1 - now).await.unwrap();
    let late = market.chain.contract(Party::Scheduler);
    let late = late.settle(terms.into(), hash.0, (&own).into()).call().await;
    let reason = refusal("too late", late);
    assert!(matches!(reason, JobMarketErrors::DeadlinePassed(_)), "{reason:?}");
    let late = market.chain.contract(Party::NodeB);
    let late = late.publish(terms.into(), hash.0, (&own).into()).call().await;
    let reason = refusal("too late", late);
    assert!(matches!(reason, JobMarketErrors::DeadlinePassed(_)), "{reason:?}");
    let stranger = market.cli(Party::Stranger).unwrap();
    let refunded = stranger.call(&["refund", &id.to_string()]).await.unwrap();
    assert_eq!(refunded.code(), 0, "{}", refunded.stderr);
    let left = market.chain.balance(market.chain.deployment.contract).await.unwrap();
    assert_eq!(left, U256::ZERO);
}
