//! Carries a plan out through PID 1, with no opinion of its own: what is not as planned is started, in the plan's order.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;

use super::launch::{self, Record};
use super::prepare::Prepared;
use super::{address, files};
use crate::init::Init1Proxy;

const MODE: u32 = 0o600;

/// State of every service, by its name.
///
/// # Errors
/// If PID 1 does not answer.
pub(crate) async fn states(init: &Init1Proxy<'_>) -> anyhow::Result<BTreeMap<String, String>> {
    let rows = init.list_services().await.context("PID 1 does not say what runs")?;
    Ok(rows.into_iter().map(|(name, state, ..)| (name, state)).collect())
}

/// Writes the record of every unit down; gives the names of those that are new or have changed.
///
/// # Errors
/// If one cannot be written.
pub(crate) fn write_records(prepared: &Prepared) -> anyhow::Result<BTreeSet<String>> {
    let mut changed = BTreeSet::new();
    for unit in &prepared.plan.units {
        let certificates =
            unit.certificates.iter().filter_map(|name| Some((name.clone(), prepared.fingerprints.get(name)?.clone()))).collect();
        let text = serde_json::to_vec_pretty(&Record { unit: unit.clone(), certificates }).context("a record is plain data")?;
        let path = launch::path(&prepared.units, &unit.name);
        if std::fs::read(&path).ok().as_deref() != Some(&text) {
            files::replace(&path, MODE, &text).with_context(|| format!("cannot write {}", path.display()))?;
            changed.insert(unit.name.clone());
        }
    }
    Ok(changed)
}

/// Units that were planned before and are not now.
fn obsolete(prepared: &Prepared) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(&prepared.units).with_context(|| format!("cannot look into {}", prepared.units.display()))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned()));
    Ok(names.filter(|name| prepared.plan.units.iter().all(|unit| unit.name != *name)).collect())
}

/// Starts what does not run as planned, and stops what is planned no more. A unit whose record is the same and that PID 1 keeps running is left alone,
/// also by an agent that was started anew.
///
/// # Errors
/// If PID 1 does not know a unit's service, or a record cannot be written.
pub(crate) async fn execute(init: &Init1Proxy<'_>, prepared: &Prepared) -> anyhow::Result<()> {
    if let Some(address) = prepared.plan.address_to_hold {
        address::hold(address).await.with_context(|| format!("cannot give this box the address {address}"))?;
    }
    for name in obsolete(prepared)? {
        init.stop_service(&name).await.with_context(|| format!("PID 1 does not stop {name}"))?;
        std::fs::remove_file(launch::path(&prepared.units, &name)).with_context(|| format!("cannot forget {name}"))?;
        tracing::info!("{name} is stopped: it is planned no more");
    }
    let (states, changed) = (states(init).await?, write_records(prepared)?);
    for unit in &prepared.plan.units {
        let state = states.get(&unit.name).with_context(|| {
            format!("PID 1 has no service `{}`: the recipe lacks it, or names it otherwise (`shoal-agent plan` lists them)", unit.name)
        })?;
        match verb(changed.contains(&unit.name), state) {
            Some(Verb::Start) => init.start_service(&unit.name).await,
            Some(Verb::Restart) => init.restart_service(&unit.name).await,
            None => continue,
        }
        .with_context(|| format!("PID 1 does not start {}", unit.name))?;
        tracing::info!("{} runs as generation {} says", unit.name, unit.generation.get(..8).unwrap_or_default());
    }
    Ok(())
}

/// What PID 1 is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    Restart,
}

/// What brings a service from `state`, in PID 1's word, to its record.
fn verb(is_new: bool, state: &str) -> Option<Verb> {
    match (is_new, state) {
        (_, "stopped") => Some(Verb::Start),
        (true, _) => Some(Verb::Restart),
        (false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_as_planned_is_started() {
        let table = [
            (true, "stopped", Some(Verb::Start)),
            (false, "stopped", Some(Verb::Start)),
            (true, "running", Some(Verb::Restart)),
            (true, "done", Some(Verb::Restart)),
            (true, "failed", Some(Verb::Restart)),
            (false, "running", None),
            (false, "backoff", None),
            (false, "done", None),
        ];
        for (is_new, state, expected) in table {
            assert_eq!(verb(is_new, state), expected, "{is_new} {state}");
        }
    }
}
