//! THE RULES: what the market decides, and nothing else.
//!
//! Pure, synchronous, deterministic: no clock, no I/O, no randomness, no floating point. A scheduler loads the rows
//! that [`needs`] names, calls [`decide`] for each command of a turn, saves [`World::take_changes`] in one commit, and
//! only then performs the effects. Running a turn again from the same rows gives the same changes.

pub mod attempt;
pub mod command;
pub mod demand;
pub mod effect;
pub mod escrow;
pub mod explain;
pub mod job;
pub mod matching;
pub mod node;
pub mod policy;
pub mod rejection;
pub mod reply;
pub mod reputation;
mod rules;
pub mod world;

pub use command::Command;
pub use explain::{explain, preview, summary};
pub use policy::Policy;
pub use rejection::Rejection;
pub use reply::Reply;
pub use rules::{decide, needs};
pub use world::{Changes, Needs, Window, World};
