//! What every handler and driver of this process shares.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use gristmill_protocol::Address;
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::signing::Domain;
use rand::Rng;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::content_store::ContentStore;
use crate::health::Health;
use crate::http::market::MarketCache;
use crate::http::web::{Web, WebError};
use crate::images::Images;
use crate::logs::Logs;
use crate::rates::RateLimiter;
use crate::store::{Store, StoreError};
use crate::turn::{TurnThread, Turns};
use crate::wake::Wake;

/// A running scheduler, without its listener and drivers. Clones are the same one.
#[derive(Clone)]
pub struct App(Arc<Parts>);

pub struct Parts {
    pub config: Config,
    pub store: Arc<dyn Store>,
    pub turns: Turns,
    pub wake: Arc<Wake>,
    pub clock: Clock,
    pub deployment: Deployment,
    /// Whose key assigns and settles.
    pub scheduler: Address,
    pub content: Arc<ContentStore>,
    pub logs: Logs,
    pub(crate) images: Images,
    /// The web's build, where this scheduler serves one.
    pub(crate) web: Option<Web>,
    pub health: Arc<Health>,
    /// Cancelled when the process is to end: polls are answered, streams end, drivers stop taking work.
    pub stopping: CancellationToken,
    /// Makes login nonces; the same for all replicas.
    pub(crate) nonce_key: [u8; 32],
    pub(crate) rates: RateLimiter,
    pub(crate) polls: Semaphore,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) market_view: MarketCache,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Why a scheduler cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot use the folder {path}")]
    Folder {
        path: String,
        #[source]
        error: std::io::Error,
    },
    #[error(transparent)]
    Web(#[from] WebError),
    #[error("cannot start the thread that writes to the database")]
    Thread(#[source] std::io::Error),
}

impl App {
    /// Puts the parts together and starts the thread that runs turns. `store` is open already, the data folder exists.
    pub fn start(
        config: Config,
        store: Arc<dyn Store>,
        clock: Clock,
        deployment: Deployment,
        scheduler: Address,
    ) -> Result<(Self, TurnThread), StartError> {
        let folder = |name: &str| -> PathBuf { config.data_dir.join(name) };
        let failed = |path: PathBuf| {
            move |error| StartError::Folder { path: path.display().to_string(), error }
        };
        let content = ContentStore::open(&folder("content"), config.content)
            .map_err(failed(folder("content")))?;
        let logs = Logs::open(&folder("logs")).map_err(failed(folder("logs")))?;
        let web = Web::open(&config)?;
        let nonce_key = nonce_key(&*store)?;
        let wake = Arc::new(Wake::default());
        let policy = config.policy(scheduler);
        let (turns, thread) =
            Turns::start(store.writer()?, policy, clock.clone(), Arc::clone(&wake))
                .map_err(StartError::Thread)?;
        let app = Self(Arc::new(Parts {
            store,
            turns,
            wake,
            clock,
            deployment,
            scheduler,
            content: Arc::new(content),
            logs,
            images: Images::new(&config.images.insecure_registries),
            web,
            health: Arc::default(),
            stopping: CancellationToken::new(),
            nonce_key,
            rates: RateLimiter::new(&config.limits),
            polls: Semaphore::new(config.limits.polls_max),
            streams: Arc::new(Semaphore::new(config.limits.streams_max)),
            market_view: MarketCache::default(),
            config,
        }));
        Ok((app, thread))
    }

    #[must_use]
    pub fn domain(&self) -> Domain {
        self.deployment.domain()
    }
}

/// The secret behind login nonces: drawn once, and kept in the database, so that replicas and restarts agree.
fn nonce_key(store: &dyn Store) -> Result<[u8; 32], StoreError> {
    let fresh: [u8; 32] = rand::rng().random();
    let mut stored = Vec::new();
    store.writer()?.transact(&gristmill_market::Needs::default(), &mut |rows| {
        stored = rows.setting("nonce_key", &fresh)?;
        Ok(())
    })?;
    stored.try_into().map_err(|_| StoreError::Corrupt {
        table: "settings",
        problem: "nonce_key is not 32 bytes".into(),
    })
}
