//! Container images: what a tag stands for now.

use axum::Json;
use axum::extract::{Query, State};
use gristmill_protocol::api::ResolvedImage;
use gristmill_protocol::error::{ErrorCode, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refusal;
use crate::app::App;
use crate::images::ImageError;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(resolve))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResolveParams {
    /// An image as container tools write it, such as `pytorch/pytorch:latest`.
    reference: String,
}

/// The digest that an image's tag stands for now, asked of the image's public registry.
///
/// A spec names images by digest, because a tag may stand for something else tomorrow.
#[utoipa::path(get, path = "/v1/images/resolve", tag = "specs", params(ResolveParams), responses(
    (status = 200, body = ResolvedImage),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json"),
))]
async fn resolve(
    State(app): State<App>,
    Query(params): Query<ResolveParams>,
) -> Result<Json<ResolvedImage>, Refusal> {
    Ok(Json(app.images.resolve(&params.reference).await?))
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        let code = match &error {
            ImageError::Reference(_) | ImageError::Forbidden(_) => ErrorCode::InvalidRequest,
            ImageError::NotFound { .. } | ImageError::WrongPlatform { .. } => ErrorCode::NotFound,
            ImageError::Unavailable { .. } => ErrorCode::Unavailable,
            ImageError::Busy => ErrorCode::TooManyRequests,
        };
        Self::new(code, error.to_string())
    }
}
