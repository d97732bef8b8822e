//! The model of the contract, one verb after the other: exact money, and the contract's own errors.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use gristmill_protocol::Address;
use gristmill_protocol::api::{EscrowState, Ruling};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, ReceiptHash, SpecHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::{MultiProof, Order, OrderTree};
use gristmill_protocol::signing::{CompactSignature, Message};
use gristmill_protocol::terms::Terms;
use gristmill_sim::keys::{sign, sign_order, stand_ins};
use gristmill_sim::model::{
    Assignment, COIN, Call, Contract, Event, Opening, Revert, Settlement, no_order,
};

const NOW: u64 = 1_800_000_000;
const SUBMITTER: Address = Address::repeat_byte(0xA1);
const SCHEDULER: Address = Address::repeat_byte(0xEE);
const ARBITER: Address = Address::repeat_byte(0xAB);
const PROVIDER: Address = Address::repeat_byte(0xB0);
const RIVAL: Address = Address::repeat_byte(0xB1);
const STRANGER: Address = Address::repeat_byte(0xDD);
const TOKEN: Address = Address::repeat_byte(0x20);
const NODE: NodeId = NodeId(Address::repeat_byte(1));
const OTHER: NodeId = NodeId(Address::repeat_byte(2));
const NOBODYS: CompactSignature = CompactSignature([0; 64]);

fn terms(salt: u8) -> Terms {
    Terms {
        submitter: SUBMITTER,
        scheduler: SCHEDULER,
        arbiter: ARBITER,
        token: TOKEN,
        bounty: Amount(1000),
        fee: Amount(50),
        bond: Amount(41),
        dispute_bond: Amount(30),
        deadline: NOW + 10_000,
        lease_seconds: 400,
        grace_seconds: 60,
        attempt_seconds: 1000,
        hold_seconds: 300,
        challenge_window: 3600,
        ruling_seconds: 3600,
        spec_hash: SpecHash::default(),
        salt: [salt; 32].into(),
    }
}

fn id(terms: &Terms) -> JobId {
    JobId(terms.salt)
}

struct Bench {
    contract: Contract,
    now: u64,
}

impl Bench {
    /// Two providers with a node each; everybody has 10,000 of everything, and the providers have paid 100 in.
    fn new() -> Self {
        let mut bench = Self { contract: Contract::new(stand_ins()), now: NOW };
        for party in [SUBMITTER, SCHEDULER, PROVIDER, RIVAL, STRANGER] {
            for token in [COIN, TOKEN] {
                bench.contract.fund(party, token, 10_000);
            }
            bench.contract.allow(party, TOKEN, u128::MAX);
        }
        for (node, provider) in [(NODE, PROVIDER), (OTHER, RIVAL)] {
            let expires = NOW;
            let signature = sign(node.0, &Message::Enroll { node, provider, expires });
            bench.ok(provider, Call::Enroll { node, expires, signature });
            let (scheduler, token, bond_limit) = (SCHEDULER, TOKEN, 100);
            bench.ok(provider, Call::ApproveScheduler { scheduler, token, bond_limit });
            bench.ok(provider, Call::Deposit { token, amount: 100 });
        }
        bench
    }

    fn call(&mut self, caller: Address, call: Call, value: u128) -> Result<Vec<Event>, Revert> {
        let before = self.contract.clone();
        let outcome = self.contract.execute(caller, &call, value, self.now);
        if outcome.is_err() {
            assert_eq!(wealth(&before), wealth(&self.contract), "a revert moves nothing");
        }
        outcome
    }

    fn ok(&mut self, caller: Address, call: Call) -> Vec<Event> {
        self.call(caller, call.clone(), 0).unwrap_or_else(|revert| panic!("{call:?}: {revert:?}"))
    }

    fn no(&mut self, caller: Address, call: Call) -> Revert {
        self.call(caller, call, 0).unwrap_err()
    }

    fn assignment(&self, terms: Terms, node: NodeId, attempt: u16) -> Assignment {
        let expires = self.now;
        let message =
            Message::Accept { job_id: id(&terms), attempt: AttemptNumber(attempt), expires };
        let acceptance = sign(node.0, &message);
        Assignment { terms, node, attempt, expires, acceptance }
    }

    fn assign(&mut self, terms: Terms, node: NodeId, attempt: u16) -> Vec<Event> {
        let assignment = self.assignment(terms, node, attempt);
        self.ok(SCHEDULER, Call::AssignWithTerms { assignment })
    }

    /// An open job that the first node has.
    fn assigned(terms: Terms) -> Self {
        let mut bench = Self::new();
        bench.ok(SUBMITTER, Call::Open { terms });
        bench.assign(terms, NODE, 1);
        bench
    }

    fn state(&self, terms: &Terms) -> EscrowState {
        self.contract.slot(id(terms)).state
    }

    /// Inside of the contract, and outside.
    fn has(&self, owner: Address) -> (u128, u128) {
        (self.contract.balance(owner, TOKEN), self.contract.wallet(owner, TOKEN))
    }
}

fn wealth(contract: &Contract) -> Vec<(Address, Address, u128)> {
    contract.wallets().chain(contract.balances()).collect()
}

fn settlement(terms: Terms, node: NodeId, attempt: u16) -> Settlement {
    let receipt_hash = ReceiptHash::default();
    let attempt = AttemptNumber(attempt);
    let message = Message::Result { job_id: id(&terms), attempt, node, receipt_hash };
    Settlement { terms, receipt_hash, signature: sign(node.0, &message) }
}

#[test]
fn a_bond_is_locked_and_comes_back_with_the_payment() {
    let terms = terms(1);
    let mut bench = Bench::assigned(terms);
    assert_eq!(bench.has(PROVIDER), (59, 9900));
    assert_eq!(bench.contract.bond_limit(PROVIDER, SCHEDULER, TOKEN).used, 41);
    assert_eq!(bench.contract.locked(id(&terms)), 1041);
    bench.ok(SCHEDULER, Call::Settle { settlement: settlement(terms, NODE, 1) });
    assert_eq!(bench.state(&terms), EscrowState::Held);
    bench.now += 300;
    assert_eq!(bench.no(STRANGER, Call::Claim { terms }), Revert::WindowOpen { until: bench.now });
    bench.now += 1;
    let events = bench.ok(STRANGER, Call::Claim { terms });
    let (job, owner, token) = (id(&terms), PROVIDER, TOKEN);
    assert_eq!(
        events,
        [
            Event::Paid { job, provider: PROVIDER, amount: 950, fee: 50 },
            Event::Credited { owner, token, amount: 41 },
        ]
    );
    assert_eq!((bench.has(PROVIDER), bench.has(SCHEDULER)), ((100, 10_850), (0, 10_050)));
    assert_eq!(bench.contract.bond_limit(PROVIDER, SCHEDULER, TOKEN).used, 0);
    assert_eq!(bench.contract.locked(id(&terms)), 0);
}

#[test]
fn silence_costs_the_bond_and_pays_the_one_who_was_let_down_and_the_rescuer() {
    let terms = Terms { hold_seconds: 0, ..terms(1) };
    let mut bench = Bench::assigned(terms);
    let early = bench.assignment(terms, OTHER, 2);
    bench.now += 400;
    let refused = bench.no(SCHEDULER, Call::AssignWithTerms { assignment: early });
    assert_eq!(refused, Revert::LeaseRunning { until: bench.now });
    bench.now += 1;
    let (job, token) = (id(&terms), TOKEN);
    assert_eq!(
        bench.assign(terms, OTHER, 2),
        [
            Event::Debited { owner: RIVAL, token, amount: 41 },
            Event::Lapsed { job, attempt: 1 },
            Event::Forfeited { job, provider: PROVIDER, to_submitter: 21, to_pool: 20 },
            Event::Credited { owner: SUBMITTER, token, amount: 21 },
            Event::Assigned { job, node: OTHER, provider: RIVAL, attempt: 2 },
        ]
    );
    assert_eq!((bench.has(PROVIDER), bench.has(SUBMITTER)), ((59, 9900), (21, 9000)));
    let limit = bench.contract.bond_limit(PROVIDER, SCHEDULER, TOKEN);
    assert_eq!((limit.used, limit.limit), (0, 59), "a stolen key costs at most the limit");
    bench.ok(SCHEDULER, Call::Settle { settlement: settlement(terms, OTHER, 2) });
    assert_eq!(bench.has(RIVAL), (100, 9900 + 950 + 20));
    assert_eq!(bench.contract.holding(TOKEN), 59 + 100 + 21);
}

#[test]
fn a_bond_needs_the_nodes_word_a_limit_and_a_balance() {
    let terms = terms(1);
    let mut bench = Bench::new();
    bench.ok(SUBMITTER, Call::Open { terms });
    let plain = Call::Assign { job: id(&terms), node: NODE, attempt: 1 };
    assert_eq!(bench.no(SCHEDULER, plain), Revert::AcceptanceRequired { job: id(&terms) });
    let mut assignment = bench.assignment(terms, NODE, 1);
    assignment.acceptance = NOBODYS;
    let refused = bench.no(SCHEDULER, Call::AssignWithTerms { assignment: assignment.clone() });
    assert_eq!(refused, Revert::BadSignature { signer: NODE.0, recovered: Address::ZERO });
    assignment.expires = NOW - 1;
    let late = bench.no(SCHEDULER, Call::AssignWithTerms { assignment });
    assert_eq!(late, Revert::AcceptanceExpired { expires: NOW - 1 });

    let limited =
        |bond_limit| Call::ApproveScheduler { scheduler: SCHEDULER, token: TOKEN, bond_limit };
    bench.ok(PROVIDER, limited(40));
    let assignment = bench.assignment(terms, NODE, 1);
    let above = bench.no(SCHEDULER, Call::AssignWithTerms { assignment: assignment.clone() });
    let (provider, scheduler) = (PROVIDER, SCHEDULER);
    assert_eq!(above, Revert::BondAboveLimit { provider, scheduler, used: 41, limit: 40 });
    bench.ok(PROVIDER, limited(41));
    bench.ok(PROVIDER, Call::Withdraw { token: TOKEN, to: STRANGER, amount: 60 });
    let poor = bench.no(SCHEDULER, Call::AssignWithTerms { assignment });
    let (owner, token) = (PROVIDER, TOKEN);
    assert_eq!(poor, Revert::InsufficientBalance { owner, token, available: 40, required: 41 });
}

#[test]
fn a_release_gives_the_bond_back() {
    let terms = terms(1);
    let mut bench = Bench::assigned(terms);
    bench.ok(PROVIDER, Call::Release { terms, signature: NOBODYS });
    assert_eq!((bench.has(PROVIDER), bench.state(&terms)), ((100, 9900), EscrowState::Open));
    assert_eq!(bench.contract.slot(id(&terms)).forfeits, 0);
}

#[test]
fn each_ruling_moves_the_money_where_it_belongs() {
    // What the provider and the submitter have in the end: inside, and outside.
    for (ruling, provider, submitter, state) in [
        (Ruling::Pay, (100, 9900 + 950 + 30), (0, 8970), EscrowState::Paid),
        (Ruling::Refund, (59, 9900), (0, 10_041), EscrowState::Refunded),
        (Ruling::Reopen, (59, 9900), (21, 9000), EscrowState::Open),
    ] {
        let terms = terms(1);
        let mut bench = Bench::assigned(terms);
        bench.ok(SCHEDULER, Call::Settle { settlement: settlement(terms, NODE, 1) });
        assert!(matches!(
            bench.no(SCHEDULER, Call::Dispute { terms }),
            Revert::NotDisputant { .. }
        ));
        bench.ok(SUBMITTER, Call::Dispute { terms });
        assert_eq!(bench.has(SUBMITTER), (0, 8970));
        let rule = Call::Rule { terms, ruling };
        assert!(matches!(bench.no(SUBMITTER, rule.clone()), Revert::NotArbiter { .. }));
        bench.ok(ARBITER, rule);
        assert_eq!(bench.state(&terms), state, "{ruling:?}");
        assert_eq!(
            (bench.has(PROVIDER), bench.has(SUBMITTER)),
            (provider, submitter),
            "{ruling:?}"
        );
    }
}

#[test]
fn an_arbiter_that_stays_silent_rules_to_pay() {
    let terms = terms(1);
    let mut bench = Bench::assigned(terms);
    let Settlement { receipt_hash, signature, .. } = settlement(terms, NODE, 1);
    bench.ok(STRANGER, Call::Publish { terms, receipt_hash, signature });
    bench.ok(SCHEDULER, Call::Dispute { terms });
    assert!(bench.contract.slot(id(&terms)).disputed_by_scheduler);
    bench.now += 3601;
    let late = bench.no(ARBITER, Call::Rule { terms, ruling: Ruling::Refund });
    assert_eq!(late, Revert::WindowClosed { until: bench.now - 1 });
    bench.ok(STRANGER, Call::Claim { terms });
    // Nobody settled: the fee is the submitter's again, and the dispute has cost the scheduler its bond.
    assert_eq!(bench.has(PROVIDER), (100, 9900 + 950 + 30));
    assert_eq!((bench.has(SUBMITTER), bench.has(SCHEDULER)), ((0, 9050), (0, 9970)));
}

#[test]
fn an_order_opens_exactly_its_jobs_once_while_it_holds() {
    let jobs = [1, 2, 3].map(|salt| Terms { bond: Amount::ZERO, ..terms(salt) });
    let ids: Vec<JobId> = jobs.iter().map(id).collect();
    let tree = OrderTree::new(&ids).unwrap();
    let order = Order { root: tree.root(), epoch: 0, expires: NOW + 10 };
    let signature = sign_order(SUBMITTER, &order);
    let open = |which: &[usize], order: Order| {
        let paths: Vec<_> = which.iter().map(|index| tree.path(*index).unwrap()).collect();
        let parts: Vec<_> = which.iter().map(|index| ids[*index]).zip(&paths).collect();
        let proof = MultiProof::of(&parts).unwrap();
        let openings =
            which.iter().map(|index| Opening { terms: jobs[*index], node: Some(NODE) }).collect();
        Call::OpenMany { openings, order, signature: signature.clone(), proof }
    };
    let mut bench = Bench::new();
    bench.ok(SUBMITTER, Call::Deposit { token: TOKEN, amount: 1500 });
    let events = bench.ok(SCHEDULER, open(&[0, 2], order));
    let (owner, token) = (SUBMITTER, TOKEN);
    let reason = Revert::InsufficientBalance { owner, token, available: 500, required: 1000 };
    assert_eq!(
        events,
        [
            Event::Opened { job: ids[0], terms: jobs[0] },
            Event::Assigned { job: ids[0], node: NODE, provider: PROVIDER, attempt: 1 },
            Event::Skipped { job: ids[2], reason },
            Event::Debited { owner, token, amount: 1000 },
        ]
    );
    let again = bench.ok(SCHEDULER, open(&[0], order));
    let reason = Revert::WrongState { job: ids[0], state: EscrowState::Assigned };
    assert_eq!(again, [Event::Skipped { job: ids[0], reason }]);
    assert_eq!(bench.has(SUBMITTER), (500, 8500));

    // A stranger opens it, too, but assigns nobody.
    bench.ok(SUBMITTER, Call::Deposit { token: TOKEN, amount: 500 });
    let events = bench.ok(STRANGER, open(&[2], order));
    let reason = Revert::NotScheduler { caller: STRANGER, scheduler: SCHEDULER };
    assert_eq!(events[1], Event::Skipped { job: ids[2], reason });
    assert_eq!(bench.state(&jobs[2]), EscrowState::Open);

    let forged = Order { expires: NOW + 11, ..order };
    let refused = bench.no(SCHEDULER, open(&[1], forged));
    assert_eq!(refused, Revert::BadOrderSignature { submitter: SUBMITTER });
    let Call::OpenMany { openings, order, signature, .. } = open(&[1], order) else { panic!() };
    let unproven = Call::OpenMany { openings, order, signature, proof: MultiProof::default() };
    assert_eq!(bench.no(SCHEDULER, unproven), Revert::NotInOrder { root: order.root });
    bench.ok(SUBMITTER, Call::RaiseEpoch);
    let revoked = bench.no(SCHEDULER, open(&[1], order));
    assert_eq!(revoked, Revert::OrderRevoked { epoch: 0, current: 1 });
    bench.now += 11;
    let late = bench.no(SCHEDULER, open(&[1], order));
    assert_eq!(late, Revert::OrderExpired { expires: NOW + 10 });
    // The submitter itself needs no order.
    bench.ok(SUBMITTER, Call::Deposit { token: TOKEN, amount: 1000 });
    let openings = vec![Opening { terms: jobs[1], node: None }];
    let (order, signature, proof) = (no_order(), Vec::new(), MultiProof::default());
    bench.ok(SUBMITTER, Call::OpenMany { openings, order, signature, proof });
    assert_eq!(bench.state(&jobs[1]), EscrowState::Open);
}

#[test]
fn a_batch_pays_neighbours_in_one_push_and_skips_what_is_stale() {
    let jobs = [1, 2, 3].map(|salt| Terms { bond: Amount::ZERO, hold_seconds: 0, ..terms(salt) });
    let mut bench = Bench::new();
    for terms in jobs {
        bench.ok(SUBMITTER, Call::Open { terms });
        let node = if terms.salt[0] == 3 { OTHER } else { NODE };
        bench.ok(SCHEDULER, Call::Assign { job: id(&terms), node, attempt: 1 });
    }
    bench.contract.set_refusing(PROVIDER, TOKEN, true);
    let settlements = [(0, NODE), (1, NODE), (0, NODE), (2, OTHER)]
        .map(|(index, node): (usize, NodeId)| settlement(jobs[index], node, 1));
    let events = bench.ok(SCHEDULER, Call::SettleMany { settlements: settlements.to_vec() });
    let credits: Vec<_> =
        events.iter().filter(|event| matches!(event, Event::Credited { .. })).collect();
    // What could not be pushed is the provider's credit, in one piece.
    assert_eq!(credits, [&Event::Credited { owner: PROVIDER, token: TOKEN, amount: 1900 }]);
    let skipped = events.iter().filter(|event| matches!(event, Event::Skipped { .. })).count();
    assert_eq!(skipped, 1);
    assert_eq!((bench.has(RIVAL), bench.has(SCHEDULER)), ((100, 10_850), (0, 10_150)));
}

#[test]
fn coin_comes_with_the_call_exactly_or_not_at_all() {
    let terms = Terms { token: COIN, bond: Amount::ZERO, ..terms(1) };
    let mut bench = Bench::new();
    let wrong = bench.call(SUBMITTER, Call::Open { terms }, 999).unwrap_err();
    assert_eq!(wrong, Revert::WrongValue { sent: 999, required: 1000 });
    let poor = bench.call(SUBMITTER, Call::Open { terms }, 10_001).unwrap_err();
    assert_eq!(poor, Revert::NotEnoughCoin);
    bench.call(SUBMITTER, Call::Open { terms }, 1000).unwrap();
    let deaf = bench.call(SUBMITTER, Call::Cancel { terms }, 1).unwrap_err();
    assert_eq!(deaf, Revert::NotPayable);
    bench.ok(SUBMITTER, Call::Cancel { terms });
    assert_eq!(bench.contract.wallet(SUBMITTER, COIN), 10_000);
    let again = bench.call(SUBMITTER, Call::Open { terms }, 1000).unwrap_err();
    assert_eq!(again, Revert::WrongState { job: id(&terms), state: EscrowState::Cancelled });
}

#[test]
fn a_deadline_that_passes_gives_the_submitter_everything() {
    let terms = Terms { attempt_seconds: 100_000, ..terms(1) };
    let mut bench = Bench::assigned(terms);
    bench.now = terms.deadline;
    let early = bench.no(STRANGER, Call::Refund { terms });
    assert_eq!(early, Revert::DeadlineNotPassed { deadline: terms.deadline });
    bench.now += 1;
    bench.ok(STRANGER, Call::Refund { terms });
    assert_eq!((bench.has(SUBMITTER), bench.has(PROVIDER)), ((0, 10_041), (59, 9900)));
    let limit = bench.contract.bond_limit(PROVIDER, SCHEDULER, TOKEN);
    assert_eq!((limit.used, limit.limit), (0, 59));
}
