//! How values stand in columns, and how rows become values again.

use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::RuntimeKind;
use gristmill_protocol::time::Timestamp;
use rusqlite::types::ToSql;
use rusqlite::{Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{SqliteRows, StoreError};

/// SQLite's integers are signed. Nothing that we index comes near their end; the body keeps the exact value.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn time(at: Timestamp) -> i64 {
    int(at.0)
}

pub(super) fn timestamp(value: i64) -> Timestamp {
    Timestamp(uint(value))
}

/// Digits of a fixed width sort as numbers do.
pub(super) fn amount(amount: Amount) -> String {
    format!("{:039}", amount.0)
}

pub(super) fn runtime(kind: RuntimeKind) -> &'static str {
    kind.as_str()
}

/// A value of serde whose JSON is one word, such as a state.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

pub(super) fn body<T: Serialize>(table: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Corrupt { table, problem: error.to_string() })
}

pub(super) fn parse<T: DeserializeOwned>(table: &'static str, body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body)
        .map_err(|error| StoreError::Corrupt { table, problem: error.to_string() })
}

impl SqliteRows<'_> {
    /// The first row of a query, if there is one.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        Ok(rows.next()?.map(read).transpose()?)
    }

    /// All rows of a query, which bounds itself.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many rows a statement changed.
    pub(super) fn change(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }
}

/// Parameters of a query that is put together at run time.
pub(super) type Bound = Vec<Box<dyn ToSql>>;
