//! The small values of the core.

use alloc::vec::Vec;

use shoal_formation::{
    BootId, ClusterId, HardwareHint, Incarnation, NodeId, NodeKey, Peer, Standing,
    control::{Admission, Cause, Refusal},
    message::{JoinRefusal, Membership, RaftPosition, Sighting, Wish},
    settings::{Medium, Traits, VoterLabel},
};

use crate::codec::{Reader, Wire};

/// A struct of one field, or of several.
macro_rules! fields {
    ($type:ident { $($field:tt),* }) => {
        impl Wire for $type {
            fn put(&self, bytes: &mut Vec<u8>) {
                $(self.$field.put(bytes);)*
            }

            fn take(reader: &mut Reader<'_>) -> Option<Self> {
                Some($type { $($field: reader.take()?),* })
            }
        }
    };
}

/// An enum whose variants are told apart by a byte.
macro_rules! variants {
    ($type:ident { $($number:literal => $variant:ident $(($($field:ident),*))?),* $(,)? }) => {
        impl Wire for $type {
            fn put(&self, bytes: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($($field),*))? => {
                        bytes.push($number);
                        $($($field.put(bytes);)*)?
                    })*
                }
            }

            fn take(reader: &mut Reader<'_>) -> Option<Self> {
                match reader.u8()? {
                    $($number => {
                        $($(let $field = reader.take()?;)*)?
                        Some(Self::$variant $(($($field),*))?)
                    })*
                    _ => None,
                }
            }
        }
    };
}

impl Wire for NodeKey {
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        reader.array().map(Self)
    }
}

fields!(ClusterId { 0 });
fields!(NodeId { 0 });
fields!(Incarnation { 0 });
fields!(BootId { 0 });
fields!(HardwareHint { 0 });
fields!(Peer { key, boot });
fields!(Membership { cluster, node, sealed, live });
fields!(Sighting { peer, incarnation, standing });
fields!(RaftPosition { term, last, committed });
fields!(Traits { medium, version, label, domain, maintenance });
fields!(Admission { key, boot, hint, medium });

variants!(Medium { 1 => Disk, 2 => Memory });
variants!(VoterLabel { 1 => Never, 2 => Allowed, 3 => Preferred });
variants!(Standing { 1 => Virgin, 2 => Founding, 3 => Joining, 4 => Member(member), 5 => ExMember });
variants!(Cause { 1 => Operator, 2 => Replaced, 3 => Superseded, 4 => Revoked });
variants!(Refusal {
    1 => Begun,
    2 => Dissolved(into),
    3 => Sealed,
    4 => Unborn,
    5 => KeyTaken,
    6 => KeyRemoved,
    7 => Revoked,
    8 => NoMember,
});
variants!(JoinRefusal { 1 => NotHere, 2 => Rules(refusal) });
variants!(Wish { 1 => Admit(admission), 2 => Seal, 3 => Remove(node, cause) });
