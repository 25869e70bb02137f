//! What the figures were measured on, and what was measured.

use std::fs;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::cargo::root;

/// Cores, memory and kernel.
pub(crate) fn machine() -> Value {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory =
        fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_gib(&text)).unwrap_or_default();
    json!({"cores": cores, "memory": format!("{memory} GiB"), "kernel": said("uname", &["-sr"])})
}

fn memory_gib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    // Rounded: the kernel keeps a part for itself, and not the same at each start.
    Some((kib + (1 << 19)) >> 20)
}

/// Now, for a person.
pub(crate) fn date() -> String {
    said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
}

/// The commit that is checked out, with a plus when files differ from it.
pub(crate) fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    // What the bench itself writes does not count.
    let differs = said("git", &["status", "--porcelain", "--", ".", ":!docs/benchmarks*"]);
    if differs.is_empty() { commit } else { format!("{commit}+") }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::memory_gib;

    #[test]
    fn memory_is_rounded_to_whole_gib() {
        assert_eq!(memory_gib("MemTotal:       24574988 kB\nMemFree: 1 kB\n"), Some(23));
        assert_eq!(memory_gib("MemTotal:       32800000 kB\n"), Some(31));
        assert_eq!(memory_gib("nothing"), None);
    }
}
