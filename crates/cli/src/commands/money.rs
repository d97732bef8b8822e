//! `gristmill refund`, `claim` and `withdraw`: one transaction each, from any wallet, without a scheduler.

use alloy::primitives::Address;
use clap::Args;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::terms::Terms;
use serde_json::json;

use crate::app::App;
use crate::chain::ways_out::{Verb, where_the_money_is};
use crate::chain::{Mined, decimal, money};
use crate::failure::{Exit, Failure, Result};
use crate::job_ref::JobRef;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill refund 0x2f8e1c3b5d\n\nNeeds no scheduler. The bounty goes to the job's submitter, whoever sends the transaction."
)]
pub(crate) struct RefundArgs {
    /// The job id, or its first digits
    job: JobRef,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill claim 0x2f8e1c3b5d\n\nNeeds no scheduler. The bounty goes to the node's provider, whoever sends the transaction."
)]
pub(crate) struct ClaimArgs {
    /// The job id, or its first digits
    job: JobRef,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill withdraw\n  gristmill withdraw --to 0x…            # where the wallet itself refuses coins\n  gristmill withdraw --token 0x…\n\nThe contract pays directly. Only what a receiver refused becomes a credit, to be withdrawn here."
)]
pub(crate) struct WithdrawArgs {
    /// An ERC-20 token instead of the coin
    #[arg(long, value_name = "ADDRESS")]
    token: Option<Address>,
    /// Where the money goes [default: the wallet]
    #[arg(long, value_name = "ADDRESS")]
    to: Option<Address>,
}

/// Sends one verb for one job, from the wallet.
pub(crate) async fn act(app: &App, id: JobId, terms: &Terms, verb: Verb) -> Result<Mined> {
    let chain = app.chain().await?;
    let market = chain.market();
    let terms = terms.into();
    let request = match verb {
        Verb::Cancel => market.cancel(terms).into_transaction_request(),
        Verb::Lapse => market.lapse(terms).into_transaction_request(),
        Verb::Refund => market.refund(terms).into_transaction_request(),
        Verb::Claim => market.claim(terms).into_transaction_request(),
    };
    let signer = app.signer().await?;
    chain.send(&app.out, signer, verb.as_str(), request).await.map_err(|failure| failure.job(id))
}

/// Says what a verb did: where the job's money is now.
pub(crate) async fn report(
    app: &App,
    id: JobId,
    terms: &Terms,
    mined: &[(Verb, Mined)],
) -> Result<()> {
    let chain = app.chain().await?;
    let slot = chain.slot(id).await?;
    let (state, money_is) = where_the_money_is(slot.state);
    if app.out.is_json() {
        let transactions: Vec<_> = mined
            .iter()
            .map(|(verb, mined)| json!({ "verb": verb, "hash": mined.hash, "block": mined.block, "gas_used": mined.gas_used }))
            .collect();
        return app.out.value(&json!({
            "job": id, "escrow": state, "bounty_wei": terms.bounty, "token": terms.token, "transactions": transactions,
        }));
    }
    let decimals = chain.decimals(terms.token).await?;
    let bounty = money(terms.bounty, terms.token, decimals, chain.deployment().chain_id);
    app.out.line(format!("{state}: the bounty of {bounty} is {money_is}"))
}

pub(crate) async fn refund(app: &App, args: RefundArgs) -> Result<()> {
    single(app, &args.job, Verb::Refund).await
}

pub(crate) async fn claim(app: &App, args: ClaimArgs) -> Result<()> {
    single(app, &args.job, Verb::Claim).await
}

async fn single(app: &App, job: &JobRef, verb: Verb) -> Result<()> {
    let id = job.resolve(app).await?;
    let terms = app.terms(id).await?;
    let mined = act(app, id, &terms, verb).await?;
    report(app, id, &terms, &[(verb, mined)]).await
}

pub(crate) async fn withdraw(app: &App, args: WithdrawArgs) -> Result<()> {
    let chain = app.chain().await?;
    let owner = app.address().await?;
    let token = args.token.unwrap_or_default();
    let to = args.to.unwrap_or(owner);
    let credit = chain.credit(owner, token).await?;
    if credit.is_zero() {
        return Err(Failure::new(Exit::Refused, format!("{owner} has no credit to withdraw"))
            .hint("the contract pays directly: look at `gristmill wallet balance`"));
    }
    let decimals = chain.decimals(token).await?;
    let mined = send_withdrawal(app, token, to).await?;
    if app.out.is_json() {
        return app.out.value(&json!({ "owner": owner, "token": token, "to": to, "amount_wei": credit.to_string(), "transaction": mined }));
    }
    app.out.line(format!("{} sent to {to}", decimal(credit, decimals)))
}

/// Moves the wallet's whole credit in one token.
pub(crate) async fn send_withdrawal(app: &App, token: Address, to: Address) -> Result<Mined> {
    let chain = app.chain().await?;
    let request = chain.market().withdraw(token, to).into_transaction_request();
    chain.send(&app.out, app.signer().await?, "withdraw", request).await
}
