//! A store in the memory of this process, for tests: the same rows and windows as in a database, and nothing durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use gristmill_market::attempt::Attempt;
use gristmill_market::demand::KnownSpec;
use gristmill_market::effect::Verification;
use gristmill_market::job::Job;
use gristmill_market::node::{Mode, Node, Standing};
use gristmill_market::world::WINDOW_MAX;
use gristmill_market::{Changes, Needs, Policy, Window, World};
use gristmill_protocol::Address;
use gristmill_protocol::api::{JobEvent, JobState, WaitingNode};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, SpecHash};
use gristmill_protocol::spec::{JobSpec, Strategy};
use gristmill_protocol::time::Timestamp;

use super::chain::ReplicaId;
use super::consents::kept_until;
use super::jobs::JobSearch;
use super::{
    ChainWrites, Due, IdempotencyKey, JobPage, JobQuery, Reads, Session, Store, StoreError,
    StoredReply, TokenHash, Writer, Writes,
};

mod chain;
mod consents;
mod payments;
mod reconcile;

/// The whole database. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<RwLock<MemoryRows>>);

#[derive(Clone, Copy, Default)]
struct VerificationLease {
    until: Timestamp,
    replica: Option<ReplicaId>,
}

/// All rows. A transaction works on a copy, so that nothing of one that fails is left.
#[derive(Clone, Default)]
pub(crate) struct MemoryRows {
    pub(super) chain: chain::ChainTables,
    jobs: BTreeMap<JobId, Job>,
    attempts: BTreeMap<(JobId, AttemptNumber), Attempt>,
    nodes: BTreeMap<NodeId, Node>,
    heard: BTreeMap<NodeId, Timestamp>,
    events: BTreeMap<(JobId, u64), JobEvent>,
    verifications: BTreeMap<Verification, VerificationLease>,
    specs: BTreeMap<SpecHash, JobSpec>,
    sessions: BTreeMap<TokenHash, Session>,
    nonces: BTreeMap<String, Timestamp>,
    replies: BTreeMap<IdempotencyKey, StoredReply>,
    settings: BTreeMap<String, Vec<u8>>,
    consents: BTreeMap<NodeId, WaitingNode>,
    /// Oldest first; only the last one can be open.
    stops: Vec<reconcile::StopEntry>,
}

impl Store for MemoryStore {
    fn read_with(
        &self,
        work: &mut dyn FnMut(&dyn Reads) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // A panic of a writer left the rows as they were: it worked on a copy.
        work(&*self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        Ok(Box::new(self.clone()))
    }
}

impl Writer for MemoryStore {
    fn transact(
        &mut self,
        _rows: &Needs,
        work: &mut dyn FnMut(&mut dyn Writes) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut copy = rows.clone();
        work(&mut copy)?;
        *rows = copy;
        Ok(())
    }
}

impl MemoryRows {
    fn heard(&self, node: &Node) -> Node {
        let heard_at = self.heard.get(&node.id).copied().unwrap_or_default();
        Node { heard_at: node.heard_at.max(heard_at), ..node.clone() }
    }

    fn nodes_for(&self, world: &World, id: JobId) -> Vec<Node> {
        let job = world.jobs.get(&id);
        if job.is_some_and(|job| !job.wants_nodes()) {
            return Vec::new();
        }
        let demand = job.and_then(|job| job.demand.as_ref());
        let fits = |node: &&Node| {
            node.mode == Mode::Online
                && node.standing == Standing::Good
                && job.is_none_or(|job| {
                    node.offer.token == job.terms.token && node.offer.price_floor <= job.pay()
                })
                && demand.is_none_or(|demand| has_room(node, demand))
        };
        let mut nodes: Vec<Node> =
            self.nodes.values().filter(fits).map(|node| self.heard(node)).collect();
        match demand.and_then(|demand| demand.strategy).unwrap_or(world.policy.strategy) {
            Strategy::RoundRobin => nodes.sort_by_key(|node| (node.last_assigned_at, node.id)),
            Strategy::Reputation => nodes.sort_by_key(|node| {
                (std::cmp::Reverse(node.reputation.permille_at_last_deed()), node.id)
            }),
            Strategy::BestFit | Strategy::Cheapest => {
                nodes.sort_by_key(|node| (node.offer.price_floor, node.id));
            }
        }
        nodes.truncate(WINDOW_MAX);
        nodes
    }

    fn jobs_for(&self, node: &Node) -> Vec<Job> {
        let fits = |job: &&Job| {
            job.is_assignable()
                && job.terms.token == node.offer.token
                && job.pay() >= node.offer.price_floor
                && job.demand.as_ref().is_some_and(|demand| has_room(node, demand))
        };
        let mut jobs: Vec<Job> = self.jobs.values().filter(fits).cloned().collect();
        jobs.sort_by_key(|job| (job.queued_at, job.id));
        jobs.truncate(WINDOW_MAX);
        jobs
    }

    fn load_attempts(&self, world: &mut World, job: JobId, with_nodes: bool) {
        for (key, attempt) in
            self.attempts.range((job, AttemptNumber(0))..=(job, AttemptNumber(u16::MAX)))
        {
            if with_nodes && let Some(node) = self.nodes.get(&attempt.node) {
                world.nodes.entry(node.id).or_insert_with(|| self.heard(node));
            }
            world.attempts.insert(*key, attempt.clone());
        }
    }
}

fn has_room(node: &Node, demand: &gristmill_market::demand::Demand) -> bool {
    let (free, wanted) = (node.free(), &demand.resources);
    node.offer.runtimes.contains(&demand.runtime)
        && free.cpu_millis >= wanted.cpu_millis
        && free.memory_bytes >= wanted.memory_bytes
        && free.disk_bytes >= wanted.disk_bytes
        && free.gpus.len() as u64 >= u64::from(wanted.gpus)
}

impl Reads for MemoryRows {
    fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.jobs.get(&id).cloned())
    }

    fn attempts(&self, job: JobId) -> Result<Vec<Attempt>, StoreError> {
        let range = (job, AttemptNumber(0))..=(job, AttemptNumber(u16::MAX));
        Ok(self.attempts.range(range).map(|(_, attempt)| attempt.clone()).collect())
    }

    fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        Ok(self.nodes.get(&id).map(|node| self.heard(node)))
    }

    fn nodes(&self, after: Option<NodeId>, limit: usize) -> Result<Vec<Node>, StoreError> {
        let follows = |node: &&Node| after.is_none_or(|after| node.id > after);
        Ok(self.nodes.values().filter(follows).take(limit).map(|node| self.heard(node)).collect())
    }

    fn jobs(&self, query: &JobQuery) -> Result<JobPage, StoreError> {
        let had = |attempt: &Attempt| {
            query.provider.is_none_or(|provider| attempt.provider == provider)
                && query.node.is_none_or(|node| attempt.node == node)
        };
        let matches = |job: &&Job| {
            let attempts = (job.id, AttemptNumber(0))..=(job.id, AttemptNumber(u16::MAX));
            query.submitter.is_none_or(|submitter| job.terms.submitter == submitter)
                && (query.states.is_empty() || query.states.contains(&job.state.name()))
                && query.after.is_none_or(|after| (job.created_at, job.id) < after)
                && ((query.provider.is_none() && query.node.is_none())
                    || self.attempts.range(attempts).any(|(_, attempt)| had(attempt)))
        };
        let mut jobs: Vec<&Job> = self.jobs.values().filter(matches).collect();
        jobs.sort_by_key(|job| std::cmp::Reverse((job.created_at, job.id)));
        let mut search = JobSearch::new(query);
        for job in jobs {
            let name = job.demand.as_ref().map_or("", |demand| &demand.name);
            let read = || Ok::<_, StoreError>(job.clone());
            if search.see((job.created_at, job.id), name, read)?.is_break() {
                break;
            }
        }
        Ok(search.finish())
    }

    fn events(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<JobEvent>, StoreError> {
        let range = (job, after.saturating_add(1))..=(job, u64::MAX);
        Ok(self.events.range(range).take(limit).map(|(_, event)| event.clone()).collect())
    }

    fn spec(&self, hash: SpecHash) -> Result<Option<JobSpec>, StoreError> {
        Ok(self.specs.get(&hash).cloned())
    }

    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let jobs = self.jobs.values().filter_map(|job| Some((job.due_at?, Due::Job(job.id))));
        let nodes = self.nodes.values().filter_map(|node| Some((node.due_at?, Due::Node(node.id))));
        let mut due: Vec<_> = jobs.chain(nodes).filter(|(at, _)| *at <= now).collect();
        due.sort_unstable();
        due.truncate(limit);
        Ok(due.into_iter().map(|(_, due)| due).collect())
    }

    fn next_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let jobs = self.jobs.values().filter_map(|job| job.due_at);
        Ok(jobs.chain(self.nodes.values().filter_map(|node| node.due_at)).min())
    }

    fn unfinished_jobs(&self) -> Result<Vec<(JobState, u64)>, StoreError> {
        let states = JobState::ALL.iter().filter(|state| !state.is_end());
        let count = |state: &JobState| {
            self.jobs.values().filter(|job| job.state.name() == *state).count() as u64
        };
        Ok(states.map(|state| (*state, count(state))).collect())
    }

    fn session(&self, token: &TokenHash, now: Timestamp) -> Result<Option<Address>, StoreError> {
        let session = self.sessions.get(token).filter(|session| session.expires_at > now);
        Ok(session.map(|session| session.address))
    }

    fn stored_reply(&self, key: &IdempotencyKey) -> Result<Option<StoredReply>, StoreError> {
        Ok(self.replies.get(key).cloned())
    }
}

impl Writes for MemoryRows {
    fn load(&self, needs: &Needs, policy: &Policy) -> Result<World, StoreError> {
        let mut world = World::new(policy.clone());
        for id in &needs.jobs {
            if let Some(job) = self.jobs.get(id) {
                self.load_attempts(&mut world, *id, true);
                world.jobs.insert(*id, job.clone());
            }
        }
        for id in &needs.nodes {
            if let Some(node) = self.nodes.get(id) {
                world.nodes.entry(*id).or_insert_with(|| self.heard(node));
            }
        }
        for window in &needs.windows {
            match window {
                Window::NodesFor(job) => {
                    for node in self.nodes_for(&world, *job) {
                        world.nodes.entry(node.id).or_insert(node);
                    }
                }
                Window::JobsFor(node) => {
                    let jobs =
                        world.nodes.get(node).map(|node| self.jobs_for(node)).unwrap_or_default();
                    for job in jobs {
                        if !world.jobs.contains_key(&job.id) {
                            self.load_attempts(&mut world, job.id, false);
                            world.jobs.insert(job.id, job);
                        }
                    }
                }
            }
        }
        Ok(world)
    }

    fn save(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.jobs.extend(changes.jobs.iter().map(|job| (job.id, job.clone())));
        let attempts =
            changes.attempts.iter().map(|attempt| ((attempt.job, attempt.number), attempt.clone()));
        self.attempts.extend(attempts);
        self.nodes.extend(changes.nodes.iter().map(|node| (node.id, node.clone())));
        for event in &changes.events {
            if self.events.insert((event.job_id, event.version), event.clone()).is_some() {
                return Err(StoreError::Duplicate { table: "events" });
            }
        }
        for intent in &changes.intents {
            self.insert_intent(intent)?;
        }
        for verification in &changes.verifications {
            self.verifications.entry(*verification).or_default();
        }
        Ok(())
    }

    fn hear(&mut self, heard: &[(NodeId, Timestamp)]) -> Result<(), StoreError> {
        for (node, at) in heard {
            if self.nodes.contains_key(node) {
                let last = self.heard.entry(*node).or_default();
                *last = (*last).max(*at);
            }
        }
        Ok(())
    }

    fn put_spec(
        &mut self,
        known: &KnownSpec,
        _by: Address,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        self.specs.entry(known.hash).or_insert_with(|| known.spec.clone());
        Ok(())
    }

    fn store_reply(&mut self, key: &IdempotencyKey, reply: &StoredReply) -> Result<(), StoreError> {
        self.replies.insert(key.clone(), reply.clone());
        Ok(())
    }

    fn use_nonce(&mut self, nonce: &str, expires_at: Timestamp) -> Result<bool, StoreError> {
        if self.nonces.contains_key(nonce) {
            return Ok(false);
        }
        self.nonces.insert(nonce.to_owned(), expires_at);
        Ok(true)
    }

    fn put_session(&mut self, token: &TokenHash, session: &Session) -> Result<(), StoreError> {
        self.sessions.insert(*token, *session);
        Ok(())
    }

    fn revoke_session(&mut self, token: &TokenHash) -> Result<(), StoreError> {
        self.sessions.remove(token);
        Ok(())
    }

    fn purge(&mut self, now: Timestamp, limit: usize) -> Result<(), StoreError> {
        drop_expired(&mut self.sessions, limit, |session| session.expires_at <= now);
        drop_expired(&mut self.nonces, limit, |expires_at| *expires_at <= now);
        drop_expired(&mut self.replies, limit, |reply| reply.expires_at <= now);
        drop_expired(&mut self.consents, limit, |waiting| kept_until(waiting) <= now);
        Ok(())
    }

    fn setting(&mut self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.settings.entry(name.to_owned()).or_insert_with(|| fresh.to_vec()).clone())
    }

    fn mark_ready(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.settings.insert("ready_at".into(), now.0.to_be_bytes().to_vec());
        Ok(())
    }

    fn lease_verifications(
        &mut self,
        replica: ReplicaId,
        now: Timestamp,
        lease_ms: u64,
        limit: usize,
    ) -> Result<Vec<Verification>, StoreError> {
        let mut free: Vec<_> =
            self.verifications.iter().filter(|(_, lease)| lease.until <= now).collect();
        free.sort_by_key(|(verification, lease)| (lease.until, **verification));
        let leased: Vec<Verification> =
            free.into_iter().take(limit).map(|(verification, _)| *verification).collect();
        for verification in &leased {
            let lease =
                VerificationLease { until: now.plus_millis(lease_ms), replica: Some(replica) };
            self.verifications.insert(*verification, lease);
        }
        Ok(leased)
    }

    fn free_verifications(&mut self, replica: ReplicaId) -> Result<(), StoreError> {
        for lease in self.verifications.values_mut().filter(|lease| lease.replica == Some(replica))
        {
            lease.until = Timestamp::default();
        }
        Ok(())
    }

    fn close_verification(&mut self, verification: &Verification) -> Result<(), StoreError> {
        self.verifications.remove(verification);
        Ok(())
    }
}

fn drop_expired<K: Ord + Clone, V>(
    rows: &mut BTreeMap<K, V>,
    limit: usize,
    expired: impl Fn(&V) -> bool,
) {
    let keys: BTreeSet<K> = rows
        .iter()
        .filter(|(_, row)| expired(row))
        .take(limit)
        .map(|(key, _)| key.clone())
        .collect();
    rows.retain(|key, _| !keys.contains(key));
}
