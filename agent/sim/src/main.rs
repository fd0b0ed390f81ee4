//! Runs simulations from the command line, and says how to run one that failed again.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use shoal_sim::{Plan, run};
use tracing_subscriber::{filter::Targets, prelude::*};

/// Simulates clusters of the replicated store with everything that goes wrong.
#[derive(Debug, Parser)]
#[command(name = "shoal-sim")]
struct Arguments {
    /// The seed to run, or the first of several.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds to run.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Members that the cluster begins with; 3 or 5 by the seed if not given.
    #[arg(long)]
    nodes: Option<usize>,
    /// Simulated seconds in which things go wrong.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Print everything that happens, also if all goes well.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let said = std::env::var("RUST_LOG").unwrap_or_default();
    let levels = match said.parse::<Targets>() {
        Ok(levels) => levels,
        Err(error) => {
            eprintln!(
                "RUST_LOG={said}: {error}; write a level, as in RUST_LOG=debug, or levels of crates, as in RUST_LOG=shoal_cluster=debug,openraft=info"
            );
            return ExitCode::FAILURE;
        }
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(levels);
    tracing_subscriber::registry().with(lines).init();
    let began = Instant::now();
    let (mut asked, mut answered) = (0, 0);
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        let mut plan = Plan { duration: Duration::from_secs(arguments.seconds), ..Plan::new(seed) };
        plan.nodes = arguments.nodes.unwrap_or(plan.nodes);
        match run(plan) {
            Ok(report) => {
                asked += report.asked;
                answered += report.answered;
                if arguments.trace {
                    report.trace.iter().for_each(|line| println!("{line}"));
                }
                println!("seed {seed}: {} of {} operations answered, {:.0?} so far", report.answered, report.asked, began.elapsed());
            }
            Err(failure) => {
                println!("{failure}");
                println!(
                    "seed {seed} with {} nodes failed. To run it again (see the crate's documentation for what a seed decides):",
                    plan.nodes
                );
                println!("  cargo run -p shoal-sim -- --seed {seed} --nodes {} --seconds {}", plan.nodes, arguments.seconds);
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{} seeds, {answered} of {asked} operations answered, {:.0?}", arguments.seeds, began.elapsed());
    ExitCode::SUCCESS
}
