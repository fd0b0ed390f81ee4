//! A first boot whose power is cut at any moment (while the state partition is entered in the table, formatted, or first written to)
//! leaves a medium from which the next boot makes a good box.
//!
//! The moments come from seeds: a word on the console, then a number of further writes to the disk. Every other box has a disk with a
//! volatile write cache (a qcow2 file, whose new tables QEMU keeps in memory until the guest flushes): a cut loses what was not flushed.

use std::time::Duration;

use anyhow::Result;
use qemu_tests::boxes::{self, State, comes_up, writes};
use qemu_tests::chance::Chance;
use qemu_tests::images::Image;
use qemu_tests::{full_matrix, hold, images, words};
use shoal_contract::Arch;
use shoal_lab::console::WaitError;
use shoal_lab::{Bus, Drive, Lab, Vm};

/// Moments that are tried, and with `SHOAL_MATRIX=full`.
const MOMENTS: u64 = 4;
const MOMENTS_FULL: u64 = 50;
/// Tests among which the moments are shared, so that some boxes run at once.
const LANES: u64 = 4;
/// After which words writes are counted: before the table is written, with the file system made, and while containerd begins to work.
const MILESTONES: [&str; 4] = [words::MAKING_STATE, words::MAKING_STATE, words::STATE_ON, words::CONTAINERD_RUNS];
/// The number of writes that are counted is below two to this power: more than making the partition takes.
const WRITES_BITS: u32 = 9;
/// Operations per second of the disk: few enough to hit a moment among them, many enough for a boot in reasonable time.
const IOPS: u32 = 400;

/// A moment of a first boot.
#[derive(Debug)]
struct Moment {
    milestone: &'static str,
    writes: u64,
    write_cache: bool,
}

impl Moment {
    fn of(seed: u64) -> Self {
        let milestone = MILESTONES[(seed % MILESTONES.len() as u64) as usize];
        Self { milestone, writes: Chance::new(seed).magnitude(WRITES_BITS), write_cache: (seed + seed / LANES).is_multiple_of(2) }
    }

    /// Waits for the moment; a boot that has come to its end before is as good a moment.
    async fn comes(&self, vm: &mut Vm, image: &Image) -> Result<()> {
        vm.console().wait_for(self.milestone, boxes::DEADLINE).await?;
        let until = writes(vm).await? + self.writes;
        while writes(vm).await? < until {
            match vm.console().wait_for(image.last_word(), Duration::ZERO).await {
                Ok(_) => break,
                Err(WaitError::Deadline { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

async fn interrupted(lab: &Lab, moment: Moment) -> Result<()> {
    let image = if moment.milestone == words::CONTAINERD_RUNS { images::image(Arch::Amd64)? } else { images::bare(Arch::Amd64)? };
    let disk = if moment.write_cache { boxes::disk(lab, image).await? } else { boxes::raw_disk(lab, image).await? };
    let machine = boxes::machine(image).firmware(boxes::kernel(image, "")).drive(Drive::new(disk, Bus::Virtio).slow(IOPS));
    let mut vm = Vm::start(machine, lab).await?;
    moment.comes(&mut vm, image).await?;
    vm.restart().await?;
    comes_up(&mut vm, image, State::OnMedium).await
}

fn lane(lane: u64) {
    let moments = if full_matrix() { MOMENTS_FULL } else { MOMENTS };
    for seed in (lane..moments).step_by(LANES as usize) {
        let moment = Moment::of(seed);
        eprintln!("interrupted_{seed}: {moment:?}");
        hold(&format!("interrupted_{seed}"), async |lab| interrupted(lab, moment).await);
    }
}

#[test]
fn while_the_partition_is_made() {
    lane(0);
}

#[test]
fn while_the_partition_is_made_again() {
    lane(1);
}

#[test]
fn while_the_box_settles_on_it() {
    lane(2);
}

#[test]
fn while_containers_are_imported() {
    lane(3);
}
