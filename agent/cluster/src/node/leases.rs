//! Leases end on the leader only, which alone knows their deadlines; every other member asks it.

use std::{sync::Arc, time::Duration};

use shoal_kv::{Command, LeaseRevokeRequest, lessor::RenewError};
use tokio::{sync::Semaphore, time::Instant};

use super::{Counters, Inner};
use crate::{
    error::LeaseError,
    peer::message::{Failure, Lane, Request, Response},
    raft::entry::Content,
    replica::LeaseTimeToLive,
    status::Leadership,
};

/// Revocations on their way at the same time.
const REVOCATIONS_MAX: usize = 16;

/// Ends leases while this member leads. A member that begins to lead gives every lease its full time again.
pub(super) async fn expire(inner: Arc<Inner>) {
    let mut leadership = inner.leadership.subscribe();
    let revocations = Arc::new(Semaphore::new(REVOCATIONS_MAX));
    loop {
        let Ok(Leadership { term, .. }) = leadership.wait_for(|now| now.is_self).await.map(|now| *now) else { return };
        inner.machine.state.promote_lessor();
        loop {
            let lost = async { leadership.wait_for(|now| !now.is_self || now.term != term).await.is_ok() };
            let expired = tokio::select! {
                biased;
                lost = lost => if lost { break } else { return },
                expired = inner.machine.state.expired() => expired,
            };
            for id in expired {
                let Ok(permit) = revocations.clone().acquire_owned().await else { return };
                let inner = inner.clone();
                tokio::spawn(async move {
                    inner.revoke(id, term).await;
                    drop(permit);
                });
            }
        }
        inner.machine.state.demote_lessor();
    }
}

impl Inner {
    /// Ends a lease that has expired, unless this member leads no longer. One that is not applied is handed out again after a while.
    async fn revoke(&self, id: i64, term: u64) {
        let revoke = Content::Command(Command::LeaseRevoke(LeaseRevokeRequest { id }));
        let deadline = Instant::now() + self.request_timeout();
        match self.propose_in(term, self.member(), revoke, deadline).await {
            Ok(Some(_)) => Counters::count(&self.counters.leases_expired),
            Ok(None) => {}
            Err(error) => tracing::info!(%error, lease = format!("{id:x}"), "an expired lease was not revoked yet"),
        }
    }

    /// [`Replica::lease_renew`](crate::Replica::lease_renew).
    pub(super) async fn renew_lease(&self, id: i64) -> Result<i64, LeaseError> {
        match self.ask_lessor(&Request::RenewLease(id)).await? {
            Response::Renewed(ttl) => Ok(ttl),
            _ => Err(LeaseError::Timeout),
        }
    }

    /// [`Replica::lease_time_to_live`](crate::Replica::lease_time_to_live).
    pub(super) async fn lease_time_to_live(self: &Arc<Self>, id: i64, keys: bool) -> Result<LeaseTimeToLive, LeaseError> {
        let Response::Remaining(milliseconds) = self.ask_lessor(&Request::RemainingLease(id)).await? else {
            return Err(LeaseError::Timeout);
        };
        // What the leader says may be about a lease that is not applied here yet.
        self.read_barrier().await?;
        self.machine.state.time_to_live(id, keys, Duration::from_millis(milliseconds))
    }

    /// Asks whoever leads until it answers.
    async fn ask_lessor(&self, request: &Request) -> Result<Response, LeaseError> {
        let deadline = Instant::now() + self.request_timeout();
        let asking = async {
            let mut failure = LeaseError::NoLeader;
            loop {
                let Some(leadership @ Leadership { leader: Some(leader), .. }) = self.leader(deadline).await else { return Err(failure) };
                match self.ask_once(leader, request).await {
                    Ok(answer) => return Ok(answer),
                    Err(error @ (LeaseError::NotFound | LeaseError::Stopped | LeaseError::TooManyRequests)) => return Err(error),
                    Err(error) => failure = error,
                }
                if Instant::now() >= deadline {
                    return Err(failure);
                }
                self.leadership_settles(leadership).await;
            }
        };
        tokio::select! {
            biased;
            () = self.until_ended() => Err(LeaseError::Stopped),
            answer = asking => answer,
        }
    }

    async fn ask_once(&self, leader: u64, request: &Request) -> Result<Response, LeaseError> {
        let answer = if leader == self.member() {
            match *request {
                Request::RenewLease(id) => self.answer_renewal(id).await,
                Request::RemainingLease(id) => self.answer_remaining(id).await,
                _ => return Err(LeaseError::Timeout),
            }
        } else {
            let link = self.peers.link(leader, Lane::Control);
            link.call(request.clone(), self.request_timeout()).await.map_err(|_| LeaseError::Timeout)?
        };
        let Response::Failed(failure) = answer else { return Ok(answer) };
        Err(match Failure::try_from(failure) {
            Ok(Failure::NotLeader | Failure::Stopped) => LeaseError::LeaderChanged,
            Ok(Failure::LeaseNotFound) => LeaseError::NotFound,
            Ok(Failure::TooManyRequests) => LeaseError::TooManyRequests,
            _ => LeaseError::Timeout,
        })
    }

    /// Renews a lease on the leader, once a majority has confirmed that it leads: another leader may have ended the lease.
    async fn renew_own(&self, id: i64) -> Result<Option<i64>, LeaseError> {
        if !self.still_leads().await? {
            return Ok(None);
        }
        match self.machine.state.renew(id).await {
            Ok(ttl) => Ok(Some(ttl)),
            Err(RenewError::NotPrimary) => Ok(None),
            Err(RenewError::NotFound | RenewError::Expired) => Err(LeaseError::NotFound),
        }
    }

    async fn remaining_own(&self, id: i64) -> Result<Option<Duration>, LeaseError> {
        if !self.still_leads().await? || !self.machine.state.is_primary_lessor() {
            return Ok(None);
        }
        self.machine.state.remaining(id).map(Some).ok_or(LeaseError::NotFound)
    }

    /// Renews a lease for another member's client.
    pub(super) async fn answer_renewal(&self, id: i64) -> Response {
        let renewed = tokio::time::timeout(self.request_timeout(), self.renew_own(id)).await;
        answer(renewed.unwrap_or(Err(LeaseError::Timeout)).map(|ttl| ttl.map(Response::Renewed)))
    }

    /// Says what is left of a lease to another member.
    pub(super) async fn answer_remaining(&self, id: i64) -> Response {
        let milliseconds = |left: Duration| Response::Remaining(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        answer(self.remaining_own(id).await.map(|left| left.map(milliseconds)))
    }
}

fn answer(answer: Result<Option<Response>, LeaseError>) -> Response {
    let failed = |failure: Failure| Response::Failed(failure.into());
    match answer {
        Ok(Some(response)) => response,
        Ok(None) | Err(LeaseError::LeaderChanged | LeaseError::NoLeader) => failed(Failure::NotLeader),
        Err(LeaseError::NotFound) => failed(Failure::LeaseNotFound),
        Err(LeaseError::Timeout) => failed(Failure::Timeout),
        Err(LeaseError::TooManyRequests) => failed(Failure::TooManyRequests),
        Err(LeaseError::Stopped) => failed(Failure::Stopped),
    }
}
