//! The spec finder: a job whose bounty is locked waits for its spec no longer than it must.
//!
//! The chain names a spec by its hash, which is also the CID of its raw block. So after the database is lost, or where a
//! submitter went to the chain first, the spec may be in the database, in this scheduler's content store, or behind a
//! gateway; whoever has it, it is the one that was meant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gristmill_market::Command;
use gristmill_market::demand::KnownSpec;
use gristmill_market::job::Job;
use gristmill_protocol::Address;
use gristmill_protocol::ids::{JobId, SpecHash};
use gristmill_protocol::spec::SPEC_BYTES_MAX;
use gristmill_protocol::time::Timestamp;
use tokio_util::sync::CancellationToken;

use super::reconciler::LOCKED;
use crate::clock::Clock;
use crate::content_store::{ContentStore, read_spec, spec_cid};
use crate::store::{self, Store, StoreError};
use crate::turn::{Refused, Turns, new_lease_token};
use crate::wake::Wake;

/// How often to look for jobs that wait for their spec.
const LOOK_AGAIN_MS: u64 = 10_000;
/// Jobs that are read of the database at once.
const PAGE_JOBS: usize = 500;
/// Specs that gateways are asked for in one round.
const FETCHES_MAX: usize = 16;
/// Specs of which it is remembered that no gateway had them.
const ASKED_MAX: usize = 10_000;
/// A spec that no gateway had is asked for again after this, then after twice that, and so on up to the longest.
const ASK_AGAIN_MS: u64 = 30_000;
const ASK_AGAIN_MS_MAX: u64 = 3_600_000;
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Finds specs.
pub struct SpecFinder {
    pub store: Arc<dyn Store>,
    pub turns: Turns,
    pub wake: Arc<Wake>,
    pub clock: Clock,
    pub content: Arc<ContentStore>,
    /// Who is said to have stored what was found.
    pub scheduler: Address,
    pub gateways: Vec<String>,
    pub http: reqwest::Client,
    /// What no gateway had, how often, and when to ask again. Lost, it is asked for again.
    pub asked: HashMap<SpecHash, (u32, Timestamp)>,
}

/// Why a round came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("the database cannot be read")]
    Store(#[from] StoreError),
    #[error("the database cannot be written: {0}")]
    Write(#[from] Refused),
}

/// A client for gateways.
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().timeout(FETCH_TIMEOUT).build()
}

impl SpecFinder {
    /// Looks until it is told to stop: when a spec was uploaded, and every so often.
    pub async fn run(mut self, stop: CancellationToken) {
        if let Err(error) = self.keep_all().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "specs of unfinished jobs are in the database only"
            );
        }
        let wake = Arc::clone(&self.wake);
        loop {
            let uploaded = wake.spec_finder.notified();
            tokio::select! {
                () = stop.cancelled() => return,
                found = self.round() => {
                    if let Err(error) = found {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "specs could not be looked for"
                        );
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = uploaded => {}
                () = self.clock.sleep_ms(LOOK_AGAIN_MS) => {}
            }
        }
    }

    /// Sees to it that the spec of every unfinished job is in the content store, too: whoever ran an older version has it
    /// in the database alone.
    pub async fn keep_all(&self) -> Result<(), FindError> {
        for escrow in LOCKED {
            let mut after = None;
            loop {
                let (last, specs) = store::read(&self.store, move |rows| {
                    let jobs = rows.jobs_in_escrow(escrow, after, PAGE_JOBS)?;
                    let mut specs = Vec::new();
                    for hash in jobs.iter().map(|job| job.terms.spec_hash) {
                        if let Some(spec) = rows.spec(hash)? {
                            specs.push(KnownSpec { hash, spec });
                        }
                    }
                    Ok((jobs.last().map(|job| job.id), specs))
                })
                .await?;
                let content = Arc::clone(&self.content);
                let keeping = tokio::task::spawn_blocking(move || {
                    specs.iter().try_for_each(|known| content.keep_spec(known))
                });
                if let Ok(Err(error)) = keeping.await {
                    tracing::warn!(%error, "the content store does not take the specs of unfinished jobs");
                    return Ok(());
                }
                after = last;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Looks for every spec that a job waits for; how many jobs go on with it.
    pub async fn round(&mut self) -> Result<usize, FindError> {
        let (mut after, mut fetches, mut completed) = (None, FETCHES_MAX, 0);
        loop {
            let waiting =
                store::read(&self.store, move |rows| rows.jobs_without_spec(after, PAGE_JOBS));
            let jobs = waiting.await?;
            let Some(last) = jobs.last() else { return Ok(completed) };
            after = Some(last.id);
            for job in &jobs {
                if let Some(known) = self.find(job, &mut fetches).await? {
                    completed += usize::from(self.complete(job, known).await?);
                }
            }
        }
    }

    async fn find(
        &mut self,
        job: &Job,
        fetches: &mut usize,
    ) -> Result<Option<KnownSpec>, FindError> {
        let hash = job.terms.spec_hash;
        if let Some(spec) = store::read(&self.store, move |rows| rows.spec(hash)).await? {
            return Ok(Some(KnownSpec { hash, spec }));
        }
        let content = Arc::clone(&self.content);
        let looking = tokio::task::spawn_blocking(move || content.find_spec(hash)).await;
        match looking {
            Ok(Ok(Some(known))) => return Ok(Some(known)),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%hash, %error, "a spec cannot be read"),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        let now = self.clock.now();
        let asked = self.asked.get(&hash);
        if asked.is_some_and(|(_, again_at)| *again_at > now) || *fetches == 0 {
            return Ok(None);
        }
        *fetches -= 1;
        let found = self.fetch(hash).await;
        match &found {
            Some(_) => {
                self.asked.remove(&hash);
            }
            None => self.waits(job.id, hash, now),
        }
        Ok(found)
    }

    /// Remembers that nobody has the spec, and says so the first time.
    fn waits(&mut self, job: JobId, hash: SpecHash, now: Timestamp) {
        if self.asked.len() >= ASKED_MAX {
            self.asked.clear();
        }
        let (tries, ask_at) = self.asked.entry(hash).or_default();
        if *tries == 0 {
            tracing::warn!(%job, spec = %hash, cid = %spec_cid(hash), "the bounty of a job is locked, and nobody has its spec: it waits until somebody uploads it");
        }
        let pause_ms = (ASK_AGAIN_MS << (*tries).min(16)).min(ASK_AGAIN_MS_MAX);
        *tries = tries.saturating_add(1);
        *ask_at = now.plus_millis(pause_ms);
    }

    /// Asks the gateways one after another, until one has it.
    async fn fetch(&self, hash: SpecHash) -> Option<KnownSpec> {
        for gateway in &self.gateways {
            match self.fetch_from(gateway, hash).await {
                Ok(Some(known)) => return Some(known),
                Ok(None) => {
                    tracing::debug!(gateway, spec = %hash, "what a gateway sends is not the spec")
                }
                Err(error) => {
                    tracing::debug!(gateway, spec = %hash, %error, "a gateway does not have the spec")
                }
            }
        }
        None
    }

    async fn fetch_from(
        &self,
        gateway: &str,
        hash: SpecHash,
    ) -> reqwest::Result<Option<KnownSpec>> {
        let cid = spec_cid(hash);
        let url = format!("{}/ipfs/{cid}?format=raw", gateway.trim_end_matches('/'));
        let mut answer = self
            .http
            .get(url)
            .header("accept", "application/vnd.ipld.raw")
            .send()
            .await?
            .error_for_status()?;
        let mut json = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            // A gateway is a stranger: it cannot fill our memory.
            if json.len() + chunk.len() > SPEC_BYTES_MAX {
                return Ok(None);
            }
            json.extend_from_slice(&chunk);
        }
        // Only the canonical JSON of the spec itself has this hash.
        Ok(read_spec(hash, &json))
    }

    /// Stores the spec, and lets the job go on. False where it did not want it any more.
    async fn complete(&self, job: &Job, known: KnownSpec) -> Result<bool, FindError> {
        let (content, kept) = (Arc::clone(&self.content), known.clone());
        let keeping = tokio::task::spawn_blocking(move || content.keep_spec(&kept)).await;
        if let Ok(Err(error)) = keeping {
            tracing::warn!(spec = %known.hash, %error, "a spec is in the database only: the content store does not take it");
        }
        let (by, now, stored) = (self.scheduler, self.clock.now(), known.clone());
        self.turns.write("found_spec", move |rows| rows.put_spec(&stored, by, now)).await?;
        let command = Command::CreateJob {
            job: job.id,
            // The submitter has said it on chain: the bounty of exactly these terms is locked.
            by: job.terms.submitter,
            terms: job.terms,
            spec: known,
            funding: None,
            token: new_lease_token(),
        };
        match self.turns.submit(command).await {
            Ok(_) => {
                tracing::info!(job = %job.id, "the spec of a job was found: it goes on");
                Ok(true)
            }
            Err(error @ (Refused::Rejected(_) | Refused::Failed | Refused::KeyReused)) => {
                tracing::warn!(job = %job.id, error = &error as &dyn std::error::Error, "the spec of a job was found, and does not help it");
                Ok(false)
            }
            Err(error @ Refused::Unavailable) => Err(error.into()),
        }
    }
}
