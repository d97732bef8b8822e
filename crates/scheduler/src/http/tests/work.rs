//! Submitters and nodes at work, from the spec to the report.

use std::time::Duration;

use gristmill_market::Command;
use gristmill_market::command::{ChainEvent, Fact};
use gristmill_protocol::api::{
    AttemptRef, AttemptState, JobState, NodeState, PollRequest, PreviewRequest, ReleaseRequest,
    ReportRequest, StartRequest,
};
use gristmill_protocol::client::JobFilter;
use gristmill_protocol::content::{self, Limits, MemoryStore as Blocks};
use gristmill_protocol::ids::{AttemptNumber, LeaseToken, ManifestHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::time::Timestamp;

use super::*;
use crate::drivers::verifier::Verifier;
use crate::store::chain::ReplicaId;

pub(super) fn poll(wait_ms: u32) -> PollRequest {
    PollRequest { holding: Vec::new(), wait_ms, draining: false }
}

/// A receipt of success for the first attempt of a job.
pub(super) fn receipt(job: JobId, node: &PrivateKeySigner) -> Receipt {
    let output =
        content::add_file(&Blocks::default(), &mut &b"flour"[..], &Limits::default()).unwrap();
    Receipt {
        version: RECEIPT_VERSION,
        job_id: job,
        attempt: AttemptNumber(1),
        node: NodeId(node.address()),
        spec_hash: samples::spec().hash,
        outcome: Outcome::Exited { exit_code: 0 },
        output_cid: output.cid.to_string(),
        manifest_hash: ManifestHash([1; 32].into()),
        output_bytes: 5,
        started_at_ms: NOW,
        finished_at_ms: NOW,
        fuel_used: None,
        log_bytes: 0,
    }
}

/// The report of a receipt, signed as it must be.
pub(super) fn report(
    lease_token: LeaseToken,
    receipt: Receipt,
    signer: &PrivateKeySigner,
) -> ReportRequest {
    let (job_id, attempt, node, receipt_hash) =
        (receipt.job_id, receipt.attempt, receipt.node, receipt.hash());
    let message = if receipt.outcome.is_success() {
        Message::Result { job_id, attempt, node, receipt_hash }
    } else {
        Message::Failure { job_id, attempt, node, receipt_hash }
    };
    ReportRequest { lease_token, signature: sign_message(signer, &message), receipt, release: None }
}

#[tokio::test]
async fn a_job_goes_from_its_spec_to_a_result_that_waits_for_its_verdict() {
    let mill = Mill::start().await;
    let (submitter, signer) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let node = mill.node(&signer).await;
    let id = NodeId(signer.address());
    assert_eq!(node.node(id).await.unwrap().state, NodeState::Idle);
    let (job, terms) = mill.funded_job(&submitter, 1).await;

    let reply = node.poll(id, &poll(60_000)).await.unwrap();
    let [assignment] = &reply.assignments[..] else { panic!("{reply:?}") };
    assert_eq!(
        (assignment.job_id, assignment.terms, &assignment.spec),
        (job, terms, &samples::spec().spec)
    );
    assert_eq!(reply.silence_ms, 15_000);
    let lease_token = assignment.lease_token;
    let holding = vec![AttemptRef { job_id: job, attempt: AttemptNumber(1) }];
    let held = node.poll(id, &PollRequest { holding, ..poll(0) }).await.unwrap();
    assert!(
        held.assignments.is_empty() && held.stop.is_empty(),
        "what it holds is not sent again: {held:?}"
    );

    node.start(job, AttemptNumber(1), &StartRequest { lease_token }).await.unwrap();
    let view = node.job(job).await.unwrap();
    assert_eq!((view.state, view.attempts[0].state), (JobState::Assigned, AttemptState::Running));
    node.append_log(job, AttemptNumber(1), 0, "grinding\n".into()).await.unwrap();
    let receipt = receipt(job, &signer);
    node.report(job, AttemptNumber(1), &report(lease_token, receipt.clone(), &signer))
        .await
        .unwrap();
    node.report(job, AttemptNumber(1), &report(lease_token, receipt.clone(), &signer))
        .await
        .unwrap();

    let view = mill.client().job(job).await.unwrap();
    assert_eq!(view.state, JobState::Verifying);
    let [attempt] = &view.attempts[..] else { panic!("{view:?}") };
    assert_eq!((attempt.receipt.as_ref(), attempt.log_bytes), (Some(&receipt), 9));
    assert_eq!(attempt.signature, Some(report(lease_token, receipt, &signer).signature));
    assert_eq!(view.result, None, "no verdict, no result");
    assert_eq!(view.transactions.len(), 1, "the assignment is to be sent: {:?}", view.transactions);
    let lease = |rows: &mut dyn crate::store::Writes| {
        rows.lease_verifications(ReplicaId([1; 16]), NOW, 1000, 10)
    };
    assert_eq!(
        mill.app.turns.write("lease", lease).await.unwrap().len(),
        1,
        "the verifier has one thing to do"
    );
}

#[tokio::test]
async fn a_poll_waits_until_there_is_work_and_wakes_only_for_it() {
    let mill = Mill::start().await;
    let (submitter, signer) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let node = mill.node(&signer).await;
    let id = NodeId(signer.address());
    let waiting = tokio::spawn(async move { node.poll(id, &poll(60_000)).await });
    while mill.app.wake.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let client = mill.signed_in(&submitter).await;
    client.put_spec(&samples::spec().spec).await.unwrap();
    let terms = samples::terms(submitter.address(), 1);
    client.create_job(&terms).await.unwrap();
    assert!(!waiting.is_finished(), "an unfunded job is no work");
    mill.app.turns.submit(samples::opened(terms, 5)).await.unwrap();
    let reply = waiting.await.unwrap().unwrap();
    assert_eq!(reply.assignments.len(), 1);
    assert_eq!(mill.app.wake.waiting(), 0, "nobody waits any more");
}

#[tokio::test]
async fn a_poll_ends_with_its_wait_and_when_the_scheduler_stops() {
    let mill = Mill::start().await;
    let signer = PrivateKeySigner::random();
    let node = mill.node(&signer).await;
    let id = NodeId(signer.address());
    let reply = node.poll(id, &poll(20)).await.unwrap();
    assert!(reply.assignments.is_empty() && reply.stop.is_empty());
    let waiting = tokio::spawn(async move { node.poll(id, &poll(60_000)).await });
    while mill.app.wake.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    mill.app.stopping.cancel();
    assert_eq!(code(waiting.await.unwrap()), Some(ErrorCode::Unavailable));
}

#[tokio::test]
async fn only_so_many_polls_wait_at_once() {
    let mill = Mill::start_with(|limits| limits.polls_max = 1).await;
    let signer = PrivateKeySigner::random();
    let node = mill.node(&signer).await;
    let id = NodeId(signer.address());
    let place = mill.app.polls.try_acquire().unwrap();
    assert_eq!(code(node.poll(id, &poll(0)).await), Some(ErrorCode::Unavailable));
    drop(place);
    node.poll(id, &poll(0)).await.unwrap();
}

#[tokio::test]
async fn a_node_needs_a_wallet_behind_it_and_its_own_key() {
    let mill = Mill::start().await;
    let (submitter, signer, other) =
        (PrivateKeySigner::random(), PrivateKeySigner::random(), PrivateKeySigner::random());
    let id = NodeId(signer.address());
    let node = mill.signed_in(&signer).await;
    let offer = samples::offer();
    assert_eq!(code(node.put_offer(id, &offer).await), Some(ErrorCode::NodeNotEnrolled));
    assert_eq!(code(node.poll(id, &poll(0)).await), Some(ErrorCode::NodeNotEnrolled));
    let stranger = mill.signed_in(&other).await;
    assert_eq!(code(stranger.put_offer(id, &offer).await), Some(ErrorCode::Forbidden));
    assert_eq!(code(stranger.poll(id, &poll(0)).await), Some(ErrorCode::Forbidden));

    let enroll = move |rows: &mut dyn crate::store::Writes| rows.put_enrollment(id, PROVIDER);
    mill.app.turns.write("enroll", enroll).await.unwrap();
    let bad = gristmill_protocol::api::Offer { cpu_millis: 0, ..offer.clone() };
    assert_eq!(code(node.put_offer(id, &bad).await), Some(ErrorCode::InvalidOffer));
    assert_eq!(node.put_offer(id, &offer).await.unwrap().provider, PROVIDER);
    let (job, _) = mill.funded_job(&submitter, 1).await;
    let reply = node.poll(id, &poll(0)).await.unwrap();
    assert!(
        reply.assignments.is_empty(),
        "its provider has not approved this scheduler: {reply:?}"
    );
    let why = mill.client().explain(job).await.unwrap();
    assert_eq!((why.nodes_total, why.nodes_matching), (1, 0));
    assert!(
        why.removed.iter().any(|removal| removal.constraint == "standing" && removal.nodes == 1),
        "{why:?}"
    );

    mill.enroll(signer.address()).await;
    node.put_offer(id, &offer).await.unwrap();
    assert_eq!(node.poll(id, &poll(0)).await.unwrap().assignments.len(), 1, "now it gets the job");
    let revoke = move |rows: &mut dyn crate::store::Writes| rows.revoke_enrollment(id);
    mill.app.turns.write("revoke", revoke).await.unwrap();
    assert_eq!(code(node.put_offer(id, &offer).await), Some(ErrorCode::Forbidden));
}

#[tokio::test]
async fn anybody_may_ask_who_would_take_a_job_and_nothing_comes_of_it() {
    let mill = Mill::start().await;
    mill.node(&PrivateKeySigner::random()).await;
    let client = mill.client();
    let request = PreviewRequest {
        spec: samples::spec().spec,
        bounty: Amount(1050),
        fee: Amount(50),
        bond: Amount::ZERO,
        token: Address::ZERO,
        deadline: NOW.unix_seconds() + 86_400,
    };
    let ask = async |request: &PreviewRequest| client.preview(request).await;
    let preview = ask(&request).await.unwrap();
    assert_eq!((preview.nodes_total, preview.nodes_matching), (1, 1));
    assert_eq!(preview.summary, "1 node would take it now.");
    assert_eq!(preview.price_floors.median, Some(Amount(1000)));
    let dear = ask(&PreviewRequest { bounty: Amount(1049), ..request.clone() }).await.unwrap();
    assert_eq!(dear.nodes_matching, 0);
    assert!(dear.suggestion.unwrap().contains("at least 1000 instead of 999"));
    let bonded = ask(&PreviewRequest { bond: Amount(1), ..request.clone() }).await.unwrap();
    assert_eq!(bonded.removed[0].constraint, "bond", "a bond alone is no reason to refuse");
    let mut long = request.clone();
    long.spec.max_run_seconds = 100_000;
    assert!(ask(&long).await.unwrap().summary.starts_with("It would be refused: "));

    let mut bad_spec = request.clone();
    bad_spec.spec.max_run_seconds = 0;
    for (wrong, expected) in [
        (PreviewRequest { fee: Amount(1051), ..request.clone() }, ErrorCode::InvalidTerms),
        (PreviewRequest { bounty: Amount::ZERO, ..request.clone() }, ErrorCode::InvalidTerms),
        (
            PreviewRequest { deadline: NOW.unix_seconds(), ..request.clone() },
            ErrorCode::InvalidTerms,
        ),
        (PreviewRequest { deadline: u64::MAX, ..request.clone() }, ErrorCode::InvalidTerms),
        (bad_spec, ErrorCode::InvalidSpec),
    ] {
        assert_eq!(code(ask(&wrong).await), Some(expected));
    }
    assert_eq!(client.jobs(&Default::default()).await.unwrap().items, [], "nothing was posted");
    let spec = client.spec(request.spec.hash()).await;
    assert_eq!(code(spec), Some(ErrorCode::NotFound), "nor kept");
}

#[tokio::test]
async fn a_report_that_is_not_what_it_says_is_refused_and_changes_nothing() {
    let mill = Mill::start().await;
    let (submitter, signer) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let node = mill.node(&signer).await;
    let (job, _) = mill.funded_job(&submitter, 1).await;
    let reply = node.poll(NodeId(signer.address()), &poll(0)).await.unwrap();
    let token = reply.assignments[0].lease_token;
    node.start(job, AttemptNumber(1), &StartRequest { lease_token: token }).await.unwrap();
    let before = node.job(job).await.unwrap();

    let good = receipt(job, &signer);
    let with = |change: fn(&mut Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        report(token, receipt, &signer)
    };
    let failed = report(
        token,
        Receipt { outcome: Outcome::Exited { exit_code: 1 }, ..good.clone() },
        &signer,
    );
    let signed_by_another = report(token, good.clone(), &PrivateKeySigner::random());
    let failure_signed_as_result =
        ReportRequest { signature: with(|_| {}).signature, ..failed.clone() };
    let success_signed_as_failure = ReportRequest { signature: failed.signature, ..with(|_| {}) };
    let release_by_another = {
        let message = Message::Release { job_id: job, attempt: AttemptNumber(1) };
        let signature = sign_message(&PrivateKeySigner::random(), &message);
        ReportRequest { release: Some(signature), ..failed }
    };
    for (what, request) in [
        ("version", with(|receipt| receipt.version = 2)),
        ("job", with(|receipt| receipt.job_id = JobId::default())),
        ("attempt", with(|receipt| receipt.attempt = AttemptNumber(2))),
        ("node", with(|receipt| receipt.node = NodeId::default())),
        ("spec", with(|receipt| receipt.spec_hash = Default::default())),
        ("cid", with(|receipt| receipt.output_cid = "bafy".into())),
        ("times", with(|receipt| receipt.started_at_ms = Timestamp(NOW.0 + 1))),
        ("signer", signed_by_another),
        ("failure as result", failure_signed_as_result),
        ("success as failure", success_signed_as_failure),
        ("release", release_by_another),
    ] {
        let refused = node.report(job, AttemptNumber(1), &request).await;
        assert_eq!(code(refused), Some(ErrorCode::InvalidReceipt), "{what}");
    }
    let forged = report(LeaseToken::default(), good.clone(), &signer);
    assert_eq!(
        code(node.report(job, AttemptNumber(1), &forged).await),
        Some(ErrorCode::StaleAttempt)
    );
    let other = PrivateKeySigner::random();
    let thief = mill.node(&other).await;
    let stolen = report(token, Receipt { node: NodeId(other.address()), ..good.clone() }, &other);
    assert_eq!(
        code(thief.report(job, AttemptNumber(1), &stolen).await),
        Some(ErrorCode::StaleAttempt)
    );
    assert_eq!(node.job(job).await.unwrap(), before, "nothing of that left a trace");
    node.report(job, AttemptNumber(1), &with(|_| {})).await.unwrap();
}

#[tokio::test]
async fn a_node_gives_a_job_back_with_its_signature() {
    let mill = Mill::start().await;
    let (submitter, signer) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let node = mill.node(&signer).await;
    let (job, _) = mill.funded_job(&submitter, 1).await;
    let lease_token =
        node.poll(NodeId(signer.address()), &poll(0)).await.unwrap().assignments[0].lease_token;
    let release = |attempt: u16, reason: String| {
        let message = Message::Release { job_id: job, attempt: AttemptNumber(attempt) };
        ReleaseRequest { lease_token, signature: sign_message(&signer, &message), reason }
    };
    let number = AttemptNumber(1);
    let other_attempt = node.release(job, number, &release(2, "draining".into())).await;
    assert_eq!(code(other_attempt), Some(ErrorCode::InvalidReceipt));
    let too_long = node.release(job, number, &release(1, "x".repeat(501))).await;
    assert_eq!(code(too_long), Some(ErrorCode::InvalidRequest));
    node.release(job, number, &release(1, "draining".into())).await.unwrap();
    assert_eq!(node.job(job).await.unwrap().attempts[0].state, AttemptState::Released);
}

#[tokio::test]
async fn posting_is_for_the_submitter_and_takes_effect_once() {
    let mill = Mill::start().await;
    let (submitter, other) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let client = mill.signed_in(&submitter).await;
    let terms = samples::terms(submitter.address(), 1);
    assert_eq!(code(client.create_job(&terms).await), Some(ErrorCode::SpecUnknown));
    client.put_spec(&samples::spec().spec).await.unwrap();
    for (change, expected) in [
        (Terms { scheduler: Address::repeat_byte(1), ..terms }, ErrorCode::WrongScheduler),
        (Terms { bounty: gristmill_protocol::money::Amount(0), ..terms }, ErrorCode::InvalidTerms),
        (Terms { deadline: NOW.unix_seconds(), ..terms }, ErrorCode::InvalidTerms),
        (Terms { deadline: NOW.unix_seconds() + 60, ..terms }, ErrorCode::InvalidTerms),
        (Terms { submitter: other.address(), ..terms }, ErrorCode::Forbidden),
    ] {
        assert_eq!(code(client.create_job(&change).await), Some(expected));
    }
    assert!(
        client.jobs(&JobFilter::default()).await.unwrap().items.is_empty(),
        "no refused job is kept"
    );

    let token = client
        .sign_in(submitter.address(), ISSUED_AT, |text| sign(&submitter, text))
        .await
        .unwrap()
        .token;
    let bearer = format!("authorization: Bearer {token}");
    let post = async |salt: u8, key: &str| {
        let body =
            serde_json::json!({ "terms": samples::terms(submitter.address(), salt) }).to_string();
        let key = format!("idempotency-key: {key}");
        mill.request("POST", "/v1/jobs", &["content-type: application/json", &bearer, &key], &body)
            .await
    };
    assert_eq!(post(1, "a").await.status, 201);
    assert_eq!(post(1, "a").await.status, 201, "answered as the first time");
    assert_eq!(post(1, "b").await.status, 200, "with another key the job is known");
    assert_eq!(post(2, "a").await.problem().code, ErrorCode::IdempotencyMismatch);
    let jobs = client.jobs(&JobFilter::default()).await.unwrap();
    assert_eq!(jobs.items.len(), 1);

    let id = jobs.items[0].id;
    let stranger = mill.signed_in(&other).await;
    assert_eq!(code(stranger.cancel(id).await), Some(ErrorCode::Forbidden));
    assert_eq!(client.cancel(id).await.unwrap().state, JobState::Cancelled);
}

#[tokio::test]
async fn a_job_that_the_chain_showed_first_waits_for_its_spec() {
    let mill = Mill::start().await;
    let submitter = PrivateKeySigner::random();
    let terms = samples::terms(submitter.address(), 1);
    let Command::Chain { event, token } = samples::opened(terms, 5) else { panic!() };
    let event = ChainEvent { fact: Fact::Opened { terms, spec: None }, ..event };
    mill.app.turns.submit(Command::Chain { event, token }).await.unwrap();
    let view = mill.client().job(samples::job_id(&terms)).await.unwrap();
    assert_eq!((view.state, view.spec), (JobState::Queued, None));
    let client = mill.signed_in(&submitter).await;
    client.put_spec(&samples::spec().spec).await.unwrap();
    let view = client.create_job(&terms).await.unwrap();
    assert_eq!((view.state, view.spec), (JobState::Queued, Some(samples::spec().spec)));
}

#[tokio::test]
async fn a_verification_that_a_crash_cut_off_goes_on_at_the_next_start() {
    let mill = Mill::start().await;
    let (submitter, signer) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let node = mill.node(&signer).await;
    let (job, _) = mill.funded_job(&submitter, 1).await;
    let work = node.poll(NodeId(signer.address()), &poll(60_000)).await.unwrap();
    let lease_token = work.assignments[0].lease_token;
    node.start(job, AttemptNumber(1), &StartRequest { lease_token }).await.unwrap();
    let report = report(lease_token, receipt(job, &signer), &signer);
    node.report(job, AttemptNumber(1), &report).await.unwrap();
    // The process that took it is gone.
    let replica = ReplicaId([1; 16]);
    let lease = move |rows: &mut dyn crate::store::Writes| {
        rows.lease_verifications(replica, NOW, 600_000, 10)
    };
    assert_eq!(mill.app.turns.write("lease", lease).await.unwrap().len(), 1);

    let verifier = Verifier {
        store: Arc::clone(&mill.app.store),
        turns: mill.app.turns.clone(),
        wake: Arc::clone(&mill.app.wake),
        clock: mill.clock.clone(),
        content: Arc::clone(&mill.app.content),
        replica,
        concurrency: 1,
    };
    let waiter = mill.app.wake.wait_for_job(job);
    let decided = waiter.woken();
    tokio::spawn(verifier.run(mill.app.stopping.clone()));
    tokio::time::timeout(Duration::from_secs(10), decided).await.expect("a verdict");
    let view = mill.client().job(job).await.unwrap();
    let attempt = &view.attempts[0];
    assert_eq!(attempt.state, AttemptState::Rejected, "its output was never uploaded: {view:?}");
}
