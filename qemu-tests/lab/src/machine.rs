//! What a box is made of. Plain data: nothing here starts or opens anything.

use std::path::PathBuf;

use crate::disk::Disk;

/// The processor's architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// amd64, machine `q35`.
    X86_64,
    /// arm64, machine `virt`.
    Aarch64,
}

impl Arch {
    /// The architecture of the host, when it is one of ours.
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }
}

/// What runs first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firmware {
    /// OVMF or AAVMF. Its variables are the box's own and survive the power.
    Uefi,
    /// SeaBIOS; x86-64 only.
    Bios,
    /// No boot medium: QEMU loads the kernel.
    Kernel {
        /// An uncompressed or self-extracting kernel; on arm64 an `Image`.
        kernel: PathBuf,
        /// The initrd.
        initrd: Option<PathBuf>,
        /// The kernel's command line.
        command_line: String,
    },
}

/// How a disk is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk.
    Virtio,
    /// NVMe.
    Nvme,
    /// A USB stick: usb-storage at an xHCI controller.
    Usb,
    /// A SATA disk at an AHCI controller.
    Ahci,
}

/// A disk in a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// Its bytes.
    pub disk: Disk,
    /// How it is connected.
    pub bus: Bus,
    /// The guest cannot write. Not for [`Bus::Ahci`]: there is no read-only SATA disk.
    pub read_only: bool,
    /// Operations per second at most: a slow medium.
    pub iops: Option<u32>,
}

impl Drive {
    /// A writable disk at full speed.
    pub fn new(disk: Disk, bus: Bus) -> Self {
        Self { disk, bus, read_only: false, iops: None }
    }

    /// The guest cannot write.
    pub fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// At most so many operations per second.
    pub fn slow(self, iops: u32) -> Self {
        Self { iops: Some(iops), ..self }
    }
}

/// How a box boots from the network. A BIOS has [`NetworkBoot::Pxe`] alone, which is iPXE in the card's option ROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkBoot {
    /// DHCP and TFTP over IPv4.
    Pxe,
    /// DHCP and HTTP over IPv4. PXE is switched off, because UEFI would wait for it first, a minute for each IP version.
    Http,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// The network it is plugged into: a name that the lab makes a switch for.
    pub network: String,
    /// The hardware address; `None` lets the lab choose one that no other box of the lab has.
    pub mac: Option<[u8; 6]>,
}

/// A box, not yet switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The name of its directory in the lab, unique in it.
    pub name: String,
    /// The processor.
    pub arch: Arch,
    /// MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// What runs first.
    pub firmware: Firmware,
    /// Disks in boot order.
    pub drives: Vec<Drive>,
    /// A CD, tried after the disks.
    pub cdrom: Option<PathBuf>,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// Network boot before disks; without it the network is not booted from.
    pub network_boot: Option<NetworkBoot>,
    /// An i6300esb watchdog that resets the box.
    pub watchdog: bool,
    /// What the battery clock says at power-on, `YYYY-MM-DDTHH:MM:SS` UTC; the host's time without it.
    pub clock: Option<String>,
    /// A reset by the guest ends QEMU, as a power-off does.
    pub stop_at_reset: bool,
}

/// MiB of a box that says nothing: room for a root in RAM and containerd.
const DEFAULT_MEMORY: u32 = 2048;

impl Machine {
    /// A box of 2 GiB and one processor with UEFI, and nothing plugged in.
    pub fn new(name: &str, arch: Arch) -> Self {
        Self {
            name: name.to_owned(),
            arch,
            memory: DEFAULT_MEMORY,
            cpus: 1,
            firmware: Firmware::Uefi,
            drives: Vec::new(),
            cdrom: None,
            nics: Vec::new(),
            network_boot: None,
            watchdog: false,
            clock: None,
            stop_at_reset: false,
        }
    }

    /// MiB of memory.
    pub fn memory(self, memory: u32) -> Self {
        Self { memory, ..self }
    }

    /// Number of processors.
    pub fn cpus(self, cpus: u32) -> Self {
        Self { cpus, ..self }
    }

    /// What runs first.
    pub fn firmware(self, firmware: Firmware) -> Self {
        Self { firmware, ..self }
    }

    /// One more disk.
    pub fn drive(mut self, drive: Drive) -> Self {
        self.drives.push(drive);
        self
    }

    /// A CD.
    pub fn cdrom(self, image: impl Into<PathBuf>) -> Self {
        Self { cdrom: Some(image.into()), ..self }
    }

    /// One more network card, with an address of the lab's choice.
    pub fn nic(mut self, network: &str) -> Self {
        self.nics.push(Nic { network: network.to_owned(), mac: None });
        self
    }

    /// Boots from the network first.
    pub fn network_boot(self, network_boot: NetworkBoot) -> Self {
        Self { network_boot: Some(network_boot), ..self }
    }

    /// With a hardware watchdog.
    pub fn watchdog(self) -> Self {
        Self { watchdog: true, ..self }
    }

    /// The battery clock at power-on, `YYYY-MM-DDTHH:MM:SS` UTC.
    pub fn clock(self, time: &str) -> Self {
        Self { clock: Some(time.to_owned()), ..self }
    }

    /// A reset by the guest ends QEMU.
    pub fn stop_at_reset(self) -> Self {
        Self { stop_at_reset: true, ..self }
    }
}
