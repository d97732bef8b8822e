//! Rules of the source tree that no compiler knows. Each has a test that shows a file which breaks it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use gristmill_protocol::error::ErrorCode;
use serde_json::Value;

/// Which of our crates a crate may import, and, for `market`, which foreign ones.
const ARROWS: &[(&str, &[&str])] = &[
    ("gristmill-protocol", &[]),
    ("gristmill-market", &["gristmill-protocol"]),
    ("gristmill-scheduler", &["gristmill-protocol", "gristmill-market"]),
    ("gristmill-node", &["gristmill-protocol"]),
    ("gristmill-cli", &["gristmill-protocol"]),
    (
        "gristmill-sim",
        &["gristmill-protocol", "gristmill-market", "gristmill-scheduler", "gristmill-node"],
    ),
    ("gristmill-e2e", &["gristmill-protocol", "gristmill-sim"]),
    ("gristmill-xtask", &["gristmill-protocol", "gristmill-scheduler", "gristmill-e2e"]),
];
const MARKET_FOREIGN: &[&str] = &["serde", "thiserror"];

/// What the rules of the market may not know: the world outside, chance, order that differs from run to run.
const MARKET_FORBIDDEN: &[&str] = &[
    "async ",
    ".await",
    "std::time",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::io",
    "HashMap",
    "HashSet",
    "f32",
    "f64",
    "unsafe",
];
const SQL: &[&str] = &["rusqlite", "\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE "];
const UNFINISHED: &[&str] =
    &["todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME", "XXX", "#[ignore"];
const NAMES_THAT_SAY_NOTHING: &[&str] =
    &["utils", "util", "common", "helpers", "helper", "types", "manager", "service", "misc", "mod"];
const SOURCE_LINES_MAX: usize = 800;
const ARCHITECTURE_LINES_MAX: usize = 250;

/// Checks the whole tree and names everything that is wrong.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut problems = imports(&metadata(root)?);
    for name in tracked(root)? {
        let Ok(text) = std::fs::read_to_string(root.join(&name)) else { continue };
        problems.extend(source(&name, &text));
    }
    let pages = ErrorCode::ALL.iter().map(|code| {
        (*code, std::fs::read_to_string(root.join(format!("api/errors/{code}.md"))).ok())
    });
    problems.extend(error_pages(pages));
    if problems.is_empty() {
        println!("tidy");
        return Ok(());
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    bail!("{} problems", problems.len());
}

fn metadata(root: &Path) -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("run git ls-files")?;
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// Arrows between crates point only as DESIGN draws them.
fn imports(metadata: &Value) -> Vec<String> {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = arrows.get(name) else {
            problems.push(format!(
                "{name}: a crate that xtask/src/tidy.rs does not know; give it its arrows"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let import = dependency["name"].as_str().unwrap_or_default();
            let is_dev = dependency["kind"] == "dev";
            if import.starts_with("gristmill-") && !allowed.contains(&import) {
                problems.push(format!("{name}: may not import {import}"));
            }
            if name == "gristmill-market" && !is_dev {
                if !import.starts_with("gristmill-") && !MARKET_FOREIGN.contains(&import) {
                    problems.push(format!("{name}: may not import {import}; the rules are pure"));
                }
                if dependency["features"].as_array().is_some_and(|features| !features.is_empty())
                    && import == "gristmill-protocol"
                {
                    problems.push(format!(
                        "{name}: takes {import} without features, or it could reach a network"
                    ));
                }
            }
        }
    }
    problems
}

/// What is wrong with one file.
fn source(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut find = |words: &[&str], why: &str| {
        for (number, line) in text.lines().enumerate() {
            for word in words {
                if holds(code_of(line), word) {
                    problems.push(format!("{name}:{}: `{}`: {why}", number + 1, word.trim()));
                }
            }
        }
    };
    let is_own_rule = name.ends_with("xtask/src/tidy.rs");
    if !is_own_rule && !name.ends_with(".lock") && !name.ends_with("package-lock.json") {
        find(&["/home/", "/root/"], "a path of one machine");
    }
    let is_rust = name.ends_with(".rs");
    let is_web = is_web_source(name);
    if (is_rust || is_web) && !is_own_rule {
        find(UNFINISHED, "unfinished work belongs in an issue");
    }
    if is_rust && !is_own_rule {
        if name.starts_with("crates/market/src/") && !name.contains("tests") {
            find(MARKET_FORBIDDEN, "the rules of the market are pure: pass it in as an argument");
        }
        if name.starts_with("crates/scheduler/src/")
            && !name.starts_with("crates/scheduler/src/store")
        {
            find(SQL, "only scheduler/src/store/ contains SQL");
            if !name.starts_with("crates/scheduler/src/drivers/chain") {
                find(&["alloy::providers"], "only the chain drivers hold a provider");
            }
        }
    }
    if is_rust && !text.starts_with("//!") {
        problems.push(format!("{name}:1: the first line says what the module is for (`//! …`)"));
    }
    // The directive of React must come first of all.
    let after_directive = text.strip_prefix("\"use client\";\n").unwrap_or(text);
    if is_web && !(after_directive.starts_with("/*") || after_directive.starts_with("// ")) {
        problems.push(format!("{name}:1: the first line says what the module is for (`/** … */`)"));
    }
    if is_rust || is_web {
        let lines = text.lines().count();
        if lines > SOURCE_LINES_MAX {
            problems.push(format!(
                "{name}: {lines} lines; at most {SOURCE_LINES_MAX}, a reader has to hold it"
            ));
        }
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if NAMES_THAT_SAY_NOTHING.contains(&stem) {
            problems.push(format!("{name}: `{stem}` says nothing; name the thing"));
        }
    }
    if name == "ARCHITECTURE.md" && text.lines().count() > ARCHITECTURE_LINES_MAX {
        problems.push(format!("{name}: more than {ARCHITECTURE_LINES_MAX} lines is no map"));
    }
    problems
}

/// Sources of the web that people write.
fn is_web_source(name: &str) -> bool {
    let is_written = name.starts_with("web/") && !name.starts_with("web/src/generated/");
    let is_config = Path::new(name).parent() == Some(Path::new("web"));
    let is_source = [".ts", ".tsx", ".mjs"].iter().any(|ending| name.ends_with(ending));
    is_written && is_source && !is_config
}

/// Whether a line holds a word. A path is one of a machine where it begins there: `components/home/` is ours.
fn holds(line: &str, word: &str) -> bool {
    let begins = |at: usize| !line[..at].ends_with(char::is_alphanumeric);
    line.match_indices(word).any(|(at, _)| !word.starts_with('/') || begins(at))
}

/// A line without its comment. (A `//` inside a string hides the rest of the line from the rules; none needs it.)
fn code_of(line: &str) -> &str {
    let is_marker =
        ["TODO", "FIXME", "XXX", "/home/", "/root/"].iter().any(|word| line.contains(word));
    if is_marker { line } else { line.split("//").next().unwrap_or(line) }
}

/// Each public error has a page of its own, with the code and the status that the table says.
fn error_pages(pages: impl Iterator<Item = (ErrorCode, Option<String>)>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (code, page) in pages {
        seen.insert(code);
        let name = format!("api/errors/{code}.md");
        let Some(page) = page else {
            problems.push(format!("{name}: missing; each public error has a page"));
            continue;
        };
        let head = format!("# {code}\n\nHTTP {}. {}.", code.status(), code.title());
        if !page.starts_with(&head) {
            problems.push(format!("{name}: must start with {head:?}"));
        }
        if !page.contains("## What to do") {
            problems.push(format!("{name}: does not say what to do"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: Value) -> Value {
        json!({"packages": [{"name": name, "dependencies": dependencies}]})
    }

    #[test]
    fn a_forbidden_import_fails() {
        for (name, dependency, fails) in [
            (
                "gristmill-node",
                json!({"name": "gristmill-scheduler", "kind": null, "features": []}),
                true,
            ),
            (
                "gristmill-cli",
                json!({"name": "gristmill-market", "kind": null, "features": []}),
                true,
            ),
            (
                "gristmill-scheduler",
                json!({"name": "gristmill-node", "kind": "dev", "features": []}),
                true,
            ),
            ("gristmill-market", json!({"name": "tokio", "kind": null, "features": []}), true),
            (
                "gristmill-market",
                json!({"name": "gristmill-protocol", "kind": null, "features": ["client"]}),
                true,
            ),
            ("gristmill-surprise", json!({"name": "serde", "kind": null, "features": []}), true),
            ("gristmill-market", json!({"name": "proptest", "kind": "dev", "features": []}), false),
            (
                "gristmill-scheduler",
                json!({"name": "gristmill-market", "kind": null, "features": []}),
                false,
            ),
        ] {
            let problems = imports(&package(name, json!([dependency])));
            assert_eq!(!problems.is_empty(), fails, "{name} → {dependency}: {problems:?}");
        }
    }

    #[test]
    fn a_file_that_breaks_a_rule_fails() {
        let long = format!("//! Long.\n{}", "fn x() {}\n".repeat(SOURCE_LINES_MAX));
        for (name, text, word) in [
            ("crates/market/src/job.rs", "//! Jobs.\nuse std::time::Instant;\n", "std::time"),
            ("crates/market/src/job.rs", "//! Jobs.\nlet jobs = HashMap::new();\n", "HashMap"),
            ("crates/scheduler/src/http/jobs.rs", "//! Jobs.\nlet sql = \"SELECT 1\";\n", "SQL"),
            (
                "crates/scheduler/src/turn.rs",
                "//! Turns.\nuse alloy::providers::Provider;\n",
                "provider",
            ),
            ("crates/node/src/agent.rs", "fn main() {}\n", "first line"),
            ("crates/node/src/utils.rs", "//! Things.\n", "name the thing"),
            ("crates/node/src/agent.rs", "//! Agent.\ntodo!()\n", "unfinished"),
            ("crates/node/src/agent.rs", "//! Agent.\n// see /home/me/notes\n", "machine"),
            ("crates/node/src/agent.rs", &long, "lines"),
            ("web/src/lib/api.ts", "export {};\n", "first line"),
            ("web/src/lib/utils.ts", "/** Things. */\n", "name the thing"),
            ("web/src/app/page.tsx", "\"use client\";\n/** Home. */\n// TODO\n", "unfinished"),
            ("ARCHITECTURE.md", &"x\n".repeat(ARCHITECTURE_LINES_MAX + 1), "no map"),
        ] {
            let problems = source(name, text);
            assert!(problems.len() == 1 && problems[0].contains(word), "{name}: {problems:?}");
        }
    }

    #[test]
    fn a_file_that_keeps_the_rules_passes() {
        let text = "//! SQL and time are at home here.\nuse rusqlite::Connection; // HashMap\n";
        assert_eq!(source("crates/scheduler/src/store/sqlite.rs", text), Vec::<String>::new());
        let import = "/** Home. */\nimport { Home } from \"@/components/home/home\";\n";
        for text in ["/** Home. */\n", "\"use client\";\n/** Home. */\n", import] {
            assert_eq!(source("web/src/app/page.tsx", text), Vec::<String>::new());
        }
        assert_eq!(source("web/src/generated/api.ts", "export {};\n"), Vec::<String>::new());
        assert_eq!(
            source("crates/market/src/job.rs", "//! Jobs.\n// A HashMap would not do.\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_error_without_its_page_fails() {
        let page =
            |text: &str| error_pages([(ErrorCode::NotFound, Some(text.to_owned()))].into_iter());
        assert_eq!(error_pages([(ErrorCode::NotFound, None)].into_iter()).len(), 1);
        assert_eq!(page("# not_found\n\nHTTP 500. Wrong.").len(), 2);
        let good =
            "# not_found\n\nHTTP 404. There is no such thing here.\n\n## What to do\n\nLook.";
        assert_eq!(page(good), Vec::<String>::new());
    }
}
