//! Rows and messages for tests, made by the rules themselves where there is a rule.

use gristmill_market::command::{ChainEvent, Fact};
use gristmill_market::demand::KnownSpec;
use gristmill_market::escrow::ChainPosition;
use gristmill_market::job::Job;
use gristmill_market::node::{Node, Standing};
use gristmill_market::{Changes, Command, Policy, World, decide};
use gristmill_protocol::Address;
use gristmill_protocol::api::Offer;
use gristmill_protocol::deployment::Deployment;
use gristmill_protocol::ids::{JobId, LeaseToken, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::{JobSpec, RuntimeKind};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

/// 2026-11-24T08:00:00Z
pub(crate) const NOW: Timestamp = Timestamp(1_795_507_200_000);
pub(crate) const SCHEDULER: Address = Address::repeat_byte(0x5c);
pub(crate) const SUBMITTER: Address = Address::repeat_byte(0xa1);
pub(crate) const PROVIDER: Address = Address::repeat_byte(0xb0);

pub(crate) fn deployment() -> Deployment {
    Deployment { chain_id: 4439, contract: Address::repeat_byte(0xc0), block: 1 }
}

pub(crate) fn policy() -> Policy {
    Policy::new(SCHEDULER)
}

pub(crate) fn spec() -> KnownSpec {
    let json = br#"{"version":1,"name":"digits","runtime":{"kind":"wasm",
        "module":"bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni"},"max_run_seconds":60}"#;
    let spec = JobSpec::from_json(json).unwrap();
    KnownSpec { hash: spec.hash(), spec }
}

pub(crate) fn terms(submitter: Address, salt: u8) -> Terms {
    Terms {
        submitter,
        scheduler: SCHEDULER,
        arbiter: SCHEDULER,
        token: Address::ZERO,
        bounty: Amount(1_000_000),
        fee: Amount(50_000),
        bond: Amount::ZERO,
        dispute_bond: Amount::ZERO,
        deadline: NOW.unix_seconds() + 10 * 86_400,
        lease_seconds: 3600,
        grace_seconds: 120,
        attempt_seconds: 7200,
        hold_seconds: 0,
        challenge_window: 86_400,
        ruling_seconds: 86_400,
        spec_hash: spec().hash,
        salt: [salt; 32].into(),
    }
}

pub(crate) fn job_id(terms: &Terms) -> JobId {
    terms.id(&deployment().domain())
}

pub(crate) fn token(byte: u8) -> LeaseToken {
    LeaseToken([byte; 32].into())
}

pub(crate) fn create(terms: Terms) -> Command {
    Command::CreateJob {
        job: job_id(&terms),
        by: terms.submitter,
        terms,
        spec: spec(),
        funding: None,
        token: token(1),
    }
}

/// The final event of the job's bounty, in block `block`.
pub(crate) fn opened(terms: Terms, block: u64) -> Command {
    let position = ChainPosition { block, log_index: 0 };
    let fact = Fact::Opened { terms, spec: Some(spec()) };
    let event = ChainEvent { job: job_id(&terms), position, at_s: NOW.unix_seconds(), fact };
    Command::Chain { event, token: token(2) }
}

pub(crate) fn offer() -> Offer {
    Offer {
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
    }
}

pub(crate) fn register(node: NodeId) -> Command {
    Command::RegisterNode { node, provider: PROVIDER, offer: offer(), standing: Standing::Good }
}

pub(crate) fn poll(node: NodeId) -> Command {
    Command::Poll { node, holding: Vec::new(), draining: false, token: token(3) }
}

pub(crate) fn node_id(byte: u8) -> NodeId {
    NodeId(Address::repeat_byte(byte))
}

/// What the rules make of commands, one after the other, in an empty market.
pub(crate) fn decided(commands: impl IntoIterator<Item = Command>) -> Changes {
    let mut world = World::new(policy());
    for command in commands {
        decide(&mut world, command, NOW).unwrap();
    }
    world.take_changes()
}

/// A job that waits for a node.
pub(crate) fn queued_job(salt: u8) -> Job {
    let terms = terms(SUBMITTER, salt);
    decided([create(terms), opened(terms, 5)]).jobs.remove(0)
}

/// A node that is online and idle.
pub(crate) fn idle_node(byte: u8) -> Node {
    decided([register(node_id(byte)), poll(node_id(byte))]).nodes.remove(0)
}
