//! Wallets: encrypted JSON keystores (Web3 Secret Storage), readable by their owner only.

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use alloy::signers::k256::elliptic_curve::rand_core::OsRng;
use alloy::signers::local::coins_bip39::English;
use alloy::signers::local::{LocalSignerError, MnemonicBuilder, PrivateKeySigner};
use console::Term;
use sha2::{Digest, Sha256};

use crate::failure::{Exit, Failure, Result, chain_of, io};

/// Holds the password where nobody can type it.
pub(crate) const PASSWORD_VARIABLE: &str = "GRISTMILL_KEYSTORE_PASSWORD";
/// A keystore has about 500 bytes.
const KEYSTORE_BYTES_MAX: u64 = 64 * 1024;
const PASSWORD_CHARS_MIN: usize = 8;

/// A keystore file. Its key is read only when something must be signed.
#[derive(Clone, Debug)]
pub(crate) struct Wallet {
    path: PathBuf,
    /// What the file says; keystores of some other programs do not say it.
    address: Option<Address>,
    /// sha-256 of the file: tells wallets apart whose address needs a password.
    fingerprint: [u8; 32],
}

impl Wallet {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                return Failure::new(
                    Exit::Wallet,
                    format!("there is no wallet at `{}`", path.display()),
                )
                .hint("make one with `gristmill wallet new`, or name yours with --keystore FILE");
            }
            Failure { exit: Exit::Wallet, ..io("read the wallet", path)(error) }
        })?;
        if !metadata.is_file() || metadata.len() > KEYSTORE_BYTES_MAX {
            return Err(not_a_keystore(path));
        }
        let json = fs::read(path).map_err(io("read the wallet", path))?;
        let keystore: serde_json::Value =
            serde_json::from_slice(&json).map_err(|_| not_a_keystore(path))?;
        if !keystore["crypto"].is_object() {
            return Err(not_a_keystore(path));
        }
        let address = keystore["address"].as_str().and_then(|text| text.parse().ok());
        Ok(Self { path: path.to_owned(), address, fingerprint: Sha256::digest(&json).into() })
    }

    pub(crate) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The address, without a password where the file says it.
    pub(crate) fn address(&self) -> Result<Address> {
        match self.address {
            Some(address) => Ok(address),
            None => Ok(self.unlock()?.address()),
        }
    }

    /// The address, if it is known without a password.
    pub(crate) fn known_address(&self) -> Option<Address> {
        self.address
    }

    /// Decrypts the key, with the password from the environment or from whoever sits there.
    pub(crate) fn unlock(&self) -> Result<PrivateKeySigner> {
        let password = existing_password(&self.path)?;
        let signer = PrivateKeySigner::decrypt_keystore(&self.path, password)
            .map_err(|error| self.locked(&error))?;
        match self.address {
            Some(address) if address != signer.address() => Err(Failure::new(
                Exit::Wallet,
                format!(
                    "`{}` names {address} but holds the key of {}",
                    self.path.display(),
                    signer.address()
                ),
            )
            .hint("the file was changed by hand; import the key again")),
            Some(_) | None => Ok(signer),
        }
    }

    fn locked(&self, error: &LocalSignerError) -> Failure {
        let message = chain_of(error);
        let path = self.path.display();
        if message.contains("Mac Mismatch") {
            Failure::new(Exit::Wallet, format!("this password does not open the wallet `{path}`"))
                .hint(format!("the password comes from {PASSWORD_VARIABLE} where that is set"))
        } else {
            Failure::new(Exit::Wallet, format!("the wallet `{path}` cannot be opened: {message}"))
        }
    }
}

fn not_a_keystore(path: &Path) -> Failure {
    Failure::new(Exit::Wallet, format!("`{}` is not an encrypted wallet", path.display()))
        .hint("import a bare key with `gristmill wallet import`")
}

/// The file of a wallet that is known by its name.
pub(crate) fn path_of(directory: &Path, name: &str) -> Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(Failure::usage(format!(
            "`{}` is not a name: use letters, digits, - and _",
            crate::output::plain(name)
        )));
    }
    Ok(directory.join(format!("{name}.json")))
}

/// A key that nobody else has.
pub(crate) fn random_key() -> PrivateKeySigner {
    PrivateKeySigner::random_with(&mut OsRng)
}

/// Reads a private key in hexadecimal, or the words of a mnemonic and takes its account `index`.
pub(crate) fn read_key(text: &str, index: u32) -> Result<PrivateKeySigner> {
    let text = text.trim();
    let words = text.split_whitespace().count();
    // The text is a secret: no error repeats any of it.
    if words > 1 {
        return MnemonicBuilder::<English>::default()
            .phrase(text.split_whitespace().collect::<Vec<_>>().join(" "))
            .index(index)
            .and_then(|builder| builder.build())
            .map_err(|_| {
                Failure::usage(format!("these {words} words are not a valid BIP-39 mnemonic"))
                    .hint("check the spelling and the order; a mnemonic has 12 to 24 English words")
            });
    }
    text.parse().map_err(|_| {
        Failure::usage(
            "this is neither a private key (64 hexadecimal digits) nor a mnemonic (12 to 24 words)",
        )
    })
}

/// Encrypts `key` into a new file that only its owner can read. An existing file is never touched.
pub(crate) fn store(path: &Path, key: &PrivateKeySigner, password: &str) -> Result<Wallet> {
    if path.exists() {
        return Err(exists(path));
    }
    let directory =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(io("create", directory))?;
    // Encrypting into a private directory first: the file must never exist under a wider mode.
    let staging = tempfile::Builder::new()
        .prefix(".wallet-")
        .tempdir_in(directory)
        .map_err(io("write into", directory))?;
    let encrypted =
        |error: LocalSignerError| Failure::caused(Exit::Local, "cannot encrypt the wallet", &error);
    PrivateKeySigner::encrypt_keystore(
        staging.path(),
        &mut OsRng,
        key.to_bytes(),
        password,
        Some("key"),
    )
    .map_err(encrypted)?;
    let draft = staging.path().join("key");
    let json = fs::read(&draft).map_err(io("read", &draft))?;
    let mut keystore: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&json)
        .map_err(|error| Failure::caused(Exit::Local, "cannot encrypt the wallet", &error))?;
    keystore.insert("address".into(), hex::encode(key.address()).into());
    let json = serde_json::to_vec(&keystore)
        .map_err(|error| Failure::caused(Exit::Local, "cannot encrypt the wallet", &error))?;
    let finished = staging.path().join("wallet");
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&finished)?;
        file.write_all(&json)?;
        file.sync_all()?;
        // A link, unlike a rename, fails where a file came up meanwhile.
        fs::hard_link(&finished, path)?;
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(|error| {
        let taken = error.kind() == std::io::ErrorKind::AlreadyExists;
        if taken { exists(path) } else { io("write the wallet", path)(error) }
    })?;
    Wallet::open(path)
}

fn exists(path: &Path) -> Failure {
    Failure::usage(format!(
        "`{}` exists already, and a wallet is never overwritten",
        path.display()
    ))
    .hint("choose another --name, or move the file away if you are sure")
}

/// All wallets in a directory, sorted by name; other files are passed over.
pub(crate) fn list(directory: &Path) -> Result<Vec<(String, Wallet)>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("read", directory)(error)),
    };
    let mut wallets = Vec::new();
    for entry in entries {
        let path = entry.map_err(io("read", directory))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".json"));
        if let (Some(name), Ok(wallet)) = (name, Wallet::open(&path)) {
            wallets.push((name.to_owned(), wallet));
        }
    }
    wallets.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(wallets)
}

fn existing_password(path: &Path) -> Result<String> {
    match from_environment()? {
        Some(password) => Ok(password),
        None => prompt(&format!("Password of {}: ", path.display())),
    }
}

/// A password for a new wallet, typed twice.
pub(crate) fn new_password() -> Result<String> {
    let password = match from_environment()? {
        Some(password) => password,
        None => {
            let password = prompt("New password: ")?;
            if prompt("The same again: ")? != password {
                return Err(Failure::usage("the two passwords differ; nothing was written"));
            }
            password
        }
    };
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(Failure::usage(format!(
            "the password must have at least {PASSWORD_CHARS_MIN} characters"
        )));
    }
    Ok(password)
}

fn from_environment() -> Result<Option<String>> {
    match std::env::var(PASSWORD_VARIABLE) {
        Ok(password) => Ok(Some(password)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::usage(format!("{PASSWORD_VARIABLE} is not valid UTF-8")))
        }
    }
}

/// Asks on the terminal, without showing what is typed.
pub(crate) fn prompt(question: &str) -> Result<String> {
    let term = Term::stderr();
    if !term.is_term() || !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Wallet,
            "a password is needed, and there is no terminal to ask on",
        )
        .hint(format!(
            "set {PASSWORD_VARIABLE}; passwords are never taken from the command line"
        )));
    }
    let ask = || {
        term.write_str(question)?;
        term.read_secure_line()
    };
    ask().map_err(|error| Failure::new(Exit::Wallet, format!("cannot read the password: {error}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const WORDS: &str = "test test test test test test test test test test test junk";

    #[test]
    fn keys_and_mnemonics_are_read() {
        let key = read_key(KEY, 0).unwrap();
        assert_eq!(key.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert_eq!(read_key(&KEY[2..], 0).unwrap().address(), key.address());
        assert_eq!(read_key(&format!("  {WORDS}\n"), 0).unwrap().address(), key.address());
        let second = read_key(WORDS, 1).unwrap().address();
        assert_eq!(second.to_string(), "0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
    }

    #[test]
    fn no_error_repeats_a_secret() {
        for text in [&KEY[..60], "hunter2", "", "test test test junk", &format!("{KEY}00")] {
            let failure = read_key(text, 0).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            for word in text.split_whitespace().filter(|word| word.len() > 4) {
                assert!(!failure.message.contains(word), "{}", failure.message);
            }
        }
    }

    #[test]
    fn a_wallet_is_private_names_its_address_and_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wallets/main.json");
        let key = read_key(KEY, 0).unwrap();
        store(&path, &key, "correct horse").unwrap();

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let json = fs::read_to_string(&path).unwrap();
        assert!(!json.contains(&KEY[2..]) && !json.contains("correct horse"));
        let wallet = Wallet::open(&path).unwrap();
        assert_eq!(wallet.known_address(), Some(key.address()));
        assert_eq!(
            PrivateKeySigner::decrypt_keystore(&path, "correct horse").unwrap().to_bytes(),
            key.to_bytes()
        );
        assert!(PrivateKeySigner::decrypt_keystore(&path, "wrong horse").is_err());

        assert_eq!(store(&path, &random_key(), "another one").unwrap_err().exit, Exit::Usage);
        assert_eq!(fs::read_to_string(&path).unwrap(), json);
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "no draft is left behind"
        );
    }

    #[test]
    fn what_is_no_wallet_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.json");
        assert_eq!(Wallet::open(&path).unwrap_err().exit, Exit::Wallet);
        for text in ["", KEY, "{}", "[1]"] {
            fs::write(&path, text).unwrap();
            let failure = Wallet::open(&path).unwrap_err();
            assert_eq!(failure.exit, Exit::Wallet);
            assert!(!failure.message.contains(&KEY[2..]));
        }
        assert!(list(directory.path()).unwrap().is_empty());
        assert!(list(&directory.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn names_of_wallets_are_names() {
        let directory = Path::new("/w");
        assert_eq!(path_of(directory, "gpu-1").unwrap(), Path::new("/w/gpu-1.json"));
        for name in ["", ".", "../x", "a/b", "a b", "é"] {
            assert!(path_of(directory, name).is_err(), "{name}");
        }
    }
}
