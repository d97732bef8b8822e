//! Who gets what: constraints, strategies, and the explanation of a job that waits.

use gristmill_market::demand::Demand;
use gristmill_market::explain::{explain, preview, suggest};
use gristmill_market::job::Job;
use gristmill_market::matching::{Ask, Constraint, Moment, choose_job, choose_node, fits};
use gristmill_market::node::{Mode, Node, Standing};
use gristmill_market::reputation::{Deed, Reputation};
use gristmill_protocol::Address;
use gristmill_protocol::api::{Gpu, Offer};
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::{RuntimeKind, Strategy as Choice};
use gristmill_protocol::time::Timestamp;
use proptest::prelude::*;

use crate::stage::{Stage, job_id, node_id, offer, provider, spec};

const GIB: u64 = 1 << 30;
const NOW: Moment =
    Moment { now: Timestamp(1_000_000), silence_ms: 15_000, newcomer_pay_max: None };

fn node(byte: u8, offer: Offer) -> Node {
    Node {
        id: node_id(byte),
        provider: provider(byte),
        offer,
        mode: Mode::Online,
        standing: Standing::Good,
        holding: Default::default(),
        registered_at: Timestamp(0),
        heard_at: NOW.now,
        last_assigned_at: Timestamp(0),
        failures_in_a_row: 0,
        rest_until: Timestamp(0),
        attempts_accepted: 0,
        attempts_failed: 0,
        reputation: Reputation::default(),
        due_at: None,
    }
}

fn demand() -> Demand {
    Demand::of(&spec()).unwrap()
}

fn ask(demand: &Demand, pay: u128) -> Ask<'_> {
    Ask { demand, pay: Amount(pay), bond: Amount(40), token: Address::ZERO, excluded: &[] }
}

/// A constraint, and what breaks it.
type Break = (Constraint, fn(&mut Node));

/// Each constraint, broken alone, is the one that is reported.
#[test]
fn each_constraint_stands_for_itself() {
    let mut demand = demand();
    demand.resources.gpus = 1;
    demand.resources.gpu_models = vec!["RTX 4090".into()];
    demand.resources.vram_bytes = 20 * GIB;
    demand.resources.compute_capability = Some("8.9".into());
    let gpu = Gpu {
        model: "NVIDIA GeForce RTX 4090".into(),
        vram_bytes: 24 * GIB,
        compute_capability: Some("8.10".into()),
    };
    let mut good = node(1, Offer { gpus: vec![gpu.clone()], price_floor: Amount(950), ..offer() });
    // At every limit it still fits.
    good.heard_at = Timestamp(NOW.now.0 - 15_000);
    good.rest_until = NOW.now;
    assert!(fits(&ask(&demand, 950), &good, NOW));

    let breaks: &[Break] = &[
        (Constraint::Online, |node| node.mode = Mode::Draining),
        (Constraint::Online, |node| node.heard_at = Timestamp(NOW.now.0 - 15_001)),
        (Constraint::Standing, |node| node.standing = Standing::Revoked),
        (Constraint::Rested, |node| node.rest_until = Timestamp(NOW.now.0 + 1)),
        (Constraint::Runtime, |node| node.offer.runtimes = vec![RuntimeKind::Docker]),
        (Constraint::Token, |node| node.offer.token = Address::repeat_byte(1)),
        (Constraint::Price, |node| node.offer.price_floor = Amount(951)),
        (Constraint::Bond, |node| node.offer.bond_max = Amount(39)),
        (Constraint::RunTime, |node| node.offer.max_run_seconds = 99),
        (Constraint::Cpu, |node| node.offer.cpu_millis = 999),
        (Constraint::Memory, |node| node.offer.memory_bytes = 1),
        (Constraint::Disk, |node| node.offer.disk_bytes = 1),
        (Constraint::Gpus, |node| node.offer.gpus.clear()),
        (Constraint::GpuModel, |node| node.offer.gpus[0].model = "NVIDIA RTX 4080".into()),
        (Constraint::Vram, |node| node.offer.gpus[0].vram_bytes = 16 * GIB),
        (Constraint::ComputeCapability, |node| {
            node.offer.gpus[0].compute_capability = Some("8.6".into())
        }),
        (Constraint::ComputeCapability, |node| node.offer.gpus[0].compute_capability = None),
    ];
    for (constraint, spoil) in breaks {
        let mut node = good.clone();
        spoil(&mut node);
        let missed = Constraint::ALL
            .iter()
            .find(|constraint| !constraint.is_met(&ask(&demand, 950), &node, NOW));
        assert_eq!(missed, Some(constraint));
        assert!(!fits(&ask(&demand, 950), &node, NOW));
    }
    let excluded = [node_id(1)];
    let tried = Ask { excluded: &excluded, ..ask(&demand, 950) };
    assert!(!Constraint::Untried.is_met(&tried, &good, NOW));
}

#[test]
fn a_gpu_must_have_everything_at_once() {
    let mut demand = demand();
    demand.resources.gpus = 1;
    demand.resources.gpu_models = vec!["A100".into()];
    demand.resources.vram_bytes = 60 * GIB;
    let gpu = |model: &str, gib: u64| Gpu {
        model: model.into(),
        vram_bytes: gib * GIB,
        compute_capability: None,
    };
    let split = node(
        1,
        Offer { gpus: vec![gpu("NVIDIA A100-SXM4-40GB", 40), gpu("NVIDIA H100", 80)], ..offer() },
    );
    assert!(!fits(&ask(&demand, 950), &split, NOW), "the model on one, the memory on the other");
    let whole = node(2, Offer { gpus: vec![gpu("NVIDIA A100-SXM4-80GB", 80)], ..offer() });
    assert!(fits(&ask(&demand, 950), &whole, NOW));
}

#[test]
fn a_model_is_found_by_whole_words() {
    let mut demand = demand();
    demand.resources.gpus = 1;
    for (asked, has, found) in [
        ("L4", "NVIDIA L4", true),
        ("L4", "NVIDIA L40", false),
        ("rtx 4090", "NVIDIA GeForce RTX 4090", true),
        ("RTX 409", "NVIDIA GeForce RTX 4090", false),
        ("A100", "NVIDIA A100-SXM4-80GB", true),
        ("4090 RTX", "NVIDIA GeForce RTX 4090", false),
    ] {
        demand.resources.gpu_models = vec![asked.into()];
        let gpu = Gpu { model: has.into(), vram_bytes: GIB, compute_capability: None };
        let node = node(1, Offer { gpus: vec![gpu], ..offer() });
        assert_eq!(fits(&ask(&demand, 950), &node, NOW), found, "{asked} in {has}");
    }
}

#[test]
fn strategies_choose_differently() {
    let demand = demand();
    let mut nodes = [
        node(1, Offer { cpu_millis: 1000, price_floor: Amount(300), ..offer() }),
        node(2, Offer { cpu_millis: 8000, price_floor: Amount(100), ..offer() }),
        node(3, Offer { cpu_millis: 4000, price_floor: Amount(200), ..offer() }),
    ];
    nodes[0].last_assigned_at = Timestamp(7);
    nodes[1].last_assigned_at = Timestamp(9);
    nodes[2].last_assigned_at = Timestamp(5);
    let chosen = |strategy| choose_node(&ask(&demand, 950), &nodes, strategy, NOW).unwrap().id;
    assert_eq!(chosen(Choice::BestFit), node_id(1));
    assert_eq!(chosen(Choice::Cheapest), node_id(2));
    assert_eq!(chosen(Choice::RoundRobin), node_id(3));
    assert!(
        choose_node(&ask(&demand, 99), &nodes, Choice::Cheapest, NOW).is_none(),
        "below every floor"
    );
}

fn with_past(mut node: Node, deeds: &[Deed]) -> Node {
    for deed in deeds {
        node.reputation.note(*deed, NOW.now);
    }
    node
}

#[test]
fn the_best_reputation_wins_and_a_newcomer_stands_between_good_and_bad() {
    let demand = demand();
    let chosen = |nodes: &[Node]| {
        choose_node(&ask(&demand, 950), nodes, Choice::Reputation, NOW).map(|node| node.id)
    };
    let newcomer = node(1, offer());
    let good = with_past(node(2, offer()), &[Deed::Accepted; 3]);
    let bad = with_past(node(3, offer()), &[Deed::Accepted, Deed::Rejected]);
    assert_eq!(chosen(&[newcomer.clone(), good.clone(), bad.clone()]), Some(good.id));
    assert_eq!(chosen(&[bad.clone(), newcomer.clone()]), Some(newcomer.id));
    assert_eq!(chosen(std::slice::from_ref(&bad)), Some(bad.id), "better than none");
    // Among equals the one that has waited longest, or the first of many would get everything.
    let other = Node { last_assigned_at: Timestamp(5), ..node(4, offer()) };
    let busier = Node { last_assigned_at: Timestamp(7), ..newcomer };
    assert_eq!(chosen(&[busier, other.clone()]), Some(other.id));
}

#[test]
fn a_newcomer_gets_small_jobs_first() {
    let demand = demand();
    let careful = Moment { newcomer_pay_max: Some(Amount(500)), ..NOW };
    let newcomer = node(1, offer());
    let known = with_past(node(2, offer()), &[Deed::Accepted; 3]);
    for (pay, node, expected) in
        [(500, &newcomer, true), (501, &newcomer, false), (501, &known, true)]
    {
        let met = Constraint::Record.is_met(&ask(&demand, pay), node, careful);
        assert_eq!(met, expected, "{pay} for {:?}", node.reputation);
        assert!(Constraint::Record.is_met(&ask(&demand, pay), node, NOW), "no limit, no rule");
    }
    // What they know fades, and with it the trust.
    let later = Moment { now: NOW.now.plus_seconds(90 * 86_400), ..careful };
    assert!(!Constraint::Record.is_met(&ask(&demand, 501), &known, later));

    let mut stage = Stage::new();
    stage.create();
    stage.open();
    let large_and_old = stage.job().clone();
    let mut small_and_new = large_and_old.clone();
    small_and_new.id = job_id(9);
    small_and_new.queued_at = large_and_old.queued_at.plus_seconds(60);
    small_and_new.terms.bounty.0 /= 2;
    let jobs = [large_and_old, small_and_new];
    let moment = Moment { now: stage.now, ..NOW };
    let chosen = |deeds: &[Deed]| {
        let mut node = Node { heard_at: stage.now, ..node(1, offer()) };
        deeds.iter().for_each(|deed| node.reputation.note(*deed, stage.now));
        choose_job(&node, &jobs, moment).map(|job| job.id)
    };
    assert_eq!(chosen(&[Deed::Accepted; 2]), Some(jobs[1].id));
    let known = chosen(&[Deed::Accepted; 3]);
    assert_eq!(known, Some(jobs[0].id), "who is known serves who has waited longest");
}

#[test]
fn best_fit_keeps_gpus_for_those_who_need_them() {
    let gpu = Gpu { model: "NVIDIA L4".into(), vram_bytes: GIB, compute_capability: None };
    let nodes = [
        node(1, Offer { gpus: vec![gpu.clone()], cpu_millis: 1000, ..offer() }),
        node(2, Offer { cpu_millis: 64_000, ..offer() }),
    ];
    let demand = demand();
    let chosen = choose_node(&ask(&demand, 950), &nodes, Choice::BestFit, NOW).unwrap();
    assert_eq!(chosen.id, node_id(2));
}

fn job_that_asks(demand: Demand, pay: u128) -> Job {
    let mut stage = Stage::new();
    stage.create();
    stage.open();
    let mut job = stage.job().clone();
    job.terms.bounty = Amount(pay);
    job.terms.fee = Amount(0);
    job.demand = Some(demand);
    job
}

#[test]
fn an_explanation_counts_and_suggests() {
    let policy = gristmill_market::Policy::new(crate::stage::SCHEDULER);
    let mut demand = demand();
    demand.resources.memory_bytes = 6 * GIB;
    let job = job_that_asks(demand.clone(), 950);
    let nodes = [
        node(1, offer()),
        node(2, Offer { memory_bytes: 5 * GIB, ..offer() }),
        node(3, Offer { memory_bytes: 8 * GIB, price_floor: Amount(5000), ..offer() }),
        node(4, Offer { runtimes: vec![RuntimeKind::Docker], ..offer() }),
    ];
    let explanation = explain(&job, &nodes, &policy, NOW.now);
    assert_eq!((explanation.nodes_total, explanation.nodes_matching), (4, 0));
    let removed: Vec<_> =
        explanation.removed.iter().map(|one| (one.constraint.as_str(), one.nodes)).collect();
    assert_eq!(removed, vec![("runtime", 1), ("price", 1), ("memory", 3)]);
    let suggestion = explanation.suggestion.unwrap();
    assert!(
        suggestion.contains("lower memory_bytes from 6442450944 to 5368709120"),
        "{suggestion}"
    );
    assert_eq!(explanation.summary, "No node fits.");
    assert_eq!(explain(&job, &[], &policy, NOW.now).summary, "No node is registered here.");
}

#[test]
fn a_suggestion_may_need_two_models() {
    let mut demand = demand();
    demand.resources.gpus = 2;
    demand.resources.gpu_models = vec!["H100".into()];
    let gpu = |model: &str| Gpu { model: model.into(), vram_bytes: GIB, compute_capability: None };
    let mixed = node(1, Offer { gpus: vec![gpu("NVIDIA L4"), gpu("NVIDIA T4")], ..offer() });
    let suggestion = suggest(&ask(&demand, 950), [&mixed], NOW).unwrap();
    assert_eq!(suggestion.changes.len(), 2, "{:?}", suggestion.changes);
    // A job for GPUs is not told to do without.
    let bare = node(2, offer());
    assert_eq!(suggest(&ask(&demand, 950), [&bare], NOW), None);
}

#[test]
fn a_busy_node_is_worth_waiting_for() {
    let policy = gristmill_market::Policy::new(crate::stage::SCHEDULER);
    let job = job_that_asks(demand(), 950);
    let mut busy = node(1, offer());
    let held = gristmill_market::node::Held {
        attempt: gristmill_protocol::ids::AttemptNumber(1),
        token: Default::default(),
        cpu_millis: 2000,
        memory_bytes: 0,
        disk_bytes: 0,
        gpus: vec![],
    };
    busy.holding.insert(crate::stage::job_id(9), held);
    let cheap = node(2, Offer { price_floor: Amount(951), ..offer() });
    let explanation = explain(&job, &[busy, cheap], &policy, NOW.now);
    assert_eq!(explanation.suggestion.as_deref(), Some("wait: 1 node fits and is busy"));
    assert_eq!(explanation.summary, "Every node that fits is busy.");
}

#[test]
fn a_preview_says_of_a_job_what_will_be_said_when_it_waits() {
    let policy = gristmill_market::Policy::new(crate::stage::SCHEDULER);
    let nodes = [
        node(1, Offer { price_floor: Amount(3000), ..offer() }),
        node(2, Offer { price_floor: Amount(1000), ..offer() }),
        node(3, Offer { price_floor: Amount(2000), ..offer() }),
        node(4, Offer { price_floor: Amount(4000), ..offer() }),
        // Neither of these would take it at any price.
        node(5, Offer { price_floor: Amount(1), runtimes: vec![RuntimeKind::Docker], ..offer() }),
        Node { mode: Mode::Draining, ..node(6, offer()) },
    ];
    let ask = |pay: u128, nodes: &[Node]| {
        let terms = gristmill_protocol::terms::Terms {
            bounty: Amount(pay + 50),
            fee: Amount(50),
            deadline: NOW.now.unix_seconds() + 86_400,
            ..crate::stage::terms()
        };
        let policy = gristmill_market::Policy { fee_bps: 0, ..policy.clone() };
        preview(&terms, &spec(), nodes, &policy, NOW.now).unwrap()
    };
    for pay in [0, 950, 1000, 2500, 9999] {
        let (preview, job) = (ask(pay, &nodes), job_that_asks(demand(), pay));
        let explanation = explain(&job, &nodes, &policy, NOW.now);
        assert_eq!(preview.nodes_total, explanation.nodes_total);
        assert_eq!(preview.nodes_matching, explanation.nodes_matching, "{pay}");
        assert_eq!(preview.removed, explanation.removed, "{pay}");
        assert_eq!(preview.suggestion, explanation.suggestion, "{pay}");
        let floors = &preview.price_floors;
        assert_eq!(
            (floors.min, floors.median, floors.max),
            (Some(Amount(1000)), Some(Amount(2000)), Some(Amount(4000))),
            "whatever is paid"
        );
    }
    assert_eq!(ask(2500, &nodes).summary, "2 nodes would take it now.");
    assert_eq!(ask(1000, &nodes).summary, "1 node would take it now.");
    assert_eq!(ask(950, &nodes).summary, "No node fits.");
    let none = ask(950, &[]);
    assert_eq!((none.summary.as_str(), none.nodes_total), ("No node is registered here.", 0));
    assert_eq!(none.price_floors, Default::default());
}

#[test]
fn a_preview_says_what_would_be_refused_whatever_nodes_there_are() {
    let policy = gristmill_market::Policy {
        fee_bps: 500,
        ..gristmill_market::Policy::new(crate::stage::SCHEDULER)
    };
    let good = gristmill_protocol::terms::Terms {
        bounty: Amount(1000),
        fee: Amount(50),
        deadline: NOW.now.unix_seconds() + 86_400,
        ..crate::stage::terms()
    };
    let nodes = [node(1, Offer { price_floor: Amount(1), ..offer() })];
    let summary = |terms| preview(&terms, &spec(), &nodes, &policy, NOW.now).unwrap().summary;
    assert_eq!(summary(good), "1 node would take it now.");
    let cheap = summary(gristmill_protocol::terms::Terms { fee: Amount(49), ..good });
    assert!(cheap.starts_with("It would be refused: ") && cheap.contains("50"), "{cheap}");
    let deadline = NOW.now.unix_seconds() + 100;
    let late = summary(gristmill_protocol::terms::Terms { deadline, ..good });
    assert!(late.starts_with("It would be refused: ") && late.contains("180"), "{late}");
}

prop_compose! {
    fn any_gpu()(model in 0..3_usize, gib in 1..5_u64, capability in proptest::option::of(0..4_u8)) -> Gpu {
        Gpu {
            model: ["NVIDIA L4", "NVIDIA L40", "NVIDIA A100-SXM4-80GB"][model].into(),
            vram_bytes: gib * 8 * GIB,
            compute_capability: capability.map(|minor| format!("8.{minor}")),
        }
    }
}

prop_compose! {
    fn any_node()(
        byte in 1..250_u8, cpus in 1..9_u32, memory in 1..9_u64, disk in 1..9_u64, floor in 0..9_u128,
        gpus in proptest::collection::vec(any_gpu(), 0..4), last in 0..50_u64, run in 1..5_u32, docker: bool,
        heard in 0..20_000_u64, draining in 0..10_u8,
    ) -> Node {
        let runtimes = if docker { vec![RuntimeKind::Docker] } else { vec![RuntimeKind::Wasm] };
        let mut node = node(byte, Offer {
            runtimes, cpu_millis: cpus * 500, memory_bytes: memory * GIB / 4, disk_bytes: disk * GIB / 2, gpus,
            price_floor: Amount(floor * 100), token: Address::ZERO, max_run_seconds: run * 50, log_bytes_max: 1,
            bond_max: Amount(floor * 10),
        });
        node.last_assigned_at = Timestamp(last);
        node.heard_at = Timestamp(NOW.now.0 - heard);
        node = with_past(node, &[Deed::Accepted, Deed::Silent, Deed::GivenBack, Deed::Accepted][..byte as usize % 5]);
        node.mode = if draining == 0 { Mode::Draining } else { Mode::Online };
        node
    }
}

prop_compose! {
    fn any_demand()(
        cpus in 1..9_u32, memory in 1..9_u64, disk in 1..9_u64, gpus in 0..3_u32, model in 0..5_usize,
        vram in 0..5_u64, capability in proptest::option::of(0..4_u8), docker: bool, run in 1..5_u32,
    ) -> Demand {
        let mut demand = demand();
        demand.runtime = if docker { RuntimeKind::Docker } else { RuntimeKind::Wasm };
        demand.max_run_seconds = run * 50;
        let resources = &mut demand.resources;
        resources.cpu_millis = cpus * 500;
        resources.memory_bytes = memory * GIB / 4;
        resources.disk_bytes = disk * GIB / 2;
        resources.gpus = gpus;
        if gpus > 0 {
            resources.gpu_models = ["L4", "L40", "A100"].get(model).map(|name| (*name).to_owned()).into_iter().collect();
            resources.vram_bytes = vram * 8 * GIB;
            resources.compute_capability = capability.map(|minor| format!("8.{minor}"));
        }
        demand
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_chosen_node_fits_and_is_the_best(
        demand in any_demand(), pay in 0..1000_u128, nodes in proptest::collection::vec(any_node(), 0..12),
    ) {
        let ask = ask(&demand, pay);
        let fitting: Vec<_> = nodes.iter().filter(|node| fits(&ask, node, NOW)).collect();
        for strategy in
            [Choice::BestFit, Choice::RoundRobin, Choice::Cheapest, Choice::Reputation]
        {
            let Some(chosen) = choose_node(&ask, &nodes, strategy, NOW) else {
                prop_assert!(fitting.is_empty());
                continue;
            };
            prop_assert!(Constraint::ALL.iter().all(|constraint| constraint.is_met(&ask, chosen, NOW)));
            prop_assert!(chosen.offer.price_floor.0 <= pay);
            prop_assert!(chosen.offer.memory_bytes >= demand.resources.memory_bytes);
            match strategy {
                Choice::Cheapest => prop_assert!(
                    fitting.iter().all(|node| node.offer.price_floor >= chosen.offer.price_floor)
                ),
                Choice::RoundRobin => prop_assert!(
                    fitting.iter().all(|node| node.last_assigned_at >= chosen.last_assigned_at)
                ),
                Choice::Reputation => {
                    let permille = |node: &Node| node.reputation.permille(NOW.now);
                    prop_assert!(fitting.iter().all(|node| permille(node) <= permille(chosen)));
                }
                Choice::BestFit => prop_assert!(
                    fitting.iter().all(|node| node.offer.gpus.len() >= chosen.offer.gpus.len())
                ),
            }
            // The order in which nodes are loaded does not matter.
            let reversed: Vec<_> = nodes.iter().rev().collect();
            let again = choose_node(&ask, reversed, strategy, NOW).map(|node| node.id);
            prop_assert_eq!(again, Some(chosen.id));
        }
    }

    #[test]
    fn what_is_suggested_makes_the_job_match(
        demand in any_demand(), pay in 0..1000_u128, nodes in proptest::collection::vec(any_node(), 1..12),
    ) {
        let ask = ask(&demand, pay);
        let suggestion = suggest(&ask, &nodes, NOW);
        let matching = nodes.iter().any(|node| fits(&ask, node, NOW));
        prop_assert!(!(matching && suggestion.is_some()), "nothing to suggest where a node fits");
        if let Some(suggestion) = suggestion {
            let (mut demand, mut pay, mut bond) = (demand.clone(), Amount(pay), Amount(40));
            for change in &suggestion.changes {
                prop_assert!(!change.to_string().is_empty());
                change.apply(&mut demand, &mut pay, &mut bond);
            }
            let changed = Ask { demand: &demand, pay, bond, token: Address::ZERO, excluded: &[] };
            let node = nodes.iter().filter(|node| node.id == suggestion.node).any(|node| fits(&changed, node, NOW));
            prop_assert!(node, "{:?}", suggestion.changes);
        }
    }
}
