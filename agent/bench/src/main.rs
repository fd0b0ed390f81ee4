//! `shoal-store-bench`: the store of Shoal beside etcd 3.7, on the same disk, both with every sync.
//!
//! ```text
//! cargo run --release -p shoal-store-bench
//! ```
//!
//! It builds `shoal-store` with cargo, and etcd and etcd's own benchmark client from their Go modules (`go/`). Each case starts the two
//! servers in turns, each on an empty data directory, with the same flags: etcd, Shoal, Shoal, etcd, and so on. What is printed are ratios of
//! neighbours. A client runs on the same machine as its server and takes as much processor as it does; so the server's own processor time
//! stands beside the throughput.
//!
//! | module | does |
//! |---|---|
//! | `programs` | builds what is measured |
//! | `server` | starts, kills and looks at servers |
//! | `connection` | the client that the cases of our own use for both servers |
//! | `load` | runs etcd's benchmark client |
//! | `cases` | what is measured, one file an idea |
//!
//! What the numbers mean is calculated in the library `shoal_store_bench`.

mod cases;
mod connection;
mod load;
mod programs;
mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use shoal_store_bench::{
    figures::{Pair, Row},
    process::{self, FileSystem},
    table,
};

use crate::{
    cases::{Case, Sizes},
    programs::Programs,
    server::Kind,
};

/// Measures the store of Shoal beside etcd and prints ratios as a table in Markdown.
#[derive(Debug, Parser)]
struct Flags {
    /// Run these cases alone, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Case>,
    /// Small sizes and one pair of each: whether it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Where data directories are made. The default is the target directory.
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// Measure this program as Shoal's store instead of building it.
    #[arg(long, value_name = "FILE")]
    shoal_store: Option<PathBuf>,
    /// How many pairs of each case, instead of as many as each has by itself.
    #[arg(long, value_name = "NUMBER")]
    pairs: Option<usize>,
    /// In how long the idle case makes the writes of an hour.
    #[arg(long, value_name = "SECONDS")]
    hour_seconds: Option<u64>,
    /// For profiles: print the process id of each server when it starts.
    #[arg(long)]
    show_pids: bool,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shoal-store-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> anyhow::Result<()> {
    let target = programs::target_directory()?;
    let place = flags.dir.as_ref().unwrap_or(&target);
    let place = fs::canonicalize(place).with_context(|| format!("{} is not there; make it, or name another --dir", place.display()))?;
    let mounts = fs::read_to_string("/proc/mounts").context("cannot find out which file systems there are")?;
    let file_system = process::file_system(&mounts, &place.to_string_lossy()).context("/proc/mounts does not name the root")?;
    anyhow::ensure!(!file_system.is_memory(), "{} is memory, where a sync costs nothing; name a --dir on a disk", place.display());
    let programs = Programs::build(&target, flags.shoal_store.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let mut sizes = if flags.quick { Sizes::QUICK } else { Sizes::FULL };
    sizes.hour_seconds = flags.hour_seconds.unwrap_or(sizes.hour_seconds);
    let cases = if flags.only.is_empty() { Case::ALL.to_vec() } else { flags.only.clone() };
    let load_before = load_average();
    let rows = runtime.block_on(measure(&cases, flags, &sizes, &programs, &place))?;
    print_head(&programs, file_system, &load_before);
    if flags.quick {
        println!("**Made with --quick: sizes are smaller than the rows say. This shows that it runs; no figure counts.**\n");
    }
    print!("{}", table::markdown(&rows));
    Ok(())
}

/// Runs all pairs of all cases.
async fn measure(cases: &[Case], flags: &Flags, sizes: &Sizes, programs: &Programs, place: &Path) -> anyhow::Result<Vec<Row>> {
    let pairs_of = |case: Case| flags.pairs.unwrap_or(if flags.quick { 1 } else { case.pairs() });
    let bar = ProgressBar::new(cases.iter().map(|case| 2 * pairs_of(*case) as u64).sum());
    bar.set_style(ProgressStyle::with_template("[{elapsed_precise}] {bar:30} {pos}/{len} {msg}").context("the template is constant")?);
    let mut rows = Vec::new();
    for &case in cases {
        let mut pairs = vec![Vec::new(); case.figures().len()];
        for pair in 0..pairs_of(case) {
            let order = if pair % 2 == 0 { [Kind::Etcd, Kind::Shoal] } else { [Kind::Shoal, Kind::Etcd] };
            let mut samples = [Vec::new(), Vec::new()];
            for kind in order {
                bar.set_message(format!("{case}: {kind}"));
                let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(place).context("cannot make a data directory")?;
                let launch = server::Launch { program: programs.server(kind), directory: directory.path(), show_pid: flags.show_pids };
                let sample = case.run(&launch, programs, sizes).await.with_context(|| format!("{case} of {kind}"))?;
                anyhow::ensure!(sample.len() == pairs.len(), "{case} has given {} figures of {}", sample.len(), pairs.len());
                samples[kind as usize] = sample;
                bar.inc(1);
            }
            for (at, pairs) in pairs.iter_mut().enumerate() {
                pairs.push(Pair { etcd: samples[Kind::Etcd as usize][at], shoal: samples[Kind::Shoal as usize][at] });
            }
        }
        let new = case.figures().iter().zip(&pairs).filter_map(|(figure, pairs)| Row::new(*figure, pairs));
        for row in new {
            bar.suspend(|| eprint!("{}", table::line(&row)));
            rows.push(row);
        }
    }
    bar.finish_and_clear();
    Ok(rows)
}

fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").ok().and_then(|text| Some(text.split(' ').next()?.to_owned())).unwrap_or_else(|| "?".to_owned())
}

fn print_head(programs: &Programs, file_system: FileSystem<'_>, load: &str) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dashes = if arguments.is_empty() { "" } else { " -- " };
    println!("`cargo run --release -p shoal-store-bench{dashes}{}`", arguments.join(" "));
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{}; {processors} processors shared with the clients, load average {load} before; data on {} ({}), synced by both.\n",
        programs.versions, file_system.kind, file_system.source
    );
}
