//! Errors of a full file system that is not the cache's.

use std::path::Path;

use shoal_cache::{FileSystem, is_no_space, needed};

/// Adds to an error that comes of a full file system which one it is, as seen from `path`, how many bytes are needed if that is known, and what to do. Other
/// errors stay as they are.
pub fn explain(error: anyhow::Error, path: &Path, needs: Option<u64>, advice: &str) -> anyhow::Error {
    if !is_no_space(error.as_ref()) {
        return error;
    }
    error.context(format!("no space left on the file system {}{}: {advice}", FileSystem::of(path), needed(needs)))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn only_a_full_file_system_is_explained() {
        let error = |errno: Errno| Err::<(), _>(errno).context("cannot write").unwrap_err();
        let explained = |errno| explain(error(errno), Path::new("/proc/x"), Some(1), "free some").to_string();
        assert_eq!(explained(Errno::IO), "cannot write");
        let text = explained(Errno::NOSPC);
        assert!(text.starts_with("no space left on the file system /proc (") && text.ends_with("; 1 MiB are needed: free some"), "{text}");
    }
}
