//! Crates of a workspace, compiled by the pinned Rust toolchain: static, and the same bits wherever anything lies.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use shoal_cache::Digest;
use shoal_contract::boot::Arch;

use crate::cc::{CCompiler, write_script};
use crate::root::{MissingTool, ToolRoot, temporary_directory};
use crate::run::{self, RunError};
use crate::script::quoted;

/// Flags of every crate that goes into an image. Statically linked: an image need not have the C library for it, and PID 1 runs before there is one.
const RUSTFLAGS: &str = "-Ctarget-feature=+crt-static";

/// Version of how crates are compiled: part of the keys of steps that do.
const BUILD_VERSION: &str = "1";

/// The user's settings that say where crates come from and how to get there; they do not change what is compiled.
const NETWORK_VARIABLES: [&str; 12] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
];

/// Beginnings of the names of such variables that Cargo has.
const NETWORK_PREFIXES: [&str; 5] = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_SOURCE_"];

/// The Rust toolchain, and the C compilers that it links with.
#[derive(Debug, Clone)]
pub struct RustToolchain {
    root: ToolRoot,
    rustc: PathBuf,
    cargo: PathBuf,
    compilers: Vec<CCompiler>,
    cargo_home: PathBuf,
}

/// Binaries of a workspace to compile.
#[derive(Debug, Clone, Copy)]
pub struct Crates<'a> {
    /// The workspace: the directory with `Cargo.toml` and `Cargo.lock`.
    pub workspace: &'a Path,
    /// Cargo package and binary of each.
    pub binaries: &'a [(&'a str, &'a str)],
    /// What to compile for.
    pub arch: Arch,
    /// Cargo profile.
    pub profile: &'a str,
    /// Where Cargo keeps what it compiled. It may be kept between builds, and shared by several.
    pub target_dir: &'a Path,
}

/// Crates could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CratesError {
    /// A tool root lacks something.
    #[error(transparent)]
    Missing(#[from] MissingTool),
    /// Neither `CARGO_HOME` nor `HOME` says where downloaded crates are.
    #[error("cannot tell where Cargo keeps downloaded crates: set CARGO_HOME or HOME to an absolute path")]
    NoCargoHome,
    /// The target directory cannot be written.
    #[error("cannot write {}: see that the cache can be written, or name another one with --cache", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Crates are missing, and could not be downloaded.
    #[error("cannot get the crates that Cargo.lock names; if this was with --offline, run it once without")]
    Fetch(#[source] RunError),
    /// Cargo or the compiler failed.
    #[error("cannot compile the crates of {} for {arch}", workspace.display())]
    Build {
        /// The workspace.
        workspace: PathBuf,
        /// What was compiled for.
        arch: Arch,
        /// What it said.
        source: RunError,
    },
    /// Cargo describes the workspace in a way that is not understood.
    #[error("cannot understand what Cargo says about the workspace: take another version of the Rust toolchain in the recipe")]
    Metadata(#[source] serde_json::Error),
}

impl RustToolchain {
    /// Finds the toolchain in `rust`, a tool root with rustc, Cargo and the standard library for both architectures, and GCC for both in `cc`, which may be the
    /// same. Crates are downloaded to where the user's own Cargo keeps them, and from where its settings say.
    ///
    /// # Errors
    /// Something is missing.
    pub fn find(rust: &ToolRoot, cc: &ToolRoot) -> Result<Self, CratesError> {
        for arch in Arch::ALL {
            rust.path(&format!("usr/lib/rustlib/{}/lib", arch.rust_target()))?;
        }
        Ok(Self {
            root: rust.clone(),
            rustc: rust.program("rustc")?,
            cargo: rust.program("cargo")?,
            compilers: Arch::ALL.into_iter().map(|arch| CCompiler::find(cc, arch)).collect::<Result<_, _>>()?,
            cargo_home: cargo_home().ok_or(CratesError::NoCargoHome)?,
        })
    }

    /// Digest of the toolchain and of how it is used: part of the keys of steps that compile with it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let compilers = self.compilers.iter().map(|compiler| compiler.root().digest());
        let roots: Vec<_> = [self.root.digest()].into_iter().chain(compilers).collect();
        let fields = [b"rust".as_slice(), BUILD_VERSION.as_bytes()];
        Digest::of_fields(fields.into_iter().chain(roots.iter().map(|digest| digest.as_bytes().as_slice())))
    }

    /// What `rustc --version` says.
    ///
    /// # Errors
    /// It does not run.
    pub fn version(&self) -> Result<String, RunError> {
        let output = run::run(Command::new(&self.rustc).env_clear().arg("--version"), &mut |_| ())?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }

    /// Downloads the crates that the workspace's `Cargo.lock` names for the given architectures and for programs of the build itself; when `offline`, only sees that they
    /// are there.
    ///
    /// # Errors
    /// They cannot be got.
    pub fn fetch(&self, workspace: &Path, archs: &[Arch], offline: bool, report: &mut dyn FnMut(&str)) -> Result<(), CratesError> {
        let mut command = self.cargo_command("fetch", workspace);
        command.args(offline.then_some("--offline"));
        // Build scripts and macros run on the build machine.
        for target in archs.iter().copied().chain([Arch::Amd64]).collect::<BTreeSet<_>>() {
            command.args(["--target", target.rust_target()]);
        }
        run::run(&mut command, report).map(drop).map_err(CratesError::Fetch)
    }

    /// Compiles binaries, without network: [`RustToolchain::fetch`] comes first. Gives their paths in the order of the request.
    ///
    /// # Errors
    /// Crates are missing, or something does not compile.
    pub fn build(&self, crates: &Crates<'_>, report: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>, CratesError> {
        let written = |path: &Path, result: io::Result<()>| result.map_err(|source| CratesError::Write { path: path.to_owned(), source });
        written(crates.target_dir, fs::create_dir_all(crates.target_dir))?;
        let failed = |source| CratesError::Build { workspace: crates.workspace.to_owned(), arch: crates.arch, source };
        let target_dir = absolute(crates.target_dir);
        let maps = self.prefix_maps(crates, &target_dir)?;

        // Scripts of different builds have different names, because they may share the directory.
        let scripts = self.scripts(&maps);
        let texts = scripts.iter().map(|(_, text)| text.as_str());
        let scripts_dir = target_dir.join("scripts").join(Digest::of_fields(texts).to_string());
        written(&scripts_dir, fs::create_dir_all(&scripts_dir))?;
        for (name, text) in &scripts {
            let path = scripts_dir.join(name);
            written(&path, write_script(&path, text))?;
        }

        let mut command = self.cargo_command("build", crates.workspace);
        command.args(["--offline", "--profile", crates.profile, "--target", crates.arch.rust_target(), "--target-dir"]).arg(&target_dir);
        for (package, binary) in crates.binaries {
            command.args(["--package", package, "--bin", binary]);
        }
        command.env("RUSTC", scripts_dir.join("rustc"));
        for compiler in &self.compilers {
            let target = compiler.arch().rust_target().replace('-', "_");
            let script = scripts_dir.join(compiler_script(compiler));
            command.env(format!("CARGO_TARGET_{}_LINKER", target.to_uppercase()), &script);
            command.env(format!("CC_{target}"), &script).env(format!("AR_{target}"), compiler.ar());
        }
        run::run(&mut command, report).map_err(failed)?;
        let built = target_dir.join(crates.arch.rust_target()).join(crates.profile);
        Ok(crates.binaries.iter().map(|(_, binary)| built.join(binary)).collect())
    }

    /// Cargo with the user's settings for the network and nothing else of the user's environment.
    fn cargo_command(&self, subcommand: &str, workspace: &Path) -> Command {
        let mut command = Command::new(&self.cargo);
        command.arg(subcommand).arg("--locked").arg("--manifest-path").arg(absolute(workspace).join("Cargo.toml"));
        let is_for_network =
            |name: &str| NETWORK_VARIABLES.contains(&name) || NETWORK_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        command.env_clear().envs(env::vars_os().filter(|(name, _)| name == "HOME" || name.to_str().is_some_and(is_for_network)));
        command.env("CARGO_HOME", &self.cargo_home).env("PATH", self.root.search_path()).env("LC_ALL", "C").env("TZ", "UTC");
        command.envs(temporary_directory());
        // The rest is against settings of the user's Cargo that would change the bits: an empty variable wins over its file.
        command.env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS).env("RUSTC", &self.rustc);
        command.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "").env("CARGO_INCREMENTAL", "0");
        // Cargo reads settings from the directory it is started in and all above it. There are none in this one.
        command.current_dir("/");
        command
    }

    /// Directories of this machine and what they are called in compiled programs. The last one that fits counts.
    fn prefix_maps(&self, crates: &Crates<'_>, target_dir: &Path) -> Result<Vec<(String, String)>, CratesError> {
        let mut command = self.cargo_command("metadata", crates.workspace);
        command.args(["--offline", "--format-version", "1", "--filter-platform", crates.arch.rust_target()]);
        let output = run::run(&mut command, &mut |_| ()).map_err(CratesError::Fetch)?;
        let metadata: Metadata = serde_json::from_slice(&output).map_err(CratesError::Metadata)?;
        let workspace = absolute(crates.workspace);
        Ok(prefix_maps(&metadata, &self.cargo_home, &workspace, target_dir, self.root.root()))
    }

    /// Names and texts of the scripts that stand for the compilers.
    fn scripts(&self, maps: &[(String, String)]) -> Vec<(String, String)> {
        let remap: String = maps.iter().map(|(from, to)| format!(" {}", quoted(&format!("--remap-path-prefix={from}={to}")))).collect();
        // Here and not in the flags that Cargo knows: it hashes those into the names of symbols.
        let rustc = format!("#!/bin/sh\nexec {}{remap} \"$@\"\n", quoted(&self.rustc.to_string_lossy()));
        let compilers = self.compilers.iter().map(|compiler| (compiler_script(compiler), compiler.script(maps)));
        [("rustc".to_owned(), rustc)].into_iter().chain(compilers).collect()
    }
}

fn compiler_script(compiler: &CCompiler) -> String {
    format!("{}-gcc", compiler.arch().gnu_triplet())
}

/// What is used of `cargo metadata` (format version 1).
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    /// None: a package of the workspace.
    source: Option<String>,
    manifest_path: PathBuf,
}

fn prefix_maps(metadata: &Metadata, cargo_home: &Path, workspace: &Path, target_dir: &Path, rust: &Path) -> Vec<(String, String)> {
    // Cargo unpacks crates into a directory that is named after the registry or mirror they came from. Only what is in it is the same for everybody.
    let downloaded = metadata.packages.iter().filter(|package| package.source.is_some());
    let parents: BTreeSet<_> = downloaded.filter_map(|package| package.manifest_path.parent()?.parent()).collect();
    let crates = parents.into_iter().map(|parent| (parent, "/crates"));
    let all =
        [(cargo_home, "/cargo"), (rust, "/rust"), (workspace, "/workspace")].into_iter().chain(crates).chain([(target_dir, "/target")]);
    all.map(|(from, to)| (from.to_string_lossy().into_owned(), to.to_owned())).collect()
}

/// The path that compilers are given and may write into programs: with links resolved where they can be, as Cargo does.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// Where the user's Cargo keeps its settings and what it downloaded.
fn cargo_home() -> Option<PathBuf> {
    let directory = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    directory("CARGO_HOME").or_else(|| directory("HOME").map(|home| home.join(".cargo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloaded_crates_have_one_name_whatever_mirror_they_came_from() {
        let metadata = |registry: &str| -> Metadata {
            let json = format!(
                r#"{{"packages":[{{"source":null,"manifest_path":"/w/a/Cargo.toml"}},
                {{"source":"registry+x","manifest_path":"/h/.cargo/registry/src/{registry}/zbus-6.0.0/Cargo.toml"}}]}}"#
            );
            serde_json::from_str(&json).unwrap()
        };
        let renamed = |registry: &str| {
            let (home, workspace, target, rust) = (Path::new("/h/.cargo"), Path::new("/w"), Path::new("/w/target"), Path::new("/r"));
            let maps = prefix_maps(&metadata(registry), home, workspace, target, rust);
            let rename = |path: &str| {
                let (from, to) = maps.iter().rev().find(|(from, _)| path.starts_with(from)).unwrap();
                format!("{to}{}", &path[from.len()..])
            };
            [
                rename(&format!("/h/.cargo/registry/src/{registry}/zbus-6.0.0/src/lib.rs")),
                rename("/h/.cargo/git/x"),
                rename("/w/a/src/lib.rs"),
                rename("/w/target/build/out"),
            ]
        };
        let expected = ["/crates/zbus-6.0.0/src/lib.rs", "/cargo/git/x", "/workspace/a/src/lib.rs", "/target/build/out"];
        assert_eq!(renamed("one-0123"), expected);
        assert_eq!(renamed("another-4567"), expected);
    }
}
