//! Where the configuration of an image lies: one sector of 4 KiB that belongs to whoever owns the image, and that is written in place without building
//! anything anew.
//!
//! | form | place |
//! |---|---|
//! | disk image, hybrid ISO | a partition of its own ([`gpt::TYPE_CONFIG`]) |
//! | qcow2 | the same, in the guest's disk |
//! | initramfs | the first file of the archive, which is not compressed |
//! | UKI | the same, in the section `.initrd` |
//!
//! A disk has the sector in a partition so that a signature over what is booted does not cover what its owner writes. What is booted from the network has
//! nothing beside itself. What the sector says is none of this crate's business.

use std::io::{self, Read, Seek, SeekFrom};

use crate::{
    cpio::{self, FirstFile},
    epoch::Epoch,
    gpt::TYPE_CONFIG,
    pe::{Headers, PeError},
    qcow2::{Guest, GuestError},
};

/// Length of the sector.
pub const BYTES: usize = 4096;

/// Name and label of the partition.
pub const PARTITION: &str = "config";

/// Bytes at the beginning of a UKI that hold its headers, generously.
const HEAD_BYTES: u64 = 64 << 10;

/// The section of a UKI with the initramfs (UAPI.5).
const INITRD_SECTION: &str = ".initrd";

/// What an image turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A disk image or a hybrid ISO.
    Disk,
    /// A qcow2 file.
    Qcow2,
    /// A unified kernel image.
    Uki,
    /// An initramfs.
    Initramfs,
}

/// Where a sector lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What the image is.
    pub form: Form,
    /// Bytes from the start of the file.
    pub offset: u64,
}

/// Why there is no place for a configuration.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It cannot be read.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// A packed form.
    #[error("it is compressed with zstd; unpack it first: zstd -d FILE")]
    Packed,
    /// None of the forms above.
    #[error("it is none of the images that `shoal build` writes: neither disk image, ISO, qcow2, UKI nor initrd")]
    Unknown,
    /// A form that has a configuration, without one.
    #[error("it has no place for a configuration: it was built by an older version, or by something else; build it again")]
    NoPlace,
    /// A qcow2 file of another kind.
    #[error(transparent)]
    Guest(GuestError),
    /// A UKI that is damaged.
    #[error("it begins like a UKI and is none")]
    Uki(#[from] PeError),
}

impl From<GuestError> for FindError {
    fn from(error: GuestError) -> Self {
        match error {
            GuestError::Io(error) => Self::Io(error),
            form @ GuestError::Form(_) => Self::Guest(form),
        }
    }
}

/// The archive with nothing but the sector, as an initramfs begins with it. `name` is the file's path without a leading slash.
///
/// # Panics
/// If `sector` does not have [`BYTES`].
#[must_use]
pub fn archive(name: &str, sector: &[u8], epoch: Epoch) -> Vec<u8> {
    assert_eq!(sector.len(), BYTES, "a configuration is one sector");
    let mut archive = Vec::new();
    // Readable by PID 1 alone: with a fleet in it, it is a secret.
    cpio::write_file(name, 0o400, sector, epoch, &mut archive).expect("memory takes everything, and 4 KiB fit");
    archive
}

/// Finds the sector of an image. `name` is the file's path in the initramfs, without a leading slash.
///
/// # Errors
/// [`FindError`].
pub fn find(image: &mut (impl Read + Seek), name: &str) -> Result<Place, FindError> {
    let length = image.seek(SeekFrom::End(0))?;
    image.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    image.by_ref().take(HEAD_BYTES).read_to_end(&mut start)?;
    let at = |form, offset| Place { form, offset };
    match start.as_slice() {
        [b'Q', b'F', b'I', 0xfb, ..] => {
            let mut guest = Guest::open(image)?;
            let offset = in_partition(&mut guest)?;
            // Partitions begin at multiples of the sector's length, and clusters are multiples of it.
            guest.place(offset)?.map(|offset| at(Form::Qcow2, offset)).ok_or(FindError::NoPlace)
        }
        // zstd, and its skippable frames.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Err(FindError::Packed),
        [b'0', b'7', b'0', b'7', ..] => first_file(&start, name).map(|offset| at(Form::Initramfs, offset)),
        [b'M', b'Z', ..] if !is_disk(&start) => {
            let headers = Headers::parse_head(&start, length)?;
            let section = headers.sections.iter().find(|section| section.name == INITRD_SECTION).ok_or(FindError::NoPlace)?;
            image.seek(SeekFrom::Start(section.file_offset))?;
            let mut start = Vec::new();
            image.by_ref().take(section.file_length.min(HEAD_BYTES)).read_to_end(&mut start)?;
            first_file(&start, name).map(|offset| at(Form::Uki, section.file_offset + offset))
        }
        start if is_disk(start) => in_partition(image).map(|offset| at(Form::Disk, offset)),
        _ => Err(FindError::Unknown),
    }
}

/// Whether it ends its first sector like a disk, and has a partition table behind it.
fn is_disk(start: &[u8]) -> bool {
    start.get(510..512) == Some(&[0x55, 0xaa]) && start.get(512..520) == Some(b"EFI PART")
}

fn in_partition(disk: &mut (impl Read + Seek)) -> Result<u64, FindError> {
    disk.seek(SeekFrom::Start(0))?;
    let table = match gptman::GPT::read_from(disk, crate::gpt::SECTOR) {
        Ok(table) => table,
        Err(gptman::Error::Io(error)) => return Err(error.into()),
        Err(_) => return Err(FindError::Unknown),
    };
    let ours = table.iter().map(|(_, entry)| entry).find(|entry| entry.partition_type_guid == TYPE_CONFIG.to_bytes_le());
    let entry = ours.ok_or(FindError::NoPlace)?;
    // A table may be whole and say anything.
    let bytes = |sectors: u64| sectors.checked_mul(crate::gpt::SECTOR).ok_or(FindError::NoPlace);
    let (begin, last) = (bytes(entry.starting_lba)?, bytes(entry.ending_lba)?);
    let is_long_enough = last.checked_sub(begin).is_some_and(|rest| rest.saturating_add(crate::gpt::SECTOR) >= BYTES as u64);
    if is_long_enough && begin.is_multiple_of(BYTES as u64) { Ok(begin) } else { Err(FindError::NoPlace) }
}

fn first_file(archive: &[u8], name: &str) -> Result<u64, FindError> {
    match cpio::first_file(archive) {
        Some(FirstFile { name: found, offset, length: BYTES }) if found == name => Ok(offset as u64),
        _ => Err(FindError::NoPlace),
    }
}

#[cfg(test)]
mod tests;
