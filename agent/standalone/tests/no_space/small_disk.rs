//! A file system with little room, which outlives the members on it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::harness::folder;

/// Options of unshare(1) for a namespace in which we may mount, and those of nsenter(1) for entering it.
const WAYS: [(&[&str], &[&str]); 2] =
    [(&["--user", "--map-root-user", "--mount"], &["--user", "--preserve-credentials", "--mount"]), (&["--mount"], &["--mount"])];

/// Mounts its first argument, says so, and keeps the namespace until its input ends.
const HOLD: &str = r#"mount -t tmpfs -o "size=$1" none "$0" && echo mounted && exec cat"#;

/// A file system in memory. Only processes that enter its namespace see it; it is gone with the test.
pub(crate) struct SmallDisk {
    holder: Child,
    enter: &'static [&'static str],
    folder: TempDir,
}

impl SmallDisk {
    /// With room for so many bytes. `None`, and a word to the reader of the test's output, where users may not mount.
    pub(crate) fn mount(bytes: u64) -> Option<Self> {
        let folder = folder();
        for (options, enter) in WAYS {
            let mut hold = Command::new("unshare");
            hold.args(options).args(["/bin/sh", "-c", HOLD]).arg(folder.path()).arg(bytes.to_string());
            let Ok(mut holder) = hold.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else { continue };
            let mut line = String::new();
            let said = BufReader::new(holder.stdout.take().expect("it is piped")).read_line(&mut line);
            if said.is_ok() && line == "mounted\n" {
                return Some(Self { holder, enter, folder });
            }
            let _ = holder.wait();
        }
        eprintln!("not tested: this machine does not let this user mount a file system in a namespace");
        None
    }

    /// Where it is for a process inside.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `program`, inside.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.holder.id())).args(self.enter).arg(program).stdin(Stdio::null());
        command
    }

    /// The file that takes the room, from outside.
    fn brim(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.path().strip_prefix("/").expect("it is absolute")).join("brim")
    }

    /// Takes all room that is left.
    pub(crate) fn fill(&self) {
        let mut brim = File::create(self.brim()).expect("the directory is there");
        // Pages, down to the last.
        while brim.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.brim()).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
