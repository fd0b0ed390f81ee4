//! The guest's disk in a qcow2 file, as far as it can be read, and written in place, by its tables alone.

use std::io::{self, Read, Seek, SeekFrom};

/// The first four bytes of a file.
const MAGIC: u32 = 0x5146_49fb;

/// Bits of an entry of a table that are an offset in the file.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// "This cluster is referred to exactly once": it may be written in place.
const ONCE: u64 = 1 << 63;

/// "This cluster is compressed."
const COMPRESSED: u64 = 1 << 62;

/// "This cluster is zeros", whatever its place holds.
const ZEROS: u64 = 1;

/// log2 of clusters' lengths that there are: 512 bytes to 2 MiB.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;

/// Why a file cannot be read as a disk.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The file cannot be read.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// It has a form that this does not know. The text says what.
    #[error("it is a qcow2 file {0}; convert it with `qemu-img convert -O qcow2` first")]
    Form(&'static str),
}

/// A disk in a qcow2 file: [`Read`] and [`Seek`] are those of the guest's disk.
#[derive(Debug)]
pub struct Guest<'file, F> {
    file: &'file mut F,
    cluster_bits: u32,
    bytes: u64,
    level_1: Vec<u64>,
    position: u64,
}

impl<'file, F: Read + Seek> Guest<'file, F> {
    /// Opens a file.
    ///
    /// # Errors
    /// [`GuestError`].
    pub fn open(file: &'file mut F) -> Result<Self, GuestError> {
        let mut header = [0; 104];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut header[..72])?;
        let u32_at = |header: &[u8], at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let u64_at = |header: &[u8], at: usize| u64::from(u32_at(header, at)) << 32 | u64::from(u32_at(header, at + 4));
        if u32_at(&header, 0) != MAGIC {
            return Err(GuestError::Form("that does not begin like one"));
        }
        match u32_at(&header, 4) {
            2 => {}
            3 => file.read_exact(&mut header[72..])?,
            _ => return Err(GuestError::Form("of a version that is neither 2 nor 3")),
        }
        let cluster_bits = u32_at(&header, 20);
        let level_1_entries = u32_at(&header, 36);
        if !CLUSTER_BITS.contains(&cluster_bits) {
            return Err(GuestError::Form("with clusters of a length that there is not"));
        }
        if u64_at(&header, 8) != 0 {
            return Err(GuestError::Form("that is only the difference to another file"));
        }
        if u32_at(&header, 32) != 0 {
            return Err(GuestError::Form("that is encrypted"));
        }
        if u32_at(&header, 60) != 0 {
            return Err(GuestError::Form("with snapshots"));
        }
        if u64_at(&header, 72) != 0 {
            return Err(GuestError::Form("that is in use, was not closed, or has features that are not known here"));
        }
        let bytes = u64_at(&header, 24);
        // A cluster of level 2 has entries of eight bytes, each for a cluster of the disk.
        let needed = bytes.div_ceil(1 << (2 * cluster_bits - 3));
        if u64::from(level_1_entries) < needed || needed > LEVEL_1_MAX {
            return Err(GuestError::Form("whose table does not fit its disk"));
        }
        file.seek(SeekFrom::Start(u64_at(&header, 40)))?;
        let mut table = vec![0; needed as usize * 8];
        file.read_exact(&mut table)?;
        let level_1 = table.chunks_exact(8).map(|entry| u64_at(entry, 0)).collect();
        Ok(Self { file, cluster_bits, bytes, level_1, position: 0 })
    }

    /// Where in the file a byte of the disk lies; `None` if it is a zero that is not stored.
    ///
    /// # Errors
    /// [`GuestError`] if it is compressed, or shared with a snapshot.
    pub fn place(&mut self, offset: u64) -> Result<Option<u64>, GuestError> {
        let cluster = offset >> self.cluster_bits;
        let entries_bits = self.cluster_bits - 3;
        let Some(&level_1) = self.level_1.get((cluster >> entries_bits) as usize) else { return Ok(None) };
        if level_1 & OFFSET == 0 {
            return Ok(None);
        }
        let mut entry = [0; 8];
        self.file.seek(SeekFrom::Start((level_1 & OFFSET) + (cluster & ((1 << entries_bits) - 1)) * 8))?;
        self.file.read_exact(&mut entry)?;
        let entry = u64::from_be_bytes(entry);
        if entry & COMPRESSED != 0 {
            return Err(GuestError::Form("with compressed clusters"));
        }
        if entry & OFFSET == 0 || entry & ZEROS != 0 {
            return Ok(None);
        }
        if level_1 & entry & ONCE == 0 {
            return Err(GuestError::Form("with clusters that are referred to more than once"));
        }
        Ok(Some((entry & OFFSET) + (offset & ((1 << self.cluster_bits) - 1))))
    }
}

/// Entries of the first table, at most: 32 MiB of them, as QEMU has it.
const LEVEL_1_MAX: u64 = (32 << 20) / 8;

impl<F: Read + Seek> Read for Guest<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let in_cluster = (1_u64 << self.cluster_bits) - (self.position & ((1 << self.cluster_bits) - 1));
        let length = (buffer.len() as u64).min(in_cluster).min(self.bytes.saturating_sub(self.position)) as usize;
        let buffer = &mut buffer[..length];
        let place = self.place(self.position).map_err(|error| match error {
            GuestError::Io(error) => error,
            form @ GuestError::Form(_) => io::Error::new(io::ErrorKind::Unsupported, form),
        })?;
        match place {
            Some(place) if length > 0 => {
                self.file.seek(SeekFrom::Start(place))?;
                self.file.read_exact(buffer)?;
            }
            _ => buffer.fill(0),
        }
        self.position += length as u64;
        Ok(length)
    }
}

impl<F> Seek for Guest<'_, F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "before the beginning of the disk"))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{qcow2::write, sparse::SparseImage};

    fn file(image: &SparseImage) -> Cursor<Vec<u8>> {
        let mut bytes = Vec::new();
        write(image, &mut bytes).unwrap();
        Cursor::new(bytes)
    }

    #[test]
    fn a_disk_is_read_through_its_tables() {
        let mut image = SparseImage::new((5 << 30) + 512);
        image.write_at(70_000, b"one").unwrap();
        image.write_at((5 << 30) + 509, b"two").unwrap();
        let mut file = file(&image);
        let mut guest = Guest::open(&mut file).unwrap();
        let mut found = [0xff; 6];
        guest.seek(SeekFrom::Start(69_999)).unwrap();
        guest.read_exact(&mut found).unwrap();
        assert_eq!(&found, b"\0one\0\0");
        guest.seek(SeekFrom::End(-3)).unwrap();
        guest.read_exact(&mut found[..3]).unwrap();
        assert_eq!(&found[..3], b"two");
        assert_eq!(guest.read(&mut found).unwrap(), 0, "the disk ends there");
        assert!(guest.place(1 << 30).unwrap().is_none(), "zeros have no place");
        let place = guest.place(70_000).unwrap().unwrap() as usize;
        assert_eq!(&file.get_ref()[place..place + 3], b"one");
    }

    #[test]
    fn what_cannot_be_written_in_place_is_refused() {
        let mut image = SparseImage::new(1 << 20);
        image.write_at(0, b"x").unwrap();
        let original = file(&image).into_inner();
        for (at, value, word) in [
            (4, 4, "version"),
            (20, 40, "length"),
            (15, 1, "difference"),
            (32, 1, "encrypted"),
            (60, 1, "snapshots"),
            (72, 1, "in use"),
            (36, 0, "table"),
        ] {
            let mut bytes = original.clone();
            match at {
                15 => bytes[at] = value,
                _ => bytes[at..at + 4].copy_from_slice(&u32::from(value).to_be_bytes()),
            }
            let error = Guest::open(&mut Cursor::new(bytes)).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        // The entry of the first cluster, in the only table of level 2.
        let level_2 = u64::from_be_bytes(original[3 * 65_536..][..8].try_into().unwrap()) & OFFSET;
        for (flag, word) in [(0x80, "more than once"), (0x40, "compressed")] {
            let mut bytes = original.clone();
            bytes[level_2 as usize] ^= flag;
            let error = Guest::open(&mut Cursor::new(bytes)).unwrap().place(0).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        assert!(matches!(Guest::open(&mut Cursor::new(&original[..50])), Err(GuestError::Io(_))));
    }
}
