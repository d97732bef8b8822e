//! The seeded world: submitters, nodes, schedulers that crash, a chain that reorganises, and what goes on between
//! them. Everything is an event on one clock; every chance comes from one seed.

mod drivers;
mod outside;
mod scheduler;
mod sender;

use std::collections::{BTreeMap, VecDeque};

use gristmill_market::Policy;
use gristmill_market::command::Command;
use gristmill_market::demand::KnownSpec;
use gristmill_protocol::Address;
use gristmill_protocol::api::JobState;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::order::Funding;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use crate::agent::Agent;
use crate::chain::Chain;
use crate::check::Seen;
use crate::model::{Event as Said, Slot};
use crate::plant::Plant;
use crate::random::Random;
use crate::scenario;
use crate::store::{Rows, Store};

/// A seed that is not over by then is stuck.
const STEPS_MAX: u64 = 25_000;
/// Commands of one turn.
const BATCH_MAX: usize = 8;

/// Counts over one seed, or many.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Stats {
    pub commands: u64,
    pub rejected: u64,
    pub settled: u64,
    pub refunded: u64,
    pub cancelled: u64,
    pub reorgs: u64,
    pub dropped: u64,
    pub crashes: u64,
    /// Calls of the contract, and those that reverted.
    pub calls: u64,
    pub reverted: u64,
    /// Transactions whose nonce another one had used.
    pub void: u64,
    /// How often each step of a job's history was made.
    pub events: BTreeMap<&'static str, u64>,
}

impl Stats {
    pub fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.rejected += other.rejected;
        self.settled += other.settled;
        self.refunded += other.refunded;
        self.cancelled += other.cancelled;
        self.reorgs += other.reorgs;
        self.dropped += other.dropped;
        self.crashes += other.crashes;
        self.calls += other.calls;
        self.reverted += other.reverted;
        self.void += other.void;
        for (event, times) in &other.events {
            *self.events.entry(event).or_default() += times;
        }
    }
}

/// A submitter's plan for one job.
pub struct Plan {
    pub id: JobId,
    pub terms: Terms,
    pub spec: KnownSpec,
    pub run_seconds: u32,
    /// Posts the job over HTTP; otherwise the chain is the first to know.
    pub posts: bool,
    /// Uploads the spec before the bounty is locked.
    pub uploads: bool,
    pub posted: bool,
    pub open_at: Option<Timestamp>,
    pub cancel_at: Option<Timestamp>,
    /// Sends `cancel` and `lapse` on chain once it wants its bounty back.
    pub watches: bool,
    /// The scheduler that it names.
    pub mill: usize,
    /// An order pays for it: then nobody opens it by hand.
    pub funding: Option<Funding>,
    /// What the submitter pays in, for all jobs of the order.
    pub deposit: u128,
    /// Posts the job before there is money for it.
    pub careless: bool,
    /// Changes its mind about the order: revokes it, withdraws its money, or forbids the job on chain.
    pub treason: Option<(Timestamp, Treason)>,
    /// How likely it disputes a result, in percent.
    pub disputes: u64,
    sent_at: Timestamp,
}

/// How a submitter goes back on an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Treason {
    Revoke,
    Withdraw,
    Forbid,
}

impl Plan {
    #[must_use]
    pub fn new(id: JobId, terms: Terms, spec: KnownSpec) -> Self {
        let run_seconds = spec.spec.max_run_seconds;
        Self {
            id,
            terms,
            spec,
            run_seconds,
            posts: true,
            uploads: true,
            posted: false,
            open_at: None,
            cancel_at: None,
            watches: true,
            mill: 0,
            funding: None,
            deposit: 0,
            careless: false,
            treason: None,
            disputes: 0,
            sent_at: Timestamp::default(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Turn(usize),
    Block,
    Watcher(usize),
    Timer(usize),
    Sender(usize),
    Verifier(usize),
    Node(usize),
    Crash(usize),
    Restart(usize),
    Submitter(usize),
    Arbiter,
    Noise,
    SchedulerUp(usize),
    /// A scheduler's database is gone: the chain and the nodes are all that is left.
    Amnesia(usize),
    Reform,
}

/// Who waits for the answer to a command.
#[derive(Clone, Copy)]
enum Asker {
    Node(usize),
    Nobody,
}

/// One scheduler: its database, and what it is about to do.
pub struct Mill {
    pub address: Address,
    pub store: Store,
    inbox: VecDeque<(Command, Asker)>,
    /// Old commands, for replays and forgeries.
    history: Vec<Command>,
    /// The rows before the last turn, for a replica that reads late.
    older: Option<Rows>,
    seen: Seen,
    up: bool,
    timer_at: Option<Timestamp>,
    sender_planned: bool,
}

impl Mill {
    fn new(policy: Policy) -> Self {
        Self {
            address: policy.scheduler,
            store: Store::new(policy),
            inbox: VecDeque::new(),
            history: Vec::new(),
            older: None,
            seen: Seen::default(),
            up: true,
            timer_at: None,
            sender_planned: false,
        }
    }
}

pub struct Town {
    seed: u64,
    pub random: Random,
    pub now: Timestamp,
    sequence: u64,
    queue: BTreeMap<(Timestamp, u64), Event>,
    pub mills: Vec<Mill>,
    pub chain: Chain,
    pub agents: Vec<Agent>,
    pub plans: Vec<Plan>,
    /// How likely the arbiter rules when it looks, in percent.
    pub arbiter_rules: u64,
    stats: Stats,
    pub plant: Option<Plant>,
    pub chaos: bool,
    block_planned: bool,
    /// When each node looks next: an older plan is void.
    node_at: Vec<Timestamp>,
    pub trace: Option<Vec<String>>,
}

impl Town {
    #[must_use]
    pub fn new(seed: u64, plant: Option<Plant>, policies: Vec<Policy>, chain: Chain) -> Self {
        Self {
            seed,
            random: Random::new(seed),
            now: scenario::START,
            sequence: 0,
            queue: BTreeMap::new(),
            mills: policies.into_iter().map(Mill::new).collect(),
            chain,
            agents: Vec::new(),
            plans: Vec::new(),
            arbiter_rules: 0,
            stats: Stats::default(),
            plant,
            chaos: true,
            block_planned: false,
            node_at: Vec::new(),
            trace: None,
        }
    }

    fn at(&mut self, when: Timestamp, event: Event) {
        self.sequence += 1;
        self.queue.insert((when.max(self.now), self.sequence), event);
    }

    fn after_ms(&mut self, millis: u64, event: Event) {
        self.at(self.now.plus_millis(millis), event);
    }

    fn plan_node(&mut self, index: usize, wait_ms: u64) {
        self.node_at[index] = self.now.plus_millis(wait_ms);
        self.after_ms(wait_ms, Event::Node(index));
    }

    fn plan_sender(&mut self, mill: usize, wait_ms: u64) {
        if !self.mills[mill].sender_planned {
            self.mills[mill].sender_planned = true;
            self.after_ms(wait_ms, Event::Sender(mill));
        }
    }

    /// A delay of a message or a driver: short when all is well.
    fn delay_ms(&mut self) -> u64 {
        if self.chaos && self.random.percent(5) {
            self.random.between(1000, 90_000)
        } else {
            self.random.between(5, 400)
        }
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let text = text();
            trace.push(format!(
                "{:>10.3} s  {text}",
                (self.now.0 - scenario::START.0) as f64 / 1000.0
            ));
        }
    }

    /// Lets history run until every job has ended.
    pub fn run(mut self) -> (Stats, Option<Vec<String>>, Result<(), String>) {
        self.node_at = vec![self.now; self.agents.len()];
        for index in 0..self.agents.len() {
            let wait = self.random.below(3000);
            self.plan_node(index, wait);
        }
        for index in 0..self.plans.len() {
            let wait = self.random.below(20_000);
            self.after_ms(wait, Event::Submitter(index));
        }
        if self.chaos {
            let calm = self.random.between(400, 2400);
            self.after_ms(calm * 1000, Event::Reform);
            self.after_ms(5000, Event::Noise);
            self.after_ms(5000, Event::Arbiter);
            for mill in 0..self.mills.len() {
                if self.random.percent(8) {
                    let when = self.random.below(calm * 1000);
                    self.after_ms(when, Event::Amnesia(mill));
                }
            }
            for index in 0..self.agents.len() {
                if self.random.percent(70) {
                    let when = self.random.below(calm * 500);
                    self.after_ms(when, Event::Crash(index));
                }
            }
        }
        let outcome = self.live();
        self.stats.reorgs = self.chain.reorgs;
        self.stats.dropped = self.chain.dropped;
        self.stats.calls = self.chain.calls;
        self.stats.reverted = self.chain.reverted;
        self.stats.void = self.chain.void;
        (self.stats, self.trace, outcome)
    }

    fn live(&mut self) -> Result<(), String> {
        self.register_nodes()?;
        for _ in 0..STEPS_MAX {
            let Some(((when, _), event)) = self.queue.pop_first() else {
                return Err("nothing is left to happen, but jobs have not ended".into());
            };
            self.now = when;
            self.happen(event)?;
            if self.is_over() {
                return self.close();
            }
        }
        let mut waiting = BTreeMap::new();
        for event in self.queue.values() {
            *waiting.entry(format!("{event:?}")).or_insert(0) += 1;
        }
        self.note(|| format!("what would come next: {waiting:?}"));
        let state = |plan: &Plan| {
            let job = self.mills[plan.mill].store.rows.jobs.get(&plan.id);
            job.map(|job| job.state.clone())
        };
        let stuck: Vec<_> = self
            .plans
            .iter()
            .map(|plan| (plan.id, state(plan), self.chain.contract().slot(plan.id)))
            .collect();
        Err(format!("stuck after {STEPS_MAX} steps: {stuck:?}"))
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Turn(mill) => self.turn(mill),
            Event::Block => self.block(),
            Event::Watcher(mill) => self.watch(mill),
            Event::Timer(mill) => self.timer(mill),
            Event::Sender(mill) => {
                self.send(mill);
                Ok(())
            }
            Event::Verifier(mill) => {
                self.verify(mill);
                Ok(())
            }
            Event::Node(index) => {
                self.step_node(index);
                Ok(())
            }
            Event::Crash(index) => {
                let agent = &mut self.agents[index];
                (agent.alive, agent.silent_since) = (false, self.now);
                let most = if self.random.percent(50) { 90_000 } else { 1_500_000 };
                let down = self.random.between(5_000, most);
                self.note(|| format!("node {index} crashes for {down} ms"));
                self.after_ms(down, Event::Restart(index));
                Ok(())
            }
            Event::Restart(index) => {
                self.agents[index].alive = true;
                self.plan_node(index, 1);
                if self.chaos && self.random.percent(50) {
                    let next = self.random.between(20_000, 600_000);
                    self.after_ms(next, Event::Crash(index));
                }
                Ok(())
            }
            Event::Submitter(index) => {
                self.step_submitter(index);
                Ok(())
            }
            Event::Noise => {
                self.noise();
                Ok(())
            }
            Event::Arbiter => {
                self.step_arbiter();
                Ok(())
            }
            Event::SchedulerUp(mill) => {
                self.mills[mill].up = true;
                self.plan_sender(mill, 1);
                self.mills[mill].timer_at = None;
                for event in [
                    Event::Turn(mill),
                    Event::Watcher(mill),
                    Event::Timer(mill),
                    Event::Verifier(mill),
                ] {
                    self.after_ms(1, event);
                }
                Ok(())
            }
            Event::Amnesia(mill) => {
                self.note(|| format!("the scheduler {mill} loses its database"));
                let lost = &mut self.mills[mill];
                lost.store = Store::new(lost.store.policy.clone());
                lost.seen = Seen::default();
                lost.older = None;
                lost.inbox.clear();
                self.after_ms(1, Event::Watcher(mill));
                Ok(())
            }
            Event::Reform => {
                self.note(|| "from here on the world is fair".into());
                self.chaos = false;
                for index in 0..self.agents.len() {
                    scenario::reform(&mut self.agents[index]);
                    self.plan_node(index, 1);
                }
                Ok(())
            }
        }
    }

    /// Where a plan's job stands with its scheduler, and on chain.
    fn standing(&self, index: usize) -> (Option<JobState>, Slot) {
        let plan = &self.plans[index];
        let job = self.mills[plan.mill].store.rows.jobs.get(&plan.id);
        (job.map(|job| job.state.name()), self.chain.contract().slot(plan.id))
    }

    fn is_over(&self) -> bool {
        if self.chaos || self.chain.is_restless() {
            return false;
        }
        let idle =
            |mill: &Mill| mill.inbox.is_empty() && mill.store.cursor == self.chain.final_logs.len();
        let ended = |plan: &Plan| {
            let job = self.mills[plan.mill].store.rows.jobs.get(&plan.id);
            let ended = job.map(|job| job.state.name().is_end());
            let never = !plan.posts && plan.open_at.is_none();
            plan.open_at.is_none()
                && (ended.unwrap_or(never || plan.terms.deadline < self.now.unix_seconds()))
        };
        self.mills.iter().all(idle) && self.plans.iter().all(ended)
    }

    fn close(&mut self) -> Result<(), String> {
        let settled = self.chain.settled();
        for plan in &self.plans {
            let left = settled.contract.locked(plan.id);
            if left > 0 {
                return Err(format!("{left} is left behind in the escrow of {}", plan.id));
            }
            let store = &self.mills[plan.mill].store;
            let Some(job) = store.rows.jobs.get(&plan.id) else { continue };
            match job.state.name() {
                JobState::Settled => self.stats.settled += 1,
                JobState::Refunded => self.stats.refunded += 1,
                JobState::Cancelled
                | JobState::Funding
                | JobState::Queued
                | JobState::Assigned
                | JobState::CallingIn
                | JobState::Verifying
                | JobState::Published
                | JobState::Settling
                | JobState::Refunding => self.stats.cancelled += 1,
            }
            scenario::check_result(job, store)?;
        }
        if let Some((key, limit)) = settled.contract.bond_limits().find(|(_, it)| it.used > 0) {
            return Err(format!("{} of {key:?} stays locked", limit.used));
        }
        if scenario::is_happy(self.seed) && self.stats.settled != self.plans.len() as u64 {
            return Err("nothing went wrong, but not every job was settled".into());
        }
        for logged in &self.chain.final_logs {
            if let Said::Skipped { .. } = logged.event {
                *self.stats.events.entry("skipped").or_default() += 1;
            }
        }
        let holds = |mill: &Mill| {
            mill.store.rows.nodes.values().find(|node| !node.holding.is_empty()).map(|node| node.id)
        };
        match self.mills.iter().find_map(holds) {
            Some(node) => Err(format!("all jobs have ended, but the node {node} holds something")),
            None => Ok(()),
        }
    }
}
