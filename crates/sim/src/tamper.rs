//! Where the planted bugs sit: between the world and the rules, on the way in and on the way out.

use gristmill_market::command::{Command, Fact, Speaker, Verdict};
use gristmill_market::effect::IntentAction;
use gristmill_market::job::{State, Wait};
use gristmill_market::{Changes, World};
use gristmill_protocol::api::AttemptState;

use crate::plant::Plant;
use crate::town::Town;

impl Town {
    /// What the rules are asked instead of `command`.
    pub fn disguise(&mut self, world: &World, command: &Command) -> Command {
        let mut command = command.clone();
        match (self.plant, &mut command) {
            (
                Some(Plant::NoFence),
                Command::Accept { speaker, .. }
                | Command::Start { speaker }
                | Command::Release { speaker, .. },
            ) => {
                pose(world, speaker);
            }
            (Some(Plant::NoFence), Command::Report { speaker, receipt, .. }) => {
                pose(world, speaker);
                (receipt.attempt, receipt.node) = (speaker.attempt, speaker.node);
            }
            (Some(Plant::PushedOut), Command::Chain { event, .. }) => {
                if let Fact::CalledIn { lease_end_s, .. } = &mut event.fact {
                    *lease_end_s = event.at_s;
                }
            }
            _ => {}
        }
        command
    }

    /// What is saved instead of `changes`.
    pub fn tamper(
        &mut self,
        mut changes: Changes,
        command: &Command,
        world: &mut World,
    ) -> Changes {
        match self.plant {
            Some(Plant::LostIntent) => {
                changes.intents.retain(|intent| {
                    !matches!(intent.action, IntentAction::Settle { .. } | IntentAction::Refund)
                });
            }
            Some(Plant::UncheckedVerdict) => {
                let Some(open) = changes.verifications.pop() else { return changes };
                let (job, attempt, receipt_hash) = (open.job, open.attempt, open.receipt_hash);
                let verdict =
                    Command::Verdict { job, attempt, receipt_hash, verdict: Verdict::Accept };
                if gristmill_market::decide(world, verdict, self.now).is_ok() {
                    let more = world.take_changes();
                    changes.jobs.extend(more.jobs);
                    changes.attempts.extend(more.attempts);
                    changes.nodes.extend(more.nodes);
                    changes.events.extend(more.events);
                    changes.intents.extend(more.intents);
                }
            }
            Some(Plant::ForgottenAttempt) => {
                for attempt in &mut changes.attempts {
                    if attempt.state == AttemptState::Expired {
                        attempt.state = AttemptState::Running;
                        world.attempts.insert((attempt.job, attempt.number), attempt.clone());
                    }
                }
            }
            Some(Plant::DoubleAssign) => {
                for job in &mut changes.jobs {
                    if matches!(job.state, State::Assigned { .. }) {
                        job.state = State::Queued { wait: Wait::Node };
                        world.jobs.insert(job.id, job.clone());
                    }
                }
            }
            Some(Plant::LeakedShare)
                if matches!(command, Command::Report { .. } | Command::Release { .. }) =>
            {
                changes.nodes.clear();
            }
            Some(Plant::HistoryGap) if self.random.percent(3) => {
                changes.events.pop();
            }
            Some(Plant::TriedAgain) => {
                for job in &mut changes.jobs {
                    job.excluded.clear();
                    world.jobs.insert(job.id, job.clone());
                }
            }
            Some(Plant::UnheardNode) => {
                for intent in &mut changes.intents {
                    if let IntentAction::Assign { acceptance, .. } = &mut intent.action {
                        *acceptance = None;
                    }
                }
            }
            Some(Plant::LooseTimer) => {
                for job in &mut changes.jobs {
                    if matches!(job.state, State::Settling { .. }) {
                        job.due_at = None;
                        world.jobs.insert(job.id, job.clone());
                    }
                }
            }
            _ => {}
        }
        changes
    }
}

/// Speaks as if it were the newest attempt.
fn pose(world: &World, speaker: &mut Speaker) {
    let newest = world.jobs.get(&speaker.job).map(|job| job.newest);
    let row = newest.and_then(|newest| world.attempts.get(&(speaker.job, newest)));
    if let Some((row, token)) = row.and_then(|row| row.token.map(|token| (row, token))) {
        *speaker = Speaker { node: row.node, job: row.job, attempt: row.number, token };
    }
}
