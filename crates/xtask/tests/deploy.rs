//! `cargo xtask deploy` and `cargo xtask verify` against real chains: U2U's id and fork, an older fork, and newer ones.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use alloy::network::{EthereumWallet, TransactionBuilder};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use gristmill_e2e::chain::anvil;
use gristmill_e2e::keys::{PASSWORD, Party};
use gristmill_e2e::market::free_port;
use gristmill_e2e::process::{Lifetime, Process};
use gristmill_protocol::contracts::JobMarket;
use gristmill_protocol::deployment::Deployment;
use serde_json::{Value, json};
use tempfile::TempDir;

const CHAIN_ID: u64 = 39;
const DEPLOYER: Party = Party::Deployer;

struct Place {
    folder: TempDir,
    rpc_url: String,
    keystore: PathBuf,
    password: PathBuf,
    _chain: Process,
}

struct Answer {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert!(self.succeeded, "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {}", self.stdout))
    }

    fn refused(&self, word: &str) {
        assert!(!self.succeeded, "it must be refused for {word:?}: {}", self.stdout);
        assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        assert_eq!(self.stdout, "");
    }
}

impl Place {
    async fn new(hardfork: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let (chain, rpc_url) =
            anvil(folder.path(), port, CHAIN_ID, hardfork, Lifetime::Attached).await.unwrap();
        std::fs::create_dir(folder.path().join("deployments")).unwrap();
        let keystore = DEPLOYER.write_keystore(folder.path()).unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder, rpc_url, keystore, password, _chain: chain }
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        let output = Command::new(env!("CARGO_BIN_EXE_gristmill-xtask"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GRISTMILL_RPC", &self.rpc_url)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let answer = Answer {
            succeeded: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let key = DEPLOYER.key().to_bytes().to_string();
        for secret in [PASSWORD, &key[2..]] {
            let said = [&answer.stdout, &answer.stderr];
            assert!(said.iter().all(|text| !text.contains(secret)), "a secret was printed");
        }
        answer
    }

    /// `deploy --yes --json` to chain 39 with the deployer's key, and `more`.
    fn deploy(&self, more: &[&str]) -> Answer {
        let (keystore, password) =
            (self.keystore.to_str().unwrap(), self.password.to_str().unwrap());
        let mut arguments = vec!["deploy", "--chain", "39", "--keystore", keystore];
        arguments.extend(["--password-file", password, "--yes", "--json"]);
        arguments.extend(more);
        self.run(&arguments)
    }

    fn resume(&self, transaction: B256, more: &[&str]) -> Answer {
        let transaction = transaction.to_string();
        let mut arguments = vec!["deploy", "--chain", "39", "--resume", &transaction, "--json"];
        arguments.extend(more);
        self.run(&arguments)
    }

    fn verify(&self) -> Answer {
        self.run(&["verify", "deployments/39.json", "--json"])
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("deployments").join(name)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("deployments")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn provider(&self) -> impl Provider + Clone + use<> {
        let wallet = EthereumWallet::from(DEPLOYER.key());
        ProviderBuilder::new().wallet(wallet).connect_http(self.rpc_url.parse().unwrap())
    }

    async fn transactions(&self) -> u64 {
        self.provider().get_transaction_count(DEPLOYER.address()).await.unwrap()
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_checked_written_and_can_be_verified() {
    let place = Place::new("london").await;
    let said = place.deploy(&[]).json();
    assert_eq!(place.files(), ["39.json", "39.solc.json", "39.verify.json"]);
    let deployment = Deployment::read(&place.file("39.json")).unwrap();
    assert_eq!(deployment.chain_id, CHAIN_ID);
    assert_eq!(said["contract"], json!(deployment.contract));
    assert_eq!(
        said["evm"],
        json!({"base_fee": true, "push0": false, "transient_storage": false, "memory_copy": false})
    );

    // What was sent: one type-2 transaction, whose limit leaves little to be charged for.
    let provider = place.provider();
    let hash: B256 = said["transaction"].as_str().unwrap().parse().unwrap();
    let sent = provider.get_transaction_by_hash(hash).await.unwrap().unwrap();
    let receipt = provider.get_transaction_receipt(hash).await.unwrap().unwrap();
    let (limit, used) = (alloy::consensus::Transaction::gas_limit(&sent), receipt.gas_used);
    assert_eq!(sent.inner.tx_type() as u8, 2);
    assert!(limit >= used && limit <= used * 106 / 100, "limit {limit}, used {used}");
    assert_eq!(receipt.block_number, Some(deployment.block));
    assert_eq!(place.transactions().await, 1);
    let market = JobMarket::new(deployment.contract, &provider);
    assert_eq!(
        market.domainSeparator().call().await.unwrap(),
        deployment.domain().eip712().separator()
    );

    assert_eq!(place.verify().json()["equal"], true);
    what_was_tampered_with_is_not_equal(&place).await;
    // A chain has one contract, unless somebody insists.
    place.deploy(&[]).refused("--force");
    assert_eq!(place.transactions().await, 1);

    // A later run finds what an interrupted one had sent.
    let before = std::fs::read(place.file("39.json")).unwrap();
    for name in place.files() {
        std::fs::remove_file(place.file(&name)).unwrap();
    }
    let again = place.resume(hash, &[]).json();
    assert_eq!(again["contract"], said["contract"]);
    assert_eq!(std::fs::read(place.file("39.json")).unwrap(), before);
    assert_eq!(place.transactions().await, 1);
}

/// Nothing but the recorded sources is equal to the chain, and nothing but the chain's code to them.
async fn what_was_tampered_with_is_not_equal(place: &Place) {
    let originals: Vec<(PathBuf, Vec<u8>)> = place
        .files()
        .iter()
        .map(|name| (place.file(name), std::fs::read(place.file(name)).unwrap()))
        .collect();
    let restore =
        || originals.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    let change = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut value = read(&place.file(name));
        change(&mut value);
        std::fs::write(place.file(name), value.to_string()).unwrap();
    };
    let rewrite = |from: &str, to: &str| {
        change("39.solc.json", &|input| {
            let source = &mut input["sources"]["src/JobMarket.sol"]["content"];
            let text = source.as_str().unwrap();
            assert!(text.contains(from), "{from}");
            *source = text.replacen(from, to, 1).into();
        });
    };

    // A comment changes no byte, and is still not what this checkout holds.
    rewrite("pragma solidity", "// Trust me.\npragma solidity");
    place.verify().refused("this checkout differs from it in src/JobMarket.sol");
    restore();
    rewrite("constructor() {", "constructor() payable {");
    place.verify().refused("the recorded sources do not compile to");
    restore();
    rewrite("constructor() {", "constructor( {");
    place.verify().refused("does not compile");
    restore();
    change("39.verify.json", &|record| record["compiler"] = "0.8.36+commit.00000000".into());
    place.verify().refused("solc 0.8.36");
    restore();
    change("39.json", &|deployment| deployment["block"] = 0.into());
    place.verify().refused("in block 0");
    restore();

    // The chain itself runs something else.
    let deployment = Deployment::read(&place.file("39.json")).unwrap();
    let provider = place.provider();
    let code = provider.get_code_at(deployment.contract).await.unwrap();
    let mut changed = code.to_vec();
    changed[100] ^= 1;
    let set = async |code: Bytes| {
        let code = (deployment.contract, code);
        let _: Value = provider.raw_request("anvil_setCode".into(), code).await.unwrap();
    };
    set(changed.into()).await;
    place.verify().refused("at byte 100 first");
    set(code).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_go_wrong_is_refused_before_anything_is_sent() {
    let place = Place::new("london").await;
    let (keystore, password) = (place.keystore.to_str().unwrap(), place.password.to_str().unwrap());
    let unlock = ["--keystore", keystore, "--password-file", password];
    let with = |more: &[&'static str]| place.run(&[&["deploy"], more, &unlock].concat());
    with(&["--chain", "2484", "--yes"]).refused("is on chain 39, and you asked for chain 2484");
    with(&["--chain", "39"]).refused("add --yes");
    place.deploy(&["--rpc-url", "ftp://127.0.0.1/secret"]).refused("http");
    let unreachable = place.deploy(&["--rpc-url", "http://127.0.0.1:1/secret"]);
    unreachable.refused("127.0.0.1:1");
    assert!(!unreachable.stderr.contains("secret"), "{}", unreachable.stderr);
    place.deploy(&["--max-fee-gwei", "0.000001"]).refused("raise --max-fee-gwei");
    place.deploy(&["--max-fee-gwei", "99999999999"]).refused("has 10000 coins");
    place.deploy(&["--folder", "nowhere"]).refused("there is no folder `nowhere`");
    place.run(&["deploy", "--chain", "39", "--yes"]).refused("--keystore");
    place
        .run(&["deploy", "--chain", "39", "--yes", "--keystore", keystore])
        .refused("name a --password-file");

    let wrong = place.folder.path().join("wrong");
    std::fs::write(&wrong, "correct horse").unwrap();
    let guess = ["--keystore", keystore, "--password-file", "wrong"];
    let guess = [&["deploy", "--chain", "39", "--yes"], &guess[..]].concat();
    place.run(&guess).refused("chmod 600");
    std::fs::set_permissions(&wrong, std::fs::Permissions::from_mode(0o600)).unwrap();
    let answer = place.run(&guess);
    answer.refused("does not open with this password");
    assert!(!answer.stderr.contains("horse"), "{}", answer.stderr);

    // An account without a coin.
    let poor = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x77)).unwrap();
    PrivateKeySigner::encrypt_keystore(
        place.folder.path(),
        &mut alloy::signers::k256::elliptic_curve::rand_core::OsRng,
        poor.to_bytes(),
        PASSWORD,
        Some("poor.json"),
    )
    .unwrap();
    let broke = ["--keystore", "poor.json", "--password-file", password];
    place
        .run(&[&["deploy", "--chain", "39", "--yes"], &broke[..]].concat())
        .refused("send it more");

    let looked = place.deploy(&["--dry-run"]).json();
    assert_eq!(looked["dry_run"], true);
    assert_eq!(looked["contract"], json!(DEPLOYER.address().create(0)));

    assert_eq!(place.files(), Vec::<String>::new());
    assert_eq!(place.transactions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_did_not_deploy_this_contract_writes_nothing() {
    let place = Place::new("london").await;
    let provider = place.provider();
    let send = async |request: TransactionRequest| {
        let pending = provider.send_transaction(request.with_gas_limit(3_000_000)).await.unwrap();
        pending.get_receipt().await.unwrap().transaction_hash
    };
    let create = |code: &'static [u8]| TransactionRequest::default().with_deploy_code(code);
    let failed = send(create(&[0xfe])).await;
    place.resume(failed, &[]).refused("failed on the chain");
    let other = send(create(&[0x60, 0x01, 0x60, 0x00, 0xf3])).await;
    place.resume(other, &[]).refused("deployed something else");
    let transfer = TransactionRequest::default().with_to(Address::repeat_byte(1));
    let transfer = send(transfer.with_value(U256::from(1))).await;
    place.resume(transfer, &[]).refused("made no contract");
    place.resume(B256::repeat_byte(9), &["--wait-seconds", "0"]).refused("--resume 0x0909");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_evm_is_refused_and_a_newer_one_is_noted() {
    let berlin = Place::new("berlin").await;
    berlin.deploy(&[]).refused("older than London");
    assert_eq!((berlin.files(), berlin.transactions().await), (Vec::new(), 0));

    let cancun = Place::new("cancun").await;
    let answer = cancun.deploy(&["--confirmations", "2"]);
    assert_eq!(
        answer.json()["evm"],
        json!({"base_fee": true, "push0": true, "transient_storage": true, "memory_copy": true})
    );
    assert!(answer.stderr.contains("newer than London"), "{}", answer.stderr);
    assert!(cancun.file("39.json").is_file());
}
