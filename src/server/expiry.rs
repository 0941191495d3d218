//! The task that tells the broker when time has passed.

use std::future::poll_fn;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use crate::broker::Broker;

/// Sleeps until something expires, and again, until it is told to stop.
pub(super) async fn run(broker: Arc<Broker>, clock: Clock, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let (deadline, now) = (broker.next_deadline(), clock.now());
        if deadline <= now {
            broker.tick(now);
            // There may be more to do at once; the connections come first.
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep_until(clock.instant(deadline).into()) => {}
            () = poll_fn(|context| broker.poll_earlier_deadline(context)) => {}
            () = stop.cancelled() => {}
        }
    }
}
