//! GRUB for legacy BIOS: where its two images go, and the menu that loads kernel and initramfs out of a unified kernel image.
//!
//! A unified kernel image cannot be started by a BIOS, but its sections are ordinary runs of sectors, and GRUB reads runs of sectors
//! with a block list (`(device)offset+length`). So nothing lies on the medium twice. Offsets of GRUB's fields: `grub-core/boot/i386/pc/boot.S`
//! and `diskboot.S`, `include/grub/i386/pc/boot.h` and `include/grub/offsets.h` of GRUB 2.12.

use crate::gpt::{Partition, SECTOR};
use crate::pe::Section;
use crate::sparse::{BeyondEnd, SparseImage};

/// Bytes of boot code in an MBR; behind them lie the disk signature and the partition table.
pub const MBR_CODE: usize = 440;

/// Length of `boot.img` and `boot_hybrid.img` in bytes.
const BOOT_IMAGE: usize = 512;

/// Where `boot.img` keeps the sector of `core.img` (64 bits).
const KERNEL_SECTOR: usize = 0x5c;

/// Where `boot.img` has a jump around the code that distrusts the BIOS's drive number. Hard disks need that code, and so the jump gone.
const DRIVE_CHECK: usize = 0x66;

/// Two x86 `nop`.
const NO_OPERATION: [u8; 2] = [0x90, 0x90];

/// Where the first sector of `core.img` keeps the list of the others: start (64 bits), length (16), segment (16).
const BLOCK_LIST: usize = 500;

/// Segment the second sector of `core.img` is loaded to (`GRUB_BOOT_MACHINE_KERNEL_SEG` and one sector's paragraphs).
const LOAD_SEGMENT: u16 = 0x820;

/// Where `boot_hybrid.img` keeps the 512-byte sector of the El Torito image's second part (64 bits).
const HYBRID_SECTOR: usize = 0x1b0;

/// `cdboot.img` takes the first CD sector of an El Torito image, which the BIOS loads; from a disk, GRUB begins behind it: 4 sectors.
const CD_BOOT_SECTORS: u64 = 4;

/// Why GRUB could not be installed. The image may hold part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrubError {
    /// `boot.img` or `boot_hybrid.img` is something else.
    #[error("{file} is not a GRUB boot sector ({length} bytes); take it from the package grub-pc-bin")]
    BootImage {
        /// Its name in GRUB's directory.
        file: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// `core.img` is too short, or longer than its block list can say.
    #[error("core.img of {length} bytes is not what grub-mkimage -O i386-pc makes; make it again with fewer modules")]
    CoreImage {
        /// Its length in bytes.
        length: usize,
    },
    /// The BIOS boot partition is too small.
    #[error("core.img needs {needed} bytes, the BIOS boot partition has {available}; enlarge it or leave modules out")]
    Partition {
        /// Length of `core.img`.
        needed: u64,
        /// Length of the partition.
        available: u64,
    },
    /// The partition lies behind the end of the disk.
    #[error("the BIOS boot partition is not on this disk; check the partition list")]
    Disk(#[from] BeyondEnd),
}

/// Puts GRUB on a disk: `boot_image` (`boot.img`) into the MBR, `core_image` (from `grub-mkimage -O i386-pc`) into `partition`.
///
/// # Errors
/// [`GrubError`].
pub fn install(disk: &mut SparseImage, boot_image: &[u8], core_image: &[u8], partition: &Partition) -> Result<(), GrubError> {
    let mut code = mbr_code("boot.img", boot_image)?;
    code[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&partition.first_sector.to_le_bytes());
    code[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&NO_OPERATION);
    let needed = core_image.len() as u64;
    if needed > partition.bytes() {
        return Err(GrubError::Partition { needed, available: partition.bytes() });
    }
    let sectors = needed.div_ceil(SECTOR);
    // The first sector loads the others and does not count itself.
    let others = sectors.checked_sub(1).and_then(|others| u16::try_from(others).ok()).filter(|&others| others > 0);
    let others = others.ok_or(GrubError::CoreImage { length: core_image.len() })?;
    let mut core = core_image.to_vec();
    core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(partition.first_sector + 1).to_le_bytes());
    core[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&others.to_le_bytes());
    core[BLOCK_LIST + 10..BLOCK_LIST + 12].copy_from_slice(&LOAD_SEGMENT.to_le_bytes());
    disk.write_at(partition.offset(), &core)?;
    disk.write_at(0, &code)?;
    Ok(())
}

/// MBR code of a hybrid ISO: `boot_hybrid_image` (`boot_hybrid.img`) told where the El Torito image lies.
///
/// `eltorito_offset` is in bytes from the start of the ISO, a multiple of 2048.
///
/// # Errors
/// [`GrubError::BootImage`].
pub fn hybrid_mbr(boot_hybrid_image: &[u8], eltorito_offset: u64) -> Result<[u8; MBR_CODE], GrubError> {
    let mut code = mbr_code("boot_hybrid.img", boot_hybrid_image)?;
    let sector = eltorito_offset / SECTOR + CD_BOOT_SECTORS;
    code[HYBRID_SECTOR..HYBRID_SECTOR + 8].copy_from_slice(&sector.to_le_bytes());
    Ok(code)
}

fn mbr_code(file: &'static str, image: &[u8]) -> Result<[u8; MBR_CODE], GrubError> {
    if image.len() != BOOT_IMAGE || image[BOOT_IMAGE - 2..] != [0x55, 0xaa] {
        return Err(GrubError::BootImage { file, length: image.len() });
    }
    let mut code = [0; MBR_CODE];
    code.copy_from_slice(&image[..MBR_CODE]);
    Ok(code)
}

/// Where the menu finds the unified kernel images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// On the file system the menu itself lies on: the EFI system partition of a disk.
    SameFileSystem,
    /// In a FAT image that is a file there (`/boot/efi.img` of an ISO).
    FatImage(String),
}

/// One line of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MenuEntry {
    /// Its title.
    pub title: String,
    /// Path of the unified kernel image: `/EFI/Linux/shoal_1.0.0.efi`.
    pub image: String,
    /// Kernel command line.
    pub command_line: String,
    /// The image's `.linux`.
    pub linux: Section,
    /// The image's `.initrd`.
    pub initrd: Section,
}

/// The text of `grub.cfg`. The first entry is started at once; holding Shift or pressing Escape shows the menu.
///
/// It needs the modules `normal`, `linux`, `loopback`, `fat` and, on a disk, `part_gpt`, on an ISO, `iso9660`.
#[must_use]
pub fn menu(source: &Source, entries: &[MenuEntry]) -> String {
    let mut text = String::from("set default=0\nset timeout=0\nset timeout_style=hidden\n");
    for entry in entries {
        text.push_str(&format!("menuentry {} {{\n", quote(&entry.title)));
        let device = match source {
            Source::SameFileSystem => "($root)",
            Source::FatImage(path) => {
                text.push_str(&format!("  loopback system ($root){}\n", quote(path)));
                "(system)"
            }
        };
        text.push_str(&format!("  loopback image {device}{}\n", quote(&entry.image)));
        let arguments: String = entry.command_line.split_whitespace().map(|argument| format!(" {}", quote(argument))).collect();
        text.push_str(&format!("  linux (image){}{arguments}\n", block_list(&entry.linux)));
        text.push_str(&format!("  initrd (image){}\n", block_list(&entry.initrd)));
        text.push_str("}\n");
    }
    text
}

/// `offset+length` in sectors. The padding behind a section is zeros, which neither kernel nor initramfs mind.
fn block_list(section: &Section) -> String {
    format!("{}+{}", section.file_offset / SECTOR, section.file_length.div_ceil(SECTOR))
}

/// A word of GRUB's script language, which quotes like a shell.
fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-=,:+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::gpt::TYPE_BIOS_BOOT;

    fn boot_image() -> Vec<u8> {
        let mut image = vec![0xeb; BOOT_IMAGE];
        image[510..].copy_from_slice(&[0x55, 0xaa]);
        image
    }

    fn partition(sectors: u64) -> Partition {
        let unique_guid = Uuid::from_u128(1);
        Partition { type_guid: TYPE_BIOS_BOOT, unique_guid, name: "bios".into(), first_sector: 34, sectors, attributes: 0 }
    }

    #[test]
    fn each_stage_is_told_where_the_next_one_lies() {
        let mut disk = SparseImage::new(1 << 20);
        install(&mut disk, &boot_image(), &[0xcc; 1300], &partition(100)).unwrap();
        let mbr = disk.bytes_at(0, 512);
        assert_eq!(mbr[0x5c..0x64], 34_u64.to_le_bytes());
        assert_eq!(mbr[0x66..0x68], [0x90, 0x90]);
        assert_eq!(mbr[439], 0xeb);
        assert_eq!(mbr[440], 0, "the disk signature and the partition table are not GRUB's");
        let core = disk.bytes_at(34 * 512, 1301);
        assert_eq!(core[500..508], 35_u64.to_le_bytes());
        assert_eq!(core[508..512], [2, 0, 0x20, 0x08]);
        assert_eq!((core[1299], core[1300]), (0xcc, 0));
    }

    #[test]
    fn a_hybrid_iso_starts_behind_the_cd_boot_sector() {
        let code = hybrid_mbr(&boot_image(), 33 * 2048).unwrap();
        assert_eq!(code[432..440], (33_u64 * 4 + 4).to_le_bytes());
    }

    #[test]
    fn images_that_are_not_grub_or_do_not_fit_are_refused() {
        let disk = || SparseImage::new(1 << 20);
        let core = vec![0; 2000];
        assert!(matches!(install(&mut disk(), &[0; 512], &core, &partition(9)), Err(GrubError::BootImage { length: 512, .. })));
        assert!(matches!(hybrid_mbr(&boot_image()[..511], 0), Err(GrubError::BootImage { length: 511, .. })));
        assert_eq!(
            install(&mut disk(), &boot_image(), &core, &partition(3)).unwrap_err(),
            GrubError::Partition { needed: 2000, available: 1536 }
        );
        assert!(matches!(install(&mut disk(), &boot_image(), &[0; 512], &partition(9)), Err(GrubError::CoreImage { .. })));
        assert!(matches!(install(&mut disk(), &boot_image(), &[], &partition(9)), Err(GrubError::CoreImage { .. })));
        assert!(matches!(install(&mut SparseImage::new(512 * 35), &boot_image(), &core, &partition(9)), Err(GrubError::Disk(_))));
    }

    fn entry() -> MenuEntry {
        let section = |file_offset, file_length| Section {
            name: String::new(),
            file_offset,
            file_length,
            virtual_address: 0,
            virtual_size: file_length,
        };
        MenuEntry {
            title: "Shoal 1.0.0".into(),
            image: "/EFI/Linux/shoal_1.0.0.efi".into(),
            command_line: "console=ttyS0  name='a;b'".into(),
            linux: section(1024, 1536),
            initrd: section(4096, 512),
        }
    }

    #[test]
    fn the_menu_of_a_disk_reads_sections_of_the_image() {
        let expected = r"set default=0
set timeout=0
set timeout_style=hidden
menuentry 'Shoal 1.0.0' {
  loopback image ($root)/EFI/Linux/shoal_1.0.0.efi
  linux (image)2+3 console=ttyS0 'name='\''a;b'\'''
  initrd (image)8+1
}
";
        assert_eq!(menu(&Source::SameFileSystem, &[entry()]), expected);
    }

    #[test]
    fn the_menu_of_an_iso_goes_through_the_fat_image() {
        let text = menu(&Source::FatImage("/boot/efi.img".into()), &[entry()]);
        assert!(text.contains("  loopback system ($root)/boot/efi.img\n  loopback image (system)/EFI/Linux/shoal_1.0.0.efi\n"));
    }
}
