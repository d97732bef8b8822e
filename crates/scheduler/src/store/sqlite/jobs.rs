//! Lists of jobs, each read in its order from an index, as far as the page goes.

use gristmill_protocol::ids::JobId;

use super::columns::{Bound, int, parse, time, timestamp};
use super::{SqliteRows, StoreError};
use crate::store::jobs::{JobPage, JobQuery, JobSearch};

impl SqliteRows<'_> {
    pub(super) fn list_jobs(&self, query: &JobQuery) -> Result<JobPage, StoreError> {
        let mut search = JobSearch::new(query);
        let (sql, bound) = select(query, search.seen_max());
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(bound))?;
        while let Some(row) = rows.next()? {
            let place = (timestamp(row.get(0)?), JobId(row.get::<_, [u8; 32]>(1)?.into()));
            let name: Option<String> = row.get(2)?;
            let read = || parse("jobs", &row.get::<_, String>(3)?);
            if search.see(place, &name.unwrap_or_default(), read)?.is_break() {
                break;
            }
        }
        Ok(search.finish())
    }
}

/// The query for place, name and body of the jobs that match every filter but the text.
pub(super) fn select(query: &JobQuery, limit: usize) -> (String, Bound) {
    let mut bound: Bound = Vec::new();
    let mut bind = |value: Box<dyn rusqlite::ToSql>| {
        bound.push(value);
        format!("?{}", bound.len())
    };
    // Filters that leave few jobs of many: these are found first, and their rows looked up one by one.
    let mut few = Vec::new();
    let mut had = Vec::new();
    if let Some(provider) = query.provider {
        had.push(format!("provider = {}", bind(Box::new(provider.to_vec()))));
    }
    if let Some(node) = query.node {
        had.push(format!("node = {}", bind(Box::new(node.0.to_vec()))));
    }
    if !had.is_empty() {
        few.push(format!("SELECT DISTINCT job FROM attempts WHERE {}", had.join(" AND ")));
    }
    if let Some((first, last)) = query.text.as_ref().and_then(|text| text.few_ids()) {
        let (first, last) = (bind(Box::new(first.0.to_vec())), bind(Box::new(last.0.to_vec())));
        few.push(format!("SELECT id AS job FROM jobs WHERE id BETWEEN {first} AND {last}"));
    }
    let from = match few.as_slice() {
        [] => "jobs".to_owned(),
        // A cross join is done in the order in which it is written.
        few => format!("({}) AS few CROSS JOIN jobs ON jobs.id = few.job", few.join(" INTERSECT ")),
    };

    let mut filters = vec!["1".to_owned()];
    if let Some(submitter) = query.submitter {
        filters.push(format!("submitter = {}", bind(Box::new(submitter.to_vec()))));
    }
    if let Some((created_at, id)) = query.after {
        let (created_at, id) = (bind(Box::new(time(created_at))), bind(Box::new(id.0.to_vec())));
        filters.push(format!("(created_at, id) < ({created_at}, {id})"));
    }
    let all = format!(
        "SELECT created_at, id, json_extract(body, '$.demand.name'), body FROM {from} WHERE {}",
        filters.join(" AND ")
    );
    // One list a state, each from its own part of the index; they are merged as far as the page goes.
    let of_states: Vec<String> = query
        .states
        .iter()
        .map(|state| format!("{all} AND state = {}", bind(Box::new(state.as_str()))))
        .collect();
    let jobs = if of_states.is_empty() { all } else { of_states.join(" UNION ALL ") };
    let limit = bind(Box::new(int(limit as u64)));
    (format!("{jobs} ORDER BY created_at DESC, id DESC LIMIT {limit}"), bound)
}
