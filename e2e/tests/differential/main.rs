//! The contract against its model. Random histories of a small cast, with every verb, wrong callers, wrong seconds, wrong
//! signatures and replays, are lived through by both: by the model of `gristmill-sim`, which was written from the
//! specification, and by the real contract on anvil. After every step they must agree on whether the call succeeded or
//! with which error it was refused, on its events, on everything that the contract's views tell, and on what
//! everybody has.
//!
//! A campaign lives through more seeds than the usual few, under `cargo test`, which sets no limit of time:
//!
//! ```text
//! GRISTMILL_DIFFERENTIAL_SEEDS=1000 cargo test -p gristmill-e2e --test differential contract
//! GRISTMILL_DIFFERENTIAL_SEEDS=4711..4712 cargo test -p gristmill-e2e --test differential contract
//! ```
//!
//! Where the two differ, the test prints the seed, and the shortest history that it finds which still shows it.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]
#![expect(clippy::too_many_arguments, reason = "the ABI of `permit` has that many")]

mod anvil;
mod author;
mod cast;
mod duel;
mod view;
mod wire;

use std::ops::Range;

use alloy::primitives::U256;
use anvil::{Anvil, START};
use author::Step;
use cast::Cast;
use duel::Tally;
use gristmill_protocol::Address;
use gristmill_protocol::contracts::JobMarket::{JobMarketCalls, JobMarketErrors, JobMarketEvents};
use gristmill_protocol::signing::Domain;
use gristmill_sim::model::{COIN, Contract, Flaw};
use gristmill_sim::plant::Plant;
use view::View;

const SEEDS: Range<u64> = 0..24;
const STEPS: usize = 250;

/// The functions that change nothing.
const VIEWS: &[&str] = &[
    "approval",
    "balance",
    "domainSeparator",
    "eip712Domain",
    "epoch",
    "job",
    "jobId",
    "leaseEnd",
    "node",
];

/// The errors that no history can meet, and why.
const UNMET: &[(&str, &str)] = &[
    ("InsufficientGas", "every call has gas in plenty"),
    ("Reentrancy", "no token of the cast calls back"),
    ("StrayBits", "terms in Rust have no room for stray bits"),
    ("TokenAmountMismatch", "the tokens of the cast move what they are asked to"),
];

fn seeds() -> (Range<u64>, bool) {
    let Ok(text) = std::env::var("GRISTMILL_DIFFERENTIAL_SEEDS") else { return (SEEDS, true) };
    let number = |text: &str| -> u64 {
        text.parse().unwrap_or_else(|_| {
            panic!("GRISTMILL_DIFFERENTIAL_SEEDS: a count like 1000, or a range like 40..50")
        })
    };
    match text.split_once("..") {
        Some((first, end)) => (number(first)..number(end), false),
        None => (0..number(&text), false),
    }
}

#[tokio::test]
async fn contract_and_model_agree_on_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut anvil = Anvil::start(folder.path()).await.unwrap();
    let (seeds, usual) = seeds();
    let mut tally = Tally::default();
    for seed in seeds {
        let mut steps = author::write(&anvil.cast, seed, START, STEPS);
        let difference = duel::fight(&mut anvil, &steps, None, &mut tally).await.unwrap();
        let Some(difference) = difference else { continue };
        steps.truncate(difference.step + 1);
        let steps = duel::shrink(&mut anvil, steps).await.unwrap();
        let shown = duel::fight(&mut anvil, &steps, None, &mut tally).await.unwrap();
        let what = shown.map_or(difference.what, |shown| shown.what);
        let history: Vec<String> = steps.iter().map(|step| format!("{step:#?}")).collect();
        panic!(
            "seed {seed}, step {}: model and contract differ in {what}\nafter\n{}",
            difference.step,
            history.join("\n")
        );
    }
    println!(
        "{} steps\nverbs: {:?}\nerrors: {:?}\nevents: {:?}",
        tally.steps, tally.verbs, tally.errors, tally.events
    );
    if usual {
        assert_all_met(&tally);
    }
}

/// The usual histories have everything in them: a verb that never succeeds is not compared.
fn assert_all_met(tally: &Tally) {
    let verbs = JobMarketCalls::SELECTORS.iter().filter_map(|selector| {
        JobMarketCalls::name_by_selector(*selector).filter(|name| !VIEWS.contains(name))
    });
    let missing: Vec<_> = verbs.filter(|name| !tally.verbs.contains_key(name)).collect();
    assert!(missing.is_empty(), "never succeeded: {missing:?}");

    let events = JobMarketEvents::SELECTORS.iter();
    let names = events.filter_map(|selector| JobMarketEvents::name_by_selector(*selector));
    let missing: Vec<_> = names
        .filter(|name| *name != "EIP712DomainChanged" && !tally.events.contains_key(name))
        .collect();
    assert!(missing.is_empty(), "never emitted: {missing:?}");

    for selector in JobMarketErrors::SELECTORS {
        let name = JobMarketErrors::name_by_selector(*selector).unwrap();
        let unmet = UNMET.iter().any(|(unmet, _)| *unmet == name);
        let met = tally.errors.contains_key(name);
        assert!(met != unmet, "{name}: {}", if met { "is met" } else { "is never met" });
    }
}

/// The histories tell the real contract from one with a bug, for every bug that anybody has thought of.
#[test]
fn the_usual_histories_show_every_bug_of_a_contract() {
    let domain = Domain { chain_id: 1, contract: Address::repeat_byte(1) };
    let tokens = [COIN, Address::repeat_byte(2), Address::repeat_byte(3)];
    let cast = Cast::new(domain, tokens);
    let histories: Vec<Vec<Step>> =
        SEEDS.map(|seed| author::write(&cast, seed, START, STEPS)).collect();
    let views = View::all(&cast);
    let shows = |steps: &[Step], flaw: Flaw| {
        let (mut sound, mut flawed) = (cast.model(), cast.model());
        flawed.flaw = Some(flaw);
        steps.iter().any(|step| {
            let outcome = author::apply(&mut sound, step);
            let differs = outcome != author::apply(&mut flawed, step);
            let tell = |model: &Contract| -> Vec<Vec<U256>> {
                views.iter().map(|view| view.expected(model, &cast)).collect()
            };
            differs || (outcome.is_ok() && tell(&sound) != tell(&flawed))
        })
    };
    let flaws = Plant::ALL.iter().filter_map(|plant| plant.flaw());
    let unseen: Vec<Flaw> =
        flaws.filter(|flaw| !histories.iter().any(|steps| shows(steps, *flaw))).collect();
    assert!(unseen.is_empty(), "no history shows {unseen:?}");
}
