//! The real contract on a real chain: anvil, which mines a block for each transaction, at the second that it is told.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use alloy::network::EthereumWallet;
use alloy::primitives::{Bytes, TxKind, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use anyhow::{Context, Result, ensure};
use gristmill_e2e::chain::CHAIN_ID;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::free_port;
use gristmill_e2e::process::{Lifetime, Process};
use gristmill_e2e::wait_for;
use gristmill_protocol::Address;
use gristmill_protocol::contracts::JobMarket;
use gristmill_protocol::signing::Domain;
use serde_json::{Value, json};

use crate::cast::Cast;
use crate::view::{BANK, BANK_CODE, READER, READER_CODE};

alloy::sol!(
    #[sol(rpc)]
    TestToken,
    "../contracts/abi/TestToken.json"
);

/// When every history begins: long after the last block of the deployment.
pub(crate) const START: u64 = 1_800_000_000;
/// More than any call needs.
const GAS_LIMIT: u64 = 10_000_000;
/// Takes no coin: reverts.
const REFUSING_CODE: &str = "0x60006000fd";

pub(crate) struct Anvil {
    _process: Process,
    provider: DynProvider,
    pub(crate) cast: Cast,
    /// The state in which every history begins.
    snapshot: Value,
}

impl Anvil {
    /// Starts a chain with the contract, its tokens, and everybody's money. Nobody pays for gas on it, so that what
    /// somebody has changes by the contract alone.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let program = gristmill_e2e::root().join("contracts/node_modules/.bin/anvil");
        ensure!(program.exists(), "anvil is not installed: run scripts/setup.sh");
        let (port, chain_id) = (free_port()?.to_string(), CHAIN_ID.to_string());
        let arguments = [
            "--host",
            "127.0.0.1",
            "--port",
            &port,
            "--chain-id",
            &chain_id,
            "--hardfork",
            "london",
            "--gas-limit",
            "20500000",
            "--gas-price",
            "0",
            "--block-base-fee-per-gas",
            "0",
            "--disable-min-priority-fee",
            "--auto-impersonate",
            "--order",
            "fifo",
            "--mnemonic",
            gristmill_e2e::keys::MNEMONIC,
            "--quiet",
        ]
        .map(OsStr::new);
        let log = folder.join("anvil.log");
        let mut process =
            Process::start("anvil", &program, &arguments, &[], &log, Lifetime::Attached)?;
        let wallet = EthereumWallet::from(Party::Deployer.key());
        let provider = ProviderBuilder::new()
            .wallet(wallet)
            .connect_http(format!("http://127.0.0.1:{port}").parse()?)
            .erased();
        wait_for("the chain to answer", Duration::from_secs(30), async || {
            if let Err(error) = process.check_running() {
                return Some(Err(error));
            }
            provider.get_chain_id().await.ok().map(Ok)
        })
        .await??;

        let contract = *JobMarket::deploy(&provider).await.context("deploy JobMarket")?.address();
        let big = *TestToken::deploy(&provider).await?.address();
        let small = *TestToken::deploy(&provider).await?.address();
        let domain = Domain { chain_id: CHAIN_ID, contract };
        let cast = Cast::new(domain, [Address::ZERO, big, small]);
        let mut anvil = Self { _process: process, provider, cast, snapshot: Value::Null };
        for owner in anvil.cast.purses() {
            let [coin, big, small] = anvil.cast.tokens;
            anvil
                .ask("anvil_setBalance", json!([owner, U256::from(anvil.cast.purse(coin))]))
                .await?;
            for token in [big, small] {
                let amount = U256::from(anvil.cast.purse(token));
                let call = TestToken::mintCall { to: owner, amount };
                anvil.send(owner, token, 0, alloy::sol_types::SolCall::abi_encode(&call)).await?;
            }
        }
        anvil.snapshot = anvil.ask("evm_snapshot", json!([])).await?;
        Ok(anvil)
    }

    async fn ask(&self, method: &'static str, params: Value) -> Result<Value> {
        self.provider.raw_request(method.into(), params).await.context(method)
    }

    /// Takes back whatever was done since the beginning.
    pub(crate) async fn reset(&mut self) -> Result<()> {
        let reverted = self.ask("evm_revert", json!([self.snapshot])).await?;
        ensure!(reverted == json!(true), "the chain does not go back");
        self.snapshot = self.ask("evm_snapshot", json!([])).await?;
        Ok(())
    }

    /// The next block is of this time.
    pub(crate) async fn set_time(&self, at: u64) -> Result<()> {
        self.ask("evm_setNextBlockTimestamp", json!([at])).await.map(drop)
    }

    fn request(from: Address, to: Address, value: u128, data: Vec<u8>) -> TransactionRequest {
        TransactionRequest {
            from: Some(from),
            to: Some(TxKind::Call(to)),
            value: Some(U256::from(value)),
            gas: Some(GAS_LIMIT),
            gas_price: Some(0),
            input: Bytes::from(data).into(),
            ..TransactionRequest::default()
        }
    }

    /// Sends a transaction and mines its block.
    pub(crate) async fn send(
        &self,
        from: Address,
        to: Address,
        value: u128,
        data: Vec<u8>,
    ) -> Result<TransactionReceipt> {
        let request = Self::request(from, to, value, data);
        let answer = self.provider.raw_request("eth_sendTransactionSync".into(), [request]).await;
        answer.context("send a transaction")
    }

    /// What a call would come to in a block of the time `at`: its answer, or the data with which it reverts.
    pub(crate) async fn attempt(
        &self,
        from: Address,
        to: Address,
        value: u128,
        data: Vec<u8>,
        at: u64,
    ) -> Result<Result<Bytes, Bytes>> {
        let request = Self::request(from, to, value, data);
        let block = json!({ "time": U256::from(at) });
        let params = (request, "latest", json!({}), block);
        match self.provider.raw_request("eth_call".into(), params).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => match error.as_error_resp() {
                Some(refusal) => Ok(Err(refusal.as_revert_data().unwrap_or_default())),
                None => Err(error).context("try a call"),
            },
        }
    }

    /// Asks the reader many questions at once.
    pub(crate) async fn read(&self, questions: Bytes) -> Result<Bytes> {
        let request = TransactionRequest {
            to: Some(TxKind::Call(READER)),
            input: questions.into(),
            ..TransactionRequest::default()
        };
        let code = json!({
            READER.to_string(): { "code": READER_CODE },
            BANK.to_string(): { "code": BANK_CODE },
        });
        let params = (request, "latest", code);
        self.provider.raw_request("eth_call".into(), params).await.context("read the state")
    }

    pub(crate) async fn set_refusing(&self, owner: Address, refuses: bool) -> Result<()> {
        let code = if refuses { REFUSING_CODE } else { "0x" };
        self.ask("anvil_setCode", json!([owner, code])).await.map(drop)
    }
}
