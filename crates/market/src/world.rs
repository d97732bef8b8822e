//! The rows that a turn has loaded, what commands have changed in them, and which rows a command needs.

use std::collections::{BTreeMap, BTreeSet};

use gristmill_protocol::api::JobEvent;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use serde::{Deserialize, Serialize};

use crate::attempt::Attempt;
use crate::effect::{Intent, Verification};
use crate::job::Job;
use crate::node::Node;
use crate::policy::Policy;
use crate::rules::Written;

/// Rows of one window of candidates.
pub const WINDOW_MAX: usize = 64;

/// The rows that a command may read or change.
///
/// A store takes the union over the commands of a turn and loads, in this order, every list by ascending id:
/// `jobs`, each with **all of its attempts and their nodes**; `nodes`; then the windows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    pub jobs: BTreeSet<JobId>,
    pub nodes: BTreeSet<NodeId>,
    pub windows: BTreeSet<Window>,
}

/// A bounded list of candidates, at most [`WINDOW_MAX`]. What a store filters is a matter of speed only: the rules
/// check every constraint again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Window {
    /// Nodes that could take this job, to be loaded where [`Job::wants_nodes`] of the loaded row holds, or where the
    /// job is not known yet: online, in good standing, with enough free (`cpu_millis`, `memory_bytes`, `disk_bytes`,
    /// `gpus`), right token and runtime, price floor at most the pay, `bond_max` at least the bond. Cheapest first, or longest idle first.
    NodesFor(JobId),
    /// Jobs that this node could take: [`Job::is_assignable`], and the same filter seen from the node. Each with its
    /// attempts. Oldest `queued_at` first.
    JobsFor(NodeId),
}

impl Needs {
    /// Adds what another command of the same turn needs.
    pub fn merge(&mut self, other: Self) {
        self.jobs.extend(other.jobs);
        self.nodes.extend(other.nodes);
        self.windows.extend(other.windows);
    }
}

/// What a turn works on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct World {
    pub policy: Policy,
    pub jobs: BTreeMap<JobId, Job>,
    pub attempts: BTreeMap<(JobId, AttemptNumber), Attempt>,
    pub nodes: BTreeMap<NodeId, Node>,
    changed: Changed,
}

/// Which rows differ from the store, and what else is to be saved.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Changed {
    jobs: BTreeSet<JobId>,
    attempts: BTreeSet<(JobId, AttemptNumber)>,
    nodes: BTreeSet<NodeId>,
    events: Vec<JobEvent>,
    intents: Vec<Intent>,
    verifications: BTreeSet<Verification>,
    wakes: BTreeSet<NodeId>,
}

/// What a turn saves in one commit, and then publishes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Rows to insert or replace.
    pub jobs: Vec<Job>,
    pub attempts: Vec<Attempt>,
    pub nodes: Vec<Node>,
    /// Rows to insert; `(job_id, version)` is unique.
    pub events: Vec<JobEvent>,
    /// Rows to insert; one whose kind and subject exist already is skipped.
    pub intents: Vec<Intent>,
    /// Rows of the outbox to insert; one that exists already becomes open again.
    pub verifications: Vec<Verification>,
    /// Not saved: nodes whose waiting poll is to be decided again after the commit.
    pub wakes: Vec<NodeId>,
}

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl World {
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            jobs: BTreeMap::new(),
            attempts: BTreeMap::new(),
            nodes: BTreeMap::new(),
            changed: Changed::default(),
        }
    }

    /// All attempts of a job, oldest first.
    pub fn attempts_of(&self, job: JobId) -> impl DoubleEndedIterator<Item = &Attempt> {
        let (first, last) = (AttemptNumber(0), AttemptNumber(u16::MAX));
        self.attempts.range((job, first)..=(job, last)).map(|(_, attempt)| attempt)
    }

    /// Takes over what an accepted command has written.
    pub(crate) fn absorb(&mut self, written: Written) {
        self.changed.jobs.extend(written.jobs.keys());
        self.changed.attempts.extend(written.attempts.keys());
        self.changed.nodes.extend(written.nodes.keys());
        self.jobs.extend(written.jobs);
        self.attempts.extend(written.attempts);
        self.nodes.extend(written.nodes);
        self.changed.events.extend(written.events);
        self.changed.intents.extend(written.intents);
        self.changed.verifications.extend(written.verifications);
        self.changed.wakes.extend(written.wakes);
    }

    /// Takes what has changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let changed = std::mem::take(&mut self.changed);
        Changes {
            jobs: changed.jobs.iter().filter_map(|id| self.jobs.get(id)).cloned().collect(),
            attempts: changed
                .attempts
                .iter()
                .filter_map(|key| self.attempts.get(key))
                .cloned()
                .collect(),
            nodes: changed.nodes.iter().filter_map(|id| self.nodes.get(id)).cloned().collect(),
            events: changed.events,
            intents: changed.intents,
            verifications: changed.verifications.into_iter().collect(),
            wakes: changed.wakes.into_iter().collect(),
        }
    }
}
