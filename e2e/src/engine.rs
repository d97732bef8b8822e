//! A container engine and a registry of this market's own: dockerd with its own folders and socket, no bridge, no
//! firewall rules, and docker-registry on the loopback interface. Nothing of an engine that runs already is touched.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::process::{Lifetime, Process};
use crate::wait_for;

pub struct Engine {
    pub dockerd: Process,
    pub registry: Process,
    pub socket: PathBuf,
    /// `127.0.0.1:port`
    pub registry_address: String,
}

/// Why no engine can be started here, if so.
#[must_use]
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("an engine of one's own needs root".into());
    }
    for program in ["dockerd", "docker", "docker-registry", "runc"] {
        if which(program).is_none() {
            return Some(format!("{program} is not installed: run scripts/setup.sh"));
        }
    }
    None
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

impl Engine {
    /// Starts both. `folder` holds images and layers; the socket lies in a short path, since the kernel allows 107
    /// bytes.
    ///
    /// # Errors
    /// Where one of them does not start.
    pub async fn start(folder: &Path, registry_port: u16, lifetime: Lifetime) -> Result<Self> {
        let run = std::env::temp_dir().join(format!("gristmill-engine-{registry_port}"));
        let data = folder.join("engine");
        for path in [&run, &data] {
            std::fs::create_dir_all(path)?;
        }
        let socket = run.join("docker.sock");
        let pid_file = run.join("dockerd.pid");
        // Left over where an engine was killed; dockerd would take another process of that number for itself.
        std::fs::remove_file(&pid_file).ok();
        let config = run.join("daemon.json");
        std::fs::write(
            &config,
            serde_json::to_vec_pretty(&json!({
                "data-root": data.join("data"),
                "exec-root": run.join("exec"),
                "pidfile": pid_file,
                "hosts": [format!("unix://{}", socket.display())],
                "bridge": "none",
                "iptables": false,
                "ip6tables": false,
                "live-restore": true,
                "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}},
            }))?,
        )?;
        let dockerd = which("dockerd").context("dockerd is not installed: run scripts/setup.sh")?;
        let mut dockerd = Process::start(
            "dockerd",
            &dockerd,
            &[OsStr::new("--config-file"), config.as_os_str()],
            &[],
            &folder.join("logs/engine.log"),
            lifetime,
        )?;

        let registry_address = format!("127.0.0.1:{registry_port}");
        let registry_config = run.join("registry.yml");
        std::fs::write(
            &registry_config,
            format!(
                "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: \"{registry_address}\"}}\n",
                data.join("registry").display()
            ),
        )?;
        let registry = which("docker-registry").context("docker-registry is not installed")?;
        let mut registry = Process::start(
            "docker-registry",
            &registry,
            &[OsStr::new("serve"), registry_config.as_os_str()],
            &[],
            &folder.join("logs/registry.log"),
            lifetime,
        )?;

        let http = reqwest::Client::new();
        let url = format!("http://{registry_address}/v2/");
        wait_for("the engine and the registry", Duration::from_secs(60), async || {
            if let Err(error) = dockerd.check_running().and_then(|()| registry.check_running()) {
                return Some(Err(error));
            }
            let engine = Command::new("docker")
                .args(["version", "--format", "{{.Server.Version}}"])
                .env("DOCKER_HOST", format!("unix://{}", socket.display()))
                .output();
            let is_up = engine.is_ok_and(|output| output.status.success());
            (is_up && http.get(&url).send().await.is_ok()).then_some(Ok(()))
        })
        .await??;
        Ok(Self { dockerd, registry, socket, registry_address })
    }

    /// Its processes.
    #[must_use]
    pub fn pids(&self) -> [u32; 2] {
        [self.dockerd.pid(), self.registry.pid()]
    }

    #[must_use]
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Runs the docker client against this engine, and returns what it printed.
    ///
    /// # Errors
    /// Where it fails.
    pub fn docker(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("docker")
            .args(arguments)
            .env("DOCKER_HOST", self.docker_host())
            .output()
            .context("run docker")?;
        if !output.status.success() {
            bail!("docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.dockerd.lifetime() == Lifetime::Detached {
            return;
        }
        // Containers outlive a killed engine (live-restore); a test's own must not.
        if let Ok(containers) = self.docker(&["ps", "-aq"]) {
            for container in containers.lines() {
                self.docker(&["rm", "-f", container]).ok();
            }
        }
        self.dockerd.stop().ok();
    }
}
