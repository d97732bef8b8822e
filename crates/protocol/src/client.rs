//! The HTTP client of the scheduler's API, used by node, command line and tests.

use std::sync::RwLock;
use std::time::Duration;

use alloy_primitives::Address;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::api::{
    AcceptRequest, Consent, ContentStored, CreateJob, Explanation, Info, JobEvent, JobState,
    JobSummary, JobView, LogAccepted, Login, LoginRequest, MarketView, MatchPreview, NodeView,
    Nonce, Offer, Page, PollReply, PollRequest, PreviewRequest, ProviderView, ReleaseRequest,
    ReportRequest, ResolvedImage, SpecStored, StartRequest, WaitingNode, WebConfig,
};
use crate::error::{ErrorCode, Problem};
use crate::ids::{AttemptNumber, JobId, NodeId, SpecHash};
use crate::order::Funding;
use crate::spec::JobSpec;
use crate::terms::Terms;

/// Bytes of an answer that is read as JSON.
const JSON_BYTES_MAX: usize = 16 << 20;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a plain request may take; polls and streams have their own limits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a stream may stay silent. The scheduler sends something at least every 15 s.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// What can go wrong when talking to a scheduler.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The scheduler refused, and said why.
    #[error("{0}")]
    Refused(Box<Problem>),
    #[error("cannot reach the scheduler at {url}")]
    Unreachable {
        url: String,
        #[source]
        error: reqwest::Error,
    },
    #[error("the scheduler answered {status} without a problem document: {head}")]
    Unexpected { status: u16, head: String },
    #[error("the scheduler's answer is not of the expected form")]
    Malformed(#[source] serde_json::Error),
    #[error("the scheduler's answer is larger than {JSON_BYTES_MAX} bytes")]
    TooLarge,
    #[error("`{0}` is not the address of a scheduler: write http://host:port or https://host")]
    InvalidUrl(String),
    #[error("cannot sign the message: {0}")]
    Signing(String),
}

impl ClientError {
    /// The scheduler's code, where it gave one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            Self::Unreachable { .. }
            | Self::Unexpected { .. }
            | Self::Malformed(_)
            | Self::TooLarge
            | Self::InvalidUrl(_)
            | Self::Signing(_) => None,
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.code.is_retryable(),
            Self::Unreachable { .. } => true,
            Self::Unexpected { status, .. } => *status >= 500,
            Self::Malformed(_) | Self::TooLarge | Self::InvalidUrl(_) | Self::Signing(_) => false,
        }
    }
}

/// Filters of a list of jobs. Each one that is set leaves out what does not match it.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub submitter: Option<Address>,
    pub provider: Option<Address>,
    pub node: Option<NodeId>,
    /// Jobs in any of these states; in every state where it is empty.
    pub states: Vec<JobState>,
    /// Part of the name, or the beginning of the id.
    pub text: Option<String>,
    pub cursor: Option<String>,
    pub limit: Option<u32>,
}

impl JobFilter {
    /// As names and values of the request's query.
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query: Vec<_> =
            self.states.iter().map(|state| ("state", state.as_str().to_owned())).collect();
        let mut add = |name, value: Option<String>| query.extend(value.map(|value| (name, value)));
        add("submitter", self.submitter.map(|submitter| submitter.to_string()));
        add("provider", self.provider.map(|provider| provider.to_string()));
        add("node", self.node.map(|node| node.to_string()));
        add("q", self.text.clone());
        add("cursor", self.cursor.clone());
        add("limit", self.limit.map(|limit| limit.to_string()));
        query
    }
}

/// A connection to one scheduler, with the token of one account once it has signed in.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: RwLock<Option<String>>,
}

impl Client {
    /// `base` is the scheduler's address, such as `http://127.0.0.1:8080`.
    pub fn new(base: &str) -> Result<Self, ClientError> {
        let invalid = || ClientError::InvalidUrl(base.chars().take(200).collect());
        let url = reqwest::Url::parse(base).map_err(|_| invalid())?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(invalid());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("gristmill/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Unreachable { url: base.to_owned(), error })?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: RwLock::new(None) })
    }

    /// The scheduler's address, without a trailing slash.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Uses a token from an earlier login.
    pub fn set_token(&self, token: Option<String>) {
        *self.token.write().unwrap_or_else(std::sync::PoisonError::into_inner) = token;
    }

    // ---- signing in ----

    /// Signs in as `address`. `sign` gives the 65-byte EIP-191 signature of the message; `issued_at` is RFC 3339.
    pub async fn sign_in<E: std::fmt::Display>(
        &self,
        address: Address,
        issued_at: &str,
        sign: impl FnOnce(&str) -> Result<[u8; 65], E>,
    ) -> Result<Login, ClientError> {
        let info = self.info().await?;
        let nonce: Nonce = self.json(self.request(Method::POST, "/v1/auth/nonce")).await?;
        let message =
            crate::login::message(&self.base, address, info.chain_id, &nonce.nonce, issued_at);
        let signature = sign(&message).map_err(|error| ClientError::Signing(error.to_string()))?;
        let body = LoginRequest { message, signature: format!("0x{}", hex::encode(signature)) };
        let login: Login =
            self.json(self.request(Method::POST, "/v1/auth/login").json(&body)).await?;
        self.set_token(Some(login.token.clone()));
        Ok(login)
    }

    /// Ends the session on the scheduler too.
    pub async fn sign_out(&self) -> Result<(), ClientError> {
        self.empty(self.request(Method::POST, "/v1/auth/logout")).await?;
        self.set_token(None);
        Ok(())
    }

    // ---- reading ----

    pub async fn info(&self) -> Result<Info, ClientError> {
        self.json(self.request(Method::GET, "/v1/info")).await
    }

    /// What the scheduler tells the web of its chain.
    pub async fn web_config(&self) -> Result<WebConfig, ClientError> {
        self.json(self.request(Method::GET, "/config.json")).await
    }

    pub async fn job(&self, id: JobId) -> Result<JobView, ClientError> {
        self.json(self.request(Method::GET, &format!("/v1/jobs/{id}"))).await
    }

    pub async fn jobs(&self, filter: &JobFilter) -> Result<Page<JobSummary>, ClientError> {
        self.json(self.request(Method::GET, "/v1/jobs").query(&filter.query())).await
    }

    pub async fn explain(&self, id: JobId) -> Result<Explanation, ClientError> {
        self.json(self.request(Method::GET, &format!("/v1/jobs/{id}/explain"))).await
    }

    /// What nodes would make of a job that is not posted.
    pub async fn preview(&self, request: &PreviewRequest) -> Result<MatchPreview, ClientError> {
        self.json(self.request(Method::POST, "/v1/explain").json(request)).await
    }

    /// The digest that an image's tag stands for now.
    pub async fn resolve_image(&self, reference: &str) -> Result<ResolvedImage, ClientError> {
        let request = self.request(Method::GET, "/v1/images/resolve");
        self.json(request.query(&[("reference", reference)])).await
    }

    pub async fn nodes(&self) -> Result<Page<NodeView>, ClientError> {
        self.json(self.request(Method::GET, "/v1/nodes")).await
    }

    pub async fn node(&self, id: NodeId) -> Result<NodeView, ClientError> {
        self.json(self.request(Method::GET, &format!("/v1/nodes/{id}"))).await
    }

    pub async fn market(&self) -> Result<MarketView, ClientError> {
        self.json(self.request(Method::GET, "/v1/market")).await
    }

    /// What a provider has earned in so many days, today included.
    pub async fn provider(&self, address: Address, days: u32) -> Result<ProviderView, ClientError> {
        let request = self.request(Method::GET, &format!("/v1/providers/{address}"));
        self.json(request.query(&[("days", days)])).await
    }

    /// The nodes that wait to be enrolled by this provider, newest first.
    pub async fn waiting_nodes(&self, provider: Address) -> Result<Page<WaitingNode>, ClientError> {
        let request = self.request(Method::GET, "/v1/enrollments");
        self.json(request.query(&[("provider", provider.to_string())])).await
    }

    pub async fn spec(&self, hash: SpecHash) -> Result<JobSpec, ClientError> {
        self.json(self.request(Method::GET, &format!("/v1/specs/{hash}"))).await
    }

    /// Events of a job after version `after`, as JSON Lines; with `follow` until the job ends.
    pub async fn events(
        &self,
        id: JobId,
        after: u64,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<JobEvent, ClientError>> + Send + use<>, ClientError> {
        let request = self
            .request(Method::GET, &format!("/v1/jobs/{id}/events"))
            .query(&[("after", after.to_string()), ("follow", follow.to_string())])
            .header(header::ACCEPT, "application/jsonl");
        let response = self.send(request).await?;
        Ok(json_lines(self.base.clone(), response))
    }

    /// The log of an attempt from byte `offset` on; with `follow` until the attempt ends. The newest attempt where
    /// none is named.
    pub async fn logs(
        &self,
        id: JobId,
        attempt: Option<AttemptNumber>,
        offset: u64,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + Send + use<>, ClientError> {
        let mut request = self
            .request(Method::GET, &format!("/v1/jobs/{id}/logs"))
            .query(&[("offset", offset.to_string()), ("follow", follow.to_string())]);
        if let Some(attempt) = attempt {
            request = request.query(&[("attempt", attempt.to_string())]);
        }
        let response = self.send(request).await?;
        let base = self.base.clone();
        Ok(response
            .bytes_stream()
            .map_err(move |error| ClientError::Unreachable { url: base.clone(), error }))
    }

    // ---- submitting ----

    pub async fn put_spec(&self, spec: &JobSpec) -> Result<SpecStored, ClientError> {
        let request = self
            .request(Method::PUT, &format!("/v1/specs/{}", spec.hash()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(spec.canonical_json());
        self.json(request).await
    }

    /// Announces a job whose bounty is about to be locked.
    pub async fn create_job(&self, terms: &Terms) -> Result<JobView, ClientError> {
        let body = CreateJob { terms: *terms, funding: None };
        self.json(self.request(Method::POST, "/v1/jobs").json(&body)).await
    }

    /// Posts a job that the submitter's order pays for: the scheduler opens it when a node is found.
    pub async fn create_prepaid_job(
        &self,
        terms: &Terms,
        funding: &Funding,
    ) -> Result<JobView, ClientError> {
        let body = CreateJob { terms: *terms, funding: Some(funding.clone()) };
        self.json(self.request(Method::POST, "/v1/jobs").json(&body)).await
    }

    /// Asks that the job be stopped. The bounty comes back by the wallet's own `cancel`, or after the deadline.
    pub async fn cancel(&self, id: JobId) -> Result<JobView, ClientError> {
        self.json(self.request(Method::POST, &format!("/v1/jobs/{id}/cancel"))).await
    }

    // ---- nodes ----

    pub async fn put_offer(&self, node: NodeId, offer: &Offer) -> Result<NodeView, ClientError> {
        self.json(self.request(Method::PUT, &format!("/v1/nodes/{node}/offer")).json(offer)).await
    }

    /// A node asks to be enrolled. Its signature is the proof: nobody has to sign in.
    pub async fn put_consent(&self, consent: &Consent) -> Result<(), ClientError> {
        self.empty(self.request(Method::POST, "/v1/enrollments").json(consent)).await
    }

    pub async fn poll(&self, node: NodeId, body: &PollRequest) -> Result<PollReply, ClientError> {
        let wait = Duration::from_millis(body.wait_ms.into());
        let request = self
            .request(Method::POST, &format!("/v1/nodes/{node}/poll"))
            .timeout(wait + REQUEST_TIMEOUT)
            .json(body);
        self.json(request).await
    }

    pub async fn start(
        &self,
        job: JobId,
        attempt: AttemptNumber,
        body: &StartRequest,
    ) -> Result<(), ClientError> {
        self.empty(self.attempt(job, attempt, "start").json(body)).await
    }

    /// The node takes a job with a bond. It is assigned on chain only after this.
    pub async fn accept(
        &self,
        job: JobId,
        attempt: AttemptNumber,
        body: &AcceptRequest,
    ) -> Result<(), ClientError> {
        self.empty(self.attempt(job, attempt, "accept").json(body)).await
    }

    pub async fn report(
        &self,
        job: JobId,
        attempt: AttemptNumber,
        body: &ReportRequest,
    ) -> Result<(), ClientError> {
        self.empty(self.attempt(job, attempt, "report").json(body)).await
    }

    pub async fn release(
        &self,
        job: JobId,
        attempt: AttemptNumber,
        body: &ReleaseRequest,
    ) -> Result<(), ClientError> {
        self.empty(self.attempt(job, attempt, "release").json(body)).await
    }

    /// Appends `chunk` to the log of an attempt. `offset` is where it starts; a chunk that is there already is fine.
    pub async fn append_log(
        &self,
        job: JobId,
        attempt: AttemptNumber,
        offset: u64,
        chunk: Bytes,
    ) -> Result<LogAccepted, ClientError> {
        let request = self
            .attempt(job, attempt, "logs")
            .query(&[("offset", offset.to_string())])
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(chunk);
        self.json(request).await
    }

    // ---- content ----

    /// Stores every block of a CAR. The body may be a stream.
    pub async fn put_content(&self, car: impl Into<Body>) -> Result<ContentStored, ClientError> {
        let request = self
            .authorize(self.http.request(Method::POST, self.url("/v1/content")))
            .header(header::CONTENT_TYPE, "application/vnd.ipld.car")
            .body(car);
        self.json(request).await
    }

    /// The CAR of a CID, with everything below it, as a stream of bytes. The caller verifies every block.
    pub async fn car(
        &self,
        cid: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + Send + use<>, ClientError> {
        let request = self
            .request(Method::GET, &format!("/ipfs/{cid}"))
            .query(&[("format", "car")])
            .header(header::ACCEPT, "application/vnd.ipld.car");
        let response = self.send(request).await?;
        let base = self.base.clone();
        Ok(response
            .bytes_stream()
            .map_err(move |error| ClientError::Unreachable { url: base.clone(), error }))
    }

    // ---- how requests are made ----

    fn attempt(&self, job: JobId, attempt: AttemptNumber, verb: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/v1/jobs/{job}/attempts/{attempt}/{verb}"))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.authorize(self.http.request(method, self.url(path)))
    }

    fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        let token = self.token.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|error| ClientError::Unreachable { url: self.base.clone(), error })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = self.read(response).await?;
        Err(refusal(status, &body))
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let body = self.read(response).await?;
        serde_json::from_slice(&body).map_err(ClientError::Malformed)
    }

    async fn empty(&self, request: RequestBuilder) -> Result<(), ClientError> {
        self.send(request).await.map(drop)
    }

    async fn read(&self, response: Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk
                .map_err(|error| ClientError::Unreachable { url: self.base.clone(), error })?;
            if body.len() + chunk.len() > JSON_BYTES_MAX {
                return Err(ClientError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Refused(Box::new(problem)),
        Err(_) => ClientError::Unexpected {
            status: status.as_u16(),
            head: String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned(),
        },
    }
}

/// Splits a body into lines of JSON; empty lines keep an idle connection alive.
fn json_lines<T: DeserializeOwned + Send + 'static>(
    base: String,
    response: Response,
) -> impl Stream<Item = Result<T, ClientError>> + Send {
    let state = (response.bytes_stream().boxed(), Vec::<u8>::new(), base);
    futures_util::stream::try_unfold(state, |(mut chunks, mut buffer, base)| async move {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let item = serde_json::from_slice(&line).map_err(ClientError::Malformed)?;
                return Ok(Some((item, (chunks, buffer, base))));
            }
            match chunks.next().await {
                Some(Ok(chunk)) if buffer.len() + chunk.len() <= JSON_BYTES_MAX => {
                    buffer.extend_from_slice(&chunk);
                }
                Some(Ok(_)) => return Err(ClientError::TooLarge),
                Some(Err(error)) => return Err(ClientError::Unreachable { url: base, error }),
                None => return Ok(None),
            }
        }
    })
}
