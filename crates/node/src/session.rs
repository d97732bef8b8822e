//! The node's session with its scheduler: signing in with the node's key, and every request it makes, tried again
//! for as long as trying again can help.

use std::time::Duration;

use bytes::Bytes;
use gristmill_protocol::api::{
    AcceptRequest, AttemptRef, LogAccepted, Offer, PollReply, PollRequest, ReleaseRequest,
    ReportRequest, StartRequest,
};
use gristmill_protocol::client::{Client, ClientError};
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::ids::LeaseToken;
use gristmill_protocol::signing::{Domain, Message};

use crate::key::NodeKey;

const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MOST: Duration = Duration::from_secs(15);

pub struct Session {
    client: Client,
    key: NodeKey,
    domain: Domain,
}

/// Growing pauses between tries.
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: BACKOFF_FIRST }
    }
}

impl Backoff {
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(BACKOFF_MOST);
    }
}

impl Session {
    pub fn new(url: &str, key: NodeKey, domain: Domain) -> Result<Self, ClientError> {
        Ok(Self { client: Client::new(url)?, key, domain })
    }

    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub async fn sign_in(&self) -> Result<(), ClientError> {
        self.client.set_token(None);
        let issued_at = jiff::Timestamp::now().to_string();
        let sign = |message: &str| Ok::<_, std::convert::Infallible>(self.key.sign_text(message));
        self.client.sign_in(self.key.id().0, &issued_at, sign).await.map(drop)
    }

    /// Makes a request; where the scheduler has forgotten who asks, signs in and makes it again.
    async fn call<'a, T, F, Fut>(&'a self, request: F) -> Result<T, ClientError>
    where
        F: Fn(&'a Client) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        match request(&self.client).await {
            Err(error) if error.code() == Some(ErrorCode::Unauthenticated) => {
                self.sign_in().await?;
                request(&self.client).await
            }
            answer => answer,
        }
    }

    /// As [`Self::call`], but tried again while the scheduler cannot be reached, or says that it may help.
    async fn insist<'a, T, F, Fut>(&'a self, what: &str, request: F) -> Result<T, ClientError>
    where
        F: Fn(&'a Client) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let mut backoff = Backoff::default();
        loop {
            match self.call(&request).await {
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "{what} did not reach the scheduler; trying again");
                    backoff.pause().await;
                }
                answer => return answer,
            }
        }
    }

    pub async fn put_offer(&self, offer: &Offer) -> Result<(), ClientError> {
        self.call(|client| client.put_offer(self.key.id(), offer)).await.map(drop)
    }

    /// One long poll. It is the node's heartbeat too.
    pub async fn poll(&self, body: &PollRequest) -> Result<PollReply, ClientError> {
        self.call(|client| client.poll(self.key.id(), body)).await
    }

    pub async fn start(
        &self,
        held: &AttemptRef,
        lease_token: LeaseToken,
    ) -> Result<(), ClientError> {
        let body = StartRequest { lease_token };
        self.insist("the start", |client| client.start(held.job_id, held.attempt, &body)).await
    }

    /// Hands over the signature without which a job with a bond is not assigned. One try: the caller looks again soon.
    pub async fn accept(
        &self,
        held: &AttemptRef,
        lease_token: LeaseToken,
        expires: u64,
    ) -> Result<(), ClientError> {
        let message = Message::Accept { job_id: held.job_id, attempt: held.attempt, expires };
        let signature = self.key.sign(&self.domain, &message);
        let body = AcceptRequest { lease_token, expires, signature };
        self.call(|client| client.accept(held.job_id, held.attempt, &body)).await
    }

    pub async fn report(&self, held: &AttemptRef, body: &ReportRequest) -> Result<(), ClientError> {
        self.insist("the report", |client| client.report(held.job_id, held.attempt, body)).await
    }

    /// Gives an attempt back through the scheduler, which puts the signature on chain. One try: the caller has the
    /// chain itself as a second way.
    pub async fn release(
        &self,
        held: &AttemptRef,
        lease_token: LeaseToken,
        reason: &str,
    ) -> Result<(), ClientError> {
        let message = Message::Release { job_id: held.job_id, attempt: held.attempt };
        let body = ReleaseRequest {
            lease_token,
            signature: self.key.sign(&self.domain, &message),
            reason: reason.chars().take(gristmill_protocol::api::REASON_CHARS_MAX).collect(),
        };
        self.call(|client| client.release(held.job_id, held.attempt, &body)).await
    }

    pub async fn append_log(
        &self,
        held: &AttemptRef,
        offset: u64,
        chunk: Bytes,
    ) -> Result<LogAccepted, ClientError> {
        self.call(|client| client.append_log(held.job_id, held.attempt, offset, chunk.clone()))
            .await
    }

    /// Uploads a CAR from a file.
    pub async fn put_content(&self, car: &std::path::Path) -> Result<(), ClientError> {
        self.insist("the output", |client| async move {
            let file = tokio::fs::File::open(car).await.map_err(|error| {
                ClientError::Signing(format!("the output {} is gone: {error}", car.display()))
            })?;
            let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::with_capacity(
                file,
                1 << 16,
            ));
            client.put_content(body).await
        })
        .await
        .map(drop)
    }
}
