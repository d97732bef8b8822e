//! `doctor`: everything that a job needs, one line each, with what mends it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use gristmill_protocol::client::Client;
use gristmill_protocol::spec::RuntimeKind;
use serde::Serialize;

use crate::chain::Chain;
use crate::config::Config;
use crate::key::NodeKey;
use crate::runtime::docker::Docker;
use crate::state_dir::StateDir;

/// Signatures carry times; a clock that is further off makes them worthless.
const CLOCK_OFFSET_MS_MAX: u64 = 60_000;
/// What a dozen renewals cost at a usual price.
const GAS_WEI_LEAST: u64 = 1_000_000_000_000_000;
/// The first Docker whose runc has the fixes of 2025 (CVE-2025-31133 and its kin).
const ENGINE_MAJOR_LEAST: u32 = 28;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Serialize)]
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

pub(super) async fn doctor(path: &Path, as_json: bool) -> Result<ExitCode> {
    let findings = examine(path).await;
    let failed = findings.0.iter().any(|finding| finding.verdict == Verdict::Fail);
    if as_json {
        println!("{}", serde_json::to_string_pretty(&findings.0)?);
    } else {
        for finding in &findings.0 {
            let mark = match finding.verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            println!("{mark}  {:<12} {}", finding.check, finding.found);
            if let Some(fix) = &finding.fix {
                println!("      {:<12} → {fix}", "");
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn examine(path: &Path) -> Findings {
    let mut findings = Findings::default();
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(error) => {
            findings.bad(
                Verdict::Fail,
                "config",
                error,
                "correct it, or write a new one with `gristmill-node init`",
            );
            return findings;
        }
    };
    findings.ok("config", path.display().to_string());
    match StateDir::open(&config.state_dir) {
        Ok(state) => findings.ok("state", state.root().display().to_string()),
        Err(error) => {
            findings.bad(Verdict::Fail, "state", error, "choose a state_dir that can be written")
        }
    }
    let key = NodeKey::password(&config.key.keystore)
        .and_then(|password| NodeKey::open(&config.key.keystore, &password));
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            findings.bad(
                Verdict::Fail,
                "key",
                error,
                "set GRISTMILL_NODE_KEYSTORE_PASSWORD; `gristmill-node init` makes a key",
            );
            return findings;
        }
    };
    findings.ok("key", key.id().to_string());
    examine_chain(&mut findings, &config, &key).await;
    examine_scheduler(&mut findings, &config).await;
    if config.offer.runtimes.contains(&RuntimeKind::Docker) {
        examine_engine(&mut findings, &config, &key).await;
    }
    findings
}

async fn examine_chain(findings: &mut Findings, config: &Config, key: &NodeKey) {
    let chain = match Chain::new(&config.chain.rpc_url, config.domain(), key.clone()) {
        Ok(chain) => chain,
        Err(error) => return findings.bad(Verdict::Fail, "chain", error, "correct chain.rpc_url"),
    };
    if let Err(error) = chain.check().await {
        return findings.bad(
            Verdict::Fail,
            "chain",
            error,
            "correct chain.rpc_url, chain.chain_id and chain.contract",
        );
    }
    findings.ok(
        "chain",
        format!("contract {} on chain {}", config.chain.contract, config.chain.chain_id),
    );
    match chain.balance().await {
        Ok(balance) if balance < alloy::primitives::U256::from(GAS_WEI_LEAST) => findings.bad(
            Verdict::Warn,
            "gas",
            format!("{balance} wei"),
            format!("send a little of the chain's coin to {}; without it the node cannot renew, publish or claim", key.id()),
        ),
        Ok(balance) => findings.ok("gas", format!("{balance} wei")),
        Err(error) => findings.bad(Verdict::Fail, "gas", error, "try again"),
    }
    let provider = match chain.provider_of(key.id()).await {
        Ok(Some(provider)) => provider,
        Ok(None) => {
            return findings.bad(
                Verdict::Fail,
                "enrolment",
                "no wallet has enrolled this node, or it was revoked",
                "gristmill-node enroll-message --provider 0xYourWallet > enroll.json; gristmill node enroll --message enroll.json",
            );
        }
        Err(error) => return findings.bad(Verdict::Fail, "enrolment", error, "try again"),
    };
    findings.ok("enrolment", format!("paid to {provider}"));
    for scheduler in &config.trust.schedulers {
        match chain.is_approved(provider, *scheduler, config.offer.token).await {
            Ok(true) => findings.ok("approval", format!("{scheduler} may give jobs")),
            Ok(false) => findings.bad(
                Verdict::Fail,
                "approval",
                format!("the provider has not approved {scheduler}"),
                format!("gristmill provider approve {scheduler}"),
            ),
            Err(error) => findings.bad(Verdict::Fail, "approval", error, "try again"),
        }
    }
}

async fn examine_scheduler(findings: &mut Findings, config: &Config) {
    let asked = match Client::new(&config.scheduler.url) {
        Ok(client) => client.info().await,
        Err(error) => Err(error),
    };
    let info = match asked {
        Ok(info) => info,
        Err(error) => {
            return findings.bad(
                Verdict::Fail,
                "scheduler",
                error,
                "correct scheduler.url, or wait until it is back",
            );
        }
    };
    let domain = config.domain();
    if info.chain_id != domain.chain_id || info.contract != domain.contract {
        let found = format!("it uses contract {} of chain {}", info.contract, info.chain_id);
        return findings.bad(
            Verdict::Fail,
            "scheduler",
            found,
            "correct chain.contract, or choose another scheduler",
        );
    }
    if !config.trust.schedulers.contains(&info.scheduler) {
        let found = format!("it signs as {}, which is not in trust.schedulers", info.scheduler);
        return findings.bad(Verdict::Fail, "scheduler", found, "add it, if you trust it");
    }
    findings.ok("scheduler", format!("{} at {}", info.scheduler, config.scheduler.url));
    examine_clock(findings, &config.scheduler.url).await;
}

/// Compares the machine's clock with the scheduler's `Date`.
async fn examine_clock(findings: &mut Findings, url: &str) {
    let date = async {
        let answer = reqwest::get(format!("{}/healthz", url.trim_end_matches('/'))).await.ok()?;
        let date = answer.headers().get(reqwest::header::DATE)?.to_str().ok()?.to_owned();
        jiff::fmt::rfc2822::parse(&date).ok()
    };
    let Some(date) = date.await else { return };
    let offset =
        jiff::Timestamp::now().as_millisecond().abs_diff(date.timestamp().as_millisecond());
    if offset > CLOCK_OFFSET_MS_MAX {
        let found = format!("{} s apart from the scheduler", offset / 1000);
        findings.bad(Verdict::Fail, "clock", found, "switch on time synchronisation");
    } else {
        findings.ok("clock", "agrees with the scheduler");
    }
}

async fn examine_engine(findings: &mut Findings, config: &Config, key: &NodeKey) {
    let asked = match Docker::connect(&config.docker, key.id()) {
        Ok(docker) => docker.version().await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(engine) => {
            let major = engine
                .version
                .split('.')
                .next()
                .and_then(|text| text.parse::<u32>().ok())
                .unwrap_or(0);
            let found = format!("version {}, API {}", engine.version, engine.api);
            if major < ENGINE_MAJOR_LEAST {
                let fix = format!(
                    "install version {ENGINE_MAJOR_LEAST} or newer: older ones ship a runc with known ways out of a container"
                );
                findings.bad(Verdict::Warn, "engine", found, fix);
            } else {
                findings.ok("engine", found);
            }
        }
        Err(error) => findings.bad(
            Verdict::Fail,
            "engine",
            error,
            "start the engine, or correct docker.socket, or take \"docker\" out of offer.runtimes",
        ),
    }
}
