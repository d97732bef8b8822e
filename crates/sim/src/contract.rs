//! The escrow contract as its specification says it: one slot a job, an obvious model of the real one.

use std::collections::BTreeMap;

use gristmill_market::command::Fact;
use gristmill_protocol::Address;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId, ReceiptHash};
use gristmill_protocol::money::Amount;
use gristmill_protocol::signing::CompactSignature;
use gristmill_protocol::terms::Terms;

use crate::plant::Plant;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    None,
    Open { attempt: u16 },
    Assigned { node: NodeId, attempt: u16, at: u64, assigned_at: u64, called_in: bool },
    Held { node: NodeId, attempt: u16, at: u64 },
    Published { node: NodeId, attempt: u16, at: u64 },
    Paid,
    Refunded,
    Cancelled,
}

/// Where money is and where it went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    pub deposited: u128,
    pub held: BTreeMap<JobId, u128>,
    pub paid: BTreeMap<(JobId, Address), u128>,
    pub fees: u128,
    pub returned: BTreeMap<JobId, u128>,
    /// How often each job has ended.
    pub ends: BTreeMap<JobId, u32>,
}

impl Ledger {
    /// What came in is held or went out.
    pub fn balance(&self) -> Result<(), String> {
        let out = self.held.values().sum::<u128>()
            + self.paid.values().sum::<u128>()
            + self.fees
            + self.returned.values().sum::<u128>();
        if out != self.deposited {
            return Err(format!(
                "money is not conserved: {} came in, {out} is accounted for",
                self.deposited
            ));
        }
        match self.ends.iter().find(|(_, times)| **times > 1) {
            Some((job, times)) => Err(format!("the job {job} has ended {times} times on chain")),
            None => Ok(()),
        }
    }
}

/// The contract, and who belongs to whom.
#[derive(Clone)]
pub struct Contract {
    pub slots: BTreeMap<JobId, Slot>,
    pub ledger: Ledger,
    pub terms: BTreeMap<JobId, Terms>,
    pub providers: BTreeMap<NodeId, Address>,
    pub plant: Option<Plant>,
}

/// Who calls, where it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    Submitter,
    Scheduler,
    Anyone,
}

#[derive(Clone, Debug)]
pub enum Call {
    Open { job: JobId },
    Cancel { job: JobId },
    Assign { job: JobId, node: NodeId, attempt: AttemptNumber },
    CallIn { job: JobId },
    Renew { job: JobId, issued_at: u64, signature: CompactSignature },
    Release { job: JobId, signature: CompactSignature },
    Lapse { job: JobId, caller: Caller },
    Settle { job: JobId, receipt_hash: ReceiptHash, signature: CompactSignature },
    Publish { job: JobId, receipt_hash: ReceiptHash, signature: CompactSignature },
    Claim { job: JobId },
    Refund { job: JobId },
}

impl Call {
    #[must_use]
    pub fn job(&self) -> JobId {
        match *self {
            Self::Open { job }
            | Self::Cancel { job }
            | Self::Assign { job, .. }
            | Self::CallIn { job }
            | Self::Renew { job, .. }
            | Self::Release { job, .. }
            | Self::Lapse { job, .. }
            | Self::Settle { job, .. }
            | Self::Publish { job, .. }
            | Self::Claim { job }
            | Self::Refund { job } => job,
        }
    }
}

/// An event, without what only the watcher adds.
pub type Emitted = Fact;

/// A revert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reverted;

/// What a node's key makes of a message: equal only for the same node and the same message.
#[must_use]
pub fn sign(
    kind: u8,
    node: NodeId,
    job: JobId,
    attempt: AttemptNumber,
    detail: &[u8],
) -> CompactSignature {
    let mut bytes = [0; 64];
    bytes[0] = kind;
    bytes[1..21].copy_from_slice(node.0.as_slice());
    bytes[21..29].copy_from_slice(&job.0.as_slice()[..8]);
    bytes[29..31].copy_from_slice(&attempt.0.to_be_bytes());
    let len = detail.len().min(32);
    bytes[31..31 + len].copy_from_slice(&detail[..len]);
    CompactSignature(bytes)
}

pub const RESULT: u8 = 1;
pub const FAILURE: u8 = 2;
pub const RENEW: u8 = 3;
pub const RELEASE: u8 = 4;

impl Contract {
    #[must_use]
    pub fn slot(&self, job: JobId) -> Slot {
        self.slots.get(&job).copied().unwrap_or(Slot::None)
    }

    /// The last second of a lease.
    #[must_use]
    pub fn lease_end(terms: &Terms, at: u64, assigned_at: u64, called_in: bool) -> u64 {
        if called_in {
            at + u64::from(terms.grace_seconds)
        } else {
            (at + u64::from(terms.lease_seconds))
                .min(assigned_at + u64::from(terms.attempt_seconds))
        }
    }

    pub fn execute(&mut self, call: &Call, now: u64) -> Result<Vec<Emitted>, Reverted> {
        let job = call.job();
        let terms = *self.terms.get(&job).ok_or(Reverted)?;
        let slot = self.slot(job);
        match *call {
            Call::Open { .. } => self.open(job, &terms, slot, now),
            Call::Cancel { .. } => match slot {
                Slot::Open { .. } => {
                    let amount = self.give_back(job, Slot::Cancelled);
                    Ok(vec![Fact::Cancelled { amount }])
                }
                Slot::None => {
                    self.slots.insert(job, Slot::Cancelled);
                    Ok(vec![Fact::Cancelled { amount: Amount::ZERO }])
                }
                Slot::Assigned { .. }
                | Slot::Held { .. }
                | Slot::Published { .. }
                | Slot::Paid
                | Slot::Refunded
                | Slot::Cancelled => Err(Reverted),
            },
            Call::Assign { node, attempt, .. } => {
                self.assign(job, &terms, slot, node, attempt, now)
            }
            Call::CallIn { .. } => self.call_in(job, &terms, slot, now),
            Call::Renew { issued_at, signature, .. } => {
                self.renew(job, &terms, slot, issued_at, signature, now)
            }
            Call::Release { signature, .. } => self.release(job, &terms, slot, signature, now),
            Call::Lapse { caller, .. } => self.lapse(job, &terms, slot, caller, now),
            Call::Settle { receipt_hash, signature, .. } => {
                self.settle(job, &terms, slot, receipt_hash, signature, now)
            }
            Call::Publish { receipt_hash, signature, .. } => {
                self.publish(job, &terms, slot, receipt_hash, signature, now)
            }
            Call::Claim { .. } => self.claim(job, &terms, slot, now),
            Call::Refund { .. } => match slot {
                Slot::Open { .. } | Slot::Assigned { .. } if now > terms.deadline => {
                    let amount = self.give_back(job, Slot::Refunded);
                    Ok(vec![Fact::Refunded { amount }])
                }
                Slot::None
                | Slot::Open { .. }
                | Slot::Assigned { .. }
                | Slot::Held { .. }
                | Slot::Published { .. }
                | Slot::Paid
                | Slot::Refunded
                | Slot::Cancelled => Err(Reverted),
            },
        }
    }

    fn open(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        now: u64,
    ) -> Result<Vec<Emitted>, Reverted> {
        if slot != Slot::None || now >= terms.deadline {
            return Err(Reverted);
        }
        self.slots.insert(job, Slot::Open { attempt: 0 });
        self.ledger.deposited += terms.bounty.0;
        self.ledger.held.insert(job, terms.bounty.0);
        Ok(vec![Fact::Opened { terms: *terms, spec: None }])
    }

    fn assign(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        node: NodeId,
        attempt: AttemptNumber,
        now: u64,
    ) -> Result<Vec<Emitted>, Reverted> {
        let provider = *self.providers.get(&node).ok_or(Reverted)?;
        let mut emitted = Vec::new();
        let count = match slot {
            Slot::Open { attempt } => attempt,
            Slot::Assigned { attempt, at, assigned_at, called_in, .. } => {
                let running = now <= Self::lease_end(terms, at, assigned_at, called_in);
                if running && self.plant != Some(Plant::PushedOut) {
                    return Err(Reverted);
                }
                emitted.push(Fact::Lapsed { attempt: AttemptNumber(attempt) });
                attempt
            }
            Slot::None
            | Slot::Held { .. }
            | Slot::Published { .. }
            | Slot::Paid
            | Slot::Refunded
            | Slot::Cancelled => {
                return Err(Reverted);
            }
        };
        if attempt.0 != count + 1 || now > terms.deadline {
            return Err(Reverted);
        }
        let (at, assigned_at) = (now, now);
        self.slots.insert(
            job,
            Slot::Assigned { node, attempt: attempt.0, at, assigned_at, called_in: false },
        );
        emitted.push(Fact::Assigned { node, provider, attempt });
        Ok(emitted)
    }

    fn call_in(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        now: u64,
    ) -> Result<Vec<Emitted>, Reverted> {
        let Slot::Assigned { node, attempt, at, assigned_at, called_in: false } = slot else {
            return Err(Reverted);
        };
        let lease_end_s = now + u64::from(terms.grace_seconds);
        let shortens = lease_end_s < Self::lease_end(terms, at, assigned_at, false);
        if now < at + u64::from(terms.lease_seconds) / 4 || !shortens {
            return Err(Reverted);
        }
        self.slots
            .insert(job, Slot::Assigned { node, attempt, at: now, assigned_at, called_in: true });
        Ok(vec![Fact::CalledIn { attempt: AttemptNumber(attempt), lease_end_s }])
    }

    fn renew(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        issued_at: u64,
        signature: CompactSignature,
        now: u64,
    ) -> Result<Vec<Emitted>, Reverted> {
        let Slot::Assigned { node, attempt, at, assigned_at, called_in } = slot else {
            return Err(Reverted);
        };
        let number = AttemptNumber(attempt);
        let fresh =
            issued_at <= now && now <= issued_at + u64::from(terms.grace_seconds) && issued_at > at;
        let runs = now <= Self::lease_end(terms, at, assigned_at, called_in);
        if !fresh || !runs || signature != sign(RENEW, node, job, number, &issued_at.to_be_bytes())
        {
            return Err(Reverted);
        }
        self.slots.insert(
            job,
            Slot::Assigned { node, attempt, at: issued_at, assigned_at, called_in: false },
        );
        let lease_end_s = Self::lease_end(terms, issued_at, assigned_at, false);
        Ok(vec![Fact::Renewed { attempt: number, lease_end_s }])
    }

    fn release(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        signature: CompactSignature,
        now: u64,
    ) -> Result<Vec<Emitted>, Reverted> {
        let Slot::Assigned { node, attempt, at, assigned_at, called_in } = slot else {
            return Err(Reverted);
        };
        let number = AttemptNumber(attempt);
        let runs = now <= Self::lease_end(terms, at, assigned_at, called_in);
        if !runs || signature != sign(RELEASE, node, job, number, &[]) {
            return Err(Reverted);
        }
        self.slots.insert(job, Slot::Open { attempt });
        Ok(vec![Fact::Released { attempt: number }])
    }

    fn lapse(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        caller: Caller,
        now: u64,
    ) -> Result<Vec<Emitted>, Reverted> {
        let Slot::Assigned { attempt, at, assigned_at, called_in, .. } = slot else {
            return Err(Reverted);
        };
        let patience = match caller {
            Caller::Scheduler => 0,
            Caller::Submitter => u64::from(terms.grace_seconds),
            Caller::Anyone => return Err(Reverted),
        };
        if now <= Self::lease_end(terms, at, assigned_at, called_in) + patience {
            return Err(Reverted);
        }
        self.slots.insert(job, Slot::Open { attempt });
        Ok(vec![Fact::Lapsed { attempt: AttemptNumber(attempt) }])
    }

    fn settle(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        receipt_hash: ReceiptHash,
        signature: CompactSignature,
        now: u64,
    ) -> Result<Vec<Emitted>, Reverted> {
        let (node, attempt) = match slot {
            Slot::Assigned { node, attempt, .. } if now <= terms.deadline => (node, attempt),
            Slot::Published { node, attempt, at }
                if now <= at + u64::from(terms.challenge_window) =>
            {
                (node, attempt)
            }
            Slot::Paid if self.plant == Some(Plant::PaysTwice) => {
                *self.ledger.ends.entry(job).or_default() += 1;
                return Ok(Vec::new());
            }
            Slot::None
            | Slot::Open { .. }
            | Slot::Assigned { .. }
            | Slot::Held { .. }
            | Slot::Published { .. }
            | Slot::Paid
            | Slot::Refunded
            | Slot::Cancelled => return Err(Reverted),
        };
        let number = AttemptNumber(attempt);
        if signature != sign(RESULT, node, job, number, receipt_hash.0.as_slice()) {
            return Err(Reverted);
        }
        let mut emitted = vec![Fact::Settled { node, attempt: number, receipt_hash }];
        if terms.hold_seconds > 0 {
            self.slots.insert(job, Slot::Held { node, attempt, at: now });
        } else {
            emitted.push(self.pay(job, terms, node, terms.fee.0));
        }
        Ok(emitted)
    }

    fn publish(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        receipt_hash: ReceiptHash,
        signature: CompactSignature,
        now: u64,
    ) -> Result<Vec<Emitted>, Reverted> {
        let Slot::Assigned { node, attempt, .. } = slot else { return Err(Reverted) };
        let number = AttemptNumber(attempt);
        if now > terms.deadline
            || signature != sign(RESULT, node, job, number, receipt_hash.0.as_slice())
        {
            return Err(Reverted);
        }
        self.slots.insert(job, Slot::Published { node, attempt, at: now });
        Ok(vec![Fact::Published { node, attempt: number, receipt_hash }])
    }

    fn claim(
        &mut self,
        job: JobId,
        terms: &Terms,
        slot: Slot,
        now: u64,
    ) -> Result<Vec<Emitted>, Reverted> {
        match slot {
            Slot::Held { node, at, .. } if now > at + u64::from(terms.hold_seconds) => {
                Ok(vec![self.pay(job, terms, node, terms.fee.0)])
            }
            // Nobody settled: the fee goes back.
            Slot::Published { node, at, .. } if now > at + u64::from(terms.challenge_window) => {
                Ok(vec![self.pay(job, terms, node, 0)])
            }
            Slot::None
            | Slot::Open { .. }
            | Slot::Assigned { .. }
            | Slot::Held { .. }
            | Slot::Published { .. }
            | Slot::Paid
            | Slot::Refunded
            | Slot::Cancelled => Err(Reverted),
        }
    }

    fn pay(&mut self, job: JobId, terms: &Terms, node: NodeId, fee: u128) -> Emitted {
        let mut provider = self.providers.get(&node).copied().unwrap_or_default();
        if self.plant == Some(Plant::WrongNodePaid) {
            let other = self.providers.iter().find(|(other, _)| **other != node);
            provider = other.map_or(provider, |(_, other)| *other);
        }
        let held = self.ledger.held.remove(&job).unwrap_or(0);
        let amount = terms.bounty.0 - terms.fee.0;
        *self.ledger.paid.entry((job, provider)).or_default() += amount;
        self.ledger.fees += fee;
        if held > amount + fee {
            *self.ledger.returned.entry(job).or_default() += held - amount - fee;
        }
        self.end(job, Slot::Paid);
        Fact::Paid { provider, amount: Amount(amount), fee: Amount(fee) }
    }

    fn give_back(&mut self, job: JobId, slot: Slot) -> Amount {
        let held = self.ledger.held.remove(&job).unwrap_or(0);
        *self.ledger.returned.entry(job).or_default() += held;
        self.end(job, slot);
        Amount(held)
    }

    fn end(&mut self, job: JobId, slot: Slot) {
        self.slots.insert(job, slot);
        *self.ledger.ends.entry(job).or_default() += 1;
    }
}
