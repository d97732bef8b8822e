//! The node's key: an encrypted keystore on disk, and everything that is signed with it.

use std::path::{Path, PathBuf};

use alloy::signers::SignerSync;
use alloy::signers::k256::elliptic_curve::rand_core::{OsRng, RngCore};
use alloy::signers::local::PrivateKeySigner;
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::signing::{CompactSignature, Domain, Message};

use crate::config::PASSWORD_VARIABLE;

/// The key of one machine. It signs receipts, renewals and releases, and pays gas; it never receives a bounty.
#[derive(Clone)]
pub struct NodeKey {
    signer: PrivateKeySigner,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("set {PASSWORD_VARIABLE} to the password of the node's key")]
    NoPassword,
    #[error("there is no key at {0}; make one with `gristmill-node init`")]
    Missing(PathBuf),
    #[error("there is a key at {0} already; it is never overwritten")]
    Exists(PathBuf),
    #[error("cannot open the key {path}: {error}; is {PASSWORD_VARIABLE} right?")]
    Locked { path: PathBuf, error: String },
    #[error("cannot read the password of the node's key from {path}: {error}")]
    PasswordUnreadable { path: PathBuf, error: String },
    #[error("cannot write the key to {path}: {error}")]
    Unwritable { path: PathBuf, error: String },
}

/// The password that the environment gives, if it does.
#[must_use]
pub fn password_from_environment() -> Option<String> {
    std::env::var(PASSWORD_VARIABLE).ok().filter(|text| !text.is_empty())
}

/// Where the password of a keystore lies if it was not given by anybody: beside it.
#[must_use]
pub fn password_path(keystore: &Path) -> PathBuf {
    keystore.with_extension("password")
}

/// The first line of a file.
pub fn read_password(path: &Path) -> Result<String, KeyError> {
    let unreadable = |error: String| KeyError::PasswordUnreadable { path: path.to_owned(), error };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(unreadable("its first line is empty".into()));
    }
    Ok(line.to_owned())
}

impl NodeKey {
    /// Makes a key and keeps it, encrypted, in a new file.
    pub fn create(path: &Path, password: &str) -> Result<Self, KeyError> {
        use std::os::unix::fs::PermissionsExt;
        let unwritable = |error: String| KeyError::Unwritable { path: path.to_owned(), error };
        if path.exists() {
            return Err(KeyError::Exists(path.to_owned()));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| unwritable("it has no plain name".into()))?;
        let folder =
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| unwritable(error.to_string()))?;
        let (signer, _) = PrivateKeySigner::new_keystore(folder, &mut OsRng, password, Some(name))
            .map_err(|error| unwritable(error.to_string()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .map_err(|error| unwritable(error.to_string()))?;
        Ok(Self { signer })
    }

    pub fn open(path: &Path, password: &str) -> Result<Self, KeyError> {
        if !path.exists() {
            return Err(KeyError::Missing(path.to_owned()));
        }
        let signer = PrivateKeySigner::decrypt_keystore(path, password).map_err(|error| {
            KeyError::Locked { path: path.to_owned(), error: error.to_string() }
        })?;
        Ok(Self { signer })
    }

    /// The password of a keystore: from the environment, or else from the file beside it that `join` may have made.
    pub fn password(keystore: &Path) -> Result<String, KeyError> {
        if let Some(password) = password_from_environment() {
            return Ok(password);
        }
        let beside = password_path(keystore);
        if beside.exists() { read_password(&beside) } else { Err(KeyError::NoPassword) }
    }

    /// A password that nobody can guess, for a key that nobody is to type one for.
    #[must_use]
    pub fn random_password() -> String {
        let mut bytes = [0; 32];
        OsRng.fill_bytes(&mut bytes);
        hex::encode(bytes)
    }

    /// The node's name.
    #[must_use]
    pub fn id(&self) -> NodeId {
        NodeId(self.signer.address())
    }

    /// For transactions that the node pays itself.
    #[must_use]
    pub fn signer(&self) -> PrivateKeySigner {
        self.signer.clone()
    }

    #[must_use]
    pub fn sign(&self, domain: &Domain, message: &Message) -> CompactSignature {
        let signature = self.signer.sign_hash_sync(&domain.digest(message));
        CompactSignature::new(&signature.expect("a key in memory signs every 32 bytes"))
    }

    /// Signs text for people (EIP-191), which no contract takes for a message.
    #[must_use]
    pub fn sign_text(&self, text: &str) -> [u8; 65] {
        self.signer
            .sign_message_sync(text.as_bytes())
            .expect("a key in memory signs every text")
            .as_bytes()
    }

    #[cfg(test)]
    #[must_use]
    pub fn random() -> Self {
        Self { signer: PrivateKeySigner::random() }
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill_protocol::Address;
    use gristmill_protocol::ids::{AttemptNumber, JobId};

    #[test]
    fn a_key_is_opened_with_its_password_only_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/key.json");
        assert!(matches!(NodeKey::open(&path, "secret"), Err(KeyError::Missing(_))));
        let made = NodeKey::create(&path, "secret").unwrap();
        assert_eq!(NodeKey::open(&path, "secret").unwrap().id(), made.id());
        assert!(matches!(NodeKey::open(&path, "wrong"), Err(KeyError::Locked { .. })));
        assert!(matches!(NodeKey::create(&path, "secret"), Err(KeyError::Exists(_))));
        assert!(!format!("{made:?}").contains("signer"), "a key is never printed");
    }

    #[test]
    fn signatures_are_the_nodes_and_for_one_message() {
        let key = NodeKey::random();
        let domain = Domain { chain_id: 4439, contract: Address::repeat_byte(1) };
        let message = Message::Release { job_id: JobId::default(), attempt: AttemptNumber(1) };
        let other = Message::Release { job_id: JobId::default(), attempt: AttemptNumber(2) };
        let signature = key.sign(&domain, &message);
        assert_eq!(domain.signer(&message, &signature), Some(key.id().0));
        assert_ne!(domain.signer(&other, &signature), Some(key.id().0));
    }
}
