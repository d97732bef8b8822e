//! Lists of jobs: which ones are asked for, and how far a search goes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use gristmill_market::job::Job;
use gristmill_protocol::Address;
use gristmill_protocol::api::JobState;
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::time::Timestamp;

/// So many digits of an id are of few jobs: their rows are found by the primary key.
const DIGITS_OF_FEW: usize = 6;

/// Which jobs to list. Each filter that is set leaves out what does not match it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JobQuery {
    pub submitter: Option<Address>,
    /// Jobs of which this provider's node had an attempt.
    pub provider: Option<Address>,
    /// Jobs of which this node had an attempt.
    pub node: Option<NodeId>,
    /// Jobs in any of these states; in every state where it is empty.
    pub states: BTreeSet<JobState>,
    pub text: Option<JobText>,
    /// Only what follows this place in the list.
    pub after: Option<JobPlace>,
    pub limit: usize,
    /// Jobs that are looked at for `text`: no index finds a part of a name.
    pub searched_max: usize,
}

/// Where a job stands in a list, which is in descending order of these.
pub type JobPlace = (Timestamp, JobId);

/// What a job's name or id must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobText {
    /// Part of the name, in lower case.
    Name(String),
    /// The first hexadecimal digits of the id, in lower case and without `0x`.
    Digits(String),
}

/// Some jobs, and where to go on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JobPage {
    pub jobs: Vec<Job>,
    /// Absent on the last page. A search that has looked at `searched_max` jobs stops there, with fewer than `limit`.
    pub next: Option<JobPlace>,
}

impl JobText {
    /// `0x` and digits are the beginning of an id, everything else is part of a name.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        match text.strip_prefix("0x") {
            Some(digits)
                if digits.len() <= 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                Self::Digits(digits.to_owned())
            }
            Some(_) | None => Self::Name(text),
        }
    }

    fn is_of(&self, id: JobId, name: &str) -> bool {
        match self {
            Self::Name(part) => name.to_lowercase().contains(part),
            Self::Digits(digits) => id.to_string()["0x".len()..].starts_with(digits),
        }
    }

    /// First and last of the ids that begin so, where they are few.
    pub(super) fn few_ids(&self) -> Option<(JobId, JobId)> {
        match self {
            Self::Digits(digits) if digits.len() >= DIGITS_OF_FEW => {
                let first = format!("0x{digits:0<64}").parse().ok()?;
                Some((first, format!("0x{digits:f<64}").parse().ok()?))
            }
            Self::Digits(_) | Self::Name(_) => None,
        }
    }
}

/// A page in the making, from jobs in the order of the list that match every filter but the text.
pub(super) struct JobSearch<'q> {
    query: &'q JobQuery,
    seen: usize,
    page: JobPage,
}

impl<'q> JobSearch<'q> {
    pub(super) fn new(query: &'q JobQuery) -> Self {
        Self { query, seen: 0, page: JobPage::default() }
    }

    /// How many jobs it looks at: one more than the page holds shows whether there is another page.
    pub(super) fn seen_max(&self) -> usize {
        match self.query.text {
            Some(_) => self.query.searched_max,
            None => self.query.limit + 1,
        }
    }

    /// Looks at the next job, which is read only if it belongs to the page.
    pub(super) fn see<E>(
        &mut self,
        place: JobPlace,
        name: &str,
        read: impl FnOnce() -> Result<Job, E>,
    ) -> Result<ControlFlow<()>, E> {
        self.seen += 1;
        if self.query.text.as_ref().is_none_or(|text| text.is_of(place.1, name)) {
            if self.page.jobs.len() == self.query.limit {
                self.page.next = self.page.jobs.last().map(|job| (job.created_at, job.id));
                return Ok(ControlFlow::Break(()));
            }
            self.page.jobs.push(read()?);
        }
        if self.seen == self.seen_max() {
            self.page.next = Some(place);
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    pub(super) fn finish(self) -> JobPage {
        self.page
    }
}
