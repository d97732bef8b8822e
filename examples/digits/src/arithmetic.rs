//! `exp` and `ln` out of `+ - * /`, the same bits on every machine.
//!
//! IEEE 754 fixes the result of the four operations and of the square root, and WebAssembly and
//! x86-64 both follow it. It does not fix `exp` and `ln`: each C library rounds its own way, and a
//! last bit that differs grows over sixty epochs into another model. Hence these two.

use std::f64::consts::{LN_2, LOG2_E, SQRT_2};

/// ln 2 in two parts: the first has so few bits that its product with a small integer is exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// e^x for x ≤ 0, which is all that a softmax needs; 0 where the result would be below 1e-304.
pub fn exp_of_nonpositive(x: f64) -> f64 {
    debug_assert!(x <= 0.0, "{x} is positive");
    if x < -700.0 {
        return 0.0;
    }
    // x = k ln 2 + r with |r| ≤ ln 2 / 2, so e^x = 2^k e^r.
    let k = (x * LOG2_E - 0.5) as i64;
    let r = (x - k as f64 * LN_2_HIGH) - k as f64 * LN_2_LOW;
    // The Taylor series of e^r in Horner's form; the first term left out is below 5e-18.
    let mut series = 1.0;
    for n in (1..=13).rev() {
        series = 1.0 + r / f64::from(n) * series;
    }
    series * f64::from_bits(((k + 1023) as u64) << 52)
}

/// ln x for a normal x > 0.
pub fn ln(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0, "{x} is not a normal positive number");
    // x = 2^k m with m in [√½, √2).
    let bits = x.to_bits();
    let mut k = (bits >> 52) as i64 - 1023;
    let mut m = f64::from_bits(bits & ((1 << 52) - 1) | (1023 << 52));
    if m >= SQRT_2 {
        m /= 2.0;
        k += 1;
    }
    // ln m = 2 (s + s³/3 + s⁵/5 + …) with s = (m - 1) / (m + 1), |s| < 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut series = 0.0;
    for n in (0..=11).rev() {
        series = 1.0 / f64::from(2 * n + 1) + square * series;
    }
    k as f64 * LN_2 + 2.0 * s * series
}

#[cfg(test)]
mod tests {
    use super::{exp_of_nonpositive, ln};

    #[test]
    fn exp_agrees_with_the_library_to_a_few_last_bits() {
        assert_eq!(exp_of_nonpositive(0.0), 1.0);
        assert_eq!(exp_of_nonpositive(-1e9), 0.0);
        assert_eq!(exp_of_nonpositive(f64::NEG_INFINITY), 0.0);
        for step in 0..70_000 {
            let x = f64::from(step) * -0.01;
            let error = (exp_of_nonpositive(x) / x.exp() - 1.0).abs();
            assert!(error < 1e-15, "exp({x}) is off by {error:e}");
        }
    }

    #[test]
    fn ln_agrees_with_the_library_to_a_few_last_bits() {
        assert_eq!(ln(1.0), 0.0);
        for step in 1..100_000 {
            for x in [f64::from(step) * 0.001, f64::from(step) * 1e-9, f64::from(step) * 1e12] {
                let error = (ln(x) - x.ln()).abs() / x.ln().abs().max(1.0);
                assert!(error < 1e-15, "ln({x}) is off by {error:e}");
            }
        }
    }
}
