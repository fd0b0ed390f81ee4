//! The recipes of this repository, as a build reads them.

use std::path::Path;

use shoal_recipe::{Recipe, resolve};

fn shipped(name: &str) -> Recipe {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    match resolve(name, |path| std::fs::read_to_string(directory.join(path))) {
        Ok(recipe) => recipe,
        Err(error) => {
            let mut text = String::new();
            miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor()).render_report(&mut text, &error).unwrap();
            panic!("{text}");
        }
    }
}

const SHIPPED: [&str; 5] = ["base.toml", "shoal.toml", "dev.toml", "test.toml", "bare.toml"];

#[test]
fn every_shipped_recipe_is_valid_for_both_architectures() {
    for name in SHIPPED {
        let recipe = shipped(name);
        assert_eq!(recipe.architectures().count(), 2, "{name}");
        assert_eq!(format!("{}.toml", recipe.name), name);
    }
}

#[test]
fn every_shipped_recipe_survives_its_expansion() {
    for name in SHIPPED {
        let recipe = shipped(name);
        let text = recipe.to_expanded();
        assert_eq!(Recipe::from_expanded(&text).unwrap(), recipe, "{name}");
        assert_eq!(Recipe::from_expanded(&text).unwrap().to_expanded(), text, "{name}");
    }
}

#[test]
fn only_recipes_for_tests_accept_faults() {
    let faulty: Vec<_> = SHIPPED.into_iter().filter(|name| shipped(name).faults).collect();
    assert_eq!(faulty, ["test.toml", "bare.toml"]);
}

/// docs/design/0007-one-copy-of-pid-1.md
#[test]
fn the_only_copy_of_pid_1_is_in_the_initramfs_and_is_the_kernels_modprobe() {
    for name in SHIPPED {
        let recipe = shipped(name);
        let copies: Vec<_> = recipe.crates.iter().filter(|binary| binary.package == "shoal-init").collect();
        assert!(matches!(copies.as_slice(), [only] if only.initramfs && only.path == "/init"), "{name}: {copies:?}");
        let modprobe = recipe.links.iter().find(|link| link.path == "/usr/sbin/modprobe");
        assert_eq!(modprobe.map(|link| link.target.as_str()), Some("/proc/1/exe"), "{name}");
    }
}

#[test]
fn the_product_has_no_shell() {
    let recipe = shipped("shoal.toml");
    let shells = ["/sh", "/bash", "/dash", "/busybox"];
    let named = recipe.files.iter().map(|file| &file.path).chain(recipe.links.iter().map(|link| &link.path));
    assert_eq!(named.filter(|path| shells.iter().any(|shell| path.ends_with(shell))).count(), 0);
    assert!(!recipe.packages.iter().any(|package| ["bash", "dash", "busybox", "busybox-static"].contains(&package.name.as_str())));
}

#[test]
fn the_example_for_newcomers_is_a_valid_recipe() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let readme = std::fs::read_to_string(directory.join("README.md")).unwrap();
    let example = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let recipe = resolve("site.toml", |path| match path {
        "site.toml" => Ok(example.to_owned()),
        path => std::fs::read_to_string(directory.join(path)),
    });
    if let Err(error) = recipe {
        let problems: Vec<_> = error.problems.iter().map(|problem| format!("{:?} {problem}", problem.position())).collect();
        panic!("{problems:#?}");
    }
}
