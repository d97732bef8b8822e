//! The API as its clients use it: over connections, with a clock that stands still.

use std::sync::Arc;

use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use gristmill_market::escrow::ChainPosition;
use gristmill_protocol::Address;
use gristmill_protocol::client::{Client, ClientError};
use gristmill_protocol::error::{ErrorCode, Problem};
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Limits};
use crate::samples::{self, NOW, PROVIDER};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::turn::TurnThread;

mod content;
mod document;
mod enrollments;
mod lists;
mod login;
mod market;
mod refusals;
mod streams;
mod web;
mod work;

/// The time of [`NOW`].
const ISSUED_AT: &str = "2026-11-24T08:00:00Z";

/// A scheduler without drivers behind a real listener.
struct Mill {
    app: App,
    clock: Clock,
    url: String,
    turns: Option<TurnThread>,
    serving: Option<tokio::task::JoinHandle<()>>,
    _folder: TempDir,
}

impl Mill {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::configured(|config| change(&mut config.limits)).await
    }

    async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut config = Config::defaults(folder.path()).unwrap();
        config.public_url.clone_from(&url);
        config.market.fee_bps = 0;
        change(&mut config);
        let clock = Clock::manual(NOW);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let (app, turns) =
            App::start(config, store, clock.clone(), samples::deployment(), samples::SCHEDULER)
                .unwrap();
        let (router, limits, stopping) =
            (super::router(&app), app.config.limits.clone(), app.stopping.clone());
        let serving =
            tokio::spawn(async move { server::serve(listener, router, &limits, stopping).await });
        Self { app, clock, url, turns: Some(turns), serving: Some(serving), _folder: folder }
    }

    fn client(&self) -> Client {
        Client::new(&self.url).unwrap()
    }

    /// A client that has signed in with `signer`.
    async fn signed_in(&self, signer: &PrivateKeySigner) -> Client {
        let client = self.client();
        client.sign_in(signer.address(), ISSUED_AT, |text| sign(signer, text)).await.unwrap();
        client
    }

    /// Enrolls a node of [`PROVIDER`] and approves this scheduler, as final events would have.
    async fn enroll(&self, node: Address) {
        let write = self.app.turns.write("enroll", move |rows| {
            rows.put_enrollment(NodeId(node), PROVIDER)?;
            rows.put_approval(PROVIDER, true, ChainPosition::default())
        });
        write.await.unwrap();
    }

    /// A node that is enrolled, has made its offer and polled once.
    async fn node(&self, signer: &PrivateKeySigner) -> Client {
        self.enroll(signer.address()).await;
        let client = self.signed_in(signer).await;
        client.put_offer(NodeId(signer.address()), &samples::offer()).await.unwrap();
        client.poll(NodeId(signer.address()), &work::poll(0)).await.unwrap();
        client
    }

    /// A job of `submitter` whose bounty is locked, finally.
    async fn funded_job(&self, submitter: &PrivateKeySigner, salt: u8) -> (JobId, Terms) {
        let client = self.signed_in(submitter).await;
        client.put_spec(&samples::spec().spec).await.unwrap();
        let terms = samples::terms(submitter.address(), salt);
        let job = client.create_job(&terms).await.unwrap().id;
        assert_eq!(job, samples::job_id(&terms), "the id is the hash of the terms");
        self.app.turns.submit(samples::opened(terms, 5)).await.unwrap();
        (job, terms)
    }

    /// Sends bytes as they are and reads the answer until the connection ends.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// A request over a connection of its own, with `headers` as lines.
    async fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: mill\r\nconnection: close\r\n");
        for header in headers {
            head.push_str(&format!("{header}\r\n"));
        }
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        Answer::parse(&self.raw(request.as_bytes()).await)
    }
}

impl Drop for Mill {
    fn drop(&mut self) {
        self.app.stopping.cancel();
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
        drop(self.turns.take());
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    /// The problem that the answer must be.
    fn problem(&self) -> Problem {
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{}\n{}",
            self.head,
            self.body
        );
        let problem: Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        assert!(!problem.detail.is_empty());
        problem
    }
}

fn sign(signer: &PrivateKeySigner, text: &str) -> Result<[u8; 65], alloy::signers::Error> {
    Ok(signer.sign_message_sync(text.as_bytes())?.as_bytes())
}

/// A node's signature of a message of the protocol.
fn sign_message(signer: &PrivateKeySigner, message: &Message) -> CompactSignature {
    let digest = samples::deployment().domain().digest(message);
    CompactSignature::new(&signer.sign_hash_sync(&digest).unwrap())
}

fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Option<ErrorCode> {
    result.expect_err("this must be refused").code()
}
