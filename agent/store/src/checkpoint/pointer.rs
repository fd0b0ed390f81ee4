//! The file that says which redb file counts.
//!
//! ```text
//!  0  [u8; 8]   magic
//!  8  u32       CRC32C of what follows
//! 12  u32       version
//! 16  [u8; 16]  id of the checkpoint, which is also in the redb file
//! 32  u64       number of the redb file
//! ```

const MAGIC: [u8; 8] = *b"SHOALCKP";
const VERSION: u32 = 1;

/// Bytes in the file.
pub(super) const POINTER_BYTES: usize = 40;

/// Which file counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) id: [u8; 16],
    pub(super) number: u64,
}

impl Pointer {
    pub(super) fn encode(self) -> [u8; POINTER_BYTES] {
        let mut bytes = [0; POINTER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id);
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` if it is not whole, or of a version that is not known.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; POINTER_BYTES] = bytes.try_into().ok()?;
        let (head, body) = bytes.split_at(12);
        if head[..8] != MAGIC || head[8..] != crc32c::crc32c(body).to_le_bytes() || body[..4] != VERSION.to_le_bytes() {
            return None;
        }
        let id = body[4..20].try_into().ok()?;
        let number = u64::from_le_bytes(body[20..28].try_into().ok()?);
        Some(Self { id, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_whole_or_none() {
        let pointer = Pointer { id: [3; 16], number: 9 };
        let bytes = pointer.encode();
        assert_eq!(Pointer::parse(&bytes), Some(pointer));
        assert_eq!(Pointer::parse(&bytes[1..]), None);
        for bit in 0..POINTER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Pointer::parse(&flipped), None, "bit {bit}");
        }
    }
}
