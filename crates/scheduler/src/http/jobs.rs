//! Jobs: posting, listing, cancelling, and why one waits.

use std::collections::BTreeSet;
use std::fmt;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use gristmill_market::Command;
use gristmill_market::demand::KnownSpec;
use gristmill_protocol::Address;
use gristmill_protocol::api::{
    CreateJob, Explanation, JobState, JobSummary, JobView, MatchPreview, Page, PreviewRequest,
};
use gristmill_protocol::error::{ErrorCode, Problem};
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::Funding;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Account;
use super::body::JsonBody;
use super::idempotency::Once;
use super::problem::Refusal;
use super::views;
use crate::app::App;
use crate::store::{self, JobQuery, JobText};
use crate::turn::new_lease_token;

/// Items of a page.
pub(super) const PAGE_ITEMS_MAX: usize = 200;
const PAGE_ITEMS: usize = 50;
/// As many as a name has.
const SEARCH_CHARS_MAX: usize = 100;
/// Jobs that a page of a search looks at.
const SEARCHED_MAX: usize = 5000;
/// Nodes that an explanation looks at.
const EXPLAIN_NODES_MAX: usize = 10_000;
/// Parties of a job that nobody has posted: the contract's rules want them to be there and to differ.
const SOME_SUBMITTER: Address = Address::repeat_byte(1);
const SOME_ARBITER: Address = Address::repeat_byte(2);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(explain))
        .routes(routes!(preview))
}

/// Announces a job whose bounty is about to be locked, or has been.
///
/// The spec that the terms name must be stored. The job runs once the contract's event of its bounty is final; with
/// `funding`, an order that the submitter has signed, the scheduler opens it itself when a node is found.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", security(("token" = [])), request_body = CreateJob, responses(
    (status = 201, body = JobView, description = "The job is new."),
    (status = 200, body = JobView, description = "The job was known."),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
), params(("idempotency-key" = Option<String>, Header)))]
async fn create(
    State(app): State<App>,
    account: Account,
    once: Once,
    body: JsonBody<CreateJob>,
) -> Result<(StatusCode, Json<JobView>), Refusal> {
    let CreateJob { terms, funding } = body.value;
    if let Some(funding) = &funding {
        check_order(&app, &terms, funding)?;
    }
    let hash = terms.spec_hash;
    let Some(spec) = store::read(&app.store, move |rows| rows.spec(hash)).await? else {
        let detail = format!("no spec {hash} is stored here: put it to /v1/specs/{hash} first");
        return Err(Refusal::new(ErrorCode::SpecUnknown, detail));
    };
    let job = terms.id(&app.domain());
    let spec = KnownSpec { hash, spec };
    let command = Command::CreateJob {
        job,
        by: account.address,
        terms,
        spec,
        funding,
        token: new_lease_token(),
    };
    let reply = app.turns.submit_once(command, once.of(account, &body.bytes)).await?;
    let is_new = matches!(reply, gristmill_market::Reply::Created { .. });
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(views::job_view(&app, job).await?)))
}

/// Whether the submitter has signed the order. That the job is part of it, and that it is still valid, the rules see.
fn check_order(app: &App, terms: &Terms, funding: &Funding) -> Result<(), Refusal> {
    let domain = app.domain();
    if domain.has_ordered(terms.submitter, &funding.order, &funding.signature.0) {
        return Ok(());
    }
    let detail = format!(
        "the order is not signed by the key of the submitter {}, for chain {} and contract {}; the orders of a wallet that is a contract are not taken here",
        terms.submitter, domain.chain_id, domain.contract
    );
    Err(Refusal::new(ErrorCode::InvalidTerms, detail))
}

#[derive(Default, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only jobs of this submitter.
    #[param(value_type = Option<String>)]
    submitter: Option<Address>,
    /// Only jobs of which this provider had an attempt.
    #[param(value_type = Option<String>)]
    provider: Option<Address>,
    /// Only jobs of which this node had an attempt.
    #[param(value_type = Option<String>)]
    node: Option<NodeId>,
    /// Only jobs in this state; given several times, in any of these.
    #[param(value_type = Option<Vec<JobState>>)]
    state: BTreeSet<JobState>,
    /// Only jobs whose name holds this, in capitals or not, or whose id begins with it (`0x` and digits); at most 100
    /// characters. A page of a search may hold fewer items than its limit, and still have a `next`.
    q: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items of the page, 1 to 200.
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum ListParam {
    Submitter,
    Provider,
    Node,
    State,
    Q,
    Cursor,
    Limit,
}

/// By hand, because a derived one refuses what comes twice, and a state may.
impl<'de> Deserialize<'de> for ListParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ListParamsVisitor)
    }
}

struct ListParamsVisitor;

impl<'de> Visitor<'de> for ListParamsVisitor {
    type Value = ListParams;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("filters of a list of jobs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ListParams, A::Error> {
        let mut params = ListParams::default();
        while let Some(param) = map.next_key()? {
            match param {
                ListParam::Submitter => once(&mut map, "submitter", &mut params.submitter)?,
                ListParam::Provider => once(&mut map, "provider", &mut params.provider)?,
                ListParam::Node => once(&mut map, "node", &mut params.node)?,
                ListParam::State => {
                    params.state.insert(map.next_value()?);
                }
                ListParam::Q => once(&mut map, "q", &mut params.q)?,
                ListParam::Cursor => once(&mut map, "cursor", &mut params.cursor)?,
                ListParam::Limit => once(&mut map, "limit", &mut params.limit)?,
            }
        }
        Ok(params)
    }
}

fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    name: &'static str,
    param: &mut Option<T>,
) -> Result<(), A::Error> {
    if param.is_some() {
        return Err(serde::de::Error::duplicate_field(name));
    }
    *param = Some(map.next_value()?);
    Ok(())
}

/// Lists jobs, newest first.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(ListParams), responses(
    (status = 200, body = Page<JobSummary>),
))]
async fn list(
    State(app): State<App>,
    Query(params): Query<ListParams>,
) -> Result<Json<Page<JobSummary>>, Refusal> {
    let limit = page_limit(params.limit, PAGE_ITEMS)?;
    let after = params.cursor.as_deref().map(parse_cursor).transpose()?;
    let query = JobQuery {
        submitter: params.submitter,
        provider: params.provider,
        node: params.node,
        states: params.state,
        text: params.q.as_deref().map(job_text).transpose()?,
        after,
        limit,
        searched_max: SEARCHED_MAX,
    };
    let page = store::read(&app.store, move |rows| rows.jobs(&query)).await?;
    let next = page.next.map(|(created_at, id)| format!("{}-{id}", created_at.0));
    Ok(Json(Page { items: page.jobs.iter().map(views::job_summary).collect(), next }))
}

fn job_text(text: &str) -> Result<JobText, Refusal> {
    let chars = text.chars().count();
    if chars <= SEARCH_CHARS_MAX {
        return Ok(JobText::new(text));
    }
    Err(Refusal::new(
        ErrorCode::InvalidRequest,
        format!("`q` is {chars} characters long; it may be {SEARCH_CHARS_MAX}"),
    ))
}

/// How many items a page is to have.
pub(super) fn page_limit(asked: Option<usize>, default: usize) -> Result<usize, Refusal> {
    let limit = asked.unwrap_or(default);
    if (1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Refusal::new(
        ErrorCode::InvalidRequest,
        format!("`limit` is {limit}; it must be 1 to {PAGE_ITEMS_MAX}"),
    ))
}

fn parse_cursor(cursor: &str) -> Result<(Timestamp, JobId), Refusal> {
    let parse = || {
        let (created_at, id) = cursor.split_once('-')?;
        Some((Timestamp(created_at.parse().ok()?), id.parse().ok()?))
    };
    parse().ok_or_else(|| {
        Refusal::new(
            ErrorCode::InvalidRequest,
            "`cursor` is not one of ours: use `next` of the page before",
        )
    })
}

/// A job, its attempts, and what happened on chain for it.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = JobId, Path)), responses(
    (status = 200, body = JobView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
async fn get(State(app): State<App>, Path(id): Path<JobId>) -> Result<Json<JobView>, Refusal> {
    Ok(Json(views::job_view(&app, id).await?))
}

/// Stops the work on a job.
///
/// The bounty comes back by the submitter's own `cancel` on chain, or after the deadline.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", security(("token" = [])),
    params(("id" = JobId, Path), ("idempotency-key" = Option<String>, Header)), responses(
    (status = 200, body = JobView),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json"),
))]
async fn cancel(
    State(app): State<App>,
    account: Account,
    once: Once,
    Path(id): Path<JobId>,
) -> Result<Json<JobView>, Refusal> {
    let command = Command::CancelJob { job: id, by: account.address };
    app.turns.submit_once(command, once.of(account, &[])).await?;
    Ok(Json(views::job_view(&app, id).await?))
}

/// Why a job waits: which constraint leaves out how many nodes, and what change would match one.
#[utoipa::path(get, path = "/v1/jobs/{id}/explain", tag = "jobs", params(("id" = JobId, Path)), responses(
    (status = 200, body = Explanation),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
async fn explain(
    State(app): State<App>,
    Path(id): Path<JobId>,
) -> Result<Json<Explanation>, Refusal> {
    let found = store::read(&app.store, move |rows| {
        let Some(job) = rows.job(id)? else { return Ok(None) };
        Ok(Some((job, rows.nodes(None, EXPLAIN_NODES_MAX)?)))
    });
    let Some((job, nodes)) = found.await? else {
        return Err(Refusal::not_found(format!("job {id}")));
    };
    let policy = app.config.policy(app.scheduler);
    Ok(Json(gristmill_market::explain(&job, &nodes, &policy, app.clock.now())))
}

/// Which nodes would take a job now, and why others would not, before anything is posted or paid.
#[utoipa::path(post, path = "/v1/explain", tag = "jobs", request_body = PreviewRequest, responses(
    (status = 200, body = MatchPreview),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
async fn preview(
    State(app): State<App>,
    body: JsonBody<PreviewRequest>,
) -> Result<Json<MatchPreview>, Refusal> {
    let PreviewRequest { spec, bounty, fee, bond, token, deadline } = body.value;
    spec.validate()?;
    let (market, now) = (&app.config.market, app.clock.now());
    let terms = Terms {
        submitter: SOME_SUBMITTER,
        scheduler: app.scheduler,
        arbiter: SOME_ARBITER,
        token,
        bounty,
        fee,
        bond,
        dispute_bond: Amount::ZERO,
        deadline,
        lease_seconds: market.lease_seconds,
        grace_seconds: market.grace_seconds,
        attempt_seconds: market.attempt_seconds,
        hold_seconds: 0,
        challenge_window: market.challenge_window,
        ruling_seconds: market.ruling_seconds,
        spec_hash: spec.hash(),
        salt: Default::default(),
    };
    terms
        .validate(now.unix_seconds())
        .map_err(|error| Refusal::new(ErrorCode::InvalidTerms, error.to_string()))?;
    let policy = app.config.policy(app.scheduler);
    // Judged where the nodes are read: thousands of them are no work for a thread that serves connections.
    let judged = store::read(&app.store, move |rows| {
        let nodes = rows.nodes(None, EXPLAIN_NODES_MAX)?;
        Ok(gristmill_market::preview(&terms, &spec, &nodes, &policy, now))
    });
    Ok(Json(judged.await??))
}
