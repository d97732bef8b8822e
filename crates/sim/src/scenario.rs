//! What each seed is about: which nodes there are, which jobs are posted, and how bad the world is.

use std::collections::BTreeMap;

use gristmill_market::Policy;
use gristmill_market::command::{Command, Fact};
use gristmill_market::demand::KnownSpec;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::job::Job;
use gristmill_market::node::Standing;
use gristmill_protocol::api::{AttemptState, EventBody, Gpu, JobState, Offer};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, SpecHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::{
    JobSpec, Network, Resources, Runtime, RuntimeKind, SPEC_VERSION, Strategy, Verification,
};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use gristmill_protocol::{Address, B256};

use crate::agent::{Agent, Temper, token};
use crate::chain::Chain;
use crate::contract::{Call, Caller, Contract, Ledger, Slot};
use crate::plant::Plant;
use crate::random::Random;
use crate::store::Store;
use crate::town::{Plan, Town};

/// Some instant: nothing depends on which.
pub const START: Timestamp = Timestamp(1_800_000_000_000);
const SCHEDULER: Address = Address::repeat_byte(0xEE);
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
    let agents: Vec<Agent> =
        (0..random.between(2, 4)).map(|index| agent(&mut random, index, happy)).collect();
    let plans: Vec<Plan> =
        (0..random.between(1, 5)).map(|index| plan(&mut random, seed, index, happy)).collect();
    let contract = Contract {
        slots: BTreeMap::new(),
        ledger: Ledger::default(),
        terms: plans.iter().map(|plan| (plan.id, plan.terms)).collect(),
        providers: agents.iter().map(|agent| (agent.id, agent.provider)).collect(),
        plant,
    };
    let mut policy = Policy::new(SCHEDULER);
    policy.fee_bps = 100;
    // Blocks come every two seconds.
    policy.finality_seconds = 10;
    policy.chain_slack_seconds = 2;
    policy.strategy =
        [Strategy::BestFit, Strategy::RoundRobin, Strategy::Cheapest][random.index(3)];
    let mut town = Town::new(seed, plant, policy, contract);
    town.chaos = !happy;
    town.agents = agents;
    town.plans = plans;
    town
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
            flaky: random.below(3),
            stubborn: random.percent(30),
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
        offer: Offer {
            runtimes: vec![RuntimeKind::Docker, RuntimeKind::Wasm],
            cpu_millis: u32::try_from(random.between(2, 8)).unwrap_or(2) * 1000,
            memory_bytes: random.between(4, 16) * GIB,
            disk_bytes: 100 * GIB,
            gpus,
            price_floor: Amount(u128::from(if happy { 0 } else { random.below(600) })),
            token: Address::ZERO,
            max_run_seconds: 3600,
            log_bytes_max: 1 << 20,
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
        max_run_seconds: u32::try_from(random.between(20, if happy { 400 } else { 900 }))
            .unwrap_or(20),
        retries: u8::try_from(random.below(4)).unwrap_or(0),
        verification: Verification::Receipt,
        strategy: None,
        secrets: Vec::new(),
    };
    let lease_seconds = u32::try_from(random.between(240, 600)).unwrap_or(240);
    let deadline_in = if happy { 5000 } else { random.between(300, 4000) };
    let terms = Terms {
        submitter: Address::repeat_byte(0x90 + id[31]),
        scheduler: SCHEDULER,
        arbiter: Address::repeat_byte(0xAB),
        token: Address::ZERO,
        bounty: Amount(u128::from(random.between(500, 2000))),
        fee: Amount(u128::from(random.between(20, 50))),
        bond: Amount::ZERO,
        dispute_bond: Amount::ZERO,
        deadline: START.unix_seconds() + deadline_in,
        lease_seconds,
        grace_seconds: 60,
        attempt_seconds: lease_seconds.max(3600),
        hold_seconds: if random.percent(30) { 300 } else { 0 },
        challenge_window: 3600,
        ruling_seconds: 3600,
        spec_hash,
        salt: B256::ZERO,
    };
    let mut plan = Plan::new(JobId(id.into()), terms, KnownSpec { hash: spec_hash, spec });
    plan.posts = happy || random.percent(85);
    plan.uploads = happy || random.percent(85);
    plan.open_at =
        (happy || random.percent(93)).then(|| START.plus_seconds(random.between(5, 200)));
    if !happy {
        plan.cancel_at = random.percent(20).then(|| START.plus_seconds(random.between(1, 900)));
        plan.watches = random.percent(60);
    }
    plan
}

/// The node's first word to the scheduler.
#[must_use]
pub fn registration(agent: &Agent) -> Command {
    let (node, provider, offer) = (agent.id, agent.provider, agent.offer.clone());
    Command::RegisterNode { node, provider, offer, standing: Standing::Good }
}

/// In the end everybody is reliable. Results that were signed before stay what they are.
pub fn reform(agent: &mut Agent) {
    agent.alive = true;
    agent.draining = false;
    agent.temper = Temper { trusting: agent.temper.trusting, ..Temper::HONEST };
}

/// The transaction for an intent.
#[must_use]
pub fn call_of(intent: &Intent, plant: Option<Plant>) -> Call {
    let job = intent.job;
    match intent.action {
        IntentAction::Assign { attempt, node } => {
            let off = u16::from(plant == Some(Plant::TwoNonces));
            Call::Assign { job, node, attempt: AttemptNumber(attempt.0 - off) }
        }
        IntentAction::CallIn { .. } => Call::CallIn { job },
        IntentAction::Release { signature, .. } => Call::Release { job, signature },
        IntentAction::Lapse { .. } => Call::Lapse { job, caller: Caller::Scheduler },
        IntentAction::Settle { receipt_hash, signature, .. } => {
            Call::Settle { job, receipt_hash, signature }
        }
        IntentAction::Claim { .. } => Call::Claim { job },
        IntentAction::Refund => Call::Refund { job },
    }
}

/// An old command, perhaps with something wrong in it.
#[must_use]
pub fn distort(mut command: Command, random: &mut Random) -> Command {
    let wrong = random.below(4);
    match &mut command {
        Command::Start { speaker }
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

/// A lease that runs is ended by nobody but its node: checked on the newest block.
pub fn watch_leases(chain: &Chain) -> Result<(), String> {
    let Some((before, logs)) = chain.newest() else { return Ok(()) };
    for log in logs {
        let Fact::Lapsed { attempt } = log.emitted else { continue };
        let Slot::Assigned { attempt: number, at, assigned_at, called_in, .. } =
            before.slot(log.job)
        else {
            continue;
        };
        let Some(terms) = before.terms.get(&log.job) else { continue };
        let end = Contract::lease_end(terms, at, assigned_at, called_in);
        if number == attempt.0 && log.at_s <= end {
            return Err(format!(
                "attempt {attempt} of {} was pushed out while its lease ran until {end}",
                log.job
            ));
        }
    }
    Ok(())
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
        EventBody::Settled { .. } => "settled",
        EventBody::Refunding { .. } => "refunding",
        EventBody::Refunded { .. } => "refunded",
        EventBody::Cancelled { .. } => "cancelled",
    }
}
