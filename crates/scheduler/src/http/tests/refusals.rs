//! Whatever comes in, what goes out is a problem document with a code, and never a 500.

use super::*;

#[tokio::test]
async fn every_refusal_is_a_problem_with_its_code() {
    let mill = Mill::start().await;
    let json = "content-type: application/json";
    let submitter = PrivateKeySigner::random();
    let token = mill
        .client()
        .sign_in(submitter.address(), ISSUED_AT, |text| sign(&submitter, text))
        .await
        .unwrap();
    let bearer = format!("authorization: Bearer {}", token.token);
    let bearer = bearer.as_str();
    let hash = samples::spec().hash;
    let spec_path = format!("/v1/specs/{hash}");
    let job = format!("/v1/jobs/{}", JobId::default());
    let terms = serde_json::json!({ "terms": samples::terms(submitter.address(), 1) }).to_string();
    let wrong_spec =
        serde_json::to_string(&samples::spec().spec).unwrap().replace("digits", "other");
    let bad_spec = serde_json::to_string(&samples::spec().spec)
        .unwrap()
        .replace("\"max_run_seconds\":60", "\"max_run_seconds\":0");
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a str, ErrorCode);
    let cases: &[Case<'_>] = &[
        ("GET", "/", &[], "", ErrorCode::NotFound),
        ("GET", "/v1/nothing", &[], "", ErrorCode::NotFound),
        ("DELETE", "/v1/info", &[], "", ErrorCode::MethodNotAllowed),
        ("PATCH", "/v1/jobs", &[], "", ErrorCode::MethodNotAllowed),
        ("BREW", "/v1/info", &[], "", ErrorCode::MethodNotAllowed),
        ("GET", "/v1/jobs/zz", &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/jobs/%ff", &[], "", ErrorCode::InvalidRequest),
        ("GET", &job, &[], "", ErrorCode::NotFound),
        ("GET", &format!("{job}/explain"), &[], "", ErrorCode::NotFound),
        ("GET", &format!("{job}/events"), &[], "", ErrorCode::NotFound),
        ("GET", &format!("{job}/logs"), &[], "", ErrorCode::NotFound),
        ("GET", &format!("{job}/events?after=-1"), &[], "", ErrorCode::InvalidRequest),
        ("GET", &format!("{job}/logs?attempt=99999"), &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/jobs?limit=0", &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/jobs?limit=201", &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/jobs?cursor=x", &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/jobs?state=lost", &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/jobs?colour=red", &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/jobs?submitter=0x12", &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/nodes/0x12", &[], "", ErrorCode::InvalidRequest),
        (
            "GET",
            "/v1/nodes/0x1212121212121212121212121212121212121212",
            &[],
            "",
            ErrorCode::NotFound,
        ),
        ("GET", &spec_path, &[], "", ErrorCode::NotFound),
        ("GET", "/v1/images/resolve", &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/images/resolve?reference=a%20b", &[], "", ErrorCode::InvalidRequest),
        ("GET", "/v1/images/resolve?reference=127.0.0.1:1/a", &[], "", ErrorCode::InvalidRequest),
        ("POST", "/v1/auth/login", &[], "{}", ErrorCode::UnsupportedMediaType),
        (
            "POST",
            "/v1/auth/login",
            &["content-type: text/plain"],
            "{}",
            ErrorCode::UnsupportedMediaType,
        ),
        ("POST", "/v1/auth/login", &[json], "", ErrorCode::InvalidRequest),
        ("POST", "/v1/auth/login", &[json], "{", ErrorCode::InvalidRequest),
        ("POST", "/v1/auth/login", &[json], "\u{0}\u{1}", ErrorCode::InvalidRequest),
        (
            "POST",
            "/v1/auth/login",
            &[json],
            "{\"message\":\"a\",\"signature\":\"b\",\"c\":1}",
            ErrorCode::InvalidRequest,
        ),
        (
            "POST",
            "/v1/auth/login",
            &[json],
            "{\"message\":\"a\",\"signature\":\"b\"}",
            ErrorCode::InvalidLogin,
        ),
        ("POST", "/v1/auth/login", &[json], &deep, ErrorCode::InvalidRequest),
        ("POST", "/v1/auth/logout", &[], "", ErrorCode::Unauthenticated),
        ("POST", "/v1/auth/logout", &["authorization: Basic eDp5"], "", ErrorCode::Unauthenticated),
        ("POST", "/v1/jobs", &[json], &terms, ErrorCode::Unauthenticated),
        ("POST", "/v1/jobs", &[json, bearer], &terms, ErrorCode::SpecUnknown),
        ("POST", "/v1/jobs", &[json, bearer], "{\"terms\":{}}", ErrorCode::InvalidRequest),
        (
            "POST",
            "/v1/jobs",
            &[json, bearer, "idempotency-key: a b"],
            &terms,
            ErrorCode::InvalidRequest,
        ),
        ("POST", &format!("{job}/cancel"), &[bearer], "", ErrorCode::NotFound),
        ("PUT", &spec_path, &[json, bearer], "{}", ErrorCode::InvalidRequest),
        ("PUT", &spec_path, &[json, bearer], &wrong_spec, ErrorCode::SpecHashMismatch),
        ("PUT", &spec_path, &[json, bearer], &bad_spec, ErrorCode::InvalidSpec),
        (
            "POST",
            &format!("{job}/attempts/1/start"),
            &[json, bearer],
            "{}",
            ErrorCode::InvalidRequest,
        ),
        (
            "POST",
            &format!("{job}/attempts/1/logs?offset=0"),
            &[bearer],
            "x",
            ErrorCode::UnsupportedMediaType,
        ),
        ("GET", "/ipfs/notacid", &[], "", ErrorCode::InvalidRequest),
    ];
    for (method, path, headers, body, expected) in cases {
        let answer = mill.request(method, path, headers, body).await;
        assert_eq!(answer.problem().code, *expected, "{method} {path}\n{}", answer.body);
        assert_ne!(answer.status, 500);
    }
    assert_eq!(
        mill.request("GET", "/v1/info", &[], "").await.status,
        200,
        "the scheduler is well after all that"
    );
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_refused_declared_or_not() {
    let mill = Mill::start().await;
    let limit = mill.app.config.limits.body_bytes_max;
    let head = "POST /v1/auth/login HTTP/1.1\r\nhost: mill\r\ncontent-type: application/json\r\n";
    let declared = format!("{head}content-length: {}\r\n\r\n", limit + 1);
    assert_eq!(
        Answer::parse(&mill.raw(declared.as_bytes()).await).problem().code,
        ErrorCode::TooLarge
    );

    let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..limit / 65_536 + 1 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b' '; 65_536]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(Answer::parse(&mill.raw(&chunked).await).problem().code, ErrorCode::TooLarge);
}

#[tokio::test]
async fn who_sends_too_slowly_is_let_go() {
    let mill = Mill::start_with(|limits| {
        limits.header_timeout_ms = 100;
        limits.body_timeout_ms = 100;
    })
    .await;
    let head = "POST /v1/auth/login HTTP/1.1\r\nhost: mill\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{";
    let slow_body = Answer::parse(&mill.raw(head.as_bytes()).await);
    assert_eq!(slow_body.problem().code, ErrorCode::RequestTimeout);
    let slow_head = Answer::parse(&mill.raw(b"POST /v1/auth/login HTTP/1.1\r\nhost:").await);
    assert_eq!(slow_head.problem().code, ErrorCode::RequestTimeout);
    assert_eq!(mill.raw(b"").await, "", "who says nothing is told nothing");
}

#[tokio::test]
async fn what_is_no_http_is_told_so_and_harms_nobody() {
    let mill = Mill::start().await;
    let (hello, tls) =
        (&b"hello\r\n\r\n"[..], &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..]);
    for garbage in [hello, tls, b"GET / HTTP/9.9\r\n\r\n", b"GET /\x01 HTTP/1.1\r\n\r\n"] {
        let answer = Answer::parse(&mill.raw(garbage).await);
        assert_eq!(answer.problem().code, ErrorCode::InvalidRequest, "{garbage:?}");
    }
    let long_name =
        format!("GET /{} HTTP/1.1\r\nhost: mill\r\nconnection: close\r\n\r\n", "a".repeat(10_000));
    assert_eq!(
        Answer::parse(&mill.raw(long_name.as_bytes()).await).problem().code,
        ErrorCode::NotFound
    );
    let too_long = format!("GET / HTTP/1.1\r\nhost: mill\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    assert_eq!(
        Answer::parse(&mill.raw(too_long.as_bytes()).await).problem().code,
        ErrorCode::TooLarge
    );
    assert_eq!(mill.request("GET", "/healthz", &[], "").await.body, "ok\n");
}

#[tokio::test]
async fn who_asks_too_often_waits_and_others_do_not() {
    let mill = Mill::start_with(|limits| {
        limits.burst = 3;
        limits.requests_per_second = 1;
    })
    .await;
    let signer = PrivateKeySigner::random();
    let client = mill.signed_in(&signer).await;
    let anonymous = || mill.request("GET", "/v1/info", &[], "");
    let refused = anonymous().await;
    assert_eq!(refused.problem().code, ErrorCode::TooManyRequests, "signing in took all three");
    assert!(refused.head.contains("retry-after: 1"));
    for _ in 0..3 {
        client.info().await.unwrap();
    }
    assert_eq!(
        code(client.info().await),
        Some(ErrorCode::TooManyRequests),
        "an account has its own bucket"
    );
    assert_eq!(
        mill.request("GET", "/healthz", &[], "").await.status,
        200,
        "signs of life are never limited"
    );
    let block = mill.request("GET", "/ipfs/notacid", &[], "").await;
    assert_eq!(block.problem().code, ErrorCode::InvalidRequest, "nor are blocks of content");
    mill.clock.advance_ms(1000);
    assert_eq!(anonymous().await.status, 200);
}

#[tokio::test]
async fn readiness_follows_the_chain_and_the_store() {
    let mill = Mill::start().await;
    let ready = || mill.request("GET", "/readyz", &[], "");
    assert!(ready().await.problem().detail.contains("not been seen yet"));
    mill.app.health.chain_polled(7, NOW);
    assert_eq!(ready().await.status, 200);
    mill.clock.advance_ms(11_000);
    assert!(ready().await.problem().detail.contains("11 s ago, at block 7"));
    mill.app.health.chain_polled(8, mill.clock.now());
    assert_eq!(ready().await.status, 200);
    let metrics = mill.request("GET", "/metrics", &[], "").await;
    assert_eq!(metrics.status, 200);
}

#[test]
fn the_document_describes_every_path_that_the_client_uses() {
    let document: serde_json::Value = serde_json::from_str(&crate::openapi_json()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    for (method, path) in [
        ("post", "/v1/auth/nonce"),
        ("post", "/v1/auth/login"),
        ("post", "/v1/auth/logout"),
        ("get", "/v1/info"),
        ("get", "/v1/jobs"),
        ("post", "/v1/jobs"),
        ("get", "/v1/jobs/{id}"),
        ("post", "/v1/jobs/{id}/cancel"),
        ("get", "/v1/jobs/{id}/explain"),
        ("post", "/v1/explain"),
        ("get", "/v1/jobs/{id}/events"),
        ("get", "/v1/jobs/{id}/logs"),
        ("post", "/v1/jobs/{id}/attempts/{number}/start"),
        ("post", "/v1/jobs/{id}/attempts/{number}/report"),
        ("post", "/v1/jobs/{id}/attempts/{number}/release"),
        ("post", "/v1/jobs/{id}/attempts/{number}/logs"),
        ("get", "/v1/nodes"),
        ("get", "/v1/nodes/{id}"),
        ("put", "/v1/nodes/{id}/offer"),
        ("post", "/v1/nodes/{id}/poll"),
        ("get", "/v1/images/resolve"),
        ("get", "/v1/specs/{hash}"),
        ("put", "/v1/specs/{hash}"),
        ("post", "/v1/content"),
        ("get", "/ipfs/{cid}"),
    ] {
        let operation = &paths[path][method];
        assert!(operation["summary"].is_string(), "{method} {path} has no summary: {operation}");
        assert!(operation["tags"][0].is_string(), "{method} {path} has no tag");
    }
    assert_eq!(crate::openapi_json(), crate::openapi_json(), "the same each time");
}
