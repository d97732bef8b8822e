//! From nothing to work in one command, with nothing but clicks of the wallet beside it.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::{Lifetime, Process, binary};
use gristmill_e2e::wait_for;
use gristmill_protocol::Address;
use gristmill_protocol::api::WaitingNode;
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::ids::NodeId;
use serde_json::json;

const SOON: Duration = Duration::from_secs(60);

/// The node's program, as a newcomer starts it: without a password, a key or a configuration.
fn join(market: &Market, dir: &Path, provider: Address, log: &str) -> Process {
    let (url, provider) = (&market.scheduler.url, provider.to_string());
    let arguments = ["join", "--yes", "--scheduler", url, "--provider", &provider, "--dir"];
    let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    arguments.push(dir.as_os_str());
    let program = binary("gristmill-node").unwrap();
    Process::start("join", &program, &arguments, &[], &dir.join(log), Lifetime::Attached).unwrap()
}

async fn until_it_says(process: &mut Process, text: &str) {
    let wanted = format!("it to say `{text}`");
    let said = wait_for(&wanted, SOON, async || {
        if process.output().contains(text) {
            return Some(Ok(()));
        }
        process.check_running().err().map(Err)
    });
    said.await.unwrap().unwrap_or_else(|error| panic!("{error}"));
}

async fn waiting(market: &Market, provider: Party) -> Vec<WaitingNode> {
    market.client().unwrap().waiting_nodes(provider.address()).await.unwrap().items
}

async fn is_registered(market: &Market, node: NodeId) -> bool {
    match market.client().unwrap().node(node).await {
        Ok(_) => true,
        Err(error) if error.code() == Some(ErrorCode::NotFound) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_joins_with_one_command_and_a_wallet() {
    let folder = tempfile::tempdir().unwrap();
    let market =
        Market::start(folder.path(), Settings::default(), false, Lifetime::Attached).await.unwrap();
    let dir = folder.path().join("machine");
    let provider = Party::ProviderA;
    let mut first = join(&market, &dir, provider.address(), "first.log");
    until_it_says(&mut first, "Waiting for the wallet").await;
    let found = waiting(&market, provider).await;
    let [consent] = found.as_slice() else { panic!("one node waits: {found:?}") };
    let node = consent.node;
    let said = first.output();
    assert!(said.contains(&format!("{}/provide/?node={node}", market.scheduler.url)), "{said}");
    assert!(said.contains(&Party::Scheduler.address().to_string()), "whom it trusts: {said}");
    assert!(said.contains("named by the scheduler"), "whose RPC endpoint it is: {said}");
    assert!(!is_registered(&market, node).await, "nobody has enrolled it");

    // Stopped and started again it is the same node, and asks for no password that nobody knows.
    assert!(first.stop().unwrap().success(), "{}", first.output());
    assert!(first.output().contains("Stopped."), "{}", first.output());
    let mode = |name: &str| std::fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("node-key.json"), mode("node-key.password")), (0o600, 0o600));
    let mut second = join(&market, &dir, provider.address(), "second.log");
    until_it_says(&mut second, "Waiting for the wallet").await;
    let found = waiting(&market, provider).await;
    assert_eq!(found.iter().map(|waiting| waiting.node).collect::<Vec<_>>(), [node]);

    // The wallet takes what it found at the scheduler, in two steps.
    let message = json!({
        "node": node, "provider": consent.provider, "expires": consent.expires, "signature": consent.signature,
    });
    let file = folder.path().join("enroll.json");
    std::fs::write(&file, message.to_string()).unwrap();
    let file = file.display().to_string();
    let cli = market.cli(provider).unwrap();
    cli.call(&["node", "enroll", "--message", &file, "--json"]).await.unwrap().json().unwrap();
    until_it_says(&mut second, "must approve the scheduler").await;
    assert!(
        !is_registered(&market, node).await,
        "it does not work for a scheduler that cannot pay"
    );
    let scheduler = Party::Scheduler.address().to_string();
    cli.call(&["provider", "approve", &scheduler, "--json"]).await.unwrap().json().unwrap();
    until_it_says(&mut second, "ready for work").await;
    assert!(is_registered(&market, node).await);
    assert_eq!(waiting(&market, provider).await, [], "it waits no longer");
    assert!(second.stop().unwrap().success(), "{}", second.output());

    // What is done is not done again, and a node has one wallet for good.
    let mut third = join(&market, &dir, provider.address(), "third.log");
    until_it_says(&mut third, "ready for work").await;
    assert!(!third.output().contains("/provide/"), "{}", third.output());
    assert!(third.stop().unwrap().success());
    let mut other = join(&market, &dir, Party::ProviderB.address(), "other.log");
    let refused = wait_for("it to refuse", SOON, async || other.check_running().err()).await;
    assert!(refused.unwrap().to_string().contains("belongs to one wallet for good"));
    assert_eq!(waiting(&market, Party::ProviderB).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_where_it_cannot_begin() {
    let folder = tempfile::tempdir().unwrap();
    let market =
        Market::start(folder.path(), Settings::default(), false, Lifetime::Attached).await.unwrap();
    let dir = folder.path().join("machine");
    let url = market.scheduler.url.clone();
    let provider = Party::ProviderA.address().to_string();
    let dir_text = dir.display().to_string();
    let refused = async |more: &[&str]| {
        let mut command = std::process::Command::new(binary("gristmill-node").unwrap());
        command.args(["join", "--provider", &provider, "--dir", &dir_text]).args(more);
        command.stdin(std::process::Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!dir.join("node.toml").exists(), "{said}");
        said
    };
    let said = refused(&["--scheduler", &url]).await;
    assert!(said.contains("--yes"), "nobody has agreed: {said}");
    let said = refused(&["--scheduler", "http://127.0.0.1:9", "--yes"]).await;
    assert!(said.contains("ask the scheduler who it is"), "{said}");
    // The scheduler is no chain.
    let said = refused(&["--scheduler", &url, "--yes", "--rpc", &url]).await;
    assert!(said.contains("RPC endpoint"), "{said}");
    assert_eq!(waiting(&market, Party::ProviderA).await, []);
}
