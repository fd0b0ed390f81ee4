//! Leases: a key with a lease is there until the lease can be over, counted from when the last renewal that was answered was asked for, and is gone
//! some time after. That is a claim about real time, so it is checked as it happens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use shoal_etcd::wire::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest, lease_client::LeaseClient,
};
use tonic::{Status, transport::Channel};

use crate::{
    clients::perform,
    history::{Asked, Key, Scope, Told},
    members::SIZE,
    world::{NOT_FOUND, World},
};

/// Seconds granted: longer than an election, shorter than some pauses.
pub(crate) const TTL: i64 = 3;

/// Milliseconds between two renewals.
const RENEWAL: std::ops::Range<u64> = 200..1000;

/// How many times a lease is renewed, at most, before it is left alone or revoked.
const RENEWALS: usize = 6;

/// Grants leases, one after the other, renews each for a while and looks at its key; then revokes it, or forgets it. With `for_ever` it renews
/// each for as long as it lives.
pub(crate) async fn run(world: Arc<World>, client: usize, mut rng: Rng, for_ever: bool) {
    let mut holder = Holder { channels: world.channels(), member: 0, client, world: world.clone() };
    while !world.is_over() {
        let renewals = if for_ever { usize::MAX } else { rng.usize(..=RENEWALS) };
        if let Some(lease) = holder.grant().await
            && let Some(begun) = holder.renew(&lease, renewals, &mut rng).await
            && rng.bool()
        {
            holder.revoke(&lease, begun).await;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(RENEWAL))).await;
    }
}

struct Lease {
    id: i64,
    key: Key,
    ttl: Duration,
    /// When it was asked for.
    begun: Instant,
}

struct Holder {
    world: Arc<World>,
    client: usize,
    channels: [Channel; SIZE],
    member: usize,
}

impl Holder {
    fn channel(&self) -> &Channel {
        &self.channels[self.member]
    }

    fn lease_client(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel().clone())
    }

    /// Somebody else may know better.
    fn turn(&mut self) {
        self.member = (self.member + 1) % SIZE;
    }

    fn fail(&mut self, what: &str, status: &Status) {
        self.world.is_refusal(&format!("{what} at n{}", self.member), status);
        self.turn();
    }

    /// A lease, and a key that has it.
    async fn grant(&mut self) -> Option<Lease> {
        let begun = Instant::now();
        let granted = match self.lease_client().lease_grant(LeaseGrantRequest { id: 0, ttl: TTL }).await {
            Ok(granted) => granted.into_inner(),
            Err(status) => {
                self.fail("a grant", &status);
                return None;
            }
        };
        let key = Key::Leased(self.world.next_leased());
        let lease = Lease { id: granted.id, key, ttl: Duration::from_secs(granted.ttl.unsigned_abs()), begun };
        let put = Asked::Put(key, self.world.unique());
        let told = perform(&self.world, self.client, self.member, self.channel(), put, lease.id).await;
        if told.is_none() {
            self.turn();
        }
        told.map(|_| lease)
    }

    /// Renews a lease some times, and looks after its key. If it was there at last: when the last renewal that was answered was asked for.
    async fn renew(&mut self, lease: &Lease, renewals: usize, rng: &mut Rng) -> Option<Instant> {
        let mut begun = lease.begun;
        for _ in 0..renewals {
            if self.world.is_over() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(RENEWAL))).await;
            let asked = Instant::now();
            match self.keep_alive(lease.id).await {
                Some(answer) if answer.ttl > 0 => begun = asked,
                Some(_) => {
                    self.is_over(lease, begun, "a renewal");
                    return None;
                }
                None => {}
            }
            let read = Asked::Read(Scope::Key(lease.key));
            match perform(&self.world, self.client, self.member, self.channel(), read, 0).await {
                Some(Told::Read { found, .. }) if found.is_empty() => {
                    self.is_over(lease, begun, "a read");
                    return None;
                }
                Some(_) => {}
                None => self.turn(),
            }
        }
        Some(begun)
    }

    /// It is, somebody says.
    fn is_over(&self, lease: &Lease, begun: Instant, says: &str) {
        if begun.elapsed() < lease.ttl {
            self.world.violate(format!(
                "{says} at n{} found {:?} over {:?} after its lease {:x} was renewed for {:?}",
                self.member,
                lease.key,
                begun.elapsed(),
                lease.id,
                lease.ttl
            ));
        }
    }

    async fn keep_alive(&mut self, id: i64) -> Option<LeaseKeepAliveResponse> {
        let requests = tokio_stream::once(LeaseKeepAliveRequest { id });
        let mut client = self.lease_client();
        let answered = async { client.lease_keep_alive(requests).await?.into_inner().message().await };
        let answered = tokio::time::timeout(Duration::from_secs(TTL.unsigned_abs()), answered).await;
        match answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("it was not answered"))) {
            Ok(answer) => answer,
            Err(status) => {
                self.fail("a renewal", &status);
                None
            }
        }
    }

    async fn revoke(&mut self, lease: &Lease, begun: Instant) {
        let call = self.world.history.call(self.client, self.member, Asked::Revoke(lease.key));
        match self.lease_client().lease_revoke(LeaseRevokeRequest { id: lease.id }).await {
            Ok(response) => {
                let revision = response.into_inner().header.unwrap_or_default().revision;
                self.world.history.answer(call, Told::Revoked { revision });
            }
            Err(status) if status.message() == NOT_FOUND => self.is_over(lease, begun, "a revocation"),
            Err(status) => self.fail("a revocation", &status),
        }
    }
}
