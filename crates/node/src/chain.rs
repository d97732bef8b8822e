//! The chain through the node's own RPC endpoint: what the contract says of a job, and the few transactions that a
//! node pays itself. About money the node believes this, and not the scheduler.

use std::time::Duration;

use alloy::eips::BlockId;
use alloy::network::EthereumWallet;
use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::{Block, BlockNumberOrTag};
use gristmill_protocol::api::AttemptRef;
use gristmill_protocol::contracts::{JobMarket, StoredJob};
use gristmill_protocol::ids::{NodeId, ReceiptHash, TxHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::signing::{CompactSignature, Domain, Message};
use gristmill_protocol::terms::Terms;
use tokio::sync::Mutex;

use crate::agent::Seen;
use crate::key::NodeKey;

/// The chain charges a tenth of unused gas, so limits are tight: the estimate and a twentieth.
const GAS_PERCENT: u64 = 105;
const RPC_TIMEOUT: Duration = Duration::from_secs(20);
const MINED_TIMEOUT: Duration = Duration::from_secs(120);

/// The contract, called as this node.
pub struct Chain {
    provider: DynProvider,
    market: JobMarket::JobMarketInstance<DynProvider>,
    domain: Domain,
    key: NodeKey,
    /// Transactions of one key follow each other, or two would take the same nonce.
    sending: Mutex<()>,
}

/// What the contract says of a node, for good but for the revocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Enrollment {
    pub provider: Address,
    pub revoked: bool,
}

/// What a provider lets a scheduler do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Approval {
    pub is_approved: bool,
    /// How much more it may lock as bonds.
    pub bond_free: Amount,
}

#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error("`{0}` is not an RPC endpoint: write http://host:port or https://host")]
    InvalidUrl(String),
    #[error("the RPC endpoint does not answer: {0}")]
    Unreachable(String),
    #[error("the RPC endpoint is on chain {found}, but the configuration says {expected}")]
    WrongChain { found: u64, expected: u64 },
    #[error("there is no contract at {0} on this chain")]
    NoContract(Address),
    #[error("the contract refuses to {verb}: {reason}")]
    Refused { verb: &'static str, reason: String },
    #[error("the transaction {hash} to {verb} was mined and reverted")]
    Reverted { verb: &'static str, hash: TxHash },
    #[error("the contract's answer makes no sense: {0}")]
    Nonsense(String),
}

fn unreachable(error: impl std::fmt::Display) -> ChainError {
    ChainError::Unreachable(error.to_string())
}

impl Chain {
    pub fn new(rpc_url: &str, domain: Domain, key: NodeKey) -> Result<Self, ChainError> {
        let invalid = || ChainError::InvalidUrl(rpc_url.to_owned());
        let url: reqwest::Url = rpc_url.parse().map_err(|_| invalid())?;
        let http =
            reqwest::Client::builder().timeout(RPC_TIMEOUT).build().map_err(|_| invalid())?;
        let wallet = EthereumWallet::from(key.signer());
        // The nonce is asked of the chain each time: a cached one does not recover from a dropped transaction.
        let provider = ProviderBuilder::new()
            .disable_recommended_fillers()
            .with_simple_nonce_management()
            .with_gas_estimation()
            .with_chain_id(domain.chain_id)
            .wallet(wallet)
            .connect_reqwest(http, url)
            .erased();
        let market = JobMarket::new(domain.contract, provider.clone());
        Ok(Self { provider, market, domain, key, sending: Mutex::new(()) })
    }

    /// Makes sure that the endpoint is on the right chain and that the contract is there.
    pub async fn check(&self) -> Result<(), ChainError> {
        let found = self.provider.get_chain_id().await.map_err(unreachable)?;
        if found != self.domain.chain_id {
            return Err(ChainError::WrongChain { found, expected: self.domain.chain_id });
        }
        let code = self.provider.get_code_at(self.domain.contract).await.map_err(unreachable)?;
        if code.is_empty() {
            return Err(ChainError::NoContract(self.domain.contract));
        }
        Ok(())
    }

    #[must_use]
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// The time of the newest block, in unix seconds.
    pub async fn now(&self) -> Result<u64, ChainError> {
        Ok(self.newest_block().await?.header.timestamp)
    }

    async fn newest_block(&self) -> Result<Block, ChainError> {
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await;
        block.map_err(unreachable)?.ok_or_else(|| ChainError::Nonsense("it has no block".into()))
    }

    /// What the contract says of a job now.
    pub async fn look(&self, terms: &Terms) -> Result<Seen, ChainError> {
        let block = self.newest_block().await?;
        let at = BlockId::hash(block.header.hash);
        let id = terms.id(&self.domain);
        let slot = self.market.job(id.0).block(at).call().await.map_err(unreachable)?;
        let job =
            StoredJob::try_from(slot).map_err(|error| ChainError::Nonsense(error.to_string()))?;
        let lease = if job.called_in { terms.grace_seconds } else { terms.lease_seconds };
        let lease_end = job
            .at_s
            .saturating_add(lease.into())
            .min(job.assigned_at_s.saturating_add(terms.attempt_seconds.into()));
        Ok(Seen {
            state: job.state,
            node: job.node.0,
            attempt: job.attempt.0,
            lease_end,
            called_in: job.called_in,
            assigned_at: job.assigned_at_s,
            at: job.at_s,
            now: block.header.timestamp,
        })
    }

    /// The wallet that enrolled a node, if any did.
    pub async fn enrollment(&self, node: NodeId) -> Result<Option<Enrollment>, ChainError> {
        let answer = self.market.node(node.0).call().await.map_err(unreachable)?;
        let enrollment = Enrollment { provider: answer.provider, revoked: answer.revoked };
        Ok((!answer.provider.is_zero()).then_some(enrollment))
    }

    /// The provider whose wallet enrolled this node, if any did and has not revoked it.
    pub async fn provider_of(&self, node: NodeId) -> Result<Option<Address>, ChainError> {
        let enrollment = self.enrollment(node).await?;
        Ok(enrollment.filter(|known| !known.revoked).map(|known| known.provider))
    }

    pub async fn approval(
        &self,
        provider: Address,
        scheduler: Address,
        token: Address,
    ) -> Result<Approval, ChainError> {
        let approval =
            self.market.approval(provider, scheduler, token).call().await.map_err(unreachable)?;
        Ok(Approval {
            is_approved: approval.approved,
            bond_free: Amount(approval.bondLimit.saturating_sub(approval.bondUsed)),
        })
    }

    /// What a provider has in the market that bonds can be taken from.
    pub async fn stake(&self, provider: Address, token: Address) -> Result<Amount, ChainError> {
        let balance = self.market.balance(provider, token).call().await.map_err(unreachable)?;
        Ok(Amount(balance.saturating_to()))
    }

    /// What the node has for gas.
    pub async fn balance(&self) -> Result<U256, ChainError> {
        self.provider.get_balance(self.key.id().0).await.map_err(unreachable)
    }

    /// Says that the node lives and goes on.
    pub async fn renew(&self, terms: &Terms, held: &AttemptRef) -> Result<TxHash, ChainError> {
        // The chain's own clock counts: a renewal from the future is refused.
        let issued_at = self.now().await?;
        let message = Message::Renew { job_id: held.job_id, attempt: held.attempt, issued_at };
        let signature = self.key.sign(&self.domain, &message);
        let issued_at = alloy::primitives::aliases::U40::from(issued_at);
        self.send("renew", self.market.renew(terms.into(), issued_at, (&signature).into())).await
    }

    /// Gives the attempt back.
    pub async fn release(&self, terms: &Terms, held: &AttemptRef) -> Result<TxHash, ChainError> {
        let message = Message::Release { job_id: held.job_id, attempt: held.attempt };
        let signature = self.key.sign(&self.domain, &message);
        self.send("release", self.market.release(terms.into(), (&signature).into())).await
    }

    /// Puts a result on chain without the scheduler.
    pub async fn publish(
        &self,
        terms: &Terms,
        receipt_hash: ReceiptHash,
        signature: &CompactSignature,
    ) -> Result<TxHash, ChainError> {
        self.send("publish", self.market.publish(terms.into(), receipt_hash.0, signature.into()))
            .await
    }

    /// Pays out what was held or published, after its window.
    pub async fn claim(&self, terms: &Terms) -> Result<TxHash, ChainError> {
        self.send("claim", self.market.claim(terms.into())).await
    }

    async fn send<D: alloy::contract::CallDecoder>(
        &self,
        verb: &'static str,
        call: alloy::contract::CallBuilder<&DynProvider, D>,
    ) -> Result<TxHash, ChainError> {
        let _one_at_a_time = self.sending.lock().await;
        let refused = |error: alloy::contract::Error| refusal(verb, &error);
        let gas = call.estimate_gas().await.map_err(refused)?;
        let gas = gas.saturating_mul(GAS_PERCENT).div_ceil(100);
        let pending = call.gas(gas).send().await.map_err(refused)?;
        let receipt =
            pending.with_timeout(Some(MINED_TIMEOUT)).get_receipt().await.map_err(unreachable)?;
        let hash = TxHash(receipt.transaction_hash);
        if receipt.status() { Ok(hash) } else { Err(ChainError::Reverted { verb, hash }) }
    }
}

/// A refusal in the contract's own words where it has some.
fn refusal(verb: &'static str, error: &alloy::contract::Error) -> ChainError {
    match error.as_decoded_interface_error::<JobMarket::JobMarketErrors>() {
        Some(reason) => ChainError::Refused { verb, reason: format!("{reason:?}") },
        None => ChainError::Unreachable(error.to_string()),
    }
}
