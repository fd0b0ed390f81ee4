//! Tar archives of a [`Tree`], for `mkfs.erofs --tar=f` and for container layers.
//!
//! Entries come in the tree's order, belong to 0:0 and carry one time stamp; the format is GNU's, for names and link targets of any length.

use std::io::{self, Write};

use crate::epoch::Epoch;
use crate::tree::{IMPLIED_DIRECTORY_MODE, NodeKind, Tree};

/// Writes `tree` as a tar archive, beginning with an entry for the root directory itself.
///
/// # Errors
/// Those of the writer. An empty link target, which no file system can hold, is `InvalidInput`.
pub fn write(tree: &Tree, epoch: Epoch, writer: impl Write) -> io::Result<()> {
    let mut archive = ::tar::Builder::new(writer);
    let mut root = header(IMPLIED_DIRECTORY_MODE, ::tar::EntryType::Directory, epoch);
    archive.append_data(&mut root, "./", io::empty())?;
    for (path, node) in tree {
        let name = path.trim_start_matches('/');
        match &node.kind {
            NodeKind::Directory => {
                let mut header = header(node.mode, ::tar::EntryType::Directory, epoch);
                archive.append_data(&mut header, format!("{name}/"), io::empty())?;
            }
            NodeKind::File(contents) => {
                let mut header = header(node.mode, ::tar::EntryType::Regular, epoch);
                header.set_size(contents.len() as u64);
                archive.append_data(&mut header, name, &**contents)?;
            }
            NodeKind::Symlink(target) => {
                let mut header = header(node.mode, ::tar::EntryType::Symlink, epoch);
                archive.append_link(&mut header, name, target)?;
            }
        }
    }
    archive.finish()
}

fn header(mode: u32, kind: ::tar::EntryType, epoch: Epoch) -> ::tar::Header {
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::from(epoch.seconds()));
    header.set_size(0);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn sample() -> Tree {
        let mut tree = Tree::with_merged_usr();
        tree.insert_file("/usr/bin/su", 0o4755, *b"setuid").unwrap();
        tree.insert_dir("/tmp", 0o1777).unwrap();
        tree.insert_file(&format!("/deep/{}/{}", "d".repeat(90), "f".repeat(120)), 0o600, vec![7; 1000]).unwrap();
        tree.insert_symlink("/etc/long", &"t/".repeat(80)).unwrap();
        tree
    }

    #[test]
    fn what_a_reader_finds_is_the_tree() {
        let tree = sample();
        let mut bytes = Vec::new();
        write(&tree, Epoch::from_seconds(77), &mut bytes).unwrap();
        let mut read = Tree::new();
        let mut names = Vec::new();
        for entry in ::tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 77), "{path}");
            names.push(path.clone());
            let mode = header.mode().unwrap();
            match header.entry_type() {
                ::tar::EntryType::Directory => read.insert_dir(&path, mode).unwrap(),
                ::tar::EntryType::Symlink => read.insert_symlink(&path, entry.link_name().unwrap().unwrap().to_str().unwrap()).unwrap(),
                _ => {
                    let mut contents = Vec::new();
                    entry.read_to_end(&mut contents).unwrap();
                    read.insert_file(&path, mode, contents).unwrap();
                }
            }
        }
        assert_eq!(read.iter().map(|(path, _)| path).collect::<Vec<_>>(), tree.iter().map(|(path, _)| path).collect::<Vec<_>>());
        assert_eq!(read, tree);
        assert_eq!(names[0], "./");
    }

    #[test]
    fn no_name_of_a_user_or_a_clock_gets_in() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        write(&sample(), Epoch::from_seconds(0), &mut first).unwrap();
        write(&sample(), Epoch::from_seconds(0), &mut second).unwrap();
        assert_eq!(first, second);
        // User and group names of the first header, which root would fill.
        assert!(first[265..329].iter().all(|&byte| byte == 0));
    }
}
