//! `gristmill provider`: which schedulers may give jobs to a provider's nodes, and what they may put at stake.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use clap::{Args, Subcommand};
use gristmill_protocol::money::Amount;
use serde_json::json;

use super::node::done;
use crate::app::App;
use crate::chain::{Approval, Mined, decimal, money};
use crate::failure::{Failure, Result};

#[derive(Subcommand, Debug)]
pub(crate) enum ProviderCommand {
    /// Let a scheduler give jobs to this wallet's nodes, and say how much it may lock as bonds
    #[command(
        after_help = "Examples:\n  gristmill provider approve 0x…\n  gristmill provider approve 0x… --bond-limit 5                 # after `gristmill deposit 5`\n  gristmill provider approve 0x… --bond-limit 100 --token 0x…\n\nThe approval counts for jobs in every token; the limit is for bonds in one. It falls by each bond that is lost, so a node key in wrong hands costs at most the limit. What is locked already counts against it."
    )]
    Approve(ApproveArgs),
    /// Take that back; what is assigned already goes on
    #[command(after_help = "Examples:\n  gristmill provider disapprove 0x…")]
    Disapprove(DisapproveArgs),
    /// Show what this wallet allows its schedulers, and what it has in the market
    #[command(
        after_help = "Examples:\n  gristmill provider show\n  gristmill provider show --address 0x… --json\n\nNeeds no scheduler and no password."
    )]
    Show(ShowArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ApproveArgs {
    /// The scheduler's address, as `gristmill doctor` shows it
    #[arg(value_name = "SCHEDULER")]
    address: Address,
    /// How much of the wallet's balance in the market it may lock at the same time [default: as it is, at first nothing]
    #[arg(long, value_name = "AMOUNT")]
    bond_limit: Option<String>,
    /// The token of the bonds [default: the coin]
    #[arg(long, value_name = "ADDRESS")]
    token: Option<Address>,
}

#[derive(Args, Debug)]
pub(crate) struct DisapproveArgs {
    /// The scheduler's address, as `gristmill doctor` shows it
    #[arg(value_name = "SCHEDULER")]
    address: Address,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Another provider than the wallet
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
}

pub(crate) async fn run(app: &App, command: ProviderCommand) -> Result<()> {
    match command {
        ProviderCommand::Approve(args) => approve_scheduler(app, args).await,
        ProviderCommand::Disapprove(args) => disapprove(app, args.address).await,
        ProviderCommand::Show(args) => show(app, args).await,
    }
}

async fn approve_scheduler(app: &App, args: ApproveArgs) -> Result<()> {
    let chain = app.chain().await?;
    let provider = app.address().await?;
    let token = args.token.unwrap_or_default();
    let decimals = chain.decimals(token).await?;
    let bond_limit = match &args.bond_limit {
        Some(text) => Some(
            Amount::from_decimal(text, decimals)
                .map_err(|error| Failure::usage(format!("--bond-limit: {error}")))?,
        ),
        None => None,
    };
    let (limit, mined) = approve(app, provider, args.address, token, bond_limit).await?;
    let held = chain.held(provider, token).await?;
    if held < alloy::primitives::U256::from(limit.0) {
        let token = args.token.map(|token| format!(" --token {token}")).unwrap_or_default();
        app.out.hint(format!(
            "{} of it is in the market; bonds are locked from there: `gristmill deposit AMOUNT{token}`",
            decimal(held, decimals)
        ));
    }
    let limit_words = money(limit, token, decimals, chain.deployment().chain_id);
    done(
        app,
        &format!(
            "scheduler {} may give jobs to the nodes of {provider}, and lock up to {limit_words} as bonds",
            args.address
        ),
        &json!({
            "provider": provider, "scheduler": args.address, "token": token, "approved": true,
            "bond_limit_wei": limit, "transaction": mined,
        }),
    )
}

/// Approves a scheduler with this limit, unless it is so already. Without a limit, the one it has stays.
pub(super) async fn approve(
    app: &App,
    provider: Address,
    scheduler: Address,
    token: Address,
    bond_limit: Option<Amount>,
) -> Result<(Amount, Option<Mined>)> {
    let chain = app.chain().await?;
    let now = chain.approval(provider, scheduler, token).await?;
    let limit = bond_limit.unwrap_or(now.bond_limit);
    if now.approved && now.bond_limit == limit {
        app.out.note(format!("scheduler {scheduler} is approved already"));
        return Ok((limit, None));
    }
    let request =
        chain.market().approveScheduler(scheduler, token, limit.0).into_transaction_request();
    let mined = chain.send(&app.out, app.signer().await?, "approve scheduler", request).await?;
    Ok((limit, Some(mined)))
}

async fn disapprove(app: &App, scheduler: Address) -> Result<()> {
    let chain = app.chain().await?;
    let provider = app.address().await?;
    let mut mined = None;
    if chain.approval(provider, scheduler, Address::ZERO).await?.approved {
        let request = chain.market().disapproveScheduler(scheduler).into_transaction_request();
        let signer = app.signer().await?;
        mined = Some(chain.send(&app.out, signer, "disapprove scheduler", request).await?);
    } else {
        app.out.note(format!("scheduler {scheduler} was not approved"));
    }
    done(
        app,
        &format!("scheduler {scheduler} may no longer give jobs to the nodes of {provider}"),
        &json!({ "provider": provider, "scheduler": scheduler, "approved": false, "transaction": mined }),
    )
}

async fn show(app: &App, args: ShowArgs) -> Result<()> {
    let chain = app.chain().await?;
    let provider = match args.address {
        Some(address) => address,
        None => app.address().await?,
    };
    let mut approvals = Vec::new();
    let mut tokens: BTreeSet<Address> = chain.tokens_of(&app.out, provider).await?;
    tokens.insert(Address::ZERO);
    for (scheduler, token) in chain.approvals_of(&app.out, provider).await? {
        let approval = chain.approval(provider, scheduler, token).await?;
        // A scheduler that was taken off, and whose bonds have all come back, has no part in this any more.
        if approval.approved || approval.bond_used != Amount::ZERO {
            approvals.push((scheduler, token, approval));
            tokens.insert(token);
        }
    }
    let mut balances = Vec::new();
    for token in tokens {
        balances.push((token, chain.held(provider, token).await?));
    }
    if app.out.is_json() {
        let approvals: Vec<_> = approvals
            .iter()
            .map(|(scheduler, token, Approval { approved, bond_limit, bond_used })| {
                json!({
                    "scheduler": scheduler, "token": token, "approved": approved,
                    "bond_limit_wei": bond_limit, "bond_used_wei": bond_used,
                })
            })
            .collect();
        let balances: Vec<_> = balances
            .iter()
            .map(|(token, held)| json!({ "token": token, "market_wei": held.to_string() }))
            .collect();
        return app
            .out
            .value(&json!({ "provider": provider, "approvals": approvals, "balances": balances }));
    }
    app.out.pairs(&[("provider", provider.to_string())])?;
    for (token, held) in balances {
        let held = decimal(held, chain.decimals_or_none(token).await);
        let of = if token.is_zero() { "the coin".to_owned() } else { token.to_string() };
        app.out.pairs(&[("in the market", format!("{held} of {of}"))])?;
    }
    if approvals.is_empty() {
        app.out.hint("no scheduler may give jobs to this provider's nodes: `gristmill provider approve SCHEDULER`");
        return Ok(());
    }
    app.out.line("")?;
    let chain_id = chain.deployment().chain_id;
    let mut rows = Vec::new();
    for (scheduler, token, approval) in approvals {
        let decimals = chain.decimals_or_none(token).await;
        let amount = |amount| money(amount, token, decimals, chain_id);
        rows.push(vec![
            scheduler.to_string(),
            if approval.approved { "yes" } else { "no" }.to_owned(),
            amount(approval.bond_limit),
            amount(approval.bond_used),
        ]);
    }
    app.out.table(&["scheduler", "approved", "bond limit", "bonds locked"], &[2, 3], &rows)
}
