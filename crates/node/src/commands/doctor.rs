//! `doctor`: everything that a job needs, one line each, with what mends it.

mod bundle;
mod chain;
mod engine;
mod escapes;
mod host;
mod scheduler;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use gristmill_protocol::spec::RuntimeKind;
use serde::Serialize;

use crate::config::Config;
use crate::key::NodeKey;

#[derive(Args)]
#[command(after_help = "Examples:
  gristmill-node doctor
  gristmill-node doctor --json
  gristmill-node doctor --bundle support.json")]
pub(super) struct DoctorArgs {
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Also write what a helper needs to know into one file that you can read before you pass it on. It holds no key, no
    /// password, and nothing of a submitter's jobs but their ids and how they ended.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Finding { check, verdict: Verdict::Ok, found: found.into(), fix: None });
    }

    fn warn(&mut self, check: &'static str, found: impl ToString, fix: impl Into<String>) {
        self.bad(Verdict::Warn, check, found, fix);
    }

    fn fail(&mut self, check: &'static str, found: impl ToString, fix: impl Into<String>) {
        self.bad(Verdict::Fail, check, found, fix);
    }

    fn bad(
        &mut self,
        verdict: Verdict,
        check: &'static str,
        found: impl ToString,
        fix: impl Into<String>,
    ) {
        self.0.push(Finding { check, verdict, found: found.to_string(), fix: Some(fix.into()) });
    }
}

pub(super) async fn doctor(path: &Path, args: &DoctorArgs) -> Result<ExitCode> {
    let findings = examine(path).await;
    let failed = findings.0.iter().any(|finding| finding.verdict == Verdict::Fail);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings.0)?);
    } else {
        for finding in &findings.0 {
            print(finding);
        }
    }
    if let Some(file) = &args.bundle {
        bundle::write(file, path, &findings.0).await?;
        eprintln!("Wrote {}. Read it before you pass it on.", file.display());
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(finding: &Finding) {
    let mark = match finding.verdict {
        Verdict::Ok => console::style("ok  ").green(),
        Verdict::Warn => console::style("warn").yellow(),
        Verdict::Fail => console::style("FAIL").red().bold(),
    };
    println!("{mark}  {:<12} {}", finding.check, finding.found);
    if let Some(fix) = &finding.fix {
        println!("      {:<12} → {fix}", "");
    }
}

async fn examine(path: &Path) -> Findings {
    let mut findings = Findings::default();
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(error) => {
            findings.fail(
                "config",
                error,
                "correct it, or write a new one with `gristmill-node init`",
            );
            return findings;
        }
    };
    findings.ok("config", path.display().to_string());
    host::examine(&mut findings, &config);
    let key = NodeKey::password(&config.key.keystore)
        .and_then(|password| NodeKey::open(&config.key.keystore, &password));
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            findings.fail(
                "key",
                error,
                "set GRISTMILL_NODE_KEYSTORE_PASSWORD; `gristmill-node init` makes a key",
            );
            return findings;
        }
    };
    findings.ok("key", key.id().to_string());
    chain::examine(&mut findings, &config, &key).await;
    scheduler::examine(&mut findings, &config).await;
    if config.offer.runtimes.contains(&RuntimeKind::Docker) {
        engine::examine(&mut findings, &config, &key).await;
    }
    findings
}
