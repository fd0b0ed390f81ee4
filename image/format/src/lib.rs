//! Bytes in, bytes out: the formats an appliance image is made of.
pub mod cpio;
pub mod epoch;
pub mod fat;
pub mod gpt;
pub mod grub;
pub mod iso;
pub mod pe;
pub mod qcow2;
pub mod sparse;
pub mod tar;
pub mod tree;
pub mod uki;
