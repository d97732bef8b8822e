//! What every store must do to tell what has happened over time.

use std::sync::Arc;

use gristmill_market::Changes;
use gristmill_market::attempt::Attempt;
use gristmill_market::job::{Job, State};
use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptState, EventBody, JobEvent};
use gristmill_protocol::ids::{AttemptNumber, JobId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::time::Timestamp;

use super::{MemoryStore, SqliteStore, Store, read, save};
use crate::samples::{self, NOW, PROVIDER};
use crate::store::payments::{Beginning, Payment, Unpaid};

on_every_store! {
    payments_are_told_newest_first_and_by_provider
    refunds_are_told_newest_first
    a_job_begins_once
    only_what_is_accepted_and_not_paid_is_waited_for
    failures_are_those_of_the_provider_that_have_ended
}

const OTHER: Address = Address::repeat_byte(0xb1);
const TOKEN: Address = Address::repeat_byte(0x70);

fn at(ms: u64) -> Timestamp {
    NOW.plus_millis(ms)
}

fn attempt(job: JobId, number: u16, provider: Address, state: AttemptState) -> Attempt {
    Attempt {
        job,
        number: AttemptNumber(number),
        node: samples::node_id(u8::try_from(number).unwrap()),
        provider,
        token: None,
        state,
        assigned_at: NOW,
        started_at: None,
        ended_at: None,
        report: None,
        acceptance: None,
        release: None,
        reason: None,
    }
}

/// A job with attempts, and with events at these times after [`NOW`].
fn put(store: &Arc<dyn Store>, job: Job, attempts: Vec<Attempt>, events: &[(u64, EventBody)]) {
    let event = |(version, (ms, body)): (u64, &(u64, EventBody))| JobEvent {
        job_id: job.id,
        version,
        at_ms: at(*ms),
        body: body.clone(),
    };
    let events = (1..).zip(events).map(event).collect();
    save(store, &Changes { jobs: vec![job], attempts, events, ..Changes::default() });
}

fn settled(provider: Address, amount: u128) -> EventBody {
    EventBody::Settled { provider, amount: Amount(amount), fee: Amount(1) }
}

fn payments_are_told_newest_first_and_by_provider(store: Arc<dyn Store>) {
    let mut jobs: Vec<Job> = (1..=4).map(samples::queued_job).collect();
    jobs[1].terms.token = TOKEN;
    jobs[1].demand.as_mut().unwrap().resources.gpus = 2;
    jobs[2].demand = None;
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let tries = |job: JobId, provider| {
        vec![
            attempt(job, 1, OTHER, AttemptState::Failed),
            attempt(job, 2, provider, AttemptState::Accepted),
        ]
    };
    put(&store, jobs[0].clone(), tries(ids[0], PROVIDER), &[(10, settled(PROVIDER, 7))]);
    let events = [(1, EventBody::Created), (30, settled(OTHER, u128::MAX))];
    put(&store, jobs[1].clone(), tries(ids[1], OTHER), &events);
    put(&store, jobs[2].clone(), Vec::new(), &[(20, settled(PROVIDER, 9))]);
    put(&store, jobs[3].clone(), Vec::new(), &[(40, EventBody::Refunded { amount: Amount(5) })]);
    let payment = |index: usize, ms, provider, amount| Payment {
        job: ids[index],
        at: at(ms),
        provider,
        token: Address::ZERO,
        amount: Amount(amount),
        node: Some(samples::node_id(2)),
        gpus: Some(0),
    };
    let first = payment(0, 10, PROVIDER, 7);
    let second = Payment { token: TOKEN, gpus: Some(2), ..payment(1, 30, OTHER, u128::MAX) };
    let third = Payment { node: None, gpus: None, ..payment(2, 20, PROVIDER, 9) };
    let told =
        |provider, since, limit| read(&store, |rows| rows.payments(provider, at(since), limit));
    assert_eq!(told(None, 0, 10), [second.clone(), third.clone(), first.clone()]);
    assert_eq!(told(None, 20, 10), [second.clone(), third.clone()], "at that time, or later");
    assert_eq!(told(None, 31, 10), []);
    assert_eq!(told(None, 0, 2), [second, third.clone()], "the newest ones");
    assert_eq!(told(Some(PROVIDER), 0, 10), [third.clone(), first]);
    assert_eq!(told(Some(PROVIDER), 11, 10), [third]);
    assert_eq!(told(Some(Address::repeat_byte(1)), 0, 10), []);
}

fn refunds_are_told_newest_first(store: Arc<dyn Store>) {
    let refunded = || EventBody::Refunded { amount: Amount(5) };
    put(&store, samples::queued_job(1), Vec::new(), &[(10, refunded())]);
    put(&store, samples::queued_job(2), Vec::new(), &[(20, refunded())]);
    put(&store, samples::queued_job(3), Vec::new(), &[(30, settled(PROVIDER, 1))]);
    let told = |since, limit| read(&store, |rows| rows.refunds(at(since), limit));
    assert_eq!(told(0, 10), [at(20), at(10)]);
    assert_eq!(told(11, 10), [at(20)]);
    assert_eq!(told(0, 1), [at(20)]);
}

fn a_job_begins_once(store: Arc<dyn Store>) {
    let job = |salt, ms| Job { created_at: at(ms), ..samples::queued_job(salt) };
    let started = |number| EventBody::Started { attempt: AttemptNumber(number) };
    let events = [
        (5, EventBody::Created),
        (7, EventBody::Funded),
        (9, started(1)),
        (11, EventBody::Expired { attempt: AttemptNumber(1) }),
        (13, started(2)),
    ];
    put(&store, job(1, 5), Vec::new(), &events);
    put(&store, job(2, 6), Vec::new(), &[(6, EventBody::Created)]);
    put(&store, job(3, 2), Vec::new(), &[]);
    let told = |since, limit| read(&store, |rows| rows.beginnings(at(since), limit));
    let begun = Beginning { created_at: at(5), funded_at: Some(at(7)), started_at: Some(at(9)) };
    let waits = Beginning { created_at: at(6), funded_at: None, started_at: None };
    let silent = Beginning { created_at: at(2), funded_at: None, started_at: None };
    assert_eq!(told(0, 10), [waits, begun, silent], "newest first, with the first start");
    assert_eq!(told(5, 10), [waits, begun]);
    assert_eq!(told(0, 1), [waits]);
}

fn only_what_is_accepted_and_not_paid_is_waited_for(store: Arc<dyn Store>) {
    let number = AttemptNumber(1);
    let settling = State::Settling { attempt: number };
    let job = |salt, state: &State| Job { state: state.clone(), ..samples::queued_job(salt) };
    let mut other_token = job(2, &settling);
    other_token.terms.token = TOKEN;
    other_token.terms.bounty = Amount(60_000);
    for (job, provider, state) in [
        (job(1, &settling), PROVIDER, AttemptState::Accepted),
        (other_token, PROVIDER, AttemptState::Accepted),
        (job(3, &settling), OTHER, AttemptState::Accepted),
        (job(4, &settling), PROVIDER, AttemptState::Abandoned),
        (job(5, &State::Settled { attempt: number }), PROVIDER, AttemptState::Accepted),
        (job(6, &State::Verifying { attempt: number }), PROVIDER, AttemptState::Reported),
    ] {
        let attempts = vec![attempt(job.id, 1, provider, state)];
        put(&store, job, attempts, &[]);
    }
    let mut told = read(&store, |rows| rows.unpaid(PROVIDER, 10));
    told.sort_by_key(|unpaid| unpaid.token);
    let coin = Unpaid { token: Address::ZERO, amount: Amount(950_000) };
    assert_eq!(told, [coin, Unpaid { token: TOKEN, amount: Amount(10_000) }]);
    assert_eq!(read(&store, |rows| rows.unpaid(OTHER, 10)), [coin]);
    let newest = Job { created_at: at(1), ..job(7, &settling) };
    put(&store, newest, Vec::new(), &[]);
    assert_eq!(read(&store, |rows| rows.unpaid(PROVIDER, 1)), [], "only the newest is looked at");
}

fn failures_are_those_of_the_provider_that_have_ended(store: Arc<dyn Store>) {
    let job = samples::queued_job(1);
    let ended = |number, provider, state, ms: Option<u64>| Attempt {
        ended_at: ms.map(at),
        ..attempt(job.id, number, provider, state)
    };
    let attempts = vec![
        ended(1, PROVIDER, AttemptState::Failed, Some(10)),
        ended(2, PROVIDER, AttemptState::Rejected, Some(20)),
        ended(3, PROVIDER, AttemptState::Expired, Some(30)),
        ended(4, PROVIDER, AttemptState::Released, Some(40)),
        ended(5, PROVIDER, AttemptState::Abandoned, Some(40)),
        ended(6, PROVIDER, AttemptState::Accepted, Some(40)),
        ended(7, PROVIDER, AttemptState::Failed, None),
        ended(8, OTHER, AttemptState::Failed, Some(40)),
    ];
    put(&store, job.clone(), attempts, &[]);
    let told = |since, limit| read(&store, |rows| rows.count_failures(PROVIDER, at(since), limit));
    assert_eq!(told(0, 10), 3);
    assert_eq!(told(20, 10), 2);
    assert_eq!(told(0, 2), 2, "it counts no further than it must");
}
