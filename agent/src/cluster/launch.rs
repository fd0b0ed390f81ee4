//! How a service of Kubernetes gets its arguments: PID 1 starts `shoal-agent run UNIT`, which reads the unit's record and becomes its program.
//!
//! So PID 1 knows nothing of plans, and a service's process is the program itself: its exit, its signals and its sd_notify(3) are its own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use shoal_plane::Unit;

use super::api;

/// Where the records are, on a box.
const UNITS: &str = "/run/shoal/cluster/units";

/// `shoal-agent run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunCommand {
    /// Name of the unit.
    unit: String,
    /// Directory of the units' records.
    #[arg(long, value_name = "DIRECTORY", default_value = UNITS)]
    units: PathBuf,
}

/// A unit as it is written down: with another record it is another process.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Record {
    pub(crate) unit: Unit,
    /// Fingerprints of the certificates that it uses.
    pub(crate) certificates: BTreeMap<String, String>,
}

/// File of a unit's record.
pub(crate) fn path(units: &Path, name: &str) -> PathBuf {
    units.join(format!("{name}.json"))
}

impl RunCommand {
    /// Becomes the program.
    ///
    /// # Errors
    /// If there is no such unit, or no such program.
    pub(crate) fn run(&self) -> anyhow::Result<Infallible> {
        let path = path(&self.units, &self.unit);
        let text = std::fs::read(&path).with_context(|| {
            format!("{} cannot be read, so nothing is planned for `{}`: shoal-agent plans it on a box", path.display(), self.unit)
        })?;
        let record: Record = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
        let unit = record.unit;
        if let Some(authority) = &unit.waits_for_api {
            api::wait_until_ready(Path::new(authority))?;
        }
        let error = Command::new(&unit.program).args(&unit.arguments).envs(&unit.environment).exec();
        Err(error).with_context(|| format!("cannot run {}", unit.program))
    }
}
