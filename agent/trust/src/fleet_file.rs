//! The operator's fleet file, `site1.fleet`: who has it administers every cluster of the fleet.
//!
//! ```toml
//! # Shoal fleet "site1". Who has this file administers every cluster of the fleet, and without it nobody does: keep it secret, and keep a copy.
//! version = 1
//! name = "site1"
//! id = "shoal-fleet-1-…"
//!
//! [operator]
//! public-key = "shoal-operator-1-…"
//! secret-key = "shoal-operator-secret-1-…"
//!
//! [join]
//! generation = 1
//! secret = "shoal-join-secret-1-…"
//!
//! [[cluster]]            # one for each cluster that was seen
//! id = "shoal-cluster-1-…"
//! key = "shoal-cluster-key-1-…"
//! key-number = 1
//! ```
//!
//! It is TOML, read strictly: nothing unknown, nothing twice, and every key has a check against typos of its own. People may add comments; they are gone
//! when the file is written again. Whoever writes it gives it mode 0600 and puts it in its place by a rename.

use core::fmt::Write;

use alloc::{
    borrow::{Cow, ToOwned},
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    config::Stamp,
    fleet::{ClusterId, FleetId, FleetName, Generation},
    key::{ClusterKey, OperatorKey, OperatorSecret, PublicKeyError},
    schedule::FleetKeys,
    secret::{JoinSecret, NotRandom, SECRET_BYTES},
    statement::{ChainError, KeyRotation, PinnedCluster, Signed},
    text::{self, TextError},
};

const VERSION: u32 = 1;
const FLEET: &str = "shoal-fleet-1-";
const CLUSTER: &str = "shoal-cluster-1-";
const OPERATOR_SECRET: &str = "shoal-operator-secret-1-";
const JOIN_SECRET: &str = "shoal-join-secret-1-";

/// Bytes of a fleet file at most: [`CLUSTERS_MAX`] clusters take 56 KiB.
pub const FLEET_FILE_BYTES_MAX: usize = 64 << 10;

/// Clusters that are remembered at most. A fleet has one; those that dissolve, and those of a site that was set up again, are not forgotten by themselves.
pub const CLUSTERS_MAX: usize = 256;

/// What an operator has.
#[derive(Debug, PartialEq, Eq)]
pub struct FleetFile {
    name: FleetName,
    id: FleetId,
    operator: Operator,
    generation: Generation,
    join: JoinSecret,
    clusters: Vec<PinnedCluster>,
}

/// Compared by what is public.
#[derive(Debug)]
struct Operator(OperatorSecret);

impl PartialEq for Operator {
    fn eq(&self, other: &Self) -> bool {
        self.0.public() == other.0.public()
    }
}

impl Eq for Operator {}

/// Random bytes for a new fleet, from a cryptographic generator of random numbers.
#[derive(Debug)]
pub struct FleetRandomness {
    /// Becomes the fleet's id.
    pub id: [u8; 16],
    /// Becomes the operator's key.
    pub operator: [u8; SECRET_BYTES],
    /// Becomes the first join secret.
    pub join: [u8; SECRET_BYTES],
}

/// Why a text is no fleet file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FleetFileError {
    /// Longer than [`FLEET_FILE_BYTES_MAX`].
    #[error("a fleet file has {FLEET_FILE_BYTES_MAX} bytes at most, and this has {0}")]
    Length(usize),
    /// It is no TOML, or has something that does not belong there, or lacks something. The message names the line, and shows none of its values.
    #[error("this is no fleet file: {message}{}", .line.map(|line| alloc::format!(" (line {line})")).unwrap_or_default())]
    Toml {
        /// What is wrong.
        message: String,
        /// Where, from 1.
        line: Option<usize>,
    },
    /// Written by something newer.
    #[error("the fleet file has version {0}, and this program knows version {VERSION}: use a newer program")]
    Version(u32),
    /// No name of a fleet.
    #[error("a fleet's name is 1 to {max} of a-z, 0-9 and -, and begins with a letter", max = FleetName::CHARACTERS_MAX)]
    Name,
    /// A value is not what it should be.
    #[error("{0} is wrong: restore the file from its copy")]
    Value(&'static str, #[source] TextError),
    /// A public key is none.
    #[error("{0} is wrong: restore the file from its copy")]
    PublicKey(&'static str, #[source] PublicKeyError),
    /// The two halves of the operator's key are of two files.
    #[error("the operator's public key is not that of the secret key: two fleet files were mixed up, restore one from its copy")]
    Mixed,
    /// A secret is all zeros, or the fleet's id is.
    #[error("{0} is all zeros: no random numbers went into it")]
    NotRandom(&'static str),
    /// Counted from 1.
    #[error("{0} is 0, and they are counted from 1")]
    Zero(&'static str),
    /// Too many.
    #[error("there are {0} clusters, and {CLUSTERS_MAX} are remembered: take out those that are gone")]
    Clusters(usize),
    /// Twice.
    #[error("cluster {0} is there twice")]
    ClusterTwice(ClusterId),
}

/// Why a cluster is not remembered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PinError {
    /// **Somebody else answers.** The cluster's key is another one, and its chain does not lead there.
    #[error("cluster {0} shows another key than the one in the fleet file: this is not the cluster that was there before")]
    OtherKey(ClusterId),
    /// It was never seen.
    #[error("cluster {0} is not in the fleet file")]
    Unknown(ClusterId),
    /// **Somebody else answers.** What it shows does not lead on from the known key.
    #[error("this is not the cluster that was there before")]
    Chain(#[source] ChainError),
    /// Too many.
    #[error("the fleet file has {CLUSTERS_MAX} clusters: take out those that are gone")]
    Full,
}

/// Why the join secret cannot be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RotateError {
    /// What came was not random.
    #[error(transparent)]
    NotRandom(#[from] NotRandom),
    /// It is the one that there is.
    #[error("the new join secret is the old one: the random numbers are not")]
    Same,
    /// After four thousand million.
    #[error("there is no generation after this one")]
    Last,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw<'a> {
    version: u32,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    operator: RawOperator<'a>,
    #[serde(borrow)]
    join: RawJoin<'a>,
    #[serde(borrow, default)]
    cluster: Vec<RawCluster<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawOperator<'a> {
    #[serde(borrow)]
    public_key: Cow<'a, str>,
    #[serde(borrow)]
    secret_key: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawJoin<'a> {
    generation: u32,
    #[serde(borrow)]
    secret: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawCluster<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    key_number: u32,
}

impl FleetFile {
    /// A new fleet.
    ///
    /// # Errors
    /// If something that should be random is all zeros.
    pub fn new(name: FleetName, randomness: FleetRandomness) -> Result<Self, FleetFileError> {
        let operator = OperatorSecret::from_random(randomness.operator).map_err(|_| FleetFileError::NotRandom("the operator's key"))?;
        let join = JoinSecret::from_random(randomness.join).map_err(|_| FleetFileError::NotRandom("the join secret"))?;
        let id = check_id(FleetId(randomness.id))?;
        Ok(Self { name, id, operator: Operator(operator), generation: Generation::FIRST, join, clusters: Vec::new() })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it is no fleet file. No error shows a secret.
    pub fn parse(text: &str) -> Result<Self, FleetFileError> {
        if text.len() > FLEET_FILE_BYTES_MAX {
            return Err(FleetFileError::Length(text.len()));
        }
        let raw: Raw<'_> = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1));
            FleetFileError::Toml { message: without_values(error.message()), line }
        })?;
        if raw.version != VERSION {
            return Err(FleetFileError::Version(raw.version));
        }
        let name = FleetName::new(&raw.name).ok_or(FleetFileError::Name)?;
        let id = check_id(FleetId(*text::decode(FLEET, &raw.id).map_err(|error| FleetFileError::Value("the fleet's id", error))?))?;
        let secret = text::decode(OPERATOR_SECRET, &raw.operator.secret_key);
        let secret = secret.map_err(|error| FleetFileError::Value("the operator's secret key", error))?;
        let operator = OperatorSecret::from_random(*secret).map_err(|_| FleetFileError::NotRandom("the operator's key"))?;
        let public = OperatorKey::from_text(&raw.operator.public_key);
        let public = public.map_err(|error| FleetFileError::PublicKey("the operator's public key", error))?;
        if public != *operator.public() {
            return Err(FleetFileError::Mixed);
        }
        let generation = Generation::new(raw.join.generation).ok_or(FleetFileError::Zero("the generation of the join secret"))?;
        let secret = text::decode(JOIN_SECRET, &raw.join.secret).map_err(|error| FleetFileError::Value("the join secret", error))?;
        let join = JoinSecret::from_random(*secret).map_err(|_| FleetFileError::NotRandom("the join secret"))?;
        if raw.cluster.len() > CLUSTERS_MAX {
            return Err(FleetFileError::Clusters(raw.cluster.len()));
        }
        let mut clusters: Vec<PinnedCluster> = Vec::new();
        for raw in &raw.cluster {
            let cluster = parse_cluster(raw)?;
            if clusters.iter().any(|other| other.cluster == cluster.cluster) {
                return Err(FleetFileError::ClusterTwice(cluster.cluster));
            }
            clusters.push(cluster);
        }
        Ok(Self { name, id, operator: Operator(operator), generation, join, clusters })
    }

    /// The text of the file. It is wiped when it is dropped.
    #[must_use]
    pub fn print(&self) -> Zeroizing<String> {
        // With room for all of it, so that no copy is left behind when it grows.
        let mut text = Zeroizing::new(String::with_capacity(1024 + 256 * self.clusters.len()));
        let name = self.name.as_str();
        let secret_key = text::encode(OPERATOR_SECRET, &*self.operator.0.expose());
        let secret = text::encode(JOIN_SECRET, self.join.0.expose());
        let written = write!(
            text,
            "# Shoal fleet \"{name}\". Who has this file administers every cluster of the fleet, and without it nobody does: keep it secret, and keep a copy.
version = {VERSION}
name = \"{name}\"
id = \"{id}\"

[operator]
public-key = \"{public}\"
secret-key = \"{secret_key}\"

[join]
generation = {generation}
secret = \"{secret}\"
",
            id = *text::encode(FLEET, &self.id.0),
            public = self.operator.0.public().to_text(),
            secret_key = *secret_key,
            generation = self.generation,
            secret = *secret,
        )
        .and_then(|()| {
            self.clusters.iter().try_for_each(|cluster| {
                let (id, key, number) = (text::encode(CLUSTER, &cluster.cluster.0), cluster.key.to_text(), cluster.number);
                write!(text, "\n[[cluster]]\nid = \"{}\"\nkey = \"{key}\"\nkey-number = {number}\n", *id)
            })
        });
        written.expect("a string takes everything");
        text
    }

    /// What the operator calls the fleet.
    #[must_use]
    pub const fn name(&self) -> &FleetName {
        &self.name
    }

    /// Which fleet it is.
    #[must_use]
    pub const fn id(&self) -> FleetId {
        self.id
    }

    /// The operator's key.
    #[must_use]
    pub const fn operator(&self) -> &OperatorSecret {
        &self.operator.0
    }

    /// Which join secret is the newest.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The clusters that were seen, in the order in which they were.
    #[must_use]
    pub fn clusters(&self) -> &[PinnedCluster] {
        &self.clusters
    }

    /// The keys of the newest generation.
    #[must_use]
    pub fn keys(&self) -> FleetKeys {
        FleetKeys::derive(self.id, self.generation, &self.join)
    }

    /// What makes an image one of this fleet.
    #[must_use]
    pub fn stamp(&self) -> Box<Stamp> {
        let secret = JoinSecret(crate::secret::Secret::new(*self.join.0.expose()));
        Box::new(Stamp { fleet: self.id, operator: *self.operator.0.public(), generation: self.generation, secret })
    }

    /// Takes another join secret, from a cryptographic generator of random numbers, and counts one further. The old one is wiped: sticks that have it
    /// join as long as the clusters accept it, and have to be stamped again.
    ///
    /// # Errors
    /// If it is none. The file is then as it was.
    pub fn rotate(&mut self, random: [u8; SECRET_BYTES]) -> Result<(), RotateError> {
        let join = JoinSecret::from_random(random)?;
        if join == self.join {
            return Err(RotateError::Same);
        }
        self.generation = self.generation.next().ok_or(RotateError::Last)?;
        self.join = join;
        Ok(())
    }

    /// Remembers a cluster that was met for the first time. To know it again later changes nothing.
    ///
    /// # Errors
    /// If it is known with another key: then only [`FleetFile::follow`] leads on. Or if there are too many.
    pub fn pin(&mut self, cluster: PinnedCluster) -> Result<(), PinError> {
        match self.clusters.iter().find(|known| known.cluster == cluster.cluster) {
            Some(known) if *known == cluster => Ok(()),
            Some(_) => Err(PinError::OtherKey(cluster.cluster)),
            None if self.clusters.len() == CLUSTERS_MAX => Err(PinError::Full),
            None => {
                self.clusters.push(cluster);
                Ok(())
            }
        }
    }

    /// Follows a known cluster to its newest key, and remembers that.
    ///
    /// # Errors
    /// If the cluster is not known, or the chain does not lead on from its known key. Nothing has changed then.
    pub fn follow(&mut self, cluster: ClusterId, chain: &[Signed<KeyRotation>]) -> Result<&PinnedCluster, PinError> {
        let known = self.clusters.iter_mut().find(|known| known.cluster == cluster).ok_or(PinError::Unknown(cluster))?;
        *known = known.follow(chain).map_err(PinError::Chain)?;
        Ok(known)
    }
}

fn check_id(id: FleetId) -> Result<FleetId, FleetFileError> {
    if id == FleetId([0; 16]) { Err(FleetFileError::NotRandom("the fleet's id")) } else { Ok(id) }
}

fn parse_cluster(raw: &RawCluster<'_>) -> Result<PinnedCluster, FleetFileError> {
    let cluster = ClusterId(*text::decode(CLUSTER, &raw.id).map_err(|error| FleetFileError::Value("a cluster's id", error))?);
    let key = ClusterKey::from_text(&raw.key).map_err(|error| FleetFileError::PublicKey("a cluster's key", error))?;
    if raw.key_number == 0 {
        return Err(FleetFileError::Zero("the number of a cluster's key"));
    }
    Ok(PinnedCluster { cluster, number: raw.key_number, key })
}

/// Messages of the TOML parser quote what they found, which may be a secret in the wrong place. What is passed on is what they say was expected, and
/// names of fields that are missing.
fn without_values(message: &str) -> String {
    if message.starts_with("missing field") {
        return message.to_string();
    }
    match message.rsplit_once("expected ") {
        Some((_, expected)) => alloc::format!("something does not belong there, expected {expected}"),
        None => "it is no valid TOML".to_owned(),
    }
}
