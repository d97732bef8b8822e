//! Showing an image a little differently: moved, stretched and slanted.

use crate::dataset::{INK_MAX, Image, PIXELS, SIDE};
use crate::random::Random;

/// How far an image may move while it trains, in pixels.
const MOVE: f64 = 0.6;
/// How much it may be stretched or slanted, as a share of its size.
const STRETCH: f64 = 0.15;

/// Where each pixel of the shown image takes its ink from, as an affine map about the centre:
/// column' = `columns` · (column, row, 1) and row' = `rows` · (column, row, 1).
pub struct Warp {
    columns: [f64; 3],
    rows: [f64; 3],
}

impl Warp {
    /// Shows the image as it is.
    pub const NONE: Self = Self { columns: [1.0, 0.0, 0.0], rows: [0.0, 1.0, 0.0] };

    pub fn random(random: &mut Random) -> Self {
        let mut draw = |bound: f64| random.symmetric() * bound;
        Self {
            columns: [1.0 + draw(STRETCH), draw(STRETCH), draw(MOVE)],
            rows: [draw(STRETCH), 1.0 + draw(STRETCH), draw(MOVE)],
        }
    }

    /// The pixels, scaled to 0..1. Places between four pixels take a share of each; what comes from
    /// outside of the square is blank.
    pub fn apply(&self, image: &Image) -> [f64; PIXELS] {
        const CENTRE: f64 = (SIDE - 1) as f64 / 2.0;
        let mut input = [0.0; PIXELS];
        for row in 0..SIDE {
            for column in 0..SIDE {
                let (x, y) = (column as f64 - CENTRE, row as f64 - CENTRE);
                let from_column =
                    self.columns[0] * x + self.columns[1] * y + self.columns[2] + CENTRE;
                let from_row = self.rows[0] * x + self.rows[1] * y + self.rows[2] + CENTRE;
                let (left, top) = (from_column.floor(), from_row.floor());
                let (right_share, bottom_share) = (from_column - left, from_row - top);
                let (left, top) = (left as i32, top as i32);
                let upper = (1.0 - right_share) * ink(image, left, top)
                    + right_share * ink(image, left + 1, top);
                let lower = (1.0 - right_share) * ink(image, left, top + 1)
                    + right_share * ink(image, left + 1, top + 1);
                input[row * SIDE + column] = (1.0 - bottom_share) * upper + bottom_share * lower;
            }
        }
        input
    }
}

fn ink(image: &Image, column: i32, row: i32) -> f64 {
    match (usize::try_from(column), usize::try_from(row)) {
        (Ok(column @ 0..SIDE), Ok(row @ 0..SIDE)) => {
            f64::from(image.ink[row * SIDE + column]) / f64::from(INK_MAX)
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::Warp;
    use crate::dataset::{Image, PIXELS, SIDE};
    use crate::random::Random;

    /// Full ink in the top left corner, half in the bottom right one.
    fn corners() -> Image {
        let mut ink = [0; PIXELS];
        ink[0] = 16;
        ink[PIXELS - 1] = 8;
        Image { ink, digit: 0 }
    }

    fn lit(columns: [f64; 3], rows: [f64; 3]) -> Vec<(usize, f64)> {
        let input = Warp { columns, rows }.apply(&corners());
        input.into_iter().enumerate().filter(|&(_, value)| value > 0.0).collect()
    }

    #[test]
    fn moves_ink_and_never_wraps_around() {
        let (x, y) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]);
        assert_eq!(lit(x, y), [(0, 1.0), (63, 0.5)]);
        assert_eq!(lit([1.0, 0.0, -1.0], y), [(1, 1.0)], "one pixel to the right");
        assert_eq!(lit(x, [0.0, 1.0, -1.0]), [(SIDE, 1.0)], "one pixel down");
        assert_eq!(lit([1.0, 0.0, 1.0], y), [(62, 0.5)], "one pixel to the left");
        assert_eq!(
            lit([1.0, 0.0, -0.25], y),
            [(0, 0.75), (1, 0.25), (63, 0.375)],
            "a quarter to the right"
        );
        assert_eq!(lit([1.0, 0.0, 100.0], y), [], "out of the picture");
    }

    #[test]
    fn flips_and_stretches_about_the_centre() {
        assert_eq!(lit([-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]), [(0, 0.5), (63, 1.0)]);
        let half_the_size = lit([2.0, 0.0, 0.0], [0.0, 2.0, 0.0]);
        assert_eq!(
            half_the_size,
            [(2 * SIDE + 2, 0.25), (5 * SIDE + 5, 0.125)],
            "a corner falls between four pixels"
        );
    }

    #[test]
    fn keeps_the_brightness_between_blank_and_full() {
        let mut random = Random::new(9);
        for _ in 0..1_000 {
            let input = Warp::random(&mut random).apply(&corners());
            assert!(input.iter().all(|value| (0.0..=1.0).contains(value)), "{input:?}");
        }
    }
}
