//! One test's world: a directory, networks, and the right to run boxes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::{FlockOperation, flock};
use tokio::sync::OnceCell;

use crate::accelerator::Accelerator;
use crate::disk::{Disk, DiskError};
use crate::machine::Arch;
use crate::qemu::Qemu;
use crate::slots;
use crate::switch::{Switch, SwitchError};

/// Says where the labs are, instead of the target directory.
const DIRECTORY_VARIABLE: &str = "SHOAL_LAB_DIR";

/// Set to anything, it keeps the directories of tests that pass, too.
const KEEP_VARIABLE: &str = "SHOAL_LAB_KEEP";

/// Held by a live lab; a directory whose file can be locked is a failure of the past.
const LOCK_NAME: &str = "lock";

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The directory cannot be made.
    #[error("cannot make the lab's directory {}: set {DIRECTORY_VARIABLE} to a place with space", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A network cannot be started.
    #[error("cannot start a network of the lab")]
    Network(#[from] SwitchError),
}

/// One test's world. Clones are handles on the same; it ends with the last of them and the last box.
///
/// When it ends without [`Lab::passed`], as when the test panics, its directory stays and its place is printed. The next run of the
/// same test removes it.
#[derive(Debug, Clone)]
pub struct Lab(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    root: PathBuf,
    directory: PathBuf,
    qemu: Qemu,
    boxes: AtomicUsize,
    captures: AtomicBool,
    host: OnceLock<PathBuf>,
    slots: OnceCell<Vec<File>>,
    networks: Mutex<HashMap<String, Switch>>,
    machines: AtomicU8,
    passed: AtomicBool,
    _lock: File,
}

impl Lab {
    /// A lab for the test of this name, in `$SHOAL_LAB_DIR`, or in the target directory that the test was built in.
    pub fn new(name: &str, qemu: Qemu) -> Result<Self, LabError> {
        Self::within(&default_root(), name, qemu)
    }

    /// A lab in a directory of the caller's.
    pub fn within(root: &Path, name: &str, qemu: Qemu) -> Result<Self, LabError> {
        let failed = |source| LabError::Directory { path: root.into(), source };
        fs::create_dir_all(root).map_err(failed)?;
        // QEMU and qemu-img resolve relative paths each in their own way.
        let root = fs::canonicalize(root).map_err(failed)?;
        remove_old(&root, name);
        let directory = tempfile::Builder::new().prefix(&prefix(name)).tempdir_in(&root).map_err(failed)?.keep();
        let lock = File::create(directory.join(LOCK_NAME)).map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            root,
            directory,
            qemu,
            boxes: AtomicUsize::new(1),
            captures: AtomicBool::new(true),
            host: OnceLock::new(),
            slots: OnceCell::new(),
            networks: Mutex::default(),
            machines: AtomicU8::new(0),
            passed: AtomicBool::new(false),
            _lock: lock,
        })))
    }

    /// How many boxes the test will run at once. Say it before the first one is started: the lab waits then until so many may run on
    /// this machine, over all tests.
    pub fn boxes(&self, boxes: usize) {
        self.0.boxes.store(boxes, Ordering::Relaxed);
    }

    /// Networks that are started from now on are not captured: for boxes that run for longer than a test.
    pub fn without_captures(&self) {
        self.0.captures.store(false, Ordering::Relaxed);
    }

    /// What was found out about this machine is kept in this directory, which is there, and not beside the lab. Say it before the first box is started, once.
    pub fn host_notes_in(&self, directory: PathBuf) {
        let _ = self.0.host.set(directory);
    }

    /// Logs, disks and captures are here.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// The tools.
    pub fn qemu(&self) -> &Qemu {
        &self.0.qemu
    }

    /// A new raw disk of zeros in the lab's directory.
    pub fn disk(&self, name: &str, bytes: u64) -> Result<Disk, DiskError> {
        Disk::create(self.0.directory.join(name), bytes)
    }

    /// A new raw disk in the lab's directory with the content of an image.
    pub fn disk_from(&self, name: &str, image: &Path) -> Result<Disk, DiskError> {
        Disk::copy_of(image, self.0.directory.join(name))
    }

    /// The network of this name: a switch, started when it is first asked for, whose capture is `NAME.pcap`. Its chance comes from the
    /// names of test and network, so a run can be repeated.
    pub fn network(&self, name: &str) -> Result<Switch, LabError> {
        let mut networks = self.0.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = networks.get(name) {
            return Ok(network.clone());
        }
        let seed = seed(&[&self.0.name, name]);
        let capture = self.0.captures.load(Ordering::Relaxed).then(|| self.0.directory.join(format!("{name}.pcap")));
        let network = Switch::start(seed, capture.as_deref().unwrap_or(Path::new("/dev/null")))?;
        networks.insert(name.to_owned(), network.clone());
        Ok(network)
    }

    /// The test has passed: its directory goes away with the lab.
    pub fn passed(&self) {
        self.0.passed.store(true, Ordering::Relaxed);
    }

    /// Waits until this lab's boxes may run.
    pub(crate) async fn may_run(&self) -> io::Result<()> {
        let boxes = self.0.boxes.load(Ordering::Relaxed);
        self.0.slots.get_or_try_init(|| slots::acquire(&self.0.root, slots::total(), boxes)).await.map(drop)
    }

    pub(crate) async fn accelerator(&self, arch: Arch) -> Accelerator {
        Accelerator::choose(&self.0.qemu, arch, self.0.host.get().unwrap_or(&self.0.root)).await
    }

    /// A hardware address that no other box of the lab has: QEMU's prefix, the box, the card.
    pub(crate) fn next_macs(&self) -> impl FnMut(usize) -> [u8; 6] + use<> {
        let number = self.0.machines.fetch_add(1, Ordering::Relaxed);
        move |card| [0x52, 0x54, 0x00, 0x00, number, card as u8]
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let passed = *self.passed.get_mut() && !std::thread::panicking();
        if passed && std::env::var_os(KEEP_VARIABLE).is_none() {
            if let Err(error) = fs::remove_dir_all(&self.directory) {
                eprintln!("{}: cannot remove {}: {error}", self.name, self.directory.display());
            }
        } else {
            eprintln!("{}: serial logs, disks and captures are in {}", self.name, self.directory.display());
        }
    }
}

/// The target directory is known by Cargo's mark in it.
fn default_root() -> PathBuf {
    if let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE) {
        return directory.into();
    }
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").exists());
    target.map_or_else(|| std::env::temp_dir().join("shoal-lab"), |target| target.join("tmp/lab"))
}

fn prefix(name: &str) -> String {
    format!("{}.", name.replace('/', "-"))
}

/// Removes what earlier failures of this test have left; what cannot be removed stays.
fn remove_old(root: &Path, name: &str) {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix(name))) {
        let dead =
            File::open(entry.path().join(LOCK_NAME)).is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok());
        if dead {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// FNV-1a: the same on every machine, which the standard library's hasher does not promise.
fn seed(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(root: &Path, name: &str) -> Lab {
        let qemu = Qemu {
            x86_64: PathBuf::new(),
            aarch64: PathBuf::new(),
            img: PathBuf::new(),
            module_dir: PathBuf::new(),
            data_dirs: Vec::new(),
            ovmf_code: PathBuf::new(),
            ovmf_vars: PathBuf::new(),
            aavmf_code: PathBuf::new(),
            aavmf_vars: PathBuf::new(),
        };
        Lab::within(root, name, qemu).unwrap()
    }

    #[test]
    fn a_failure_keeps_its_directory_until_the_test_runs_again() {
        let root = tempfile::tempdir().unwrap();
        let failed = lab(root.path(), "test").directory().to_owned();
        assert!(failed.exists());
        let other = lab(root.path(), "test.other");
        let again = lab(root.path(), "test");
        let beside = lab(root.path(), "test");
        assert!(!failed.exists(), "the old one is gone");
        assert!(again.directory().exists() && beside.directory().exists(), "a live one stays");
        assert!(other.directory().exists());
        again.passed();
        let passed = again.directory().to_owned();
        drop(again);
        assert!(!passed.exists());
    }

    #[test]
    fn no_two_cards_of_a_lab_have_one_address() {
        let root = tempfile::tempdir().unwrap();
        let lab = lab(root.path(), "test");
        let (mut first, mut second) = (lab.next_macs(), lab.next_macs());
        let mut macs = vec![first(0), first(1), second(0), second(1)];
        macs.dedup();
        assert_eq!(macs.len(), 4);
        lab.passed();
    }

    #[tokio::test]
    async fn a_network_is_one_switch_and_its_capture_is_a_file() {
        let root = tempfile::tempdir().unwrap();
        let lab = lab(root.path(), "test");
        let first = lab.network("lan").unwrap().plug().await.unwrap();
        let second = lab.network("lan").unwrap().plug().await.unwrap();
        assert_ne!(first.port(), second.port());
        assert!(lab.directory().join("lan.pcap").exists());
        lab.passed();
    }
}
