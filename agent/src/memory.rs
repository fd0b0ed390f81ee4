//! How much memory the box uses, from `/proc/meminfo` (proc_meminfo(5)).

use std::fmt;

/// KiB in a MiB.
const KIB_PER_MIB: u64 = 1024;

/// Memory in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What new programs could not have: `MemTotal` without `MemAvailable`. Caches that can be dropped are not in it, tmpfs is.
    pub(crate) used: u64,
    /// What the kernel manages; its own code and what firmware keeps are not in it.
    pub(crate) total: u64,
}

impl Memory {
    /// Reads the text of `/proc/meminfo`; none if it lacks one of the two numbers.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let kib = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.parse().ok()
        };
        let (total, available) = (kib("MemTotal")?, kib("MemAvailable")?);
        Some(Self { used: total.saturating_sub(available) / KIB_PER_MIB, total: total / KIB_PER_MIB })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "memory in use {} MiB of {} MiB", self.used, self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_available_is_in_use() {
        let text = "MemTotal:        2014208 kB\nMemFree:         1500000 kB\nMemAvailable:    1810432 kB\nBuffers:   1 kB\n";
        let memory = Memory::parse(text).expect("both numbers are there");
        assert_eq!(memory, Memory { used: 199, total: 1967 });
        assert_eq!(memory.to_string(), "memory in use 199 MiB of 1967 MiB");
    }

    #[test]
    fn a_text_without_the_numbers_says_nothing() {
        for text in ["", "MemTotal: 5 kB\n", "MemTotal: 5 kB\nMemAvailable: many kB\n", "MemTotalX: 5 kB\nMemAvailable: 5 kB\n"] {
            assert_eq!(Memory::parse(text), None, "{text:?}");
        }
    }
}
