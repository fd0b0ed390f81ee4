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
/// Digits of it in the host name: enough to tell the boxes of a site apart, and few enough to read out.
const NAME_DIGITS: usize = 8;
/// The longest name that a kernel (uname(2)) and a DNS label (RFC 1035) take.
const NAME_BYTES: usize = 63;

/// Makes or recalls the machine id, and gives the host name, which begins as the image says and is no other box's: programs tell themselves apart by it, as
/// kube-apiservers of one cluster do. With state in RAM both are new at each boot.
pub(crate) fn settle(beginning: &str) -> io::Result<String> {
    // A box whose medium cannot be written has a name all the same.
    sethostname(beginning.as_bytes())?;
    let id = recall(Path::new(KEPT))?;
    let name = name(beginning, &id);
    sethostname(name.as_bytes())?;
    std::fs::write(SHOWN, id)?;
    Ok(name)
}

/// Host name of the box with that machine id.
fn name(beginning: &str, id: &str) -> String {
    let digits = id.get(..NAME_DIGITS).unwrap_or(id);
    let room = NAME_BYTES - 1 - NAME_DIGITS;
    let beginning = beginning.get(..room).unwrap_or(beginning).trim_end_matches('-');
    format!("{beginning}-{digits}")
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
    fn names_begin_as_the_image_says_and_are_no_longer_than_a_label() {
        let id = "9e68518c52f64c7d9d3f0a6b1c2d3e4f\n";
        assert_eq!(name("shoal", id), "shoal-9e68518c");
        let long = name(&"a".repeat(80), id);
        assert_eq!((long.len(), long.ends_with("a-9e68518c")), (NAME_BYTES, true));
        assert_eq!(name(&format!("{}-b", "a".repeat(53)), id), format!("{}-9e68518c", "a".repeat(53)), "no two hyphens where it is cut");
    }

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
