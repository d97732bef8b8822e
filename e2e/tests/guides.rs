//! Every command in the guides is run as it stands there, on a market of its own.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::process::Command;

use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::{Lifetime, binary};

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
    let environment = market.cli(Party::Submitter).unwrap().environment();
    for guide in ["submitter.md", "provider.md", "operator.md"] {
        let script = script(guide);
        let output = Command::new("bash")
            .args(["-euxo", "pipefail", "-c", &script])
            .current_dir(folder.path())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("PATH", &path)
            .env("DIGITS_WASM", &wasm)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{guide} stopped at its last command:\n{said}");
    }
    assert!(folder.path().join("digits-result/metrics.json").is_file());
}
