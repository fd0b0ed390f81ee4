//! How the box goes down: always, and within a known time.
//!
//! | phase | what happens in it | it ends when | or at the latest after |
//! |---|---|---|---|
//! | Inhibited | `PrepareForShutdown(true)` was sent; services go on | no delay lock is held | [`DELAY_MAX`] |
//! | Stopping | services are stopped, dependants first | none has a process | [`STOP_MAX`] |
//! | Ending | every process left got SIGTERM | there is no child | [`END_GRACE`] |
//! | Killing | every process left got SIGKILL | there is no child | [`KILL_GRACE`] |
//! | Over | the box reboots or powers off | never | |
//!
//! The sum, [`SHUTDOWN_MAX`], bounds every reboot and power-off: no service, no lock holder and no stuck process can prevent it.
//! A process that not even SIGKILL ends (it waits in the kernel for a dead disk) is left behind. The first request decides how the
//! box goes down; later ones are already being fulfilled.

use std::time::Duration;

use crate::inhibit::DELAY_MAX;
use crate::now::Now;

/// All services together have this long to stop. Longer than the stop limits along any chain in our recipes; when it is hit,
/// everything left is killed.
pub const STOP_MAX: Duration = Duration::from_secs(60);

/// Processes that belong to no service (containers, whose kubelet has ended) have this long after SIGTERM.
pub const END_GRACE: Duration = Duration::from_secs(5);

/// Processes get this long to vanish after SIGKILL. When it is hit they hang in the kernel, and waiting does not help.
pub const KILL_GRACE: Duration = Duration::from_secs(2);

/// The longest time from a request to the reboot or power-off.
pub const SHUTDOWN_MAX: Duration = DELAY_MAX.saturating_add(STOP_MAX).saturating_add(END_GRACE).saturating_add(KILL_GRACE);

/// What the box does when everything has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Starts again.
    Reboot,
    /// Switches its power off.
    PowerOff,
    /// Stops, power on.
    Halt,
}

impl Ending {
    /// The ending in words, as in "going down to …".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::PowerOff => "power off",
            Self::Halt => "halt",
        }
    }
}

/// What makes a box go down from outside its services: people at the machine, and signals. Heard from the first step of the boot on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The power button: KEY_POWER of an input device (linux/input-event-codes.h).
    PowerButton,
    /// Ctrl-alt-del, which the kernel hands to PID 1 as SIGINT (reboot(2), `LINUX_REBOOT_CMD_CAD_OFF`).
    CtrlAltDel,
    /// SIGTERM.
    Terminate,
    /// SIGPWR: the power is about to fail (signal(7)).
    PowerFailure,
}

impl Cause {
    /// What the box does because of it.
    #[must_use]
    pub const fn ending(self) -> Ending {
        match self {
            Self::PowerButton | Self::PowerFailure => Ending::PowerOff,
            Self::CtrlAltDel | Self::Terminate => Ending::Reboot,
        }
    }

    /// The cause in words, for the console.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::PowerButton => "the power button was pressed",
            Self::CtrlAltDel => "ctrl-alt-del was pressed",
            Self::Terminate => "PID 1 was asked to end (SIGTERM)",
            Self::PowerFailure => "the power is about to fail (SIGPWR)",
        }
    }
}

/// The phases above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Lock holders are waited for.
    Inhibited,
    /// Services are being stopped.
    Stopping,
    /// What is left was asked to end.
    Ending,
    /// What is left was killed.
    Killing,
    /// Nothing more to do here.
    Over,
}

/// What a shutdown sees of the box.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    /// Delay locks held.
    pub(crate) locks: usize,
    /// Services whose process is waited for.
    pub(crate) services: usize,
    /// Whether PID 1 has any child.
    pub(crate) children: bool,
}

/// A shutdown under way.
#[derive(Debug)]
pub struct Shutdown {
    ending: Ending,
    phase: Phase,
    until: Now,
}

impl Shutdown {
    pub(crate) fn begin(now: Now, ending: Ending) -> Self {
        Self { ending, phase: Phase::Inhibited, until: now.plus(DELAY_MAX) }
    }

    /// What the box does at the end.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// Where the shutdown is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When the phase ends at the latest.
    pub(crate) fn deadline(&self) -> Option<Now> {
        (self.phase != Phase::Over).then_some(self.until)
    }

    /// Goes to the next phase if the present one is over; call it until it gives `None`.
    pub(crate) fn step(&mut self, now: Now, left: Left) -> Option<Phase> {
        let late = now >= self.until;
        let (next, limit) = match self.phase {
            Phase::Inhibited if left.locks == 0 || late => (Phase::Stopping, STOP_MAX),
            Phase::Stopping if late => (Phase::Killing, KILL_GRACE),
            Phase::Stopping if left.services == 0 => (Phase::Ending, END_GRACE),
            Phase::Ending if !left.children => (Phase::Over, Duration::ZERO),
            Phase::Ending if late => (Phase::Killing, KILL_GRACE),
            Phase::Killing if !left.children || late => (Phase::Over, Duration::ZERO),
            _ => return None,
        };
        self.phase = next;
        self.until = now.plus(limit);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_button_switches_off_and_ctrl_alt_del_reboots() {
        assert_eq!([Cause::PowerButton, Cause::PowerFailure].map(Cause::ending), [Ending::PowerOff; 2]);
        assert_eq!([Cause::CtrlAltDel, Cause::Terminate].map(Cause::ending), [Ending::Reboot; 2]);
    }
}
