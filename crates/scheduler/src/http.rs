//! The HTTP API `/v1`: handlers translate between requests and commands, and know no rule of the market.

use axum::Router;
use axum::body::to_bytes;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use gristmill_protocol::error::{ErrorCode, Problem};
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

mod attempts;
pub mod auth;
mod body;
pub mod content;
mod enrollments;
mod events;
mod garbage;
mod idempotency;
mod images;
mod info;
mod jobs;
mod logs;
pub(crate) mod market;
mod nodes;
pub mod problem;
pub mod server;
mod specs;
mod stream;
mod views;
pub(crate) mod web;

use problem::Refusal;

/// Bytes of a plain refusal of a library that are read to make a problem of it.
const PLAIN_REFUSAL_BYTES_MAX: usize = 1024;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Gristmill scheduler",
        description = "A marketplace for GPU jobs without a middleman. Every refusal is an RFC 9457 problem document \
            with a stable code; the pages in `api/errors/` say what each means. Mutating requests may carry an \
            `Idempotency-Key`: sent again, they take effect once and are answered as the first time."
    ),
    tags(
        (name = "info", description = "What this scheduler is, and whether it is well"),
        (name = "auth", description = "Sign-In with Ethereum"),
        (name = "specs", description = "Job specs by their hash"),
        (name = "jobs", description = "Jobs, their history and their logs"),
        (name = "nodes", description = "What nodes offer, and their work"),
        (name = "attempts", description = "What a node says of an attempt"),
        (name = "market", description = "What the market and its providers have done"),
        (name = "content", description = "Content by its CID"),
    ),
    components(schemas(Problem))
)]
struct Document;

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(info::routes())
        .merge(auth::routes())
        .merge(specs::routes())
        .merge(jobs::routes())
        .merge(events::routes())
        .merge(logs::routes())
        .merge(nodes::routes())
        .merge(enrollments::routes())
        .merge(market::routes())
        .merge(attempts::routes())
        .merge(content::routes())
        .merge(images::routes())
        .merge(web::routes())
}

/// Everything that this scheduler serves.
pub fn router(app: &App) -> Router {
    let (api, _) = api().split_for_parts();
    api.fallback(web::serve)
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            unknown_method(&method, &uri)
        })
        .merge(info::for_operators())
        .layer(from_fn_with_state(app.clone(), auth::identify))
        // Whether the process lives must not depend on anything.
        .merge(info::alive())
        .layer(CatchPanicLayer::custom(|_| {
            Refusal::new(ErrorCode::Internal, "the scheduler failed on this request")
                .into_response()
        }))
        .layer(map_response(as_problem))
        .layer(map_response(web::caged))
        .layer(web::compression())
        .layer(option_layer(web::development_origin(&app.config)))
        .layer(TraceLayer::new_for_http())
        .with_state(app.clone())
}

/// The OpenAPI document, as it is checked in: pretty JSON, ending in a newline.
#[must_use]
pub fn openapi_json() -> String {
    let (_, mut document) = api().split_for_parts();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme("token", bearer);
    // Handlers of different modules may have the same name, and an operation is named once in the whole document.
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post].into_iter().filter_map(Option::as_mut);
        for operation in operations {
            let tag = operation.tags.as_deref().and_then(<[_]>::first).cloned();
            let name = operation.operation_id.take();
            operation.operation_id = tag.zip(name).map(|(tag, name)| format!("{tag}_{name}"));
        }
    }
    let json = document.to_pretty_json().expect("the document is plain JSON");
    json + "\n"
}

/// Makes a problem document of a refusal by a library, such as an unreadable parameter.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/problem+json");
    let is_finished = response.extensions().get::<web::Finished>().is_some();
    if is_problem || is_finished || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let code = match status {
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => ErrorCode::RequestTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        status if status.is_server_error() => ErrorCode::Internal,
        _ => ErrorCode::InvalidRequest,
    };
    let text = to_bytes(response.into_body(), PLAIN_REFUSAL_BYTES_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let detail = if text.trim().is_empty() { code.title() } else { text.trim() };
    Refusal::new(code, detail).into_response()
}

fn unknown_method(method: &Method, uri: &Uri) -> Refusal {
    let detail = format!("{} does not know {method}", head(uri.path()));
    Refusal::new(ErrorCode::MethodNotAllowed, detail)
}

/// The start of a stranger's text.
fn head(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests;
