//! `shoal bench`: what emulated boxes take on this machine.
//!
//! | measurement | is |
//! |---|---|
//! | [`boot`] | how long a box takes from power-on to what it is for, and how much memory it uses then |
//! | [`formation`] | how long boxes take from a usable network to one cluster |
//!
//! Numbers are those of emulated boxes: they compare images on one machine, and say little about others.

pub mod boot;
pub mod formation;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use shoal_contract::Arch;
use shoal_contract::boot::Level;
use shoal_lab::{Accelerator, Firmware, Lab};
use shoal_recipe::model::Format;

use crate::boot::lab_arch;
use crate::events::{Event, Reporter};
use crate::project::Project;
use crate::run::Session;
use crate::steps::disk::DISK_FILE;
use crate::steps::initrd::INITRD_FILE;
use crate::steps::kernel_step::KERNEL_FILE;
use crate::toolbox::BUILD_TOOLS;

/// The least verbose console that shows what the agent says.
const AGENT_LEVEL: Level = Level::Info;
/// How long a box may take to the next word. Emulated on a busy machine it takes minutes; this only ends what hangs.
const WORD_LIMIT: Duration = Duration::from_secs(900);

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

impl Image {
    fn build(session: &Session, project: &Project, arch: Arch) -> Result<Self> {
        session.with_build(project, &[arch], BUILD_TOOLS, |build| {
            let artifacts = build.run(arch, &[Format::Img, Format::Kernel])?;
            Ok(Self {
                arch,
                disk: artifacts.disk.context("the build gave no disk image")?.path(DISK_FILE),
                kernel: artifacts.kernel.path(KERNEL_FILE),
                initrd: artifacts.initrd.path(INITRD_FILE),
                command_line: project.recipe.kernel.cmdline.get(&arch).cloned().unwrap_or_default(),
                shows_agent: project.recipe.console.level >= AGENT_LEVEL,
            })
        })
    }

    /// No firmware and no loader: QEMU loads kernel and initramfs.
    fn kernel(&self) -> Firmware {
        Firmware::Kernel { kernel: self.kernel.clone(), initrd: Some(self.initrd.clone()), command_line: self.command_line.clone() }
    }

    /// The word for how its boxes are run here.
    async fn accelerator(&self, lab: &Lab) -> &'static str {
        match Accelerator::choose(lab.qemu(), lab_arch(self.arch), lab.directory()).await {
            Accelerator::Kvm => "KVM",
            Accelerator::Tcg => "emulation",
        }
    }
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

/// Reports a measurement, and keeps it for the table. There is none of no numbers.
fn measured(rows: &mut Vec<Event>, reporter: &Reporter, runs: u32, what: String, unit: &str, numbers: Vec<f64>) {
    let Some(Spread { minimum, median, maximum }) = Spread::of(numbers) else { return };
    let row = Event::Measured { what, unit: unit.to_owned(), runs, minimum, median, maximum };
    reporter.report(row.clone());
    rows.push(row);
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
