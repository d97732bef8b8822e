//! `gristmill result` and `verify`: a job's output, and everything that can be checked about it.

use std::path::{Path, PathBuf};

use clap::Args;
use gristmill_protocol::api::{AttemptView, EscrowState, JobView};
use gristmill_protocol::content::{Limits, Manifest, export, parse_cid};
use gristmill_protocol::ids::{JobId, ReceiptHash};
use gristmill_protocol::receipt::{RECEIPT_VERSION, Receipt};
use gristmill_protocol::signing::{CompactSignature, Domain, Message};
use gristmill_protocol::terms::Terms;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::failure::{Exit, Failure, Result, io};
use crate::job_ref::{JobRef, short};
use crate::output::{Output, Tone};
use crate::quantity;
use crate::record::write_durably;
use crate::transfer::{Workbench, blocking};

/// A receipt has about a kilobyte.
const PROOF_BYTES_MAX: u64 = 1 << 20;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill result 0x2f8e1c3b5d -o out\n  gristmill result 0x2f8e1c3b5d            # verify only\n  gristmill result 0x2f8e… -o out --json | jq .checks\n\nVerified are: the job id and spec against the receipt, the node's signature, the receipt that the contract accepted (with --rpc and --deployment), every block of the output, and its manifest. Beside DIR a file DIR.receipt.json is written, with which `gristmill verify` can check DIR again at any time."
)]
pub(crate) struct ResultArgs {
    /// The job id, or its first digits
    job: JobRef,
    /// Where to write the output; must not exist
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The result of this attempt, accepted or not [default: the accepted one]
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u16>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill verify out\n  gristmill verify out --receipt out.receipt.json --json"
)]
pub(crate) struct VerifyArgs {
    /// The directory that `gristmill result -o` wrote
    directory: PathBuf,
    /// The receipt beside it [default: DIR.receipt.json]
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

/// All that a result needs to be checked again without a network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    pub(crate) domain: Domain,
    pub(crate) terms: Terms,
    pub(crate) receipt: Receipt,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<CompactSignature>,
}

/// One thing that was checked, or could not be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Check {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Holds,
    Fails,
    NotChecked,
}

impl Check {
    fn new(what: &'static str, holds: bool, detail: impl Into<String>) -> Self {
        Self {
            what,
            verdict: if holds { Verdict::Holds } else { Verdict::Fails },
            detail: detail.into(),
        }
    }

    fn skipped(what: &'static str, why: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::NotChecked, detail: why.into() }
    }
}

/// What a receipt says of itself, checked against the terms and the node's key.
fn check_receipt(id: JobId, proof: &Proof) -> Vec<Check> {
    let Proof { domain, terms, receipt, signature } = proof;
    let mut checks = vec![
        Check::new(
            "job id",
            terms.id(domain) == id && receipt.job_id == id,
            "terms and receipt are of this job",
        ),
        Check::new(
            "spec",
            receipt.spec_hash == terms.spec_hash,
            format!("the node ran spec {}", receipt.spec_hash),
        ),
        Check::new(
            "outcome",
            receipt.version == RECEIPT_VERSION && receipt.outcome.is_success(),
            crate::output::plain(&receipt.outcome.to_string()),
        ),
    ];
    checks.push(match signature {
        None => Check::skipped("signature", "the scheduler does not give it"),
        Some(signature) => {
            let (job_id, attempt, node, receipt_hash) =
                (id, receipt.attempt, receipt.node, receipt.hash());
            let message = if receipt.outcome.is_success() {
                Message::Result { job_id, attempt, node, receipt_hash }
            } else {
                Message::Failure { job_id, attempt, node, receipt_hash }
            };
            let signed = domain.signer(&message, signature) == Some(node.0);
            Check::new("signature", signed, format!("node {node} signed receipt {receipt_hash}"))
        }
    });
    checks
}

/// What the contract accepted: it has checked the node's signature itself.
async fn check_chain(app: &App, id: JobId, receipt: &Receipt) -> Result<Check> {
    const WHAT: &str = "on chain";
    if app.settings.rpc.is_none() || app.settings.deployment.is_none() {
        return Ok(Check::skipped(WHAT, "set --rpc and --deployment"));
    }
    let chain = app.chain().await?;
    let slot = chain.slot(id).await?;
    let Some((node, attempt, hash)) = chain.receipt_on_chain(&app.out, id).await? else {
        return Ok(Check::skipped(WHAT, "the contract has no result of this job yet"));
    };
    let same = (node, attempt, hash) == (receipt.node.0, receipt.attempt.0, receipt.hash());
    let state = crate::chain::ways_out::where_the_money_is(slot.state);
    let verb = if slot.state == EscrowState::Paid { "paid for" } else { "holds" };
    Ok(Check::new(
        WHAT,
        same,
        format!("the contract {verb} receipt {hash}; the money is {}", state.1),
    ))
}

pub(crate) async fn run(app: &App, args: ResultArgs) -> Result<()> {
    let id = args.job.resolve(app).await?;
    if let Some(directory) = &args.output {
        free(directory)?;
    }
    let job = app.call(|client| client.job(id)).await?;
    let (receipt, attempt) = chosen(&job, args.attempt)?;
    // The contract that the job belongs to is the submitter's word where there is one, else the scheduler's.
    let domain = match app.settings.deployment {
        Some(_) => app.deployment()?.domain(),
        None => {
            let info = app.call(|client| client.info()).await?;
            Domain { chain_id: info.chain_id, contract: info.contract }
        }
    };
    let signature = attempt.and_then(|attempt| attempt.signature);
    let proof = Proof { domain, terms: job.terms, receipt: receipt.clone(), signature };
    let mut checks = check_receipt(id, &proof);
    if args.attempt.is_none() {
        checks.push(check_chain(app, id, receipt).await?);
    }
    let workbench = Workbench::new()?;
    checks.extend(fetch(app, &workbench, receipt).await?);
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fails);
    let written = match &args.output {
        // A failed attempt's output may be wanted too, but never by mistake.
        Some(_) if failed && args.attempt.is_none() => None,
        Some(directory) => {
            write(&workbench, receipt, directory).await?;
            save_proof(directory, &proof)?;
            Some(directory.as_path())
        }
        None => None,
    };
    report(app, id, receipt, &checks, written)?;
    if written.is_none() && args.output.is_none() {
        app.out
            .hint(format!("write it to a directory with `gristmill result {} -o out`", short(id)));
    }
    verdict(id, &checks, args.attempt.is_some())
}

fn chosen(job: &JobView, attempt: Option<u16>) -> Result<(&Receipt, Option<&AttemptView>)> {
    let none = |what: String| {
        Failure::new(Exit::NotFound, what)
            .job(job.id)
            .hint(format!("watch it with `gristmill follow {}`", short(job.id)))
    };
    match attempt {
        None => {
            let receipt = job.result.as_ref().ok_or_else(|| {
                none(format!("the job is {} and has no accepted result", job.state.as_str()))
            })?;
            Ok((receipt, job.attempts.iter().find(|attempt| attempt.number == receipt.attempt)))
        }
        Some(number) => {
            let attempt = job.attempts.iter().find(|attempt| attempt.number.0 == number);
            let attempt =
                attempt.ok_or_else(|| none(format!("the job has no attempt {number}")))?;
            let receipt = attempt.receipt.as_ref();
            Ok((
                receipt
                    .ok_or_else(|| none(format!("attempt {number} has not reported anything")))?,
                Some(attempt),
            ))
        }
    }
}

/// Downloads the output and compares it with the receipt. Nothing is written outside the workbench.
async fn fetch(app: &App, workbench: &Workbench, receipt: &Receipt) -> Result<Vec<Check>> {
    let root = parse_cid(&receipt.output_cid)?;
    // Directories and their links come on top of the files.
    let bytes_max =
        receipt.output_bytes.saturating_add(receipt.output_bytes / 50).saturating_add(64 << 20);
    workbench.download(app, root, bytes_max).await?;
    let limits = Limits { bytes_max, ..Limits::default() };
    let manifest = Manifest::of_dag(workbench.store(), &root, &limits)?;
    Ok(vec![
        Check::new(
            "output",
            manifest.bytes() == receipt.output_bytes,
            format!("{root}: every block hashes to its CID"),
        ),
        Check::new("manifest", manifest.hash() == receipt.manifest_hash, describe(&manifest)),
    ])
}

fn describe(manifest: &Manifest) -> String {
    format!(
        "{} files, {}, manifest {}",
        manifest.files().len(),
        quantity::bytes(manifest.bytes()),
        manifest.hash()
    )
}

async fn write(workbench: &Workbench, receipt: &Receipt, directory: &Path) -> Result<()> {
    let root = parse_cid(&receipt.output_cid)?;
    if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(io("create", parent))?;
    }
    export(workbench.store(), &root, directory, &Limits::default())?;
    Ok(())
}

fn free(directory: &Path) -> Result<()> {
    for path in [directory.to_owned(), proof_path(directory)] {
        if path.exists() {
            return Err(Failure::usage(format!("`{}` exists already", path.display()))
                .hint("nothing is ever overwritten: remove it, or choose another place"));
        }
    }
    Ok(())
}

fn proof_path(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(".receipt.json");
    directory.with_file_name(name)
}

fn save_proof(directory: &Path, proof: &Proof) -> Result<()> {
    let json = serde_json::to_vec_pretty(proof)
        .map_err(|error| Failure::caused(Exit::Local, "cannot write the receipt", &error))?;
    write_durably(&proof_path(directory), &json)
}

fn report(
    app: &App,
    id: JobId,
    receipt: &Receipt,
    checks: &[Check],
    written: Option<&Path>,
) -> Result<()> {
    let receipt_hash: ReceiptHash = receipt.hash();
    if app.out.is_json() {
        return app.out.value(&json!({
            "job": id,
            "verified": checks.iter().all(|check| check.verdict != Verdict::Fails),
            "checks": checks,
            "output_cid": receipt.output_cid,
            "output_bytes": receipt.output_bytes,
            "manifest_hash": receipt.manifest_hash,
            "receipt_hash": receipt_hash,
            "receipt": receipt,
            "directory": written,
        }));
    }
    for check in checks {
        app.out.line(check_line(&app.out, check))?;
    }
    if let Some(directory) = written {
        app.out.line(format!("written to {}", app.out.paint(Tone::Strong, directory.display())))?;
    }
    Ok(())
}

fn check_line(out: &Output, check: &Check) -> String {
    let (tone, mark) = match check.verdict {
        Verdict::Holds => (Tone::Good, "ok"),
        Verdict::Fails => (Tone::Bad, "WRONG"),
        Verdict::NotChecked => (Tone::Quiet, "not checked"),
    };
    format!("{}  {:<9}  {}", out.paint(tone, format!("{mark:<11}")), check.what, check.detail)
}

/// `any_outcome`: an attempt that failed was asked for by its number, so that it failed is no surprise.
fn verdict(id: JobId, checks: &[Check], any_outcome: bool) -> Result<()> {
    let wrong = checks
        .iter()
        .filter(|check| {
            check.verdict == Verdict::Fails && !(any_outcome && check.what == "outcome")
        })
        .map(|check| check.what)
        .collect::<Vec<_>>();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Unverified,
        format!("the result is not what it should be: {}", wrong.join(", ")),
    )
    .job(id)
    .hint("do not use it; where the job is held, dispute it or ask the scheduler"))
}

pub(crate) async fn verify(app: &App, args: VerifyArgs) -> Result<()> {
    let path = args.receipt.unwrap_or_else(|| proof_path(&args.directory));
    let proof = read_proof(&path)?;
    let id = proof.receipt.job_id;
    let mut checks = check_receipt(id, &proof);
    let directory = args.directory.clone();
    let manifest = blocking(move || Ok(Manifest::of_dir(&directory, &Limits::default())?)).await?;
    checks.push(Check::new(
        "manifest",
        manifest.hash() == proof.receipt.manifest_hash,
        describe(&manifest),
    ));
    if app.settings.deployment.is_some() {
        let ours = app.deployment()?.domain() == proof.domain;
        checks.push(Check::new(
            "contract",
            ours,
            format!("{} on chain {}", proof.domain.contract, proof.domain.chain_id),
        ));
    }
    report(app, id, &proof.receipt, &checks, None)?;
    verdict(id, &checks, false)
}

fn read_proof(path: &Path) -> Result<Proof> {
    let metadata = std::fs::metadata(path).map_err(|error| {
        Failure { exit: Exit::Usage, ..io("read the receipt", path)(error) }
            .hint("name it with --receipt FILE")
    })?;
    if metadata.len() > PROOF_BYTES_MAX {
        return Err(Failure::usage(format!("`{}` is too large for a receipt", path.display())));
    }
    let json = std::fs::read(path).map_err(io("read the receipt", path))?;
    serde_json::from_slice(&json).map_err(|error| {
        Failure::usage(format!("`{}` is not a receipt file: {error}", path.display()))
    })
}

/// Downloads and writes the accepted result of a job that has just ended. For `submit --output`.
pub(crate) async fn save(app: &App, id: JobId, directory: PathBuf) -> Result<()> {
    run(app, ResultArgs { job: JobRef::Id(id), output: Some(directory), attempt: None }).await
}

/// Refuses a place that is taken, before money is spent.
pub(crate) fn ensure_free(directory: &Path) -> Result<()> {
    free(directory)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;
    use gristmill_protocol::ids::{AttemptNumber, ManifestHash, NodeId};
    use gristmill_protocol::receipt::Outcome;
    use gristmill_protocol::time::Timestamp;

    use super::*;
    use crate::test_data::some_terms;

    fn proof() -> (JobId, Proof) {
        let key = PrivateKeySigner::from_bytes(&[7; 32].into()).unwrap();
        let domain = Domain { chain_id: 4439, contract: Address::repeat_byte(3) };
        let terms = some_terms();
        let id = terms.id(&domain);
        let receipt = Receipt {
            version: RECEIPT_VERSION,
            job_id: id,
            attempt: AttemptNumber(2),
            node: NodeId(key.address()),
            spec_hash: terms.spec_hash,
            outcome: Outcome::Exited { exit_code: 0 },
            output_cid: "bafkreihzjsutuqv2sdmdorigtxyhudkknxaoeqcvfxagscnskh4oiawmni".into(),
            manifest_hash: ManifestHash::default(),
            output_bytes: 5,
            started_at_ms: Timestamp(1),
            finished_at_ms: Timestamp(2),
            fuel_used: None,
            log_bytes: 0,
        };
        let message = Message::Result {
            job_id: id,
            attempt: receipt.attempt,
            node: receipt.node,
            receipt_hash: receipt.hash(),
        };
        let signature = key.sign_hash_sync(&domain.digest(&message)).unwrap();
        (id, Proof { domain, terms, receipt, signature: Some(CompactSignature::new(&signature)) })
    }

    fn wrong(id: JobId, proof: &Proof) -> Vec<&'static str> {
        let checks = check_receipt(id, proof);
        checks
            .iter()
            .filter(|check| check.verdict == Verdict::Fails)
            .map(|check| check.what)
            .collect()
    }

    #[test]
    fn a_true_receipt_holds() {
        let (id, proof) = proof();
        assert_eq!(wrong(id, &proof), [""; 0]);
    }

    #[test]
    fn every_lie_is_found() {
        type Lie = fn(&mut Proof);
        let lies: [(&str, Lie); 6] = [
            ("job id", |proof| proof.terms.bounty.0 += 1),
            ("job id", |proof| proof.domain.chain_id = 39),
            ("spec", |proof| proof.receipt.spec_hash = Default::default()),
            ("outcome", |proof| proof.receipt.outcome = Outcome::Exited { exit_code: 1 }),
            ("signature", |proof| proof.receipt.output_bytes += 1),
            ("signature", |proof| proof.receipt.node = NodeId(Address::repeat_byte(9))),
        ];
        for (what, lie) in lies {
            let (id, mut proof) = proof();
            lie(&mut proof);
            assert!(wrong(id, &proof).contains(&what), "{what}");
            assert!(verdict(id, &check_receipt(id, &proof), false).is_err());
        }
    }

    #[test]
    fn a_failure_is_signed_as_such_and_never_as_a_result() {
        let (id, mut proof) = proof();
        let key = PrivateKeySigner::from_bytes(&[7; 32].into()).unwrap();
        proof.receipt.outcome = Outcome::Exited { exit_code: 3 };
        let (attempt, node, receipt_hash) =
            (proof.receipt.attempt, proof.receipt.node, proof.receipt.hash());
        for (message, expected) in [
            (Message::Failure { job_id: id, attempt, node, receipt_hash }, vec!["outcome"]),
            (
                Message::Result { job_id: id, attempt, node, receipt_hash },
                vec!["outcome", "signature"],
            ),
        ] {
            let signature = key.sign_hash_sync(&proof.domain.digest(&message)).unwrap();
            proof.signature = Some(CompactSignature::new(&signature));
            assert_eq!(wrong(id, &proof), expected);
        }
    }

    #[test]
    fn the_receipt_lies_beside_the_directory() {
        assert_eq!(proof_path(Path::new("a/out")), Path::new("a/out.receipt.json"));
        assert_eq!(proof_path(Path::new("out/")), Path::new("out.receipt.json"));
    }
}
