//! A data directory while it is made, beside its place: it appears there complete, or not at all.
//!
//! ```text
//! <data-dir>.restoring/    the same as a data directory; its lock is held by whoever makes it
//! ```
//!
//! What a process that was killed has left is taken away by the next one that makes the same.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use shoal_cluster::storage::StorageConfig;
use shoal_store_files::disk::{Disk, Lock, RealDisk};

use super::{DataDirError, LOCK, MODE, MemberFile, STORE, create, identity};

/// What the name of a data directory ends with while it is made.
const SUFFIX: &str = ".restoring";

/// A data directory that is being made. Dropping it takes away what was made.
#[derive(Debug)]
pub(crate) struct Draft {
    place: PathBuf,
    path: PathBuf,
    finished: bool,
    _lock: Box<dyn Lock>,
}

impl Draft {
    /// Begins a data directory for `place`, where there must be nothing, or an empty directory.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub(crate) fn begin(place: &Path) -> Result<Self, DataDirError> {
        let place = std::path::absolute(place).map_err(|source| DataDirError::Io { what: "find", path: place.to_owned(), source })?;
        check_place(&place)?;
        let above = place.parent().unwrap_or(Path::new("/"));
        create(above)?;
        let mut name = place.clone().into_os_string();
        name.push(SUFFIX);
        let path = PathBuf::from(name);
        match DirBuilder::new().mode(MODE).create(&path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DataDirError::Io { what: "make the directory", path, source });
            }
            _ => {}
        }
        let lock = RealDisk.lock(&path.join(LOCK)).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => DataDirError::Locked(path.clone()),
            _ => DataDirError::Io { what: "lock", path: path.join(LOCK), source },
        })?;
        let draft = Self { place, path, finished: false, _lock: lock };
        draft.empty()?;
        Ok(draft)
    }

    /// The member's files.
    pub(crate) fn storage(&self) -> StorageConfig {
        StorageConfig::new(self.path.join(STORE))
    }

    /// Says whose it is and puts it in its place, durably. The member's files are durable already.
    ///
    /// # Errors
    /// What the system says, or somebody else has put something there; then nothing is left.
    pub(crate) fn finish(mut self, member: &MemberFile) -> Result<(), DataDirError> {
        member.write(&self.path)?;
        fs::rename(&self.path, &self.place).map_err(|source| match source.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => DataDirError::Exists(self.place.clone()),
            _ => DataDirError::Io { what: "put the data directory in its place at", path: self.place.clone(), source },
        })?;
        self.finished = true;
        let above = self.place.parent().unwrap_or(Path::new("/"));
        RealDisk.sync_directory(above).map_err(|source| DataDirError::Io { what: "sync", path: above.to_owned(), source })
    }

    /// Takes away what was begun before: only what is made here, whatever else there is.
    fn empty(&self) -> Result<(), DataDirError> {
        let gone = |removed: io::Result<()>, path: PathBuf| match removed {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(DataDirError::Io { what: "remove", path, source }),
            _ => Ok(()),
        };
        let store = self.path.join(STORE);
        gone(fs::remove_dir_all(&store), store)?;
        for name in [identity::NAME, identity::PART] {
            let path = self.path.join(name);
            gone(fs::remove_file(&path), path)?;
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // What stays in the way is taken away by whoever begins anew.
            let _ = self.empty();
            let _ = fs::remove_file(self.path.join(LOCK));
            let _ = fs::remove_dir(&self.path);
        }
    }
}

fn check_place(place: &Path) -> Result<(), DataDirError> {
    let entries = match fs::read_dir(place) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(DataDirError::Io { what: "read", path: place.to_owned(), source }),
    };
    if entries {
        return Err(DataDirError::Exists(place.to_owned()));
    }
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev());
    let above = place.parent().unwrap_or(Path::new("/"));
    match (device(place), device(above)) {
        (Ok(own), Ok(other)) if own != other => Err(DataDirError::MountPoint(place.to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use shoal_cluster::{Begin, Identity};

    use super::*;

    fn member() -> MemberFile {
        MemberFile::started(Identity { cluster: 1, member: 2 }, &Begin::Join(std::collections::BTreeMap::new()), "one")
    }

    fn entries(path: &Path) -> Vec<String> {
        let names = fs::read_dir(path).expect("it is there").map(|entry| entry.expect("it can be read").file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().expect("our names are UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn it_appears_in_its_place_at_once_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("above/data");
        let draft = Draft::begin(&place).expect("there is nothing");
        fs::create_dir(folder.path().join("above/data.restoring/store")).expect("it is made");
        assert!(!place.exists());
        drop(draft);
        assert_eq!(entries(&folder.path().join("above")), [""; 0], "what is given up leaves nothing");
        let draft = Draft::begin(&place).expect("there is nothing");
        fs::create_dir(folder.path().join("above/data.restoring/store")).expect("it is made");
        draft.finish(&member()).expect("nobody is in the way");
        assert_eq!(entries(&folder.path().join("above")), ["data"]);
        assert_eq!(entries(&place), ["lock", "member.json", "store"]);
        assert_eq!(MemberFile::read(&place).expect("it is well"), Some(member()));
    }

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("empty")).expect("it is made");
        Draft::begin(&folder.path().join("empty")).expect("it is empty").finish(&member()).expect("it is replaced");
        let error = Draft::begin(&folder.path().join("empty")).expect_err("it is a member's").to_string();
        assert!(error.contains("is not empty"), "{error}");
        // Somebody comes in between.
        let place = folder.path().join("data");
        let draft = Draft::begin(&place).expect("there is nothing");
        fs::create_dir(&place).expect("it is made");
        fs::write(place.join("file"), "").expect("it is written");
        let error = draft.finish(&member()).expect_err("it is not empty any more").to_string();
        assert!(error.contains("is not empty"), "{error}");
        assert_eq!(entries(folder.path()), ["data", "empty"]);
        fs::write(folder.path().join("file"), "").expect("it is written");
        Draft::begin(&folder.path().join("file")).expect_err("it is no directory");
    }

    #[test]
    fn two_do_not_make_the_same_and_what_one_has_left_is_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("data");
        let first = Draft::begin(&place).expect("there is nothing");
        let error = Draft::begin(&place).expect_err("somebody is at it").to_string();
        assert!(error.contains("another process"), "{error}");
        drop(first);
        // Killed in the middle.
        let left = folder.path().join("data.restoring");
        fs::create_dir_all(left.join("store/checkpoint")).expect("it is made");
        fs::write(left.join("member.json.part"), "{").expect("it is written");
        fs::write(left.join("lock"), "").expect("it is written");
        let draft = Draft::begin(&place).expect("nobody is at it");
        assert_eq!(entries(&left), ["lock"]);
        draft.finish(&member()).expect("nobody is in the way");
        assert_eq!(entries(&place), ["lock", "member.json"]);
    }
}
