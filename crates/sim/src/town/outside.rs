//! The world outside of the schedulers: blocks, nodes, submitters, the arbiter, and noise.

use std::rc::Rc;

use gristmill_market::command::{Command, Verdict};
use gristmill_protocol::api::{EscrowState, JobState, Ruling};
use gristmill_protocol::ids::{AttemptNumber, JobId, ReceiptHash};
use gristmill_protocol::terms::Terms;

use super::{Asker, Event, Mill, Town, Treason};
use crate::agent::{Agent, token};
use crate::model::Call;
use crate::{mischief, scenario};

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
        self.chain.mine(self.now.unix_seconds(), &mut self.random, self.chaos)?;
        for mill in 0..self.mills.len() {
            let wait = self.delay_ms();
            self.after_ms(wait, Event::Watcher(mill));
        }
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
            self.agents[index].step(self.now, self.chain.contract(), &runs, &mut self.random);
        let Agent { id, mill, .. } = self.agents[index];
        for call in wishes.calls {
            self.note(|| format!("node {index} sends {call:?}"));
            self.chain.send(id.0, call);
        }
        self.plan_block();
        for command in wishes.commands {
            let lost = self.chaos && self.random.percent(10);
            if !lost {
                self.post(mill, command, Asker::Node(index));
            }
        }
        let busy = !self.agents[index].work.is_empty();
        // A poll waits until there is something to say: then the node is woken.
        let pause = match (busy, self.chaos) {
            (true, _) => self.random.between(4000, 14_000),
            (false, true) => self.random.between(10_000, 60_000),
            (false, false) => self.random.between(30_000, 300_000),
        };
        self.plan_node(index, pause);
    }

    pub(super) fn step_submitter(&mut self, index: usize) {
        let mill = self.plans[index].mill;
        let call = self.submitter_call(index);
        if let Some(call) = call {
            let submitter = self.plans[index].terms.submitter;
            self.note(|| format!("submitter {index} sends {call:?}"));
            self.chain.send(submitter, call);
            self.plan_block();
        }
        if let Some(command) = self.submitter_command(index) {
            self.post(mill, command, Asker::Nobody);
        }
        let pause = self.random.between(5_000, 40_000);
        self.after_ms(pause, Event::Submitter(index));
    }

    /// What a submitter asks of its scheduler.
    fn submitter_command(&mut self, index: usize) -> Option<Command> {
        let (state, slot) = self.standing(index);
        let token = token(&mut self.random);
        let now = self.now;
        let plan = &mut self.plans[index];
        let Terms { submitter, token: money, bounty, deadline, .. } = plan.terms;
        let paid_in = plan.funding.is_none()
            || plan.careless
            || self.chain.contract().balance(submitter, money) >= bounty.0;
        let posts = plan.posts
            && state.is_none()
            && slot.state == EscrowState::None
            && now.unix_seconds() < deadline
            && paid_in;
        // The spec may come after the money.
        let uploads = plan.posts && !plan.uploads && slot.state != EscrowState::None;
        if posts || uploads {
            plan.posted |= posts;
            plan.uploads |= uploads;
            return Some(Command::CreateJob {
                job: plan.id,
                by: submitter,
                terms: plan.terms,
                spec: plan.spec.clone(),
                funding: plan.funding.clone(),
                token,
            });
        }
        if plan.cancel_at.is_some_and(|at| at <= now) {
            plan.cancel_at = None;
            return Some(Command::CancelJob { job: plan.id, by: submitter });
        }
        None
    }

    /// What a submitter asks of the contract.
    fn submitter_call(&mut self, index: usize) -> Option<Call> {
        let (state, slot) = self.standing(index);
        let (now, chaos) = (self.now, self.chaos);
        let plan = &mut self.plans[index];
        let (terms, now_s) = (plan.terms, now.unix_seconds());
        if now.millis_since(plan.sent_at) <= 60_000 {
            return None;
        }
        let call = if plan.deposit > 0 {
            let amount = std::mem::take(&mut plan.deposit);
            Some(Call::Deposit { token: terms.token, amount })
        } else if let Some((_, treason)) = plan.treason.take_if(|(at, _)| *at <= now) {
            let amount = self.chain.contract().balance(terms.submitter, terms.token);
            Some(match treason {
                Treason::Revoke => Call::RaiseEpoch,
                Treason::Withdraw => {
                    Call::Withdraw { token: terms.token, to: terms.submitter, amount }
                }
                Treason::Forbid => Call::Cancel { terms },
            })
        } else if plan.open_at.is_some_and(|at| at <= now) {
            if slot.state == EscrowState::None && now_s + 5 < terms.deadline {
                Some(Call::Open { terms })
            } else {
                plan.open_at = None;
                None
            }
        } else if state == Some(JobState::Refunding) && plan.watches {
            match slot.state {
                EscrowState::Open => Some(Call::Cancel { terms }),
                EscrowState::Assigned => Some(Call::Lapse { terms }),
                EscrowState::None
                | EscrowState::Held
                | EscrowState::Published
                | EscrowState::Disputed
                | EscrowState::Paid
                | EscrowState::Refunded
                | EscrowState::Cancelled => None,
            }
        } else if matches!(slot.state, EscrowState::Held | EscrowState::Published)
            && chaos
            && self.random.percent(plan.disputes)
        {
            Some(Call::Dispute { terms })
        } else {
            None
        };
        if call.is_some() {
            plan.sent_at = now;
        }
        call
    }

    /// The arbiter rules on some of what is disputed, as it likes.
    pub(super) fn step_arbiter(&mut self) {
        if !self.chaos {
            return;
        }
        for index in 0..self.plans.len() {
            let terms = self.plans[index].terms;
            let (_, slot) = self.standing(index);
            if slot.state == EscrowState::Disputed && self.random.percent(self.arbiter_rules) {
                let ruling = [Ruling::Pay, Ruling::Refund, Ruling::Reopen][self.random.index(3)];
                self.note(|| format!("the arbiter rules to {ruling:?} about job {index}"));
                self.chain.send(terms.arbiter, Call::Rule { terms, ruling });
                self.plan_block();
            }
        }
        let pause = self.random.between(20_000, 300_000);
        self.after_ms(pause, Event::Arbiter);
    }

    /// Replays, forgeries, and nonsense.
    pub(super) fn noise(&mut self) {
        if !self.chaos {
            return;
        }
        let mill = self.random.index(self.mills.len());
        let Mill { history, .. } = &self.mills[mill];
        if !history.is_empty() {
            let command = history[self.random.index(history.len())].clone();
            let command = scenario::distort(command, &mut self.random);
            self.post(mill, command, Asker::Nobody);
        }
        if self.random.percent(60) {
            let plan = &self.plans[self.random.index(self.plans.len())];
            let (from, call) = mischief::any(plan, self);
            if let Some(call) = call {
                self.note(|| format!("{from} tries {call:?}"));
                self.chain.send(from, call);
                self.plan_block();
            }
        }
        if self.random.percent(20) {
            let plan = &self.plans[self.random.index(self.plans.len())];
            let (mill, job) = (plan.mill, plan.id);
            let (attempt, receipt_hash) = (AttemptNumber(1), ReceiptHash::default());
            let verdict = Verdict::Accept;
            let command = Command::Verdict { job, attempt, receipt_hash, verdict };
            self.post(mill, command, Asker::Nobody);
        }
        if self.random.percent(4) {
            // Somebody uses the scheduler's key elsewhere: a nonce is gone.
            let account = self.mills[mill].address;
            let nonce = self.chain.nonce(account);
            self.chain.broadcast(account, Some(nonce), Rc::new(Call::RaiseEpoch));
            self.plan_block();
        }
        let pause = self.random.between(2_000, 30_000);
        self.after_ms(pause, Event::Noise);
    }
}
