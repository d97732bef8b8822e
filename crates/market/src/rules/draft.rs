//! The changes of one command, kept apart from the world until the command is accepted: this is why a rejection
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use gristmill_protocol::api::{EventBody, JobEvent};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use gristmill_protocol::time::Timestamp;

use crate::attempt::Attempt;
use crate::effect::{Intent, IntentAction, Verification};
use crate::job::Job;
use crate::matching::Moment;
use crate::node::Node;
use crate::policy::Policy;
use crate::rejection::Rejection;
use crate::world::World;

/// Reads fall through to the world; writes stay here.
pub(crate) struct Draft<'w> {
    world: &'w World,
    pub(super) now: Timestamp,
    written: Written,
}

/// What an accepted command hands to the world.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) attempts: BTreeMap<(JobId, AttemptNumber), Attempt>,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) events: Vec<JobEvent>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) verifications: BTreeSet<Verification>,
    pub(crate) wakes: BTreeSet<NodeId>,
}

impl<'w> Draft<'w> {
    pub(super) fn new(world: &'w World, now: Timestamp) -> Self {
        Self { world, now, written: Written::default() }
    }

    pub(super) fn finish(mut self) -> Written {
        let now = self.now;
        for job in self.written.jobs.values_mut() {
            job.ended_at = job.state.name().is_end().then(|| job.ended_at.unwrap_or(now));
        }
        self.written
    }

    pub(super) fn policy(&self) -> &'w Policy {
        &self.world.policy
    }

    pub(super) fn moment(&self) -> Moment {
        self.policy().moment(self.now)
    }

    pub(super) fn find_job(&self, id: JobId) -> Option<&Job> {
        self.written.jobs.get(&id).or_else(|| self.world.jobs.get(&id))
    }

    pub(super) fn job(&self, id: JobId) -> Result<&Job, Rejection> {
        self.find_job(id).ok_or(Rejection::UnknownJob(id))
    }

    pub(super) fn job_mut(&mut self, id: JobId) -> Result<&mut Job, Rejection> {
        copy_on_write(&mut self.written.jobs, &self.world.jobs, id).ok_or(Rejection::UnknownJob(id))
    }

    pub(super) fn insert_job(&mut self, job: Job) {
        self.written.jobs.insert(job.id, job);
    }

    /// All jobs that are loaded, by ascending id.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.world
            .jobs
            .keys()
            .chain(self.written.jobs.keys().filter(|id| !self.world.jobs.contains_key(*id)))
            .filter_map(|id| self.find_job(*id))
    }

    pub(super) fn find_attempt(&self, job: JobId, number: AttemptNumber) -> Option<&Attempt> {
        let key = (job, number);
        self.written.attempts.get(&key).or_else(|| self.world.attempts.get(&key))
    }

    pub(super) fn attempt_mut(
        &mut self,
        job: JobId,
        number: AttemptNumber,
    ) -> Result<&mut Attempt, Rejection> {
        copy_on_write(&mut self.written.attempts, &self.world.attempts, (job, number))
            .ok_or(Rejection::UnknownAttempt { job, attempt: number })
    }

    pub(super) fn insert_attempt(&mut self, attempt: Attempt) {
        self.written.attempts.insert((attempt.job, attempt.number), attempt);
    }

    /// The numbers of the attempts of a job that are loaded.
    pub(super) fn attempt_numbers(&self, job: JobId) -> BTreeSet<AttemptNumber> {
        let range = (job, AttemptNumber(0))..=(job, AttemptNumber(u16::MAX));
        let known = self.world.attempts.range(range.clone()).map(|(key, _)| key.1);
        known.chain(self.written.attempts.range(range).map(|(key, _)| key.1)).collect()
    }

    pub(super) fn find_node(&self, id: NodeId) -> Option<&Node> {
        self.written.nodes.get(&id).or_else(|| self.world.nodes.get(&id))
    }

    pub(super) fn node(&self, id: NodeId) -> Result<&Node, Rejection> {
        self.find_node(id).ok_or(Rejection::UnknownNode(id))
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Rejection> {
        copy_on_write(&mut self.written.nodes, &self.world.nodes, id)
            .ok_or(Rejection::UnknownNode(id))
    }

    pub(super) fn insert_node(&mut self, node: Node) {
        self.written.nodes.insert(node.id, node);
    }

    /// All nodes that are loaded, by ascending id.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.world.nodes.keys().filter_map(|id| self.find_node(*id))
    }

    /// One more step in the job's history.
    pub(super) fn record(&mut self, id: JobId, body: EventBody) -> Result<(), Rejection> {
        let at_ms = self.now;
        let job = self.job_mut(id)?;
        job.version += 1;
        let version = job.version;
        self.written.events.push(JobEvent { job_id: id, version, at_ms, body });
        Ok(())
    }

    /// Plans a transaction, unless the same failed lately: then it says when the next may be planned.
    pub(super) fn plan(
        &mut self,
        id: JobId,
        action: IntentAction,
    ) -> Result<Option<Timestamp>, Rejection> {
        let job = self.job(id)?;
        let mut intent = Intent { job: id, action, round: 0 };
        if let Some(setback) = (!job.setbacks.is_empty())
            .then(|| job.setback(intent.kind(), &intent.about()))
            .flatten()
        {
            if self.now < setback.retry_at {
                return Ok(Some(setback.retry_at));
            }
            intent.round = setback.count;
        }
        if !self.written.intents.contains(&intent) {
            self.written.intents.push(intent);
        }
        Ok(None)
    }

    pub(super) fn verify(&mut self, verification: Verification) {
        self.written.verifications.insert(verification);
    }

    pub(super) fn wake(&mut self, node: NodeId) {
        self.written.wakes.insert(node);
    }
}

fn copy_on_write<'a, K: Ord + Copy, V: Clone>(
    written: &'a mut BTreeMap<K, V>,
    known: &BTreeMap<K, V>,
    key: K,
) -> Option<&'a mut V> {
    use std::collections::btree_map::Entry;
    match written.entry(key) {
        Entry::Occupied(entry) => Some(entry.into_mut()),
        Entry::Vacant(entry) => known.get(&key).map(|row| entry.insert(row.clone())),
    }
}
