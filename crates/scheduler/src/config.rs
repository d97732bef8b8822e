//! The one configuration file, in TOML. Defaults live in `config.default.toml` alone; a file is merged over them.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use gristmill_market::Policy;
use gristmill_protocol::Address;
use gristmill_protocol::login::domain_of;
use gristmill_protocol::money::Amount;
use gristmill_protocol::spec::Strategy;
use serde::Deserialize;

use crate::content_store::Quotas;

/// Every setting, with its default and what it is for.
pub const DEFAULT_CONFIG: &str = include_str!("config.default.toml");

/// Where the password of the keystore is.
pub const PASSWORD_VARIABLE: &str = "GRISTMILL_SCHEDULER_KEYSTORE_PASSWORD";

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub listen: SocketAddr,
    pub public_url: String,
    pub data_dir: PathBuf,
    pub log: LogConfig,
    pub chain: ChainConfig,
    pub signer: SignerConfig,
    pub market: MarketConfig,
    pub limits: Limits,
    pub content: Quotas,
    pub specs: SpecsConfig,
    pub images: ImagesConfig,
    pub web: WebSettings,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    pub format: LogFormat,
    pub filter: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    pub rpc_urls: Vec<String>,
    pub deployment: PathBuf,
    pub finality_depth: u64,
    pub poll_interval_ms: u64,
    pub log_blocks_max: u64,
    pub fee_ceiling_gwei: u64,
    pub reconcile_every_seconds: u64,
    pub tokens: Vec<Address>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecsConfig {
    pub gateways: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesConfig {
    pub insecure_registries: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSettings {
    pub folder: PathBuf,
    pub rpc_urls: Vec<String>,
    pub chain_name: String,
    pub coin_symbol: String,
    pub explorer_url: String,
    pub development: bool,
    pub development_origin: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    pub keystore: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketConfig {
    pub fee_bps: u16,
    pub strategy: Strategy,
    /// Absent for no limit.
    #[serde(default)]
    pub newcomer_pay_max: Option<Amount>,
    pub silence_ms: u64,
    pub offline_ms: u64,
    pub settle_margin_seconds: u32,
    pub arbiter: Address,
    pub lease_seconds: u32,
    pub grace_seconds: u32,
    pub attempt_seconds: u32,
    pub challenge_window: u32,
    pub ruling_seconds: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub connections_max: usize,
    pub polls_max: usize,
    pub streams_max: usize,
    pub body_bytes_max: usize,
    pub header_timeout_ms: u64,
    pub body_timeout_ms: u64,
    pub burst: u32,
    pub requests_per_second: u32,
    pub session_seconds: u64,
    pub log_bytes_max: u64,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}")]
    Unreadable {
        path: String,
        #[source]
        error: std::io::Error,
    },
    #[error("the configuration {path} is not valid: {problem}")]
    Malformed { path: String, problem: String },
    #[error("the configuration has `{field}` = {value}: {problem}")]
    Invalid { field: &'static str, value: String, problem: String },
}

impl Config {
    /// Reads a file, with the defaults for what it does not name.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.display().to_string(), error })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &path.display().to_string(), folder)
    }

    /// The defaults, with paths that start at `folder`.
    pub fn defaults(folder: &Path) -> Result<Self, ConfigError> {
        Self::parse("", "of the defaults", folder)
    }

    /// Reads `text`; `path` is what messages call it.
    pub fn parse(text: &str, path: &str, folder: &Path) -> Result<Self, ConfigError> {
        let malformed = |error: toml::de::Error| ConfigError::Malformed {
            path: path.to_owned(),
            problem: error.to_string().trim_end().to_owned(),
        };
        let given: toml::Table = text.parse().map_err(malformed)?;
        let mut merged: toml::Table = DEFAULT_CONFIG.parse().map_err(malformed)?;
        merge(&mut merged, given);
        let mut config: Self = toml::Value::Table(merged).try_into().map_err(malformed)?;
        for path in
            [&mut config.data_dir, &mut config.chain.deployment, &mut config.signer.keystore]
        {
            *path = folder.join(&*path);
        }
        if !config.web.folder.as_os_str().is_empty() {
            config.web.folder = folder.join(&config.web.folder);
        }
        for url in [&mut config.web.explorer_url, &mut config.web.development_origin] {
            *url = url.trim_end_matches('/').to_owned();
        }
        config.public_url = config.public_url.trim_end_matches('/').to_owned();
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let invalid = |field, value: &dyn std::fmt::Display, problem: &str| {
            Err(ConfigError::Invalid {
                field,
                value: value.to_string(),
                problem: problem.to_owned(),
            })
        };
        // The login message names host and port, so nothing may follow them.
        if !is_url(&self.public_url) || !self.public_url.ends_with(domain_of(&self.public_url)) {
            return invalid(
                "public_url",
                &self.public_url,
                "write http://host:port or https://host, without a path",
            );
        }
        if self.chain.rpc_urls.is_empty() {
            return invalid("chain.rpc_urls", &"[]", "name at least one RPC endpoint");
        }
        for url in &self.chain.rpc_urls {
            if !is_url(url) {
                return invalid("chain.rpc_urls", url, "write http://host:port or https://host");
            }
        }
        for url in &self.specs.gateways {
            if !is_url(url) {
                return invalid("specs.gateways", url, "write http://host:port or https://host");
            }
        }
        for registry in &self.images.insecure_registries {
            if !is_origin(&format!("http://{registry}")) {
                return invalid("images.insecure_registries", registry, "write host:port");
            }
        }
        self.check_web()?;
        if self.market.fee_bps > 10_000 {
            return invalid(
                "market.fee_bps",
                &self.market.fee_bps,
                "10,000 is the whole bounty; write at most that",
            );
        }
        for (field, value, least, most) in [
            ("chain.finality_depth", self.chain.finality_depth, 1, 10_000),
            ("chain.poll_interval_ms", self.chain.poll_interval_ms, 10, 60_000),
            ("chain.log_blocks_max", self.chain.log_blocks_max, 1, 100_000),
            ("chain.fee_ceiling_gwei", self.chain.fee_ceiling_gwei, 1, 1_000_000_000),
            ("chain.reconcile_every_seconds", self.chain.reconcile_every_seconds, 1, 86_400),
            ("market.silence_ms", self.market.silence_ms, 1000, 3_600_000),
            ("market.offline_ms", self.market.offline_ms, self.market.silence_ms, 86_400_000),
            ("limits.connections_max", self.limits.connections_max as u64, 1, 1_000_000),
            ("limits.body_bytes_max", self.limits.body_bytes_max as u64, 65_536, 64 << 20),
            ("limits.header_timeout_ms", self.limits.header_timeout_ms, 100, 600_000),
            ("limits.body_timeout_ms", self.limits.body_timeout_ms, 100, 600_000),
            ("limits.burst", self.limits.burst.into(), 1, 1_000_000),
            ("limits.requests_per_second", self.limits.requests_per_second.into(), 1, 1_000_000),
            ("limits.session_seconds", self.limits.session_seconds, 60, 365 * 86_400),
            ("limits.log_bytes_max", self.limits.log_bytes_max, 1024, 1 << 40),
        ] {
            if !(least..=most).contains(&value) {
                return invalid(field, &value, &format!("write {least} to {most}"));
            }
        }
        Ok(())
    }

    fn check_web(&self) -> Result<(), ConfigError> {
        let web = &self.web;
        let invalid = |field, value: &str, problem: &str| {
            Err(ConfigError::Invalid {
                field,
                value: value.to_owned(),
                problem: problem.to_owned(),
            })
        };
        for url in &web.rpc_urls {
            if !is_url(url) {
                return invalid("web.rpc_urls", url, "write http://host:port or https://host");
            }
        }
        if !web.folder.as_os_str().is_empty() && self.web_rpc_urls().is_empty() {
            return invalid(
                "web.rpc_urls",
                "[]",
                "those of chain.rpc_urls have a path or a user, which may be a secret: name here what browsers may use",
            );
        }
        if !web.explorer_url.is_empty() && !is_url(&web.explorer_url) {
            return invalid(
                "web.explorer_url",
                &web.explorer_url,
                "write https://host, or nothing",
            );
        }
        for (field, text) in
            [("web.chain_name", &web.chain_name), ("web.coin_symbol", &web.coin_symbol)]
        {
            if text.chars().count() > 40 || text.chars().any(char::is_control) {
                return invalid(field, text, "write at most 40 printable characters");
            }
        }
        if web.coin_symbol.is_empty() {
            return invalid("web.coin_symbol", "", "name the native coin, such as U2U");
        }
        if web.development {
            let mut urls = self.chain.rpc_urls.iter().chain(&web.rpc_urls);
            if let Some(url) = urls.find(|url| !is_loopback(url)) {
                return invalid(
                    "web.development",
                    "true",
                    &format!("it is for a chain on this machine, and {url} is not on loopback"),
                );
            }
        }
        if !web.development_origin.is_empty() {
            if !web.development {
                return invalid(
                    "web.development_origin",
                    &web.development_origin,
                    "it needs web.development = true",
                );
            }
            if !is_origin(&web.development_origin) {
                return invalid(
                    "web.development_origin",
                    &web.development_origin,
                    "write http://host:port, without a path",
                );
            }
        }
        Ok(())
    }

    /// The RPC endpoints that browsers are told of. Of those of this scheduler only the ones that are nothing but an
    /// origin: a path, a query or a user may be somebody's key.
    #[must_use]
    pub fn web_rpc_urls(&self) -> Vec<String> {
        if self.web.rpc_urls.is_empty() {
            self.chain.rpc_urls.iter().filter(|url| is_origin(url)).cloned().collect()
        } else {
            self.web.rpc_urls.clone()
        }
    }

    /// The numbers behind the rules, for the scheduler at `scheduler`.
    #[must_use]
    pub fn policy(&self, scheduler: Address) -> Policy {
        Policy {
            fee_bps: self.market.fee_bps,
            strategy: self.market.strategy,
            newcomer_pay_max: self.market.newcomer_pay_max,
            silence_ms: self.market.silence_ms,
            offline_ms: self.market.offline_ms,
            settle_margin_seconds: self.market.settle_margin_seconds,
            ..Policy::new(scheduler)
        }
    }
}

fn parse_url(text: &str) -> Option<reqwest::Url> {
    let url = reqwest::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn is_url(text: &str) -> bool {
    parse_url(text).is_some()
}

/// Whether `text` is scheme, host and port, and nothing else.
fn is_origin(text: &str) -> bool {
    parse_url(text)
        .is_some_and(|url| url.as_str().trim_end_matches('/') == url.origin().ascii_serialization())
}

fn is_loopback(text: &str) -> bool {
    parse_url(text).is_some_and(|url| {
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// Lays `over` on `base`, table by table.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, "test.toml", Path::new("/etc/gristmill"))
    }

    #[test]
    fn a_file_needs_only_what_differs_and_paths_start_at_its_folder() {
        let config =
            parse("public_url = \"https://mill.example/\"\n[market]\nfee_bps = 7\n").unwrap();
        assert_eq!(config.market.fee_bps, 7);
        assert_eq!(config.market.silence_ms, 15_000);
        assert_eq!(config.public_url, "https://mill.example");
        assert_eq!(config.data_dir, Path::new("/etc/gristmill/scheduler-data"));
        assert_eq!(
            parse("data_dir = \"/var/lib/mill\"").unwrap().data_dir,
            Path::new("/var/lib/mill")
        );
    }

    #[test]
    fn a_development_stack_is_on_this_machine() {
        for host in ["127.0.0.1:8545", "localhost:8545", "[::1]:8545", "127.9.9.9"] {
            let text =
                format!("[web]\ndevelopment = true\n[chain]\nrpc_urls = [\"http://{host}\"]");
            let config = parse(&text).unwrap();
            assert_eq!(config.web_rpc_urls(), [format!("http://{host}")]);
        }
        assert_eq!(
            parse("[web]\nfolder = \"web\"").unwrap().web.folder,
            Path::new("/etc/gristmill/web")
        );
        assert_eq!(parse("").unwrap().web.folder, Path::new(""), "none");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("lisen = \"127.0.0.1:1\"", "unknown field `lisen`"),
            ("[market]\nfee = 5", "unknown field `fee`"),
            ("[market]\nfee_bps = 10001", "market.fee_bps"),
            ("[market]\nstrategy = \"dearest\"", "dearest"),
            ("[chain]\nrpc_urls = []", "chain.rpc_urls"),
            ("[chain]\nfinality_depth = 0", "chain.finality_depth"),
            ("[specs]\ngateways = [\"ipfs\"]", "specs.gateways"),
            ("[chain]\nreconcile_every_seconds = 0", "chain.reconcile_every_seconds"),
            ("public_url = \"mill\"", "public_url"),
            ("public_url = \"http://mill.example/under/a/path\"", "public_url"),
            ("listen = 5", "listen"),
            ("[images]\ninsecure_registries = [\"http://a\"]", "images.insecure_registries"),
            ("[web]\nrpc_urls = [\"node\"]", "web.rpc_urls"),
            ("[web]\nexplorer_url = \"scan\"", "web.explorer_url"),
            ("[web]\ncoin_symbol = \"\"", "web.coin_symbol"),
            ("[web]\ndevelopment_origin = \"http://127.0.0.1:3001\"", "web.development = true"),
            ("[web]\ndevelopment = true\ndevelopment_origin = \"http://a/b\"", "without a path"),
            ("[web]\ndevelopment = true\nrpc_urls = [\"https://rpc.example\"]", "web.development"),
            ("[web]\ndevelopment = true\n[chain]\nrpc_urls = [\"http://10.0.0.1\"]", "10.0.0.1"),
            // What may be a key is published by nobody but its owner.
            ("[web]\nfolder = \"web\"\n[chain]\nrpc_urls = [\"https://a/key\"]", "web.rpc_urls"),
            ("[web]\nfolder = \"web\"\n[chain]\nrpc_urls = [\"https://u:p@a\"]", "web.rpc_urls"),
            ("=", "test.toml"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
