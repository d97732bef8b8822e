//! What a scheduler decides for itself: the numbers behind the rules. Part of the world, so that no rule reads a global.

use gristmill_protocol::Address;
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::Strategy;
use gristmill_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::matching::Moment;

/// The settings of one scheduler. All replicas of a scheduler use the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// The address that assigns and settles: terms that name another are none of our business.
    pub scheduler: Address,
    /// The least fee, in hundredths of a percent of the bounty.
    pub fee_bps: u16,
    /// How to choose among nodes where the job does not say.
    pub strategy: Strategy,
    /// A node of which little is known gets no job that pays more, in the token's smallest unit; absent for no such limit.
    #[serde(default)]
    pub newcomer_pay_max: Option<Amount>,
    /// A node that was not heard for this long gets no work, and is called in if it has some.
    pub silence_ms: u64,
    /// A node that was not heard for this long is shown as offline.
    pub offline_ms: u64,
    /// Between the longest possible end of a run and the deadline: time to upload, check and settle.
    pub settle_margin_seconds: u32,
    /// How long an event on chain may take until it is final and known here.
    pub finality_seconds: u32,
    /// How far the clock of blocks may be behind ours.
    pub chain_slack_seconds: u32,
    /// After this time without an outcome, a verification or an intent is asked for again.
    pub patience_seconds: u32,
    /// Infrastructure failures in a row after which a node rests.
    pub failures_max: u32,
    /// The first rest; each further failure doubles it, up to an hour.
    pub rest_seconds: u32,
}

impl Policy {
    /// The defaults, for the scheduler at this address.
    #[must_use]
    pub fn new(scheduler: Address) -> Self {
        Self {
            scheduler,
            fee_bps: 0,
            strategy: Strategy::BestFit,
            newcomer_pay_max: None,
            silence_ms: 15_000,
            offline_ms: 60_000,
            settle_margin_seconds: 180,
            finality_seconds: 2,
            chain_slack_seconds: 1,
            patience_seconds: 60,
            failures_max: 2,
            rest_seconds: 60,
        }
    }

    /// What a match at this time goes by.
    #[must_use]
    pub fn moment(&self, now: Timestamp) -> Moment {
        Moment { now, silence_ms: self.silence_ms, newcomer_pay_max: self.newcomer_pay_max }
    }
}
