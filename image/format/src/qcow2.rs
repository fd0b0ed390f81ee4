//! QEMU's qcow2, version 3 (`docs/interop/qcow2.txt` of QEMU): written in one pass, without the clusters that are zero.
//!
//! Order in the file: header, refcount table, refcount blocks, L1 table, L2 tables, data. Everything has its place before the first byte
//! is written, so the writer need not seek.

mod guest;

use std::collections::BTreeSet;
use std::io::{self, Write};

pub use guest::{Guest, GuestError};

use crate::sparse::{CHUNK, SparseImage};

/// log2 of the cluster length; 16 is QEMU's default, 64 KiB.
const CLUSTER_BITS: u32 = 16;

/// Length of a cluster in bytes.
const CLUSTER: u64 = 1 << CLUSTER_BITS;
const _: () = assert!(CLUSTER == CHUNK as u64, "a chunk of a sparse image is a cluster");

/// Length of a version 3 header without extensions, in bytes.
const HEADER: u32 = 104;

/// Entries of 8 bytes in a cluster: of an L1, L2 or refcount table.
const TABLE_ENTRIES: u64 = CLUSTER / 8;

/// log2 of the bits of one reference count: 16 bits, the only width version 2 readers know.
const REFCOUNT_ORDER: u32 = 4;

/// Reference counts in a cluster.
const REFCOUNTS: u64 = CLUSTER / 2;

/// "This cluster is referred to exactly once", in L1 and L2 entries.
const COPIED: u64 = 1 << 63;

/// Lengths, in clusters, of the parts of a file.
struct Layout {
    refcount_table: u64,
    refcount_blocks: u64,
    level_1: u64,
    level_2: u64,
    data: u64,
}

impl Layout {
    /// The smallest layout whose reference counts also cover themselves.
    fn of(len: u64, level_2: u64, data: u64) -> Self {
        let level_1_entries = len.div_ceil(CLUSTER * TABLE_ENTRIES);
        let level_1 = level_1_entries.div_ceil(TABLE_ENTRIES).max(1);
        let mut layout = Self { refcount_table: 1, refcount_blocks: 1, level_1, level_2, data };
        loop {
            let blocks = layout.total().div_ceil(REFCOUNTS);
            let table = blocks.div_ceil(TABLE_ENTRIES);
            if (blocks, table) == (layout.refcount_blocks, layout.refcount_table) {
                return layout;
            }
            (layout.refcount_blocks, layout.refcount_table) = (blocks, table);
        }
    }

    const fn total(&self) -> u64 {
        self.level_2_start() + self.level_2 + self.data
    }

    const fn refcount_blocks_start(&self) -> u64 {
        1 + self.refcount_table
    }

    const fn level_1_start(&self) -> u64 {
        self.refcount_blocks_start() + self.refcount_blocks
    }

    const fn level_2_start(&self) -> u64 {
        self.level_1_start() + self.level_1
    }

    const fn data_start(&self) -> u64 {
        self.level_2_start() + self.level_2
    }
}

/// Writes `image` as a qcow2 file. The guest's disk is the image's length, rounded up to whole sectors.
///
/// # Errors
/// Those of the writer.
pub fn write(image: &SparseImage, mut writer: impl Write) -> io::Result<()> {
    let used: Vec<u64> = image.chunks().map(|(number, _)| number).collect();
    let tables: BTreeSet<u64> = used.iter().map(|number| number / TABLE_ENTRIES).collect();
    let layout = Layout::of(image.len(), tables.len() as u64, used.len() as u64);

    writer.write_all(&header(image.len(), &layout))?;
    let refcount_blocks = (0..layout.refcount_blocks).map(|number| (layout.refcount_blocks_start() + number) * CLUSTER);
    write_table(&mut writer, layout.refcount_table, refcount_blocks)?;
    write_refcounts(&mut writer, &layout)?;
    let mut next_table = layout.level_2_start();
    let level_1 = (0..image.len().div_ceil(CLUSTER * TABLE_ENTRIES)).map(|number| {
        let present = tables.contains(&number);
        let entry = if present { (next_table * CLUSTER) | COPIED } else { 0 };
        next_table += u64::from(present);
        entry
    });
    write_table(&mut writer, layout.level_1, level_1)?;
    let mut next_data = layout.data_start();
    let mut used = used.into_iter().peekable();
    for table in &tables {
        let entries = (table * TABLE_ENTRIES..(table + 1) * TABLE_ENTRIES).map(|number| {
            if used.next_if_eq(&number).is_none() {
                return 0;
            }
            next_data += 1;
            ((next_data - 1) * CLUSTER) | COPIED
        });
        write_table(&mut writer, 1, entries)?;
    }
    for (_, chunk) in image.chunks() {
        writer.write_all(chunk)?;
    }
    writer.flush()
}

fn header(len: u64, layout: &Layout) -> Vec<u8> {
    let mut header = Vec::with_capacity(CLUSTER as usize);
    header.extend(b"QFI\xfb");
    header.extend(3_u32.to_be_bytes());
    header.extend([0; 8 + 4]); // no backing file: offset and length of its name
    header.extend(CLUSTER_BITS.to_be_bytes());
    header.extend(len.next_multiple_of(crate::gpt::SECTOR).to_be_bytes());
    header.extend([0; 4]); // not encrypted
    header.extend((len.div_ceil(CLUSTER * TABLE_ENTRIES) as u32).to_be_bytes());
    header.extend((layout.level_1_start() * CLUSTER).to_be_bytes());
    header.extend(CLUSTER.to_be_bytes()); // the refcount table
    header.extend((layout.refcount_table as u32).to_be_bytes());
    header.extend([0; 4 + 8]); // no snapshots
    header.extend([0; 8 + 8 + 8]); // no incompatible, compatible or auto-clear features
    header.extend(REFCOUNT_ORDER.to_be_bytes());
    header.extend(HEADER.to_be_bytes());
    header.resize(CLUSTER as usize, 0);
    header
}

/// Writes 64-bit entries and zeros up to `clusters` clusters.
fn write_table(writer: &mut impl Write, clusters: u64, entries: impl Iterator<Item = u64>) -> io::Result<()> {
    let mut bytes: Vec<u8> = entries.flat_map(u64::to_be_bytes).collect();
    bytes.resize((clusters * CLUSTER) as usize, 0);
    writer.write_all(&bytes)
}

/// Every cluster of the file is referred to once.
fn write_refcounts(writer: &mut impl Write, layout: &Layout) -> io::Result<()> {
    let mut bytes = 1_u16.to_be_bytes().repeat(layout.total() as usize);
    bytes.resize((layout.refcount_blocks * CLUSTER) as usize, 0);
    writer.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads by the tables alone, as the specification says.
    fn read(file: &[u8]) -> SparseImage {
        let u64_at = |at: u64| u64::from_be_bytes(file[at as usize..at as usize + 8].try_into().unwrap());
        let u32_at = |at: u64| u32::from_be_bytes(file[at as usize..at as usize + 4].try_into().unwrap());
        assert_eq!((u32_at(0), u32_at(4), u32_at(20), u32_at(100)), (0x5146_49fb, 3, 16, 104));
        let mut image = SparseImage::new(u64_at(24));
        for table in 0..u64::from(u32_at(36)) {
            let level_2 = u64_at(u64_at(40) + table * 8) & !COPIED;
            for entry in (0..TABLE_ENTRIES).filter(|_| level_2 != 0) {
                let data = u64_at(level_2 + entry * 8) & !COPIED;
                if data != 0 {
                    let start = (table * TABLE_ENTRIES + entry) * CLUSTER;
                    let length = (image.len() - start).min(CLUSTER);
                    image.write_at(start, &file[data as usize..(data + length) as usize]).unwrap();
                }
            }
        }
        image
    }

    fn bytes(image: &SparseImage) -> Vec<u8> {
        let mut file = Vec::new();
        write(image, &mut file).unwrap();
        file
    }

    #[test]
    fn zeros_take_no_clusters() {
        let mut image = SparseImage::new(64 << 30);
        image.write_at(0, b"first").unwrap();
        image.write_at((64 << 30) - 1, b"x").unwrap();
        let file = bytes(&image);
        // Header, refcount table and block, L1, two L2 tables, two clusters of data.
        assert_eq!(file.len() as u64, 8 * CLUSTER);
        assert_eq!(read(&file), image);
    }

    #[test]
    fn an_empty_disk_and_one_of_odd_length_can_be_written() {
        assert_eq!(read(&bytes(&SparseImage::new(0))).len(), 0);
        assert_eq!(read(&bytes(&SparseImage::from_bytes(&[7; 700]))).bytes_at(0, 1024)[..702], [[7; 700].as_slice(), &[0, 0]].concat());
    }

    #[test]
    fn reference_counts_cover_themselves() {
        for data in [0, 1, REFCOUNTS - 6, REFCOUNTS - 5, REFCOUNTS - 4, REFCOUNTS, 5 * REFCOUNTS] {
            let layout = Layout::of(data * CLUSTER, data.div_ceil(TABLE_ENTRIES), data);
            assert!(layout.refcount_blocks * REFCOUNTS >= layout.total(), "{data}");
            assert!((layout.refcount_blocks - 1) * REFCOUNTS < layout.total(), "{data}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(writes in prop::collection::vec((0..2_000_000_000_u64, 1..255_u8), 0..6)) {
            let mut image = SparseImage::new(2_000_000_000 / 512 * 512 + 512);
            for (offset, byte) in writes {
                image.write_at(offset, &[byte]).unwrap();
            }
            prop_assert_eq!(read(&bytes(&image)), image);
        }
    }
}
