//! What a scheduler does beside turns: timer, chain watcher, verifier.

use gristmill_market::command::{ChainEvent, Command, Fact, Verdict};
use gristmill_market::job::State;
use gristmill_protocol::ids::{AttemptNumber, JobId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::time::Timestamp;

use super::{Asker, Event, Mill, Town};
use crate::agent::{is_good, token};
use crate::chain::Logged;
use crate::model::Event as Said;
use crate::plant::Plant;
use crate::scenario;

impl Town {
    pub(super) fn plan_timer(&mut self, mill: usize) {
        let Some(due_at) = self.mills[mill].store.next_due_at() else { return };
        if self.mills[mill].timer_at.is_none_or(|planned| due_at < planned || planned < self.now) {
            // In bad times the driver looks too early or too late.
            let early = self.chaos && self.random.percent(5);
            let wait = if early { 0 } else { self.delay_ms() };
            let when = if early { self.now } else { due_at.plus_millis(wait) };
            self.mills[mill].timer_at = Some(when.max(self.now));
            self.at(when, Event::Timer(mill));
        }
    }

    pub(super) fn timer(&mut self, mill: usize) -> Result<(), String> {
        if self.mills[mill].timer_at.is_some_and(|planned| planned > self.now) {
            // A plan that an earlier one has replaced.
            return Ok(());
        }
        self.mills[mill].timer_at = None;
        if !self.mills[mill].up {
            return Ok(());
        }
        let eager = self.chaos && self.random.percent(10);
        let (now, early) = (self.now, self.plant == Some(Plant::EarlyTimers));
        let is_due = |due_at: Option<Timestamp>| {
            due_at.is_some_and(|due_at| due_at <= now || eager || early)
        };
        let jobs: Vec<_> = self.mills[mill]
            .store
            .rows
            .jobs
            .values()
            .filter(|job| is_due(job.due_at))
            .map(|job| job.id)
            .collect();
        let nodes: Vec<_> = self.mills[mill]
            .store
            .rows
            .nodes
            .values()
            .filter(|node| is_due(node.due_at))
            .map(|node| node.id)
            .collect();
        for job in jobs {
            if !self.mills[mill].up {
                return Ok(());
            }
            let token = token(&mut self.random);
            self.decide_all(mill, vec![(Command::JobDue { job, token }, Asker::Nobody)])?;
        }
        for node in nodes {
            self.decide_all(mill, vec![(Command::NodeDue { node }, Asker::Nobody)])?;
        }
        self.plan_timer(mill);
        Ok(())
    }

    /// Delivers final events in order; a crash may set the cursor back.
    pub(super) fn watch(&mut self, mill: usize) -> Result<(), String> {
        if !self.mills[mill].up {
            return Ok(());
        }
        if self.chaos && self.random.percent(3) {
            let back = self.random.index(4);
            self.mills[mill].store.cursor = self.mills[mill].store.cursor.saturating_sub(back);
        }
        if self.plant == Some(Plant::InstantFinality) {
            let logs: Vec<_> = self.chain.young_logs().cloned().collect();
            for logged in logs {
                self.deliver_log(mill, logged)?;
            }
        }
        while self.mills[mill].store.cursor < self.chain.final_logs.len() && self.mills[mill].up {
            let logged = self.chain.final_logs[self.mills[mill].store.cursor].clone();
            let skipped = self.plant == Some(Plant::LostEvents)
                && matches!(logged.event, Said::Paid { .. } | Said::Refunded { .. })
                || self.plant == Some(Plant::LostRuling)
                    && matches!(logged.event, Said::Ruled { .. });
            if !skipped {
                self.deliver_log(mill, logged)?;
            }
            // The cursor moves in the commit of the turn: a crash before it has not moved it.
            if self.mills[mill].up {
                self.mills[mill].store.cursor += 1;
            }
        }
        Ok(())
    }

    fn deliver_log(&mut self, mill: usize, logged: Logged) -> Result<(), String> {
        let Logged { position, at_s, event } = logged;
        let Some((job, mut fact)) = fact_of(&event) else {
            return self.hear_standing(mill, &event);
        };
        let known = self.mills[mill].store.rows.jobs.get(&job);
        if let Fact::Opened { terms, spec } = &mut fact {
            // A scheduler asks for the logs of its own jobs.
            if terms.scheduler != self.mills[mill].address {
                return Ok(());
            }
            let plan = self.plans.iter().find(|plan| plan.id == job);
            *spec = plan.filter(|plan| plan.uploads).map(|plan| plan.spec.clone());
            let swallowed = self.plant == Some(Plant::KeptDeposit)
                && known.is_some_and(|job| job.state == State::Cancelled);
            if swallowed {
                return Ok(());
            }
        } else if known.is_none() {
            return Ok(());
        }
        let event = ChainEvent { job, position, at_s, fact };
        let token = token(&mut self.random);
        self.decide_all(mill, vec![(Command::Chain { event, token }, Asker::Nobody)]).map(|_| ())
    }

    /// A provider has changed its mind about a node, or about the scheduler.
    fn hear_standing(&mut self, mill: usize, event: &Said) -> Result<(), String> {
        let (Said::Revoked { provider, .. }
        | Said::SchedulerApproved { provider, .. }
        | Said::SchedulerDisapproved { provider, .. }) = event
        else {
            return Ok(());
        };
        let Mill { address, store, .. } = &self.mills[mill];
        let settled = &self.chain.settled().contract;
        let theirs = store.rows.nodes.values().filter(|node| node.provider == *provider);
        let news: Vec<_> = theirs
            .map(|node| {
                let standing = scenario::standing(settled, node.id, *address);
                (Command::NodeStanding { node: node.id, standing }, Asker::Nobody)
            })
            .collect();
        news.into_iter().try_for_each(|news| self.decide_all(mill, vec![news]).map(|_| ()))
    }

    pub(super) fn verify(&mut self, mill: usize) {
        if !self.mills[mill].up {
            return;
        }
        let open: Vec<_> = self.mills[mill].store.verifications.iter().copied().collect();
        for verification in open {
            let row =
                self.mills[mill].store.rows.attempts.get(&(verification.job, verification.attempt));
            let report = row.and_then(|row| row.report.as_ref());
            let Some(receipt) = report.map(|report| &report.receipt) else { continue };
            let verdict = if receipt.outcome.is_success() && is_good(receipt) {
                Verdict::Accept
            } else {
                Verdict::Reject { reasons: vec!["the output is not what it should be".into()] }
            };
            // A verifier that crashes has not answered; it will be asked again.
            if !(self.chaos && self.random.percent(10)) {
                self.mills[mill].store.verifications.remove(&verification);
                let (job, attempt, receipt_hash) =
                    (verification.job, verification.attempt, verification.receipt_hash);
                let verdict = Command::Verdict { job, attempt, receipt_hash, verdict };
                self.post(mill, verdict, Asker::Nobody);
            }
        }
    }
}

/// What the watcher makes of a log; `None` where it is not about a job's fate.
fn fact_of(event: &Said) -> Option<(JobId, Fact)> {
    let number = AttemptNumber;
    Some(match *event {
        Said::Opened { job, terms } => (job, Fact::Opened { terms, spec: None }),
        Said::Cancelled { job, amount } => (job, Fact::Cancelled { amount: Amount(amount) }),
        Said::Assigned { job, node, provider, attempt } => {
            (job, Fact::Assigned { node, provider, attempt: number(attempt) })
        }
        Said::CalledIn { job, attempt, lease_end } => {
            (job, Fact::CalledIn { attempt: number(attempt), lease_end_s: lease_end })
        }
        Said::Renewed { job, attempt, lease_end } => {
            (job, Fact::Renewed { attempt: number(attempt), lease_end_s: lease_end })
        }
        Said::Released { job, attempt } => (job, Fact::Released { attempt: number(attempt) }),
        Said::Lapsed { job, attempt } => (job, Fact::Lapsed { attempt: number(attempt) }),
        Said::Forfeited { job, provider, to_submitter, to_pool } => {
            let (to_submitter, to_pool) = (Amount(to_submitter), Amount(to_pool));
            (job, Fact::Forfeited { provider, to_submitter, to_pool })
        }
        Said::Settled { job, node, attempt, receipt_hash } => {
            (job, Fact::Settled { node, attempt: number(attempt), receipt_hash })
        }
        Said::Published { job, node, attempt, receipt_hash } => {
            (job, Fact::Published { node, attempt: number(attempt), receipt_hash })
        }
        Said::Disputed { job, by, until } => (job, Fact::Disputed { by, until_s: until }),
        Said::Ruled { job, ruling } => (job, Fact::Ruled { ruling }),
        Said::Paid { job, provider, amount, fee } => {
            (job, Fact::Paid { provider, amount: Amount(amount), fee: Amount(fee) })
        }
        Said::Refunded { job, amount } => (job, Fact::Refunded { amount: Amount(amount) }),
        // The sender reads of what was skipped in the receipts of its own transactions.
        Said::Skipped { .. }
        | Said::Deposited { .. }
        | Said::Credited { .. }
        | Said::Debited { .. }
        | Said::Withdrawn { .. }
        | Said::EpochRaised { .. }
        | Said::Enrolled { .. }
        | Said::Revoked { .. }
        | Said::SchedulerApproved { .. }
        | Said::SchedulerDisapproved { .. } => return None,
    })
}
