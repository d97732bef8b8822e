//! The rows that the rules decide on: loading what a command needs, saving what it changed.

use gristmill_market::attempt::Attempt;
use gristmill_market::job::Job;
use gristmill_market::node::{Mode, Node, Standing};
use gristmill_market::world::WINDOW_MAX;
use gristmill_market::{Changes, Needs, Policy, Window, World};
use gristmill_protocol::api::JobEvent;
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::spec::{RuntimeKind, Strategy};

use super::columns::{amount, body, int, runtime, time, word};
use super::{SqliteRows, StoreError};
use crate::store::{ChainWrites, Reads};

/// What a node must have for a job; a job whose spec is not known can only be matched by token and price.
const FITS_JOB: &str = "is_open = 1 AND n.token = ?1 AND n.price_floor <= ?2
    AND CASE ?3 WHEN 'docker' THEN runs_docker WHEN 'wasm' THEN runs_wasm ELSE 1 END
    AND cpu_millis_free >= ?4 AND memory_bytes_free >= ?5 AND disk_bytes_free >= ?6 AND gpus_free >= ?7";

impl SqliteRows<'_> {
    pub(super) fn load_world(&self, needs: &Needs, policy: &Policy) -> Result<World, StoreError> {
        let mut world = World::new(policy.clone());
        for id in &needs.jobs {
            if let Some(job) = self.job(*id)? {
                self.load_attempts(&mut world, *id, true)?;
                world.jobs.insert(*id, job);
            }
        }
        for id in &needs.nodes {
            self.load_node(&mut world, *id)?;
        }
        for window in &needs.windows {
            match window {
                Window::NodesFor(job) => self.load_nodes_for(&mut world, *job)?,
                Window::JobsFor(node) => self.load_jobs_for(&mut world, *node)?,
            }
        }
        Ok(world)
    }

    fn load_node(&self, world: &mut World, id: NodeId) -> Result<(), StoreError> {
        if !world.nodes.contains_key(&id)
            && let Some(node) = self.node(id)?
        {
            world.nodes.insert(id, node);
        }
        Ok(())
    }

    fn load_attempts(
        &self,
        world: &mut World,
        job: JobId,
        with_nodes: bool,
    ) -> Result<(), StoreError> {
        for attempt in self.attempts(job)? {
            if with_nodes {
                self.load_node(world, attempt.node)?;
            }
            world.attempts.insert((job, attempt.number), attempt);
        }
        Ok(())
    }

    fn load_nodes_for(&self, world: &mut World, id: JobId) -> Result<(), StoreError> {
        let job = world.jobs.get(&id);
        if job.is_some_and(|job| !job.wants_nodes()) {
            return Ok(());
        }
        let demand = job.and_then(|job| job.demand.as_ref());
        let strategy = demand.and_then(|demand| demand.strategy).unwrap_or(world.policy.strategy);
        let order = match strategy {
            Strategy::RoundRobin => "n.last_assigned_at",
            Strategy::Reputation => "n.reputation DESC",
            Strategy::BestFit | Strategy::Cheapest => "n.price_floor",
        };
        let limit = int(WINDOW_MAX as u64);
        let columns =
            "SELECT n.body, h.heard_at FROM nodes n LEFT JOIN node_heard h ON h.node = n.id";
        let nodes = if let Some(job) = job {
            let resources = demand.map(|demand| &demand.resources);
            let sql = format!("{columns} WHERE {FITS_JOB} ORDER BY {order}, n.id LIMIT ?8");
            let params = (
                job.terms.token.as_slice(),
                amount(job.pay()),
                demand.map(|demand| runtime(demand.runtime)),
                resources.map_or(0, |resources| int(resources.cpu_millis.into())),
                resources.map_or(0, |resources| int(resources.memory_bytes)),
                resources.map_or(0, |resources| int(resources.disk_bytes)),
                resources.map_or(0, |resources| int(resources.gpus.into())),
                limit,
            );
            self.nodes_from(&sql, params)?
        } else {
            let sql = format!("{columns} WHERE n.is_open = 1 ORDER BY {order}, n.id LIMIT ?1");
            self.nodes_from(&sql, [limit])?
        };
        for node in nodes {
            world.nodes.entry(node.id).or_insert(node);
        }
        Ok(())
    }

    fn load_jobs_for(&self, world: &mut World, id: NodeId) -> Result<(), StoreError> {
        let Some(node) = world.nodes.get(&id) else {
            return Ok(());
        };
        let free = node.free();
        let runs = |kind| node.offer.runtimes.contains(&kind);
        let sql =
            "SELECT body FROM jobs WHERE waiting_since IS NOT NULL AND token = ?1 AND pay >= ?2
            AND CASE runtime WHEN 'docker' THEN ?3 WHEN 'wasm' THEN ?4 ELSE 0 END
            AND cpu_millis <= ?5 AND memory_bytes <= ?6 AND disk_bytes <= ?7 AND gpus <= ?8
            ORDER BY waiting_since, id LIMIT ?9";
        let params = (
            node.offer.token.as_slice(),
            amount(node.offer.price_floor),
            runs(RuntimeKind::Docker),
            runs(RuntimeKind::Wasm),
            int(free.cpu_millis.into()),
            int(free.memory_bytes),
            int(free.disk_bytes),
            int(free.gpus.len() as u64),
            int(WINDOW_MAX as u64),
        );
        for job in self.jobs_from(sql, params)? {
            if !world.jobs.contains_key(&job.id) {
                self.load_attempts(world, job.id, false)?;
                world.jobs.insert(job.id, job);
            }
        }
        Ok(())
    }

    pub(super) fn save_changes(&mut self, changes: &Changes) -> Result<(), StoreError> {
        for job in &changes.jobs {
            self.save_job(job)?;
        }
        for attempt in &changes.attempts {
            self.save_attempt(attempt)?;
        }
        for node in &changes.nodes {
            self.save_node(node)?;
        }
        for event in &changes.events {
            self.insert_event(event)?;
        }
        for intent in &changes.intents {
            self.insert_intent(intent)?;
        }
        for verification in &changes.verifications {
            // One that waits or is leased stays: it is open until its verdict.
            self.change(
                "INSERT INTO verifications (job, attempt, receipt_hash, leased_until) VALUES (?1, ?2, ?3, 0)
                    ON CONFLICT DO NOTHING",
                (verification.job.0.as_slice(), verification.attempt.0, verification.receipt_hash.0.as_slice()),
            )?;
        }
        Ok(())
    }

    fn save_job(&self, job: &Job) -> Result<(), StoreError> {
        let demand = job.demand.as_ref();
        let resources = demand.map(|demand| &demand.resources);
        self.change(
            "INSERT INTO jobs (id, state, escrow, submitter, created_at, due_at, waiting_since, version, token, pay,
                    runtime, cpu_millis, memory_bytes, disk_bytes, gpus, body)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
                ON CONFLICT (id) DO UPDATE SET state = ?2, escrow = ?3, due_at = ?6, waiting_since = ?7, version = ?8,
                    runtime = ?11, cpu_millis = ?12, memory_bytes = ?13, disk_bytes = ?14, gpus = ?15, body = ?16",
            rusqlite::params![
                job.id.0.as_slice(),
                job.state.name().as_str(),
                word(&job.escrow.name()),
                job.terms.submitter.as_slice(),
                time(job.created_at),
                job.due_at.map(time),
                job.is_assignable().then(|| time(job.queued_at)),
                int(job.version),
                job.terms.token.as_slice(),
                amount(job.pay()),
                demand.map(|demand| runtime(demand.runtime)),
                resources.map(|resources| resources.cpu_millis),
                resources.map(|resources| int(resources.memory_bytes)),
                resources.map(|resources| int(resources.disk_bytes)),
                resources.map(|resources| resources.gpus),
                body("jobs", job)?,
            ],
        )?;
        Ok(())
    }

    fn save_attempt(&self, attempt: &Attempt) -> Result<(), StoreError> {
        self.change(
            "INSERT OR REPLACE INTO attempts (job, number, node, provider, state, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                attempt.job.0.as_slice(),
                attempt.number.0,
                attempt.node.0.as_slice(),
                attempt.provider.as_slice(),
                attempt.state.as_str(),
                body("attempts", attempt)?,
            ),
        )?;
        Ok(())
    }

    fn save_node(&self, node: &Node) -> Result<(), StoreError> {
        let free = node.free();
        let runs = |kind| node.offer.runtimes.contains(&kind);
        self.change(
            "INSERT INTO nodes (id, provider, mode, standing, due_at, last_assigned_at, is_open, token, price_floor,
                    runs_docker, runs_wasm, cpu_millis_free, memory_bytes_free, disk_bytes_free, gpus_free, body, reputation)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
                ON CONFLICT (id) DO UPDATE SET provider = ?2, mode = ?3, standing = ?4, due_at = ?5,
                    last_assigned_at = ?6, is_open = ?7, token = ?8, price_floor = ?9, runs_docker = ?10,
                    runs_wasm = ?11, cpu_millis_free = ?12, memory_bytes_free = ?13, disk_bytes_free = ?14,
                    gpus_free = ?15, body = ?16, reputation = ?17",
            rusqlite::params![
                node.id.0.as_slice(),
                node.provider.as_slice(),
                word(&node.mode),
                word(&node.standing),
                node.due_at.map(time),
                time(node.last_assigned_at),
                node.mode == Mode::Online && node.standing == Standing::Good,
                node.offer.token.as_slice(),
                amount(node.offer.price_floor),
                runs(RuntimeKind::Docker),
                runs(RuntimeKind::Wasm),
                free.cpu_millis,
                int(free.memory_bytes),
                int(free.disk_bytes),
                free.gpus.len() as u32,
                body("nodes", node)?,
                node.reputation.permille_at_last_deed(),
            ],
        )?;
        Ok(())
    }

    fn insert_event(&self, event: &JobEvent) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO events (job, version, body) VALUES (?1, ?2, ?3)",
            (event.job_id.0.as_slice(), int(event.version), body("events", event)?),
        )?;
        Ok(())
    }
}
