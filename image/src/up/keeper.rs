//! The keeper: the process that has the boxes of a cluster, their cables and the way in, from `shoal up` to `shoal down`.
//!
//! It is started by `shoal up`, with an [`Order`] as the first line of its standard input, and says on its standard output what happens ([`Told`], a JSON object a line).
//! Whoever started it holds the other end of its input: when that is closed, the keeper takes the cluster down, unless [`DETACH`] was said before. So a `shoal up` that is
//! killed leaves nothing behind, and one that has done its work leaves a cluster.
//!
//! QEMU ends with its keeper, however that ends (`shoal_teardown`).

use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use shoal_lab::console::WaitError;
use shoal_lab::net::dhcp::DhcpConfig;
use shoal_lab::{Bus, Disk, Drive, Format, Lab, Machine, Net, NetConfig, Qemu, Vm};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::control::Control;
use super::gate::Gate;
use super::place::{Place, Places, Record};
use super::stage;
use crate::boot::lab_arch;

/// Said on the keeper's input: from now on it goes on alone.
pub(crate) const DETACH: &str = "detach";
/// The boxes' only network.
const SITE: &str = "site";
/// What a box is at before it says anything.
const SWITCHED_ON: &str = "switched on";
/// What a box is at when QEMU has ended.
const OFF: &str = "off";
/// Bytes of a box's disk: room for state and containers behind the image. It takes only what is written.
const DISK_BYTES: u64 = 16 << 30;
/// Longer than anybody waits.
const FOREVER: Duration = Duration::from_secs(u64::MAX / 4);

/// What `shoal up` tells its keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The cluster's directory; image and record are there.
    pub(crate) directory: PathBuf,
    /// The emulators.
    pub(crate) qemu: Qemu,
}

/// What the keeper tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Told {
    /// A box takes connections to its API.
    Gate {
        /// Where they are passed on, on this machine.
        address: String,
    },
    /// A box has come to something new.
    Stage {
        /// Which, from 1.
        number: u8,
        /// What, in its own words.
        stage: String,
    },
    /// All boxes are switched on.
    Running,
}

/// `shoal keep`.
///
/// # Errors
/// If boxes cannot be started.
pub fn run() -> Result<()> {
    let mut line = String::new();
    stdin().read_line(&mut line).context("there is no order")?;
    let order: Order = serde_json::from_str(&line).context("`shoal up` starts this command, and tells it what to do")?;
    // Ctrl-C and a closed terminal are meant for the command that waits, which tells us by its end.
    let _ = rustix::process::setsid();
    let place = Place::at(order.directory);
    let record = place.record()?;
    let _part = place.share().context("the cluster's directory cannot be locked")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let outcome = runtime.block_on(keep(&place, &record, order.qemu));
    // The boxes' tasks, and with them the boxes, end before their directory does.
    drop(runtime);
    if !record.keep {
        let _nobody_else = Places::open()?;
        place.remove()?;
    }
    outcome
}

/// Keeps the cluster until it is to end.
async fn keep(place: &Place, record: &Record, qemu: Qemu) -> Result<()> {
    let (mut asked, mut terminated) = (lifeline(), signal(SignalKind::terminate())?);
    let stages = Stages::new(record.nodes);
    let mut control = Control::open(place, stages.clone())?;
    let up = async {
        let boxes = Boxes::start(place, record, qemu, &stages).await?;
        say(&Told::Running);
        boxes.gate.is_open().await;
        say(&Told::Gate { address: boxes.gate.address().to_string() });
        std::future::pending().await
    };
    tokio::select! {
        outcome = up => outcome,
        () = control.asked_to_end() => Ok(()),
        _ = &mut asked => Ok(()),
        _ = terminated.recv() => Ok(()),
    }
}

/// Ends when the other end of our input is closed and nobody has said [`DETACH`].
fn lifeline() -> oneshot::Receiver<()> {
    let (end, ended) = oneshot::channel();
    let listen = move || {
        let mut said = stdin().lock().lines();
        let detached = matches!(said.next(), Some(Ok(line)) if line == DETACH);
        if detached {
            // Never sent, and never dropped.
            std::mem::forget(end);
        } else {
            let _ = end.send(());
        }
    };
    thread::spawn(listen);
    ended
}

/// Tells whoever started us, if it still listens.
fn say(told: &Told) {
    if let Ok(line) = serde_json::to_string(told) {
        let _ = writeln!(stdout().lock(), "{line}");
    }
}

/// What each box is at.
#[derive(Debug, Clone)]
pub(crate) struct Stages(Arc<Mutex<Vec<String>>>);

impl Stages {
    fn new(boxes: u8) -> Self {
        Self(Arc::new(Mutex::new(vec![OFF.to_owned(); boxes.into()])))
    }

    /// All of them, the first box first.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, number: u8, stage: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = all.get_mut(usize::from(number - 1)).filter(|known| *known != stage) else { return };
        stage.clone_into(known);
        say(&Told::Stage { number, stage: stage.to_owned() });
    }
}

/// The boxes, with somebody on their switch who gives addresses, and the way to their API.
struct Boxes {
    _net: Net,
    gate: Gate,
}

impl Boxes {
    async fn start(place: &Place, record: &Record, qemu: Qemu, stages: &Stages) -> Result<Self> {
        let lab = Lab::within(place.directory(), "boxes", qemu)?;
        // Nobody looks at what was sent, and nobody looks for reasons here when it is over.
        lab.without_captures();
        lab.host_notes_in(place.host());
        lab.passed();
        lab.boxes(record.nodes.into());
        let net = Net::attach(&lab.network(SITE)?, NetConfig::default()).await?;
        let [a, b, c, _] = net.address().octets();
        let address = |last: u8| [a, b, c, last].into();
        net.serve_dhcp(DhcpConfig::new(address(100)..=address(99 + record.nodes), 24));
        net.advertise_router();
        let gate = Gate::open(net.clone()).await?;
        for number in 1..=record.nodes {
            let machine = Machine::new(&format!("box{number}"), lab_arch(record.arch))
                .memory(record.memory)
                .cpus(record.cpus.into())
                .nic(SITE)
                .drive(Drive::new(disk(place, record, &lab, number).await?, Bus::Virtio));
            let vm = Vm::start(machine, &lab).await.with_context(|| format!("box {number} cannot be switched on"))?;
            stages.set(number, SWITCHED_ON);
            tokio::spawn(follow(vm, number, stages.clone()));
        }
        Ok(Self { _net: net, gate })
    }
}

/// The disk of a box: the one that it had, or a new one over the image.
async fn disk(place: &Place, record: &Record, lab: &Lab, number: u8) -> Result<Disk> {
    let path = place.disk(number);
    if path.exists() {
        return Ok(Disk::at(path, Format::Qcow2));
    }
    let format = if record.image.ends_with("qcow2") { Format::Qcow2 } else { Format::Raw };
    let disk = Disk::at(place.file(&record.image), format).overlay(lab.qemu(), path).await?;
    disk.grow(lab.qemu(), DISK_BYTES).await?;
    Ok(disk)
}

/// Follows what a box says for as long as it is on. The box is switched off when this is dropped.
async fn follow(mut vm: Vm, number: u8, stages: Stages) {
    loop {
        match vm.console().wait_for("\n", FOREVER).await {
            Ok(line) => {
                if let Some(stage) = stage::of(&line) {
                    stages.set(number, &stage);
                }
            }
            Err(WaitError::Forbidden { line, .. }) => stages.set(number, &line),
            Err(WaitError::Off { .. }) => return stages.set(number, OFF),
            Err(WaitError::Deadline { .. }) => {}
        }
    }
}
