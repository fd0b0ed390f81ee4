//! Rules of the protocol, each of which a test can switch off to prove that the simulation notices.

/// A rule that is not followed. Nothing breaks one unless it is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KnownBug {
    /// A blank box founds although members that have no leader are in sight.
    FoundBesideSleepers,
    /// A node that was removed founds like any other.
    RemovedFounds,
    /// The state machine seals a cluster that has dissolved, and its leader asks for it.
    SealAfterDissolve,
    /// The state machine dissolves a cluster that is sealed, and its leader asks for it.
    DissolveAfterSeal,
    /// A member without a leader leaves whatever its log says.
    AbandonWithSeal,
    /// Whether to leave is not looked at again once raft has stopped: a seal that was acknowledged meanwhile is lost.
    AbandonOnStaleFacts,
    /// One statement of a past life is enough to leave.
    CloseOnOneStatement,
    /// A node that leaves writes down what it will say of its past life while its role still says member: a power cut in between brings back a member
    /// that has said it will never be one again.
    StatementBeforeRole,
    /// A key that was admitted before is given its old number, whichever process asks.
    AdmitWhoeverHasTheKey,
    /// Votes are given only to members of the own configuration.
    VotesWithinConfiguration,
    /// A learner that does not have the seal yet is given a vote.
    PromoteWithoutSeal,
    /// A node that has forgotten what it said is believed.
    BelieveTheForgetful,
    /// A second session with the same key takes the place of one that lives.
    NewestSessionWins,
    /// A voter that was removed is refused before another has its vote.
    RefuseVotersAtOnce,
    /// A leader seals before the birth barrier is lifted.
    SealBeforeBarrier,
    /// A dead voter is replaced without looking at when the one before was.
    ReplaceWithoutRest,
    /// A box without a link counts time, too.
    TimeWithoutLink,
}
