//! One redb file: its tables, and what is done to them in one transaction.

use std::borrow::Borrow;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use redb::{Database, Durability, Key, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::backend::Backend;
use super::error::{CheckpointFailed, OpenCheckpointError, ReadCheckpointError, RewriteError, Source};
use super::rows::{CRC_BYTES, RowKey, Sum, decode, encode, owned};
use super::{Batch, Head, Revision, Size};
use crate::disk::File;

const REVISIONS: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new("revisions");
const LEASES: TableDefinition<'static, i64, &[u8]> = TableDefinition::new("leases");
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// What this module keeps for itself: the id of the checkpoint, and the sum of each table by its name.
const OWN: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("own");
const ID: &str = "id";

/// Something went wrong inside.
#[derive(Debug)]
pub(super) enum Fault {
    /// What is there is not what was written.
    Damaged(String),
    /// redb or the disk beneath it refused.
    Redb(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Corrupted(what) => Self::Damaged(what),
            redb::Error::TableDoesNotExist(table) => Self::Damaged(format!("the table {table:?} is missing")),
            redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => Self::Damaged(error.to_string()),
            redb::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::Damaged("the file is too short".to_owned())
            }
            error => Self::Redb(error),
        }
    }
}

impl Fault {
    fn source(self) -> Source {
        match self {
            Self::Damaged(what) => Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(what)),
            Self::Redb(error) => Arc::new(error),
        }
    }

    pub(super) fn failed(self, action: &'static str, path: &Path) -> CheckpointFailed {
        CheckpointFailed { action, path: path.to_owned(), source: self.source() }
    }

    pub(super) fn draft(self, action: &'static str, path: &Path) -> RewriteError {
        RewriteError::Draft { action, path: path.to_owned(), source: self.source() }
    }

    pub(super) fn reading(self, path: &Path) -> ReadCheckpointError {
        match self {
            Self::Damaged(what) => ReadCheckpointError::Damaged { path: path.to_owned(), what },
            error @ Self::Redb(_) => ReadCheckpointError::Unreadable { path: path.to_owned(), source: error.source() },
        }
    }

    pub(super) fn opening(self, action: &'static str, path: &Path) -> OpenCheckpointError {
        match self {
            Self::Damaged(what) => OpenCheckpointError::Damaged { path: path.to_owned(), what },
            error @ Self::Redb(_) => OpenCheckpointError::Io { action, path: path.to_owned(), source: error.source() },
        }
    }
}

/// Makes an error of a panic: redb panics on some damaged pages.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    // What a panic leaves half-way is not used any more: the caller gives up the store.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Fault::Damaged(format!("redb gave up: {}", message.unwrap_or("it did not say why"))))
    })
}

/// A redb file that is open.
#[derive(Debug)]
pub(super) struct Store {
    /// Taken out when it is closed.
    database: Option<Database>,
    file: Arc<dyn File>,
    pub(super) path: PathBuf,
    pub(super) number: u64,
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
            Ok(Self { database: Some(database), file, path, number })
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
            Ok(Self { database: Some(database), file, path, number })
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
        guarded(|| work(&self.database()?.begin_read()?))
    }

    fn transaction(&self, strength: Strength, work: impl FnOnce(&WriteTransaction) -> Result<(), Fault>) -> Result<(), Fault> {
        guarded(|| {
            let mut transaction = self.database()?.begin_write()?;
            transaction.set_durability(Durability::Immediate).map_err(redb::Error::from)?;
            transaction.set_two_phase_commit(strength == Strength::Full);
            transaction.set_quick_repair(strength == Strength::Full);
            work(&transaction)?;
            transaction.commit()?;
            Ok(())
        })
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
        // Closing writes what makes the next opening quick; what was committed is durable in any case. It may panic on a damaged file.
        let database = self.database.take();
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}

fn pair(revision: Revision) -> (u64, u64) {
    (revision.main, revision.sub)
}

fn revision((main, sub): (u64, u64)) -> Revision {
    Revision { main, sub }
}

fn row_bytes(key: &impl RowKey, value: &[u8]) -> Result<Bytes, Fault> {
    decode(key, value).map(owned).ok_or_else(|| Fault::Damaged(format!("the row of {} is not what was written", key.name())))
}

fn check_row(sum: &mut Sum, key: &impl RowKey, value: &[u8]) -> Result<(), Fault> {
    row_bytes(key, value)?;
    sum.add(key, value);
    Ok(())
}

fn sum_of(own: &impl ReadableTable<&'static str, &'static [u8]>, name: &str) -> Result<Sum, Fault> {
    match own.get(name)? {
        Some(sum) => Sum::decode(sum.value()).ok_or_else(|| Fault::Damaged(format!("the sum of the table {name:?} is not readable"))),
        None => Ok(Sum::default()),
    }
}

/// All tables, open for writing.
struct Tables<'a> {
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
    fn open(transaction: &'a WriteTransaction) -> Result<Self, Fault> {
        let own = transaction.open_table(OWN)?;
        Ok(Self {
            revisions: Summed { table: transaction.open_table(REVISIONS)?, sum: sum_of(&own, "revisions")? },
            leases: Summed { table: transaction.open_table(LEASES)?, sum: sum_of(&own, "leases")? },
            meta: Summed { table: transaction.open_table(META)?, sum: sum_of(&own, "meta")? },
            own,
            buffer: Vec::new(),
        })
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), Fault> {
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

    fn close(mut self) -> Result<(), Fault> {
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
