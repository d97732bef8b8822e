//! Faults of the chain and of its endpoints: after each, every job reaches its right end, nothing is paid twice, and logs
//! and metrics say what happened.
//!
//! `docs/faults.md` is made of the comments of these tests: what is injected, what happens, and what shows it.

use alloy::network::TransactionBuilder;
use alloy::primitives::U256;
use alloy::providers::Provider;
use gristmill_protocol::api::JobState;
use gristmill_protocol::contracts::{IJobMarket, JobMarket};
use gristmill_scheduler::drivers::chain_rpc::CallError;
use gristmill_scheduler::drivers::chain_watcher::ChainError;
use serde_json::json;

use crate::market::{CALL_TIMEOUT, Market};
use crate::proxy::{Fault, Garbage};

const GWEI: u64 = 1_000_000_000;
/// What `anvil` gives an account of its own.
const COIN: u128 = 1_000_000_000_000_000_000;

/// Injected: the RPC endpoint is down while transactions are on their way, twice.
/// Outcome: nothing is signed meanwhile; afterwards everything goes on where it was.
/// Shown by: `gristmill_chain_calls_failed_total{reason="unreachable"}`
#[tokio::test]
async fn an_endpoint_that_is_down() {
    let mut market = Market::start(1).await;
    market.post_jobs(3).await;
    for _ in 0..2 {
        market.until_sent(1).await;
        let before = market.broadcasts();
        market.proxies[0].inject(Fault::Down);
        market.beats(10).await;
        for outcome in &market.outcomes {
            let unreachable = matches!(outcome, Err(ChainError::Call(CallError::Unreachable(_))));
            assert!(unreachable, "{outcome:?}");
        }
        assert_eq!(market.broadcasts(), before, "nothing new is signed blindly");
        market.proxies[0].heal();
    }
    assert!(market.failed_calls("unreachable") >= 20.0);
    market.ends_well().await;
}

/// Injected: the first of two RPC endpoints is down for good.
/// Outcome: the second one is asked from the next call on.
/// Shown by: `gristmill_chain_endpoint_switches_total`, a warning
#[tokio::test]
async fn the_first_of_two_endpoints_is_down() {
    let mut market = Market::start(2).await;
    market.post_jobs(2).await;
    market.until_sent(1).await;
    market.proxies[0].inject(Fault::Down);
    market.ends_well().await;
    assert_eq!(market.metric("gristmill_chain_endpoint_switches_total"), 1.0);
    market.assert_alarm("WARN", "an RPC endpoint fails, and another one is asked");
    market.proxies[0].heal();
}

/// Injected: every answer comes later than anybody waits, while what was asked is done.
/// Outcome: the same bytes are sent again and mined once.
/// Shown by: `gristmill_chain_calls_failed_total{reason="slow"}`
#[tokio::test]
async fn an_endpoint_that_is_slow() {
    let mut market = Market::start_impatient().await;
    market.post_jobs(3).await;
    market.until_sent(1).await;
    market.proxies[0].inject(Fault::Slow(CALL_TIMEOUT * 2));
    market.beats(3).await;
    assert!(
        matches!(market.outcomes[0], Err(ChainError::Call(CallError::TooSlow(_)))),
        "{:?}",
        market.outcomes
    );
    market.proxies[0].heal();
    assert!(market.failed_calls("slow") >= 6.0);
    market.ends_well().await;
}

/// Injected: the endpoint takes too long over the events of more than two blocks, when many are to be read.
/// Outcome: it is asked for fewer, until it answers.
/// Shown by: `gristmill_chain_calls_failed_total{reason="slow"}`, `gristmill_chain_cursor`
#[tokio::test]
async fn an_endpoint_that_is_slow_with_many_events() {
    let mut market = Market::start_impatient().await;
    market.post_jobs(2).await;
    market.anvil.mine(12).await;
    let head = market.anvil.control.get_block_number().await.unwrap();
    market.proxies[0].inject(Fault::SlowEvents { blocks_max: 2 });
    market.beat().await;
    market.proxies[0].heal();
    assert!(market.outcomes[0].is_ok(), "{:?}", market.outcomes);
    assert!(market.failed_calls("slow") >= 1.0);
    assert_eq!(market.metric("gristmill_chain_cursor"), (head - 5) as f64);
    market.ends_well().await;
}

/// Injected: the endpoint stands still a few blocks back, and answers everything as of then, old nonces too.
/// Outcome: what is known is kept, no nonce is used twice, and nothing is priced anew for it.
/// Shown by: `gristmill_chain_behind_blocks`, `gristmill_chain_head_timestamp_seconds`
#[tokio::test]
async fn an_endpoint_that_lags_behind() {
    let mut market = Market::start(1).await;
    market.post_jobs(3).await;
    for _ in 0..2 {
        market.until_sent(1).await;
        market.beat().await;
        let at = market.anvil.control.get_block_number().await.unwrap() - 4;
        market.proxies[0].inject(Fault::Behind { at });
        market.beats(8).await;
        assert!(market.metric("gristmill_chain_behind_blocks") >= 1.0);
        let age_s = market.clock.now().unix_seconds() as f64
            - market.metric("gristmill_chain_head_timestamp_seconds");
        assert!(age_s >= 8.0, "{age_s}");
        market.proxies[0].heal();
        market.beat().await;
        assert_eq!(market.metric("gristmill_chain_behind_blocks"), 0.0);
    }
    market.ends_well().await;
    assert_eq!(market.metric("gristmill_chain_reorgs_total"), 0.0, "nothing was replaced");
    assert_eq!(market.metric("gristmill_chain_nonces_lost_total"), 0.0);
}

/// Injected: the endpoint is further behind than the blocks that are remembered.
/// Outcome: it is not taken for a reorganization, and no event is read again.
/// Shown by: `gristmill_chain_behind_blocks`, a warning
#[tokio::test]
async fn an_endpoint_that_is_far_behind() {
    let mut market = Market::start(1).await;
    market.post_job().await;
    market.until_sent(1).await;
    let at = market.anvil.control.get_block_number().await.unwrap();
    market.anvil.mine(40).await;
    market.beat().await;
    market.anvil.mine(40).await;
    market.beat().await;
    let cursor = market.read(|rows| rows.chain_cursor());
    market.proxies[0].inject(Fault::Behind { at });
    market.beats(3).await;
    assert_eq!(market.read(|rows| rows.chain_cursor()), cursor, "no event is read again");
    assert!(market.metric("gristmill_chain_behind_blocks") >= 64.0);
    market.assert_alarm("WARN", "far behind");
    market.proxies[0].heal();
    market.ends_well().await;
    market.assert_no_alarm("ERROR");
    assert_eq!(market.metric("gristmill_chain_reorgs_total"), 0.0);
}

/// Injected: the endpoint answers with an error, or not at all, after it has passed the transaction on.
/// Outcome: the stored bytes are the only ones; they are mined once.
/// Shown by: `gristmill_chain_sends_refused_total`, `gristmill_chain_calls_failed_total{reason="unreachable"}`
#[tokio::test]
async fn an_error_after_the_transaction_was_accepted() {
    let mut market = Market::start(1).await;
    for fault in [Fault::ErrorAfterSend, Fault::BrokenAfterSend] {
        market.proxies[0].inject(fault);
        market.post_jobs(2).await;
        market.ends_well().await;
        market.proxies[0].heal();
    }
    assert!(market.metric("gristmill_chain_sends_refused_total") >= 4.0);
    assert!(market.failed_calls("unreachable") >= 1.0);
    assert_eq!(market.metric("gristmill_chain_bumps_total"), 0.0, "nothing was stuck");
}

/// Injected: the pool forgets one transaction, then all of them.
/// Outcome: what waits is sent again after two blocks, all of it, and only the lowest nonce is priced anew.
/// Shown by: `gristmill_chain_resends_total`, `gristmill_chain_bumps_total`
#[tokio::test]
async fn a_pool_that_drops_transactions() {
    let mut market = Market::start(1).await;
    market.post_jobs(3).await;
    for drop_all in [false, true] {
        market.until_waiting().await;
        let first = market.waiting()[0].newest().hash;
        if drop_all {
            market.anvil.ask("anvil_dropAllTransactions", json!([])).await;
        } else {
            market.anvil.ask("anvil_dropTransaction", json!([first.0])).await;
        }
        market.anvil.mine(1).await;
        assert!(
            market.anvil.control.get_transaction_receipt(first.0).await.unwrap().is_none(),
            "it was dropped"
        );
        market.until("it is sent again and mined", |market| market.waiting().is_empty()).await;
    }
    market.ends_well().await;
    assert!(market.metric("gristmill_chain_resends_total") >= 2.0);
    assert!(market.metric("gristmill_chain_bumps_total") >= 2.0);
}

/// Injected: the endpoint takes transactions and never passes them on, for a while.
/// Outcome: what waits is priced anew and sent again, until it gets through.
/// Shown by: `gristmill_chain_resends_total`, `gristmill_chain_bumps_total`
#[tokio::test]
async fn an_endpoint_that_swallows_transactions() {
    let mut market = Market::start(1).await;
    market.post_jobs(2).await;
    market.proxies[0].inject(Fault::Swallow);
    market.until_sent(2).await;
    market.beats(6).await;
    assert_eq!(market.waiting().len(), 2, "nothing gets through");
    let second = market.waiting()[1].nonce;
    market.proxies[0].heal();
    market.until("both get through", |market| market.waiting().is_empty()).await;
    assert_eq!(market.broadcasts()[&second], 1, "only the lowest is priced anew");
    market.ends_well().await;
    assert!(market.metric("gristmill_chain_resends_total") >= 1.0);
    assert!(market.metric("gristmill_chain_bumps_total") >= 1.0);
}

/// Injected: the first of two endpoints takes transactions and never passes them on, for good.
/// Outcome: what is stuck for two blocks is sent to every endpoint.
/// Shown by: `gristmill_chain_resends_total`
#[tokio::test]
async fn one_of_two_endpoints_swallows_transactions() {
    let mut market = Market::start(2).await;
    market.proxies[0].inject(Fault::Swallow);
    market.post_jobs(2).await;
    market.ends_well().await;
    market.proxies[0].heal();
    assert!(market.proxies[1].asked("eth_sendRawTransaction") >= 2);
    assert!(market.metric("gristmill_chain_resends_total") >= 1.0);
}

/// Injected: of two endpoints, the one that is asked stands still, and the other one goes on.
/// Outcome: they are compared, and the one that is ahead is asked from then on.
/// Shown by: `gristmill_chain_endpoint_switches_total`, a warning
#[tokio::test]
async fn two_endpoints_of_which_one_is_behind() {
    let mut market = Market::start(2).await;
    market.post_jobs(2).await;
    market.until_sent(1).await;
    let at = market.anvil.control.get_block_number().await.unwrap();
    market.proxies[0].inject(Fault::Behind { at });
    market.ends_well().await;
    market.proxies[0].heal();
    assert_eq!(market.metric("gristmill_chain_endpoint_switches_total"), 1.0);
    market.assert_alarm("WARN", "an RPC endpoint is behind another one");
}

/// Injected: of two endpoints, the one that is asked follows another branch without our transactions; then it goes down.
/// Outcome: nothing is final on a branch that is left again; what was mined elsewhere is found.
/// Shown by: `gristmill_chain_reorgs_total`, `gristmill_chain_endpoint_switches_total`
#[tokio::test]
async fn two_endpoints_on_different_branches() {
    let mut market = Market::start(2).await;
    market.post_jobs(2).await;
    market.until_sent(1).await;
    let above = market.anvil.control.get_block_number().await.unwrap();
    market.proxies[0].inject(Fault::Branch { above });
    market.beats(4).await;
    assert!(market.waiting().len() + market.unfinished() > 0);
    market.proxies[0].heal();
    market.proxies[0].inject(Fault::Down);
    market.ends_well().await;
    market.proxies[0].heal();
    assert!(market.metric("gristmill_chain_reorgs_total") >= 1.0);
    assert_eq!(market.metric("gristmill_chain_deep_reorgs_total"), 0.0);
    assert_eq!(market.metric("gristmill_chain_endpoint_switches_total"), 1.0);
}

/// Injected: the same, and the branch is followed for as many blocks as make a block final.
/// Outcome: a transaction is not final for being found on a branch that the watcher does not follow; all ends well.
/// Shown by: `gristmill_chain_deep_reorgs_total`, an error
#[tokio::test]
async fn two_endpoints_on_branches_longer_than_finality() {
    let mut market = Market::start(2).await;
    market.post_job().await;
    market.until_waiting().await;
    let above = market.anvil.control.get_block_number().await.unwrap();
    market.anvil.mine(1).await;
    market.proxies[0].inject(Fault::Branch { above });
    market.beats(8).await;
    assert_eq!(market.waiting().len(), 1, "the branch does not have it");
    market.proxies[0].heal();
    market.proxies[0].inject(Fault::Down);
    market.sender.step().await.unwrap();
    assert_eq!(market.open_txs().len(), 1, "found elsewhere, and not final");
    market.ends_well().await;
    market.proxies[0].heal();
    assert_eq!(market.metric("gristmill_chain_deep_reorgs_total"), 1.0);
    market.assert_alarm("ERROR", "final blocks were replaced");
}

/// Injected: the first endpoint goes down, and the second one serves another chain.
/// Outcome: the other chain is never followed, and nothing is sent there.
/// Shown by: an error
#[tokio::test]
async fn a_second_endpoint_on_another_chain() {
    let mut market = Market::start(2).await;
    market.proxies[1].inject(Fault::OtherChain);
    market.post_jobs(2).await;
    market.until_sent(1).await;
    market.proxies[0].inject(Fault::Down);
    market.beats(5).await;
    market.proxies[0].heal();
    market.ends_well().await;
    market.proxies[1].heal();
    market.assert_alarm("ERROR", "an RPC endpoint serves another chain");
    assert_eq!(market.proxies[1].asked("eth_sendRawTransaction"), 0);
    assert_eq!(market.proxies[1].asked("eth_getLogs"), 0);
}

/// Injected: the endpoint simulates nothing for a while, with an error of its own, and the pool has dropped a transaction.
/// Outcome: what is signed is sent again all the same; what is planned waits.
/// Shown by: `gristmill_chain_calls_failed_total{reason="refused"}`
#[tokio::test]
async fn an_endpoint_that_refuses_to_simulate() {
    let mut market = Market::start(1).await;
    market.post_jobs(2).await;
    market.until_waiting().await;
    market.anvil.ask("anvil_dropAllTransactions", json!([])).await;
    market.anvil.mine(1).await;
    market.proxies[0].inject(Fault::Refuse { method: "eth_estimateGas" });
    market.until("what was signed is mined", |market| market.waiting().is_empty()).await;
    market.beats(2).await;
    market.proxies[0].heal();
    market.ends_well().await;
    assert!(market.failed_calls("refused") >= 1.0);
}

/// Injected: a base fee far above what was offered.
/// Outcome: the lowest nonce alone is priced anew, at most once a block, until it is mined; then the next.
/// Shown by: `gristmill_chain_bumps_total`
#[tokio::test]
async fn a_stuck_fee() {
    let mut market = Market::start(1).await;
    market.post_jobs(3).await;
    market.until_waiting().await;
    let offered = market.waiting()[0].newest().max_fee_wei;
    for _ in 0..4 {
        let before = market.broadcasts();
        market.anvil.set_base_fee(offered * 3).await;
        market.anvil.mine(1).await;
        market.beat_without_block().await;
        let lowest = market.waiting().first().map(|tx| tx.nonce);
        for (nonce, count) in market.broadcasts() {
            let known = before.get(&nonce).copied().unwrap_or(count);
            let grown = count - known;
            assert!(grown <= usize::from(Some(nonce) == lowest), "nonce {nonce}: {grown} more");
        }
    }
    assert!(market.metric("gristmill_chain_bumps_total") >= 1.0);
    market.ends_well().await;
}

/// Injected: a base fee above the highest fee that is allowed, for a while.
/// Outcome: no more than the ceiling is offered, nothing is given up, and the same bytes are mined when fees fall.
/// Shown by: `gristmill_chain_fee_ceiling_reached_total`, an error
#[tokio::test]
async fn a_fee_above_the_ceiling() {
    let mut market = Market::start(1).await;
    market.sender.fee_ceiling_wei = 2 * GWEI;
    market.post_jobs(2).await;
    market.until_waiting().await;
    for _ in 0..8 {
        market.anvil.set_base_fee(100 * GWEI).await;
        market.anvil.mine(1).await;
        market.beat_without_block().await;
    }
    for tx in market.waiting() {
        let within = |fee: u64| fee <= 2 * GWEI;
        assert!(tx.broadcasts.iter().all(|broadcast| within(broadcast.max_fee_wei)), "{tx:?}");
    }
    let alarms = market.metric("gristmill_chain_fee_ceiling_reached_total");
    assert!((1.0..=8.0).contains(&alarms), "once a block: {alarms}");
    market.assert_alarm("ERROR", "raise `chain.fee_ceiling_gwei`");
    market.anvil.set_base_fee(GWEI).await;
    market.anvil.mine(1).await;
    market.ends_well().await;
}

/// Injected: somebody uses a nonce with the scheduler's key that the scheduler has signed for too.
/// Outcome: once that is final, the intent takes another nonce.
/// Shown by: `gristmill_chain_nonces_lost_total`, an error
#[tokio::test]
async fn a_nonce_used_from_outside() {
    let mut market = Market::start(1).await;
    market.post_jobs(2).await;
    market.until_waiting().await;
    let nonce = market.waiting()[0].nonce;
    let fee = u128::from(market.waiting()[0].newest().max_fee_wei) * 10;
    market.use_key(Some(nonce), fee).await;
    market.ends_well_beside(1).await;
    assert_eq!(market.metric("gristmill_chain_nonces_lost_total"), 1.0);
    market.assert_alarm("ERROR", "somebody else uses the scheduler's key");
}

/// Injected: somebody uses the scheduler's key while the scheduler has nothing on its way.
/// Outcome: the next transaction takes the nonce after it.
/// Shown by: `gristmill_chain_nonces_lost_total`, an error
#[tokio::test]
async fn the_key_is_used_from_outside_while_nothing_is_on_its_way() {
    let mut market = Market::start(1).await;
    market.post_job().await;
    market.ends_well().await;
    market.use_key(None, u128::from(10 * GWEI)).await;
    market.beats(8).await;
    assert_eq!(market.metric("gristmill_chain_nonces_lost_total"), 1.0);
    market.assert_alarm("ERROR", "somebody else uses the scheduler's key");
    market.post_job().await;
    market.ends_well_beside(1).await;
    assert_eq!(market.metric("gristmill_chain_nonces_lost_total"), 1.0);
}

/// Injected: somebody uses the scheduler's key, and a reorganization takes that back.
/// Outcome: no hole is left in the nonces, and nothing waits behind one.
/// Shown by: `gristmill_chain_reorgs_total`
#[tokio::test]
async fn a_nonce_used_from_outside_that_a_reorganization_takes_back() {
    let mut market = Market::start(1).await;
    market.post_job().await;
    market.beats(5).await;
    market.use_key(None, u128::from(10 * GWEI)).await;
    market.until_sent(1).await;
    market.anvil.reorganize(5).await;
    assert_eq!(market.anvil.scheduler_nonce().await, 0, "it is gone");
    market.ends_well().await;
    assert_eq!(market.metric("gristmill_chain_nonces_lost_total"), 0.0);
}

/// Injected: the scheduler's account has no coin left before something is signed, and again after it was sent.
/// Outcome: no nonce is taken, no fee is raised; everything goes on when coin has come.
/// Shown by: `gristmill_chain_out_of_gas_money_total`, `gristmill_chain_signer_balance_wei`, an error
#[tokio::test]
async fn an_account_out_of_gas_money() {
    let mut market = Market::start(1).await;
    market.set_scheduler_balance(U256::ZERO).await;
    market.post_jobs(3).await;
    market.beats(20).await;
    assert!(market.open_txs().is_empty(), "nothing is signed that cannot be paid");
    let alarms = market.metric("gristmill_chain_out_of_gas_money_total");
    assert!((1.0..=20.0).contains(&alarms), "once a block: {alarms}");
    assert_eq!(market.metric("gristmill_chain_signer_balance_wei"), 0.0);
    market.assert_alarm("ERROR", "cannot pay for gas");
    market.set_scheduler_balance(U256::from(COIN)).await;

    market.until_waiting().await;
    market.set_scheduler_balance(U256::ZERO).await;
    market.anvil.ask("anvil_dropAllTransactions", json!([])).await;
    let before = market.broadcasts();
    market.beats(8).await;
    assert_eq!(market.broadcasts(), before, "a higher fee would be even less affordable");
    assert!(market.metric("gristmill_chain_out_of_gas_money_total") > alarms);
    market.set_scheduler_balance(U256::from(COIN)).await;
    market.ends_well().await;
}

/// Injected: answers that are not JSON, of wrong types, null, with numbers at the end of their range, or without end.
/// Outcome: none of it is believed, nothing crashes, no memory is filled, and the market's clock stays right.
/// Shown by: `gristmill_chain_calls_failed_total{reason="malformed"}`, `…{reason="too_large"}`
#[tokio::test]
async fn an_endpoint_that_answers_garbage() {
    let mut market = Market::start(1).await;
    // More blocks than are remembered, so that there is always another one to be asked for.
    market.anvil.mine(70).await;
    for garbage in [
        Garbage::NotJson,
        Garbage::WrongTypes,
        Garbage::NullBlocks,
        Garbage::LastBlock,
        Garbage::FarFuture,
        Garbage::HugeNumbers,
        Garbage::Endless,
    ] {
        market.post_job().await;
        market.until_sent(1).await;
        let before = market.clock.now();
        market.proxies[0].inject(Fault::Garbage(garbage));
        market.beats(3).await;
        assert!(market.clock.now().millis_since(before) < 60_000, "{garbage:?} moved the clock");
        if garbage != Garbage::HugeNumbers {
            assert!(market.outcomes[0].is_err(), "{garbage:?} was believed");
        }
        market.proxies[0].heal();
    }
    assert!(market.failed_calls("malformed") >= 1.0);
    assert!(market.failed_calls("too_large") >= 1.0);
    market.ends_well().await;
}

/// Injected: reorganizations of depth 1 to 5 that remove an assignment.
/// Outcome: the same bytes are sent again; each job is assigned once on the chain that stays.
/// Shown by: `gristmill_chain_reorgs_total`
#[tokio::test]
async fn a_reorganization_removes_an_assignment() {
    let mut market = Market::start(1).await;
    for depth in 1..=5 {
        let job = market.post_job().await;
        while market.events_of(job).await.len() < 2 {
            market.beat().await;
        }
        market.beats(depth - 1).await;
        market.beat_without_block().await;
        market.anvil.reorganize(depth as u64).await;
        assert_eq!(market.events_of(job).await, ["Opened"], "it was taken back");
        market.ends_well().await;
        assert_eq!(market.metric("gristmill_chain_reorgs_total"), depth as f64);
    }
    assert_eq!(market.metric("gristmill_chain_deep_reorgs_total"), 0.0);
    market.assert_no_alarm("ERROR");
}

/// Injected: a block with an assignment is replaced that the sender has seen, and the watcher has not.
/// Outcome: the sender notices by itself, and sends the same bytes again.
/// Shown by: the transaction's state, `mined` and then `sent` again
#[tokio::test]
async fn a_block_that_only_the_sender_has_seen_is_replaced() {
    let mut market = Market::start(1).await;
    let job = market.post_job().await;
    while market.events_of(job).await.len() < 2 {
        market.beat().await;
    }
    market.sender.step().await.unwrap();
    assert!(market.waiting().is_empty(), "it is in a block");
    market.anvil.reorganize(1).await;
    market.beat_without_block().await;
    assert_eq!(market.waiting().len(), 1, "it is in none");
    market.ends_well().await;
}

/// Injected: reorganizations of depth 1 to 5 that remove a settlement, and with it the payment.
/// Outcome: the job is not settled for anybody before that is final; it is settled again, and paid once.
/// Shown by: `gristmill_chain_reorgs_total`
#[tokio::test]
async fn a_reorganization_removes_a_settlement() {
    let mut market = Market::start(1).await;
    for depth in 1..=5 {
        let job = market.post_job().await;
        while market.events_of(job).await.len() < 4 {
            market.beat().await;
        }
        let paid = market.anvil.control.get_balance(market.anvil.provider).await.unwrap();
        market.beats(depth - 1).await;
        assert_eq!(market.state(job), JobState::Settling, "it is not final");
        market.anvil.reorganize(depth as u64).await;
        let now = market.anvil.control.get_balance(market.anvil.provider).await.unwrap();
        let terms = market.terms(job);
        assert_eq!(now + U256::from(terms.bounty.0 - terms.fee.0), paid, "it was taken back");
        market.ends_well().await;
    }
    assert_eq!(market.metric("gristmill_chain_deep_reorgs_total"), 0.0);
    market.assert_no_alarm("ERROR");
}

/// Injected: a reorganization puts the submitter's cancellation before our assignment.
/// Outcome: the assignment is mined and does nothing; the bounty is with the submitter, and nobody is paid.
/// Shown by: `gristmill_chain_reverts_total`, an error, or `gristmill_chain_bumps_total` where its nonce is used up
#[tokio::test]
async fn a_reorganization_changes_the_order() {
    let mut market = Market::start(1).await;
    let job = market.post_job().await;
    while market.events_of(job).await.len() < 2 {
        market.beat().await;
    }
    let t = IJobMarket::Terms::from(&market.terms(job));
    let cancel = market.anvil.request(market.anvil.submitter, &JobMarket::cancelCall { t }, 0);
    market.anvil.ask("anvil_reorg", json!([1, [[cancel.with_gas_limit(300_000), 0]]])).await;
    assert_eq!(market.events_of(job).await, ["Opened", "Cancelled"]);
    market.until_state(job, JobState::Refunded).await;
    market.until("the nonce is used up", |market| market.open_txs().is_empty()).await;
    assert_eq!(market.events_of(job).await, ["Opened", "Cancelled"]);
    market.account(U256::ZERO, U256::ZERO, 1).await;
    let told = market.metric("gristmill_chain_reverts_total")
        + market.metric("gristmill_chain_bumps_total");
    assert_eq!(told, 1.0, "{}", market.log());
}
