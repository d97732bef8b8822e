//! What the scheduler does beside turns: timer, chain watcher, chain sender, verifier.

use gristmill_market::command::{ChainEvent, Command, Fact, Verdict};
use gristmill_market::job::State;
use gristmill_protocol::time::Timestamp;

use super::{Asker, Event, Town};
use crate::agent::{is_good, token};
use crate::chain::{Fate, Logged};
use crate::plant::Plant;
use crate::scenario;

impl Town {
    pub(super) fn plan_timer(&mut self) {
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

    pub(super) fn timer(&mut self) -> Result<(), String> {
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
        let is_due = |due_at: Option<Timestamp>| {
            due_at.is_some_and(|due_at| due_at <= now || eager || early)
        };
        let jobs: Vec<_> = self
            .store
            .rows
            .jobs
            .values()
            .filter(|job| is_due(job.due_at))
            .map(|job| job.id)
            .collect();
        let nodes: Vec<_> = self
            .store
            .rows
            .nodes
            .values()
            .filter(|node| is_due(node.due_at))
            .map(|node| node.id)
            .collect();
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
    pub(super) fn watch(&mut self) -> Result<(), String> {
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

    pub(super) fn deliver_log(&mut self, logged: Logged) -> Result<(), String> {
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
            && self.store.rows.jobs.get(&job).is_some_and(|job| job.state == State::Cancelled);
        if swallowed {
            return Ok(());
        }
        let event = ChainEvent { job, position, at_s, fact };
        let token = token(&mut self.random);
        self.decide_all(vec![(Command::Chain { event, token }, Asker::Nobody)]).map(|_| ())
    }

    /// Sends what is planned, again if it seems lost, and reports what can never be mined.
    pub(super) fn send(&mut self) -> Result<(), String> {
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
            let fates: Vec<_> = self.store.intents[index]
                .sent
                .iter()
                .map(|(id, at)| (self.chain.fate(*id), *at))
                .collect();
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

    pub(super) fn verify(&mut self) -> Result<(), String> {
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
                let (job, attempt, receipt_hash) =
                    (verification.job, verification.attempt, verification.receipt_hash);
                self.post(Command::Verdict { job, attempt, receipt_hash, verdict }, Asker::Nobody);
            }
        }
        Ok(())
    }
}
