//! `shoal bench boot`: how long a box takes from power-on to what it is for, and how much memory it uses then.
//!
//! Times are the host's, from the moment QEMU runs the box to the moment its console says a word; a box with a disk never booted before makes its state
//! partition and unpacks its container images on the way.

use anyhow::{Context, Result};
use shoal_lab::{Bus, Disk, Drive, Format as DiskFormat, Lab, Machine, Vm};
use shoal_teardown::TemporaryDirectory;
use tokio::time::Instant;

use super::{Image, WORD_LIMIT, measured, table};
use crate::boot::{lab_arch, qemu};
use crate::cli::BenchBootArgs;
use crate::events::{Event, Reporter};
use crate::project::Project;
use crate::run::{Session, native};

/// PID 1 has the root: user space begins.
const USER_SPACE: &str = "shoal: root mounted";
/// containerd takes connections.
const CONTAINERD: &str = "shoal: service containerd is running";
/// Every service is ready, or done.
const ALL_READY: &str = "shoal: all services are ready";
/// What the agent says when all is well; the number of MiB follows.
const MEMORY: &str = "memory in use ";
/// Size of a box's disk in bytes: room for state behind the image.
const DISK_BYTES: u64 = 8 << 30;

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

/// `shoal bench boot`.
///
/// # Errors
/// If the image cannot be built, QEMU does not start, or a box does not come to its services.
pub fn run(args: &BenchBootArgs) -> Result<()> {
    let session = Session::open(&args.common)?;
    let project = Project::open(&args.recipe)?;
    anyhow::ensure!(
        project.recipe.services.iter().any(|service| service.name == "containerd"),
        "the recipe {} has no service containerd to wait for; measure dev or shoal",
        args.recipe
    );
    let image = Image::build(&session, &project, args.arch.unwrap_or_else(native))?;
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

/// Boots `runs` boxes each way, one at a time; the measurements, which are also reported as events.
async fn measure(lab: &Lab, image: &Image, runs: u32, reporter: &Reporter) -> Result<Vec<Event>> {
    let accelerator = image.accelerator(lab).await;
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
            measured(&mut rows, reporter, runs, format!("{what} ({}, {accelerator})", way.name()), unit, numbers);
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
        machine = machine.firmware(image.kernel());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_agent_says() {
        assert_eq!(memory_of("[agent]  INFO memory in use 187 MiB of 1967 MiB"), Some(187.0));
        assert_eq!(memory_of("[agent]  INFO memory in use a lot"), None);
    }
}
