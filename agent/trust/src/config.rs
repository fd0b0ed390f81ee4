//! The configuration of an image: one sector of 4 KiB in a partition of its own, which `shoal stamp` writes without building anything anew.
//!
//! ```text
//!     0   8  "SHOALCFG"
//!     8   2  version: 1
//!    10   1  0 unclaimed, 1 claimed
//!    11   1  admission: 0 open, 1 guarded, 2 strict
//!    12   4  how many nodes are expected, 0 if that is not known
//!    16   4  build time, seconds since 1970
//!    20  32  build id
//!    52  16  fleet id                 ┐
//!    68  32  operator's public key    │ zeros if unclaimed
//!   100   4  generation               │
//!   104  32  join secret              ┘
//!   136   2  number of seeds
//!   138      seeds, 19 bytes each: 4 or 6, an address (IPv4: then 12 zeros), a port
//!            zeros
//!  4064  32  SHA-256 of all before it
//! ```
//!
//! Beginning, version and checksum keep their places in every version, so that damage and a newer version are told apart. The checksum is against
//! rot and half a write. Against people there is nothing: who can write the sector has the join secret anyway.
//!
//! *Unclaimed* is what a published image is: its boxes belong to nobody, and form clusters with boxes of the same build.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use alloc::{boxed::Box, vec::Vec};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    beacon::is_address_of_a_peer,
    codec::{Put, Reader},
    fleet::{Admission, Build, Expect, FleetId, Generation, Policy},
    key::OperatorKey,
    schedule::FleetKeys,
    secret::JoinSecret,
};

/// Bytes of the sector: the largest that media have, so that it is written at once or not at all on most.
pub const CONFIG_BYTES: usize = 4096;

/// Addresses of nodes that an image can carry, at most. With one that answers, all others are found.
pub const SEEDS_MAX: usize = 16;

const MAGIC: [u8; 8] = *b"SHOALCFG";
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 32;
const CHECKED_BYTES: usize = CONFIG_BYTES - CHECKSUM_BYTES;

/// The configuration of an image.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// Which build it is.
    pub build: Build,
    /// What its owner, or its recipe, has decided.
    pub policy: Policy,
    /// Where nodes of the fleet may be found when nothing is heard on the link; [`SEEDS_MAX`] at most, each once.
    pub seeds: Vec<SocketAddr>,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose an image is.
#[derive(Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody's.
    Unclaimed,
    /// That of a fleet.
    Fleet(Box<Stamp>),
}

/// What makes an image one of a fleet. **Whoever has it may ask to join.**
#[derive(Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The fleet.
    pub fleet: FleetId,
    /// Its owner.
    pub operator: OperatorKey,
    /// Which join secret it is.
    pub generation: Generation,
    /// The join secret.
    pub secret: JoinSecret,
}

/// Why a sector is no configuration, or a configuration cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Not [`CONFIG_BYTES`].
    #[error("a configuration has {CONFIG_BYTES} bytes, and this has {0}")]
    Length(usize),
    /// All zeros.
    #[error("the image was never given a configuration: build it again, or stamp it")]
    Blank,
    /// It begins with something else.
    #[error("this is no configuration: it does not begin like one")]
    Magic,
    /// Some of it is not what was written.
    #[error("the configuration is damaged: its checksum does not fit. Write the image to its medium again")]
    Checksum,
    /// Written by something newer.
    #[error("the configuration has version {0}, and this program knows version {VERSION}: use the one that belongs to the image")]
    Version(u16),
    /// Neither claimed nor unclaimed.
    #[error("the configuration is neither claimed nor unclaimed, but {0}")]
    Form(u8),
    /// No admission that there is.
    #[error("there is no admission {0}")]
    Admission(u8),
    /// More nodes than a fleet can have.
    #[error("a fleet of {0} nodes is expected, and {max} is the most", max = crate::fleet::EXPECT_MAX)]
    Expect(u32),
    /// No time.
    #[error("the build time is missing")]
    BuildTime,
    /// No fleet.
    #[error("the fleet id is all zeros")]
    Fleet,
    /// No key.
    #[error("the operator's public key is none")]
    Operator,
    /// Counted from 1.
    #[error("the generation of the join secret is 0, and they are counted from 1")]
    Generation,
    /// Nothing.
    #[error("the join secret is all zeros")]
    Secret,
    /// Too many.
    #[error("there are {0} seeds, and {SEEDS_MAX} is the most")]
    Seeds(usize),
    /// No address of a node.
    #[error("seed {0} is no address that a node can have, or is link-local: no link is known for it")]
    Seed(usize),
    /// Twice.
    #[error("seed {0} is there twice")]
    SeedTwice(usize),
    /// A byte that must be zero.
    #[error("byte {0} of the configuration must be zero")]
    Reserved(usize),
}

impl Config {
    /// Reads a sector.
    ///
    /// # Errors
    /// If it is anything but what [`Config::encode`] writes.
    pub fn parse(sector: &[u8]) -> Result<Self, ConfigError> {
        if sector.len() != CONFIG_BYTES {
            return Err(ConfigError::Length(sector.len()));
        }
        if sector.iter().all(|byte| *byte == 0) {
            return Err(ConfigError::Blank);
        }
        let (checked, checksum) = sector.split_at(CHECKED_BYTES);
        if checked[..MAGIC.len()] != MAGIC {
            return Err(ConfigError::Magic);
        }
        if Sha256::digest(checked).as_slice() != checksum {
            return Err(ConfigError::Checksum);
        }
        let mut reader = Reader(&checked[MAGIC.len()..]);
        let config = read(&mut reader)?;
        match reader.0.iter().position(|byte| *byte != 0) {
            Some(at) => Err(ConfigError::Reserved(CHECKED_BYTES - reader.0.len() + at)),
            None => Ok(config),
        }
    }

    /// The sector: [`CONFIG_BYTES`].
    ///
    /// # Errors
    /// If some of it is nothing that [`Config::parse`] would read.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        check_build(self.build.time)?;
        check_seeds(&self.seeds)?;
        let mut sector = Zeroizing::new(Vec::with_capacity(CONFIG_BYTES));
        sector.put(&MAGIC);
        sector.put_u16(VERSION);
        sector.put(&[u8::from(self.owner != Owner::Unclaimed), self.policy.admission.number()]);
        sector.put_u32(self.policy.expect.map_or(0, Expect::get));
        sector.put_u32(self.build.time);
        sector.put(&self.build.id);
        match &self.owner {
            Owner::Unclaimed => sector.put(&[0; STAMP_BYTES]),
            Owner::Fleet(stamp) => {
                check_fleet(stamp.fleet)?;
                sector.put(&stamp.fleet.0);
                sector.put(&stamp.operator.to_bytes());
                sector.put_u32(stamp.generation.get());
                sector.put(stamp.secret.0.expose());
            }
        }
        sector.put_u16(self.seeds.len() as u16);
        for seed in &self.seeds {
            match seed.ip() {
                IpAddr::V4(address) => {
                    sector.put(&[4]);
                    sector.put(&address.octets());
                    sector.put(&[0; 12]);
                }
                IpAddr::V6(address) => {
                    sector.put(&[6]);
                    sector.put(&address.octets());
                }
            }
            sector.put_u16(seed.port());
        }
        sector.resize(CHECKED_BYTES, 0);
        let checksum = Sha256::digest(&*sector);
        sector.put(&checksum);
        Ok(sector)
    }

    /// The fleet: that of the stamp, or that of all unclaimed boxes of the build.
    #[must_use]
    pub fn fleet(&self) -> FleetId {
        match &self.owner {
            Owner::Unclaimed => self.build.unclaimed_fleet(),
            Owner::Fleet(stamp) => stamp.fleet,
        }
    }

    /// The keys that follow. **Those of an unclaimed image are known to everybody who has the image.**
    #[must_use]
    pub fn keys(&self) -> FleetKeys {
        match &self.owner {
            Owner::Unclaimed => FleetKeys::unclaimed(&self.build),
            Owner::Fleet(stamp) => FleetKeys::derive(stamp.fleet, stamp.generation, &stamp.secret),
        }
    }
}

/// Fleet, operator's key, generation and secret.
const STAMP_BYTES: usize = 16 + 32 + 4 + 32;

/// All lengths are of a buffer that is long enough: the largest row of seeds ends at byte 442.
fn read(reader: &mut Reader<'_>) -> Result<Config, ConfigError> {
    const ENOUGH: &str = "the sector is longer than all that is read from it";
    let version = reader.u16().expect(ENOUGH);
    if version != VERSION {
        return Err(ConfigError::Version(version));
    }
    let form = reader.u8().expect(ENOUGH);
    let admission = reader.u8().expect(ENOUGH);
    let admission = Admission::from_number(admission).ok_or(ConfigError::Admission(admission))?;
    let expect = match reader.u32().expect(ENOUGH) {
        0 => None,
        nodes => Some(Expect::new(nodes).ok_or(ConfigError::Expect(nodes))?),
    };
    let build = Build { time: reader.u32().expect(ENOUGH), id: reader.array().expect(ENOUGH) };
    check_build(build.time)?;
    let owner = match form {
        0 => {
            let at = CHECKED_BYTES - reader.0.len();
            match reader.bytes(STAMP_BYTES).expect(ENOUGH).iter().position(|byte| *byte != 0) {
                Some(offset) => return Err(ConfigError::Reserved(at + offset)),
                None => Owner::Unclaimed,
            }
        }
        1 => {
            let fleet = FleetId(reader.array().expect(ENOUGH));
            check_fleet(fleet)?;
            let operator = OperatorKey::from_bytes(&reader.array().expect(ENOUGH)).map_err(|_| ConfigError::Operator)?;
            let generation = Generation::new(reader.u32().expect(ENOUGH)).ok_or(ConfigError::Generation)?;
            let secret = JoinSecret::from_random(reader.array().expect(ENOUGH)).map_err(|_| ConfigError::Secret)?;
            Owner::Fleet(Box::new(Stamp { fleet, operator, generation, secret }))
        }
        form => return Err(ConfigError::Form(form)),
    };
    let count = usize::from(reader.u16().expect(ENOUGH));
    if count > SEEDS_MAX {
        return Err(ConfigError::Seeds(count));
    }
    let seeds = (0..count).map(|number| read_seed(reader).ok_or(ConfigError::Seed(number))).collect::<Result<Vec<_>, _>>()?;
    check_seeds(&seeds)?;
    Ok(Config { build, policy: Policy { admission, expect }, seeds, owner })
}

fn read_seed(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let kind = reader.u8()?;
    let octets: [u8; 16] = reader.array()?;
    let port = reader.u16()?;
    let address: IpAddr = match (kind, octets) {
        (4, [a, b, c, d, rest @ ..]) if rest == [0; 12] => Ipv4Addr::new(a, b, c, d).into(),
        (6, octets) => Ipv6Addr::from(octets).into(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

fn check_build(time: u32) -> Result<(), ConfigError> {
    if time == 0 { Err(ConfigError::BuildTime) } else { Ok(()) }
}

fn check_fleet(fleet: FleetId) -> Result<(), ConfigError> {
    if fleet == FleetId([0; 16]) { Err(ConfigError::Fleet) } else { Ok(()) }
}

fn check_seeds(seeds: &[SocketAddr]) -> Result<(), ConfigError> {
    if seeds.len() > SEEDS_MAX {
        return Err(ConfigError::Seeds(seeds.len()));
    }
    for (number, seed) in seeds.iter().enumerate() {
        let has_link =
            matches!(seed, SocketAddr::V6(seed) if seed.ip().is_unicast_link_local() || seed.scope_id() != 0 || seed.flowinfo() != 0);
        if !is_address_of_a_peer(seed.ip()) || seed.port() == 0 || has_link {
            return Err(ConfigError::Seed(number));
        }
        if seeds[..number].contains(seed) {
            return Err(ConfigError::SeedTwice(number));
        }
    }
    Ok(())
}
