//! The life of the process: open everything, serve, and stop in order.

use std::future::Future;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use alloy::signers::local::PrivateKeySigner;
use gristmill_protocol::deployment::{Deployment, DeploymentError};
use tokio::net::TcpListener;

use crate::app::{App, StartError};
use crate::clock::Clock;
use crate::config::{Config, PASSWORD_VARIABLE};
use crate::drivers::{self, DriverError};
use crate::http::{self, server};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use crate::telemetry;

/// Why the scheduler did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    #[error(
        "the environment variable {PASSWORD_VARIABLE} is not set: it holds the password of the keystore"
    )]
    NoPassword,
    #[error("cannot open the keystore {path}: is it a keystore, and the password right?")]
    Keystore {
        path: String,
        #[source]
        error: alloy::signers::local::LocalSignerError,
    },
    #[error("cannot create the folder {path}")]
    DataDir {
        path: String,
        #[source]
        error: std::io::Error,
    },
    #[error("cannot listen on {address}")]
    Listen {
        address: std::net::SocketAddr,
        #[source]
        error: std::io::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Drivers(#[from] DriverError),
}

/// Where the database is.
#[must_use]
pub fn database_path(config: &Config) -> PathBuf {
    config.data_dir.join("scheduler.sqlite3")
}

/// Creates the data folder where it is missing, for its owner only.
pub fn create_data_dir(config: &Config) -> Result<(), RunError> {
    let path = &config.data_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| RunError::DataDir { path: path.display().to_string(), error })
}

/// The key that assigns and settles.
pub fn open_keystore(config: &Config) -> Result<PrivateKeySigner, RunError> {
    let path = &config.signer.keystore;
    let password = std::env::var(PASSWORD_VARIABLE).map_err(|_| RunError::NoPassword)?;
    PrivateKeySigner::decrypt_keystore(path, password)
        .map_err(|error| RunError::Keystore { path: path.display().to_string(), error })
}

/// Runs until `stop` is ready, then stops in order: nothing new is taken, what is under way is finished, and everything
/// that was acknowledged is on the disk.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    telemetry::metrics();
    let deployment = Deployment::read(&config.chain.deployment)?;
    let signer = open_keystore(&config)?;
    create_data_dir(&config)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&database_path(&config))?);
    let address = config.listen;
    let listener =
        TcpListener::bind(address).await.map_err(|error| RunError::Listen { address, error })?;
    let (app, turns) = App::start(config, store, Clock::system(), deployment, signer.address())?;
    let drivers = drivers::start(&app, signer).await?;
    tracing::info!(
        listen = %address,
        public_url = app.config.public_url,
        chain_id = app.deployment.chain_id,
        contract = %app.deployment.contract,
        scheduler = %app.scheduler,
        "the scheduler is running"
    );
    let serving = tokio::spawn({
        let (router, limits, stopping) =
            (http::router(&app), app.config.limits.clone(), app.stopping.clone());
        async move { server::serve(listener, router, &limits, stopping).await }
    });
    stop.await;
    tracing::info!("stopping: taking nothing new");
    app.stopping.cancel();
    // A panic while serving was logged by its hook; stopping goes on.
    let _ = serving.await;
    drivers.wait().await;
    turns.stop().await;
    tracing::info!("stopped");
    Ok(())
}
