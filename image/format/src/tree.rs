//! An in-memory file tree: what a root file system, an initramfs or a container layer is made of before it becomes bytes.
//!
//! Everything in it belongs to root and carries one time stamp, which the writers take as an argument, so that a tree says nothing
//! about the machine or the moment it was made on. File contents are shared, so cloning a tree copies names only.

use std::collections::btree_map::Iter;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use thiserror::Error;

/// Mode of directories that were not inserted but needed, and of the root directory.
pub const IMPLIED_DIRECTORY_MODE: u32 = 0o755;

/// Permission bits a node may carry: read, write, execute, set-uid, set-gid, sticky.
pub const MODE_BITS: u32 = 0o7777;

/// Symbolic links followed in one lookup before it is taken for a loop; the kernel's own number (`MAXSYMLINKS`).
const SYMLINKS_FOLLOWED: u32 = 40;

/// Top-level directories which Debian's merged-`/usr` layout makes symbolic links to directories of the same name below `usr/`.
const MERGED_INTO_USR: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory; its entries are nodes of their own.
    Directory,
    /// A regular file with its contents.
    File(Arc<[u8]>),
    /// A symbolic link with its target, as written.
    Symlink(String),
}

impl NodeKind {
    /// The kind in words, for messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File(_) => "file",
            Self::Symlink(_) => "symbolic link",
        }
    }
}

/// One entry of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Permission bits, within [`MODE_BITS`]. Symbolic links have `0o777`.
    pub mode: u32,
    /// What it is.
    pub kind: NodeKind,
}

/// Why a tree could not be changed or read. The tree is as it was before the call.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TreeError {
    /// The path climbs with `..`, names the root where an entry is needed, or has a NUL byte.
    #[error("`{path}` is not a path inside an image; write it absolute, without `..`")]
    BadPath {
        /// The path as given.
        path: String,
    },
    /// Something else is there already.
    #[error("cannot put a {wanted} at `{path}`: there is already a {present}; remove one of the two from the recipe")]
    OtherKind {
        /// The path in the tree.
        path: String,
        /// What was to be inserted.
        wanted: &'static str,
        /// What is there.
        present: &'static str,
    },
    /// No such entry.
    #[error("there is no `{path}` in the tree; check its spelling or add what provides it")]
    Missing {
        /// The path as given.
        path: String,
    },
    /// The entry is not a regular file.
    #[error("`{path}` is a {present}, not a file; name a file in it")]
    NotAFile {
        /// The path as given.
        path: String,
        /// What is there.
        present: &'static str,
    },
    /// Too many symbolic links.
    #[error("`{path}` leads through more than {SYMLINKS_FOLLOWED} symbolic links; break the loop")]
    Loop {
        /// The path as given.
        path: String,
    },
}

/// A file tree, keyed by absolute normalised path (`/usr/bin/crun`). The root directory is implied and not an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree with `/bin`, `/lib`, `/lib64` and `/sbin` linked into `/usr`, as every Debian system since bookworm has them. What is
    /// inserted below `/lib/` then lands below `/usr/lib/`.
    #[must_use]
    pub fn with_merged_usr() -> Self {
        let mut tree = Self::new();
        for name in MERGED_INTO_USR {
            tree.create_directories(&format!("/usr/{name}"));
            tree.nodes.insert(format!("/{name}"), Node { mode: 0o777, kind: NodeKind::Symlink(format!("usr/{name}")) });
        }
        tree
    }

    /// Puts a file at `path`, replacing a file of that name and making the directories above it.
    ///
    /// # Errors
    /// [`TreeError::OtherKind`] if a directory or symbolic link is there or a file stands where a directory is needed.
    pub fn insert_file(&mut self, path: &str, mode: u32, contents: impl Into<Arc<[u8]>>) -> Result<(), TreeError> {
        let location = self.entry_location(path)?;
        self.insert(location, Node { mode: mode & MODE_BITS, kind: NodeKind::File(contents.into()) })
    }

    /// Puts a directory at `path`, or sets the mode of the one that is there. A symbolic link to a directory counts as that
    /// directory, as it does for dpkg.
    ///
    /// # Errors
    /// [`TreeError::OtherKind`] if a file is there, or stands where a directory is needed.
    pub fn insert_dir(&mut self, path: &str, mode: u32) -> Result<(), TreeError> {
        let location = self.follow(path, &components(path)?)?;
        if location == "/" {
            return Ok(());
        }
        self.insert(location, Node { mode: mode & MODE_BITS, kind: NodeKind::Directory })
    }

    /// Puts a symbolic link with the given target at `path`, replacing a symbolic link of that name.
    ///
    /// # Errors
    /// [`TreeError::OtherKind`] if a file or directory is there, or a file stands where a directory is needed.
    pub fn insert_symlink(&mut self, path: &str, target: &str) -> Result<(), TreeError> {
        let location = self.entry_location(path)?;
        self.insert(location, Node { mode: 0o777, kind: NodeKind::Symlink(target.to_owned()) })
    }

    /// Removes the entry at `path`, not following it, and everything below it; the number of entries removed.
    ///
    /// # Errors
    /// [`TreeError::Missing`] if there is none.
    pub fn remove(&mut self, path: &str) -> Result<usize, TreeError> {
        let location = self.entry_location(path)?;
        if self.nodes.remove(&location).is_none() {
            return Err(TreeError::Missing { path: path.to_owned() });
        }
        let below: Vec<String> = self.below(&location).map(|(name, _)| name.to_owned()).collect();
        for name in &below {
            self.nodes.remove(name);
        }
        Ok(1 + below.len())
    }

    /// The entry at `path`: symbolic links above it are followed, it itself is not.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(&self.entry_location(path).ok()?)
    }

    /// Where `path` leads when every symbolic link is followed, and what is there.
    ///
    /// # Errors
    /// [`TreeError::Missing`] if it leads nowhere, [`TreeError::Loop`] if it never ends.
    pub fn resolve(&self, path: &str) -> Result<(String, &Node), TreeError> {
        let location = self.follow(path, &components(path)?)?;
        match self.nodes.get_key_value(&location) {
            Some((name, node)) => Ok((name.clone(), node)),
            None => Err(TreeError::Missing { path: path.to_owned() }),
        }
    }

    /// Contents of the file that `path` leads to, following symbolic links inside the tree.
    ///
    /// # Errors
    /// Those of [`Tree::resolve`], and [`TreeError::NotAFile`].
    pub fn read(&self, path: &str) -> Result<&Arc<[u8]>, TreeError> {
        let location = self.follow(path, &components(path)?)?;
        match self.nodes.get(&location) {
            None => Err(TreeError::Missing { path: path.to_owned() }),
            Some(Node { kind: NodeKind::File(contents), .. }) => Ok(contents),
            Some(node) => Err(TreeError::NotAFile { path: path.to_owned(), present: node.kind.name() }),
        }
    }

    /// All entries in byte order of their paths; a directory always comes before what is in it.
    pub fn iter(&self) -> Iter<'_, String, Node> {
        self.nodes.iter()
    }

    /// The entries below the directory at `location` (an absolute normalised path, symbolic links not followed), in order.
    pub fn below<'tree>(&'tree self, location: &str) -> impl Iterator<Item = (&'tree str, &'tree Node)> + use<'tree> {
        let prefix = format!("{}/", location.trim_end_matches('/'));
        let range = self.nodes.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        range.take_while(move |(name, _)| name.starts_with(&prefix)).map(|(name, node)| (name.as_str(), node))
    }

    /// Keeps the entries `keep` says yes to, and the directories above them.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Node) -> bool) {
        let mut needed = BTreeSet::new();
        for (name, node) in &self.nodes {
            if keep(name, node) {
                let mut kept = name.as_str();
                while kept != "/" && needed.insert(kept.to_owned()) {
                    kept = parent(kept);
                }
            }
        }
        self.nodes.retain(|name, _| needed.contains(name));
    }

    /// Adds every entry of `other`, as if each had been inserted here.
    ///
    /// # Errors
    /// Those of the inserts; entries before the offending one have been added.
    pub fn merge(&mut self, other: &Self) -> Result<(), TreeError> {
        for (path, node) in other.iter() {
            match &node.kind {
                NodeKind::Directory => self.insert_dir(path, node.mode)?,
                NodeKind::File(contents) => self.insert_file(path, node.mode, Arc::clone(contents))?,
                NodeKind::Symlink(target) => self.insert_symlink(path, target)?,
            }
        }
        Ok(())
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root directory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Sum of the lengths of all files, in bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        let length = |node: &Node| if let NodeKind::File(contents) = &node.kind { contents.len() as u64 } else { 0 };
        self.nodes.values().map(length).sum()
    }

    /// Where an entry called `path` belongs: its directory resolved, its own name kept.
    fn entry_location(&self, path: &str) -> Result<String, TreeError> {
        let components = components(path)?;
        let Some((name, directories)) = components.split_last() else {
            return Err(TreeError::BadPath { path: path.to_owned() });
        };
        let directory = self.follow(path, directories)?;
        Ok(join(&directory, name))
    }

    /// Follows symbolic links from the root along `components`. Names that do not exist are kept as they are: they may be about to be
    /// created. `..` in a link's target stops at the root, as it does in the kernel.
    fn follow(&self, path: &str, components: &[&str]) -> Result<String, TreeError> {
        let mut ahead: Vec<String> = components.iter().rev().map(|&name| name.to_owned()).collect();
        let mut location = String::from("/");
        let mut followed = 0;
        while let Some(name) = ahead.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    let parent = parent(&location).to_owned();
                    location = parent;
                    continue;
                }
                _ => {}
            }
            let next = join(&location, &name);
            if let Some(Node { kind: NodeKind::Symlink(target), .. }) = self.nodes.get(&next) {
                followed += 1;
                if followed > SYMLINKS_FOLLOWED {
                    return Err(TreeError::Loop { path: path.to_owned() });
                }
                if target.starts_with('/') {
                    location = String::from("/");
                }
                ahead.extend(target.split('/').rev().map(str::to_owned));
            } else {
                location = next;
            }
        }
        Ok(location)
    }

    /// Inserts at a resolved location after checking that nothing is in the way, so that an error changes nothing.
    fn insert(&mut self, location: String, node: Node) -> Result<(), TreeError> {
        let mut above = parent(&location);
        while above != "/" {
            if let Some(present) = self.nodes.get(above).filter(|present| present.kind != NodeKind::Directory) {
                return Err(TreeError::OtherKind { path: above.to_owned(), wanted: "directory", present: present.kind.name() });
            }
            above = parent(above);
        }
        if let Some(present) = self.nodes.get(&location)
            && present.kind.name() != node.kind.name()
        {
            return Err(TreeError::OtherKind { path: location, wanted: node.kind.name(), present: present.kind.name() });
        }
        self.create_directories(parent(&location));
        self.nodes.insert(location, node);
        Ok(())
    }

    fn create_directories(&mut self, location: &str) {
        if location == "/" || self.nodes.contains_key(location) {
            return;
        }
        self.create_directories(parent(location));
        self.nodes.insert(location.to_owned(), Node { mode: IMPLIED_DIRECTORY_MODE, kind: NodeKind::Directory });
    }
}

impl<'tree> IntoIterator for &'tree Tree {
    type Item = (&'tree String, &'tree Node);
    type IntoIter = Iter<'tree, String, Node>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The names along a path, which may be written `/usr/bin`, `usr/bin` or, as in packages, `./usr/bin/`.
fn components(path: &str) -> Result<Vec<&str>, TreeError> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if path.contains('\0') || names.contains(&"..") {
        return Err(TreeError::BadPath { path: path.to_owned() });
    }
    Ok(names)
}

fn join(directory: &str, name: &str) -> String {
    if directory == "/" { format!("/{name}") } else { format!("{directory}/{name}") }
}

fn parent(location: &str) -> &str {
    match location.rfind('/') {
        None | Some(0) => "/",
        Some(slash) => &location[..slash],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parents_are_made_and_paths_have_one_spelling() {
        let mut tree = Tree::new();
        tree.insert_file("./usr//share/./doc", 0o644, *b"text").unwrap();
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/usr", "/usr/share", "/usr/share/doc"]);
        assert_eq!(tree.get("/usr").unwrap().mode, IMPLIED_DIRECTORY_MODE);
        assert_eq!(&**tree.read("usr/share/doc").unwrap(), b"text");
    }

    #[test]
    fn merged_usr_sends_what_is_put_below_lib_to_usr_lib() {
        let mut tree = Tree::with_merged_usr();
        tree.insert_dir("/lib/", 0o755).unwrap();
        tree.insert_file("/lib/modules/6.12/modules.order", 0o644, *b"").unwrap();
        tree.insert_symlink("/lib", "usr/lib").unwrap();
        assert!(tree.iter().any(|(path, _)| path == "/usr/lib/modules/6.12/modules.order"));
        assert!(!tree.iter().any(|(path, _)| path.starts_with("/lib/")));
        assert_eq!(tree.get("/lib").unwrap().kind, NodeKind::Symlink("usr/lib".into()));
    }

    #[test]
    fn another_kind_in_the_way_is_refused_and_nothing_changes() {
        let mut tree = Tree::new();
        tree.insert_file("/etc/hosts", 0o644, *b"").unwrap();
        let before = tree.clone();
        let error = tree.insert_file("/etc/hosts/new/below", 0o644, *b"").unwrap_err();
        assert_eq!(error, TreeError::OtherKind { path: "/etc/hosts".into(), wanted: "directory", present: "file" });
        assert!(tree.insert_dir("/etc/hosts", 0o755).is_err());
        assert!(tree.insert_symlink("/etc", "usr/etc").is_err());
        assert!(tree.insert_file("/etc", 0o644, *b"").is_err());
        assert_eq!(tree, before);
    }

    #[test]
    fn read_follows_links_but_never_out_of_the_tree() {
        let mut tree = Tree::with_merged_usr();
        tree.insert_file("/usr/bin/busybox", 0o755, *b"b").unwrap();
        tree.insert_symlink("/usr/bin/sh", "../../../../bin/busybox").unwrap();
        tree.insert_symlink("/etc/shell", "/bin/sh").unwrap();
        assert_eq!(&**tree.read("/etc/shell").unwrap(), b"b");
        assert_eq!(tree.resolve("/etc/shell").unwrap().0, "/usr/bin/busybox");
    }

    #[test]
    fn a_link_loop_is_an_error_and_a_dangling_link_is_missing() {
        let mut tree = Tree::new();
        tree.insert_symlink("/a", "b").unwrap();
        tree.insert_symlink("/b", "a").unwrap();
        tree.insert_symlink("/c", "nowhere").unwrap();
        assert!(matches!(tree.read("/a"), Err(TreeError::Loop { .. })));
        assert!(matches!(tree.insert_file("/a/x", 0o644, *b""), Err(TreeError::Loop { .. })));
        assert!(matches!(tree.read("/c"), Err(TreeError::Missing { .. })));
        assert!(matches!(tree.read("/"), Err(TreeError::Missing { .. })));
    }

    #[test]
    fn climbing_paths_and_the_root_are_refused() {
        let mut tree = Tree::new();
        for path in ["/../etc", "a/../b", "", "/", ".", "a\0b"] {
            assert!(matches!(tree.insert_file(path, 0o644, *b""), Err(TreeError::BadPath { .. })), "{path:?}");
        }
    }

    #[test]
    fn removing_a_directory_takes_what_is_below_and_spares_its_neighbours() {
        let mut tree = Tree::new();
        for path in ["/a/x", "/a/y/z", "/a-b", "/ab"] {
            tree.insert_file(path, 0o644, *b"").unwrap();
        }
        assert_eq!(tree.remove("/a").unwrap(), 4);
        let left: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(left, ["/a-b", "/ab"]);
        assert!(matches!(tree.remove("/a"), Err(TreeError::Missing { .. })));
    }

    #[test]
    fn retain_keeps_the_directories_of_what_it_keeps() {
        let mut tree = Tree::new();
        for path in ["/a/deep/x", "/a/other", "/a-b", "/empty/y"] {
            tree.insert_file(path, 0o644, *b"").unwrap();
        }
        tree.retain(|path, _| path.ends_with("/x"));
        let left: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(left, ["/a", "/a/deep", "/a/deep/x"]);
    }

    proptest! {
        #[test]
        fn every_entry_has_its_directory_and_comes_after_it(paths in prop::collection::vec("(/[a-c.-]{1,2}){1,4}", 1..30)) {
            let mut tree = Tree::with_merged_usr();
            for path in &paths {
                // Inserts over another kind are refused; what was accepted must still be whole.
                let _ = tree.insert_file(path, 0o644, *b"");
            }
            let mut seen = BTreeSet::from(["/".to_owned()]);
            for (path, _) in &tree {
                prop_assert!(seen.contains(parent(path)), "{path} before its directory");
                seen.insert(path.clone());
            }
        }
    }
}
