//! The agent's decisions, as tables: what happened, and all that must follow.

use gristmill_protocol::api::{AttemptRef, EscrowState};
use gristmill_protocol::ids::AttemptNumber;
use gristmill_protocol::money::Amount;
use gristmill_protocol::receipt::{Limit, Outcome};
use gristmill_protocol::time::Timestamp;
use gristmill_protocol::Address;

use super::samples::{NODE, START, assignment, assignment_of, record, rules, signed, spec};
use super::*;

/// `seconds` after the sample job was assigned.
fn at(seconds: u64) -> Now {
    Now { mono_ms: 1_000_000 + seconds * 1000, unix_ms: (START + seconds) * 1000 }
}

fn slot(state: EscrowState) -> Slot {
    Slot { state, node: NODE, at: START, assigned_at: START, attempt: 1, called_in: false }
}

fn held() -> AttemptRef {
    record(Phase::Accepted).held()
}

fn seen(slot: Slot, seconds: u64) -> Event {
    Event::Seen { held: held(), slot, chain_seconds: START + seconds }
}

/// Actions without what they carry: `save running`, `start`, …
fn names(actions: &[Action]) -> Vec<String> {
    let name = |action: &Action| match action {
        Action::Save(record) => format!("save {}", record.phase.as_str()),
        Action::Prepare(_) => "prepare".into(),
        Action::Start(_) => "start".into(),
        Action::Find(_) => "find".into(),
        Action::Collect(_) => "collect".into(),
        Action::Report(_) => "report".into(),
        Action::Release { .. } => "release".into(),
        Action::Send { verb, .. } => verb.as_str().into(),
        Action::Shrink(_) => "shrink".into(),
        Action::Discard(_) => "discard".into(),
        Action::Diagnose { .. } => "diagnose".into(),
    };
    actions.iter().map(name).collect()
}

fn agent_in(phase: Phase) -> Agent {
    Agent::recover(rules(), vec![record(phase)], at(0)).0
}

fn running() -> Phase {
    Phase::Running { started_at_ms: Timestamp(START * 1000) }
}

fn ended(exit_code: i32) -> Ended {
    Ended {
        outcome: Outcome::Exited { exit_code },
        finished_at_ms: Timestamp(START * 1000 + 5000),
        fuel_used: None,
        log_bytes: 3,
    }
}

fn success() -> Box<SignedReceipt> {
    signed(Outcome::Exited { exit_code: 0 })
}

fn delivered() -> Phase {
    Phase::Delivered { signed: success(), answer: "accepted".into() }
}

#[track_caller]
fn expect(agent: &mut Agent, event: Event, now: Now, wanted: &[&str]) -> Vec<Action> {
    let actions = agent.handle(event, now);
    assert_eq!(names(&actions), wanted);
    actions
}

#[test]
fn a_job_runs_from_assignment_to_payment() {
    let mut agent = Agent::recover(rules(), Vec::new(), at(0)).0;
    let (held, h) = (held(), held());
    expect(&mut agent, Event::Assigned(Box::new(assignment())), at(0), &["save accepted"]);
    let open = Slot { attempt: 0, node: Address::ZERO, ..slot(EscrowState::Open) };
    expect(&mut agent, seen(open, 1), at(1), &[]);
    expect(&mut agent, seen(slot(EscrowState::Assigned), 2), at(2), &["save preparing", "prepare"]);
    expect(&mut agent, Event::Prepared { held, result: Ok(()) }, at(3), &["save starting", "start"]);
    expect(&mut agent, Event::Started { held, result: Ok(()) }, at(3), &["save running"]);
    expect(&mut agent, Event::Ended { held, result: Ok(ended(0)) }, at(9), &["save collecting", "collect"]);
    let collected = Event::Collected { held: h, result: Ok(success()) };
    expect(&mut agent, collected, at(10), &["save signed", "shrink", "report"]);
    assert!(!agent.is_drained(), "an unreported result is work");
    expect(&mut agent, Event::Reported { held, result: Ok(()) }, at(11), &["save delivered"]);
    assert!(agent.is_drained());
    assert_eq!(agent.holding(), [held], "a verdict can still reach it");
    expect(&mut agent, seen(slot(EscrowState::Paid), 20), at(20), &["save over", "discard"]);
    assert!(agent.holding().is_empty());
    expect(&mut agent, Event::Assigned(Box::new(assignment())), at(21), &[]);
}

#[test]
fn an_assignment_is_refused_before_anything_is_spent() {
    let mut tampered = assignment();
    tampered.spec.name = "another".into();
    let mut dearer = assignment();
    dearer.terms.bounty = Amount(1000);
    let big = |change: fn(&mut gristmill_protocol::spec::JobSpec)| {
        let mut spec = spec();
        change(&mut spec);
        assignment_of(spec, |_| {})
    };
    for (case, reason) in [
        (tampered, "not the one that the terms name"),
        (dearer, "do not hash to this job id"),
        (assignment_of(spec(), |terms| terms.scheduler = NODE), "scheduler"),
        (assignment_of(spec(), |terms| terms.arbiter = NODE), "arbiter"),
        (assignment_of(spec(), |terms| terms.token = NODE), "token"),
        (assignment_of(spec(), |terms| terms.fee = Amount(11)), "price floor"),
        (assignment_of(spec(), |terms| terms.fee = Amount(101)), "fee"),
        (big(|spec| spec.resources.memory_bytes = 2 << 30), "memory_bytes"),
        (big(|spec| spec.resources.gpus = 1), "GPU"),
        (big(|spec| spec.max_run_seconds = 601), "may run 601 s"),
        (
            big(|spec| {
                let image = format!("a/b@sha256:{}", "0".repeat(64));
                spec.runtime = gristmill_protocol::spec::Runtime::Docker { image };
            }),
            "does not run docker",
        ),
        (big(|spec| spec.secrets = vec!["TOKEN".into()]), "secrets"),
    ] {
        let mut agent = Agent::recover(rules(), Vec::new(), at(0)).0;
        let event = Event::Assigned(Box::new(case));
        let actions = expect(&mut agent, event, at(0), &["save releasing", "discard", "release"]);
        let Some(Action::Release { reason: given, .. }) = actions.last() else { panic!("{actions:?}") };
        assert!(given.contains(reason), "{given}");
    }
}

#[test]
fn the_escrow_decides_whether_work_begins() {
    let open = Slot { attempt: 0, node: Address::ZERO, ..slot(EscrowState::Open) };
    let none = Slot { state: EscrowState::None, ..open };
    let other = Slot { node: Address::repeat_byte(9), ..slot(EscrowState::Assigned) };
    let later = Slot { attempt: 2, ..slot(EscrowState::Assigned) };
    let ours = slot(EscrowState::Assigned);
    let give_back: &[&str] = &["save releasing", "discard", "release"];
    let over: &[&str] = &["save over", "discard"];
    for (slot, seconds, wanted) in [
        (none, 59, &[][..]),
        (none, 60, give_back),
        (open, 60, give_back),
        (other, 1, over),
        (later, 1, over),
        (slot(EscrowState::Refunded), 1, over),
        (slot(EscrowState::Paid), 1, over),
        // 300 s to run and 120 s to publish fit into what the deadline of 7200 leaves, or not.
        (Slot { at: START + 6700, ..ours }, 6780, &["save preparing", "prepare"]),
        (Slot { at: START + 6700, ..ours }, 6781, give_back),
    ] {
        let mut agent = agent_in(Phase::Accepted);
        expect(&mut agent, seen(slot, seconds), at(seconds), wanted);
    }
}

#[test]
fn a_lease_is_renewed_when_it_must_be_and_not_otherwise() {
    let ours = slot(EscrowState::Assigned);
    let called = Slot { called_in: true, at: START + 400, ..ours };
    for (slot, seconds, wanted) in [
        (ours, 899, &["save running"][..]),
        (ours, 900, &["save running", "renew"]),
        (ours, 1200, &["save running", "renew"]),
        (ours, 1201, &["save running"]),
        (called, 401, &["save running", "renew"]),
        (called, 521, &["save running"]),
        // The attempt ends at 6000, so a renewal would add nothing.
        (Slot { at: START + 5000, ..ours }, 5900, &["save running"]),
    ] {
        let mut agent = agent_in(running());
        expect(&mut agent, seen(slot, seconds), at(seconds), wanted);
    }
    let mut agent = agent_in(Phase::Releasing { reason: "x".into() });
    expect(&mut agent, seen(called, 401), at(401), &["save releasing"]);
}

#[test]
fn one_transaction_at_a_time_and_a_pause_after_each() {
    let mut agent = agent_in(delivered());
    let due = |seconds| seen(slot(EscrowState::Assigned), seconds);
    expect(&mut agent, due(1100), at(1100), &["save delivered", "renew"]);
    expect(&mut agent, due(1101), at(1101), &[]);
    let failed = Event::Sent { held: held(), verb: Verb::Renew, result: Err("no gas".into()) };
    expect(&mut agent, failed, at(1102), &[]);
    expect(&mut agent, due(1103), at(1103), &[]);
    expect(&mut agent, due(1107), at(1107), &["renew"]);
}

#[test]
fn a_lapsed_lease_kills_what_runs_by_the_nodes_own_clock() {
    let mut agent = agent_in(running());
    agent.handle(seen(slot(EscrowState::Assigned), 10), at(10));
    expect(&mut agent, Event::Tick, at(1200), &[]);
    expect(&mut agent, Event::Tick, at(1201), &["save over", "discard"]);

    let mut finished = agent_in(Phase::Signed { signed: success() });
    finished.handle(seen(slot(EscrowState::Assigned), 10), at(10));
    expect(&mut finished, Event::Tick, at(1300), &[]);

    // After a restart the journal's lease counts before the chain has been seen.
    let mut old = record(running());
    old.lease_end = Some(START + 100);
    let mut agent = Agent::recover(rules(), vec![old], at(0)).0;
    expect(&mut agent, Event::Tick, at(100), &[]);
    expect(&mut agent, Event::Tick, at(101), &["save over", "discard"]);
}

#[test]
fn a_job_in_other_hands_is_stopped_on_the_second_sighting() {
    let lost = Slot { attempt: 2, node: Address::repeat_byte(9), ..slot(EscrowState::Assigned) };
    let mut agent = agent_in(running());
    expect(&mut agent, seen(lost, 20), at(20), &[]);
    // A server that lagged behind is contradicted by the next.
    expect(&mut agent, seen(slot(EscrowState::Assigned), 21), at(21), &["save running"]);
    expect(&mut agent, seen(lost, 22), at(22), &[]);
    expect(&mut agent, seen(lost, 23), at(23), &["save over", "discard"]);
}

#[test]
fn a_finished_job_is_published_before_its_deadline_and_claimed_after_its_window() {
    let renewed = |seconds: u64| Slot { at: START + seconds, assigned_at: START + 6000, ..slot(EscrowState::Assigned) };
    for phase in [Phase::Signed { signed: success() }, delivered()] {
        let name = format!("save {}", phase.as_str());
        let mut agent = agent_in(phase);
        expect(&mut agent, seen(renewed(7000), 7079), at(7079), &[&name]);
        expect(&mut agent, seen(renewed(7000), 7080), at(7080), &["publish"]);
    }
    let failure = Phase::Signed { signed: signed(Outcome::Limited { limit: Limit::Memory }) };
    expect(&mut agent_in(failure), seen(renewed(7000), 7100), at(7100), &["save signed"]);
    expect(&mut agent_in(delivered()), seen(renewed(7100), 7201), at(7201), &["save delivered"]);

    for (state, window) in [(EscrowState::Published, 3600), (EscrowState::Held, 0), (EscrowState::Disputed, 3600)] {
        let mut agent = agent_in(delivered());
        expect(&mut agent, seen(slot(state), window + 30), at(window + 30), &[]);
        expect(&mut agent, seen(slot(state), window + 31), at(window + 31), &["claim"]);
    }
}

#[test]
fn a_fault_of_the_job_is_reported_and_one_of_the_node_gives_the_job_back() {
    let held = held();
    let job = || Err(Fault::Job("no such input".into()));
    let node = || Err(Fault::Node("the engine is down".into()));
    let report: &[&str] = &["save collecting", "collect"];
    let release: &[&str] = &["save releasing", "discard", "release"];
    let starting = Phase::Starting { started_at_ms: Timestamp(0) };
    for (phase, event, wanted) in [
        (starting.clone(), Event::Started { held, result: job() }, report),
        (starting, Event::Started { held, result: node() }, release),
        (running(), Event::Ended { held, result: Err(Fault::Node("lost".into())) }, release),
        (running(), Event::Found { held, found: Found::Gone }, release),
    ] {
        expect(&mut agent_in(phase), event, at(5), wanted);
    }
    let mut failed = agent_in(Phase::Signed { signed: signed(Outcome::Exited { exit_code: 1 }) });
    expect(&mut failed, Event::Reported { held, result: Ok(()) }, at(5), &["save over", "discard"]);
}

#[test]
fn two_failures_of_the_node_in_a_row_take_it_out_for_a_while() {
    let mut agent = Agent::recover(rules(), Vec::new(), at(0)).0;
    let fail = |agent: &mut Agent, number: u16, seconds: u64| {
        let mut next = assignment();
        next.attempt = AttemptNumber(number);
        let held = AttemptRef { job_id: next.job_id, attempt: next.attempt };
        agent.handle(Event::Assigned(Box::new(next)), at(seconds));
        let slot = Slot { attempt: number, ..slot(EscrowState::Assigned) };
        agent.handle(Event::Seen { held, slot, chain_seconds: START }, at(seconds));
        let names = names(&agent.handle(Event::Prepared { held, result: Err(Fault::Node("disk".into())) }, at(seconds)));
        agent.handle(Event::Released { held, how: "released".into() }, at(seconds));
        names
    };
    assert!(!fail(&mut agent, 1, 1).contains(&"diagnose".to_owned()));
    assert!(!agent.is_closed(at(1)));
    assert!(fail(&mut agent, 2, 2).contains(&"diagnose".to_owned()));
    assert!(agent.is_closed(at(61)));
    assert!(!agent.is_closed(at(62)));
    fail(&mut agent, 3, 70);
    assert!(agent.is_closed(at(189)) && !agent.is_closed(at(190)), "the pause doubles");
}

#[test]
fn a_restart_continues_and_never_starts_an_attempt_twice() {
    let ended = ended(0);
    let starting = Phase::Starting { started_at_ms: Timestamp(0) };
    for (phase, wanted) in [
        (Phase::Accepted, &[][..]),
        (Phase::Preparing, &[]),
        (starting.clone(), &["find"]),
        (running(), &["find"]),
        (Phase::Collecting { started_at_ms: Timestamp(0), ended }, &["collect"]),
        (Phase::Signed { signed: success() }, &["report"]),
        (delivered(), &[]),
        (Phase::Releasing { reason: "x".into() }, &["discard", "release"]),
        (Phase::Over { how: "paid".into() }, &[]),
    ] {
        let name = phase.as_str();
        let (mut agent, actions) = Agent::recover(rules(), vec![record(phase)], at(0));
        assert_eq!(names(&actions), wanted, "{name}");
        let again = agent.handle(Event::Assigned(Box::new(assignment())), at(1));
        assert!(again.is_empty(), "{name}: a repeated assignment starts nothing");
    }
    let mut agent = agent_in(starting);
    expect(&mut agent, Event::Found { held: held(), found: Found::NotStarted }, at(1), &["save accepted"]);
}

#[test]
fn the_scheduler_may_stop_an_attempt_but_not_forfeit_a_result() {
    let stop = |release| Event::StopAsked { held: held(), reason: "rejected".into(), release };
    let release: &[&str] = &["save releasing", "discard", "release"];
    expect(&mut agent_in(running()), stop(false), at(5), &["save over", "discard"]);
    expect(&mut agent_in(running()), stop(true), at(5), release);
    expect(&mut agent_in(delivered()), stop(true), at(5), release);
    let mut kept = agent_in(delivered());
    expect(&mut kept, stop(false), at(5), &["save delivered"]);
    expect(&mut kept, stop(false), at(6), &[]);

    let stubborn = Rules { release_when_rejected: false, ..rules() };
    let mut agent = Agent::recover(stubborn, vec![record(delivered())], at(0)).0;
    expect(&mut agent, stop(true), at(5), &["save delivered"]);
    expect(&mut agent, seen(slot(EscrowState::Assigned), 6), at(6), &["save delivered", "publish"]);
}

#[test]
fn draining_takes_nothing_new_and_cancelling_gives_everything_back() {
    let mut agent = agent_in(running());
    expect(&mut agent, Event::Drain, at(1), &[]);
    assert!(agent.is_closed(at(1)) && !agent.is_drained());
    expect(&mut agent, Event::Cancel, at(2), &["save releasing", "discard", "release"]);
    expect(&mut agent, Event::Cancel, at(3), &[]);
    expect(&mut agent, Event::Ended { held: held(), result: Ok(ended(0)) }, at(3), &[]);
    expect(&mut agent, Event::Released { held: held(), how: "released".into() }, at(4), &["save over", "discard"]);
    assert!(agent.is_drained());
}
