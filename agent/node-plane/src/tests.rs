//! Planes on loopback, and those who want in.

mod fleet;
mod floods;
mod sessions;
mod strangers;
