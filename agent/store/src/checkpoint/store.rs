//! One redb file: its tables, and what is done to them in one transaction.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use super::backend::Backend;
use super::fault::{Fault, guarded};
use super::rows::{CRC_BYTES, Sum};
use super::tables::{ID, LEASES, META, OWN, REVISIONS, Tables, check_row, pair, revision, row_bytes, sum_of};
use super::{Batch, Head, Revision, Size};
use crate::disk::File;

/// A redb file that is open.
#[derive(Debug)]
pub(super) struct Store {
    /// Taken out when it is closed.
    database: Option<Database>,
    file: Arc<dyn File>,
    pub(super) path: PathBuf,
    pub(super) number: u64,
    /// Damage was seen.
    damaged: AtomicBool,
}

/// How durable a transaction is when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// It counts, also after a crash in the middle of it.
    Full,
    /// It is part of a file that does not count yet.
    Draft,
}

impl Store {
    /// Makes a database in an empty file.
    pub(super) fn create(backend: Backend, path: PathBuf, number: u64, id: [u8; 16], cache_bytes: usize) -> Result<Self, Fault> {
        let file = backend.file.clone();
        let store = guarded(|| {
            let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend)?;
            Ok(Self { database: Some(database), file, path, number, damaged: AtomicBool::new(false) })
        })?;
        store.transaction(Strength::Draft, |transaction| {
            transaction.open_table(OWN)?.insert(ID, &id[..])?;
            Tables::open(transaction)?.close()
        })?;
        Ok(store)
    }

    /// Opens a database, which must be that of the checkpoint with this id.
    pub(super) fn open(
        backend: Backend,
        path: PathBuf,
        number: u64,
        id: Option<[u8; 16]>,
        cache_bytes: usize,
        full: bool,
    ) -> Result<Self, Fault> {
        let file = backend.file.clone();
        // redb would take an empty file for a new one.
        if file.is_empty().map_err(|error| Fault::Redb(error.into()))? {
            return Err(Fault::Damaged("the file is empty".to_owned()));
        }
        let store = guarded(|| {
            let database =
                Database::builder().set_cache_size(cache_bytes).set_check_integrity_on_open(full).create_with_backend(backend)?;
            Ok(Self { database: Some(database), file, path, number, damaged: AtomicBool::new(false) })
        })?;
        store.reading(|transaction| {
            let found = transaction.open_table(OWN)?.get(ID)?.map(|found| found.value().to_vec());
            match id {
                Some(id) if found.as_deref() != Some(&id[..]) => Err(Fault::Damaged("it is the file of another checkpoint".to_owned())),
                _ => Ok(()),
            }
        })?;
        if full {
            store.verify()?;
        }
        Ok(store)
    }

    fn database(&self) -> Result<&Database, Fault> {
        self.database.as_ref().ok_or(Fault::Redb(redb::Error::DatabaseClosed))
    }

    fn reading<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, Fault>) -> Result<T, Fault> {
        self.noting(guarded(|| work(&self.database()?.begin_read()?)))
    }

    /// Whether damage was seen.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    fn noting<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        if matches!(result, Err(Fault::Damaged(_))) {
            self.damaged.store(true, Ordering::Relaxed);
        }
        result
    }

    fn transaction(&self, strength: Strength, work: impl FnOnce(&WriteTransaction) -> Result<(), Fault>) -> Result<(), Fault> {
        self.noting(guarded(|| {
            let mut transaction = self.database()?.begin_write()?;
            transaction.set_durability(Durability::Immediate).map_err(redb::Error::from)?;
            transaction.set_two_phase_commit(strength == Strength::Full);
            transaction.set_quick_repair(strength == Strength::Full);
            work(&transaction)?;
            transaction.commit()?;
            Ok(())
        }))
    }

    /// Changes rows in one transaction.
    pub(super) fn apply(&self, batch: &Batch, strength: Strength) -> Result<(), Fault> {
        self.transaction(strength, |transaction| {
            let mut tables = Tables::open(transaction)?;
            tables.apply(batch)?;
            tables.close()
        })
    }

    /// Whether there is nothing in it.
    pub(super) fn has_no_rows(&self) -> Result<bool, Fault> {
        self.reading(|transaction| {
            let own = transaction.open_table(OWN)?;
            let rows = ["revisions", "leases", "meta"].map(|name| sum_of(&own, name).map(|sum| sum.rows));
            Ok(rows.into_iter().collect::<Result<Vec<_>, _>>()?.iter().all(|rows| *rows == 0))
        })
    }

    /// Meta and leases.
    pub(super) fn head(&self) -> Result<Head, Fault> {
        self.reading(|transaction| {
            let own = transaction.open_table(OWN)?;
            let mut head = Head { revisions: sum_of(&own, "revisions")?.rows, ..Head::default() };
            for row in transaction.open_table(META)?.iter()? {
                let (key, value) = row?;
                head.meta.push((key.value().to_owned(), row_bytes(&key.value(), value.value())?));
            }
            for row in transaction.open_table(LEASES)?.iter()? {
                let (key, value) = row?;
                head.leases.push((key.value(), row_bytes(&key.value(), value.value())?));
            }
            Ok(head)
        })
    }

    /// Some revisions of a range, in order.
    pub(super) fn read(&self, range: Range<Revision>, max_bytes: usize) -> Result<Vec<(Revision, Bytes)>, Fault> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.reading(|transaction| {
            let mut rows = Vec::new();
            let mut bytes = 0;
            for row in transaction.open_table(REVISIONS)?.range(pair(range.start)..pair(range.end))? {
                let (key, value) = row?;
                let key = revision(key.value());
                bytes += value.value().len().saturating_sub(CRC_BYTES);
                if bytes > max_bytes && !rows.is_empty() {
                    break;
                }
                rows.push((key, row_bytes(&key, value.value())?));
            }
            Ok(rows)
        })
    }

    /// The highest revision.
    pub(super) fn last_revision(&self) -> Result<Option<Revision>, Fault> {
        self.reading(|transaction| {
            let last = transaction.open_table(REVISIONS)?.last()?.map(|(key, _)| revision(key.value()));
            Ok(last)
        })
    }

    /// Reads all rows and compares them with the sums.
    pub(super) fn verify(&self) -> Result<(), Fault> {
        self.reading(|transaction| {
            let own = transaction.open_table(OWN)?;
            let mut revisions = Sum::default();
            for row in transaction.open_table(REVISIONS)?.iter()? {
                let (key, value) = row?;
                check_row(&mut revisions, &revision(key.value()), value.value())?;
            }
            let mut leases = Sum::default();
            for row in transaction.open_table(LEASES)?.iter()? {
                let (key, value) = row?;
                check_row(&mut leases, &key.value(), value.value())?;
            }
            let mut meta = Sum::default();
            for row in transaction.open_table(META)?.iter()? {
                let (key, value) = row?;
                check_row(&mut meta, &key.value(), value.value())?;
            }
            for (name, found) in [("revisions", revisions), ("leases", leases), ("meta", meta)] {
                let expected = sum_of(&own, name)?;
                if found != expected {
                    return Err(Fault::Damaged(format!(
                        "the table {name:?} has {} rows, and not the {} that it should have",
                        found.rows, expected.rows
                    )));
                }
            }
            Ok(())
        })
    }

    /// How large it is.
    pub(super) fn size(&self) -> Result<Size, Fault> {
        let in_use = self.reading(|transaction| {
            let own = transaction.open_table(OWN)?;
            Ok(sum_of(&own, "revisions")?.bytes + sum_of(&own, "leases")?.bytes + sum_of(&own, "meta")?.bytes)
        })?;
        Ok(Size { file: self.file.len().map_err(|error| Fault::Redb(error.into()))?, in_use })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let Some(database) = self.database.take() else { return };
        if self.is_damaged() {
            // Closing would write to it, and may panic twice, which no one can catch. The process is about to end.
            std::mem::forget(database);
            return;
        }
        // Closing writes what makes the next opening quick; what was committed is durable in any case.
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}
