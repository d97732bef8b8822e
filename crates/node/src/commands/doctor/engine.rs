//! The container engine and what stands below it, compared with the known ways out of a container.

use std::process::Stdio;

use super::{Findings, escapes};
use crate::config::Config;
use crate::key::NodeKey;
use crate::runtime::docker::{Docker, EngineVersion};

/// The GPU toolkit, as its own packages name it.
const TOOLKIT: &str = "nvidia-container-toolkit";
/// The program of it that tells its version.
const TOOLKIT_PROGRAM: &str = "nvidia-ctk";

pub(super) async fn examine(findings: &mut Findings, config: &Config, key: &NodeKey) {
    let asked = match Docker::connect(&config.docker, key.id()) {
        Ok(docker) => docker.version().await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(engine) => judge(findings, &engine),
        Err(error) => findings.fail(
            "engine",
            error,
            "start the engine, or correct docker.socket, or take \"docker\" out of offer.runtimes",
        ),
    }
    if let Some(version) = toolkit().await {
        judge_component(findings, "gpu toolkit", TOOLKIT, &version);
    }
}

fn judge(findings: &mut Findings, engine: &EngineVersion) {
    findings.ok("engine", format!("version {}, API {}", engine.version, engine.api));
    for (component, version) in &engine.components {
        if component == "runc" {
            judge_component(findings, "runc", component, version);
        }
    }
}

/// One line for a component: fine, or each known way out of its version. A distribution may have corrected an older
/// version without a new number, which cannot be seen from here: hence a warning and no failure.
fn judge_component(findings: &mut Findings, check: &'static str, component: &str, text: &str) {
    let Some(version) = escapes::version(text) else {
        return findings.warn(
            check,
            format!("version `{text}` cannot be read"),
            "make sure that it is a current one",
        );
    };
    let known = escapes::of(component, version);
    if known.is_empty() {
        return findings.ok(check, format!("version {text}, no known way out of a container"));
    }
    for escape in known {
        findings.warn(
            check,
            format!("version {text} has {}: {}", escape.id, escape.what),
            format!(
                "install {component} {}, unless your distribution has corrected this version",
                escape.closed_in()
            ),
        );
    }
}

/// What the GPU toolkit says of itself, where there is one.
async fn toolkit() -> Option<String> {
    let output = tokio::process::Command::new(TOOLKIT_PROGRAM)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .await
        .ok()?;
    toolkit_version(&String::from_utf8_lossy(&output.stdout))
}

/// From a line such as `NVIDIA Container Toolkit CLI version 1.17.8`.
fn toolkit_version(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.contains("version"))?;
    line.split_whitespace().last().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn judged(version: &str) -> Findings {
        let mut findings = Findings::default();
        let components = [("Engine", "20.10.24"), ("containerd", "1.6.20"), ("runc", version)];
        let engine = EngineVersion {
            version: "20.10.24".into(),
            api: "1.41".into(),
            components: components
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .into(),
        };
        judge(&mut findings, &engine);
        findings
    }

    #[test]
    fn a_runc_with_a_known_way_out_is_told_with_what_to_install() {
        let old = judged("1.1.5");
        let warned: Vec<_> =
            old.0.iter().filter(|finding| finding.verdict == Verdict::Warn).collect();
        assert_eq!(warned.len(), 2, "{warned:?}");
        assert!(warned[0].found.contains("CVE-2024-21626"));
        assert!(warned[0].fix.as_ref().unwrap().contains("runc 1.1.12"));
        assert!(warned[1].fix.as_ref().unwrap().contains("1.2.8 or 1.3.3"));

        let new = judged("1.3.3");
        assert!(new.0.iter().all(|finding| finding.verdict == Verdict::Ok), "{:?}", new.0);
        assert!(judged("unknown").0.iter().any(|finding| finding.verdict == Verdict::Warn));
    }

    #[test]
    fn the_toolkit_is_read_from_what_it_prints() {
        let said = "NVIDIA Container Toolkit CLI version 1.17.8\ncommit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d\n";
        assert_eq!(toolkit_version(said).unwrap(), "1.17.8");
        assert!(toolkit_version("").is_none());
    }
}
