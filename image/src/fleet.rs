//! `shoal fleet`: the operator's fleet files.
//!
//! A fleet file is a key, and kept like one: mode 0600, in a directory of the user's, written to the medium before it has its name, and never written over by a
//! new one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use shoal_trust::fleet::FleetName;
use shoal_trust::fleet_file::{FLEET_FILE_BYTES_MAX, FleetFile, FleetRandomness};
use zeroize::Zeroizing;

use crate::cli::{FleetArgs, FleetCommand};

/// What fleet files are called.
const EXTENSION: &str = "fleet";
/// The fleet of somebody who has named none.
const DEFAULT: &str = "default";

/// `shoal fleet`.
///
/// # Errors
/// If a file cannot be read or written, is no fleet file, or is there already.
pub fn run(args: &FleetArgs) -> Result<()> {
    match &args.command {
        FleetCommand::New { name, file } => {
            let path = file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.{EXTENSION}")));
            let fleet = create(name, &path)?;
            println!("made the fleet {} in {}", fleet.id(), path.display());
            println!("Who has this file administers every cluster of the fleet, and nobody else can: keep it secret, and keep a copy.");
            println!("next: shoal stamp out/*.img --fleet {}", path.display());
        }
        FleetCommand::Show { file } => {
            let path = file.clone().map_or_else(default_path, Ok)?;
            let fleet = read(&path)?;
            println!("{}: the fleet {} ({})", path.display(), fleet.name().as_str(), fleet.id());
            println!("operator's key: {}", fleet.operator().public().to_text());
            println!("join secret: number {}", fleet.generation());
            match fleet.clusters() {
                [] => println!("clusters: none seen yet"),
                clusters => clusters.iter().for_each(|cluster| println!("cluster: {}", cluster.cluster)),
            }
        }
    }
    Ok(())
}

/// The user's default fleet, made now if there is none yet; with its path, and whether it was made.
///
/// # Errors
/// If it cannot be read or made.
pub fn default() -> Result<(FleetFile, PathBuf, bool)> {
    let path = default_path()?;
    if !path.exists() {
        let directory = path.parent().context("a fleet file lies in a directory")?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        match create(DEFAULT, &path) {
            Ok(fleet) => return Ok((fleet, path, true)),
            // Somebody else was quicker.
            Err(_) if path.exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok((read(&path)?, path, false))
}

/// The fleet with this name, or in this file; without one, the only one that there is: in the user's directory of fleets, or where the user is. With its path.
///
/// # Errors
/// If there is none, or more than one, or it cannot be read.
pub fn choose(named: Option<&str>) -> Result<(FleetFile, PathBuf)> {
    if let Some(path) = named.filter(|name| FleetName::new(name).is_none()) {
        return Ok((read(Path::new(path))?, path.into()));
    }
    // One directory may be the other.
    let mut found = BTreeSet::new();
    for directory in [directory().ok(), Some(PathBuf::from("."))].into_iter().flatten() {
        let Ok(entries) = std::fs::read_dir(directory) else { continue };
        let fleets = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| {
            let is_named = named.is_none_or(|name| path.file_stem().is_some_and(|stem| stem == name));
            is_named && path.extension().is_some_and(|extension| extension == EXTENSION)
        });
        found.extend(fleets.map(|path| path.canonicalize().unwrap_or(path)));
    }
    let found: Vec<PathBuf> = found.into_iter().collect();
    match (found.as_slice(), named) {
        ([path], _) => Ok((read(path)?, path.clone())),
        ([], Some(name)) => bail!("there is no {name}.{EXTENSION} here or in ~/.config/shoal; name the fleet's file with --fleet FILE"),
        ([], None) => {
            bail!("there is no fleet here or in ~/.config/shoal; name the file that the image was stamped with, with --fleet FILE")
        }
        (paths, _) => {
            let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            bail!("there is more than one fleet; name the one that the image was stamped with, with --fleet FILE: {}", paths.join(", "))
        }
    }
}

/// Where the default fleet lies.
fn default_path() -> Result<PathBuf> {
    Ok(directory()?.join(format!("{DEFAULT}.{EXTENSION}")))
}

/// Where the user's fleets lie: `$XDG_CONFIG_HOME/shoal`, or `~/.config/shoal` (XDG Base Directory Specification).
fn directory() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let directory = directory.context("neither HOME nor XDG_CONFIG_HOME is set; name a fleet file with --fleet FILE")?;
    Ok(directory.join("shoal"))
}

/// Makes a fleet, and a file for it that was not there.
pub(crate) fn create(name: &str, path: &Path) -> Result<FleetFile> {
    let name = FleetName::new(name).with_context(|| {
        format!("{name:?} is no name of a fleet; write 1 to {} of a-z, 0-9 and -, a letter first", FleetName::CHARACTERS_MAX)
    })?;
    let mut random = Zeroizing::new([0; 80]);
    let filled =
        rustix::rand::getrandom(&mut *random, rustix::rand::GetRandomFlags::empty()).context("the kernel gives no random numbers")?;
    if filled != random.len() {
        bail!("the kernel gave too few random numbers; try again");
    }
    let part = |from: usize| -> [u8; 32] { random[from..from + 32].try_into().expect("32 bytes are 32 bytes") };
    let mut id = [0; 16];
    id.copy_from_slice(&random[..16]);
    let fleet = FleetFile::new(name, FleetRandomness { id, operator: part(16), join: part(48) })?;
    write_new(path, fleet.print().as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(fleet)
}

/// Writes a file that nobody else reads. One that is there stays as it is: it may be the only copy of a key.
fn write_new(path: &Path, contents: &[u8]) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut staged = tempfile::Builder::new().prefix(".fleet-").permissions(PermissionsExt::from_mode(0o600)).tempfile_in(directory)?;
    staged.write_all(contents)?;
    staged.as_file().sync_all()?;
    staged.persist_noclobber(path).map_err(|error| match error.error.kind() {
        ErrorKind::AlreadyExists => anyhow::anyhow!("it is there already, and may be the only copy of its key; choose another name"),
        _ => error.error.into(),
    })?;
    Ok(File::open(directory)?.sync_all()?)
}

/// Reads a fleet file, which nobody else may be able to read.
///
/// # Errors
/// If it is not there, is none, or others can read it.
pub fn read(path: &Path) -> Result<FleetFile> {
    let advice = || format!("cannot use the fleet file {}", path.display());
    let file = File::open(path).map_err(|error| {
        let missing = error.kind() == ErrorKind::NotFound;
        let error = anyhow::Error::from(error);
        if missing { error.context("make one with `shoal fleet new NAME`") } else { error }
    });
    let file = file.with_context(advice)?;
    let metadata = file.metadata().with_context(advice)?;
    if !metadata.is_file() {
        bail!("{} is no file", path.display());
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!("{} can be read by others (mode {mode:04o}), and whoever reads it administers the fleet; run: chmod 600 {0}", path.display());
    }
    let mut text = Zeroizing::new(String::with_capacity(FLEET_FILE_BYTES_MAX + 1));
    std::io::Read::read_to_string(&mut std::io::Read::take(file, FLEET_FILE_BYTES_MAX as u64 + 1), &mut text).with_context(advice)?;
    FleetFile::parse(&text).with_context(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_read_back_and_its_file_is_nobody_elses() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("site1.fleet");
        let made = create("site1", &path).unwrap();
        assert_eq!(read(&path).unwrap(), made);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(create("site1", &place.path().join("other.fleet")).unwrap().id(), made.id(), "two fleets are two");
    }

    #[test]
    fn a_fleet_file_is_never_written_over() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("site1.fleet");
        let made = create("site1", &path).unwrap();
        let error = format!("{:#}", create("site1", &path).unwrap_err());
        assert!(error.contains("it is there already"), "{error}");
        assert_eq!(read(&path).unwrap(), made);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_others_can_read_is_refused_with_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("site1.fleet");
        create("site1", &path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("chmod 600") && error.contains("0640"), "{error}");
        let error = format!("{:#}", read(&place.path().join("missing.fleet")).unwrap_err());
        assert!(error.contains("shoal fleet new"), "{error}");
        assert!(create("Site 1", &place.path().join("x.fleet")).is_err());
    }
}
