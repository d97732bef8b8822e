//! The node agent that a provider installs: it takes jobs from a scheduler, checks their escrow on chain itself, runs
//! them in a cage, and answers with a signed receipt.
//!
//! [`agent`] decides, and is pure; everything else is input and output around it:
//!
//! ```text
//!  session (scheduler) ─┐                     ┌─▶ journal: every step is on disk before it is taken
//!  chain (own RPC)     ─┼─▶ driver ─▶ agent ──┤
//!  runtime (programs)  ─┘     ▲               └─▶ content · runtime · chain · session
//!                             └──────────────────────── what happened ──┘
//! ```

pub mod agent;
pub mod chain;
pub mod commands;
pub mod config;
pub mod content;
pub mod driver;
pub mod journal;
pub mod key;
pub mod runtime;
pub mod session;
pub mod spool;
pub mod state_dir;
mod systemd;
