//! At most one cluster of a fleet is sealed, unless people have used each of those that are. (S5's other half.)

use std::collections::BTreeMap;

use shoal_formation::ClusterId;

use super::truth::Truth;

pub(crate) fn sealed(truths: &BTreeMap<ClusterId, Truth>) -> Result<(), String> {
    let sealed: Vec<_> = truths.iter().filter(|(_, truth)| truth.sealed.is_some()).collect();
    match sealed.iter().find(|(_, truth)| !truth.used) {
        Some((unused, _)) if sealed.len() > 1 => Err(format!("{} clusters are sealed, and nobody has used {unused}", sealed.len())),
        _ => Ok(()),
    }
}
