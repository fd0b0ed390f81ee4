//! `modprobe`: the kernel runs it when it wants a module itself (a file system, a cipher, a table of nftables).

use std::process::ExitCode;

use shoal_init_core::modules::Request;

use crate::modules::Modules;

/// Loads what the arguments name.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let request = Request::parse(arguments);
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut modules = match Modules::open(&release) {
        Ok(modules) => modules,
        Err(error) => {
            eprintln!("modprobe: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for wish in &request.wishes {
        if !modules.knows(wish) {
            if !request.quiet {
                eprintln!("modprobe: the image has no module {wish}; add it to the recipe");
            }
            code = ExitCode::FAILURE;
        }
        for refused in modules.load(wish) {
            eprintln!("modprobe: the kernel refused {}: {}", refused.name, refused.error);
            code = ExitCode::FAILURE;
        }
    }
    code
}
