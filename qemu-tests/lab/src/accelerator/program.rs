//! The UEFI application that the probe boots: a PE32+ image with one section and a few instructions.
//!
//! Source: Microsoft's PE format; UEFI 2.10, 2.1.1.

use crate::machine::Arch;

/// QEMU's exit status for the byte 0x2a at `isa-debug-exit`: twice the byte and one.
pub(crate) const X86_64_STATUS: i32 = 0x2a << 1 | 1;

/// A power-off by PSCI is QEMU's good end. Firmware that fails resets or hangs instead.
pub(crate) const AARCH64_STATUS: i32 = 0;

/// `mov dx, 0xf4; mov al, 0x2a; out dx, al; jmp .`
const X86_64_CODE: [u8; 9] = [0x66, 0xba, 0xf4, 0x00, 0xb0, 0x2a, 0xee, 0xeb, 0xfe];

/// `mov w0, #8; movk w0, #0x8400, lsl #16; hvc #0; b .`: PSCI's SYSTEM_OFF (ARM DEN 0022, 5.1.9).
const AARCH64_CODE: [u8; 16] = [0x00, 0x01, 0x80, 0x52, 0x00, 0x80, 0xb0, 0x72, 0x02, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x00, 0x14];

/// Where the section lies in the file, and the unit it is padded to.
const FILE_ALIGNMENT: u32 = 0x200;

/// Where the section lies in memory, and the unit of pages.
const SECTION_ALIGNMENT: u32 = 0x1000;

const HEADER_OFFSET: u32 = 64;
const DIRECTORIES: u32 = 16;
const OPTIONAL_HEADER_BYTES: u16 = 240;
const SUBSYSTEM_EFI_APPLICATION: u16 = 10;

/// The image.
pub(crate) fn image(arch: Arch) -> Vec<u8> {
    let (machine, code): (u16, &[u8]) = match arch {
        Arch::X86_64 => (0x8664, &X86_64_CODE),
        Arch::Aarch64 => (0xaa64, &AARCH64_CODE),
    };
    let mut image = Writer(b"MZ".to_vec());
    image.pad(60);
    image.u32(HEADER_OFFSET);
    image.0.extend(b"PE\0\0");
    image.u16(machine);
    // One section; no time, no symbols.
    image.u16(1);
    (0..3).for_each(|_| image.u32(0));
    image.u16(OPTIONAL_HEADER_BYTES);
    // Executable, any address.
    image.u16(0x0022);
    optional_header(&mut image);
    image.0.extend(b".text\0\0\0");
    [code.len() as u32, SECTION_ALIGNMENT, FILE_ALIGNMENT, FILE_ALIGNMENT, 0, 0, 0].into_iter().for_each(|word| image.u32(word));
    // Code, executable, readable.
    image.u32(0x6000_0020);
    image.pad(FILE_ALIGNMENT as usize);
    image.0.extend(code);
    image.pad(2 * FILE_ALIGNMENT as usize);
    image.0
}

fn optional_header(image: &mut Writer) {
    // PE32+; linker version 0; sizes of code, data, zeroed data; entry and base of the code.
    image.u16(0x020b);
    image.u16(0);
    [FILE_ALIGNMENT, 0, 0, SECTION_ALIGNMENT, SECTION_ALIGNMENT].into_iter().for_each(|word| image.u32(word));
    // Image base.
    (0..2).for_each(|_| image.u32(0));
    image.u32(SECTION_ALIGNMENT);
    image.u32(FILE_ALIGNMENT);
    // Versions of system, image and subsystem, and a reserved word.
    (0..4).for_each(|_| image.u32(0));
    // Sizes of the image and of the headers; checksum.
    [2 * SECTION_ALIGNMENT, FILE_ALIGNMENT, 0].into_iter().for_each(|word| image.u32(word));
    image.u16(SUBSYSTEM_EFI_APPLICATION);
    image.u16(0);
    // Stack and heap, which UEFI does not read; loader flags.
    (0..9).for_each(|_| image.u32(0));
    image.u32(DIRECTORIES);
    (0..2 * DIRECTORIES).for_each(|_| image.u32(0));
}

struct Writer(Vec<u8>);

impl Writer {
    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn pad(&mut self, to: usize) {
        self.0.resize(to, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_add_up() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let image = image(arch);
            assert_eq!(image.len(), 1024);
            let header = HEADER_OFFSET as usize;
            assert_eq!(&image[header..header + 4], b"PE\0\0");
            // The section's header follows the optional one.
            let section = header + 24 + usize::from(OPTIONAL_HEADER_BYTES);
            assert_eq!(&image[section..section + 8], b".text\0\0\0");
            let code = &image[FILE_ALIGNMENT as usize..];
            assert!(code.starts_with(if arch == Arch::X86_64 { &X86_64_CODE } else { &AARCH64_CODE }));
        }
    }
}
