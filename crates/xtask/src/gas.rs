//! What a job costs on the chain: measured by forge, told in one line, and laid beside what others cost.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

const SNAPSHOT: &str = "contracts/snapshots/JobMarket.json";
const PEERS: &str = "docs/gas-peers.json";

/// The three transactions of a job: what they are called in the line of figures, and by the test that measures them.
const JOB: [(&str, &str); 3] =
    [("open", "open, native coin"), ("assign", "assign"), ("settle", "settle, native coin")];
/// A job's share of the two transactions of a batch.
const BATCH: [(&str, &str); 2] = [
    ("batch_open_assign", "openMany, 100 prepaid with nodes, per job"),
    ("batch_settle", "settleMany, 100, per job"),
];

/// Gas of whole transactions, by the name that the test gives them.
struct Figures(BTreeMap<String, u64>);

/// How another system pays for one job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peer {
    name: String,
    revision: String,
    source: String,
    steps: Vec<(String, u64)>,
    how: String,
}

/// Measures, fails where a figure is not the one that is checked in, and prints the figures of a job as one line of JSON.
pub(crate) fn run(root: &Path) -> Result<()> {
    let status = Command::new("npm")
        .args(["run", "--silent", "gas:check"])
        .current_dir(root.join("contracts"))
        .status()
        .context("run npm in contracts/; is Node.js installed?")?;
    ensure!(
        status.success(),
        "`npm run gas:check` failed. Where a figure changed on purpose, run `npm run gas` in contracts/ and then \
         `cargo xtask generate`"
    );
    println!("{}", Figures::read(root)?.line()?);
    Ok(())
}

/// `docs/gas.md`.
pub(crate) fn render(root: &Path) -> Result<String> {
    let path = root.join(PEERS);
    let json = std::fs::read(&path).with_context(|| format!("read {PEERS}"))?;
    let peers: Vec<Peer> = serde_json::from_slice(&json)
        .with_context(|| format!("{PEERS} is not of the expected form"))?;
    page(&Figures::read(root)?, &peers)
}

impl Figures {
    fn read(root: &Path) -> Result<Self> {
        let json =
            std::fs::read(root.join(SNAPSHOT)).with_context(|| format!("read {SNAPSHOT}"))?;
        let figures: BTreeMap<String, String> = serde_json::from_slice(&json)
            .with_context(|| format!("{SNAPSHOT} is not of the expected form"))?;
        let number = |(name, gas): (String, String)| {
            let gas = gas.parse().with_context(|| format!("{SNAPSHOT}: {name} is no number"))?;
            Ok((name, gas))
        };
        Ok(Self(figures.into_iter().map(number).collect::<Result<_>>()?))
    }

    fn of(&self, name: &str) -> Result<u64> {
        self.0.get(name).copied().with_context(|| {
            format!(
                "{SNAPSHOT} has no \"{name}\": did contracts/test/Gas.t.sol give it another name? Then change \
                 crates/xtask/src/gas.rs too; else run `npm run gas` in contracts/"
            )
        })
    }

    fn line(&self) -> Result<Value> {
        let figure = |(key, name): &(&str, &str)| Ok(((*key).to_owned(), self.of(name)?.into()));
        let line = JOB.iter().chain(&BATCH).map(figure).collect::<Result<Map<_, _>>>()?;
        Ok(line.into())
    }

    fn steps(&self, names: &[(&str, &str)], verbs: &[&str]) -> Result<Vec<(String, u64)>> {
        names
            .iter()
            .zip(verbs)
            .map(|((_, name), verb)| Ok(((*verb).to_owned(), self.of(name)?)))
            .collect()
    }
}

fn page(figures: &Figures, peers: &[Peer]) -> Result<String> {
    let single = figures.steps(&JOB, &["open", "assign", "settle"])?;
    let batch = figures.steps(&BATCH, &["openMany", "settleMany"])?;
    let (single_gas, batch_gas) = (sum(&single), sum(&batch));
    let mut page = String::from(
        "# What a job costs\n\n\
         Written by `cargo xtask generate` from `contracts/snapshots/JobMarket.json`, which every run of the contract's \
         tests compares with what it measures, and from `docs/gas-peers.json`. `make gas` measures again.\n\n\
         ## Beside others\n\n\
         Gas of everything that one job needs on the chain, from the money going in to the provider being paid, when all \
         goes well.\n\n\
         | System | Transactions of one job | Gas | Times ours |\n|---|---|--:|--:|\n",
    );
    let mut row = |name: &str, steps: &[(String, u64)], times: &str| {
        let shown: Vec<String> =
            steps.iter().map(|(verb, gas)| format!("{verb} {}", thousands(*gas))).collect();
        writeln!(page, "| {name} | {} | {} | {times} |", shown.join(" + "), thousands(sum(steps)))
    };
    row("**Gristmill**, 100 prepaid jobs in a batch, each", &batch, "")?;
    row("**Gristmill**, one job alone", &single, "")?;
    for peer in peers {
        let gas = sum(&peer.steps);
        row(
            &peer.name,
            &peer.steps,
            &format!("{} ({})", times(gas, single_gas), times(gas, batch_gas)),
        )?;
    }
    page.push_str(
        "\nThe last column compares with one job alone and, in brackets, with one of a batch.\n\n\
         ## How it was measured\n\n\
         With forge and `isolate = true`, so that each call is a whole transaction with its 21,000, its calldata and its \
         refunds; by London rules; in the steady state, where the parties' accounts, balances and counters have been used \
         before. Ours is measured in every run, with the bounty in the native coin and the payment pushed to the \
         provider's wallet; the deposit that pays for a batch is one transaction for any number of them. The peers were \
         measured once, at the revision named, with the compiler settings of their own; what a project publishes itself \
         is marked so.\n\n",
    );
    for peer in peers {
        writeln!(page, "- **{}**, [{}]({}). {}", peer.name, peer.revision, peer.source, peer.how)?;
    }
    page.push_str(
        "\nWhy the others cost more: strings as ids and CIDs in storage, a slot for each field, four to six \
         transactions of 21,000 each, and token transfers inside of a deal. `JobMarket` keeps one slot a job; everything \
         else is in the calldata, bound by the job's id, and in the event.\n\n\
         ## Every verb\n\n| Transaction | Gas |\n|---|--:|\n",
    );
    for (name, gas) in &figures.0 {
        writeln!(page, "| {name} | {} |", thousands(*gas))?;
    }
    Ok(page)
}

fn sum(steps: &[(String, u64)]) -> u64 {
    steps.iter().map(|(_, gas)| gas).sum()
}

/// How many times `ours` goes into `theirs`, to a tenth.
fn times(theirs: u64, ours: u64) -> String {
    let tenths = (theirs * 10 + ours / 2) / ours.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let names = JOB.iter().chain(&BATCH).map(|(_, name)| (*name).to_owned());
        Figures(names.zip([55_970, 35_388, 61_869, 39_460, 21_977]).collect())
    }

    #[test]
    fn the_line_has_the_five_figures_in_gas() {
        assert_eq!(
            figures().line().unwrap(),
            serde_json::json!({
                "open": 55_970, "assign": 35_388, "settle": 61_869,
                "batch_open_assign": 39_460, "batch_settle": 21_977,
            })
        );
    }

    #[test]
    fn a_figure_that_is_not_measured_is_an_error() {
        for (_, name) in JOB.iter().chain(&BATCH) {
            let mut figures = figures();
            figures.0.remove(*name);
            for error in [figures.line().unwrap_err(), page(&figures, &[]).unwrap_err()] {
                assert!(error.to_string().contains(&format!("no \"{name}\"")), "{error}");
            }
        }
    }

    #[test]
    fn numbers_are_written_for_people() {
        for (number, text) in [
            (7, "7"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
            (100_000, "100,000"),
        ] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(times(312_200, 153_227), "2.0");
        assert_eq!(times(1_771_722, 153_227), "11.6");
    }
}
