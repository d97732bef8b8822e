//! Crashes: nothing is lost, nothing is paid twice, and a job outlives its node and its scheduler.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use alloy::primitives::U256;
use alloy::signers::SignerSync;
use gristmill_e2e::chain::{Chain, refusal};
use gristmill_e2e::cli::Cli;
use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::Lifetime;
use gristmill_e2e::{engine_or_skip, wait_for};
use gristmill_protocol::api::{AttemptState, EscrowState, JobState, JobView};
use gristmill_protocol::contracts::JobMarket;
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
    let mut arguments = program.to_vec();
    arguments.extend(["--memory", "64MiB", "--disk", "64MiB", "--max-run", "1m"]);
    arguments.extend(["--bounty", "0.05", "--deadline", "12m", "--"]);
    arguments.extend(command);
    cli.submit(&arguments).await.unwrap()
}

/// The job was paid once, to `provider`, whose wallet had `before`; every attempt was assigned once.
async fn paid_once(chain: &Chain, job: &JobView, provider: Party, before: U256) {
    let events = chain.events_of(job.id).await.unwrap();
    let count = |name: &str| events.iter().filter(|event| **event == name).count();
    assert_eq!(count("Paid"), 1, "{events:?}");
    assert_eq!(count("Refunded") + count("Cancelled"), 0, "{events:?}");
    assert_eq!(count("Assigned"), job.attempts.len(), "{events:?}");
    let gained = chain.balance(provider.address()).await.unwrap() - before;
    assert_eq!(gained, U256::from(job.terms.bounty.0 - job.terms.fee.0));
    let left = chain.balance(chain.deployment.contract).await.unwrap();
    assert_eq!(left, U256::ZERO, "money was left behind");
}

/// Kills the scheduler, which must stand at `state` then, and starts it again.
async fn crash_at(market: &mut Market, id: JobId, states: &[JobState]) {
    let job = market.wait_for_state(id, states, SOON).await.unwrap();
    market.scheduler.process.kill_hard().unwrap();
    assert!(states.contains(&job.state));
    market.scheduler.restart().await.unwrap();
}

async fn newest_job(market: &Market) -> JobId {
    let client = market.client().unwrap();
    let filter = gristmill_protocol::client::JobFilter::default();
    let probe = async || client.jobs(&filter).await.ok()?.items.first().map(|job| job.id);
    wait_for("the job to be announced", SOON, probe).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_is_killed_at_each_phase_loses_nothing() {
    let (_folder, mut market) = market(false).await;
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();

    // Without blocks a deposit stays on its way, and without nodes a job stays in the queue.
    market.chain.mine_every(0).await.unwrap();
    let (paying, program) = (cli.clone(), wasm.clone());
    let submitted =
        tokio::spawn(async move { submit(&paying, &["--wasm", &program], &["sleep", "3"]).await });
    let id = newest_job(&market).await;
    crash_at(&mut market, id, &[JobState::Funding]).await;
    market.chain.mine_every(1).await.unwrap();
    assert_eq!(submitted.await.unwrap(), id);
    crash_at(&mut market, id, &[JobState::Queued]).await;

    // The wallet has paid for the enrolment by now; the job itself takes three seconds more.
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    market.wait_until_running(id).await.unwrap();
    crash_at(&mut market, id, &[JobState::Assigned]).await;
    // The payment stays on its way too.
    market.chain.mine_every(0).await.unwrap();
    crash_at(&mut market, id, &[JobState::Settling]).await;
    market.chain.mine_every(1).await.unwrap();
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    assert_eq!(job.attempts.len(), 1, "a crash of the scheduler costs no attempt: {job:?}");
    paid_once(&market.chain, &job, Party::ProviderA, before).await;

    // Verification is over in a moment, so this crash falls into it or right behind it.
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let id = submit(&cli, &["--wasm", &wasm], &["sleep", "2"]).await;
    market.wait_until_running(id).await.unwrap();
    market.chain.mine_every(0).await.unwrap();
    let states = [JobState::Verifying, JobState::Settling];
    crash_at(&mut market, id, &states).await;
    market.chain.mine_every(1).await.unwrap();
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    assert_eq!(job.attempts.len(), 1);
    paid_once(&market.chain, &job, Party::ProviderA, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_is_called_in_and_replaced_and_the_other_is_paid() {
    let (_folder, market) = market(false).await;
    let mut node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();
    let id = submit(&cli, &["--wasm", &wasm], &["sleep", "5"]).await;
    market.wait_until_running(id).await.unwrap();
    node.process.kill_hard().unwrap();
    let unpaid = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let other = market.start_node(Party::NodeB, Party::ProviderB).await.unwrap();
    let before = market.chain.balance(Party::ProviderB.address()).await.unwrap();

    // A quarter of the lease must pass before a node may be called in.
    market.chain.advance(61).await.unwrap();
    let called = async || {
        let events = market.chain.events_of(id).await.ok()?;
        events.contains(&"CalledIn").then_some(())
    };
    wait_for("the call-in on chain", SOON, called).await.unwrap();
    market.chain.advance(61).await.unwrap();
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    assert_eq!(job.attempts.len(), 2);
    assert_eq!(job.attempts[0].state, AttemptState::Expired);
    assert_eq!(job.attempts[1].node, other.id);
    paid_once(&market.chain, &job, Party::ProviderB, before).await;

    // Its old attempt is over, even when it comes back.
    node.restart().unwrap();
    let log = async || node.process.output().contains("the attempt is over").then_some(());
    wait_for("the first node to understand", SOON, log).await.unwrap();
    let after = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    assert_eq!(unpaid, after, "the node that vanished is not paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_node_cannot_be_pushed_out_and_is_paid() {
    let (_folder, market) = market(false).await;
    let node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let id = submit(&cli, &["--wasm", &wasm], &["sleep", "15"]).await;
    let job = market.wait_until_running(id).await.unwrap();
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
    // Past the grace: without its answer the node would have lost the job now.
    market.chain.advance(u64::from(job.terms.grace_seconds) + 1).await.unwrap();
    let reason = refusal("lapse", contract.lapse((&job.terms).into()).call().await);
    assert!(matches!(reason, JobMarket::JobMarketErrors::LeaseRunning(_)), "{reason:?}");
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    assert_eq!(job.attempts.len(), 1);
    assert_eq!(job.attempts[0].node, node.id);
    paid_once(&market.chain, &job, Party::ProviderA, before).await;
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
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let id = submit(&cli, &["--image", &guest.image.unwrap()], &["sleep", "8"]).await;
    market.wait_until_running(id).await.unwrap();
    node.process.kill_hard().unwrap();
    node.restart().unwrap();
    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    assert_eq!(job.attempts.len(), 1, "the same attempt went on");
    paid_once(&market.chain, &job, Party::ProviderA, before).await;
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
    market.wait_until_running(id).await.unwrap();
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
    let begun = node.process.output().matches("took a job").count();
    assert_eq!(begun, 1, "the attempt was begun again");
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
    let job = market.wait_until_running(id).await.unwrap();
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
        // Two blocks: time for the node to look, and to renew.
        let then = market.chain.now().await.unwrap();
        let later = async || (market.chain.now().await.ok()? > then + 1).then_some(());
        wait_for("two more blocks", SOON, later).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_lost_its_database_finds_every_open_job_again() {
    let (_folder, mut market) = market(false).await;
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let cli = market.cli(Party::Submitter).unwrap();
    // One has ended before the loss; the others wait for a node, and one of them for its spec as well.
    let ended = submit(&cli, &["--wasm", &wasm], &["touch"]).await;
    let answer = cli.call(&["cancel", &ended.to_string(), "--yes"]).await.unwrap();
    assert_eq!(answer.code(), 0, "{}", answer.stderr);
    market.wait_for_state(ended, &[JobState::Refunded], SOON).await.unwrap();
    let waiting = [
        submit(&cli, &["--wasm", &wasm], &["sleep", "1"]).await,
        submit(&cli, &["--wasm", &wasm], &["sleep", "2"]).await,
    ];
    let unknown = submit(&cli, &["--wasm", &wasm], &["sleep", "3"]).await;
    let client = market.client().unwrap();
    let spec_hash = client.job(unknown).await.unwrap().terms.spec_hash;
    let spec = client.spec(spec_hash).await.unwrap();
    market.wait_for_state(unknown, &[JobState::Queued], SOON).await.unwrap();

    market.scheduler.process.kill_hard().unwrap();
    let data = market.scheduler.data_dir();
    for name in ["scheduler.sqlite3", "scheduler.sqlite3-wal", "scheduler.sqlite3-shm"] {
        std::fs::remove_file(data.join(name)).ok();
    }
    assert!(!data.join("scheduler.sqlite3").exists());
    let hash = spec_hash.0.to_string();
    let digest = hash.trim_start_matches("0x");
    std::fs::remove_file(data.join("content").join(&digest[..2]).join(digest)).unwrap();
    market.scheduler.restart().await.unwrap();

    for id in waiting {
        let job = market.wait_for_state(id, &[JobState::Queued], SOON).await.unwrap();
        assert_eq!(job.escrow, EscrowState::Open);
        assert!(job.summary.contains("waits for a node"), "{}", job.summary);
    }
    market.wait_for_state(ended, &[JobState::Refunded], SOON).await.unwrap();
    let job = market.wait_for_state(unknown, &[JobState::Queued], SOON).await.unwrap();
    assert!(job.summary.contains("the spec is not known here"), "{}", job.summary);
    let output = market.scheduler.reconcile(&[]).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");

    let _other = market.start_node(Party::NodeB, Party::ProviderB).await.unwrap();
    for id in waiting {
        market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    }
    // Whoever uploads the spec sets its job going.
    let stranger = Party::Stranger.key();
    let issued_at = jiff::Timestamp::now().to_string();
    let sign = |text: &str| {
        stranger.sign_message_sync(text.as_bytes()).map(|signature| signature.as_bytes())
    };
    client.sign_in(stranger.address(), &issued_at, sign).await.unwrap();
    client.put_spec(&spec).await.unwrap();
    market.wait_for_state(unknown, &[JobState::Settled], SOON).await.unwrap();
    for id in waiting.into_iter().chain([unknown]) {
        let job = client.job(id).await.unwrap();
        assert_eq!(job.attempts.len(), 1);
        let (bounty, fee) = (U256::from(job.terms.bounty.0), U256::from(job.terms.fee.0));
        let paid = (Party::ProviderB.address(), bounty - fee, fee);
        assert_eq!(
            market.chain.payments_of(id).await.unwrap(),
            [paid],
            "once, and to whom it is due"
        );
    }
    let output = market.scheduler.reconcile(&["--json"]).await.unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["ended"], 4);
}
