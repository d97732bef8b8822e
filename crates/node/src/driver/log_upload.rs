//! Sends the log of a program to the scheduler as it grows, and after a restart from where the scheduler has it.

use bytes::Bytes;
use gristmill_protocol::api::AttemptRef;
use gristmill_protocol::client::ClientError;
use gristmill_protocol::error::ErrorCode;

use super::context::Context;
use crate::session::Backoff;
use crate::spool::SharedSpool;

/// Ends when the log is closed and all of it has arrived, or when the scheduler does not want it any more.
pub(super) async fn upload(context: &Context, held: AttemptRef, spool: SharedSpool) {
    let mut offset = context.journal().log_offset(&held).unwrap_or(0);
    let mut progress = spool.watch();
    let mut backoff = Backoff::default();
    loop {
        let Ok(now) =
            progress.wait_for(|now| now.kept > offset || now.closed).await.map(|now| *now)
        else {
            return;
        };
        if now.kept <= offset {
            return;
        }
        let chunk = match spool.read(offset) {
            Ok(chunk) => Bytes::from(chunk),
            Err(error) => {
                tracing::error!(%error, "the log cannot be read");
                return;
            }
        };
        match context.session.append_log(&held, offset, chunk).await {
            Ok(accepted) => {
                offset = accepted.next_offset;
                backoff = Backoff::default();
                if let Err(error) = context.journal().save_log_offset(&held, offset) {
                    tracing::warn!(%error, "the journal did not take the log's offset");
                }
            }
            Err(ClientError::Refused(problem)) if problem.code == ErrorCode::LogGap => {
                offset = problem.expected_offset.unwrap_or(0);
            }
            Err(error) if error.is_retryable() => {
                tracing::debug!(%error, "the log did not reach the scheduler; trying again");
                backoff.pause().await;
            }
            Err(error) => {
                tracing::warn!(%error, "the scheduler does not take the log any more");
                return;
            }
        }
    }
}
