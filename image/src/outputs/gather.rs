//! Writing files into the output directory, all of them or none.
//!
//! Everything is written into a hidden directory beside the results and renamed into place at the end, so that a build that fails or is interrupted leaves
//! the directory as it was. Of one that was killed, the hidden directory is left, and the next build removes it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shoal_cache::Digest;
use shoal_teardown::TemporaryDirectory;

use crate::space::explain;

/// Name of the table of hashes, as sha256sum(1) reads it.
pub const SUMS_FILE: &str = "SHA256SUMS";
/// What to do about an output directory on a full file system.
pub(crate) const OUT_ADVICE: &str = "free some, or name a directory with more space with --out";
/// Unit of `st_blocks` (POSIX leaves it open, Linux fixes it).
const BLOCK_BYTES: u64 = 512;
/// Beginning of the name of the directory that files are gathered in.
const STAGING_PREFIX: &str = ".shoal-";

/// A file on its way to the output directory.
pub(crate) struct Pending {
    /// Its name there.
    pub(crate) name: String,
    /// Where it is now.
    pub(crate) source: PathBuf,
    /// SHA-256 of it.
    pub(crate) digest: Digest,
}

/// Writes files and the table of their hashes into `out`, and says what is missing where there is no space for them.
pub(crate) fn write_files(pending: &[Pending], out: &Path) -> Result<Vec<PathBuf>> {
    try_write_files(pending, out).map_err(|error| {
        // What they take on a disk where holes are free, as they are in the cache.
        let taken = |file: &Pending| std::fs::metadata(&file.source).map(|metadata| metadata.blocks() * BLOCK_BYTES);
        let needs = pending.iter().map(taken).sum::<std::io::Result<_>>();
        explain(error, out, needs.ok(), OUT_ADVICE)
    })
}

fn try_write_files(pending: &[Pending], out: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot create the output directory {}", out.display()))?;
    let (staging, _lock) =
        stage(out).with_context(|| format!("cannot write into {}; choose another directory with --out", out.display()))?;
    let mut sums: Vec<String> = pending.iter().map(|file| format!("{}  {}\n", file.digest, file.name)).collect();
    sums.sort_by(|one, other| one[64..].cmp(&other[64..]));
    for file in pending {
        copy_sparse(&file.source, &staging.path().join(&file.name))
            .with_context(|| format!("cannot write {}", out.join(&file.name).display()))?;
    }
    std::fs::write(staging.path().join(SUMS_FILE), sums.concat())
        .with_context(|| format!("cannot write {}", out.join(SUMS_FILE).display()))?;
    let names: Vec<&str> = pending.iter().map(|file| file.name.as_str()).chain([SUMS_FILE]).collect();
    let written: Vec<PathBuf> = names.iter().map(|name| out.join(name)).collect();
    staging.finish(|staging| {
        let mut files = names.iter().zip(&written);
        files.try_for_each(|(name, target)| {
            std::fs::rename(staging.join(name), target).with_context(|| format!("cannot write {}", target.display()))
        })
    })?;
    Ok(written)
}

/// A directory in `out` to gather files in, with the lock that says that somebody does. Removes those of builds that were killed.
///
/// There are file systems where a directory cannot be locked (NFS); there, what was left stays.
fn stage(out: &Path) -> std::io::Result<(TemporaryDirectory, Option<File>)> {
    let locked = |directory: &Path| File::open(directory).and_then(|directory| directory.lock().map(|()| directory)).ok();
    // Held until the new directory is locked, so that no other build takes it for one that was left.
    let gate = locked(out);
    if gate.is_some() {
        remove_left(out)?;
    }
    let staging = TemporaryDirectory::within(out, STAGING_PREFIX)?;
    let lock = locked(staging.path());
    Ok((staging, lock))
}

fn remove_left(out: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(out)? {
        let entry = entry?;
        let gathers = entry.file_type()?.is_dir() && entry.file_name().as_encoded_bytes().starts_with(STAGING_PREFIX.as_bytes());
        if gathers && File::open(entry.path())?.try_lock().is_ok() {
            shoal_teardown::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Copies a file, leaving holes where it is zero: a disk image is mostly nothing.
fn copy_sparse(source: &Path, target: &Path) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    const BLOCK: usize = 1 << 20;
    let mut from = File::open(source)?;
    let mut to = File::create(target)?;
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let mut block = vec![0; BLOCK];
    let mut position = 0;
    while position < length {
        let wanted = usize::try_from((length - position).min(BLOCK as u64)).unwrap_or(BLOCK);
        from.read_exact(&mut block[..wanted])?;
        if block[..wanted].iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(position))?;
            to.write_all(&block[..wanted])?;
        }
        position += wanted as u64;
    }
    // A file system that learns of its fullness late (NFS) says it here at the latest, and what is renamed is whole after a power cut, too.
    to.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small::Scarcity;
    use crate::step::digest_of_file;

    /// Tells this test's binary, started again in a shell with little room, where the output directory is; without it, the part for it does nothing.
    const OUT: &str = "SHOAL_OUTPUTS_TEST_OUT";
    /// Room for the earlier image, and for the first of two files.
    const ROOM_BYTES: u64 = 1 << 20;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn part_write_more_than_there_is_room_for() {
        let Some(out) = std::env::var_os(OUT).map(PathBuf::from) else { return };
        std::fs::write(out.join("earlier.img"), "an earlier image").unwrap();
        let sources = out.parent().unwrap().join("sources");
        let pending: Vec<_> = ["small.img", "large.img"]
            .map(|name| Pending { name: name.into(), source: sources.join(name), digest: digest_of_file(&sources.join(name)).unwrap() })
            .into();
        let error = write_files(&pending, &out).unwrap_err();
        println!("\nit said: {error:#}");
        assert_eq!(names(&out), ["earlier.img"]);
        assert_eq!(std::fs::read(out.join("earlier.img")).unwrap(), b"an earlier image");
    }

    #[test]
    fn a_full_file_system_is_named_with_what_is_needed_and_leaves_the_directory_as_it_was() {
        for scarcity in Scarcity::all() {
            let place = tempfile::tempdir().unwrap();
            let (out, sources) = (place.path().join("out"), place.path().join("sources"));
            std::fs::create_dir(&out).unwrap();
            std::fs::create_dir(&sources).unwrap();
            std::fs::write(sources.join("small.img"), vec![1; 1 << 16]).unwrap();
            std::fs::write(sources.join("large.img"), vec![1; 3 << 20]).unwrap();
            let mut command = scarcity.shell(
                &out,
                ROOM_BYTES,
                "exec \"$PROGRAM\" --exact outputs::gather::tests::part_write_more_than_there_is_room_for --nocapture",
            );
            let output = command.env(OUT, &out).env("PROGRAM", std::env::current_exe().unwrap()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{scarcity:?}: {said}");
            let words: &[&str] = match scarcity {
                Scarcity::FileSystem => &["no space left on the file system", "/out (", "4 MiB are needed", "--out", "out/large.img"],
                Scarcity::Files => &["cannot write", "out/large.img"],
            };
            for word in words {
                assert!(said.contains(word), "no {word:?} in: {said}");
            }
        }
    }

    #[test]
    fn what_a_killed_build_left_is_removed_and_what_a_running_one_gathers_is_not() {
        let out = tempfile::tempdir().unwrap();
        let left = out.path().join(".shoal-left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("half"), "x").unwrap();
        let (running, _lock) = stage(out.path()).unwrap();
        let (second, _second_lock) = stage(out.path()).unwrap();
        assert!(!left.exists() && running.path().exists() && second.path().exists());
    }

    #[test]
    fn a_sparse_copy_has_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; 3 << 20];
        bytes[0] = 1;
        bytes[(2 << 20) + 7] = 9;
        bytes.push(0);
        std::fs::write(dir.path().join("a"), &bytes).unwrap();
        copy_sparse(&dir.path().join("a"), &dir.path().join("b")).unwrap();
        assert!(std::fs::read(dir.path().join("b")).unwrap() == bytes);
    }
}
