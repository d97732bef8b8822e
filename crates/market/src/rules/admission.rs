//! Jobs come in, and submitters take them back.

use gristmill_protocol::Address;
use gristmill_protocol::api::EventBody;
use gristmill_protocol::ids::{AttemptNumber, JobId};
use gristmill_protocol::order::Funding;
use gristmill_protocol::spec::SpecError;
use gristmill_protocol::terms::Terms;

use super::draft::Draft;
use super::lifecycle::{abandon, cancel_unopened, queue, refund};
use super::pursuit::{Occasion, pursue};
use crate::demand::{Demand, KnownSpec};
use crate::escrow::{ChainPosition, Escrow};
use crate::job::{Job, RefundReason, State};
use crate::policy::Policy;
use crate::rejection::Rejection;
use crate::reply::Reply;

/// The last second at which an attempt may still begin. `None` where not even the first second would do.
pub(super) fn latest_start_s(terms: &Terms, demand: &Demand, policy: &Policy) -> Option<u64> {
    let run = u64::from(demand.max_run_seconds) + u64::from(policy.settle_margin_seconds);
    terms.deadline.checked_sub(run)
}

/// Why a job can never be done under its terms, whatever nodes there are.
fn objection(terms: &Terms, demand: &Demand, policy: &Policy, now_s: u64) -> Option<RefundReason> {
    let least = terms.bounty.basis_points(policy.fee_bps);
    if terms.fee < least {
        return Some(RefundReason::FeeTooLow { least });
    }
    if demand.max_run_seconds > terms.attempt_seconds {
        return Some(RefundReason::AttemptTooShort);
    }
    if latest_start_s(terms, demand, policy).is_none_or(|latest| now_s > latest) {
        return Some(RefundReason::TooLate);
    }
    None
}

/// A job without a history. Its id is the hash of its terms.
fn new_job(
    draft: &Draft<'_>,
    id: JobId,
    terms: Terms,
    demand: Option<Demand>,
) -> Result<Job, Rejection> {
    let ours = draft.policy().scheduler;
    if terms.scheduler != ours {
        return Err(Rejection::WrongScheduler { named: terms.scheduler, ours });
    }
    Ok(Job {
        id,
        terms,
        demand,
        funding: None,
        state: State::Funding,
        escrow: Escrow::None,
        escrow_at: ChainPosition::default(),
        assignments: AttemptNumber(0),
        newest: AttemptNumber(0),
        excluded: Vec::new(),
        setbacks: Vec::new(),
        version: 0,
        created_at: draft.now,
        queued_at: draft.now,
        due_at: None,
        ended_at: None,
    })
}

/// `None` where the store has no spec, an error where it asks for what cannot be done.
fn demand_of(
    terms: &Terms,
    spec: Option<&KnownSpec>,
) -> Result<Option<Result<Demand, SpecError>>, Rejection> {
    let Some(known) = spec else { return Ok(None) };
    if known.hash != terms.spec_hash {
        return Err(Rejection::SpecMismatch);
    }
    Ok(Some(Demand::of(&known.spec)))
}

/// A submitter posts a job. Whatever would end in a refund is refused here, before any money moves.
pub(super) fn create(
    draft: &mut Draft<'_>,
    id: JobId,
    by: Address,
    terms: Terms,
    spec: &KnownSpec,
    funding: Option<Funding>,
) -> Result<Reply, Rejection> {
    if by != terms.submitter {
        return Err(Rejection::NotTheSubmitter { submitter: terms.submitter });
    }
    let known = draft.find_job(id).map(|job| (job.demand.is_some(), job.state.clone()));
    match known {
        None => {
            let now_s = draft.now.unix_seconds();
            terms.validate(now_s)?;
            let Some(demand) = demand_of(&terms, Some(spec))? else {
                return Err(Rejection::SpecMismatch);
            };
            let demand = demand?;
            if let Some(rejection) = refused(&terms, &demand, draft.policy(), now_s) {
                return Err(rejection);
            }
            let job = new_job(draft, id, terms, Some(demand))?;
            draft.insert_job(job);
            draft.record(id, EventBody::Created)?;
            if let Some(funding) = funding {
                prepay(draft, id, funding)?;
            }
            pursue(draft, id, Occasion::Change)?;
            Ok(Reply::Created { state: draft.job(id)?.state.name() })
        }
        // It was posted before, and now there is something to pay it with.
        Some((true, State::Funding)) if funding.is_some() => {
            if let Some(funding) = funding {
                prepay(draft, id, funding)?;
            }
            pursue(draft, id, Occasion::Change)?;
            Ok(Reply::Job { state: draft.job(id)?.state.name() })
        }
        // The chain was first: now there is something to run.
        Some((false, State::Queued { .. })) => {
            let terms = draft.job(id)?.terms;
            admit(draft, id, demand_of(&terms, Some(spec))?)?;
            pursue(draft, id, Occasion::Change)?;
            Ok(Reply::Job { state: draft.job(id)?.state.name() })
        }
        Some((_, state)) => Ok(Reply::Job { state: state.name() }),
    }
}

/// The job is paid by an order, so it waits for nothing but a node. The caller has checked the signature.
fn prepay(draft: &mut Draft<'_>, id: JobId, funding: Funding) -> Result<(), Rejection> {
    let order = funding.order;
    if !funding.path.leads(id, &order) {
        return Err(Rejection::NotInOrder);
    }
    if draft.now.unix_seconds() > order.expires {
        return Err(Rejection::OrderExpired { expires: order.expires });
    }
    draft.job_mut(id)?.funding = Some(funding);
    queue(draft, id, "an order pays for it")
}

/// Why a job could never be done under its terms, in the words in which it would be refused.
pub(crate) fn refused(
    terms: &Terms,
    demand: &Demand,
    policy: &Policy,
    now_s: u64,
) -> Option<Rejection> {
    let reason = objection(terms, demand, policy, now_s)?;
    Some(refusal(reason, terms, demand, policy))
}

fn refusal(reason: RefundReason, terms: &Terms, demand: &Demand, policy: &Policy) -> Rejection {
    let run_seconds = demand.max_run_seconds;
    match reason {
        RefundReason::FeeTooLow { least } => Rejection::FeeTooLow { fee: terms.fee, least },
        RefundReason::AttemptTooShort => {
            Rejection::AttemptTooShort { run_seconds, attempt_seconds: terms.attempt_seconds }
        }
        RefundReason::TooLate
        | RefundReason::Cancelled
        | RefundReason::LateDeposit
        | RefundReason::AttemptsExhausted
        | RefundReason::NotSupported
        | RefundReason::Ruled
        | RefundReason::OrderExpired => {
            Rejection::TooLate { run_seconds, margin_seconds: policy.settle_margin_seconds }
        }
    }
}

/// A funded job waits for a node, unless it can never be done.
fn admit(
    draft: &mut Draft<'_>,
    id: JobId,
    demand: Option<Result<Demand, SpecError>>,
) -> Result<(), Rejection> {
    let (policy, now_s) = (draft.policy(), draft.now.unix_seconds());
    match demand {
        Some(Ok(demand)) => draft.job_mut(id)?.demand = Some(demand),
        Some(Err(_)) => return refund(draft, id, RefundReason::NotSupported),
        None => {}
    }
    let job = draft.job(id)?;
    let objection =
        job.demand.as_ref().and_then(|demand| objection(&job.terms, demand, policy, now_s));
    match objection {
        Some(reason) => refund(draft, id, reason),
        None if job.demand.is_some() => queue(draft, id, "the bounty is locked"),
        None => queue(draft, id, "the bounty is locked, but nobody has uploaded the spec"),
    }
}

/// The bounty is locked, finally.
pub(super) fn opened(
    draft: &mut Draft<'_>,
    id: JobId,
    terms: Terms,
    spec: Option<&KnownSpec>,
) -> Result<(), Rejection> {
    let demand = demand_of(&terms, spec)?;
    if draft.find_job(id).is_none() {
        let job = new_job(draft, id, terms, None)?;
        draft.insert_job(job);
        draft.record(id, EventBody::Created)?;
    }
    let state = draft.job(id)?.state.clone();
    draft.job_mut(id)?.escrow = Escrow::Open;
    match state {
        State::Funding => {
            draft.record(id, EventBody::Funded)?;
            // What the job was posted with stands: terms and spec are the same by their hashes.
            let demand = if draft.job(id)?.demand.is_some() { None } else { demand };
            admit(draft, id, demand)
        }
        // Its order was given up here, but worked after all; and the submitter still wants it.
        State::Cancelled if draft.job(id)?.funding.is_some() => {
            draft.record(id, EventBody::Funded)?;
            admit(draft, id, None)
        }
        State::Cancelled => {
            draft.record(id, EventBody::Funded)?;
            refund(draft, id, RefundReason::LateDeposit)
        }
        // Prepaid: it was waiting for a node, or has one.
        State::Queued { .. }
        | State::Assigned { .. }
        | State::CallingIn { .. }
        | State::Verifying { .. }
        | State::Published { .. }
        | State::Settling { .. } => draft.record(id, EventBody::Funded),
        // The contract opens a job once, as its first event: there is nothing to add.
        State::Refunding { .. } | State::Settled { .. } | State::Refunded => Ok(()),
    }
}

/// The submitter wants its job back. A result that is in will be judged and paid: it cannot be called off.
pub(super) fn cancel(draft: &mut Draft<'_>, id: JobId, by: Address) -> Result<Reply, Rejection> {
    let job = draft.job(id)?;
    if by != job.submitter() {
        return Err(Rejection::NotTheSubmitter { submitter: job.submitter() });
    }
    match job.state.clone() {
        State::Funding => cancel_unopened(draft, id, "the submitter cancelled it")?,
        State::Queued { .. } | State::Assigned { .. } | State::CallingIn { .. } => {
            // What its order opens from now on, is not wanted.
            draft.job_mut(id)?.funding = None;
            abandon(draft, id, None, "the submitter cancelled the job")?;
            refund(draft, id, RefundReason::Cancelled)?;
        }
        State::Refunding { .. } | State::Refunded | State::Cancelled => {
            return Ok(Reply::Unchanged);
        }
        state @ (State::Verifying { .. }
        | State::Published { .. }
        | State::Settling { .. }
        | State::Settled { .. }) => return Err(Rejection::WrongState { state: state.name() }),
    }
    pursue(draft, id, Occasion::Change)?;
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}
