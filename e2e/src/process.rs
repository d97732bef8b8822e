//! Programs that run beside a test or the demo, and end with it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long a program outlives the one that started it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifetime {
    /// It is killed when its handle is dropped, and by the kernel when the starter dies.
    Attached,
    /// It stays until `make down`.
    Detached,
}

/// A running program. Its output goes to a file.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    lifetime: Lifetime,
}

impl Process {
    /// Starts `program` with its output appended to `log`.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[&OsStr],
        environment: &[(&str, &OsStr)],
        log: &Path,
        lifetime: Lifetime,
    ) -> Result<Self> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = match lifetime {
            // A test that is killed cannot clean up; the kernel then does.
            Lifetime::Attached => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "KILL", "--"]).arg(program);
                command
            }
            Lifetime::Detached => Command::new(program),
        };
        let child = command
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), lifetime })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// What it has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Fails, with the end of its output, where it has ended already.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let output = self.output();
            let tail = output.len().saturating_sub(3000);
            let tail = output.char_indices().map(|(at, _)| at).find(|at| *at >= tail).unwrap_or(0);
            bail!("{} ended with {status}:\n{}", self.name, &output[tail..]);
        }
        Ok(())
    }

    /// `kill -9`, as a crash or a power cut would do it, to the program alone and not to what it started.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn kill_hard(&mut self) -> Result<()> {
        self.signal(Signal::KILL);
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM);
        Ok(self.child.wait()?)
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = pid(self.pid()) {
            // It may have ended by itself meanwhile.
            kill_process(pid, signal).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Attached
            && let Some(pid) = pid(self.child.id())
            && matches!(self.child.try_wait(), Ok(None))
        {
            kill_process_group(pid, Signal::KILL).ok();
            self.child.wait().ok();
        }
    }
}

fn pid(raw: u32) -> Option<Pid> {
    i32::try_from(raw).ok().and_then(Pid::from_raw)
}

/// Ends a detached program that an earlier run started, and what it started in turn.
pub fn end_detached(raw: u32) {
    if let Some(pid) = pid(raw) {
        kill_process(pid, Signal::TERM).ok();
    }
}

#[must_use]
pub fn is_running(raw: u32) -> bool {
    pid(raw).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

/// The binaries of this workspace, beside the program that runs now.
///
/// # Errors
/// Where it was not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found =
        own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --workspace --bins`"))
}
