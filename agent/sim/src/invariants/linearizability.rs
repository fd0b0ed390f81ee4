//! What clients were told can be explained by all operations having happened one after the other, each between its call and its answer.
//!
//! The search is Wing and Gong's with Lowe's memory of what was tried (Testing for linearizability, 2017), for each key by itself: a history of
//! independent objects is linearizable if each of them is (Herlihy and Wing, 1990).

use std::collections::HashSet;

use crate::history::{Answer, Call, Operation, Value};

/// The state of one key: its value and the revision that wrote it. The revision is known once a client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Register(Option<(Value, Option<i64>)>);

/// Whether a key may be what a client was told it is.
fn is(register: Register, told: Option<(Value, i64)>) -> Option<Register> {
    match (register.0, told) {
        (None, None) => Some(register),
        (Some((value, revision)), Some((told, at))) if value == told && revision.is_none_or(|revision| revision == at) => {
            Some(Register(Some((told, Some(at)))))
        }
        _ => None,
    }
}

/// What a key is after an operation; `None` if the answer cannot have been given. An operation without an answer may do whatever its kind does.
fn apply(register: Register, call: &Call) -> Vec<Register> {
    let Register(before) = register;
    let answer = call.answered.map(|(_, answer)| answer);
    let one = |register: Option<Register>| register.into_iter().collect();
    match (call.operation, answer) {
        (Operation::Get, None) => vec![register],
        (Operation::Get, Some(Answer::Got(told))) => one(is(register, told)),
        (Operation::Put(value), None) => vec![Register(Some((value, None)))],
        (Operation::Put(value), Some(Answer::Written(revision))) => vec![Register(Some((value, Some(revision))))],
        (Operation::Delete, None) => vec![Register(None)],
        (Operation::Delete, Some(Answer::Written(_))) => one(before.map(|_| Register(None))),
        (Operation::Delete, Some(Answer::Absent)) => one(before.is_none().then_some(register)),
        (Operation::Swap(expected, value), answer) => {
            let may_match = match before {
                None => expected == 0,
                Some((_, revision)) => expected != 0 && revision.is_none_or(|revision| revision == expected),
            };
            let may_differ = match before {
                None => expected != 0,
                Some((_, revision)) => revision != Some(expected),
            };
            match answer {
                Some(Answer::Written(revision)) => one(may_match.then_some(Register(Some((value, Some(revision)))))),
                Some(Answer::NotSwapped(told)) => {
                    let differs = may_differ && told.is_none_or(|(_, at)| at != expected);
                    one(if differs { is(register, told) } else { None })
                }
                None => {
                    let swapped = may_match.then_some(Register(Some((value, None))));
                    swapped.into_iter().chain(may_differ.then_some(register)).collect()
                }
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// Checks the history of every key.
///
/// # Errors
/// The calls of a key that cannot be explained.
pub fn check(calls: &[Call]) -> Result<(), String> {
    let keys: std::collections::BTreeSet<usize> = calls.iter().map(|call| call.key).collect();
    for key in keys {
        let mut calls: Vec<Call> = calls.iter().filter(|call| call.key == key && !call.failed).copied().collect();
        // Nobody was told what an unanswered read saw.
        calls.retain(|call| call.answered.is_some() || call.operation != Operation::Get);
        check_key(&calls).map_err(|longest| {
            let text = calls.iter().enumerate().map(|(number, call)| {
                let mark = if longest.contains(&number) { ' ' } else { '!' };
                format!(
                    "{mark} {:>9.3?} n{} {}..{} {:?} -> {:?}",
                    call.at,
                    call.node,
                    call.called,
                    call.answered.map_or_else(|| "?".into(), |(at, _)| at.to_string()),
                    call.operation,
                    call.answered.map(|(_, answer)| answer)
                )
            });
            format!("key {key}: no order explains what clients were told (! is what does not fit)\n{}", text.collect::<Vec<_>>().join("\n"))
        })?;
    }
    Ok(())
}

/// A set of calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl Done {
    fn set(&mut self, number: usize, done: bool) {
        if done { self.0[number / 64] |= 1 << (number % 64) } else { self.0[number / 64] &= !(1 << (number % 64)) }
    }

    fn has(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }
}

/// Searches an order. The error is the longest one found.
fn check_key(calls: &[Call]) -> Result<(), Vec<usize>> {
    let answered = calls.iter().filter(|call| call.answered.is_some()).count();
    let mut done = Done(vec![0; calls.len().div_ceil(64)]);
    let mut tried: HashSet<(Done, Register)> = HashSet::new();
    let mut longest = Vec::new();
    let mut order: Vec<usize> = Vec::new();
    // What is left to try at each depth.
    let mut stack = vec![candidates(calls, &done, Register(None))];
    let mut found = 0;
    while let Some(choices) = stack.last_mut() {
        if found == answered {
            return Ok(());
        }
        let Some((number, register)) = choices.pop() else {
            stack.pop();
            if let Some(number) = order.pop() {
                done.set(number, false);
                found -= usize::from(calls[number].answered.is_some());
            }
            continue;
        };
        done.set(number, true);
        if !tried.insert((done.clone(), register)) {
            done.set(number, false);
            continue;
        }
        order.push(number);
        found += usize::from(calls[number].answered.is_some());
        if order.len() > longest.len() {
            longest.clone_from(&order);
        }
        stack.push(candidates(calls, &done, register));
    }
    if found == answered { Ok(()) } else { Err(longest) }
}

/// Calls that may come next: those that were made before the first answer of one that has not come yet. Those tried first are last.
fn candidates(calls: &[Call], done: &Done, register: Register) -> Vec<(usize, Register)> {
    let left = || calls.iter().enumerate().filter(|(number, _)| !done.has(*number));
    let first_answer = left().filter_map(|(_, call)| call.answered.map(|(at, _)| at)).min().unwrap_or(u64::MAX);
    let mut next: Vec<_> = left()
        .filter(|(_, call)| call.called < first_answer)
        .flat_map(|(number, call)| apply(register, call).into_iter().map(move |register| (number, register)))
        .collect();
    // First what was answered first; what nobody knows about only if need be.
    next.sort_by_key(|(number, _)| std::cmp::Reverse(calls[*number].answered.map_or(u64::MAX, |(at, _)| at)));
    next
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call(operation: Operation, called: u64, answered: Option<(u64, Answer)>) -> Call {
        Call { key: 0, node: 0, operation, called, answered, failed: false, at: Duration::ZERO }
    }

    #[test]
    fn a_read_sees_what_was_acknowledged_before() {
        let put = call(Operation::Put(1), 1, Some((2, Answer::Written(2))));
        assert!(check(&[put, call(Operation::Get, 3, Some((4, Answer::Got(Some((1, 2))))))]).is_ok());
        assert!(check(&[put, call(Operation::Get, 3, Some((4, Answer::Got(None))))]).is_err(), "stale");
        assert!(check(&[put, call(Operation::Get, 3, Some((4, Answer::Got(Some((1, 3))))))]).is_err(), "another revision");
    }

    #[test]
    fn concurrent_operations_may_happen_in_either_order() {
        let put = call(Operation::Put(1), 1, Some((4, Answer::Written(2))));
        for told in [None, Some((1, 2))] {
            assert!(check(&[put, call(Operation::Get, 2, Some((3, Answer::Got(told))))]).is_ok());
        }
    }

    #[test]
    fn what_nobody_knows_of_may_have_happened_or_not_but_not_go_away_again() {
        let put = call(Operation::Put(1), 1, None);
        let get = |at, told| call(Operation::Get, at, Some((at + 1, Answer::Got(told))));
        assert!(check(&[put, get(2, None), get(4, None)]).is_ok());
        assert!(check(&[put, get(2, None), get(4, Some((1, 5)))]).is_ok());
        assert!(check(&[put, get(2, Some((1, 5))), get(4, None)]).is_err());
    }

    #[test]
    fn two_swaps_of_the_same_revision_do_not_both_succeed() {
        let swap = |called, value, revision| call(Operation::Swap(0, value), called, Some((called + 1, Answer::Written(revision))));
        assert!(check(&[swap(1, 1, 2)]).is_ok());
        assert!(check(&[swap(1, 1, 2), swap(3, 2, 3)]).is_err());
    }
}
