//! Proposals: made here, appended by the leader, answered here.

use std::sync::Arc;

use openraft::{
    errors::ClientWriteError,
    impls::{ProgressResponder, leader_id_std},
    vote::RaftLeaderId,
};
use shoal_kv::{Alarm, Command, Outcome};
use tokio::time::Instant;

use super::{Counters, Inner};
use crate::{
    codec,
    error::ProposeError,
    peer::{
        PeerError,
        message::{Failure, Lane, ProposeRequest, Request, Response},
    },
    prepare,
    proposals::{Answer, Fate},
    raft::entry::{Content, Proposal, ProposalId},
    status::Leadership,
};

/// What the leader says of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in the leader's log, or was. What becomes of it shows when it is applied.
    Appended,
    /// It is in no log: whoever was asked does not lead, or not in that term.
    NotLeader,
    /// It is in no log: too many wait.
    TooMany,
    /// The leader was not reached, or did not answer. It may be in its log.
    Unreachable,
    /// This member has stopped.
    Stopped,
}

impl Inner {
    /// [`Replica::propose`](crate::Replica::propose).
    pub(super) async fn propose_command(self: &Arc<Self>, command: Command) -> Result<Outcome, ProposeError> {
        let id = || i64::try_from(self.random() >> 1).unwrap_or(1).max(1);
        let command = match prepare::prepare(command, &self.config.limits, self.min_ttl(), id) {
            Ok(command) => command,
            Err(outcome) => return Ok(outcome),
        };
        if self.has_alarm(Alarm::Corrupt) && !matches!(command, Command::Alarm(_)) {
            return Err(ProposeError::Corrupt);
        }
        if self.machine.state.read().control.may_write().is_err() {
            return Err(ProposeError::Dissolved);
        }
        if let Some(added) = prepare::added_bytes(&command)
            && let Some(refused) = prepare::no_space(&command)
            && self.is_out_of_space(added).await
        {
            return Ok(refused);
        }
        let Some(_admitted) = self.admission.admit(codec::encoded_len(&command)) else { return Err(ProposeError::TooManyRequests) };
        match self.propose(Content::Command(command)).await? {
            Answer::Outcome(outcome) => Ok(outcome),
            // A command's answer is an outcome.
            Answer::Dissolved => Err(ProposeError::Dissolved),
            Answer::Published | Answer::Admitted(_) | Answer::Control(_) => Err(ProposeError::Stopped),
        }
    }

    /// A number that was not used before.
    fn random(&self) -> u64 {
        // The finalizer of SplitMix64: numbers that follow each other come out far apart.
        let next = self.next_lease.fetch_add(0x9e37_79b9_7f4a_7c15, std::sync::atomic::Ordering::Relaxed);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Proposes until it is applied here, or is known to have failed, or the time is over. What is known to be lost is proposed again.
    pub(super) async fn propose(&self, content: Content) -> Result<Answer, ProposeError> {
        let proposed = tokio::select! {
            biased;
            () = self.until_ended() => Err(ProposeError::Stopped),
            proposed = self.propose_until(content, Instant::now() + self.request_timeout()) => proposed,
        };
        if proposed.is_err() {
            Counters::count(&self.counters.proposals_failed);
        }
        proposed
    }

    async fn propose_until(&self, content: Content, deadline: Instant) -> Result<Answer, ProposeError> {
        loop {
            let Leadership { leader: Some(leader), term, .. } = self.leader(deadline).await.ok_or(ProposeError::NoLeader)? else {
                return Err(ProposeError::NoLeader);
            };
            match self.propose_in(term, leader, content.clone(), deadline).await? {
                Some(answer) => return Ok(answer),
                // Nothing was done: the leader changes, or has.
                None => self.leadership_settles(Leadership { leader: Some(leader), term, is_self: leader == self.member() }).await,
            }
        }
    }

    /// Proposes in one term. `None` if it is in no log and never will be.
    pub(crate) async fn propose_in(
        &self,
        term: u64,
        leader: u64,
        content: Content,
        deadline: Instant,
    ) -> Result<Option<Answer>, ProposeError> {
        let Some(mut waiter) = self.machine.proposals.propose(term) else { return Ok(None) };
        let id = ProposalId { member: self.member(), sequence: waiter.sequence };
        let proposal = Proposal::new(id, content);
        let verdict = self.submit(term, leader, proposal, deadline);
        tokio::pin!(verdict);
        let mut known = None;
        loop {
            tokio::select! {
                biased;
                fate = waiter.fate() => return match fate {
                    Fate::Applied(answer) => Ok(Some(answer)),
                    Fate::Lost => Ok(None),
                    Fate::Unknown => Err(ProposeError::Timeout),
                },
                verdict = &mut verdict, if known.is_none() => match verdict {
                    Verdict::NotLeader => return Ok(None),
                    Verdict::TooMany => return Err(ProposeError::TooManyRequests),
                    Verdict::Stopped => return Err(ProposeError::Stopped),
                    Verdict::Appended | Verdict::Unreachable => known = Some(verdict),
                },
                () = tokio::time::sleep_until(deadline) => {
                    let now = *self.leadership.borrow();
                    return Err(if now.leader != Some(leader) || now.term != term {
                        ProposeError::TimeoutDueToLeaderFail
                    } else if known == Some(Verdict::Unreachable) {
                        ProposeError::TimeoutDueToConnectionLost
                    } else {
                        ProposeError::Timeout
                    });
                }
            }
        }
    }

    async fn submit(&self, term: u64, leader: u64, proposal: Proposal, deadline: Instant) -> Verdict {
        if leader == self.member() {
            return self.append(term, proposal).await;
        }
        let request = Request::Propose(ProposeRequest { term, proposal: proposal.bytes().clone() });
        let link = self.peers.link(leader, Lane::Proposals);
        match link.call(request, deadline.saturating_duration_since(Instant::now())).await {
            Ok(Response::Failed(failure)) => match Failure::try_from(failure) {
                Ok(Failure::NotLeader) => Verdict::NotLeader,
                Ok(Failure::TooManyRequests) => Verdict::TooMany,
                _ => Verdict::Unreachable,
            },
            Ok(_) => Verdict::Appended,
            // Nobody has read the request.
            Err(PeerError::NoAddress(_) | PeerError::Unreachable { .. } | PeerError::Refused { .. }) => Verdict::NotLeader,
            Err(PeerError::Broken { .. } | PeerError::Timeout(_)) => Verdict::Unreachable,
        }
    }

    /// Appends a proposal to this member's log, if it leads in that term, and waits until it is applied or gone.
    pub(super) async fn append(&self, term: u64, proposal: Proposal) -> Verdict {
        let (responder, response) = ProgressResponder::complete_only();
        let leader = leader_id_std::LeaderId { term, voted_for: self.member() };
        let request = self.raft.write(proposal).with_leader(leader.to_committed()).responder(responder);
        if request.await.is_err() {
            return Verdict::Stopped;
        }
        match response.await {
            Ok(Ok(_)) | Ok(Err(ClientWriteError::LogEntryDiscarded(_))) => Verdict::Appended,
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => Verdict::NotLeader,
            // These are about changes of the membership.
            Ok(Err(ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_))) => Verdict::NotLeader,
            Err(_) => Verdict::Stopped,
        }
    }

    /// Waits until a leader is known.
    pub(super) async fn leader(&self, deadline: Instant) -> Option<Leadership> {
        let mut leadership = self.leadership.subscribe();
        let known = tokio::time::timeout_at(deadline, leadership.wait_for(|now| now.leader.is_some())).await;
        known.ok()?.ok().map(|now| *now)
    }

    /// After a leader has refused: waits until it is another, but not for long: it may only have been busy becoming one.
    pub(super) async fn leadership_settles(&self, before: Leadership) {
        let mut leadership = self.leadership.subscribe();
        let _ = tokio::time::timeout(self.config.heartbeat_interval / 4, leadership.wait_for(|now| *now != before)).await;
    }

    /// A proposal of another member's client, on the leader.
    pub(super) async fn append_forwarded(self: &Arc<Self>, request: ProposeRequest) -> Response {
        let failed = |failure: Failure| Response::Failed(failure.into());
        let Some(_admitted) = self.forwarded.admit(request.proposal.len()) else { return failed(Failure::TooManyRequests) };
        // What this version does not understand would stop every member of this version.
        let Ok(proposal) = Proposal::from_bytes(request.proposal) else { return failed(Failure::Unknown) };
        if proposal.decode().is_err() {
            return failed(Failure::Unknown);
        }
        match self.append(request.term, proposal).await {
            Verdict::Appended => Response::Proposed(crate::peer::message::Empty {}),
            Verdict::NotLeader => failed(Failure::NotLeader),
            Verdict::TooMany => failed(Failure::TooManyRequests),
            Verdict::Unreachable | Verdict::Stopped => failed(Failure::Stopped),
        }
    }
}
