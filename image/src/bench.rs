//! `shoal bench boot`: how long a box takes from power-on to what it is for, and how much memory it uses then.
//!
//! Times are the host's, from the moment QEMU runs the box to the moment its console says a word; a box with a disk never booted before makes its state
//! partition and unpacks its container images on the way. Numbers are those of an emulated box: they compare images on one machine, and say little about
//! others.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_contract::boot::Level;
use shoal_lab::{Accelerator, Bus, Disk, Drive, Firmware, Format as DiskFormat, Lab, Machine, Vm};
use shoal_recipe::model::Format;
use shoal_teardown::TemporaryDirectory;
use tokio::time::Instant;

use crate::boot::{lab_arch, qemu};
use crate::cli::BenchBootArgs;
use crate::events::{Event, Reporter};
use crate::project::Project;
use crate::run::{Session, native};
use crate::steps::disk::DISK_FILE;
use crate::steps::initrd::INITRD_FILE;
use crate::steps::kernel_step::KERNEL_FILE;
use crate::toolbox::BUILD_TOOLS;

/// PID 1 has the root: user space begins.
const USER_SPACE: &str = "shoal: root mounted";
/// containerd takes connections.
const CONTAINERD: &str = "shoal: service containerd is running";
/// Every service is ready, or done.
const ALL_READY: &str = "shoal: all services are ready";
/// What the agent says when all is well; the number of MiB follows.
const MEMORY: &str = "memory in use ";
/// The least verbose console that shows what the agent says.
const AGENT_LEVEL: Level = Level::Info;
/// How long a box may take to the next word. Emulated on a busy machine it takes minutes; this only ends what hangs.
const WORD_LIMIT: Duration = Duration::from_secs(900);
/// Size of a box's disk in bytes: room for state behind the image.
const DISK_BYTES: u64 = 8 << 30;

/// The parts of a built image that a box boots from.
struct Image {
    arch: Arch,
    disk: PathBuf,
    kernel: PathBuf,
    initrd: PathBuf,
    command_line: String,
    /// Whether the box's console shows what the agent says.
    shows_agent: bool,
}

/// How a box comes to its kernel.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Firmware and loader, from the disk.
    Uefi,
    /// QEMU loads kernel and initramfs, so that neither firmware nor loader is measured.
    Direct,
}

impl Way {
    const ALL: [Self; 2] = [Self::Uefi, Self::Direct];

    const fn name(self) -> &'static str {
        match self {
            Self::Uefi => "disk by UEFI",
            Self::Direct => "kernel by QEMU",
        }
    }
}

/// What one boot took.
struct Boot {
    /// Seconds to user space.
    user_space: f64,
    /// Seconds to containerd.
    containerd: f64,
    /// Seconds to the last service.
    all_ready: f64,
    /// MiB in use then; none where the console does not show it.
    memory: Option<f64>,
}

/// The smallest, the middle and the largest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    minimum: f64,
    median: f64,
    maximum: f64,
}

impl Spread {
    /// None of no numbers. Of an even number of them, the median is halfway between the two in the middle.
    fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        let (minimum, maximum) = (*numbers.first()?, *numbers.last()?);
        let median = f64::midpoint(numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Some(Self { minimum, median, maximum })
    }
}

/// `shoal bench boot`.
///
/// # Errors
/// If the image cannot be built, QEMU does not start, or a box does not come to its services.
pub fn boot(args: &BenchBootArgs) -> Result<()> {
    let session = Session::open(&args.common)?;
    let project = Project::open(&args.recipe)?;
    anyhow::ensure!(
        project.recipe.services.iter().any(|service| service.name == "containerd"),
        "the recipe {} has no service containerd to wait for; measure dev or shoal",
        args.recipe
    );
    let image = build(&session, &project, args.arch.unwrap_or_else(native))?;
    let tools = qemu(&session, &project)?;
    let place = TemporaryDirectory::new("shoal-bench-").context("cannot make a temporary directory")?;
    let lab = Lab::within(place.path(), "bench", tools)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let rows = runtime.block_on(measure(&lab, &image, args.runs.get(), &session.reporter))?;
    lab.passed();
    if args.common.json {
        return Ok(());
    }
    print!("{}", table(&rows));
    if !image.shows_agent {
        println!("memory in use: not shown by a console below level `info`; measure dev");
    }
    Ok(())
}

fn build(session: &Session, project: &Project, arch: Arch) -> Result<Image> {
    session.with_build(project, &[arch], BUILD_TOOLS, |build| {
        let artifacts = build.run(arch, &[Format::Img, Format::Kernel])?;
        Ok(Image {
            arch,
            disk: artifacts.disk.context("the build gave no disk image")?.path(DISK_FILE),
            kernel: artifacts.kernel.path(KERNEL_FILE),
            initrd: artifacts.initrd.path(INITRD_FILE),
            command_line: project.recipe.kernel.cmdline.get(&arch).cloned().unwrap_or_default(),
            shows_agent: project.recipe.console.level >= AGENT_LEVEL,
        })
    })
}

/// Boots `runs` boxes each way, one at a time; the measurements, which are also reported as events.
async fn measure(lab: &Lab, image: &Image, runs: u32, reporter: &Reporter) -> Result<Vec<Event>> {
    let accelerator = match Accelerator::choose(lab.qemu(), lab_arch(image.arch), lab.directory()).await {
        Accelerator::Kvm => "KVM",
        Accelerator::Tcg => "emulation",
    };
    let mut rows = Vec::new();
    for way in Way::ALL {
        let mut boots = Vec::new();
        for run in 1..=runs {
            reporter.note(format!("boot {run} of {runs}: {}, {accelerator}", way.name()));
            boots.push(one(lab, image, way, run).await?);
        }
        let columns: [(&str, &str, Vec<f64>); 4] = [
            ("power-on to user space", "s", boots.iter().map(|boot| boot.user_space).collect()),
            ("power-on to containerd ready", "s", boots.iter().map(|boot| boot.containerd).collect()),
            ("power-on to all services ready", "s", boots.iter().map(|boot| boot.all_ready).collect()),
            ("memory in use then", "MiB", boots.iter().filter_map(|boot| boot.memory).collect()),
        ];
        for (what, unit, numbers) in columns {
            let Some(Spread { minimum, median, maximum }) = Spread::of(numbers) else { continue };
            let what = format!("{what} ({}, {accelerator})", way.name());
            let row = Event::Measured { what, unit: unit.to_owned(), runs, minimum, median, maximum };
            reporter.report(row.clone());
            rows.push(row);
        }
    }
    Ok(rows)
}

/// One boot of a disk that was never booted before.
async fn one(lab: &Lab, image: &Image, way: Way, run: u32) -> Result<Boot> {
    let name = format!("{way:?}-{run}").to_lowercase();
    let disk = Disk::at(&image.disk, DiskFormat::Raw).overlay(lab.qemu(), lab.directory().join(format!("{name}.qcow2"))).await?;
    disk.grow(lab.qemu(), DISK_BYTES).await?;
    let mut machine = Machine::new(&name, lab_arch(image.arch)).cpus(2).drive(Drive::new(disk, Bus::Virtio)).nic("nowhere");
    if matches!(way, Way::Direct) {
        machine = machine.firmware(Firmware::Kernel {
            kernel: image.kernel.clone(),
            initrd: Some(image.initrd.clone()),
            command_line: image.command_line.clone(),
        });
    }
    let mut vm = Vm::start(machine, lab).await?;
    let power_on = Instant::now();
    let user_space = reach(&mut vm, USER_SPACE, power_on).await?;
    let containerd = reach(&mut vm, CONTAINERD, power_on).await?;
    let memory_before = vm.console().lines().len();
    let all_ready = reach(&mut vm, ALL_READY, power_on).await?;
    let memory = if image.shows_agent { Some(memory(&mut vm, memory_before).await?) } else { None };
    vm.power_cut().context("cannot switch the box off")?;
    Ok(Boot { user_space, containerd, all_ready, memory })
}

/// Seconds from `power_on` until the box says `word`.
async fn reach(vm: &mut Vm, word: &str, power_on: Instant) -> Result<f64> {
    vm.console().wait_for(word, WORD_LIMIT).await?;
    Ok(power_on.elapsed().as_secs_f64())
}

/// MiB in use when all services were ready. The agent may have said it before PID 1 said that they are: looked for from line `from` on.
async fn memory(vm: &mut Vm, from: usize) -> Result<f64> {
    let line = match vm.console().lines().into_iter().skip(from).find(|line| line.contains(MEMORY)) {
        Some(line) => line,
        None => vm.console().wait_for(MEMORY, WORD_LIMIT).await?,
    };
    memory_of(&line).with_context(|| format!("the agent's line {line:?} has no number of MiB"))
}

/// MiB in a line of the agent.
fn memory_of(line: &str) -> Option<f64> {
    line.split_once(MEMORY)?.1.split(' ').next()?.parse().ok()
}

/// Measurements as people read them.
fn table(rows: &[Event]) -> String {
    let width = rows.iter().map(|row| if let Event::Measured { what, .. } = row { what.len() } else { 0 }).max().unwrap_or(0);
    let mut text = format!("{:width$}  {:>9}  {:>9}  {:>9}\n", "", "minimum", "median", "maximum");
    for row in rows {
        if let Event::Measured { what, unit, minimum, median, maximum, .. } = row {
            text += &format!("{what:width$}  {minimum:>9.1}  {median:>9.1}  {maximum:>9.1}  {unit}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let of = |numbers: &[f64]| Spread::of(numbers.to_vec());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some(Spread { minimum: 3.0, median: 3.0, maximum: 3.0 }));
        assert_eq!(of(&[9.0, 1.0, 2.0]), Some(Spread { minimum: 1.0, median: 2.0, maximum: 9.0 }));
        assert_eq!(of(&[4.0, 1.0, 2.0, 9.0]), Some(Spread { minimum: 1.0, median: 3.0, maximum: 9.0 }));
    }

    #[test]
    fn memory_is_read_from_what_the_agent_says() {
        assert_eq!(memory_of("[agent]  INFO memory in use 187 MiB of 1967 MiB"), Some(187.0));
        assert_eq!(memory_of("[agent]  INFO memory in use a lot"), None);
    }

    #[test]
    fn the_table_has_a_line_for_each_measurement() {
        let row = |what: &str| Event::Measured {
            what: what.to_owned(),
            unit: "s".to_owned(),
            runs: 3,
            minimum: 1.0,
            median: 2.25,
            maximum: 30.0,
        };
        let text = table(&[row("short"), row("a longer name")]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "short                1.0        2.2       30.0  s");
        assert_eq!(lines[2], "a longer name        1.0        2.2       30.0  s");
    }
}
