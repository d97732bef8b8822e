//! Nodes: their offers, and the long poll by which they get work.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use gristmill_market::node::Standing;
use gristmill_market::reply::Lease;
use gristmill_market::{Command, Reply};
use gristmill_protocol::Address;
use gristmill_protocol::api::{
    Assignment, NodeView, Offer, POLL_WAIT_MS_MAX, Page, PollReply, PollRequest, Stop,
};
use gristmill_protocol::error::{ErrorCode, Problem};
use gristmill_protocol::ids::NodeId;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Account;
use super::body::JsonBody;
use super::idempotency::Once;
use super::jobs::{PAGE_ITEMS_MAX, page_limit};
use super::problem::Refusal;
use super::views;
use crate::app::App;
use crate::store::{self, Reads, StoreError};
use crate::turn::Refused;
use crate::turn::new_lease_token;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(put_offer))
        .routes(routes!(poll))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// `next` of the page before.
    cursor: Option<NodeId>,
    /// Items of the page, 1 to 200.
    limit: Option<usize>,
}

/// Lists nodes by ascending id.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", params(ListParams), responses(
    (status = 200, body = Page<NodeView>),
))]
async fn list(
    State(app): State<App>,
    Query(params): Query<ListParams>,
) -> Result<Json<Page<NodeView>>, Refusal> {
    let limit = page_limit(params.limit, PAGE_ITEMS_MAX)?;
    let mut nodes =
        store::read(&app.store, move |rows| rows.nodes(params.cursor, limit + 1)).await?;
    let more = nodes.len() > limit;
    nodes.truncate(limit);
    let next = nodes.last().filter(|_| more).map(|node| node.id.to_string());
    let now = app.clock.now();
    Ok(Json(Page { items: nodes.iter().map(|node| views::node_view(node, now)).collect(), next }))
}

/// A node: what it offers, and how it has done.
#[utoipa::path(get, path = "/v1/nodes/{id}", tag = "nodes", params(("id" = NodeId, Path)), responses(
    (status = 200, body = NodeView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
async fn get(State(app): State<App>, Path(id): Path<NodeId>) -> Result<Json<NodeView>, Refusal> {
    Ok(Json(node_view(&app, id).await?))
}

async fn node_view(app: &App, id: NodeId) -> Result<NodeView, Refusal> {
    let node = store::read(&app.store, move |rows| rows.node(id)).await?;
    node.as_ref()
        .map(|node| views::node_view(node, app.clock.now()))
        .ok_or_else(|| Refusal::not_found(format!("node {id}")))
}

fn require_node(account: Account, node: NodeId) -> Result<(), Refusal> {
    if account.address == node.0 {
        return Ok(());
    }
    let detail = format!(
        "sign in with the key of the node {node} itself; this is the token of {}",
        account.address
    );
    Err(Refusal::new(ErrorCode::Forbidden, detail))
}

/// Makes or changes a node's offer. A wallet must have enrolled the node on chain before.
#[utoipa::path(put, path = "/v1/nodes/{id}/offer", tag = "nodes", security(("token" = [])),
    params(("id" = NodeId, Path), ("idempotency-key" = Option<String>, Header)), request_body = Offer, responses(
    (status = 200, body = NodeView),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
async fn put_offer(
    State(app): State<App>,
    account: Account,
    once: Once,
    Path(id): Path<NodeId>,
    body: JsonBody<Offer>,
) -> Result<Json<NodeView>, Refusal> {
    require_node(account, id)?;
    let offer = body.value;
    offer.validate().map_err(|problem| Refusal::new(ErrorCode::InvalidOffer, problem))?;
    let (provider, standing) = standing(&app, id).await?;
    let command = Command::RegisterNode { node: id, provider, offer, standing };
    app.turns.submit_once(command, once.of(account, &body.bytes)).await?;
    // The chain may have spoken between the look and the turn; then it spoke to a node that was not known yet.
    let (_, now) = self::standing(&app, id).await?;
    if now != standing {
        app.turns.submit(Command::NodeStanding { node: id, standing: now }).await?;
    }
    Ok(Json(node_view(&app, id).await?))
}

/// Whose node it is, and whether this scheduler may assign to it, as the chain has said finally.
async fn standing(app: &App, node: NodeId) -> Result<(Address, Standing), Refusal> {
    let found = store::read(&app.store, move |rows| store::standing(rows, node)).await?;
    let Some((provider, standing)) = found else {
        let detail = format!(
            "no wallet has enrolled the node {node} on chain, or that is not final yet: run `gristmill node enroll`"
        );
        return Err(Refusal::new(ErrorCode::NodeNotEnrolled, detail));
    };
    if standing == Standing::Revoked {
        let detail =
            format!("the provider {provider} has revoked this node for good: enroll a new key");
        return Err(Refusal::new(ErrorCode::Forbidden, detail));
    }
    Ok((provider, standing))
}

/// Says that a node is there, and waits for work.
///
/// Answered at once where there is something to do, else when there is, or when the wait is over.
#[utoipa::path(post, path = "/v1/nodes/{id}/poll", tag = "nodes", security(("token" = [])),
    params(("id" = NodeId, Path)), request_body = PollRequest, responses(
    (status = 200, body = PollReply),
    (status = 403, body = Problem, content_type = "application/problem+json"),
))]
async fn poll(
    State(app): State<App>,
    account: Account,
    Path(id): Path<NodeId>,
    body: JsonBody<PollRequest>,
) -> Result<Json<PollReply>, Refusal> {
    require_node(account, id)?;
    let request = body.value;
    let Ok(_place) = app.polls.try_acquire() else {
        return Err(Refusal::new(
            ErrorCode::Unavailable,
            "too many nodes wait for work; try again later",
        ));
    };
    let silence_ms = app.config.market.silence_ms;
    // Well within the silence, so that a node that waits is heard again in time.
    let wait_ms = u64::from(request.wait_ms.min(POLL_WAIT_MS_MAX)).min(silence_ms / 2);
    let over = tokio::time::sleep(Duration::from_millis(wait_ms));
    tokio::pin!(over);
    app.turns.hear(id, app.clock.now());
    let waiter = app.wake.wait_for_node(id);
    loop {
        // Before asking, so that what is published meanwhile wakes us.
        let woken = waiter.woken();
        let command = Command::Poll {
            node: id,
            holding: request.holding.clone(),
            draining: request.draining,
            token: new_lease_token(),
        };
        let (leases, stop) = match app.turns.submit(command).await? {
            Reply::Polled { assignments, stop } => (assignments, stop),
            Reply::Created { .. } | Reply::Job { .. } | Reply::Node { .. } | Reply::Unchanged => {
                (Vec::new(), Vec::new())
            }
        };
        if !leases.is_empty() || !stop.is_empty() || over.is_elapsed() {
            return Ok(Json(answer(&app, leases, stop).await?));
        }
        tokio::select! {
            () = woken => {}
            () = &mut over => return Ok(Json(answer(&app, leases, stop).await?)),
            () = app.stopping.cancelled() => return Err(Refused::Unavailable.into()),
        }
    }
}

async fn answer(app: &App, leases: Vec<Lease>, stop: Vec<Stop>) -> Result<PollReply, Refusal> {
    let assignments = if leases.is_empty() {
        Vec::new()
    } else {
        store::read(&app.store, move |rows| {
            leases.iter().map(|lease| assignment(rows, lease)).collect()
        })
        .await?
    };
    Ok(PollReply {
        assignments,
        stop,
        silence_ms: app.config.market.silence_ms,
        now_ms: app.clock.now(),
    })
}

fn assignment(rows: &dyn Reads, lease: &Lease) -> Result<Assignment, StoreError> {
    let missing = |table, what: &str| StoreError::Corrupt {
        table,
        problem: format!("{what} of {} is missing", lease.job),
    };
    let job = rows.job(lease.job)?.ok_or_else(|| missing("jobs", "the row"))?;
    let spec = rows.spec(job.terms.spec_hash)?.ok_or_else(|| missing("specs", "the spec"))?;
    Ok(Assignment {
        job_id: lease.job,
        attempt: lease.attempt,
        lease_token: lease.token,
        terms: job.terms,
        spec,
    })
}
