//! What the kernel says of a container's limits, read from its control groups (version 1 and 2).

use std::path::{Path, PathBuf};

use gristmill_protocol::receipt::Limit;

const ROOT: &str = "/sys/fs/cgroup";

/// The files that count broken limits, where they can be read.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Counts how often a new process was refused.
    processes: Option<PathBuf>,
    /// Counts how often a process was killed for memory.
    memory: Option<PathBuf>,
}

impl Groups {
    /// The groups of a process, which the engine has put into one of its own.
    pub(super) fn of(pid: i64) -> Self {
        if pid <= 0 {
            return Self::default();
        }
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        Self::read(&text, Path::new(ROOT))
    }

    /// `text` has lines such as `5:pids:/docker/4f…` (version 1) or `0::/docker/4f…` (version 2).
    fn read(text: &str, root: &Path) -> Self {
        let mut groups = Self::default();
        let existing = |path: PathBuf| path.is_file().then_some(path);
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let path = path.trim_start_matches('/');
            // The root group is the machine's own; its counters say nothing of the container.
            if path.is_empty() {
                continue;
            }
            if controllers.is_empty() {
                groups.processes =
                    groups.processes.or(existing(root.join(path).join("pids.events")));
                groups.memory = groups.memory.or(existing(root.join(path).join("memory.events")));
            }
            for controller in controllers.split(',') {
                let folder = root.join(controller).join(path);
                match controller {
                    "pids" => groups.processes = existing(folder.join("pids.events")),
                    "memory" => groups.memory = existing(folder.join("memory.oom_control")),
                    _ => {}
                }
            }
        }
        groups
    }

    /// The limit that was broken, if one was.
    pub(super) fn broken(&self) -> Option<Limit> {
        if count(self.processes.as_deref(), "max") > 0 {
            return Some(Limit::Processes);
        }
        (count(self.memory.as_deref(), "oom_kill") > 0).then_some(Limit::Memory)
    }
}

fn count(path: Option<&Path>, name: &str) -> u64 {
    let text = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let value = text.lines().filter_map(|line| line.split_once(' ')).find(|(key, _)| *key == name);
    value.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn both_versions_are_read_and_the_machines_own_group_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "pids/docker/a/pids.events", "max 0\n");
        write(
            root,
            "memory/docker/a/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
        );
        write(root, "pids/pids.events", "max 9\n");
        let groups = Groups::read("7:pids:/docker/a\n3:memory:/docker/a\n0::/\n", root);
        assert_eq!(groups.broken(), None);
        write(root, "memory/docker/a/memory.oom_control", "oom_kill 1\n");
        assert_eq!(groups.broken(), Some(Limit::Memory));
        write(root, "pids/docker/a/pids.events", "max 3\n");
        assert_eq!(groups.broken(), Some(Limit::Processes));
        assert_eq!(Groups::read("7:pids:/\n", root).broken(), None);

        write(root, "docker/b/pids.events", "max 1\n");
        assert_eq!(Groups::read("0::/docker/b\n", root).broken(), Some(Limit::Processes));
        assert_eq!(Groups::read("nonsense", root).broken(), None);
    }
}
