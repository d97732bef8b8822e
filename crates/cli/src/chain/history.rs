//! What the contract's events say, read in bounded ranges: the terms of jobs, and who got which.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use gristmill_protocol::contracts::JobMarket;
use gristmill_protocol::ids::{JobId, ReceiptHash};
use gristmill_protocol::terms::Terms;

use super::{Chain, topic};
use crate::failure::{Exit, Failure, Result, chain_of};
use crate::output::Output;

/// Blocks of one request. Public endpoints refuse more; where one refuses even this, the range is halved.
const RANGE_BLOCKS: u64 = 10_000;
/// Job ids of one request.
const IDS_PER_REQUEST: usize = 50;

impl Chain {
    /// The terms of a job as they were recorded when it was opened.
    pub(crate) async fn terms_of(&self, out: &Output, id: JobId) -> Result<Option<Terms>> {
        let filter = Filter::new().event_signature(JobMarket::Opened::SIGNATURE_HASH).topic1(id.0);
        Ok(self.opened(out, filter).await?.remove(&id))
    }

    /// Every job that `submitter` opened.
    pub(crate) async fn jobs_of_submitter(
        &self,
        out: &Output,
        submitter: Address,
    ) -> Result<BTreeMap<JobId, Terms>> {
        let filter = Filter::new()
            .event_signature(JobMarket::Opened::SIGNATURE_HASH)
            .topic2(topic(submitter));
        self.opened(out, filter).await
    }

    /// Every job that a node of `provider` got.
    pub(crate) async fn jobs_of_provider(
        &self,
        out: &Output,
        provider: Address,
    ) -> Result<BTreeMap<JobId, Terms>> {
        let filter = Filter::new()
            .event_signature(JobMarket::Assigned::SIGNATURE_HASH)
            .topic3(topic(provider));
        let logs = self.logs(out, filter).await?;
        self.terms_of_all(out, job_ids(&logs)).await
    }

    /// Every job that was ever disputed.
    pub(crate) async fn jobs_in_disputes(&self, out: &Output) -> Result<BTreeSet<JobId>> {
        let filter = Filter::new().event_signature(JobMarket::Disputed::SIGNATURE_HASH);
        Ok(job_ids(&self.logs(out, filter).await?))
    }

    /// The terms of several jobs.
    pub(crate) async fn terms_of_all(
        &self,
        out: &Output,
        ids: BTreeSet<JobId>,
    ) -> Result<BTreeMap<JobId, Terms>> {
        let ids: Vec<B256> = ids.into_iter().map(|id| id.0).collect();
        let mut jobs = BTreeMap::new();
        for ids in ids.chunks(IDS_PER_REQUEST) {
            let filter = Filter::new()
                .event_signature(JobMarket::Opened::SIGNATURE_HASH)
                .topic1(ids.to_vec());
            jobs.extend(self.opened(out, filter).await?);
        }
        Ok(jobs)
    }

    /// The tokens in which `owner` has, or had, a balance in the market; the zero address is the coin.
    pub(crate) async fn tokens_of(
        &self,
        out: &Output,
        owner: Address,
    ) -> Result<BTreeSet<Address>> {
        let signatures =
            vec![JobMarket::Deposited::SIGNATURE_HASH, JobMarket::Credited::SIGNATURE_HASH];
        let filter = Filter::new().event_signature(signatures).topic1(topic(owner));
        let logs = self.logs(out, filter).await?;
        Ok(logs.iter().filter_map(|log| log.topics().get(2)).map(address).collect())
    }

    /// Each scheduler that `provider` has approved at some time, and the tokens of the bonds it was allowed.
    pub(crate) async fn approvals_of(
        &self,
        out: &Output,
        provider: Address,
    ) -> Result<BTreeSet<(Address, Address)>> {
        let filter = Filter::new()
            .event_signature(JobMarket::SchedulerApproved::SIGNATURE_HASH)
            .topic1(topic(provider));
        let logs = self.logs(out, filter).await?;
        let pair = |log: &Log| Some((address(log.topics().get(2)?), address(log.topics().get(3)?)));
        Ok(logs.iter().filter_map(pair).collect())
    }

    /// The receipt hash that the contract accepted for a job, by `settle` or by `publish`: it has checked the node's
    /// signature. The newest one, for an earlier attempt may have published before.
    pub(crate) async fn receipt_on_chain(
        &self,
        out: &Output,
        id: JobId,
    ) -> Result<Option<(Address, u16, ReceiptHash)>> {
        let signatures =
            vec![JobMarket::Settled::SIGNATURE_HASH, JobMarket::Published::SIGNATURE_HASH];
        let logs = self.logs(out, Filter::new().event_signature(signatures).topic1(id.0)).await?;
        Ok(logs.iter().rev().find_map(|log| {
            let settled = log.log_decode::<JobMarket::Settled>().map(|log| log.inner.data);
            if let Ok(event) = settled {
                return Some((event.node, event.attempt, ReceiptHash(event.receiptHash)));
            }
            let event = log.log_decode::<JobMarket::Published>().ok()?.inner.data;
            Some((event.node, event.attempt, ReceiptHash(event.receiptHash)))
        }))
    }

    async fn opened(&self, out: &Output, filter: Filter) -> Result<BTreeMap<JobId, Terms>> {
        let mut jobs = BTreeMap::new();
        for log in self.logs(out, filter).await? {
            let event = log.log_decode::<JobMarket::Opened>().map_err(|error| {
                Failure::caused(Exit::Refused, "an event of the contract has another form", &error)
            })?;
            let event = event.inner.data;
            let terms = Terms::from(&event.terms);
            let id = JobId(event.jobId);
            // An endpoint that lies about terms would only produce transactions that revert; say so instead.
            if terms.id(&self.domain()) != id {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("the terms that the RPC endpoint gives for job {id} are not its terms"),
                )
                .hint("use another --rpc"));
            }
            jobs.insert(id, terms);
        }
        Ok(jobs)
    }

    /// All events of the contract that match, oldest first, from its deployment on.
    async fn logs(&self, out: &Output, filter: Filter) -> Result<Vec<Log>> {
        let filter = filter.address(self.deployment.contract);
        let last = self.head().await?.block;
        let mut logs = Vec::new();
        let mut range = RANGE_BLOCKS;
        let mut from = self.deployment.block;
        let mut said = false;
        while from <= last {
            let to = from.saturating_add(range - 1).min(last);
            match self.provider.get_logs(&filter.clone().from_block(from).to_block(to)).await {
                Ok(found) => {
                    logs.extend(found);
                    from = to + 1;
                }
                // An answer, but no: usually "too many results" or "range too wide".
                Err(error) if error.as_error_resp().is_some() && range > 1 => {
                    if range <= RANGE_BLOCKS / 1024 {
                        return Err(self.failed("read the contract's events", &error));
                    }
                    range /= 2;
                }
                Err(error) => return Err(self.failed("read the contract's events", &error)),
            }
            if !said && last.saturating_sub(from) > 20 * RANGE_BLOCKS {
                said = true;
                out.note(format!("reading events of blocks {from} to {last} …"));
            }
        }
        Ok(logs)
    }
}

fn job_ids(logs: &[Log]) -> BTreeSet<JobId> {
    logs.iter().filter_map(|log| log.topics().get(1)).map(|topic| JobId(*topic)).collect()
}

fn address(topic: &B256) -> Address {
    Address::from_word(*topic)
}

/// Whether an RPC endpoint serves events at all, for `doctor`.
pub(crate) async fn probe(chain: &Chain) -> std::result::Result<(), String> {
    let filter =
        Filter::new().address(chain.deployment.contract).from_block(chain.deployment.block);
    let filter = filter.to_block(chain.deployment.block);
    chain.provider.get_logs(&filter).await.map(drop).map_err(|error| chain_of(&error))
}
