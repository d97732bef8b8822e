//! The web's build over connections: what is served, what never is, and what a browser is told of each answer.

use gristmill_protocol::api::WebConfig;
use gristmill_protocol::content::{self, Limits as ContentLimits};
use tempfile::TempDir;

use super::streams::{FIRST, Running, running};
use super::*;
use crate::app::StartError;

const HASH: &str = "'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='";
const OTHER_HASH: &str = "'sha256-BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB='";
const CHUNK: &str = "/_next/static/chunks/a1.js";
const IMMUTABLE: &str = "cache-control: public, max-age=31536000, immutable";

/// A folder as the web's build writes it, small.
fn build() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let start = format!("<!doctype html><p>start</p>{}", " ".repeat(2000));
    for (path, text) in [
        ("index.html", start.as_str()),
        ("404.html", "<!doctype html><p>no such page</p>"),
        ("job/index.html", "<!doctype html><p>a job</p>"),
        ("job/__next._tree.txt", "tree"),
        (&CHUNK[1..], "plain()"),
        ("_next/static/chunks/a1.js.br", "as brotli"),
        ("favicon.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        (".secret", "dots"),
        (".git/config", "dots"),
        ("csp.json.gz", "hashes"),
        ("v1/jobs", "a shadow"),
        ("config.json", "a shadow"),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let policies = serde_json::json!({ "/": [HASH], "/job/": [OTHER_HASH], "/404.html": [] });
    std::fs::write(folder.path().join("csp.json"), policies.to_string()).unwrap();
    folder
}

async fn mill(build: &TempDir) -> Mill {
    Mill::configured(|config| config.web.folder = build.path().to_owned()).await
}

async fn get(mill: &Mill, path: &str) -> Answer {
    mill.request("GET", path, &[], "").await
}

fn policy(answer: &Answer) -> &str {
    let lines = answer.head.lines();
    let mut policies = lines.filter_map(|line| line.strip_prefix("content-security-policy: "));
    let policy = policies.next().expect("every answer has a policy");
    assert_eq!(policies.next(), None, "one policy: two would narrow each other");
    policy
}

#[tokio::test]
async fn every_page_comes_with_the_policy_of_its_own_scripts() {
    let build = build();
    let mill = mill(&build).await;
    for (path, text, hash, foreign) in
        [("/", "start", HASH, OTHER_HASH), ("/job/", "a job", OTHER_HASH, HASH)]
    {
        for path in [path.to_owned(), format!("{path}?id=1"), format!("{path}index.html")] {
            let answer = get(&mill, &path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.body.contains(text), "{path}");
            assert!(answer.head.contains("content-type: text/html"), "{}", answer.head);
            assert!(answer.head.contains("cache-control: no-cache"), "{}", answer.head);
            // Two builds may agree in time and size of a page and differ in its scripts.
            assert!(!answer.head.contains("etag"), "{}", answer.head);
            assert!(!answer.head.contains("last-modified"), "{}", answer.head);
            let policy = policy(&answer);
            let script = format!("script-src 'self' {};", hash.to_lowercase());
            assert!(policy.contains(&script), "{policy}");
            assert!(!policy.contains(&foreign.to_lowercase()), "{policy}");
            assert!(policy.starts_with("default-src 'none'; "), "{policy}");
            assert!(policy.contains("connect-src 'self' http://127.0.0.1:8545;"), "{policy}");
            assert!(policy.ends_with("frame-ancestors 'none'; object-src 'none'"), "{policy}");
        }
    }
    let head = mill.request("HEAD", "/", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let folder = get(&mill, "/job?id=1").await;
    assert_eq!(folder.status, 307);
    assert!(folder.head.contains("location: /job/?id=1\r\n"), "{}", folder.head);
}

#[tokio::test]
async fn every_answer_of_the_web_is_guarded() {
    let build = build();
    let mill = mill(&build).await;
    let short = format!("/j/{}", JobId::default());
    for path in
        ["/", "/nowhere", "/favicon.svg", CHUNK, "/_next/static/gone.js", "/config.json", &short]
    {
        let answer = get(&mill, path).await;
        for line in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-opener-policy: same-origin",
            "permissions-policy: camera=(), microphone=(), geolocation=()",
        ] {
            assert!(answer.head.contains(line), "{path} lacks {line}: {}", answer.head);
        }
        policy(&answer);
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_page_for_people_and_never_kept_where_it_is_a_chunk() {
    let build = build();
    let mill = mill(&build).await;
    for path in ["/nowhere", "/nowhere/", "/job/nothing", "/nowhere.html", "/index.html/x"] {
        let answer = get(&mill, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("no such page"), "{path}: {}", answer.body);
        assert!(answer.head.contains("cache-control: no-cache"), "{path}: {}", answer.head);
    }
    let chunk = get(&mill, CHUNK).await;
    assert_eq!((chunk.status, chunk.body.as_str()), (200, "plain()"));
    assert!(chunk.head.contains(IMMUTABLE), "{}", chunk.head);
    let gone = get(&mill, "/_next/static/chunks/gone").await;
    assert_eq!(gone.problem().code, ErrorCode::NotFound);
    assert!(gone.head.contains("cache-control: no-store"), "{}", gone.head);
    assert!(!gone.body.contains("html"), "{}", gone.body);
    let known = chunk.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = mill.request("GET", CHUNK, &[&format!("if-none-match: {known}")], "").await;
    assert_eq!(again.status, 304);
    let missing = get(&mill, "/nothing.png").await;
    assert_eq!(missing.problem().code, ErrorCode::NotFound);
    let text = get(&mill, "/job/__next._tree.txt").await;
    assert_eq!((text.status, text.body.as_str()), (200, "tree"));
    assert!(text.head.contains("cache-control: no-cache"), "{}", text.head);
}

#[tokio::test]
async fn nothing_outside_the_build_and_nothing_hidden_in_it_is_served() {
    let build = build();
    let beside = build.path().with_extension("beside");
    std::fs::write(&beside, "beside").unwrap();
    let mill = mill(&build).await;
    let beside_name = beside.file_name().unwrap().to_str().unwrap();
    for path in [
        "/csp.json",
        "/csp%2ejson",
        "/%63sp.json",
        "//csp.json",
        "/csp.json.gz",
        "/csp.json/",
        "/.secret",
        "/%2esecret",
        "/.git/config",
        "/job/../csp.json",
        "/job/..%2fcsp.json",
        "/job%2f..%2f..%2fetc%2fpasswd",
        "/../../../../etc/passwd",
        "/..%5c..%5cetc%5cpasswd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/index.html%00.js",
        "/%ff",
        // A redirect to a host of this name would leave this origin.
        "//job",
        &format!("/../{beside_name}"),
        &format!("/_next/static/..%2f..%2f..%2f{beside_name}"),
    ] {
        let answer = get(&mill, path).await;
        assert_eq!(answer.status, 404, "{path}: {} {}", answer.head, answer.body);
        assert!(answer.body.contains("no such page"), "{path}: {}", answer.body);
    }
    std::fs::remove_file(beside).unwrap();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = mill.request(method, "/job/", &[], "").await;
        assert_eq!(answer.problem().code, ErrorCode::MethodNotAllowed, "{method}");
    }
}

#[tokio::test]
async fn the_api_never_falls_into_the_web() {
    let build = build();
    let mill = mill(&build).await;
    for path in ["/v1", "/v1/nothing", "/v1/jobs/", "/ipfs", "/ipfs/", "/healthz/x", "/metrics/"] {
        let problem = get(&mill, path).await.problem();
        assert_eq!(problem.code, ErrorCode::NotFound, "{path}");
    }
    assert_eq!(get(&mill, "/healthz").await.body, "ok\n");
    assert_eq!(get(&mill, "/v1/jobs").await.body, r#"{"items":[]}"#, "not the file of that name");
    let without = Mill::start().await;
    for path in ["/", "/j/0x12", "/404.html"] {
        assert_eq!(get(&without, path).await.problem().code, ErrorCode::NotFound, "{path}");
    }
}

#[tokio::test]
async fn a_short_address_leads_to_the_page_of_its_job_and_nowhere_else() {
    let build = build();
    let mill = mill(&build).await;
    let id = JobId([0xab; 32].into());
    let answer = get(&mill, &format!("/j/{id}")).await;
    assert_eq!(answer.status, 307);
    let location = format!("location: /job/?id={id}\r\n");
    assert!(answer.head.contains(&location), "{}", answer.head);
    let digits = "ab".repeat(32);
    for path in [
        format!("/j/{digits}"),
        format!("/j/0x{}", &digits[2..]),
        format!("/j/0x{digits}00"),
        format!("/j/0x{digits}/"),
        format!("/j/0x{}zz", &digits[2..]),
        "/j/".to_owned(),
        "/j".to_owned(),
        "/j//evil.example".to_owned(),
    ] {
        let answer = get(&mill, &path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.head);
        assert!(answer.body.contains("no such page"), "{path}");
    }
}

#[tokio::test]
async fn the_web_learns_where_it_is() {
    let mill = Mill::configured(|config| {
        config.chain.rpc_urls =
            vec!["https://rpc.example".into(), "https://rpc.example/v3/key".into()];
        config.web.explorer_url = "https://scan.example".into();
    })
    .await;
    let answer = get(&mill, "/config.json").await;
    assert!(answer.head.contains("cache-control: no-cache"), "{}", answer.head);
    let config: WebConfig = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((config.chain.id, config.chain.name.as_str()), (4439, "chain 4439"));
    assert_eq!((config.chain.coin.symbol.as_str(), config.chain.coin.decimals), ("U2U", 18));
    assert_eq!(config.contract, samples::deployment().contract);
    assert_eq!(config.from_block, 1);
    assert_eq!(config.rpc_urls, ["https://rpc.example"], "a path may be a key");
    assert_eq!(config.explorer_url.as_deref(), Some("https://scan.example"));
    assert!(!config.development);
    let json: serde_json::Value =
        serde_json::from_str(&get(&Mill::start().await, "/config.json").await.body).unwrap();
    assert_eq!(json["explorer_url"], serde_json::Value::Null);
    assert!(json.as_object().unwrap().contains_key("explorer_url"), "null, not absent");
}

/// Alice publishes a page that would like to act for whoever opens it.
#[tokio::test]
async fn what_strangers_uploaded_runs_in_no_browser() {
    let build = build();
    let mill = mill(&build).await;
    let html = "<!doctype html><script>fetch('/v1/jobs')</script>";
    let blocks = content::MemoryStore::default();
    let cid =
        content::add_file(&blocks, &mut html.as_bytes(), &ContentLimits::default()).unwrap().cid;
    let mut car = Vec::new();
    content::write_car(&blocks, &cid, &mut car, &ContentLimits::default()).unwrap();
    let Running { job, node, .. } = running(&mill).await;
    node.put_content(car).await.unwrap();
    node.append_log(job, FIRST, 0, html.into()).await.unwrap();
    for path in [
        format!("/ipfs/{cid}?format=raw"),
        format!("/ipfs/{cid}"),
        format!("/v1/jobs/{job}/logs"),
        format!("/v1/jobs/{job}/events"),
        format!("/v1/jobs/{job}"),
        "/v1/<script>".replace('<', "%3C").replace('>', "%3E"),
    ] {
        let answer = mill.request("GET", &path, &["accept: text/html"], "").await;
        assert_eq!(policy(&answer), "sandbox; default-src 'none'", "{path}");
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{path}");
        assert!(!answer.head.contains("text/html"), "{path}: {}", answer.head);
    }
    let raw = get(&mill, &format!("/ipfs/{cid}?format=raw")).await;
    assert_eq!(raw.body, html, "the bytes themselves are what was uploaded");
}

#[tokio::test]
async fn only_the_development_origin_may_use_the_api_from_elsewhere() {
    let mill = Mill::configured(|config| {
        config.web.development = true;
        config.web.development_origin = "http://127.0.0.1:3001".into();
    })
    .await;
    let ask = async |origin: &str, path: &str| {
        let headers = [
            &*format!("origin: {origin}"),
            "access-control-request-method: PUT",
            "access-control-request-headers: authorization,idempotency-key,content-type",
        ];
        mill.request("OPTIONS", path, &headers, "").await.head
    };
    for path in ["/v1/jobs", "/ipfs/x", "/config.json"] {
        let head = ask("http://127.0.0.1:3001", path).await;
        assert!(head.contains("access-control-allow-origin: http://127.0.0.1:3001"), "{head}");
        for word in ["put", "delete", "authorization", "idempotency-key", "content-type"] {
            assert!(head.contains(word), "{word}: {head}");
        }
        for origin in ["http://127.0.0.1:3002", "null", "https://127.0.0.1:3001"] {
            let head = ask(origin, path).await;
            assert!(!head.contains("access-control-allow-origin"), "{origin}: {head}");
        }
    }
    assert!(!ask("http://127.0.0.1:3001", "/metrics").await.contains("allow-origin"));
    let header = ["origin: http://127.0.0.1:3001"];
    let refused = mill.request("GET", "/v1/jobs?limit=0", &header, "").await;
    assert!(refused.head.contains("access-control-allow-origin"), "a page reads why, too");
    let closed = Mill::start().await;
    let answer = closed.request("GET", "/v1/info", &header, "").await;
    assert!(!answer.head.contains("access-control"), "{}", answer.head);
}

#[tokio::test]
async fn pages_and_json_are_compressed_and_streams_are_not() {
    let build = build();
    let mill = mill(&build).await;
    let client = mill.signed_in(&PrivateKeySigner::random()).await;
    client.put_spec(&samples::spec().spec).await.unwrap();
    let (job, _) = mill.funded_job(&PrivateKeySigner::random(), 1).await;
    let encoding = async |path: String, accepted: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: mill\r\nconnection: close\r\naccept-encoding: {accepted}\r\n\r\n"
        );
        let (head, _) = super::content::raw(&mill, &request).await;
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        let encoding = head.lines().find_map(|line| line.strip_prefix("content-encoding: "));
        encoding.map(str::to_owned)
    };
    assert_eq!(encoding("/".into(), "gzip").await.as_deref(), Some("gzip"));
    assert_eq!(encoding(format!("/v1/jobs/{job}"), "gzip").await.as_deref(), Some("gzip"));
    assert_eq!(encoding("/".into(), "identity").await, None);
    assert_eq!(encoding(CHUNK.into(), "gzip, br").await.as_deref(), Some("br"), "as it was built");
    assert_eq!(encoding(format!("/v1/jobs/{job}/events"), "gzip, br").await, None);
    assert_eq!(encoding(format!("/v1/jobs/{job}/logs"), "gzip, br").await, None);
}

#[tokio::test]
async fn a_folder_that_no_build_wrote_is_refused_at_the_start() {
    let start = |write: &dyn Fn(&std::path::Path)| {
        let build = build();
        write(&build.path().join("csp.json"));
        let mut config = Config::defaults(build.path()).unwrap();
        config.web.folder = build.path().to_owned();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let clock = Clock::manual(NOW);
        let started = App::start(config, store, clock, samples::deployment(), samples::SCHEDULER);
        match started {
            Err(error @ StartError::Web(_)) => error.to_string(),
            Err(error) => panic!("another error: {error}"),
            Ok(_) => panic!("it started"),
        }
    };
    let absent = start(&|path| std::fs::remove_file(path).unwrap());
    assert!(absent.contains("npm run build"), "{absent}");
    for json in [
        "[]",
        "{\"/\": [\"'unsafe-inline'\"]}",
        "{\"/\": [\"'sha256-AAA'\"]}",
        "{\"/\": [\"'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; x='\"]}",
    ] {
        let error = start(&|path| std::fs::write(path, json).unwrap());
        assert!(error.contains("csp.json"), "{json}: {error}");
        assert!(error.contains("npm run build"), "{json}: {error}");
    }
}
