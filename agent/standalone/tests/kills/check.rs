//! Whether what clients were told can be: the store's own order explains it.
//!
//! etcd says of each answer at which revision it was true, so that no order has to be searched for. The log of all revisions, as watchers were told
//! of it, is the order of the writes; an answer that reads stands behind the write of its revision. What clients were told is strictly serializable,
//! over all keys, if
//!
//! 1. each answer is what that log gives at its revision;
//! 2. each answer's revision is at least (a write's: above) all those that anybody was told before the call was made;
//! 3. each write in the log was asked for, happened once, and not before it was asked for.
//!
//! A write without an answer may be in the log or not. One that was refused may not.

use std::collections::{BTreeMap, HashMap};

use crate::history::{Asked, Call, End, Key, Recorded, State, Told, Value, Version};

#[cfg(test)]
mod tests;

/// A key has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) key: Key,
    /// `None`: it was deleted.
    pub(crate) now: Option<Version>,
    pub(crate) before: Option<Version>,
}

/// What each revision has changed. The empty store is at revision 1.
pub(crate) type Log = BTreeMap<i64, Vec<Event>>;

/// The revision of an empty store.
const EMPTY: i64 = 1;

/// What was checked, for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Calls that were answered.
    pub(crate) answered: usize,
    /// Writes that nobody was told of, and that happened.
    pub(crate) unacknowledged: usize,
    /// What is there in the end.
    pub(crate) state: State,
}

/// Checks everything that was recorded against the log.
///
/// # Errors
/// The first thing that cannot be.
pub(crate) fn check(recorded: &Recorded, log: &Log) -> Result<Checked, String> {
    let mut checker = Checker::new(recorded)?;
    let last = log.last_key_value().map_or(EMPTY, |(&revision, _)| revision);
    if let Some((&revision, numbers)) = checker.answers.range(last + 1..).next() {
        return Err(format!("revision {revision} is lost: {:?} was told of it", recorded.calls[numbers[0]]));
    }
    let mut state = State::new();
    checker.answers(EMPTY, &[], &state, &state)?;
    for revision in EMPTY + 1..=last {
        let events = log.get(&revision).ok_or_else(|| format!("nobody was told of revision {revision}"))?;
        let before = state.clone();
        for event in events {
            checker.apply(revision, event, &mut state)?;
        }
        checker.explain(revision, events)?;
        checker.answers(revision, events, &before, &state)?;
    }
    checker.explain_deletions()?;
    Ok(Checked {
        answered: recorded.calls.iter().filter(|call| matches!(call.end, End::Told(..))).count(),
        unacknowledged: checker.unacknowledged,
        state,
    })
}

struct Checker<'a> {
    calls: &'a [Call],
    /// For each call, the highest revision that anybody had been told when it was made.
    floors: Vec<i64>,
    /// The calls that write each value.
    writers: HashMap<Value, usize>,
    /// The calls that were answered at each revision.
    answers: BTreeMap<i64, Vec<usize>>,
    /// Where each written value is in the log.
    happened: HashMap<Value, i64>,
    /// Keys whose leases were revoked by then.
    revoked: HashMap<Key, i64>,
    /// Deletions that nobody was told of.
    unexplained: Vec<(Key, i64)>,
    unacknowledged: usize,
}

/// What a call changes if it changes something.
fn effects(asked: Asked) -> Vec<(Key, Option<Value>)> {
    match asked {
        Asked::Put(key, value) => vec![(key, Some(value))],
        Asked::Swap { key, also, value, .. } => vec![(key, Some(value)), (also, Some(value))],
        Asked::Delete(key) => vec![(key, None)],
        Asked::Read(_) | Asked::ReadSerializable(_) | Asked::Revoke(_) => Vec::new(),
    }
}

fn changes(events: &[Event]) -> Vec<(Key, Option<Value>)> {
    events.iter().map(|event| (event.key, event.now.map(|now| now.value))).collect()
}

impl<'a> Checker<'a> {
    fn new(recorded: &'a Recorded) -> Result<Self, String> {
        let calls = &recorded.calls;
        let mut writers = HashMap::new();
        let mut answers: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (number, call) in calls.iter().enumerate() {
            if let Asked::Put(_, value) | Asked::Swap { value, .. } = call.asked
                && writers.insert(value, number).is_some()
            {
                return Err(format!("the test has written the value {value} twice"));
            }
            if let End::Told(_, told) = &call.end {
                answers.entry(told.revision()).or_default().push(number);
            }
        }
        if let Some((revision, numbers)) = answers.range(..EMPTY).next() {
            return Err(format!("revision {revision} is before the first: {:?}", calls[numbers[0]]));
        }
        let floors = floors(recorded)?;
        let (happened, revoked, unexplained) = Default::default();
        Ok(Self { calls, floors, writers, answers, happened, revoked, unexplained, unacknowledged: 0 })
    }

    /// Takes an event into the state, if it is what follows from it.
    fn apply(&self, revision: i64, event: &Event, state: &mut State) -> Result<(), String> {
        let before = state.get(&event.key).copied();
        if event.before != before {
            return Err(format!("revision {revision}: {event:?}, but the key was {before:?}"));
        }
        if let Some(&at) = self.revoked.get(&event.key) {
            return Err(format!("revision {revision}: {event:?}, but its lease was revoked at revision {at}"));
        }
        let expected = event.now.map(|Version { value, .. }| Version {
            value,
            created: before.map_or(revision, |before| before.created),
            modified: revision,
            version: before.map_or(0, |before| before.version) + 1,
        });
        match (event.now, before) {
            (None, None) => Err(format!("revision {revision}: {event:?}, but there was nothing to delete")),
            (Some(_), _) if event.now != expected => Err(format!("revision {revision}: {event:?}, but it follows {expected:?}")),
            (Some(now), _) => {
                state.insert(event.key, now);
                Ok(())
            }
            (None, Some(_)) => {
                state.remove(&event.key);
                Ok(())
            }
        }
    }

    /// Finds whoever asked for what a revision has changed.
    fn explain(&mut self, revision: i64, events: &[Event]) -> Result<(), String> {
        let fail = |why: String| Err(format!("revision {revision}: {events:?}: {why}"));
        let Some(value) = events.iter().find_map(|event| event.now).map(|now| now.value) else {
            let [Event { key, .. }] = *events else { return fail("nobody deletes several keys".to_owned()) };
            // A lease may end by itself.
            let told = self.answers.get(&revision).into_iter().flatten();
            let is_told = told.into_iter().any(|&number| matches!(self.calls[number].end, End::Told(_, Told::Deleted { .. })));
            if matches!(key, Key::Register(_)) && !is_told {
                self.unexplained.push((key, revision));
            }
            return Ok(());
        };
        let Some(&writer) = self.writers.get(&value) else { return fail("nobody has asked for it".to_owned()) };
        let call = &self.calls[writer];
        if let Some(first) = self.happened.insert(value, revision) {
            return fail(format!("it had happened at revision {first}: {call:?}"));
        }
        if effects(call.asked) != changes(events) {
            return fail(format!("it is not what was asked for: {call:?}"));
        }
        match &call.end {
            End::Told(_, told) if told.revision() == revision => Ok(()),
            End::Told(..) => fail(format!("its client was told otherwise: {call:?}")),
            End::Refused => fail(format!("it was refused: {call:?}")),
            End::Unknown if self.floors[writer] >= revision => {
                fail(format!("it happened before it was asked for, when revision {} was known: {call:?}", self.floors[writer]))
            }
            End::Unknown => {
                self.unacknowledged += 1;
                Ok(())
            }
        }
    }

    /// Finds a call without an answer for each deletion that nobody was told of. Any that was made before will do: the earliest first.
    fn explain_deletions(&mut self) -> Result<(), String> {
        let mut asked: HashMap<Key, Vec<i64>> = HashMap::new();
        for (call, &floor) in self.calls.iter().zip(&self.floors) {
            if let (Asked::Delete(key), End::Unknown) = (call.asked, &call.end) {
                asked.entry(key).or_default().push(floor);
            }
        }
        asked.values_mut().for_each(|floors| floors.sort_unstable_by_key(|&floor| std::cmp::Reverse(floor)));
        for &(key, revision) in &self.unexplained {
            if asked.get_mut(&key).and_then(Vec::pop).is_none_or(|floor| floor >= revision) {
                return Err(format!("revision {revision}: {key:?} is deleted, and nobody has asked for it"));
            }
            self.unacknowledged += 1;
        }
        Ok(())
    }

    /// Checks the answers that were given at a revision.
    fn answers(&mut self, revision: i64, events: &[Event], before: &State, after: &State) -> Result<(), String> {
        let mut writes = 0;
        for &number in self.answers.get(&revision).into_iter().flatten() {
            let call = &self.calls[number];
            let End::Told(_, told) = &call.end else { continue };
            let is_write = matches!(told, Told::Written { .. } | Told::Swapped { .. } | Told::Deleted { .. });
            writes += usize::from(is_write);
            if is_write && (effects(call.asked) != changes(events) || writes > 1) {
                return Err(format!("an acknowledged write is lost: {call:?}, but revision {revision} is {events:?}"));
            }
            let is_recent = match call.asked {
                Asked::ReadSerializable(_) => true,
                _ if is_write => revision > self.floors[number],
                _ => revision >= self.floors[number],
            };
            if !is_recent {
                return Err(format!("stale: {call:?}, but revision {} had been seen before", self.floors[number]));
            }
            let is_true = match (call.asked, told) {
                (Asked::Put(key, _), Told::Written { before: told, .. }) | (Asked::Delete(key), Told::Deleted { before: told, .. }) => {
                    told.as_ref() == before.get(&key)
                }
                (Asked::Swap { key, expected, .. }, Told::Swapped { .. }) => modified(before, key) == expected,
                (Asked::Swap { key, expected, .. }, Told::NotSwapped { found, .. }) => {
                    found.as_ref() == after.get(&key) && modified(after, key) != expected
                }
                (Asked::Delete(key), Told::Absent { .. }) => !after.contains_key(&key),
                (Asked::Read(scope) | Asked::ReadSerializable(scope), Told::Read { found, .. }) => {
                    after.iter().filter(|(key, _)| scope.has(**key)).eq(found)
                }
                (Asked::Revoke(key), Told::Revoked { .. }) => {
                    self.revoked.insert(key, revision);
                    !after.contains_key(&key)
                }
                _ => false,
            };
            if !is_true {
                return Err(format!("{call:?} does not fit revision {revision}, which made {after:?} of {before:?}"));
            }
        }
        Ok(())
    }
}

fn modified(state: &State, key: Key) -> i64 {
    state.get(&key).map_or(0, |version| version.modified)
}

/// The highest revision known to anybody when each call was made.
fn floors(recorded: &Recorded) -> Result<Vec<i64>, String> {
    enum Step {
        Called(usize),
        Known(i64),
    }
    let mut steps: Vec<(u64, Step)> = recorded.seen.iter().map(|&(at, revision)| (at, Step::Known(revision))).collect();
    for (number, call) in recorded.calls.iter().enumerate() {
        steps.push((call.called, Step::Called(number)));
        if let End::Told(at, told) = &call.end {
            steps.push((*at, Step::Known(told.revision())));
        }
    }
    steps.sort_unstable_by_key(|(at, _)| *at);
    if let Some(pair) = steps.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("the test has recorded two things at {}", pair[0].0));
    }
    let mut floors = vec![0; recorded.calls.len()];
    let mut floor = 0;
    for (_, step) in steps {
        match step {
            Step::Called(number) => floors[number] = floor,
            Step::Known(revision) => floor = floor.max(revision),
        }
    }
    Ok(floors)
}
