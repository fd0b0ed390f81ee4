//! Where clusters of emulated boxes live on this machine: a directory each, `$XDG_STATE_HOME/shoal/clusters/NAME` (XDG Base Directory Specification).
//!
//! | file | is |
//! |---|---|
//! | `lock` | held, shared, by everything that has to do with the cluster: the command that brings it up, and its keeper |
//! | `cluster.json` | [`Record`] |
//! | `control` | the keeper's socket |
//! | `NAME.fleet`, `kubeconfig` | the owner's ways in |
//! | `image.*`, `boxN.qcow2` | the disks |
//! | `keeper.log` | what the keeper, and QEMU under it, had to say |
//!
//! A directory whose lock nobody holds is dead: its keeper was killed, or the machine was switched off. Unless it is to be kept, whoever comes next removes it. Directories
//! are made, judged and removed under one lock over all of them, so that nobody removes what another one has just made.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use shoal_contract::Arch;

/// Characters of a name, at most: it is part of the path of a socket.
const NAME_CHARACTERS_MAX: usize = 32;

/// Beside the clusters: what was found out about this machine. No cluster can have this name.
const HOST: &str = ".host";

/// What a cluster is made of; it does not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// How many boxes.
    pub nodes: u8,
    /// Their architecture.
    pub arch: Arch,
    /// MiB of each.
    pub memory: u32,
    /// Processors of each.
    pub cpus: u8,
    /// The file in the cluster's directory that their disks lie over.
    pub image: String,
    /// Whether the disks outlive the boxes.
    pub keep: bool,
}

/// Reads a cluster's name, which is also one of a fleet.
///
/// # Errors
/// What to write instead.
pub fn parse_name(text: &str) -> Result<String, String> {
    let is_good = shoal_trust::fleet::FleetName::new(text).is_some() && text.len() <= NAME_CHARACTERS_MAX;
    is_good.then(|| text.to_owned()).ok_or_else(|| format!("write 1 to {NAME_CHARACTERS_MAX} of a-z, 0-9 and -, a letter first"))
}

/// All clusters of this user, and the right to make and remove some, until it is dropped.
#[derive(Debug)]
pub(crate) struct Places {
    root: PathBuf,
    _lock: File,
}

/// How a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Life {
    /// Somebody holds its lock.
    Up,
    /// Nobody does, and its disks are kept.
    Off,
}

impl Places {
    /// Waits until nobody else changes anything, and removes what is dead.
    pub(crate) fn open() -> Result<Self> {
        Self::within(root()?)
    }

    fn within(root: PathBuf) -> Result<Self> {
        let advice = || format!("cannot use {}; set XDG_STATE_HOME to a directory of yours", root.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&root).with_context(advice)?;
        fs::create_dir_all(root.join(HOST)).with_context(advice)?;
        let lock = File::create(root.join(".lock")).with_context(advice)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from).with_context(advice)?;
        let places = Self { root, _lock: lock };
        for place in places.all()? {
            if place.life() == Life::Off && !place.record().is_ok_and(|record| record.keep) {
                place.remove()?;
            }
        }
        Ok(places)
    }

    /// The cluster of this name, which may not be there.
    pub(crate) fn named(&self, name: &str) -> Place {
        Place { name: name.to_owned(), directory: self.root.join(name) }
    }

    /// Those that are there, by name.
    pub(crate) fn all(&self) -> Result<Vec<Place>> {
        let entries = fs::read_dir(&self.root).with_context(|| format!("cannot read {}", self.root.display()))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| parse_name(name).is_ok()).collect();
        names.sort_unstable();
        Ok(names.iter().map(|name| self.named(name)).collect())
    }

    /// Makes the directory of a cluster that is not there, or takes that of one that is off; with its lock.
    pub(crate) fn claim(&self, name: &str) -> Result<(Place, File)> {
        let place = self.named(name);
        match DirBuilder::new().mode(0o700).create(&place.directory) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.with_context(|| format!("cannot make {}", place.directory.display()))?,
        }
        match place.hold() {
            Ok(lock) => Ok((place, lock)),
            Err(_) => bail!("a cluster named {name} is up; end it with `shoal down {name}`, or give another name with --name"),
        }
    }
}

/// One cluster's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    name: String,
    directory: PathBuf,
}

impl Place {
    /// The one in this directory.
    pub(crate) fn at(directory: PathBuf) -> Self {
        let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self { name, directory }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where that is kept which was found out about this machine.
    pub(crate) fn host(&self) -> PathBuf {
        self.directory.with_file_name(HOST)
    }

    /// A file of it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn fleet(&self) -> PathBuf {
        self.file(&format!("{}.fleet", self.name))
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.file("keeper.log")
    }

    /// The disk of a box.
    pub(crate) fn disk(&self, number: u8) -> PathBuf {
        self.file(&format!("box{number}.qcow2"))
    }

    pub(crate) fn exists(&self) -> bool {
        self.directory.is_dir()
    }

    fn lock(&self) -> io::Result<File> {
        File::options().create(true).truncate(false).write(true).open(self.file("lock"))
    }

    /// Takes part in the cluster's life, with whoever does already: until the result is dropped it is up.
    pub(crate) fn share(&self) -> io::Result<File> {
        let lock = self.lock()?;
        flock(&lock, FlockOperation::NonBlockingLockShared)?;
        Ok(lock)
    }

    /// Begins the cluster's life, if nobody takes part in it. Only under the lock of [`Places`].
    fn hold(&self) -> io::Result<File> {
        let lock = self.lock()?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        // To be shared with the keeper. That nobody comes in between is up to the lock over all.
        flock(&lock, FlockOperation::NonBlockingLockShared)?;
        Ok(lock)
    }

    /// Waits until nobody takes part any more.
    pub(crate) fn await_end(&self) -> io::Result<()> {
        match File::open(self.file("lock")) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            lock => Ok(flock(lock?, FlockOperation::LockExclusive)?),
        }
    }

    /// Whether it is up. Only under the lock of [`Places`]: for a moment nobody else can take part.
    pub(crate) fn life(&self) -> Life {
        let free = File::open(self.file("lock"))
            .map_or_else(|error| error.kind() == ErrorKind::NotFound, |lock| flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok());
        if free { Life::Off } else { Life::Up }
    }

    pub(crate) fn record(&self) -> Result<Record> {
        let path = self.file("cluster.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not what `shoal up` writes", path.display()))
    }

    /// Says what the cluster is made of; with it the directory is one worth keeping.
    pub(crate) fn write_record(&self, record: &Record) -> Result<()> {
        let mut staged = tempfile::NamedTempFile::new_in(&self.directory)?;
        serde_json::to_writer_pretty(&mut staged, record)?;
        staged.persist(self.file("cluster.json"))?;
        Ok(())
    }

    /// Removes all of it.
    pub(crate) fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.directory).with_context(|| format!("cannot remove {}", self.directory.display()))
    }
}

fn root() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    Ok(state.context("neither HOME nor XDG_STATE_HOME is set; set one, for clusters live there")?.join("shoal/clusters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(keep: bool) -> Record {
        Record { nodes: 3, arch: Arch::Amd64, memory: 2048, cpus: 2, image: "image.img".to_owned(), keep }
    }

    #[test]
    fn a_cluster_is_up_as_long_as_somebody_takes_part_in_it() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::within(root.path().join("clusters")).unwrap();
        let (place, starter) = places.claim("one").unwrap();
        place.write_record(&record(true)).unwrap();
        let error = format!("{:#}", places.claim("one").unwrap_err());
        assert!(error.contains("shoal down one"), "{error}");
        let keeper = place.share().unwrap();
        drop(starter);
        assert_eq!(place.life(), Life::Up);
        drop(keeper);
        assert_eq!(place.life(), Life::Off);
        place.await_end().unwrap();
        assert_eq!(places.claim("one").unwrap().0.record().unwrap(), record(true), "what is off can be taken again");
    }

    #[test]
    fn what_is_dead_is_removed_by_whoever_comes_next_and_what_is_kept_is_not() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::within(root.path().join("clusters")).unwrap();
        for (name, recorded) in [("kept", Some(true)), ("dead", Some(false)), ("half", None)] {
            let (place, _) = places.claim(name).unwrap();
            if let Some(keep) = recorded {
                place.write_record(&record(keep)).unwrap();
            }
        }
        let (_, held) = places.claim("lives").unwrap();
        drop(places);
        let places = Places::within(root.path().join("clusters")).unwrap();
        let left = |places: &Places| -> Vec<String> { places.all().unwrap().iter().map(|place| place.name().to_owned()).collect() };
        assert_eq!(left(&places), ["kept", "lives"]);
        drop(held);
    }

    #[test]
    fn names_are_those_of_fleets() {
        assert_eq!(parse_name("ci-7"), Ok("ci-7".to_owned()));
        for text in ["", ".lock", "A", "a/b", "7", &"a".repeat(33)] {
            assert!(parse_name(text).is_err(), "{text}");
        }
    }
}
