//! The world outside of the scheduler: blocks, nodes, submitters, and noise.

use gristmill_market::command::{Command, Verdict};
use gristmill_protocol::api::JobState;
use gristmill_protocol::ids::{AttemptNumber, JobId, ReceiptHash};

use super::{Asker, Event, Town};
use crate::agent::{forged, token};
use crate::contract::{Call, Caller, Slot};
use crate::scenario;

impl Town {
    pub(super) fn plan_block(&mut self) {
        if !self.block_planned && self.chain.is_restless() {
            self.block_planned = true;
            self.after_ms(2000, Event::Block);
        }
    }

    pub(super) fn block(&mut self) -> Result<(), String> {
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

    pub(super) fn step_node(&mut self, index: usize) {
        if !self.agents[index].alive || self.node_at[index] != self.now {
            return;
        }
        let plans = &self.plans;
        let runs = |job: JobId| {
            plans.iter().find(|plan| plan.id == job).map(|plan| (plan.terms, plan.run_seconds))
        };
        let wishes =
            self.agents[index].step(self.now, &self.chain.contract, &runs, &mut self.random);
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
        let pause =
            if busy { self.random.between(3000, 9000) } else { self.random.between(8000, 30_000) };
        self.plan_node(index, pause);
    }

    pub(super) fn step_submitter(&mut self, index: usize) {
        let state = self.store.rows.jobs.get(&self.plans[index].id).map(|job| job.state.name());
        let slot = self.chain.contract.slot(self.plans[index].id);
        let token = token(&mut self.random);
        let now = self.now;
        let plan = &mut self.plans[index];
        let mut command = None;
        if plan.posts
            && state.is_none()
            && slot == Slot::None
            && now.unix_seconds() < plan.terms.deadline
        {
            plan.posted = true;
            let (job, by, terms, spec) =
                (plan.id, plan.terms.submitter, plan.terms, plan.spec.clone());
            command = Some(Command::CreateJob { job, by, terms, spec, token });
        } else if plan.posts && !plan.uploads && slot != Slot::None {
            // The spec comes after the money.
            plan.uploads = true;
            let (job, by, terms, spec) =
                (plan.id, plan.terms.submitter, plan.terms, plan.spec.clone());
            command = Some(Command::CreateJob { job, by, terms, spec, token });
        } else if plan.cancel_at.is_some_and(|at| at <= now) {
            plan.cancel_at = None;
            command = Some(Command::CancelJob { job: plan.id, by: plan.terms.submitter });
        }
        let rested = now.millis_since(plan.sent_at) > 60_000;
        let wants_back = state == Some(JobState::Refunding) && plan.watches;
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
                Slot::Assigned { .. } => {
                    Some(Call::Lapse { job: plan.id, caller: Caller::Submitter })
                }
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
    pub(super) fn noise(&mut self) {
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
            let attempt = AttemptNumber(1);
            let call = match self.random.below(4) {
                0 => forged(job),
                1 => Call::Refund { job },
                2 => Call::Claim { job },
                _ => Call::Lapse { job, caller: Caller::Submitter },
            };
            self.chain.send(call);
            self.plan_block();
            let receipt_hash = ReceiptHash::default();
            self.post(
                Command::Verdict { job, attempt, receipt_hash, verdict: Verdict::Accept },
                Asker::Nobody,
            );
        }
        let pause = self.random.between(2_000, 30_000);
        self.after_ms(pause, Event::Noise);
    }
}
