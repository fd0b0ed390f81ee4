//! The boot under way: which step comes next, and what becomes of it when somebody ends the box.
//!
//! | input | nobody has asked | somebody has asked |
//! |---|---|---|
//! | the running step is done | the next step; behind the last one, hand over | end |
//! | it has failed, and a box can live without | note it, the next step | say it, end |
//! | it has failed, and no box can | give up | say it, end |
//! | somebody asks | interrupt the running step | nothing: the first one decides |
//! | [`STEP_GRACE`] is over | | say that the step is left behind, end |
//!
//! A step is never cut off: an interrupted one goes on to its next safe point, where what it has written is whole. One that does not come
//! to it in time hangs in the kernel, and leaving it is no worse than the power cut that every step survives.

use std::time::Duration;

use super::{AfterFailure, Step};
use crate::now::Now;
use crate::shutdown::{Cause, Ending};

/// Time for the running step once the box shall go down. Making a file system on the largest stick that writes slowly takes about a
/// minute; everything else that comes to its end is faster. When it is hit the box goes down without the step.
pub const STEP_GRACE: Duration = Duration::from_secs(90);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The boot begins.
    Begin,
    /// The step that was to be taken is done.
    Done,
    /// It has failed.
    Failed {
        /// Why, in words.
        reason: String,
    },
    /// The box shall go down.
    Asked(Cause),
    /// The [`Sequence::deadline`] has come.
    Timer,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Take this step; answer with [`Input::Done`] or [`Input::Failed`].
    Take(Step),
    /// Let the running step end at its next safe point; it answers all the same.
    Interrupt,
    /// Say a line.
    Say(String),
    /// Say a line, and keep it for the status of the running box.
    Note(String),
    /// The box has booted: run its services.
    HandOver,
    /// The box cannot boot: say why, and reboot.
    GiveUp(String),
    /// End the box; no service has run.
    End {
        /// How.
        ending: Ending,
        /// The step that is still running and cannot be waited for.
        left_behind: Option<Step>,
    },
}

/// A boot.
#[derive(Debug, Default)]
pub struct Sequence {
    /// Steps that were taken, of [`Step::ORDER`]; the last of them may still run.
    taken: usize,
    /// How the box goes down, and until when the running step is waited for.
    ending: Option<(Ending, Now)>,
    /// The last word was said: handed over, given up or ended.
    over: bool,
}

impl Sequence {
    /// When [`Input::Timer`] is wanted at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        self.ending.filter(|_| !self.over).map(|(_, until)| until)
    }

    /// Takes one input at `now` and gives what has to be done for it, in order.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.over {
            return effects;
        }
        match input {
            Input::Begin | Input::Done => self.go_on(&mut effects),
            Input::Failed { reason } => self.failed(&mut effects, &reason),
            Input::Asked(cause) => self.asked(&mut effects, now, cause),
            Input::Timer => self.late(&mut effects, now),
        }
        self.over = effects.iter().any(|effect| matches!(effect, Effect::HandOver | Effect::GiveUp(_) | Effect::End { .. }));
        effects
    }

    /// The step that runs, once the boot has begun.
    fn running(&self) -> Option<Step> {
        self.taken.checked_sub(1).and_then(|last| Step::ORDER.get(last)).copied()
    }

    fn go_on(&mut self, effects: &mut Vec<Effect>) {
        effects.push(match (self.ending, Step::ORDER.get(self.taken)) {
            (Some((ending, _)), _) => Effect::End { ending, left_behind: None },
            (None, Some(step)) => Effect::Take(*step),
            (None, None) => Effect::HandOver,
        });
        self.taken += 1;
    }

    fn failed(&mut self, effects: &mut Vec<Effect>, reason: &str) {
        let Some(step) = self.running() else { return };
        let words = format!("could not {}: {reason}", step.words());
        match (self.ending, step.after_failure()) {
            (Some(_), _) => effects.push(Effect::Say(words)),
            (None, AfterFailure::GoOn) => effects.push(Effect::Note(words)),
            (None, AfterFailure::Reboot) => return effects.push(Effect::GiveUp(words)),
        }
        self.go_on(effects);
    }

    fn asked(&mut self, effects: &mut Vec<Effect>, now: Now, cause: Cause) {
        effects.push(Effect::Say(cause.words().to_owned()));
        if self.ending.is_some() {
            return;
        }
        let ending = cause.ending();
        self.ending = Some((ending, now.plus(STEP_GRACE)));
        match self.running() {
            Some(step) => {
                let (ending, step) = (ending.words(), step.words());
                effects.push(Effect::Say(format!("the boot is broken off; going down to {ending} as soon as this has ended: {step}")));
                effects.push(Effect::Interrupt);
            }
            None => self.go_on(effects),
        }
    }

    fn late(&mut self, effects: &mut Vec<Effect>, now: Now) {
        if let (Some((ending, until)), Some(step)) = (self.ending, self.running())
            && now >= until
        {
            effects.push(Effect::Say(format!("this does not end and is left behind: {}", step.words())));
            effects.push(Effect::End { ending, left_behind: Some(step) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Now = Now::at(Duration::ZERO);

    /// A boot whose running step is `step`.
    fn at(step: Step) -> Sequence {
        let mut sequence = Sequence::default();
        let mut input = Input::Begin;
        while sequence.handle(START, input) != [Effect::Take(step)] {
            input = Input::Done;
        }
        sequence
    }

    fn failed() -> Input {
        Input::Failed { reason: "of a reason".into() }
    }

    #[test]
    fn all_steps_are_taken_in_their_order_and_then_services_run() {
        let mut sequence = Sequence::default();
        let mut input = Input::Begin;
        for step in Step::ORDER {
            assert_eq!(sequence.handle(START, input), [Effect::Take(step)]);
            input = Input::Done;
        }
        assert_eq!(sequence.handle(START, input), [Effect::HandOver]);
    }

    #[test]
    fn a_failure_is_noted_and_lived_with_or_ends_the_boot() {
        for (number, step) in Step::ORDER.into_iter().enumerate() {
            let effects = at(step).handle(START, failed());
            let words = format!("could not {}: of a reason", step.words());
            match step.after_failure() {
                AfterFailure::GoOn => assert_eq!(effects, [Effect::Note(words), Effect::Take(Step::ORDER[number + 1])]),
                AfterFailure::Reboot => assert_eq!(effects, [Effect::GiveUp(words)]),
            }
        }
    }

    #[test]
    fn a_press_during_any_step_powers_off_after_it_and_no_other_step_is_taken() {
        for step in Step::ORDER {
            for last in [Input::Done, failed()] {
                let mut sequence = at(step);
                let effects = sequence.handle(START, Input::Asked(Cause::PowerButton));
                assert_eq!(effects[0], Effect::Say("the power button was pressed".into()));
                assert!(matches!(&effects[1], Effect::Say(words) if words.contains("power off") && words.ends_with(step.words())));
                assert_eq!(effects[2..], [Effect::Interrupt]);
                let effects = sequence.handle(START, last);
                assert_eq!(effects.last(), Some(&Effect::End { ending: Ending::PowerOff, left_behind: None }));
                assert!(!effects.iter().any(|effect| matches!(effect, Effect::Take(_) | Effect::GiveUp(_))), "{effects:?}");
            }
        }
    }

    #[test]
    fn a_press_before_the_first_step_ends_the_boot_at_once() {
        let effects = Sequence::default().handle(START, Input::Asked(Cause::PowerButton));
        assert_eq!(effects.last(), Some(&Effect::End { ending: Ending::PowerOff, left_behind: None }));
    }

    #[test]
    fn the_first_cause_decides_and_a_later_one_is_only_said() {
        let mut sequence = at(Step::State);
        sequence.handle(START, Input::Asked(Cause::CtrlAltDel));
        let said = [Effect::Say("the power button was pressed".into())];
        assert_eq!(sequence.handle(START, Input::Asked(Cause::PowerButton)), said);
        assert_eq!(sequence.handle(START, Input::Done), [Effect::End { ending: Ending::Reboot, left_behind: None }]);
    }

    #[test]
    fn a_step_that_hangs_is_left_behind_when_its_time_is_over_and_not_before() {
        let mut sequence = at(Step::State);
        assert_eq!((sequence.deadline(), sequence.handle(START, Input::Timer)), (None, vec![]), "nobody has asked");
        sequence.handle(START, Input::Asked(Cause::PowerButton));
        let deadline = sequence.deadline().unwrap();
        assert_eq!(deadline, START.plus(STEP_GRACE));
        assert_eq!(sequence.handle(Now::at(STEP_GRACE - Duration::from_nanos(1)), Input::Timer), []);
        let effects = sequence.handle(deadline, Input::Timer);
        assert_eq!(effects.last(), Some(&Effect::End { ending: Ending::PowerOff, left_behind: Some(Step::State) }));
        assert_eq!(sequence.deadline(), None);
    }

    #[test]
    fn nothing_comes_after_the_end() {
        let mut sequence = at(Step::State);
        sequence.handle(START, Input::Asked(Cause::PowerButton));
        sequence.handle(START, Input::Done);
        for input in [Input::Done, failed(), Input::Asked(Cause::CtrlAltDel), Input::Timer] {
            assert_eq!(sequence.handle(START, input), []);
        }
    }
}
