//! Commands, members and votes as bytes: protocol buffers (by `prost`), whose unknown fields are skipped, so that members of neighbouring
//! versions understand each other. What is decoded shares the memory of what it was decoded from.
//!
//! Nothing here panics on any input; what is not understood is a [`DecodeError`].

mod command;
mod control;

pub(crate) use command::{CommandMessage, alarm_number, alarm_of_number};
pub use command::{decode_command, encode_command, encoded_len};
#[cfg(test)]
pub(crate) use control::tests::entries as control_entries;
pub(crate) use control::{
    CONTROL_BYTES_MAX, cause_number, cause_of_number, decode_control, encode_control, is_seal, medium_number, medium_of_number,
};

/// Bytes that do not say what they should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not protocol buffers of this kind.
    #[error("malformed bytes")]
    Malformed(#[from] prost::DecodeError),
    /// A field that must be there is missing, or has a value that this version does not know.
    #[error("no {0} that this version knows: written by a newer version?")]
    Unknown(&'static str),
}
