//! The task that watches what the broker could run out of, and sets its alarms (behaviour B11.1).
//!
//! What it reads are files of the system that are there on Linux. What cannot be read sets no alarm
//! and clears none; that is said once.

mod allocator;
mod memory;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::broker::{AlarmLimits, Alarms, Broker, Resource};
use crate::config::{DiskLimit, Watermark};
use crate::storage::disk::Disk;

/// How long it waits between two looks: as little as this where something is about to be used up, as much
/// as that where it cannot be.
const WAIT_MIN: Duration = Duration::from_millis(5);
const WAIT_MAX: Duration = Duration::from_secs(1);

/// No broker uses up more bytes in a millisecond.
const FASTEST: u64 = 2_000_000;

/// What to watch, and where the limits are.
pub struct Resources {
    disk: Arc<dyn Disk>,
    /// The data directory: that of the file system that is watched.
    directory: PathBuf,
    limits: Arc<AlarmLimits>,
    /// What could not be measured; it is said once.
    unknown: Vec<Resource>,
}

impl Resources {
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf, limits: AlarmLimits) -> Self {
        Self { disk, directory, limits: Arc::new(limits), unknown: Vec::new() }
    }

    /// Where alarms begin; to be changed at any time.
    pub fn limits(&self) -> Arc<AlarmLimits> {
        Arc::clone(&self.limits)
    }

    /// Measures once, sets or clears alarms, and says how long what is left will last. Where there is an
    /// alarm nothing is in a hurry.
    pub fn look(&mut self, alarms: &Alarms) -> Duration {
        let mut wait = WAIT_MAX;
        let limit = self.limits.disk_free();
        if limit == 0 {
            // It may have been another one.
            alarms.set(Resource::Disk, false);
        } else {
            match self.disk.free_bytes(&self.directory) {
                Ok(free) => {
                    set(alarms, Resource::Disk, free < limit, free, limit);
                    wait = wait.min(lasts(free, limit));
                }
                Err(error) => self.say_unknown(Resource::Disk, &error.to_string()),
            }
        }
        let limit = self.limits.memory();
        if limit.is_none() {
            alarms.set(Resource::Memory, false);
        }
        if let Some(limit) = limit {
            let mut measured = resident();
            if measured.is_some_and(|bytes| bytes > limit) {
                // Perhaps nobody uses all of it.
                allocator::give_back();
                measured = resident();
            }
            match measured {
                Some(resident) => {
                    set(alarms, Resource::Memory, resident > limit, resident, limit);
                    wait = wait.min(lasts(limit, resident));
                }
                None => self.say_unknown(Resource::Memory, "/proc/self/status does not say"),
            }
        }
        wait.max(WAIT_MIN)
    }

    fn say_unknown(&mut self, resource: Resource, error: &str) {
        if !self.unknown.contains(&resource) {
            self.unknown.push(resource);
            tracing::error!(error, "cannot measure {}", resource.as_str());
        }
    }
}

/// Works out from the settings where alarms begin, from what the machine, or the control group, has now.
pub fn alarm_limits(disk_free: DiskLimit, memory: Option<Watermark>) -> AlarmLimits {
    let total = memory::total(|path| std::fs::read_to_string(path).ok());
    let part = |share: f64| total.map(|total| (total as f64 * share) as u64);
    let memory_limit = match memory {
        None => None,
        Some(Watermark::Bytes(bytes)) => Some(bytes),
        Some(Watermark::Fraction(fraction)) => {
            let limit = part(fraction);
            if limit.is_none() {
                tracing::warn!("cannot tell how much memory there is: no alarm will watch it");
            }
            limit
        }
    };
    let disk_free_limit = match disk_free {
        DiskLimit::Bytes(bytes) => bytes,
        DiskLimit::OfMemory(times) => {
            let limit = part(times);
            if limit.is_none() {
                tracing::warn!("cannot tell how much memory there is: no alarm watches the disk");
            }
            limit.unwrap_or(0)
        }
    };
    tracing::info!(memory_limit, disk_free_limit, "watching memory and disk, in bytes");
    AlarmLimits::new(memory_limit, disk_free_limit)
}

/// How long it takes to get from one to the other, at the least.
fn lasts(from: u64, to: u64) -> Duration {
    from.checked_sub(to).map_or(WAIT_MAX, |left| Duration::from_millis(left / FASTEST))
}

/// The words are RabbitMQ's, for those who look for them in logs.
fn set(alarms: &Alarms, resource: Resource, on: bool, bytes: u64, limit: u64) {
    if !alarms.set(resource, on) {
        return;
    }
    let name = resource.as_str();
    match on {
        true => tracing::warn!(bytes, limit, "{name} resource limit alarm set"),
        false => tracing::warn!(bytes, limit, "{name} resource limit alarm cleared"),
    }
}

/// Resident bytes of this process, where that can be told.
pub(super) fn resident() -> Option<u64> {
    memory::resident(|path| std::fs::read_to_string(path).ok())
}

/// Looks again and again, until it is told to stop.
pub(super) async fn run(broker: Arc<Broker>, mut resources: Resources, stop: CancellationToken) {
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        // A file system that hangs must not take a thread away from the connections.
        let alarmed = Arc::clone(&broker);
        let looked =
            tokio::task::spawn_blocking(move || (resources.look(&alarmed.alarms), resources));
        match looked.await {
            Ok(looked) => (wait, resources) = looked,
            // It panicked, which was reported, or the runtime ends.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::{FaultyDisk, MemoryDisk};

    fn watching(disk: &FaultyDisk, disk_free_limit: u64, memory: Option<Watermark>) -> Resources {
        let limit = DiskLimit::Bytes(disk_free_limit);
        Resources::new(Arc::new(disk.clone()), "/data".into(), alarm_limits(limit, memory))
    }

    #[test]
    fn disk_alarm_is_on_while_there_is_less_than_the_limit() {
        let (disk, alarms) = (FaultyDisk::new(MemoryDisk::default()), Alarms::default());
        let mut resources = watching(&disk, 1000, None);
        for (free, on) in [(2000, false), (999, true), (0, true), (1000, false), (999, true)] {
            disk.set_free_bytes(Some(free));
            resources.look(&alarms);
            assert_eq!(alarms.is_on(Resource::Disk), on, "{free}");
        }
        assert!(!alarms.is_on(Resource::Memory));
        assert!(alarms.any());
        resources.limits().change(&AlarmLimits::new(None, 0));
        disk.set_free_bytes(Some(0));
        resources.look(&alarms);
        assert!(!alarms.any(), "0 is never");
    }

    #[test]
    fn disk_limit_may_be_times_the_memory() {
        let (disk, alarms) = (FaultyDisk::new(MemoryDisk::default()), Alarms::default());
        for (times, on) in [(1e-9, false), (1000.0, true)] {
            let limit = DiskLimit::OfMemory(times);
            disk.set_free_bytes(Some(10_000_000));
            let limits = alarm_limits(limit, None);
            Resources::new(Arc::new(disk.clone()), "/data".into(), limits).look(&alarms);
            assert_eq!(alarms.is_on(Resource::Disk), on, "{times}");
        }
    }

    #[test]
    fn looks_come_faster_where_less_is_left() {
        let (disk, alarms) = (FaultyDisk::new(MemoryDisk::default()), Alarms::default());
        let mut resources = watching(&disk, 1_000_000, None);
        for (free, millis) in [(u64::MAX, 1000), (401_000_000, 200), (1_000_001, 5), (5, 1000)] {
            disk.set_free_bytes(Some(free));
            assert_eq!(resources.look(&alarms), Duration::from_millis(millis), "{free} are free");
        }
    }

    #[test]
    fn memory_alarm_is_on_while_the_process_has_more_than_the_limit() {
        let disk = FaultyDisk::new(MemoryDisk::default());
        let alarms = Alarms::default();
        for (watermark, on) in [
            (Watermark::Bytes(1), true),
            (Watermark::Bytes(1 << 50), false),
            (Watermark::Fraction(1e-9), true),
            (Watermark::Fraction(1.0), false),
        ] {
            watching(&disk, 0, Some(watermark)).look(&alarms);
            assert_eq!(alarms.is_on(Resource::Memory), on, "{watermark:?}");
        }
    }

    #[test]
    fn what_cannot_be_measured_changes_nothing() {
        let mut resources = watching(&FaultyDisk::new(MemoryDisk::default()), 1000, None);
        resources.disk = Arc::new(crate::storage::disk::RealDisk);
        resources.directory = "/no/such/directory".into();
        let alarms = Alarms::default();
        for on in [false, true] {
            alarms.set(Resource::Disk, on);
            resources.look(&alarms);
            assert_eq!(alarms.is_on(Resource::Disk), on);
        }
        assert_eq!(resources.unknown, [Resource::Disk], "it is said once");
    }
}
