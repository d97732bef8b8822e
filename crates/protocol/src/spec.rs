//! The job spec: what a submitter asks to have run. Immutable, and addressed by the sha-256 of its canonical JSON.
//!
//! Canonical JSON is RFC 8785. Optional fields that are not set are absent; every other field is present, defaults
//! included, so that a spec has exactly one byte form.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::content::ContentUri;
use crate::ids::SpecHash;

/// The only version of the format so far.
pub const SPEC_VERSION: u32 = 1;
/// Bytes of a spec's canonical JSON.
pub const SPEC_BYTES_MAX: usize = 64 * 1024;

const NAME_CHARS_MAX: usize = 100;
const COMMAND_ARGS_MAX: usize = 64;
const ARG_BYTES_MAX: usize = 4096;
const ENV_ENTRIES_MAX: usize = 64;
const ENV_NAME_BYTES_MAX: usize = 64;
const ENV_VALUE_BYTES_MAX: usize = 4096;
const INPUTS_MAX: usize = 32;
const URI_BYTES_MAX: usize = 2048;
const PATH_BYTES_MAX: usize = 512;
const IMAGE_BYTES_MAX: usize = 512;
const HOSTS_MAX: usize = 32;
const SECRETS_MAX: usize = 32;
const GPUS_MAX: u32 = 16;
const GPU_MODELS_MAX: usize = 16;
const GPU_MODEL_CHARS_MAX: usize = 64;
const RETRIES_MAX: u8 = 10;
const RUN_SECONDS_MAX: u32 = 30 * 86_400;
const MIB: u64 = 1 << 20;
/// Integers above this lose digits in JSON readers that use doubles (RFC 8785 §3.2.2.3).
const JSON_INTEGER_MAX: u64 = (1 << 53) - 1;

/// What to run, on what, with what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The version of this format: 1.
    pub version: u32,
    /// A name for people, 1 to 100 characters.
    pub name: String,
    pub runtime: Runtime,
    /// Arguments of the program. For docker they replace the image's command, for wasm they follow the program's name.
    #[serde(default)]
    pub command: Vec<String>,
    /// Environment of the program. Public: never put a secret here.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub inputs: Vec<Input>,
    #[serde(default)]
    pub resources: Resources,
    #[serde(default)]
    pub network: Network,
    /// How long one attempt may run before it is stopped.
    pub max_run_seconds: u32,
    /// How many further attempts follow one that failed, went silent or was rejected.
    #[serde(default = "default_retries")]
    pub retries: u8,
    #[serde(default)]
    pub verification: Verification,
    /// How to choose among nodes that fit; the scheduler's own strategy where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Names of secrets that the program expects; their values travel outside the spec.
    #[serde(default)]
    pub secrets: Vec<String>,
}

/// What executes the program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Runtime {
    /// A container image, named by digest: `registry/name@sha256:…`.
    Docker { image: String },
    /// A WASI preview 1 command module, named by its CID.
    Wasm {
        module: String,
        /// Instructions (wasmtime fuel) after which the program is stopped; time alone limits it where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fuel: Option<u64>,
    },
}

impl Runtime {
    #[must_use]
    pub fn kind(&self) -> RuntimeKind {
        match self {
            Self::Docker { .. } => RuntimeKind::Docker,
            Self::Wasm { .. } => RuntimeKind::Wasm,
        }
    }
}

/// The kinds of runtime that a node may offer.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    Docker,
    Wasm,
}

impl RuntimeKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Wasm => "wasm",
        }
    }
}

/// Data that is placed under `/input` before the program starts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// `ipfs://CID[/path]`, or `https://…` with a sha-256.
    pub uri: String,
    /// sha-256 of the file in hexadecimal: required for https, refused for ipfs, whose CID says it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where it appears, relative to `/input`.
    pub path: String,
}

/// What the program needs of a node, and all that it gets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Thousandths of a CPU.
    #[serde(default = "default_cpu_millis")]
    pub cpu_millis: u32,
    #[serde(default = "default_memory_bytes")]
    pub memory_bytes: u64,
    /// Room for inputs and output together.
    #[serde(default = "default_disk_bytes")]
    pub disk_bytes: u64,
    #[serde(default)]
    pub gpus: u32,
    /// Any of these models will do; any model at all where empty.
    #[serde(default)]
    pub gpu_models: Vec<String>,
    /// Memory of each GPU; 0 for any.
    #[serde(default)]
    pub vram_bytes: u64,
    /// Least CUDA compute capability, such as `8.6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<String>,
}

fn default_cpu_millis() -> u32 {
    1000
}
fn default_memory_bytes() -> u64 {
    512 * MIB
}
fn default_disk_bytes() -> u64 {
    1024 * MIB
}
fn default_retries() -> u8 {
    2
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu_millis: default_cpu_millis(),
            memory_bytes: default_memory_bytes(),
            disk_bytes: default_disk_bytes(),
            gpus: 0,
            gpu_models: Vec::new(),
            vram_bytes: 0,
            compute_capability: None,
        }
    }
}

/// What the program may reach.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Network {
    #[default]
    None,
    /// Only these hosts, by https.
    AllowList { hosts: Vec<String> },
}

/// Who checks the result, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(tag = "level", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verification {
    /// The receipt is valid, the output complete and fetched by the scheduler, the exit code 0.
    #[default]
    Receipt,
    /// Another node runs the job again, with this probability in percent.
    Rerun { percent: u8 },
    /// `k` of `n` nodes must agree.
    Replicate { k: u8, n: u8 },
    /// The submitter accepts the result, or lets the window pass.
    Approve,
}

/// How to choose among the nodes, or jobs, that fit.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The node that would have least left over.
    #[default]
    BestFit,
    /// The node that has waited longest.
    RoundRobin,
    /// The node with the lowest price floor.
    Cheapest,
    /// The node with the best reputation.
    Reputation,
}

/// What is wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("the job spec is not valid JSON of the expected form: {0}")]
    Malformed(String),
    #[error(
        "the job spec is {bytes} bytes of canonical JSON; at most {SPEC_BYTES_MAX} are allowed"
    )]
    TooLarge { bytes: usize },
    #[error("`{field}` {problem}")]
    Invalid { field: String, problem: String },
    #[error("`{field}` asks for {feature}, which this version does not support")]
    NotSupported { field: &'static str, feature: &'static str },
}

fn invalid(field: impl Into<String>, problem: impl Into<String>) -> SpecError {
    SpecError::Invalid { field: field.into(), problem: problem.into() }
}

impl JobSpec {
    /// Reads JSON, canonical or not, and checks every limit.
    pub fn from_json(json: &[u8]) -> Result<Self, SpecError> {
        if json.len() > 4 * SPEC_BYTES_MAX {
            return Err(SpecError::TooLarge { bytes: json.len() });
        }
        let spec: Self = serde_json::from_slice(json)
            .map_err(|error| SpecError::Malformed(error.to_string()))?;
        spec.validate()?;
        Ok(spec)
    }

    /// The one byte form of this spec.
    #[must_use]
    pub fn canonical_json(&self) -> Vec<u8> {
        crate::canonical_json(self)
    }

    #[must_use]
    pub fn hash(&self) -> SpecHash {
        let digest: [u8; 32] = Sha256::digest(self.canonical_json()).into();
        SpecHash(digest.into())
    }

    /// The most attempts that the job may take.
    #[must_use]
    pub fn attempts_max(&self) -> u16 {
        u16::from(self.retries) + 1
    }

    /// Checks every limit of the format.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.version != SPEC_VERSION {
            return Err(invalid(
                "version",
                format!("is {}; this software knows {SPEC_VERSION}", self.version),
            ));
        }
        text("name", &self.name, 1, NAME_CHARS_MAX * 4)?;
        if self.name.chars().count() > NAME_CHARS_MAX {
            return Err(invalid("name", format!("is longer than {NAME_CHARS_MAX} characters")));
        }
        self.validate_runtime()?;
        count("command", self.command.len(), COMMAND_ARGS_MAX)?;
        for arg in &self.command {
            if arg.len() > ARG_BYTES_MAX || arg.contains('\0') {
                return Err(invalid(
                    "command",
                    format!(
                        "has an argument that is longer than {ARG_BYTES_MAX} bytes or holds a NUL"
                    ),
                ));
            }
        }
        self.validate_env()?;
        self.validate_inputs()?;
        self.resources.validate()?;
        if let Network::AllowList { hosts } = &self.network {
            count("network.hosts", hosts.len(), HOSTS_MAX)?;
            if let Some(host) = hosts.iter().find(|host| !is_host(host)) {
                return Err(invalid(
                    "network.hosts",
                    format!("holds `{}`, which is not a host name", head(host)),
                ));
            }
        }
        if !(1..=RUN_SECONDS_MAX).contains(&self.max_run_seconds) {
            return Err(invalid("max_run_seconds", format!("must be 1 to {RUN_SECONDS_MAX}")));
        }
        if self.retries > RETRIES_MAX {
            return Err(invalid("retries", format!("must be at most {RETRIES_MAX}")));
        }
        match self.verification {
            Verification::Receipt | Verification::Approve => {}
            Verification::Rerun { percent } if !(1..=100).contains(&percent) => {
                return Err(invalid("verification.percent", "must be 1 to 100"));
            }
            Verification::Replicate { k, n } if k == 0 || k > n || n > 9 => {
                return Err(invalid("verification", "needs 1 ≤ k ≤ n ≤ 9"));
            }
            Verification::Rerun { .. } | Verification::Replicate { .. } => {}
        }
        count("secrets", self.secrets.len(), SECRETS_MAX)?;
        if let Some(name) = self.secrets.iter().find(|name| !is_env_name(name)) {
            return Err(invalid(
                "secrets",
                format!("holds `{}`, which is not a variable name", head(name)),
            ));
        }
        let bytes = self.canonical_json().len();
        if bytes > SPEC_BYTES_MAX {
            return Err(SpecError::TooLarge { bytes });
        }
        Ok(())
    }

    /// Refuses what the format can say but no part of this version does yet, so that no job waits for it in vain.
    pub fn supported(&self) -> Result<(), SpecError> {
        let unsupported = |field, feature| Err(SpecError::NotSupported { field, feature });
        match self.network {
            Network::None => {}
            Network::AllowList { .. } => return unsupported("network", "an allow-list"),
        }
        match self.verification {
            Verification::Receipt => {}
            Verification::Rerun { .. } => return unsupported("verification", "a rerun"),
            Verification::Replicate { .. } => return unsupported("verification", "replication"),
            Verification::Approve => {
                return unsupported("verification", "approval by the submitter");
            }
        }
        if !self.secrets.is_empty() {
            return unsupported("secrets", "secrets");
        }
        Ok(())
    }

    fn validate_runtime(&self) -> Result<(), SpecError> {
        match &self.runtime {
            Runtime::Docker { image } => {
                let digest = image.split_once("@sha256:");
                let fits = image.len() <= IMAGE_BYTES_MAX
                    && digest
                        .is_some_and(|(name, digest)| is_image_name(name) && is_sha256(digest));
                if !fits {
                    return Err(invalid(
                        "runtime.image",
                        "must name an image by digest: registry/name@sha256:… (64 hexadecimal digits)",
                    ));
                }
            }
            Runtime::Wasm { module, fuel } => {
                if module.len() > URI_BYTES_MAX || module.parse::<cid::Cid>().is_err() {
                    return Err(invalid("runtime.module", "must be the CID of the module"));
                }
                if fuel.is_some_and(|fuel| fuel == 0 || fuel > JSON_INTEGER_MAX) {
                    return Err(invalid(
                        "runtime.fuel",
                        format!("must be 1 to {JSON_INTEGER_MAX}"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn validate_env(&self) -> Result<(), SpecError> {
        count("env", self.env.len(), ENV_ENTRIES_MAX)?;
        for (name, value) in &self.env {
            if !is_env_name(name) {
                return Err(invalid(
                    "env",
                    format!("holds `{}`, which is not a variable name", head(name)),
                ));
            }
            if value.len() > ENV_VALUE_BYTES_MAX || value.contains('\0') {
                return Err(invalid(
                    format!("env.{name}"),
                    format!("is longer than {ENV_VALUE_BYTES_MAX} bytes or holds a NUL"),
                ));
            }
        }
        Ok(())
    }

    fn validate_inputs(&self) -> Result<(), SpecError> {
        count("inputs", self.inputs.len(), INPUTS_MAX)?;
        let mut paths = BTreeSet::new();
        for (index, input) in self.inputs.iter().enumerate() {
            let field = |name: &str| format!("inputs[{index}].{name}");
            if input.uri.len() > URI_BYTES_MAX {
                return Err(invalid(field("uri"), format!("is longer than {URI_BYTES_MAX} bytes")));
            }
            if input.uri.starts_with("ipfs://") {
                input
                    .uri
                    .parse::<ContentUri>()
                    .map_err(|error| invalid(field("uri"), error.to_string()))?;
                if input.sha256.is_some() {
                    return Err(invalid(
                        field("sha256"),
                        "is for https only: a CID names its content already",
                    ));
                }
            } else if input.uri.starts_with("https://") || input.uri.starts_with("http://127.0.0.1")
            {
                // Plain http exists on the loopback interface only, where a development stack has no certificate; the
                // node refuses private addresses unless its own config names the host.
                match &input.sha256 {
                    Some(digest) if is_sha256(digest) => {}
                    _ => {
                        return Err(invalid(
                            field("sha256"),
                            "is required for https: 64 hexadecimal digits",
                        ));
                    }
                }
            } else {
                return Err(invalid(field("uri"), "must start with ipfs:// or https://"));
            }
            if !is_relative_path(&input.path) {
                return Err(invalid(
                    field("path"),
                    "must be a relative path of plain names, such as data/train.csv",
                ));
            }
            if !paths.insert(&input.path) {
                return Err(invalid(field("path"), "is used twice"));
            }
        }
        // A file cannot also be the folder of another input.
        for path in &paths {
            if paths.iter().any(|other| {
                other.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }) {
                return Err(invalid(
                    "inputs",
                    format!("has `{path}` both as an input and as a folder of another"),
                ));
            }
        }
        Ok(())
    }
}

impl Resources {
    fn validate(&self) -> Result<(), SpecError> {
        let range = |field: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(invalid(
                    format!("resources.{field}"),
                    format!("is {value}; it must be {least} to {most}"),
                ))
            }
        };
        range("cpu_millis", self.cpu_millis.into(), 100, 256_000)?;
        range("memory_bytes", self.memory_bytes, 16 * MIB, 4096 * 1024 * MIB)?;
        range("disk_bytes", self.disk_bytes, MIB, 65_536 * 1024 * MIB)?;
        range("gpus", self.gpus.into(), 0, GPUS_MAX.into())?;
        range("vram_bytes", self.vram_bytes, 0, 1024 * 1024 * MIB)?;
        count("resources.gpu_models", self.gpu_models.len(), GPU_MODELS_MAX)?;
        for model in &self.gpu_models {
            text("resources.gpu_models", model, 1, GPU_MODEL_CHARS_MAX)?;
        }
        if let Some(capability) = &self.compute_capability
            && parse_compute_capability(capability).is_none()
        {
            return Err(invalid("resources.compute_capability", "must look like 8.6"));
        }
        if self.gpus == 0
            && (!self.gpu_models.is_empty()
                || self.vram_bytes > 0
                || self.compute_capability.is_some())
        {
            return Err(invalid(
                "resources.gpus",
                "is 0, but a GPU model, VRAM or compute capability is asked for",
            ));
        }
        Ok(())
    }
}

/// Reads `8.6` as (8, 6), so that 8.10 is more than 8.9.
#[must_use]
pub fn parse_compute_capability(text: &str) -> Option<(u8, u8)> {
    let (major, minor) = text.split_once('.')?;
    let number = |part: &str| {
        let plain =
            !part.is_empty() && part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse().ok() } else { None }
    };
    Some((number(major)?, number(minor)?))
}

fn head(text: &str) -> String {
    text.chars().take(80).collect()
}

fn count(field: &str, len: usize, most: usize) -> Result<(), SpecError> {
    if len > most {
        return Err(invalid(field, format!("has {len} entries; at most {most} are allowed")));
    }
    Ok(())
}

fn text(field: &str, value: &str, least: usize, most: usize) -> Result<(), SpecError> {
    if value.len() < least || value.len() > most {
        return Err(invalid(field, format!("must be {least} to {most} bytes long")));
    }
    if value.chars().any(char::is_control) {
        return Err(invalid(field, "holds a control character"));
    }
    Ok(())
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_env_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=ENV_NAME_BYTES_MAX).contains(&name.len())
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(word)
}

fn is_image_name(name: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_/:".contains(&byte);
    !name.is_empty()
        && name.bytes().all(plain)
        && !name.starts_with(['/', ':', '.', '-'])
        && !name.contains("//")
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

fn is_relative_path(path: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty() && name != "." && name != ".." && !name.chars().any(char::is_control)
    };
    path.len() <= PATH_BYTES_MAX && !path.contains('\\') && path.split('/').all(name)
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
