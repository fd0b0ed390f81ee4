//! A disk that takes no more: writes are refused with etcd's error, or the member ends and says why; what was acknowledged is there all the same.

#[path = "../harness/mod.rs"]
mod harness;

mod small_disk;

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use harness::{DEADLINE, Process, client::Client, folder};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use shoal_etcd::wire::etcdserverpb::{AlarmMember, AlarmRequest, alarm_request::AlarmAction, maintenance_client::MaintenanceClient};
use small_disk::SmallDisk;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

/// Room for a new store (its log's first segments of 16 MiB, and its checkpoint), and for some more.
const ROOM_BYTES: u64 = 96 << 20;

/// Bytes of a value: some dozens of them fill the log's segment.
const VALUE_BYTES: usize = 256 << 10;

/// So many such values are more than all room.
const VALUES_MAX: usize = 1000;

const PORTS: [&str; 2] = ["--listen-client-urls=http://127.0.0.1:0", "--listen-peer-urls=http://127.0.0.1:0"];

fn value(number: usize) -> String {
    format!("{number:08}{}", "v".repeat(VALUE_BYTES))
}

fn client(process: &Process) -> Client {
    Client::new(&format!("http://{}", process.address))
}

fn maintenance(process: &Process) -> MaintenanceClient<Channel> {
    MaintenanceClient::new(Endpoint::from_shared(format!("http://{}", process.address)).expect("it is a URL").connect_lazy())
}

/// The alarms that are raised.
async fn alarms(process: &Process) -> Vec<AlarmMember> {
    let get = AlarmRequest { action: AlarmAction::Get.into(), ..AlarmRequest::default() };
    maintenance(process).alarm(get).await.expect("it answers").into_inner().alarms
}

/// As `etcdctl alarm disarm`.
async fn disarm(process: &Process) {
    for AlarmMember { member_id, alarm } in alarms(process).await {
        let deactivate = AlarmRequest { action: AlarmAction::Deactivate.into(), member_id, alarm };
        maintenance(process).alarm(deactivate).await.expect("it answers");
    }
}

/// Puts values until one is refused.
async fn put_until_refused(process: &Process, acknowledged: &mut Vec<usize>) -> tonic::Status {
    loop {
        let number = acknowledged.len();
        assert!(number < VALUES_MAX, "nothing is refused");
        match client(process).put(&format!("k{number}"), &value(number)).await {
            Ok(_) => acknowledged.push(number),
            Err(status) => return status,
        }
    }
}

async fn assert_there(process: &Process, acknowledged: &[usize]) {
    for number in acknowledged {
        let found = client(process).get(&format!("k{number}")).await.expect("reads go on");
        assert!(found.as_ref() == Some(&value(*number)), "k{number} is {:?}", found.map(|found| found.len()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_answers_reads_and_takes_writes_again_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(ROOM_BYTES) else { return };
    let data_dir = format!("--data-dir={}", disk.path().join("data").display());
    let start = || {
        let mut command = disk.command(Path::new(env!("CARGO_BIN_EXE_shoal-store")));
        let mut process = Process::spawn(command.args(PORTS).arg(&data_dir));
        process.wait_ready();
        process
    };
    let process = start();
    let mut acknowledged = vec![0];
    client(&process).put("k0", &value(0)).await.expect("there is room");
    disk.fill();
    let refused = put_until_refused(&process, &mut acknowledged).await;
    assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"));
    assert_eq!(alarms(&process).await.len(), 1);
    assert_there(&process, &acknowledged).await;

    // It comes back, although there is no room for anything.
    process.end(Signal::KILL);
    let process = start();
    assert_there(&process, &acknowledged).await;
    let refused = client(&process).put("k", "v").await.expect_err("the alarm is raised");
    assert_eq!(refused.code(), Code::ResourceExhausted);

    disk.free();
    let start_of_wait = Instant::now();
    loop {
        disarm(&process).await;
        match client(&process).put("again", "v").await {
            Ok(_) => break,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
        }
        assert!(start_of_wait.elapsed() < DEADLINE, "it takes no writes although there is space");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(alarms(&process).await, []);
    process.end(Signal::KILL);
    let process = start();
    assert_there(&process, &acknowledged).await;
    assert_eq!(client(&process).get("again").await.expect("it answers"), Some("v".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_a_write_ends_the_member_which_says_why_and_loses_nothing() {
    let folder = folder();
    let start = || {
        let mut command = Command::new("/bin/sh");
        // Without the trap, a process that writes too much is killed.
        command.args(["-c", r#"trap '' XFSZ; exec "$0" "$@""#, env!("CARGO_BIN_EXE_shoal-store")]).stdin(Stdio::null());
        let mut process = Process::spawn(command.current_dir(folder.path()).args(PORTS));
        process.wait_ready();
        process
    };
    let mut process = start();
    let mut acknowledged = Vec::new();
    for number in 0..3 {
        client(&process).put(&format!("k{number}"), &value(number)).await.expect("there is room");
        acknowledged.push(number);
    }
    let pid = Pid::from_raw(i32::try_from(process.id()).expect("a process's number")).expect("it is not 0");
    // What lies beyond cannot be written: EFBIG, where another disk would say EIO.
    let limit = Rlimit { current: Some(4096), maximum: getrlimit(Resource::Fsize).maximum };
    prlimit(Some(pid), Resource::Fsize, limit).expect("it is ours");
    put_until_refused(&process, &mut acknowledged).await;
    assert_eq!(process.wait().code(), Some(1));
    let said = process.log();
    assert!(said.contains("File too large") && said.contains("Look at the disk of"), "{said}");

    let process = start();
    assert_there(&process, &acknowledged).await;
    client(&process).put("after", "v").await.expect("there is room again");
}
