//! What every store must do with the chain's tables.

use std::sync::Arc;

use gristmill_market::Needs;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::escrow::ChainPosition;
use gristmill_protocol::api::IntentState;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, TxHash};
use gristmill_protocol::time::Timestamp;
use gristmill_protocol::{Address, B256};

use super::{MemoryStore, SqliteStore, Store, read, write};
use crate::store::chain::{
    BlockRef, Broadcast, Enrollment, Inclusion, IntentId, NewTx, ReplicaId, SignerClaim, TxId,
    TxState,
};

on_every_store! {
    an_intent_is_planned_once_and_carried_by_one_transaction
    an_intent_that_waits_or_failed_is_not_planned
    a_nonce_is_taken_only_under_the_newest_fence
    a_reorganization_turns_back_what_was_mined_above_the_common_block
    a_lost_nonce_frees_its_intent
    versions_of_a_transaction_are_kept_in_order
    the_cursor_moves_only_from_where_it_is
    the_window_keeps_the_newest_blocks
    enrollments_and_approvals_follow_the_newest_event
}

const SIGNER: Address = Address::repeat_byte(1);

fn job(byte: u8) -> JobId {
    JobId(B256::repeat_byte(byte))
}

fn intent(byte: u8) -> Intent {
    let action = IntentAction::Assign {
        attempt: AttemptNumber(1),
        node: NodeId(Address::repeat_byte(7)),
        acceptance: None,
    };
    Intent { job: job(byte), action, round: 0 }
}

fn broadcast(byte: u8) -> Broadcast {
    Broadcast {
        hash: TxHash(B256::repeat_byte(byte)),
        raw: vec![byte; 3],
        max_fee_wei: 100,
        priority_fee_wei: 1,
        at_block: 5,
        filler: false,
    }
}

fn block(number: u64, byte: u8) -> BlockRef {
    BlockRef { number, hash: B256::repeat_byte(byte) }
}

fn inclusion(number: u64, byte: u8) -> Inclusion {
    Inclusion {
        block: block(number, byte),
        hash: TxHash(B256::repeat_byte(byte)),
        gas_used: 50_000,
        success: true,
    }
}

fn plan(store: &Arc<dyn Store>, byte: u8) -> IntentId {
    write(store, |rows| rows.insert_intent(&intent(byte)));
    let planned = read(store, |rows| rows.planned_intents(Timestamp(u64::MAX >> 1), 100));
    planned.into_iter().find(|row| row.intent == intent(byte)).expect("it is planned").id
}

fn sign(store: &Arc<dyn Store>, intent: IntentId, nonce: u64, byte: u8) -> TxId {
    let tx = NewTx {
        signer: SIGNER,
        nonce,
        intents: vec![intent],
        gas_limit: 60_000,
        broadcast: broadcast(byte),
    };
    write(store, move |rows| rows.insert_tx(&tx))
}

fn state_of(store: &Arc<dyn Store>, byte: u8) -> IntentState {
    let views = read(store, |rows| rows.transactions_of(job(byte)));
    assert_eq!(views.len(), 1);
    views[0].state
}

fn an_intent_is_planned_once_and_carried_by_one_transaction(store: Arc<dyn Store>) {
    let id = plan(&store, 1);
    assert_eq!(plan(&store, 1), id);
    assert_eq!(state_of(&store, 1), IntentState::Planned);
    let tx = sign(&store, id, 4, 1);
    assert_eq!(state_of(&store, 1), IntentState::Signed);
    assert!(read(&store, |rows| rows.planned_intents(Timestamp(9), 9)).is_empty());
    assert_eq!(read(&store, |rows| rows.next_intent_at()), None);
    // Planned again by a later turn: it stays where it is.
    write(&store, |rows| rows.insert_intent(&intent(1)));
    for (step, expected) in [
        (TxState::Sent, IntentState::Sent),
        (TxState::Mined, IntentState::Mined),
        (TxState::Final, IntentState::Final),
    ] {
        write(&store, |rows| match step {
            TxState::Sent => rows.mark_sent(tx),
            TxState::Mined => rows.mark_mined(tx, &inclusion(8, 1)),
            TxState::Final => rows.mark_final(tx),
            TxState::Signed | TxState::Lost => unreachable!("not a step of this test"),
        });
        assert_eq!(state_of(&store, 1), expected);
    }
    let view = read(&store, |rows| rows.transactions_of(job(1))).remove(0);
    assert_eq!((view.hash, view.gas_used), (Some(broadcast(1).hash), Some(50_000)));
    assert!(read(&store, |rows| rows.open_txs(SIGNER, 9)).is_empty());
    // What is final is not turned back by anything.
    write(&store, |rows| {
        rows.mark_sent(tx)?;
        rows.unmark_mined(tx)?;
        rows.mark_lost(tx)?;
        rows.roll_back(None)
    });
    assert_eq!(state_of(&store, 1), IntentState::Final);
}

fn an_intent_that_waits_or_failed_is_not_planned(store: Arc<dyn Store>) {
    let (waits, fails) = (plan(&store, 1), plan(&store, 2));
    write(&store, |rows| rows.postpone_intent(waits, Timestamp(500)));
    write(&store, |rows| rows.fail_intent(fails, "first"));
    write(&store, |rows| rows.fail_intent(fails, "second"));
    assert!(read(&store, |rows| rows.planned_intents(Timestamp(499), 9)).is_empty());
    let planned = read(&store, |rows| rows.planned_intents(Timestamp(500), 9));
    assert_eq!(planned.iter().map(|row| (row.id, row.tries)).collect::<Vec<_>>(), [(waits, 1)]);
    assert_eq!(read(&store, |rows| rows.next_intent_at()), Some(Timestamp(500)));
    assert_eq!(state_of(&store, 2), IntentState::Blocked);
    let unreported = read(&store, |rows| rows.unreported_intents(9));
    assert_eq!(unreported.len(), 1);
    assert_eq!(unreported[0].failure.as_deref(), Some("first"));
    write(&store, |rows| rows.report_intent(fails));
    assert!(read(&store, |rows| rows.unreported_intents(9)).is_empty());
}

fn a_nonce_is_taken_only_under_the_newest_fence(store: Arc<dyn Store>) {
    let claim = |replica: u8, fence, chain_nonce, now| SignerClaim {
        signer: SIGNER,
        replica: ReplicaId([replica; 16]),
        fence,
        chain_nonce,
        now: Timestamp(now),
        until: Timestamp(now + 100),
    };
    let lease = |claim: SignerClaim| write(&store, move |rows| rows.lease_signer(&claim));
    let take = |fence| write(&store, move |rows| rows.take_nonce(SIGNER, fence));
    assert_eq!(take(1), None, "nobody has leased it");
    let first = lease(claim(1, None, 5, 0)).unwrap();
    assert_eq!(first.next_nonce, 5);
    assert_eq!((take(first.fence), take(first.fence)), (Some(5), Some(6)));
    assert_eq!(lease(claim(2, None, 5, 99)), None, "it is the other's");
    let renewed = lease(claim(1, Some(first.fence), 0, 50)).unwrap();
    assert_eq!(
        (renewed.fence, renewed.next_nonce),
        (first.fence, 7),
        "the chain lags behind, our nonce does not"
    );
    let restarted = lease(claim(1, None, 7, 60)).unwrap();
    assert!(restarted.fence > first.fence);
    assert_eq!(take(first.fence), None, "the process before the restart is not heard");
    let other = lease(claim(2, None, 20, 160)).unwrap();
    assert!(other.fence > restarted.fence);
    assert_eq!(take(restarted.fence), None);
    assert_eq!(take(other.fence), Some(20), "somebody else used the nonces before");
    assert!(write(&store, |rows| rows.holds_signer(SIGNER, other.fence)));
    assert!(!write(&store, |rows| rows.holds_signer(SIGNER, restarted.fence)));
}

fn a_reorganization_turns_back_what_was_mined_above_the_common_block(store: Arc<dyn Store>) {
    for (byte, number) in [(1, 10), (2, 11), (3, 12)] {
        let tx = sign(&store, plan(&store, byte), byte.into(), byte);
        write(&store, move |rows| rows.mark_mined(tx, &inclusion(number, byte)));
    }
    write(&store, |rows| rows.extend_window(&[block(10, 1), block(11, 2), block(12, 3)], 9));
    assert_eq!(write(&store, |rows| rows.roll_back(Some(10))), 2);
    assert_eq!(state_of(&store, 1), IntentState::Mined);
    assert_eq!(state_of(&store, 2), IntentState::Sent);
    assert_eq!(state_of(&store, 3), IntentState::Sent);
    assert_eq!(read(&store, |rows| rows.chain_window()), [block(10, 1)]);
    let open = read(&store, |rows| rows.open_txs(SIGNER, 9));
    assert_eq!(open.iter().map(|tx| tx.nonce).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(open[0].inclusion, Some(inclusion(10, 1)));
    assert_eq!(open[1].inclusion, None);
}

fn a_lost_nonce_frees_its_intent(store: Arc<dyn Store>) {
    let id = plan(&store, 1);
    let tx = sign(&store, id, 0, 1);
    write(&store, |rows| rows.mark_lost(tx));
    assert_eq!(state_of(&store, 1), IntentState::Planned);
    sign(&store, id, 1, 2);
    assert_eq!(state_of(&store, 1), IntentState::Signed);
    // Its old nonce stays taken.
    let again = NewTx {
        signer: SIGNER,
        nonce: 0,
        intents: vec![id],
        gas_limit: 1,
        broadcast: broadcast(3),
    };
    let mut writer = store.writer().unwrap();
    writer.transact(&Needs::default(), &mut |rows| rows.insert_tx(&again).map(drop)).unwrap_err();
}

fn versions_of_a_transaction_are_kept_in_order(store: Arc<dyn Store>) {
    let tx = sign(&store, plan(&store, 1), 0, 9);
    let bumped = Broadcast { max_fee_wei: 113, filler: true, ..broadcast(3) };
    write(&store, |rows| rows.insert_broadcast(tx, &bumped));
    let open = read(&store, |rows| rows.open_txs(SIGNER, 9));
    assert_eq!(open[0].broadcasts, [broadcast(9), bumped.clone()]);
    assert_eq!(open[0].newest(), &bumped);
    assert!(open[0].is_filler(&bumped.hash) && !open[0].is_filler(&broadcast(9).hash));
    let mut writer = store.writer().unwrap();
    writer.transact(&Needs::default(), &mut |rows| rows.insert_broadcast(tx, &bumped)).unwrap_err();
}

fn the_cursor_moves_only_from_where_it_is(store: Arc<dyn Store>) {
    let step = |from, to| write(&store, move |rows| rows.move_cursor(from, to));
    assert!(!step(Some(block(1, 1)), block(2, 2)));
    assert!(step(None, block(5, 5)));
    assert!(!step(None, block(9, 9)), "another replica was faster");
    assert!(step(Some(block(5, 5)), block(7, 7)));
    assert!(!step(Some(block(7, 8)), block(9, 9)), "the number alone is not the block");
    assert_eq!(read(&store, |rows| rows.chain_cursor()), Some(block(7, 7)));
}

fn the_window_keeps_the_newest_blocks(store: Arc<dyn Store>) {
    let blocks: Vec<_> = (1..=6).map(|number| block(number, number as u8)).collect();
    write(&store, |rows| rows.extend_window(&blocks[..4], 3));
    write(&store, |rows| rows.extend_window(&blocks[4..], 3));
    assert_eq!(read(&store, |rows| rows.chain_window()), blocks[3..]);
    write(&store, |rows| rows.extend_window(&[block(6, 66)], 3));
    assert_eq!(read(&store, |rows| rows.chain_window()), [block(4, 4), block(5, 5), block(6, 66)]);
}

fn enrollments_and_approvals_follow_the_newest_event(store: Arc<dyn Store>) {
    let (node, other) = (NodeId(Address::repeat_byte(7)), NodeId(Address::repeat_byte(8)));
    let provider = Address::repeat_byte(2);
    let at = |block, log_index| ChainPosition { block, log_index };
    write(&store, |rows| {
        rows.put_enrollment(node, provider)?;
        rows.put_enrollment(other, provider)?;
        rows.put_enrollment(node, Address::repeat_byte(9))
    });
    let enrolled = Some(Enrollment { provider, revoked: false });
    assert_eq!(
        read(&store, |rows| rows.enrollment(node)),
        enrolled,
        "a node belongs to its first provider for good"
    );
    assert_eq!(read(&store, |rows| rows.nodes_of(provider, 9)), [node, other]);
    write(&store, |rows| rows.revoke_enrollment(node));
    // The same events again, as after a crash.
    write(&store, |rows| rows.put_enrollment(node, provider));
    assert!(
        read(&store, |rows| rows.enrollment(node)).is_some_and(|enrollment| enrollment.revoked)
    );
    assert_eq!(read(&store, |rows| rows.nodes_of(provider, 9)), [other]);

    let approved = || read(&store, |rows| rows.is_approved(provider));
    assert!(!approved());
    write(&store, |rows| rows.put_approval(provider, true, at(5, 1)));
    assert!(approved());
    write(&store, |rows| rows.put_approval(provider, false, at(5, 2)));
    write(&store, |rows| rows.put_approval(provider, true, at(5, 1)));
    assert!(!approved(), "an older event again changes nothing");
    assert!(!read(&store, |rows| rows.is_approved(Address::repeat_byte(1))));
}
