//! The chain drivers on a real chain: what is planned is mined once, whatever crashes, gets stuck or is reorganized.
//!
//! Drivers are moved step by step and blocks are mined by hand, so nothing here waits for time to pass.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

#[path = "chain/anvil.rs"]
mod anvil;
#[path = "chain/faults.rs"]
mod faults;
#[path = "chain/history.rs"]
mod history;
#[path = "chain/market.rs"]
mod market;
#[path = "chain/proxy.rs"]
mod proxy;
#[path = "chain/rebuild.rs"]
mod rebuild;
#[path = "chain/reconcile.rs"]
mod reconcile;

use std::sync::Arc;

use alloy::network::TransactionBuilder;
use alloy::primitives::U256;
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use anvil::Anvil;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::escrow::{ChainPosition, Escrow};
use gristmill_market::job::{Job, State};
use gristmill_market::{Changes, Policy};
use gristmill_protocol::Address;
use gristmill_protocol::api::{IntentState, TransactionView};
use gristmill_protocol::contracts::{IJobMarket, JobMarket};
use gristmill_protocol::ids::{AttemptNumber, JobId, SpecHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use gristmill_scheduler::clock::Clock;
use gristmill_scheduler::drivers::chain_sender::{ChainSender, Memory};
use gristmill_scheduler::drivers::chain_watcher::{ChainNow, ChainWatcher};
use gristmill_scheduler::store::chain::{ReplicaId, TxRow, TxState};
use gristmill_scheduler::store::memory::MemoryStore;
use gristmill_scheduler::store::sqlite::SqliteStore;
use gristmill_scheduler::store::{Reads, Store, StoreError, standing};
use gristmill_scheduler::turn::{TurnThread, Turns};
use gristmill_scheduler::wake::Wake;
use tokio::sync::watch;

const OPEN: u8 = 1;
const ASSIGNED: u8 = 2;
const CANCELLED: u8 = 8;
const GWEI: u64 = 1_000_000_000;

/// A scheduler's store, turn and chain drivers, against one chain.
struct Mill<'a> {
    anvil: &'a Anvil,
    store: Arc<dyn Store>,
    turns: Turns,
    _thread: TurnThread,
    wake: Arc<Wake>,
    clock: Clock,
    now: watch::Sender<Option<ChainNow>>,
    finality_depth: u64,
}

impl<'a> Mill<'a> {
    fn new(anvil: &'a Anvil, store: Arc<dyn Store>, finality_depth: u64) -> Self {
        let wake = Arc::new(Wake::default());
        let policy = Policy::new(anvil.scheduler.address());
        let writer = store.writer().unwrap();
        let (turns, thread) =
            Turns::start(writer, policy, Clock::system(), Arc::clone(&wake)).unwrap();
        let now = watch::Sender::new(None);
        Self {
            anvil,
            store,
            turns,
            _thread: thread,
            wake,
            clock: Clock::system(),
            now,
            finality_depth,
        }
    }

    fn watcher(&self) -> ChainWatcher {
        ChainWatcher {
            rpc: self.anvil.rpc(),
            store: Arc::clone(&self.store),
            turns: self.turns.clone(),
            clock: self.clock.clone(),
            deployment: self.anvil.deployment.clone(),
            scheduler: self.anvil.scheduler.address(),
            content: None,
            finality_depth: self.finality_depth,
            poll_interval_ms: 10,
            log_blocks_max: 3,
            health: Arc::default(),
            now: self.now.clone(),
        }
    }

    /// A sender as a process that has just started would have it.
    fn sender(&self) -> ChainSender {
        ChainSender {
            rpc: self.anvil.rpc(),
            store: Arc::clone(&self.store),
            turns: self.turns.clone(),
            wake: Arc::clone(&self.wake),
            clock: self.clock.clone(),
            signer: self.anvil.scheduler.clone(),
            replica: ReplicaId([1; 16]),
            chain_id: self.anvil.deployment.chain_id,
            contract: self.anvil.deployment.contract,
            finality_depth: self.finality_depth,
            fee_ceiling_wei: 1_000 * GWEI,
            now: self.now.subscribe(),
            memory: Memory::default(),
        }
    }

    fn read<T>(&self, read: impl Fn(&dyn Reads) -> Result<T, StoreError>) -> T {
        let mut found = None;
        self.store
            .read_with(&mut |rows| {
                found = Some(read(rows)?);
                Ok(())
            })
            .unwrap();
        found.unwrap()
    }

    /// Opens a job on chain, and plans its assignment as the rules would.
    async fn plan_assignment(&self, terms: Terms) -> (JobId, Intent) {
        self.anvil.open(&terms).await;
        self.plan(terms).await
    }

    /// Plans the assignment of a job that is open on chain.
    async fn plan(&self, terms: Terms) -> (JobId, Intent) {
        let id = terms.id(&self.anvil.deployment.domain());
        let intent = Intent {
            job: id,
            action: IntentAction::Assign {
                attempt: AttemptNumber(1),
                node: self.anvil.node_id(),
                acceptance: None,
            },
            round: 0,
        };
        let changes = Changes {
            jobs: vec![job(id, terms)],
            intents: vec![intent.clone()],
            ..Changes::default()
        };
        self.turns.write("test_plan", move |rows| rows.save(&changes)).await.unwrap();
        (id, intent)
    }

    fn transaction(&self, job: JobId) -> TransactionView {
        let views = self.read(|rows| rows.transactions_of(job));
        assert_eq!(views.len(), 1, "one intent, one row: {views:?}");
        views.into_iter().next().unwrap()
    }

    fn open_txs(&self) -> Vec<TxRow> {
        self.read(|rows| rows.open_txs(self.anvil.scheduler.address(), 100))
    }
}

fn terms(anvil: &Anvil, salt: u8, now_s: u64) -> Terms {
    Terms {
        submitter: anvil.submitter,
        scheduler: anvil.scheduler.address(),
        arbiter: anvil.scheduler.address(),
        token: Address::ZERO,
        bounty: Amount(1_000_000),
        fee: Amount(10_000),
        bond: Amount::ZERO,
        dispute_bond: Amount::ZERO,
        deadline: now_s + 86_400,
        lease_seconds: 3600,
        grace_seconds: 60,
        attempt_seconds: 36_000,
        hold_seconds: 0,
        challenge_window: 3600,
        ruling_seconds: 3600,
        spec_hash: SpecHash::default(),
        salt: alloy::primitives::B256::repeat_byte(salt),
    }
}

fn job(id: JobId, terms: Terms) -> Job {
    Job {
        id,
        terms,
        demand: None,
        funding: None,
        state: State::Assigned { attempt: AttemptNumber(1) },
        escrow: Escrow::Open,
        escrow_at: ChainPosition::default(),
        assignments: AttemptNumber(0),
        newest: AttemptNumber(1),
        excluded: Vec::new(),
        setbacks: Vec::new(),
        version: 0,
        created_at: Timestamp(1),
        queued_at: Timestamp(1),
        due_at: None,
        ended_at: None,
    }
}

fn sqlite() -> (tempfile::TempDir, Arc<dyn Store>) {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("scheduler.sqlite")).unwrap();
    (directory, Arc::new(store))
}

#[tokio::test]
async fn an_intent_is_mined_once_and_becomes_final() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let (watcher, mut sender) = (mill.watcher(), mill.sender());
    let (id, intent) = mill.plan_assignment(terms(&anvil, 1, anvil.timestamp().await)).await;
    assert!(!sender.step().await.unwrap(), "it does nothing before it has seen a block");
    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    assert_eq!(mill.transaction(id).state, IntentState::Sent);
    anvil.mine(1).await;
    assert_eq!(anvil.job(id).await, (ASSIGNED, 1));

    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    let view = mill.transaction(id);
    assert_eq!(view.state, IntentState::Final);
    assert!(view.gas_used.is_some_and(|gas| gas > 21_000), "{view:?}");
    assert!(view.hash.is_some());

    // Planned again, looked at again: nothing more happens.
    mill.turns.write("test_plan", move |rows| rows.insert_intent(&intent)).await.unwrap();
    for _ in 0..3 {
        anvil.mine(1).await;
        watcher.step().await.unwrap();
        sender.step().await.unwrap();
    }
    mill.transaction(id);
    assert_eq!(anvil.scheduler_nonce().await, 1);
}

#[tokio::test]
async fn what_is_planned_together_shares_a_transaction_and_what_is_stale_fails_alone() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let (watcher, mut sender) = (mill.watcher(), mill.sender());
    let now_s = anvil.timestamp().await;
    let mut jobs = Vec::new();
    for salt in 1..=5 {
        let terms = terms(&anvil, salt, now_s);
        anvil.open(&terms).await;
        jobs.push((mill.plan(terms).await.0, terms));
    }
    watcher.step().await.unwrap();
    assert!(sender.sign_only().await.unwrap());
    assert_eq!(mill.open_txs().len(), 1, "five assignments are one transaction");
    assert_eq!(mill.open_txs()[0].intents.len(), 5);
    // The submitter is faster with one of them.
    let withdrawn = jobs.remove(2);
    let cancel = JobMarket::cancelCall { t: IJobMarket::Terms::from(&withdrawn.1) };
    anvil.call(anvil.submitter, &cancel, 0).await;
    for _ in 0..3 {
        sender.step().await.unwrap();
        anvil.mine(1).await;
        watcher.step().await.unwrap();
    }
    sender.step().await.unwrap();

    let first = mill.transaction(jobs[0].0);
    for (id, _) in &jobs {
        assert_eq!(anvil.job(*id).await, (ASSIGNED, 1));
        let view = mill.transaction(*id);
        assert_eq!((view.state, view.hash), (IntentState::Final, first.hash));
    }
    assert_eq!(mill.transaction(withdrawn.0).state, IntentState::Blocked);
    assert_eq!(anvil.job(withdrawn.0).await, (CANCELLED, 0));
    assert_eq!(anvil.scheduler_nonce().await, 1, "one transaction, and none again");
}

#[tokio::test]
async fn a_crash_before_or_after_sending_leads_to_one_transaction() {
    let anvil = Anvil::start().await;
    for (salt, sent_before_the_crash) in [(1, false), (2, true)] {
        let (_directory, store) = sqlite();
        let mill = Mill::new(&anvil, store, 1);
        let watcher = mill.watcher();
        let nonce = anvil.scheduler_nonce().await;
        let (id, _) = mill.plan_assignment(terms(&anvil, salt, anvil.timestamp().await)).await;
        watcher.step().await.unwrap();
        let mut sender = mill.sender();
        assert!(sender.sign_only().await.unwrap());
        assert_eq!(mill.transaction(id).state, IntentState::Signed);
        let stored = mill.open_txs();
        if sent_before_the_crash {
            anvil.rpc().send(&stored[0].newest().raw).await.unwrap();
            anvil.mine(1).await;
        }
        drop(sender);
        assert_eq!(anvil.scheduler_nonce().await, nonce + u64::from(sent_before_the_crash));

        let mut sender = mill.sender();
        for _ in 0..3 {
            sender.step().await.unwrap();
            anvil.mine(1).await;
            watcher.step().await.unwrap();
        }
        sender.step().await.unwrap();
        let view = mill.transaction(id);
        assert_eq!(view.state, IntentState::Final);
        assert_eq!(view.hash, Some(stored[0].newest().hash), "the stored bytes, not others");
        assert_eq!(anvil.scheduler_nonce().await, nonce + 1);
        assert_eq!(anvil.job(id).await, (ASSIGNED, 1));
    }
}

#[tokio::test]
async fn a_stuck_transaction_is_priced_anew_once_a_block_up_to_the_ceiling() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let (watcher, mut sender) = (mill.watcher(), mill.sender());
    let now_s = anvil.timestamp().await;
    let (first, second) = (terms(&anvil, 1, now_s), terms(&anvil, 2, now_s));
    for terms in [first, second] {
        anvil.open(&terms).await;
    }
    watcher.step().await.unwrap();
    // One after the other, or they would share a transaction.
    let (first, _) = mill.plan(first).await;
    sender.step().await.unwrap();
    let (second, _) = mill.plan(second).await;
    sender.step().await.unwrap();
    let offered = mill.open_txs()[0].newest().max_fee_wei;
    // From now on the chain asks for far more than was offered, but no more than the ceiling.
    let base_fee = offered * 3;
    let mut counts = Vec::new();
    for _ in 0..6 {
        anvil.set_base_fee(base_fee).await;
        anvil.mine(1).await;
        watcher.step().await.unwrap();
        sender.step().await.unwrap();
        sender.step().await.unwrap();
        let open = mill.open_txs();
        let Some(lowest) = open.iter().find(|tx| tx.state == TxState::Sent) else { break };
        counts.push(lowest.broadcasts.len());
        for pair in lowest.broadcasts.windows(2) {
            assert!(pair[1].max_fee_wei >= pair[0].max_fee_wei + pair[0].max_fee_wei.div_ceil(8));
            assert!(pair[1].at_block > pair[0].at_block, "at most once a block");
        }
        if let Some(other) = open.iter().filter(|tx| tx.state == TxState::Sent).nth(1) {
            assert_eq!(other.broadcasts.len(), 1, "only the lowest nonce is priced anew");
        }
    }
    assert!(counts.contains(&2), "{counts:?}");
    for _ in 0..3 {
        anvil.set_base_fee(GWEI).await;
        anvil.mine(1).await;
        watcher.step().await.unwrap();
        sender.step().await.unwrap();
    }
    for id in [first, second] {
        assert_eq!(mill.transaction(id).state, IntentState::Final);
        assert_eq!(anvil.job(id).await, (ASSIGNED, 1));
    }
    assert_eq!(anvil.scheduler_nonce().await, 2);
}

#[tokio::test]
async fn the_ceiling_is_never_passed() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let (watcher, mut sender) = (mill.watcher(), mill.sender());
    let (id, _) = mill.plan_assignment(terms(&anvil, 1, anvil.timestamp().await)).await;
    watcher.step().await.unwrap();
    sender.fee_ceiling_wei = 2 * GWEI;
    for _ in 0..5 {
        sender.step().await.unwrap();
        anvil.set_base_fee(100 * GWEI).await;
        anvil.mine(1).await;
        watcher.step().await.unwrap();
    }
    let open = mill.open_txs();
    assert!(
        open[0].broadcasts.iter().all(|broadcast| broadcast.max_fee_wei <= 2 * GWEI),
        "{open:?}"
    );
    assert_eq!(mill.transaction(id).state, IntentState::Sent, "it is not given up either");
    // Fees fall again, and the same bytes are mined.
    anvil.set_base_fee(GWEI).await;
    sender.step().await.unwrap();
    anvil.set_base_fee(GWEI).await;
    anvil.mine(1).await;
    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    assert_eq!(mill.transaction(id).state, IntentState::Final);
}

#[tokio::test]
async fn the_nonce_of_a_pointless_intent_is_used_up_by_a_transfer_of_nothing() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let (watcher, mut sender) = (mill.watcher(), mill.sender());
    let terms = terms(&anvil, 1, anvil.timestamp().await);
    let (id, _) = mill.plan_assignment(terms).await;
    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    let offered = mill.open_txs()[0].newest().max_fee_wei;
    // The submitter's cancellation pays what the chain asks for, ours does not: it overtakes.
    let t = IJobMarket::Terms::from(&terms);
    anvil.queue(anvil.submitter, &JobMarket::cancelCall { t }, u128::from(offered) * 10).await;
    for _ in 0..3 {
        anvil.set_base_fee(offered * 2).await;
        anvil.mine(1).await;
        watcher.step().await.unwrap();
        sender.step().await.unwrap();
    }
    assert_eq!(anvil.job(id).await, (CANCELLED, 0));
    anvil.set_base_fee(GWEI).await;
    anvil.mine(1).await;
    for _ in 0..3 {
        watcher.step().await.unwrap();
        sender.step().await.unwrap();
    }
    assert_eq!(mill.transaction(id).state, IntentState::Blocked);
    assert_eq!(anvil.scheduler_nonce().await, 1, "the nonce is used up");
    assert!(mill.open_txs().is_empty());
    assert!(mill.read(|rows| rows.unreported_intents(10)).is_empty(), "the rules have heard of it");
}

#[tokio::test]
async fn a_reorganization_turns_mined_back_to_sent_and_it_is_mined_again() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 3);
    let (watcher, mut sender) = (mill.watcher(), mill.sender());
    let (id, _) = mill.plan_assignment(terms(&anvil, 1, anvil.timestamp().await)).await;
    anvil.mine(3).await;
    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    anvil.mine(2).await;
    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    assert_eq!(mill.transaction(id).state, IntentState::Mined);
    let cursor = mill.read(|rows| rows.chain_cursor()).unwrap();

    anvil.reorganize(2).await;
    assert_eq!(anvil.job(id).await, (OPEN, 0), "the reorganization took it back");
    watcher.step().await.unwrap();
    assert_eq!(mill.transaction(id).state, IntentState::Sent);
    assert_eq!(
        mill.read(|rows| rows.chain_cursor()).unwrap(),
        cursor,
        "nothing final was replaced"
    );
    sender.step().await.unwrap();
    anvil.mine(1).await;
    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    assert_eq!(mill.transaction(id).state, IntentState::Mined);
    anvil.mine(1).await;
    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    assert_eq!(mill.transaction(id).state, IntentState::Mined, "two blocks of three");
    anvil.mine(1).await;
    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    assert_eq!(mill.transaction(id).state, IntentState::Final);
    assert_eq!(anvil.job(id).await, (ASSIGNED, 1));
    assert_eq!(anvil.scheduler_nonce().await, 1);
}

#[tokio::test]
async fn a_nonce_that_somebody_else_used_is_replaced_by_another() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let (watcher, mut sender) = (mill.watcher(), mill.sender());
    let (id, _) = mill.plan_assignment(terms(&anvil, 1, anvil.timestamp().await)).await;
    watcher.step().await.unwrap();
    assert!(sender.sign_only().await.unwrap());
    let ours = anvil.scheduler.address();
    let foreign =
        TransactionRequest::default().with_from(ours).with_to(ours).with_value(U256::ZERO);
    anvil.transact(foreign).await;
    for _ in 0..4 {
        watcher.step().await.unwrap();
        sender.step().await.unwrap();
        anvil.mine(1).await;
    }
    assert_eq!(mill.transaction(id).state, IntentState::Final);
    assert_eq!(anvil.job(id).await, (ASSIGNED, 1));
    assert_eq!(anvil.scheduler_nonce().await, 2, "the foreign one and ours");
}

#[tokio::test]
async fn what_the_contract_refuses_takes_no_nonce() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mill = Mill::new(&anvil, store, 1);
    let (watcher, mut sender) = (mill.watcher(), mill.sender());
    let terms = terms(&anvil, 1, anvil.timestamp().await);
    let (id, _) = mill.plan_assignment(terms).await;
    let t = IJobMarket::Terms::from(&terms);
    anvil.call(anvil.submitter, &JobMarket::cancelCall { t }, 0).await;
    // Another that has to wait for the chain's clock: its job is opened, and its deadline is to come.
    watcher.step().await.unwrap();
    sender.step().await.unwrap();
    sender.step().await.unwrap();
    assert_eq!(mill.transaction(id).state, IntentState::Blocked);
    assert!(mill.read(|rows| rows.unreported_intents(10)).is_empty());
    assert_eq!(anvil.scheduler_nonce().await, 0);
    assert!(mill.open_txs().is_empty());
}

#[tokio::test]
async fn only_one_of_two_replicas_sends() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let mut mill = Mill::new(&anvil, store, 1);
    mill.clock = Clock::manual(Timestamp::from_unix_seconds(anvil.timestamp().await));
    let watcher = mill.watcher();
    watcher.step().await.unwrap();
    let (mut one, mut two) = (mill.sender(), mill.sender());
    two.replica = ReplicaId([2; 16]);
    assert!(one.step().await.unwrap());
    assert!(!two.step().await.unwrap(), "the other one holds the lease");
    let (id, _) = mill.plan_assignment(terms(&anvil, 1, anvil.timestamp().await)).await;
    mill.clock.advance_ms(60_000);
    assert!(two.step().await.unwrap(), "it has run out");
    anvil.mine(1).await;
    assert!(!one.step().await.unwrap(), "it is the other's now");
    watcher.step().await.unwrap();
    two.step().await.unwrap();
    assert_eq!(mill.transaction(id).state, IntentState::Final);
    assert_eq!(anvil.scheduler_nonce().await, 1);
}

#[tokio::test]
async fn a_watcher_that_starts_from_nothing_learns_the_same() {
    let anvil = Anvil::start().await;
    let (_directory, store) = sqlite();
    let live = Mill::new(&anvil, store, 1);
    let watcher = live.watcher();
    let stranger =
        Terms { scheduler: Address::repeat_byte(9), ..terms(&anvil, 9, anvil.timestamp().await) };
    anvil.open(&stranger).await;
    let mut ids = Vec::new();
    for salt in 1..=5 {
        let terms = terms(&anvil, salt, anvil.timestamp().await);
        anvil.open(&terms).await;
        watcher.step().await.unwrap();
        ids.push(terms.id(&anvil.deployment.domain()));
        if salt == 3 {
            let t = IJobMarket::Terms::from(&terms);
            anvil.call(anvil.submitter, &JobMarket::cancelCall { t }, 0).await;
        }
    }
    let scheduler = anvil.scheduler.address();
    anvil.call(anvil.provider, &JobMarket::disapproveSchedulerCall { scheduler }, 0).await;
    watcher.step().await.unwrap();
    // A step with nothing new, and a restart, apply nothing twice.
    watcher.step().await.unwrap();
    live.watcher().step().await.unwrap();

    let rebuilt = Mill::new(&anvil, Arc::new(MemoryStore::default()), 1);
    rebuilt.watcher().step().await.unwrap();
    for id in &ids {
        let facts = |mill: &Mill<'_>| {
            let job = mill.read(|rows| rows.job(*id)).expect("the event alone makes a job");
            let events = mill.read(|rows| rows.events(*id, 0, 100));
            let bodies: Vec<_> = events.into_iter().map(|event| event.body).collect();
            (job.escrow, job.escrow_at, job.state, bodies)
        };
        assert_eq!(facts(&live), facts(&rebuilt));
    }
    for mill in [&live, &rebuilt] {
        let id = stranger.id(&anvil.deployment.domain());
        assert!(
            mill.read(|rows| rows.job(id)).is_none(),
            "jobs of other schedulers are none of our business"
        );
        let standing = mill.read(|rows| standing(rows, anvil.node_id()));
        assert_eq!(standing, Some((anvil.provider, gristmill_market::node::Standing::NotApproved)));
    }
    assert_eq!(live.read(|rows| rows.chain_cursor()), rebuilt.read(|rows| rows.chain_cursor()));
    let head = anvil.control.get_block_number().await.unwrap();
    assert_eq!(live.read(|rows| rows.chain_cursor()).unwrap().number, head);
}

#[tokio::test]
async fn the_wrong_chain_is_refused_at_the_start() {
    let anvil = Anvil::start().await;
    let (rpc, signer) = (anvil.rpc(), anvil.scheduler.address());
    rpc.check(&anvil.deployment, signer).await.unwrap();
    let mut elsewhere = anvil.deployment.clone();
    elsewhere.chain_id = 39;
    assert!(rpc.check(&elsewhere, signer).await.unwrap_err().to_string().contains("chain 4439"));
    let mut nowhere = anvil.deployment.clone();
    nowhere.contract = Address::repeat_byte(1);
    assert!(rpc.check(&nowhere, signer).await.unwrap_err().to_string().contains("no contract"));
}
