//! The market in a seeded world: the real rules, between nodes, submitters, schedulers, an arbiter and a chain that fail in every
//! way they can. First everything goes wrong, then the world is fair and every job must end. What must always hold is
//! checked after every step.

pub mod agent;
pub mod book;
pub mod chain;
pub mod check;
pub mod keys;
mod mischief;
pub mod model;
pub mod plant;
pub mod random;
pub mod scenario;
pub mod store;
mod tamper;
pub mod town;

use plant::Plant;
use town::Stats;

/// What one seed came to.
pub struct History {
    pub stats: Stats,
    /// What happened, line by line, if it was asked for.
    pub trace: Option<Vec<String>>,
    pub violation: Option<String>,
}

/// Lives through one seed.
#[must_use]
pub fn run(seed: u64, plant: Option<Plant>, traced: bool) -> History {
    let mut town = scenario::build(seed, plant);
    town.trace = traced.then(Vec::new);
    let (stats, trace, outcome) = town.run();
    History { stats, trace, violation: outcome.err() }
}

/// The first of the seeds in which somebody notices the planted bug, and what is noticed.
#[must_use]
pub fn find(plant: Plant, first: u64, count: u64) -> Option<(u64, String)> {
    (first..first.saturating_add(count))
        .find_map(|seed| run(seed, Some(plant), false).violation.map(|violation| (seed, violation)))
}

/// Lives through the seeds `first` to `first + count − 1` on all cores. Ends early when `stop_at_first` and one fails.
#[must_use]
pub fn run_many(
    first: u64,
    count: u64,
    plant: Option<Plant>,
    stop_at_first: bool,
) -> (Stats, Vec<(u64, String)>) {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let result = Mutex::new((Stats::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut stats, mut violations) = (Stats::default(), Vec::new());
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let seed = first + index;
                    let history = run(seed, plant, false);
                    stats.add(&history.stats);
                    if let Some(violation) = history.violation {
                        violations.push((seed, violation));
                        stop.store(stop_at_first, Ordering::Relaxed);
                    }
                }
                let mut result = result.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                result.0.add(&stats);
                result.1.extend(violations);
            });
        }
    });
    let (stats, mut violations) =
        result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    violations.sort();
    (stats, violations)
}
