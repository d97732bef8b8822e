//! Job specs: immutable, named by the hash of their canonical JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use gristmill_market::demand::KnownSpec;
use gristmill_protocol::api::SpecStored;
use gristmill_protocol::error::{ErrorCode, Problem};
use gristmill_protocol::ids::SpecHash;
use gristmill_protocol::spec::{JobSpec, SPEC_BYTES_MAX, SpecError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Account;
use super::body;
use super::problem::Refusal;
use crate::app::App;
use crate::store;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(put_spec, get_spec))
}

/// Stores a job spec. Its hash must be the one in the address; storing it twice is fine.
#[utoipa::path(put, path = "/v1/specs/{hash}", tag = "specs", security(("token" = [])),
    params(("hash" = SpecHash, Path, description = "sha-256 of the canonical JSON")), request_body = JobSpec, responses(
    (status = 200, body = SpecStored),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
async fn put_spec(
    State(app): State<App>,
    account: Account,
    Path(hash): Path<SpecHash>,
    request: Request,
) -> Result<(StatusCode, Json<SpecStored>), Refusal> {
    body::require_content_type(&request, "application/json")?;
    let json = body::read(request.into_body(), 4 * SPEC_BYTES_MAX, &app).await?;
    let spec = JobSpec::from_json(&json)?;
    spec.supported()?;
    let found = spec.hash();
    if found != hash {
        return Err(Refusal::new(
            ErrorCode::SpecHashMismatch,
            format!("the hash of this spec is {found}: put it to /v1/specs/{found}"),
        ));
    }
    let (known, now) = (KnownSpec { hash, spec }, app.clock.now());
    // Beside the database, so that a job outlives its loss, and any IPFS tool finds the spec by its CID.
    let (content, kept) = (Arc::clone(&app.content), known.clone());
    let keeping = tokio::task::spawn_blocking(move || content.keep_spec(&kept)).await;
    if let Ok(Err(error)) = keeping {
        tracing::warn!(%hash, %error, "a spec is in the database only: the content store does not take it");
    }
    app.turns.write("put_spec", move |rows| rows.put_spec(&known, account.address, now)).await?;
    app.wake.spec_finder.notify_one();
    Ok((StatusCode::OK, Json(SpecStored { spec_hash: hash })))
}

/// Gets a job spec.
#[utoipa::path(get, path = "/v1/specs/{hash}", tag = "specs", params(("hash" = SpecHash, Path)), responses(
    (status = 200, body = JobSpec),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
async fn get_spec(
    State(app): State<App>,
    Path(hash): Path<SpecHash>,
) -> Result<Json<JobSpec>, Refusal> {
    let spec = store::read(&app.store, move |rows| rows.spec(hash)).await?;
    spec.map(Json).ok_or_else(|| Refusal::not_found(format!("spec {hash}")))
}

impl From<SpecError> for Refusal {
    fn from(error: SpecError) -> Self {
        let code = match &error {
            SpecError::Malformed(_) => ErrorCode::InvalidRequest,
            SpecError::TooLarge { .. } => ErrorCode::TooLarge,
            SpecError::Invalid { .. } => ErrorCode::InvalidSpec,
            SpecError::NotSupported { .. } => ErrorCode::NotSupported,
        };
        Self::new(code, error.to_string())
    }
}
