//! What must hold, whatever goes wrong. One file for each claim.

pub mod agreement;
pub mod events;
pub mod leaders;
pub mod leases;
pub mod linearizability;
pub mod liveness;
