//! `--data-dir`: whose it is, and that nobody else uses it.
//!
//! ```text
//! <data-dir>/lock           held as long as a process uses it
//! <data-dir>/member.json    which member of which cluster this is, and how far it has come: written whole or not at all
//! <data-dir>/store/         the member's raft log and checkpoint
//! ```
//!
//! | stage in `member.json` | means | next start |
//! |---|---|---|
//! | no file | nothing was ever promised to anybody | finds out who it is from the flags |
//! | `new` | it is known who this is | the same; the flags that say how it begins are ignored from here on |
//! | `started` | it has a store, and may have voted | needs `store/`: a member that forgets what it promised must never come back |
//! | `removed` | the cluster goes on without it | refused |
//!
//! A restored one is made beside its place and is `started` from the beginning, see [`Draft`].

mod draft;
mod identity;

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use shoal_cluster::storage::StorageConfig;
use shoal_store_files::disk::{Disk, Lock, RealDisk};

pub(crate) use draft::Draft;
pub(crate) use identity::{MemberFile, Stage};

/// Mode of a data directory: what a cluster stores is nobody else's business.
const MODE: u32 = 0o700;

const LOCK: &str = "lock";
const STORE: &str = "store";

/// What etcd has in its data directory.
const ETCD: &str = "member";

/// A data directory cannot be used. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// The system says no.
    #[error("cannot {what} {}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    /// Some other process is at work in it.
    #[error("another process uses the data directory {}: end it first, or give this member another --data-dir", .0.display())]
    Locked(PathBuf),
    /// `member.json` is not what was written.
    #[error(
        "{} cannot be understood: if another version of shoal-store wrote it, start that one; if not, the disk is damaged, and this member \
         must be removed from the cluster (etcdctl member remove) and added again with an empty --data-dir", .path.display()
    )]
    Damaged { path: PathBuf, source: serde_json::Error },
    /// It is etcd's, or its `member.json` was lost.
    #[error("{} {what}. Give another --data-dir", .path.display())]
    NotOurs { path: PathBuf, what: &'static str },
    /// What it has promised is gone.
    #[error(
        "{} is gone or empty, and with it what this member has promised to its cluster: remove it from the cluster (etcdctl member remove), \
         empty {} and add it again", .store.display(), .path.display()
    )]
    StoreLost { path: PathBuf, store: PathBuf },
    /// It was removed from the cluster.
    #[error(transparent)]
    Removed(#[from] Removed),
    /// Something is there already.
    #[error(
        "{} is not empty, and nothing is restored over what is there: give another --data-dir, or move it away. Keep it until the restored cluster \
         has everything", .0.display()
    )]
    Exists(PathBuf),
    /// It cannot be put in its place at once.
    #[error("{} is a mount point, where a data directory cannot appear all at once: give a --data-dir inside of it", .0.display())]
    MountPoint(PathBuf),
}

/// This member does not belong to its cluster any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this member was removed from its cluster, which goes on without it: to bring it back, empty {}, add it with `etcdctl member add`, and start \
     it with --initial-cluster-state=existing", .0.display()
)]
pub(crate) struct Removed(pub(crate) PathBuf);

/// A data directory that this process alone uses.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    member: Option<MemberFile>,
    _lock: Box<dyn Lock>,
}

impl DataDir {
    /// Opens a data directory, or makes one.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let path = std::path::absolute(path).map_err(|source| DataDirError::Io { what: "find", path: path.to_owned(), source })?;
        create(&path)?;
        let lock = RealDisk.lock(&path.join(LOCK)).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => DataDirError::Locked(path.clone()),
            _ => DataDirError::Io { what: "lock", path: path.join(LOCK), source },
        })?;
        let member = MemberFile::read(&path)?;
        let opened = Self { path, member, _lock: lock };
        opened.check()?;
        Ok(opened)
    }

    fn check(&self) -> Result<(), DataDirError> {
        let path = || self.path.clone();
        let Some(member) = &self.member else {
            let has = |entry: &str| self.path.join(entry).exists();
            return match () {
                () if has(STORE) => Err(DataDirError::NotOurs { path: path(), what: "holds a store, but not whose it is" }),
                () if has(ETCD) => {
                    let what = "is the data directory of an etcd, which cannot be taken over: copy the keys from one server to the other";
                    Err(DataDirError::NotOurs { path: path(), what })
                }
                () => Ok(()),
            };
        };
        match member.stage {
            Stage::New => Ok(()),
            Stage::Started if self.storage().exists() => Ok(()),
            Stage::Started => Err(DataDirError::StoreLost { path: path(), store: self.path.join(STORE) }),
            Stage::Removed => Err(Removed(path()).into()),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is, if it is somebody's.
    pub(crate) const fn member(&self) -> Option<&MemberFile> {
        self.member.as_ref()
    }

    /// The member's files.
    pub(crate) fn storage(&self) -> StorageConfig {
        StorageConfig::new(self.path.join(STORE))
    }

    /// Says whose it is, durably.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn set(&mut self, member: MemberFile) -> Result<(), DataDirError> {
        if self.member.as_ref() != Some(&member) {
            member.write(&self.path)?;
            self.member = Some(member);
        }
        Ok(())
    }

    /// Says how far its member has come, durably.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn set_stage(&mut self, stage: Stage) -> Result<(), DataDirError> {
        match self.member.clone() {
            Some(mut member) => {
                member.stage = stage;
                self.set(member)
            }
            None => Ok(()),
        }
    }
}

/// Makes the directory and what is missing above it, so that they are there after a power cut.
fn create(path: &Path) -> Result<(), DataDirError> {
    let failed = |what| move |source| DataDirError::Io { what, path: path.to_owned(), source };
    let missing: Vec<&Path> = path.ancestors().take_while(|above| !above.exists()).collect();
    DirBuilder::new().recursive(true).mode(MODE).create(path).map_err(failed("make the directory"))?;
    for made in missing {
        let above = made.parent().unwrap_or(Path::new("/"));
        RealDisk.sync_directory(above).map_err(failed("make durable the directory"))?;
    }
    let mode = fs::metadata(path).map_err(failed("look at"))?.mode() & 0o777;
    if mode & !MODE != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{mode:o}"), "others may enter the data directory: set its mode to {MODE:o}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use shoal_cluster::{Begin, Identity};

    use super::*;

    fn member(name: &str) -> MemberFile {
        MemberFile::new(Identity { cluster: 1, member: u64::MAX }, &Begin::Join(std::collections::BTreeMap::new()), name)
    }

    fn error(path: &Path) -> String {
        DataDir::open(path).expect_err("it cannot be used").to_string()
    }

    #[test]
    fn it_is_made_for_this_user_alone_and_used_by_one_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b");
        let opened = DataDir::open(&path).expect("it can be made");
        assert_eq!(opened.member(), None);
        for made in [&path, &folder.path().join("a")] {
            assert_eq!(made.metadata().expect("it is there").permissions().mode() & 0o777, 0o700);
        }
        assert!(error(&path).contains("another process uses"));
        drop(opened);
        DataDir::open(&path).expect("nobody uses it any more");
    }

    #[test]
    fn it_remembers_whose_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        DataDir::open(folder.path()).expect("it is empty").set(member("one")).expect("it is written");
        assert_eq!(DataDir::open(folder.path()).expect("it is the same").member(), Some(&member("one")));
    }

    #[test]
    fn a_member_that_has_lost_its_store_does_not_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut opened = DataDir::open(folder.path()).expect("it is empty");
        opened.set(member("one")).expect("it is written");
        opened.set_stage(Stage::Started).expect("it is written");
        drop(opened);
        assert!(error(folder.path()).contains("remove it from the cluster"));
    }

    #[test]
    fn what_is_no_data_directory_is_left_alone() {
        for (entry, text) in [("member", "is the data directory of an etcd"), ("store", "but not whose it is")] {
            let folder = tempfile::tempdir().expect("a folder");
            fs::create_dir(folder.path().join(entry)).expect("it is made");
            assert!(error(folder.path()).contains(text), "{entry}");
        }
        // A medium of its own has this in its root.
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("lost+found")).expect("it is made");
        DataDir::open(folder.path()).expect("it is as good as empty");
    }

    #[test]
    fn a_removed_member_is_told_how_to_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut opened = DataDir::open(folder.path()).expect("it is empty");
        opened.set(member("one")).expect("it is written");
        opened.set_stage(Stage::Removed).expect("it is written");
        drop(opened);
        assert!(error(folder.path()).contains("etcdctl member add"));
    }
}
