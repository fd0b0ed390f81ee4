//! Who this box is: its machine id and its host name.

use std::io;
use std::path::Path;

use rustix::system::sethostname;
use uuid::Uuid;

/// Where the id is kept across boots.
const KEPT: &str = "/var/lib/shoal/machine-id";
/// Where programs find it; `/etc/machine-id` of the image is a link to it.
const SHOWN: &str = "/run/machine-id";
/// Digits of a machine-id(5).
const DIGITS: usize = 32;

/// Makes or recalls the machine id, and sets the host name. With state in RAM the id is new at each boot.
pub(crate) fn settle(hostname: &str) -> io::Result<()> {
    sethostname(hostname.as_bytes())?;
    let id = recall(Path::new(KEPT))?;
    std::fs::write(SHOWN, id)
}

/// The id in a file, or a new one that is written there.
fn recall(path: &Path) -> io::Result<String> {
    if let Ok(text) = std::fs::read_to_string(path) {
        let id = text.trim_end();
        // A power cut during the first boot may leave an empty file.
        if id.len() == DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(format!("{id}\n"));
        }
    }
    let id = format!("{}\n", Uuid::new_v4().simple());
    let new = path.with_extension("new");
    std::fs::write(&new, &id)?;
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(&new, path)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_once_and_a_torn_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("machine-id");
        let id = recall(&path).unwrap();
        assert_eq!(id.trim_end().len(), DIGITS);
        assert_eq!(recall(&path).unwrap(), id);
        std::fs::write(&path, "").unwrap();
        assert_eq!(recall(&path).unwrap().trim_end().len(), DIGITS);
    }
}
