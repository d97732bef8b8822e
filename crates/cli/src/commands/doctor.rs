//! `gristmill doctor`: what is set, what works, and how to mend what does not. And `logout`.

use std::os::unix::fs::PermissionsExt;

use clap::Args;
use gristmill_protocol::api::Info;
use gristmill_protocol::client::Client;
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::chain::{Chain, coin, decimal, history};
use crate::failure::{Exit, Failure, Result};
use crate::output::Tone;
use crate::quantity;

/// How far this machine's clock may be from the chain's before signatures and deadlines suffer.
const CLOCK_SKEW_SECONDS_MAX: u64 = 60;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill doctor\n  gristmill doctor --json | jq '.checks[] | select(.state != \"ok\")'\n\nExit code 0 when nothing is wrong, 1 otherwise."
)]
pub(crate) struct DoctorArgs {}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  gristmill logout")]
pub(crate) struct LogoutArgs {}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Health {
    Ok,
    Warning,
    Wrong,
}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    state: Health,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, what: &'static str, detail: impl Into<String>) {
        self.0.push(Finding { what, state: Health::Ok, detail: detail.into(), fix: None });
    }

    fn warn(&mut self, what: &'static str, detail: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding {
            what,
            state: Health::Warning,
            detail: detail.into(),
            fix: Some(fix.into()),
        });
    }

    fn wrong(&mut self, what: &'static str, detail: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding {
            what,
            state: Health::Wrong,
            detail: detail.into(),
            fix: Some(fix.into()),
        });
    }

    fn failed(&mut self, what: &'static str, failure: Failure) {
        // The usual hint of an unreachable party is to run this command.
        let fix = match failure.hint {
            Some(hint) if failure.exit != Exit::Unreachable => hint,
            Some(_) | None => "start it, or set the address of one that runs".to_owned(),
        };
        self.wrong(what, failure.message, fix);
    }
}

pub(crate) async fn run(app: &App, _: DoctorArgs) -> Result<()> {
    let mut findings = Findings::default();
    settings(app, &mut findings);
    let chain = check_chain(app, &mut findings).await;
    let info = check_scheduler(app, chain.as_ref(), &mut findings).await;
    check_wallet(app, chain.as_ref(), &mut findings).await;
    let wrong = findings.0.iter().filter(|finding| finding.state == Health::Wrong).count();
    if app.out.is_json() {
        app.out.value(&json!({ "ok": wrong == 0, "version": env!("CARGO_PKG_VERSION"), "scheduler": info, "checks": findings.0 }))?;
    } else {
        for finding in &findings.0 {
            let (tone, mark) = match finding.state {
                Health::Ok => (Tone::Good, "ok"),
                Health::Warning => (Tone::Busy, "warning"),
                Health::Wrong => (Tone::Bad, "WRONG"),
            };
            app.out.line(format!(
                "{}  {:<10}  {}",
                app.out.paint(tone, format!("{mark:<7}")),
                finding.what,
                finding.detail
            ))?;
            if let Some(fix) = &finding.fix {
                app.out.line(format!("{:<7}  {:<10}  fix: {fix}", "", ""))?;
            }
        }
    }
    match wrong {
        0 => Ok(()),
        count => Err(Failure::new(
            Exit::Unpaid,
            format!("{count} of {} checks failed", findings.0.len()),
        )),
    }
}

fn settings(app: &App, findings: &mut Findings) {
    let settings = &app.settings;
    let from = |origin: crate::settings::Origin| format!("from {}", origin.as_str());
    let mut parts =
        vec![format!("scheduler {} {}", settings.scheduler.value, from(settings.scheduler.origin))];
    if let Some(rpc) = &settings.rpc {
        parts.push(format!("rpc {}", from(rpc.origin)));
    }
    if let Some(deployment) = &settings.deployment {
        parts.push(format!(
            "deployment {} {}",
            deployment.value.display(),
            from(deployment.origin)
        ));
    }
    parts.push(format!("wallet {}", from(settings.keystore.origin)));
    parts.push(format!("config file {}", settings.config_file.display()));
    findings.ok("settings", parts.join("; "));
}

async fn check_chain(app: &App, findings: &mut Findings) -> Option<Chain> {
    let deployment = match app.deployment() {
        Ok(deployment) => deployment,
        Err(failure) => {
            findings.failed("contract", failure);
            return None;
        }
    };
    let chain = match app.rpc().and_then(|rpc| Chain::open(rpc, deployment.clone())) {
        Ok(chain) => chain,
        Err(failure) => {
            findings.failed("rpc", failure);
            return None;
        }
    };
    let (chain_id, head) = match (chain.chain_id().await, chain.head().await) {
        (Ok(chain_id), Ok(head)) => (chain_id, head),
        (Err(failure), _) | (_, Err(failure)) => {
            findings.failed("rpc", failure);
            return None;
        }
    };
    if chain_id != deployment.chain_id {
        findings.wrong(
            "rpc",
            format!(
                "the endpoint is on chain {chain_id}, the deployment file is for chain {}",
                deployment.chain_id
            ),
            "choose --rpc and --deployment of the same chain",
        );
        return None;
    }
    findings.ok("rpc", format!("chain {chain_id}, block {}", head.block));
    let now = quantity::now();
    // A chain without traffic makes no blocks, so only a block from the future proves a wrong clock.
    if head.time > now + CLOCK_SKEW_SECONDS_MAX {
        findings.warn(
            "clock",
            format!("this machine is {} behind the chain", quantity::seconds(head.time - now)),
            "set the clock: deadlines and sign-ins depend on it",
        );
    } else {
        findings.ok("clock", format!("newest block {}", quantity::relative(head.time, now)));
    }
    match chain.has_code().await {
        Ok(true) => {}
        Ok(false) => {
            findings.wrong(
                "contract",
                format!("there is no contract at {}", deployment.contract),
                "get the deployment file of this chain; a local chain that was restarted must be deployed to again",
            );
            return None;
        }
        Err(failure) => {
            findings.failed("contract", failure);
            return None;
        }
    }
    // Asking for a job that cannot exist shows that it is our contract.
    match chain.slot(gristmill_protocol::ids::JobId::default()).await {
        Ok(_) => findings
            .ok("contract", format!("{} since block {}", deployment.contract, deployment.block)),
        Err(failure) => {
            findings.failed("contract", failure);
            return None;
        }
    }
    if let Err(error) = history::probe(&chain).await {
        findings.warn(
            "events",
            format!("the endpoint serves no events: {error}"),
            "use another --rpc for `gristmill recover`; everything else works",
        );
    }
    Some(chain)
}

async fn check_scheduler(
    app: &App,
    chain: Option<&Chain>,
    findings: &mut Findings,
) -> Option<Info> {
    let info = match Client::new(&app.settings.scheduler.value) {
        Ok(client) => client.info().await,
        Err(error) => Err(error),
    };
    let info = match info {
        Ok(info) => info,
        Err(error) => {
            findings.failed("scheduler", error.into());
            return None;
        }
    };
    findings.ok(
        "scheduler",
        format!(
            "{} version {}, fee {} %",
            info.scheduler,
            crate::output::plain(&info.version),
            percent(info.fee_bps)
        ),
    );
    if info.version != env!("CARGO_PKG_VERSION") {
        findings.warn(
            "version",
            format!(
                "this program is {}, the scheduler {}",
                env!("CARGO_PKG_VERSION"),
                crate::output::plain(&info.version)
            ),
            "install the same version",
        );
    }
    if let Some(chain) = chain
        && (info.chain_id, info.contract)
            != (chain.deployment().chain_id, chain.deployment().contract)
    {
        findings.wrong(
            "scheduler",
            format!("it works with contract {} on chain {}, not with yours", info.contract, info.chain_id),
            "choose --deployment and --scheduler that belong together; do not submit jobs to this one",
        );
    }
    Some(info)
}

/// Hundredths of a percent as a percentage.
fn percent(bps: u16) -> String {
    gristmill_protocol::money::Amount(bps.into()).to_decimal(2)
}

async fn check_wallet(app: &App, chain: Option<&Chain>, findings: &mut Findings) {
    let wallet = match app.wallet() {
        Ok(wallet) => wallet,
        Err(failure) => {
            findings.failed("wallet", failure);
            return;
        }
    };
    let path = wallet.path().display();
    let open_to_others = std::fs::metadata(wallet.path())
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if open_to_others {
        findings.warn(
            "wallet",
            format!("others on this machine can read {path}"),
            format!("chmod 600 {path}"),
        );
    }
    let Some(address) = wallet.known_address() else {
        findings.ok("wallet", format!("{path}, whose address needs its password"));
        return;
    };
    findings.ok("wallet", format!("{address} in {path}"));
    let Some(chain) = chain else { return };
    match chain.balance(address, Default::default()).await {
        Ok(balance) if balance.is_zero() => findings.warn(
            "balance",
            format!("{address} has nothing"),
            format!("send it {} for gas and bounties", coin(chain.deployment().chain_id)),
        ),
        Ok(balance) => findings.ok(
            "balance",
            format!(
                "{} {}",
                decimal(balance, gristmill_protocol::money::NATIVE_DECIMALS),
                coin(chain.deployment().chain_id)
            ),
        ),
        Err(failure) => findings.failed("balance", failure),
    }
}

pub(crate) async fn logout(app: &App, _: LogoutArgs) -> Result<()> {
    let ended = app.sign_out().await?;
    let text = if ended { "the session has ended" } else { "there was no session" };
    if app.out.is_json() { app.out.value(&json!({ "ended": ended })) } else { app.out.line(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_are_percentages() {
        assert_eq!(percent(500), "5");
        assert_eq!(percent(25), "0.25");
        assert_eq!(percent(0), "0");
    }
}
