//! The history of a job, as Server-Sent Events or JSON Lines, resumable by version.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use gristmill_protocol::api::JobEvent;
use gristmill_protocol::error::Problem;
use gristmill_protocol::ids::JobId;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refusal;
use super::stream::{self, Sink};
use crate::app::App;
use crate::store::{self, StoreError};

/// Events of one read.
const PAGE_EVENTS: usize = 256;
/// A silent stream says that it is alive this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventParams {
    /// Only events with a version above this; `Last-Event-ID` wins over it.
    #[serde(default)]
    after: u64,
    /// Wait for further events until the job ends. Always so for Server-Sent Events.
    #[serde(default)]
    follow: bool,
}

/// What happened to a job: JSON Lines, or Server-Sent Events where `Accept` asks for `text/event-stream`.
///
/// Versions have no gaps. The id of a Server-Sent Event is the version, so a browser resumes by itself; empty lines and
/// comments keep an idle connection alive.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs", params(("id" = JobId, Path), EventParams), responses(
    (status = 200, content((JobEvent = "application/jsonl"), (String = "text/event-stream"))),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
async fn events(
    State(app): State<App>,
    Path(id): Path<JobId>,
    Query(params): Query<EventParams>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if store::read(&app.store, move |rows| rows.job(id)).await?.is_none() {
        return Err(Refusal::not_found(format!("job {id}")));
    }
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let form = match text(header::ACCEPT) {
        Some(accept) if accept.contains("text/event-stream") => Form::Sse,
        Some(_) | None => Form::JsonLines,
    };
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|id| id.parse().ok());
    let after = last.unwrap_or(params.after);
    let follow = params.follow || form == Form::Sse;
    let body = stream::open(&app, move |app, sink| feed(app, sink, id, after, follow, form))?;
    let headers =
        [(header::CONTENT_TYPE, form.content_type()), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, body).into_response())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Sse,
    JsonLines,
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::JsonLines => "application/jsonl",
        }
    }

    fn write(self, event: &JobEvent) -> Bytes {
        let json = serde_json::to_string(event).expect("an event is plain JSON");
        match self {
            Self::Sse => format!("id: {}\ndata: {json}\n\n", event.version).into(),
            Self::JsonLines => format!("{json}\n").into(),
        }
    }

    fn keep_alive(self) -> Bytes {
        match self {
            Self::Sse => Bytes::from_static(b":\n\n"),
            Self::JsonLines => Bytes::from_static(b"\n"),
        }
    }
}

async fn feed(app: App, sink: Sink, id: JobId, mut after: u64, follow: bool, form: Form) {
    let waiter = app.wake.wait_for_job(id);
    loop {
        // Before looking, so that what is published meanwhile wakes us.
        let woken = waiter.woken();
        let (page, ended) = match page(&app, id, after).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%id, error = &error as &dyn std::error::Error, "a stream of events ended early");
                return sink.fail().await;
            }
        };
        let full = page.len() == PAGE_EVENTS;
        for event in page {
            after = event.version;
            if !sink.send(form.write(&event)).await {
                return;
            }
        }
        if full {
            continue;
        }
        if !follow || ended {
            return;
        }
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(KEEP_ALIVE) => {
                if !sink.send(form.keep_alive()).await {
                    return;
                }
            }
            () = sink.closed() => return,
            () = app.stopping.cancelled() => return,
        }
    }
}

/// The next events, and whether the job has ended with them.
async fn page(app: &App, id: JobId, after: u64) -> Result<(Vec<JobEvent>, bool), StoreError> {
    let read = store::read(&app.store, move |rows| {
        let ended = rows.job(id)?.is_none_or(|job| job.state.name().is_end());
        Ok((rows.events(id, after, PAGE_EVENTS)?, ended))
    });
    read.await
}
