//! `gristmill refund`, `claim`, `deposit` and `withdraw`: one transaction each, from any wallet, without a scheduler.

use alloy::primitives::{Address, U256};
use alloy::rpc::types::TransactionRequest;
use clap::Args;
use gristmill_protocol::contracts::IJobMarket;
use gristmill_protocol::ids::JobId;
use gristmill_protocol::money::Amount;
use gristmill_protocol::terms::Terms;
use serde_json::json;

use crate::app::App;
use crate::chain::ways_out::{Verb, where_the_money_is};
use crate::chain::{Chain, Mined, decimal, money};
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
    after_help = "Examples:\n  gristmill claim 0x2f8e1c3b5d\n\nNeeds no scheduler. The bounty goes to the node's provider, whoever sends the transaction. A claim is possible when the hold or the challenge window is over; of a disputed job when the arbiter has stayed silent for all of its time: then the provider gets the dispute bond too."
)]
pub(crate) struct ClaimArgs {
    /// The job id, or its first digits
    job: JobRef,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill deposit 5                    # a stake for bonds, or money for prepaid orders\n  gristmill deposit 100 --token 0x…\n\nWhat a wallet has in the market is its own: bonds are locked from it within what `gristmill provider approve --bond-limit` allows, orders that the wallet signed are paid from it, and `gristmill withdraw` takes the rest out at any time. A token with permits (EIP-2612) needs one transaction, another one two."
)]
pub(crate) struct DepositArgs {
    /// How much, in coins (or tokens)
    amount: String,
    /// An ERC-20 token instead of the coin
    #[arg(long, value_name = "ADDRESS")]
    token: Option<Address>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill withdraw                     # all of it\n  gristmill withdraw --amount 1.5\n  gristmill withdraw --to 0x…            # where the wallet itself refuses coins\n  gristmill withdraw --token 0x…\n\nJobs are paid to the wallet directly. In the market is what was deposited, what came back from bonds, and what a receiver refused."
)]
pub(crate) struct WithdrawArgs {
    /// How much [default: all that is there]
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<String>,
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
    let price = (terms.token, terms.dispute_bond);
    let terms = terms.into();
    let request = match verb {
        Verb::Cancel => market.cancel(terms).into_transaction_request(),
        Verb::Lapse => market.lapse(terms).into_transaction_request(),
        Verb::Refund => market.refund(terms).into_transaction_request(),
        Verb::Claim => market.claim(terms).into_transaction_request(),
        Verb::Dispute => dispute_request(app, chain, price, terms).await?,
    };
    let signer = app.signer().await?;
    chain.send(&app.out, signer, verb.as_str(), request).await.map_err(|failure| failure.job(id))
}

/// A dispute comes with its bond. The contract has no form of it with a permit.
async fn dispute_request(
    app: &App,
    chain: &Chain,
    (token, bond): (Address, Amount),
    terms: IJobMarket::Terms,
) -> Result<TransactionRequest> {
    let call = chain.market().dispute(terms);
    let call = if token.is_zero() { call.value(U256::from(bond.0)) } else { call };
    let request = call.into_transaction_request();
    if token.is_zero() || bond == Amount::ZERO {
        return Ok(request);
    }
    chain.paying(&app.out, app.signer().await?, (token, bond), request, None).await
}

/// Says what a verb did: where the job's money is now.
pub(crate) async fn report(
    app: &App,
    id: JobId,
    terms: &Terms,
    mined: &[(&str, Mined)],
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
    report(app, id, &terms, &[(verb.as_str(), mined)]).await
}

pub(crate) async fn deposit(app: &App, args: DepositArgs) -> Result<()> {
    let chain = app.chain().await?;
    let token = args.token.unwrap_or_default();
    let decimals = chain.decimals(token).await?;
    let amount = Amount::from_decimal(&args.amount, decimals)
        .map_err(|error| Failure::usage(format!("AMOUNT: {error}")))?;
    if amount == Amount::ZERO {
        return Err(Failure::usage("AMOUNT: nothing to deposit"));
    }
    let signer = app.signer().await?;
    let owner = signer.address();
    let value = U256::from(amount.0);
    let market = chain.market();
    let call = market.deposit(token, value);
    let plain = if token.is_zero() { call.value(value) } else { call }.into_transaction_request();
    let with_permit =
        |permit| market.depositWithPermit(token, value, permit).into_transaction_request();
    let request =
        chain.paying(&app.out, signer, (token, amount), plain, Some(&with_permit)).await?;
    let mined = chain.send(&app.out, signer, "deposit", request).await?;
    let held = chain.held(owner, token).await?;
    if app.out.is_json() {
        return app.out.value(&json!({
            "owner": owner, "token": token, "amount_wei": amount, "market_wei": held.to_string(), "transaction": mined,
        }));
    }
    app.out.line(format!(
        "{} deposited; {owner} has {} in the market",
        money(amount, token, decimals, chain.deployment().chain_id),
        decimal(held, decimals)
    ))
}

pub(crate) async fn withdraw(app: &App, args: WithdrawArgs) -> Result<()> {
    let chain = app.chain().await?;
    let owner = app.address().await?;
    let token = args.token.unwrap_or_default();
    let to = args.to.unwrap_or(owner);
    let held = chain.held(owner, token).await?;
    let decimals = chain.decimals(token).await?;
    let amount = match &args.amount {
        Some(text) => {
            let amount = Amount::from_decimal(text, decimals)
                .map_err(|error| Failure::usage(format!("--amount: {error}")))?;
            U256::from(amount.0)
        }
        None => held,
    };
    if held.is_zero() || amount > held {
        let message = format!("{owner} has {} in the market", decimal(held, decimals));
        return Err(Failure::new(Exit::Refused, message)
            .hint("jobs are paid to the wallet directly: look at `gristmill wallet balance`"));
    }
    let mined = send_withdrawal(app, token, to, amount).await?;
    if app.out.is_json() {
        return app.out.value(&json!({ "owner": owner, "token": token, "to": to, "amount_wei": amount.to_string(), "transaction": mined }));
    }
    app.out.line(format!("{} sent to {to}", decimal(amount, decimals)))
}

/// Moves some of what the wallet has in the market.
pub(crate) async fn send_withdrawal(
    app: &App,
    token: Address,
    to: Address,
    amount: U256,
) -> Result<Mined> {
    let chain = app.chain().await?;
    let request = chain.market().withdraw(token, to, amount).into_transaction_request();
    chain.send(&app.out, app.signer().await?, "withdraw", request).await
}
