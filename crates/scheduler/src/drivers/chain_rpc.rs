//! What the chain drivers ask of an RPC endpoint, and nothing more.
//!
//! Only `latest`, `pending` and numbers name blocks: U2U's RPC knows no `finalized`. Where several endpoints are
//! configured, one that cannot be reached is left for the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alloy::network::{Ethereum, TransactionBuilder};
use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use alloy::rpc::types::{
    BlockId, BlockNumberOrTag, Filter, Header, Log, TransactionReceipt, TransactionRequest,
};
use alloy::transports::{RpcError, TransportError, TransportResult};
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::ids::TxHash;
use gristmill_protocol::{Address, B256};

use crate::store::chain::BlockRef;

pub mod views;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of an endpoint's message that are kept.
const MESSAGE_CHARS_MAX: usize = 300;

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("no RPC endpoint answers: {0}")]
    Unreachable(String),
    /// It answered with an error of its own.
    #[error("the RPC endpoint refuses: {0}")]
    Refused(String),
    /// What it says cannot be: a block without a hash, a parent that does not exist.
    #[error("the RPC endpoint contradicts itself: {0}")]
    Inconsistent(&'static str),
}

/// Why the scheduler must not start on this chain.
#[derive(Debug, thiserror::Error)]
pub enum WrongChain {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(
        "the RPC endpoint serves chain {found}, but the deployment is on chain {expected}: correct `chain.rpc_urls`"
    )]
    ChainId { found: u64, expected: u64 },
    #[error("there is no contract at {0} on this chain: correct `chain.deployment`, or deploy it")]
    NoContract(Address),
    #[error("`{url}` is not the address of an RPC endpoint")]
    InvalidUrl { url: String },
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// The newest block, as far as anybody here needs to know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    pub block: BlockRef,
    pub parent: B256,
    /// Unix seconds: the time by which the contract decides.
    pub timestamp_s: u64,
}

/// What a call would do if it were mined now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Simulation {
    /// It succeeds with this much gas.
    Succeeds {
        gas: u64,
    },
    Reverts(Revert),
}

/// Why the contract refuses a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revert {
    /// An encoded custom error, where the endpoint passes it on.
    pub data: Vec<u8>,
    pub message: String,
}

/// Fees of a transaction, in wei for each unit of gas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fees {
    pub max_wei: u64,
    pub priority_wei: u64,
}

/// The endpoints of one chain.
pub struct ChainRpc {
    providers: Vec<RootProvider>,
    /// The one that answered last.
    current: AtomicUsize,
    contract: Address,
}

impl ChainRpc {
    /// Connects to nothing yet: endpoints are asked when they are needed.
    pub fn new(urls: &[String], deployment: &Deployment) -> Result<Self, WrongChain> {
        let http =
            reqwest::Client::builder().timeout(CALL_TIMEOUT).build().map_err(WrongChain::Client)?;
        let connect = |url: &String| {
            let parsed = url.parse().map_err(|_| WrongChain::InvalidUrl { url: url.clone() })?;
            Ok(ProviderBuilder::<_, _, Ethereum>::default().connect_reqwest(http.clone(), parsed))
        };
        let providers = urls.iter().map(connect).collect::<Result<Vec<_>, WrongChain>>()?;
        if providers.is_empty() {
            return Err(WrongChain::InvalidUrl { url: String::new() });
        }
        Ok(Self { providers, current: AtomicUsize::new(0), contract: deployment.contract })
    }

    /// Checks that the endpoint serves the chain of the deployment, and that the contract is there. Warns where the signer
    /// cannot pay for gas: nothing is lost by that, but nothing goes on either.
    pub async fn check(&self, deployment: &Deployment, signer: Address) -> Result<(), WrongChain> {
        let found = self.call(|rpc| async move { rpc.get_chain_id().await }).await?;
        if found != deployment.chain_id {
            return Err(WrongChain::ChainId { found, expected: deployment.chain_id });
        }
        let contract = deployment.contract;
        if self.call(|rpc| async move { rpc.get_code_at(contract).await }).await?.is_empty() {
            return Err(WrongChain::NoContract(contract));
        }
        if self.call(|rpc| async move { rpc.get_balance(signer).await }).await?.is_zero() {
            tracing::warn!(%signer, "the scheduler's account holds no coin to pay for gas: nothing can be assigned or settled");
        }
        Ok(())
    }

    /// The newest block.
    pub async fn head(&self) -> Result<Head, CallError> {
        self.header(BlockId::latest())
            .await?
            .ok_or(CallError::Inconsistent("there is no latest block"))
    }

    pub async fn header_at(&self, number: u64) -> Result<Option<Head>, CallError> {
        self.header(BlockId::number(number)).await
    }

    pub async fn header_of(&self, hash: B256) -> Result<Option<Head>, CallError> {
        self.header(BlockId::hash(hash)).await
    }

    async fn header(&self, id: BlockId) -> Result<Option<Head>, CallError> {
        let block = self.call(|rpc| async move { rpc.get_block(id).await }).await?;
        Ok(block.map(|block| head(&block.header)))
    }

    /// Events of the contract, in order.
    pub async fn logs(&self, from: u64, to: u64) -> Result<Vec<Log>, CallError> {
        let filter = Filter::new().address(self.contract).from_block(from).to_block(to);
        let mut logs = self
            .call(|rpc| {
                let filter = filter.clone();
                async move { rpc.get_logs(&filter).await }
            })
            .await?;
        logs.retain(|log| !log.removed);
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        Ok(logs)
    }

    /// How many transactions of `account` are mined: the least nonce that is still free.
    pub async fn nonce(&self, account: Address) -> Result<u64, CallError> {
        self.nonce_at(account, BlockId::latest()).await
    }

    /// The same, as of the block with this number.
    pub async fn nonce_by(&self, account: Address, number: u64) -> Result<u64, CallError> {
        self.nonce_at(account, BlockId::number(number)).await
    }

    async fn nonce_at(&self, account: Address, block: BlockId) -> Result<u64, CallError> {
        self.call(|rpc| async move { rpc.get_transaction_count(account).block_id(block).await })
            .await
    }

    pub async fn receipt(&self, hash: TxHash) -> Result<Option<TransactionReceipt>, CallError> {
        self.call(|rpc| async move { rpc.get_transaction_receipt(hash.0).await }).await
    }

    /// Sends signed bytes. An error does not prove that they have not arrived.
    pub async fn send(&self, raw: &[u8]) -> Result<(), CallError> {
        self.call(|rpc| async move { rpc.send_raw_transaction(raw).await.map(drop) }).await
    }

    /// What a call of the contract by `from` would do on top of what is waiting to be mined.
    pub async fn simulate_pending(
        &self,
        from: Address,
        data: &[u8],
    ) -> Result<Simulation, CallError> {
        self.simulate(from, data, BlockNumberOrTag::Pending).await
    }

    /// What a call of the contract by `from` would do right after the newest block.
    pub async fn simulate_latest(
        &self,
        from: Address,
        data: &[u8],
    ) -> Result<Simulation, CallError> {
        self.simulate(from, data, BlockNumberOrTag::Latest).await
    }

    /// What a call of the contract by `from` would have done right after the block with this number.
    pub async fn simulate_at(
        &self,
        from: Address,
        data: &[u8],
        number: u64,
    ) -> Result<Simulation, CallError> {
        self.simulate(from, data, BlockNumberOrTag::Number(number)).await
    }

    async fn simulate(
        &self,
        from: Address,
        data: &[u8],
        block: BlockNumberOrTag,
    ) -> Result<Simulation, CallError> {
        let request = TransactionRequest::default()
            .with_from(from)
            .with_to(self.contract)
            .with_input(data.to_vec());
        // A revert is an answer here, so it must not count as a failure of the call.
        self.call(|rpc| {
            let request = request.clone();
            async move {
                match rpc.estimate_gas(request).block(block.into()).await {
                    Ok(gas) => Ok(Simulation::Succeeds { gas }),
                    Err(error) => match revert(&error) {
                        Some(revert) => Ok(Simulation::Reverts(revert)),
                        None => Err(error),
                    },
                }
            }
        })
        .await
    }

    /// What a transaction should offer to be mined soon.
    pub async fn fees(&self) -> Result<Fees, CallError> {
        let estimate = self.call(|rpc| async move { rpc.estimate_eip1559_fees().await }).await?;
        let narrow = |wei: u128| u64::try_from(wei).unwrap_or(u64::MAX);
        Ok(Fees {
            max_wei: narrow(estimate.max_fee_per_gas),
            priority_wei: narrow(estimate.max_priority_fee_per_gas),
        })
    }

    /// Asks the endpoints in turn, beginning with the one that answered last, until one answers.
    async fn call<T, F: Future<Output = TransportResult<T>>>(
        &self,
        call: impl Fn(RootProvider) -> F,
    ) -> Result<T, CallError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut unreachable = String::new();
        for step in 0..self.providers.len() {
            let index = (first + step) % self.providers.len();
            match tokio::time::timeout(CALL_TIMEOUT, call(self.providers[index].clone())).await {
                Ok(Ok(value)) => {
                    self.current.store(index, Ordering::Relaxed);
                    return Ok(value);
                }
                Ok(Err(RpcError::ErrorResp(error))) if !error.is_retry_err() => {
                    return Err(CallError::Refused(cut(&error.to_string())));
                }
                Ok(Err(error)) => unreachable = cut(&error.to_string()),
                Err(_) => unreachable = format!("no answer within {} s", CALL_TIMEOUT.as_secs()),
            }
        }
        metrics::counter!("gristmill_chain_calls_failed_total").increment(1);
        Err(CallError::Unreachable(unreachable))
    }
}

fn head(header: &Header) -> Head {
    Head {
        block: BlockRef { number: header.number, hash: header.hash },
        parent: header.parent_hash,
        timestamp_s: header.timestamp,
    }
}

fn revert(error: &TransportError) -> Option<Revert> {
    let payload = error.as_error_resp()?;
    let is_revert = payload.code == 3 || payload.message.contains("revert");
    is_revert.then(|| Revert {
        data: payload.as_revert_data().map(|data| data.to_vec()).unwrap_or_default(),
        message: cut(&payload.message),
    })
}

/// An endpoint is a stranger: what it writes into our log has an end.
fn cut(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}
