//! A real chain on this machine: anvil as U2U's own fakenet, with the contract deployed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::network::EthereumWallet;
use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::Filter;
use alloy::sol_types::{SolEvent, SolEventInterface};
use anyhow::{Context, Result, ensure};
use gristmill_protocol::contracts::JobMarket;
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::signing::Domain;

use crate::keys::Party;
use crate::process::{Lifetime, Process};
use crate::wait_for;

/// U2U's fakenet. No market ever runs under the ids of its public chains, 39 and 2484, so that no signature made on
/// this machine is valid there.
pub const CHAIN_ID: u64 = 4439;

pub struct Chain {
    pub process: Process,
    pub rpc_url: String,
    pub deployment: Deployment,
    pub deployment_path: PathBuf,
}

impl Chain {
    /// Starts anvil with a block a second, and deploys the contract.
    ///
    /// # Errors
    /// Where anvil does not start or the deployment fails.
    pub async fn start(folder: &Path, port: u16, lifetime: Lifetime) -> Result<Self> {
        let (process, rpc_url) = anvil(folder, port, CHAIN_ID, "london", lifetime).await?;
        let deployment = deploy(&rpc_url).await?;
        let deployment_path = folder.join("deployment.json");
        std::fs::write(&deployment_path, serde_json::to_string_pretty(&deployment)? + "\n")?;
        Ok(Self { process, rpc_url, deployment, deployment_path })
    }

    /// A provider that signs as `party`.
    ///
    /// # Panics
    /// Never: the URL was used before.
    #[must_use]
    pub fn provider(&self, party: Party) -> DynProvider {
        let url = self.rpc_url.parse().expect("the URL was used before");
        ProviderBuilder::new().wallet(EthereumWallet::from(party.key())).connect_http(url).erased()
    }

    /// The contract, called as `party`.
    #[must_use]
    pub fn contract(&self, party: Party) -> JobMarket::JobMarketInstance<DynProvider> {
        JobMarket::new(self.deployment.contract, self.provider(party))
    }

    #[must_use]
    pub fn domain(&self) -> Domain {
        self.deployment.domain()
    }

    /// # Errors
    /// Where the chain does not answer.
    pub async fn balance(&self, address: Address) -> Result<U256> {
        Ok(self.provider(Party::Stranger).get_balance(address).await?)
    }

    /// The time of the newest block, in unix seconds.
    ///
    /// # Errors
    /// Where the chain does not answer.
    pub async fn now(&self) -> Result<u64> {
        let provider = self.provider(Party::Stranger);
        let block = provider.get_block(alloy::eips::BlockId::latest()).await?;
        Ok(block.context("the chain has no block")?.header.timestamp)
    }

    /// What each of a job's events cost whoever sent its transaction, by the event's name.
    ///
    /// # Errors
    /// Where the chain does not answer.
    pub async fn gas_of(&self, job: JobId) -> Result<BTreeMap<&'static str, u64>> {
        let provider = self.provider(Party::Stranger);
        let filter = Filter::new()
            .address(self.deployment.contract)
            .from_block(self.deployment.block)
            .topic1(job.0);
        let mut gas = BTreeMap::new();
        for log in provider.get_logs(&filter).await? {
            let event = JobMarket::JobMarketEvents::decode_log(&log.inner)?;
            let name = if matches!(event.data, JobMarket::JobMarketEvents::Opened(_)) {
                "Opened"
            } else if matches!(event.data, JobMarket::JobMarketEvents::Assigned(_)) {
                "Assigned"
            } else if matches!(event.data, JobMarket::JobMarketEvents::Settled(_)) {
                "Settled"
            } else {
                continue;
            };
            let hash = log.transaction_hash.context("a log belongs to a transaction")?;
            let receipt =
                provider.get_transaction_receipt(hash).await?.context("it has a receipt")?;
            gas.insert(name, receipt.gas_used);
        }
        Ok(gas)
    }

    /// The names of a job's events, in order.
    ///
    /// # Errors
    /// Where the chain does not answer.
    pub async fn events_of(&self, job: JobId) -> Result<Vec<&'static str>> {
        let filter = Filter::new()
            .address(self.deployment.contract)
            .from_block(self.deployment.block)
            .topic1(job.0);
        let logs = self.provider(Party::Stranger).get_logs(&filter).await?;
        let name = |log: &alloy::rpc::types::Log| {
            let topic = log.topic0()?.0;
            JobMarket::JobMarketEvents::name_by_selector(topic)
        };
        logs.iter().map(|log| name(log).context("an event of another contract")).collect()
    }

    /// Every payment for a job: to whom, how much, and the scheduler's fee.
    ///
    /// # Errors
    /// Where the chain does not answer.
    pub async fn payments_of(&self, job: JobId) -> Result<Vec<(Address, U256, U256)>> {
        let filter = Filter::new()
            .address(self.deployment.contract)
            .from_block(self.deployment.block)
            .event_signature(JobMarket::Paid::SIGNATURE_HASH)
            .topic1(job.0);
        let logs = self.provider(Party::Stranger).get_logs(&filter).await?;
        let payment = |log: &alloy::rpc::types::Log| {
            let paid = JobMarket::Paid::decode_log(&log.inner)?;
            Ok((paid.provider, paid.amount, paid.fee))
        };
        logs.iter().map(payment).collect()
    }

    /// Makes a block every so many seconds; 0 makes none, so that what waits for a block stays where it is.
    ///
    /// # Errors
    /// Where the chain does not answer.
    pub async fn mine_every(&self, seconds: u64) -> Result<()> {
        let provider = self.provider(Party::Stranger);
        let _: serde_json::Value =
            provider.raw_request("evm_setIntervalMining".into(), [seconds]).await?;
        Ok(())
    }

    /// Moves the chain's clock forward, and mines a block then.
    ///
    /// # Errors
    /// Where the chain does not answer.
    pub async fn advance(&self, seconds: u64) -> Result<()> {
        let provider = self.provider(Party::Stranger);
        let _: serde_json::Value =
            provider.raw_request("evm_increaseTime".into(), [U256::from(seconds)]).await?;
        let _: serde_json::Value = provider.raw_request("evm_mine".into(), ()).await?;
        Ok(())
    }
}

/// Starts anvil with a block a second and anvil's own mnemonic, and waits until it answers at the URL that it returns.
///
/// # Errors
/// Where it does not start.
pub async fn anvil(
    folder: &Path,
    port: u16,
    chain_id: u64,
    hardfork: &str,
    lifetime: Lifetime,
) -> Result<(Process, String)> {
    std::fs::create_dir_all(folder)?;
    let anvil = crate::root().join("contracts/node_modules/.bin/anvil");
    ensure!(anvil.exists(), "anvil is not installed: run scripts/setup.sh");
    let (port_text, chain_id) = (port.to_string(), chain_id.to_string());
    let arguments = [
        "--host",
        "127.0.0.1",
        "--port",
        &port_text,
        "--chain-id",
        &chain_id,
        "--hardfork",
        hardfork,
        "--gas-limit",
        "20500000",
        "--block-time",
        "1",
        "--mnemonic",
        crate::keys::MNEMONIC,
        "--quiet",
    ]
    .map(OsStr::new);
    let log = folder.join("logs/chain.log");
    let mut process = Process::start("anvil", &anvil, &arguments, &[], &log, lifetime)?;
    let rpc_url = format!("http://127.0.0.1:{port}");
    let provider = ProviderBuilder::new().connect_http(rpc_url.parse()?);
    wait_for("the chain to answer", Duration::from_secs(30), async || {
        if let Err(error) = process.check_running() {
            return Some(Err(error));
        }
        provider.get_chain_id().await.ok().map(Ok)
    })
    .await??;
    Ok((process, rpc_url))
}

/// The contract's own reason for refusing a call.
///
/// # Panics
/// Where it did not refuse, or gave no reason of its own.
pub fn refusal<T>(
    what: &str,
    answer: Result<T, alloy::contract::Error>,
) -> JobMarket::JobMarketErrors {
    let Err(error) = answer else { panic!("{what}: the contract did not refuse") };
    let reason = error.as_decoded_interface_error::<JobMarket::JobMarketErrors>();
    reason.unwrap_or_else(|| panic!("{what}: {error}"))
}

async fn deploy(rpc_url: &str) -> Result<Deployment> {
    let wallet = EthereumWallet::from(Party::Deployer.key());
    let provider = ProviderBuilder::new().wallet(wallet).connect_http(rpc_url.parse()?);
    let receipt = JobMarket::deploy_builder(&provider)
        .send()
        .await
        .context("deploy JobMarket")?
        .get_receipt()
        .await?;
    let contract = receipt.contract_address.context("the deployment made no contract")?;
    let block = receipt.block_number.context("the deployment is in no block")?;
    Ok(Deployment { chain_id: CHAIN_ID, contract, block })
}
