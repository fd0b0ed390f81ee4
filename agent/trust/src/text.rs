//! Bytes as text that people can copy: `shoal-<what it is>-1-<base32>`.
//!
//! The bytes are followed by 4 of SHA-256 over all that stands before, then written in base32 (RFC 4648 §6, lower case, without padding). So a typo
//! is noticed, a public key is not taken for a secret one, and programs that look for leaked secrets find these by their beginning.

use alloc::string::String;
use core::fmt;

use data_encoding::{Encoding, Specification};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of the check at the end: one typo in 4 thousand million goes unnoticed.
const CHECK_BYTES: usize = 4;

/// Why a text is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TextError {
    /// It begins otherwise.
    #[error("it does not begin with \"{0}\": it is something else")]
    Kind(&'static str),
    /// It is too short, too long, or has characters that there are not.
    #[error("it is cut off, or has characters that do not belong there")]
    Characters,
    /// It was changed.
    #[error("it has a typo: the check at its end does not fit")]
    Check,
}

/// RFC 4648's base32 in lower case, without padding.
pub(crate) fn base32() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("these are 32 different characters")
}

/// Writes bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
}

fn check(prefix: &str, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let hash: [u8; 32] = Sha256::new_with_prefix(b"shoal text v1").chain_update(prefix).chain_update(bytes).finalize().into();
    let (check, _) = hash.split_first_chunk().expect("a hash is longer than a check");
    *check
}

/// Writes bytes as text. `prefix` ends with a hyphen.
pub(crate) fn encode(prefix: &str, bytes: &[u8]) -> Zeroizing<String> {
    let mut checked = Zeroizing::new(bytes.to_vec());
    checked.reserve_exact(CHECK_BYTES);
    checked.extend_from_slice(&check(prefix, bytes));
    let base32 = base32();
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + base32.encode_len(checked.len())));
    text.push_str(prefix);
    base32.encode_append(&checked, &mut text);
    text
}

/// Reads what [`encode`] has written, and nothing else.
pub(crate) fn decode<const N: usize>(prefix: &'static str, text: &str) -> Result<Zeroizing<[u8; N]>, TextError> {
    let digits = text.strip_prefix(prefix).ok_or(TextError::Kind(prefix))?;
    let checked = Zeroizing::new(base32().decode(digits.as_bytes()).map_err(|_| TextError::Characters)?);
    let (bytes, found) = checked.split_first_chunk::<N>().ok_or(TextError::Characters)?;
    if found.len() != CHECK_BYTES {
        return Err(TextError::Characters);
    }
    if found != check(prefix, bytes) {
        return Err(TextError::Check);
    }
    Ok(Zeroizing::new(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const PREFIX: &str = "shoal-test-1-";

    #[test]
    fn every_other_text_is_refused() {
        let text = encode(PREFIX, &[0x5a; 32]);
        assert_eq!(*decode::<32>(PREFIX, &text).unwrap(), [0x5a; 32]);
        for at in 0..text.len() {
            for other in ["a", "7", "0", "A", " ", ""] {
                let mut changed = text.to_string();
                changed.replace_range(at..at + 1, other);
                if changed != *text {
                    assert!(decode::<32>(PREFIX, &changed).is_err(), "{changed}");
                }
            }
        }
        assert_eq!(decode::<16>(PREFIX, &text).unwrap_err(), TextError::Characters);
        assert_eq!(decode::<40>(PREFIX, &text).unwrap_err(), TextError::Characters);
        assert_eq!(decode::<32>("shoal-other-1-", &text).unwrap_err(), TextError::Kind("shoal-other-1-"));
    }
}
