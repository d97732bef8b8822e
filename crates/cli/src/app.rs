//! One run of the program: settings, and what they lead to, each opened when it is first needed.

use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use gristmill_protocol::api::Login;
use gristmill_protocol::client::{Client, ClientError};
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::chain::Chain;
use crate::failure::{Exit, Failure, Result};
use crate::output::Output;
use crate::quantity;
use crate::record::{JobRecord, Records, write_durably};
use crate::settings::Settings;
use crate::wallet::Wallet;

/// What every command gets.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) out: Output,
    chain: OnceCell<Chain>,
    scheduler: OnceCell<Client>,
    signer: OnceCell<PrivateKeySigner>,
}

impl App {
    pub(crate) fn new(settings: Settings, out: Output) -> Self {
        Self {
            settings,
            out,
            chain: OnceCell::new(),
            scheduler: OnceCell::new(),
            signer: OnceCell::new(),
        }
    }

    pub(crate) fn deployment(&self) -> Result<Deployment> {
        let setting = self.settings.deployment.as_ref().ok_or_else(|| {
            Failure::usage("which contract? No deployment file is set")
                .hint("name it with --deployment FILE or GRISTMILL_DEPLOYMENT; money is only ever sent to the contract in that file")
        })?;
        Ok(Deployment::read(&setting.value)?)
    }

    pub(crate) fn rpc(&self) -> Result<&str> {
        let setting = self.settings.rpc.as_ref().ok_or_else(|| {
            Failure::usage("which chain? No RPC endpoint is set")
                .hint("name it with --rpc URL or GRISTMILL_RPC")
        })?;
        Ok(&setting.value)
    }

    /// The chain, checked against the deployment.
    pub(crate) async fn chain(&self) -> Result<&Chain> {
        self.chain
            .get_or_try_init(|| async {
                let deployment = self.deployment()?;
                Chain::connect(self.rpc()?, deployment).await
            })
            .await
    }

    pub(crate) fn wallet(&self) -> Result<Wallet> {
        Wallet::open(&self.settings.keystore.value)
    }

    /// The wallet's key; asks for the password once a run.
    pub(crate) async fn signer(&self) -> Result<&PrivateKeySigner> {
        self.signer.get_or_try_init(|| async { self.wallet()?.unlock() }).await
    }

    /// The wallet's address, preferably without its password.
    pub(crate) async fn address(&self) -> Result<Address> {
        match self.wallet()?.known_address() {
            Some(address) => Ok(address),
            None => Ok(self.signer().await?.address()),
        }
    }

    pub(crate) fn records(&self) -> Records {
        Records::new(&self.settings.data_dir)
    }

    /// The scheduler, with the token of an earlier login where there is one.
    pub(crate) async fn scheduler(&self) -> Result<&Client> {
        self.scheduler
            .get_or_try_init(|| async {
                let client = Client::new(&self.settings.scheduler.value)?;
                // Reading needs no wallet; where there is one, its session is used.
                if let Ok(wallet) = self.wallet() {
                    client.set_token(saved_token(&self.session_path(&client, &wallet)));
                }
                Ok(client)
            })
            .await
    }

    /// Calls the scheduler; where it wants to know who asks, signs in and calls again.
    pub(crate) async fn call<'a, T, F, Fut>(&'a self, request: F) -> Result<T>
    where
        F: Fn(&'a Client) -> Fut,
        Fut: Future<Output = std::result::Result<T, ClientError>>,
    {
        let client = self.scheduler().await?;
        match request(client).await {
            Err(error)
                if matches!(
                    error.code(),
                    Some(ErrorCode::Unauthenticated | ErrorCode::InvalidLogin)
                ) =>
            {
                self.sign_in().await?;
                Ok(request(client).await?)
            }
            result => Ok(result?),
        }
    }

    /// Signs in with the wallet, and keeps the token for later runs.
    pub(crate) async fn sign_in(&self) -> Result<()> {
        let client = self.scheduler().await?;
        let signer = self.signer().await?;
        // A token that the scheduler no longer knows must not come along to the login.
        client.set_token(None);
        let issued_at = quantity::rfc3339_now();
        let login = client
            .sign_in(signer.address(), &issued_at, |message| {
                signer.sign_message_sync(message.as_bytes()).map(|signature| signature.as_bytes())
            })
            .await?;
        let json = serde_json::to_vec(&login)
            .map_err(|error| Failure::caused(Exit::Local, "cannot keep the session", &error))?;
        write_durably(&self.session_path(client, &self.wallet()?), &json)
    }

    /// Signs in unless there is a session, before a request whose body is too large to send twice.
    pub(crate) async fn session(&self) -> Result<()> {
        let client = self.scheduler().await?;
        if saved_token(&self.session_path(client, &self.wallet()?)).is_some() {
            return Ok(());
        }
        self.sign_in().await
    }

    /// Ends the session here and on the scheduler. Returns whether there was one.
    pub(crate) async fn sign_out(&self) -> Result<bool> {
        let client = self.scheduler().await?;
        let path = self.session_path(client, &self.wallet()?);
        if saved_token(&path).is_none() {
            return Ok(false);
        }
        std::fs::remove_file(&path).map_err(crate::failure::io("remove", &path))?;
        match client.sign_out().await {
            // A session that the scheduler has forgotten is as good as ended.
            Err(error) if error.code() == Some(ErrorCode::Unauthenticated) => Ok(true),
            result => Ok(result.map(|()| true)?),
        }
    }

    /// Sessions are one file for each scheduler and wallet.
    fn session_path(&self, client: &Client, wallet: &Wallet) -> PathBuf {
        let digest =
            Sha256::new().chain_update(wallet.fingerprint()).chain_update(client.base()).finalize();
        self.settings.data_dir.join("sessions").join(format!("{}.json", hex::encode(&digest[..16])))
    }

    /// A job's terms, from whoever has them; all that matters is that they hash to the id.
    pub(crate) async fn terms(&self, id: JobId) -> Result<Terms> {
        if let Some(record) = self.record(id)? {
            return Ok(record.terms);
        }
        let chain = self.chain().await?;
        chain.terms_of(&self.out, id).await?.ok_or_else(|| {
            let contract = chain.deployment().contract;
            Failure::new(Exit::NotFound, format!("the contract {contract} has never seen job {id}"))
                .job(id)
                .hint("check the id, --rpc and --deployment")
        })
    }

    fn record(&self, id: JobId) -> Result<Option<JobRecord>> {
        let domain = self.deployment()?.domain();
        // A damaged record is no reason to give up: the chain has the terms too.
        let record = self.records().load(id).unwrap_or_else(|failure| {
            self.out.warn(failure.message);
            None
        });
        Ok(record.filter(|record| record.domain == domain))
    }
}

fn saved_token(path: &Path) -> Option<String> {
    let login: Login = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (login.expires_at_ms.unix_seconds() > quantity::now()).then_some(login.token)
}
