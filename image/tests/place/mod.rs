//! A directory with a recipe, a cache and an output directory, and the `shoal` command in it.

#![allow(dead_code, reason = "every test program compiles it, and uses a part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::archive::{self, ROOT, Release};
use crate::loopback::Server;

/// The least that is a recipe; its archive is the made-up one.
pub(crate) const RECIPE: &str = r#"name = "tiny"
version = "1.0.0"
epoch = 2026-11-23T00:00:00Z
packages = ["crun"]
[archives.debian]
origin = "debian"
suite = "trixie"
keys = ["archive.asc"]
[kernel]
package = { amd64 = "linux-image", arm64 = "linux-image" }
[loaders]
uefi = "systemd-boot-efi"
bios = "grub-pc-bin"
"#;

/// What builds must leave alone.
const EARLIER: &str = "out/tiny-0.9.0-amd64.img";

/// The directory, and the server that its archive is on.
#[derive(Debug)]
pub(crate) struct Place {
    directory: TempDir,
    pub(crate) server: Server,
}

impl Place {
    /// A place with [`RECIPE`], not locked, and something built earlier.
    pub(crate) fn new() -> Self {
        let place = Self { directory: TempDir::new().expect("a temporary directory can be made"), server: Server::new() };
        place.server.serve(archive::files(Release::Good));
        fs::create_dir(place.path("out")).expect("it is empty");
        place.write(EARLIER, b"an earlier image");
        place.write("archive.asc", &archive::public_key());
        place.write("tiny.toml", RECIPE.as_bytes());
        place
    }

    /// The same, locked.
    pub(crate) fn locked() -> Self {
        Self::new().lock()
    }

    /// Locks the recipe.
    pub(crate) fn lock(self) -> Self {
        let place = self;
        let output = place.run(&["lock", "tiny.toml"]);
        assert!(output.status.success(), "{}", said(&output));
        place.server.take_asked();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("the place can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("it was written")
    }

    /// Replaces text that must be there.
    pub(crate) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert!(text.contains(old), "{name} has no {old:?}:\n{text}");
        self.write(name, text.replacen(old, new, 1).as_bytes());
    }

    /// Runs `shoal` here to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("shoal can be started")
    }

    /// `shoal` here: with a cache of its own, the made-up archive, and no proxy.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
        command.args(arguments).current_dir(self.directory.path()).env("SHOAL_CACHE", self.path("cache")).env("NO_PROXY", "127.0.0.1");
        for variable in ["http_proxy", "no_proxy"] {
            command.env_remove(variable);
        }
        // Not every command asks archives.
        if matches!(arguments.first(), Some(&("build" | "lock"))) {
            command.arg("--mirror").arg(format!("debian={}", self.server.uri(ROOT)));
        }
        command
    }

    /// Runs `shoal`, which must refuse and leave everything outside the cache as it was. Gives what it said.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str]) -> String {
        let before = self.everything();
        let output = self.run(arguments);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let after = self.everything();
        let changed: Vec<&PathBuf> = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
        assert!(changed.is_empty(), "{arguments:?} changed {changed:?}, and said:\n{text}");
        text
    }

    /// All files and directories but the cache's; directories have no bytes.
    pub(crate) fn everything(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        collect(self.directory.path(), &self.path("cache"), &mut found);
        found
    }
}

fn collect(directory: &Path, except: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    for entry in fs::read_dir(directory).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path == except {
            continue;
        }
        if path.is_dir() {
            collect(&path, except, found);
            found.insert(path, None);
        } else {
            let bytes = fs::read(&path).expect("it can be read");
            found.insert(path, Some(bytes));
        }
    }
}

/// Both streams of a program.
pub(crate) fn said(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}
