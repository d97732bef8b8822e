//! The contract, built from its sources by plain solc: what is deployed, and what the chain is compared with.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use alloy::primitives::{B256, Bytes, U256, keccak256};
use anyhow::{Context, Result, bail, ensure};
use gristmill_protocol::signing::Domain;
use serde::Deserialize;
use serde_json::Value;

pub(crate) const SOURCE: &str = "src/JobMarket.sol";
pub(crate) const NAME: &str = "JobMarket";

/// What solc makes of one input.
pub(crate) struct Build {
    pub(crate) recipe: Recipe,
    /// What the deploying transaction carries. The constructor takes no arguments.
    pub(crate) init_code: Bytes,
    /// What the chain holds then, with zeros where the constructor writes.
    runtime_code: Bytes,
    /// Where the constructor writes, by the compiler's number of the variable.
    immutables: BTreeMap<String, Vec<Place>>,
}

/// A compiler and everything that it is given: the same recipe makes the same bytes everywhere.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) compiler: String,
    /// solc's standard JSON: sources and settings.
    pub(crate) input: Value,
}

#[derive(Clone, Copy, Deserialize)]
struct Place {
    start: usize,
    length: usize,
}

impl Recipe {
    /// That of the sources in this checkout.
    pub(crate) fn of_checkout(root: &Path) -> Result<Self> {
        let output = Command::new(root.join("contracts/tools/standard-json"))
            .stderr(Stdio::inherit())
            .output()
            .context("run contracts/tools/standard-json; is Node.js installed?")?;
        ensure!(output.status.success(), "contracts/tools/standard-json failed");
        serde_json::from_slice(&output.stdout).context("read contracts/tools/standard-json")
    }

    /// In which files, or `settings`, two recipes differ.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut names = Vec::new();
        if self.compiler != other.compiler {
            names.push("compiler".to_owned());
        }
        let (ours, theirs) = (&self.input["sources"], &other.input["sources"]);
        let keys = |sources: &Value| {
            sources.as_object().into_iter().flat_map(|all| all.keys().cloned()).collect::<Vec<_>>()
        };
        let mut files = [keys(ours), keys(theirs)].concat();
        files.sort();
        files.dedup();
        names.extend(files.into_iter().filter(|file| ours[file] != theirs[file]));
        if self.input["settings"] != other.input["settings"] {
            names.push("settings".to_owned());
        }
        names
    }
}

impl Build {
    /// Compiles. The compiler reads nothing but the recipe, so what it said of one is kept.
    pub(crate) fn of(root: &Path, recipe: Recipe) -> Result<Self> {
        let output = compiled(root, &recipe)?;
        let contract = &output["contracts"][SOURCE][NAME]["evm"];
        if contract.is_null() {
            let mut errors = output["errors"].as_array().into_iter().flatten();
            let error = errors.find(|error| error["severity"] == "error");
            bail!(
                "the contract does not compile: {}",
                error.and_then(|error| error["formattedMessage"].as_str()).unwrap_or("no error")
            );
        }
        let code = |part: &str| -> Result<Bytes> {
            let object = contract[part]["object"].as_str().unwrap_or_default();
            let code: Bytes =
                object.parse().with_context(|| format!("the {part} is not linked"))?;
            ensure!(!code.is_empty(), "the compiler gave no {part}");
            Ok(code)
        };
        Ok(Self {
            init_code: code("bytecode")?,
            runtime_code: code("deployedBytecode")?,
            immutables: serde_json::from_value(
                contract["deployedBytecode"]["immutableReferences"].clone(),
            )
            .context("read where the constructor writes")?,
            recipe,
        })
    }

    /// Whether `code` is what the constructor leaves at the address of `domain`: equal in every byte, where each
    /// immutable holds one and the same word, which is of the contract's own domain.
    pub(crate) fn check_runtime(&self, code: &[u8], domain: &Domain) -> Result<()> {
        ensure!(!code.is_empty(), "there is no code");
        ensure!(
            code.len() == self.runtime_code.len(),
            "the code has {} bytes, and the build {}",
            code.len(),
            self.runtime_code.len()
        );
        let eip712 = domain.eip712();
        let hash = |text: Option<&str>| keccak256(text.unwrap_or_default());
        let words = [
            eip712.separator(),
            hash(eip712.name.as_deref()),
            hash(eip712.version.as_deref()),
            domain.contract.into_word(),
            B256::from(U256::from(domain.chain_id)),
        ];
        let mut masked = code.to_vec();
        for places in self.immutables.values() {
            let mut values = Vec::new();
            for place in places {
                let range = place.start..place.start.saturating_add(place.length);
                let bytes =
                    masked.get_mut(range).context("an immutable lies outside of the code")?;
                values.push(bytes.to_vec());
                bytes.fill(0);
            }
            values.dedup();
            let known = |value: &[u8]| words.iter().any(|word| word.as_slice() == value);
            ensure!(
                values.len() == 1 && known(&values[0]),
                "an immutable holds another value than the constructor gives it at this address and chain"
            );
        }
        let first = masked.iter().zip(self.runtime_code.iter()).position(|(a, b)| a != b);
        if let Some(at) = first {
            bail!("the code differs from the build, at byte {at} first");
        }
        Ok(())
    }
}

/// What the compiler says of a recipe, this time or an earlier one.
fn compiled(root: &Path, recipe: &Recipe) -> Result<Value> {
    let solc = root.join("contracts/tools/solc");
    let input = serde_json::to_vec(&recipe.input)?;
    let key = keccak256([recipe.compiler.as_bytes(), b"\n", &input].concat());
    // Forge's folder for what can be made again; `forge clean` empties it.
    let folder = root.join("contracts/cache/solc");
    let kept = folder.join(format!("{key:x}.json"));
    if let Some(output) =
        std::fs::read(&kept).ok().and_then(|json| serde_json::from_slice(&json).ok())
    {
        return Ok(output);
    }
    check_version(&solc, &recipe.compiler)?;
    let output = compile(&solc, &input)?;
    std::fs::create_dir_all(&folder)?;
    let mut draft = tempfile::NamedTempFile::new_in(&folder)?;
    draft.write_all(&output)?;
    draft.persist(&kept)?;
    serde_json::from_slice(&output).context("read the compiler's output")
}

fn check_version(solc: &Path, wanted: &str) -> Result<()> {
    let output = Command::new(solc)
        .arg("--version")
        .output()
        .context("run contracts/tools/solc; is Node.js installed?")?;
    let version = String::from_utf8_lossy(&output.stdout);
    ensure!(
        version.contains(&format!("Version: {wanted}.")),
        "the contract was built with solc {wanted}, and this checkout has another: {}",
        version.lines().last().unwrap_or("none; run scripts/setup.sh")
    );
    Ok(())
}

fn compile(solc: &Path, input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(solc)
        .arg("--standard-json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("run contracts/tools/solc")?;
    // solc reads all of its input before it writes, so neither side waits for the other.
    child.stdin.take().context("solc has no stdin")?.write_all(input)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "contracts/tools/solc failed");
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::Address;
    use serde_json::json;

    fn domain() -> Domain {
        Domain { chain_id: 39, contract: Address::repeat_byte(7) }
    }

    /// 4 bytes of code, an immutable, 1 byte of code, the same immutable again.
    fn build() -> Build {
        let places = vec![Place { start: 4, length: 32 }, Place { start: 37, length: 32 }];
        let mut runtime = vec![0; 69];
        runtime[..4].copy_from_slice(&[1, 2, 3, 4]);
        runtime[36] = 5;
        Build {
            recipe: Recipe { compiler: "0".into(), input: json!({}) },
            init_code: Bytes::from_static(&[1]),
            runtime_code: runtime.into(),
            immutables: BTreeMap::from([("1".to_owned(), places)]),
        }
    }

    fn code(first: B256, second: B256) -> Vec<u8> {
        [&[1, 2, 3, 4], first.as_slice(), &[5], second.as_slice()].concat()
    }

    #[test]
    fn only_the_build_with_its_own_immutables_passes() {
        let separator = domain().eip712().separator();
        let good = code(separator, separator);
        build().check_runtime(&good, &domain()).unwrap();

        let other = B256::repeat_byte(9);
        let mut changed = good.clone();
        changed[36] = 6;
        for (what, code, word) in [
            ("nothing", Vec::new(), "no code"),
            ("too short", good[..68].to_vec(), "68 bytes"),
            ("another instruction", changed, "at byte 36 first"),
            ("another immutable", code(other, other), "immutable"),
            ("an immutable that is not the same everywhere", code(separator, other), "immutable"),
        ] {
            let error = build().check_runtime(&code, &domain()).unwrap_err().to_string();
            assert!(error.contains(word), "{what}: {error}");
        }
        let elsewhere = Domain { chain_id: 2484, ..domain() };
        build().check_runtime(&good, &elsewhere).unwrap_err();
    }

    #[test]
    fn recipes_say_where_they_differ() {
        let recipe = |input: Value| Recipe { compiler: "0.8.37".into(), input };
        let one = recipe(
            json!({"sources": {"a.sol": {"content": "a"}, "b.sol": {"content": "b"}}, "settings": {"viaIR": true}}),
        );
        let other = recipe(
            json!({"sources": {"a.sol": {"content": "A"}, "c.sol": {"content": "c"}}, "settings": {"viaIR": false}}),
        );
        assert_eq!(one.differences(&one), Vec::<String>::new());
        assert_eq!(one.differences(&other), ["a.sol", "b.sol", "c.sol", "settings"]);
        let newer = Recipe { compiler: "0.8.38".into(), ..one.clone() };
        assert_eq!(one.differences(&newer), ["compiler"]);
    }
}
