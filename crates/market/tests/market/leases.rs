//! Assigned, silent, called in, renewed, replaced; and who is heard.

use gristmill_market::command::{Command, Fact, Speaker};
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::job::{State, Wait};
use gristmill_market::{Rejection, Reply};
use gristmill_protocol::api::{AttemptState, EventBody, JobState};
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::ids::LeaseToken;

use crate::stage::{RELEASE, Stage, attempt, job, node_id, provider};

#[test]
fn a_job_goes_to_the_node_that_waits_in_the_same_turn() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.create();
    stage.take();
    stage.open();
    let changes = stage.take();
    let assign = IntentAction::Assign { attempt: attempt(1), node: node_id(1), acceptance: None };
    assert_eq!(changes.intents, vec![Intent { job: job(), action: assign, round: 0 }]);
    assert_eq!(changes.wakes, vec![node_id(1)]);
    assert!(changes.verifications.is_empty());
    assert_eq!(stage.state(), JobState::Assigned);
}

#[test]
fn a_node_that_polls_gets_the_job_that_waits_longest_and_gets_it_again_if_the_answer_was_lost() {
    let mut stage = Stage::new();
    stage.create();
    stage.open();
    stage.register(1, crate::stage::offer());
    let first = stage.poll(1);
    assert_eq!(first.len(), 1);
    stage.take();
    assert_eq!(stage.poll(1), first, "the answer was lost");
    assert_eq!(stage.intents(), vec![], "nothing is assigned twice");
    assert_eq!(stage.poll_with(1, &[(job(), 1)], false), (vec![], vec![]));
}

#[test]
fn a_silent_node_is_called_in_then_replaced_in_one_transaction() {
    let mut stage = Stage::running();
    let assigned_at = stage.now;
    stage.take();
    stage.tick_due();
    let at = stage.now.millis_since(assigned_at) / 1000;
    assert!((100..=102).contains(&at), "a quarter of the lease after the assignment, not {at} s");
    assert_eq!(stage.state(), JobState::CallingIn);
    let renewed_at_s = assigned_at.unix_seconds();
    assert_eq!(stage.intents(), vec![IntentAction::CallIn { attempt: attempt(1), renewed_at_s }]);

    let called_at = stage.now_s();
    stage.chain(Fact::CalledIn { attempt: attempt(1), lease_end_s: called_at + 60 }).unwrap();
    stage.join(2);
    assert_eq!(stage.intents(), vec![], "the lease still runs");
    // Silent for long, not for nothing: the grace time passes first.
    stage.now = stage.job().due_at.unwrap();
    assert!(stage.now_s() > called_at + 60);
    stage.poll_with(2, &[], false);
    stage.tick().unwrap();
    assert_eq!(stage.attempt_state(1), AttemptState::Expired);
    assert_eq!(stage.state(), JobState::Assigned);
    assert_eq!(stage.row(2).node, node_id(2));
    // No separate lapse: the assignment ends the old lease.
    assert_eq!(
        stage.intents(),
        vec![IntentAction::Assign { attempt: attempt(2), node: node_id(2), acceptance: None }]
    );
    assert!(stage.node(1).holding.is_empty());
}

#[test]
fn a_node_that_is_heard_is_not_called_in() {
    let mut stage = Stage::running();
    stage.take();
    // Nearly its whole lease, in which a silent one would be called in.
    for _ in 0..38 {
        stage.pass_heard(10, &[1]);
        if stage.job().due_at.unwrap() <= stage.now {
            stage.tick().unwrap();
        }
        assert_eq!(stage.state(), JobState::Assigned);
    }
    assert_eq!(stage.intents(), vec![]);
}

#[test]
fn a_call_in_that_would_lengthen_the_lease_is_not_planned() {
    let mut stage = Stage::running();
    stage.take();
    // Heard until 50 s before its lease ends: the grace time is longer.
    stage.pass_heard(350, &[1]);
    stage.tick().unwrap();
    stage.pass(20);
    assert!(stage.job().due_at.unwrap() > stage.now);
    stage.tick_due();
    assert_eq!(stage.attempt_state(1), AttemptState::Expired);
    assert_eq!(stage.intents(), vec![]);
}

#[test]
fn a_renewal_brings_the_job_back_to_its_node() {
    let mut stage = Stage::calling_in();
    stage.join(2);
    let called_at = stage.now_s();
    stage.chain(Fact::CalledIn { attempt: attempt(1), lease_end_s: called_at + 60 }).unwrap();
    stage.pass_heard(30, &[1]);
    stage.take();
    let lease_end_s = stage.now_s() + 400;
    stage.chain(Fact::Renewed { attempt: attempt(1), lease_end_s }).unwrap();
    assert_eq!(stage.state(), JobState::Assigned);
    assert_eq!(stage.events(), vec![EventBody::Renewed { attempt: attempt(1) }]);
    // Nobody else gets it while the lease runs.
    stage.pass_heard(60, &[1]);
    assert_eq!(stage.poll(2), vec![]);
    assert_eq!(stage.row(1).state, AttemptState::Running);
}

#[test]
fn a_called_in_node_may_still_report() {
    let mut stage = Stage::calling_in();
    stage.report(1, 0, None).unwrap();
    assert_eq!(stage.state(), JobState::Verifying);
}

#[test]
fn a_failure_with_a_release_frees_the_job_at_once_and_not_for_the_same_node() {
    let mut stage = Stage::running();
    stage.join(2);
    stage.take();
    stage.report(1, 1, Some(RELEASE)).unwrap();
    assert_eq!(
        stage.intents(),
        vec![IntentAction::Release { attempt: attempt(1), signature: RELEASE }]
    );
    assert!(matches!(stage.job().state, State::Queued { wait: Wait::OldLease { .. } }));
    assert_eq!(stage.poll(2), vec![], "the escrow is not free yet");
    stage.chain(Fact::Released { attempt: attempt(1) }).unwrap();
    assert_eq!(stage.row(2).node, node_id(2));
    assert_eq!(
        stage.intents(),
        vec![IntentAction::Assign { attempt: attempt(2), node: node_id(2), acceptance: None }]
    );
}

#[test]
fn the_only_node_does_not_get_a_job_twice() {
    let mut stage = Stage::running();
    stage.report(1, 1, Some(RELEASE)).unwrap();
    stage.chain(Fact::Released { attempt: attempt(1) }).unwrap();
    assert_eq!(stage.state(), JobState::Queued);
    assert!(stage.job().is_assignable());
    assert_eq!(stage.poll(1), vec![]);
}

#[test]
fn a_rejected_node_without_a_release_is_called_in_although_it_lives() {
    let mut stage = Stage::verifying();
    stage.take();
    stage.reject(1).unwrap();
    assert_eq!(stage.intents(), vec![], "too early to call in");
    let (_, stop) = stage.poll_with(1, &[(job(), 1)], false);
    assert!(stop[0].release && stop[0].reason.contains("a byte differs"), "{stop:?}");
    stage.pass_heard(110, &[1]);
    stage.tick().unwrap();
    assert!(matches!(stage.intents()[..], [IntentAction::CallIn { .. }]));
    // It signs after all: the release is quicker.
    stage.release(1).unwrap();
    assert_eq!(
        stage.intents(),
        vec![IntentAction::Release { attempt: attempt(1), signature: RELEASE }]
    );
    assert_eq!(stage.release(1), Ok(Reply::Unchanged));
}

#[test]
fn attempts_are_counted() {
    let mut stage = Stage::new();
    for node in 1..=4 {
        stage.join(node);
    }
    stage.create();
    stage.open();
    for number in 1..=3_u16 {
        let node = stage.row(number).node.0.0[0];
        stage.assigned_on_chain(number, node);
        stage.report(number, 1, Some(RELEASE)).unwrap();
        let expected = if number < 3 { JobState::Queued } else { JobState::Refunding };
        assert_eq!(stage.state(), expected);
        stage.chain(Fact::Released { attempt: attempt(number) }).unwrap();
    }
    assert_eq!(
        stage.state(),
        JobState::Refunding,
        "two retries are three attempts, though a fourth node waits"
    );
    assert_eq!(stage.world.attempts.len(), 3);
}

#[test]
fn only_the_newest_attempt_speaks_and_only_with_its_token() {
    let mut stage = Stage::running();
    let old = stage.speaker(1);
    stage.join(2);
    stage.report(1, 1, Some(RELEASE)).unwrap();
    stage.chain(Fact::Released { attempt: attempt(1) }).unwrap();
    let new = stage.speaker(2);
    let say = |speaker: Speaker, stage: &mut Stage| {
        let receipt = stage.receipt(speaker, 0);
        stage.ask(Command::Report { speaker, receipt, signature: RELEASE, release: None })
    };
    let stale = Rejection::StaleAttempt { attempt: attempt(1), newest: attempt(2) };
    assert_eq!(say(old, &mut stage), Err(stale));
    let forged = [
        Speaker { token: LeaseToken::default(), ..new },
        Speaker { node: node_id(1), ..new },
        Speaker { token: old.token, ..new },
        Speaker { attempt: attempt(3), ..new },
    ];
    for speaker in forged {
        let refused = say(speaker, &mut stage).unwrap_err();
        assert!(
            matches!(refused.code(), ErrorCode::StaleAttempt | ErrorCode::NotFound),
            "{refused}"
        );
    }
    assert_eq!(stage.state(), JobState::Assigned, "none of that moved the job");
    say(new, &mut stage).unwrap();
    assert_eq!(stage.state(), JobState::Verifying);
}

#[test]
fn a_receipt_must_be_about_this_attempt() {
    let mut stage = Stage::running();
    let speaker = stage.speaker(1);
    let right = stage.receipt(speaker, 0);
    for (field, wrong) in [
        (
            "job_id",
            gristmill_protocol::receipt::Receipt {
                job_id: crate::stage::job_id(9),
                ..right.clone()
            },
        ),
        ("attempt", gristmill_protocol::receipt::Receipt { attempt: attempt(2), ..right.clone() }),
        ("node", gristmill_protocol::receipt::Receipt { node: node_id(2), ..right.clone() }),
        (
            "spec_hash",
            gristmill_protocol::receipt::Receipt { spec_hash: Default::default(), ..right.clone() },
        ),
    ] {
        let said = Command::Report { speaker, receipt: wrong, signature: RELEASE, release: None };
        assert_eq!(stage.ask(said), Err(Rejection::WrongReceipt(field)));
    }
    let said = Command::Report { speaker, receipt: right, signature: RELEASE, release: None };
    stage.ask(said.clone()).unwrap();
    stage.take();
    assert_eq!(stage.ask(said), Ok(Reply::Unchanged), "the first answer was lost");
    assert!(stage.take().is_empty());
}

#[test]
fn a_promise_that_was_given_up_waits_for_its_number() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.join(2);
    stage.create();
    stage.open();
    let first = stage.row(1).node;
    // Before the assignment is final.
    stage.release(1).unwrap();
    assert_eq!(stage.job().state, State::Queued { wait: Wait::Assignment { attempt: attempt(1) } });
    assert_eq!(stage.poll(2), vec![]);
    stage.take();
    // It arrives all the same: the release goes after it.
    stage
        .chain(Fact::Assigned {
            node: first,
            provider: provider(first.0.0[0]),
            attempt: attempt(1),
        })
        .unwrap();
    assert_eq!(
        stage.intents(),
        vec![IntentAction::Release { attempt: attempt(1), signature: RELEASE }]
    );
    stage.chain(Fact::Released { attempt: attempt(1) }).unwrap();
    assert_eq!(stage.job().newest, attempt(2));
}

#[test]
fn an_assignment_that_can_never_be_mined_leaves_its_number_to_another_node() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.join(2);
    stage.create();
    stage.take();
    stage.open();
    let intent = stage.take().intents.remove(0);
    let first = stage.row(1).node;
    stage.fail(&intent);
    assert!(stage.job().is_assignable());
    assert_eq!(stage.job().due_at, Some(stage.now), "looked at by the timer, which has a token");
    assert_eq!(stage.fail(&intent), Reply::Unchanged);
    stage.tick().unwrap();
    assert_eq!(stage.job().newest, attempt(1));
    assert_ne!(stage.row(1).node, first);
    let other = stage.row(1).node;
    assert_eq!(
        stage.intents(),
        vec![IntentAction::Assign { attempt: attempt(1), node: other, acceptance: None }]
    );
}

#[test]
fn what_the_chain_assigned_without_us_is_respected() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.create();
    stage.open();
    assert_eq!(stage.row(1).node, node_id(1));
    stage
        .chain(Fact::Assigned { node: node_id(7), provider: provider(7), attempt: attempt(1) })
        .unwrap();
    assert!(matches!(stage.job().state, State::Queued { wait: Wait::OldLease { .. } }));
    assert_eq!(stage.row(1).node, node_id(7));
    assert!(stage.node(1).holding.is_empty());
    // Its result is paid although this database never saw it work.
    let receipt_hash = Default::default();
    stage.chain(Fact::Published { node: node_id(7), attempt: attempt(1), receipt_hash }).unwrap();
    assert_eq!(stage.state(), JobState::Published);
}

#[test]
fn an_event_that_comes_twice_counts_once() {
    let mut stage = Stage::new();
    stage.create();
    let event = gristmill_market::command::ChainEvent {
        job: job(),
        position: gristmill_market::escrow::ChainPosition { block: 9, log_index: 1 },
        at_s: stage.now_s(),
        fact: Fact::Opened { terms: crate::stage::terms(), spec: None },
    };
    let command = Command::Chain { event, token: LeaseToken::default() };
    stage.ask(command.clone()).unwrap();
    stage.take();
    assert_eq!(stage.ask(command), Ok(Reply::Unchanged));
    assert!(stage.take().is_empty());
}

/// What a sender asks before it signs: an intent may have become pointless while it waited.
#[test]
fn intents_that_nobody_wants_any_more_are_known() {
    let wanted = |stage: &Stage, intent: &Intent| intent.is_wanted(stage.job());
    let mut stage = Stage::new();
    stage.join(1);
    stage.join(2);
    stage.create();
    stage.open();
    let assign = stage.take().intents.remove(0);
    assert!(wanted(&stage, &assign));
    stage.cancel().unwrap();
    assert!(!wanted(&stage, &assign), "the job was cancelled");

    let mut stage = Stage::calling_in();
    let call_in = stage.take().intents.pop().unwrap();
    assert!(wanted(&stage, &call_in));
    let lease_end_s = stage.now_s() + 400;
    stage.chain(Fact::Renewed { attempt: attempt(1), lease_end_s }).unwrap();
    assert!(!wanted(&stage, &call_in), "the node has answered");

    let mut stage = Stage::settling();
    let settle = stage.take().intents.pop().unwrap();
    assert!(wanted(&stage, &settle));
    stage.settled_on_chain(1, 1);
    assert!(!wanted(&stage, &settle), "it is paid");

    let mut stage = Stage::settling();
    let settle = stage.take().intents.pop().unwrap();
    stage.chain(Fact::Lapsed { attempt: attempt(1) }).unwrap();
    assert!(!wanted(&stage, &settle), "the attempt is not on chain any more");
}
