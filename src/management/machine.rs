//! What the system says of this process and of the machine.
//!
//! The files it reads are there on Linux. What cannot be read is 0.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::broker::AlarmLimits;
use crate::time::Time;

/// What is known of the node from its start on.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Where alarms begin.
    pub limits: Arc<AlarmLimits>,
    /// The data directory.
    pub directory: PathBuf,
    pub config_files: Vec<String>,
    pub started: Time,
}

/// A look at the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    pub resident: u64,
    /// The program itself.
    pub code: u64,
    /// What the machine has.
    pub memory_total: u64,
    pub files: u64,
    pub files_max: u64,
    pub threads: u64,
    pub threads_max: u64,
    pub context_switches: u64,
    /// Threads that run or could, on the whole machine, this one not counted.
    pub runnable: u64,
    pub disk_free: u64,
}

/// Where nothing limits it, this many is as good as no limit.
const MANY: u64 = 1 << 20;

impl Machine {
    /// `directory`: of the file system that is looked at.
    pub(super) fn look(directory: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let switches = tasks.map(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            field(&status, "voluntary_ctxt_switches:")
                + field(&status, "nonvoluntary_ctxt_switches:")
        });
        let space = rustix::fs::statvfs(directory);
        Self {
            // That of the look itself is not counted.
            files: files.saturating_sub(1),
            context_switches: switches.sum(),
            disk_free: space.map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize)),
            ..Self::of(
                &read("/proc/self/status"),
                &read("/proc/self/limits"),
                &read("/proc/meminfo"),
                &read("/proc/loadavg"),
                &read("/proc/sys/kernel/threads-max"),
            )
        }
    }

    fn of(status: &str, limits: &str, meminfo: &str, loadavg: &str, threads: &str) -> Self {
        let files_max = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let runnable = loadavg.split_whitespace().nth(3).and_then(|field| field.split_once('/'));
        let runnable = runnable.and_then(|(runnable, _)| runnable.parse::<u64>().ok());
        Self {
            resident: field(status, "VmRSS:") * 1024,
            code: field(status, "VmExe:") * 1024,
            memory_total: field(meminfo, "MemTotal:") * 1024,
            files_max: files_max.and_then(first_number).unwrap_or(MANY),
            threads: field(status, "Threads:"),
            threads_max: first_number(threads).unwrap_or(MANY),
            runnable: runnable.unwrap_or(0).saturating_sub(1),
            ..Self::default()
        }
    }
}

/// The number behind a key at the beginning of a line.
fn field(text: &str, key: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(key)).and_then(first_number).unwrap_or(0)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_this_very_process() {
        let machine = Machine::look(Path::new("/"));
        for (what, found) in [
            ("resident", machine.resident),
            ("code", machine.code),
            ("memory", machine.memory_total),
            ("files", machine.files),
            ("files_max", machine.files_max),
            ("threads", machine.threads),
            ("switches", machine.context_switches),
            ("disk", machine.disk_free),
        ] {
            assert!(found > 0, "{what}: {machine:?}");
        }
        assert!(machine.resident < machine.memory_total && machine.threads < machine.threads_max);
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        let expected = Machine { files_max: MANY, threads_max: MANY, ..Machine::default() };
        for nonsense in ["", "VmRSS: x\nMax open files unlimited\n", "a b c d e f"] {
            let found = Machine::of(nonsense, nonsense, nonsense, nonsense, nonsense);
            assert_eq!(found, expected, "{nonsense:?}");
        }
    }
}
