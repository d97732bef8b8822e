//! Trains a small neural network on handwritten digits, the same to the last bit on every machine.
//!
//! The way through: [`settings`] from the command line, [`dataset`] read and split, [`network`]
//! trained, judged in a [`confusion`] matrix, and what came of it written by [`run`].

pub mod arithmetic;
pub mod confusion;
pub mod dataset;
pub mod network;
pub mod random;
pub mod run;
pub mod settings;
pub mod warp;
