//! Generated files are checked in, and one that is not up to date fails.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Writes every generated file, or with `check` compares them all and names what differs.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let files = [
        ("api/openapi.json", gristmill_scheduler::openapi_json()),
        ("api/vectors.json", crate::vectors::render()?),
        ("docs/cli.md", cli_reference(root)?),
        ("docs/faults.md", crate::faults::render(root)?),
        ("docs/gas.md", crate::gas::render(root)?),
    ];
    let mut stale = Vec::new();
    for (name, wanted) in &files {
        let path = root.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|found| found == *wanted) {
            continue;
        }
        if check {
            stale.push(*name);
        } else {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&path, wanted).with_context(|| format!("write {name}"))?;
            println!("wrote {name}");
        }
    }
    if !abi_is_written(root, check)? {
        stale.push("contracts/abi");
    }
    if !web_is_written(root, check)? {
        stale.push("web/src/generated");
    }
    if !stale.is_empty() {
        bail!("not up to date: {}. Run `cargo xtask generate` and commit.", stale.join(", "));
    }
    Ok(())
}

/// The command line describes itself; the reference is what it prints.
fn cli_reference(root: &Path) -> Result<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--locked",
            "-p",
            "gristmill-cli",
            "--bin",
            "gristmill",
            "--",
            "markdown-help",
        ])
        .current_dir(root)
        .output()
        .context("run `gristmill markdown-help`")?;
    ensure!(
        output.status.success(),
        "`gristmill markdown-help` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The ABI comes from the Solidity compiler, through the contracts' own script.
fn abi_is_written(root: &Path, check: bool) -> Result<bool> {
    npm_script(&root.join("contracts"), if check { "abi:check" } else { "abi" }, check)
}

/// The web's types come from the OpenAPI document and the ABI, which are written by now.
fn web_is_written(root: &Path, check: bool) -> Result<bool> {
    npm_script(&root.join("web"), if check { "generate:check" } else { "generate" }, check)
}

/// Runs a script of a package. To check is to be told no; to write must work.
fn npm_script(package: &Path, script: &str, check: bool) -> Result<bool> {
    let status = Command::new("npm")
        .args(["run", "--silent", script])
        .current_dir(package)
        .status()
        .with_context(|| format!("run npm in {}; is Node.js installed?", package.display()))?;
    ensure!(check || status.success(), "`npm run {script}` failed");
    Ok(status.success())
}
