//! Prepaid orders: one signature of a submitter over a set of exact job ids, as the root of a Merkle tree.
//!
//! The leaves are the job ids, in the order in which they were given. Two nodes are hashed as a sorted pair, with keccak-256.
//! The tree lies in an array whose first element is the root and whose last ones are the leaves, from the last leaf back
//! to the first: with that, one proof for several leaves is what the contract's verifier reads as a queue.

use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::ids::JobId;

/// Jobs of one order.
pub const ORDER_JOBS_MAX: usize = 4096;
/// Bytes of the signature of an order: wallets that are contracts may have long ones.
pub const ORDER_SIGNATURE_BYTES_MAX: usize = 2048;

/// What a submitter signs, so that others may open exactly these jobs from its balance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The root over the job ids; of a single job, its id.
    #[schema(value_type = String)]
    pub root: B256,
    /// The submitter's epoch on chain: raising it revokes all its orders.
    pub epoch: u32,
    /// Until when the order is valid, unix seconds.
    pub expires: u64,
}

/// A submitter's signature: 65 bytes, the 64 of EIP-2098, or what its wallet accepts (EIP-1271).
#[derive(Clone, PartialEq, Eq, Debug, ToSchema)]
#[schema(value_type = String, pattern = "^0x([0-9a-f]{2})*$")]
pub struct OrderSignature(pub Vec<u8>);

impl Serialize for OrderSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{}", hex::encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for OrderSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.strip_prefix("0x")
            .filter(|digits| digits.len() <= 2 * ORDER_SIGNATURE_BYTES_MAX)
            .and_then(|digits| hex::decode(digits).ok())
            .map(Self)
            .ok_or_else(|| {
                serde::de::Error::custom(format_args!(
                    "a signature is 0x and hexadecimal digits, at most {ORDER_SIGNATURE_BYTES_MAX} bytes"
                ))
            })
    }
}

/// How a job is paid that its submitter has not opened: an order that covers it, drawn on the submitter's balance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Funding {
    pub order: Order,
    pub signature: OrderSignature,
    /// Shows that the job is part of the order.
    pub path: OrderPath,
}

/// Shows that one job is part of an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderPath {
    /// Which job of the order it is, from 0.
    pub position: u32,
    /// How many jobs the order has.
    pub jobs: u32,
    /// The hashes beside the way from the job to the root.
    #[schema(value_type = Vec<String>)]
    pub siblings: Vec<B256>,
}

/// Shows that several jobs are part of an order, in the form that the contract takes. The jobs are those asked for, by
/// ascending position.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MultiProof {
    pub proof: Vec<B256>,
    /// For each step: true takes the next job or hash, false the next element of `proof`.
    pub flags: Vec<bool>,
}

/// The whole tree of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderTree {
    hashes: Vec<B256>,
}

fn parent_of(index: usize) -> usize {
    (index - 1) / 2
}

fn sibling_of(index: usize) -> usize {
    if index.is_multiple_of(2) { index - 1 } else { index + 1 }
}

fn hash_pair(one: B256, other: B256) -> B256 {
    let (low, high) = if one < other { (one, other) } else { (other, one) };
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(low.as_slice());
    bytes[32..].copy_from_slice(high.as_slice());
    keccak256(bytes)
}

impl OrderTree {
    /// `None` for no job at all, or more than [`ORDER_JOBS_MAX`].
    #[must_use]
    pub fn new(jobs: &[JobId]) -> Option<Self> {
        if jobs.is_empty() || jobs.len() > ORDER_JOBS_MAX {
            return None;
        }
        let mut hashes = vec![B256::ZERO; jobs.len() - 1];
        hashes.extend(jobs.iter().rev().map(|job| job.0));
        for index in (0..jobs.len() - 1).rev() {
            hashes[index] = hash_pair(hashes[2 * index + 1], hashes[2 * index + 2]);
        }
        Some(Self { hashes })
    }

    #[must_use]
    pub fn root(&self) -> B256 {
        self.hashes[0]
    }

    fn jobs(&self) -> usize {
        self.hashes.len().div_ceil(2)
    }

    /// The way from one job to the root; `None` where the order has no such position.
    #[must_use]
    pub fn path(&self, position: usize) -> Option<OrderPath> {
        let mut index = index_of(position, self.jobs())?;
        let mut siblings = Vec::new();
        while index > 0 {
            siblings.push(self.hashes[sibling_of(index)]);
            index = parent_of(index);
        }
        Some(OrderPath {
            position: u32::try_from(position).ok()?,
            jobs: u32::try_from(self.jobs()).ok()?,
            siblings,
        })
    }
}

/// Where the leaf at `position` lies in the array of a tree of `jobs` leaves.
fn index_of(position: usize, jobs: usize) -> Option<usize> {
    (position < jobs && jobs <= ORDER_JOBS_MAX).then(|| 2 * jobs - 2 - position)
}

impl OrderPath {
    /// Whether the path leads from `job` to the root of `order`.
    #[must_use]
    pub fn leads(&self, job: JobId, order: &Order) -> bool {
        let mut known = BTreeMap::new();
        self.walk(job, &mut known).is_some_and(|root| root == order.root)
    }

    /// Adds every hash on and beside the way to `known`, by its place in the tree.
    fn walk(&self, job: JobId, known: &mut BTreeMap<usize, B256>) -> Option<B256> {
        let mut index = index_of(self.position as usize, self.jobs as usize)?;
        let mut hash = job.0;
        let mut siblings = self.siblings.iter();
        while index > 0 {
            let sibling = *siblings.next()?;
            known.insert(sibling_of(index), sibling);
            hash = hash_pair(hash, sibling);
            index = parent_of(index);
        }
        siblings.next().is_none().then_some(hash)
    }
}

impl MultiProof {
    /// One proof for several jobs of an order, each with its path, by ascending position. `None` where there is no job,
    /// the positions do not ascend, or the paths are not of one tree. Strangers may give positions that are not those of
    /// their jobs: see whether it [`proves`](Self::proves) before paying for a call.
    #[must_use]
    pub fn of(jobs: &[(JobId, &OrderPath)]) -> Option<Self> {
        let count = jobs.first()?.1.jobs;
        let mut known = BTreeMap::new();
        let mut queue = std::collections::VecDeque::new();
        for (job, path) in jobs {
            path.walk(*job, &mut known).filter(|_| path.jobs == count)?;
            let index = index_of(path.position as usize, count as usize)?;
            if queue.back().is_some_and(|last| *last <= index) {
                return None;
            }
            queue.push_back(index);
        }
        // The array is left from its end to its root: every node comes after both of its children.
        let mut multi = Self::default();
        while let Some(index) = queue.pop_front().filter(|index| *index > 0) {
            let sibling = sibling_of(index);
            let together = queue.front() == Some(&sibling);
            if together {
                queue.pop_front();
            } else {
                multi.proof.push(*known.get(&sibling)?);
            }
            multi.flags.push(together);
            queue.push_back(parent_of(index));
        }
        Some(multi)
    }

    /// What the contract's verifier says, for `jobs` in the order of the proof.
    #[must_use]
    pub fn proves(&self, jobs: &[JobId], root: B256) -> bool {
        if jobs.len() + self.proof.len() != self.flags.len() + 1 {
            return false;
        }
        let mut queue: Vec<B256> = jobs.iter().map(|job| job.0).collect();
        let mut proof = self.proof.iter().copied();
        if self.flags.is_empty() {
            return proof.next().unwrap_or_else(|| queue[0]) == root;
        }
        let mut front = 0;
        for flag in &self.flags {
            let mut next = || {
                front += 1;
                queue.get(front - 1).copied()
            };
            let one = next();
            let other = if *flag { next() } else { proof.next() };
            let Some((one, other)) = one.zip(other) else { return false };
            queue.push(hash_pair(one, other));
        }
        proof.next().is_none() && queue.last() == Some(&root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jobs(count: usize) -> Vec<JobId> {
        (0..count).map(|index| JobId(keccak256(index.to_be_bytes()))).collect()
    }

    fn order(root: B256) -> Order {
        Order { root, epoch: 0, expires: 0 }
    }

    #[test]
    fn a_single_job_is_its_own_root() {
        let jobs = jobs(1);
        let tree = OrderTree::new(&jobs).unwrap();
        assert_eq!(tree.root(), jobs[0].0);
        let path = tree.path(0).unwrap();
        assert!(path.siblings.is_empty() && path.leads(jobs[0], &order(tree.root())));
        let multi = MultiProof::of(&[(jobs[0], &path)]).unwrap();
        assert!(multi.proves(&jobs, tree.root()));
        assert!(!multi.proves(&super::tests::jobs(2)[1..], tree.root()));
    }

    #[test]
    fn the_shape_is_the_one_that_openzeppelin_and_solady_read() {
        // Three leaves: the last two are a pair, whose hash is paired with the first.
        let jobs = jobs(3);
        let tree = OrderTree::new(&jobs).unwrap();
        let pair = hash_pair(jobs[1].0, jobs[0].0);
        assert_eq!(tree.root(), hash_pair(pair, jobs[2].0));
        let (low, high) = if jobs[0].0 < jobs[1].0 { (0, 1) } else { (1, 0) };
        let bytes = [jobs[low].0.0, jobs[high].0.0].concat();
        assert_eq!(pair, keccak256(bytes), "the smaller hash is hashed first");
    }

    #[test]
    fn no_job_and_too_many_are_no_order() {
        assert_eq!(OrderTree::new(&[]), None);
        assert_eq!(OrderTree::new(&jobs(ORDER_JOBS_MAX + 1)), None);
        assert!(OrderTree::new(&jobs(ORDER_JOBS_MAX)).is_some());
        assert_eq!(MultiProof::of(&[]), None);
    }

    #[test]
    fn a_path_leads_for_its_own_job_only() {
        let jobs = jobs(5);
        let tree = OrderTree::new(&jobs).unwrap();
        assert_eq!(tree.path(5), None);
        let path = tree.path(1).unwrap();
        assert!(path.leads(jobs[1], &order(tree.root())));
        assert!(!path.leads(jobs[2], &order(tree.root())));
        assert!(!path.leads(jobs[1], &order(jobs[1].0)));
        let mut longer = path.clone();
        longer.siblings.push(B256::ZERO);
        assert!(!longer.leads(jobs[1], &order(tree.root())));
        let outside = OrderPath { position: 9, ..path };
        assert!(!outside.leads(jobs[1], &order(tree.root())));
    }

    #[test]
    fn signatures_are_read_as_they_are_written() {
        let signature = OrderSignature(vec![0, 0xab]);
        let json = serde_json::to_string(&signature).unwrap();
        assert_eq!(json, "\"0x00ab\"");
        assert_eq!(serde_json::from_str::<OrderSignature>(&json).unwrap(), signature);
        let long = format!("\"0x{}\"", "00".repeat(ORDER_SIGNATURE_BYTES_MAX + 1));
        for bad in ["\"00\"", "\"0x0\"", "\"0xzz\"", &long] {
            let error = serde_json::from_str::<OrderSignature>(bad).unwrap_err();
            assert!(error.to_string().contains("hexadecimal"), "{error}");
        }
    }

    #[test]
    fn positions_must_ascend() {
        let jobs = jobs(4);
        let tree = OrderTree::new(&jobs).unwrap();
        let (first, second) = (tree.path(0).unwrap(), tree.path(1).unwrap());
        assert!(MultiProof::of(&[(jobs[0], &first), (jobs[1], &second)]).is_some());
        assert!(MultiProof::of(&[(jobs[1], &second), (jobs[0], &first)]).is_none());
        assert!(MultiProof::of(&[(jobs[0], &first), (jobs[0], &first)]).is_none());
    }

    proptest! {
        /// Any part of any order is proven by the verifier of the contract, and nothing else is.
        #[test]
        fn every_part_of_an_order_is_proven(count in 1_usize..40, mask: u64, other in 0_usize..40) {
            let jobs = jobs(count);
            let tree = OrderTree::new(&jobs).unwrap();
            let chosen: Vec<_> = (0..count).filter(|index| mask >> index & 1 == 1).collect();
            prop_assume!(!chosen.is_empty());
            let paths: Vec<_> = chosen.iter().map(|index| tree.path(*index).unwrap()).collect();
            let parts: Vec<_> = chosen.iter().map(|index| jobs[*index]).zip(&paths).collect();
            let multi = MultiProof::of(&parts).unwrap();
            let mut ids: Vec<_> = chosen.iter().map(|index| jobs[*index]).collect();
            prop_assert!(multi.proves(&ids, tree.root()));
            prop_assert!(paths.iter().zip(&ids).all(|(path, job)| path.leads(*job, &order(tree.root()))));

            let last = ids.len() - 1;
            ids[last] = JobId(keccak256([7, other as u8]));
            prop_assert!(!multi.proves(&ids, tree.root()));
        }
    }
}
