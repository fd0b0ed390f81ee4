//! Linearizable reads: raft's ReadIndex, one round for all who wait.
//!
//! Whoever asks waits for the next round. A round asks the leader, who asks a majority whether it still leads, up to which entry a read must
//! see. While it waits for this member to have applied that entry, the next round may go on.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use openraft::{
    errors::{LinearizableReadError, RaftError},
    raft::linearizable_read::LinearizerOption,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    time::Instant,
};

use super::{Counters, Inner};
use crate::{
    error::ReadError,
    peer::message::{Empty, Failure, Lane, Request, Response},
    status::Leadership,
};

/// Reads that wait, at most; further ones are "too many requests". Each takes some hundred bytes and a task of its caller.
const READS_MAX: usize = 100_000;

/// Those who wait: for the next round, for the answer to one, or for what a round says to be applied.
#[derive(Debug)]
pub(super) struct Barrier {
    waiting: Mutex<Waiting>,
    /// Room for further ones, wherever they wait.
    room: Semaphore,
    /// Those in one round, at most: with those who have given up, who take no room.
    most: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Whether rounds are going on, one after the other.
    running: bool,
    next: Round,
}

/// Those who wait for the same answer.
type Round = Vec<oneshot::Sender<Result<(), ReadError>>>;

/// One who waits. Takes room until it is dropped.
#[derive(Debug)]
struct Reader<'a> {
    passed: oneshot::Receiver<Result<(), ReadError>>,
    /// Whether rounds have to begin.
    is_first: bool,
    _room: SemaphorePermit<'a>,
}

impl Default for Barrier {
    fn default() -> Self {
        Self::new(READS_MAX)
    }
}

impl Barrier {
    fn new(most: usize) -> Self {
        Self { waiting: Mutex::default(), room: Semaphore::new(most), most }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nobody panics while holding the barrier")
    }

    /// One more for the next round; `None` if there is no room.
    fn join(&self) -> Option<Reader<'_>> {
        let room = self.room.try_acquire().ok()?;
        let (sender, passed) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.next.len() >= self.most {
            return None;
        }
        waiting.next.push(sender);
        Some(Reader { passed, is_first: !std::mem::replace(&mut waiting.running, true), _room: room })
    }

    /// The next round; `None` if nobody waits, and then rounds end.
    fn next_round(&self) -> Option<Round> {
        let mut waiting = self.waiting();
        waiting.running = !waiting.next.is_empty();
        waiting.running.then(|| std::mem::take(&mut waiting.next))
    }
}

/// Tells everybody who has waited for a round; some may have given up.
fn tell(round: Round, passed: Result<(), ReadError>) {
    for waiter in round {
        let _ = waiter.send(passed);
    }
}

/// Why the leader did not say up to where to read.
enum Unanswered {
    /// Ask again: there may be another leader, or this one may be reached again.
    Again(ReadError),
    Stopped,
}

impl Inner {
    /// [`Replica::read_barrier`](crate::Replica::read_barrier).
    pub(super) async fn read_barrier(self: &Arc<Self>) -> Result<(), ReadError> {
        #[cfg(feature = "known-bugs")]
        if self.config.bug == Some(crate::known_bugs::KnownBug::ReadWithoutIndex) {
            return Ok(());
        }
        let Some(reader) = self.barrier.join() else { return Err(ReadError::TooManyRequests) };
        if reader.is_first {
            tokio::spawn(self.clone().rounds());
        }
        let Reader { passed, _room, .. } = reader;
        let passed = passed.await.unwrap_or(Err(ReadError::Stopped));
        if passed.is_err() {
            Counters::count(&self.counters.reads_failed);
        }
        passed
    }

    /// Goes round as long as somebody waits.
    async fn rounds(self: Arc<Self>) {
        while let Some(round) = self.barrier.next_round() {
            let deadline = Instant::now() + self.request_timeout();
            let index = tokio::select! {
                biased;
                () = self.until_ended() => Err(ReadError::Stopped),
                index = self.read_index(deadline) => index,
            };
            let applied = self.machine.applied.subscribe();
            match index {
                // What mostly happens on the leader.
                Ok(index) if *applied.borrow() > index => tell(round, Ok(())),
                Ok(index) => drop(tokio::spawn(self.clone().pass(round, index, deadline))),
                Err(error) => tell(round, Err(error)),
            }
        }
    }

    /// Waits until this member has applied an entry, and lets a round pass.
    async fn pass(self: Arc<Self>, round: Round, index: u64, deadline: Instant) {
        let mut applied = self.machine.applied.subscribe();
        let passed = tokio::select! {
            biased;
            () = self.until_ended() => Err(ReadError::Stopped),
            applied = tokio::time::timeout_at(deadline, applied.wait_for(|&applied| applied > index)) => match applied {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(ReadError::Stopped),
                Err(_) => Err(ReadError::TimeoutWaitAppliedIndex),
            },
        };
        tell(round, passed);
    }

    /// The index up to which a read has to see everything, from whoever leads.
    async fn read_index(&self, deadline: Instant) -> Result<u64, ReadError> {
        let mut failure = ReadError::NoLeader;
        loop {
            let Some(leadership @ Leadership { leader: Some(leader), .. }) = self.leader(deadline).await else { return Err(failure) };
            let left = deadline.saturating_duration_since(Instant::now());
            // Long enough for a majority to answer; after that, ask again.
            let patience = left.min(2 * self.config.election_timeout);
            let asked =
                if leader == self.member() { self.own_read_index(patience).await } else { self.ask_read_index(leader, patience).await };
            match asked {
                Ok(index) => return Ok(index),
                Err(Unanswered::Stopped) => return Err(ReadError::Stopped),
                Err(Unanswered::Again(error)) => failure = error,
            }
            if Instant::now() >= deadline {
                return Err(failure);
            }
            self.leadership_settles(leadership).await;
        }
    }

    /// The read index, on the leader: confirmed by a majority after it was asked for.
    async fn own_read_index(&self, patience: Duration) -> Result<u64, Unanswered> {
        let option = LinearizerOption::new(Some(Duration::ZERO), true).with_wait_timeout(patience);
        match self.raft.get_read_linearizer(option).await {
            Ok(linearizer) => Ok(linearizer.read_log_id().log_id().index),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => Err(Unanswered::Again(ReadError::LeaderChanged)),
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Err(Unanswered::Again(ReadError::Timeout)),
            Err(RaftError::Fatal(_)) => Err(Unanswered::Stopped),
        }
    }

    async fn ask_read_index(&self, leader: u64, patience: Duration) -> Result<u64, Unanswered> {
        match self.peers.link(leader, Lane::Control).call(Request::ReadIndex(Empty {}), patience).await {
            Ok(Response::ReadIndex(index)) => Ok(index),
            Ok(Response::Failed(failure)) if failure == i32::from(Failure::NotLeader) => Err(Unanswered::Again(ReadError::LeaderChanged)),
            Ok(_) | Err(_) => Err(Unanswered::Again(ReadError::Timeout)),
        }
    }

    /// The read index for another member, on the leader.
    pub(super) async fn answer_read_index(&self) -> Response {
        match self.own_read_index(2 * self.config.election_timeout).await {
            Ok(index) => Response::ReadIndex(index),
            Err(Unanswered::Again(ReadError::LeaderChanged)) => Response::Failed(Failure::NotLeader.into()),
            Err(Unanswered::Again(_)) => Response::Failed(Failure::Timeout.into()),
            Err(Unanswered::Stopped) => Response::Failed(Failure::Stopped.into()),
        }
    }

    /// Whether this member leads, as a majority has just confirmed.
    pub(super) async fn still_leads(&self) -> Result<bool, ReadError> {
        match self.own_read_index(2 * self.config.election_timeout).await {
            Ok(_) => Ok(true),
            Err(Unanswered::Again(ReadError::LeaderChanged)) => Ok(false),
            Err(Unanswered::Again(error)) => Err(error),
            Err(Unanswered::Stopped) => Err(ReadError::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_takes_room_until_it_has_passed_or_has_given_up() {
        let barrier = Barrier::new(2);
        let mut one = barrier.join().expect("there is room");
        assert!(one.is_first);
        let round = barrier.next_round().expect("one waits");
        let other = barrier.join().expect("there is room");
        assert!(!other.is_first, "rounds are going on");
        // The first round has been asked for and waits for what is not applied yet.
        assert!(barrier.join().is_none(), "as many wait as may");
        tell(round, Ok(()));
        assert_eq!(one.passed.try_recv(), Ok(Ok(())));
        drop(one);
        assert!(barrier.join().is_some());
        drop(other);
        assert!(barrier.next_round().is_some(), "those who gave up are told all the same");
        assert!(barrier.next_round().is_none());
        assert!(barrier.join().expect("there is room").is_first, "rounds have ended");
    }
}
