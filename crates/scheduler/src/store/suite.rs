//! What every store must do. Each test runs on each store; the turn and everything above rely on nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use gristmill_market::effect::Verification;
use gristmill_market::job::{Job, State};
use gristmill_market::node::{Mode, Node, Standing};
use gristmill_market::reputation::Deed;
use gristmill_market::world::WINDOW_MAX;
use gristmill_market::{Changes, Needs, Reply, Window, World};
use gristmill_protocol::Address;
use gristmill_protocol::api::{EventBody, JobEvent};
use gristmill_protocol::ids::{AttemptNumber, JobId, ReceiptHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::{RuntimeKind, Strategy};
use gristmill_protocol::time::Timestamp;

use super::chain::ReplicaId;
use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use super::{
    Due, IdempotencyKey, Reads, Session, Store, StoreError, StoredReply, TokenHash, Writes,
};
use crate::samples::{self, NOW, SUBMITTER};

/// Runs each of these functions on each store, as a test of its own.
macro_rules! on_every_store {
    ($($test:ident)*) => {
        mod memory_store {
            $(#[test] fn $test() { super::$test(std::sync::Arc::new(super::MemoryStore::default())); })*
        }
        mod sqlite_store {
            $(#[test] fn $test() {
                let folder = tempfile::tempdir().unwrap();
                let store = super::SqliteStore::open(&folder.path().join("test.sqlite3")).unwrap();
                super::$test(std::sync::Arc::new(store));
            })*
        }
    };
}

mod chain;
mod consents;
mod jobs;
mod payments;
mod reconcile;

on_every_store! {
    what_was_saved_is_loaded
    a_transaction_that_fails_leaves_no_trace
    events_have_no_doubles
    nodes_for_a_job_are_those_that_fit
    jobs_for_a_node_are_those_that_fit
    windows_are_bounded_and_in_order
    a_job_brings_its_attempts_and_their_nodes
    heartbeats_only_move_forward
    what_is_due_comes_in_order
    events_are_read_from_any_version
    specs_stay_as_they_were_stored
    sessions_end
    nonces_are_used_once
    replies_are_remembered_until_they_expire
    settings_are_drawn_once
    verifications_are_leased_until_their_verdict
    readers_see_only_what_is_committed
}

type Shared = Arc<dyn Store>;

fn write<T>(store: &Shared, mut work: impl FnMut(&mut dyn Writes) -> Result<T, StoreError>) -> T {
    let mut result = None;
    let mut writer = store.writer().unwrap();
    writer
        .transact(&Needs::default(), &mut |rows| {
            result = Some(work(rows)?);
            Ok(())
        })
        .unwrap();
    result.unwrap()
}

fn read<T>(store: &Shared, mut work: impl FnMut(&dyn Reads) -> Result<T, StoreError>) -> T {
    let mut result = None;
    let reading = store.read_with(&mut |rows| {
        result = Some(work(rows)?);
        Ok(())
    });
    reading.unwrap();
    result.unwrap()
}

fn save(store: &Shared, changes: &Changes) {
    write(store, |rows| rows.save(changes));
}

fn save_jobs(store: &Shared, jobs: impl IntoIterator<Item = Job>) {
    save(store, &Changes { jobs: jobs.into_iter().collect(), ..Changes::default() });
}

fn save_nodes(store: &Shared, nodes: impl IntoIterator<Item = Node>) {
    save(store, &Changes { nodes: nodes.into_iter().collect(), ..Changes::default() });
}

fn load(store: &Shared, needs: &Needs) -> World {
    write(store, |rows| rows.load(needs, &samples::policy()))
}

fn nodes_for(store: &Shared, job: JobId) -> BTreeSet<u8> {
    let needs =
        Needs { jobs: [job].into(), windows: [Window::NodesFor(job)].into(), ..Needs::default() };
    load(store, &needs).nodes.keys().map(|node| node.0[0]).collect()
}

fn jobs_for(store: &Shared, node: u8) -> BTreeSet<JobId> {
    let node = samples::node_id(node);
    let needs =
        Needs { nodes: [node].into(), windows: [Window::JobsFor(node)].into(), ..Needs::default() };
    load(store, &needs).jobs.into_keys().collect()
}

fn what_was_saved_is_loaded(store: Shared) {
    let terms = samples::terms(SUBMITTER, 1);
    let node = samples::node_id(7);
    let commands = [
        samples::register(node),
        samples::poll(node),
        samples::create(terms),
        samples::opened(terms, 5),
    ];
    let changes = samples::decided(commands);
    assert!(
        !changes.attempts.is_empty() && !changes.intents.is_empty(),
        "the node gets the job at once"
    );
    save(&store, &changes);
    let job = samples::job_id(&terms);
    let world =
        load(&store, &Needs { jobs: [job].into(), nodes: [node].into(), ..Needs::default() });
    assert_eq!(world.jobs.into_values().collect::<Vec<_>>(), changes.jobs);
    assert_eq!(world.attempts.into_values().collect::<Vec<_>>(), changes.attempts);
    assert_eq!(world.nodes.into_values().collect::<Vec<_>>(), changes.nodes);
    assert_eq!(read(&store, |rows| rows.events(job, 0, 100)), changes.events);
    let planned = read(&store, |rows| rows.planned_intents(NOW, 10));
    assert_eq!(planned.into_iter().map(|row| row.intent).collect::<Vec<_>>(), changes.intents);

    // Saved again, everything but the events is the same.
    save(&store, &Changes { events: Vec::new(), ..changes.clone() });
    assert_eq!(read(&store, |rows| rows.job(job)), Some(changes.jobs[0].clone()));
    assert_eq!(read(&store, |rows| rows.planned_intents(NOW, 10)).len(), changes.intents.len());
    assert_eq!(read(&store, |rows| rows.job(JobId::default())), None);
}

fn a_transaction_that_fails_leaves_no_trace(store: Shared) {
    let job = samples::queued_job(1);
    let id = job.id;
    let changes = Changes { jobs: vec![job], ..Changes::default() };
    let mut writer = store.writer().unwrap();
    let failed = writer.transact(&Needs::default(), &mut |rows| {
        rows.save(&changes)?;
        assert!(rows.job(id)?.is_some(), "a transaction sees what it wrote");
        Err(StoreError::Duplicate { table: "test" })
    });
    assert!(failed.is_err());
    assert_eq!(read(&store, |rows| rows.job(id)), None);

    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = writer.transact(&Needs::default(), &mut |rows| {
            rows.save(&changes)?;
            panic!("planned");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(read(&store, |rows| rows.job(id)), None);
    writer.transact(&Needs::default(), &mut |rows| rows.save(&changes)).unwrap();
    assert!(read(&store, |rows| rows.job(id)).is_some(), "the writer goes on after a panic");
}

fn event(job: JobId, version: u64) -> JobEvent {
    JobEvent { job_id: job, version, at_ms: NOW, body: EventBody::Created }
}

fn events_have_no_doubles(store: Shared) {
    let job = samples::queued_job(1);
    let id = job.id;
    save_jobs(&store, [job]);
    save(&store, &Changes { events: vec![event(id, 1)], ..Changes::default() });
    let mut writer = store.writer().unwrap();
    let twice = Changes { events: vec![event(id, 2), event(id, 1)], ..Changes::default() };
    assert!(writer.transact(&Needs::default(), &mut |rows| rows.save(&twice)).is_err());
    assert_eq!(
        read(&store, |rows| rows.events(id, 0, 10)).len(),
        1,
        "nothing of the second save is kept"
    );
}

fn nodes_for_a_job_are_those_that_fit(store: Shared) {
    let job = samples::queued_job(1);
    let id = job.id;
    let with = |byte: u8, change: fn(&mut Node)| {
        let mut node = samples::idle_node(byte);
        change(&mut node);
        node
    };
    save_jobs(&store, [job.clone()]);
    save_nodes(
        &store,
        [
            with(1, |_| {}),
            with(2, |node| node.mode = Mode::Offline),
            with(3, |node| node.mode = Mode::Draining),
            with(4, |node| node.standing = Standing::Revoked),
            with(5, |node| node.offer.token = Address::repeat_byte(9)),
            with(6, |node| node.offer.price_floor = Amount(950_001)),
            with(7, |node| node.offer.price_floor = Amount(950_000)),
            with(8, |node| node.offer.runtimes = vec![RuntimeKind::Docker]),
            with(9, |node| node.offer.cpu_millis = 999),
            with(10, |node| node.offer.memory_bytes = (512 << 20) - 1),
            with(11, |node| node.offer.disk_bytes = 1),
        ],
    );
    assert_eq!(
        nodes_for(&store, id),
        [1, 7].into(),
        "only what fits; a floor that is just met does"
    );
    let refunded = Job { state: State::Refunded, ..job.clone() };
    save_jobs(&store, [refunded]);
    assert_eq!(nodes_for(&store, id), [].into(), "an ended job wants no nodes");
    let all_online = [1, 5, 6, 7, 8, 9, 10, 11].into();
    assert_eq!(
        nodes_for(&store, JobId([9; 32].into())),
        all_online,
        "nothing is known yet of a new job"
    );
    let without_spec = Job { demand: None, ..job };
    save_jobs(&store, [without_spec]);
    assert_eq!(
        nodes_for(&store, id),
        [1, 7, 8, 9, 10, 11].into(),
        "without a spec, token and price still count"
    );
}

fn jobs_for_a_node_are_those_that_fit(store: Shared) {
    let with = |salt: u8, change: fn(&mut Job)| {
        let mut job = samples::queued_job(salt);
        change(&mut job);
        job
    };
    let jobs = [
        with(1, |_| {}),
        with(2, |job| job.state = State::Funding),
        with(3, |job| job.terms.token = Address::repeat_byte(9)),
        with(4, |job| job.terms.bounty = Amount(50_999)),
        with(5, |job| job.terms.bounty = Amount(51_000)),
        with(6, |job| job.demand.as_mut().unwrap().runtime = RuntimeKind::Docker),
        with(7, |job| job.demand.as_mut().unwrap().resources.cpu_millis = 4001),
        with(8, |job| job.demand.as_mut().unwrap().resources.gpus = 1),
        with(9, |job| job.demand = None),
    ];
    save_jobs(&store, jobs.clone());
    save_nodes(&store, [samples::idle_node(1)]);
    assert_eq!(jobs_for(&store, 1), [jobs[0].id, jobs[4].id].into());
    assert_eq!(jobs_for(&store, 2), [].into(), "an unknown node has no window");
}

fn windows_are_bounded_and_in_order(store: Shared) {
    let job = |salt: u8| {
        let mut job = samples::queued_job(salt);
        job.queued_at = NOW.plus_millis(1000 - u64::from(salt));
        job
    };
    let count = u8::try_from(WINDOW_MAX).unwrap() + 6;
    let jobs: Vec<Job> = (0..count).map(job).collect();
    let oldest: BTreeSet<JobId> = jobs.iter().rev().take(WINDOW_MAX).map(|job| job.id).collect();
    save_jobs(&store, jobs.clone());
    let nodes = (0..count).map(|byte| {
        let mut node = samples::idle_node(byte);
        node.offer.price_floor = Amount(1000 - u128::from(byte));
        node.last_assigned_at = NOW.plus_millis(u64::from(byte));
        node
    });
    save_nodes(&store, nodes);
    assert_eq!(jobs_for(&store, 0), oldest, "the oldest ones, although they came in last");
    assert_eq!(nodes_for(&store, jobs[0].id), (6..count).collect(), "the cheapest ones");
    let mut round_robin = jobs[0].clone();
    round_robin.demand.as_mut().unwrap().strategy = Some(Strategy::RoundRobin);
    save_jobs(&store, [round_robin]);
    assert_eq!(nodes_for(&store, jobs[0].id), (0..count - 6).collect(), "the longest idle ones");
    let mut reputable = jobs[0].clone();
    reputable.demand.as_mut().unwrap().strategy = Some(Strategy::Reputation);
    save_jobs(&store, [reputable]);
    save_nodes(
        &store,
        (0..count).map(|byte| {
            let mut node = samples::idle_node(byte);
            (0..byte).for_each(|_| node.reputation.note(Deed::Accepted, NOW));
            node
        }),
    );
    assert_eq!(nodes_for(&store, jobs[0].id), (6..count).collect(), "the best known ones");
}

fn a_job_brings_its_attempts_and_their_nodes(store: Shared) {
    let terms = samples::terms(SUBMITTER, 1);
    let node = samples::node_id(7);
    let commands = [
        samples::register(node),
        samples::poll(node),
        samples::create(terms),
        samples::opened(terms, 5),
    ];
    save(&store, &samples::decided(commands));
    save_nodes(&store, [samples::idle_node(8)]);
    let world = load(&store, &Needs { jobs: [samples::job_id(&terms)].into(), ..Needs::default() });
    assert_eq!(
        world.nodes.keys().copied().collect::<Vec<_>>(),
        [node],
        "the attempt's node and no other"
    );
    assert_eq!(world.attempts.len(), 1);
}

fn heartbeats_only_move_forward(store: Shared) {
    let node = samples::idle_node(1);
    let id = node.id;
    save_nodes(&store, [node]);
    let heard_at = |at: u64, expected: u64| {
        write(&store, |rows| rows.hear(&[(id, NOW.plus_millis(at)), (samples::node_id(2), NOW)]));
        let node = read(&store, |rows| rows.node(id)).unwrap();
        assert_eq!(node.heard_at, NOW.plus_millis(expected), "after hearing it at {at}");
        let world = load(&store, &Needs { nodes: [id].into(), ..Needs::default() });
        assert_eq!(world.nodes[&id], node, "turns see the same");
    };
    heard_at(500, 500);
    heard_at(100, 500);
    heard_at(600, 600);
    assert_eq!(
        read(&store, |rows| rows.node(samples::node_id(2))),
        None,
        "hearing it makes no node"
    );
    save_nodes(&store, [samples::idle_node(1)]);
    let node = read(&store, |rows| rows.node(id)).unwrap();
    assert_eq!(node.heard_at, NOW.plus_millis(600), "an older row does not forget it");
}

fn what_is_due_comes_in_order(store: Shared) {
    let job = |salt: u8, due: Option<u64>| Job {
        due_at: due.map(Timestamp),
        ..samples::queued_job(salt)
    };
    let jobs = [job(1, Some(300)), job(2, Some(100)), job(3, None)];
    assert_eq!(read(&store, |rows| rows.next_due_at()), None);
    save_jobs(&store, jobs.clone());
    save_nodes(&store, [Node { due_at: Some(Timestamp(200)), ..samples::idle_node(1) }]);
    let due = |now, limit| read(&store, |rows| rows.due(Timestamp(now), limit));
    let (first, node, last) =
        (Due::Job(jobs[1].id), Due::Node(samples::node_id(1)), Due::Job(jobs[0].id));
    assert_eq!(due(99, 10), []);
    assert_eq!(due(100, 10), [first]);
    assert_eq!(due(1000, 10), [first, node, last]);
    assert_eq!(due(1000, 2), [first, node]);
    assert_eq!(read(&store, |rows| rows.next_due_at()), Some(Timestamp(100)));
    save_jobs(&store, [Job { due_at: None, ..jobs[1].clone() }]);
    assert_eq!(read(&store, |rows| rows.next_due_at()), Some(Timestamp(200)));
}

fn events_are_read_from_any_version(store: Shared) {
    let (one, two) = (samples::queued_job(1), samples::queued_job(2));
    let ids = [one.id, two.id];
    save_jobs(&store, [one, two]);
    let events = (1..=5).map(|version| event(ids[0], version)).chain([event(ids[1], 1)]).collect();
    save(&store, &Changes { events, ..Changes::default() });
    let versions = |job, after, limit| -> Vec<u64> {
        read(&store, |rows| rows.events(job, after, limit))
            .iter()
            .map(|event| event.version)
            .collect()
    };
    assert_eq!(versions(ids[0], 0, 10), [1, 2, 3, 4, 5]);
    assert_eq!(versions(ids[0], 2, 2), [3, 4]);
    assert_eq!(versions(ids[0], 5, 10), [0; 0]);
    assert_eq!(versions(ids[0], u64::MAX, 10), [0; 0]);
    assert_eq!(versions(ids[1], 0, 10), [1]);
}

fn specs_stay_as_they_were_stored(store: Shared) {
    let known = samples::spec();
    assert_eq!(read(&store, |rows| rows.spec(known.hash)), None);
    for _ in 0..2 {
        write(&store, |rows| rows.put_spec(&known, SUBMITTER, NOW));
        assert_eq!(read(&store, |rows| rows.spec(known.hash)), Some(known.spec.clone()));
    }
}

fn sessions_end(store: Shared) {
    let session = Session { address: SUBMITTER, expires_at: NOW.plus_millis(10) };
    let (one, two) = (TokenHash([1; 32]), TokenHash([2; 32]));
    for token in [one, two] {
        write(&store, |rows| rows.put_session(&token, &session));
    }
    let whose = |token, at| read(&store, |rows| rows.session(&token, NOW.plus_millis(at)));
    assert_eq!(whose(one, 9), Some(SUBMITTER));
    assert_eq!(whose(one, 10), None, "expired");
    assert_eq!(whose(TokenHash([3; 32]), 0), None);
    write(&store, |rows| rows.revoke_session(&one));
    assert_eq!(
        (whose(one, 0), whose(two, 0)),
        (None, Some(SUBMITTER)),
        "only the one that was revoked"
    );
    write(&store, |rows| rows.purge(NOW.plus_millis(9), 10));
    assert_eq!(whose(two, 0), Some(SUBMITTER));
    write(&store, |rows| rows.purge(NOW.plus_millis(10), 10));
    assert_eq!(whose(two, 0), None, "expired rows are deleted");
}

fn nonces_are_used_once(store: Shared) {
    let use_nonce = |nonce: &str| write(&store, |rows| rows.use_nonce(nonce, NOW));
    assert!(use_nonce("one"));
    assert!(!use_nonce("one"));
    assert!(use_nonce("two"));
    write(&store, |rows| rows.purge(NOW, 1));
    let left = ["one", "two"].map(|nonce| write(&store, |rows| rows.use_nonce(nonce, NOW)));
    assert_eq!(
        left.iter().filter(|fresh| **fresh).count(),
        1,
        "no more are deleted at once than was asked for"
    );
}

fn replies_are_remembered_until_they_expire(store: Shared) {
    let key = |account, key: &str| IdempotencyKey { account, key: key.to_owned() };
    let mine = key(SUBMITTER, "k");
    let stored = StoredReply { fingerprint: [1; 32], reply: Reply::Unchanged, expires_at: NOW };
    write(&store, |rows| rows.store_reply(&mine, &stored));
    assert_eq!(read(&store, |rows| rows.stored_reply(&mine)), Some(stored.clone()));
    for other in [key(samples::PROVIDER, "k"), key(SUBMITTER, "l")] {
        assert_eq!(read(&store, |rows| rows.stored_reply(&other)), None);
    }
    let newer = StoredReply { fingerprint: [2; 32], ..stored };
    write(&store, |rows| rows.store_reply(&mine, &newer));
    assert_eq!(read(&store, |rows| rows.stored_reply(&mine)), Some(newer), "the newest counts");
    write(&store, |rows| rows.purge(NOW, 10));
    assert_eq!(read(&store, |rows| rows.stored_reply(&mine)), None);
}

fn settings_are_drawn_once(store: Shared) {
    let setting = |name: &str, fresh: &[u8]| write(&store, |rows| rows.setting(name, fresh));
    assert_eq!(setting("a", b"1"), b"1");
    assert_eq!(setting("a", b"2"), b"1");
    assert_eq!(setting("b", b"3"), b"3");
    write(&store, |rows| rows.mark_ready(NOW));
}

fn verifications_are_leased_until_their_verdict(store: Shared) {
    let (one, two) = (samples::queued_job(1), samples::queued_job(2));
    let verification = |job: &Job| Verification {
        job: job.id,
        attempt: AttemptNumber(1),
        receipt_hash: ReceiptHash([1; 32].into()),
    };
    let (first, second) = (verification(&one), verification(&two));
    save_jobs(&store, [one, two]);
    let plan = |verifications: &[Verification]| {
        save(&store, &Changes { verifications: verifications.to_vec(), ..Changes::default() });
    };
    let holder = ReplicaId([1; 16]);
    let lease = |at: u64, limit| {
        let leased =
            write(&store, |rows| rows.lease_verifications(holder, NOW.plus_millis(at), 100, limit));
        leased.into_iter().collect::<BTreeSet<_>>()
    };
    plan(&[first, second]);
    let taken = lease(0, 1);
    assert_eq!(taken.len(), 1);
    let rest = lease(0, 10);
    assert_eq!(taken.union(&rest).copied().collect::<BTreeSet<_>>(), [first, second].into());
    assert_eq!(rest.len(), 1, "each is given to one at a time");
    assert_eq!(lease(99, 10), [].into());
    plan(&[first]);
    assert_eq!(lease(99, 10), [].into(), "asked for again, it is still being worked on");
    assert_eq!(lease(100, 10), [first, second].into(), "whoever had them is gone");
    write(&store, |rows| rows.close_verification(&first));
    assert_eq!(lease(500, 10), [second].into());
    plan(&[first]);
    assert_eq!(lease(500, 10), [first].into(), "a new one may follow");
    write(&store, |rows| rows.free_verifications(ReplicaId([2; 16])));
    assert_eq!(lease(599, 10), [].into(), "another replica started, which holds nothing");
    write(&store, |rows| rows.free_verifications(holder));
    assert_eq!(lease(599, 10), [first, second].into(), "the replica that held them started again");
}

fn readers_see_only_what_is_committed(store: Shared) {
    let job = samples::queued_job(1);
    let id = job.id;
    save_jobs(&store, [job.clone()]);
    if let Some(seen) = seen_during_a_write(&store, id) {
        assert_eq!(seen.state, job.state);
    }
    assert_eq!(read(&store, |rows| rows.job(id)).unwrap().state, State::Refunded);
}

/// What a reader sees of a job while a transaction that has changed it is open. The memory store makes readers wait.
fn seen_during_a_write(store: &Shared, id: JobId) -> Option<Job> {
    let (changed, wait_for_change) = std::sync::mpsc::channel();
    let (seen, wait_for_reader) = std::sync::mpsc::channel();
    let reader = Arc::clone(store);
    let reading = std::thread::spawn(move || {
        wait_for_change.recv().unwrap();
        let job = read(&reader, |rows| rows.job(id));
        let _ = seen.send(());
        job
    });
    let blocked = std::cell::Cell::new(false);
    write(store, |rows| {
        let job = Job { state: State::Refunded, ..rows.job(id)?.unwrap() };
        rows.save(&Changes { jobs: vec![job], ..Changes::default() })?;
        changed.send(()).unwrap();
        blocked.set(wait_for_reader.recv_timeout(std::time::Duration::from_millis(300)).is_err());
        Ok(())
    });
    let job = reading.join().unwrap();
    if blocked.get() { None } else { job }
}
