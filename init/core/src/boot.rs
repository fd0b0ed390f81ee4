//! The boot as a list: what is done in which order, and what follows when a step fails.
//!
//! | step | does | if it fails |
//! |---|---|---|
//! | Mounts | `/proc`, `/sys`, `/dev`, `/run`, control groups | reboot |
//! | Settings | reads `boot.toml` and the command line | reboot |
//! | EarlyModules | storage and file system modules of the initramfs | go on; the root tells |
//! | Watchdog | opens the hardware watchdog | go on without |
//! | Root | mounts the system image and makes it the root | reboot |
//! | Modules | modules for whatever hardware is there | go on, say so |
//! | State | finds the medium, makes or mounts the state partition | state in RAM, say so |
//! | Clock | raises the clock to its floor | go on, say so |
//! | Identity | machine id and host name | go on, say so |
//! | Network | brings links up and asks for addresses | go on, say so |
//! | Services | reads what to run | reboot |
//!
//! "Reboot" is for what no box can live without: another version may have it, and boot counting will find that one. Everything else is
//! said on the console and lived with: a box that answers and complains is worth more than one that is down.
//!
//! [`Sequence`] walks along the list, and says what becomes of a boot that somebody ends.

mod sequence;

pub use sequence::{Effect, Input, STEP_GRACE, Sequence};

/// One step of the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Kernel file systems.
    Mounts,
    /// `boot.toml` and the command line.
    Settings,
    /// Modules of the initramfs.
    EarlyModules,
    /// The hardware watchdog.
    Watchdog,
    /// The root file system.
    Root,
    /// Modules of the root file system.
    Modules,
    /// The state medium.
    State,
    /// The clock's floor.
    Clock,
    /// Machine id and host name.
    Identity,
    /// Links and addresses.
    Network,
    /// What to run.
    Services,
}

/// What follows when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// The box cannot live without: say why and reboot.
    Reboot,
    /// Say so, and take the next step.
    GoOn,
}

impl Step {
    /// All steps in their order.
    pub const ORDER: [Self; 11] = [
        Self::Mounts,
        Self::Settings,
        Self::EarlyModules,
        Self::Watchdog,
        Self::Root,
        Self::Modules,
        Self::State,
        Self::Clock,
        Self::Identity,
        Self::Network,
        Self::Services,
    ];

    /// What follows when this step fails.
    #[must_use]
    pub const fn after_failure(self) -> AfterFailure {
        match self {
            Self::Mounts | Self::Settings | Self::Root | Self::Services => AfterFailure::Reboot,
            Self::EarlyModules | Self::Watchdog | Self::Modules | Self::State | Self::Clock | Self::Identity | Self::Network => {
                AfterFailure::GoOn
            }
        }
    }

    /// The step in words, as in "could not …".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Mounts => "mount the kernel's file systems",
            Self::Settings => "read the settings of the image",
            Self::EarlyModules => "load the early modules",
            Self::Watchdog => "open the watchdog",
            Self::Root => "mount the root file system",
            Self::Modules => "load modules for the hardware",
            Self::State => "use the state medium",
            Self::Clock => "set the clock",
            Self::Identity => "set the machine's identity",
            Self::Network => "start the network",
            Self::Services => "read what to run",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_depends_on_a_medium_or_a_network_stops_the_boot() {
        for step in [Step::State, Step::Network, Step::Clock, Step::Watchdog] {
            assert_eq!(step.after_failure(), AfterFailure::GoOn);
        }
    }

    #[test]
    fn the_watchdog_runs_before_anything_that_may_hang_on_a_disk() {
        let place = |wanted| Step::ORDER.iter().position(|step| *step == wanted).unwrap();
        assert!(place(Step::Watchdog) < place(Step::Root) && place(Step::Watchdog) < place(Step::State));
        assert!(place(Step::State) < place(Step::Clock), "the last known time lies on the state medium");
    }
}
