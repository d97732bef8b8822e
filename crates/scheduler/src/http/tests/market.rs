//! Figures of the market and of a provider, over a job's whole life.

use gristmill_market::Command;
use gristmill_market::command::{ChainEvent, Fact};
use gristmill_protocol::api::JobState;
use gristmill_protocol::ids::{AttemptNumber, ReceiptHash};
use gristmill_protocol::money::Amount;

use super::*;

fn fact(job: JobId, block: u64, fact: Fact) -> Command {
    let position = ChainPosition { block, log_index: 0 };
    let event = ChainEvent { job, position, at_s: NOW.unix_seconds(), fact };
    Command::Chain { event, token: samples::token(4) }
}

#[tokio::test]
async fn a_paid_job_shows_in_the_market_and_at_its_provider() {
    let mill = Mill::start().await;
    let client = mill.client();
    let empty = client.market().await.unwrap();
    assert_eq!((empty.nodes_total, empty.classes.len(), empty.days.len()), (0, 0, 30));
    assert!(!empty.truncated);

    let signer = PrivateKeySigner::random();
    let node = NodeId(signer.address());
    mill.node(&signer).await;
    let (job, _) = mill.funded_job(&PrivateKeySigner::random(), 1).await;
    assert_eq!(client.market().await.unwrap(), empty, "it is shown for a minute");
    mill.clock.advance_ms(60_000);
    let busy = client.market().await.unwrap();
    assert_eq!((busy.nodes_online, busy.running_jobs, busy.waiting_jobs), (1, 1, 0));
    assert_eq!(busy.days[29].created, 1);
    assert_eq!(busy.classes[0].price_floor_min, Some(Amount(1000)));
    assert_eq!(busy.classes[0].paid_median, None, "nobody was paid yet");

    let attempt = AttemptNumber(1);
    let receipt_hash = ReceiptHash::default();
    let assigned = Fact::Assigned { node, provider: PROVIDER, attempt };
    mill.app.turns.submit(fact(job, 6, assigned)).await.unwrap();
    let settled = Fact::Settled { node, attempt, receipt_hash };
    mill.app.turns.submit(fact(job, 7, settled)).await.unwrap();
    let waits = client.provider(PROVIDER, 30).await.unwrap();
    assert_eq!((waits.nodes, waits.jobs_settled, waits.earned.len()), (1, 0, 0));
    assert_eq!(waits.waiting[0].amount, Amount(950_000), "accepted, and not paid");
    let paid = Fact::Paid { provider: PROVIDER, amount: Amount(950_000), fee: Amount(50_000) };
    mill.app.turns.submit(fact(job, 8, paid)).await.unwrap();
    assert_eq!(client.job(job).await.unwrap().state, JobState::Settled);

    mill.clock.advance_ms(60_000);
    let after = client.market().await.unwrap();
    let (today, class) = (&after.days[29], &after.classes[0]);
    assert_eq!((today.settled, today.paid, today.refunded), (1, Amount(950_000), 0));
    assert_eq!((class.model.as_str(), class.jobs_settled), ("cpu", 1));
    assert_eq!(class.paid_median, Some(Amount(950_000)));
    let earned = client.provider(PROVIDER, 1).await.unwrap();
    assert_eq!((earned.jobs_settled, earned.jobs_failed), (1, 0));
    assert_eq!((earned.earned[0].amount, earned.days[0].jobs), (Amount(950_000), 1));
    assert_eq!(earned.waiting, [], "it is paid");
    let stranger = client.provider(Address::repeat_byte(9), 365).await.unwrap();
    assert_eq!((stranger.nodes, stranger.jobs_settled, stranger.earned.len()), (0, 0, 0));

    for days in [0, 366] {
        assert_eq!(code(client.provider(PROVIDER, days).await), Some(ErrorCode::InvalidRequest));
    }
    let answer = mill.request("GET", "/v1/providers/0x12", &[], "").await;
    assert_eq!(answer.problem().code, ErrorCode::InvalidRequest);
}
