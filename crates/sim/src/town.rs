//! The seeded world: submitters, nodes, a scheduler that crashes, a chain that reorganises, and what goes on between
//! them. Everything is an event on one clock; every chance comes from one seed.

use std::collections::{BTreeMap, VecDeque};

use gristmill_market::command::{ChainEvent, Command, Fact, Verdict};
use gristmill_market::demand::KnownSpec;
use gristmill_market::{Policy, Reply};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use crate::agent::{Agent, is_good, token};
use crate::chain::{Chain, Fate, Logged};
use crate::check::{self, Seen};
use crate::contract::{Call, Caller, Contract, Slot};
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
            trace.push(format!("{:>10.3} s  {text}", (self.now.0 - scenario::START.0) as f64 / 1000.0));
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
        let stuck: Vec<_> = self.plans.iter().map(|plan| (plan.id, state(plan), self.chain.contract.slot(plan.id))).collect();
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

    // ---- the scheduler ----

    fn register_nodes(&mut self) -> Result<(), String> {
        let registrations: Vec<_> = self.agents.iter().map(scenario::registration).collect();
        registrations.into_iter().try_for_each(|command| self.decide_all(vec![(command, Asker::Nobody)]).map(|_| ()))
    }

    fn post(&mut self, command: Command, asker: Asker) {
        if matches!(asker, Asker::Node(_)) && self.history.len() < 64 {
            self.history.push(command.clone());
        }
        let wait = self.delay_ms();
        // Late messages overtake each other.
        if self.chaos && self.random.percent(10) {
            let at = self.random.index(self.inbox.len() + 1);
            self.inbox.insert(at, (command.clone(), asker));
        } else {
            self.inbox.push_back((command.clone(), asker));
        }
        if self.chaos && self.random.percent(8) {
            self.inbox.push_back((command, Asker::Nobody));
        }
        self.after_ms(wait, Event::Turn);
    }

    fn turn(&mut self) -> Result<(), String> {
        if !self.scheduler_up || self.inbox.is_empty() {
            return Ok(());
        }
        let most = 1 + self.random.index(BATCH_MAX);
        let batch: Vec<_> = (0..most).filter_map(|_| self.inbox.pop_front()).collect();
        if !self.inbox.is_empty() {
            self.after_ms(1, Event::Turn);
        }
        let answers = self.decide_all(batch)?;
        for (command, asker, answer) in answers {
            let Asker::Node(index) = asker else { continue };
            let lost = self.chaos && self.random.percent(5);
            if self.agents[index].alive && !lost {
                self.agents[index].hear(&command, &answer);
            }
            if matches!(command, Command::Poll { .. }) && !self.store.rows.nodes.contains_key(&self.agents[index].id) {
                let registration = scenario::registration(&self.agents[index]);
                self.post(registration, Asker::Nobody);
            }
        }
        Ok(())
    }

    /// One turn: load, decide, commit. A crash before the commit loses everything, after it only the answers.
    #[expect(clippy::type_complexity, reason = "what was asked, by whom, and the answer")]
    fn decide_all(
        &mut self,
        batch: Vec<(Command, Asker)>,
    ) -> Result<Vec<(Command, Asker, Result<Reply, bool>)>, String> {
        let crash = self.chaos && self.random.percent(1);
        let committed = !crash || self.random.percent(50);
        let seen = self.seen.clone();
        self.hear_heartbeats();
        let mut needs = gristmill_market::Needs::default();
        for (command, _) in &batch {
            needs.merge(gristmill_market::needs(command));
        }
        let stale = self.plant == Some(Plant::StaleRows) && self.random.percent(20);
        let rows = self.older.as_ref().filter(|_| stale).unwrap_or(&self.store.rows);
        let mut world = self.store.load(rows, &needs);
        if self.plant == Some(Plant::StaleRows) {
            self.older = Some(self.store.rows.clone());
        }
        let mut answers = Vec::new();
        let mut changes = Vec::new();
        for (command, asker) in batch {
            let answer = self.decide_one(&mut world, &command)?;
            changes.push(self.tamper(world.take_changes(), &command, &mut world));
            check::steps(&world, &mut self.seen)?;
            answers.push((command, asker, answer));
        }
        if committed {
            for changes in changes {
                for event in &changes.events {
                    let name = scenario::name_of(&event.body);
                    *self.stats.events.entry(name).or_default() += 1;
                }
                let (plans, looks) = (!changes.intents.is_empty(), !changes.verifications.is_empty());
                self.store.save(changes)?;
                if plans {
                    let wait = self.delay_ms();
                    self.plan_sender(wait);
                }
                if looks {
                    let wait = self.delay_ms();
                    self.after_ms(wait, Event::Verifier);
                }
            }
            check::rows(&self.store, &self.chain.settled)?;
            self.plan_timer();
        } else {
            self.seen = seen;
        }
        if crash {
            self.note(|| format!("the scheduler crashes, {}", if committed { "after its commit" } else { "before it" }));
            self.stats.crashes += 1;
            self.scheduler_up = false;
            self.inbox.clear();
            let most = if self.random.percent(5) { 1_500_000 } else { 60_000 };
            let down = self.random.between(100, most);
            self.after_ms(down, Event::SchedulerUp);
            for (_, _, answer) in &mut answers {
                *answer = Err(false);
            }
        }
        Ok(answers)
    }

    fn hear_heartbeats(&mut self) {
        for agent in &self.agents {
            if let Some(node) = self.store.rows.nodes.get_mut(&agent.id) {
                let heard = if agent.alive { self.now } else { agent.silent_since };
                node.heard_at = node.heard_at.max(heard);
            }
        }
    }

    fn decide_one(
        &mut self,
        world: &mut gristmill_market::World,
        command: &Command,
    ) -> Result<Result<Reply, bool>, String> {
        let before = world.clone();
        let asked = self.disguise(world, command);
        let now = match (self.plant, &asked) {
            (Some(Plant::EarlyTimers), Command::JobDue { .. }) => self.now.plus_seconds(600),
            _ => self.now,
        };
        let outcome = gristmill_market::decide(world, asked, now);
        self.stats.commands += 1;
        self.note(|| format!("{command:?}\n                → {outcome:?}"));
        if outcome.is_err() {
            self.stats.rejected += 1;
            if self.plant == Some(Plant::SavedRejection)
                && let Some(job) = command.job().and_then(|id| world.jobs.get_mut(&id))
            {
                job.setbacks.clear();
                job.queued_at = self.now;
            }
            if *world != before {
                return Err(format!("a rejection of {command:?} changed something"));
            }
        } else {
            self.check_accepted(&before, world, command)?;
        }
        Ok(outcome.map_err(|_| true))
    }

    /// What an accepted command must have had on its side.
    fn check_accepted(
        &self,
        before: &gristmill_market::World,
        after: &gristmill_market::World,
        command: &Command,
    ) -> Result<(), String> {
        match command {
            Command::Start { speaker } | Command::Report { speaker, .. } | Command::Release { speaker, .. } => {
                let newest = before.jobs.get(&speaker.job).map(|job| job.newest);
                let attempt = before.attempts.get(&(speaker.job, speaker.attempt));
                let heard = newest == Some(speaker.attempt)
                    && attempt.is_some_and(|row| row.node == speaker.node && row.token == Some(speaker.token));
                if heard { Ok(()) } else { Err(format!("a stale attempt spoke: {command:?}")) }
            }
            Command::JobDue { job, .. } => {
                let due_at = before.jobs.get(job).and_then(|job| job.due_at);
                let next = after.jobs.get(job).and_then(|job| job.due_at);
                if due_at.is_none_or(|due_at| self.now < due_at) {
                    Err(format!("a timer fired early: {due_at:?} at {:?}", self.now))
                } else if next.is_some_and(|next| next <= self.now) {
                    Err(format!("the job {job} is due again at once: {next:?} at {:?}", self.now))
                } else {
                    Ok(())
                }
            }
            Command::Verdict { job, attempt, .. } => {
                let state = before.attempts.get(&(*job, *attempt)).map(|row| row.state);
                let reported = state == Some(gristmill_protocol::api::AttemptState::Reported);
                if reported { Ok(()) } else { Err(format!("a verdict on an attempt that is {state:?}")) }
            }
            Command::CreateJob { .. }
            | Command::CancelJob { .. }
            | Command::Chain { .. }
            | Command::IntentFailed { .. }
            | Command::RegisterNode { .. }
            | Command::NodeStanding { .. }
            | Command::Poll { .. }
            | Command::NodeDue { .. } => Ok(()),
        }
    }

    // ---- drivers ----

    fn plan_timer(&mut self) {
        let Some(due_at) = self.store.next_due_at() else { return };
        if self.timer_at.is_none_or(|planned| due_at < planned || planned < self.now) {
            // In bad times the driver looks too early or too late.
            let early = self.chaos && self.random.percent(5);
            let wait = if early { 0 } else { self.delay_ms() };
            let when = if early { self.now } else { due_at.plus_millis(wait) };
            self.timer_at = Some(when.max(self.now));
            self.at(when, Event::Timer);
        }
    }

    fn timer(&mut self) -> Result<(), String> {
        if self.timer_at.is_some_and(|planned| planned > self.now) {
            // A plan that an earlier one has replaced.
            return Ok(());
        }
        self.timer_at = None;
        if !self.scheduler_up {
            return Ok(());
        }
        let eager = self.chaos && self.random.percent(10);
        let (now, early) = (self.now, self.plant == Some(Plant::EarlyTimers));
        let is_due = |due_at: Option<Timestamp>| due_at.is_some_and(|due_at| due_at <= now || eager || early);
        let jobs: Vec<_> = self.store.rows.jobs.values().filter(|job| is_due(job.due_at)).map(|job| job.id).collect();
        let nodes: Vec<_> = self.store.rows.nodes.values().filter(|node| is_due(node.due_at)).map(|node| node.id).collect();
        for job in jobs {
            if !self.scheduler_up {
                return Ok(());
            }
            let token = token(&mut self.random);
            self.decide_all(vec![(Command::JobDue { job, token }, Asker::Nobody)])?;
        }
        for node in nodes {
            self.decide_all(vec![(Command::NodeDue { node }, Asker::Nobody)])?;
        }
        self.plan_timer();
        Ok(())
    }

    /// Delivers final events in order; a crash may set the cursor back.
    fn watch(&mut self) -> Result<(), String> {
        if !self.scheduler_up {
            return Ok(());
        }
        if self.chaos && self.random.percent(3) {
            let back = self.random.index(4);
            self.store.cursor = self.store.cursor.saturating_sub(back);
        }
        if self.plant == Some(Plant::InstantFinality) {
            let logs: Vec<_> = self.chain.young_logs().cloned().collect();
            for logged in logs {
                self.deliver_log(logged)?;
            }
        }
        while self.store.cursor < self.chain.final_logs.len() && self.scheduler_up {
            let logged = self.chain.final_logs[self.store.cursor].clone();
            let skipped = self.plant == Some(Plant::LostEvents)
                && matches!(logged.emitted, Fact::Paid { .. } | Fact::Refunded { .. });
            if !skipped {
                self.deliver_log(logged)?;
            }
            // The cursor moves in the commit of the turn: a crash before it has not moved it.
            if self.scheduler_up {
                self.store.cursor += 1;
            }
        }
        Ok(())
    }

    fn deliver_log(&mut self, logged: Logged) -> Result<(), String> {
        let Logged { position, at_s, job, emitted } = logged;
        let fact = match emitted {
            Fact::Opened { terms, .. } => {
                let plan = self.plans.iter().find(|plan| plan.id == job);
                let spec = plan.filter(|plan| plan.uploads).map(|plan| plan.spec.clone());
                Fact::Opened { terms, spec }
            }
            fact @ (Fact::Cancelled { .. }
            | Fact::Assigned { .. }
            | Fact::CalledIn { .. }
            | Fact::Renewed { .. }
            | Fact::Released { .. }
            | Fact::Lapsed { .. }
            | Fact::Settled { .. }
            | Fact::Published { .. }
            | Fact::Paid { .. }
            | Fact::Refunded { .. }) => fact,
        };
        let swallowed = self.plant == Some(Plant::KeptDeposit)
            && matches!(fact, Fact::Opened { .. })
            && self.store.rows.jobs.get(&job).is_some_and(|job| job.state == gristmill_market::job::State::Cancelled);
        if swallowed {
            return Ok(());
        }
        let event = ChainEvent { job, position, at_s, fact };
        let token = token(&mut self.random);
        self.decide_all(vec![(Command::Chain { event, token }, Asker::Nobody)]).map(|_| ())
    }

    /// Sends what is planned, again if it seems lost, and reports what can never be mined.
    fn send(&mut self) -> Result<(), String> {
        self.sender_planned = false;
        if !self.scheduler_up {
            return Ok(());
        }
        let mut failed = Vec::new();
        let mut open = false;
        for index in 0..self.store.intents.len() {
            if self.store.intents[index].done {
                continue;
            }
            let fates: Vec<_> =
                self.store.intents[index].sent.iter().map(|(id, at)| (self.chain.fate(*id), *at)).collect();
            if fates.iter().any(|(fate, _)| *fate == Fate::Final { reverted: false }) {
                self.store.intents[index].done = true;
                continue;
            }
            let waiting = |(fate, at): &(Fate, Timestamp)| match fate {
                Fate::Mined => true,
                Fate::Unknown => self.now.millis_since(*at) < 30_000,
                Fate::Final { .. } => false,
            };
            if fates.iter().any(waiting) {
                open = true;
                continue;
            }
            if fates.iter().any(|(fate, _)| matches!(fate, Fate::Final { reverted: true })) {
                self.store.intents[index].done = true;
                failed.push(self.store.intents[index].intent.reference());
                continue;
            }
            let intent = self.store.intents[index].intent.clone();
            let job = self.store.rows.jobs.get(&intent.job);
            if fates.is_empty() && job.is_some_and(|job| !intent.is_wanted(job)) {
                self.store.intents[index].done = true;
                failed.push(intent.reference());
                continue;
            }
            open = true;
            let call = scenario::call_of(&intent, self.plant);
            let id = self.chain.send(call.clone());
            self.note(|| format!("sends {call:?}"));
            // A crash between sending and saving: it will be sent again.
            if !(self.chaos && self.random.percent(5)) {
                self.store.intents[index].sent.push((id, self.now));
            }
        }
        self.plan_block();
        for intent in failed {
            let command = Command::IntentFailed { intent, reason: "it cannot be mined".into() };
            self.post(command, Asker::Nobody);
        }
        if open {
            self.plan_sender(5000);
        }
        Ok(())
    }

    fn verify(&mut self) -> Result<(), String> {
        if !self.scheduler_up {
            return Ok(());
        }
        let open: Vec<_> = self.store.verifications.iter().copied().collect();
        for verification in open {
            let row = self.store.rows.attempts.get(&(verification.job, verification.attempt));
            let report = row.and_then(|row| row.report.as_ref());
            let Some(receipt) = report.map(|report| &report.receipt) else { continue };
            let verdict = if receipt.outcome.is_success() && is_good(receipt) {
                Verdict::Accept
            } else {
                Verdict::Reject { reasons: vec!["the output is not what it should be".into()] }
            };
            // A verifier that crashes has not answered; it will be asked again.
            if !(self.chaos && self.random.percent(10)) {
                self.store.verifications.remove(&verification);
                let (job, attempt, receipt_hash) = (verification.job, verification.attempt, verification.receipt_hash);
                self.post(Command::Verdict { job, attempt, receipt_hash, verdict }, Asker::Nobody);
            }
        }
        Ok(())
    }

    // ---- the chain ----

    fn plan_block(&mut self) {
        if !self.block_planned && self.chain.is_restless() {
            self.block_planned = true;
            self.after_ms(2000, Event::Block);
        }
    }

    fn block(&mut self) -> Result<(), String> {
        self.block_planned = false;
        if self.chaos && self.random.percent(4) {
            self.chain.reorganise(&mut self.random);
            self.note(|| "the chain reorganises".into());
        }
        self.chain.mine(self.now.unix_seconds(), &mut self.random, self.chaos);
        scenario::watch_leases(&self.chain)?;
        let wait = self.delay_ms();
        self.after_ms(wait, Event::Watcher);
        self.plan_block();
        Ok(())
    }

    // ---- the others ----

    fn step_node(&mut self, index: usize) {
        if !self.agents[index].alive || self.node_at[index] != self.now {
            return;
        }
        let plans = &self.plans;
        let runs = |job: JobId| plans.iter().find(|plan| plan.id == job).map(|plan| (plan.terms, plan.run_seconds));
        let wishes = self.agents[index].step(self.now, &self.chain.contract, &runs, &mut self.random);
        for call in wishes.calls {
            self.note(|| format!("node {index} sends {call:?}"));
            self.chain.send(call);
        }
        self.plan_block();
        for command in wishes.commands {
            let lost = self.chaos && self.random.percent(10);
            if !lost {
                self.post(command, Asker::Node(index));
            }
        }
        let busy = !self.agents[index].work.is_empty();
        let pause = if busy { self.random.between(3000, 9000) } else { self.random.between(8000, 30_000) };
        self.plan_node(index, pause);
    }

    fn step_submitter(&mut self, index: usize) {
        let state = self.store.rows.jobs.get(&self.plans[index].id).map(|job| job.state.name());
        let slot = self.chain.contract.slot(self.plans[index].id);
        let token = token(&mut self.random);
        let now = self.now;
        let plan = &mut self.plans[index];
        let mut command = None;
        if plan.posts && state.is_none() && slot == Slot::None && now.unix_seconds() < plan.terms.deadline {
            plan.posted = true;
            let (job, by, terms, spec) = (plan.id, plan.terms.submitter, plan.terms, plan.spec.clone());
            command = Some(Command::CreateJob { job, by, terms, spec, token });
        } else if plan.posts && !plan.uploads && slot != Slot::None {
            // The spec comes after the money.
            plan.uploads = true;
            let (job, by, terms, spec) = (plan.id, plan.terms.submitter, plan.terms, plan.spec.clone());
            command = Some(Command::CreateJob { job, by, terms, spec, token });
        } else if plan.cancel_at.is_some_and(|at| at <= now) {
            plan.cancel_at = None;
            command = Some(Command::CancelJob { job: plan.id, by: plan.terms.submitter });
        }
        let rested = now.millis_since(plan.sent_at) > 60_000;
        let wants_back = state == Some(gristmill_protocol::api::JobState::Refunding) && plan.watches;
        let mut call = None;
        if plan.open_at.is_some_and(|at| at <= now) && rested {
            if slot == Slot::None && now.unix_seconds() + 5 < plan.terms.deadline {
                call = Some(Call::Open { job: plan.id });
            } else {
                plan.open_at = None;
            }
        } else if wants_back && rested {
            call = match slot {
                Slot::Open { .. } => Some(Call::Cancel { job: plan.id }),
                Slot::Assigned { .. } => Some(Call::Lapse { job: plan.id, caller: Caller::Submitter }),
                Slot::None
                | Slot::Held { .. }
                | Slot::Published { .. }
                | Slot::Paid
                | Slot::Refunded
                | Slot::Cancelled => None,
            };
        }
        if call.is_some() {
            plan.sent_at = now;
        }
        if let Some(call) = call {
            self.note(|| format!("submitter {index} sends {call:?}"));
            self.chain.send(call);
            self.plan_block();
        }
        if let Some(command) = command {
            self.post(command, Asker::Nobody);
        }
        let pause = self.random.between(5_000, 40_000);
        self.after_ms(pause, Event::Submitter(index));
    }

    /// Replays, forgeries, and nonsense.
    fn noise(&mut self) {
        if !self.chaos {
            return;
        }
        if !self.history.is_empty() {
            let command = self.history[self.random.index(self.history.len())].clone();
            let command = scenario::distort(command, &mut self.random);
            self.post(command, Asker::Nobody);
        }
        if self.random.percent(20) && !self.plans.is_empty() {
            let job = self.plans[self.random.index(self.plans.len())].id;
            let attempt = gristmill_protocol::ids::AttemptNumber(1);
            let call = match self.random.below(4) {
                0 => crate::agent::forged(job),
                1 => Call::Refund { job },
                2 => Call::Claim { job },
                _ => Call::Lapse { job, caller: Caller::Submitter },
            };
            self.chain.send(call);
            self.plan_block();
            let receipt_hash = gristmill_protocol::ids::ReceiptHash::default();
            self.post(Command::Verdict { job, attempt, receipt_hash, verdict: Verdict::Accept }, Asker::Nobody);
        }
        let pause = self.random.between(2_000, 30_000);
        self.after_ms(pause, Event::Noise);
    }

    // ---- the end ----

    fn is_over(&self) -> bool {
        let quiet = self.plans.iter().all(|plan| {
            let ended = self.store.rows.jobs.get(&plan.id).map(|job| job.state.name().is_end());
            let never = !plan.posts && plan.open_at.is_none();
            plan.open_at.is_none() && (ended.unwrap_or(never || plan.terms.deadline < self.now.unix_seconds()))
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
                gristmill_protocol::api::JobState::Settled => self.stats.settled += 1,
                gristmill_protocol::api::JobState::Refunded => self.stats.refunded += 1,
                _ => self.stats.cancelled += 1,
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
