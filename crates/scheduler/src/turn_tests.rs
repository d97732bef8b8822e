//! Tests of the turn: batches, rejections, panics, crashes.

use gristmill_market::job::State;
use gristmill_protocol::api::JobState;

use super::*;
use crate::samples::{self, NOW, SUBMITTER};
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{Reads, Session, Store, TokenHash};

/// A turn over a store, with a clock that stands still.
struct Bench {
    store: Arc<dyn Store>,
    turns: Turns,
    thread: TurnThread,
    wake: Arc<Wake>,
    clock: Clock,
}

impl Bench {
    fn new(store: Arc<dyn Store>) -> Self {
        let (wake, clock) = (Arc::new(Wake::default()), Clock::manual(NOW));
        let writer = store.writer().unwrap();
        let (turns, thread) =
            Turns::start(writer, samples::policy(), clock.clone(), Arc::clone(&wake)).unwrap();
        Self { store, turns, thread, wake, clock }
    }

    fn in_memory() -> Self {
        Self::new(Arc::new(MemoryStore::default()))
    }

    fn read<T>(&self, work: impl Fn(&dyn Reads) -> Result<T, StoreError>) -> T {
        let mut found = None;
        self.store
            .read_with(&mut |rows| {
                found = Some(work(rows)?);
                Ok(())
            })
            .unwrap();
        found.unwrap()
    }
}

fn key(name: &str, fingerprint: u8) -> Option<Idempotency> {
    let key = IdempotencyKey { account: SUBMITTER, key: name.to_owned() };
    Some(Idempotency { key, fingerprint: [fingerprint; 32] })
}

#[tokio::test]
async fn an_answer_comes_after_the_commit_and_a_rejection_changes_nothing() {
    let bench = Bench::in_memory();
    let terms = samples::terms(SUBMITTER, 1);
    let job = samples::job_id(&terms);
    let reply = bench.turns.submit(samples::create(terms)).await.unwrap();
    assert_eq!(reply, Reply::Created { state: JobState::Funding });
    let saved = bench.read(|rows| rows.job(job)).unwrap();

    let cancel = Command::CancelJob { job, by: samples::PROVIDER };
    let refused = bench.turns.submit(cancel).await.unwrap_err();
    assert!(matches!(refused, Refused::Rejected(Rejection::NotTheSubmitter { .. })), "{refused}");
    assert_eq!(bench.read(|rows| rows.job(job)), Some(saved));
    assert_eq!(bench.read(|rows| rows.events(job, 0, 10)).len(), 1);
}

#[tokio::test]
async fn commands_of_one_turn_see_each_other_and_are_answered_one_by_one() {
    let bench = Bench::in_memory();
    let jobs: Vec<_> = (1..=3).map(|salt| samples::terms(SUBMITTER, salt)).collect();
    let nodes = [samples::node_id(1), samples::node_id(2)];
    let mut commands = vec![];
    for terms in &jobs {
        commands.extend([samples::create(*terms), samples::opened(*terms, 5)]);
    }
    commands.extend(nodes.map(samples::register));
    commands.push(samples::poll(samples::node_id(9)));
    commands.extend(nodes.map(samples::poll));
    let replies = bench.turns.submit_all(commands).await;
    assert!(
        matches!(replies[8], Err(Refused::Rejected(Rejection::UnknownNode(_)))),
        "{:?}",
        replies[8]
    );
    let mut assigned = BTreeSet::new();
    for reply in &replies[9..] {
        let Ok(Reply::Polled { assignments, .. }) = reply else { panic!("{reply:?}") };
        assigned.extend(assignments.iter().map(|lease| lease.job));
        assert_eq!(assignments.len(), 1);
    }
    assert_eq!(assigned.len(), 2, "two nodes that poll in one turn never get the same job");
}

#[tokio::test]
async fn a_request_under_one_key_takes_effect_once() {
    let bench = Bench::in_memory();
    let create = |salt| samples::create(samples::terms(SUBMITTER, salt));
    let first = bench.turns.submit_once(create(1), key("k", 1)).await.unwrap();
    assert!(matches!(first, Reply::Created { .. }));
    let again = bench.turns.submit_once(create(1), key("k", 1)).await.unwrap();
    assert_eq!(again, first, "answered as the first time, not as one that was known");
    let other = bench.turns.submit_once(create(2), key("k", 2)).await;
    assert_eq!(other, Err(Refused::KeyReused));
    let job = samples::job_id(&samples::terms(SUBMITTER, 2));
    assert_eq!(bench.read(|rows| rows.job(job)), None);

    let cancel =
        |by| Command::CancelJob { job: samples::job_id(&samples::terms(SUBMITTER, 1)), by };
    assert!(bench.turns.submit_once(cancel(samples::PROVIDER), key("c", 3)).await.is_err());
    let after_refusal = bench.turns.submit_once(cancel(SUBMITTER), key("c", 3)).await;
    assert!(after_refusal.is_ok(), "a refusal is not remembered: {after_refusal:?}");

    bench.clock.advance_ms(REPLY_KEPT_SECONDS * 1000);
    let late = bench.turns.submit_once(create(2), key("k", 2)).await;
    assert!(matches!(late, Ok(Reply::Created { .. })), "an old key is forgotten: {late:?}");
}

#[tokio::test]
async fn a_panic_hurts_only_the_one_that_panicked() {
    let bench = Bench::in_memory();
    let session = Session { address: SUBMITTER, expires_at: NOW.plus_millis(1) };
    let write = |byte: u8| {
        bench.turns.write("session", move |rows| {
            rows.put_session(&TokenHash([byte; 32]), &session)?;
            assert_ne!(byte, 2, "planned");
            Ok(byte)
        })
    };
    // All three are in the queue before the thread can have looked: the first is held up by a write that waits.
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let held_up = bench.turns.write("held up", move |_| {
        let _ = wait.lock().unwrap().recv();
        Ok(())
    });
    let release = async {
        release.send(()).unwrap();
        drop(release);
    };
    let (held_up, one, two, three, ()) =
        tokio::join!(held_up, write(1), write(2), write(3), release);
    assert_eq!((held_up, one, two, three), (Ok(()), Ok(1), Err(Refused::Failed), Ok(3)));
    let whose = |byte: u8| bench.read(|rows| rows.session(&TokenHash([byte; 32]), NOW));
    assert_eq!([whose(1), whose(2), whose(3)], [Some(SUBMITTER), None, Some(SUBMITTER)]);
    assert!(
        bench.turns.submit(samples::create(samples::terms(SUBMITTER, 1))).await.is_ok(),
        "the thread goes on"
    );
}

#[tokio::test]
async fn publishing_wakes_who_waits_and_nobody_else() {
    let bench = Bench::in_memory();
    let (node, other) = (samples::node_id(1), samples::node_id(2));
    for node in [node, other] {
        bench.turns.submit(samples::register(node)).await.unwrap();
        bench.turns.submit(samples::poll(node)).await.unwrap();
    }
    let terms = samples::terms(SUBMITTER, 1);
    let job = samples::job_id(&terms);
    bench.turns.submit(samples::create(terms)).await.unwrap();
    let (waiting, idle) = (bench.wake.wait_for_node(node), bench.wake.wait_for_node(other));
    let follower = bench.wake.wait_for_job(job);
    let mut woken = [Box::pin(waiting.woken()), Box::pin(idle.woken()), Box::pin(follower.woken())];
    bench.turns.submit(samples::opened(terms, 5)).await.unwrap();
    let assigned = bench.read(|rows| rows.attempts(job))[0].node;
    bench.turns.write("after", |_| Ok(())).await.unwrap();
    let [first, second, followed] = &mut woken;
    let ready = [futures_util::poll!(first).is_ready(), futures_util::poll!(second).is_ready()];
    assert_eq!(ready, [assigned == node, assigned == other], "the node that got the job");
    assert!(futures_util::poll!(followed).is_ready());
    let intents = std::pin::pin!(bench.wake.chain_sender.notified());
    assert!(futures_util::poll!(intents).is_ready(), "there is something to send");
    let verifier = std::pin::pin!(bench.wake.verifier.notified());
    assert!(futures_util::poll!(verifier).is_pending(), "there is nothing to verify");
}

#[tokio::test]
async fn heartbeats_are_written_before_a_turn_that_judges_by_them_and_seldom_otherwise() {
    let bench = Bench::in_memory();
    let node = samples::node_id(1);
    bench.turns.submit(samples::register(node)).await.unwrap();
    let heard_at = || bench.read(|rows| rows.node(node)).unwrap().heard_at;
    bench.turns.hear(node, NOW.plus_millis(700));
    bench.turns.write("other", |_| Ok(())).await.unwrap();
    assert_eq!(heard_at(), NOW, "the last heartbeats were written a moment ago");
    let _ = bench.turns.submit(Command::NodeDue { node }).await;
    assert_eq!(heard_at(), NOW.plus_millis(700));
    bench.turns.hear(node, NOW.plus_millis(900));
    bench.clock.advance_ms(HEARTBEAT_FLUSH_MS);
    bench.turns.write("other", |_| Ok(())).await.unwrap();
    assert_eq!(heard_at(), NOW.plus_millis(900));
    bench.turns.hear(node, NOW.plus_millis(950));
    bench.thread.stop().await;
    let node = bench.store.read_with(&mut |rows| {
        assert_eq!(
            rows.node(node)?.unwrap().heard_at,
            NOW.plus_millis(950),
            "the last ones when it stops"
        );
        Ok(())
    });
    node.unwrap();
}

#[tokio::test]
async fn stopping_serves_who_was_let_in_and_refuses_who_comes_later() {
    let bench = Bench::in_memory();
    let terms = samples::terms(SUBMITTER, 1);
    let (turns, job) = (bench.turns.clone(), samples::job_id(&terms));
    let (let_in, ()) = tokio::join!(turns.submit(samples::create(terms)), bench.thread.stop());
    assert!(let_in.is_ok());
    let late = turns.submit(Command::CancelJob { job, by: SUBMITTER }).await;
    assert_eq!(late, Err(Refused::Unavailable));
    assert_eq!(turns.write("late", |_| Ok(())).await, Err(Refused::Unavailable));
}

#[tokio::test]
async fn a_scheduler_that_died_before_it_could_publish_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite3");
    let open = || -> Arc<dyn Store> { Arc::new(SqliteStore::open(&path).unwrap()) };
    let bench = Bench::new(open());
    let (terms, node) = (samples::terms(SUBMITTER, 1), samples::node_id(1));
    let job = samples::job_id(&terms);
    bench.turns.submit(samples::register(node)).await.unwrap();
    bench.turns.submit(samples::poll(node)).await.unwrap();
    // Nobody waits for these answers, and nobody is woken: as if the process had died right after the commit.
    drop(bench.turns.submit_once(samples::create(terms), key("k", 1)).await);
    drop(bench.turns.submit(samples::opened(terms, 5)).await);
    std::mem::forget(bench);

    let bench = Bench::new(open());
    let retried = bench.turns.submit_once(samples::create(terms), key("k", 1)).await.unwrap();
    assert!(
        matches!(retried, Reply::Created { .. }),
        "the same answer as before the crash: {retried:?}"
    );
    let repeated = bench.turns.submit(samples::opened(terms, 5)).await;
    assert!(repeated.is_ok(), "the chain's event comes again, and does nothing: {repeated:?}");
    let state = bench.read(|rows| rows.job(job)).unwrap().state;
    assert!(matches!(state, State::Assigned { .. }), "{state:?}");
    assert_eq!(bench.read(|rows| rows.attempts(job)).len(), 1);
    assert_eq!(
        bench.read(|rows| rows.planned_intents(NOW, 10)).len(),
        1,
        "the assignment is still to be sent, once"
    );
    let Reply::Polled { assignments, .. } = bench.turns.submit(samples::poll(node)).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(assignments.len(), 1, "the node is told, although its poll was never woken");
}
