//! What this scheduler is, and whether it is well.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use gristmill_protocol::api::{Info, JobState, PayoutsStopped};
use gristmill_protocol::error::ErrorCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refusal;
use crate::app::App;
use crate::store;
use crate::telemetry;

/// How often the watcher may fail to see the chain before this scheduler is no longer ready.
const CHAIN_POLLS_MISSED_MAX: u64 = 20;
const CHAIN_SILENCE_MS_MIN: u64 = 10_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(info))
}

/// For whoever runs this: not part of the API.
pub(super) fn for_operators() -> Router<App> {
    Router::new().route("/readyz", get(ready)).route("/metrics", get(metrics))
}

pub(super) fn alive() -> Router<App> {
    Router::new().route("/healthz", get(|| async { "ok\n" }))
}

/// What this scheduler is, and what it asks of jobs.
#[utoipa::path(get, path = "/v1/info", tag = "info", responses((status = 200, body = Info)))]
async fn info(State(app): State<App>) -> Result<Json<Info>, Refusal> {
    let market = &app.config.market;
    let stop = store::read(&app.store, |rows| rows.payout_stop()).await?;
    Ok(Json(Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        chain_id: app.deployment.chain_id,
        contract: app.deployment.contract,
        scheduler: app.scheduler,
        arbiter: if market.arbiter.is_zero() { app.scheduler } else { market.arbiter },
        fee_bps: market.fee_bps,
        lease_seconds: market.lease_seconds,
        grace_seconds: market.grace_seconds,
        attempt_seconds: market.attempt_seconds,
        challenge_window: market.challenge_window,
        ruling_seconds: market.ruling_seconds,
        silence_ms: market.silence_ms,
        strategy: market.strategy,
        content_bytes_max: app.config.content.upload_bytes_max,
        payouts_stopped: stop
            .map(|stop| PayoutsStopped { since_ms: stop.since, reason: stop.reason }),
    }))
}

/// Ready: not stopping, the database can be written, and the chain was seen a short while ago. A stop of payouts is no
/// reason to send nodes away: what they report is kept. It is said all the same.
async fn ready(State(app): State<App>) -> Result<&'static str, Refusal> {
    let unavailable = |detail: String| Refusal::new(ErrorCode::Unavailable, detail);
    if app.stopping.is_cancelled() {
        return Err(unavailable("the scheduler is stopping".into()));
    }
    let silence_ms =
        CHAIN_SILENCE_MS_MIN.max(app.config.chain.poll_interval_ms * CHAIN_POLLS_MISSED_MAX);
    match app.health.chain() {
        Some((_, seen_at)) if app.clock.wall().millis_since(seen_at) <= silence_ms => {}
        Some((head, seen_at)) => {
            let seconds = app.clock.wall().millis_since(seen_at) / 1000;
            return Err(unavailable(format!(
                "the chain was last seen {seconds} s ago, at block {head}"
            )));
        }
        None => return Err(unavailable("the chain has not been seen yet".into())),
    }
    let now = app.clock.wall();
    let stop = app.turns.write("ready", move |rows| {
        rows.mark_ready(now)?;
        rows.payout_stop()
    });
    Ok(match stop.await? {
        None => "ready\n",
        Some(_) => "ready, but payouts are stopped: run `gristmill-scheduler reconcile`\n",
    })
}

async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Refusal> {
    let (counts, stop) =
        store::read(&app.store, |rows| Ok((rows.unfinished_jobs()?, rows.payout_stop()?))).await?;
    metrics::gauge!("gristmill_payouts_stopped").set(if stop.is_some() { 1.0 } else { 0.0 });
    for (state, count) in counts {
        metrics::gauge!("gristmill_jobs", "state" => JobState::as_str(state)).set(count as f64);
    }
    metrics::gauge!("gristmill_waiting").set(app.wake.waiting() as f64);
    metrics::gauge!("gristmill_content_bytes").set(app.content.stored_bytes() as f64);
    let handle = telemetry::metrics();
    // Old samples are folded together, or histograms would grow for ever.
    handle.run_upkeep();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((StatusCode::OK, kind, handle.render()))
}
