//! A valid spec and valid terms, for tests.

use gristmill_protocol::api::EscrowState;
use gristmill_protocol::contracts::StoredJob;
use gristmill_protocol::ids::{AttemptNumber, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::JobSpec;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::{Address, B256};

pub(crate) fn a_spec() -> JobSpec {
    JobSpec::from_json(
        br#"{"version":1,"name":"digits","runtime":{"kind":"wasm","module":"bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni"},"max_run_seconds":600}"#,
    )
    .unwrap()
}

pub(crate) fn some_terms() -> Terms {
    Terms {
        submitter: Address::repeat_byte(1),
        scheduler: Address::repeat_byte(2),
        arbiter: Address::repeat_byte(2),
        token: Address::ZERO,
        bounty: Amount(100),
        fee: Amount(5),
        bond: Amount::ZERO,
        dispute_bond: Amount::ZERO,
        deadline: 10_000,
        lease_seconds: 600,
        grace_seconds: 60,
        attempt_seconds: 3600,
        hold_seconds: 100,
        challenge_window: 3600,
        ruling_seconds: 7200,
        spec_hash: a_spec().hash(),
        salt: B256::repeat_byte(9),
    }
}

/// A job that came into `state` at the second 1000, in its first attempt.
pub(crate) fn a_stored_job(state: EscrowState) -> StoredJob {
    StoredJob {
        state,
        node: NodeId::default(),
        at_s: 1000,
        assigned_at_s: 1000,
        attempt: AttemptNumber(1),
        forfeits: 0,
        called_in: false,
        settled: false,
        disputed_by_scheduler: false,
    }
}
