//! A chain on this machine with the contract deployed, and the built command as several people type it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use alloy::network::{EthereumWallet, TransactionBuilder};
use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::SignerSync;
use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};
use gristmill_protocol::contracts::{IJobMarket, JobMarket};
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, ReceiptHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "local development only";
pub(crate) const MNEMONIC: &str = "test test test test test test test test test test test junk";
const CHAIN_ID: u64 = 4439;
/// 0.02 of the coin.
pub(crate) const BOND: Amount = Amount(20_000_000_000_000_000);
/// 0.01 of the coin.
pub(crate) const DISPUTE_BOND: Amount = Amount(10_000_000_000_000_000);
/// 1000 of the test token.
pub(crate) const TOKENS: U256 = U256::from_limbs([0x35c9_adc5_dea0_0000, 0x36, 0, 0]);

#[expect(clippy::too_many_arguments, reason = "generated: a permit has seven")]
mod bindings {
    alloy::sol!(
        #[sol(rpc)]
        TestToken,
        "../../contracts/abi/TestToken.json"
    );
}
use bindings::TestToken;

/// The accounts of anvil's mnemonic, by what they do here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Party {
    Submitter = 1,
    Scheduler = 2,
    Provider = 3,
    Node = 4,
    Stranger = 5,
    Arbiter = 6,
}

impl Party {
    pub(crate) fn key(self) -> PrivateKeySigner {
        MnemonicBuilder::from_phrase(MNEMONIC).index(self as u32).unwrap().build().unwrap()
    }

    pub(crate) fn address(self) -> Address {
        self.key().address()
    }
}

pub(crate) struct Local {
    anvil: Child,
    pub(crate) rpc: String,
    pub(crate) deployment: Deployment,
    pub(crate) home: TempDir,
}

impl Drop for Local {
    fn drop(&mut self) {
        // It may have ended already; either way it is gone afterwards.
        let _ = self.anvil.kill();
        let _ = self.anvil.wait();
    }
}

impl Local {
    pub(crate) async fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut anvil = Command::new(root.join("contracts/node_modules/.bin/anvil"))
            .args(["--host", "127.0.0.1", "--port", "0", "--hardfork", "london"])
            .args(["--chain-id", &CHAIN_ID.to_string(), "--mnemonic", MNEMONIC])
            .stdout(Stdio::piped())
            .spawn()
            .expect("anvil starts: `npm ci` in contracts/ installs it");
        let stdout = anvil.stdout.take().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        // The thread goes on reading, so that anvil never waits for a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    let _ = sender.send(format!("http://{address}"));
                }
            }
        });
        let rpc = receiver.recv_timeout(std::time::Duration::from_secs(30)).expect("anvil listens");
        let wallet = EthereumWallet::from(Party::Stranger.key());
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(rpc.parse().unwrap());
        let receipt =
            JobMarket::deploy_builder(&provider).send().await.unwrap().get_receipt().await.unwrap();
        let contract = receipt.contract_address.unwrap();
        let deployment =
            Deployment { chain_id: CHAIN_ID, contract, block: receipt.block_number.unwrap() };
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("4439.json"), serde_json::to_vec(&deployment).unwrap())
            .unwrap();
        Self { anvil, rpc, deployment, home }
    }

    pub(crate) fn provider(&self, party: Party) -> DynProvider {
        let wallet = EthereumWallet::from(party.key());
        ProviderBuilder::new().wallet(wallet).connect_http(self.rpc.parse().unwrap()).erased()
    }

    pub(crate) fn market(&self, party: Party) -> JobMarket::JobMarketInstance<DynProvider> {
        JobMarket::new(self.deployment.contract, self.provider(party))
    }

    pub(crate) async fn now(&self) -> u64 {
        let block =
            self.provider(Party::Stranger).get_block(alloy::eips::BlockId::latest()).await.unwrap();
        block.unwrap().header.timestamp
    }

    /// Moves the chain's clock, and makes a block then.
    pub(crate) async fn advance(&self, seconds: u64) {
        let provider = self.provider(Party::Stranger);
        let _: Value =
            provider.raw_request("evm_increaseTime".into(), [U256::from(seconds)]).await.unwrap();
        let _: Value = provider.raw_request("evm_mine".into(), ()).await.unwrap();
    }

    /// Whether each transaction gets a block of its own at once.
    pub(crate) async fn automine(&self, on: bool) {
        let provider = self.provider(Party::Stranger);
        let _: Value = provider.raw_request("evm_setAutomine".into(), [on]).await.unwrap();
    }

    /// Waits until so many transactions wait for a block.
    pub(crate) async fn pending(&self, count: u64) {
        let provider = self.provider(Party::Stranger);
        let wait = async {
            loop {
                let status: Value = provider.raw_request("txpool_status".into(), ()).await.unwrap();
                if status["pending"] == format!("0x{count:x}") {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let patience = std::time::Duration::from_secs(60);
        tokio::time::timeout(patience, wait).await.expect("the transactions arrive");
    }

    pub(crate) async fn set_code(&self, address: Address, code: &str) {
        let provider = self.provider(Party::Stranger);
        let _: Value = provider.raw_request("anvil_setCode".into(), (address, code)).await.unwrap();
    }

    /// Deploys the test token with some selectors replaced, and gives `owner` some of it.
    pub(crate) async fn token(&self, replaced: &[([u8; 4], [u8; 4])], owner: Address) -> Address {
        let mut code = TestToken::BYTECODE.to_vec();
        for (selector, other) in replaced {
            for start in 0..code.len() - 4 {
                if code[start..start + 4] == *selector {
                    code[start..start + 4].copy_from_slice(other);
                }
            }
        }
        let provider = self.provider(Party::Stranger);
        let request = TransactionRequest::default().with_deploy_code(code);
        let receipt =
            provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
        let token = receipt.contract_address.unwrap();
        let call = TestToken::new(token, &provider);
        let minted = call.mint(owner, TOKENS).send().await.unwrap().get_receipt().await.unwrap();
        assert!(minted.status());
        token
    }

    pub(crate) async fn tokens_of(&self, token: Address, owner: Address) -> U256 {
        let call = TestToken::new(token, self.provider(Party::Stranger));
        call.balanceOf(owner).call().await.unwrap()
    }

    /// What an owner has in the market.
    pub(crate) async fn held(&self, owner: Address, token: Address) -> U256 {
        self.market(Party::Stranger).balance(owner, token).call().await.unwrap()
    }

    /// How many transactions a party has sent.
    pub(crate) async fn sent(&self, party: Party) -> u64 {
        self.provider(Party::Stranger).get_transaction_count(party.address()).await.unwrap()
    }

    pub(crate) async fn balance(&self, address: Address) -> U256 {
        self.provider(Party::Stranger).get_balance(address).await.unwrap()
    }

    pub(crate) async fn state(&self, id: JobId) -> u8 {
        self.market(Party::Stranger).job(id.0).call().await.unwrap()._0
    }

    pub(crate) fn terms(&self, now: u64, salt: u8) -> Terms {
        Terms {
            submitter: Party::Submitter.address(),
            scheduler: Party::Scheduler.address(),
            arbiter: Party::Scheduler.address(),
            token: Address::ZERO,
            bounty: Amount(50_000_000_000_000_000),
            fee: Amount(2_500_000_000_000_000),
            bond: Amount::ZERO,
            dispute_bond: Amount::ZERO,
            deadline: now + 7200,
            lease_seconds: 600,
            grace_seconds: 60,
            attempt_seconds: 3600,
            hold_seconds: 0,
            challenge_window: 3600,
            ruling_seconds: 3600,
            spec_hash: Default::default(),
            salt: B256::repeat_byte(salt),
        }
    }

    pub(crate) fn id(&self, terms: &Terms) -> JobId {
        terms.id(&self.deployment.domain())
    }

    /// Locks the bounty of a job, as a submitter with any program may.
    pub(crate) async fn open(&self, salt: u8) -> (JobId, Terms) {
        let terms = self.terms(self.now().await, salt);
        self.open_terms(terms).await
    }

    /// A job with a hold and bonds, before an arbiter that is no party.
    pub(crate) async fn bonded_terms(&self, salt: u8) -> Terms {
        Terms {
            arbiter: Party::Arbiter.address(),
            bond: BOND,
            dispute_bond: DISPUTE_BOND,
            hold_seconds: 1800,
            ..self.terms(self.now().await, salt)
        }
    }

    pub(crate) async fn open_terms(&self, terms: Terms) -> (JobId, Terms) {
        let market = self.market(Party::Submitter);
        let call = market.open((&terms).into()).value(U256::from(terms.bounty.0));
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
        (self.id(&terms), terms)
    }

    /// Enrolls the node with the provider, once.
    pub(crate) async fn enroll(&self) {
        let market = self.market(Party::Provider);
        let node = Party::Node.address();
        if !market.node(node).call().await.unwrap().provider.is_zero() {
            return;
        }
        let expires = self.now().await + 3600;
        let message =
            Message::Enroll { node: NodeId(node), provider: Party::Provider.address(), expires };
        let call = market.enroll(node, U40::from(expires), self.sign(&message));
        call.send().await.unwrap().get_receipt().await.unwrap();
    }

    /// Enrolls the node, approves the scheduler, and gives the node the job.
    pub(crate) async fn assign(&self, terms: &Terms) {
        self.enroll().await;
        let market = self.market(Party::Provider);
        let call = market.approveScheduler(Party::Scheduler.address(), Address::ZERO, 0);
        call.send().await.unwrap().get_receipt().await.unwrap();
        let market = self.market(Party::Scheduler);
        let call = market.assign(self.id(terms).0, Party::Node.address(), 1);
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    /// Gives the node a job with a bond, which it has accepted. Its provider has seen to the stake.
    pub(crate) async fn assign_bonded(&self, terms: &Terms) {
        self.enroll().await;
        let expires = self.now().await + 600;
        let message =
            Message::Accept { job_id: self.id(terms), attempt: AttemptNumber(1), expires };
        let market = self.market(Party::Scheduler);
        let call = market.assignWithTerms(IJobMarket::Assignment {
            terms: terms.into(),
            node: Party::Node.address(),
            attempt: 1,
            expires: U40::from(expires),
            acceptance: self.sign(&message),
        });
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    /// Accepts the node's result, as its scheduler.
    pub(crate) async fn settle(&self, terms: &Terms) {
        let (receipt_hash, signature) = self.result(terms);
        let market = self.market(Party::Scheduler);
        let call = market.settle(terms.into(), receipt_hash.0, signature);
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    /// A result that the node has signed.
    fn result(&self, terms: &Terms) -> (ReceiptHash, IJobMarket::Signature) {
        let receipt_hash = ReceiptHash(B256::repeat_byte(7));
        let message = Message::Result {
            job_id: self.id(terms),
            attempt: AttemptNumber(1),
            node: NodeId(Party::Node.address()),
            receipt_hash,
        };
        (receipt_hash, self.sign(&message))
    }

    /// Puts a result on chain without the scheduler.
    pub(crate) async fn publish(&self, terms: &Terms) {
        let (receipt_hash, signature) = self.result(terms);
        let market = self.market(Party::Provider);
        let call = market.publish(terms.into(), receipt_hash.0, signature);
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    fn sign(&self, message: &Message) -> IJobMarket::Signature {
        (&self.signature(message)).into()
    }

    pub(crate) fn signature(&self, message: &Message) -> CompactSignature {
        let digest = self.deployment.domain().digest(message);
        CompactSignature::new(&Party::Node.key().sign_hash_sync(&digest).unwrap())
    }

    /// The command line of a party, with a wallet that was made on the first call.
    pub(crate) fn cli(&self, party: Party) -> Cli {
        let home = self.home.path().join(format!("{}", party as u32));
        std::fs::create_dir_all(&home).unwrap();
        let cli =
            Cli { home, rpc: self.rpc.clone(), deployment: self.home.path().join("4439.json") };
        if !cli.home.join(".local/share/gristmill/wallets/default.json").exists() {
            let index = (party as u32).to_string();
            cli.run_with(&["wallet", "import", "--index", &index], MNEMONIC).ok();
        }
        cli
    }
}

pub(crate) struct Cli {
    pub(crate) home: PathBuf,
    pub(crate) rpc: String,
    pub(crate) deployment: PathBuf,
}

/// What a command left behind.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// Asserts that it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The one JSON value on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// The error on stderr, which is its last line.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.stdout, "", "a failure says nothing on stdout");
        let last = self.stderr.lines().last().unwrap_or_default();
        let error: Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}", self.stderr));
        assert_eq!(error["error"]["exit"], self.code);
        error["error"].clone()
    }
}

impl Cli {
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
        command.args(arguments).env_clear().env("HOME", &self.home).env("GRISTMILL_RPC", &self.rpc);
        command
            .env("GRISTMILL_DEPLOYMENT", &self.deployment)
            .env("GRISTMILL_KEYSTORE_PASSWORD", PASSWORD);
        // Nobody listens there: what passes, passes without a scheduler.
        command.env("GRISTMILL_SCHEDULER", "http://127.0.0.1:9");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Answer {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads nothing closes its end; that is no failure.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes());
        answer(child.wait_with_output().unwrap())
    }
}

fn answer(output: Output) -> Answer {
    Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
