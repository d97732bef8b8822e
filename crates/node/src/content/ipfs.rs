//! Content by CID from trustless gateways: whole as a CAR first, then block by block what is still missing. Every
//! block is checked, so a gateway can be slow or absent, but not lie.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt;
use gristmill_protocol::content::{self, Cid, ContentError, ContentUri, Fetch, Limits};
use reqwest::StatusCode;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{FetchError, Fetcher};

/// Blocks that are asked for at once.
const BLOCKS_AT_ONCE: usize = 16;

/// What the gateways said of something that could not be had.
#[derive(Default)]
struct Answers {
    absent: usize,
    others: Vec<String>,
}

impl Fetcher {
    /// Places the file or directory of a URI at `path`, which does not exist. Returns the bytes of its files.
    pub(super) async fn fetch_ipfs(
        &self,
        uri: &ContentUri,
        path: &Path,
        limits: Limits,
    ) -> Result<u64, FetchError> {
        let mut fetch = Fetch::new(uri, limits);
        if !self.wanted(&mut fetch)?.is_empty() {
            for gateway in &self.gateways {
                let taken;
                (fetch, taken) = self.take_car(fetch, gateway, uri).await?;
                if let Err(error) = taken {
                    tracing::info!(gateway, %error, "a gateway did not give the whole content");
                }
                if self.wanted(&mut fetch)?.is_empty() {
                    break;
                }
            }
        }
        loop {
            let wanted = self.wanted(&mut fetch)?;
            if wanted.is_empty() {
                break;
            }
            for cid in wanted {
                let block = self.block(&cid).await?;
                fetch
                    .accept(self.store.as_ref(), &cid, &block)
                    .map_err(|error| content_error(uri, error))?;
            }
        }
        let (store, uri, path) = (Arc::clone(&self.store), uri.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || {
            let export = || {
                let root = content::resolve(store.as_ref(), &uri, &limits)?;
                content::export(store.as_ref(), &root, &path, &limits)
            };
            export().map(|exported| exported.bytes).map_err(|error| content_error(&uri, error))
        })
        .await
        .map_err(|error| FetchError::local("write an input", error))?
    }

    fn wanted(&self, fetch: &mut Fetch) -> Result<Vec<Cid>, FetchError> {
        fetch
            .wanted(self.store.as_ref(), BLOCKS_AT_ONCE)
            .map_err(|error| FetchError::JobsFault(format!("an input is refused: {error}")))
    }

    /// Takes in what a gateway sends. Blocks that came before it failed are kept.
    async fn take_car(
        &self,
        mut fetch: Fetch,
        gateway: &str,
        uri: &ContentUri,
    ) -> Result<(Fetch, Result<u64, String>), FetchError> {
        let url = format!("{gateway}/ipfs/{}?format=car", path_of(uri));
        let response =
            match self.http.get(url).header("accept", "application/vnd.ipld.car").send().await {
                Ok(response) if response.status().is_success() => response,
                Ok(response) => {
                    return Ok((fetch, Err(format!("it answers {}", response.status()))));
                }
                Err(error) => return Ok((fetch, Err(error.to_string()))),
            };
        let stream = response.bytes_stream().map_err(io::Error::other);
        let mut reader = SyncIoBridge::new(StreamReader::new(Box::pin(stream)));
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            let taken =
                fetch.accept_car(store.as_ref(), &mut reader).map_err(|error| error.to_string());
            (fetch, taken)
        })
        .await
        .map_err(|error| FetchError::local("read a CAR", error))
    }

    async fn block(&self, cid: &Cid) -> Result<Vec<u8>, FetchError> {
        let mut answers = Answers::default();
        for gateway in &self.gateways {
            let url = format!("{gateway}/ipfs/{cid}?format=raw");
            match self.http.get(url).header("accept", "application/vnd.ipld.raw").send().await {
                Ok(response) if response.status().is_success() => {
                    match read_block(response).await {
                        Ok(bytes) if content::verify(cid, &bytes).is_ok() => return Ok(bytes),
                        Ok(_) => answers.others.push(format!("{gateway} sent other bytes")),
                        Err(error) => answers.others.push(format!("{gateway}: {error}")),
                    }
                }
                Ok(response)
                    if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) =>
                {
                    answers.absent += 1;
                }
                Ok(response) => {
                    answers.others.push(format!("{gateway} answers {}", response.status()))
                }
                Err(error) => answers.others.push(format!("{gateway}: {error}")),
            }
        }
        if answers.others.is_empty() {
            let count = answers.absent;
            Err(FetchError::JobsFault(format!("block {cid} is at none of the {count} gateways")))
        } else {
            Err(FetchError::Infrastructure(format!(
                "block {cid} cannot be had: {}",
                answers.others.join("; ")
            )))
        }
    }
}

async fn read_block(response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(|error| error.to_string())? {
        if (bytes.len() + chunk.len()) as u64 > content::BLOCK_BYTES_MAX {
            return Err("more than the largest block".into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn path_of(uri: &ContentUri) -> String {
    let mut path = uri.root().to_string();
    for name in uri.path() {
        path.push('/');
        path.extend(url::form_urlencoded::byte_serialize(name.as_bytes()));
    }
    path.replace('+', "%20")
}

/// Content that was fetched and still cannot be used is the job's fault; a disk that fails is not.
fn content_error(uri: &ContentUri, error: ContentError) -> FetchError {
    let is_local = matches!(
        error,
        ContentError::Io { .. } | ContentError::Store { .. } | ContentError::Stream { .. }
    );
    if is_local {
        FetchError::local("write an input", error)
    } else {
        FetchError::JobsFault(format!("`{uri}` is refused: {error}"))
    }
}
