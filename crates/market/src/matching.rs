//! Which node a job goes to. One predicate a constraint: the match, and the explanation of why there is none, use the
//! same.

use gristmill_protocol::Address;
use gristmill_protocol::api::{Gpu, Offer};
use gristmill_protocol::ids::{AttemptNumber, LeaseToken, NodeId};
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::{Resources, Strategy, parse_compute_capability};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use crate::demand::Demand;
use crate::job::Job;
use crate::node::{HOLDING_MAX, Held, Mode, Node, Standing};

/// What a job asks of a node, and what it pays.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub demand: &'a Demand,
    pub pay: Amount,
    /// What the provider puts at stake.
    pub bond: Amount,
    pub token: Address,
    pub excluded: &'a [NodeId],
}

impl<'a> Ask<'a> {
    /// `None` while the job's spec is not known.
    #[must_use]
    pub fn of(job: &'a Job) -> Option<Self> {
        let demand = job.demand.as_ref()?;
        let Terms { bond, token, .. } = job.terms;
        Some(Self { demand, pay: job.pay(), bond, token, excluded: &job.excluded })
    }
}

/// When a match is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Timestamp,
    pub silence_ms: u64,
    /// The most that a job may pay which goes to a newcomer; absent for no such limit.
    pub newcomer_pay_max: Option<Amount>,
}

macro_rules! constraints {
    ($($(#[$doc:meta])* $name:ident, $code:literal;)*) => {
        /// What a node must meet, in the order in which it is tried.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Constraint { $($(#[$doc])* $name,)* }

        impl Constraint {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A stable name, for the API.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

constraints! {
    /// It was heard lately and wants work.
    Online, "online";
    /// Its provider lets this scheduler assign.
    Standing, "standing";
    /// It does not rest after failures of its own.
    Rested, "rested";
    /// It has not tried this job before.
    Untried, "untried";
    Runtime, "runtime";
    Token, "token";
    /// What the job pays is at least the node's floor.
    Price, "price";
    /// Enough is known of it for what the job pays.
    Record, "record";
    /// The bond is at most what its provider puts at stake.
    Bond, "bond";
    RunTime, "run_time";
    Cpu, "cpu";
    Memory, "memory";
    Disk, "disk";
    Gpus, "gpus";
    /// As many GPUs as asked for are of the models asked for.
    GpuModel, "gpu_model";
    /// As many of those have the memory asked for.
    Vram, "vram";
    /// As many of those have the compute capability asked for.
    ComputeCapability, "compute_capability";
    /// Enough of it is free now.
    Free, "free";
}

impl Constraint {
    /// What depends on the size of the node alone.
    const SIZES: &'static [Self] = &[
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::Gpus,
        Self::GpuModel,
        Self::Vram,
        Self::ComputeCapability,
    ];

    /// Whether `node` meets this constraint of `ask`.
    #[must_use]
    pub fn is_met(self, ask: &Ask<'_>, node: &Node, moment: Moment) -> bool {
        let (want, offer) = (&ask.demand.resources, &node.offer);
        match self {
            Self::Online => {
                node.mode == Mode::Online && node.is_heard(moment.now, moment.silence_ms)
            }
            Self::Standing => node.standing == Standing::Good,
            Self::Rested => moment.now >= node.rest_until,
            Self::Untried => !ask.excluded.contains(&node.id),
            Self::Runtime => offer.runtimes.contains(&ask.demand.runtime),
            Self::Token => offer.token == ask.token,
            Self::Price => offer.price_floor <= ask.pay,
            Self::Record => {
                moment.newcomer_pay_max.is_none_or(|most| ask.pay <= most)
                    || !node.reputation.is_newcomer(moment.now)
            }
            Self::Bond => ask.bond <= offer.bond_max,
            Self::RunTime => ask.demand.max_run_seconds <= offer.max_run_seconds,
            Self::Cpu => want.cpu_millis <= offer.cpu_millis,
            Self::Memory => want.memory_bytes <= offer.memory_bytes,
            Self::Disk => want.disk_bytes <= offer.disk_bytes,
            Self::Gpus => enough(want, offer.gpus.len()),
            Self::GpuModel => {
                enough(want, offer.gpus.iter().filter(|gpu| has_model(want, gpu)).count())
            }
            Self::Vram => {
                let suited = |gpu: &&Gpu| has_model(want, gpu) && has_vram(want, gpu);
                enough(want, offer.gpus.iter().filter(suited).count())
            }
            Self::ComputeCapability => {
                enough(want, offer.gpus.iter().filter(|gpu| suits(want, gpu)).count())
            }
            // What is too small for the job is not in the way because others use it.
            Self::Free => {
                hold(ask.demand, node).is_some()
                    || !Self::SIZES.iter().all(|size| size.is_met(ask, node, moment))
            }
        }
    }
}

fn enough(want: &Resources, gpus: usize) -> bool {
    gpus >= want.gpus as usize
}

/// Whether the words of a model that was asked for follow each other in the name of the GPU, case aside: `RTX 4090` is
/// found in `NVIDIA GeForce RTX 4090`, `L4` is not found in `NVIDIA L40`.
pub(crate) fn has_model(want: &Resources, gpu: &Gpu) -> bool {
    let words = |text: &str| -> Vec<String> {
        let word = |part: &str| part.to_ascii_lowercase();
        text.split(|char: char| !char.is_alphanumeric())
            .filter(|part| !part.is_empty())
            .map(word)
            .collect()
    };
    want.gpu_models.is_empty() || {
        let name = words(&gpu.model);
        want.gpu_models.iter().any(|model| {
            let model = words(model);
            !model.is_empty() && name.windows(model.len()).any(|part| part == model)
        })
    }
}

fn has_vram(want: &Resources, gpu: &Gpu) -> bool {
    gpu.vram_bytes >= want.vram_bytes
}

fn has_capability(want: &Resources, gpu: &Gpu) -> bool {
    let Some(least) = want.compute_capability.as_deref().and_then(parse_compute_capability) else {
        return true;
    };
    gpu.compute_capability
        .as_deref()
        .and_then(parse_compute_capability)
        .is_some_and(|has| has >= least)
}

/// Whether one GPU has everything that is asked of each.
pub(crate) fn suits(want: &Resources, gpu: &Gpu) -> bool {
    has_model(want, gpu) && has_vram(want, gpu) && has_capability(want, gpu)
}

/// The GPUs of an offer that would do for one property after the other: what a suggestion chooses from.
pub(crate) fn gpus_of_model<'a>(want: &Resources, offer: &'a Offer) -> Vec<&'a Gpu> {
    offer.gpus.iter().filter(|gpu| has_model(want, gpu)).collect()
}

/// The same, with the memory that is asked for.
pub(crate) fn gpus_with_vram<'a>(want: &Resources, offer: &'a Offer) -> Vec<&'a Gpu> {
    offer.gpus.iter().filter(|gpu| has_model(want, gpu) && has_vram(want, gpu)).collect()
}

/// What the job would take up on the node, if that much is free: of the GPUs that suit, those with least memory.
pub(crate) fn hold(demand: &Demand, node: &Node) -> Option<Share> {
    let (want, free) = (&demand.resources, node.free());
    let room = want.cpu_millis <= free.cpu_millis
        && want.memory_bytes <= free.memory_bytes
        && want.disk_bytes <= free.disk_bytes
        && node.holding.len() < HOLDING_MAX;
    if !room {
        return None;
    }
    let gpu = |index: &u8| node.offer.gpus.get(usize::from(*index));
    let mut suited: Vec<(u64, u8)> = free
        .gpus
        .iter()
        .filter_map(|index| {
            gpu(index).filter(|gpu| suits(want, gpu)).map(|gpu| (gpu.vram_bytes, *index))
        })
        .collect();
    suited.sort_unstable();
    if !enough(want, suited.len()) {
        return None;
    }
    suited.truncate(want.gpus as usize);
    let spare_vram_bytes =
        suited.iter().map(|(vram, _)| vram.saturating_sub(want.vram_bytes)).sum();
    let part = |left: u64, offered: u64| left.saturating_mul(1000) / offered.max(1);
    Some(Share {
        gpus_left: free.gpus.len() - suited.len(),
        spare_vram_bytes,
        left_permille: part(
            u64::from(free.cpu_millis - want.cpu_millis),
            u64::from(node.offer.cpu_millis),
        ) + part(free.memory_bytes - want.memory_bytes, node.offer.memory_bytes)
            + part(free.disk_bytes - want.disk_bytes, node.offer.disk_bytes),
        gpus: suited.into_iter().map(|(_, index)| index).collect(),
    })
}

/// A job's share of a node, and what would be left over: GPUs first, as they are the scarcest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Share {
    gpus_left: usize,
    spare_vram_bytes: u64,
    left_permille: u64,
    gpus: Vec<u8>,
}

impl Share {
    pub(crate) fn held(self, demand: &Demand, attempt: AttemptNumber, token: LeaseToken) -> Held {
        let want = &demand.resources;
        Held {
            attempt,
            token,
            cpu_millis: want.cpu_millis,
            memory_bytes: want.memory_bytes,
            disk_bytes: want.disk_bytes,
            gpus: self.gpus,
        }
    }
}

/// Whether `node` could take the job now.
#[must_use]
pub fn fits(ask: &Ask<'_>, node: &Node, moment: Moment) -> bool {
    Constraint::ALL.iter().all(|constraint| constraint.is_met(ask, node, moment))
}

/// The node, of those given, that the job goes to. Ties go to the lowest id, so that replicas agree.
#[must_use]
pub fn choose_node<'a>(
    ask: &Ask<'_>,
    nodes: impl IntoIterator<Item = &'a Node>,
    strategy: Strategy,
    moment: Moment,
) -> Option<&'a Node> {
    let fitting = nodes.into_iter().filter(|node| fits(ask, node, moment));
    fitting.min_by_key(|node| (rank(ask, node, strategy, moment), node.id))
}

/// The job, of those given, that the node gets: the one that has waited longest; for a newcomer the one that pays least,
/// so that little is at stake until something is known of it.
#[must_use]
pub fn choose_job<'a>(
    node: &Node,
    jobs: impl IntoIterator<Item = &'a Job>,
    moment: Moment,
) -> Option<&'a Job> {
    let waiting = jobs.into_iter().filter(|job| job.is_assignable());
    let fitting = waiting.filter(|job| Ask::of(job).is_some_and(|ask| fits(&ask, node, moment)));
    let at_stake = |job: &Job| match node.reputation.is_newcomer(moment.now) {
        true => job.pay(),
        false => Amount::ZERO,
    };
    fitting.min_by_key(|job| (at_stake(job), job.queued_at, job.id))
}

/// Less is better.
fn rank(ask: &Ask<'_>, node: &Node, strategy: Strategy, moment: Moment) -> [u128; 3] {
    match strategy {
        Strategy::BestFit => hold(ask.demand, node).map_or([u128::MAX; 3], |share| {
            [share.gpus_left as u128, share.spare_vram_bytes.into(), share.left_permille.into()]
        }),
        Strategy::RoundRobin => [node.last_assigned_at.0.into(), 0, 0],
        Strategy::Cheapest => [node.offer.price_floor.0, 0, 0],
        Strategy::Reputation => {
            let short_of_best = 1000 - node.reputation.permille(moment.now);
            [short_of_best.into(), node.last_assigned_at.0.into(), 0]
        }
    }
}
