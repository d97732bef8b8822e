//! Crashes: nothing is lost, nothing is paid twice, and a job outlives its node and its scheduler.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use alloy::primitives::U256;
use gristmill_e2e::chain::Chain;
use gristmill_e2e::cli::Cli;
use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::Lifetime;
use gristmill_e2e::{engine_or_skip, wait_for};
use gristmill_protocol::api::{AttemptState, EscrowState, JobState, JobView};
use gristmill_protocol::ids::JobId;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);

async fn market(with_engine: bool) -> (TempDir, Market) {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        scheduler: toml::toml! {
            [market]
            silence_ms = 3000
            [content]
            free_bytes_min = 1000000
        },
        ..Settings::default()
    };
    let market =
        Market::start(folder.path(), settings, with_engine, Lifetime::Attached).await.unwrap();
    (folder, market)
}

async fn submit(cli: &Cli, program: &[&str], command: &[&str]) -> JobId {
    let mut arguments = vec!["submit"];
    arguments.extend(program);
    arguments.extend([
        "--memory",
        "64MiB",
        "--disk",
        "64MiB",
        "--max-run",
        "2m",
        "--bounty",
        "0.05",
    ]);
    arguments.extend(["--deadline", "12m", "--yes", "--detach", "--json", "--"]);
    arguments.extend(command);
    let answer = cli.call(&arguments).await.unwrap().json().unwrap();
    answer["job"].as_str().unwrap().parse().unwrap()
}

/// Waits until the first attempt's program runs.
async fn running(market: &Market, id: JobId) -> JobView {
    let client = market.client().unwrap();
    let probe = async || {
        let job = client.job(id).await.ok()?;
        let is_running = job.attempts.first()?.state == AttemptState::Running;
        is_running.then_some(job)
    };
    wait_for("the program to run", SOON, probe).await.unwrap()
}

/// The job was paid once, to `provider`, and every attempt was assigned once.
async fn paid_once(chain: &Chain, job: &JobView, provider: Party) {
    let events = chain.events_of(job.id).await.unwrap();
    let count = |name: &str| events.iter().filter(|event| **event == name).count();
    assert_eq!(count("Paid"), 1, "{events:?}");
    assert_eq!(count("Refunded") + count("Cancelled"), 0, "{events:?}");
    let assigned = job.attempts.iter().filter(|attempt| attempt.number.0 > 0).count();
    assert!(count("Assigned") <= assigned, "an attempt was assigned twice: {events:?}");
    let gained = chain.balance(provider.address()).await.unwrap();
    assert!(gained > U256::ZERO);
    assert_eq!(
        chain.balance(chain.deployment.contract).await.unwrap(),
        U256::ZERO,
        "money was left behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_is_killed_at_every_phase_loses_nothing() {
    let (_folder, mut market) = market(false).await;
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();
    for phase in [JobState::Queued, JobState::Assigned, JobState::Verifying, JobState::Settling] {
        let id = submit(&cli, &["--wasm", &wasm], &["touch"]).await;
        // The phases are short; a kill at or after the named one covers those that are missed.
        let client = market.client().unwrap();
        let reached = async || {
            let state = client.job(id).await.ok()?.state;
            (state as u8 >= phase as u8).then_some(())
        };
        wait_for("the phase", SOON, reached).await.unwrap();
        market.scheduler.process.kill_hard().unwrap();
        market.scheduler.restart().await.unwrap();
        let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
        assert_eq!(job.attempts.len(), 1, "a crash of the scheduler costs no attempt: {job:?}");
        paid_once(&market.chain, &job, Party::ProviderA).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_is_called_in_and_replaced() {
    let (_folder, market) = market(false).await;
    let mut node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();
    // On a clock that stands still this program runs for ever; it is the other node that ends it at once.
    let id = submit(&cli, &["--wasm", &wasm], &["loop"]).await;
    running(&market, id).await;
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    node.process.kill_hard().unwrap();
    let other = market.start_node(Party::NodeB, Party::ProviderB).await.unwrap();

    // A quarter of the lease must pass before a node may be called in.
    market.wait_for_state(id, &[JobState::CallingIn, JobState::Assigned], SOON).await.unwrap();
    market.chain.advance(61).await.unwrap();
    let called = async || {
        let events = market.chain.events_of(id).await.ok()?;
        events.contains(&"CalledIn").then_some(())
    };
    wait_for("the call-in on chain", SOON, called).await.unwrap();
    market.chain.advance(61).await.unwrap();
    let replaced = async || {
        let job = market.client().unwrap().job(id).await.ok()?;
        let second = job.attempts.get(1)?;
        (second.node == other.id).then_some(job)
    };
    let job = wait_for("another node to take over", SOON, replaced).await.unwrap();
    assert_eq!(job.attempts[0].state, AttemptState::Expired);
    let after = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    assert_eq!(before, after, "the node that vanished is not paid");

    // Its old attempt is over, even when it comes back.
    node.restart().unwrap();
    let log = async || node.process.output().contains("the attempt is over").then_some(());
    wait_for("the first node to understand", SOON, log).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_node_cannot_be_pushed_out() {
    let (_folder, market) = market(false).await;
    let node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();
    let id = submit(&cli, &["--wasm", &wasm], &["loop"]).await;
    let job = running(&market, id).await;
    market.chain.advance(61).await.unwrap();
    // The scheduler's own key, against its own node.
    let contract = market.chain.contract(Party::Scheduler);
    let called = contract.callIn((&job.terms).into()).send().await.unwrap();
    called.get_receipt().await.unwrap();
    let renewed = async || {
        let events = market.chain.events_of(id).await.ok()?;
        events.contains(&"Renewed").then_some(())
    };
    wait_for("the node to answer", SOON, renewed).await.unwrap();
    let refused = contract.lapse((&job.terms).into()).call().await;
    assert!(refused.is_err(), "a node that answered was pushed out");
    let job = market.client().unwrap().job(id).await.unwrap();
    assert_eq!(job.attempts.len(), 1);
    assert_eq!(job.attempts[0].node, node.id);
    assert!(job.attempts[0].state.is_live());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_adopted_by_a_node_that_was_killed() {
    let Some(()) = engine_or_skip("a_container_is_adopted_by_a_node_that_was_killed") else {
        return;
    };
    let (_folder, market) = market(true).await;
    let mut node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let guest = Guest::hostile(market.engine.as_ref()).unwrap();
    let cli = market.cli(Party::Submitter).unwrap();
    let id = submit(&cli, &["--image", &guest.image.unwrap()], &["sleep", "8"]).await;
    running(&market, id).await;
    node.process.kill_hard().unwrap();
    node.restart().unwrap();
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    assert_eq!(job.attempts.len(), 1, "the same attempt went on");
    paid_once(&market.chain, &job, Party::ProviderA).await;
    let log = cli.call(&["logs", &id.to_string()]).await.unwrap().stdout;
    for second in 1..=8 {
        let lines =
            log.lines().filter(|line| line.contains(&format!("slept {second} of 8 s"))).count();
        assert_eq!(lines, 1, "second {second} is missing or there twice:\n{log}");
    }
    let left = market.engine.as_ref().unwrap().docker(&["ps", "-aq"]).unwrap();
    assert_eq!(left, "", "a container was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_died_with_its_node_is_given_back_and_never_run_twice() {
    let (_folder, market) = market(false).await;
    let mut node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();
    let id = submit(&cli, &["--wasm", &wasm], &["loop"]).await;
    running(&market, id).await;
    node.process.kill_hard().unwrap();
    node.restart().unwrap();
    let given_back = async || {
        let job = market.client().unwrap().job(id).await.ok()?;
        (job.attempts[0].state == AttemptState::Released).then_some(job)
    };
    let job = wait_for("the attempt to be given back", SOON, given_back).await.unwrap();
    assert!(job.attempts[0].reason.as_deref().unwrap().contains("restarted"), "{job:?}");
    let open = async || {
        let job = market.client().unwrap().job(id).await.ok()?;
        (job.escrow == EscrowState::Open).then_some(())
    };
    wait_for("the escrow to be free", SOON, open).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_publishes_and_claims_when_its_scheduler_is_gone() {
    let (_folder, mut market) = market(false).await;
    let mut node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let submitter = market.chain.balance(Party::Submitter.address()).await.unwrap();
    let id = submit(&cli, &["--wasm", &wasm], &["sleep", "3"]).await;
    let job = running(&market, id).await;
    market.scheduler.process.kill_hard().unwrap();
    std::fs::remove_dir_all(market.scheduler.data_dir()).unwrap();

    let signed = async || node.process.output().contains("the result is signed").then_some(());
    wait_for("the result to be signed", SOON, signed).await.unwrap();
    // A restart in between changes nothing: what was signed is in the journal.
    node.process.kill_hard().unwrap();
    node.restart().unwrap();
    // The lease is kept alive by the node on the way to the deadline.
    let step = 60;
    let last_call = job.terms.deadline - 119;
    while market.chain.now().await.unwrap() + step < last_call {
        market.chain.advance(step).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    market
        .chain
        .advance(last_call.saturating_sub(market.chain.now().await.unwrap()))
        .await
        .unwrap();
    let published = async || {
        let events = market.chain.events_of(id).await.ok()?;
        events.contains(&"Published").then_some(())
    };
    wait_for("the node to publish", SOON, published).await.unwrap();
    market.chain.advance(u64::from(job.terms.challenge_window) + 40).await.unwrap();
    let paid = async || {
        let events = market.chain.events_of(id).await.ok()?;
        events.contains(&"Paid").then_some(())
    };
    wait_for("the node to claim", SOON, paid).await.unwrap();
    let after = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    assert_eq!(after - before, U256::from(job.terms.bounty.0 - job.terms.fee.0));
    let submitter_after = market.chain.balance(Party::Submitter.address()).await.unwrap();
    let spent = submitter - submitter_after;
    let bounty = U256::from(job.terms.bounty.0);
    assert!(spent < bounty, "the fee of a scheduler that did nothing came back");
    // It is told to stop while the scheduler is still gone, and does.
    assert!(node.process.stop().unwrap().success());
}
