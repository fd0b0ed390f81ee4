//! Loading kernel modules: by name, and by what drives the devices that are there or appear.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::system::finit_module;
use shoal_contract::MODULE_INDEX_NAME;
use shoal_contract::modules::Index;
use shoal_init_core::modules::{Catalogue, Load};

use crate::say;
use crate::uevent::{Next, Uevents};

/// `MODULE_INIT_COMPRESSED_FILE` (linux/module.h): the kernel unpacks `.ko.xz` itself.
const COMPRESSED_FILE: std::ffi::c_int = 4;
/// Where modules lie, in the initramfs and in the root.
const MODULES: &str = "/usr/lib/modules";
/// Depth of `/sys/devices` that is looked at. The deepest buses (USB hubs behind PCI bridges) stay well below it.
const DEVICE_DEPTH_LIMIT: usize = 48;

/// The modules of one file system.
#[derive(Debug)]
pub(crate) struct Modules {
    folder: PathBuf,
    catalogue: Catalogue,
    /// In the kernel, or tried and refused: a driver that found no hardware is not tried again for each device.
    settled: BTreeSet<String>,
}

/// The list of modules cannot be read; without it nothing can be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModulesError {
    /// The file is missing.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file makes no sense.
    #[error("cannot understand {}", .path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: shoal_contract::modules::IndexError,
    },
}

/// A module that the kernel refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its name.
    pub(crate) name: String,
    /// Why.
    pub(crate) error: std::io::Error,
}

impl Modules {
    /// Reads the index of a kernel release.
    pub(crate) fn open(release: &str) -> Result<Self, ModulesError> {
        let folder = Path::new(MODULES).join(release);
        let path = folder.join(MODULE_INDEX_NAME);
        let text = std::fs::read_to_string(&path).map_err(|source| ModulesError::Read { path: path.clone(), source })?;
        let index = Index::parse(&text).map_err(|source| ModulesError::Parse { path, source })?;
        Ok(Self { folder, catalogue: Catalogue::new(index), settled: present() })
    }

    /// Whether the image has what a wish asks for.
    pub(crate) fn knows(&self, wish: &str) -> bool {
        self.catalogue.knows(wish)
    }

    /// Loads what fulfils a wish, and what that needs. Gives the modules that the kernel refused; a driver without its hardware is none.
    pub(crate) fn load(&mut self, wish: &str) -> Vec<Refused> {
        let mut refused = Vec::new();
        for load in self.catalogue.plan(wish, &self.settled) {
            let outcome = self.insert(&load);
            self.settled.insert(load.name.clone());
            match outcome {
                Ok(()) | Err(Errno::EXIST | Errno::NODEV) => {}
                Err(error) => refused.push(Refused { name: load.name, error: error.into() }),
            }
        }
        refused
    }

    fn insert(&self, load: &Load) -> Result<(), Errno> {
        let path = self.folder.join(&load.path);
        let file = File::open(&path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let compressed = path.extension().is_some_and(|extension| extension != "ko");
        finit_module(&file, c"", if compressed { COMPRESSED_FILE } else { 0 })
    }

    /// Loads the drivers of all devices that are there.
    pub(crate) fn coldplug(&mut self) -> Vec<Refused> {
        let mut aliases = BTreeSet::new();
        collect(Path::new("/sys/devices"), 0, &mut aliases);
        aliases.iter().flat_map(|alias| self.load(alias)).collect()
    }

    /// Loads drivers for devices as they appear, on a thread of its own: a driver's probe may take seconds.
    pub(crate) fn follow(mut self, events: Uevents) -> std::io::Result<()> {
        std::thread::Builder::new().name("modules".into()).spawn(move || {
            loop {
                let refused = match events.next(None) {
                    Ok(Next::Event(event)) if event.action == "add" => event.modalias.map(|alias| self.load(&alias)).unwrap_or_default(),
                    Ok(Next::Lost) => self.coldplug(),
                    Ok(_) => continue,
                    Err(error) => {
                        say::line(&format!("devices that are plugged in from now on get no driver: {error}"));
                        return;
                    }
                };
                for one in refused {
                    say::line(&format!("module {} was refused: {}", one.name, one.error));
                }
            }
        })?;
        Ok(())
    }
}

/// Names of the modules in the kernel.
fn present() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Gathers all `modalias` files below a folder of sysfs, without following links.
fn collect(folder: &Path, depth: usize, aliases: &mut BTreeSet<String>) {
    if depth > DEVICE_DEPTH_LIMIT {
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            collect(&entry.path(), depth + 1, aliases);
        } else if kind.is_file() && entry.file_name() == "modalias" {
            // A device may vanish between the listing and the reading.
            if let Ok(text) = std::fs::read_to_string(entry.path()) {
                let alias = text.trim_end();
                if !alias.is_empty() {
                    aliases.insert(alias.to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modaliases_of_nested_devices_are_gathered_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("pci0000:00/0000:00:01.0");
        std::fs::create_dir_all(&device).unwrap();
        std::fs::write(device.join("modalias"), "pci:v1\n").unwrap();
        std::fs::write(folder.path().join("modalias"), "\n").unwrap();
        std::os::unix::fs::symlink(folder.path(), device.join("subsystem")).unwrap();
        let mut aliases = BTreeSet::new();
        collect(folder.path(), 0, &mut aliases);
        assert_eq!(aliases.into_iter().collect::<Vec<_>>(), ["pci:v1"]);
    }
}
