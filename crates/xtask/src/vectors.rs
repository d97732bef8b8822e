//! Golden vectors: spec hash, job id, every signature, and an order with its proofs, in one file that every language tests itself against.
//!
//! The keys are the first of anvil's well-known mnemonic; they hold nothing anywhere that matters.

use alloy::primitives::{Address, B256, Bytes, address};
use alloy::signers::SignerSync;
use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};
use anyhow::{Context, Result};
use gristmill_e2e::keys::MNEMONIC;
use gristmill_protocol::ids::{AttemptNumber, JobId, ManifestHash, NodeId, SpecHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::order::{MultiProof, Order, OrderTree};
use gristmill_protocol::receipt::{Outcome, RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::{CompactSignature, Domain, Message};
use gristmill_protocol::spec::JobSpec;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;
use serde_json::{Value, json};

const DOMAIN: Domain =
    Domain { chain_id: 4439, contract: address!("0x5FbDB2315678afecb367f032d93F642f64180aa3") };

/// Which jobs of an order are opened together: one, some, all.
const ORDER_PARTS: &[&[usize]] = &[&[2], &[0, 3, 4], &[0, 1, 2, 3, 4]];

/// Specs in the form that a person may write; the vectors hold the canonical form beside it.
const SPECS: &[&str] = &[
    r#"{"version":1,"name":"digits","runtime":{"kind":"wasm","module":"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"},"max_run_seconds":60}"#,
    r#"{"max_run_seconds":3600,"name":"đào tạo \"mô hình\" 𝄞","version":1,"runtime":{"kind":"docker","image":"registry.example.org/train@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},"command":["train","--epochs","3"],"env":{"B":"2","A":"1"},"inputs":[{"uri":"https://example.org/a.csv","sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","path":"data/a.csv"}],"resources":{"cpu_millis":4000,"memory_bytes":8589934592,"disk_bytes":17179869184,"gpus":1,"gpu_models":["RTX 4090"],"vram_bytes":25769803776,"compute_capability":"8.9"},"network":{"mode":"none"},"retries":0,"verification":{"level":"receipt"},"strategy":"cheapest"}"#,
];

/// The whole file, byte for byte.
pub(crate) fn render() -> Result<String> {
    let key = |index: u32| -> Result<PrivateKeySigner> {
        MnemonicBuilder::from_phrase(MNEMONIC).index(index)?.build().context("derive a key")
    };
    let (submitter, scheduler, node, provider) = (key(1)?, key(2)?, key(3)?, key(4)?);
    let specs = SPECS
        .iter()
        .map(|text| JobSpec::from_json(text.as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    let terms = terms(submitter.address(), scheduler.address(), specs[0].hash(), specs[1].hash());
    let job_id = terms[0].id(&DOMAIN);
    let attempt = AttemptNumber(3);
    let node_id = NodeId(node.address());
    let receipt = Receipt {
        version: RECEIPT_VERSION,
        job_id,
        attempt,
        node: node_id,
        spec_hash: specs[0].hash(),
        outcome: Outcome::Exited { exit_code: 0 },
        output_cid: "bafybeicxwr3ewj2nobon4ah2cjhsd3dn22jrqn5unp64i2fefapjpc3tgi".into(),
        manifest_hash: ManifestHash(B256::repeat_byte(0x5a)),
        output_bytes: 123_456,
        started_at_ms: Timestamp(1_790_000_000_000),
        finished_at_ms: Timestamp(1_790_000_012_345),
        fuel_used: Some(9_876_543_210),
        log_bytes: 4242,
    };
    let receipt_hash = receipt.hash();
    let messages = [
        Message::Result { job_id, attempt, node: node_id, receipt_hash },
        Message::Failure { job_id, attempt, node: node_id, receipt_hash },
        Message::Renew { job_id, attempt, issued_at: 1_790_000_500 },
        Message::Release { job_id, attempt },
        Message::Enroll { node: node_id, provider: provider.address(), expires: 1_790_009_000 },
        Message::Accept {
            job_id: terms[1].id(&DOMAIN),
            attempt: AttemptNumber(1),
            expires: 1_790_000_560,
        },
    ];
    let document = json!({
        "domain": {"name": "Gristmill", "version": "1", "chainId": DOMAIN.chain_id, "verifyingContract": DOMAIN.contract},
        "specs": SPECS.iter().zip(&specs).map(|(text, spec)| Ok(json!({
            "written": text,
            "canonical": String::from_utf8(spec.canonical_json())?,
            "specHash": spec.hash(),
        }))).collect::<Result<Vec<_>>>()?,
        "terms": terms.iter().map(|terms| json!({"terms": terms_json(terms), "jobId": terms.id(&DOMAIN)})).collect::<Vec<_>>(),
        "receipts": [{"canonical": String::from_utf8(receipt.canonical_json())?, "receiptHash": receipt_hash}],
        "signatures": messages.iter().map(|message| signature_json(message, &node)).collect::<Result<Vec<_>>>()?,
        "orders": [order_json(&terms[0], 1, &[], &submitter)?, order_json(&terms[0], 5, ORDER_PARTS, &submitter)?],
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn terms(submitter: Address, scheduler: Address, first: SpecHash, second: SpecHash) -> [Terms; 3] {
    let plain = Terms {
        submitter,
        scheduler,
        arbiter: scheduler,
        token: Address::ZERO,
        bounty: Amount(50_000_000_000_000_000),
        fee: Amount(1_250_000_000_000_000),
        bond: Amount::ZERO,
        dispute_bond: Amount::ZERO,
        deadline: 1_790_007_200,
        lease_seconds: 3600,
        grace_seconds: 120,
        attempt_seconds: 86_400,
        hold_seconds: 0,
        challenge_window: 86_400,
        ruling_seconds: 604_800,
        spec_hash: first,
        salt: B256::repeat_byte(0x01),
    };
    // A job that is assigned with the node's acceptance.
    let bonded = Terms {
        arbiter: Address::repeat_byte(0xab),
        bond: Amount(20_000_000_000_000_001),
        dispute_bond: Amount(5_000_000_000_000_000),
        salt: B256::repeat_byte(0x02),
        ..plain
    };
    // Every field at its widest, so that no field can be cut short or swapped unseen.
    let widest = Terms {
        submitter: Address::repeat_byte(0xa1),
        scheduler: Address::repeat_byte(0xb2),
        arbiter: Address::repeat_byte(0xc3),
        token: Address::repeat_byte(0xd4),
        bounty: Amount(u128::MAX),
        fee: Amount(u128::MAX - 1),
        bond: Amount(u128::MAX - 2),
        dispute_bond: Amount(u128::MAX - 3),
        deadline: (1 << 40) - 1,
        lease_seconds: u32::MAX,
        grace_seconds: u32::MAX - 1,
        attempt_seconds: u32::MAX - 2,
        hold_seconds: u32::MAX - 3,
        challenge_window: u32::MAX - 4,
        ruling_seconds: u32::MAX - 5,
        spec_hash: second,
        salt: B256::repeat_byte(0xff),
    };
    [plain, bonded, widest]
}

/// Jobs that differ in nothing but their salt, the submitter's order over them, and what proves some of them.
fn order_json(
    terms: &Terms,
    jobs: u8,
    parts: &[&[usize]],
    key: &PrivateKeySigner,
) -> Result<Value> {
    let jobs: Vec<(B256, JobId)> = (1..=jobs)
        .map(|salt| {
            let salt = B256::repeat_byte(salt);
            (salt, Terms { salt, ..*terms }.id(&DOMAIN))
        })
        .collect();
    let ids: Vec<JobId> = jobs.iter().map(|(_, id)| *id).collect();
    let tree = OrderTree::new(&ids).context("an order over these jobs")?;
    let order = Order { root: tree.root(), epoch: 0, expires: terms.deadline - 1000 };
    let digest = DOMAIN.order_digest(&order);
    let signature = key.sign_hash_sync(&digest)?;
    let parts = parts.iter().map(|positions| {
        let paths =
            positions.iter().map(|position| tree.path(*position)).collect::<Option<Vec<_>>>();
        let paths = paths.context("a position in the order")?;
        let leaves: Vec<_> = positions.iter().map(|position| ids[*position]).zip(&paths).collect();
        let multi = MultiProof::of(&leaves).context("a proof of these positions")?;
        Ok(json!({"positions": positions, "proof": multi.proof, "flags": multi.flags}))
    });
    Ok(json!({
        "terms": terms_json(terms),
        "jobs": jobs.iter().map(|(salt, id)| json!({"salt": salt, "jobId": id})).collect::<Vec<_>>(),
        "order": order,
        "digest": digest,
        "signer": key.address(),
        "signature": Bytes::from(signature.as_bytes()),
        "compactSignature": Bytes::from(signature.as_erc2098()),
        "parts": parts.collect::<Result<Vec<_>>>()?,
    }))
}

/// The terms under the names and in the order of the Solidity struct.
fn terms_json(terms: &Terms) -> Value {
    json!({
        "submitter": terms.submitter,
        "scheduler": terms.scheduler,
        "arbiter": terms.arbiter,
        "token": terms.token,
        "bounty": terms.bounty,
        "fee": terms.fee,
        "bond": terms.bond,
        "disputeBond": terms.dispute_bond,
        "deadline": terms.deadline,
        "leaseSeconds": terms.lease_seconds,
        "graceSeconds": terms.grace_seconds,
        "attemptSeconds": terms.attempt_seconds,
        "holdSeconds": terms.hold_seconds,
        "challengeWindow": terms.challenge_window,
        "rulingSeconds": terms.ruling_seconds,
        "specHash": terms.spec_hash,
        "salt": terms.salt,
    })
}

fn signature_json(message: &Message, key: &PrivateKeySigner) -> Result<Value> {
    let digest = DOMAIN.digest(message);
    let signature = CompactSignature::new(&key.sign_hash_sync(&digest)?);
    let (kind, fields) = match message {
        Message::Result { job_id, attempt, node, receipt_hash } => (
            "Result",
            json!({"jobId": job_id, "attempt": attempt, "node": node, "receiptHash": receipt_hash}),
        ),
        Message::Failure { job_id, attempt, node, receipt_hash } => (
            "Failure",
            json!({"jobId": job_id, "attempt": attempt, "node": node, "receiptHash": receipt_hash}),
        ),
        Message::Renew { job_id, attempt, issued_at } => {
            ("Renew", json!({"jobId": job_id, "attempt": attempt, "issuedAt": issued_at}))
        }
        Message::Release { job_id, attempt } => {
            ("Release", json!({"jobId": job_id, "attempt": attempt}))
        }
        Message::Enroll { node, provider, expires } => {
            ("Enroll", json!({"node": node, "provider": provider, "expires": expires}))
        }
        Message::Accept { job_id, attempt, expires } => {
            ("Accept", json!({"jobId": job_id, "attempt": attempt, "expires": expires}))
        }
    };
    Ok(json!({
        "type": kind,
        "message": fields,
        "digest": digest,
        "signer": key.address(),
        "r": signature.r(),
        "vs": signature.vs(),
    }))
}
