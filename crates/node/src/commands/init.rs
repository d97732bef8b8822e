//! `init`: a key, and a configuration with every setting in it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use gristmill_protocol::Address;
use gristmill_protocol::client::Client;
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::spec::RuntimeKind;

use crate::config::{Config, DEFAULT};
use crate::key::{KeyError, NodeKey, password_from_environment};

#[derive(Args)]
pub(super) struct InitArgs {
    /// Where the scheduler answers.
    #[arg(long)]
    scheduler: String,
    /// An RPC endpoint that you trust.
    #[arg(long)]
    rpc: String,
    /// The file that says where the contract is. Where absent, the scheduler's word is written down: check it.
    #[arg(long)]
    deployment: Option<PathBuf>,
}

pub(super) async fn init(path: &Path, args: &InitArgs) -> Result<()> {
    ensure!(
        !path.exists(),
        "there is a configuration at {} already; it is never overwritten",
        path.display()
    );
    let password = password_from_environment().ok_or(KeyError::NoPassword)?;
    let info = Client::new(&args.scheduler)?.info().await.context("ask the scheduler who it is")?;
    let deployment = match &args.deployment {
        Some(file) => Deployment::read(file)?,
        None => Deployment { chain_id: info.chain_id, contract: info.contract, block: 0 },
    };
    if deployment.chain_id != info.chain_id || deployment.contract != info.contract {
        bail!(
            "the scheduler uses contract {} of chain {}, the deployment file says {} of chain {}",
            info.contract,
            info.chain_id,
            deployment.contract,
            deployment.chain_id
        );
    }
    let text =
        filled(&args.scheduler, &args.rpc, &deployment, info.scheduler, None, &[RuntimeKind::Wasm]);
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    let config = Config::read(path)?;
    let key = NodeKey::create(&config.key.keystore, &password)?;
    println!("Wrote {} and the key of node {}.", path.display(), key.id());
    println!(
        "Check in it: chain.contract, trust.schedulers, and what you offer. Then, with your wallet:"
    );
    println!("  1. send a little of the chain's coin to {} for gas", key.id());
    println!(
        "  2. gristmill-node --config {} enroll-message --provider 0xYourWallet > enroll.json",
        path.display()
    );
    println!(
        "  3. gristmill node enroll --message enroll.json --approve-scheduler {}",
        info.scheduler
    );
    println!("  4. gristmill-node --config {} run", path.display());
    Ok(())
}

/// The documented defaults with the required settings filled in.
pub(super) fn filled(
    scheduler: &str,
    rpc: &str,
    deployment: &Deployment,
    trusted: Address,
    arbiter: Option<Address>,
    runtimes: &[RuntimeKind],
) -> String {
    let quote = |text: &str| toml::Value::from(text).to_string();
    let runtimes: Vec<&str> = runtimes.iter().map(|runtime| runtime.as_str()).collect();
    [
        ("url = \"\"", format!("url = {}", quote(scheduler))),
        ("rpc_url = \"\"", format!("rpc_url = {}", quote(rpc))),
        ("chain_id = 0", format!("chain_id = {}", deployment.chain_id)),
        ("contract = \"\"", format!("contract = \"{}\"", deployment.contract)),
        ("schedulers = []", format!("schedulers = [\"{trusted}\"]")),
        (
            "arbiters = []",
            arbiter.map_or("arbiters = []".into(), |arbiter| format!("arbiters = [\"{arbiter}\"]")),
        ),
        ("runtimes = [\"wasm\"]", format!("runtimes = {runtimes:?}")),
    ]
    .iter()
    .fold(DEFAULT.to_owned(), |text, (blank, value)| {
        // Whole lines only: `url` is the end of `rpc_url` too.
        text.lines()
            .map(|line| if line == *blank { value.as_str() } else { line })
            .collect::<Vec<_>>()
            .join("\n")
            + "\n"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filled_configuration_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        let contract = Address::repeat_byte(7);
        let deployment = Deployment { chain_id: 4439, contract, block: 1 };
        let trusted = Address::repeat_byte(8);
        std::fs::write(
            &path,
            filled(
                "http://127.0.0.1:1",
                "http://127.0.0.1:2",
                &deployment,
                trusted,
                Some(contract),
                &[RuntimeKind::Wasm, RuntimeKind::Docker],
            ),
        )
        .unwrap();
        let config = Config::read(&path).unwrap();
        assert_eq!(config.scheduler.url, "http://127.0.0.1:1");
        assert_eq!(config.chain.rpc_url, "http://127.0.0.1:2");
        assert_eq!(config.domain(), deployment.domain());
        assert_eq!(config.trust.schedulers, [trusted]);
        assert_eq!(config.trust.arbiters, [contract]);
        assert_eq!(config.offer.runtimes, [RuntimeKind::Wasm, RuntimeKind::Docker]);
    }
}
