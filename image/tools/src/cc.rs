//! The C compilers: for static programs, and as the linker of the Rust compiler.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use shoal_contract::boot::Arch;

use crate::root::{MissingTool, ToolRoot};
use crate::run::{self, RunError};
use crate::script::quoted;

/// What every C program is compiled with: small, the same bits every time, nothing that tells where it was compiled.
const FLAGS: [&str; 6] = ["-Os", "-static", "-s", "-g0", "-frandom-seed=0", "-Wl,--build-id=none"];

/// The C compiler for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CCompiler {
    arch: Arch,
    root: ToolRoot,
    gcc: PathBuf,
    ar: PathBuf,
}

/// A C program could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The path has no file name, or no text.
    #[error("{} is no usable path of a C file: rename it", .0.display())]
    Path(PathBuf),
    /// The compiler refused it.
    #[error("cannot compile {}", source_file.display())]
    Run {
        /// The C file.
        source_file: PathBuf,
        /// What the compiler said.
        source: RunError,
    },
}

impl CCompiler {
    /// Finds GCC and binutils for `arch`, of whatever version, in a tool root with `gcc-*` and the C library's files for development
    /// (`libc6-dev`, `libc6-dev-arm64-cross`).
    ///
    /// # Errors
    /// They are not there.
    pub fn find(root: &ToolRoot, arch: Arch) -> Result<Self, MissingTool> {
        let prefix = format!("{}-gcc-", arch.gnu_triplet());
        let names = fs::read_dir(root.root().join("usr/bin")).into_iter().flatten().flatten();
        let versions = names.filter_map(|entry| entry.file_name().to_str()?.strip_prefix(&prefix)?.parse::<u32>().ok());
        let newest = versions.max().ok_or_else(|| root.missing(format!("program `{prefix}<version>`")))?;
        Ok(Self {
            arch,
            root: root.clone(),
            gcc: root.program(&format!("{prefix}{newest}"))?,
            ar: root.program(&format!("{}-ar", arch.gnu_triplet()))?,
        })
    }

    /// What it compiles for.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// `ar` for the same architecture.
    #[must_use]
    pub fn ar(&self) -> &Path {
        &self.ar
    }

    /// The tool root it is in.
    #[must_use]
    pub fn root(&self) -> &ToolRoot {
        &self.root
    }

    /// Compiles one C file to a static program. `flags` come behind the compiler's own, so they win.
    ///
    /// # Errors
    /// It does not compile.
    pub fn compile(&self, source: &Path, output: &Path, flags: &[String], report: &mut dyn FnMut(&str)) -> Result<(), CompileError> {
        let unusable = || CompileError::Path(source.to_owned());
        let source = source.canonicalize().map_err(|_| unusable())?;
        let output = std::path::absolute(output).map_err(|_| CompileError::Path(output.to_owned()))?;
        // The file by its name alone, in its directory: then no message and no `__FILE__` has a path of this machine.
        let (Some(directory), Some(name)) = (source.parent(), source.file_name()) else { return Err(unusable()) };
        let mut command = std::process::Command::new(&self.gcc);
        command.env_clear().env("PATH", self.root.search_path()).env("LC_ALL", "C").env("TZ", "UTC");
        command.current_dir(directory).arg(format!("--sysroot={}", self.root.root().display())).args(FLAGS);
        command.args(flags).arg("-o").arg(&output).arg(name);
        run::run(&mut command, report).map(drop).map_err(|error| CompileError::Run { source_file: source.clone(), source: error })
    }

    /// Text of a script that is this compiler for build systems: with its own root as the system, with `prefix_maps` (from, to) for the
    /// names of files, and with programs that are not static able to run on this machine, from the root's libraries.
    pub(crate) fn script(&self, prefix_maps: &[(String, String)]) -> String {
        let root = self.root.root().to_string_lossy();
        let maps: String = prefix_maps.iter().map(|(from, to)| format!(" {}", quoted(&format!("-ffile-prefix-map={from}={to}")))).collect();
        let loader = quoted(&format!("-Wl,--dynamic-linker={root}/usr/lib64/ld-linux-x86-64.so.2"));
        let libraries = quoted(&format!("-Wl,-rpath,{root}/usr/lib/x86_64-linux-gnu"));
        let (path, gcc, sysroot) =
            (quoted(&self.root.search_path()), quoted(&self.gcc.to_string_lossy()), quoted(&format!("--sysroot={root}")));
        let host_programs = match self.arch {
            Arch::Amd64 => format!(
                "for argument; do case $argument in -static|-static-pie|-shared|-c|-E|-S|-r) exec {gcc} {sysroot}{maps} \"$@\";; esac; done\n\
                 exec {gcc} {sysroot}{maps} {loader} {libraries} \"$@\"\n"
            ),
            Arch::Arm64 => format!("exec {gcc} {sysroot}{maps} \"$@\"\n"),
        };
        format!("#!/bin/sh\nPATH={path}\nexport PATH\n{host_programs}")
    }
}

/// Writes an executable script unless it is there. Nobody sees half of it: programs of several builds may run it at once.
pub(crate) fn write_script(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(new, path)
}
