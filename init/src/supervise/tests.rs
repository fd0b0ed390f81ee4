//! The whole loop with real children of /bin/sh, a real bus and no privileges: no control groups, no reboot.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use shoal_contract::{Boot, Services};
use tokio::io::{AsyncBufReadExt, BufReader};
use zbus::connection::Builder;

use super::*;
use crate::bus::ServiceRow;

const BOOT: &str = r#"
    kernel-release = "6.12"
    faults = false
    [image]
    name = "test"
    version = "1"
    arch = "amd64"
    id = "00000000-0000-0000-0000-000000000001"
    epoch = 0
    [modules]
    early = []
    always = []
    [state]
    persistent = false
    minimum-bytes = 0
    medium-timeout-ms = 0
    ram-percent = 10
    [network]
    dhcp4 = false
    ipv6-ra = false
    hostname = "test"
    [console]
    devices = []
    level = "info"
    panic-reboot-seconds = 1
    [watchdog]
    enabled = false
    timeout-seconds = 1
"#;

/// A box that runs in this process: its console, and a connection to its bus.
struct World {
    directory: tempfile::TempDir,
    lines: tokio::io::Lines<BufReader<tokio::net::UnixStream>>,
    shown: Vec<String>,
    running: tokio::task::JoinHandle<Ending>,
    network: mpsc::Sender<NetworkEvent>,
    causes: mpsc::Sender<Cause>,
}

impl World {
    fn start(services: &str) -> Self {
        Self::start_with(services, mpsc::channel(1))
    }

    /// Starts with what was heard from outside while the box booted.
    fn start_with(services: &str, (causes, heard): (mpsc::Sender<Cause>, mpsc::Receiver<Cause>)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let services = services.replace("DIRECTORY", directory.path().to_str().unwrap());
        let (network, events) = mpsc::channel(1);
        let handoff = Handoff {
            boot: Boot::parse(BOOT).unwrap(),
            services: Services::parse(&services).unwrap(),
            state: StateMedium::Ram { reason: "this is a test".into() },
            watchdog: None,
            causes: heard,
            network: events,
            notes: vec!["a note of the boot".into()],
            fault: None,
        };
        let places = Places { bus: directory.path().join("bus"), notify: directory.path().join("notify"), slice: None, launcher: None };
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut console = Console::silent(shoal_contract::boot::Level::Info);
        console.add("ttyS0", OwnedFd::from(theirs).into());
        let lines = BufReader::new(tokio::net::UnixStream::from_std(ours).unwrap()).lines();
        let running = tokio::spawn(run_at(handoff, places, console));
        Self { directory, lines, shown: Vec::new(), running, network, causes }
    }

    /// A line of the console that contains `text`: one that was shown before, or else the first that comes. What PID 1 says and what
    /// a service prints reach the console by different tasks, so no test may rely on which of two lines comes first.
    async fn wait_for(&mut self, text: &str) -> String {
        if let Some(line) = self.shown.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        let shown = &mut self.shown;
        let lines = &mut self.lines;
        let found = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                shown.push(line.clone());
                if line.contains(text) {
                    return Some(line);
                }
            }
            None
        };
        let found = tokio::time::timeout(Duration::from_secs(60), found).await;
        found.ok().flatten().unwrap_or_else(|| panic!("`{text}` never came; the console shows:\n{}", self.shown.join("\n")))
    }

    async fn proxy(&self, name: &'static str, path: &'static str, interface: &'static str) -> zbus::Proxy<'static> {
        let address = format!("unix:path={}", self.directory.path().join("bus").display());
        let connection = Builder::address(address.as_str()).build().await.unwrap();
        zbus::Proxy::new(&connection, name, path, interface).await.unwrap()
    }

    async fn init(&self) -> zbus::Proxy<'static> {
        self.proxy("org.shoal.Init1", "/org/shoal/Init1", "org.shoal.Init1").await
    }

    async fn list(&self) -> Vec<ServiceRow> {
        self.init().await.call("ListServices", &()).await.unwrap()
    }

    async fn end(self) -> Ending {
        let ended = async {
            self.init().await.call_method("PowerOff", &()).await.unwrap();
            self.goes_down().await
        };
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the box never went down")
    }

    async fn goes_down(self) -> Ending {
        let Self { mut lines, running, .. } = self;
        // Somebody must read the console, or its last words would wait for their limit.
        let reader = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let last = running.await.unwrap();
        reader.abort();
        last
    }
}

#[tokio::test]
async fn services_run_in_order_show_what_they_print_and_are_stopped() {
    let mut world = World::start(
        r#"
        [[service]]
        name = "second"
        exec = ["/bin/sh", "-c", "cat DIRECTORY/made; exec sleep 1000"]
        after = ["first"]
        [[service]]
        name = "first"
        exec = ["/bin/sh", "-c", "echo made by first > DIRECTORY/made"]
        kind = "oneshot"
        "#,
    );
    // A service that need not say so is ready before it prints anything.
    world.wait_for("all services are ready").await;
    assert_eq!(world.wait_for("[second]").await, "[second] made by first");
    let rows = world.list().await;
    assert_eq!((rows[0].1.as_str(), rows[1].1.as_str()), ("running", "done"));
    let log: Vec<(u64, String, String)> = world.init().await.call("Log", &("second", 10_u32)).await.unwrap();
    assert_eq!((log[0].1.as_str(), log[0].2.as_str()), ("info", "made by first"));
    assert_eq!(world.end().await, Ending::PowerOff);
}

#[tokio::test]
async fn a_service_that_crashes_in_a_loop_is_restarted_and_named_and_the_rest_goes_on() {
    let mut world = World::start(
        r#"
        [[service]]
        name = "crashing"
        exec = ["/bin/sh", "-c", "exit 3"]
        [[service]]
        name = "well"
        exec = ["/bin/sh", "-c", "exec sleep 1000"]
        "#,
    );
    world.wait_for("service crashing exited with 3; starting it again in 0.5 s").await;
    world.wait_for("service crashing exited with 3; starting it again in 1 s").await;
    let rows = world.list().await;
    assert!(rows[0].3 >= 1, "no restart was counted");
    assert_eq!(rows[1].1, "running");
    assert_eq!(world.end().await, Ending::PowerOff);
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_said_in_words() {
    let mut world = World::start("[[service]]\nname = \"gone\"\nexec = [\"/does/not/exist\"]\nrestart = \"never\"\n");
    let line = world.wait_for("could not be started").await;
    assert!(line.contains("No such file or directory"), "{line}");
    world.wait_for("service gone is failed").await;
    assert_eq!(world.end().await, Ending::PowerOff);
}

#[tokio::test]
async fn a_service_that_prints_without_end_holds_nobody_up() {
    let mut world = World::start("[[service]]\nname = \"loud\"\nexec = [\"/bin/sh\", \"-c\", \"yes\"]\n");
    world.wait_for("[loud] y").await;
    // The loop answers although the output never ends.
    assert_eq!(world.list().await[0].1, "running");
    assert_eq!(world.end().await, Ending::PowerOff);
}

#[tokio::test]
async fn readiness_by_socket_and_by_word_is_waited_for() {
    let mut world = World::start(
        r#"
        [[service]]
        name = "after"
        exec = ["/bin/sh", "-c", "echo both are ready; exec sleep 1000"]
        after = ["socket"]
        [[service]]
        name = "socket"
        exec = ["/bin/sh", "-c", "exec sleep 1000"]
        ready = { socket = "DIRECTORY/ready" }
        [[service]]
        name = "word"
        exec = ["/bin/sh", "-c", "echo I am told of $NOTIFY_SOCKET; exec sleep 1000"]
        ready = "notify"
        "#,
    );
    let line = world.wait_for("I am told of").await;
    assert_eq!(world.list().await.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(), ["waiting", "starting", "starting"]);
    let _listener = std::os::unix::net::UnixListener::bind(world.directory.path().join("ready")).unwrap();
    world.wait_for("both are ready").await;
    let socket = line.rsplit(' ').next().unwrap();
    std::os::unix::net::UnixDatagram::unbound().unwrap().send_to(b"READY=1", socket).unwrap();
    world.wait_for("all services are ready").await;
    assert_eq!(world.end().await, Ending::PowerOff);
}

#[tokio::test]
async fn a_lock_delays_the_shutdown_until_its_descriptor_is_closed() {
    let mut world = World::start("[[service]]\nname = \"a\"\nexec = [\"/bin/sh\", \"-c\", \"exec sleep 1000\"]\n");
    world.wait_for("all services are ready").await;
    let manager = world.proxy("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager").await;
    let lock: zbus::OwnedFd = manager.call("Inhibit", &("shutdown", "kubelet", "pods", "delay")).await.unwrap();
    let held: Vec<(String, String, String, String, u32, u32)> = manager.call("ListInhibitors", &()).await.unwrap();
    assert_eq!((held[0].1.as_str(), held[0].5), ("kubelet", std::process::id()));
    let refused = manager.call_method("Inhibit", &("shutdown", "x", "y", "block")).await;
    assert!(refused.unwrap_err().to_string().contains("only `shutdown` can be inhibited"));

    let mut told = manager.receive_signal("PrepareForShutdown").await.unwrap();
    manager.call_method("Reboot", &(false,)).await.unwrap();
    futures_util::StreamExt::next(&mut told).await.unwrap();
    assert_eq!(world.list().await[0].1, "running");
    drop(lock);
    world.wait_for("service a is stopped").await;
    assert_eq!(world.running.await.unwrap(), Ending::Reboot);
}

#[tokio::test]
async fn a_press_that_the_boot_has_not_heard_any_more_switches_off() {
    let (causes, heard) = mpsc::channel(1);
    causes.send(Cause::PowerButton).await.unwrap();
    let services = "[[service]]\nname = \"a\"\nexec = [\"/bin/sh\", \"-c\", \"exec sleep 1000\"]\n";
    let mut world = World::start_with(services, (causes, heard));
    world.wait_for("the power button was pressed").await;
    assert_eq!(world.goes_down().await, Ending::PowerOff);
}

#[tokio::test]
async fn ctrl_alt_del_reboots_a_box_that_runs() {
    let mut world = World::start("[[service]]\nname = \"a\"\nexec = [\"/bin/sh\", \"-c\", \"exec sleep 1000\"]\n");
    world.wait_for("all services are ready").await;
    world.causes.send(Cause::CtrlAltDel).await.unwrap();
    world.wait_for("ctrl-alt-del was pressed").await;
    assert_eq!(world.goes_down().await, Ending::Reboot);
}

#[tokio::test]
async fn a_link_without_a_carrier_is_on_the_screen() {
    let mut world = World::start("[[service]]\nname = \"a\"\nexec = [\"/bin/sh\", \"-c\", \"exec sleep 1000\"]\n");
    let link = || "eth0".to_owned();
    world.network.send(NetworkEvent::Found { link: link() }).await.unwrap();
    world.network.send(NetworkEvent::Listed).await.unwrap();
    world.network.send(NetworkEvent::Carrier { link: link(), carrier: false }).await.unwrap();
    world.wait_for("network: eth0 has no carrier; is the cable plugged in?").await;
    assert_eq!(world.end().await, Ending::PowerOff);
}

#[tokio::test]
async fn a_client_learns_what_to_do_when_it_names_no_service() {
    let mut world = World::start("[[service]]\nname = \"a\"\nexec = [\"/bin/sh\", \"-c\", \"exec sleep 1000\"]\n");
    world.wait_for("all services are ready").await;
    let error = world.init().await.call_method("RestartService", &("b",)).await.unwrap_err();
    assert!(error.to_string().contains("there is no service `b`; there are: a"), "{error}");
    assert_eq!(world.end().await, Ending::PowerOff);
}
