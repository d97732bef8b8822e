//! What a deployment leaves behind, below `deployments/`: where the contract is, and what anybody needs to build the same
//! bytes again.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256, Bytes};
use anyhow::{Context, Result, bail, ensure};
use gristmill_protocol::deployment::Deployment;
use serde::{Deserialize, Serialize};

use super::build::Recipe;

/// The three files of one chain.
pub(crate) struct Files {
    folder: PathBuf,
    /// `<chain id>.json`: what every program of the market reads.
    pub(crate) deployment: PathBuf,
    /// `<chain id>.verify.json`: a [`Record`].
    pub(crate) record: PathBuf,
    /// `<chain id>.solc.json`: solc's standard JSON, as block explorers take it.
    pub(crate) input: PathBuf,
}

/// What the deployment was made of.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// As block explorers want it: file, colon, name.
    pub(crate) contract: String,
    pub(crate) compiler: String,
    pub(crate) constructor_arguments: Bytes,
    /// keccak-256 of what the transaction carries.
    pub(crate) init_code_hash: B256,
    /// keccak-256 of what the chain holds.
    pub(crate) runtime_code_hash: B256,
    pub(crate) transaction: B256,
    pub(crate) deployer: Address,
}

impl Files {
    pub(crate) fn of_chain(folder: &Path, chain_id: u64) -> Self {
        Self::beside(&folder.join(format!("{chain_id}.json")))
    }

    /// Those that belong to a deployment file.
    pub(crate) fn beside(deployment: &Path) -> Self {
        let folder = deployment.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            deployment: deployment.to_owned(),
            record: deployment.with_extension("verify.json"),
            input: deployment.with_extension("solc.json"),
        }
    }

    /// Makes sure, before anything is sent, that the files can be written and replace nothing that is wanted.
    pub(crate) fn check_free(&self, force: bool) -> Result<()> {
        let folder = self.folder.display();
        ensure!(
            self.folder.is_dir(),
            "there is no folder `{folder}`: run this in the root of the repository, or name another with --folder"
        );
        tempfile::tempfile_in(&self.folder)
            .with_context(|| format!("cannot write into `{folder}`"))?;
        if self.deployment.exists() && !force {
            bail!(
                "`{}` exists: this chain has a contract already, and its jobs stay there. To deploy another one \
                 and forget that address, add --force",
                self.deployment.display()
            );
        }
        Ok(())
    }

    /// Writes the three. The file that programs read comes last, so that it never stands alone.
    pub(crate) fn write(
        &self,
        deployment: &Deployment,
        record: &Record,
        recipe: &Recipe,
        force: bool,
    ) -> Result<()> {
        self.write_one(&self.input, &recipe.input, true)?;
        self.write_one(&self.record, record, true)?;
        self.write_one(&self.deployment, deployment, force)
    }

    fn write_one(&self, path: &Path, value: &impl Serialize, force: bool) -> Result<()> {
        let context = || format!("cannot write `{}`", path.display());
        let mut draft = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(&self.folder)
            .with_context(context)?;
        let json = serde_json::to_string_pretty(value)? + "\n";
        draft.write_all(json.as_bytes()).with_context(context)?;
        draft.as_file().sync_all().with_context(context)?;
        if force {
            draft.persist(path).with_context(context)?;
        } else {
            // Fails where the file came up meanwhile.
            draft.persist_noclobber(path).with_context(context)?;
        }
        Ok(())
    }

    /// What was deployed, and of what.
    pub(crate) fn read(&self) -> Result<(Deployment, Record, Recipe)> {
        let read = |path: &Path| {
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
        };
        let malformed = |path: &Path| format!("`{}` is not of the expected form", path.display());
        let deployment = Deployment::read(&self.deployment)?;
        let record: Record = serde_json::from_slice(&read(&self.record)?)
            .with_context(|| malformed(&self.record))?;
        let input =
            serde_json::from_slice(&read(&self.input)?).with_context(|| malformed(&self.input))?;
        let recipe = Recipe { compiler: record.compiler.clone(), input };
        Ok((deployment, record, recipe))
    }
}
