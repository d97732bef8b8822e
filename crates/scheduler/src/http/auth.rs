//! Signing in and out, and who speaks in a request.

use std::net::{IpAddr, Ipv4Addr};

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use gristmill_protocol::Address;
use gristmill_protocol::api::{Login, LoginRequest, Nonce};
use gristmill_protocol::error::{ErrorCode, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::JsonBody;
use super::problem::Refusal;
use super::server::Peer;
use crate::app::App;
use crate::auth::{self, Expected, LoginError};
use crate::rates::Payer;
use crate::store::{self, Session, TokenHash};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(nonce)).routes(routes!(login)).routes(routes!(logout))
}

/// Gets a nonce for a Sign-In with Ethereum message.
#[utoipa::path(post, path = "/v1/auth/nonce", tag = "auth", responses((status = 200, body = Nonce)))]
async fn nonce(State(app): State<App>) -> Json<Nonce> {
    let (nonce, expires_at_ms) = auth::new_nonce(&app.nonce_key, app.clock.wall());
    Json(Nonce { nonce, expires_at_ms })
}

/// Exchanges a signed message for a token.
///
/// The message must name this scheduler's public address, its chain, and a nonce of `/v1/auth/nonce`, which it uses up.
#[utoipa::path(post, path = "/v1/auth/login", tag = "auth", request_body = LoginRequest, responses(
    (status = 200, body = Login),
    (status = 401, body = Problem, content_type = "application/problem+json"),
))]
async fn login(
    State(app): State<App>,
    body: JsonBody<LoginRequest>,
) -> Result<Json<Login>, Refusal> {
    let now = app.clock.wall();
    let expected = Expected {
        public_url: &app.config.public_url,
        chain_id: app.deployment.chain_id,
        nonce_key: &app.nonce_key,
        now,
    };
    let verified = auth::verify(&body.value.message, &body.value.signature, expected)?;
    let token = auth::new_token();
    let (hash, address) = (auth::token_hash(&token), verified.address);
    let expires_at = now.plus_seconds(app.config.limits.session_seconds);
    let stored = app.turns.write("login", move |rows| {
        let fresh = rows.use_nonce(&verified.nonce, verified.nonce_expires_at)?;
        if fresh {
            rows.put_session(&hash, &Session { address, expires_at })?;
        }
        Ok(fresh)
    });
    if !stored.await? {
        return Err(LoginError::UsedNonce.into());
    }
    Ok(Json(Login { token, address, expires_at_ms: expires_at }))
}

/// Ends the session of the token that the request carries.
#[utoipa::path(post, path = "/v1/auth/logout", tag = "auth", security(("token" = [])), responses(
    (status = 204, description = "The token is worth nothing now."),
    (status = 401, body = Problem, content_type = "application/problem+json"),
))]
async fn logout(
    State(app): State<App>,
    account: Account,
) -> Result<axum::http::StatusCode, Refusal> {
    app.turns.write("logout", move |rows| rows.revoke_session(&account.session)).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

impl From<LoginError> for Refusal {
    fn from(error: LoginError) -> Self {
        Self::new(ErrorCode::InvalidLogin, error.to_string())
    }
}

/// Who has signed in. As an argument of a handler it refuses everybody else.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    pub address: Address,
    session: TokenHash,
}

impl<S: Send + Sync> FromRequestParts<S> for Account {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().copied().ok_or_else(|| {
            Refusal::new(
                ErrorCode::Unauthenticated,
                "send `Authorization: Bearer TOKEN` with the token of a login that has not expired",
            )
        })
    }
}

/// Finds out who speaks, and lets each do only so much. Runs before every handler.
pub(super) async fn identify(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer);
    let now = app.clock.wall();
    // Without a connection, as in a test of the router alone, everybody is the same peer.
    let peer =
        request.extensions().get().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |Peer(peer)| *peer);
    let mut payer = Payer::Peer(peer);
    if let Some(session) = token.map(auth::token_hash) {
        let found = store::read(&app.store, move |rows| rows.session(&session, now)).await?;
        if let Some(address) = found {
            payer = Payer::Account(address);
            request.extensions_mut().insert(Account { address, session });
        }
    }
    // A dataset has thousands of blocks. Downloads have a limit of their own: how many run at once.
    let is_download = request.uri().path().starts_with("/ipfs/");
    if !is_download && !app.rates.take(payer, now) {
        return Err(Refusal::new(
            ErrorCode::TooManyRequests,
            format!(
                "{} requests a second are allowed for long; wait a little",
                app.config.limits.requests_per_second
            ),
        ));
    }
    Ok(next.run(request).await)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
