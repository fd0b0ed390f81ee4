//! The console's two files: `console.raw`, every byte as it came, and `console.log`, each line led by when it began.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Appends to both.
#[derive(Debug)]
pub(crate) struct Log {
    raw: File,
    timed: File,
    at_line_start: bool,
}

impl Log {
    /// Opens them in a box's directory; an earlier power-on's lines stay.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let open = |name: &str| OpenOptions::new().create(true).append(true).open(directory.join(name));
        let mut log = Self { raw: open("console.raw")?, timed: open("console.log")?, at_line_start: true };
        log.timed.write_all(b"--- power on ---\n")?;
        Ok(log)
    }

    /// Writes what came at `now` since power-on.
    pub(crate) fn write(&mut self, now: Duration, bytes: &[u8]) -> io::Result<()> {
        self.raw.write_all(bytes)?;
        let mut timed = Vec::with_capacity(bytes.len() + 16);
        for byte in bytes {
            if self.at_line_start {
                timed.extend(format!("[{:5}.{:03}] ", now.as_secs(), now.subsec_millis()).bytes());
            }
            timed.push(*byte);
            self.at_line_start = *byte == b'\n';
        }
        self.timed.write_all(&timed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_time_it_began_and_each_byte_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::open(directory.path()).unwrap();
        log.write(Duration::from_millis(1500), b"one\r\ntw").unwrap();
        log.write(Duration::from_millis(12_345), b"o\nthree").unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("console.raw"), "one\r\ntwo\nthree");
        assert_eq!(read("console.log"), "--- power on ---\n[    1.500] one\r\n[    1.500] two\n[   12.345] three");
    }
}
