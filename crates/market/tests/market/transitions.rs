//! Every state against every command: what is allowed, where it leads, and what is refused.

use std::fmt::Write as _;

use gristmill_market::Command;
use gristmill_market::command::{Fact, IntentRef};
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_protocol::api::{JobState, Ruling};
use gristmill_protocol::ids::{AttemptNumber, ReceiptHash};
use gristmill_protocol::money::Amount;

use crate::stage::{Stage, attempt, job, node_id, provider, spec, terms};

/// A job in this state, with an attempt 1 wherever there may be one.
fn in_state(state: JobState) -> Stage {
    let mut stage = match state {
        JobState::Funding => {
            let mut stage = Stage::new();
            stage.create();
            stage
        }
        JobState::Queued => {
            let mut stage = Stage::new();
            stage.create();
            stage.open();
            stage
        }
        JobState::Assigned => Stage::running(),
        JobState::CallingIn => Stage::calling_in(),
        JobState::Verifying => Stage::verifying(),
        JobState::Published => {
            let mut stage = Stage::running();
            let hash = stage.receipt(stage.speaker(1), 0).hash();
            stage.chain(published(hash)).unwrap();
            stage
        }
        JobState::Settling => Stage::settling(),
        JobState::Refunding => {
            let mut stage = Stage::running();
            stage.cancel().unwrap();
            stage
        }
        JobState::Settled => {
            let mut stage = Stage::settling();
            stage.settled_on_chain(1, 1);
            stage
        }
        JobState::Refunded => {
            let mut stage = Stage::running();
            stage.chain(Fact::Refunded { amount: Amount(1000) }).unwrap();
            stage
        }
        JobState::Cancelled => {
            let mut stage = Stage::new();
            stage.create();
            stage.cancel().unwrap();
            stage
        }
    };
    assert_eq!(stage.state(), state);
    stage.take();
    stage
}

fn published(receipt_hash: ReceiptHash) -> Fact {
    Fact::Published { node: node_id(1), attempt: attempt(1), receipt_hash }
}

fn paid() -> Fact {
    Fact::Paid { provider: provider(1), amount: Amount(950), fee: Amount(50) }
}

/// A name, and what is asked of the stage.
type Question =
    (&'static str, fn(&mut Stage) -> Result<gristmill_market::Reply, gristmill_market::Rejection>);

/// Every command, as the one who may give it would give it.
const QUESTIONS: &[Question] = &[
    ("create", |stage| stage.create_as(job(), terms(), spec())),
    ("cancel", |stage| stage.cancel()),
    ("start", |stage| match stage.world.attempts.is_empty() {
        true => stage.ask(Command::Start { speaker: nobody() }),
        false => stage.start(1),
    }),
    ("report success", |stage| report(stage, 0)),
    ("report failure", |stage| report(stage, 1)),
    ("release", |stage| match stage.world.attempts.is_empty() {
        true => stage.ask(Command::Release {
            speaker: nobody(),
            signature: crate::stage::RELEASE,
            reason: String::new(),
        }),
        false => stage.release(1),
    }),
    ("accept", |stage| stage.accept(1)),
    ("reject", |stage| stage.reject(1)),
    ("due too early", |stage| {
        stage.now = gristmill_protocol::time::Timestamp(1);
        stage.tick()
    }),
    ("due", |stage| {
        stage.now = stage.now.max(stage.job().due_at.unwrap_or_default());
        stage.tick()
    }),
    ("after the deadline", |stage| {
        stage.now = gristmill_protocol::time::Timestamp::from_unix_seconds(
            stage.job().terms.deadline + 500,
        );
        stage.tick()
    }),
    ("settle intent failed", |stage| {
        let action = IntentAction::Settle {
            attempt: attempt(1),
            receipt_hash: ReceiptHash::default(),
            signature: crate::stage::RELEASE,
        };
        let intent: IntentRef = Intent { job: job(), action, round: 0 }.reference();
        stage.ask(Command::IntentFailed { intent, reason: "reverted".into() })
    }),
    ("assign intent failed", |stage| {
        let action =
            IntentAction::Assign { attempt: attempt(1), node: node_id(1), acceptance: None };
        let intent: IntentRef = Intent { job: job(), action, round: 0 }.reference();
        stage.ask(Command::IntentFailed { intent, reason: "reverted".into() })
    }),
    ("opening intent failed", |stage| {
        let intent: IntentRef =
            Intent { job: job(), action: IntentAction::Open, round: 0 }.reference();
        stage.ask(Command::IntentFailed { intent, reason: "reverted".into() })
    }),
    ("accept a bond", |stage| {
        let speaker = if stage.world.attempts.is_empty() { nobody() } else { stage.speaker(1) };
        let (expires, signature) = (u64::MAX, crate::stage::RELEASE);
        stage.ask(Command::Accept { speaker, expires, signature })
    }),
    ("Opened", |stage| stage.chain(Fact::Opened { terms: terms(), spec: None })),
    ("Cancelled", |stage| stage.chain(Fact::Cancelled { amount: Amount(1000) })),
    ("Assigned to another", |stage| {
        let attempt = stage.job().assignments.next().unwrap_or(AttemptNumber(1));
        stage.chain(Fact::Assigned { node: node_id(7), provider: provider(7), attempt })
    }),
    ("CalledIn", |stage| {
        let lease_end_s = stage.now_s() + 60;
        stage.chain(Fact::CalledIn { attempt: attempt(1), lease_end_s })
    }),
    ("Renewed", |stage| {
        let lease_end_s = stage.now_s() + 400;
        stage.chain(Fact::Renewed { attempt: attempt(1), lease_end_s })
    }),
    ("Released", |stage| stage.chain(Fact::Released { attempt: attempt(1) })),
    ("Lapsed", |stage| stage.chain(Fact::Lapsed { attempt: attempt(1) })),
    ("Settled", |stage| {
        let receipt_hash = ReceiptHash::default();
        stage.chain(Fact::Settled { node: node_id(1), attempt: attempt(1), receipt_hash })
    }),
    ("Published", |stage| stage.chain(published(ReceiptHash::default()))),
    ("Forfeited", |stage| {
        let (to_submitter, to_pool) = (Amount(1), Amount(1));
        stage.chain(Fact::Forfeited { provider: provider(1), to_submitter, to_pool })
    }),
    ("Disputed", |stage| {
        let until_s = stage.now_s() + 3600;
        stage.chain(Fact::Disputed { by: crate::stage::SUBMITTER, until_s })
    }),
    ("Disputed, Ruled to reopen", |stage| {
        let until_s = stage.now_s() + 3600;
        let _ = stage.chain(Fact::Disputed { by: crate::stage::SUBMITTER, until_s });
        stage.chain(Fact::Ruled { ruling: Ruling::Reopen })
    }),
    ("Disputed, Ruled to refund", |stage| {
        let until_s = stage.now_s() + 3600;
        let _ = stage.chain(Fact::Disputed { by: crate::stage::SUBMITTER, until_s });
        stage.chain(Fact::Ruled { ruling: Ruling::Refund })
    }),
    ("Paid", |stage| stage.chain(paid())),
    ("Refunded", |stage| stage.chain(Fact::Refunded { amount: Amount(1000) })),
];

fn report(
    stage: &mut Stage,
    exit_code: i32,
) -> Result<gristmill_market::Reply, gristmill_market::Rejection> {
    let speaker = if stage.world.attempts.is_empty() { nobody() } else { stage.speaker(1) };
    let mut receipt = stage.receipt(speaker, exit_code);
    // Not the same receipt again: that would be known already.
    receipt.log_bytes = u64::from(stage.state() != JobState::Published);
    let signature = crate::stage::RELEASE;
    stage.ask(Command::Report { speaker, receipt, signature, release: None })
}

fn nobody() -> gristmill_market::command::Speaker {
    gristmill_market::command::Speaker {
        node: node_id(1),
        job: job(),
        attempt: attempt(1),
        token: gristmill_protocol::ids::LeaseToken::default(),
    }
}

/// One line a question: the answer in each state. `=` stays, a name moves, `!code` is refused.
#[test]
fn every_state_against_every_command() {
    let mut table = String::new();
    for (name, question) in QUESTIONS {
        writeln!(table, "{name}").unwrap();
        for state in JobState::ALL {
            let mut stage = in_state(*state);
            let before = stage.world.clone();
            let answer = question(&mut stage);
            let text = match answer {
                Err(rejection) => {
                    assert!(
                        stage.world == before,
                        "{name} in {state:?} was refused and changed something"
                    );
                    format!("! {}", rejection.code())
                }
                Ok(_) if stage.state() == *state => "=".to_owned(),
                Ok(_) => format!("→ {}", stage.state().as_str()),
            };
            let intents: Vec<&str> =
                stage.take().intents.iter().map(|intent| intent.kind().as_str()).collect();
            let plans = if intents.is_empty() {
                String::new()
            } else {
                format!("  plans {}", intents.join(", "))
            };
            writeln!(table, "  {:<11} {text}{plans}", state.as_str()).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// Whatever happens, a state that is not an end looks again, and an end does not.
#[test]
fn only_ends_have_no_timer() {
    for (name, question) in QUESTIONS {
        for state in JobState::ALL {
            let mut stage = in_state(*state);
            let _ = question(&mut stage);
            let job = stage.job();
            assert_eq!(
                job.due_at.is_none(),
                job.state.name().is_end(),
                "{name} in {state:?}: {:?}",
                job.state
            );
        }
    }
}
