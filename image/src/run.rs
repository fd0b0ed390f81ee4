//! The commands, each as a function.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::CommandFactory;
use shoal_cache::{Amount, Cache, PrunePolicy, Pruned, is_no_space};
use shoal_contract::Arch;
use shoal_recipe::model::Format;
use shoal_teardown::Unfinished;

use crate::build::{Artifacts, Build};
use crate::cli::{BuildArgs, CacheArgs, CacheCommand, Cli, Common, FormatArg, LockArgs};
use crate::events::{Reporter, Style};
use crate::outputs::OUT_ADVICE;
use crate::project::Project;
use crate::sources::{Access, Sources, check_groups, groups_for};
use crate::space::explain;
use crate::toolbox::{BUILD_TOOLS, Toolbox};

/// Seconds in a day.
const DAY: u64 = 86_400;

/// What all commands that build have in common, opened.
#[derive(Debug)]
pub struct Session {
    /// The cache.
    pub cache: Cache,
    /// Where events go.
    pub reporter: Reporter,
    mirrors: Vec<(String, String)>,
    offline: bool,
}

impl Session {
    /// Opens the cache and chooses how progress is shown.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub fn open(common: &Common) -> Result<Self> {
        let style = match (common.json, common.plain) {
            (true, _) => Style::Json,
            (_, true) => Style::Plain,
            _ => Style::for_terminal(),
        };
        Ok(Self {
            cache: open_cache(common.cache.as_deref())?,
            reporter: Reporter::new(style),
            mirrors: common.mirror.clone(),
            offline: common.offline,
        })
    }

    /// A session for programs: `cache`, no drawing.
    #[must_use]
    pub fn with(cache: Cache, style: Style, mirrors: Vec<(String, String)>, offline: bool) -> Self {
        Self { cache, reporter: Reporter::new(style), mirrors, offline }
    }

    /// How to reach the outside.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        Access { cache: &self.cache, reporter: &self.reporter, mirrors: &self.mirrors, offline: self.offline }
    }

    /// Fetches what `tools` and builds for `archs` need, and calls `work` with a ready build.
    ///
    /// # Errors
    /// If the lock does not fit the recipe, something cannot be fetched, or `work` fails.
    pub fn with_build<T>(
        &self,
        project: &Project,
        archs: &[Arch],
        tools: &[&str],
        work: impl FnOnce(&Build<'_>) -> Result<T>,
    ) -> Result<T> {
        let lock = project.lock()?;
        let groups = groups_for(&project.recipe, archs, tools);
        check_groups(&lock, &groups)?;
        crate::lock::check_local_files(project, &lock)?;
        let sources = Sources::fetch(&self.access(), project, lock, &groups)?;
        let toolbox = Toolbox::new(&self.cache, &sources, &project.recipe, self.offline);
        work(&Build {
            project,
            recipe: &project.recipe,
            cache: &self.cache,
            reporter: &self.reporter,
            sources: &sources,
            tools: &toolbox,
            offline: self.offline,
        })
    }
}

/// Opens the cache in `dir`, or the user's.
///
/// # Errors
/// If it cannot be written.
pub fn open_cache(dir: Option<&Path>) -> Result<Cache> {
    let dir = cache_dir(dir)?;
    Cache::open(&dir).with_context(|| format!("the cache {} cannot be used; choose another with --cache", dir.display()))
}

fn cache_dir(dir: Option<&Path>) -> Result<PathBuf> {
    Ok(dir.map_or_else(Cache::default_dir, |dir| Ok(dir.to_owned()))?)
}

/// The architecture of this machine.
#[must_use]
pub const fn native() -> Arch {
    if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::Amd64 }
}

/// `shoal build`.
///
/// # Errors
/// If the recipe or its lock has faults, a source cannot be had, a step fails, or the output directory cannot be written.
pub fn build(args: &BuildArgs) -> Result<Vec<PathBuf>> {
    let session = Session::open(&args.common)?;
    let project = Project::open(&args.recipe)?;
    let archs =
        if args.arch.is_empty() { vec![native()] } else { args.arch.iter().copied().collect::<BTreeSet<_>>().into_iter().collect() };
    let formats = formats(&args.format, &project);
    build_into(&session, &project, &archs, &formats, &args.out)
}

/// Builds `formats` for `archs` into `out`; returns what was written.
///
/// # Errors
/// As [`build`].
pub fn build_into(session: &Session, project: &Project, archs: &[Arch], formats: &[Format], out: &Path) -> Result<Vec<PathBuf>> {
    let missing: Vec<&Path> = out.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    // Only what is made here, and only while it is empty. The outermost first: what is begun last is removed first.
    let mut made: Vec<Unfinished> = missing.into_iter().rev().map(Unfinished::while_empty).collect();
    let outcome = build_into_made(session, project, archs, formats, out);
    while let Some(directory) = made.pop() {
        if outcome.is_ok() {
            directory.keep();
        }
    }
    outcome
}

fn build_into_made(session: &Session, project: &Project, archs: &[Arch], formats: &[Format], out: &Path) -> Result<Vec<PathBuf>> {
    // An output directory that cannot be written is found out before an hour of work, not behind it.
    prepare(out).map_err(|error| explain(error, out, None, OUT_ADVICE))?;
    session.with_build(project, archs, BUILD_TOOLS, |build| {
        let artifacts = archs.iter().map(|arch| build.run(*arch, formats)).collect::<Result<Vec<Artifacts>>>()?;
        crate::outputs::write(build, &artifacts, formats, out)
    })
}

/// Makes an output directory that can be written.
fn prepare(out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)
        .with_context(|| format!("cannot create the output directory {}; choose another with --out", out.display()))?;
    tempfile::tempfile_in(out).with_context(|| format!("cannot write into {}; choose another directory with --out", out.display()))?;
    Ok(())
}

fn formats(given: &[FormatArg], project: &Project) -> Vec<Format> {
    if given.is_empty() {
        return project.recipe.outputs.formats.clone();
    }
    let wanted: BTreeSet<Format> = given
        .iter()
        .map(|format| match format {
            FormatArg::Img => Format::Img,
            FormatArg::Iso => Format::Iso,
            FormatArg::Qcow2 => Format::Qcow2,
            FormatArg::Efi => Format::Efi,
            FormatArg::Kernel => Format::Kernel,
        })
        .collect();
    wanted.into_iter().collect()
}

/// `shoal lock`.
///
/// # Errors
/// If the recipe has faults, an archive cannot be had or verified, or (with `--check`) the lock would change.
pub fn lock(args: &LockArgs) -> Result<()> {
    let session = Session::open(&args.common)?;
    let project = Project::open(&args.recipe)?;
    crate::lock::run(&session.access(), &project, args.update, args.check)
}

/// `shoal cache`.
///
/// # Errors
/// If the cache cannot be read or written.
pub fn cache(args: &CacheArgs) -> Result<()> {
    match args.command {
        None | Some(CacheCommand::Show) => {
            let cache = open_cache(args.cache.as_deref())?;
            let usage = cache.usage()?;
            let line = |name: &str, amount: Amount| {
                println!("{name:<32} {:>6}  {:>12}", amount.count, indicatif::HumanBytes(amount.bytes).to_string());
            };
            println!("{}", cache.root().display());
            line("sources", usage.objects);
            line("unfinished downloads", usage.partials);
            let mut kinds = std::collections::BTreeMap::<&str, Amount>::new();
            for (name, amount) in &usage.steps {
                *kinds.entry(name.split('.').next().unwrap_or(name)).or_default() += *amount;
            }
            for (kind, amount) in kinds {
                line(&format!("results of {kind}"), amount);
            }
            for (name, amount) in &usage.shared {
                line(&format!("compilers' own: {name}"), *amount);
            }
            line("unfinished steps", usage.running);
            line("all", usage.total());
        }
        Some(CacheCommand::Prune { all, days }) => {
            let policy = if all { PrunePolicy::Everything } else { PrunePolicy::UnusedFor(Duration::from_secs(u64::from(days) * DAY)) };
            let pruned = prune(args.cache.as_deref(), &policy)?;
            println!("removed {} entries, {}", pruned.removed.count, indicatif::HumanBytes(pruned.removed.bytes));
            if pruned.in_use > 0 {
                println!("kept {} entries that a running build uses", pruned.in_use);
            }
        }
    }
    Ok(())
}

/// Prunes a cache, also where its file system has not even the space to open it.
fn prune(dir: Option<&Path>, policy: &PrunePolicy) -> Result<Pruned> {
    let (cache, room) = match open_cache(dir) {
        Ok(cache) => (cache, Amount::default()),
        Err(error) if is_no_space(error.as_ref()) => {
            let room = Cache::make_room(&cache_dir(dir)?, policy)?;
            (open_cache(dir)?, room)
        }
        Err(error) => return Err(error),
    };
    let mut pruned = cache.prune(policy)?;
    pruned.removed += room;
    Ok(pruned)
}

/// `shoal completions`.
pub fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "shoal", &mut std::io::stdout());
}

/// `shoal man`: one page for the command and one for each subcommand.
///
/// # Errors
/// If `dir` cannot be written.
pub fn man(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    clap_mangen::generate_to(Cli::command(), dir).with_context(|| format!("cannot write into {}", dir.display()))
}
