//! The headers of a 64-bit PE image (PE32+), as far as unified kernel images need them. Layout: Microsoft, "PE Format".

/// Length of a section header in bytes.
pub(crate) const SECTION_HEADER: usize = 40;

/// Offset in the COFF header of the number of sections (16 bits).
pub(crate) const NUMBER_OF_SECTIONS: usize = 2;

/// Offsets in the optional header.
pub(crate) const SIZE_OF_INITIALISED_DATA: usize = 8;
pub(crate) const SIZE_OF_IMAGE: usize = 56;
pub(crate) const CHECKSUM: usize = 64;
pub(crate) const DLL_CHARACTERISTICS: usize = 70;
/// The fifth data directory: file offset and length of the signatures.
pub(crate) const CERTIFICATE_TABLE: usize = 112 + 4 * 8;

/// Length of the COFF header in bytes.
const COFF_HEADER: usize = 20;

/// Where in the DOS header the PE signature's offset lies.
const PE_OFFSET: usize = 0x3c;

/// `Magic` of a 64-bit optional header.
const PE32_PLUS: u16 = 0x020b;

/// One section of a PE image. Lengths and places are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Section {
    /// Its name, at most 8 bytes.
    pub name: String,
    /// Where its contents begin in the file.
    pub file_offset: u64,
    /// Length in the file, padding included.
    pub file_length: u64,
    /// Where it is loaded, from the image's base.
    pub virtual_address: u64,
    /// Length in memory: that of its contents, or more if zeros follow them.
    pub virtual_size: u64,
}

impl Section {
    /// Its contents in the image it was read from, without the padding of the file.
    ///
    /// # Panics
    /// If `image` is another, shorter one.
    #[must_use]
    pub fn contents<'image>(&self, image: &'image [u8]) -> &'image [u8] {
        let length = self.file_length.min(self.virtual_size);
        &image[self.file_offset as usize..(self.file_offset + length) as usize]
    }
}

/// Why bytes are not a 64-bit PE image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// The file ends inside its headers.
    #[error("it ends inside its headers, at byte {length}")]
    CutOff {
        /// Length of the file.
        length: usize,
    },
    /// A signature is missing.
    #[error("it is not a 64-bit PE image (no {expected})")]
    NotPe {
        /// What was looked for.
        expected: &'static str,
    },
    /// An alignment that is zero or no power of two.
    #[error("its alignments ({file} bytes in the file, {memory} in memory) are not powers of two")]
    Alignment {
        /// `FileAlignment`.
        file: u32,
        /// `SectionAlignment`.
        memory: u32,
    },
    /// A section that reaches behind the file.
    #[error("its section `{name}` reaches behind the end of the file")]
    SectionCutOff {
        /// The section.
        name: String,
    },
}

/// What the headers say, and where in the file they say it.
#[derive(Debug, Clone)]
pub(crate) struct Headers {
    pub(crate) machine: u16,
    pub(crate) coff_offset: usize,
    pub(crate) optional_offset: usize,
    pub(crate) section_table: usize,
    pub(crate) file_alignment: u32,
    pub(crate) section_alignment: u32,
    pub(crate) size_of_headers: u32,
    pub(crate) size_of_image: u32,
    pub(crate) size_of_initialised_data: u32,
    pub(crate) dll_characteristics: u16,
    pub(crate) signed: bool,
    pub(crate) sections: Vec<Section>,
}

impl Headers {
    pub(crate) fn parse(image: &[u8]) -> Result<Self, PeError> {
        Self::parse_head(image, image.len() as u64)
    }

    /// The same from the first bytes of a file of `length` bytes.
    pub(crate) fn parse_head(head: &[u8], length: u64) -> Result<Self, PeError> {
        let view = View(head);
        if view.bytes(0, 2)? != b"MZ" {
            return Err(PeError::NotPe { expected: "MZ" });
        }
        let signature = view.u32(PE_OFFSET)? as usize;
        if view.bytes(signature, 4)? != b"PE\0\0" {
            return Err(PeError::NotPe { expected: "PE signature" });
        }
        let coff_offset = signature + 4;
        let optional_offset = coff_offset + COFF_HEADER;
        if view.u16(optional_offset)? != PE32_PLUS {
            return Err(PeError::NotPe { expected: "PE32+ header" });
        }
        let (memory, file) = (view.u32(optional_offset + 32)?, view.u32(optional_offset + 36)?);
        if !memory.is_power_of_two() || !file.is_power_of_two() {
            return Err(PeError::Alignment { file, memory });
        }
        let section_table = optional_offset + usize::from(view.u16(coff_offset + 16)?);
        let directories = view.u32(optional_offset + 108)?;
        let signed = directories > 4 && view.bytes(optional_offset + CERTIFICATE_TABLE, 8)? != [0; 8];
        let count = usize::from(view.u16(coff_offset + NUMBER_OF_SECTIONS)?);
        let sections = (0..count).map(|number| section(view, section_table + number * SECTION_HEADER, length)).collect::<Result<_, _>>()?;
        Ok(Self {
            machine: view.u16(coff_offset)?,
            coff_offset,
            optional_offset,
            section_table,
            file_alignment: file,
            section_alignment: memory,
            size_of_headers: view.u32(optional_offset + 60)?,
            size_of_image: view.u32(optional_offset + SIZE_OF_IMAGE)?,
            size_of_initialised_data: view.u32(optional_offset + SIZE_OF_INITIALISED_DATA)?,
            dll_characteristics: view.u16(optional_offset + DLL_CHARACTERISTICS)?,
            signed,
            sections,
        })
    }
}

fn section(view: View<'_>, at: usize, length: u64) -> Result<Section, PeError> {
    let name = view.bytes(at, 8)?;
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    let section = Section {
        name: String::from_utf8_lossy(&name[..end]).into_owned(),
        virtual_size: u64::from(view.u32(at + 8)?),
        virtual_address: u64::from(view.u32(at + 12)?),
        file_length: u64::from(view.u32(at + 16)?),
        file_offset: u64::from(view.u32(at + 20)?),
    };
    if section.file_offset + section.file_length > length {
        return Err(PeError::SectionCutOff { name: section.name });
    }
    Ok(section)
}

/// Little-endian fields of a file that may be cut off anywhere.
#[derive(Clone, Copy)]
struct View<'image>(&'image [u8]);

impl<'image> View<'image> {
    fn bytes(self, at: usize, length: usize) -> Result<&'image [u8], PeError> {
        let end = at.checked_add(length);
        end.and_then(|end| self.0.get(at..end)).ok_or(PeError::CutOff { length: self.0.len() })
    }

    fn u16(self, at: usize) -> Result<u16, PeError> {
        self.bytes(at, 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(self, at: usize) -> Result<u32, PeError> {
        self.bytes(at, 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

/// Small PE images for tests.
#[cfg(test)]
pub(crate) mod sample {
    use super::SECTION_HEADER;

    /// Offset of the PE signature in the samples.
    const SIGNATURE: usize = 0x80;

    /// Bytes of all headers of an image with room for `sections` more section headers.
    fn table_end(sections: usize) -> usize {
        SIGNATURE + 4 + 20 + 240 + (1 + sections) * SECTION_HEADER
    }

    pub(crate) fn image(machine: u16) -> Vec<u8> {
        image_of_size(machine, 0x2000)
    }

    pub(crate) fn image_of_size(machine: u16, size_of_image: u32) -> Vec<u8> {
        build(machine, size_of_image, 0x400)
    }

    pub(crate) fn image_with_header_room(machine: u16, sections: usize) -> Vec<u8> {
        build(machine, 0x2000, table_end(sections))
    }

    /// An image with one section `.text` of 16 bytes.
    fn build(machine: u16, size_of_image: u32, size_of_headers: usize) -> Vec<u8> {
        let text_offset = size_of_headers.next_multiple_of(512);
        let mut image = vec![0; text_offset + 512];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3c, &(SIGNATURE as u32).to_le_bytes());
        put(SIGNATURE, b"PE\0\0");
        let coff = SIGNATURE + 4;
        put(coff, &machine.to_le_bytes());
        put(coff + 2, &1_u16.to_le_bytes());
        put(coff + 16, &240_u16.to_le_bytes());
        let optional = coff + 20;
        put(optional, &0x020b_u16.to_le_bytes());
        put(optional + 32, &4096_u32.to_le_bytes());
        put(optional + 36, &512_u32.to_le_bytes());
        put(optional + 56, &size_of_image.to_le_bytes());
        put(optional + 60, &(size_of_headers as u32).to_le_bytes());
        put(optional + 108, &16_u32.to_le_bytes());
        let section = optional + 240;
        put(section, b".text");
        for (field, value) in [(8, 16_u32), (12, 4096), (16, 512), (20, text_offset as u32), (36, 0x6000_0020)] {
            put(section + field, &value.to_le_bytes());
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_cut_off_anywhere_is_refused() {
        let image = sample::image(0x8664);
        assert_eq!(Headers::parse(&image).unwrap().sections[0].name, ".text");
        for length in 0..image.len() {
            assert!(Headers::parse(&image[..length]).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn other_files_are_refused_by_what_they_lack() {
        assert_eq!(Headers::parse(b"\x7fELF").unwrap_err(), PeError::NotPe { expected: "MZ" });
        let mut thirty_two_bits = sample::image(0x014c);
        thirty_two_bits[0x80 + 24] = 0x0b;
        thirty_two_bits[0x80 + 25] = 0x01;
        assert_eq!(Headers::parse(&thirty_two_bits).unwrap_err(), PeError::NotPe { expected: "PE32+ header" });
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(changes in prop::collection::vec((0..0x400_usize, any::<u8>()), 1..20)) {
            let mut image = sample::image(0x8664);
            for (at, byte) in changes {
                image[at] = byte;
            }
            if let Ok(headers) = Headers::parse(&image) {
                for section in &headers.sections {
                    let _ = section.contents(&image);
                }
            }
        }
    }
}
