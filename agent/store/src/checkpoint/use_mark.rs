//! The file that tells whether the process that had the checkpoint open came to a good end.
//!
//! redb trusts its own pages. Where one is damaged it may panic, and with `panic = "abort"` nobody can catch that: the node would restart
//! and do the same again, for ever, without saying why. So whoever had reason to end badly is followed by somebody who looks.
//!
//! ```text
//! 0  u8  1: everything needed could be read
//! 1  u8  openings in a row, up to this one, that were not followed by a close; the count begins anew when every page was checked
//! ```

use std::io;
use std::path::Path;

use crate::disk::Disk;
use crate::wear::{Cause, Wear};

/// The file's name.
pub(super) const NAME: &str = "in-use";

/// Bad ends in a row after which every page is checked. One may be a power cut, and is most of the time; checking after each would make
/// every start after one slow.
const BAD_ENDS_MAX: u8 = 2;

/// What is known of the last openings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct UseMark {
    loaded: bool,
    openings: u8,
}

impl UseMark {
    /// What the last process left, if it left something.
    pub(super) fn read(disk: &dyn Disk, directory: &Path, exists: bool) -> io::Result<Self> {
        if !exists {
            return Ok(Self::default());
        }
        let mut bytes = [0; 2];
        // A file that is too short was being made: that opening did not get far.
        let count = disk.open(&directory.join(NAME))?.read_at(0, &mut bytes)?;
        Ok(Self { loaded: bytes[0] == 1, openings: if count == 2 { bytes[1].max(1) } else { 1 } })
    }

    /// Whether every page should be checked.
    pub(super) fn is_suspicious(self) -> bool {
        self.openings > 0 && (!self.loaded || self.openings >= BAD_ENDS_MAX)
    }

    /// The mark of an opening that follows, with every page checked or not.
    pub(super) fn begin(self, checked: bool) -> Self {
        Self { loaded: false, openings: if checked { 1 } else { self.openings + 1 } }
    }

    /// Everything needed could be read.
    pub(super) fn loaded(&mut self) {
        self.loaded = true;
    }

    pub(super) fn write(self, disk: &dyn Disk, directory: &Path, exists: bool, wear: &Wear) -> io::Result<()> {
        let path = directory.join(NAME);
        let file = if exists { disk.open(&path)? } else { disk.create(&path)? };
        let bytes = [u8::from(self.loaded), self.openings];
        file.write_all_at(0, &bytes)?;
        wear.wrote(Cause::Checkpoint, bytes.len());
        file.sync_data()?;
        wear.synced(Cause::Checkpoint);
        if !exists {
            disk.sync_directory(directory)?;
            wear.synced(Cause::Checkpoint);
        }
        Ok(())
    }

    /// The checkpoint was closed.
    pub(super) fn remove(disk: &dyn Disk, directory: &Path, wear: &Wear) -> io::Result<()> {
        disk.remove(&directory.join(NAME))?;
        wear.synced(Cause::Checkpoint);
        disk.sync_directory(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_checked_after_a_start_that_failed_and_after_two_bad_ends() {
        let closed = UseMark::default();
        assert!(!closed.is_suspicious());
        let first = closed.begin(false);
        assert!(first.is_suspicious(), "it did not load");
        let loaded = UseMark { loaded: true, ..first };
        assert!(!loaded.is_suspicious(), "it loaded and ended badly once");
        let second = UseMark { loaded: true, ..loaded.begin(false) };
        assert!(second.is_suspicious(), "twice");
        let checked = UseMark { loaded: true, ..second.begin(true) };
        assert!(!checked.is_suspicious(), "it was checked since");
    }
}
