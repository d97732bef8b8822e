//! Every way out for the money, through the shipped programs, with the scheduler stopped and its database deleted.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::process::Command;
use std::time::Duration;

use alloy::primitives::U256;
use gristmill_e2e::cli::Cli;
use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::{PASSWORD, Party};
use gristmill_e2e::market::{Market, Node, Settings};
use gristmill_e2e::process::{Lifetime, binary};
use gristmill_e2e::wait_for;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);

async fn market() -> (TempDir, Market) {
    let folder = tempfile::tempdir().unwrap();
    let market =
        Market::start(folder.path(), Settings::default(), false, Lifetime::Attached).await.unwrap();
    (folder, market)
}

async fn submit(cli: &Cli, more: &[&str], command: &[&str]) -> JobId {
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let mut arguments = vec!["--wasm", &wasm, "--memory", "64MiB", "--disk", "64MiB"];
    arguments.extend(["--max-run", "1m", "--bounty", "0.05", "--deadline", "12m"]);
    arguments.extend(more);
    arguments.push("--");
    arguments.extend(command);
    cli.submit(&arguments).await.unwrap()
}

/// The scheduler is gone, and so is all that it knew.
fn lose_scheduler(market: &mut Market) {
    market.scheduler.process.kill_hard().unwrap();
    std::fs::remove_dir_all(market.scheduler.data_dir()).unwrap();
}

async fn terms_of(market: &Market, id: JobId) -> Terms {
    market.client().unwrap().job(id).await.unwrap().terms
}

/// Runs `gristmill-node` against a node's folder.
fn node_command(node: &Node, arguments: &[&str]) -> std::process::Output {
    Command::new(binary("gristmill-node").unwrap())
        .arg("--config")
        .arg(node.folder.join("config.toml"))
        .args(arguments)
        .env("GRISTMILL_NODE_KEYSTORE_PASSWORD", PASSWORD)
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitter_takes_every_bounty_back_alone() {
    let (_folder, mut market) = market().await;
    let cli = market.cli(Party::Submitter).unwrap();
    // No node: both jobs stay open.
    let cancelled = submit(&cli, &[], &["touch"]).await;
    let refunded = submit(&cli, &[], &["touch"]).await;
    let terms = terms_of(&market, refunded).await;
    lose_scheduler(&mut market);
    // Not even the records on disk are needed.
    let fresh = tempfile::tempdir().unwrap();
    let alone = Cli::new(
        fresh.path(),
        Party::Submitter,
        &market.chain.rpc_url,
        &market.chain.deployment_path,
        "http://127.0.0.1:9",
    )
    .unwrap();
    let listed = alone.call(&["recover", "--json"]).await.unwrap();
    for id in [cancelled, refunded] {
        assert!(listed.stdout.contains(&id.to_string()), "{}", listed.stdout);
    }

    let early = alone.call(&["refund", &refunded.to_string(), "--json"]).await.unwrap();
    assert_ne!(early.code(), 0, "refunded before the deadline");
    let answer =
        alone.call(&["cancel", &cancelled.to_string(), "--chain-only", "--yes"]).await.unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.stderr);

    let now = market.chain.now().await.unwrap();
    market.chain.advance(terms.deadline + 1 - now).await.unwrap();
    let answer = alone.call(&["recover", "--do"]).await.unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.stderr);
    assert!(market.chain.events_of(cancelled).await.unwrap().contains(&"Cancelled"));
    assert!(market.chain.events_of(refunded).await.unwrap().contains(&"Refunded"));
    assert_eq!(market.chain.balance(market.chain.deployment.contract).await.unwrap(), U256::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assigned_job_is_refunded_by_a_stranger_after_the_deadline() {
    let (_folder, mut market) = market().await;
    let mut node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let cli = market.cli(Party::Submitter).unwrap();
    let id = submit(&cli, &[], &["loop"]).await;
    let job = market.wait_until_running(id).await.unwrap();
    lose_scheduler(&mut market);
    node.process.kill_hard().unwrap();
    let before = market.chain.balance(Party::Submitter.address()).await.unwrap();
    let now = market.chain.now().await.unwrap();
    market.chain.advance(job.terms.deadline + 1 - now).await.unwrap();
    let stranger = market.cli(Party::Stranger).unwrap();
    let answer = stranger.call(&["refund", &id.to_string()]).await.unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.stderr);
    let after = market.chain.balance(Party::Submitter.address()).await.unwrap();
    assert_eq!(after - before, U256::from(job.terms.bounty.0), "to the submitter, and whole");
    let again = stranger.call(&["refund", &id.to_string()]).await.unwrap();
    assert_ne!(again.code(), 0, "refunded twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_publishes_and_claims_by_hand() {
    let (_folder, mut market) = market().await;
    let mut node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let cli = market.cli(Party::Submitter).unwrap();
    let id = submit(&cli, &[], &["sleep", "2"]).await;
    let job = market.wait_until_running(id).await.unwrap();
    lose_scheduler(&mut market);
    let signed = async || node.process.output().contains("the result is signed").then_some(());
    wait_for("the result to be signed", SOON, signed).await.unwrap();
    node.process.kill_hard().unwrap();

    let id_text = id.to_string();
    let early = node_command(&node, &["claim", &id_text]);
    assert!(!early.status.success(), "claimed what was not published");
    let published = node_command(&node, &["publish", &id_text, "--json"]);
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    let early = node_command(&node, &["claim", &id_text]);
    assert!(!early.status.success(), "claimed within the window");
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    market.chain.advance(u64::from(job.terms.challenge_window) + 1).await.unwrap();
    let claimed = node_command(&node, &["claim", &id_text]);
    assert!(claimed.status.success(), "{}", String::from_utf8_lossy(&claimed.stderr));
    let after = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    assert_eq!(after - before, U256::from(job.terms.bounty.0 - job.terms.fee.0));
    assert_eq!(market.chain.balance(market.chain.deployment.contract).await.unwrap(), U256::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_payment_is_claimed_by_anyone_after_the_hold() {
    let (_folder, mut market) = market().await;
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let cli = market.cli(Party::Submitter).unwrap();
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let id = submit(&cli, &["--hold", "10m"], &["touch"]).await;
    let held = async || {
        let job = market.client().unwrap().job(id).await.ok()?;
        (job.escrow == gristmill_protocol::api::EscrowState::Held).then_some(job)
    };
    let job = wait_for("the payment to be held", SOON, held).await.unwrap();
    assert_eq!(market.chain.balance(Party::ProviderA.address()).await.unwrap(), before);
    lose_scheduler(&mut market);
    let stranger = market.cli(Party::Stranger).unwrap();
    let early = stranger.call(&["claim", &id.to_string()]).await.unwrap();
    assert_ne!(early.code(), 0, "claimed during the hold");
    market.chain.advance(u64::from(job.terms.hold_seconds) + 1).await.unwrap();
    // The node may be quicker; either way it is paid once.
    let answer = stranger.call(&["claim", &id.to_string()]).await.unwrap();
    let paid = async || market.chain.events_of(id).await.ok()?.contains(&"Paid").then_some(());
    wait_for("the payment", SOON, paid).await.unwrap_or_else(|_| panic!("{}", answer.stderr));
    let after = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    assert_eq!(after - before, U256::from(job.terms.bounty.0 - job.terms.fee.0));
}
