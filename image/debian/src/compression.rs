//! The compressions that Debian archives use, as readers.

use std::io::{self, BufReader, Read};

/// Memory that unpacking an xz stream may take, in KiB. `xz -9`, the most that Debian uses, has a dictionary of 64 MiB; twice that leaves
/// room, and a stream that wants more is refused.
const XZ_MEMORY_KIB: u32 = 128 * 1024;

/// log2 of the largest zstd window in bytes: 128 MiB, what `zstd -d` itself accepts without being asked. Larger ones are refused.
const ZSTD_WINDOW_LOG: u32 = 27;

/// A compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// RFC 1952.
    Gzip,
    /// xz, .xz file format 1.2.
    Xz,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// The compression of a file by its name: `.gz`, `.xz`, `.zst`, or none of these and no extension known for another compression.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let file = name.rsplit('/').next().unwrap_or(name);
        match file.rsplit_once('.').map(|(_, extension)| extension) {
            Some("gz") => Some(Self::Gzip),
            Some("xz") => Some(Self::Xz),
            Some("zst") => Some(Self::Zstd),
            Some("bz2" | "lzma" | "lz4") => None,
            _ => Some(Self::None),
        }
    }

    /// A reader of the unpacked bytes. Reading fails when the stream is cut off, broken, or wants more memory than the limits here.
    ///
    /// # Errors
    /// When a decoder cannot be made.
    pub fn reader<'r, R: Read + 'r>(self, packed: R) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Self::None => Box::new(packed),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(BufReader::new(packed), true, XZ_MEMORY_KIB)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

    /// Packs bytes, for this crate's tests.
    pub(crate) fn pack(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).expect("memory");
                encoder.finish().expect("memory")
            }
            Compression::Xz => {
                let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).expect("options");
                encoder.write_all(bytes).expect("memory");
                encoder.finish().expect("memory")
            }
            Compression::Zstd => zstd::encode_all(bytes, 1).expect("memory"),
        }
    }

    pub(crate) const ALL: [(Compression, &str); 4] =
        [(Compression::None, ""), (Compression::Gzip, ".gz"), (Compression::Xz, ".xz"), (Compression::Zstd, ".zst")];

    #[test]
    fn every_compression_gives_back_what_was_packed() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        for (compression, extension) in ALL {
            assert_eq!(Compression::of_name(&format!("pool/data.tar{extension}")), Some(compression));
            let packed = pack(compression, &bytes);
            let mut unpacked = Vec::new();
            compression.reader(&packed[..]).expect("decoder").read_to_end(&mut unpacked).expect("whole stream");
            assert!(unpacked == bytes, "{compression:?}");
        }
    }

    #[test]
    fn a_stream_that_is_cut_off_is_an_error() {
        for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
            let packed = pack(compression, &[7; 10_000]);
            let cut = compression.reader(&packed[..packed.len() - 3]).and_then(|mut reader| reader.read_to_end(&mut Vec::new()));
            assert!(cut.is_err(), "{compression:?}");
        }
    }
}
