//! What a node keeps of its formation, as the content of one file each. The files' own armour (magic, checksum) is their keeper's.
//!
//! Statements stand in them as they were signed: the key is gone when they are read again. They are not verified then: who can write these files has
//! the node's key.

use alloc::{collections::BTreeMap, vec::Vec};

use shoal_formation::{
    BootId, ClusterId, NodeId, Role,
    disk::{Floor, Leaving, PAST_LIVES},
    statement::{PastLife, Verified},
};
use shoal_trust::statement as signed;

use crate::{
    Malformed, Statements,
    codec::{Reader, Wire, whole},
    hello::{put_statement, put_statements, take_statement, take_statements},
    statement,
};

/// Members whose floors are kept at most: each takes 44 bytes, and a cluster does not see so many nodes come and go.
pub const FLOORS_MAX: usize = 4096;

/// Statements as they were signed, beside what the core makes of them.
pub type SignedPastLife = signed::Signed<signed::PastLife>;

/// A role.
#[must_use]
pub fn encode_role(role: &Role, statements: &impl Statements) -> Vec<u8> {
    let mut bytes = Vec::new();
    match role {
        Role::Virgin => bytes.push(1),
        Role::Founding(cluster) => {
            bytes.push(2);
            cluster.put(&mut bytes);
        }
        Role::Member(cluster, node) => {
            bytes.push(3);
            cluster.put(&mut bytes);
            node.put(&mut bytes);
        }
        Role::Leaving(Leaving { removed_from, statement }) => {
            bytes.push(4);
            removed_from.put(&mut bytes);
            let statement = statement.as_ref().and_then(|statement| statements.past_life(statement.get()));
            statement.is_some().put(&mut bytes);
            if let Some(statement) = statement {
                put_statement(&statement, &mut bytes);
            }
        }
        Role::ExMember(cluster) => {
            bytes.push(5);
            cluster.put(&mut bytes);
        }
    }
    bytes
}

/// A role, and the statement in it.
///
/// # Errors
/// If it is not what [`encode_role`] writes.
pub fn decode_role(bytes: &[u8]) -> Result<(Role, Option<SignedPastLife>), Malformed> {
    whole(bytes, take_role).ok_or(Malformed("role"))
}

fn take_role(reader: &mut Reader<'_>) -> Option<(Role, Option<SignedPastLife>)> {
    Some(match reader.u8()? {
        1 => (Role::Virgin, None),
        2 => (Role::Founding(reader.take()?), None),
        3 => (Role::Member(reader.take()?, reader.take()?), None),
        4 => {
            let removed_from: Option<ClusterId> = reader.take()?;
            let signed: Option<SignedPastLife> = if reader.take()? { Some(take_statement(reader)?) } else { None };
            (Role::Leaving(Leaving { removed_from, statement: signed.as_ref().map(own) }), signed)
        }
        5 => (Role::ExMember(reader.take()?), None),
        _ => return None,
    })
}

/// What this node has signed itself.
fn own(signed: &SignedPastLife) -> Verified<PastLife> {
    Verified::by_signature(statement::past_life(signed.claimed()))
}

/// Past lives, oldest first.
#[must_use]
pub fn encode_past_lives(past_lives: &[Verified<PastLife>], statements: &impl Statements) -> Vec<u8> {
    let signed: Vec<_> = past_lives.iter().filter_map(|past_life| statements.past_life(past_life.get())).collect();
    let mut bytes = Vec::new();
    put_statements(&signed, &mut bytes);
    bytes
}

/// Past lives, and as what they were signed.
///
/// # Errors
/// If it is not what [`encode_past_lives`] writes.
pub fn decode_past_lives(bytes: &[u8]) -> Result<(Vec<Verified<PastLife>>, Vec<SignedPastLife>), Malformed> {
    let signed: Vec<SignedPastLife> = whole(bytes, |reader| take_statements(reader, PAST_LIVES)).ok_or(Malformed("list of past lives"))?;
    Ok((signed.iter().map(own).collect(), signed))
}

/// What members were last heard to be. Of more than [`FLOORS_MAX`], the newest members stay.
#[must_use]
pub fn encode_floors(floors: &BTreeMap<NodeId, Floor>) -> Vec<u8> {
    let skipped = floors.len().saturating_sub(FLOORS_MAX);
    let mut bytes = Vec::new();
    u16::try_from(floors.len() - skipped).unwrap_or(u16::MAX).put(&mut bytes);
    for (node, Floor { epoch, boot, term, committed }) in floors.iter().skip(skipped) {
        node.put(&mut bytes);
        epoch.put(&mut bytes);
        boot.put(&mut bytes);
        term.put(&mut bytes);
        committed.put(&mut bytes);
    }
    bytes
}

/// What members were last heard to be.
///
/// # Errors
/// If it is not what [`encode_floors`] writes.
pub fn decode_floors(bytes: &[u8]) -> Result<BTreeMap<NodeId, Floor>, Malformed> {
    let take = |reader: &mut Reader<'_>| {
        let count = usize::from(reader.take::<u16>()?);
        let mut floors = BTreeMap::new();
        let mut last = None;
        for _ in 0..count.min(FLOORS_MAX + 1) {
            let node: NodeId = reader.take()?;
            if last >= Some(node) || floors.len() == FLOORS_MAX {
                return None;
            }
            last = Some(node);
            let (epoch, boot): (u64, BootId) = (reader.take()?, reader.take()?);
            floors.insert(node, Floor { epoch, boot, term: reader.take()?, committed: reader.take()? });
        }
        Some(floors)
    };
    whole(bytes, take).ok_or(Malformed("list of floors"))
}
