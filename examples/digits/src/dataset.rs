//! The handwritten digits: reading the CSV file, and the split into training and held-out images.

use std::fmt;

use crate::random::Random;

pub const SIDE: usize = 8;
pub const PIXELS: usize = SIDE * SIDE;
pub const CLASSES: usize = 10;
/// Pixels are counts of ink from 0 to 16.
pub const INK_MAX: u8 = 16;
/// The published file has 1,797 lines; more than this is some other file.
pub const IMAGES_MAX: usize = 100_000;
/// One image in four is held out.
const HELD_OUT_EVERY: usize = 4;

/// One 8x8 image, row by row, and the digit that its writer meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub ink: [u8; PIXELS],
    pub digit: u8,
}

/// Which images (by index) train and which only judge.
#[derive(Debug, PartialEq)]
pub struct Split {
    pub train: Vec<usize>,
    pub test: Vec<usize>,
}

#[derive(Debug, PartialEq)]
pub enum DatasetError {
    Fields { line: usize, found: usize },
    Number { line: usize, column: usize, field: String, max: u8 },
    TooMany,
    Missing { digit: usize, found: usize },
}

impl fmt::Display for DatasetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields { line, found } => write!(
                out,
                "line {line} has {found} fields, expected {}: {PIXELS} pixels and the digit",
                PIXELS + 1
            ),
            Self::Number { line, column, field, max } => {
                write!(
                    out,
                    "line {line}, field {column}: `{field}` is not a whole number from 0 to {max}"
                )
            }
            Self::TooMany => write!(out, "more than {IMAGES_MAX} images"),
            Self::Missing { digit, found } => write!(
                out,
                "{found} images of the digit {digit}, at least {HELD_OUT_EVERY} are needed of each digit"
            ),
        }
    }
}

impl std::error::Error for DatasetError {}

/// Reads lines of 64 pixels and a digit, as UCI and scikit-learn publish them.
pub fn parse(csv: &str) -> Result<Vec<Image>, DatasetError> {
    let mut images = Vec::new();
    for (index, text) in csv.lines().enumerate() {
        if images.len() == IMAGES_MAX {
            return Err(DatasetError::TooMany);
        }
        images.push(parse_line(index + 1, text)?);
    }
    for digit in 0..CLASSES {
        let found = images.iter().filter(|image| usize::from(image.digit) == digit).count();
        if found < HELD_OUT_EVERY {
            return Err(DatasetError::Missing { digit, found });
        }
    }
    Ok(images)
}

fn parse_line(line: usize, text: &str) -> Result<Image, DatasetError> {
    let found = text.split(',').count();
    if found != PIXELS + 1 {
        return Err(DatasetError::Fields { line, found });
    }
    let mut image = Image { ink: [0; PIXELS], digit: 0 };
    for (index, field) in text.split(',').enumerate() {
        let (place, max) = match image.ink.get_mut(index) {
            Some(pixel) => (pixel, INK_MAX),
            None => (&mut image.digit, CLASSES as u8 - 1),
        };
        *place = field.trim().parse().ok().filter(|&number| number <= max).ok_or_else(|| {
            // A damaged file can have a field of megabytes; the message needs only its start.
            DatasetError::Number {
                line,
                column: index + 1,
                field: field.chars().take(20).collect(),
                max,
            }
        })?;
    }
    Ok(image)
}

impl Split {
    /// A stratified split: the images of each digit in an order drawn from the seed, one digit
    /// after the other, of which every fourth is held out. So each digit is held out in proportion.
    pub fn stratified(images: &[Image], random: &mut Random) -> Self {
        let mut order: Vec<usize> = (0..images.len()).collect();
        random.shuffle(&mut order);
        // The sort is stable: within a digit the drawn order stays.
        order.sort_by_key(|&index| images[index].digit);
        let mut split = Self { train: Vec::new(), test: Vec::new() };
        for (place, index) in order.into_iter().enumerate() {
            if place.is_multiple_of(HELD_OUT_EVERY) {
                split.test.push(index);
            } else {
                split.train.push(index);
            }
        }
        split
    }
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, DatasetError, HELD_OUT_EVERY, IMAGES_MAX, PIXELS, Split, parse};
    use crate::random::Random;

    /// A line whose pixels are all `ink`.
    fn line(ink: &str, digit: &str) -> String {
        format!("{},{digit}\n", vec![ink; PIXELS].join(","))
    }

    /// `count` images of each digit.
    fn csv(count: usize) -> String {
        (0..CLASSES * count).map(|index| line("3", &(index % CLASSES).to_string())).collect()
    }

    #[test]
    fn reads_pixels_then_the_digit() {
        let images = parse(&csv(4)).expect("valid");
        assert_eq!(images.len(), 40);
        assert_eq!(images[7].digit, 7);
        assert_eq!(images[7].ink, [3; PIXELS]);
        assert_eq!(parse(&csv(4).replace('\n', "\r\n")).expect("valid"), images);
    }

    #[test]
    fn names_the_line_and_the_reason() {
        let damaged = |bad: &str| parse(&(csv(4) + bad)).expect_err("damaged").to_string();
        assert_eq!(
            damaged("1,2,3\n"),
            "line 41 has 3 fields, expected 65: 64 pixels and the digit"
        );
        assert_eq!(damaged("\n"), "line 41 has 1 fields, expected 65: 64 pixels and the digit");
        for (ink, digit, message) in [
            ("17", "1", "line 41, field 1: `17` is not a whole number from 0 to 16"),
            ("-1", "1", "line 41, field 1: `-1` is not a whole number from 0 to 16"),
            ("0.5", "1", "line 41, field 1: `0.5` is not a whole number from 0 to 16"),
            ("", "1", "line 41, field 1: `` is not a whole number from 0 to 16"),
            ("1", "10", "line 41, field 65: `10` is not a whole number from 0 to 9"),
            ("1", "nine", "line 41, field 65: `nine` is not a whole number from 0 to 9"),
        ] {
            assert_eq!(damaged(&line(ink, digit)), message);
        }
        let long = damaged(&line(&"9".repeat(1_000_000), "1"));
        assert!(long.len() < 100, "a huge field is not repeated whole: {} bytes", long.len());
    }

    #[test]
    fn refuses_too_few_and_too_many() {
        assert_eq!(parse(""), Err(DatasetError::Missing { digit: 0, found: 0 }));
        assert_eq!(parse(&csv(3)), Err(DatasetError::Missing { digit: 0, found: 3 }));
        assert_eq!(parse(&line("0", "1").repeat(IMAGES_MAX + 1)), Err(DatasetError::TooMany));
    }

    #[test]
    fn split_is_disjoint_complete_and_in_proportion() {
        let images = parse(&csv(45)).expect("valid");
        let split = Split::stratified(&images, &mut Random::new(5));
        let mut all: Vec<usize> = split.train.iter().chain(&split.test).copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..images.len()).collect::<Vec<_>>());
        for digit in 0..CLASSES as u8 {
            let held_out = split.test.iter().filter(|&&index| images[index].digit == digit).count();
            assert!(held_out.abs_diff(45 / HELD_OUT_EVERY) <= 1, "{held_out} of the digit {digit}");
        }
    }

    #[test]
    fn split_follows_the_seed() {
        let images = parse(&csv(45)).expect("valid");
        let split = |seed| Split::stratified(&images, &mut Random::new(seed));
        assert_eq!(split(5), split(5));
        assert_ne!(split(5), split(6));
    }
}
