//! Heartbeats and stalled writes, by numbers alone (behaviour B1.5).

use std::time::Duration;

use crate::protocol::frame::FRAME_OVERHEAD;
use crate::time::Time;

/// How often a waiting output is looked at, at the least.
const STALL_CHECK_MAX: Duration = Duration::from_secs(5);

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub send_heartbeat: bool,
    /// The peer is silent, or does not read.
    pub give_up: Option<&'static str>,
}

#[derive(Debug)]
pub struct Timers {
    /// `None`: no heartbeats were agreed on.
    interval: Option<Duration>,
    next_send: Time,
    next_receive: Time,
    /// A client that takes nothing of what waits for it this long is gone for us. `None`: never.
    send_timeout: Option<Duration>,
    next_stall: Time,
    /// Something came since the last receive check.
    received: bool,
    /// Receive checks in a row that saw nothing.
    silent: u32,
    /// Bytes written at the last send check, with the heartbeat that it may have sent.
    written: u64,
    /// Since when output is seen to wait, and how much had been written then.
    stalled: Option<(u64, Time)>,
}

impl Timers {
    /// `written`: bytes that the handshake wrote, which are no traffic yet.
    pub fn new(
        heartbeat_seconds: u16,
        send_timeout: Option<Duration>,
        written: u64,
        now: Time,
    ) -> Self {
        let interval =
            (heartbeat_seconds > 0).then(|| Duration::from_secs(u64::from(heartbeat_seconds)));
        let after = |wait: Option<Duration>| wait.map_or(Time::NEVER, |wait| now + wait);
        Self {
            interval,
            next_send: after(interval.map(|interval| interval / 2)),
            next_receive: after(interval),
            send_timeout,
            next_stall: after(send_timeout.map(stall_check)),
            received: false,
            silent: 0,
            written,
            stalled: None,
        }
    }

    /// The heartbeat interval, if there is one.
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Any byte counts, not only heartbeats.
    pub fn received(&mut self) {
        self.received = true;
    }

    /// When [`tick`](Self::tick) has something to do, with so many bytes waiting for the socket.
    pub fn deadline(&self, waiting: usize) -> Time {
        let stall = if waiting > 0 { self.next_stall } else { Time::NEVER };
        self.next_send.min(self.next_receive).min(stall)
    }

    /// `written`: bytes the socket took so far; `waiting`: bytes it has not taken; `reading`: whether
    /// we read at all. A peer we do not listen to cannot be blamed for silence.
    pub fn tick(&mut self, written: u64, waiting: usize, reading: bool, now: Time) -> Due {
        let mut due = Due::default();
        if let Some(send_timeout) = self.send_timeout
            && now >= self.next_stall
        {
            self.next_stall = now + stall_check(send_timeout);
            match self.stalled {
                _ if waiting == 0 => self.stalled = None,
                Some((then, since)) if then == written => {
                    if now.since(since) >= send_timeout {
                        due.give_up = Some("the client does not read");
                    }
                }
                _ => self.stalled = Some((written, now)),
            }
        }
        let Some(interval) = self.interval else {
            return due;
        };
        if now >= self.next_send {
            self.next_send = now + interval / 2;
            due.send_heartbeat = written == self.written && waiting == 0;
            // Our own heartbeat is not the traffic that would make the next one needless.
            self.written = written + if due.send_heartbeat { FRAME_OVERHEAD as u64 } else { 0 };
        }
        if now >= self.next_receive {
            self.next_receive = now + interval;
            if std::mem::take(&mut self.received) || !reading {
                self.silent = 0;
            } else {
                self.silent += 1;
            }
            if self.silent >= 2 {
                due.give_up = Some("missed heartbeats from client");
            }
        }
        due
    }
}

fn stall_check(send_timeout: Duration) -> Duration {
    (send_timeout / 3).min(STALL_CHECK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the clock in steps of half a second and says when which thing happened.
    fn run(heartbeat: u16, seconds: u64, mut at: impl FnMut(u64, &mut Timers)) -> Vec<(u64, Due)> {
        let mut timers = Timers::new(heartbeat, Some(Duration::from_secs(15)), 0, Time(0));
        let (mut happened, mut written) = (Vec::new(), 0);
        for millis in (500..=seconds * 1000).step_by(500) {
            at(millis, &mut timers);
            let due = timers.tick(written, 0, true, Time(millis));
            written += if due.send_heartbeat { FRAME_OVERHEAD as u64 } else { 0 };
            if due != Due::default() {
                happened.push((millis, due));
            }
        }
        happened
    }

    #[test]
    fn silence_is_punished_at_the_third_interval() {
        // Probed on RabbitMQ: value 2, dropped at 6.0 s.
        let happened = run(2, 7, |at, timers| {
            if at == 1000 {
                timers.received();
            }
        });
        let gone = happened.iter().find(|(_, due)| due.give_up.is_some()).map(|(at, _)| *at);
        assert_eq!(gone, Some(6000));
    }

    #[test]
    fn heartbeats_go_out_every_half_interval_of_idleness() {
        let happened = run(4, 9, |_, timers| timers.received());
        let sent: Vec<u64> =
            happened.iter().filter(|(_, due)| due.send_heartbeat).map(|(at, _)| *at).collect();
        assert_eq!(sent, [2000, 4000, 6000, 8000]);
        assert!(happened.iter().all(|(_, due)| due.give_up.is_none()));
    }

    #[test]
    fn other_traffic_stands_in_for_a_heartbeat() {
        let mut timers = Timers::new(4, None, 0, Time(0));
        assert!(!timers.tick(100, 0, true, Time(2000)).send_heartbeat);
        assert!(timers.tick(100, 0, true, Time(4000)).send_heartbeat);
        assert!(!timers.tick(109, 0, true, Time(6000)).send_heartbeat);
    }

    #[test]
    fn zero_disables_heartbeats() {
        assert!(run(0, 600, |_, _| {}).is_empty());
    }

    /// When a client is given up that takes bytes until that second only.
    fn given_up(send_timeout: Option<u64>, takes_until: u64) -> Option<u64> {
        let mut timers = Timers::new(0, send_timeout.map(Duration::from_secs), 0, Time(0));
        (1..200).find(|seconds| {
            let written = 7 * takes_until.min(*seconds);
            timers.tick(written, 100, true, Time(seconds * 1000)).give_up.is_some()
        })
    }

    #[test]
    fn a_client_that_never_reads_is_given_up() {
        for (send_timeout, takes_until, expected) in [
            // The first look is at five seconds.
            (Some(15), 0, Some(20)),
            (Some(15), 52, Some(70)),
            // A byte a second is slow, and not dead.
            (Some(15), 200, None),
            (Some(60), 0, Some(65)),
            (Some(3), 0, Some(4)),
            (None, 0, None),
        ] {
            let found = given_up(send_timeout, takes_until);
            assert_eq!(found, expected, "{send_timeout:?} {takes_until}");
        }
    }

    #[test]
    fn nothing_that_waits_is_nothing_to_look_for() {
        let timers = Timers::new(0, Some(Duration::from_secs(15)), 0, Time(0));
        assert_eq!((timers.deadline(0), timers.deadline(1)), (Time::NEVER, Time(5000)));
        assert_eq!(Timers::new(0, None, 0, Time(0)).deadline(1), Time::NEVER);
    }
}
