//! The deployer's key: from an encrypted keystore, whose password comes from a file or the terminal and from nowhere
//! else. Arguments and environment of a process can be read by others.

use std::io::{IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result, bail, ensure};
use console::Term;

const PASSWORD_BYTES_MAX: u64 = 4096;

pub(crate) fn unlock(keystore: &Path, password_file: Option<&Path>) -> Result<PrivateKeySigner> {
    let name = keystore.display();
    ensure!(
        keystore.is_file(),
        "there is no keystore at `{name}`: make one with `gristmill wallet new --out {name}`"
    );
    let password = match password_file {
        Some(file) => read(file)?,
        None => ask(keystore)?,
    };
    // The error names a wrong password or a broken file, and repeats neither.
    PrivateKeySigner::decrypt_keystore(keystore, password)
        .with_context(|| format!("the keystore `{name}` does not open with this password"))
}

/// The first line of a file that nobody else can read.
fn read(path: &Path) -> Result<String> {
    let name = path.display();
    let file = std::fs::File::open(path)
        .with_context(|| format!("cannot read the password file `{name}`"))?;
    let metadata = file.metadata()?;
    ensure!(
        !metadata.is_file() || metadata.permissions().mode() & 0o077 == 0,
        "others can read the password file `{name}`: run `chmod 600 {name}`"
    );
    let mut text = String::new();
    file.take(PASSWORD_BYTES_MAX)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read the password file `{name}`"))?;
    let Some(password) = text.lines().next().filter(|line| !line.is_empty()) else {
        bail!("the password file `{name}` starts with an empty line");
    };
    Ok(password.to_owned())
}

fn ask(keystore: &Path) -> Result<String> {
    let term = Term::stderr();
    ensure!(
        term.is_term() && std::io::stdin().is_terminal(),
        "a password is needed, and there is no terminal to ask on: name a --password-file"
    );
    term.write_str(&format!("Password of {}: ", keystore.display()))?;
    Ok(term.read_secure_line()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("correct horse\n", 0o600);
        assert_eq!(read(&path).unwrap(), "correct horse");
        write("correct horse", 0o400);
        assert_eq!(read(&path).unwrap(), "correct horse");
        for (text, mode, word) in
            [("correct horse", 0o644, "chmod 600"), ("", 0o600, "empty"), ("\nx", 0o600, "empty")]
        {
            write(text, mode);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("horse"), "{error}");
        }
        assert!(read(&folder.path().join("none")).is_err());
    }
}
