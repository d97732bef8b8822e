//! Where the contract is: `deployments/<chainId>.json`, written by whoever deploys, read by every program.

use std::path::Path;

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::signing::Domain;

/// One deployed `JobMarket`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    pub chain_id: u64,
    pub contract: Address,
    /// The block of the deployment: no event of the contract is older.
    pub block: u64,
}

/// Why a deployment file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    #[error("cannot read the deployment file {path}")]
    Unreadable {
        path: String,
        #[source]
        error: std::io::Error,
    },
    #[error("the deployment file {path} is not of the expected form")]
    Malformed {
        path: String,
        #[source]
        error: serde_json::Error,
    },
}

impl Deployment {
    pub fn read(path: &Path) -> Result<Self, DeploymentError> {
        let name = || path.display().to_string();
        let json = std::fs::read(path)
            .map_err(|error| DeploymentError::Unreadable { path: name(), error })?;
        serde_json::from_slice(&json)
            .map_err(|error| DeploymentError::Malformed { path: name(), error })
    }

    #[must_use]
    pub fn domain(&self) -> Domain {
        Domain { chain_id: self.chain_id, contract: self.contract }
    }
}
