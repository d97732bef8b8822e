//! The command against a real chain, with no scheduler anywhere: wallets, nodes, and every way out for the money.

#![expect(clippy::unwrap_used, reason = "a test whose chain or command does not start has failed")]

mod balances;
mod disputes;
mod local;

use alloy::primitives::U256;
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::signing::Message;
use local::{Local, Party};
use serde_json::{Value, json};

/// Numbers of the contract's states.
const OPEN: u8 = 1;
const ASSIGNED: u8 = 2;
const PUBLISHED: u8 = 4;
const PAID: u8 = 6;
const REFUNDED: u8 = 7;
const CANCELLED: u8 = 8;

fn ways(job: &Value) -> Vec<(&str, bool)> {
    let ways = job["ways_out"].as_array().unwrap();
    ways.iter()
        .map(|way| (way["verb"].as_str().unwrap(), way["possible"].as_bool().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_job_is_cancelled_without_a_scheduler() {
    let local = Local::start().await;
    let (id, terms) = local.open(1).await;
    let id_text = id.to_string();

    let stranger =
        local.cli(Party::Stranger).run(&["cancel", &id_text, "--chain-only", "--yes", "--json"]);
    assert_eq!(stranger.code, 4);
    assert!(stranger.error()["message"].as_str().unwrap().contains("only the submitter"));
    let submitter = local.cli(Party::Submitter);
    let unasked = submitter.run(&["cancel", &id_text, "--chain-only", "--json"]);
    assert_eq!(unasked.code, 2, "nobody said yes");
    let with_scheduler = submitter.run(&["cancel", &id_text, "--yes", "--json"]);
    assert_eq!(with_scheduler.code, 3);
    assert!(with_scheduler.error()["hint"].as_str().unwrap().contains("--chain-only"));
    let mut locked = submitter.command(&["cancel", &id_text, "--chain-only", "--yes"]);
    let locked = locked.env("GRISTMILL_KEYSTORE_PASSWORD", "a wrong password").output().unwrap();
    assert_eq!(locked.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&locked.stderr).contains("does not open the wallet"));
    assert_eq!(local.state(id).await, OPEN, "none of that moved anything");

    let before = local.balance(terms.submitter).await;
    let answer =
        submitter.run(&["cancel", &id_text, "--chain-only", "--yes", "--json"]).ok().json();
    assert_eq!(answer["escrow"], "cancelled");
    assert_eq!(answer["bounty_wei"], terms.bounty.to_string());
    assert_eq!(answer["transactions"][0]["verb"], "cancel");
    assert_eq!(local.state(id).await, CANCELLED);
    let gained = local.balance(terms.submitter).await - before;
    assert!(
        gained < U256::from(terms.bounty.0) && gained > U256::from(terms.bounty.0 / 2),
        "the bounty less the gas"
    );

    let again = submitter.run(&["cancel", &id_text, "--chain-only", "--yes", "--json"]);
    assert_eq!(again.code, 4);
    assert_eq!(again.error()["job"], id_text);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_jobs_are_cancelled_in_one_transaction() {
    let local = Local::start().await;
    let (first, terms) = local.open(1).await;
    let (second, _) = local.open(2).await;
    let (held, held_terms) = local.open(3).await;
    local.assign(&held_terms).await;
    let ids = [first, second, held].map(|id| id.to_string());
    let [first_text, second_text, held_text] = ids.each_ref().map(String::as_str);
    let submitter = local.cli(Party::Submitter);
    let stranger = local.cli(Party::Stranger);
    let both = [first_text, second_text];
    let cancel = |more: &[&'static str]| [&["cancel", first_text, second_text], more].concat();
    assert_eq!(stranger.run(&cancel(&["--chain-only", "--yes"])).code, 4);
    assert_eq!(submitter.run(&cancel(&["--chain-only"])).code, 2, "nobody said yes");
    assert_eq!(submitter.run(&cancel(&["--yes"])).code, 3, "there is no scheduler");
    for id in [first, second] {
        assert_eq!(local.state(id).await, OPEN, "none of that moved anything");
    }

    let sent = local.sent(Party::Submitter).await;
    let before = local.balance(terms.submitter).await;
    let arguments = [&["cancel"], &both[..], &[held_text, "--chain-only", "--yes", "--json"]];
    let answer = submitter.run(&arguments.concat());
    assert_eq!(answer.code, 4, "one is left");
    assert_eq!(local.sent(Party::Submitter).await - sent, 1);
    let value = answer.json();
    assert_eq!(value["transactions"][0]["verb"], "cancel_many");
    for job in value["jobs"].as_array().unwrap() {
        if job["job"] == held_text {
            let error = job["error"].as_str().unwrap();
            assert!(error.contains("it can be taken from it"), "{error}");
            assert_eq!(job["escrow"], "assigned");
        } else {
            assert_eq!((&job["escrow"], &job["error"]), (&json!("cancelled"), &Value::Null));
        }
    }
    assert_eq!(local.state(held).await, ASSIGNED);
    let gained = local.balance(terms.submitter).await - before;
    let both = U256::from(terms.bounty.0 * 2);
    assert!(gained < both && gained > both / U256::from(2), "two bounties less the gas");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_batch_left_out_says_why() {
    let local = Local::start().await;
    let (first, _) = local.open(1).await;
    let (second, _) = local.open(2).await;
    let (_, earlier) = local.open(3).await;
    local.assign(&earlier).await;
    // The scheduler's assignment gets into the block of the batch, and before it.
    local.automine(false).await;
    let submitter = local.cli(Party::Submitter);
    let ids = [first.to_string(), second.to_string()];
    let mut command =
        submitter.command(&["cancel", &ids[0], &ids[1], "--chain-only", "--yes", "--json"]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    local.pending(1).await;
    let market = local.market(Party::Scheduler);
    let call = market.assign(second.0, Party::Node.address(), 1).gas(200_000);
    let tip = 100_000_000_000;
    let sent = call.max_priority_fee_per_gas(tip).max_fee_per_gas(2 * tip).send().await.unwrap();
    local.pending(2).await;
    local.automine(true).await;
    local.advance(1).await;
    assert!(sent.get_receipt().await.unwrap().status());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = |id: &str| {
        let jobs = value["jobs"].as_array().unwrap();
        jobs.iter().find(|job| job["job"] == id).unwrap()["error"].clone()
    };
    assert_eq!(error(&ids[0]), Value::Null);
    assert_eq!(error(&ids[1]), "the job is assigned to a node, which does not allow this");
    assert_eq!((local.state(first).await, local.state(second).await), (CANCELLED, ASSIGNED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_waits_for_the_deadline_and_goes_to_the_submitter() {
    let local = Local::start().await;
    let (id, terms) = local.open(1).await;
    let id_text = id.to_string();
    let stranger = local.cli(Party::Stranger);

    let early = stranger.run(&["refund", &id_text, "--json"]);
    assert_eq!(early.code, 4);
    let message = early.error()["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("the deadline has not passed yet: a refund is possible after 20"),
        "{message}"
    );
    assert_eq!(local.state(id).await, OPEN);

    local.advance(7300).await;
    let before = local.balance(terms.submitter).await;
    let answer = stranger.run(&["refund", &id_text]).ok();
    assert_eq!(answer.stdout, "refunded: the bounty of 0.05 U2U is back with the submitter\n");
    assert!(answer.stderr.contains("transaction 0x"), "the hash is said at once");
    assert_eq!(local.state(id).await, REFUNDED);
    assert_eq!(local.balance(terms.submitter).await - before, U256::from(terms.bounty.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_taken_from_a_node_that_is_overdue_and_from_no_other() {
    let local = Local::start().await;
    let (id, terms) = local.open(1).await;
    local.assign(&terms).await;
    let submitter = local.cli(Party::Submitter);
    let arguments = ["cancel", &id.to_string(), "--chain-only", "--yes", "--json"];

    let early = submitter.run(&arguments);
    assert_eq!(early.code, 4);
    assert!(
        early.error()["message"]
            .as_str()
            .unwrap()
            .contains("holds the job; it can be taken from it")
    );
    local.advance(601).await;
    assert_eq!(
        submitter.run(&arguments).code,
        4,
        "the submitter waits a grace time longer than the scheduler"
    );
    assert_eq!(local.state(id).await, ASSIGNED);

    local.advance(120).await;
    let answer = submitter.run(&arguments).ok().json();
    let verbs: Vec<&str> = answer["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sent| sent["verb"].as_str().unwrap())
        .collect();
    assert_eq!(verbs, ["lapse", "cancel"]);
    assert_eq!(local.state(id).await, CANCELLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn recover_finds_everything_and_moves_what_is_due() {
    let local = Local::start().await;
    let (open, open_terms) = local.open(1).await;
    let (assigned, assigned_terms) = local.open(2).await;
    local.assign(&assigned_terms).await;
    let (published, published_terms) = local.open(3).await;
    local.assign(&published_terms).await;
    local.publish(&published_terms).await;
    let submitter = local.cli(Party::Submitter);
    let job = |answer: &Value, id: &gristmill_protocol::ids::JobId| {
        let jobs = answer["jobs"].as_array().unwrap();
        jobs.iter().find(|job| job["job"] == id.to_string()).cloned().unwrap_or(Value::Null)
    };

    // Looking needs no password.
    let looked = submitter
        .command(&["recover", "--json"])
        .env_remove("GRISTMILL_KEYSTORE_PASSWORD")
        .output()
        .unwrap();
    assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
    let looked: Value = serde_json::from_slice(&looked.stdout).unwrap();
    assert_eq!(looked["jobs"].as_array().unwrap().len(), 3);
    assert_eq!(ways(&job(&looked, &open)), [("cancel", true), ("refund", false)]);
    assert_eq!(ways(&job(&looked, &assigned)), [("lapse", false), ("refund", false)]);
    assert_eq!(ways(&job(&looked, &published)), [("dispute", true), ("claim", false)]);
    assert_eq!(
        serde_json::from_value::<gristmill_protocol::terms::Terms>(
            job(&looked, &open)["terms"].clone()
        )
        .unwrap(),
        open_terms
    );
    let provider = local.cli(Party::Provider);
    let seen = provider.run(&["recover", "--json"]).ok().json();
    assert_eq!(job(&seen, &published)["role"], "provider");
    assert_eq!(job(&seen, &open), Value::Null, "nobody else's job");

    // Nothing is due, so nothing is sent.
    let idle = submitter.run(&["recover", "--do", "--json"]).ok().json();
    assert_eq!(idle["done"], json!([]));
    assert_eq!((local.state(open).await, local.state(published).await), (OPEN, PUBLISHED));

    // The provider is paid after the window, and the fee returns to the submitter: nobody settled.
    local.advance(3700).await;
    let before = local.balance(Party::Stranger.address()).await;
    let earned_before = local.balance(Party::Provider.address()).await;
    provider.run(&["recover", "--do", "--json"]).ok();
    assert_eq!(local.state(published).await, PAID);
    let earned = local.balance(Party::Provider.address()).await - earned_before;
    let pay = U256::from(published_terms.bounty.0 - published_terms.fee.0);
    assert!(earned < pay && earned > pay / U256::from(2), "the pay less the gas");
    assert_eq!(local.balance(Party::Stranger.address()).await, before);
    assert_eq!(local.state(assigned).await, ASSIGNED, "recover --do leaves work in progress alone");

    // A named job is cancelled, and only that one.
    submitter.run(&["recover", "--do", &open.to_string(), "--json"]).ok();
    assert_eq!(local.state(open).await, CANCELLED);
    assert_eq!(local.state(assigned).await, ASSIGNED);

    local.advance(3600).await;
    let done = submitter.run(&["recover", "--do", "--json"]).ok().json();
    assert_eq!(done["done"].as_array().unwrap().len(), 1);
    assert_eq!(done["done"][0]["verb"], "refund");
    assert_eq!(local.state(assigned).await, REFUNDED);
    let rest = submitter.run(&["recover"]).ok();
    assert_eq!(rest.stdout, "");
    assert!(rest.stderr.contains("no money of"));
    assert_eq!(
        submitter.run(&["recover", "--all", "--json"]).ok().json()["jobs"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_result_is_claimed_by_anyone_after_the_window() {
    let local = Local::start().await;
    let (id, terms) = local.open(1).await;
    local.assign(&terms).await;
    local.publish(&terms).await;
    let stranger = local.cli(Party::Stranger);
    let early = stranger.run(&["claim", &id.to_string(), "--json"]);
    assert_eq!(early.code, 4);
    assert!(early.error()["message"].as_str().unwrap().contains("a claim is possible after"));
    assert_eq!(local.state(id).await, PUBLISHED);
    local.advance(3700).await;
    let before = local.balance(Party::Provider.address()).await;
    stranger.run(&["claim", &id.to_string(), "--json"]).ok();
    assert_eq!(
        local.balance(Party::Provider.address()).await - before,
        U256::from(terms.bounty.0 - terms.fee.0)
    );
    assert_eq!(local.state(id).await, PAID);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_never_opened_can_be_forbidden() {
    let local = Local::start().await;
    let terms = local.terms(local.now().await, 9);
    let id = local.id(&terms);
    let submitter = local.cli(Party::Submitter);
    let unknown = submitter.run(&["cancel", &id.to_string(), "--chain-only", "--yes", "--json"]);
    assert_eq!(unknown.code, 5, "neither the chain nor this machine knows its terms");

    // What `submit` leaves behind when the machine dies between signing and sending.
    let records = submitter.home.join(".local/share/gristmill/jobs");
    std::fs::create_dir_all(&records).unwrap();
    let spec = json!({
        "version": 1, "name": "digits", "max_run_seconds": 60,
        "runtime": {"kind": "wasm", "module": "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni"},
    });
    let record = json!({
        "job": id, "domain": local.deployment.domain(), "scheduler": "http://127.0.0.1:9",
        "terms": terms, "spec": spec, "created_at": 0,
    });
    std::fs::write(records.join(format!("{id}.json")), record.to_string()).unwrap();
    let found = submitter.run(&["recover", "--json"]).ok().json();
    assert_eq!(found["jobs"][0]["escrow"], "not_opened");
    assert_eq!(found["jobs"][0]["name"], "digits");
    let short = &id.to_string()[..12];
    submitter.run(&["cancel", short, "--chain-only", "--yes", "--json"]).ok();
    assert_eq!(local.state(id).await, CANCELLED);
    let market = local.market(Party::Submitter);
    let late = market.open((&terms).into()).value(U256::from(terms.bounty.0)).send().await;
    assert!(late.is_err(), "the payment can no longer arrive");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_enrolls_approves_and_revokes() {
    let local = Local::start().await;
    let provider = local.cli(Party::Provider);
    let node = NodeId(Party::Node.address());
    let expires = local.now().await + 600;
    let message = Message::Enroll { node, provider: Party::Provider.address(), expires };
    let message = json!({
        "node": node, "provider": Party::Provider.address(), "expires": expires, "signature": local.signature(&message),
    })
    .to_string();
    let scheduler = Party::Scheduler.address().to_string();
    let market = local.market(Party::Stranger);

    let stranger = local
        .cli(Party::Stranger)
        .run_with(&["node", "enroll", "--message", "-", "--json"], &message);
    assert_eq!(stranger.code, 2);
    assert!(market.node(node.0).call().await.unwrap().provider.is_zero());

    let enroll = ["node", "enroll", "--message", "-", "--approve-scheduler", &scheduler, "--json"];
    let answer = provider.run_with(&enroll, &message).ok().json();
    assert!(answer["transaction"]["hash"].is_string() && answer["approval"]["hash"].is_string());
    assert_eq!(market.node(node.0).call().await.unwrap().provider, Party::Provider.address());
    let again = provider.run_with(&enroll, &message).ok().json();
    assert!(again["transaction"].is_null() && again["approval"].is_null(), "nothing is sent twice");

    let approved = async || {
        let approval = market.approval(
            Party::Provider.address(),
            Party::Scheduler.address(),
            Default::default(),
        );
        approval.call().await.unwrap().approved
    };
    assert!(approved().await);
    provider.run(&["provider", "disapprove", &scheduler]).ok();
    assert!(!approved().await);
    provider.run(&["provider", "approve", &scheduler]).ok();
    assert!(approved().await);

    provider.run(&["node", "revoke", &node.to_string(), "--yes"]).ok();
    assert!(market.node(node.0).call().await.unwrap().revoked);
    let twice = provider.run(&["node", "revoke", &node.to_string(), "--yes", "--json"]);
    assert_eq!(twice.code, 4);
    assert!(twice.error()["message"].as_str().unwrap().contains("revoked already"));
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_are_shown() {
    let local = Local::start().await;
    let submitter = local.cli(Party::Submitter);
    let balance = submitter.run(&["wallet", "balance", "--json"]).ok().json();
    assert_eq!(balance["balance_wei"], "10000000000000000000000");
    assert_eq!(balance["market_wei"], "0");
    let text = submitter.run(&["wallet", "balance"]).ok().stdout;
    assert!(text.contains("10000 U2U"), "{text}");
    let nothing = submitter.run(&["withdraw", "--json"]);
    assert_eq!(nothing.code, 4);
    assert!(nothing.error()["message"].as_str().unwrap().contains("has 0 in the market"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_refused_is_withdrawn() {
    let local = Local::start().await;
    let (id, terms) = local.open(1).await;
    local.assign(&terms).await;
    local.publish(&terms).await;
    local.advance(3700).await;
    // A wallet that reverts on every payment: PUSH1 0, PUSH1 0, REVERT.
    local.set_code(Party::Provider.address(), "0x60006000fd").await;
    local.cli(Party::Stranger).run(&["claim", &id.to_string(), "--json"]).ok();
    assert_eq!(local.state(id).await, PAID, "one who refuses blocks nobody");
    local.set_code(Party::Provider.address(), "0x").await;

    let provider = local.cli(Party::Provider);
    let pay = terms.bounty.0 - terms.fee.0;
    let found = provider.run(&["recover", "--json"]).ok().json();
    assert_eq!(found["balances"][0]["market_wei"], pay.to_string());
    let before = local.balance(Party::Provider.address()).await;
    let answer = provider.run(&["withdraw", "--json"]).ok().json();
    assert_eq!(answer["amount_wei"], pay.to_string());
    let gained = local.balance(Party::Provider.address()).await - before;
    assert!(gained < U256::from(pay) && gained > U256::from(pay / 2), "the pay less the gas");
    assert_eq!(provider.run(&["recover", "--json"]).ok().json()["balances"], json!([]));
    assert_eq!(provider.run(&["withdraw"]).code, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_scheduler_nothing_is_paid() {
    let local = Local::start().await;
    let submitter = local.cli(Party::Submitter);
    let module = submitter.home.join("mill.wasm");
    std::fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
    let before = local.balance(Party::Submitter.address()).await;
    let arguments =
        ["submit", "--wasm", module.to_str().unwrap(), "--bounty", "0.05", "--yes", "--json"];
    let answer = submitter.run(&arguments);
    assert_eq!(answer.code, 3);
    assert_eq!(answer.error()["code"], "unreachable");
    assert_eq!(local.balance(Party::Submitter.address()).await, before);
    assert!(
        !submitter.home.join(".local/share/gristmill/jobs").exists(),
        "no record of what never was"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_what_is_wrong() {
    let local = Local::start().await;
    let submitter = local.cli(Party::Submitter);
    let found = |answer: &Value, what: &str| {
        let checks = answer["checks"].as_array().unwrap();
        checks.iter().rev().find(|check| check["what"] == what).unwrap()["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let answer = submitter.run(&["doctor", "--json"]);
    assert_eq!(answer.code, 1, "there is no scheduler");
    let answer = answer.json();
    for (what, state) in [
        ("rpc", "ok"),
        ("contract", "ok"),
        ("clock", "ok"),
        ("wallet", "ok"),
        ("balance", "ok"),
        ("scheduler", "wrong"),
    ] {
        assert_eq!(found(&answer, what), state, "{what}: {answer}");
    }

    let mut other = local.deployment.clone();
    other.chain_id = 39;
    let path = submitter.home.join("other.json");
    std::fs::write(&path, serde_json::to_vec(&other).unwrap()).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(
        found(&submitter.run(&["doctor", "--deployment", path, "--json"]).json(), "rpc"),
        "wrong"
    );
    let refused = submitter.run(&["recover", "--deployment", path, "--json"]);
    assert_eq!(refused.code, 2);
    assert!(refused.error()["message"].as_str().unwrap().contains("chain 4439"));

    other.chain_id = 4439;
    other.contract = Party::Stranger.address();
    std::fs::write(path, serde_json::to_vec(&other).unwrap()).unwrap();
    assert_eq!(
        found(&submitter.run(&["doctor", "--deployment", path, "--json"]).json(), "contract"),
        "wrong"
    );
    let nobody = submitter.run(&["recover", "--rpc", "http://127.0.0.1:9", "--json"]);
    assert_eq!(nobody.code, 3);
}
