//! `Idempotency-Key`: a mutating request that is sent again takes effect once, and is answered as the first time.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use gristmill_protocol::error::ErrorCode;
use sha2::{Digest, Sha256};

use super::auth::Account;
use super::problem::Refusal;
use crate::store::IdempotencyKey;
use crate::turn::Idempotency;

const KEY_CHARS_MAX: usize = 128;

/// The header of a request, and what the request is about apart from its body.
pub(super) struct Once {
    key: Option<String>,
    target: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let invalid = || {
            let detail =
                format!("`Idempotency-Key` must be 1 to {KEY_CHARS_MAX} visible ASCII characters");
            Refusal::new(ErrorCode::InvalidRequest, detail)
        };
        let key = match parts.headers.get("idempotency-key") {
            None => None,
            Some(value) => {
                let key = value.to_str().map_err(|_| invalid())?;
                if key.is_empty()
                    || key.len() > KEY_CHARS_MAX
                    || !key.bytes().all(|byte| byte.is_ascii_graphic())
                {
                    return Err(invalid());
                }
                Some(key.to_owned())
            }
        };
        Ok(Self { key, target: format!("{} {}", parts.method, parts.uri.path()) })
    }
}

impl Once {
    /// What the turn compares: keys are of an account, and belong to one request, body included.
    pub(super) fn of(self, account: Account, body: &[u8]) -> Option<Idempotency> {
        let key = IdempotencyKey { account: account.address, key: self.key? };
        let fingerprint =
            Sha256::new().chain_update(self.target).chain_update([0]).chain_update(body).finalize();
        Some(Idempotency { key, fingerprint: fingerprint.into() })
    }
}
