//! What the protocol promises, one test a claim: small worlds, told step by step, each for several seeds. The letters are those of the list of tests in
//! the protocol's design.

mod boxes;
mod cold_start;
mod discovery;
mod formation;
mod identity;
mod members;
mod merging;
mod replay;
mod voters;
mod why;
