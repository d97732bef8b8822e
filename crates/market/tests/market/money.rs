//! How jobs end: paid, refunded, cancelled, and when each transaction is planned.

use gristmill_market::command::{Command, Fact};
use gristmill_market::demand::KnownSpec;
use gristmill_market::effect::IntentAction;
use gristmill_market::job::{RefundReason, State, Wait};
use gristmill_market::{Rejection, Reply};
use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptState, EventBody, IntentKind, JobState};
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::{JobSpec, Network};
use gristmill_protocol::terms::Terms;

use crate::stage::{RELEASE, START_S, Stage, attempt, job, node_id, offer, provider, spec, terms};

fn settle(stage: &Stage) -> IntentAction {
    let report = stage.row(1).report.clone().unwrap();
    let (receipt_hash, signature) = (report.receipt.hash(), report.signature);
    IntentAction::Settle { attempt: attempt(1), receipt_hash, signature }
}

#[test]
fn the_happy_path_plans_two_transactions_and_leaves_a_history_without_gaps() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.create();
    stage.open();
    stage.assigned_on_chain(1, 1);
    stage.start(1).unwrap();
    stage.report(1, 0, None).unwrap();
    stage.accept(1).unwrap();
    let receipt_hash = stage.row(1).report.as_ref().unwrap().receipt.hash();
    stage.chain(Fact::Settled { node: node_id(1), attempt: attempt(1), receipt_hash }).unwrap();
    assert_eq!(stage.state(), JobState::Settling, "not before the chain has paid");
    stage
        .chain(Fact::Paid { provider: provider(1), amount: Amount(950), fee: Amount(50) })
        .unwrap();
    assert_eq!(stage.job().state, State::Settled { attempt: attempt(1) });

    let changes = stage.take();
    let kinds: std::collections::BTreeSet<_> =
        changes.intents.iter().map(|intent| intent.subject()).collect();
    assert_eq!(kinds.len(), 2, "an assignment and a settlement: {:?}", changes.intents);
    assert_eq!(changes.verifications.len(), 1);
    let versions: Vec<u64> = changes.events.iter().map(|event| event.version).collect();
    assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>());
    let last = changes.events.last().unwrap().body.clone();
    assert_eq!(
        last,
        EventBody::Settled { provider: provider(1), amount: Amount(950), fee: Amount(50) }
    );
    assert_eq!(stage.node(1).attempts_accepted, 1);
}

#[test]
fn a_result_is_settled_only_after_a_verdict_and_only_once_the_assignment_is_on_chain() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.create();
    stage.open();
    // The node works on the promise and is faster than the chain.
    stage.start(1).unwrap();
    stage.report(1, 0, None).unwrap();
    stage.take();
    stage.accept(1).unwrap();
    assert_eq!(stage.intents(), vec![]);
    stage.assigned_on_chain(1, 1);
    assert_eq!(stage.intents(), vec![settle(&stage)]);
}

#[test]
fn a_job_ends_once_and_says_when() {
    let mut stage = Stage::settling();
    assert_eq!(stage.job().ended_at, None);
    stage.settled_on_chain(1, 1);
    let ended_at = Some(stage.now);
    assert_eq!((stage.state(), stage.job().ended_at), (JobState::Settled, ended_at));
    stage.now = stage.now.plus_seconds(60);
    // Posted again by somebody who missed the end.
    stage.create();
    assert_eq!(stage.job().ended_at, ended_at, "what comes later does not move it");
}

#[test]
fn a_verdict_is_about_the_receipt_that_was_looked_at() {
    let mut stage = Stage::verifying();
    let verdict = gristmill_market::command::Verdict::Accept;
    let receipt_hash = Default::default();
    let said = Command::Verdict { job: job(), attempt: attempt(1), receipt_hash, verdict };
    assert_eq!(stage.ask(said).unwrap_err().code(), ErrorCode::Conflict);
    assert_eq!(stage.state(), JobState::Verifying);
}

#[test]
fn a_verdict_that_does_not_come_is_asked_for_again() {
    let mut stage = Stage::verifying();
    let asked = stage.take().verifications;
    assert_eq!(asked.len(), 1);
    stage.tick_due();
    assert_eq!(stage.take().verifications, asked);
    assert_eq!(stage.state(), JobState::Verifying);
}

#[test]
fn a_hold_is_claimed_when_it_is_over_and_not_before() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.create_as(job(), Terms { hold_seconds: 300, ..terms() }, spec()).unwrap();
    stage.open();
    stage.assigned_on_chain(1, 1);
    stage.report(1, 0, None).unwrap();
    stage.accept(1).unwrap();
    let receipt_hash = stage.row(1).report.as_ref().unwrap().receipt.hash();
    stage.chain(Fact::Settled { node: node_id(1), attempt: attempt(1), receipt_hash }).unwrap();
    let settled_at = stage.now_s();
    stage.take();
    stage.pass(300);
    assert!(
        matches!(stage.tick(), Err(Rejection::NotDue { .. })),
        "at the last second it may still be disputed"
    );
    stage.tick_due();
    assert!(stage.now_s() > settled_at + 300);
    assert_eq!(stage.intents(), vec![IntentAction::Claim { attempt: attempt(1) }]);
    assert_eq!(stage.state(), JobState::Settling);
}

#[test]
fn a_published_result_is_verified_and_settled_in_its_window() {
    let mut stage = Stage::running();
    let receipt = stage.receipt(stage.speaker(1), 0);
    let receipt_hash = receipt.hash();
    stage.chain(Fact::Published { node: node_id(1), attempt: attempt(1), receipt_hash }).unwrap();
    assert_eq!(stage.attempt_state(1), AttemptState::Reported);
    // The scheduler is back: the node tells it what it has published, and nothing else.
    stage.pass(5);
    assert!(matches!(stage.report(1, 0, None), Err(Rejection::WrongReceipt(_))));
    let speaker = stage.speaker(1);
    stage.ask(Command::Report { speaker, receipt, signature: RELEASE, release: None }).unwrap();
    assert_eq!(stage.state(), JobState::Published);
    stage.take();
    stage.accept(1).unwrap();
    assert_eq!(stage.state(), JobState::Settling);
    assert_eq!(stage.intents(), vec![settle(&stage)]);
}

#[test]
fn what_is_published_is_judged_and_not_what_was_reported_before() {
    let mut stage = Stage::verifying();
    let reported = stage.row(1).report.as_ref().unwrap().receipt.hash();
    stage.pass(5);
    let other = stage.receipt(stage.speaker(1), 0);
    assert_ne!(other.hash(), reported);
    let receipt_hash = other.hash();
    stage.chain(Fact::Published { node: node_id(1), attempt: attempt(1), receipt_hash }).unwrap();
    let verdict = gristmill_market::command::Verdict::Accept;
    let said =
        Command::Verdict { job: job(), attempt: attempt(1), receipt_hash: reported, verdict };
    assert_eq!(stage.ask(said).unwrap_err().code(), ErrorCode::Conflict);
    let speaker = stage.speaker(1);
    stage
        .ask(Command::Report { speaker, receipt: other, signature: RELEASE, release: None })
        .unwrap();
    stage.accept(1).unwrap();
    assert_eq!(stage.state(), JobState::Settling);
}

#[test]
fn a_published_result_that_nobody_settles_is_claimed_after_its_window() {
    let mut stage = Stage::running();
    let receipt_hash = Default::default();
    stage.chain(Fact::Published { node: node_id(1), attempt: attempt(1), receipt_hash }).unwrap();
    let published_at = stage.now_s();
    stage.take();
    while stage.now_s() <= published_at + 3600 {
        assert_eq!(stage.intents(), vec![]);
        stage.tick_due();
    }
    assert_eq!(stage.intents(), vec![IntentAction::Claim { attempt: attempt(1) }]);
    stage.chain(Fact::Paid { provider: provider(1), amount: Amount(950), fee: Amount(0) }).unwrap();
    assert_eq!(stage.state(), JobState::Settled);
    assert_eq!(stage.attempt_state(1), AttemptState::Accepted);
}

#[test]
fn a_node_that_was_given_up_and_publishes_all_the_same_takes_the_job_back() {
    let mut stage = Stage::running();
    stage.join(2);
    stage.report(1, 1, None).unwrap();
    // Its lease ends, and another node is promised the job.
    stage.pass_heard(500, &[2]);
    stage.tick().unwrap();
    assert_eq!(stage.job().newest, attempt(2));
    let receipt_hash = Default::default();
    stage.chain(Fact::Published { node: node_id(1), attempt: attempt(1), receipt_hash }).unwrap();
    assert_eq!(stage.job().state, State::Published { attempt: attempt(1) });
    assert_eq!(stage.attempt_state(2), AttemptState::Abandoned);
    assert!(stage.node(2).holding.is_empty());
}

#[test]
fn a_settlement_that_could_not_be_mined_is_planned_again_later_under_a_new_subject() {
    let mut stage = Stage::settling();
    let planned = stage.take().intents;
    let intent = planned.iter().find(|intent| intent.kind() == IntentKind::Settle).unwrap().clone();
    stage.fail(&intent);
    assert_eq!(stage.intents(), vec![], "not at once");
    assert_eq!(stage.fail(&intent), Reply::Unchanged, "told twice");
    stage.tick_due();
    let again = stage.take().intents;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].action, intent.action);
    assert_ne!(again[0].subject(), intent.subject());
}

#[test]
fn a_settlement_that_missed_the_deadline_ends_in_a_refund() {
    let mut stage = Stage::settling();
    stage.take();
    stage.now = gristmill_protocol::time::Timestamp::from_unix_seconds(START_S + 4001);
    stage.tick().unwrap();
    assert_eq!(stage.intents(), vec![], "it may have been mined in time");
    stage.tick_due();
    assert_eq!(stage.intents(), vec![IntentAction::Refund]);
    assert_eq!(stage.state(), JobState::Settling, "until the chain has spoken");
    stage.chain(Fact::Refunded { amount: Amount(1000) }).unwrap();
    assert_eq!(stage.state(), JobState::Refunded);
    assert_eq!(stage.attempt_state(1), AttemptState::Abandoned, "nobody was paid for it");
}

#[test]
fn a_cancelled_job_is_refunded_after_its_deadline_at_the_latest() {
    let mut stage = Stage::running();
    stage.take();
    stage.cancel().unwrap();
    let changes = stage.take();
    assert!(changes.intents.is_empty());
    assert_eq!(changes.wakes, vec![node_id(1)], "the node is told to stop");
    let (_, stop) = stage.poll_with(1, &[(job(), 1)], false);
    assert!(stop[0].release);
    stage.release(1).unwrap();
    assert_eq!(
        stage.intents(),
        vec![IntentAction::Release { attempt: attempt(1), signature: RELEASE }]
    );
    stage.chain(Fact::Released { attempt: attempt(1) }).unwrap();
    assert_eq!(stage.intents(), vec![], "now the submitter can cancel it on chain");
    assert_eq!(stage.poll(1), vec![]);
    stage.tick_due();
    assert!(stage.now_s() > START_S + 4000);
    assert_eq!(stage.intents(), vec![IntentAction::Refund]);
    stage.chain(Fact::Cancelled { amount: Amount(1000) }).unwrap();
    assert_eq!(stage.state(), JobState::Refunded);
}

#[test]
fn a_cancelled_job_whose_node_is_gone_is_freed_before_its_deadline() {
    let mut stage = Stage::running();
    stage.cancel().unwrap();
    stage.take();
    stage.tick_due();
    assert!(matches!(stage.intents()[..], [IntentAction::CallIn { .. }]));
    let lease_end_s = stage.now_s() + 60;
    stage.chain(Fact::CalledIn { attempt: attempt(1), lease_end_s }).unwrap();
    stage.tick_due();
    assert_eq!(stage.intents(), vec![IntentAction::Lapse { attempt: attempt(1) }]);
}

#[test]
fn a_result_that_is_in_cannot_be_called_off() {
    for mut stage in [Stage::verifying(), Stage::settling()] {
        assert_eq!(stage.cancel().unwrap_err().code(), ErrorCode::Conflict);
    }
    let mut stage = Stage::running();
    let refused = stage.ask(Command::CancelJob { job: job(), by: Address::repeat_byte(3) });
    assert_eq!(refused.unwrap_err().code(), ErrorCode::Forbidden);
    assert_eq!(stage.state(), JobState::Assigned);
}

#[test]
fn a_late_deposit_is_given_back() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.create();
    stage.cancel().unwrap();
    assert_eq!((stage.state(), stage.job().due_at), (JobState::Cancelled, None));
    assert_eq!(stage.job().ended_at, Some(stage.now));
    stage.take();
    stage.open();
    assert_eq!(stage.job().ended_at, None, "it has not ended after all");
    assert_eq!(stage.job().state, State::Refunding { reason: RefundReason::LateDeposit });
    assert_eq!(stage.intents(), vec![], "no node gets it");
    stage.tick_due();
    assert_eq!(stage.intents(), vec![IntentAction::Refund]);
}

#[test]
fn a_job_that_was_never_funded_is_given_up_at_its_deadline() {
    let mut stage = Stage::new();
    stage.create();
    stage.take();
    stage.tick_due();
    assert_eq!(stage.state(), JobState::Cancelled);
    let changes = stage.take();
    assert!(changes.intents.is_empty());
    assert_eq!(changes.events.len(), 1);
}

#[test]
fn no_attempt_begins_that_cannot_end_in_time() {
    let mut stage = Stage::new();
    stage.create();
    stage.open();
    stage.register(1, offer());
    // 100 s to run and 180 s to settle.
    stage.now = gristmill_protocol::time::Timestamp::from_unix_seconds(START_S + 4000 - 280 + 1);
    assert_eq!(stage.poll(1), vec![], "even before the timer has noticed");
    stage.tick().unwrap();
    assert_eq!(stage.job().state, State::Refunding { reason: RefundReason::TooLate });

    let mut stage = Stage::new();
    stage.create();
    stage.open();
    stage.register(1, offer());
    stage.now = gristmill_protocol::time::Timestamp::from_unix_seconds(START_S + 4000 - 280);
    assert_eq!(stage.poll(1).len(), 1, "at the last second it still fits");
}

/// Its timer may be late; whoever posts the job again must not set a node to work that cannot finish.
#[test]
fn a_job_that_is_posted_again_when_it_is_too_late_goes_to_nobody() {
    let mut stage = Stage::new();
    stage.create();
    stage.open();
    assert_eq!(stage.state(), JobState::Queued);
    let deadline = stage.job().terms.deadline;
    stage.pass(deadline - stage.now_s());
    stage.join(1);
    assert_eq!(stage.state(), JobState::Queued, "its timer has not come yet");
    stage.create();
    assert_eq!(stage.state(), JobState::Queued);
    stage.tick_due();
    assert_eq!(stage.job().state, State::Refunding { reason: RefundReason::TooLate });
}

#[test]
fn what_would_end_in_a_refund_is_refused_before_money_moves() {
    let with = |change: fn(&mut Terms)| {
        let mut terms = terms();
        change(&mut terms);
        terms
    };
    let network =
        JobSpec { network: Network::AllowList { hosts: vec!["example.com".into()] }, ..spec() };
    let cases = [
        (with(|terms| terms.fee = Amount(9)), spec(), ErrorCode::FeeTooLow),
        (
            with(|terms| terms.scheduler = Address::repeat_byte(1)),
            spec(),
            ErrorCode::WrongScheduler,
        ),
        (with(|terms| terms.bounty = Amount(0)), spec(), ErrorCode::InvalidTerms),
        (with(|terms| terms.deadline = START_S + 279), spec(), ErrorCode::InvalidTerms),
        (terms(), JobSpec { max_run_seconds: 1001, ..spec() }, ErrorCode::InvalidTerms),
        (terms(), network.clone(), ErrorCode::NotSupported),
    ];
    for (terms, spec, code) in cases {
        let mut stage = Stage::new();
        let refused = stage.create_as(job(), terms, spec).unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(stage.take().is_empty() && stage.world.jobs.is_empty());
    }

    let mut stage = Stage::new();
    let just_enough = with(|terms| terms.fee = Amount(10));
    assert!(stage.create_as(job(), just_enough, spec()).is_ok());

    // The chain does not ask: then the bounty goes back.
    for (terms, spec, reason) in [
        (
            with(|terms| terms.fee = Amount(9)),
            spec(),
            RefundReason::FeeTooLow { least: Amount(10) },
        ),
        (terms(), JobSpec { max_run_seconds: 1001, ..spec() }, RefundReason::AttemptTooShort),
        (terms(), network, RefundReason::NotSupported),
    ] {
        let mut stage = Stage::new();
        stage.join(1);
        stage.take();
        let spec = Some(KnownSpec { hash: terms.spec_hash, spec });
        stage.chain(Fact::Opened { terms, spec }).unwrap();
        assert_eq!(stage.job().state, State::Refunding { reason });
        assert_eq!(stage.intents(), vec![]);
    }
}

#[test]
fn the_chain_may_know_a_job_first() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.chain(Fact::Opened { terms: terms(), spec: None }).unwrap();
    assert_eq!(stage.job().state, State::Queued { wait: Wait::Spec });
    assert_eq!(stage.poll(1), vec![], "there is nothing to run yet");
    stage.create();
    assert_eq!(stage.state(), JobState::Assigned);
    assert_eq!(
        stage.create_as(job(), terms(), spec()),
        Ok(Reply::Job { state: JobState::Assigned })
    );
}

#[test]
fn another_spec_than_the_one_in_the_terms_is_refused() {
    let mut stage = Stage::new();
    let wrong = KnownSpec { hash: Default::default(), spec: spec() };
    let (by, token) = (terms().submitter, stage.token());
    let asked = Command::CreateJob {
        job: job(),
        by,
        terms: terms(),
        spec: wrong.clone(),
        funding: None,
        token,
    };
    assert_eq!(stage.ask(asked), Err(Rejection::SpecMismatch));
    assert_eq!(
        stage.chain(Fact::Opened { terms: terms(), spec: Some(wrong) }),
        Err(Rejection::SpecMismatch)
    );
    assert!(stage.world.jobs.is_empty());
}

#[test]
fn a_result_whose_lease_lapsed_on_chain_is_not_paid_and_the_job_goes_on() {
    let mut stage = Stage::settling();
    stage.join(2);
    stage.take();
    stage.chain(Fact::Lapsed { attempt: attempt(1) }).unwrap();
    assert_eq!(stage.attempt_state(1), AttemptState::Expired);
    assert_eq!(stage.job().state, State::Assigned { attempt: attempt(2) });
    assert_eq!(
        stage.intents(),
        vec![IntentAction::Assign { attempt: attempt(2), node: node_id(2), acceptance: None }]
    );
}
