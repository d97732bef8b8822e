//! What a container image's tag stands for now: asks the image's registry, within narrow limits.
//!
//! The reference is a stranger's, so the registry, every redirect and the issuer of its tokens are checked as any URL of a
//! stranger is. No answer is believed: a digest is computed here.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use gristmill_protocol::address::{AddressError, Allowed};
use gristmill_protocol::api::{IMAGE_PLATFORM, ResolvedImage};
use reqwest::{Response, StatusCode, Url, header};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

mod reference;
#[cfg(test)]
mod tests;

pub use reference::{Reference, ReferenceError};

/// How long one question may take, from the first name that is looked up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a manifest, of a configuration, and of a token's answer.
const DOCUMENT_BYTES_MAX: usize = 4 << 20;
const REDIRECTS_MAX: usize = 5;
/// Questions at the same time.
const QUESTIONS_MAX: usize = 8;
/// Answers that are kept, and for how long: a tag may move at any time.
const ANSWERS_MAX: usize = 256;
const KEPT: Duration = Duration::from_secs(60);
/// What is read of an index, and layers of one image.
const ENTRIES_MAX: usize = 1000;
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// Why an image was not found.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error("{0}; only public registries can be asked")]
    Forbidden(String),
    #[error(
        "{registry} has no public image {image}: is it written right, and can it be pulled without a login?"
    )]
    NotFound { registry: String, image: String },
    #[error("{image} is not there for {IMAGE_PLATFORM}, only for {found}")]
    WrongPlatform { image: String, found: String },
    #[error("{registry} cannot be asked now: {problem}")]
    Unavailable { registry: String, problem: String },
    #[error("as many images as possible are being looked up; try again soon")]
    Busy,
}

/// Asks registries, a few at a time, and remembers their answers for a moment.
pub struct Images {
    allowed: Allowed,
    insecure: Vec<String>,
    questions: Semaphore,
    patience: Duration,
    answers: Mutex<HashMap<String, (Instant, ResolvedImage)>>,
}

impl Images {
    /// `insecure_registries` (`host:port`) are asked without encryption, wherever they are.
    #[must_use]
    pub fn new(insecure_registries: &[String]) -> Self {
        Self {
            allowed: Allowed::new(insecure_registries),
            insecure: insecure_registries.to_vec(),
            questions: Semaphore::new(QUESTIONS_MAX),
            patience: PATIENCE,
            answers: Mutex::default(),
        }
    }

    /// The image that `reference` names now.
    pub async fn resolve(&self, reference: &str) -> Result<ResolvedImage, ImageError> {
        let reference: Reference = reference.parse()?;
        let key = reference.to_string();
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let Ok(_place) = self.questions.try_acquire() else { return Err(ImageError::Busy) };
        let question = Question { images: self, reference: &reference, token: None };
        let answer =
            tokio::time::timeout(self.patience, question.ask()).await.map_err(|_| {
                ImageError::Unavailable {
                    registry: reference.registry.clone(),
                    problem: format!("it did not answer within {:?}", self.patience),
                }
            })??;
        self.keep(key, answer.clone());
        Ok(answer)
    }

    fn known(&self, key: &str) -> Option<ResolvedImage> {
        let answers = self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        answers.get(key).filter(|(at, _)| at.elapsed() < KEPT).map(|(_, image)| image.clone())
    }

    fn keep(&self, key: String, answer: ResolvedImage) {
        let mut answers = self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        answers.retain(|_, (at, _)| at.elapsed() < KEPT);
        if answers.len() < ANSWERS_MAX {
            answers.insert(key, (Instant::now(), answer));
        }
    }
}

#[derive(Deserialize)]
struct Manifest {
    /// Of an index: the same image for each platform.
    #[serde(default)]
    manifests: Vec<Entry>,
    config: Option<Blob>,
    #[serde(default)]
    layers: Vec<Blob>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
struct Blob {
    digest: String,
    size: u64,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Platform {
    fn name(&self) -> String {
        format!("{}/{}", self.os, self.architecture).chars().take(40).collect()
    }
}

/// One image that is looked for.
struct Question<'a> {
    images: &'a Images,
    reference: &'a Reference,
    token: Option<String>,
}

impl Question<'_> {
    async fn ask(mut self) -> Result<ResolvedImage, ImageError> {
        let (mut digest, mut manifest) = self.manifest(&self.reference.version.clone()).await?;
        if !manifest.manifests.is_empty() {
            digest = self.choose(&manifest.manifests)?;
            manifest = self.manifest(&digest).await?.1;
        }
        let Some(config) = manifest.config.filter(|config| is_digest(&config.digest)) else {
            return Err(self.unavailable("its manifest is of a kind that is not known here"));
        };
        let json = self.document("blobs", &config.digest).await?;
        self.compare(&json, &config.digest)?;
        let platform: Platform = self.parse(&json)?;
        if platform.name() != IMAGE_PLATFORM {
            return Err(self.wrong_platform(platform.name()));
        }
        let sizes = manifest.layers.iter().map(|layer| layer.size);
        Ok(ResolvedImage {
            image: format!("{}/{}@{digest}", self.reference.registry, self.reference.name),
            bytes: Some(sizes.fold(config.size, u64::saturating_add)),
            platform: IMAGE_PLATFORM.to_owned(),
        })
    }

    /// A manifest and its digest, computed here.
    async fn manifest(&mut self, version: &str) -> Result<(String, Manifest), ImageError> {
        let json = self.document("manifests", version).await?;
        if is_digest(version) {
            self.compare(&json, version)?;
        }
        let manifest: Manifest = self.parse(&json)?;
        if manifest.manifests.len() > ENTRIES_MAX || manifest.layers.len() > ENTRIES_MAX {
            return Err(self.unavailable("its manifest has too many entries"));
        }
        Ok((digest_of(&json), manifest))
    }

    fn choose(&self, entries: &[Entry]) -> Result<String, ImageError> {
        let name = |entry: &Entry| entry.platform.as_ref().map(Platform::name);
        let fitting = entries.iter().find(|entry| {
            is_digest(&entry.digest) && name(entry).as_deref() == Some(IMAGE_PLATFORM)
        });
        fitting.map(|entry| entry.digest.clone()).ok_or_else(|| {
            let mut found: Vec<String> = entries.iter().filter_map(name).collect();
            found.sort_unstable();
            found.dedup();
            found.truncate(10);
            self.wrong_platform(found.join(", "))
        })
    }

    /// A document of the image, after a login as nobody where the registry wants one.
    async fn document(&mut self, kind: &str, version: &str) -> Result<Vec<u8>, ImageError> {
        let Reference { registry, name, .. } = self.reference;
        let scheme = if self.images.insecure.contains(registry) { "http" } else { "https" };
        let host = self.reference.host();
        let url = format!("{scheme}://{host}/v2/{name}/{kind}/{version}");
        let url: Url = url.parse().map_err(|_| self.not_found())?;
        let mut response = self.get(&url).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.token.is_none() {
            self.token = Some(self.sign_in(&response).await?);
            response = self.get(&url).await?;
        }
        match response.status() {
            StatusCode::OK => self.read(response).await,
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(self.not_found())
            }
            status => Err(self.unavailable(&format!("it answered {status}"))),
        }
    }

    /// A token for nobody, from the issuer that the registry names.
    async fn sign_in(&self, response: &Response) -> Result<String, ImageError> {
        let challenge = response
            .headers()
            .get(header::WWW_AUTHENTICATE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer ").or(value.strip_prefix("bearer ")))
            .ok_or_else(|| self.not_found())?;
        let part = |name: &str| {
            let start = challenge.find(&format!("{name}=\""))? + name.len() + 2;
            challenge[start..].split('"').next()
        };
        let realm = part("realm").and_then(|realm| realm.parse::<Url>().ok());
        let mut realm = realm.ok_or_else(|| self.unavailable("it names no issuer of tokens"))?;
        {
            let mut query = realm.query_pairs_mut();
            if let Some(service) = part("service") {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &format!("repository:{}:pull", self.reference.name));
        }
        let answer = self.get(&realm).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.not_found());
        }
        let token: Token = self.parse(&self.read(answer).await?)?;
        let token = token.token.or(token.access_token).filter(|token| !token.is_empty());
        token.ok_or_else(|| self.unavailable("the issuer of its tokens gave none"))
    }

    /// Follows redirects. The token goes to the registry's own host alone.
    async fn get(&self, first: &Url) -> Result<Response, ImageError> {
        let mut url = first.clone();
        for _ in 0..=REDIRECTS_MAX {
            let (host, addresses) =
                self.images.allowed.resolve(&url).await.map_err(|error| match error {
                    AddressError::Refused { .. } => ImageError::Forbidden(error.to_string()),
                    AddressError::Unknown { .. } => self.unavailable(&error.to_string()),
                })?;
            let failed = |error: reqwest::Error| {
                tracing::debug!(%error, registry = self.reference.registry, "a registry was not asked");
                self.unavailable("it cannot be reached")
            };
            let http = reqwest::Client::builder()
                .connect_timeout(PATIENCE)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .resolve_to_addrs(&host, &addresses)
                .build()
                .map_err(failed)?;
            let mut request = http.get(url.clone()).header(header::ACCEPT, MANIFEST_TYPES);
            if let Some(token) = &self.token
                && url.origin() == first.origin()
            {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.map_err(failed)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let next = response.headers().get(header::LOCATION);
            let next = next.and_then(|next| url.join(next.to_str().ok()?).ok());
            url = next.ok_or_else(|| self.unavailable("it redirects to nowhere"))?;
        }
        Err(self.unavailable("it redirects too often"))
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        loop {
            let part = response.chunk().await;
            let Some(part) = part.map_err(|_| self.unavailable("its answer was cut"))? else {
                return Ok(bytes);
            };
            if bytes.len() + part.len() > DOCUMENT_BYTES_MAX {
                return Err(self.unavailable("its answer is too large"));
            }
            bytes.extend_from_slice(&part);
        }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, json: &[u8]) -> Result<T, ImageError> {
        serde_json::from_slice(json)
            .map_err(|_| self.unavailable("its answer is of a kind that is not known here"))
    }

    fn compare(&self, bytes: &[u8], digest: &str) -> Result<(), ImageError> {
        if digest_of(bytes) == digest {
            return Ok(());
        }
        Err(self.unavailable(&format!("what it sent is not {digest}")))
    }

    fn not_found(&self) -> ImageError {
        ImageError::NotFound {
            registry: self.reference.registry.clone(),
            image: self.reference.to_string(),
        }
    }

    fn wrong_platform(&self, found: String) -> ImageError {
        ImageError::WrongPlatform { image: self.reference.to_string(), found }
    }

    fn unavailable(&self, problem: &str) -> ImageError {
        ImageError::Unavailable {
            registry: self.reference.registry.clone(),
            problem: problem.to_owned(),
        }
    }
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default().as_bytes();
    digits.len() == 64 && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
