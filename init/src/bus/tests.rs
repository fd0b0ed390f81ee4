//! The bus on a socket in a directory of the test, with zbus as a client that believes it talks to a system bus.

use futures_util::StreamExt;
use shoal_init_core::shutdown::Ending;
use zbus::Connection;
use zbus::fdo::DBusProxy;

use super::*;

struct Served {
    _directory: tempfile::TempDir,
    address: String,
    bus: Bus,
    requests: mpsc::Receiver<Request>,
}

fn serve() -> Served {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus/socket");
    let (sender, requests) = mpsc::channel(8);
    let facts = Facts {
        image: "test (amd64)".into(),
        version: "1".into(),
        build_time: 1,
        state_medium: "persistent".into(),
        going_down: Arc::default(),
    };
    let bus = Bus::listen(&path, facts, sender).unwrap();
    Served { address: format!("unix:path={}", path.display()), _directory: directory, bus, requests }
}

async fn client(served: &Served) -> Connection {
    Builder::address(served.address.as_str()).build().await.unwrap()
}

async fn manager(connection: &Connection) -> zbus::Proxy<'static> {
    let (name, path) = ("org.freedesktop.login1", "/org/freedesktop/login1");
    zbus::Proxy::new(connection, name, path, "org.freedesktop.login1.Manager").await.unwrap()
}

#[tokio::test]
async fn an_unmodified_client_finds_a_bus_with_our_names() {
    let served = serve();
    let connection = client(&served).await;
    assert!(connection.unique_name().unwrap().starts_with(":1."));
    let bus = DBusProxy::new(&connection).await.unwrap();
    let owner = bus.get_name_owner("org.freedesktop.login1".try_into().unwrap()).await.unwrap();
    assert_eq!(owner.as_str(), OUR_NAME);
    assert!(!bus.name_has_owner("org.freedesktop.systemd1".try_into().unwrap()).await.unwrap());
    assert!(connection.request_name("org.example.Mine").await.is_err());
}

#[tokio::test]
async fn the_delay_is_long_enough_that_a_kubelet_need_not_reconfigure_logind() {
    let served = serve();
    let manager = manager(&client(&served).await).await;
    let microseconds: u64 = manager.get_property("InhibitDelayMaxUSec").await.unwrap();
    assert_eq!(microseconds, 180_000_000);
}

#[tokio::test]
async fn prepare_for_shutdown_reaches_who_asked_for_it_and_nobody_else() {
    let served = serve();
    let (listening, other) = (client(&served).await, client(&served).await);
    let mut signals = manager(&listening).await.receive_signal("PrepareForShutdown").await.unwrap();
    let mut changes = zbus::Proxy::new(&other, "org.shoal.Init1", "/org/shoal/Init1", "org.shoal.Init1")
        .await
        .unwrap()
        .receive_signal("ServiceChanged")
        .await
        .unwrap();
    served.bus.prepare_for_shutdown();
    served.bus.service_changed("kubelet", "running");
    assert!(signals.next().await.unwrap().body().deserialize::<bool>().unwrap());
    let first: (String, String) = changes.next().await.unwrap().body().deserialize().unwrap();
    assert_eq!(first, ("kubelet".to_owned(), "running".to_owned()));
    assert!(manager(&other).await.get_property::<bool>("PreparingForShutdown").await.unwrap());
}

#[tokio::test]
async fn a_request_reaches_the_loop_with_the_callers_credentials_and_its_answer_comes_back() {
    let mut served = serve();
    let manager = manager(&client(&served).await).await;
    let call = tokio::spawn(async move { manager.call_method("Reboot", &(false,)).await });
    let Some(Request::Shutdown { ending, caller, reply }) = served.requests.recv().await else { panic!("another request") };
    assert_eq!((ending, caller.pid), (Ending::Reboot, std::process::id()));
    reply.send(()).unwrap();
    call.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_loop_that_has_ended_is_an_error_to_the_client_and_no_hang() {
    let served = serve();
    drop(served.requests);
    let connection = Builder::address(served.address.as_str()).build().await.unwrap();
    assert!(manager(&connection).await.call_method("Reboot", &(false,)).await.is_err());
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() {
    let served = serve();
    let connection = client(&served).await;
    assert_eq!(lock(&served.bus.peers).len(), 1);
    connection.close().await.unwrap();
    while !lock(&served.bus.peers).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn only_the_user_of_pid_1_may_change_anything() {
    let own = rustix::process::geteuid().as_raw();
    assert!(may_change(Caller { uid: own, pid: 1 }));
    assert!(!may_change(Caller { uid: own + 1, pid: 1 }));
}
