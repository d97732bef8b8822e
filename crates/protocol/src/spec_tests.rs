//! Tests of the job spec: one byte form, every limit, nothing unknown.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const IMAGE: &str = "127.0.0.1:5055/examples/digits@sha256:0000000000000000000000000000000000000000000000000000000000000000";
const MODULE: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

fn minimal() -> serde_json::Value {
    json!({"version": 1, "name": "digits", "runtime": {"kind": "wasm", "module": MODULE}, "max_run_seconds": 60})
}

fn parse(value: &serde_json::Value) -> Result<JobSpec, SpecError> {
    JobSpec::from_json(&serde_json::to_vec(value).unwrap())
}

#[test]
fn a_spec_has_one_byte_form() {
    let spec = parse(&minimal()).unwrap();
    let canonical = spec.canonical_json();
    insta::assert_snapshot!(String::from_utf8(canonical.clone()).unwrap());
    assert_eq!(JobSpec::from_json(&canonical).unwrap(), spec);
    let spaced = serde_json::to_vec_pretty(&minimal()).unwrap();
    assert_eq!(JobSpec::from_json(&spaced).unwrap().hash(), spec.hash());
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("version", json!(2), "version"),
        ("name", json!(""), "name"),
        ("name", json!("a\u{7}b"), "name"),
        ("name", json!("x".repeat(101)), "name"),
        ("runtime", json!({"kind": "docker", "image": "ubuntu:latest"}), "digest"),
        (
            "runtime",
            json!({"kind": "docker", "image": IMAGE.replace("@sha256:0", "@sha256:g")}),
            "digest",
        ),
        ("runtime", json!({"kind": "wasm", "module": "nonsense"}), "CID"),
        ("runtime", json!({"kind": "wasm", "module": MODULE, "fuel": 0}), "fuel"),
        ("runtime", json!({"kind": "vm"}), "vm"),
        ("command", json!(vec!["x"; 65]), "command"),
        ("command", json!(["a\u{0}b"]), "command"),
        ("env", json!({"1A": "x"}), "env"),
        ("env", json!({"A": "x".repeat(4097)}), "env.A"),
        ("inputs", json!([{"uri": "ftp://x/y", "path": "a"}]), "ipfs://"),
        ("inputs", json!([{"uri": "https://example.org/y", "path": "a"}]), "sha256"),
        ("inputs", json!([{"uri": format!("ipfs://{MODULE}"), "path": "../a"}]), "path"),
        ("inputs", json!([{"uri": format!("ipfs://{MODULE}"), "path": "/a"}]), "path"),
        ("inputs", json!([{"uri": format!("ipfs://{MODULE}"), "path": "a//b"}]), "path"),
        (
            "inputs",
            json!([{"uri": format!("ipfs://{MODULE}"), "path": "a"}, {"uri": format!("ipfs://{MODULE}"), "path": "a"}]),
            "twice",
        ),
        (
            "inputs",
            json!([{"uri": format!("ipfs://{MODULE}"), "path": "a"}, {"uri": format!("ipfs://{MODULE}"), "path": "a/b"}]),
            "folder",
        ),
        ("resources", json!({"memory_bytes": 1}), "memory_bytes"),
        ("resources", json!({"gpus": 17}), "gpus"),
        ("resources", json!({"vram_bytes": 1024}), "gpus"),
        ("resources", json!({"gpus": 1, "compute_capability": "8"}), "compute_capability"),
        ("network", json!({"mode": "allow_list", "hosts": ["-x.org"]}), "hosts"),
        ("max_run_seconds", json!(0), "max_run_seconds"),
        ("retries", json!(11), "retries"),
        ("verification", json!({"level": "rerun", "percent": 0}), "percent"),
        ("verification", json!({"level": "replicate", "k": 3, "n": 2}), "verification"),
        ("secrets", json!(["a b"]), "secrets"),
        ("gpu", json!(true), "unknown field"),
    ];
    for (field, value, expected) in cases {
        let mut spec = minimal();
        spec[field] = value.clone();
        let error = parse(&spec).expect_err(&format!("{field} = {value} was accepted")).to_string();
        assert!(error.contains(expected), "{field} = {value}: {error}");
    }
}

#[test]
fn a_spec_that_is_too_large_is_refused_before_it_is_read() {
    let huge = format!("{{\"name\": \"{}\"", "x".repeat(4 * SPEC_BYTES_MAX));
    assert!(matches!(JobSpec::from_json(huge.as_bytes()), Err(SpecError::TooLarge { .. })));
    let mut spec = minimal();
    let env: BTreeMap<String, String> =
        (0..64).map(|n| (format!("V{n}"), "x".repeat(4000))).collect();
    spec["env"] = json!(env);
    assert!(matches!(parse(&spec), Err(SpecError::TooLarge { .. })));
}

#[test]
fn what_is_not_built_yet_says_so() {
    for (field, value) in [
        ("network", json!({"mode": "allow_list", "hosts": ["example.org"]})),
        ("verification", json!({"level": "rerun", "percent": 10})),
        ("verification", json!({"level": "replicate", "k": 2, "n": 3})),
        ("verification", json!({"level": "approve"})),
        ("secrets", json!(["TOKEN"])),
    ] {
        let mut spec = minimal();
        spec[field] = value;
        let spec = parse(&spec).expect("the format of version 1 can say it");
        assert!(matches!(spec.supported(), Err(SpecError::NotSupported { .. })), "{field}");
    }
    assert_eq!(parse(&minimal()).unwrap().supported(), Ok(()));
}

#[test]
fn compute_capabilities_compare_as_numbers() {
    assert!(parse_compute_capability("8.10") > parse_compute_capability("8.9"));
    for text in ["", "8", "8.", ".6", "8.6.1", "+8.6", "800.1"] {
        assert_eq!(parse_compute_capability(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = JobSpec::from_json(&bytes);
    }

    #[test]
    fn names_and_arguments_survive(name in "[^\\p{C}]{1,30}", command in proptest::collection::vec("[^\\x00]{0,20}", 0..5)) {
        let mut spec = parse(&minimal()).unwrap();
        spec.name = name;
        spec.command = command;
        prop_assume!(spec.validate().is_ok());
        prop_assert_eq!(JobSpec::from_json(&spec.canonical_json()).unwrap(), spec);
    }
}
