//! The rules, asked one question at a time.

#![expect(unreachable_pub, reason = "a test binary has no outside")]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod bonds;
mod leases;
mod matching;
mod money;
mod nodes;
mod orders;
mod properties;
mod stage;
mod transitions;
