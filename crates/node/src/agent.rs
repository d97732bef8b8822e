//! What to do next, given what happened. Pure: no clock, no I/O, no randomness; the driver brings events and carries
//! out actions in order. An action that saves a record comes before the actions that the record announces.

mod acceptance;
mod record;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use gristmill_protocol::Address;
use gristmill_protocol::api::{Assignment, AttemptRef, EscrowState};
use gristmill_protocol::receipt::Outcome;
use gristmill_protocol::time::Timestamp;

pub use acceptance::{Rules, check, fitting_gpus};
pub use record::{Ended, Phase, Record, SignedReceipt};

/// Failures of the node itself, in a row, after which it takes itself out.
const FAILURES_MAX: u32 = 2;
/// How long it stays out at first; doubled with each further failure.
const BACKOFF_MS: u64 = 60_000;
const BACKOFF_MS_MAX: u64 = 3_600_000;
/// How long a transaction that failed is not sent again.
const SEND_AGAIN_MS: u64 = 5_000;
/// Sightings in a row of a job in other hands, before it is believed: one RPC server may lag behind another.
const STRANGE_SIGHTINGS: u8 = 2;

/// Two clocks: one that never jumps, for waiting, and one that others understand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    pub mono_ms: u64,
    pub unix_ms: u64,
}

/// A job's slot in the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub state: EscrowState,
    pub node: Address,
    /// Unix seconds of the last step or renewal.
    pub at: u64,
    pub assigned_at: u64,
    pub attempt: u16,
    pub called_in: bool,
}

/// Whose fault it is that something could not be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The job's: any honest node would fail. It ends the attempt with a receipt of failure.
    Job(String),
    /// The node's: another node may do it. It gives the attempt back.
    Node(String),
}

/// What a restarted node finds of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// It runs, or has ended and can still be asked how; it is being waited for.
    Adopted,
    /// It was certainly never started.
    NotStarted,
    /// It was started, and is gone.
    Gone,
}

/// What the node itself sends to the contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verb {
    Renew,
    Publish,
    Claim,
}

impl Verb {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Renew => "renew",
            Self::Publish => "publish",
            Self::Claim => "claim",
        }
    }
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Assigned(Box<Assignment>),
    StopAsked { held: AttemptRef, reason: String, release: bool },
    /// The job's slot as the node's own RPC shows it, with the time of the newest block.
    Seen { held: AttemptRef, slot: Slot, chain_seconds: u64 },
    Prepared { held: AttemptRef, result: Result<(), Fault> },
    Started { held: AttemptRef, result: Result<(), Fault> },
    Found { held: AttemptRef, found: Found },
    Ended { held: AttemptRef, result: Result<Ended, Fault> },
    Collected { held: AttemptRef, result: Result<Box<SignedReceipt>, Fault> },
    /// The scheduler's final answer to the report.
    Reported { held: AttemptRef, result: Result<(), String> },
    /// The scheduler's final answer to a release.
    Released { held: AttemptRef, how: String },
    Sent { held: AttemptRef, verb: Verb, result: Result<(), String> },
    /// Finish what there is and take nothing new.
    Drain,
    /// Give everything back.
    Cancel,
    Tick,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    Save(Box<Record>),
    Prepare(AttemptRef),
    Start(AttemptRef),
    /// Look for a program that an earlier run of the agent may have started.
    Find(AttemptRef),
    /// Hash the output, make and sign the receipt.
    Collect(AttemptRef),
    /// Upload log and output, and report.
    Report(AttemptRef),
    /// Give the attempt back, through the scheduler.
    Release { held: AttemptRef, reason: String },
    Send { held: AttemptRef, verb: Verb },
    /// Remove the program and everything but what may still have to be shown.
    Shrink(AttemptRef),
    /// Stop whatever is being done for the attempt and remove all of it.
    Discard(AttemptRef),
    /// The node took itself out: say why.
    Diagnose { reason: String, for_ms: u64 },
}

struct Attempt {
    record: Record,
    accepted_at_mono_ms: u64,
    /// The lease's end by the node's own monotonic clock.
    lease_until_mono_ms: Option<u64>,
    strange_sightings: u8,
    sending: bool,
    send_not_before_mono_ms: u64,
    /// The scheduler rejected the result and the provider does not accept that.
    publish_at_once: bool,
}

/// Everything that the node has taken on.
pub struct Agent {
    rules: Rules,
    attempts: BTreeMap<AttemptRef, Attempt>,
    over: BTreeSet<AttemptRef>,
    failures: u32,
    out_until_mono_ms: u64,
    draining: bool,
}

impl Agent {
    /// Continues from what the journal holds.
    #[must_use]
    pub fn recover(rules: Rules, records: Vec<Record>, now: Now) -> (Self, Vec<Action>) {
        let mut agent = Self {
            rules,
            attempts: BTreeMap::new(),
            over: BTreeSet::new(),
            failures: 0,
            out_until_mono_ms: 0,
            draining: false,
        };
        let mut actions = Vec::new();
        for record in records {
            agent.recover_one(record, now, &mut actions);
        }
        (agent, actions)
    }

    fn recover_one(&mut self, mut record: Record, now: Now, actions: &mut Vec<Action>) {
        let held = record.held();
        match &record.phase {
            Phase::Accepted => {}
            // Nothing was started, so it may begin again, with a new look at the escrow.
            Phase::Preparing => record.phase = Phase::Accepted,
            Phase::Starting { .. } | Phase::Running { .. } => actions.push(Action::Find(held)),
            Phase::Collecting { .. } => actions.push(Action::Collect(held)),
            Phase::Signed { .. } => actions.push(Action::Report(held)),
            Phase::Delivered { .. } => {}
            Phase::Releasing { reason } => {
                actions.push(Action::Discard(held));
                actions.push(Action::Release { held, reason: reason.clone() });
            }
            Phase::Over { .. } => {
                self.over.insert(held);
                return;
            }
        }
        let lease_until_mono_ms = record.lease_end.map(|end| {
            let left = end.saturating_mul(1000).saturating_sub(now.unix_ms);
            now.mono_ms.saturating_add(left)
        });
        self.attempts.insert(held, Attempt { lease_until_mono_ms, ..Attempt::new(record, now) });
    }

    /// What the node tells the scheduler that it holds.
    #[must_use]
    pub fn holding(&self) -> Vec<AttemptRef> {
        self.attempts.keys().copied().collect()
    }

    #[must_use]
    pub fn record(&self, held: &AttemptRef) -> Option<&Record> {
        self.attempts.get(held).map(|attempt| &attempt.record)
    }

    /// Whether the node takes nothing new at present.
    #[must_use]
    pub fn is_closed(&self, now: Now) -> bool {
        self.draining || now.mono_ms < self.out_until_mono_ms
    }

    /// Whether a draining node has nothing left to do but to watch the chain.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.attempts.values().all(|attempt| matches!(attempt.record.phase, Phase::Delivered { .. }))
    }

    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Action> {
        match event {
            Event::Assigned(assignment) => self.assigned(*assignment, now),
            Event::StopAsked { held, reason, release } => self.stop_asked(held, reason, release),
            Event::Seen { held, slot, chain_seconds } => self.seen(held, slot, chain_seconds, now),
            Event::Prepared { held, result } => self.prepared(held, result, now),
            Event::Started { held, result } => self.started(held, result, now),
            Event::Found { held, found } => self.found(held, found),
            Event::Ended { held, result } => self.ended(held, result, now),
            Event::Collected { held, result } => self.collected(held, result, now),
            Event::Reported { held, result } => self.reported(held, result),
            Event::Released { held, how } => self.released(held, how),
            Event::Sent { held, result, .. } => self.sent(held, result.is_ok(), now),
            Event::Drain => {
                self.draining = true;
                Vec::new()
            }
            Event::Cancel => self.cancel(),
            Event::Tick => self.tick(now),
        }
    }

    // ---- taking on ----

    fn assigned(&mut self, assignment: Assignment, now: Now) -> Vec<Action> {
        let record = Record { assignment, phase: Phase::Accepted, lease_end: None };
        let held = record.held();
        // The scheduler repeats what it does not find in a poll; an attempt is taken on once, ever.
        if self.attempts.contains_key(&held) || self.over.contains(&held) {
            return Vec::new();
        }
        let busy = self.attempts.values().any(|attempt| attempt.record.phase.is_working());
        let verdict = if self.is_closed(now) {
            Err("the node takes no jobs at present".to_owned())
        } else if busy {
            Err("the node is busy with another job".to_owned())
        } else {
            check(&self.rules, &record.assignment)
        };
        self.attempts.insert(held, Attempt::new(record, now));
        match verdict {
            Ok(()) => self.step(held, Phase::Accepted),
            Err(reason) => self.give_back(held, reason),
        }
    }

    /// The escrow, as the node's own RPC shows it.
    fn seen(&mut self, held: AttemptRef, slot: Slot, chain_seconds: u64, now: Now) -> Vec<Action> {
        let Some(attempt) = self.attempts.get_mut(&held) else { return Vec::new() };
        let terms = attempt.record.assignment.terms;
        let ours = slot.node == self.rules.node && slot.attempt == held.attempt.0;
        if matches!(attempt.record.phase, Phase::Accepted) {
            return self.seen_before_start(held, slot, ours, chain_seconds, now);
        }
        match slot.state {
            EscrowState::Assigned if ours => {}
            EscrowState::Held | EscrowState::Published | EscrowState::Disputed if ours => {
                attempt.strange_sightings = 0;
                let window = match slot.state {
                    EscrowState::Held => terms.hold_seconds,
                    EscrowState::Published => terms.challenge_window,
                    _ => terms.ruling_seconds,
                };
                let due = slot.at + u64::from(window) + self.rules.claim_delay_seconds;
                return if chain_seconds > due { self.send(held, Verb::Claim, now) } else { Vec::new() };
            }
            EscrowState::Paid if ours => return self.end(held, "paid"),
            EscrowState::None
            | EscrowState::Open
            | EscrowState::Assigned
            | EscrowState::Held
            | EscrowState::Published
            | EscrowState::Disputed
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => {
                attempt.strange_sightings += 1;
                if attempt.strange_sightings < STRANGE_SIGHTINGS {
                    return Vec::new();
                }
                return self.end(held, &format!("the job left this node: it is {:?} on chain", slot.state));
            }
        }
        attempt.strange_sightings = 0;
        let mut actions = attempt.note_lease(&slot, chain_seconds, now);
        let success = attempt.record.phase.signed().is_some_and(|signed| signed.receipt.outcome.is_success());
        let publish_from = terms.deadline.saturating_sub(self.rules.publish_before_deadline_seconds);
        let publish = success
            && (attempt.publish_at_once || chain_seconds >= publish_from)
            && chain_seconds <= terms.deadline;
        if publish {
            actions.extend(self.send(held, Verb::Publish, now));
        } else if attempt.wants_renewal(&slot, chain_seconds) {
            actions.extend(self.send(held, Verb::Renew, now));
        }
        actions
    }

    fn seen_before_start(
        &mut self,
        held: AttemptRef,
        slot: Slot,
        ours: bool,
        chain_seconds: u64,
        now: Now,
    ) -> Vec<Action> {
        let Some(attempt) = self.attempts.get_mut(&held) else { return Vec::new() };
        if slot.state == EscrowState::Assigned && ours {
            attempt.note_lease(&slot, chain_seconds, now);
            let Assignment { terms, spec, .. } = &attempt.record.assignment;
            let needed = u64::from(spec.max_run_seconds) + self.rules.publish_before_deadline_seconds;
            let left = terms.deadline.saturating_sub(chain_seconds);
            if left < needed {
                return self.give_back(
                    held,
                    format!("the deadline leaves {left} s; running and settling may take {needed} s"),
                );
            }
            let mut actions = self.step(held, Phase::Preparing);
            actions.push(Action::Prepare(held));
            return actions;
        }
        let may_come = match slot.state {
            EscrowState::None | EscrowState::Open | EscrowState::Assigned => slot.attempt < held.attempt.0,
            EscrowState::Held
            | EscrowState::Published
            | EscrowState::Disputed
            | EscrowState::Paid
            | EscrowState::Refunded
            | EscrowState::Cancelled => false,
        };
        if !may_come {
            return self.end(held, &format!("the job is {:?} on chain, with attempt {}", slot.state, slot.attempt));
        }
        if now.mono_ms.saturating_sub(attempt.accepted_at_mono_ms) < self.rules.escrow_wait_ms {
            return Vec::new();
        }
        let reason = if slot.state == EscrowState::None {
            "the bounty is not locked in the contract"
        } else {
            "the assignment did not get into a block in time"
        };
        self.give_back(held, reason.into())
    }

    // ---- running ----

    fn prepared(&mut self, held: AttemptRef, result: Result<(), Fault>, now: Now) -> Vec<Action> {
        if !self.is_in(&held, |phase| matches!(phase, Phase::Preparing)) {
            return Vec::new();
        }
        match result {
            Ok(()) => {
                let mut actions = self.step(held, Phase::Starting { started_at_ms: Timestamp(now.unix_ms) });
                actions.push(Action::Start(held));
                actions
            }
            Err(fault) => self.fail(held, fault, now),
        }
    }

    fn started(&mut self, held: AttemptRef, result: Result<(), Fault>, now: Now) -> Vec<Action> {
        let Some(Phase::Starting { started_at_ms }) = self.phase(&held) else { return Vec::new() };
        let started_at_ms = *started_at_ms;
        match result {
            Ok(()) => self.step(held, Phase::Running { started_at_ms }),
            Err(fault) => self.fail(held, fault, now),
        }
    }

    fn found(&mut self, held: AttemptRef, found: Found) -> Vec<Action> {
        let Some(Phase::Starting { started_at_ms } | Phase::Running { started_at_ms }) = self.phase(&held) else {
            return Vec::new();
        };
        let started_at_ms = *started_at_ms;
        match found {
            Found::Adopted => self.step(held, Phase::Running { started_at_ms }),
            // The escrow is looked at again before anything is fetched.
            Found::NotStarted => self.step(held, Phase::Accepted),
            Found::Gone => self.give_back(held, "the node was restarted and its program is gone".into()),
        }
    }

    fn ended(&mut self, held: AttemptRef, result: Result<Ended, Fault>, now: Now) -> Vec<Action> {
        // A program may end before the news that it started has been dealt with.
        let Some(Phase::Starting { started_at_ms } | Phase::Running { started_at_ms }) = self.phase(&held) else {
            return Vec::new();
        };
        let started_at_ms = *started_at_ms;
        match result {
            Ok(ended) => {
                self.failures = 0;
                self.collect(held, started_at_ms, ended)
            }
            Err(fault) => self.fail(held, fault, now),
        }
    }

    fn collect(&mut self, held: AttemptRef, started_at_ms: Timestamp, ended: Ended) -> Vec<Action> {
        let mut actions = self.step(held, Phase::Collecting { started_at_ms, ended });
        actions.push(Action::Collect(held));
        actions
    }

    fn collected(
        &mut self,
        held: AttemptRef,
        result: Result<Box<SignedReceipt>, Fault>,
        now: Now,
    ) -> Vec<Action> {
        if !self.is_in(&held, |phase| matches!(phase, Phase::Collecting { .. })) {
            return Vec::new();
        }
        match result {
            Ok(signed) => {
                let mut actions = self.step(held, Phase::Signed { signed });
                actions.push(Action::Shrink(held));
                actions.push(Action::Report(held));
                actions
            }
            // A receipt is about what the program did; that the output cannot be read is no part of it.
            Err(Fault::Job(reason) | Fault::Node(reason)) => self.fail(held, Fault::Node(reason), now),
        }
    }

    /// What follows when something could not be done.
    fn fail(&mut self, held: AttemptRef, fault: Fault, now: Now) -> Vec<Action> {
        match fault {
            Fault::Job(reason) => {
                self.failures = 0;
                let at = Timestamp(now.unix_ms);
                let outcome = Outcome::NotStarted { reason };
                self.collect(held, at, Ended { outcome, finished_at_ms: at, fuel_used: None, log_bytes: 0 })
            }
            Fault::Node(reason) => {
                self.failures += 1;
                let mut actions = self.give_back(held, reason.clone());
                if self.failures >= FAILURES_MAX {
                    let doublings = (self.failures - FAILURES_MAX).min(16);
                    let for_ms = (BACKOFF_MS << doublings).min(BACKOFF_MS_MAX);
                    self.out_until_mono_ms = now.mono_ms + for_ms;
                    actions.push(Action::Diagnose { reason, for_ms });
                }
                actions
            }
        }
    }

    // ---- after the run ----

    fn reported(&mut self, held: AttemptRef, result: Result<(), String>) -> Vec<Action> {
        let Some(Phase::Signed { signed }) = self.phase(&held) else { return Vec::new() };
        let signed = signed.clone();
        if !signed.receipt.outcome.is_success() {
            return self.end(held, &format!("failed: {}", signed.receipt.outcome));
        }
        // Even a refused report may be published: the contract decides, not the scheduler.
        let answer = result.map_or_else(|refusal| refusal, |()| "accepted for verification".into());
        self.step(held, Phase::Delivered { signed, answer })
    }

    fn stop_asked(&mut self, held: AttemptRef, reason: String, release: bool) -> Vec<Action> {
        let Some(attempt) = self.attempts.get_mut(&held) else { return Vec::new() };
        if matches!(attempt.record.phase, Phase::Releasing { .. }) {
            return Vec::new();
        }
        if let Some(signed) = attempt.record.phase.signed()
            && signed.receipt.outcome.is_success()
        {
            let signed = Box::new(signed.clone());
            // Stopped without a release: the scheduler is done with it. The chain says whether the node is, too.
            if !release || !self.rules.release_when_rejected {
                attempt.publish_at_once |= release;
                let answer = format!("the scheduler says: {reason}");
                return match &attempt.record.phase {
                    Phase::Delivered { answer: known, .. } if *known == answer => Vec::new(),
                    _ => self.step(held, Phase::Delivered { signed, answer }),
                };
            }
        }
        if release { self.give_back(held, reason) } else { self.end(held, &reason) }
    }

    fn released(&mut self, held: AttemptRef, how: String) -> Vec<Action> {
        if !self.is_in(&held, |phase| matches!(phase, Phase::Releasing { .. })) {
            return Vec::new();
        }
        self.end(held, &how)
    }

    fn cancel(&mut self) -> Vec<Action> {
        self.draining = true;
        let working: Vec<AttemptRef> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.record.phase.is_working())
            .map(|(held, _)| *held)
            .collect();
        working.into_iter().flat_map(|held| self.give_back(held, "the provider stopped the node".into())).collect()
    }

    fn tick(&mut self, now: Now) -> Vec<Action> {
        let lapsed: Vec<AttemptRef> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.has_lapsed(now))
            .map(|(held, _)| *held)
            .collect();
        lapsed.into_iter().flat_map(|held| self.end(held, "the lease ended without a renewal")).collect()
    }

    // ---- steps ----

    fn send(&mut self, held: AttemptRef, verb: Verb, now: Now) -> Vec<Action> {
        match self.attempts.get_mut(&held) {
            Some(attempt) if !attempt.sending && now.mono_ms >= attempt.send_not_before_mono_ms => {
                attempt.sending = true;
                vec![Action::Send { held, verb }]
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn sent(&mut self, held: AttemptRef, success: bool, now: Now) -> Vec<Action> {
        if let Some(attempt) = self.attempts.get_mut(&held) {
            attempt.sending = false;
            // After a success too: the next sighting may still be of the block before.
            attempt.send_not_before_mono_ms = now.mono_ms + if success { SEND_AGAIN_MS / 2 } else { SEND_AGAIN_MS };
        }
        Vec::new()
    }

    fn give_back(&mut self, held: AttemptRef, reason: String) -> Vec<Action> {
        let reason: String = reason.chars().take(gristmill_protocol::api::REASON_CHARS_MAX).collect();
        let mut actions = self.step(held, Phase::Releasing { reason: reason.clone() });
        actions.push(Action::Discard(held));
        actions.push(Action::Release { held, reason });
        actions
    }

    fn end(&mut self, held: AttemptRef, how: &str) -> Vec<Action> {
        let mut actions = self.step(held, Phase::Over { how: how.to_owned() });
        actions.push(Action::Discard(held));
        self.attempts.remove(&held);
        self.over.insert(held);
        actions
    }

    fn step(&mut self, held: AttemptRef, phase: Phase) -> Vec<Action> {
        let Some(attempt) = self.attempts.get_mut(&held) else { return Vec::new() };
        attempt.record.phase = phase;
        vec![Action::Save(Box::new(attempt.record.clone()))]
    }

    fn phase(&self, held: &AttemptRef) -> Option<&Phase> {
        self.attempts.get(held).map(|attempt| &attempt.record.phase)
    }

    fn is_in(&self, held: &AttemptRef, wanted: impl Fn(&Phase) -> bool) -> bool {
        self.phase(held).is_some_and(wanted)
    }
}

impl Attempt {
    fn new(record: Record, now: Now) -> Self {
        Self {
            record,
            accepted_at_mono_ms: now.mono_ms,
            lease_until_mono_ms: None,
            strange_sightings: 0,
            sending: false,
            send_not_before_mono_ms: 0,
            publish_at_once: false,
        }
    }

    /// When the attempt ends for good, whatever is renewed.
    fn attempt_end(&self, slot: &Slot) -> u64 {
        slot.assigned_at + u64::from(self.record.assignment.terms.attempt_seconds)
    }

    fn lease_end(&self, slot: &Slot) -> u64 {
        let terms = &self.record.assignment.terms;
        let seconds = if slot.called_in { terms.grace_seconds } else { terms.lease_seconds };
        (slot.at + u64::from(seconds)).min(self.attempt_end(slot))
    }

    /// Remembers when the lease ends, by the chain's clock and by the node's own.
    fn note_lease(&mut self, slot: &Slot, chain_seconds: u64, now: Now) -> Vec<Action> {
        let end = self.lease_end(slot);
        // Where blocks are rare, the newest one says little about the time.
        let time = chain_seconds.max(now.unix_ms / 1000);
        self.lease_until_mono_ms = Some(now.mono_ms + end.saturating_sub(time) * 1000);
        if self.record.lease_end == Some(end) {
            return Vec::new();
        }
        self.record.lease_end = Some(end);
        vec![Action::Save(Box::new(self.record.clone()))]
    }

    fn wants_renewal(&self, slot: &Slot, chain_seconds: u64) -> bool {
        if matches!(self.record.phase, Phase::Releasing { .. }) {
            return false;
        }
        let terms = &self.record.assignment.terms;
        let end = self.lease_end(slot);
        let near = u64::from(terms.grace_seconds.max(terms.lease_seconds / 4));
        let extends = end < self.attempt_end(slot);
        chain_seconds <= end && extends && (slot.called_in || end - chain_seconds <= near)
    }

    /// Whether work must stop because somebody else may hold the job by now.
    fn has_lapsed(&self, now: Now) -> bool {
        let works = match self.record.phase {
            Phase::Preparing | Phase::Starting { .. } | Phase::Running { .. } => true,
            // What is done may still be settled or published, until the chain shows that the job left this node.
            Phase::Accepted
            | Phase::Collecting { .. }
            | Phase::Signed { .. }
            | Phase::Delivered { .. }
            | Phase::Releasing { .. }
            | Phase::Over { .. } => false,
        };
        works && self.lease_until_mono_ms.is_some_and(|until| now.mono_ms > until)
    }
}
