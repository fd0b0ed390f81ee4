//! The C compilers: for static programs, and as the linker of the Rust compiler.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use shoal_contract::boot::Arch;
use shoal_teardown::Unfinished;

use crate::root::{MissingTool, ToolRoot, temporary_directory};
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
        let mut command = Command::new(&self.gcc);
        command.env_clear().env("PATH", self.root.search_path()).env("LC_ALL", "C").env("TZ", "UTC").envs(temporary_directory());
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
    if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let unfinished = Unfinished::whole(&new);
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    unfinished.finish(|| fs::rename(&new, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root whose compilers print their arguments, one a line.
    fn root() -> (tempfile::TempDir, ToolRoot) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("with blank");
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        for triplet in Arch::ALL.map(Arch::gnu_triplet) {
            for program in ["gcc-9", "gcc-14", "gcc-ar-14", "ar"] {
                let text = format!("#!/bin/sh\nprintf '%s\\n' {program} \"$PATH\" \"$@\"\n");
                write_script(&root.join(format!("usr/bin/{triplet}-{program}")), &text).unwrap();
            }
        }
        (directory, ToolRoot::at(&root))
    }

    fn arguments(compiler: &CCompiler, directory: &Path, arguments: &[&str]) -> Vec<String> {
        let script = directory.join("script");
        write_script(&script, &compiler.script(&[("/a b".to_owned(), "/c".to_owned())])).unwrap();
        let output = run::run(Command::new("/bin/sh").arg(&script).args(arguments), &mut |_| ()).unwrap();
        String::from_utf8(output).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_newest_compiler_is_found_by_number() {
        let (_directory, root) = root();
        let compiler = CCompiler::find(&root, Arch::Arm64).unwrap();
        assert!(compiler.gcc.ends_with("usr/bin/aarch64-linux-gnu-gcc-14"), "{}", compiler.gcc.display());
    }

    #[test]
    fn programs_for_the_build_machine_run_from_the_root_and_static_ones_are_left_alone() {
        let (directory, root) = root();
        let compiler = CCompiler::find(&root, Arch::Amd64).unwrap();
        let place = root.root().display();
        let common = [
            "gcc-14".to_owned(),
            format!("{place}/usr/bin:{place}/usr/sbin"),
            format!("--sysroot={place}"),
            "-ffile-prefix-map=/a b=/c".to_owned(),
        ];
        let dynamic = [
            format!("-Wl,--dynamic-linker={place}/usr/lib64/ld-linux-x86-64.so.2"),
            format!("-Wl,-rpath,{place}/usr/lib/x86_64-linux-gnu"),
        ];
        let own = ["x.o".to_owned(), "-o".to_owned(), "a b".to_owned()];
        assert_eq!(arguments(&compiler, directory.path(), &["x.o", "-o", "a b"]), [&common[..], &dynamic, &own].concat());
        for kind in ["-static", "-static-pie", "-shared", "-c"] {
            let own = [own.as_slice(), &[kind.to_owned()]].concat();
            assert_eq!(arguments(&compiler, directory.path(), &["x.o", "-o", "a b", kind]), [&common[..], &own].concat());
        }
    }
}
