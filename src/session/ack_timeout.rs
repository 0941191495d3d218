//! Deliveries that a client has had for too long (behaviour B6.16).
//!
//! Looked for now and then, not timed one by one: while anything is unsettled there is a next look, at
//! the time when something may be overdue and at the latest after [`LOOK_INTERVAL`], because policies
//! may have changed what is too long.

use std::time::Duration;

use super::channel::{Channel, Channels};
use super::context::Context;
use super::farewell::GiveBack;
use super::open::Open;
use super::source::Source;
use crate::protocol::{AmqpError, ChannelNumber, ReplyCode};
use crate::queue::TimeoutAction;
use crate::time::Time;

/// The longest time between two looks, RabbitMQ's too.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// What a look at a channel found.
#[derive(Debug, Default)]
struct Overdue {
    /// The channel is to be closed for one that had this timeout.
    close: Option<Duration>,
    /// Deliveries to take away.
    tags: Vec<u64>,
}

impl Open {
    /// Takes away what is overdue, or closes channels for it. An error ends the connection.
    pub fn look_for_overdue(&mut self, now: Time) -> Result<(), AmqpError> {
        self.ctx.now = now;
        self.ctx.look_for_overdue = Time::NEVER;
        for number in self.channels.numbers() {
            let Some(channel) = self.channels.get_mut(number) else { continue };
            let (overdue, next) = self.ctx.overdue(channel);
            if let Some(timeout) = overdue.close {
                tracing::warn!(
                    connection = self.ctx.id.0,
                    "a consumer on channel {} has timed out waiting for delivery acknowledgement. \
                     Timeout used: {} ms",
                    number.0,
                    timeout.as_millis()
                );
                self.channel_error(number, timed_out(number, timeout))?;
                continue;
            }
            self.ctx.take_away(&mut self.channels, number, &overdue.tags);
            self.ctx.look_for_overdue = self.ctx.look_for_overdue.min(next);
        }
        self.end_batch();
        Ok(())
    }
}

impl Context {
    /// A delivery has just been handed over: there will be a look when it may be overdue.
    pub fn expect_settlement(&mut self, patience: Duration) {
        self.look_for_overdue = self.look_for_overdue.min(self.now + patience);
    }

    /// A channel gets deliveries of this source from now on.
    pub fn limit_patience(&self, source: &Source, channel: &mut Channel) {
        if let Some(timeout) = self.timeout(source) {
            channel.patience = channel.patience.min(timeout);
        }
    }

    /// What the consumer said goes before what the queue and its policies say, and that before the
    /// broker's setting.
    fn timeout(&self, source: &Source) -> Option<Duration> {
        let own = source.timeout.as_ref().and_then(|timeout| timeout.millis);
        let queue = || source.queue.as_ref()?.consumer_timeout_millis();
        let broker = self.services.broker.limits.consumer_timeout_millis();
        let millis = own.or_else(queue).unwrap_or(broker);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    fn action(&self, source: &Source) -> TimeoutAction {
        let own = source.timeout.as_ref().and_then(|timeout| timeout.action);
        let queue = || source.queue.as_ref()?.options().consumer_timeout_action;
        let broker = self.services.broker.limits.consumer_timeout_action();
        own.or_else(queue).unwrap_or(broker)
    }

    /// What is overdue on a channel, and when to look again.
    fn overdue(&self, channel: &Channel) -> (Overdue, Time) {
        let mut overdue = Overdue::default();
        if channel.unacked.is_empty() {
            return (overdue, Time::NEVER);
        }
        let mut next = self.now + LOOK_INTERVAL;
        for (since, deliveries) in channel.unacked.by_age() {
            if since + channel.patience > self.now {
                // So it is for all the later ones.
                next = next.min(since + channel.patience);
                break;
            }
            for (tag, source) in deliveries {
                let Some(source) = self.sources.get(source) else { continue };
                let Some(timeout) = self.timeout(source) else { continue };
                if since + timeout > self.now {
                    next = next.min(since + timeout);
                    continue;
                }
                match self.action(source) {
                    TimeoutAction::Requeue => overdue.tags.push(tag),
                    TimeoutAction::Close => {
                        overdue.close = Some(timeout);
                        return (overdue, next);
                    }
                }
            }
        }
        (overdue, next)
    }

    /// Deliveries go back to where they stood; the client may still settle them, to no effect.
    fn take_away(&mut self, channels: &mut Channels, number: ChannelNumber, tags: &[u64]) {
        let Some(channel) = channels.get_mut(number) else { return };
        if tags.is_empty() {
            return;
        }
        tracing::info!(
            connection = self.id.0,
            channel = number.0,
            count = tags.len(),
            "deliveries were not acknowledged in time and go back to their queues"
        );
        let mut back = GiveBack::default();
        for tag in tags {
            if let Some(held) = channel.unacked.take_late(*tag) {
                self.return_held(held, channel, &mut back);
            }
        }
        back.go(self.now, &mut self.effects);
        self.resume_if_limited(channel);
    }
}

fn timed_out(number: ChannelNumber, timeout: Duration) -> AmqpError {
    let text = format!(
        "delivery acknowledgement on channel {} timed out. Timeout value used: {} ms. This timeout \
         value can be configured, see consumers doc guide to learn more",
        number.0,
        timeout.as_millis()
    );
    AmqpError::new(ReplyCode::PreconditionFailed, text)
}
