//! The seeded world finds nothing where nothing is wrong, and every bug that is planted.

use gristmill_sim::plant::Plant;
use gristmill_sim::{find, run, run_many};

const SEEDS: u64 = 300;

#[test]
fn the_rules_hold() {
    let (stats, violations) = run_many(1, SEEDS, None, false);
    assert!(
        violations.is_empty(),
        "replay with `cargo run -p gristmill-sim -- --seed N`: {violations:?}"
    );
    assert!(stats.settled > SEEDS, "many jobs must be settled, not only {}", stats.settled);
    assert!(stats.refunded > SEEDS / 2);
    assert!(stats.cancelled > 0);
    // Everything that can happen to a job does happen.
    for event in [
        "created",
        "funded",
        "queued",
        "assigned",
        "started",
        "called_in",
        "renewed",
        "reported",
        "accepted",
        "rejected",
        "failed",
        "released",
        "expired",
        "abandoned",
        "published",
        "held",
        "settled",
        "refunding",
        "refunded",
        "cancelled",
        "forfeited",
        "disputed",
        "ruled",
        "skipped",
    ] {
        assert!(stats.events.contains_key(event), "no job was ever {event}");
    }
    assert!(stats.reorgs > 0 && stats.dropped > 0 && stats.crashes > 0);
    assert!(stats.void > 0, "no nonce was ever used from outside");
    assert!(stats.reverted > 0 && stats.reverted < stats.calls);
}

#[test]
fn a_seed_replays() {
    for seed in [1, 2, 3, 98, 157] {
        let (first, again) = (run(seed, None, true), run(seed, None, true));
        assert_eq!(first.stats, again.stats);
        assert_eq!(first.trace, again.trace);
        assert!(first.trace.is_some_and(|trace| trace.len() > 50));
    }
}

#[test]
fn every_planted_bug_is_caught() {
    assert!(Plant::ALL.len() >= 25);
    let missed: Vec<_> =
        Plant::ALL.iter().filter(|plant| find(**plant, 1, SEEDS).is_none()).collect();
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
}

#[test]
fn plants_have_names_that_can_be_typed() {
    for plant in Plant::ALL {
        assert_eq!(plant.as_str().parse(), Ok(*plant));
        assert!(!plant.describe().is_empty());
    }
    assert!("no-such-bug".parse::<Plant>().is_err_and(|error| error.contains("--plant list")));
}
