//! Content over connections: uploads, and the trustless gateway.

use alloy::signers::local::PrivateKeySigner;
use futures_util::StreamExt;
use gristmill_protocol::client::{Client, ClientError};
use gristmill_protocol::content::{
    self, CarReader, Cid, Limits as ContentLimits, MemoryStore, add_dir, add_file, read_car,
    write_car,
};
use gristmill_protocol::error::ErrorCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Mill;

/// A directory with a file in a folder and one of several blocks.
fn sample() -> (MemoryStore, Cid) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/train.csv"), "1,2,3\n").unwrap();
    std::fs::write(folder.path().join("model.bin"), noise(3 << 20)).unwrap();
    let store = MemoryStore::default();
    let cid = add_dir(&store, folder.path(), &ContentLimits::default()).unwrap().cid;
    (store, cid)
}

fn noise(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn car(store: &MemoryStore, root: &Cid) -> Vec<u8> {
    let mut car = Vec::new();
    write_car(store, root, &mut car, &ContentLimits::default()).unwrap();
    car
}

async fn uploader(mill: &Mill) -> Client {
    mill.signed_in(&PrivateKeySigner::random()).await
}

async fn download(client: &Client, cid: &Cid) -> Vec<u8> {
    let mut body = Box::pin(client.car(&cid.to_string()).await.unwrap());
    let mut car = Vec::new();
    while let Some(part) = body.next().await {
        car.extend_from_slice(&part.unwrap());
    }
    car
}

fn refusal(error: &ClientError) -> (ErrorCode, String) {
    let ClientError::Refused(problem) = error else { panic!("not a refusal: {error:?}") };
    (problem.code, problem.detail.clone())
}

/// Sends a request and returns the answer's head and body, byte for byte.
pub(super) async fn raw(mill: &Mill, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(mill.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end =
        answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap().to_lowercase(), body)
}

async fn get(mill: &Mill, path: &str, header: &str) -> (String, Vec<u8>) {
    raw(mill, &format!("GET {path} HTTP/1.1\r\nhost: mill\r\nconnection: close\r\n{header}\r\n"))
        .await
}

#[tokio::test]
async fn what_is_uploaded_can_be_downloaded_and_verified() {
    let mill = Mill::start().await;
    let client = uploader(&mill).await;
    let (blocks, root) = sample();
    let sent = car(&blocks, &root);
    let stored = client.put_content(sent.clone()).await.unwrap();
    assert_eq!(stored.roots, [root.to_string()]);
    assert_eq!(stored.blocks as usize, blocks.len());
    let received = download(&client, &root).await;
    assert_eq!(received, sent, "depth first, each block once, as they were sent");
    let copy = MemoryStore::default();
    read_car(&copy, &mut received.as_slice(), &ContentLimits::default()).unwrap();
    assert!(content::missing(&copy, &root, &ContentLimits::default(), 1).unwrap().is_empty());
    // Again, and it is the same.
    assert_eq!(client.put_content(sent).await.unwrap(), stored);
}

#[tokio::test]
async fn an_upload_may_be_a_stream_and_ends_where_it_is_cut() {
    let mill = Mill::start().await;
    let client = uploader(&mill).await;
    let (blocks, root) = sample();
    let car = car(&blocks, &root);
    let half = car[..car.len() / 2].to_vec();
    let (code, detail) = refusal(&client.put_content(half).await.unwrap_err());
    assert_eq!(code, ErrorCode::ContentInvalid);
    assert!(detail.contains("cut off"), "{detail}");
    let parts: Vec<_> = car
        .chunks(10_000)
        .map(|part| Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(part)))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    client.put_content(body).await.unwrap();
    assert_eq!(download(&client, &root).await, car);
}

#[tokio::test]
async fn a_lying_block_is_refused_and_not_kept() {
    let mill = Mill::start().await;
    let client = uploader(&mill).await;
    let (blocks, root) = sample();
    let mut lie = car(&blocks, &root);
    *lie.last_mut().unwrap() ^= 1;
    let (code, detail) = refusal(&client.put_content(lie).await.unwrap_err());
    assert_eq!(code, ErrorCode::ContentInvalid);
    assert!(detail.contains("do not hash to it"), "{detail}");
    let Err(error) = client.car(&root.to_string()).await.map(drop) else {
        panic!("it is not complete")
    };
    assert_eq!(refusal(&error).0, ErrorCode::ContentMissing);
    for garbage in [&b""[..], b"garbage", &[0xff; 100]] {
        let (code, _) = refusal(&client.put_content(garbage.to_vec()).await.unwrap_err());
        assert_eq!(code, ErrorCode::ContentInvalid);
    }
}

#[tokio::test]
async fn a_root_without_its_blocks_is_refused_by_name() {
    let mill = Mill::start().await;
    let client = uploader(&mill).await;
    let (_, root) = sample();
    let store = MemoryStore::default();
    let other = add_file(&store, &mut &b"flour"[..], &ContentLimits::default()).unwrap().cid;
    let mut incomplete = Vec::new();
    let mut writer = content::CarWriter::new(&mut incomplete, &[root]).unwrap();
    writer.write_block(&other, b"flour").unwrap();
    let (code, detail) = refusal(&client.put_content(incomplete).await.unwrap_err());
    assert_eq!(code, ErrorCode::ContentInvalid);
    assert!(detail.contains(&root.to_string()), "{detail}");
}

#[tokio::test]
async fn uploads_have_limits_and_an_owner() {
    let mill = Mill::configured(|config| {
        config.content.upload_bytes_max = 1 << 20;
        config.content.total_bytes_max = 2 << 20;
    })
    .await;
    let client = uploader(&mill).await;
    let (blocks, root) = sample();
    let car = car(&blocks, &root);
    let (code, _) = refusal(&client.put_content(car.clone()).await.unwrap_err());
    assert_eq!(code, ErrorCode::TooLarge, "said before anything was read");
    // The same without a length that could be looked at.
    let parts: Vec<_> = car
        .chunks(50_000)
        .map(|part| Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(part)))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    let (code, _) = refusal(&client.put_content(body).await.unwrap_err());
    assert_eq!(code, ErrorCode::TooLarge);
    assert!(mill.app.content.stored_bytes() <= 1 << 20);

    let (code, _) = refusal(&mill.client().put_content(car).await.unwrap_err());
    assert_eq!(code, ErrorCode::Unauthenticated);

    for size in [900_000, 900_001, 900_002] {
        let store = MemoryStore::default();
        let bytes: Vec<u8> = noise(size).into_iter().map(|byte| byte ^ size as u8).collect();
        let cid = add_file(&store, &mut bytes.as_slice(), &ContentLimits::default()).unwrap().cid;
        match client.put_content(super::content::car(&store, &cid)).await {
            Ok(_) => assert!(mill.app.content.stored_bytes() <= 2 << 20),
            Err(error) => {
                assert_eq!(refusal(&error).0, ErrorCode::Unavailable);
                return;
            }
        }
    }
    panic!("the store took more than its quota");
}

#[tokio::test]
async fn the_gateway_speaks_as_the_specification_has_it() {
    let mill = Mill::start().await;
    let (blocks, root) = sample();
    uploader(&mill).await.put_content(car(&blocks, &root)).await.unwrap();

    let (head, body) = get(&mill, &format!("/ipfs/{root}?format=raw"), "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    for expected in [
        "content-type: application/vnd.ipld.raw",
        "x-content-type-options: nosniff",
        "cache-control: public, max-age=29030400, immutable",
        &format!("etag: \"{root}.raw\""),
        &format!("content-length: {}", body.len()),
        &format!("x-ipfs-path: /ipfs/{root}"),
    ] {
        assert!(head.contains(expected), "{expected}: {head}");
    }
    content::verify(&root, &body).unwrap();

    // By the header instead of the parameter, and through a path.
    let (head, body) = get(
        &mill,
        &format!("/ipfs/{root}/data/train.csv"),
        "accept: text/html, application/vnd.ipld.raw;q=0.9\r\n",
    )
    .await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, b"1,2,3\n");

    // A CAR of a path proves the path: its root is the one that was asked for.
    let client = mill.client();
    let mut body = Box::pin(client.car(&format!("{root}/data")).await.unwrap());
    let mut sent = Vec::new();
    while let Some(part) = body.next().await {
        sent.extend_from_slice(&part.unwrap());
    }
    let mut reader = CarReader::new(sent.as_slice(), &ContentLimits::default()).unwrap();
    assert_eq!(reader.roots(), [root]);
    let mut cids = Vec::new();
    while let Some((cid, _)) = reader.next_block().unwrap() {
        cids.push(cid);
    }
    assert_eq!(cids.len(), 3, "the root, the folder and its file, and not the model");

    // HEAD says the same and sends nothing.
    let request =
        format!("HEAD /ipfs/{root}?format=car HTTP/1.1\r\nhost: mill\r\nconnection: close\r\n\r\n");
    let (head, body) = raw(&mill, &request).await;
    assert!(
        head.contains("content-type: application/vnd.ipld.car; version=1; order=dfs; dups=n"),
        "{head}"
    );
    assert!(body.is_empty());

    // What is known already is not sent again.
    let tag = format!("if-none-match: \"{root}.raw\"\r\n");
    let (head, body) = get(&mill, &format!("/ipfs/{root}?format=raw"), &tag).await;
    assert!(head.starts_with("http/1.1 304"), "{head}");
    assert!(body.is_empty());

    // The block that is its own CID: how clients ask whether a gateway lives.
    let (head, body) = get(&mill, "/ipfs/bafkqaaa?format=raw", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(body.is_empty());
}

#[tokio::test]
async fn the_gateway_says_what_is_wrong() {
    let mill = Mill::start().await;
    let (blocks, root) = sample();
    uploader(&mill).await.put_content(car(&blocks, &root)).await.unwrap();
    let absent = content::block_cid(b"nobody has this");
    for (path, status, code) in [
        (format!("/ipfs/{absent}?format=raw"), 404, "content_missing"),
        (format!("/ipfs/{absent}?format=car"), 404, "content_missing"),
        (format!("/ipfs/{root}/nothing?format=car"), 404, "not_found"),
        (format!("/ipfs/{root}/model.bin/deeper?format=raw"), 404, "not_found"),
        ("/ipfs/notacid?format=raw".to_owned(), 400, "invalid_request"),
        (format!("/ipfs/{root}"), 400, "invalid_request"),
        (format!("/ipfs/{root}?format=html"), 400, "invalid_request"),
        (format!("/ipfs/{root}?format=car&dag-scope=some"), 400, "invalid_request"),
        (format!("/ipfs/{root}/%2e%2e/etc/passwd?format=raw"), 400, "invalid_request"),
    ] {
        let (head, body) = get(&mill, &path, "").await;
        let body = String::from_utf8(body).unwrap();
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{path}: {head}");
        assert!(head.contains("application/problem+json"), "{path}: {head}");
        assert!(body.contains(&format!("\"code\":\"{code}\"")), "{path}: {body}");
    }
}
