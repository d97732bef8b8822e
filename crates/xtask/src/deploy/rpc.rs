//! One RPC endpoint. Its address may hold a secret, so only its host is ever shown.

use std::fmt;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes};
use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use alloy::rpc::types::TransactionReceipt;
use alloy::transports::TransportError;
use anyhow::{Context, Result, anyhow, bail, ensure};
use gristmill_protocol::contracts::JobMarket;
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::signing::Domain;

use super::build::Build;

const TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(500);

pub(crate) struct Rpc {
    pub(crate) provider: RootProvider,
    host: String,
}

/// A contract that was found on the chain.
pub(crate) struct Found {
    pub(crate) deployment: Deployment,
    pub(crate) transaction: B256,
    /// What the transaction carried.
    pub(crate) init_code: Bytes,
    pub(crate) deployer: Address,
    pub(crate) gas_used: u64,
}

impl fmt::Display for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

impl Rpc {
    /// Connects, and makes sure that it is the chain that was asked for.
    pub(crate) async fn connect(url: &str, chain_id: u64) -> Result<Self> {
        // The text is not shown: it may hold a key.
        let url: reqwest::Url =
            url.parse().ok().context("this --rpc-url is not one: write https://host/path")?;
        ensure!(
            matches!(url.scheme(), "http" | "https"),
            "--rpc-url must start with http:// or https://"
        );
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let provider =
            ProviderBuilder::new().disable_recommended_fillers().connect_reqwest(http, url);
        let rpc = Self { provider, host };
        let found = rpc.provider.get_chain_id().await;
        let found = found.map_err(|error| rpc.failed("ask for the chain id", &error))?;
        ensure!(
            found == chain_id,
            "{rpc} is on chain {found}, and you asked for chain {chain_id}: correct --rpc-url or --chain"
        );
        Ok(rpc)
    }

    /// Why a request failed, without the address.
    pub(crate) fn failed(&self, doing: &str, error: &TransportError) -> anyhow::Error {
        if let Some(answer) = error.as_error_resp() {
            return anyhow!("cannot {doing}: {} answers: {}", self.host, answer.message);
        }
        let mut root: &dyn std::error::Error = error;
        while let Some(source) = root.source() {
            root = source;
        }
        anyhow!("cannot {doing} through {}: {root}", self.host)
    }

    /// Waits until the transaction lies below `confirmations` blocks, its own included.
    pub(crate) async fn wait(
        &self,
        transaction: B256,
        confirmations: u64,
        limit: Duration,
    ) -> Result<TransactionReceipt> {
        let deadline = tokio::time::Instant::now() + limit;
        let mut last = "it is in no block yet".to_owned();
        loop {
            match self.confirmed(transaction, confirmations).await {
                Ok(Some(receipt)) => return Ok(receipt),
                Ok(None) => {}
                Err(error) => last = error.to_string(),
            }
            if tokio::time::Instant::now() >= deadline {
                bail!(
                    "transaction {transaction} is not confirmed after {} s: {last}",
                    limit.as_secs()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn confirmed(
        &self,
        transaction: B256,
        confirmations: u64,
    ) -> Result<Option<TransactionReceipt>> {
        let receipt = self.provider.get_transaction_receipt(transaction).await;
        let receipt = receipt.map_err(|error| self.failed("ask for the receipt", &error))?;
        let Some(receipt) = receipt else { return Ok(None) };
        let head = self.provider.get_block_number().await;
        let head = head.map_err(|error| self.failed("ask for the newest block", &error))?;
        let block = receipt.block_number.context("the receipt names no block")?;
        Ok((head.saturating_add(1) >= block.saturating_add(confirmations)).then_some(receipt))
    }

    /// What a mined transaction deployed.
    pub(crate) async fn found(&self, chain_id: u64, receipt: &TransactionReceipt) -> Result<Found> {
        let transaction = receipt.transaction_hash;
        ensure!(
            receipt.status(),
            "transaction {transaction} failed on the chain, and deployed nothing"
        );
        let contract = receipt
            .contract_address
            .with_context(|| format!("transaction {transaction} made no contract"))?;
        let block = receipt.block_number.context("the receipt names no block")?;
        let sent = self.provider.get_transaction_by_hash(transaction).await;
        let sent = sent
            .map_err(|error| self.failed("read the transaction", &error))?
            .with_context(|| format!("{self} does not know transaction {transaction}"))?;
        Ok(Found {
            deployment: Deployment { chain_id, contract, block },
            transaction,
            init_code: alloy::consensus::Transaction::input(&sent).clone(),
            deployer: receipt.from,
            gas_used: receipt.gas_used,
        })
    }

    /// The code at the contract's address, which must be that of `build`, and answer as it should.
    pub(crate) async fn code(&self, domain: &Domain, build: &Build) -> Result<Bytes> {
        let contract = domain.contract;
        let code = self.provider.get_code_at(contract).await;
        let code = code.map_err(|error| self.failed("read the contract's code", &error))?;
        build.check_runtime(&code, domain).with_context(|| {
            format!("the code at {contract} is not what the sources compile to")
        })?;
        let answer = JobMarket::new(contract, &self.provider).domainSeparator().call().await;
        let separator = match answer {
            Ok(separator) => separator,
            Err(alloy::contract::Error::TransportError(error)) => {
                return Err(self.failed("ask for the contract's domain", &error));
            }
            Err(error) => bail!("{contract} does not answer as the contract would: {error}"),
        };
        ensure!(
            separator == domain.eip712().separator(),
            "{contract} answers with the EIP-712 domain of another chain or address"
        );
        Ok(code)
    }
}
