//! Puts the contract on a chain, once and checked, and tells later whether a chain runs the contract of these sources.

mod build;
mod evm;
mod files;
mod key;
mod rpc;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::consensus::TxEnvelope;
use alloy::eips::eip2718::Encodable2718;
use alloy::network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder};
use alloy::primitives::{B256, Bytes, U256, keccak256};
use alloy::providers::Provider;
use alloy::rpc::types::{BlockNumberOrTag, TransactionRequest};
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use console::Term;
use gristmill_protocol::contracts::JobMarket;
use gristmill_protocol::money::{Amount, NATIVE_DECIMALS};
use serde_json::{Value, json};

use build::{Build, NAME, Recipe, SOURCE};
use evm::Evm;
use files::{Files, Record};
use rpc::{Found, Rpc};

/// The largest transaction that U2U's pool takes, in gas and in bytes. It drops a larger one without a word.
const TRANSACTION_GAS_MAX: u64 = 9_980_000;
const TRANSACTION_BYTES_MAX: usize = 128 * 1024;
/// Of the estimate, in percent. U2U charges a tenth of the gas that is left over, so the limit is tight.
const GAS_LIMIT_PERCENT: u64 = 105;
const GWEI_DECIMALS: u32 = 9;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask deploy --chain 2484 --rpc-url https://rpc-nebulas-testnet.u2u.xyz --keystore deployer.json --dry-run\n  cargo xtask deploy --chain 39 --rpc-url https://rpc-mainnet.u2u.xyz --keystore deployer.json --password-file password\n  cargo xtask deploy --chain 39 --rpc-url https://rpc-mainnet.u2u.xyz --resume 0x…"
)]
pub(crate) struct DeployArgs {
    /// The chain's id: 39 is U2U, 2484 its testnet; any other EVM chain will do
    #[arg(long, value_name = "ID")]
    chain: u64,
    /// An RPC endpoint of that chain
    #[arg(long, value_name = "URL", env = "GRISTMILL_RPC", hide_env_values = true)]
    rpc_url: String,
    /// The encrypted keystore of whoever pays for the deployment, and has no rights over the contract afterwards
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    keystore: Option<PathBuf>,
    /// A file whose first line is the keystore's password; without it, the terminal asks
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Where to write `<chain id>.json`, and beside it what verifies the build
    #[arg(long, value_name = "FOLDER", default_value = "deployments")]
    folder: PathBuf,
    /// Replace the files of an earlier deployment
    #[arg(long)]
    force: bool,
    /// The most to pay for a unit of gas, instead of what the chain suggests
    #[arg(long, value_name = "GWEI", value_parser = gwei)]
    max_fee_gwei: Option<Amount>,
    /// How many blocks must hold the transaction, its own included. On U2U a block is final
    #[arg(long, value_name = "BLOCKS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    confirmations: u64,
    /// How long to wait for that
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait_seconds: u64,
    /// Send nothing: go on with a transaction that was sent before
    #[arg(long, value_name = "TRANSACTION", conflicts_with_all = ["keystore", "password_file", "max_fee_gwei", "dry_run"])]
    resume: Option<B256>,
    /// Show what would be done and what it would cost, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print one JSON value on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  cargo xtask verify deployments/39.json --rpc-url https://rpc-mainnet.u2u.xyz\n  cargo xtask verify deployments/39.json --rpc-url https://rpc-mainnet.u2u.xyz --json"
)]
pub(crate) struct VerifyArgs {
    /// The deployment file; what verifies it lies beside it
    deployment: PathBuf,
    /// An RPC endpoint of that chain
    #[arg(long, value_name = "URL", env = "GRISTMILL_RPC", hide_env_values = true)]
    rpc_url: String,
    /// Print one JSON value on stdout
    #[arg(long)]
    json: bool,
}

/// A signed transaction that was not sent yet, and what it will cost.
struct Plan {
    hash: B256,
    raw: Vec<u8>,
    rows: Vec<(&'static str, String)>,
    facts: Value,
}

pub(crate) async fn run(root: &Path, args: DeployArgs) -> Result<()> {
    let files = Files::of_chain(&args.folder, args.chain);
    files.check_free(args.force)?;
    ensure!(
        args.yes || args.dry_run || args.resume.is_some() || can_answer(),
        "nobody can answer here: add --yes to deploy without a question"
    );
    let rpc = Rpc::connect(&args.rpc_url, args.chain).await?;
    let evm = Evm::probe(&rpc).await?;
    evm.check()?;
    let (transaction, build) = match (&args.keystore, args.resume) {
        (Some(keystore), _) => {
            let key = key::unlock(keystore, args.password_file.as_deref())?;
            let plan = plan(&rpc, evm, &key, &args).await?;
            let build = build(root)?;
            show(&plan.rows);
            if evm.is_newer() {
                eprintln!(
                    "note: this EVM is newer than London, which the contract is built for. It runs it as it is."
                );
            }
            if args.dry_run {
                return report(args.json, &plan.facts, "nothing was sent");
            }
            confirm(args.yes)?;
            send(&rpc, &plan).await?;
            (plan.hash, Some(build))
        }
        (None, Some(transaction)) => (transaction, None),
        // clap asks for one of the two.
        (None, None) => bail!("name a --keystore"),
    };
    let limit = Duration::from_secs(args.wait_seconds);
    let receipt = rpc.wait(transaction, args.confirmations, limit).await.with_context(|| {
        format!(
            "nothing was written. It may still be mined: go on with \
             `cargo xtask deploy --chain {} --rpc-url … --resume {transaction}`",
            args.chain
        )
    })?;
    let found = rpc.found(args.chain, &receipt).await.context("nothing was written")?;
    ensure!(
        found.init_code == JobMarket::BYTECODE,
        "transaction {transaction} deployed something else than this build; nothing was written"
    );
    let build = match build {
        Some(build) => build,
        None => self::build(root)?,
    };
    let domain = found.deployment.domain();
    let code = rpc.code(&domain, &build).await.context("nothing was written")?;
    let record = record(&build, &found, &code);
    files.write(&found.deployment, &record, &build.recipe, args.force)?;
    let facts = json!({
        "chain_id": found.deployment.chain_id,
        "contract": found.deployment.contract,
        "block": found.deployment.block,
        "transaction": transaction,
        "gas_used": found.gas_used,
        "init_code_hash": record.init_code_hash,
        "runtime_code_hash": record.runtime_code_hash,
        "evm": evm,
        "files": [files.deployment, files.record, files.input],
    });
    let said = format!(
        "JobMarket is at {} on chain {} since block {}, byte for byte this build; written to {}",
        found.deployment.contract,
        args.chain,
        found.deployment.block,
        files.deployment.display()
    );
    report(args.json, &facts, &said)
}

/// Builds the recorded sources again and compares them with the chain, and with this checkout.
pub(crate) async fn verify(root: &Path, args: VerifyArgs) -> Result<()> {
    let (deployment, record, recipe) = Files::beside(&args.deployment).read()?;
    let rpc = Rpc::connect(&args.rpc_url, deployment.chain_id).await?;
    let receipt = rpc.provider.get_transaction_receipt(record.transaction).await;
    let receipt = receipt
        .map_err(|error| rpc.failed("ask for the receipt", &error))?
        .with_context(|| format!("{rpc} does not know transaction {}", record.transaction))?;
    let found = rpc.found(deployment.chain_id, &receipt).await?;
    ensure!(
        found.deployment == deployment,
        "NOT equal: transaction {} made the contract {} in block {}, and `{}` says {} in block {}",
        record.transaction,
        found.deployment.contract,
        found.deployment.block,
        args.deployment.display(),
        deployment.contract,
        deployment.block
    );
    let build = Build::of(root, recipe)?;
    ensure!(
        build.init_code == found.init_code,
        "NOT equal: the recorded sources do not compile to what transaction {} deployed",
        record.transaction
    );
    let code = rpc.code(&deployment.domain(), &build).await.context("NOT equal")?;
    ensure!(
        self::record(&build, &found, &code) == record,
        "NOT equal: the record beside `{}` does not describe what is on the chain",
        args.deployment.display()
    );
    let differences = build.recipe.differences(&Recipe::of_checkout(root)?);
    ensure!(
        differences.is_empty(),
        "NOT these sources: the chain runs what was recorded, and this checkout differs from it in {}. \
         Check out the revision that added `{}` to compare with that",
        differences.join(", "),
        args.deployment.display()
    );
    let facts = json!({
        "equal": true,
        "chain_id": deployment.chain_id,
        "contract": deployment.contract,
        "init_code_hash": record.init_code_hash,
        "runtime_code_hash": record.runtime_code_hash,
    });
    let said = format!(
        "equal: {} on chain {} runs, byte for byte, what the sources in this checkout compile to",
        deployment.contract, deployment.chain_id
    );
    report(args.json, &facts, &said)
}

/// The sources of this checkout, which must be those that this program knows the contract from.
fn build(root: &Path) -> Result<Build> {
    let build = Build::of(root, Recipe::of_checkout(root)?)?;
    ensure!(
        build.init_code == JobMarket::BYTECODE,
        "contracts/abi/JobMarket.json is not what {SOURCE} compiles to: run `cargo xtask generate`"
    );
    Ok(build)
}

fn record(build: &Build, found: &Found, code: &Bytes) -> Record {
    Record {
        contract: format!("{SOURCE}:{NAME}"),
        compiler: build.recipe.compiler.clone(),
        constructor_arguments: Bytes::new(),
        init_code_hash: keccak256(&build.init_code),
        runtime_code_hash: keccak256(code),
        transaction: found.transaction,
        deployer: found.deployer,
    }
}

/// Signs the transaction, and refuses what the chain would refuse, or drop.
async fn plan(rpc: &Rpc, evm: Evm, key: &PrivateKeySigner, args: &DeployArgs) -> Result<Plan> {
    let init_code = &JobMarket::BYTECODE;
    let deployer = key.address();
    let nonce = rpc.provider.get_transaction_count(deployer).await;
    let nonce = nonce.map_err(|error| rpc.failed("ask for the nonce", &error))?;
    let pending = rpc.provider.get_transaction_count(deployer).pending().await;
    let pending = pending.map_err(|error| rpc.failed("ask for the nonce", &error))?;
    ensure!(
        pending <= nonce,
        "{deployer} has transactions that are in no block yet, perhaps an earlier deployment: wait for them, or go on \
         with --resume"
    );
    let request =
        TransactionRequest::default().with_from(deployer).with_deploy_code(init_code.clone());
    let estimate = rpc.provider.estimate_gas(request.clone()).await;
    let estimate = estimate.map_err(|error| rpc.failed("estimate the gas", &error))?;
    let gas_limit = gas_limit(estimate)?;

    let fees = rpc.provider.estimate_eip1559_fees().await;
    let fees = fees.map_err(|error| rpc.failed("ask for the gas price", &error))?;
    let max_fee = args.max_fee_gwei.map_or(fees.max_fee_per_gas, |fee| fee.0);
    let tip = fees.max_priority_fee_per_gas.min(max_fee);
    let head = rpc.provider.get_block_by_number(BlockNumberOrTag::Latest).await;
    let head = head.map_err(|error| rpc.failed("read the newest block", &error))?;
    let base_fee = head.and_then(|block| block.header.base_fee_per_gas).unwrap_or_default();
    ensure!(
        max_fee >= u128::from(base_fee),
        "the chain's base fee is {} gwei, and at most {} would be paid: raise --max-fee-gwei",
        Amount(base_fee.into()).to_decimal(GWEI_DECIMALS),
        Amount(max_fee).to_decimal(GWEI_DECIMALS)
    );

    let cost_max = Amount(u128::from(gas_limit).saturating_mul(max_fee));
    let balance = rpc.provider.get_balance(deployer).await;
    let balance = balance.map_err(|error| rpc.failed("read the balance", &error))?;
    let coins = |amount: Amount| amount.to_decimal(NATIVE_DECIMALS);
    let balance_shown = coins(Amount(u128::try_from(balance).unwrap_or(u128::MAX)));
    ensure!(
        balance >= U256::from(cost_max.0),
        "{deployer} has {balance_shown} coins, and the deployment may cost up to {}: send it more, or lower \
         --max-fee-gwei",
        coins(cost_max)
    );

    let envelope: TxEnvelope = request
        .with_chain_id(args.chain)
        .with_nonce(nonce)
        .with_gas_limit(gas_limit)
        .with_max_fee_per_gas(max_fee)
        .with_max_priority_fee_per_gas(tip)
        .build(&EthereumWallet::from(key.clone()))
        .await
        .context("cannot sign the transaction")?;
    let raw = envelope.encoded_2718();
    check_size(raw.len())?;
    let contract = deployer.create(nonce);
    let init_code_hash = keccak256(init_code);
    let gwei = |amount: u128| Amount(amount).to_decimal(GWEI_DECIMALS);
    Ok(Plan {
        hash: *envelope.tx_hash(),
        rows: vec![
            ("chain", format!("{} at {rpc}", args.chain)),
            ("EVM", evm.to_string()),
            ("init code", format!("{} bytes, keccak-256 {init_code_hash}", init_code.len())),
            ("address", contract.to_string()),
            ("deployer", format!("{deployer}, {balance_shown} coins, nonce {nonce}")),
            ("gas", format!("about {estimate}, at most {gas_limit}")),
            ("fee per gas", format!("at most {} gwei, tip {} gwei", gwei(max_fee), gwei(tip))),
            ("cost", format!("at most {} coins", coins(cost_max))),
        ],
        facts: json!({
            "dry_run": true,
            "chain_id": args.chain,
            "evm": evm,
            "contract": contract,
            "deployer": deployer,
            "nonce": nonce,
            "init_code_hash": init_code_hash,
            "gas_estimate": estimate,
            "gas_limit": gas_limit,
            "fee_per_gas_wei_max": max_fee.to_string(),
            "tip_per_gas_wei": tip.to_string(),
            "cost_wei_max": cost_max.0.to_string(),
            "transaction_bytes": raw.len(),
        }),
        raw,
    })
}

fn gas_limit(estimate: u64) -> Result<u64> {
    let limit = estimate.saturating_mul(GAS_LIMIT_PERCENT).div_ceil(100);
    ensure!(
        limit <= TRANSACTION_GAS_MAX,
        "the deployment needs {limit} gas, and U2U takes no transaction above {TRANSACTION_GAS_MAX}"
    );
    Ok(limit)
}

fn check_size(bytes: usize) -> Result<()> {
    ensure!(
        bytes <= TRANSACTION_BYTES_MAX,
        "the transaction has {bytes} bytes, and no node takes one above {TRANSACTION_BYTES_MAX}"
    );
    Ok(())
}

async fn send(rpc: &Rpc, plan: &Plan) -> Result<()> {
    // Said before it happens: with the hash, a deployment that was interrupted can be found again.
    eprintln!("sending transaction {}", plan.hash);
    match rpc.provider.send_raw_transaction(&plan.raw).await {
        Ok(_) => Ok(()),
        // The endpoint says no. Whatever else failed, it may have taken the transaction: the receipt will tell.
        Err(error)
            if error.as_error_resp().is_some_and(|no| !no.message.contains("already known")) =>
        {
            Err(rpc.failed("send the transaction", &error).context("nothing was written"))
        }
        Err(error) => {
            eprintln!("note: {}; looking for the transaction", rpc.failed("send it", &error));
            Ok(())
        }
    }
}

fn can_answer() -> bool {
    Term::stderr().is_term() && std::io::stdin().is_terminal()
}

fn confirm(yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let term = Term::stderr();
    term.write_str("Deploy? The contract can never be changed or removed. [y/N] ")?;
    ensure!(matches!(term.read_line()?.trim(), "y" | "Y" | "yes"), "you said no; nothing was sent");
    Ok(())
}

/// What a person decides upon. It goes to stderr, so that stdout is only the outcome.
fn show(rows: &[(&str, String)]) {
    for (name, value) in rows {
        eprintln!("{name:<12} {value}");
    }
}

fn report(as_json: bool, facts: &Value, said: &str) -> Result<()> {
    if as_json {
        println!("{}", serde_json::to_string(facts)?);
    } else {
        println!("{said}");
    }
    Ok(())
}

fn gwei(text: &str) -> Result<Amount, String> {
    Amount::from_decimal(text, GWEI_DECIMALS).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_chain_would_drop_is_refused() {
        assert_eq!(gas_limit(1_000_001).unwrap(), 1_050_002, "rounded up");
        assert_eq!(gas_limit(9_504_761).unwrap(), 9_980_000);
        assert!(gas_limit(9_504_762).is_err());
        assert!(gas_limit(u64::MAX).is_err());
        assert!(check_size(128 * 1024).is_ok());
        assert!(check_size(128 * 1024 + 1).is_err());
    }
}
