//! `shoal up`, `shoal down`, `shoal list`: clusters of emulated boxes on this machine, for CI, demonstrations and development.
//!
//! | part | what it does |
//! |---|---|
//! | [`place`] | a directory for each cluster, and who takes part in its life |
//! | [`keeper`] | the process that has the boxes, from `up` to `down` |
//! | [`stage`] | how far a box is, by its console |
//! | [`gate`] | a port of this machine that leads to the cluster's API |
//! | [`control`] | how other commands reach the keeper |
//! | [`wait`], [`nodes`] | what is shown until all nodes are Ready |
//!
//! The boxes boot what a stick would boot: the disk image, stamped with a fleet of the cluster's own, by UEFI. They are on a switch of their own, with nobody on it but a host
//! that gives addresses: nothing of this machine's network is touched, and nothing outside is reached.

mod control;
mod gate;
pub mod keeper;
mod nodes;
pub mod place;
mod stage;
mod wait;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use shoal_contract::Arch;
use shoal_lab::Disk;
use shoal_recipe::model::Format;
use shoal_teardown::Unfinished;

use self::keeper::{DETACH, Order};
use self::place::{Life, Place, Places, Record};
use self::wait::{Awaited, wait};
use crate::boot::{DEMONSTRATION, qemu};
use crate::cli::{DownArgs, ListArgs, UpArgs};
use crate::events::Style;
use crate::fleet;
use crate::project::Project;
use crate::run::{Session, native};
use crate::steps::disk::DISK_FILE;
use crate::toolbox::BUILD_TOOLS;

/// Lines of the keeper's log that an error shows.
const LOG_LINES: usize = 8;

/// `shoal up`.
///
/// # Errors
/// If a cluster of this name is up, the image cannot be built, or the cluster does not become ready; then nothing is left of it that is not to be kept.
pub fn run(args: &UpArgs) -> Result<()> {
    let started = Instant::now();
    let session = Session::open(&args.common)?;
    let (place, _part) = Places::open()?.claim(&args.name)?;
    // Until it has a keeper; that one knows what is to be left of it.
    let mut unfinished = None;
    let qemu = if let Ok(record) = place.record() {
        eprintln!("the cluster {} goes on where it was: {} of {}", args.name, boxes(record.nodes), record.arch);
        qemu(&session, &Project::open(DEMONSTRATION)?)?
    } else {
        unfinished = Some(Unfinished::whole(place.directory()));
        let source = Source::find(&session, args)?;
        prepare(&place, args, &source)?;
        qemu(&session, &source.project)?
    };
    let record = place.record()?;
    let fleet = fleet::read(&place.fleet())?;
    let order = Order { directory: place.directory().to_owned(), qemu };
    let mut keeper = start_keeper(&place, &order)?;
    if let Some(unfinished) = unfinished {
        unfinished.keep();
    }
    let deadline = (!args.no_wait).then(|| Instant::now() + args.wait);
    let awaited = Awaited { fleet, kubeconfig: place.kubeconfig(), nodes: record.nodes, deadline };
    let style = if args.common.plain || args.common.json { Style::Plain } else { Style::for_terminal() };
    let said = keeper.stdout.take().context("the keeper has a standard output")?;
    if let Err(error) = wait(awaited, said, style) {
        let log = last_lines(&place.log());
        // The end of its input; it takes the cluster down, and we wait for that.
        drop(keeper.stdin.take());
        keeper.wait().context("the keeper cannot be waited for")?;
        return Err(if log.is_empty() {
            error
        } else {
            error.context(format!("the cluster {} is not up; its keeper said:\n{log}", args.name))
        });
    }
    let mut lifeline = keeper.stdin.take().context("the keeper has a standard input")?;
    writeln!(lifeline, "{DETACH}").context("the keeper has ended")?;
    let seconds = started.elapsed().as_secs();
    if args.no_wait {
        println!("the cluster {} is switched on: {} ({seconds} s)", args.name, boxes(record.nodes));
        println!("next: shoal list");
    } else {
        println!("the cluster {} is up: {}, all nodes Ready ({seconds} s)", args.name, boxes(record.nodes));
        println!("next: export KUBECONFIG={} && kubectl get nodes", place.kubeconfig().display());
    }
    println!("      shoal down {}", args.name);
    Ok(())
}

/// `shoal down`.
///
/// # Errors
/// If there is no such cluster, or its keeper does not answer.
pub fn down(args: &DownArgs) -> Result<()> {
    let places = Places::open()?;
    let place = places.named(&args.name);
    ensure!(place.exists(), "there is no cluster named {}; `shoal list` shows those that there are", args.name);
    let life = place.life();
    // The keeper may need it.
    drop(places);
    if life == Life::Up {
        control::end(&place).with_context(|| format!("is `shoal up --name {}` still building?", args.name))?;
        place.await_end().context("cannot wait for the end of the cluster")?;
    }
    let places = Places::open()?;
    if args.delete && place.exists() && place.life() == Life::Off {
        place.remove()?;
    }
    drop(places);
    if place.exists() {
        println!("the cluster {} is off; `shoal up --name {0}` goes on where it was, `shoal down {0} --delete` forgets it", args.name);
    } else {
        println!("the cluster {} is gone", args.name);
    }
    Ok(())
}

/// A cluster, as `shoal list` shows it.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    state: Life,
    #[serde(flatten)]
    record: Record,
    /// What each box is at.
    boxes: Vec<String>,
    kubeconfig: Option<PathBuf>,
}

/// `shoal list`.
///
/// # Errors
/// If the directory of clusters cannot be read.
pub fn list(args: &ListArgs) -> Result<()> {
    let places = Places::open()?;
    // Looked at before others may change something; keepers are asked afterwards, for as long as they take.
    let lives: Vec<(Place, Life)> = places.all()?.into_iter().map(|place| (place.clone(), place.life())).collect();
    drop(places);
    // One that is just being made has no record yet.
    let listed = lives.iter().filter_map(|(place, life)| {
        let record = place.record().ok()?;
        let kubeconfig = Some(place.kubeconfig()).filter(|path| path.exists());
        let boxes = if *life == Life::Up { control::stages(place).unwrap_or_default() } else { Vec::new() };
        Some(Listed { name: place.name().to_owned(), state: *life, record, boxes, kubeconfig })
    });
    let listed: Vec<Listed> = listed.collect();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(());
    }
    if listed.is_empty() {
        println!("there are no clusters; `shoal up` makes one");
    }
    for Listed { name, state, record, boxes: stages, kubeconfig } in listed {
        let state = if state == Life::Up { "up" } else { "off" };
        println!("{name}: {state}, {} ({}, {} MiB each)", boxes(record.nodes), record.arch, record.memory);
        for (number, stage) in (1..).zip(stages) {
            println!("  box{number}  {stage}");
        }
        if let Some(kubeconfig) = kubeconfig.filter(|_| state == "up") {
            println!("  KUBECONFIG={}", kubeconfig.display());
        }
    }
    Ok(())
}

fn boxes(number: u8) -> String {
    if number == 1 { "1 box".to_owned() } else { format!("{number} boxes") }
}

/// What the boxes boot.
struct Source {
    /// Whose lock has QEMU.
    project: Project,
    disk: PathBuf,
    arch: Arch,
}

impl Source {
    fn find(session: &Session, args: &UpArgs) -> Result<Self> {
        let arch = args.arch.unwrap_or_else(native);
        let given = Path::new(&args.what);
        if !given.is_file() || given.extension().is_some_and(|extension| extension == "toml") {
            let project = Project::open(&args.what)?;
            let disk = session.with_build(&project, &[arch], BUILD_TOOLS, |build| {
                Ok(build.run(arch, &[Format::Img])?.disk.context("the build gave no disk image")?.path(DISK_FILE))
            })?;
            return Ok(Self { project, disk, arch });
        }
        if !given.extension().is_some_and(|extension| extension == "img" || extension == "qcow2") {
            bail!("boxes boot disk images: give a .img or .qcow2 that `shoal build` made, or a recipe, instead of {}", args.what);
        }
        Ok(Self { project: Project::open(DEMONSTRATION)?, disk: given.to_owned(), arch })
    }
}

/// Makes the image of a new cluster, and its fleet. The record comes last: without it there is no cluster.
fn prepare(place: &Place, args: &UpArgs, source: &Source) -> Result<()> {
    let extension = source.disk.extension().unwrap_or_default().to_string_lossy();
    let image = format!("image.{extension}");
    let copy = place.file(&image);
    // What an attempt that was killed has left.
    for old in [&copy, &place.fleet()] {
        let _ = fs::remove_file(old);
    }
    Disk::copy_of(&source.disk, &copy)?;
    let fleet = fleet::create(&args.name, &place.fleet())?;
    crate::stamp::stamp(&copy, &fleet, args.nodes.into())?;
    place.write_record(&Record { nodes: args.nodes, arch: source.arch, memory: args.memory, cpus: args.cpus, image, keep: args.keep })
}

/// Starts the keeper, and gives it its order.
fn start_keeper(place: &Place, order: &Order) -> Result<Child> {
    let log = File::create(place.log()).with_context(|| format!("cannot write {}", place.log().display()))?;
    let mut command = Command::new(std::env::current_exe().context("cannot find out where this program is")?);
    command.arg("keep").current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let mut keeper = command.spawn().context("the keeper cannot be started")?;
    let mut line = serde_json::to_string(order)?;
    line.push('\n');
    keeper.stdin.as_mut().context("the keeper has a standard input")?.write_all(line.as_bytes()).context("the keeper has ended")?;
    Ok(keeper)
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
