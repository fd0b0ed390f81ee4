//! Runs etcd's own benchmark client against a server.

use std::{path::Path, process::Stdio};

use anyhow::Context;
use shoal_store_bench::report::{self, Summary};
use tokio::process::Command;

/// Runs a command of the client (`put --total=1000`) and returns its summaries. An error if any request has failed.
pub(crate) async fn run(client: &Path, endpoint: &str, command: &[&str]) -> anyhow::Result<Vec<Summary>> {
    let address = endpoint.strip_prefix("http://").context("the endpoint is no URL")?;
    let mut program = Command::new(client);
    program.arg("--precise").arg(format!("--endpoints={address}")).args(command).stdin(Stdio::null()).kill_on_drop(true);
    let output = program.output().await.context("etcd's benchmark client does not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let summaries = report::parse(&text);
    let failed: u64 = summaries.iter().map(|summary| summary.errors).sum();
    let said = || String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success() && !summaries.is_empty(), "etcd's benchmark client failed:\n{text}\n{}", said());
    anyhow::ensure!(failed == 0, "{failed} requests of etcd's benchmark client failed:\n{text}");
    Ok(summaries)
}
