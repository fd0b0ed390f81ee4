//! Builds a recipe's outputs in a process whose surroundings a test has changed: `rebuild RECIPE CACHE OUT UMASK ARCH...`.

use std::path::Path;

use anyhow::{Context, Result};
use qemu_tests::images;
use rustix::fs::Mode;
use shoal::project::Project;
use shoal::run::build_into;
use shoal_contract::Arch;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [recipe, cache, out, umask, archs @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: rebuild RECIPE CACHE OUT UMASK ARCH...");
    };
    rustix::process::umask(Mode::from_raw_mode(u32::from_str_radix(umask, 8).context("the umask is octal")?));
    let archs = archs.iter().map(|arch| arch.parse().map_err(anyhow::Error::msg)).collect::<Result<Vec<Arch>>>()?;
    let project = Project::open(recipe)?;
    build_into(&images::session_in(Path::new(cache))?, &project, &archs, &project.recipe.outputs.formats, Path::new(out)).map(drop)
}
