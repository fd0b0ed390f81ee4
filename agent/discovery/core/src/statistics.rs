//! What was counted.

/// How many beacons came, and what became of them; and how many addresses were tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Of this fleet, with a MAC that fits.
    pub genuine: u64,
    /// This node's own.
    pub own: u64,
    /// Of another fleet.
    pub other_fleet: u64,
    /// Of this fleet as they say, with another join secret. If these are all that there are, the stick has to be stamped again.
    pub other_generation: u64,
    /// Of this fleet as they say, with a MAC that does not fit: somebody is lying.
    pub forged: u64,
    /// Genuine, but there was no place for their peer.
    pub crowded_out: u64,
    /// Addresses that were given out to be tried.
    pub attempts: u64,
    /// Conflicts of labels.
    pub conflicts: u64,
}
