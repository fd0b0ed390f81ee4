//! A service that crashes in a loop is started again with growing delays; the rest of the box neither waits for it nor goes down with it.

use qemu_tests::boxes::{self, State, comes_up, switches_off};
use qemu_tests::{hold, images, words};
use shoal_contract::Arch;
use shoal_lab::Vm;

/// Lets the service `misfit` of recipes/test.toml crash.
const CRASH: &str = "test.crash";
/// What PID 1 says each time; the delay follows.
const STARTED_AGAIN: &str = "shoal: service misfit exited with 1; starting it again in ";
/// Delays, in seconds, that grow.
const DELAYS: [&str; 3] = ["0.5 s", "1 s", "2 s"];

#[test]
fn and_is_started_again_ever_later() {
    hold("crashing_service", async |lab| {
        let image = images::image(Arch::Amd64)?;
        let mut vm =
            Vm::start(boxes::machine(image).firmware(boxes::kernel(image, &format!("{} {CRASH}", boxes::STATE_IN_RAM))), lab).await?;
        vm.console().forbid(words::REBOOTING);
        comes_up(&mut vm, image, State::InRam).await?;
        let lines = vm.console().lines();
        let mut crashes = lines.iter().filter_map(|line| line.split_once(STARTED_AGAIN)).map(|(_, delay)| delay.to_owned());
        for expected in DELAYS {
            let delay = match crashes.next() {
                Some(delay) => delay,
                None => vm.console().wait_for(STARTED_AGAIN, boxes::DEADLINE).await?,
            };
            anyhow::ensure!(delay.contains(expected), "started again after {delay:?} instead of {expected}");
        }
        switches_off(&mut vm).await
    });
}
