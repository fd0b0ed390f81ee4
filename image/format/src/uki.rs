//! Unified kernel images: systemd's UEFI stub with a kernel, an initramfs and what describes them as PE sections
//! (UAPI specification "Unified Kernel Image"; the PE layout is Microsoft's "PE Format").
//!
//! Signing is a separate step over the bytes this gives, which are the same whenever the parts are.

use crate::pe::{self, PeError, Section};

/// Flags of the data sections: initialised data, readable.
const DATA: u32 = 0x4000_0040;

/// Flags of `.linux`: code, readable. Kernels without an own loader are started in place.
const CODE: u32 = 0x4000_0020;

/// `IMAGE_DLLCHARACTERISTICS_NX_COMPAT`: the image never executes pages it can write.
const NX_COMPAT: u16 = 0x0100;

/// Sections begin at a multiple of this in the file, whatever the stub's own alignment, because GRUB's block lists count sectors.
const SECTOR: u64 = 512;

/// What goes into an image.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'parts> {
    /// systemd's stub (`linuxx64.efi.stub`, `linuxaa64.efi.stub`), not signed.
    pub stub: &'parts [u8],
    /// Text of `/etc/os-release`: the boot menu's title and version.
    pub os_release: &'parts str,
    /// Kernel command line.
    pub command_line: &'parts str,
    /// Kernel release, `uname -r`.
    pub kernel_release: &'parts str,
    /// The initramfs.
    pub initrd: &'parts [u8],
    /// The kernel, itself a PE image.
    pub linux: &'parts [u8],
}

/// A unified kernel image and where its sections lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnifiedKernelImage {
    /// The image.
    pub bytes: Vec<u8>,
    /// All its sections, the stub's own first.
    pub sections: Vec<Section>,
}

impl UnifiedKernelImage {
    /// The section called `name` (`.linux`).
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}

/// Why no image could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UkiError {
    /// The stub is no PE image.
    #[error("the UEFI stub cannot be used; take it from the package systemd-boot-efi")]
    Stub(#[source] PeError),
    /// The kernel is no PE image.
    #[error("the kernel cannot be started by UEFI; take vmlinuz of a kernel built with CONFIG_EFI_STUB")]
    Kernel(#[source] PeError),
    /// Stub and kernel are for different processors.
    #[error(
        "the stub is for machine {stub:#06x}, the kernel for {kernel:#06x} (x86-64 is 0x8664, arm64 is 0xaa64); take both from one architecture"
    )]
    Machine {
        /// The stub's PE machine.
        stub: u16,
        /// The kernel's.
        kernel: u16,
    },
    /// The stub carries a signature, which no longer holds when sections are added.
    #[error("the UEFI stub is signed; take the unsigned one and sign the finished image")]
    Signed,
    /// The stub has one of the sections already, so it is a finished image.
    #[error("the UEFI stub already has a section `{name}`; it is a finished image, take the plain stub")]
    Finished {
        /// The section.
        name: String,
    },
    /// No room for more section headers.
    #[error("the stub's header has no room for the section `{name}`; take a newer stub, which is padded for more")]
    HeaderRoom {
        /// The section.
        name: String,
    },
    /// Larger than PE can say.
    #[error("with the section `{name}` the image passes the 4 GiB a PE image can have; make the initramfs smaller")]
    TooLarge {
        /// The section.
        name: String,
    },
}

/// Makes a unified kernel image.
///
/// # Errors
/// [`UkiError`].
pub fn build(parts: &Parts<'_>) -> Result<UnifiedKernelImage, UkiError> {
    let stub = pe::Headers::parse(parts.stub).map_err(UkiError::Stub)?;
    let kernel = pe::Headers::parse(parts.linux).map_err(UkiError::Kernel)?;
    if stub.machine != kernel.machine {
        return Err(UkiError::Machine { stub: stub.machine, kernel: kernel.machine });
    }
    if stub.signed {
        return Err(UkiError::Signed);
    }
    // The order ukify uses. The stub measures sections by name, so it is a matter of habit, except that the kernel comes last: its
    // virtual size reaches behind its bytes.
    let sections: [(&str, &[u8], u32, u32); 5] = [
        (".osrel", parts.os_release.as_bytes(), DATA, 0),
        (".cmdline", parts.command_line.as_bytes(), DATA, 0),
        (".uname", parts.kernel_release.as_bytes(), DATA, 0),
        (".initrd", parts.initrd, DATA, 0),
        // The kernel may be started where it was loaded, and needs the memory behind it that its own header asks for.
        (".linux", parts.linux, CODE, kernel.size_of_image),
    ];
    let mut writer = Writer { bytes: parts.stub.to_vec(), headers: stub };
    for (name, contents, flags, memory) in sections {
        writer.append(name, contents, flags, memory)?;
    }
    if kernel.dll_characteristics & NX_COMPAT == 0 {
        let at = writer.headers.optional_offset + pe::DLL_CHARACTERISTICS;
        writer.put(at, &(writer.headers.dll_characteristics & !NX_COMPAT).to_le_bytes());
    }
    // Zero means that there is no checksum. UEFI does not look at it, and the stub's would be wrong.
    writer.put(writer.headers.optional_offset + pe::CHECKSUM, &[0; 4]);
    Ok(UnifiedKernelImage { bytes: writer.bytes, sections: writer.headers.sections })
}

/// Reads the sections of an image.
///
/// # Errors
/// [`PeError`] if it is no PE image.
pub fn sections(image: &[u8]) -> Result<Vec<Section>, PeError> {
    pe::Headers::parse(image).map(|headers| headers.sections)
}

/// An image under construction: the bytes and what their headers say, kept alike.
struct Writer {
    bytes: Vec<u8>,
    headers: pe::Headers,
}

impl Writer {
    fn append(&mut self, name: &str, contents: &[u8], flags: u32, memory: u32) -> Result<(), UkiError> {
        let headers = &self.headers;
        if headers.sections.iter().any(|section| section.name == name) {
            return Err(UkiError::Finished { name: name.to_owned() });
        }
        let header_at = headers.section_table + headers.sections.len() * pe::SECTION_HEADER;
        let first_raw = headers.sections.iter().filter(|section| section.file_length != 0).map(|section| section.file_offset).min();
        let room = u64::from(headers.size_of_headers).min(first_raw.unwrap_or(u64::MAX));
        if (header_at + pe::SECTION_HEADER) as u64 > room {
            return Err(UkiError::HeaderRoom { name: name.to_owned() });
        }
        let alignment = u64::from(headers.file_alignment).max(SECTOR);
        let file_offset = (self.bytes.len() as u64).next_multiple_of(alignment);
        let file_length = (contents.len() as u64).next_multiple_of(alignment);
        let behind = |section: &Section| section.virtual_address + section.virtual_size;
        let address = headers.sections.iter().map(behind).max().unwrap_or(0).max(u64::from(headers.size_of_headers));
        let section_alignment = u64::from(headers.section_alignment);
        let virtual_address = address.next_multiple_of(section_alignment);
        let virtual_size = (contents.len() as u64).max(u64::from(memory));
        let size_of_image = (virtual_address + virtual_size).next_multiple_of(section_alignment);
        let initialised = u64::from(headers.size_of_initialised_data) + virtual_size;
        let too_large = |_| UkiError::TooLarge { name: name.to_owned() };
        let size_of_image_field = u32::try_from(size_of_image).map_err(too_large)?;
        let initialised_field = u32::try_from(initialised).map_err(too_large)?;
        u32::try_from(file_offset + file_length).map_err(too_large)?;

        let mut header = [0_u8; pe::SECTION_HEADER];
        header[..name.len()].copy_from_slice(name.as_bytes());
        for (at, value) in [(8, virtual_size), (12, virtual_address), (16, file_length), (20, file_offset)] {
            // All four are below the sums that were just found to fit.
            header[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
        }
        header[36..40].copy_from_slice(&flags.to_le_bytes());

        self.bytes.resize(file_offset as usize, 0);
        self.bytes.extend_from_slice(contents);
        self.bytes.resize((file_offset + file_length) as usize, 0);
        self.headers.sections.push(Section { name: name.to_owned(), file_offset, file_length, virtual_address, virtual_size });
        self.headers.size_of_initialised_data = initialised_field;
        self.put(header_at, &header);
        self.put(self.headers.coff_offset + pe::NUMBER_OF_SECTIONS, &(self.headers.sections.len() as u16).to_le_bytes());
        self.put(self.headers.optional_offset + pe::SIZE_OF_INITIALISED_DATA, &initialised_field.to_le_bytes());
        self.put(self.headers.optional_offset + pe::SIZE_OF_IMAGE, &size_of_image_field.to_le_bytes());
        Ok(())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pe::sample;

    fn parts<'parts>(stub: &'parts [u8], linux: &'parts [u8], initrd: &'parts [u8]) -> Parts<'parts> {
        let os_release = "ID=shoal\nVERSION_ID=1.0.0\n";
        Parts { stub, os_release, command_line: "console=ttyS0", kernel_release: "6.12.107", initrd, linux }
    }

    #[test]
    fn a_reader_finds_every_part_aligned_for_block_lists() {
        let (stub, linux, initrd) = (sample::image(0x8664), sample::image(0x8664), vec![7; 5000]);
        let image = build(&parts(&stub, &linux, &initrd)).unwrap();
        assert_eq!(sections(&image.bytes).unwrap(), image.sections);
        let contents = |name: &str| image.section(name).unwrap().contents(&image.bytes).to_vec();
        assert_eq!(contents(".osrel"), b"ID=shoal\nVERSION_ID=1.0.0\n");
        assert_eq!(contents(".cmdline"), b"console=ttyS0");
        assert_eq!(contents(".uname"), b"6.12.107");
        assert_eq!(contents(".initrd"), initrd);
        assert!(contents(".linux").starts_with(&linux));
        for name in [".osrel", ".cmdline", ".uname", ".initrd", ".linux"] {
            assert_eq!(image.section(name).unwrap().file_offset % 512, 0, "{name}");
            assert_eq!(image.section(name).unwrap().virtual_address % 4096, 0, "{name}");
        }
    }

    #[test]
    fn sections_neither_overlap_in_memory_nor_in_the_file() {
        let (stub, linux) = (sample::image(0xaa64), sample::image(0xaa64));
        let image = build(&parts(&stub, &linux, &[1; 100_000])).unwrap();
        for pair in image.sections.windows(2) {
            assert!(pair[0].virtual_address + pair[0].virtual_size <= pair[1].virtual_address, "{pair:?}");
            assert!(pair[0].file_offset + pair[0].file_length <= pair[1].file_offset, "{pair:?}");
        }
        let last = image.sections.last().unwrap();
        assert_eq!(image.bytes.len() as u64, last.file_offset + last.file_length);
        let headers = pe::Headers::parse(&image.bytes).unwrap();
        assert_eq!(u64::from(headers.size_of_image), (last.virtual_address + last.virtual_size).next_multiple_of(4096));
    }

    #[test]
    fn the_kernel_gets_the_memory_its_own_header_asks_for() {
        let (stub, linux) = (sample::image(0x8664), sample::image_of_size(0x8664, 3 << 20));
        let image = build(&parts(&stub, &linux, b"i")).unwrap();
        assert_eq!(image.section(".linux").unwrap().virtual_size, 3 << 20);
    }

    #[test]
    fn write_protection_is_promised_only_if_the_kernel_promises_it() {
        let (plain, mut promising) = (sample::image(0x8664), sample::image(0x8664));
        let at = pe::Headers::parse(&promising).unwrap().optional_offset + pe::DLL_CHARACTERISTICS;
        promising[at..at + 2].copy_from_slice(&NX_COMPAT.to_le_bytes());
        let promised = |stub: &[u8], linux: &[u8]| {
            let image = build(&parts(stub, linux, b"i")).unwrap();
            pe::Headers::parse(&image.bytes).unwrap().dll_characteristics & NX_COMPAT != 0
        };
        assert!(promised(&promising, &promising));
        assert!(!promised(&promising, &plain));
        assert!(!promised(&plain, &promising));
    }

    #[test]
    fn wrong_parts_are_refused() {
        let (stub, linux) = (sample::image(0x8664), sample::image(0x8664));
        assert!(matches!(build(&parts(b"MZ", &linux, b"")), Err(UkiError::Stub(_))));
        assert!(matches!(build(&parts(&stub, b"\x1f\x8b", b"")), Err(UkiError::Kernel(_))));
        let other = sample::image(0xaa64);
        assert_eq!(build(&parts(&stub, &other, b"")).unwrap_err(), UkiError::Machine { stub: 0x8664, kernel: 0xaa64 });
        let finished = build(&parts(&stub, &linux, b"")).unwrap().bytes;
        assert_eq!(build(&parts(&finished, &linux, b"")).unwrap_err(), UkiError::Finished { name: ".osrel".into() });
        let mut signed = stub.clone();
        let at = pe::Headers::parse(&stub).unwrap().optional_offset + pe::CERTIFICATE_TABLE;
        signed[at] = 1;
        assert_eq!(build(&parts(&signed, &linux, b"")).unwrap_err(), UkiError::Signed);
        let tight = sample::image_with_header_room(0x8664, 3);
        assert_eq!(build(&parts(&tight, &linux, b"")).unwrap_err(), UkiError::HeaderRoom { name: ".initrd".into() });
    }
}
