//! `shoal-store`: the store of Shoal as a program of its own, one process a member. It takes etcd's flags in etcd's meaning, so that whoever can
//! start, test or measure an etcd can start, test or measure this.
//!
//! Until the replicated store is joined to it, it serves one member whose keys are in memory alone: it says so when it starts, and refuses
//! to be one of several.
//!
//! In a Shoal box the store is a part of the agent, which finds its peers by itself; nothing here is needed there.

mod duration;
mod flags;
mod member;
mod settings;
mod snapshot;
mod url;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

use crate::{
    flags::{Flags, LogLevel},
    settings::Settings,
};

fn main() -> ExitCode {
    let arguments = flags::normalize(std::env::args_os());
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shoal-store: {error:#}");
            ExitCode::FAILURE
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
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Panic | LogLevel::Fatal => LevelFilter::ERROR,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
}
