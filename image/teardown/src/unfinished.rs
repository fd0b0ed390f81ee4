//! Files and directories that are being made.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use crate::list::{self, list};

/// A file or directory that is worth nothing before it is finished. Dropping it removes it.
#[derive(Debug)]
pub struct Unfinished {
    path: list::Path,
    finished: bool,
}

impl Unfinished {
    /// What lies at `path`, or is going to: a file, or a directory with all that is in it.
    #[must_use = "dropping it removes what lies there"]
    pub fn whole(path: &Path) -> Self {
        Self::listed(&mut list(), list::Path::Whole(absolute(path)))
    }

    /// A directory that is removed only while it is empty: one that others may put something into, too.
    #[must_use = "dropping it removes an empty directory"]
    pub fn while_empty(path: &Path) -> Self {
        Self::listed(&mut list(), list::Path::WhileEmpty(absolute(path)))
    }

    pub(crate) fn listed(list: &mut list::List, path: list::Path) -> Self {
        list.paths.push(path.clone());
        Self { path, finished: false }
    }

    /// Finishes it by `publish`, typically a rename, which a [teardown](crate::begin()) waits for; so it should take no time. If it fails, the thing is removed.
    /// Once a teardown has begun, this never returns, and `publish` is not called.
    ///
    /// # Errors
    /// What `publish` returns.
    pub fn finish<T, E>(mut self, publish: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut list = list();
        let published = publish()?;
        self.finished = true;
        forget(&mut list, &self.path);
        Ok(published)
    }

    /// Finishes it as it is.
    pub fn keep(self) {
        let Ok(()) = self.finish(|| Ok::<_, Infallible>(()));
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed is left as after SIGKILL.
            let _ = self.path.remove();
            forget(&mut list(), &self.path);
        }
    }
}

fn forget(list: &mut list::List, path: &list::Path) {
    if let Some(position) = list.paths.iter().rposition(|known| known == path) {
        list.paths.remove(position);
    }
}

/// The process may change its directory meanwhile.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
