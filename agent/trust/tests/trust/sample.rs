//! One of everything, the same in each test. `vectors.txt` was computed from these.

use shoal_trust::{
    config::{Config, Owner, Stamp},
    fleet::{Admission, Build, ClusterId, Expect, FleetId, Generation, Policy},
    identity::NodeSeed,
    key::{ClusterSecret, NodeSecret, OperatorSecret},
    schedule::FleetKeys,
    secret::JoinSecret,
    session::{End, Session},
};

/// `first`, `first + 1`, …
pub(crate) fn counting<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|index| first + index as u8)
}

pub(crate) const GENERATION: u32 = 7;

pub(crate) fn fleet() -> FleetId {
    FleetId(counting(0x10))
}

pub(crate) fn cluster() -> ClusterId {
    ClusterId(counting(0x20))
}

pub(crate) fn secret() -> JoinSecret {
    JoinSecret::from_random(counting(0x40)).unwrap()
}

pub(crate) fn keys() -> FleetKeys {
    FleetKeys::derive(fleet(), Generation::new(GENERATION).unwrap(), &secret())
}

pub(crate) fn operator() -> OperatorSecret {
    OperatorSecret::from_random(counting(0x80)).unwrap()
}

pub(crate) fn build() -> Build {
    Build { id: counting(0xc0), time: 1_800_000_000 }
}

pub(crate) fn claimed() -> Config {
    let generation = Generation::new(GENERATION).unwrap();
    Config {
        build: build(),
        policy: Policy { admission: Admission::Guarded, expect: Expect::new(3) },
        seeds: vec!["10.0.0.1:7000".parse().unwrap(), "[fd00::2a]:7001".parse().unwrap()],
        owner: Owner::Fleet(Box::new(Stamp { fleet: fleet(), operator: *operator().public(), generation, secret: secret() })),
    }
}

pub(crate) fn unclaimed() -> Config {
    Config { build: build(), policy: Policy::default(), seeds: Vec::new(), owner: Owner::Unclaimed }
}

pub(crate) fn seed() -> NodeSeed {
    NodeSeed::from_bytes([0xa1; 32]).unwrap()
}

/// The client of [`sessions`].
pub(crate) fn node_a() -> NodeSecret {
    seed().signing()
}

/// The server of [`sessions`].
pub(crate) fn node_b() -> NodeSecret {
    NodeSeed::from_bytes([0xb2; 32]).unwrap().signing()
}

/// The two ends of one session: the client's, the server's.
pub(crate) fn sessions() -> (Session, Session) {
    let client = Session { end: End::Client, exporter: counting(0), own: *node_a().public(), peer: *node_b().public() };
    (client, client.from_the_other_end())
}

/// The first and the second key of the cluster.
pub(crate) fn cluster_keys() -> [ClusterSecret; 2] {
    [0xc1, 0xc2].map(|byte| ClusterSecret::from_random([byte; 32]).unwrap())
}
