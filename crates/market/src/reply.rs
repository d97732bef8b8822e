//! What a command is answered with.

use gristmill_protocol::api::{JobState, NodeState, Stop};
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken};
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The job is new.
    Created { state: JobState },
    /// Where the job stands now.
    Job { state: JobState },
    /// Where the node stands now.
    Node { state: NodeState },
    /// For a node that polled. With both lists empty the poll may wait until the node is woken.
    Polled { assignments: Vec<Lease>, stop: Vec<Stop> },
    /// This was known already.
    Unchanged,
}

/// An attempt that a node is to work on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lease {
    pub job: JobId,
    pub attempt: AttemptNumber,
    pub token: LeaseToken,
}
