//! `HashKV`: a number for members to find out that they differ.
//!
//! CRC-32 (IEEE) over all versions that are [kept](super::compact) and were made at the hashed revision or before, in the order of their revisions.
//! Of each version, numbers being little-endian: main revision (8 bytes), sub revision (4), create revision (8), version (8), lease (8), length of the
//! key (4), length of the value (4), key, value. It says the same on every member with the same compaction revision, however far each has come with
//! forgetting, and it is comparable with no etcd's.

use crc32fast::Hasher;

use super::Store;
use crate::{error::HashKvError, event::Revision, response::HashKvResponse};

impl Store {
    /// `Maintenance.HashKV`: a hash of everything that may be read or watched at `revision` and before; 0 or less for the newest. It reads all of
    /// it.
    ///
    /// # Errors
    /// [`HashKvError`] if the revision is compacted or in the future.
    pub fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, HashKvError> {
        let hash_revision = if revision > 0 { revision } else { self.revision };
        if hash_revision > self.revision {
            return Err(HashKvError::FutureRevision);
        }
        if hash_revision < self.compact_revision {
            return Err(HashKvError::Compacted);
        }
        let mut hasher = Hasher::new();
        for (&at, &id) in self.log.range(..Revision { main: hash_revision + 1, sub: 0 }) {
            let key = self.keys.get(id);
            let (version, next) = key.find(at).expect("what is logged is in the key's history");
            if self.is_kept(version, next) {
                hasher.update(&at.main.to_le_bytes());
                hasher.update(&at.sub.to_le_bytes());
                for number in [version.create_revision, version.version, version.lease] {
                    hasher.update(&number.to_le_bytes());
                }
                for part in [&key.name, &version.value] {
                    hasher.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
                }
                hasher.update(&key.name);
                hasher.update(&version.value);
            }
        }
        Ok(HashKvResponse { revision: self.revision, hash_revision, compact_revision: self.compact_revision, hash: hasher.finalize() })
    }
}
