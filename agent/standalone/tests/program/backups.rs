//! `shoal-store snapshot`: what a cluster had is had again, or it is said why not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use shoal_etcd::wire::etcdserverpb::{
    LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest, WatchCreateRequest, WatchRequest, WatchResponse, kv_client::KvClient,
    lease_client::LeaseClient, watch_client::WatchClient, watch_request::RequestUnion,
};

use crate::harness::{DEADLINE, Process, client::Client, cluster::Cluster, folder, program, text, wait_for};

/// How far the tests raise revisions.
const BUMP: i64 = 1_000_000;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    program().current_dir(folder).arg("snapshot").args(arguments).output().expect("it runs")
}

fn save(folder: &Path, client_url: &str, file: &str) -> PathBuf {
    let output = run(folder, &["save", file, &format!("--endpoints={client_url}")]);
    assert!(output.status.success(), "{}", text(&output));
    folder.join(file)
}

/// The backup of a member that has some keys, and so many bytes besides.
async fn backup_with(folder: &Path, megabytes: usize) -> PathBuf {
    let member = Process::start(folder, &["--data-dir=origin"]);
    let client = Client::new(&format!("http://{}", member.address));
    for number in 0..10 {
        client.put(&format!("k{number}"), &format!("v{number}")).await.expect("it is put");
    }
    for number in 0..megabytes {
        client.put(&format!("large{number}"), &"x".repeat(1 << 20)).await.expect("it is put");
    }
    let file = save(folder, &format!("http://{}", member.address), "backup");
    assert!(member.end(Signal::TERM).success());
    file
}

/// The first answer of a watch that says more than that it was created.
async fn watch(client: &Client, key: &str, start_revision: i64) -> WatchResponse {
    let create = WatchCreateRequest { key: key.to_owned().into(), start_revision, ..WatchCreateRequest::default() };
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    // The stream of requests stays open.
    let (requests, queue) = tokio::sync::mpsc::channel(1);
    requests.send(request).await.expect("there is room");
    let stream = tokio_stream::wrappers::ReceiverStream::new(queue);
    let mut responses = WatchClient::new(client.channel()).watch(stream).await.expect("it answers").into_inner();
    let first = async {
        loop {
            let response = responses.message().await.expect("it answers").expect("the stream goes on");
            if !response.created || response.canceled {
                return response;
            }
        }
    };
    tokio::time::timeout(DEADLINE, first).await.expect("something is said")
}

#[test]
fn a_backup_is_saved_whole_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    let member = Process::start(folder.path(), &[]);
    let file = save(folder.path(), &format!("http://{}", member.address), "backup");
    let metadata = file.metadata().expect("it is there");
    assert_eq!(metadata.len() % 512, 32, "as etcd's client wants it");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "what is in it is nobody else's business");
    assert!(!folder.path().join("backup.part").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn its_status_tells_what_is_in_it() {
    let folder = folder();
    let file = backup_with(folder.path(), 0).await;
    let output = run(folder.path(), &["status", "backup", "-w", "json"]);
    assert!(output.status.success(), "{}", text(&output));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(status["revision"], 11);
    assert_eq!(status["totalKey"], 10);
    assert_eq!(status["totalSize"], file.metadata().expect("it is there").len() - 32);
    let simple = run(folder.path(), &["status", "backup"]);
    let hash = status["hash"].as_u64().expect("it is a number");
    assert_eq!(text(&simple).split(", ").take(3).collect::<Vec<_>>(), [format!("{hash:x}"), "11".into(), "10".into()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_restored_from_a_backup_of_another() {
    let mut cluster = Cluster::start(3, &[]);
    let client = cluster.client("n1");
    for number in 0..20 {
        client.put(&format!("k{number}"), &format!("v{number}")).await.expect("all members are well");
    }
    let lease = LeaseGrantRequest { ttl: 600, id: 77 };
    LeaseClient::new(client.channel()).lease_grant(lease).await.expect("all members are well");
    let leased = PutRequest { key: "leased".into(), value: "v".into(), lease: 77, ..PutRequest::default() };
    KvClient::new(client.channel()).put(leased).await.expect("all members are well");
    save(cluster.folder.path(), &cluster.client_url("n2"), "backup");
    // What comes after the backup is lost, and clients have seen it.
    let seen = client.put("late", "v").await.expect("all members are well");
    let names = cluster.names();
    for name in &names {
        cluster.kill(name);
        fs::rename(cluster.data_dir(name), cluster.folder.path().join(format!("{name}.old"))).expect("it is there");
    }

    for name in &names {
        let bump = format!("--bump-revision={BUMP}");
        let mut arguments = vec!["restore".to_owned(), "backup".to_owned(), "--mark-compacted".to_owned(), bump];
        let same = ["--name", "--data-dir", "--initial-cluster=", "--initial-advertise-peer-urls"];
        arguments.extend(cluster.flags(name).into_iter().filter(|flag| same.iter().any(|same| flag.starts_with(same))));
        let output = run(cluster.folder.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", text(&output));
    }
    // One of the old cluster comes back in the place of one of the new.
    let (place, aside) = (cluster.data_dir("n3"), cluster.folder.path().join("n3.new"));
    fs::rename(&place, &aside).expect("it is there");
    fs::rename(cluster.folder.path().join("n3.old"), &place).expect("it is there");
    ["n1", "n2", "n3"].iter().for_each(|name| cluster.spawn(name));
    ["n1", "n2"].iter().for_each(|name| cluster.process(name).wait_ready());
    cluster.process("n3").wait_line("it belongs to another cluster");
    let client = cluster.client("n1");
    assert_eq!(client.get("k7").await.expect("two of three are enough"), Some("v7".to_owned()));
    assert_eq!(client.get("leased").await.expect("two of three are enough"), Some("v".to_owned()));
    assert_eq!(client.get("late").await.expect("two of three are enough"), None);
    cluster.process("n3").wait_line("ready to serve client requests");
    let old = Client::with_timeout(&cluster.client_url("n3"), std::time::Duration::from_secs(3));
    old.get("k7").await.expect_err("it is alone, and knows no leader");

    cluster.kill("n3");
    fs::remove_dir_all(&place).expect("it is there");
    fs::rename(&aside, &place).expect("it is there");
    cluster.spawn("n3");
    cluster.process("n3").wait_ready();
    assert_eq!(cluster.client("n3").get("k19").await.expect("all members are well"), Some("v19".to_owned()));
    let members = client.members().await.expect("all members are well");
    assert_eq!(members.iter().map(|member| member.name.as_str()).collect::<std::collections::BTreeSet<_>>().len(), 3);

    // Nobody is shown another history under revisions that were seen.
    let next = client.put("after", "v").await.expect("all members are well");
    assert_eq!(next, 22 + BUMP + 1, "the backup goes up to revision 22");
    for old in [2, seen, seen + 1] {
        let response = watch(&client, "k1", old).await;
        assert!(response.canceled && response.compact_revision == 22 + BUMP, "{response:?}");
    }
    let response = watch(&client, "after", next).await;
    assert_eq!(response.events.len(), 1, "{response:?}");

    let left = LeaseTimeToLiveRequest { id: 77, keys: true };
    let left = LeaseClient::new(client.channel()).lease_time_to_live(left).await.expect("all members are well").into_inner();
    assert!(left.granted_ttl == 600 && left.ttl > 0 && left.keys == ["leased"], "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_restored_without_a_bump_goes_on_where_the_backup_ends() {
    let folder = folder();
    backup_with(folder.path(), 0).await;
    let output = run(folder.path(), &["restore", "backup", "--data-dir=restored"]);
    assert!(output.status.success(), "{}", text(&output));
    let data_dir = "--data-dir=restored";
    let member = Process::start(folder.path(), &[data_dir]);
    let client = Client::new(&format!("http://{}", member.address));
    assert_eq!(client.put("next", "v").await.expect("it is put"), 12);
    let response = watch(&client, "k9", 2).await;
    assert_eq!(response.events.len(), 1, "history is there: {response:?}");
    // And once more, with what it has written itself.
    assert!(member.end(Signal::TERM).success());
    let member = Process::start(folder.path(), &[data_dir]);
    let client = Client::new(&format!("http://{}", member.address));
    assert_eq!(client.get("k3").await.expect("it answers"), Some("v3".to_owned()));
    assert_eq!(client.get("next").await.expect("it answers"), Some("v".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_is_refused_and_leaves_nothing() {
    let folder = folder();
    let path = folder.path();
    let file = backup_with(path, 0).await;
    let bytes = fs::read(&file).expect("it is there");
    fs::create_dir(path.join("used")).expect("it is made");
    fs::write(path.join("used/file"), "").expect("it is written");
    fs::write(path.join("cut"), &bytes[..bytes.len() - 100]).expect("it is written");
    fs::write(path.join("etcd"), vec![7; 4096]).expect("it is written");
    let before = fs::read_dir(path).expect("it is there").count();
    let refused = |arguments: &[&str], says: &str| {
        let elsewhere = arguments.iter().any(|argument| argument.starts_with("--data-dir"));
        let restore: &[&str] = if elsewhere { &["restore"] } else { &["restore", "--data-dir=restored"] };
        let mut commands = vec![restore];
        if arguments.len() == 1 {
            // What is wrong with a file, its status says, too.
            commands.push(&["status"]);
        }
        for command in commands {
            let output = run(path, &[command, arguments].concat());
            assert!(output.status.code() == Some(1) && text(&output).contains(says), "{arguments:?}: {}", text(&output));
        }
        assert_eq!(fs::read_dir(path).expect("it is there").count(), before, "{arguments:?} left something");
    };
    for at in (0..bytes.len()).step_by(bytes.len() / 25) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        fs::write(path.join("cut"), &damaged).expect("it is written");
        refused(&["cut"], if at < 16 { "this is no backup of this store" } else { "se another one" });
    }
    fs::write(path.join("cut"), &bytes[..bytes.len() - 100]).expect("it is written");
    refused(&["cut"], "it was cut off");
    refused(&["etcd"], "this is no backup of this store");
    refused(&["missing"], "missing: No such file");
    refused(&["backup", "--data-dir=used"], "used is not empty, and nothing is restored over what is there");
    refused(&["backup", "--bump-revision=5"], "--bump-revision and --mark-compacted go together");
    refused(&["backup", "--mark-compacted"], "--bump-revision and --mark-compacted go together");
    refused(&["backup", "--bump-revision=9223372036854775807", "--mark-compacted"], "Raise it by less");
    refused(&["backup", "--skip-hash-check"], "--skip-hash-check is refused");
    refused(&["backup", "--initial-cluster=other=http://h:1"], "add default=URL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_leaves_nothing_or_everything() {
    let folder = folder();
    let path = folder.path();
    backup_with(path, 12).await;
    let beside = path.join("restored.restoring");
    let within = ["lock", "store/checkpoint/current", "store/log", "member.json.part", "member.json"].map(|name| beside.join(name));
    let mut interrupted = Vec::new();
    for moment in within.into_iter().chain([path.join("restored")]) {
        let mut command = program();
        command.current_dir(path).args(["snapshot", "restore", "backup", "--data-dir=restored"]).stdout(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        wait_for("the moment, or the end", || {
            let has_ended = child.try_wait().expect("it is ours").is_some();
            (has_ended || moment.exists()).then_some(())
        });
        let _ = kill_process(Pid::from_child(&child), Signal::KILL);
        child.wait().expect("it is ours");
        if !path.join("restored").exists() {
            interrupted.push(moment.clone());
            // What is left is in nobody's way.
            let output = run(path, &["restore", "backup", "--data-dir=restored"]);
            assert!(output.status.success(), "{}: {}", moment.display(), text(&output));
        }
        assert!(!beside.exists(), "{}", moment.display());
        let member = Process::start(path, &["--data-dir=restored"]);
        let client = Client::new(&format!("http://{}", member.address));
        assert_eq!(client.get("k9").await.expect("it answers"), Some("v9".to_owned()), "{}", moment.display());
        assert_eq!(client.get("large11").await.expect("it answers").map(|value| value.len()), Some(1 << 20), "{}", moment.display());
        drop(member);
        fs::remove_dir_all(path.join("restored")).expect("it is there");
    }
    assert!(!interrupted.is_empty(), "nothing was killed in the middle, so that nothing was seen");
    println!("killed before the end: {interrupted:?}");
}
