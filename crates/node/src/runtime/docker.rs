//! Containers, through the engine's API. The cage is the same for every job; a job can only ask for less.

mod cage;
mod cgroup;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
    InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures_util::{Stream, StreamExt};
use gristmill_protocol::api::AttemptRef;
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::receipt::{Limit, Outcome};
use gristmill_protocol::spec::Runtime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Finished, Resumed, RunError, Task, infrastructure, watch_limits};
use crate::config::DockerConfig;
use crate::spool::SharedSpool;

pub(crate) const LABEL_NODE: &str = "gristmill.node";
pub(crate) const LABEL_JOB: &str = "gristmill.job";
pub(crate) const LABEL_ATTEMPT: &str = "gristmill.attempt";

const ENGINE_TIMEOUT_SECONDS: u64 = 120;
/// How long the end of a log may follow the end of its program. Some engines never close the stream.
const LOG_TAIL: Duration = Duration::from_secs(10);

/// One engine.
pub struct Docker {
    engine: bollard::Docker,
    config: DockerConfig,
    node: NodeId,
}

/// What the engine is, for `doctor`.
pub struct EngineVersion {
    pub version: String,
    pub api: String,
    /// What stands below the engine, such as runc, by its name.
    pub components: BTreeMap<String, String>,
}

impl Docker {
    pub fn connect(config: &DockerConfig, node: NodeId) -> Result<Self, RunError> {
        let socket = config.socket.to_string_lossy();
        let engine = bollard::Docker::connect_with_unix(
            &socket,
            ENGINE_TIMEOUT_SECONDS,
            bollard::API_DEFAULT_VERSION,
        )
        .map_err(|error| infrastructure("reach the container engine", error))?;
        Ok(Self { engine, config: config.clone(), node })
    }

    pub async fn version(&self) -> Result<EngineVersion, RunError> {
        let engine = self.negotiated().await?;
        let version =
            engine.version().await.map_err(|error| infrastructure("ask the engine", error))?;
        Ok(EngineVersion {
            version: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
            components: version
                .components
                .unwrap_or_default()
                .into_iter()
                .map(|component| (component.name, component.version))
                .collect(),
        })
    }

    async fn negotiated(&self) -> Result<bollard::Docker, RunError> {
        self.engine
            .clone()
            .negotiate_version()
            .await
            .map_err(|error| infrastructure("reach the container engine", error))
    }

    /// Makes sure that the image is here. It is named by digest, so an image that is here is the right one.
    pub async fn prepare(&self, image: &str) -> Result<(), RunError> {
        let engine = self.negotiated().await?;
        if engine.inspect_image(image).await.is_ok() {
            return Ok(());
        }
        let options = CreateImageOptionsBuilder::default().from_image(image).build();
        let pull = async {
            let mut progress = engine.create_image(Some(options), None, None);
            while let Some(step) = progress.next().await {
                step.map_err(|error| pull_error(image, &error))?;
            }
            Ok(())
        };
        let limit = Duration::from_secs(self.config.pull_timeout_seconds);
        tokio::time::timeout(limit, pull).await.map_err(|_| {
            RunError::Infrastructure(format!(
                "the image {image} did not arrive within {} s",
                limit.as_secs()
            ))
        })??;
        engine
            .inspect_image(image)
            .await
            .map(drop)
            .map_err(|error| infrastructure("find the image", error))
    }

    /// Runs a task to its end, or finds it again. The container stays until [`Self::remove`], so that an agent which
    /// dies before it has written down the end can still collect it.
    pub async fn run(
        &self,
        task: &Task,
        spool: &SharedSpool,
        stop: &CancellationToken,
        started: impl AsyncFnOnce(),
    ) -> Result<Finished, RunError> {
        let engine = self.negotiated().await?;
        let name = container_name(&task.held);
        let found = match engine.inspect_container(&name, None::<InspectContainerOptions>).await {
            Ok(found) => Some(found),
            Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => None,
            Err(error) => return Err(infrastructure("look for the container", error)),
        };
        let log_full = Arc::new(Notify::new());
        let pump = match (found, task.resumed) {
            (None, Resumed::WasRunning) => {
                return Err(RunError::Lost(format!("the engine knows no container {name}")));
            }
            (Some(found), _) if has_run(&found) => {
                // It was started by an agent that died since. The engine has kept the log.
                let options =
                    LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
                let skip = spool.progress().kept;
                tokio::spawn(pump(
                    engine.logs(&name, Some(options)),
                    Arc::clone(spool),
                    skip,
                    Arc::clone(&log_full),
                ))
            }
            (found, _) => {
                if found.is_some() {
                    // Created, but never started.
                    self.remove(&task.held).await?;
                }
                let log = self.create(&engine, &name, task).await?;
                let pump = tokio::spawn(pump(log, Arc::clone(spool), 0, Arc::clone(&log_full)));
                engine
                    .start_container(&name, None::<StartContainerOptions>)
                    .await
                    .map_err(|error| start_error(&error))?;
                pump
            }
        };
        started().await;
        let finished = self.follow(&engine, &name, task, stop, &log_full).await;
        let mut pump = pump;
        if tokio::time::timeout(LOG_TAIL, &mut pump).await.is_err() {
            // Nothing may write to the log after its end was told.
            pump.abort();
            tracing::warn!(
                container = name,
                "the engine did not end the log of a program that has ended"
            );
        }
        Ok(finished?.within_log_limit(spool))
    }

    /// Creates the container and attaches to it before it starts, so that no byte of its log is missed.
    async fn create(
        &self,
        engine: &bollard::Docker,
        name: &str,
        task: &Task,
    ) -> Result<impl Stream<Item = Result<LogOutput, EngineError>> + Send + use<>, RunError> {
        let Runtime::Docker { image } = &task.spec.runtime else {
            return Err(RunError::Infrastructure("this is no container job".into()));
        };
        let inspected = engine
            .inspect_image(image)
            .await
            .map_err(|error| infrastructure("find the image", error))?;
        let body = cage::container(task, image, &inspected, self.node, &self.config)?;
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        engine.create_container(Some(options), body).await.map_err(|error| start_error(&error))?;
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdout(true)
            .stderr(true)
            .logs(true)
            .build();
        let attached = engine
            .attach_container(name, Some(options))
            .await
            .map_err(|error| infrastructure("attach to the container", error))?;
        Ok(attached.output)
    }

    async fn follow(
        &self,
        engine: &bollard::Docker,
        name: &str,
        task: &Task,
        stop: &CancellationToken,
        log_full: &Notify,
    ) -> Result<Finished, RunError> {
        let container = inspect(engine, name).await?;
        let pid = container.state.as_ref().and_then(|state| state.pid).unwrap_or(0);
        let groups = cgroup::Groups::of(pid);
        let end = wait(engine, name);
        tokio::pin!(end);
        let broken = tokio::select! {
            ended = &mut end => { ended?; None }
            () = log_full.notified() => Some(Limit::Log),
            limit = watch_limits(task, stop, || groups.broken()) => {
                if limit.is_none() {
                    kill(engine, name).await?;
                    end.await?;
                    return Err(RunError::Stopped);
                }
                limit
            }
        };
        if broken.is_some() {
            kill(engine, name).await?;
            end.await?;
        }
        let state = inspect(engine, name).await?.state.unwrap_or_default();
        // A shell may outlive the program that the kernel killed for memory, and exit with 0.
        let limit = broken.or_else(|| state.oom_killed.unwrap_or(false).then_some(Limit::Memory));
        let outcome = match limit {
            Some(limit) => Outcome::Limited { limit },
            None => {
                let exit_code = state.exit_code.unwrap_or(-1);
                Outcome::Exited { exit_code: i32::try_from(exit_code).unwrap_or(-1) }
            }
        };
        Ok(Finished { outcome, fuel_used: None })
    }

    /// Removes the container of an attempt with everything in it, running or not.
    pub async fn remove(&self, held: &AttemptRef) -> Result<(), RunError> {
        let engine = self.negotiated().await?;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match engine.remove_container(&container_name(held), Some(options)).await {
            Ok(()) | Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(error) => Err(infrastructure("remove the container", error)),
        }
    }

    /// The attempts of this node of which there is a container.
    pub async fn list(&self) -> Result<Vec<AttemptRef>, RunError> {
        let engine = self.negotiated().await?;
        let filters = HashMap::from([("label", vec![format!("{LABEL_NODE}={}", self.node)])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let containers = engine
            .list_containers(Some(options))
            .await
            .map_err(|error| infrastructure("list the containers", error))?;
        let held = containers.into_iter().filter_map(|container| {
            let labels = container.labels?;
            Some(AttemptRef {
                job_id: labels.get(LABEL_JOB)?.parse().ok()?,
                attempt: gristmill_protocol::ids::AttemptNumber(
                    labels.get(LABEL_ATTEMPT)?.parse().ok()?,
                ),
            })
        });
        Ok(held.collect())
    }
}

/// The same name for the same attempt, so that the engine refuses to make two.
fn container_name(held: &AttemptRef) -> String {
    format!("gristmill-{}-{}", hex::encode(held.job_id.0), held.attempt)
}

fn has_run(container: &ContainerInspectResponse) -> bool {
    let status = container.state.as_ref().and_then(|state| state.status);
    status.is_some_and(|status| status != ContainerStateStatusEnum::CREATED)
}

async fn inspect(
    engine: &bollard::Docker,
    name: &str,
) -> Result<ContainerInspectResponse, RunError> {
    engine
        .inspect_container(name, None::<InspectContainerOptions>)
        .await
        .map_err(|error| infrastructure("look at the container", error))
}

/// Waits for the end of a container. An exit code other than 0 comes as an error of the client.
async fn wait(engine: &bollard::Docker, name: &str) -> Result<(), RunError> {
    let mut end = engine.wait_container(name, None::<WaitContainerOptions>);
    match end.next().await {
        Some(Ok(_) | Err(EngineError::DockerContainerWaitError { .. })) => Ok(()),
        Some(Err(error)) => Err(infrastructure("wait for the container", error)),
        None => {
            Err(RunError::Infrastructure("the engine stopped waiting for the container".into()))
        }
    }
}

async fn kill(engine: &bollard::Docker, name: &str) -> Result<(), RunError> {
    let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
    match engine.kill_container(name, Some(options)).await {
        // 409: it has ended by itself meanwhile.
        Ok(()) | Err(EngineError::DockerResponseServerError { status_code: 404 | 409, .. }) => {
            Ok(())
        }
        Err(error) => Err(infrastructure("kill the container", error)),
    }
}

/// Moves the program's output into the spool, without the first `skip` bytes, which are there already. Goes on reading
/// after the limit, so that the program is never blocked on a full pipe while it is being stopped.
async fn pump(
    mut log: impl Stream<Item = Result<LogOutput, EngineError>> + Unpin,
    spool: SharedSpool,
    mut skip: u64,
    full: Arc<Notify>,
) {
    while let Some(output) = log.next().await {
        let bytes = match output {
            Ok(output) => output.into_bytes(),
            Err(error) => {
                tracing::error!(%error, "the engine broke off the log");
                return;
            }
        };
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
        skip -= skipped as u64;
        if skipped == bytes.len() {
            continue;
        }
        match spool.append(&bytes[skipped..]) {
            Ok(true) => {}
            Ok(false) => full.notify_one(),
            Err(error) => {
                tracing::error!(%error, "the log cannot be written");
                full.notify_one();
            }
        }
    }
}

/// Whether a failed pull is the job's fault: an image that is not there, or is not what its digest says.
fn pull_error(image: &str, error: &EngineError) -> RunError {
    let text = error.to_string();
    let jobs_fault = [
        "manifest unknown",
        "not found",
        "verification failed",
        "invalid reference",
        "access denied",
        "unauthorized",
        "does not exist",
        "no matching manifest",
    ];
    let lower = text.to_lowercase();
    if jobs_fault.iter().any(|words| lower.contains(words)) {
        RunError::JobsFault(format!("the image {image} cannot be had: {text}"))
    } else {
        infrastructure("pull the image", text)
    }
}

/// Whether a failed start is the job's fault: a program that is not in the image.
fn start_error(error: &EngineError) -> RunError {
    let text = error.to_string();
    let lower = text.to_lowercase();
    let jobs_fault = [
        "no such file or directory",
        "executable file not found",
        "exec format error",
        "permission denied",
        "no command specified",
    ];
    if jobs_fault.iter().any(|words| lower.contains(words)) {
        RunError::JobsFault(format!("the program cannot be started: {text}"))
    } else {
        infrastructure("start the container", text)
    }
}
