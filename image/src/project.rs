//! Where a recipe lies, and the workspace whose crates it compiles.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use shoal_recipe::{Lock, Recipe};

/// A recipe with its surroundings.
#[derive(Debug)]
pub struct Project {
    /// The workspace: the directory whose `Cargo.toml` has `[workspace]`.
    pub workspace: PathBuf,
    /// The directory that relative paths of the checked recipe refer to.
    pub recipes: PathBuf,
    /// The recipe's file.
    pub recipe_path: PathBuf,
    /// The recipe.
    pub recipe: Recipe,
}

impl Project {
    /// Finds and reads the recipe `name`: a path, or the name of a file in the workspace's `recipes/`.
    ///
    /// # Errors
    /// If there is no such file (the error lists what there is), or the recipe has faults (a miette diagnostic that points at them).
    pub fn open(name: &str) -> Result<Self> {
        let recipe_path = find_recipe(name)?;
        let recipes = recipe_path.parent().unwrap_or(Path::new(".")).to_owned();
        let workspace = find_workspace(&recipes)?;
        let root = recipes.clone();
        let file = recipe_path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let recipe = shoal_recipe::resolve(&file, |path: &str| std::fs::read_to_string(root.join(path)))
            .map_err(|fault| anyhow::Error::new(RecipeFault(Box::new(fault))))?;
        Ok(Self { workspace, recipes, recipe_path, recipe })
    }

    /// The lock's file: `<recipe>.lock` next to the recipe.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.recipe_path.with_extension("lock")
    }

    /// Reads the lock and checks that it fits the recipe.
    ///
    /// # Errors
    /// If there is none, it is malformed, or the recipe has changed since: the error names the command that mends it.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.lock_path();
        let command = format!("shoal lock {}", self.recipe_path.display());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("{} does not exist; run `{command}` to write it", path.display())
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let lock = Lock::parse(&text).with_context(|| format!("{} is malformed; run `{command}` to write it anew", path.display()))?;
        if let Some(reason) = lock.stale_reason(&self.recipe) {
            bail!("{} is older than the recipe: {reason}; run `{command}`", path.display());
        }
        Ok(lock)
    }
}

/// A recipe with faults; it is shown by miette with the offending lines.
#[derive(Debug, thiserror::Error)]
#[error("the recipe has faults")]
pub struct RecipeFault(pub Box<shoal_recipe::ResolveError>);

fn find_recipe(name: &str) -> Result<PathBuf> {
    let given = PathBuf::from(name);
    if given.is_file() {
        return absolute(&given);
    }
    if name.contains('/') || name.ends_with(".toml") {
        bail!("there is no recipe {name}");
    }
    let here = std::env::current_dir().context("the current directory cannot be read")?;
    let workspace = find_workspace(&here)?;
    let recipes = workspace.join("recipes");
    let path = recipes.join(format!("{name}.toml"));
    if path.is_file() {
        return absolute(&path);
    }
    let mut known: Vec<String> = std::fs::read_dir(&recipes)
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().to_str().and_then(|file| file.strip_suffix(".toml")).map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    known.sort();
    bail!("there is no recipe `{name}`; {} has: {}", recipes.display(), known.join(", "))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
}

/// The nearest directory at or above `from` that is a workspace with recipes; else the one this binary was compiled from.
fn find_workspace(from: &Path) -> Result<PathBuf> {
    let is_workspace = |dir: &Path| dir.join("recipes").is_dir() && dir.join("init/Cargo.toml").is_file();
    let compiled_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    match from.ancestors().find(|dir| is_workspace(dir)).or(compiled_from.filter(|dir| is_workspace(dir))) {
        Some(dir) => Ok(dir.to_owned()),
        None => bail!("{} is not inside a checkout of Shoal, whose crates an image needs; run this in a checkout", from.display()),
    }
}
