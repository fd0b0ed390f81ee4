//! A disk image in memory that holds only what is not zero.
//!
//! A 512 MiB disk with 60 MiB in it takes 60 MiB. Copies share their chunks, so embedding a file system in a disk at an offset
//! aligned to [`CHUNK`] costs no memory.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

/// Granule of storage in bytes: also qcow2's default cluster, so that a chunk is a cluster there.
pub const CHUNK: usize = 64 * 1024;

/// An image of a fixed length in bytes; what was never written reads as zeros.
#[derive(Debug, Clone, Default)]
pub struct SparseImage {
    len: u64,
    /// By number; each [`CHUNK`] bytes long, and one that was only ever given zeros is not stored.
    chunks: BTreeMap<u64, Arc<[u8]>>,
}

/// Bytes that were to be written behind an image's end. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes at offset {offset} end behind the image's {image} bytes; make the image larger")]
pub struct BeyondEnd {
    /// Where the write began, in bytes.
    pub offset: u64,
    /// Length of the write in bytes.
    pub length: u64,
    /// Length of the image in bytes.
    pub image: u64,
}

impl SparseImage {
    /// An image of `len` zero bytes.
    #[must_use]
    pub const fn new(len: u64) -> Self {
        Self { len, chunks: BTreeMap::new() }
    }

    /// An image of exactly these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut image = Self::new(bytes.len() as u64);
        image.put(0, bytes);
        image
    }

    /// Length in bytes, zeros included.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The [`CHUNK`]-sized pieces that are not all zeros, by number, in order. The last one may reach behind the image's end; what is
    /// there is zero.
    pub fn chunks(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let stored = self.chunks.iter().filter(|(_, chunk)| !is_zero(chunk));
        stored.map(|(&number, chunk)| (number, &**chunk))
    }

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// [`BeyondEnd`] if they do not fit.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BeyondEnd> {
        self.check(offset, bytes.len() as u64)?;
        self.put(offset, bytes);
        Ok(())
    }

    /// Puts another image in at `offset`, over everything that was there.
    ///
    /// # Errors
    /// [`BeyondEnd`] if it does not fit.
    pub fn embed(&mut self, offset: u64, other: &Self) -> Result<(), BeyondEnd> {
        self.check(offset, other.len)?;
        self.clear(offset, other.len);
        for (&number, chunk) in &other.chunks {
            let start = number * CHUNK as u64;
            let whole = other.len - start >= CHUNK as u64;
            if whole && (offset + start).is_multiple_of(CHUNK as u64) {
                self.chunks.insert((offset + start) / CHUNK as u64, Arc::clone(chunk));
            } else {
                let length = (other.len - start).min(CHUNK as u64) as usize;
                self.put(offset + start, &chunk[..length]);
            }
        }
        Ok(())
    }

    /// Reads into `buffer` from `offset`; what lies behind the end reads as zeros.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) {
        for (number, within, part) in pieces(offset, buffer.len()) {
            let target = &mut buffer[part.clone()];
            match self.chunks.get(&number) {
                Some(chunk) => target.copy_from_slice(&chunk[within..within + part.len()]),
                None => target.fill(0),
            }
        }
    }

    /// The `length` bytes at `offset`.
    #[must_use]
    pub fn bytes_at(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read_at(offset, &mut bytes);
        bytes
    }

    /// The whole image, zeros included.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.bytes_at(0, usize::try_from(self.len).expect("an image that is asked for as one buffer fits the address space"))
    }

    /// Streams the whole image, zeros included.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn stream(&self, mut writer: impl Write) -> io::Result<()> {
        static ZEROS: [u8; CHUNK] = [0; CHUNK];
        for number in 0..self.len.div_ceil(CHUNK as u64) {
            let length = (self.len - number * CHUNK as u64).min(CHUNK as u64) as usize;
            let chunk = self.chunks.get(&number).map_or(&ZEROS[..], |chunk| chunk);
            writer.write_all(&chunk[..length])?;
        }
        Ok(())
    }

    /// Writes what is not zero, seeking over the rest, into a file that is empty: the file system then keeps it sparse. The caller sets
    /// the file's length to [`SparseImage::len`] first.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_sparse(&self, mut writer: impl Write + Seek) -> io::Result<()> {
        for (number, chunk) in self.chunks() {
            let start = number * CHUNK as u64;
            writer.seek(SeekFrom::Start(start))?;
            writer.write_all(&chunk[..(self.len - start).min(CHUNK as u64) as usize])?;
        }
        writer.flush()
    }

    /// A view with a position, for code that wants [`Read`], [`Write`] and [`Seek`]. Writes behind the end fail.
    pub const fn cursor(&mut self) -> Cursor<'_> {
        Cursor { image: self, position: 0 }
    }

    const fn check(&self, offset: u64, length: u64) -> Result<(), BeyondEnd> {
        match offset.checked_add(length) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(BeyondEnd { offset, length, image: self.len }),
        }
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        for (number, within, part) in pieces(offset, bytes.len()) {
            let source = &bytes[part];
            if !self.chunks.contains_key(&number) && is_zero(source) {
                continue;
            }
            let chunk = self.chunks.entry(number).or_insert_with(|| Arc::from(vec![0; CHUNK]));
            Arc::make_mut(chunk)[within..within + source.len()].copy_from_slice(source);
        }
    }

    fn clear(&mut self, offset: u64, length: u64) {
        let end = offset + length;
        let first_whole = offset.div_ceil(CHUNK as u64);
        let behind_whole = end / CHUNK as u64;
        let touched: Vec<u64> = self.chunks.range(offset / CHUNK as u64..end.div_ceil(CHUNK as u64)).map(|(&number, _)| number).collect();
        for number in touched {
            if (first_whole..behind_whole).contains(&number) {
                self.chunks.remove(&number);
                continue;
            }
            let start = number * CHUNK as u64;
            let from = offset.saturating_sub(start) as usize;
            let to = (end - start).min(CHUNK as u64) as usize;
            if let Some(chunk) = self.chunks.get_mut(&number) {
                Arc::make_mut(chunk)[from..to].fill(0);
            }
        }
    }
}

/// Images are equal when they read the same, whatever zeros they store.
impl PartialEq for SparseImage {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.chunks().eq(other.chunks())
    }
}

impl Eq for SparseImage {}

/// A position in a [`SparseImage`].
#[derive(Debug)]
pub struct Cursor<'image> {
    image: &'image mut SparseImage,
    position: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.image.len.saturating_sub(self.position);
        let length = left.min(buffer.len() as u64) as usize;
        self.image.read_at(self.position, &mut buffer[..length]);
        self.position += length as u64;
        Ok(length)
    }
}

impl Write for Cursor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.image.write_at(self.position, bytes).map_err(|error| io::Error::new(io::ErrorKind::StorageFull, error))?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let target = match position {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.image.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start of the image"))?;
        Ok(self.position)
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Cuts `length` bytes at `offset` along chunks: number of the chunk, offset in it, and the range of the caller's buffer.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % CHUNK as u64) as usize;
        let part = done..done + (CHUNK - within).min(length - done);
        done = part.end;
        Some((at / CHUNK as u64, within, part))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeros_are_not_stored_and_what_reaches_behind_the_end_is_refused() {
        let mut image = SparseImage::new(1 << 40);
        image.write_at(5, &vec![0; 3 * CHUNK]).unwrap();
        assert_eq!(image.chunks().count(), 0);
        image.write_at((1 << 40) - 1, b"x").unwrap();
        assert_eq!(image.chunks().count(), 1);
        assert_eq!(image.write_at((1 << 40) - 1, b"xy").unwrap_err(), BeyondEnd { offset: (1 << 40) - 1, length: 2, image: 1 << 40 });
        assert!(image.write_at(u64::MAX, b"xy").is_err());
    }

    #[test]
    fn sparse_and_streamed_writing_give_the_same_bytes() {
        let mut image = SparseImage::new(3 * CHUNK as u64 + 7);
        image.write_at(CHUNK as u64 + 9, b"middle").unwrap();
        image.write_at(3 * CHUNK as u64 + 6, b"e").unwrap();
        let mut streamed = Vec::new();
        image.stream(&mut streamed).unwrap();
        let mut seeked = io::Cursor::new(vec![0; image.len() as usize]);
        image.write_sparse(&mut seeked).unwrap();
        assert_eq!(streamed, seeked.into_inner());
        assert_eq!(streamed, image.to_vec());
    }

    proptest! {
        #[test]
        fn it_reads_like_the_plain_buffer_it_stands_for(
            writes in prop::collection::vec((0..3 * CHUNK, prop::collection::vec(0..3_u8, 0..40), any::<bool>()), 0..12)
        ) {
            let len = 3 * CHUNK + 100;
            let mut plain = vec![0_u8; len];
            let mut image = SparseImage::new(len as u64);
            for (offset, bytes, aligned) in writes {
                let offset = if aligned { offset / CHUNK * CHUNK } else { offset };
                // An image that is longer than its bytes also tests that embedding clears.
                let mut other = SparseImage::new((bytes.len() + 50) as u64);
                other.write_at(0, &bytes).unwrap();
                image.embed(offset as u64, &other).unwrap();
                plain[offset..offset + bytes.len() + 50].fill(0);
                plain[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
            prop_assert_eq!(image.to_vec(), plain);
        }

        #[test]
        fn embedding_whole_chunks_replaces_them(fill in 1..255_u8, at in 0..3_u64) {
            let mut image = SparseImage::from_bytes(&vec![9; 4 * CHUNK]);
            image.embed(at * CHUNK as u64, &SparseImage::from_bytes(&vec![fill; CHUNK])).unwrap();
            let mut plain = vec![9; 4 * CHUNK];
            plain[at as usize * CHUNK..][..CHUNK].fill(fill);
            prop_assert_eq!(image.to_vec(), plain);
        }
    }
}
