//! Bytes in, bytes out: the formats an appliance image is made of.
pub mod tree;
