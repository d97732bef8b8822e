//! Reconciliation in a running scheduler: at the start, and again every so often.

use std::collections::BTreeSet;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Folded, LookError, Reconciler, Report};
use crate::clock::Clock;
use crate::drivers::chain_watcher::ChainNow;
use crate::store::reconcile::{Difference, stop_payouts};
use crate::store::{self};
use crate::turn::Turns;

/// Differences that are written to the log each time.
const LOGGED_MAX: usize = 10;
/// Between a look and the one that has to confirm it: endpoints may lag behind each other.
const CONFIRM_MS: u64 = 1000;
/// How far the watcher may be behind the newest final block for a look to be worth it.
const LAG_BLOCKS_MAX: u64 = 64;
/// After a look that came to nothing.
const RETRY_MS: u64 = 10_000;

/// Reconciles again and again, and stops payouts where a difference is found.
pub struct Rounds {
    pub reconciler: Reconciler,
    pub turns: Turns,
    pub clock: Clock,
    pub finality_depth: u64,
    pub every_seconds: u64,
    pub now: watch::Receiver<Option<ChainNow>>,
    /// The log as it was folded the last time. Lost, it is read again.
    pub before: Option<Folded>,
}

impl Rounds {
    /// Reconciles until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let wait_ms = match self.is_caught_up().await {
                Ok(true) => match self.round().await {
                    Ok(_) => self.every_seconds.saturating_mul(1000),
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "contract, events and database could not be compared"
                        );
                        metrics::counter!("gristmill_reconcile_failures_total").increment(1);
                        RETRY_MS
                    }
                },
                // The watcher has a history to read first.
                Ok(false) => CONFIRM_MS,
                Err(_) => RETRY_MS,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_ms(wait_ms) => {}
            }
        }
    }

    /// Whether the watcher is near the newest final block.
    async fn is_caught_up(&self) -> Result<bool, LookError> {
        let Some(now) = *self.now.borrow() else { return Ok(false) };
        let cursor = store::read(&self.reconciler.store, |rows| rows.chain_cursor()).await?;
        let last_final = (now.head.block.number + 1).saturating_sub(self.finality_depth);
        Ok(cursor.is_some_and(|cursor| cursor.number + LAG_BLOCKS_MAX >= last_final))
    }

    /// Compares once; twice where something differs, because only what a second look confirms is a difference. Then
    /// payouts are stopped, unless a person has accepted it.
    pub async fn round(&mut self) -> Result<Report, LookError> {
        let (mut report, folded) = self.reconciler.look(self.before.take()).await?;
        if report.differences.is_empty() {
            self.before = Some(folded);
        } else {
            self.clock.sleep_ms(CONFIRM_MS).await;
            let (second, folded) = self.reconciler.look(None).await?;
            report = confirmed(&report, second);
            // What ended is compared once only, so a difference keeps us reading all of it.
            self.before = report.differences.is_empty().then_some(folded);
        }
        let left = self.stop(&report).await?;
        metrics::gauge!("gristmill_reconcile_block").set(report.block as f64);
        metrics::gauge!("gristmill_reconcile_differences").set(left.len() as f64);
        for difference in left.iter().take(LOGGED_MAX) {
            tracing::error!(
                kind = difference.kind.as_str(),
                %difference,
                "contract, events and database differ: payouts are stopped until a person has looked; run `gristmill-scheduler reconcile`"
            );
        }
        if left.is_empty() {
            tracing::debug!(
                block = report.block,
                jobs = report.jobs,
                "contract, events and database agree"
            );
        }
        Ok(report)
    }

    async fn stop(&self, report: &Report) -> Result<Vec<Difference>, LookError> {
        if report.differences.is_empty() {
            return Ok(Vec::new());
        }
        let (found, block) = (report.differences.clone(), report.block);
        let now = self.clock.wall();
        let left = self
            .turns
            .write("stop_payouts", move |rows| stop_payouts(rows, &found, block, now))
            .await?;
        Ok(left)
    }
}

/// The second report, with those differences only that the first has too.
#[must_use]
pub fn confirmed(first: &Report, mut second: Report) -> Report {
    let seen: BTreeSet<&Difference> = first.differences.iter().collect();
    second.differences.retain(|difference| seen.contains(difference));
    second
}
