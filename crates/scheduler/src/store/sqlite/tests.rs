//! Tests of the SQLite store beyond the suite: files as a crash leaves them.

use super::*;
use crate::samples;
use gristmill_market::Changes;

#[test]
fn what_was_committed_is_there_after_the_process_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite3");
    let store = SqliteStore::open(&path).unwrap();
    let (kept, lost) = (samples::queued_job(1), samples::queued_job(2));
    let mut writer = store.writer().unwrap();
    let save =
        |rows: &mut dyn Writes, job| rows.save(&Changes { jobs: vec![job], ..Changes::default() });
    writer.transact(&Needs::default(), &mut |rows| save(rows, kept.clone())).unwrap();
    // The files as they are while a transaction is open are what a killed process leaves behind.
    let copy = folder.path().join("copy.sqlite3");
    writer
        .transact(&Needs::default(), &mut |rows| {
            save(rows, lost.clone())?;
            for suffix in ["", "-wal"] {
                let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
                std::fs::copy(name(&path), name(&copy)).unwrap();
            }
            Ok(())
        })
        .unwrap();
    let store = SqliteStore::open(&copy).unwrap();
    store
        .read_with(&mut |rows| {
            assert_eq!(rows.job(kept.id)?, Some(kept.clone()));
            assert_eq!(rows.job(lost.id)?, None, "what was not committed is gone");
            Ok(())
        })
        .unwrap();
}

#[test]
fn commits_reach_the_disk_before_they_are_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open_writer(&folder.path().join("test.sqlite3")).unwrap();
    let mode: String =
        connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    let synchronous: i64 =
        connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2), "2 is FULL");
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite3");
    assert_eq!(SqliteStore::migrated_to(&path).unwrap(), 0);
    assert!(!path.exists(), "looking creates nothing");
    drop(SqliteStore::open(&path).unwrap());
    assert_eq!(SqliteStore::migrated_to(&path).unwrap(), SqliteStore::migrations_known());
    drop(SqliteStore::open(&path).unwrap());

    let change = |sql: &str| open_writer(&path).unwrap().execute_batch(sql).unwrap();
    change("UPDATE migrations SET sha256 = zeroblob(32) WHERE number = 1");
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::MigrationDiffers { number: 1 })));
    change("INSERT INTO migrations (number, sha256) VALUES (999, zeroblob(32))");
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::TooNew { found: 999, .. })));

    std::fs::write(folder.path().join("junk"), "this is no database").unwrap();
    assert!(SqliteStore::open(&folder.path().join("junk")).is_err());
}

#[test]
fn more_readers_than_connections_wait_for_their_turn() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("test.sqlite3")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 * READERS_MAX {
            scope.spawn(|| store.read_with(&mut |rows| rows.next_due_at().map(drop)).unwrap());
        }
    });
    let readers = store.readers.lock().unwrap();
    assert!(readers.lent == 0 && (1..=READERS_MAX).contains(&readers.idle.len()));
    drop(readers);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = store.read_with(&mut |_| panic!("planned"));
    }));
    assert!(panicked.is_err());
    assert_eq!(
        store.readers.lock().unwrap().lent,
        0,
        "a reader that panicked gave its connection back"
    );
}

/// How a query is answered, step by step.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = statement.parameter_count();
    let nothing = rusqlite::params_from_iter((0..count).map(|_| 0));
    let steps = statement.query_map(nothing, |row| row.get::<_, String>(3)).unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[test]
fn lists_of_jobs_are_read_from_an_index() {
    use crate::store::{JobQuery, JobText};
    use gristmill_protocol::api::JobState;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite3");
    drop(SqliteStore::open(&path).unwrap());
    let connection = open_reader(&path).unwrap();
    let all = JobQuery { limit: 50, searched_max: 100, ..JobQuery::default() };
    let submitter = Some(samples::SUBMITTER);
    let (node, provider) = (Some(samples::node_id(1)), Some(samples::PROVIDER));
    let states: std::collections::BTreeSet<_> = [JobState::Queued, JobState::Settled].into();
    let text = |text: &str| Some(JobText::new(text));
    let after = Some((samples::NOW, samples::queued_job(1).id));
    for (query, index, sorts) in [
        (all.clone(), "jobs_by_time", false),
        (JobQuery { after, ..all.clone() }, "jobs_by_time", false),
        (JobQuery { text: text("flour"), ..all.clone() }, "jobs_by_time", false),
        (JobQuery { submitter, ..all.clone() }, "jobs_by_submitter", false),
        (JobQuery { states: states.clone(), ..all.clone() }, "jobs_by_state", false),
        (
            JobQuery { submitter, states: states.clone(), after, ..all.clone() },
            "jobs_by_submitter_and_state",
            false,
        ),
        (JobQuery { node, states, ..all.clone() }, "attempts_by_node", true),
        (JobQuery { provider, ..all.clone() }, "attempts_by_provider", true),
        (JobQuery { text: text("0x123456"), submitter, ..all }, "sqlite_autoindex_jobs_1", true),
    ] {
        let plan = plan(&connection, &jobs::select(&query, 51).0);
        assert!(plan.split_whitespace().any(|word| word == index), "{index}:\n{plan}");
        // What is sorted are the few jobs of one node, provider or beginning, never all.
        assert_eq!(plan.contains("USE TEMP B-TREE FOR"), sorts, "{index}:\n{plan}");
        assert!(!sorts || !plan.contains("SCAN jobs"), "{plan}");
    }
}

#[test]
fn jobs_that_had_ended_before_it_was_kept_have_their_end_from_their_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite3");
    let store = SqliteStore::open(&path).unwrap();
    let (terms, waiting) = (samples::terms(samples::SUBMITTER, 1), samples::queued_job(2));
    let cancel = gristmill_market::Command::CancelJob {
        job: samples::job_id(&terms),
        by: samples::SUBMITTER,
    };
    let mut changes = samples::decided([samples::create(terms), cancel]);
    let ended = changes.jobs[0].clone();
    assert_eq!(ended.ended_at, Some(samples::NOW));
    changes.jobs.push(waiting.clone());
    store.writer().unwrap().transact(&Needs::default(), &mut |rows| rows.save(&changes)).unwrap();
    drop(store);
    open_writer(&path)
        .unwrap()
        .execute_batch(
            "UPDATE jobs SET body = json_remove(body, '$.ended_at');
             DROP INDEX attempts_by_node;
             DROP INDEX jobs_by_submitter_and_state;
             DELETE FROM migrations WHERE number = 7",
        )
        .unwrap();
    let store = SqliteStore::open(&path).unwrap();
    store
        .read_with(&mut |rows| {
            assert_eq!(rows.job(ended.id)?, Some(ended.clone()));
            assert_eq!(rows.job(waiting.id)?, Some(waiting.clone()));
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_has_happened_over_time_is_found_by_an_index() {
    use super::payments::{BEGINNINGS, FAILURES, NEWEST, OF_PROVIDER, PAYMENTS, REFUNDS, UNPAID};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite3");
    drop(SqliteStore::open(&path).unwrap());
    let connection = open_reader(&path).unwrap();
    for (sql, index) in [
        (format!("{PAYMENTS}{NEWEST}"), "events_settled"),
        (format!("{PAYMENTS}{OF_PROVIDER}{NEWEST}"), "events_settled_by_provider"),
        (REFUNDS.to_owned(), "events_refunded"),
        (BEGINNINGS.to_owned(), "jobs_by_time"),
        (FAILURES.to_owned(), "attempts_failed"),
        (UNPAID.to_owned(), "jobs_by_state"),
    ] {
        let plan = plan(&connection, &sql);
        assert!(plan.contains(&format!("INDEX {index} ")), "{index}:\n{plan}");
        assert!(!plan.contains("SCAN e\n") && !plan.contains("SCAN a\n"), "{plan}");
    }
}
