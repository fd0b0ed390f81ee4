//! The boot, then the supervisor, then the end.
//!
//! A thread takes the steps, one after the other, for they wait for devices, media and programs. The loop beside it walks along
//! [`Sequence`] (which decides) and waits for nothing but the next of these:
//!
//! | from | gives |
//! |---|---|
//! | the thread, after each step | [`Input::Done`], [`Input::Failed`] |
//! | signals and the power button | [`Input::Asked`] |
//! | the clock | [`Input::Timer`] |

use std::process::ExitCode;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use shoal_init_core::boot::{Effect, Input, Sequence, Step};
use shoal_init_core::shutdown::{Cause, Ending};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::handoff::StateMedium;
use crate::interrupt::Interrupt;
use crate::steps::Steps;
use crate::supervise::{now, until};
use crate::{finish, power, say, supervise};

/// How a boot came to its end.
#[derive(Debug, PartialEq, Eq)]
enum Booted {
    /// Services can run.
    Up,
    /// Somebody has ended the box.
    Ended {
        /// How.
        ending: Ending,
        /// A step still runs.
        left_behind: bool,
    },
    /// The box cannot boot, for this reason.
    GivenUp(String),
}

/// The loop's ends of the channels to and from the thread that takes the steps.
struct Taker {
    orders: mpsc::UnboundedSender<Step>,
    reports: mpsc::UnboundedReceiver<Result<(), String>>,
}

/// Boots, runs, ends.
pub(crate) fn run() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => give_up(&format!("cannot start: {error}")),
    };
    match runtime.block_on(boot_and_run()) {
        Ok((ending, state)) => finish::finish(ending, &state),
        Err(error) => give_up(&format!("cannot start: {error:#}")),
    }
}

/// Says why the box cannot boot, and reboots.
fn give_up(words: &str) -> ! {
    say::line(words);
    finish::after_panic()
}

async fn boot_and_run() -> Result<(Ending, StateMedium)> {
    let (sender, mut causes) = power::listen().context("cannot listen to signals")?;
    let interrupt = Interrupt::default();
    let (mut taker, thread) = begin(Steps::new(tokio::runtime::Handle::current(), sender, interrupt.clone()))?;
    let mut notes = Vec::new();
    let booted = boot(&mut taker, &mut causes, &interrupt, &mut notes).await;
    // Without orders the thread comes to its end, unless a step keeps it.
    drop(taker);
    match booted {
        Booted::Up => {
            let handoff = joined(thread)?.hand_over(notes, causes)?;
            let state = handoff.state.clone();
            say::line("services starting");
            Ok((supervise::run(handoff).await, state))
        }
        Booted::Ended { ending, left_behind: false } => Ok((ending, joined(thread)?.state())),
        // What it hangs on would not be put down either.
        Booted::Ended { ending, left_behind: true } => Ok((ending, StateMedium::Ram { reason: "the boot did not end".into() })),
        Booted::GivenUp(words) => give_up(&words),
    }
}

/// Starts the thread that takes steps, until there are no more orders.
fn begin(mut steps: Steps) -> Result<(Taker, JoinHandle<Steps>)> {
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let (report, reports) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new().name("boot".into()).spawn(move || {
        power::leave_signals_to_the_loop();
        while let Some(step) = ordered.blocking_recv() {
            // Nobody listens any more when a step was left behind.
            let _ = report.send(steps.take(step).map_err(|error| format!("{error:#}")));
        }
        steps
    });
    Ok((Taker { orders, reports }, thread.context("cannot start a thread")?))
}

fn joined(thread: JoinHandle<Steps>) -> Result<Steps> {
    thread.join().ok().context("the boot has failed")
}

/// Walks along the steps until the boot is over, one way or the other. Causes that come too late for it stay in their channel.
async fn boot(taker: &mut Taker, causes: &mut mpsc::Receiver<Cause>, interrupt: &Interrupt, notes: &mut Vec<String>) -> Booted {
    let mut sequence = Sequence::default();
    let mut input = Input::Begin;
    loop {
        for effect in sequence.handle(now(), input) {
            match effect {
                // It fails only when the thread has panicked, and then the box reboots.
                Effect::Take(step) => drop(taker.orders.send(step)),
                Effect::Interrupt => interrupt.set(),
                Effect::Say(words) => say::line(&words),
                Effect::Note(words) => {
                    say::line(&words);
                    notes.push(words);
                }
                Effect::HandOver => return Booted::Up,
                Effect::GiveUp(words) => return Booted::GivenUp(words),
                Effect::End { ending, left_behind } => return Booted::Ended { ending, left_behind: left_behind.is_some() },
            }
        }
        let deadline = sequence.deadline().map(|deadline| Instant::now() + deadline.since(now()));
        input = tokio::select! {
            // A press that came before the end of a step is heard before the next one is taken.
            biased;
            Some(cause) = causes.recv() => Input::Asked(cause),
            Some(report) = taker.reports.recv() => match report {
                Ok(()) => Input::Done,
                Err(reason) => Input::Failed { reason },
            },
            () = until(deadline) => Input::Timer,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A boot whose steps are taken by `take`; how it ended, and the steps that were ordered.
    async fn boots(take: impl AsyncFn(Step, &mpsc::Sender<Cause>, &Interrupt) -> Result<(), String>) -> (Booted, Vec<Step>) {
        let (orders, mut ordered) = mpsc::unbounded_channel();
        let (report, reports) = mpsc::unbounded_channel();
        let (sender, mut causes) = mpsc::channel(1);
        let (interrupt, mut notes, mut taken) = (Interrupt::default(), Vec::new(), Vec::new());
        let mut taker = Taker { orders, reports };
        let thread = async {
            while let Some(step) = ordered.recv().await {
                taken.push(step);
                report.send(take(step, &sender, &interrupt).await).unwrap();
            }
            std::future::pending().await
        };
        let booted = tokio::select! {
            booted = boot(&mut taker, &mut causes, &interrupt, &mut notes) => booted,
            () = thread => unreachable!("orders end with the boot"),
        };
        (booted, taken)
    }

    #[tokio::test]
    async fn a_press_while_a_medium_is_waited_for_interrupts_the_wait_and_switches_off() {
        let (booted, taken) = boots(async |step, causes, interrupt| {
            if step == Step::State {
                causes.send(Cause::PowerButton).await.unwrap();
                while !interrupt.is_set() {
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        })
        .await;
        assert_eq!(booted, Booted::Ended { ending: Ending::PowerOff, left_behind: false });
        assert_eq!(taken.last(), Some(&Step::State));
    }

    #[tokio::test]
    async fn a_press_in_the_last_step_of_the_boot_ends_it_before_any_service_runs() {
        let (booted, taken) = boots(async |step, causes, _| {
            if Some(&step) == Step::ORDER.last() {
                causes.send(Cause::CtrlAltDel).await.unwrap();
            }
            Ok(())
        })
        .await;
        assert_eq!(booted, Booted::Ended { ending: Ending::Reboot, left_behind: false });
        assert_eq!(taken, Step::ORDER);
    }

    #[tokio::test]
    async fn a_boot_that_nobody_ends_takes_all_steps_whatever_fails_that_a_box_can_live_without() {
        let failing = [Step::EarlyModules, Step::State, Step::Network];
        let (booted, taken) = boots(async |step, _, interrupt| {
            assert!(!interrupt.is_set());
            if failing.contains(&step) { Err("it is broken".into()) } else { Ok(()) }
        })
        .await;
        assert_eq!((booted, taken), (Booted::Up, Step::ORDER.to_vec()));
    }

    #[tokio::test]
    async fn a_boot_without_a_root_is_given_up() {
        let take =
            async |step: Step, _: &mpsc::Sender<Cause>, _: &Interrupt| if step == Step::Root { Err("no root".into()) } else { Ok(()) };
        let (booted, taken) = boots(take).await;
        assert_eq!(booted, Booted::GivenUp("could not mount the root file system: no root".into()));
        assert_eq!(taken.last(), Some(&Step::Root));
    }
}
