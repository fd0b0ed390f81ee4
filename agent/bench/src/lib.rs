//! The part of `shoal-store-bench` that only calculates: what etcd's benchmark client and the kernel have printed becomes numbers, pairs of
//! numbers become ratios, and ratios become a table. No process, clock or file is in here; those are the program's.
//!
//! | module | from | to |
//! |---|---|---|
//! | [`report`] | what etcd's benchmark client prints | throughput and latencies |
//! | [`process`] | files of `/proc` | processor time, memory, bytes written |
//! | [`events`] | a watch response on the wire | how many events are in it |
//! | [`figures`] | pairs of samples | medians, ratio, spread, whether the aim is met |
//! | [`table`] | rows of figures | Markdown |

pub mod events;
pub mod figures;
pub mod process;
pub mod report;
pub mod table;
