//! Nodes that wait for a wallet: a node leaves its signed consent here, and whoever has the wallet finds it and enrolls
//! the node on chain.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use gristmill_protocol::Address;
use gristmill_protocol::api::{Consent, Page, WAITING_PER_PROVIDER_MAX, WaitingNode};
use gristmill_protocol::error::{ErrorCode, Problem};
use gristmill_protocol::ids::NodeId;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::JsonBody;
use super::problem::Refusal;
use crate::app::App;
use crate::store;
use crate::store::consents::{self, Kept, WAITING_MAX};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(leave_consent, waiting_consents))
}

/// Leaves a node's consent to be enrolled by a provider.
///
/// The node's signature is the proof; nobody has to sign in. It is kept until it expires, for a week at most, until the
/// node is enrolled, or until the node sends another one. Of a node that is enrolled already nothing is kept.
#[utoipa::path(post, path = "/v1/enrollments", tag = "nodes", request_body = Consent, responses(
    (status = 204, description = "Noted."),
    (status = 409, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
async fn leave_consent(
    State(app): State<App>,
    body: JsonBody<Consent>,
) -> Result<StatusCode, Refusal> {
    let consent = body.value;
    let provider = consent.provider;
    let now = app.clock.now();
    check(&app, &consent)?;
    let waiting = WaitingNode::new(consent, now);
    let kept = app.turns.write("consent", move |rows| consents::keep(rows, &waiting)).await?;
    let by_file = "or enroll this one by a file: `gristmill-node enroll-message`, then `gristmill node enroll`";
    match kept {
        Kept::Waits | Kept::Enrolled => Ok(StatusCode::NO_CONTENT),
        Kept::ProviderFull => Err(Refusal::new(
            ErrorCode::TooManyWaiting,
            format!(
                "{WAITING_PER_PROVIDER_MAX} nodes wait for the wallet {provider} already: enroll those first, {by_file}"
            ),
        )),
        Kept::Full => Err(Refusal::new(
            ErrorCode::TooManyWaiting,
            format!(
                "{WAITING_MAX} nodes wait for a wallet here already: try again later, {by_file}"
            ),
        )),
    }
}

fn check(app: &App, consent: &Consent) -> Result<(), Refusal> {
    let Consent { node, provider, expires, .. } = *consent;
    consent.offer.validate().map_err(|problem| Refusal::new(ErrorCode::InvalidOffer, problem))?;
    let invalid = |detail: String| Err(Refusal::new(ErrorCode::InvalidConsent, detail));
    if provider.is_zero() {
        return invalid(
            "`provider` is the zero address: name the wallet that is to be paid".into(),
        );
    }
    let domain = app.domain();
    if !consent.is_signed(&domain) {
        return invalid(format!(
            "the signature is not by the node {node} over Enroll of provider {provider} until {expires}, for chain {} and contract {}",
            domain.chain_id, domain.contract
        ));
    }
    let now = app.clock.now().unix_seconds();
    if expires <= now {
        return invalid(format!(
            "the consent has expired: `expires` is {expires}, and it is {now}; sign one that is valid for longer"
        ));
    }
    Ok(())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// The nodes that wait for this wallet.
    #[param(value_type = Option<String>)]
    provider: Option<Address>,
    /// This node, whatever wallet it waits for.
    node: Option<NodeId>,
}

/// Lists the nodes that wait to be enrolled: those of a provider, or one node.
///
/// Public, newest first, at most 20 of a provider. A consent is worth nothing to others: `enroll` takes a transaction of
/// the provider that it names. Anybody can make a node that names a stranger's wallet, so compare the node's address with
/// what the machine itself shows before enrolling it.
#[utoipa::path(get, path = "/v1/enrollments", tag = "nodes", params(ListParams), responses(
    (status = 200, body = Page<WaitingNode>),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
async fn waiting_consents(
    State(app): State<App>,
    Query(params): Query<ListParams>,
) -> Result<Json<Page<WaitingNode>>, Refusal> {
    let now = app.clock.now();
    let items = match (params.provider, params.node) {
        (None, None) => {
            return Err(Refusal::new(
                ErrorCode::InvalidRequest,
                "name a wallet or a node: `?provider=0x…` or `?node=0x…`",
            ));
        }
        (Some(provider), None) => {
            let waiting = store::read(&app.store, move |rows| {
                rows.waiting_nodes(provider, now, WAITING_PER_PROVIDER_MAX)
            });
            waiting.await?
        }
        (provider, Some(node)) => {
            let waiting = store::read(&app.store, move |rows| rows.waiting_node(node, now)).await?;
            let is_wanted = |waiting: &WaitingNode| {
                provider.is_none_or(|provider| waiting.provider == provider)
            };
            waiting.filter(is_wanted).into_iter().collect()
        }
    };
    Ok(Json(Page { items, next: None }))
}
