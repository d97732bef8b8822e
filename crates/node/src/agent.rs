//! What the node does next with one attempt, given what it knows: pure, so that every case can be read and tested.

pub mod acceptance;
pub mod record;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use gristmill_protocol::Address;
use gristmill_protocol::api::{EscrowState, Stop};
use gristmill_protocol::money::Amount;

pub use acceptance::{Rules, check};
pub use record::{Acceptance, Ended, Phase, Record, SignedReceipt};

/// Between the longest possible end of a run and the deadline: time to hash, upload, check and settle.
const MARGIN_SECONDS: u64 = 60;
const NO_TIME: &str = "the deadline leaves no time for the job";

/// What the contract says of the job, as of one block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub state: EscrowState,
    /// The node that holds the job, or delivered it.
    pub node: Address,
    pub attempt: u16,
    /// Assigned: when the lease ends. Unix seconds.
    pub lease_end: u64,
    /// Assigned: the scheduler asks whether the node lives.
    pub called_in: bool,
    /// Assigned: when the attempt began. Renewals end `attempt_seconds` later.
    pub assigned_at: u64,
    /// Held or Published: when that began.
    pub at: u64,
    /// The time of the block.
    pub now: u64,
}

/// What runs in the background for this attempt. One thing at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    Idle,
    Preparing,
    Running,
    Collecting,
    Reporting,
}

/// All that a decision depends on, besides the record.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The newest look at the chain; `None` before the first.
    pub seen: Option<&'a Seen>,
    pub activity: Activity,
    /// The scheduler says that the node must stop.
    pub stop: Option<&'a Stop>,
    /// The provider wants the machine back at once.
    pub cancelled: bool,
    /// How long this attempt has been waiting for its escrow, by the machine's own clock.
    pub waited_ms: u64,
    /// By the machine's own clock the lease has ended, even if the chain cannot be reached to say so.
    pub lease_ran_out: bool,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing, until something happens.
    Wait,
    /// Fetch inputs and program.
    Prepare,
    /// Run the program, or find it again after a restart.
    Run,
    /// Hash the output and sign the receipt.
    Collect,
    /// Upload the output and tell the scheduler.
    Report,
    /// End the program and whatever else runs, and then decide again.
    Kill { reason: String },
    /// Sign that the node takes a job with a bond, so that it can be assigned.
    Accept { expires: u64 },
    /// Say on chain that the node lives.
    Renew,
    /// Give the attempt back, signed.
    Release { reason: String },
    /// Put the result on chain without the scheduler.
    Publish,
    /// Take the payment whose window is over.
    Claim,
    /// Nothing more will ever be done.
    End { how: String },
}

/// Where the attempt stands on chain.
enum Standing {
    Unknown,
    /// Not assigned yet.
    Pending,
    Mine,
    /// This attempt's result was accepted, and is held.
    Held,
    /// This attempt's result is on chain, put there by the node itself.
    Published,
    Disputed,
    /// It is over for this attempt, for the reason named.
    Over(String),
}

fn standing(rules: &Rules, record: &Record, seen: Option<&Seen>) -> Standing {
    let Some(seen) = seen else { return Standing::Unknown };
    let attempt = record.assignment.attempt.0;
    let is_mine = seen.node == rules.node && seen.attempt == attempt;
    match seen.state {
        EscrowState::None => Standing::Pending,
        EscrowState::Open if seen.attempt < attempt => Standing::Pending,
        EscrowState::Open => Standing::Over("the attempt was given back or ran out".into()),
        EscrowState::Assigned if is_mine => Standing::Mine,
        // An older attempt holds the job until its lease ends.
        EscrowState::Assigned if seen.attempt < attempt => Standing::Pending,
        EscrowState::Assigned => Standing::Over("another attempt holds the job".into()),
        EscrowState::Held if is_mine => Standing::Held,
        EscrowState::Published if is_mine => Standing::Published,
        EscrowState::Disputed if is_mine => Standing::Disputed,
        EscrowState::Held | EscrowState::Published | EscrowState::Disputed => {
            Standing::Over("another attempt delivered".into())
        }
        EscrowState::Paid if is_mine => Standing::Over("paid".into()),
        EscrowState::Paid => Standing::Over("another attempt was paid".into()),
        EscrowState::Refunded => Standing::Over("the bounty was refunded".into()),
        EscrowState::Cancelled => Standing::Over("the job was cancelled".into()),
    }
}

/// Decides the next step. Calling it again without anything having happened gives the same step.
#[must_use]
pub fn next(rules: &Rules, record: &Record, situation: &Situation<'_>) -> Step {
    if let Phase::Over { how } = &record.phase {
        return Step::End { how: how.clone() };
    }
    let standing = standing(rules, record, situation.seen);
    if let Standing::Over(how) = standing {
        return if situation.activity == Activity::Idle {
            Step::End { how }
        } else {
            Step::Kill { reason: how }
        };
    }
    match &record.phase {
        Phase::Accepted => accepted(rules, record, situation, &standing),
        Phase::Preparing
        | Phase::Starting { .. }
        | Phase::Running { .. }
        | Phase::Collecting { .. } => working(record, situation, &standing),
        Phase::Signed { signed } => {
            if let Some(step) = protect(rules, record, signed, situation, &standing) {
                return step;
            }
            if situation.activity == Activity::Idle { Step::Report } else { Step::Wait }
        }
        Phase::Delivered { signed, answer } => {
            delivered(rules, record, signed, answer, situation, &standing)
        }
        Phase::Releasing { reason } => Step::Release { reason: reason.clone() },
        Phase::Over { how } => Step::End { how: how.clone() },
    }
}

fn accepted(
    rules: &Rules,
    record: &Record,
    situation: &Situation<'_>,
    standing: &Standing,
) -> Step {
    let is_pending = matches!(standing, Standing::Unknown | Standing::Pending);
    let stop = stop_reason(situation);
    // Whoever has the acceptance can still lock the bond with it: a node that left now would lose it.
    if let Some(Acceptance { expires, is_answered }) = record.acceptance
        && is_pending
        && situation.seen.is_none_or(|seen| seen.now <= expires)
    {
        let is_done = is_answered || stop.is_some();
        return if is_done { Step::Wait } else { Step::Accept { expires } };
    }
    if let Some(reason) = stop {
        return Step::Release { reason };
    }
    match standing {
        Standing::Mine if leaves_time(record, situation) => Step::Prepare,
        Standing::Mine => Step::Release { reason: NO_TIME.into() },
        Standing::Unknown | Standing::Pending if situation.waited_ms > rules.escrow_wait_ms => Step::Release {
            reason: "the assignment did not appear on chain, so nothing says that the job is paid for".into(),
        },
        Standing::Unknown => Step::Wait,
        Standing::Pending => acceptance(rules, record, situation),
        Standing::Held | Standing::Published | Standing::Disputed | Standing::Over(_) => {
            Step::End { how: "the attempt has delivered already".into() }
        }
    }
}

/// A job with a bond is assigned only with the node's signature. That is given once the bounty is locked, for as long
/// as the node waits for the assignment.
fn acceptance(rules: &Rules, record: &Record, situation: &Situation<'_>) -> Step {
    let terms = &record.assignment.terms;
    let locked = situation.seen.filter(|seen| seen.state != EscrowState::None);
    let Some(seen) = locked else { return Step::Wait };
    if terms.bond == Amount::ZERO || record.acceptance.is_some() {
        return Step::Wait;
    }
    if !leaves_time(record, situation) {
        return Step::Release { reason: NO_TIME.into() };
    }
    Step::Accept { expires: seen.now.saturating_add(rules.escrow_wait_ms / 1000) }
}

/// Whether the job can end before its deadline.
fn leaves_time(record: &Record, situation: &Situation<'_>) -> bool {
    let now = situation.seen.map_or(0, |seen| seen.now);
    let needed = u64::from(record.assignment.spec.max_run_seconds) + MARGIN_SECONDS;
    now.saturating_add(needed) <= record.assignment.terms.deadline
}

fn working(record: &Record, situation: &Situation<'_>, standing: &Standing) -> Step {
    let interruption = stop_reason(situation)
        .or_else(|| situation.lease_ran_out.then(|| "the lease ran out".to_owned()));
    if let Some(reason) = interruption {
        return if situation.activity == Activity::Idle {
            Step::Release { reason }
        } else {
            Step::Kill { reason }
        };
    }
    if let (Standing::Mine, Some(seen)) = (standing, situation.seen) {
        if seen.now > seen.lease_end {
            let reason = "the lease ended".to_owned();
            return if situation.activity == Activity::Idle {
                Step::Release { reason }
            } else {
                Step::Kill { reason }
            };
        }
        if must_renew(record, seen) {
            return Step::Renew;
        }
    }
    // Nothing is spent on a job that does not stand on chain as this node's own.
    if situation.activity != Activity::Idle
        || matches!(standing, Standing::Unknown | Standing::Pending)
    {
        return Step::Wait;
    }
    // Also the way on after a restart: what was under way is begun, or found, again.
    match &record.phase {
        Phase::Preparing => Step::Prepare,
        Phase::Starting { .. } | Phase::Running { .. } => Step::Run,
        Phase::Collecting { .. } => Step::Collect,
        Phase::Accepted
        | Phase::Signed { .. }
        | Phase::Delivered { .. }
        | Phase::Releasing { .. }
        | Phase::Over { .. } => Step::Wait,
    }
}

fn delivered(
    rules: &Rules,
    record: &Record,
    signed: &SignedReceipt,
    answer: &str,
    situation: &Situation<'_>,
    standing: &Standing,
) -> Step {
    if !signed.receipt.outcome.is_success() {
        return Step::End { how: format!("the job failed: {}; {answer}", signed.receipt.outcome) };
    }
    if let Some(stop) = situation.stop
        && stop.release
        && rules.release_when_rejected
        && matches!(standing, Standing::Mine)
    {
        return Step::Release {
            reason: format!("the scheduler rejected the result: {}", stop.reason),
        };
    }
    protect(rules, record, signed, situation, standing).unwrap_or(Step::Wait)
}

/// What a node does for a finished result, whatever the scheduler does: stay alive, publish in time, claim.
fn protect(
    rules: &Rules,
    record: &Record,
    signed: &SignedReceipt,
    situation: &Situation<'_>,
    standing: &Standing,
) -> Option<Step> {
    let seen = situation.seen?;
    let terms = &record.assignment.terms;
    let after = |window: u32| {
        seen.at.saturating_add(window.into()).saturating_add(rules.claim_delay_seconds)
    };
    match standing {
        Standing::Mine => {
            let is_payable = signed.receipt.outcome.is_success();
            let last_call = terms.deadline.saturating_sub(rules.publish_before_deadline_seconds);
            if is_payable && seen.now >= last_call && seen.now <= terms.deadline {
                return Some(Step::Publish);
            }
            (seen.now <= seen.lease_end && must_renew(record, seen)).then_some(Step::Renew)
        }
        Standing::Published => (seen.now > after(terms.challenge_window)).then_some(Step::Claim),
        Standing::Held => (seen.now > after(terms.hold_seconds)).then_some(Step::Claim),
        Standing::Disputed => (seen.now > after(terms.ruling_seconds)).then_some(Step::Claim),
        Standing::Unknown | Standing::Pending | Standing::Over(_) => None,
    }
}

/// A node that was called in answers at once; otherwise it renews when three quarters of the lease are over. A
/// renewal that could not make the lease longer is no use.
fn must_renew(record: &Record, seen: &Seen) -> bool {
    let terms = &record.assignment.terms;
    let lease = u64::from(terms.lease_seconds);
    let attempt_end = seen.assigned_at.saturating_add(terms.attempt_seconds.into());
    let renewed_end = seen.now.saturating_add(lease).min(attempt_end);
    let is_late = seen.now.saturating_add(lease / 4) >= seen.lease_end;
    (seen.called_in || is_late) && renewed_end > seen.lease_end
}

fn stop_reason(situation: &Situation<'_>) -> Option<String> {
    if situation.cancelled {
        return Some("the provider stopped the node".into());
    }
    situation.stop.map(|stop| stop.reason.clone())
}
