//! `gristmill dispute`, `disputes` and `rule`: who contests a result, what is contested, and how it ends.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use clap::{Args, ValueEnum};
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::contracts::StoredJob;
use gristmill_protocol::ids::{JobId, ReceiptHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::terms::Terms;
use serde_json::json;

use super::money::{act, report};
use crate::app::App;
use crate::chain::ways_out::{Verb, where_the_money_is, window_end};
use crate::chain::{Chain, money};
use crate::failure::{Exit, Failure, Result};
use crate::job_ref::{JobRef, short};
use crate::quantity;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill dispute 0x2f8e1c3b5d\n  gristmill dispute 0x2f8e1c3b5d --yes --json\n\nNeeds no scheduler. The submitter can dispute a result while its payment is held (`submit --hold`), or while a result that a node published itself can be challenged; the latter the scheduler can too. It costs the job's dispute bond: lost if the arbiter rules to pay, or stays silent; back if it rules to refund or to reopen."
)]
pub(crate) struct DisputeArgs {
    /// The job id, or its first digits
    job: JobRef,
    /// Do not ask before paying the dispute bond
    #[arg(long, short)]
    yes: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill disputes                     # those that this wallet has to rule on\n  gristmill disputes --all --json\n  gristmill rule $(gristmill disputes -q | head -1) refund\n\nNeeds no scheduler: disputes are found in the contract's events. The receipt hash is what the node has signed; compare it with the result, see `gristmill result`."
)]
pub(crate) struct DisputesArgs {
    /// Of another arbiter than the wallet
    #[arg(long, value_name = "ADDRESS")]
    arbiter: Option<Address>,
    /// Every arbiter's
    #[arg(long, conflicts_with = "arbiter")]
    all: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill rule 0x2f8e1c3b5d pay\n  gristmill rule 0x2f8e1c3b5d refund --yes\n  gristmill rule 0x2f8e1c3b5d reopen\n\nOnly the arbiter that the job's terms name, while its time runs. An arbiter that stays silent rules to pay. pay: the provider gets the bounty and the dispute bond. refund: the submitter gets the bounty and the provider's bond. reopen: the provider loses its bond, and the job is open for another node; only before the deadline. Unless the ruling is to pay, the dispute bond goes back to whoever disputed."
)]
pub(crate) struct RuleArgs {
    /// The job id, or its first digits
    job: JobRef,
    /// How the dispute ends
    ruling: Ruling,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// How an arbiter can end a dispute. The numbers are the contract's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Ruling {
    /// The result is good: the provider is paid
    Pay = 0,
    /// It is not: the submitter gets everything back
    Refund = 1,
    /// Another node shall do it
    Reopen = 2,
}

impl Ruling {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pay => "pay",
            Self::Refund => "refund",
            Self::Reopen => "reopen",
        }
    }
}

pub(crate) async fn dispute(app: &App, args: DisputeArgs) -> Result<()> {
    let id = args.job.resolve(app).await?;
    let terms = app.terms(id).await?;
    let chain = app.chain().await?;
    let wallet = app.address().await?;
    let slot = chain.slot(id).await?;
    let now = chain.head().await?.due();
    disputable(id, &terms, &slot, wallet, now)?;
    let decimals = chain.decimals(terms.token).await?;
    let bond = money(terms.dispute_bond, terms.token, decimals, chain.deployment().chain_id);
    let price = if terms.dispute_bond == Amount::ZERO {
        "It costs no bond.".to_owned()
    } else {
        format!("The bond of {bond} is lost unless the arbiter takes your side.")
    };
    app.out.confirm(&format!("Dispute the result of job {}? {price}", short(id)), args.yes)?;
    let mined = act(app, id, &terms, Verb::Dispute).await?;
    let until = window_end(&terms, &chain.slot(id).await?);
    if app.out.is_json() {
        return app.out.value(&json!({
            "job": id, "escrow": "disputed", "by": wallet, "arbiter": terms.arbiter, "until": until,
            "dispute_bond_wei": terms.dispute_bond, "token": terms.token, "transaction": mined,
        }));
    }
    app.out.line(format!(
        "disputed: the arbiter {} has until {} to rule",
        terms.arbiter,
        quantity::instant(until)
    ))?;
    app.out.note(format!(
        "If it stays silent, the provider is paid and gets the dispute bond of {bond}; look with `gristmill recover {}`",
        short(id)
    ));
    Ok(())
}

/// Says in words why the contract would refuse a dispute, before anything is paid.
fn disputable(id: JobId, terms: &Terms, slot: &StoredJob, wallet: Address, now: u64) -> Result<()> {
    let refused = |message: String| Failure::new(Exit::Refused, message).job(id);
    let may = match slot.state {
        EscrowState::Held => terms.submitter == wallet,
        EscrowState::Published => terms.submitter == wallet || terms.scheduler == wallet,
        EscrowState::Disputed => {
            return Err(refused("the job is disputed already".to_owned()));
        }
        EscrowState::None
        | EscrowState::Open
        | EscrowState::Assigned
        | EscrowState::Paid
        | EscrowState::Refunded
        | EscrowState::Cancelled => {
            let (state, money) = where_the_money_is(slot.state);
            let message =
                format!("there is nothing to dispute: the job is {state}, the money is {money}");
            return Err(refused(message)
                .hint("only a result that is held or published can be disputed: `gristmill submit --hold`"));
        }
    };
    if !may {
        return Err(refused(format!(
            "only the submitter {} can dispute this result; this wallet is {wallet}",
            terms.submitter
        ))
        .hint("choose its wallet with --keystore"));
    }
    let end = window_end(terms, slot);
    if end < now {
        return Err(refused(format!(
            "the result could be disputed until {}",
            quantity::when(end, now)
        )));
    }
    Ok(())
}

/// A job that waits for its arbiter.
struct Dispute {
    id: JobId,
    terms: Terms,
    slot: StoredJob,
    until: u64,
    receipt_hash: Option<ReceiptHash>,
}

pub(crate) async fn list(app: &App, args: DisputesArgs) -> Result<()> {
    let chain = app.chain().await?;
    let arbiter = match args.arbiter {
        _ if args.all => None,
        Some(arbiter) => Some(arbiter),
        None => Some(app.address().await?),
    };
    let disputes = find(app, chain, arbiter).await?;
    if app.out.is_json() {
        let rows: Vec<_> = disputes
            .iter()
            .map(|it| {
                json!({
                    "job": it.id, "arbiter": it.terms.arbiter, "until": it.until, "by": disputed_by(it),
                    "bounty_wei": it.terms.bounty, "bond_wei": it.terms.bond, "pool_wei": it.slot.pool(&it.terms),
                    "dispute_bond_wei": it.terms.dispute_bond, "token": it.terms.token, "node": it.slot.node,
                    "attempt": it.slot.attempt, "receipt_hash": it.receipt_hash, "terms": it.terms,
                })
            })
            .collect();
        return app.out.value(&rows);
    }
    if app.out.is_quiet() {
        return disputes.iter().try_for_each(|it| app.out.line(it.id));
    }
    if disputes.is_empty() {
        app.out.note(match arbiter {
            Some(arbiter) => format!("no dispute waits for {arbiter}; see all with --all"),
            None => "no job is disputed".to_owned(),
        });
        return Ok(());
    }
    let now = chain.head().await?.due();
    let mut rows = Vec::new();
    for it in &disputes {
        let decimals = chain.decimals(it.terms.token).await?;
        let amount = |amount| money(amount, it.terms.token, decimals, chain.deployment().chain_id);
        rows.push(vec![
            it.id.to_string(),
            disputed_by(it).to_owned(),
            amount(it.terms.bounty),
            amount(it.terms.dispute_bond),
            if it.until < now {
                "over: `gristmill claim`".to_owned()
            } else {
                quantity::relative(it.until, now)
            },
        ]);
    }
    app.out.table(&["job", "disputed by", "bounty", "dispute bond", "ruling due"], &[2, 3], &rows)
}

fn disputed_by(dispute: &Dispute) -> &'static str {
    if dispute.slot.disputed_by_scheduler { "scheduler" } else { "submitter" }
}

async fn find(app: &App, chain: &Chain, arbiter: Option<Address>) -> Result<Vec<Dispute>> {
    let mut slots = BTreeMap::new();
    for id in chain.jobs_in_disputes(&app.out).await? {
        let slot = chain.slot(id).await?;
        if slot.state == EscrowState::Disputed {
            slots.insert(id, slot);
        }
    }
    let terms_of = chain.terms_of_all(&app.out, slots.keys().copied().collect()).await?;
    let mut disputes = Vec::new();
    for (id, slot) in slots {
        let Some(terms) = terms_of.get(&id).copied() else { continue };
        if arbiter.is_some_and(|arbiter| arbiter != terms.arbiter) {
            continue;
        }
        let receipt = chain.receipt_on_chain(&app.out, id).await?;
        let receipt_hash = receipt.map(|(_, _, hash)| hash);
        disputes.push(Dispute { id, until: window_end(&terms, &slot), terms, slot, receipt_hash });
    }
    disputes.sort_by_key(|dispute| dispute.until);
    Ok(disputes)
}

pub(crate) async fn rule(app: &App, args: RuleArgs) -> Result<()> {
    let id = args.job.resolve(app).await?;
    let terms = app.terms(id).await?;
    let chain = app.chain().await?;
    let wallet = app.address().await?;
    if terms.arbiter != wallet {
        return Err(Failure::new(
            Exit::Refused,
            format!("only the arbiter {} can rule; this wallet is {wallet}", terms.arbiter),
        )
        .job(id)
        .hint("choose its wallet with --keystore"));
    }
    let ruling = args.ruling.as_str();
    app.out.confirm(&format!("Rule to {ruling} for good on job {}?", short(id)), args.yes)?;
    let request =
        chain.market().rule((&terms).into(), args.ruling as u8).into_transaction_request();
    let mined = chain
        .send(&app.out, app.signer().await?, &format!("rule to {ruling}"), request)
        .await
        .map_err(|failure| failure.job(id))?;
    report(app, id, &terms, &[("rule", mined)]).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::{a_stored_job, some_terms};

    fn refusal(state: EscrowState, wallet: u8, now: u64) -> Option<String> {
        let wallet = Address::repeat_byte(wallet);
        disputable(JobId::default(), &some_terms(), &a_stored_job(state), wallet, now)
            .err()
            .map(|failure| failure.message)
    }

    #[test]
    fn a_result_is_disputed_by_whom_it_concerns_and_in_its_window() {
        assert_eq!(refusal(EscrowState::Held, 1, 1100), None);
        assert!(refusal(EscrowState::Held, 1, 1101).unwrap().contains("until"));
        assert_eq!(refusal(EscrowState::Published, 1, 4600), None);
        assert!(refusal(EscrowState::Published, 1, 4601).is_some());
        assert_eq!(refusal(EscrowState::Published, 2, 1000), None, "the scheduler");
        assert!(refusal(EscrowState::Held, 2, 1000).unwrap().contains("only the submitter"));
        assert!(refusal(EscrowState::Published, 9, 1000).is_some());
    }

    #[test]
    fn without_a_result_there_is_nothing_to_dispute() {
        for state in [EscrowState::Open, EscrowState::Assigned, EscrowState::Paid] {
            assert!(refusal(state, 1, 1000).unwrap().contains("nothing to dispute"));
        }
        assert!(refusal(EscrowState::Disputed, 1, 1000).unwrap().contains("already"));
    }

    #[test]
    fn rulings_have_the_numbers_of_the_contract() {
        let numbers = [Ruling::Pay, Ruling::Refund, Ruling::Reopen].map(|ruling| ruling as u8);
        assert_eq!(numbers, [0, 1, 2]);
    }
}
