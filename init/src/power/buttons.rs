//! The power button: KEY_POWER of any input device (linux/input-event-codes.h).
//!
//! ACPI's button and arm64's gpio-keys both come as evdev devices, which may appear at any time; inotify(7) tells of them.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use shoal_init_core::shutdown::Cause;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

/// Where input devices appear.
pub(crate) const DIRECTORY: &str = "/dev/input";

/// Size of `struct input_event` on 64-bit machines (linux/input.h): two 8-byte times, `__u16 type`, `__u16 code`, `__s32 value`.
const EVENT_BYTES: usize = 24;

const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;
const PRESSED: i32 = 1;

/// Watches for presses of the power button until nobody wants to hear of them.
pub(crate) async fn watch(directory: PathBuf, causes: mpsc::Sender<Cause>) -> io::Result<()> {
    // devtmpfs makes it with the first device; a watch needs it now.
    std::fs::create_dir_all(&directory)?;
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let interest = inotify::WatchFlags::CREATE | inotify::WatchFlags::DELETE | inotify::WatchFlags::ATTRIB;
    inotify::add_watch(&watch, &directory, interest)?;
    let watch = crate::sys::watch(watch, Interest::READABLE)?;
    let mut open = BTreeSet::new();
    let (gone, mut closed) = mpsc::unbounded_channel();
    loop {
        for path in devices(&directory)? {
            if !open.contains(&path) {
                // A device whose access bits are not set yet is tried again when they are (ATTRIB).
                if let Ok(device) = OpenOptions::new().read(true).custom_flags(libc_nonblock()).open(&path) {
                    open.insert(path.clone());
                    tokio::spawn(listen(device, path, causes.clone(), gone.clone()));
                }
            }
        }
        tokio::select! {
            changed = drain(&watch) => changed?,
            Some(path) = closed.recv() => { open.remove(&path); }
        }
    }
}

fn libc_nonblock() -> i32 {
    // The bits of O_NONBLOCK fit: it is 0o4000 on every architecture that Linux has evdev on.
    rustix::fs::OFlags::NONBLOCK.bits().cast_signed()
}

fn devices(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b"event") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Waits until something has changed, and forgets what: the directory is read anew.
async fn drain(watch: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let mut ready = watch.readable().await?;
        if let Ok(read) = ready.try_io(|watch| Ok(rustix::io::read(watch, &mut buffer)?)) {
            return read.map(drop);
        }
    }
}

async fn listen(device: File, path: PathBuf, causes: mpsc::Sender<Cause>, gone: mpsc::UnboundedSender<PathBuf>) {
    if let Ok(device) = crate::sys::watch(device.into(), Interest::READABLE) {
        // Ends with an error when the device is unplugged.
        drop(pass_presses(&device, &causes).await);
    }
    drop(gone.send(path));
}

async fn pass_presses(device: &AsyncFd<OwnedFd>, causes: &mpsc::Sender<Cause>) -> io::Result<()> {
    let mut buffer = [0; 64 * EVENT_BYTES];
    loop {
        let mut ready = device.readable().await?;
        let Ok(read) = ready.try_io(|device| Ok(rustix::io::read(device, &mut buffer)?)) else { continue };
        let count = read?;
        if count == 0 {
            return Ok(());
        }
        for _ in buffer[..count].chunks_exact(EVENT_BYTES).filter(|event| is_press(event)) {
            if causes.send(Cause::PowerButton).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Whether the bytes of one `struct input_event` say that the power button went down.
fn is_press(event: &[u8]) -> bool {
    let kind = u16::from_ne_bytes([event[16], event[17]]);
    let code = u16::from_ne_bytes([event[18], event[19]]);
    let value = i32::from_ne_bytes([event[20], event[21], event[22], event[23]]);
    (kind, code, value) == (EV_KEY, KEY_POWER, PRESSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        [&[7; 16][..], &kind.to_ne_bytes(), &code.to_ne_bytes(), &value.to_ne_bytes()].concat()
    }

    #[test]
    fn only_pressing_the_power_key_counts() {
        assert!(is_press(&event(EV_KEY, KEY_POWER, 1)));
        for other in [event(EV_KEY, KEY_POWER, 0), event(EV_KEY, KEY_POWER, 2), event(EV_KEY, 30, 1), event(0, KEY_POWER, 1)] {
            assert!(!is_press(&other));
        }
    }
}
