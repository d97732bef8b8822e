//! What the agent tells the service manager: that it is ready, what it is at, and that it is not stuck. Says nothing where
//! nobody listens.

use sd_notify::NotifyState;

/// It has come up, and is at `status`.
pub(crate) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// What it is at now.
pub(crate) fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// It goes on. To be said from the loops that do the work, so that one that is stuck falls silent.
pub(crate) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}
