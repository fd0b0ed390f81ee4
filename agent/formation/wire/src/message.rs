//! Messages of the core. The byte before each says which one it is.

use alloc::{sync::Arc, vec::Vec};

use shoal_formation::{
    ClusterId, Message, NodeId,
    control::Admission,
    message::{Hello, JoinRefusal, Wish},
    statement::{PastLife, Removed, Verified},
};
use shoal_trust::statement as signed;

use crate::{
    codec::{Reader, Wire},
    hello::{UnverifiedHello, put_statement, take_statement},
    statement,
};

/// Where signed statements come from when a message is written.
pub trait Statements {
    /// What this node has signed, when its key was still there.
    fn past_life(&self, past_life: &PastLife) -> Option<signed::Signed<signed::PastLife>>;
    /// Signs that a member was removed.
    fn removed(&self, removed: &Removed) -> signed::Signed<signed::Removed>;
}

/// A message whose statements nobody has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedMessage(pub(crate) Parts);

/// What [`Message`] is, with statements as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parts {
    Hello(UnverifiedHello),
    Solicit(UnverifiedHello),
    Promise(UnverifiedHello),
    Decline(UnverifiedHello),
    Release,
    Join(ClusterId, Admission),
    Admitted(ClusterId, NodeId),
    Refused(ClusterId, JoinRefusal),
    Ask(ClusterId, Wish),
    Removed(signed::Signed<signed::Removed>),
    Challenge,
    Present,
    Copy,
    Forgetful,
}

impl UnverifiedMessage {
    /// The message as it is sent.
    #[must_use]
    pub fn of(message: &Message, statements: &impl Statements) -> Self {
        let hello = |hello: &Arc<Hello>| UnverifiedHello::of(hello, statements);
        Self(match message {
            Message::Hello(it) => Parts::Hello(hello(it)),
            Message::Solicit(it) => Parts::Solicit(hello(it)),
            Message::Promise(it) => Parts::Promise(hello(it)),
            Message::Decline(it) => Parts::Decline(hello(it)),
            Message::Release => Parts::Release,
            Message::Join(cluster, admission) => Parts::Join(*cluster, *admission),
            Message::Admitted(cluster, node) => Parts::Admitted(*cluster, *node),
            Message::Refused(cluster, refusal) => Parts::Refused(*cluster, *refusal),
            Message::Ask(cluster, wish) => Parts::Ask(*cluster, *wish),
            Message::Removed(removed) => Parts::Removed(statements.removed(removed.get())),
            Message::Challenge => Parts::Challenge,
            Message::Present => Parts::Present,
            Message::Copy => Parts::Copy,
            Message::Forgetful => Parts::Forgetful,
        })
    }

    /// The message, if the statements in it hold. Past lives that do not are left out, since the hello around them is the sender's own word; a message
    /// that is nothing but a statement is none.
    pub fn verify(
        self,
        mut past_life: impl FnMut(signed::Signed<signed::PastLife>) -> Option<signed::Verified<signed::PastLife>>,
        removed: impl FnOnce(signed::Signed<signed::Removed>) -> Option<signed::Verified<signed::Removed>>,
    ) -> Option<Message> {
        let mut hello = |unverified: UnverifiedHello| {
            let verified = unverified.past_lives.into_iter().filter_map(&mut past_life);
            let past_lives = verified.map(|verified| Verified::by_signature(statement::past_life(&verified))).collect();
            Arc::new(Hello { past_lives, ..unverified.hello })
        };
        Some(match self.0 {
            Parts::Hello(it) => Message::Hello(hello(it)),
            Parts::Solicit(it) => Message::Solicit(hello(it)),
            Parts::Promise(it) => Message::Promise(hello(it)),
            Parts::Decline(it) => Message::Decline(hello(it)),
            Parts::Release => Message::Release,
            Parts::Join(cluster, admission) => Message::Join(cluster, admission),
            Parts::Admitted(cluster, node) => Message::Admitted(cluster, node),
            Parts::Refused(cluster, refusal) => Message::Refused(cluster, refusal),
            Parts::Ask(cluster, wish) => Message::Ask(cluster, wish),
            Parts::Removed(it) => Message::Removed(Verified::by_signature(statement::removed(&*removed(it)?))),
            Parts::Challenge => Message::Challenge,
            Parts::Present => Message::Present,
            Parts::Copy => Message::Copy,
            Parts::Forgetful => Message::Forgetful,
        })
    }
}

/// The number that stands for an exchange of addresses, where messages of the core have theirs.
pub(crate) const ADDRESSES: u8 = 15;

impl Wire for Parts {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => put_with(1, hello, bytes),
            Self::Solicit(hello) => put_with(2, hello, bytes),
            Self::Promise(hello) => put_with(3, hello, bytes),
            Self::Decline(hello) => put_with(4, hello, bytes),
            Self::Release => bytes.push(5),
            Self::Join(cluster, admission) => {
                put_with(6, cluster, bytes);
                admission.put(bytes);
            }
            Self::Admitted(cluster, node) => {
                put_with(7, cluster, bytes);
                node.put(bytes);
            }
            Self::Refused(cluster, refusal) => {
                put_with(8, cluster, bytes);
                refusal.put(bytes);
            }
            Self::Ask(cluster, wish) => {
                put_with(9, cluster, bytes);
                wish.put(bytes);
            }
            Self::Removed(removed) => {
                bytes.push(10);
                put_statement(removed, bytes);
            }
            Self::Challenge => bytes.push(11),
            Self::Present => bytes.push(12),
            Self::Copy => bytes.push(13),
            Self::Forgetful => bytes.push(14),
        }
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        Some(match reader.u8()? {
            1 => Self::Hello(reader.take()?),
            2 => Self::Solicit(reader.take()?),
            3 => Self::Promise(reader.take()?),
            4 => Self::Decline(reader.take()?),
            5 => Self::Release,
            6 => Self::Join(reader.take()?, reader.take()?),
            7 => Self::Admitted(reader.take()?, reader.take()?),
            8 => Self::Refused(reader.take()?, reader.take()?),
            9 => Self::Ask(reader.take()?, reader.take()?),
            10 => Self::Removed(take_statement(reader)?),
            11 => Self::Challenge,
            12 => Self::Present,
            13 => Self::Copy,
            14 => Self::Forgetful,
            _ => return None,
        })
    }
}

fn put_with(number: u8, first: &impl Wire, bytes: &mut Vec<u8>) {
    bytes.push(number);
    first.put(bytes);
}

/// The bytes of a message, as a frame carries them.
#[must_use]
pub fn encode_message(message: &Message, statements: &impl Statements) -> Vec<u8> {
    let mut bytes = Vec::new();
    UnverifiedMessage::of(message, statements).0.put(&mut bytes);
    bytes
}
