//! Figures of the market and of a provider, from rows that were loaded before: sums, counts and medians of what is
//! stored, and nothing where there is nothing. Pure.

use std::collections::BTreeMap;

use gristmill_market::node::{Mode, Node, Standing};
use gristmill_protocol::Address;
use gristmill_protocol::api::{
    MARKET_DAYS, MarketClass, MarketDay, MarketView, ProviderDay, ProviderView, TokenSum,
};
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::money::Amount;
use gristmill_protocol::time::Timestamp;

use crate::store::payments::{Beginning, Payment, Unpaid};

const DAY_MS: u64 = 86_400_000;
/// Classes of GPUs that are told apart: model names are whatever nodes report.
const CLASSES_MAX: usize = 200;
/// The class of nodes without a GPU.
const CPU: &str = "cpu";

/// What the view of the market is computed from.
#[derive(Debug, Default)]
pub(crate) struct MarketFacts {
    pub nodes: Vec<Node>,
    pub waiting_jobs: u64,
    pub running_jobs: u64,
    pub payments: Vec<Payment>,
    pub refunds: Vec<Timestamp>,
    pub beginnings: Vec<Beginning>,
    /// There is more than what was loaded.
    pub truncated: bool,
}

/// What a provider's view is computed from.
#[derive(Debug, Default)]
pub(crate) struct ProviderFacts {
    pub nodes: usize,
    pub failed: usize,
    pub payments: Vec<Payment>,
    pub unpaid: Vec<Unpaid>,
    /// There is more than what was loaded.
    pub truncated: bool,
}

/// The first of `days` days that end with today, in UTC.
pub(crate) fn first_day(now: Timestamp, days: u32) -> Timestamp {
    Timestamp(day_of(now).0.saturating_sub(u64::from(days.saturating_sub(1)) * DAY_MS))
}

fn day_of(at: Timestamp) -> Timestamp {
    Timestamp(at.0 / DAY_MS * DAY_MS)
}

/// A model and its memory in bytes.
type ClassKey = (String, u64);

#[derive(Default)]
struct Class {
    nodes_online: u32,
    gpus_online: u32,
    gpus_idle: u32,
    price_floors: Vec<Amount>,
    paid: Vec<Amount>,
    jobs_settled: u32,
}

#[derive(Default)]
struct Day {
    created: u32,
    settled: u32,
    refunded: u32,
    paid: Amount,
    start_ms: Vec<u64>,
}

/// The market as a whole.
pub(crate) fn market(facts: MarketFacts, now: Timestamp) -> MarketView {
    let mut view = MarketView {
        as_of_ms: now,
        truncated: facts.truncated,
        nodes_online: 0,
        nodes_total: 0,
        gpus_online: 0,
        gpus_idle: 0,
        classes: Vec::new(),
        waiting_jobs: facts.waiting_jobs,
        running_jobs: facts.running_jobs,
        days: Vec::new(),
    };
    let mut classes: BTreeMap<ClassKey, Class> = BTreeMap::new();
    for node in facts.nodes.iter().filter(|node| node.standing != Standing::Revoked) {
        view.nodes_total += 1;
        add_node(&mut classes, node);
        if is_online(node) {
            view.nodes_online += 1;
        }
    }
    let class_of_node: BTreeMap<NodeId, Option<ClassKey>> =
        facts.nodes.iter().map(|node| (node.id, only_class(node))).collect();
    for payment in &facts.payments {
        let class = match (payment.gpus, payment.node) {
            (Some(0), _) => Some((CPU.to_owned(), 0)),
            (Some(_), Some(node)) => class_of_node.get(&node).cloned().flatten(),
            (Some(_), None) | (None, _) => None,
        };
        let Some(class) = class else { continue };
        let class = classes.entry(class).or_default();
        class.jobs_settled += 1;
        if payment.token.is_zero() {
            class.paid.push(payment.amount);
        }
    }
    view.gpus_online = classes.values().map(|class| class.gpus_online).sum();
    view.gpus_idle = classes.values().map(|class| class.gpus_idle).sum();
    view.truncated |= classes.len() > CLASSES_MAX;
    view.classes = largest(classes);
    view.days = days(&facts, now);
    view
}

fn is_online(node: &Node) -> bool {
    node.standing == Standing::Good && node.mode != Mode::Offline
}

/// Counts a node and its GPUs in their classes; a node with GPUs of several classes counts in each.
fn add_node(classes: &mut BTreeMap<ClassKey, Class>, node: &Node) {
    let free = node.free();
    let takes_work = is_online(node) && node.mode == Mode::Online;
    let mut keys = Vec::new();
    for (position, gpu) in (0_u8..).zip(&node.offer.gpus) {
        let key = (gpu.model.clone(), gpu.vram_bytes);
        let class = classes.entry(key.clone()).or_default();
        if is_online(node) {
            class.gpus_online += 1;
        }
        if takes_work && free.gpus.contains(&position) {
            class.gpus_idle += 1;
        }
        keys.push(key);
    }
    if keys.is_empty() {
        keys.push((CPU.to_owned(), 0));
    }
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let class = classes.entry(key).or_default();
        if is_online(node) {
            class.nodes_online += 1;
            if node.offer.token.is_zero() {
                class.price_floors.push(node.offer.price_floor);
            }
        }
    }
}

/// The class of all GPUs of a node, if there is only one.
fn only_class(node: &Node) -> Option<ClassKey> {
    let first = node.offer.gpus.first()?;
    let is_same = |gpu: &gristmill_protocol::api::Gpu| {
        gpu.model == first.model && gpu.vram_bytes == first.vram_bytes
    };
    node.offer.gpus.iter().all(is_same).then(|| (first.model.clone(), first.vram_bytes))
}

/// By name; where there are too many, those that have the most.
fn largest(classes: BTreeMap<ClassKey, Class>) -> Vec<MarketClass> {
    let mut classes: Vec<(ClassKey, Class)> = classes.into_iter().collect();
    if classes.len() > CLASSES_MAX {
        classes.sort_by_key(|(_, class)| {
            std::cmp::Reverse((class.gpus_online, class.nodes_online, class.jobs_settled))
        });
        classes.truncate(CLASSES_MAX);
        classes.sort_by(|(left, _), (right, _)| left.cmp(right));
    }
    let view = |((model, vram_bytes), class): (ClassKey, Class)| MarketClass {
        model,
        vram_bytes,
        nodes_online: class.nodes_online,
        gpus_online: class.gpus_online,
        gpus_idle: class.gpus_idle,
        price_floor_min: class.price_floors.iter().min().copied(),
        price_floor_median: percentile(class.price_floors, 50),
        paid_median: percentile(class.paid, 50),
        jobs_settled: class.jobs_settled,
    };
    classes.into_iter().map(view).collect()
}

fn days(facts: &MarketFacts, now: Timestamp) -> Vec<MarketDay> {
    let first = first_day(now, MARKET_DAYS);
    let mut days: BTreeMap<Timestamp, Day> = (0..u64::from(MARKET_DAYS))
        .map(|day| (first.plus_millis(day * DAY_MS), Day::default()))
        .collect();
    // What is outside, such as from a clock that went back, belongs to no day of these.
    let mut on = |at: Timestamp, count: &dyn Fn(&mut Day)| {
        if let Some(day) = days.get_mut(&day_of(at)) {
            count(day);
        }
    };
    for beginning in &facts.beginnings {
        on(beginning.created_at, &|day| {
            day.created += 1;
            if let (Some(funded_at), Some(started_at)) = (beginning.funded_at, beginning.started_at)
            {
                day.start_ms.push(started_at.millis_since(funded_at));
            }
        });
    }
    for payment in &facts.payments {
        on(payment.at, &|day| {
            day.settled += 1;
            if payment.token.is_zero() {
                day.paid = sum(day.paid, payment.amount);
            }
        });
    }
    for at in &facts.refunds {
        on(*at, &|day| day.refunded += 1);
    }
    let view = |(day_ms, day): (Timestamp, Day)| MarketDay {
        day_ms,
        created: day.created,
        settled: day.settled,
        refunded: day.refunded,
        paid: day.paid,
        start_ms_median: percentile(day.start_ms.clone(), 50),
        start_ms_p90: percentile(day.start_ms, 90),
    };
    days.into_iter().map(view).collect()
}

/// One provider.
pub(crate) fn provider(address: Address, facts: &ProviderFacts) -> ProviderView {
    let mut earned: BTreeMap<Address, (Amount, u32)> = BTreeMap::new();
    let mut days: BTreeMap<(Timestamp, Address), (Amount, u32)> = BTreeMap::new();
    let mut waiting: BTreeMap<Address, (Amount, u32)> = BTreeMap::new();
    let add = |entry: &mut (Amount, u32), amount: Amount| {
        *entry = (sum(entry.0, amount), entry.1 + 1);
    };
    for payment in &facts.payments {
        add(earned.entry(payment.token).or_default(), payment.amount);
        add(days.entry((day_of(payment.at), payment.token)).or_default(), payment.amount);
    }
    for unpaid in &facts.unpaid {
        add(waiting.entry(unpaid.token).or_default(), unpaid.amount);
    }
    let sums = |sums: BTreeMap<Address, (Amount, u32)>| {
        sums.into_iter().map(|(token, (amount, jobs))| TokenSum { token, amount, jobs }).collect()
    };
    ProviderView {
        address,
        nodes: count(facts.nodes),
        jobs_settled: count(facts.payments.len()),
        jobs_failed: count(facts.failed),
        truncated: facts.truncated,
        earned: sums(earned),
        days: days
            .into_iter()
            .map(|((day_ms, token), (amount, jobs))| ProviderDay { day_ms, token, amount, jobs })
            .collect(),
        waiting: sums(waiting),
    }
}

fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// No more money exists than fits; a hostile token may say otherwise, and then the sum stays at its end.
fn sum(left: Amount, right: Amount) -> Amount {
    left.checked_add(right).unwrap_or(Amount(u128::MAX))
}

/// The least value that at least `percent` of all values do not exceed.
fn percentile<T: Ord + Copy>(mut values: Vec<T>, percent: usize) -> Option<T> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
#[path = "statistics_tests.rs"]
mod tests;
