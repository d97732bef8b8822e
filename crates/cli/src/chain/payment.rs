//! How the contract gets the money of a call: coins come with it, tokens by a permit that the wallet signs, or by an
//! approval of its own where the token knows no permits.

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolStruct;
use alloy::transports::RpcError;
use gristmill_protocol::contracts::IJobMarket;
use gristmill_protocol::contracts::erc20::Erc20;
use gristmill_protocol::money::Amount;

use super::{Chain, decimal, no_token};
use crate::failure::{Exit, Failure, Result};
use crate::output::Output;

/// How long a permit is valid: time to be mined, and no longer.
const PERMIT_SECONDS: u64 = 3600;

/// What EIP-2612 has the owner of a token sign.
mod eip2612 {
    alloy::sol! {
        struct Permit { address owner; address spender; uint256 value; uint256 nonce; uint256 deadline; }
    }
}

/// What must happen before the contract can take an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Consent {
    /// Nothing: it is a coin, or the contract is allowed already.
    Given,
    /// A signature that goes along with the call.
    Permit,
    /// A transaction before the call.
    Approval,
}

impl Chain {
    /// How `owner` can let the contract take `amount`, as far as can be told without a signature.
    pub(crate) async fn consent(
        &self,
        owner: Address,
        token: Address,
        amount: Amount,
    ) -> Result<Consent> {
        if token.is_zero() || self.allowance(owner, token).await? >= U256::from(amount.0) {
            return Ok(Consent::Given);
        }
        let permits = self.permit_domain(owner, token).await?.is_some();
        Ok(if permits { Consent::Permit } else { Consent::Approval })
    }

    /// Fails where the wallet has less of the token than it is about to pay.
    pub(crate) async fn afford(
        &self,
        owner: Address,
        token: Address,
        amount: Amount,
    ) -> Result<()> {
        let balance = self.balance(owner, token).await?;
        if balance >= U256::from(amount.0) {
            return Ok(());
        }
        let decimals = self.decimals(token).await?;
        Err(Failure::new(
            Exit::Funds,
            format!(
                "{owner} has {} of token {token}, and {} are needed",
                decimal(balance, decimals),
                amount.to_decimal(decimals)
            ),
        )
        .hint("nothing was sent"))
    }

    /// The request that makes the contract take `amount` of `token` from the wallet. Where the token has to be asked
    /// first, that is done here. `with_permit` is the same call with a permit, where the contract has one.
    pub(crate) async fn paying(
        &self,
        out: &Output,
        signer: &PrivateKeySigner,
        (token, amount): (Address, Amount),
        plain: TransactionRequest,
        with_permit: Option<&dyn Fn(IJobMarket::Permit) -> TransactionRequest>,
    ) -> Result<TransactionRequest> {
        if token.is_zero() {
            return Ok(plain);
        }
        let owner = signer.address();
        self.afford(owner, token, amount).await?;
        match (self.consent(owner, token, amount).await?, with_permit) {
            (Consent::Given, _) => return Ok(plain),
            (Consent::Permit, Some(with_permit)) => {
                if let Some(permit) = self.permit(signer, token, amount).await? {
                    return Ok(with_permit(permit));
                }
            }
            (Consent::Permit, None) | (Consent::Approval, _) => {}
        }
        let call = Erc20::new(token, &self.provider);
        let request =
            call.approve(self.deployment.contract, U256::from(amount.0)).into_transaction_request();
        self.send(out, signer, "let the contract take the tokens", request).await?;
        Ok(plain)
    }

    /// Signs a permit of exactly `amount`, and tries it on the token: one that speaks another dialect gives none.
    async fn permit(
        &self,
        signer: &PrivateKeySigner,
        token: Address,
        amount: Amount,
    ) -> Result<Option<IJobMarket::Permit>> {
        let (owner, spender) = (signer.address(), self.deployment.contract);
        let Some((separator, nonce)) = self.permit_domain(owner, token).await? else {
            return Ok(None);
        };
        let value = U256::from(amount.0);
        let deadline = U256::from(self.head().await?.due().saturating_add(PERMIT_SECONDS));
        let consent = eip2612::Permit { owner, spender, value, nonce, deadline };
        let message =
            [&[0x19, 0x01], separator.as_slice(), consent.eip712_hash_struct().as_slice()].concat();
        let signature = signer
            .sign_hash_sync(&keccak256(message))
            .map_err(|error| Failure::caused(Exit::Wallet, "cannot sign the permit", &error))?;
        let v = 27 + u8::from(signature.v());
        let (r, s): (B256, B256) = (signature.r().into(), signature.s().into());
        let call = Erc20::new(token, &self.provider);
        let tried = call.permit(owner, spender, value, deadline, v, r, s).call().await;
        Ok(answered(token, tried)?.map(|_| IJobMarket::Permit { deadline, v, r, s }))
    }

    /// What a token with EIP-2612 says of itself and of the owner's next permit.
    async fn permit_domain(&self, owner: Address, token: Address) -> Result<Option<(B256, U256)>> {
        let call = Erc20::new(token, &self.provider);
        let Some(separator) = answered(token, call.DOMAIN_SEPARATOR().call().await)? else {
            return Ok(None);
        };
        let nonce = answered(token, call.nonces(owner).call().await)?;
        Ok(nonce.map(|nonce| (separator, nonce)))
    }

    async fn allowance(&self, owner: Address, token: Address) -> Result<U256> {
        let call = Erc20::new(token, &self.provider);
        let allowance = call.allowance(owner, self.deployment.contract).call().await;
        allowance.map_err(|error| no_token(token, &error))
    }
}

/// `None` where the token does not know the call, or refuses it; an error where nobody answers.
fn answered<T>(
    token: Address,
    result: std::result::Result<T, alloy::contract::Error>,
) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(alloy::contract::Error::TransportError(error))
            if !matches!(error, RpcError::ErrorResp(_)) =>
        {
            Err(no_token(token, &alloy::contract::Error::TransportError(error)))
        }
        Err(_) => Ok(None),
    }
}
