//! The command `gristmill`, as one party of the market types it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use gristmill_protocol::ids::JobId;
use serde_json::Value;

use crate::keys::{PASSWORD, Party};
use crate::process::binary;

/// The command line of one party. Clones share the party's folder of records and sessions.
#[derive(Clone)]
pub struct Cli {
    program: PathBuf,
    keystore: PathBuf,
    home: PathBuf,
    environment: Vec<(String, String)>,
}

/// What a command left behind.
pub struct Answer {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// The JSON value on stdout.
    ///
    /// # Errors
    /// Where the command failed or printed something else.
    pub fn json(&self) -> Result<Value> {
        if !self.status.success() {
            bail!("the command ended with {}: {}", self.status, self.stderr);
        }
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {}", self.stdout))
    }
}

impl Cli {
    /// # Errors
    /// Where the command was not built, or the keystore cannot be written.
    pub fn new(
        folder: &Path,
        party: Party,
        rpc_url: &str,
        deployment: &Path,
        scheduler_url: &str,
    ) -> Result<Self> {
        let keystore = party.write_keystore(&folder.join("keys"))?;
        let home = folder.join("homes").join(party.name());
        std::fs::create_dir_all(&home)?;
        let environment = [
            ("GRISTMILL_RPC", rpc_url.to_owned()),
            ("GRISTMILL_DEPLOYMENT", deployment.display().to_string()),
            ("GRISTMILL_SCHEDULER", scheduler_url.to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Ok(Self { program: binary("gristmill")?, keystore, home, environment })
    }

    /// The variables that make a shell speak for this party.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = self.environment.clone();
        environment.push(("GRISTMILL_KEYSTORE".into(), self.keystore.display().to_string()));
        environment.push(("GRISTMILL_KEYSTORE_PASSWORD".into(), PASSWORD.into()));
        environment.push(("XDG_DATA_HOME".into(), self.home.join("data").display().to_string()));
        environment
            .push(("XDG_CONFIG_HOME".into(), self.home.join("config").display().to_string()));
        environment
    }

    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).envs(self.environment()).stdin(Stdio::null());
        command
    }

    /// Runs a command and keeps what it prints. Blocks the thread.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self.command(arguments).output().context("run gristmill")?;
        Ok(Answer {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command without blocking the runtime.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub async fn call(&self, arguments: &[&str]) -> Result<Answer> {
        let (cli, arguments) =
            (self.clone(), arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            cli.run(&arguments)
        })
        .await?
    }

    /// Submits a job without waiting for its end. `arguments` say what runs, for how much.
    ///
    /// # Errors
    /// Where it is not accepted.
    pub async fn submit(&self, arguments: &[&str]) -> Result<JobId> {
        let mut all = vec!["submit", "--yes", "--detach", "--json"];
        all.extend(arguments);
        let answer = self.call(&all).await?.json()?;
        Ok(answer["job"].as_str().context("`submit` named no job")?.parse()?)
    }

    /// Runs a command that shows its progress to the person at the terminal, and keeps its stdout.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn show(&self, arguments: &[&str]) -> Result<Answer> {
        let output =
            self.command(arguments).stderr(Stdio::inherit()).output().context("run gristmill")?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Answer { status: output.status, stdout, stderr: String::new() })
    }
}
