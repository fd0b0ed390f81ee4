//! The tables of a redb file, and what a batch does to them.

use std::borrow::Borrow;

use bytes::Bytes;
use redb::{Key, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::fault::Fault;
use super::rows::{RowKey, Sum, decode, encode, owned};
use super::{Batch, Revision};

pub(super) const REVISIONS: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new("revisions");
pub(super) const LEASES: TableDefinition<'static, i64, &[u8]> = TableDefinition::new("leases");
pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// What this module keeps for itself: the id of the checkpoint, and the sum of each table by its name.
pub(super) const OWN: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("own");
pub(super) const ID: &str = "id";

pub(super) fn pair(revision: Revision) -> (u64, u64) {
    (revision.main, revision.sub)
}

pub(super) fn revision((main, sub): (u64, u64)) -> Revision {
    Revision { main, sub }
}

pub(super) fn row_bytes(key: &impl RowKey, value: &[u8]) -> Result<Bytes, Fault> {
    decode(key, value).map(owned).ok_or_else(|| Fault::Damaged(format!("the row of {} is not what was written", key.name())))
}

pub(super) fn check_row(sum: &mut Sum, key: &impl RowKey, value: &[u8]) -> Result<(), Fault> {
    row_bytes(key, value)?;
    sum.add(key, value);
    Ok(())
}

pub(super) fn sum_of(own: &impl ReadableTable<&'static str, &'static [u8]>, name: &str) -> Result<Sum, Fault> {
    match own.get(name)? {
        Some(sum) => Sum::decode(sum.value()).ok_or_else(|| Fault::Damaged(format!("the sum of the table {name:?} is not readable"))),
        None => Ok(Sum::default()),
    }
}

/// All tables, open for writing.
pub(super) struct Tables<'a> {
    own: Table<'a, &'static str, &'static [u8]>,
    revisions: Summed<'a, (u64, u64)>,
    leases: Summed<'a, i64>,
    meta: Summed<'a, &'static str>,
    buffer: Vec<u8>,
}

struct Summed<'a, K: Key + 'static> {
    table: Table<'a, K, &'static [u8]>,
    sum: Sum,
}

impl<'a> Tables<'a> {
    pub(super) fn open(transaction: &'a WriteTransaction) -> Result<Self, Fault> {
        let own = transaction.open_table(OWN)?;
        Ok(Self {
            revisions: Summed { table: transaction.open_table(REVISIONS)?, sum: sum_of(&own, "revisions")? },
            leases: Summed { table: transaction.open_table(LEASES)?, sum: sum_of(&own, "leases")? },
            meta: Summed { table: transaction.open_table(META)?, sum: sum_of(&own, "meta")? },
            own,
            buffer: Vec::new(),
        })
    }

    pub(super) fn apply(&mut self, batch: &Batch) -> Result<(), Fault> {
        for range in batch.remove_ranges.iter().filter(|range| !range.is_empty()) {
            let sum = &mut self.revisions.sum;
            self.revisions.table.retain_in(pair(range.start)..pair(range.end), |key, value| {
                sum.remove(&revision(key), value);
                false
            })?;
        }
        for key in &batch.remove {
            self.revisions.remove(pair(*key), key)?;
        }
        for (key, bytes) in &batch.put {
            self.revisions.put(pair(*key), key, bytes, &mut self.buffer)?;
        }
        for key in &batch.remove_leases {
            self.leases.remove(*key, key)?;
        }
        for (key, bytes) in &batch.put_leases {
            self.leases.put(*key, key, bytes, &mut self.buffer)?;
        }
        for key in &batch.remove_meta {
            self.meta.remove(key.as_str(), &key.as_str())?;
        }
        for (key, bytes) in &batch.put_meta {
            self.meta.put(key.as_str(), &key.as_str(), bytes, &mut self.buffer)?;
        }
        Ok(())
    }

    /// Keeps the sums.
    pub(super) fn close(mut self) -> Result<(), Fault> {
        for (name, sum) in [("revisions", self.revisions.sum), ("leases", self.leases.sum), ("meta", self.meta.sum)] {
            self.own.insert(name, &sum.encode()[..])?;
        }
        Ok(())
    }
}

impl<K: Key + 'static> Summed<'_, K> {
    fn put<'k>(&mut self, key: impl Borrow<K::SelfType<'k>>, name: &impl RowKey, bytes: &[u8], buffer: &mut Vec<u8>) -> Result<(), Fault> {
        let value = encode(name, bytes, buffer);
        if let Some(old) = self.table.insert(key, value)? {
            self.sum.remove(name, old.value());
        }
        self.sum.add(name, value);
        Ok(())
    }

    fn remove<'k>(&mut self, key: impl Borrow<K::SelfType<'k>>, name: &impl RowKey) -> Result<(), Fault> {
        if let Some(old) = self.table.remove(key)? {
            self.sum.remove(name, old.value());
        }
        Ok(())
    }
}
