//! A small market on a chain whose endpoints misbehave: the real rules, store, sender and watcher, and nodes that work.
//!
//! It moves beat by beat, a block and a second each, so nothing here waits for time to pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::network::TransactionBuilder;
use alloy::primitives::{B256, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{BlockNumberOrTag, Filter, TransactionRequest};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use gristmill_market::command::{Speaker, Verdict};
use gristmill_market::demand::KnownSpec;
use gristmill_market::{Command, Policy, Reply};
use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptRef, AttemptState, IntentKind, IntentState, JobState, Offer};
use gristmill_protocol::contracts::JobMarket::JobMarketEvents;
use gristmill_protocol::ids::{JobId, LeaseToken, ManifestHash, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::spec::{JobSpec, RuntimeKind};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use gristmill_scheduler::clock::Clock;
use gristmill_scheduler::drivers::chain_rpc::{CallLimits, ChainRpc};
use gristmill_scheduler::drivers::chain_sender::{ChainSender, Memory};
use gristmill_scheduler::drivers::chain_watcher::{ChainError, ChainNow, ChainWatcher};
use gristmill_scheduler::store::chain::{ReplicaId, TxRow};
use gristmill_scheduler::store::sqlite::SqliteStore;
use gristmill_scheduler::store::{self, Due, Reads, Store, StoreError};
use gristmill_scheduler::turn::{TurnThread, Turns};
use gristmill_scheduler::wake::Wake;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::watch;

use crate::anvil::Anvil;
use crate::proxy::Proxy;

const GWEI: u64 = 1_000_000_000;
const FINALITY_DEPTH: u64 = 6;
const NODES: usize = 3;
/// What a job's life looks like on chain, if it goes well.
const LIFE: [&str; 4] = ["Opened", "Assigned", "Settled", "Paid"];
/// So long a call may take for an impatient scheduler: more than a busy machine needs for an honest one.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_millis(700);
/// No job needs more beats than this after a fault is gone.
const BEATS_MAX: usize = 120;

pub(crate) struct Market {
    pub(crate) anvil: Anvil,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) watcher: ChainWatcher,
    pub(crate) sender: ChainSender,
    pub(crate) clock: Clock,
    store: Arc<dyn Store>,
    turns: Turns,
    nodes: Vec<PrivateKeySigner>,
    jobs: Vec<(JobId, Terms)>,
    /// What the step of the watcher and of the sender came to, in the last beat.
    pub(crate) outcomes: [Result<(), ChainError>; 2],
    log: Log,
    metrics: PrometheusHandle,
    before: Balances,
    _guards: (tracing::subscriber::DefaultGuard, metrics::LocalRecorderGuard<'static>),
    _thread: TurnThread,
    _directory: tempfile::TempDir,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Balances {
    provider: U256,
    /// What the scheduler has, and what the contract holds for it.
    scheduler_and_contract: U256,
    block: u64,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Market {
    /// A market whose scheduler knows the chain by `endpoints` endpoints, with idle nodes, and nothing wrong yet.
    pub(crate) async fn start(endpoints: usize) -> Self {
        Self::start_within(endpoints, CallLimits::default().timeout).await
    }

    /// The same, with one endpoint and a scheduler that does not wait long for it.
    pub(crate) async fn start_impatient() -> Self {
        Self::start_within(1, CALL_TIMEOUT).await
    }

    async fn start_within(endpoints: usize, timeout: Duration) -> Self {
        let anvil = Anvil::start().await;
        anvil.ask("anvil_setBlockTimestampInterval", serde_json::json!([1])).await;
        let mut nodes = vec![anvil.node.clone()];
        while nodes.len() < NODES {
            let node = PrivateKeySigner::random();
            anvil.enroll(&node).await;
            nodes.push(node);
        }
        let mut proxies = Vec::new();
        while proxies.len() < endpoints {
            proxies.push(Proxy::start(&anvil.url).await);
        }

        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        // The test's thread is the only one that drives, so what it says and counts is what the drivers say and count.
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let metrics = recorder.handle();
        let guards = (
            tracing::subscriber::set_default(subscriber),
            metrics::set_default_local_recorder(recorder),
        );

        let clock = Clock::manual(Timestamp::from_unix_seconds(anvil.timestamp().await));
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&directory.path().join("scheduler.sqlite")).unwrap());
        let wake = Arc::new(Wake::default());
        let policy = Policy { patience_seconds: 20, ..Policy::new(anvil.scheduler.address()) };
        let (turns, thread) =
            Turns::start(store.writer().unwrap(), policy, clock.clone(), Arc::clone(&wake))
                .unwrap();
        let urls: Vec<String> = proxies.iter().map(|proxy| proxy.url.clone()).collect();
        let limits = CallLimits { timeout, answer_bytes_max: 1 << 20 };
        let rpc = Arc::new(ChainRpc::with_limits(&urls, &anvil.deployment, limits).unwrap());
        let (now, seen) = watch::channel(None::<ChainNow>);
        let watcher = ChainWatcher {
            rpc: Arc::clone(&rpc),
            store: Arc::clone(&store),
            turns: turns.clone(),
            clock: clock.clone(),
            content: None,
            deployment: anvil.deployment.clone(),
            scheduler: anvil.scheduler.address(),
            finality_depth: FINALITY_DEPTH,
            poll_interval_ms: 10,
            log_blocks_max: 1000,
            health: Arc::default(),
            now,
        };
        let sender = ChainSender {
            rpc,
            store: Arc::clone(&store),
            turns: turns.clone(),
            wake,
            clock: clock.clone(),
            signer: anvil.scheduler.clone(),
            replica: ReplicaId([1; 16]),
            chain_id: anvil.deployment.chain_id,
            contract: anvil.deployment.contract,
            finality_depth: FINALITY_DEPTH,
            fee_ceiling_wei: 1_000 * GWEI,
            now: seen,
            memory: Memory::default(),
        };
        let before =
            Balances { provider: U256::ZERO, scheduler_and_contract: U256::ZERO, block: 0 };
        let mut market = Self {
            anvil,
            proxies,
            watcher,
            sender,
            clock,
            store,
            turns,
            nodes: Vec::new(),
            jobs: Vec::new(),
            outcomes: [Ok(()), Ok(())],
            log,
            metrics,
            before,
            _guards: guards,
            _thread: thread,
            _directory: directory,
        };
        // The enrolments become final, and the nodes may offer themselves.
        for _ in 0..FINALITY_DEPTH {
            market.beat().await;
        }
        market.register(nodes).await;
        market.before = market.balances().await;
        market
    }

    async fn register(&mut self, nodes: Vec<PrivateKeySigner>) {
        for node in &nodes {
            let node = NodeId(node.address());
            let standing = self.read(|rows| store::standing(rows, node));
            let (provider, standing) = standing.expect("its enrolment is final");
            let offer = Offer {
                runtimes: vec![RuntimeKind::Wasm],
                cpu_millis: 4000,
                memory_bytes: 8 << 30,
                disk_bytes: 32 << 30,
                gpus: Vec::new(),
                price_floor: Amount(1000),
                token: Address::ZERO,
                max_run_seconds: 3600,
                log_bytes_max: 1 << 20,
                bond_max: Amount::ZERO,
            };
            let register = Command::RegisterNode { node, provider, offer, standing };
            self.turns.submit(register).await.unwrap();
        }
        self.nodes = nodes;
    }

    /// A submitter opens a job on chain and posts it.
    pub(crate) async fn post_job(&mut self) -> JobId {
        let salt = u8::try_from(self.jobs.len() + 1).unwrap();
        let spec = spec();
        let scheduler = self.anvil.scheduler.address();
        let terms = Terms {
            submitter: self.anvil.submitter,
            scheduler,
            arbiter: scheduler,
            token: Address::ZERO,
            bounty: Amount(1_000_000 + u128::from(salt)),
            fee: Amount(10_000 + u128::from(salt)),
            bond: Amount::ZERO,
            dispute_bond: Amount::ZERO,
            deadline: self.anvil.timestamp().await + 86_400,
            lease_seconds: 3600,
            grace_seconds: 120,
            attempt_seconds: 7200,
            hold_seconds: 0,
            challenge_window: 3600,
            ruling_seconds: 3600,
            spec_hash: spec.hash,
            salt: B256::repeat_byte(salt),
        };
        self.anvil.open(&terms).await;
        let job = terms.id(&self.anvil.deployment.domain());
        let (by, token) = (terms.submitter, token());
        self.turns
            .submit(Command::CreateJob { job, by, terms, spec, funding: None, token })
            .await
            .unwrap();
        self.jobs.push((job, terms));
        job
    }

    pub(crate) async fn post_jobs(&mut self, count: usize) {
        for _ in 0..count {
            self.post_job().await;
        }
    }

    /// A second passes: both drivers look once, nodes work, timers run, and a block is mined.
    pub(crate) async fn beat(&mut self) {
        self.beat_without_block().await;
        self.anvil.mine(1).await;
    }

    pub(crate) async fn beat_without_block(&mut self) {
        self.clock.advance_ms(1000);
        self.outcomes[0] = self.watcher.step().await;
        self.outcomes[1] = self.sender.step().await.map(drop);
        self.work().await;
        self.wake_what_is_due().await;
    }

    pub(crate) async fn beats(&mut self, count: usize) {
        for _ in 0..count {
            self.beat().await;
        }
    }

    /// Goes on until `done`.
    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..BEATS_MAX {
            if done(self) {
                return;
            }
            self.beat().await;
        }
        let states: Vec<_> = self.jobs.iter().map(|(job, _)| self.state(*job)).collect();
        panic!(
            "not within {BEATS_MAX} beats: {what}\n{states:?} {:?}\n{:#?}\n{}",
            self.outcomes,
            self.open_txs(),
            self.log()
        );
    }

    pub(crate) async fn until_sent(&mut self, count: usize) {
        self.until("transactions are sent", |market| market.waiting().len() >= count).await;
    }

    pub(crate) async fn until_state(&mut self, job: JobId, state: JobState) {
        self.until(&format!("{job} is {state:?}"), |market| market.state(job) == state).await;
    }

    /// Goes on until something is in the pool, and mines no block then.
    pub(crate) async fn until_waiting(&mut self) {
        for _ in 0..BEATS_MAX {
            self.beat_without_block().await;
            if !self.waiting().is_empty() {
                return;
            }
            self.anvil.mine(1).await;
        }
        panic!("nothing is sent within {BEATS_MAX} beats:\n{}", self.log());
    }

    /// Somebody else sends a transaction with the scheduler's key.
    pub(crate) async fn use_key(&self, nonce: Option<u64>, max_fee_wei: u128) {
        let account = self.anvil.scheduler.address();
        let mut request = TransactionRequest::default()
            .with_from(account)
            .with_to(account)
            .with_value(U256::ZERO)
            .with_max_fee_per_gas(max_fee_wei)
            .with_max_priority_fee_per_gas(max_fee_wei);
        request.nonce = nonce;
        assert!(self.anvil.transact(request).await.status());
    }

    /// Nodes ask for work, and deliver what is assigned to them on chain.
    async fn work(&self) {
        for node in &self.nodes {
            let id = NodeId(node.address());
            let mine = self.read(|rows| {
                let mut mine = Vec::new();
                for (job, _) in &self.jobs {
                    let attempts = rows.attempts(*job)?;
                    mine.extend(attempts.into_iter().filter(|row| row.node == id));
                }
                Ok(mine)
            });
            let live = |state| matches!(state, AttemptState::Leased | AttemptState::Running);
            let holding = mine
                .iter()
                .filter(|row| live(row.state))
                .map(|row| AttemptRef { job_id: row.job, attempt: row.number })
                .collect();
            let poll = Command::Poll { node: id, holding, draining: false, token: token() };
            assert!(matches!(self.turns.submit(poll).await, Ok(Reply::Polled { .. })));
            for row in mine.into_iter().filter(|row| live(row.state)) {
                let Some(token) = row.token else { continue };
                if !self.anvil.is_assigned(row.job, row.number).await {
                    continue;
                }
                let speaker = Speaker { node: id, job: row.job, attempt: row.number, token };
                let receipt = self.receipt(&speaker);
                let digest = self.anvil.deployment.domain().digest(&Message::Result {
                    job_id: row.job,
                    attempt: row.number,
                    node: id,
                    receipt_hash: receipt.hash(),
                });
                let signature = CompactSignature::new(&node.sign_hash_sync(&digest).unwrap());
                let receipt_hash = receipt.hash();
                let report = Command::Report { speaker, receipt, signature, release: None };
                self.turns.submit(report).await.unwrap();
                let (job, attempt, verdict) = (row.job, row.number, Verdict::Accept);
                let verdict = Command::Verdict { job, attempt, receipt_hash, verdict };
                self.turns.submit(verdict).await.unwrap();
            }
        }
    }

    fn receipt(&self, speaker: &Speaker) -> Receipt {
        let now = self.clock.now();
        Receipt {
            version: RECEIPT_VERSION,
            job_id: speaker.job,
            attempt: speaker.attempt,
            node: speaker.node,
            spec_hash: spec().hash,
            outcome: Outcome::Exited { exit_code: 0 },
            output_cid: "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354".into(),
            manifest_hash: ManifestHash(B256::repeat_byte(3)),
            output_bytes: 1,
            started_at_ms: now,
            finished_at_ms: now,
            fuel_used: None,
            log_bytes: 0,
        }
    }

    async fn wake_what_is_due(&self) {
        let now = self.clock.now();
        let due = self.read(|rows| rows.due(now, 100));
        let commands = due.into_iter().map(|due| match due {
            Due::Job(job) => Command::JobDue { job, token: token() },
            Due::Node(node) => Command::NodeDue { node },
        });
        // What is not due after all is refused, which is the rules' affair.
        self.turns.submit_all(commands.collect()).await;
    }

    pub(crate) fn read<T>(&self, read: impl Fn(&dyn Reads) -> Result<T, StoreError>) -> T {
        let mut found = None;
        self.store
            .read_with(&mut |rows| {
                found = Some(read(rows)?);
                Ok(())
            })
            .unwrap();
        found.unwrap()
    }

    pub(crate) fn state(&self, job: JobId) -> JobState {
        self.read(|rows| rows.job(job)).unwrap().state.name()
    }

    pub(crate) fn terms(&self, job: JobId) -> Terms {
        self.jobs.iter().find(|(id, _)| *id == job).unwrap().1
    }

    pub(crate) fn open_txs(&self) -> Vec<TxRow> {
        self.read(|rows| rows.open_txs(self.anvil.scheduler.address(), 100))
    }

    /// What is signed and in no block, as far as the scheduler knows.
    pub(crate) fn waiting(&self) -> Vec<TxRow> {
        self.open_txs().into_iter().filter(|tx| tx.inclusion.is_none()).collect()
    }

    /// How many jobs have not ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.jobs.iter().filter(|(job, _)| !is_end(self.state(*job))).count()
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.0.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    /// An alarm is one line of the log of a level that is looked at.
    pub(crate) fn assert_alarm(&self, level: &str, text: &str) {
        let log = self.log();
        let found = log.lines().any(|line| line.contains(level) && line.contains(text));
        assert!(found, "no {level} says `{text}`:\n{log}");
    }

    pub(crate) fn assert_no_alarm(&self, level: &str) {
        let log = self.log();
        assert!(!log.lines().any(|line| line.contains(level)), "nothing is that wrong:\n{log}");
    }

    /// The sum over all labels; zero where it was never touched.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.metrics
            .render()
            .lines()
            .filter(|line| line.split([' ', '{']).next() == Some(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub(crate) fn failed_calls(&self, reason: &str) -> f64 {
        let wanted = format!("gristmill_chain_calls_failed_total{{reason=\"{reason}\"}} ");
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(&wanted));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    async fn balances(&self) -> Balances {
        let control = &self.anvil.control;
        let of = async |account: Address| control.get_balance(account).await.unwrap();
        let scheduler = of(self.anvil.scheduler.address()).await;
        Balances {
            provider: of(self.anvil.provider).await,
            scheduler_and_contract: scheduler + of(self.anvil.deployment.contract).await,
            block: control.get_block_number().await.unwrap(),
        }
    }

    /// Coin from outside, for the scheduler's account.
    pub(crate) async fn set_scheduler_balance(&mut self, wei: U256) {
        let account = self.anvil.scheduler.address();
        let now = self.anvil.control.get_balance(account).await.unwrap();
        self.anvil.ask("anvil_setBalance", serde_json::json!([account, wei])).await;
        let before = &mut self.before.scheduler_and_contract;
        *before = (*before + wei).wrapping_sub(now);
    }

    /// Goes on until every job has ended, and checks that each ended well, once, for exactly what its terms say, with as
    /// many transactions as that takes.
    pub(crate) async fn ends_well(&mut self) {
        self.ends_well_beside(0).await;
    }

    /// The same, beside so many transactions of the scheduler's key that are not the scheduler's.
    pub(crate) async fn ends_well_beside(&mut self, foreign: u64) {
        self.until("all jobs have ended", |market| {
            market.unfinished() == 0 && market.open_txs().is_empty()
        })
        .await;
        let mut ours = BTreeSet::new();
        for (job, _) in &self.jobs {
            assert_eq!(self.state(*job), JobState::Settled, "{}", self.log());
            assert_eq!(self.events_of(*job).await, LIFE, "{}", self.log());
            let mut views = self.read(|rows| rows.transactions_of(*job));
            // A settlement that is final late wants a claim for a moment, until its payment is read. It is never signed.
            views.retain(|view| view.kind != IntentKind::Claim || view.hash.is_some());
            assert!(views.iter().all(|view| view.state == IntentState::Final), "{views:#?}");
            assert_eq!(views.len(), 2, "one assignment and one settlement: {views:#?}");
            ours.extend(views.iter().filter_map(|view| view.hash));
        }
        let paid = self.jobs.iter().map(|(_, terms)| terms.bounty.0 - terms.fee.0).sum::<u128>();
        let fees = self.jobs.iter().map(|(_, terms)| terms.fee.0).sum::<u128>();
        // Intents that were planned together share a transaction.
        let sent = ours.len() as u64 + foreign;
        self.account(U256::from(paid), U256::from(fees), sent).await;
    }

    /// Checks who has gained how much, and that the scheduler paid for `sent` transactions and no more.
    pub(crate) async fn account(&self, paid: U256, fees: U256, sent: u64) {
        let (count, gas_wei) = self.mined_since_start().await;
        assert_eq!(count, sent, "transactions of the scheduler");
        let now = self.balances().await;
        assert_eq!(now.provider, self.before.provider + paid, "what the provider was paid");
        let expected = (self.before.scheduler_and_contract + fees).wrapping_sub(gas_wei);
        assert_eq!(now.scheduler_and_contract, expected, "what the scheduler earned, less gas");
    }

    /// The names of a job's events, in order.
    pub(crate) async fn events_of(&self, job: JobId) -> Vec<&'static str> {
        let filter = Filter::new()
            .address(self.anvil.deployment.contract)
            .from_block(BlockNumberOrTag::Earliest)
            .topic1(job.0);
        let logs = self.anvil.control.get_logs(&filter).await.unwrap();
        let name = |log: &alloy::rpc::types::Log| {
            JobMarketEvents::name_by_selector(log.topic0().unwrap().0).unwrap()
        };
        logs.iter().map(name).collect()
    }

    /// How many transactions of the scheduler are in blocks since the start, and what all of them cost.
    async fn mined_since_start(&self) -> (u64, U256) {
        let control = &self.anvil.control;
        let head = control.get_block_number().await.unwrap();
        let (mut count, mut gas_wei) = (0, U256::ZERO);
        for number in self.before.block + 1..=head {
            let receipts = control.get_block_receipts(number.into()).await.unwrap().unwrap();
            let ours = receipts.iter().filter(|it| it.from == self.anvil.scheduler.address());
            for receipt in ours {
                count += 1;
                gas_wei += U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
            }
        }
        (count, gas_wei)
    }

    /// How often each nonce's transaction was signed so far.
    pub(crate) fn broadcasts(&self) -> BTreeMap<u64, usize> {
        self.open_txs().iter().map(|tx| (tx.nonce, tx.broadcasts.len())).collect()
    }
}

fn is_end(state: JobState) -> bool {
    matches!(state, JobState::Settled | JobState::Refunded | JobState::Cancelled)
}

fn token() -> LeaseToken {
    LeaseToken(B256::from(rand::random::<[u8; 32]>()))
}

fn spec() -> KnownSpec {
    let json = br#"{"version":1,"name":"digits","runtime":{"kind":"wasm",
        "module":"bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni"},"max_run_seconds":60}"#;
    let spec = JobSpec::from_json(json).unwrap();
    KnownSpec { hash: spec.hash(), spec }
}
