//! The scheduler: it assigns jobs to nodes, has results verified, and brings what was decided to the chain.
//!
//! `http` and `drivers` bring commands to the [`turn`], which loads rows from the [`store`], lets `gristmill-market`
//! decide, commits, and only then answers and wakes who waits. Neither `http` nor `drivers` knows a rule, and only
//! `store` knows SQL.

pub mod app;
pub mod auth;
pub mod clock;
pub mod config;
pub mod content_store;
pub mod drivers;
pub mod health;
pub mod http;
pub mod images;
pub mod logs;
pub(crate) mod rates;
pub mod run;
#[cfg(test)]
mod samples;
mod statistics;
pub mod store;
pub mod telemetry;
pub mod turn;
pub mod wake;

pub use http::openapi_json;
