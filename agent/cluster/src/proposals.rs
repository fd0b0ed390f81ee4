//! Proposals of this member that wait for their answer.
//!
//! A proposal may be appended only by the leader of the term it was made for, and is answered where it was made, when that member applies it.
//! So what became of it is known for certain in all cases but one:
//!
//! | the member applies | the proposal |
//! |---|---|
//! | the proposal | is answered |
//! | an entry of a later term | is lost, if it was not applied before: in no log can it come behind that entry. It may be made again |
//! | a snapshot | may be in it, if the snapshot ends in the proposal's term or a later one: unknown |

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use shoal_formation::control;
use shoal_kv::Outcome;
use tokio::sync::oneshot;

/// The answer to a proposal that was applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// To a command.
    Outcome(Outcome),
    /// A member's attributes are published.
    Published,
    /// What became of an entry about the cluster itself.
    Control(control::Outcome),
    /// A command was not applied: the cluster has dissolved.
    Dissolved,
    /// The id of a member to be.
    Admitted(u64),
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    /// It was applied.
    Applied(Answer),
    /// It never will be.
    Lost,
    /// It may have been applied.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Proposals {
    waiting: Mutex<Waiting>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    proposals: BTreeMap<u64, Proposed>,
    /// The term of the last entry applied.
    applied_term: u64,
}

#[derive(Debug)]
struct Proposed {
    term: u64,
    fate: oneshot::Sender<Fate>,
}

/// A proposal that waits. Dropping it gives up waiting.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    proposals: &'a Proposals,
    pub(crate) sequence: u64,
    fate: oneshot::Receiver<Fate>,
}

impl Proposals {
    /// `seed` is random, so that numbers of another life of this member do not come again.
    pub(crate) fn new(seed: u64, applied_term: u64) -> Self {
        let waiting = Waiting { applied_term, ..Waiting::default() };
        Self { waiting: Mutex::new(waiting), next: AtomicU64::new(seed) }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nobody panics while holding proposals")
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().proposals.len()
    }

    /// A proposal for the leader of `term`; `None` if that term is known to be over.
    pub(crate) fn propose(&self, term: u64) -> Option<Waiter<'_>> {
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, fate) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.applied_term > term {
            return None;
        }
        waiting.proposals.insert(sequence, Proposed { term, fate: sender });
        Some(Waiter { proposals: self, sequence, fate })
    }

    /// Entries were applied, the last of them of `term`; among them these proposals.
    pub(crate) fn applied(&self, term: u64, answers: Vec<(u64, Answer)>) {
        let mut waiting = self.waiting();
        for (sequence, answer) in answers {
            if let Some(proposed) = waiting.proposals.remove(&sequence) {
                let _ = proposed.fate.send(Fate::Applied(answer));
            }
        }
        if term > waiting.applied_term {
            waiting.applied_term = term;
            waiting.end(|proposed| proposed.term < term, &Fate::Lost);
        }
    }

    /// The state was replaced by that of a snapshot that ends in `term`.
    pub(crate) fn replaced(&self, term: u64) {
        let mut waiting = self.waiting();
        waiting.applied_term = waiting.applied_term.max(term);
        waiting.end(|proposed| proposed.term <= term, &Fate::Unknown);
    }
}

impl Waiting {
    fn end(&mut self, which: impl Fn(&Proposed) -> bool, fate: &Fate) {
        for (_, proposed) in self.proposals.extract_if(.., |_, proposed| which(proposed)) {
            let _ = proposed.fate.send(fate.clone());
        }
    }
}

impl Waiter<'_> {
    /// Waits for what becomes of it.
    pub(crate) async fn fate(&mut self) -> Fate {
        // The other end is dropped only together with this one, or after it was used.
        (&mut self.fate).await.unwrap_or(Fate::Unknown)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.proposals.waiting().proposals.remove(&self.sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_proposal_is_answered_when_it_is_applied() {
        let proposals = Proposals::new(7, 3);
        let mut waiter = proposals.propose(3).expect("term 3 is not over");
        proposals.applied(3, vec![(waiter.sequence, Answer::Published)]);
        assert_eq!(waiter.fate().await, Fate::Applied(Answer::Published));
    }

    #[tokio::test]
    async fn a_proposal_is_lost_when_a_later_term_is_applied_before_it() {
        let proposals = Proposals::new(7, 3);
        let (mut early, mut late) = (proposals.propose(3).expect("not over"), proposals.propose(4).expect("not over"));
        let (mut applied, sequence) = {
            let waiter = proposals.propose(3).expect("not over");
            let sequence = waiter.sequence;
            (waiter, sequence)
        };
        // Applied together with the first entry of the later term, and before it.
        proposals.applied(4, vec![(sequence, Answer::Admitted(9))]);
        assert_eq!(applied.fate().await, Fate::Applied(Answer::Admitted(9)));
        assert_eq!(early.fate().await, Fate::Lost);
        assert!(late.fate.try_recv().is_err(), "its term goes on");
        assert!(proposals.propose(3).is_none(), "nothing can be appended in term 3 any more");
    }

    #[tokio::test]
    async fn a_proposal_that_a_snapshot_may_contain_is_unknown() {
        let proposals = Proposals::new(7, 3);
        let (mut within, mut beyond) = (proposals.propose(4).expect("not over"), proposals.propose(5).expect("not over"));
        proposals.replaced(4);
        assert_eq!(within.fate().await, Fate::Unknown);
        assert!(beyond.fate.try_recv().is_err(), "the snapshot ends before its term");
    }

    #[tokio::test]
    async fn giving_up_leaves_nothing() {
        let proposals = Proposals::new(u64::MAX, 0);
        drop(proposals.propose(0));
        assert_eq!(proposals.len(), 0);
        let waiter = proposals.propose(0).expect("not over");
        assert_eq!(waiter.sequence, 0, "numbers wrap around");
    }
}
