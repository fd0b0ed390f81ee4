//! The node's files under power cuts at each of their operations, and damage.

use std::{path::Path, sync::Arc};

use shoal_formation::{
    BootId, ClusterId, Disk as Found, Effect, Formation, Identity, Input, NodeId, NodeKey, Now, Record, Role, Settings,
    disk::Leaving,
    statement::{PastLife, Reason, Verified},
};
use shoal_formation_shell::state::{State, StateError};
use shoal_formation_wire::PeerAddresses;
use shoal_store_files::disk::{
    Disk,
    sim::{Cut, Fault, SimDisk},
};

use crate::node::Seeded;

const DIRECTORY: &str = "/state";
const CLUSTER: ClusterId = ClusterId(77);
const FILES: [&str; 4] = ["identity", "role", "past-lives", "floors"];

fn open(disk: &SimDisk, seed: u64) -> Result<(State, Found), StateError> {
    State::open(Arc::new(disk.clone()), Path::new(DIRECTORY), Box::new(Seeded(fastrand::Rng::with_seed(seed))))
}

fn past_life() -> Verified<PastLife> {
    Verified::by_signature(PastLife { cluster: CLUSTER, node: NodeId(3), configuration: Default::default(), reason: Reason::Abandoned })
}

fn leaving() -> Record {
    Record::Role(Role::Leaving(Leaving { removed_from: None, statement: Some(past_life()) }))
}

/// A process from its start until the core has nothing left to do at once.
fn boot(disk: &SimDisk, seed: u64) -> Result<(), StateError> {
    let (mut state, found) = open(disk, seed)?;
    let (mut core, mut effects) = Formation::start(Now::default(), Settings::default(), found, BootId(seed), ClusterId(1));
    loop {
        let mut minted = None;
        for effect in effects {
            match effect {
                Effect::Persist(record) => state.persist(&record)?,
                Effect::Mint => minted = Some(state.mint()?),
                _ => {}
            }
        }
        let Some((identity, cluster)) = minted else { return Ok(()) };
        effects = core.handle(Now::default(), Input::Minted(identity, cluster));
    }
}

/// A member, and who it is.
fn member(seed: u64) -> (SimDisk, Identity) {
    let disk = SimDisk::new(seed);
    let (mut state, found) = open(&disk, seed).unwrap();
    state.persist(&Record::Epoch(1)).unwrap();
    state.persist(&Record::Role(Role::Member(CLUSTER, NodeId(3)))).unwrap();
    (disk, found.identity)
}

#[test]
fn whatever_a_power_cut_interrupts_the_next_start_finishes() {
    let mut cuts = 0;
    for seed in 0..20 {
        for operation in 1.. {
            let (disk, old) = member(seed);
            disk.kill();
            let (mut state, found) = open(&disk, seed).unwrap();
            assert_eq!(found.role, Role::Member(CLUSTER, NodeId(3)));
            disk.set_fault(Some((disk.operations() + operation, Fault::PowerCut)));
            let left = state.persist(&leaving());
            drop(state);
            let went = left.is_ok();
            let booted = left.and_then(|()| boot(&disk, seed + 1000));
            let was_cut = !disk.has_power();
            assert_eq!(was_cut, booted.is_err(), "{booted:?}");
            disk.set_fault(None);
            disk.restart(Cut { torn_sectors: true, garbage: true });
            boot(&disk, seed + 2000).unwrap();
            disk.kill();
            let (state, found) = open(&disk, seed + 3000).unwrap();
            if found.identity == old {
                assert!(!went, "once it says that it leaves, it leaves");
                assert_eq!((found.role, found.past_lives), (Role::Member(CLUSTER, NodeId(3)), vec![]));
            } else {
                assert_eq!((found.role, found.past_lives), (Role::Virgin, vec![past_life()]));
                assert_eq!(state.identity(), found.identity);
                assert!(found.epoch >= 1, "it counts its own boots, and has had one");
                is_signed_by(&state, old);
            }
            cuts += u32::from(was_cut);
            if !was_cut {
                break;
            }
        }
    }
    assert!(cuts > 20 * 20, "there were many: {cuts}");
}

/// What the node says of its past life still has the signature of who it was.
fn is_signed_by(state: &State, old: Identity) {
    let signed = state.signed_past_life(past_life().get()).expect("it can be shown");
    let key = shoal_trust::key::NodeKey::from_bytes(&old.key.0).unwrap();
    assert!(signed.verify(&key).is_ok());
}

#[test]
fn an_epoch_that_was_told_is_never_told_again() {
    for seed in 0..20 {
        for operation in 1.. {
            let disk = SimDisk::new(seed);
            let mut told = 0;
            let mut identity = None;
            disk.set_fault(Some((operation, Fault::PowerCut)));
            for start in 0..4 {
                let Ok((mut state, found)) = open(&disk, seed * 10 + start) else {
                    disk.set_fault(None);
                    disk.restart(Cut { torn_sectors: true, garbage: true });
                    continue;
                };
                assert!(identity.is_none_or(|known| known == found.identity), "an identity that was used stays");
                assert!(found.epoch >= told, "{} after {told}", found.epoch);
                if state.persist(&Record::Epoch(found.epoch + 1)).is_ok() {
                    (told, identity) = (found.epoch + 1, Some(found.identity));
                }
                if !disk.has_power() {
                    disk.set_fault(None);
                    disk.restart(Cut { torn_sectors: true, garbage: true });
                } else {
                    disk.kill();
                }
            }
            assert!(told >= 2);
            if disk.operations() < operation {
                break;
            }
        }
    }
}

#[test]
fn no_flipped_bit_is_read_as_something_else() {
    let (disk, _) = member(1);
    disk.kill();
    let (mut state, _) = open(&disk, 1).unwrap();
    for record in [leaving(), Record::PastLives(vec![past_life()]), Record::Floors(Default::default())] {
        state.persist(&record).unwrap();
    }
    drop(state);
    for name in FILES {
        let path = Path::new(DIRECTORY).join(name);
        let length = disk.contents(&path).len();
        for bit in 0..length * 8 {
            let damaged = disk.fork(1);
            damaged.flip(&path, bit / 8, (bit % 8) as u8);
            let refused = open(&damaged, 1).unwrap_err();
            assert!(matches!(refused, StateError::Damaged { .. }), "{name}, bit {bit}: {refused}");
        }
        for left in 0..length {
            let damaged = disk.fork(1);
            damaged.damage(&path, |bytes| bytes.truncate(left));
            assert!(matches!(open(&damaged, 1).unwrap_err(), StateError::Damaged { .. }), "{name}, {left} bytes left");
        }
    }
}

#[test]
fn a_file_of_one_kind_is_none_of_another() {
    let (disk, _) = member(1);
    disk.kill();
    let (mut state, _) = open(&disk, 1).unwrap();
    state.persist(&Record::Floors(Default::default())).unwrap();
    drop(state);
    disk.rename(&Path::new(DIRECTORY).join("floors"), &Path::new(DIRECTORY).join("past-lives")).unwrap();
    assert!(matches!(open(&disk, 1).unwrap_err(), StateError::Damaged { .. }));
}

#[test]
fn a_role_without_an_identity_is_no_blank_stick() {
    let (disk, _) = member(1);
    disk.kill();
    disk.remove(&Path::new(DIRECTORY).join("identity")).unwrap();
    assert!(matches!(open(&disk, 1).unwrap_err(), StateError::NoIdentity(_)));
}

#[test]
fn two_processes_never_have_the_same_files() {
    let (disk, _) = member(1);
    disk.kill();
    let held = open(&disk, 1).unwrap();
    assert!(matches!(open(&disk, 1).unwrap_err(), StateError::Locked(_)));
    drop(held);
    open(&disk, 1).unwrap();
}

#[test]
fn five_sticks_from_one_image_are_five_nodes() {
    let keys: std::collections::BTreeSet<_> = (0..5).map(|seed| open(&SimDisk::new(1), seed).unwrap().1.identity.key).collect();
    assert_eq!(keys.len(), 5);
}

#[test]
fn where_others_were_is_a_hint_and_damage_to_it_stops_nobody() {
    let (disk, _) = member(1);
    disk.kill();
    let peers: Vec<_> = PeerAddresses::new(NodeKey([1; 32]), ["10.0.0.1:7".parse().unwrap()]).into_iter().collect();
    let (mut state, _) = open(&disk, 1).unwrap();
    assert_eq!(state.peers(), []);
    state.keep_peers(peers.clone()).unwrap();
    drop(state);
    let (state, _) = open(&disk, 1).unwrap();
    assert_eq!(state.peers(), peers);
    drop(state);
    disk.flip(&Path::new(DIRECTORY).join("peers"), 30, 1);
    let (state, found) = open(&disk, 1).unwrap();
    assert_eq!((state.peers(), found.role), (vec![], Role::Member(CLUSTER, NodeId(3))));
}
