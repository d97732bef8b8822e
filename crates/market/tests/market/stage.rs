//! A small market for tests: commands in, and what they change out.

use gristmill_market::attempt::Attempt;
use gristmill_market::command::{ChainEvent, Command, Fact, Speaker, Verdict};
use gristmill_market::demand::KnownSpec;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::escrow::ChainPosition;
use gristmill_market::job::Job;
use gristmill_market::node::{Node, Standing};
use gristmill_market::reply::Lease;
use gristmill_market::{Changes, Policy, Rejection, Reply, World, decide};
use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptRef, AttemptState, EventBody, JobState, Offer, Stop};
use gristmill_protocol::ids::{AttemptNumber, JobId, LeaseToken, ManifestHash, NodeId, SpecHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::{Funding, Order, OrderSignature, OrderTree};
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::CompactSignature;
use gristmill_protocol::spec::{JobSpec, RuntimeKind};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

pub const START_S: u64 = 1_800_000_000;
pub const SCHEDULER: Address = Address::repeat_byte(0xEE);
pub const SUBMITTER: Address = Address::repeat_byte(0xA1);
pub const RELEASE: CompactSignature = CompactSignature([9; 64]);
const GIB: u64 = 1 << 30;

/// The market, and the clock.
pub struct Stage {
    pub world: World,
    pub now: Timestamp,
    block: u64,
    tokens: u64,
}

pub fn spec() -> JobSpec {
    JobSpec::from_json(
        br#"{"version":1,"name":"digits","runtime":{"kind":"wasm",
        "module":"bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni"},"max_run_seconds":100,"retries":2}"#,
    )
    .unwrap()
}

pub fn terms() -> Terms {
    Terms {
        submitter: SUBMITTER,
        scheduler: SCHEDULER,
        arbiter: SCHEDULER,
        token: Address::ZERO,
        bounty: Amount(1000),
        fee: Amount(50),
        bond: Amount::ZERO,
        dispute_bond: Amount::ZERO,
        deadline: START_S + 4000,
        lease_seconds: 400,
        grace_seconds: 60,
        attempt_seconds: 1000,
        hold_seconds: 0,
        challenge_window: 3600,
        ruling_seconds: 3600,
        spec_hash: SpecHash([1; 32].into()),
        salt: [0; 32].into(),
    }
}

pub fn offer() -> Offer {
    Offer {
        runtimes: vec![RuntimeKind::Wasm],
        cpu_millis: 2000,
        memory_bytes: 4 * GIB,
        disk_bytes: 10 * GIB,
        gpus: Vec::new(),
        price_floor: Amount(100),
        token: Address::ZERO,
        max_run_seconds: 3600,
        log_bytes_max: 1 << 20,
        bond_max: Amount(40),
    }
}

pub fn job_id(byte: u8) -> JobId {
    JobId([byte; 32].into())
}

/// The job that most tests are about.
pub fn job() -> JobId {
    job_id(1)
}

pub fn node_id(byte: u8) -> NodeId {
    NodeId(Address::repeat_byte(byte))
}

pub fn provider(byte: u8) -> Address {
    Address::repeat_byte(0xB0 | byte)
}

pub fn attempt(number: u16) -> AttemptNumber {
    AttemptNumber(number)
}

impl Stage {
    pub fn new() -> Self {
        let mut policy = Policy::new(SCHEDULER);
        policy.fee_bps = 100;
        Self {
            world: World::new(policy),
            now: Timestamp::from_unix_seconds(START_S),
            block: 0,
            tokens: 0,
        }
    }

    pub fn ask(&mut self, command: Command) -> Result<Reply, Rejection> {
        let before = self.world.clone();
        let reply = decide(&mut self.world, command, self.now);
        if reply.is_err() {
            assert_eq!(self.world, before, "a rejection changes nothing");
        }
        reply
    }

    /// What has changed since the last call.
    pub fn take(&mut self) -> Changes {
        self.world.take_changes()
    }

    /// The intents that were planned since the last call.
    pub fn intents(&mut self) -> Vec<IntentAction> {
        self.take().intents.into_iter().map(|intent| intent.action).collect()
    }

    pub fn events(&mut self) -> Vec<EventBody> {
        self.take().events.into_iter().map(|event| event.body).collect()
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus_seconds(seconds);
    }

    /// Lets time pass while these nodes are heard.
    pub fn pass_heard(&mut self, seconds: u64, nodes: &[u8]) {
        self.pass(seconds);
        for node in nodes {
            self.world.nodes.get_mut(&node_id(*node)).unwrap().heard_at = self.now;
        }
    }

    pub fn now_s(&self) -> u64 {
        self.now.unix_seconds()
    }

    pub fn token(&mut self) -> LeaseToken {
        self.tokens += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.tokens.to_be_bytes());
        LeaseToken(bytes.into())
    }

    // ---- rows ----

    pub fn job(&self) -> &Job {
        &self.world.jobs[&job()]
    }

    pub fn state(&self) -> JobState {
        self.job().state.name()
    }

    pub fn row(&self, number: u16) -> &Attempt {
        &self.world.attempts[&(job(), attempt(number))]
    }

    pub fn attempt_state(&self, number: u16) -> AttemptState {
        self.row(number).state
    }

    pub fn node(&self, node: u8) -> &Node {
        &self.world.nodes[&node_id(node)]
    }

    // ---- the submitter ----

    pub fn create_as(
        &mut self,
        id: JobId,
        terms: Terms,
        spec: JobSpec,
    ) -> Result<Reply, Rejection> {
        let token = self.token();
        let spec = KnownSpec { hash: terms.spec_hash, spec };
        self.ask(Command::CreateJob {
            job: id,
            by: terms.submitter,
            terms,
            spec,
            funding: None,
            token,
        })
    }

    /// A job that an order of its submitter pays for.
    pub fn create_prepaid(&mut self, terms: Terms, expires: u64) -> Result<Reply, Rejection> {
        let token = self.token();
        let spec = KnownSpec { hash: terms.spec_hash, spec: spec() };
        let tree = OrderTree::new(&[job_id(9), job(), job_id(8)]).unwrap();
        let order = Order { root: tree.root(), epoch: 3, expires };
        let funding =
            Funding { order, signature: OrderSignature(vec![1; 65]), path: tree.path(1).unwrap() };
        let by = terms.submitter;
        self.ask(Command::CreateJob { job: job(), by, terms, spec, funding: Some(funding), token })
    }

    /// The node of an attempt accepts, until then.
    pub fn accept_bond(&mut self, number: u16, expires: u64) -> Result<Reply, Rejection> {
        let speaker = self.speaker(number);
        self.ask(Command::Accept { speaker, expires, signature: CompactSignature([7; 64]) })
    }

    pub fn create(&mut self) {
        self.create_as(job(), terms(), spec()).unwrap();
    }

    pub fn cancel(&mut self) -> Result<Reply, Rejection> {
        self.ask(Command::CancelJob { job: job(), by: SUBMITTER })
    }

    // ---- the chain ----

    pub fn chain_at(&mut self, id: JobId, at_s: u64, fact: Fact) -> Result<Reply, Rejection> {
        self.block += 1;
        let position = ChainPosition { block: self.block, log_index: 0 };
        let token = self.token();
        self.ask(Command::Chain { event: ChainEvent { job: id, position, at_s, fact }, token })
    }

    pub fn chain(&mut self, fact: Fact) -> Result<Reply, Rejection> {
        self.chain_at(job(), self.now_s(), fact)
    }

    pub fn open(&mut self) {
        self.chain(Fact::Opened { terms: self.job().terms, spec: None }).unwrap();
    }

    pub fn assigned_on_chain(&mut self, number: u16, node: u8) {
        let (node, provider) = (node_id(node), provider(node));
        self.chain(Fact::Assigned { node, provider, attempt: attempt(number) }).unwrap();
    }

    pub fn fail(&mut self, intent: &Intent) -> Reply {
        let intent = intent.reference();
        self.ask(Command::IntentFailed { intent, reason: "reverted".into() }).unwrap()
    }

    /// Settled and paid at once, as for a job without a hold.
    pub fn settled_on_chain(&mut self, number: u16, node: u8) {
        let receipt_hash = self
            .row(number)
            .report
            .as_ref()
            .map(|report| report.receipt.hash())
            .unwrap_or_default();
        self.chain(Fact::Settled { node: node_id(node), attempt: attempt(number), receipt_hash })
            .unwrap();
        self.chain(Fact::Paid { provider: provider(node), amount: Amount(950), fee: Amount(50) })
            .unwrap();
    }

    // ---- nodes ----

    pub fn register(&mut self, node: u8, offer: Offer) {
        let (node, provider) = (node_id(node), provider(node));
        self.ask(Command::RegisterNode { node, provider, offer, standing: Standing::Good })
            .unwrap();
    }

    /// Polls with what the node holds; what is new, and what must stop.
    pub fn poll_with(
        &mut self,
        node: u8,
        holding: &[(JobId, u16)],
        draining: bool,
    ) -> (Vec<Lease>, Vec<Stop>) {
        let holding = holding
            .iter()
            .map(|(job, number)| AttemptRef { job_id: *job, attempt: attempt(*number) });
        let (holding, token) = (holding.collect(), self.token());
        match self.ask(Command::Poll { node: node_id(node), holding, draining, token }).unwrap() {
            Reply::Polled { assignments, stop } => (assignments, stop),
            other @ (Reply::Created { .. }
            | Reply::Job { .. }
            | Reply::Node { .. }
            | Reply::Unchanged) => panic!("a poll was answered with {other:?}"),
        }
    }

    /// Polls holding nothing.
    pub fn poll(&mut self, node: u8) -> Vec<Lease> {
        self.poll_with(node, &[], false).0
    }

    /// A node with the usual offer that waits for work.
    pub fn join(&mut self, node: u8) {
        self.register(node, offer());
        assert_eq!(self.poll(node), vec![]);
    }

    /// The node of an attempt, with its token.
    pub fn speaker(&self, number: u16) -> Speaker {
        let row = self.row(number);
        Speaker { node: row.node, job: row.job, attempt: row.number, token: row.token.unwrap() }
    }

    pub fn start(&mut self, number: u16) -> Result<Reply, Rejection> {
        let speaker = self.speaker(number);
        self.ask(Command::Start { speaker })
    }

    pub fn receipt(&self, speaker: Speaker, exit_code: i32) -> Receipt {
        Receipt {
            version: RECEIPT_VERSION,
            job_id: speaker.job,
            attempt: speaker.attempt,
            node: speaker.node,
            spec_hash: terms().spec_hash,
            outcome: Outcome::Exited { exit_code },
            output_cid: "bafy".into(),
            manifest_hash: ManifestHash::default(),
            output_bytes: 1,
            started_at_ms: self.now,
            finished_at_ms: self.now,
            fuel_used: None,
            log_bytes: 0,
        }
    }

    pub fn report(
        &mut self,
        number: u16,
        exit_code: i32,
        release: Option<CompactSignature>,
    ) -> Result<Reply, Rejection> {
        let speaker = self.speaker(number);
        let receipt = self.receipt(speaker, exit_code);
        self.ask(Command::Report {
            speaker,
            receipt,
            signature: CompactSignature([5; 64]),
            release,
        })
    }

    pub fn release(&mut self, number: u16) -> Result<Reply, Rejection> {
        let speaker = self.speaker(number);
        self.ask(Command::Release { speaker, signature: RELEASE, reason: "out of disk".into() })
    }

    pub fn judge(&mut self, number: u16, verdict: Verdict) -> Result<Reply, Rejection> {
        let report =
            self.world.attempts.get(&(job(), attempt(number))).and_then(|row| row.report.as_ref());
        let receipt_hash = report.map(|report| report.receipt.hash()).unwrap_or_default();
        self.ask(Command::Verdict { job: job(), attempt: attempt(number), receipt_hash, verdict })
    }

    pub fn accept(&mut self, number: u16) -> Result<Reply, Rejection> {
        self.judge(number, Verdict::Accept)
    }

    pub fn reject(&mut self, number: u16) -> Result<Reply, Rejection> {
        self.judge(number, Verdict::Reject { reasons: vec!["a byte differs".into()] })
    }

    // ---- time ----

    /// The job's timer, at this moment.
    pub fn tick(&mut self) -> Result<Reply, Rejection> {
        let token = self.token();
        self.ask(Command::JobDue { job: job(), token })
    }

    /// Moves the clock to the job's next timer and lets it fire.
    pub fn tick_due(&mut self) {
        self.now = self.now.max(self.job().due_at.unwrap());
        self.tick().unwrap();
    }

    // ---- places that many tests start from ----

    /// A funded job that node 1 has a lease for; the assignment is on chain.
    pub fn assigned() -> Self {
        let mut stage = Self::new();
        stage.join(1);
        stage.create();
        stage.open();
        stage.assigned_on_chain(1, 1);
        assert_eq!(stage.state(), JobState::Assigned);
        stage
    }

    /// The node works.
    pub fn running() -> Self {
        let mut stage = Self::assigned();
        stage.start(1).unwrap();
        stage
    }

    /// The node's result is being checked.
    pub fn verifying() -> Self {
        let mut stage = Self::running();
        stage.report(1, 0, None).unwrap();
        assert_eq!(stage.state(), JobState::Verifying);
        stage
    }

    /// The result is accepted.
    pub fn settling() -> Self {
        let mut stage = Self::verifying();
        stage.accept(1).unwrap();
        assert_eq!(stage.state(), JobState::Settling);
        stage
    }

    /// The node went silent and is being called in.
    pub fn calling_in() -> Self {
        let mut stage = Self::running();
        while stage.state() == JobState::Assigned {
            stage.tick_due();
        }
        assert_eq!(stage.state(), JobState::CallingIn);
        stage
    }
}
