//! The parties of a local market. Their keys come from anvil's well-known mnemonic and are worth nothing anywhere else.

use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use alloy::signers::k256::elliptic_curve::rand_core::OsRng;
use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};
use anyhow::{Context, Result};

pub const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// The password of every keystore of a local market.
pub const PASSWORD: &str = "local development only";

/// Who takes part. Their order is that of the mnemonic's accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    Deployer,
    Submitter,
    Scheduler,
    ProviderA,
    ProviderB,
    NodeA,
    NodeB,
    Stranger,
}

impl Party {
    pub const ALL: &'static [Self] = &[
        Self::Deployer,
        Self::Submitter,
        Self::Scheduler,
        Self::ProviderA,
        Self::ProviderB,
        Self::NodeA,
        Self::NodeB,
        Self::Stranger,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployer => "deployer",
            Self::Submitter => "submitter",
            Self::Scheduler => "scheduler",
            Self::ProviderA => "provider-a",
            Self::ProviderB => "provider-b",
            Self::NodeA => "node-a",
            Self::NodeB => "node-b",
            Self::Stranger => "stranger",
        }
    }

    /// # Panics
    /// Never: the mnemonic is valid.
    #[must_use]
    pub fn key(self) -> PrivateKeySigner {
        MnemonicBuilder::from_phrase(MNEMONIC)
            .index(self as u32)
            .and_then(|account| account.build())
            .expect("the mnemonic is valid")
    }

    #[must_use]
    pub fn address(self) -> Address {
        self.key().address()
    }

    /// Where its keystore lies below `folder`.
    #[must_use]
    pub fn keystore(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.name()))
    }

    /// Writes its encrypted keystore below `folder`, unless it is there.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_keystore(self, folder: &Path) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.keystore(folder);
        if path.is_file() {
            return Ok(path);
        }
        std::fs::create_dir_all(folder)?;
        let key = self.key().to_bytes();
        let name = format!("{}.json", self.name());
        PrivateKeySigner::encrypt_keystore(folder, &mut OsRng, key, PASSWORD, Some(&name))
            .with_context(|| format!("write the keystore of {}", self.name()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }
}
