//! Hellos.

use alloc::vec::Vec;

use shoal_formation::message::Hello;
use shoal_trust::statement::{PastLife, STATEMENT_BYTES_MAX, Signed, Statement};

use crate::{
    VIEW_MAX,
    codec::{Reader, Wire, put_list},
    message::Statements,
};

/// A hello whose past lives nobody has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnverifiedHello {
    /// Everything but the past lives.
    pub(crate) hello: Hello,
    pub(crate) past_lives: Vec<Signed<PastLife>>,
}

pub(crate) fn put_statement<T: Statement>(statement: &Signed<T>, bytes: &mut Vec<u8>) {
    let statement = statement.encode();
    u16::try_from(statement.len()).unwrap_or(u16::MAX).put(bytes);
    bytes.extend_from_slice(&statement);
}

pub(crate) fn take_statement<T: Statement>(reader: &mut Reader<'_>) -> Option<Signed<T>> {
    let length = usize::from(reader.take::<u16>()?);
    if length > STATEMENT_BYTES_MAX {
        return None;
    }
    Signed::parse(reader.bytes(length)?).ok()
}

pub(crate) fn take_statements<T: Statement>(reader: &mut Reader<'_>, max: usize) -> Option<Vec<Signed<T>>> {
    let count = usize::from(reader.u8()?);
    if count > max {
        return None;
    }
    (0..count).map(|_| take_statement(reader)).collect()
}

pub(crate) fn put_statements<T: Statement>(statements: &[Signed<T>], bytes: &mut Vec<u8>) {
    bytes.push(u8::try_from(statements.len()).unwrap_or(u8::MAX));
    statements.iter().for_each(|statement| put_statement(statement, bytes));
}

impl UnverifiedHello {
    /// A statement that is not signed, since its key is gone, is left out: nobody could verify it.
    pub(crate) fn of(hello: &Hello, statements: &impl Statements) -> Self {
        let past_lives = hello.past_lives.iter().filter_map(|past_life| statements.past_life(past_life.get())).collect();
        Self { hello: Hello { past_lives: Vec::new(), ..hello.clone() }, past_lives }
    }
}

impl Wire for UnverifiedHello {
    fn put(&self, bytes: &mut Vec<u8>) {
        let Hello { sequence, incarnation, hint, traits, epoch, standing, raft, view, past_lives: _ } = &self.hello;
        sequence.put(bytes);
        incarnation.put(bytes);
        hint.put(bytes);
        traits.put(bytes);
        epoch.put(bytes);
        standing.put(bytes);
        raft.put(bytes);
        put_list(view.iter(), VIEW_MAX, bytes);
        put_statements(&self.past_lives, bytes);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let hello = Hello {
            sequence: reader.take()?,
            incarnation: reader.take()?,
            hint: reader.take()?,
            traits: reader.take()?,
            epoch: reader.take()?,
            standing: reader.take()?,
            raft: reader.take()?,
            view: reader.list(VIEW_MAX)?,
            past_lives: Vec::new(),
        };
        // Each node once, in the order of keys: a table has no order of its own.
        if !hello.view.is_sorted_by(|one, next| one.peer.key < next.peer.key) {
            return None;
        }
        Some(Self { hello, past_lives: take_statements(reader, shoal_formation::disk::PAST_LIVES)? })
    }
}
