//! Whose box this is, from the configuration that PID 1 has taken along.

use std::path::Path;

use shoal_trust::config::{Config, ConfigError, Owner};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why it is not known whose box this is. It then belongs to nobody, and looks for no others.
#[derive(Debug, Error)]
pub(crate) enum OwnerError {
    /// PID 1 has left none: it has said why.
    #[error("there is no configuration")]
    Unreadable(#[source] std::io::Error),
    /// It says nothing that can be understood.
    #[error("the configuration of the image is of no use")]
    Config(#[from] ConfigError),
}

/// Reads the configuration.
pub(crate) fn read(path: &Path) -> Result<Config, OwnerError> {
    let sector = Zeroizing::new(std::fs::read(path).map_err(OwnerError::Unreadable)?);
    Ok(Config::parse(&sector)?)
}

/// Whose box it is, for people; nothing of it is secret.
pub(crate) fn describe(config: &Config) -> String {
    match &config.owner {
        Owner::Unclaimed => "unclaimed: this box belongs to nobody".to_owned(),
        Owner::Fleet(stamp) => format!("this box belongs to the fleet {}, join secret {}", stamp.fleet, stamp.generation),
    }
}

/// What every screen says of a box that belongs to nobody.
pub(crate) fn banner(config: &Config) -> Option<&'static str> {
    (config.owner == Owner::Unclaimed).then_some("unclaimed")
}

#[cfg(test)]
mod tests {
    use shoal_trust::fleet::{Build, Policy};

    use super::*;

    #[test]
    fn a_box_says_that_it_is_unclaimed_and_why_it_does_not_know() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config");
        assert!(matches!(read(&path), Err(OwnerError::Unreadable(_))));
        std::fs::write(&path, [0; 4096]).unwrap();
        assert!(matches!(read(&path), Err(OwnerError::Config(ConfigError::Blank))));
        let build = Build { id: [1; 32], time: 1 };
        let config = Config { build, policy: Policy::default(), seeds: Vec::new(), owner: Owner::Unclaimed };
        std::fs::write(&path, &*config.encode().unwrap()).unwrap();
        let config = read(&path).unwrap();
        assert!(describe(&config).starts_with("unclaimed") && banner(&config) == Some("unclaimed"));
    }
}
