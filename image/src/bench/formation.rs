//! `shoal bench formation`: how long boxes that have never been switched on take from a usable network to one cluster.
//!
//! Times are the boxes' own: each says how long it took since its network was usable. They are switched on together, with somebody on the switch who gives
//! addresses, and the time of a run is that of the box that took longest.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use shoal_lab::net::dhcp::DhcpConfig;
use shoal_lab::{Bus, Disk, Drive, Format as DiskFormat, Lab, Machine, Net, NetConfig, Vm};
use shoal_teardown::TemporaryDirectory;

use super::{Image, WORD_LIMIT, measured, table};
use crate::boot::{lab_arch, qemu};
use crate::cli::BenchFormationArgs;
use crate::events::{Event, Reporter};
use crate::project::Project;
use crate::run::{Session, native};

/// What a box says when it hears the leader of its cluster; the seconds come before.
const MEMBER: &str = "the first leader was heard ";
/// What it says when one voter may fail.
const AVAILABLE: &str = "highly available ";
/// What follows the seconds.
const SINCE: &str = " s after the network was usable";
/// Boxes of which a cluster can be highly available.
const AVAILABLE_FROM: u8 = 3;
/// MiB of a box: what one without containers uses, four times.
const MEMORY: u32 = 1024;
/// Size of a box's disk in bytes: room for state behind the image.
const DISK_BYTES: u64 = 2 << 30;

/// `shoal bench formation`.
///
/// # Errors
/// If the image cannot be built, QEMU does not start, or the boxes do not become one cluster.
pub fn run(args: &BenchFormationArgs) -> Result<()> {
    let session = Session::open(&args.common)?;
    let project = Project::open(&args.recipe)?;
    let image = Image::build(&session, &project, args.arch.unwrap_or_else(native))?;
    ensure!(image.shows_agent, "the console of the recipe {} shows nothing of what the agent says; measure bare or dev", args.recipe);
    let tools = qemu(&session, &project)?;
    let place = TemporaryDirectory::new("shoal-bench-").context("cannot make a temporary directory")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let mut rows = Vec::new();
    runtime.block_on(async {
        let (mut members, mut available) = (Vec::new(), Vec::new());
        let mut accelerator = "";
        for run in 1..=args.runs.get() {
            session.reporter.note(format!("formation {run} of {} with {} boxes", args.runs, args.boxes));
            let lab = Lab::within(place.path(), &format!("formation-{run}"), tools.clone())?;
            accelerator = image.accelerator(&lab).await;
            let (member, all) = one(&lab, &image, args.boxes).await?;
            members.push(member);
            available.extend(all);
            lab.passed();
        }
        report(&mut rows, &session.reporter, args, accelerator, [members, available]);
        anyhow::Ok(())
    })?;
    if !args.common.json {
        print!("{}", table(&rows));
    }
    Ok(())
}

fn report(rows: &mut Vec<Event>, reporter: &Reporter, args: &BenchFormationArgs, accelerator: &str, numbers: [Vec<f64>; 2]) {
    for (what, numbers) in ["usable network to a leader", "usable network to high availability"].into_iter().zip(numbers) {
        let boxes = if args.boxes == 1 { "1 box".to_owned() } else { format!("{} boxes", args.boxes) };
        measured(rows, reporter, args.runs.get(), format!("{what} ({boxes}, {accelerator})"), "s", numbers);
    }
}

/// One formation: seconds of the box that took longest to its leader, and to high availability if there are enough of them.
async fn one(lab: &Lab, image: &Image, boxes: u8) -> Result<(f64, Option<f64>)> {
    lab.boxes(usize::from(boxes));
    let net = Net::attach(&lab.network("site")?, NetConfig::default()).await?;
    let address = |last: u8| Ipv4Addr::new(10, 77, 0, last);
    net.serve_dhcp(DhcpConfig::new(address(100)..=address(100 + boxes), 24));
    net.advertise_router();
    let mut vms = Vec::new();
    for number in 1..=boxes {
        let name = format!("box{number}");
        let disk = Disk::at(&image.disk, DiskFormat::Raw).overlay(lab.qemu(), lab.directory().join(format!("{name}.qcow2"))).await?;
        disk.grow(lab.qemu(), DISK_BYTES).await?;
        let machine = Machine::new(&name, lab_arch(image.arch)).memory(MEMORY).nic("site");
        vms.push(Vm::start(machine.firmware(image.kernel()).drive(Drive::new(disk, Bus::Virtio)), lab).await?);
    }
    let (mut member, mut available) = (0.0_f64, None);
    for vm in &mut vms {
        member = member.max(says(vm, MEMBER).await?);
        if boxes >= AVAILABLE_FROM {
            available = Some(says(vm, AVAILABLE).await?.max(available.unwrap_or_default()));
        }
    }
    Ok((member, available))
}

async fn says(vm: &mut Vm, what: &str) -> Result<f64> {
    loop {
        let line = vm.console().wait_for(what, WORD_LIMIT).await?;
        if let Some(seconds) = seconds_of(&line, what) {
            return Ok(seconds);
        }
    }
}

/// Seconds in a line of the agent.
fn seconds_of(line: &str, what: &str) -> Option<f64> {
    line.split_once(what)?.1.split_once(SINCE)?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_from_what_the_agent_says() {
        assert_eq!(seconds_of("[agent]  INFO highly available 9.5 s after the network was usable", AVAILABLE), Some(9.5));
        assert_eq!(seconds_of("[agent]  INFO the first leader was heard 2.0 s after the network was usable", MEMBER), Some(2.0));
        let other = "1 voter of 1 member: 1 of the 3 nodes that high availability needs can vote";
        assert_eq!(seconds_of(other, AVAILABLE), None);
    }
}
