//! The web's build, served from a folder: its pages each with the policy of its own scripts, and what it must know of
//! this scheduler in `/config.json`.
//!
//! Whatever is not a path of the API ends here. What strangers uploaded shares this origin, so everything that is not the
//! web's leaves in a cage where a browser runs nothing.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::http::{Uri, Version, header};
use axum::response::{IntoResponse, Redirect, Response};
use gristmill_protocol::api::{WebChain, WebCoin, WebConfig};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::money::NATIVE_DECIMALS;
use percent_encoding::percent_decode_str;
use tower::ServiceExt;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::services::ServeDir;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refusal;
use crate::app::App;
use crate::config::Config;

/// Written by the web's build: which inline scripts each page has.
const POLICIES_FILE: &str = "csp.json";
const POLICIES_BYTES_MAX: u64 = 4 << 20;
/// Inline scripts of one page: their hashes travel in a header.
const SCRIPTS_MAX: usize = 64;
/// What is under these belongs to the API, whether it exists or not.
const API: [&str; 6] = ["v1", "ipfs", "healthz", "readyz", "metrics", "config.json"];
/// Files whose names hold the hash of what is in them.
const CHUNKS: &str = "/_next/static/";
const MISSING_PAGE: &str = "/404.html";
/// Nothing that a browser opens of this may run, load or send anything.
const CAGE: &str = "sandbox; default-src 'none'";
/// Compressed, smaller answers are hardly smaller.
const COMPRESSED_BYTES_MIN: u64 = 1024;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Why the web's build cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error(
        "cannot read {path}: name a folder of the web's build in web.folder, which `npm run build` in web/ writes, or \
         set it to \"\" to serve no web"
    )]
    Unreadable {
        path: String,
        #[source]
        error: std::io::Error,
    },
    #[error(
        "{path} is not as the web's build writes it ({problem}): run `npm run build` in web/ again"
    )]
    Malformed { path: String, problem: String },
}

/// A build of the web, with the policy of each page.
pub(crate) struct Web {
    files: ServeDir,
    policies: BTreeMap<String, HeaderValue>,
    /// For whatever has no inline scripts.
    policy: HeaderValue,
}

impl Web {
    /// Opens the folder of the configuration, if it names one.
    pub(crate) fn open(config: &Config) -> Result<Option<Self>, WebError> {
        let folder = &config.web.folder;
        if folder.as_os_str().is_empty() {
            return Ok(None);
        }
        let rpc_urls = config.web_rpc_urls();
        let policies = read_policies(&folder.join(POLICIES_FILE))?;
        let policies = policies
            .into_iter()
            .map(|(page, scripts)| (page, content_policy(&scripts, &rpc_urls)))
            .collect();
        let files = ServeDir::new(folder).precompressed_br().precompressed_gzip();
        Ok(Some(Self { files, policies, policy: content_policy(&[], &rpc_urls) }))
    }

    /// Answers a GET or HEAD of a path that is not the API's.
    async fn answer(&self, request: Request) -> Response {
        let (head, _) = request.into_parts();
        let mut response = match locate(&head.uri) {
            Place::Nowhere => self.missing_page(&head.method, &head.headers).await,
            Place::Job(id) => {
                let page = format!("/job/?id={id}");
                (no_cache(), Redirect::temporary(&page)).into_response()
            }
            Place::Page(page) => self.page(&page, head.uri, &head.method, &head.headers).await,
            Place::File { is_chunk } => {
                let mut file = Request::new(axum::body::Body::empty());
                *file.method_mut() = head.method.clone();
                *file.uri_mut() = head.uri.clone();
                *file.headers_mut() = head.headers.clone();
                let mut response = self.files(file).await;
                match response.status() {
                    // A folder, such as `/job`.
                    StatusCode::NOT_FOUND if !is_chunk && looks_like_page(head.uri.path()) => {
                        self.missing_page(&head.method, &head.headers).await
                    }
                    StatusCode::NOT_FOUND => missing(&head.uri),
                    status => {
                        // A tab that outlived its build must not keep a failure for a year.
                        let for_good = is_chunk && status == StatusCode::OK;
                        let kept = HeaderValue::from_static(if for_good {
                            "public, max-age=31536000, immutable"
                        } else {
                            "no-cache"
                        });
                        response.headers_mut().insert(header::CACHE_CONTROL, kept);
                        response
                    }
                }
            }
        };
        guard(response.headers_mut(), &self.policy);
        response
    }

    /// Pages are always sent whole: two builds may agree in time and size of a page and differ in its scripts.
    async fn page(&self, page: &str, uri: Uri, method: &Method, headers: &HeaderMap) -> Response {
        let mut response = self.files(whole(uri, method, headers)).await;
        if response.status() == StatusCode::NOT_FOUND {
            return self.missing_page(method, headers).await;
        }
        let policy = self.policies.get(page).unwrap_or(&self.policy);
        as_page(response.headers_mut(), policy);
        response
    }

    async fn missing_page(&self, method: &Method, headers: &HeaderMap) -> Response {
        let uri = Uri::from_static(MISSING_PAGE);
        let mut response = self.files(whole(uri.clone(), method, headers)).await;
        if response.status() != StatusCode::OK {
            return missing(&uri);
        }
        *response.status_mut() = StatusCode::NOT_FOUND;
        let policy = self.policies.get(MISSING_PAGE).unwrap_or(&self.policy);
        as_page(response.headers_mut(), policy);
        response.extensions_mut().insert(Finished);
        response
    }

    async fn files(&self, request: Request) -> Response {
        match self.files.clone().oneshot(request).await {
            Ok(response) => response.into_response(),
            Err(never) => match never {},
        }
    }
}

/// Marks an answer of an error status that is a page for people, and no problem document.
#[derive(Clone, Copy)]
pub(super) struct Finished;

/// What a path asks for.
#[derive(PartialEq, Eq, Debug)]
enum Place {
    /// The short address of a job.
    Job(JobId),
    /// A page, by the name that it has in [`POLICIES_FILE`].
    Page(String),
    File {
        is_chunk: bool,
    },
    /// Nothing that is served, even where there is such a file.
    Nowhere,
}

fn locate(uri: &Uri) -> Place {
    let Ok(path) = percent_decode_str(uri.path()).decode_utf8() else { return Place::Nowhere };
    if let Some(id) = path.strip_prefix("/j/") {
        return JobId::from_str(id).map_or(Place::Nowhere, Place::Job);
    }
    let names = path.strip_prefix('/').unwrap_or_default();
    let is_plain = |name: &str| !name.is_empty() && !name.starts_with('.');
    let is_odd = |character: char| character == '\\' || character.is_control();
    // Only a folder ends in an empty name.
    let names = names.strip_suffix('/').unwrap_or(names);
    if !(path == "/" || names.split('/').all(is_plain))
        || path.contains(is_odd)
        || names.starts_with(POLICIES_FILE)
    {
        return Place::Nowhere;
    }
    if path.ends_with('/') || path.ends_with(".html") {
        return Place::Page(path.strip_suffix("index.html").unwrap_or(&path).to_owned());
    }
    Place::File { is_chunk: path.starts_with(CHUNKS) }
}

/// Whether a person may have asked for a page: its last name has no extension.
fn looks_like_page(path: &str) -> bool {
    !path.rsplit('/').next().unwrap_or_default().contains('.')
}

/// Whether `path` is one of the API's, existing or not.
fn is_api(path: &str) -> bool {
    API.contains(&path.trim_start_matches('/').split('/').next().unwrap_or_default())
}

/// A request without conditions and ranges.
fn whole(uri: Uri, method: &Method, headers: &HeaderMap) -> Request {
    let mut request = Request::new(axum::body::Body::empty());
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    for encoding in headers.get_all(header::ACCEPT_ENCODING) {
        request.headers_mut().append(header::ACCEPT_ENCODING, encoding.clone());
    }
    request
}

fn as_page(headers: &mut HeaderMap, policy: &HeaderValue) {
    headers.remove(header::ETAG);
    headers.remove(header::LAST_MODIFIED);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
}

fn no_cache() -> [(HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))]
}

fn missing(uri: &Uri) -> Response {
    let refusal = Refusal::not_found(format!("page {}", super::head(uri.path())));
    ([(header::CACHE_CONTROL, "no-store")], refusal).into_response()
}

/// What every answer of the web says to the browser.
fn guard(headers: &mut HeaderMap, policy: &HeaderValue) {
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert_with(|| policy.clone());
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (OPENER_POLICY, "same-origin"),
        (PERMISSIONS_POLICY, "camera=(), microphone=(), geolocation=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Reads the hashes of the inline scripts of each page.
fn read_policies(path: &Path) -> Result<BTreeMap<String, Vec<String>>, WebError> {
    let name = || path.display().to_string();
    let malformed = |problem: String| WebError::Malformed { path: name(), problem };
    let mut json = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(POLICIES_BYTES_MAX + 1).read_to_end(&mut json))
        .map_err(|error| WebError::Unreadable { path: name(), error })?;
    if json.len() as u64 > POLICIES_BYTES_MAX {
        return Err(malformed(format!("it has more than {POLICIES_BYTES_MAX} bytes")));
    }
    let policies: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(&json).map_err(|error| malformed(error.to_string()))?;
    for (page, scripts) in &policies {
        if scripts.len() > SCRIPTS_MAX {
            return Err(malformed(format!("{page} has more than {SCRIPTS_MAX} inline scripts")));
        }
        if let Some(other) = scripts.iter().find(|script| !is_hash_source(script)) {
            return Err(malformed(format!("{page} allows {other}, which is no 'sha256-…'")));
        }
    }
    Ok(policies)
}

/// Only hashes widen a policy.
fn is_hash_source(text: &str) -> bool {
    let base64 = text.strip_prefix("'sha256-").and_then(|rest| rest.strip_suffix('\''));
    base64.is_some_and(|base64| {
        base64.len() == 44
            && base64.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    })
}

fn content_policy(scripts: &[String], rpc_urls: &[String]) -> HeaderValue {
    let scripts: String = scripts.iter().map(|script| format!(" {script}")).collect();
    let mut origins = String::new();
    for url in rpc_urls.iter().filter_map(|url| reqwest::Url::parse(url).ok()) {
        let origin = format!(" {}", url.origin().ascii_serialization());
        if !origins.contains(&origin) {
            origins.push_str(&origin);
        }
    }
    let policy = format!(
        "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; font-src 'self'; connect-src 'self'{origins}; \
         worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; object-src 'none'"
    );
    HeaderValue::try_from(policy).expect("hashes and origins are plain ASCII")
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(config))
}

/// What the web must know of this scheduler before anything else.
#[utoipa::path(get, path = "/config.json", tag = "info", responses((status = 200, body = WebConfig)))]
async fn config(State(app): State<App>) -> impl IntoResponse {
    let web = &app.config.web;
    let id = app.deployment.chain_id;
    let name =
        if web.chain_name.is_empty() { format!("chain {id}") } else { web.chain_name.clone() };
    let config = WebConfig {
        scheduler_version: env!("CARGO_PKG_VERSION").to_owned(),
        chain: WebChain {
            id,
            name,
            coin: WebCoin { symbol: web.coin_symbol.clone(), decimals: NATIVE_DECIMALS },
        },
        contract: app.deployment.contract,
        from_block: app.deployment.block,
        rpc_urls: app.config.web_rpc_urls(),
        explorer_url: Some(web.explorer_url.clone()).filter(|url| !url.is_empty()),
        development: web.development,
    };
    let mut headers = HeaderMap::new();
    headers.extend(no_cache());
    guard(&mut headers, &HeaderValue::from_static(CAGE));
    (headers, Json(config))
}

/// Answers whatever no route of the API knows.
pub(super) async fn serve(State(app): State<App>, request: Request) -> Response {
    let path = request.uri().path();
    let Some(web) = app.web.as_ref().filter(|_| !is_api(path)) else {
        return Refusal::not_found(format!("page {}", super::head(path))).into_response();
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return super::unknown_method(request.method(), request.uri()).into_response();
    }
    web.answer(request).await
}

/// Cages an answer that brings no policy of its own. A stranger's HTML or SVG, opened here, speaks for nobody.
pub(super) async fn caged(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(const { HeaderValue::from_static(CAGE) });
    headers
        .entry(header::X_CONTENT_TYPE_OPTIONS)
        .or_insert(const { HeaderValue::from_static("nosniff") });
    response
}

/// Lets the one origin that is configured for development use the API from a browser.
pub(super) fn development_origin(config: &Config) -> Option<CorsLayer> {
    let origin = &config.web.development_origin;
    if origin.is_empty() {
        return None;
    }
    let allowed = HeaderValue::try_from(origin).ok()?;
    let may_use = move |origin: &HeaderValue, head: &axum::http::request::Parts| {
        let path = head.uri.path();
        let first = path.trim_start_matches('/').split('/').next();
        origin == allowed && matches!(first, Some("v1" | "ipfs" | "config.json"))
    };
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(may_use))
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("idempotency-key"),
            ])
            .expose_headers([header::ETAG, header::RETRY_AFTER, header::CONTENT_DISPOSITION]),
    )
}

/// Compresses JSON and pages. Streams are neither: they must not wait for a full buffer.
pub(super) fn compression() -> CompressionLayer<impl Predicate> {
    let is_worth_it = |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        matches!(kind.trim(), "application/json" | "application/problem+json" | "text/html")
    };
    CompressionLayer::new().compress_when(SizeAbove::new(COMPRESSED_BYTES_MIN).and(is_worth_it))
}
