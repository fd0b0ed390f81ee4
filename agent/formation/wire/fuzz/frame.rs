//! What the fuzz target and the short run of the tests do with bytes: read them as a frame, and as each kind of record.
//!
//! The input is one byte (which of them), and the bytes.

use shoal_formation_wire::{Frame, record};

/// Reads `input`. Says whether it was what it should be.
pub(crate) fn read(input: &[u8]) -> bool {
    let Some((kind, bytes)) = input.split_first() else { return false };
    match kind % 4 {
        0 => Frame::decode(bytes).is_ok_and(|frame| {
            assert!(frame.encode() == bytes, "a frame has one encoding");
            true
        }),
        1 => record::decode_role(bytes).is_ok(),
        2 => record::decode_past_lives(bytes).is_ok(),
        _ => record::decode_floors(bytes).is_ok_and(|floors| {
            assert!(record::encode_floors(&floors) == bytes, "floors have one encoding");
            true
        }),
    }
}
