//! Every refusal leaves as an RFC 9457 problem document, with a code from the one table.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gristmill_protocol::error::{ErrorCode, Problem};

use crate::logs::LogError;
use crate::store::StoreError;
use crate::turn::Refused;

/// A problem on its way out.
#[derive(Clone, Debug)]
pub struct Refusal(pub Problem);

impl Refusal {
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {what} here"))
    }

    /// Something broke here. The log says what; a stranger learns only that it did.
    pub fn internal(doing: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(doing, error, "a request failed");
        Self::new(ErrorCode::Internal, format!("the scheduler failed while {doing}; try again"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        metrics::counter!("gristmill_http_problems_total", "code" => problem.code.as_str())
            .increment(1);
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).expect("a problem is plain JSON");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(problem.code, ErrorCode::Unauthenticated | ErrorCode::InvalidLogin) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(problem.code, ErrorCode::TooManyRequests | ErrorCode::Unavailable) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(problem.code, ErrorCode::TooLarge | ErrorCode::RequestTimeout) {
            // What was not read of the request must not be taken for the next one.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        let code = match refused {
            Refused::Rejected(rejection) => rejection.code(),
            Refused::KeyReused => ErrorCode::IdempotencyMismatch,
            Refused::Failed => ErrorCode::Internal,
            Refused::Unavailable => ErrorCode::Unavailable,
        };
        Self::new(code, detail)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::internal("reading the database", &error)
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        let detail = error.to_string();
        match error {
            LogError::Gap { expected_offset } => Self(Problem {
                expected_offset: Some(expected_offset),
                ..Problem::new(ErrorCode::LogGap, detail)
            }),
            LogError::Full { .. } => Self::new(ErrorCode::LogFull, detail),
            LogError::Io(error) => Self::internal("writing a log", &error),
        }
    }
}
