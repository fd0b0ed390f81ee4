//! What PID 1 decides. No socket, clock, file, thread or randomness lives here; `shoal-init` is the shell that does.
//!
//! Booting, in the order in which it happens:
//!
//! | module | decides |
//! |---|---|
//! | [`boot`] | the steps of a boot, what follows a failure of each, and what becomes of a boot that somebody ends |
//! | [`cmdline`] | what the kernel command line says to PID 1 |
//! | [`modules`] | which modules to load, in which order |
//! | [`medium`] | which disk the box was booted from |
//! | [`table`], [`partition`] | what to write on it so that it holds state, whenever power is cut |
//! | [`clock`] | whether the clock can be believed |
//! | [`link`], [`dhcp`] | which links to bring up, what to tell of them, and what a lease means |

pub mod boot;
pub mod clock;
pub mod cmdline;
pub mod dhcp;
pub mod link;
pub mod medium;
pub mod modules;
pub mod partition;
mod pattern;
pub mod table;

// Supervision: `supervisor` is made of one state machine for each service (`service`, whose header has the table of states), the
// order between them, the restart policy, delay inhibitors and the shutdown (with the table of its phases). What services print
// goes through `ring` and `rate`; what the console shows is made by `screen`.
pub mod inhibit;
pub mod now;
pub mod order;
pub mod rate;
pub mod restart;
pub mod ring;
pub mod screen;
pub mod service;
pub mod shutdown;
pub mod supervisor;
