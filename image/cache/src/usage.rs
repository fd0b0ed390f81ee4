//! How much the cache takes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::AddAssign;
use std::path::Path;

use serde::Serialize;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::step::{NAME, RUNNING};
use crate::tree;

/// A number of entries and the disk they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Entries.
    pub count: u64,
    /// Bytes on the disk, in whole blocks.
    pub bytes: u64,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

/// What is in a cache, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Downloads and other files by digest.
    pub objects: Amount,
    /// Downloads that are not complete.
    pub partials: Amount,
    /// Outputs of steps, by the step's name.
    pub steps: BTreeMap<String, Amount>,
    /// Directories that tools keep, by name.
    pub shared: BTreeMap<String, Amount>,
    /// Steps at work, and what killed ones left.
    pub running: Amount,
}

impl Usage {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Amount {
        let mut sum = Amount::default();
        let kinds = [self.objects, self.partials, self.running];
        kinds.iter().chain(self.steps.values()).chain(self.shared.values()).for_each(|&amount| sum += amount);
        sum
    }
}

impl Cache {
    /// Measures the cache. What other builds add or remove meanwhile may or may not be counted.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn usage(&self) -> Result<Usage, CacheError> {
        measure(self.root()).map_err(CacheError::during("read", self.root()))
    }
}

fn measure(root: &Path) -> io::Result<Usage> {
    let mut usage = Usage::default();
    for prefix in tree::names(&root.join("objects"))? {
        for object in tree::names(&root.join("objects").join(&prefix))? {
            usage.objects += amount(&root.join("objects").join(&prefix).join(object))?;
        }
    }
    for partial in tree::names(&root.join("partial"))? {
        usage.partials += amount(&root.join("partial").join(partial))?;
    }
    for step in tree::names(&root.join("steps"))? {
        let entry = root.join("steps").join(&step);
        if step.ends_with(RUNNING) {
            usage.running += amount(&entry)?;
        } else {
            *usage.steps.entry(step_name(&entry)).or_default() += amount(&entry)?;
        }
    }
    for shared in tree::names(&root.join("shared"))? {
        *usage.shared.entry(shared.clone()).or_default() += amount(&root.join("shared").join(shared))?;
    }
    Ok(usage)
}

pub(crate) fn amount(entry: &Path) -> io::Result<Amount> {
    Ok(Amount { count: 1, bytes: tree::disk_bytes(entry)? })
}

fn step_name(entry: &Path) -> String {
    // A step that is being pruned may have lost its name already.
    fs::read_to_string(entry.join(NAME)).unwrap_or_else(|_| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn every_kind_is_counted_under_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        assert_eq!(cache.usage().unwrap().total(), Amount::default());
        cache.insert_bytes(b"one").unwrap();
        cache.insert_bytes(b"two").unwrap();
        cache.partial(&Digest::of(b"three")).unwrap().write_all(b"th").unwrap();
        for key in ["a", "b"] {
            cache.step(&Digest::of(key.as_bytes()), "unpack", |dir| fs::write(dir.join("file"), vec![1; 100_000])).unwrap();
        }
        cache.shared("go-build").unwrap();
        let usage = cache.usage().unwrap();
        assert_eq!((usage.objects.count, usage.partials.count, usage.running.count), (2, 1, 0));
        assert_eq!(usage.steps["unpack"].count, 2);
        assert!(usage.steps["unpack"].bytes >= 200_000);
        assert_eq!(usage.shared["go-build"].count, 1);
        assert_eq!(usage.total().count, 6);
    }
}
