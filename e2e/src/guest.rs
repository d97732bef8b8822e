//! Programs that run as jobs: built from the repository, as WASM module and as image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::engine::Engine;

pub struct Guest {
    pub wasm: PathBuf,
    /// `registry/name@sha256:…`, where an engine was given.
    pub image: Option<String>,
}

impl Guest {
    /// The digits example: trains a classifier on real data.
    ///
    /// # Errors
    /// Where it does not build.
    pub fn digits(engine: Option<&Engine>) -> Result<Self> {
        build(&crate::root().join("examples/digits"), "examples/digits", engine)
    }

    /// A program that does whatever its first argument says, most of it hostile.
    ///
    /// # Errors
    /// Where it does not build.
    pub fn hostile(engine: Option<&Engine>) -> Result<Self> {
        build(&crate::root().join("e2e/guests"), "e2e/hostile", engine)
    }
}

/// Runs the guest's `build.sh`, which prints `name=value` lines.
fn build(folder: &Path, repository: &str, engine: Option<&Engine>) -> Result<Guest> {
    let mut command = Command::new("sh");
    command.arg(folder.join("build.sh"));
    // Beside the binaries of the workspace, so that a second run finds it built.
    let target = std::env::current_exe()?
        .ancestors()
        .find(|path| path.file_name().is_some_and(|name| name == "debug"))
        .and_then(Path::parent)
        .map(Path::to_owned)
        .context("find the build folder")?;
    command.env("CARGO_TARGET_DIR", target);
    if let Some(engine) = engine {
        command.arg(format!("{}/{repository}", engine.registry_address));
        command.env("DOCKER_HOST", engine.docker_host());
    }
    let output = command.output().context("run build.sh")?;
    if !output.status.success() {
        bail!("{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let values: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once('=')).collect();
    let wasm = values.get("wasm").context("build.sh printed no wasm=…")?;
    Ok(Guest {
        wasm: PathBuf::from(wasm),
        image: values.get("image").map(|image| (*image).to_owned()),
    })
}
