//! PID 1 of a Shoal box.
//!
//! The booting half ends with a [`handoff::Handoff`], the supervising half begins with it:
//!
//! ```text
//! main ─ start ─┬─ power          signals and the power button, heard from here to the end
//!               ├─ steps ─┬─ mounts        /proc /sys /dev /run, control groups
//!               │         ├─ modules       by modalias, by name, by the kernel's request (modprobe)
//!               │         ├─ root          EROFS of the initramfs by loop device; becomes /
//!               │         ├─ medium, state the disk booted from, its state partition at /var
//!               │         └─ clock, identity, network, watchdog
//!               └─ supervise::run(handoff) → Ending ─ finish
//! ```
//!
//! Decisions lie in `shoal-init-core`; the order of the boot and what follows a failure are a table in `shoal_init_core::boot`.
//! This binary does nothing unless it is PID 1, with two exceptions: called as `modprobe` it answers the kernel's request_module()
//! (docs/design/0007-one-copy-of-pid-1.md), and called as `shoal-exec` (by PID 1) it becomes a service: see [`supervise::launch`].

mod bus;
mod clock;
mod config;
mod console;
mod fault;
mod finish;
mod handoff;
mod identity;
mod interrupt;
mod medium;
mod modprobe;
mod modules;
mod mounts;
mod network;
mod power;
mod root;
mod say;
mod start;
mod state;
mod steps;
mod supervise;
mod sys;
mod tool;
mod uevent;
mod watchdog;

use std::process::ExitCode;

/// PID of the first process of a kernel or of a PID name space.
const FIRST_PROCESS: u32 = 1;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    if name.ends_with("modprobe") {
        return modprobe::run(&arguments.collect::<Vec<_>>());
    }
    if name == supervise::launch::NAME {
        return supervise::launch::main(std::env::args_os().skip(1));
    }
    if std::process::id() != FIRST_PROCESS {
        eprintln!("shoal-init is PID 1 of a Shoal box and does nothing elsewhere; to see it at work, boot an image in QEMU");
        return ExitCode::FAILURE;
    }
    std::panic::set_hook(Box::new(|panic| {
        say::line(&format!("PID 1 has failed: {panic}"));
        finish::after_panic();
    }));
    start::run()
}
