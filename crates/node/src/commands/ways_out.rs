//! The ways to one's money that need nothing but the journal, the node's key and an RPC endpoint.

use std::path::Path;

use anyhow::{Context as _, Result};
use gristmill_protocol::ids::{JobId, TxHash};
use serde_json::json;

use crate::agent::Record;
use crate::chain::Chain;

pub(super) async fn publish(config: &Path, job: JobId, as_json: bool) -> Result<()> {
    let (record, chain) = open(config, job)?;
    let signed = record.phase.signed().context("this node has no finished result of the job")?;
    let hash =
        chain.publish(&record.assignment.terms, signed.receipt.hash(), &signed.signature).await?;
    answer("published", job, hash, as_json)
}

pub(super) async fn claim(config: &Path, job: JobId, as_json: bool) -> Result<()> {
    let (record, chain) = open(config, job)?;
    let hash = chain.claim(&record.assignment.terms).await?;
    answer("claimed", job, hash, as_json)
}

pub(super) async fn release(config: &Path, job: JobId, as_json: bool) -> Result<()> {
    let (record, chain) = open(config, job)?;
    let hash = chain.release(&record.assignment.terms, &record.held()).await?;
    answer("released", job, hash, as_json)
}

/// The newest attempt of the job that the journal knows.
fn open(config: &Path, job: JobId) -> Result<(Record, Chain)> {
    let (config, key) = super::open(config)?;
    let records = super::journal(&config)?.records()?;
    let record = records
        .into_iter()
        .filter(|record| record.assignment.job_id == job)
        .max_by_key(|record| record.assignment.attempt)
        .with_context(|| format!("this node's journal does not know job {job}"))?;
    let chain = Chain::new(&config.chain.rpc_url, config.domain(), key)?;
    Ok((record, chain))
}

fn answer(what: &str, job: JobId, hash: TxHash, as_json: bool) -> Result<()> {
    if as_json {
        println!(
            "{}",
            serde_json::to_string(&json!({"job": job, "done": what, "transaction": hash}))?
        );
    } else {
        println!("{what} job {job} in transaction {hash}");
    }
    Ok(())
}
