//! The books of an auditor who sees every transaction of the contract, its events, and what everybody owned before and
//! after it. Written against the specification, not against the model: what each party may have gained or lost follows
//! from the events and the terms alone, to the last unit.

use std::collections::{BTreeMap, BTreeSet};

use gristmill_protocol::Address;
use gristmill_protocol::api::Ruling;
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use gristmill_protocol::order::Order;
use gristmill_protocol::signing::Message;
use gristmill_protocol::terms::Terms;

use crate::keys::sign;
use crate::model::{Assignment, Call, Contract, Event};

/// What is written down about one job.
#[derive(Clone)]
struct Entry {
    terms: Terms,
    at: Place,
    attempts: u16,
    /// What forfeited bonds have left for whoever completes the job.
    pool: u128,
    settled: bool,
}

/// Where a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Open,
    With {
        provider: Address,
        node: NodeId,
        lease_end: u64,
        since: u64,
    },
    /// The lease ended, or the arbiter sent it back: with a bond, the forfeit must follow at once.
    Forfeiting {
        provider: Address,
    },
    Held {
        provider: Address,
        until: u64,
    },
    Published {
        provider: Address,
        until: u64,
    },
    Disputed {
        provider: Address,
        by: Address,
        until: u64,
    },
    Ruled {
        provider: Address,
        by: Address,
        ruling: Ruling,
    },
    Paid {
        provider: Address,
    },
    /// Refunded or cancelled.
    Returned,
}

/// Who gained and who lost how much of which token.
#[derive(Default)]
struct Moves(BTreeMap<(Address, Address), i128>);

impl Moves {
    fn give(&mut self, owner: Address, token: Address, amount: u128) {
        *self.0.entry((owner, token)).or_default() += amount as i128;
    }

    fn take(&mut self, owner: Address, token: Address, amount: u128) {
        *self.0.entry((owner, token)).or_default() -= amount as i128;
    }
}

/// One transaction, as the auditor sees it.
pub struct Seen<'a> {
    pub caller: Address,
    pub call: &'a Call,
    pub events: &'a [Event],
    pub now: u64,
}

#[derive(Clone, Default)]
pub struct Book {
    jobs: BTreeMap<JobId, Entry>,
    /// Ids that were forbidden before they were opened.
    forbidden: BTreeSet<JobId>,
    epochs: BTreeMap<Address, u32>,
    providers: BTreeMap<NodeId, Address>,
    /// What submitters have really signed.
    pub orders: BTreeSet<(Address, Order)>,
}

impl Book {
    /// The provider that was paid for a job.
    #[must_use]
    pub fn paid(&self, job: JobId) -> Option<Address> {
        match self.jobs.get(&job)?.at {
            Place::Paid { provider } => Some(provider),
            Place::Open
            | Place::With { .. }
            | Place::Forfeiting { .. }
            | Place::Held { .. }
            | Place::Published { .. }
            | Place::Disputed { .. }
            | Place::Ruled { .. }
            | Place::Returned => None,
        }
    }

    /// Writes a transaction down, and says what is wrong with it.
    pub fn audit(
        &mut self,
        seen: &Seen<'_>,
        before: &Contract,
        after: &Contract,
    ) -> Result<(), String> {
        let mut moves = Moves::default();
        for (index, event) in seen.events.iter().enumerate() {
            if let Err(problem) = self.enter(event, seen, &mut moves) {
                return Err(format!("{problem}: {event:?} (number {index} of {:?})", seen.call));
            }
        }
        if let Some((job, entry)) = self.jobs.iter().find(|(_, entry)| is_halfway(entry)) {
            return Err(format!("the transaction leaves {job} halfway: {:?}", entry.at));
        }
        self.compare(&moves, before, after)
            .map_err(|problem| format!("{problem} after {:?}", seen.call))?;
        self.balance(after)
    }

    fn compare(&self, moves: &Moves, before: &Contract, after: &Contract) -> Result<(), String> {
        let mut owners: BTreeSet<(Address, Address)> = moves.0.keys().copied().collect();
        for contract in [before, after] {
            owners.extend(contract.wallets().map(|(owner, token, _)| (owner, token)));
            owners.extend(contract.balances().map(|(owner, token, _)| (owner, token)));
        }
        for (owner, token) in owners {
            let wealth = |contract: &Contract| {
                (contract.wallet(owner, token) + contract.balance(owner, token)) as i128
            };
            let (is, due) = (
                wealth(after) - wealth(before),
                moves.0.get(&(owner, token)).copied().unwrap_or(0),
            );
            if is != due {
                return Err(format!("{owner} has gained {is} of {token} instead of {due}"));
            }
        }
        Ok(())
    }

    /// What the contract has of each token is what it owes, and the limits count what is locked.
    fn balance(&self, contract: &Contract) -> Result<(), String> {
        let mut owed = BTreeMap::<Address, u128>::new();
        let mut locked = BTreeMap::<(Address, Address, Address), u128>::new();
        for (_, token, amount) in contract.balances() {
            *owed.entry(token).or_default() += amount;
        }
        for entry in self.jobs.values() {
            let (terms, token) = (&entry.terms, entry.terms.token);
            let (provider, disputed) = match entry.at {
                Place::Open => (None, false),
                Place::With { provider, .. }
                | Place::Held { provider, .. }
                | Place::Published { provider, .. } => (Some(provider), false),
                Place::Disputed { provider, .. } => (Some(provider), true),
                Place::Forfeiting { .. }
                | Place::Ruled { .. }
                | Place::Paid { .. }
                | Place::Returned => continue,
            };
            let owed = owed.entry(token).or_default();
            *owed += terms.bounty.0 + entry.pool;
            if disputed {
                *owed += terms.dispute_bond.0;
            }
            if let Some(provider) = provider {
                *owed += terms.bond.0;
                let key = (provider, terms.scheduler, token);
                *locked.entry(key).or_default() += terms.bond.0;
            }
        }
        for (token, owed) in owed {
            let has = contract.holding(token);
            if has != owed {
                return Err(format!("the contract has {has} of {token} and owes {owed}"));
            }
        }
        for (key, limit) in contract.bond_limits() {
            let locked = locked.get(&key).copied().unwrap_or(0);
            if limit.used != locked {
                return Err(format!(
                    "{locked} is locked of {key:?}, but {} is counted",
                    limit.used
                ));
            }
        }
        Ok(())
    }

    fn entry(&mut self, job: JobId) -> Result<&mut Entry, String> {
        self.jobs.get_mut(&job).ok_or_else(|| "about a job that was never opened".to_owned())
    }

    fn enter(&mut self, event: &Event, seen: &Seen<'_>, moves: &mut Moves) -> Result<(), String> {
        let now = seen.now;
        match *event {
            Event::Opened { job, terms } => self.opened(job, &terms, seen, moves),
            Event::Assigned { job, node, provider, attempt } => {
                self.assigned(job, node, provider, attempt, seen, moves)
            }
            Event::CalledIn { job, lease_end, .. } => {
                let entry = self.entry(job)?;
                let Place::With { lease_end: end, since, .. } = &mut entry.at else {
                    return Err("called in while nobody holds it".into());
                };
                let attempt_end = *since + u64::from(entry.terms.attempt_seconds);
                let least = attempt_end.min(now + u64::from(entry.terms.grace_seconds));
                if lease_end >= *end || lease_end < least {
                    return Err(format!("a call-in moves the lease from {end} to {lease_end}"));
                }
                *end = lease_end;
                Ok(())
            }
            Event::Renewed { job, lease_end, .. } => {
                let entry = self.entry(job)?;
                let Place::With { lease_end: end, since, .. } = &mut entry.at else {
                    return Err("renewed while nobody holds it".into());
                };
                if now > *end || lease_end > *since + u64::from(entry.terms.attempt_seconds) {
                    return Err(format!("a lease that ended at {end} is renewed to {lease_end}"));
                }
                *end = lease_end;
                Ok(())
            }
            Event::Released { job, .. } => {
                let entry = self.entry(job)?;
                let Place::With { provider, .. } = entry.at else {
                    return Err("released while nobody holds it".into());
                };
                entry.at = Place::Open;
                moves.give(provider, entry.terms.token, entry.terms.bond.0);
                Ok(())
            }
            Event::Lapsed { job, .. } => {
                let entry = self.entry(job)?;
                let Place::With { provider, lease_end, .. } = entry.at else {
                    return Err("lapsed while nobody holds it".into());
                };
                if now <= lease_end {
                    return Err(format!("pushed out while its lease ran until {lease_end}"));
                }
                entry.at = after_loss(&entry.terms, provider);
                Ok(())
            }
            Event::Forfeited { job, provider, to_submitter, to_pool } => {
                let entry = self.entry(job)?;
                let bond = entry.terms.bond.0;
                if entry.at != (Place::Forfeiting { provider }) {
                    return Err("a bond is lost without silence or a ruling".into());
                }
                if to_submitter + to_pool != bond || to_pool > bond / 2 {
                    return Err(format!("a bond of {bond} is divided wrongly"));
                }
                entry.pool += to_pool;
                entry.at = Place::Open;
                moves.give(entry.terms.submitter, entry.terms.token, to_submitter);
                Ok(())
            }
            Event::Settled { job, .. } => {
                let entry = self.entry(job)?;
                let provider = match entry.at {
                    Place::With { provider, .. } if now <= entry.terms.deadline => provider,
                    Place::Published { provider, until } if now <= until => provider,
                    at @ (Place::Open
                    | Place::With { .. }
                    | Place::Forfeiting { .. }
                    | Place::Held { .. }
                    | Place::Published { .. }
                    | Place::Disputed { .. }
                    | Place::Ruled { .. }
                    | Place::Paid { .. }
                    | Place::Returned) => return Err(format!("settled while it was {at:?}")),
                };
                if seen.caller != entry.terms.scheduler {
                    return Err("settled by somebody else than its scheduler".into());
                }
                let hold = u64::from(entry.terms.hold_seconds);
                entry.settled = true;
                entry.at = Place::Held { provider, until: now + hold };
                Ok(())
            }
            Event::Published { job, .. } => {
                let entry = self.entry(job)?;
                let Place::With { provider, .. } = entry.at else {
                    return Err("published while nobody held it".into());
                };
                let window = u64::from(entry.terms.challenge_window);
                entry.at = Place::Published { provider, until: now + window };
                Ok(())
            }
            Event::Disputed { job, by, until } => {
                let entry = self.entry(job)?;
                let terms = entry.terms;
                let (provider, end, published) = match entry.at {
                    Place::Held { provider, until } => (provider, until, false),
                    Place::Published { provider, until } => (provider, until, true),
                    at @ (Place::Open
                    | Place::With { .. }
                    | Place::Forfeiting { .. }
                    | Place::Disputed { .. }
                    | Place::Ruled { .. }
                    | Place::Paid { .. }
                    | Place::Returned) => return Err(format!("disputed while it was {at:?}")),
                };
                let may = by == terms.submitter || (published && by == terms.scheduler);
                if now > end || !may || by != seen.caller {
                    return Err("disputed too late, or by somebody who may not".into());
                }
                moves.take(by, terms.token, terms.dispute_bond.0);
                entry.at = Place::Disputed { provider, by, until };
                Ok(())
            }
            Event::Ruled { job, ruling } => {
                let entry = self.entry(job)?;
                let terms = entry.terms;
                let Place::Disputed { provider, by, until } = entry.at else {
                    return Err("ruled where nothing was disputed".into());
                };
                if seen.caller != terms.arbiter || now > until {
                    return Err("ruled by somebody else than the arbiter, or too late".into());
                }
                entry.at = match ruling {
                    Ruling::Pay | Ruling::Refund => Place::Ruled { provider, by, ruling },
                    Ruling::Reopen => {
                        entry.settled = false;
                        moves.give(by, terms.token, terms.dispute_bond.0);
                        after_loss(&terms, provider)
                    }
                };
                Ok(())
            }
            Event::Paid { job, provider, amount, fee } => {
                self.paid_out(job, provider, amount, fee, now, moves)
            }
            Event::Refunded { job, amount } => self.refunded(job, amount, now, moves),
            Event::Cancelled { job, amount } => self.cancelled(job, amount, seen, moves),
            Event::Withdrawn { owner, token, to, amount } => {
                if owner != seen.caller {
                    return Err("somebody else withdrew it".into());
                }
                moves.take(owner, token, amount);
                moves.give(to, token, amount);
                Ok(())
            }
            Event::EpochRaised { owner, epoch } => {
                self.epochs.insert(owner, epoch);
                Ok(())
            }
            Event::Enrolled { node, provider } => match self.providers.insert(node, provider) {
                None => Ok(()),
                Some(other) => Err(format!("the node belongs to {other}")),
            },
            Event::Skipped { .. }
            | Event::Deposited { .. }
            | Event::Credited { .. }
            | Event::Debited { .. }
            | Event::Revoked { .. }
            | Event::SchedulerApproved { .. }
            | Event::SchedulerDisapproved { .. } => Ok(()),
        }
    }

    fn opened(
        &mut self,
        job: JobId,
        terms: &Terms,
        seen: &Seen<'_>,
        moves: &mut Moves,
    ) -> Result<(), String> {
        if self.jobs.contains_key(&job) || self.forbidden.contains(&job) {
            return Err("opened twice, or although it was forbidden".into());
        }
        let submitter = terms.submitter;
        if seen.caller != submitter {
            let Call::OpenMany { order, .. } = seen.call else {
                return Err("opened by somebody else than its submitter".into());
            };
            let epoch = self.epochs.get(&submitter).copied().unwrap_or(0);
            let valid = order.epoch == epoch
                && seen.now <= order.expires
                && self.orders.contains(&(submitter, *order));
            if !valid {
                return Err("opened by an order that was never signed, or is over".into());
            }
        }
        moves.take(submitter, terms.token, terms.bounty.0);
        let entry = Entry { terms: *terms, at: Place::Open, attempts: 0, pool: 0, settled: false };
        self.jobs.insert(job, entry);
        Ok(())
    }

    fn assigned(
        &mut self,
        job: JobId,
        node: NodeId,
        provider: Address,
        attempt: u16,
        seen: &Seen<'_>,
        moves: &mut Moves,
    ) -> Result<(), String> {
        if self.providers.get(&node) != Some(&provider) {
            return Err("the node is not of this provider".into());
        }
        let entry = self.entry(job)?;
        let terms = entry.terms;
        if entry.at != Place::Open || attempt != entry.attempts + 1 {
            return Err(format!("assigned while it was {:?}", entry.at));
        }
        if seen.caller != terms.scheduler {
            return Err("assigned by somebody else than its scheduler".into());
        }
        if terms.bond.0 > 0 && !is_accepted(job, node, attempt, seen) {
            return Err("a bond was locked without the node's acceptance".into());
        }
        moves.take(provider, terms.token, terms.bond.0);
        let lease = terms.lease_seconds.min(terms.attempt_seconds);
        entry.attempts = attempt;
        let lease_end = seen.now + u64::from(lease);
        entry.at = Place::With { provider, node, lease_end, since: seen.now };
        Ok(())
    }

    fn paid_out(
        &mut self,
        job: JobId,
        provider: Address,
        amount: u128,
        fee: u128,
        now: u64,
        moves: &mut Moves,
    ) -> Result<(), String> {
        let entry = self.entry(job)?;
        let terms = entry.terms;
        let (owed, dispute_bond) = match entry.at {
            Place::Held { provider, until } if now > until || terms.hold_seconds == 0 => {
                (provider, 0)
            }
            Place::Published { provider, until } if now > until => (provider, 0),
            Place::Disputed { provider, until, .. } if now > until => {
                (provider, terms.dispute_bond.0)
            }
            Place::Ruled { provider, ruling: Ruling::Pay, .. } => (provider, terms.dispute_bond.0),
            at @ (Place::Open
            | Place::With { .. }
            | Place::Forfeiting { .. }
            | Place::Held { .. }
            | Place::Published { .. }
            | Place::Disputed { .. }
            | Place::Ruled { .. }
            | Place::Paid { .. }
            | Place::Returned) => return Err(format!("paid while it was {at:?}")),
        };
        let earned = if entry.settled { terms.fee.0 } else { 0 };
        let due = terms.bounty.0 - terms.fee.0 + entry.pool + dispute_bond;
        if (owed, due, earned) != (provider, amount, fee) {
            return Err(format!("{owed} should have {due}, and the scheduler {earned}"));
        }
        moves.give(owed, terms.token, due + terms.bond.0);
        let to = if entry.settled { terms.scheduler } else { terms.submitter };
        moves.give(to, terms.token, terms.fee.0);
        entry.at = Place::Paid { provider };
        Ok(())
    }

    fn refunded(
        &mut self,
        job: JobId,
        amount: u128,
        now: u64,
        moves: &mut Moves,
    ) -> Result<(), String> {
        let entry = self.entry(job)?;
        let terms = entry.terms;
        let late = now > terms.deadline;
        let mut due = terms.bounty.0 + entry.pool;
        match entry.at {
            Place::Open if late => {}
            Place::With { .. } if late => due += terms.bond.0,
            Place::Ruled { by, ruling: Ruling::Refund, .. } => {
                due += terms.bond.0;
                if by == terms.submitter {
                    due += terms.dispute_bond.0;
                } else {
                    moves.give(by, terms.token, terms.dispute_bond.0);
                }
            }
            at @ (Place::Open
            | Place::With { .. }
            | Place::Forfeiting { .. }
            | Place::Held { .. }
            | Place::Published { .. }
            | Place::Disputed { .. }
            | Place::Ruled { .. }
            | Place::Paid { .. }
            | Place::Returned) => return Err(format!("refunded while it was {at:?}")),
        }
        if due != amount {
            return Err(format!("the submitter should have {due}"));
        }
        moves.give(terms.submitter, terms.token, due);
        entry.at = Place::Returned;
        Ok(())
    }

    fn cancelled(
        &mut self,
        job: JobId,
        amount: u128,
        seen: &Seen<'_>,
        moves: &mut Moves,
    ) -> Result<(), String> {
        let Ok(entry) = self.entry(job) else {
            self.forbidden.insert(job);
            return if amount == 0 { Ok(()) } else { Err("money for nothing".into()) };
        };
        let terms = entry.terms;
        if entry.at != Place::Open || seen.caller != terms.submitter {
            return Err(format!("cancelled while it was {:?}, or by another", entry.at));
        }
        let due = terms.bounty.0 + entry.pool;
        if due != amount {
            return Err(format!("the submitter should have {due}"));
        }
        moves.give(terms.submitter, terms.token, due);
        entry.at = Place::Returned;
        Ok(())
    }
}

/// Where a job is once its provider has lost it: with a bond, that must be divided first.
fn after_loss(terms: &Terms, provider: Address) -> Place {
    if terms.bond.0 > 0 { Place::Forfeiting { provider } } else { Place::Open }
}

fn is_halfway(entry: &Entry) -> bool {
    let paid_at_once =
        entry.settled && entry.terms.hold_seconds == 0 && matches!(entry.at, Place::Held { .. });
    matches!(entry.at, Place::Forfeiting { .. } | Place::Ruled { .. }) || paid_at_once
}

/// Whether the call carries what the node has signed for this attempt.
fn is_accepted(job_id: JobId, node: NodeId, attempt: u16, seen: &Seen<'_>) -> bool {
    let accepts = |assignment: &Assignment| {
        let expires = assignment.expires;
        let message = Message::Accept { job_id, attempt: AttemptNumber(attempt), expires };
        seen.now <= expires
            && assignment.node == node
            && assignment.acceptance == sign(node.0, &message)
    };
    if let Call::AssignMany { assignments } = seen.call {
        return assignments.iter().any(accepts);
    }
    matches!(seen.call, Call::AssignWithTerms { assignment } if accepts(assignment))
}
