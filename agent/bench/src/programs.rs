//! Builds what is measured: `shoal-store` with cargo in release, etcd and its benchmark client with Go.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::server::Kind;

/// The programs, and what they say they are.
#[derive(Debug)]
pub(crate) struct Programs {
    etcd: PathBuf,
    shoal: PathBuf,
    /// etcd's benchmark client.
    pub(crate) client: PathBuf,
    /// Versions, for the head of the table.
    pub(crate) versions: String,
}

impl Programs {
    /// Builds all programs. `shoal` is taken as it is if it is given.
    pub(crate) fn build(target: &Path, shoal: Option<&Path>) -> anyhow::Result<Self> {
        let shoal = match shoal {
            Some(program) => program.to_owned(),
            None => {
                let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
                let mut command = Command::new(cargo);
                command.args(["build", "--release", "--locked", "-p", "shoal-standalone"]).current_dir(env!("CARGO_MANIFEST_DIR"));
                run(command, "shoal-store cannot be built")?;
                target.join("release").join("shoal-store")
            }
        };
        let etcd = go("server", target)?;
        let client = go("client", target)?;
        let versions = format!("{}; {}", version(&etcd)?, version(&shoal)?);
        Ok(Self { etcd, shoal, client, versions })
    }

    /// The server of a kind.
    pub(crate) fn server(&self, kind: Kind) -> &Path {
        match kind {
            Kind::Etcd => &self.etcd,
            Kind::Shoal => &self.shoal,
        }
    }
}

/// Cargo's target directory: that which this program runs from.
pub(crate) fn target_directory() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("cannot find out where this program is")?;
    own.ancestors().nth(2).map(Path::to_owned).context("run it with `cargo run --release -p shoal-store-bench`")
}

fn go(module: &str, target: &Path) -> anyhow::Result<PathBuf> {
    let program = target.join(format!("etcd-bench-{module}"));
    let mut command = Command::new("go");
    command.args(["build", "-o"]).arg(&program).arg(".").current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("go").join(module));
    run(command, "etcd cannot be built; Go 1.26 or newer must be in the PATH as `go` (https://go.dev/dl/)")?;
    Ok(program)
}

fn run(mut command: Command, failure: &'static str) -> anyhow::Result<()> {
    let status = command.status().context(failure)?;
    anyhow::ensure!(status.success(), "{failure}");
    Ok(())
}

/// What `--version` prints: etcd's first line, and for ours the second, too.
fn version(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output().with_context(|| format!("{} does not start", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let own = text.lines().find_map(|line| line.strip_prefix("Shoal Version: ")).map(|version| format!("shoal-store {version}"));
    let etcd = || text.lines().find_map(|line| line.strip_prefix("etcd Version: ")).map(|version| format!("etcd {version}"));
    own.or_else(etcd).with_context(|| format!("{} does not tell its version", program.display()))
}
