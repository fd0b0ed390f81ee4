//! Runs as many formations as asked for, on all cores, and says what they were.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shoal_formation_sim::{Failure, Formation, Plan, Report, invariants::Counts, run};

/// Failures that are printed; further ones are only counted.
const FAILURES_PRINTED: usize = 10;

/// Simulates boxes that become clusters, with everything that goes wrong, and checks what must hold.
#[derive(Debug, Parser)]
#[command(name = "shoal-formation-sim")]
struct Arguments {
    /// The seed to run, or the first of several.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many formations to run.
    #[arg(long, default_value_t = 1)]
    formations: u64,
    /// Threads; as many as there are cores if not given.
    #[arg(long)]
    threads: Option<usize>,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
}

/// What was run, and what came of it.
#[derive(Debug, Default)]
struct Summary {
    formations: u64,
    boxes: BTreeMap<usize, u64>,
    arrivals: BTreeMap<String, u64>,
    troubles: BTreeMap<String, u64>,
    people: BTreeMap<String, u64>,
    counts: Counts,
    events: u64,
    simulated: Duration,
    /// Of those where nothing went wrong, in seconds.
    took: BTreeMap<u64, u64>,
}

impl Summary {
    fn add(&mut self, Formation { shape, report, .. }: &Formation) {
        let Report { events, simulated, took, counts, .. } = report;
        self.formations += 1;
        *self.boxes.entry(shape.boxes).or_default() += 1;
        *self.arrivals.entry(format!("{:?}", shape.arrival)).or_default() += 1;
        *self.troubles.entry(format!("{:?}", shape.trouble)).or_default() += 1;
        *self.people.entry(format!("{:?}", shape.people)).or_default() += 1;
        self.counts.add(counts);
        self.events += events;
        self.simulated += Duration::from_micros(*simulated);
        if let Some(took) = took {
            *self.took.entry(took / 1_000_000).or_default() += 1;
        }
    }

    /// The time within which so many of a hundred were one cluster.
    fn percentile(&self, percent: u64) -> u64 {
        let all: u64 = self.took.values().sum();
        let mut seen = 0;
        let reached = self.took.iter().find(|(_, count)| {
            seen += *count;
            seen * 100 >= all * percent
        });
        reached.map_or(0, |(seconds, _)| *seconds)
    }

    fn print(&self, wall: Duration, threads: usize) {
        let list = |of: &BTreeMap<String, u64>| of.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
        let boxes: BTreeMap<String, u64> = self.boxes.iter().map(|(boxes, count)| (boxes.to_string(), *count)).collect();
        let counts = &self.counts;
        println!("boxes:     {}", list(&boxes));
        println!("arrival:   {}", list(&self.arrivals));
        println!("trouble:   {}", list(&self.troubles));
        println!("people:    {}", list(&self.people));
        println!(
            "clusters:  {} founded, {} dissolved, {} sealed; {} nodes let in, {} changes of voters",
            counts.founded, counts.dissolved, counts.sealed, counts.admitted, counts.voters_changed
        );
        println!(
            "members:   {} left without a leader, {} because a majority had, {} were removed",
            counts.abandoned, counts.closed, counts.removed
        );
        println!(
            "time:      with nothing wrong, all were one cluster with its voters {} s (median), {} s (99 of 100), {} s (all) after the last link",
            self.percentile(50),
            self.percentile(99),
            self.percentile(100)
        );
        println!(
            "simulated: {:.1} days, {} million events; {:.0} formations a second on {threads} threads, {:.1} ms each and thread",
            self.simulated.as_secs_f64() / 86_400.0,
            self.events / 1_000_000,
            self.formations as f64 / wall.as_secs_f64(),
            wall.as_secs_f64() * 1000.0 * threads as f64 / self.formations.max(1) as f64
        );
    }
}

fn progress(formations: u64) -> ProgressBar {
    let visible = std::io::stderr().is_terminal() && formations > 1;
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(formations), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} formations, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads = arguments.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    let began = Instant::now();
    let bar = progress(arguments.formations);
    let next = AtomicU64::new(0);
    let failures: Mutex<Vec<Box<Failure>>> = Mutex::new(Vec::new());
    let summary = Mutex::new(Summary::default());
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= arguments.formations {
                return;
            }
            let plan = Plan { lines: arguments.trace, ..Plan::new(arguments.seed + place) };
            match run(plan) {
                Ok(formation) => {
                    if arguments.formations == 1 {
                        formation.lines.iter().for_each(|line| println!("{line}"));
                        println!("formation {} ({}): trace {:016x}", plan.seed, formation.shape, formation.report.hash);
                    }
                    summary.lock().expect("nobody panics while adding").add(&formation);
                }
                Err(failure) => {
                    let mut failures = failures.lock().expect("nobody panics while adding");
                    if failures.len() < FAILURES_PRINTED {
                        bar.suspend(|| println!("{failure}"));
                    }
                    failures.push(failure);
                }
            }
            bar.inc(1);
        }
    };
    thread::scope(|scope| {
        (0..threads).for_each(|_| {
            scope.spawn(work);
        });
    });
    bar.finish_and_clear();
    let failed = failures.into_inner().map_or(0, |failures| failures.len());
    let summary = summary.into_inner().unwrap_or_default();
    println!("{} formations from seed {} on held, {failed} did not, {:.0?}", summary.formations, arguments.seed, began.elapsed());
    summary.print(began.elapsed(), threads);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
