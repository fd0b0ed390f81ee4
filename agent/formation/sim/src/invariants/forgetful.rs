//! A member that runs from an old copy of its disk takes part in no quorum. (S12)
//!
//! What it would break if it did is what [`super::histories`] watches: an entry that was committed with its vote, and that a later majority, again with
//! its vote, does not have. Here is only what a test asks for: whether the others have noticed.

use shoal_formation::{Alarm, NodeId};

use super::Checks;

/// Whether somebody has raised that this member is forgetful.
#[must_use]
pub fn is_noticed(checks: &Checks, node: NodeId) -> bool {
    checks.alarms.iter().any(|(_, _, alarm)| *alarm == Alarm::Forgetful(node))
}
