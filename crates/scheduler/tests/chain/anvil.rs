//! A real chain of our own: anvil, as U2U is (London, fakenet's id), with the contract deployed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use alloy::network::{Ethereum, TransactionBuilder};
use alloy::primitives::{Bytes, U256};
use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use gristmill_protocol::Address;
use gristmill_protocol::contracts::{IJobMarket, JobMarket};
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;
use gristmill_scheduler::drivers::chain_rpc::ChainRpc;
use serde_json::{Value, json};

const CHAIN_ID: u64 = 4439;
/// The first three accounts of anvil's mnemonic: the scheduler's, a submitter's and a provider's.
const KEYS: [&str; 3] = [
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
];

/// One chain; it ends with the test.
pub(crate) struct Anvil {
    child: Child,
    pub(crate) url: String,
    pub(crate) control: RootProvider,
    pub(crate) deployment: Deployment,
    pub(crate) scheduler: PrivateKeySigner,
    pub(crate) submitter: Address,
    pub(crate) provider: Address,
    pub(crate) node: PrivateKeySigner,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It is ours alone, and holds nothing that outlives the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts")
}

impl Anvil {
    /// Starts a chain that mines only when it is told to, with a node enrolled and the scheduler approved.
    pub(crate) async fn start() -> Self {
        let binary = contracts().join("node_modules/.bin/anvil");
        assert!(binary.exists(), "anvil is missing: run `npm ci --ignore-scripts` in contracts/");
        let mut child = Command::new(binary)
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--chain-id",
                "4439",
                "--hardfork",
                "london",
            ])
            .args(["--gas-limit", "20500000", "--no-mining"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("anvil starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil says where it listens");
        // Read on, or anvil would block once the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        let url = format!("http://{address}");
        let control: RootProvider =
            ProviderBuilder::<_, _, Ethereum>::default().connect_http(url.parse().expect("a URL"));
        let [scheduler, submitter, provider] =
            KEYS.map(|key| key.parse::<PrivateKeySigner>().expect("a key"));
        let mut anvil = Self {
            child,
            url,
            control,
            deployment: Deployment { chain_id: CHAIN_ID, contract: Address::ZERO, block: 0 },
            scheduler,
            submitter: submitter.address(),
            provider: provider.address(),
            node: PrivateKeySigner::random(),
        };
        anvil.deploy().await;
        anvil.enroll(&anvil.node).await;
        anvil.approve_scheduler().await;
        anvil
    }

    async fn deploy(&mut self) {
        let json =
            std::fs::read(contracts().join("abi/JobMarket.json")).expect("the ABI is checked in");
        let json: Value = serde_json::from_slice(&json).expect("the ABI is JSON");
        let bytecode = json["bytecode"]
            .as_str()
            .or(json["bytecode"]["object"].as_str())
            .expect("it has bytecode");
        let deployer = self.provider;
        let request = TransactionRequest::default()
            .with_from(deployer)
            .with_deploy_code(bytecode.parse::<Bytes>().expect("bytecode is hexadecimal"));
        let receipt = self.transact(request).await;
        self.deployment.contract = receipt.contract_address.expect("a contract was created");
        self.deployment.block = receipt.block_number.expect("it is mined");
    }

    /// A node becomes the provider's.
    pub(crate) async fn enroll(&self, node: &PrivateKeySigner) {
        let expires = self.timestamp().await + 3600;
        let node_ = node.address();
        let message = Message::Enroll { node: NodeId(node_), provider: self.provider, expires };
        let digest = self.deployment.domain().digest(&message);
        let signature =
            CompactSignature::new(&node.sign_hash_sync(&digest).expect("a key in memory signs"));
        let node_signature = IJobMarket::Signature::from(&signature);
        let expires = alloy::primitives::aliases::U40::from(expires);
        self.call(
            self.provider,
            &JobMarket::enrollCall { node_, expires, nodeSignature: node_signature },
            0,
        )
        .await;
    }

    async fn approve_scheduler(&self) {
        self.call(
            self.provider,
            &JobMarket::approveSchedulerCall {
                scheduler: self.scheduler.address(),
                token: Address::ZERO,
                bondLimit: 0,
            },
            0,
        )
        .await;
    }

    pub(crate) fn node_id(&self) -> NodeId {
        NodeId(self.node.address())
    }

    pub(crate) fn rpc(&self) -> Arc<ChainRpc> {
        Arc::new(
            ChainRpc::new(std::slice::from_ref(&self.url), &self.deployment)
                .expect("the URL is valid"),
        )
    }

    /// Any call of anvil's own.
    pub(crate) async fn ask(&self, method: &'static str, arguments: Value) -> Value {
        self.control
            .raw_request(method.into(), arguments)
            .await
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Lets an account of anvil's call the contract, in a block of its own.
    pub(crate) async fn call(
        &self,
        from: Address,
        call: &impl SolCall,
        value: u128,
    ) -> TransactionReceipt {
        let receipt = self.transact(self.request(from, call, value)).await;
        assert!(receipt.status(), "the call was mined and reverted");
        receipt
    }

    pub(crate) fn request(
        &self,
        from: Address,
        call: &impl SolCall,
        value: u128,
    ) -> TransactionRequest {
        TransactionRequest::default()
            .with_from(from)
            .with_to(self.deployment.contract)
            .with_value(U256::from(value))
            .with_input(call.abi_encode())
    }

    pub(crate) async fn transact(&self, request: TransactionRequest) -> TransactionReceipt {
        let hash = self
            .control
            .send_transaction(request)
            .await
            .expect("anvil takes it")
            .tx_hash()
            .to_owned();
        self.mine(1).await;
        self.control
            .get_transaction_receipt(hash)
            .await
            .expect("anvil answers")
            .expect("it is mined")
    }

    pub(crate) async fn open(&self, terms: &Terms) {
        let t = IJobMarket::Terms::from(terms);
        self.call(self.submitter, &JobMarket::openCall { t }, terms.bounty.0).await;
    }

    /// Puts a call into the pool and leaves it there.
    pub(crate) async fn queue(&self, from: Address, call: &impl SolCall, max_fee_wei: u128) {
        let request = self
            .request(from, call, 0)
            .with_gas_limit(300_000)
            .with_max_fee_per_gas(max_fee_wei)
            .with_max_priority_fee_per_gas(1);
        let _in_the_pool = self.control.send_transaction(request).await.expect("anvil takes it");
    }

    pub(crate) async fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            self.ask("evm_mine", json!([])).await;
        }
    }

    pub(crate) async fn set_base_fee(&self, wei: u64) {
        self.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("{wei:#x}")])).await;
    }

    /// Replaces the last `depth` blocks by empty ones.
    pub(crate) async fn reorganize(&self, depth: u64) {
        self.ask("anvil_reorg", json!([depth, []])).await;
    }

    pub(crate) async fn timestamp(&self) -> u64 {
        let block = self
            .control
            .get_block(alloy::rpc::types::BlockId::latest())
            .await
            .expect("anvil answers");
        block.expect("there is a latest block").header.timestamp
    }

    /// How many transactions of the scheduler are mined.
    pub(crate) async fn scheduler_nonce(&self) -> u64 {
        self.control.get_transaction_count(self.scheduler.address()).await.expect("anvil answers")
    }

    /// Whether this attempt holds the job in the newest block.
    pub(crate) async fn is_assigned(&self, id: JobId, attempt: AttemptNumber) -> bool {
        self.job(id).await == (2, attempt.0)
    }

    /// State and attempt of a job, as the contract has it.
    pub(crate) async fn job(&self, id: JobId) -> (u8, u16) {
        let market = JobMarket::new(self.deployment.contract, &self.control);
        let job = market.job(id.0).call().await.expect("anvil answers");
        (job._0, job.attempt)
    }
}
