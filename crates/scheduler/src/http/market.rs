//! Figures for whoever wants to know the market: supply, prices and volume, and what a provider has earned.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use gristmill_protocol::Address;
use gristmill_protocol::api::{JobState, MARKET_DAYS, MarketView, PROVIDER_DAYS_MAX, ProviderView};
use gristmill_protocol::error::{ErrorCode, Problem};
use gristmill_protocol::time::Timestamp;
use serde::Deserialize;
use tokio::sync::Mutex;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refusal;
use crate::app::App;
use crate::statistics::{self, MarketFacts, ProviderFacts};
use crate::store::{self, Reads, StoreError};

/// How long a view of the market is shown before it is computed again.
const MARKET_VIEW_MS: u64 = 60_000;
/// Rows of a kind that one view looks at, the newest ones.
const ROWS_MAX: usize = 10_000;
const PROVIDER_DAYS: u32 = 30;

/// The view of the market that was computed last. Whoever finds it too old computes it while others wait.
pub(crate) type MarketCache = Mutex<Option<Arc<MarketView>>>;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(market)).routes(routes!(provider))
}

/// The market as a whole: nodes and GPUs, prices by class of GPU, and the volume of the last 30 days.
///
/// Computed from what is stored, at most once a minute. What there is no data for is absent.
#[utoipa::path(get, path = "/v1/market", tag = "market", responses((status = 200, body = MarketView)))]
async fn market(State(app): State<App>) -> Result<Json<MarketView>, Refusal> {
    let now = app.clock.now();
    let mut cached = app.market_view.lock().await;
    if let Some(view) = cached.as_deref()
        && now.millis_since(view.as_of_ms) < MARKET_VIEW_MS
    {
        return Ok(Json(view.clone()));
    }
    let facts = store::read(&app.store, move |rows| market_facts(rows, now)).await?;
    let view = Arc::new(statistics::market(facts, now));
    *cached = Some(Arc::clone(&view));
    Ok(Json(MarketView::clone(&view)))
}

fn market_facts(rows: &dyn Reads, now: Timestamp) -> Result<MarketFacts, StoreError> {
    let since = statistics::first_day(now, MARKET_DAYS);
    let mut facts = MarketFacts {
        nodes: rows.nodes(None, ROWS_MAX + 1)?,
        payments: rows.payments(None, since, ROWS_MAX + 1)?,
        refunds: rows.refunds(since, ROWS_MAX + 1)?,
        beginnings: rows.beginnings(since, ROWS_MAX + 1)?,
        ..MarketFacts::default()
    };
    facts.truncated = [
        cut(&mut facts.nodes),
        cut(&mut facts.payments),
        cut(&mut facts.refunds),
        cut(&mut facts.beginnings),
    ]
    .contains(&true);
    for (state, count) in rows.unfinished_jobs()? {
        match state {
            JobState::Queued => facts.waiting_jobs += count,
            JobState::Assigned | JobState::CallingIn => facts.running_jobs += count,
            JobState::Funding
            | JobState::Verifying
            | JobState::Published
            | JobState::Settling
            | JobState::Refunding
            | JobState::Settled
            | JobState::Refunded
            | JobState::Cancelled => {}
        }
    }
    Ok(facts)
}

/// Drops what is beyond the limit; whether there was any.
fn cut<T>(rows: &mut Vec<T>) -> bool {
    let is_more = rows.len() > ROWS_MAX;
    rows.truncate(ROWS_MAX);
    is_more
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ProviderParams {
    /// How many days, today included: 1 to 365, and 30 where absent. Days are those of UTC.
    days: Option<u32>,
}

/// What a provider has earned through this scheduler, and what it waits for.
///
/// Of a wallet that never had a node here everything is 0. What lies in the contract, such as stakes and credits, is read
/// from the chain.
#[utoipa::path(get, path = "/v1/providers/{address}", tag = "market",
    params(("address" = String, Path), ProviderParams), responses(
    (status = 200, body = ProviderView),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
async fn provider(
    State(app): State<App>,
    Path(address): Path<Address>,
    Query(params): Query<ProviderParams>,
) -> Result<Json<ProviderView>, Refusal> {
    let days = params.days.unwrap_or(PROVIDER_DAYS);
    if !(1..=PROVIDER_DAYS_MAX).contains(&days) {
        return Err(Refusal::new(
            ErrorCode::InvalidRequest,
            format!("`days` is {days}; it must be 1 to {PROVIDER_DAYS_MAX}"),
        ));
    }
    let since = statistics::first_day(app.clock.now(), days);
    let facts = store::read(&app.store, move |rows| provider_facts(rows, address, since)).await?;
    Ok(Json(statistics::provider(address, &facts)))
}

fn provider_facts(
    rows: &dyn Reads,
    address: Address,
    since: Timestamp,
) -> Result<ProviderFacts, StoreError> {
    let mut facts = ProviderFacts {
        nodes: rows.nodes_of(address, ROWS_MAX)?.len(),
        failed: rows.count_failures(address, since, ROWS_MAX)?,
        payments: rows.payments(Some(address), since, ROWS_MAX + 1)?,
        unpaid: rows.unpaid(address, ROWS_MAX)?,
        ..ProviderFacts::default()
    };
    let settling = rows
        .unfinished_jobs()?
        .into_iter()
        .any(|(state, count)| state == JobState::Settling && count > ROWS_MAX as u64);
    let is_full = facts.nodes == ROWS_MAX || facts.failed == ROWS_MAX;
    facts.truncated = cut(&mut facts.payments) || is_full || settling;
    Ok(facts)
}
