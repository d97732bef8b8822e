//! Bodies of requests: bounded in size and in the time that they may take.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use futures_util::StreamExt;
use gristmill_protocol::error::ErrorCode;
use serde::de::DeserializeOwned;

use super::problem::Refusal;
use crate::app::App;

/// A JSON body, and the bytes that it came in.
pub(super) struct JsonBody<T> {
    pub(super) value: T,
    pub(super) bytes: Bytes,
}

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        require_content_type(&request, "application/json")?;
        let limit = app.config.limits.body_bytes_max;
        let bytes = read(request.into_body(), limit, app).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            Refusal::new(ErrorCode::InvalidRequest, format!("the body is not as expected: {error}"))
        })?;
        Ok(Self { value, bytes })
    }
}

pub(super) fn require_content_type(request: &Request, expected: &str) -> Result<(), Refusal> {
    let given = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nothing");
    let kind = given.split(';').next().unwrap_or(given).trim();
    if kind.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let given: String = given.chars().take(80).collect();
    let detail = format!("the content type is {given}; send {expected}");
    Err(Refusal::new(ErrorCode::UnsupportedMediaType, detail))
}

/// The whole body, at most `bytes_max`, within the time that the configuration allows.
pub(super) async fn read(body: Body, bytes_max: usize, app: &App) -> Result<Bytes, Refusal> {
    let patience = Duration::from_millis(app.config.limits.body_timeout_ms);
    let too_large =
        || Refusal::new(ErrorCode::TooLarge, format!("the body may have {bytes_max} bytes"));
    let declared = http_body::Body::size_hint(&body).lower();
    if declared > bytes_max as u64 {
        return Err(too_large());
    }
    let collect = async {
        let mut bytes = Vec::new();
        let mut parts = body.into_data_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| {
                Refusal::new(
                    ErrorCode::InvalidRequest,
                    format!("the body ended before its time: {error}"),
                )
            })?;
            if bytes.len() + part.len() > bytes_max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Bytes::from(bytes))
    };
    match tokio::time::timeout(patience, collect).await {
        Ok(result) => result,
        Err(_) => Err(Refusal::new(
            ErrorCode::RequestTimeout,
            format!("the body did not arrive within {} ms", patience.as_millis()),
        )),
    }
}
