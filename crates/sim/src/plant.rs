//! Bugs that can be planted around the rules, the store and the chain, to see that the checks catch them.

use std::fmt;
use std::str::FromStr;

macro_rules! plants {
    ($($name:ident, $code:literal, $what:literal;)*) => {
        /// One bug.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Plant { $($name,)* }

        impl Plant {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What goes wrong, in one sentence.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }
        }
    };
}

plants! {
    NoFence, "no-fence", "messages of older attempts and with wrong tokens are heard as if they came from the newest attempt";
    PaysTwice, "pays-twice", "the contract settles a job that has ended already";
    EarlyTimers, "early-timers", "what is due is decided with a clock that runs ten minutes ahead";
    LostIntent, "lost-intent", "planned settlements and refunds are not saved";
    InstantFinality, "instant-finality", "the watcher takes every mined event for final";
    UncheckedVerdict, "unchecked-verdict", "a report is accepted before anybody has looked at the result";
    WrongNodePaid, "wrong-node-paid", "the contract pays the provider of another node";
    SavedRejection, "saved-rejection", "a rejected command leaves a trace in its job";
    KeptDeposit, "kept-deposit", "a deposit that comes after the job was given up is ignored";
    ForgottenAttempt, "forgotten-attempt", "a lease expires for the job, but its attempt stays alive";
    DoubleAssign, "double-assign", "a job that was assigned stays in the queue";
    LeakedShare, "leaked-share", "what an attempt took up on its node is not given back";
    LostEvents, "lost-events", "the watcher skips payments and refunds";
    HistoryGap, "history-gap", "a step of a job's history is not saved";
    StaleRows, "stale-rows", "a replica decides on rows that it read before the last turn";
    PushedOut, "pushed-out", "the contract lets the scheduler replace a node whose lease runs";
    TriedAgain, "tried-again", "the nodes that failed a job are forgotten";
    TwoNonces, "two-nonces", "an assignment is sent with the number of the one before";
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|plant| plant.as_str() == text).copied();
        known.ok_or_else(|| format!("there is no plant `{text}`; `--plant list` lists them"))
    }
}
