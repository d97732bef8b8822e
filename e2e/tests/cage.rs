//! Hostile programs, through the whole market: each is stopped by its limit, reported as such, and the node is well
//! after it.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Node, Settings};
use gristmill_e2e::process::Lifetime;
use gristmill_e2e::{engine_or_skip, wait_for};
use gristmill_protocol::api::{AttemptState, AttemptView, JobState};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::receipt::{Limit, Outcome};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(90);

async fn market(with_engine: bool) -> (TempDir, Market, Node) {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        node: toml::toml! {
            [offer]
            log_bytes_max = 1000000
            [docker]
            pids_max = 64
        },
        ..Settings::default()
    };
    let market =
        Market::start(folder.path(), settings, with_engine, Lifetime::Attached).await.unwrap();
    let node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    (folder, market, node)
}

/// Runs the hostile program once, and returns how its attempt ended.
async fn run(market: &Market, program: &[&str], command: &[&str]) -> (JobId, AttemptView) {
    let mut arguments = program.to_vec();
    arguments.extend(["--memory", "64MiB", "--disk", "32MiB", "--max-run", "6s", "--retries", "0"]);
    arguments.extend(["--bounty", "0.01", "--deadline", "10m", "--"]);
    arguments.extend(command);
    let id = market.cli(Party::Submitter).unwrap().submit(&arguments).await.unwrap();
    let client = market.client().unwrap();
    let ended = async || {
        let attempt = client.job(id).await.ok()?.attempts.pop()?;
        let is_over = !attempt.state.is_live() || attempt.state == AttemptState::Accepted;
        is_over.then_some(attempt)
    };
    let attempt = wait_for(&format!("{command:?} to end"), SOON, ended).await.unwrap();
    (id, attempt)
}

fn outcome(attempt: &AttemptView) -> &Outcome {
    let receipt = attempt.receipt.as_ref();
    &receipt
        .unwrap_or_else(|| panic!("no receipt: {:?} {:?}", attempt.state, attempt.reason))
        .outcome
}

async fn expect_limit(market: &Market, program: &[&str], mode: &str, limit: Limit) -> JobId {
    let (id, attempt) = run(market, program, &[mode]).await;
    assert_eq!(outcome(&attempt), &Outcome::Limited { limit }, "{mode}");
    assert_eq!(attempt.state, AttemptState::Failed, "{mode} is not paid");
    id
}

/// An honest job still runs, and is paid.
async fn expect_health(market: &Market, program: &[&str]) {
    let (id, _) = run(market, program, &["touch"]).await;
    market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_containers_are_stopped_by_their_limits() {
    let Some(()) = engine_or_skip("hostile_containers_are_stopped_by_their_limits") else { return };
    let (_folder, market, _node) = market(true).await;
    let image = Guest::hostile(market.engine.as_ref()).unwrap().image.unwrap();
    let program = ["--image", &image];
    expect_limit(&market, &program, "memory", Limit::Memory).await;
    expect_limit(&market, &program, "fork", Limit::Processes).await;
    expect_limit(&market, &program, "disk", Limit::Disk).await;
    expect_limit(&market, &program, "loop", Limit::RunTime).await;
    let flooded = expect_limit(&market, &program, "flood", Limit::Log).await;
    let log = market.cli(Party::Submitter).unwrap().call(&["logs", &flooded.to_string()]).await;
    let kept = log.unwrap().stdout.len();
    assert!((900_000..=1_000_000).contains(&kept), "{kept} bytes of log were kept");

    // Too much, however quickly it ends.
    let (_, attempt) = run(&market, &program, &["lines", "200000"]).await;
    assert_eq!(outcome(&attempt), &Outcome::Limited { limit: Limit::Log });
    let (id, attempt) = run(&market, &program, &["socket"]).await;
    assert_eq!(outcome(&attempt), &Outcome::Exited { exit_code: 0 }, "a socket was opened");
    market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    let (_, attempt) = run(&market, &program, &["exit", "3"]).await;
    assert_eq!(outcome(&attempt), &Outcome::Exited { exit_code: 3 });
    assert_eq!(attempt.state, AttemptState::Failed);
    expect_health(&market, &program).await;
    let left = market.engine.as_ref().unwrap().docker(&["ps", "-aq"]).unwrap();
    assert_eq!(left, "", "a container was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_modules_are_stopped_by_their_limits() {
    let (_folder, market, node) = market(false).await;
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let program = ["--wasm", &wasm];
    expect_limit(&market, &program, "memory", Limit::Memory).await;
    expect_limit(&market, &program, "disk", Limit::Disk).await;
    expect_limit(&market, &program, "loop", Limit::RunTime).await;
    expect_limit(&market, &program, "flood", Limit::Log).await;
    let (_, attempt) = run(&market, &program, &["lines", "200000"]).await;
    assert_eq!(outcome(&attempt), &Outcome::Limited { limit: Limit::Log });
    expect_limit(&market, &["--wasm", &wasm, "--fuel", "100000"], "loop", Limit::Fuel).await;
    for mode in ["fork", "socket"] {
        let (_, attempt) = run(&market, &program, &[mode]).await;
        assert_eq!(
            outcome(&attempt),
            &Outcome::Exited { exit_code: 3 },
            "{mode} does not exist here"
        );
    }
    expect_health(&market, &program).await;
    let work = node.folder.join("state/work");
    let clean = async || (std::fs::read_dir(&work).ok()?.count() == 0).then_some(());
    wait_for("the folders of jobs to be removed", SOON, clean).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_says_why() {
    let Some(()) = engine_or_skip("what_cannot_be_started_says_why") else { return };
    let (_folder, market, _node) = market(true).await;
    let engine = market.engine.as_ref().unwrap();
    let missing = format!("{}/nothing/here@sha256:{}", engine.registry_address, "0".repeat(64));
    let (_, attempt) = run(&market, &["--image", &missing], &["touch"]).await;
    assert!(matches!(outcome(&attempt), Outcome::NotStarted { .. }), "{attempt:?}");
    // Text is no module.
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("module.wasm");
    std::fs::write(&text, "(module)").unwrap();
    let (_, attempt) = run(&market, &["--wasm", &text.display().to_string()], &["touch"]).await;
    let Outcome::NotStarted { reason } = outcome(&attempt) else { panic!("{attempt:?}") };
    assert!(reason.contains("module"), "{reason}");
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    expect_health(&market, &["--wasm", &wasm]).await;
}
