//! Entries about the cluster itself as bytes. They decide who belongs to a cluster and whether it may ever be wiped, so nothing in them is skipped or
//! left to chance: each kind has one length and one encoding, and whatever else stands there is refused.
//!
//! ```text
//! entry     = version: u8 (1), kind: u8, fields        (integers big endian)
//! genesis   = 0, admission          admit    = 1, admission
//! born      = 2                     seal     = 3
//! dissolve  = 4, cluster: u128      remove   = 5, node: u64, cause: u8
//! admission = key: 32 bytes, boot: u64, hint: u64, medium: u8
//! ```

use shoal_formation::{
    BootId, ClusterId, ControlEntry, HardwareHint, NodeId, NodeKey,
    control::{Admission, Cause},
    settings::Medium,
};

use super::DecodeError;

const VERSION: u8 = 1;

/// Bytes of the longest entry, an admission: version, kind, key, boot, hint, medium.
pub(crate) const CONTROL_BYTES_MAX: usize = 2 + 32 + 8 + 8 + 1;

const GENESIS: u8 = 0;
const ADMIT: u8 = 1;
const BORN: u8 = 2;
pub(crate) const SEAL: u8 = 3;
const DISSOLVE: u8 = 4;
const REMOVE: u8 = 5;

const UNKNOWN: DecodeError = DecodeError::Unknown("control entry");

/// The entry as bytes.
pub(crate) fn encode_control(entry: &ControlEntry, bytes: &mut Vec<u8>) {
    bytes.push(VERSION);
    match entry {
        ControlEntry::Genesis(admission) => encode_admission(GENESIS, admission, bytes),
        ControlEntry::Admit(admission) => encode_admission(ADMIT, admission, bytes),
        ControlEntry::Born => bytes.push(BORN),
        ControlEntry::Seal => bytes.push(SEAL),
        ControlEntry::Dissolve(ClusterId(into)) => {
            bytes.push(DISSOLVE);
            bytes.extend(into.to_be_bytes());
        }
        ControlEntry::Remove(NodeId(node), cause) => {
            bytes.push(REMOVE);
            bytes.extend(node.to_be_bytes());
            bytes.push(cause_number(*cause));
        }
    }
}

fn encode_admission(kind: u8, admission: &Admission, bytes: &mut Vec<u8>) {
    bytes.push(kind);
    bytes.extend(admission.key.0);
    bytes.extend(admission.boot.0.to_be_bytes());
    bytes.extend(admission.hint.0.to_be_bytes());
    bytes.push(medium_number(admission.medium));
}

/// Whether these bytes begin like a seal: for whoever looks through many entries.
pub(crate) fn is_seal(bytes: &[u8]) -> bool {
    bytes == [VERSION, SEAL]
}

/// The entry in `bytes`, all of them.
pub(crate) fn decode_control(bytes: &[u8]) -> Result<ControlEntry, DecodeError> {
    let mut fields = Fields(bytes);
    if fields.byte()? != VERSION {
        return Err(DecodeError::Unknown("version of a control entry"));
    }
    let entry = match fields.byte()? {
        GENESIS => ControlEntry::Genesis(fields.admission()?),
        ADMIT => ControlEntry::Admit(fields.admission()?),
        BORN => ControlEntry::Born,
        SEAL => ControlEntry::Seal,
        DISSOLVE => ControlEntry::Dissolve(ClusterId(u128::from_be_bytes(fields.take()?))),
        REMOVE => ControlEntry::Remove(NodeId(fields.number()?), cause_of_number(fields.byte()?.into())?),
        _ => return Err(UNKNOWN),
    };
    if fields.0.is_empty() { Ok(entry) } else { Err(UNKNOWN) }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(UNKNOWN)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.take().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        self.take().map(u64::from_be_bytes)
    }

    fn admission(&mut self) -> Result<Admission, DecodeError> {
        Ok(Admission {
            key: NodeKey(self.take()?),
            boot: BootId(self.number()?),
            hint: HardwareHint(self.number()?),
            medium: medium_of_number(self.byte()?.into())?,
        })
    }
}

pub(crate) const fn medium_number(medium: Medium) -> u8 {
    match medium {
        Medium::Disk => 0,
        Medium::Memory => 1,
    }
}

pub(crate) const fn medium_of_number(number: u32) -> Result<Medium, DecodeError> {
    match number {
        0 => Ok(Medium::Disk),
        1 => Ok(Medium::Memory),
        _ => Err(DecodeError::Unknown("medium")),
    }
}

pub(crate) const fn cause_number(cause: Cause) -> u8 {
    match cause {
        Cause::Operator => 0,
        Cause::Replaced => 1,
        Cause::Superseded => 2,
        Cause::Revoked => 3,
    }
}

pub(crate) const fn cause_of_number(number: u32) -> Result<Cause, DecodeError> {
    match number {
        0 => Ok(Cause::Operator),
        1 => Ok(Cause::Replaced),
        2 => Ok(Cause::Superseded),
        3 => Ok(Cause::Revoked),
        _ => Err(DecodeError::Unknown("cause of a removal")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn entries() -> Vec<ControlEntry> {
        let admission =
            |number, medium| Admission { key: NodeKey([number; 32]), boot: BootId(u64::MAX - 1), hint: HardwareHint(3), medium };
        let causes = [Cause::Operator, Cause::Replaced, Cause::Superseded, Cause::Revoked];
        let mut entries = vec![
            ControlEntry::Genesis(admission(1, Medium::Disk)),
            ControlEntry::Admit(admission(2, Medium::Memory)),
            ControlEntry::Born,
            ControlEntry::Seal,
            ControlEntry::Dissolve(ClusterId(0x0123_4567_89ab_cdef_0011_2233_4455_6677)),
        ];
        entries.extend(causes.map(|cause| ControlEntry::Remove(NodeId(1 << 40), cause)));
        entries
    }

    fn encoded(entry: &ControlEntry) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_control(entry, &mut bytes);
        bytes
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_nothing_shorter_or_longer_is_one() {
        for entry in entries() {
            let mut bytes = encoded(&entry);
            assert_eq!(decode_control(&bytes), Ok(entry));
            assert_eq!(is_seal(&bytes), entry == ControlEntry::Seal);
            assert!(bytes.len() <= CONTROL_BYTES_MAX);
            for length in 0..bytes.len() {
                assert!(decode_control(&bytes[..length]).is_err(), "{entry:?} cut to {length}");
            }
            bytes.push(0);
            assert!(decode_control(&bytes).is_err(), "{entry:?} with a byte more");
        }
    }

    #[test]
    fn bytes_that_are_understood_are_the_only_ones_for_what_they_say() {
        for entry in entries() {
            let bytes = encoded(&entry);
            for (at, bit) in (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                if let Ok(other) = decode_control(&flipped) {
                    assert_ne!(other, entry);
                    assert_eq!(encoded(&other), flipped);
                }
            }
        }
    }

    /// Logs live longer than versions: what these bytes say never changes.
    #[test]
    fn the_bytes_are_these() {
        assert_eq!(encoded(&ControlEntry::Seal), [1, 3]);
        assert_eq!(encoded(&ControlEntry::Remove(NodeId(258), Cause::Revoked)), [1, 5, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(encoded(&entries()[1])[..3], [1, 1, 2]);
        assert_eq!(encoded(&entries()[1])[34..], [255, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0, 0, 0, 0, 0, 3, 1]);
    }
}
