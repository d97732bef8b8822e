//! The table of public errors: a stable code, its HTTP status, and whether trying again can help. One page each in
//! `api/errors/`. Problems are RFC 9457 documents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// `$code` stays a bare token, or `ToSchema` would not see the name that it gives.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident, $code:tt, $status:literal, $retry:literal, $title:literal;)*) => {
        /// A stable code of a public error.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl ErrorCode {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that carries it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Whether the same request may succeed later without a change.
            #[must_use]
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }

            /// One line for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

error_codes! {
    /// The body or a parameter cannot be read.
    InvalidRequest, "invalid_request", 400, false, "The request cannot be read";
    InvalidSpec, "invalid_spec", 422, false, "The job spec breaks a limit of the format";
    InvalidTerms, "invalid_terms", 422, false, "The contract would refuse these terms";
    InvalidOffer, "invalid_offer", 422, false, "The offer breaks a limit";
    NotSupported, "not_supported", 422, false, "This version cannot do what the spec asks for";
    SpecHashMismatch, "spec_hash_mismatch", 422, false, "The spec's hash is not the one that was named";
    SpecUnknown, "spec_unknown", 409, false, "Upload the spec before the job";
    WrongScheduler, "wrong_scheduler", 422, false, "The terms name another scheduler";
    FeeTooLow, "fee_too_low", 422, false, "The fee is below what this scheduler asks for";
    Unauthenticated, "unauthenticated", 401, false, "Sign in first";
    InvalidLogin, "invalid_login", 401, false, "The sign-in message or its signature is not valid";
    Forbidden, "forbidden", 403, false, "This account may not do that";
    NodeNotEnrolled, "node_not_enrolled", 403, true, "No wallet has enrolled this node on chain";
    InvalidConsent, "invalid_consent", 422, false, "The node's consent or its signature is not valid";
    TooManyWaiting, "too_many_waiting", 409, true, "Too many nodes wait to be enrolled";
    NotFound, "not_found", 404, false, "There is no such thing here";
    MethodNotAllowed, "method_not_allowed", 405, false, "This address does not know that method";
    ContentMissing, "content_missing", 404, true, "A block of this content is not stored here";
    ContentInvalid, "content_invalid", 422, false, "The content does not match its CID, or breaks a limit";
    Conflict, "conflict", 409, false, "The job is in another state";
    StaleAttempt, "stale_attempt", 409, false, "A newer attempt holds the job";
    InvalidReceipt, "invalid_receipt", 422, false, "The receipt or its signature is not valid";
    LogGap, "log_gap", 409, false, "Bytes of the log are missing before this offset";
    LogFull, "log_full", 413, false, "The log has reached its limit";
    IdempotencyMismatch, "idempotency_mismatch", 422, false, "This idempotency key was used for another request";
    TooLarge, "too_large", 413, false, "The request is larger than its limit";
    UnsupportedMediaType, "unsupported_media_type", 415, false, "The content type is not the expected one";
    TooManyRequests, "too_many_requests", 429, true, "Too many requests; wait a little";
    RequestTimeout, "request_timeout", 408, true, "The request arrived too slowly";
    Internal, "internal", 500, true, "The scheduler failed; nothing was changed";
    Unavailable, "unavailable", 503, true, "The scheduler cannot answer now";
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An RFC 9457 problem document, `application/problem+json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A link to the page about this code.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub code: ErrorCode,
    /// What was wrong in this case, and what to do.
    pub detail: String,
    /// Numbers that a program may need, such as the log offset that was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_offset: Option<u64>,
}

impl Problem {
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/errors/{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            expected_offset: None,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_as_written() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL {
            assert!(seen.insert(code.as_str()), "{code} is there twice");
            assert!((400..600).contains(&code.status()));
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        }
    }
}
