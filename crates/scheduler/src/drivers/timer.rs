//! Wakes jobs and nodes whose time has come. Timers are rows with a `due_at`, so a restart loses none.

use std::sync::Arc;

use gristmill_market::Command;
use gristmill_protocol::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::store::{self, Due, Store};
use crate::turn::{BATCH_MAX, Refused, Turns, new_lease_token};
use crate::wake::Wake;

/// Due rows of one round: what fits into one turn.
const ROUND_MAX: usize = BATCH_MAX;
/// Without anything due, look again this often: replicas may share the database.
const IDLE_MS: u64 = 60_000;
/// After a failure, or where a row stays due although it was decided: never spin.
const RETRY_MS: u64 = 1000;
/// Rows that expired and are of no more use are deleted this often, so many at a time.
const PURGE_MS: u64 = 60_000;
const PURGE_ROWS: usize = 1000;

/// The driver of everything that is due.
pub(crate) struct Timer {
    pub store: Arc<dyn Store>,
    pub turns: Turns,
    pub wake: Arc<Wake>,
    pub clock: Clock,
}

impl Timer {
    /// Runs until it is told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut purge_at = Timestamp::default();
        while !stop.is_cancelled() {
            // Before looking, so that a row that becomes due meanwhile wakes us.
            let changed = self.wake.timer.looking();
            let now = self.clock.now();
            if purge_at <= now {
                purge_at = now.plus_millis(PURGE_MS);
                if let Err(error) =
                    self.turns.write("purge", move |rows| rows.purge(now, PURGE_ROWS)).await
                {
                    tracing::warn!(%error, "expired rows were not deleted");
                }
            }
            let next = match self.round().await {
                Ok(next) => next,
                Err(problem) => {
                    tracing::warn!(problem, "the timer could not look");
                    now.plus_millis(RETRY_MS)
                }
            };
            let next = next.min(purge_at);
            self.wake.timer.sleeping(next);
            tokio::select! {
                () = stop.cancelled() => {}
                () = changed => {}
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Decides what is due, and says when to look again.
    pub(crate) async fn round(&self) -> Result<Timestamp, String> {
        let now = self.clock.now();
        let due = store::read(&self.store, move |rows| rows.due(now, ROUND_MAX)).await;
        let due = due.map_err(|error| error.to_string())?;
        let full = due.len() == ROUND_MAX;
        let mut failed = false;
        for result in self.turns.submit_all(due.iter().map(command).collect()).await {
            match result {
                Ok(_) => {}
                // It was moved, or decided by another replica, since we looked.
                Err(Refused::Rejected(rejection)) => {
                    tracing::debug!(%rejection, "not due after all")
                }
                Err(refused @ (Refused::Failed | Refused::Unavailable | Refused::KeyReused)) => {
                    tracing::warn!(%refused, "what is due could not be decided");
                    failed = true;
                }
            }
        }
        if failed {
            return Ok(now.plus_millis(RETRY_MS));
        }
        let next = store::read(&self.store, |rows| rows.next_due_at())
            .await
            .map_err(|error| error.to_string())?;
        let idle = now.plus_millis(IDLE_MS);
        Ok(match next {
            None => idle,
            Some(_) if full => now,
            // What is still due was looked at just now: the same answer would come again.
            Some(next) if next <= now => now.plus_millis(RETRY_MS),
            Some(next) => next.min(idle),
        })
    }
}

fn command(due: &Due) -> Command {
    match *due {
        Due::Job(job) => Command::JobDue { job, token: new_lease_token() },
        Due::Node(node) => Command::NodeDue { node },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, NOW, SUBMITTER};
    use crate::store::memory::MemoryStore;
    use gristmill_protocol::api::JobState;
    use gristmill_protocol::ids::JobId;

    async fn timer(store: &MemoryStore, clock: &Clock) -> Timer {
        let store: Arc<dyn Store> = Arc::new(store.clone());
        let wake = Arc::new(Wake::default());
        let writer = store.writer().unwrap();
        let (turns, _thread) =
            Turns::start(writer, samples::policy(), clock.clone(), Arc::clone(&wake)).unwrap();
        Timer { store, turns, wake, clock: clock.clone() }
    }

    async fn state(timer: &Timer, job: JobId) -> JobState {
        store::read(&timer.store, move |rows| rows.job(job)).await.unwrap().unwrap().state.name()
    }

    #[tokio::test]
    async fn a_row_is_woken_when_it_is_due_and_not_before_also_after_a_restart() {
        let (store, clock) = (MemoryStore::default(), Clock::manual(NOW));
        let terms = samples::terms(SUBMITTER, 1);
        let job = samples::job_id(&terms);
        let first = timer(&store, &clock).await;
        first.turns.submit(samples::create(terms)).await.unwrap();
        let next = first.round().await.unwrap();
        assert_eq!(state(&first, job).await, JobState::Funding);
        assert_eq!(
            next,
            NOW.plus_millis(IDLE_MS),
            "it looks again now and then, however far the next one is"
        );
        drop(first);

        clock.advance_ms(terms.deadline * 1000 - NOW.0 + 60_000);
        let second = timer(&store, &clock).await;
        second.round().await.unwrap();
        assert_eq!(state(&second, job).await, JobState::Cancelled, "nobody paid for it in time");
    }

    #[tokio::test]
    async fn the_driver_sleeps_until_something_is_due_and_stops_when_told() {
        let (store, clock) = (MemoryStore::default(), Clock::manual(NOW));
        let timer = timer(&store, &clock).await;
        let (turns, wake, rows) =
            (timer.turns.clone(), Arc::clone(&timer.wake), Arc::clone(&timer.store));
        let stop = CancellationToken::new();
        let running = tokio::spawn(timer.run(stop.clone()));
        let node = samples::node_id(1);
        turns.submit(samples::register(node)).await.unwrap();
        turns.submit(samples::poll(node)).await.unwrap();
        let mode = || {
            let rows = Arc::clone(&rows);
            async move { store::read(&rows, move |rows| rows.node(node)).await.unwrap().unwrap() }
        };
        let online = mode().await;
        clock.advance_ms(online.due_at.unwrap().millis_since(NOW));
        while mode().await.mode != gristmill_market::node::Mode::Offline {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        running.await.unwrap();
        assert_eq!(wake.waiting(), 0);
    }
}
