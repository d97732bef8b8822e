//! The contract's refusals in words that say what to do.

use alloy::sol_types::SolInterface;
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::contracts::JobMarket::JobMarketErrors as E;
use gristmill_protocol::contracts::escrow_state;
use gristmill_protocol::money::{Amount, NATIVE_DECIMALS};

use super::coin;
use crate::quantity::instant;

/// What the contract meant, or `None` where it is no error of ours.
pub(crate) fn words(data: &[u8], chain_id: u64) -> Option<String> {
    let at = |seconds: alloy::primitives::aliases::U40| instant(seconds.to());
    let coins =
        |wei: u128| format!("{} {}", Amount(wei).to_decimal(NATIVE_DECIMALS), coin(chain_id));
    Some(match E::abi_decode(data).ok()? {
        E::NotSubmitter(e) => {
            format!("only the submitter {} may do this; this wallet is {}", e.submitter, e.caller)
        }
        E::NotScheduler(e) => {
            format!("only the scheduler {} may do this; this wallet is {}", e.scheduler, e.caller)
        }
        E::NotSchedulerOrSubmitter(e) => {
            format!(
                "only the submitter {} or the scheduler {} may do this; this wallet is {}",
                e.submitter, e.scheduler, e.caller
            )
        }
        E::NotProvider(e) if e.provider.is_zero() => "nobody has enrolled this node".to_owned(),
        E::NotProvider(e) => format!(
            "only the node's provider {} may do this; this wallet is {}",
            e.provider, e.caller
        ),
        E::BadSignature(e) if e.recovered.is_zero() => {
            format!("the signature is not valid; it should be that of {}", e.signer)
        }
        E::BadSignature(e) => format!(
            "the signature is that of {}, not of {}: it was made for another wallet, chain or contract",
            e.recovered, e.signer
        ),
        E::ZeroParty(_) => "the terms name nobody as scheduler or arbiter".to_owned(),
        E::ZeroBounty(_) => "the bounty is zero".to_owned(),
        E::FeeAboveBounty(e) => {
            format!("the fee of {} is more than the bounty of {}", Amount(e.fee), Amount(e.bounty))
        }
        E::StrayBits(_) => "a value in the terms is too large".to_owned(),
        E::PartialArbiter(e) => format!(
            "with a bond the arbiter must be somebody else than the submitter and the scheduler, not {}",
            e.arbiter
        ),
        E::NotDisputant(e) => format!(
            "only the submitter may dispute, and the scheduler what was published without it; this wallet is {}",
            e.caller
        ),
        E::NotArbiter(e) => {
            format!("only the arbiter {} may do this; this wallet is {}", e.arbiter, e.caller)
        }
        E::TermOutOfRange(e) if e.term == "deadline" => {
            "the deadline must lie after the newest block and within 365 days".to_owned()
        }
        E::TermOutOfRange(e) => {
            format!("{} is {}; it must be {} to {}", e.term, e.value, e.min, e.max)
        }
        E::WrongValue(e) => format!("{} wei were sent, and {} are required", e.sent, e.required),
        E::TransferFromFailed(e) => format!(
            "the token {} did not let {} pay {}: check its balance and allowance",
            e.token, e.from, e.amount
        ),
        E::TokenAmountMismatch(e) => {
            format!(
                "the token {} moved {} instead of {}: such tokens are refused",
                e.token, e.received, e.required
            )
        }
        E::InsufficientGas(e) => {
            format!("the call needs more gas: {} is left, {} is required", e.available, e.required)
        }
        E::InsufficientBalance(e) if e.token.is_zero() => format!(
            "{} has {} wei of {} in the market, and {} are required: `gristmill deposit`",
            e.owner,
            e.available,
            coin(chain_id),
            e.required
        ),
        E::InsufficientBalance(e) => format!(
            "{} has {} of token {} in the market, and {} are required: `gristmill deposit --token {}`",
            e.owner, e.available, e.token, e.required, e.token
        ),
        E::BondAboveLimit(e) => format!(
            "{} lets scheduler {} lock bonds of {} at most, and {} would be locked: `gristmill provider approve {} --bond-limit …`",
            e.provider, e.scheduler, e.limit, e.used, e.scheduler
        ),
        E::AcceptanceRequired(_) => {
            "the job has a bond: assigning it needs its terms and the node's acceptance".to_owned()
        }
        E::AcceptanceExpired(e) => {
            format!("the node accepted the job only until {}", at(e.expires))
        }
        E::EmptyBatch(_) => "there is nothing in the batch".to_owned(),
        E::MixedBatch(e) => {
            format!("job {} of the batch has another submitter or token than the first", e.index)
        }
        E::OrderExpired(e) => format!("the order expired at {}", at(e.expires)),
        E::OrderRevoked(e) => {
            format!("the submitter revoked the order: its epoch is {}, not {}", e.current, e.epoch)
        }
        E::NotInOrder(_) => "the jobs are not those of the order".to_owned(),
        E::BadOrderSignature(e) => format!("the order is not signed by {}", e.submitter),
        E::InvalidRecipient(e) => format!("nothing can be withdrawn to {}", e.to),
        E::WithdrawFailed(e) => match u128::try_from(e.amount) {
            Ok(wei) if e.token.is_zero() => {
                format!(
                    "{} refuses the {}: withdraw to another address with --to",
                    e.to,
                    coins(wei)
                )
            }
            _ => format!(
                "{} refuses {} of token {}: withdraw to another address with --to",
                e.to, e.amount, e.token
            ),
        },
        E::WrongState(e) => format!("the job is {}, which does not allow this", state(e.state)),
        E::WrongAttempt(e) => {
            format!("attempt {} is not the next one, which is {}", e.attempt, e.expected)
        }
        E::DeadlinePassed(e) => format!("the deadline passed at {}", at(e.deadline)),
        E::DeadlineNotPassed(e) => {
            format!(
                "the deadline has not passed yet: a refund is possible after {}",
                at(e.deadline)
            )
        }
        E::LeaseRunning(e) => format!("the node holds the job until {}", at(e.until)),
        E::LeaseEnded(e) => format!("the lease ended at {}", at(e.leaseEnd)),
        E::WindowOpen(e) => {
            format!("the window is still open: a claim is possible after {}", at(e.until))
        }
        E::WindowClosed(e) => format!("the window closed at {}", at(e.until)),
        E::AlreadyCalledIn(e) => {
            format!("the node was called in already; its lease ends at {}", at(e.leaseEnd))
        }
        E::CallInTooEarly(e) => format!("the node can be called in from {} on", at(e.earliest)),
        E::CallInWithoutEffect(e) => {
            format!("the lease ends before a call-in would end it, at {}", at(e.leaseEnd))
        }
        E::RenewalFromFuture(e) => {
            format!("the renewal is dated {}, after this block", at(e.issuedAt))
        }
        E::RenewalExpired(e) => format!("the renewal was valid until {} only", at(e.expiry)),
        E::RenewalNotNewer(e) => {
            format!("the renewal is not newer than the last, of {}", at(e.last))
        }
        E::EnrollmentExpired(e) => {
            format!(
                "the node's message expired at {}: make a new one with `gristmill-node enroll-message`",
                at(e.expires)
            )
        }
        E::AlreadyEnrolled(e) => {
            format!(
                "node {} belongs to {} for good; give the machine a new key",
                e.node, e.provider
            )
        }
        E::NotEnrolled(e) => format!("node {} is not enrolled", e.node),
        E::NodeRevoked(e) => format!("node {} is revoked already", e.node),
        E::SchedulerNotApproved(e) => format!(
            "{} has not approved scheduler {}: `gristmill provider approve {}`",
            e.provider, e.scheduler, e.scheduler
        ),
        E::Reentrancy(_) => "the contract was entered twice".to_owned(),
    })
}

fn state(state: u8) -> &'static str {
    match escrow_state(state) {
        Some(EscrowState::None) => "not opened",
        Some(EscrowState::Open) => "open",
        Some(EscrowState::Assigned) => "assigned to a node",
        Some(EscrowState::Held) => "settled and held",
        Some(EscrowState::Published) => "published",
        Some(EscrowState::Disputed) => "disputed",
        Some(EscrowState::Paid) => "paid",
        Some(EscrowState::Refunded) => "refunded",
        Some(EscrowState::Cancelled) => "cancelled",
        None => "in an unknown state",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{Address, U256, aliases::U40};
    use alloy::sol_types::SolError;
    use gristmill_protocol::contracts::JobMarket;

    #[test]
    fn refusals_say_what_to_do() {
        let early = JobMarket::DeadlineNotPassed { deadline: U40::from(1_764_000_000u64) };
        let text = words(&early.abi_encode(), 4439).unwrap();
        assert_eq!(
            text,
            "the deadline has not passed yet: a refund is possible after 2025-11-24 16:00:00 UTC"
        );
        let too_little = JobMarket::InsufficientBalance {
            owner: Address::ZERO,
            token: Address::ZERO,
            available: U256::from(5u8),
            required: U256::from(7u8),
        };
        let text = words(&too_little.abi_encode(), 4439).unwrap();
        assert!(
            text.ends_with("5 wei of U2U in the market, and 7 are required: `gristmill deposit`")
        );
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        assert_eq!(words(&[], 1), None);
        assert_eq!(words(&[1, 2, 3, 4], 1), None);
    }
}
