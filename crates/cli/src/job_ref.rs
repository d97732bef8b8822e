//! A job as people name it: the whole id, or the beginning of one that this machine or the scheduler knows.

use std::str::FromStr;

use gristmill_protocol::client::JobFilter;
use gristmill_protocol::ids::JobId;

use crate::app::App;
use crate::failure::{Exit, Failure, Result};

/// `0x` and so many digits are enough to name a job.
const PREFIX_DIGITS_MIN: usize = 6;

/// What was typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum JobRef {
    Id(JobId),
    Prefix(String),
}

impl FromStr for JobRef {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let digits = text.strip_prefix("0x").unwrap_or_default();
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if (PREFIX_DIGITS_MIN..64).contains(&digits.len()) && hexadecimal {
            return Ok(Self::Prefix(text.to_ascii_lowercase()));
        }
        Err(format!(
            "write a job id (0x and 64 hexadecimal digits), or at least its first {PREFIX_DIGITS_MIN} digits"
        ))
    }
}

impl JobRef {
    /// The id, looked for in the records of this machine, then among the wallet's jobs at the scheduler.
    pub(crate) async fn resolve(&self, app: &App) -> Result<JobId> {
        let prefix = match self {
            Self::Id(id) => return Ok(*id),
            Self::Prefix(prefix) => prefix,
        };
        if let Some(id) = unique(prefix, app.records().ids()?)? {
            return Ok(id);
        }
        let filter = JobFilter {
            submitter: app.address().await.ok(),
            text: Some(prefix.clone()),
            limit: Some(100),
            ..JobFilter::default()
        };
        let jobs = app.call(|client| client.jobs(&filter)).await?;
        unique(prefix, jobs.items.into_iter().map(|job| job.id).collect())?.ok_or_else(|| {
            Failure::new(
                Exit::NotFound,
                format!("no job whose id begins with {prefix} is known here"),
            )
            .hint("write the whole id")
        })
    }
}

/// The first digits of an id: enough to name the job again.
pub(crate) fn short(id: JobId) -> String {
    id.to_string().chars().take(12).collect()
}

fn unique(prefix: &str, ids: Vec<JobId>) -> Result<Option<JobId>> {
    let mut matching = ids.into_iter().filter(|id| id.to_string().starts_with(prefix));
    match (matching.next(), matching.next()) {
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("several jobs begin with {prefix}"))
                .hint("write more digits"))
        }
        (found, _) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_their_beginnings_are_read() {
        let id = format!("0x{}", "ab".repeat(32));
        assert_eq!(id.parse(), Ok(JobRef::Id(id.parse().unwrap())));
        assert_eq!("0xABCDEF".parse(), Ok(JobRef::Prefix("0xabcdef".into())));
        for text in ["", "0x", "abcdef12", "0xabcde", "0xabcdeg", &format!("{id}ab")] {
            assert!(text.parse::<JobRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_beginning_must_be_of_one_job() {
        let id = |byte: u8| JobId([byte; 32].into());
        assert_eq!(unique("0x0101", vec![id(1), id(2)]).unwrap(), Some(id(1)));
        assert_eq!(unique("0x0303", vec![id(1), id(2)]).unwrap(), None);
        assert_eq!(unique("0x", vec![id(1), id(2)]).unwrap_err().exit, Exit::Usage);
        assert_eq!(short(id(1)), "0x0101010101");
    }
}
