//! Values one after the other.

use alloc::vec::Vec;

/// Something with one encoding, which says by itself where it ends.
pub(crate) trait Wire: Sized {
    fn put(&self, bytes: &mut Vec<u8>);
    /// Takes one from the front; none if what stands there is not exactly what [`Wire::put`] writes.
    fn take(reader: &mut Reader<'_>) -> Option<Self>;
}

/// The rest of some bytes.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn take<T: Wire>(&mut self) -> Option<T> {
        T::take(self)
    }

    /// A list with its count before it, `max` at most.
    pub(crate) fn list<T: Wire>(&mut self, max: usize) -> Option<Vec<T>> {
        let count = usize::from(self.take::<u16>()?);
        if count > max {
            return None;
        }
        (0..count).map(|_| self.take()).collect()
    }
}

/// Reads all of the bytes.
pub(crate) fn whole<T>(bytes: &[u8], take: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
    let mut reader = Reader(bytes);
    take(&mut reader).filter(|_| reader.0.is_empty())
}

/// A list with its count before it. What is over the maximum is left out: the limit of a reader is never met by what a core makes.
pub(crate) fn put_list<'a, T: Wire + 'a>(items: impl ExactSizeIterator<Item = &'a T>, max: usize, bytes: &mut Vec<u8>) {
    let count = items.len().min(max);
    u16::try_from(count).unwrap_or(u16::MAX).put(bytes);
    items.take(count).for_each(|item| item.put(bytes));
}

macro_rules! integer {
    ($($type:ty)*) => { $(
        impl Wire for $type {
            fn put(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_be_bytes());
            }

            fn take(reader: &mut Reader<'_>) -> Option<Self> {
                reader.array().map(<$type>::from_be_bytes)
            }
        }
    )* };
}

integer!(u8 u16 u32 u64 u128);

impl Wire for bool {
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.is_some().put(bytes);
        if let Some(value) = self {
            value.put(bytes);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(if reader.take()? { Some(reader.take()?) } else { None })
    }
}
