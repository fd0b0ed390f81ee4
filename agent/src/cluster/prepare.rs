//! A plan and all it needs to be carried out: what programs read of the cluster's authorities, certificates, and files as the plan has them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use shoal_plane::{Observed, Plan, Policy, Secret, plan};

use super::authorities::Authorities;
use super::{certificates, files};

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

/// Plans, issues what is due, and writes. `now` in seconds since 1970.
///
/// # Errors
/// If the state partition or `/run` cannot be written, or what lies there is damaged.
pub(crate) fn prepare(policy: &Policy, observed: &Observed, authorities: &Authorities, now: i64) -> anyhow::Result<Prepared> {
    let directories = &policy.directories;
    let (state, run) = (Path::new(&directories.state), Path::new(&directories.run));
    let units = run.join("units");
    for directory in [state, &units, Path::new(&directories.log)] {
        files::make_directory(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    authorities.write(&run.join("authorities"))?;
    let plan = plan(policy, &authorities.cluster, observed);
    let fingerprints = certificates::ensure(&state.join("certificates"), authorities, &plan.certificates, now)?;
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
