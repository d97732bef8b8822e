//! The node as a service: one command installs it, and what the unit says brings it to work.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::{Lifetime, Process, binary};
use gristmill_e2e::systemd::{Systemd, systemd_or_skip};
use gristmill_e2e::wait_for;
use gristmill_protocol::api::{AttemptState, JobState};
use serde_json::json;
use sha2::{Digest, Sha256};

const SOON: Duration = Duration::from_secs(60);

/// The one command of the guide, below a folder of the test instead of `/`.
async fn install(market: &Market, root: &Path, more: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/install-node.sh");
    let mut command = Command::new(script);
    command.arg("--from").arg(binary("gristmill-node").unwrap());
    command.arg("--to").arg(root.join("usr/local/bin"));
    command.args(["--scheduler", &market.scheduler.url]);
    command.args(["--provider", &Party::ProviderA.address().to_string()]);
    // The folder of the service is where it really is, so that what the unit starts can run here.
    command.arg("--dir").arg(root.join("node")).arg("--root").arg(root.join("staged"));
    command.args(more).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn unit(root: &Path) -> PathBuf {
    root.join("staged/etc/systemd/system/gristmill-node.service")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_installs_a_service_that_waits_for_the_wallet() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let market =
        Market::start(&root.join("market"), Settings::default(), false, Lifetime::Attached)
            .await
            .unwrap();
    let bytes = std::fs::read(binary("gristmill-node").unwrap()).unwrap();
    let sum = hex::encode(Sha256::digest(&bytes));

    // A program that is not what was promised is not installed.
    let refused = install(&market, root, &["--yes", "--sha256", &"0".repeat(64)]).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nothing was installed"));
    assert!(!root.join("usr").exists() && !root.join("staged").exists());

    // Nobody is taken to trust a scheduler.
    let refused = install(&market, root, &["--sha256", &sum]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--yes"), "{refused:?}");
    assert!(!unit(root).exists());

    let installed = install(&market, root, &["--yes", "--sha256", &sum]).await;
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let text = std::fs::read_to_string(unit(root)).unwrap();
    let dir = root.join("staged").join(root.join("node").strip_prefix("/").unwrap());
    let key = std::fs::read(dir.join("node-key.json")).unwrap();
    for private in ["node-key.json", "node-key.password"] {
        let mode = std::fs::metadata(dir.join(private)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
    let password = std::fs::read_to_string(dir.join("node-key.password")).unwrap();
    assert!(!text.contains(password.trim()), "the unit can be read by everybody");

    // What systemd would start, with a socket to tell it how it is.
    std::fs::rename(&dir, root.join("node")).unwrap();
    let socket = root.join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let mut words = line.split(' ');
    let program = PathBuf::from(words.next().unwrap());
    assert_eq!(program, root.join("usr/local/bin/gristmill-node"));
    let arguments: Vec<&std::ffi::OsStr> = words.map(AsRef::as_ref).collect();
    let environment = [("NOTIFY_SOCKET", socket.as_os_str())];
    let log = root.join("service.log");
    let mut service =
        Process::start("service", &program, &arguments, &environment, &log, Lifetime::Attached)
            .unwrap();
    let told = tokio::task::spawn_blocking(move || {
        let mut message = [0; 4096];
        let length = manager.recv(&mut message).unwrap();
        (String::from_utf8_lossy(&message[..length]).into_owned(), manager)
    });
    let (told, manager) = told.await.unwrap();
    assert!(told.contains("READY=1") && told.contains("waiting for the wallet"), "{told}");
    let waits = async || service.output().contains("Waiting for the wallet").then_some(());
    wait_for("it to wait for the wallet", SOON, waits).await.unwrap();
    let waiting = market.client().unwrap().waiting_nodes(Party::ProviderA.address()).await.unwrap();
    assert_eq!(waiting.items.len(), 1);
    // systemd takes it for stuck unless it hears from it.
    let alive = tokio::task::spawn_blocking(move || {
        let mut message = [0; 4096];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    });
    assert!(alive.await.unwrap().contains("WATCHDOG=1"));
    assert!(service.stop().unwrap().success(), "{}", service.output());

    // The same command again brings it up to date, and keeps the key.
    std::fs::rename(root.join("node"), &dir).unwrap();
    let again = install(&market, root, &["--yes"]).await;
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(std::fs::read(dir.join("node-key.json")).unwrap(), key);
    assert_eq!(std::fs::read_to_string(unit(root)).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_takes_too_long_gives_the_job_back_at_no_loss() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        node: toml::toml! {
            [service]
            drain_seconds = 2
        },
        ..Settings::default()
    };
    let market = Market::start(folder.path(), settings, false, Lifetime::Attached).await.unwrap();
    let mut node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let arguments = ["--wasm", &wasm, "--memory", "64MiB", "--disk", "64MiB", "--max-run", "5m"];
    let arguments =
        [&arguments[..], &["--bounty", "0.01", "--deadline", "12m", "--", "loop"]].concat();
    let id = market.cli(Party::Submitter).unwrap().submit(&arguments).await.unwrap();
    market.wait_until_running(id).await.unwrap();
    let stopped = tokio::task::spawn_blocking(move || (node.process.stop(), node)).await.unwrap();
    assert!(stopped.0.unwrap().success(), "{}", stopped.1.process.output());
    assert!(stopped.1.process.output().contains("it took too long"));
    let job = market.client().unwrap().job(id).await.unwrap();
    assert_eq!(job.attempts.len(), 1);
    assert_eq!(job.attempts[0].state, AttemptState::Released, "{:?}", job.attempts[0].reason);
    assert!(!job.state.is_end(), "another node may have it: {:?}", job.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_systemd_starts_stops_and_confines_the_service() {
    let Some(()) = systemd_or_skip("a_real_systemd_starts_stops_and_confines_the_service") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let market = Market::start(
        &folder.path().join("market"),
        Settings::default(),
        false,
        Lifetime::Attached,
    )
    .await
    .unwrap();
    let systemd = Systemd::boot(folder.path()).await.unwrap();
    let program = systemd.path("/opt/gristmill-node");
    std::fs::copy(binary("gristmill-node").unwrap(), program).unwrap();
    let script = gristmill_e2e::root().join("scripts/install-node.sh");
    std::fs::copy(script, systemd.path("/opt/install-node.sh")).unwrap();
    let provider = Party::ProviderA;
    let wallet = provider.address().to_string();
    let install = ["/opt/install-node.sh", "--from", "/opt/gristmill-node", "--yes", "--scheduler"];
    systemd
        .call(&[&install[..], &[&market.scheduler.url, "--provider", &wallet]].concat())
        .unwrap();
    let service = "gristmill-node.service";
    let property = |name: &str| systemd.property(service, name).unwrap();
    let until = async |status: &str| {
        let wanted = format!("the service to be at `{status}`");
        let reached = async || (property("StatusText") == status).then_some(());
        wait_for(&wanted, SOON, reached).await.unwrap();
    };
    until("waiting for the wallet").await;
    assert_eq!(property("ActiveState"), "active");
    assert_eq!(property("UnitFileState"), "enabled", "it comes back after a start of the machine");

    // It runs as a user of its own without a single capability, and cannot gain any.
    let status = systemd.call(&["cat", &format!("/proc/{}/status", property("MainPID"))]).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    let user = systemd.call(&["id", "--user", "gristmill"]).unwrap();
    assert_eq!(field("Uid:"), user.trim());
    for capabilities in ["CapEff:", "CapPrm:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(capabilities), "0000000000000000", "{capabilities}");
    }
    assert_eq!((field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()), ("1", "2"));
    let mode = systemd.call(&["stat", "--format=%a %U", "/var/lib/gristmill"]).unwrap();
    assert_eq!(mode.trim(), "700 gristmill");

    // A wallet comes, and it works: a real job is run by the service, and paid.
    let waiting = market.client().unwrap().waiting_nodes(provider.address()).await.unwrap();
    let [consent] = waiting.items.as_slice() else { panic!("one node waits: {waiting:?}") };
    let message = json!({
        "node": consent.node, "provider": consent.provider, "expires": consent.expires,
        "signature": consent.signature,
    });
    let file = folder.path().join("enroll.json");
    std::fs::write(&file, message.to_string()).unwrap();
    let (file, scheduler) = (file.display().to_string(), Party::Scheduler.address().to_string());
    let enroll =
        ["node", "enroll", "--message", &file, "--approve-scheduler", &scheduler, "--json"];
    market.cli(provider).unwrap().call(&enroll).await.unwrap().json().unwrap();
    until("ready for work").await;
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let arguments = ["--wasm", &wasm, "--memory", "64MiB", "--disk", "64MiB", "--max-run", "1m"];
    let arguments =
        [&arguments[..], &["--bounty", "0.01", "--deadline", "12m", "--", "touch"]].concat();
    let id = market.cli(Party::Submitter).unwrap().submit(&arguments).await.unwrap();
    market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();

    systemd.call(&["systemctl", "stop", service]).unwrap();
    assert_eq!(
        (property("ActiveState").as_str(), property("Result").as_str()),
        ("inactive", "success")
    );
    systemd.call(&["gristmill-node", "service", "uninstall"]).unwrap();
    assert!(!systemd.path("/etc/systemd/system/gristmill-node.service").exists());
    assert!(systemd.path("/var/lib/gristmill/node-key.json").exists(), "the key stays");
}
