//! QEMU's arguments: a pure function of the machine and of where things are.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::accelerator::Accelerator;
use crate::disk::Format;
use crate::machine::{Arch, Bus, Drive, Firmware, Machine, NetworkBoot};
use crate::qemu::Qemu;

/// The x86-64 that is emulated: all that the emulator can do, but what makes it slow. Without five-level page tables it walks one level less at each
/// miss. Without ERMS and FSRM ("`rep movsb` is fast") the guest's kernel copies and clears memory by words: byte by byte, each byte is a step of
/// the emulator (docs/design/0014-what-ci-costs.md).
const TCG_CPU: &str = "max,la57=off,erms=off,fsrm=off";

/// Where one run of a box is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// Unix socket of the serial console; we listen.
    pub(crate) console: PathBuf,
    /// Unix socket of QMP; we listen.
    pub(crate) qmp: PathBuf,
    /// For each card the switch's unix socket and the hardware address.
    pub(crate) nics: Vec<(PathBuf, [u8; 6])>,
    /// The box's own copy of the UEFI variables.
    pub(crate) variables: PathBuf,
}

/// The arguments after the program's name.
pub(crate) fn argv(machine: &Machine, qemu: &Qemu, accelerator: Accelerator, places: &Places) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    arguments.add("-nodefaults", None);
    arguments.add("-no-user-config", None);
    for directory in &qemu.data_dirs {
        arguments.add("-L", Some(directory.clone().into_os_string()));
    }
    arguments.text("-name", &machine.name.replace(',', ",,"));
    platform(&mut arguments, machine, accelerator);
    firmware(&mut arguments, machine, qemu, places);
    arguments.path("-chardev", "socket,id=console,path=", &places.console);
    arguments.text("-serial", "chardev:console");
    arguments.path("-chardev", "socket,id=qmp,path=", &places.qmp);
    arguments.text("-mon", "chardev=qmp,mode=control");
    drives(&mut arguments, machine);
    nics(&mut arguments, machine, places);
    // Entropy: a guest must not wait for it.
    arguments.text("-device", "virtio-rng-pci");
    if machine.watchdog {
        arguments.text("-device", "i6300esb,id=watchdog");
        arguments.text("-action", "watchdog=reset");
    }
    if let Some(time) = &machine.clock {
        arguments.text("-rtc", &format!("base={time},clock=vm"));
    }
    if machine.stop_at_reset {
        arguments.add("-no-reboot", None);
    }
    arguments.0
}

fn platform(arguments: &mut Arguments, machine: &Machine, accelerator: Accelerator) {
    // The Cortex-A72 is what a Raspberry Pi 4 has. UEFI's network stack wants random numbers from the processor (EDK2 2024.08), which
    // that one lacks.
    let (board, emulated) = match (machine.arch, machine.network_boot) {
        (Arch::X86_64, _) => ("q35", TCG_CPU),
        (Arch::Aarch64, None) => ("virt,gic-version=3", "cortex-a72"),
        (Arch::Aarch64, Some(_)) => ("virt,gic-version=3", "max,pauth-impdef=on"),
    };
    let (accel, cpu) = match accelerator {
        Accelerator::Kvm => ("kvm", "host"),
        Accelerator::Tcg => ("tcg,thread=multi", emulated),
    };
    arguments.text("-machine", board);
    arguments.text("-accel", accel);
    arguments.text("-cpu", cpu);
    arguments.text("-smp", &machine.cpus.to_string());
    arguments.text("-m", &format!("{}M", machine.memory));
    arguments.text("-display", "none");
    if machine.arch == Arch::X86_64 {
        // GRUB and the kernel's tty0 want a screen, even one that nobody sees.
        arguments.text("-vga", "std");
    }
}

fn firmware(arguments: &mut Arguments, machine: &Machine, qemu: &Qemu, places: &Places) {
    match &machine.firmware {
        Firmware::Uefi => {
            let (code, _) = qemu.uefi(machine.arch);
            arguments.path("-drive", "if=pflash,unit=0,format=raw,readonly=on,file=", code);
            arguments.path("-drive", "if=pflash,unit=1,format=raw,file=", &places.variables);
            // Switches of EDK2's PlatformBootManager, described in OvmfPkg/README.
            let off: &[&str] = match machine.network_boot {
                Some(NetworkBoot::Http) => &["IPv4PXESupport", "IPv6PXESupport"],
                Some(NetworkBoot::Pxe) => &["IPv6PXESupport"],
                None => &[],
            };
            for switch in off {
                arguments.text("-fw_cfg", &format!("name=opt/org.tianocore/{switch},string=n"));
            }
        }
        Firmware::Bios => {}
        Firmware::Kernel { kernel, initrd, command_line } => {
            arguments.add("-kernel", Some(kernel.clone().into_os_string()));
            if let Some(initrd) = initrd {
                arguments.add("-initrd", Some(initrd.clone().into_os_string()));
            }
            arguments.text("-append", command_line);
        }
    }
}

fn drives(arguments: &mut Arguments, machine: &Machine) {
    if machine.drives.iter().any(|drive| drive.bus == Bus::Usb) || (machine.cdrom.is_some() && machine.arch == Arch::Aarch64) {
        arguments.text("-device", "qemu-xhci,id=usb");
    }
    if machine.drives.iter().any(|drive| drive.bus == Bus::Ahci) {
        arguments.text("-device", "ich9-ahci,id=sata");
    }
    let mut sata_ports = 0..;
    let first_boot = if machine.network_boot.is_some() { machine.nics.len() } else { 0 };
    for (number, drive) in machine.drives.iter().enumerate() {
        backend(arguments, number, drive);
        let boot = first_boot + number + 1;
        let device = match drive.bus {
            Bus::Virtio => format!("virtio-blk-pci,drive=disk{number},serial=disk{number},bootindex={boot}"),
            Bus::Nvme => format!("nvme,drive=disk{number},serial=disk{number},bootindex={boot}"),
            Bus::Usb => {
                format!("usb-storage,bus=usb.0,drive=disk{number},serial=disk{number},removable=on,bootindex={boot}")
            }
            Bus::Ahci => {
                let port = sata_ports.next().unwrap_or_default();
                format!("ide-hd,bus=sata.{port},drive=disk{number},serial=disk{number},bootindex={boot}")
            }
        };
        arguments.text("-device", &device);
    }
    if let Some(image) = &machine.cdrom {
        arguments.path("-drive", "if=none,id=cdrom,media=cdrom,format=raw,readonly=on,file=", image);
        let boot = first_boot + machine.drives.len() + 1;
        arguments.text(
            "-device",
            &match machine.arch {
                // q35 has an AHCI controller of its own, `ide`.
                Arch::X86_64 => format!("ide-cd,bus=ide.0,drive=cdrom,bootindex={boot}"),
                Arch::Aarch64 => format!("usb-storage,bus=usb.0,drive=cdrom,bootindex={boot}"),
            },
        );
    }
}

/// `cache=writeback` with QEMU's default of honouring flushes: what the guest has flushed is on the host's disk, and what it has
/// written is in the host's page cache, which outlives QEMU. `werror=report` lets a full host disk be the guest's write error.
fn backend(arguments: &mut Arguments, number: usize, drive: &Drive) {
    let format = match drive.disk.format() {
        Format::Raw => "raw",
        Format::Qcow2 => "qcow2",
    };
    let read_only = if drive.read_only { "on" } else { "off" };
    let throttle = drive.iops.map(|iops| format!(",throttling.iops-total={iops}")).unwrap_or_default();
    let before = format!(
        "if=none,id=disk{number},format={format},cache=writeback,discard=unmap,werror=report,rerror=report,readonly={read_only}{throttle},file="
    );
    arguments.path("-drive", &before, drive.disk.path());
}

fn nics(arguments: &mut Arguments, machine: &Machine, places: &Places) {
    for (number, (socket, mac)) in places.nics.iter().enumerate() {
        let netdev = format!("stream,id=net{number},server=off,addr.type=unix,addr.path=");
        arguments.path("-netdev", &netdev, socket);
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        let mut device = format!("virtio-net-pci,id=nic{number},netdev=net{number},mac={mac}");
        if machine.network_boot.is_some() {
            device.push_str(&format!(",bootindex={}", number + 1));
        }
        // The option ROM is iPXE, which a BIOS needs. UEFI has a network stack of its own, and HTTP boot is in that one.
        if !(machine.network_boot.is_some() && machine.firmware == Firmware::Bios) {
            device.push_str(",romfile=");
        }
        arguments.text("-device", &device);
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, name: &str, value: Option<OsString>) {
        self.0.push(name.into());
        self.0.extend(value);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.add(name, Some(value.into()));
    }

    fn path(&mut self, name: &str, before: &str, path: &Path) {
        let mut value = OsString::from(before);
        value.push(escaped(path));
        self.add(name, Some(value));
    }
}

/// A path within a list of options: a comma in it is doubled, as QEMU's option parser wants.
pub(crate) fn escaped(path: &Path) -> OsString {
    let doubled = |byte: &u8| std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 });
    OsString::from_vec(path.as_os_str().as_bytes().iter().flat_map(doubled).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;

    fn qemu() -> Qemu {
        Qemu {
            x86_64: "qemu-system-x86_64".into(),
            aarch64: "qemu-system-aarch64".into(),
            img: "qemu-img".into(),
            module_dir: "modules".into(),
            data_dirs: vec!["data".into()],
            ovmf_code: "ovmf-code".into(),
            ovmf_vars: "ovmf-vars".into(),
            aavmf_code: "aavmf-code".into(),
            aavmf_vars: "aavmf-vars".into(),
        }
    }

    fn line(machine: &Machine, accelerator: Accelerator) -> String {
        let nics = (0..machine.nics.len()).map(|number| (format!("net{number}.socket").into(), [0x52, 0x54, 0, 0, 1, number as u8]));
        let places = Places { console: "console".into(), qmp: "qmp".into(), nics: nics.collect(), variables: "vars,1.fd".into() };
        let arguments = argv(machine, &qemu(), accelerator, &places);
        arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    fn disk(path: &str) -> Disk {
        Disk::at(path, Format::Raw)
    }

    #[test]
    fn a_bare_uefi_box_is_these_arguments() {
        let expected = "-nodefaults -no-user-config -L data -name box -machine q35 -accel tcg,thread=multi -cpu max,la57=off,erms=off,fsrm=off -smp 1 -m 2048M \
             -display none -vga std -drive if=pflash,unit=0,format=raw,readonly=on,file=ovmf-code \
             -drive if=pflash,unit=1,format=raw,file=vars,,1.fd -chardev socket,id=console,path=console -serial chardev:console \
             -chardev socket,id=qmp,path=qmp -mon chardev=qmp,mode=control -device virtio-rng-pci";
        assert_eq!(line(&Machine::new("box", Arch::X86_64), Accelerator::Tcg), expected);
    }

    #[test]
    fn each_part_of_a_box_is_in_its_arguments() {
        let x86 = || Machine::new("box", Arch::X86_64);
        let arm = || Machine::new("box", Arch::Aarch64);
        let kernel =
            Firmware::Kernel { kernel: "vmlinuz".into(), initrd: Some("initrd".into()), command_line: "console=ttyS0 quiet".into() };
        let cases = [
            (arm(), "-machine virt,gic-version=3 -accel tcg,thread=multi -cpu cortex-a72"),
            (arm(), "file=aavmf-code"),
            (x86().memory(512).cpus(2), "-smp 2 -m 512M"),
            (x86().firmware(kernel), "-kernel vmlinuz -initrd initrd -append console=ttyS0 quiet"),
            (
                x86().drive(Drive::new(disk("a"), Bus::Virtio)),
                "readonly=off,file=a -device virtio-blk-pci,drive=disk0,serial=disk0,bootindex=1",
            ),
            (x86().drive(Drive::new(disk("a"), Bus::Nvme)), "-device nvme,drive=disk0,serial=disk0,bootindex=1"),
            (x86().drive(Drive::new(disk("a"), Bus::Usb)), "-device qemu-xhci,id=usb"),
            (x86().drive(Drive::new(disk("a"), Bus::Usb)), "-device usb-storage,bus=usb.0,drive=disk0"),
            (x86().drive(Drive::new(disk("a"), Bus::Ahci)), "-device ich9-ahci,id=sata"),
            (x86().drive(Drive::new(disk("a"), Bus::Ahci)), "-device ide-hd,bus=sata.0,drive=disk0"),
            (x86().drive(Drive::new(disk("a"), Bus::Virtio).read_only()), "readonly=on,file=a"),
            (x86().drive(Drive::new(disk("a"), Bus::Virtio).slow(50)), "throttling.iops-total=50,file=a"),
            (x86().cdrom("x.iso"), "-device ide-cd,bus=ide.0,drive=cdrom,bootindex=1"),
            (arm().cdrom("x.iso"), "-device usb-storage,bus=usb.0,drive=cdrom,bootindex=1"),
            (x86().nic("lan"), "-netdev stream,id=net0,server=off,addr.type=unix,addr.path=net0.socket"),
            (x86().nic("lan"), "-device virtio-net-pci,id=nic0,netdev=net0,mac=52:54:00:00:01:00,romfile="),
            (x86().nic("lan").network_boot(NetworkBoot::Pxe), "mac=52:54:00:00:01:00,bootindex=1,romfile="),
            (arm().nic("lan").network_boot(NetworkBoot::Http), "-cpu max,pauth-impdef=on"),
            (x86().nic("lan").network_boot(NetworkBoot::Http), "-fw_cfg name=opt/org.tianocore/IPv4PXESupport,string=n"),
            (x86().nic("lan").nic("wan"), "mac=52:54:00:00:01:01"),
            (x86().watchdog(), "-device i6300esb,id=watchdog -action watchdog=reset"),
            (x86().clock("1970-01-01T00:00:00"), "-rtc base=1970-01-01T00:00:00,clock=vm"),
            (x86().stop_at_reset(), "-no-reboot"),
        ];
        for (machine, expected) in cases {
            let line = line(&machine, Accelerator::Tcg);
            assert!(line.contains(expected), "{expected}\nis not in\n{line}");
        }
        assert!(line(&x86(), Accelerator::Kvm).contains("-accel kvm -cpu host"));
    }

    #[test]
    fn a_bios_that_boots_from_the_network_keeps_its_option_rom() {
        let machine = Machine::new("box", Arch::X86_64).firmware(Firmware::Bios).nic("lan").network_boot(NetworkBoot::Pxe);
        assert!(!line(&machine, Accelerator::Tcg).contains("romfile"));
    }

    #[test]
    fn disks_boot_in_order_after_the_network() {
        let drive = |path| Drive::new(disk(path), Bus::Ahci);
        let machine = Machine::new("box", Arch::X86_64).drive(drive("a")).drive(drive("b")).nic("lan").network_boot(NetworkBoot::Pxe);
        let line = line(&machine, Accelerator::Tcg);
        assert!(line.contains("ide-hd,bus=sata.0,drive=disk0,serial=disk0,bootindex=2"));
        assert!(line.contains("ide-hd,bus=sata.1,drive=disk1,serial=disk1,bootindex=3"));
    }
}
