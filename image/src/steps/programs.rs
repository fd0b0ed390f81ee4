//! Go and C programs of the recipe, static, compiled by the pinned toolchains.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_recipe::model::{CProgram, GoProgram};
use shoal_tools::go::GoProgram as Request;

use crate::build::Build;
use crate::step::{Built, Key, digest_of_file, files_below};

/// Name of the program in its step's directory.
const PROGRAM_FILE: &str = "program";
/// Name of the list of modules in a Go program, as `go version -m` prints it.
const MODULES_FILE: &str = "modules";

/// Programs by name.
#[derive(Debug, Default)]
pub struct Programs(BTreeMap<String, Built>);

impl Programs {
    /// Name and result of each, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Built)> {
        self.0.iter().map(|(name, built)| (name.as_str(), built))
    }

    /// File of a program, which is the cache's: nobody may write into it.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.get(name)?.path(PROGRAM_FILE))
    }

    /// Bytes of a program.
    ///
    /// # Errors
    /// If the recipe has no program of that name, or the cache is damaged.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.0.get(name).with_context(|| format!("the recipe has no program `{name}`"))?.read(PROGRAM_FILE)
    }
}

/// Compiles all Go and C programs of the recipe for `arch`.
///
/// # Errors
/// If a compiler fails; what it said is in the error.
pub fn programs(build: &Build<'_>, arch: Arch) -> Result<Programs> {
    let mut programs = BTreeMap::new();
    for program in &build.recipe.go {
        programs.insert(program.name.clone(), go_program(build, arch, program)?);
    }
    for program in &build.recipe.c {
        programs.insert(program.name.clone(), c_program(build, arch, program)?);
    }
    Ok(Programs(programs))
}

fn go_program(build: &Build<'_>, arch: Arch, program: &GoProgram) -> Result<Built> {
    let module = build.project.recipes.join(&program.module);
    let locked = build.sources.go(&program.module)?;
    let mut key = Key::new("go", 1)
        .with("arch", arch.name().as_bytes())
        .with("toolchain", locked.toolchain_sum.as_bytes())
        .with_value("program", &(&program.package, &program.tags, &program.define));
    for path in go_sources(&module)? {
        let digest = digest_of_file(&module.join(&path))?;
        key = key.with("path", path.as_os_str().as_encoded_bytes()).with("source", digest.to_string().as_bytes());
    }
    build.step(&format!("go.{}.{arch}", program.name), key, |dir| {
        let toolchain = build.tools.go(&locked)?;
        let request = Request { module: &module, package: &program.package, arch, tags: &program.tags, define: &program.define };
        toolchain.fetch_modules(&request, build.tools.go_settings()?, &mut |_| ())?;
        let output = dir.join(PROGRAM_FILE);
        toolchain.build(&request, &output, &mut |_| ())?;
        std::fs::write(dir.join(MODULES_FILE), toolchain.build_info(&output)?).context("cannot write to the cache")
    })
}

/// A Go module in a program: path, version and `h1:` sum.
pub type GoModule = (String, String, Option<String>);

/// Go modules in the programs of an image.
///
/// # Errors
/// If the cache is damaged.
pub fn go_modules(programs: &Programs) -> Result<Vec<GoModule>> {
    let mut found = std::collections::BTreeSet::new();
    for built in programs.0.values().filter(|built| built.path(MODULES_FILE).exists()) {
        found.extend(parse_modules(&String::from_utf8_lossy(&built.read(MODULES_FILE)?)));
    }
    Ok(found.into_iter().collect())
}

/// Reads `go version -m`: `dep` lines, each possibly followed by the `=>` line of what replaced it.
fn parse_modules(text: &str) -> Vec<GoModule> {
    let mut modules: Vec<GoModule> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let kind = words.next();
        let (Some(path), Some(version)) = (words.next(), words.next()) else { continue };
        let module = (path.to_owned(), version.to_owned(), words.next().map(str::to_owned));
        match kind {
            Some("dep") => modules.push(module),
            Some("=>") => {
                modules.pop();
                modules.push(module);
            }
            _ => {}
        }
    }
    modules
}

/// What of a module's directory can change a build: Go files, go.mod, go.sum, and embedded files beside them.
fn go_sources(module: &Path) -> Result<Vec<PathBuf>> {
    let is_source =
        |path: &PathBuf| !path.to_string_lossy().ends_with("_test.go") && path.extension().is_none_or(|extension| extension != "md");
    Ok(files_below(module)?.into_iter().filter(is_source).collect())
}

fn c_program(build: &Build<'_>, arch: Arch, program: &CProgram) -> Result<Built> {
    let module = build.project.recipes.join(&program.module);
    let locked = build.sources.go(&program.module)?;
    let key = Key::new("c", 1)
        .with("arch", arch.name().as_bytes())
        .with("compiler", build.tools.digest("cc")?.as_bytes())
        // go.sum pins the module that carries the source.
        .with("sum", locked.go_sum.as_bytes())
        .with_value("program", program);
    build.step(&format!("c.{}.{arch}", program.name), key, |dir| {
        let toolchain = build.tools.go(&locked)?;
        let directory = toolchain.module_source(&module, &program.from, build.tools.go_settings()?, &mut |_| ())?;
        let source = directory.join(&program.source);
        anyhow::ensure!(source.is_file(), "module {} has no file {}; correct `source` in the recipe", program.from, program.source);
        Ok(build.tools.cc(arch)?.compile(&source, &dir.join(PROGRAM_FILE), &program.flags, &mut |_| ())?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_module_is_listed_as_what_replaced_it() {
        let text =
            "path\tcommand\nmod\tshoal\t(devel)\ndep\ta/b\tv1.0.0\th1:x=\ndep\tc\tv0.0.0\n=>\tc\tv0.37.2\th1:y=\nbuild\t-trimpath=true\n";
        let modules = parse_modules(text);
        assert_eq!(modules[0], ("a/b".into(), "v1.0.0".into(), Some("h1:x=".into())));
        assert_eq!(modules[1], ("c".into(), "v0.37.2".into(), Some("h1:y=".into())));
        assert_eq!(modules.len(), 2);
    }
}
