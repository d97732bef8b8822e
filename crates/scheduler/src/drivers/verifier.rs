//! The verifier, level `receipt`: a second party fetches every block of an output and compares it with the receipt.
//!
//! An output is uploaded to this scheduler before it is reported, so all of it must be in the content store. A fault of the
//! store itself is nobody's lie: the verification is left alone and asked for again.

use std::sync::Arc;

use gristmill_market::Command;
use gristmill_market::command::Verdict;
use gristmill_market::effect::Verification;
use gristmill_protocol::content::{self, ContentError, Manifest};
use gristmill_protocol::receipt::Receipt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::content_store::ContentStore;
use crate::store::chain::ReplicaId;
use crate::store::{self, Store, StoreError};
use crate::turn::{Refused, Turns};
use crate::wake::Wake;

/// How long a verification is ours. A larger output takes longer to read, and is then read twice at worst.
const LEASE_MS: u64 = 10 * 60_000;
/// How often to look for verifications whose holder died.
const LOOK_AGAIN_MS: u64 = 60_000;
/// Files that differ and are named in a rejection.
const REASONS_MAX: usize = 4;

/// Why a result could not be verified now, through no fault of its provider.
#[derive(Debug, thiserror::Error)]
enum VerifyError {
    #[error("the database cannot be read")]
    Store(#[from] StoreError),
    #[error("the content store failed")]
    Content(#[from] ContentError),
}

/// Verifies results.
#[derive(Clone)]
pub struct Verifier {
    pub store: Arc<dyn Store>,
    pub turns: Turns,
    pub wake: Arc<Wake>,
    pub clock: Clock,
    pub content: Arc<ContentStore>,
    pub replica: ReplicaId,
    /// Results that are verified at the same time; each keeps a thread busy.
    pub concurrency: usize,
}

impl Verifier {
    /// Verifies until it is told to stop. What is under way then is verified after the next start.
    pub async fn run(self, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(self.concurrency));
        let replica = self.replica;
        // A crash left these behind. Without this they would wait for the end of their lease.
        let freed =
            self.turns.write("free_verifications", move |rows| rows.free_verifications(replica));
        if let Err(error) = freed.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "verifications of before the start wait for the end of their lease"
            );
        }
        loop {
            let asked = self.wake.verifier.notified();
            let taken = self.take(room.available_permits()).await;
            for verification in taken {
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
                let verifier = self.clone();
                tokio::spawn(async move {
                    verifier.verify(verification).await;
                    drop(permit);
                    // There is room for another one.
                    verifier.wake.verifier.notify_one();
                });
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = asked => {}
                () = self.clock.sleep_ms(LOOK_AGAIN_MS) => {}
            }
        }
    }

    async fn take(&self, count_max: usize) -> Vec<Verification> {
        if count_max == 0 {
            return Vec::new();
        }
        let (replica, now) = (self.replica, self.clock.now());
        let taken = self
            .turns
            .write("lease_verifications", move |rows| {
                rows.lease_verifications(replica, now, LEASE_MS, count_max)
            })
            .await;
        taken.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no verification could be taken"
            );
            Vec::new()
        })
    }

    /// Verifies one result and says what came of it.
    pub async fn verify(&self, verification: Verification) {
        let Verification { job, attempt, receipt_hash } = verification;
        let verdict = match self.judge(verification).await {
            Ok(Some(verdict)) => verdict,
            Ok(None) => {
                // Its report is not there any more, so nobody waits for it.
                let closed = self
                    .turns
                    .write("close_verification", move |rows| rows.close_verification(&verification))
                    .await;
                if let Err(error) = closed {
                    tracing::warn!(%job, error = &error as &dyn std::error::Error, "a verification could not be closed");
                }
                return;
            }
            Err(error) => {
                tracing::error!(%job, %attempt, error = &error as &dyn std::error::Error, "a result could not be verified; it will be tried again");
                return;
            }
        };
        let result = if verdict == Verdict::Accept { "accepted" } else { "rejected" };
        metrics::counter!("gristmill_verifications_total", "result" => result).increment(1);
        tracing::info!(%job, %attempt, ?verdict, "a result was verified");
        match self.turns.submit(Command::Verdict { job, attempt, receipt_hash, verdict }).await {
            // A rejection says that nobody waits for the verdict any more.
            Ok(_) | Err(Refused::Rejected(_)) => {}
            Err(error) => {
                tracing::warn!(%job, error = &error as &dyn std::error::Error, "a verdict was not taken; it will be given again");
            }
        }
    }

    /// What to say of a result; nothing where its report is gone.
    async fn judge(&self, wanted: Verification) -> Result<Option<Verdict>, VerifyError> {
        let attempt =
            store::read(&self.store, move |rows| store::attempt(rows, wanted.job, wanted.attempt))
                .await?;
        let report = attempt.and_then(|attempt| attempt.report);
        let Some(report) = report.filter(|report| report.receipt.hash() == wanted.receipt_hash)
        else {
            return Ok(None);
        };
        let content = Arc::clone(&self.content);
        let reading = tokio::task::spawn_blocking(move || check(&content, &report.receipt));
        let reasons =
            reading.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        Ok(Some(if reasons.is_empty() { Verdict::Accept } else { Verdict::Reject { reasons } }))
    }
}

/// What is wrong with a result; nothing if it is as its receipt says. An error is this scheduler's own trouble.
fn check(content: &ContentStore, receipt: &Receipt) -> content::Result<Vec<String>> {
    let mut reasons = Vec::new();
    if !receipt.outcome.is_success() {
        reasons.push(format!("the program did not succeed: it {}", receipt.outcome));
    }
    match read_output(content, receipt) {
        Ok(manifest) => compare(&manifest, receipt, &mut reasons),
        Err(error) if is_ours(&error) => return Err(error),
        Err(ContentError::MissingBlock { cid }) => reasons.push(format!(
            "the output {} is not complete: block {cid} was never uploaded",
            receipt.output_cid
        )),
        Err(error) => {
            reasons.push(format!("the output {} cannot be read: {error}", receipt.output_cid))
        }
    }
    reasons.truncate(REASONS_MAX);
    Ok(reasons)
}

fn read_output(content: &ContentStore, receipt: &Receipt) -> content::Result<Manifest> {
    let root = content::parse_cid(&receipt.output_cid)?;
    Manifest::of_dag(content, &root, &content.quotas().limits())
}

fn compare(manifest: &Manifest, receipt: &Receipt, reasons: &mut Vec<String>) {
    if manifest.hash() != receipt.manifest_hash {
        reasons.push(format!(
            "the files of the output have the manifest {}, but the receipt signs {}",
            manifest.hash(),
            receipt.manifest_hash
        ));
    }
    if manifest.bytes() != receipt.output_bytes {
        reasons.push(format!(
            "the output has {} bytes, but the receipt says {}",
            manifest.bytes(),
            receipt.output_bytes
        ));
    }
}

/// Whether the disk failed, rather than whoever uploaded.
fn is_ours(error: &ContentError) -> bool {
    match error {
        ContentError::Io { .. } | ContentError::Store { .. } | ContentError::Stream { .. } => true,
        // Blocks are verified when they come in, so one that differs now was damaged here.
        ContentError::BlockMismatch { .. } => true,
        ContentError::MissingBlock { .. }
        | ContentError::UnwantedBlock { .. }
        | ContentError::InvalidCid { .. }
        | ContentError::UnsupportedHash { .. }
        | ContentError::UnsupportedCodec { .. }
        | ContentError::InvalidUri { .. }
        | ContentError::InvalidNode { .. }
        | ContentError::InvalidName { .. }
        | ContentError::DuplicateName { .. }
        | ContentError::Symlink { .. }
        | ContentError::SpecialFile { .. }
        | ContentError::LimitExceeded(_)
        | ContentError::SizeMismatch { .. }
        | ContentError::Changed { .. }
        | ContentError::NotFound { .. }
        | ContentError::WrongKind { .. }
        | ContentError::DestinationExists { .. }
        | ContentError::InvalidCar { .. }
        | ContentError::TruncatedCar { .. }
        | ContentError::InvalidManifest { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content_store::Quotas;
    use gristmill_protocol::content::{Cid, Limits, add_dir};
    use gristmill_protocol::ids::{AttemptNumber, JobId, ManifestHash, NodeId, SpecHash};
    use gristmill_protocol::receipt::{Limit, Outcome, RECEIPT_VERSION};
    use gristmill_protocol::time::Timestamp;

    fn stored() -> (tempfile::TempDir, ContentStore, Cid, Manifest) {
        let directory = tempfile::tempdir().unwrap();
        let quotas = Quotas {
            upload_bytes_max: 1 << 20,
            total_bytes_max: 1 << 20,
            free_bytes_min: 0,
            files_max: 10,
            uploads_max: 1,
            downloads_max: 1,
        };
        let store = ContentStore::open(&directory.path().join("blocks"), quotas).unwrap();
        let output = directory.path().join("output");
        std::fs::create_dir(&output).unwrap();
        std::fs::write(output.join("model.bin"), "weights").unwrap();
        std::fs::write(output.join("metrics.json"), "{}").unwrap();
        let root = add_dir(&store, &output, &Limits::default()).unwrap().cid;
        let manifest = Manifest::of_dag(&store, &root, &Limits::default()).unwrap();
        (directory, store, root, manifest)
    }

    fn receipt(root: &Cid, manifest: &Manifest) -> Receipt {
        Receipt {
            version: RECEIPT_VERSION,
            job_id: JobId::default(),
            attempt: AttemptNumber(1),
            node: NodeId::default(),
            spec_hash: SpecHash::default(),
            outcome: Outcome::Exited { exit_code: 0 },
            output_cid: root.to_string(),
            manifest_hash: manifest.hash(),
            output_bytes: manifest.bytes(),
            started_at_ms: Timestamp(1),
            finished_at_ms: Timestamp(2),
            fuel_used: None,
            log_bytes: 0,
        }
    }

    #[test]
    fn an_output_that_is_as_its_receipt_says_is_accepted() {
        let (_directory, store, root, manifest) = stored();
        assert_eq!(check(&store, &receipt(&root, &manifest)).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_differs_is_a_reason() {
        let (_directory, store, root, manifest) = stored();
        let good = receipt(&root, &manifest);
        for (bad, expected) in [
            (
                Receipt { manifest_hash: ManifestHash::default(), ..good.clone() },
                "the receipt signs 0x0000",
            ),
            (Receipt { output_bytes: 8, ..good.clone() }, "but the receipt says 8"),
            (Receipt { outcome: Outcome::Exited { exit_code: 3 }, ..good.clone() }, "code 3"),
            (
                Receipt { outcome: Outcome::Limited { limit: Limit::Memory }, ..good.clone() },
                "memory limit",
            ),
            (Receipt { output_cid: "bafynonsense".into(), ..good.clone() }, "is not a CID"),
            (
                Receipt { output_cid: content::block_cid(b"weights").to_string(), ..good.clone() },
                "is not a directory",
            ),
        ] {
            let reasons = check(&store, &bad).unwrap();
            assert_eq!(reasons.len(), 1, "{reasons:?}");
            assert!(reasons[0].contains(expected), "{reasons:?}");
        }
    }

    #[test]
    fn a_block_that_is_not_there_is_named() {
        let (directory, store, root, manifest) = stored();
        let missing = content::block_cid(b"weights");
        content::DirStore::open(directory.path().join("blocks"), content::Durability::Cached)
            .unwrap()
            .remove(&missing)
            .unwrap();
        let reasons = check(&store, &receipt(&root, &manifest)).unwrap();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].contains(&missing.to_string()), "{reasons:?}");
    }

    #[test]
    fn a_damaged_disk_is_not_the_providers_fault() {
        let (directory, store, root, manifest) = stored();
        let damaged = content::Sha256Digest::of(b"weights").to_string();
        let path = directory.path().join("blocks").join(&damaged[..2]).join(&damaged);
        std::fs::write(path, "weightz").unwrap();
        assert!(matches!(
            check(&store, &receipt(&root, &manifest)),
            Err(ContentError::BlockMismatch { .. })
        ));
    }
}
