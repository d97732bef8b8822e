//! What `make demo`, `make up` and `make down` do.

#![expect(clippy::print_stdout, reason = "it speaks to the person at the terminal")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy::primitives::U256;
use anyhow::{Context, Result, bail, ensure};
use gristmill_protocol::api::{JobState, JobView};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::money::{Amount, NATIVE_DECIMALS};
use serde_json::{Value, json};

use crate::engine;
use crate::guest::Guest;
use crate::keys::Party;
use crate::market::{Market, Node, Settings};
use crate::process::{Lifetime, end_detached, is_running};
use crate::stack::web_settings;
use crate::wait_for;

/// Everything of a local market lies here, below the root of the repository, and is ignored by git.
const FOLDER: &str = ".dev";
/// What `make up` started, so that `make down` can stop it.
const PIDS: &str = "running.json";

fn say(text: &str) {
    println!("\x1b[1m▸ {text}\x1b[0m");
}

fn coins(wei: u128) -> String {
    format!("{} U2U", Amount(wei).to_decimal(NATIVE_DECIMALS))
}

/// A fresh folder for a market. Images and layers of the engine are kept for the next time.
fn fresh_folder(root: &Path) -> Result<PathBuf> {
    let folder = root.join(FOLDER);
    if let Ok(entries) = std::fs::read_dir(&folder) {
        for entry in entries {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name == "engine") {
                continue;
            }
            if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            }
            .with_context(|| format!("remove {}", path.display()))?;
        }
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

async fn start(root: &Path, settings: Settings, lifetime: Lifetime) -> Result<(Market, Vec<Node>)> {
    if let Some(pids) = running(root) {
        bail!("a market is running already (processes {pids:?}). Stop it with `make down` first.");
    }
    let with_engine = match engine::missing() {
        None => true,
        Some(why) => {
            say(&format!("No container engine, so no Docker job: {why}"));
            false
        }
    };
    say(if with_engine {
        "Starting a chain (anvil, id 4439), a scheduler, a container engine and a registry"
    } else {
        "Starting a chain (anvil, id 4439) and a scheduler"
    });
    let folder = fresh_folder(root)?;
    let market = Market::start(&folder, settings, with_engine, lifetime).await?;
    println!("  contract   {} on {}", market.chain.deployment.contract, market.chain.rpc_url);
    println!("  scheduler  {}", market.scheduler.url);
    say("Enrolling and starting two nodes of two providers");
    let mut nodes = Vec::new();
    for (node, provider) in [(Party::NodeA, Party::ProviderA), (Party::NodeB, Party::ProviderB)] {
        nodes.push(market.start_node(node, provider).await?);
        println!("  {}  {}  paid to {}", node.name(), node.address(), provider.address());
    }
    Ok((market, nodes))
}

/// Runs one real job end to end, with WASM always and with Docker where there is an engine, and stops everything.
///
/// # Errors
/// Where a step fails.
pub async fn demo(root: &Path) -> Result<()> {
    let started = Instant::now();
    let (market, nodes) = start(root, Settings::default(), Lifetime::Attached).await?;
    say("Building the digits example");
    let guest = Guest::digits(market.engine.as_ref())?;
    let wasm = run_job(&market, &["--wasm", &guest.wasm.display().to_string()], "wasm").await?;
    if let Some(image) = &guest.image {
        let docker = run_job(&market, &["--image", image], "docker").await?;
        println!("{docker}");
    }
    say(&format!("Stopping everything (the whole took {} s)", started.elapsed().as_secs()));
    drop(nodes);
    drop(market);
    println!("{wasm}");
    Ok(())
}

/// Submits the digits job as a person would, follows it, and returns what it came to.
async fn run_job(market: &Market, runtime: &[&str], name: &str) -> Result<Value> {
    say(&format!("Submitting the digits job ({name}) from the submitter's wallet"));
    let cli = market.cli(Party::Submitter)?;
    let before = balances(market).await?;
    let input =
        format!("digits.csv={}", crate::root().join("examples/digits/data/digits.csv").display());
    let mut arguments = vec!["submit", "--name", "Handwritten digits"];
    arguments.extend(runtime);
    arguments.extend([
        "--input",
        &input,
        "--memory",
        "128MiB",
        "--disk",
        "128MiB",
        "--max-run",
        "2m",
    ]);
    arguments.extend(["--bounty", "0.05", "--deadline", "1h", "--yes", "--detach", "--json"]);
    arguments.extend(["--", "--epochs", "100", "--seed", "1"]);
    let submitted = cli.show(&arguments)?.json()?;
    let id: JobId = submitted["job"].as_str().context("`submit` named no job")?.parse()?;

    say("Its log, as it is written");
    let id_text = id.to_string();
    let mut follow = cli.command(&["logs", "--follow", &id_text]);
    ensure!(follow.status()?.success(), "`gristmill logs` failed");

    let ended = [JobState::Settled, JobState::Refunded, JobState::Cancelled];
    let job = market.wait_for_state(id, &ended, Duration::from_secs(120)).await?;
    ensure!(
        job.state == JobState::Settled,
        "the job ended as {}: {}",
        job.state.as_str(),
        job.summary
    );

    say("Downloading and verifying the result");
    let output = market.folder.join(format!("result-{name}"));
    let output_text = output.display().to_string();
    let mut result = cli.command(&["result", &id_text, "--output", &output_text]);
    ensure!(result.status()?.success(), "`gristmill result` failed");
    let metrics: Value = serde_json::from_slice(&std::fs::read(output.join("metrics.json"))?)?;
    println!("  accuracy on held-out images  {}", metrics["accuracy"]);
    println!("  confusion matrix             {}", output.join("confusion.svg").display());

    let after = balances(market).await?;
    let paid = show_balances(&before, &after);
    report(market, &job, name, &metrics, paid).await
}

/// Balances of both providers' wallets. Nothing but payments changes them here: nodes pay gas from keys of their own.
async fn balances(market: &Market) -> Result<Vec<(Party, U256)>> {
    let mut balances = Vec::new();
    for party in [Party::ProviderA, Party::ProviderB] {
        balances.push((party, market.chain.balance(party.address()).await?));
    }
    Ok(balances)
}

fn show_balances(before: &[(Party, U256)], after: &[(Party, U256)]) -> u128 {
    let mut paid = 0;
    for ((party, before), (_, after)) in before.iter().zip(after) {
        let [before, after] = [before, after].map(|wei| u128::try_from(*wei).unwrap_or(u128::MAX));
        let gained = after.saturating_sub(before);
        println!("  {}  {} → {}  (+{})", party.name(), coins(before), coins(after), coins(gained));
        paid += gained;
    }
    paid
}

async fn report(
    market: &Market,
    job: &JobView,
    runtime: &str,
    metrics: &Value,
    paid: u128,
) -> Result<Value> {
    let result = job.result.as_ref().context("a settled job has a result")?;
    ensure!(
        paid == job.terms.bounty.0 - job.terms.fee.0,
        "the providers gained {paid} wei, not the bounty without its fee"
    );
    let gas = market.chain.gas_of(job.id).await?;
    Ok(json!({
        "job": job.id,
        "state": job.state,
        "runtime": runtime,
        "accuracy": metrics["accuracy"],
        "result_cid": result.output_cid,
        "bounty_wei": job.terms.bounty,
        "fee_wei": job.terms.fee,
        "provider_paid_wei": Amount(paid),
        "gas": {"open": gas.get("Opened"), "assign": gas.get("Assigned"), "settle": gas.get("Settled")},
    }))
}

/// Starts a market that stays, and says what to type next.
///
/// # Errors
/// Where a part does not start.
pub async fn up(root: &Path) -> Result<()> {
    // `npm run dev` may use it too.
    let origin = Some("http://127.0.0.1:3001");
    let scheduler = web_settings(&root.join("web/out"), origin)?;
    let settings = Settings { scheduler, node: toml::Table::new() };
    let (market, nodes) = start(root, settings, Lifetime::Detached).await?;
    let mut pids: Vec<u32> = nodes.iter().map(|node| node.process.pid()).collect();
    pids.extend([market.scheduler.process.pid(), market.chain.process.pid()]);
    if let Some(engine) = &market.engine {
        pids.extend(engine.pids());
    }
    std::fs::write(root.join(FOLDER).join(PIDS), serde_json::to_vec(&pids)?)?;

    let script = root.join(FOLDER).join("env.sh");
    let cli = market.cli(Party::Submitter)?;
    let mut lines: Vec<String> =
        cli.environment().iter().map(|(name, value)| format!("export {name}='{value}'")).collect();
    if let Some(engine) = &market.engine {
        lines.push(format!("export DOCKER_HOST='{}'", engine.docker_host()));
    }
    let programs = crate::process::binary("gristmill")?;
    let programs = programs.parent().context("a program lies in a folder")?.display().to_string();
    lines.push(format!("export PATH='{programs}':\"$PATH\""));
    std::fs::write(&script, lines.join("\n") + "\n")?;
    let guest = Guest::digits(market.engine.as_ref())?;

    say(&format!("The market is running. Open {} in a browser", market.scheduler.url));
    println!(
        "  Connect one of its wallets: Alice submits, Axel owns node-a, and a newcomer has coins."
    );
    println!("  Submit this program there: {}", guest.wasm.display());
    say("Or, in another terminal or here:");
    println!("  source {}", script.display());
    println!("  gristmill nodes");
    println!(
        "  gristmill submit --wasm {} --input digits.csv=examples/digits/data/digits.csv --bounty 0.05 --deadline 1h --max-run 2m",
        guest.wasm.display()
    );
    if let Some(image) = &guest.image {
        println!(
            "  gristmill submit --image {image} --input digits.csv=examples/digits/data/digits.csv --bounty 0.05 --deadline 1h --max-run 2m"
        );
    }
    println!("  gristmill jobs");
    println!("Logs lie in {FOLDER}/. Stop it with `make down`.");
    Ok(())
}

/// Stops what `make up` started.
///
/// # Errors
/// Where a process does not end.
pub async fn down(root: &Path) -> Result<()> {
    let Some(pids) = running(root) else {
        say("Nothing is running");
        return Ok(());
    };
    for pid in &pids {
        end_detached(*pid);
    }
    wait_for("the market to stop", Duration::from_secs(60), async || {
        (!pids.iter().any(|pid| is_running(*pid))).then_some(())
    })
    .await?;
    std::fs::remove_file(root.join(FOLDER).join(PIDS))?;
    say("Stopped");
    Ok(())
}

/// The processes of a market that `make up` started and that still run.
fn running(root: &Path) -> Option<Vec<u32>> {
    let pids = std::fs::read(root.join(FOLDER).join(PIDS)).ok()?;
    let pids: Vec<u32> = serde_json::from_slice(&pids).ok()?;
    let pids: Vec<u32> = pids.into_iter().filter(|pid| is_running(*pid)).collect();
    (!pids.is_empty()).then_some(pids)
}
