//! Any commands, in any order, at any time: what the rules promise about each single decision.

use gristmill_market::attempt::Attempt;
use gristmill_market::command::{Command, Fact, Speaker, Verdict};
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::job::Job;
use gristmill_market::node::{Node, Standing};
use gristmill_market::{Changes, decide, needs};
use gristmill_protocol::api::{AttemptRef, AttemptState, JobState, Ruling};
use gristmill_protocol::ids::LeaseToken;
use gristmill_protocol::money::Amount;
use gristmill_protocol::signing::CompactSignature;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use proptest::prelude::*;

use crate::stage::{
    RELEASE, SUBMITTER, Stage, attempt, job, node_id, offer, provider, spec, terms,
};

/// One thing that somebody may try, described by small numbers.
#[derive(Clone, Debug)]
struct Try {
    kind: u8,
    node: u8,
    number: u16,
    wait: u64,
    right: bool,
}

fn any_try() -> impl Strategy<Value = Try> {
    (
        0..26_u8,
        1..4_u8,
        0..4_u16,
        prop_oneof![0..5_u64, 20..200_u64, 1000..3000_u64],
        prop::bool::weighted(0.8),
    )
        .prop_map(|(kind, node, number, wait, right)| Try { kind, node, number, wait, right })
}

/// What the attempt says, or what somebody says who is not it.
fn speaker(stage: &Stage, trial: &Try) -> Speaker {
    let newest = stage.job().newest;
    let row = stage.world.attempts.get(&(job(), newest)).filter(|_| trial.right);
    row.map_or(
        Speaker {
            node: node_id(trial.node),
            job: job(),
            attempt: attempt(trial.number),
            token: LeaseToken::default(),
        },
        |row| Speaker {
            node: row.node,
            job: job(),
            attempt: newest,
            token: row.token.unwrap_or_default(),
        },
    )
}

fn command(stage: &mut Stage, trial: &Try) -> Command {
    let speaker = speaker(stage, trial);
    let number = if trial.right { stage.job().newest } else { attempt(trial.number) };
    let node =
        stage.world.attempts.get(&(job(), number)).map_or(node_id(trial.node), |row| row.node);
    let receipt_hash = stage
        .world
        .attempts
        .get(&(job(), number))
        .and_then(|row| row.report.as_ref())
        .map(|report| report.receipt.hash())
        .unwrap_or_default();
    let lease_end_s = stage.now_s() + 60;
    let fact = match trial.kind {
        0 => Fact::Opened { terms: stage.job().terms, spec: None },
        1 => Fact::Assigned { node, provider: provider(node.0.0[0]), attempt: number },
        2 => Fact::CalledIn { attempt: number, lease_end_s },
        3 => Fact::Renewed { attempt: number, lease_end_s: lease_end_s + 340 },
        4 => Fact::Released { attempt: number },
        5 => Fact::Lapsed { attempt: number },
        6 => Fact::Published { node, attempt: number, receipt_hash },
        7 => Fact::Settled { node, attempt: number, receipt_hash },
        8 if trial.number == 1 => {
            Fact::Paid { provider: provider(1), amount: Amount(950), fee: Amount(50) }
        }
        8 if trial.number == 2 => Fact::Refunded { amount: Amount(1000) },
        8 => Fact::Cancelled { amount: Amount(0) },
        9 => return Command::Start { speaker },
        10 | 11 => {
            let exit_code = i32::from(trial.number == 3);
            let receipt = stage.receipt(speaker, exit_code);
            let release = trial.right.then_some(RELEASE);
            return Command::Report {
                speaker,
                receipt,
                signature: CompactSignature([5; 64]),
                release,
            };
        }
        12 => return Command::Release { speaker, signature: RELEASE, reason: "x".repeat(1000) },
        13 => {
            let verdict = if trial.number == 3 {
                Verdict::Reject { reasons: vec!["no".into()] }
            } else {
                Verdict::Accept
            };
            return Command::Verdict { job: job(), attempt: number, receipt_hash, verdict };
        }
        14 if trial.number == 0 => return Command::CancelJob { job: job(), by: SUBMITTER },
        14 | 15 => return Command::JobDue { job: job(), token: stage.token() },
        16 => return Command::NodeDue { node: node_id(trial.node) },
        17 => {
            let standing = if trial.right { Standing::Good } else { Standing::NotApproved };
            return Command::NodeStanding { node: node_id(trial.node), standing };
        }
        20 => {
            Fact::Forfeited { provider: provider(1), to_submitter: Amount(20), to_pool: Amount(20) }
        }
        21 => Fact::Disputed { by: SUBMITTER, until_s: stage.now_s() + 3600 },
        22 => {
            let rulings = [Ruling::Pay, Ruling::Refund, Ruling::Reopen];
            Fact::Ruled { ruling: rulings[usize::from(trial.number) % 3] }
        }
        23 => {
            let expires = stage.now_s() + u64::from(trial.number) * 60;
            return Command::Accept { speaker, expires, signature: RELEASE };
        }
        24 => {
            let action = match trial.number {
                0 => IntentAction::Open,
                1 => IntentAction::Assign { attempt: number, node, acceptance: None },
                2 => IntentAction::Claim { attempt: number },
                _ => IntentAction::OpenAndAssign { attempt: number, node },
            };
            let intent = Intent { job: job(), action, round: 0 }.reference();
            return Command::IntentFailed { intent, reason: "reverted".into() };
        }
        _ => {
            let holding = vec![AttemptRef { job_id: job(), attempt: number }];
            return Command::Poll {
                node: node_id(trial.node),
                holding,
                draining: false,
                token: stage.token(),
            };
        }
    };
    let position = gristmill_market::escrow::ChainPosition {
        block: stage.now.0,
        log_index: trial.kind.into(),
    };
    let event =
        gristmill_market::command::ChainEvent { job: job(), position, at_s: stage.now_s(), fact };
    Command::Chain { event, token: stage.token() }
}

/// What must hold of the one job after any single decision, however absurd the events of the chain were.
fn check(stage: &Stage) -> Result<(), TestCaseError> {
    let job = stage.job();
    let rows: Vec<&Attempt> = stage.world.attempts.values().collect();
    let live = rows.iter().filter(|row| row.state.is_live()).count();
    prop_assert!(live <= 1);
    let at_work =
        matches!(job.state.name(), JobState::Assigned | JobState::CallingIn | JobState::Verifying);
    if job.state.name() != JobState::Published {
        prop_assert_eq!(live == 1, at_work, "{:?}", job.state);
    }
    prop_assert_eq!(job.due_at.is_none(), job.state.name().is_end());
    prop_assert_eq!(job.ended_at.is_some(), job.state.name().is_end());
    let accepted = rows.iter().filter(|row| row.state == AttemptState::Accepted).count();
    prop_assert!(accepted <= 1);
    for node in stage.world.nodes.values() {
        for (id, held) in &node.holding {
            let row = &stage.world.attempts[&(*id, held.attempt)];
            prop_assert_eq!(row.node, node.id);
            prop_assert!(matches!(row.state, AttemptState::Leased | AttemptState::Running));
        }
    }
    Ok(())
}

/// A row survives its JSON form.
fn round_trips(changes: &Changes) -> Result<(), TestCaseError> {
    for job in &changes.jobs {
        let json = serde_json::to_string(job).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Job>(&json).unwrap(), job);
    }
    for row in &changes.attempts {
        let json = serde_json::to_string(row).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Attempt>(&json).unwrap(), row);
    }
    for node in &changes.nodes {
        let json = serde_json::to_string(node).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Node>(&json).unwrap(), node);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_promises(
        tries in proptest::collection::vec(any_try(), 1..60), bonded: bool, prepaid: bool,
    ) {
        let mut stage = Stage::new();
        for node in 1..4 {
            stage.register(node, offer());
        }
        let bond = if bonded { Amount(40) } else { Amount::ZERO };
        let terms = Terms { bond, arbiter: provider(9), ..terms() };
        if prepaid {
            stage.create_prepaid(terms, terms.deadline - 500).unwrap();
        } else {
            stage.create_as(job(), terms, spec()).unwrap();
        }
        let mut version = stage.take().events.len() as u64;
        for trial in &tries {
            stage.now = stage.now.plus_millis(trial.wait * 1000 + 1);
            let command = command(&mut stage, trial);
            prop_assert!(needs(&command).jobs.iter().all(|id| *id == job()));
            let before = stage.world.clone();
            let due_at = stage.job().due_at;
            let timer = matches!(command, Command::JobDue { .. });

            // The same question gets the same answer.
            let mut twin = before.clone();
            let answer = decide(&mut stage.world, command.clone(), stage.now);
            prop_assert_eq!(&decide(&mut twin, command, stage.now), &answer);
            prop_assert!(twin == stage.world);

            if answer.is_err() {
                prop_assert!(stage.world == before, "a rejection changed something");
            } else if timer {
                prop_assert!(due_at.is_some_and(|due_at| due_at <= stage.now));
                prop_assert!(stage.job().due_at.is_none_or(|next| next > stage.now), "due again at once");
            }
            let changes = stage.take();
            round_trips(&changes)?;
            for event in &changes.events {
                version += 1;
                prop_assert_eq!(event.version, version);
            }
            prop_assert_eq!(stage.job().version, version);
            check(&stage)?;
        }
    }

    #[test]
    fn no_time_is_too_early_or_too_late(when: u64, kind in 0..26_u8) {
        let mut stage = Stage::running();
        stage.now = Timestamp(when);
        let trial = Try { kind, node: 1, number: 1, wait: 0, right: true };
        let command = command(&mut stage, &trial);
        let _ = stage.ask(command);
        check(&stage)?;
    }
}
