//! The golden vectors of `api/vectors.json`, read from the file as every other language reads them.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, ReceiptHash, SpecHash};
use gristmill_protocol::order::{MultiProof, Order, OrderSignature, OrderTree};
use gristmill_protocol::receipt::Receipt;
use gristmill_protocol::signing::{CompactSignature, Domain, Message};
use gristmill_protocol::spec::JobSpec;
use gristmill_protocol::terms::Terms;
use gristmill_protocol::{Address, B256};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Vectors {
    domain: VectorDomain,
    specs: Vec<Spec>,
    terms: Vec<TermsVector>,
    receipts: Vec<ReceiptVector>,
    signatures: Vec<SignatureVector>,
    orders: Vec<OrderVector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VectorDomain {
    chain_id: u64,
    verifying_contract: Address,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    written: String,
    canonical: String,
    spec_hash: SpecHash,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TermsVector {
    terms: Value,
    job_id: JobId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptVector {
    canonical: String,
    receipt_hash: ReceiptHash,
}

#[derive(Deserialize)]
struct SignatureVector {
    r#type: String,
    message: Value,
    digest: B256,
    signer: Address,
    r: B256,
    vs: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderVector {
    terms: Value,
    jobs: Vec<OrderedJob>,
    order: Order,
    digest: B256,
    signer: Address,
    signature: OrderSignature,
    compact_signature: OrderSignature,
    parts: Vec<OrderPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderedJob {
    salt: B256,
    job_id: JobId,
}

#[derive(Deserialize)]
struct OrderPart {
    positions: Vec<usize>,
    proof: Vec<B256>,
    flags: Vec<bool>,
}

fn vectors() -> (Vectors, Domain) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../api/vectors.json");
    let vectors: Vectors = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let domain =
        Domain { chain_id: vectors.domain.chain_id, contract: vectors.domain.verifying_contract };
    (vectors, domain)
}

/// The Solidity names of a vector as the snake-case names of the Rust type.
fn snake(value: &Value) -> Value {
    let object = value.as_object().unwrap().iter().map(|(name, value)| {
        let mut snake = String::new();
        for character in name.chars() {
            if character.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(character.to_ascii_lowercase());
        }
        (snake, value.clone())
    });
    Value::Object(object.collect())
}

fn field<T: serde::de::DeserializeOwned>(message: &Value, name: &str) -> T {
    serde_json::from_value(message[name].clone()).unwrap()
}

fn message(vector: &SignatureVector) -> Message {
    let of = &vector.message;
    match vector.r#type.as_str() {
        "Result" | "Failure" => {
            let job_id: JobId = field(of, "jobId");
            let attempt: AttemptNumber = field(of, "attempt");
            let node: NodeId = field(of, "node");
            let receipt_hash: ReceiptHash = field(of, "receiptHash");
            if vector.r#type == "Result" {
                Message::Result { job_id, attempt, node, receipt_hash }
            } else {
                Message::Failure { job_id, attempt, node, receipt_hash }
            }
        }
        "Renew" => Message::Renew {
            job_id: field(of, "jobId"),
            attempt: field(of, "attempt"),
            issued_at: field(of, "issuedAt"),
        },
        "Release" => Message::Release { job_id: field(of, "jobId"), attempt: field(of, "attempt") },
        "Enroll" => Message::Enroll {
            node: field(of, "node"),
            provider: field(of, "provider"),
            expires: field(of, "expires"),
        },
        "Accept" => Message::Accept {
            job_id: field(of, "jobId"),
            attempt: field(of, "attempt"),
            expires: field(of, "expires"),
        },
        other => panic!("a vector of a message that nobody signs: {other}"),
    }
}

fn signature(vector: &SignatureVector) -> CompactSignature {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(vector.r.as_slice());
    bytes[32..].copy_from_slice(vector.vs.as_slice());
    CompactSignature(bytes)
}

#[test]
fn specs_have_the_hash_that_the_vectors_name() {
    let (vectors, _) = vectors();
    assert!(!vectors.specs.is_empty());
    for vector in vectors.specs {
        let spec = JobSpec::from_json(vector.written.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(spec.canonical_json()).unwrap(), vector.canonical);
        assert_eq!(spec.hash(), vector.spec_hash);
    }
}

#[test]
fn terms_have_the_job_id_that_the_vectors_name() {
    let (vectors, domain) = vectors();
    assert!(!vectors.terms.is_empty());
    for vector in vectors.terms {
        let terms: Terms = serde_json::from_value(snake(&vector.terms)).unwrap();
        assert_eq!(terms.id(&domain), vector.job_id);
        // Another chain, or another contract, is another job.
        let elsewhere = Domain { chain_id: domain.chain_id + 1, ..domain };
        assert_ne!(terms.id(&elsewhere), vector.job_id);
        let other = Domain { contract: Address::repeat_byte(1), ..domain };
        assert_ne!(terms.id(&other), vector.job_id);
    }
}

#[test]
fn every_field_of_the_terms_is_part_of_the_job_id() {
    let (vectors, domain) = vectors();
    for vector in vectors.terms {
        for (name, value) in vector.terms.as_object().unwrap() {
            let mut changed = vector.terms.clone();
            changed[name] = if let Some(number) = value.as_u64() {
                Value::from(number ^ 1)
            } else {
                let (head, last) =
                    value.as_str().unwrap().split_at(value.as_str().unwrap().len() - 1);
                Value::from(format!("{head}{}", if last == "1" { "0" } else { "1" }))
            };
            let terms: Terms = serde_json::from_value(snake(&changed)).unwrap();
            assert_ne!(terms.id(&domain), vector.job_id, "{name} is not bound");
        }
    }
}

#[test]
fn receipts_have_the_hash_that_the_vectors_name() {
    let (vectors, _) = vectors();
    assert!(!vectors.receipts.is_empty());
    for vector in vectors.receipts {
        let receipt: Receipt = serde_json::from_str(&vector.canonical).unwrap();
        assert_eq!(String::from_utf8(receipt.canonical_json()).unwrap(), vector.canonical);
        assert_eq!(receipt.hash(), vector.receipt_hash);
    }
}

#[test]
fn signatures_are_by_their_signer_and_by_nobody_else() {
    let (vectors, domain) = vectors();
    assert_eq!(vectors.signatures.len(), 6, "every message that a node signs");
    let messages: Vec<Message> = vectors.signatures.iter().map(message).collect();
    for (index, vector) in vectors.signatures.iter().enumerate() {
        assert_eq!(domain.digest(&messages[index]), vector.digest, "{}", vector.r#type);
        assert_eq!(domain.signer(&messages[index], &signature(vector)), Some(vector.signer));
        // No signature is valid as another message, nor on another chain.
        for (other, message) in messages.iter().enumerate().filter(|(other, _)| *other != index) {
            assert_ne!(
                domain.signer(message, &signature(vector)),
                Some(vector.signer),
                "{index} as {other}"
            );
        }
        let elsewhere = Domain { chain_id: domain.chain_id + 1, ..domain };
        assert_ne!(elsewhere.signer(&messages[index], &signature(vector)), Some(vector.signer));
    }
}

#[test]
fn orders_have_the_root_the_signer_and_the_proofs_that_the_vectors_name() {
    let (vectors, domain) = vectors();
    assert!(!vectors.orders.is_empty());
    for vector in vectors.orders {
        let terms: Terms = serde_json::from_value(snake(&vector.terms)).unwrap();
        for job in &vector.jobs {
            assert_eq!(Terms { salt: job.salt, ..terms }.id(&domain), job.job_id);
        }
        let ids: Vec<JobId> = vector.jobs.iter().map(|job| job.job_id).collect();
        let tree = OrderTree::new(&ids).unwrap();
        assert_eq!(tree.root(), vector.order.root);
        assert_eq!(domain.order_digest(&vector.order), vector.digest);
        for signature in [&vector.signature, &vector.compact_signature] {
            assert!(domain.has_ordered(vector.signer, &vector.order, &signature.0));
            assert!(!domain.has_ordered(Address::ZERO, &vector.order, &signature.0));
            let elsewhere = Domain { chain_id: domain.chain_id + 1, ..domain };
            assert!(!elsewhere.has_ordered(vector.signer, &vector.order, &signature.0));
        }
        for part in vector.parts {
            let paths: Vec<_> =
                part.positions.iter().map(|position| tree.path(*position).unwrap()).collect();
            let jobs: Vec<_> = part.positions.iter().map(|position| ids[*position]).collect();
            let multi = MultiProof::of(&jobs.iter().copied().zip(&paths).collect::<Vec<_>>());
            assert_eq!(multi, Some(MultiProof { proof: part.proof, flags: part.flags }));
            assert!(multi.unwrap().proves(&jobs, vector.order.root));
        }
    }
}
