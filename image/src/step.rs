//! Steps of a build: each has a key made of all that can change its result, runs at most once per key, and leaves a directory in the cache.
//!
//! A step's key names its inputs by the *content* of what earlier steps made, not by their keys. So a change that gives the same bytes (a comment
//! in PID 1's source) stops there.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use shoal_cache::{Cache, CacheError, Digest, FileSystem, NO_SPACE_ADVICE, StepError};
use shoal_tools::RunError;

use crate::events::{Event, Reporter};

/// Name of the file in a step's directory that holds the digest of the others.
const DIGEST_FILE: &str = ".digest";

/// The key of a step, under construction: a hash over named fields.
#[derive(Debug, Clone)]
pub struct Key(Vec<Vec<u8>>);

impl Key {
    /// A key for the step `name`; `version` is raised when the step's own code comes to give other results.
    #[must_use]
    pub fn new(name: &str, version: u32) -> Self {
        Self(Vec::new()).with("step", name.as_bytes()).with("version", &version.to_le_bytes())
    }

    /// Adds an input.
    #[must_use]
    pub fn with(mut self, field: &str, value: &[u8]) -> Self {
        self.0.push(field.as_bytes().to_vec());
        self.0.push(value.to_vec());
        self
    }

    /// Adds an input that serialises.
    ///
    /// # Panics
    /// Never for the types of a recipe: all of them have a JSON form.
    #[must_use]
    pub fn with_value(self, field: &str, value: &impl serde::Serialize) -> Self {
        let text = serde_json::to_vec(value).expect("recipes have a JSON form");
        self.with(field, &text)
    }

    /// Adds what an earlier step made.
    #[must_use]
    pub fn with_built(self, field: &str, built: &Built) -> Self {
        self.with(field, built.digest.as_bytes())
    }

    /// The finished key.
    #[must_use]
    pub fn finish(&self) -> Digest {
        Digest::of_fields(&self.0)
    }
}

/// What a step left in the cache.
#[derive(Debug, Clone)]
pub struct Built {
    /// The directory. Nobody may write into it.
    pub dir: PathBuf,
    /// Digest of all paths and contents in it.
    pub digest: Digest,
}

impl Built {
    /// A file of the step.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Contents of a file of the step.
    ///
    /// # Errors
    /// If the file cannot be read: the cache was tampered with.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        std::fs::read(&path).with_context(|| format!("cannot read {} of the cache; `shoal cache prune --all` empties it", path.display()))
    }
}

/// Runs `run` for the step `name` unless the cache has the result of `key`.
///
/// # Errors
/// Whatever `run` returns, or a cache that cannot be written. Nothing half-made is left behind.
pub fn step(cache: &Cache, reporter: &Reporter, name: &str, key: Key, run: impl FnOnce(&Path) -> Result<()>) -> Result<Built> {
    let key = key.finish();
    let started = Instant::now();
    let done = cache
        .step(&key, name, |dir| {
            reporter.report(Event::StepStarted { step: name.to_owned() });
            let work = || {
                run(dir)?;
                let digest = digest_of_directory(dir)?;
                std::fs::write(dir.join(DIGEST_FILE), digest.to_string()).context("cannot write to the cache")
            };
            work().map_err(|error| Failure(with_file_system(error, dir)))
        })
        .map_err(|error| match error {
            StepError::Run(Failure(error)) => error.context(format!("step {name} failed")),
            StepError::Cache(error) => anyhow::Error::from(unwrapped(error)).context(format!("step {name} has no place in the cache")),
        })?;
    reporter.report(Event::StepFinished {
        step: name.to_owned(),
        cached: !done.ran,
        key: key.to_string(),
        seconds: started.elapsed().as_secs_f64(),
    });
    let text = std::fs::read_to_string(done.dir.join(DIGEST_FILE))
        .with_context(|| format!("the cache's result of {name} is damaged; `shoal cache prune --all` empties the cache"))?;
    let digest = text.parse().with_context(|| format!("the cache's result of {name} is damaged"))?;
    Ok(Built { dir: done.dir, digest })
}

/// A step's own error on its way through the cache, which wants a type that is an [`std::error::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(#[source] anyhow::Error);

/// An error of the cache with the step's own error in it as it was.
fn unwrapped(error: CacheError) -> CacheError {
    match error {
        CacheError::NoSpace { file_system, needs, source } => {
            let source = source.downcast::<Failure>().map_or_else(|other| other, |failure| failure.0.into());
            CacheError::NoSpace { file_system, needs, source }
        }
        other => other,
    }
}

/// An error of a tool that found a file system full, with that of the cache, which the tool does not know. What we write ourselves, the cache knows.
fn with_file_system(error: anyhow::Error, dir: &Path) -> anyhow::Error {
    let file_system = FileSystem::of(dir);
    let is_full = match error.chain().find_map(|cause| cause.downcast_ref::<RunError>()) {
        Some(RunError::NoSpace { .. }) => true,
        // Not every tool says it: mkfs.erofs finds something broken that it could not write.
        Some(RunError::Failed { .. }) => file_system.is_full(),
        _ => false,
    };
    if !is_full {
        return error;
    }
    error.context(format!("no space left; the cache is on the file system {file_system}: {NO_SPACE_ADVICE}"))
}

/// Digest over all files below `dir`: relative path, kind, content; sorted, and without times and owners.
///
/// # Errors
/// If something below `dir` cannot be read.
pub fn digest_of_directory(dir: &Path) -> Result<Digest> {
    let mut fields = Vec::new();
    for path in files_below(dir)? {
        let full = dir.join(&path);
        fields.push(path.as_os_str().as_encoded_bytes().to_vec());
        if full.is_symlink() {
            fields.push(b"link".to_vec());
            fields.push(std::fs::read_link(&full)?.as_os_str().as_encoded_bytes().to_vec());
        } else {
            fields.push(b"file".to_vec());
            fields.push(digest_of_file(&full)?.as_bytes().to_vec());
        }
    }
    Ok(Digest::of_fields(fields))
}

/// SHA-256 of a file.
///
/// # Errors
/// If the file cannot be read.
pub fn digest_of_file(path: &Path) -> Result<Digest> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Digest::of_reader(file).with_context(|| format!("cannot read {}", path.display()))
}

/// Relative paths of all files and links below `dir`, sorted.
///
/// # Errors
/// If a directory cannot be listed.
pub fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let full = dir.join(&relative);
        for entry in std::fs::read_dir(&full).with_context(|| format!("cannot list {}", full.display()))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_together() {
        let one = Key::new("a", 1).with("x", b"ab").with("y", b"c").finish();
        let other = Key::new("a", 1).with("x", b"a").with("y", b"bc").finish();
        assert_ne!(one, other);
    }

    /// What a step of a tool says, and whether the cache is as it was.
    fn failure(script: &str) -> (String, bool) {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::open(place.path()).unwrap();
        let mut tool = std::process::Command::new("/bin/sh");
        let work = |_: &Path| shoal_tools::run::run(tool.args(["-c", script]), &mut |_| ()).map(drop).context("nothing made");
        let error = step(&cache, &Reporter::new(crate::events::Style::Silent), "tool", Key::new("tool", 1), work).unwrap_err();
        (format!("{error:#}"), cache.usage().unwrap().total().count == 0)
    }

    #[test]
    fn a_tool_that_finds_no_space_is_told_of_with_the_file_systems_that_it_writes_to() {
        let (text, clean) = failure("echo 'tool: x: No space left on device' >&2; exit 1");
        for word in ["step tool failed: no space left; the cache is on the file system /", "--cache: nothing made", "TMPDIR"] {
            assert!(text.contains(word), "no {word:?} in: {text}");
        }
        assert!(clean);
        // There is space here, so this is something else.
        assert!(!failure("echo 'tool: x: bad message' >&2; exit 1").0.contains("no space"));
    }

    #[test]
    fn the_digest_of_a_directory_sees_names_and_contents_only() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "1").unwrap();
        let first = digest_of_directory(dir.path()).unwrap();
        std::fs::write(dir.path().join("a"), "1").unwrap();
        assert_eq!(digest_of_directory(dir.path()).unwrap(), first);
        std::fs::write(dir.path().join("a"), "2").unwrap();
        assert_ne!(digest_of_directory(dir.path()).unwrap(), first);
    }
}
