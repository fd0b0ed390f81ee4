//! What the booting half of PID 1 hands to the supervising half, and what it gets back.
//!
//! `main` boots (modules, root, state, clock, links), fills in a [`Handoff`], and calls [`crate::supervise::run`]. When that returns,
//! every service has ended and `main` does the [`LastAct`]: sync, unmount the state partition, reboot(2).

use shoal_contract::{Boot, Services};
use tokio::sync::mpsc;

use crate::fault::Fault;
use crate::network::NetworkEvent;
use crate::watchdog::Watchdog;

/// A booted box, ready to run services.
pub(crate) struct Handoff {
    /// Which image this is, and its choices.
    pub(crate) boot: Boot,
    /// What to run; already checked.
    pub(crate) services: Services,
    /// Where `/var` lies.
    pub(crate) state: StateMedium,
    /// The hardware watchdog, if there is one; from now on the supervising half keeps it quiet.
    pub(crate) watchdog: Option<Watchdog>,
    /// What the network tasks have to say; closing it means that they have ended.
    pub(crate) network: mpsc::Receiver<NetworkEvent>,
    /// What went wrong while booting, in words for the console.
    pub(crate) notes: Vec<String>,
    /// A fault that a test asked for.
    pub(crate) fault: Option<Fault>,
}

/// Where state lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StateMedium {
    /// On the medium booted from.
    Persistent {
        /// The block device, e.g. `/dev/sda3`.
        device: String,
    },
    /// In RAM; lost with the power.
    Ram {
        /// Why, in words for the console.
        reason: String,
    },
}

/// How the box ends; every service has ended, or has been killed, before it is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastAct {
    /// Start again.
    Reboot,
    /// Switch the power off.
    PowerOff,
    /// Stop the processor, leave the power on.
    Halt,
}
