//! Sizes, durations, shares of a CPU and instants: as people write them, and as they read them. Whole numbers only.

use std::str::FromStr;

use gristmill_protocol::money::Amount;

/// Units of size. Decimal and binary ones are told apart, because 2 GB and 2 GiB are 147 MB apart.
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

const DURATIONS: &[(char, u64)] = &[('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A number of bytes, such as `512MiB` or `1.5GiB`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || {
            format!(
                "`{}` is not a size: write a number and a unit, such as 512MiB, 2GiB or 1.5GB",
                head(text)
            )
        };
        let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let (number, unit) = text.split_at(digits_end);
        let unit = unit.trim_start();
        let (_, factor) =
            SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(error)?;
        // Nine decimals are exact enough for any unit; a fraction of a byte is refused below.
        let billionths = Amount::from_decimal(number, 9).map_err(|_| error())?.0;
        let product = billionths.checked_mul(u128::from(*factor)).ok_or_else(error)?;
        if product % 1_000_000_000 != 0 {
            return Err(error());
        }
        u64::try_from(product / 1_000_000_000).map(Self).map_err(|_| error())
    }
}

/// A length of time, such as `90s`, `10m` or `1h30m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seconds(pub(crate) u64);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || {
            format!(
                "`{}` is not a duration: write numbers with d, h, m or s, such as 90s, 10m, 1h30m",
                head(text)
            )
        };
        let mut total = 0u64;
        let mut rest = text;
        let mut units = DURATIONS;
        if rest.is_empty() {
            return Err(error());
        }
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .filter(|end| *end > 0)
                .ok_or_else(error)?;
            let number: u64 = rest[..end].parse().map_err(|_| error())?;
            let unit = rest[end..].chars().next().ok_or_else(error)?;
            // Each unit at most once, and in falling order: `30m1h` is a slip of the hand.
            let index = units.iter().position(|(name, _)| *name == unit).ok_or_else(error)?;
            let part = number.checked_mul(units[index].1).ok_or_else(error)?;
            total = total.checked_add(part).ok_or_else(error)?;
            units = &units[index + 1..];
            rest = &rest[end + unit.len_utf8()..];
        }
        Ok(Self(total))
    }
}

/// Thousandths of a CPU, written in CPUs: `2`, `0.5`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CpuMillis(pub(crate) u32);

impl FromStr for CpuMillis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Amount::from_decimal(text, 3)
            .ok()
            .and_then(|millis| u32::try_from(millis.0).ok())
            .map(Self)
            .ok_or_else(|| format!("`{}` is not a number of CPUs: write 2 or 0.5", head(text)))
    }
}

fn head(text: &str) -> String {
    text.chars().take(40).collect()
}

/// `1.5 GiB`: at most one decimal.
pub(crate) fn bytes(count: u64) -> String {
    let unit = SIZES[5..].iter().rev().find(|(_, size)| count >= *size);
    let Some((name, size)) = unit else { return format!("{count} B") };
    let tenths = u128::from(count) * 10 / u128::from(*size);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

/// `2 h 5 min`: the two largest units that are not zero.
pub(crate) fn seconds(count: u64) -> String {
    let parts = [
        (count / 86_400, "d"),
        (count / 3_600 % 24, "h"),
        (count / 60 % 60, "min"),
        (count % 60, "s"),
    ];
    let first = parts.iter().position(|(number, _)| *number > 0).unwrap_or(parts.len() - 1);
    parts[first..]
        .iter()
        .take(2)
        .enumerate()
        .filter(|(index, (number, _))| *index == 0 || *number > 0)
        .map(|(_, (number, unit))| format!("{number} {unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// `1.5 CPUs`.
pub(crate) fn cpus(millis: u32) -> String {
    let text = Amount(millis.into()).to_decimal(3);
    format!("{text} {}", if millis == 1000 { "CPU" } else { "CPUs" })
}

/// `2026-11-24 08:30:05 UTC`.
pub(crate) fn instant(unix_seconds: u64) -> String {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || format!("unix second {unix_seconds}"),
            |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
}

/// `in 2 h`, `5 min ago`.
pub(crate) fn relative(unix_seconds: u64, now: u64) -> String {
    if unix_seconds > now {
        format!("in {}", seconds(unix_seconds - now))
    } else {
        format!("{} ago", seconds(now - unix_seconds))
    }
}

/// Both forms of an instant.
pub(crate) fn when(unix_seconds: u64, now: u64) -> String {
    format!("{} ({})", instant(unix_seconds), relative(unix_seconds, now))
}

/// The clock of this machine, in unix seconds.
pub(crate) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}

/// The clock of this machine as RFC 3339, in whole seconds.
pub(crate) fn rfc3339_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0B", 0),
            ("1B", 1),
            ("512MiB", 512 << 20),
            ("2GiB", 2 << 30),
            ("2 GiB", 2 << 30),
            ("2gib", 2 << 30),
            ("1.5GiB", 3 << 29),
            ("1.5GB", 1_500_000_000),
            ("16TiB", 16 << 40),
        ] {
            assert_eq!(text.parse::<Bytes>(), Ok(Bytes(expected)), "{text}");
        }
        for text in [
            "",
            "2",
            "2G",
            "GiB",
            "-1GiB",
            "1.5B",
            "0.0000000001GiB",
            "1e3MB",
            "2GiB2",
            "99999999999TiB",
            "1.2.3GiB",
        ] {
            let error = text.parse::<Bytes>().unwrap_err();
            assert!(error.contains("512MiB"), "{error}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("90s", 90),
            ("10m", 600),
            ("2h", 7200),
            ("1h30m", 5400),
            ("7d", 604_800),
            ("1d1h1m1s", 90_061),
            ("0s", 0),
        ] {
            assert_eq!(text.parse::<Seconds>(), Ok(Seconds(expected)), "{text}");
        }
        for text in
            ["", "5", "m", "5x", "1m1h", "1h1h", "1.5h", "-1h", "99999999999999999d", "1h ", "１h"]
        {
            let error = text.parse::<Seconds>().unwrap_err();
            assert!(error.contains("1h30m"), "{error}");
        }
    }

    #[test]
    fn cpus_are_thousandths() {
        assert_eq!("2".parse(), Ok(CpuMillis(2000)));
        assert_eq!("0.25".parse(), Ok(CpuMillis(250)));
        for text in ["", "half", "0.0001", "-1", "99999999"] {
            assert!(text.parse::<CpuMillis>().is_err(), "{text}");
        }
        assert_eq!(cpus(1000), "1 CPU");
        assert_eq!(cpus(1500), "1.5 CPUs");
    }

    #[test]
    fn people_read_round_numbers() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(2 << 30), "2 GiB");
        assert_eq!(seconds(0), "0 s");
        assert_eq!(seconds(59), "59 s");
        assert_eq!(seconds(7500), "2 h 5 min");
        assert_eq!(seconds(7205), "2 h");
        assert_eq!(seconds(90_061), "1 d 1 h");
        assert_eq!(relative(100, 40), "in 1 min");
        assert_eq!(relative(40, 100), "1 min ago");
        assert_eq!(instant(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(instant(u64::MAX), format!("unix second {}", u64::MAX));
    }

    proptest! {
        #[test]
        fn whole_seconds_round_trip(count in 0u64..1 << 40) {
            prop_assert_eq!(format!("{count}s").parse(), Ok(Seconds(count)));
        }

        #[test]
        fn garbage_never_panics(text in ".{0,40}") {
            let _ = text.parse::<Bytes>();
            let _ = text.parse::<Seconds>();
            let _ = text.parse::<CpuMillis>();
        }
    }
}
