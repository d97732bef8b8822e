//! Watching a job until it ends: its events as lines on stderr, its log as the program wrote it. Reconnects by itself.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use gristmill_protocol::api::{EventBody, JobEvent, JobView, Ruling};
use gristmill_protocol::client::ClientError;
use gristmill_protocol::ids::{AttemptNumber, JobId};
use tokio::time::{Instant, sleep, sleep_until};

use crate::app::App;
use crate::failure::{Exit, Failure, Result};
use crate::job_ref::short;
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
    /// Only events after this version of the job.
    pub(crate) after: u64,
    pub(crate) until: Until,
}

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// It is certain that nobody will be paid, or somebody was.
    Decided,
    /// The money has arrived where it goes.
    Ended,
}

/// Follows until the job is as far as wanted, and returns what the scheduler says of it then.
pub(crate) async fn follow(app: &App, id: JobId, options: Follow) -> Result<JobView> {
    let give_up = options.timeout.map(|timeout| Instant::now() + timeout);
    let mut events = Events::after(options.after);
    let mut log = Log::new();
    let mut filter = LogFilter::new(log_terminal(&app.out));
    loop {
        tokio::select! {
            event = events.next(app, id) => match event? {
                Some(event) => {
                    app.out.note(event_line(&event, |tone, text| app.out.paint_err(tone, text)));
                    if let EventBody::Started { attempt } = &event.body
                        && options.logs
                    {
                        log.then(*attempt, 0);
                    }
                    let decided = matches!(event.body, EventBody::Refunding { .. });
                    if is_end(&event.body) || (decided && options.until == Until::Decided) {
                        break;
                    }
                }
                None if app.call(|client| client.job(id)).await?.state.is_end() => break,
                None => {}
            },
            chunk = log.next(app, id) => print_log(&app.out, &filter.pass(&chunk?.bytes))?,
            () = at(give_up) => return Err(Failure::new(Exit::TimedOut, "the time is over; the job goes on").job(id).hint(later(id))),
            _ = tokio::signal::ctrl_c() => return Err(Failure::new(Exit::Detached, "no longer watching; the job goes on").job(id).hint(later(id))),
        }
    }
    let tail = Instant::now() + LOG_TAIL;
    while log.is_open() {
        tokio::select! {
            chunk = log.next(app, id) => print_log(&app.out, &filter.pass(&chunk?.bytes))?,
            () = sleep_until(tail) => break,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    app.call(|client| client.job(id)).await
}

fn later(id: JobId) -> String {
    let id = short(id);
    format!("watch again with `gristmill follow {id}`; stop the job with `gristmill cancel {id}`")
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn is_end(event: &EventBody) -> bool {
    matches!(
        event,
        EventBody::Settled { .. } | EventBody::Refunded { .. } | EventBody::Cancelled { .. }
    )
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
pub(crate) struct Events {
    after: u64,
    stream: Option<Lines<JobEvent>>,
    retry: Retry,
}

impl Events {
    pub(crate) fn after(version: u64) -> Self {
        Self { after: version, stream: None, retry: Retry::default() }
    }

    /// The next event, or `None` where the scheduler has closed the stream.
    pub(crate) async fn next(&mut self, app: &App, id: JobId) -> Result<Option<JobEvent>> {
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
                RETRIES_BEFORE_HINT => app
                    .out
                    .hint("the money needs no scheduler: `gristmill recover` shows and moves it"),
                _ => {}
            }
            self.retry.wait().await;
        }
    }
}

/// The logs of attempts, one after the other, each from where it broke off.
pub(crate) struct Log {
    /// Attempts, and the byte that comes next.
    attempts: VecDeque<(AttemptNumber, u64)>,
    stream: Option<Lines<Bytes>>,
    retry: Retry,
}

/// A part of a log.
pub(crate) struct LogChunk {
    pub(crate) offset: u64,
    /// Empty where the log of an attempt has ended.
    pub(crate) bytes: Bytes,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { attempts: VecDeque::new(), stream: None, retry: Retry::default() }
    }

    /// Adds the log of an attempt, from byte `offset` on.
    pub(crate) fn then(&mut self, attempt: AttemptNumber, offset: u64) {
        self.attempts.push_back((attempt, offset));
    }

    /// Whether more may come.
    pub(crate) fn is_open(&self) -> bool {
        !self.attempts.is_empty()
    }

    /// The next part of the current attempt's log; waits for ever where there is none.
    pub(crate) async fn next(&mut self, app: &App, id: JobId) -> Result<LogChunk> {
        loop {
            let Some((attempt, offset)) = self.attempts.front_mut() else {
                return std::future::pending().await;
            };
            let Some(stream) = &mut self.stream else {
                match app.call(|client| client.logs(id, Some(*attempt), *offset, true)).await {
                    Ok(stream) => self.stream = Some(Box::pin(stream)),
                    Err(failure) if !may_pass(&failure) => return Err(failure.job(id)),
                    Err(failure) => {
                        if self.retry.count == 0 {
                            app.out.note(format!("{}; trying again …", failure.message));
                        }
                        self.retry.wait().await;
                    }
                }
                continue;
            };
            match stream.next().await {
                Some(Ok(bytes)) => {
                    self.retry = Retry::default();
                    let chunk = LogChunk { offset: *offset, bytes };
                    *offset += chunk.bytes.len() as u64;
                    return Ok(chunk);
                }
                // A program that writes nothing for a while looks like a connection that broke: both are resumed.
                Some(Err(_)) => {
                    self.stream = None;
                    self.retry.wait().await;
                }
                None => {
                    let offset = *offset;
                    self.attempts.pop_front();
                    self.stream = None;
                    return Ok(LogChunk { offset, bytes: Bytes::new() });
                }
            }
        }
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

/// One event in one line, for people; `paint` knows on which stream.
pub(crate) fn event_line(event: &JobEvent, paint: impl Fn(Tone, String) -> String) -> String {
    let (tone, text) = event_words(&event.body);
    let clock = quantity::instant(event.at_ms.unix_seconds());
    // Whoever watches cares about the time of day.
    let clock = clock.get(11..19).unwrap_or(&clock).to_owned();
    format!("{} {}", paint(Tone::Quiet, clock), paint(tone, plain(&text)))
}

fn event_words(event: &EventBody) -> (Tone, String) {
    match event {
        EventBody::Created => (Tone::Quiet, "created; waits for its bounty".into()),
        EventBody::Funded => (Tone::Good, "the bounty is locked".into()),
        EventBody::Queued { reason } => (Tone::Busy, format!("waits for a node: {reason}")),
        EventBody::Assigned { attempt, node } => {
            (Tone::Busy, format!("attempt {attempt}: assigned to node {node}"))
        }
        EventBody::Started { attempt } => (Tone::Busy, format!("attempt {attempt}: started")),
        EventBody::CalledIn { attempt } => {
            (Tone::Bad, format!("attempt {attempt}: the node is silent and was called in on chain"))
        }
        EventBody::Renewed { attempt } => {
            (Tone::Busy, format!("attempt {attempt}: the node answered and goes on"))
        }
        EventBody::Reported { attempt, outcome, output_cid } => {
            (Tone::Busy, format!("attempt {attempt}: the program {outcome}; output {output_cid}"))
        }
        EventBody::Accepted { attempt, .. } => {
            (Tone::Good, format!("attempt {attempt}: the result is verified and accepted"))
        }
        EventBody::Rejected { attempt, reasons } => (
            Tone::Bad,
            format!("attempt {attempt}: the result is rejected: {}", reasons.join("; ")),
        ),
        EventBody::Failed { attempt, reason } => {
            (Tone::Bad, format!("attempt {attempt}: failed: {reason}"))
        }
        EventBody::Released { attempt, reason } => {
            (Tone::Bad, format!("attempt {attempt}: the node gave it back: {reason}"))
        }
        EventBody::Expired { attempt } => {
            (Tone::Bad, format!("attempt {attempt}: its lease ended"))
        }
        EventBody::Abandoned { attempt, reason } => {
            (Tone::Bad, format!("attempt {attempt}: given up: {reason}"))
        }
        EventBody::Published { attempt, .. } => {
            (Tone::Busy, format!("attempt {attempt}: the node put its result on chain itself"))
        }
        EventBody::Held { until_ms } => (
            Tone::Busy,
            format!("settled; paid after {}", quantity::instant(until_ms.unix_seconds())),
        ),
        EventBody::Forfeited { provider, to_submitter, .. } => {
            (Tone::Bad, format!("{provider} lost its bond; {to_submitter} of it came to you"))
        }
        EventBody::Disputed { by, .. } => {
            (Tone::Bad, format!("the result is disputed by {by}; the arbiter rules"))
        }
        EventBody::Ruled { ruling } => (
            Tone::Busy,
            match ruling {
                Ruling::Pay => "the arbiter ruled to pay".into(),
                Ruling::Refund => "the arbiter ruled to refund".into(),
                Ruling::Reopen => "the arbiter ruled that it is done again".into(),
            },
        ),
        EventBody::Settled { provider, .. } => (Tone::Good, format!("settled: {provider} is paid")),
        EventBody::Refunding { reason } => {
            (Tone::Bad, format!("the bounty is on its way back: {reason}"))
        }
        EventBody::Refunded { .. } => (Tone::Bad, "refunded".into()),
        EventBody::Cancelled { reason } => (Tone::Bad, format!("cancelled: {reason}")),
    }
}
