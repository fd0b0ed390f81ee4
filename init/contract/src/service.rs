//! `/shoal/services.toml`: what PID 1 runs, in what order, with which limits.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ContractError;
use crate::boot::Level;

/// Contents of `/shoal/services.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Services {
    /// The services; their order in the file has no meaning.
    #[serde(default, rename = "service")]
    pub services: Vec<Service>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Service {
    /// Name: lower-case letters, digits and `-`; it also names the control group and the log.
    pub name: String,
    /// Program and arguments; the program is an absolute path.
    pub exec: Vec<String>,
    /// Environment, in addition to PATH.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// A daemon runs until it is stopped; a oneshot is done when it has exited with 0.
    #[serde(default)]
    pub kind: Kind,
    /// Who starts it first.
    #[serde(default)]
    pub start: Start,
    /// Services that must be ready (a oneshot: done) before this one starts. At shutdown this one is stopped before them.
    #[serde(default)]
    pub after: Vec<String>,
    /// When a daemon counts as ready.
    #[serde(default)]
    pub ready: Ready,
    /// Time from start to ready, in milliseconds, after which the start has failed.
    #[serde(default = "default_ready_timeout_ms")]
    pub ready_timeout_ms: u64,
    /// What follows an exit.
    #[serde(default)]
    pub restart: Restart,
    /// What follows when it fails again and again.
    #[serde(default)]
    pub give_up: Option<GiveUp>,
    /// Limits of its control group.
    #[serde(default)]
    pub limits: Limits,
    /// The service manages the control groups below its own (containerd, kubelet): all controllers are delegated, and stopping it
    /// does not kill what runs below.
    #[serde(default)]
    pub delegate: bool,
    /// Signal that asks it to stop: `TERM` or `INT`.
    #[serde(default)]
    pub stop_signal: StopSignal,
    /// Time from the stop signal to SIGKILL, in milliseconds.
    #[serde(default = "default_stop_timeout_ms")]
    pub stop_timeout_ms: u64,
    /// Level at which its output is filed; the console shows it if the console's level is as low.
    #[serde(default = "default_log_level")]
    pub log_level: Level,
}

/// What kind of process a service is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Runs until it is stopped.
    #[default]
    Daemon,
    /// Is done when it has exited with 0.
    Oneshot,
}

/// Who starts a service first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// PID 1, at boot.
    #[default]
    Boot,
    /// Whoever asks for it on the bus (the agent, which knows its arguments only at run time). Until then it is stopped, and nobody waits for it.
    Asked,
}

/// When a daemon counts as ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ready {
    /// As soon as it runs.
    #[default]
    Started,
    /// When it accepts a connection on this Unix socket.
    Socket(String),
    /// When it sends `READY=1` to `$NOTIFY_SOCKET` (sd_notify(3)).
    Notify,
}

/// What follows an exit that nobody asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Start it again, after a growing delay.
    #[default]
    Always,
    /// Start it again after a growing delay unless it exited with 0.
    OnFailure,
    /// Leave it.
    Never,
}

/// What follows when a service fails `failures` times within `within_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GiveUp {
    /// How many failures.
    pub failures: u32,
    /// Within which time, in milliseconds.
    pub within_ms: u64,
    /// What then.
    pub action: GiveUpAction,
}

/// The last resort for a service that keeps failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GiveUpAction {
    /// Leave it failed and say so on the console.
    Stop,
    /// Reboot the box (boot counting may then choose another version).
    Reboot,
}

/// Limits of a service's control group (cgroup v2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// `memory.max` in bytes.
    #[serde(default)]
    pub memory_max: Option<u64>,
    /// `memory.high` in bytes.
    #[serde(default)]
    pub memory_high: Option<u64>,
    /// `cpu.weight`, 1 to 10000.
    #[serde(default)]
    pub cpu_weight: Option<u16>,
    /// `pids.max`.
    #[serde(default)]
    pub pids_max: Option<u32>,
    /// `/proc/<pid>/oom_score_adj`, -1000 to 1000.
    #[serde(default)]
    pub oom_score_adjust: Option<i16>,
}

/// Signal that asks a service to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGINT.
    Int,
}

const fn default_ready_timeout_ms() -> u64 {
    90_000
}

const fn default_stop_timeout_ms() -> u64 {
    10_000
}

const fn default_log_level() -> Level {
    Level::Info
}

const FILE: &str = "services.toml";

impl Services {
    /// Reads and checks `services.toml`.
    ///
    /// # Errors
    /// [`ContractError`] if the text is not of this shape, or [`Self::check`] fails.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        let services: Self = toml::from_str(text).map_err(|source| ContractError::Syntax { what: FILE, source: Box::new(source) })?;
        services.check()?;
        Ok(services)
    }

    /// Writes `services.toml`; the same value always gives the same bytes.
    ///
    /// # Panics
    /// Never: every field of the type has a TOML form.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("Services has no value that TOML cannot express")
    }

    /// Checks names, programs and order.
    ///
    /// # Errors
    /// [`ContractError::Invalid`] if a name is malformed or used twice, a program is not an absolute path, `after` names no service, or
    /// the order is a circle.
    pub fn check(&self) -> Result<(), ContractError> {
        let invalid = |reason: String| Err(ContractError::Invalid { what: FILE, reason });
        let mut names = BTreeSet::new();
        for service in &self.services {
            let name = &service.name;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
                return invalid(format!("`{name}` is not a service name; use lower-case letters, digits and `-`"));
            }
            if !names.insert(name.as_str()) {
                return invalid(format!("there are two services named `{name}`; rename one"));
            }
            if !service.exec.first().is_some_and(|program| program.starts_with('/')) {
                return invalid(format!("service `{name}`: `exec` must begin with the absolute path of a program"));
            }
        }
        for service in &self.services {
            for before in &service.after {
                if !names.contains(before.as_str()) {
                    return invalid(format!("service `{}` starts after `{before}`, which does not exist", service.name));
                }
            }
        }
        self.start_order().map(drop)
    }

    /// The services such that each stands behind all it starts after; equal ones by name.
    ///
    /// # Errors
    /// [`ContractError::Invalid`] if the order is a circle; it names the services in it.
    pub fn start_order(&self) -> Result<Vec<&Service>, ContractError> {
        let mut waiting: BTreeMap<&str, &Service> = self.services.iter().map(|service| (service.name.as_str(), service)).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let free: Vec<&str> = waiting
                .values()
                .filter(|service| !service.after.iter().any(|before| waiting.contains_key(before.as_str())))
                .map(|service| service.name.as_str())
                .collect();
            if free.is_empty() {
                let names: Vec<&str> = waiting.keys().copied().collect();
                return Err(ContractError::Invalid {
                    what: FILE,
                    reason: format!("these services wait for one another: {}; take one `after` out", names.join(", ")),
                });
            }
            order.extend(free.iter().filter_map(|name| waiting.remove(name)));
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Services, String> {
        Services::parse(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_minimal_service_gets_the_documented_defaults() {
        let services = parse("[[service]]\nname = \"a\"\nexec = [\"/bin/a\"]\n").unwrap();
        let service = &services.services[0];
        assert_eq!((service.kind, service.restart, service.stop_timeout_ms), (Kind::Daemon, Restart::Always, 10_000));
        assert_eq!(service.start, Start::Boot);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = "[[service]]\nname = \"a\"\nexec = [\"/bin/a\"]\nready = { socket = \"/run/a\" }\n[service.limits]\nmemory-max = 5\n";
        let services = parse(text).unwrap();
        assert_eq!(services.services[0].ready, Ready::Socket("/run/a".into()));
        assert_eq!(Services::parse(&services.to_toml()).unwrap(), services);
    }

    #[test]
    fn a_circle_is_refused_and_named() {
        let text =
            "[[service]]\nname = \"a\"\nexec = [\"/a\"]\nafter = [\"b\"]\n[[service]]\nname = \"b\"\nexec = [\"/b\"]\nafter = [\"a\"]\n";
        assert!(parse(text).unwrap_err().contains("wait for one another: a, b"));
    }

    #[test]
    fn services_start_behind_what_they_need() {
        let text = "[[service]]\nname = \"a\"\nexec = [\"/a\"]\nafter = [\"c\"]\n[[service]]\nname = \"b\"\nexec = [\"/b\"]\n[[service]]\nname = \"c\"\nexec = [\"/c\"]\n";
        let services = parse(text).unwrap();
        let names: Vec<_> = services.start_order().unwrap().iter().map(|service| service.name.clone()).collect();
        assert_eq!(names, ["b", "c", "a"]);
    }

    #[test]
    fn unknown_keys_relative_programs_and_unknown_names_are_refused() {
        assert!(parse("[[service]]\nname = \"a\"\nexec = [\"/a\"]\nmemory = 1\n").is_err());
        assert!(parse("[[service]]\nname = \"a\"\nexec = [\"a\"]\n").unwrap_err().contains("absolute path"));
        assert!(parse("[[service]]\nname = \"a\"\nexec = [\"/a\"]\nafter = [\"z\"]\n").unwrap_err().contains("`z`"));
    }
}
