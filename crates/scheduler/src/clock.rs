//! The one clock of the scheduler, so that tests can hold time still.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gristmill_protocol::time::Timestamp;
use tokio::sync::watch;

/// Where time comes from: the system, or a hand that a test moves.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    Manual(Arc<watch::Sender<Timestamp>>),
}

impl Clock {
    /// A clock that stands at `now` until it is moved.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(Arc::new(watch::Sender::new(now)))
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Manual(hand) => *hand.borrow(),
        }
    }

    /// Moves a manual clock forward and wakes whoever sleeps until then. The system's clock cannot be moved.
    pub fn advance_ms(&self, millis: u64) {
        match self {
            Self::System => {}
            Self::Manual(hand) => hand.send_modify(|now| *now = now.plus_millis(millis)),
        }
    }

    /// Sleeps until `at`; at once where that has passed.
    pub async fn sleep_until(&self, at: Timestamp) {
        match self {
            Self::System => {
                // In steps, because the system's clock may be set while we sleep.
                loop {
                    let left = at.millis_since(self.now());
                    if left == 0 {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(left.min(60_000))).await;
                }
            }
            Self::Manual(hand) => {
                let mut hand = hand.subscribe();
                // The sender lives in `self`, so the wait ends only by time.
                let _ = hand.wait_for(|now| *now >= at).await;
            }
        }
    }

    pub async fn sleep_ms(&self, millis: u64) {
        self.sleep_until(self.now().plus_millis(millis)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_only_when_it_is_moved_far_enough() {
        let clock = Clock::manual(Timestamp(1000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(Timestamp(2000)).await }
        });
        clock.advance_ms(999);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance_ms(1);
        sleeper.await.unwrap();
        assert_eq!(clock.now(), Timestamp(2000));
    }
}
