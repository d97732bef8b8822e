//! Nodes come, change and fall silent.

use std::collections::BTreeMap;

use gristmill_protocol::Address;
use gristmill_protocol::api::Offer;
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::time::Timestamp;

use super::draft::Draft;
use crate::node::{Mode, Node, Standing};
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::reputation::Reputation;

/// Makes or changes an offer. What the node holds goes on under the old one; it counts as online from its first poll.
pub(super) fn register(
    draft: &mut Draft<'_>,
    id: NodeId,
    provider: Address,
    offer: Offer,
    standing: Standing,
) -> Result<Reply, Rejection> {
    offer.validate().map_err(Rejection::InvalidOffer)?;
    let now = draft.now;
    if draft.find_node(id).is_some() {
        let node = draft.node_mut(id)?;
        node.provider = provider;
        node.offer = offer;
        node.standing = standing;
        // What made it fail may be repaired.
        node.rest_until = Timestamp::default();
    } else {
        draft.insert_node(Node {
            id,
            provider,
            offer,
            mode: Mode::Offline,
            standing,
            holding: BTreeMap::new(),
            registered_at: now,
            heard_at: now,
            last_assigned_at: Timestamp::default(),
            failures_in_a_row: 0,
            rest_until: Timestamp::default(),
            attempts_accepted: 0,
            attempts_failed: 0,
            reputation: Reputation::default(),
            due_at: None,
        });
    }
    draft.wake(id);
    Ok(Reply::Node { state: draft.node(id)?.state() })
}

/// What the chain says of it. What it holds already it can finish.
pub(super) fn stand(
    draft: &mut Draft<'_>,
    id: NodeId,
    standing: Standing,
) -> Result<Reply, Rejection> {
    let node = draft.node_mut(id)?;
    node.standing = standing;
    let state = node.state();
    draft.wake(id);
    Ok(Reply::Node { state })
}

/// Looks whether a node is still there.
pub(super) fn due(draft: &mut Draft<'_>, id: NodeId) -> Result<Reply, Rejection> {
    let (now, offline_ms) = (draft.now, draft.policy().offline_ms);
    let due_at = draft.node(id)?.due_at;
    if due_at.is_none_or(|due_at| now < due_at) {
        return Err(Rejection::NotDue { due_at });
    }
    let node = draft.node_mut(id)?;
    if node.is_heard(now, offline_ms) {
        node.due_at = Some(node.heard_at.plus_millis(offline_ms + 1));
    } else {
        node.mode = Mode::Offline;
        node.due_at = None;
    }
    Ok(Reply::Node { state: node.state() })
}
