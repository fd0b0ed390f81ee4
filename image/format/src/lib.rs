//! Bytes in, bytes out: the formats an appliance image is made of.
pub mod cpio;
pub mod epoch;
pub mod gpt;
pub mod sparse;
pub mod tar;
pub mod tree;
