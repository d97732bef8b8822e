//! What every attempt needs: keys, ways to chain and scheduler, runtimes, the journal, and the machine's health.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use gristmill_protocol::api::AttemptRef;
use gristmill_protocol::client::ClientError;
use gristmill_protocol::spec::{Resources, RuntimeKind};

use crate::agent::Rules;
use crate::agent::acceptance::fitting_gpus;
use crate::chain::Chain;
use crate::config::Config;
use crate::content::Fetcher;
use crate::journal::Journal;
use crate::key::NodeKey;
use crate::runtime::docker::Docker;
use crate::runtime::wasm::Wasm;
use crate::session::Session;
use crate::state_dir::StateDir;

pub(super) struct Context {
    pub(super) key: NodeKey,
    pub(super) rules: Rules,
    pub(super) config: Config,
    pub(super) state: StateDir,
    pub(super) chain: Chain,
    pub(super) session: Session,
    pub(super) fetcher: Fetcher,
    pub(super) docker: Option<Docker>,
    pub(super) wasm: Wasm,
    pub(super) health: Health,
    journal: Mutex<Journal>,
    gpus_in_use: Mutex<BTreeSet<usize>>,
}

impl Context {
    pub(super) fn open(config: &Config, key: NodeKey) -> Result<Self> {
        let state = StateDir::open(&config.state_dir)
            .with_context(|| format!("open the state folder {}", config.state_dir.display()))?;
        let domain = config.domain();
        let offer = config.offer();
        let docker = if offer.runtimes.contains(&RuntimeKind::Docker) {
            Some(Docker::connect(&config.docker, key.id())?)
        } else {
            None
        };
        let rules = Rules {
            domain,
            node: key.id().0,
            schedulers: config.trust.schedulers.clone(),
            arbiters: config.trust.arbiters.clone(),
            offer,
            escrow_wait_ms: config.chain.escrow_wait_seconds.saturating_mul(1000),
            publish_before_deadline_seconds: config.money.publish_before_deadline_seconds,
            claim_delay_seconds: config.money.claim_delay_seconds,
            release_when_rejected: config.money.release_when_rejected,
        };
        Ok(Self {
            chain: Chain::new(&config.chain.rpc_url, domain, key.clone())?,
            session: Session::new(&config.scheduler.url, key.clone(), domain)?,
            fetcher: Fetcher::new(&config.content, &config.scheduler.url, &state.cache())?,
            docker,
            wasm: Wasm::new(std::env::current_exe().context("find the agent's own program")?),
            journal: Mutex::new(Journal::open(&state.journal())?),
            gpus_in_use: Mutex::default(),
            health: Health::default(),
            config: config.clone(),
            key,
            rules,
            state,
        })
    }

    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn offer(&self) -> Result<(), ClientError> {
        self.session.put_offer(&self.rules.offer).await
    }

    /// Removes folders and containers of attempts that nobody pursues.
    pub(super) async fn remove_strays(&self, held: &HashSet<AttemptRef>) {
        let folders: HashSet<_> =
            held.iter().map(|held| self.state.work(held).root().to_owned()).collect();
        if let Err(error) = self.state.sweep_work(|folder| folders.contains(folder)) {
            tracing::warn!(%error, "old folders cannot be removed");
        }
        let Some(docker) = &self.docker else { return };
        match docker.list().await {
            Ok(found) => {
                for stray in found.into_iter().filter(|found| !held.contains(found)) {
                    if let Err(error) = docker.remove(&stray).await {
                        tracing::warn!(%error, "an old container cannot be removed");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "old containers cannot be listed"),
        }
    }

    /// Takes free GPUs that would do, or `None` where there are too few.
    pub(super) fn take_gpus(&self, asked: &Resources) -> Option<Gpus<'_>> {
        let mut in_use = self.gpus_in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = asked.gpus as usize;
        let taken: Vec<usize> = fitting_gpus(asked, &self.rules.offer)
            .into_iter()
            .filter(|index| !in_use.contains(index))
            .take(wanted)
            .collect();
        if taken.len() < wanted {
            return None;
        }
        in_use.extend(&taken);
        Some(Gpus { context: self, taken })
    }
}

/// GPUs that one program has; free again when this is dropped.
pub(super) struct Gpus<'a> {
    context: &'a Context,
    taken: Vec<usize>,
}

impl Gpus<'_> {
    /// As the engine knows them.
    pub(super) fn devices(&self) -> Vec<String> {
        let known = &self.context.config.offer.gpus;
        self.taken
            .iter()
            .filter_map(|index| known.get(*index))
            .map(|gpu| gpu.device.clone())
            .collect()
    }
}

impl Drop for Gpus<'_> {
    fn drop(&mut self) {
        let mut in_use = self.context.gpus_in_use.lock().unwrap_or_else(PoisonError::into_inner);
        for index in &self.taken {
            in_use.remove(index);
        }
    }
}

/// Counts jobs in a row that failed because of this machine, so that it does not swallow one after the other.
#[derive(Default)]
pub(super) struct Health {
    failures: AtomicU32,
}

impl Health {
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn recovered(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }
}
