//! Loops that perform what turns have planned, and bring what they learn back as commands. Each can be stopped at any
//! point: what it had not done is done after the next start.

use std::sync::Arc;

use alloy::signers::local::PrivateKeySigner;
use gristmill_protocol::deployment::Deployment;
use rand::Rng;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::store::StoreError;
use crate::store::chain::ReplicaId;

pub mod chain_rpc;
pub mod chain_sender;
pub mod chain_watcher;
pub mod reconciler;
pub mod spec_finder;
mod timer;
pub mod verifier;

use chain_rpc::{ChainRpc, WrongChain};
use chain_sender::ChainSender;
use chain_watcher::ChainWatcher;
use reconciler::Reconciler;
use reconciler::rounds::Rounds;
use spec_finder::SpecFinder;
use timer::Timer;
use verifier::Verifier;

/// Results that are verified at the same time.
const VERIFICATIONS_AT_ONCE: usize = 4;
const GWEI: u64 = 1_000_000_000;

/// Why the drivers cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error(transparent)]
    WrongChain(#[from] WrongChain),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the scheduler is stopping")]
    Stopping,
    #[error("cannot set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// Asks the chain whether it is the one of the deployment, and whether the contract is there.
pub async fn check_chain(
    rpc_urls: &[String],
    deployment: &Deployment,
    signer: gristmill_protocol::Address,
) -> Result<(), DriverError> {
    Ok(ChainRpc::new(rpc_urls, deployment)?.check(deployment, signer).await?)
}

/// Starts all drivers. They end when `app.stopping` is cancelled; the tracker knows when they have.
pub async fn start(app: &App, signer: PrivateKeySigner) -> Result<TaskTracker, DriverError> {
    let (config, stop) = (&app.config, &app.stopping);
    let rpc = Arc::new(ChainRpc::new(&config.chain.rpc_urls, &app.deployment)?);
    match rpc.check(&app.deployment, app.scheduler).await {
        Ok(()) => {}
        // Whoever starts a machine starts everything at once: the chain may be there a moment later.
        Err(error @ WrongChain::Call(_)) => {
            tracing::warn!(%error, "the chain cannot be checked yet")
        }
        Err(
            error @ (WrongChain::ChainId { .. }
            | WrongChain::NoContract(_)
            | WrongChain::InvalidUrl { .. }
            | WrongChain::Client(_)),
        ) => return Err(error.into()),
    }
    let (now, head) = watch::channel(None);
    let watcher = ChainWatcher {
        rpc: Arc::clone(&rpc),
        store: Arc::clone(&app.store),
        turns: app.turns.clone(),
        clock: app.clock.clone(),
        deployment: app.deployment.clone(),
        scheduler: app.scheduler,
        content: Some(Arc::clone(&app.content)),
        finality_depth: config.chain.finality_depth,
        poll_interval_ms: config.chain.poll_interval_ms,
        log_blocks_max: config.chain.log_blocks_max,
        health: Arc::clone(&app.health),
        now,
    };
    let rounds = Rounds {
        reconciler: reconciler(app, Arc::clone(&rpc)),
        turns: app.turns.clone(),
        clock: app.clock.clone(),
        finality_depth: config.chain.finality_depth,
        every_seconds: config.chain.reconcile_every_seconds,
        now: head.clone(),
        before: None,
    };
    let replica = replica(app).await?;
    let sender = ChainSender {
        rpc,
        store: Arc::clone(&app.store),
        turns: app.turns.clone(),
        wake: Arc::clone(&app.wake),
        clock: app.clock.clone(),
        signer,
        replica,
        chain_id: app.deployment.chain_id,
        contract: app.deployment.contract,
        finality_depth: config.chain.finality_depth,
        fee_ceiling_wei: config.chain.fee_ceiling_gwei.saturating_mul(GWEI),
        now: head,
        memory: chain_sender::Memory::default(),
    };
    let verifier = Verifier {
        store: Arc::clone(&app.store),
        turns: app.turns.clone(),
        wake: Arc::clone(&app.wake),
        clock: app.clock.clone(),
        content: Arc::clone(&app.content),
        replica,
        concurrency: VERIFICATIONS_AT_ONCE,
    };
    let timer = Timer {
        store: Arc::clone(&app.store),
        turns: app.turns.clone(),
        wake: Arc::clone(&app.wake),
        clock: app.clock.clone(),
    };
    let spec_finder = SpecFinder {
        store: Arc::clone(&app.store),
        turns: app.turns.clone(),
        wake: Arc::clone(&app.wake),
        clock: app.clock.clone(),
        content: Arc::clone(&app.content),
        scheduler: app.scheduler,
        gateways: config.specs.gateways.clone(),
        http: spec_finder::http_client()?,
        asked: std::collections::HashMap::new(),
    };
    let drivers = TaskTracker::new();
    drivers.spawn(watcher.run(stop.clone()));
    drivers.spawn(sender.run(stop.clone()));
    drivers.spawn(verifier.run(stop.clone()));
    drivers.spawn(timer.run(stop.clone()));
    drivers.spawn(rounds.run(stop.clone()));
    drivers.spawn(spec_finder.run(stop.clone()));
    drivers.close();
    Ok(drivers)
}

fn reconciler(app: &App, rpc: Arc<ChainRpc>) -> Reconciler {
    Reconciler {
        rpc,
        store: Arc::clone(&app.store),
        deployment: app.deployment.clone(),
        scheduler: app.scheduler,
        log_blocks_max: app.config.chain.log_blocks_max,
        tokens: app.config.chain.tokens.clone(),
    }
}

/// The name of this replica: the same after a restart, so that what it leased is still its own. With SQLite there is one.
async fn replica(app: &App) -> Result<ReplicaId, DriverError> {
    let fresh: [u8; 16] = rand::rng().random();
    let stored = app.turns.write("replica", move |rows| {
        let stored = rows.setting("replica", &fresh)?;
        let problem = "replica is not 16 bytes".to_owned();
        stored.try_into().map_err(|_| StoreError::Corrupt { table: "settings", problem })
    });
    Ok(ReplicaId(stored.await.map_err(|_| DriverError::Stopping)?))
}
