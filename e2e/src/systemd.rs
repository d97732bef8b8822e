//! A real systemd in a container of its own, for what the node's service has to keep to. It sees this machine's files
//! through a copy-on-write view, so that what a test installs is gone with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Lifetime, Process};
use crate::{root, skip, wait_for};

const PROGRAM: &str = "/lib/systemd/systemd";
const BOOT: Duration = Duration::from_secs(60);

pub struct Systemd {
    process: Process,
    /// The number of systemd outside of its container.
    pid: u32,
    group: String,
}

/// Whether a test that needs systemd can run here; says so where it cannot.
#[must_use]
pub fn systemd_or_skip(test: &str) -> Option<()> {
    let reason = if !rustix::process::geteuid().is_root() {
        "a systemd of one's own needs root"
    } else if !Path::new(PROGRAM).exists() {
        "systemd is not installed: run scripts/setup.sh --tests"
    } else {
        return Some(());
    };
    skip(test, reason);
    None
}

impl Systemd {
    /// Boots it. `folder` is where it keeps what is written.
    ///
    /// # Errors
    /// Where it does not come up.
    pub async fn boot(folder: &Path) -> Result<Self> {
        let view = folder.join("systemd");
        std::fs::create_dir_all(&view)?;
        let group = format!("gristmill-systemd-{}", std::process::id());
        let script = root().join("e2e/src/systemd/boot.sh");
        let arguments = [script.as_os_str(), view.as_os_str(), group.as_ref()];
        let process = Process::start(
            "systemd",
            Path::new("/bin/bash"),
            &arguments,
            &[],
            &folder.join("systemd.log"),
            Lifetime::Attached,
        )?;
        let mut booted = Self { process, pid: 0, group };
        let is_up = async || {
            if let Err(error) = booted.process.check_running() {
                return Some(Err(error));
            }
            booted.pid = booted.child()?;
            let state = booted.call(&["systemctl", "is-system-running"]).ok()?;
            (state.trim() == "running").then_some(Ok(()))
        };
        wait_for("systemd to come up", BOOT, is_up)
            .await
            .and_then(|up| up)
            .with_context(|| booted.process.output())?;
        Ok(booted)
    }

    /// The one child of the program that made the namespaces.
    fn child(&self) -> Option<u32> {
        let parent = self.process.pid();
        let path = format!("/proc/{parent}/task/{parent}/children");
        std::fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
    }

    /// Runs a command inside; what it printed.
    ///
    /// # Errors
    /// Where it cannot be started, or fails.
    pub fn call(&self, words: &[&str]) -> Result<String> {
        let output = self.output(words)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(said)
    }

    fn output(&self, words: &[&str]) -> Result<Output> {
        let pid = self.pid.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid, "--mount", "--pid", "--cgroup", "--ipc", "--uts"]);
        command.args(["--root", "--wd=/", "--"]).args(words).stdin(Stdio::null());
        command.output().context("start nsenter")
    }

    /// A property of a unit, such as `ActiveState`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        let said = self.call(&["systemctl", "show", "--value", "--property", name, unit])?;
        Ok(said.trim().to_owned())
    }

    /// Where a path of the container is seen from here.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid)).join(inside.trim_start_matches('/'))
    }
}

impl Drop for Systemd {
    #[expect(clippy::disallowed_methods, reason = "no event tells that a control group is empty")]
    fn drop(&mut self) {
        // The first process of a namespace takes all others with it.
        let _ = self.process.kill_hard();
        if self.pid != 0
            && let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        // A group can be removed once the last of its processes is gone, which takes a moment.
        for hierarchy in ["", "systemd", "unified", "pids"] {
            let group = Path::new("/sys/fs/cgroup").join(hierarchy).join(&self.group);
            for _ in 0..100 {
                remove_groups(&group);
                if !group.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Removes a control group with those below it, as far as they are empty.
fn remove_groups(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}
