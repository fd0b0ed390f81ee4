//! FAT volumes, for the EFI system partition and for the UEFI boot image of an ISO.
//!
//! The file system itself is hadris-fat's; this module fixes everything a volume could say about when and where it was made.

use hadris_fat::{FatKind, FatOptions, VolumeLabel};
use hadris_fs::{Content, DateTime, ErrorKind, Node, PathError, Tree as HadrisTree};
use hadris_storage::BlockSize;
use hadris_storage::sync::BlockDevice;

use crate::epoch::Epoch;
use crate::gpt::SECTOR;
use crate::sparse::SparseImage;
use crate::tree::{NodeKind, Tree};

/// Bytes of a directory entry, and the characters of a long name that one of them holds.
const DIRECTORY_ENTRY: u64 = 32;
const LONG_NAME_UNITS: usize = 13;

/// Variant of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// FAT16: 2 MiB to 2 GiB. For small volumes; UEFI reads it like FAT32.
    Fat16,
    /// FAT32: 33 MiB and more. What UEFI asks of a system partition on a fixed disk.
    Fat32,
}

/// What a volume is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume<'label> {
    /// Variant.
    pub variant: Variant,
    /// Length in bytes, a multiple of 512.
    pub bytes: u64,
    /// Label: up to 11 ASCII characters, stored in upper case.
    pub label: &'label str,
    /// Serial number; GRUB and Linux call it the file system's UUID (`1234-ABCD`).
    pub serial: u32,
    /// Time of every file; FAT begins at 1980, earlier ones become that.
    pub epoch: Epoch,
    /// Where the volume begins on its disk, in bytes.
    pub disk_offset: u64,
}

/// Why no volume could be made.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// The files need more room.
    #[error("the files do not fit a FAT volume of {bytes} bytes: {missing} bytes are missing; enlarge it")]
    Full {
        /// Length of the volume.
        bytes: u64,
        /// How many bytes are missing, in whole clusters.
        missing: u64,
    },
    /// The length does not suit the variant.
    #[error("{bytes} bytes are no length for a {variant:?} volume; choose a multiple of 512 within the variant's limits")]
    Length {
        /// Length asked for.
        bytes: u64,
        /// Variant asked for.
        variant: Variant,
    },
    /// A label FAT cannot store.
    #[error("`{label}` is no FAT label; write up to 11 ASCII letters, digits, `-` or `_`")]
    Label {
        /// The label.
        label: String,
    },
    /// A symbolic link.
    #[error("`{path}` is a symbolic link, which FAT does not have; put the file itself there")]
    Symlink {
        /// Its path.
        path: String,
    },
    /// A name FAT cannot store, or two that differ only in case.
    #[error("`{path}` cannot be stored on FAT; rename it")]
    Name {
        /// Its path.
        path: String,
        /// What the writer said.
        #[source]
        source: Box<PathError>,
    },
}

/// Writes `tree` as a FAT volume. Modes are dropped, FAT has none.
///
/// # Errors
/// [`FatError`].
pub fn write(tree: &Tree, volume: &Volume<'_>) -> Result<SparseImage, FatError> {
    let label = VolumeLabel::new(volume.label).map_err(|_| FatError::Label { label: volume.label.to_owned() })?;
    let bad_length = FatError::Length { bytes: volume.bytes, variant: volume.variant };
    if !volume.bytes.is_multiple_of(SECTOR) {
        return Err(bad_length);
    }
    let time = DateTime::from_unix_seconds(i64::from(volume.epoch.seconds().max(FAT_BEGINS))).expect("32 bits of seconds are a date");
    let options = FatOptions::new()
        .with_kind(match volume.variant {
            Variant::Fat16 => FatKind::Fat16,
            Variant::Fat32 => FatKind::Fat32,
        })
        .with_label(label)
        .with_serial(volume.serial)
        .with_time(time)
        .with_partition_offset(volume.disk_offset);
    let mut image = SparseImage::new(volume.bytes);
    // A trial format of an empty image tells how many clusters there are.
    let geometry = hadris_fat::sync::format(&mut Device(&mut image), &options).map_err(|_| bad_length)?;
    let cluster = u64::from(geometry.cluster_size());
    let available = u64::from(geometry.max_cluster() - 1) * cluster;
    let needed = bytes_needed(tree, cluster);
    let mut image = SparseImage::new(volume.bytes);
    match hadris_fat::sync::write(Device(&mut image), &hadris_tree(tree)?, &options) {
        Ok(_) => Ok(image),
        Err(error) if error.kind() == ErrorKind::NoSpace => {
            Err(FatError::Full { bytes: volume.bytes, missing: needed.saturating_sub(available).max(cluster) })
        }
        Err(source) => {
            let path = source.path().map(|path| String::from_utf8_lossy(path).into_owned()).unwrap_or_default();
            Err(FatError::Name { path, source: Box::new(source) })
        }
    }
}

/// Bytes in clusters of `cluster` bytes that the files and directories of `tree` take, counting a long name for every entry.
#[must_use]
pub fn bytes_needed(tree: &Tree, cluster: u64) -> u64 {
    let entries = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        1 + name.encode_utf16().count().div_ceil(LONG_NAME_UNITS) as u64
    };
    let directory = |location: &str| {
        let depth = location.matches('/').count() + 1;
        let children = tree.below(location).filter(|(path, _)| path.matches('/').count() == depth);
        // `.` and `..`, in the root the label.
        (2 + children.map(|(path, _)| entries(path)).sum::<u64>()) * DIRECTORY_ENTRY
    };
    let lengths = tree.iter().map(|(path, node)| match &node.kind {
        NodeKind::Directory => directory(path),
        NodeKind::File(contents) => contents.len() as u64,
        NodeKind::Symlink(_) => 0,
    });
    let root = directory("").max(1);
    lengths.chain([root]).map(|length| length.next_multiple_of(cluster)).sum()
}

/// 1980-01-01T00:00:00Z.
const FAT_BEGINS: u32 = 315_532_800;

fn hadris_tree(tree: &Tree) -> Result<HadrisTree, FatError> {
    let mut target = HadrisTree::new();
    for (path, node) in tree {
        let node = match &node.kind {
            NodeKind::Directory => Node::dir(),
            NodeKind::File(contents) => Node::file(Content::bytes(contents.to_vec())),
            NodeKind::Symlink(_) => return Err(FatError::Symlink { path: path.clone() }),
        };
        target
            .insert(path.trim_start_matches('/'), node)
            .map_err(|source| FatError::Name { path: path.clone(), source: Box::new(source) })?;
    }
    Ok(target)
}

/// A [`SparseImage`] as hadris wants to see it: blocks of 512 bytes, its length fixed.
pub(crate) struct Device<'image>(pub(crate) &'image mut SparseImage);

impl hadris_io::ErrorType for Device<'_> {
    type Error = std::convert::Infallible;
}

impl BlockDevice for Device<'_> {
    fn block_size(&self) -> BlockSize {
        BlockSize::new(SECTOR as u32).expect("a sector is not empty")
    }

    fn block_count(&self) -> u64 {
        self.0.len() / SECTOR
    }

    fn writable(&self) -> bool {
        true
    }

    fn read_blocks(&mut self, first: hadris_storage::BlockIndex, buffer: &mut [u8]) -> Result<(), hadris_io::Error<Self::Error>> {
        self.0.read_at(first.get() * SECTOR, buffer);
        Ok(())
    }

    fn write_blocks(&mut self, first: hadris_storage::BlockIndex, buffer: &[u8]) -> Result<(), hadris_io::Error<Self::Error>> {
        let behind_end = |_| hadris_io::Error::new(ErrorKind::NoSpace, "behind the end of the image");
        self.0.write_at(first.get() * SECTOR, buffer).map_err(behind_end)
    }
}

#[cfg(test)]
mod tests {
    use hadris_fat::sync::{FatFs, check};
    use hadris_fs::MountOptions;
    use hadris_fs::sync::Volume as Mounted;

    use super::*;

    fn volume(bytes: u64) -> Volume<'static> {
        let epoch = Epoch::from_seconds(1_763_866_861);
        Volume { variant: Variant::Fat32, bytes, label: "SHOAL-ESP", serial: 0x1234_abcd, epoch, disk_offset: 1 << 20 }
    }

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert_file("/EFI/BOOT/BOOTX64.EFI", 0o644, vec![1; 100_000]).unwrap();
        tree.insert_file("/EFI/Linux/shoal_1.0.0+3-0.efi", 0o644, vec![2; 1_000_000]).unwrap();
        tree.insert_file("/loader/loader.conf", 0o644, *b"timeout 0\n").unwrap();
        tree.insert_dir("/empty", 0o755).unwrap();
        tree
    }

    #[test]
    fn files_are_read_back_and_the_checker_finds_nothing() {
        for (variant, bytes) in [(Variant::Fat32, 64 << 20), (Variant::Fat16, 16 << 20)] {
            let mut image = write(&tree(), &Volume { variant, ..volume(bytes) }).unwrap();
            assert_eq!(image.len(), bytes);
            let problems = check_all(&mut image);
            assert!(problems.is_empty(), "{variant:?}: {problems:?}");
            let mounted = Mounted::new(FatFs::mount(Device(&mut image), MountOptions::new().read_only()).unwrap());
            for (path, node) in &tree() {
                if let NodeKind::File(contents) = &node.kind {
                    let mut read = Vec::new();
                    let mut file = mounted.open(path.as_str(), hadris_fs::OpenOptions::new().read()).unwrap();
                    std::io::Read::read_to_end(&mut file, &mut read).unwrap();
                    assert_eq!(read, **contents, "{path}");
                }
            }
        }
    }

    fn check_all(image: &mut SparseImage) -> Vec<String> {
        let mut problems = Vec::new();
        let mut scratch = [0; 8192];
        check(&mut Device(image), &mut scratch, |finding| problems.push(format!("{finding:?}"))).unwrap();
        problems
    }

    #[test]
    fn the_same_tree_gives_the_same_volume_with_label_serial_and_place() {
        let image = write(&tree(), &volume(64 << 20)).unwrap();
        assert_eq!(image, write(&tree(), &volume(64 << 20)).unwrap());
        let boot = image.bytes_at(0, 512);
        assert_eq!(boot[28..32], 2048_u32.to_le_bytes(), "hidden sectors");
        assert_eq!(boot[67..71], 0x1234_abcd_u32.to_le_bytes(), "serial");
        assert_eq!(&boot[71..82], b"SHOAL-ESP  ");
        assert_eq!(&boot[82..90], b"FAT32   ");
    }

    #[test]
    fn a_full_volume_says_how_many_bytes_are_missing() {
        let mut tree = tree();
        tree.insert_file("/large", 0o644, vec![3; 63 << 20]).unwrap();
        let Err(FatError::Full { bytes, missing }) = write(&tree, &volume(64 << 20)) else { panic!("it fitted") };
        assert_eq!(bytes, 64 << 20);
        let larger = |by: u64| write(&tree, &volume((64 << 20) + by.next_multiple_of(SECTOR)));
        assert!(matches!(larger(missing / 2), Err(FatError::Full { .. })));
        // A larger volume has larger tables too: 8 bytes for each of the new clusters of 512.
        assert!(larger(missing + missing / 32).is_ok(), "{missing}");
    }

    #[test]
    fn what_fat_cannot_say_is_refused() {
        let mut links = tree();
        links.insert_symlink("/link", "EFI").unwrap();
        assert!(matches!(write(&links, &volume(64 << 20)), Err(FatError::Symlink { path }) if path == "/link"));
        let mut names = tree();
        names.insert_file("/efi/twice", 0o644, *b"").unwrap();
        assert!(matches!(write(&names, &volume(64 << 20)), Err(FatError::Name { .. })));
        assert!(matches!(write(&tree(), &Volume { label: "much too long", ..volume(64 << 20) }), Err(FatError::Label { .. })));
        assert!(matches!(write(&tree(), &volume(1 << 20)), Err(FatError::Length { .. })));
        assert!(matches!(write(&tree(), &volume((64 << 20) + 1)), Err(FatError::Length { .. })));
    }

    #[test]
    fn times_before_1980_become_1980() {
        let early = Volume { epoch: Epoch::from_seconds(0), ..volume(64 << 20) };
        assert!(write(&tree(), &early).is_ok());
    }
}
