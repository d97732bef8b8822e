//! How people write an image: `ubuntu`, `pytorch/pytorch:latest`, `ghcr.io/me/train:v1`, `localhost:5000/a@sha256:…`.

use std::fmt;
use std::str::FromStr;

use super::is_digest;

const REFERENCE_BYTES_MAX: usize = 512;
/// Where an image comes from that names no registry, and the host that serves it.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// An image of a registry, by tag or digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Host, and port where there is one.
    pub registry: String,
    pub name: String,
    /// A tag, or `sha256:…`.
    pub version: String,
}

/// What is wrong with a reference.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{text}` is no image: write name, name:tag or registry/name:tag, such as pytorch/pytorch:latest"
)]
pub struct ReferenceError {
    text: String,
}

impl Reference {
    /// Who is asked for it.
    #[must_use]
    pub fn host(&self) -> &str {
        if self.registry == DOCKER_HUB { DOCKER_HUB_HOST } else { &self.registry }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ReferenceError { text: text.chars().take(100).collect() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, name, version } = self;
        let separator = if is_digest(version) { '@' } else { ':' };
        write!(f, "{registry}/{name}{separator}{version}")
    }
}

fn parse(text: &str) -> Option<Reference> {
    if text.len() > REFERENCE_BYTES_MAX {
        return None;
    }
    let (named, digest) = match text.split_once('@') {
        Some((_, digest)) if !is_digest(digest) => return None,
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    let (registry, path) = match named.split_once('/') {
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => (first, rest),
        _ => (DOCKER_HUB, named),
    };
    let registry = match registry {
        "index.docker.io" | DOCKER_HUB_HOST => DOCKER_HUB,
        other => other,
    };
    // A port has gone with the registry, so what a colon separates now is a tag.
    let (name, tag) = path.split_once(':').unwrap_or((path, "latest"));
    let name = match name.contains('/') {
        false if registry == DOCKER_HUB => format!("library/{name}"),
        _ => name.to_owned(),
    };
    let fits = is_host(registry) && name.split('/').all(is_name) && is_tag(tag);
    let version = digest.unwrap_or(tag).to_owned();
    fits.then(|| Reference { registry: registry.to_owned(), name, version })
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(plain)
    };
    host.split('.').all(label) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_name(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| is_plain(byte) || b"._-".contains(&byte);
    let ends = [part.bytes().next(), part.bytes().next_back()];
    part.bytes().all(inner) && ends.iter().all(|end| end.is_some_and(is_plain))
}

fn is_tag(tag: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=128).contains(&tag.len()) && tag.bytes().all(inner) && !tag.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_container_tools_read_them() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for (text, expected) in [
            ("ubuntu", "docker.io/library/ubuntu:latest"),
            ("ubuntu:24.04", "docker.io/library/ubuntu:24.04"),
            ("pytorch/pytorch:latest", "docker.io/pytorch/pytorch:latest"),
            ("index.docker.io/pytorch/pytorch", "docker.io/pytorch/pytorch:latest"),
            ("ghcr.io/me/deep/train:v1", "ghcr.io/me/deep/train:v1"),
            ("localhost/a", "localhost/a:latest"),
            ("127.0.0.1:5000/digits:1", "127.0.0.1:5000/digits:1"),
            (&format!("ghcr.io/me/train@{digest}"), &format!("ghcr.io/me/train@{digest}")),
            (&format!("ghcr.io/me/train:v1@{digest}"), &format!("ghcr.io/me/train@{digest}")),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), expected);
        }
        let hub: Reference = "ubuntu".parse().unwrap();
        assert_eq!(hub.host(), "registry-1.docker.io");
    }

    #[test]
    fn nothing_in_a_reference_leads_elsewhere() {
        for text in [
            "",
            "/",
            ":",
            "a/",
            "/a",
            "a//b",
            "../a",
            "a/../b",
            "A",
            "a b",
            "a:b:c",
            "a:",
            "a:-x",
            "a:../x",
            "a?x",
            "a#x",
            "a%2fb",
            "user@ghcr.io/a",
            "ghcr.io@evil.example/a",
            "ghcr.io:0/a",
            "ghcr.io:99999/a",
            "ghcr.io:x/a",
            "[::1]:5000/a",
            "https://ghcr.io/a",
            "a@sha256:00",
            &"a".repeat(600),
            &format!("a:{}", "t".repeat(129)),
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
