//! The cage: what a container of a stranger may and may not. Everything is refused that is not written here.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceRequest, HostConfig, HostConfigLogConfig, ImageInspect, Mount,
    MountType, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use gristmill_protocol::ids::NodeId;

use super::{LABEL_ATTEMPT, LABEL_JOB, LABEL_NODE};
use crate::config::{DockerConfig, GpuAttach};
use crate::runtime::{RunError, Task};

/// Nobody, in every image.
const USER: &str = "65534:65534";
const FILES_SOFT: i64 = 1024;
const FILES_HARD: i64 = 4096;
const SHM_BYTES: i64 = 64 << 20;
/// A stranger's program goes first when memory is short.
const OOM_SCORE: i64 = 500;
/// Variables that would reach into the loader, the GPU hook or the engine.
const FORBIDDEN_PREFIXES: &[&str] = &["LD_", "NVIDIA_", "DOCKER_", "CUDA_VISIBLE"];

/// What is asked of the engine for a task.
pub(super) fn container(
    task: &Task,
    image: &str,
    inspected: &ImageInspect,
    node: NodeId,
    config: &DockerConfig,
) -> Result<ContainerCreateBody, RunError> {
    let spec = &task.spec;
    let memory = i64::try_from(spec.resources.memory_bytes).unwrap_or(i64::MAX);
    let limit = |name: &str, soft: i64, hard: i64| ResourcesUlimits {
        name: Some(name.into()),
        soft: Some(soft),
        hard: Some(hard),
    };
    let host_config = HostConfig {
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(spec.resources.cpu_millis) * 1_000_000),
        pids_limit: Some(config.pids_max),
        network_mode: Some("none".into()),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        privileged: Some(false),
        ipc_mode: Some("private".into()),
        shm_size: Some(SHM_BYTES.min(memory)),
        oom_score_adj: Some(OOM_SCORE),
        ulimits: Some(vec![limit("nofile", FILES_SOFT, FILES_HARD), limit("core", 0, 0)]),
        tmpfs: Some(tmpfs(inspected, config)),
        mounts: Some(vec![
            bind(task.input.display(), "/input", true),
            bind(task.output.display(), "/output", false),
        ]),
        // Kept by the engine too, so that an agent that was restarted finds what it missed.
        // It never rotates: the program is stopped long before, and what was rotated away could not be found again.
        log_config: Some(HostConfigLogConfig {
            typ: Some("local".into()),
            config: Some(HashMap::from([("max-size".into(), "4g".into())])),
        }),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        init: Some(false),
        device_requests: gpus(task, config)?,
        ..HostConfig::default()
    };
    Ok(ContainerCreateBody {
        image: Some(image.into()),
        cmd: (!spec.command.is_empty()).then(|| spec.command.clone()),
        env: Some(environment(task, inspected)),
        user: Some(USER.into()),
        hostname: Some("job".into()),
        network_disabled: Some(true),
        attach_stdin: Some(false),
        open_stdin: Some(false),
        tty: Some(false),
        // A health check of the image would run beside the program, outside of its time.
        healthcheck: Some(bollard::models::HealthConfig {
            test: Some(vec!["NONE".into()]),
            ..Default::default()
        }),
        labels: Some(HashMap::from([
            (LABEL_NODE.into(), node.to_string()),
            (LABEL_JOB.into(), task.held.job_id.to_string()),
            (LABEL_ATTEMPT.into(), task.held.attempt.to_string()),
        ])),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    })
}

fn bind(source: impl std::fmt::Display, target: &str, read_only: bool) -> Mount {
    Mount {
        source: Some(source.to_string()),
        target: Some(target.into()),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// Room in /tmp, and an empty read-only place over each volume that the image declares: a volume would be a
/// directory of the host without a limit.
fn tmpfs(image: &ImageInspect, config: &DockerConfig) -> HashMap<String, String> {
    let room = format!("rw,nosuid,nodev,size={},mode=1777,uid=65534,gid=65534", config.tmp_bytes);
    let mut places = HashMap::from([("/tmp".to_owned(), room)]);
    let volumes =
        image.config.as_ref().and_then(|config| config.volumes.clone()).unwrap_or_default();
    for volume in volumes {
        if !matches!(volume.as_str(), "/tmp" | "/input" | "/output") {
            places.insert(volume, "ro,nosuid,nodev,noexec,size=4096".into());
        }
    }
    places
}

/// The spec's variables. What the image sets stays, except for what would reach out of the cage, which is emptied.
fn environment(task: &Task, image: &ImageInspect) -> Vec<String> {
    let forbidden = |name: &str| FORBIDDEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let own = image.config.as_ref().and_then(|config| config.env.clone()).unwrap_or_default();
    let emptied = own.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let mut lines: Vec<String> =
        emptied.filter(|name| forbidden(name)).map(|name| format!("{name}=")).collect();
    lines.extend(
        task.spec
            .env
            .iter()
            .filter(|(name, _)| !forbidden(name))
            .map(|(name, value)| format!("{name}={value}")),
    );
    let gpus = if task.gpus.is_empty() { "void".to_owned() } else { task.gpus.join(",") };
    lines.push(format!("NVIDIA_VISIBLE_DEVICES={gpus}"));
    lines.push("NVIDIA_DRIVER_CAPABILITIES=compute,utility".into());
    lines.push(format!("GRISTMILL_JOB={}", task.held.job_id));
    lines
}

fn gpus(task: &Task, config: &DockerConfig) -> Result<Option<Vec<DeviceRequest>>, RunError> {
    let wanted = task.spec.resources.gpus as usize;
    if wanted == 0 {
        return Ok(None);
    }
    if task.gpus.len() < wanted {
        return Err(RunError::Infrastructure("a GPU of the offer is not there".into()));
    }
    let (driver, ids, capabilities) = match config.gpu_attach {
        GpuAttach::Nvidia => ("nvidia", task.gpus.clone(), Some(vec![vec!["gpu".to_owned()]])),
        GpuAttach::Cdi => {
            ("cdi", task.gpus.iter().map(|id| format!("nvidia.com/gpu={id}")).collect(), None)
        }
    };
    Ok(Some(vec![DeviceRequest {
        driver: Some(driver.into()),
        device_ids: Some(ids),
        capabilities,
        ..DeviceRequest::default()
    }]))
}
