//! From intents to calls of the contract, and from the contract's refusals back to what they mean for an intent.

use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, U256};
use alloy::sol_types::{SolCall, SolError, SolInterface};
use gristmill_market::effect::IntentAction;
use gristmill_market::escrow::Escrow;
use gristmill_market::job::Job;
use gristmill_protocol::api::{EscrowState, IntentKind};
use gristmill_protocol::contracts::JobMarket::{self, JobMarketErrors};
use gristmill_protocol::contracts::{IJobMarket, escrow_number};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::MultiProof;
use gristmill_protocol::signing::u40;

use crate::drivers::chain_rpc::Revert;

/// An intent whose time comes within this is waited for; one that comes later is planned again by the rules.
const WAIT_SECONDS_MAX: u64 = 120;

/// Bytes of calldata that one job takes in a batch, at most: terms, node, signature, and its part of an order's proof.
pub const ITEM_BYTES_MAX: usize = 1_152;

/// What a refusal of the contract means for an intent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It may succeed soon: chain time has to pass, or an earlier transaction has to be mined.
    ForNow,
    /// It never will: somebody has done it already, or it is not possible any more.
    ForGood,
}

/// The calldata of one transaction: the contract's verb for one job, or for intents of a kind its verb for many, in the
/// order in which they are given. Nothing where there is none, or where an order does not prove its jobs.
#[must_use]
pub fn calldata(calls: &[(&Job, &IntentAction)]) -> Option<Vec<u8>> {
    let [(job, action)] = calls else { return batch_calldata(calls) };
    let t = IJobMarket::Terms::from(&job.terms);
    Some(match action {
        IntentAction::Open | IntentAction::OpenAndAssign { .. } => return open(calls),
        // An open job without a bond can do without its terms, for a third of the price of calldata.
        IntentAction::Assign { attempt, node, .. }
            if job.terms.bond == Amount::ZERO && !matches!(job.escrow, Escrow::Assigned { .. }) =>
        {
            JobMarket::assignCall { id: job.id.0, node_: node.0, attempt: attempt.0 }.abi_encode()
        }
        IntentAction::Assign { .. } => {
            let assignment = assignment(job, action)?;
            JobMarket::assignWithTermsCall { assignment }.abi_encode()
        }
        IntentAction::CallIn { .. } => JobMarket::callInCall { t }.abi_encode(),
        IntentAction::Release { signature, .. } => {
            JobMarket::releaseCall { t, signature: signature.into() }.abi_encode()
        }
        IntentAction::Lapse { .. } => JobMarket::lapseCall { t }.abi_encode(),
        IntentAction::Settle { receipt_hash, signature, .. } => {
            JobMarket::settleCall { t, receiptHash: receipt_hash.0, signature: signature.into() }
                .abi_encode()
        }
        IntentAction::Claim { .. } => JobMarket::claimCall { t }.abi_encode(),
        IntentAction::Refund => JobMarket::refundCall { t }.abi_encode(),
    })
}

fn batch_calldata(calls: &[(&Job, &IntentAction)]) -> Option<Vec<u8>> {
    match calls.first()?.1 {
        IntentAction::Open | IntentAction::OpenAndAssign { .. } => open(calls),
        IntentAction::Assign { .. } => {
            let assignments = calls.iter().map(|(job, action)| assignment(job, action));
            let assignments = assignments.collect::<Option<_>>()?;
            Some(JobMarket::assignManyCall { assignments }.abi_encode())
        }
        IntentAction::Settle { .. } => {
            let settlements = calls.iter().map(|(job, action)| settlement(job, action));
            let settlements = settlements.collect::<Option<_>>()?;
            Some(JobMarket::settleManyCall { settlements }.abi_encode())
        }
        IntentAction::CallIn { .. }
        | IntentAction::Release { .. }
        | IntentAction::Lapse { .. }
        | IntentAction::Claim { .. }
        | IntentAction::Refund => None,
    }
}

/// Opens prepaid jobs by their order, and assigns those for which a node is named.
fn open(calls: &[(&Job, &IntentAction)]) -> Option<Vec<u8>> {
    let funding = calls.first()?.0.funding.as_ref()?;
    let mut openings = Vec::new();
    let mut paths = Vec::new();
    for (job, action) in calls {
        let node = match action {
            IntentAction::Open => Address::ZERO,
            IntentAction::OpenAndAssign { node, .. } => node.0,
            IntentAction::Assign { .. }
            | IntentAction::CallIn { .. }
            | IntentAction::Release { .. }
            | IntentAction::Lapse { .. }
            | IntentAction::Settle { .. }
            | IntentAction::Claim { .. }
            | IntentAction::Refund => return None,
        };
        openings.push(IJobMarket::Opening { terms: (&job.terms).into(), node });
        paths.push((job.id, &job.funding.as_ref()?.path));
    }
    let proof = MultiProof::of(&paths)?;
    let jobs: Vec<_> = paths.iter().map(|(job, _)| *job).collect();
    if !proof.proves(&jobs, funding.order.root) {
        return None;
    }
    let call = JobMarket::openManyCall {
        openings,
        order: (&funding.order).into(),
        signature: funding.signature.0.clone().into(),
        proof: proof.proof,
        flags: proof.flags,
    };
    Some(call.abi_encode())
}

fn assignment(job: &Job, action: &IntentAction) -> Option<IJobMarket::Assignment> {
    let IntentAction::Assign { attempt, node, acceptance } = action else { return None };
    let acceptance = acceptance.as_ref();
    Some(IJobMarket::Assignment {
        terms: (&job.terms).into(),
        node: node.0,
        attempt: attempt.0,
        expires: acceptance.map_or(U40::ZERO, |acceptance| u40(acceptance.expires)),
        acceptance: acceptance
            .map(|acceptance| IJobMarket::Signature::from(&acceptance.signature))
            .unwrap_or_default(),
    })
}

fn settlement(job: &Job, action: &IntentAction) -> Option<IJobMarket::Settlement> {
    let IntentAction::Settle { receipt_hash, signature, .. } = action else { return None };
    Some(IJobMarket::Settlement {
        terms: (&job.terms).into(),
        receiptHash: receipt_hash.0,
        signature: signature.into(),
    })
}

/// The refusal of a job that exists already.
#[must_use]
pub fn already(job: JobId, state: EscrowState) -> Revert {
    let error = JobMarket::WrongState { jobId: job.0, state: escrow_number(state) };
    Revert { data: error.abi_encode(), message: String::new() }
}

/// The refusal of a job for which its submitter has not enough in the market.
#[must_use]
pub fn too_little(job: &Job, available: U256) -> Revert {
    let error = JobMarket::InsufficientBalance {
        owner: job.terms.submitter,
        token: job.terms.token,
        available,
        required: U256::from(job.terms.bounty.0),
    };
    Revert { data: error.abi_encode(), message: String::new() }
}

/// What it means that the contract refuses a call of this kind when its clock says `now_s`.
#[must_use]
pub fn judge(kind: IntentKind, revert: &Revert, now_s: u64) -> Refusal {
    use JobMarketErrors as E;
    let soon = |until: u64| {
        if until.saturating_sub(now_s) <= WAIT_SECONDS_MAX {
            Refusal::ForNow
        } else {
            Refusal::ForGood
        }
    };
    let Ok(error) = JobMarketErrors::abi_decode(&revert.data) else {
        // A token or a receiver that fails may recover; the number of tries has an end.
        return Refusal::ForNow;
    };
    match error {
        E::LeaseRunning(e) => soon(e.until.to()),
        E::WindowOpen(e) => soon(e.until.to()),
        E::CallInTooEarly(e) => soon(e.earliest.to()),
        E::DeadlineNotPassed(e) => soon(e.deadline.to()),
        // The assignment before this one is not mined yet. If more are mined than we know of, this one is too late.
        E::WrongAttempt(e) if alloy::primitives::U256::from(e.attempt) > e.expected => {
            Refusal::ForNow
        }
        E::WrongState(e) if is_before(kind, e.state) => Refusal::ForNow,
        // A stake of gas that the estimate did not see.
        E::InsufficientGas(_) => Refusal::ForNow,
        // The deposit may be a block behind the order.
        E::InsufficientBalance(_) if opens(kind) => Refusal::ForNow,
        // Approvals and payments are in the hands of others, and may change.
        E::TransferFromFailed(_) | E::TokenAmountMismatch(_) | E::WithdrawFailed(_) => {
            Refusal::ForNow
        }
        E::WrongAttempt(_)
        | E::WrongState(_)
        | E::NotSubmitter(_)
        | E::NotScheduler(_)
        | E::NotSchedulerOrSubmitter(_)
        | E::NotProvider(_)
        | E::BadSignature(_)
        | E::ZeroParty(_)
        | E::ZeroBounty(_)
        | E::FeeAboveBounty(_)
        | E::PartialArbiter(_)
        | E::StrayBits(_)
        | E::NotDisputant(_)
        | E::NotArbiter(_)
        | E::BondAboveLimit(_)
        | E::AcceptanceRequired(_)
        | E::AcceptanceExpired(_)
        | E::EmptyBatch(_)
        | E::MixedBatch(_)
        | E::OrderExpired(_)
        | E::OrderRevoked(_)
        | E::NotInOrder(_)
        | E::BadOrderSignature(_)
        | E::TermOutOfRange(_)
        | E::WrongValue(_)
        | E::InsufficientBalance(_)
        | E::InvalidRecipient(_)
        | E::DeadlinePassed(_)
        | E::LeaseEnded(_)
        | E::WindowClosed(_)
        | E::AlreadyCalledIn(_)
        | E::CallInWithoutEffect(_)
        | E::RenewalFromFuture(_)
        | E::RenewalExpired(_)
        | E::RenewalNotNewer(_)
        | E::EnrollmentExpired(_)
        | E::AlreadyEnrolled(_)
        | E::NotEnrolled(_)
        | E::NodeRevoked(_)
        | E::SchedulerNotApproved(_)
        | E::Reentrancy(_) => Refusal::ForGood,
    }
}

/// Whether intents of this kind open a job by an order.
#[must_use]
pub fn opens(kind: IntentKind) -> bool {
    match kind {
        IntentKind::Open | IntentKind::OpenAndAssign => true,
        IntentKind::Assign
        | IntentKind::CallIn
        | IntentKind::Release
        | IntentKind::Lapse
        | IntentKind::Settle
        | IntentKind::Claim
        | IntentKind::Refund => false,
    }
}

/// Whether a job in this state of the contract (the number of `IJobMarket.State`) may yet come to one in which the call is
/// possible, by what is on its way already.
fn is_before(kind: IntentKind, state: u8) -> bool {
    const NONE: u8 = 0;
    const OPEN: u8 = 1;
    const ASSIGNED: u8 = 2;
    match kind {
        IntentKind::Assign | IntentKind::Refund => state == NONE,
        IntentKind::Settle => matches!(state, NONE | OPEN),
        IntentKind::Claim => state == ASSIGNED,
        IntentKind::Open
        | IntentKind::OpenAndAssign
        | IntentKind::CallIn
        | IntentKind::Release
        | IntentKind::Lapse => false,
    }
}

/// The contract's reason in words.
#[must_use]
pub fn describe(revert: &Revert) -> String {
    match JobMarketErrors::abi_decode(&revert.data) {
        Ok(error) => format!("{error:?}"),
        Err(_) => revert.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::B256;

    fn revert(error: &impl SolError) -> Revert {
        Revert { data: error.abi_encode(), message: String::new() }
    }

    #[test]
    fn what_waits_for_the_clock_is_waited_for_and_what_is_done_is_done() {
        let until = U40::from(1_000u64);
        let state = |state: u8| JobMarket::WrongState { jobId: B256::ZERO, state };
        let attempt =
            |attempt, expected| JobMarket::WrongAttempt { attempt, expected: U256::from(expected) };
        let lease = revert(&JobMarket::LeaseRunning { until });
        assert_eq!(judge(IntentKind::Lapse, &lease, 990), Refusal::ForNow);
        assert_eq!(
            judge(IntentKind::Lapse, &lease, 1_005),
            Refusal::ForNow,
            "a block may be older than our look"
        );
        assert_eq!(judge(IntentKind::Lapse, &lease, 100), Refusal::ForGood, "the node has renewed");
        for (kind, number, expected) in [
            (IntentKind::Settle, 1, Refusal::ForNow),
            (IntentKind::Settle, 6, Refusal::ForGood),
            (IntentKind::Settle, 3, Refusal::ForGood),
            (IntentKind::Refund, 7, Refusal::ForGood),
            (IntentKind::Refund, 0, Refusal::ForNow),
            (IntentKind::Lapse, 1, Refusal::ForGood),
            (IntentKind::Claim, 2, Refusal::ForNow),
            (IntentKind::Claim, 6, Refusal::ForGood),
            (IntentKind::Assign, 8, Refusal::ForGood),
        ] {
            assert_eq!(
                judge(kind, &revert(&state(number)), 0),
                expected,
                "{kind:?} in state {number}"
            );
        }
        assert_eq!(judge(IntentKind::Assign, &revert(&attempt(3, 2u64)), 0), Refusal::ForNow);
        assert_eq!(judge(IntentKind::Assign, &revert(&attempt(2, 3u64)), 0), Refusal::ForGood);
        let poor = revert(&JobMarket::InsufficientBalance {
            owner: Address::ZERO,
            token: Address::ZERO,
            available: U256::ZERO,
            required: U256::ONE,
        });
        let deposit = "the deposit may come with the next block";
        assert_eq!(judge(IntentKind::OpenAndAssign, &poor, 0), Refusal::ForNow, "{deposit}");
        assert_eq!(judge(IntentKind::Assign, &poor, 0), Refusal::ForGood, "another node has more");
        let unknown = Revert { data: vec![1, 2, 3, 4], message: "execution reverted".into() };
        assert_eq!(judge(IntentKind::Settle, &unknown, 0), Refusal::ForNow);
        assert_eq!(describe(&unknown), "execution reverted");
        assert!(describe(&lease).contains("LeaseRunning"));
    }
}
