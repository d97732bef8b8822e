//! The chain through the node's own RPC endpoint: what it believes about money, and the few transactions that it pays
//! itself.

use std::time::Duration;

use alloy::contract::Error as ContractError;
use alloy::network::Ethereum;
use alloy::providers::{DynProvider, PendingTransactionBuilder, Provider, ProviderBuilder};
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::contracts::{IJobMarket, JobMarket};
use gristmill_protocol::ids::{JobId, TxHash};
use gristmill_protocol::signing::{CompactSignature, Domain, Message};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::{Address, B256};
use tokio::sync::Mutex;

use crate::agent::{Record, Slot, Verb};
use crate::key::NodeKey;

/// How long one question to the RPC endpoint may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a transaction may take to be mined before the node looks again.
const MINED_TIMEOUT: Duration = Duration::from_secs(120);
/// Bit of the slot's flags: the node was called in.
const FLAG_CALLED_IN: u8 = 1;
/// How far behind the own clock a renewal is dated where blocks are rare, so that no block finds it in the future.
const RENEW_MARGIN_SECONDS: u64 = 2;

#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error("the RPC endpoint cannot be used: {0}")]
    Rpc(String),
    #[error("the RPC endpoint did not answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
    #[error("the RPC endpoint is on chain {actual}; the configuration names chain {wanted}")]
    WrongChain { wanted: u64, actual: u64 },
    #[error("there is no JobMarket contract at {0}; check chain.contract in the configuration")]
    NoContract(Address),
    #[error("the contract would refuse to {verb}: {reason}")]
    Refused { verb: &'static str, reason: String },
    #[error("the transaction {hash} to {verb} was not mined within {} s; it may still be", MINED_TIMEOUT.as_secs())]
    NotMined { verb: &'static str, hash: TxHash },
    #[error("the transaction {hash} to {verb} was reverted")]
    Reverted { verb: &'static str, hash: TxHash },
    #[error("the job has no signed result yet")]
    NoResult,
}

/// What the chain says about the node itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Enrollment {
    /// The zero address while nobody has enrolled the node.
    pub provider: Address,
    pub revoked: bool,
}

/// A mined transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mined {
    pub hash: TxHash,
    pub gas_used: u64,
}

/// One JobMarket contract, seen through one RPC endpoint.
pub struct Chain {
    provider: DynProvider,
    market: JobMarket::JobMarketInstance<DynProvider>,
    key: NodeKey,
    domain: Domain,
    /// Transactions leave one after another, so that each finds its nonce free.
    sending: Mutex<()>,
}

impl Chain {
    pub fn new(rpc_url: &str, domain: Domain, key: NodeKey) -> Result<Self, ChainError> {
        let url = rpc_url.parse().map_err(|error| ChainError::Rpc(format!("`{rpc_url}`: {error}")))?;
        let provider = ProviderBuilder::default()
            .with_simple_nonce_management()
            .with_gas_estimation()
            .with_chain_id(domain.chain_id)
            .wallet(key.signer())
            .connect_http(url)
            .erased();
        let market = JobMarket::new(domain.contract, provider.clone());
        Ok(Self { provider, market, key, domain, sending: Mutex::new(()) })
    }

    /// Makes sure that chain and contract are the configured ones: a signature for another domain would be worthless.
    pub async fn check(&self) -> Result<(), ChainError> {
        let actual = within(async { self.provider.get_chain_id().await.map_err(rpc) }).await?;
        if actual != self.domain.chain_id {
            return Err(ChainError::WrongChain { wanted: self.domain.chain_id, actual });
        }
        let code = within(async { self.provider.get_code_at(self.domain.contract).await.map_err(rpc) }).await?;
        if code.is_empty() {
            return Err(ChainError::NoContract(self.domain.contract));
        }
        // A contract that hashes the sample to another id is no JobMarket of this domain.
        let sample = sample_terms();
        let id: B256 = within(async {
            self.market.jobId((&sample).into()).call().await.map_err(|error| ChainError::Rpc(error.to_string()))
        })
        .await
        .map_err(|error| match error {
            ChainError::Timeout => ChainError::Timeout,
            _ => ChainError::NoContract(self.domain.contract),
        })?;
        if id == sample.id(&self.domain).0 { Ok(()) } else { Err(ChainError::NoContract(self.domain.contract)) }
    }

    /// The time of the newest block.
    pub async fn now_seconds(&self) -> Result<u64, ChainError> {
        let block = within(async { self.provider.get_block(Default::default()).await.map_err(rpc) }).await?;
        block.map(|block| block.header.timestamp).ok_or_else(|| ChainError::Rpc("it has no blocks".into()))
    }

    /// The slot of a job as the newest block has it.
    pub async fn slot(&self, job: JobId) -> Result<Slot, ChainError> {
        let job = within(async { self.market.job(job.0).call().await.map_err(contract) }).await?;
        Ok(Slot {
            state: escrow_state(job._0).ok_or_else(|| ChainError::Rpc(format!("it knows a job state {}", job._0)))?,
            node: job._1,
            at: job.at.to(),
            assigned_at: job.assignedAt.to(),
            attempt: job.attempt,
            called_in: job.flags & FLAG_CALLED_IN != 0,
        })
    }

    pub async fn enrollment(&self) -> Result<Enrollment, ChainError> {
        let node = self.key.id().0;
        let node = within(async { self.market.node(node).call().await.map_err(contract) }).await?;
        Ok(Enrollment { provider: node.provider, revoked: node.revoked })
    }

    /// Whether the provider lets this scheduler assign jobs to its nodes.
    pub async fn is_approved(&self, provider: Address, scheduler: Address, token: Address) -> Result<bool, ChainError> {
        let approval =
            within(async { self.market.approval(provider, scheduler, token).call().await.map_err(contract) }).await?;
        Ok(approval.approved)
    }

    /// What the node has for gas.
    pub async fn gas_balance_wei(&self) -> Result<u128, ChainError> {
        let node = self.key.id().0;
        let balance = within(async { self.provider.get_balance(node).await.map_err(rpc) }).await?;
        Ok(balance.saturating_to())
    }

    /// Sends one of the node's own verbs and waits until it is mined.
    pub async fn send(&self, record: &Record, verb: Verb) -> Result<Mined, ChainError> {
        let terms = &record.assignment.terms;
        match verb {
            Verb::Renew => self.renew(record).await,
            Verb::Publish => {
                let signed = record.phase.signed().ok_or(ChainError::NoResult)?;
                self.publish(terms, signed.receipt.hash().0, &signed.signature).await
            }
            Verb::Claim => self.claim(terms).await,
        }
    }

    async fn renew(&self, record: &Record) -> Result<Mined, ChainError> {
        let _one = self.sending.lock().await;
        let terms: IJobMarket::Terms = (&record.assignment.terms).into();
        let newest = self.now_seconds().await?;
        // The newest block's time is never in the future, but where blocks are rare it may be as old as the last
        // renewal; the node's own clock is right unless chain and clock disagree. The contract says which one holds.
        let own = unix_seconds().saturating_sub(RENEW_MARGIN_SECONDS);
        let mut refusal = ChainError::Timeout;
        for issued_at in [own.max(newest), newest] {
            let message =
                Message::Renew { job_id: record.assignment.job_id, attempt: record.assignment.attempt, issued_at };
            let signature = self.key.sign(&self.domain, &message);
            let issued_at = alloy::primitives::aliases::U40::saturating_from(issued_at);
            let call = self.market.renew(terms.clone(), issued_at, (&signature).into());
            match within(async { call.estimate_gas().await.map_err(|error| refused("renew", error)) }).await {
                Ok(_) => {
                    let sent = within(async { call.send().await.map_err(|error| refused("renew", error)) }).await?;
                    return mined("renew", sent).await;
                }
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    async fn publish(&self, terms: &Terms, receipt: B256, signature: &CompactSignature) -> Result<Mined, ChainError> {
        let _one = self.sending.lock().await;
        let call = self.market.publish(terms.into(), receipt, signature.into());
        let sent = within(async { call.send().await.map_err(|error| refused("publish", error)) }).await?;
        mined("publish", sent).await
    }

    async fn claim(&self, terms: &Terms) -> Result<Mined, ChainError> {
        let _one = self.sending.lock().await;
        let call = self.market.claim(terms.into());
        let sent = within(async { call.send().await.map_err(|error| refused("claim", error)) }).await?;
        mined("claim", sent).await
    }

    /// Gives an attempt back without a scheduler.
    pub async fn release(&self, record: &Record) -> Result<Mined, ChainError> {
        let _one = self.sending.lock().await;
        let message = Message::Release { job_id: record.assignment.job_id, attempt: record.assignment.attempt };
        let signature = self.key.sign(&self.domain, &message);
        let call = self.market.release((&record.assignment.terms).into(), (&signature).into());
        let sent = within(async { call.send().await.map_err(|error| refused("release", error)) }).await?;
        mined("release", sent).await
    }
}

async fn mined(verb: &'static str, sent: PendingTransactionBuilder<Ethereum>) -> Result<Mined, ChainError> {
    let hash = TxHash(*sent.tx_hash());
    let receipt = sent
        .with_timeout(Some(MINED_TIMEOUT))
        .get_receipt()
        .await
        .map_err(|_| ChainError::NotMined { verb, hash })?;
    if receipt.status() { Ok(Mined { hash, gas_used: receipt.gas_used }) } else { Err(ChainError::Reverted { verb, hash }) }
}

async fn within<T>(question: impl Future<Output = Result<T, ChainError>>) -> Result<T, ChainError> {
    tokio::time::timeout(REQUEST_TIMEOUT, question).await.unwrap_or(Err(ChainError::Timeout))
}

fn rpc(error: impl std::fmt::Display) -> ChainError {
    ChainError::Rpc(error.to_string())
}

fn contract(error: ContractError) -> ChainError {
    rpc(error)
}

/// The contract's own error, by name and numbers, where it gave one.
fn refused(verb: &'static str, error: ContractError) -> ChainError {
    match error.as_decoded_interface_error::<JobMarket::JobMarketErrors>() {
        Some(known) => ChainError::Refused { verb, reason: format!("{known:?}") },
        None => rpc(error),
    }
}

/// The contract's enum `State`.
fn escrow_state(number: u8) -> Option<EscrowState> {
    Some(match number {
        0 => EscrowState::None,
        1 => EscrowState::Open,
        2 => EscrowState::Assigned,
        3 => EscrowState::Held,
        4 => EscrowState::Published,
        5 => EscrowState::Disputed,
        6 => EscrowState::Paid,
        7 => EscrowState::Refunded,
        8 => EscrowState::Cancelled,
        _ => return None,
    })
}

pub(crate) fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn sample_terms() -> Terms {
    use gristmill_protocol::ids::SpecHash;
    use gristmill_protocol::money::Amount;
    Terms {
        submitter: Address::repeat_byte(1),
        scheduler: Address::repeat_byte(2),
        arbiter: Address::repeat_byte(3),
        token: Address::ZERO,
        bounty: Amount(4),
        fee: Amount(5),
        bond: Amount(6),
        dispute_bond: Amount(7),
        deadline: 8,
        lease_seconds: 9,
        grace_seconds: 10,
        attempt_seconds: 11,
        hold_seconds: 12,
        challenge_window: 13,
        ruling_seconds: 14,
        spec_hash: SpecHash(B256::repeat_byte(15)),
        salt: B256::repeat_byte(16),
    }
}
