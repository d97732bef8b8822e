//! Examples for the tests of this crate.

use gristmill_protocol::api::{Assignment, Offer};
use gristmill_protocol::ids::{AttemptNumber, LeaseToken, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::{CompactSignature, Domain};
use gristmill_protocol::spec::{JobSpec, RuntimeKind};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use gristmill_protocol::{Address, B256};

use super::{Phase, Record, Rules, SignedReceipt};

pub(crate) const NODE: Address = Address::repeat_byte(0x11);
pub(crate) const SCHEDULER: Address = Address::repeat_byte(0x22);
/// When the sample job was assigned, in unix seconds.
pub(crate) const START: u64 = 1_800_000_000;

pub(crate) fn rules() -> Rules {
    Rules {
        domain: Domain { chain_id: 4439, contract: Address::repeat_byte(0xcc) },
        node: NODE,
        schedulers: vec![SCHEDULER],
        arbiters: vec![SCHEDULER],
        offer: Offer {
            runtimes: vec![RuntimeKind::Wasm],
            cpu_millis: 2000,
            memory_bytes: 1 << 30,
            disk_bytes: 1 << 30,
            gpus: Vec::new(),
            price_floor: Amount(90),
            token: Address::ZERO,
            max_run_seconds: 600,
            log_bytes_max: 1 << 20,
        },
        escrow_wait_ms: 60_000,
        publish_before_deadline_seconds: 120,
        claim_delay_seconds: 30,
        release_when_rejected: true,
    }
}

pub(crate) fn spec() -> JobSpec {
    let json = r#"{
        "version": 1, "name": "sample", "max_run_seconds": 300,
        "runtime": {"kind": "wasm", "module": "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni"},
        "resources": {"memory_bytes": 67108864, "disk_bytes": 16777216}
    }"#;
    JobSpec::from_json(json.as_bytes()).expect("the sample is valid")
}

pub(crate) fn assignment() -> Assignment {
    assignment_of(spec(), |_| {})
}

pub(crate) fn assignment_of(spec: JobSpec, change: impl FnOnce(&mut Terms)) -> Assignment {
    let mut terms = Terms {
        submitter: Address::repeat_byte(0x33),
        scheduler: SCHEDULER,
        arbiter: SCHEDULER,
        token: Address::ZERO,
        bounty: Amount(100),
        fee: Amount(5),
        bond: Amount::ZERO,
        dispute_bond: Amount::ZERO,
        deadline: START + 7200,
        lease_seconds: 1200,
        grace_seconds: 120,
        attempt_seconds: 6000,
        hold_seconds: 0,
        challenge_window: 3600,
        ruling_seconds: 3600,
        spec_hash: spec.hash(),
        salt: B256::ZERO,
    };
    change(&mut terms);
    Assignment {
        job_id: terms.id(&rules().domain),
        attempt: AttemptNumber(1),
        lease_token: LeaseToken::default(),
        terms,
        spec,
    }
}

pub(crate) fn record(phase: Phase) -> Record {
    Record { assignment: assignment(), phase, lease_end: None }
}

pub(crate) fn signed(outcome: Outcome) -> Box<SignedReceipt> {
    let assignment = assignment();
    Box::new(SignedReceipt {
        receipt: Receipt {
            version: RECEIPT_VERSION,
            job_id: assignment.job_id,
            attempt: assignment.attempt,
            node: NodeId(NODE),
            spec_hash: assignment.terms.spec_hash,
            outcome,
            output_cid: "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354".into(),
            manifest_hash: Default::default(),
            output_bytes: 0,
            started_at_ms: Timestamp(START * 1000),
            finished_at_ms: Timestamp(START * 1000 + 5),
            fuel_used: None,
            log_bytes: 0,
        },
        signature: CompactSignature([7; 64]),
    })
}
