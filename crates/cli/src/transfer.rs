//! Content to the scheduler and back, as CAR streams; every block that arrives is verified.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use gristmill_protocol::content::{
    Added, Cid, ContentError, ContentUri, DirStore, Durability, Fetch, Limits, add_path, write_car,
};
use indicatif::ProgressBar;
use reqwest::Body;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::app::App;
use crate::failure::{Exit, Failure, Result};
use crate::output::plain;
use crate::quantity;

/// Bytes of a CAR that are handed over at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that may wait for the network.
const CHUNKS_WAITING_MAX: usize = 8;
/// Downloads of one content that bring something new, but not all, before giving up.
const DOWNLOADS_MAX: u32 = 5;

/// Blocks on this machine for the length of one command.
pub(crate) struct Workbench {
    store: Arc<DirStore>,
    _directory: TempDir,
}

impl Workbench {
    pub(crate) fn new() -> Result<Self> {
        let failed = |error: io::Error| {
            let temporary = std::env::temp_dir();
            Failure::new(
                Exit::Local,
                format!("cannot make a directory in `{}`: {error}", temporary.display()),
            )
            .hint("set TMPDIR to a directory with room for the data")
        };
        let directory = tempfile::Builder::new().prefix("gristmill-").tempdir().map_err(failed)?;
        let store =
            DirStore::open(directory.path().join("blocks"), Durability::Cached).map_err(failed)?;
        Ok(Self { store: Arc::new(store), _directory: directory })
    }

    pub(crate) fn store(&self) -> &DirStore {
        &self.store
    }

    /// Cuts a file or directory into blocks and learns its CID. Nothing leaves this machine.
    pub(crate) async fn add(&self, path: &Path) -> Result<Added> {
        let store = Arc::clone(&self.store);
        let path = path.to_owned();
        blocking(move || Ok(add_path(store.as_ref(), &path, &Limits::default())?)).await
    }

    /// Sends what [`add`](Self::add) made.
    pub(crate) async fn upload(&self, app: &App, added: &Added, name: &str) -> Result<()> {
        let info = app.call(|client| client.info()).await?;
        if added.dag_bytes > info.content_bytes_max {
            return Err(Failure::new(
                Exit::Refused,
                format!(
                    "`{name}` has {}, and this scheduler takes at most {} in one upload",
                    quantity::bytes(added.dag_bytes),
                    quantity::bytes(info.content_bytes_max)
                ),
            )
            .hint("put it on IPFS, or on an https server, and give its CID or URL"));
        }
        let bar = app.out.bar(added.dag_bytes, &plain(name));
        let stored = app
            .call(|client| {
                bar.set_position(0);
                client.put_content(Body::wrap_stream(self.car(added.cid, bar.clone())))
            })
            .await;
        bar.finish_and_clear();
        let root = added.cid.to_string();
        if !stored?.roots.contains(&root) {
            return Err(Failure::new(
                Exit::Refused,
                format!("the scheduler did not store {root} completely"),
            )
            .hint("try again; what it has already is not lost"));
        }
        Ok(())
    }

    /// The CAR below `root`, made while it is sent.
    fn car(&self, root: Cid, bar: ProgressBar) -> ReceiverStream<io::Result<Bytes>> {
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            let mut writer =
                io::BufWriter::with_capacity(CHUNK_BYTES, Pipe { sender: sender.clone(), bar });
            let written = write_car(store.as_ref(), &root, &mut writer, &Limits::default())
                .map_err(io::Error::other)
                .and_then(|_| writer.flush());
            if let Err(error) = written {
                // Breaks the request off, so that the scheduler does not take half a CAR for a whole one.
                let _ = sender.blocking_send(Err(error));
            }
        });
        ReceiverStream::new(receiver)
    }

    /// Gets everything below `root` from the scheduler's gateway; what came is kept when the connection breaks.
    pub(crate) async fn download(&self, app: &App, root: Cid, bytes_max: u64) -> Result<()> {
        let limits = Limits { bytes_max, ..Limits::default() };
        let bar = app.out.bar(bytes_max, "downloading");
        let result = self.download_with(app, root, limits, &bar).await;
        bar.finish_and_clear();
        result
    }

    async fn download_with(
        &self,
        app: &App,
        root: Cid,
        limits: Limits,
        bar: &ProgressBar,
    ) -> Result<()> {
        let cid = root.to_string();
        for _ in 0..DOWNLOADS_MAX {
            let stream = app.call(|client| client.car(&cid)).await?;
            let counter = bar.clone();
            let stream = stream.map(move |chunk| {
                let chunk = chunk.map_err(io::Error::other)?;
                counter.inc(chunk.len() as u64);
                Ok::<Bytes, io::Error>(chunk)
            });
            let mut reader = SyncIoBridge::new(StreamReader::new(Box::pin(stream)));
            let store = Arc::clone(&self.store);
            let (taken, missing) = blocking(move || {
                let mut fetch = Fetch::new(&ContentUri::from(root), limits);
                let taken = fetch.accept_car(store.as_ref(), &mut reader);
                let missing = fetch.wanted(store.as_ref(), 1)?.pop();
                Ok((taken, missing))
            })
            .await?;
            match (taken, missing) {
                (_, None) => return Ok(()),
                (Ok(0), Some(missing)) => {
                    return Err(Failure::new(
                        Exit::NotFound,
                        format!("the scheduler does not have block {missing} of {cid}"),
                    ));
                }
                (Err(error @ ContentError::BlockMismatch { .. }), Some(_)) => {
                    return Err(error.into());
                }
                (taken, Some(_)) => {
                    let why =
                        taken.err().map(|error| format!(" ({})", crate::failure::chain_of(&error)));
                    app.out.note(format!(
                        "the download broke off{}; going on",
                        why.unwrap_or_default()
                    ));
                }
            }
        }
        Err(Failure::new(
            Exit::Unreachable,
            format!("the download of {cid} broke off {DOWNLOADS_MAX} times"),
        )
        .hint("try again later; the scheduler serves results for a while after the job ends"))
    }
}

/// Writes into a channel that a request reads from.
struct Pipe {
    sender: mpsc::Sender<io::Result<Bytes>>,
    bar: ProgressBar,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sender
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.bar.inc(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs file work away from the network's thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::caused(Exit::Local, "a thread of this program failed", &error))?
}
