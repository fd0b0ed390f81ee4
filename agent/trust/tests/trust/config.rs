//! The sector: every damage has its error, and nothing that was not written is read.

use std::net::SocketAddr;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use shoal_trust::{
    config::{CONFIG_BYTES, Config, ConfigError, Owner, SEEDS_MAX, Stamp},
    fleet::{Admission, Build, Expect, FleetId, Generation, Policy},
    key::OperatorSecret,
    secret::JoinSecret,
};

use crate::sample::*;

/// Changes a sector and gives it the checksum that fits: what is behind the checksum has to hold by itself.
fn with(config: &Config, change: impl FnOnce(&mut [u8])) -> Result<Config, ConfigError> {
    let mut sector = config.encode().unwrap().to_vec();
    change(&mut sector);
    let checksum = Sha256::digest(&sector[..CONFIG_BYTES - 32]);
    sector[CONFIG_BYTES - 32..].copy_from_slice(&checksum);
    Config::parse(&sector)
}

#[test]
fn each_kind_of_damage_has_its_error() {
    let put = |at: usize, bytes: &'static [u8]| with(&claimed(), |sector| sector[at..at + bytes.len()].copy_from_slice(bytes)).unwrap_err();
    let put_unclaimed =
        |at: usize, bytes: &'static [u8]| with(&unclaimed(), |sector| sector[at..at + bytes.len()].copy_from_slice(bytes)).unwrap_err();
    let sector = claimed().encode().unwrap();
    assert_eq!(Config::parse(&sector[1..]).unwrap_err(), ConfigError::Length(4095));
    assert_eq!(Config::parse(&[&*sector.clone(), &[0][..]].concat()).unwrap_err(), ConfigError::Length(4097));
    assert_eq!(Config::parse(&[0; CONFIG_BYTES]).unwrap_err(), ConfigError::Blank);
    assert_eq!(Config::parse(&[0xff; CONFIG_BYTES]).unwrap_err(), ConfigError::Magic);
    let table = [
        (put(0, b"X"), ConfigError::Magic),
        (put(8, &[0, 2]), ConfigError::Version(2)),
        (put(10, &[2]), ConfigError::Form(2)),
        (put(11, &[3]), ConfigError::Admission(3)),
        (put(12, &[0, 0, 1, 1]), ConfigError::Expect(257)),
        (put(16, &[0; 4]), ConfigError::BuildTime),
        (put(52, &[0; 16]), ConfigError::Fleet),
        (put(68, &[0; 32]), ConfigError::Operator),
        (put(68, &[0xff; 32]), ConfigError::Operator),
        (put(100, &[0; 4]), ConfigError::Generation),
        (put(104, &[0; 32]), ConfigError::Secret),
        (put(136, &[0, 17]), ConfigError::Seeds(17)),
        // Of three seeds the last is zeros, of one the second stands where zeros should be.
        (put(136, &[0, 3]), ConfigError::Seed(2)),
        (put(136, &[0, 1]), ConfigError::Reserved(157)),
        (put(138, &[5]), ConfigError::Seed(0)),
        (put(138, &[4, 127, 0, 0, 1]), ConfigError::Seed(0)),
        (put(138, &[4, 0, 0, 0, 0]), ConfigError::Seed(0)),
        (put(143, &[1]), ConfigError::Seed(0)),
        (put(155, &[0, 0]), ConfigError::Seed(0)),
        (put(157, &[6, 0xfe, 0x80]), ConfigError::Seed(1)),
        (put(157, &[6, 0xff, 0x02]), ConfigError::Seed(1)),
        (put(157, &[4, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 27, 88]), ConfigError::SeedTwice(1)),
        (put(4063, &[1]), ConfigError::Reserved(4063)),
        (put(176, &[1]), ConfigError::Reserved(176)),
        (put_unclaimed(52, &[1]), ConfigError::Reserved(52)),
        (put_unclaimed(104, &[1]), ConfigError::Reserved(104)),
        (put_unclaimed(135, &[1]), ConfigError::Reserved(135)),
        (put_unclaimed(138, &[1]), ConfigError::Reserved(138)),
    ];
    for (number, (found, expected)) in table.into_iter().enumerate() {
        assert_eq!(found, expected, "line {number}");
    }
}

#[test]
fn no_flipped_bit_is_overlooked() {
    for config in [claimed(), unclaimed()] {
        let sector = config.encode().unwrap().to_vec();
        for bit in 0..CONFIG_BYTES * 8 {
            let mut changed = sector.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit < 64 { ConfigError::Magic } else { ConfigError::Checksum };
            assert_eq!(Config::parse(&changed).unwrap_err(), expected, "bit {bit}");
        }
    }
}

#[test]
fn half_a_write_is_damage() {
    let (old, new) = (claimed().encode().unwrap(), unclaimed().encode().unwrap());
    for written in (512..CONFIG_BYTES).step_by(512) {
        let torn = [&new[..written], &old[written..]].concat();
        assert_eq!(Config::parse(&torn).unwrap_err(), ConfigError::Checksum, "{written} bytes were written");
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let seed = |text: &str| text.parse::<SocketAddr>().unwrap();
    let with_seeds = |seeds: Vec<SocketAddr>| Config { seeds, ..claimed() }.encode().unwrap_err();
    assert_eq!(with_seeds(vec![seed("[fe80::1%3]:1")]), ConfigError::Seed(0));
    assert_eq!(with_seeds(vec![seed("10.0.0.1:0")]), ConfigError::Seed(0));
    assert_eq!(with_seeds(vec![seed("10.0.0.1:1"), seed("224.0.0.251:1")]), ConfigError::Seed(1));
    assert_eq!(with_seeds(vec![seed("10.0.0.1:1"); 2]), ConfigError::SeedTwice(1));
    assert_eq!(with_seeds((1..=17).map(|port| SocketAddr::new([10, 0, 0, 1].into(), port)).collect()), ConfigError::Seeds(SEEDS_MAX + 1));
    assert_eq!(Config { build: Build { time: 0, ..build() }, ..claimed() }.encode().unwrap_err(), ConfigError::BuildTime);
    let mut config = claimed();
    let Owner::Fleet(stamp) = &mut config.owner else { panic!("it is claimed") };
    stamp.fleet = FleetId([0; 16]);
    assert_eq!(config.encode().unwrap_err(), ConfigError::Fleet);
}

#[test]
fn nothing_of_the_secret_is_shown() {
    let shown = format!("{:?} {:#?}", claimed(), claimed().keys());
    assert!(shown.contains("(secret)"), "{shown}");
    // The secret counts up from 0x40: no three of its bytes stand together, in either notation.
    for notation in ["40, 41, 42", "64, 65, 66", "404142", "50, 51, 52"] {
        assert!(!shown.contains(notation), "{notation} in {shown}");
    }
}

fn seeds() -> impl Strategy<Value = Vec<SocketAddr>> {
    let address = prop_oneof![
        (1_u32..0x7f00_0000).prop_filter("of this network", |bits| bits >> 24 != 0).prop_map(|bits| std::net::IpAddr::V4(bits.into())),
        any::<u64>().prop_map(|low| std::net::IpAddr::V6(((0xfd << 120) | u128::from(low)).into())),
    ];
    let seed = (address, 1_u16..).prop_map(|(address, port)| SocketAddr::new(address, port));
    prop::collection::btree_set(seed, 0..=SEEDS_MAX).prop_map(|seeds| seeds.into_iter().collect())
}

fn configs() -> impl Strategy<Value = Config> {
    let policy = (0..3_usize, 0..=256_u32).prop_map(|(admission, expect)| Policy {
        admission: [Admission::Open, Admission::Guarded, Admission::Strict][admission],
        expect: Expect::new(expect),
    });
    let stamp = (any::<[u8; 16]>(), any::<[u8; 32]>(), 1_u32.., any::<[u8; 32]>()).prop_filter_map(
        "zeros",
        |(fleet, operator, generation, secret)| {
            Some(Stamp {
                fleet: FleetId(fleet),
                operator: *OperatorSecret::from_random(operator).ok()?.public(),
                generation: Generation::new(generation)?,
                secret: JoinSecret::from_random(secret).ok()?,
            })
        },
    );
    let owner =
        (any::<bool>(), stamp).prop_map(|(is_claimed, stamp)| if is_claimed { Owner::Fleet(Box::new(stamp)) } else { Owner::Unclaimed });
    let build = (any::<[u8; 32]>(), 1_u32..).prop_map(|(id, time)| Build { id, time });
    (build, policy, seeds(), owner).prop_map(|(build, policy, seeds, owner)| Config { build, policy, seeds, owner })
}

proptest! {
    #[test]
    fn what_is_written_is_read(config in configs()) {
        let sector = config.encode().unwrap();
        prop_assert_eq!(sector.len(), CONFIG_BYTES);
        prop_assert_eq!(Config::parse(&sector).unwrap(), config);
    }

    #[test]
    fn what_is_read_is_what_would_be_written(config in configs(), at in 0..500_usize, byte: u8) {
        if let Ok(read) = with(&config, |sector| sector[at] = byte) {
            let mut expected = config.encode().unwrap().to_vec();
            expected[at] = byte;
            prop_assert_eq!(&read.encode().unwrap()[..CONFIG_BYTES - 32], &expected[..CONFIG_BYTES - 32]);
        }
    }
}
