//! The `shoal` command; see the library for what it does.

use std::process::ExitCode;

use clap::Parser;
use shoal::cli::{BenchCommand, Cli, Command};
use shoal::project::RecipeFault;
use shoal::run;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        // It ends its boxes in its own order.
        Command::Keep => shoal::up::keeper::run(),
        command => shoal::interrupt::watch().and_then(|()| run_command(command)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error);
            ExitCode::FAILURE
        }
    }
}

fn run_command(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Build(args) => run::build(args).map(drop),
        Command::Boot(args) => shoal::boot::run(args),
        Command::Up(args) => shoal::up::run(args),
        Command::Down(args) => shoal::up::down(args),
        Command::List(args) => shoal::up::list(args),
        Command::Keep => shoal::up::keeper::run(),
        Command::Lock(args) => run::lock(args),
        Command::Inspect(args) => shoal::inspect::run(args),
        Command::Fleet(args) => shoal::fleet::run(args),
        Command::Stamp(args) => shoal::stamp::run(args),
        Command::Kubeconfig(args) => shoal::kubeconfig::run(args),
        Command::Cache(args) => run::cache(args),
        Command::Bench(args) => match &args.command {
            BenchCommand::Boot(args) => shoal::bench::boot::run(args),
            BenchCommand::Formation(args) => shoal::bench::formation::run(args),
        },
        Command::Completions { shell } => {
            run::completions(*shell);
            Ok(())
        }
        Command::Man { dir } => run::man(dir),
    }
}

/// Prints an error with all its causes, once. A recipe's faults are shown with the offending lines.
fn report(error: anyhow::Error) {
    match error.downcast::<RecipeFault>() {
        Ok(fault) => eprintln!("{:?}", miette::Report::new(*fault.0)),
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
        }
    }
}
