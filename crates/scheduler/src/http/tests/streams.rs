//! Logs and events: resumable, live, and at an end when there is nothing more to come.

use futures_util::{StreamExt, TryStreamExt};
use gristmill_protocol::api::{EventBody, JobEvent, StartRequest};
use gristmill_protocol::ids::AttemptNumber;

use super::work::{poll, receipt, report};
use super::*;

pub(super) const FIRST: AttemptNumber = AttemptNumber(1);

/// A job that a node runs: the node's client, and its lease token.
pub(super) struct Running {
    pub(super) job: JobId,
    pub(super) node: Client,
    signer: PrivateKeySigner,
    lease_token: gristmill_protocol::ids::LeaseToken,
}

pub(super) async fn running(mill: &Mill) -> Running {
    let (submitter, signer) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let node = mill.node(&signer).await;
    let (job, _) = mill.funded_job(&submitter, 1).await;
    let lease_token =
        node.poll(NodeId(signer.address()), &poll(0)).await.unwrap().assignments[0].lease_token;
    node.start(job, FIRST, &StartRequest { lease_token }).await.unwrap();
    Running { job, node, signer, lease_token }
}

async fn whole_log(client: &Client, job: JobId, offset: u64) -> Vec<u8> {
    let stream = client.logs(job, None, offset, false).await.unwrap();
    stream
        .try_fold(Vec::new(), |mut all, part| async move {
            all.extend_from_slice(&part);
            Ok(all)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_log_is_appended_by_offset_and_only_by_its_node() {
    let mill = Mill::start_with(|limits| limits.log_bytes_max = 1024).await;
    let Running { job, node, .. } = running(&mill).await;
    let append = |offset, text: &'static str| node.append_log(job, FIRST, offset, text.into());
    assert_eq!(append(0, "one ").await.unwrap().next_offset, 4);
    assert_eq!(
        append(0, "one two").await.unwrap().next_offset,
        7,
        "what is there already is skipped"
    );
    let gap = append(9, "x").await.unwrap_err();
    let ClientError::Refused(problem) = &gap else { panic!("{gap}") };
    assert_eq!((problem.code, problem.expected_offset), (ErrorCode::LogGap, Some(7)));
    let full = node.append_log(job, FIRST, 7, vec![b'x'; 1024].into()).await;
    assert_eq!(code(full), Some(ErrorCode::LogFull));
    let too_large = node.append_log(job, FIRST, 7, vec![b'x'; (1 << 20) + 1].into()).await;
    assert_eq!(code(too_large), Some(ErrorCode::TooLarge));
    let stranger = mill.signed_in(&PrivateKeySigner::random()).await;
    assert_eq!(
        code(stranger.append_log(job, FIRST, 7, "x".into()).await),
        Some(ErrorCode::Forbidden)
    );
    let none = node.append_log(job, AttemptNumber(2), 0, "x".into()).await;
    assert_eq!(code(none), Some(ErrorCode::NotFound));
    assert_eq!(whole_log(&mill.client(), job, 0).await, b"one two");
    assert_eq!(whole_log(&mill.client(), job, 4).await, b"two");
    assert_eq!(whole_log(&mill.client(), job, 99).await, b"");
}

#[tokio::test]
async fn who_follows_a_log_gets_every_byte_once_and_the_end() {
    let mill = Mill::start().await;
    let Running { job, node, signer, lease_token } = running(&mill).await;
    node.append_log(job, FIRST, 0, "one ".into()).await.unwrap();
    let client = mill.client();
    let mut stream = std::pin::pin!(client.logs(job, Some(FIRST), 2, true).await.unwrap());
    assert_eq!(stream.next().await.unwrap().unwrap(), "e ");
    node.append_log(job, FIRST, 4, "two".into()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "two");
    node.report(job, FIRST, &report(lease_token, receipt(job, &signer), &signer)).await.unwrap();
    assert!(stream.next().await.is_none(), "the attempt has ended, and its log with it");
}

#[tokio::test]
async fn who_follows_before_there_is_an_attempt_waits_for_the_first() {
    let mill = Mill::start().await;
    let (submitter, signer) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let (job, _) = mill.funded_job(&submitter, 1).await;
    let client = mill.client();
    let mut stream = std::pin::pin!(client.logs(job, None, 0, true).await.unwrap());
    let node = mill.node(&signer).await;
    node.append_log(job, FIRST, 0, "hello".into()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "hello");
}

#[tokio::test]
async fn events_resume_from_any_version_and_follow_to_the_end() {
    let mill = Mill::start().await;
    let submitter = PrivateKeySigner::random();
    let client = mill.signed_in(&submitter).await;
    client.put_spec(&samples::spec().spec).await.unwrap();
    let terms = samples::terms(submitter.address(), 1);
    let job = client.create_job(&terms).await.unwrap().id;
    let all = async |after| -> Vec<JobEvent> {
        client.events(job, after, false).await.unwrap().try_collect().await.unwrap()
    };
    assert_eq!(all(0).await.len(), 1);
    assert_eq!(all(0).await[0].body, EventBody::Created);
    assert!(all(1).await.is_empty());

    let mut follower = std::pin::pin!(client.events(job, 1, true).await.unwrap());
    client.cancel(job).await.unwrap();
    let event = follower.next().await.unwrap().unwrap();
    assert_eq!(event.version, 2);
    assert!(matches!(event.body, EventBody::Cancelled { .. }), "{event:?}");
    assert!(follower.next().await.is_none(), "a job that has ended has no more events");

    let sse = |headers: &'static [&'static str]| {
        let path = format!("/v1/jobs/{job}/events");
        let mill = &mill;
        async move { mill.request("GET", &path, headers, "").await }
    };
    let first = sse(&["accept: text/event-stream"]).await;
    assert!(first.head.contains("content-type: text/event-stream"));
    assert!(
        first.body.contains("id: 1\ndata: {") && first.body.contains("id: 2\n"),
        "{}",
        first.body
    );
    let resumed = sse(&["accept: text/event-stream", "last-event-id: 1"]).await;
    assert!(
        !resumed.body.contains("id: 1\n") && resumed.body.contains("id: 2\n"),
        "{}",
        resumed.body
    );
}

#[tokio::test]
async fn streams_end_when_the_listener_goes_and_only_so_many_are_open() {
    let mill = Mill::start_with(|limits| limits.streams_max = 1).await;
    let Running { job, .. } = running(&mill).await;
    let client = mill.client();
    let stream = client.events(job, 0, true).await.unwrap();
    assert_eq!(code(client.logs(job, None, 0, true).await.map(drop)), Some(ErrorCode::Unavailable));
    drop(stream);
    drop(client);
    // The place is free as soon as the server has seen the connection end.
    let place = Arc::clone(&mill.app.streams).acquire_owned().await.unwrap();
    drop(place);
    assert_eq!(mill.app.wake.waiting(), 0, "nobody waits for a stream that is gone");
}
