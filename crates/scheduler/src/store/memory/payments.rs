//! What has happened over time, in memory: looked for in the whole history.

use std::cmp::Reverse;

use gristmill_market::job::Job;
use gristmill_protocol::Address;
use gristmill_protocol::api::{AttemptState, EventBody, JobEvent, JobState};
use gristmill_protocol::ids::{AttemptNumber, JobId};
use gristmill_protocol::time::Timestamp;

use super::MemoryRows;
use crate::store::StoreError;
use crate::store::payments::{Beginning, Payment, PaymentReads, Unpaid};

impl MemoryRows {
    fn payment(&self, event: &JobEvent) -> Option<Payment> {
        let EventBody::Settled { provider, amount, .. } = event.body else { return None };
        let job = self.jobs.get(&event.job_id)?;
        let attempts = (job.id, AttemptNumber(0))..=(job.id, AttemptNumber(u16::MAX));
        let accepted = self
            .attempts
            .range(attempts)
            .find(|(_, attempt)| attempt.state == AttemptState::Accepted);
        Some(Payment {
            job: job.id,
            at: event.at_ms,
            provider,
            token: job.terms.token,
            amount,
            node: accepted.map(|(_, attempt)| attempt.node),
            gpus: job.demand.as_ref().map(|demand| demand.resources.gpus),
        })
    }

    fn first(&self, job: JobId, is_wanted: impl Fn(&EventBody) -> bool) -> Option<Timestamp> {
        let events = self.events.range((job, 0)..=(job, u64::MAX));
        events.map(|(_, event)| event).find(|event| is_wanted(&event.body)).map(|event| event.at_ms)
    }
}

impl PaymentReads for MemoryRows {
    fn payments(
        &self,
        provider: Option<Address>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Payment>, StoreError> {
        let wanted = |payment: &Payment| {
            payment.at >= since && provider.is_none_or(|provider| payment.provider == provider)
        };
        let paid = self.events.values().filter_map(|event| self.payment(event)).filter(wanted);
        let mut payments: Vec<Payment> = paid.collect();
        payments.sort_by_key(|payment| Reverse((payment.at, payment.job)));
        payments.truncate(limit);
        Ok(payments)
    }

    fn refunds(&self, since: Timestamp, limit: usize) -> Result<Vec<Timestamp>, StoreError> {
        let refunds = self.events.values().filter(|event| {
            event.at_ms >= since && matches!(event.body, EventBody::Refunded { .. })
        });
        let mut times: Vec<Timestamp> = refunds.map(|event| event.at_ms).collect();
        times.sort_by_key(|at| Reverse(*at));
        times.truncate(limit);
        Ok(times)
    }

    fn beginnings(&self, since: Timestamp, limit: usize) -> Result<Vec<Beginning>, StoreError> {
        let mut jobs: Vec<_> = self.jobs.values().filter(|job| job.created_at >= since).collect();
        jobs.sort_by_key(|job| Reverse((job.created_at, job.id)));
        let beginning = |job: &&Job| Beginning {
            created_at: job.created_at,
            funded_at: self.first(job.id, |body| matches!(body, EventBody::Funded)),
            started_at: self.first(job.id, |body| matches!(body, EventBody::Started { .. })),
        };
        Ok(jobs.iter().take(limit).map(beginning).collect())
    }

    fn unpaid(&self, provider: Address, jobs_max: usize) -> Result<Vec<Unpaid>, StoreError> {
        let settling = |job: &&Job| job.state.name() == JobState::Settling;
        let mut jobs: Vec<&Job> = self.jobs.values().filter(settling).collect();
        jobs.sort_by_key(|job| Reverse((job.created_at, job.id)));
        let is_its = |job: &&&Job| {
            let attempts = (job.id, AttemptNumber(0))..=(job.id, AttemptNumber(u16::MAX));
            self.attempts.range(attempts).any(|(_, attempt)| {
                attempt.provider == provider && attempt.state == AttemptState::Accepted
            })
        };
        let unpaid = |job: &&Job| Unpaid { token: job.terms.token, amount: job.pay() };
        Ok(jobs.iter().take(jobs_max).filter(is_its).map(unpaid).collect())
    }

    fn count_failures(
        &self,
        provider: Address,
        since: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let failed = self.attempts.values().filter(|attempt| {
            let is_failure = matches!(
                attempt.state,
                AttemptState::Rejected | AttemptState::Expired | AttemptState::Failed
            );
            attempt.provider == provider
                && is_failure
                && attempt.ended_at.is_some_and(|ended_at| ended_at >= since)
        });
        Ok(failed.take(limit).count())
    }
}
