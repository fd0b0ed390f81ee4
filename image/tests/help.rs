//! Completions and man pages, as the `shoal` command writes them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use clap::CommandFactory;
use shoal::cli::Cli;

fn shoal(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_shoal")).args(arguments).output().expect("shoal can be started");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

/// Names of a command's man pages and those of its subcommands, as man(1) looks for them.
fn pages(command: &clap::Command, prefix: &str, found: &mut BTreeSet<String>) {
    let name = format!("{prefix}{}", command.get_name());
    found.insert(format!("{name}.1"));
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        pages(subcommand, &format!("{name}-"), found);
    }
}

#[test]
fn each_shell_gets_completions_for_every_subcommand() {
    for shell in ["bash", "zsh", "fish"] {
        let script = shoal(&["completions", shell]);
        for subcommand in Cli::command().get_subcommands() {
            assert!(script.contains(subcommand.get_name()), "{shell} cannot complete `shoal {}`", subcommand.get_name());
        }
    }
}

#[test]
fn every_subcommand_has_a_man_page_with_its_options() {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = place.path().join("man/man1");
    shoal(&["man", directory.to_str().expect("it is UTF-8")]);
    let mut expected = BTreeSet::new();
    pages(&Cli::command(), "", &mut expected);
    for page in &expected {
        let text = fs::read_to_string(directory.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{page} is no man page:\n{text}");
    }
    let build = fs::read_to_string(directory.join("shoal-build.1")).expect("it was read above");
    assert!(build.contains("offline") && build.contains("Build the images of a recipe"), "{build}");
}

#[test]
fn help_of_every_subcommand_says_how_to_use_it() {
    for subcommand in Cli::command().get_subcommands() {
        let help = shoal(&[subcommand.get_name(), "--help"]);
        assert!(help.contains(&format!("Usage: shoal {}", subcommand.get_name())), "{help}");
        assert!(help.contains(&subcommand.get_about().expect("a test of the command line holds it").to_string()), "{help}");
    }
}
