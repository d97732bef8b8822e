//! Content over HTTP: uploads as CAR, and a trustless gateway.
//!
//! Only verifiable forms leave here, a single block or a CAR, and never as something that a browser would run: what
//! strangers uploaded must not speak in this scheduler's name. Both directions stream with flat memory, and a peer that is
//! too slow is let go, because each transfer keeps a thread busy.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, http::HeaderName};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use gristmill_protocol::api::ContentStored;
use gristmill_protocol::content::{self, CarWriter, Cid, ContentError, ContentUri, Limit};
use gristmill_protocol::error::ErrorCode;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::content_store::{ContentStore, DagScope, Stored, UploadError};
use crate::http::auth::Account;
use crate::http::problem::Refusal;

const CAR: &str = "application/vnd.ipld.car";
const RAW: &str = "application/vnd.ipld.raw";
/// Each block once, depth first: what [`content::blocks`] does.
const CAR_AS_SENT: &str = "application/vnd.ipld.car; version=1; order=dfs; dups=n";
/// Content behind a CID never changes. 29030400 s is what gateways commonly say.
const FOR_GOOD: &str = "public, max-age=29030400, immutable";
/// Parts of a transfer that may wait between the network and the disk.
const PARTS_MAX: usize = 8;
const PART_BYTES: usize = 64 << 10;
/// How long a peer may keep us waiting in all, and how many bytes buy it another second.
const PATIENCE: Duration = Duration::from_secs(30);
const BYTES_PER_SECOND_MIN: u64 = 16 << 10;
/// What is read and thrown away of a refused upload, so that its sender gets to read why.
const DRAIN_BYTES_MAX: u64 = 16 << 20;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(upload))
        .routes(routes!(gateway_root))
        .routes(routes!(gateway_path))
}

/// Stores every block of a CAR.
///
/// Each block is verified, and everything below each root must be in the CAR or stored already. A CAR that was cut can be
/// sent again: what came stays.
#[utoipa::path(
    post,
    path = "/v1/content",
    tag = "content",
    request_body(content = Vec<u8>, content_type = "application/vnd.ipld.car", description = "A CAR, version 1"),
    responses((status = 201, body = ContentStored)),
)]
async fn upload(
    State(app): State<App>,
    _account: Account,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Refusal> {
    let store = Arc::clone(&app.content);
    if media_type(headers.get(header::CONTENT_TYPE)) != Some(CAR) {
        return Err(Refusal::new(
            ErrorCode::UnsupportedMediaType,
            format!("send a CAR with `Content-Type: {CAR}`"),
        ));
    }
    let car_bytes_max = car_bytes_max(store.quotas().upload_bytes_max);
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > car_bytes_max) {
        return Err(too_large(store.quotas().upload_bytes_max));
    }
    let Ok(permit) = Arc::clone(&store.uploads).try_acquire_owned() else {
        return Err(Refusal::new(
            ErrorCode::TooManyRequests,
            "as many uploads as possible are running; try again soon",
        ));
    };
    let (sender, receiver) = mpsc::channel(PARTS_MAX);
    let importing = {
        let store = Arc::clone(&store);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            store.import(&mut PartReader::new(receiver))
        })
    };
    let mut body = body.into_data_stream();
    let received = receive(&mut body, &sender, car_bytes_max).await;
    drop(sender);
    let imported =
        importing.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    let refusal = match (received, imported) {
        (Ok(_), Ok(stored)) => return Ok((StatusCode::CREATED, Json(view(stored)))),
        // The importer has read to the end of the CAR, so nothing of what failed later was needed.
        (Err(Interrupted::NotWanted), Ok(stored)) => {
            return Ok((StatusCode::CREATED, Json(view(stored))));
        }
        (Err(Interrupted::TooLarge), _) => too_large(store.quotas().upload_bytes_max),
        (Err(Interrupted::TooSlow), _) => Refusal::new(
            ErrorCode::RequestTimeout,
            "the upload came too slowly; send it again, what came stays",
        ),
        (Err(Interrupted::Broken), _) => {
            return Err(Refusal::new(
                ErrorCode::InvalidRequest,
                "the upload was cut; send it again, what came stays",
            ));
        }
        (Ok(_) | Err(Interrupted::NotWanted), Err(error)) => upload_refusal(error),
    };
    drain(&mut body).await;
    Err(refusal)
}

fn view(stored: Stored) -> ContentStored {
    metrics::counter!("gristmill_content_received_bytes_total").increment(stored.bytes);
    ContentStored {
        roots: stored.roots.iter().map(Cid::to_string).collect(),
        blocks: stored.blocks,
        bytes: stored.bytes,
    }
}

/// The bytes of a CAR whose blocks have `block_bytes_max`: each block comes with a length and its CID, and only small
/// blocks make that much of it.
fn car_bytes_max(block_bytes_max: u64) -> u64 {
    block_bytes_max.saturating_add(block_bytes_max / 8).saturating_add(1 << 20)
}

/// Why the rest of an upload does not matter.
#[derive(Debug)]
enum Interrupted {
    /// The importer has seen enough.
    NotWanted,
    TooLarge,
    TooSlow,
    Broken,
}

/// Hands the body on to the importer.
async fn receive(
    body: &mut axum::body::BodyDataStream,
    importer: &mpsc::Sender<Bytes>,
    bytes_max: u64,
) -> Result<(), Interrupted> {
    let mut pace = Pace::default();
    let mut bytes = 0u64;
    loop {
        let Some(next) = pace.wait(body.next()).await else { return Err(Interrupted::TooSlow) };
        let part = match next {
            None => return Ok(()),
            Some(Ok(part)) => part,
            Some(Err(error)) => {
                tracing::debug!(%error, "an upload was cut");
                return Err(Interrupted::Broken);
            }
        };
        bytes += part.len() as u64;
        if bytes > bytes_max {
            return Err(Interrupted::TooLarge);
        }
        pace.moved(part.len());
        if importer.send(part).await.is_err() {
            return Err(Interrupted::NotWanted);
        }
    }
}

/// Reads what is left of a body, within limits. A server that answers and hangs up cuts off its own answer.
async fn drain(body: &mut axum::body::BodyDataStream) {
    let mut left = DRAIN_BYTES_MAX;
    let reading = async {
        while let Some(Ok(part)) = body.next().await {
            left = left.saturating_sub(part.len() as u64);
            if left == 0 {
                break;
            }
        }
    };
    // Whoever does not finish within the time does not get to read the answer; so be it.
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
}

/// How long a peer has kept us waiting, and how long it may.
#[derive(Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Waits for the peer, or gives it up.
    async fn wait<F: Future>(&mut self, peer: F) -> Option<F::Output> {
        let allowed = PATIENCE + Duration::from_secs(self.bytes / BYTES_PER_SECOND_MIN);
        let started = Instant::now();
        let outcome = tokio::time::timeout(allowed.saturating_sub(self.waited), peer).await.ok();
        self.waited += started.elapsed();
        outcome
    }

    fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

/// The parts of a body as a reader, for a thread that may block. It ends where the sender is dropped.
struct PartReader {
    parts: mpsc::Receiver<Bytes>,
    part: Bytes,
}

impl PartReader {
    fn new(parts: mpsc::Receiver<Bytes>) -> Self {
        Self { parts, part: Bytes::new() }
    }
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.part.has_remaining() {
            match self.parts.blocking_recv() {
                Some(part) => self.part = part,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.part.len());
        self.part.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// A writer, for a thread that may block, whose bytes become the parts of a body.
struct PartWriter {
    parts: mpsc::Sender<io::Result<Bytes>>,
    part: BytesMut,
    pace: Pace,
    runtime: Handle,
}

impl PartWriter {
    fn new(parts: mpsc::Sender<io::Result<Bytes>>, runtime: Handle) -> Self {
        Self { parts, part: BytesMut::with_capacity(PART_BYTES), pace: Pace::default(), runtime }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = std::mem::replace(&mut self.part, BytesMut::with_capacity(PART_BYTES)).freeze();
        let count = part.len();
        match self.runtime.block_on(self.pace.wait(self.parts.send(Ok(part)))) {
            Some(Ok(())) => {
                self.pace.moved(count);
                metrics::counter!("gristmill_content_sent_bytes_total").increment(count as u64);
                Ok(())
            }
            Some(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the reader has gone")),
            None => Err(io::Error::new(io::ErrorKind::TimedOut, "the reader is too slow")),
        }
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..count]);
        if self.part.len() == PART_BYTES {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// What a request to the gateway may say beside its path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct GatewayParams {
    /// `raw` for one block, `car` for everything; the `Accept` header says the same.
    format: Option<String>,
    /// How much a CAR holds: `all` (the default), `entity` or `block`.
    #[serde(rename = "dag-scope")]
    #[param(rename = "dag-scope")]
    dag_scope: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Raw,
    Car(DagScope),
}

/// Content by its CID, as a block or as a CAR, as the specification of IPFS trustless gateways has it.
#[utoipa::path(
    get,
    path = "/ipfs/{cid}",
    tag = "content",
    params(("cid" = String, Path, description = "A CID, such as bafy…"), GatewayParams),
    responses(
        (status = 200, content((Vec<u8> = "application/vnd.ipld.raw"), (Vec<u8> = "application/vnd.ipld.car"))),
        (status = 304, description = "The content that `If-None-Match` names"),
    ),
)]
async fn gateway_root(
    State(app): State<App>,
    Path(cid): Path<String>,
    Query(params): Query<GatewayParams>,
    request: GatewayRequest,
) -> Result<Response, Refusal> {
    gateway(&app, &cid, "", &params, &request).await
}

/// Content below a CID.
#[utoipa::path(
    get,
    path = "/ipfs/{cid}/{*path}",
    tag = "content",
    params(
        ("cid" = String, Path, description = "A CID, such as bafy…"),
        ("path" = String, Path, description = "Names below it, such as data/train.csv"),
        GatewayParams,
    ),
    responses(
        (status = 200, content((Vec<u8> = "application/vnd.ipld.raw"), (Vec<u8> = "application/vnd.ipld.car"))),
        (status = 304, description = "The content that `If-None-Match` names"),
    ),
)]
async fn gateway_path(
    State(app): State<App>,
    Path((cid, path)): Path<(String, String)>,
    Query(params): Query<GatewayParams>,
    request: GatewayRequest,
) -> Result<Response, Refusal> {
    gateway(&app, &cid, path.trim_end_matches('/'), &params, &request).await
}

/// The parts of a request that a gateway looks at.
#[derive(axum::extract::FromRequestParts)]
struct GatewayRequest {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

async fn gateway(
    app: &App,
    cid: &str,
    path: &str,
    params: &GatewayParams,
    request: &GatewayRequest,
) -> Result<Response, Refusal> {
    let form = form(params, &request.headers)?;
    let root = content::parse_cid(cid).map_err(content_refusal)?;
    let uri = ContentUri::new(root, path).map_err(content_refusal)?;
    let store = Arc::clone(&app.content);
    let head_only = request.method == Method::HEAD;
    let found = blocking(move || {
        let (cid, trail) = store.resolve(&uri)?;
        let block = match form {
            Form::Raw => content::load(&*store, &cid)?,
            // Said before the first byte is sent: a CAR that breaks off says nothing.
            Form::Car(scope) => store.check_complete(&cid, scope).map(|()| Vec::new())?,
        };
        Ok((cid, trail, block))
    })
    .await;
    let (cid, trail, block) = found.map_err(content_refusal)?;
    let etag = match form {
        Form::Raw => format!("\"{cid}.raw\""),
        Form::Car(scope) => format!("\"{root}.{cid}.{scope:?}.car\"").to_lowercase(),
    };
    let mut headers = HeaderMap::new();
    let (content_type, extension) = match form {
        Form::Raw => (RAW, "bin"),
        Form::Car(_) => (CAR_AS_SENT, "car"),
    };
    let text =
        |text: &str| HeaderValue::from_str(text).expect("CIDs and paths of a URI are plain ASCII");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_GOOD));
    headers.insert(header::ETAG, text(&etag));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(
        header::CONTENT_DISPOSITION,
        text(&format!("attachment; filename=\"{cid}.{extension}\"")),
    );
    headers.insert(HeaderName::from_static("x-ipfs-path"), text(request.uri.path()));
    if is_known(&request.headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    if form == Form::Raw {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(block.len()));
        metrics::counter!("gristmill_content_sent_bytes_total").increment(block.len() as u64);
        return Ok(
            (headers, if head_only { Body::empty() } else { Body::from(block) }).into_response()
        );
    }
    let Form::Car(scope) = form else { unreachable!("raw blocks were answered above") };
    if head_only {
        return Ok((headers, Body::empty()).into_response());
    }
    Ok((headers, stream_car(app, root, trail, cid, scope)?).into_response())
}

fn stream_car(
    app: &App,
    root: Cid,
    trail: Vec<Cid>,
    cid: Cid,
    scope: DagScope,
) -> Result<Body, Refusal> {
    let store = Arc::clone(&app.content);
    let Ok(permit) = Arc::clone(&store.downloads).try_acquire_owned() else {
        return Err(Refusal::new(
            ErrorCode::TooManyRequests,
            "as many downloads as possible are running; try again soon",
        ));
    };
    let (sender, receiver) = mpsc::channel(PARTS_MAX);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let writer = PartWriter::new(sender.clone(), runtime);
        if let Err(error) = write_car(&store, root, &trail, &cid, scope, writer) {
            tracing::debug!(%cid, %error, "a CAR was not sent to its end");
            // An error ends the body without its end mark, so that the reader knows that it lacks something.
            let _ = sender
                .blocking_send(Err(io::Error::other("the content could not be read to its end")));
        }
    });
    Ok(Body::from_stream(ReceiverStream::new(receiver)))
}

fn write_car(
    store: &ContentStore,
    root: Cid,
    trail: &[Cid],
    cid: &Cid,
    scope: DagScope,
    writer: PartWriter,
) -> content::Result<()> {
    let mut car = CarWriter::new(writer, &[root])?;
    let mut written = HashSet::new();
    for cid in trail {
        let bytes = content::load(store, cid)?;
        if !is_inline(cid) && written.insert(*cid) {
            car.write_block(cid, &bytes)?;
        }
    }
    store.visit(cid, scope, &mut |cid, bytes| {
        if is_inline(cid) || written.contains(cid) { Ok(()) } else { car.write_block(cid, bytes) }
    })?;
    car.finish().map(drop)
}

/// Whether the CID is its own block: such a block is in no CAR.
fn is_inline(cid: &Cid) -> bool {
    cid.hash().code() == 0
}

fn form(params: &GatewayParams, headers: &HeaderMap) -> Result<Form, Refusal> {
    let scope = match params.dag_scope.as_deref() {
        None | Some("all") => DagScope::All,
        Some("entity") => DagScope::Entity,
        Some("block") => DagScope::Block,
        Some(_) => return Err(bad_request("`dag-scope` must be all, entity or block")),
    };
    match params.format.as_deref() {
        Some("raw") => return Ok(Form::Raw),
        Some("car") => return Ok(Form::Car(scope)),
        Some(_) => {
            return Err(bad_request("`format` must be raw or car: other forms cannot be verified"));
        }
        None => {}
    }
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .find_map(|part| match essence(part) {
            RAW => Some(Form::Raw),
            CAR => Some(Form::Car(scope)),
            _ => None,
        })
        .ok_or_else(|| {
            bad_request("ask for a form that can be verified: add `?format=raw` or `?format=car`")
        })
}

fn media_type(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok().map(essence)
}

/// A media type without its parameters.
fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or(value).trim()
}

fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let named =
        headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn bad_request(detail: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, detail)
}

fn too_large(upload_bytes_max: u64) -> Refusal {
    Refusal::new(
        ErrorCode::TooLarge,
        format!("one upload may hold {upload_bytes_max} bytes; split the content into several"),
    )
}

fn upload_refusal(error: UploadError) -> Refusal {
    match error {
        UploadError::Content(error) => match content_refusal(error) {
            // In an upload it is the sender's CAR that is at fault, not this address.
            Refusal(problem)
                if matches!(problem.code, ErrorCode::InvalidRequest | ErrorCode::NotFound) =>
            {
                Refusal::new(ErrorCode::ContentInvalid, problem.detail)
            }
            refusal => refusal,
        },
        UploadError::Incomplete { .. } | UploadError::NoRoot => {
            Refusal::new(ErrorCode::ContentInvalid, error.to_string())
        }
        UploadError::Full => Refusal::new(ErrorCode::Unavailable, error.to_string()),
    }
}

fn content_refusal(error: ContentError) -> Refusal {
    let code = match &error {
        ContentError::MissingBlock { .. } => ErrorCode::ContentMissing,
        ContentError::InvalidCid { .. }
        | ContentError::UnsupportedHash { .. }
        | ContentError::UnsupportedCodec { .. }
        | ContentError::InvalidUri { .. } => ErrorCode::InvalidRequest,
        ContentError::NotFound { .. } | ContentError::WrongKind { .. } => ErrorCode::NotFound,
        ContentError::LimitExceeded(Limit::Bytes(_) | Limit::Blocks(_) | Limit::Files(_)) => {
            ErrorCode::TooLarge
        }
        ContentError::LimitExceeded(
            Limit::Depth(_) | Limit::BlockBytes(_) | Limit::NodeDepth(_),
        )
        | ContentError::BlockMismatch { .. }
        | ContentError::UnwantedBlock { .. }
        | ContentError::InvalidNode { .. }
        | ContentError::InvalidName { .. }
        | ContentError::DuplicateName { .. }
        | ContentError::Symlink { .. }
        | ContentError::SpecialFile { .. }
        | ContentError::SizeMismatch { .. }
        | ContentError::Changed { .. }
        | ContentError::DestinationExists { .. }
        | ContentError::InvalidCar { .. }
        | ContentError::TruncatedCar { .. }
        | ContentError::InvalidManifest { .. } => ErrorCode::ContentInvalid,
        ContentError::Io { .. } | ContentError::Store { .. } | ContentError::Stream { .. } => {
            tracing::error!(error = &error as &dyn std::error::Error, "the content store failed");
            return Refusal::new(ErrorCode::Internal, "the content store failed");
        }
    };
    Refusal::new(code, error.to_string())
}
