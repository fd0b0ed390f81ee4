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
    match start(std::env::args_os().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shoal-store: {error:#}");
            let removed = error.is::<Removed>() || matches!(error.downcast_ref(), Some(DataDirError::Removed(_)));
            if removed { ExitCode::from(EXIT_REMOVED) } else { ExitCode::FAILURE }
        }
    }
}

fn start(arguments: Vec<OsString>) -> anyhow::Result<()> {
    // Its flags are etcdctl's and etcdutl's, which have short ones.
    if arguments.get(1).is_some_and(|first| first == "snapshot") {
        return snapshot::run(arguments[1..].to_vec());
    }
    let flags = Flags::parse_from(flags::normalize(arguments));
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
    let (own, raft) = levels(level);
    let levels = Targets::new().with_default(own).with_target("openraft", raft);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
}

/// What is logged of our own lines, and of openraft's. It tells of every step that it takes, in terms of its own, and warns of what is nothing to worry
/// about (a vote that is not granted, a peer that is down, over and over). What a person needs to know of elections and peers, the store says itself,
/// once, as etcd does: at info, and at warn when something is lost. So openraft is heard when it fails, and when somebody looks for its steps.
const fn levels(level: LogLevel) -> (LevelFilter, LevelFilter) {
    match level {
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::ERROR),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::ERROR),
        LogLevel::Error | LogLevel::Panic | LogLevel::Fatal => (LevelFilter::ERROR, LevelFilter::ERROR),
    }
}
