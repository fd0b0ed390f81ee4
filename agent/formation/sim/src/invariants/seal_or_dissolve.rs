//! A cluster is sealed or dissolves, never both. (S6)

use shoal_formation::{ClusterId, control::Control};

use super::truth::Truth;

/// What a member makes of what it has applied.
pub(crate) fn state(index: usize, control: &Control) -> Result<(), String> {
    if control.sealed().is_some() && control.dissolved().is_some() {
        return Err(format!("box {index} has a cluster that is sealed and has dissolved"));
    }
    Ok(())
}

/// What was committed.
pub(crate) fn committed(cluster: ClusterId, truth: &Truth) -> Result<(), String> {
    if truth.sealed.is_some() && truth.dissolved.is_some() {
        return Err(format!("{cluster} is sealed and has dissolved"));
    }
    Ok(())
}
