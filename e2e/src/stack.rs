//! `cargo xtask stack`: a market for tests in other languages. It prints one line of JSON that says where everything is,
//! then obeys commands from its standard input, and ends with it: whoever started it can vanish and leaves nothing behind.

#![expect(clippy::print_stdout, reason = "its output is its interface")]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::engine::{self, Engine};
use crate::keys::Party;
use crate::market::{Market, Node, Settings};
use crate::process::{Lifetime, binary};

/// Nodes and their providers, in the order in which they are started.
const NODES: [(Party, Party); 2] =
    [(Party::NodeA, Party::ProviderA), (Party::NodeB, Party::ProviderB)];

#[derive(Args, Debug)]
#[command(
    after_help = "Commands on standard input, each answered by one line of JSON:\n  scheduler kill|stop|start\n  node <0|1> add|kill|start\n\nExample:\n  cargo xtask stack --web web/out --nodes 2"
)]
pub struct StackArgs {
    /// The web's static export, which the scheduler serves
    #[arg(long, value_name = "FOLDER")]
    web: Option<PathBuf>,
    /// How many nodes to enroll and start
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    nodes: u8,
    /// Also start a container engine and a registry, where that is possible here
    #[arg(long)]
    engine: bool,
    /// The address of `next dev`, which may then use the scheduler from the browser
    #[arg(long, value_name = "URL")]
    development_origin: Option<String>,
}

/// Runs a market until standard input ends.
///
/// # Errors
/// Where a part does not start, or a command is unknown.
pub async fn stack(args: StackArgs) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let scheduler = match &args.web {
        Some(folder) => web_settings(folder, args.development_origin.as_deref())?,
        None => toml::Table::new(),
    };
    let settings = Settings { scheduler, node: toml::Table::new() };
    let with_engine = args.engine && engine::missing().is_none();
    let mut market =
        Market::start(folder.path(), settings, with_engine, Lifetime::Attached).await?;
    let mut nodes: Vec<Option<Node>> = Vec::new();
    for (node, provider) in &NODES[..usize::from(args.nodes)] {
        nodes.push(Some(market.start_node(*node, *provider).await?));
    }
    nodes.resize_with(NODES.len(), || None);
    println!("{}", describe(&market)?);

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match obey(&mut market, &mut nodes, &line).await {
            Ok(()) => json!({"ok": true}),
            Err(error) => json!({"ok": false, "error": format!("{error:#}")}),
        };
        println!("{answer}");
    }
    Ok(())
}

/// The part of the scheduler's config that has to do with the web, whose export lies in `folder`.
pub(crate) fn web_settings(folder: &Path, development_origin: Option<&str>) -> Result<toml::Table> {
    let folder = folder.canonicalize().with_context(|| {
        format!("{} is not there: run `npm run build` in web/", folder.display())
    })?;
    let web = json!({
        "folder": folder,
        "chain_name": "Local market",
        "development": true,
        "development_origin": development_origin.unwrap_or_default(),
    });
    Ok(toml::Table::try_from(json!({ "web": web }))?)
}

fn describe(market: &Market) -> Result<Value> {
    let parties: Map<String, Value> = Party::ALL
        .iter()
        .map(|party| {
            let key = format!("0x{}", alloy::hex::encode(party.key().to_bytes()));
            (party.name().to_owned(), json!({"address": party.address(), "key": key}))
        })
        .collect();
    let cli = market.cli(Party::Submitter)?;
    let environment: Map<String, Value> =
        cli.environment().iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    let program = |name: &str| binary(name).map(|path| path.display().to_string());
    Ok(json!({
        "folder": market.folder,
        "rpc_url": market.chain.rpc_url,
        "chain_id": market.chain.deployment.chain_id,
        "contract": market.chain.deployment.contract,
        "scheduler_url": market.scheduler.url,
        "scheduler": Party::Scheduler.address(),
        "parties": parties,
        "docker_host": market.engine.as_ref().map(Engine::docker_host),
        "registry": market.engine.as_ref().map(|engine| &engine.registry_address),
        "engine_missing": engine::missing(),
        // The command line as the submitter types it, with what it needs in its environment.
        "cli": {"program": program("gristmill")?, "environment": environment},
        "node": {"program": program("gristmill-node")?},
    }))
}

async fn obey(market: &mut Market, nodes: &mut [Option<Node>], line: &str) -> Result<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["scheduler", "kill"] => market.scheduler.process.kill_hard(),
        ["scheduler", "stop"] => market.scheduler.process.stop().map(drop),
        ["scheduler", "start"] => market.scheduler.restart().await,
        ["node", index, action] => {
            let index: usize = index.parse().context("nodes are numbered from 0")?;
            let place = nodes.get_mut(index).context("there is no such node")?;
            match (place, action) {
                (place @ None, "add") => {
                    let (node, provider) = NODES[index];
                    *place = Some(market.start_node(node, provider).await?);
                    Ok(())
                }
                (Some(node), "kill") => node.process.kill_hard(),
                (Some(node), "start") => node.restart(),
                (Some(_), "add") => bail!("node {index} is there already"),
                (None, "kill" | "start") => bail!("node {index} was never added"),
                (_, _) => bail!("a node knows add, kill and start"),
            }
        }
        _ => bail!("unknown command: {line}"),
    }
}
