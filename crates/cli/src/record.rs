//! What this machine knows of the jobs that it paid for: one file a job, written before any money moves.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gristmill_protocol::ids::{JobId, TxHash};
use gristmill_protocol::signing::Domain;
use gristmill_protocol::spec::JobSpec;
use gristmill_protocol::terms::Terms;
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure, Result, io};

/// A spec has at most 64 KiB.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// One job. With it and an RPC endpoint the money can always be found and moved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct JobRecord {
    pub(crate) job: JobId,
    pub(crate) domain: Domain,
    pub(crate) scheduler: String,
    pub(crate) terms: Terms,
    pub(crate) spec: JobSpec,
    pub(crate) created_at: u64,
    /// The transaction that locks the bounty, once it is signed. From then on it may be mined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) open_transaction: Option<TxHash>,
}

impl JobRecord {
    pub(crate) fn new(
        domain: Domain,
        scheduler: &str,
        terms: Terms,
        spec: JobSpec,
        created_at: u64,
    ) -> Self {
        let scheduler = scheduler.to_owned();
        Self {
            job: terms.id(&domain),
            domain,
            scheduler,
            terms,
            spec,
            created_at,
            open_transaction: None,
        }
    }
}

/// The records of one person on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    directory: PathBuf,
}

impl Records {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { directory: data_dir.join("jobs") }
    }

    pub(crate) fn path(&self, job: JobId) -> PathBuf {
        self.directory.join(format!("{job}.json"))
    }

    /// Writes a record whole, or not at all, and so that a power cut does not take it.
    pub(crate) fn save(&self, record: &JobRecord) -> Result<()> {
        let json = serde_json::to_vec_pretty(record).map_err(|error| {
            Failure::caused(Exit::Local, "cannot write the record of the job", &error)
        })?;
        write_durably(&self.path(record.job), &json)
    }

    /// Forgets a job that nobody can have paid for.
    pub(crate) fn remove(&self, job: JobId) -> Result<()> {
        let path = self.path(job);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io("remove", &path)(error)),
        }
    }

    pub(crate) fn load(&self, job: JobId) -> Result<Option<JobRecord>> {
        let path = self.path(job);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() <= RECORD_BYTES_MAX => {}
            Ok(_) => return Err(damaged(&path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("read", &path)(error)),
        }
        let json = fs::read(&path).map_err(io("read", &path))?;
        let record: JobRecord = serde_json::from_slice(&json).map_err(|_| damaged(&path))?;
        // The id binds every term: a record that was changed is noticed here, before it can mislead.
        if record.job != job || record.terms.id(&record.domain) != job {
            return Err(damaged(&path));
        }
        Ok(Some(record))
    }

    /// The ids of all records, in order.
    pub(crate) fn ids(&self) -> Result<Vec<JobId>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("read", &self.directory)(error)),
        };
        let mut ids: Vec<JobId> = Vec::new();
        for entry in entries {
            let name = entry.map_err(io("read", &self.directory))?.file_name();
            let id = name
                .to_str()
                .and_then(|name| name.strip_suffix(".json"))
                .and_then(|name| name.parse::<JobId>().ok());
            ids.extend(id);
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

fn damaged(path: &Path) -> Failure {
    Failure::new(Exit::Local, format!("the record `{}` is damaged", path.display()))
        .hint("move it away; everything that matters is on chain: `gristmill recover`")
}

/// Writes a private file: beside its place, synced, then renamed into it.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    // A bare file name has the empty path as its parent.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(io("create", directory))?;
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::{a_spec, some_terms};

    fn record() -> JobRecord {
        let domain = Domain { chain_id: 4439, contract: Default::default() };
        JobRecord::new(domain, "http://127.0.0.1:8080", some_terms(), a_spec(), 5)
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::new(directory.path());
        assert_eq!(records.ids().unwrap(), []);
        let mut record = record();
        records.save(&record).unwrap();
        record.open_transaction = Some(TxHash([7; 32].into()));
        records.save(&record).unwrap();
        assert_eq!(records.load(record.job).unwrap(), Some(record.clone()));
        assert_eq!(records.ids().unwrap(), [record.job]);
        records.remove(record.job).unwrap();
        records.remove(record.job).unwrap();
        assert_eq!(records.load(record.job).unwrap(), None);
        assert_eq!(
            fs::read_dir(directory.path().join("jobs")).unwrap().count(),
            0,
            "no draft is left behind"
        );
    }

    #[test]
    fn a_bare_name_is_written_into_the_current_directory() {
        let name = format!("gristmill-test-{}.json", std::process::id());
        write_durably(Path::new(&name), b"{}").unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"{}");
        fs::remove_file(&name).unwrap();
    }

    #[test]
    fn a_record_that_was_changed_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::new(directory.path());
        let mut record = record();
        record.terms.deadline += 1;
        records.save(&record).unwrap();
        assert_eq!(records.load(record.job).unwrap_err().exit, Exit::Local);
        fs::write(records.path(record.job), "{").unwrap();
        assert_eq!(records.load(record.job).unwrap_err().exit, Exit::Local);
    }
}
