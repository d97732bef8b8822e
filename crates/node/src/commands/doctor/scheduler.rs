//! The scheduler, the clock, and where inputs come from.

use gristmill_protocol::client::Client;

use super::Findings;
use crate::config::Config;

/// Signatures carry times; a clock that is further off makes them worthless.
const CLOCK_OFFSET_MS_MAX: u64 = 60_000;
/// How long a gateway may take to say that it lives.
const GATEWAY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// An empty raw block: every trustless gateway can answer for it without fetching anything (CIDv1, raw, identity).
const EMPTY_BLOCK: &str = "bafkqaaa";

pub(super) async fn examine(findings: &mut Findings, config: &Config) {
    let asked = match Client::new(&config.scheduler.url) {
        Ok(client) => client.info().await,
        Err(error) => Err(error),
    };
    let info = match asked {
        Ok(info) => info,
        Err(error) => {
            return findings.fail(
                "scheduler",
                error,
                "correct scheduler.url, or wait until it is back",
            );
        }
    };
    let domain = config.domain();
    if info.chain_id != domain.chain_id || info.contract != domain.contract {
        let found = format!("it uses contract {} of chain {}", info.contract, info.chain_id);
        return findings.fail(
            "scheduler",
            found,
            "correct chain.contract, or choose another scheduler",
        );
    }
    if !config.trust.schedulers.contains(&info.scheduler) {
        let found = format!("it signs as {}, which is not in trust.schedulers", info.scheduler);
        return findings.fail("scheduler", found, "add it, if you trust it");
    }
    findings.ok("scheduler", format!("{} at {}", info.scheduler, config.scheduler.url));
    examine_clock(findings, &config.scheduler.url).await;
    for gateway in &config.content.gateways {
        examine_gateway(findings, gateway).await;
    }
}

async fn examine_gateway(findings: &mut Findings, gateway: &str) {
    let asked = async {
        let client = reqwest::Client::builder().timeout(GATEWAY_PATIENCE).build()?;
        let url = format!("{}/ipfs/{EMPTY_BLOCK}?format=raw", gateway.trim_end_matches('/'));
        client.get(url).send().await
    };
    match asked.await {
        Ok(answer) if answer.status().is_success() => {
            findings.ok("gateway", format!("{gateway} answers"));
        }
        Ok(answer) => findings.warn(
            "gateway",
            format!("{gateway} answers {}", answer.status()),
            "take it out of content.gateways if it stays so: inputs are looked for elsewhere first",
        ),
        Err(error) => findings.warn(
            "gateway",
            format!("{gateway} does not answer: {error}"),
            "check the network and the address, or take it out of content.gateways",
        ),
    }
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
        findings.fail("clock", found, "switch on time synchronisation");
    } else {
        findings.ok("clock", "agrees with the scheduler");
    }
}
