//! The chain, through one RPC endpoint: what the contract says of a job, and transactions that the wallet sends.

use std::time::Duration;

use alloy::consensus::TxEnvelope;
use alloy::eips::eip2718::Encodable2718;
use alloy::network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder};
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use alloy::rpc::types::{BlockNumberOrTag, TransactionReceipt, TransactionRequest};
use alloy::signers::local::PrivateKeySigner;
use alloy::transports::{RpcError, TransportError};
use gristmill_protocol::contracts::erc20::Erc20;
use gristmill_protocol::contracts::{JobMarket, StoredJob};
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::ids::{JobId, TxHash};
use gristmill_protocol::money::{Amount, NATIVE_DECIMALS};
use gristmill_protocol::signing::Domain;
use gristmill_protocol::terms::Terms;
use serde::Serialize;

use crate::failure::{Exit, Failure, Result, chain_of, root_of};
use crate::output::Output;

pub(crate) mod history;
pub(crate) mod payment;
mod reverts;
pub(crate) mod ways_out;

pub(crate) use reverts::words as revert_words;

const RPC_TIMEOUT: Duration = Duration::from_secs(30);
/// Blocks come every second or so; a transaction that is not in one by then needs a person.
const MINED_TIMEOUT: Duration = Duration::from_secs(180);
const MINED_POLL: Duration = Duration::from_millis(250);
/// Of the estimate, in percent. The chain charges a tenth of unused gas, so the limit is tight.
const GAS_LIMIT_PERCENT: u64 = 105;

/// One contract on one chain.
pub(crate) struct Chain {
    provider: RootProvider,
    market: JobMarket::JobMarketInstance<RootProvider>,
    deployment: Deployment,
    url: String,
}

/// What a provider lets a scheduler do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Approval {
    /// It may give jobs to the provider's nodes.
    pub(crate) approved: bool,
    /// How much of the provider's balance in the token it may lock as bonds.
    pub(crate) bond_limit: Amount,
    /// How much of that is locked.
    pub(crate) bond_used: Amount,
}

/// The newest block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) block: u64,
    pub(crate) time: u64,
}

impl Head {
    /// The time that a block made now would carry, as far as this machine can tell: a quiet chain's newest block is old,
    /// and a local chain may be ahead of the clock.
    pub(crate) fn due(&self) -> u64 {
        self.time.max(crate::quantity::now())
    }
}

/// A transaction that was signed, and perhaps sent.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) hash: TxHash,
    pub(crate) raw: Vec<u8>,
}

/// What sending will cost at most, value included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) gas_limit: u64,
    pub(crate) fee_per_gas_max: u128,
    tip_per_gas_max: u128,
}

impl Cost {
    pub(crate) fn gas_wei_max(&self) -> Amount {
        Amount(u128::from(self.gas_limit).saturating_mul(self.fee_per_gas_max))
    }
}

/// A transaction in a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Mined {
    pub(crate) hash: TxHash,
    pub(crate) block: u64,
    pub(crate) gas_used: u64,
}

impl Chain {
    /// Connects, and makes sure that this is the chain and the contract that the deployment names.
    pub(crate) async fn connect(rpc: &str, deployment: Deployment) -> Result<Self> {
        let chain = Self::open(rpc, deployment)?;
        let chain_id = chain.chain_id().await?;
        if chain_id != chain.deployment.chain_id {
            return Err(Failure::usage(format!(
                "the RPC endpoint {rpc} is on chain {chain_id}, but the deployment file is for chain {}",
                chain.deployment.chain_id
            ))
            .hint("choose --rpc and --deployment of the same chain; nothing was sent"));
        }
        if !chain.has_code().await? {
            return Err(Failure::usage(format!(
                "there is no contract at {} on chain {chain_id}",
                chain.deployment.contract
            ))
            .hint("the deployment file is wrong or of an older local chain; nothing was sent"));
        }
        Ok(chain)
    }

    /// Connects without a look; for `doctor`, which looks itself.
    pub(crate) fn open(rpc: &str, deployment: Deployment) -> Result<Self> {
        let invalid = || {
            Failure::usage(format!(
                "`{rpc}` is not an RPC endpoint: write http://host:port or https://host"
            ))
        };
        let url: reqwest::Url = rpc.parse().map_err(|_| invalid())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid());
        }
        let http = reqwest::Client::builder()
            .timeout(RPC_TIMEOUT)
            .build()
            .map_err(|error| Failure::caused(Exit::Local, "cannot make an HTTP client", &error))?;
        let provider =
            ProviderBuilder::new().disable_recommended_fillers().connect_reqwest(http, url);
        let market = JobMarket::new(deployment.contract, provider.clone());
        Ok(Self { provider, market, deployment, url: rpc.to_owned() })
    }

    pub(crate) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    pub(crate) fn domain(&self) -> Domain {
        self.deployment.domain()
    }

    pub(crate) fn market(&self) -> &JobMarket::JobMarketInstance<RootProvider> {
        &self.market
    }

    pub(crate) async fn chain_id(&self) -> Result<u64> {
        self.provider
            .get_chain_id()
            .await
            .map_err(|error| self.failed("ask for the chain id", &error))
    }

    pub(crate) async fn has_code(&self) -> Result<bool> {
        let code = self.provider.get_code_at(self.deployment.contract).await;
        Ok(!code.map_err(|error| self.failed("read the contract's code", &error))?.is_empty())
    }

    pub(crate) async fn head(&self) -> Result<Head> {
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await;
        let header = block
            .map_err(|error| self.failed("read the newest block", &error))?
            .ok_or_else(|| Failure::new(Exit::Unreachable, format!("{} knows no block", self.url)))?
            .header;
        Ok(Head { block: header.number, time: header.timestamp })
    }

    pub(crate) async fn slot(&self, id: JobId) -> Result<StoredJob> {
        let job = self
            .market
            .job(id.0)
            .call()
            .await
            .map_err(|error| self.call_failed("read the job", &error))?;
        StoredJob::try_from(job).map_err(|error| {
            Failure::new(Exit::Refused, error.to_string())
                .hint("does --deployment name a JobMarket contract of this version?")
        })
    }

    /// The last second of the lease; zero where the job is not assigned.
    pub(crate) async fn lease_end(&self, terms: &Terms) -> Result<u64> {
        let end = self.market.leaseEnd(terms.into()).call().await;
        Ok(end.map_err(|error| self.call_failed("read the lease", &error))?.to())
    }

    /// Whose node it is, and whether it was revoked.
    pub(crate) async fn node(&self, node: Address) -> Result<Option<(Address, bool)>> {
        let found = self
            .market
            .node(node)
            .call()
            .await
            .map_err(|error| self.call_failed("read the node", &error))?;
        Ok((!found.provider.is_zero()).then_some((found.provider, found.revoked)))
    }

    /// What `scheduler` may do with the provider's nodes, and its balance in `token`.
    pub(crate) async fn approval(
        &self,
        provider: Address,
        scheduler: Address,
        token: Address,
    ) -> Result<Approval> {
        let found = self.market.approval(provider, scheduler, token).call().await;
        let found = found.map_err(|error| self.call_failed("read the approval", &error))?;
        Ok(Approval {
            approved: found.approved,
            bond_limit: Amount(found.bondLimit),
            bond_used: Amount(found.bondUsed),
        })
    }

    /// The epoch that an owner's orders must carry.
    pub(crate) async fn epoch(&self, owner: Address) -> Result<u32> {
        let epoch = self.market.epoch(owner).call().await;
        epoch.map_err(|error| self.call_failed("read the epoch", &error))
    }

    /// What a batch that was mined has left out, and why.
    pub(crate) async fn skipped(&self, hash: TxHash) -> Result<Vec<(JobId, String)>> {
        let receipt = self.provider.get_transaction_receipt(hash.0).await;
        let receipt = receipt.map_err(|error| self.failed("read the receipt", &error))?;
        let logs = receipt.iter().flat_map(|receipt| receipt.logs());
        let ours = logs.filter(|log| log.address() == self.deployment.contract);
        let skipped = ours.filter_map(|log| log.log_decode::<JobMarket::Skipped>().ok());
        Ok(skipped
            .map(|log| {
                let event = log.inner.data;
                let words = revert_words(&event.reason, self.deployment.chain_id);
                let words = words.unwrap_or_else(|| "the contract gave no reason".to_owned());
                (JobId(event.jobId), words)
            })
            .collect())
    }

    /// What an owner has in the market: deposits, bonds that came back, and payments that could not be pushed.
    pub(crate) async fn held(&self, owner: Address, token: Address) -> Result<U256> {
        let held = self.market.balance(owner, token).call().await;
        held.map_err(|error| self.call_failed("read the balance in the market", &error))
    }

    pub(crate) async fn balance(&self, owner: Address, token: Address) -> Result<U256> {
        if token.is_zero() {
            let balance = self.provider.get_balance(owner).await;
            return balance.map_err(|error| self.failed("read the balance", &error));
        }
        let balance = Erc20::new(token, &self.provider).balanceOf(owner).call().await;
        balance.map_err(|error| no_token(token, &error))
    }

    /// Decimals of the token, so that amounts can be written in coins.
    pub(crate) async fn decimals(&self, token: Address) -> Result<u32> {
        if token.is_zero() {
            return Ok(NATIVE_DECIMALS);
        }
        let decimals = Erc20::new(token, &self.provider).decimals().call().await;
        decimals.map(u32::from).map_err(|error| no_token(token, &error))
    }

    /// The same, for amounts that must be shown whatever a stranger's token answers: 0 shows its smallest unit.
    pub(crate) async fn decimals_or_none(&self, token: Address) -> u32 {
        self.decimals(token).await.unwrap_or(0)
    }

    /// What a transaction from `from` will cost at most. It says in words why the contract would refuse it.
    pub(crate) async fn cost(&self, from: Address, request: &TransactionRequest) -> Result<Cost> {
        let value = request.value.unwrap_or_default();
        let balance = self.balance(from, Address::ZERO).await?;
        if balance < value {
            return Err(self.too_poor(from, balance, value));
        }
        let fees = self
            .provider
            .estimate_eip1559_fees()
            .await
            .map_err(|error| self.failed("ask for the gas price", &error))?;
        let estimate = self.provider.estimate_gas(request.clone().with_from(from)).await;
        let estimate = estimate.map_err(|error| self.refused("estimate the gas", &error))?;
        let cost = Cost {
            gas_limit: estimate.saturating_mul(GAS_LIMIT_PERCENT).div_ceil(100),
            fee_per_gas_max: fees.max_fee_per_gas,
            tip_per_gas_max: fees.max_priority_fee_per_gas,
        };
        let needed = value.saturating_add(U256::from(cost.gas_wei_max().0));
        if balance < needed {
            return Err(self.too_poor(from, balance, needed));
        }
        Ok(cost)
    }

    /// Signs, without sending, so that the hash can be kept first.
    pub(crate) async fn sign(
        &self,
        signer: &PrivateKeySigner,
        request: TransactionRequest,
        cost: &Cost,
    ) -> Result<Signed> {
        let nonce = self.provider.get_transaction_count(signer.address()).pending().await;
        let nonce = nonce.map_err(|error| self.failed("ask for the nonce", &error))?;
        let request = request
            .with_from(signer.address())
            .with_chain_id(self.deployment.chain_id)
            .with_nonce(nonce)
            .with_gas_limit(cost.gas_limit)
            .with_max_fee_per_gas(cost.fee_per_gas_max)
            .with_max_priority_fee_per_gas(cost.tip_per_gas_max);
        let envelope: TxEnvelope =
            request.build(&EthereumWallet::from(signer.clone())).await.map_err(|error| {
                Failure::caused(Exit::Wallet, "cannot sign the transaction", &error)
            })?;
        Ok(Signed { hash: TxHash(*envelope.tx_hash()), raw: envelope.encoded_2718() })
    }

    /// Sends what was signed and waits until it is in a block. From here on a failure means "not known", not "not done".
    pub(crate) async fn broadcast(
        &self,
        out: &Output,
        what: &str,
        signed: &Signed,
    ) -> Result<Mined> {
        let sent = self.provider.send_raw_transaction(&signed.raw).await;
        if let Err(error) = sent {
            // An answer that got lost, or a transaction that is known already, is told apart by its receipt below; only
            // a plain refusal is final.
            if let Some(answer) = error.as_error_resp()
                && !answer.message.contains("already known")
            {
                return Err(self.refused(&format!("send the transaction for {what}"), &error));
            }
            out.warn(format!(
                "{} did not confirm that it took the transaction; looking for it",
                self.url
            ));
        }
        out.note(format!("{what}: transaction {} sent, waiting for a block …", signed.hash));
        let receipt = self.wait(signed.hash).await?;
        let mined = Mined {
            hash: signed.hash,
            block: receipt.block_number.unwrap_or_default(),
            gas_used: receipt.gas_used,
        };
        if !receipt.status() {
            return Err(Failure::new(Exit::Refused, format!("{what}: transaction {} was mined and reverted", signed.hash))
                .hint("the state changed meanwhile; nothing was moved but the gas. `gristmill recover` shows what can be done"));
        }
        out.note(format!("{what}: in block {}, {} gas", mined.block, mined.gas_used));
        Ok(mined)
    }

    /// Checks, signs, sends, and waits until it is in a block.
    pub(crate) async fn send(
        &self,
        out: &Output,
        signer: &PrivateKeySigner,
        what: &str,
        request: TransactionRequest,
    ) -> Result<Mined> {
        let cost = self.cost(signer.address(), &request).await?;
        let signed = self.sign(signer, request, &cost).await?;
        self.broadcast(out, what, &signed).await
    }

    async fn wait(&self, hash: TxHash) -> Result<TransactionReceipt> {
        let deadline = tokio::time::Instant::now() + MINED_TIMEOUT;
        let mut last_error = None;
        loop {
            match self.provider.get_transaction_receipt(hash.0).await {
                Ok(Some(receipt)) => return Ok(receipt),
                Ok(None) => {}
                Err(error) => last_error = Some(chain_of(&error)),
            }
            if tokio::time::Instant::now() >= deadline {
                let why = last_error.map(|error| format!(" ({error})")).unwrap_or_default();
                return Err(Failure::new(
                    Exit::Unreachable,
                    format!(
                        "transaction {hash} is in no block after {} s{why}",
                        MINED_TIMEOUT.as_secs()
                    ),
                )
                .hint(
                    "it may still be mined. Look with `gristmill recover` before you try again",
                ));
            }
            tokio::time::sleep(MINED_POLL).await;
        }
    }

    fn too_poor(&self, owner: Address, balance: U256, needed: U256) -> Failure {
        let coin = coin(self.deployment.chain_id);
        Failure::new(
            Exit::Funds,
            format!(
                "{owner} has {} {coin}, and up to {} {coin} are needed, gas included",
                decimal(balance, NATIVE_DECIMALS),
                decimal(needed, NATIVE_DECIMALS),
            ),
        )
        .hint(format!("send coins to {owner}; nothing was sent"))
    }

    fn failed(&self, doing: &str, error: &TransportError) -> Failure {
        let doing = format!("cannot {doing} through {}", self.url);
        if matches!(error, RpcError::ErrorResp(_)) {
            return Failure::caused(Exit::Refused, &doing, error);
        }
        Failure::new(Exit::Unreachable, format!("{doing}: {}", root_of(error)))
            .hint("check --rpc, or run `gristmill doctor`")
    }

    /// A refusal of the contract in words, where there is one.
    fn refused(&self, doing: &str, error: &TransportError) -> Failure {
        let data = error.as_error_resp().and_then(|answer| answer.as_revert_data());
        match data.and_then(|data| revert_words(&data, self.deployment.chain_id)) {
            Some(words) => Failure::new(Exit::Refused, words)
                .hint("the contract would refuse; nothing was sent"),
            None => self.failed(doing, error),
        }
    }

    fn call_failed(&self, doing: &str, error: &alloy::contract::Error) -> Failure {
        if let alloy::contract::Error::TransportError(error) = error {
            return self.failed(doing, error);
        }
        Failure::caused(
            Exit::Refused,
            &format!("cannot {doing}: the contract's answer has another form"),
            error,
        )
        .hint("does --deployment name a JobMarket contract of this version?")
    }
}

fn no_token(token: Address, error: &alloy::contract::Error) -> Failure {
    if let alloy::contract::Error::TransportError(error) = error
        && !matches!(error, RpcError::ErrorResp(_))
    {
        return Failure::caused(Exit::Unreachable, "cannot ask the token", error)
            .hint("check --rpc, or run `gristmill doctor`");
    }
    Failure::caused(Exit::Usage, &format!("{token} does not answer like an ERC-20 token"), error)
}

/// What the chain calls its coin.
pub(crate) fn coin(chain_id: u64) -> &'static str {
    match chain_id {
        // Mainnet, the public testnet, and the id of local chains.
        39 | 2484 | 4439 => "U2U",
        _ => "coins",
    }
}

/// An amount with its unit, for people.
pub(crate) fn money(amount: Amount, token: Address, decimals: u32, chain_id: u64) -> String {
    let number = amount.to_decimal(decimals);
    if token.is_zero() {
        format!("{number} {}", coin(chain_id))
    } else {
        format!("{number} of token {token}")
    }
}

/// A balance may be wider than an [`Amount`].
pub(crate) fn decimal(balance: U256, decimals: u32) -> String {
    u128::try_from(balance)
        .map_or_else(|_| format!("{balance} wei"), |wei| Amount(wei).to_decimal(decimals))
}

/// The topic of an address in an event.
pub(crate) fn topic(address: Address) -> B256 {
    address.into_word()
}
