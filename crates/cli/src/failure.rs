//! What can go wrong, in the words and the exit codes that people and scripts see.

use std::error::Error;
use std::fmt::Write as _;

use gristmill_protocol::client::ClientError;
use gristmill_protocol::content::ContentError;
use gristmill_protocol::deployment::DeploymentError;
use gristmill_protocol::error::ErrorCode;
use gristmill_protocol::ids::JobId;

/// Result of everything in this program.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why the program ends. The numbers are part of the interface: scripts branch on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Whoever read stdout, such as `head`, has enough: no failure, and nothing to say.
    ReaderGone = 0,
    /// The job ended and nobody was paid: refunded or cancelled. Or a check of `doctor` failed.
    Unpaid = 1,
    /// The command line, a file or a value in it cannot be used. (clap ends with this too.)
    Usage = 2,
    /// The scheduler or the RPC endpoint does not answer.
    Unreachable = 3,
    /// The scheduler or the contract said no.
    Refused = 4,
    /// There is no such job, node or content.
    NotFound = 5,
    /// The wallet cannot pay.
    Funds = 6,
    /// A result is not what its receipt or the chain says.
    Unverified = 7,
    /// There is no wallet, or it cannot be opened.
    Wallet = 8,
    /// This machine failed: a file could not be read or written.
    Local = 9,
    /// The time given by `--timeout` is over; the job goes on.
    TimedOut = 10,
    /// Ctrl-C while following; the job goes on.
    Detached = 130,
}

impl Exit {
    pub(crate) const ALL: &'static [(u8, &'static str)] = &[
        (0, "done; for `submit` and `follow`: the job is settled"),
        (
            Exit::Unpaid as u8,
            "the job ended unpaid (refunded, cancelled), or `doctor` found a fault",
        ),
        (Exit::Usage as u8, "usage: an argument, a file or a value cannot be used"),
        (Exit::Unreachable as u8, "the scheduler or the RPC endpoint does not answer"),
        (Exit::Refused as u8, "the scheduler or the contract refused"),
        (Exit::NotFound as u8, "no such job, node or content"),
        (Exit::Funds as u8, "the wallet cannot pay"),
        (Exit::Unverified as u8, "a result is not what its receipt says"),
        (Exit::Wallet as u8, "no wallet, or a wrong password"),
        (Exit::Local as u8, "this machine failed: a file cannot be read or written"),
        (Exit::TimedOut as u8, "--timeout is over; the job goes on"),
        (Exit::Detached as u8, "Ctrl-C while following; the job goes on"),
    ];

    /// A stable word for scripts that read `--json`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::ReaderGone => "reader_gone",
            Self::Unpaid => "unpaid",
            Self::Usage => "usage",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
            Self::Funds => "insufficient_funds",
            Self::Unverified => "unverified",
            Self::Wallet => "wallet",
            Self::Local => "local",
            Self::TimedOut => "timed_out",
            Self::Detached => "detached",
        }
    }
}

/// One failure: why, what to do, and which job it concerns, so that an id that was paid for is never lost.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) job: Option<JobId>,
    /// The scheduler's own code, where it refused.
    pub(crate) problem: Option<ErrorCode>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, job: None, problem: None }
    }

    /// With the whole chain of causes behind `doing`.
    pub(crate) fn caused(exit: Exit, doing: &str, error: &dyn Error) -> Self {
        Self::new(exit, format!("{doing}: {}", chain_of(error)))
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn job(mut self, job: JobId) -> Self {
        self.job = Some(job);
        self
    }
}

/// An error and its causes in one line.
pub(crate) fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Wrappers that print their cause themselves would say everything twice.
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The innermost cause: of a connection that failed, what people can act on.
pub(crate) fn root_of(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Turns an I/O error at `path` into a failure.
pub(crate) fn io(doing: &str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Failure {
    let what = format!("cannot {doing} `{}`", path.display());
    move |error| Failure::new(Exit::Local, format!("{what}: {error}"))
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = chain_of(&error);
        match error {
            ClientError::Refused(problem) => {
                let exit = match problem.status {
                    404 => Exit::NotFound,
                    500.. => Exit::Unreachable,
                    _ => Exit::Refused,
                };
                Self { problem: Some(problem.code), ..Self::new(exit, message) }
            }
            ClientError::Unreachable { url, error } => {
                let why = root_of(&error);
                Self::new(Exit::Unreachable, format!("cannot reach the scheduler at {url}: {why}")).hint(
                    "check --scheduler, or run `gristmill doctor`; your money needs no scheduler: see `gristmill recover --help`",
                )
            }
            ClientError::Unexpected { .. } | ClientError::Malformed(_) | ClientError::TooLarge => {
                Self::new(Exit::Unreachable, message)
                    .hint("is --scheduler the address of a Gristmill scheduler of this version?")
            }
            ClientError::InvalidUrl(_) => Self::usage(message),
            ClientError::Signing(_) => Self::new(Exit::Wallet, message),
        }
    }
}

impl From<DeploymentError> for Failure {
    fn from(error: DeploymentError) -> Self {
        Self::usage(chain_of(&error))
            .hint("a deployment file is {\"chain_id\":…,\"contract\":\"0x…\",\"block\":…}; take it from someone you trust")
    }
}

/// Content read from this machine's own files. What comes over the network is judged where it is read.
impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Self {
        let exit = match error {
            ContentError::Io { .. } | ContentError::Store { .. } => Exit::Local,
            ContentError::Stream { .. } => Exit::Unreachable,
            ContentError::MissingBlock { .. } | ContentError::NotFound { .. } => Exit::NotFound,
            ContentError::BlockMismatch { .. }
            | ContentError::UnwantedBlock { .. }
            | ContentError::SizeMismatch { .. }
            | ContentError::TruncatedCar { .. }
            | ContentError::InvalidCar { .. }
            | ContentError::InvalidNode { .. }
            | ContentError::InvalidName { .. }
            | ContentError::DuplicateName { .. }
            | ContentError::InvalidManifest { .. } => Exit::Unverified,
            ContentError::InvalidCid { .. }
            | ContentError::UnsupportedHash { .. }
            | ContentError::UnsupportedCodec { .. }
            | ContentError::InvalidUri { .. }
            | ContentError::Symlink { .. }
            | ContentError::SpecialFile { .. }
            | ContentError::LimitExceeded(_)
            | ContentError::Changed { .. }
            | ContentError::WrongKind { .. }
            | ContentError::DestinationExists { .. } => Exit::Usage,
        };
        Self::new(exit, chain_of(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_their_words_are_distinct() {
        let mut numbers: Vec<u8> = Exit::ALL.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Exit::ALL.len());
    }

    #[test]
    fn a_cause_is_said_once() {
        let inner = std::io::Error::other("disk full");
        let outer = ContentError::Stream { doing: "write the CAR", source: inner };
        assert_eq!(chain_of(&outer), "cannot write the CAR: disk full");
    }
}
