//! What the model says in the words of the contract: calls as calldata, events as logs, errors as revert data.

use alloy::primitives::aliases::U40;
use alloy::primitives::{Bytes, LogData, U256};
use alloy::sol_types::{SolCall, SolError, SolEvent};
use gristmill_protocol::api::Ruling;
use gristmill_protocol::contracts::{IJobMarket, JobMarket as M};
use gristmill_sim::model::{Assignment, Call, Event, Opening, Revert, Settlement};

fn u40(seconds: u64) -> U40 {
    U40::try_from(seconds).unwrap_or(U40::MAX)
}

fn u256(amount: u128) -> U256 {
    U256::from(amount)
}

fn ruling_code(ruling: Ruling) -> u8 {
    match ruling {
        Ruling::Pay => 0,
        Ruling::Refund => 1,
        Ruling::Reopen => 2,
    }
}

fn assignment(a: &Assignment) -> IJobMarket::Assignment {
    IJobMarket::Assignment {
        terms: (&a.terms).into(),
        node: a.node.0,
        attempt: a.attempt,
        expires: u40(a.expires),
        acceptance: (&a.acceptance).into(),
    }
}

fn opening(o: &Opening) -> IJobMarket::Opening {
    IJobMarket::Opening { terms: (&o.terms).into(), node: o.node.unwrap_or_default().0 }
}

fn settlement(s: &Settlement) -> IJobMarket::Settlement {
    IJobMarket::Settlement {
        terms: (&s.terms).into(),
        receiptHash: s.receipt_hash.0,
        signature: (&s.signature).into(),
    }
}

/// The calldata of a call, with `permit` where the verb takes one.
pub(crate) fn calldata(call: &Call, permit: IJobMarket::Permit) -> Vec<u8> {
    match call {
        Call::Open { terms } => M::openCall { t: terms.into() }.abi_encode(),
        Call::OpenWithPermit { terms } => {
            M::openWithPermitCall { t: terms.into(), permit }.abi_encode()
        }
        Call::OpenMany { openings, order, signature, proof } => M::openManyCall {
            openings: openings.iter().map(opening).collect(),
            order: IJobMarket::Order {
                root: order.root,
                epoch: order.epoch,
                expires: u40(order.expires),
            },
            signature: Bytes::copy_from_slice(signature),
            proof: proof.proof.clone(),
            flags: proof.flags.clone(),
        }
        .abi_encode(),
        Call::Cancel { terms } => M::cancelCall { t: terms.into() }.abi_encode(),
        Call::CancelMany { terms } => {
            M::cancelManyCall { terms: terms.iter().map(Into::into).collect() }.abi_encode()
        }
        Call::RaiseEpoch => M::raiseEpochCall {}.abi_encode(),
        Call::Refund { terms } => M::refundCall { t: terms.into() }.abi_encode(),
        Call::Assign { job, node, attempt } => {
            M::assignCall { id: job.0, node_: node.0, attempt: *attempt }.abi_encode()
        }
        Call::AssignWithTerms { assignment: item } => {
            M::assignWithTermsCall { assignment: assignment(item) }.abi_encode()
        }
        Call::AssignMany { assignments } => {
            let assignments = assignments.iter().map(assignment).collect();
            M::assignManyCall { assignments }.abi_encode()
        }
        Call::CallIn { terms } => M::callInCall { t: terms.into() }.abi_encode(),
        Call::Lapse { terms } => M::lapseCall { t: terms.into() }.abi_encode(),
        Call::Settle { settlement: item } => {
            let IJobMarket::Settlement { terms: t, receiptHash, signature } = settlement(item);
            M::settleCall { t, receiptHash, signature }.abi_encode()
        }
        Call::SettleMany { settlements } => {
            let settlements = settlements.iter().map(settlement).collect();
            M::settleManyCall { settlements }.abi_encode()
        }
        Call::Renew { terms, issued_at, signature } => {
            M::renewCall { t: terms.into(), issuedAt: u40(*issued_at), signature: signature.into() }
                .abi_encode()
        }
        Call::Release { terms, signature } => {
            M::releaseCall { t: terms.into(), signature: signature.into() }.abi_encode()
        }
        Call::Publish { terms, receipt_hash, signature } => M::publishCall {
            t: terms.into(),
            receiptHash: receipt_hash.0,
            signature: signature.into(),
        }
        .abi_encode(),
        Call::Claim { terms } => M::claimCall { t: terms.into() }.abi_encode(),
        Call::Dispute { terms } => M::disputeCall { t: terms.into() }.abi_encode(),
        Call::Rule { terms, ruling } => {
            M::ruleCall { t: terms.into(), ruling: ruling_code(*ruling) }.abi_encode()
        }
        Call::Deposit { token, amount } => {
            M::depositCall { token: *token, amount: u256(*amount) }.abi_encode()
        }
        Call::DepositWithPermit { token, amount } => {
            M::depositWithPermitCall { token: *token, amount: u256(*amount), permit }.abi_encode()
        }
        Call::Withdraw { token, to, amount } => {
            M::withdrawCall { token: *token, to: *to, amount: u256(*amount) }.abi_encode()
        }
        Call::Enroll { node, expires, signature } => {
            M::enrollCall { node_: node.0, expires: u40(*expires), nodeSignature: signature.into() }
                .abi_encode()
        }
        Call::Revoke { node } => M::revokeCall { node_: node.0 }.abi_encode(),
        Call::ApproveScheduler { scheduler, token, bond_limit } => {
            M::approveSchedulerCall { scheduler: *scheduler, token: *token, bondLimit: *bond_limit }
                .abi_encode()
        }
        Call::DisapproveScheduler { scheduler } => {
            M::disapproveSchedulerCall { scheduler: *scheduler }.abi_encode()
        }
    }
}

/// The log of an event.
pub(crate) fn log(event: &Event) -> LogData {
    match event {
        Event::Opened { job, terms } => {
            M::Opened { jobId: job.0, submitter: terms.submitter, terms: terms.into() }
                .encode_log_data()
        }
        Event::Cancelled { job, amount } => {
            M::Cancelled { jobId: job.0, amount: u256(*amount) }.encode_log_data()
        }
        Event::Assigned { job, node, provider, attempt } => {
            M::Assigned { jobId: job.0, node: node.0, provider: *provider, attempt: *attempt }
                .encode_log_data()
        }
        Event::CalledIn { job, attempt, lease_end } => {
            M::CalledIn { jobId: job.0, attempt: *attempt, leaseEnd: u40(*lease_end) }
                .encode_log_data()
        }
        Event::Renewed { job, attempt, lease_end } => {
            M::Renewed { jobId: job.0, attempt: *attempt, leaseEnd: u40(*lease_end) }
                .encode_log_data()
        }
        Event::Released { job, attempt } => {
            M::Released { jobId: job.0, attempt: *attempt }.encode_log_data()
        }
        Event::Lapsed { job, attempt } => {
            M::Lapsed { jobId: job.0, attempt: *attempt }.encode_log_data()
        }
        Event::Forfeited { job, provider, to_submitter, to_pool } => M::Forfeited {
            jobId: job.0,
            provider: *provider,
            toSubmitter: u256(*to_submitter),
            toPool: u256(*to_pool),
        }
        .encode_log_data(),
        Event::Settled { job, node, attempt, receipt_hash } => M::Settled {
            jobId: job.0,
            node: node.0,
            attempt: *attempt,
            receiptHash: receipt_hash.0,
        }
        .encode_log_data(),
        Event::Published { job, node, attempt, receipt_hash } => M::Published {
            jobId: job.0,
            node: node.0,
            attempt: *attempt,
            receiptHash: receipt_hash.0,
        }
        .encode_log_data(),
        Event::Disputed { job, by, until } => {
            M::Disputed { jobId: job.0, by: *by, until: u40(*until) }.encode_log_data()
        }
        Event::Ruled { job, ruling } => {
            M::Ruled { jobId: job.0, ruling: ruling_code(*ruling) }.encode_log_data()
        }
        Event::Paid { job, provider, amount, fee } => {
            M::Paid { jobId: job.0, provider: *provider, amount: u256(*amount), fee: u256(*fee) }
                .encode_log_data()
        }
        Event::Refunded { job, amount } => {
            M::Refunded { jobId: job.0, amount: u256(*amount) }.encode_log_data()
        }
        Event::Skipped { job, reason } => {
            M::Skipped { jobId: job.0, reason: revert_data(reason).into() }.encode_log_data()
        }
        Event::Deposited { owner, token, amount } => {
            M::Deposited { owner: *owner, token: *token, amount: u256(*amount) }.encode_log_data()
        }
        Event::Credited { owner, token, amount } => {
            M::Credited { owner: *owner, token: *token, amount: u256(*amount) }.encode_log_data()
        }
        Event::Debited { owner, token, amount } => {
            M::Debited { owner: *owner, token: *token, amount: u256(*amount) }.encode_log_data()
        }
        Event::Withdrawn { owner, token, to, amount } => {
            M::Withdrawn { owner: *owner, token: *token, to: *to, amount: u256(*amount) }
                .encode_log_data()
        }
        Event::EpochRaised { owner, epoch } => {
            M::EpochRaised { owner: *owner, epoch: *epoch }.encode_log_data()
        }
        Event::Enrolled { node, provider } => {
            M::Enrolled { node: node.0, provider: *provider }.encode_log_data()
        }
        Event::Revoked { node, provider } => {
            M::Revoked { node: node.0, provider: *provider }.encode_log_data()
        }
        Event::SchedulerApproved { provider, scheduler, token, bond_limit } => {
            M::SchedulerApproved {
                provider: *provider,
                scheduler: *scheduler,
                token: *token,
                bondLimit: *bond_limit,
            }
            .encode_log_data()
        }
        Event::SchedulerDisapproved { provider, scheduler } => {
            M::SchedulerDisapproved { provider: *provider, scheduler: *scheduler }.encode_log_data()
        }
    }
}

/// What the contract reverts with. Nothing where it reverts without a word.
pub(crate) fn revert_data(revert: &Revert) -> Vec<u8> {
    match *revert {
        Revert::NotPayable | Revert::NotEnoughCoin => Vec::new(),
        Revert::NotSubmitter { caller, submitter } => {
            M::NotSubmitter { caller, submitter }.abi_encode()
        }
        Revert::NotScheduler { caller, scheduler } => {
            M::NotScheduler { caller, scheduler }.abi_encode()
        }
        Revert::NotSchedulerOrSubmitter { caller, scheduler, submitter } => {
            M::NotSchedulerOrSubmitter { caller, scheduler, submitter }.abi_encode()
        }
        Revert::NotDisputant { caller } => M::NotDisputant { caller }.abi_encode(),
        Revert::NotArbiter { caller, arbiter } => M::NotArbiter { caller, arbiter }.abi_encode(),
        Revert::NotProvider { caller, provider } => {
            M::NotProvider { caller, provider }.abi_encode()
        }
        Revert::BadSignature { signer, recovered } => {
            M::BadSignature { signer, recovered }.abi_encode()
        }
        Revert::ZeroParty { scheduler, arbiter } => {
            M::ZeroParty { scheduler, arbiter }.abi_encode()
        }
        Revert::ZeroBounty => M::ZeroBounty {}.abi_encode(),
        Revert::FeeAboveBounty { fee, bounty } => M::FeeAboveBounty { fee, bounty }.abi_encode(),
        Revert::PartialArbiter { arbiter } => M::PartialArbiter { arbiter }.abi_encode(),
        Revert::TermOutOfRange { term, value, min, max } => M::TermOutOfRange {
            term: term.to_owned(),
            value: U256::from(value),
            min: U256::from(min),
            max: U256::from(max),
        }
        .abi_encode(),
        Revert::WrongValue { sent, required } => {
            M::WrongValue { sent: u256(sent), required: u256(required) }.abi_encode()
        }
        Revert::TransferFromFailed { token, from, amount } => {
            M::TransferFromFailed { token, from, amount: u256(amount) }.abi_encode()
        }
        Revert::InsufficientBalance { owner, token, available, required } => {
            let (available, required) = (u256(available), u256(required));
            M::InsufficientBalance { owner, token, available, required }.abi_encode()
        }
        Revert::BondAboveLimit { provider, scheduler, used, limit } => {
            M::BondAboveLimit { provider, scheduler, used: u256(used), limit: u256(limit) }
                .abi_encode()
        }
        Revert::InvalidRecipient { to } => M::InvalidRecipient { to }.abi_encode(),
        Revert::WithdrawFailed { token, to, amount } => {
            M::WithdrawFailed { token, to, amount: u256(amount) }.abi_encode()
        }
        Revert::WrongState { job, state } => {
            M::WrongState { jobId: job.0, state: state as u8 }.abi_encode()
        }
        Revert::WrongAttempt { attempt, expected } => {
            M::WrongAttempt { attempt, expected: U256::from(expected) }.abi_encode()
        }
        Revert::DeadlinePassed { deadline } => {
            M::DeadlinePassed { deadline: u40(deadline) }.abi_encode()
        }
        Revert::DeadlineNotPassed { deadline } => {
            M::DeadlineNotPassed { deadline: u40(deadline) }.abi_encode()
        }
        Revert::LeaseRunning { until } => M::LeaseRunning { until: u40(until) }.abi_encode(),
        Revert::LeaseEnded { lease_end } => M::LeaseEnded { leaseEnd: u40(lease_end) }.abi_encode(),
        Revert::WindowOpen { until } => M::WindowOpen { until: u40(until) }.abi_encode(),
        Revert::WindowClosed { until } => M::WindowClosed { until: u40(until) }.abi_encode(),
        Revert::AlreadyCalledIn { lease_end } => {
            M::AlreadyCalledIn { leaseEnd: u40(lease_end) }.abi_encode()
        }
        Revert::CallInTooEarly { earliest } => {
            M::CallInTooEarly { earliest: u40(earliest) }.abi_encode()
        }
        Revert::CallInWithoutEffect { lease_end } => {
            M::CallInWithoutEffect { leaseEnd: u40(lease_end) }.abi_encode()
        }
        Revert::RenewalFromFuture { issued_at, current } => {
            M::RenewalFromFuture { issuedAt: u40(issued_at), current: u40(current) }.abi_encode()
        }
        Revert::RenewalExpired { issued_at, expiry } => {
            M::RenewalExpired { issuedAt: u40(issued_at), expiry: u40(expiry) }.abi_encode()
        }
        Revert::RenewalNotNewer { issued_at, last } => {
            M::RenewalNotNewer { issuedAt: u40(issued_at), last: u40(last) }.abi_encode()
        }
        Revert::AcceptanceRequired { job } => M::AcceptanceRequired { jobId: job.0 }.abi_encode(),
        Revert::AcceptanceExpired { expires } => {
            M::AcceptanceExpired { expires: u40(expires) }.abi_encode()
        }
        Revert::EmptyBatch => M::EmptyBatch {}.abi_encode(),
        Revert::MixedBatch { index } => M::MixedBatch { index: U256::from(index) }.abi_encode(),
        Revert::OrderExpired { expires } => M::OrderExpired { expires: u40(expires) }.abi_encode(),
        Revert::OrderRevoked { epoch, current } => M::OrderRevoked { epoch, current }.abi_encode(),
        Revert::NotInOrder { root } => M::NotInOrder { root }.abi_encode(),
        Revert::BadOrderSignature { submitter } => M::BadOrderSignature { submitter }.abi_encode(),
        Revert::EnrollmentExpired { expires } => {
            M::EnrollmentExpired { expires: u40(expires) }.abi_encode()
        }
        Revert::AlreadyEnrolled { node, provider } => {
            M::AlreadyEnrolled { node: node.0, provider }.abi_encode()
        }
        Revert::NotEnrolled { node } => M::NotEnrolled { node: node.0 }.abi_encode(),
        Revert::NodeRevoked { node } => M::NodeRevoked { node: node.0 }.abi_encode(),
        Revert::SchedulerNotApproved { provider, scheduler } => {
            M::SchedulerNotApproved { provider, scheduler }.abi_encode()
        }
    }
}
