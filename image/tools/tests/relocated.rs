//! Packages made here are unpacked, and programs of them run from the root.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use shoal_cache::{Cache, Digest, StepError};
use shoal_tools::{Deb, RunError, ToolRoot, UnpackError, run};

/// A file of a package to be made: path and content, and whether it is executable; or a symbolic link.
enum Item {
    File(String, Vec<u8>, bool),
    Link(String, String),
}

fn file(path: &str, content: impl AsRef<[u8]>) -> Item {
    Item::File(path.to_owned(), content.as_ref().to_vec(), false)
}

fn program(path: &str, content: impl AsRef<[u8]>) -> Item {
    Item::File(path.to_owned(), content.as_ref().to_vec(), true)
}

fn link(path: &str, target: &str) -> Item {
    Item::Link(path.to_owned(), target.to_owned())
}

/// Writes a package with these files, uncompressed.
fn package(directory: &Path, name: &str, items: &[Item]) -> Deb {
    let mut data = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        match item {
            Item::File(path, content, executable) => {
                header.set_size(content.len() as u64);
                // Set-user-id and writable for all: what a root must not take over.
                header.set_mode(if *executable { 0o4777 } else { 0o666 });
                data.append_data(&mut header, format!("./{path}"), content.as_slice()).unwrap();
            }
            Item::Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                header.set_mode(0o777);
                data.append_link(&mut header, format!("./{path}"), target).unwrap();
            }
        }
    }
    let mut control = tar::Builder::new(Vec::new());
    let text = format!("Package: {name}\nVersion: 1\nArchitecture: amd64\n");
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    control.append_data(&mut header, "./control", text.as_bytes()).unwrap();

    let mut deb = ar::Builder::new(Vec::new());
    let parts =
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control.into_inner().unwrap()), ("data.tar", data.into_inner().unwrap())];
    for (name, bytes) in parts {
        deb.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), bytes.as_slice()).unwrap();
    }
    let bytes = deb.into_inner().unwrap();
    let path = directory.join(format!("{name}.deb"));
    fs::write(&path, &bytes).unwrap();
    Deb { name: name.to_owned(), path, digest: Digest::of(&bytes) }
}

struct Place {
    directory: tempfile::TempDir,
    cache: Cache,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(&directory.path().join("cache")).unwrap();
        Self { directory, cache }
    }

    fn unpack(&self, items: &[Item]) -> ToolRoot {
        ToolRoot::unpack(&self.cache, "test", &[package(self.directory.path(), "test", items)]).unwrap()
    }
}

#[test]
fn links_stay_in_the_root_and_merged_directories_are_one() {
    let place = Place::new();
    let root = place.unpack(&[
        file("usr/share/data", "data"),
        file("lib/merged", "merged"),
        link("usr/bin/absolute", "/usr/share/data"),
        link("usr/bin/outside", "../../../../../../../../../etc/hostname"),
    ]);
    let read = |path: &str| fs::read_to_string(root.root().join(path)).unwrap();
    assert_eq!((read("usr/bin/absolute"), read("usr/lib/merged")), ("data".to_owned(), "merged".to_owned()));
    assert_eq!(fs::read_link(root.root().join("usr/bin/outside")).unwrap(), Path::new("../../etc/hostname"));
}

#[test]
fn files_lose_set_user_id_and_the_right_to_write() {
    let place = Place::new();
    let root = place.unpack(&[program("usr/bin/program", "x"), file("usr/share/data", "x")]);
    let mode = |path: &str| root.path(path).unwrap().metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("usr/bin/program"), mode("usr/share/data")), (0o555, 0o444));
}

#[test]
fn documentation_is_left_out() {
    let place = Place::new();
    let root = place.unpack(&[file("usr/share/doc/test/copyright", "x"), file("usr/share/docking/data", "x")]);
    assert!(root.path("usr/share/doc").is_err() && root.path("usr/share/docking/data").is_ok());
}

#[test]
fn a_script_runs_with_the_root_s_interpreter_and_nothing_of_the_caller_s_environment() {
    let place = Place::new();
    let root = place.unpack(&[
        program("usr/bin/interpreter", "#!/bin/sh\necho \"interpreted $1 $2\"; /usr/bin/env"),
        program("usr/sbin/script", "#!/usr/bin/interpreter -x\n"),
    ]);
    let output = run::run(&mut root.command("script").unwrap(), &mut |_| ()).unwrap();
    let output = String::from_utf8(output).unwrap();
    let (first, environment) = output.split_once('\n').unwrap();
    assert_eq!(first, format!("interpreted -x {}", root.root().join("usr/sbin/script").display()));
    // A shell adds some of its own, and where temporary files go is up to the user.
    let own = |line: &&str| !["PWD=", "SHLVL=", "_=", "OLDPWD=", "TMPDIR="].iter().any(|name| line.starts_with(name));
    let names: BTreeSet<_> = environment.lines().filter(own).filter_map(|line| line.split('=').next()).collect();
    assert_eq!(names, BTreeSet::from(["LC_ALL", "PATH", "PYTHONDONTWRITEBYTECODE", "TZ"]));
}

#[test]
fn a_missing_program_names_the_tool() {
    let place = Place::new();
    let error = place.unpack(&[file("usr/share/data", "x")]).command("mkfs.erofs").unwrap_err();
    assert_eq!((error.tool.as_str(), error.what.as_str()), ("test", "program `mkfs.erofs`"));
}

#[test]
fn the_same_packages_in_another_cache_are_another_root_with_the_same_digest() {
    let (one, two) = (Place::new(), Place::new());
    let items = [file("usr/share/data", "x")];
    let (first, again, second) = (one.unpack(&items), one.unpack(&items), two.unpack(&items));
    assert_eq!(first, again);
    let name = |root: &ToolRoot| root.root().parent().unwrap().file_name().unwrap().to_owned();
    assert_ne!(name(&first), name(&second));
    assert_eq!(first.digest(), second.digest());
}

#[test]
fn a_broken_package_is_named_and_leaves_nothing() {
    let place = Place::new();
    let mut deb = package(place.directory.path(), "test", &[file("usr/share/data", vec![0; 100_000])]);
    let bytes = fs::read(&deb.path).unwrap();
    fs::write(&deb.path, &bytes[..bytes.len() / 2]).unwrap();
    let broken = ToolRoot::unpack(&place.cache, "test", std::slice::from_ref(&deb));
    assert!(matches!(broken, Err(StepError::Run(UnpackError::Deb { ref package, .. })) if package == "test"), "{broken:?}");
    assert_eq!(place.cache.usage().unwrap().total().count, 0);
    deb.path = place.directory.path().join("gone");
    assert!(matches!(ToolRoot::unpack(&place.cache, "test", &[deb]), Err(StepError::Run(UnpackError::Read { .. }))));
}

#[test]
fn a_cache_whose_path_the_loader_would_misread_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(&directory.path().join("a:b")).unwrap();
    let deb = package(directory.path(), "test", &[]);
    assert!(matches!(ToolRoot::unpack(&cache, "test", &[deb]), Err(StepError::Run(UnpackError::UnusablePath { .. }))));
}

/// Tells this test's binary, run from a root, to say which files it has mapped.
const SAY_WHAT_IS_MAPPED: &str = "SHOAL_TOOLS_TEST_SAY_WHAT_IS_MAPPED";

fn mapped_files() -> BTreeSet<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..]))).collect()
}

#[test]
fn part_say_what_is_mapped() {
    if env::var_os(SAY_WHAT_IS_MAPPED).is_some() {
        mapped_files().iter().for_each(|path| println!("\nmapped {}", path.display()));
    }
}

/// The program is this test's own binary: a real one, linked by whatever linker the host has, with the host's C library as the root's.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_program_runs_with_the_loader_and_libraries_of_its_root_alone() {
    let own = env::current_exe().unwrap().canonicalize().unwrap();
    let libraries: Vec<_> = mapped_files().into_iter().filter(|path| path.to_string_lossy().contains(".so")).collect();
    let mut items = vec![program("usr/bin/probe", fs::read(&own).unwrap())];
    for library in &libraries {
        let name = library.file_name().unwrap().to_string_lossy();
        let directory = if name.starts_with("ld-") { "usr/lib64" } else { "usr/lib/x86_64-linux-gnu" };
        items.push(program(&format!("{directory}/{name}"), fs::read(library).unwrap()));
    }
    let place = Place::new();
    let root = place.unpack(&items);
    let mut command = root.command("probe").unwrap();
    command.args(["--exact", "part_say_what_is_mapped", "--nocapture"]).env(SAY_WHAT_IS_MAPPED, "1");
    let output = run::run(&mut command, &mut |_| ()).unwrap_or_else(|error: RunError| panic!("{error}"));
    let output = String::from_utf8(output).unwrap();
    let mapped: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("mapped ")).collect();
    assert_eq!(mapped.len(), libraries.len() + 1, "{mapped:?}");
    for path in mapped {
        assert!(Path::new(path).starts_with(root.root()), "{path} is the host's");
    }
}
