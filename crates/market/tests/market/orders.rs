//! Prepaid jobs: they wait for nothing but a node, and end quietly where the order does not hold.

use gristmill_market::Rejection;
use gristmill_market::command::Fact;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::escrow::Escrow;
use gristmill_market::job::{RefundReason, State};
use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptState, EventBody, JobState};
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::money::Amount;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use crate::stage::{START_S, Stage, attempt, job, node_id, offer, spec, terms};

fn open_and_assign() -> Intent {
    let action = IntentAction::OpenAndAssign { attempt: attempt(1), node: node_id(1) };
    Intent { job: job(), action, round: 0 }
}

/// A prepaid job that is promised to node 1.
fn promised() -> Stage {
    let mut stage = Stage::new();
    stage.join(1);
    stage.join(2);
    stage.create_prepaid(terms(), START_S + 3000).unwrap();
    assert_eq!(stage.state(), JobState::Assigned);
    stage
}

#[test]
fn a_prepaid_job_waits_for_a_node_and_is_opened_when_it_has_one() {
    let mut stage = Stage::new();
    stage.create_prepaid(terms(), START_S + 3000).unwrap();
    assert!(stage.job().is_assignable() && stage.job().escrow == Escrow::None);
    assert_eq!(stage.intents(), vec![], "no money moves before there is a node");
    stage.register(1, offer());
    assert_eq!(stage.poll(1).len(), 1);
    assert_eq!(stage.intents(), vec![open_and_assign().action]);
    stage.open();
    assert_eq!(stage.events().last(), Some(&EventBody::Funded));
    assert_eq!(stage.intents(), vec![], "the assignment is in the same call");
    stage.assigned_on_chain(1, 1);
    assert_eq!(stage.state(), JobState::Assigned);
}

#[test]
fn a_job_that_was_posted_before_can_be_prepaid_later() {
    let mut stage = Stage::new();
    stage.create();
    assert_eq!(stage.state(), JobState::Funding);
    stage.create_prepaid(terms(), START_S + 3000).unwrap();
    assert!(stage.job().is_assignable());
}

#[test]
fn what_the_order_does_not_cover_is_refused() {
    let mut stage = Stage::new();
    stage.now = Timestamp::from_unix_seconds(START_S + 11);
    let late = stage.create_prepaid(terms(), START_S + 10).unwrap_err();
    assert_eq!(late, Rejection::OrderExpired { expires: START_S + 10 });
    assert!(stage.world.jobs.is_empty());

    let stage = promised();
    let mut funding = stage.job().funding.clone().unwrap();
    funding.path.siblings[0] = job().0;
    let mut stage = Stage::new();
    let (by, terms) = (terms().submitter, terms());
    let known = gristmill_market::demand::KnownSpec { hash: terms.spec_hash, spec: spec() };
    let token = stage.token();
    let refused = stage.ask(gristmill_market::Command::CreateJob {
        job: job(),
        by,
        terms,
        spec: known,
        funding: Some(funding),
        token,
    });
    assert_eq!(refused.clone().unwrap_err(), Rejection::NotInOrder);
    assert_eq!(refused.unwrap_err().code(), ErrorCode::InvalidTerms);
}

#[test]
fn an_order_that_fails_cancels_the_job_and_blames_nobody() {
    let mut stage = promised();
    stage.take();
    stage.fail(&open_and_assign());
    assert_eq!(stage.job().state, State::Cancelled);
    assert_eq!(stage.job().due_at, None);
    assert_eq!(stage.attempt_state(1), AttemptState::Abandoned);
    let node = stage.node(1);
    assert_eq!((node.attempts_failed, node.failures_in_a_row, node.holding.len()), (0, 0, 0));
    let changes = stage.take();
    let last = changes.events.last().unwrap().body.clone();
    let EventBody::Cancelled { reason } = last else { panic!("{last:?}") };
    assert_eq!(reason, "its order does not open it on chain: reverted");
    assert_eq!(changes.intents, vec![], "there is nothing to give back");
}

#[test]
fn a_job_that_is_opened_after_all_goes_on() {
    let mut stage = promised();
    stage.fail(&open_and_assign());
    stage.open();
    assert_eq!((stage.state(), stage.row(1).node), (JobState::Assigned, node_id(2)));
}

#[test]
fn what_was_opened_without_being_assigned_is_assigned_alone() {
    let mut stage = promised();
    stage.open();
    stage.take();
    let assign = IntentAction::Assign { attempt: attempt(1), node: node_id(1), acceptance: None };
    // The sender says so, or time does.
    stage.fail(&open_and_assign());
    assert_eq!(stage.intents(), vec![assign.clone()]);
    stage.tick_due();
    assert_eq!(stage.intents(), vec![assign]);
    assert_eq!(stage.attempt_state(1), AttemptState::Leased);
}

#[test]
fn a_promise_that_was_given_up_before_its_order_was_used_does_not_cancel_the_job() {
    let mut stage = promised();
    stage.release(1).unwrap();
    assert!(!open_and_assign().is_wanted(stage.job()));
    stage.fail(&open_and_assign());
    assert!(stage.job().is_assignable());
    stage.tick().unwrap();
    assert_eq!((stage.state(), stage.row(1).node), (JobState::Assigned, node_id(2)));
}

#[test]
fn a_submitter_that_cancels_a_prepaid_job_gets_a_late_bounty_back() {
    let mut stage = promised();
    stage.cancel().unwrap();
    assert_eq!(stage.state(), JobState::Cancelled);
    assert!(!open_and_assign().is_wanted(stage.job()));
    assert_eq!(stage.attempt_state(1), AttemptState::Abandoned);
    // It was sent already.
    stage.open();
    assert_eq!(stage.job().state, State::Refunding { reason: RefundReason::LateDeposit });
}

#[test]
fn an_id_that_is_forbidden_on_chain_ends_without_a_refund() {
    let mut stage = promised();
    stage.chain(Fact::Cancelled { amount: Amount::ZERO }).unwrap();
    assert_eq!(
        (stage.state(), stage.attempt_state(1)),
        (JobState::Cancelled, AttemptState::Abandoned)
    );
    assert_eq!(stage.job().escrow, Escrow::Cancelled);
}

#[test]
fn an_order_that_expires_before_there_is_a_node_cancels_the_job() {
    let mut stage = Stage::new();
    stage.create_prepaid(terms(), START_S + 50).unwrap();
    stage.pass(50);
    assert!(matches!(stage.tick(), Err(Rejection::NotDue { .. })));
    stage.pass(1);
    stage.tick().unwrap();
    assert_eq!(stage.state(), JobState::Cancelled);
    let Some(EventBody::Cancelled { reason }) = stage.events().pop() else { panic!() };
    assert!(reason.contains("order") && reason.contains("expired"), "{reason}");
}

#[test]
fn without_attempts_left_a_prepaid_job_that_was_never_opened_is_cancelled() {
    let mut stage = Stage::new();
    stage.join(1);
    let one = gristmill_protocol::spec::JobSpec { retries: 0, ..spec() };
    stage.create_as(job(), terms(), one).unwrap();
    stage.create_prepaid(terms(), START_S + 3000).unwrap();
    stage.poll(1);
    stage.report(1, 1, None).unwrap();
    assert_eq!(stage.state(), JobState::Cancelled);
}

#[test]
fn a_result_that_was_never_opened_for_ends_with_the_deadline() {
    let mut stage = promised();
    stage.report(1, 0, None).unwrap();
    stage.accept(1).unwrap();
    assert_eq!(stage.state(), JobState::Settling);
    stage.now = Timestamp::from_unix_seconds(terms().deadline + 500);
    stage.tick().unwrap();
    assert_eq!((stage.state(), stage.job().due_at), (JobState::Cancelled, None));
    assert_eq!(stage.attempt_state(1), AttemptState::Abandoned);
}

#[test]
fn a_prepaid_job_with_a_bond_is_opened_first_and_assigned_with_the_acceptance() {
    let mut stage = Stage::new();
    stage.register(1, offer());
    stage.poll(1);
    let bonded = Terms { bond: Amount(40), arbiter: Address::repeat_byte(0xAB), ..terms() };
    stage.create_prepaid(bonded, START_S + 3000).unwrap();
    assert_eq!(stage.state(), JobState::Assigned);
    assert_eq!(stage.intents(), vec![IntentAction::Open]);
    let expires = stage.now_s() + 600;
    stage.accept_bond(1, expires).unwrap();
    let asked = stage.intents();
    assert!(asked.iter().all(|action| *action == IntentAction::Open), "{asked:?}");
    stage.open();
    let acceptance = stage.row(1).acceptance;
    assert!(acceptance.is_some());
    let assign = IntentAction::Assign { attempt: attempt(1), node: node_id(1), acceptance };
    assert_eq!(stage.intents(), vec![assign]);
}
