//! What the command line asks for.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

pub const HELP: &str = "\
Trains a neural network with one hidden layer on 8x8 images of handwritten digits.
Three images in four train it, the fourth is held out and judges it.

Usage: digits [--epochs N] [--seed N] [--hidden N] [--data FILE] [--out DIR]

  --epochs N    passes over the training images, 1 to 10000    [default: 100]
  --seed N      draws the split, the first weights, the order  [default: 1]
  --hidden N    units in the hidden layer, 1 to 1024           [default: 128]
  --data FILE   CSV lines of 64 pixels (0 to 16) and a digit   [default: /input/digits.csv]
  --out DIR     where model.json, metrics.json and confusion.svg go  [default: /output]

The same settings and data give the same three files, byte for byte, on every machine.

Examples:
  digits --data data/digits.csv --out /tmp/digits
  digits --data data/digits.csv --out /tmp/digits --epochs 20 --hidden 32 --seed 7
";

const EPOCHS: RangeInclusive<u32> = 1..=10_000;
const HIDDEN: RangeInclusive<usize> = 1..=1_024;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub epochs: u32,
    pub seed: u64,
    pub hidden: usize,
    pub data: PathBuf,
    pub out: PathBuf,
}

#[derive(Debug, PartialEq)]
pub enum Request {
    Train(Settings),
    Help,
}

#[derive(Debug, PartialEq)]
pub enum UsageError {
    Unknown(String),
    ValueMissing(String),
    Value { flag: String, value: String, expected: String },
}

impl fmt::Display for UsageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(argument) => write!(out, "`{argument}` is no setting of this program"),
            Self::ValueMissing(flag) => write!(out, "{flag} needs a value"),
            Self::Value { flag, value, expected } => {
                write!(out, "{flag} must be {expected}, not `{value}`")
            }
        }
    }
}

impl std::error::Error for UsageError {}

impl Default for Settings {
    fn default() -> Self {
        Self {
            epochs: 100,
            seed: 1,
            hidden: 128,
            data: "/input/digits.csv".into(),
            out: "/output".into(),
        }
    }
}

impl Settings {
    /// Reads `--flag value` and `--flag=value`; of a flag given twice the last one counts.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Request, UsageError> {
        let mut settings = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if matches!(argument.as_str(), "--help" | "-h") {
                return Ok(Request::Help);
            }
            let (flag, inline) = match argument.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut value = || {
                inline
                    .clone()
                    .or_else(|| arguments.next())
                    .ok_or_else(|| UsageError::ValueMissing(flag.clone()))
            };
            match flag.as_str() {
                "--epochs" => settings.epochs = number(&flag, value()?, EPOCHS)?,
                "--seed" => settings.seed = number(&flag, value()?, 0..=u64::MAX)?,
                "--hidden" => settings.hidden = number(&flag, value()?, HIDDEN)?,
                "--data" => settings.data = value()?.into(),
                "--out" => settings.out = value()?.into(),
                _ => return Err(UsageError::Unknown(flag)),
            }
        }
        Ok(Request::Train(settings))
    }
}

fn number<N>(flag: &str, value: String, range: RangeInclusive<N>) -> Result<N, UsageError>
where
    N: FromStr + PartialOrd + fmt::Display,
{
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| UsageError::Value {
        flag: flag.to_owned(),
        value,
        expected: format!("a whole number from {} to {}", range.start(), range.end()),
    })
}

#[cfg(test)]
mod tests {
    use super::{HELP, Request, Settings, UsageError};

    fn parse(line: &str) -> Result<Request, UsageError> {
        Settings::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn reads_every_flag_in_both_forms() {
        let expected =
            Settings { epochs: 5, seed: 9, hidden: 7, data: "d.csv".into(), out: "o".into() };
        assert_eq!(
            parse("--epochs 5 --seed=9 --hidden 7 --data=d.csv --out o"),
            Ok(Request::Train(expected))
        );
        assert_eq!(parse(""), Ok(Request::Train(Settings::default())));
        assert_eq!(
            parse("--seed 2 --seed 3"),
            Ok(Request::Train(Settings { seed: 3, ..Settings::default() }))
        );
        assert_eq!(parse("--epochs 5 --help"), Ok(Request::Help));
    }

    #[test]
    fn help_states_the_defaults_that_hold() {
        let Settings { epochs, seed, hidden, data, out } = Settings::default();
        for default in [
            epochs.to_string(),
            seed.to_string(),
            hidden.to_string(),
            data.display().to_string(),
            out.display().to_string(),
        ] {
            assert!(HELP.contains(&format!("[default: {default}]")), "{default}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (line, message) in [
            ("--epoch 5", "`--epoch` is no setting of this program"),
            ("train", "`train` is no setting of this program"),
            ("--seed", "--seed needs a value"),
            ("--epochs 0", "--epochs must be a whole number from 1 to 10000, not `0`"),
            ("--epochs 10001", "--epochs must be a whole number from 1 to 10000, not `10001`"),
            ("--hidden 4096", "--hidden must be a whole number from 1 to 1024, not `4096`"),
            ("--seed -1", "--seed must be a whole number from 0 to 18446744073709551615, not `-1`"),
            ("--epochs=many", "--epochs must be a whole number from 1 to 10000, not `many`"),
        ] {
            assert_eq!(parse(line).expect_err(line).to_string(), message);
        }
    }
}
