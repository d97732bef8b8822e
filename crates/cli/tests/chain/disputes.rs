//! A result that is contested: who may, what it costs, and where every coin is after each end.

use alloy::primitives::{Address, U256};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::money::Amount;
use gristmill_protocol::terms::Terms;
use serde_json::{Value, json};

use super::local::{BOND, DISPUTE_BOND, Local, Party, TOKENS};
use super::{OPEN, PAID, REFUNDED, ways};

const HELD: u8 = 3;
const DISPUTED: u8 = 5;

/// A result with bonds that the scheduler has accepted, and whose payment is held.
async fn held(local: &Local) -> (JobId, Terms) {
    let provider = local.cli(Party::Provider);
    let stake = BOND.to_decimal(18);
    provider.run(&["deposit", &stake, "--json"]).ok();
    let scheduler = Party::Scheduler.address().to_string();
    provider.run(&["provider", "approve", &scheduler, "--bond-limit", &stake, "--json"]).ok();
    let (id, terms) = local.open_terms(local.bonded_terms(1).await).await;
    local.assign_bonded(&terms).await;
    local.settle(&terms).await;
    assert_eq!(local.state(id).await, HELD);
    assert_eq!(local.held(Party::Provider.address(), Address::ZERO).await, U256::ZERO, "locked");
    (id, terms)
}

/// The same, and its submitter disputes it.
async fn disputed(local: &Local) -> (JobId, Terms) {
    let (id, terms) = held(local).await;
    local.cli(Party::Submitter).run(&["dispute", &id.to_string(), "--yes", "--json"]).ok();
    assert_eq!(local.state(id).await, DISPUTED);
    (id, terms)
}

async fn stake(local: &Local, party: Party) -> U256 {
    local.held(party.address(), Address::ZERO).await
}

fn wei(amount: Amount) -> U256 {
    U256::from(amount.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_result_is_disputed_by_its_submitter_alone() {
    let local = Local::start().await;
    let (id, terms) = held(&local).await;
    let id_text = id.to_string();
    let dispute = ["dispute", id_text.as_str(), "--yes", "--json"];
    let submitter = local.cli(Party::Submitter);

    for party in [Party::Stranger, Party::Provider, Party::Scheduler, Party::Arbiter] {
        let refused = local.cli(party).run(&dispute);
        assert_eq!(refused.code, 4);
        assert!(refused.error()["message"].as_str().unwrap().contains("only the submitter"));
    }
    assert_eq!(submitter.run(&["dispute", &id_text, "--json"]).code, 2, "nobody said yes");
    let found = submitter.run(&["recover", "--json"]).ok().json();
    assert_eq!(ways(&found["jobs"][0]), [("dispute", true), ("claim", false)]);
    assert_eq!(found["jobs"][0]["bond_wei"], terms.bond.to_string());
    submitter.run(&["recover", "--do", "--json"]).ok();
    assert_eq!(local.state(id).await, HELD, "recover never disputes by itself");
    assert_eq!(submitter.run(&["disputes", "--all", "--json"]).ok().json(), json!([]));

    let before = local.balance(terms.submitter).await;
    let answer = submitter.run(&dispute).ok().json();
    let paid = before - local.balance(terms.submitter).await;
    assert!(paid > wei(DISPUTE_BOND) && paid < wei(DISPUTE_BOND) * U256::from(2), "bond and gas");
    assert_eq!(answer["dispute_bond_wei"], DISPUTE_BOND.to_string());
    assert_eq!(answer["until"], local.now().await + 3600);
    assert_eq!(local.state(id).await, DISPUTED);
    let again = submitter.run(&dispute);
    assert!(again.error()["message"].as_str().unwrap().contains("disputed already"));

    // The arbiter finds it with nothing but the chain.
    let arbiter = local.cli(Party::Arbiter);
    let listed = arbiter.run(&["disputes", "--json"]).ok().json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["job"], &listed[0]["by"]), (&json!(id), &json!("submitter")));
    assert_eq!(listed[0]["until"], answer["until"]);
    assert_eq!(listed[0]["receipt_hash"], format!("0x{}", "07".repeat(32)));
    assert_eq!(arbiter.run(&["disputes", "-q"]).ok().stdout, format!("{id}\n"));
    assert_eq!(submitter.run(&["disputes", "--json"]).ok().json(), json!([]), "not its arbiter");
    let text = submitter.run(&["disputes", "--all"]).ok().stdout;
    assert!(text.contains("0.01 U2U  in "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ruling_to_refund_gives_the_submitter_everything() {
    let local = Local::start().await;
    let (id, terms) = disputed(&local).await;
    let id_text = id.to_string();
    for party in [Party::Submitter, Party::Provider, Party::Scheduler, Party::Stranger] {
        let refused = local.cli(party).run(&["rule", &id_text, "pay", "--yes", "--json"]);
        assert_eq!(refused.code, 4);
        assert!(refused.error()["message"].as_str().unwrap().contains("only the arbiter"));
    }
    let arbiter = local.cli(Party::Arbiter);
    assert_eq!(arbiter.run(&["rule", &id_text, "refund", "--json"]).code, 2, "nobody said yes");
    assert_eq!(arbiter.run(&["rule", &id_text, "split", "--yes"]).code, 2);
    assert_eq!(local.state(id).await, DISPUTED);

    let before = local.balance(terms.submitter).await;
    let provider_before = local.balance(Party::Provider.address()).await;
    let answer = arbiter.run(&["rule", &id_text, "refund", "--yes", "--json"]).ok().json();
    assert_eq!(
        (&answer["escrow"], &answer["transactions"][0]["verb"]),
        (&json!("refunded"), &json!("rule"))
    );
    assert_eq!(local.state(id).await, REFUNDED);
    let everything = wei(terms.bounty) + wei(BOND) + wei(DISPUTE_BOND);
    assert_eq!(local.balance(terms.submitter).await - before, everything);
    assert_eq!(local.balance(Party::Provider.address()).await, provider_before);
    assert_eq!(stake(&local, Party::Provider).await, U256::ZERO, "the bond is lost");
    assert_eq!(arbiter.run(&["rule", &id_text, "pay", "--yes"]).code, 4, "once is for good");
    assert_eq!(arbiter.run(&["disputes", "--json"]).ok().json(), json!([]), "nothing waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ruling_to_pay_gives_the_provider_the_dispute_bond_too() {
    let local = Local::start().await;
    let (id, terms) = disputed(&local).await;
    let [provider, scheduler] = [Party::Provider, Party::Scheduler].map(Party::address);
    let before = (local.balance(provider).await, local.balance(scheduler).await);
    let answer = local.cli(Party::Arbiter).run(&["rule", &id.to_string(), "pay", "--yes"]).ok();
    assert_eq!(answer.stdout, "paid: the bounty of 0.05 U2U is with the provider\n");
    assert_eq!(local.state(id).await, PAID);
    let pay = wei(terms.bounty) - wei(terms.fee) + wei(DISPUTE_BOND);
    assert_eq!(local.balance(provider).await - before.0, pay);
    assert_eq!(local.balance(scheduler).await - before.1, wei(terms.fee), "it had settled");
    assert_eq!(stake(&local, Party::Provider).await, wei(BOND), "the bond is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reopened_job_has_half_the_bond_in_its_pool() {
    let local = Local::start().await;
    let (id, terms) = disputed(&local).await;
    let before = local.balance(terms.submitter).await;
    local.cli(Party::Arbiter).run(&["rule", &id.to_string(), "reopen", "--yes", "--json"]).ok();
    assert_eq!(local.state(id).await, OPEN);
    assert_eq!(local.balance(terms.submitter).await - before, wei(DISPUTE_BOND), "it was right");
    let half = Amount(BOND.0 / 2);
    assert_eq!(stake(&local, Party::Submitter).await, wei(half));
    let submitter = local.cli(Party::Submitter);
    let found = submitter.run(&["recover", "--json"]).ok().json();
    assert_eq!(found["jobs"][0]["pool_wei"], half.to_string());
    assert_eq!(found["balances"][0]["market_wei"], half.to_string());

    // With nobody to rescue it, the pool goes to the submitter too.
    local.advance(7300).await;
    let before = local.balance(terms.submitter).await;
    local.cli(Party::Stranger).run(&["refund", &id.to_string(), "--json"]).ok();
    let back = wei(terms.bounty) + wei(half);
    assert_eq!(local.balance(terms.submitter).await - before, back);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arbiter_that_stays_silent_rules_to_pay() {
    let local = Local::start().await;
    let (id, terms) = disputed(&local).await;
    let id_text = id.to_string();
    let stranger = local.cli(Party::Stranger);
    let early = stranger.run(&["claim", &id_text, "--json"]);
    assert_eq!(early.code, 4);
    assert!(early.error()["message"].as_str().unwrap().contains("a claim is possible after"));
    local.advance(3601).await;
    let late = local.cli(Party::Arbiter).run(&["rule", &id_text, "refund", "--yes", "--json"]);
    assert_eq!(late.code, 4);
    assert!(late.error()["message"].as_str().unwrap().contains("window closed at"));
    let text = stranger.run(&["disputes", "--all"]).ok().stdout;
    assert!(text.contains("over: `gristmill claim`"), "{text}");

    let before = local.balance(Party::Provider.address()).await;
    stranger.run(&["claim", &id_text, "--json"]).ok();
    assert_eq!(local.state(id).await, PAID);
    let pay = wei(terms.bounty) - wei(terms.fee) + wei(DISPUTE_BOND);
    assert_eq!(local.balance(Party::Provider.address()).await - before, pay);
    assert_eq!(stake(&local, Party::Provider).await, wei(BOND));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_that_comes_too_late_or_costs_too_much_moves_nothing() {
    let local = Local::start().await;
    let (id, _) = held(&local).await;
    let submitter = local.cli(Party::Submitter);
    let (dear, dear_terms) = {
        let dear = Amount(20_000_000_000_000_000_000_000);
        let terms = Terms { dispute_bond: dear, bond: Amount::ZERO, ..local.bonded_terms(2).await };
        local.open_terms(terms).await
    };
    local.assign(&dear_terms).await;
    local.publish(&dear_terms).await;
    let sent = local.sent(Party::Submitter).await;
    let poor = submitter.run(&["dispute", &dear.to_string(), "--yes", "--json"]);
    assert_eq!((poor.code, poor.error()["code"].as_str().unwrap()), (6, "insufficient_funds"));

    local.advance(1801).await;
    let late = submitter.run(&["dispute", &id.to_string(), "--yes", "--json"]);
    assert_eq!(late.code, 4);
    assert!(late.error()["message"].as_str().unwrap().contains("could be disputed until"));
    let found = submitter.run(&["recover", &id.to_string(), "--json"]).ok().json();
    assert_eq!(ways(&found["jobs"][0]), [("claim", true)], "the window is no way any more");
    assert_eq!(local.state(id).await, HELD);
    assert_eq!(local.sent(Party::Submitter).await, sent);
    let (open, _) = local.open(3).await;
    let nothing = submitter.run(&["dispute", &open.to_string(), "--yes", "--json"]);
    assert!(nothing.error()["message"].as_str().unwrap().contains("nothing to dispute"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_the_scheduler_may_dispute_too_and_in_the_jobs_own_token() {
    let local = Local::start().await;
    let token = local.token(&[], Party::Submitter.address()).await;
    let call = local.market(Party::Submitter);
    let terms = Terms { token, bond: Amount::ZERO, ..local.bonded_terms(1).await };
    // The bounty comes from what the submitter has in the market, in the job's token.
    let submitter = local.cli(Party::Submitter);
    let bounty = terms.bounty.to_decimal(18);
    submitter.run(&["deposit", &bounty, "--token", &token.to_string(), "--json"]).ok();
    let found = submitter.run(&["recover", "--json"]).ok().json();
    assert_eq!(found["balances"].as_array().unwrap().len(), 1, "the coin is not mentioned");
    assert_eq!(found["balances"][0]["market_wei"], terms.bounty.to_string());
    let opening = gristmill_protocol::contracts::IJobMarket::Opening {
        terms: (&terms).into(),
        node: Address::ZERO,
    };
    let order = gristmill_protocol::contracts::IJobMarket::Order::default();
    let call = call.openMany(vec![opening], order, Default::default(), Vec::new(), Vec::new());
    assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    local.assign(&terms).await;
    local.publish(&terms).await;

    let id = local.id(&terms).to_string();
    let scheduler = local.cli(Party::Scheduler);
    let poor = scheduler.run(&["dispute", &id, "--yes", "--json"]);
    assert_eq!(poor.code, 6, "the scheduler has none of the token");
    submitter.run(&["dispute", &id, "--yes", "--json"]).ok();
    let left = TOKENS - wei(terms.bounty) - wei(DISPUTE_BOND);
    assert_eq!(local.tokens_of(token, terms.submitter).await, left);
    let listed: Value = scheduler.run(&["disputes", "--all", "--json"]).ok().json();
    assert_eq!(listed[0]["by"], "submitter");
    local.cli(Party::Arbiter).run(&["rule", &id, "refund", "--yes", "--json"]).ok();
    assert_eq!(local.tokens_of(token, terms.submitter).await, TOKENS);
}
