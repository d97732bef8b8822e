//! Files over https: a sha-256 is mandatory, a download that was cut goes on where it stopped, and every hop of a
//! redirect is checked as if the job had named it.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use gristmill_protocol::address::Allowed;
use gristmill_protocol::content::sha256_of_reader;
use reqwest::{Response, StatusCode, header};
use url::Url;

use super::FetchError;
use crate::config::ContentConfig;
use crate::session::Backoff;

const REDIRECTS_MAX: usize = 5;
/// Tries that bring not a single byte more.
const IDLE_TRIES_MAX: u32 = 3;

pub(super) struct Download<'a> {
    pub(super) allowed: &'a Allowed,
    pub(super) config: &'a ContentConfig,
    pub(super) bytes_max: u64,
}

impl Download<'_> {
    /// Places a file at `path`, which does not exist. Nothing stays where it fails.
    pub(super) async fn fetch(
        &self,
        uri: &str,
        sha256: &str,
        path: &Path,
    ) -> Result<u64, FetchError> {
        let partial = path.with_file_name(".partial");
        let fetched = self.fetch_to(uri, sha256, &partial).await;
        if fetched.is_err() {
            fs::remove_file(&partial).ok();
        }
        let bytes = fetched?;
        fs::rename(&partial, path).map_err(|error| FetchError::local("place an input", error))?;
        Ok(bytes)
    }

    async fn fetch_to(&self, uri: &str, sha256: &str, partial: &Path) -> Result<u64, FetchError> {
        let url: Url = uri
            .parse()
            .map_err(|error| FetchError::JobsFault(format!("`{uri}` is no URL: {error}")))?;
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(partial)
            .map_err(|error| FetchError::local("write an input", error))?;
        let mut have = 0;
        let mut idle_tries = 0;
        let mut backoff = Backoff::default();
        loop {
            let before = have;
            match self.attempt(&url, &mut file, &mut have).await {
                Ok(()) => break,
                Err(FetchError::JobsFault(reason)) => return Err(FetchError::JobsFault(reason)),
                Err(FetchError::Infrastructure(reason)) => {
                    idle_tries = if have > before { 0 } else { idle_tries + 1 };
                    if idle_tries >= IDLE_TRIES_MAX {
                        return Err(FetchError::Infrastructure(reason));
                    }
                    tracing::info!(reason, have, "a download was cut; going on");
                    backoff.pause().await;
                }
            }
        }
        file.seek(SeekFrom::Start(0)).map_err(|error| FetchError::local("read an input", error))?;
        let (found, bytes) = sha256_of_reader(&mut file, self.bytes_max)
            .map_err(|error| FetchError::local("read an input", error))?;
        let found = hex::encode(found.0);
        if found != sha256 {
            return Err(FetchError::JobsFault(format!(
                "`{uri}` has the sha-256 {found}, the job names {sha256}"
            )));
        }
        Ok(bytes)
    }

    /// Goes on from the byte `have`.
    async fn attempt(&self, url: &Url, file: &mut File, have: &mut u64) -> Result<(), FetchError> {
        let response = self.get(url, *have).await?;
        let too_large = || {
            FetchError::JobsFault(format!(
                "`{url}` is larger than the {} bytes that are left",
                self.bytes_max
            ))
        };
        if response.status() != StatusCode::PARTIAL_CONTENT {
            // The other side cannot resume: from the beginning.
            *have = 0;
            file.set_len(0).map_err(|error| FetchError::local("write an input", error))?;
        }
        if response
            .content_length()
            .is_some_and(|length| have.saturating_add(length) > self.bytes_max)
        {
            return Err(too_large());
        }
        file.seek(SeekFrom::Start(*have))
            .map_err(|error| FetchError::local("write an input", error))?;
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map_err(|error| FetchError::local(&format!("download `{url}`"), error))?;
            if have.saturating_add(chunk.len() as u64) > self.bytes_max {
                return Err(too_large());
            }
            file.write_all(&chunk).map_err(|error| FetchError::local("write an input", error))?;
            *have += chunk.len() as u64;
        }
        Ok(())
    }

    async fn get(&self, url: &Url, from: u64) -> Result<Response, FetchError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let (host, addresses) = self.allowed.resolve(&url).await?;
            let http = reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(10))
                .read_timeout(Duration::from_secs(self.config.read_timeout_seconds))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .resolve_to_addrs(&host, &addresses)
                .build()
                .map_err(|error| FetchError::local("make an HTTP client", error))?;
            let mut request = http.get(url.clone());
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            let response = request
                .send()
                .await
                .map_err(|error| FetchError::local(&format!("download `{url}`"), chain(&error)))?;
            let status = response.status();
            if status.is_redirection() {
                let target =
                    response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
                let target = target.and_then(|target| url.join(target).ok());
                url = target.ok_or_else(|| {
                    FetchError::JobsFault(format!("`{url}` redirects to nowhere"))
                })?;
                continue;
            }
            if status.is_success() {
                return Ok(response);
            }
            let text = format!("`{url}` answers {status}");
            let is_final = status.is_client_error()
                && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
            return Err(if is_final {
                FetchError::JobsFault(text)
            } else {
                FetchError::Infrastructure(text)
            });
        }
        Err(FetchError::JobsFault(format!("`{url}` redirects more than {REDIRECTS_MAX} times")))
    }
}

/// An error with its causes: the outer one alone says only that a request failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
