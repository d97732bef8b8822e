//! `gristmill nodes` and `node`: machines, and whose they are.

use std::io::Read;

use alloy::primitives::{Address, aliases::U40};
use clap::{Args, Subcommand};
use gristmill_protocol::api::{NodeState, NodeView};
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::money::NATIVE_DECIMALS;
use gristmill_protocol::signing::{CompactSignature, Message};
use serde::Deserialize;
use serde_json::json;

use super::provider::approve;
use crate::app::App;
use crate::chain::{Mined, coin};
use crate::failure::{Exit, Failure, Result};
use crate::output::{Output, Tone, plain};
use crate::quantity;

/// An enrollment message has about 300 bytes.
const MESSAGE_BYTES_MAX: u64 = 16 * 1024;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill nodes\n  gristmill nodes --gpu\n  gristmill nodes --json | jq '.[].offer.gpus'\n\nWhat nodes have is what they report. With --json each node is as the API gives it."
)]
pub(crate) struct NodesArgs {
    /// Only nodes of this provider
    #[arg(long, value_name = "ADDRESS")]
    provider: Option<Address>,
    /// Only nodes with a GPU
    #[arg(long)]
    gpu: bool,
    /// Also nodes that have not been heard for a while
    #[arg(long)]
    all: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum NodeCommand {
    /// Bind a node to this wallet, for good: its earnings go here
    #[command(
        after_help = "Examples:\n  gristmill-node enroll-message --provider 0x… > message.json    # on the node\n  gristmill node enroll --message message.json --approve-scheduler 0x…\n  ssh gpu1 gristmill-node enroll-message --provider 0x… | gristmill node enroll --message -"
    )]
    Enroll(EnrollArgs),
    /// Forbid new assignments to a node; what it holds it can finish. Cannot be undone
    #[command(after_help = "Examples:\n  gristmill node revoke 0x…")]
    Revoke(RevokeArgs),
    /// Show one node: what it offers, and whose it is on chain
    #[command(after_help = "Examples:\n  gristmill node show 0x…")]
    Show(ShowArgs),
}

#[derive(Args, Debug)]
pub(crate) struct EnrollArgs {
    /// What `gristmill-node enroll-message` printed; - for stdin
    #[arg(long, value_name = "FILE")]
    message: String,
    /// Also let this scheduler give jobs to the wallet's nodes
    #[arg(long, value_name = "ADDRESS")]
    approve_scheduler: Option<Address>,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// The node's address
    node: NodeId,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The node's address
    node: NodeId,
}

/// A node's consent to belong to a provider, as `gristmill-node enroll-message` prints it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnrollMessage {
    node: NodeId,
    provider: Address,
    /// Unix seconds.
    expires: u64,
    signature: CompactSignature,
}

pub(crate) async fn list(app: &App, args: NodesArgs) -> Result<()> {
    let mut nodes = app.call(|client| client.nodes()).await?.items;
    nodes.retain(|node| {
        args.provider.is_none_or(|provider| node.provider == provider)
            && (!args.gpu || !node.offer.gpus.is_empty())
            && (args.all || node.state != NodeState::Offline)
    });
    if app.out.is_json() {
        return app.out.value(&nodes);
    }
    if app.out.is_quiet() {
        return nodes.iter().try_for_each(|node| app.out.line(node.id));
    }
    if nodes.is_empty() {
        app.out.note("no nodes; --all shows also those that are offline");
        return Ok(());
    }
    let chain_id = app.call(|client| client.info()).await?.chain_id;
    let now = quantity::now();
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|node| {
            let offer = &node.offer;
            let runtimes: Vec<&str> =
                offer.runtimes.iter().map(|runtime| runtime.as_str()).collect();
            vec![
                node.id.to_string(),
                paint_state(&app.out, node.state),
                runtimes.join(","),
                gpus(node),
                gristmill_protocol::money::Amount(offer.cpu_millis.into()).to_decimal(3),
                quantity::bytes(offer.memory_bytes),
                floor(node, chain_id),
                node.attempts_accepted.to_string(),
                node.attempts_failed.to_string(),
                quantity::relative(node.last_heard_at_ms.unix_seconds(), now),
            ]
        })
        .collect();
    app.out.table(
        &[
            "node",
            "state",
            "runtimes",
            "gpus",
            "cpus",
            "memory",
            "price floor",
            "accepted",
            "failed",
            "heard",
        ],
        &[4, 5, 6, 7, 8],
        &rows,
    )
}

fn floor(node: &NodeView, chain_id: u64) -> String {
    let offer = &node.offer;
    if offer.token.is_zero() {
        format!("{} {}", offer.price_floor.to_decimal(NATIVE_DECIMALS), coin(chain_id))
    } else {
        format!("{} of a token", offer.price_floor)
    }
}

fn gpus(node: &NodeView) -> String {
    let mut models: Vec<(String, u32)> = Vec::new();
    for gpu in &node.offer.gpus {
        let model = format!("{} {}", plain(&gpu.model), quantity::bytes(gpu.vram_bytes));
        match models.iter_mut().find(|(name, _)| *name == model) {
            Some((_, count)) => *count += 1,
            None => models.push((model, 1)),
        }
    }
    if models.is_empty() {
        return "none".to_owned();
    }
    models.iter().map(|(model, count)| format!("{count} x {model}")).collect::<Vec<_>>().join(", ")
}

fn paint_state(out: &Output, state: NodeState) -> String {
    let (tone, word) = match state {
        NodeState::Idle => (Tone::Good, "idle"),
        NodeState::Busy => (Tone::Busy, "busy"),
        NodeState::Draining => (Tone::Quiet, "draining"),
        NodeState::Offline => (Tone::Bad, "offline"),
    };
    out.paint(tone, word)
}

pub(crate) async fn run(app: &App, command: NodeCommand) -> Result<()> {
    match command {
        NodeCommand::Enroll(args) => enroll(app, args).await,
        NodeCommand::Revoke(args) => {
            app.out.confirm(&format!("Forbid node {} new jobs for good?", args.node), args.yes)?;
            let chain = app.chain().await?;
            let request = chain.market().revoke(args.node.0).into_transaction_request();
            let mined = chain.send(&app.out, app.signer().await?, "revoke", request).await?;
            done(
                app,
                &format!("node {} gets no new jobs", args.node),
                &json!({ "node": args.node, "transaction": mined }),
            )
        }
        NodeCommand::Show(args) => show(app, args.node).await,
    }
}

async fn enroll(app: &App, args: EnrollArgs) -> Result<()> {
    let message = read_message(&args.message)?;
    let chain = app.chain().await?;
    let provider = app.address().await?;
    let head = chain.head().await?;
    check_message(&message, provider, chain.domain(), head.due())?;
    let enrolled = match chain.node(message.node.0).await? {
        Some((owner, _)) if owner != provider => {
            return Err(Failure::new(
                Exit::Refused,
                format!("node {} belongs to {owner} for good", message.node),
            )
            .hint("give the machine a new key"));
        }
        Some((_, true)) => {
            return Err(Failure::new(Exit::Refused, format!("node {} was revoked", message.node))
                .hint("give the machine a new key"));
        }
        Some((_, false)) => true,
        None => false,
    };
    let mut enrollment: Option<Mined> = None;
    if enrolled {
        app.out.note(format!("node {} is enrolled already", message.node));
    } else {
        let expires = U40::try_from(message.expires).unwrap_or(U40::MAX);
        let request = chain
            .market()
            .enroll(message.node.0, expires, (&message.signature).into())
            .into_transaction_request();
        enrollment = Some(chain.send(&app.out, app.signer().await?, "enroll", request).await?);
    }
    let mut approval: Option<Mined> = None;
    if let Some(scheduler) = args.approve_scheduler {
        (_, approval) = approve(app, provider, scheduler, Address::ZERO, None).await?;
    } else {
        app.out.hint("jobs come only from schedulers that you approve: `gristmill provider approve SCHEDULER`");
    }
    done(
        app,
        &format!("node {} works for {provider}", message.node),
        &json!({
            "node": message.node, "provider": provider, "transaction": enrollment,
            "approved_scheduler": args.approve_scheduler, "approval": approval,
        }),
    )
}

fn read_message(source: &str) -> Result<EnrollMessage> {
    let mut json = String::new();
    let failed = |error: std::io::Error| {
        Failure::usage(format!("cannot read the message from `{}`: {error}", plain(source)))
    };
    if source == "-" {
        std::io::stdin().take(MESSAGE_BYTES_MAX).read_to_string(&mut json).map_err(failed)?;
    } else {
        let file = std::fs::File::open(source).map_err(failed)?;
        file.take(MESSAGE_BYTES_MAX).read_to_string(&mut json).map_err(failed)?;
    }
    serde_json::from_str(&json).map_err(|error| {
        Failure::usage(format!("this is not an enrollment message: {error}"))
            .hint("make one on the node with `gristmill-node enroll-message --provider ADDRESS`")
    })
}

/// Says what the contract would refuse, before gas is spent.
fn check_message(
    message: &EnrollMessage,
    provider: Address,
    domain: gristmill_protocol::signing::Domain,
    now: u64,
) -> Result<()> {
    let again =
        "make a new one on the node with `gristmill-node enroll-message --provider ADDRESS`";
    if message.provider != provider {
        return Err(Failure::usage(format!(
            "the message is for provider {}, and this wallet is {provider}",
            message.provider
        ))
        .hint("choose the wallet with --keystore, or make a message for this one"));
    }
    if message.expires < now {
        return Err(Failure::usage(format!(
            "the message expired {}",
            quantity::when(message.expires, now)
        ))
        .hint(again));
    }
    let signed = Message::Enroll { node: message.node, provider, expires: message.expires };
    if domain.signer(&signed, &message.signature) != Some(message.node.0) {
        return Err(Failure::usage(format!(
            "the message is not signed by node {} for contract {} on chain {}",
            message.node, domain.contract, domain.chain_id
        ))
        .hint(again));
    }
    Ok(())
}

async fn show(app: &App, node: NodeId) -> Result<()> {
    let view = match app.call(|client| client.node(node)).await {
        Ok(view) => Some(view),
        Err(failure) if failure.exit == Exit::NotFound => None,
        Err(failure) => return Err(failure),
    };
    let on_chain = match (&app.settings.rpc, &app.settings.deployment) {
        (Some(_), Some(_)) => Some(app.chain().await?.node(node.0).await?),
        _ => None,
    };
    if view.is_none() && on_chain.flatten().is_none() {
        return Err(Failure::new(
            Exit::NotFound,
            format!("node {node} is known neither to the scheduler nor to the contract"),
        )
        .hint("enroll it with `gristmill node enroll`"));
    }
    if app.out.is_json() {
        let on_chain = on_chain
            .flatten()
            .map(|(provider, revoked)| json!({ "provider": provider, "revoked": revoked }));
        return app.out.value(&json!({ "node": node, "scheduler": view, "chain": on_chain }));
    }
    let chain_text = match on_chain {
        None => "not checked: set --rpc and --deployment".to_owned(),
        Some(None) => "not enrolled".to_owned(),
        Some(Some((provider, false))) => format!("enrolled by {provider}"),
        Some(Some((provider, true))) => format!("revoked by {provider}"),
    };
    let mut rows = vec![("node", app.out.paint(Tone::Strong, node)), ("on chain", chain_text)];
    match &view {
        None => rows.push(("state", "unknown to the scheduler".to_owned())),
        Some(view) => {
            let now = quantity::now();
            let holding: Vec<String> =
                view.holding.iter().map(|held| crate::job_ref::short(held.job_id)).collect();
            rows.extend([
                ("state", paint_state(&app.out, view.state)),
                ("provider", view.provider.to_string()),
                ("heard", quantity::when(view.last_heard_at_ms.unix_seconds(), now)),
                ("gpus", gpus(view)),
                ("cpus", quantity::cpus(view.offer.cpu_millis)),
                ("memory", quantity::bytes(view.offer.memory_bytes)),
                ("disk", quantity::bytes(view.offer.disk_bytes)),
                ("longest run", quantity::seconds(view.offer.max_run_seconds.into())),
                (
                    "attempts",
                    format!("{} accepted, {} failed", view.attempts_accepted, view.attempts_failed),
                ),
                ("reputation", format!("{:.1} %", f64::from(view.reputation_permille) / 10.0)),
                (
                    "holds",
                    if holding.is_empty() { "nothing".to_owned() } else { holding.join(", ") },
                ),
            ]);
        }
    }
    app.out.pairs(&rows)
}

/// The answer of a command that has one sentence to say.
pub(super) fn done(app: &App, text: &str, value: &serde_json::Value) -> Result<()> {
    if app.out.is_json() { app.out.value(value) } else { app.out.line(text) }
}

#[cfg(test)]
mod tests {
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;
    use gristmill_protocol::signing::Domain;

    use super::*;

    fn message() -> (Domain, EnrollMessage) {
        let key = PrivateKeySigner::from_bytes(&[7; 32].into()).unwrap();
        let domain = Domain { chain_id: 4439, contract: Address::repeat_byte(3) };
        let (node, provider, expires) = (NodeId(key.address()), Address::repeat_byte(1), 1000);
        let digest = domain.digest(&Message::Enroll { node, provider, expires });
        let signature = CompactSignature::new(&key.sign_hash_sync(&digest).unwrap());
        (domain, EnrollMessage { node, provider, expires, signature })
    }

    #[test]
    fn a_true_message_is_taken_until_it_expires() {
        let (domain, message) = message();
        assert!(check_message(&message, Address::repeat_byte(1), domain, 1000).is_ok());
        assert!(check_message(&message, Address::repeat_byte(1), domain, 1001).is_err());
    }

    #[test]
    fn a_message_for_another_wallet_chain_or_node_is_refused() {
        let (domain, message) = message();
        let refused = |message: &EnrollMessage, provider, domain| {
            check_message(message, Address::repeat_byte(provider), domain, 0).unwrap_err().message
        };
        assert!(refused(&message, 2, domain).contains("is for provider"));
        assert!(refused(&message, 1, Domain { chain_id: 39, ..domain }).contains("not signed"));
        let other = EnrollMessage { node: NodeId(Address::repeat_byte(9)), ..message };
        assert!(refused(&other, 1, domain).contains("not signed"));
    }

    #[test]
    fn messages_are_read_strictly() {
        let (_, message) = message();
        let json = serde_json::json!({
            "node": message.node, "provider": message.provider, "expires": message.expires, "signature": message.signature,
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json.to_string()).unwrap();
        assert_eq!(read_message(file.path().to_str().unwrap()).unwrap(), message);
        for text in ["", "{}", "[]", &json.to_string().replace("expires", "expiry")] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(
                read_message(file.path().to_str().unwrap()).unwrap_err().exit,
                Exit::Usage,
                "{text}"
            );
        }
    }
}
