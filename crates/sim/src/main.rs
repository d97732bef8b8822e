//! `gristmill-sim`: lives through seeds, replays one, or shows that planted bugs are caught.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;
use gristmill_sim::plant::Plant;
use gristmill_sim::town::Stats;
use gristmill_sim::{find, run, run_many};
use serde::Serialize;

/// Runs the rules of the market in a seeded world in which everything fails.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  gristmill-sim --seeds 5000\n  gristmill-sim --seed 42            replay one seed and print what happens\n  gristmill-sim --plant list         the bugs that can be planted\n  gristmill-sim --plant no-fence     plant one; the run must find it\n  gristmill-sim --plants             plant them all; each must be found"
)]
struct Arguments {
    /// How many seeds to live through.
    #[arg(long, default_value_t = 1000, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Replay this one seed, and print all that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Plant a bug around the rules; `list` names them.
    #[arg(long, value_name = "NAME", conflicts_with = "plants")]
    plant: Option<String>,
    /// Plant every bug in turn, each in up to `--seeds` seeds, and say which of them are caught.
    #[arg(long, conflicts_with = "seed")]
    plants: bool,
    /// Print nothing but the last line.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.plant.as_deref() == Some("list") {
        for plant in Plant::ALL {
            println!("{plant:<18} {}", plant.describe());
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.plants {
        return Ok(plant_all(arguments.first, arguments.seeds));
    }
    let plant: Option<Plant> =
        arguments.plant.as_deref().map(str::parse).transpose().map_err(anyhow::Error::msg)?;
    let (seeds, stats, violations) = match arguments.seed {
        Some(seed) => {
            let history = run(seed, plant, !arguments.json);
            for line in history.trace.unwrap_or_default() {
                println!("{line}");
            }
            (
                1,
                history.stats,
                history.violation.map(|violation| (seed, violation)).into_iter().collect(),
            )
        }
        None => {
            let (stats, violations) =
                run_many(arguments.first, arguments.seeds, plant, plant.is_some());
            (arguments.seeds, stats, violations)
        }
    };
    if !arguments.json {
        for (seed, violation) in violations.iter().take(10) {
            let plant = plant.map(|plant| format!(" --plant {plant}")).unwrap_or_default();
            println!(
                "seed {seed}: {violation}\n  replay: cargo run -p gristmill-sim -- --seed {seed}{plant}"
            );
        }
    }
    println!("{}", report(seeds, &stats, violations.len())?);
    // A planted bug that nobody notices is a failure, and so is a violation without one.
    let good = violations.is_empty() != plant.is_some();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Plants one bug after the other. A bug that nobody notices is a failure.
fn plant_all(first: u64, seeds: u64) -> ExitCode {
    let mut caught = 0;
    for plant in Plant::ALL {
        let violation = find(*plant, first, seeds);
        caught += usize::from(violation.is_some());
        match violation {
            Some((seed, violation)) => println!("{plant:<18} seed {seed}: {violation}"),
            None => println!("{plant:<18} NOT CAUGHT in {seeds} seeds: {}", plant.describe()),
        }
    }
    println!("{} planted, {caught} caught", Plant::ALL.len());
    if caught == Plant::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The last line. Its fields keep their order.
#[derive(Serialize)]
struct Report<'a> {
    seeds: u64,
    commands: u64,
    rejected: u64,
    jobs: Ends,
    reorgs: u64,
    dropped: u64,
    crashes: u64,
    calls: u64,
    reverted: u64,
    void: u64,
    events: &'a BTreeMap<&'static str, u64>,
    violations: usize,
}

/// Jobs by how they ended.
#[derive(Serialize)]
struct Ends {
    settled: u64,
    refunded: u64,
    cancelled: u64,
}

fn report(seeds: u64, stats: &Stats, violations: usize) -> serde_json::Result<String> {
    serde_json::to_string(&Report {
        seeds,
        commands: stats.commands,
        rejected: stats.rejected,
        jobs: Ends { settled: stats.settled, refunded: stats.refunded, cancelled: stats.cancelled },
        reorgs: stats.reorgs,
        dropped: stats.dropped,
        crashes: stats.crashes,
        calls: stats.calls,
        reverted: stats.reverted,
        void: stats.void,
        events: &stats.events,
        violations,
    })
}
