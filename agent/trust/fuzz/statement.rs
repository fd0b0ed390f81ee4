//! What the fuzz target and the short run of the tests do with bytes: read them as each kind of signed statement.
//!
//! The input is one byte (which kind), and the statement.

use shoal_trust::statement::{KeyRotation, MemberCert, PastLife, Removed, Signed, Statement};

/// Reads `input`. Says whether it was a statement, of whomever.
pub(crate) fn read_statements(input: &[u8]) -> bool {
    let Some((kind, bytes)) = input.split_first() else { return false };
    match kind % 4 {
        0 => read::<PastLife>(bytes),
        1 => read::<KeyRotation>(bytes),
        2 => read::<MemberCert>(bytes),
        _ => read::<Removed>(bytes),
    }
}

fn read<T: Statement>(bytes: &[u8]) -> bool {
    let Ok(signed) = Signed::<T>::parse(bytes) else { return false };
    assert!(signed.encode() == bytes, "a statement has one encoding");
    true
}
