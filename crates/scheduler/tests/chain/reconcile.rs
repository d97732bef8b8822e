//! Reconciliation: a busy history agrees to the wei, and whatever is planted into it is found, named, and stops payouts.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, U256};
use alloy::signers::k256::elliptic_curve::rand_core::OsRng;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolEvent;
use axum::Json;
use axum::extract::State;
use axum::routing::post;
use gristmill_market::Changes;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::escrow::{ChainPosition, Escrow};
use gristmill_market::job::{Job, State as JobState};
use gristmill_protocol::api::IntentState;
use gristmill_protocol::contracts::{IJobMarket, JobMarket};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, TxHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use gristmill_scheduler::drivers::chain_rpc::ChainRpc;
use gristmill_scheduler::drivers::reconciler::rounds::Rounds;
use gristmill_scheduler::drivers::reconciler::{Reconciler, Report};
use gristmill_scheduler::store::Store;
use gristmill_scheduler::store::chain::{BlockRef, Broadcast, Inclusion, NewTx};
use gristmill_scheduler::store::memory::MemoryStore;
use gristmill_scheduler::store::reconcile::{Difference, DifferenceKind, Resumption};
use serde_json::{Value, json};

use super::anvil::Anvil;
use super::history::{Actors, busy};
use super::{ASSIGNED, Mill, job, sqlite, terms};

/// An endpoint that edits the events it passes on.
struct Editor {
    url: String,
}

type Edit = Box<dyn FnMut(&mut Vec<Value>) + Send>;

#[derive(Clone)]
struct Editing {
    target: String,
    http: reqwest::Client,
    edit: Arc<Mutex<Edit>>,
}

impl Editor {
    async fn start(target: &str, edit: impl FnMut(&mut Vec<Value>) + Send + 'static) -> Self {
        let editing = Editing {
            target: target.to_owned(),
            http: reqwest::Client::new(),
            edit: Arc::new(Mutex::new(Box::new(edit))),
        };
        let pass = async |State(editing): State<Editing>, Json(request): Json<Value>| {
            let sent = editing.http.post(&editing.target).json(&request).send().await;
            let mut answer: Value = sent.unwrap().json().await.unwrap();
            if request["method"] == "eth_getLogs"
                && let Some(logs) = answer["result"].as_array_mut()
            {
                editing.edit.lock().unwrap()(logs);
            }
            Json(answer)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().route("/", post(pass)).with_state(editing);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url }
    }
}

/// Whether a log is this event of this job.
fn is_event(log: &Value, event: B256, job: JobId) -> bool {
    log["topics"][0] == json!(event) && log["topics"][1] == json!(job.0)
}

impl Mill<'_> {
    fn reconciler(&self) -> Reconciler {
        self.reconciler_at(&self.anvil.url)
    }

    fn reconciler_at(&self, url: &str) -> Reconciler {
        let deployment = self.anvil.deployment.clone();
        Reconciler {
            rpc: Arc::new(ChainRpc::new(&[url.to_owned()], &deployment).unwrap()),
            store: Arc::clone(&self.store),
            deployment,
            scheduler: self.anvil.scheduler.address(),
            log_blocks_max: 5,
            tokens: Vec::new(),
        }
    }

    fn rounds_at(&self, url: &str) -> Rounds {
        Rounds {
            reconciler: self.reconciler_at(url),
            turns: self.turns.clone(),
            clock: self.clock.clone(),
            finality_depth: self.finality_depth,
            every_seconds: 600,
            now: self.now.subscribe(),
            before: None,
        }
    }

    async fn look(&self) -> Report {
        self.reconciler().look(None).await.unwrap().0
    }

    async fn save_job(&self, job: &Job) {
        let changes = Changes { jobs: vec![job.clone()], ..Changes::default() };
        self.turns.write("test_job", move |rows| rows.save(&changes)).await.unwrap();
    }

    fn stored(&self, id: JobId) -> Job {
        self.read(|rows| rows.job(id)).expect("the watcher has read of it")
    }

    fn is_stopped(&self) -> bool {
        self.read(|rows| rows.payout_stop()).is_some()
    }
}

/// The kinds of what differs, and of which job.
fn kinds(report: &Report) -> Vec<(DifferenceKind, Option<JobId>)> {
    report.differences.iter().map(|found| (found.kind, found.job)).collect()
}

#[tokio::test]
async fn a_busy_history_agrees_and_stops_nothing() {
    let anvil = Anvil::start().await;
    busy(&anvil).await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let watcher = mill.watcher();
    watcher.step().await.unwrap();
    let mut rounds = mill.rounds_at(&anvil.url);
    let report = rounds.round().await.unwrap();
    assert_eq!(report.differences, [], "{report:#?}");
    assert_eq!((report.jobs, report.ended, report.jobs_of_others), (8, 4, 1), "{report:#?}");
    assert_eq!(report.tokens.len(), 1);
    let owed = U256::from(9 * 1_000_000 + 3_000);
    assert_eq!((report.tokens[0].owed, report.tokens[0].held), (owed, owed));
    assert_eq!(report.remarks, Vec::<String>::new());
    assert!(!mill.is_stopped());

    // Only what is new is read the next time, and it agrees as well.
    let actors = Actors { anvil: &anvil };
    let more = terms(&anvil, 40, anvil.timestamp().await);
    actors.assigned(&more).await;
    actors.settle(&more, 1).await;
    watcher.step().await.unwrap();
    let report = rounds.round().await.unwrap();
    assert_eq!(report.differences, []);
    assert_eq!((report.jobs, report.ended), (8, 1));

    // A gift is worth a remark.
    let balance = owed + U256::from(7);
    anvil.ask("anvil_setBalance", json!([anvil.deployment.contract, balance])).await;
    anvil.mine(1).await;
    watcher.step().await.unwrap();
    let report = rounds.round().await.unwrap();
    assert_eq!(report.differences, []);
    assert!(report.remarks[0].contains("holds 7 of the native coin that nobody owns"));
    assert!(!mill.is_stopped());
}

#[tokio::test]
async fn bonds_pools_and_disputes_agree_with_the_contract_at_every_step() {
    let anvil = Anvil::start().await;
    let actors = Actors { anvil: &anvil };
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let watcher = mill.watcher();
    let check = async |what: &str| {
        watcher.step().await.unwrap();
        let report = mill.look().await;
        assert_eq!(report.differences, [], "after {what}");
        assert_eq!(report.tokens[0].owed, report.tokens[0].held, "after {what}");
    };
    let arbiter = Address::repeat_byte(0xaa);
    anvil.ask("anvil_impersonateAccount", json!([arbiter])).await;
    anvil.ask("anvil_setBalance", json!([arbiter, "0x8ac7230489e80000"])).await;
    let scheduler = anvil.scheduler.address();
    let approve =
        JobMarket::approveSchedulerCall { scheduler, token: Address::ZERO, bondLimit: 1_000_000 };
    anvil.call(anvil.provider, &approve, 0).await;
    let deposit = JobMarket::depositCall { token: Address::ZERO, amount: U256::from(50_001) };
    anvil.call(anvil.provider, &deposit, 50_001).await;
    check("a deposit").await;

    let now_s = anvil.timestamp().await;
    let bonded = |salt| Terms {
        arbiter,
        bond: Amount(1_001),
        dispute_bond: Amount(333),
        hold_seconds: 3600,
        lease_seconds: 240,
        ..terms(&anvil, salt, now_s)
    };
    // Forfeited once by a lapse and once by a take-over, so that the pool has two halves; then paid.
    let lapsing = bonded(1);
    anvil.open(&lapsing).await;
    actors.assign_bonded(&lapsing, 1).await;
    check("a bonded assignment").await;
    actors.advance(241).await;
    anvil.call(scheduler, &JobMarket::lapseCall { t: (&lapsing).into() }, 0).await;
    check("a lapse").await;
    actors.assign_bonded(&lapsing, 2).await;
    actors.advance(241).await;
    actors.assign_bonded(&lapsing, 3).await;
    check("a take-over").await;
    actors.settle(&lapsing, 3).await;
    check("a settlement with a hold").await;
    actors.advance(3601).await;
    anvil.call(anvil.submitter, &JobMarket::claimCall { t: (&lapsing).into() }, 0).await;
    check("a claim with a pool").await;

    let disputed = async |terms: &Terms, by_scheduler: bool| {
        anvil.open(terms).await;
        actors.assign_bonded(terms, 1).await;
        let by = if by_scheduler {
            actors.publish(terms, 1).await;
            scheduler
        } else {
            actors.settle(terms, 1).await;
            anvil.submitter
        };
        anvil.call(by, &JobMarket::disputeCall { t: terms.into() }, 333).await;
        check("a dispute").await;
    };
    for (salt, ruling, by_scheduler) in
        [(2, 0, false), (3, 1, false), (4, 2, false), (5, 0, true), (6, 1, true), (7, 2, true)]
    {
        let terms = bonded(salt);
        disputed(&terms, by_scheduler).await;
        anvil.call(arbiter, &JobMarket::ruleCall { t: (&terms).into(), ruling }, 0).await;
        check(&format!("ruling {ruling}, by the scheduler: {by_scheduler}")).await;
    }
    // Opened again, and cancelled with what is in the pool.
    anvil.call(anvil.submitter, &JobMarket::cancelCall { t: (&bonded(4)).into() }, 0).await;
    check("a cancellation with a pool").await;
    // The arbiter stays silent.
    disputed(&bonded(8), false).await;
    actors.advance(3601).await;
    anvil.call(anvil.provider, &JobMarket::claimCall { t: (&bonded(8)).into() }, 0).await;
    check("silence").await;
    // The deadline takes the bond of a node that never delivered.
    let late = Terms { deadline: anvil.timestamp().await + 300, ..bonded(9) };
    anvil.open(&late).await;
    actors.assign_bonded(&late, 1).await;
    actors.advance(301).await;
    anvil.call(anvil.provider, &JobMarket::refundCall { t: (&late).into() }, 0).await;
    check("a refund with a bond").await;

    // Several at once, out of the submitter's balance; one is there already, and one cannot be paid for.
    let deposit = JobMarket::depositCall { token: Address::ZERO, amount: U256::from(2_500_000) };
    anvil.call(anvil.submitter, &deposit, 2_500_000).await;
    let openings = [20, 7, 21, 22]
        .map(|salt| IJobMarket::Opening { terms: (&bonded(salt)).into(), node: Address::ZERO })
        .to_vec();
    let batch = JobMarket::openManyCall {
        openings,
        order: IJobMarket::Order { root: B256::ZERO, epoch: 0, expires: U40::ZERO },
        signature: Default::default(),
        proof: Vec::new(),
        flags: Vec::new(),
    };
    anvil.call(anvil.submitter, &batch, 0).await;
    check("a batch with skipped items").await;
}

#[tokio::test]
async fn whatever_is_changed_in_the_database_is_found() {
    let anvil = Anvil::start().await;
    let history = busy(&anvil).await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    mill.watcher().step().await.unwrap();
    let Escrow::Assigned { node, attempt, renewed_at_s, lease_end_s, called_in } =
        mill.stored(history.assigned).escrow
    else {
        panic!("it is assigned")
    };
    let assigned = |lease_end_s, node| Escrow::Assigned {
        node,
        attempt,
        renewed_at_s,
        lease_end_s,
        called_in,
    };
    let stranger = NodeId(Address::repeat_byte(9));
    let ahead = ChainPosition { block: u64::MAX >> 1, log_index: 0 };
    type Change<'a> = &'a dyn Fn(Job) -> Job;
    let plants: [(JobId, Change<'_>, DifferenceKind); 9] = [
        (
            history.assigned,
            &|job| Job { escrow: assigned(lease_end_s + 1, node), ..job },
            DifferenceKind::Database,
        ),
        (
            history.assigned,
            &|job| Job { escrow: assigned(lease_end_s, stranger), ..job },
            DifferenceKind::Database,
        ),
        (
            history.open,
            &|job| Job { assignments: AttemptNumber(1), ..job },
            DifferenceKind::Database,
        ),
        (history.open, &|job| Job { escrow: Escrow::None, ..job }, DifferenceKind::Database),
        // Being ahead of the chain is no excuse.
        (
            history.open,
            &|job| Job { escrow: Escrow::Refunded, escrow_at: ahead, ..job },
            DifferenceKind::Database,
        ),
        // Paid here, and open there.
        (
            history.open,
            &|job| Job {
                escrow: Escrow::Paid,
                state: JobState::Settled { attempt: AttemptNumber(1) },
                ..job
            },
            DifferenceKind::Database,
        ),
        (history.paid, &|job| Job { escrow: Escrow::Open, ..job }, DifferenceKind::Payment),
        (history.paid, &|job| Job { state: JobState::Refunded, ..job }, DifferenceKind::Payment),
        (history.paid, &|job| Job { version: job.version - 1, ..job }, DifferenceKind::Payment),
    ];
    for (index, (id, change, kind)) in plants.iter().enumerate() {
        let before = mill.stored(*id);
        mill.save_job(&change(before.clone())).await;
        let report = mill.look().await;
        assert!(kinds(&report).contains(&(*kind, Some(*id))), "plant {index}: {report:#?}");
        assert!(kinds(&report).iter().all(|(_, job)| *job == Some(*id)), "{index}: {report:#?}");
        mill.save_job(&before).await;
        assert_eq!(mill.look().await.differences, [], "plant {index} left something behind");
    }

    // Jobs that the chain has never seen: one is said to wait, one to be paid.
    for (escrow, kind) in
        [(Escrow::Open, DifferenceKind::JobUnknown), (Escrow::Paid, DifferenceKind::Payment)]
    {
        let invented = JobId(B256::repeat_byte(0xee));
        let planted = Job { escrow, ..job(invented, history.terms) };
        mill.save_job(&planted).await;
        assert_eq!(kinds(&mill.look().await), [(kind, Some(invented))]);
        mill.save_job(&Job { escrow: Escrow::None, ..planted }).await;
    }
    assert_eq!(mill.look().await.differences, []);

    // A transaction that counts as done, and did nothing.
    let intent = Intent {
        job: history.open,
        action: IntentAction::Lapse { attempt: AttemptNumber(1) },
        round: 0,
    };
    plant_final(&mill, intent).await;
    assert_eq!(kinds(&mill.look().await), [(DifferenceKind::Intent, Some(history.open))]);
}

/// Stores an intent as if its transaction were final and had succeeded.
async fn plant_final(mill: &Mill<'_>, intent: Intent) {
    let signer = mill.anvil.scheduler.address();
    let planted = mill.turns.write("test_final", move |rows| {
        rows.insert_intent(&intent)?;
        let row = rows.planned_intents(Timestamp(u64::MAX >> 1), 9)?.remove(0);
        let hash = TxHash(B256::repeat_byte(3));
        let broadcast = Broadcast {
            hash,
            raw: vec![1],
            max_fee_wei: 1,
            priority_fee_wei: 1,
            at_block: 1,
            filler: false,
        };
        let tx = NewTx { signer, nonce: 900, intents: vec![row.id], gas_limit: 1, broadcast };
        let tx = rows.insert_tx(&tx)?;
        let block = BlockRef { number: 1, hash: B256::repeat_byte(4) };
        rows.mark_mined(tx, &Inclusion { block, hash, gas_used: 1, success: true })?;
        rows.mark_final(tx)
    });
    planted.await.unwrap();
}

#[tokio::test]
async fn a_log_that_hides_or_forges_events_is_found_out() {
    let anvil = Anvil::start().await;
    let history = busy(&anvil).await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    mill.watcher().step().await.unwrap();
    let (assigned, paid, open) = (history.assigned, history.paid, history.open);
    let forged = json!(Address::repeat_byte(0x66).into_word());
    type Forge = Box<dyn FnMut(&mut Vec<Value>) + Send>;
    let hide = |event: B256, job: JobId| -> Forge {
        Box::new(move |logs| logs.retain(|log| !is_event(log, event, job)))
    };
    let plants: Vec<(Forge, DifferenceKind, JobId)> = vec![
        (hide(JobMarket::Assigned::SIGNATURE_HASH, assigned), DifferenceKind::Contract, assigned),
        (hide(JobMarket::Paid::SIGNATURE_HASH, paid), DifferenceKind::Contract, paid),
        (hide(JobMarket::Settled::SIGNATURE_HASH, paid), DifferenceKind::Events, paid),
        (hide(JobMarket::Opened::SIGNATURE_HASH, open), DifferenceKind::JobUnknown, open),
        // A payment to somebody else.
        (
            Box::new(move |logs| {
                for log in logs.iter_mut() {
                    if is_event(log, JobMarket::Paid::SIGNATURE_HASH, paid) {
                        log["topics"][2] = forged.clone();
                    }
                }
            }),
            DifferenceKind::Payment,
            paid,
        ),
        // The same payment twice.
        (
            Box::new(move |logs| {
                let twice = logs
                    .iter()
                    .find(|log| is_event(log, JobMarket::Paid::SIGNATURE_HASH, paid))
                    .cloned();
                logs.extend(twice.map(|mut log| {
                    log["logIndex"] = json!("0xff");
                    log
                }));
            }),
            DifferenceKind::Events,
            paid,
        ),
    ];
    for (index, (forge, kind, id)) in plants.into_iter().enumerate() {
        let editor = Editor::start(&anvil.url, forge).await;
        let (report, _) = mill.reconciler_at(&editor.url).look(None).await.unwrap();
        assert!(kinds(&report).contains(&(kind, Some(id))), "plant {index}: {report:#?}");
        assert!(!report.differences.iter().any(|found| found.job.is_some_and(|job| job != id)));
    }
    assert_eq!(mill.look().await.differences, []);
}

#[tokio::test]
async fn a_forged_payment_that_the_database_believes_is_found_all_the_same() {
    let anvil = Anvil::start().await;
    let actors = Actors { anvil: &anvil };
    let terms = terms(&anvil, 1, anvil.timestamp().await);
    let id = actors.assigned(&terms).await;
    actors.settle(&terms, 1).await;
    let forged = json!(Address::repeat_byte(0x66).into_word());
    let editor = Editor::start(&anvil.url, move |logs| {
        for log in logs.iter_mut() {
            if is_event(log, JobMarket::Paid::SIGNATURE_HASH, id) {
                log["topics"][2] = forged.clone();
            }
        }
    })
    .await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let mut watcher = mill.watcher();
    watcher.rpc =
        Arc::new(ChainRpc::new(std::slice::from_ref(&editor.url), &anvil.deployment).unwrap());
    watcher.step().await.unwrap();
    // Log and database say the same; what was due says something else.
    let (report, _) = mill.reconciler_at(&editor.url).look(None).await.unwrap();
    assert!(kinds(&report).contains(&(DifferenceKind::Payment, Some(id))), "{report:#?}");
    assert!(report.differences[0].detail.contains("were due to"), "{report:#?}");
}

#[tokio::test]
async fn money_that_is_missing_is_found() {
    let anvil = Anvil::start().await;
    busy(&anvil).await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let watcher = mill.watcher();
    watcher.step().await.unwrap();
    let owed = mill.look().await.tokens[0].owed;
    let short = owed - U256::from(1);
    anvil.ask("anvil_setBalance", json!([anvil.deployment.contract, short])).await;
    anvil.mine(1).await;
    watcher.step().await.unwrap();
    let report = mill.look().await;
    assert_eq!(kinds(&report), [(DifferenceKind::Balance, None)]);
    assert_eq!(report.differences[0].detail, "the contract lacks 1 of the native coin");
}

#[tokio::test]
async fn a_database_that_lacks_jobs_of_the_chain_is_found() {
    let anvil = Anvil::start().await;
    let history = busy(&anvil).await;
    let mill = Mill::new(&anvil, Arc::new(MemoryStore::default()), 1);
    // It believes that it has read everything.
    let head = anvil.rpc().head().await.unwrap().block;
    mill.turns.write("test_cursor", move |rows| rows.move_cursor(None, head)).await.unwrap();
    let report = mill.look().await;
    assert_eq!(report.differences.len(), 12, "{report:#?}");
    assert!(report.differences.iter().all(|found| found.kind == DifferenceKind::JobMissing));
    for id in [history.open, history.assigned, history.paid] {
        assert!(kinds(&report).contains(&(DifferenceKind::JobMissing, Some(id))));
    }
}

#[tokio::test]
async fn a_difference_stops_what_is_not_signed_until_a_person_resumes() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let (watcher, mut sender) = (mill.watcher(), mill.sender());
    let now_s = anvil.timestamp().await;
    let (signed, _) = mill.plan_assignment(terms(&anvil, 1, now_s)).await;
    watcher.step().await.unwrap();
    assert!(sender.sign_only().await.unwrap());
    let (waiting, _) = mill.plan_assignment(terms(&anvil, 2, now_s)).await;
    watcher.step().await.unwrap();

    // The test plants jobs without their events, so that everything but their state agrees.
    let mut rounds = mill.rounds_at(&anvil.url);
    let planted = mill.stored(waiting);
    mill.save_job(&Job { escrow: Escrow::None, ..planted.clone() }).await;
    let report = rounds.round().await.unwrap();
    assert!(kinds(&report).contains(&(DifferenceKind::Database, Some(waiting))), "{report:#?}");
    assert!(mill.is_stopped());
    let kept = mill.read(|rows| rows.differences());
    assert_eq!(kept, report.differences);
    for _ in 0..3 {
        sender.step().await.unwrap();
        anvil.mine(1).await;
        watcher.step().await.unwrap();
    }
    sender.step().await.unwrap();
    assert_eq!(mill.transaction(signed).state, IntentState::Final, "what is signed goes its way");
    assert_eq!(anvil.job(signed).await, (ASSIGNED, 1));
    assert_eq!(mill.transaction(waiting).state, IntentState::Planned);
    assert_eq!(anvil.scheduler_nonce().await, 1);

    // Repaired, and looked at again: it stays stopped, because no person has looked.
    mill.save_job(&planted).await;
    assert_eq!(rounds.round().await.unwrap().differences, []);
    sender.step().await.unwrap();
    assert!(mill.is_stopped());
    assert_eq!(mill.transaction(waiting).state, IntentState::Planned);

    let resumption = Resumption { at: Timestamp(1), because: "repaired".to_owned(), forced: false };
    mill.turns.write("test_resume", move |rows| rows.end_stop(&resumption)).await.unwrap();
    for _ in 0..2 {
        sender.step().await.unwrap();
        anvil.mine(1).await;
        watcher.step().await.unwrap();
    }
    sender.step().await.unwrap();
    assert_eq!(mill.transaction(waiting).state, IntentState::Final);
    assert_eq!(anvil.job(waiting).await, (ASSIGNED, 1));
}

#[tokio::test]
async fn an_endpoint_that_lags_for_a_moment_stops_nothing() {
    let anvil = Anvil::start().await;
    let history = busy(&anvil).await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    mill.watcher().step().await.unwrap();
    // It hides an event the first time that it is asked, and never again.
    let forgetful = || {
        let mut hidden = false;
        Editor::start(&anvil.url, move |logs| {
            let before = logs.len();
            if !hidden {
                logs.retain(|log| {
                    !is_event(log, JobMarket::Assigned::SIGNATURE_HASH, history.assigned)
                });
                hidden = logs.len() < before;
            }
        })
    };
    let editor = forgetful().await;
    let (first, _) = mill.reconciler_at(&editor.url).look(None).await.unwrap();
    assert_ne!(first.differences, [], "the endpoint did hide something");
    let editor = forgetful().await;
    let report = mill.rounds_at(&editor.url).round().await.unwrap();
    assert_eq!(report.differences, []);
    assert!(!mill.is_stopped());
}

/// A folder as an operator has it, for the shipped program.
struct Operator {
    folder: tempfile::TempDir,
}

const PASSWORD: &str = "only a test";

impl Operator {
    fn new(anvil: &Anvil) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = anvil.scheduler.to_bytes();
        let name = Some("key.json");
        PrivateKeySigner::encrypt_keystore(folder.path(), &mut OsRng, key, PASSWORD, name).unwrap();
        let deployment = serde_json::to_string(&anvil.deployment).unwrap();
        std::fs::write(folder.path().join("deployment.json"), deployment).unwrap();
        let config =
            format!("[chain]\nrpc_urls = [\"{}\"]\n[signer]\nkeystore = \"key.json\"\n", anvil.url);
        std::fs::write(folder.path().join("scheduler.toml"), config).unwrap();
        std::fs::create_dir(folder.path().join("scheduler-data")).unwrap();
        Self { folder }
    }

    fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("scheduler-data/scheduler.sqlite3")
    }

    /// The exit code, and what it printed to stdout and to stderr.
    async fn reconcile(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill-scheduler"));
        command
            .arg("reconcile")
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GRISTMILL_SCHEDULER_KEYSTORE_PASSWORD", PASSWORD)
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[tokio::test]
async fn the_command_tells_stops_and_resumes() {
    let anvil = Anvil::start().await;
    let history = busy(&anvil).await;
    let operator = Operator::new(&anvil);
    let (code, _, stderr) = operator.reconcile(&[]).await;
    assert_eq!(code, 3, "without a database there is nothing to compare");
    assert!(stderr.contains("gristmill-scheduler migrate"), "{stderr}");

    let store: Arc<dyn Store> = Arc::new(
        gristmill_scheduler::store::sqlite::SqliteStore::open(&operator.database()).unwrap(),
    );
    let mill = Mill::new(&anvil, store, 1);
    let (code, _, stderr) = operator.reconcile(&["--json"]).await;
    assert_eq!(code, 3);
    assert!(stderr.contains("has read no block"), "{stderr}");
    mill.watcher().step().await.unwrap();
    let (code, stdout, _) = operator.reconcile(&[]).await;
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("contract, events and database agree"), "{stdout}");
    assert!(stdout.contains("payouts are not stopped"), "{stdout}");
    assert!(!mill.is_stopped());

    let before = mill.stored(history.open);
    mill.save_job(&Job { escrow: Escrow::None, ..before.clone() }).await;
    let (code, stdout, _) = operator.reconcile(&["--json"]).await;
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["differences"][0]["job"], json!(history.open));
    assert_eq!(report["differences"][0]["kind"], "database");
    assert_eq!(report["tokens"][0]["owed"], "9003000");
    assert!(report["payouts_stopped"]["reason"].as_str().unwrap().contains("job 0x"));
    assert!(mill.is_stopped());

    let (code, stdout, _) = operator.reconcile(&["--resume"]).await;
    assert_eq!(code, 1);
    assert!(stdout.contains("refused: payouts stay stopped"), "{stdout}");
    assert!(mill.is_stopped());
    let (code, _, stderr) = operator.reconcile(&["--force", "I know"]).await;
    assert_eq!(code, 2, "a force without a resumption is a slip: {stderr}");

    let (code, stdout, _) = operator.reconcile(&["--resume", "--force", "I know"]).await;
    assert_eq!(code, 0, "{stdout}");
    assert!(!mill.is_stopped());
    let (code, stdout, _) = operator.reconcile(&[]).await;
    assert_eq!(code, 0, "what was accepted stops nothing again: {stdout}");
    assert!(stdout.contains("accepted by force"), "{stdout}");
    let accepted = Difference {
        kind: DifferenceKind::Database,
        job: Some(history.open),
        detail: report["differences"][0]["detail"].as_str().unwrap().to_owned(),
    };
    assert!(mill.read(|rows| rows.is_accepted(&accepted)));

    // Another difference of the same job does.
    mill.save_job(&Job { escrow: Escrow::Cancelled, ..before.clone() }).await;
    assert_eq!(operator.reconcile(&[]).await.0, 1);
    mill.save_job(&before).await;
    let (code, stdout, _) = operator.reconcile(&[]).await;
    assert_eq!(code, 1, "still stopped, though nothing differs: {stdout}");
    assert!(stdout.contains("--resume"), "{stdout}");
    let (code, stdout, _) = operator.reconcile(&["--resume"]).await;
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("payouts go on again"), "{stdout}");
    assert_eq!(operator.reconcile(&[]).await.0, 0);
    assert!(!mill.is_stopped());
}
