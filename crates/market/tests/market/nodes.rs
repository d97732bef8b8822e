//! Nodes: what they may hold, when they rest, and what they are told.

use gristmill_market::command::{Command, Fact};
use gristmill_market::node::Standing;
use gristmill_market::{Rejection, Reply};
use gristmill_protocol::api::{AttemptRef, JobState, NodeState, Offer};
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::money::Amount;

use crate::stage::{RELEASE, Stage, attempt, job, job_id, node_id, offer, provider, spec, terms};

/// Opens this many equal jobs that wait.
fn waiting(stage: &mut Stage, jobs: u8) {
    for byte in 1..=jobs {
        stage.create_as(job_id(byte), terms(), spec()).unwrap();
        let now_s = stage.now_s();
        stage.chain_at(job_id(byte), now_s, Fact::Opened { terms: terms(), spec: None }).unwrap();
        stage.pass(1);
    }
}

#[test]
fn a_node_holds_as_much_as_it_offers_and_no_more() {
    let mut stage = Stage::new();
    waiting(&mut stage, 4);
    // Two CPUs, one each.
    stage.register(1, offer());
    let mut held = Vec::new();
    for turn in 1..=2 {
        let (assignments, _) = stage.poll_with(1, &held, false);
        assert_eq!(assignments.len(), 1);
        assert_eq!(assignments[0].job, job_id(turn), "the one that waits longest");
        held.push((assignments[0].job, assignments[0].attempt.0));
    }
    assert_eq!(stage.poll_with(1, &held, false).0, vec![]);
    assert_eq!(stage.node(1).free().cpu_millis, 0);
    assert_eq!(stage.node(1).state(), NodeState::Busy);

    // A report makes room, before the verdict.
    stage.report(1, 0, None).unwrap();
    assert_eq!(stage.node(1).free().cpu_millis, 1000);
    let (assignments, stop) = stage.poll_with(1, &held, false);
    assert_eq!(assignments[0].job, job_id(3));
    assert_eq!(stop, vec![]);
}

#[test]
fn two_jobs_do_not_share_a_gpu() {
    let mut stage = Stage::new();
    let gpu = |gib: u64| gristmill_protocol::api::Gpu {
        model: "NVIDIA L4".into(),
        vram_bytes: gib << 30,
        compute_capability: None,
    };
    let mut spec = spec();
    spec.resources.gpus = 1;
    spec.resources.cpu_millis = 100;
    spec.resources.vram_bytes = 20 << 30;
    for byte in 1..=3 {
        stage.create_as(job_id(byte), terms(), spec.clone()).unwrap();
        let now_s = stage.now_s();
        stage.chain_at(job_id(byte), now_s, Fact::Opened { terms: terms(), spec: None }).unwrap();
    }
    stage.register(1, Offer { gpus: vec![gpu(8), gpu(48), gpu(24)], ..offer() });
    let mut held: Vec<_> = Vec::new();
    while let [lease] = stage.poll_with(1, &held, false).0[..] {
        held.push((lease.job, lease.attempt.0));
    }
    let taken: Vec<_> = stage.node(1).holding.values().map(|held| held.gpus.clone()).collect();
    assert_eq!(taken, vec![vec![2], vec![1]], "the smallest that does; the one with 8 GiB never");
}

#[test]
fn a_draining_node_finishes_and_takes_nothing_new() {
    let mut stage = Stage::running();
    waiting_more(&mut stage);
    let (assignments, stop) = stage.poll_with(1, &[(job(), 1)], true);
    assert_eq!((assignments, stop), (vec![], vec![]));
    assert_eq!(stage.node(1).state(), NodeState::Draining);
    stage.release(1).unwrap();
    assert_eq!(stage.node(1).failures_in_a_row, 0, "leaving in good order is no failure");
    assert_eq!(stage.poll_with(1, &[], true).0, vec![]);
}

fn waiting_more(stage: &mut Stage) {
    stage.create_as(job_id(2), terms(), spec()).unwrap();
    let now_s = stage.now_s();
    // Nobody is heard now: it waits.
    stage.pass(20);
    stage.chain_at(job_id(2), now_s, Fact::Opened { terms: terms(), spec: None }).unwrap();
}

#[test]
fn a_node_that_fails_twice_in_a_row_rests() {
    let mut stage = Stage::new();
    waiting(&mut stage, 3);
    stage.register(1, offer());
    for byte in 1..=2 {
        let lease = stage.poll(1)[0];
        assert_eq!(lease.job, job_id(byte));
        let speaker = gristmill_market::command::Speaker {
            node: node_id(1),
            job: lease.job,
            attempt: lease.attempt,
            token: lease.token,
        };
        stage
            .ask(Command::Release { speaker, signature: RELEASE, reason: "no engine".into() })
            .unwrap();
    }
    assert_eq!(stage.poll(1), vec![], "no black hole");
    let mut repaired = Stage::new();
    (repaired.world, repaired.now) = (stage.world.clone(), stage.now);
    stage.pass(61);
    let lease = stage.poll(1)[0];
    assert_eq!(lease.job, job_id(3));
    // A new offer says that somebody has looked after it.
    repaired.register(1, offer());
    assert_eq!(repaired.poll(1)[0].job, job_id(3));
}

#[test]
fn an_accepted_result_clears_the_record_of_failures() {
    let mut stage = Stage::verifying();
    stage.world.nodes.get_mut(&node_id(1)).unwrap().failures_in_a_row = 1;
    stage.accept(1).unwrap();
    assert_eq!(stage.node(1).failures_in_a_row, 0);
}

#[test]
fn polls_say_what_to_stop_and_why() {
    let mut stage = Stage::settling();
    assert_eq!(
        stage.poll_with(1, &[(job(), 1)], false),
        (vec![], vec![]),
        "it looks after its result"
    );
    stage.settled_on_chain(1, 1);
    let (_, stop) = stage.poll_with(1, &[(job(), 1)], false);
    assert_eq!((stop[0].reason.as_str(), stop[0].release), ("the job is settled", false));
    // What is not known here is the node's own affair.
    assert_eq!(stage.poll_with(1, &[(job_id(77), 1)], false).1, vec![]);
    // An attempt of another node.
    stage.join(2);
    let (_, stop) = stage.poll_with(2, &[(job(), 1)], false);
    assert!(!stop[0].release);
}

#[test]
fn a_release_is_asked_for_once() {
    let mut stage = Stage::running();
    stage.cancel().unwrap();
    let told = |stage: &mut Stage| stage.poll_with(1, &[(job(), 1)], false).1[0].release;
    assert!(told(&mut stage));
    stage.release(1).unwrap();
    assert!(!told(&mut stage), "it is signed");

    // Nor where it is of no use: the job has ended on chain.
    let mut stage = Stage::running();
    stage.chain(Fact::Refunded { amount: Amount(1000) }).unwrap();
    assert!(!told(&mut stage));
}

#[test]
fn a_poll_may_not_name_endless_attempts() {
    let mut stage = Stage::new();
    stage.join(1);
    let held = AttemptRef { job_id: job(), attempt: attempt(1) };
    let token = stage.token();
    let asked =
        Command::Poll { node: node_id(1), holding: vec![held; 257], draining: false, token };
    assert_eq!(stage.ask(asked), Err(Rejection::TooManyHeld { most: 256 }));
    let unknown = Command::Poll { node: node_id(9), holding: vec![], draining: false, token };
    assert_eq!(stage.ask(unknown).unwrap_err().code(), ErrorCode::NodeNotEnrolled);
}

#[test]
fn a_node_that_is_not_heard_gets_nothing_and_goes_offline() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.pass(16);
    stage.create();
    stage.open();
    assert_eq!(stage.state(), JobState::Queued);
    let due = |stage: &mut Stage| stage.ask(Command::NodeDue { node: node_id(1) });
    assert!(matches!(due(&mut stage), Err(Rejection::NotDue { .. })));
    stage.now = stage.node(1).due_at.unwrap();
    assert_eq!(due(&mut stage), Ok(Reply::Node { state: NodeState::Offline }));
    assert_eq!(stage.node(1).due_at, None);
    assert_eq!(stage.poll(1).len(), 1, "back with one poll");
    // A heartbeat alone keeps it online.
    stage.pass_heard(50, &[1]);
    stage.pass(11);
    assert_eq!(due(&mut stage), Ok(Reply::Node { state: NodeState::Busy }));
}

#[test]
fn a_node_gets_nothing_that_the_contract_would_refuse() {
    let mut stage = Stage::new();
    stage.join(1);
    stage.create();
    for standing in [Standing::NotApproved, Standing::Revoked] {
        stage.ask(Command::NodeStanding { node: node_id(1), standing }).unwrap();
        assert_eq!(stage.poll(1), vec![]);
    }
    stage.open();
    assert_eq!(stage.state(), JobState::Queued);
    stage.ask(Command::NodeStanding { node: node_id(1), standing: Standing::Good }).unwrap();
    assert_eq!(stage.poll(1).len(), 1);
    let refused = stage.ask(Command::RegisterNode {
        node: node_id(1),
        provider: provider(1),
        offer: Offer { cpu_millis: 0, ..offer() },
        standing: Standing::Good,
    });
    assert_eq!(refused.unwrap_err().code(), ErrorCode::InvalidOffer);
}
