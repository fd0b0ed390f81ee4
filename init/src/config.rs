//! The image's configuration, for the agent: from its partition on the medium booted from, or else from the initramfs, where it came with the boot.
//!
//! PID 1 does not read what it says. Where the medium's cannot be had, there is none: a box whose owner is not known must not take itself for one of those
//! that belong to nobody, and that anybody may claim.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use shoal_contract::{CONFIG_BYTES, CONFIG_PATH};
use shoal_init_core::table::SECTOR_BYTES;

use crate::medium::{Medium, NoMedium};

/// Puts the medium's configuration in the place of the initramfs's, which stays if there is no medium. Gives a note for people when there is none in the end.
pub(crate) fn settle(found: &Result<Medium, NoMedium>) -> Option<String> {
    let failed = match found {
        Ok(Medium { config: None, name, .. }) => format!("{name} has no partition for it"),
        Ok(Medium { config: Some(first_sector), name, .. }) => {
            let taken = read(&Path::new("/dev").join(name), *first_sector).and_then(|config| put(Path::new(CONFIG_PATH), &config));
            format!("{name}: {}", taken.err()?)
        }
        Err(none) if none.exists => none.reason.clone(),
        Err(_) => return None,
    };
    let _ = std::fs::remove_file(CONFIG_PATH);
    Some(format!("it is not known whose box this is, and it will not look for others: its configuration cannot be read ({failed})"))
}

fn read(disk: &Path, first_sector: u64) -> io::Result<[u8; CONFIG_BYTES]> {
    let mut config = [0; CONFIG_BYTES];
    let mut disk = File::open(disk)?;
    disk.seek(SeekFrom::Start(first_sector * SECTOR_BYTES))?;
    disk.read_exact(&mut config)?;
    Ok(config)
}

/// Nobody sees half of it, and nobody but root any of it.
fn put(path: &Path, config: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o400).open(&new)?;
    file.write_all(config)?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_sector_is_read_from_its_place_and_kept_from_others() {
        let place = tempfile::tempdir().unwrap();
        let (disk, shown) = (place.path().join("disk"), place.path().join("config"));
        let mut bytes = vec![0; 16 * 512];
        bytes[8 * 512..].fill(7);
        std::fs::write(&disk, &bytes).unwrap();
        put(&shown, &read(&disk, 8).unwrap()).unwrap();
        assert_eq!(std::fs::read(&shown).unwrap(), [7; CONFIG_BYTES]);
        assert_eq!(std::fs::metadata(&shown).unwrap().permissions().mode() & 0o777, 0o400);
        assert!(read(&disk, 9).is_err(), "the disk ends before the configuration does");
    }
}
