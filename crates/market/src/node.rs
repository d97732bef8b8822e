//! A machine of a provider: what it offers, what it holds, and whether it is heard.

use std::collections::BTreeMap;

use gristmill_protocol::Address;
use gristmill_protocol::api::{NodeState, Offer};
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken, NodeId};
use gristmill_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reputation::Reputation;

/// Attempts that one node may hold at once, whatever its size.
pub const HOLDING_MAX: usize = 64;

/// The row of a node.
///
/// A store keeps these in columns: `id` (primary key), `provider`, `mode` and `standing`, `due_at`, `heard_at`,
/// `last_assigned_at`, the reputation as of its last deed, and what a window is filtered and ordered by: `offer.token`, `offer.price_floor` (as text of
/// fixed width), the runtimes, and the four numbers of [`Node::free`]. Heartbeats write `heard_at` alone, outside of
/// turns; it only moves forward, and [`Node::heard_at`] is set from that column when the row is loaded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    pub id: NodeId,
    pub provider: Address,
    pub offer: Offer,
    pub mode: Mode,
    pub standing: Standing,
    /// What it works on. A reported attempt is not here: its resources are free again.
    #[serde(default, with = "holding_list")]
    pub holding: BTreeMap<JobId, Held>,
    pub registered_at: Timestamp,
    pub heard_at: Timestamp,
    /// When it got work the last time: the stamp of `round_robin`.
    pub last_assigned_at: Timestamp,
    /// Infrastructure failures since its last accepted result.
    pub failures_in_a_row: u32,
    /// It gets no work before this time.
    pub rest_until: Timestamp,
    pub attempts_accepted: u64,
    pub attempts_failed: u64,
    #[serde(default)]
    pub reputation: Reputation,
    /// When to look whether it is still heard; absent while it is offline.
    pub due_at: Option<Timestamp>,
}

/// Whether the node wants work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Online,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Not heard for a while.
    Offline,
}

/// Whether the contract lets this scheduler assign to the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Good,
    /// Its provider has not approved this scheduler.
    NotApproved,
    /// Its provider has revoked it, for good.
    Revoked,
}

/// One attempt that a node works on, and what it takes up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    pub attempt: AttemptNumber,
    pub token: LeaseToken,
    pub cpu_millis: u32,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    /// Positions in the offer's list of GPUs.
    pub gpus: Vec<u8>,
}

/// What a node has left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Free {
    pub cpu_millis: u32,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    /// Positions in the offer's list of GPUs.
    pub gpus: Vec<u8>,
}

impl Node {
    /// The state in the words of the API.
    #[must_use]
    pub fn state(&self) -> NodeState {
        match self.mode {
            Mode::Online if self.holding.is_empty() => NodeState::Idle,
            Mode::Online => NodeState::Busy,
            Mode::Draining => NodeState::Draining,
            Mode::Offline => NodeState::Offline,
        }
    }

    /// What is offered and not taken up.
    #[must_use]
    pub fn free(&self) -> Free {
        let mut free = Free {
            cpu_millis: self.offer.cpu_millis,
            memory_bytes: self.offer.memory_bytes,
            disk_bytes: self.offer.disk_bytes,
            gpus: (0..).take(self.offer.gpus.len()).collect(),
        };
        for held in self.holding.values() {
            // An offer may have shrunk below what is held.
            free.cpu_millis = free.cpu_millis.saturating_sub(held.cpu_millis);
            free.memory_bytes = free.memory_bytes.saturating_sub(held.memory_bytes);
            free.disk_bytes = free.disk_bytes.saturating_sub(held.disk_bytes);
            free.gpus.retain(|gpu| !held.gpus.contains(gpu));
        }
        free
    }

    /// Whether the node was heard within `silence_ms` before `now`.
    #[must_use]
    pub fn is_heard(&self, now: Timestamp, silence_ms: u64) -> bool {
        now.millis_since(self.heard_at) <= silence_ms
    }
}

/// JSON has text keys only, and job ids are written by value: a list of pairs says it plainly.
mod holding_list {
    use super::{BTreeMap, Held, JobId};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<JobId, Held>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<JobId, Held>, D::Error> {
        Ok(Vec::<(JobId, Held)>::deserialize(deserializer)?.into_iter().collect())
    }
}
