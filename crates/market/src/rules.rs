//! From commands to changes.

use gristmill_protocol::time::Timestamp;

use crate::command::Command;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::world::{Needs, Window, World};

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
        Command::RegisterNode { node, .. } | Command::NodeStanding { node, .. } | Command::NodeDue { node } => {
            needs.nodes.insert(*node);
        }
        Command::CancelJob { .. }
        | Command::IntentFailed { .. }
        | Command::Start { .. }
        | Command::Report { .. }
        | Command::Release { .. }
        | Command::Verdict { .. } => {}
    }
    needs
}

/// Applies `command` to the loaded rows. A rejection changes nothing.
pub fn decide(world: &mut World, command: Command, now: Timestamp) -> Result<Reply, Rejection> {
    let _ = (world, command, now);
    Ok(Reply::Unchanged)
}
