//! The seam to the file system: what the log and the checkpoint ask of it, and no more.
//!
//! The rules are those of POSIX and of what Linux file systems really give:
//! - what was written counts after a power cut only if [`File::sync_data`] returned well afterwards; before that any part of it may be kept,
//!   in any order;
//! - a name (created, renamed, removed) counts only if [`Disk::sync_directory`] returned well afterwards, whatever was done to the file;
//! - a failed sync is the end: the kernel may have dropped what it could not write and call it clean, so a second sync says nothing.

mod real;
#[cfg(feature = "simulation")]
pub mod sim;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use real::RealDisk;

/// A file system.
pub trait Disk: Debug + Send + Sync {
    /// Makes a directory if there is none. Parents must exist.
    ///
    /// # Errors
    /// Whatever the system says.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Names of the files in a directory, in no order.
    ///
    /// # Errors
    /// Whatever the system says; `NotFound` if there is no such directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Makes a file that must not exist yet, readable and writable.
    ///
    /// # Errors
    /// `AlreadyExists`, or whatever the system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file that must exist, readable and writable.
    ///
    /// # Errors
    /// `NotFound`, or whatever the system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name; one that has it already is replaced.
    ///
    /// # Errors
    /// Whatever the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Whatever the system says; then nothing about its names is certain.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Bytes that may still be written to the file system that a directory is in. Others write there, too: it is a hint, and no promise.
    ///
    /// # Errors
    /// Whatever the system says.
    fn available_bytes(&self, directory: &Path) -> io::Result<u64>;

    /// A number that nobody can guess.
    ///
    /// # Errors
    /// Whatever the system says.
    fn random(&self) -> io::Result<u64>;

    /// Takes the exclusive lock of a file, creating it, without waiting. The lock is held until the value is dropped, and by nobody after
    /// the process is gone.
    ///
    /// # Errors
    /// `WouldBlock` if somebody has it, or whatever the system says.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// A lock that is held.
pub trait Lock: Debug + Send + Sync {}

/// An open file. Positions and lengths are in bytes.
pub trait File: Debug + Send + Sync {
    /// How long it is.
    ///
    /// # Errors
    /// Whatever the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether it holds nothing.
    ///
    /// # Errors
    /// Whatever the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts it or extends it by zeros.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Reads at a position, perhaps fewer bytes than asked for; none means the end.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes at a position, perhaps fewer bytes than given.
    ///
    /// # Errors
    /// Whatever the system says; then any part may have been written.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Makes its content durable, and its length as far as that is needed to read the content (fdatasync).
    ///
    /// # Errors
    /// Whatever the system says; then nothing since the last good sync is certain, and syncing again proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Forgets what is cached, so that the next read comes from the medium.
    ///
    /// # Errors
    /// Whatever the system says.
    fn forget_cached(&self) -> io::Result<()>;

    /// Fills `into` from a position.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file is too short, or whatever the system says.
    fn read_exact_at(&self, mut position: u64, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            match self.read_at(position, into) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    into = &mut into[count..];
                    position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` at a position.
    ///
    /// # Errors
    /// Whatever the system says; then any part may have been written.
    fn write_all_at(&self, mut position: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(position, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
