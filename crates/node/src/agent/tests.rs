//! Every phase against what the chain, the scheduler and the clock may say.

use gristmill_protocol::Address;
use gristmill_protocol::api::{EscrowState, Stop};
use gristmill_protocol::ids::AttemptNumber;
use gristmill_protocol::money::Amount;
use gristmill_protocol::receipt::{Limit, Outcome};
use gristmill_protocol::time::Timestamp;

use super::samples::{DEADLINE, NOW, assignment, mine, record, rules, signed};
use super::*;

const SUCCESS: Outcome = Outcome::Exited { exit_code: 0 };

fn situation(seen: Option<&Seen>) -> Situation<'_> {
    Situation {
        seen,
        activity: Activity::Idle,
        stop: None,
        cancelled: false,
        waited_ms: 0,
        lease_ran_out: false,
    }
}

fn step(phase: Phase, seen: &Seen) -> Step {
    next(&rules(), &record(phase), &situation(Some(seen)))
}

fn started() -> Timestamp {
    Timestamp(NOW * 1000)
}

fn ended() -> Ended {
    Ended { outcome: SUCCESS, finished_at_ms: started(), fuel_used: None, log_bytes: 0 }
}

fn working_phases() -> [Phase; 4] {
    [
        Phase::Preparing,
        Phase::Starting { started_at_ms: started() },
        Phase::Running { started_at_ms: started() },
        Phase::Collecting { started_at_ms: started(), ended: ended() },
    ]
}

#[test]
fn nothing_is_spent_before_the_chain_says_that_the_job_is_this_nodes() {
    let elsewhere = Seen { node: Address::repeat_byte(9), attempt: 1, ..mine() };
    let unfunded = Seen { state: EscrowState::None, node: Address::ZERO, attempt: 0, ..mine() };
    let open = Seen { state: EscrowState::Open, node: Address::ZERO, attempt: 1, ..mine() };
    for seen in [None, Some(&elsewhere), Some(&unfunded), Some(&open)] {
        let mut now = situation(seen);
        assert_eq!(next(&rules(), &record(Phase::Accepted), &now), Step::Wait, "{seen:?}");
        for phase in working_phases() {
            assert_eq!(next(&rules(), &record(phase), &now), Step::Wait, "{seen:?}");
        }
        now.waited_ms = rules().escrow_wait_ms + 1;
        let step = next(&rules(), &record(Phase::Accepted), &now);
        assert!(matches!(step, Step::Release { .. }), "{seen:?}: {step:?}");
    }
    assert_eq!(step(Phase::Accepted, &mine()), Step::Prepare);
}

#[test]
fn a_job_that_cannot_end_before_its_deadline_is_not_begun() {
    let needed = u64::from(assignment().spec.max_run_seconds) + MARGIN_SECONDS;
    let last = Seen { now: DEADLINE - needed, lease_end: DEADLINE, ..mine() };
    assert_eq!(step(Phase::Accepted, &last), Step::Prepare);
    let late = Seen { now: DEADLINE - needed + 1, lease_end: DEADLINE, ..mine() };
    assert!(matches!(step(Phase::Accepted, &late), Step::Release { .. }));
}

#[test]
fn after_a_restart_each_phase_goes_on_where_it_was() {
    let [preparing, starting, running, collecting] = working_phases();
    for (phase, expected) in [
        (preparing, Step::Prepare),
        (starting, Step::Run),
        (running, Step::Run),
        (collecting, Step::Collect),
        (Phase::Signed { signed: signed(SUCCESS) }, Step::Report),
    ] {
        assert_eq!(step(phase, &mine()), expected);
    }
}

#[test]
fn one_thing_is_done_at_a_time() {
    for phase in working_phases() {
        let seen = mine();
        let mut now = situation(Some(&seen));
        now.activity = Activity::Running;
        assert_eq!(next(&rules(), &record(phase), &now), Step::Wait);
    }
}

#[test]
fn a_job_that_is_lost_is_stopped_and_ends() {
    for (state, attempt) in [
        (EscrowState::Open, 2),
        (EscrowState::Assigned, 3),
        (EscrowState::Paid, 3),
        (EscrowState::Refunded, 2),
        (EscrowState::Cancelled, 2),
    ] {
        let seen = Seen { state, node: Address::repeat_byte(9), attempt, ..mine() };
        for phase in working_phases() {
            let mut now = situation(Some(&seen));
            assert!(matches!(next(&rules(), &record(phase.clone()), &now), Step::End { .. }));
            now.activity = Activity::Running;
            assert!(matches!(next(&rules(), &record(phase), &now), Step::Kill { .. }), "{state:?}");
        }
    }
}

#[test]
fn a_stop_ends_the_work_and_gives_the_job_back() {
    let stop = Stop {
        job_id: assignment().job_id,
        attempt: AttemptNumber(2),
        reason: "cancelled".into(),
        release: true,
    };
    let seen = mine();
    for phase in working_phases() {
        let mut now = situation(Some(&seen));
        now.stop = Some(&stop);
        now.activity = Activity::Running;
        assert!(matches!(next(&rules(), &record(phase.clone()), &now), Step::Kill { .. }));
        now.activity = Activity::Idle;
        assert_eq!(
            next(&rules(), &record(phase), &now),
            Step::Release { reason: "cancelled".into() }
        );
    }
}

#[test]
fn a_node_that_is_called_in_answers_and_one_that_is_not_stays_quiet() {
    let running = || Phase::Running { started_at_ms: started() };
    let called = Seen { called_in: true, lease_end: NOW + 120, ..mine() };
    for phase in [running(), Phase::Signed { signed: signed(SUCCESS) }] {
        assert_eq!(step(phase, &called), Step::Renew);
    }
    let seen = mine();
    let mut now = situation(Some(&seen));
    now.activity = Activity::Running;
    assert_eq!(next(&rules(), &record(running()), &now), Step::Wait);
    let late = Seen { now: NOW + 2700, ..mine() };
    now.seen = Some(&late);
    assert_eq!(next(&rules(), &record(running()), &now), Step::Renew, "three quarters are over");
    let capped = Seen { now: NOW + 86_000, lease_end: NOW + 86_400, called_in: true, ..mine() };
    now.seen = Some(&capped);
    assert_ne!(next(&rules(), &record(running()), &now), Step::Renew, "it would not last longer");
}

#[test]
fn a_lease_that_ended_stops_the_program_with_or_without_the_chain() {
    let seen = Seen { now: NOW + 3601, ..mine() };
    let mut now = situation(Some(&seen));
    now.activity = Activity::Running;
    let phase = || record(Phase::Running { started_at_ms: started() });
    assert!(matches!(next(&rules(), &phase(), &now), Step::Kill { .. }));
    let at_the_end = Seen { now: NOW + 3600, ..mine() };
    now.seen = Some(&at_the_end);
    assert!(!matches!(next(&rules(), &phase(), &now), Step::Kill { .. }), "≤ may still act");
    let stale = mine();
    now.seen = Some(&stale);
    now.lease_ran_out = true;
    assert!(matches!(next(&rules(), &phase(), &now), Step::Kill { .. }));
}

#[test]
fn a_finished_result_is_published_in_time_and_claimed_after_its_window() {
    let delivered = || Phase::Delivered { signed: signed(SUCCESS), answer: "accepted".into() };
    let early = Seen { now: DEADLINE - 121, lease_end: DEADLINE, ..mine() };
    assert_ne!(step(delivered(), &early), Step::Publish);
    for now in [DEADLINE - 120, DEADLINE] {
        let seen = Seen { now, lease_end: DEADLINE + 1, ..mine() };
        assert_eq!(step(delivered(), &seen), Step::Publish);
        assert_eq!(step(Phase::Signed { signed: signed(SUCCESS) }, &seen), Step::Publish);
    }
    let over = Seen { now: DEADLINE + 1, lease_end: DEADLINE + 1, ..mine() };
    assert_ne!(step(delivered(), &over), Step::Publish, "the contract would refuse it");

    for (state, window) in
        [(EscrowState::Published, 3600), (EscrowState::Held, 600), (EscrowState::Disputed, 7200)]
    {
        let waiting = Seen { state, now: NOW + window + 30, ..mine() };
        assert_eq!(step(delivered(), &waiting), Step::Wait, "{state:?}");
        let due = Seen { state, now: NOW + window + 31, ..mine() };
        assert_eq!(step(delivered(), &due), Step::Claim, "{state:?}");
    }
    let paid = Seen { state: EscrowState::Paid, ..mine() };
    assert_eq!(step(delivered(), &paid), Step::End { how: "paid".into() });
}

#[test]
fn a_failure_is_never_published() {
    let failure = signed(Outcome::Limited { limit: Limit::Memory });
    let seen = Seen { now: DEADLINE - 60, lease_end: DEADLINE + 3000, ..mine() };
    assert_eq!(step(Phase::Signed { signed: failure.clone() }, &seen), Step::Report);
    let delivered = Phase::Delivered { signed: failure, answer: "noted".into() };
    assert!(matches!(step(delivered, &seen), Step::End { .. }));
}

#[test]
fn a_rejected_result_is_given_back_or_published_as_the_provider_wants() {
    let stop = Stop {
        job_id: assignment().job_id,
        attempt: AttemptNumber(2),
        reason: "a byte differs".into(),
        release: true,
    };
    let delivered = record(Phase::Delivered { signed: signed(SUCCESS), answer: "received".into() });
    let seen = mine();
    let mut now = situation(Some(&seen));
    now.stop = Some(&stop);
    assert!(matches!(next(&rules(), &delivered, &now), Step::Release { .. }));
    let stubborn = Rules { release_when_rejected: false, ..rules() };
    assert_eq!(next(&stubborn, &delivered, &now), Step::Wait);
    let published = Seen { state: EscrowState::Published, ..mine() };
    now.seen = Some(&published);
    assert_eq!(next(&rules(), &delivered, &now), Step::Wait, "what is on chain stays there");
}

#[test]
fn what_the_provider_does_not_want_is_refused_with_the_reason() {
    let change = |edit: &dyn Fn(&mut gristmill_protocol::api::Assignment)| {
        let mut assignment = assignment();
        edit(&mut assignment);
        assignment.job_id = assignment.terms.id(&rules().domain);
        check(&rules(), &assignment).unwrap_err()
    };
    assert_eq!(check(&rules(), &assignment()), Ok(()));
    for (error, word) in [
        (change(&|it| it.spec.name = "another".into()), "spec"),
        (change(&|it| it.terms.scheduler = Address::repeat_byte(9)), "scheduler"),
        (change(&|it| it.terms.arbiter = Address::repeat_byte(9)), "arbiter"),
        (change(&|it| it.terms.token = Address::repeat_byte(9)), "token"),
        (change(&|it| it.terms.bounty = Amount(59)), "price floor"),
        (
            change(&|it| {
                it.spec.max_run_seconds = 3601;
                it.terms.spec_hash = it.spec.hash();
            }),
            "3601",
        ),
        (
            change(&|it| {
                it.spec.resources.memory_bytes = 1 << 31;
                it.terms.spec_hash = it.spec.hash();
            }),
            "memory_bytes",
        ),
    ] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let mut forged = assignment();
    forged.terms.bounty = Amount(5000);
    assert!(check(&rules(), &forged).unwrap_err().contains("hash"), "the id binds every term");
}

/// An offer of a provider that puts up to 40 at stake, and a job that asks for as much before an arbiter it trusts.
fn bonded() -> (Rules, Record) {
    let mut rules = rules();
    rules.offer.bond_max = Amount(40);
    let mut record = record(Phase::Accepted);
    record.assignment.terms.bond = Amount(40);
    record.assignment.terms.arbiter = rules.arbiters[0];
    record.assignment.job_id = record.assignment.terms.id(&rules.domain);
    (rules, record)
}

fn open() -> Seen {
    Seen { state: EscrowState::Open, node: Address::ZERO, attempt: 1, ..mine() }
}

#[test]
fn a_bond_is_put_at_stake_only_as_far_as_the_provider_says_and_before_an_arbiter_it_names() {
    let (rules, record) = bonded();
    assert_eq!(check(&rules, &record.assignment), Ok(()));
    let refusal = |edit: &dyn Fn(&mut gristmill_protocol::terms::Terms)| {
        let mut assignment = record.assignment.clone();
        edit(&mut assignment.terms);
        assignment.job_id = assignment.terms.id(&rules.domain);
        check(&rules, &assignment).unwrap_err()
    };
    assert!(refusal(&|terms| terms.bond = Amount(41)).contains("bond of 41"));
    // A scheduler that may rule where nothing is at stake may not where something is.
    let scheduler = rules.schedulers[0];
    assert!(refusal(&|terms| terms.arbiter = scheduler).contains("arbiter"));
    let by_dispute_bond_alone = refusal(&|terms| {
        terms.arbiter = scheduler;
        terms.bond = Amount::ZERO;
        terms.dispute_bond = Amount(1);
    });
    assert!(by_dispute_bond_alone.contains("arbiter"));
    let no_stake = Rules { offer: super::samples::rules().offer, ..rules.clone() };
    assert!(check(&no_stake, &record.assignment).unwrap_err().contains("puts 0 at stake"));
}

#[test]
fn a_bonded_job_is_accepted_once_its_bounty_is_locked() {
    let (rules, record) = bonded();
    let step = |record: &Record, seen: Option<&Seen>| next(&rules, record, &situation(seen));
    let not_open = Seen { state: EscrowState::None, attempt: 0, ..open() };
    assert_eq!(step(&record, None), Step::Wait, "nothing is signed blindly");
    assert_eq!(step(&record, Some(&not_open)), Step::Wait, "nor before the bounty is there");
    let expires = NOW + rules.escrow_wait_ms / 1000;
    assert_eq!(step(&record, Some(&open())), Step::Accept { expires });
    let held_by_another = Seen { node: Address::repeat_byte(9), attempt: 1, ..mine() };
    assert_eq!(step(&record, Some(&held_by_another)), Step::Accept { expires });
    assert_eq!(step(&record, Some(&mine())), Step::Prepare);

    let without = super::samples::record(Phase::Accepted);
    assert_eq!(step(&without, Some(&open())), Step::Wait, "without a bond nothing is signed");
    let late = Seen { now: DEADLINE - 60, ..open() };
    assert!(matches!(step(&record, Some(&late)), Step::Release { .. }), "and nothing in vain");
}

#[test]
fn an_acceptance_is_sent_until_it_is_answered_and_never_signed_anew() {
    let (rules, mut record) = bonded();
    record.acceptance = Some(Acceptance { expires: NOW + 60, is_answered: false });
    let later = Seen { now: NOW + 30, ..open() };
    let step = |record: &Record, seen: &Seen| next(&rules, record, &situation(Some(seen)));
    assert_eq!(step(&record, &later), Step::Accept { expires: NOW + 60 });
    record.acceptance = Some(Acceptance { expires: NOW + 60, is_answered: true });
    assert_eq!(step(&record, &later), Step::Wait);
    let expired = Seen { now: NOW + 61, ..open() };
    assert_eq!(step(&record, &expired), Step::Wait, "a second one would double the risk");
}

#[test]
fn a_node_stays_for_as_long_as_its_acceptance_could_still_lock_the_bond() {
    let (rules, mut record) = bonded();
    let stop = Stop {
        job_id: record.assignment.job_id,
        attempt: AttemptNumber(2),
        reason: "cancelled".into(),
        release: true,
    };
    let seen = Seen { now: NOW + 60, ..open() };
    for is_answered in [false, true] {
        record.acceptance = Some(Acceptance { expires: NOW + 60, is_answered });
        let mut now = situation(Some(&seen));
        now.stop = Some(&stop);
        now.waited_ms = rules.escrow_wait_ms + 1;
        assert_eq!(next(&rules, &record, &now), Step::Wait);
        now.seen = None;
        assert_eq!(next(&rules, &record, &now), Step::Wait, "without the chain nobody knows");
        let assigned = mine();
        now.seen = Some(&assigned);
        assert!(matches!(next(&rules, &record, &now), Step::Release { .. }), "on chain it counts");
        let expired = Seen { now: NOW + 61, ..open() };
        now.seen = Some(&expired);
        assert!(matches!(next(&rules, &record, &now), Step::Release { .. }));
        now.stop = None;
        assert!(matches!(next(&rules, &record, &now), Step::Release { .. }), "it never came");
    }
}
