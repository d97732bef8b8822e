//! Bindings of the contracts, from `contracts/abi/`, and the terms as the contract takes them.

use crate::api::{EscrowState, Ruling};
use crate::order::Order;
use crate::signing::CompactSignature;
use crate::terms::Terms;

#[expect(missing_docs, reason = "generated from the ABI, whose source has the documentation")]
mod bindings {
    alloy::sol!(
        #[sol(rpc, all_derives)]
        JobMarket,
        "../../contracts/abi/JobMarket.json"
    );
}

pub use bindings::{IJobMarket, JobMarket};

/// An ERC-20 token as wallets use it, with the permits of EIP-2612, which not every token has.
#[expect(clippy::too_many_arguments, reason = "generated: a permit has seven")]
pub mod erc20 {
    alloy::sol! {
        #[sol(rpc)]
        interface Erc20 {
            function approve(address spender, uint256 amount) external returns (bool);
            function allowance(address owner, address spender) external view returns (uint256);
            function balanceOf(address owner) external view returns (uint256);
            function decimals() external view returns (uint8);
            function DOMAIN_SEPARATOR() external view returns (bytes32);
            function nonces(address owner) external view returns (uint256);
            function permit(
                address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s
            ) external;
        }
    }
}

/// The contract's `State`, which the ABI knows as a number only; `None` where it is none of ours.
#[must_use]
pub fn escrow_state(state: u8) -> Option<EscrowState> {
    Some(match state {
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

/// The contract's `Ruling`, which the ABI knows as a number only; `None` where it is none of ours.
#[must_use]
pub fn ruling(ruling: u8) -> Option<Ruling> {
    Some(match ruling {
        0 => Ruling::Pay,
        1 => Ruling::Refund,
        2 => Ruling::Reopen,
        _ => return None,
    })
}

impl From<&Terms> for IJobMarket::Terms {
    fn from(terms: &Terms) -> Self {
        Self {
            submitter: terms.submitter,
            scheduler: terms.scheduler,
            arbiter: terms.arbiter,
            token: terms.token,
            bounty: terms.bounty.0,
            fee: terms.fee.0,
            bond: terms.bond.0,
            disputeBond: terms.dispute_bond.0,
            deadline: crate::signing::u40(terms.deadline),
            leaseSeconds: terms.lease_seconds,
            graceSeconds: terms.grace_seconds,
            attemptSeconds: terms.attempt_seconds,
            holdSeconds: terms.hold_seconds,
            challengeWindow: terms.challenge_window,
            rulingSeconds: terms.ruling_seconds,
            specHash: terms.spec_hash.0,
            salt: terms.salt,
        }
    }
}

impl From<&IJobMarket::Terms> for Terms {
    fn from(terms: &IJobMarket::Terms) -> Self {
        use crate::money::Amount;
        Self {
            submitter: terms.submitter,
            scheduler: terms.scheduler,
            arbiter: terms.arbiter,
            token: terms.token,
            bounty: Amount(terms.bounty),
            fee: Amount(terms.fee),
            bond: Amount(terms.bond),
            dispute_bond: Amount(terms.disputeBond),
            deadline: terms.deadline.to(),
            lease_seconds: terms.leaseSeconds,
            grace_seconds: terms.graceSeconds,
            attempt_seconds: terms.attemptSeconds,
            hold_seconds: terms.holdSeconds,
            challenge_window: terms.challengeWindow,
            ruling_seconds: terms.rulingSeconds,
            spec_hash: crate::ids::SpecHash(terms.specHash),
            salt: terms.salt,
        }
    }
}

impl From<&Order> for IJobMarket::Order {
    fn from(order: &Order) -> Self {
        Self { root: order.root, epoch: order.epoch, expires: crate::signing::u40(order.expires) }
    }
}

impl From<&CompactSignature> for IJobMarket::Signature {
    fn from(signature: &CompactSignature) -> Self {
        Self { r: signature.r(), vs: signature.vs() }
    }
}
