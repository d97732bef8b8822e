//! What each seed is about: which nodes there are, which jobs are posted, and how bad the world is.

use std::collections::BTreeMap;

use gristmill_market::Policy;
use gristmill_market::command::Command;
use gristmill_market::demand::KnownSpec;
use gristmill_market::job::Job;
use gristmill_market::node::Standing;
use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptState, EventBody, Gpu, JobState, Offer};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, SpecHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::{Funding, Order, OrderSignature, OrderTree};
use gristmill_protocol::signing::Message;
use gristmill_protocol::spec::{
    JobSpec, Network, Resources, Runtime, RuntimeKind, SPEC_VERSION, Strategy, Verification,
};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use crate::agent::{Agent, Temper, token};
use crate::book::{Book, Seen};
use crate::chain::Chain;
use crate::keys::{sign, sign_order, stand_ins};
use crate::model::{COIN, Call, Contract};
use crate::plant::Plant;
use crate::random::Random;
use crate::store::Store;
use crate::town::{Plan, Town, Treason};

/// Some instant: nothing depends on which.
pub const START: Timestamp = Timestamp(1_800_000_000_000);
const SCHEDULERS: [Address; 2] = [Address::repeat_byte(0xEE), Address::repeat_byte(0xEF)];
const ARBITER: Address = Address::repeat_byte(0xAB);
/// An ERC-20 token.
const TOKEN: Address = Address::repeat_byte(0x20);
/// What everybody has of everything in the beginning.
const FORTUNE: u128 = 1_000_000;
const GIB: u64 = 1 << 30;

/// A third of the seeds is free of faults: there every job must be settled.
#[must_use]
pub fn is_happy(seed: u64) -> bool {
    seed.is_multiple_of(3)
}

/// Builds the world of a seed.
#[must_use]
pub fn build(seed: u64, plant: Option<Plant>) -> Town {
    let mut random = Random::new(seed ^ 0xA5A5_5A5A);
    let happy = is_happy(seed);
    let mills = 1 + random.index(SCHEDULERS.len());
    let money = if random.percent(60) { COIN } else { TOKEN };
    let mut agents: Vec<Agent> = (0..random.between(2, if happy { 4 } else { 6 }))
        .map(|index| agent(&mut random, index, happy))
        .collect();
    for (index, agent) in agents.iter_mut().enumerate() {
        agent.mill = index % mills;
        agent.scheduler = SCHEDULERS[agent.mill];
        agent.offer.token = money;
    }
    let mut plans: Vec<Plan> =
        (0..random.between(1, 5)).map(|index| plan(&mut random, seed, index, happy)).collect();
    for plan in &mut plans {
        plan.mill = random.index(mills);
        plan.terms.scheduler = SCHEDULERS[plan.mill];
        let odd = !happy && random.percent(10);
        plan.terms.token = if odd { TOKEN } else { money };
    }
    let mut book = Book::default();
    prepay(&mut random, &mut plans, &mut book, happy);
    let mut contract = found(&mut random, &agents, &plans, happy, &mut book);
    contract.flaw = plant.and_then(Plant::flaw);
    let strategy = [Strategy::BestFit, Strategy::RoundRobin, Strategy::Cheapest][random.index(3)];
    let policies = SCHEDULERS.iter().take(mills).map(|scheduler| {
        let mut policy = Policy::new(*scheduler);
        policy.fee_bps = 100;
        // Blocks come every two seconds.
        policy.finality_seconds = 10;
        policy.chain_slack_seconds = 2;
        policy.strategy = strategy;
        policy
    });
    let mut town = Town::new(seed, plant, policies.collect(), Chain::new(contract, book));
    town.chaos = !happy;
    town.arbiter_rules = if random.percent(75) { 60 } else { 0 };
    town.agents = agents;
    town.plans = plans;
    town
}

/// Some submitters pay in advance, by one order for all such jobs of theirs.
fn prepay(random: &mut Random, plans: &mut [Plan], book: &mut Book, happy: bool) {
    let mut groups = BTreeMap::<(Address, Address, Address), Vec<usize>>::new();
    for (index, plan) in plans.iter().enumerate() {
        if random.percent(35) {
            let Terms { submitter, scheduler, token, .. } = plan.terms;
            groups.entry((submitter, scheduler, token)).or_default().push(index);
        }
    }
    for ((submitter, ..), group) in groups {
        let ids: Vec<JobId> = group.iter().map(|index| plans[*index].id).collect();
        let Some(tree) = OrderTree::new(&ids) else { continue };
        let valid_seconds = if happy { 5000 } else { random.between(100, 5000) };
        let expires = START.unix_seconds() + valid_seconds;
        let order = Order { root: tree.root(), epoch: 0, expires };
        book.orders.insert((submitter, order));
        let signature = OrderSignature(sign_order(submitter, &order));
        let due: u128 = group.iter().map(|index| plans[*index].terms.bounty.0).sum();
        for (position, index) in group.iter().enumerate() {
            let Some(path) = tree.path(position) else { continue };
            let plan = &mut plans[*index];
            plan.funding = Some(Funding { order, signature: signature.clone(), path });
            plan.posts = true;
            plan.open_at = None;
            if position == 0 {
                plan.deposit = if happy || random.percent(85) { due } else { due / 2 };
            }
            if !happy {
                plan.careless = random.percent(20);
                let treason =
                    [Treason::Revoke, Treason::Withdraw, Treason::Forbid][random.index(3)];
                let at = START.plus_seconds(random.between(5, 900));
                plan.treason = random.percent(35).then_some((at, treason));
            }
        }
    }
}

/// The contract on its first day: nodes are enrolled, schedulers approved, and bonds paid in.
fn found(
    random: &mut Random,
    agents: &[Agent],
    plans: &[Plan],
    happy: bool,
    book: &mut Book,
) -> Contract {
    let mut contract = Contract::new(stand_ins());
    let parties = agents
        .iter()
        .map(|agent| agent.provider)
        .chain(plans.iter().map(|plan| plan.terms.submitter))
        .chain(SCHEDULERS);
    for party in parties.collect::<std::collections::BTreeSet<_>>() {
        for token in [COIN, TOKEN] {
            contract.fund(party, token, FORTUNE);
            contract.allow(party, token, u128::MAX);
            contract.set_refusing(party, token, random.percent(8));
        }
    }
    let now = START.unix_seconds();
    let mut act = |caller: Address, call: Call, value: u128| {
        let before = contract.clone();
        if let Ok(events) = contract.execute(caller, &call, value, now) {
            let seen = Seen { caller, call: &call, events: &events, now };
            // What is wrong here is wrong later, too, and found there.
            let _ = book.audit(&seen, &before, &contract);
        }
    };
    for agent in agents {
        let Agent { id: node, provider, scheduler, .. } = *agent;
        let expires = now + 60;
        let signature = sign(node.0, &Message::Enroll { node, provider, expires });
        act(provider, Call::Enroll { node, expires, signature }, 0);
        let bond_limit = if happy { 10_000 } else { random.between(100, 1500).into() };
        for token in [COIN, TOKEN] {
            act(provider, Call::ApproveScheduler { scheduler, token, bond_limit }, 0);
        }
        let amount = if happy { 10_000 } else { random.between(100, 1500).into() };
        for token in [COIN, TOKEN] {
            let value = if token == COIN { amount } else { 0 };
            act(provider, Call::Deposit { token, amount }, value);
        }
    }
    contract
}

fn agent(random: &mut Random, index: u64, happy: bool) -> Agent {
    let byte = u8::try_from(index + 1).unwrap_or(u8::MAX);
    let temper = if happy || random.percent(50) {
        Temper { trusting: random.percent(30), ..Temper::HONEST }
    } else {
        Temper {
            trusting: random.percent(50),
            fails: random.below(50),
            lies: random.below(60),
            greedy: random.percent(40),
            eager: random.percent(15),
            flaky: random.below(3),
            stubborn: random.percent(30),
            shy: if random.percent(10) { 100 } else { random.below(40) },
            rash: random.percent(20),
        }
    };
    let gpu_count = if happy { 2 } else { random.below(3) };
    let gpus: Vec<Gpu> = (0..gpu_count)
        .map(|gpu| Gpu {
            model: if random.percent(70) {
                "NVIDIA GeForce RTX 4090".into()
            } else {
                "NVIDIA A100-SXM4-80GB".into()
            },
            vram_bytes: (gpu + 1) * 24 * GIB,
            compute_capability: Some("8.9".into()),
        })
        .collect();
    Agent {
        id: NodeId(Address::repeat_byte(byte)),
        // Two nodes may belong to one provider.
        provider: Address::repeat_byte(0x40 + byte / 2),
        mill: 0,
        scheduler: SCHEDULERS[0],
        offer: Offer {
            runtimes: vec![RuntimeKind::Docker, RuntimeKind::Wasm],
            cpu_millis: u32::try_from(random.between(2, 8)).unwrap_or(2) * 1000,
            memory_bytes: random.between(4, 16) * GIB,
            disk_bytes: 100 * GIB,
            gpus,
            price_floor: Amount(u128::from(if happy { 0 } else { random.below(600) })),
            token: COIN,
            max_run_seconds: 3600,
            log_bytes_max: 1 << 20,
            bond_max: Amount(if happy || random.percent(60) {
                200
            } else {
                random.below(150).into()
            }),
        },
        alive: true,
        silent_since: START,
        temper,
        work: BTreeMap::new(),
        draining: !happy && random.percent(5),
    }
}

fn plan(random: &mut Random, seed: u64, index: u64, happy: bool) -> Plan {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&seed.to_be_bytes());
    id[31] = u8::try_from(index).unwrap_or(u8::MAX);
    let mut hash = id;
    hash[30] = 1;
    let spec_hash = SpecHash(hash.into());
    let gpus = if happy { random.below(2) } else { random.below(3) };
    let spec = JobSpec {
        version: SPEC_VERSION,
        name: format!("job {index}"),
        runtime: Runtime::Wasm { module: "bafkreigh2akiscaildc".into(), fuel: None },
        command: Vec::new(),
        env: BTreeMap::new(),
        inputs: Vec::new(),
        resources: Resources {
            cpu_millis: u32::try_from(random.between(1, 4)).unwrap_or(1) * 500,
            memory_bytes: random.between(1, if happy { 2 } else { 8 }) * GIB,
            disk_bytes: GIB,
            gpus: u32::try_from(gpus).unwrap_or(0),
            gpu_models: if gpus > 0 && !happy && random.percent(30) {
                vec!["RTX 4090".into()]
            } else {
                Vec::new()
            },
            vram_bytes: if gpus > 0 { random.between(1, 24) * GIB } else { 0 },
            compute_capability: None,
        },
        network: Network::None,
        max_run_seconds: u32::try_from(random.between(20, if happy { 250 } else { 500 }))
            .unwrap_or(20),
        retries: u8::try_from(random.below(4)).unwrap_or(0),
        verification: Verification::Receipt,
        strategy: None,
        secrets: Vec::new(),
    };
    let lease_seconds = u32::try_from(random.between(240, 600)).unwrap_or(240);
    let deadline_in = if happy { 5000 } else { random.between(300, 3000) };
    let terms = Terms {
        // Two jobs may be of one submitter.
        submitter: Address::repeat_byte(0x90 + id[31] / 2),
        scheduler: SCHEDULERS[0],
        arbiter: ARBITER,
        token: COIN,
        bounty: Amount(u128::from(random.between(500, 2000))),
        fee: Amount(u128::from(random.between(20, 50))),
        bond: Amount(if random.percent(if happy { 40 } else { 60 }) {
            random.between(50, 200).into()
        } else {
            0
        }),
        dispute_bond: Amount(if random.percent(50) { 30 } else { 0 }),
        deadline: START.unix_seconds() + deadline_in,
        lease_seconds,
        grace_seconds: 60,
        attempt_seconds: lease_seconds.max(3600),
        hold_seconds: if random.percent(if happy { 30 } else { 50 }) { 300 } else { 0 },
        challenge_window: 3600,
        ruling_seconds: 3600,
        spec_hash,
        salt: id.into(),
    };
    let mut plan = Plan::new(JobId(id.into()), terms, KnownSpec { hash: spec_hash, spec });
    plan.posts = happy || random.percent(85);
    plan.uploads = happy || random.percent(85);
    plan.open_at =
        (happy || random.percent(93)).then(|| START.plus_seconds(random.between(5, 200)));
    if !happy {
        plan.cancel_at = random.percent(20).then(|| START.plus_seconds(random.between(1, 900)));
        plan.watches = random.percent(60);
        plan.disputes = if random.percent(60) { random.between(10, 60) } else { 0 };
    }
    plan
}

/// The node's first word to the scheduler.
#[must_use]
pub fn registration(agent: &Agent, settled: &Contract) -> Command {
    let (node, provider, offer) = (agent.id, agent.provider, agent.offer.clone());
    let standing = standing(settled, node, agent.scheduler);
    Command::RegisterNode { node, provider, offer, standing }
}

/// Whether the contract lets the scheduler assign to the node.
#[must_use]
pub fn standing(settled: &Contract, node: NodeId, scheduler: Address) -> Standing {
    match settled.enrolment(node) {
        Some(known) if known.revoked => Standing::Revoked,
        Some(known) if settled.is_approved(known.provider, scheduler) => Standing::Good,
        Some(_) | None => Standing::NotApproved,
    }
}

/// In the end everybody is reliable. Results that were signed before stay what they are.
pub fn reform(agent: &mut Agent) {
    agent.alive = true;
    agent.draining = false;
    agent.temper = Temper { trusting: agent.temper.trusting, ..Temper::HONEST };
}

/// An old command, perhaps with something wrong in it.
#[must_use]
pub fn distort(mut command: Command, random: &mut Random) -> Command {
    let wrong = random.below(4);
    match &mut command {
        Command::Accept { speaker, .. }
        | Command::Start { speaker }
        | Command::Report { speaker, .. }
        | Command::Release { speaker, .. } => match wrong {
            0 => speaker.token = token(random),
            1 => speaker.attempt = AttemptNumber(speaker.attempt.0.wrapping_add(1)),
            2 => speaker.attempt = AttemptNumber(speaker.attempt.0.saturating_sub(1)),
            _ => {}
        },
        // Only the node itself polls: its session says who it is. An old poll is not sent again.
        Command::Poll { node, .. } => {
            return Command::NodeDue { node: *node };
        }
        Command::CreateJob { .. }
        | Command::CancelJob { .. }
        | Command::Chain { .. }
        | Command::IntentFailed { .. }
        | Command::RegisterNode { .. }
        | Command::NodeStanding { .. }
        | Command::Verdict { .. }
        | Command::JobDue { .. }
        | Command::NodeDue { .. } => {}
    }
    command
}

/// A job that a verdict has settled has a good result.
pub fn check_result(job: &Job, store: &Store) -> Result<(), String> {
    if job.state.name() != JobState::Settled {
        return Ok(());
    }
    let attempt = job.state.attempt().and_then(|number| store.rows.attempts.get(&(job.id, number)));
    match attempt {
        Some(attempt) if attempt.state == AttemptState::Accepted => Ok(()),
        _ => Err(format!("{} is settled without an accepted attempt", job.id)),
    }
}

/// The stable name of a step.
#[must_use]
pub fn name_of(body: &EventBody) -> &'static str {
    match body {
        EventBody::Created => "created",
        EventBody::Funded => "funded",
        EventBody::Queued { .. } => "queued",
        EventBody::Assigned { .. } => "assigned",
        EventBody::Started { .. } => "started",
        EventBody::CalledIn { .. } => "called_in",
        EventBody::Renewed { .. } => "renewed",
        EventBody::Reported { .. } => "reported",
        EventBody::Accepted { .. } => "accepted",
        EventBody::Rejected { .. } => "rejected",
        EventBody::Failed { .. } => "failed",
        EventBody::Released { .. } => "released",
        EventBody::Expired { .. } => "expired",
        EventBody::Abandoned { .. } => "abandoned",
        EventBody::Published { .. } => "published",
        EventBody::Held { .. } => "held",
        EventBody::Forfeited { .. } => "forfeited",
        EventBody::Disputed { .. } => "disputed",
        EventBody::Ruled { .. } => "ruled",
        EventBody::Settled { .. } => "settled",
        EventBody::Refunding { .. } => "refunding",
        EventBody::Refunded { .. } => "refunded",
        EventBody::Cancelled { .. } => "cancelled",
    }
}
