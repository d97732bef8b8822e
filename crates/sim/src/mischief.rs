//! What people try with the contract who may not: every such call must fail, or do what it would have done anyway.

use gristmill_protocol::Address;
use gristmill_protocol::api::{EscrowState, Ruling};
use gristmill_protocol::ids::{AttemptNumber, ReceiptHash};
use gristmill_protocol::order::MultiProof;
use gristmill_protocol::signing::{CompactSignature, Message};

use crate::keys::sign;
use crate::model::{Assignment, Call, Opening, Settlement};
use crate::town::{Plan, Town};

/// Nobody's account.
const STRANGER: Address = Address::repeat_byte(0xDD);

/// One attempt, by whom, against the job of a plan.
pub(crate) fn any(plan: &Plan, town: &Town) -> (Address, Option<Call>) {
    let mut random = town.random.fork();
    let terms = plan.terms;
    let slot = town.chain.contract().slot(plan.id);
    let agent = &town.agents[random.index(town.agents.len())];
    let forged = CompactSignature([7; 64]);
    let (job_id, attempt) = (plan.id, AttemptNumber(slot.attempt));
    match random.below(24) {
        // A result that nobody has signed.
        0 => {
            let settlement =
                Settlement { terms, receipt_hash: ReceiptHash::default(), signature: forged };
            (terms.scheduler, Some(Call::Settle { settlement }))
        }
        1 => (STRANGER, Some(Call::Refund { terms })),
        2 => (STRANGER, Some(Call::Claim { terms })),
        3 => (terms.submitter, Some(Call::Lapse { terms })),
        // A running lease is pushed out.
        4 => {
            let runs = slot.state == EscrowState::Assigned
                && slot.lease_end(&terms) > town.now.unix_seconds() + 120;
            let (number, expires) = (slot.attempt + 1, u64::MAX);
            let accept = Message::Accept { job_id, attempt: AttemptNumber(number), expires };
            let acceptance = sign(agent.id.0, &accept);
            let node = agent.id;
            let assignment = Assignment { terms, node, attempt: number, expires, acceptance };
            (terms.scheduler, runs.then_some(Call::AssignWithTerms { assignment }))
        }
        // A bond is burnt with a job that the node never accepted.
        5 => {
            let bonded = terms.bond.0 > 0;
            let (attempt, expires) = (slot.attempt + 1, u64::MAX);
            let node = agent.id;
            let assignment = Assignment { terms, node, attempt, expires, acceptance: forged };
            (terms.scheduler, bonded.then_some(Call::AssignWithTerms { assignment }))
        }
        6 => {
            let ruling = [Ruling::Pay, Ruling::Refund, Ruling::Reopen][random.index(3)];
            let by = [terms.submitter, terms.scheduler, agent.provider][random.index(3)];
            (by, Some(Call::Rule { terms, ruling }))
        }
        7 => (terms.scheduler, Some(Call::Dispute { terms })),
        // An order by anybody: as it was signed, perhaps revoked since, or for another epoch.
        8 | 17..20 => {
            let call = plan.funding.as_ref().map(|funding| {
                let mut order = funding.order;
                if random.percent(30) {
                    order.epoch += 1;
                }
                let openings = vec![Opening { terms, node: None }];
                let proof = MultiProof::of(&[(job_id, &funding.path)]).unwrap_or_default();
                Call::OpenMany { openings, order, signature: funding.signature.0.clone(), proof }
            });
            (STRANGER, call)
        }
        // The submitter takes a job back that is under way, or that has ended.
        9 => {
            let open = matches!(slot.state, EscrowState::None | EscrowState::Open);
            (terms.submitter, (!open).then_some(Call::Cancel { terms }))
        }
        10 => {
            let ended = matches!(
                slot.state,
                EscrowState::Paid | EscrowState::Refunded | EscrowState::Cancelled
            );
            (terms.submitter, ended.then_some(Call::Open { terms }))
        }
        // What belongs to others, and what is one's own.
        11 => {
            let provider = agent.provider;
            let call = Call::Withdraw { token: terms.token, to: provider, amount: 10 };
            (provider, Some(call))
        }
        12 => (agent.id.0, Some(Call::Release { terms, signature: forged })),
        // A provider thinks twice about what is at stake.
        20 => {
            let bond_limit = random.below(600).into();
            let (scheduler, token) = (agent.scheduler, terms.token);
            (agent.provider, Some(Call::ApproveScheduler { scheduler, token, bond_limit }))
        }
        21 => {
            let amount = town.chain.contract().balance(agent.provider, terms.token);
            let (token, to) = (terms.token, agent.provider);
            (agent.provider, random.percent(30).then_some(Call::Withdraw { token, to, amount }))
        }
        22 => {
            let call = if random.percent(20) {
                Call::Revoke { node: agent.id }
            } else {
                Call::DisapproveScheduler { scheduler: agent.scheduler }
            };
            (agent.provider, random.percent(30).then_some(call))
        }
        // What was signed once is sent again.
        13..17 => {
            let past = &town.chain.past;
            match past.get(random.index(past.len())) {
                Some((from, call)) => (*from, Some(call.as_ref().clone())),
                None => (STRANGER, None),
            }
        }
        // A result of an older attempt, or of another node.
        _ => {
            let receipt_hash = ReceiptHash::default();
            let message = Message::Result { job_id, attempt, node: agent.id, receipt_hash };
            let signature = sign(agent.id.0, &message);
            let other = slot.node != agent.id;
            (STRANGER, other.then_some(Call::Publish { terms, receipt_hash, signature }))
        }
    }
}
