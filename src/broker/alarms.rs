//! Resource alarms: what there is too little of, and which publishers wait for its end (behaviour B11).
//!
//! Whoever measures [`set`](Alarms::set)s them. A connection looks with every read of its socket,
//! which costs one load; it is entered here only while it is blocked, and rung whenever the last alarm
//! is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::delivery::Outbox;
use crate::queue::ConnectionId;

/// What a broker can run out of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Resource {
    Memory = 1,
    Disk = 2,
}

impl Resource {
    pub const ALL: [Self; 2] = [Self::Disk, Self::Memory];

    /// RabbitMQ's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// Where alarms begin. They can be changed while they are watched.
#[derive(Debug)]
pub struct AlarmLimits {
    /// `u64::MAX` for none.
    memory: AtomicU64,
    disk_free: AtomicU64,
}

impl AlarmLimits {
    /// `memory`: resident bytes above which there is an alarm, if there is a limit; `disk_free`: free bytes
    /// below which there is one, 0 for never.
    pub fn new(memory: Option<u64>, disk_free: u64) -> Self {
        let memory = AtomicU64::new(memory.unwrap_or(u64::MAX));
        Self { memory, disk_free: AtomicU64::new(disk_free) }
    }

    pub fn change(&self, other: &Self) {
        self.memory.store(other.memory.load(Ordering::Relaxed), Ordering::Relaxed);
        self.disk_free.store(other.disk_free(), Ordering::Relaxed);
    }

    pub fn memory(&self) -> Option<u64> {
        Some(self.memory.load(Ordering::Relaxed)).filter(|bytes| *bytes < u64::MAX)
    }

    pub fn disk_free(&self) -> u64 {
        self.disk_free.load(Ordering::Relaxed)
    }
}

impl Default for AlarmLimits {
    fn default() -> Self {
        Self::new(None, 0)
    }
}

/// The alarms of a broker. None is on at first.
#[derive(Debug, Default)]
pub struct Alarms {
    /// A bit for each resource.
    on: AtomicU8,
    /// Connections that are blocked. They leave by themselves: one that was rung may find that there
    /// is an alarm again, and goes on waiting.
    blocked: Mutex<HashMap<u64, Arc<Outbox>>>,
}

impl Alarms {
    /// Whether publishers are to be blocked.
    #[inline]
    pub fn any(&self) -> bool {
        self.on.load(Ordering::Acquire) != 0
    }

    pub fn is_on(&self, resource: Resource) -> bool {
        self.on.load(Ordering::Acquire) & resource as u8 != 0
    }

    /// The alarms that are on.
    pub fn list(&self) -> impl Iterator<Item = Resource> {
        Resource::ALL.into_iter().filter(|resource| self.is_on(*resource))
    }

    /// What `connection.blocked` says (behaviour B2.12); `None` when no alarm is on.
    pub fn reason(&self) -> Option<&'static str> {
        match (self.is_on(Resource::Memory), self.is_on(Resource::Disk)) {
            (false, false) => None,
            (true, false) => Some("low on memory"),
            (false, true) => Some("low on disk"),
            (true, true) => Some("low on memory & disk"),
        }
    }

    /// Sets or clears an alarm. True when that was a change. Those who wait are rung when it was the
    /// last one.
    pub fn set(&self, resource: Resource, on: bool) -> bool {
        let blocked = self.blocked.lock();
        let before = match on {
            true => self.on.fetch_or(resource as u8, Ordering::AcqRel),
            false => self.on.fetch_and(!(resource as u8), Ordering::AcqRel),
        };
        let changed = (before & resource as u8 != 0) != on;
        let over: Vec<_> = match changed && !self.any() {
            true => blocked.values().cloned().collect(),
            false => Vec::new(),
        };
        drop(blocked);
        over.iter().for_each(|outbox| outbox.ring());
        changed
    }

    /// Rings `outbox` whenever all alarms are over, until [`forget`](Self::forget). The answer is what
    /// is low now; `None` when nothing is any more, and then it does not ring.
    pub fn wait(&self, id: ConnectionId, outbox: &Arc<Outbox>) -> Option<&'static str> {
        let mut blocked = self.blocked.lock();
        let reason = self.reason()?;
        blocked.insert(id.0, Arc::clone(outbox));
        Some(reason)
    }

    /// A connection waits no more.
    pub fn forget(&self, id: ConnectionId) {
        self.blocked.lock().remove(&id.0);
    }

    /// Connections that wait.
    pub fn blocked_count(&self) -> usize {
        self.blocked.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn is_rung(outbox: &Outbox) -> bool {
        outbox.poll_rung(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn reasons_name_what_is_low() {
        let alarms = Alarms::default();
        assert!(!alarms.any() && alarms.reason().is_none() && alarms.list().next().is_none());
        assert!(alarms.set(Resource::Disk, true) && !alarms.set(Resource::Disk, true));
        assert_eq!(alarms.reason(), Some("low on disk"));
        assert!(alarms.set(Resource::Memory, true) && alarms.any());
        assert_eq!(alarms.reason(), Some("low on memory & disk"));
        assert!(alarms.list().eq([Resource::Disk, Resource::Memory]));
        assert!(alarms.set(Resource::Disk, false) && !alarms.set(Resource::Disk, false));
        assert_eq!(alarms.reason(), Some("low on memory"));
    }

    #[test]
    fn who_waits_is_rung_when_the_last_alarm_is_over() {
        let (alarms, outbox) = (Alarms::default(), Arc::new(Outbox::new(1)));
        let gone = Arc::new(Outbox::new(1));
        assert_eq!(alarms.wait(ConnectionId(1), &outbox), None);
        alarms.set(Resource::Disk, true);
        alarms.set(Resource::Memory, true);
        let both = Some("low on memory & disk");
        assert_eq!(alarms.wait(ConnectionId(1), &outbox), both);
        assert_eq!(alarms.wait(ConnectionId(2), &gone), both);
        assert_eq!(alarms.blocked_count(), 2);
        alarms.forget(ConnectionId(2));
        alarms.set(Resource::Disk, false);
        assert!(!is_rung(&outbox));
        alarms.set(Resource::Memory, false);
        assert!(is_rung(&outbox) && !is_rung(&gone));
        // It had no time to look.
        alarms.set(Resource::Memory, true);
        assert!(!is_rung(&outbox));
        alarms.set(Resource::Memory, false);
        assert!(is_rung(&outbox));
        alarms.set(Resource::Memory, false);
        assert!(!is_rung(&outbox));
    }
}
