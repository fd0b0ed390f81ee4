//! What the tests of this crate share.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use shoal_recipe::{Recipe, ResolveError, resolve};

/// The least that is a recipe. Fourteen lines: what a test appends begins on line 15.
pub(crate) const MINIMAL: &str = r#"name = "tiny"
version = "1.0.0"
epoch = 2026-11-23T00:00:00Z
packages = ["crun"]
[archives.debian]
origin = "debian"
suite = "trixie"
keys = ["keys/a.asc"]
[kernel]
package = { amd64 = "linux-image-amd64" }

[loaders]
uefi = "systemd-boot-efi"
bios = "grub-pc-bin"
"#;

/// Resolves the first of `files`; the others are there to be inherited.
pub(crate) fn try_resolve(files: &[(&str, &str)]) -> Result<Recipe, ResolveError> {
    resolve(files[0].0, |path| {
        let found = files.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or("no such file")
    })
}

/// The recipe, or a panic that shows what is wrong with it.
pub(crate) fn resolved(files: &[(&str, &str)]) -> Recipe {
    try_resolve(files).unwrap_or_else(|error| panic!("{}", rendered(&error)))
}

/// What is wrong with a recipe.
pub(crate) fn problems(files: &[(&str, &str)]) -> ResolveError {
    match try_resolve(files) {
        Ok(_) => panic!("this recipe should be refused:\n{}", files[0].1),
        Err(error) => error,
    }
}

/// The error as a person sees it, without colours.
pub(crate) fn rendered(error: &ResolveError) -> String {
    let mut text = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor()).render_report(&mut text, error).unwrap();
    text
}
