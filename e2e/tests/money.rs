//! Bonds, disputes and prepaid orders on the whole market: what each party has afterwards, to the wei.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::collections::BTreeSet;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::providers::Provider;
use alloy::signers::SignerSync;
use gristmill_e2e::guest::Guest;
use gristmill_e2e::keys::Party;
use gristmill_e2e::market::{Market, Settings};
use gristmill_e2e::process::Lifetime;
use gristmill_protocol::api::{IntentKind, JobState};
use gristmill_protocol::ids::JobId;
use gristmill_protocol::order::{Funding, Order, OrderSignature, OrderTree};
use gristmill_protocol::terms::Terms;
use serde_json::json;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(90);
const BOND: u64 = 200_000_000_000_000_000;
const STAKE: u64 = 1_000_000_000_000_000_000;

/// A market whose nodes put a bond at stake, under an arbiter that is no party.
async fn market() -> (TempDir, Market) {
    let folder = tempfile::tempdir().unwrap();
    let arbiters = [Party::Scheduler.address(), Party::Stranger.address()];
    let bond_max = json!({ Address::ZERO.to_string(): BOND.to_string() });
    let node = json!({ "trust": { "arbiters": arbiters, "bond_max": bond_max } });
    let settings = Settings { node: toml::Table::try_from(node).unwrap(), ..Settings::default() };
    let market = Market::start(folder.path(), settings, false, Lifetime::Attached).await.unwrap();
    (folder, market)
}

/// The provider brings a stake, and lets the scheduler lock all of it.
async fn stake(market: &Market, provider: Party) {
    let cli = market.cli(provider).unwrap();
    cli.call(&["deposit", "1", "--json"]).await.unwrap();
    let scheduler = Party::Scheduler.address().to_string();
    cli.call(&["provider", "approve", &scheduler, "--bond-limit", "1", "--json"]).await.unwrap();
}

async fn submit(market: &Market, more: &[&str], command: &[&str]) -> JobId {
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let mut arguments = vec!["--wasm", &wasm, "--memory", "64MiB", "--disk", "64MiB"];
    arguments.extend(["--max-run", "1m", "--deadline", "1h", "--bounty", "0.05"]);
    arguments.extend(more);
    arguments.push("--");
    arguments.extend(command);
    market.cli(Party::Submitter).unwrap().submit(&arguments).await.unwrap()
}

async fn in_market(market: &Market, owner: Party) -> U256 {
    let contract = market.chain.contract(Party::Stranger);
    contract.balance(owner.address(), Address::ZERO).call().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bond_is_locked_while_the_node_works_and_free_when_it_is_paid() {
    let (_folder, market) = market().await;
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    stake(&market, Party::ProviderA).await;
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let arbiter = Party::Stranger.address().to_string();
    let bond = ["--bond", "0.2", "--dispute-bond", "0.01", "--arbiter", &arbiter];
    let id = submit(&market, &bond, &["sleep", "3"]).await;
    market.wait_until_running(id).await.unwrap();
    assert_eq!(in_market(&market, Party::ProviderA).await, U256::from(STAKE - BOND));

    let job = market.wait_for_state(id, &[JobState::Settled], SOON).await.unwrap();
    assert_eq!(in_market(&market, Party::ProviderA).await, U256::from(STAKE));
    let gained = market.chain.balance(Party::ProviderA.address()).await.unwrap() - before;
    assert_eq!(gained, U256::from(job.terms.bounty.0 - job.terms.fee.0));
    let events = market.chain.events_of(id).await.unwrap();
    assert_eq!(events, ["Opened", "Assigned", "Settled", "Paid"], "nothing was forfeited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_loses_its_bond_to_the_submitter_and_to_the_one_that_rescues_the_job() {
    let (_folder, market) = market().await;
    let mut node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    stake(&market, Party::ProviderA).await;
    let arbiter = Party::Stranger.address().to_string();
    let bond = ["--bond", "0.2", "--arbiter", &arbiter];
    let id = submit(&market, &bond, &["sleep", "5"]).await;
    market.wait_until_running(id).await.unwrap();
    node.process.kill_hard().unwrap();
    let _other = market.start_node(Party::NodeB, Party::ProviderB).await.unwrap();
    stake(&market, Party::ProviderB).await;
    let before = market.chain.balance(Party::ProviderB.address()).await.unwrap();
    // Until the node can be called in, and until its grace is over.
    let client = market.client().unwrap();
    let mut ended = client.job(id).await.unwrap();
    for _ in 0..60 {
        ended = client.job(id).await.unwrap();
        if ended.state == JobState::Settled {
            break;
        }
        market.chain.advance(20).await.unwrap();
        let then = market.chain.now().await.unwrap();
        let later = async || (market.chain.now().await.ok()? > then + 1).then_some(());
        gristmill_e2e::wait_for("two more blocks", SOON, later).await.unwrap();
    }
    assert_eq!(ended.state, JobState::Settled, "{}", ended.summary);
    assert_eq!(in_market(&market, Party::ProviderA).await, U256::from(STAKE - BOND));
    assert_eq!(in_market(&market, Party::Submitter).await, U256::from(BOND / 2));
    assert_eq!(in_market(&market, Party::ProviderB).await, U256::from(STAKE), "its bond is free");
    let gained = market.chain.balance(Party::ProviderB.address()).await.unwrap() - before;
    let pay = ended.terms.bounty.0 - ended.terms.fee.0;
    assert_eq!(gained, U256::from(pay) + U256::from(BOND / 2), "the pay, and the pool");
    let events = market.chain.events_of(id).await.unwrap();
    assert_eq!(events.iter().filter(|name| **name == "Forfeited").count(), 1, "{events:?}");
    assert_eq!(events.iter().filter(|name| **name == "Paid").count(), 1, "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arbiter_sends_the_money_of_a_disputed_job_back() {
    let (_folder, market) = market().await;
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let provider = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let scheduler = market.chain.balance(Party::Scheduler.address()).await.unwrap();
    let arbiter = Party::Stranger.address().to_string();
    let held = ["--hold", "1d", "--dispute-bond", "0.01", "--arbiter", &arbiter];
    let id = submit(&market, &held, &["touch"]).await;
    let events = async || {
        let events = market.chain.events_of(id).await.ok()?;
        events.contains(&"Settled").then_some(())
    };
    gristmill_e2e::wait_for("the result to be settled and held", SOON, events).await.unwrap();

    let (job, cli) = (id.to_string(), market.cli(Party::Submitter).unwrap());
    cli.call(&["dispute", &job, "--yes", "--json"]).await.unwrap();
    let arbiter = market.cli(Party::Stranger).unwrap();
    arbiter.call(&["rule", &job, "refund", "--yes", "--json"]).await.unwrap();
    market.wait_for_state(id, &[JobState::Refunded], SOON).await.unwrap();
    let unpaid = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    assert_eq!(unpaid, provider, "nothing for the provider");
    assert!(market.chain.balance(Party::Scheduler.address()).await.unwrap() < scheduler, "no fee");
    let contract = market.chain.deployment.contract;
    assert_eq!(market.chain.balance(contract).await.unwrap(), U256::ZERO);
    let events = market.chain.events_of(id).await.unwrap();
    assert_eq!(events, ["Opened", "Assigned", "Settled", "Disputed", "Ruled", "Refunded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_order_are_opened_assigned_and_settled_without_the_submitter() {
    const JOBS: usize = 6;
    let (_folder, market) = market().await;
    // A first job brings module and spec to the scheduler.
    let first = submit(&market, &[], &["touch"]).await;
    let _node = market.start_node(Party::NodeA, Party::ProviderA).await.unwrap();
    let job = market.wait_for_state(first, &[JobState::Settled], SOON).await.unwrap();
    let cli = market.cli(Party::Submitter).unwrap();
    cli.call(&["deposit", "1", "--json"]).await.unwrap();
    let before = market.chain.balance(Party::ProviderA.address()).await.unwrap();
    let account = Party::Submitter.address();
    let nonce = market.chain.provider(Party::Stranger);
    let sent = nonce.get_transaction_count(account).await.unwrap();

    let key = Party::Submitter.key();
    let client = market.client().unwrap();
    let issued_at = jiff::Timestamp::now().to_string();
    let sign =
        |text: &str| key.sign_message_sync(text.as_bytes()).map(|signature| signature.as_bytes());
    client.sign_in(account, &issued_at, sign).await.unwrap();
    let domain = market.chain.domain();
    let terms: Vec<Terms> = (0..JOBS)
        .map(|index| Terms { salt: keccak256([u8::try_from(index).unwrap()]), ..job.terms })
        .collect();
    let ids: Vec<JobId> = terms.iter().map(|terms| terms.id(&domain)).collect();
    let tree = OrderTree::new(&ids).unwrap();
    let expires = market.chain.now().await.unwrap() + 3600;
    let order = Order { root: tree.root(), epoch: 0, expires };
    let signature = key.sign_hash_sync(&domain.order_digest(&order)).unwrap();
    let signature = OrderSignature(signature.as_bytes().to_vec());
    let funding = |position: usize| Funding {
        order,
        signature: signature.clone(),
        path: tree.path(position).unwrap(),
    };
    // One that is not part of the order is refused, and so is an order that nobody signed.
    let foreign = Terms { salt: B256::repeat_byte(9), ..job.terms };
    client.create_prepaid_job(&foreign, &funding(0)).await.unwrap_err();
    let unsigned = Funding { signature: OrderSignature(vec![1; 65]), ..funding(0) };
    client.create_prepaid_job(&terms[0], &unsigned).await.unwrap_err();
    for (position, terms) in terms.iter().enumerate() {
        client.create_prepaid_job(terms, &funding(position)).await.unwrap();
    }

    // The same from the command line, one job at a time.
    let wasm = Guest::hostile(None).unwrap().wasm.display().to_string();
    let mut arguments = vec!["--wasm", &wasm, "--memory", "64MiB", "--disk", "64MiB"];
    arguments.extend(["--max-run", "1m", "--deadline", "1h", "--bounty", "0.05", "--prepaid"]);
    arguments.extend(["--", "touch"]);
    let typed = cli.submit(&arguments).await.unwrap();
    market.wait_for_state(typed, &[JobState::Settled], SOON).await.unwrap();
    arguments[11] = "2";
    let too_dear = cli.submit(&arguments).await.unwrap_err().to_string();
    assert!(too_dear.contains("in the market"), "{too_dear}");

    let mut transactions = BTreeSet::new();
    for id in &ids {
        let job = market.wait_for_state(*id, &[JobState::Settled], SOON).await.unwrap();
        let events = market.chain.events_of(*id).await.unwrap();
        assert_eq!(events, ["Opened", "Assigned", "Settled", "Paid"]);
        let kinds: Vec<_> = job.transactions.iter().map(|tx| tx.kind).collect();
        assert_eq!(kinds, [IntentKind::OpenAndAssign, IntentKind::Settle]);
        transactions.extend(job.transactions.iter().filter_map(|tx| tx.hash));
    }
    let all = || terms.iter().chain([&job.terms]);
    let bounties: u128 = all().map(|terms| terms.bounty.0).sum();
    let pay: u128 = all().map(|terms| terms.bounty.0 - terms.fee.0).sum();
    let gained = market.chain.balance(Party::ProviderA.address()).await.unwrap() - before;
    assert_eq!(gained, U256::from(pay));
    assert_eq!(
        in_market(&market, Party::Submitter).await,
        U256::from(u128::from(STAKE) - bounties)
    );
    assert_eq!(nonce.get_transaction_count(account).await.unwrap(), sent, "it sent nothing more");
    assert!(transactions.len() <= 2 * JOBS, "{transactions:?}");
}
