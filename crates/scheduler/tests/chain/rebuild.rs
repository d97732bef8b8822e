//! A lost database: the chain and the content alone bring every open job back, as it was.

use std::collections::HashMap;
use std::sync::Arc;

use alloy::primitives::Address;
use axum::extract::Path;
use axum::routing::get;
use gristmill_market::demand::KnownSpec;
use gristmill_market::escrow::Escrow;
use gristmill_market::job::{State, Wait};
use gristmill_protocol::contracts::JobMarket;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::spec::JobSpec;
use gristmill_protocol::terms::Terms;
use gristmill_scheduler::clock::Clock;
use gristmill_scheduler::content_store::{ContentStore, Quotas};
use gristmill_scheduler::drivers::spec_finder::{self, SpecFinder};
use serde_json::json;

use super::anvil::Anvil;
use super::history::Actors;
use super::{Mill, sqlite, terms};

/// A spec of its own for each name.
fn spec(name: &str) -> KnownSpec {
    let json = json!({
        "version": 1,
        "name": name,
        "runtime": {
            "kind": "wasm",
            "module": "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni",
        },
        "max_run_seconds": 60,
    });
    let spec = JobSpec::from_json(json.to_string().as_bytes()).unwrap();
    KnownSpec { hash: spec.hash(), spec }
}

fn content() -> (tempfile::TempDir, Arc<ContentStore>) {
    let directory = tempfile::tempdir().unwrap();
    let quotas = Quotas {
        upload_bytes_max: 1 << 20,
        total_bytes_max: 1 << 20,
        free_bytes_min: 0,
        files_max: 10,
        uploads_max: 1,
        downloads_max: 1,
    };
    let store = ContentStore::open(directory.path(), quotas).unwrap();
    (directory, Arc::new(store))
}

/// A job for which everything but its spec and its salt is usual. The fee is what the scheduler asks for.
fn job_of(anvil: &Anvil, salt: u8, now_s: u64, spec: &KnownSpec) -> Terms {
    let usual = terms(anvil, salt, now_s);
    Terms { spec_hash: spec.hash, fee: usual.bounty.basis_points(1_000), ..usual }
}

impl Mill<'_> {
    fn finder(&self, content: &Arc<ContentStore>, gateways: Vec<String>) -> SpecFinder {
        SpecFinder {
            store: Arc::clone(&self.store),
            turns: self.turns.clone(),
            wake: Arc::clone(&self.wake),
            clock: self.clock.clone(),
            content: Arc::clone(content),
            scheduler: self.anvil.scheduler.address(),
            gateways,
            http: spec_finder::http_client().unwrap(),
            asked: HashMap::new(),
        }
    }

    fn state(&self, id: JobId) -> State {
        self.read(|rows| rows.job(id)).expect("the chain has opened it").state
    }
}

/// A gateway that answers with these bytes, whatever it is asked for.
async fn gateway(answer: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = move |Path(_): Path<String>| async move { answer };
    let app = axum::Router::new().route("/ipfs/{cid}", get(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn every_open_job_is_found_again_with_its_spec() {
    let anvil = Anvil::start().await;
    let actors = Actors { anvil: &anvil };
    let (_folder, content) = content();
    let (known, now_s) = (spec("grind"), anvil.timestamp().await);
    content.keep_spec(&known).unwrap();
    let job = |salt| job_of(&anvil, salt, now_s, &known);
    anvil.open(&job(1)).await;
    let waiting = actors.id(&job(1));
    let assigned = actors.assigned(&job(2)).await;
    let published = actors.assigned(&job(3)).await;
    actors.publish(&job(3), 1).await;
    let held_terms = Terms { hold_seconds: 3600, ..job(4) };
    let held = actors.assigned(&held_terms).await;
    actors.settle(&held_terms, 1).await;
    let paid = actors.assigned(&job(5)).await;
    actors.settle(&job(5), 1).await;
    // The arbiter wants it done again: what the job is must be known by then, or there would be nobody to do it.
    let arbiter = Address::repeat_byte(0xaa);
    anvil.ask("anvil_impersonateAccount", json!([arbiter])).await;
    anvil.ask("anvil_setBalance", json!([arbiter, "0x8ac7230489e80000"])).await;
    let again_terms = Terms { hold_seconds: 3600, arbiter, ..job(6) };
    let again = actors.assigned(&again_terms).await;
    actors.settle(&again_terms, 1).await;
    let t = || (&again_terms).into();
    anvil.call(anvil.submitter, &JobMarket::disputeCall { t: t() }, 0).await;
    anvil.call(arbiter, &JobMarket::ruleCall { t: t(), ruling: 2 }, 0).await;

    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let mut watcher = mill.watcher();
    watcher.content = Some(Arc::clone(&content));
    watcher.step().await.unwrap();
    for id in [waiting, assigned, published, held, again] {
        let job = mill.read(|rows| rows.job(id)).unwrap();
        assert!(job.demand.is_some(), "it is known what {id} is: {job:?}");
    }
    assert_eq!(mill.state(waiting), State::Queued { wait: Wait::Node });
    assert!(matches!(mill.state(assigned), State::Queued { wait: Wait::OldLease { .. } }));
    assert!(matches!(mill.state(published), State::Published { .. }));
    assert!(matches!(mill.state(held), State::Settling { .. }));
    assert!(matches!(mill.state(paid), State::Settled { .. }));
    assert_eq!(mill.state(again), State::Queued { wait: Wait::Node });
    assert_eq!(mill.read(|rows| rows.spec(known.hash)), Some(known.spec.clone()));
    let mut finder = mill.finder(&content, Vec::new());
    assert_eq!(finder.round().await.unwrap(), 0, "nothing was left to be found");
}

#[tokio::test]
async fn a_job_whose_spec_nobody_has_waits_until_somebody_uploads_it() {
    let anvil = Anvil::start().await;
    let (_folder, content) = content();
    let (known, now_s) = (spec("grind"), anvil.timestamp().await);
    let terms = job_of(&anvil, 1, now_s, &known);
    anvil.open(&terms).await;
    let id = terms.id(&anvil.deployment.domain());
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let mut watcher = mill.watcher();
    watcher.content = Some(Arc::clone(&content));
    watcher.step().await.unwrap();
    let mut finder = mill.finder(&content, Vec::new());
    assert_eq!(finder.round().await.unwrap(), 0);
    assert_eq!(mill.state(id), State::Queued { wait: Wait::Spec });
    let job = mill.read(|rows| rows.job(id)).unwrap();
    assert!(gristmill_market::explain::summary(&job).contains("upload it"));
    assert_eq!(job.escrow, Escrow::Open);

    let (stored, submitter) = (known.clone(), anvil.submitter);
    let now = mill.clock.now();
    mill.turns.write("put_spec", move |rows| rows.put_spec(&stored, submitter, now)).await.unwrap();
    assert_eq!(finder.round().await.unwrap(), 1);
    assert_eq!(mill.state(id), State::Queued { wait: Wait::Node });
    assert!(content.find_spec(known.hash).unwrap().is_some(), "the next loss costs nothing");
    assert_eq!(finder.round().await.unwrap(), 0, "once is enough");
}

#[tokio::test]
async fn a_gateway_that_has_the_spec_helps_and_one_that_lies_does_not() {
    let anvil = Anvil::start().await;
    let (_folder, content) = content();
    let (known, now_s) = (spec("grind"), anvil.timestamp().await);
    let terms = job_of(&anvil, 1, now_s, &known);
    anvil.open(&terms).await;
    let id = terms.id(&anvil.deployment.domain());
    let (_directory, store) = sqlite();
    let mut mill = Mill::new(&anvil, store, 1);
    mill.clock = Clock::manual(mill.clock.now());
    mill.watcher().step().await.unwrap();
    let other = gateway(spec("something else").spec.canonical_json()).await;
    let endless = gateway(vec![b' '; 10 << 20]).await;
    let gone = "http://127.0.0.1:9".to_owned();
    let mut finder = mill.finder(&content, vec![gone.clone(), other.clone(), endless.clone()]);
    assert_eq!(finder.round().await.unwrap(), 0);
    assert_eq!(mill.state(id), State::Queued { wait: Wait::Spec });
    assert_eq!(content.stored_bytes(), 0, "nothing of what they said was kept");

    // They are not asked again at once, and then one of them has it.
    let honest = gateway(known.spec.canonical_json()).await;
    finder.gateways = vec![gone, other, endless, honest];
    assert_eq!(finder.round().await.unwrap(), 0);
    mill.clock.advance_ms(30_000);
    assert_eq!(finder.round().await.unwrap(), 1);
    assert_eq!(mill.state(id), State::Queued { wait: Wait::Node });
    assert!(content.find_spec(known.hash).unwrap().is_some());
}

#[tokio::test]
async fn the_specs_of_an_older_database_are_copied_to_the_content() {
    let anvil = Anvil::start().await;
    let (_folder, content) = content();
    let (known, now_s) = (spec("grind"), anvil.timestamp().await);
    let terms = job_of(&anvil, 1, now_s, &known);
    anvil.open(&terms).await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let (stored, now) = (known.clone(), mill.clock.now());
    mill.turns
        .write("put_spec", move |rows| rows.put_spec(&stored, Address::ZERO, now))
        .await
        .unwrap();
    mill.watcher().step().await.unwrap();
    assert_eq!(content.find_spec(known.hash).unwrap(), None);
    mill.finder(&content, Vec::new()).keep_all().await.unwrap();
    assert_eq!(content.find_spec(known.hash).unwrap(), Some(known));
}
