//! Each format that Shoal writes, held against an independent tool that reads it. The tools are pinned by the lock, like those of a build.

mod common;
mod oracles;

use std::process::Output;

use shoal::build::Build;
use shoal::project::Project;
use shoal::steps::kernel_step::{KERNEL_FILE, kernel};
use shoal::steps::loaders::loaders;
use shoal::toolbox::TEST_TOOLS;
use shoal_contract::Arch;

/// The recipe whose lock pins the tools.
const RECIPE: &str = "base";

/// Calls `check` with a way to run the pinned tools.
fn with_oracles(check: impl FnOnce(&oracles::Run<'_>)) {
    let project = Project::open(RECIPE).expect("the recipe is part of the project");
    let checked = common::session().with_build(&project, &[], TEST_TOOLS, |build| {
        check(&|tool, arguments| run(build, tool, arguments));
        Ok(())
    });
    checked.expect("the pinned tools can be had");
}

fn run(build: &Build<'_>, tool: &str, arguments: &[&str]) -> Output {
    let root = build.tools.root(TEST_TOOLS[0]).expect("the tools can be unpacked");
    root.command(tool).expect("the tool is among them").args(arguments).output().expect("it can be started")
}

#[test]
fn fsck_finds_nothing_to_repair_in_our_fat() {
    with_oracles(oracles::check_fat);
}

#[test]
fn sgdisk_finds_no_problems_in_our_partition_tables() {
    with_oracles(oracles::check_gpt);
}

#[test]
fn xorriso_and_sgdisk_read_our_hybrid_iso() {
    with_oracles(oracles::check_iso);
}

#[test]
fn qemu_img_finds_no_errors_in_our_qcow2_and_the_same_disk_in_it() {
    with_oracles(oracles::check_qcow2);
}

#[test]
fn mkfs_erofs_takes_our_tar_with_every_file_as_it_was() {
    with_oracles(oracles::check_tar_into_erofs);
}

#[test]
fn gnu_cpio_lists_all_of_our_initramfs() {
    with_oracles(oracles::check_cpio);
}

/// With the stub and the kernel that images are made of.
#[test]
fn ukify_finds_our_sections_in_a_uki() {
    let project = Project::open(RECIPE).expect("the recipe is part of the project");
    let tools = [TEST_TOOLS, &["grub"]].concat();
    let checked = common::session().with_build(&project, &[Arch::Amd64], &tools, |build| {
        let stub = loaders(build, Arch::Amd64)?.stub;
        let linux = kernel(build, Arch::Amd64)?.built.read(KERNEL_FILE)?;
        oracles::check_uki(&|tool, arguments| run(build, tool, arguments), &stub, &linux);
        Ok(())
    });
    checked.expect("stub, kernel and tools can be had");
}
