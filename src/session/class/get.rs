//! basic.get (behaviour B6.10).

use std::borrow::Cow;
use std::sync::Arc;

use super::queue::count;
use crate::broker::resource_queue;
use crate::protocol::method::basic::{self, Get, GetEmpty};
use crate::protocol::{AmqpError, FrameKind, Method, ReplyCode};
use crate::queue::{Got, Queue, QueueKind, Waiting};
use crate::session::channel::{Answer, Channel};
use crate::session::context::Context;
use crate::session::delivery_count::counted;
use crate::session::source::Source;
use crate::session::unacked::Held;

pub fn get(ctx: &mut Context, channel: &mut Channel, method: &Get<'_>) -> Result<(), AmqpError> {
    let queue = ctx.readable_queue(channel, method.queue)?;
    let is_quorum = queue.kind() == QueueKind::Quorum;
    ctx.vhost.check_gettable(&queue)?;
    let (queued, remaining) = match queue.get(method.no_ack, ctx.now, &mut ctx.effects) {
        Got::Message { queued, remaining } => (queued, remaining),
        Got::Empty => {
            channel.stats.deliveries.get_empty.add(1);
            ctx.stats.kind(queue.kind()).get_empty.add(1);
            ctx.send(channel.number, &Method::Basic(basic::Method::GetEmpty(GetEmpty {})));
            return Ok(());
        }
        Got::NotSupported => {
            let resource = resource_queue(queue.name.as_str(), &ctx.vhost.name);
            let text = format!("basic.get not supported by stream queues {resource}");
            return Err(AmqpError::new(ReplyCode::NotImplemented, text));
        }
        Got::OnItsWay => {
            get_later(ctx, channel, &queue, method);
            return Ok(());
        }
    };
    channel.stats.deliveries.count_get(method.no_ack, queued.redelivered);
    ctx.stats.kind(queue.kind()).count_get(method.no_ack, queued.redelivered);
    let tag = channel.next_delivery_tag();
    let mut tag_and_flag = [0; 9];
    let (tag_bytes, flag) = tag_and_flag.split_at_mut(8);
    tag_bytes.copy_from_slice(&tag.to_be_bytes());
    flag.fill(u8::from(queued.redelivered));
    let remaining = count(remaining).to_be_bytes();
    let method_pieces = [&[0, 60, 0, 71], &tag_and_flag[..], queued.message.address(), &remaining];
    let message = if is_quorum { counted(&queued) } else { Cow::Borrowed(&queued.message) };
    ctx.output.content(channel.number, ctx.frame_max, method_pieces, &message);
    if !method.no_ack {
        let source = Source::got(channel.number, Arc::clone(&queue));
        ctx.limit_patience(&source, channel);
        let source = ctx.sources.add(source);
        channel.unacked.push(tag, Held { source, queued }, ctx.now);
        ctx.expect_settlement(channel.patience);
        channel.show();
    }
    Ok(())
}

/// The next message is being read from disk: the channel asks again when it is there, before anything
/// that the client sends meanwhile.
fn get_later(ctx: &mut Context, channel: &mut Channel, queue: &Arc<Queue>, method: &Get<'_>) {
    ctx.park(channel, Answer::Method(None));
    let mut again = Vec::new();
    let (queue_name, no_ack) = (method.queue, method.no_ack);
    let method = Get { queue: queue_name, no_ack };
    Method::Basic(basic::Method::Get(method)).encode(&mut again);
    if let Some(parked) = &mut channel.parked {
        parked.keep(FrameKind::Method, &again);
        let (outbox, channel) = (Arc::clone(&ctx.outbox), channel.number.0);
        let waiting = Waiting { outbox, channel, ticket: parked.ticket };
        queue.when_ready(waiting, &mut ctx.effects);
    }
}
