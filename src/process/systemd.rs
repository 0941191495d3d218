//! Tells systemd how far the broker is: units of `Type=notify` count as started when it is ready, and as
//! dead when it no longer says that it lives.
//!
//! Without systemd (no `NOTIFY_SOCKET`) all of it does nothing. What cannot be told is not worth a stop.

use std::time::Duration;

use sd_notify::{NotifyState, notify};

/// How much more time is asked for, and how often, while it recovers or stops.
const EXTENSION: Duration = Duration::from_secs(30);
const EXTEND_EVERY: Duration = Duration::from_secs(10);

/// It accepts clients; also the end of [`reloading`].
pub fn ready(status: &str) {
    tell(&[NotifyState::Status(status), NotifyState::Ready]);
}

/// The settings are read again; systemd waits for [`ready`].
pub fn reloading() {
    let Ok(now) = NotifyState::monotonic_usec_now() else { return };
    tell(&[NotifyState::Reloading, now]);
}

/// It leaves, and says what it is doing.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Status(status), NotifyState::Stopping]);
}

/// Something that may take longer than systemd waits goes on until this is dropped.
#[must_use]
pub struct Patience(tokio::task::JoinHandle<()>);

/// Asks for more time at once and again and again: recovery and the last writes take as long as they take.
pub fn ask_for_patience(status: &str) -> Patience {
    tell(&[NotifyState::Status(status)]);
    Patience(tokio::spawn(async {
        let micros = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        let mut ticks = tokio::time::interval(EXTEND_EVERY);
        loop {
            ticks.tick().await;
            tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
        }
    }))
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Says for ever that it lives, if systemd wants to hear that (`WATCHDOG_USEC`). Before each time
/// `lives` has to return: it looks where a stuck broker would be stuck.
pub async fn watchdog(lives: impl Fn()) {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((within / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        lives();
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
