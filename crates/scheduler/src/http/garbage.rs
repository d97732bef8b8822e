//! What never becomes a request. hyper refuses it with an empty answer of its own; here it leaves as a problem document.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use gristmill_protocol::error::{ErrorCode, Problem};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose bare refusals are replaced. Our own answers always name a content type; hyper's refusals of bytes
/// that are no request never do, have no body, and are the last thing that it writes.
pub(super) struct Explained<T> {
    inner: T,
    /// What is written in place of a bare refusal.
    pending: Bytes,
}

impl<T> Explained<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, pending: Bytes::new() }
    }

    pub(super) fn into_inner(self) -> T {
        self.inner
    }
}

/// A whole answer that ends the connection.
pub(super) fn last_answer(code: ErrorCode, detail: &str) -> Bytes {
    let problem = Problem::new(code, detail);
    let body = serde_json::to_string(&problem).expect("a problem is plain JSON");
    let (status, length) = (problem.status, body.len());
    format!(
        "HTTP/1.1 {status} Refused\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
        connection: close\r\n\r\n{body}"
    )
    .into()
}

/// What to write instead of `answer`, where that is a bare refusal.
fn explained(answer: &[u8]) -> Option<Bytes> {
    let head = answer.strip_prefix(b"HTTP/1.1 4")?;
    let head = std::str::from_utf8(head.strip_suffix(b"\r\n\r\n")?).ok()?.to_ascii_lowercase();
    let bare = head.contains("\r\ncontent-length: 0") && !head.contains("\r\ncontent-type:");
    if !bare || head.contains("\r\n\r\n") {
        return None;
    }
    Some(match &head[..2] {
        "31" | "14" => {
            last_answer(ErrorCode::TooLarge, "the address and headers of the request are too long")
        }
        _ => last_answer(ErrorCode::InvalidRequest, "this is not an HTTP/1.1 request"),
    })
}

impl<T: AsyncWrite + Unpin> Explained<T> {
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(context, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Explained<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Explained<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(context))?;
        if let Some(answer) = explained(bytes) {
            self.pending = answer;
            // Written by the flush that follows every answer.
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(context))?;
        // A bare refusal has one part: nothing was waiting before it, and it has no body.
        if let [only] = parts
            && let Some(answer) = explained(only)
        {
            self.pending = answer;
            return Poll::Ready(Ok(only.len()));
        }
        Pin::new(&mut self.inner).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_refusal_is_replaced() {
        let bare = |status: &str, rest: &str| {
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n{rest}\r\n")
        };
        let replaced = |answer: String| {
            explained(answer.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        assert!(replaced(bare("400 Bad Request", "")).unwrap().contains("\"invalid_request\""));
        assert!(
            replaced(bare("431 Request Header Fields Too Large", ""))
                .unwrap()
                .contains("\"too_large\"")
        );
        for kept in [
            bare("200 OK", ""),
            bare("204 No Content", ""),
            bare("400 Bad Request", "content-type: application/problem+json\r\n"),
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 5\r\n\r\nhello".into(),
            "HTTP/1.1 4".into(),
            String::new(),
        ] {
            assert_eq!(replaced(kept.clone()), None, "{kept}");
        }
    }
}
