use proptest::prelude::*;

use super::*;
use crate::packages::tests::{index, stanza};

/// A package of version 1 for amd64.
fn simple(name: &str, depends: &str) -> String {
    stanza(name, "1", "amd64", &format!("Depends: {depends}\n"))
}

fn root(name: &str) -> Root {
    except(name, &[])
}

fn except(name: &str, except: &[&str]) -> Root {
    let except = except.iter().map(ToString::to_string).collect();
    Root { name: name.to_owned(), architecture: "amd64".to_owned(), follow: Follow::Depends { except } }
}

fn alone(name: &str) -> Root {
    Root { name: name.to_owned(), architecture: "amd64".to_owned(), follow: Follow::Nothing }
}

fn names(index: &Index, roots: &[Root]) -> Result<Vec<String>, ClosureError> {
    Ok(closure(index, "amd64", roots)?.iter().map(|package| format!("{}:{}", package.name, package.architecture)).collect())
}

fn amd64(names: &[&str]) -> Result<Vec<String>, ClosureError> {
    Ok(names.iter().map(|name| format!("{name}:amd64")).collect())
}

#[test]
fn dependencies_come_before_what_depends_on_them_then_by_name() {
    let index = index(&[simple("z", "m, b"), simple("m", "a"), simple("b", ""), simple("a", ""), simple("alone", "")]);
    assert_eq!(names(&index, &[root("z"), root("alone")]), amd64(&["a", "alone", "b", "m", "z"]));
}

#[test]
fn circles_are_taken_whole() {
    let index = index(&[simple("libc", "libgcc"), simple("libgcc", "libc"), simple("tool", "libc")]);
    assert_eq!(names(&index, &[root("tool")]), amd64(&["libgcc", "libc", "tool"]));
}

#[test]
fn the_first_alternative_that_exists_is_taken() {
    let index = index(&[simple("tool", "gone | second | third"), simple("second", ""), simple("third", "")]);
    assert_eq!(names(&index, &[root("tool")]), amd64(&["second", "tool"]));
}

#[test]
fn a_named_package_decides_an_alternative_wherever_it_is_named() {
    let index = index(&[simple("tool", "first | second"), simple("first", ""), simple("second", "")]);
    assert_eq!(names(&index, &[root("tool"), alone("second")]), amd64(&["second", "tool"]));
}

#[test]
fn a_package_alone_brings_nothing_unless_another_root_follows_it() {
    let index = index(&[simple("kernel", "initramfs"), simple("initramfs", ""), simple("meta", "kernel")]);
    assert_eq!(names(&index, &[alone("kernel")]), amd64(&["kernel"]));
    assert_eq!(names(&index, &[alone("kernel"), root("meta")]), amd64(&["initramfs", "kernel", "meta"]));
}

#[test]
fn excepted_packages_are_neither_taken_nor_replaced() {
    let index = index(&[
        simple("containerd", "runc (>= 1.0), libc, debconf | debconf-2.0"),
        simple("runc", "seccomp"),
        simple("seccomp", ""),
        simple("libc", "debconf-2.0"),
        stanza("debconf", "1", "amd64", "Provides: debconf-2.0\n"),
        stanza("cdebconf", "1", "amd64", "Provides: debconf-2.0\n"),
    ]);
    assert_eq!(names(&index, &[except("containerd", &["runc", "debconf"])]), amd64(&["libc", "containerd"]));
}

#[test]
fn an_exception_holds_only_for_its_own_root() {
    let index = index(&[simple("a", "data"), simple("b", "data"), simple("data", "")]);
    assert_eq!(names(&index, &[except("a", &["data"]), root("b")]), amd64(&["a", "data", "b"]));
}

#[test]
fn what_is_provided_meets_a_dependency() {
    let index = index(&[
        simple("tool", "awk"),
        stanza("gawk", "1", "amd64", "Provides: awk\n"),
        stanza("mawk", "1", "amd64", "Provides: awk\nPriority: required\n"),
        stanza("original-awk", "1", "amd64", "Provides: awk\n"),
    ]);
    assert_eq!(names(&index, &[root("tool")]), amd64(&["mawk", "tool"]));
    assert_eq!(names(&index, &[root("tool"), root("original-awk")]), amd64(&["original-awk", "tool"]));
}

#[test]
fn a_version_is_met_only_by_what_is_provided_with_a_version() {
    let bare = index(&[simple("tool", "api (>= 2)"), stanza("old", "9", "amd64", "Provides: api\n")]);
    assert!(names(&bare, &[root("tool")]).is_err());
    let versioned = index(&[simple("tool", "api (>= 2)"), stanza("new", "1", "amd64", "Provides: api (= 2.1)\n")]);
    assert_eq!(names(&versioned, &[root("tool")]), amd64(&["new", "tool"]));
}

#[test]
fn an_older_version_is_taken_where_the_newest_does_not_fit() {
    let index = index(&[
        simple("tool", "lib (<< 2)"),
        stanza("lib", "2", "amd64", ""),
        stanza("lib", "1.9", "amd64", ""),
        stanza("lib", "1", "amd64", ""),
    ]);
    let versions: Vec<_> = closure(&index, "amd64", &[root("tool")]).expect("closure").iter().map(|package| package.version).collect();
    assert_eq!(versions, ["1.9", "1"]);
}

#[test]
fn two_versions_of_a_package_are_never_taken() {
    let index = index(&[simple("tool", "lib (<< 2)"), stanza("lib", "2", "amd64", ""), stanza("lib", "1", "amd64", "")]);
    let error = names(&index, &[root("lib"), root("tool")]).expect_err("lib 2 is chosen");
    assert!(error.to_string().contains("lib 2 amd64"), "{error}");
}

#[test]
fn an_unmet_dependency_names_the_chain_and_what_there_is_instead() {
    let index = index(&[simple("a", "b"), simple("b", "missing (>= 2) | other"), stanza("missing", "1", "amd64", "")]);
    let error = names(&index, &[root("a")]).expect_err("missing is too old");
    let text = error.to_string();
    assert!(text.starts_with("a -> b -> missing (>= 2) | other: "), "{text}");
    assert!(text.contains("missing 1 amd64"), "{text}");
}

#[test]
fn a_virtual_package_that_is_asked_for_names_its_providers() {
    let index = index(&[stanza("mawk", "1", "amd64", "Provides: awk\n"), stanza("gawk", "1", "amd64", "Provides: awk\n")]);
    let text = names(&index, &[root("awk")]).expect_err("awk is virtual").to_string();
    assert!(text.contains("`awk` for amd64") && text.contains("gawk, mawk"), "{text}");
}

#[test]
fn foreign_packages_depend_on_their_own_architecture_except_on_tools() {
    let cross = index(&[
        stanza("std", "1", "arm64", "Depends: libgcc, helper, python3:any, data\n"),
        stanza("libgcc", "1", "amd64", "Multi-Arch: same\n"),
        stanza("libgcc", "1", "arm64", "Multi-Arch: same\n"),
        stanza("helper", "1", "amd64", "Multi-Arch: foreign\n"),
        stanza("helper", "1", "arm64", "Multi-Arch: foreign\n"),
        stanza("python3", "1", "amd64", "Multi-Arch: allowed\n"),
        stanza("python3", "1", "arm64", "Multi-Arch: allowed\n"),
        stanza("data", "1", "all", "Depends: libgcc\n"),
    ]);
    let std = Root { architecture: "arm64".to_owned(), ..root("std") };
    assert_eq!(
        names(&cross, &[std]).expect("closure"),
        ["libgcc:amd64", "data:all", "helper:amd64", "libgcc:arm64", "python3:amd64", "std:arm64"]
    );
}

#[test]
fn a_qualifier_asks_for_an_architecture() {
    let index = index(&[simple("cross", "libc:arm64"), stanza("libc", "1", "amd64", ""), stanza("libc", "1", "arm64", "")]);
    assert_eq!(names(&index, &[root("cross")]).expect("closure"), ["libc:arm64", "cross:amd64"]);
}

/// An archive of `count` packages `p0`, `p1`, ..., of which each depends on some of the others.
fn archive() -> impl Strategy<Value = Vec<BTreeSet<usize>>> {
    (1_usize..12).prop_flat_map(|count| proptest::collection::vec(proptest::collection::btree_set(0..count, 0..4), count))
}

fn archive_index(archive: &[BTreeSet<usize>]) -> Index {
    let stanzas: Vec<_> = archive
        .iter()
        .enumerate()
        .map(|(number, needs)| simple(&format!("p{number}"), &needs.iter().map(|need| format!("p{need}")).collect::<Vec<_>>().join(", ")))
        .collect();
    index(&stanzas)
}

/// What is reached from a package.
fn reached(archive: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::from([from]);
    let mut queue = vec![from];
    while let Some(next) = queue.pop() {
        queue.extend(archive[next].iter().copied().filter(|need| reached.insert(*need)));
    }
    reached
}

proptest! {
    #[test]
    fn a_closure_is_exactly_what_is_reached_and_ordered(archive in archive()) {
        let index = archive_index(&archive);
        let found: Vec<usize> = closure(&index, "amd64", &[root("p0")]).expect("closure").iter().map(|package| package.name[1..].parse().expect("number")).collect();
        let expected = reached(&archive, 0);
        prop_assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), expected);
        // A dependency comes later only in a circle.
        for (position, package) in found.iter().enumerate() {
            for need in &archive[*package] {
                let later = found.iter().position(|other| other == need).expect("taken") > position;
                prop_assert!(!later || reached(&archive, *need).contains(package), "{} before {}", package, need);
            }
        }
    }

    #[test]
    fn the_order_of_the_roots_changes_nothing_where_there_are_no_alternatives(archive in archive(), seed in any::<u64>()) {
        let index = archive_index(&archive);
        let mut roots: Vec<_> = (0..archive.len()).filter(|number| seed >> number & 1 == 1).map(|number| root(&format!("p{number}"))).collect();
        let forward = names(&index, &roots);
        roots.reverse();
        prop_assert_eq!(forward, names(&index, &roots));
    }
}
