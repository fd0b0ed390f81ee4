//! `shoal-store`: the store of Shoal as a program of its own, one process a member. It takes etcd's flags in etcd's meaning, so that whoever can
//! start, test or measure an etcd can start, test or measure this.
//!
//! In a Shoal box the store is a part of the agent, which finds its peers by itself; nothing here is needed there.

mod data_dir;
mod duration;
mod flags;
mod member;
mod settings;
mod snapshot;
mod url;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    prelude::*,
};

use crate::{
    data_dir::{DataDirError, Removed},
    flags::{Flags, LogLevel},
    settings::Settings,
};

/// How this process ends when its member was removed from the cluster: whoever starts it need not start it again.
const EXIT_REMOVED: u8 = 3;

fn main() -> ExitCode {
    let arguments = flags::normalize(std::env::args_os());
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shoal-store: {error:#}");
            let removed = error.is::<Removed>() || matches!(error.downcast_ref(), Some(DataDirError::Removed(_)));
            if removed { ExitCode::from(EXIT_REMOVED) } else { ExitCode::FAILURE }
        }
    }
}

fn start(arguments: Vec<OsString>) -> anyhow::Result<()> {
    if arguments.get(1).is_some_and(|first| first == "snapshot") {
        return snapshot::run(arguments[1..].to_vec());
    }
    let flags = Flags::parse_from(arguments);
    if flags.version {
        // Harnesses of etcd look for the first line.
        println!("etcd Version: {}", shoal_etcd::version::SERVER_VERSION);
        println!("Shoal Version: {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    log(flags.tuning.log_level);
    let settings = Settings::new(flags)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(member::run(settings))
}

fn log(level: LogLevel) {
    let (level, raft) = match level {
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::ERROR),
        LogLevel::Error | LogLevel::Panic | LogLevel::Fatal => (LevelFilter::ERROR, LevelFilter::ERROR),
    };
    // openraft tells of every step that it takes, in terms of its own; what a person needs to know of them, the store says itself.
    let levels = Targets::new().with_default(level).with_target("openraft", raft);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
}
