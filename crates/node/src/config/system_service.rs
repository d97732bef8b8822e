//! `[service]`: how the agent behaves towards what starts and stops it.

use serde::Deserialize;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// How long a job may go on after the first signal to stop, before it is given back.
    pub drain_seconds: u64,
}

impl ServiceConfig {
    /// As in the documented default file.
    pub const DEFAULT: Self = Self { drain_seconds: 900 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_that_of_the_file() {
        let file: toml::Table = crate::config::DEFAULT.parse().unwrap();
        let service: ServiceConfig = file["service"].clone().try_into().unwrap();
        assert_eq!(service, ServiceConfig::DEFAULT);
    }
}
