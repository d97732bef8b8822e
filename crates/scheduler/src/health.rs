//! Whether this process can do its work: what `/readyz` and the metrics say.

use std::sync::atomic::{AtomicU64, Ordering};

use gristmill_protocol::time::Timestamp;

/// Signs of life of the drivers. Zero means never.
#[derive(Default)]
pub struct Health {
    chain_head: AtomicU64,
    chain_polled_at_ms: AtomicU64,
}

impl Health {
    /// The watcher has seen the chain at block `head`, and read its events as far as they are final.
    pub fn chain_polled(&self, head: u64, now: Timestamp) {
        self.chain_head.store(head, Ordering::Relaxed);
        self.chain_polled_at_ms.store(now.0, Ordering::Relaxed);
        metrics::gauge!("gristmill_chain_head").set(head as f64);
    }

    /// The newest block, and when it was seen.
    #[must_use]
    pub fn chain(&self) -> Option<(u64, Timestamp)> {
        let at = self.chain_polled_at_ms.load(Ordering::Relaxed);
        (at > 0).then(|| (self.chain_head.load(Ordering::Relaxed), Timestamp(at)))
    }
}
