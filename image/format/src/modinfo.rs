//! What a kernel module says about itself: the `.modinfo` section of an ELF object (`include/linux/moduleinfo.h`, `include/linux/module.h`).
//!
//! Both architectures' modules are 64-bit little-endian ELF. The bytes must be those of the `.ko`, decompressed.

/// A module's account of itself. Lists are in the order of the section, which is the order to load and to match in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Its name, as `lsmod` shows it.
    pub name: String,
    /// Modules whose symbols it uses.
    pub depends: Vec<String>,
    /// Patterns of the devices it drives, and other names for it.
    pub aliases: Vec<String>,
    /// Modules or aliases to load before it where they exist (`softdep pre:`).
    pub soft_before: Vec<String>,
    /// Modules or aliases to load after it where they exist (`softdep post:`).
    pub soft_after: Vec<String>,
    /// Files below `/usr/lib/firmware` that it may ask for. May hold shell patterns.
    pub firmware: Vec<String>,
}

/// Why bytes are not a kernel module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleInfoError {
    /// Not a 64-bit little-endian ELF file; perhaps still compressed.
    #[error("it is not a 64-bit little-endian ELF object; decompress it first")]
    NotElf,
    /// Something lies behind the end of the file.
    #[error("it is cut off: its {what} lies behind its {length} bytes; fetch the package again")]
    CutOff {
        /// What.
        what: &'static str,
        /// Length of the file in bytes.
        length: usize,
    },
    /// No `.modinfo`.
    #[error("it has no .modinfo section, so it is not a kernel module")]
    NoModinfo,
    /// No `name=` in it.
    #[error("its .modinfo has no name; kernels before 4.16 are not supported")]
    NoName,
}

impl ModuleInfo {
    /// Reads a module.
    ///
    /// # Errors
    /// [`ModuleInfoError`].
    pub fn parse(module: &[u8]) -> Result<Self, ModuleInfoError> {
        let section = section(module, b".modinfo")?.ok_or(ModuleInfoError::NoModinfo)?;
        let mut info = Self::default();
        for entry in section.split(|&byte| byte == 0) {
            let entry = String::from_utf8_lossy(entry);
            let Some((key, value)) = entry.split_once('=') else { continue };
            match key {
                "name" => value.clone_into(&mut info.name),
                "depends" => info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(str::to_owned)),
                "alias" => info.aliases.push(value.to_owned()),
                "firmware" => info.firmware.push(value.to_owned()),
                "softdep" => info.soft_dependency(value),
                _ => {}
            }
        }
        if info.name.is_empty() { Err(ModuleInfoError::NoName) } else { Ok(info) }
    }

    /// Takes in `pre: a b post: c`.
    fn soft_dependency(&mut self, text: &str) {
        let mut list = None;
        for word in text.split_whitespace() {
            match (word, list) {
                ("pre:" | "post:", _) => list = Some(word),
                (name, Some("pre:")) => self.soft_before.push(name.to_owned()),
                (name, Some(_)) => self.soft_after.push(name.to_owned()),
                (_, None) => {}
            }
        }
    }
}

/// Length of a section header in bytes (`Elf64_Shdr`).
const SECTION_HEADER: usize = 64;

/// The contents of the section called `name`.
fn section<'elf>(elf: &'elf [u8], name: &[u8]) -> Result<Option<&'elf [u8]>, ModuleInfoError> {
    // Magic, 64 bits, little endian.
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return Err(ModuleInfoError::NotElf);
    }
    let table = field::<8>(elf, 0x28, "header")?;
    let count = field::<2>(elf, 0x3c, "header")?;
    let names = field::<2>(elf, 0x3e, "header")?;
    let header = |number: u64| {
        let start = usize::try_from(table).ok().and_then(|table| table.checked_add(number as usize * SECTION_HEADER));
        range(elf, start, Some(SECTION_HEADER), "section table")
    };
    let contents = |header: &[u8]| -> Result<&'elf [u8], ModuleInfoError> {
        let start = usize::try_from(field::<8>(header, 0x18, "section table")?).ok();
        let length = usize::try_from(field::<8>(header, 0x20, "section table")?).ok();
        range(elf, start, length, "section")
    };
    let names = contents(header(names)?)?;
    for number in 0..count {
        let header = header(number)?;
        let start = field::<4>(header, 0, "section table")? as usize;
        let own = names.get(start..).unwrap_or_default().split(|&byte| byte == 0).next();
        if own == Some(name) {
            return contents(header).map(Some);
        }
    }
    Ok(None)
}

fn range<'elf>(elf: &'elf [u8], start: Option<usize>, length: Option<usize>, what: &'static str) -> Result<&'elf [u8], ModuleInfoError> {
    let end = start.zip(length).and_then(|(start, length)| start.checked_add(length));
    let found = start.zip(end).and_then(|(start, end)| elf.get(start..end));
    found.ok_or(ModuleInfoError::CutOff { what, length: elf.len() })
}

/// A little-endian number of `BYTES` bytes.
fn field<const BYTES: usize>(bytes: &[u8], at: usize, what: &'static str) -> Result<u64, ModuleInfoError> {
    let source = range(bytes, Some(at), Some(BYTES), what)?;
    let mut wide = [0; 8];
    wide[..BYTES].copy_from_slice(source);
    Ok(u64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An ELF object with the given `.modinfo` and a section before it.
    fn module(modinfo: &[u8]) -> Vec<u8> {
        let names = b"\0.text\0.shstrtab\0.modinfo\0";
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        let names_at = elf.len();
        elf.extend(names);
        let modinfo_at = elf.len();
        elf.extend(modinfo);
        let table = elf.len() as u64;
        elf[0x28..0x30].copy_from_slice(&table.to_le_bytes());
        elf[0x3c..0x3e].copy_from_slice(&4_u16.to_le_bytes());
        elf[0x3e..0x40].copy_from_slice(&2_u16.to_le_bytes());
        for (name, at, length) in [(0, 0, 0), (1, 0, 0), (7, names_at, names.len()), (17, modinfo_at, modinfo.len())] {
            let mut header = [0; SECTION_HEADER];
            header[..4].copy_from_slice(&(name as u32).to_le_bytes());
            header[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(length as u64).to_le_bytes());
            elf.extend(header);
        }
        elf
    }

    #[test]
    fn everything_is_read_in_order() {
        let modinfo = b"license=GPL\0softdep=pre: crc32c sha256 post: late\0\0alias=pci:v2\0alias=fs-ext4\0\
                        firmware=tigon/tg3.bin\0depends=mbcache,jbd2\0softdep=post: later\0retpoline=Y\0name=ext4\0";
        let info = ModuleInfo::parse(&module(modinfo)).unwrap();
        let list = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let expected = ModuleInfo {
            name: "ext4".into(),
            depends: list(&["mbcache", "jbd2"]),
            aliases: list(&["pci:v2", "fs-ext4"]),
            soft_before: list(&["crc32c", "sha256"]),
            soft_after: list(&["late", "later"]),
            firmware: list(&["tigon/tg3.bin"]),
        };
        assert_eq!(info, expected);
    }

    #[test]
    fn a_module_without_dependencies_has_none() {
        assert!(ModuleInfo::parse(&module(b"depends=\0name=loop\0")).unwrap().depends.is_empty());
    }

    #[test]
    fn other_files_are_refused_by_what_they_lack() {
        assert_eq!(ModuleInfo::parse(b"\xfd7zXZ\0").unwrap_err(), ModuleInfoError::NotElf);
        assert_eq!(ModuleInfo::parse(&module(b"depends=\0")).unwrap_err(), ModuleInfoError::NoName);
        let mut other = module(b"name=a\0");
        let at = other.windows(8).position(|bytes| bytes == b".modinfo").unwrap();
        other[at] = b'x';
        assert_eq!(ModuleInfo::parse(&other).unwrap_err(), ModuleInfoError::NoModinfo);
    }

    #[test]
    fn a_module_cut_off_anywhere_is_refused() {
        let whole = module(b"name=a\0");
        for length in 0..whole.len() {
            assert!(ModuleInfo::parse(&whole[..length]).is_err(), "cut to {length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(changes in prop::collection::vec((6..250_usize, any::<u8>()), 1..20)) {
            let mut elf = module(b"name=a\0depends=b\0softdep=pre: c\0");
            for (at, byte) in changes {
                if let Some(target) = elf.get_mut(at) {
                    *target = byte;
                }
            }
            let _ = ModuleInfo::parse(&elf);
        }
    }
}
