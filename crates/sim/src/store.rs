//! A store as the port of the scheduler asks for: rows that are loaded by need and saved in one piece, a history
//! without gaps, and an outbox that survives crashes.

use std::collections::{BTreeMap, BTreeSet};

use gristmill_market::attempt::Attempt;
use gristmill_market::effect::{Intent, Verification};
use gristmill_market::job::Job;
use gristmill_market::node::{Mode, Node};
use gristmill_market::world::WINDOW_MAX;
use gristmill_market::{Changes, Needs, Policy, Window, World};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use gristmill_protocol::time::Timestamp;

use crate::chain::Transaction;

/// An intent, and whether a transaction has been signed for it.
#[derive(Clone, Debug)]
pub struct IntentRow {
    pub intent: Intent,
    /// The newest transaction that carries it: its place in [`Store::signed`].
    pub signed: Option<usize>,
    /// Final, or given up.
    pub done: bool,
}

/// A nonce, the intents that it stands for, and the versions of the transaction: the same call, each time for more
/// gas. It is saved before anything is sent.
#[derive(Clone, Debug)]
pub struct SignedRow {
    pub nonce: u64,
    /// Places in [`Store::intents`].
    pub intents: Vec<usize>,
    pub versions: Vec<Transaction>,
    pub sent_at: Timestamp,
    pub done: bool,
}

#[derive(Clone)]
pub struct Rows {
    pub jobs: BTreeMap<JobId, Job>,
    pub attempts: BTreeMap<(JobId, AttemptNumber), Attempt>,
    pub nodes: BTreeMap<NodeId, Node>,
}

pub struct Store {
    pub policy: Policy,
    pub rows: Rows,
    /// How many events each job's history has.
    pub history: BTreeMap<JobId, u64>,
    /// In the order of planning; unique by kind and subject.
    pub intents: Vec<IntentRow>,
    pub signed: Vec<SignedRow>,
    /// The next nonce of the scheduler's account; `None` until the chain was asked.
    pub next_nonce: Option<u64>,
    subjects: BTreeSet<(&'static str, String)>,
    pub verifications: BTreeSet<Verification>,
    /// The watcher's cursor: how many final logs have been decided.
    pub cursor: usize,
}

impl Store {
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            rows: Rows { jobs: BTreeMap::new(), attempts: BTreeMap::new(), nodes: BTreeMap::new() },
            history: BTreeMap::new(),
            intents: Vec::new(),
            signed: Vec::new(),
            next_nonce: None,
            subjects: BTreeSet::new(),
            verifications: BTreeSet::new(),
            cursor: 0,
        }
    }

    /// Loads what `needs` names, and nothing else: a need that was not declared shows.
    #[must_use]
    pub fn load(&self, rows: &Rows, needs: &Needs) -> World {
        let mut world = World::new(self.policy.clone());
        for id in &needs.jobs {
            load_job(rows, *id, &mut world);
        }
        for id in &needs.nodes {
            if let Some(node) = rows.nodes.get(id) {
                world.nodes.insert(*id, node.clone());
            }
        }
        for window in &needs.windows {
            match window {
                Window::NodesFor(id) => {
                    if world.jobs.get(id).is_none_or(Job::wants_nodes) {
                        let online = rows.nodes.values().filter(|node| node.mode == Mode::Online);
                        let window = online.take(WINDOW_MAX).map(|node| (node.id, node.clone()));
                        world.nodes.extend(window);
                    }
                }
                Window::JobsFor(_) => {
                    let mut waiting: Vec<_> =
                        rows.jobs.values().filter(|job| job.is_assignable()).collect();
                    waiting.sort_by_key(|job| (job.queued_at, job.id));
                    for job in waiting.into_iter().take(WINDOW_MAX) {
                        load_job(rows, job.id, &mut world);
                    }
                }
            }
        }
        world
    }

    /// Saves a turn. Says what a database with its constraints would refuse.
    pub fn save(&mut self, changes: Changes) -> Result<(), String> {
        for event in &changes.events {
            let version = self.history.entry(event.job_id).or_default();
            if event.version != *version + 1 {
                return Err(format!(
                    "the history of {} goes from version {version} to {}",
                    event.job_id, event.version
                ));
            }
            *version = event.version;
        }
        for job in changes.jobs {
            self.rows.jobs.insert(job.id, job);
        }
        for attempt in changes.attempts {
            self.rows.attempts.insert((attempt.job, attempt.number), attempt);
        }
        for node in changes.nodes {
            self.rows.nodes.insert(node.id, node);
        }
        for intent in changes.intents {
            if self.subjects.insert((intent.kind().as_str(), intent.subject())) {
                self.intents.push(IntentRow { intent, signed: None, done: false });
            }
        }
        self.verifications.extend(changes.verifications);
        Ok(())
    }

    /// When something is due next.
    #[must_use]
    pub fn next_due_at(&self) -> Option<Timestamp> {
        let jobs = self.rows.jobs.values().filter_map(|job| job.due_at);
        jobs.chain(self.rows.nodes.values().filter_map(|node| node.due_at)).min()
    }
}

fn load_job(rows: &Rows, id: JobId, world: &mut World) {
    let Some(job) = rows.jobs.get(&id) else { return };
    world.jobs.insert(id, job.clone());
    for (key, attempt) in
        rows.attempts.range((id, AttemptNumber(0))..=(id, AttemptNumber(u16::MAX)))
    {
        world.attempts.insert(*key, attempt.clone());
        if let Some(node) = rows.nodes.get(&attempt.node) {
            world.nodes.insert(node.id, node.clone());
        }
    }
}
