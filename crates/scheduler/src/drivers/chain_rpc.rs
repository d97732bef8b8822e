//! What the chain drivers ask of an RPC endpoint, and nothing more.
//!
//! Only `latest`, `pending` and numbers name blocks: U2U's RPC knows no `finalized`. Where several endpoints are
//! configured, one at a time is asked: the one that answered last, until it fails or is behind another one. An endpoint is
//! believed in what it says, but not in how: it may be slow, far behind, on another chain, or talk nonsense without end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use alloy::network::{Ethereum, TransactionBuilder};
use alloy::primitives::U256;
use alloy::providers::utils::{Eip1559Estimation, Eip1559Estimator, eip1559_default_estimator};
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::types::{
    BlockId, BlockNumberOrTag, Filter, Header, Log, TransactionReceipt, TransactionRequest,
};
use alloy::transports::{RpcError, TransportError, TransportErrorKind, TransportResult};
use futures_util::future::join_all;
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::ids::TxHash;
use gristmill_protocol::{Address, B256};

use crate::store::chain::BlockRef;

mod transport;
pub mod views;

use transport::{AnswerTooLarge, BoundedHttp};

/// Characters of an endpoint's message that are kept.
const MESSAGE_CHARS_MAX: usize = 300;

/// What one call may cost.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    pub timeout: Duration,
    pub answer_bytes_max: usize,
}

impl Default for CallLimits {
    /// The events of a whole block of U2U are a tenth of this many bytes.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), answer_bytes_max: 32 << 20 }
    }
}

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("no RPC endpoint answers: {0}")]
    Unreachable(String),
    /// It was asked for too much, or is too slow for anything.
    #[error("the RPC endpoint does not answer within {0:?}")]
    TooSlow(Duration),
    #[error("the RPC endpoint answers with more than {0} bytes")]
    TooLarge(usize),
    /// It answered with an error of its own.
    #[error("the RPC endpoint refuses: {0}")]
    Refused(String),
    /// What it says cannot be: another block than the one that was asked for, a block without a hash.
    #[error("the RPC endpoint contradicts itself: {0}")]
    Inconsistent(&'static str),
}

impl CallError {
    /// Whether it may help to ask for less.
    pub fn is_about_size(&self) -> bool {
        match self {
            Self::TooSlow(_) | Self::TooLarge(_) | Self::Refused(_) => true,
            Self::Unreachable(_) | Self::Inconsistent(_) => false,
        }
    }

    /// In one word, for the metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TooSlow(_) => "slow",
            Self::TooLarge(_) => "too_large",
            Self::Refused(_) => "refused",
            Self::Inconsistent(_) => "malformed",
        }
    }
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
    endpoints: Vec<Endpoint>,
    /// The one that is asked first.
    current: AtomicUsize,
    chain_id: u64,
    contract: Address,
    limits: CallLimits,
}

struct Endpoint {
    /// Its host and port: what else is in a URL may be secret.
    name: String,
    provider: RootProvider,
    /// Whether it serves the chain of the deployment; asked before anything else, and again after it failed.
    is_checked: AtomicBool,
}

impl ChainRpc {
    /// Connects to nothing yet: endpoints are asked when they are needed.
    pub fn new(urls: &[String], deployment: &Deployment) -> Result<Self, WrongChain> {
        Self::with_limits(urls, deployment, CallLimits::default())
    }

    /// The same, with limits of one's own.
    pub fn with_limits(
        urls: &[String],
        deployment: &Deployment,
        limits: CallLimits,
    ) -> Result<Self, WrongChain> {
        let http = reqwest::Client::builder().build().map_err(WrongChain::Client)?;
        let connect = |text: &String| {
            let invalid = || WrongChain::InvalidUrl { url: text.clone() };
            let url: reqwest::Url = text.parse().map_err(|_| invalid())?;
            let host = url.host_str().ok_or_else(invalid)?;
            let name = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            let answer_bytes_max = limits.answer_bytes_max;
            let transport = BoundedHttp { http: http.clone(), url, answer_bytes_max };
            let provider = RootProvider::<Ethereum>::new(RpcClient::new(transport, false));
            Ok(Endpoint { name, provider, is_checked: AtomicBool::new(false) })
        };
        let endpoints = urls.iter().map(connect).collect::<Result<Vec<_>, WrongChain>>()?;
        if endpoints.is_empty() {
            return Err(WrongChain::InvalidUrl { url: String::new() });
        }
        Ok(Self {
            endpoints,
            current: AtomicUsize::new(0),
            chain_id: deployment.chain_id,
            contract: deployment.contract,
            limits,
        })
    }

    /// Checks that the endpoint serves the chain of the deployment, and that the contract is there. Warns where the signer
    /// cannot pay for gas: nothing is lost by that, but nothing goes on either.
    pub async fn check(&self, deployment: &Deployment, signer: Address) -> Result<(), WrongChain> {
        let found = self.ask(|rpc| async move { rpc.get_chain_id().await }, false).await?;
        if found != deployment.chain_id {
            return Err(WrongChain::ChainId { found, expected: deployment.chain_id });
        }
        let contract = deployment.contract;
        if self.call(|rpc| async move { rpc.get_code_at(contract).await }).await?.is_empty() {
            return Err(WrongChain::NoContract(contract));
        }
        if self.balance(signer).await?.is_zero() {
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

    /// Compares the endpoints and asks the one that is furthest from now on; its newest block, if it was another one before.
    pub async fn prefer_furthest(&self) -> Option<Head> {
        if self.endpoints.len() < 2 {
            return None;
        }
        let latest = |rpc: RootProvider| async move { rpc.get_block(BlockId::latest()).await };
        let heads =
            join_all(self.endpoints.iter().map(|endpoint| self.ask_one(endpoint, &latest, true)))
                .await;
        let heads: Vec<Option<Head>> = heads
            .into_iter()
            .map(|answer| answer.ok().flatten().map(|block| head(&block.header)))
            .collect();
        let number = |index: usize| heads[index].map(|head| head.block.number);
        let current = self.current.load(Ordering::Relaxed);
        let best = (0..heads.len()).max_by_key(|index| (number(*index), *index == current))?;
        if best == current {
            return None;
        }
        tracing::warn!(
            from = self.endpoints[current].name,
            to = self.endpoints[best].name,
            at_block = number(current),
            other_at_block = number(best),
            "an RPC endpoint is behind another one, which is asked from now on"
        );
        self.switch_to(best);
        heads[best]
    }

    fn switch_to(&self, index: usize) {
        self.current.store(index, Ordering::Relaxed);
        metrics::counter!("gristmill_chain_endpoint_switches_total").increment(1);
    }

    pub async fn header_at(&self, number: u64) -> Result<Option<Head>, CallError> {
        let head = self.header(BlockId::number(number)).await?;
        match head {
            Some(head) if head.block.number != number => {
                Err(CallError::Inconsistent("it answers with a block of another number"))
            }
            head => Ok(head),
        }
    }

    pub async fn header_of(&self, hash: B256) -> Result<Option<Head>, CallError> {
        let head = self.header(BlockId::hash(hash)).await?;
        match head {
            Some(head) if head.block.hash != hash => {
                Err(CallError::Inconsistent("it answers with a block of another hash"))
            }
            head => Ok(head),
        }
    }

    async fn header(&self, id: BlockId) -> Result<Option<Head>, CallError> {
        let block = self.call(|rpc| async move { rpc.get_block(id).await }).await?;
        Ok(block.map(|block| head(&block.header)))
    }

    /// Events of the contract from block `from` to `to`, in order, and the block `to`; nothing where the endpoint does not
    /// have it, or has replaced it meanwhile. All of it comes from one endpoint: events of one history beside blocks of
    /// another would be lost.
    pub async fn events(
        &self,
        from: u64,
        to: u64,
    ) -> Result<Option<(BlockRef, Vec<Log>)>, CallError> {
        let filter = Filter::new().address(self.contract).from_block(from).to_block(to);
        let answer = self
            .call(|rpc| {
                let filter = filter.clone();
                async move {
                    let block = || rpc.get_block(BlockId::number(to));
                    let Some(before) = block().await? else { return Ok(None) };
                    let logs = rpc.get_logs(&filter).await?;
                    let after = block().await?;
                    let same = after.is_some_and(|after| after.header.hash == before.header.hash);
                    Ok(same.then(|| (head(&before.header).block, logs)))
                }
            })
            .await?;
        let Some((block, mut logs)) = answer else { return Ok(None) };
        logs.retain(|log| !log.removed);
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        let inside = |log: &Log| log.block_number.is_some_and(|at| (from..=to).contains(&at));
        if block.number != to || !logs.iter().all(inside) {
            return Err(CallError::Inconsistent("it answers with events of other blocks"));
        }
        Ok(Some((block, logs)))
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

    pub async fn balance(&self, account: Address) -> Result<U256, CallError> {
        self.call(|rpc| async move { rpc.get_balance(account).await }).await
    }

    /// Sends signed bytes. An error does not prove that they have not arrived.
    pub async fn send(&self, raw: &[u8]) -> Result<(), CallError> {
        self.call(|rpc| async move { rpc.send_raw_transaction(raw).await.map(drop) }).await
    }

    /// Sends signed bytes to every endpoint: one of them may take transactions and never pass them on.
    pub async fn send_everywhere(&self, raw: &[u8]) -> Result<(), CallError> {
        let send = |rpc: RootProvider| async move { rpc.send_raw_transaction(raw).await.map(drop) };
        let answers =
            join_all(self.endpoints.iter().map(|endpoint| self.ask_one(endpoint, &send, true)))
                .await;
        best_answer(answers)
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
        let simulation = self
            .call(|rpc| {
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
            .await;
        match simulation {
            // One call that no endpoint wants to simulate, whatever its reason, is no reason to hold up all others.
            Err(CallError::Refused(message)) => {
                Ok(Simulation::Reverts(Revert { data: Vec::new(), message }))
            }
            simulation => simulation,
        }
    }

    /// What a transaction should offer to be mined soon.
    pub async fn fees(&self) -> Result<Fees, CallError> {
        let estimate = self
            .call(|rpc| async move {
                rpc.estimate_eip1559_fees_with(Eip1559Estimator::new(estimate_fees)).await
            })
            .await?;
        let narrow = |wei: u128| u64::try_from(wei).unwrap_or(u64::MAX);
        Ok(Fees {
            max_wei: narrow(estimate.max_fee_per_gas),
            priority_wei: narrow(estimate.max_priority_fee_per_gas),
        })
    }

    /// Asks the endpoints in turn, beginning with the current one, until one answers.
    async fn call<T, F: Future<Output = TransportResult<T>>>(
        &self,
        call: impl Fn(RootProvider) -> F,
    ) -> Result<T, CallError> {
        self.ask(call, true).await
    }

    async fn ask<T, F: Future<Output = TransportResult<T>>>(
        &self,
        call: impl Fn(RootProvider) -> F,
        of_this_chain: bool,
    ) -> Result<T, CallError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for step in 0..self.endpoints.len() {
            let index = (first + step) % self.endpoints.len();
            let endpoint = &self.endpoints[index];
            match self.ask_one(endpoint, &call, of_this_chain).await {
                Ok(value) => {
                    // One that only refused what it was asked is still there for the next question.
                    let has_failed = |error: &CallError| !matches!(error, CallError::Refused(_));
                    if failures.iter().any(has_failed) {
                        tracing::warn!(
                            from = self.endpoints[first].name,
                            to = endpoint.name,
                            error = %failures[0],
                            "an RPC endpoint fails, and another one is asked from now on"
                        );
                        self.switch_to(index);
                    }
                    return Ok(value);
                }
                Err(error) => failures.push(error),
            }
        }
        best_answer(failures.into_iter().map(Err).collect())
    }

    /// Asks one endpoint, within the limits.
    async fn ask_one<T, F: Future<Output = TransportResult<T>>>(
        &self,
        endpoint: &Endpoint,
        call: &impl Fn(RootProvider) -> F,
        of_this_chain: bool,
    ) -> Result<T, CallError> {
        let asked = async {
            if of_this_chain && !endpoint.is_checked.load(Ordering::Relaxed) {
                let found = endpoint.provider.get_chain_id().await.map_err(classify)?;
                if found != self.chain_id {
                    let name = &endpoint.name;
                    tracing::error!(name, found, "an RPC endpoint serves another chain");
                    return Err(CallError::Unreachable(format!(
                        "{name} serves chain {found}, not {}",
                        self.chain_id
                    )));
                }
                endpoint.is_checked.store(true, Ordering::Relaxed);
            }
            call(endpoint.provider.clone()).await.map_err(classify)
        };
        let answer = tokio::time::timeout(self.limits.timeout, asked).await;
        let answer = answer.unwrap_or(Err(CallError::TooSlow(self.limits.timeout)));
        if let Err(error) = &answer {
            metrics::counter!("gristmill_chain_calls_failed_total", "reason" => error.reason())
                .increment(1);
            // Another program may answer there by now.
            if matches!(error, CallError::Unreachable(_)) {
                endpoint.is_checked.store(false, Ordering::Relaxed);
            }
        }
        answer
    }
}

/// What several endpoints say together: an answer if there is one, else a refusal, else the first failure.
fn best_answer<T>(answers: Vec<Result<T, CallError>>) -> Result<T, CallError> {
    let rank = |answer: &Result<T, CallError>| match answer {
        Ok(_) => 0,
        Err(CallError::Refused(_)) => 1,
        Err(_) => 2,
    };
    let none = || Err(CallError::Unreachable("none is configured".to_owned()));
    answers.into_iter().min_by_key(rank).unwrap_or_else(none)
}

/// What it means that a call failed.
fn classify(error: TransportError) -> CallError {
    match error {
        RpcError::ErrorResp(error) if !error.is_retry_err() => {
            CallError::Refused(cut(&error.to_string()))
        }
        RpcError::Transport(TransportErrorKind::Custom(error)) => {
            match error.downcast_ref::<AnswerTooLarge>() {
                Some(too_large) => CallError::TooLarge(too_large.limit_bytes),
                None => CallError::Unreachable(cut(&describe(&*error))),
            }
        }
        RpcError::DeserError { .. } | RpcError::NullResp => {
            CallError::Inconsistent("its answer is not what was asked for")
        }
        error @ (RpcError::ErrorResp(_)
        | RpcError::UnsupportedFeature(_)
        | RpcError::LocalUsageError(_)
        | RpcError::SerError(_)
        | RpcError::Transport(_)) => CallError::Unreachable(cut(&error.to_string())),
    }
}

/// An error with its causes: the outermost one says only that a request failed.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The usual estimate, of numbers small enough to be multiplied.
fn estimate_fees(base_fee_wei: u128, rewards_wei: &[Vec<u128>]) -> Eip1559Estimation {
    let narrow = |wei: u128| wei.min(u64::MAX.into());
    let rewards_wei: Vec<Vec<u128>> =
        rewards_wei.iter().map(|block| block.iter().copied().map(narrow).collect()).collect();
    eip1559_default_estimator(narrow(base_fee_wei), &rewards_wei)
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
