//! Watching a job until it ends: its events as lines on stderr, its log as the program wrote it. Reconnects by itself.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use gristmill_protocol::api::{EventBody, JobEvent, JobView};
use gristmill_protocol::client::ClientError;
use gristmill_protocol::ids::{AttemptNumber, JobId};
use tokio::time::{Instant, sleep, sleep_until};

use crate::app::App;
use crate::failure::{Exit, Failure, Result};
use crate::output::{Output, Tone, plain};
use crate::quantity;
use crate::terminal::LogFilter;

const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How long the end of a log may take after the end of its job.
const LOG_TAIL: Duration = Duration::from_secs(10);
/// Retries before saying that the money needs no scheduler.
const RETRIES_BEFORE_HINT: u32 = 4;

type Lines<T> = Pin<Box<dyn Stream<Item = std::result::Result<T, ClientError>> + Send>>;

/// What to show while waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follow {
    pub(crate) logs: bool,
    pub(crate) timeout: Option<Duration>,
}

/// Follows until the job ends, and returns what the scheduler says of it then.
pub(crate) async fn follow(app: &App, id: JobId, options: Follow) -> Result<JobView> {
    let give_up = options.timeout.map(|timeout| Instant::now() + timeout);
    let mut events = Events { after: 0, stream: None, retry: Retry::default() };
    let mut log = Log::new(&app.out, options.logs);
    loop {
        tokio::select! {
            event = events.next(app, id) => match event? {
                Some(event) => {
                    app.out.note(event_line(&app.out, &event));
                    if let EventBody::Started { attempt } = &event.body {
                        log.attempts.push_back(*attempt);
                    }
                    if is_end(&event.body) {
                        break;
                    }
                }
                None if app.call(|client| client.job(id)).await?.state.is_end() => break,
                None => {}
            },
            chunk = log.next(app, id) => log.print(&app.out, &chunk?)?,
            () = at(give_up) => return Err(Failure::new(Exit::TimedOut, "the time is over; the job goes on").job(id).hint(later(id))),
            _ = tokio::signal::ctrl_c() => return Err(Failure::new(Exit::Detached, "no longer watching; the job goes on").job(id).hint(later(id))),
        }
    }
    let tail = Instant::now() + LOG_TAIL;
    while log.is_open() {
        tokio::select! {
            chunk = log.next(app, id) => log.print(&app.out, &chunk?)?,
            () = sleep_until(tail) => break,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    app.call(|client| client.job(id)).await
}

fn later(id: JobId) -> String {
    format!("watch again with `gristmill follow {id}`; stop the job with `gristmill cancel {id}`")
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn is_end(event: &EventBody) -> bool {
    matches!(event, EventBody::Settled { .. } | EventBody::Refunded { .. } | EventBody::Cancelled { .. })
}

/// Waits between tries, longer each time.
#[derive(Default)]
struct Retry {
    count: u32,
}

impl Retry {
    async fn wait(&mut self) {
        let wait = RETRY_MIN.saturating_mul(1 << self.count.min(5)).min(RETRY_MAX);
        self.count += 1;
        sleep(wait).await;
    }
}

/// Whether trying again is of use. A proxy in front of a scheduler that restarts answers for it.
fn may_pass(error: &Failure) -> bool {
    error.exit == Exit::Unreachable
}

/// The events of a job from a version on, whatever breaks in between.
struct Events {
    after: u64,
    stream: Option<Lines<JobEvent>>,
    retry: Retry,
}

impl Events {
    /// The next event, or `None` where the scheduler has closed the stream.
    async fn next(&mut self, app: &App, id: JobId) -> Result<Option<JobEvent>> {
        loop {
            let failure = match &mut self.stream {
                None => match app.call(|client| client.events(id, self.after, true)).await {
                    Ok(stream) => {
                        self.stream = Some(Box::pin(stream));
                        continue;
                    }
                    Err(failure) => failure,
                },
                Some(stream) => match stream.next().await {
                    Some(Ok(event)) => {
                        self.retry = Retry::default();
                        self.after = event.version;
                        return Ok(Some(event));
                    }
                    Some(Err(error)) => error.into(),
                    None => {
                        self.stream = None;
                        // A stream that ends at once, again and again, must not become a busy loop.
                        self.retry.wait().await;
                        return Ok(None);
                    }
                },
            };
            self.stream = None;
            if !may_pass(&failure) {
                return Err(failure.job(id));
            }
            match self.retry.count {
                0 => app.out.note(format!("{}; trying again …", failure.message)),
                RETRIES_BEFORE_HINT => app.out.hint("the money needs no scheduler: `gristmill recover` shows and moves it"),
                _ => {}
            }
            self.retry.wait().await;
        }
    }
}

/// The logs of a job's attempts, one after the other, each from where it broke off.
struct Log {
    attempts: VecDeque<AttemptNumber>,
    wanted: bool,
    stream: Option<Lines<Bytes>>,
    offset: u64,
    retry: Retry,
    filter: LogFilter,
}

impl Log {
    fn new(out: &Output, wanted: bool) -> Self {
        Self {
            attempts: VecDeque::new(),
            wanted,
            stream: None,
            offset: 0,
            retry: Retry::default(),
            filter: LogFilter::new(log_terminal(out)),
        }
    }

    fn is_open(&self) -> bool {
        self.wanted && !self.attempts.is_empty()
    }

    /// The next bytes of the current attempt's log; waits for ever where there is none.
    async fn next(&mut self, app: &App, id: JobId) -> Result<Bytes> {
        loop {
            let Some(attempt) = self.attempts.front().copied().filter(|_| self.wanted) else {
                return std::future::pending().await;
            };
            let failure = match &mut self.stream {
                None => match app.call(|client| client.logs(id, Some(attempt), self.offset, true)).await {
                    Ok(stream) => {
                        self.stream = Some(Box::pin(stream));
                        continue;
                    }
                    Err(failure) => failure,
                },
                Some(stream) => match stream.next().await {
                    Some(Ok(bytes)) => {
                        self.retry = Retry::default();
                        self.offset += bytes.len() as u64;
                        return Ok(bytes);
                    }
                    Some(Err(error)) => error.into(),
                    None => {
                        self.attempts.pop_front();
                        self.stream = None;
                        self.offset = 0;
                        continue;
                    }
                },
            };
            self.stream = None;
            // The first bytes of a log may arrive after the event that announces the attempt.
            if !may_pass(&failure) && failure.exit != Exit::NotFound {
                return Err(failure.job(id));
            }
            self.retry.wait().await;
        }
    }

    fn print(&mut self, out: &Output, bytes: &[u8]) -> Result<()> {
        print_log(out, &self.filter.pass(bytes))
    }
}

/// The log is the answer, unless the answer is JSON.
pub(crate) fn print_log(out: &Output, bytes: &[u8]) -> Result<()> {
    if out.is_json() {
        out.raw_err(bytes);
        Ok(())
    } else {
        out.raw(bytes)
    }
}

fn log_terminal(out: &Output) -> bool {
    if out.is_json() { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() }
}

/// One event in one line, for people.
pub(crate) fn event_line(out: &Output, event: &JobEvent) -> String {
    let (tone, text) = event_words(&event.body);
    let clock = quantity::instant(event.at_ms.unix_seconds());
    // Whoever watches cares about the time of day.
    let clock = clock.get(11..19).unwrap_or(&clock).to_owned();
    format!("{} {}", out.paint_err(Tone::Quiet, clock), out.paint_err(tone, plain(&text)))
}

fn event_words(event: &EventBody) -> (Tone, String) {
    match event {
        EventBody::Created => (Tone::Quiet, "created; waits for its bounty".into()),
        EventBody::Funded => (Tone::Good, "the bounty is locked".into()),
        EventBody::Queued { reason } => (Tone::Busy, format!("waits for a node: {reason}")),
        EventBody::Assigned { attempt, node } => (Tone::Busy, format!("attempt {attempt}: assigned to node {node}")),
        EventBody::Started { attempt } => (Tone::Busy, format!("attempt {attempt}: started")),
        EventBody::CalledIn { attempt } => (Tone::Bad, format!("attempt {attempt}: the node is silent and was called in on chain")),
        EventBody::Renewed { attempt } => (Tone::Busy, format!("attempt {attempt}: the node answered and goes on")),
        EventBody::Reported { attempt, outcome, output_cid } => {
            (Tone::Busy, format!("attempt {attempt}: the program {outcome}; output {output_cid}"))
        }
        EventBody::Accepted { attempt, .. } => (Tone::Good, format!("attempt {attempt}: the result is verified and accepted")),
        EventBody::Rejected { attempt, reasons } => {
            (Tone::Bad, format!("attempt {attempt}: the result is rejected: {}", reasons.join("; ")))
        }
        EventBody::Failed { attempt, reason } => (Tone::Bad, format!("attempt {attempt}: failed: {reason}")),
        EventBody::Released { attempt, reason } => (Tone::Bad, format!("attempt {attempt}: the node gave it back: {reason}")),
        EventBody::Expired { attempt } => (Tone::Bad, format!("attempt {attempt}: its lease ended")),
        EventBody::Abandoned { attempt, reason } => (Tone::Bad, format!("attempt {attempt}: given up: {reason}")),
        EventBody::Published { attempt, .. } => (Tone::Busy, format!("attempt {attempt}: the node put its result on chain itself")),
        EventBody::Held { until_ms } => {
            (Tone::Busy, format!("settled; paid after {}", quantity::instant(until_ms.unix_seconds())))
        }
        EventBody::Settled { provider, .. } => (Tone::Good, format!("settled: {provider} is paid")),
        EventBody::Refunding { reason } => (Tone::Bad, format!("the bounty is on its way back: {reason}")),
        EventBody::Refunded { .. } => (Tone::Bad, "refunded".into()),
        EventBody::Cancelled { reason } => (Tone::Bad, format!("cancelled: {reason}")),
    }
}
