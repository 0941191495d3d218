//! The time, to the nanosecond, and a timer that is nearly as good.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970, never going backwards within one run. Stamps of another process are as
/// comparable as the clocks of the two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

impl Moment {
    pub fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from then to now; 0 when it lies ahead.
    pub fn since(self, then: Self) -> u64 {
        self.0.saturating_sub(then.0)
    }

    pub fn seconds_since(self, then: Self) -> f64 {
        self.since(then) as f64 / 1e9
    }
}

#[derive(Clone, Copy)]
pub struct Clock {
    started: Instant,
    unix: u64,
}

impl Clock {
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), unix: u64::try_from(unix.as_nanos()).unwrap_or_default() }
    }

    pub fn now(&self) -> Moment {
        let elapsed = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Moment(self.unix.saturating_add(elapsed))
    }

    /// The same moment for tokio.
    pub fn instant(&self, moment: Moment) -> tokio::time::Instant {
        // A year is as good as never.
        let nanos = moment.0.saturating_sub(self.unix).min(365 * 24 * 3600 * 1_000_000_000);
        (self.started + Duration::from_nanos(nanos)).into()
    }
}

/// Waits until a moment. tokio's own timer is good to a millisecond: messages that are due every
/// hundred microseconds would come ten at a time, and be measured as late.
pub struct Timer {
    clock: Clock,
    #[cfg(target_os = "linux")]
    exact: Option<exact::Exact>,
}

impl Timer {
    /// `exact` costs a file descriptor.
    pub fn new(clock: Clock, exact: bool) -> Self {
        #[cfg(not(target_os = "linux"))]
        let _ = exact;
        Self {
            clock,
            #[cfg(target_os = "linux")]
            exact: if exact { exact::Exact::new().ok() } else { None },
        }
    }

    /// Never returns when there is nothing to wait for.
    pub async fn until(&mut self, moment: Option<Moment>) {
        let Some(moment) = moment else { return std::future::pending().await };
        #[cfg(target_os = "linux")]
        if let Some(exact) = &mut self.exact {
            let nanos = moment.since(self.clock.now());
            if exact.wait(nanos).await.is_ok() {
                return;
            }
        }
        tokio::time::sleep_until(self.clock.instant(moment)).await;
    }
}

#[cfg(target_os = "linux")]
mod exact {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    pub(super) struct Exact(AsyncFd<OwnedFd>);

    impl Exact {
        #[expect(
            deprecated,
            reason = "its heir is unsafe, for the sake of types that change their descriptor"
        )]
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
        }

        pub(super) async fn wait(&mut self, nanos: u64) -> io::Result<()> {
            // Zero would switch it off.
            let nanos = i64::try_from(nanos.max(1)).unwrap_or(i64::MAX);
            let once = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec {
                    tv_sec: nanos / 1_000_000_000,
                    tv_nsec: nanos % 1_000_000_000,
                },
            };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            loop {
                let mut guard = self.0.readable().await?;
                let read = guard.try_io(|timer| {
                    let mut expirations = [0; 8];
                    Ok(rustix::io::read(timer.get_ref(), &mut expirations)?)
                });
                match read {
                    Ok(Ok(_)) => return Ok(()),
                    Ok(Err(error)) => return Err(error),
                    // An expiry that setting it anew has taken back.
                    Err(_would_block) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn timers_do_not_fire_early() {
        let clock = Clock::start();
        for exact in [true, false] {
            let mut timer = Timer::new(clock, exact);
            for nanos in [0, 1, 200_000, 3_000_000, 50_000] {
                let until = clock.now().after(nanos);
                timer.until(Some(until)).await;
                assert!(clock.now() >= until);
            }
        }
    }

    #[tokio::test]
    async fn a_timer_can_be_abandoned_and_set_anew() {
        let clock = Clock::start();
        let mut timer = Timer::new(clock, true);
        for _ in 0..50 {
            let early =
                tokio::time::timeout(Duration::ZERO, timer.until(Some(clock.now().after(100))));
            let _ = early.await;
            let until = clock.now().after(300_000);
            timer.until(Some(until)).await;
            assert!(clock.now() >= until);
        }
    }
}
