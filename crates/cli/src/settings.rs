//! Where scheduler, chain and wallet are: flags before environment before the config file before defaults.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure, Result, chain_of, io};
use crate::output::Color;

/// The scheduler of a local development stack.
const SCHEDULER_DEFAULT: &str = "http://127.0.0.1:8080";

/// Options that every command takes.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct GlobalArgs {
    /// The scheduler's address [default: http://127.0.0.1:8080]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "GRISTMILL_SCHEDULER",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) scheduler: Option<String>,
    /// The RPC endpoint of the chain
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "GRISTMILL_RPC",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) rpc: Option<String>,
    /// The file that says where the contract is: deployments/CHAIN_ID.json
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "GRISTMILL_DEPLOYMENT",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) deployment: Option<PathBuf>,
    /// The encrypted wallet [default: the wallet `default` of `gristmill wallet list`]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "GRISTMILL_KEYSTORE",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) keystore: Option<PathBuf>,
    /// The config file [default: ~/.config/gristmill/config.toml]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "GRISTMILL_CONFIG",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Answer in JSON: one value on stdout, JSON Lines for streams; errors as JSON on stderr
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// No progress and no hints on stderr
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "auto|always|never",
        help_heading = "Global options"
    )]
    pub(crate) color: Color,
}

/// The config file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    scheduler: Option<String>,
    rpc: Option<String>,
    /// Relative to the config file's directory.
    deployment: Option<PathBuf>,
    keystore: Option<PathBuf>,
}

/// Where a setting came from, so that a wrong one can be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    FlagOrEnvironment,
    ConfigFile,
    Default,
}

impl Origin {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::FlagOrEnvironment => "flag or environment",
            Self::ConfigFile => "config file",
            Self::Default => "default",
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// The settings of one run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) scheduler: Setting<String>,
    pub(crate) rpc: Option<Setting<String>>,
    pub(crate) deployment: Option<Setting<PathBuf>>,
    pub(crate) keystore: Setting<PathBuf>,
    /// Wallets, records of jobs and sessions.
    pub(crate) data_dir: PathBuf,
    pub(crate) config_file: PathBuf,
}

impl Settings {
    pub(crate) fn load(args: &GlobalArgs) -> Result<Self> {
        let home = std::env::home_dir();
        let (config_file, named) = match &args.config {
            Some(path) => (path.clone(), true),
            None => (
                base_dir("XDG_CONFIG_HOME", home.as_deref(), ".config")?.join("config.toml"),
                false,
            ),
        };
        let file = read_config(&config_file, named)?;
        let beside = |path: PathBuf| {
            config_file.parent().map_or_else(|| path.clone(), |dir| dir.join(&path))
        };
        let data_dir = base_dir("XDG_DATA_HOME", home.as_deref(), ".local/share")?;
        Ok(Self {
            scheduler: pick(args.scheduler.clone(), file.scheduler).unwrap_or_else(|| Setting {
                value: SCHEDULER_DEFAULT.to_owned(),
                origin: Origin::Default,
            }),
            rpc: pick(args.rpc.clone(), file.rpc),
            deployment: pick(args.deployment.clone(), file.deployment.map(beside)),
            keystore: pick(args.keystore.clone(), file.keystore.map(beside)).unwrap_or_else(|| {
                Setting { value: data_dir.join("wallets/default.json"), origin: Origin::Default }
            }),
            data_dir,
            config_file,
        })
    }

    /// The wallets that `wallet new` and `wallet list` know by name.
    pub(crate) fn wallets_dir(&self) -> PathBuf {
        self.data_dir.join("wallets")
    }
}

fn pick<T>(given: Option<T>, configured: Option<T>) -> Option<Setting<T>> {
    let given = given.map(|value| Setting { value, origin: Origin::FlagOrEnvironment });
    given.or_else(|| configured.map(|value| Setting { value, origin: Origin::ConfigFile }))
}

fn base_dir(variable: &str, home: Option<&Path>, below_home: &str) -> Result<PathBuf> {
    let base = match std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
    {
        Some(base) => base,
        None => home
            .filter(|home| !home.as_os_str().is_empty())
            .ok_or_else(|| {
                Failure::usage(format!("neither HOME nor {variable} is set")).hint("set HOME")
            })?
            .join(below_home),
    };
    Ok(base.join("gristmill"))
}

/// A config file that was not named need not exist.
fn read_config(path: &Path, named: bool) -> Result<ConfigFile> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {
            return Ok(ConfigFile::default());
        }
        Err(error) => {
            return Err(Failure { exit: Exit::Usage, ..io("read the config file", path)(error) });
        }
    };
    toml::from_str(&text).map_err(|error| {
        Failure::usage(format!(
            "the config file `{}` cannot be used: {}",
            path.display(),
            chain_of(&error)
        ))
        .hint("it may set scheduler, rpc, deployment and keystore, each a string")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<ConfigFile> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        read_config(&path, true)
    }

    #[test]
    fn a_config_file_is_read_strictly() {
        let file =
            config("scheduler = \"https://mill.example\"\ndeployment = \"39.json\"\n").unwrap();
        assert_eq!(file.scheduler.as_deref(), Some("https://mill.example"));
        assert_eq!(file.deployment, Some("39.json".into()));
        for text in ["schedular = \"x\"", "scheduler = 1", "password = \"x\"", "="] {
            let failure = config(text).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{text}");
            assert!(failure.message.contains("config.toml"), "{}", failure.message);
        }
    }

    #[test]
    fn only_a_named_config_file_must_exist() {
        let missing = Path::new("/nonexistent/gristmill.toml");
        assert!(read_config(missing, false).is_ok());
        assert_eq!(read_config(missing, true).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn what_is_given_wins_over_what_is_configured() {
        let picked = pick(Some(1), Some(2)).unwrap();
        assert_eq!((picked.value, picked.origin), (1, Origin::FlagOrEnvironment));
        let picked = pick(None, Some(2)).unwrap();
        assert_eq!((picked.value, picked.origin), (2, Origin::ConfigFile));
        assert!(pick::<u8>(None, None).is_none());
    }
}
