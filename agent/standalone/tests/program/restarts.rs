//! What a member has acknowledged is there when it is started again, and only it gets it.

use rustix::process::Signal;

use crate::harness::{Process, client::Client, cluster::Cluster, folder, program, text};

fn client(process: &Process) -> Client {
    Client::new(&format!("http://{}", process.address))
}

#[tokio::test(flavor = "multi_thread")]
async fn data_survives_every_kind_of_end() {
    let folder = folder();
    let mut expected = Vec::new();
    for signal in [Signal::TERM, Signal::KILL, Signal::INT, Signal::TERM] {
        let process = Process::start(folder.path(), &[]);
        let client = client(&process);
        for number in &expected {
            assert_eq!(client.get(&format!("k{number}")).await.expect("it answers"), Some(format!("v{number}")));
        }
        let next = expected.len();
        client.put(&format!("k{next}"), &format!("v{next}")).await.expect("it is put");
        expected.push(next);
        process.end(signal);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_ignores_how_the_cluster_began() {
    let folder = folder();
    let process = Process::start(folder.path(), &["--initial-cluster-token=first"]);
    let before = client(&process).status().await.expect("it answers").header.expect("it has one");
    assert!(process.end(Signal::TERM).success());
    let process = Process::start(folder.path(), &["--initial-cluster-token=second", "--initial-cluster-state=existing"]);
    let after = client(&process).status().await.expect("it answers").header.expect("it has one");
    assert_eq!((before.cluster_id, before.member_id), (after.cluster_id, after.member_id));
    let other = crate::harness::folder();
    let process = Process::start(other.path(), &["--initial-cluster-token=second"]);
    let other = client(&process).status().await.expect("it answers").header.expect("it has one");
    assert_ne!(before.cluster_id, other.cluster_id, "another token is another cluster");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_serves_one_process_and_is_not_served_in_part() {
    let mut cluster = Cluster::start(1, &[]);
    let ports = ["--listen-client-urls=http://127.0.0.1:0", "--listen-peer-urls=http://127.0.0.1:0"];
    let data_dir = format!("--data-dir={}", cluster.data_dir("n1").display());
    let refused = |says: &str| {
        let output = program().args(ports).args(["--name=n1", &data_dir]).output().expect("it runs");
        assert!(output.status.code() == Some(1) && text(&output).contains(says), "{}", text(&output));
    };
    refused("another process uses the data directory");
    cluster.client("n1").put("k", "v").await.expect("it is put");
    cluster.kill("n1");

    // A member without what it has promised must not come back.
    let store = cluster.data_dir("n1").join("store");
    let aside = cluster.data_dir("n1").join("aside");
    std::fs::rename(&store, &aside).expect("it is there");
    refused("remove it from the cluster");
    std::fs::rename(&aside, &store).expect("it is there");
    cluster.spawn("n1");
    cluster.process("n1").wait_ready();
    assert_eq!(cluster.client("n1").get("k").await.expect("it answers"), Some("v".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_may_be_given_another_name() {
    let folder = folder();
    let mut ids = std::collections::BTreeSet::new();
    for name in ["one", "two", "one"] {
        let process = Process::start(folder.path(), &["--data-dir=data", "--name", name]);
        let members = client(&process).members().await.expect("it answers");
        assert!(members.len() == 1 && members[0].name == name, "{members:?}");
        ids.insert(members[0].id);
        assert!(process.end(Signal::TERM).success());
    }
    assert_eq!(ids.len(), 1, "it is the same member");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_has_written_is_in_its_metrics() {
    use std::io::{Read, Write};

    let folder = folder();
    let process = Process::start(folder.path(), &[]);
    client(&process).put("k", "v").await.expect("it is put");
    let mut stream = std::net::TcpStream::connect(&process.address).expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let entries = answer.lines().find_map(|line| line.strip_prefix(r#"shoal_store_written_bytes_total{cause="entries"} "#));
    assert!(entries.is_some_and(|bytes| bytes.parse::<f64>().expect("a number") > 0.0), "{answer}");
}
