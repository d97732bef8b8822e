//! A scheduler: turns over its inbox, crashes, and what an accepted command must have had on its side.

use gristmill_market::command::Command;
use gristmill_market::{Changes, Needs, Reply, World};
use gristmill_protocol::api::AttemptState;

use super::{Asker, BATCH_MAX, Event, Mill, Town};
use crate::plant::Plant;
use crate::{check, scenario};

impl Town {
    pub(super) fn register_nodes(&mut self) -> Result<(), String> {
        let registrations: Vec<_> = self
            .agents
            .iter()
            .map(|agent| {
                (agent.mill, scenario::registration(agent, &self.chain.settled().contract))
            })
            .collect();
        registrations.into_iter().try_for_each(|(mill, command)| {
            self.decide_all(mill, vec![(command, Asker::Nobody)]).map(|_| ())
        })
    }

    pub(super) fn post(&mut self, mill: usize, command: Command, asker: Asker) {
        if matches!(asker, Asker::Node(_)) && self.mills[mill].history.len() < 64 {
            self.mills[mill].history.push(command.clone());
        }
        let wait = self.delay_ms();
        // Late messages overtake each other.
        if self.chaos && self.random.percent(10) {
            let at = self.random.index(self.mills[mill].inbox.len() + 1);
            self.mills[mill].inbox.insert(at, (command.clone(), asker));
        } else {
            self.mills[mill].inbox.push_back((command.clone(), asker));
        }
        if self.chaos && self.random.percent(8) {
            self.mills[mill].inbox.push_back((command, Asker::Nobody));
        }
        self.after_ms(wait, Event::Turn(mill));
    }

    pub(super) fn turn(&mut self, mill: usize) -> Result<(), String> {
        if !self.mills[mill].up || self.mills[mill].inbox.is_empty() {
            return Ok(());
        }
        let most = 1 + self.random.index(BATCH_MAX);
        let batch: Vec<_> = (0..most).filter_map(|_| self.mills[mill].inbox.pop_front()).collect();
        if !self.mills[mill].inbox.is_empty() {
            self.after_ms(1, Event::Turn(mill));
        }
        let answers = self.decide_all(mill, batch)?;
        for (command, asker, answer) in answers {
            let Asker::Node(index) = asker else { continue };
            let lost = self.chaos && self.random.percent(5);
            if self.agents[index].alive && !lost {
                self.agents[index].hear(&command, &answer);
                // It begins at once with what it has got.
                let begins = matches!(&answer, Ok(Reply::Polled { assignments, .. }) if !assignments.is_empty());
                if begins {
                    let wait = self.delay_ms();
                    self.plan_node(index, wait);
                }
            }
            if matches!(command, Command::Poll { .. })
                && !self.mills[mill].store.rows.nodes.contains_key(&self.agents[index].id)
            {
                let settled = &self.chain.settled().contract;
                let registration = scenario::registration(&self.agents[index], settled);
                self.post(mill, registration, Asker::Nobody);
            }
        }
        Ok(())
    }

    /// One turn: load, decide, commit. A crash before the commit loses everything, after it only the answers.
    #[expect(clippy::type_complexity, reason = "what was asked, by whom, and the answer")]
    pub(super) fn decide_all(
        &mut self,
        mill: usize,
        batch: Vec<(Command, Asker)>,
    ) -> Result<Vec<(Command, Asker, Result<Reply, bool>)>, String> {
        let crash = self.chaos && self.random.percent(1);
        let committed = !crash || self.random.percent(50);
        let seen = (!committed).then(|| self.mills[mill].seen.clone());
        self.hear_heartbeats(mill);
        let mut needs = Needs::default();
        for (command, _) in &batch {
            needs.merge(gristmill_market::needs(command));
        }
        let stale = self.plant == Some(Plant::StaleRows) && self.random.percent(20);
        let Mill { store, older, .. } = &self.mills[mill];
        let rows = older.as_ref().filter(|_| stale).unwrap_or(&store.rows);
        let mut world = store.load(rows, &needs);
        if self.plant == Some(Plant::StaleRows) {
            self.mills[mill].older = Some(self.mills[mill].store.rows.clone());
        }
        let mut answers = Vec::new();
        let mut changes = Vec::new();
        for (command, asker) in batch {
            let answer = self.decide_one(&mut world, &command)?;
            let tampered = self.tamper(world.take_changes(), &command, &mut world);
            check::intents(&tampered, &world)?;
            changes.push(tampered);
            check::steps(&world, &mut self.mills[mill].seen)?;
            answers.push((command, asker, answer));
        }
        if committed {
            for changes in changes {
                for event in &changes.events {
                    let name = scenario::name_of(&event.body);
                    *self.stats.events.entry(name).or_default() += 1;
                }
                let (plans, looks) =
                    (!changes.intents.is_empty(), !changes.verifications.is_empty());
                self.wake(&changes);
                self.mills[mill].store.save(changes)?;
                if plans {
                    let wait = self.delay_ms();
                    self.plan_sender(mill, wait);
                }
                if looks {
                    let wait = self.delay_ms();
                    self.after_ms(wait, Event::Verifier(mill));
                }
            }
            check::rows(&self.mills[mill].store, self.chain.settled())?;
            self.plan_timer(mill);
        } else if let Some(seen) = seen {
            self.mills[mill].seen = seen;
        }
        if crash {
            self.note(|| {
                format!(
                    "the scheduler {mill} crashes, {}",
                    if committed { "after its commit" } else { "before it" }
                )
            });
            self.stats.crashes += 1;
            self.mills[mill].up = false;
            self.mills[mill].inbox.clear();
            let most = if self.random.percent(5) { 1_500_000 } else { 60_000 };
            let down = self.random.between(100, most);
            self.after_ms(down, Event::SchedulerUp(mill));
            for (_, _, answer) in &mut answers {
                *answer = Err(false);
            }
        }
        Ok(answers)
    }

    /// Polls that wait are answered.
    fn wake(&mut self, changes: &Changes) {
        for node in &changes.wakes {
            let Some(index) = self.agents.iter().position(|agent| agent.id == *node) else {
                continue;
            };
            let (when, lost) = (self.delay_ms(), self.chaos && self.random.percent(10));
            if !lost && self.node_at[index] > self.now.plus_millis(when) {
                self.plan_node(index, when);
            }
        }
    }

    pub(super) fn hear_heartbeats(&mut self, mill: usize) {
        for agent in &self.agents {
            if let Some(node) = self.mills[mill].store.rows.nodes.get_mut(&agent.id) {
                let heard = if agent.alive { self.now } else { agent.silent_since };
                node.heard_at = node.heard_at.max(heard);
            }
        }
    }

    pub(super) fn decide_one(
        &mut self,
        world: &mut World,
        command: &Command,
    ) -> Result<Result<Reply, bool>, String> {
        // Polls are many, and all alike: some of them are looked at.
        let looks = !matches!(command, Command::Poll { .. }) || self.random.percent(10);
        let before = looks.then(|| world.clone());
        let asked = self.disguise(world, command);
        let now = match (self.plant, &asked) {
            (Some(Plant::EarlyTimers), Command::JobDue { .. }) => self.now.plus_seconds(600),
            _ => self.now,
        };
        let outcome = gristmill_market::decide(world, asked, now);
        self.stats.commands += 1;
        self.note(|| format!("{command:?}\n                → {outcome:?}"));
        if let Err(rejection) = &outcome {
            self.stats.rejected += 1;
            if matches!(rejection, gristmill_market::Rejection::ImpossibleOnChain { .. }) {
                return Err(format!("{command:?}: {rejection}"));
            }
            if self.plant == Some(Plant::SavedRejection)
                && let Some(job) = command.job().and_then(|id| world.jobs.get_mut(&id))
            {
                job.setbacks.clear();
                job.queued_at = self.now;
            }
            if before.is_some_and(|before| *world != before) {
                return Err(format!("a rejection of {command:?} changed something"));
            }
        } else if let Some(before) = before {
            self.check_accepted(&before, world, command)?;
        }
        Ok(outcome.map_err(|_| true))
    }

    /// What an accepted command must have had on its side.
    pub(super) fn check_accepted(
        &self,
        before: &World,
        after: &World,
        command: &Command,
    ) -> Result<(), String> {
        match command {
            Command::Accept { speaker, .. }
            | Command::Start { speaker }
            | Command::Report { speaker, .. }
            | Command::Release { speaker, .. } => {
                let newest = before.jobs.get(&speaker.job).map(|job| job.newest);
                let attempt = before.attempts.get(&(speaker.job, speaker.attempt));
                let heard = newest == Some(speaker.attempt)
                    && attempt.is_some_and(|row| {
                        row.node == speaker.node && row.token == Some(speaker.token)
                    });
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
                let reported = state == Some(AttemptState::Reported);
                if reported {
                    Ok(())
                } else {
                    Err(format!("a verdict on an attempt that is {state:?}"))
                }
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
}
