//! Runs every test suite in every language, and adds up what they count.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

/// Tests that cannot run on a machine append `name: reason` to the file that this variable names.
const SKIPS_FILE: &str = "GRISTMILL_SKIPS_FILE";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Unit, property, store and end-to-end tests of the Rust workspace.
    Rust,
    /// 5,000 seeded histories of the market.
    Sim,
    /// Unit, fuzz and invariant tests of the contracts.
    Contracts,
    /// What is proved of the contract, what slither finds in it, and that tests reach every line and branch.
    Proofs,
    /// Unit tests of the web, its budget, and its pages in a real browser on a real market.
    Web,
    /// The programs that run as jobs: examples, and the hostile one of the end-to-end tests.
    Examples,
}

/// Reads the line in which a runner counts; nothing for every other line.
type Summary = fn(&str) -> Option<Count>;

/// What a suite says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs the named suites, or all, and fails where a test failed.
pub(crate) fn run(root: &Path, only: &[Suite]) -> Result<()> {
    let skips_path = std::env::temp_dir().join(format!("gristmill-skips-{}", std::process::id()));
    std::fs::write(&skips_path, "")?;
    let mut total = Count::default();
    let mut times = Vec::new();
    for suite in Suite::value_variants() {
        if !only.is_empty() && !only.contains(suite) {
            continue;
        }
        let started = Instant::now();
        let count = run_suite(root, *suite, &skips_path)?;
        total.add(count);
        times.push((suite.name(), started.elapsed(), count));
    }
    let skips = std::fs::read_to_string(&skips_path).unwrap_or_default();
    std::fs::remove_file(&skips_path).ok();
    for skip in skips.lines() {
        println!("skipped: {skip}");
        total.skipped += 1;
        total.passed = total.passed.saturating_sub(1);
    }
    println!();
    for (name, time, count) in &times {
        println!(
            "{name:<10} {:>5} s   {} passed, {} failed",
            time.as_secs(),
            count.passed,
            count.failed
        );
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    if total.failed > 0 {
        bail!("{} tests failed", total.failed);
    }
    Ok(())
}

impl Count {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// One check that holds or not.
    fn one(holds: bool) -> Self {
        Self { passed: holds.into(), failed: (!holds).into(), skipped: 0 }
    }
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Sim => "sim",
            Self::Contracts => "contracts",
            Self::Proofs => "proofs",
            Self::Web => "web",
            Self::Examples => "examples",
        }
    }
}

fn run_suite(root: &Path, suite: Suite, skips: &Path) -> Result<Count> {
    println!("── {}", suite.name());
    let cargo = env!("CARGO");
    match suite {
        Suite::Rust => {
            build_binaries(root)?;
            let mut command = Command::new(cargo);
            command.args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]);
            count(command.current_dir(root).env(SKIPS_FILE, skips), nextest_summary)
        }
        Suite::Sim => {
            let mut command = Command::new(cargo);
            command.args([
                "run",
                "--locked",
                "--quiet",
                "-p",
                "gristmill-sim",
                "--",
                "--seeds",
                "5000",
            ]);
            count(command.current_dir(root), sim_summary)
        }
        Suite::Contracts => {
            let mut command = Command::new("npm");
            command.args(["run", "--silent", "test"]);
            count(command.current_dir(root.join("contracts")), forge_summary)
        }
        Suite::Proofs => {
            let checks: [(&str, Summary); 3] = [
                ("prove", halmos_summary),
                ("slither", slither_summary),
                ("coverage", coverage_summary),
            ];
            let mut total = Count::default();
            for (script, summary) in checks {
                let mut command = Command::new("npm");
                command.args(["run", "--silent", script]);
                total.add(count(command.current_dir(root.join("contracts")), summary)?);
            }
            Ok(total)
        }
        Suite::Web => {
            // Its browser tests start the real binaries.
            build_binaries(root)?;
            let web = root.join("web");
            let built = Command::new("npm")
                .args(["run", "--silent", "build"])
                .current_dir(&web)
                .status()?;
            if !built.success() {
                bail!("the web does not build");
            }
            let checks: [(&str, Summary); 3] = [
                ("test", vitest_summary),
                ("budget", budget_summary),
                ("test:browser", node_test_summary),
            ];
            let mut total = Count::default();
            for (script, summary) in checks {
                let mut command = Command::new("npm");
                command.args(["run", "--silent", script]).env(SKIPS_FILE, skips);
                total.add(count(command.current_dir(&web), summary)?);
            }
            Ok(total)
        }
        Suite::Examples => {
            let mut total = Count::default();
            for package in ["examples/digits", "e2e/guests"] {
                let mut command = Command::new(cargo);
                command.args(["test", "--locked"]);
                // The build folder of the workspace may be in use by its tests.
                if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
                    command.env("CARGO_TARGET_DIR", Path::new(&target).join("guests"));
                }
                total.add(count(command.current_dir(root.join(package)), libtest_summary)?);
            }
            Ok(total)
        }
    }
}

/// The end-to-end tests start the real binaries, which no test target builds by itself.
fn build_binaries(root: &Path) -> Result<()> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--workspace", "--bins"])
        .current_dir(root)
        .status()?;
    if !built.success() {
        bail!("the binaries do not build");
    }
    Ok(())
}

/// Runs a suite, shows its output as it comes, and adds up the lines that `summary` understands.
fn count(command: &mut Command, summary: Summary) -> Result<Count> {
    let name = format!("{command:?}");
    let (reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("start {name}"))?;
    // The command holds the writing ends too; without them the reader would never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut total = Count::default();
    let mut seen = false;
    for line in BufReader::new(reader).lines() {
        let line = line?;
        println!("{line}");
        if let Some(count) = summary(&plain(&line)) {
            seen = true;
            total.add(count);
        }
    }
    let status = child.wait()?.success();
    if !seen {
        bail!("{name} ended without counting a test");
    }
    if !status && total.failed == 0 {
        // A suite that fails without a failed test (a crash, a leak) must not pass.
        total.failed = 1;
    }
    Ok(total)
}

/// A line without terminal colours.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            text.push(character);
        }
    }
    text
}

/// The number right before `word`, as in `61 passed`.
fn number_before(line: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> =
        line.split([' ', ',', ';', '(', ')', ':']).filter(|text| !text.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok())
}

/// `Summary [  8.492s] 61 tests run: 60 passed (1 slow), 1 failed, 0 skipped`
fn nextest_summary(line: &str) -> Option<Count> {
    let line = line.trim_start();
    if !line.starts_with("Summary [") {
        return None;
    }
    let failed =
        ["failed", "timed"].iter().filter_map(|word| number_before(line, word)).sum::<u64>();
    Some(Count {
        passed: number_before(line, "passed").unwrap_or(0),
        failed,
        skipped: number_before(line, "skipped").unwrap_or(0),
    })
}

/// `Ran 9 test suites in 1.2s (3.4s CPU time): 120 tests passed, 0 failed, 0 skipped (120 total tests)`
fn forge_summary(line: &str) -> Option<Count> {
    if !line.starts_with("Ran ") || !line.contains("total tests") {
        return None;
    }
    Some(Count {
        passed: number_before(&line.replace("tests passed", "passed"), "passed")?,
        failed: number_before(line, "failed")?,
        skipped: number_before(line, "skipped")?,
    })
}

/// `test result: ok. 9 passed; 0 failed; 0 ignored; …`
fn libtest_summary(line: &str) -> Option<Count> {
    if !line.starts_with("test result:") {
        return None;
    }
    Some(Count {
        passed: number_before(line, "passed")?,
        failed: number_before(line, "failed")?,
        skipped: number_before(line, "ignored")?,
    })
}

/// One JSON line; a violation is a failure.
fn sim_summary(line: &str) -> Option<Count> {
    let report: serde_json::Value = serde_json::from_str(line).ok()?;
    let violations = report.get("violations")?.as_u64()?;
    Some(Count::one(violations == 0))
}

/// `Symbolic test result: 21 passed; 0 failed; time: 40.39s`
fn halmos_summary(line: &str) -> Option<Count> {
    let result = line.strip_prefix("Symbolic test result:")?;
    Some(Count {
        passed: number_before(result, "passed")?,
        failed: number_before(result, "failed")?,
        skipped: 0,
    })
}

/// `33 findings, 33 answered`
fn slither_summary(line: &str) -> Option<Count> {
    Some(Count::one(number_before(line, "findings")? == number_before(line, "answered")?))
}

/// `src/: 567 of 567 lines, 129 of 129 branches`
fn coverage_summary(line: &str) -> Option<Count> {
    let (lines, branches) = line.strip_prefix("src/: ")?.split_once(", ")?;
    let is_whole = |share: &str| {
        let (hit, all) = share.split_once(" of ")?;
        Some(hit == all.split_once(' ')?.0)
    };
    Some(Count::one(is_whole(lines)? && is_whole(branches)?))
}

/// `Tests  1 failed | 10 passed (11)`
fn vitest_summary(line: &str) -> Option<Count> {
    let counts = line.trim_start().strip_prefix("Tests  ")?;
    Some(Count {
        passed: number_before(counts, "passed").unwrap_or(0),
        failed: number_before(counts, "failed").unwrap_or(0),
        skipped: number_before(counts, "skipped").unwrap_or(0),
    })
}

/// `12 pages: 12 passed, 0 failed`
fn budget_summary(line: &str) -> Option<Count> {
    let (_, counts) = line.split_once(" pages: ")?;
    Some(Count {
        passed: number_before(counts, "passed")?,
        failed: number_before(counts, "failed")?,
        skipped: 0,
    })
}

/// `ℹ pass 12` and `ℹ fail 0`, each on a line of its own
fn node_test_summary(line: &str) -> Option<Count> {
    let (word, number) = line.strip_prefix("ℹ ")?.split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "pass" => Some(Count { passed: number, ..Count::default() }),
        "fail" | "cancelled" => Some(Count { failed: number, ..Count::default() }),
        "skipped" => Some(Count { skipped: number, ..Count::default() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_the_runners_are_understood() {
        let count = |passed, failed, skipped| Some(Count { passed, failed, skipped });
        for (read, line, expected) in [
            (
                nextest_summary as fn(&str) -> _,
                "     Summary [   8.492s] 61 tests run: 61 passed, 0 skipped",
                count(61, 0, 0),
            ),
            (
                nextest_summary,
                "Summary [ 8.4s] 61 tests run: 57 passed (2 slow), 3 failed, 1 timed out, 4 skipped",
                count(57, 4, 4),
            ),
            (nextest_summary, "        PASS [   0.007s] (59/61) 61 passed", None),
            (
                forge_summary,
                "Ran 9 test suites in 1.20s (3.4s CPU time): 120 tests passed, 2 failed, 1 skipped (123 total tests)",
                count(120, 2, 1),
            ),
            (
                forge_summary,
                "Suite result: ok. 10 passed; 0 failed; 0 skipped; finished in 5ms",
                None,
            ),
            (
                libtest_summary,
                "test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
                count(9, 0, 0),
            ),
            (vitest_summary, "      Tests  1 failed | 10 passed (11)", count(10, 1, 0)),
            (vitest_summary, " Test Files  3 passed (3)", None),
            (budget_summary, "12 pages: 11 passed, 1 failed", count(11, 1, 0)),
            (node_test_summary, "ℹ pass 12", count(12, 0, 0)),
            (node_test_summary, "ℹ fail 2", count(0, 2, 0)),
            (node_test_summary, "ℹ duration_ms 5123.4", None),
            (sim_summary, "{\"seeds\":5000,\"violations\":0}", count(1, 0, 0)),
            (sim_summary, "{\"seeds\":5000,\"violations\":2}", count(0, 1, 0)),
            (
                halmos_summary,
                "Symbolic test result: 20 passed; 1 failed; time: 40.39s",
                count(20, 1, 0),
            ),
            (slither_summary, "33 findings, 33 answered", count(1, 0, 0)),
            (slither_summary, "33 findings, 32 answered", count(0, 1, 0)),
            (coverage_summary, "src/: 567 of 567 lines, 129 of 129 branches", count(1, 0, 0)),
            (coverage_summary, "src/: 567 of 567 lines, 128 of 129 branches", count(0, 1, 0)),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn a_suite_that_counts_nothing_or_dies_is_no_success() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            count(&mut command, libtest_summary)
        };
        assert!(shell("echo nothing").is_err());
        let died = shell("echo 'test result: ok. 9 passed; 0 failed; 0 ignored'; exit 1").unwrap();
        assert_eq!((died.passed, died.failed), (9, 1));
        let fine =
            shell("printf '\\033[32mtest result: ok. 9 passed; 0 failed; 0 ignored\\033[0m\\n'")
                .unwrap();
        assert_eq!((fine.passed, fine.failed), (9, 0));
    }
}
