//! Logs of attempts: a node appends, anybody reads, both by offset.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use gristmill_market::attempt::Attempt;
use gristmill_protocol::api::{AttemptState, LOG_CHUNK_BYTES_MAX, LogAccepted};
use gristmill_protocol::error::{ErrorCode, Problem};
use gristmill_protocol::ids::{AttemptNumber, JobId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Account;
use super::body;
use super::problem::Refusal;
use super::stream::{self, Sink};
use crate::app::App;
use crate::logs::LogId;
use crate::store::{self, StoreError};

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(append)).routes(routes!(read))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AppendParams {
    /// Where in the log the chunk starts.
    offset: u64,
}

/// Appends a chunk to the log of an attempt.
///
/// What is there already is skipped, so a chunk may be sent again. A gap is refused, with the offset that is expected.
#[utoipa::path(post, path = "/v1/jobs/{id}/attempts/{number}/logs", tag = "attempts", security(("token" = [])),
    params(("id" = JobId, Path), ("number" = AttemptNumber, Path), AppendParams),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 200, body = LogAccepted),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
))]
async fn append(
    State(app): State<App>,
    account: Account,
    Path((id, number)): Path<(JobId, AttemptNumber)>,
    Query(params): Query<AppendParams>,
    request: Request,
) -> Result<Json<LogAccepted>, Refusal> {
    body::require_content_type(&request, "application/octet-stream")?;
    let found = store::read(&app.store, move |rows| {
        let Some(attempt) = store::attempt(rows, id, number)? else { return Ok(None) };
        let newest = rows.job(id)?.map_or(number, |job| job.newest);
        let node = rows.node(attempt.node)?;
        Ok(Some((attempt, newest, node.map_or(0, |node| node.offer.log_bytes_max))))
    });
    let Some((attempt, newest, offered_bytes)) = found.await? else {
        return Err(Refusal::not_found(format!("attempt {number} of the job {id}")));
    };
    if attempt.node.0 != account.address {
        let detail = format!("only the node {} may write this log", attempt.node);
        return Err(Refusal::new(ErrorCode::Forbidden, detail));
    }
    if newest != number {
        let detail = format!("the attempt {number} is over; the newest is {newest}");
        return Err(Refusal::new(ErrorCode::StaleAttempt, detail));
    }
    let chunk = body::read(request.into_body(), LOG_CHUNK_BYTES_MAX, &app).await?;
    let limit_bytes = offered_bytes.min(app.config.limits.log_bytes_max);
    let log = LogId::of(&attempt);
    let writer = app.clone();
    let appended = tokio::task::spawn_blocking(move || {
        writer.logs.append(log, params.offset, &chunk, limit_bytes)
    })
    .await;
    let next_offset = appended.map_err(|error| Refusal::internal("writing a log", &error))??;
    // Whoever writes a log is alive.
    app.turns.hear(log.node, app.clock.now());
    app.wake.job(id);
    Ok(Json(LogAccepted { next_offset }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReadParams {
    /// The newest attempt where it is absent.
    #[param(value_type = Option<u16>)]
    attempt: Option<AttemptNumber>,
    /// The first byte.
    #[serde(default)]
    offset: u64,
    /// Wait for more until the attempt ends; where there is none yet, for its beginning.
    #[serde(default)]
    follow: bool,
}

/// The log of an attempt, as it was written.
#[utoipa::path(get, path = "/v1/jobs/{id}/logs", tag = "jobs", params(("id" = JobId, Path), ReadParams), responses(
    (status = 200, content_type = "text/plain", body = String),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
async fn read(
    State(app): State<App>,
    Path(id): Path<JobId>,
    Query(params): Query<ReadParams>,
) -> Result<Response, Refusal> {
    let Some(view) = look(&app, id, params.attempt).await? else {
        return Err(Refusal::not_found(format!("job {id}")));
    };
    if let (Some(number), None, false) = (params.attempt, &view.attempt, params.follow) {
        return Err(Refusal::not_found(format!("attempt {number} of the job {id}")));
    }
    let body = stream::open(&app, move |app, sink| feed(app, sink, id, params))?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        // A stranger's text: no browser may take it for anything else.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, body).into_response())
}

/// The attempt whose log is read, and whether none can come any more.
struct View {
    attempt: Option<Attempt>,
    job_ended: bool,
}

async fn look(
    app: &App,
    id: JobId,
    number: Option<AttemptNumber>,
) -> Result<Option<View>, StoreError> {
    let read = store::read(&app.store, move |rows| {
        let Some(job) = rows.job(id)? else { return Ok(None) };
        let attempt = store::attempt(rows, id, number.unwrap_or(job.newest))?;
        Ok(Some(View { attempt, job_ended: job.state.name().is_end() }))
    });
    read.await
}

async fn feed(app: App, sink: Sink, id: JobId, params: ReadParams) {
    let waiter = app.wake.wait_for_job(id);
    let (mut number, mut offset) = (params.attempt, params.offset);
    loop {
        // Before looking, so that what is written meanwhile wakes us.
        let woken = waiter.woken();
        let view = match look(&app, id, number).await {
            Ok(Some(view)) => view,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%id, error = &error as &dyn std::error::Error, "a stream of a log ended early");
                return sink.fail().await;
            }
        };
        let mut ended = view.job_ended || !params.follow;
        if let Some(attempt) = view.attempt {
            // A stream stays with the attempt that it began with.
            number = Some(attempt.number);
            // The node sends all of its log before it reports.
            ended |= !matches!(attempt.state, AttemptState::Leased | AttemptState::Running);
            match send_rest(&app, &sink, LogId::of(&attempt), &mut offset).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(%id, %error, "a log cannot be read");
                    return sink.fail().await;
                }
            }
        }
        if ended {
            return;
        }
        tokio::select! {
            () = woken => {}
            () = sink.closed() => return,
            () = app.stopping.cancelled() => return,
        }
    }
}

/// Sends what the log has after `offset`; false where nobody listens any more.
async fn send_rest(app: &App, sink: &Sink, log: LogId, offset: &mut u64) -> std::io::Result<bool> {
    loop {
        let (reader, from) = (app.clone(), *offset);
        let read = tokio::task::spawn_blocking(move || reader.logs.read(log, from, READ_BYTES));
        let bytes = read.await.map_err(std::io::Error::other)??;
        if bytes.is_empty() {
            return Ok(true);
        }
        *offset += bytes.len() as u64;
        if !sink.send(Bytes::from(bytes)).await {
            return Ok(false);
        }
    }
}
