//! The contract's own account of a job and of its money, as of one block.

use alloy::network::TransactionBuilder;
use alloy::primitives::U256;
use alloy::providers::Provider;
use alloy::rpc::types::{BlockId, TransactionRequest};
use alloy::sol_types::SolCall;
use gristmill_protocol::Address;
use gristmill_protocol::contracts::erc20::Erc20;
use gristmill_protocol::contracts::{JobMarket, StoredJob};
use gristmill_protocol::ids::JobId;

use super::{CallError, ChainRpc};

impl ChainRpc {
    /// What the contract stored of a job, right after the block with this number.
    pub async fn job_at(&self, job: JobId, number: u64) -> Result<StoredJob, CallError> {
        let found = self.view(self.contract, &JobMarket::jobCall { id: job.0 }, number).await?;
        StoredJob::try_from(found)
            .map_err(|_| CallError::Inconsistent("a job is in a state that is not in the ABI"))
    }

    /// How much of a token the contract held right after the block with this number; zero is the native coin.
    pub async fn held_at(&self, token: Address, number: u64) -> Result<U256, CallError> {
        let contract = self.contract;
        if token.is_zero() {
            let block = BlockId::number(number);
            return self
                .call(|rpc| async move { rpc.get_balance(contract).block_id(block).await })
                .await;
        }
        self.view(token, &Erc20::balanceOfCall { owner: contract }, number).await
    }

    /// What an owner had in the contract right after the block with this number; zero is the native coin.
    pub async fn balance_at(
        &self,
        owner: Address,
        token: Address,
        number: u64,
    ) -> Result<U256, CallError> {
        self.view(self.contract, &JobMarket::balanceCall { owner, token }, number).await
    }

    async fn view<C: SolCall>(
        &self,
        to: Address,
        call: &C,
        number: u64,
    ) -> Result<C::Return, CallError> {
        let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
        let answer = self
            .call(|rpc| {
                let request = request.clone();
                async move { rpc.call(request).block(BlockId::number(number)).await }
            })
            .await?;
        C::abi_decode_returns(&answer)
            .map_err(|_| CallError::Inconsistent("a view answers something else than its ABI says"))
    }
}
