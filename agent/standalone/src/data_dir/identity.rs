//! `member.json`: which member of which cluster a data directory belongs to.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use shoal_cluster::{Begin, Identity};
use shoal_store_files::disk::{Disk, RealDisk};

use super::DataDirError;

pub(super) const NAME: &str = "member.json";

/// The file while it is being written.
pub(super) const PART: &str = "member.json.part";

/// The only version of the file there is.
const VERSION: u32 = 1;

/// How far a member has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It is known who it is, and it has not started yet, or only just.
    New,
    /// It has started, and may have promised something to its peers.
    Started,
    /// It was removed from the cluster.
    Removed,
}

/// What is in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberFile {
    version: Version,
    cluster: Id,
    member: Id,
    pub(crate) name: String,
    pub(crate) stage: Stage,
    /// The peer URLs of all members that the cluster begins with; nothing if this one has joined later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    founders: Option<BTreeMap<Id, Vec<String>>>,
    /// The peer URLs of the members that there were when this one joined; nothing if the cluster begins with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    joined: BTreeMap<Id, Vec<String>>,
}

impl MemberFile {
    /// Of a member that has not started yet.
    pub(crate) fn new(identity: Identity, begin: &Begin, name: &str) -> Self {
        let written = |members: &BTreeMap<u64, Vec<String>>| members.iter().map(|(&id, urls)| (Id(id), urls.clone())).collect();
        let (founders, joined) = match begin {
            Begin::Found(founders) => (Some(written(founders)), BTreeMap::new()),
            Begin::Join(members) => (None, written(members)),
        };
        let (cluster, member) = (Id(identity.cluster), Id(identity.member));
        Self { version: Version, cluster, member, name: name.to_owned(), stage: Stage::New, founders, joined }
    }

    /// Of a member that has a store before it starts for the first time.
    pub(crate) fn started(identity: Identity, begin: &Begin, name: &str) -> Self {
        Self { stage: Stage::Started, ..Self::new(identity, begin, name) }
    }

    /// The same under another name: that is only what a member says of itself.
    pub(crate) fn renamed(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Which member it is.
    pub(crate) const fn identity(&self) -> Identity {
        Identity { cluster: self.cluster.0, member: self.member.0 }
    }

    /// How it came to its cluster.
    pub(crate) fn begin(&self) -> Begin {
        let read = |members: &BTreeMap<Id, Vec<String>>| members.iter().map(|(id, urls)| (id.0, urls.clone())).collect();
        match &self.founders {
            Some(founders) => Begin::Found(read(founders)),
            None => Begin::Join(read(&self.joined)),
        }
    }

    pub(super) fn read(directory: &Path) -> Result<Option<Self>, DataDirError> {
        let path = directory.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DataDirError::Io { what: "read", path, source }),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| DataDirError::Damaged { path, source })
    }

    /// Writes it under another name first, so that a file of this name is always whole.
    pub(super) fn write(&self, directory: &Path) -> Result<(), DataDirError> {
        let (path, part) = (directory.join(NAME), directory.join(PART));
        let write = || {
            let mut file = File::create(&part)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            RealDisk.sync_directory(directory)
        };
        write().map_err(|source| DataDirError::Io { what: "write", path: path.clone(), source })
    }
}

/// Ids are written as etcd's tools print them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Id(u64);

impl TryFrom<String> for Id {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Self)
    }
}

impl From<Id> for String {
    fn from(Id(id): Id) -> Self {
        format!("{id:x}")
    }
}

/// [`VERSION`], and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Version;

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        if version == VERSION { Ok(Self) } else { Err(format!("its version is {version}, and only {VERSION} is known")) }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        VERSION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(MemberFile::read(folder.path()).expect("there is none"), None);
        let identity = Identity { cluster: 1, member: u64::MAX };
        let members = BTreeMap::from([(u64::MAX, vec!["http://h:1".to_owned()]), (2, Vec::new())]);
        for begin in [Begin::Found(members.clone()), Begin::Join(members), Begin::Join(BTreeMap::new())] {
            let member = MemberFile::new(identity, &begin, "näme");
            member.write(folder.path()).expect("it is written");
            let read = MemberFile::read(folder.path()).expect("it is well").expect("it is there");
            assert_eq!((read.identity(), read.begin(), read.name.as_str(), read.stage), (identity, begin, "näme", Stage::New));
        }
    }

    #[test]
    fn what_was_never_written_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let good = r#"{"version":1,"cluster":"1","member":"2","name":"n","stage":"new"}"#;
        for (from, to) in [("", ""), ("1,", "2,"), ("\"2\"", "\"zz\""), ("new", "old"), ("}", ""), ("\"name\"", "\"other\"")] {
            fs::write(folder.path().join(NAME), good.replacen(from, to, 1)).expect("it is written");
            let read = MemberFile::read(folder.path());
            assert_eq!(read.is_ok(), from == to, "{from} {to}: {read:?}");
        }
    }
}
