//! Stakes, permits and approvals: what a party puts into the market, what it allows, and that it gets all of it back.

use alloy::primitives::{Address, U256};
use serde_json::{Value, json};

use super::local::{Local, Party, TOKENS};

/// `DOMAIN_SEPARATOR()` and `permit(…)`, and selectors in their place that nobody calls.
const DOMAIN_SEPARATOR: ([u8; 4], [u8; 4]) = ([0x36, 0x44, 0xe5, 0x15], [0x36, 0x44, 0xe5, 0x16]);
const PERMIT: ([u8; 4], [u8; 4]) = ([0xd5, 0x05, 0xac, 0xcf], [0xd5, 0x05, 0xac, 0xd0]);

const COIN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_stays_the_wallets_own() {
    let local = Local::start().await;
    let provider = local.cli(Party::Provider);
    let owner = Party::Provider.address();
    for (amount, code) in [("0", 2), ("many", 2), ("-1", 2), ("1000000", 6)] {
        assert_eq!(provider.run(&["deposit", "--json", "--", amount]).code, code, "{amount}");
    }
    assert_eq!(local.sent(Party::Provider).await, 0, "none of that sent anything");

    let before = local.balance(owner).await;
    let answer = provider.run(&["deposit", "2.5", "--json"]).ok().json();
    assert_eq!(answer["amount_wei"], "2500000000000000000");
    assert_eq!(answer["market_wei"], "2500000000000000000");
    let paid = before - local.balance(owner).await;
    let deposit = COIN * U256::from(5) / U256::from(2);
    assert!(paid > deposit && paid < deposit + COIN / U256::from(10), "the deposit and the gas");
    assert_eq!(local.held(owner, Address::ZERO).await, deposit);
    let text = provider.run(&["deposit", "0.5"]).ok().stdout;
    assert!(text.starts_with("0.5 U2U deposited; ") && text.ends_with("has 3 in the market\n"));

    let too_much = provider.run(&["withdraw", "--amount", "3.1", "--json"]);
    assert_eq!(too_much.code, 4);
    let to = Address::repeat_byte(0x77);
    provider.run(&["withdraw", "--amount", "1", "--to", &to.to_string(), "--json"]).ok();
    assert_eq!(local.balance(to).await, COIN);
    assert_eq!(local.held(owner, Address::ZERO).await, COIN * U256::from(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn recover_leaves_a_stake_where_it_is_unless_it_is_told_to_take_it() {
    let local = Local::start().await;
    let provider = local.cli(Party::Provider);
    let owner = Party::Provider.address();
    provider.run(&["deposit", "1", "--json"]).ok();
    let done = provider.run(&["recover", "--do", "--json"]).ok().json();
    assert_eq!(done["done"], json!([]));
    assert_eq!(done["balances"][0]["market_wei"], COIN.to_string());
    assert_eq!(local.held(owner, Address::ZERO).await, COIN);
    assert_eq!(provider.run(&["recover", "--withdraw"]).code, 2, "only with --do");
    let done = provider.run(&["recover", "--do", "--withdraw", "--json"]).ok().json();
    assert_eq!(done["done"][0]["verb"], "withdraw");
    assert_eq!(local.held(owner, Address::ZERO).await, U256::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_permits_needs_one_transaction_and_any_other_two() {
    let local = Local::start().await;
    let provider = local.cli(Party::Provider);
    let owner = Party::Provider.address();
    let hundred = U256::from(100) * COIN;
    for (replaced, transactions, why) in [
        (&[][..], 1, "the permit goes along"),
        (&[DOMAIN_SEPARATOR], 2, "a token without permits"),
        (&[PERMIT], 2, "a token that refuses the permit it announces"),
    ] {
        let token = local.token(replaced, owner).await;
        let text = token.to_string();
        let before = local.sent(Party::Provider).await;
        let answer = provider.run(&["deposit", "100", "--token", &text, "--json"]).ok().json();
        assert_eq!(local.sent(Party::Provider).await - before, transactions, "{why}");
        assert_eq!(answer["market_wei"], hundred.to_string());
        assert_eq!(local.held(owner, token).await, hundred, "{why}");
        assert_eq!(local.tokens_of(token, owner).await, TOKENS - hundred, "not a token more");

        let before = local.sent(Party::Provider).await;
        let poor = provider.run(&["deposit", "901", "--token", &text, "--json"]);
        assert_eq!(poor.code, 6);
        assert!(poor.error()["message"].as_str().unwrap().contains("has 900 of token"));
        assert_eq!(local.sent(Party::Provider).await, before, "not even an approval was sent");
        provider.run(&["withdraw", "--token", &text, "--json"]).ok();
        assert_eq!(local.tokens_of(token, owner).await, TOKENS);
    }
    let nothing = provider.run(&["deposit", "1", "--token", &owner.to_string(), "--json"]);
    assert_eq!(nothing.code, 2);
    assert!(nothing.error()["message"].as_str().unwrap().contains("like an ERC-20 token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_sets_how_much_a_scheduler_may_lock() {
    let local = Local::start().await;
    let provider = local.cli(Party::Provider);
    let owner = Party::Provider.address();
    let scheduler = Party::Scheduler.address().to_string();
    let market = local.market(Party::Stranger);
    let approval = async |token: Address| {
        let call = market.approval(owner, Party::Scheduler.address(), token);
        let found = call.call().await.unwrap();
        (found.approved, found.bondLimit, found.bondUsed)
    };
    let approve = |more: &[&str]| {
        let arguments = [&["provider", "approve", &scheduler, "--json"], more].concat();
        provider.run(&arguments).ok().json()
    };
    assert_eq!(approve(&[])["bond_limit_wei"], "0", "nothing is put at stake unasked");
    assert_eq!(approval(Address::ZERO).await, (true, 0, 0));

    let raised = approve(&["--bond-limit", "0.5"]);
    assert!(raised["transaction"]["hash"].is_string(), "approved already, with another limit");
    assert_eq!(approval(Address::ZERO).await, (true, 500_000_000_000_000_000, 0));
    assert!(approve(&["--bond-limit", "0.5"])["transaction"].is_null());
    assert!(approve(&[])["transaction"].is_null(), "without a limit the old one stays");
    assert_eq!(approval(Address::ZERO).await.1, 500_000_000_000_000_000);
    let token = local.token(&[], owner).await;
    approve(&["--bond-limit", "7", "--token", &token.to_string()]);
    assert_eq!(approval(token).await, (true, 7_000_000_000_000_000_000, 0));
    approve(&["--bond-limit", "0"]);
    assert_eq!(approval(Address::ZERO).await, (true, 0, 0));

    provider.run(&["deposit", "1", "--json"]).ok();
    let stranger = local.cli(Party::Stranger);
    let show = ["provider", "show", "--address", &owner.to_string(), "--json"];
    let shown = stranger.run(&show).ok().json();
    let limits: Vec<(String, &Value)> = shown["approvals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|approval| {
            assert_eq!(
                (&approval["approved"], &approval["bond_used_wei"]),
                (&json!(true), &json!("0"))
            );
            (approval["token"].as_str().unwrap().to_lowercase(), &approval["bond_limit_wei"])
        })
        .collect();
    assert_eq!(
        limits,
        [
            (format!("{:?}", Address::ZERO), &json!("0")),
            (format!("{token:?}"), &json!("7000000000000000000")),
        ]
    );
    assert_eq!(shown["balances"][0]["market_wei"], COIN.to_string());
    let text = provider.run(&["provider", "show"]).ok().stdout;
    assert!(text.contains("1 of the coin") && text.contains(&scheduler), "{text}");

    provider.run(&["provider", "disapprove", &scheduler, "--json"]).ok();
    let shown = provider.run(&["provider", "show", "--json"]).ok().json();
    assert_eq!(shown["approvals"], json!([]));
    assert_eq!(stranger.run(&["provider", "approve", &scheduler, "--bond-limit", "x"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_orders_of_a_wallet_are_revoked_at_once() {
    let local = Local::start().await;
    let submitter = local.cli(Party::Submitter);
    let owner = Party::Submitter.address().to_string();
    assert_eq!(submitter.run(&["order", "show", "--json"]).ok().json()["epoch"], 0);
    assert_eq!(submitter.run(&["order", "revoke", "--json"]).code, 2, "nobody said yes");
    let revoked = submitter.run(&["order", "revoke", "--yes", "--json"]).ok().json();
    assert_eq!(revoked["epoch"], 1);
    assert!(revoked["transaction"]["hash"].is_string());
    let stranger = local.cli(Party::Stranger);
    let seen = stranger.run(&["order", "show", "--address", &owner, "--json"]).ok().json();
    assert_eq!(seen["epoch"], 1);
    assert_eq!(stranger.run(&["order", "show", "--json"]).ok().json()["epoch"], 0);
}
