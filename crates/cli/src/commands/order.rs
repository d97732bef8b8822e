//! `gristmill order`: what a submitter can do about the orders that it has signed, without knowing where they are.

use alloy::primitives::Address;
use clap::{Args, Subcommand};
use serde_json::json;

use super::node::done;
use crate::app::App;
use crate::failure::Result;

#[derive(Subcommand, Debug)]
pub(crate) enum OrderCommand {
    /// Show the epoch that the wallet's orders must carry
    #[command(
        after_help = "Examples:\n  gristmill order show\n  gristmill order show --address 0x…"
    )]
    Show(ShowArgs),
    /// Revoke every order that this wallet has signed so far
    #[command(
        after_help = "Examples:\n  gristmill order revoke\n\nRaises the wallet's epoch on chain: no job of an older order can be opened any more. Jobs that are open already go on; stop them with `gristmill cancel`. The money in the market stays the wallet's: take it out with `gristmill withdraw`."
    )]
    Revoke(RevokeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Another address than the wallet's
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(crate) async fn run(app: &App, command: OrderCommand) -> Result<()> {
    let chain = app.chain().await?;
    match command {
        OrderCommand::Show(args) => {
            let owner = match args.address {
                Some(address) => address,
                None => app.address().await?,
            };
            let epoch = chain.epoch(owner).await?;
            done(
                app,
                &format!("orders of {owner} are valid at epoch {epoch}"),
                &json!({ "owner": owner, "epoch": epoch }),
            )
        }
        OrderCommand::Revoke(args) => {
            let owner = app.address().await?;
            app.out.confirm("Revoke every order that this wallet has signed?", args.yes)?;
            let request = chain.market().raiseEpoch().into_transaction_request();
            let mined =
                chain.send(&app.out, app.signer().await?, "revoke the orders", request).await?;
            let epoch = chain.epoch(owner).await?;
            done(
                app,
                &format!("all earlier orders of {owner} are revoked; its epoch is {epoch}"),
                &json!({ "owner": owner, "epoch": epoch, "transaction": mined }),
            )
        }
    }
}
