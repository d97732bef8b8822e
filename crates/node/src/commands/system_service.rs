//! `service`: the node as a service of systemd, made in one command and taken away in another.

mod unit;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};

use super::join::{self, JoinArgs};
use crate::config::Config;
use unit::Unit;

/// Where the service keeps its key, configuration and state unless told otherwise.
const DIR: &str = "/var/lib/gristmill";
const UNIT_PATH: &str = "/etc/systemd/system/gristmill-node.service";
const SERVICE: &str = "gristmill-node.service";

#[derive(Subcommand)]
pub(super) enum ServiceCommand {
    /// Make key, configuration and service, and start it. It waits for your wallet, then works. Running it again brings
    /// the service up to date and keeps everything else.
    #[command(after_help = "Examples:
  sudo gristmill-node service install --scheduler https://scheduler.example.org --provider 0xYourWallet
  sudo gristmill-node service install --scheduler https://scheduler.example.org --provider 0xYourWallet \\
    --runtimes wasm,docker --rpc https://rpc.example.org --yes
  journalctl --unit gristmill-node --follow")]
    Install(InstallArgs),
    /// Print the unit that `install` would write.
    Unit(UnitArgs),
    /// Stop the service and remove its unit. Key, configuration and state stay: they may hold results to be paid for.
    Uninstall,
}

#[derive(Args)]
pub(super) struct InstallArgs {
    #[command(flatten)]
    join: JoinArgs,
    /// The user that the service runs as, made where it is missing. A node that runs containers runs as root in any case.
    #[arg(long, default_value = "gristmill")]
    user: String,
    /// Write below this folder, and neither make users nor start anything: for those who build packages.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct UnitArgs {
    #[command(flatten)]
    join: JoinArgs,
    #[arg(long, default_value = "gristmill")]
    user: String,
}

pub(super) async fn service(command: &ServiceCommand) -> Result<()> {
    match command {
        ServiceCommand::Install(args) => install(args).await,
        ServiceCommand::Unit(args) => {
            let unit =
                Unit::new(&program()?, &directory(&args.join), &args.join, &args.user, None)?;
            print!("{}", unit.text());
            Ok(())
        }
        ServiceCommand::Uninstall => uninstall(),
    }
}

fn directory(join: &JoinArgs) -> PathBuf {
    join.dir.clone().unwrap_or_else(|| DIR.into())
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().context("find this program")
}

async fn install(args: &InstallArgs) -> Result<()> {
    let dir = directory(&args.join);
    let at = |path: &Path| match &args.root {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    };
    if args.root.is_none() {
        ensure!(
            rustix::process::geteuid().is_root(),
            "a service is installed by root: put sudo before it"
        );
        ensure!(
            Path::new("/run/systemd/system").exists(),
            "systemd does not run here. Start `gristmill-node join` with what starts your services, or write the unit \
             for another machine with --root FOLDER"
        );
    }
    let real_dir = at(&dir);
    let config = join::prepare(&real_dir, &args.join).await?;
    let unit = Unit::new(&program()?, &dir, &args.join, &args.user, Some(&config))?;
    if args.root.is_none() {
        make_user(unit.user(), &dir)?;
        give(&dir, unit.user())?;
    }
    let unit_path = at(Path::new(UNIT_PATH));
    if let Some(folder) = unit_path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    std::fs::write(&unit_path, unit.text())
        .with_context(|| format!("write {}", unit_path.display()))?;
    println!("Wrote {}.", unit_path.display());
    if args.root.is_none() {
        systemctl(&["daemon-reload"])?;
        systemctl(&["enable", SERVICE])?;
        // Not `enable --now`: a service that runs already has to take what has changed.
        systemctl(&["restart", SERVICE])?;
        println!(
            "Started. It waits for your wallet, and says where: journalctl --unit gristmill-node --follow"
        );
    }
    Ok(())
}

fn uninstall() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "a service is removed by root: put sudo before it"
    );
    ensure!(Path::new(UNIT_PATH).exists(), "there is no {UNIT_PATH}");
    systemctl(&["disable", "--now", SERVICE])?;
    std::fs::remove_file(UNIT_PATH).with_context(|| format!("remove {UNIT_PATH}"))?;
    systemctl(&["daemon-reload"])?;
    println!("Removed {UNIT_PATH}. Key, configuration and state are where they were.");
    Ok(())
}

fn make_user(user: &str, dir: &Path) -> Result<()> {
    let known =
        Command::new("id").arg(user).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if known.success() {
        return Ok(());
    }
    let dir = dir.display().to_string();
    call(
        "useradd",
        &["--system", "--home-dir", &dir, "--shell", "/usr/sbin/nologin", "--user-group", user],
    )?;
    println!("Made the user {user}.");
    Ok(())
}

/// Gives the folder to the service's user, and closes it to everybody else.
fn give(dir: &Path, user: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.display().to_string();
    call("chown", &["--recursive", "--no-dereference", &format!("{user}:"), &path])?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

fn systemctl(arguments: &[&str]) -> Result<()> {
    call("systemctl", arguments)
}

fn call(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed: {}", arguments.join(" "), said.trim());
    }
    Ok(())
}

/// What the unit has to allow beyond the least.
fn runs_containers(join: &JoinArgs, config: Option<&Config>) -> bool {
    use gristmill_protocol::spec::RuntimeKind::Docker;
    let runtimes = config.map_or(join.runtimes.as_slice(), |config| &config.offer.runtimes);
    runtimes.contains(&Docker)
}
