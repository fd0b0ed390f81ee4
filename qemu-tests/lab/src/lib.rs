//! Emulated boxes for tests: machines, disks, consoles, and the network between them.
//!
//! A test opens a [`Lab`], describes a [`Machine`], starts it as a [`Vm`], and waits for the guest's own words:
//!
//! ```no_run
//! # async fn example(qemu: shoal_lab::Qemu, image: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use shoal_lab::{Arch, Bus, Drive, Lab, Machine, Vm};
//!
//! let lab = Lab::new("a_box_boots_again_after_a_power_cut", qemu)?;
//! let disk = lab.disk_from("disk.img", image)?;
//! let machine = Machine::new("box", Arch::X86_64).drive(Drive::new(disk, Bus::Nvme)).nic("lan");
//! let mut vm = Vm::start(machine, &lab).await?;
//! vm.console().wait_for("containerd is ready", Duration::from_secs(300)).await?;
//! vm.restart().await?;
//! vm.console().wait_for("containerd is ready", Duration::from_secs(300)).await?;
//! lab.passed();
//! # Ok(())
//! # }
//! ```
//!
//! It needs no root, no tap device, no fixed port and no sleep: QEMU talks to us over unix sockets that we listen on before it
//! starts, and every wait has a deadline. QEMU and firmware are the caller's ([`Qemu`]); nothing of the host is used but `/bin/sh` and,
//! where a boot proves that it works ([`Accelerator`]), `/dev/kvm`.
//!
//! | part | decides | does |
//! |---|---|---|
//! | [`switch`] | `Fabric` | `Switch`: one task; frames over unix sockets, a capture of all |
//! | [`net`] | DHCP server, TFTP transfer, HTTP exchange; smoltcp | `Net`: one task that drives the stack |
//! | [`console`] | `Transcript` | `Console`: one reading task |
//! | [`Machine`] | its arguments, a pure function | [`Vm`]: QEMU and its watcher |
//!
//! Everything runs on the caller's tokio runtime and ends with it. It does not choose tests, images or deadlines, and asserts nothing
//! about time: under emulation a box is some ten times slower than a real one.

mod accelerator;
mod argv;
pub mod console;
mod disk;
mod lab;
mod machine;
pub mod net;
mod process;
mod qemu;
pub mod qmp;
mod slots;
pub mod switch;
mod vm;

pub use accelerator::Accelerator;
pub use console::Console;
pub use disk::{Disk, DiskError, Format};
pub use lab::{Lab, LabError};
pub use machine::{Arch, Bus, Drive, Firmware, Machine, NetworkBoot, Nic};
pub use net::{Net, NetConfig, NetError};
pub use qemu::Qemu;
pub use qmp::{Qmp, QmpError, QmpEvent};
pub use switch::{Link, PortId, Switch, SwitchError};
pub use vm::{ExitError, StartError, Vm};
