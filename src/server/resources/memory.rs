//! How much memory there is, and how much of it this process has.

use std::path::{Path, PathBuf};

/// Resident bytes of this process.
pub(super) fn resident(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    kib_of(&read(Path::new("/proc/self/status"))?, "VmRSS:")
}

/// Bytes that this process may use: what the machine has, or less where a control group (of either
/// version), or one above it, says so. In a container that is the container's limit.
pub(super) fn total(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| kib_of(&text, "MemTotal:"));
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(limit_files).filter_map(|file| {
        // Without a limit, version 2 says `max`, and version 1 a number beyond all memory.
        read(&file)?.trim().parse().ok()
    });
    machine.into_iter().chain(limits).min()
}

/// The files that limit the memory of a line of `/proc/self/cgroup`, the group's own and those above.
fn limit_files(line: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (roots, file) = match controllers {
        "" => (&["/sys/fs/cgroup", "/sys/fs/cgroup/unified"][..], "memory.max"),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            (&["/sys/fs/cgroup/memory"][..], "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    // Seen from inside a container the path may be that of outside, which is not there; its root is
    // the container's own group then.
    let group = Path::new(group.trim_start_matches('/'));
    let above = roots.iter().flat_map(|root| {
        group.ancestors().map(move |ancestor| Path::new(root).join(ancestor).join(file))
    });
    above.collect()
}

fn kib_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:        8000000 kB\nMemFree:          100000 kB\n";

    fn total_of(files: &[(&str, &str)]) -> Option<u64> {
        total(|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn total_is_the_least_that_anybody_says() {
        let machine = ("/proc/meminfo", MEMINFO);
        let v2 = ("/proc/self/cgroup", "0::/system.slice/leveret.service\n");
        let v1 = ("/proc/self/cgroup", "9:cpu,memory:/docker/abc\n8:pids:/x\n0::/\n");
        let own_v2 = "/sys/fs/cgroup/system.slice/leveret.service/memory.max";
        let above_v2 = "/sys/fs/cgroup/system.slice/memory.max";
        let hybrid = "/sys/fs/cgroup/unified/system.slice/memory.max";
        let own_v1 = "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes";
        let inside_v1 = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
        let all = 8_000_000 * 1024;
        for (files, expected) in [
            (vec![], None),
            (vec![machine], Some(all)),
            (vec![machine, v2], Some(all)),
            (vec![machine, v2, (own_v2, "max\n")], Some(all)),
            (vec![machine, v2, (own_v2, "1048576\n")], Some(1 << 20)),
            (vec![machine, v2, (own_v2, "max\n"), (above_v2, "2097152\n")], Some(2 << 20)),
            (vec![machine, v2, (own_v2, "1048576"), (above_v2, "2097152")], Some(1 << 20)),
            (vec![machine, v2, (hybrid, "4096\n")], Some(4096)),
            (vec![machine, v1, (own_v1, "9223372036854771712\n")], Some(all)),
            (vec![machine, v1, (own_v1, "1048576\n")], Some(1 << 20)),
            (vec![machine, v1, (inside_v1, "1048576\n")], Some(1 << 20)),
            (vec![v1, (inside_v1, "1048576\n")], Some(1 << 20)),
            // Not this group's.
            (vec![machine, v1, ("/sys/fs/cgroup/memory/docker/memory.max", "1")], Some(all)),
            (vec![machine, ("/proc/self/cgroup", "nonsense\n1:\n::")], Some(all)),
        ] {
            assert_eq!(total_of(&files), expected, "{files:?}");
        }
    }

    #[test]
    fn resident_is_what_the_system_says() {
        let status = "Name:\tleveret\nVmHWM:\t  9999 kB\nVmRSS:\t  2048 kB\n";
        assert_eq!(resident(|_| Some(status.to_owned())), Some(2 << 20));
        for nonsense in ["", "VmRSS:", "VmRSS: x kB", "VmRSS: 99999999999999999 kB"] {
            assert_eq!(resident(|_| Some(nonsense.to_owned())), None, "{nonsense}");
        }
        // Of this very process.
        let own = resident(|path| std::fs::read_to_string(path).ok());
        assert!(own.is_some_and(|bytes| bytes > 1 << 20), "{own:?}");
    }
}
