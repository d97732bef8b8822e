//! Tags against registries: a real one where `docker-registry` is installed, and ones that lie.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The documents of an image of one platform: its configuration, and its manifest with layers of 1000 bytes in all.
fn image(os: &str, architecture: &str) -> (Vec<u8>, Vec<u8>) {
    let config = json!({ "os": os, "architecture": architecture, "rootfs": {} }).to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": digest_of(config.as_bytes()), "size": config.len() },
        "layers": [],
    });
    (config.into_bytes(), manifest.to_string().into_bytes())
}

fn index(entries: &[(&[u8], &str, &str)]) -> Vec<u8> {
    let entry = |(manifest, os, architecture): &(&[u8], &str, &str)| {
        json!({
            "mediaType": MANIFEST, "digest": digest_of(manifest), "size": manifest.len(),
            "platform": { "os": os, "architecture": architecture },
        })
    };
    let manifests: Vec<_> = entries.iter().map(entry).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
        .to_string()
        .into_bytes()
}

/// Serves `answer` on the loopback interface. Returns its `host:port`, and how often it was asked.
async fn serve<R: IntoResponse + 'static>(
    answer: impl Fn(&str, &HeaderMap) -> R + Clone + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap| {
        count.fetch_add(1, Ordering::SeqCst);
        let response = answer(uri.path_and_query().unwrap().as_str(), &headers).into_response();
        async move { response }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, asked)
}

type Documents = Vec<(String, Vec<u8>)>;

/// A registry with these documents, by the end of their paths.
async fn registry(documents: Documents) -> (Images, String, Arc<AtomicUsize>) {
    let (address, asked) = serve(move |path, _| {
        let found = documents.iter().find(|(end, _)| path.ends_with(end.as_str()));
        found.map(|(_, bytes)| bytes.clone()).ok_or(StatusCode::NOT_FOUND)
    })
    .await;
    (Images::new(std::slice::from_ref(&address)), address, asked)
}

fn documents(version: &str) -> (Documents, String) {
    let (config, manifest) = image("linux", "amd64");
    let (arm_config, arm_manifest) = image("linux", "arm64");
    let index = index(&[(&arm_manifest, "linux", "arm64"), (&manifest, "linux", "amd64")]);
    let digest = digest_of(&manifest);
    let documents = vec![
        (format!("manifests/{version}"), index),
        (format!("manifests/{digest}"), manifest),
        (format!("manifests/{}", digest_of(&arm_manifest)), arm_manifest),
        (format!("blobs/{}", digest_of(&config)), config),
        (format!("blobs/{}", digest_of(&arm_config)), arm_config),
    ];
    (documents, digest)
}

#[tokio::test]
async fn a_tag_becomes_the_digest_for_the_platform_of_nodes() {
    let (documents, digest) = documents("latest");
    let (images, address, asked) = registry(documents).await;
    let found = images.resolve(&format!("{address}/digits")).await.unwrap();
    assert_eq!(found.image, format!("{address}/digits@{digest}"));
    assert_eq!(found.platform, "linux/amd64");
    assert!(found.bytes.unwrap() > 0);
    let questions = asked.load(Ordering::SeqCst);
    let again = images.resolve(&format!("{address}/digits:latest")).await.unwrap();
    assert_eq!(again, found);
    assert_eq!(asked.load(Ordering::SeqCst), questions, "it was known");
    // What it gives is taken.
    assert_eq!(images.resolve(&found.image).await.unwrap().image, found.image);
    let missing = images.resolve(&format!("{address}/digits:v2")).await;
    assert!(matches!(missing, Err(ImageError::NotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn an_image_for_other_machines_is_refused() {
    let (arm_config, arm_manifest) = image("linux", "arm64");
    let only_arm = index(&[(&arm_manifest, "linux", "arm64")]);
    let (images, address, _) = registry(vec![
        ("manifests/indexed".into(), only_arm),
        ("manifests/plain".into(), arm_manifest),
        (format!("blobs/{}", digest_of(&arm_config)), arm_config),
    ])
    .await;
    for tag in ["indexed", "plain"] {
        let refused = images.resolve(&format!("{address}/digits:{tag}")).await.unwrap_err();
        assert!(matches!(refused, ImageError::WrongPlatform { .. }), "{tag}: {refused}");
        assert!(refused.to_string().contains("only for linux/arm64"), "{refused}");
    }
}

#[tokio::test]
async fn a_registry_that_lies_is_not_believed() {
    let (good, digest) = documents("latest");
    let replace = |end: &str, bytes: Vec<u8>| -> Documents {
        let mut documents = good.clone();
        for document in &mut documents {
            if document.0.ends_with(end) {
                document.1 = bytes.clone();
            }
        }
        documents
    };
    let blob = good[3].0.clone();
    let other = image("linux", "amd64").1.repeat(2);
    for documents in [
        replace(&digest, other),
        replace(&blob, b"{\"os\":\"linux\",\"architecture\":\"amd64\"}".to_vec()),
        replace("manifests/latest", b"[]".to_vec()),
        replace("manifests/latest", b"{}".to_vec()),
        replace("manifests/latest", vec![b' '; DOCUMENT_BYTES_MAX + 1]),
    ] {
        let (images, address, _) = registry(documents).await;
        let refused = images.resolve(&format!("{address}/digits")).await;
        assert!(matches!(refused, Err(ImageError::Unavailable { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn nobody_is_led_to_private_addresses() {
    let (inside, asked) = serve(|_, _| "secret").await;
    let images = Images::new(&[]);
    for reference in [format!("{inside}/a"), "localhost/a".into(), "169.254.169.254/a".into()] {
        let refused = images.resolve(&reference).await;
        assert!(matches!(refused, Err(ImageError::Forbidden(_))), "{reference}: {refused:?}");
    }
    // A registry that may be asked sends us on, or names an issuer of tokens there.
    let to = format!("http://{inside}/v2/a");
    let (redirecting, _) = serve(move |_, _| Redirect::temporary(&to)).await;
    let realm = format!("Bearer realm=\"http://{inside}/token\",service=\"s\"");
    let (challenging, _) =
        serve(move |_, _| (StatusCode::UNAUTHORIZED, [("www-authenticate", realm.clone())])).await;
    let images = Images::new(&[redirecting.clone(), challenging.clone()]);
    for registry in [redirecting, challenging] {
        let refused = images.resolve(&format!("{registry}/a")).await;
        assert!(matches!(refused, Err(ImageError::Forbidden(_))), "{registry}: {refused:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "not a single request arrived");
    let (round, rounds) = serve(|path, _| Redirect::temporary(path)).await;
    let images = Images::new(std::slice::from_ref(&round));
    assert!(images.resolve(&format!("{round}/a")).await.is_err());
    assert_eq!(rounds.load(Ordering::SeqCst), REDIRECTS_MAX + 1);
}

#[tokio::test]
async fn a_login_as_nobody_is_made_where_it_is_asked_for_and_its_token_stays_with_the_registry() {
    let (documents, digest) = documents("latest");
    // Blobs come from another host, as those of large registries do.
    let blobs = documents.clone();
    let (store, _) = serve(move |path, headers| {
        assert!(!headers.contains_key("authorization"), "the token is not for this host");
        let found = blobs.iter().find(|(end, _)| path.ends_with(end.as_str()));
        found.map(|(_, bytes)| bytes.clone()).ok_or(StatusCode::NOT_FOUND)
    })
    .await;
    let (issuer, issued) = serve(|path, _| {
        assert_eq!(path, "/token?service=mill&scope=repository%3Atools%2Fdigits%3Apull");
        "{\"token\":\"for-nobody\"}"
    })
    .await;
    let (realm, elsewhere) =
        (format!("Bearer realm=\"http://{issuer}/token\",service=\"mill\""), store.clone());
    let (address, _) = serve(move |path, headers| {
        if headers.get("authorization").is_none_or(|token| token != "Bearer for-nobody") {
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", realm.clone())])
                .into_response();
        }
        if path.contains("/blobs/") {
            return Redirect::temporary(&format!("http://{elsewhere}{path}")).into_response();
        }
        let found = documents.iter().find(|(end, _)| path.ends_with(end.as_str()));
        found.map(|(_, bytes)| bytes.clone()).ok_or(StatusCode::NOT_FOUND).into_response()
    })
    .await;
    let images = Images::new(&[address.clone(), issuer, store]);
    let found = images.resolve(&format!("{address}/tools/digits")).await.unwrap();
    assert_eq!(found.image, format!("{address}/tools/digits@{digest}"));
    assert_eq!(issued.load(Ordering::SeqCst), 1, "one login a question");
}

#[tokio::test]
async fn only_so_many_are_asked_at_once_and_none_for_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let mut images = Images::new(std::slice::from_ref(&silent));
    let all = images.questions.acquire_many(QUESTIONS_MAX as u32).await.unwrap();
    let busy = images.resolve(&format!("{silent}/a")).await;
    assert!(matches!(busy, Err(ImageError::Busy)), "{busy:?}");
    drop(all);
    images.patience = Duration::from_millis(50);
    let slow = images.resolve(&format!("{silent}/a")).await.unwrap_err();
    assert!(slow.to_string().contains("within 50ms"), "{slow}");
}

/// The registry that the development stack uses, with an image pushed to it as tools do.
#[tokio::test]
async fn a_real_registry_is_understood() {
    let program = Path::new("/usr/bin/docker-registry");
    if !program.exists() {
        eprintln!("skipped: docker-registry is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let config = folder.path().join("registry.yml");
    let text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
        folder.path().join("data").display()
    );
    std::fs::write(&config, text).unwrap();
    let _registry = tokio::process::Command::new(program)
        .arg("serve")
        .arg(&config)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let http = reqwest::Client::new();
    let base = format!("http://{address}/v2");
    let started = Instant::now();
    while http.get(format!("{base}/")).send().await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "the registry does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (blob, manifest) = image("linux", "amd64");
    let upload = http.post(format!("{base}/tools/digits/blobs/uploads/")).send().await.unwrap();
    let mut place: Url = upload.headers()["location"].to_str().unwrap().parse().unwrap();
    place.query_pairs_mut().append_pair("digest", &digest_of(&blob));
    let put = http.put(place).body(blob).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    let put = http
        .put(format!("{base}/tools/digits/manifests/v1"))
        .header("content-type", MANIFEST)
        .body(manifest.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), StatusCode::CREATED, "{}", put.text().await.unwrap());
    let images = Images::new(std::slice::from_ref(&address));
    let found = images.resolve(&format!("{address}/tools/digits:v1")).await.unwrap();
    assert_eq!(found.image, format!("{address}/tools/digits@{}", digest_of(&manifest)));
    assert_eq!(images.resolve(&found.image).await.unwrap(), found);
    let missing = images.resolve(&format!("{address}/tools/nothing:v1")).await;
    assert!(matches!(missing, Err(ImageError::NotFound { .. })), "{missing:?}");
}
