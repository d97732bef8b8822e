//! What must always hold, whatever happens. Written against the specification, not against the rules.

use std::collections::BTreeMap;

use gristmill_market::attempt::Attempt;
use gristmill_market::effect::IntentAction;
use gristmill_market::escrow::Escrow;
use gristmill_market::job::Job;
use gristmill_market::node::{Node, Standing};
use gristmill_market::{Changes, World};
use gristmill_protocol::api::{AttemptState, EscrowState, JobState};
use gristmill_protocol::ids::{AttemptNumber, JobId, NodeId};
use gristmill_protocol::signing::Message;

use crate::chain::State;
use crate::keys::sign;
use crate::store::{Rows, Store};

/// What was seen last, to judge each step.
#[derive(Clone, Default)]
pub struct Seen {
    jobs: BTreeMap<JobId, JobState>,
    attempts: BTreeMap<(JobId, AttemptNumber), (NodeId, AttemptState)>,
    /// Which nodes have had which job.
    tried: BTreeMap<JobId, Vec<NodeId>>,
}

/// Checks the steps that one command made.
pub fn steps(world: &World, seen: &mut Seen) -> Result<(), String> {
    for job in world.jobs.values() {
        let state = job.state.name();
        let before = seen.jobs.insert(job.id, state);
        if let Some(before) = before
            && before != state
            && !may_follow(before, state)
        {
            return Err(format!("the job {} went from {before:?} to {state:?}", job.id));
        }
        // Where there is a bounty, giving the job up gives it back.
        let unpaid = matches!(job.escrow, Escrow::None | Escrow::Cancelled);
        if state == JobState::Cancelled && !unpaid {
            return Err(format!("the job {} is cancelled and {:?}", job.id, job.escrow));
        }
    }
    for (key, attempt) in &world.attempts {
        let before = seen.attempts.insert(*key, (attempt.node, attempt.state));
        let legal = match before {
            // A promise that never reached the chain leaves its number to the next.
            Some((node, state)) if node != attempt.node => {
                !state.is_live() && attempt.state == AttemptState::Leased || is_foreign(attempt)
            }
            Some((_, state)) => {
                state == attempt.state
                    || follows(state, attempt.state)
                    || is_settled_elsewhere(world, attempt)
            }
            // What a lost database has assigned is known from the chain alone.
            None => attempt.state == AttemptState::Leased || is_foreign(attempt),
        };
        if !legal {
            return Err(format!(
                "attempt {} of {}: went from {before:?} to {:?}",
                key.1, key.0, attempt.state
            ));
        }
        if before.is_none_or(|(node, _)| node != attempt.node) {
            let tried = seen.tried.entry(key.0).or_default();
            // Somebody else with the scheduler's key may assign as it likes.
            if tried.contains(&attempt.node) && !is_foreign(attempt) {
                return Err(format!("the node {} got the job {} twice", attempt.node, key.0));
            }
            tried.push(attempt.node);
            if !is_foreign(attempt) {
                check_match(world, attempt)?;
            }
        }
    }
    Ok(())
}

/// After its database was lost, a scheduler may promise once more what it has promised before, and learn only then that
/// it has settled that already.
fn is_settled_elsewhere(world: &World, attempt: &Attempt) -> bool {
    let escrow = world.jobs.get(&attempt.job).map(|job| job.escrow);
    attempt.state == AttemptState::Accepted
        && matches!(escrow, Some(Escrow::Held { attempt: held, .. }) if held == attempt.number)
}

fn is_foreign(attempt: &Attempt) -> bool {
    attempt.token.is_none() && attempt.state == AttemptState::Abandoned
}

/// Checks what one command wants on chain: no bond is put at stake without its node's word.
pub fn intents(changes: &Changes, world: &World) -> Result<(), String> {
    for intent in &changes.intents {
        let IntentAction::Assign { attempt, node, acceptance } = intent.action else { continue };
        let job_id = intent.job;
        if world.jobs.get(&job_id).is_none_or(|job| !job.is_bonded()) {
            continue;
        }
        let accepted = acceptance.is_some_and(|acceptance| {
            let message = Message::Accept { job_id, attempt, expires: acceptance.expires };
            acceptance.signature == sign(node.0, &message)
        });
        if !accepted {
            return Err(format!("{node} is to be assigned {job_id} without having accepted"));
        }
    }
    Ok(())
}

/// Checks all rows after a turn.
pub fn rows(store: &Store, settled: &State) -> Result<(), String> {
    for job in store.rows.jobs.values() {
        check_job(store, job, settled).map_err(|problem| format!("job {}: {problem}", job.id))?;
    }
    store.rows.nodes.values().try_for_each(|node| check_node(&store.rows, node))
}

fn check_job(store: &Store, job: &Job, settled: &State) -> Result<(), String> {
    let state = job.state.name();
    let attempts: Vec<&Attempt> = attempts(&store.rows, job.id).collect();
    let live: Vec<_> = attempts.iter().filter(|attempt| attempt.state.is_live()).collect();
    if live.len() > 1 {
        return Err(format!("{} attempts are alive at once", live.len()));
    }
    let at_work = matches!(state, JobState::Assigned | JobState::CallingIn | JobState::Verifying);
    // A published result may have been judged already.
    if (live.len() == 1) != at_work && state != JobState::Published {
        return Err(format!("is {state:?} with {} live attempts", live.len()));
    }
    let accepted =
        attempts.iter().filter(|attempt| attempt.state == AttemptState::Accepted).count();
    if accepted != usize::from(matches!(state, JobState::Settling | JobState::Settled)) {
        return Err(format!("is {state:?} with {accepted} accepted attempts"));
    }
    if at_work && job.state.attempt() != Some(job.newest) {
        return Err(format!(
            "is about attempt {:?}, but the newest is {}",
            job.state.attempt(),
            job.newest
        ));
    }
    if state == JobState::Verifying
        && live.iter().any(|attempt| attempt.state != AttemptState::Reported)
    {
        return Err("checks a result that was not reported".into());
    }
    if job.due_at.is_some() == state.is_end() {
        return Err(format!("is {state:?} and due at {:?}", job.due_at));
    }
    let most = job.demand.as_ref().map_or(0, |demand| demand.attempts_max);
    let newest = attempts.iter().find(|attempt| attempt.number == job.newest);
    if job.newest.0 > most && newest.is_none_or(|newest| newest.token.is_some()) {
        return Err(format!("has attempt {} of at most {most}", job.newest));
    }
    if store.history.get(&job.id).copied().unwrap_or(0) != job.version {
        return Err(format!("is at version {}, its history ends elsewhere", job.version));
    }
    let slot = settled.contract.slot(job.id).state;
    let agreed = match state {
        JobState::Settled => slot == EscrowState::Paid,
        JobState::Refunded => matches!(slot, EscrowState::Refunded | EscrowState::Cancelled),
        JobState::Funding
        | JobState::Queued
        | JobState::Assigned
        | JobState::CallingIn
        | JobState::Verifying
        | JobState::Published
        | JobState::Settling
        | JobState::Refunding
        | JobState::Cancelled => true,
    };
    if !agreed {
        return Err(format!("is {state:?}, but the chain says finally: {slot:?}"));
    }
    if state == JobState::Settled {
        let paid = |attempt: &&&Attempt| attempt.state == AttemptState::Accepted;
        let provider = attempts.iter().find(paid).map(|attempt| attempt.provider);
        if settled.book.paid(job.id) != provider {
            return Err("another provider was paid than the one whose result was accepted".into());
        }
    }
    Ok(())
}

fn attempts(rows: &Rows, job: JobId) -> impl Iterator<Item = &Attempt> {
    let range = (job, AttemptNumber(0))..=(job, AttemptNumber(u16::MAX));
    rows.attempts.range(range).map(|(_, attempt)| attempt)
}

/// The arrows of the specification, and those that the chain may force at any time.
fn may_follow(before: JobState, after: JobState) -> bool {
    use JobState::{
        Assigned, CallingIn, Cancelled, Funding, Published, Queued, Refunded, Refunding, Settled,
        Settling, Verifying,
    };
    match before {
        Funding => matches!(after, Queued | Assigned | Refunding | Cancelled),
        // Settled by a scheduler whose database is lost. Cancelled: prepaid, and the order did not hold.
        Queued => {
            matches!(after, Assigned | Refunding | Published | Refunded | Settling | Cancelled)
        }
        Assigned => matches!(
            after,
            CallingIn
                | Verifying
                | Queued
                | Refunding
                | Published
                | Refunded
                | Settling
                | Cancelled
        ),
        CallingIn => {
            matches!(after, Assigned | Verifying | Queued | Refunding | Published | Refunded)
        }
        // Queued again and assigned at once, by one event.
        Verifying => matches!(
            after,
            Settling | Queued | Assigned | Refunding | Published | Refunded | Cancelled
        ),
        // Opened again, or refunded, by a ruling.
        Published => {
            matches!(after, Settling | Settled | Refunded | Queued | Assigned | Refunding)
        }
        Settling => {
            matches!(after, Settled | Refunded | Queued | Assigned | Refunding | Cancelled)
        }
        Refunding => matches!(after, Refunded | Published | Settling),
        // Opened after all.
        Cancelled => matches!(after, Refunding | Queued | Assigned),
        Settled | Refunded => false,
    }
}

fn follows(before: AttemptState, after: AttemptState) -> bool {
    use AttemptState::{
        Abandoned, Accepted, Expired, Failed, Leased, Rejected, Released, Reported, Running,
    };
    match before {
        Leased => matches!(after, Running | Reported | Expired | Released | Failed | Abandoned),
        Running => matches!(after, Reported | Expired | Released | Failed | Abandoned),
        Reported => matches!(after, Accepted | Rejected | Expired | Released | Abandoned),
        // Lapsed, released or refunded on chain before it was paid, or ruled against.
        Accepted => matches!(after, Expired | Released | Abandoned | Rejected),
        // Published on chain after all, or paid although it was rejected.
        Expired | Released | Failed => after == Reported,
        // Settled by a scheduler whose database is lost.
        Abandoned => matches!(after, Reported | Accepted),
        Rejected => after == Accepted,
    }
}

/// A node that gets a job can do it, and is allowed to.
fn check_match(world: &World, attempt: &Attempt) -> Result<(), String> {
    let Some((job, node)) = world.jobs.get(&attempt.job).zip(world.nodes.get(&attempt.node)) else {
        return Err(format!("an attempt of {} without its job or node", attempt.job));
    };
    let Some(demand) = &job.demand else {
        return Err(format!("{} was assigned without a spec", job.id));
    };
    let want = &demand.resources;
    let gpus = node.offer.gpus.iter().filter(|gpu| gpu.vram_bytes >= want.vram_bytes).count();
    let fits = want.cpu_millis <= node.offer.cpu_millis
        && want.memory_bytes <= node.offer.memory_bytes
        && gpus >= want.gpus as usize
        && node.offer.runtimes.contains(&demand.runtime)
        && node.offer.price_floor.0 <= job.terms.bounty.0 - job.terms.fee.0
        && node.offer.token == job.terms.token
        && node.offer.bond_max >= job.terms.bond
        && node.standing == Standing::Good
        && attempt.provider == node.provider;
    if !fits {
        return Err(format!("the job {} went to a node that does not fit", job.id));
    }
    let ends = attempt.assigned_at.unix_seconds() + u64::from(demand.max_run_seconds);
    if ends + u64::from(world.policy.settle_margin_seconds) > job.terms.deadline {
        return Err(format!("the job {} was assigned too late to finish", job.id));
    }
    Ok(())
}

/// What a node holds is what lives on it, and no more than it offers.
fn check_node(rows: &Rows, node: &Node) -> Result<(), String> {
    let at_work = |attempt: &&Attempt| {
        attempt.node == node.id
            && matches!(attempt.state, AttemptState::Leased | AttemptState::Running)
    };
    let working: Vec<_> = rows
        .attempts
        .values()
        .filter(at_work)
        .map(|attempt| (attempt.job, attempt.number))
        .collect();
    let holding: Vec<_> = node.holding.iter().map(|(job, held)| (*job, held.attempt)).collect();
    if working != holding {
        return Err(format!("the node {} works on {working:?} and holds {holding:?}", node.id));
    }
    let (mut cpu, mut memory, mut gpus) = (0_u64, 0_u64, Vec::<u8>::new());
    for held in node.holding.values() {
        cpu += u64::from(held.cpu_millis);
        memory += held.memory_bytes;
        gpus.extend(&held.gpus);
    }
    let taken = gpus.len();
    gpus.sort_unstable();
    gpus.dedup();
    let too_much = cpu > u64::from(node.offer.cpu_millis)
        || memory > node.offer.memory_bytes
        || gpus.len() != taken;
    if too_much { Err(format!("the node {} holds more than it offers", node.id)) } else { Ok(()) }
}
