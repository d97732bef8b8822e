//! What every store must do for a reconciliation.

use std::sync::Arc;

use gristmill_market::Changes;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::escrow::Escrow;
use gristmill_market::job::{Job, State, Wait};
use gristmill_protocol::api::EscrowState;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, TxHash};
use gristmill_protocol::time::Timestamp;
use gristmill_protocol::{Address, B256};

use super::{MemoryStore, SqliteStore, Store, read, save_jobs, write};
use crate::samples;
use crate::store::chain::{BlockRef, Broadcast, Inclusion, NewTx};
use crate::store::reconcile::{
    DIFFERENCES_MAX, Difference, DifferenceKind, PayoutStop, Resumption, stop_payouts,
};

on_every_store! {
    jobs_are_paged_by_what_the_contract_holds_for_them
    jobs_that_wait_for_their_spec_are_found
    only_what_is_final_and_succeeded_counts_as_done
    payouts_are_stopped_once_and_resumed_by_a_person
    what_was_accepted_by_force_stops_nothing_again
    differences_of_one_stop_have_an_end
}

fn job(byte: u8, escrow: Escrow) -> Job {
    let terms = samples::terms(samples::SUBMITTER, byte);
    Job {
        funding: None,
        id: JobId(B256::repeat_byte(byte)),
        terms,
        demand: None,
        state: State::Queued { wait: Wait::Spec },
        escrow,
        escrow_at: Default::default(),
        assignments: AttemptNumber(0),
        newest: AttemptNumber(0),
        excluded: Vec::new(),
        setbacks: Vec::new(),
        version: 0,
        created_at: Timestamp(1),
        queued_at: Timestamp(1),
        due_at: None,
        ended_at: None,
    }
}

fn difference(detail: &str) -> Difference {
    let job = Some(JobId(B256::repeat_byte(1)));
    Difference { kind: DifferenceKind::Database, job, detail: detail.to_owned() }
}

fn jobs_are_paged_by_what_the_contract_holds_for_them(store: Arc<dyn Store>) {
    save_jobs(&store, (1..=5).map(|byte| job(byte, Escrow::Open)));
    save_jobs(&store, [job(6, Escrow::Paid), job(7, Escrow::None)]);
    // Moved on: it is found under its new state alone.
    save_jobs(&store, [job(2, Escrow::Refunded)]);
    let page = |after, limit| {
        let jobs = read(&store, |rows| rows.jobs_in_escrow(EscrowState::Open, after, limit));
        jobs.iter().map(|job| job.id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), [1, 3]);
    assert_eq!(page(Some(JobId(B256::repeat_byte(3))), 9), [4, 5]);
    for (escrow, count) in [
        (EscrowState::Open, 4),
        (EscrowState::Paid, 1),
        (EscrowState::Refunded, 1),
        (EscrowState::Held, 0),
    ] {
        assert_eq!(read(&store, |rows| rows.count_in_escrow(escrow)), count, "{escrow:?}");
    }
}

fn jobs_that_wait_for_their_spec_are_found(store: Arc<dyn Store>) {
    let known = samples::spec();
    let demand = gristmill_market::demand::Demand::of(&known.spec).unwrap();
    let complete = Job {
        demand: Some(demand),
        state: State::Queued { wait: Wait::Node },
        ..job(1, Escrow::Open)
    };
    let refunding = Job {
        state: State::Refunding { reason: gristmill_market::job::RefundReason::TooLate },
        ..job(2, Escrow::Open)
    };
    save_jobs(&store, [complete, refunding, job(3, Escrow::Open), job(4, Escrow::Open)]);
    let page = |after| {
        let jobs = read(&store, |rows| rows.jobs_without_spec(after, 9));
        jobs.iter().map(|job| job.id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(page(None), [3, 4]);
    assert_eq!(page(Some(JobId(B256::repeat_byte(3)))), [4]);
}

fn only_what_is_final_and_succeeded_counts_as_done(store: Arc<dyn Store>) {
    let subject = JobId(B256::repeat_byte(1));
    let intent = |attempt| Intent {
        job: subject,
        action: IntentAction::Assign {
            attempt: AttemptNumber(attempt),
            node: NodeId(Address::repeat_byte(7)),
            acceptance: None,
        },
        round: 0,
    };
    // 1 is done; 2 reverted; 3 was replaced by nothing; 4 is only mined; 5 is in a later block.
    for attempt in 1..=5_u16 {
        write(&store, |rows| rows.insert_intent(&intent(attempt)));
        let planned = read(&store, |rows| rows.planned_intents(Timestamp(1), 9));
        let id = planned[0].id;
        let byte = u8::try_from(attempt).unwrap();
        let hash = TxHash(B256::repeat_byte(byte));
        let broadcast = Broadcast {
            hash,
            raw: vec![byte],
            max_fee_wei: 1,
            priority_fee_wei: 1,
            at_block: 1,
            filler: false,
        };
        let tx = NewTx {
            signer: samples::SCHEDULER,
            nonce: attempt.into(),
            intents: vec![id],
            gas_limit: 1,
            broadcast,
        };
        let number = if attempt == 5 { 11 } else { 10 };
        let inclusion = Inclusion {
            block: BlockRef { number, hash: B256::repeat_byte(9) },
            hash,
            gas_used: 1,
            success: attempt != 2,
        };
        write(&store, |rows| {
            let tx = rows.insert_tx(&tx)?;
            rows.mark_mined(tx, &inclusion)?;
            if attempt != 4 {
                rows.mark_final(tx)?;
            }
            if attempt == 3 {
                rows.fail_intent(id, "its nonce was used up instead")?;
            }
            Ok(())
        });
    }
    let done = |until| read(&store, |rows| rows.final_intents(subject, until));
    assert_eq!(done(10), [intent(1)]);
    assert_eq!(done(11), [intent(1), intent(5)]);
    assert!(done(9).is_empty());
    let other = JobId(B256::repeat_byte(2));
    assert!(read(&store, |rows| rows.final_intents(other, 99)).is_empty());
}

fn payouts_are_stopped_once_and_resumed_by_a_person(store: Arc<dyn Store>) {
    let stop = |at: u64, found: Vec<Difference>| {
        write(&store, |rows| stop_payouts(rows, &found, at * 10, Timestamp(at)))
    };
    assert_eq!(stop(1, Vec::new()), []);
    assert_eq!(read(&store, |rows| rows.payout_stop()), None, "without a difference nothing stops");
    let nowhere = Difference { job: None, ..difference("the balance") };
    assert_eq!(stop(2, vec![difference("a")]).len(), 1);
    stop(3, vec![difference("a"), nowhere.clone()]);
    let expected = PayoutStop {
        since: Timestamp(2),
        block: 20,
        reason: format!("job {}: a", difference("a").job.unwrap()),
    };
    assert_eq!(read(&store, |rows| rows.payout_stop()), Some(expected));
    assert_eq!(read(&store, |rows| rows.differences()), [difference("a"), nowhere]);

    let resumption = Resumption { at: Timestamp(4), because: "looked".to_owned(), forced: false };
    assert!(write(&store, |rows| rows.end_stop(&resumption)));
    assert_eq!(read(&store, |rows| rows.payout_stop()), None);
    assert_eq!(read(&store, |rows| rows.differences()), []);
    assert!(!write(&store, |rows| rows.end_stop(&resumption)), "there is nothing to resume");
    stop(5, vec![difference("a")]);
    assert_eq!(
        read(&store, |rows| rows.payout_stop()).map(|stop| stop.since),
        Some(Timestamp(5)),
        "what was not accepted by force stops payouts again"
    );
}

fn what_was_accepted_by_force_stops_nothing_again(store: Arc<dyn Store>) {
    let stop =
        |found: Vec<Difference>| write(&store, |rows| stop_payouts(rows, &found, 10, Timestamp(1)));
    stop(vec![difference("a")]);
    let resumption =
        Resumption { at: Timestamp(4), because: "a known gift".to_owned(), forced: true };
    assert!(!read(&store, |rows| rows.is_accepted(&difference("a"))));
    write(&store, |rows| rows.end_stop(&resumption));
    assert!(read(&store, |rows| rows.is_accepted(&difference("a"))));
    assert_eq!(stop(vec![difference("a")]), []);
    assert_eq!(read(&store, |rows| rows.payout_stop()), None);
    let other = Difference { kind: DifferenceKind::Contract, ..difference("a") };
    let expected = vec![other.clone()];
    assert_eq!(stop(vec![difference("a"), other]), expected);
    assert_eq!(read(&store, |rows| rows.differences()), expected);
}

fn differences_of_one_stop_have_an_end(store: Arc<dyn Store>) {
    let many: Vec<_> = (0..DIFFERENCES_MAX + 5).map(|i| difference(&i.to_string())).collect();
    write(&store, |rows| stop_payouts(rows, &many, 10, Timestamp(1)));
    write(&store, |rows| stop_payouts(rows, &many[DIFFERENCES_MAX..], 10, Timestamp(1)));
    assert_eq!(read(&store, |rows| rows.differences()).len(), DIFFERENCES_MAX);
    // The database is as it was for everything else.
    write(&store, |rows| rows.save(&Changes::default()));
}
