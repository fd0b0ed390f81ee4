//! The pinned Go toolchain, Go modules, and static Go programs.
//!
//! Go's toolchain is itself a Go module. An older Go, from Debian, fetches it from where the user's own settings say, its hash is compared
//! with the lock's, and from then on nothing but the pinned toolchain runs.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use shoal_cache::{Cache, CacheError, Digest, StepError};
use shoal_contract::boot::Arch;

use crate::root::{MissingTool, ToolRoot, temporary_directory};
use crate::run::{self, RunError};

/// Version of how programs are compiled: part of the keys of steps that do.
const BUILD_VERSION: &str = "1";

/// Go's settings that say where modules come from and who vouches for them; they do not change what is compiled.
const NETWORK_SETTINGS: [&str; 8] = ["GOAUTH", "GOINSECURE", "GONOPROXY", "GONOSUMDB", "GOPRIVATE", "GOPROXY", "GOSUMDB", "GOVCS"];

/// Variables of the user that have a say in network connections.
const NETWORK_VARIABLES: [&str; 10] =
    ["HOME", "HTTPS_PROXY", "HTTP_PROXY", "NETRC", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_DIR", "SSL_CERT_FILE"];

/// Where Go modules come from, by the settings of the user's own Go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoSettings(BTreeMap<String, String>);

/// The pinned Go toolchain.
#[derive(Debug, Clone)]
pub struct GoToolchain {
    go: Go,
    sum: String,
}

/// A `go` program with the directories it works in.
#[derive(Debug, Clone)]
struct Go {
    program: PathBuf,
    modules: PathBuf,
    compiled: PathBuf,
    path: PathBuf,
}

/// A Go program to compile.
#[derive(Debug, Clone, Copy)]
pub struct GoProgram<'a> {
    /// Directory with `go.mod` and `go.sum`.
    pub module: &'a Path,
    /// Package to build: `./cmd/kube`, or an import path that `go.mod` requires.
    pub package: &'a str,
    /// What to compile for.
    pub arch: Arch,
    /// Build tags.
    pub tags: &'a [String],
    /// `-X` definitions, `importpath.name` to value.
    pub define: &'a BTreeMap<String, String>,
}

/// Something with Go did not work.
#[derive(Debug, thiserror::Error)]
pub enum GoError {
    /// The tool root has no Go.
    #[error(transparent)]
    Missing(#[from] MissingTool),
    /// The cache cannot be read or written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A module could not be downloaded.
    #[error("cannot get the Go module {module}; if this was with --offline, run it once without")]
    Fetch {
        /// Module and version, or the directory whose modules were asked for.
        module: String,
        /// What Go said.
        source: RunError,
    },
    /// What `go` printed is not understood.
    #[error("cannot understand what Go says about {about}: take another version of it in the recipe")]
    Output {
        /// What it was asked about.
        about: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The toolchain is not the one that was locked.
    #[error("the Go toolchain {version} has the hash {found}, and the lock says {expected}: if that is right, run `shoal lock --update`")]
    Mismatch {
        /// Its version.
        version: String,
        /// Hash in the lock.
        expected: String,
        /// Hash of what was downloaded.
        found: String,
    },
    /// The toolchain could not be copied out of the module cache.
    #[error("cannot copy the Go toolchain to {}: see that the cache can be written, or name another one with --cache", path.display())]
    Copy {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The compiler refused a program.
    #[error("cannot compile the Go program {package} for {arch}")]
    Build {
        /// Its package.
        package: String,
        /// What was compiled for.
        arch: Arch,
        /// What Go said.
        source: RunError,
    },
}

/// What is used of `go mod download -json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Download {
    dir: PathBuf,
    sum: String,
}

impl GoSettings {
    /// Asks the Go on the user's `PATH`, and where there is none the one in `client`: either reads the user's environment and settings.
    ///
    /// # Errors
    /// `client` has no Go, or it does not run.
    pub fn of_host(client: &ToolRoot) -> Result<Self, GoError> {
        let ask = |program: &Path| {
            let mut command = Command::new(program);
            command.args(["env", "-json"]).args(NETWORK_SETTINGS).env("GOTOOLCHAIN", "local").current_dir("/");
            run::run(&mut command, &mut |_| ())
        };
        let about = "its settings".to_owned();
        let output = match ask(Path::new("go")) {
            Ok(output) => output,
            Err(_) => ask(&client_program(client)?).map_err(|source| GoError::Fetch { module: about.clone(), source })?,
        };
        serde_json::from_slice(&output).map(Self).map_err(|source| GoError::Output { about, source })
    }

    /// The same for a build that may not use the network.
    #[must_use]
    pub fn offline() -> Self {
        Self(BTreeMap::from([("GOPROXY".to_owned(), "off".to_owned())]))
    }
}

impl GoToolchain {
    /// Downloads the toolchain `version` (`go1.26.8`), unless the cache has the one whose hash is `sum`. `sum` is the module hash of the lock (`h1:...`, as in `go.sum`);
    /// without one, when a lock is written, whatever the user's checksum database vouches for is taken, and [`GoToolchain::sum`] says
    /// what it was.
    ///
    /// # Errors
    /// It cannot be downloaded, or is another one.
    pub fn fetch(
        cache: &Cache,
        client: &ToolRoot,
        settings: &GoSettings,
        version: &str,
        sum: Option<&str>,
        report: &mut dyn FnMut(&str),
    ) -> Result<Self, GoError> {
        let mut go = Go {
            program: client_program(client)?,
            modules: cache.shared("go-modules")?,
            compiled: cache.shared("go-compiled")?,
            path: cache.shared("go-path")?,
        };
        let key = |sum: &str| Digest::of_fields(["go toolchain", version, sum]);
        let module = format!("golang.org/toolchain@v0.0.1-{version}.linux-amd64");
        let fetched = match sum {
            Some(sum) if cache.has_step(&key(sum)) => None,
            _ => {
                let mut command = go.command(settings);
                if settings.0.get("GOSUMDB").is_some_and(|database| database == "off") {
                    // Go takes no toolchain that its checksum database has not vouched for, whatever the user says of other modules
                    // (go.dev/doc/toolchain#download). Unset, it asks the default one, through the user's proxy.
                    command.env_remove("GOSUMDB");
                }
                Some(download(&mut command, Path::new("/"), &module, report)?)
            }
        };
        let found = fetched.as_ref().map(|download| download.sum.as_str()).or(sum).unwrap_or_default().to_owned();
        if let Some(expected) = sum.filter(|sum| *sum != found) {
            return Err(GoError::Mismatch { version: version.to_owned(), expected: expected.to_owned(), found });
        }
        let step = cache.step(&key(&found), "go toolchain", |directory| match &fetched {
            Some(download) => {
                copy_toolchain(&download.dir, directory).map_err(|source| GoError::Copy { path: directory.to_owned(), source })
            }
            // It was there a moment ago: somebody pruned the cache.
            None => Err(GoError::Copy { path: directory.to_owned(), source: io::ErrorKind::NotFound.into() }),
        });
        let step = step.map_err(|error| match error {
            StepError::Run(error) => error,
            StepError::Cache(error) => error.into(),
        })?;
        go.program = step.dir.join("bin/go");
        Ok(Self { go, sum: found })
    }

    /// Its module hash, `h1:...`.
    #[must_use]
    pub fn sum(&self) -> &str {
        &self.sum
    }

    /// Digest of the toolchain and of how it is used: part of the keys of steps that compile with it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_fields(["go", BUILD_VERSION, &self.sum])
    }

    /// Downloads what a program is made of.
    ///
    /// # Errors
    /// It cannot be downloaded, or is not what `go.sum` says.
    pub fn fetch_modules(&self, program: &GoProgram<'_>, settings: &GoSettings, report: &mut dyn FnMut(&str)) -> Result<(), GoError> {
        let mut command = self.go.command(settings);
        // Listing needs the source of every package, and of no other: most of the modules that `go.mod` leads to are never compiled.
        command.args(["list", "-deps", "-mod=readonly"]);
        for_program(&mut command, program);
        command.arg(program.package);
        let failed = |source| GoError::Fetch { module: program.module.display().to_string(), source };
        run::run(&mut command, report).map(drop).map_err(failed)
    }

    /// The directory with the sources of a module that `go.mod` in `directory` requires; downloads it unless it is there.
    ///
    /// # Errors
    /// It cannot be downloaded, or is not what `go.sum` says.
    pub fn module_source(
        &self,
        directory: &Path,
        module: &str,
        settings: &GoSettings,
        report: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, GoError> {
        Ok(download(&mut self.go.command(settings), directory, module, report)?.dir)
    }

    /// Compiles a program to `output`, without network: [`GoToolchain::fetch_modules`] comes first.
    ///
    /// # Errors
    /// Modules are missing, or it does not compile.
    pub fn build(&self, program: &GoProgram<'_>, output: &Path, report: &mut dyn FnMut(&str)) -> Result<(), GoError> {
        let mut command = self.go.command(&GoSettings::offline());
        command.args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false"]);
        for_program(&mut command, program);
        command.arg("-ldflags").arg(linker_flags(program.define));
        command.arg("-o").arg(std::path::absolute(output).unwrap_or_else(|_| output.to_owned())).arg(program.package);
        let failed = |source| GoError::Build { package: program.package.to_owned(), arch: program.arch, source };
        run::run(&mut command, report).map(drop).map_err(failed)
    }

    /// What `go version -m` says of a program that Go compiled: the modules in it, in the form of debug.BuildInfo's text, without the line that names the file.
    ///
    /// # Errors
    /// It is no such program.
    pub fn build_info(&self, program: &Path) -> Result<String, GoError> {
        let mut command = self.go.command(&GoSettings::offline());
        command.args(["version", "-m"]).arg(program);
        let failed = |source| GoError::Fetch { module: program.display().to_string(), source };
        let text = run::run(&mut command, &mut |_| ()).map_err(failed)?;
        Ok(String::from_utf8_lossy(&text).lines().skip(1).map(|line| format!("{}\n", line.trim())).collect())
    }
}

impl Go {
    /// `go` with the settings for the network and nothing else of the user's.
    fn command(&self, settings: &GoSettings) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| NETWORK_VARIABLES.contains(&name))));
        command.envs(&settings.0).envs(temporary_directory()).env("LC_ALL", "C").env("TZ", "UTC");
        command.env("GOMODCACHE", &self.modules).env("GOCACHE", &self.compiled).env("GOPATH", &self.path);
        // What the user's Go is set to says nothing here, and no other toolchain takes this one's place.
        command.env("GOENV", "off").env("GOTOOLCHAIN", "local").env("GOWORK", "off").env("GOTELEMETRY", "off");
        command
    }
}

/// The directory, tags and platform of a program.
fn for_program(command: &mut Command, program: &GoProgram<'_>) {
    command.current_dir(program.module).arg(format!("-tags={}", program.tags.join(",")));
    command.env("CGO_ENABLED", "0").env("GOOS", "linux").env("GOARCH", program.arch.name());
    // The least processors of each architecture that Debian runs on.
    command.env("GOAMD64", "v1").env("GOARM64", "v8.0");
}

/// Flags of the linker: without symbols and debugging information, and with definitions. Values may have blanks but no quotes, as the flag's syntax has no
/// way to write both kinds.
fn linker_flags(define: &BTreeMap<String, String>) -> String {
    let definitions = define.iter().map(|(name, value)| format!(" -X '{name}={value}'"));
    format!("-s -w{}", definitions.collect::<String>())
}

fn download(command: &mut Command, directory: &Path, module: &str, report: &mut dyn FnMut(&str)) -> Result<Download, GoError> {
    command.args(["mod", "download", "-json", module]).current_dir(directory);
    let failed = |source| GoError::Fetch { module: module.to_owned(), source };
    let output = run::run(command, report).map_err(failed)?;
    serde_json::from_slice(&output).map_err(|source| GoError::Output { about: module.to_owned(), source })
}

/// The `go` of a Debian package, whatever its version: it lies beside its root, not in `usr/bin`.
fn client_program(client: &ToolRoot) -> Result<PathBuf, MissingTool> {
    let directories = fs::read_dir(client.root().join("usr/lib")).into_iter().flatten().flatten();
    let mut programs: Vec<_> = directories
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with("go-")))
        .map(|entry| entry.path().join("bin/go"))
        .filter(|program| program.is_file())
        .collect();
    programs.sort();
    programs.pop().ok_or_else(|| client.missing("program `go`".to_owned()))
}

/// Copies a toolchain out of the module cache, where no file is executable.
fn copy_toolchain(from: &Path, to: &Path) -> io::Result<()> {
    let programs = [Path::new("bin"), Path::new("pkg/tool")];
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        fs::create_dir_all(to.join(&directory))?;
        for entry in fs::read_dir(from.join(&directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path);
                continue;
            }
            fs::copy(entry.path(), to.join(&path))?;
            let mode = if programs.iter().any(|program| path.starts_with(program)) { 0o555 } else { 0o444 };
            fs::set_permissions(to.join(&path), std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_given_to_the_linker_in_their_order() {
        assert_eq!(linker_flags(&BTreeMap::new()), "-s -w");
        let define = BTreeMap::from([("b/version.v".to_owned(), "v1.2 x".to_owned()), ("a.b".to_owned(), "c".to_owned())]);
        assert_eq!(linker_flags(&define), "-s -w -X 'a.b=c' -X 'b/version.v=v1.2 x'");
    }

    #[test]
    fn programs_of_a_copied_toolchain_can_be_run_and_other_files_cannot() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        for path in ["bin/go", "pkg/tool/linux_amd64/compile", "src/go.mod"] {
            fs::create_dir_all(from.join(path).parent().unwrap()).unwrap();
            fs::write(from.join(path), path).unwrap();
        }
        copy_toolchain(&from, &to).unwrap();
        let mode = |path: &str| to.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("bin/go"), mode("pkg/tool/linux_amd64/compile"), mode("src/go.mod")), (0o555, 0o555, 0o444));
    }
}
