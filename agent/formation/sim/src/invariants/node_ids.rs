//! A NodeId belongs to one stick, for ever: no other ever writes down that it is that member. (S3)
//!
//! A copy of a stick that was a member already is the same member in two places, and does not write it down again.

use std::collections::BTreeMap;

use shoal_formation::{ClusterId, NodeId};

/// Which stick is which member.
#[derive(Debug, Default)]
pub(crate) struct Owners(BTreeMap<(ClusterId, NodeId), u32>);

impl Owners {
    pub(crate) fn owns(&mut self, index: usize, serial: u32, cluster: ClusterId, node: NodeId) -> Result<(), String> {
        let owner = *self.0.entry((cluster, node)).or_insert(serial);
        if owner == serial {
            return Ok(());
        }
        Err(format!("box {index}, with stick {serial}, becomes {node} of {cluster}, which stick {owner} was before"))
    }
}
