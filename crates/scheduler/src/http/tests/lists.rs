//! Lists of jobs: pages, filters, and what is refused.

use gristmill_protocol::api::{JobState, JobSummary};
use gristmill_protocol::client::JobFilter;

use super::work::poll;
use super::*;

#[tokio::test]
async fn lists_come_page_by_page_without_doubles() {
    let mill = Mill::start().await;
    let submitter = PrivateKeySigner::random();
    let client = mill.signed_in(&submitter).await;
    client.put_spec(&samples::spec().spec).await.unwrap();
    let mut posted = std::collections::BTreeSet::new();
    for salt in 0..7 {
        posted.insert(
            client.create_job(&samples::terms(submitter.address(), salt)).await.unwrap().id,
        );
    }
    let mut filter =
        JobFilter { limit: Some(3), submitter: Some(submitter.address()), ..JobFilter::default() };
    let (mut seen, mut pages) = (std::collections::BTreeSet::new(), 0);
    loop {
        let page = client.jobs(&filter).await.unwrap();
        pages += 1;
        for job in &page.items {
            assert!(seen.insert(job.id), "{} came twice", job.id);
        }
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (posted, 3));
    let others = JobFilter { submitter: Some(Address::ZERO), ..JobFilter::default() };
    assert!(client.jobs(&others).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn lists_are_filtered_by_node_state_and_text() {
    let mill = Mill::start().await;
    let (submitter, miller) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let node = mill.node(&miller).await;
    let (taken, terms) = mill.funded_job(&submitter, 1).await;
    let reply = node.poll(NodeId(miller.address()), &poll(0)).await.unwrap();
    assert_eq!(reply.assignments.len(), 1, "the one job that there is");
    let client = mill.signed_in(&submitter).await;
    let unpaid = client.create_job(&samples::terms(submitter.address(), 2)).await.unwrap().id;
    let cancelled = client.create_job(&samples::terms(submitter.address(), 3)).await.unwrap().id;
    client.cancel(cancelled).await.unwrap();

    let list = async |filter: JobFilter| -> Vec<JobSummary> {
        let page = client.jobs(&filter).await.unwrap();
        assert_eq!(page.next, None);
        page.items
    };
    let ids = async |filter: JobFilter| -> std::collections::BTreeSet<JobId> {
        list(filter).await.iter().map(|job| job.id).collect()
    };
    let of_node = |node| JobFilter { node: Some(NodeId(node)), ..JobFilter::default() };
    assert_eq!(ids(of_node(miller.address())).await, [taken].into());
    assert_eq!(ids(of_node(submitter.address())).await, [].into());
    let of_states =
        |states: &[JobState]| JobFilter { states: states.to_vec(), ..JobFilter::default() };
    let both = ids(of_states(&[JobState::Funding, JobState::Assigned])).await;
    assert_eq!(both, [taken, unpaid].into());
    let of_text = |text: &str| JobFilter { text: Some(text.into()), ..JobFilter::default() };
    let name = samples::spec().spec.name.to_uppercase();
    assert_eq!(ids(of_text(&name)).await.len(), 3);
    assert_eq!(ids(of_text("no such name")).await, [].into());
    assert_eq!(ids(of_text(&unpaid.to_string()[..12])).await, [unpaid].into());

    let ended = list(of_states(&[JobState::Cancelled])).await;
    assert_eq!((ended[0].id, ended[0].ended_at_ms), (cancelled, Some(NOW)));
    assert_eq!(ended[0].fee, terms.fee);
    assert!(terms.fee.0 > 0, "or the fee could be any");
    assert_eq!(list(of_text(&unpaid.to_string())).await[0].ended_at_ms, None);
}

#[tokio::test]
async fn filters_that_make_no_sense_are_refused() {
    let mill = Mill::start().await;
    let long = "a".repeat(101);
    for (query, said) in [
        ("node=miller".to_owned(), "node"),
        ("state=queued&state=done".to_owned(), "done"),
        ("limit=5&limit=6".to_owned(), "limit"),
        ("q=a&q=b".to_owned(), "q"),
        ("states=queued".to_owned(), "states"),
        (format!("q={long}"), "101"),
    ] {
        let problem = mill.request("GET", &format!("/v1/jobs?{query}"), &[], "").await.problem();
        assert_eq!(problem.code, ErrorCode::InvalidRequest, "{query}");
        assert!(problem.detail.contains(said), "{query}: {}", problem.detail);
    }
    let accents = "%C3%A9".repeat(100);
    let query = format!("/v1/jobs?state=queued&state=queued&q={accents}");
    assert_eq!(mill.request("GET", &query, &[], "").await.status, 200, "100 characters, not bytes");
}
