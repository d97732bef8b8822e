//! Bugs that can be planted around the rules, the store and the chain, to see that the checks catch them.

use std::fmt;
use std::str::FromStr;

use crate::model::Flaw;

macro_rules! plants {
    ($($name:ident $(($flaw:ident))?, $code:literal, $what:literal;)*) => {
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

            /// What is wrong with the contract, if the bug is there.
            #[must_use]
            pub fn flaw(self) -> Option<Flaw> {
                match self { $(Self::$name => plants!(@flaw $($flaw)?),)* }
            }
        }
    };
    (@flaw) => { None };
    (@flaw $flaw:ident) => { Some(Flaw::$flaw) };
}

plants! {
    NoFence, "no-fence", "messages of older attempts and with wrong tokens are heard as if they came from the newest attempt";
    PaysTwice(PaysTwice), "pays-twice", "the contract settles a job that has ended already";
    EarlyTimers, "early-timers", "what is due is decided with a clock that runs ten minutes ahead";
    LostIntent, "lost-intent", "planned settlements and refunds are not saved";
    InstantFinality, "instant-finality", "the watcher takes every mined event for final";
    UncheckedVerdict, "unchecked-verdict", "a report is accepted before anybody has looked at the result";
    WrongNodePaid(PaysAnother), "wrong-node-paid", "the contract pays the provider of another node";
    SavedRejection, "saved-rejection", "a rejected command leaves a trace in its job";
    KeptDeposit, "kept-deposit", "a deposit that comes after the job was given up is ignored";
    ForgottenAttempt, "forgotten-attempt", "a lease expires for the job, but its attempt stays alive";
    DoubleAssign, "double-assign", "a job that was assigned stays in the queue";
    LeakedShare, "leaked-share", "what an attempt took up on its node is not given back";
    LostEvents, "lost-events", "the watcher skips payments and refunds";
    HistoryGap, "history-gap", "a step of a job's history is not saved";
    StaleRows, "stale-rows", "a replica decides on rows that it read before the last turn";
    PushedOut(PushesOut), "pushed-out", "the contract lets the scheduler replace a node whose lease runs";
    TriedAgain, "tried-again", "the nodes that failed a job are forgotten";
    WrongNumber, "wrong-number", "an assignment is sent with the number of the one before";
    NoReplacement, "no-replacement", "the sender never sends again what was dropped";
    BlindSender, "blind-sender", "the sender does not notice that its nonce was used from outside";
    UnheardNode, "unheard-node", "the scheduler loses the acceptances of nodes";
    LostRuling, "lost-ruling", "the watcher skips rulings";
    LooseTimer, "loose-timer", "the market forgets when to look again at a job that is settling";
    KeptLimit(KeepsLimit), "kept-limit", "the contract still counts a bond that is free again";
    PunishedRelease(PunishesRelease), "punished-release", "the contract takes the bond of a node that gives its job back";
    DoubleForfeit(DoublesForfeit), "double-forfeit", "the contract credits a forfeited bond to the submitter, and half of it to the pool too";
    ForgottenBond(ForgetsBond), "forgotten-bond", "the contract does not lock the bond";
    StrandedBond(StrandsBond), "stranded-bond", "the contract keeps the bond of a provider that never delivered";
    StrandedPool(StrandsPool), "stranded-pool", "the contract keeps the pool when it pays";
    RevokedOrder(HonoursRevoked), "revoked-order", "the contract honours orders that were revoked";
    OpenedAgain(Reopens), "opened-again", "the contract opens a job that has ended once more";
    FreeOrder(OpensForFree), "free-order", "the contract opens what an order covers without taking the bounty";
    NoAcceptance(SkipsAcceptance), "no-acceptance", "the contract does not look at acceptances";
    KindSilence(ReturnsDisputeBond), "kind-silence", "the contract gives the dispute bond back when the arbiter was silent";
    TwiceRefunded(RefundsBondTwice), "twice-refunded", "the contract returns a bond to the provider and to the submitter";
    AnyArbiter(AnyoneRules), "any-arbiter", "the contract lets anybody rule";
    UnearnedFee(PaysUnearnedFee), "unearned-fee", "the contract pays the fee to a scheduler that never settled";
    LostPayment(LosesRefused), "lost-payment", "the contract loses a payment that its receiver refuses";
    NoHold(SkipsHold), "no-hold", "the contract pays before the hold is over";
    EndlessBalance(WithdrawsTwice), "endless-balance", "the contract does not lower a balance that is withdrawn";
    RobbedNode(CancelsAssigned), "robbed-node", "the contract lets the submitter cancel a job that a node holds";
    EarlyRefund(RefundsEarly), "early-refund", "the contract refunds before the deadline";
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
