//! What the booting half of PID 1 hands to the supervising half, which gives back how the box ends.
//!
//! `start` boots (modules, root, state, clock, links), fills in a [`Handoff`], and calls [`crate::supervise::run`]. When that returns,
//! every service has ended and `start` ends the box: sync, unmount the state partition, reboot(2).

use shoal_contract::{Boot, Services};
use shoal_init_core::shutdown::Cause;
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
    /// Who ends the box from outside; what the boot has not heard any more waits in it.
    pub(crate) causes: mpsc::Receiver<Cause>,
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
