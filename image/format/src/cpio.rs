//! cpio archives in the "new ASCII" form (`070701`) that the kernel unpacks as initramfs
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! The kernel accepts several archives, each compressed or not, one after the other with zeros in between.

use std::io::{self, Write};

use crate::epoch::Epoch;
use crate::tree::{NodeKind, Tree};

/// Name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// Headers, names and contents are padded to this many bytes.
const ALIGNMENT: usize = 4;

/// Length of a header in bytes: the magic and 13 fields of 8 hexadecimal digits.
const HEADER: usize = 6 + 13 * 8;

const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;
const TYPE_MASK: u32 = 0o170_000;

/// Writes `tree` as an archive. Its length is a multiple of 4 bytes.
///
/// # Errors
/// Those of the writer; a file of 4 GiB or more, which the form cannot hold, is `InvalidInput` and names the file.
pub fn write(tree: &Tree, epoch: Epoch, writer: impl Write) -> io::Result<()> {
    let mut archive = Archive { writer, epoch, inode: 0 };
    for (path, node) in tree {
        let name = path.trim_start_matches('/');
        match &node.kind {
            NodeKind::Directory => archive.entry(name, TYPE_DIRECTORY | node.mode, 2, &[])?,
            NodeKind::File(contents) => archive.entry(name, TYPE_FILE | node.mode, 1, contents)?,
            NodeKind::Symlink(target) => archive.entry(name, TYPE_SYMLINK | node.mode, 1, target.as_bytes())?,
        }
    }
    archive.trailer()
}

/// Writes an archive of one file at the top of the initramfs, without a copy of its contents: `system.erofs`.
///
/// # Errors
/// As [`write`].
pub fn write_file(name: &str, mode: u32, contents: &[u8], epoch: Epoch, writer: impl Write) -> io::Result<()> {
    let mut archive = Archive { writer, epoch, inode: 0 };
    archive.entry(name, TYPE_FILE | mode, 1, contents)?;
    archive.trailer()
}

struct Archive<W> {
    writer: W,
    epoch: Epoch,
    inode: u32,
}

impl<W: Write> Archive<W> {
    fn entry(&mut self, name: &str, mode: u32, links: u32, contents: &[u8]) -> io::Result<()> {
        self.inode += 1;
        self.raw(self.inode, name, mode, links, self.epoch.seconds(), contents)
    }

    fn trailer(mut self) -> io::Result<()> {
        self.raw(0, TRAILER, 0, 1, 0, &[])?;
        self.writer.flush()
    }

    fn raw(&mut self, inode: u32, name: &str, mode: u32, links: u32, seconds: u32, contents: &[u8]) -> io::Result<()> {
        let too_large = || format!("`{name}` is 4 GiB or larger, too large for an initramfs; put it on the disk instead");
        let length = u32::try_from(contents.len()).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, too_large()))?;
        let name_length = u32::try_from(name.len() + 1).expect("names of a tree are far below 4 GiB");
        // inode, mode, user, group, links, time, length, device and its numbers (4), length of the name, checksum (unused).
        let fields = [inode, mode, 0, 0, links, seconds, length, 0, 0, 0, 0, name_length, 0];
        let mut header = String::with_capacity(HEADER + name.len() + ALIGNMENT);
        header.push_str("070701");
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        header.push_str(name);
        header.push('\0');
        while !header.len().is_multiple_of(ALIGNMENT) {
            header.push('\0');
        }
        self.writer.write_all(header.as_bytes())?;
        self.writer.write_all(contents)?;
        self.writer.write_all(&[0; ALIGNMENT][..contents.len().next_multiple_of(ALIGNMENT) - contents.len()])
    }
}

/// The first file of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstFile<'archive> {
    /// Its path, as it stands there.
    pub name: &'archive str,
    /// Where its contents begin, in bytes from the start of the archive.
    pub offset: usize,
    /// Length of its contents in bytes.
    pub length: usize,
}

/// Looks at the header of an archive's first file, of which the contents need not be there; `None` if there is no file.
#[must_use]
pub fn first_file(archive: &[u8]) -> Option<FirstFile<'_>> {
    let header = std::str::from_utf8(archive.get(..HEADER)?).ok()?;
    let fields = header.strip_prefix("070701")?;
    let field = |number: usize| usize::from_str_radix(fields.get(number * 8..number * 8 + 8)?, 16).ok();
    if field(1)? & TYPE_MASK as usize != TYPE_FILE as usize {
        return None;
    }
    let behind_name = HEADER + field(11)?;
    let name = archive.get(HEADER..behind_name)?.strip_suffix(&[0])?;
    Some(FirstFile { name: std::str::from_utf8(name).ok()?, offset: behind_name.next_multiple_of(ALIGNMENT), length: field(6)? })
}

/// Why bytes are not an archive of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {reason}; the initramfs is damaged, build it again")]
pub struct CpioError {
    /// Where, in bytes from the start.
    pub offset: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Reads uncompressed archives, one after the other, into one tree, as the kernel does.
///
/// # Errors
/// [`CpioError`] at the first byte that makes no sense.
pub fn read(bytes: &[u8]) -> Result<Tree, CpioError> {
    let mut tree = Tree::new();
    let mut offset = 0;
    while offset < bytes.len() {
        if bytes[offset] == 0 {
            offset += 1;
            continue;
        }
        offset = read_entry(bytes, offset, &mut tree)?;
    }
    Ok(tree)
}

fn read_entry(bytes: &[u8], offset: usize, tree: &mut Tree) -> Result<usize, CpioError> {
    let fail = |reason| CpioError { offset, reason };
    let header = bytes.get(offset..offset + HEADER).ok_or(fail("the header is cut off"))?;
    if &header[..6] != b"070701" {
        return Err(fail("no cpio header begins here"));
    }
    let field = |number: usize| {
        let digits = std::str::from_utf8(&header[6 + number * 8..][..8]).ok();
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(fail("a field is not hexadecimal"))
    };
    let (mode, length, name_length) = (field(1)?, field(6)? as usize, field(11)? as usize);
    let name_start = offset + HEADER;
    let name = bytes.get(name_start..name_start + name_length).and_then(|name| name.strip_suffix(b"\0"));
    let name = name.and_then(|name| std::str::from_utf8(name).ok()).ok_or(fail("the name is cut off or not UTF-8"))?;
    let start = (name_start + name_length).next_multiple_of(ALIGNMENT);
    let contents = bytes.get(start..start + length).ok_or(fail("the contents are cut off"))?;
    if name != TRAILER {
        let inserted = match mode & TYPE_MASK {
            TYPE_DIRECTORY => tree.insert_dir(name, mode),
            TYPE_FILE => tree.insert_file(name, mode, contents),
            TYPE_SYMLINK => tree.insert_symlink(name, std::str::from_utf8(contents).map_err(|_| fail("a link target is not UTF-8"))?),
            _ => return Err(fail("an entry is neither directory, file nor symbolic link")),
        };
        inserted.map_err(|_| fail("an entry contradicts one before it"))?;
    }
    Ok((start + length).next_multiple_of(ALIGNMENT))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(tree: &Tree) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(tree, Epoch::from_seconds(0x6543_2100), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn one_file_is_byte_for_byte_what_the_format_says() {
        let mut bytes = Vec::new();
        write_file("init", 0o755, b"hello", Epoch::from_seconds(0x10), &mut bytes).unwrap();
        let fields = "00000001000081ed000000000000000000000001000000100000000500000000000000000000000000000000\
                      0000000500000000";
        let expected = format!("070701{fields}init\0\0hello\0\0\0");
        assert_eq!(&bytes[..expected.len()], expected.as_bytes());
        assert!(bytes[expected.len()..].starts_with(b"07070100000000"));
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn archives_one_after_the_other_are_one_tree() {
        let mut tree = Tree::new();
        tree.insert_file("/shoal/boot.toml", 0o644, *b"x").unwrap();
        let mut both = bytes(&tree);
        both.extend([0; 512]);
        write_file("system.erofs", 0o444, b"erofs", Epoch::from_seconds(0), &mut both).unwrap();
        tree.insert_file("/system.erofs", 0o444, *b"erofs").unwrap();
        assert_eq!(read(&both).unwrap(), tree);
    }

    #[test]
    fn cut_and_foreign_bytes_are_refused_with_their_place() {
        let mut tree = Tree::new();
        tree.insert_file("/a", 0o644, *b"contents").unwrap();
        let whole = bytes(&tree);
        assert_eq!(read(&whole[..50]).unwrap_err(), CpioError { offset: 0, reason: "the header is cut off" });
        assert!(read(&whole[..114]).is_err());
        assert_eq!(read(b"\0\0\0\x1f\x8b").unwrap_err().offset, 3);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(files in prop::collection::btree_map("[a-z]{1,9}", prop::collection::vec(any::<u8>(), 0..20), 0..8)) {
            let mut tree = Tree::with_merged_usr();
            for (name, contents) in files {
                tree.insert_file(&format!("/lib/{name}"), 0o640, contents).unwrap();
            }
            prop_assert_eq!(read(&bytes(&tree)).unwrap(), tree);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(mut noise in prop::collection::vec(any::<u8>(), 0..300), at in 0..100_usize) {
            let mut tree = Tree::new();
            tree.insert_file("/a/b", 0o644, *b"contents").unwrap();
            let mut damaged = bytes(&tree);
            noise.truncate(3);
            damaged.splice(at..at + noise.len(), noise);
            let _ = read(&damaged);
        }
    }
}
