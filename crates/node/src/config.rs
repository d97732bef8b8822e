//! The configuration: one TOML file, unknown keys refused, the documented default embedded.

mod system_service;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gristmill_protocol::Address;
use gristmill_protocol::api::{Gpu, Offer};
use gristmill_protocol::money::Amount;
use gristmill_protocol::signing::Domain;
use gristmill_protocol::spec::RuntimeKind;
use serde::Deserialize;

pub use system_service::ServiceConfig;

/// Every setting, with its default and what it means.
pub const DEFAULT: &str = include_str!("config.default.toml");
/// The environment variable that holds the password of the node's key.
pub const PASSWORD_VARIABLE: &str = "GRISTMILL_NODE_KEYSTORE_PASSWORD";

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub state_dir: PathBuf,
    pub key: KeyConfig,
    pub scheduler: SchedulerConfig,
    pub chain: ChainConfig,
    pub trust: TrustConfig,
    pub offer: OfferConfig,
    pub money: MoneyConfig,
    pub content: ContentConfig,
    pub docker: DockerConfig,
    pub service: ServiceConfig,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    pub keystore: PathBuf,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerConfig {
    pub url: String,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    pub rpc_url: String,
    pub chain_id: u64,
    pub contract: String,
    pub poll_ms: u64,
    pub escrow_wait_seconds: u64,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustConfig {
    pub schedulers: Vec<Address>,
    pub arbiters: Vec<Address>,
    /// By token: the largest bond that is put at stake for one job.
    pub bond_max: BTreeMap<Address, Amount>,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferConfig {
    pub runtimes: Vec<RuntimeKind>,
    pub cpu_millis: u32,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    pub price_floor: Amount,
    pub token: Address,
    pub max_run_seconds: u32,
    pub log_bytes_max: u64,
    #[serde(default)]
    pub gpus: Vec<GpuConfig>,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuConfig {
    pub model: String,
    pub vram_bytes: u64,
    #[serde(default)]
    pub compute_capability: Option<String>,
    /// The name by which the container engine hands it to a job.
    pub device: String,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoneyConfig {
    pub publish_before_deadline_seconds: u64,
    pub claim_delay_seconds: u64,
    pub release_when_rejected: bool,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentConfig {
    pub gateways: Vec<String>,
    pub allow_hosts: Vec<String>,
    pub cache_bytes_max: u64,
    pub read_timeout_seconds: u64,
    pub total_timeout_seconds: u64,
    pub module_bytes_max: u64,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerConfig {
    pub socket: PathBuf,
    pub pull_timeout_seconds: u64,
    pub pids_max: i64,
    pub tmp_bytes: u64,
    pub gpu_attach: GpuAttach,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuAttach {
    Nvidia,
    Cdi,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {error}; write one with `gristmill-node init`")]
    Unreadable { path: String, error: std::io::Error },
    #[error("the configuration {path} is not valid: {error}")]
    Malformed { path: String, error: Box<toml::de::Error> },
    #[error("the configuration {path} has no usable `{key}`: {problem}")]
    Invalid { path: String, key: &'static str, problem: String },
}

impl Config {
    /// Reads a file over the defaults: a key that it does not set keeps its default.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: name.clone(), error })?;
        let base = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, &name, base)
    }

    /// As [`Self::read`], from `text`; `name` is what errors call it, and relative paths start at `base`.
    pub fn parse(text: &str, name: &str, base: &Path) -> Result<Self, ConfigError> {
        let malformed =
            |error| ConfigError::Malformed { path: name.to_owned(), error: Box::new(error) };
        let mut merged: toml::Table = DEFAULT.parse().map_err(malformed)?;
        merge(&mut merged, text.parse::<toml::Table>().map_err(malformed)?);
        let mut config: Self = toml::Value::Table(merged).try_into().map_err(malformed)?;
        config.state_dir = base.join(&config.state_dir);
        config.key.keystore = base.join(&config.key.keystore);
        config.validate().map_err(|(key, problem)| ConfigError::Invalid {
            path: name.to_owned(),
            key,
            problem,
        })?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), (&'static str, String)> {
        let web = |text: &str| {
            url::Url::parse(text)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        };
        if !web(&self.scheduler.url) {
            return Err(("scheduler.url", "write http://host:port or https://host".into()));
        }
        if !web(&self.chain.rpc_url) {
            return Err(("chain.rpc_url", "write http://host:port or https://host/path".into()));
        }
        if self.chain.chain_id == 0 {
            return Err(("chain.chain_id", "write the chain's number".into()));
        }
        if self.chain.contract.parse::<Address>().is_err() {
            return Err((
                "chain.contract",
                "write the address of JobMarket: 0x and 40 hexadecimal digits".into(),
            ));
        }
        if !(100..=60_000).contains(&self.chain.poll_ms) {
            return Err(("chain.poll_ms", "must be 100 to 60000".into()));
        }
        if self.trust.schedulers.is_empty() {
            return Err(("trust.schedulers", "name at least one scheduler's address".into()));
        }
        if self.offer().bond_max != Amount::ZERO && self.trust.arbiters.is_empty() {
            return Err((
                "trust.arbiters",
                "jobs with a bond need an arbiter that you trust: name at least one, or set no trust.bond_max".into(),
            ));
        }
        if let Some(bad) = self.content.gateways.iter().find(|gateway| !web(gateway)) {
            return Err((
                "content.gateways",
                format!("`{bad}` is not an http:// or https:// address"),
            ));
        }
        if self.docker.pids_max < 1 {
            return Err(("docker.pids_max", "must be at least 1".into()));
        }
        self.offer().validate().map_err(|problem| ("offer", problem))
    }

    /// The contract that the node believes in.
    #[must_use]
    pub fn domain(&self) -> Domain {
        // `validate` has read it before; a value that is no address would mean no contract at all.
        Domain {
            chain_id: self.chain.chain_id,
            contract: self.chain.contract.parse().unwrap_or_default(),
        }
    }

    /// What the node asks and gives. What the file leaves open is taken from the machine.
    #[must_use]
    pub fn offer(&self) -> Offer {
        let offer = &self.offer;
        Offer {
            runtimes: offer.runtimes.clone(),
            cpu_millis: if offer.cpu_millis == 0 { machine_cpu_millis() } else { offer.cpu_millis },
            memory_bytes: if offer.memory_bytes == 0 {
                machine_memory_bytes() / 4 * 3
            } else {
                offer.memory_bytes
            },
            disk_bytes: offer.disk_bytes,
            gpus: offer
                .gpus
                .iter()
                .map(|gpu| Gpu {
                    model: gpu.model.clone(),
                    vram_bytes: gpu.vram_bytes,
                    compute_capability: gpu.compute_capability.clone(),
                })
                .collect(),
            price_floor: offer.price_floor,
            token: offer.token,
            max_run_seconds: offer.max_run_seconds,
            log_bytes_max: offer.log_bytes_max,
            bond_max: self.trust.bond_max.get(&offer.token).copied().unwrap_or(Amount::ZERO),
        }
    }
}

fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn machine_cpu_millis() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(processors).unwrap_or(u32::MAX / 1000).saturating_mul(1000)
}

fn machine_memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok());
    kib.map_or(1 << 30, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"
        [scheduler]
        url = "http://127.0.0.1:8080"
        [chain]
        rpc_url = "http://127.0.0.1:8545"
        chain_id = 4439
        contract = "0x00000000000000000000000000000000000000aa"
        [trust]
        schedulers = ["0x00000000000000000000000000000000000000bb"]
    "#;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, "node.toml", Path::new("/etc/node"))
    }

    #[test]
    fn the_required_settings_are_enough() {
        let config = parse(LEAST).unwrap();
        assert_eq!(config.state_dir, Path::new("/etc/node/state"));
        assert_eq!(config.domain().chain_id, 4439);
        assert!(config.offer().cpu_millis >= 1000, "the machine's processors are found");
        assert_eq!(config.offer().bond_max, Amount::ZERO, "nothing is put at stake unasked");
        assert!(config.content.allow_hosts.is_empty(), "no private host is allowed by default");
    }

    #[test]
    fn a_bond_is_put_at_stake_in_the_token_of_the_offer_only() {
        let bonds = |text: &str| parse(&LEAST.replace("[trust]", &format!("[trust]\n{text}")));
        let arbiters = r#"arbiters = ["0x00000000000000000000000000000000000000cc"]"#;
        let coin = r#"bond_max = { "0x0000000000000000000000000000000000000000" = "5000" }"#;
        let token = r#"bond_max = { "0x00000000000000000000000000000000000000dd" = "5000" }"#;
        let bond_max = |text: &str| bonds(text).map(|config| config.offer().bond_max.0);
        assert_eq!(bond_max(&format!("{arbiters}\n{coin}")).unwrap(), 5000);
        assert_eq!(bond_max(&format!("{arbiters}\n{token}")).unwrap(), 0);
        let error = bond_max(coin).unwrap_err().to_string();
        assert!(error.contains("trust.arbiters"), "{error}");
        assert!(bond_max(&coin.replace("\"5000\"", "-1")).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (old, new, word) in [
            ("http://127.0.0.1:8080", "scheduler", "scheduler.url"),
            ("http://127.0.0.1:8545", "", "chain.rpc_url"),
            ("4439", "0", "chain.chain_id"),
            ("0x00000000000000000000000000000000000000aa", "0x12", "chain.contract"),
            ("[\"0x00000000000000000000000000000000000000bb\"]", "[]", "trust.schedulers"),
            ("[trust]", "[trust]\nshcedulers = []", "shcedulers"),
            ("[trust]", "[offer]\nruntimes = []\n[trust]", "runtimes"),
        ] {
            let error = parse(&LEAST.replace(old, new)).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn the_default_file_alone_is_refused_because_it_names_no_scheduler() {
        assert!(parse(DEFAULT).unwrap_err().to_string().contains("scheduler.url"));
    }
}
