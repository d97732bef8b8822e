//! Streams of events and logs: bounded in number, fed by a task that ends when nobody listens.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use gristmill_protocol::error::ErrorCode;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::problem::Refusal;
use crate::app::App;

/// Parts that may wait for a slow listener.
const PARTS_MAX: usize = 8;

/// Where a stream's task puts its parts.
pub(super) struct Sink {
    parts: mpsc::Sender<Result<Bytes, std::io::Error>>,
}

impl Sink {
    /// False where nobody listens any more.
    pub(super) async fn send(&self, part: Bytes) -> bool {
        self.parts.send(Ok(part)).await.is_ok()
    }

    /// Ends the body in a way that the listener sees: it is not whole.
    pub(super) async fn fail(&self) {
        let _ = self.parts.send(Err(std::io::Error::other("the scheduler failed"))).await;
    }

    /// Returns when nobody listens any more.
    pub(super) async fn closed(&self) {
        self.parts.closed().await;
    }
}

/// A body that `feed` fills.
pub(super) fn open<F>(app: &App, feed: impl FnOnce(App, Sink) -> F) -> Result<Body, Refusal>
where
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(place) = Arc::clone(&app.streams).try_acquire_owned() else {
        return Err(Refusal::new(
            ErrorCode::Unavailable,
            "too many streams are open; try again later",
        ));
    };
    let (parts, body) = mpsc::channel(PARTS_MAX);
    let feed = feed(app.clone(), Sink { parts });
    tokio::spawn(async move {
        feed.await;
        drop(place);
    });
    Ok(Body::from_stream(ReceiverStream::new(body)))
}
