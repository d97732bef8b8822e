//! Known ways out of a container, by the component that has them and the versions that closed them. Each is a published
//! CVE; the versions are those of its advisory.

/// A way out that was closed.
#[derive(Debug)]
pub(super) struct Escape {
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    /// As the engine, or the toolkit, names the component.
    component: &'static str,
    /// The first version of each maintained line that closed it, oldest line first. Anything from the last on is closed.
    closed_in: &'static [Version],
}

/// Major, minor, patch. The candidates of a release have the patch before it, which is −1 before the first.
pub(super) type Version = (u32, u32, i64);

const ESCAPES: &[Escape] = &[
    Escape {
        id: "CVE-2024-21626",
        what: "a file descriptor that leaks into the container leads to the host's files",
        component: "runc",
        closed_in: &[(1, 1, 12)],
    },
    Escape {
        id: "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
        what: "mounts that are raced redirect writes to the host's /proc",
        component: "runc",
        closed_in: &[(1, 2, 8), (1, 3, 3), (1, 4, 0)],
    },
    Escape {
        id: "CVE-2024-0132",
        what: "an image can mount the host's file system through the GPU hook",
        component: "nvidia-container-toolkit",
        closed_in: &[(1, 16, 2)],
    },
    Escape {
        id: "CVE-2025-23359",
        what: "the same again: the first correction was not complete",
        component: "nvidia-container-toolkit",
        closed_in: &[(1, 17, 4)],
    },
    Escape {
        id: "CVE-2025-23266",
        what: "an image's LD_PRELOAD runs in the GPU hook, as root on the host",
        component: "nvidia-container-toolkit",
        closed_in: &[(1, 17, 8)],
    },
];

/// The known ways out of `component` in `version`.
pub(super) fn of(component: &str, version: Version) -> Vec<&'static Escape> {
    ESCAPES
        .iter()
        .filter(|escape| escape.component == component && !escape.is_closed(version))
        .collect()
}

impl Escape {
    fn is_closed(&self, version: Version) -> bool {
        let line = |(major, minor, _): Version| (major, minor);
        let closed = |first: &&Version| {
            let is_last = self.closed_in.last() == Some(first);
            version >= **first && (is_last || line(version) == line(**first))
        };
        self.closed_in.iter().any(|first| closed(&first))
    }

    /// What to install.
    pub(super) fn closed_in(&self) -> String {
        let versions: Vec<String> = self
            .closed_in
            .iter()
            .map(|(major, minor, patch)| format!("{major}.{minor}.{patch}"))
            .collect();
        versions.join(" or ")
    }
}

/// The version in what a program says of itself, such as `1.1.5+ds1` or `v1.17.8-1`.
pub(super) fn version(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches('v');
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut numbers = text[..end].split('.').map(str::parse::<u32>);
    let major = numbers.next()?.ok()?;
    let minor = numbers.next()?.ok()?;
    let patch = i64::from(numbers.next().and_then(Result::ok).unwrap_or(0));
    let is_candidate = text[end..].starts_with("-rc") || text[end..].starts_with("~rc");
    Some((major, minor, if is_candidate { patch - 1 } else { patch }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_write_them() {
        for (text, expected) in [
            ("1.1.5+ds1", Some((1, 1, 5))),
            ("v1.17.8-1", Some((1, 17, 8))),
            ("1.4", Some((1, 4, 0))),
            ("1.4.0-rc.2", Some((1, 4, -1))),
            ("1.3.3-rc1", Some((1, 3, 2))),
            ("20.10.24+dfsg1", Some((20, 10, 24))),
            ("", None),
            ("unknown", None),
            ("1", None),
            ("99999999999999.1", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    #[test]
    fn each_line_of_a_component_is_compared_with_its_own_correction() {
        let ids = |component, text| -> Vec<&str> {
            of(component, version(text).unwrap())
                .iter()
                .map(|escape| &escape.id[..escape.id.len().min(14)])
                .collect()
        };
        assert_eq!(ids("runc", "1.1.5"), ["CVE-2024-21626", "CVE-2025-31133"]);
        assert_eq!(ids("runc", "1.1.12"), ["CVE-2025-31133"]);
        assert_eq!(ids("runc", "1.2.7"), ["CVE-2025-31133"]);
        assert_eq!(ids("runc", "1.2.8"), [""; 0]);
        assert_eq!(ids("runc", "1.3.2"), ["CVE-2025-31133"], "a newer line, not corrected");
        assert_eq!(ids("runc", "1.3.3"), [""; 0]);
        assert_eq!(ids("runc", "1.4.0-rc.2"), ["CVE-2025-31133"], "a candidate is not the release");
        assert_eq!(ids("runc", "1.4.0"), [""; 0]);
        assert_eq!(ids("runc", "2.0.0"), [""; 0]);
        let toolkit = "nvidia-container-toolkit";
        assert_eq!(ids(toolkit, "1.16.1"), ["CVE-2024-0132", "CVE-2025-23359", "CVE-2025-23266"]);
        assert_eq!(ids(toolkit, "1.17.7"), ["CVE-2025-23266"]);
        assert_eq!(ids(toolkit, "1.17.8"), [""; 0]);
        assert_eq!(ids("crun", "0.1.0"), [""; 0], "what is not known is not claimed");
    }
}
