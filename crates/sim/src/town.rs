//! The seeded world: submitters, nodes, a scheduler that crashes, a chain that reorganises, and what goes on between
//! them. Everything is an event on one clock; every chance comes from one seed.

mod drivers;
mod outside;
mod scheduler;

use std::collections::{BTreeMap, VecDeque};

use gristmill_market::Policy;
use gristmill_market::command::Command;
use gristmill_market::demand::KnownSpec;
use gristmill_protocol::api::JobState;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use crate::agent::Agent;
use crate::chain::Chain;
use crate::check::Seen;
use crate::contract::Contract;
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
    sent_at: Timestamp,
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
            sent_at: Timestamp::default(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Turn,
    Block,
    Watcher,
    Timer,
    Sender,
    Verifier,
    Node(usize),
    Crash(usize),
    Restart(usize),
    Submitter(usize),
    Noise,
    SchedulerUp,
    /// The scheduler's database is gone: the chain and the nodes are all that is left.
    Amnesia,
    Reform,
}

/// Who waits for the answer to a command.
#[derive(Clone, Copy)]
enum Asker {
    Node(usize),
    Nobody,
}

pub struct Town {
    seed: u64,
    pub random: Random,
    pub now: Timestamp,
    sequence: u64,
    queue: BTreeMap<(Timestamp, u64), Event>,
    pub store: Store,
    pub chain: Chain,
    pub agents: Vec<Agent>,
    pub plans: Vec<Plan>,
    inbox: VecDeque<(Command, Asker)>,
    /// Old commands, for replays and forgeries.
    history: Vec<Command>,
    /// The rows before the last turn, for a replica that reads late.
    older: Option<Rows>,
    seen: Seen,
    stats: Stats,
    pub plant: Option<Plant>,
    pub chaos: bool,
    scheduler_up: bool,
    timer_at: Option<Timestamp>,
    block_planned: bool,
    sender_planned: bool,
    /// When each node looks next: an older plan is void.
    node_at: Vec<Timestamp>,
    pub trace: Option<Vec<String>>,
}

impl Town {
    #[must_use]
    pub fn new(seed: u64, plant: Option<Plant>, policy: Policy, contract: Contract) -> Self {
        Self {
            seed,
            random: Random::new(seed),
            now: scenario::START,
            sequence: 0,
            queue: BTreeMap::new(),
            store: Store::new(policy),
            chain: Chain::new(contract),
            agents: Vec::new(),
            plans: Vec::new(),
            inbox: VecDeque::new(),
            history: Vec::new(),
            older: None,
            seen: Seen::default(),
            stats: Stats::default(),
            plant,
            chaos: true,
            scheduler_up: true,
            timer_at: None,
            block_planned: false,
            sender_planned: false,
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

    fn plan_sender(&mut self, wait_ms: u64) {
        if !self.sender_planned {
            self.sender_planned = true;
            self.after_ms(wait_ms, Event::Sender);
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
            let calm = self.random.between(600, 3600);
            self.after_ms(calm * 1000, Event::Reform);
            self.after_ms(5000, Event::Noise);
            if self.random.percent(10) {
                let when = self.random.below(calm * 1000);
                self.after_ms(when, Event::Amnesia);
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
            self.chain.contract.ledger.balance()?;
            if self.is_over() {
                return self.close();
            }
        }
        let mut waiting = BTreeMap::new();
        for event in self.queue.values() {
            *waiting.entry(format!("{event:?}")).or_insert(0) += 1;
        }
        self.note(|| format!("what would come next: {waiting:?}"));
        let state = |plan: &Plan| self.store.rows.jobs.get(&plan.id).map(|job| job.state.clone());
        let stuck: Vec<_> = self
            .plans
            .iter()
            .map(|plan| (plan.id, state(plan), self.chain.contract.slot(plan.id)))
            .collect();
        Err(format!("stuck after {STEPS_MAX} steps: {stuck:?}"))
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Turn => self.turn(),
            Event::Block => self.block(),
            Event::Watcher => self.watch(),
            Event::Timer => self.timer(),
            Event::Sender => self.send(),
            Event::Verifier => self.verify(),
            Event::Node(index) => {
                self.step_node(index);
                Ok(())
            }
            Event::Crash(index) => {
                let agent = &mut self.agents[index];
                (agent.alive, agent.silent_since) = (false, self.now);
                let most = if self.random.percent(60) { 90_000 } else { 900_000 };
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
            Event::SchedulerUp => {
                self.scheduler_up = true;
                self.plan_sender(1);
                self.timer_at = None;
                for event in [Event::Turn, Event::Watcher, Event::Timer, Event::Verifier] {
                    self.after_ms(1, event);
                }
                Ok(())
            }
            Event::Amnesia => {
                self.note(|| "the scheduler loses its database".into());
                self.store = Store::new(self.store.policy.clone());
                self.seen = Seen::default();
                self.older = None;
                self.inbox.clear();
                self.after_ms(1, Event::Watcher);
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

    fn is_over(&self) -> bool {
        let quiet = self.plans.iter().all(|plan| {
            let ended = self.store.rows.jobs.get(&plan.id).map(|job| job.state.name().is_end());
            let never = !plan.posts && plan.open_at.is_none();
            plan.open_at.is_none()
                && (ended.unwrap_or(never || plan.terms.deadline < self.now.unix_seconds()))
        });
        quiet
            && !self.chaos
            && self.inbox.is_empty()
            && !self.chain.is_restless()
            && self.store.cursor == self.chain.final_logs.len()
    }

    fn close(&mut self) -> Result<(), String> {
        let settled = &self.chain.settled;
        if let Some((job, amount)) = settled.ledger.held.iter().next() {
            return Err(format!("{amount} is left behind in the escrow of {job}"));
        }
        for plan in &self.plans {
            let Some(job) = self.store.rows.jobs.get(&plan.id) else { continue };
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
            scenario::check_result(job, &self.store)?;
        }
        if scenario::is_happy(self.seed) && self.stats.settled != self.plans.len() as u64 {
            return Err("nothing went wrong, but not every job was settled".into());
        }
        if let Some(node) = self.store.rows.nodes.values().find(|node| !node.holding.is_empty()) {
            return Err(format!("all jobs have ended, but the node {} holds something", node.id));
        }
        Ok(())
    }
}
