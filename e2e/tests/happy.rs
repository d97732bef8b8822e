//! The main road: a bounty is locked, a program runs, a provider is paid, to the last wei.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]
#![expect(clippy::too_many_arguments, reason = "the ABI of `permit` has that many")]

use std::time::Duration;

use alloy::primitives::U256;
use alloy::sol;
use futures_util::StreamExt;
use gristmill_e2e::engine_or_skip;
use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::Lifetime;
use gristmill_protocol::api::{EventBody, JobState};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::Runtime;

const SOON: Duration = Duration::from_secs(60);

sol!(
    #[sol(rpc)]
    TestToken,
    "../contracts/abi/TestToken.json"
);

async fn submit(market: &Market, more: &[&str]) -> JobId {
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let mut arguments = vec!["--wasm", &wasm, "--memory", "64MiB", "--disk", "64MiB"];
    arguments.extend(["--max-run", "1m", "--deadline", "1h"]);
    arguments.extend(more);
    arguments.extend(["--", "touch"]);
    market.cli(Party::Submitter).unwrap().submit(&arguments).await.unwrap()
}

/// The image is pushed by a client, its tag looked up by the scheduler, and its digest pulled by the node.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_named_by_its_tag_runs_by_its_digest() {
    let Some(()) = engine_or_skip("an_image_that_is_named_by_its_tag_runs_by_its_digest") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let market =
        Market::start(folder.path(), Settings::default(), true, Lifetime::Attached).await.unwrap();
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let engine = market.engine.as_ref().unwrap();
    let by_digest = Guest::hostile(Some(engine)).unwrap().image.unwrap();
    let (repository, _) = by_digest.split_once('@').unwrap();
    let by_tag = format!("{repository}:latest");
    engine.docker(&["tag", &by_digest, &by_tag]).unwrap();
    engine.docker(&["push", "--quiet", &by_tag]).unwrap();

    let arguments = |image| {
        let limits = ["--memory", "64MiB", "--disk", "64MiB", "--max-run", "1m"];
        let terms = ["--bounty", "0.01", "--deadline", "1h", "--", "touch"];
        [&["--image", image][..], &limits, &terms].concat()
    };
    let submitter = market.cli(Party::Submitter).unwrap();
    let id = submitter.submit(&arguments(&by_tag)).await.unwrap();
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    let image = match job.spec.unwrap().runtime {
        Runtime::Docker { image, .. } => image,
        Runtime::Wasm { .. } => panic!("a module was asked for instead"),
    };
    assert_eq!(image, by_digest);

    let unknown = format!("{repository}:never-pushed");
    let refused = submitter.submit(&arguments(&unknown)).await.unwrap_err().to_string();
    assert!(refused.contains("never-pushed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_paid_to_the_last_wei() {
    let folder = tempfile::tempdir().unwrap();
    let market =
        Market::start(folder.path(), Settings::default(), false, Lifetime::Attached).await.unwrap();
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let chain = &market.chain;
    let provider = chain.balance(Party::ProviderA.address()).await.unwrap();
    let submitter = chain.balance(Party::Submitter.address()).await.unwrap();
    let id = submit(&market, &["--bounty", "0.05"]).await;
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();

    let (bounty, fee) = (U256::from(job.terms.bounty.0), U256::from(job.terms.fee.0));
    let gained = chain.balance(Party::ProviderA.address()).await.unwrap() - provider;
    assert_eq!(gained, bounty - fee);
    let spent = submitter - chain.balance(Party::Submitter.address()).await.unwrap();
    assert!(
        spent > bounty && spent < bounty + U256::from(10_u64.pow(15)),
        "bounty and a little gas"
    );
    assert_eq!(chain.balance(chain.deployment.contract).await.unwrap(), U256::ZERO);
    assert_eq!(
        chain.events_of(id).await.unwrap(),
        ["Opened", "Assigned", "Settled", "Paid"],
        "and nothing else happened on chain"
    );

    let paid = (Party::ProviderA.address(), bounty - fee, fee);
    assert_eq!(
        chain.payments_of(id).await.unwrap(),
        [paid],
        "the scheduler gets its fee and no more"
    );

    // The history has no gap, and each step once.
    let client = market.client().unwrap();
    let events = client.events(id, 0, false).await.unwrap();
    let events: Vec<_> = events.map(Result::unwrap).collect().await;
    let versions: Vec<u64> = events.iter().map(|event| event.version).collect();
    assert_eq!(versions, (1..=events.len() as u64).collect::<Vec<_>>());
    let is_once = |wanted: fn(&EventBody) -> bool| {
        events.iter().filter(|event| wanted(&event.body)).count() == 1
    };
    assert!(is_once(|body| matches!(body, EventBody::Created)));
    assert!(is_once(|body| matches!(body, EventBody::Funded)));
    assert!(is_once(|body| matches!(body, EventBody::Assigned { .. })));
    assert!(is_once(|body| matches!(body, EventBody::Reported { .. })));
    assert!(is_once(|body| matches!(body, EventBody::Accepted { .. })));
    assert!(is_once(|body| matches!(body, EventBody::Settled { .. })));
    let resumed = client.events(id, 3, false).await.unwrap();
    let resumed: Vec<_> = resumed.map(Result::unwrap).collect().await;
    assert_eq!(resumed, events[3..], "a stream goes on where it was left");

    // The result verifies, and stops verifying once a byte is changed.
    let cli = market.cli(Party::Submitter).unwrap();
    let out = folder.path().join("result");
    let out_text = out.display().to_string();
    let id_text = id.to_string();
    let answer = cli.call(&["result", &id_text, "--output", &out_text]).await.unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.stderr);
    assert_eq!(std::fs::read(out.join("hello.txt")).unwrap(), b"hello");
    assert_eq!(cli.call(&["verify", &out_text]).await.unwrap().code(), 0);
    std::fs::write(out.join("hello.txt"), b"hellp").unwrap();
    assert_eq!(cli.call(&["verify", &out_text]).await.unwrap().code(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_paid_in_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let market =
        Market::start(folder.path(), Settings::default(), false, Lifetime::Attached).await.unwrap();
    let token = TestToken::deploy(market.chain.provider(Party::Deployer)).await.unwrap();
    let address = token.address().to_string();
    let minted =
        token.mint(Party::Submitter.address(), U256::from(5_000_000)).send().await.unwrap();
    minted.get_receipt().await.unwrap();
    let scheduler = Party::Scheduler.address().to_string();
    let approve = ["provider", "approve", &scheduler, "--token", &address, "--json"];
    market.cli(Party::ProviderA).unwrap().call(&approve).await.unwrap().json().unwrap();
    let mut settings = toml::Table::new();
    let offer = toml::toml! { token = "" };
    settings.insert("offer".into(), toml::Value::Table(offer));
    settings["offer"]["token"] = toml::Value::from(address.clone());
    let url = market.scheduler.url.clone();
    let _node =
        market.start_node_at(Party::NodeA, Party::ProviderA, &url, &settings).await.unwrap();
    let decimals = u32::from(token.decimals().call().await.unwrap());
    let bounty = Amount(1_000_000).to_decimal(decimals);
    let id = submit(&market, &["--bounty", &bounty, "--token", &address]).await;
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    let balance = async |party: Party| token.balanceOf(party.address()).call().await.unwrap();
    assert_eq!(balance(Party::ProviderA).await, U256::from(job.terms.bounty.0 - job.terms.fee.0));
    assert_eq!(balance(Party::Scheduler).await, U256::from(job.terms.fee.0));
    assert_eq!(balance(Party::Submitter).await, U256::from(5_000_000 - job.terms.bounty.0));
    let left = token.balanceOf(market.chain.deployment.contract).call().await.unwrap();
    assert_eq!(left, U256::ZERO, "the contract kept nothing");
}
