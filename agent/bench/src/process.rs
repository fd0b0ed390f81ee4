//! What the kernel says of a process and of a file system, from the texts of `/proc` (proc(5)).

/// Processor time of a process in clock ticks, in user mode and in the kernel, of all its threads: fields 14 and 15 of `/proc/PID/stat`.
pub fn processor_ticks(stat: &str) -> Option<u64> {
    // The name before may contain spaces and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// Bytes that a process has caused to be written to media: `write_bytes` of `/proc/PID/io`.
pub fn written_bytes(io: &str) -> Option<u64> {
    field(io, "write_bytes")?.parse().ok()
}

/// A memory figure of `/proc/PID/status` (`VmRSS`, `RssAnon`) or `/proc/PID/smaps_rollup` (`Pss`) in bytes.
pub fn memory_bytes(text: &str, name: &str) -> Option<u64> {
    let kibibytes: u64 = field(text, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A mounted file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem<'a> {
    /// What is mounted: `/dev/sda2`.
    pub source: &'a str,
    /// Its type: `ext4`.
    pub kind: &'a str,
}

impl FileSystem<'_> {
    /// Whether it is memory: nothing that is synced there would survive.
    pub fn is_memory(&self) -> bool {
        matches!(self.kind, "tmpfs" | "ramfs" | "rootfs")
    }
}

/// The file system that an absolute path is in, by `/proc/mounts`.
pub fn file_system<'a>(mounts: &'a str, path: &str) -> Option<FileSystem<'a>> {
    let mut best: Option<(usize, FileSystem<'a>)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(source), Some(at), Some(kind)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let inside = path.strip_prefix(at).is_some_and(|rest| at.ends_with('/') || rest.is_empty() || rest.starts_with('/'));
        // Of two on the same place, the later one covers the other.
        if inside && best.is_none_or(|(length, _)| at.len() >= length) {
            best = Some((at.len(), FileSystem { source, kind }));
        }
    }
    best.map(|(_, file_system)| file_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "12 (a) b (c) S 1 2 3 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 0 0";
        assert_eq!(processor_ticks(stat), Some(300));
        assert_eq!(processor_ticks("12 (a) S 1"), None);
    }

    #[test]
    fn what_was_cancelled_is_not_taken_for_what_was_written() {
        let io = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n";
        assert_eq!(written_bytes(io), Some(4096));
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tstore\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!((memory_bytes(status, "VmRSS"), memory_bytes(status, "RssAnon")), (Some(2_097_152), Some(1_048_576)));
        assert_eq!(memory_bytes("Pss_Dirty:   3 kB\nPss:  2 kB\n", "Pss"), Some(2048));
        assert_eq!(memory_bytes(status, "Pss"), None);
    }

    #[test]
    fn a_path_is_in_the_nearest_file_system_that_was_mounted_last() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /data ext4 rw 0 0\n/dev/c /data xfs rw 0 0\n";
        let kind = |path| file_system(mounts, path).map(|found| found.kind);
        assert_eq!(kind("/data/x"), Some("xfs"));
        assert_eq!(kind("/database"), Some("ext4"));
        assert_eq!(kind("/tmp"), Some("tmpfs"));
        assert!(file_system(mounts, "/tmp/x").expect("it is mounted").is_memory());
        assert!(!file_system(mounts, "/").expect("it is mounted").is_memory());
    }
}
