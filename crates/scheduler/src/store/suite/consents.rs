//! What every store must do for nodes that wait to be enrolled.

use std::sync::Arc;

use gristmill_protocol::Address;
use gristmill_protocol::api::{WAITING_PER_PROVIDER_MAX, WaitingNode};
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::signing::CompactSignature;
use gristmill_protocol::time::Timestamp;

use super::{MemoryStore, SqliteStore, Store, read, write};
use crate::samples::{self, NOW, PROVIDER};
use crate::store::consents::{Kept, WAITING_MAX, keep};

on_every_store! {
    a_consent_waits_until_it_expires_or_a_week
    a_newer_consent_replaces_the_older_one
    an_enrolled_node_waits_no_longer
    consents_of_a_provider_and_altogether_have_an_end
}

const WEEK_SECONDS: u64 = 7 * 86_400;
const OTHER: Address = Address::repeat_byte(0xb1);

fn node(number: u16) -> NodeId {
    let mut bytes = [7; 20];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    NodeId(bytes.into())
}

fn waiting(number: u16, provider: Address, seen_after_ms: u64) -> WaitingNode {
    WaitingNode {
        node: node(number),
        provider,
        expires: NOW.unix_seconds() + 3600,
        signature: CompactSignature([5; 64]),
        offer: samples::offer(),
        seen_at_ms: NOW.plus_millis(seen_after_ms),
    }
}

fn put(store: &Arc<dyn Store>, waiting: &WaitingNode) -> Kept {
    write(store, |rows| keep(rows, waiting))
}

fn list(store: &Arc<dyn Store>, provider: Address, now: Timestamp) -> Vec<WaitingNode> {
    read(store, |rows| rows.waiting_nodes(provider, now, 100))
}

fn a_consent_waits_until_it_expires_or_a_week(store: Arc<dyn Store>) {
    let short = waiting(1, PROVIDER, 0);
    let long = WaitingNode { expires: u64::MAX, ..waiting(2, PROVIDER, 1) };
    assert_eq!(put(&store, &short), Kept::Waits);
    assert_eq!(put(&store, &long), Kept::Waits);
    let only_long = [long.clone()];
    assert_eq!(list(&store, PROVIDER, NOW), [long.clone(), short.clone()], "newest first");
    assert_eq!(read(&store, |rows| rows.waiting_nodes(PROVIDER, NOW, 1)), only_long);
    assert_eq!(list(&store, OTHER, NOW), [], "nobody else's");

    let expired = NOW.plus_seconds(3600);
    let one = |node, now| read(&store, |rows| rows.waiting_node(node, now));
    assert_eq!(one(short.node, Timestamp(expired.0 - 1)), Some(short.clone()));
    assert_eq!(one(short.node, expired), None);
    assert_eq!(list(&store, PROVIDER, expired), only_long);
    let week = long.seen_at_ms.plus_seconds(WEEK_SECONDS);
    assert_eq!(one(long.node, Timestamp(week.0 - 1)), Some(long.clone()));
    assert_eq!(one(long.node, week), None, "longer than a week is never kept");

    write(&store, |rows| rows.purge(expired, 10));
    assert_eq!(one(short.node, NOW), None, "what has expired is deleted");
    assert_eq!(one(long.node, NOW), Some(long), "and nothing else");
}

fn a_newer_consent_replaces_the_older_one(store: Arc<dyn Store>) {
    put(&store, &waiting(1, PROVIDER, 0));
    let newer = waiting(1, OTHER, 5);
    assert_eq!(put(&store, &newer), Kept::Waits);
    assert_eq!(list(&store, PROVIDER, NOW), []);
    assert_eq!(list(&store, OTHER, NOW), [newer]);
}

fn an_enrolled_node_waits_no_longer(store: Arc<dyn Store>) {
    let (first, second) = (waiting(1, PROVIDER, 0), waiting(2, PROVIDER, 0));
    put(&store, &first);
    put(&store, &second);
    write(&store, |rows| rows.put_enrollment(first.node, PROVIDER));
    assert_eq!(list(&store, PROVIDER, NOW), [second]);
    assert_eq!(put(&store, &first), Kept::Enrolled);
    assert_eq!(read(&store, |rows| rows.waiting_node(first.node, NOW)), None);
}

fn consents_of_a_provider_and_altogether_have_an_end(store: Arc<dyn Store>) {
    let per_provider = u16::try_from(WAITING_PER_PROVIDER_MAX).unwrap();
    for number in 0..per_provider {
        assert_eq!(put(&store, &waiting(number, PROVIDER, 0)), Kept::Waits);
    }
    let more = waiting(per_provider, PROVIDER, 0);
    assert_eq!(put(&store, &more), Kept::ProviderFull);
    assert_eq!(put(&store, &waiting(0, PROVIDER, 9)), Kept::Waits, "one that waits may come again");
    assert_eq!(put(&store, &waiting(per_provider, OTHER, 0)), Kept::Waits, "others have room");
    let later = WaitingNode { seen_at_ms: NOW.plus_seconds(3600), expires: u64::MAX, ..more };
    assert_eq!(put(&store, &later), Kept::Waits, "what has expired takes no room");

    // In one transaction: nobody waits for ten thousand of them.
    write(&store, |rows| {
        for number in 100..u16::try_from(WAITING_MAX + 100).unwrap() {
            let mut provider = [9; 20];
            provider[..2].copy_from_slice(&number.to_be_bytes());
            rows.put_consent(&waiting(number, provider.into(), 0))?;
        }
        Ok(())
    });
    assert_eq!(put(&store, &waiting(50, Address::repeat_byte(0xee), 0)), Kept::Full);
}
