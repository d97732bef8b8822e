//! Data that is not what a job says, or comes from where no job may reach: a clear reason, and nothing is written
//! outside the job's own folder.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::Lifetime;
use gristmill_e2e::wait_for;
use gristmill_protocol::api::JobState;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::receipt::Outcome;

const SOON: Duration = Duration::from_secs(90);
const MISSING: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

/// A web server on this machine; returns `host:port`.
async fn serve() -> String {
    let endless = async || {
        let bytes = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[7; 65536])));
        Body::from_stream(bytes)
    };
    let router = Router::new().route("/a", get(async || "grist")).route("/endless", get(endless));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    host
}

async fn submit(market: &Market, input: &str) -> JobId {
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let input = format!("data={input}");
    let mut arguments = vec!["--wasm", &wasm, "--input", &input, "--memory", "64MiB"];
    arguments.extend(["--disk", "1MiB", "--max-run", "1m", "--retries", "0"]);
    arguments.extend(["--bounty", "0.01", "--deadline", "1h", "--", "touch"]);
    market.cli(Party::Submitter).unwrap().submit(&arguments).await.unwrap()
}

/// Why the job's only attempt never started.
async fn reason(market: &Market, input: &str) -> String {
    let id = submit(market, input).await;
    let client = market.client().unwrap();
    let probe = async || client.job(id).await.ok()?.attempts.pop()?.receipt;
    let receipt = wait_for(&format!("{input} to be refused"), SOON, probe).await.unwrap();
    let Outcome::NotStarted { reason } = receipt.outcome else {
        panic!("{input}: {}", receipt.outcome)
    };
    reason
}

/// Every path below a folder, without the databases' own files, which come and go.
fn listing(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name().into_string().unwrap();
            if path.is_dir() && name != "cache" && name != "work" {
                folders.push(path.clone());
            }
            if !name.contains(".sqlite") && !name.ends_with(".log") {
                found.insert(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_inputs_end_the_job_with_the_reason_and_leave_nothing() {
    let host = serve().await;
    let allowed = toml::Value::from(vec![host.clone()]);
    let mut content = toml::Table::new();
    content.insert("allow_hosts".into(), allowed);
    let mut node = toml::Table::new();
    node.insert("content".into(), toml::Value::Table(content));
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { node, ..Settings::default() };
    let market = Market::start(folder.path(), settings, false, Lifetime::Attached).await.unwrap();
    let node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    // One good job first, so that every file that belongs there is there.
    let sha256 = "0".repeat(64);
    let right = {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(b"grist"))
    };
    let id = submit(&market, &format!("http://{host}/a#sha256={right}")).await;
    market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    let before = listing(&node.folder);

    for (input, word) in [
        (format!("http://{host}/a#sha256={sha256}"), "sha-256"),
        (format!("http://{host}/endless#sha256={sha256}"), "larger"),
        (format!("http://{host}/nothing#sha256={sha256}"), "404"),
        (format!("https://169.254.169.254/latest#sha256={sha256}"), "not a public address"),
        (format!("https://localhost/a#sha256={sha256}"), "not a public address"),
        (format!("ipfs://{MISSING}"), "gateways"),
    ] {
        let reason = reason(&market, &input).await;
        assert!(reason.contains(word), "{input}: {reason}");
    }
    let work = node.folder.join("state/work");
    let clean = async || (std::fs::read_dir(&work).ok()?.count() == 0).then_some(());
    wait_for("the folders of jobs to be removed", SOON, clean).await.unwrap();
    assert_eq!(listing(&node.folder), before, "something was written outside the jobs' folders");

    // A path that climbs out is refused before anything is paid.
    let cli = market.cli(Party::Submitter).unwrap();
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let climbing = format!("../../escape=ipfs://{MISSING}");
    let answer = cli
        .call(&[
            "submit", "--wasm", &wasm, "--input", &climbing, "--bounty", "0.01", "--yes", "--",
            "touch",
        ])
        .await
        .unwrap();
    assert_eq!(answer.code(), 2, "{}", answer.stderr);
}
