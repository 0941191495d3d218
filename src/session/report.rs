//! Answers those who want to know what this connection is like.

use super::channel::Channel;
use super::context::Context;
use super::open::Open;
use crate::broker::{ChannelReport, ConsumerReport, Report};
use crate::delivery::SourceId;

impl Open {
    /// Tells everybody who has asked.
    #[cold]
    pub(super) fn report(&mut self) {
        let Self { ctx, channels, .. } = self;
        let channels = channels.iter_mut().map(|channel| report(ctx, channel)).collect();
        ctx.connected.inquiries.answer(&Report { state: state(ctx), channels });
    }
}

/// RabbitMQ's words.
fn state(ctx: &Context) -> &'static str {
    match (ctx.is_blocked, ctx.is_congested, ctx.services.broker.alarms.any()) {
        (true, ..) => "blocked",
        (_, true, _) => "flow",
        // It will be blocked when it publishes.
        (.., true) => "blocking",
        _ => "running",
    }
}

fn report(ctx: &Context, channel: &Channel) -> ChannelReport {
    let mut consumers: Vec<ConsumerReport> =
        channel.consumers.values().filter_map(|id| consumer(ctx, *id)).collect();
    consumers.sort_by(|a, b| a.tag.cmp(&b.tag));
    let transaction = channel.transaction.as_ref();
    ChannelReport {
        number: channel.number.0,
        is_closing: channel.closing,
        confirms: channel.confirms.is_some(),
        is_transactional: transaction.is_some(),
        prefetch: channel.prefetch,
        global_prefetch: channel.limit.limit(),
        unacked: channel.unacked.len(),
        unconfirmed: channel.confirms.as_ref().map_or(0, |confirms| confirms.unanswered()),
        uncommitted: transaction.map_or(0, |transaction| transaction.publishes.len()),
        acks_uncommitted: transaction.map_or(0, |transaction| transaction.settlements.len()),
        consumers,
    }
}

fn consumer(ctx: &Context, id: SourceId) -> Option<ConsumerReport> {
    let source = ctx.sources.get(id)?;
    let asked = source.asked.as_deref();
    let own = source.timeout.as_ref().and_then(|timeout| timeout.millis);
    let queue = || source.queue.as_ref()?.consumer_timeout_millis();
    let broker = ctx.services.broker.limits.consumer_timeout_millis();
    Some(ConsumerReport {
        tag: source.tag.to_string(),
        queue: source.queue.as_ref().map(|queue| queue.name.clone()),
        source: id,
        no_ack: source.no_ack,
        prefetch: asked.map_or(0, |asked| asked.prefetch),
        exclusive: asked.is_some_and(|asked| asked.exclusive),
        arguments: asked.map(|asked| asked.arguments.clone()).unwrap_or_default(),
        timeout_millis: own.or_else(queue).unwrap_or(broker),
    })
}
