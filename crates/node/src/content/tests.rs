//! Servers and content that mean no good: each gives a clear error, and nothing is left or written elsewhere.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use futures_util::stream;
use gristmill_protocol::content::{MemoryStore, Sha256Digest, parse_cid, write_car};
use tempfile::TempDir;

use super::*;

const TEXT: &[u8] = b"the grist of the mill";

/// A server on this machine, and a fetcher that may talk to it.
struct Bench {
    url: String,
    host: String,
    _folder: TempDir,
    root: PathBuf,
    into: PathBuf,
}

impl Bench {
    async fn new(router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let into = root.join("input");
        fs::create_dir(&into).unwrap();
        Self { url: format!("http://{host}"), host, _folder: folder, root, into }
    }

    fn fetcher(&self, allow: &[&str]) -> Fetcher {
        let config = ContentConfig {
            gateways: Vec::new(),
            allow_hosts: allow.iter().map(|host| (*host).to_owned()).collect(),
            cache_bytes_max: 1 << 30,
            read_timeout_seconds: 2,
            total_timeout_seconds: 20,
            module_bytes_max: 1 << 20,
        };
        Fetcher::new(&config, &self.url, &self.root.join("cache")).unwrap()
    }

    async fn fetch(&self, input: Input, bytes_max: u64) -> Result<u64, FetchError> {
        self.fetcher(&[&self.host]).fetch_inputs(&[input], &self.into, bytes_max).await
    }

    /// What lies in the input folder now.
    fn found(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.into)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn expect_nothing(&self) {
        assert_eq!(self.found(), Vec::<String>::new(), "something was left");
        let mut beside: Vec<_> =
            fs::read_dir(&self.root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        beside.sort();
        assert!(beside.iter().all(|name| name == "cache" || name == "input"), "{beside:?}");
    }
}

fn web(url: &str, content: &[u8]) -> Input {
    let sha256 = hex::encode(Sha256Digest::of(content).0);
    Input { uri: url.to_owned(), sha256: Some(sha256), path: "a.txt".into() }
}

fn ipfs(cid: impl std::fmt::Display) -> Input {
    Input { uri: format!("ipfs://{cid}"), sha256: None, path: "a".into() }
}

fn is_jobs_fault(result: &Result<u64, FetchError>) -> bool {
    matches!(result, Err(FetchError::JobsFault(_)))
}

fn endless() -> Body {
    Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[7; 4096]))))
}

#[tokio::test]
async fn a_file_arrives_whole_and_can_be_read_by_anyone() {
    let bench = Bench::new(Router::new().route("/a", get(async || TEXT))).await;
    let bytes = bench.fetch(web(&format!("{}/a", bench.url), TEXT), 100).await.unwrap();
    assert_eq!(bytes, TEXT.len() as u64);
    assert_eq!(fs::read(bench.into.join("a.txt")).unwrap(), TEXT);
    let mode = fs::metadata(bench.into.join("a.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(bench.found(), ["a.txt"]);
}

#[tokio::test]
async fn what_is_not_what_the_job_names_is_its_fault() {
    let router = Router::new()
        .route("/a", get(async || TEXT))
        .route("/endless", get(async || endless()))
        .route("/liar", get(async || ([(header::CONTENT_LENGTH, "999999999")], endless())))
        .route("/gone", get(async || StatusCode::GONE));
    let bench = Bench::new(router).await;
    for (path, content, bytes_max, word) in [
        ("/a", b"other".as_slice(), 100, "sha-256"),
        ("/a", TEXT, 5, "larger"),
        ("/endless", TEXT, 100_000, "larger"),
        ("/liar", TEXT, 100_000, "larger"),
        ("/gone", TEXT, 100, "410"),
        ("/nothing", TEXT, 100, "404"),
    ] {
        let result = bench.fetch(web(&format!("{}{path}", bench.url), content), bytes_max).await;
        assert!(is_jobs_fault(&result), "{path}: {result:?}");
        assert!(result.unwrap_err().to_string().contains(word), "{path}");
        bench.expect_nothing();
    }
}

#[tokio::test]
async fn a_server_that_fails_is_nobodys_fault() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let broken = get(async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        StatusCode::INTERNAL_SERVER_ERROR
    });
    let bench = Bench::new(Router::new().route("/broken", broken)).await;
    let result = bench.fetch(web(&format!("{}/broken", bench.url), TEXT), 100).await;
    assert!(matches!(result, Err(FetchError::Infrastructure(_))), "{result:?}");
    assert_eq!(tries.load(Ordering::Relaxed), 3, "it is tried again, but not for ever");
    bench.expect_nothing();
}

#[tokio::test]
async fn a_download_that_is_cut_goes_on_where_it_stopped() {
    async fn cut(
        State(ranges): State<Arc<std::sync::Mutex<Vec<String>>>>,
        headers: HeaderMap,
    ) -> Response {
        let range = headers.get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
        ranges.lock().unwrap().push(range.clone().unwrap_or_default());
        match range.as_deref() {
            None => {
                // Half of what was promised, and then the connection breaks.
                let half = Bytes::from_static(&TEXT[..10]);
                let parts = stream::unfold(Some(half), async |half| match half {
                    Some(half) => Some((Ok(half), None)),
                    None => {
                        // The first half has to leave before the connection breaks.
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        Some((Err(io::Error::other("cut")), None))
                    }
                });
                let body = Body::from_stream(parts);
                ([(header::CONTENT_LENGTH, TEXT.len().to_string())], body).into_response()
            }
            Some("bytes=10-") => (StatusCode::PARTIAL_CONTENT, &TEXT[10..]).into_response(),
            Some(_) => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        }
    }
    let ranges = Arc::default();
    let router = Router::new().route("/cut", get(cut)).with_state(Arc::clone(&ranges));
    let bench = Bench::new(router).await;
    bench.fetch(web(&format!("{}/cut", bench.url), TEXT), 100).await.unwrap();
    assert_eq!(*ranges.lock().unwrap(), ["", "bytes=10-"]);
    assert_eq!(fs::read(bench.into.join("a.txt")).unwrap(), TEXT);
}

#[tokio::test]
async fn no_redirect_leads_to_a_private_address() {
    let router = Router::new()
        .route("/a", get(async || TEXT))
        .route("/good", get(async || Redirect::temporary("/a")))
        .route("/metadata", get(async || Redirect::temporary("https://169.254.169.254/latest")))
        .route("/home", get(async || Redirect::temporary("https://127.0.0.1:1/")))
        .route("/file", get(async || Redirect::temporary("file:///etc/passwd")))
        .route("/round", get(async || Redirect::temporary("/round")));
    let bench = Bench::new(router).await;
    bench.fetch(web(&format!("{}/good", bench.url), TEXT), 100).await.unwrap();
    fs::remove_file(bench.into.join("a.txt")).unwrap();
    for path in ["/metadata", "/home", "/file", "/round"] {
        let result = bench.fetch(web(&format!("{}{path}", bench.url), TEXT), 100).await;
        assert!(is_jobs_fault(&result), "{path}: {result:?}");
        bench.expect_nothing();
    }
    // Without the provider's word the machine itself is out of reach.
    let input = web(&format!("{}/a", bench.url), TEXT);
    let result = bench.fetcher(&[]).fetch_inputs(&[input], &bench.into, 100).await;
    assert!(is_jobs_fault(&result), "{result:?}");
    bench.expect_nothing();
}

/// A gateway over a store; what it answers for one CID can be replaced.
#[derive(Clone, Default)]
struct Gateway {
    store: Arc<MemoryStore>,
    lie_about: Option<String>,
    asked: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Gateway {
    fn router(self) -> Router {
        Router::new().fallback(answer).with_state(self)
    }
}

async fn answer(
    State(gateway): State<Gateway>,
    Query(query): Query<std::collections::HashMap<String, String>>,
    request: Request,
) -> Response {
    let name = request.uri().path().trim_start_matches("/ipfs/").to_owned();
    let format = query.get("format").cloned().unwrap_or_default();
    gateway.asked.lock().unwrap().push(format!("{format} {name}"));
    let Ok(cid) = parse_cid(&name) else { return StatusCode::BAD_REQUEST.into_response() };
    if format == "car" {
        let mut car = Vec::new();
        // A gateway that misses a block sends what it has.
        write_car(gateway.store.as_ref(), &cid, &mut car, &Limits::default()).ok();
        if gateway.lie_about.is_some() {
            let last = car.len() - 1;
            car[last] ^= 1;
        }
        return car.into_response();
    }
    if gateway.lie_about.as_deref() == Some(name.as_str()) {
        return "a lie".into_response();
    }
    match gateway.store.get(&cid) {
        Ok(Some(block)) => block.into_response(),
        Ok(None) | Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn directory(store: &MemoryStore, files: &[(&str, &[u8])]) -> content::Added {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    content::add_dir(store, folder.path(), &Limits::default()).unwrap()
}

#[tokio::test]
async fn content_arrives_by_cid_and_a_second_time_from_the_cache() {
    let gateway = Gateway::default();
    let added = directory(&gateway.store, &[("one", b"1"), ("two", b"22")]);
    let asked = Arc::clone(&gateway.asked);
    let bench = Bench::new(gateway.router()).await;
    assert_eq!(bench.fetch(ipfs(added.cid), 100_000).await.unwrap(), 3);
    assert_eq!(fs::read(bench.into.join("a/two")).unwrap(), b"22");
    let before = asked.lock().unwrap().len();
    fs::remove_dir_all(bench.into.join("a")).unwrap();
    bench.fetch(ipfs(added.cid), 100_000).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), before, "it was asked for again");
}

#[tokio::test]
async fn a_gateway_that_lies_is_not_believed() {
    let store = Arc::new(MemoryStore::default());
    let added = directory(&store, &[("one", b"the first"), ("two", b"the second")]);
    let leaf = content::raw_cid(Sha256Digest::of(b"the second"));
    let gateway = Gateway { store, lie_about: Some(leaf.to_string()), ..Gateway::default() };
    let bench = Bench::new(gateway.router()).await;
    let result = bench.fetch(ipfs(added.cid), 100_000).await;
    assert!(matches!(result, Err(FetchError::Infrastructure(_))), "{result:?}");
    bench.expect_nothing();
}

#[tokio::test]
async fn content_that_nobody_has_or_that_is_too_large_is_the_jobs_fault() {
    let gateway = Gateway::default();
    let added = directory(&gateway.store, &[("one", &[1; 5000])]);
    let store = Arc::clone(&gateway.store);
    let bench = Bench::new(gateway.router()).await;
    let result = bench.fetch(ipfs(added.cid), 1000).await;
    assert!(is_jobs_fault(&result), "{result:?}");
    let missing = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let result = bench.fetch(ipfs(missing), 1000).await;
    assert!(is_jobs_fault(&result), "{result:?}");
    bench.expect_nothing();
    // One block of several is gone.
    store.remove(&content::raw_cid(Sha256Digest::of(&[1; 5000]))).unwrap();
    let fresh = Bench::new(Gateway { store, ..Gateway::default() }.router()).await;
    let result = fresh.fetch(ipfs(added.cid), 100_000).await;
    assert!(is_jobs_fault(&result), "{result:?}");
    fresh.expect_nothing();
}

#[test]
fn an_output_with_links_or_too_much_in_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (output, blocks, car) =
        (folder.path().join("output"), folder.path().join("blocks"), folder.path().join("car"));
    let collect = |bytes_max: u64| collect(&output, &blocks, &car, bytes_max);
    fs::create_dir(&output).unwrap();
    fs::write(output.join("a"), TEXT).unwrap();
    let collected = collect(1000).unwrap();
    assert_eq!(collected.bytes, TEXT.len() as u64);
    let read = content::read_car(
        &MemoryStore::default(),
        &mut File::open(&car).unwrap(),
        &Limits::default(),
    );
    assert_eq!(read.unwrap().roots[0].to_string(), collected.cid);
    assert!(matches!(collect(5), Err(FetchError::JobsFault(_))));
    std::os::unix::fs::symlink("/etc/passwd", output.join("link")).unwrap();
    assert!(matches!(collect(1000), Err(FetchError::JobsFault(_))));
    fs::remove_file(output.join("link")).unwrap();
    let inner: &Path = &output.join("deep");
    fs::create_dir(inner).unwrap();
    let made = std::process::Command::new("mkfifo").arg(inner.join("pipe")).status().unwrap();
    assert!(made.success());
    assert!(matches!(collect(1000), Err(FetchError::JobsFault(_))));
}
