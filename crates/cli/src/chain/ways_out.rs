//! What can be done with a job's money now, later, and by whom: the way out of every state, without a scheduler.

use alloy::primitives::Address;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::terms::Terms;
use serde::Serialize;

use gristmill_protocol::contracts::StoredJob;

/// A verb of the contract that moves a job's money, or frees it to be moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    Cancel,
    Lapse,
    Refund,
    Claim,
    Dispute,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Lapse => "lapse",
            Self::Refund => "refund",
            Self::Claim => "claim",
            Self::Dispute => "dispute",
        }
    }
}

/// One way out: what, the first second at which a block may hold it, and the last, where there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WayOut {
    pub(crate) verb: Verb,
    pub(crate) from: u64,
    pub(crate) until: Option<u64>,
}

impl WayOut {
    /// A way that stays open once it is.
    fn after(verb: Verb, last: u64) -> Self {
        Self { verb, from: last.saturating_add(1), until: None }
    }

    /// Whether a block after one of this time may hold it.
    pub(crate) fn is_open(&self, now: u64) -> bool {
        self.from <= now && !self.is_over(now)
    }

    /// Whether it has closed for good.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until < now)
    }
}

/// The last second of what the job waits for in this state: of a window in which a result can be disputed, or of the
/// arbiter's time.
pub(crate) fn window_end(terms: &Terms, slot: &StoredJob) -> u64 {
    let seconds = match slot.state {
        EscrowState::Held => terms.hold_seconds,
        EscrowState::Published => terms.challenge_window,
        EscrowState::Disputed => terms.ruling_seconds,
        EscrowState::None
        | EscrowState::Open
        | EscrowState::Assigned
        | EscrowState::Paid
        | EscrowState::Refunded
        | EscrowState::Cancelled => 0,
    };
    slot.at_s.saturating_add(seconds.into())
}

/// What `wallet` can do with the job, soonest first. `lease_end` matters only where it is assigned.
pub(crate) fn ways_out(
    terms: &Terms,
    slot: &StoredJob,
    lease_end: u64,
    wallet: Address,
) -> Vec<WayOut> {
    let submits = terms.submitter == wallet;
    let refund = WayOut::after(Verb::Refund, terms.deadline);
    let cancel = WayOut { verb: Verb::Cancel, from: 0, until: None };
    let end = window_end(terms, slot);
    let dispute = WayOut { verb: Verb::Dispute, from: slot.at_s, until: Some(end) };
    let claim = WayOut::after(Verb::Claim, end);
    let mut ways = Vec::new();
    match slot.state {
        EscrowState::None if submits => ways.push(cancel),
        EscrowState::Open => {
            if submits {
                ways.push(cancel);
            }
            ways.push(refund);
        }
        EscrowState::Assigned => {
            if submits {
                let grace_end = lease_end.saturating_add(terms.grace_seconds.into());
                ways.push(WayOut::after(Verb::Lapse, grace_end));
            }
            ways.push(refund);
        }
        EscrowState::Held => {
            if submits {
                ways.push(dispute);
            }
            ways.push(claim);
        }
        EscrowState::Published => {
            // What was published without the scheduler it may dispute too.
            if submits || terms.scheduler == wallet {
                ways.push(dispute);
            }
            ways.push(claim);
        }
        EscrowState::Disputed => ways.push(claim),
        EscrowState::None | EscrowState::Paid | EscrowState::Refunded | EscrowState::Cancelled => {}
    }
    ways.sort_by_key(|way| way.from);
    ways
}

/// The word for a state of the escrow, and where its money is.
pub(crate) fn where_the_money_is(state: EscrowState) -> (&'static str, &'static str) {
    match state {
        EscrowState::None => ("not_opened", "in the wallet, not locked"),
        EscrowState::Open => ("open", "in the escrow, nobody works on it"),
        EscrowState::Assigned => ("assigned", "in the escrow, a node works on it"),
        EscrowState::Held => ("held", "in the escrow, on its way to the provider"),
        EscrowState::Published => ("published", "in the escrow, the provider's after the window"),
        EscrowState::Disputed => ("disputed", "in the escrow, the arbiter rules"),
        EscrowState::Paid => ("paid", "with the provider"),
        EscrowState::Refunded => ("refunded", "back with the submitter"),
        EscrowState::Cancelled => ("cancelled", "back with the submitter"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::{a_stored_job, some_terms};
    use gristmill_protocol::money::Amount;

    fn assigned() -> StoredJob {
        a_stored_job(EscrowState::Assigned)
    }

    fn ways(state: EscrowState, wallet: u8) -> Vec<(Verb, u64)> {
        let slot = a_stored_job(state);
        let ways = ways_out(&some_terms(), &slot, 1600, Address::repeat_byte(wallet));
        ways.into_iter().map(|way| (way.verb, way.from)).collect()
    }

    #[test]
    fn the_submitter_has_a_way_out_of_every_state() {
        assert_eq!(ways(EscrowState::None, 1), [(Verb::Cancel, 0)]);
        assert_eq!(ways(EscrowState::Open, 1), [(Verb::Cancel, 0), (Verb::Refund, 10_001)]);
        assert_eq!(ways(EscrowState::Assigned, 1), [(Verb::Lapse, 1661), (Verb::Refund, 10_001)]);
        assert_eq!(ways(EscrowState::Held, 1), [(Verb::Dispute, 1000), (Verb::Claim, 1101)]);
        assert_eq!(ways(EscrowState::Published, 1), [(Verb::Dispute, 1000), (Verb::Claim, 4601)]);
        assert_eq!(ways(EscrowState::Disputed, 1), [(Verb::Claim, 8201)]);
    }

    #[test]
    fn anyone_else_can_only_refund_and_claim() {
        assert_eq!(ways(EscrowState::None, 9), []);
        assert_eq!(ways(EscrowState::Open, 9), [(Verb::Refund, 10_001)]);
        assert_eq!(ways(EscrowState::Assigned, 9), [(Verb::Refund, 10_001)]);
        assert_eq!(ways(EscrowState::Held, 9), [(Verb::Claim, 1101)]);
        assert_eq!(ways(EscrowState::Published, 9), [(Verb::Claim, 4601)]);
    }

    #[test]
    fn the_scheduler_can_dispute_only_what_was_published_without_it() {
        assert_eq!(ways(EscrowState::Published, 2), [(Verb::Dispute, 1000), (Verb::Claim, 4601)]);
        assert_eq!(ways(EscrowState::Held, 2), [(Verb::Claim, 1101)]);
    }

    #[test]
    fn the_pool_is_half_a_bond_for_each_that_was_forfeited() {
        let terms = Terms { bond: Amount(9), ..some_terms() };
        let slot = |forfeits| StoredJob { forfeits, ..assigned() };
        assert_eq!(slot(0).pool(&terms), Amount::ZERO);
        assert_eq!(slot(3).pool(&terms), Amount(12), "as the contract divides");
    }

    #[test]
    fn an_end_is_an_end() {
        for state in [EscrowState::Paid, EscrowState::Refunded, EscrowState::Cancelled] {
            assert_eq!(ways(state, 1), []);
        }
    }

    #[test]
    fn a_way_opens_after_the_last_second_of_what_it_waits_for() {
        let way = WayOut { verb: Verb::Refund, from: 10_001, until: None };
        assert!(!way.is_open(10_000), "at the deadline a result may still be settled");
        assert!(way.is_open(10_001));
    }

    #[test]
    fn a_dispute_is_open_to_the_last_second_of_its_window() {
        let way = WayOut { verb: Verb::Dispute, from: 1000, until: Some(1100) };
        assert!(way.is_open(1000) && way.is_open(1100));
        assert!(!way.is_open(999) && !way.is_over(999));
        assert!(!way.is_open(1101) && way.is_over(1101));
    }
}
