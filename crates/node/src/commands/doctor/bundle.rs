//! What a helper needs to know of a node, in one JSON file that its owner can read before passing it on.
//!
//! What is not in it by construction: the key, its password, the environment, and of a submitter's job anything but its id
//! and how it ended. Addresses on the web lose all that could be a credential.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Finding;
use crate::config::Config;
use crate::journal::Journal;
use crate::state_dir::StateDir;

/// The newest attempts and the newest lines of the service's log.
const ATTEMPTS_MAX: usize = 50;
const LOG_LINES_MAX: usize = 2000;
const LINE_CHARS_MAX: usize = 2000;

pub(super) async fn write(file: &Path, config_path: &Path, findings: &[Finding]) -> Result<()> {
    let bundle = json!({
        "program": concat!("gristmill-node ", env!("CARGO_PKG_VERSION")),
        "written_at": jiff::Timestamp::now().to_string(),
        "findings": findings,
        "machine": machine(),
        "config": config(config_path),
        "attempts": attempts(config_path),
        "gpus": said("nvidia-smi", &["-L"]).await,
        "service": said("systemctl", &["status", "--no-pager", "--lines=0", "gristmill-node"]).await,
        "log": said(
            "journalctl",
            &["--no-pager", "--quiet", "--unit=gristmill-node", "--lines", &LOG_LINES_MAX.to_string()],
        )
        .await,
    });
    let text = serde_json::to_string_pretty(&bundle)?;
    let mut out = private(file)
        .with_context(|| format!("make {}; an older file is never overwritten", file.display()))?;
    out.write_all(text.as_bytes())?;
    Ok(out.sync_all()?)
}

fn private(file: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::File::options().write(true).create_new(true).mode(0o600).open(file)
}

fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let os = read("/etc/os-release");
    let name = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({
        "system": name.unwrap_or("unknown").trim_matches('"'),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "architecture": std::env::consts::ARCH,
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "memory": read("/proc/meminfo").lines().take(3).collect::<Vec<_>>(),
        "cgroups": if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "v2" } else { "v1" },
        "uptime_s": read("/proc/uptime").split('.').next().unwrap_or_default(),
    })
}

/// The configuration as it was written, each address on the web cut down to its host: paths and queries of RPC endpoints
/// often are somebody's key to them.
fn config(path: &Path) -> Value {
    let table =
        std::fs::read_to_string(path).ok().and_then(|text| text.parse::<toml::Table>().ok());
    let Some(table) = table else { return json!("it cannot be read") };
    let mut value = serde_json::to_value(table).unwrap_or_default();
    redact(&mut value);
    value
}

fn redact(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_credentials(text),
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(fields) => fields.values_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with each web address in it cut down to scheme, host and port.
fn without_credentials(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let start = rest[..at].rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |i| i + 1);
        let end = rest[at + 3..]
            .find(|c: char| {
                c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`' | ')' | ',')
            })
            .map_or(rest.len(), |i| at + 3 + i);
        out.push_str(&rest[..start]);
        match url::Url::parse(&rest[start..end]) {
            Ok(url) if url.has_host() => {
                let host = url.host_str().unwrap_or_default();
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                out.push_str(&format!("{}://{host}{port}", url.scheme()));
                let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
                if !is_bare || !url.username().is_empty() {
                    out.push_str("/…");
                }
            }
            _ => out.push('…'),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn attempts(config_path: &Path) -> Value {
    let records = || -> Result<Vec<Value>> {
        let config = Config::read(config_path)?;
        let state = StateDir::open(&config.state_dir)?;
        let records = Journal::open(&state.journal())?.records()?;
        let newest = records.into_iter().rev().take(ATTEMPTS_MAX);
        Ok(newest
            .map(|record| {
                let held = record.held();
                json!({"job": held.job_id, "attempt": held.attempt, "phase": record.phase.as_str()})
            })
            .collect())
    };
    records().map_or_else(|error| json!(format!("{error:#}")), Value::from)
}

/// What a program of the system says, line by line; `null` where there is no such program.
async fn said(program: &str, arguments: &[&str]) -> Value {
    let mut command = tokio::process::Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(20), output).await;
    let Ok(Ok(output)) = output else { return Value::Null };
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().take(LOG_LINES_MAX).map(|line| {
        let line: String = line.chars().take(LINE_CHARS_MAX).collect();
        without_credentials(&line)
    });
    lines.collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_could_be_a_credential() {
        for (text, expected) in [
            ("https://rpc.example.org", "https://rpc.example.org"),
            ("https://rpc.example.org/v2/K3Y", "https://rpc.example.org/…"),
            ("https://user:K3Y@rpc.example.org:8545/", "https://rpc.example.org:8545/…"),
            ("http://127.0.0.1:8545/?key=K3Y", "http://127.0.0.1:8545/…"),
            (
                "cannot reach `https://a.example/K3Y`, nor wss://b.example/K3Y.",
                "cannot reach `https://a.example/…`, nor wss://b.example/…",
            ),
            ("no address :// here K", "no address … here K"),
            ("plain", "plain"),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }

    #[tokio::test]
    async fn a_bundle_holds_no_secret_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        let text = r#"
            [scheduler]
            url = "http://127.0.0.1:8080"
            [chain]
            rpc_url = "https://rpc.example.org/v2/CANARY"
            chain_id = 4439
            contract = "0x00000000000000000000000000000000000000aa"
            [trust]
            schedulers = ["0x00000000000000000000000000000000000000bb"]
        "#;
        std::fs::write(&path, text).unwrap();
        std::fs::write(dir.path().join("node-key.password"), "CANARY").unwrap();
        let file = dir.path().join("support.json");
        let finding = Finding {
            check: "chain",
            verdict: super::super::Verdict::Fail,
            found: "it does not answer".into(),
            fix: None,
        };
        write(&file, &path, &[finding]).await.unwrap();
        let written = std::fs::read_to_string(&file).unwrap();
        assert!(!written.contains("CANARY"), "{written}");
        let bundle: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(bundle["config"]["chain"]["rpc_url"], "https://rpc.example.org/…");
        assert_eq!(bundle["findings"][0]["found"], "it does not answer");
        assert_eq!(bundle["attempts"], json!([]));
        assert!(bundle["machine"]["processors"].as_u64().unwrap() > 0);
        assert!(write(&file, &path, &[]).await.is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    }
}
