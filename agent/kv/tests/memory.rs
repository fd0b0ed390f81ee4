//! What an object costs beyond its bytes. Measured as the operating system sees it, so alone in its process.
#![cfg(target_os = "linux")]

use bytes::Bytes;
use shoal_kv::{Command, PutRequest, Store};

/// Of a Kubernetes cluster of some size.
const OBJECTS: u64 = 100_000;
const VALUE_BYTES: u64 = 1024;

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    // The smallest page there is: larger ones only make the figure smaller than it is on other machines.
    pages * 4096
}

fn key(number: u64) -> Bytes {
    // Not in the order in which they are written.
    format!("/registry/pods/default/pod-{:08x}", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff).into()
}

fn put(store: &mut Store, number: u64, value_bytes: u64) {
    let value = Bytes::from(vec![b'v'; value_bytes.try_into().unwrap()]);
    let applied = store.apply(Command::Put(PutRequest { key: key(number), value, ..PutRequest::default() }));
    assert!(applied.batch.is_some());
}

#[test]
fn an_object_costs_less_than_400_bytes_beyond_its_name_and_value() {
    let mut store = Store::new();
    put(&mut store, 0, VALUE_BYTES);
    let before = resident_bytes();
    (1..OBJECTS).for_each(|number| put(&mut store, number, VALUE_BYTES));
    let used = resident_bytes() - before;
    let overhead = used / OBJECTS - VALUE_BYTES - key(0).len() as u64;
    assert!(overhead < 400, "{overhead} bytes each");
    let said = store.usage().bytes;
    assert!(said.abs_diff(used) < used / 10, "{said} bytes are said to be used, {used} are");

    let before = resident_bytes();
    (0..OBJECTS).for_each(|number| put(&mut store, number, 0));
    let version = (resident_bytes() - before) / OBJECTS;
    assert!(version < 250, "{version} bytes for one more version");
}
