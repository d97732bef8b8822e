//! What a node's past says of it. Only what the chain or a finished attempt has shown counts; nobody rates anybody. Each
//! deed fades, so that neither an old merit nor an old fault lasts for ever.

use gristmill_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// After this long a deed weighs half.
const HALF_LIFE_MS: u64 = 30 * 86_400 * 1000;
/// One paid result. Everything else is weighed against it.
const WEIGHT: u64 = 1000;
/// What a node without a past is taken to have done, once well and once badly: it starts in the middle, and a single deed
/// does not carry it to either end (the rule of succession, with fading counts).
const PRIOR: u64 = WEIGHT;
/// Weights add up to this at most, so that a long past cannot outweigh what happens now.
const WEIGHT_MAX: u64 = 1000 * WEIGHT;
/// Paid results, faded, after which a node is no newcomer any more.
const NEWCOMER_BELOW: u64 = 3 * WEIGHT;

/// What a node did, as far as it tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A result that counted.
    Accepted,
    /// It gave a job back for reasons of its own.
    GivenBack,
    /// It fell silent while others waited.
    Silent,
    /// Its result was not what it should be.
    Rejected,
    /// An arbiter ruled against its result, after it had been accepted.
    Overruled,
}

impl Deed {
    /// How much good, and how much bad. A job that lies about itself can make any program fail, so that a failed program
    /// is no deed at all.
    fn weight(self) -> (u64, u64) {
        match self {
            Self::Accepted => (WEIGHT, 0),
            Self::GivenBack => (0, WEIGHT / 2),
            Self::Silent => (0, 3 * WEIGHT),
            Self::Rejected => (0, 5 * WEIGHT),
            Self::Overruled => (0, 10 * WEIGHT),
        }
    }
}

/// The sum of a node's deeds as of a time, in thousandths of a paid result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reputation {
    good: u64,
    bad: u64,
    as_of: Timestamp,
}

impl Reputation {
    /// Adds a deed.
    pub fn note(&mut self, deed: Deed, now: Timestamp) {
        let (good, bad) = deed.weight();
        *self = self.faded(now);
        self.good = (self.good + good).min(WEIGHT_MAX);
        self.bad = (self.bad + bad).min(WEIGHT_MAX);
    }

    /// From 0, the worst, to 1000. A node without a past has 500.
    #[must_use]
    pub fn permille(&self, now: Timestamp) -> u16 {
        let Self { good, bad, .. } = self.faded(now);
        let share = (good + PRIOR) * 1000 / (good + bad + 2 * PRIOR);
        u16::try_from(share).unwrap_or(1000)
    }

    /// As it was when the node did something the last time: what a store orders nodes by, since it changes with deeds only.
    #[must_use]
    pub fn permille_at_last_deed(&self) -> u16 {
        self.permille(self.as_of)
    }

    /// Whether too little is known of it to trust it with much.
    #[must_use]
    pub fn is_newcomer(&self, now: Timestamp) -> bool {
        self.faded(now).good < NEWCOMER_BELOW
    }

    fn faded(&self, now: Timestamp) -> Self {
        // A clock that went back fades nothing.
        let age_ms = now.millis_since(self.as_of);
        Self {
            good: fade(self.good, age_ms),
            bad: fade(self.bad, age_ms),
            as_of: now.max(self.as_of),
        }
    }
}

/// Halves with every half-life, and goes straight from one halving to the next: integers alone, the same everywhere, never
/// more than 6.2 % above the exact curve.
fn fade(weight: u64, age_ms: u64) -> u64 {
    let halvings = u32::try_from(age_ms / HALF_LIFE_MS).unwrap_or(u32::MAX);
    let halved = weight.checked_shr(halvings).unwrap_or(0);
    let part =
        u128::from(halved) * u128::from(age_ms % HALF_LIFE_MS) / u128::from(2 * HALF_LIFE_MS);
    halved - u64::try_from(part).unwrap_or(halved)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn at(days: u64) -> Timestamp {
        Timestamp(1_700_000_000_000 + days * DAY_MS)
    }

    fn after(deeds: &[(Deed, u64)]) -> Reputation {
        let mut reputation = Reputation::default();
        for (deed, day) in deeds {
            reputation.note(*deed, at(*day));
        }
        reputation
    }

    #[test]
    fn deeds_weigh_by_what_they_cost_others() {
        use Deed::{Accepted, GivenBack, Overruled, Rejected, Silent};
        let many = |deed, count| vec![(deed, 0); count];
        for (deeds, expected) in [
            (vec![], 500),
            (many(Accepted, 1), 666),
            (many(Accepted, 8), 900),
            (many(Accepted, 5000), 999),
            (many(GivenBack, 1), 400),
            (many(Silent, 1), 200),
            (many(Rejected, 1), 142),
            (many(Overruled, 1), 83),
            ([many(Accepted, 8), many(Silent, 1)].concat(), 692),
            ([many(Accepted, 8), many(Overruled, 1)].concat(), 450),
        ] {
            assert_eq!(after(&deeds).permille(at(0)), expected, "{deeds:?}");
        }
    }

    #[test]
    fn everything_fades_back_to_the_middle() {
        let good = after(&[(Deed::Accepted, 0); 8]);
        let bad = after(&[(Deed::Overruled, 0)]);
        let mut last = (good.permille(at(0)), bad.permille(at(0)));
        for day in 1..=1000 {
            let now = (good.permille(at(day)), bad.permille(at(day)));
            assert!(now.0 <= last.0 && now.1 >= last.1, "day {day}: {now:?} after {last:?}");
            last = now;
        }
        assert_eq!(last, (500, 500));
        assert_eq!(
            after(&[(Deed::Accepted, 0); 4]).permille(at(30)),
            750,
            "half of four weigh two"
        );
        assert_eq!(good.permille(Timestamp(u64::MAX)), 500);
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let mut reputation = after(&[(Deed::Accepted, 10); 4]);
        assert_eq!(reputation.permille(at(0)), reputation.permille(at(10)));
        reputation.note(Deed::Accepted, at(0));
        assert_eq!(reputation.as_of, at(10), "what is known is never younger than it was");
    }

    #[test]
    fn a_newcomer_is_one_until_three_results_counted_and_again_when_they_have_faded() {
        assert!(after(&[]).is_newcomer(at(0)));
        assert!(after(&[(Deed::Accepted, 0); 2]).is_newcomer(at(0)));
        assert!(!after(&[(Deed::Accepted, 0); 3]).is_newcomer(at(0)));
        assert!(after(&[(Deed::Accepted, 0); 3]).is_newcomer(at(1)));
        assert!(!after(&[(Deed::Accepted, 0); 100]).is_newcomer(at(120)));
        assert!(after(&[(Deed::Accepted, 0); 100]).is_newcomer(at(365)));
        assert!(after(&[(Deed::Rejected, 0); 100]).is_newcomer(at(0)), "faults are no experience");
    }

    #[test]
    fn fading_follows_the_curve_from_above() {
        // A million times 2 to the power of −days / 30, rounded.
        for (days, exact) in [
            (0, 1_000_000),
            (5, 890_899),
            (10, 793_701),
            (15, 707_107),
            (25, 561_231),
            (30, 500_000),
            (45, 353_553),
            (90, 125_000),
            (105, 88_388),
            (300, 977),
        ] {
            let ours = fade(1_000_000, days * DAY_MS);
            assert!(
                ours + 1 >= exact && ours <= exact + exact * 62 / 1000,
                "day {days}: {ours} for {exact}"
            );
        }
    }

    #[test]
    fn a_past_of_any_length_stays_within_bounds() {
        let mut reputation = Reputation::default();
        for _ in 0..5000 {
            reputation.note(Deed::Overruled, at(0));
            reputation.note(Deed::Accepted, at(0));
        }
        assert_eq!((reputation.good, reputation.bad), (WEIGHT_MAX, WEIGHT_MAX));
        assert_eq!(reputation.permille(at(0)), 500);
    }
}
