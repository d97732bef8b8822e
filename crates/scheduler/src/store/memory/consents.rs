//! Consents in memory.

use gristmill_protocol::Address;
use gristmill_protocol::api::WaitingNode;
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::time::Timestamp;

use super::MemoryRows;
use crate::store::StoreError;
use crate::store::consents::{ConsentReads, ConsentWrites, kept_until};

impl ConsentReads for MemoryRows {
    fn waiting_node(
        &self,
        node: NodeId,
        now: Timestamp,
    ) -> Result<Option<WaitingNode>, StoreError> {
        Ok(self.consents.get(&node).filter(|waiting| kept_until(waiting) > now).cloned())
    }

    fn waiting_nodes(
        &self,
        provider: Address,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<WaitingNode>, StoreError> {
        let waits =
            |waiting: &&WaitingNode| waiting.provider == provider && kept_until(waiting) > now;
        let mut waiting: Vec<WaitingNode> = self.consents.values().filter(waits).cloned().collect();
        waiting.sort_by_key(|waiting| (std::cmp::Reverse(waiting.seen_at_ms), waiting.node));
        waiting.truncate(limit);
        Ok(waiting)
    }

    fn waiting_counts(
        &self,
        provider: Address,
        except: NodeId,
        now: Timestamp,
    ) -> Result<(usize, usize), StoreError> {
        let waits = |waiting: &&WaitingNode| waiting.node != except && kept_until(waiting) > now;
        let others: Vec<&WaitingNode> = self.consents.values().filter(waits).collect();
        let of_provider = others.iter().filter(|waiting| waiting.provider == provider).count();
        Ok((of_provider, others.len()))
    }
}

impl ConsentWrites for MemoryRows {
    fn put_consent(&mut self, waiting: &WaitingNode) -> Result<(), StoreError> {
        self.consents.insert(waiting.node, waiting.clone());
        Ok(())
    }
}
