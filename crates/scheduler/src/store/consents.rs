//! The port to consents: nodes that wait to be enrolled by a wallet.

use gristmill_protocol::Address;
use gristmill_protocol::api::{WAITING_PER_PROVIDER_MAX, WaitingNode};
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::time::Timestamp;

use super::{StoreError, Writes};

/// Nodes that may wait altogether.
pub const WAITING_MAX: usize = 10_000;
/// A consent is kept for so long at most, however late it expires.
const KEPT_SECONDS: u64 = 7 * 86_400;

/// Reads of consents.
pub trait ConsentReads {
    /// What a node that waits has consented to, unless it has expired.
    fn waiting_node(&self, node: NodeId, now: Timestamp)
    -> Result<Option<WaitingNode>, StoreError>;
    /// The nodes that wait for a provider, newest first.
    fn waiting_nodes(
        &self,
        provider: Address,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<WaitingNode>, StoreError>;
    /// How many nodes but `except` wait: for this provider, and altogether.
    fn waiting_counts(
        &self,
        provider: Address,
        except: NodeId,
        now: Timestamp,
    ) -> Result<(usize, usize), StoreError>;
}

/// Writes of consents.
pub trait ConsentWrites {
    /// Stores a consent in place of an older one of the node.
    fn put_consent(&mut self, waiting: &WaitingNode) -> Result<(), StoreError>;
}

/// What became of a consent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    Waits,
    /// A wallet has enrolled the node already: there is nothing to wait for.
    Enrolled,
    /// As many nodes wait for this provider as may.
    ProviderFull,
    /// As many nodes wait as may.
    Full,
}

/// Until when a consent is of use, and is kept.
#[must_use]
pub fn kept_until(waiting: &WaitingNode) -> Timestamp {
    let expires = Timestamp::from_unix_seconds(waiting.expires);
    expires.min(waiting.seen_at_ms.plus_seconds(KEPT_SECONDS))
}

/// Keeps a consent, whose signature the caller has checked, where there is room for it.
pub fn keep(rows: &mut dyn Writes, waiting: &WaitingNode) -> Result<Kept, StoreError> {
    let (node, provider) = (waiting.node, waiting.provider);
    if rows.enrollment(node)?.is_some() {
        return Ok(Kept::Enrolled);
    }
    let (of_provider, altogether) = rows.waiting_counts(provider, node, waiting.seen_at_ms)?;
    if of_provider >= WAITING_PER_PROVIDER_MAX {
        return Ok(Kept::ProviderFull);
    }
    if altogether >= WAITING_MAX {
        return Ok(Kept::Full);
    }
    rows.put_consent(waiting)?;
    Ok(Kept::Waits)
}
