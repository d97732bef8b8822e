//! What every store must do with lists of jobs.

use std::sync::Arc;

use gristmill_market::job::{Job, State};
use gristmill_protocol::Address;
use gristmill_protocol::api::JobState;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::time::Timestamp;

use super::{MemoryStore, SqliteStore, read, save, save_jobs};
use crate::samples::{self, SUBMITTER};
use crate::store::{JobPage, JobPlace, JobQuery, JobText, Store};

on_every_store! {
    jobs_are_listed_newest_first_page_by_page
    jobs_are_found_by_who_had_them
    jobs_in_any_of_several_states_are_one_list
    jobs_are_found_by_name_and_by_the_beginning_of_their_id
    a_search_stops_and_says_where
}

fn job(salt: u8, at: u64, name: &str) -> Job {
    let mut job = Job { created_at: Timestamp(at), ..samples::queued_job(salt) };
    job.demand.as_mut().unwrap().name = name.to_owned();
    job
}

fn all() -> JobQuery {
    JobQuery { limit: 10, searched_max: 100, ..JobQuery::default() }
}

fn page(store: &Arc<dyn Store>, query: &JobQuery) -> JobPage {
    read(store, |rows| rows.jobs(query))
}

/// The ids of a list that one page holds.
fn list(store: &Arc<dyn Store>, query: &JobQuery) -> Vec<JobId> {
    let page = page(store, query);
    assert_eq!(page.next, None);
    page.jobs.iter().map(|job| job.id).collect()
}

fn place(job: &Job) -> JobPlace {
    (job.created_at, job.id)
}

fn jobs_are_listed_newest_first_page_by_page(store: Arc<dyn Store>) {
    let mut jobs = vec![job(1, 10, "a"), job(2, 30, "a"), job(3, 20, "a"), job(4, 30, "a")];
    jobs[2].terms.submitter = Address::repeat_byte(0xee);
    save_jobs(&store, jobs.clone());
    jobs.sort_by_key(|job| std::cmp::Reverse(place(job)));
    assert_eq!(page(&store, &all()), JobPage { jobs: jobs.clone(), next: None });
    assert_eq!(page(&store, &JobQuery { limit: 4, ..all() }).next, None, "nothing follows");
    let first = page(&store, &JobQuery { limit: 2, ..all() });
    assert_eq!(first, JobPage { jobs: jobs[..2].to_vec(), next: Some(place(&jobs[1])) });
    for (index, job) in jobs.iter().enumerate() {
        let after = Some(place(job));
        assert_eq!(
            page(&store, &JobQuery { after, ..all() }).jobs,
            jobs[index + 1..],
            "equal times do not skip a job"
        );
    }
    let theirs = JobQuery { submitter: Some(Address::repeat_byte(0xee)), ..all() };
    assert_eq!(list(&store, &theirs), [samples::queued_job(3).id]);
}

fn jobs_are_found_by_who_had_them(store: Arc<dyn Store>) {
    let (provider, node) = (Some(samples::PROVIDER), samples::node_id(7));
    let of_provider = JobQuery { provider, ..all() };
    let of_node = JobQuery { node: Some(node), ..all() };
    save_jobs(&store, [samples::queued_job(1)]);
    assert_eq!(list(&store, &of_provider), []);
    assert_eq!(list(&store, &of_node), []);

    let terms = samples::terms(SUBMITTER, 9);
    let commands = [
        samples::register(node),
        samples::poll(node),
        samples::create(terms),
        samples::opened(terms, 5),
    ];
    save(&store, &samples::decided(commands));
    let had = [samples::job_id(&terms)];
    assert_eq!(list(&store, &of_provider), had);
    assert_eq!(list(&store, &of_node), had);
    assert_eq!(list(&store, &JobQuery { provider, ..of_node.clone() }), had);
    assert_eq!(list(&store, &JobQuery { submitter: Some(SUBMITTER), ..of_node.clone() }), had);
    let queued = [JobState::Queued].into();
    assert_eq!(list(&store, &JobQuery { states: queued, ..of_node.clone() }), []);
    let another = Some(samples::node_id(8));
    assert_eq!(list(&store, &JobQuery { node: another, ..of_provider }), []);
    let stranger = Some(Address::repeat_byte(0xee));
    assert_eq!(list(&store, &JobQuery { provider: stranger, ..of_node }), []);

    let counts = read(&store, |rows| rows.unfinished_jobs());
    let count = |state| counts.iter().find(|(other, _)| *other == state).map(|(_, count)| *count);
    assert_eq!((count(JobState::Queued), count(JobState::Assigned)), (Some(1), Some(1)));
    assert_eq!(count(JobState::Refunded), None, "only what is not at its end is counted");
}

fn jobs_in_any_of_several_states_are_one_list(store: Arc<dyn Store>) {
    let mut jobs = [job(1, 10, "a"), job(2, 20, "a"), job(3, 30, "a"), job(4, 40, "a")];
    jobs[1].state = State::Refunded;
    jobs[2].state = State::Cancelled;
    let ids = jobs.each_ref().map(|job| job.id);
    save_jobs(&store, jobs.clone());
    let of = |states: &[JobState]| JobQuery { states: states.iter().copied().collect(), ..all() };
    assert_eq!(list(&store, &of(&[JobState::Refunded])), [ids[1]]);
    let two = of(&[JobState::Queued, JobState::Refunded]);
    assert_eq!(list(&store, &two), [ids[3], ids[1], ids[0]]);
    let first = page(&store, &JobQuery { limit: 2, ..two.clone() });
    assert_eq!(first.next, Some(place(&jobs[1])));
    assert_eq!(list(&store, &JobQuery { after: first.next, ..two }), [ids[0]]);
    assert_eq!(list(&store, &of(&[JobState::Settled, JobState::Funding])), []);
}

fn jobs_are_found_by_name_and_by_the_beginning_of_their_id(store: Arc<dyn Store>) {
    let mut jobs = vec![job(1, 10, "MNIST digits"), job(2, 20, "Chữ Số"), job(3, 30, "50%_done")];
    jobs.push(Job { demand: None, ..job(4, 40, "") });
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    save_jobs(&store, jobs);
    let find = |text: &str| list(&store, &JobQuery { text: Some(JobText::new(text)), ..all() });
    assert_eq!(find("DIGITS"), [ids[0]]);
    assert_eq!(find("chữ số"), [ids[1]], "capitals beyond ASCII are the same letters too");
    assert_eq!(find("%_"), [ids[2]], "no character stands for others");
    assert_eq!(find("50_"), []);
    assert_eq!(find("nothing of the kind"), []);
    for id in &ids {
        let id_text = id.to_string();
        assert_eq!(find(&id_text), [*id]);
        assert_eq!(find(&id_text.to_uppercase()), [*id]);
        assert_eq!(find(&id_text[..14]), [*id]);
        assert!(find(&id_text[..3]).contains(id));
        assert_eq!(find(&format!("{id_text}0")), [], "that is no beginning of an id");
    }
    let text = Some(JobText::new(&ids[0].to_string()));
    let elsewhere = JobQuery { text, states: [JobState::Settled].into(), ..all() };
    assert_eq!(list(&store, &elsewhere), []);
}

fn a_search_stops_and_says_where(store: Arc<dyn Store>) {
    let names = ["flour", "bran", "bran", "flour", "bran", "flour"];
    let jobs: Vec<Job> =
        (1..).zip(names).map(|(salt, name)| job(salt, 100 - u64::from(salt), name)).collect();
    save_jobs(&store, jobs.clone());
    let text = Some(JobText::new("flour"));
    let mut query = JobQuery { text, limit: 2, searched_max: 3, ..JobQuery::default() };
    let found = page(&store, &query);
    assert_eq!(found, JobPage { jobs: jobs[..1].to_vec(), next: Some(place(&jobs[2])) });
    query.after = found.next;
    let found = page(&store, &query);
    assert_eq!(found.jobs, [jobs[3].clone(), jobs[5].clone()]);
    query.after = found.next;
    assert_eq!(page(&store, &query), JobPage::default(), "that was all");
    // A page that is full before the search has to stop goes on after its last job.
    query = JobQuery { after: None, limit: 1, searched_max: 100, ..query };
    let found = page(&store, &query);
    assert_eq!(found, JobPage { jobs: jobs[..1].to_vec(), next: Some(place(&jobs[0])) });
}
