//! A node believes the chain, not the scheduler. The scheduler here is ours, and it lies: it offers work that was
//! tampered with, that nobody paid for, or that belongs to another contract.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use gristmill_e2e::chain::Chain;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings, free_port};
use gristmill_e2e::process::Lifetime;
use gristmill_e2e::wait_for;
use gristmill_protocol::Address;
use gristmill_protocol::api::{
    Assignment, Info, Login, Nonce, PollReply, PollRequest, ReleaseRequest, StartRequest,
};
use gristmill_protocol::ids::{AttemptNumber, LeaseToken};
use gristmill_protocol::money::Amount;
use gristmill_protocol::signing::Domain;
use gristmill_protocol::spec::{JobSpec, Strategy};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const SPEC: &str = r#"{"version":1,"name":"a job","runtime":{"kind":"wasm","module":"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"},"max_run_seconds":30}"#;

/// A scheduler without a market: it hands out what it is given, and remembers what it hears.
#[derive(Clone)]
struct Trickster {
    info: Info,
    offered: Arc<Mutex<Vec<Assignment>>>,
    /// What nodes gave back, by job, with the reason.
    released: Arc<Mutex<BTreeMap<String, String>>>,
    started: Arc<Mutex<Vec<String>>>,
}

impl Trickster {
    async fn start(chain: &Chain) -> (Self, String) {
        let scheduler = Party::Scheduler.address();
        let trickster = Self {
            info: Info {
                version: "0".into(),
                chain_id: chain.deployment.chain_id,
                contract: chain.deployment.contract,
                scheduler,
                arbiter: scheduler,
                fee_bps: 0,
                lease_seconds: 240,
                grace_seconds: 60,
                attempt_seconds: 3600,
                challenge_window: 3600,
                ruling_seconds: 3600,
                silence_ms: 15_000,
                strategy: Strategy::BestFit,
                content_bytes_max: 0,
                payouts_stopped: None,
            },
            offered: Arc::default(),
            released: Arc::default(),
            started: Arc::default(),
        };
        let router = Router::new()
            .route("/v1/info", get(async |State(own): State<Self>| Json(own.info)))
            .route("/v1/auth/nonce", post(async || Json(nonce())))
            .route("/v1/auth/login", post(async || Json(login())))
            .route("/v1/nodes/{id}/offer", put(async |Json(offer): Json<Value>| Json(node(offer))))
            .route("/v1/nodes/{id}/poll", post(poll))
            .route("/v1/jobs/{id}/attempts/{attempt}/start", post(start))
            .route("/v1/jobs/{id}/attempts/{attempt}/release", post(release))
            .with_state(trickster.clone());
        let port = free_port().unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (trickster, format!("http://127.0.0.1:{port}"))
    }

    fn offer(&self, assignment: Assignment) {
        self.offered.lock().unwrap().push(assignment);
    }

    async fn refusal(&self, assignment: &Assignment) -> String {
        let id = assignment.job_id.to_string();
        let probe = async || self.released.lock().unwrap().get(&id).cloned();
        wait_for("the node to refuse", SOON, probe).await.unwrap()
    }
}

fn nonce() -> Nonce {
    Nonce { nonce: "abcdefgh12345678".into(), expires_at_ms: Timestamp::MAX }
}

fn login() -> Login {
    let address = Party::NodeA.address();
    Login { token: "token".into(), address, expires_at_ms: Timestamp(u64::MAX >> 12) }
}

fn node(offer: Value) -> Value {
    json!({
        "id": Party::NodeA.address(), "provider": Party::ProviderA.address(), "state": "idle", "offer": offer,
        "registered_at_ms": 0, "last_heard_at_ms": 0, "attempts_accepted": 0, "attempts_failed": 0, "reputation_permille": 500, "holding": [],
    })
}

async fn poll(State(own): State<Trickster>, Json(request): Json<PollRequest>) -> Json<PollReply> {
    // A real scheduler would wait on an event; the node asks again at once, so it only has to be slow.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut assignments = own.offered.lock().unwrap().clone();
    assignments.retain(|offered| request.holding.iter().all(|held| held.job_id != offered.job_id));
    Json(PollReply { assignments, stop: Vec::new(), silence_ms: 15_000, now_ms: Timestamp(0) })
}

async fn start(
    State(own): State<Trickster>,
    Path((id, _)): Path<(String, u16)>,
    Json(_): Json<StartRequest>,
) {
    own.started.lock().unwrap().push(id);
}

async fn release(
    State(own): State<Trickster>,
    Path((id, _)): Path<(String, u16)>,
    Json(body): Json<ReleaseRequest>,
) {
    own.offered.lock().unwrap().retain(|offered| offered.job_id.to_string() != id);
    own.released.lock().unwrap().insert(id, body.reason);
}

fn terms(spec: &JobSpec, deadline: u64, salt: u8) -> Terms {
    Terms {
        submitter: Party::Submitter.address(),
        scheduler: Party::Scheduler.address(),
        arbiter: Party::Scheduler.address(),
        token: Address::ZERO,
        bounty: Amount(1_000_000),
        fee: Amount(0),
        bond: Amount::ZERO,
        dispute_bond: Amount::ZERO,
        deadline,
        lease_seconds: 240,
        grace_seconds: 60,
        attempt_seconds: 3600,
        hold_seconds: 0,
        challenge_window: 3600,
        ruling_seconds: 3600,
        spec_hash: spec.hash(),
        salt: gristmill_protocol::B256::repeat_byte(salt),
    }
}

fn assignment(domain: &Domain, terms: Terms, spec: JobSpec) -> Assignment {
    let job_id = terms.id(domain);
    Assignment {
        job_id,
        attempt: AttemptNumber(1),
        lease_token: LeaseToken::default(),
        terms,
        spec,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_on_a_schedulers_word_alone() {
    let folder = tempfile::tempdir().unwrap();
    let market =
        Market::start(folder.path(), Settings::default(), false, Lifetime::Attached).await.unwrap();
    let (trickster, url) = Trickster::start(&market.chain).await;
    let settings = toml::toml! {
        [chain]
        escrow_wait_seconds = 3
    };
    let mut node =
        market.prepare_node(Party::NodeA, Party::ProviderA, &url, &settings).await.unwrap();
    let domain = market.chain.domain();
    let spec = JobSpec::from_json(SPEC.as_bytes()).unwrap();
    let deadline = market.chain.now().await.unwrap() + 3600;

    let mut tampered = assignment(&domain, terms(&spec, deadline, 1), spec.clone());
    tampered.spec.name = "another job".into();
    let mut raised = assignment(&domain, terms(&spec, deadline, 2), spec.clone());
    raised.terms.bounty = Amount(u128::MAX);
    let elsewhere = Domain { chain_id: 39, ..domain };
    let wrong_chain = assignment(&elsewhere, terms(&spec, deadline, 3), spec.clone());
    let elsewhere = Domain { contract: Address::repeat_byte(9), ..domain };
    let wrong_contract = assignment(&elsewhere, terms(&spec, deadline, 4), spec.clone());
    let mut unknown = terms(&spec, deadline, 5);
    unknown.scheduler = Party::Stranger.address();
    let untrusted = assignment(&domain, unknown, spec.clone());
    let unfunded = assignment(&domain, terms(&spec, deadline, 6), spec.clone());
    for (offered, word) in [
        (tampered, "spec"),
        (raised, "hash"),
        (wrong_chain, "hash"),
        (wrong_contract, "hash"),
        (untrusted, "trusted"),
        (unfunded, "paid for"),
    ] {
        trickster.offer(offered.clone());
        let reason = trickster.refusal(&offered).await;
        assert!(reason.contains(word), "{word}: {reason}");
        node.process.check_running().unwrap();
    }
    // Funded, but assigned to nobody: still no reason to work.
    let funded = assignment(&domain, terms(&spec, deadline, 7), spec);
    let contract = market.chain.contract(Party::Submitter);
    let open = contract.open((&funded.terms).into());
    let open =
        open.value(alloy::primitives::U256::from(funded.terms.bounty.0)).send().await.unwrap();
    open.get_receipt().await.unwrap();
    trickster.offer(funded.clone());
    let reason = trickster.refusal(&funded).await;
    assert!(reason.contains("did not appear on chain"), "{reason}");
    assert_eq!(trickster.started.lock().unwrap().len(), 0, "the node ran something");
}
