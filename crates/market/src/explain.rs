//! Why a job waits, and what would help: the constraints of [`matching`](crate::matching), counted over nodes.

use std::fmt;

use gristmill_protocol::api::{
    ConstraintRemoval, Explanation, JobState, MatchPreview, PriceFloors,
};
use gristmill_protocol::ids::NodeId;
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::{JobSpec, SpecError, parse_compute_capability};
use gristmill_protocol::terms::Terms;
use gristmill_protocol::time::Timestamp;

use crate::demand::Demand;
use crate::escrow::Escrow;
use crate::job::{Job, State, Wait};
use crate::matching::{Ask, Constraint, Moment, fits, gpus_of_model, gpus_with_vram, has_model};
use crate::node::Node;
use crate::policy::Policy;
use crate::rules::refused;

/// One thing that could be asked for differently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Pay {
        from: Amount,
        to: Amount,
    },
    Bond {
        from: Amount,
        to: Amount,
    },
    RunSeconds {
        from: u32,
        to: u32,
    },
    CpuMillis {
        from: u32,
        to: u32,
    },
    MemoryBytes {
        from: u64,
        to: u64,
    },
    DiskBytes {
        from: u64,
        to: u64,
    },
    Gpus {
        from: u32,
        to: u32,
    },
    /// Also accept this model.
    GpuModel {
        add: String,
    },
    VramBytes {
        from: u64,
        to: u64,
    },
    /// `None` to ask for none.
    ComputeCapability {
        to: Option<String>,
    },
}

impl Change {
    /// Changes what is asked.
    pub fn apply(&self, demand: &mut Demand, pay: &mut Amount, bond: &mut Amount) {
        let resources = &mut demand.resources;
        match self {
            Self::Pay { to, .. } => *pay = *to,
            Self::Bond { to, .. } => *bond = *to,
            Self::RunSeconds { to, .. } => demand.max_run_seconds = *to,
            Self::CpuMillis { to, .. } => resources.cpu_millis = *to,
            Self::MemoryBytes { to, .. } => resources.memory_bytes = *to,
            Self::DiskBytes { to, .. } => resources.disk_bytes = *to,
            Self::Gpus { to, .. } => resources.gpus = *to,
            Self::GpuModel { add } => resources.gpu_models.push(add.clone()),
            Self::VramBytes { to, .. } => resources.vram_bytes = *to,
            Self::ComputeCapability { to } => resources.compute_capability.clone_from(to),
        }
    }

    /// How far this is from what was asked, in thousandths of it.
    fn permille(&self) -> u128 {
        let part = |from: u128, to: u128| from.abs_diff(to).saturating_mul(1000) / from.max(1);
        match *self {
            Self::Pay { from, to } | Self::Bond { from, to } => part(from.0, to.0),
            Self::RunSeconds { from, to }
            | Self::CpuMillis { from, to }
            | Self::Gpus { from, to } => part(from.into(), to.into()),
            Self::MemoryBytes { from, to }
            | Self::DiskBytes { from, to }
            | Self::VramBytes { from, to } => part(from.into(), to.into()),
            // No number says how far one model is from another.
            Self::GpuModel { .. } | Self::ComputeCapability { .. } => 1000,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pay { from, to } => {
                write!(
                    f,
                    "let the job pay the provider at least {to} instead of {from}, the fee taken off"
                )
            }
            Self::Bond { from, to } => write!(f, "lower bond from {from} to {to}"),
            Self::RunSeconds { from, to } => write!(f, "lower max_run_seconds from {from} to {to}"),
            Self::CpuMillis { from, to } => write!(f, "lower cpu_millis from {from} to {to}"),
            Self::MemoryBytes { from, to } => write!(f, "lower memory_bytes from {from} to {to}"),
            Self::DiskBytes { from, to } => write!(f, "lower disk_bytes from {from} to {to}"),
            Self::Gpus { from, to } => write!(f, "lower gpus from {from} to {to}"),
            Self::GpuModel { add } => write!(f, "accept the GPU model `{add}`"),
            Self::VramBytes { from, to } => write!(f, "lower vram_bytes from {from} to {to}"),
            Self::ComputeCapability { to: Some(to) } => {
                write!(f, "lower compute_capability to {to}")
            }
            Self::ComputeCapability { to: None } => write!(f, "ask for no compute_capability"),
        }
    }
}

/// What would make one node take the job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suggestion {
    pub node: NodeId,
    pub changes: Vec<Change>,
}

/// The smallest change that would match one of the nodes: fewest changes first, then the least in proportion. `None`
/// where a node fits already, or where nothing that a submitter can change would help.
#[must_use]
pub fn suggest<'a>(
    ask: &Ask<'_>,
    nodes: impl IntoIterator<Item = &'a Node>,
    moment: Moment,
) -> Option<Suggestion> {
    let mut best: Option<(usize, u128, Suggestion)> = None;
    for node in nodes {
        let Some(changes) = changes_for(ask, node, moment) else { continue };
        if changes.is_empty() {
            return None;
        }
        let size = changes.iter().map(Change::permille).fold(0, u128::saturating_add);
        let candidate = (changes.len(), size, Suggestion { node: node.id, changes });
        let is_better = best.as_ref().is_none_or(|(count, least, suggestion)| {
            (candidate.0, candidate.1, candidate.2.node) < (*count, *least, suggestion.node)
        });
        if is_better {
            best = Some(candidate);
        }
    }
    best.map(|(_, _, suggestion)| suggestion)
}

/// Goes through the constraints in order, and changes what each one misses. Empty where the node fits as it is.
fn changes_for(ask: &Ask<'_>, node: &Node, moment: Moment) -> Option<Vec<Change>> {
    let (mut demand, mut pay, mut bond) = (ask.demand.clone(), ask.pay, ask.bond);
    let mut changes = Vec::new();
    for constraint in Constraint::ALL {
        loop {
            let asked = Ask { demand: &demand, pay, bond, ..*ask };
            if constraint.is_met(&asked, node, moment) {
                break;
            }
            // Ends: only a model is ever added twice, and each time one that the node has and that was not accepted.
            let change = change_for(*constraint, &asked, node)?;
            change.apply(&mut demand, &mut pay, &mut bond);
            changes.push(change);
        }
    }
    Some(changes)
}

fn change_for(constraint: Constraint, ask: &Ask<'_>, node: &Node) -> Option<Change> {
    let (want, offer, demand) = (&ask.demand.resources, &node.offer, ask.demand);
    let count = want.gpus as usize;
    Some(match constraint {
        // Not in the hands of the submitter, or another job altogether.
        Constraint::Online
        | Constraint::Runtime
        | Constraint::Standing
        | Constraint::Rested
        | Constraint::Untried
        | Constraint::Record
        | Constraint::Token
        | Constraint::Free => return None,
        Constraint::Price => Change::Pay { from: ask.pay, to: offer.price_floor },
        Constraint::Bond => Change::Bond { from: ask.bond, to: offer.bond_max },
        Constraint::RunTime => {
            Change::RunSeconds { from: demand.max_run_seconds, to: offer.max_run_seconds }
        }
        Constraint::Cpu => Change::CpuMillis { from: want.cpu_millis, to: offer.cpu_millis },
        Constraint::Memory => {
            Change::MemoryBytes { from: want.memory_bytes, to: offer.memory_bytes }
        }
        Constraint::Disk => Change::DiskBytes { from: want.disk_bytes, to: offer.disk_bytes },
        // What was written for a GPU cannot do without any.
        Constraint::Gpus if offer.gpus.is_empty() => return None,
        Constraint::Gpus => {
            Change::Gpus { from: want.gpus, to: u32::try_from(offer.gpus.len()).ok()? }
        }
        Constraint::GpuModel => {
            // The model that the node has most of, of those that are not accepted yet.
            let same = |model: &str| offer.gpus.iter().filter(|gpu| gpu.model == model).count();
            let others = offer.gpus.iter().filter(|gpu| !has_model(want, gpu));
            let best =
                others.max_by_key(|gpu| (same(&gpu.model), std::cmp::Reverse(&gpu.model)))?;
            Change::GpuModel { add: best.model.clone() }
        }
        Constraint::Vram => {
            let mut vram: Vec<u64> =
                gpus_of_model(want, offer).iter().map(|gpu| gpu.vram_bytes).collect();
            vram.sort_unstable_by(|a, b| b.cmp(a));
            Change::VramBytes { from: want.vram_bytes, to: *vram.get(count.checked_sub(1)?)? }
        }
        Constraint::ComputeCapability => {
            let gpus = gpus_with_vram(want, offer);
            let text = |gpu: &&gristmill_protocol::api::Gpu| gpu.compute_capability.clone();
            let mut known: Vec<_> = gpus
                .iter()
                .filter_map(text)
                .filter_map(|text| parse_compute_capability(&text).map(|number| (number, text)))
                .collect();
            known.sort_unstable_by(|a, b| b.cmp(a));
            Change::ComputeCapability {
                to: known.into_iter().nth(count.checked_sub(1)?).map(|(_, text)| text),
            }
        }
    })
}

/// Why the job waits, judged over `nodes`.
#[must_use]
pub fn explain(job: &Job, nodes: &[Node], policy: &Policy, now: Timestamp) -> Explanation {
    let moment = policy.moment(now);
    let state = job.state.name();
    let mut explanation = Explanation {
        job_id: job.id,
        state,
        summary: summary(job),
        nodes_total: count(nodes.len()),
        nodes_matching: 0,
        removed: Vec::new(),
        suggestion: None,
    };
    let Some(ask) = Ask::of(job).filter(|_| matches!(state, JobState::Funding | JobState::Queued))
    else {
        return explanation;
    };
    let survey = Survey::of(&ask, nodes, moment);
    if survey.matching == 0 && job.is_assignable() {
        explanation.summary = survey.shortage(nodes).into();
    }
    explanation.nodes_matching = survey.matching;
    explanation.removed = survey.removed;
    explanation.suggestion = survey.suggestion;
    explanation
}

/// What nodes would make of a job that is not posted, and at what price. Its parties do not matter.
pub fn preview(
    terms: &Terms,
    spec: &JobSpec,
    nodes: &[Node],
    policy: &Policy,
    now: Timestamp,
) -> Result<MatchPreview, SpecError> {
    let demand = Demand::of(spec)?;
    let ask = Ask {
        demand: &demand,
        pay: terms.pay(),
        bond: terms.bond,
        token: terms.token,
        excluded: &[],
    };
    let moment = policy.moment(now);
    let survey = Survey::of(&ask, nodes, moment);
    let summary = match refused(terms, &demand, policy, now.unix_seconds()) {
        Some(rejection) => format!("It would be refused: {rejection}."),
        None => match survey.matching {
            0 => survey.shortage(nodes).into(),
            1 => "1 node would take it now.".into(),
            matching => format!("{matching} nodes would take it now."),
        },
    };
    let would_at_a_price = |node: &&Node| {
        let mut others = Constraint::ALL.iter().filter(|one| **one != Constraint::Price);
        others.all(|constraint| constraint.is_met(&ask, node, moment))
    };
    let floors = nodes.iter().filter(would_at_a_price).map(|node| node.offer.price_floor);
    Ok(MatchPreview {
        nodes_total: count(nodes.len()),
        nodes_matching: survey.matching,
        summary,
        removed: survey.removed,
        suggestion: survey.suggestion,
        price_floors: price_floors(floors.collect()),
    })
}

fn price_floors(mut floors: Vec<Amount>) -> PriceFloors {
    floors.sort_unstable();
    PriceFloors {
        min: floors.first().copied(),
        // Of an even number the lower one: it is a floor that some node has.
        median: floors.get(floors.len().saturating_sub(1) / 2).copied(),
        max: floors.last().copied(),
    }
}

/// How nodes stand to what is asked.
struct Survey {
    matching: u32,
    removed: Vec<ConstraintRemoval>,
    /// Nodes that lack nothing but time. Counted where none matches.
    busy: usize,
    suggestion: Option<String>,
}

impl Survey {
    fn of(ask: &Ask<'_>, nodes: &[Node], moment: Moment) -> Self {
        let matching = count(nodes.iter().filter(|node| fits(ask, node, moment)).count());
        let mut removed = Vec::new();
        for constraint in Constraint::ALL {
            let without = nodes.iter().filter(|node| !constraint.is_met(ask, node, moment)).count();
            if without > 0 {
                let constraint = constraint.as_str().to_owned();
                removed.push(ConstraintRemoval { constraint, nodes: count(without) });
            }
        }
        if matching > 0 {
            return Self { matching, removed, busy: 0, suggestion: None };
        }
        // A node that lacks nothing but time is better than any change.
        let busy = nodes.iter().filter(|node| {
            let missed = |constraint: &&Constraint| !constraint.is_met(ask, node, moment);
            Constraint::ALL.iter().filter(missed).eq([&Constraint::Free])
        });
        let busy = busy.count();
        let suggestion = match busy {
            0 => suggest(ask, nodes, moment).map(|suggestion| {
                let changes: Vec<String> =
                    suggestion.changes.iter().map(ToString::to_string).collect();
                format!("the node {} would take it: {}", suggestion.node, changes.join(", and "))
            }),
            1 => Some("wait: 1 node fits and is busy".into()),
            busy => Some(format!("wait: {busy} nodes fit and are busy")),
        };
        Self { matching, removed, busy, suggestion }
    }

    /// Why nobody takes it, in one sentence.
    fn shortage(&self, nodes: &[Node]) -> &'static str {
        match (nodes.len(), self.busy) {
            (0, _) => "No node is registered here.",
            (_, 0) => "No node fits.",
            (_, _) => "Every node that fits is busy.",
        }
    }
}

fn count(nodes: usize) -> u32 {
    u32::try_from(nodes).unwrap_or(u32::MAX)
}

/// One sentence for people: what is happening with the job, or why nothing is.
#[must_use]
pub fn summary(job: &Job) -> String {
    if matches!(job.escrow, Escrow::Disputed { .. }) {
        return "The result is disputed. If the arbiter does not rule in its time, the provider is paid.".into();
    }
    match &job.state {
        State::Funding => "The bounty is not locked yet: open the job on chain.".into(),
        State::Queued { wait } => match wait {
            Wait::Node => "It waits for a node that fits and is free.".into(),
            Wait::Spec => {
                "The bounty is locked, but the spec is not known here: upload it and post the job."
                    .into()
            }
            Wait::OldLease { attempt, .. } => {
                format!("It waits until the node of attempt {attempt} gives up its lease on chain.")
            }
            Wait::Assignment { attempt } => {
                format!(
                    "Attempt {attempt} was given up while its assignment is on its way to the chain."
                )
            }
        },
        State::Assigned { attempt } => format!("A node works on attempt {attempt}."),
        State::CallingIn { attempt } => {
            format!("The node of attempt {attempt} is silent and is being called in on chain.")
        }
        State::Verifying { attempt } => {
            format!("The result of attempt {attempt} is being checked.")
        }
        State::Published { attempt } => {
            format!(
                "The node of attempt {attempt} put its result on chain itself; it is paid after the challenge window."
            )
        }
        State::Settling { .. } => "The result is accepted; the payment is on its way.".into(),
        State::Refunding { reason } => {
            format!(
                "The bounty goes back, because {}. Cancel it on chain, or wait for the deadline.",
                reason.sentence()
            )
        }
        State::Settled { attempt } => format!("The provider of attempt {attempt} is paid."),
        State::Refunded => "The bounty is back with the submitter.".into(),
        State::Cancelled => "It was given up before the bounty was locked.".into(),
    }
}
