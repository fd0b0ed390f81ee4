//! A hybrid ISO: boots as CD and, written to a stick byte by byte, as disk; under UEFI and, where GRUB's images are given, under BIOS.
//!
//! hadris-iso writes the file system and the El Torito catalog. The partition table is our own ([`crate::gpt`]): the disk's GUID must be
//! the image's, for PID 1 knows its medium by it. It is a real GPT with its backup behind the file system, so that firmware finds the
//! system partition on a stick and PID 1 can later move the backup and append a partition. The UEFI image is an ordinary file of the file
//! system, so GRUB can open it and nothing is stored twice.

use hadris_fs::{Content, DateTime, Node, PathError, Tree as HadrisTree};
use hadris_iso::{BootEntry, BootInfo, ElTorito, IsoId, IsoOptions};
use uuid::Uuid;

use crate::epoch::Epoch;
use crate::fat::Device;
use crate::gpt::{self, BACKUP_SECTORS, GptError, Partition, SECTOR};
use crate::grub::{self, GrubError};
use crate::sector;
use crate::sparse::SparseImage;
use crate::tree::{NodeKind, Tree};

/// Path of the UEFI boot image in the ISO.
pub const UEFI_IMAGE: &str = "/boot/efi.img";

/// Path of GRUB's El Torito image in the ISO.
pub const BIOS_IMAGE: &str = "/boot/grub/eltorito.img";

/// Bytes of a CD sector, the block of ISO 9660.
const BLOCK: u64 = 2048;

/// Blocks appended for the backup of the partition table.
const BACKUP_BLOCKS: u64 = (BACKUP_SECTORS * SECTOR).div_ceil(BLOCK);

/// Blocks of the configuration.
const CONFIG_BLOCKS: u64 = crate::sector::BYTES as u64 / BLOCK;

/// First sector behind the 32 KiB that ISO 9660 leaves to boot code and partition tables.
const FIRST_ISO_SECTOR: u64 = 64;

/// 512-byte sectors a BIOS loads of the El Torito image: one CD sector, `cdboot.img`, which loads the rest.
const BIOS_LOAD_SECTORS: u16 = 4;

/// Longest volume identifier in bytes.
const VOLUME_ID: usize = 32;

/// GRUB for BIOS.
#[derive(Debug, Clone, Copy)]
pub struct Bios<'images> {
    /// What `grub-mkimage -O i386-pc-eltorito -p /boot/grub` made.
    pub eltorito: &'images [u8],
    /// GRUB's `boot_hybrid.img`.
    pub boot_hybrid: &'images [u8],
}

/// What an ISO is to be.
#[derive(Debug, Clone, Copy)]
pub struct Iso<'parts> {
    /// Volume identifier: up to 32 of `A` to `Z`, `0` to `9` and `_`.
    pub volume_id: &'parts str,
    /// Its files, beside the boot images: `/boot/grub/grub.cfg`.
    pub tree: &'parts Tree,
    /// FAT image that UEFI boots; it appears as [`UEFI_IMAGE`].
    pub uefi: &'parts SparseImage,
    /// What a BIOS boots; arm64 has none.
    pub bios: Option<Bios<'parts>>,
    /// The configuration, one sector ([`crate::sector`]).
    pub config: &'parts [u8],
    /// GUID of the disk. Those of the partitions are derived from it.
    pub disk_guid: Uuid,
    /// Time of the volume and all files.
    pub epoch: Epoch,
}

/// Why no ISO could be made.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// A volume identifier ISO 9660 cannot store.
    #[error("`{volume_id}` is no ISO 9660 volume identifier; write 1 to {VOLUME_ID} of A-Z, 0-9 and _")]
    VolumeId {
        /// The identifier.
        volume_id: String,
    },
    /// A file at the place of a boot image, or a name ISO 9660 cannot store.
    #[error("`{path}` cannot be put on the ISO; rename it")]
    File {
        /// Its path.
        path: String,
        /// What the writer said.
        #[source]
        source: Box<PathError>,
    },
    /// The file system could not be laid out.
    #[error("the ISO could not be laid out; check that GRUB's El Torito image and the UEFI image are whole")]
    Layout(#[source] Box<PathError>),
    /// GRUB's boot sector is wrong.
    #[error("the ISO cannot boot as a BIOS disk")]
    Grub(#[from] GrubError),
    /// The partition table could not be written.
    #[error("the ISO's partition table could not be written")]
    Gpt(#[from] GptError),
}

fn layout(source: PathError) -> IsoError {
    IsoError::Layout(Box::new(source))
}

/// Writes an ISO.
///
/// # Errors
/// [`IsoError`].
pub fn write(iso: &Iso<'_>) -> Result<SparseImage, IsoError> {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if iso.volume_id.is_empty() || iso.volume_id.len() > VOLUME_ID || !iso.volume_id.bytes().all(allowed) {
        return Err(IsoError::VolumeId { volume_id: iso.volume_id.to_owned() });
    }
    let files = files(iso)?;
    let options = options(iso);
    let plain = hadris_iso::plan(&files, &options).map_err(layout)?.size();
    // The configuration lies behind the files, where media with sectors of its length can write it at once.
    let config = plain.div_ceil(BLOCK).next_multiple_of(CONFIG_BLOCKS) * BLOCK;
    let bytes = config + (CONFIG_BLOCKS + BACKUP_BLOCKS) * BLOCK;
    // The volume covers configuration and backup table: what copies "the ISO" by the length it states copies them too.
    let options = options.with_min_image_blocks(bytes / BLOCK);
    let mut image = SparseImage::new(bytes);
    let report = hadris_iso::sync::write(Device(&mut image), &files, &options).map_err(layout)?;
    let place = |path: &str| -> (u64, u64) {
        let extents = report.extents(path.trim_start_matches('/')).unwrap_or_default();
        let first = extents.first().expect("a file that was written has a place");
        (first.offset(), first.len())
    };
    if let Some(bios) = iso.bios {
        let code = grub::hybrid_mbr(bios.boot_hybrid, place(BIOS_IMAGE).0)?;
        image.write_at(0, &code).expect("an ISO is longer than a sector");
    }
    let (uefi, length) = place(UEFI_IMAGE);
    image.write_at(config, iso.config).expect("there is room for a sector");
    gpt::write(&mut image, iso.disk_guid, &partitions(iso.disk_guid, bytes, uefi / SECTOR, length / SECTOR, config / SECTOR))?;
    Ok(image)
}

/// The system partition and the configuration's, and what lies before and between them marked as taken, so that no tool puts something there.
fn partitions(disk_guid: Uuid, bytes: u64, uefi: u64, uefi_sectors: u64, config: u64) -> Vec<Partition> {
    let partition = |type_guid, name: &str, first_sector: u64, behind: u64| Partition {
        type_guid,
        unique_guid: Uuid::new_v5(&disk_guid, name.as_bytes()),
        name: name.to_owned(),
        first_sector,
        sectors: behind.saturating_sub(first_sector),
        attributes: 0,
    };
    let behind_uefi = uefi + uefi_sectors;
    let usable = bytes / SECTOR - BACKUP_SECTORS;
    let all = [
        partition(gpt::TYPE_RESERVED, "iso-head", FIRST_ISO_SECTOR, uefi),
        partition(gpt::TYPE_ESP, "esp", uefi, behind_uefi),
        partition(gpt::TYPE_RESERVED, "iso-tail", behind_uefi, config),
        partition(gpt::TYPE_CONFIG, sector::PARTITION, config, usable),
    ];
    all.into_iter().filter(|partition| partition.sectors > 0).collect()
}

fn options(iso: &Iso<'_>) -> IsoOptions {
    let time = DateTime::from_unix_seconds(i64::from(iso.epoch.seconds())).expect("32 bits of seconds are a date");
    let mut catalog = ElTorito::new();
    if iso.bios.is_some() {
        let entry = BootEntry::bios(BIOS_IMAGE.trim_start_matches('/')).with_load_size(BIOS_LOAD_SECTORS);
        catalog = catalog.with_entry(entry.with_boot_info(BootInfo::Grub2));
    }
    // Lengths above 32 MiB do not fit the catalog's field; 1 means "to the end of the medium" to UEFI (chapter 13.3.2.1), where the real
    // length would be cut to 65535 sectors.
    catalog = catalog.with_entry(BootEntry::uefi(UEFI_IMAGE.trim_start_matches('/')).with_load_size(1));
    IsoOptions::default()
        .with_id(IsoId::Volume, iso.volume_id)
        .with_rock_ridge()
        .with_joliet()
        .with_time(time)
        .with_seed(iso.disk_guid.as_u64_pair().0)
        .with_el_torito(catalog)
}

fn files(iso: &Iso<'_>) -> Result<HadrisTree, IsoError> {
    let mut files = HadrisTree::new();
    let mut insert = |path: &str, node: Node| {
        files
            .insert(path.trim_start_matches('/'), node)
            .map_err(|source| IsoError::File { path: path.to_owned(), source: Box::new(source) })
    };
    for (path, node) in iso.tree {
        let node = match &node.kind {
            NodeKind::Directory => Node::dir(),
            NodeKind::File(contents) => Node::file(Content::bytes(contents.to_vec())),
            NodeKind::Symlink(target) => Node::symlink(target),
        };
        insert(path, node)?;
    }
    insert(UEFI_IMAGE, Node::file(Content::bytes(iso.uefi.to_vec())))?;
    if let Some(bios) = iso.bios {
        insert(BIOS_IMAGE, Node::file(Content::bytes(bios.eltorito)))?;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Uuid = uuid::uuid!("11111111-2222-3333-4444-555555555555");
    const CONFIG: [u8; sector::BYTES] = [0xc0; sector::BYTES];

    fn boot_hybrid() -> Vec<u8> {
        let mut image = vec![0xeb; 512];
        image[510..].copy_from_slice(&[0x55, 0xaa]);
        image
    }

    fn build(bios: bool, uefi: &SparseImage) -> Result<SparseImage, IsoError> {
        let mut tree = Tree::new();
        tree.insert_file("/boot/grub/grub.cfg", 0o644, *b"set default=0\n").unwrap();
        let (eltorito, boot_hybrid) = (vec![0xcc; 150_000], boot_hybrid());
        let bios = bios.then_some(Bios { eltorito: &eltorito, boot_hybrid: &boot_hybrid });
        write(&Iso {
            volume_id: "SHOAL",
            tree: &tree,
            uefi,
            bios,
            config: &CONFIG,
            disk_guid: DISK,
            epoch: Epoch::from_seconds(1_763_866_861),
        })
    }

    fn uefi() -> SparseImage {
        let mut image = SparseImage::new(40 << 20);
        image.write_at(0, b"FAT volume").unwrap();
        image.write_at((40 << 20) - 4, b"last").unwrap();
        image
    }

    /// The El Torito entries: platform, sector count, block.
    fn catalog(iso: &SparseImage) -> Vec<(u8, u16, u32)> {
        let block = u32::from_le_bytes(iso.bytes_at(17 * 2048 + 71, 4).try_into().unwrap());
        let catalog = iso.bytes_at(u64::from(block) * 2048, 2048);
        let entry = |platform: u8, at: usize| {
            let count = u16::from_le_bytes([catalog[at + 6], catalog[at + 7]]);
            (catalog[at] == 0x88).then(|| (platform, count, u32::from_le_bytes(catalog[at + 8..at + 12].try_into().unwrap())))
        };
        [entry(catalog[1], 32), entry(catalog[65], 96)].into_iter().flatten().collect()
    }

    #[test]
    fn firmware_finds_the_same_uefi_image_on_a_cd_and_on_a_stick() {
        let mut iso = build(true, &uefi()).unwrap();
        let (disk, partitions) = gpt::read(&mut iso).unwrap();
        assert_eq!(disk, DISK);
        let esp = partitions.iter().find(|partition| partition.type_guid == gpt::TYPE_ESP).unwrap();
        assert_eq!(iso.bytes_at(esp.offset(), 10), b"FAT volume");
        assert_eq!(iso.bytes_at(esp.offset() + esp.bytes() - 4, 4), b"last");
        let entries = catalog(&iso);
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].0, entries[0].1), (0, 4));
        assert_eq!((entries[1].0, entries[1].1), (0xef, 1));
        assert_eq!(u64::from(entries[1].2) * 2048, esp.offset());
    }

    #[test]
    fn the_mbr_leads_behind_the_cd_boot_sector_of_the_eltorito_image() {
        let iso = build(true, &uefi()).unwrap();
        let block = catalog(&iso)[0].2;
        assert_eq!(iso.bytes_at(432, 8), (u64::from(block) * 4 + 4).to_le_bytes());
        assert_eq!(iso.bytes_at(u64::from(block) * 2048 + 3000, 2), [0xcc, 0xcc]);
    }

    #[test]
    fn without_bios_there_is_no_boot_code_and_one_entry() {
        let iso = build(false, &uefi()).unwrap();
        assert_eq!(iso.bytes_at(0, 440), [0; 440]);
        assert_eq!(catalog(&iso).iter().map(|entry| entry.0).collect::<Vec<_>>(), [0xef]);
    }

    #[test]
    fn no_free_sector_lies_inside_the_file_system_and_the_volume_covers_its_backup_table() {
        let mut iso = build(true, &uefi()).unwrap();
        let (_, partitions) = gpt::read(&mut iso).unwrap();
        let mut next = FIRST_ISO_SECTOR;
        for partition in &partitions {
            assert_eq!(partition.first_sector, next);
            next += partition.sectors;
        }
        assert_eq!(next, iso.len() / SECTOR - BACKUP_SECTORS);
        let config = partitions.iter().find(|partition| partition.type_guid == gpt::TYPE_CONFIG).unwrap();
        assert!(config.offset().is_multiple_of(sector::BYTES as u64));
        assert_eq!(iso.bytes_at(config.offset(), sector::BYTES), CONFIG);
        let blocks = u32::from_le_bytes(iso.bytes_at(16 * 2048 + 80, 4).try_into().unwrap());
        assert_eq!(u64::from(blocks) * 2048, iso.len());
        iso.write_at(512, &[0; 512]).unwrap();
        assert_eq!(gpt::read(&mut iso).unwrap().1, partitions, "the backup is whole");
    }

    #[test]
    fn the_same_parts_give_the_same_bytes() {
        assert_eq!(build(true, &uefi()).unwrap(), build(true, &uefi()).unwrap());
    }

    #[test]
    fn wrong_parts_are_refused() {
        let tree = Tree::new();
        let uefi = uefi();
        let iso = Iso {
            volume_id: "SHOAL",
            tree: &tree,
            uefi: &uefi,
            bios: None,
            config: &CONFIG,
            disk_guid: DISK,
            epoch: Epoch::from_seconds(0),
        };
        for volume_id in ["", "lower", "A B", &"A".repeat(33)] {
            assert!(matches!(write(&Iso { volume_id, ..iso }), Err(IsoError::VolumeId { .. })), "{volume_id:?}");
        }
        let mut taken = Tree::new();
        taken.insert_file(UEFI_IMAGE, 0o644, *b"mine").unwrap();
        assert!(matches!(write(&Iso { tree: &taken, ..iso }), Err(IsoError::File { path, .. }) if path == UEFI_IMAGE));
        let bios = Some(Bios { eltorito: &[0; 4096], boot_hybrid: &[0; 512] });
        assert!(matches!(write(&Iso { bios, ..iso }), Err(IsoError::Grub(_))));
        let bios = Some(Bios { eltorito: &[0; 100], boot_hybrid: &boot_hybrid() });
        assert!(matches!(write(&Iso { bios, ..iso }), Err(IsoError::Layout(_))));
    }
}
