//! Made histories: one that is right, and for each thing that must be noticed one in which it happens.

use super::*;
use crate::history::Scope;

const A: Key = Key::Register(1);
const B: Key = Key::Register(2);
const LEASED: Key = Key::Leased(1);

fn version(value: Value, created: i64, modified: i64, version: i64) -> Version {
    Version { value, created, modified, version }
}

fn call(asked: Asked, called: u64, end: End) -> Call {
    Call { client: 0, member: 0, asked, called, end }
}

fn put(key: Key, value: Value, called: u64, revision: i64, before: Option<Version>) -> Call {
    call(Asked::Put(key, value), called, End::Told(called + 1, Told::Written { revision, before }))
}

fn read(called: u64, revision: i64, found: &[(Key, Version)]) -> Call {
    let told = Told::Read { revision, found: found.iter().copied().collect() };
    call(Asked::Read(Scope::Registers), called, End::Told(called + 1, told))
}

/// Three revisions: A is written, B is written, A is written again.
fn log() -> Log {
    let first = version(10, 2, 2, 1);
    Log::from([
        (2, vec![Event { key: A, now: Some(first), before: None }]),
        (3, vec![Event { key: B, now: Some(version(20, 3, 3, 1)), before: None }]),
        (4, vec![Event { key: A, now: Some(version(11, 2, 4, 2)), before: Some(first) }]),
    ])
}

/// The calls that made it; each was answered before the next was made.
fn calls() -> Vec<Call> {
    vec![put(A, 10, 1, 2, None), put(B, 20, 3, 3, None), put(A, 11, 5, 4, Some(version(10, 2, 2, 1)))]
}

fn end_state() -> [(Key, Version); 2] {
    [(A, version(11, 2, 4, 2)), (B, version(20, 3, 3, 1))]
}

fn checked(calls: Vec<Call>, log: &Log) -> Result<Checked, String> {
    check(&Recorded { calls, ..Recorded::default() }, log)
}

#[track_caller]
fn noticed(calls: Vec<Call>, log: &Log, text: &str) {
    let error = checked(calls, log).expect_err("it cannot be");
    assert!(error.contains(text), "{error}");
}

#[test]
fn what_can_be_is_accepted() {
    let mut calls = calls();
    calls.extend([read(7, 4, &end_state()), call(Asked::Put(A, 99), 9, End::Unknown), call(Asked::Put(A, 98), 10, End::Refused)]);
    let checked = checked(calls, &log()).expect("it is how it was");
    assert_eq!((checked.answered, checked.unacknowledged), (4, 0));
    assert_eq!(checked.state, State::from(end_state()));
}

#[test]
fn a_lost_write_is_noticed() {
    // The last one is gone.
    let mut log = log();
    log.remove(&4);
    noticed(calls(), &log, "revision 4 is lost");
    // Another write took its revision.
    let mut log = self::log();
    log.get_mut(&4).expect("it is there")[0].now = Some(version(99, 2, 4, 2));
    let mut calls = calls();
    calls.push(call(Asked::Put(A, 99), 0, End::Unknown));
    noticed(calls, &log, "an acknowledged write is lost");
}

#[test]
fn a_hole_in_the_middle_is_noticed() {
    let mut log = log();
    log.remove(&3);
    noticed(calls(), &log, "nobody was told of revision 3");
}

#[test]
fn a_stale_read_is_noticed() {
    // It is what the store was at revision 2, but 4 had been acknowledged.
    let mut calls = calls();
    calls.push(read(7, 2, &[(A, version(10, 2, 2, 1))]));
    noticed(calls.clone(), &log(), "stale");
    // A member's own view may be old.
    let last = calls.last_mut().expect("it was pushed");
    last.asked = Asked::ReadSerializable(Scope::Registers);
    checked(calls.clone(), &log()).expect("it may be old");
    // So may be what is asked for before it was acknowledged.
    let last = calls.last_mut().expect("it is there");
    (last.asked, last.called) = (Asked::Read(Scope::Registers), 0);
    checked(calls, &log()).expect("they were concurrent");
}

#[test]
fn a_read_of_what_is_not_there_is_noticed() {
    let mut calls = calls();
    calls.push(read(7, 4, &[(A, version(10, 2, 2, 1)), (B, version(20, 3, 3, 1))]));
    noticed(calls, &log(), "does not fit revision 4");
}

#[test]
fn a_read_older_than_what_a_watcher_has_seen_is_noticed() {
    let mut calls: Vec<Call> =
        (1..).zip([(A, 10), (B, 20), (A, 11)]).map(|(at, (key, value))| call(Asked::Put(key, value), at, End::Unknown)).collect();
    calls.push(read(9, 3, &[(A, version(10, 2, 2, 1)), (B, version(20, 3, 3, 1))]));
    let mut recorded = Recorded { calls, ..Recorded::default() };
    check(&recorded, &log()).expect("nobody was told of more");
    recorded.seen.push((8, 4));
    assert!(check(&recorded, &log()).expect_err("it is stale").contains("stale"));
}

#[test]
fn a_value_that_disappears_is_noticed() {
    // Nobody was told of the write of 11, but somebody has read it.
    let mut calls = calls();
    calls[2].end = End::Unknown;
    calls.push(read(7, 4, &end_state()));
    checked(calls.clone(), &log()).expect("it may have happened");
    // Then it was gone, and its revision another's.
    let mut log = log();
    log.get_mut(&4).expect("it is there")[0].now = Some(version(12, 2, 4, 2));
    calls.push(put(A, 12, 9, 4, Some(version(10, 2, 2, 1))));
    noticed(calls.clone(), &log, "does not fit revision 4");
    // Or it never came back.
    calls.pop();
    log.remove(&4);
    noticed(calls, &log, "revision 4 is lost");
}

#[test]
fn a_write_that_happens_twice_is_noticed() {
    let mut log = log();
    log.insert(5, vec![Event { key: A, now: Some(version(11, 2, 5, 3)), before: Some(version(11, 2, 4, 2)) }]);
    noticed(calls(), &log, "it had happened at revision 4");
}

#[test]
fn a_refused_write_that_happens_is_noticed() {
    let mut calls = calls();
    calls[2].end = End::Refused;
    noticed(calls, &log(), "it was refused");
}

#[test]
fn what_nobody_asked_for_is_noticed() {
    let mut calls = calls();
    calls.pop();
    noticed(calls.clone(), &log(), "nobody has asked for it");
    let mut log = log();
    log.insert(4, vec![Event { key: A, now: None, before: Some(version(10, 2, 2, 1)) }]);
    noticed(calls.clone(), &log, "nobody has asked for it");
    calls.push(call(Asked::Delete(A), 7, End::Unknown));
    assert_eq!(checked(calls, &log).expect("somebody has").unacknowledged, 1);
}

#[test]
fn a_write_before_it_was_asked_for_is_noticed() {
    let mut calls = calls();
    // It was called when revision 4 was known to a reader.
    calls[2] = call(Asked::Put(A, 11), 20, End::Unknown);
    calls.push(read(7, 4, &end_state()));
    noticed(calls, &log(), "it happened before it was asked for");
}

#[test]
fn half_a_transaction_is_noticed() {
    let mut log = log();
    log.remove(&4);
    log.insert(4, vec![Event { key: A, now: Some(version(11, 2, 4, 2)), before: Some(version(10, 2, 2, 1)) }]);
    let swap = Asked::Swap { key: A, expected: 2, also: B, value: 11 };
    let mut calls = calls();
    calls[2] = call(swap, 5, End::Unknown);
    noticed(calls.clone(), &log, "it is not what was asked for");
    log.get_mut(&4).expect("it is there").push(Event { key: B, now: Some(version(11, 3, 4, 2)), before: Some(version(20, 3, 3, 1)) });
    checked(calls.clone(), &log).expect("it is whole");
    // One that was guarded by another revision than there was.
    calls[2] = call(Asked::Swap { key: A, expected: 3, also: B, value: 11 }, 5, End::Told(6, Told::Swapped { revision: 4 }));
    noticed(calls, &log, "does not fit revision 4");
}

#[test]
fn a_key_that_outlives_its_lease_is_noticed() {
    let there = version(30, 5, 5, 1);
    let mut log = log();
    log.insert(5, vec![Event { key: LEASED, now: Some(there), before: None }]);
    let mut calls = calls();
    calls.push(put(LEASED, 30, 7, 5, None));
    calls.push(call(Asked::Revoke(LEASED), 9, End::Told(10, Told::Revoked { revision: 5 })));
    noticed(calls.clone(), &log, "does not fit revision 5");
    log.insert(6, vec![Event { key: LEASED, now: None, before: Some(there) }]);
    calls[4].end = End::Told(10, Told::Revoked { revision: 6 });
    checked(calls.clone(), &log).expect("it is gone");
    log.insert(7, vec![Event { key: LEASED, now: Some(version(31, 7, 7, 1)), before: None }]);
    calls.push(call(Asked::Put(LEASED, 31), 11, End::Unknown));
    noticed(calls, &log, "its lease was revoked at revision 6");
}
