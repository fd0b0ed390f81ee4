//! Rows: a value is its bytes behind a CRC of key and bytes. A table's rows are counted and their CRCs summed up.

use bytes::Bytes;

use super::Revision;

/// Bytes in front of a row's own.
pub(super) const CRC_BYTES: usize = 4;

/// A key of a table, as bytes for the CRC.
pub(super) trait RowKey {
    /// CRC32C of the key, and its length.
    fn crc(&self) -> (u32, usize);
    /// For telling people which row it is.
    fn name(&self) -> String;
}

impl RowKey for Revision {
    fn crc(&self) -> (u32, usize) {
        (crc32c::crc32c_append(crc32c::crc32c(&self.main.to_le_bytes()), &self.sub.to_le_bytes()), 16)
    }

    fn name(&self) -> String {
        format!("revision {}/{}", self.main, self.sub)
    }
}

impl RowKey for i64 {
    fn crc(&self) -> (u32, usize) {
        (crc32c::crc32c(&self.to_le_bytes()), 8)
    }

    fn name(&self) -> String {
        format!("lease {self:016x}")
    }
}

impl RowKey for &str {
    fn crc(&self) -> (u32, usize) {
        (crc32c::crc32c(self.as_bytes()), self.len())
    }

    fn name(&self) -> String {
        format!("{self:?}")
    }
}

/// The value to store. The buffer is used again.
pub(super) fn encode<'a>(key: &impl RowKey, bytes: &[u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    buffer.clear();
    buffer.extend_from_slice(&crc32c::crc32c_append(key.crc().0, bytes).to_le_bytes());
    buffer.extend_from_slice(bytes);
    buffer
}

/// The bytes in a stored value, if they are what was stored under this key.
pub(super) fn decode<'a>(key: &impl RowKey, value: &'a [u8]) -> Option<&'a [u8]> {
    let (crc, bytes) = value.split_first_chunk::<CRC_BYTES>()?;
    (u32::from_le_bytes(*crc) == crc32c::crc32c_append(key.crc().0, bytes)).then_some(bytes)
}

/// How many rows a table has, how large they are, and the sum of their CRCs (modulo 2^64).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub(super) rows: u64,
    /// Bytes of keys and values.
    pub(super) bytes: u64,
    crcs: u64,
}

/// Bytes of an encoded sum.
const SUM_BYTES: usize = 24;

impl Sum {
    /// A row has come. `value` is as it is stored.
    pub(super) fn add(&mut self, key: &impl RowKey, value: &[u8]) {
        self.change(key, value, u64::wrapping_add);
    }

    /// A row has gone. `value` is as it was stored.
    pub(super) fn remove(&mut self, key: &impl RowKey, value: &[u8]) {
        self.change(key, value, u64::wrapping_sub);
    }

    fn change(&mut self, key: &impl RowKey, value: &[u8], change: fn(u64, u64) -> u64) {
        // The stored CRC, not a new one: a row that rots while it is there must not take the difference with it.
        let crc = value.first_chunk::<CRC_BYTES>().map_or(0, |crc| u32::from_le_bytes(*crc));
        self.rows = change(self.rows, 1);
        self.bytes = change(self.bytes, (key.crc().1 + value.len()) as u64);
        self.crcs = change(self.crcs, crc.into());
    }

    pub(super) fn encode(self) -> [u8; SUM_BYTES] {
        let mut bytes = [0; SUM_BYTES];
        bytes[..8].copy_from_slice(&self.rows.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[16..].copy_from_slice(&self.crcs.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SUM_BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Some(Self { rows: number(0), bytes: number(8), crcs: number(16) })
    }
}

/// A row that was read.
pub(super) fn owned(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_was_stored_under_its_key_or_none() {
        let mut buffer = Vec::new();
        let key = Revision { main: 5, sub: 1 };
        let value = encode(&key, b"bytes", &mut buffer).to_vec();
        assert_eq!(decode(&key, &value), Some(&b"bytes"[..]));
        assert_eq!(decode(&Revision { main: 5, sub: 2 }, &value), None, "another key");
        assert_eq!(decode(&key, &value[..3]), None);
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&key, &flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn the_sum_is_that_of_the_rows_in_whatever_order_they_came() {
        let mut buffer = Vec::new();
        let rows: Vec<(i64, Vec<u8>)> = (0..5).map(|id| (id, encode(&id, &[7; 3], &mut buffer).to_vec())).collect();
        let sum = |rows: &mut dyn Iterator<Item = &(i64, Vec<u8>)>| {
            let mut sum = Sum::default();
            rows.for_each(|(id, value)| sum.add(id, value));
            sum
        };
        let all = sum(&mut rows.iter());
        assert_eq!(all, sum(&mut rows.iter().rev()));
        assert_eq!((all.rows, all.bytes), (5, 5 * (8 + 4 + 3)));
        let mut without = all;
        without.remove(&rows[2].0, &rows[2].1);
        assert_eq!(without, sum(&mut rows.iter().filter(|(id, _)| *id != 2)));
        assert_ne!(without, all);
        assert_eq!(Sum::decode(&all.encode()), Some(all));
    }
}
