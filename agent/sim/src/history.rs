//! What clients have asked for and been told.

use std::{cell::RefCell, rc::Rc, time::Duration};

/// A value of a register. Every write writes another one.
pub type Value = u64;

/// What a client asks of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read it, linearizably.
    Get,
    /// Write it.
    Put(Value),
    /// Delete it.
    Delete,
    /// Write it if it was last changed at this revision (0: if it does not exist), otherwise read it.
    Swap(i64, Value),
}

/// What a client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The value and the revision that wrote it.
    Got(Option<(Value, i64)>),
    /// It was written, or deleted if it existed, at this revision.
    Written(i64),
    /// There was nothing to delete.
    Absent,
    /// It was not swapped: it is so.
    NotSwapped(Option<(Value, i64)>),
}

/// An operation from its call to its end.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Which key.
    pub key: usize,
    /// Which node was asked.
    pub node: usize,
    /// What was asked.
    pub operation: Operation,
    /// When, in the order of everything that was recorded.
    pub called: u64,
    /// When it was answered, and what; `None` if nobody knows whether it happened, or ever will.
    pub answered: Option<(u64, Answer)>,
    /// It certainly never happens.
    pub failed: bool,
    /// Since the simulation began, for people.
    pub at: Duration,
}

/// All calls. Cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct History(Rc<RefCell<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    calls: Vec<Call>,
    clock: u64,
}

impl Recorded {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

impl History {
    /// Something is asked; gives its number.
    pub fn call(&self, key: usize, node: usize, operation: Operation, at: Duration) -> usize {
        let mut recorded = self.0.borrow_mut();
        let called = recorded.tick();
        recorded.calls.push(Call { key, node, operation, called, answered: None, failed: false, at });
        recorded.calls.len() - 1
    }

    /// It was answered.
    pub fn answer(&self, call: usize, answer: Answer) {
        let mut recorded = self.0.borrow_mut();
        let at = recorded.tick();
        recorded.calls[call].answered = Some((at, answer));
    }

    /// It certainly never happens.
    pub fn fail(&self, call: usize) {
        self.0.borrow_mut().calls[call].failed = true;
    }

    /// Everything so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.0.borrow().calls.clone()
    }
}
