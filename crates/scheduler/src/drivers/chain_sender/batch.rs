//! Which intents share a transaction.
//!
//! There is no timer: what is planned when the sender looks goes out together, so a lone intent waits for nobody, and under
//! load batches form by themselves. A batch of one is the verb for one job, which is cheaper and says why it reverts.

use std::collections::{BTreeMap, HashMap};

use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::SolEvent;
use gristmill_market::effect::{Intent, IntentAction};
use gristmill_market::escrow::Escrow;
use gristmill_market::job::Job;
use gristmill_protocol::Address;
use gristmill_protocol::contracts::JobMarket;
use gristmill_protocol::ids::{JobId, NodeId};
use gristmill_protocol::order::Order;

use super::call;
use crate::drivers::chain_rpc::Revert;
use crate::store::chain::IntentRow;

/// Jobs of one transaction.
const ITEMS_MAX: usize = 100;
/// Bytes of calldata: a transaction of U2U has 128 KiB, signature and fees included.
const DATA_BYTES_MAX: usize = 120 * 1024;

/// An intent that the contract would accept now, with the job it is about.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub row: IntentRow,
    pub job: Job,
    /// What it would use alone. In a batch it uses less.
    pub gas: u64,
}

/// Intents of equal keys can share a transaction.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    /// Jobs of one order.
    Open {
        submitter: Address,
        token: Address,
        order: Order,
    },
    Assign,
    Settle,
}

fn key(intent: &Intent, job: &Job) -> Option<Key> {
    match intent.action {
        IntentAction::Open | IntentAction::OpenAndAssign { .. } => {
            job.funding.as_ref().map(|funding| Key::Open {
                submitter: job.terms.submitter,
                token: job.terms.token,
                order: funding.order,
            })
        }
        IntentAction::Assign { .. } => Some(Key::Assign),
        IntentAction::Settle { .. } => Some(Key::Settle),
        IntentAction::CallIn { .. }
        | IntentAction::Release { .. }
        | IntentAction::Lapse { .. }
        | IntentAction::Claim { .. }
        | IntentAction::Refund => None,
    }
}

/// Neighbours with one provider and token are paid together, and leaves of an order come in its order.
fn place(ready: &Ready) -> (Address, NodeId, u32) {
    let node = match ready.job.escrow {
        Escrow::Assigned { node, .. } | Escrow::Published { node, .. } => node,
        Escrow::None
        | Escrow::Open
        | Escrow::Held { .. }
        | Escrow::Disputed { .. }
        | Escrow::Paid
        | Escrow::Refunded
        | Escrow::Cancelled => NodeId::default(),
    };
    let position = ready.job.funding.as_ref().map_or(0, |funding| funding.path.position);
    (ready.job.terms.token, node, position)
}

impl Ready {
    /// Whether it opens a job by an order: then it is skipped, and does not revert, where that is not possible.
    pub(super) fn opens(&self) -> bool {
        call::opens(self.row.intent.kind())
    }
}

/// Whether a transaction for these can succeed without doing all of it.
pub(super) fn may_skip(calls: &[Ready]) -> bool {
    calls.len() > 1 || calls.iter().any(Ready::opens)
}

/// The calldata of one transaction; nothing where there is none for all of them.
pub(super) fn calldata(calls: &[Ready]) -> Option<Vec<u8>> {
    let mut ordered: Vec<&Ready> = calls.iter().collect();
    ordered.sort_by_key(|call| place(call));
    let ordered: Vec<_> =
        ordered.into_iter().map(|call| (&call.job, &call.row.intent.action)).collect();
    call::calldata(&ordered)
}

/// Leaves out what needs a transaction of its own, and for which there is no room among `room`: it would be tried, and
/// then wait, at every look.
pub(super) fn within(mut calls: Vec<Ready>, room: usize) -> Vec<Ready> {
    let mut alone = 0;
    calls.retain(|call| {
        let shares = key(&call.row.intent, &call.job).is_some();
        alone += usize::from(!shares);
        shares || alone <= room
    });
    calls
}

/// Groups what can share a transaction, within what a transaction can carry. The oldest intent goes first.
pub(super) fn group(ready: Vec<Ready>, gas_max: u64) -> Vec<Vec<Ready>> {
    let mut alone = Vec::new();
    let mut together: BTreeMap<Key, Vec<Ready>> = BTreeMap::new();
    for item in ready {
        match key(&item.row.intent, &item.job) {
            Some(key) => together.entry(key).or_default().push(item),
            None => alone.push(vec![item]),
        }
    }
    let mut groups = alone;
    for mut items in together.into_values() {
        items.sort_by_key(place);
        let mut group: Vec<Ready> = Vec::new();
        for item in items {
            let gas = group.iter().map(|item| item.gas).sum::<u64>() + item.gas;
            let is_twice = group.iter().any(|other| other.job.id == item.job.id);
            let bytes = (group.len() + 1) * call::ITEM_BYTES_MAX;
            let is_full = group.len() == ITEMS_MAX || gas > gas_max || bytes > DATA_BYTES_MAX;
            if !group.is_empty() && (is_full || is_twice) {
                groups.push(std::mem::take(&mut group));
            }
            group.push(item);
        }
        groups.push(group);
    }
    groups.sort_by_key(|group| group.iter().map(|item| item.row.id).min());
    groups
}

/// The jobs of a batch that the contract left out, and why. A job that was opened, and only not assigned, is not among
/// them: its intent has done what matters.
pub(super) fn skipped(receipt: &TransactionReceipt, contract: Address) -> HashMap<JobId, String> {
    let logs = || receipt.logs().iter().filter(|log| log.address() == contract);
    let mut skipped: HashMap<JobId, String> = logs()
        .filter_map(|log| JobMarket::Skipped::decode_log(&log.inner).ok())
        .map(|event| {
            let revert = Revert { data: event.reason.to_vec(), message: "no reason".to_owned() };
            (JobId(event.jobId), call::describe(&revert))
        })
        .collect();
    for event in logs().filter_map(|log| JobMarket::Opened::decode_log(&log.inner).ok()) {
        skipped.remove(&JobId(event.jobId));
    }
    skipped
}

#[cfg(test)]
mod tests {
    use gristmill_protocol::ids::AttemptNumber;

    use super::*;
    use crate::samples;
    use crate::store::chain::IntentId;

    fn ready(number: u64, action: IntentAction, gas: u64) -> Ready {
        let job = samples::queued_job(u8::try_from(number % 250).expect("small"));
        let intent = Intent { job: job.id, action, round: 0 };
        Ready { row: IntentRow { id: IntentId(number), intent, tries: 0, failure: None }, job, gas }
    }

    fn assign(number: u64, gas: u64) -> Ready {
        let node = samples::node_id(7);
        let action = IntentAction::Assign { attempt: AttemptNumber(1), node, acceptance: None };
        ready(number, action, gas)
    }

    fn ids(groups: &[Vec<Ready>]) -> Vec<Vec<u64>> {
        groups.iter().map(|group| group.iter().map(|item| item.row.id.0).collect()).collect()
    }

    #[test]
    fn only_intents_of_a_kind_go_together_and_the_oldest_go_first() {
        let refund = |number| ready(number, IntentAction::Refund, 40_000);
        let items = vec![assign(3, 40_000), refund(1), assign(2, 40_000), refund(4)];
        let mut groups = ids(&group(items, 9_000_000));
        groups.iter_mut().for_each(|group| group.sort_unstable());
        assert_eq!(groups, [vec![1], vec![2, 3], vec![4]]);
        assert_eq!(ids(&group(vec![assign(9, 1)], 9_000_000)), [[9]], "a lone one stays alone");
        assert!(group(Vec::new(), 9_000_000).is_empty());
    }

    #[test]
    fn what_goes_alone_is_tried_only_as_far_as_there_is_room() {
        let refund = |number| ready(number, IntentAction::Refund, 1);
        let items = vec![refund(1), assign(2, 1), refund(3), assign(4, 1), refund(5)];
        let kept = |room| -> Vec<u64> {
            within(items.clone(), room).iter().map(|item| item.row.id.0).collect()
        };
        assert_eq!(kept(9), [1, 2, 3, 4, 5]);
        assert_eq!(kept(2), [1, 2, 3, 4]);
        assert_eq!(kept(1), [1, 2, 4]);
    }

    #[test]
    fn a_group_holds_what_a_transaction_can_carry() {
        let sizes = |groups: &[Vec<Ready>]| groups.iter().map(Vec::len).collect::<Vec<_>>();
        let many = |gas| (0..230).map(|number| assign(number, gas)).collect::<Vec<_>>();
        let groups = group(many(1_000), 9_000_000);
        assert_eq!(sizes(&groups), [100, 100, 30]);
        let by_gas = group(many(100_000), 1_000_000);
        assert!(by_gas.iter().all(|group| group.len() <= 10), "{:?}", sizes(&by_gas));
        assert_eq!(by_gas.iter().map(Vec::len).sum::<usize>(), 230, "nothing is left out");
        // A job is there once, whatever is planned for it.
        let twice = group(vec![assign(1, 1), assign(251, 1)], 9_000_000);
        assert_eq!(sizes(&twice), [1, 1]);
        // The largest call of a full group fits a transaction of U2U, of 128 KiB.
        let calls = many(1).into_iter().take(ITEMS_MAX).collect::<Vec<_>>();
        let data = calldata(&calls).expect("they are of a kind");
        assert!(data.len() <= ITEMS_MAX * call::ITEM_BYTES_MAX && data.len() < 128 * 1024);
        let mixed = [assign(1, 1), ready(2, IntentAction::Refund, 1)];
        assert!(calldata(&mixed).is_none());
    }
}
