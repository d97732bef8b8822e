//! A market on this machine: a chain, a scheduler, and the nodes of two providers.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gristmill_protocol::api::{AttemptState, JobState, JobView};
use gristmill_protocol::client::Client;
use gristmill_protocol::ids::{JobId, NodeId};
use serde_json::json;

use crate::chain::Chain;
use crate::cli::Cli;
use crate::engine::Engine;
use crate::keys::{PASSWORD, Party};
use crate::process::{Lifetime, Process, binary};
use crate::wait_for;

/// What differs from the defaults of a local market.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Merged over the scheduler's config.
    pub scheduler: toml::Table,
    /// Merged over the config of every node.
    pub node: toml::Table,
}

pub struct Market {
    pub folder: PathBuf,
    pub chain: Chain,
    pub scheduler: Scheduler,
    pub engine: Option<Engine>,
    settings: Settings,
    lifetime: Lifetime,
}

pub struct Scheduler {
    pub process: Process,
    pub url: String,
    folder: PathBuf,
    lifetime: Lifetime,
}

pub struct Node {
    pub process: Process,
    pub id: NodeId,
    pub party: Party,
    pub folder: PathBuf,
    lifetime: Lifetime,
}

/// A port that nobody listens on now.
///
/// # Errors
/// Where the kernel has none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Market {
    /// Starts chain and scheduler below `folder`, and an engine where `with_engine` says so.
    ///
    /// # Errors
    /// Where a part does not start.
    pub async fn start(
        folder: &Path,
        settings: Settings,
        with_engine: bool,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let chain = Chain::start(folder, free_port()?, lifetime).await?;
        Self::start_on(folder, chain, settings, with_engine, lifetime).await
    }

    /// As [`Self::start`], on a chain that was started before.
    ///
    /// # Errors
    /// Where a part does not start.
    pub async fn start_on(
        folder: &Path,
        chain: Chain,
        settings: Settings,
        with_engine: bool,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let engine = if with_engine {
            Some(Engine::start(folder, free_port()?, lifetime).await?)
        } else {
            None
        };
        let registry = engine.as_ref().map(|engine| engine.registry_address.as_str());
        let port = free_port()?;
        let scheduler =
            Scheduler::start(folder, &chain, registry, port, &settings.scheduler, lifetime).await?;
        Ok(Self { folder: folder.to_owned(), chain, scheduler, engine, settings, lifetime })
    }

    /// The command line as `party` types it.
    ///
    /// # Errors
    /// Where the command was not built.
    pub fn cli(&self, party: Party) -> Result<Cli> {
        let chain = &self.chain;
        Cli::new(&self.folder, party, &chain.rpc_url, &chain.deployment_path, &self.scheduler.url)
    }

    /// A plain client of the scheduler's API.
    ///
    /// # Errors
    /// Never: the address is valid.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(&self.scheduler.url)?)
    }

    /// Enrolls the node of `provider` with the provider's wallet, and starts it.
    ///
    /// # Errors
    /// Where the node does not come up.
    pub async fn start_node(&self, node: Party, provider: Party) -> Result<Node> {
        self.start_node_at(node, provider, &self.scheduler.url, &self.settings.node).await
    }

    /// As [`Self::start_node`], with another way to the scheduler, and settings of its own.
    ///
    /// # Errors
    /// Where the node does not come up.
    pub async fn start_node_at(
        &self,
        node: Party,
        provider: Party,
        scheduler_url: &str,
        settings: &toml::Table,
    ) -> Result<Node> {
        let node = self.prepare_node(node, provider, scheduler_url, settings).await?;
        let client = self.client()?;
        wait_for("the node to be registered", Duration::from_secs(60), async || {
            client.node(node.id).await.ok()
        })
        .await
        .with_context(|| node.process.output())?;
        Ok(node)
    }

    /// Writes keystore and config of a node, enrolls it, and starts its process without waiting for it.
    ///
    /// # Errors
    /// Where a step fails.
    pub async fn prepare_node(
        &self,
        node: Party,
        provider: Party,
        scheduler_url: &str,
        settings: &toml::Table,
    ) -> Result<Node> {
        let folder = self.folder.join(node.name());
        std::fs::create_dir_all(&folder)?;
        let keystore = node.write_keystore(&self.folder.join("keys"))?;
        let mut config = toml::Table::new();
        let mut section = |name: &str, values: serde_json::Value| -> Result<()> {
            config.insert(name.into(), toml::Value::try_from(values)?);
            Ok(())
        };
        section("key", json!({"keystore": keystore}))?;
        section("scheduler", json!({"url": scheduler_url}))?;
        section(
            "chain",
            json!({
                "rpc_url": self.chain.rpc_url,
                "chain_id": self.chain.deployment.chain_id,
                "contract": self.chain.deployment.contract,
                "poll_ms": 500,
            }),
        )?;
        let scheduler = Party::Scheduler.address();
        section("trust", json!({"schedulers": [scheduler], "arbiters": [scheduler]}))?;
        let runtimes =
            if self.engine.is_some() { json!(["wasm", "docker"]) } else { json!(["wasm"]) };
        section("offer", json!({"runtimes": runtimes, "disk_bytes": 1_u64 << 30}))?;
        if let Some(engine) = &self.engine {
            section("docker", json!({"socket": engine.socket}))?;
        }
        merge(&mut config, settings);
        std::fs::write(folder.join("config.toml"), toml::to_string(&config)?)?;

        self.enroll(provider, &folder).await?;
        let process = start_node_process(&folder, node, self.lifetime)?;
        Ok(Node {
            process,
            id: NodeId(node.address()),
            party: node,
            folder,
            lifetime: self.lifetime,
        })
    }

    /// The provider's wallet enrolls the node on chain, with the node's own consent, and approves the scheduler.
    async fn enroll(&self, provider: Party, folder: &Path) -> Result<()> {
        let output = Command::new(binary("gristmill-node")?)
            .arg("--config")
            .arg(folder.join("config.toml"))
            .args(["enroll-message", "--provider", &provider.address().to_string()])
            .env("GRISTMILL_NODE_KEYSTORE_PASSWORD", PASSWORD)
            .output()
            .context("run gristmill-node")?;
        if !output.status.success() {
            bail!("gristmill-node enroll-message: {}", String::from_utf8_lossy(&output.stderr));
        }
        let message = folder.join("enroll.json");
        std::fs::write(&message, output.stdout)?;
        let message = message.display().to_string();
        let scheduler = Party::Scheduler.address().to_string();
        let arguments =
            ["node", "enroll", "--message", &message, "--approve-scheduler", &scheduler, "--json"];
        self.cli(provider)?.call(&arguments).await?.json()?;
        Ok(())
    }

    /// Waits until the program of a job's first attempt runs.
    ///
    /// # Errors
    /// Where it does not start soon.
    pub async fn wait_until_running(&self, job: JobId) -> Result<JobView> {
        let client = self.client()?;
        wait_for("the program to run", Duration::from_secs(60), async || {
            let job = client.job(job).await.ok()?;
            (job.attempts.first()?.state == AttemptState::Running).then_some(job)
        })
        .await
    }

    /// Waits until a job's state, as the scheduler tells it, is one of `states`.
    ///
    /// # Errors
    /// Where it is not within `limit`; the error shows where it stands.
    pub async fn wait_for_state(
        &self,
        job: JobId,
        states: &[JobState],
        limit: Duration,
    ) -> Result<JobView> {
        let client = self.client()?;
        let mut last = String::new();
        let found = wait_for(&format!("job {job} to be {states:?}"), limit, async || match client
            .job(job)
            .await
        {
            Ok(view) if states.contains(&view.state) => Some(view),
            Ok(view) => {
                last =
                    format!("{:#?}", (view.state, view.summary, view.attempts, view.transactions));
                None
            }
            Err(error) => {
                last = error.to_string();
                None
            }
        })
        .await;
        found.with_context(|| format!("it stands at {last}"))
    }
}

impl Scheduler {
    async fn start(
        folder: &Path,
        chain: &Chain,
        registry: Option<&str>,
        port: u16,
        settings: &toml::Table,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let own = folder.join("scheduler");
        std::fs::create_dir_all(&own)?;
        let keystore = Party::Scheduler.write_keystore(&folder.join("keys"))?;
        let url = format!("http://127.0.0.1:{port}");
        let config = json!({
            "listen": format!("127.0.0.1:{port}"),
            "public_url": url,
            "data_dir": own.join("data"),
            "chain": {
                "rpc_urls": [chain.rpc_url],
                "deployment": chain.deployment_path,
                "poll_interval_ms": 200,
            },
            "signer": {"keystore": keystore},
            "market": {"grace_seconds": 60, "lease_seconds": 240, "challenge_window": 3600},
            "content": {"free_bytes_min": 1 << 28},
            // The engine's own registry speaks plain HTTP, on the loopback interface.
            "images": {"insecure_registries": registry.as_slice()},
        });
        let mut config = toml::Table::try_from(config)?;
        merge(&mut config, settings);
        std::fs::write(own.join("config.toml"), toml::to_string(&config)?)?;
        let process = start_scheduler_process(&own, lifetime)?;
        let mut scheduler = Self { process, url, folder: own, lifetime };
        scheduler.wait_until_ready().await?;
        Ok(scheduler)
    }

    /// Starts it again after it was killed or stopped, with the same folder and address.
    ///
    /// # Errors
    /// Where it does not become ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = start_scheduler_process(&self.folder, self.lifetime)?;
        self.wait_until_ready().await
    }

    /// Where its database and content lie.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// Runs `gristmill-scheduler reconcile` beside it.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub async fn reconcile(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary("gristmill-scheduler")?);
        command
            .arg("reconcile")
            .args(arguments)
            .env("GRISTMILL_SCHEDULER_CONFIG", self.config_path())
            .env("GRISTMILL_SCHEDULER_KEYSTORE_PASSWORD", PASSWORD);
        let run = move || command.output().context("run gristmill-scheduler");
        tokio::task::spawn_blocking(run).await?
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let http = reqwest::Client::new();
        let url = format!("{}/readyz", self.url);
        wait_for("the scheduler to be ready", Duration::from_secs(60), async || {
            if let Err(error) = self.process.check_running() {
                return Some(Err(error));
            }
            let ready =
                http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
            ready.then_some(Ok(()))
        })
        .await
        .with_context(|| self.process.output())?
    }
}

impl Node {
    /// Starts it again after it was killed or stopped, with the same folder.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn restart(&mut self) -> Result<()> {
        self.process = start_node_process(&self.folder, self.party, self.lifetime)?;
        Ok(())
    }
}

fn start_scheduler_process(folder: &Path, lifetime: Lifetime) -> Result<Process> {
    Process::start(
        "gristmill-scheduler",
        &binary("gristmill-scheduler")?,
        &[OsStr::new("--config"), folder.join("config.toml").as_os_str()],
        &[("GRISTMILL_SCHEDULER_KEYSTORE_PASSWORD", OsStr::new(PASSWORD))],
        &folder.join("scheduler.log"),
        lifetime,
    )
}

fn start_node_process(folder: &Path, party: Party, lifetime: Lifetime) -> Result<Process> {
    Process::start(
        party.name(),
        &binary("gristmill-node")?,
        &[OsStr::new("--config"), folder.join("config.toml").as_os_str(), OsStr::new("run")],
        &[("GRISTMILL_NODE_KEYSTORE_PASSWORD", OsStr::new(PASSWORD))],
        &folder.join("node.log"),
        lifetime,
    )
}

/// Lays `over` over `under`, table by table.
fn merge(under: &mut toml::Table, over: &toml::Table) {
    for (name, value) in over {
        match (under.get_mut(name), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => merge(under, over),
            _ => {
                under.insert(name.clone(), value.clone());
            }
        }
    }
}
