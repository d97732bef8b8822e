//! Records for tests.

use gristmill_protocol::Address;
use gristmill_protocol::api::{Assignment, EscrowState, Offer};
use gristmill_protocol::ids::{AttemptNumber, LeaseToken};
use gristmill_protocol::money::Amount;
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::{CompactSignature, Domain};
use gristmill_protocol::spec::{JobSpec, RuntimeKind};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use super::{Phase, Record, Rules, Seen, SignedReceipt};

pub(crate) const NOW: u64 = 1_790_000_000;
pub(crate) const DEADLINE: u64 = NOW + 7200;
const SPEC: &str = r#"{"version":1,"name":"sample","runtime":{"kind":"wasm","module":"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"},"max_run_seconds":600}"#;

pub(crate) fn domain() -> Domain {
    Domain { chain_id: 4439, contract: Address::repeat_byte(0xcc) }
}

pub(crate) fn rules() -> Rules {
    Rules {
        domain: domain(),
        node: Address::repeat_byte(0x11),
        schedulers: vec![Address::repeat_byte(0x22)],
        arbiters: vec![Address::repeat_byte(0x44)],
        offer: Offer {
            runtimes: vec![RuntimeKind::Wasm],
            cpu_millis: 2000,
            memory_bytes: 1 << 30,
            disk_bytes: 1 << 31,
            gpus: Vec::new(),
            price_floor: Amount(10),
            token: Address::ZERO,
            max_run_seconds: 3600,
            log_bytes_max: 1 << 20,
            bond_max: Amount::ZERO,
        },
        escrow_wait_ms: 60_000,
        publish_before_deadline_seconds: 120,
        claim_delay_seconds: 30,
        release_when_rejected: true,
    }
}

pub(crate) fn assignment() -> Assignment {
    let spec = JobSpec::from_json(SPEC.as_bytes()).unwrap();
    let terms = Terms {
        submitter: Address::repeat_byte(0x33),
        scheduler: Address::repeat_byte(0x22),
        arbiter: Address::repeat_byte(0x22),
        token: Address::ZERO,
        bounty: Amount(1000),
        fee: Amount(50),
        bond: Amount::ZERO,
        dispute_bond: Amount::ZERO,
        deadline: DEADLINE,
        lease_seconds: 3600,
        grace_seconds: 120,
        attempt_seconds: 86_400,
        hold_seconds: 600,
        challenge_window: 3600,
        ruling_seconds: 7200,
        spec_hash: spec.hash(),
        salt: gristmill_protocol::B256::ZERO,
    };
    let job_id = terms.id(&domain());
    Assignment {
        job_id,
        attempt: AttemptNumber(2),
        lease_token: LeaseToken::default(),
        terms,
        spec,
    }
}

pub(crate) fn record(phase: Phase) -> Record {
    Record { assignment: assignment(), phase, lease_end: None, acceptance: None }
}

pub(crate) fn signed(outcome: Outcome) -> Box<SignedReceipt> {
    let assignment = assignment();
    let receipt = Receipt {
        version: RECEIPT_VERSION,
        job_id: assignment.job_id,
        attempt: assignment.attempt,
        node: gristmill_protocol::ids::NodeId(rules().node),
        spec_hash: assignment.terms.spec_hash,
        outcome,
        output_cid: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".into(),
        manifest_hash: gristmill_protocol::ids::ManifestHash::default(),
        output_bytes: 0,
        started_at_ms: Timestamp(1),
        finished_at_ms: Timestamp(2),
        fuel_used: None,
        log_bytes: 0,
    };
    Box::new(SignedReceipt { receipt, signature: CompactSignature([0; 64]) })
}

/// The contract says that the attempt is this node's, and that the lease has just begun.
pub(crate) fn mine() -> Seen {
    Seen {
        state: EscrowState::Assigned,
        node: rules().node,
        attempt: 2,
        lease_end: NOW + 3600,
        called_in: false,
        assigned_at: NOW,
        at: NOW,
        now: NOW,
    }
}
