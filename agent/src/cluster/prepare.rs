//! A plan and all it needs to be carried out: the cluster's authorities, certificates, and files as the plan has them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use shoal_plane::{Observed, Plan, Policy, Secret, plan, ranges};

use super::authorities::Authorities;
use super::{certificates, files, observe};

/// A plan whose files and certificates are there.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What is to run.
    pub(crate) plan: Plan,
    /// Fingerprint of each certificate, by its name.
    pub(crate) fingerprints: BTreeMap<String, String>,
    /// Directory of the records that `shoal-agent run` reads.
    pub(crate) units: std::path::PathBuf,
}

/// Founds the cluster if there is none; plans, issues what is due, and writes. `build_time` and `now` in seconds since 1970.
///
/// # Errors
/// If the state partition or `/run` cannot be written, or what lies there is damaged.
pub(crate) fn prepare(policy: &Policy, observed: &Observed, build_time: i64, now: i64) -> anyhow::Result<Prepared> {
    let directories = &policy.directories;
    let (state, run) = (Path::new(&directories.state), Path::new(&directories.run));
    let units = run.join("units");
    for directory in [state, &units, Path::new(&directories.log)] {
        files::make_directory(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let used = observe::used()?;
    let authorities = Authorities::open_or_found(state, build_time, || ranges::choose(&used))?;
    let plan = plan(policy, &authorities.cluster, observed);
    let fingerprints = certificates::ensure(&state.join("certificates"), &authorities, &plan.certificates, now)?;
    for file in &plan.files {
        let contents = match file.secret {
            Some(secret @ Secret::EncryptionKey) => file.contents.replace(secret.placeholder(), &authorities.encryption_key),
            None => file.contents.clone(),
        };
        let path = Path::new(&file.path);
        if let Some(directory) = path.parent() {
            files::make_directory(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        files::replace(path, file.mode, contents.as_bytes()).with_context(|| format!("cannot write {}", file.path))?;
    }
    Ok(Prepared { plan, fingerprints, units })
}
