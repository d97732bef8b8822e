//! Money: whole numbers of a token's smallest unit. Decimal strings in JSON, never floating point.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// Decimals of the native coin.
pub const NATIVE_DECIMALS: u32 = 18;

/// An amount in the token's smallest unit (wei of the native coin), as wide as the contract's `uint128`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9]{1,39}$", examples("50000000000000000"))]
pub struct Amount(pub u128);

impl Amount {
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `self × bps / 10,000`, rounded down, exact for every amount.
    #[must_use]
    pub fn basis_points(self, bps: u16) -> Self {
        let bps = u128::from(bps);
        Self(self.0 / 10_000 * bps + self.0 % 10_000 * bps / 10_000)
    }

    /// Reads `1.5` as one and a half coins of 10^`decimals` units.
    pub fn from_decimal(text: &str, decimals: u32) -> Result<Self, ParseAmountError> {
        let error = || ParseAmountError { text: text.chars().take(80).collect() };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let width = decimals as usize;
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > width {
            return Err(error());
        }
        if text.ends_with('.') {
            return Err(error());
        }
        format!("{whole}{fraction:0<width$}").parse().map(Self).map_err(|_| error())
    }

    /// Writes the amount in coins of 10^`decimals` units, without trailing zeros.
    #[must_use]
    pub fn to_decimal(self, decimals: u32) -> String {
        let width = decimals as usize;
        let digits = format!("{:0>1$}", self.0, width + 1);
        let (whole, fraction) = digits.split_at(digits.len() - width);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }
}

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an amount: write digits, such as 25 or 0.05")]
pub struct ParseAmountError {
    text: String,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_decimal(text, 0)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_read_and_written() {
        for (text, wei) in [
            ("0", 0),
            ("1", 10u128.pow(18)),
            ("0.05", 5 * 10u128.pow(16)),
            ("1.000000000000000001", 10u128.pow(18) + 1),
        ] {
            assert_eq!(Amount::from_decimal(text, 18), Ok(Amount(wei)));
            assert_eq!(Amount(wei).to_decimal(18), text);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0.0000000000000000001", "٣"] {
            assert!(Amount::from_decimal(text, 18).is_err(), "{text}");
        }
        assert!("340282366920938463463374607431768211456".parse::<Amount>().is_err());
        assert!(serde_json::from_str::<Amount>("5").is_err(), "a JSON number may have lost digits");
    }

    proptest! {
        #[test]
        fn round_trips(wei: u128, decimals in 0u32..30) {
            prop_assert_eq!(Amount::from_decimal(&Amount(wei).to_decimal(decimals), decimals), Ok(Amount(wei)));
        }

        #[test]
        fn basis_points_never_exceed_the_whole(wei: u128, bps in 0u16..=10_000) {
            let part = Amount(wei).basis_points(bps);
            prop_assert!(part <= Amount(wei));
            if let Some(product) = wei.checked_mul(u128::from(bps)) {
                prop_assert_eq!(part.0, product / 10_000);
            }
        }
    }
}
