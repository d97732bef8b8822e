//! Who waits for what in this process: polls of nodes, followers of jobs, drivers. Publishing a turn wakes them.
//!
//! A wake is a hint: whoever is woken looks at the store again, so a lost or spare wake is never wrong.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::time::Timestamp;
use tokio::sync::Notify;
use tokio::sync::futures::{Notified, OwnedNotified};

/// All waiters of this process.
#[derive(Default)]
pub struct Wake {
    nodes: Waiters<NodeId>,
    jobs: Waiters<JobId>,
    pub timer: TimerWake,
    /// An intent was planned.
    pub chain_sender: Notify,
    /// A report waits to be verified.
    pub verifier: Notify,
    /// A spec was uploaded.
    pub spec_finder: Notify,
}

/// When the timer looks next, so that it is woken only for what is due before that.
pub struct TimerWake {
    looks_at_ms: AtomicU64,
    notify: Notify,
}

impl Default for TimerWake {
    fn default() -> Self {
        Self { looks_at_ms: AtomicU64::new(u64::MAX), notify: Notify::new() }
    }
}

impl TimerWake {
    /// Something is due at `at`.
    pub fn due(&self, at: Timestamp) {
        if at.0 < self.looks_at_ms.load(Ordering::SeqCst) {
            self.notify.notify_one();
        }
    }

    /// The timer is about to look: until it says when it looks next, everything that becomes due wakes it.
    pub fn looking(&self) -> Notified<'_> {
        self.looks_at_ms.store(u64::MAX, Ordering::SeqCst);
        self.notify.notified()
    }

    /// The timer has looked, and sleeps until `at`.
    pub fn sleeping(&self, at: Timestamp) {
        self.looks_at_ms.store(at.0, Ordering::SeqCst);
    }
}

impl Wake {
    pub fn node(&self, node: NodeId) {
        self.nodes.wake(&node);
    }

    /// Wakes whoever follows the events or logs of `job`.
    pub fn job(&self, job: JobId) {
        self.jobs.wake(&job);
    }

    /// Registers a waiter for `node`. What is published after this call is not missed.
    pub fn wait_for_node(&self, node: NodeId) -> Waiter<'_, NodeId> {
        self.nodes.register(node)
    }

    pub fn wait_for_job(&self, job: JobId) -> Waiter<'_, JobId> {
        self.jobs.register(job)
    }

    /// How many polls and streams wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.nodes.len() + self.jobs.len()
    }
}

/// Waiters by key. An entry lives as long as somebody waits, so that the map never outgrows the connections.
struct Waiters<K>(Mutex<HashMap<K, Arc<Notify>>>);

impl<K> Default for Waiters<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Copy + Eq + Hash> Waiters<K> {
    fn wake(&self, key: &K) {
        let waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = waiters.get(key) {
            notify.notify_waiters();
        }
    }

    fn register(&self, key: K) -> Waiter<'_, K> {
        let mut waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let notify = Arc::clone(waiters.entry(key).or_default());
        Waiter { waiters: self, key, notify: Some(notify) }
    }

    fn len(&self) -> usize {
        let waiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The map itself holds one reference of each.
        waiters.values().map(|notify| Arc::strong_count(notify) - 1).sum()
    }
}

/// One who waits; dropping it ends the wait.
pub struct Waiter<'w, K: Copy + Eq + Hash> {
    waiters: &'w Waiters<K>,
    key: K,
    /// Taken only on drop, so that the count of references is exact under the map's lock.
    notify: Option<Arc<Notify>>,
}

impl<K: Copy + Eq + Hash> Waiter<'_, K> {
    /// A future that ends at the next wake after this call. Call it, look at the store, then await it.
    pub fn woken(&self) -> OwnedNotified {
        let notify = self.notify.as_ref().expect("taken on drop only");
        // `notified` counts every `notify_waiters` from its creation on, polled or not.
        Arc::clone(notify).notified_owned()
    }
}

impl<K: Copy + Eq + Hash> Drop for Waiter<'_, K> {
    fn drop(&mut self) {
        let mut waiters = self.waiters.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.notify = None;
        if waiters.get(&self.key).is_some_and(|notify| Arc::strong_count(notify) == 1) {
            waiters.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId(alloy::primitives::Address::repeat_byte(byte))
    }

    #[tokio::test]
    async fn a_wake_between_looking_and_waiting_is_not_lost() {
        let wake = Wake::default();
        let waiter = wake.wait_for_node(node(1));
        let woken = waiter.woken();
        wake.node(node(1));
        woken.await;
    }

    #[tokio::test]
    async fn the_timer_is_woken_only_for_what_is_due_before_it_looks_again() {
        let timer = TimerWake::default();
        let mut woken = Box::pin(timer.looking());
        timer.sleeping(Timestamp(100));
        timer.due(Timestamp(100));
        assert!(futures_util::poll!(&mut woken).is_pending());
        timer.due(Timestamp(99));
        assert!(futures_util::poll!(&mut woken).is_ready());
        let mut woken = Box::pin(timer.looking());
        timer.due(Timestamp(5000));
        timer.sleeping(Timestamp(100));
        assert!(
            futures_util::poll!(&mut woken).is_ready(),
            "it may have looked before that was there"
        );
    }

    #[tokio::test]
    async fn others_sleep_on_and_the_map_empties() {
        let wake = Wake::default();
        let (one, two) = (wake.wait_for_node(node(1)), wake.wait_for_node(node(2)));
        let (mut first, mut second) = (Box::pin(one.woken()), Box::pin(two.woken()));
        wake.node(node(1));
        assert!(futures_util::poll!(&mut first).is_ready());
        assert!(futures_util::poll!(&mut second).is_pending());
        assert_eq!(wake.waiting(), 4, "each waiter and each of its futures holds one reference");
        drop((first, second));
        assert_eq!(wake.waiting(), 2);
        drop((one, two));
        assert_eq!(wake.waiting(), 0);
        assert!(wake.nodes.0.lock().unwrap().is_empty());
    }
}
