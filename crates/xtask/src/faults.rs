//! The list of faults that the chain drivers are tested against, made of the comments of the tests.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Where the tests are: each test of these files is a row.
const SOURCES: &[(&str, &str)] = &[
    ("crates/scheduler/tests/chain/faults.rs", "Drivers, store and rules on a real chain"),
    ("e2e/tests/faults.rs", "A whole market of real binaries"),
];
/// Where operators are told what the metrics mean.
const GUIDE: &str = "docs/guide/operator.md";
/// What the comment of each test says, in this order.
const FIELDS: [&str; 3] = ["Injected", "Outcome", "Shown by"];

const HEAD: &str = "# Faults of the chain

<!-- Written by `cargo xtask generate` from the comments of the tests. Do not edit. -->

What goes wrong between a scheduler and its chain, what comes of it, and the test that shows it. The tests put a proxy before a real chain and let it misbehave; blocks are final at depth 6. After each fault every job must reach its right end, balances are compared to the wei, and the events on chain and the scheduler's transactions are counted, so that nothing is paid twice. What the metrics mean, and when to alarm, is in the [guide for operators](guide/operator.md).

An endpoint whose lies are well-formed and all of one piece is believed: name endpoints that you trust, best your own.
";

/// A test and what its comment says.
#[derive(PartialEq, Eq, Debug)]
struct Fault {
    test: String,
    fields: [String; 3],
}

/// The whole page. A metric that shows a fault has to be one that operators are told of.
pub(crate) fn render(root: &Path) -> Result<String> {
    let guide = std::fs::read_to_string(root.join(GUIDE)).context(GUIDE)?;
    let mut page = HEAD.to_owned();
    for (name, title) in SOURCES {
        let text = std::fs::read_to_string(root.join(name)).with_context(|| name.to_string())?;
        let faults = parse(&text).with_context(|| name.to_string())?;
        writeln!(page, "\n## {title}\n\nIn [`{name}`](../{name}).\n")?;
        writeln!(page, "| Injected | What comes of it | Shown by | Test |\n|---|---|---|---|")?;
        for Fault { test, fields: [injected, outcome, shown_by] } in faults {
            for metric in metrics_of(&shown_by) {
                let is_known = guide.contains(&format!("`{metric}"));
                ensure!(is_known, "{GUIDE} does not say what {metric} means, which {test} names");
            }
            writeln!(page, "| {injected} | {outcome} | {shown_by} | `{test}` |")?;
        }
    }
    Ok(page)
}

/// The names of metrics in a text, without labels.
fn metrics_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("gristmill_"))
}

/// The tests of a file, in order. One without a full comment is an error: the list must be whole.
fn parse(text: &str) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut is_test = false;
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("///") {
            comment.push(words.trim());
        } else if line.starts_with("#[tokio::test") {
            is_test = true;
        } else if !line.starts_with("#[") {
            if is_test {
                let name = line.split_once("fn ").and_then(|(_, rest)| rest.split('(').next());
                let test = name.context("a test without a name")?.to_owned();
                let fields = fields(&comment).with_context(|| format!("the comment of {test}"))?;
                faults.push(Fault { test, fields });
            }
            is_test = false;
            comment.clear();
        }
    }
    ensure!(!faults.is_empty(), "no tests");
    Ok(faults)
}

fn fields(comment: &[&str]) -> Result<[String; 3]> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in comment {
        let begun = FIELDS
            .iter()
            .find_map(|name| Some((*name, line.strip_prefix(name)?.strip_prefix(": ")?)));
        match (begun, found.last_mut()) {
            (Some((name, words)), _) => found.push((name, words.to_owned())),
            (None, Some((_, words))) => {
                words.push(' ');
                words.push_str(line);
            }
            (None, None) => bail!("it begins with `{line}`; begin with `Injected: `"),
        }
    }
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    ensure!(names == FIELDS, "it has {names:?}; it needs {FIELDS:?}, in this order");
    let mut words = found.into_iter().map(|(_, words)| capital(words.trim_end_matches('.')));
    Ok(std::array::from_fn(|_| words.next().unwrap_or_default()))
}

/// A cell begins like a sentence.
fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_is_a_row() {
        let text = "/// Injected: rain\n/// and wind.\n/// Outcome: it goes on.\n/// Shown by: `wet`\n\
                    #[tokio::test]\nasync fn weather() {\n}\n\n/// Helps.\nfn helper() {}\n";
        let fields = ["Rain and wind", "It goes on", "`wet`"].map(str::to_owned);
        assert_eq!(parse(text).unwrap(), [Fault { test: "weather".into(), fields }]);
    }

    #[test]
    fn metrics_are_found_without_their_labels() {
        let text = "`gristmill_a_total{reason=\"slow\"}`, `gristmill_b`, a warning";
        assert!(metrics_of(text).eq(["gristmill_a_total", "gristmill_b"]));
    }

    #[test]
    fn a_test_that_does_not_say_what_it_shows_is_an_error() {
        for comment in ["", "/// Rain.\n", "/// Injected: rain.\n/// Shown by: `wet`\n"] {
            let text = format!("{comment}#[tokio::test]\nasync fn weather() {{\n");
            assert!(parse(&text).is_err(), "{comment}");
        }
    }
}
