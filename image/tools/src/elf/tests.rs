//! Held against files of a few headers that are made here; `tests/relocated.rs` runs a real program.

use super::*;

const ROOT: &str = "/cache/root";
const HOST_LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// An ELF file to be made. One segment is the whole file, loaded at [`BASE`].
#[derive(Clone)]
struct Sample {
    loader: Option<&'static str>,
    /// Tag and, for those with text, what it says.
    dynamic: Vec<(u64, &'static str)>,
    /// Free entries behind the one that ends the section.
    free: usize,
    note: bool,
    machine: u16,
}

const BASE: u64 = 0x40_0000;

fn program() -> Sample {
    Sample { loader: Some(HOST_LOADER), dynamic: vec![(DT_NEEDED, "libc.so.6")], free: 1, note: true, machine: EM_X86_64 as u16 }
}

fn library(search_path: &'static str) -> Sample {
    let dynamic = vec![(DT_SONAME, "libx.so.1"), (DT_NEEDED, "libc.so.6"), (DT_RUNPATH, search_path)];
    Sample { loader: None, dynamic, ..program() }
}

impl Sample {
    fn build(&self) -> Vec<u8> {
        let headers = 2 + usize::from(self.loader.is_some()) + usize::from(self.note);
        let strings_at = 64 + headers * PROGRAM_HEADER_BYTES;
        let mut strings = vec![0];
        let mut text = |text: &str| {
            let at = strings.len() as u64;
            strings.extend(text.bytes().chain([0]));
            at
        };
        let loader = self.loader.map(|loader| (text(loader), loader.len() as u64 + 1));
        let mut entries: Vec<(u64, u64)> = self.dynamic.iter().map(|&(tag, value)| (tag, text(value))).collect();
        entries.push((DT_STRTAB, BASE + strings_at as u64));
        entries.extend(std::iter::repeat_n((DT_NULL, 0), 1 + self.free));
        let dynamic_at = strings_at + strings.len();
        let size = dynamic_at + entries.len() * DYNAMIC_BYTES;

        let mut elf = IDENT.to_vec();
        elf.resize(64, 0);
        elf[18..20].copy_from_slice(&self.machine.to_le_bytes());
        put(&mut elf, 32, 64).unwrap();
        elf[54..56].copy_from_slice(&(PROGRAM_HEADER_BYTES as u16).to_le_bytes());
        elf[56..58].copy_from_slice(&(headers as u16).to_le_bytes());
        let mut header = |kind: u64, offset: u64, size: u64| {
            for value in [kind, offset, BASE + offset, BASE + offset, size, size, 1] {
                elf.extend(value.to_le_bytes());
            }
        };
        if let Some((at, length)) = loader {
            header(PT_INTERP, strings_at as u64 + at, length);
        }
        header(PT_LOAD, 0, size as u64);
        header(PT_DYNAMIC, dynamic_at as u64, (entries.len() * DYNAMIC_BYTES) as u64);
        if self.note {
            header(PT_NOTE, 0, 0);
        }
        elf.extend(strings);
        for (tag, value) in entries {
            elf.extend(tag.to_le_bytes());
            elf.extend(value.to_le_bytes());
        }
        elf
    }
}

/// What the kernel and the loader read: the interpreter, the search path by its tag, and whether every loaded segment is in order.
fn read(elf: &[u8]) -> (Option<String>, Vec<(u64, String)>) {
    let headers = program_headers(elf).unwrap().unwrap();
    let text = |offset| String::from_utf8(text_at(elf, offset).unwrap().to_vec()).unwrap();
    let loader = headers.iter().find(|header| header.kind == PT_INTERP).map(|header| {
        assert_eq!(header.file_size as usize, text(header.offset).len() + 1, "the size of the path is wrong");
        assert_eq!(file_offset(&headers, header.address), Some(header.offset), "the path is not where it is loaded");
        text(header.offset)
    });
    let entries = dynamic_entries(elf, headers.iter().find(|header| header.kind == PT_DYNAMIC).unwrap()).unwrap();
    let entries = &entries[..entries.iter().position(|entry| entry.tag == DT_NULL).expect("nothing ends the section")];
    let table = entries.iter().find(|entry| entry.tag == DT_STRTAB).unwrap().value;
    let paths = entries.iter().filter(|entry| matches!(entry.tag, DT_RPATH | DT_RUNPATH));
    let paths = paths.map(|entry| (entry.tag, text(file_offset(&headers, table.wrapping_add(entry.value)).unwrap()))).collect();
    let loads: Vec<_> = headers.iter().filter(|header| header.kind == PT_LOAD).collect();
    for pair in loads.windows(2) {
        assert!(pair[0].address + pair[0].memory_size <= pair[1].address, "loaded segments overlap or are out of order");
        let page = PAGE_BYTES as u64;
        assert_eq!((pair[1].address % page, pair[1].offset % page), (0, 0), "the new segment cannot be mapped");
    }
    (loader, paths)
}

fn relocated(sample: &Sample) -> Vec<u8> {
    let mut elf = sample.build();
    assert_eq!(relocate(&mut elf, ROOT), Ok(true));
    elf
}

fn unchanged(sample: &Sample) {
    let mut elf = sample.build();
    assert_eq!(relocate(&mut elf, ROOT), Ok(false));
    assert_eq!(elf, sample.build());
}

#[test]
fn a_program_finds_its_loader_and_libraries_in_the_root() {
    let (loader, paths) = read(&relocated(&program()));
    assert_eq!(loader.as_deref(), Some("/cache/root/usr/lib64/ld-linux-x86-64.so.2"));
    assert_eq!(paths, [(DT_RPATH, "/cache/root/usr/lib/x86_64-linux-gnu".to_owned())]);
}

#[test]
fn a_search_path_of_its_own_is_kept_and_comes_first() {
    let mut sample = program();
    sample.dynamic.push((DT_RUNPATH, "$ORIGIN/../lib:/usr/lib/x86_64-linux-gnu/systemd"));
    let path = "$ORIGIN/../lib:/cache/root/usr/lib/x86_64-linux-gnu/systemd:/cache/root/usr/lib/x86_64-linux-gnu";
    assert_eq!(read(&relocated(&sample)).1, [(DT_RPATH, path.to_owned())]);
}

#[test]
fn a_library_does_not_hide_the_search_path_of_its_program() {
    let sample = library("$ORIGIN");
    let elf = relocated(&sample);
    assert_eq!(read(&elf).1, [(DT_RPATH, "$ORIGIN".to_owned())]);
    assert_eq!(elf.len(), sample.build().len(), "a linker that reads the library refuses strings outside of their section");
    let absolute = relocated(&library("/usr/lib/x86_64-linux-gnu/systemd"));
    let path = "/cache/root/usr/lib/x86_64-linux-gnu/systemd:/cache/root/usr/lib/x86_64-linux-gnu";
    assert_eq!(read(&absolute).1, [(DT_RPATH, path.to_owned())]);
}

#[test]
fn what_needs_no_change_gets_none() {
    unchanged(&Sample { loader: None, ..program() });
    unchanged(&Sample { dynamic: Vec::new(), ..program() });
    unchanged(&Sample { machine: 183, ..program() });
    unchanged(&Sample { loader: Some("/lib/ld-linux-aarch64.so.1"), ..program() });
    let c_library = vec![(DT_SONAME, "libc.so.6"), (DT_NEEDED, "ld-linux-x86-64.so.2")];
    unchanged(&Sample { dynamic: c_library, ..program() });
    let mut text = b"#!/bin/sh\n".to_vec();
    assert_eq!(relocate(&mut text, ROOT), Ok(false));
}

#[test]
fn the_debugger_s_entry_is_taken_when_none_is_free() {
    let mut sample = Sample { free: 0, ..program() };
    let mut elf = sample.build();
    assert_eq!(relocate(&mut elf, ROOT), Err(ElfError::NoEntryToSpare));
    sample.dynamic.push((DT_DEBUG, ""));
    assert_eq!(read(&relocated(&sample)).1.len(), 1);
}

#[test]
fn a_program_without_a_note_is_refused() {
    let mut elf = Sample { note: false, ..program() }.build();
    assert_eq!(relocate(&mut elf, ROOT), Err(ElfError::NoHeaderToSpare));
}

#[test]
fn a_file_cut_off_anywhere_is_no_panic() {
    let mut sample = program();
    sample.dynamic.push((DT_RUNPATH, "/usr/lib/a"));
    let whole = sample.build();
    for length in 0..whole.len() {
        let _ = relocate(&mut whole[..length].to_vec(), ROOT);
    }
}

#[test]
fn a_file_with_any_byte_changed_is_no_panic() {
    let whole = program().build();
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut elf = whole.clone();
            elf[at] = value;
            let _ = relocate(&mut elf, ROOT);
        }
    }
}
