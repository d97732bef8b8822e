//! Names in directories: a stranger chooses them, so they are names and never paths.

use std::path::{Component, Path};

use super::{ContentError, Result};

/// What ext4, XFS, APFS and NTFS accept.
const NAME_BYTES_MAX: usize = 255;

/// Refuses a name that is not exactly one component of a path, on this system or any Unix.
pub(super) fn check_name(directory: &str, name: &str) -> Result<()> {
    match fault(name) {
        None => Ok(()),
        Some(reason) => Err(ContentError::InvalidName {
            directory: directory.to_owned(),
            name: name.chars().take(NAME_BYTES_MAX).collect(),
            reason,
        }),
    }
}

pub(super) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name == "." || name == ".." {
        return Some("it means another directory");
    }
    if name.contains('/') {
        return Some("it holds a slash");
    }
    if name.contains('\0') {
        return Some("it holds a zero byte");
    }
    if name.len() > NAME_BYTES_MAX {
        return Some("it is longer than 255 bytes");
    }
    // Drive letters and backslashes on Windows.
    let mut components = Path::new(name).components();
    let one = matches!(components.next(), Some(Component::Normal(only)) if only == name);
    (!one || components.next().is_some()).then_some("it is not one name on this system")
}

/// The path of `name` in `directory`, where the empty directory is the root.
pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
