//! Runs formations.

use std::process::ExitCode;

use clap::Parser;
use shoal_formation_sim::{Plan, run};

/// Simulates boxes that become clusters.
#[derive(Debug, Parser)]
#[command(name = "shoal-formation-sim")]
struct Arguments {
    /// The seed to run, or the first of several.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many formations to run.
    #[arg(long, default_value_t = 1)]
    formations: u64,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut failed = 0;
    for seed in arguments.seed..arguments.seed + arguments.formations {
        match run(Plan { lines: arguments.trace, ..Plan::new(seed) }) {
            Ok(formation) => {
                if arguments.formations == 1 {
                    println!("{} {:?}", formation.shape, formation.report);
                }
            }
            Err(failure) => {
                println!("{failure}");
                failed += 1;
            }
        }
    }
    println!("{failed} failed");
    ExitCode::SUCCESS
}
