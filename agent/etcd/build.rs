//! Compiles the declaration of the wire interface under `proto/`. The compiler is a crate, so that nothing has to be installed.

use std::{env, error::Error, path::PathBuf};

/// The services, and the messages that stand in no service's own file.
const FILES: [&str; 6] = ["auth.proto", "cluster.proto", "kv.proto", "lease.proto", "maintenance.proto", "watch.proto"];
const MESSAGES: [&str; 2] = ["header.proto", "mvcc.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo says where the crate is")?).join("proto");
    println!("cargo::rerun-if-changed={}", folder.display());
    let files = protox::compile(FILES.iter().chain(&MESSAGES).map(|file| folder.join(file)), [&folder])?;
    tonic_prost_build::configure()
        // Keys and values are slices of the buffer that a request came in, not copies.
        .bytes(".")
        .build_client(env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    Ok(())
}
