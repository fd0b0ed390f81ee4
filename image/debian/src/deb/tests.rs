use proptest::prelude::*;

use super::*;
use crate::compression::tests::{ALL, pack};

/// An entry of a made-up data archive.
#[derive(Clone)]
struct Made {
    path: &'static str,
    kind: tar::EntryType,
    link: &'static str,
    mode: u32,
    content: &'static [u8],
}

fn file(path: &'static str, content: &'static [u8]) -> Made {
    Made { path, kind: tar::EntryType::Regular, link: "", mode: 0o644, content }
}

fn link(path: &'static str, kind: tar::EntryType, link: &'static str) -> Made {
    Made { path, kind, link, mode: 0o777, content: b"" }
}

fn directory(path: &'static str) -> Made {
    Made { path, kind: tar::EntryType::Directory, link: "", mode: 0o755, content: b"" }
}

/// A tar archive. Names are written as they are, because archives that are not to be trusted have names that no library writes.
fn tar(entries: &[Made]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.as_old_mut().linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(42);
        header.set_size(entry.content.len() as u64);
        header.set_cksum();
        builder.append(&header, entry.content).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, content) in members {
        builder.append(&ar::Header::new(name.as_bytes().to_vec(), content.len() as u64), *content).expect("memory");
    }
    builder.into_inner().expect("memory")
}

const CONTROL: Made =
    Made { path: "./control", kind: tar::EntryType::Regular, link: "", mode: 0o644, content: b"Package: made\nVersion: 1\n" };

fn deb(entries: &[Made]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar(&[CONTROL])), ("data.tar", &tar(entries))])
}

/// Entries as `path kind mode content`.
fn listed(deb: &[u8]) -> Result<Vec<String>, DebError> {
    let mut lines = Vec::new();
    Deb::open(deb)?.visit(|entry| {
        let mut content = String::new();
        entry.content.read_to_string(&mut content).map_err(DebError::Read)?;
        lines.push(format!("{} {:?} {:o} {content}", entry.path, entry.kind, entry.mode));
        Ok::<_, DebError>(())
    })?;
    Ok(lines)
}

#[test]
fn every_compression_of_both_parts_is_read() {
    for (control_compression, control_extension) in ALL {
        for (compression, extension) in ALL {
            let deb = ar(&[
                ("debian-binary", b"2.0\n"),
                (&format!("control.tar{control_extension}"), &pack(control_compression, &tar(&[CONTROL]))),
                (&format!("data.tar{extension}"), &pack(compression, &tar(&[file("./usr/bin/made", b"content")]))),
            ]);
            assert_eq!(Deb::open(&deb[..]).expect("package").control().field("Package"), Some("made"));
            assert_eq!(listed(&deb).expect("package"), ["usr/bin/made File 644 content"]);
        }
    }
}

#[test]
fn kinds_modes_owners_and_clean_paths_are_told() {
    let deb = deb(&[
        directory("./"),
        directory("./usr/"),
        Made { mode: 0o104_755, ..file("./usr/su", b"a") },
        link("./usr/sh", tar::EntryType::Symlink, "/bin/../bash"),
    ]);
    assert_eq!(listed(&deb).expect("package"), ["usr Directory 755 ", "usr/su File 4755 a", "usr/sh Symlink(\"/bin/../bash\") 777 "]);
    let mut owners = Vec::new();
    Deb::open(&deb[..])
        .expect("package")
        .visit(|entry| {
            owners.push((entry.uid, entry.gid));
            Ok::<_, DebError>(())
        })
        .expect("package");
    assert_eq!(owners, [(0, 42); 3]);
}

#[test]
fn content_that_is_not_read_is_skipped() {
    let mut paths = Vec::new();
    let deb = deb(&[file("./first", &[1; 5000]), file("./second", b"b")]);
    Deb::open(&deb[..])
        .expect("package")
        .visit(|entry| {
            paths.push((entry.path.to_owned(), entry.size));
            Ok::<_, DebError>(())
        })
        .expect("package");
    assert_eq!(paths, [("first".to_owned(), 5000), ("second".to_owned(), 1)]);
}

#[test]
fn hard_links_lead_to_the_first_name_of_the_file() {
    let entries = [file("./a", b"content"), link("./b", tar::EntryType::Link, "./a"), link("./c", tar::EntryType::Link, "b")];
    assert_eq!(listed(&deb(&entries)).expect("package"), ["a File 644 content", "b HardLink(\"a\") 777 ", "c HardLink(\"a\") 777 "]);
}

#[test]
fn hard_links_to_what_did_not_come_before_are_refused() {
    for target in ["./later", "/etc/passwd", "sym"] {
        let error =
            listed(&deb(&[link("./sym", tar::EntryType::Symlink, "x"), link("./a", tar::EntryType::Link, target), file("./later", b"")]));
        assert!(matches!(&error, Err(DebError::DanglingLink { target: found, .. }) if found == target), "{error:?}");
    }
}

#[test]
fn paths_that_would_leave_the_root_are_refused() {
    for path in ["../etc/passwd", "./usr/../../etc/passwd", "usr/.."] {
        assert!(matches!(listed(&deb(&[file(path, b"x")])), Err(DebError::Escape(found)) if found == path), "{path}");
    }
    let through = [link("./usr", tar::EntryType::Symlink, "/etc"), file("./usr/passwd", b"x")];
    assert!(matches!(listed(&deb(&through)), Err(DebError::Escape(_))));
}

#[test]
fn an_absolute_path_stays_in_the_root() {
    assert_eq!(listed(&deb(&[file("/etc/made", b"x")])).expect("package"), ["etc/made File 644 x"]);
}

#[test]
fn devices_are_refused() {
    for kind in [tar::EntryType::Char, tar::EntryType::Block, tar::EntryType::Fifo] {
        assert!(matches!(listed(&deb(&[link("./dev/null", kind, "")])), Err(DebError::Unsupported { path }) if path == "dev/null"));
    }
}

#[test]
fn an_absurd_size_is_refused_before_it_is_read() {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..3].copy_from_slice(b"big");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(MAX_FILE_SIZE + 1);
    header.set_cksum();
    let deb = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar(&[CONTROL])), ("data.tar", header.as_bytes())]);
    assert!(matches!(listed(&deb), Err(DebError::TooLarge { what, .. }) if what == "big"));
}

#[test]
fn what_is_no_package_is_said_to_be_none() {
    let control = tar(&[CONTROL]);
    for (part, bytes) in [
        ("debian-binary", b"<html>no</html>".to_vec()),
        ("debian-binary", ar(&[("debian-binary", b"3.0\n")])),
        ("control.tar", ar(&[("debian-binary", b"2.0\n")])),
        ("control.tar", ar(&[("debian-binary", b"2.0\n"), ("data.tar", &control)])),
        ("control", ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar(&[file("./md5sums", b"")]))])),
        ("data.tar", ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control)])),
    ] {
        let error = listed(&bytes).expect_err(part);
        assert!(matches!(error, DebError::Part(found) if found == part), "{part}: {error:?}");
    }
}

#[test]
fn a_package_that_is_cut_off_is_said_to_be() {
    let whole = deb(&[file("./usr/file", &[7; 3000])]);
    for length in [0, 7, 100, 400, whole.len() - 3000, whole.len() - 2000] {
        assert!(matches!(listed(&whole[..length]), Err(DebError::Read(_))), "{length}");
    }
}

#[test]
fn an_unknown_compression_is_named() {
    let deb = ar(&[("debian-binary", b"2.0\n"), ("control.tar.lzma", b"")]);
    assert!(matches!(listed(&deb), Err(DebError::Compression(name)) if name == "control.tar.lzma"));
}

proptest! {
    /// Whatever is cut off or flipped, the reader ends, with an error or with paths that stay in the root.
    #[test]
    fn a_damaged_package_never_leaves_the_root(cut in 0_usize..4000, at in 0_usize..4000, flip in 1_u8..) {
        let mut deb = deb(&[directory("./usr"), file("./usr/file", b"content"), link("./usr/link", tar::EntryType::Symlink, "file")]);
        let length = deb.len();
        deb[at % length] ^= flip;
        deb.truncate(length - cut % length);
        if let Ok(lines) = listed(&deb) {
            for line in lines {
                let path = line.split(' ').next().expect("path");
                prop_assert!(!path.starts_with('/') && path.split('/').all(|part| part != ".."), "{}", line);
            }
        }
    }
}
