//! What was read for what: the confusion matrix of the held-out images, and its drawing.

use std::fmt::Write as _;

use crate::dataset::{CLASSES, Image};
use crate::network::Network;

/// `counts[true digit][digit read]`.
#[derive(Debug, PartialEq)]
pub struct Confusion {
    pub counts: [[u32; CLASSES]; CLASSES],
}

impl Confusion {
    pub fn of(network: &Network, images: &[Image], test: &[usize]) -> Self {
        let mut counts = [[0; CLASSES]; CLASSES];
        for &index in test {
            let image = &images[index];
            counts[usize::from(image.digit)][usize::from(network.predict(image))] += 1;
        }
        Self { counts }
    }

    pub fn total(&self) -> u32 {
        self.counts.iter().flatten().sum()
    }

    pub fn correct(&self) -> u32 {
        (0..CLASSES).map(|digit| self.counts[digit][digit]).sum()
    }

    /// The share of all images that were read correctly; 0 without images.
    pub fn accuracy(&self) -> f64 {
        share(self.correct(), self.total())
    }

    fn written(&self, digit: usize) -> u32 {
        self.counts[digit].iter().sum()
    }

    fn read(&self, digit: usize) -> u32 {
        self.counts.iter().map(|row| row[digit]).sum()
    }

    /// A drawing for a light page that needs nothing but a font.
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        self.draw(&mut svg);
        svg
    }

    fn draw(&self, svg: &mut String) {
        let (right, bottom) = (LEFT + SIZE, TOP + SIZE);
        let (correct, total) = (self.correct(), self.total());
        let summary = format!(
            "{:.1} % of {total} held-out images read correctly ({correct})",
            self.accuracy() * 100.0
        );
        push(
            svg,
            format_args!(
                concat!(
                    r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" "#,
                    r#"font-family="system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif" text-anchor="middle">"#,
                ),
                w = right + 92,
                h = bottom + 116,
            ),
        );
        push(svg, format_args!("<title>Handwritten digits: confusion matrix. {summary}</title>"));
        push(svg, format_args!(r##"<rect width="100%" height="100%" fill="#ffffff"/>"##));
        let title = Text { size: 22, weight: 600, fill: INK, anchor: "start" };
        title.push(svg, LEFT, 44, "Handwritten digits: confusion matrix");
        Text { size: 15, weight: 400, anchor: "start", ..MUTED }.push(svg, LEFT, 70, &summary);

        let axis = Text { size: 14, weight: 600, fill: INK, anchor: "middle" };
        axis.push(svg, LEFT + SIZE / 2, TOP - 38, "Digit read by the network");
        let _ = write!(
            svg,
            r#"<g transform="translate({},{}) rotate(-90)">"#,
            LEFT - 46,
            TOP + SIZE / 2
        );
        axis.push(svg, 0, 0, "Digit written");
        push(svg, format_args!("</g>"));
        MUTED.push(svg, right + 44, TOP - 14, "recall");
        Text { anchor: "end", ..MUTED }.push(svg, LEFT - 12, bottom + 28, "precision");

        let worst = self.worst_mistake();
        for digit in 0..CLASSES {
            let along = digit as u32 * CELL + CELL / 2;
            let label = Text { size: 16, weight: 600, fill: INK, anchor: "middle" };
            label.push(svg, LEFT + along, TOP - 13, &digit.to_string());
            label.push(svg, LEFT - 20, TOP + along + 6, &digit.to_string());
            let hit = self.counts[digit][digit];
            MUTED.push(svg, right + 44, TOP + along + 5, &percent(hit, self.written(digit)));
            MUTED.push(svg, LEFT + along, bottom + 28, &percent(hit, self.read(digit)));
            for (read, &count) in self.counts[digit].iter().enumerate() {
                let shade = match (count, read == digit) {
                    (0, _) => Shade::EMPTY,
                    (_, true) => Shade::of(RIGHT, share(count, self.written(digit))),
                    (_, false) => Shade::of(MISTAKEN, share(count, worst)),
                };
                push_cell(svg, LEFT + read as u32 * CELL, TOP + digit as u32 * CELL, &shade, count);
            }
        }
        push(
            svg,
            format_args!(
                r##"<rect x="{LEFT}" y="{TOP}" width="{SIZE}" height="{SIZE}" fill="none" stroke="#94a3b8"/>"##
            ),
        );

        let key = bottom + 72;
        let note = Text { anchor: "start", ..MUTED };
        push_cell_frame(svg, LEFT, key - 13, 16, &Shade::of(RIGHT, 1.0));
        note.push(svg, LEFT + 24, key, "read correctly: darker is a larger share of the row");
        push_cell_frame(svg, LEFT, key + 11, 16, &Shade::of(MISTAKEN, 1.0));
        note.push(svg, LEFT + 24, key + 24, "mistaken for another digit: darker is more often");
        push(svg, format_args!("</svg>"));
    }

    /// The largest count off the diagonal.
    fn worst_mistake(&self) -> u32 {
        let off_diagonal = |digit: usize| {
            self.counts[digit]
                .iter()
                .enumerate()
                .filter(move |&(read, _)| read != digit)
                .map(|(_, &count)| count)
        };
        (0..CLASSES).flat_map(off_diagonal).max().unwrap_or(0)
    }
}

const CELL: u32 = 54;
const SIZE: u32 = CELL * CLASSES as u32;
const LEFT: u32 = 100;
const TOP: u32 = 152;

const INK: &str = "#0f172a";
const MUTED: Text = Text { size: 13, weight: 400, fill: "#475569", anchor: "middle" };

/// The palest and the darkest colour of a scale.
type Scale = [[u8; 3]; 2];
const RIGHT: Scale = [[0xe0, 0xec, 0xf9], [0x0b, 0x4a, 0x8f]];
const MISTAKEN: Scale = [[0xfe, 0xea, 0xd8], [0xd9, 0x5f, 0x0e]];

/// The colours of a cell and of the number in it.
struct Shade {
    fill: [u8; 3],
    text: &'static str,
}

impl Shade {
    /// Nothing happened here: the number stays, for completeness, and steps back.
    const EMPTY: Self = Self { fill: [0xf8, 0xfa, 0xfc], text: "#94a3b8" };

    fn of(scale: Scale, share: f64) -> Self {
        let mix = |pale: u8, dark: u8| {
            (f64::from(pale) + (f64::from(dark) - f64::from(pale)) * share + 0.5) as u8
        };
        let fill = [0, 1, 2].map(|channel| mix(scale[0][channel], scale[1][channel]));
        // The usual weights of red, green and blue in how bright a colour looks.
        let brightness =
            0.299 * f64::from(fill[0]) + 0.587 * f64::from(fill[1]) + 0.114 * f64::from(fill[2]);
        Self { fill, text: if brightness < 140.0 { "#ffffff" } else { INK } }
    }
}

struct Text {
    size: u32,
    weight: u32,
    fill: &'static str,
    anchor: &'static str,
}

impl Text {
    /// `text` is ours and holds no character that XML needs escaped.
    fn push(&self, svg: &mut String, x: u32, y: u32, text: &str) {
        let Self { size, weight, fill, anchor } = self;
        push(
            svg,
            format_args!(
                r#"<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}">{text}</text>"#
            ),
        );
    }
}

fn push_cell(svg: &mut String, x: u32, y: u32, shade: &Shade, count: u32) {
    push_cell_frame(svg, x, y, CELL, shade);
    let weight = if count == 0 { 400 } else { 600 };
    Text { size: 17, weight, fill: shade.text, anchor: "middle" }.push(
        svg,
        x + CELL / 2,
        y + CELL / 2 + 6,
        &count.to_string(),
    );
}

fn push_cell_frame(svg: &mut String, x: u32, y: u32, size: u32, shade: &Shade) {
    let [red, green, blue] = shade.fill;
    push(
        svg,
        format_args!(
            r##"<rect x="{x}" y="{y}" width="{size}" height="{size}" fill="#{red:02x}{green:02x}{blue:02x}" stroke="#ffffff"/>"##
        ),
    );
}

fn push(svg: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = writeln!(svg, "{line}");
}

fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(part) / f64::from(whole) }
}

/// With one decimal, but only as wide as a cell.
fn percent(part: u32, whole: u32) -> String {
    match (part, whole) {
        (_, 0) => "–".to_owned(),
        _ if part == whole => "100 %".to_owned(),
        _ => format!("{:.1} %", share(part, whole) * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{CELL, Confusion, LEFT, TOP};
    use crate::dataset::CLASSES;

    /// Three images of each digit read correctly, and twice an 8 read as a 1.
    fn confusion() -> Confusion {
        let mut counts = [[0; CLASSES]; CLASSES];
        for (digit, row) in counts.iter_mut().enumerate() {
            row[digit] = 3;
        }
        counts[8][1] = 2;
        Confusion { counts }
    }

    #[test]
    fn sums_up() {
        let confusion = confusion();
        assert_eq!((confusion.correct(), confusion.total()), (30, 32));
        assert_eq!(confusion.accuracy(), 0.9375);
        assert_eq!(Confusion { counts: [[0; CLASSES]; CLASSES] }.accuracy(), 0.0);
    }

    /// The cells' numbers, each where it is drawn.
    fn numbers(svg: &str) -> [[u32; CLASSES]; CLASSES] {
        let document = roxmltree::Document::parse(svg).expect("well-formed XML");
        let mut numbers = [[u32::MAX; CLASSES]; CLASSES];
        for cell in document.descendants().filter(|node| node.attribute("font-size") == Some("17"))
        {
            let place = |axis: &str, start: u32| -> usize {
                let at: u32 = cell.attribute(axis).expect("placed").parse().expect("a number");
                ((at - start) / CELL) as usize
            };
            let number = cell.text().expect("a number").parse().expect("a number");
            numbers[place("y", TOP)][place("x", LEFT)] = number;
        }
        numbers
    }

    #[test]
    fn draws_every_count_in_its_place() {
        let confusion = confusion();
        let svg = confusion.svg();
        assert_eq!(numbers(&svg), confusion.counts);
        for text in [
            "93.8 % of 32 held-out images",
            ">Digit written<",
            ">Digit read by the network<",
            ">60.0 %<",
        ] {
            assert!(svg.contains(text), "{text} is missing");
        }
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn draws_nothing_read_at_all() {
        let svg = Confusion { counts: [[0; CLASSES]; CLASSES] }.svg();
        assert_eq!(numbers(&svg), [[0; CLASSES]; CLASSES]);
        assert!(!svg.contains("NaN"));
    }
}
