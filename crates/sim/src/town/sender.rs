//! The chain sender of a scheduler: from intents to nonces to transactions, again where one was lost, and what failed
//! back to the rules.

use std::rc::Rc;

use gristmill_market::command::Command;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::job::Job;
use gristmill_protocol::ids::{AttemptNumber, JobId};
use gristmill_protocol::order::{Funding, MultiProof, OrderPath};

use super::{Asker, Town};
use crate::chain::{Fate, Outcome};
use crate::model::{Assignment, Call, Event as Said, Opening, Settlement};
use crate::plant::Plant;
use crate::store::SignedRow;

/// After this time without a block that has it, a transaction is sent again.
const PATIENCE_MS: u64 = 30_000;

impl Town {
    pub(super) fn send(&mut self, mill: usize) {
        self.mills[mill].sender_planned = false;
        if !self.mills[mill].up {
            return;
        }
        let mut failed = Vec::new();
        let waiting = self.follow_up(mill, &mut failed);
        let ready = self.ready(mill, &mut failed);
        let signed = !ready.is_empty();
        for batch in self.batches(mill, ready) {
            self.sign(mill, batch);
        }
        self.plan_block();
        for intent in failed {
            let intent = self.mills[mill].store.intents[intent].intent.reference();
            let command = Command::IntentFailed { intent, reason: "it cannot be mined".into() };
            self.post(mill, command, Asker::Nobody);
        }
        if waiting || signed {
            self.plan_sender(mill, 5000);
        }
    }

    /// Looks after what is signed. Whether anything of it is still open.
    fn follow_up(&mut self, mill: usize, failed: &mut Vec<usize>) -> bool {
        let account = self.mills[mill].address;
        let settled_nonce = self.chain.settled_nonce(account);
        let mut open = false;
        for index in 0..self.mills[mill].store.signed.len() {
            let row = self.mills[mill].store.signed[index].clone();
            if row.done {
                continue;
            }
            let fates: Vec<Fate> =
                row.versions.iter().map(|version| self.chain.fate(version.id)).collect();
            let outcome = fates.iter().find_map(|fate| match fate {
                Fate::Final(outcome) => Some(Rc::clone(outcome)),
                Fate::Unknown | Fate::Mined => None,
            });
            let store = &mut self.mills[mill].store;
            if let Some(outcome) = outcome {
                store.signed[index].done = true;
                for place in row.intents {
                    let intent = &mut store.intents[place];
                    intent.done = true;
                    if !has_succeeded(&intent.intent, &outcome) {
                        failed.push(place);
                    }
                }
                continue;
            }
            if settled_nonce > row.nonce && self.plant != Some(Plant::BlindSender) {
                // Somebody else has used the nonce: what it stood for gets another one.
                store.signed[index].done = true;
                for place in row.intents {
                    store.intents[place].signed = None;
                }
                continue;
            }
            open = true;
            let late = self.now.millis_since(row.sent_at) >= PATIENCE_MS;
            if fates.contains(&Fate::Mined) || !late || self.plant == Some(Plant::NoReplacement) {
                continue;
            }
            store.signed[index].sent_at = self.now;
            let Some(newest) = row.versions.last() else { continue };
            if self.random.percent(50) {
                self.note(|| format!("sends again: {:?}", newest.call));
                self.chain.rebroadcast(newest);
            } else {
                self.chain.broadcast(account, Some(row.nonce), Rc::clone(&newest.call));
                let version = self.chain.newest_transaction().cloned();
                self.mills[mill].store.signed[index].versions.extend(version);
            }
        }
        open
    }

    /// Intents without a transaction that the rules still want.
    fn ready(&mut self, mill: usize, failed: &mut Vec<usize>) -> Vec<usize> {
        let store = &mut self.mills[mill].store;
        let mut ready = Vec::new();
        for (place, row) in store.intents.iter_mut().enumerate() {
            if row.done || row.signed.is_some() {
                continue;
            }
            let job = store.rows.jobs.get(&row.intent.job);
            if job.is_some_and(|job| row.intent.is_wanted(job)) {
                ready.push(place);
            } else {
                row.done = true;
                failed.push(place);
            }
        }
        ready
    }

    /// What goes into one transaction: sometimes everything of a kind, sometimes each for itself.
    fn batches(&mut self, mill: usize, ready: Vec<usize>) -> Vec<Vec<usize>> {
        let mut batches: Vec<(Option<Kind>, Vec<usize>)> = Vec::new();
        for place in ready {
            let store = &self.mills[mill].store;
            let intent = &store.intents[place].intent;
            let kind = store.rows.jobs.get(&intent.job).and_then(|job| Kind::of(intent, job));
            let kind = kind.filter(|_| self.random.percent(60));
            match batches.iter_mut().find(|(other, _)| kind.is_some() && *other == kind) {
                Some((_, batch)) => batch.push(place),
                None => batches.push((kind, vec![place])),
            }
        }
        batches.into_iter().map(|(_, batch)| batch).collect()
    }

    /// Takes a nonce, saves, and only then sends. A crash in between loses the sending, which comes later.
    fn sign(&mut self, mill: usize, batch: Vec<usize>) {
        let account = self.mills[mill].address;
        // A nonce that was used from outside counts once it is final: a block that is replaced would leave a hole.
        let on_chain = self.chain.settled_nonce(account);
        let plant = self.plant;
        let store = &mut self.mills[mill].store;
        let parts: Vec<(&Intent, &Job)> = batch
            .iter()
            .filter_map(|place| {
                let intent = &store.intents[*place].intent;
                store.rows.jobs.get(&intent.job).map(|job| (intent, job))
            })
            .collect();
        let Some(call) = call_of(&parts, plant) else { return };
        let nonce = *store.next_nonce.get_or_insert(on_chain);
        store.next_nonce = Some(nonce + 1);
        for place in &batch {
            store.intents[*place].signed = Some(store.signed.len());
        }
        self.note(|| format!("scheduler {mill} sends with nonce {nonce}: {call:?}"));
        self.chain.broadcast(account, Some(nonce), Rc::new(call));
        let versions = self.chain.newest_transaction().cloned().into_iter().collect();
        let (sent_at, done) = (self.now, false);
        let row = SignedRow { nonce, intents: batch, versions, sent_at, done };
        self.mills[mill].store.signed.push(row);
        if self.chaos && self.random.percent(5) {
            self.chain.lose_newest();
        }
    }
}

/// Intents of one kind can share a transaction.
#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Open(Box<Funding>),
    Assign,
    Settle,
}

impl Kind {
    fn of(intent: &Intent, job: &Job) -> Option<Self> {
        match intent.action {
            IntentAction::Open | IntentAction::OpenAndAssign { .. } => {
                // The same order, whichever of its jobs.
                let mut funding = job.funding.clone()?;
                funding.path =
                    OrderPath { position: 0, jobs: funding.path.jobs, siblings: Vec::new() };
                Some(Self::Open(Box::new(funding)))
            }
            IntentAction::Assign { .. } => Some(Self::Assign),
            IntentAction::Settle { .. } => Some(Self::Settle),
            IntentAction::CallIn { .. }
            | IntentAction::Release { .. }
            | IntentAction::Lapse { .. }
            | IntentAction::Claim { .. }
            | IntentAction::Refund => None,
        }
    }
}

/// Whether the transaction did what the intent wanted. What opens and assigns has succeeded if the job is open.
fn has_succeeded(intent: &Intent, outcome: &Outcome) -> bool {
    let Ok(events) = outcome else { return false };
    match intent.action {
        IntentAction::Open | IntentAction::OpenAndAssign { .. } => events
            .iter()
            .any(|event| matches!(event, Said::Opened { job, .. } if *job == intent.job)),
        IntentAction::Assign { .. }
        | IntentAction::CallIn { .. }
        | IntentAction::Release { .. }
        | IntentAction::Lapse { .. }
        | IntentAction::Settle { .. }
        | IntentAction::Claim { .. }
        | IntentAction::Refund => !events
            .iter()
            .any(|event| matches!(event, Said::Skipped { job, .. } if *job == intent.job)),
    }
}

/// The transaction for one intent, or for several of one kind.
fn call_of(parts: &[(&Intent, &Job)], plant: Option<Plant>) -> Option<Call> {
    let (first, job) = parts.first()?;
    let terms = job.terms;
    Some(match first.action {
        IntentAction::Open | IntentAction::OpenAndAssign { .. } => open_call(parts)?,
        IntentAction::Assign { attempt, node, .. } => {
            let attempt = number(attempt, plant);
            let ended = job.escrow.attempt().is_some();
            match assignments(parts, plant) {
                batch if batch.len() > 1 => Call::AssignMany { assignments: batch },
                mut alone if job.is_bonded() || ended => {
                    Call::AssignWithTerms { assignment: alone.pop()? }
                }
                // Without a bond, and open: the cheap one does.
                _ => Call::Assign { job: job.id, node, attempt },
            }
        }
        IntentAction::CallIn { .. } => Call::CallIn { terms },
        IntentAction::Release { signature, .. } => Call::Release { terms, signature },
        IntentAction::Lapse { .. } => Call::Lapse { terms },
        IntentAction::Settle { .. } => {
            let mut settlements = settlements(parts);
            if settlements.len() > 1 {
                Call::SettleMany { settlements }
            } else {
                Call::Settle { settlement: settlements.pop()? }
            }
        }
        IntentAction::Claim { .. } => Call::Claim { terms },
        IntentAction::Refund => Call::Refund { terms },
    })
}

fn number(attempt: AttemptNumber, plant: Option<Plant>) -> u16 {
    attempt.0 - u16::from(plant == Some(Plant::WrongNumber))
}

fn assignments(parts: &[(&Intent, &Job)], plant: Option<Plant>) -> Vec<Assignment> {
    let assignment = |(intent, job): &(&Intent, &Job)| {
        let IntentAction::Assign { attempt, node, acceptance } = intent.action else { return None };
        Some(Assignment {
            terms: job.terms,
            node,
            attempt: number(attempt, plant),
            expires: acceptance.map_or(0, |acceptance| acceptance.expires),
            acceptance: acceptance
                .map_or(gristmill_protocol::signing::CompactSignature([0; 64]), |acceptance| {
                    acceptance.signature
                }),
        })
    };
    parts.iter().filter_map(assignment).collect()
}

/// Neighbours with the same token and provider are paid in one push.
fn settlements(parts: &[(&Intent, &Job)]) -> Vec<Settlement> {
    let settlement = |(intent, job): &(&Intent, &Job)| {
        let IntentAction::Settle { receipt_hash, signature, .. } = intent.action else {
            return None;
        };
        Some((job.escrow.node(), Settlement { terms: job.terms, receipt_hash, signature }))
    };
    let mut settlements: Vec<_> = parts.iter().filter_map(settlement).collect();
    settlements.sort_by_key(|(node, settlement)| (settlement.terms.token, *node));
    settlements.into_iter().map(|(_, settlement)| settlement).collect()
}

fn open_call(parts: &[(&Intent, &Job)]) -> Option<Call> {
    let mut jobs: Vec<(&Funding, Opening, JobId)> = parts
        .iter()
        .filter_map(|(intent, job)| {
            let node = match intent.action {
                IntentAction::OpenAndAssign { node, .. } => Some(node),
                IntentAction::Open
                | IntentAction::Assign { .. }
                | IntentAction::CallIn { .. }
                | IntentAction::Release { .. }
                | IntentAction::Lapse { .. }
                | IntentAction::Settle { .. }
                | IntentAction::Claim { .. }
                | IntentAction::Refund => None,
            };
            job.funding
                .as_ref()
                .map(|funding| (funding, Opening { terms: job.terms, node }, job.id))
        })
        .collect();
    jobs.sort_by_key(|(funding, ..)| funding.path.position);
    let paths: Vec<_> = jobs.iter().map(|(funding, _, job)| (*job, &funding.path)).collect();
    let proof = MultiProof::of(&paths)?;
    let Funding { order, signature, .. } = jobs.first()?.0;
    let (order, signature) = (*order, signature.0.clone());
    let openings = jobs.into_iter().map(|(_, opening, _)| opening).collect();
    Some(Call::OpenMany { openings, order, signature, proof })
}
