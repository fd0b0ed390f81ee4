//! One formation from its seed to its verdict.

use std::fmt;

use crate::{
    KnownBug,
    invariants::{Counts, liveness},
    raft::Time,
    shapes::{Shape, Trouble},
    world::{MINUTE, SECOND, World},
};

/// How long everything may take to come together once all is mended: a member that waits to abandon, founding anew, the barrier, and a voter that is
/// taken for dead.
const MEND: Time = 25 * MINUTE;

/// How long it is watched after that, to see it stay.
const STAY: Time = 15 * SECOND;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// A rule to break.
    pub bug: Option<KnownBug>,
    /// Keep a line for everything that happens.
    pub lines: bool,
}

impl Plan {
    /// As the product is.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, bug: None, lines: false }
    }
}

/// A formation that is over.
#[derive(Debug)]
pub struct Formation {
    /// What it was.
    pub shape: Shape,
    /// What came of it.
    pub report: Report,
    /// Everything that happened, if lines were asked for.
    pub lines: Vec<String>,
}

/// What came of a formation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of everything that happened.
    pub hash: u64,
    /// Events.
    pub events: u64,
    /// Simulated time.
    pub simulated: Time,
    /// How long it took from the last link that came up, where nothing went wrong.
    pub took: Option<Time>,
    /// What was counted.
    pub counts: Counts,
}

/// Something did not hold.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What it was made of.
    pub shape: Shape,
    /// What did not hold.
    pub what: String,
    /// Everything that happened, if lines were asked for.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "formation {} ({}): {}", self.seed, self.shape, self.what)?;
        write!(f, "to see all of it: cargo run --release -p shoal-formation-sim -- --seed {} --trace", self.seed)
    }
}

/// Runs a formation.
///
/// # Errors
/// [`Failure`] if something did not hold.
pub fn run(plan: Plan) -> Result<Formation, Box<Failure>> {
    let shape = Shape::new(plan.seed, plan.bug);
    let mut world = World::new(plan.seed, plan.lines);
    shape.build(&mut world);
    world.run_until(shape.healed);
    let reached = world.run_until_so(shape.healed + MEND, liveness::is_reached);
    let took = (shape.trouble == Trouble::None && reached).then(|| world.now.saturating_sub(world.checks.last_link));
    if reached {
        world.run_for(STAY);
    }
    let stays = reached && (world.is_broken() || liveness::is_reached(&world));
    let what = world.checks.violation.clone().or_else(|| {
        let goal = liveness::goal(&world);
        let wants = if reached { "does not stay" } else { "is not reached" };
        (!stays).then(|| {
            format!("{goal:?} {wants}, {} s after all was mended: {}", (world.now - shape.healed) / SECOND, liveness::describe(&world))
        })
    });
    match what {
        Some(what) => Err(Box::new(Failure { seed: plan.seed, shape, what, lines: world.trace.lines().to_vec() })),
        None => {
            let report =
                Report { hash: world.trace.hash(), events: world.trace.events(), simulated: world.now, took, counts: world.checks.counts };
            Ok(Formation { shape, report, lines: world.trace.lines().to_vec() })
        }
    }
}
