//! What a job asks of a node: the part of a job spec that the rules read.

use gristmill_protocol::ids::SpecHash;
use gristmill_protocol::spec::{JobSpec, Resources, RuntimeKind, SpecError, Strategy};
use serde::{Deserialize, Serialize};

/// The extract of a [`JobSpec`] that is kept in the job's row. The spec itself stays in the store of specs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Demand {
    pub name: String,
    pub runtime: RuntimeKind,
    pub resources: Resources,
    pub max_run_seconds: u32,
    pub attempts_max: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
}

impl Demand {
    /// Refuses what no part of this version can do.
    pub fn of(spec: &JobSpec) -> Result<Self, SpecError> {
        spec.supported()?;
        Ok(Self {
            name: spec.name.clone(),
            runtime: spec.runtime.kind(),
            resources: spec.resources.clone(),
            max_run_seconds: spec.max_run_seconds,
            attempts_max: spec.attempts_max(),
            strategy: spec.strategy,
        })
    }
}

/// A spec under its hash, as the store of specs holds it. Whoever makes one has compared the two.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KnownSpec {
    pub hash: SpecHash,
    pub spec: JobSpec,
}
