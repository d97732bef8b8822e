//! What can be done with a job's money now, later, and by whom: the way out of every state, without a scheduler.

use alloy::primitives::Address;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::terms::Terms;
use serde::Serialize;

use super::Slot;

/// A verb of the contract that moves a job's money, or frees it to be moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    Cancel,
    Lapse,
    Refund,
    Claim,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Lapse => "lapse",
            Self::Refund => "refund",
            Self::Claim => "claim",
        }
    }
}

/// One way out: what, and the first second at which a block may hold it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct WayOut {
    pub(crate) verb: Verb,
    pub(crate) from: u64,
}

impl WayOut {
    /// Whether a block after one of this time may hold it.
    pub(crate) fn is_open(&self, now: u64) -> bool {
        self.from <= now
    }
}

/// What `wallet` can do with the job, soonest first. `lease_end` matters only where it is assigned.
pub(crate) fn ways_out(terms: &Terms, slot: &Slot, lease_end: u64, wallet: Address) -> Vec<WayOut> {
    let submits = terms.submitter == wallet;
    let refund = WayOut { verb: Verb::Refund, from: terms.deadline + 1 };
    let cancel = WayOut { verb: Verb::Cancel, from: 0 };
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
                ways.push(WayOut {
                    verb: Verb::Lapse,
                    from: lease_end + u64::from(terms.grace_seconds) + 1,
                });
            }
            ways.push(refund);
        }
        EscrowState::Held => ways
            .push(WayOut { verb: Verb::Claim, from: slot.at + u64::from(terms.hold_seconds) + 1 }),
        EscrowState::Published => {
            ways.push(WayOut {
                verb: Verb::Claim,
                from: slot.at + u64::from(terms.challenge_window) + 1,
            });
        }
        EscrowState::Disputed => {
            ways.push(WayOut {
                verb: Verb::Claim,
                from: slot.at + u64::from(terms.ruling_seconds) + 1,
            });
        }
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
    use crate::test_data::some_terms;

    fn ways(state: EscrowState, wallet: u8) -> Vec<(Verb, u64)> {
        let slot = Slot { state, node: Address::ZERO, at: 1000, attempt: 1, settled: false };
        let ways = ways_out(&some_terms(), &slot, 1600, Address::repeat_byte(wallet));
        ways.into_iter().map(|way| (way.verb, way.from)).collect()
    }

    #[test]
    fn the_submitter_has_a_way_out_of_every_state() {
        assert_eq!(ways(EscrowState::None, 1), [(Verb::Cancel, 0)]);
        assert_eq!(ways(EscrowState::Open, 1), [(Verb::Cancel, 0), (Verb::Refund, 10_001)]);
        assert_eq!(ways(EscrowState::Assigned, 1), [(Verb::Lapse, 1661), (Verb::Refund, 10_001)]);
        assert_eq!(ways(EscrowState::Held, 1), [(Verb::Claim, 1101)]);
        assert_eq!(ways(EscrowState::Published, 1), [(Verb::Claim, 4601)]);
        assert_eq!(ways(EscrowState::Disputed, 1), [(Verb::Claim, 8201)]);
    }

    #[test]
    fn anyone_else_can_only_refund_and_claim() {
        assert_eq!(ways(EscrowState::None, 9), []);
        assert_eq!(ways(EscrowState::Open, 9), [(Verb::Refund, 10_001)]);
        assert_eq!(ways(EscrowState::Assigned, 9), [(Verb::Refund, 10_001)]);
        assert_eq!(ways(EscrowState::Published, 9), [(Verb::Claim, 4601)]);
    }

    #[test]
    fn an_end_is_an_end() {
        for state in [EscrowState::Paid, EscrowState::Refunded, EscrowState::Cancelled] {
            assert_eq!(ways(state, 1), []);
        }
    }

    #[test]
    fn a_way_opens_after_the_last_second_of_what_it_waits_for() {
        let way = WayOut { verb: Verb::Refund, from: 10_001 };
        assert!(!way.is_open(10_000), "at the deadline a result may still be settled");
        assert!(way.is_open(10_001));
    }
}
