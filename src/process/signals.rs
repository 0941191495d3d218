//! What an operator wants, by signal.
//!
//! SIGTERM and SIGINT stop the broker in good order; the second of them, at any time, ends the process on
//! the spot. SIGHUP has the settings read again, SIGUSR1 a report written.

use std::io::Write;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Stop,
    Reload,
    Report,
}

/// Signals that came since [`Signals::listen`], in good time or before they are asked for.
pub struct Signals {
    stop: mpsc::Receiver<()>,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    /// From now on none of them ends the process by itself. Needs a runtime with threads of its own: the
    /// second signal has to count while the first thread is busy.
    pub fn listen() -> std::io::Result<Self> {
        let (wanted, stop) = mpsc::channel(1);
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(count_stops(terminate, interrupt, wanted));
        let (hangup, user1) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?);
        Ok(Self { stop, hangup, user1 })
    }

    /// The next one. Nothing is lost when this is dropped before it is ready.
    pub async fn next(&mut self) -> Wanted {
        tokio::select! {
            _ = self.stop.recv() => Wanted::Stop,
            _ = self.hangup.recv() => Wanted::Reload,
            _ = self.user1.recv() => Wanted::Report,
        }
    }
}

async fn count_stops(mut terminate: Signal, mut interrupt: Signal, wanted: mpsc::Sender<()>) {
    for is_second in [false, true] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if is_second {
            // What was confirmed is on the disk, as after any other sudden end.
            let _ = writeln!(std::io::stderr(), "leveret: a second signal: leaving at once");
            std::process::exit(1);
        }
        let _ = wanted.try_send(());
    }
}
