//! The one clock of the scheduler, so that tests can hold time still.
//!
//! The market's time is never behind the chain's: deadlines and windows are what the contract says they are, and a block
//! from ahead of our clock moves the market's time with it. What is between this process and its callers, such as logins,
//! goes by the wall clock alone.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gristmill_protocol::time::Timestamp;
use tokio::sync::watch;

/// A sleeper looks again after this long, because the system's clock may be set meanwhile.
const SLEEP_MS_MAX: u64 = 60_000;

/// Where time comes from. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    hand: Hand,
    /// Milliseconds by which the chain is ahead of us. Only grows, so that time never runs backwards by it.
    ahead_ms: Arc<watch::Sender<u64>>,
}

#[derive(Clone, Debug)]
enum Hand {
    System,
    Manual(Arc<watch::Sender<Timestamp>>),
}

impl Clock {
    /// The clock of this machine.
    #[must_use]
    pub fn system() -> Self {
        Self { hand: Hand::System, ahead_ms: Arc::default() }
    }

    /// A clock that stands at `now` until it is moved.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self { hand: Hand::Manual(Arc::new(watch::Sender::new(now))), ahead_ms: Arc::default() }
    }

    /// The time by which the market decides.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.wall().plus_millis(*self.ahead_ms.borrow())
    }

    /// The time of this machine.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        match &self.hand {
            Hand::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Hand::Manual(hand) => *hand.borrow(),
        }
    }

    /// A block of the chain carries this time, in unix seconds.
    pub fn see_block(&self, timestamp_s: u64) {
        let ahead_ms = Timestamp::from_unix_seconds(timestamp_s).millis_since(self.wall());
        self.ahead_ms.send_if_modified(|known| {
            let grows = ahead_ms > *known;
            *known = ahead_ms.max(*known);
            grows
        });
    }

    /// Moves a manual clock forward and wakes whoever sleeps until then. The system's clock cannot be moved.
    pub fn advance_ms(&self, millis: u64) {
        match &self.hand {
            Hand::System => {}
            Hand::Manual(hand) => hand.send_modify(|now| *now = now.plus_millis(millis)),
        }
    }

    /// Sleeps until the market's time is `at`; not at all where that has passed.
    pub async fn sleep_until(&self, at: Timestamp) {
        let mut ahead = self.ahead_ms.subscribe();
        loop {
            let left_ms = at.millis_since(self.now());
            if left_ms == 0 {
                return;
            }
            let until = self.wall().plus_millis(left_ms);
            tokio::select! {
                () = self.hand.reach(until, left_ms) => {}
                // The sender lives in `self`, so this ends only when the chain has moved us.
                _ = ahead.changed() => {}
            }
        }
    }

    pub async fn sleep_ms(&self, millis: u64) {
        self.sleep_until(self.now().plus_millis(millis)).await;
    }
}

impl Hand {
    /// Waits until the wall clock shows `until`, which is `left_ms` away, or for a long while.
    async fn reach(&self, until: Timestamp, left_ms: u64) {
        match self {
            Self::System => {
                tokio::time::sleep(Duration::from_millis(left_ms.min(SLEEP_MS_MAX))).await
            }
            Self::Manual(hand) => {
                let mut hand = hand.subscribe();
                // The sender lives in `self`, so the wait ends only by time.
                let _ = hand.wait_for(|now| *now >= until).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_only_when_it_is_moved_far_enough() {
        let clock = Clock::manual(Timestamp(1000));
        let mut sleeper = Box::pin(clock.sleep_until(Timestamp(2000)));
        clock.advance_ms(999);
        assert!(futures_util::poll!(&mut sleeper).is_pending());
        clock.advance_ms(1);
        sleeper.await;
        assert_eq!(clock.now(), Timestamp(2000));
    }

    #[tokio::test]
    async fn a_block_from_ahead_moves_the_market_and_not_the_wall_clock() {
        let clock = Clock::manual(Timestamp(10_000));
        clock.see_block(9);
        assert_eq!(clock.now(), Timestamp(10_000), "a block from before changes nothing");
        let mut sleeper = Box::pin(clock.sleep_until(Timestamp(15_000)));
        assert!(futures_util::poll!(&mut sleeper).is_pending());
        clock.see_block(15);
        sleeper.await;
        assert_eq!((clock.now(), clock.wall()), (Timestamp(15_000), Timestamp(10_000)));
        clock.advance_ms(500);
        clock.see_block(12);
        assert_eq!(clock.now(), Timestamp(15_500), "time goes on from there, and never back");
    }

    #[tokio::test]
    async fn the_system_clock_lets_short_sleepers_go_on() {
        let clock = Clock::system();
        let before = clock.now();
        clock.sleep_ms(2).await;
        assert!(clock.now() >= before.plus_millis(2));
    }
}
