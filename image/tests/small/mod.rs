//! Little room: a file system that is soon full, and files that may not grow.

#![allow(dead_code, reason = "every test program compiles it, and uses a part")]

use std::path::Path;
use std::process::{Command, Stdio};

/// How room is made scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scarcity {
    /// A directory is a file system of its own: writing ends in ENOSPC. In a mount namespace, so it is gone when the command ends.
    FileSystem,
    /// No file may be larger: writing ends in EFBIG. No message tells of a full file system then, and nothing half-written may be left all the same. It needs
    /// no namespaces, which not every machine lets its users have.
    Files,
}

impl Scarcity {
    /// Those that this machine can do.
    pub(crate) fn all() -> Vec<Self> {
        let all = [Self::FileSystem, Self::Files];
        all.into_iter().filter(|scarcity| *scarcity == Self::Files || namespace().is_some()).collect()
    }

    /// A file system of its own, or a word to the reader of the test's output that it proves nothing here.
    pub(crate) fn file_system() -> Option<Self> {
        let found = namespace().map(|_| Self::FileSystem);
        if found.is_none() {
            eprintln!("not tested: this machine does not let this user mount a file system in a namespace");
        }
        found
    }

    /// A shell that runs `script` with `bytes` of room in `directory`, or in each file.
    pub(crate) fn shell(self, directory: &Path, bytes: u64, script: &str) -> Command {
        /// Unit of `ulimit -f` (POSIX).
        const UNIT: u64 = 512;
        match self {
            Self::FileSystem => {
                let mut command = Command::new("unshare");
                command.args(namespace().expect("it was asked for")).args(["/bin/sh", "-c"]);
                command.arg(format!("mount -t tmpfs -o size={bytes} none \"$0\" || exit 97\n{script}")).arg(directory);
                command
            }
            Self::Files => {
                let mut command = Command::new("/bin/sh");
                // Without the trap, a program that writes too much is killed.
                command.args(["-c", &format!("trap '' XFSZ\nulimit -f {}\n{script}", bytes / UNIT)]);
                command
            }
        }
    }
}

/// Options of unshare(1) for a namespace in which we may mount.
fn namespace() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];
    ways.into_iter().find(|options| {
        let mut command = Command::new("unshare");
        command.args(*options).args(["mount", "-t", "tmpfs", "none", "/mnt"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}
