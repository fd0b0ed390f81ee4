use sha2::{Digest, Sha256};
use shoal_cluster::local::LocalConfig;
use shoal_etcd::{
    status::Error,
    version::SERVER_VERSION,
    wire::etcdserverpb::{
        AlarmMember, AlarmRequest, AlarmType, CompactionRequest, DefragmentRequest, DowngradeRequest, HashKvRequest, HashRequest,
        MoveLeaderRequest, SnapshotRequest, StatusRequest, alarm_request::AlarmAction, downgrade_request::DowngradeAction,
    },
};

use crate::server::{Server, assert_refused};

#[tokio::test]
async fn the_status_tells_kubernetes_what_it_may_use() {
    let server = Server::start().await;
    server.put("key", "value").await;
    let own = LocalConfig::default();
    let status = server.maintenance().status(StatusRequest {}).await.expect("it is told").into_inner();
    assert_eq!((status.version.as_str(), status.storage_version.as_str()), (SERVER_VERSION, "3.7.0"));
    assert_eq!((status.leader, status.is_learner, status.errors.len()), (own.identity.member, false, 0));
    assert_eq!(status.header.expect("a header").revision, 2);
    assert_eq!(status.db_size_quota, i64::try_from(own.quota_bytes).expect("it fits"));
    assert!(status.db_size > 0 && status.db_size_in_use > 0 && status.raft_applied_index > 0);
    assert!(status.downgrade_info.is_some_and(|info| !info.enabled));
}

#[tokio::test]
async fn a_lost_leader_and_alarms_are_errors_of_the_status() {
    let server = Server::start().await;
    let alarm = AlarmRequest { action: AlarmAction::Activate.into(), member_id: 5, alarm: AlarmType::Nospace.into() };
    server.maintenance().alarm(alarm).await.expect("it is raised");
    server.replica.set_leader(None);
    let status = server.maintenance().status(StatusRequest {}).await.expect("it is told").into_inner();
    assert_eq!(status.leader, 0);
    assert_eq!(status.errors, [Error::NoLeader.to_string(), "memberID:5 alarm:NOSPACE".to_owned()]);
}

#[tokio::test]
async fn alarms_are_raised_listed_and_disarmed() {
    let server = Server::start().await;
    let ask = |action: AlarmAction, member_id, alarm: AlarmType| {
        let mut client = server.maintenance();
        async move {
            let request = AlarmRequest { action: action.into(), member_id, alarm: alarm.into() };
            client.alarm(request).await.expect("it is answered").into_inner().alarms
        }
    };
    let raised = |member_id, alarm: AlarmType| AlarmMember { member_id, alarm: alarm.into() };
    assert_eq!(ask(AlarmAction::Activate, 5, AlarmType::Nospace).await, [raised(5, AlarmType::Nospace)]);
    assert_eq!(ask(AlarmAction::Activate, 6, AlarmType::Corrupt).await, [raised(6, AlarmType::Corrupt)]);
    assert_eq!(ask(AlarmAction::Activate, 7, AlarmType::None).await, []);
    assert_eq!(ask(AlarmAction::Get, 0, AlarmType::None).await.len(), 2);
    assert_eq!(ask(AlarmAction::Get, 0, AlarmType::Corrupt).await, [raised(6, AlarmType::Corrupt)]);
    assert_eq!(ask(AlarmAction::Deactivate, 5, AlarmType::Nospace).await, [raised(5, AlarmType::Nospace)]);
    assert_eq!(ask(AlarmAction::Deactivate, 5, AlarmType::Nospace).await, [], "it is gone already");
    assert_eq!(ask(AlarmAction::Get, 0, AlarmType::None).await, [raised(6, AlarmType::Corrupt)]);
}

#[tokio::test]
async fn the_same_content_has_the_same_hash() {
    let (one, other) = (Server::start().await, Server::start().await);
    for server in [&one, &other] {
        server.put("key", "value").await;
    }
    let hash = async |server: &Server| {
        let whole = server.maintenance().hash(HashRequest {}).await.expect("it is told").into_inner().hash;
        let of_revision = server.maintenance().hash_kv(HashKvRequest { revision: 2 }).await.expect("it is told").into_inner();
        (whole, of_revision.hash, of_revision.hash_revision, of_revision.compact_revision)
    };
    let first = hash(&one).await;
    assert_eq!(first, hash(&other).await);
    other.put("key", "other").await;
    let changed = hash(&other).await;
    assert_ne!(first.0, changed.0);
    assert_eq!((first.1, first.2), (changed.1, changed.2), "of the revision before nothing has changed");
}

#[tokio::test]
async fn hashes_are_refused_as_etcd_does() {
    let server = Server::start().await;
    server.put("key", "value").await;
    server.put("key", "value").await;
    server.kv().compact(CompactionRequest { revision: 3, physical: true }).await.expect("it is compacted");
    assert_refused(server.maintenance().hash_kv(HashKvRequest { revision: 2 }).await, Error::Compacted);
    assert_refused(server.maintenance().hash_kv(HashKvRequest { revision: 4 }).await, Error::FutureRev);
}

/// What etcd's client checks (`clientv3/snapshot`): the length, and that the last message is the digest of all before.
#[tokio::test]
async fn a_snapshot_ends_with_its_digest() {
    let server = Server::start().await;
    let mut stream = server.maintenance().snapshot(SnapshotRequest {}).await.expect("it begins").into_inner();
    let mut blobs = Vec::new();
    while let Some(response) = stream.message().await.expect("it goes on") {
        assert_eq!(response.version, "3.7.0");
        blobs.push((response.blob, response.remaining_bytes));
    }
    let (digest, remaining) = blobs.pop().expect("there is something");
    let mut hasher = Sha256::new();
    blobs.iter().for_each(|(blob, _)| hasher.update(blob));
    assert_eq!((&digest[..], remaining), (&hasher.finalize()[..], 0));
    let length: usize = blobs.iter().map(|(blob, _)| blob.len()).sum();
    assert_eq!((length % 512, length > 0), (0, true));
}

#[tokio::test]
async fn leadership_goes_only_to_a_voter() {
    let server = Server::start().await;
    let own = LocalConfig::default().identity.member;
    server.maintenance().move_leader(MoveLeaderRequest { target_id: own }).await.expect("it leads already");
    assert_refused(server.maintenance().move_leader(MoveLeaderRequest { target_id: 99 }).await, Error::BadLeaderTransferee);
}

#[tokio::test]
async fn defragmentation_succeeds() {
    let server = Server::start().await;
    server.maintenance().defragment(DefragmentRequest {}).await.expect("nothing stands in its way");
}

#[tokio::test]
async fn downgrades_are_refused() {
    let server = Server::start().await;
    let ask = |action: DowngradeAction, version: &str| {
        let mut client = server.maintenance();
        let request = DowngradeRequest { action: action.into(), version: version.to_owned() };
        async move { client.downgrade(request).await }
    };
    assert_refused(ask(DowngradeAction::Validate, "3.6").await, Error::InvalidDowngradeTargetVersion);
    assert_refused(ask(DowngradeAction::Enable, "3.6.0").await, Error::InvalidDowngradeTargetVersion);
    assert_refused(ask(DowngradeAction::Enable, "old").await, Error::WrongDowngradeVersionFormat);
    assert_eq!(ask(DowngradeAction::Cancel, "").await.expect("nothing is stopped").into_inner().version, "3.7");
}
