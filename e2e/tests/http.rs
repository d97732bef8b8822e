//! Garbage, oversized and slow requests to the real scheduler: always a problem document with a code, never a 5xx.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::Lifetime;
use gristmill_protocol::error::Problem;
use reqwest::{Client, Method, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn expect_problem(what: &str, response: Response, statuses: &[u16]) {
    let status = response.status().as_u16();
    assert!(statuses.contains(&status), "{what}: {status}");
    let kind =
        response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(kind.as_deref(), Some("application/problem+json"), "{what}");
    let problem: Problem = response.json().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(problem.status, status, "{what}");
    assert_eq!(problem.code.status(), status, "{what}");
    assert!(!problem.detail.is_empty(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_the_answer_is_a_problem_and_never_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        scheduler: toml::toml! {
            [limits]
            header_timeout_ms = 1000
            body_timeout_ms = 1000
        },
        ..Settings::default()
    };
    let mut market =
        Market::start(folder.path(), settings, false, Lifetime::Attached).await.unwrap();
    let url = market.scheduler.url.clone();
    let http = Client::new();
    let id = format!("0x{}", "ab".repeat(32));
    let node = Party::NodeA.address();
    let json = "application/json";
    let big = "x".repeat(2 << 20);
    let deep = "[".repeat(100_000);
    for (method, path, kind, body) in [
        (Method::GET, "/nothing", json, ""),
        (Method::DELETE, "/v1/jobs", json, ""),
        (Method::GET, "/v1/jobs/0x12", json, ""),
        (Method::GET, &format!("/v1/jobs/{id}"), json, ""),
        (Method::GET, &format!("/v1/jobs/{id}/logs?offset=-1"), json, ""),
        (Method::GET, "/v1/jobs?limit=99999999999999999999", json, ""),
        (Method::GET, "/v1/jobs?state=lost", json, ""),
        (Method::GET, "/v1/jobs?cursor=%00%ff", json, ""),
        (Method::GET, "/v1/nodes/me", json, ""),
        (Method::GET, "/ipfs/nonsense?format=car", json, ""),
        (
            Method::GET,
            "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy?format=raw",
            json,
            "",
        ),
        (Method::GET, "/ipfs/../../etc/passwd", json, ""),
        (Method::POST, "/v1/auth/login", json, "{"),
        (Method::POST, "/v1/auth/login", json, "{\"message\":\"\",\"signature\":\"0x\"}"),
        (Method::POST, "/v1/auth/login", "text/plain", "hello"),
        (Method::POST, "/v1/auth/login", json, &big),
        (Method::POST, "/v1/auth/login", json, &deep),
        (Method::POST, "/v1/jobs", json, "null"),
        (Method::POST, "/v1/content", "application/vnd.ipld.car", "not a car"),
        (Method::PUT, &format!("/v1/specs/{id}"), json, "{}"),
        (Method::PUT, &format!("/v1/nodes/{node}/offer"), json, "{}"),
        (Method::POST, &format!("/v1/nodes/{node}/poll"), json, "{}"),
        (Method::POST, &format!("/v1/jobs/{id}/attempts/99999999/start"), json, "{}"),
    ] {
        for token in [None, Some("nonsense"), Some("\u{1F600}")] {
            let mut request = http
                .request(method.clone(), format!("{url}{path}"))
                .header("content-type", kind)
                .body(body.to_owned());
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}").as_bytes());
            }
            let what = format!("{method} {path} {:.40}", body);
            let allowed: Vec<u16> = (400..500).collect();
            expect_problem(&what, request.send().await.unwrap(), &allowed).await;
        }
    }

    for (what, bytes) in [
        ("no HTTP at all", b"\x16\x03\x01\x02\x00garbage\r\n\r\n".as_slice()),
        ("a head that never ends", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ".as_slice()),
        (
            "a body that never comes",
            b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
                .as_slice(),
        ),
    ] {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
        read.unwrap_or_else(|_| panic!("{what}: the connection stays open")).ok();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 4"), "{what}: {answer}");
        assert!(answer.contains("application/problem+json"), "{what}: {answer}");
    }
    // Most clients send all of a body before they read why it was refused.
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let bytes = 32 << 20;
    let head = format!(
        "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; bytes]).await.expect("the server reads on");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    market.scheduler.process.check_running().unwrap();
    let healthy = http.get(format!("{url}/readyz")).send().await.unwrap();
    assert!(healthy.status().is_success(), "the scheduler is not well after it");
    let log = market.scheduler.process.output();
    assert!(!log.contains("panicked"), "{log}");
}
