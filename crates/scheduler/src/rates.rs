//! How much one account, or one address that has not signed in, may ask for: a bucket of tokens each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use gristmill_protocol::Address;
use gristmill_protocol::time::Timestamp;

use crate::config::Limits;

/// Buckets that are remembered. A bucket that has filled up again is like one that never was.
const BUCKETS_MAX: usize = 65_536;
/// A token, in the unit in which buckets count: so that one millisecond adds a whole number.
const TOKEN: u64 = 1000;

/// Who is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Payer {
    Account(Address),
    Peer(IpAddr),
}

pub(crate) struct RateLimiter {
    capacity: u64,
    per_ms: u64,
    buckets: Mutex<HashMap<Payer, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    level: u64,
    at: Timestamp,
}

impl RateLimiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            capacity: u64::from(limits.burst) * TOKEN,
            per_ms: u64::from(limits.requests_per_second),
            buckets: Mutex::default(),
        }
    }

    /// Takes one token of `payer`; false where there is none.
    pub(crate) fn take(&self, payer: Payer, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&payer) {
            buckets.retain(|_, bucket| self.level(*bucket, now) < self.capacity);
            if buckets.len() >= BUCKETS_MAX {
                // So many at once is an attack; whoever is known is still served.
                return false;
            }
        }
        let bucket = buckets.entry(payer).or_insert(Bucket { level: self.capacity, at: now });
        bucket.level = self.level(*bucket, now);
        bucket.at = now;
        let granted = bucket.level >= TOKEN;
        if granted {
            bucket.level -= TOKEN;
        }
        granted
    }

    fn level(&self, bucket: Bucket, now: Timestamp) -> u64 {
        bucket
            .level
            .saturating_add(now.millis_since(bucket.at).saturating_mul(self.per_ms))
            .min(self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn limiter(burst: u32, requests_per_second: u32) -> RateLimiter {
        let config = Config::defaults(std::path::Path::new("")).unwrap();
        RateLimiter::new(&Limits { burst, requests_per_second, ..config.limits })
    }

    #[test]
    fn a_burst_is_served_then_the_rate_and_others_are_not_affected() {
        let limiter = limiter(3, 2);
        let (one, two) = (Payer::Peer([1, 1, 1, 1].into()), Payer::Account(Address::ZERO));
        let taken = |payer, at| limiter.take(payer, Timestamp(at));
        assert_eq!([0, 0, 0, 0].map(|at| taken(one, at)), [true, true, true, false]);
        assert!(taken(two, 0));
        assert_eq!([499, 500, 501].map(|at| taken(one, at)), [false, true, false], "two a second");
        assert_eq!(
            [9000, 9000, 9000, 9000].map(|at| taken(one, at)),
            [true, true, true, false],
            "never above the burst"
        );
    }

    #[test]
    fn the_memory_is_bounded() {
        let limiter = limiter(1, 1);
        for index in 0..BUCKETS_MAX as u32 + 10 {
            limiter.take(Payer::Peer(std::net::Ipv4Addr::from(index).into()), Timestamp(0));
        }
        assert_eq!(limiter.buckets.lock().unwrap().len(), BUCKETS_MAX);
        assert!(!limiter.take(Payer::Peer([250, 0, 0, 1].into()), Timestamp(0)));
        assert!(
            limiter.take(Payer::Peer([250, 0, 0, 1].into()), Timestamp(1000)),
            "full buckets are forgotten"
        );
        assert_eq!(limiter.buckets.lock().unwrap().len(), 1);
    }
}
