//! A capture of every frame, in the classic libpcap format that Wireshark and tcpdump read.
//!
//! Source: draft-ietf-opsawg-pcap (PCAP Capture File Format): a 24-byte header, then per frame a 16-byte header with seconds,
//! microseconds and lengths.

use std::io::{self, Write};
use std::time::Duration;

/// Longest frame kept whole, bytes: what `tcpdump` asks for. Longer ones are cut, and their true length is written.
const SNAP_LENGTH: u32 = 262_144;

/// LINKTYPE_ETHERNET of the registry of link types.
const LINK_TYPE_ETHERNET: u32 = 1;

/// Writes a capture. Times are given as a span since 1970.
#[derive(Debug)]
pub(crate) struct Capture<W: Write> {
    output: W,
}

impl<W: Write> Capture<W> {
    /// Writes the file's header.
    pub(crate) fn new(mut output: W) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend(0xa1b2_c3d4_u32.to_le_bytes());
        header.extend(2u16.to_le_bytes());
        header.extend(4u16.to_le_bytes());
        header.extend([0; 8]);
        header.extend(SNAP_LENGTH.to_le_bytes());
        header.extend(LINK_TYPE_ETHERNET.to_le_bytes());
        output.write_all(&header)?;
        Ok(Self { output })
    }

    /// Writes one frame. `at` is the time since 1970; the format ends in 2106.
    pub(crate) fn frame(&mut self, at: Duration, frame: &[u8]) -> io::Result<()> {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let kept = length.min(SNAP_LENGTH);
        let mut header = Vec::with_capacity(16);
        header.extend(u32::try_from(at.as_secs()).unwrap_or(u32::MAX).to_le_bytes());
        header.extend(at.subsec_micros().to_le_bytes());
        header.extend(kept.to_le_bytes());
        header.extend(length.to_le_bytes());
        self.output.write_all(&header)?;
        self.output.write_all(&frame[..kept as usize])
    }

    /// Hands everything to the file.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_has_the_bytes_of_the_format() {
        let mut capture = Capture::new(Vec::new()).unwrap();
        capture.frame(Duration::new(1, 2_000), &[0xaa; 14]).unwrap();
        let mut expected = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
        expected.extend([1, 0, 0, 0, 2, 0, 0, 0, 14, 0, 0, 0, 14, 0, 0, 0]);
        expected.extend([0xaa; 14]);
        assert_eq!(capture.output, expected);
    }
}
