//! Tests of the figures: what is counted, and what is not.

use gristmill_market::node::Held;
use gristmill_protocol::api::Gpu;
use gristmill_protocol::ids::{AttemptNumber, JobId};

use super::*;
use crate::samples::{self, NOW};

const TOKEN: Address = Address::repeat_byte(0x70);

fn node(byte: u8, models: &[&str], change: impl FnOnce(&mut Node)) -> Node {
    let mut node = samples::idle_node(byte);
    let gpu = |model: &&str| Gpu {
        model: (*model).to_owned(),
        vram_bytes: 24 << 30,
        compute_capability: None,
    };
    node.offer.gpus = models.iter().map(gpu).collect();
    node.offer.price_floor = Amount(u128::from(byte));
    change(&mut node);
    node
}

fn payment(node: u8, gpus: u32, amount: u128) -> Payment {
    Payment {
        job: JobId::default(),
        at: NOW,
        provider: Address::repeat_byte(1),
        token: Address::ZERO,
        amount: Amount(amount),
        node: Some(samples::node_id(node)),
        gpus: Some(gpus),
    }
}

fn class<'v>(view: &'v MarketView, model: &str) -> &'v MarketClass {
    view.classes.iter().find(|class| class.model == model).unwrap()
}

#[test]
fn only_nodes_that_can_work_are_supply() {
    let busy = |node: &mut Node| {
        let held = Held {
            attempt: AttemptNumber(1),
            token: samples::token(1),
            cpu_millis: 1,
            memory_bytes: 1,
            disk_bytes: 1,
            gpus: vec![1],
        };
        node.holding.insert(JobId::default(), held);
    };
    let nodes = vec![
        node(1, &["A", "A"], busy),
        node(2, &["A", "B"], |_| {}),
        node(3, &["A"], |node| node.mode = Mode::Offline),
        node(4, &["A"], |node| node.mode = Mode::Draining),
        node(5, &["A"], |node| node.standing = Standing::NotApproved),
        node(6, &["A"], |node| node.standing = Standing::Revoked),
        node(7, &[], |_| {}),
        node(8, &["B"], |node| node.offer.token = TOKEN),
    ];
    let view = market(MarketFacts { nodes, ..MarketFacts::default() }, NOW);
    assert_eq!((view.nodes_online, view.nodes_total), (5, 7), "a revoked node is none");
    assert_eq!((view.gpus_online, view.gpus_idle), (6, 4));
    let models: Vec<&str> = view.classes.iter().map(|class| class.model.as_str()).collect();
    assert_eq!(models, ["A", "B", "cpu"]);
    let a = class(&view, "A");
    assert_eq!((a.nodes_online, a.gpus_online, a.gpus_idle), (3, 4, 2));
    assert_eq!((a.price_floor_min, a.price_floor_median), (Some(Amount(1)), Some(Amount(2))));
    let b = class(&view, "B");
    assert_eq!((b.nodes_online, b.gpus_online, b.gpus_idle), (2, 2, 2));
    assert_eq!(b.price_floor_min, Some(Amount(2)), "a floor in another token is no price here");
    let cpu = class(&view, "cpu");
    assert_eq!((cpu.nodes_online, cpu.gpus_online, cpu.vram_bytes), (1, 0, 0));
    assert_eq!((cpu.paid_median, cpu.jobs_settled), (None, 0), "what nobody paid is no price");
}

#[test]
fn a_price_belongs_to_a_class_only_where_that_is_certain() {
    let nodes = vec![node(1, &["A"], |_| {}), node(2, &["A", "B"], |_| {}), node(3, &[], |_| {})];
    let payments = vec![
        payment(1, 1, 10),
        payment(1, 1, 30),
        payment(1, 1, 20),
        Payment { token: TOKEN, ..payment(1, 1, 9999) },
        // On a node with two classes, and on one that is not known any more.
        payment(2, 1, 500),
        payment(9, 1, 500),
        Payment { gpus: None, ..payment(1, 1, 500) },
        // A job without a GPU, on a node that has one.
        payment(1, 0, 3),
    ];
    let view = market(MarketFacts { nodes, payments, ..MarketFacts::default() }, NOW);
    let a = class(&view, "A");
    assert_eq!((a.paid_median, a.jobs_settled), (Some(Amount(20)), 4));
    let b = class(&view, "B");
    assert_eq!((b.paid_median, b.jobs_settled), (None, 0));
    let cpu = class(&view, "cpu");
    assert_eq!((cpu.paid_median, cpu.jobs_settled), (Some(Amount(3)), 1));
}

#[test]
fn every_day_is_there_once_and_holds_what_happened_on_it() {
    let day = |ago: u64| Timestamp(NOW.0 - ago * DAY_MS);
    let begun = |ago, waited_ms| Beginning {
        created_at: day(ago),
        funded_at: Some(day(ago)),
        started_at: Some(day(ago).plus_millis(waited_ms)),
    };
    let facts = MarketFacts {
        payments: vec![
            payment(1, 0, 5),
            payment(1, 0, 6),
            Payment { token: TOKEN, ..payment(1, 0, 1000) },
            Payment { at: day(1), ..payment(1, 0, 7) },
            Payment { at: day(30), ..payment(1, 0, 7) },
        ],
        refunds: vec![day(29), day(30)],
        beginnings: vec![
            begun(1, 10),
            begun(1, 30),
            begun(1, 20),
            Beginning { started_at: None, ..begun(1, 0) },
            begun(31, 10),
        ],
        ..MarketFacts::default()
    };
    let view = market(facts, NOW);
    assert_eq!(view.days.len(), 30);
    assert!(view.days.windows(2).all(|two| two[0].day_ms.plus_millis(DAY_MS) == two[1].day_ms));
    let (today, yesterday, oldest) = (&view.days[29], &view.days[28], &view.days[0]);
    assert_eq!(today.day_ms, day_of(NOW));
    assert_eq!((today.settled, today.paid), (3, Amount(11)), "other tokens are not coins");
    assert_eq!((today.created, today.start_ms_median), (0, None));
    assert_eq!((yesterday.created, yesterday.settled, yesterday.paid), (4, 1, Amount(7)));
    assert_eq!((yesterday.start_ms_median, yesterday.start_ms_p90), (Some(20), Some(30)));
    assert_eq!((oldest.refunded, oldest.settled), (1, 0), "nothing from before");
}

#[test]
fn a_providers_money_is_summed_by_token_and_day() {
    let facts = ProviderFacts {
        nodes: 2,
        failed: 1,
        payments: vec![
            payment(1, 0, 5),
            payment(2, 0, 6),
            Payment { token: TOKEN, ..payment(1, 0, u128::MAX) },
            Payment { token: TOKEN, ..payment(1, 0, 1) },
            Payment { at: Timestamp(NOW.0 - DAY_MS), ..payment(1, 0, 7) },
        ],
        unpaid: vec![Unpaid { token: TOKEN, amount: Amount(4) }],
        truncated: false,
    };
    let view = provider(samples::PROVIDER, &facts);
    assert_eq!((view.nodes, view.jobs_settled, view.jobs_failed), (2, 5, 1));
    let sum = |token, amount, jobs| TokenSum { token, amount: Amount(amount), jobs };
    assert_eq!(view.earned, [sum(Address::ZERO, 18, 3), sum(TOKEN, u128::MAX, 2)]);
    assert_eq!(view.waiting, [sum(TOKEN, 4, 1)]);
    let days: Vec<_> = view.days.iter().map(|day| (day.token, day.amount.0, day.jobs)).collect();
    assert_eq!(days, [(Address::ZERO, 7, 1), (Address::ZERO, 11, 2), (TOKEN, u128::MAX, 2)]);
}

#[test]
fn model_names_are_not_counted_without_end() {
    let nodes = (0..u8::MAX).flat_map(|byte| {
        let models = [format!("A{byte}"), format!("B{byte}")];
        [node(byte, &[models[0].as_str(), models[1].as_str()], |_| {})]
    });
    let view = market(MarketFacts { nodes: nodes.collect(), ..MarketFacts::default() }, NOW);
    assert_eq!((view.classes.len(), view.truncated), (CLASSES_MAX, true));
    assert_eq!(view.gpus_online, 510, "the sums are of all");
}

#[test]
fn percentiles_are_values_that_were_there() {
    assert_eq!(percentile(Vec::<u64>::new(), 50), None);
    assert_eq!(percentile(vec![5], 90), Some(5));
    assert_eq!(percentile(vec![4, 1, 3, 2], 50), Some(2));
    assert_eq!(percentile((1..=100).collect(), 90), Some(90));
}
