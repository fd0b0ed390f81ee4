//! Makes a dynamically linked program find its loader and its libraries in a tool root.
//!
//! A program names its loader by an absolute path (`PT_INTERP`) and searches libraries in directories of the host. Both are changed here by
//! adding one page of strings to the end of the file, mapped by the program header that had mapped a note, and by one entry of the dynamic
//! section (System V ABI, chapter 5). Nothing else moves, so the code is untouched whatever its kind. patchelf 0.18 does move sections, and
//! the C compiler proper, which is linked at a fixed address, does not survive that.
//!
//! The search path is a `DT_RPATH`, not a `DT_RUNPATH`: only the former holds for what libraries need in their turn and for `dlopen`. It is
//! ignored below a library that has a `DT_RUNPATH` of its own, so those of libraries are made `DT_RPATH`s, which come before the
//! program's and do not hide it. Other libraries stay as they are; the linker reads them, and it is strict about strings outside of their section.

use std::ops::Range;

/// Loader of amd64 programs, relative to the root: where the ABI has it, after the merge of `/lib64` into `/usr`.
const LOADER: &str = "/usr/lib64/ld-linux-x86-64.so.2";

/// What amd64 programs say where their loader is.
const HOST_LOADERS: [&[u8]; 2] = [b"/lib64/ld-linux-x86-64.so.2", b"/usr/lib64/ld-linux-x86-64.so.2"];

/// Libraries, relative to the root (Debian's multiarch directory).
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// `\x7fELF`, 64 bits, little-endian, version 1.
const IDENT: [u8; 7] = [0x7f, b'E', b'L', b'F', 2, 1, 1];
const EM_X86_64: u64 = 62;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const PT_NOTE: u64 = 4;
const PF_R: u64 = 4;

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_DEBUG: u64 = 21;
const DT_RUNPATH: u64 = 29;

/// Size of an entry of the dynamic section.
const DYNAMIC_BYTES: usize = 16;

/// Smallest size of a program header that has the fields read here; files say theirs.
const PROGRAM_HEADER_BYTES: usize = 56;

/// Pages of amd64: what addresses and offsets of mapped segments must agree in.
const PAGE_BYTES: usize = 4096;

/// A program that cannot be made to run from a tool root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Headers point outside of the file.
    #[error("it is cut off or damaged: prune the cache and build again")]
    Damaged,
    /// There is no note to give up, or it stands before the last loaded segment.
    #[error("it has no program header to spare for its loader's path: leave the package out, or take another version")]
    NoHeaderToSpare,
    /// There is no entry for the search path and no free one.
    #[error("it has no free entry in its dynamic section for the search path: leave the package out, or take another version")]
    NoEntryToSpare,
}

/// Changes `elf` so that it runs from `root`, an absolute path. Gives whether there was anything to change: files that are no amd64 ELF,
/// static programs, and libraries without a search path of their own stay as they are.
pub(crate) fn relocate(elf: &mut Vec<u8>, root: &str) -> Result<bool, ElfError> {
    let Some(headers) = program_headers(elf)? else { return Ok(false) };
    let Some(dynamic) = headers.iter().find(|header| header.kind == PT_DYNAMIC) else { return Ok(false) };
    let entries = dynamic_entries(elf, dynamic)?;
    let has = |tag| entries.iter().any(|entry| entry.tag == tag);
    let interpreter = match headers.iter().find(|header| header.kind == PT_INTERP) {
        // The C library has a loader and can be run, but nobody does.
        Some(header) if !has(DT_SONAME) => HOST_LOADERS.contains(&text_at(elf, header.offset)?).then_some(header),
        _ => None,
    };
    let own_path = entries.iter().find(|entry| matches!(entry.tag, DT_RPATH | DT_RUNPATH));
    if !has(DT_NEEDED) || (interpreter.is_none() && own_path.is_none()) {
        return Ok(false);
    }

    let strings_table = entries.iter().find(|entry| entry.tag == DT_STRTAB).ok_or(ElfError::Damaged)?.value;
    let search_path = match own_path {
        Some(entry) => {
            let offset = file_offset(&headers, strings_table.wrapping_add(entry.value)).ok_or(ElfError::Damaged)?;
            let path = text_at(elf, offset)?;
            if interpreter.is_none() && !directories(path).any(|directory| directory.starts_with(b"/")) {
                let changed = entry.tag != DT_RPATH;
                let at = entry.at;
                put(elf, at, DT_RPATH)?;
                return Ok(changed);
            }
            rebased(path, root)
        }
        None => format!("{root}{LIBRARIES}").into_bytes(),
    };
    let spare = spare_header(&headers)?;
    let slots = search_path_slots(&entries)?;
    let offset = elf.len().next_multiple_of(PAGE_BYTES);
    let address = first_free_page(&headers)?;

    let mut strings = search_path;
    strings.push(0);
    if let Some(header) = interpreter {
        let at = strings.len();
        strings.extend(format!("{root}{LOADER}\0").bytes());
        put_segment(elf, header, offset + at, address + at as u64, strings.len() - at, 1)?;
    }
    for slot in slots {
        put(elf, slot, DT_RPATH)?;
        put(elf, slot + 8, address.wrapping_sub(strings_table))?;
    }
    put(elf, spare.at, PT_LOAD | PF_R << 32)?;
    put_segment(elf, spare, offset, address, strings.len(), PAGE_BYTES)?;
    elf.resize(offset, 0);
    elf.extend(strings);
    Ok(true)
}

/// A search path of a Debian library, in the root: absolute directories below it, those relative to the library as they are.
fn rebased(path: &[u8], root: &str) -> Vec<u8> {
    let mut rebased = Vec::new();
    for directory in directories(path) {
        if directory.starts_with(b"/") {
            rebased.extend(root.as_bytes());
        }
        rebased.extend(directory);
        rebased.push(b':');
    }
    rebased.extend(root.as_bytes());
    rebased.extend(LIBRARIES.as_bytes());
    rebased
}

fn directories(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b':').filter(|directory| !directory.is_empty())
}

/// A program header: where it stands in the file, and its fields.
struct ProgramHeader {
    at: usize,
    kind: u64,
    offset: u64,
    address: u64,
    file_size: u64,
    memory_size: u64,
}

/// An entry of the dynamic section: where it stands in the file, and its fields.
struct DynamicEntry {
    at: usize,
    tag: u64,
    value: u64,
}

fn program_headers(elf: &[u8]) -> Result<Option<Vec<ProgramHeader>>, ElfError> {
    if !elf.starts_with(&IDENT) || get(elf, 18, 2)? != EM_X86_64 {
        return Ok(None);
    }
    let (table, size, count) = (get(elf, 32, 8)? as usize, get(elf, 54, 2)? as usize, get(elf, 56, 2)? as usize);
    if count > 0 && size < PROGRAM_HEADER_BYTES {
        return Err(ElfError::Damaged);
    }
    let header = |index: usize| {
        let at = table.checked_add(index * size).ok_or(ElfError::Damaged)?;
        Ok(ProgramHeader {
            at,
            kind: get(elf, at, 4)?,
            offset: get(elf, at + 8, 8)?,
            address: get(elf, at + 16, 8)?,
            file_size: get(elf, at + 32, 8)?,
            memory_size: get(elf, at + 40, 8)?,
        })
    };
    (0..count).map(header).collect::<Result<_, _>>().map(Some)
}

/// Entries up to and with the last free one: what stands behind the first `DT_NULL` is free.
fn dynamic_entries(elf: &[u8], dynamic: &ProgramHeader) -> Result<Vec<DynamicEntry>, ElfError> {
    let range = range_of(elf, dynamic.offset, dynamic.file_size)?;
    range.step_by(DYNAMIC_BYTES).map(|at| Ok(DynamicEntry { at, tag: get(elf, at, 8)?, value: get(elf, at + 8, 8)? })).collect()
}

/// The header that can be made one of a loaded segment: a note's, behind all loaded segments, because these must be in order of address.
fn spare_header(headers: &[ProgramHeader]) -> Result<&ProgramHeader, ElfError> {
    let behind = headers.iter().rev().take_while(|header| header.kind != PT_LOAD);
    behind.filter(|header| header.kind == PT_NOTE).last().ok_or(ElfError::NoHeaderToSpare)
}

/// The first page behind everything that is loaded.
fn first_free_page(headers: &[ProgramHeader]) -> Result<u64, ElfError> {
    let loaded = headers.iter().filter(|header| header.kind == PT_LOAD);
    let end = loaded.map(|header| header.address.saturating_add(header.memory_size)).max().unwrap_or(0);
    // Half of the address space is the kernel's: no program is there, and nothing below overflows.
    end.checked_next_multiple_of(PAGE_BYTES as u64).filter(|&page| page < 1 << 63).ok_or(ElfError::Damaged)
}

/// Where the entries of the search path stand in the file: those that are there, or a free one that leaves another to end the section, or
/// that by which a debugger finds the loaded libraries: only GNU ld leaves free ones, and nobody debugs tools.
fn search_path_slots(entries: &[DynamicEntry]) -> Result<Vec<usize>, ElfError> {
    let used = entries.iter().position(|entry| entry.tag == DT_NULL).unwrap_or(entries.len());
    let with = |tags: &[u64]| entries[..used].iter().filter(|entry| tags.contains(&entry.tag)).map(|entry| entry.at).collect::<Vec<_>>();
    let own = with(&[DT_RPATH, DT_RUNPATH]);
    if !own.is_empty() {
        return Ok(own);
    }
    match &entries[used..] {
        [free, end, ..] if end.tag == DT_NULL => Ok(vec![free.at]),
        _ => with(&[DT_DEBUG]).first().map(|&at| vec![at]).ok_or(ElfError::NoEntryToSpare),
    }
}

fn file_offset(headers: &[ProgramHeader], address: u64) -> Option<u64> {
    let within = |header: &&ProgramHeader| header.kind == PT_LOAD && address.wrapping_sub(header.address) < header.file_size;
    headers.iter().find(within).map(|header| address - header.address + header.offset)
}

fn text_at(elf: &[u8], offset: u64) -> Result<&[u8], ElfError> {
    let rest = usize::try_from(offset).ok().and_then(|offset| elf.get(offset..)).ok_or(ElfError::Damaged)?;
    let length = rest.iter().position(|&byte| byte == 0).ok_or(ElfError::Damaged)?;
    Ok(&rest[..length])
}

fn range_of(elf: &[u8], offset: u64, size: u64) -> Result<Range<usize>, ElfError> {
    let end = offset.checked_add(size).filter(|&end| end <= elf.len() as u64).ok_or(ElfError::Damaged)?;
    Ok(offset as usize..end as usize)
}

/// The little-endian number of `size` bytes at `at`.
fn get(elf: &[u8], at: usize, size: usize) -> Result<u64, ElfError> {
    let bytes = at.checked_add(size).and_then(|end| elf.get(at..end)).ok_or(ElfError::Damaged)?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn put(elf: &mut [u8], at: usize, value: u64) -> Result<(), ElfError> {
    let place = at.checked_add(8).and_then(|end| elf.get_mut(at..end)).ok_or(ElfError::Damaged)?;
    place.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

/// Writes all of a program header behind its kind and flags.
fn put_segment(elf: &mut [u8], header: &ProgramHeader, offset: usize, address: u64, size: usize, align: usize) -> Result<(), ElfError> {
    let (offset, size, align) = (offset as u64, size as u64, align as u64);
    for (field, value) in [offset, address, address, size, size, align].into_iter().enumerate() {
        put(elf, header.at + 8 + 8 * field, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
