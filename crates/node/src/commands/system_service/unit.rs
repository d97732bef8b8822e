//! The text of the unit.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::runs_containers;
use crate::commands::join::JoinArgs;
use crate::config::{Config, ServiceConfig};

/// How long the agent may be silent before systemd takes it for stuck. It speaks at each poll.
const WATCHDOG_SECONDS: u32 = 300;
/// What giving a job back may take, on top of the time to let it end.
const GIVE_BACK_SECONDS: u64 = 120;

/// A service of systemd for one node.
pub(super) struct Unit {
    command: Vec<String>,
    dir: PathBuf,
    user: String,
    runs_containers: bool,
    drain_seconds: u64,
}

impl Unit {
    pub(super) fn new(
        program: &Path,
        dir: &Path,
        join: &JoinArgs,
        user: &str,
        config: Option<&Config>,
    ) -> Result<Self> {
        ensure!(dir.is_absolute(), "--dir must begin with /: a service has no folder of its own");
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        ensure!(!user.is_empty() && user.chars().all(is_name), "`{user}` is no name of a user");
        let runs_containers = runs_containers(join, config);
        let mut command = vec![
            program.display().to_string(),
            "join".into(),
            "--dir".into(),
            dir.display().to_string(),
            "--scheduler".into(),
            join.scheduler.clone(),
            "--provider".into(),
            join.provider.to_string(),
        ];
        if let Some(file) = &join.password_file {
            command.extend(["--password-file".into(), file.display().to_string()]);
        }
        let service = config.map_or(ServiceConfig::DEFAULT, |config| config.service);
        Ok(Self {
            command,
            dir: dir.to_owned(),
            // Who may talk to the engine is root by another name, and the cage needs mounts and namespaces.
            user: if runs_containers { "root".into() } else { user.to_owned() },
            runs_containers,
            drain_seconds: service.drain_seconds,
        })
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn text(&self) -> String {
        let command: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        let engine = if self.runs_containers { " docker.service podman.socket" } else { "" };
        let mut text = format!(
            "# Written by `gristmill-node service install`; running it again writes it again. Changes of your own belong in\n\
             # a drop-in: systemctl edit gristmill-node\n\
             [Unit]\n\
             Description=Gristmill node\n\
             Wants=network-online.target\n\
             After=network-online.target{engine}\n\
             \n\
             [Service]\n\
             Type=notify\n\
             ExecStart={}\n\
             User={}\n\
             UMask=0077\n\
             Restart=on-failure\n\
             RestartSec=10\n\
             WatchdogSec={WATCHDOG_SECONDS}\n\
             # A stop lets the job at hand end for so long (service.drain_seconds), then gives it back, at no loss.\n\
             KillMode=mixed\n\
             TimeoutStopSec={}\n\
             OOMScoreAdjust=-100\n\
             NoNewPrivileges=yes\n\
             LockPersonality=yes\n\
             RestrictRealtime=yes\n\
             RestrictSUIDSGID=yes\n\
             SystemCallArchitectures=native\n",
            command.join(" "),
            self.user,
            self.drain_seconds + GIVE_BACK_SECONDS,
        );
        if self.runs_containers {
            // The engine mounts what the agent has mounted, so both must see the same file systems: nothing here may give
            // the agent a view of its own.
            text.push_str(
                "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_CHOWN CAP_FOWNER CAP_KILL \
                 CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_SETUID CAP_SETGID CAP_MKNOD\n",
            );
        } else {
            let _ = write!(
                text,
                "CapabilityBoundingSet=\n\
                 AmbientCapabilities=\n\
                 ProtectSystem=strict\n\
                 ReadWritePaths={}\n\
                 ProtectHome=yes\n\
                 PrivateTmp=yes\n\
                 PrivateDevices=yes\n\
                 ProtectClock=yes\n\
                 ProtectHostname=yes\n\
                 ProtectControlGroups=yes\n\
                 ProtectKernelLogs=yes\n\
                 ProtectKernelModules=yes\n\
                 ProtectKernelTunables=yes\n\
                 ProtectProc=invisible\n\
                 RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n\
                 RestrictNamespaces=yes\n\
                 SystemCallFilter=@system-service landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp\n\
                 SystemCallErrorNumber=EPERM\n",
                quoted(&self.dir.display().to_string()),
            );
        }
        text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        text
    }
}

/// A word as units quote it: specifiers and variables are doubled, so that none is expanded.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '=' | '@' | ',')
    };
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '%' | '$' => out.extend([c, c]),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use gristmill_protocol::Address;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        join: JoinArgs,
    }

    fn unit(runtimes: &str, dir: &str) -> Result<Unit> {
        let provider = Address::repeat_byte(7).to_string();
        let line = [
            "-",
            "--scheduler",
            "https://scheduler.example.org/a b%",
            "--provider",
            &provider,
            "--runtimes",
            runtimes,
        ];
        let join = Line::parse_from(line).join;
        Unit::new(Path::new("/usr/bin/env"), Path::new(dir), &join, "gristmill", None)
    }

    /// systemd's own opinion, where it is installed: nothing in the unit is unknown to it or misspelt.
    fn verify(text: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gristmill-node.service");
        std::fs::write(&path, text).unwrap();
        let verified = std::process::Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&path)
            .output();
        match verified {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && said.trim().is_empty(), "{said}\n{text}");
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("skipped: systemd-analyze is not installed");
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_node_that_runs_wasm_alone_gets_the_least_of_rights() {
        let text = unit("wasm", "/var/lib/gristmill").unwrap().text();
        assert!(text.contains("\nUser=gristmill\n"), "{text}");
        assert!(text.contains("\nCapabilityBoundingSet=\n"), "{text}");
        assert!(
            text.contains("\nProtectSystem=strict\nReadWritePaths=/var/lib/gristmill\n"),
            "{text}"
        );
        assert!(text.contains("--scheduler \"https://scheduler.example.org/a b%%\""), "{text}");
        assert!(!text.contains("docker"), "{text}");
        verify(&text);
    }

    #[test]
    fn a_node_that_runs_containers_shares_the_engines_view_of_files() {
        let text = unit("wasm,docker", "/var/lib/gristmill").unwrap().text();
        assert!(text.contains("\nUser=root\n"), "{text}");
        for own_view in
            ["ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ReadWritePaths"]
        {
            assert!(
                !text.contains(own_view),
                "{own_view} would hide the agent's mounts from the engine"
            );
        }
        verify(&text);
    }

    #[test]
    fn what_is_no_name_or_folder_is_refused() {
        assert!(unit("wasm", "gristmill").is_err());
        let provider = Address::repeat_byte(7).to_string();
        let join =
            Line::parse_from(["-", "--scheduler", "http://a.example", "--provider", &provider])
                .join;
        for user in ["", "a b", "a\nExecStart=/bin/sh", "root;"] {
            assert!(
                Unit::new(Path::new("/x"), Path::new("/y"), &join, user, None).is_err(),
                "{user:?}"
            );
        }
    }

    #[test]
    fn no_word_ends_its_line_or_is_expanded() {
        for (word, expected) in [
            ("/var/lib/x", "/var/lib/x"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("100%", "\"100%%\""),
            ("$HOME", "\"$$HOME\""),
            ("a\nUser=root", "\"a\\nUser=root\""),
            ("\"\\", "\"\\\"\\\\\""),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
