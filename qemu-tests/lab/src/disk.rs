//! The disks of boxes: files of the host that survive a power cut.
//!
//! A power cut is SIGKILL to QEMU. What the guest had written is then in the host's page cache, so the disk holds every completed
//! write and, of one that was under way, any part.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use tokio::process::Command;

use crate::qemu::{MODULE_DIR_VARIABLE, Qemu};

/// A copy leaves out blocks of zeros of this size, bytes: a multiple of the block size of common file systems.
const HOLE_BYTES: usize = 64 * 1024;

/// How the file holds the disk's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As they are.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Why an operation on a disk failed.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The host's file system said no. A file that was being made may be there in part.
    #[error("cannot {act} the disk {}: is there space, and may it be written?", path.display())]
    File {
        /// create, copy, grow, read, write
        act: &'static str,
        /// The disk.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `qemu-img` cannot be run.
    #[error("cannot run {}: are the tools unpacked?", program.display())]
    Tool {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `qemu-img` said no.
    #[error("qemu-img failed ({status}) on {}: {message}", path.display())]
    Image {
        /// The disk.
        path: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        message: String,
    },
    /// Disks only grow: a guest's data must not be cut off by a slip. The disk is unchanged.
    #[error("{} has {has} bytes and cannot shrink to {wanted}: make a new disk", path.display())]
    Shrink {
        /// The disk.
        path: PathBuf,
        /// Bytes now.
        has: u64,
        /// Bytes asked for.
        wanted: u64,
    },
    /// Bytes can be changed in place in raw disks alone.
    #[error("{} is not raw: flatten it first", path.display())]
    NotRaw {
        /// The disk.
        path: PathBuf,
    },
}

/// A disk. The file is not removed with it; the lab's directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    path: PathBuf,
    format: Format,
}

impl Disk {
    /// A disk that is there already.
    pub fn at(path: impl Into<PathBuf>, format: Format) -> Self {
        Self { path: path.into(), format }
    }

    /// A new raw disk of zeros, which takes no space. The file must not exist.
    pub fn create(path: impl Into<PathBuf>, bytes: u64) -> Result<Self, DiskError> {
        let disk = Self::at(path, Format::Raw);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&disk.path)
            .and_then(|file| file.set_len(bytes))
            .map_err(|source| disk.failed("create", source))?;
        Ok(disk)
    }

    /// A new raw disk with the content of a file; blocks of zeros become holes.
    pub fn copy_of(source: &Path, path: impl Into<PathBuf>) -> Result<Self, DiskError> {
        let disk = Self::at(path, Format::Raw);
        copy_sparse(source, &disk.path).map_err(|error| disk.failed("copy", error))?;
        Ok(disk)
    }

    /// A new qcow2 disk over this one, which must not change as long as the overlay is used.
    pub async fn overlay(&self, qemu: &Qemu, path: impl Into<PathBuf>) -> Result<Self, DiskError> {
        let disk = Self::at(path, Format::Qcow2);
        let base = std::path::absolute(&self.path).map_err(|source| self.failed("read", source))?;
        let mut command = Command::new(&qemu.img);
        command.args(["create", "-q", "-f", "qcow2", "-F", self.format.name(), "-b"]).arg(base).arg(&disk.path);
        disk.run(qemu, command).await?;
        Ok(disk)
    }

    /// A new raw disk with everything that this one and its bases hold.
    pub async fn flatten(&self, qemu: &Qemu, path: impl Into<PathBuf>) -> Result<Self, DiskError> {
        let disk = Self::at(path, Format::Raw);
        let mut command = Command::new(&qemu.img);
        command.args(["convert", "-q", "-f", self.format.name(), "-O", "raw"]).arg(&self.path).arg(&disk.path);
        self.run(qemu, command).await?;
        Ok(disk)
    }

    /// Makes the disk larger: a bigger medium with the same beginning.
    pub async fn grow(&self, qemu: &Qemu, bytes: u64) -> Result<(), DiskError> {
        if self.format == Format::Qcow2 {
            let mut command = Command::new(&qemu.img);
            command.args(["resize", "-q", "-f", "qcow2"]).arg(&self.path).arg(bytes.to_string());
            return self.run(qemu, command).await;
        }
        let file = OpenOptions::new().write(true).open(&self.path).map_err(|source| self.failed("grow", source))?;
        let has = file.metadata().map_err(|source| self.failed("grow", source))?.len();
        if bytes < has {
            return Err(DiskError::Shrink { path: self.path.clone(), has, wanted: bytes });
        }
        file.set_len(bytes).map_err(|source| self.failed("grow", source))
    }

    /// Bytes of a raw disk. While a box runs, they may change the next moment.
    pub fn peek(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, DiskError> {
        self.must_be_raw()?;
        let mut buffer = vec![0; bytes];
        File::open(&self.path).and_then(|file| file.read_exact_at(&mut buffer, offset)).map_err(|source| self.failed("read", source))?;
        Ok(buffer)
    }

    /// Changes bytes of a raw disk: the tampered twin of a test. Only while no box runs on it.
    pub fn poke(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.must_be_raw()?;
        OpenOptions::new()
            .write(true)
            .open(&self.path)
            .and_then(|file| file.write_all_at(bytes, offset))
            .map_err(|source| self.failed("write", source))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the file holds the bytes.
    pub fn format(&self) -> Format {
        self.format
    }

    fn must_be_raw(&self) -> Result<(), DiskError> {
        if self.format == Format::Raw { Ok(()) } else { Err(DiskError::NotRaw { path: self.path.clone() }) }
    }

    fn failed(&self, act: &'static str, source: io::Error) -> DiskError {
        DiskError::File { act, path: self.path.clone(), source }
    }

    async fn run(&self, qemu: &Qemu, mut command: Command) -> Result<(), DiskError> {
        let output = command
            .env(MODULE_DIR_VARIABLE, &qemu.module_dir)
            .output()
            .await
            .map_err(|source| DiskError::Tool { program: qemu.img.clone(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(DiskError::Image { path: self.path.clone(), status: output.status, message })
    }
}

fn copy_sparse(source: &Path, target: &Path) -> io::Result<()> {
    let mut source = File::open(source)?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(target)?;
    let length = source.metadata()?.len();
    target.set_len(length)?;
    let mut buffer = vec![0; HOLE_BYTES];
    let mut left = length;
    while left > 0 {
        let block = &mut buffer[..HOLE_BYTES.min(usize::try_from(left).unwrap_or(HOLE_BYTES))];
        source.read_exact(block)?;
        if block.iter().all(|byte| *byte == 0) {
            target.seek(SeekFrom::Current(block.len() as i64))?;
        } else {
            target.write_all(block)?;
        }
        left -= block.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_new_disk_takes_no_space_and_holds_what_is_poked() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::create(directory.path().join("disk"), 1 << 30).unwrap();
        assert!(std::fs::metadata(disk.path()).unwrap().blocks() < 2048);
        disk.poke(1 << 20, b"shoal").unwrap();
        assert_eq!(disk.peek((1 << 20) - 1, 7).unwrap(), b"\0shoal\0");
        assert!(Disk::create(disk.path(), 1).is_err(), "a disk is never made over another");
    }

    #[test]
    fn a_copy_is_equal_and_keeps_its_holes() {
        let directory = tempfile::tempdir().unwrap();
        let source = Disk::create(directory.path().join("source"), (64 << 20) + 5).unwrap();
        source.poke(HOLE_BYTES as u64 * 3 + 1, &[7; 100_000]).unwrap();
        source.poke((64 << 20) + 4, b"!").unwrap();
        let copy = Disk::copy_of(source.path(), directory.path().join("copy")).unwrap();
        assert!(std::fs::read(copy.path()).unwrap() == std::fs::read(source.path()).unwrap());
        assert!(std::fs::metadata(copy.path()).unwrap().blocks() * 512 < 1 << 20);
    }

    #[test]
    fn a_qcow2_disk_is_not_read_as_if_it_were_raw() {
        let disk = Disk::at("disk.qcow2", Format::Qcow2);
        assert!(matches!(disk.peek(0, 1), Err(DiskError::NotRaw { .. })));
        assert!(matches!(disk.poke(0, b"x"), Err(DiskError::NotRaw { .. })));
    }
}
