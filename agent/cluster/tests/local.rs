//! What stands on a [`Replica`] may be tested on a [`Local`]: it keeps the promises of the seam.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use shoal_cluster::{Identity, Leadership, LeaseError, Local, MembershipError, Replica, local::LocalConfig};
use shoal_kv::{
    Command, LeaseGrantRequest, Outcome, PutError, PutRequest, RangeRequest,
    watch::{WatchCreateRequest, WatchResponse},
};

fn put(key: &'static str, lease: i64) -> Command {
    Command::Put(PutRequest {
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::from_static(b"value"),
        lease,
        ..PutRequest::default()
    })
}

fn get(key: &'static str) -> RangeRequest {
    RangeRequest { key: Bytes::from_static(key.as_bytes()), ..RangeRequest::default() }
}

async fn grant(replica: &dyn Replica, ttl: i64) -> i64 {
    match replica.propose(Command::LeaseGrant(LeaseGrantRequest { id: 0, ttl })).await {
        Ok(Outcome::LeaseGrant(Ok(granted))) => granted.id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_write_is_read_and_watched() {
    let replica: Arc<dyn Replica> = Arc::new(Local::new(LocalConfig::default()));
    let stream = replica.watches().open().expect("there are few");
    stream.create(&WatchCreateRequest { key: Bytes::from_static(b"k"), ..WatchCreateRequest::default() });
    stream.ready().await;
    assert!(matches!(stream.poll(1 << 20).responses[..], [WatchResponse::Created { revision: 1, .. }]));

    let Ok(Outcome::Put(Ok(answer))) = replica.propose(put("k", 0)).await else { panic!("it is put") };
    assert_eq!(answer.revision, 2);
    replica.read_barrier().await.expect("it leads itself");
    assert_eq!(replica.store().range(&get("k")).expect("the newest revision").count, 1);
    stream.ready().await;
    assert!(matches!(stream.poll(1 << 20).responses[..], [WatchResponse::Events { revision: 2, .. }]));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_renewed_takes_its_keys_along() {
    let replica = Local::new(LocalConfig::default());
    let lease = grant(&replica, 10).await;
    replica.propose(put("k", lease)).await.expect("it is put");
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(replica.lease_renew(lease).await, Ok(10));
    tokio::time::advance(Duration::from_secs(9)).await;
    let left = replica.lease_time_to_live(lease, true).await.expect("it has a second left");
    assert_eq!((left.granted_ttl, left.remaining, left.keys), (10, Duration::from_secs(1), vec![Bytes::from_static(b"k")]));

    let stream = replica.watches().open().expect("there are few");
    stream.create(&WatchCreateRequest { key: Bytes::from_static(b"k"), ..WatchCreateRequest::default() });
    while !stream.poll(1 << 20).responses.iter().any(|response| matches!(response, WatchResponse::Events { .. })) {
        stream.ready().await;
    }
    assert_eq!(replica.lease_renew(lease).await, Err(LeaseError::NotFound));
    assert_eq!(replica.store().range(&get("k")).expect("the newest revision").count, 0);
}

#[tokio::test]
async fn a_write_above_the_quota_raises_the_alarm() {
    let replica = Local::new(LocalConfig { quota_bytes: 1, ..LocalConfig::default() });
    assert_eq!(replica.propose(put("k", 0)).await, Ok(Outcome::Put(Err(PutError::NoSpace))));
    assert_eq!(replica.status().errors, ["memberID:4097 alarm:NOSPACE"]);
}

#[tokio::test]
async fn what_is_malformed_takes_no_revision() {
    let replica = Local::new(LocalConfig::default());
    assert_eq!(replica.propose(put("", 0)).await, Ok(Outcome::Put(Err(PutError::EmptyKey))));
    let large =
        PutRequest { key: Bytes::from_static(b"k"), value: vec![0; replica.limits().request_bytes].into(), ..PutRequest::default() };
    assert_eq!(replica.propose(Command::Put(large)).await, Ok(Outcome::Put(Err(PutError::RequestTooLarge))));
    assert_eq!(replica.store().revision(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_counts_as_lost_after_three_election_timeouts() {
    let replica = Local::new(LocalConfig { identity: Identity { cluster: 1, member: 2 }, ..LocalConfig::default() });
    let lost = || shoal_cluster::status::until_leader_is_lost(replica.leadership(), replica.election_timeout());
    replica.set_leader(None);
    let before = tokio::time::Instant::now();
    lost().await;
    assert_eq!(before.elapsed().as_secs(), 3);

    replica.set_leader(Some(2));
    let Leadership { leader, is_self, .. } = *replica.leadership().borrow();
    assert_eq!((leader, is_self), (Some(2), true));
    assert!(tokio::time::timeout(Duration::from_secs(60), lost()).await.is_err(), "there is a leader");
}

#[tokio::test]
async fn members_exist_in_the_list() {
    let replica = Local::new(LocalConfig::default());
    let url = || vec!["http://other:2380".to_owned()];
    let added = replica.member_add(url(), true).await.expect("the URL is free");
    assert_eq!((added.members.len(), replica.members().len()), (2, 2));
    assert_eq!(replica.member_add(url(), true).await, Err(MembershipError::PeerUrlExists));
    assert_eq!(replica.member_promote(added.id).await, Err(MembershipError::LearnerNotReady));
    assert_eq!(replica.member_remove(added.id).await.map(|change| change.members.len()), Ok(1));
    assert_eq!(replica.member_remove(added.id).await, Err(MembershipError::MemberNotFound));
}
