//! Control groups of services (cgroup v2): one below [`SLICE`] for each.
//!
//! `shoal.slice/<name>` holds the service's limits and its processes. With `delegate` the service makes groups below its own; a
//! group that hands controllers down may hold no process (the "no internal processes" rule of cgroup-v2.rst), so its own processes
//! then are in `shoal.slice/<name>/main`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use shoal_contract::Service;

/// Where all of them lie.
pub(crate) const SLICE: &str = "/sys/fs/cgroup/shoal.slice";

/// The groups of services.
#[derive(Debug)]
pub(crate) struct Groups {
    slice: PathBuf,
}

/// A step that failed, and the file it failed at.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the control group at {}", path.display())]
pub(crate) struct GroupError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, GroupError> {
    result.map_err(|source| GroupError { path: path.to_owned(), source })
}

fn write(path: PathBuf, value: &str) -> Result<(), GroupError> {
    at(&path, fs::write(&path, value))
}

/// Makes a group that is not there yet.
fn make(path: &Path) -> Result<(), GroupError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => at(path, result),
    }
}

/// Hands every controller that `group` has down to the groups below it.
fn hand_down(group: &Path) -> Result<(), GroupError> {
    let controllers = group.join("cgroup.controllers");
    let names = at(&controllers, fs::read_to_string(&controllers))?;
    let all: Vec<String> = names.split_whitespace().map(|name| format!("+{name}")).collect();
    write(group.join("cgroup.subtree_control"), &all.join(" "))
}

impl Groups {
    /// Makes the slice.
    ///
    /// # Errors
    /// [`GroupError`] if there is no cgroup v2 above it; services then run without limits.
    pub(crate) fn new(slice: &Path) -> Result<Self, GroupError> {
        make(slice)?;
        hand_down(slice)?;
        Ok(Self { slice: slice.to_owned() })
    }

    fn group(&self, service: &Service) -> PathBuf {
        self.slice.join(&service.name)
    }

    /// Makes the group of a service and sets its limits; gives the file that a process writes itself into.
    ///
    /// # Errors
    /// [`GroupError`]: a limit that cannot be kept is no reason to run the service without it.
    pub(crate) fn prepare(&self, service: &Service) -> Result<PathBuf, GroupError> {
        let group = self.group(service);
        make(&group)?;
        let limits = &service.limits;
        let maximum = |value: Option<u64>| value.map_or("max".to_owned(), |value| value.to_string());
        // Written even where there is no limit: the group may be left from an earlier start.
        write(group.join("memory.high"), &maximum(limits.memory_high))?;
        write(group.join("memory.max"), &maximum(limits.memory_max))?;
        write(group.join("pids.max"), &maximum(limits.pids_max.map(u64::from)))?;
        if let Some(weight) = limits.cpu_weight {
            write(group.join("cpu.weight"), &weight.to_string())?;
        }
        if !service.delegate {
            // Half a service is worse than none: it would run without the part that the kernel chose to kill.
            write(group.join("memory.oom.group"), "1")?;
            return Ok(group.join("cgroup.procs"));
        }
        hand_down(&group)?;
        let main = group.join("main");
        make(&main)?;
        Ok(main.join("cgroup.procs"))
    }

    /// Kills every process in the group of a service, and below it.
    pub(crate) fn kill(&self, service: &Service) -> Result<(), GroupError> {
        write(self.group(service).join("cgroup.kill"), "1")
    }
}

#[cfg(test)]
mod tests {
    use shoal_contract::Services;

    use super::*;

    /// A directory that looks like a group; limits are plain files in it.
    fn slice(name: &str) -> (tempfile::TempDir, Groups) {
        let directory = tempfile::tempdir().unwrap();
        for group in ["", name] {
            fs::create_dir_all(directory.path().join(group)).unwrap();
            fs::write(directory.path().join(group).join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        }
        let groups = Groups::new(directory.path()).unwrap();
        (directory, groups)
    }

    fn service(more: &str) -> Service {
        let text = format!("[[service]]\nname = \"a\"\nexec = [\"/a\"]\n{more}");
        Services::parse(&text).unwrap().services.remove(0)
    }

    #[test]
    fn limits_go_into_the_files_of_the_group() {
        let (directory, groups) = slice("a");
        let procs = groups.prepare(&service("limits = { memory-max = 1000, cpu-weight = 50 }\n")).unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join("a").join(name)).unwrap();
        assert_eq!(procs, directory.path().join("a/cgroup.procs"));
        assert_eq!([read("memory.max"), read("cpu.weight"), read("pids.max"), read("memory.oom.group")], ["1000", "50", "max", "1"]);
    }

    #[test]
    fn a_delegated_group_hands_all_controllers_down_and_holds_no_process_itself() {
        let (directory, groups) = slice("a");
        let procs = groups.prepare(&service("delegate = true\n")).unwrap();
        assert_eq!(procs, directory.path().join("a/main/cgroup.procs"));
        let handed_down = fs::read_to_string(directory.path().join("a/cgroup.subtree_control")).unwrap();
        assert_eq!(handed_down, "+cpu +memory +pids");
    }
}
