//! The listener: HTTP/1.1 connections, bounded in number and in the time that a head may take.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use gristmill_protocol::error::ErrorCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::garbage::{Explained, last_answer};
use crate::config::Limits;

/// Bytes of a head. Idle connections cost no more than what they use of it.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long connections may take to end when the process is to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// What is read and thrown away of a peer that is let go, and for how long. Most clients send all of a body before they
/// read the answer; one that is several times too large must still come to read why it is refused.
const LINGER_BYTES_MAX: usize = 64 << 20;
const LINGER: Duration = Duration::from_secs(2);
/// After a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Serves until `stopping` is cancelled, then lets requests end and returns.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    stopping: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_timeout_ms))
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(true);
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let connections = TaskTracker::new();
    loop {
        let accept = async {
            // Who finds no room waits in the kernel's queue.
            let place = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accept => accepted,
            () = stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let connection = connection(
                    http.clone(),
                    stream,
                    address.ip(),
                    router.clone(),
                    stopping.clone(),
                );
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "some connections did not end in time");
    }
}

async fn connection(
    http: http1::Builder,
    stream: TcpStream,
    peer: IpAddr,
    router: Router,
    stopping: CancellationToken,
) {
    // A small answer is sent at once. Where that cannot be set, it is only later.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        Box::pin(router.clone().oneshot(request))
    });
    let mut connection = http.serve_connection(TokioIo::new(Explained::new(stream)), service);
    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
        () = stopping.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|context| connection.poll_without_shutdown(context)).await
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner().into_inner();
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
        // Who had not begun a request gets no answer: it could be taken for that of the next one.
        if error.is_timeout() && !parts.read_buf.is_empty() {
            let answer = last_answer(
                ErrorCode::RequestTimeout,
                "the headers of the request arrived too slowly",
            );
            // Whoever is gone needs no answer.
            let _ = stream.write_all(&answer).await;
        }
    }
    linger(&mut stream).await;
}

/// Ends a connection so that the peer gets to read the last answer: closed on unread bytes, the kernel would cut it off.
async fn linger(stream: &mut TcpStream) {
    let read_on = async {
        stream.shutdown().await?;
        let mut bytes = [0; 8192];
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            match stream.read(&mut bytes).await? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        std::io::Result::Ok(())
    };
    // Whoever is gone, or sends on and on, is none of our business any more.
    let _ = tokio::time::timeout(LINGER, read_on).await;
}
