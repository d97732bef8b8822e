//! The program as a node runs it: the built binary, files in, files out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use digits::dataset::{self, CLASSES, Image, PIXELS, Split};
use digits::network::{Layer, Network};
use digits::random::Random;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/digits.csv")
}

fn images() -> Vec<Image> {
    dataset::parse(&fs::read_to_string(data()).expect("the data set is in the repository"))
        .expect("valid")
}

fn digits(data: &Path, out: &Path, settings: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_digits"));
    command.arg("--data").arg(data).arg("--out").arg(out).args(settings);
    command.output().expect("the program starts")
}

/// Runs on the real data and returns what it printed.
fn train(out: &Path, settings: &[&str]) -> String {
    let output = digits(&data(), out, settings);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The contents of an output directory, by name.
fn files(out: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(out)
        .expect("readable")
        .map(|entry| {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("named").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("readable"))
        })
        .collect();
    files.sort();
    files
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("written")).expect("valid JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .expect("an array")
        .iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

/// A reader of `model.json` that knows only what the README says about it.
fn network(model: &Value) -> Network {
    assert_eq!(model["format"], "digits-mlp-1");
    assert_eq!(model["pixel_max"], 16);
    let layer = |index: usize, activation: &str| {
        let layer = &model["layers"][index];
        assert_eq!(layer["activation"], activation);
        let weights = layer["weights"].as_array().expect("rows").iter().flat_map(numbers).collect();
        let count = |key: &str| layer[key].as_u64().expect("a count") as usize;
        Layer {
            inputs: count("inputs"),
            outputs: count("outputs"),
            weights,
            bias: numbers(&layer["bias"]),
        }
    };
    Network { hidden: layer(0, "relu"), output: layer(1, "softmax") }
}

#[test]
fn committed_data_is_the_published_file() {
    let csv = fs::read(data()).expect("in the repository");
    assert_eq!(
        sha256_hex(&csv),
        "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
    );

    let images = images();
    assert_eq!(images.len(), 1_797);
    let mut counts = [0; CLASSES];
    for image in &images {
        counts[usize::from(image.digit)] += 1;
        assert!(image.ink.iter().any(|&ink| ink > 0), "a blank image");
    }
    // As in scikit-learn's description of the set.
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    let split = Split::stratified(&images, &mut Random::new(1));
    assert_eq!((split.train.len(), split.test.len()), (1_347, 450));
}

#[test]
fn defaults_read_at_least_97_percent_and_say_so() {
    let out = TempDir::new().expect("a directory");
    let printed = train(out.path(), &[]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 1 + 100 + 2, "{printed}");
    assert_eq!(lines[0], "1797 images: 1347 to train, 450 held out; seed 1, 128 hidden units");
    assert!(lines[1].starts_with("epoch   1/100  loss "), "{}", lines[1]);
    assert!(lines[100].starts_with("epoch 100/100  loss "), "{}", lines[100]);

    // The README promises these bytes to every machine and both runtimes.
    let model = fs::read(out.path().join("model.json")).expect("written");
    assert_eq!(
        sha256_hex(&model),
        "71320315054d14ad30febbf7c785dd7946fca10b8903e64c100838c4ea7ee712"
    );
    let names: Vec<String> = files(out.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["confusion.svg", "metrics.json", "model.json"]);
    let metrics = json(out.path().join("metrics.json"));
    let accuracy = metrics["accuracy"].as_f64().expect("a number");
    assert!(accuracy >= 0.97, "{accuracy}");
    assert_eq!(metrics["test_images"], 450);
    assert_eq!(metrics["train_images"], 1_347);
    assert_eq!(metrics["epochs"], 100);
    assert_eq!(metrics["hidden"], 128);
    assert_eq!(metrics["seed"], 1);
    let correct = metrics["correct_images"].as_u64().expect("a count");
    assert_eq!(accuracy, correct as f64 / 450.0);
    let summary = format!(
        "held-out accuracy {:.2} %: {correct} of 450 images read correctly",
        accuracy * 100.0
    );
    assert_eq!(lines[101], summary);
}

#[test]
fn model_file_predicts_what_the_metrics_claim() {
    let out = TempDir::new().expect("a directory");
    train(out.path(), &["--epochs", "10", "--hidden", "24", "--seed", "3"]);
    let network = network(&json(out.path().join("model.json")));
    assert_eq!((network.hidden.inputs, network.hidden.outputs), (PIXELS, 24));
    assert_eq!((network.output.inputs, network.output.outputs), (24, CLASSES));

    let images = images();
    let split = Split::stratified(&images, &mut Random::new(3));
    let mut confusion = vec![vec![0; CLASSES]; CLASSES];
    for &index in &split.test {
        let image = &images[index];
        confusion[usize::from(image.digit)][usize::from(network.predict(image))] += 1;
    }
    assert_eq!(json(out.path().join("metrics.json"))["confusion"], serde_json::json!(confusion));
}

#[test]
fn same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let run = |settings: &[&str]| {
        let out = TempDir::new().expect("a directory");
        let printed = train(out.path(), settings);
        (files(out.path()), printed.replace(&out.path().display().to_string(), "OUT"))
    };
    let short = ["--epochs", "3", "--hidden", "16", "--seed"];
    let first = run(&[&short[..], &["8"]].concat());
    assert!(first == run(&[&short[..], &["8"]].concat()), "two runs differ");
    let other = run(&[&short[..], &["9"]].concat());
    assert_ne!(first.1, other.1);
    assert!(first.0.iter().zip(&other.0).all(|(one, two)| one.0 == two.0 && one.1 != two.1));
}

/// What the program says about an input that it refuses.
fn refusal(data: &Path) -> String {
    let out = TempDir::new().expect("a directory");
    let output = digits(data, out.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing was trained");
    assert_eq!(files(out.path()), [], "nothing was written");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn refuses_damaged_and_missing_input_with_a_reason() {
    let folder = TempDir::new().expect("a directory");
    let csv = folder.path().join("digits.csv");
    let path = csv.display();

    let missing = refusal(&csv);
    assert!(missing.contains(&format!("cannot open {path}: ")), "{missing}");
    assert!(missing.contains("--data"), "{missing}");

    let valid = fs::read_to_string(data()).expect("in the repository");
    let damage: [(Vec<u8>, String); 5] = [
        (
            valid[..valid.len() - 40].into(),
            format!(
                "digits: {path}: line 1797 has 49 fields, expected 65: 64 pixels and the digit\n"
            ),
        ),
        (
            valid.replacen("13", "x3", 1).into(),
            format!("digits: {path}: line 1, field 4: `x3` is not a whole number from 0 to 16\n"),
        ),
        (
            Vec::new(),
            format!(
                "digits: {path}: 0 images of the digit 0, at least 4 are needed of each digit\n"
            ),
        ),
        (
            vec![0xff; 100],
            format!("digits: cannot read {path}: stream did not contain valid UTF-8\n"),
        ),
        (vec![b'1'; (16 << 20) + 1], format!("digits: {path} is larger than 16777216 bytes\n")),
    ];
    for (content, message) in damage {
        fs::write(&csv, content).expect("writable");
        assert_eq!(refusal(&csv), message);
    }
}

#[test]
fn fails_early_where_it_cannot_write() {
    let folder = TempDir::new().expect("a directory");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("writable");
    let output = digits(&data(), &file.join("out"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.starts_with(&format!("digits: cannot write {}", file.display())), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "no training before that");
}

#[test]
fn explains_itself_and_refuses_unknown_settings() {
    let run = |argument: &str| {
        Command::new(env!("CARGO_BIN_EXE_digits"))
            .arg(argument)
            .output()
            .expect("the program starts")
    };
    let help = run("--help");
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
    let unknown = run("--epoch=3");
    assert_eq!(unknown.status.code(), Some(2));
    let message = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(message, "digits: `--epoch` is no setting of this program\nTry `digits --help`.\n");
}
