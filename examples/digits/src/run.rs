//! One run: read, split, train, judge, write.
//!
//! The three files are documented in the README; all numbers in them are decimal and give back the
//! very same `f64` when read.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::confusion::Confusion;
use crate::dataset::{DatasetError, INK_MAX, Image, Split, parse};
use crate::network::{Epoch, Layer, Network};
use crate::random::Random;
use crate::settings::Settings;

/// More than twenty times the published file; a larger one is refused before it fills the memory.
const CSV_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug)]
pub enum RunError {
    Open(PathBuf, io::Error),
    Read(PathBuf, io::Error),
    TooLarge(PathBuf),
    Dataset(PathBuf, DatasetError),
    Write(PathBuf, io::Error),
    Progress(io::Error),
}

impl RunError {
    /// 2: the input is at fault. 1: the place where the output goes is.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Open(..) | Self::Read(..) | Self::TooLarge(_) | Self::Dataset(..) => 2,
            Self::Write(..) | Self::Progress(_) => 1,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path, error) => write!(
                out,
                "cannot open {}: {error}. Give the job an input with that path, or name the file with --data",
                path.display()
            ),
            Self::Read(path, error) => write!(out, "cannot read {}: {error}", path.display()),
            Self::TooLarge(path) => {
                write!(out, "{} is larger than {CSV_BYTES_MAX} bytes", path.display())
            }
            Self::Dataset(path, error) => write!(out, "{}: {error}", path.display()),
            Self::Write(path, error) => write!(out, "cannot write {}: {error}", path.display()),
            Self::Progress(error) => write!(out, "cannot report progress: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Trains as `settings` say, reports to `progress` line by line and writes the three files.
pub fn run(settings: &Settings, progress: &mut impl Write) -> Result<(), RunError> {
    let images = load(&settings.data)?;
    // Before the work, so that a place that cannot be written costs no training.
    fs::create_dir_all(&settings.out)
        .map_err(|error| RunError::Write(settings.out.clone(), error))?;

    let mut random = Random::new(settings.seed);
    let split = Split::stratified(&images, &mut random);
    let mut network = Network::random(settings.hidden, &mut random);
    let Settings { epochs, seed, hidden, .. } = *settings;
    report(
        progress,
        format_args!(
            "{} images: {} to train, {} held out; seed {seed}, {hidden} hidden units",
            images.len(),
            split.train.len(),
            split.test.len()
        ),
    )?;

    let mut last = None;
    network.train(&images, &split.train, epochs, &mut random, |epoch| {
        last = Some(epoch);
        let Epoch { number, loss, accuracy } = epoch;
        let percent = accuracy * 100.0;
        let width = epochs.to_string().len();
        report(
            progress,
            format_args!(
                "epoch {number:>width$}/{epochs}  loss {loss:.4}  train accuracy {percent:.2} %"
            ),
        )
    })?;
    let last = last.expect("the settings allow no run without an epoch");

    let confusion = Confusion::of(&network, &images, &split.test);
    let metrics = metrics_json(settings, &split, &last, &confusion);
    for (name, text) in [
        ("model.json", model_json(&network)),
        ("metrics.json", metrics),
        ("confusion.svg", confusion.svg()),
    ] {
        let path = settings.out.join(name);
        fs::write(&path, text).map_err(|error| RunError::Write(path, error))?;
    }
    report(
        progress,
        format_args!(
            "held-out accuracy {:.2} %: {} of {} images read correctly",
            confusion.accuracy() * 100.0,
            confusion.correct(),
            confusion.total()
        ),
    )?;
    report(
        progress,
        format_args!(
            "wrote model.json, metrics.json and confusion.svg to {}",
            settings.out.display()
        ),
    )
}

fn load(path: &Path) -> Result<Vec<Image>, RunError> {
    let file = File::open(path).map_err(|error| RunError::Open(path.into(), error))?;
    let mut csv = String::new();
    let read = file.take(CSV_BYTES_MAX + 1).read_to_string(&mut csv);
    if read.map_err(|error| RunError::Read(path.into(), error))? as u64 > CSV_BYTES_MAX {
        return Err(RunError::TooLarge(path.into()));
    }
    parse(&csv).map_err(|error| RunError::Dataset(path.into(), error))
}

/// One line, sent off at once: whoever watches the job sees it while the next epoch runs.
fn report(progress: &mut impl Write, line: fmt::Arguments<'_>) -> Result<(), RunError> {
    writeln!(progress, "{line}").and_then(|()| progress.flush()).map_err(RunError::Progress)
}

fn metrics_json(settings: &Settings, split: &Split, last: &Epoch, confusion: &Confusion) -> String {
    let rows: Vec<String> = confusion.counts.iter().map(|row| format!("    {row:?}")).collect();
    format!(
        concat!(
            "{{\n",
            "  \"accuracy\": {},\n",
            "  \"correct_images\": {},\n",
            "  \"test_images\": {},\n",
            "  \"train_images\": {},\n",
            "  \"train_accuracy\": {},\n",
            "  \"train_loss\": {},\n",
            "  \"epochs\": {},\n",
            "  \"hidden\": {},\n",
            "  \"seed\": {},\n",
            "  \"confusion\": [\n{}\n  ]\n",
            "}}\n"
        ),
        confusion.accuracy(),
        confusion.correct(),
        confusion.total(),
        split.train.len(),
        last.accuracy,
        last.loss,
        settings.epochs,
        settings.hidden,
        settings.seed,
        rows.join(",\n"),
    )
}

fn model_json(network: &Network) -> String {
    let mut json = String::new();
    json.push_str("{\n  \"format\": \"digits-mlp-1\",\n");
    // Writing into a String cannot fail.
    let _ = writeln!(json, "  \"pixel_max\": {INK_MAX},");
    json.push_str("  \"layers\": [\n");
    push_layer(&mut json, &network.hidden, "relu");
    json.push_str(",\n");
    push_layer(&mut json, &network.output, "softmax");
    json.push_str("\n  ]\n}\n");
    json
}

/// The weights with one line for each input.
fn push_layer(json: &mut String, layer: &Layer, activation: &str) {
    let rows: Vec<String> = layer
        .weights
        .chunks_exact(layer.outputs)
        .map(|row| format!("        {}", numbers(row)))
        .collect();
    let _ = write!(
        json,
        concat!(
            "    {{\n",
            "      \"inputs\": {},\n",
            "      \"outputs\": {},\n",
            "      \"activation\": \"{}\",\n",
            "      \"bias\": {},\n",
            "      \"weights\": [\n{}\n      ]\n",
            "    }}"
        ),
        layer.inputs,
        layer.outputs,
        activation,
        numbers(&layer.bias),
        rows.join(",\n"),
    );
}

/// Rust prints the shortest decimal that reads back as the same number, and never an exponent.
fn numbers(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().map(f64::to_string).collect();
    format!("[{}]", texts.join(","))
}
