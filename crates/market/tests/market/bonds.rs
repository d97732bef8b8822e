//! Bonds and disputes: nothing is at stake without the node's word, and the arbiter's word is the last one.

use gristmill_market::Rejection;
use gristmill_market::attempt::Acceptance;
use gristmill_market::command::Fact;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::job::{RefundReason, State};
use gristmill_market::summary;
use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptState, EscrowState, EventBody, JobState, Offer, Ruling};
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::money::Amount;
use gristmill_protocol::signing::CompactSignature;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use crate::stage::{SUBMITTER, Stage, attempt, job, node_id, offer, provider, spec, terms};

const ARBITER: Address = Address::repeat_byte(0xAB);

fn bonded() -> Terms {
    Terms { bond: Amount(40), dispute_bond: Amount(10), arbiter: ARBITER, ..terms() }
}

/// A funded job with a bond that is promised to node 1.
fn promised() -> Stage {
    let mut stage = Stage::new();
    for node in [1, 2] {
        stage.register(node, offer());
        assert_eq!(stage.poll(node), vec![]);
    }
    stage.create_as(job(), bonded(), spec()).unwrap();
    stage.open();
    assert_eq!(stage.state(), JobState::Assigned);
    assert_eq!(stage.row(1).node, node_id(1));
    stage
}

/// A result that the scheduler has settled and that is held.
fn held() -> Stage {
    let mut stage = Stage::new();
    stage.join(1);
    stage.create_as(job(), Terms { hold_seconds: 300, ..terms() }, spec()).unwrap();
    stage.open();
    stage.assigned_on_chain(1, 1);
    stage.report(1, 0, None).unwrap();
    stage.accept(1).unwrap();
    let receipt_hash = stage.row(1).report.as_ref().unwrap().receipt.hash();
    stage.chain(Fact::Settled { node: node_id(1), attempt: attempt(1), receipt_hash }).unwrap();
    stage.take();
    stage
}

fn dispute(stage: &mut Stage) -> u64 {
    let until_s = stage.now_s() + 3600;
    stage.chain(Fact::Disputed { by: SUBMITTER, until_s }).unwrap();
    assert_eq!(stage.job().escrow.name(), EscrowState::Disputed);
    until_s
}

#[test]
fn a_job_with_a_bond_is_assigned_only_with_the_acceptance_of_its_node() {
    let mut stage = promised();
    assert_eq!(stage.intents(), vec![], "nothing is at stake without its word");
    assert_eq!(stage.start(1).unwrap_err(), Rejection::AcceptanceMissing);
    assert_eq!(stage.report(1, 0, None).unwrap_err(), Rejection::AcceptanceMissing);
    let soon = stage.now_s() + 59;
    let refused = stage.accept_bond(1, soon).unwrap_err();
    assert_eq!(refused, Rejection::AcceptanceTooShort { expires: soon, least: soon + 1 });
    assert_eq!(refused.code(), ErrorCode::InvalidRequest);

    let expires = stage.now_s() + 600;
    stage.accept_bond(1, expires).unwrap();
    let acceptance = Acceptance { expires, signature: CompactSignature([7; 64]) };
    let assign = IntentAction::Assign {
        attempt: attempt(1),
        node: node_id(1),
        acceptance: Some(acceptance),
    };
    assert_eq!(stage.intents(), vec![assign.clone()]);
    // What may be on its way to the chain is not changed any more.
    stage.accept_bond(1, expires + 1).unwrap();
    assert_eq!(stage.row(1).acceptance, Some(acceptance));
    stage.start(1).unwrap();
    stage.assigned_on_chain(1, 1);
    stage.pass_heard(70, &[1, 2]);
    assert_eq!(stage.state(), JobState::Assigned);
}

#[test]
fn an_acceptance_that_does_not_come_costs_the_node_nothing_but_the_job() {
    let mut stage = promised();
    stage.pass_heard(59, &[1, 2]);
    assert!(matches!(stage.tick(), Err(Rejection::NotDue { .. })));
    stage.pass_heard(1, &[1, 2]);
    stage.take();
    stage.tick().unwrap();
    // Nothing of it was on its way to the chain: the number is free, and the next node has it.
    assert_eq!(stage.state(), JobState::Assigned);
    assert_eq!(stage.row(1).node, node_id(2));
    assert_eq!(stage.intents(), vec![]);
    assert_eq!((stage.node(1).attempts_failed, stage.node(1).failures_in_a_row), (0, 0));
    assert!(stage.node(1).holding.is_empty());
    assert_eq!(stage.job().excluded, vec![node_id(1)]);
}

#[test]
fn a_promise_that_is_given_up_before_it_was_accepted_frees_its_number_at_once() {
    let mut stage = promised();
    stage.release(1).unwrap();
    assert!(stage.job().is_assignable(), "{:?}", stage.job().state);
    assert_eq!(stage.job().newest, attempt(0));
    assert_eq!(stage.poll(2).len(), 1);
    assert_eq!(stage.row(1).node, node_id(2));
}

#[test]
fn a_bond_that_cannot_be_locked_sends_the_job_to_another_node() {
    let mut stage = promised();
    let expires = stage.now_s() + 600;
    stage.accept_bond(1, expires).unwrap();
    let action = stage.intents().remove(0);
    stage.fail(&Intent { job: job(), action, round: 0 });
    assert_eq!(stage.attempt_state(1), AttemptState::Abandoned);
    stage.tick().unwrap();
    assert_eq!((stage.state(), stage.row(1).node), (JobState::Assigned, node_id(2)));
    assert_eq!(stage.row(1).acceptance, None, "the word of one node is not that of another");
}

#[test]
fn a_node_gets_no_job_whose_bond_it_does_not_accept() {
    let mut stage = Stage::new();
    stage.register(1, Offer { bond_max: Amount(39), ..offer() });
    stage.poll(1);
    stage.create_as(job(), bonded(), spec()).unwrap();
    stage.open();
    assert_eq!(stage.poll(1), vec![]);
    assert!(stage.job().is_assignable());
    let nodes: Vec<_> = stage.world.nodes.values().cloned().collect();
    let why = gristmill_market::explain(stage.job(), &nodes, &stage.world.policy, stage.now);
    assert_eq!(
        why.removed.iter().map(|removed| &*removed.constraint).collect::<Vec<_>>(),
        ["bond"]
    );
    assert!(why.suggestion.unwrap().ends_with("lower bond from 40 to 39"));
}

#[test]
fn a_forfeited_bond_is_part_of_the_history() {
    let mut stage = Stage::running();
    stage.chain(Fact::Lapsed { attempt: attempt(1) }).unwrap();
    stage.take();
    let (provider, to_submitter, to_pool) = (provider(1), Amount(20), Amount(20));
    stage.chain(Fact::Forfeited { provider, to_submitter, to_pool }).unwrap();
    assert_eq!(stage.events(), vec![EventBody::Forfeited { provider, to_submitter, to_pool }]);
    // Only who has lost the job can have lost the bond.
    let mut stage = Stage::running();
    let early = stage.chain(Fact::Forfeited { provider, to_submitter, to_pool });
    assert!(matches!(early, Err(Rejection::ImpossibleOnChain { .. })));
}

#[test]
fn silence_of_the_arbiter_is_claimed_when_its_time_is_over_and_not_before() {
    let mut stage = held();
    let until_s = dispute(&mut stage);
    assert_eq!(stage.state(), JobState::Settling);
    assert!(summary(stage.job()).contains("arbiter"));
    let until_ms = Timestamp::from_unix_seconds(until_s);
    assert_eq!(stage.events(), vec![EventBody::Disputed { by: SUBMITTER, until_ms }]);
    stage.now = until_ms;
    assert!(matches!(stage.tick(), Err(Rejection::NotDue { .. })));
    stage.tick_due();
    assert_eq!(stage.intents(), vec![IntentAction::Claim { attempt: attempt(1) }]);
    stage
        .chain(Fact::Paid { provider: provider(1), amount: Amount(960), fee: Amount(50) })
        .unwrap();
    assert_eq!(stage.job().state, State::Settled { attempt: attempt(1) });
}

#[test]
fn a_ruling_to_pay_waits_for_the_payment() {
    let mut stage = held();
    dispute(&mut stage);
    stage.chain(Fact::Ruled { ruling: Ruling::Pay }).unwrap();
    assert_eq!(stage.state(), JobState::Settling);
    stage
        .chain(Fact::Paid { provider: provider(1), amount: Amount(960), fee: Amount(50) })
        .unwrap();
    assert_eq!(
        (stage.state(), stage.attempt_state(1)),
        (JobState::Settled, AttemptState::Accepted)
    );
}

#[test]
fn a_ruling_to_refund_rejects_the_result() {
    let mut stage = held();
    dispute(&mut stage);
    stage.chain(Fact::Ruled { ruling: Ruling::Refund }).unwrap();
    assert_eq!(stage.job().state, State::Refunding { reason: RefundReason::Ruled });
    assert_eq!(stage.intents(), vec![], "the contract does it in the same call");
    stage.chain(Fact::Refunded { amount: Amount(1010) }).unwrap();
    assert_eq!(
        (stage.state(), stage.attempt_state(1)),
        (JobState::Refunded, AttemptState::Rejected)
    );
    assert_eq!(stage.node(1).attempts_failed, 1);
    assert!(stage.node(1).reputation.permille(stage.now) < 200, "it cost the submitter a dispute");
}

#[test]
fn a_ruling_to_reopen_gives_the_job_to_another_node() {
    let mut stage = held();
    stage.join(2);
    dispute(&mut stage);
    stage.take();
    stage.chain(Fact::Ruled { ruling: Ruling::Reopen }).unwrap();
    assert_eq!(stage.attempt_state(1), AttemptState::Rejected);
    assert_eq!((stage.state(), stage.row(2).node), (JobState::Assigned, node_id(2)));
    let assign = IntentAction::Assign { attempt: attempt(2), node: node_id(2), acceptance: None };
    assert_eq!(stage.intents(), vec![assign]);
    stage.assigned_on_chain(2, 2);
}

#[test]
fn a_job_that_is_reopened_too_late_for_a_run_is_refunded() {
    let mut stage = held();
    dispute(&mut stage);
    stage.now = Timestamp::from_unix_seconds(terms().deadline - 100);
    stage.chain(Fact::Ruled { ruling: Ruling::Reopen }).unwrap();
    assert_eq!(stage.job().state, State::Refunding { reason: RefundReason::TooLate });
    // It is open again: only the submitter, or the deadline, brings the bounty back.
    assert_eq!(stage.intents(), vec![]);
}

#[test]
fn a_published_result_that_is_disputed_is_left_to_the_arbiter() {
    let mut stage = Stage::running();
    let receipt_hash = stage.receipt(stage.speaker(1), 0).hash();
    let published = Fact::Published { node: node_id(1), attempt: attempt(1), receipt_hash };
    stage.chain(published).unwrap();
    stage.report(1, 0, None).unwrap();
    dispute(&mut stage);
    stage.accept(1).unwrap();
    stage.take();
    assert_eq!(stage.state(), JobState::Settling);
    stage.tick_due();
    assert_eq!(stage.intents(), vec![IntentAction::Claim { attempt: attempt(1) }]);
}

#[test]
fn nobody_rules_where_nothing_is_disputed() {
    let mut stage = held();
    let ruled = stage.chain(Fact::Ruled { ruling: Ruling::Refund });
    assert!(matches!(ruled, Err(Rejection::ImpossibleOnChain { escrow: EscrowState::Held })));
    let mut stage = Stage::running();
    let disputed = stage.chain(Fact::Disputed { by: SUBMITTER, until_s: 1 });
    assert!(matches!(disputed, Err(Rejection::ImpossibleOnChain { .. })));
}
