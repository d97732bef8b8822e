//! Every command in the guides is run as it stands there, on a market of its own.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use gristmill_e2e::chain::CHAIN_ID;
use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::{PASSWORD, Party};
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::{Lifetime, binary};
use gristmill_protocol::deployment::Deployment;

/// The blocks of shell of a guide, as one script. (Blocks of text are for the reader only.)
fn script(guide: &str) -> String {
    let path = gristmill_e2e::root().join("docs/guide").join(guide);
    let text = std::fs::read_to_string(path).unwrap();
    let mut script = String::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    assert!(!script.is_empty(), "{guide} has no command");
    script
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_in_the_guides_works() {
    let folder = tempfile::tempdir().unwrap();
    let market =
        Market::start(folder.path(), Settings::default(), false, Lifetime::Attached).await.unwrap();
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let wasm = Guest::digits(None).unwrap().wasm;
    let programs = binary("gristmill").unwrap().parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    // The guides speak of files of the repository; what they write must not land in it.
    std::os::unix::fs::symlink(
        gristmill_e2e::root().join("examples"),
        folder.path().join("examples"),
    )
    .unwrap();
    // What an operator deploys goes to a folder of its own too, and `cargo xtask` is the binary that was built already.
    std::fs::create_dir(folder.path().join("deployments")).unwrap();
    let password = folder.path().join("password");
    write(&password, PASSWORD, 0o600);
    let shims = folder.path().join("shims");
    std::fs::create_dir(&shims).unwrap();
    write(&shims.join("cargo"), "#!/bin/sh\nshift\nexec gristmill-xtask \"$@\"\n", 0o755);
    let path = format!("{}:{path}", shims.display());
    let environment = market.cli(Party::Submitter).unwrap().environment();
    for guide in ["submitter.md", "provider.md", "operator.md"] {
        let script = script(guide);
        let output = Command::new("bash")
            .args(["-euxo", "pipefail", "-c", &script])
            .current_dir(folder.path())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("PATH", &path)
            .env("DIGITS_WASM", &wasm)
            .env("GRISTMILL_SCHEDULER_CONFIG", market.scheduler.config_path())
            .env("GRISTMILL_SCHEDULER_KEYSTORE_PASSWORD", PASSWORD)
            // Somebody who is neither the submitter nor the scheduler.
            .env("ARBITER", Party::Stranger.address().to_string())
            .env("CHAIN", CHAIN_ID.to_string())
            .env("PASSWORD_FILE", &password)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{guide} stopped at its last command:\n{said}");
    }
    assert!(folder.path().join("digits-result/metrics.json").is_file());
    let deployed = folder.path().join(format!("deployments/{CHAIN_ID}.json"));
    let deployed = Deployment::read(&deployed).unwrap();
    assert_ne!(deployed.contract, market.chain.deployment.contract, "a contract of its own");
}
