//! What nodes say to each other, as bytes.

mod frames;
mod records;
mod sample;
