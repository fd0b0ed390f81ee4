//! What a checkpoint holds, as rows: versions by revision, leases, and what is small, by name.

use bytes::Bytes;
use prost::Message;
use shoal_kv::{Revision, Store, checkpoint::CheckpointVersion};
use shoal_store_files::checkpoint::{Batch, Checkpoint, Revision as Row};

use super::{READ_BYTES, error::CheckpointError};
use crate::{
    codec::DecodeError,
    replica::{Identity, Owner},
    snapshot::record::{HeadMessage, decode_row},
    state::{Head, Replicated},
};

pub(super) const HEAD: &str = "head";
pub(super) const IDENTITY: &str = "identity";

/// The part of a replacement that makes it a checkpoint: everything but the rows, and whose it is.
pub(crate) fn head_batch(head: &Head, owner: impl Into<Owner>) -> Batch {
    let lease = |&(id, ttl): &(i64, i64)| (id, Bytes::copy_from_slice(&ttl.to_le_bytes()));
    Batch {
        put_leases: head.store.leases.iter().map(lease).collect(),
        put_meta: vec![(IDENTITY.into(), encode_owner(owner.into())), (HEAD.into(), encode_head(head))],
        ..Batch::default()
    }
}

/// A part of a replacement that holds rows of a snapshot.
pub(crate) fn rows_batch(rows: Vec<(Revision, Bytes)>) -> Batch {
    Batch { put: rows.into_iter().map(|(at, row)| (row_at(at), row)).collect(), ..Batch::default() }
}

/// The versions in a checkpoint, in order.
pub(super) struct Rows<'a> {
    checkpoint: &'a Checkpoint,
    piece: std::vec::IntoIter<(Row, Bytes)>,
    next: Row,
    end: Row,
}

impl<'a> Rows<'a> {
    pub(super) fn new(checkpoint: &'a Checkpoint, revision: i64) -> Self {
        let end = row_after(Revision { main: revision, sub: u32::MAX });
        Self { checkpoint, piece: Vec::new().into_iter(), next: Row::default(), end }
    }

    fn read(&mut self) -> Result<Option<CheckpointVersion>, CheckpointError> {
        if self.piece.len() == 0 {
            self.piece = self.checkpoint.read(self.next..self.end, READ_BYTES)?.into_iter();
        }
        let Some((at, row)) = self.piece.next() else { return Ok(None) };
        let revision = revision_of(at)?;
        self.next = row_after(revision);
        Ok(Some(CheckpointVersion { revision, kv: decode_row(revision, row)? }))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<CheckpointVersion, CheckpointError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// What is small in a checkpoint.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) head: Head,
    pub(super) owner: Owner,
}

/// Reads what is small. Blocks.
pub(super) fn read_head(checkpoint: &Checkpoint) -> Result<Stored, CheckpointError> {
    let stored = checkpoint.head()?;
    let meta = |name: &str| stored.meta.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    let mut head = match meta(HEAD) {
        Some(bytes) => Head::try_from(HeadMessage::decode(bytes).map_err(DecodeError::from)?)?,
        None => Replicated::new(Store::new()).head(),
    };
    let lease = |(id, ttl): &(i64, Bytes)| {
        let ttl: [u8; 8] = ttl[..].try_into().map_err(|_| DecodeError::Unknown("time to live of a lease"))?;
        Ok::<_, DecodeError>((*id, i64::from_le_bytes(ttl)))
    };
    head.store.leases = stored.leases.iter().map(lease).collect::<Result<_, _>>()?;
    let owner = decode_owner(&meta(IDENTITY).ok_or(DecodeError::Unknown("identity"))?)?;
    Ok(Stored { head, owner })
}

/// The head without its leases, which are rows of their own: few of them change from one checkpoint to the next.
pub(super) fn encode_head(head: &Head) -> Bytes {
    let mut message = HeadMessage::from(head);
    message.leases.clear();
    message.encode_to_vec().into()
}

/// 16 bytes; 32 of a cluster that forms itself, with its whole name behind.
pub(super) fn encode_owner(owner: Owner) -> Bytes {
    let Owner { identity, formed } = owner;
    let mut bytes = [identity.cluster.to_le_bytes(), identity.member.to_le_bytes()].concat();
    bytes.extend(formed.into_iter().flat_map(u128::to_le_bytes));
    bytes.into()
}

fn decode_owner(bytes: &[u8]) -> Result<Owner, DecodeError> {
    let unknown = DecodeError::Unknown("identity");
    let (cluster, rest) = bytes.split_first_chunk().ok_or(unknown.clone())?;
    let (member, rest) = rest.split_first_chunk().ok_or(unknown.clone())?;
    let identity = Identity { cluster: u64::from_le_bytes(*cluster), member: u64::from_le_bytes(*member) };
    let formed = match rest {
        [] => None,
        rest => Some(u128::from_le_bytes(rest.try_into().map_err(|_| unknown)?)),
    };
    Ok(Owner { identity, formed })
}

/// The row of a version.
pub(super) fn row_at(revision: Revision) -> Row {
    Row { main: revision.main.cast_unsigned(), sub: revision.sub.into() }
}

/// The first row that may come after this one.
pub(super) fn row_after(revision: Revision) -> Row {
    let Row { main, sub } = row_at(revision);
    Row { main, sub: sub + 1 }
}

pub(super) fn revision_of(row: Row) -> Result<Revision, DecodeError> {
    let unknown = DecodeError::Unknown("revision");
    match (i64::try_from(row.main), u32::try_from(row.sub)) {
        (Ok(main), Ok(sub)) => Ok(Revision { main, sub }),
        _ => Err(unknown),
    }
}
