//! The node's files in `STATE`, each replaced as a whole: the new one is written under another name, synced, renamed, and its directory synced. So a power
//! cut leaves the old one or the new one.
//!
//! | file | holds | secret |
//! |---|---|---|
//! | `identity` | seed, incarnation, how often it has booted | yes |
//! | `role` | what the node is; with what it has to say of a life that ends | no |
//! | `past-lives` | what it was, as it was signed | no |
//! | `floors` | what other members were last heard to be | no |
//! | `peers` | where other nodes were: a hint, for a start where nobody tells | no |
//! | `formation.lock` | nothing: whoever runs holds it | no |
//!
//! Each begins with eight bytes that say what it is and end in the version, and ends with the CRC-32C of all before. There is no such file on a stick that
//! was just written: then an identity is minted, and all else is as if the node were blank. A role without an identity is no blank stick but a damaged
//! one, and the node does not start.
//!
//! Identity and epoch are one file, so that no power cut gives a new identity the epoch of the old one, or an old one a smaller epoch.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use shoal_formation::{ClusterId, Disk as Found, Identity, Incarnation, NodeKey, Record, Role, disk::Leaving, statement::PastLife};
use shoal_formation_wire::{
    Frame, Malformed, PeerAddresses, Statements,
    record::{self, SignedPastLife},
};
use shoal_store_files::disk::{Disk, Lock};
use shoal_trust::{
    identity::NodeSeed,
    key::NodeSecret,
    secret::{NotRandom, SECRET_BYTES},
};
use zeroize::Zeroizing;

use crate::signatures::Signatures;

/// Bytes of a file at most: floors of 4096 members.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Bytes before what a file holds.
const MAGIC_BYTES: usize = 8;

/// Bytes after it.
const CHECKSUM_BYTES: usize = 4;

/// One kind of file.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    magic: [u8; MAGIC_BYTES],
}

const IDENTITY: Kind = Kind { name: "identity", magic: *b"SHOALID1" };
const ROLE: Kind = Kind { name: "role", magic: *b"SHOALRO1" };
const PAST_LIVES: Kind = Kind { name: "past-lives", magic: *b"SHOALPL1" };
const FLOORS: Kind = Kind { name: "floors", magic: *b"SHOALFL1" };
const PEERS: Kind = Kind { name: "peers", magic: *b"SHOALPE1" };

/// What a file that is being written is called beside its name.
const NEW: &str = ".new";

const LOCK: &str = "formation.lock";

/// Why the node's files cannot be used. What is on the disk is what was there before, or what was to be written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has them.
    #[error("another process runs with the files in {}: end it first", .0.display())]
    Locked(PathBuf),
    /// The system says no.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("{} is damaged: write the image to this medium again, and the node joins as a new one", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// In what way.
        source: Damage,
    },
    /// There is a role, and nobody whose it is.
    #[error("there is {} and no identity: write the image to this medium again, and the node joins as a new one", .0.display())]
    NoIdentity(PathBuf),
    /// The system's generator of random numbers is none.
    #[error("the system gives no random numbers")]
    NotRandom(#[from] NotRandom),
    /// The system's generator of random numbers fails.
    #[error("the system gives no random numbers")]
    NoEntropy(#[source] io::Error),
}

/// In what way a file is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Longer or shorter than any such file.
    #[error("it has {0} bytes")]
    Length(u64),
    /// It begins with something else.
    #[error("it does not begin as it should")]
    Magic,
    /// Its checksum does not fit.
    #[error("its checksum does not fit")]
    Checksum,
    /// It holds something else.
    #[error(transparent)]
    Content(#[from] Malformed),
}

/// Where random numbers come from, and what else keeps boxes apart.
pub trait Entropy: std::fmt::Debug + Send {
    /// Fills all of it, and waits until the system has enough entropy.
    ///
    /// # Errors
    /// If there are no random numbers.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()>;

    /// What is mixed into a seed, uncredited: addresses, serial numbers, the time.
    fn uncredited(&mut self) -> Vec<Vec<u8>>;
}

/// The system's own.
#[derive(Debug, Clone, Default)]
pub struct SystemEntropy {
    /// See [`Entropy::uncredited`].
    pub uncredited: Vec<Vec<u8>>,
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // Without flags it waits until the kernel's generator was seeded, once (getrandom(2)).
            let count = rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty())?;
            rest = &mut rest[count..];
        }
        Ok(())
    }

    fn uncredited(&mut self) -> Vec<Vec<u8>> {
        self.uncredited.clone()
    }
}

/// Random bytes.
///
/// # Errors
/// If there are none.
pub fn random<const N: usize>(entropy: &mut dyn Entropy) -> Result<[u8; N], StateError> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes).map_err(StateError::NoEntropy)?;
    Ok(bytes)
}

/// A cluster id that nobody has had.
///
/// # Errors
/// If there are no random numbers.
pub fn fresh_cluster(entropy: &mut dyn Entropy) -> Result<ClusterId, StateError> {
    random(entropy).map(|bytes| ClusterId(u128::from_be_bytes(bytes)))
}

/// The node's files.
#[derive(Debug)]
pub struct State {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    entropy: Box<dyn Entropy>,
    seed: NodeSeed,
    incarnation: Incarnation,
    pub(crate) signatures: Signatures,
    _lock: Box<dyn Lock>,
}

impl State {
    /// Opens the files in a directory, whose parent exists, or makes them on a medium that has none. Gives what the core starts with; of raft it knows
    /// nothing.
    ///
    /// # Errors
    /// If they cannot be used. Nothing was changed then but for leftovers of a power cut.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path, mut entropy: Box<dyn Entropy>) -> Result<(Self, Found), StateError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| StateError::File { path, source }
        };
        disk.create_directory(directory).map_err(file(directory))?;
        if let Some(parent) = directory.parent() {
            disk.sync_directory(parent).map_err(file(parent))?;
        }
        let lock = disk.lock(&directory.join(LOCK)).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => StateError::Locked(directory.to_owned()),
            _ => StateError::File { path: directory.join(LOCK), source },
        })?;
        for kind in [IDENTITY, ROLE, PAST_LIVES, FLOORS, PEERS] {
            let leftover = directory.join(format!("{}{NEW}", kind.name));
            match disk.remove(&leftover) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(&leftover)(error)),
                _ => {}
            }
        }
        let read = |kind| read(&*disk, directory, kind);
        let damaged =
            |kind: Kind| move |malformed: Malformed| StateError::Damaged { path: directory.join(kind.name), source: malformed.into() };
        let role = read(ROLE)?.map(|bytes| record::decode_role(&bytes).map_err(damaged(ROLE))).transpose()?;
        let past_lives = read(PAST_LIVES)?.map(|bytes| record::decode_past_lives(&bytes).map_err(damaged(PAST_LIVES))).transpose()?;
        let floors = read(FLOORS)?.map(|bytes| record::decode_floors(&bytes).map_err(damaged(FLOORS))).transpose()?;
        let identity = match read(IDENTITY)? {
            Some(bytes) => decode_identity(&bytes).map_err(|malformed| damaged(IDENTITY)(malformed))?,
            None if role.is_some() => return Err(StateError::NoIdentity(directory.join(ROLE.name))),
            None => {
                let (seed, incarnation) = mint(&mut *entropy)?;
                replace(&*disk, directory, IDENTITY, &encode_identity(&seed, incarnation, 0))?;
                (seed, incarnation, 0)
            }
        };
        let (seed, incarnation, epoch) = identity;
        let (role, leaving) = role.unwrap_or_default();
        let (past_lives, mut signed) = past_lives.unwrap_or_default();
        signed.extend(leaving);
        let signatures = Signatures::new(seed.signing(), signed);
        let state = Self { disk, directory: directory.to_owned(), entropy, seed, incarnation, signatures, _lock: lock };
        let found = Found { identity: state.identity(), epoch, role, past_lives, floors: floors.unwrap_or_default(), raft: None };
        Ok((state, found))
    }

    /// Who the node is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { key: NodeKey(self.secret().public().to_bytes()), incarnation: self.incarnation }
    }

    /// Its key.
    #[must_use]
    pub fn secret(&self) -> NodeSecret {
        self.seed.signing()
    }

    /// Random numbers.
    pub fn entropy(&mut self) -> &mut dyn Entropy {
        &mut *self.entropy
    }

    /// What this node has signed of a past life; none if it has signed no such thing.
    #[must_use]
    pub fn signed_past_life(&self, past_life: &PastLife) -> Option<SignedPastLife> {
        Statements::past_life(&self.signatures, past_life)
    }

    /// Makes a record durable. A role that says that the node leaves is signed first: afterwards its key may be gone.
    ///
    /// # Errors
    /// If it is not durable. Nothing that depends on it may be said any more, not even after a second attempt.
    pub fn persist(&mut self, record: &Record) -> Result<(), StateError> {
        let (kind, bytes) = match record {
            Record::Epoch(epoch) => (IDENTITY, encode_identity(&self.seed, self.incarnation, *epoch)),
            Record::Role(role) => {
                if let Role::Leaving(Leaving { statement: Some(statement), .. }) = role {
                    self.signatures.sign(statement.get());
                }
                (ROLE, Zeroizing::new(record::encode_role(role, &self.signatures)))
            }
            Record::PastLives(past_lives) => {
                self.signatures.keep(past_lives.iter().map(|past_life| past_life.get()));
                (PAST_LIVES, Zeroizing::new(record::encode_past_lives(past_lives, &self.signatures)))
            }
            Record::Floors(floors) => (FLOORS, Zeroizing::new(record::encode_floors(floors))),
        };
        replace(&*self.disk, &self.directory, kind, &bytes)
    }

    /// Where other nodes were when that was last written; nothing if it cannot be read. It is a hint, and a node that is damaged in nothing else starts
    /// without it.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerAddresses> {
        let read = read(&*self.disk, &self.directory, PEERS);
        match read.map(|bytes| bytes.and_then(|bytes| Frame::decode(&bytes).ok())) {
            Ok(Some(Frame::Addresses(peers))) => peers,
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "where other nodes were is not known any more");
                Vec::new()
            }
        }
    }

    /// Writes down where other nodes are.
    ///
    /// # Errors
    /// If it is not durable; what was there before may be.
    pub fn keep_peers(&mut self, peers: Vec<PeerAddresses>) -> Result<(), StateError> {
        replace(&*self.disk, &self.directory, PEERS, &Frame::Addresses(peers).encode())
    }

    /// Makes a new identity, durable, which has never booted; and a cluster id for it to found with.
    ///
    /// # Errors
    /// If it is not durable; then which identity the node has is not known.
    pub fn mint(&mut self) -> Result<(Identity, ClusterId), StateError> {
        let (seed, incarnation) = mint(&mut *self.entropy)?;
        replace(&*self.disk, &self.directory, IDENTITY, &encode_identity(&seed, incarnation, 0))?;
        self.signatures.renew(seed.signing());
        (self.seed, self.incarnation) = (seed, incarnation);
        Ok((self.identity(), fresh_cluster(&mut *self.entropy)?))
    }
}

fn mint(entropy: &mut dyn Entropy) -> Result<(NodeSeed, Incarnation), StateError> {
    let uncredited = entropy.uncredited();
    let uncredited: Vec<&[u8]> = uncredited.iter().map(Vec::as_slice).collect();
    let seed = NodeSeed::mint(random(entropy)?, &uncredited)?;
    Ok((seed, Incarnation(u64::from_be_bytes(random(entropy)?))))
}

/// 32 seed, 8 incarnation, 8 epoch.
fn encode_identity(seed: &NodeSeed, incarnation: Incarnation, epoch: u64) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES + 16));
    bytes.extend_from_slice(&*seed.expose());
    bytes.extend_from_slice(&incarnation.0.to_be_bytes());
    bytes.extend_from_slice(&epoch.to_be_bytes());
    bytes
}

fn decode_identity(bytes: &[u8]) -> Result<(NodeSeed, Incarnation, u64), Malformed> {
    let malformed = Malformed("identity");
    let (seed, rest) = bytes.split_first_chunk::<SECRET_BYTES>().ok_or(malformed)?;
    let (incarnation, epoch) = rest.split_first_chunk::<8>().ok_or(malformed)?;
    let epoch: [u8; 8] = epoch.try_into().map_err(|_| malformed)?;
    let seed = NodeSeed::from_bytes(*seed).map_err(|_| malformed)?;
    Ok((seed, Incarnation(u64::from_be_bytes(*incarnation)), u64::from_be_bytes(epoch)))
}

/// What a file holds, without its armour; none if there is none.
fn read(disk: &dyn Disk, directory: &Path, kind: Kind) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
    let path = directory.join(kind.name);
    let bytes = match read_all(disk, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| StateError::File { path: path.clone(), source })?,
    };
    bytes.and_then(|bytes| unwrap(bytes, kind)).map(Some).map_err(|source| StateError::Damaged { path, source })
}

fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Result<Zeroizing<Vec<u8>>, Damage>> {
    let file = disk.open(path)?;
    let length = file.len()?;
    if length > FILE_BYTES_MAX {
        return Ok(Err(Damage::Length(length)));
    }
    let mut bytes = Zeroizing::new(vec![0; length as usize]);
    file.read_exact_at(0, &mut bytes)?;
    Ok(Ok(bytes))
}

fn unwrap(mut bytes: Zeroizing<Vec<u8>>, kind: Kind) -> Result<Zeroizing<Vec<u8>>, Damage> {
    let Some((checked, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else { return Err(Damage::Length(bytes.len() as u64)) };
    if crc32c::crc32c(checked) != u32::from_be_bytes(*checksum) {
        return Err(Damage::Checksum);
    }
    if !checked.starts_with(&kind.magic) {
        return Err(Damage::Magic);
    }
    let end = checked.len();
    bytes.truncate(end);
    bytes.drain(..MAGIC_BYTES);
    Ok(bytes)
}

/// Puts a file in the place of the one before, durably.
fn replace(disk: &dyn Disk, directory: &Path, kind: Kind, content: &[u8]) -> Result<(), StateError> {
    let path = directory.join(kind.name);
    let new = directory.join(format!("{}{NEW}", kind.name));
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAGIC_BYTES + content.len() + CHECKSUM_BYTES));
    bytes.extend_from_slice(&kind.magic);
    bytes.extend_from_slice(content);
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    let write = || {
        let file = disk.create(&new)?;
        file.write_all_at(0, &bytes)?;
        file.sync_data()?;
        drop(file);
        disk.rename(&new, &path)?;
        disk.sync_directory(directory)
    };
    write().map_err(|source| StateError::File { path: path.clone(), source })
}
