//! Data on its way in and out: inputs and modules, verified before the program sees them; the output, hashed and
//! packed for the scheduler.

mod https;
mod ipfs;
#[cfg(test)]
mod tests;

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gristmill_protocol::address::{AddressError, Allowed};
use gristmill_protocol::content::{
    self, BlockStore, ContentError, ContentUri, DirStore, Durability, Limits,
};
use gristmill_protocol::ids::ManifestHash;
use gristmill_protocol::spec::Input;

use crate::config::ContentConfig;
use crate::runtime::OUTPUT_ENTRIES_MAX;

/// Why data cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The job itself is to blame: it names what does not exist, is not what it says, or may not be reached.
    #[error("{0}")]
    JobsFault(String),
    /// The network, the disk, or the other side: another node, or another time, may do.
    #[error("{0}")]
    Infrastructure(String),
}

impl FetchError {
    pub(crate) fn local(doing: &str, error: impl std::fmt::Display) -> Self {
        Self::Infrastructure(format!("cannot {doing}: {error}"))
    }
}

impl From<AddressError> for FetchError {
    fn from(error: AddressError) -> Self {
        match error {
            AddressError::Refused { .. } => Self::JobsFault(error.to_string()),
            AddressError::Unknown { .. } => Self::Infrastructure(error.to_string()),
        }
    }
}

/// Fetches what jobs name. Blocks are kept for the next job, up to a limit.
pub struct Fetcher {
    http: reqwest::Client,
    gateways: Vec<String>,
    store: Arc<DirStore>,
    allowed: Allowed,
    config: ContentConfig,
}

/// An output that is ready to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collected {
    pub cid: String,
    pub manifest_hash: ManifestHash,
    pub bytes: u64,
}

impl Fetcher {
    /// `scheduler_url` is the first gateway: the provider has named it in the configuration, so it may be anywhere.
    pub fn new(
        config: &ContentConfig,
        scheduler_url: &str,
        cache: &Path,
    ) -> Result<Self, FetchError> {
        let read_timeout = Duration::from_secs(config.read_timeout_seconds);
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(read_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| FetchError::local("make an HTTP client", error))?;
        // Blocks are checked each time they are read, so the cache may lose its newest ones in a crash.
        let store = DirStore::open(cache, Durability::Cached)
            .map_err(|error| FetchError::local("open the cache", error))?;
        let gateways = std::iter::once(scheduler_url)
            .chain(config.gateways.iter().map(String::as_str))
            .map(|gateway| gateway.trim_end_matches('/').to_owned())
            .collect();
        Ok(Self {
            http,
            gateways,
            store: Arc::new(store),
            allowed: Allowed::new(&config.allow_hosts),
            config: config.clone(),
        })
    }

    /// Places all inputs below `into`, which exists and is empty. Returns the bytes that they take.
    pub async fn fetch_inputs(
        &self,
        inputs: &[Input],
        into: &Path,
        bytes_max: u64,
    ) -> Result<u64, FetchError> {
        let mut bytes = 0;
        for input in inputs {
            let path = into.join(&input.path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)
                    .map_err(|error| FetchError::local("make a folder", error))?;
            }
            let room = bytes_max - bytes;
            let fetched =
                tokio::time::timeout(self.total_timeout(), self.fetch(input, &path, room)).await;
            bytes += fetched.map_err(|_| {
                let seconds = self.config.total_timeout_seconds;
                FetchError::Infrastructure(format!(
                    "`{}` did not arrive within {seconds} s",
                    input.uri
                ))
            })??;
        }
        open_to_readers(into)
            .map_err(|error| FetchError::local("open the inputs to the program", error))?;
        Ok(bytes)
    }

    /// Places a WASM module at `path`.
    pub async fn fetch_module(&self, cid: &str, path: &Path) -> Result<(), FetchError> {
        let uri: ContentUri = format!("ipfs://{cid}")
            .parse()
            .map_err(|error: ContentError| FetchError::JobsFault(error.to_string()))?;
        let limits = self.limits(self.config.module_bytes_max);
        let fetched =
            tokio::time::timeout(self.total_timeout(), self.fetch_ipfs(&uri, path, limits)).await;
        fetched.map_err(|_| {
            FetchError::Infrastructure("the module did not arrive in time".into())
        })??;
        if !path.is_file() {
            return Err(FetchError::JobsFault(format!("{cid} is a directory, not a module")));
        }
        Ok(())
    }

    async fn fetch(&self, input: &Input, path: &Path, room: u64) -> Result<u64, FetchError> {
        if input.uri.starts_with("ipfs://") {
            let uri: ContentUri = input
                .uri
                .parse()
                .map_err(|error: ContentError| FetchError::JobsFault(error.to_string()))?;
            return self.fetch_ipfs(&uri, path, self.limits(room)).await;
        }
        let sha256 = input.sha256.as_deref().unwrap_or_default();
        https::Download { allowed: &self.allowed, config: &self.config, bytes_max: room }
            .fetch(&input.uri, sha256, path)
            .await
    }

    fn limits(&self, bytes_max: u64) -> Limits {
        Limits { bytes_max, files_max: OUTPUT_ENTRIES_MAX, ..Limits::default() }
    }

    fn total_timeout(&self) -> Duration {
        Duration::from_secs(self.config.total_timeout_seconds)
    }

    /// Empties the cache once it has grown beyond its limit.
    pub fn trim_cache(&self) -> io::Result<()> {
        let bytes = self.store.bytes()?;
        if bytes <= self.config.cache_bytes_max {
            return Ok(());
        }
        // Everything goes: what is needed again is fetched again, and no block is ever half there.
        self.store.sweep(|_| false)?;
        tracing::info!(bytes, "emptied the cache, which had grown beyond its limit");
        Ok(())
    }
}

/// Hashes an output and packs it. Links and special files are refused: they mean nothing elsewhere.
pub fn collect(
    output: &Path,
    blocks: &Path,
    car: &Path,
    bytes_max: u64,
) -> Result<Collected, FetchError> {
    let limits = Limits { bytes_max, files_max: OUTPUT_ENTRIES_MAX, ..Limits::default() };
    let store = DirStore::open(blocks, Durability::Cached)
        .map_err(|error| FetchError::local("make room for the output", error))?;
    let (added, manifest) = content::add_dir_with_manifest(&store, output, &limits)
        .map_err(|error| output_error(&error))?;
    let file = File::create(car).map_err(|error| FetchError::local("pack the output", error))?;
    let mut writer = BufWriter::new(file);
    // The blocks of an output take a little more room than its files.
    let packed =
        Limits { bytes_max: bytes_max.saturating_mul(2).saturating_add(1 << 20), ..limits };
    content::write_car(&store as &dyn BlockStore, &added.cid, &mut writer, &packed)
        .map_err(|error| FetchError::local("pack the output", error))?;
    writer.flush().map_err(|error| FetchError::local("pack the output", error))?;
    Ok(Collected {
        cid: added.cid.to_string(),
        manifest_hash: manifest.hash(),
        bytes: manifest.bytes(),
    })
}

fn output_error(error: &ContentError) -> FetchError {
    let is_the_jobs = matches!(
        error,
        ContentError::Symlink { .. }
            | ContentError::SpecialFile { .. }
            | ContentError::LimitExceeded(_)
            | ContentError::InvalidName { .. }
            | ContentError::Changed { .. }
    );
    if is_the_jobs {
        FetchError::JobsFault(format!("the output cannot be taken: {error}"))
    } else {
        FetchError::local("hash the output", error)
    }
}

/// The program runs as nobody, and reads what the agent wrote for itself.
fn open_to_readers(folder: &Path) -> io::Result<()> {
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                fs::set_permissions(entry.path(), Permissions::from_mode(0o644))?;
            }
        }
    }
    Ok(())
}
