//! `gristmill follow`, `logs` and `events`: streams.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use gristmill_protocol::api::JobEvent;
use gristmill_protocol::ids::{AttemptNumber, JobId};
use serde_json::json;

use super::outcome;
use crate::app::App;
use crate::failure::{Exit, Failure, Result};
use crate::follow::{Events, Follow, Log, LogChunk, Until, event_line, follow, is_end, print_log};
use crate::job_ref::JobRef;
use crate::quantity::Seconds;
use crate::terminal::LogFilter;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill follow 0x2f8e1c3b5d\n  gristmill wait 0x2f8e1c3b5d --timeout 30m --no-logs && echo settled\n\nEvents go to stderr, the log to stdout; with --json only the outcome is on stdout. Ctrl-C detaches: the job goes on."
)]
pub(crate) struct FollowArgs {
    /// The job id, or its first digits
    job: JobRef,
    /// Only events
    #[arg(long)]
    no_logs: bool,
    /// Stop watching after this time, with exit code 10
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Seconds>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill logs 0x2f8e1c3b5d\n  gristmill logs -f 0x2f8e1c3b5d\n  gristmill logs 0x2f8e… --attempt 1 > first.log\n\nWith --json each line of stdout is {\"offset\",\"text\"}."
)]
pub(crate) struct LogsArgs {
    /// The job id, or its first digits
    job: JobRef,
    /// Go on until the attempt ends
    #[arg(long, short)]
    follow: bool,
    /// Which attempt [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u16>,
    /// Start at this byte
    #[arg(long, default_value_t = 0, value_name = "BYTE")]
    offset: u64,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  gristmill events 0x2f8e1c3b5d\n  gristmill events -f 0x2f8e1c3b5d --json | jq .event\n\nWith --json each line of stdout is one event as the API gives it."
)]
pub(crate) struct EventsArgs {
    /// The job id, or its first digits
    job: JobRef,
    /// Go on until the job ends
    #[arg(long, short)]
    follow: bool,
    /// Only events after this version
    #[arg(long, default_value_t = 0, value_name = "VERSION")]
    after: u64,
}

pub(crate) async fn follow_job(app: &App, args: FollowArgs) -> Result<()> {
    let id = args.job.resolve(app).await?;
    let timeout = args.timeout.map(|timeout| Duration::from_secs(timeout.0));
    let job =
        follow(app, id, Follow { logs: !args.no_logs, timeout, after: 0, until: Until::Decided })
            .await?;
    outcome::report(app, &job, None).await?;
    outcome::hint_at_result(app, &job);
    Ok(())
}

pub(crate) async fn logs(app: &App, args: LogsArgs) -> Result<()> {
    let id = args.job.resolve(app).await?;
    let job = app.call(|client| client.job(id)).await?;
    let newest = job.attempts.iter().map(|attempt| attempt.number).max();
    let Some(attempt) =
        args.attempt.map(AttemptNumber).or(newest).or(args.follow.then_some(AttemptNumber(1)))
    else {
        app.out.note("no attempt has begun yet; wait for it with --follow");
        return Ok(());
    };
    let mut filter = LogFilter::new(!app.out.is_json() && std::io::stdout().is_terminal());
    let mut print = |chunk: &LogChunk| {
        if chunk.bytes.is_empty() {
            Ok(())
        } else if app.out.is_json() {
            app.out.value(
                &json!({ "offset": chunk.offset, "text": String::from_utf8_lossy(&chunk.bytes) }),
            )
        } else {
            print_log(&app.out, &filter.pass(&chunk.bytes))
        }
    };
    if !args.follow {
        let stream = app.call(|client| client.logs(id, Some(attempt), args.offset, false)).await?;
        let mut stream = std::pin::pin!(stream);
        let mut offset = args.offset;
        while let Some(bytes) = stream.next().await {
            let chunk = LogChunk { offset, bytes: bytes? };
            offset += chunk.bytes.len() as u64;
            print(&chunk)?;
        }
        return Ok(());
    }
    let mut log = Log::new();
    log.then(attempt, args.offset);
    while log.is_open() {
        tokio::select! {
            chunk = log.next(app, id) => print(&chunk?)?,
            _ = tokio::signal::ctrl_c() => return Err(detached(id)),
        }
    }
    Ok(())
}

pub(crate) async fn events(app: &App, args: EventsArgs) -> Result<()> {
    let id = args.job.resolve(app).await?;
    let print = |event: &JobEvent| {
        if app.out.is_json() {
            app.out.value(event)
        } else {
            app.out.line(event_line(event, |tone, text| app.out.paint(tone, text)))
        }
    };
    if !args.follow {
        let stream = app.call(|client| client.events(id, args.after, false)).await?;
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            print(&event?)?;
        }
        return Ok(());
    }
    let mut events = Events::after(args.after);
    loop {
        tokio::select! {
            event = events.next(app, id) => match event? {
                Some(event) => {
                    print(&event)?;
                    if is_end(&event.body) {
                        return Ok(());
                    }
                }
                None if app.call(|client| client.job(id)).await?.state.is_end() => return Ok(()),
                None => {}
            },
            _ = tokio::signal::ctrl_c() => return Err(detached(id)),
        }
    }
}

fn detached(id: JobId) -> Failure {
    Failure::new(Exit::Detached, "no longer watching; the job goes on").job(id)
}
