//! From commands to changes.

mod admission;
mod chain;
mod draft;
mod lifecycle;
mod nodes;
mod pursuit;
mod work;

use gristmill_protocol::ids::{JobId, LeaseToken};
use gristmill_protocol::time::Timestamp;

use crate::attempt::Acceptance;
use crate::command::Command;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::world::{Needs, Window, World};
pub(crate) use admission::refused;
use draft::Draft;
pub(crate) use draft::Written;

/// Names the rows that `command` may read or change.
#[must_use]
pub fn needs(command: &Command) -> Needs {
    let mut needs = Needs::default();
    needs.jobs.extend(command.job());
    match command {
        Command::CreateJob { job, .. } | Command::JobDue { job, .. } => {
            needs.windows.insert(Window::NodesFor(*job));
        }
        Command::Chain { event, .. } => {
            needs.windows.insert(Window::NodesFor(event.job));
        }
        Command::Poll { node, holding, .. } => {
            needs.nodes.insert(*node);
            needs.jobs.extend(holding.iter().map(|held| held.job_id));
            needs.windows.insert(Window::JobsFor(*node));
        }
        Command::RegisterNode { node, .. }
        | Command::NodeStanding { node, .. }
        | Command::NodeDue { node } => {
            needs.nodes.insert(*node);
        }
        Command::CancelJob { .. }
        | Command::IntentFailed { .. }
        | Command::Accept { .. }
        | Command::Start { .. }
        | Command::Report { .. }
        | Command::Release { .. }
        | Command::Verdict { .. } => {}
    }
    needs
}

/// Applies `command` to the loaded rows. A rejection changes nothing.
pub fn decide(world: &mut World, command: Command, now: Timestamp) -> Result<Reply, Rejection> {
    let mut draft = Draft::new(world, now);
    let reply = apply(&mut draft, command)?;
    let written = draft.finish();
    world.absorb(written);
    Ok(reply)
}

fn apply(draft: &mut Draft<'_>, command: Command) -> Result<Reply, Rejection> {
    match command {
        Command::CreateJob { job, by, terms, spec, funding, token } => {
            let reply = admission::create(draft, job, by, terms, &spec, funding)?;
            lifecycle::match_job(draft, job, token)?;
            Ok(reply)
        }
        Command::CancelJob { job, by } => admission::cancel(draft, job, by),
        Command::Chain { event, token } => chain::apply(draft, event, token),
        Command::IntentFailed { intent, reason } => chain::intent_failed(draft, &intent, &reason),
        Command::RegisterNode { node, provider, offer, standing } => {
            nodes::register(draft, node, provider, offer, standing)
        }
        Command::NodeStanding { node, standing } => nodes::stand(draft, node, standing),
        Command::Poll { node, holding, draining, token } => {
            work::poll(draft, node, &holding, draining, token)
        }
        Command::Accept { speaker, expires, signature } => {
            work::accept(draft, &speaker, Acceptance { expires, signature })
        }
        Command::Start { speaker } => work::start(draft, &speaker),
        Command::Report { speaker, receipt, signature, release } => {
            work::report(draft, &speaker, receipt, signature, release)
        }
        Command::Release { speaker, signature, reason } => {
            work::release(draft, &speaker, signature, &reason)
        }
        Command::Verdict { job, attempt, receipt_hash, verdict } => {
            work::verdict(draft, job, attempt, receipt_hash, verdict)
        }
        Command::JobDue { job, token } => job_due(draft, job, token),
        Command::NodeDue { node } => nodes::due(draft, node),
    }
}

/// The job's time has come.
fn job_due(draft: &mut Draft<'_>, id: JobId, token: LeaseToken) -> Result<Reply, Rejection> {
    let due_at = draft.job(id)?.due_at;
    if due_at.is_none_or(|due_at| draft.now < due_at) {
        return Err(Rejection::NotDue { due_at });
    }
    pursuit::expire(draft, id)?;
    pursuit::pursue(draft, id, pursuit::Occasion::Due)?;
    lifecycle::match_job(draft, id, token)?;
    Ok(Reply::Job { state: draft.job(id)?.state.name() })
}
