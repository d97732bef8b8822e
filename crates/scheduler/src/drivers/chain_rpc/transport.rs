//! JSON-RPC over HTTP with an end: an endpoint is a stranger, and what it sends has a limit.

use std::task::{Context, Poll};

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use reqwest::Url;
use tower::Service;

/// Bytes of an answer that nobody understands which are kept for the message.
const EXCERPT_BYTES: usize = 200;

/// Posts requests to one endpoint.
#[derive(Clone, Debug)]
pub(super) struct BoundedHttp {
    pub http: reqwest::Client,
    pub url: Url,
    pub answer_bytes_max: usize,
}

/// The endpoint sent more than anybody here reads.
#[derive(Debug, thiserror::Error)]
#[error("it answers with more than {limit_bytes} bytes")]
pub(super) struct AnswerTooLarge {
    pub limit_bytes: usize,
}

impl BoundedHttp {
    async fn post(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        // The URL may hold a secret, and errors are logged.
        let failed = |error: reqwest::Error| TransportErrorKind::custom(error.without_url());
        let mut response = self.http.post(self.url).json(&request).send().await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > self.answer_bytes_max {
                let limit_bytes = self.answer_bytes_max;
                return Err(TransportErrorKind::custom(AnswerTooLarge { limit_bytes }));
            }
            body.extend_from_slice(&chunk);
        }
        // Some endpoints put the errors of JSON-RPC under a status of HTTP that says so too.
        serde_json::from_slice(&body).map_err(|error| {
            let excerpt = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES)]);
            if status.is_success() {
                TransportError::deser_err(error, excerpt)
            } else {
                TransportErrorKind::http_error(status.as_u16(), excerpt.into_owned())
            }
        })
    }
}

impl Service<RequestPacket> for BoundedHttp {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().post(request))
    }
}
