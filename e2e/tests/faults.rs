//! A whole market whose scheduler reaches its chain through an endpoint that misbehaves.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use alloy::primitives::U256;
use gristmill_e2e::chain::Chain;
use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings, free_port};
use gristmill_e2e::process::Lifetime;
use gristmill_e2e::wait_for;
use gristmill_protocol::api::{AttemptState, JobState};
use gristmill_protocol::ids::JobId;
use proxy::{Fault, Proxy};
use tempfile::TempDir;

#[expect(dead_code, reason = "the tests of the drivers inject the other faults")]
#[path = "../../crates/scheduler/tests/chain/proxy.rs"]
mod proxy;

const SOON: Duration = Duration::from_secs(60);

async fn market() -> (TempDir, Market, Proxy) {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::start(folder.path(), free_port().unwrap(), Lifetime::Attached).await;
    let chain = chain.unwrap();
    let proxy = Proxy::start(&chain.rpc_url).await;
    let mut scheduler = toml::toml! {
        [content]
        free_bytes_min = 1000000
    };
    let chain_settings =
        toml::Table::from_iter([("rpc_urls".into(), vec![proxy.url.clone()].into())]);
    scheduler.insert("chain".into(), chain_settings.into());
    let settings = Settings { scheduler, ..Settings::default() };
    let market =
        Market::start_on(folder.path(), chain, settings, false, Lifetime::Attached).await.unwrap();
    (folder, market, proxy)
}

async fn submit(market: &Market, seconds: &str) -> JobId {
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();
    let arguments = ["--wasm", &wasm, "--memory", "64MiB", "--disk", "64MiB", "--max-run", "1m"];
    let terms = ["--bounty", "0.05", "--deadline", "12m", "--", "sleep", seconds];
    cli.submit(&[&arguments[..], &terms[..]].concat()).await.unwrap()
}

/// The job was assigned, settled and paid once, for exactly what its terms say.
async fn paid_once(market: &Market, id: JobId, before: U256) {
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    assert_eq!(job.attempts.len(), 1, "{job:?}");
    let events = market.chain.events_of(id).await.unwrap();
    for event in ["Opened", "Assigned", "Settled", "Paid"] {
        assert_eq!(events.iter().filter(|name| **name == event).count(), 1, "{events:?}");
    }
    let gained = market.chain.balance(Party::ProviderA.address()).await.unwrap() - before;
    assert_eq!(gained, U256::from(job.terms.bounty.0 - job.terms.fee.0));
}

async fn metrics(market: &Market) -> String {
    let url = format!("{}/metrics", market.scheduler.url);
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// Injected: the scheduler's RPC endpoint is down while a job runs, and is delivered.
/// Outcome: node and submitter are served meanwhile; the job is settled when the chain is back.
/// Shown by: `gristmill_chain_calls_failed_total{reason="unreachable"}`, `/readyz`, a warning
#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_is_down_while_a_job_runs() {
    let (_folder, market, proxy) = market().await;
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let id = submit(&market, "3").await;
    market.wait_until_running(id).await.unwrap();
    proxy.inject(Fault::Down);
    let job = market.wait_for_state(id, &[JobState::Settling], SOON).await.unwrap();
    assert_eq!(job.attempts[0].state, AttemptState::Accepted, "verified without the chain");
    let ready = format!("{}/readyz", market.scheduler.url);
    let refused = async || {
        let answer = reqwest::get(&ready).await.ok()?;
        (answer.status().as_u16() == 503).then_some(())
    };
    wait_for("the scheduler to say that it does not see the chain", SOON, refused).await.unwrap();
    let events = market.chain.events_of(id).await.unwrap();
    assert!(!events.contains(&"Settled"), "{events:?}");
    assert!(metrics(&market).await.contains("calls_failed_total{reason=\"unreachable\"}"));
    assert!(market.scheduler.process.output().contains("the chain could not be followed"));
    proxy.heal();
    paid_once(&market, id, before).await;
}

/// Injected: every answer to a transaction of the scheduler is lost, after the transaction has been passed on.
/// Outcome: the job is assigned, settled and paid once.
/// Shown by: `gristmill_chain_calls_failed_total{reason="unreachable"}`, a warning
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_transaction_is_lost() {
    let (_folder, market, proxy) = market().await;
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    proxy.inject(Fault::BrokenAfterSend);
    let id = submit(&market, "1").await;
    paid_once(&market, id, before).await;
    proxy.heal();
    assert!(metrics(&market).await.contains("calls_failed_total{reason=\"unreachable\"}"));
    assert!(market.scheduler.process.output().contains("the chain sender will try again"));
}
