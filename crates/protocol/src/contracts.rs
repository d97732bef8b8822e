//! Bindings of the contracts, from `contracts/abi/`, and the terms as the contract takes them.

use crate::api::{EscrowState, Ruling};
use crate::ids::{AttemptNumber, NodeId};
use crate::money::Amount;
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

/// The contract's `State`, in its order.
const STATES: [EscrowState; 9] = [
    EscrowState::None,
    EscrowState::Open,
    EscrowState::Assigned,
    EscrowState::Held,
    EscrowState::Published,
    EscrowState::Disputed,
    EscrowState::Paid,
    EscrowState::Refunded,
    EscrowState::Cancelled,
];

/// The contract's `State`, which the ABI knows as a number only; `None` where it is none of ours.
#[must_use]
pub fn escrow_state(state: u8) -> Option<EscrowState> {
    STATES.get(usize::from(state)).copied()
}

/// The number of a `State` in the ABI.
#[must_use]
pub fn escrow_number(state: EscrowState) -> u8 {
    (0..).zip(STATES).find(|(_, other)| *other == state).map_or(0, |(number, _)| number)
}

/// A state that is not in the ABI: the contract is none of ours, or of another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the contract names the unknown state {0}")]
pub struct UnknownState(pub u8);

/// What the contract stores of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredJob {
    pub state: EscrowState,
    /// Zero where nobody holds, or delivered, the job.
    pub node: NodeId,
    /// Assigned: the last renewal, call-in or assignment. Otherwise when the state began.
    pub at_s: u64,
    pub assigned_at_s: u64,
    pub attempt: AttemptNumber,
    /// How many bonds have gone into the job's pool, by half each.
    pub forfeits: u8,
    /// Called in, and not renewed since.
    pub called_in: bool,
    /// The scheduler accepted the result.
    pub settled: bool,
    /// The scheduler, and not the submitter, disputed the result.
    pub disputed_by_scheduler: bool,
}

impl StoredJob {
    /// What waits for whoever completes the job, besides the bounty.
    #[must_use]
    pub fn pool(&self, terms: &Terms) -> Amount {
        Amount(u128::from(self.forfeits).saturating_mul(terms.bond.0 / 2))
    }
}

impl TryFrom<JobMarket::jobReturn> for StoredJob {
    type Error = UnknownState;

    fn try_from(job: JobMarket::jobReturn) -> Result<Self, UnknownState> {
        let has = |flag: u8| job.flags & flag != 0;
        Ok(Self {
            state: escrow_state(job._0).ok_or(UnknownState(job._0))?,
            node: NodeId(job._1),
            at_s: job.at.to(),
            assigned_at_s: job.assignedAt.to(),
            attempt: AttemptNumber(job.attempt),
            forfeits: job.forfeits,
            called_in: has(1),
            settled: has(2),
            disputed_by_scheduler: has(4),
        })
    }
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
