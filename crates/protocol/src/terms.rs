//! The terms of a job: what the contract knows of it. Their EIP-712 digest is the job id.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{JobId, SpecHash};
use crate::money::Amount;
use crate::signing::Domain;

const MINUTE: u32 = 60;
const HOUR: u32 = 3600;
const DAY: u32 = 86_400;

/// The struct `Terms` of `JobMarket`: parties, money, times in seconds, and the spec's hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Pays; refunds return here.
    #[schema(value_type = String)]
    pub submitter: Address,
    /// May assign and settle; never gets more than the fee.
    #[schema(value_type = String)]
    pub scheduler: Address,
    /// May rule on a dispute.
    #[schema(value_type = String)]
    pub arbiter: Address,
    /// The ERC-20 token; the zero address stands for the native coin.
    #[schema(value_type = String)]
    pub token: Address,
    /// Fee included.
    pub bounty: Amount,
    /// Paid to the scheduler, on settlement only.
    pub fee: Amount,
    /// Locked from the provider's stake while it holds the job.
    pub bond: Amount,
    /// What a dispute costs whoever loses it.
    pub dispute_bond: Amount,
    /// Unix seconds; a result must be settled or published by then.
    pub deadline: u64,
    /// How long an assignment holds without a renewal on chain.
    pub lease_seconds: u32,
    /// How long a node that was called in has to answer.
    pub grace_seconds: u32,
    /// No renewal past this.
    pub attempt_seconds: u32,
    /// Between settlement and payment; 0 pays at once.
    pub hold_seconds: u32,
    /// How long a published result can be disputed.
    pub challenge_window: u32,
    /// How long the arbiter has.
    pub ruling_seconds: u32,
    pub spec_hash: SpecHash,
    /// Tells apart two jobs that are equal otherwise.
    #[schema(value_type = String)]
    pub salt: B256,
}

/// Why the contract would refuse terms at `open`. The contract decides; this says it before gas is spent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    #[error("the {0} is the zero address")]
    ZeroParty(&'static str),
    #[error("the bounty is zero")]
    ZeroBounty,
    #[error("the fee of {fee} is more than the bounty of {bounty}")]
    FeeAboveBounty { fee: Amount, bounty: Amount },
    #[error("the deadline must lie after now and within 365 days")]
    Deadline,
    #[error("{field} is {seconds} s; it must be {least} to {most} s")]
    Window { field: &'static str, seconds: u32, least: u32, most: u32 },
    #[error(
        "with a bond at stake the arbiter must be neither the submitter nor the scheduler: name another, or set bond and dispute_bond to 0"
    )]
    PartialArbiter,
}

impl Terms {
    /// What the provider gets: the bounty without the scheduler's fee.
    #[must_use]
    pub fn pay(&self) -> Amount {
        self.bounty.checked_sub(self.fee).unwrap_or(Amount::ZERO)
    }

    #[must_use]
    pub fn id(&self, domain: &Domain) -> JobId {
        domain.job_id(self)
    }

    /// Checks what the contract checks at `open`, at the unix second `now`.
    pub fn validate(&self, now: u64) -> Result<(), TermsError> {
        for (party, address) in [
            ("submitter", self.submitter),
            ("scheduler", self.scheduler),
            ("arbiter", self.arbiter),
        ] {
            if address.is_zero() {
                return Err(TermsError::ZeroParty(party));
            }
        }
        if self.bounty == Amount::ZERO {
            return Err(TermsError::ZeroBounty);
        }
        if self.fee > self.bounty {
            return Err(TermsError::FeeAboveBounty { fee: self.fee, bounty: self.bounty });
        }
        let at_stake = self.bond != Amount::ZERO || self.dispute_bond != Amount::ZERO;
        if at_stake && (self.arbiter == self.submitter || self.arbiter == self.scheduler) {
            return Err(TermsError::PartialArbiter);
        }
        if self.deadline <= now || self.deadline > now.saturating_add(u64::from(365 * DAY)) {
            return Err(TermsError::Deadline);
        }
        let lease_least = self.grace_seconds.saturating_mul(4);
        for (field, seconds, least, most) in [
            ("grace_seconds", self.grace_seconds, MINUTE, 30 * DAY / 4),
            ("lease_seconds", self.lease_seconds, lease_least, 30 * DAY),
            ("attempt_seconds", self.attempt_seconds, self.lease_seconds, u32::MAX),
            ("challenge_window", self.challenge_window, HOUR, 30 * DAY),
            ("ruling_seconds", self.ruling_seconds, HOUR, 30 * DAY),
            ("hold_seconds", self.hold_seconds, 0, 30 * DAY),
        ] {
            if !(least..=most).contains(&seconds) {
                return Err(TermsError::Window { field, seconds, least, most });
            }
        }
        Ok(())
    }
}
